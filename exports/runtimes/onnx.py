"""ONNX Runtime."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime

from cryoseg_tf.io.micrograph import Pixels
from cryoseg_tf.segmentation.predictor import Array

from ..bundle import Bundle
from . import Answer, Whole, one_error


class OnnxPredictor:
    """Runs ``model*.onnx``; see ``cryoseg_tf.segmentation.predictor.Predictor``."""

    batch = 1

    def __init__(self, bundle: Bundle, precision: str, threads: int | None) -> None:
        network = bundle.manifest.network
        self.channels, self.stride, self.halo = network.channels, network.stride, network.halo
        self._session = session(bundle.file("onnx", precision), threads)

    def map(self, batches: Iterable[Array]) -> Iterator[Array]:
        """See ``Predictor.map``."""
        for batch in batches:
            with one_error("ONNX Runtime stopped"):
                result: Array = self._session.run(["probability"], {"tile": batch})[0]
            yield result


predictor = OnnxPredictor


def whole(bundle: Bundle, threads: int | None) -> Whole:
    """Load ``segment.onnx``."""
    loaded = session(bundle.file("onnx", "segment"), threads)

    def segment(pixels: Pixels, pixel_size: float) -> Answer:
        inputs = {"image": pixels[None].astype(np.float32), "pixel_size": np.array(pixel_size, np.float32)}
        with one_error("ONNX Runtime stopped"):
            mask, probability, status = loaded.run(["mask", "probability", "status"], inputs)
        return Answer(mask[0], probability[0], int(status[0]))

    return segment


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
