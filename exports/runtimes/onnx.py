"""ONNX Runtime."""

from pathlib import Path

import onnxruntime

from cryoseg_tf.segmentation.predictor import Predictor

from ..bundle import Bundle
from . import NetworkPredictor, Whole, one_error, whole_graph

TITLE = "ONNX Runtime"


def predictor(bundle: Bundle, precision: str, threads: int | None) -> Predictor:
    """Load ``model*.onnx``."""
    loaded = session(bundle.file("onnx", precision), threads)
    return NetworkPredictor(bundle, TITLE, lambda tile: loaded.run(["probability"], {"tile": tile})[0])


def whole(bundle: Bundle, threads: int | None) -> Whole:
    """Load ``segment.onnx``."""
    loaded = session(bundle.file("onnx", "segment"), threads)
    names = [output.name for output in loaded.get_outputs()]
    return whole_graph(TITLE, lambda inputs: dict(zip(names, loaded.run(names, inputs), strict=True)))


def session(path: Path, threads: int | None) -> onnxruntime.InferenceSession:
    """Load an ONNX file.

    Raises:
        ExportError: If it cannot be loaded.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0  # 0: one per core
    options.log_severity_level = 3
    # without VNNI, sums of products of bytes saturate in 16 bits; this takes the slower way there
    options.add_session_config_entry("session.x64quantprecision", "1")
    with one_error(f"{path} cannot be loaded"):
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
