"""Charging, which follows the scan: it starts and ends between lines, and trails to the right.

Charge that is trapped in ice and cells changes how many electrons leave, to more or to less, until
it has leaked away; its time constants (Cazaux 2004, Scanning 26, PMID 15473270) are taken as some
of a line's time, or that of some lines.
"""

import numpy as np
from scipy import signal as filters

from .scene import Array, Scene


def charged(scene: Scene, signal: Array, rng: np.random.Generator) -> Array:
    """Return the signal with bright areas in a third of the windows and streaks in half of them."""
    if rng.random() < 1 / 3:
        signal = signal + _areas(scene, rng)
    if rng.random() < 1 / 2:
        signal = signal + _streaks(scene, rng)
    return signal


def _areas(scene: Scene, rng: np.random.Generator) -> Array:
    """Return patches that light up at one line and fade over the next ones."""
    height, width = scene.sides
    added = np.zeros_like(scene.tone)
    for _ in range(rng.integers(1, 3)):
        y, x, reach = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(4e3, 15e3)
        region, down, right = scene.around(y, x, 2 * reach)
        onset = down + rng.uniform(0, 0.6) * reach
        lines = (onset > 0) * np.exp(-np.clip(onset, 0, None) / rng.uniform(2e3, 12e3))
        patch = np.exp(-(((down**2 + right**2) / reach**2) ** 2)) * (1 + 0.3 * scene.field(3000, rng)[region])
        added[region] += rng.uniform(0.08, 0.3) * lines * patch
    return added * scene.relief


def _streaks(scene: Scene, rng: np.random.Generator) -> Array:
    """Return trails behind what sticks out, on the lines at which it was charged."""
    lines = np.clip(scene.field(rng.uniform(300, 900), rng)[:, :1] - rng.uniform(0.6, 1.4), 0, None)
    tall = np.clip(scene.above / 800, 0, 1) * (scene.relief > 0.5)
    onset = np.clip(np.diff(tall, axis=1, prepend=0), 0, None)
    decay = np.exp(-scene.pixel_size / rng.uniform(3e3, 14e3))
    trail = filters.lfilter([1.0], [1.0, -decay], onset, axis=1)
    return rng.choice([-0.16, 0.14]) * np.clip(lines * trail, 0, 2)
