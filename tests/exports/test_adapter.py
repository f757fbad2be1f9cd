"""The adapter for OpenFIBSEM, in a process that has no TensorFlow."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

RUNNER = Path(__file__).parents[2] / "exports" / "runner"


def adapted(folder, code):
    block = "import sys; sys.modules.update(dict.fromkeys(('tensorflow', 'keras', 'cryoseg_tf', 'PIL', 'scipy')))"
    begin = f"{block}; sys.path.append({str(folder)!r}); import numpy as np; from adapter import Segmentation"
    command = [sys.executable, "-B", "-c", f"{begin}\n{code}"]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


@pytest.fixture
def folder(bundle, tmp_path):
    target = tmp_path / "copy.cryoseg"
    shutil.copytree(bundle.path, target, ignore=shutil.ignore_patterns("saved_model", "tflite", "openvino"))
    for name in ("run.py", "adapter.py"):
        shutil.copy(RUNNER / name, target)
    return target


def test_inference_gives_the_golden_masks(folder):
    code = """
from types import SimpleNamespace as Is
model = Segmentation(threads=1)
for name in ("uint8", "uint16", "odd"):
    image, mask = (np.load(f"golden/{name}.{what}.npy") for what in ("image", "mask"))
    known = Is(data=image, metadata=Is(pixel_size=Is(x=2e-7, y=2e-7)))
    for given in (image, known):
        assert (model.inference(given) == mask).all()
    colours = model.inference(image, rgb=True)
    assert colours.shape == (*mask.shape, 3)
    assert ((colours != 0).any(axis=-1) == (mask > 0)).all()
"""
    result = adapted(folder, code)
    assert (result.returncode, result.stderr) == (0, "")
    assert np.load(folder / "golden" / "uint8.mask.npy").any()


def test_what_cannot_be_segmented_is_said(folder):
    result = adapted(folder, "assert not Segmentation().inference(np.ones((3, 90), np.uint8)).any()")
    assert result.returncode == 0
    assert "the image is too small" in result.stderr
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["contract"]["scale"] = "pixel_size"
    path.write_text(json.dumps(manifest), "utf-8")
    result = adapted(folder, "Segmentation().inference(np.ones((90, 90), np.uint8))")
    assert "this model needs the pixel size of the image: Segmentation(bundle, pixel_size=NM)" in result.stderr
