"""``prepare`` on a machine without a GPU: ahead of time for named GPUs, else one clear line."""

import json
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")


@pytest.fixture
def folder(bundle):
    return bundle.path


def test_ahead_of_time(cli, folder):
    pytest.importorskip("tensorrt_rtx", reason="TensorRT RTX is not installed: no engine can be built here")
    words = ("prepare", folder, "--compute-capability", "8.9, 12.0")
    result = cli(*words)
    assert result.exit_code == 0, result.stderr
    first, second = result.stdout.splitlines()
    assert first.startswith("compute capability 8.9, float16: built in ")
    assert second.startswith("compute capability 12.0, float16: built in ")
    assert Path(first.rsplit(": ", 1)[1]).is_file()
    told = json.loads(cli(*words, "--json").stdout)
    assert [(engine["cached"], engine["target"]["capability"]) for engine in told] == [(True, "8.9"), (True, "12.0")]
    assert f"each of {told[0]['nodes']} nodes is supported" in first


@pytest.mark.parametrize("command", ["prepare", "segment"])
def test_without_a_gpu(cli, folder, trained, tmp_path, command):
    images = trained.parent / "data" / "images"
    more = [images, "--out", tmp_path / "out", "--runtime", "tensorrt"] if command == "segment" else []
    result = cli(command, folder, *more)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "the ONNX files stay usable: --runtime onnx" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--compute-capability", "9.9"], "compute capability '9.9'"),
        (["--batch", "0"], "--batch"),
        (["--precision", "float8"], "--precision"),
    ],
)
def test_what_cannot_be_built(cli, folder, words, message):
    result = cli("prepare", folder, *words)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_precision_that_was_left_out(cli, folder, tmp_path):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["formats"]["tensorrt"].pop("int8", None)
    manifest["provenance"]["left_out"] = {"int8": "the training images are gone"}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    result = cli("prepare", tmp_path, "--precision", "int8")
    assert result.exit_code == 2
    left_out = "the export left out int8 (the training images are gone)"
    assert f"holds no int8 as tensorrt, only float32, float16; {left_out}\n" in result.stderr


def test_no_bundle(cli, tmp_path):
    result = cli("prepare", tmp_path / "none")
    assert result.exit_code == 2
    assert "is not a bundle: it does not exist" in result.stderr
