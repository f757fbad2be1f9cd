import csv
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from cryoseg_tf.config import Config
from cryoseg_tf.data import Split, find_pairs
from cryoseg_tf.errors import DataError
from cryoseg_tf.evaluation import evaluate, write_report
from cryoseg_tf.evaluation.report import galleries
from cryoseg_tf.run import Run
from cryoseg_tf.segmentation import Segmenter
from cryoseg_tf.training import fit

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


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
        if tag not in ("meta", "img", "br", "link"):
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
def report(bright, config, tmp_path, trained):
    """``report(pairs)`` scores with the hand predictor and writes the report of the trained run."""

    def make(pairs, settings=None, classes=("background", "cell"), **options):
        chosen = config.replace({"data.classes": classes, **(settings or {})})
        evaluation = evaluate(bright(classes), pairs, chosen, tmp_path / "out", **options)
        path = write_report(evaluation, Run(trained), tmp_path / "out")
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
    assert page.tags.count("svg") == 3


def test_files_say_the_same(report, four, tmp_path):
    evaluation, path, page = report(four)
    assert path == tmp_path / "out" / "report.html"
    assert {p.name for p in path.parent.iterdir()} == {"summary.json", "scores.csv", "report.html", "overlays"}
    summary = json.loads((path.parent / "summary.json").read_text("utf-8"))
    assert summary == evaluation.summary()
    with (path.parent / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image", "recall", "precision", "dice", "iou", "status", "seen_in_training"]
    assert np.mean([float(row["dice"]) for row in rows]) == summary["metrics"]["dice"]["mean"]
    assert [row["status"] for row in rows] == ["ok"] * 4
    assert f"cell is {summary['metrics']['dice']['mean']:.3f} , with a 95 % interval" in page.text


def test_undefined_scores_are_empty_cells_and_dashes(report, write, tmp_path):
    nothing, something = np.zeros((2, 24, 24), np.uint8)
    something[:, :8] = 1
    pairs = write(tmp_path / "d", {"e.png": (nothing, nothing), "f.png": (something, nothing)})
    evaluation, path, page = report(pairs)
    lines = (path.parent / "scores.csv").read_text("utf-8").splitlines()
    assert lines[1:] == ["images/e.png,,,,,low_contrast,false", "images/f.png,,0.0,0.0,0.0,ok,false"]
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


def test_names_are_escaped(report, write, tmp_path):
    square = np.zeros((24, 24), np.uint8)
    square[:8] = 1
    classes = ("background", "<i>cell</i>", "{{ 7 * 7 }}")
    two = square.copy()
    two[:4] = 2
    pairs = write(tmp_path / "A&B", {'a<b>&".png': (two, two)})
    _, path, page = report(pairs, classes=classes)
    html = path.read_text("utf-8")
    assert 'images/a<b>&".png' in page.text
    assert "a<b>" not in html
    assert "<i>cell" not in html
    assert "Dice <i>cell</i>" in page.text
    assert "Dice {{ 7 * 7 }}" in page.text
    assert "on A&B" in page.text


def test_more_classes_have_columns_and_tables(report, write, tmp_path):
    two = np.zeros((24, 24), np.uint8)
    two[:8], two[8:12] = 1, 2
    _, path, page = report(write(tmp_path / "d", {"a.png": (two, two)}), classes=("background", "cell", "ice"))
    header, row = (path.parent / "scores.csv").read_text("utf-8").splitlines()
    classes = [f"{metric}_{name}" for name in ("cell", "ice") for metric in ("recall", "precision", "dice", "iou")]
    assert header.split(",")[7:] == classes
    assert row.split(",")[7:] == ["1.0"] * 8
    assert "all foreground classes taken as one" in page.text
    assert "By class" in page.text


def test_few_images_are_called_few(report, write, tmp_path):
    assert "Only 9 images were scored." in report(many(write, tmp_path / "nine", 9))[2].text
    assert "Only" not in report(many(write, tmp_path / "ten", 10))[2].text
    assert "There is no interval" in report(many(write, tmp_path / "one", 1))[2].text


def test_images_of_one_grid_are_said_to_be_alike(report, four):
    _, _, page = report(four)
    assert "Images of one grid or session are not" in page.text
    assert "seen in training" not in page.text


@pytest.mark.parametrize(("count", "shown"), [(16, 16), (17, 17), (40, 40), (41, 16)])
def test_how_many_overlays_are_embedded(report, write, tmp_path, count, shown):
    evaluation, _, page = report(many(write, tmp_path / "d", count))
    assert page.tags.count("img") == shown
    assert len(list((tmp_path / "out" / "overlays").iterdir())) == count
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


def test_a_report_does_not_go_among_other_things(report, four, trained, tmp_path):
    evaluation, _, _ = report(four)
    with pytest.raises(DataError, match="choose another --out"):
        write_report(evaluation, Run(trained), four[0].image.parent)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here to open the report with")
def test_a_browser_sorts_the_table(report, write, tmp_path):
    _, path, _ = report(many(write, tmp_path / "d", 12))
    # each click leaves a copy of the table behind
    click = "document.querySelectorAll('#images thead button')[1].click(); document.body.insertAdjacentHTML("
    click += "'beforeend', document.querySelector('#images').outerHTML.replace('id=', 'class='));"
    copy = tmp_path / "sorted.html"
    copy.write_text(f"{path.read_text('utf-8')}<script>{click * 2}</script>", "utf-8")
    dump = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", copy.as_uri(),
        ],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    up, down = re.findall(r'<table class="images">.*?</table>', dump, re.DOTALL)
    for table, direction in ((up, "ascending"), (down, "descending")):
        names = re.findall(r'<td class="break">images/i(\d+)', table)
        assert names == sorted(names, reverse=direction == "descending")
        assert len(names) == 12
        assert table.count("aria-sort") == table.count(f'aria-sort="{direction}"') == 1
