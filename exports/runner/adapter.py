"""The bundle as OpenFIBSEM calls its models: ``inference(image) -> mask``. Needs run.py beside it, no TensorFlow.

::

    sys.path.append("cells.cryoseg")
    from adapter import Segmentation

    segmentation = Segmentation("cells.cryoseg")
    mask = segmentation.inference(fibsem_image)                          # it knows its pixel size
    mask = Segmentation("cells.cryoseg", pixel_size=200.0).inference(array)  # an array does not
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from run import Model, RunnerError

COLOURS = ((0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255))


class Segmentation:
    """A bundle's model.

    Args:
        bundle: Its folder; None: the one that this file is in.
        pixel_size: In nm, of images that do not know theirs.
        precision: "float32", "float16" or "int8".
        threads: How many compute; 0: one per core.
    """

    def __init__(
        self, bundle: Any = None, pixel_size: float | None = None, precision: str = "float32", threads: int = 0
    ) -> None:
        self.model = Model(bundle or Path(__file__).resolve().parent, precision, threads)
        self.pixel_size = pixel_size

    def inference(self, image: Any, rgb: bool = False) -> Any:
        """Segment a ``FibsemImage``, or an array ``(height, width)`` of raw counts.

        Args:
            image: Without data bar.
            rgb: Return colours, as OpenFIBSEM does unless told not to.

        Returns:
            Class indices ``(height, width)`` uint8, or colours ``(height, width, 3)``. Where the image cannot
            be segmented, there is a warning and all is background.

        Raises:
            RunnerError: If the model needs a pixel size and nobody says it.
        """
        pixel_size = self.pixel_size
        if getattr(image, "metadata", None) is not None:
            pixel_size = image.metadata.pixel_size.x * 1e9  # from metres; 0: unknown
        if self.model.contract["scale"] == "pixel_size" and not pixel_size:
            raise RunnerError("this model needs the pixel size of the image: Segmentation(bundle, pixel_size=NM)")
        pixels = image if isinstance(image, np.ndarray) else image.data
        mask, _, status = self.model.segment(pixels, pixel_size, probability=False)
        if status:
            warnings.warn(self.model.explain(status), stacklevel=2)
        return np.array(COLOURS, np.uint8)[mask % len(COLOURS)] if rgb else mask
