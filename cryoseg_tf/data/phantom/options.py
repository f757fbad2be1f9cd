"""What is asked of a phantom, and the classes it can tell apart."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import ConfigError

BACKGROUND, CELL, ICE, MESH = range(4)
CLASSES = ("cell", "ice", "mesh")
"""What can be annotated. Mesh means the grid's bars, seen through the film on them; the film is background."""

ANNOTATIONS = ("all", "clusters-only")
MAX_PIXEL_SIZE = 1000.0  # nm; beyond, the smallest cells are under 3 pixels wide


@dataclass(frozen=True)
class PhantomOptions:
    """What to draw and what to annotate.

    Attributes:
        size: Height and width in pixels, at least 64.
        pixel_size: In nm, above 0 and at most 1000. Cells are 3000 to 6000 nm wide at any pixel size.
        classes: Of "cell", "ice" and "mesh", those to annotate; their order gives the mask's
            values, from 1. All else is background, 0. ``("cell",)`` is the binary task.
        annotation: "all", or "clusters-only", which leaves cells that touch no other unmarked.

    Raises:
        ConfigError: If a value is none of these.
    """

    size: int = 512
    pixel_size: float = 100.0
    classes: tuple[str, ...] = CLASSES
    annotation: str = "all"

    def __post_init__(self) -> None:
        if self.size < 64:
            raise ConfigError(f"size is {self.size}: it must be at least 64 pixels")
        if not 0 < self.pixel_size <= MAX_PIXEL_SIZE:
            raise ConfigError(f"pixel_size is {self.pixel_size}: it must be above 0 and at most {MAX_PIXEL_SIZE:g} nm")
        if not self.classes or len(set(self.classes)) < len(self.classes) or not set(self.classes) <= set(CLASSES):
            raise ConfigError(f"classes is {', '.join(self.classes)!r}: name some of {', '.join(CLASSES)}, each once")
        if self.annotation not in ANNOTATIONS:
            raise ConfigError(f"annotation is {self.annotation!r}: it must be {' or '.join(ANNOTATIONS)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The classes by mask value, background first."""
        return ("background", *self.classes)


def check_seed(seed: int | Sequence[int]) -> None:
    """Refuse a seed that is, or holds, a negative number."""
    if min(seed if isinstance(seed, Sequence) else [seed]) < 0:
        raise ConfigError(f"seed is {seed}: it must not be negative")
