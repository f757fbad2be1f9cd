"""The specimen as it is drawn: maps of height, yield and class, and where each pixel looks.

Lengths are in nm, on the specimen. Where a pixel looks is worked out before anything is drawn: a
tilted stage shortens the picture from top to bottom, and drift shifts its lines. So the mask, which
asks what lies under a pixel's centre, is as exact as the image::

    row i    looks at  y = (i + 1/2) pixel / cos(tilt)
    pixel j            x = (j + 1/2) pixel + drift(y)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from .options import PhantomOptions

Array = npt.NDArray[np.float64]
Region = tuple[slice, slice]

FILM = 0.45  # the film's gray level, where 0 is the detector's black and 1 its white
THIN, OPAQUE = 1, 2  # ice through which a cell is still seen, and ice that hides it
STREAMS = ("view", "grid", "tears", "ice", "cells", "surface", "charging", "detector", "noise")


@dataclass(frozen=True)
class Scene:
    """What has been drawn; all maps are ``(size, size)``.

    Attributes:
        pixel_size: In nm.
        tilt: Of the stage, in radians.
        light: Direction to the detector in the image plane, in radians from x to y.
        drift: ``(size,)``, each line's shift in nm.
        height: Of the film, in nm.
        above: Height of what lies on the film, in nm.
        tone: Yield of a flat surface, as a gray level.
        relief: How much of the edge effect and of the shading is seen, 0 to 1.
        defocus: Further blur: 0 in focus, 1 the most.
        mesh: Grid bars.
        owner: Number of the cell, from 1; 0 for none.
        ice: 0, ``THIN`` or ``OPAQUE``.
    """

    pixel_size: float
    tilt: float
    light: float
    drift: Array
    height: Array
    above: Array
    tone: Array
    relief: Array
    defocus: Array
    mesh: npt.NDArray[np.bool_]
    owner: npt.NDArray[np.int32]
    ice: npt.NDArray[np.uint8]

    @property
    def sides(self) -> tuple[float, float]:
        """Height and width of the specimen that is seen, in nm."""
        width = len(self.tone) * self.pixel_size
        return width / float(np.cos(self.tilt)), width

    @property
    def step(self) -> tuple[float, float]:
        """Distance between pixels' centres down and right, in nm."""
        return self.pixel_size / float(np.cos(self.tilt)), self.pixel_size

    def around(self, y: float, x: float, reach: float) -> tuple[Region, Array, Array]:
        """Return the pixels that may look within ``reach`` nm of a point, and how far down and right of it they do."""
        side = np.array([reach, reach + np.abs(self.drift).max()])
        ends = (np.array([y, x]) + np.array([[-1.0], [1.0]]) * side) / self.step
        top, left = np.floor(ends[0]).clip(0, len(self.tone)).astype(int)
        bottom, right = np.ceil(ends[1]).clip(0, len(self.tone)).astype(int)
        down = (np.arange(top, bottom, dtype=np.float64) + 0.5) * self.step[0] - y
        across = (np.arange(left, right, dtype=np.float64) + 0.5) * self.step[1] - x
        region = slice(int(top), int(bottom)), slice(int(left), int(right))
        return region, down[:, None], across + self.drift[region[0], None]

    def everywhere(self) -> tuple[Array, Array]:
        """Return where each pixel looks, from the view's centre: ``(size, 1)`` and ``(size, size)``."""
        _, y, x = self.around(self.sides[0] / 2, self.sides[1] / 2, 2 * max(self.sides))
        return y, x

    def field(self, grain: float, rng: np.random.Generator) -> Array:
        """Return smooth noise of about unit deviation whose bumps are ``grain`` nm wide."""
        apart = 0.6 * grain
        knots = rng.normal(size=[int(side / apart) + 4 for side in self.sides])
        places = [(np.arange(len(self.tone), dtype=np.float64) + 0.5) * step / apart for step in self.step]
        rows, columns = (_spline(place, count) for place, count in zip(places, knots.shape, strict=True))
        # 315 / 151 is one over the mean of the weights' sum of squares, for one axis
        field: Array = 315 / 151 * (rows @ np.ascontiguousarray((columns @ knots.T).T))
        return field

    def rugged(self, grain: float, rng: np.random.Generator) -> Array:
        """Return noise of about unit deviation with bumps on bumps, down to an eighth of ``grain``."""
        return np.sum([0.5**k * self.field(grain / 2**k, rng) for k in range(4)], axis=0) / 1.15


def blank(options: PhantomOptions, rng: np.random.Generator) -> Scene:
    """Return an empty scene; a third of the windows are tilted, by up to 25 degrees."""
    shape = (options.size, options.size)
    tilt = np.radians(rng.uniform(5, 25)) if rng.random() < 1 / 3 else 0.0
    light = rng.uniform(0, 2 * np.pi)
    lines = (np.arange(options.size) + 0.5) * options.pixel_size / np.cos(tilt)
    knots = rng.normal(0, rng.uniform(20, 90), int(lines[-1] / 4000) + 4)
    drift = rng.normal(0, 0.008) * lines + _spline(lines / 4000, len(knots)) @ knots
    empty = {"height": 0.0, "above": 0.0, "tone": FILM, "relief": 1.0, "defocus": 0.0}
    maps: dict[str, Any] = {name: np.full(shape, value) for name, value in empty.items()}
    maps |= {name: np.zeros(shape, kind) for name, kind in (("mesh", bool), ("owner", np.int32), ("ice", np.uint8))}
    return Scene(options.pixel_size, float(tilt), light, drift, **maps)


def streams(seed: int | Sequence[int]) -> dict[str, np.random.Generator]:
    """Return a random stream for each part, so that more pixels change the noise and nothing else."""
    spawned = np.random.SeedSequence(seed).spawn(len(STREAMS))
    return {name: np.random.default_rng(child) for name, child in zip(STREAMS, spawned, strict=True)}


def _spline(places: Array, count: int) -> sparse.csr_array:
    """Return the cubic B-spline's weights of so many knots at each place: ``(places, count)``."""
    below = np.floor(places).astype(int)
    t = places - below
    weights = [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 3 * t + 3 * t**2 - 3 * t**3 + 1, t**3]
    rows, columns = np.repeat(np.arange(len(places)), 4), (below[:, None] + np.arange(4)).ravel()
    return sparse.csr_array((np.stack(weights, 1).ravel() / 6, (rows, columns)), (len(places), count))
