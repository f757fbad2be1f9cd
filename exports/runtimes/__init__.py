"""What runs a bundle: one module a runtime, all alike.

Each module has the name of the bundle's format and two functions::

    predictor(bundle, precision, threads) -> Predictor    the network, for the Segmenter
    whole(bundle, threads) -> Whole                        raw image in, mask out, in float32
"""

import importlib
import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cryoseg_tf.errors import CryoSegError, ExportError
from cryoseg_tf.io.mask import Mask
from cryoseg_tf.io.micrograph import Pixels
from cryoseg_tf.segmentation.predictor import Array, Predictor
from cryoseg_tf.segmentation.segmenter import Segmenter

from ..bundle import Bundle


class Answer(NamedTuple):
    """What a whole graph says of one image: see ``cryoseg_tf.exports.graph.segment_function``."""

    mask: Mask
    probability: Array
    status: int


Whole = Callable[[Pixels, float], Answer]
"""Takes ``(height, width)`` raw counts and a pixel size in nm, 0 = unknown."""


@dataclass(frozen=True)
class Runtime:
    """A runtime that may or may not be installed here.

    Attributes:
        name: Also of the bundle's format that it runs.
        packages: Any of these distributions brings it.
        extra: The extra of ours that installs it.
    """

    name: str
    packages: tuple[str, ...]
    extra: str = ""

    @property
    def version(self) -> str | None:
        """The installed version, or None."""
        for package in self.packages:
            try:
                return importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                continue
        return None

    def predictor(self, bundle: Bundle, precision: str = "float32", threads: int | None = None) -> Predictor:
        """Load a bundle's network.

        Raises:
            ExportError: If the runtime is not installed, or the bundle has nothing for it.
        """
        result: Predictor = self._module().predictor(bundle, precision, threads)
        return result

    def whole(self, bundle: Bundle, threads: int | None = None) -> Whole:
        """Load a bundle's way from raw image to mask.

        Raises:
            ExportError: If the runtime is not installed, or the bundle has nothing for it.
        """
        result: Whole = self._module().whole(bundle, threads)
        return result

    def require(self) -> None:
        """See that it is installed.

        Raises:
            ExportError: Naming the command that installs it.
        """
        if self.version is None:
            extra = f"[{self.extra}]" if self.extra else ""
            raise ExportError(f"{self.name} needs {self.packages[0]}: pip install 'cryoseg-tf{extra}'")

    def _module(self) -> Any:
        self.require()
        return importlib.import_module(f".{self.name}", __name__)


RUNTIMES = {
    runtime.name: runtime
    for runtime in (
        Runtime("saved_model", ("tensorflow",)),
        Runtime("onnx", ("onnxruntime", "onnxruntime-gpu"), "export"),
        Runtime("tflite", ("ai-edge-litert",), "export"),
        Runtime("openvino", ("openvino",), "openvino"),
        Runtime("tensorrt", ("tensorrt-cu12", "tensorrt", "tensorrt-rtx-cu12"), "tensorrt"),
    )
}


class NetworkPredictor:
    """Runs a bundle's network; see ``cryoseg_tf.segmentation.predictor.Predictor``.

    Args:
        bundle: Where the network is from.
        title: What the runtime is called in errors.
        run: Turns a batch of tiles into probabilities.
    """

    batch = 1

    def __init__(self, bundle: Bundle, title: str, run: Callable[[Array], Array]) -> None:
        network = bundle.manifest.network
        self.channels, self.stride, self.halo = network.channels, network.stride, network.halo
        self._title, self._run = title, run

    def map(self, batches: Iterable[Array]) -> Iterator[Array]:
        """See ``Predictor.map``."""
        for batch in batches:
            with one_error(f"{self._title} stopped"):
                result = self._run(batch)
            yield result


def whole_graph(title: str, run: Callable[[dict[str, Any]], Mapping[str, Any]]) -> Whole:
    """Return what calls a whole graph, whose inputs and outputs have the same names in every format.

    Args:
        title: What the runtime is called in errors.
        run: Turns arrays by name into arrays by name.
    """

    def segment(pixels: Pixels, pixel_size: float) -> Answer:
        inputs = {"image": pixels[None].astype(np.float32), "pixel_size": np.array(pixel_size, np.float32)}
        with one_error(f"{title} stopped"):
            result = run(inputs)
            mask, probability, status = (np.asarray(result[name])[0] for name in ("mask", "probability", "status"))
        return Answer(mask, probability, int(status))

    return segment


def segmenter(bundle: Bundle, runtime: str, precision: str = "float32", threads: int | None = None) -> Segmenter:
    """Return what segments images of any size with a bundle's network.

    Raises:
        ExportError: If the runtime is not installed, or the bundle has nothing for it.
    """
    manifest = bundle.manifest
    predictor = RUNTIMES[runtime].predictor(bundle, precision, threads)
    return Segmenter(predictor, manifest.contract, manifest.network.tile)


@contextmanager
def one_error(what: str) -> Iterator[None]:
    """Turn whatever a runtime raises into one line that begins with ``what``.

    Raises:
        ExportError: Where the block raises, unless it is for lack of memory.
    """
    try:
        yield
    except (CryoSegError, MemoryError):
        raise
    except Exception as error:  # runtimes keep their kinds private
        raise ExportError(f"{what}: {' '.join(str(error).split())[:300]}") from None
