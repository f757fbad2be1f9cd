import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from cryoseg_tf.config import Config
from cryoseg_tf.data import Split, find_pairs
from cryoseg_tf.errors import DataError
from cryoseg_tf.evaluation import evaluate, write_report
from cryoseg_tf.evaluation.report import galleries
from cryoseg_tf.evaluation.views import overlay, save_overlay, save_view
from cryoseg_tf.run import Run
from cryoseg_tf.segmentation.segmenter import Segmenter
from cryoseg_tf.training import fit


class Page(HTMLParser):
    """The text, the addresses and the elements that stay open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.tags: list[str] = []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "xlink:href", "action", "data")]
        if tag not in ("meta", "img", "br", "wbr", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)


@pytest.fixture
def report(bright, config, tmp_path, run):
    """``report(pairs)`` scores with the hand predictor and writes the report."""

    def make(pairs, settings=None, classes=("background", "cell"), **options):
        chosen = config.replace({"data.classes": classes, **(settings or {})})
        evaluation = evaluate(bright(classes), pairs, chosen, tmp_path / "out", **options)
        path = write_report(evaluation, run, tmp_path / "out")
        return evaluation, path, Page(path.read_text("utf-8"))

    return make


def many(write, root: Path, count: int):
    """Images with one cell each, of which more and more is found."""
    truth = np.zeros((24, 24), np.uint8)
    truth.flat[:410] = 1
    content = {}
    for i in range(count):
        found = np.zeros_like(truth)
        found.flat[: 410 * (i + 1) // count] = 1
        content[f"i{i:02}.png"] = (found, truth)
    return write(root, content)


def test_a_trained_run_from_images_to_report(data, tmp_path):
    config = Config().replace({
        "model.base_filters": 2, "model.depth": 1, "training.epochs": 1, "data.patches_per_image": 2,
        "evaluation.resamples": 100,
    })  # fmt: skip
    pairs = find_pairs(data)
    fit(config, Split(tuple(pairs[:3]), tuple(pairs[3:4])), tmp_path / "run")
    run = Run(tmp_path / "run")
    evaluation = evaluate(
        Segmenter.from_run(run), pairs[3:], run.config, tmp_path / "out", known=run.environment()["files"].values()
    )
    page = Page(write_report(evaluation, run, tmp_path / "out").read_text("utf-8"))
    assert [row.seen for row in evaluation.rows] == [True, False, False]
    assert "1 of 3 images was seen in training." in page.text
    for fact in ("Training images 3", "Validation images 1", "unet, depth 1, 2 base filters", "1 of 1"):
        assert fact in page.text
    assert page.tags.count("svg") == 5


def test_files_say_the_same(report, four, tmp_path):
    evaluation, path, page = report(four)
    assert path == tmp_path / "out" / "report.html"
    assert {p.name for p in path.parent.iterdir()} == {
        "summary.json", "scores.csv", "objects.csv", "report.html", "overlays",
    }  # fmt: skip
    summary = json.loads((path.parent / "summary.json").read_text("utf-8"))
    assert summary == evaluation.summary()
    with (path.parent / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert np.mean([float(row["dice"]) for row in rows]) == summary["metrics"]["dice"]["mean"]
    assert [row["status"] for row in rows] == ["ok"] * 4
    assert f"cell is {summary['metrics']['dice']['mean']:.3f} , with a 95 % interval" in page.text


def test_undefined_scores_are_empty_cells_and_dashes(report, write, tmp_path):
    nothing, something = np.zeros((2, 24, 24), np.uint8)
    something[:, :8] = 1
    pairs = write(tmp_path / "d", {"e.png": (nothing, nothing), "f.png": (something, nothing)})
    evaluation, _, page = report(pairs)
    assert evaluation.summary()["metrics"]["recall"]["mean"] is None
    assert "In 1 image nothing was annotated and nothing was found; the mean leaves it out." in page.text
    assert "1 image: low contrast." in page.text


def test_the_page_needs_no_other_file_and_no_network(report, four):
    _, path, page = report(four)
    assert page.open == []
    assert page.addresses
    assert all(a.startswith(("data:image/jpeg;base64,", "#")) for a in page.addresses)
    html = path.read_text("utf-8")
    assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttp", html)
    assert set(re.findall(r"https?://[^\"'\s<]*", html)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_names_are_escaped(report, write, tmp_path):
    square = np.zeros((24, 24), np.uint8)
    square[:8] = 1
    classes = ("background", "<i>cell</i>", "{{ 7 * 7 }}")
    two = square.copy()
    two[:4] = 2
    pairs = write(tmp_path / "A&B", {'a<b>&".png': (two, two)})
    kinds = {"images/" + 'a<b>&".png': [(6, 0, "<k>$x$</script>")]}
    _, path, page = report(pairs, classes=classes, kinds=kinds)
    html = path.read_text("utf-8")
    assert 'images/a<b>&".png' in page.text
    assert "a<b>" not in html
    assert "<i>cell" not in html
    assert "<k>" not in html
    assert "<t>" not in html
    assert "<k>$x$</script>" in page.text
    assert "images/<t>.png" in page.text
    assert "Dice <i>cell</i>" in page.text
    assert "Dice {{ 7 * 7 }}" in page.text
    assert "on A&B" in page.text


def test_more_classes_have_columns_and_tables(report, write, tmp_path):
    two = np.zeros((24, 24), np.uint8)
    two[:8], two[8:12] = 1, 2
    _, _, page = report(write(tmp_path / "d", {"a.png": (two, two)}), classes=("background", "cell", "ice"))
    assert "all foreground classes taken as one" in page.text
    assert "By class" in page.text
    assert "Of 1 annotated object of class ice, 1 was found" in page.text
    assert "Dice cell Dice ice" in page.text
    assert "found as another class" in page.text


def test_few_images_are_called_few(report, write, tmp_path):
    assert "Only 9 images were scored." in report(many(write, tmp_path / "nine", 9))[2].text
    assert "Only" not in report(many(write, tmp_path / "ten", 10))[2].text
    assert "There is no interval" in report(many(write, tmp_path / "one", 1))[2].text


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (None, "as if each were independent of the others"),
        (
            "aabc",
            "Intervals draw whole groups: 3 groups, the largest of 2 images. From so few groups an interval "
            "is itself uncertain, and tends to be too narrow. They hold",
        ),
        ("aaaa", "All images are of one group, as of one grid: there is no interval"),
        ("abcd", "Each image is a group of its own"),
    ],
)
def test_the_interval_is_said_to_draw_groups(report, four, groups, words):
    _, _, page = report(four, groups=groups and list(groups))
    assert words in page.text
    assert ("Group" in page.text.partition("Click a heading")[2].split("Dice")[0]) == (groups is not None)


def test_objects_are_counted_in_words(report, four):
    evaluation, _, page = report(four, kinds={row: [(8, 8, "round")] for row in ("images/a.png", "images/c.png")})
    # b is found by half, and what was predicted there is half true; c is missed, and what was predicted is false
    assert [row.objects["cell"].false_objects for row in evaluation.rows] == [0, 0, 1, 0]
    assert "Of 4 annotated objects, 3 were found, a share of 0.750" in page.text
    assert "of 4 predicted ones, 1 is false" in page.text
    assert "Which kinds were found" in page.text
    assert "1 of 2" in page.text
    assert "equivalent diameter in pixels" in page.text


def test_sizes_are_in_micrometres_where_pixel_sizes_are_known(report, four):
    _, _, page = report(four, {"data.image_pixel_size": 500.0})
    assert "equivalent diameter in µm" in page.text


def test_what_the_model_was_trained_on(report, four):
    _, _, page = report(four)
    for words in (
        "Training images 2", "Validation images 1",
        "images are brought to 50 nm per pixel; images of 20 to 90 nm are taken",
        "Loss dice + 0.5*weighted_bce", "flips and quarter turns, warp (15% of patches)",
        "Best epoch 2, with validation Dice 0.700",
        "The 2 images that it learned from",
    ):  # fmt: skip
        assert words in page.text


def test_a_run_without_its_split_is_reported_all_the_same(report, four, run):
    (run.path / "split.json").unlink()
    assert "Training images unknown" in report(four)[2].text


@pytest.mark.parametrize(("count", "shown"), [(16, 16), (17, 17), (40, 40), (41, 16)])
def test_how_many_overlays_are_embedded(report, write, tmp_path, count, shown):
    evaluation, _, page = report(many(write, tmp_path / "d", count))
    assert page.tags.count("img") == shown
    assert len(list((tmp_path / "out" / "overlays").glob("*.jpg"))) == count
    galleried = [row.name for _, rows in galleries(evaluation.rows) for row in rows]
    assert len(set(galleried)) == shown


def test_best_median_and_worst(report, write, tmp_path):
    evaluation, _, _ = report(many(write, tmp_path / "d", 41))
    shown = {title: [int(row.name[-6:-4]) for row in rows] for title, rows in galleries(evaluation.rows)}
    assert shown == {
        "Best": [40, 39, 38, 37, 36, 35],
        "Median": [22, 21, 20, 19],
        "Worst": [5, 4, 3, 2, 1, 0],
    }


def test_the_same_scores_give_the_same_bytes(report, four):
    first = {p.name: p.read_bytes() for p in report(four)[1].parent.rglob("*") if p.is_file()}
    again = {p.name: p.read_bytes() for p in report(four)[1].parent.rglob("*") if p.is_file()}
    assert first == again


def test_a_report_does_not_go_among_other_things(report, four, run):
    evaluation, _, _ = report(four)
    with pytest.raises(DataError, match="choose another --out"):
        write_report(evaluation, run, four[0].image.parent)


@pytest.mark.slow
def test_five_hundred_images_stay_below_25_mb(report, four, tmp_path, run):
    evaluation, _, few = report(four)
    row = evaluation.rows[0]
    noise = np.random.default_rng(0).random((500, 450))  # takes more bytes than any micrograph
    mask = (noise > 2).astype(np.uint8)
    mask[100:250, 150:350] = 1
    save_view(noise, mask, mask, row.view)
    save_overlay(overlay(noise, mask, mask), row.overlay)
    rows = tuple(replace(row, name=f"images/{i}.png") for i in range(500))
    text = write_report(replace(evaluation, rows=rows), run, tmp_path / "out").read_text("utf-8")
    assert len(text.encode()) < 25e6
    assert text.count('type="text/plain"') == 500
    assert few.tags.count("canvas") == 1  # the viewer's
