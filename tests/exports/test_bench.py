"""What ``bench`` says of time and memory is of the way that ``segment`` takes, in real processes."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from PIL import Image

from cryoseg_tf import segment_files
from cryoseg_tf.errors import DataError, ExportError
from cryoseg_tf.exports.bench import Plan, bench, combinations
from cryoseg_tf.exports.bench_images import golden_picture, look
from cryoseg_tf.exports.bench_rows import Combination, Row, Turn, judge
from cryoseg_tf.exports.bench_worker import STEPS, Clock
from cryoseg_tf.exports.runtimes import segmenter
from cryoseg_tf.io.atomic import sha256
from cryoseg_tf.io.micrograph import read_micrograph

REPEATS = 3


@pytest.fixture(scope="module")
def images(trained):
    return sorted((trained.parent / "data" / "images").iterdir())[:2]


@pytest.fixture(scope="module")
def rows(bundle, images):
    """By runtime and precision; of OpenVINO one process is killed, and one has no such file."""
    chosen = combinations(bundle, ["onnx", "tflite"], ["float32"], [1])
    chosen += [Combination("openvino", "float32", 1), Combination("openvino", "float16", 1)]

    killed = []

    def kill(done, total, name):
        assert 0 < done <= total
        if name.startswith("openvino float32") and not killed:
            killed.append(max(psutil.Process().children(), key=psutil.Process.create_time))
            killed[0].kill()

    found, _ = bench(bundle, Plan(chosen, images, repeats=REPEATS), kill)
    return {row.combination[:2]: row for row in found}


@pytest.mark.parametrize("runtime", ["onnx", "tflite"])
def test_steps_add_up_to_the_whole(rows, runtime):
    row = rows[runtime, "float32"]
    assert [turn.image for turn in row.turns] == [0, 1, 0]
    for turn in row.turns:
        assert all(turn.steps[step] > 0 for step in STEPS)
        assert sum(turn.steps.values()) == pytest.approx(turn.total, abs=5e-4)
    means = [row.milliseconds(step)["mean"] for step in STEPS]
    assert sum(means) == pytest.approx(row.milliseconds()["mean"], abs=0.5)
    assert min(row.start, row.load, row.first) > 0
    assert row.peak > 100 * 2**20  # TensorFlow alone takes more


@pytest.mark.parametrize("runtime", ["onnx", "tflite"])
def test_masks_are_those_of_segment(rows, bundle, images, tmp_path, runtime):
    outcomes = segment_files(segmenter(bundle, runtime, "float32", 1), images, tmp_path / "masks", model="x")
    assert rows[runtime, "float32"].masks == {n: sha256(outcome.mask) for n, outcome in enumerate(outcomes)}


def test_what_cannot_be_measured_says_why_and_ends_nothing_else(rows):
    assert "holds no float16 as openvino" in rows["openvino", "float16"].error
    assert "ended with exit code" in rows["openvino", "float32"].error
    assert [len(row.turns) for row in rows.values() if not row.error] == [REPEATS, REPEATS]


def row(runtime, *milliseconds):
    result = Row(Combination(runtime, "float32", 1))
    result.turns = [Turn(0, dict.fromkeys(STEPS, ms / 5000), ms / 1000) for ms in milliseconds]
    return result


def test_percentiles_by_hand():
    assert row("onnx", *range(101)).milliseconds() == pytest.approx({"p50": 50, "p95": 95, "p99": 99, "mean": 50})


def test_the_gate_asks_the_best_of_all_or_of_each_runtime_named():
    quick, slow, broken = row("onnx", 10, 10), row("tflite", 30, 30), Row(Combination("openvino", "int8", 1), "gone")
    found = [slow, quick, row("onnx", 50), broken]
    assert judge(found, 20) == [(None, quick, True)]
    assert judge(found, 5) == [(None, quick, False)]
    assert judge(found, 20, ["onnx", "tflite"]) == [("onnx", quick, True), ("tflite", slow, False)]
    assert judge(found, 20, ["openvino"]) == [("openvino", None, False)]


def test_a_clock_gives_each_moment_to_one_step():
    clock = Clock()
    inner = clock.timed("read", lambda: time.sleep(0.02))
    outer = clock.timed("write", inner)  # what a step calls is a part of it

    def tiles():
        for tile in range(2):
            time.sleep(0.03)
            yield tile

    def network(batches):
        for batch in batches:
            time.sleep(0.05)
            yield batch

    clock.start()
    started = time.perf_counter()
    outer()
    assert list(clock.each("network", network(clock.each("other", tiles())))) == [0, 1]
    total, spent = time.perf_counter() - started, clock.stop()
    assert spent["read"] == spent["statistics"] == 0
    assert spent["write"] >= 0.02
    assert spent["network"] >= 0.1
    assert spent["other"] >= 0.06
    assert sum(spent.values()) == pytest.approx(total, abs=1e-3)


def test_an_image_is_made_of_a_golden_one(bundle, tmp_path):
    case = next(case for case in bundle.manifest.golden if case.name == "uint16")
    golden = np.load(bundle.path / case.image)
    height, width = golden.shape
    picture = golden_picture(bundle, (2 * width, height - 9), tmp_path)
    pixels = read_micrograph(picture.path).pixels
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels, np.hstack([golden, golden[:, ::-1]])[: height - 9])
    assert (picture.width, picture.height, picture.pixel_size or 0) == (2 * width, height - 9, case.pixel_size)


def test_an_image_that_needs_no_network_is_refused(bundle, tmp_path):
    Image.new("L", (5, 5)).save(tmp_path / "x.png")
    with pytest.raises(DataError, match=r"x\.png gets an empty mask .*too small.*leave it out"):
        look(tmp_path / "x.png", bundle)


def test_unknown_names_are_refused(bundle):
    with pytest.raises(ExportError, match="runtime 'caffe' is not known: choose from saved_model, onnx"):
        combinations(bundle, ["caffe"])
    with pytest.raises(ExportError, match="precision 'bfloat16' is not known: choose from float32"):
        combinations(bundle, ["onnx"], ["bfloat16"])


def test_without_names_all_that_the_bundle_holds_is_measured(bundle):
    found = combinations(bundle, threads=[1, 2])
    assert {c.runtime for c in found} == set(bundle.manifest.formats)
    assert {c.precision for c in found if c.runtime == "onnx"} == {"float32", "float16", "int8"}
    assert len(found) == len(set(found)) == 2 * len(combinations(bundle))


@pytest.mark.parametrize(("budget", "code"), [(600_000, 0), (0.001, 1)])
def test_a_budget_is_a_gate(cli, bundle, tmp_path, budget, code):
    table = tmp_path / "times.csv"
    words = ["--runtime", "onnx", "--precision", "int8", "--threads", "1", "--repeats", "2", "--size", "96x64"]
    result = cli("bench", bundle.path, *words, "--budget-ms", budget, "--out", table, "--json")
    assert result.exit_code == code, result.output
    found = json.loads(result.stdout)
    assert found["budget"]["met"] == (code == 0)
    assert [(r["runtime"], r["precision"], r["threads"], r["runs"]) for r in found["rows"]] == [("onnx", "int8", 1, 2)]
    assert found["images"][0] | {"width": 96, "height": 64, "dtype": "uint16", "made": True} == found["images"][0]
    assert found["machine"]["processor"]
    assert len(table.read_text().splitlines()) == 3


def test_a_damaged_image_is_one_line(cli, bundle, images, tmp_path):
    damaged = tmp_path / "cut.png"
    damaged.write_bytes(images[0].read_bytes()[:200])
    result = cli("bench", bundle.path, damaged, "--runtime", "onnx")
    assert result.exit_code == 2
    assert "cut.png is damaged" in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="a console's Ctrl-C cannot be sent to one process there")
def test_ctrl_c_leaves_neither_folder_nor_process(bundle, tmp_path, runs_on):
    command = [sys.executable, "-m", "cryoseg_tf.cli.main", "bench", str(bundle.path), "--runtime", "onnx,tflite"]
    process = subprocess.Popen(
        [*command, "--repeats", "100000", "--size", "96x64"],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a terminal's Ctrl-C goes to all of a group
    )
    line = process.stderr.readline()  # the first image of the first combination is done
    children = psutil.Process(process.pid).children(recursive=True)
    assert line.startswith("measuring")
    assert children
    assert list(tmp_path.glob("cryoseg-bench-*"))
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "stopped"
    assert "Traceback" not in said
    assert not list(tmp_path.glob("cryoseg-bench-*"))
    assert not [child for child in children if runs_on(child)]
