"""Patches taken where the network erred."""

import keras
import numpy as np
import pytest
from PIL import Image

from cryoseg_tf import Config, Run, find_pairs, fit, split
from cryoseg_tf.config import IGNORE, Contract
from cryoseg_tf.data.images import Images, examine
from cryoseg_tf.data.pairs import read_annotated
from cryoseg_tf.data.sampling import Draw
from cryoseg_tf.errors import RunError
from cryoseg_tf.training.hard import errors_at, stage_ends

CONTRACT = Contract(classes=("background", "cell"))


def constant(probability):
    """Return a network that finds every pixel alike."""
    inputs = keras.Input((None, None, 1))
    bias = keras.initializers.Constant(np.log(probability / (1 - probability)))
    outputs = keras.layers.Conv2D(1, 1, kernel_initializer="zeros", bias_initializer=bias, activation="sigmoid")(inputs)
    return keras.Model(inputs, outputs)


@pytest.fixture
def images(tmp_path, make_pairs):
    """Two images that are no multiple of the stride, their last rows not annotated; and their facts."""
    data = make_pairs(tmp_path / "data", 2, (23, 41))
    for path in (data / "masks").iterdir():
        mask = np.asarray(Image.open(path)).copy()
        mask[-3:] = 9
        Image.fromarray(mask).save(path)
    config = Config().replace({"data.ignore": 9, "model.depth": 2})
    pairs = find_pairs(data)
    facts = [examine(read_annotated(pair, config.data), CONTRACT) for pair in pairs]
    return Images(pairs, config, CONTRACT), facts


def marked(points, shape):
    found = np.zeros(shape, np.bool_)
    found[tuple(points.T)] = True
    return found


@pytest.mark.parametrize("found", [0, 1])
def test_the_errors_of_a_network_that_sees_one_class_are_the_other(tmp_path, images, found):
    errors = errors_at(tmp_path / "errors.npz", constant(0.1 + 0.8 * found), *images)
    for index, points in enumerate(errors):
        mask = images[0][index].mask
        np.testing.assert_array_equal(marked(points, mask.shape), (mask != found) & (mask != IGNORE))


def test_errors_are_kept_in_a_file(tmp_path, images):
    first = errors_at(tmp_path / "errors.npz", constant(0.9), *images)
    again = errors_at(tmp_path / "errors.npz", constant(0.1), *images)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_a_damaged_file_is_named(tmp_path, images):
    path = tmp_path / "errors.npz"
    errors_at(path, constant(0.9), *images)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(RunError, match=r"errors\.npz is damaged.*--overwrite"):
        errors_at(path, constant(0.9), *images)


@pytest.mark.parametrize(("epochs", "ends"), [(60, [20, 40, 60]), (3, [1, 2, 3]), (2, [1, 2]), (1, [1])])
def test_stages(epochs, ends):
    config = Config().replace({"training.epochs": epochs})
    assert stage_ends(config) == [epochs]
    assert stage_ends(config.replace({"data.hard_patches": 0.1})) == ends


def test_patches_are_taken_on_errors(images):
    config = images[0].config.replace({"data.hard_patches": 0.5, "data.foreground_patches": 0.0, "data.patch": 8})
    loaded = Images(images[0].pairs, config, CONTRACT)
    draws = [Draw(*numbers) for numbers in np.random.default_rng(0).random((400, 5)).tolist()]
    before = [loaded.corner(0, draw).tolist() for draw in draws]
    loaded.hard = [np.array([[3, 30]], np.int32), np.zeros((0, 2), np.int32)]
    moved = [loaded.corner(0, draw).tolist() for draw in draws]
    assert all(b == m for b, m, d in zip(before, moved, draws, strict=True) if d.kind >= 0.5)
    assert all(
        top <= 3 < top + 8 and left <= 30 < left + 8
        for (top, left), d in zip(moved, draws, strict=True)
        if d.kind < 0.5
    )
    # where it erred nowhere, patches lie anywhere
    assert [loaded.corner(1, draw).tolist() for draw in draws] == before


class StopAfter(keras.callbacks.Callback):
    """Interrupts a training, as Ctrl-C would, once an epoch is done."""

    def __init__(self, epoch):
        super().__init__()
        self.last = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.last:
            raise KeyboardInterrupt


def results(run):
    with np.load(run / "state" / "last.npz") as content:
        arrays = {name: content[name] for name in content.files if name != "progress"}
    return arrays, (run / "history.csv").read_bytes(), Run(run).load_model().get_weights()


def assert_same(one, other):
    (first, history, best), (second, other_history, other_best) = results(one), results(other)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert history == other_history
    assert all(np.array_equal(a, b) for a, b in zip(best, other_best, strict=True))


@pytest.mark.slow
def test_an_interrupted_training_repeats_one_that_was_not(tmp_path, data, tiny):
    """Stages end after epochs 1, 3 and 4; when the run goes on, the network that found the errors is gone."""
    plain = {"training.augmentation.enabled": False, "training.calibrate": False}  # quick to begin
    config = Config().replace({**tiny, **plain, "training.epochs": 4, "data.hard_patches": 0.5, "data.patch": 32})
    pairs = split(find_pairs(data), config.data)
    fit(config, pairs, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(config, pairs, tmp_path / "run", callbacks=[StopAfter(2)])
    assert len(Run(tmp_path / "run").history()) == 2
    fit(config, pairs, tmp_path / "run", existing="resume")
    assert_same(tmp_path / "whole", tmp_path / "run")
