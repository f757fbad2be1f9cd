"""Ice: faceted crystals beside, under and on cells, blankets that bury, veils that coat, and frost.

What is annotated is what is seen. A cell under a veil keeps its outline and stays a cell; where a
blanket is higher than a cell, or a crystal lies on it, there is ice.
"""

import numpy as np

from .scene import FILM, OPAQUE, THIN, Scene


def draw_crystals(scene: Scene, density: float, rng: np.random.Generator, *, over: bool) -> None:
    """Draw faceted crystals: ``density`` in 1000 um2 on average; ``over`` cells, or where these will cover them."""
    area = scene.sides[0] * scene.sides[1] / 1e9
    for _ in range(rng.poisson(area * density)):
        y, x = (rng.uniform(0, side) for side in scene.sides)
        _draw_crystal(scene, y, x, rng, over=over)


def _draw_crystal(scene: Scene, y: float, x: float, rng: np.random.Generator, *, over: bool) -> None:
    sides = int(rng.integers(4, 8))
    normals = (np.arange(sides) + rng.uniform(-0.2, 0.2, sides)) * 2 * np.pi / sides + rng.uniform(0, 2 * np.pi)
    radius, slope = float(rng.lognormal(np.log(1300), 0.35)), rng.uniform(0.3, 0.8)
    region, down, right = scene.around(y, x, 3 * radius)
    # each facet rises from its side of the polygon to the top: the steepest one is the one seen
    heights = [(right * np.cos(n) + down * np.sin(n)) / (radius * rng.uniform(0.6, 1.2)) for n in normals]
    top = np.max(heights, axis=0)
    flat = rng.uniform(0.0, 0.5)
    rise = radius * slope * (0.35 + 0.65 * np.minimum(1 - top, 1 - flat))
    seen = (top < 1) & (over | (rise > scene.above[region]))
    shades = FILM + rng.uniform(0.08, 0.3) + 0.12 * np.cos(normals - scene.light) + rng.normal(0, 0.03, sides)
    below = scene.above[region][seen].mean() if over and seen.any() else 0.0
    scene.tone[region][seen] = np.where(top < flat, shades.mean(), shades[np.argmax(heights, axis=0)])[seen]
    scene.above[region][seen] = below + rise[seen]
    scene.relief[region][seen] = 1
    scene.ice[region][seen] = OPAQUE


def draw_frost(scene: Scene, rng: np.random.Generator) -> None:
    """Draw heaps of small round grains of frost in a third of the windows."""
    for _ in range(rng.choice([0, 1, 2, 3], p=[0.65, 0.15, 0.1, 0.1])):
        y, x = (rng.uniform(0, side) for side in scene.sides)
        spread, tone = rng.uniform(600, 1800), FILM + rng.uniform(0.0, 0.2)
        for _ in range(int(spread / 25)):
            at = rng.normal(0, spread, 2)
            radius = rng.uniform(300, 850) * (1.2 - 0.3 * min(float(np.hypot(*at)) / spread, 2))
            region, down, right = scene.around(y + at[0], x + at[1], radius)
            dome = radius * np.sqrt(np.clip(1 - (down**2 + right**2) / radius**2, 0, None))
            seen = dome > 0
            scene.above[region][seen] = (0.6 * scene.above[region] + dome)[seen]
            scene.tone[region][seen] = tone + rng.normal(0, 0.03)
            scene.ice[region][seen] = OPAQUE


def draw_blanket(scene: Scene, rng: np.random.Generator) -> None:
    """Bury a part of the window under rough ice, out of which the highest cells look."""
    shape = scene.rugged(rng.uniform(15e3, 30e3), rng) - rng.uniform(0.4, 1.3)
    level = rng.uniform(500, 1600) * np.sqrt(np.clip(shape, 0, None))
    rough = level * (1 + 0.2 * scene.rugged(rng.uniform(3000, 7000), rng))
    lies = (level > 0) & ~((scene.owner > 0) & (scene.above > level) & (scene.ice != OPAQUE))
    sunk = np.where(lies, 0.3 * np.minimum(scene.above, level) * (scene.relief > 0), 0)
    # film and cells are felt, hardly seen
    tone = FILM + rng.uniform(0.0, 0.2)
    scene.tone[lies] += (0.9 * (tone - scene.tone))[lies]
    scene.above[lies] = (rough + sunk)[lies]
    scene.relief[lies] = 1
    scene.defocus[lies] *= 0.3
    scene.ice[lies] = OPAQUE


def draw_veil(scene: Scene, rng: np.random.Generator) -> None:
    """Coat a part of the window with thin ice that keeps each outline."""
    shape = scene.rugged(rng.uniform(10e3, 25e3), rng) - rng.uniform(0.5, 1.3)
    lies = (shape > 0) & (scene.ice != OPAQUE) & (scene.relief > 0)
    tone = FILM + rng.uniform(0.02, 0.2)
    thick = np.sqrt(np.clip(shape, 0, 1))
    scene.tone[lies] += (0.75 * thick * (tone - scene.tone))[lies]
    scene.above[lies] = (scene.above * (1 - 0.35 * thick) + 350 * thick)[lies]
    scene.relief[lies] *= 0.75
    scene.ice[lies] = THIN


def draw_ice(scene: Scene, rng: np.random.Generator) -> None:
    """Draw all the ice that lies on cells: in most windows crystals, in some a veil, a blanket or frost."""
    if rng.random() < 0.25:
        draw_veil(scene, rng)
    if rng.random() < 0.3:
        draw_blanket(scene, rng)
    draw_crystals(scene, rng.uniform(0.3, 3.5), rng, over=True)
    draw_frost(scene, rng)
