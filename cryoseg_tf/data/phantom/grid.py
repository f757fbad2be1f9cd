"""The grid: a holey film that sags and wrinkles, and the bars of the mesh under it.

Both are square lattices; a point is looked up by its distance from the nearest node::

    o   o   o   o        +-------+-------+
      .                  |       |       |     film: holes of radius r about the nodes
    o   o   o   o        |   o   |   o   |     mesh: all beyond the rounded square about a node
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from .scene import Array, Scene

MESHES = {200: (127e3, 92e3), 300: (85e3, 58e3), 400: (64e3, 42e3)}
"""Bars per inch: their distance and the opening between them in nm, about as makers of grids state them."""


@dataclass(frozen=True)
class _Lattice:
    """A square lattice: distance of its nodes in nm, its turn in radians, and the view's centre from a node in nm."""

    period: float
    turn: float
    down: float
    right: float

    def fold(self, y: Array, x: Array) -> tuple[Array, Array, Array, Array]:
        """Return the distances from the nearest node along the lattice's axes in nm, and the node's row and column."""
        u = x * np.cos(self.turn) + y * np.sin(self.turn) + self.right
        v = y * np.cos(self.turn) - x * np.sin(self.turn) + self.down
        row, column = np.rint(v / self.period), np.rint(u / self.period)
        return v - row * self.period, u - column * self.period, row, column


def draw_grid(scene: Scene, rng: np.random.Generator) -> None:
    """Draw film and bars."""
    beyond = _beyond_the_opening(scene, rng)
    scene.mesh[:] = beyond > 0
    _bend(scene, beyond, rng)
    bars = special.expit(beyond / rng.uniform(250, 900))
    level, rim = rng.choice([-0.14, -0.07, 0.1]), rng.uniform(300, 1500)
    scene.tone[:] += level * bars + rng.uniform(0.02, 0.12) * np.exp(-((beyond / rim) ** 2))
    # the film lies on the bars, so their metal shines through its holes
    scene.tone[:] += _holes(scene, rng) * (1 - rng.uniform(1, 2) * bars)
    if rng.random() < 0.5:
        scene.defocus[:] += rng.uniform(0.4, 1) * special.expit(beyond / 1500)


def _beyond_the_opening(scene: Scene, rng: np.random.Generator) -> Array:
    """Return each pixel's distance from the edge of the mesh's opening in nm, above 0 on the bars."""
    period, opening = MESHES[int(rng.choice(list(MESHES), p=[0.5, 0.35, 0.15]))]
    side = min(scene.sides)
    # a window smaller than an opening shows bars at its edges at most
    far = period / 2 if side > period else max(0.0, opening / 2 - 0.25 * side)
    lattice = _Lattice(period, rng.uniform(0, np.pi / 2), *rng.uniform(-far, far, 2))
    down, right, _, _ = lattice.fold(*scene.everywhere())
    corner = rng.uniform(0.05, 0.15) * opening
    away = [np.abs(offset) - opening / 2 + corner for offset in (down, right)]
    distance = np.hypot(*(np.maximum(a, 0) for a in away)) + np.minimum(np.maximum(*away), 0) - corner
    return distance + 200 * scene.field(5000, rng)


def _bend(scene: Scene, beyond: Array, rng: np.random.Generator) -> None:
    """Let the film sag between the bars, and wrinkle in places."""
    scene.height[:] += rng.uniform(300, 1500) * special.expit(beyond / 2500)
    scene.height[:] += rng.uniform(100, 350) * scene.field(rng.uniform(7000, 14000), rng)
    if rng.random() < 0.4:
        crease = np.exp(-((scene.field(rng.uniform(4e3, 9e3), rng) / 0.06) ** 2))
        scene.height[:] += rng.uniform(60, 200) * crease * special.expit(5 * scene.field(12e3, rng))
    if rng.random() < 0.4:
        y, x = scene.everywhere()
        turn, period = rng.uniform(0, np.pi), rng.uniform(2500, 6000)
        phase = (x * np.cos(turn) + y * np.sin(turn)) / period + 0.5 * scene.field(9000, rng)
        where = special.expit(4 * (scene.field(14000, rng) - rng.uniform(0, 1)))
        scene.height[:] += rng.uniform(60, 180) * where * np.sin(2 * np.pi * phase)


def _holes(scene: Scene, rng: np.random.Generator) -> Array:
    """Return what holes of about 2 um at distances of about 4 um add to the film, some of them under thick ice."""
    lattice = _Lattice(rng.uniform(3600, 4400), rng.uniform(0, np.pi / 2), *rng.uniform(-2000, 2000, 2))
    radius = lattice.period * rng.uniform(0.22, 0.3)
    y, x = scene.everywhere()
    warped = [place + rng.uniform(0, 350) * scene.field(9000, rng) for place in (y, x)]
    down, right, row, column = lattice.fold(*warped)
    outside = np.hypot(down, right) - radius
    darkness = rng.uniform(0.6, 1.0, (61, 61))
    darkness[rng.random((61, 61)) < rng.uniform(0, 0.15)] = rng.uniform(-0.3, 0.1)  # filled ones
    bare = 1 - 0.85 * special.expit(6 * (scene.field(12000, rng) - rng.uniform(0.3, 1.8)))
    hole = darkness[row.astype(int) % 61, column.astype(int) % 61] * special.expit(-outside / 60)
    return bare * (rng.uniform(0.05, 0.13) * np.exp(-((outside / 160) ** 2)) - rng.uniform(0.17, 0.3) * hole)
