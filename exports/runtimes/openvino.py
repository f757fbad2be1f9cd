"""OpenVINO, on the processor."""

from pathlib import Path

import openvino

from cryoseg_tf.segmentation.predictor import Predictor

from ..bundle import Bundle
from . import NetworkPredictor, Whole, one_error, whole_graph

TITLE = "OpenVINO"


def predictor(bundle: Bundle, precision: str, threads: int | None) -> Predictor:
    """Load ``model*.xml``."""
    compiled = load(bundle.file("openvino", precision), threads)
    return NetworkPredictor(bundle, TITLE, lambda tile: compiled({"tile": tile})["probability"])


def whole(bundle: Bundle, threads: int | None) -> Whole:
    """Load ``segment.xml``."""
    return whole_graph(TITLE, load(bundle.file("openvino", "segment"), threads))


def load(path: Path, threads: int | None) -> openvino.CompiledModel:
    """Load an ``.xml`` and the ``.bin`` beside it.

    Raises:
        ExportError: If they cannot be loaded.
    """
    # on some processors it would compute in bfloat16; what is quantised stays int8
    settings: dict[str, object] = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    with one_error(f"{path} cannot be loaded"):
        return openvino.compile_model(path, "CPU", settings)
