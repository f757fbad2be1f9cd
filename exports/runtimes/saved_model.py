"""TensorFlow."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from cryoseg_tf.segmentation.predictor import Array, Predictor
from cryoseg_tf.training.strategy import use_threads

from ..bundle import Bundle
from . import NetworkPredictor, Whole, one_error, whole_graph

TITLE = "TensorFlow"


def predictor(bundle: Bundle, precision: str, threads: int | None) -> Predictor:
    """Load the signature ``probabilities``."""
    loaded = load(bundle.file("saved_model", precision), threads)

    def run(tile: Array) -> Array:
        # the loaded object has to live as long as its signatures are called
        result: Array = loaded.signatures["probabilities"](tile=tf.constant(tile))["probability"].numpy()
        return result

    return NetworkPredictor(bundle, TITLE, run)


def whole(bundle: Bundle, threads: int | None) -> Whole:
    """Load the signature ``segment``."""
    loaded = load(bundle.file("saved_model", "segment"), threads)

    def run(inputs: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = loaded.signatures["segment"](**{n: tf.constant(v) for n, v in inputs.items()})
        return result

    return whole_graph(TITLE, run)


def load(path: Path, threads: int | None) -> Any:
    """Load a SavedModel; how many threads compute can be said only before TensorFlow's first operation.

    Raises:
        ExportError: If it cannot be loaded.
    """
    use_threads(threads)
    with one_error(f"{path} cannot be loaded"):
        return tf.saved_model.load(str(path))
