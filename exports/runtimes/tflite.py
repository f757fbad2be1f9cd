"""LiteRT, for TensorFlow Lite files."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from scipy.special import expit, softmax

from cryoseg_tf.io.micrograph import Pixels
from cryoseg_tf.segmentation.predictor import Array
from cryoseg_tf.training.strategy import available_cores

from ..bundle import Bundle
from . import Answer, Whole, one_error


class TflitePredictor:
    """Runs ``model*.tflite``; see ``cryoseg_tf.segmentation.predictor.Predictor``."""

    batch = 1

    def __init__(self, bundle: Bundle, precision: str, threads: int | None) -> None:
        network = bundle.manifest.network
        self.channels, self.stride, self.halo = network.channels, network.stride, network.halo
        self._run = load(bundle.file("tflite", precision), threads)

    def map(self, batches: Iterable[Array]) -> Iterator[Array]:
        """See ``Predictor.map``."""
        for batch in batches:
            with one_error("LiteRT stopped"):
                logits: Array = self._run(tile=batch)["logits"]
            yield expit(logits) if self.channels == 1 else softmax(logits, axis=-1)


predictor = TflitePredictor


def whole(bundle: Bundle, threads: int | None) -> Whole:
    """Load ``segment.tflite``."""
    run = load(bundle.file("tflite", "segment"), threads)

    def segment(pixels: Pixels, pixel_size: float) -> Answer:
        with one_error("LiteRT stopped"):
            result = run(image=pixels[None].astype(np.float32), pixel_size=np.array(pixel_size, np.float32))
        return Answer(result["mask"][0], result["probability"][0], int(result["status"][0]))

    return segment


def load(path: Path, threads: int | None) -> Any:
    """Load a file; what comes back takes arrays by name, and allocates only when a size is another.

    Raises:
        ExportError: If it cannot be loaded.
    """
    with one_error(f"{path} cannot be loaded"), _no_native_stderr():
        # from bytes, so that any path will do; and it takes one thread unless told
        interpreter = Interpreter(model_content=path.read_bytes(), num_threads=threads or available_cores())
        interpreter.allocate_tensors()
        return interpreter.get_signature_runner()


@contextmanager
def _no_native_stderr() -> Iterator[None]:
    """Drop what LiteRT says of its delegate, which no setting keeps it from."""
    try:
        kept = os.dup(2)
    except OSError:  # there is none
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
