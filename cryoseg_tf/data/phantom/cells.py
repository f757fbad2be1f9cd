"""Yeast-like cells: alone or in clusters, domes with a wall, some with a bud, some clusters without charge contrast."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .scene import FILM, Array, Scene
from .tears import Tear

RADIUS = (1500.0, 3000.0)  # nm; budding yeast is 3 to 6 um wide
LOW_CHARGE = (1 / 3, 0.3)  # share of the images that have low-charge clusters, and of the clusters in them


@dataclass(frozen=True)
class _Cell:
    """Where a cell lies, in nm, and the cluster it belongs to."""

    y: float
    x: float
    radius: float
    cluster: int


def draw_cells(scene: Scene, tears: Sequence[Tear], rng: np.random.Generator) -> set[int]:
    """Draw all cells, and return the numbers of those without charge contrast."""
    cells = _placed(scene.sides, tears, rng)
    share = LOW_CHARGE[1] if rng.random() < LOW_CHARGE[0] else 0.0
    # what is known of low charge is known of clusters
    sizes = np.bincount([c.cluster for c in cells], minlength=1)
    faint = (rng.random(len(sizes)) < share) & (sizes > 1)
    low = set()
    for number, cell in enumerate(cells, 1):
        _draw_cell(scene, cell, number, rng, faint=bool(faint[cell.cluster]))
        low |= {number} if faint[cell.cluster] else set()
    return low


def _placed(sides: tuple[float, float], tears: Sequence[Tear], rng: np.random.Generator) -> list[_Cell]:
    """Return cells until they cover enough: some alone, the others each beside an earlier one."""
    wanted = sides[0] * sides[1] * rng.uniform(0.1, 0.3) / np.pi
    alone = rng.uniform(0.15, 0.6)
    cells: list[_Cell] = []
    table = np.empty((0, 3))
    for _ in range(int(20 * wanted / RADIUS[0] ** 2) + 20):
        cell = _candidate(sides, cells, alone, rng)
        gaps = np.hypot(table[:, 0] - cell.y, table[:, 1] - cell.x) - 0.86 * (table[:, 2] + cell.radius)
        inside = 0 <= cell.y <= sides[0] and 0 <= cell.x <= sides[1]
        if inside and (gaps > 0).all() and not any(t.near(cell.y, cell.x, 0.5 * cell.radius) for t in tears):
            cells.append(cell)
            table = np.vstack([table, (cell.y, cell.x, cell.radius)])
        if (table[:, 2] ** 2).sum() > wanted:
            break
    return cells


def _candidate(sides: tuple[float, float], cells: Sequence[_Cell], alone: float, rng: np.random.Generator) -> _Cell:
    radius, angle = rng.uniform(*RADIUS), rng.uniform(0, 2 * np.pi)
    y, x = rng.uniform(0, sides[0]), rng.uniform(0, sides[1])
    if not cells or rng.random() < alone:
        return _Cell(y, x, radius, cells[-1].cluster + 1 if cells else 0)
    mate = cells[int(rng.integers(len(cells)))]
    reach = (mate.radius + radius) * rng.uniform(0.88, 0.97)
    return _Cell(mate.y + reach * np.sin(angle), mate.x + reach * np.cos(angle), radius, mate.cluster)


def _draw_cell(scene: Scene, cell: _Cell, number: int, rng: np.random.Generator, *, faint: bool) -> None:
    region, down, right = scene.around(cell.y, cell.x, 2.1 * cell.radius)
    distance = _distance(down / cell.radius, right / cell.radius, rng)
    dome = cell.radius * rng.uniform(0.5, 0.85) * np.sqrt(np.clip(1 - distance**2.4, 0, None))
    tone, wall = FILM + rng.uniform(-0.16, 0.08), rng.uniform(0.04, 0.2)
    ring = scene.tone[region][(distance > 1) & (distance < 1.5)]
    seen = (distance < 1) & (dome > scene.above[region])
    if faint and ring.size:
        # what charges least stays at its surroundings' brightness, or a little below
        tone, wall, dome = float(ring.mean()) - 0.025, 0.0, 0.5 * dome
    depth = (1 - distance) * cell.radius
    body = tone + wall * np.exp(-(((depth - 120) / 170) ** 2))
    scene.tone[region][seen] = body[seen]
    scene.above[region][seen] = dome[seen]
    scene.relief[region][seen] = 0.2 if faint else 1.0
    scene.owner[region][seen] = number
    scene.ice[region][seen] = 0


def _distance(down: Array, right: Array, rng: np.random.Generator) -> Array:
    """Return distances from the centre of a cell of unit radius: 1 on its wobbly outline, that of its bud included."""
    stretch, turn = rng.uniform(1, 1.15), rng.uniform(0, np.pi)
    u = (right * np.cos(turn) + down * np.sin(turn)) / stretch
    v = (down * np.cos(turn) - right * np.sin(turn)) * stretch
    waves = [rng.normal(0, 0.07 / k) * np.exp(2j * np.pi * rng.random()) for k in range(6, 1, -1)]
    radius = np.hypot(u, v)
    # the powers of exp(i angle) are the waves around the cell
    body = radius / np.polyval([*waves, 0, 1], (u + 1j * v) / np.maximum(radius, 1e-9)).real
    bud, side = rng.uniform(0.35, 0.6), rng.uniform(0, 2 * np.pi)
    if rng.random() > 0.25:
        return body
    reach = 1 + 0.6 * bud
    small = np.hypot(u - reach * np.cos(side), v - reach * np.sin(side)) / bud
    return np.minimum(body, small)
