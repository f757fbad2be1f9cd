"""Where on the stage images were taken, and which of them overlap."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..io.micrograph import Micrograph

TURNED = 1.0
"""Positions taken at stage rotations that differ by more degrees than this cannot be compared."""


@dataclass(frozen=True)
class StageField:
    """An upright box around an image's field on the stage: centre and sides in um, stage rotation in degrees."""

    x: float
    y: float
    width: float
    height: float
    rotation: float = 0.0


def stage_field(micrograph: Micrograph) -> StageField | None:
    """Return an image's field on the stage, or None where its file does not say."""
    said, size = micrograph.metadata, micrograph.pixel_size
    if said.stage_x is None or said.stage_y is None or size is None:
        return None
    height, width = (side * size / 1e3 for side in micrograph.pixels.shape)
    turn = np.radians(said.scan_rotation or 0.0)
    # around the turned field: instruments differ in the sense of rotation, and this box holds for either
    across, along = float(abs(np.cos(turn))), float(abs(np.sin(turn)))
    sides = width * across + height * along, width * along + height * across
    return StageField(said.stage_x, said.stage_y, *sides, said.rotation or 0.0)


def overlaps(fields: Sequence[StageField | None]) -> list[tuple[int, int]]:
    """Return the pairs ``(i, j)``, ``i < j``, whose fields overlap."""
    known = [i for i, field in enumerate(fields) if field is not None]
    table = np.array([(f.x, f.y, f.width, f.height, f.rotation) for f in fields if f is not None]).reshape(-1, 5)
    links = []
    for row, (field, others) in enumerate((table[r], table[r + 1 :]) for r in range(len(table))):
        distance = np.abs(others[:, :2] - field[:2])
        turned = np.abs((others[:, 4] - field[4] + 180) % 360 - 180)
        near = (distance < (others[:, 2:4] + field[2:4]) / 2).all(1) & (turned <= TURNED)
        links += [(known[row], known[row + 1 + int(k)]) for k in np.flatnonzero(near)]
    return links
