"""From the specimen to secondary electrons: slopes, shadow, coating, dirt, and the detector's side.

A slope emits about ``1 / cos`` as much as a flat surface, since electrons that are set free deeper
still come out of its side: the edge effect. A detector on one side sees the slopes towards it
brighter, and crevices are dark as their electrons are caught (Reimer, Scanning Electron Microscopy,
1998, doi:10.1007/978-3-540-38967-5).
"""

import numpy as np
from scipy import ndimage, special

from .scene import Array, Scene

ESCAPE = 130.0  # nm, over which electrons blur an edge


def draw_dirt(scene: Scene, rng: np.random.Generator) -> None:
    """Draw flecks, small bright specks and dark, ragged stains on the film."""
    area = scene.sides[0] * scene.sides[1] / 1e9
    flecks = special.expit(8 * (scene.rugged(rng.uniform(1500, 3500), rng) - rng.uniform(1.2, 2.2)))
    scene.tone[:] += rng.uniform(-0.05, 0.15) * flecks
    for _ in range(rng.poisson(area * rng.uniform(5, 40))):
        y, x = (rng.uniform(0, side) for side in scene.sides)
        radius, bright = float(rng.lognormal(np.log(170), 0.4)), rng.uniform(0.08, 0.35)
        region, down, right = scene.around(y, x, 3 * radius)
        scene.tone[region] += bright * np.exp(-(((down**2 + right**2) / radius**2) ** 2))
    for _ in range(rng.poisson(min(area * rng.uniform(0, 0.8), 20))):
        y, x = (rng.uniform(0, side) for side in scene.sides)
        _draw_stain(scene, y, x, rng)


def _draw_stain(scene: Scene, y: float, x: float, rng: np.random.Generator) -> None:
    radius = rng.uniform(800, 3000)
    region, down, right = scene.around(y, x, 1.8 * radius)
    distance = np.hypot(down, right)
    waves = [rng.normal(0, 0.25 / k**0.7) * np.exp(2j * np.pi * rng.random()) for k in range(8, 1, -1)]
    outline = np.polyval([*waves, 0, 1], (right + 1j * down) / np.maximum(distance, 1e-9)).real
    inside = np.clip(outline, 0.3, 1.7) * radius - distance
    scene.tone[region] -= rng.uniform(0.05, 0.2) * np.clip(inside / 300, 0, 1)


def emitted(scene: Scene, rng: np.random.Generator) -> Array:
    """Return the signal of the whole surface, ``(size, size)``, 0 for black and 1 for white."""
    height = scene.height + scene.above
    down, right = np.gradient(height, *scene.step)
    secant = np.sqrt(1 + down**2 + right**2)
    # the detector's side of a slope falls towards it
    facing = -(right * np.cos(scene.light) + down * np.sin(scene.light)) / secant
    steep = (secant - 1) / (1 + (secant - 1) / 1.3)
    edge, side = rng.uniform(0.26, 0.42), rng.uniform(0.1, 0.22)
    relief = ndimage.gaussian_filter((edge * steep + side * facing) * scene.relief, ESCAPE / scene.pixel_size)
    signal = (scene.tone + relief) * (1 - rng.uniform(0.3, 0.5) * _shadow(scene, height))
    return np.clip(signal, 0.02, None) * _coating(scene, rng) * _shading(scene, rng)


def _shadow(scene: Scene, height: Array) -> Array:
    """Return how deep each pixel lies below its surroundings on the detector's side, 0 to 1."""
    width = [max(1, round(1600 / step)) for step in scene.step]
    mean = ndimage.uniform_filter(ndimage.uniform_filter(height, width), width)
    away = [round(500 * turn(scene.light) / step) for turn, step in zip((np.sin, np.cos), scene.step, strict=True)]
    mean = ndimage.shift(mean, np.negative(away), order=0, mode="nearest")
    return np.clip((mean - height) / 1000, 0, 1) * scene.relief


def _coating(scene: Scene, rng: np.random.Generator) -> Array:
    """Return the sputtered metal's grain and the surface's unevenness, about 1."""
    grain, strength = rng.uniform(180, 450), rng.uniform(0.02, 0.08)
    # grains smaller than a pixel average out
    seen = max(grain, scene.pixel_size)
    fine = strength * grain / seen * scene.field(seen, rng)
    return np.clip(1 + fine + 0.03 * scene.field(max(900, seen), rng) + 0.05 * scene.field(5000, rng), 0.3, None)


def _shading(scene: Scene, rng: np.random.Generator) -> Array:
    """Return the slow change of brightness across the field: nearer to the detector is brighter."""
    y, x = scene.everywhere()
    turn = scene.light + rng.normal(0, 0.5)
    return 1 + rng.uniform(0.05, 0.3) * 2 * (x * np.cos(turn) + y * np.sin(turn)) / max(scene.sides)
