"""What is validated, kept and saved at the end of an epoch, in a real training of a few weights."""

import keras
import numpy as np
import pytest

from cryoseg_tf import Run
from cryoseg_tf.config import Config
from cryoseg_tf.training.callbacks import Checkpoints
from cryoseg_tf.training.optimization import build_optimizer
from cryoseg_tf.training.state import Progress, load_state

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
Y = (X[:, :1] - 2 * X[:, 1:2]).astype(np.float32)


def line(config):
    """A model that is trained, and a network that shares its weights and is kept."""
    inputs = keras.Input((3,))
    middle = keras.layers.Dense(1, kernel_initializer="ones")(inputs)
    model, network = keras.Model(inputs, 1.0 * middle), keras.Model(inputs, middle)
    model.compile(build_optimizer(config), "mse", metrics=[keras.metrics.MeanSquaredError(name="dice")])
    return model, network


def fit(model, callbacks, **validation):
    model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0, callbacks=callbacks, **validation)


@pytest.mark.parametrize(("share", "best"), [(0.4, 4), (0.2, 5), (1.0, 1)])
def test_the_best_of_the_last_epochs_takes_the_place_of_any_before(tmp_path, share, best):
    config = Config().replace({"training.best_of_last": share, "training.epochs": 5}).training
    (tmp_path / "state").mkdir()
    run, progress = Run(tmp_path), Progress()
    model, network = line(config)
    checkpoints = Checkpoints(run, network, progress, config)
    checkpoints.set_model(model)
    kept = []
    for epoch, dice in enumerate((0.9, 0.7, 0.3, 0.5, 0.4)):
        network.set_weights([np.full_like(w, epoch) for w in network.get_weights()])
        checkpoints.on_epoch_end(epoch, {"val_dice": dice})
        kept.append(float(keras.models.load_model(run.model_file, compile=False).get_weights()[0].flat[0]) + 1)
    assert progress.best_epoch == best == kept[-1]
    assert kept[:3] == [1, 1, 1]  # until then the best so far
    assert progress.best_dice == (0.9, 0.7, 0.3, 0.5, 0.4)[best - 1]


@pytest.mark.parametrize("ema", [None, 0.6])
def test_the_average_is_validated_and_kept_and_the_state_holds_the_weights(tmp_path, ema):
    config = Config().replace({"training.ema": ema, "training.learning_rate": 0.1}).training
    path = []
    plain, _ = line(config)
    record = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: path.append(plain.get_weights()))
    fit(plain, [record])

    run, progress = Run(tmp_path), Progress()
    (tmp_path / "state").mkdir()
    model, network = line(config)
    fit(model, [Checkpoints(run, network, progress, config)], validation_data=(X, Y))

    kernel, bias = path[0]
    averages = []
    for k, b in path:
        kernel, bias = ((1 - (ema or 0)) * new + (ema or 0) * old for new, old in ((k, kernel), (b, bias)))
        averages.append((kernel, bias))
    for row, (kernel, bias) in zip(progress.history, (averages[2], averages[5]), strict=True):
        assert row["val_loss"] == pytest.approx(np.mean((X @ kernel + bias - Y) ** 2), rel=1e-4)
    kept = keras.models.load_model(run.model_file, compile=False).get_weights()
    best = averages[3 * progress.best_epoch - 1]
    assert all(np.allclose(a, b, rtol=1e-5) for a, b in zip(kept, best, strict=True))
    resumed, _ = line(config)
    resumed.optimizer.build(resumed.trainable_variables)
    load_state(tmp_path / "state" / "last.npz", resumed)
    # validation, saving and the end of training have not changed the weights, not by a bit
    for trained in (resumed, model):
        assert all(np.array_equal(a, b) for a, b in zip(trained.get_weights(), path[-1], strict=True))
