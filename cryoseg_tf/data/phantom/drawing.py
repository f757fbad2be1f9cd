"""Draw one window: the specimen from the back to the front, then what the microscope makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import ConfigError
from ...io.mask import Mask
from .cells import draw_cells
from .charging import charged
from .detector import Pixels, detected, focused
from .grid import draw_grid
from .ice import draw_crystals, draw_ice
from .options import CELL, CLASSES, ICE, MESH, PhantomOptions, check_seed
from .scene import OPAQUE, Scene, blank, streams
from .surface import draw_dirt, emitted
from .table import Object, find_objects
from .tears import draw_tears


@dataclass(frozen=True)
class Window:
    """A drawn window.

    Attributes:
        image: ``(size, size)``, uint8 or uint16.
        mask: ``(size, size)`` uint8, class indices.
        objects: What touches as one, in the order of their first pixels; all of them, annotated or not.
        noise: Standard deviation of the noise, in the image's gray levels.
        tilt: Of the stage, in degrees.
    """

    image: Pixels
    mask: Mask
    objects: list[Object]
    noise: float
    tilt: float


def render(seed: int | Sequence[int], options: PhantomOptions | None = None, bits: int = 16) -> Window:
    """Draw one grid window with yeast-like cells, ice and bars, and its exact mask.

    The scene depends on ``seed`` and the field of view, ``size * pixel_size``, alone: at half
    the pixel size and twice the size it is the same, more finely seen. A pixel's class is that
    of what its centre shows: a cell under a veil of ice is a cell, one that is buried is ice.

    Args:
        seed: One or more whole numbers, none negative.
        options: Size, pixel size and classes; by default those of `PhantomOptions`.
        bits: 8 or 16, the image's depth.

    Raises:
        ConfigError: If a seed is negative or ``bits`` is neither 8 nor 16.
    """
    options = options or PhantomOptions()
    check_seed(seed)
    if bits not in (8, 16):
        raise ConfigError(f"bits is {bits}: it must be 8 or 16")
    rngs = streams(seed)
    scene = blank(options, rngs["view"])
    low = _draw(scene, rngs)
    mask, objects = _annotate(scene, low, options)
    signal = charged(scene, emitted(scene, rngs["surface"]), rngs["charging"])
    image, noise = detected(focused(scene, signal, rngs["detector"]), bits, rngs["detector"], rngs["noise"])
    return Window(image, mask, objects, noise, float(np.degrees(scene.tilt)))


def _draw(scene: Scene, rngs: dict[str, np.random.Generator]) -> set[int]:
    """Draw the specimen, and return the numbers of the low-charge cells."""
    draw_grid(scene, rngs["grid"])
    tears = draw_tears(scene, rngs["tears"])
    draw_dirt(scene, rngs["grid"])
    draw_crystals(scene, 3.0, rngs["ice"], over=False)
    low = draw_cells(scene, tears, rngs["cells"])
    draw_ice(scene, rngs["ice"])
    return low


def _annotate(scene: Scene, low: set[int], options: PhantomOptions) -> tuple[Mask, list[Object]]:
    labels, objects = find_objects(scene, low, options.annotation)
    marked = np.array([False, *(o.annotated for o in objects)])
    seen = np.where(scene.mesh & (scene.owner == 0), MESH, 0)
    seen[scene.ice == OPAQUE] = ICE
    seen[marked[labels]] = CELL
    # from all classes to those asked for
    values = [0, *((options.names.index(name) if name in options.classes else 0) for name in CLASSES)]
    return np.array(values, np.uint8)[seen], objects
