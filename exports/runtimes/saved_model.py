"""TensorFlow."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from cryoseg_tf.io.micrograph import Pixels
from cryoseg_tf.segmentation.predictor import Array
from cryoseg_tf.training.strategy import use_threads

from ..bundle import Bundle
from . import Answer, Whole, one_error


class SavedModelPredictor:
    """Calls the signature ``probabilities``; see ``cryoseg_tf.segmentation.predictor.Predictor``."""

    batch = 1

    def __init__(self, bundle: Bundle, precision: str, threads: int | None) -> None:
        network = bundle.manifest.network
        self.channels, self.stride, self.halo = network.channels, network.stride, network.halo
        self._loaded = load(bundle.file("saved_model", precision), threads)

    def map(self, batches: Iterable[Array]) -> Iterator[Array]:
        """See ``Predictor.map``."""
        for batch in batches:
            with one_error("TensorFlow stopped"):
                result: Array = self._loaded.signatures["probabilities"](tile=tf.constant(batch))["probability"].numpy()
            yield result


predictor = SavedModelPredictor


def whole(bundle: Bundle, threads: int | None) -> Whole:
    """Load the signature ``segment``."""
    loaded = load(bundle.file("saved_model", "segment"), threads)

    def segment(pixels: Pixels, pixel_size: float) -> Answer:
        image = tf.constant(pixels[None].astype(np.float32))
        with one_error("TensorFlow stopped"):
            # the loaded object has to live as long as its signatures are called
            result = loaded.signatures["segment"](image=image, pixel_size=tf.constant(pixel_size, tf.float32))
        return Answer(result["mask"].numpy()[0], result["probability"].numpy()[0], int(result["status"][0]))

    return segment


def load(path: Path, threads: int | None) -> Any:
    """Load a SavedModel; how many threads compute can be said only before TensorFlow's first operation.

    Raises:
        ExportError: If it cannot be loaded.
    """
    use_threads(threads)
    with one_error(f"{path} cannot be loaded"):
        return tf.saved_model.load(str(path))
