"""OpenVINO's own files, an ``.xml`` and a ``.bin`` each, made from the ONNX ones."""

from pathlib import Path

import openvino


def write_openvino(source: Path, path: Path) -> None:
    """Convert an ONNX file; weights stay as they are, and so do the names of inputs and outputs."""
    model = openvino.convert_model(source)
    openvino.save_model(model, path, compress_to_fp16=False)
