"""Prove that a bundle answers as the trained model did."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from cryoseg_tf.errors import ExportError
from cryoseg_tf.io.micrograph import read_micrograph


def differing_pixels(bundle: Path, images: Sequence[Path], masks: Path) -> dict[Path, int]:
    """Segment images by the bundle's SavedModel and count the pixels that differ from masks on disk.

    Args:
        bundle: A folder that ``export`` wrote with "saved_model".
        images: Image files.
        masks: The folder with ``STEM.png`` of each, as ``segment`` wrote them.

    Raises:
        ExportError: If the bundle cannot be loaded or a mask is missing.
    """
    try:
        loaded = tf.saved_model.load(str(bundle / "saved_model"))
    except OSError as error:
        raise ExportError(f"{bundle} holds no SavedModel that can be loaded: {error}") from None
    segment = loaded.signatures["segment"]
    counts = {}
    for path in images:
        mask = masks / f"{path.stem}.png"
        if not mask.is_file():
            raise ExportError(f"{mask} is missing: segment {path} first")
        micrograph = read_micrograph(path)
        pixels = tf.constant(micrograph.pixels[None].astype(np.float32))
        result = segment(image=pixels, pixel_size=tf.constant(micrograph.pixel_size or 0.0))
        with Image.open(mask) as expected:
            # a mask on disk has the rows of a data bar, too
            height = len(micrograph.pixels)
            counts[path] = int(np.count_nonzero(result["mask"].numpy()[0] != np.asarray(expected)[:height]))
    return counts
