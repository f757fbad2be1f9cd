"""What a bundle holds, and what is said of one that is damaged."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from cryoseg_tf import Micrograph, Run, Segmenter
from cryoseg_tf.errors import ExportError, RunError
from cryoseg_tf.exports import Bundle, ExportOptions, export
from cryoseg_tf.exports.bundle import PRECISIONS, Manifest
from cryoseg_tf.exports.card import model_card
from cryoseg_tf.exports.examples import calibration_tiles, find_examples, synthetic_examples
from cryoseg_tf.exports.exporter import read_scores
from cryoseg_tf.exports.golden import write_golden
from cryoseg_tf.io.atomic import json_text, sha256

SCHEMA = Path(__file__).parents[2] / "docs" / "manifest.schema.json"


def test_the_manifest_names_every_file(bundle):
    files = {p.relative_to(bundle.path).as_posix() for p in bundle.path.rglob("*") if p.is_file()}
    assert set(bundle.manifest.files) == files - {"manifest.json"}
    assert all(sha256(bundle.path / name) == value for name, value in bundle.manifest.files.items())
    named = {path for of in bundle.manifest.formats.values() for path in of.values()}
    assert all((bundle.path / path).exists() for path in named)


def test_the_manifest_says_where_the_model_comes_from(bundle, trained):
    made, run = bundle.manifest.provenance, Run(trained)
    assert made.model == sha256(run.model_file)
    assert made.images == run.environment()["files"]
    assert made.split["validation"] == run.split()["validation"]
    assert made.golden == "training images"
    assert bundle.manifest.contract == run.contract


def test_a_precision_is_there_or_said_to_be_left_out(bundle):
    left_out = bundle.manifest.provenance.left_out
    card = (bundle.path / "MODEL_CARD.md").read_text("utf-8")
    for name, precisions in {"onnx": PRECISIONS, "tflite": PRECISIONS, "openvino": ("float32", "int8")}.items():
        assert "float32" in bundle.precisions(name)
        for precision in precisions:
            assert (precision in bundle.precisions(name)) != (f"{name} {precision}" in left_out)
    assert all(f"{what} is left out" in card for what in left_out)
    assert {p.name for p in (bundle.path / "tflite").iterdir()} == {
        path.rsplit("/")[-1] for path in bundle.manifest.formats["tflite"].values()
    }


def test_nothing_of_this_machine_is_in_it(bundle, trained):
    for path in (bundle.path / "manifest.json", bundle.path / "MODEL_CARD.md"):
        text = path.read_text("utf-8")
        assert str(trained.parent) not in text
        assert str(Path.home()) not in text


def test_the_published_schema_is_that_of_the_manifest():
    """``python -c "from cryoseg_tf.exports.bundle import ..."``: see the docs' page on bundles."""
    assert SCHEMA.read_text("utf-8") == json_text(Manifest.model_json_schema())


def test_golden_answers_are_the_trained_models(bundle, trained):
    segmenter = Segmenter.from_run(trained, tile=None)
    cases = {case.name: case for case in bundle.manifest.golden}
    for case in cases.values():
        image, mask, probability = (
            np.load(bundle.path / path, allow_pickle=False) for path in (case.image, case.mask, case.probability)
        )
        result = segmenter.segment(Micrograph(image, case.pixel_size or None), probabilities=True)
        assert int(result.status) == case.status
        np.testing.assert_array_equal(result.mask, mask)
        np.testing.assert_allclose(result.probabilities, probability, atol=1e-6)
    assert {cases[n].status for n in ("empty", "blank")} == {4}
    assert (cases["too_small"].status, cases["not_finite"].status) == (3, 5)
    assert np.load(bundle.path / cases["uint8"].image).dtype == np.uint8
    assert np.load(bundle.path / cases["uint16"].image).dtype == np.uint16
    assert all(side % 2 for side in np.load(bundle.path / cases["odd"].image).shape)
    # the same image in 8 and 16 bit has the same mask
    np.testing.assert_array_equal(*(np.load(bundle.path / cases[n].mask) for n in ("uint8", "uint16")))


def test_each_class_that_the_model_finds_is_in_a_golden_image(trained, tmp_path):
    run = Run(trained)
    segmenter = Segmenter.from_run(trained, tile=None)
    golden = write_golden(segmenter, find_examples(run), tmp_path / "golden")
    found = set().union(*(np.unique(np.load(tmp_path / case.mask)).tolist() for case in golden.cases))
    assert found | {run.contract.classes.index(name) for name in golden.unseen} == {0, 1}


def test_moved_images_are_found_by_what_they_hold(trained, tmp_path):
    run = Run(trained)
    assert len(find_examples(run)) == 6
    shutil.copytree(trained.parent / "data", tmp_path / "moved")
    assert len(find_examples(run, tmp_path / "moved")) == 6
    (tmp_path / "moved/images/x00.png").write_bytes(b"other")
    assert len(find_examples(run, tmp_path / "moved")) == 5
    assert find_examples(run, tmp_path) == []


def test_ranges_are_taken_from_tiles_as_the_network_sees_them(trained):
    run = Run(trained)
    tiles = calibration_tiles(run, find_examples(run))
    assert len(tiles) >= 6
    assert all(tile.ndim == 4 and not any(side % run.config.model.stride for side in tile.shape[1:3]) for tile in tiles)
    assert 0 <= np.median(tiles) <= 1


def test_phantoms_stand_in_for_images_that_are_gone(trained):
    images = synthetic_examples(Run(trained))
    assert len(images) == 4
    assert all(image.pixels.shape == (512, 512) for image in images)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is damaged"),
        ("[1]", "is damaged"),
        ("{}", "is damaged"),
        ('{"schema_version": 99}', "update this one"),
        ('{"schema_version": 1}', "export the run again"),
        ('{"schema_version": 2}', "formats: Field required"),
    ],
)
def test_a_damaged_manifest_is_named(tmp_path, content, message):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ExportError, match=message):
        Bundle.open(tmp_path)


def test_what_is_no_bundle_or_not_in_it_is_named(bundle, tmp_path):
    with pytest.raises(ExportError, match="does not exist"):
        Bundle.open(tmp_path / "no")
    with pytest.raises(ExportError, match="holds no manifest"):
        Bundle.open(tmp_path)
    with pytest.raises(ExportError, match="holds no caffe, only saved_model"):
        bundle.file("caffe", "float32")
    with pytest.raises(ExportError, match=r"holds no int8 as saved_model, only float32$"):
        bundle.file("saved_model", "int8")


def test_a_precision_that_was_left_out_is_missed_with_the_reason(bundle):
    formats = {**bundle.manifest.formats, "onnx": {"float32": "onnx/model.onnx", "segment": "onnx/segment.onnx"}}
    reasons = {"onnx int8": "1 objects too many", "tflite int8": "Dice 0.9 of cell", "float16": "no reason"}
    made = bundle.manifest.provenance.model_copy(update={"left_out": reasons})
    lacking = Bundle(bundle.path, bundle.manifest.model_copy(update={"formats": formats, "provenance": made}))
    with pytest.raises(ExportError, match=r"only float32; the export left out onnx int8 \(1 objects too many\)$"):
        lacking.file("onnx", "int8")
    with pytest.raises(ExportError, match=r"only float32; the export left out float16 \(no reason\)$"):
        lacking.file("onnx", "float16")
    with pytest.raises(ExportError, match=r"holds no recipe as onnx, only float32, segment$"):
        lacking.file("onnx", "recipe")


def test_what_is_there_is_kept(trained, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.docx").touch()
    with pytest.raises(ExportError, match="is not a bundle"):
        export(trained, ["saved_model"], tmp_path / "mine", overwrite=True)
    with pytest.raises(ExportError, match="'jpeg' is not known"):
        export(trained, ["jpeg"], tmp_path / "new")
    with pytest.raises(ExportError, match="no format was named"):
        export(trained, [], tmp_path / "new")
    with pytest.raises(RunError, match="is not a run"):
        export(tmp_path, ["saved_model"], tmp_path / "new")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["mine", "thesis.docx"]


@pytest.mark.slow
def test_a_failed_export_leaves_nothing(trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    (run / "environment.json").write_text("{}")
    with pytest.raises(ExportError, match=r"environment\.json is damaged"):
        export(run, ["tflite"], tmp_path / "new", options=ExportOptions(data=trained.parent / "data"))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "report holds no summary.json: --evaluation is a folder that evaluate wrote"),
        (b"\xff{", r"summary\.json is damaged \(.*\): evaluate again"),
        (b"[]", r"summary\.json holds no scores: --evaluation is"),
        (b'{"metrics": 3}', r"summary\.json holds no scores: --evaluation is"),
    ],
)
def test_what_is_no_evaluation_is_said_before_the_work(trained, tmp_path, caplog, content, message):
    (tmp_path / "report").mkdir()
    if content is not None:
        (tmp_path / "report" / "summary.json").write_bytes(content)
    with caplog.at_level("INFO", "cryoseg_tf"), pytest.raises(ExportError, match=message):
        export(trained, ["tflite"], tmp_path / "new", options=ExportOptions(evaluation=tmp_path / "report"))
    assert caplog.messages == []


def test_an_evaluation_is_a_folder_that_is_there(tmp_path):
    (tmp_path / "summary.json").write_text('{"metrics": {}}')
    assert read_scores(tmp_path) == {"metrics": {}}
    with pytest.raises(ExportError, match=r"summary\.json is a file: --evaluation is a folder"):
        read_scores(tmp_path / "summary.json")
    with pytest.raises(ExportError, match="none does not exist: --evaluation is a folder"):
        read_scores(tmp_path / "none")


def test_killed_in_the_middle_there_is_no_bundle_and_the_next_export_works(trained, tmp_path, runs_on):
    code = "import sys; from cryoseg_tf.exports import export; export(sys.argv[1], ['tflite'], sys.argv[2])"
    process = subprocess.Popen([sys.executable, "-c", code, trained, tmp_path / "b"])
    while not list(tmp_path.rglob("*.npy")):
        assert process.poll() is None
        time.sleep(0.05)
    builder = psutil.Process(process.pid).children()[0]
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not runs_on(builder)
    assert not (tmp_path / "b").exists()
    assert export(trained, ["saved_model"], tmp_path / "b").manifest.formats
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_the_card_gives_the_scores_of_an_evaluation(bundle):
    scores = {"images": 8, "metrics": {"dice": {"mean": 0.75, "ci95": [0.6, 0.8]}, "recall": {"mean": None}}}
    made = bundle.manifest.provenance.model_copy(update={"scores": scores, "unseen": ("ice",)})
    card = model_card(bundle.manifest.model_copy(update={"provenance": made}))
    assert "| dice | 0.750 | 0.600 to 0.800 |" in card
    assert "| recall | none | none |" in card
    assert "finds no ice" in card
    assert json.loads(SCHEMA.read_text("utf-8"))["title"] == "Manifest"
