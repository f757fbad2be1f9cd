"""``segment BUNDLE``: the masks of the run, by the runtime asked for or the fastest that is known to be right."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from cryoseg_tf.cli import segment
from cryoseg_tf.errors import ExportError
from cryoseg_tf.exports import Bundle, export
from cryoseg_tf.exports.bundle import PRECISIONS
from cryoseg_tf.exports.runtimes import RUNTIMES
from cryoseg_tf.exports.selection import fastest, recall, remember


class Check(NamedTuple):
    """As ``remember`` takes it."""

    runtime: str
    passed: bool
    seconds_per_megapixel: float | None
    precision: str = "float32"
    artefact: str = "network"


@pytest.fixture(scope="module")
def small(trained, tmp_path_factory):
    """A bundle for two runtimes; do not write to it."""
    return export(trained, ["onnx", "tflite"], tmp_path_factory.mktemp("export") / "model.cryoseg")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """What is remembered of bundles is remembered here."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def copy(small, tmp_path):
    return Bundle.open(shutil.copytree(small.path, tmp_path / "copy.cryoseg"))


def masks(folder):
    return {path.name: np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))}


def record(cache):
    (file,) = cache.rglob("*.json")
    return file


def test_masks_are_those_of_the_run(cli, trained, small, data, tmp_path, caplog):
    assert cli("segment", trained, data / "images", "--out", tmp_path / "run").exit_code == 0
    expected = masks(tmp_path / "run")
    assert len(expected) == 6
    assert any(mask.any() for mask in expected.values())
    for runtime in ("onnx", "tflite"):
        words = ["segment", small.path, data / "images", "--out", tmp_path / runtime, "--runtime", runtime]
        result = cli(*words)
        assert result.exit_code == 0, result.stderr
        assert f"model.cryoseg runs on {runtime} {RUNTIMES[runtime].version}, in float32" in caplog.messages
        found = masks(tmp_path / runtime)
        assert found.keys() == expected.keys()
        for name, mask in found.items():
            np.testing.assert_array_equal(mask, expected[name])


def test_only_what_was_done_in_the_same_way_is_skipped(cli, small, data, tmp_path):
    words = ["segment", small.path, data / "images", "--out", tmp_path / "masks", "--json"]
    for more, done in [
        (["--runtime", "onnx"], False),
        (["--runtime", "onnx"], True),
        (["--runtime", "tflite"], False),
        (["--runtime", "tflite", "--precision", "float16"], False),
        (["--runtime", "tflite", "--precision", "float16"], True),
    ]:
        assert {row["skipped"] for row in json.loads(cli(*words, *more).stdout)} == {done}, more


def test_auto_verifies_once_and_takes_what_passed(cli, small, data, tmp_path, cache, caplog):
    # of what is logged, not of what is shown: the console says the same thing only once a process
    words = ["segment", small.path, data / "images", "--out", tmp_path / "masks"]
    first = cli(*words)
    assert first.exit_code == 0, first.stderr
    assert caplog.messages.count("verifying model.cryoseg on this machine, once") == 1
    known = recall(small)
    assert all(known[name, "float32"].passed for name in ("onnx", "tflite"))
    quicker = min(("onnx", "tflite"), key=lambda name: known[name, "float32"].seconds_per_megapixel)
    assert any(f"runs on {quicker} " in message for message in caplog.messages)
    caplog.clear()
    second = cli(*words)
    assert not any("verifying" in message for message in caplog.messages)
    assert second.stdout.count("  done before\n") == 6
    record(cache).write_text("{")
    assert recall(small) == {}


def test_the_fastest_that_passed(small, cache):
    remember(small, [Check("onnx", True, 2.0), Check("tflite", True, 1.0)])
    assert fastest(small) == "tflite"
    remember(small, [Check("tflite", False, 1.0)])
    assert fastest(small) == "onnx"
    # every check has to pass, and only the network's own time counts
    remember(small, [Check("tflite", True, 1.0), Check("tflite", True, 9.0, artefact="segment")])
    assert fastest(small) == "tflite"
    remember(small, [Check("tflite", True, 1.0), Check("tflite", False, 1.0, artefact="segment")])
    assert fastest(small) == "onnx"
    remember(small, [Check("onnx", False, 2.0)])
    with pytest.raises(ExportError, match=r"no runtime passes in float32 .*'cryoseg-tf verify .*' shows why"):
        fastest(small)


def test_what_another_version_or_machine_found_does_not_count(small, cache):
    remember(small, [Check("onnx", True, 2.0), Check("tflite", True, 1.0)])
    content = json.loads(record(cache).read_text())
    content["results"][0]["version"] = "0.1"
    content["results"][1]["machine"] = "another"
    record(cache).write_text(json.dumps(content))
    assert recall(small) == {}


def test_a_cache_that_cannot_be_written_stops_nothing(small, cache):
    cache.write_text("a file where the folder should be")
    remember(small, [Check("onnx", True, 2.0)])
    assert recall(small) == {}


@pytest.mark.parametrize("runtime", ["auto", "tflite"])
def test_a_damaged_file_is_not_loaded(cli, copy, data, tmp_path, runtime):
    file = copy.file("tflite", "float32")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    words = ["segment", copy.path, data / "images", "--out", tmp_path / "masks"]
    result = cli(*words, "--runtime", runtime)
    assert result.exit_code == 2
    assert "is damaged, copy it again: not loaded: tflite/model.tflite" in result.stderr
    assert not (tmp_path / "masks").exists()
    assert cli(*words, "--runtime", "onnx").exit_code == 0


def test_wrong_use_is_one_line(cli, trained, copy, data, tmp_path):
    def refused(text, source, *words, out=tmp_path / "masks"):
        result = cli("segment", source, data / "images", "--out", out, *words)
        assert result.exit_code == 2, result.output
        assert text in result.stderr
        assert len(result.stderr.splitlines()) == 1, result.stderr

    refused("runs in Keras: --runtime can be asked of a bundle only", trained, "--runtime", "auto")
    refused("--runtime and --precision can be", trained, "--runtime", "onnx", "--precision", "int8")
    refused("neither a run nor a bundle: it holds no run.json and no manifest.json", data)
    refused("nowhere is neither a run nor a bundle: it does not exist", tmp_path / "nowhere")
    refused("run.json is neither a run nor a bundle: it is a file", trained / "run.json")
    refused("holds no openvino, only onnx, tflite: export it", copy.path, "--runtime", "openvino")
    refused("is a bundle: choose another --out", trained, out=copy.path)
    (copy.path / "manifest.json").write_bytes((copy.path / "manifest.json").read_bytes()[:500])
    refused("manifest.json is damaged", copy.path)
    assert not (tmp_path / "masks").exists()


def test_a_precision_that_was_left_out_is_missed_with_the_reason(cli, copy, data, tmp_path):
    manifest = json.loads((copy.path / "manifest.json").read_text())
    for name in ("onnx", "tflite"):
        manifest["formats"][name].pop("int8", None)
    manifest["provenance"]["left_out"] = {"onnx int8": "1 objects too many", "tflite int8": "Dice 0.9 of cell"}
    (copy.path / "manifest.json").write_text(json.dumps(manifest))
    words = ["segment", copy.path, data / "images", "--out", tmp_path / "masks", "--precision", "int8"]
    left_out = "the export left out onnx int8 (1 objects too many)"
    for more, told in [
        ([], f"holds no network in int8, only in float32, float16; {left_out}, tflite int8 (Dice 0.9 of cell)\n"),
        (["--runtime", "onnx"], f"holds no int8 as onnx, only float32, float16; {left_out}\n"),
    ]:
        result = cli(*words, *more)
        assert result.exit_code == 2
        assert told in result.stderr


@pytest.mark.parametrize("command", ["segment", "export", "evaluate", "fit"])
@pytest.mark.parametrize("place", ["file/masks", "/proc/masks"])
def test_an_out_that_cannot_be_is_refused_before_tensorflow_is_loaded(trained, data, tmp_path, command, place):
    if place == "/proc/masks" and not Path("/proc/self").exists():
        pytest.skip("no /proc here, which is a folder where nothing can be written, even by root")
    (tmp_path / "file").touch()
    read = {"segment": [trained, data / "images"], "export": [trained], "evaluate": [trained, data], "fit": [data]}
    words = [command, *read[command], "--out", tmp_path / place]
    code = "import sys; from cryoseg_tf.cli.main import main\ntry: main(sys.argv[1:])\nfinally: " \
           "print('tensorflow' in sys.modules)"  # fmt: skip
    result = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "False\n")
    assert len(result.stderr.splitlines()) == 1
    assert str(Path(tmp_path / place).parent) in result.stderr


def test_masks_are_added_to_a_folder_and_what_is_in_it_stays(cli, trained, data, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    words = ["segment", trained, data / "images" / "x00.png", "--out", tmp_path]
    result = cli(*words)
    assert result.exit_code == 0, result.stderr
    assert f"1 mask is in {tmp_path}\n" in result.stdout
    assert (tmp_path / "notes.txt").read_text() == "mine"
    (tmp_path / "records.jsonl").write_text('{"mine": 1}\n')
    result = cli(*words)
    assert result.exit_code == 2
    assert "records.jsonl exists and is not a record of masks: choose another --out" in result.stderr
    assert (tmp_path / "records.jsonl").read_text() == '{"mine": 1}\n'
    (tmp_path / "records.jsonl").write_text('{"na\n')  # cut in its first line, by a full disk
    assert "x00.png exists and is not a mask from here" in cli(*words).stderr
    assert cli(*words, "--overwrite").exit_code == 0
    assert "1 mask is in" in cli(*words).stdout


def test_a_pixel_size_is_asked_for_where_the_model_needs_one(cli, copy, data, tmp_path):
    manifest = json.loads((copy.path / "manifest.json").read_text())
    manifest["contract"] |= {"scale": "pixel_size", "pixel_size": 100.0, "pixel_size_range": [50.0, 200.0]}
    (copy.path / "manifest.json").write_text(json.dumps(manifest))
    words = ["segment", copy.path, data / "images", "--out", tmp_path / "masks", "--runtime", "onnx", "--json"]
    silent = cli(*words)
    assert silent.exit_code == 1
    assert all("pass --pixel-size" in row["error"] for row in json.loads(silent.stdout))
    statuses = [row["status"] for row in json.loads(cli(*words, "--pixel-size", 100).stdout)]
    assert all(status in (0, 4) for status in statuses)


def test_native_libraries_are_silent(small, data, tmp_path):
    words = ["segment", small.path, data / "images" / "x00.png", "--out", tmp_path / "masks", "--runtime", "tflite"]
    command = [sys.executable, "-m", "cryoseg_tf.cli.main", *map(str, words)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(result.stderr.splitlines()) == 2, result.stderr  # what it runs on, and progress


def test_what_can_be_asked_for_is_what_there_is():
    assert ("auto", *RUNTIMES) == segment.RUNTIMES
    assert segment.PRECISIONS == PRECISIONS
