"""OpenVINO, on the processor."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import openvino

from cryoseg_tf.io.micrograph import Pixels
from cryoseg_tf.segmentation.predictor import Array

from ..bundle import Bundle
from . import Answer, Whole, one_error


class OpenvinoPredictor:
    """Runs ``model*.xml``; see ``cryoseg_tf.segmentation.predictor.Predictor``."""

    batch = 1

    def __init__(self, bundle: Bundle, precision: str, threads: int | None) -> None:
        network = bundle.manifest.network
        self.channels, self.stride, self.halo = network.channels, network.stride, network.halo
        self._compiled = load(bundle.file("openvino", precision), threads)

    def map(self, batches: Iterable[Array]) -> Iterator[Array]:
        """See ``Predictor.map``."""
        for batch in batches:
            with one_error("OpenVINO stopped"):
                result: Array = self._compiled({"tile": batch})["probability"]
            yield result


predictor = OpenvinoPredictor


def whole(bundle: Bundle, threads: int | None) -> Whole:
    """Load ``segment.xml``."""
    compiled = load(bundle.file("openvino", "segment"), threads)

    def segment(pixels: Pixels, pixel_size: float) -> Answer:
        inputs = {"image": pixels[None].astype(np.float32), "pixel_size": np.array(pixel_size, np.float32)}
        with one_error("OpenVINO stopped"):
            result = compiled(inputs)
            return Answer(result["mask"][0], result["probability"][0], int(result["status"][0]))

    return segment


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
