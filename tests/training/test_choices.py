"""What fit chooses from facts about the images: scale, patch, batch, class weights."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cryoseg_tf.config import Config
from cryoseg_tf.data.images import Facts
from cryoseg_tf.errors import ConfigError, DataError
from cryoseg_tf.training import choices
from cryoseg_tf.training.choices import resolve
from cryoseg_tf.training.survey import Survey

THREE = {"data.classes": ["background", "cell", "ice"]}


def facts(diameters=20.0, shape=(512, 512), pixel_size=None, classes=None):
    """Return facts of an image with a tenth of foreground; ``diameters`` are of class 1, or of each."""
    found = diameters if isinstance(diameters, dict) else {1: diameters}
    counts = classes or {0: 900, **dict.fromkeys(found, 100)}
    return Facts(Path("a.tif"), shape, pixel_size, 0.0, 1.0, 20.0, counts, found)


def chosen(*train, **settings):
    config = Config().replace({name.replace("__", "."): value for name, value in settings.items()})
    return resolve(config, Survey(list(train), [facts(pixel_size=train[0].pixel_size)], {}))


@pytest.mark.parametrize(
    ("across", "times"), [(12, 1), (60, 1), (64, 1), (130, 2), (192, 3), (190.5, 3), (186, 2), (5000, 16)]
)
def test_large_objects_are_shown_smaller(across, times):
    found = chosen(facts(across, (4096, 4096)))
    if times == 1:
        assert found.contract.scale == "none"
        assert found.contract.factor is None
    else:
        assert found.contract.scale == "factor"
        assert found.contract.factor == pytest.approx(1 / times)
    assert found.config.data.scale == found.contract.scale
    assert found.config.data.factor == found.contract.factor


@pytest.mark.parametrize(("across", "target"), [(12, 100), (130, 200), (192, 300)])
def test_with_pixel_sizes_the_scale_is_one(across, target):
    found = chosen(facts(across, pixel_size=100.0))
    assert found.contract.scale == "pixel_size"
    assert found.contract.pixel_size == pytest.approx(target)
    assert found.contract.factor is None
    low, high = found.contract.pixel_size_range
    assert low < 100 < high


def test_how_finely_an_object_was_scanned_does_not_matter():
    """The same cells at half the pixel size are twice as large in pixels."""
    coarse = [facts(130, pixel_size=100.0)] * 2
    mixed = [facts(130, pixel_size=100.0)] * 2 + [facts(260, pixel_size=50.0)]
    assert chosen(*mixed).contract.pixel_size == chosen(*coarse).contract.pixel_size == pytest.approx(200)


def test_the_class_with_the_smallest_objects_decides():
    assert chosen(facts({1: 400.0, 2: 130.0}), **THREE).contract.factor == 0.5
    assert chosen(facts({1: 400.0, 2: 20.0}), **THREE).contract.scale == "none"


def test_an_image_counts_by_its_foreground():
    large = facts(130, classes={0: 100, 1: 900})
    assert chosen(large, facts(20), facts(20)).contract.factor == 0.5


def test_an_image_without_objects_has_no_say():
    assert chosen(facts({}), facts(130)).contract.factor == 0.5


@pytest.mark.parametrize(
    ("pixel_size", "settings", "scale", "value"),
    [
        (None, {"data__factor": 0.25}, "factor", 0.25),
        (None, {"data__scale": "none"}, "none", None),
        (100.0, {"data__scale": "none"}, "none", None),
        (100.0, {"data__scale": "factor", "data__factor": 0.5}, "factor", 0.5),
        (100.0, {"data__scale": "factor"}, "factor", 1 / 3),
        (100.0, {"data__pixel_size": 123.0}, "pixel_size", 123.0),
        (100.0, {"data__factor": 0.5}, "pixel_size", 200.0),
        (100.0, {"data__scale": "shape", "data__shape": [64, 96]}, "shape", (64, 96)),
    ],
)
def test_a_scale_that_is_set_wins(pixel_size, settings, scale, value):
    contract = chosen(facts(192, pixel_size=pixel_size), **settings).contract
    assert contract.scale == scale
    values = {"pixel_size": contract.pixel_size, "factor": contract.factor, "shape": contract.shape}
    assert values.pop(scale, None) == (pytest.approx(value) if isinstance(value, float) else value)
    assert set(values.values()) == {None}


def test_a_patch_holds_some_objects():
    assert chosen(facts(12, (2048, 2048))).config.data.patch == 128
    assert chosen(facts(12, (256, 300))).config.data.patch == 128
    assert chosen(facts(50, (256, 300))).config.data.patch == 208  # four objects, in 16s
    assert chosen(facts(192, (1536, 1536))).config.data.patch == 256
    assert chosen(facts(12, (81, 100))).config.data.patch == 96  # small images are taken whole
    # at the network's scale the image is 90 pixels high
    assert chosen(facts(192, (270, 400))).config.data.patch == 96


def test_a_patch_that_is_set_wins():
    assert chosen(facts(12), data__patch=64).config.data.patch == 64


def batch_with(monkeypatch, free, **settings):
    """Return the batch size that is chosen with so much free memory."""
    monkeypatch.setattr(choices.psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
    found = chosen(facts(12), data__patch=256, **settings)
    return found.config.training.batch_size, "\n".join(found.lines)


def test_the_batch_is_as_set_where_memory_is_plenty(monkeypatch):
    batch, lines = batch_with(monkeypatch, 2**45, training__batch_size=24)
    assert batch == 24
    assert "batch: 24" in lines
    assert "would not fit" not in lines


def test_the_batch_is_reduced_where_memory_is_short(monkeypatch):
    batch, lines = batch_with(monkeypatch, 2**30, training__batch_size=500)
    assert 1 <= batch < 500
    assert f"batch: {batch}" in lines
    assert "500 would not fit" in lines
    # the memory of a patch goes with the filters and the memory that is free
    assert batch_with(monkeypatch, 2**31, training__batch_size=500)[0] == pytest.approx(2 * batch, abs=1)
    wide = batch_with(monkeypatch, 2**31, training__batch_size=500, model__base_filters=32)[0]
    assert wide == batch
    assert batch_with(monkeypatch, 2**29, training__batch_size=500)[0] == 1
    with pytest.raises(DataError, match=r"a patch of 256 px takes about .* are free: set a smaller data\.patch"):
        batch_with(monkeypatch, 2**20)


def test_images_are_not_blown_up():
    with pytest.raises(DataError, match="512x512: at the network's scale its shorter side has 51200 pixels"):
        chosen(facts(pixel_size=100.0), data__pixel_size=1.0)


def test_classes_weigh_one_over_the_root_of_their_share():
    # roots of 0.81, 0.09 and 0.1 are as 0.9, 0.3 and 0.316
    counts, diameters = {0: 810, 1: 90, 2: 100}, {1: 20.0, 2: 20.0}
    raw = np.array([1 / 0.9, 1 / 0.3, 1 / 0.1**0.5])
    one = chosen(facts(diameters, classes=counts), **THREE).config.training.class_weights
    np.testing.assert_allclose(one, raw / raw.mean(), atol=1e-4)
    parts = [facts({1: 20.0}, classes={0: 400, 1: 90}), facts({2: 20.0}, classes={0: 410, 2: 100})]
    assert chosen(*parts, **THREE).config.training.class_weights == one


def test_two_classes_weigh_alike():
    assert chosen(facts()).config.training.class_weights == (1.0, 1.0)


def test_a_class_that_is_absent_weighs_1():
    assert chosen(facts(), **THREE).config.training.class_weights == (0.5, 1.5, 1.0)


def test_weights_that_are_set_win():
    assert chosen(facts(), training__class_weights=[1.0, 7.0]).config.training.class_weights == (1.0, 7.0)
    with pytest.raises(ConfigError, match=r"holds 3 numbers for 2 classes: .* background, cell"):
        chosen(facts(), training__class_weights=[1.0, 7.0, 2.0])
    assert chosen(facts(), training__class_weights="none").config.training.class_weights == (1.0, 1.0)


def test_each_choice_has_its_line():
    lines = chosen(facts(192), facts(192), **THREE).lines
    assert [line.partition(":")[0] for line in lines] == ["scale", "patches", "batch", "precision", "classes"]
    assert "192 px" in lines[0]
    assert "cell 64 px" in lines[0]
    assert "background" in lines[4]
    assert "90" in lines[4]


def test_nothing_automatic_is_left():
    config = chosen(facts()).config
    assert config.data.scale != "auto"
    assert config.data.patch is not None
    assert config.training.class_weights != "auto"
    assert resolve(config, Survey([facts()], [facts()], {})).config == config
