"""Write each format of a bundle, and say which file is what."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from . import saved_model
from .bundle import PRECISIONS

if TYPE_CHECKING:
    from .builder import Builder

RUNNER = Path(__file__).with_name("runner")

Files = dict[str, dict[str, str]]
"""``formats`` of the manifest."""


def write_saved_model(build: "Builder") -> Files:
    """Write ``saved_model/``."""
    saved_model.write_saved_model(build.model, build.contract, build.stride, build.folder / "saved_model")
    return {"saved_model": dict.fromkeys(("float32", "segment", "statistics", "resample"), "saved_model")}


def write_onnx(build: "Builder") -> Files:
    """Write ``onnx/`` and the runner."""
    from . import onnx

    files = build.onnx_files
    float16 = files["float32"].with_name("model-float16.onnx")
    onnx.write_float16(files["float32"], float16)
    for path in sorted(RUNNER.iterdir()):
        if path.is_file():
            shutil.copy(path, build.folder / path.name)
    return {"onnx": _relative(build, {"float32": files["float32"], "float16": float16} | files)}


def write_tflite(build: "Builder") -> Files:
    """Write ``tflite/``."""
    from . import tflite

    folder = build.folder / "tflite"
    folder.mkdir()
    files = {"segment": folder / "segment.tflite"}
    tflite.write_segment(build.model, build.contract, build.stride, files["segment"])
    for precision in PRECISIONS if build.tiles else PRECISIONS[:2]:
        files[precision] = folder / ("model.tflite" if precision == "float32" else f"model-{precision}.tflite")
        tflite.write_network(build.model, files[precision], precision, build.tiles)
    return {"tflite": _relative(build, files)}


def write_openvino(build: "Builder") -> Files:
    """Write ``openvino/``, from ONNX files that are kept only if they were asked for too."""
    from . import openvino

    folder = build.folder / "openvino"
    folder.mkdir()
    files = {name: folder / f"{path.stem}.xml" for name, path in build.onnx_files.items()}
    for name, source in build.onnx_files.items():
        openvino.write_openvino(source, files[name])
    return {"openvino": _relative(build, files)}


def write_tensorrt(build: "Builder") -> Files:
    """Write ``tensorrt/``: what engines are built from, where they run."""
    from . import onnx, tensorrt

    folder = build.folder / "tensorrt"
    folder.mkdir()
    for path in build.onnx_network.parent.glob("model.onnx*"):  # large weights lie beside it
        shutil.copy(path, folder)
    files = {"float32": folder / "model.onnx", "float16": folder / "model-float16.onnx"}
    onnx.write_float16(files["float32"], files["float16"])
    if build.tiles:
        files["int8"] = folder / "model-int8.onnx"
        onnx.write_int8(files["float32"], files["int8"], build.tiles, symmetric=True)
    recipe = tensorrt.write_recipe(folder, files, build.stride, build.tile)
    return {"tensorrt": _relative(build, files | {"recipe": recipe})}


WRITERS: dict[str, Callable[["Builder"], Files]] = {
    "saved_model": write_saved_model,
    "tflite": write_tflite,
    "onnx": write_onnx,
    "openvino": write_openvino,
    "tensorrt": write_tensorrt,
}


def _relative(build: "Builder", files: dict[str, Path]) -> dict[str, str]:
    return {name: path.relative_to(build.folder).as_posix() for name, path in files.items()}
