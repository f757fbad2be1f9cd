r"""Tears in the film: open on one side of a line, with the film rolled up along the other.

::

      ________________   the roll, ``curl`` wide
    <------ line ------>
       \            /     the opening, ``width`` deep: far below there is nothing
          \________/
"""

from dataclasses import dataclass

import numpy as np

from .scene import FILM, Array, Scene

VACUUM = 0.08  # gray level of what lies far below: an opening without film


@dataclass(frozen=True)
class Tear:
    """A tear in the film: open on one side of a line, with the film rolled up along the other; lengths in nm."""

    y: float
    x: float
    turn: float
    length: float
    width: float
    curl: float
    sharp: float

    def axes(self, down: Array, right: Array) -> tuple[Array, Array]:
        """Return the distances along the line and across it from points relative to the tear."""
        along = right * np.cos(self.turn) + down * np.sin(self.turn)
        across = down * np.cos(self.turn) - right * np.sin(self.turn)
        return along, across + 0.02 * self.length * np.sin(along * 21 / self.length)

    def profile(self, along: Array) -> Array:
        """Return the share of the full width at each place along the line."""
        return np.clip(1 - np.abs(2 * along / self.length) ** self.sharp, 0, None)

    def near(self, y: float, x: float, margin: float) -> bool:
        """Say whether a point is within ``margin`` of the tear or its curl."""
        along, across = self.axes(np.array(y - self.y), np.array(x - self.x))
        ends = abs(along) < self.length / 2 + margin
        return bool(ends and -self.curl - margin < across < self.width + margin)


def draw_tears(scene: Scene, rng: np.random.Generator) -> list[Tear]:
    """Tear the film at about one place in 5000 um2, and return the tears."""
    height, width = scene.sides
    tears = []
    for _ in range(rng.poisson(min(height * width / 5e9, 4))):
        length = min(float(rng.lognormal(np.log(11e3), 0.5)), 0.45 * width)
        shape = length * rng.uniform(0.15, 0.5), length * rng.uniform(0.08, 0.25), rng.uniform(0.9, 2.5)
        place = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(0, 2 * np.pi)
        tears.append(Tear(*place, length, *shape))
        _draw_tear(scene, tears[-1])
    return tears


def _draw_tear(scene: Scene, tear: Tear) -> None:
    region, down, right = scene.around(tear.y, tear.x, 0.6 * tear.length + tear.width)
    along, across = tear.axes(down, right)
    profile = tear.profile(along)
    free = ~scene.mesh[region]
    hole = (across > 0) & (across < tear.width * profile) & free
    tone, height = scene.tone[region], scene.height[region]
    # a roll: half a cylinder along the line
    radius = np.maximum(tear.curl * profile / 2, 1)
    roll = np.sqrt(np.clip(1 - ((across + radius) / radius) ** 2, 0, None))
    rolled = (roll > 0) & (radius > 60) & free
    scene.above[region] += np.where(rolled, 0.8 * radius * roll, 0)
    tone[rolled] = (FILM + 0.12 + 0.3 * (tone - FILM))[rolled]
    edge = np.abs(across - tear.width * profile) * (profile > 0) + 1e9 * (profile <= 0)
    tone += 0.18 * np.exp(-((edge / 200) ** 2)) * free
    tone[hole] = VACUUM
    height[hole] = height.mean()
    scene.relief[region][hole] = 0
