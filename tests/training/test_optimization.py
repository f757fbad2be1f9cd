"""Each optimizer against its published update, on one weight, and what all of them share."""

import inspect

import keras
import numpy as np
import pytest

from cryoseg_tf.config import Config
from cryoseg_tf.errors import ConfigError
from cryoseg_tf.training.optimization import COMMON, LIMITS, OPTIMIZERS, averaged, build_optimizer, check_optimization
from cryoseg_tf.training.schedules import learning_rates
from cryoseg_tf.training.state import Progress, load_state, save_state

RATE, START, STEPS = 0.1, 2.0, 6


def settings(optimizer="sgd", **others):
    wanted = {"optimizer": optimizer, "learning_rate": RATE, "weight_decay": 0.0, **others}
    return Config().replace({f"training.{name}": value for name, value in wanted.items()}).training


def gradient(w):
    """Of a parabola with its lowest point at 1/3."""
    return 3 * w - 1


def weights_of(config, name="kernel", slope=gradient):
    """The weight after each step."""
    optimizer, weight = build_optimizer(config), keras.Variable(START, name=name)
    path = []
    for _ in range(STEPS):
        optimizer.apply([keras.ops.convert_to_tensor(slope(weight.numpy()), "float32")], [weight])
        path.append(float(weight.numpy()))
    return np.array(path)


def sgd(w, g, t, s):
    return w - RATE * g


def momentum(w, g, t, s):
    s["v"] = 0.9 * s.get("v", 0) - RATE * g
    return w + s["v"]


def nesterov(w, g, t, s):
    """In terms of the point looked ahead to, which is what is stored; Sutskever et al. 2013, Bengio et al. 2013."""
    s["v"] = 0.9 * s.get("v", 0) - RATE * g
    return w + 0.9 * s["v"] - RATE * g


def adagrad(w, g, t, s):
    """Duchi et al. 2011; Keras begins at 0.1, not 0."""
    s["sum"] = s.get("sum", 0.1) + g**2
    return w - RATE * g / np.sqrt(s["sum"] + 1e-7)


def rmsprop(w, g, t, s):
    """Tieleman & Hinton 2012."""
    s["v"] = 0.9 * s.get("v", 0) + 0.1 * g**2
    return w - RATE * g / np.sqrt(s["v"] + 1e-7)


def adadelta(w, g, t, s):
    """Zeiler 2012 (arXiv:1212.5701), times a learning rate that the paper has not."""
    s["g"] = 0.95 * s.get("g", 0) + 0.05 * g**2
    move = -np.sqrt(s.get("x", 0) + 1e-7) / np.sqrt(s["g"] + 1e-7) * g
    s["x"] = 0.95 * s.get("x", 0) + 0.05 * move**2
    return w + RATE * move


def adam(w, g, t, s, b2=0.999):
    """Kingma & Ba 2015 (arXiv:1412.6980), with their epsilon hat beside the uncorrected root."""
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g**2
    s["top"] = max(s.get("top", 0), s["v"])
    return w - RATE * np.sqrt(1 - b2**t) / (1 - 0.9**t) * s["m"] / (np.sqrt(s["v"]) + 1e-7)


def amsgrad(w, g, t, s):
    """Reddi et al. 2018 (arXiv:1904.09237), with Adam's corrections; 0.5 makes ``v`` fall within a few steps."""
    moved = adam(w, g, t, s, 0.5) - w
    return w + moved * (np.sqrt(s["v"]) + 1e-7) / (np.sqrt(s["top"]) + 1e-7)


def adamw(w, g, t, s):
    """Loshchilov & Hutter 2019 (arXiv:1711.05101)."""
    return adam(w, g, t, s) - RATE * 0.2 * w


@pytest.mark.parametrize(
    ("text", "update", "decay"),
    [
        ("sgd", sgd, 0),
        ("sgd(momentum=0.9)", momentum, 0),
        ("sgd(momentum=0.9, nesterov=true)", nesterov, 0),
        ("adagrad", adagrad, 0),
        ("rmsprop", rmsprop, 0),
        ("adadelta", adadelta, 0),
        ("adam", adam, 0),
        ("adam(beta_2=0.5, amsgrad=true)", amsgrad, 0),
        ("adamw", adamw, 0.2),
        ("adam", adamw, 0.2),
    ],
)
@pytest.mark.parametrize("slope", [gradient, lambda w: np.sin(9 * w)], ids=["parabola", "waves"])
def test_published_updates(text, update, decay, slope):
    w, state, path = START, {}, []
    for t in range(1, STEPS + 1):
        w = update(w, slope(w), t, state)
        path.append(w)
    np.testing.assert_allclose(weights_of(settings(text, weight_decay=decay), slope=slope), path, rtol=2e-4)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_follows_the_schedule(name):
    config = settings(name, weight_decay=0.5, schedule="cosine_restarts(cycles=2, growth=1)")
    optimizer, rates = build_optimizer(config), learning_rates(config, STEPS)
    kernel, bias = keras.Variable(START, name="kernel"), keras.Variable(START, name="bias")
    expected, zero = START, keras.ops.zeros(())
    for step in range(STEPS):
        optimizer.learning_rate = rates(step)
        optimizer.apply([zero, zero], [kernel, bias])
        expected *= 1 - rates(step) * 0.5
        assert float(kernel.numpy()) == pytest.approx(expected, rel=1e-6)
    assert expected < 0.9 * START
    assert float(bias.numpy()) == START


@pytest.mark.parametrize(("norm", "moved"), [(None, [3, 4]), (10.0, [3, 4]), (1.0, [0.6, 0.8])])
def test_the_gradient_of_all_weights_is_clipped(norm, moved):
    optimizer = build_optimizer(settings(learning_rate=1.0, clip_norm=norm))
    weights = [keras.Variable(0.0), keras.Variable(0.0)]
    optimizer.apply([keras.ops.convert_to_tensor(g) for g in (3.0, 4.0)], weights)
    np.testing.assert_allclose([-w.numpy() for w in weights], moved, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adamx", "names 'adamx': known are adadelta, adafactor"),
        ("ftrl", "names 'ftrl'"),
        ("sgd(speed=1)", "sgd has no option 'speed': its options are momentum, nesterov$"),
        ("sgd(name='x')", "sgd has no option 'name'"),
        ("sgd(kwargs=1)", "sgd has no option 'kwargs'"),
        ("adam(learning_rate=0.1)", "learning_rate is not set there: set training.learning_rate"),
        ("adamw(weight_decay=0.1)", "set training.weight_decay"),
        ("adam(clipvalue=1.0)", "set training.clip_norm"),
        ("adam(use_ema=true)", "set training.ema"),
        ("sgd(momentum=2.0)", "sgd: momentum is 2.0: it must be a number of at least 0 and below 1$"),
        ("sgd(momentum=-0.1)", "sgd: momentum is -0.1"),
        ("adam(beta_1=2)", "adam: beta_1 is 2: it must be a number of at least 0 and below 1$"),
        ("adamw(beta_2=1)", "adamw: beta_2 is 1: it must be"),
        ("adam(beta_1='a')", "adam: beta_1 is 'a': it must be a number"),
        ("adam(beta_1=true)", "adam: beta_1 is True: it must be a number"),
        ("rmsprop(rho=-1)", "rmsprop: rho is -1: it must be"),
        ("adam(epsilon=-1e-7)", "adam: epsilon is -1e-07: it must be a number above 0$"),
        ("adagrad(epsilon=0)", "adagrad: epsilon is 0: it must be a number above 0$"),
        (
            "adagrad(initial_accumulator_value=-1)",
            "initial_accumulator_value is -1: it must be a number of at least 0$",
        ),
        ("adafactor(beta_2_decay=0.8)", "beta_2_decay is 0.8: it must be a number of at least -1 and below 0$"),
        ("adam(amsgrad=1)", "adam: amsgrad is 1: it must be true or false$"),
        ("adam(beta_1=0.9999999999)", "no step can be computed"),  # 1 in float32
    ],
)
def test_what_is_wrong_is_named_before_training(text, message):
    with pytest.raises(ConfigError, match=f"^training.optimizer.*{message}"):
        check_optimization(settings(text))


def test_each_number_among_the_options_has_limits_that_hold_its_default():
    for kind in OPTIMIZERS.values():
        for name, option in inspect.signature(kind).parameters.items():
            if name not in COMMON and not isinstance(option.default, bool):
                _, fits = LIMITS[name]
                assert fits(option.default)


def test_a_mistake_is_found_each_time_it_is_asked_for():
    for _ in range(2):
        with pytest.raises(ConfigError):
            check_optimization(settings("sgd(momentum=2)"))
        check_optimization(settings())


def test_a_wrong_schedule_is_found_too():
    with pytest.raises(ConfigError, match=r"^training.schedule"):
        check_optimization(settings(schedule="cosine(warm_up=7)"))
    check_optimization(settings())


RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(16, 3)).astype(np.float32)
Y = (X[:, :1] - 2 * X[:, 1:2]).astype(np.float32)


def small(config):
    """A network with all that has a state: batch normalisation, dropout, an optimizer."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((3,))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(8, "relu")(inputs))
    outputs = keras.layers.Dense(1)(keras.layers.Dropout(0.1, seed=1)(hidden))
    model = keras.Model(inputs, outputs)
    optimizer = build_optimizer(config)
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, "mse", run_eagerly=True)
    return model


def train(model, steps):
    for _ in range(steps):
        model.train_on_batch(X, Y)
    return model


def everything(model):
    return [v.numpy() for v in (*model.variables, *model.optimizer.variables)]


@pytest.mark.parametrize(
    "name", ["adamw", *(pytest.param(n, marks=pytest.mark.slow) for n in OPTIMIZERS if n != "adamw")]
)
def test_each_trains_and_resumes_to_the_last_bit(name, tmp_path):
    config = settings(name, learning_rate=30.0 if name == "adadelta" else 0.05, weight_decay=1e-3, ema=0.8)
    whole = small(config)
    before = whole.evaluate(X, Y, verbose=0)
    save_state(tmp_path / "state.npz", train(whole, 2), Progress())
    train(whole, 2)
    resumed = small(config)
    load_state(tmp_path / "state.npz", resumed)
    train(resumed, 2)
    assert all(np.array_equal(a, b) for a, b in zip(everything(whole), everything(resumed), strict=True))
    assert whole.evaluate(X, Y, verbose=0) < 0.95 * before


def test_the_average_is_that_of_the_weights():
    model, average = small(settings(ema=0.7)), None
    for _ in range(5):
        own = train(model, 1).get_weights()
        weights = [w.numpy() for w in model.trainable_variables]
        # the first step begins the average, so that the random start has no part in it
        average = [0.7 * a + 0.3 * w for a, w in zip(average, weights, strict=True)] if average else weights
        with averaged(model):
            for found, expected in zip(model.trainable_variables, average, strict=True):
                np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)
        assert all(np.array_equal(a, b) for a, b in zip(own, model.get_weights(), strict=True))


def test_without_an_average_the_weights_are_their_own():
    model = train(small(settings()), 2)
    own = model.get_weights()
    with averaged(model):
        assert all(np.array_equal(a, b) for a, b in zip(own, model.get_weights(), strict=True))
