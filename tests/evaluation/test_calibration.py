import json
import shutil

import numpy as np
import pytest

from cryoseg_tf.config import Contract
from cryoseg_tf.data.preprocess import Status
from cryoseg_tf.evaluation import calibration as module
from cryoseg_tf.evaluation import evaluate, write_report
from cryoseg_tf.evaluation.calibration import Calibration
from cryoseg_tf.run import Run
from cryoseg_tf.segmentation.segmenter import Segmentation

TWO, THREE = ("background", "cell"), ("background", "cell", "ice")
MASK = np.zeros((2, 4), np.uint8)


def segmentation(value: float, status: Status = Status.OK) -> Segmentation:
    return Segmentation(MASK, status, np.full((2, 4, 1), value, np.float32))


def test_a_calibration_error_before_and_after_by_hand():
    # logit(0.8) * 2 is logit(16 / 17): four times to one, squared
    calibration = Calibration(Contract(classes=TWO, temperature=2.0, threshold=0.4))
    truth = np.array([[1, 1, 1, 1], [1, 1, 0, 255]], np.uint8)
    calibration.add(truth, segmentation(0.8))
    summary = calibration.summary()
    assert summary["ece"] == pytest.approx(6 / 7 - 0.8, abs=1e-6)
    assert summary["ece_before"] == pytest.approx(16 / 17 - 6 / 7, abs=1e-6)
    assert (summary["temperature"], summary["threshold"]) == (2.0, 0.4)


def test_three_classes_before_calibration_by_hand():
    calibration = Calibration(Contract(classes=THREE, temperature=2.0))
    given = np.tile(np.float32([0.5, 0.3, 0.2]), (2, 4, 1))
    calibration.add(MASK, Segmentation(MASK, Status.OK, given))
    summary = calibration.summary()
    assert summary["ece"] == pytest.approx(0.5)
    assert summary["ece_before"] == pytest.approx(1 - 0.25 / (0.25 + 0.09 + 0.04), abs=1e-6)
    assert summary["threshold"] is None


def test_an_image_taken_in_bands_counts_whole(monkeypatch):
    random = np.random.default_rng(0)
    truth, given = random.integers(0, 2, (50, 7), np.uint8), random.random((50, 7, 1), np.float32)
    whole, bands = (Calibration(Contract(classes=TWO, temperature=1.5)) for _ in range(2))
    whole.add(truth, Segmentation(truth, Status.OK, given))
    monkeypatch.setattr(module, "BAND", 7 * 8)
    bands.add(truth, Segmentation(truth, Status.OK, given))
    assert bands.summary() == pytest.approx(whole.summary())
    assert bands.given.counts.sum() == 350


def test_what_was_not_segmented_or_is_too_large_is_left_out():
    calibration = Calibration(Contract(classes=TWO))
    calibration.add(MASK, segmentation(0.0, Status.TOO_SMALL))
    calibration.add(MASK, Segmentation(MASK, Status.OK))
    assert calibration.summary() == {"ece": None, "ece_before": None, "temperature": 1.0, "threshold": 0.5}
    assert calibration.too_large == 1
    calibration.add(MASK, segmentation(0.0, Status.LOW_CONTRAST))
    assert calibration.summary()["ece"] == 0


@pytest.fixture
def calibrated(trained, tmp_path):
    """The trained run, calibrated to temperature 2 by what its run.json says."""
    path = shutil.copytree(trained, tmp_path / "calibrated")
    content = json.loads((path / "run.json").read_text("utf-8"))
    content["contract"] |= {"temperature": 2.0, "threshold": 0.42}
    content["calibration"] = {"temperature": 2.0, "threshold": 0.42, "ece_before": 0.0872, "ece": 0.0126}
    (path / "run.json").write_text(json.dumps(content), "utf-8")
    return path


def test_three_classes_have_no_threshold_to_speak_of(bright, config, write, tmp_path, calibrated):
    two = np.zeros((24, 24), np.uint8)
    two[:8], two[8:12] = 1, 2
    pairs = write(tmp_path / "data", {"a.png": (two, two)})
    settings = config.replace({"data.classes": THREE})
    evaluation = evaluate(bright(THREE, temperature=2.0), pairs, settings, tmp_path / "out")
    page = words(write_report(evaluation, Run(calibrated), tmp_path / "out"))
    assert "The temperature, 2, was chosen on the validation images." in page


def words(path) -> str:
    return " ".join(path.read_text("utf-8").split())


def test_the_report_shows_both_curves(bright, config, four, tmp_path, calibrated):
    # intensities are 0 or 1: nothing between, so both errors are the share of wrong pixels
    evaluation = evaluate(bright(temperature=2.0, threshold=0.42), four, config, tmp_path / "out")
    page = words(write_report(evaluation, Run(calibrated), tmp_path / "out"))
    wrong = (0 + 64 + 128 + 32) / (4 * 24 * 24)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))["calibration"]
    assert summary == pytest.approx({"ece": wrong, "ece_before": wrong, "temperature": 2, "threshold": 0.42}, abs=1e-3)
    assert f"is <strong>{wrong:.3f}</strong>; before calibration it was {wrong:.3f}. The temperature, 2, and" in page
    assert "and the threshold, 0.42, were chosen on the validation images." in page
    assert "2: calibration error 0.087 before, 0.013 after, in validation" in page
    assert page.count('aria-label="Share of pixels that are right') == 1
    assert ">before calibration</text>" in page
    assert ">as given</text>" in page


def test_a_run_from_before_has_one_number_and_one_curve(bright, config, four, tmp_path, trained):
    evaluation = evaluate(bright(), four, config, tmp_path / "out")
    run = shutil.copytree(trained, tmp_path / "old")
    content = json.loads((run / "run.json").read_text("utf-8"))
    content.pop("calibration")
    content["contract"].pop("temperature")
    (run / "run.json").write_text(json.dumps(content), "utf-8")
    page = words(write_report(evaluation, Run(run), tmp_path / "out"))
    assert evaluation.summary()["calibration"]["ece_before"] is None
    assert "This model was not calibrated: its threshold is 0.5." in page
    assert "1, not calibrated" in page
    assert "before calibration" not in page
    assert page.count('aria-label="Share of pixels that are right') == 1


def test_nothing_to_compare_is_said(bright, config, write, tmp_path, trained):
    truth = np.full((24, 24), 255, np.uint8)
    pairs = write(tmp_path / "data", {"a.png": (np.eye(24), truth)})
    evaluation = evaluate(bright(), pairs, config.replace({"data.ignore": 255}), tmp_path / "out")
    assert evaluation.summary()["calibration"]["ece"] is None
    page = words(write_report(evaluation, Run(trained), tmp_path / "out"))
    assert "No probability could be compared with an annotated pixel." in page


def test_an_image_beyond_the_limit_is_scored_all_the_same(bright, config, four, tmp_path, trained, monkeypatch):
    whole = evaluate(bright(), four, config, tmp_path / "out")
    monkeypatch.setattr(module, "LARGEST", 24 * 24 - 1)
    evaluation = evaluate(bright(), four, config, tmp_path / "out")
    assert [row.foreground for row in evaluation.rows] == [row.foreground for row in whole.rows]
    assert evaluation.calibration.too_large == 4
    page = words(write_report(evaluation, Run(trained), tmp_path / "out"))
    assert "4 images are too large to keep the probabilities, and left out here." in page
