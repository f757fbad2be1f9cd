"""LiteRT, for TensorFlow Lite files."""

from pathlib import Path
from typing import Any

from ai_edge_litert.interpreter import Interpreter
from scipy.special import expit, softmax

from cryoseg_tf.io.native import no_native_stderr
from cryoseg_tf.segmentation.predictor import Array, Predictor
from cryoseg_tf.training.strategy import available_cores

from ..bundle import Bundle
from . import NetworkPredictor, Whole, one_error, whole_graph

TITLE = "LiteRT"


def predictor(bundle: Bundle, precision: str, threads: int | None) -> Predictor:
    """Load ``model*.tflite``, whose logits become probabilities here."""
    loaded, channels = load(bundle.file("tflite", precision), threads), bundle.manifest.network.channels

    def run(tile: Array) -> Array:
        logits = loaded(tile=tile)["logits"]
        result: Array = expit(logits) if channels == 1 else softmax(logits, axis=-1)
        return result

    return NetworkPredictor(bundle, TITLE, run)


def whole(bundle: Bundle, threads: int | None) -> Whole:
    """Load ``segment.tflite``."""
    loaded = load(bundle.file("tflite", "segment"), threads)
    return whole_graph(TITLE, lambda inputs: loaded(**inputs))


def load(path: Path, threads: int | None) -> Any:
    """Load a file; what comes back takes arrays by name, and allocates only when a size is another.

    Raises:
        ExportError: If it cannot be loaded.
    """
    with one_error(f"{path} cannot be loaded"), no_native_stderr():  # it tells of its delegate
        # from bytes, so that any path will do; and it takes one thread unless told
        interpreter = Interpreter(model_content=path.read_bytes(), num_threads=threads or available_cores())
        interpreter.allocate_tensors()
        return interpreter.get_signature_runner()
