"""Several methods on the same images: masks on disk against a segmenter that one can compute by hand."""

import csv
import json
import logging

import numpy as np
import pytest
from PIL import Image

from cryoseg_tf.errors import ConfigError, DataError
from cryoseg_tf.evaluation.compare import check_names, compare
from cryoseg_tf.evaluation.comparison_page import most_different, write_comparison
from cryoseg_tf.evaluation.entries import Entry
from cryoseg_tf.io import atomic
from cryoseg_tf.segmentation.given import GivenMasks
from cryoseg_tf.segmentation.method import Loaded

CLASSES = ("background", "cell", "ice")


class Loads:
    """Loads an entry, and counts how often."""

    def __init__(self, make):
        self.make, self.count = make, 0

    def __call__(self):
        self.count += 1
        return Loaded(self.make(), "made by hand")


@pytest.fixture
def entry(bright):
    """``entry(name, **settings)`` is an entry to which bright pixels are cells."""

    def make(name, classes=("background", "cell"), known=(), identity="1"):
        return Entry(name, "run", f"runs/{name}", identity, Loads(lambda: bright(classes)), frozenset(known))

    return make


@pytest.fixture
def masks(tmp_path, config):
    """``masks(name, pairs, {image: mask})`` is an entry of masks on disk, by default the truth."""

    def make(name, pairs, changed, settings=None):
        folder = tmp_path / "given" / name
        folder.mkdir(parents=True, exist_ok=True)
        for pair in pairs:
            mask = changed.get(pair.image.name, np.array(Image.open(pair.mask)))
            if mask is not None:
                Image.fromarray(mask).save(folder / pair.image.name)
        data = config.replace(settings or {}).data
        files = "".join(atomic.sha256(path) for path in sorted(folder.iterdir()))
        return Entry(name, "masks", str(folder), files, Loads(lambda: GivenMasks(folder, pairs, data)))

    return make


def test_the_truth_against_bright_pixels(entry, masks, four, config, tmp_path):
    """Bright pixels reach Dice 1, 1/2, 0 and 2/3; see ``four``."""
    comparison = compare([masks("truth", four, {}), entry("bright")], four, config, tmp_path / "out")
    summary = comparison.summary()
    truth, bright = summary["entries"]
    assert truth["metrics"]["dice"] == {"mean": 1.0, "ci95": [1.0, 1.0]}
    assert bright["metrics"]["dice"]["mean"] == pytest.approx((1 + 1 / 2 + 0 + 2 / 3) / 4)
    assert (truth["kind"], truth["about"], truth["source"]) == (
        "masks",
        "made by hand",
        str(tmp_path / "given" / "truth"),
    )
    [pair] = summary["pairs"]
    assert (pair["first"], pair["second"], pair["unit"], pair["units"]) == ("truth", "bright", "image", 4)
    assert pair["difference"]["mean"] == pytest.approx(1 - (1 + 1 / 2 + 2 / 3) / 4)
    assert (pair["wins"], pair["ties"], pair["losses"]) == (3, 1, 0)
    assert pair["p_smallest"] == pytest.approx(2 / 2**4)
    assert "from 4 images no p-value below 0.05 is possible" in pair["claim"]
    assert most_different(comparison) == [f"images/{name}.png" for name in "cbd"]


def test_files_say_the_same(entry, masks, four, config, tmp_path):
    out = tmp_path / "out"
    comparison = compare([masks("truth", four, {}), entry("bright")], four, config, out, groups=list("aabb"))
    page = write_comparison(comparison, out)
    assert {path.name for path in out.iterdir()} == {
        "truth", "bright", "comparison.html", "comparison.json", "comparison.csv",
    }  # fmt: skip
    assert {path.name for path in (out / "bright").iterdir()} == {
        "summary.json", "scores.csv", "objects.csv", "entry.json", "overlays",
    }  # fmt: skip
    summary = json.loads((out / "comparison.json").read_text("utf-8"))
    assert summary == comparison.summary()
    assert summary["groups"] == {"count": 2, "largest": 2}
    rows = list(csv.DictReader((out / "comparison.csv").open()))
    assert [row["image"] for row in rows] == [pair.name for pair in four]
    assert [row["group"] for row in rows] == list("aabb")
    assert [float(row["dice_bright"]) for row in rows] == pytest.approx([1, 1 / 2, 0, 2 / 3])
    assert [float(row["dice_truth"]) for row in rows] == [1, 1, 1, 1]
    html = page.read_text("utf-8")
    assert summary["pairs"][0]["claim"] in html
    assert html.count("data:image/jpeg;base64,") == 2 * 3  # on one image they are the same


def test_an_image_that_one_failed_on_is_left_out_for_all(entry, masks, four, config, tmp_path):
    given = masks("given", four, {"a.png": None, "b.png": np.zeros((5, 5), np.uint8)})
    comparison = compare([entry("bright"), given], four, config, tmp_path / "out")
    assert comparison.images == ["images/c.png", "images/d.png"]
    summary = comparison.summary()
    assert summary["images"] == summary["pairs"][0]["units"] == 2
    assert summary["entries"][0]["metrics"]["dice"]["mean"] == pytest.approx(1 / 3)
    first, second = summary["left_out"]
    assert (first["image"], list(first["errors"])) == ("images/a.png", ["given"])
    assert "has no mask for" in first["errors"]["given"]
    assert "b.png is 5x5 but its image is 24x24" in second["errors"]["given"]
    html = write_comparison(comparison, tmp_path / "out").read_text("utf-8")
    assert "images/a.png is left out for all:" in html
    assert (tmp_path / "out" / "comparison.csv").read_text().count("\n") == 3


def test_no_image_in_common_is_an_error(entry, masks, four, config, tmp_path):
    both = [
        masks(name, four, dict.fromkeys(gone)) for name, gone in (("x", ("a.png", "b.png")), ("y", ("c.png", "d.png")))
    ]
    with pytest.raises(DataError, match=r"no image could be scored for every entry\nx: .* has no mask for .*a\.png"):
        compare(both, four, config, tmp_path / "out")


def test_groups_that_are_known_are_tested(entry, masks, four, config, tmp_path):
    entries = [masks("truth", four, {}), entry("bright")]
    [pair] = compare(entries, four, config, tmp_path / "out", groups=list("xxyy")).paired
    assert (pair.unit, pair.units) == ("group", 2)
    assert pair.p == 0.5


def test_images_that_were_trained_on_are_counted(entry, masks, four, config, tmp_path):
    known = [atomic.sha256(pair.image) for pair in four[:3]]
    comparison = compare([entry("bright", known=known), masks("truth", four, {})], four, config, tmp_path / "out")
    assert comparison.seen == {"bright": 3, "truth": 0}
    assert comparison.summary()["pairs"][0]["claim"].startswith("Nothing may be claimed of new images")
    html = write_comparison(comparison, tmp_path / "out").read_text("utf-8")
    assert "bright was trained on 3 of these 4 images." in html


def test_what_was_scored_is_not_scored_again(entry, masks, four, config, tmp_path, caplog):
    first, second = entry("bright"), masks("truth", four, {})
    before = compare([first, second], four, config, tmp_path / "out").summary()
    with caplog.at_level(logging.INFO, "cryoseg_tf"):
        again = compare([first, second], four, config, tmp_path / "out", metric="iou")
    assert (first.load.count, second.load.count) == (1, 1)
    assert "bright (1 of 2) was scored before" in caplog.messages
    assert again.summary()["entries"] == before["entries"]
    assert again.summary()["pairs"][0]["difference"]["mean"] != before["pairs"][0]["difference"]["mean"]


@pytest.mark.parametrize("changed", ["image", "truth", "entry", "settings", "picture"])
def test_what_changed_is_scored_again(entry, masks, four, config, tmp_path, changed):
    first, second = entry("bright"), masks("truth", four, {})
    compare([first, second], four, config, tmp_path / "out")
    if changed in ("image", "truth"):
        path = four[0].image if changed == "image" else four[0].mask
        Image.fromarray(np.roll(np.array(Image.open(path)), 1)).save(path)
    elif changed == "entry":
        first = entry("bright", identity="2")
    elif changed == "settings":
        config = config.replace({"evaluation.boundary_px": 3})
    else:
        (tmp_path / "out" / "bright" / "overlays" / "a.jpg").unlink()
    count = first.load.count
    compare([first, second], four, config, tmp_path / "out")
    assert first.load.count == count + 1


def test_an_entry_that_stops_costs_nothing_that_was_done(entry, masks, four, config, tmp_path):
    """The second cannot be loaded: the first is kept, and the folder can be gone on with."""

    def fail():
        raise DataError("it is not there")

    first, broken = entry("bright"), Entry("broken", "run", "x", "1", fail)
    with pytest.raises(DataError, match="broken: it is not there"):
        compare([first, broken], four, config, tmp_path / "out")
    compare([first, masks("truth", four, {})], four, config, tmp_path / "out")
    assert first.load.count == 1
    with pytest.raises(DataError, match="broken: it is not there"):
        compare([broken, first], four, config, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_several_classes_have_columns_of_their_own(entry, write, masks, config, tmp_path):
    truth = np.zeros((24, 24), np.uint8)
    truth[2:10, 2:10], truth[12:20, 12:20] = 1, 2
    pairs = write(tmp_path / "three", {f"{name}.png": (truth, truth) for name in "abc"})
    config = config.replace({"data.classes": CLASSES})
    swapped = masks("swapped", pairs, {"a.png": (3 - truth) * (truth > 0)}, {"data.classes": CLASSES})
    entries = [entry("bright", CLASSES), swapped]
    comparison = compare(entries, pairs, config, tmp_path / "out", metric="dice_ice")
    assert comparison.scores("dice")["swapped"] == [1, 1, 1]
    assert comparison.scores("dice_ice") == {"bright": [1, 1, 1], "swapped": [0, 1, 1]}
    html = write_comparison(comparison, tmp_path / "out").read_text("utf-8")
    assert "the mean Dice of ice of bright" in html
    assert "Class ice" in html


def test_an_empty_mask_where_nothing_is_has_no_score(entry, write, masks, config, tmp_path):
    empty, cell = np.zeros((24, 24), np.uint8), np.zeros((24, 24), np.uint8)
    cell[4:12, 4:12] = 1
    pairs = write(tmp_path / "some", {"a.png": (cell, cell), "b.png": (cell, empty), "c.png": (cell, cell)})
    comparison = compare([masks("truth", pairs, {}), entry("bright")], pairs, config, tmp_path / "out")
    [pair] = comparison.summary()["pairs"]
    assert (pair["units"], pair["ties"]) == (2, 2)
    html = write_comparison(comparison, tmp_path / "out").read_text("utf-8")
    assert "1 image without this score for one of" in html
    assert "All have the same Dice on every image." in html


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a"], "there is nothing to compare with"),
        (["a", "b", "A"], "two are named A: write NAME=A to name one otherwise"),
        (["a", "x/y"], "'x/y' cannot be a name here"),
        (["a", ".."], "'..' cannot be a name here"),
        (["a", ""], "'' cannot be a name here"),
        (["a", "comparison.json"], "'comparison.json' cannot be a name here"),
    ],
)
def test_names_that_are_no_folders_are_refused(names, message):
    with pytest.raises(ConfigError) as error:
        check_names(names)
    assert message in str(error.value)


def test_what_cannot_be_compared_is_refused_before_anything_is_written(entry, four, config, tmp_path):
    both, out = [entry("a"), entry("b")], tmp_path / "out"
    with pytest.raises(
        ConfigError, match="the metric is 'accuracy': known are dice, recall, precision, iou, boundary_f1"
    ):
        compare(both, four, config, out, metric="accuracy")
    with pytest.raises(DataError, match="there is no annotated image"):
        compare(both, [], config, out)
    assert not out.exists()
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="out exists and holds no comparison from here"):
        compare(both, four, config, out)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_an_entry_of_other_classes_is_named(entry, four, config, tmp_path):
    with pytest.raises(
        ConfigError, match=r"b: data\.classes is background, cell, but the model tells apart background"
    ):
        compare([entry("a"), entry("b", CLASSES)], four, config, tmp_path / "out")


def test_the_page_opens_in_a_browser(entry, masks, four, config, tmp_path, browser):
    out = tmp_path / "out"
    page = write_comparison(compare([masks("truth", four, {}), entry("bright")], four, config, out), out)
    browser.open(page)
    assert browser.value("document.querySelectorAll('svg').length") == 1
    assert browser.value("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert browser.value("document.documentElement.scrollWidth <= innerWidth")
