"""Draw a synthetic cryo-SEM grid window with an exact mask: a phantom, to try things without data.

All objects have sizes in nanometres and are drawn from the back to the front; cells enter the mask, and
ice crystals on request::

    film with holes -> grid bars -> ice and dirt -> cells -> texture -> gradient -> blur -> noise
    |------------- background in the mask ------|   1   |------- the mask does not change ------|
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile
from scipy import ndimage, special

from ..errors import ConfigError, DataError
from ..io.atomic import written
from ..io.mask import Mask, write_mask

Array = npt.NDArray[np.float64]
Region = tuple[slice, slice]

FILM = 0.45  # film's gray level, where 0 is the detector's black and 1 its white
CELL_RADIUS = (1500.0, 3000.0)  # nm; budding yeast is 3 to 6 um wide
CELL, ICE = 1, 2  # in the mask
MAX_PIXEL_SIZE = 1000.0  # nm; beyond, the smallest cells are under 3 pixels wide


@dataclass(frozen=True)
class _Scene:
    """What has been drawn: ``gray`` and ``mask``, both ``(size, size)``, and where the detector stands."""

    pixel_size: float
    light: float
    gray: Array
    mask: Mask

    @property
    def side(self) -> float:
        """The field of view's width and height in nm."""
        return len(self.gray) * self.pixel_size

    def around(self, y: float, x: float, reach: float) -> tuple[Region, Array, Array]:
        """Return the pixels within ``reach`` nm of a point, and their centres' distances down and right of it in nm."""
        ends = (np.array([[y - reach, y + reach], [x - reach, x + reach]]) / self.pixel_size).clip(0, len(self.gray))
        rows, columns = (slice(int(start), int(np.ceil(stop))) for start, stop in ends)
        down = (np.arange(rows.start, rows.stop, dtype=np.float64) + 0.5) * self.pixel_size - y
        right = (np.arange(columns.start, columns.stop, dtype=np.float64) + 0.5) * self.pixel_size - x
        return (rows, columns), down[:, None], right[None, :]


def render(
    seed: int | Sequence[int], size: int = 512, pixel_size: float = 100.0, bits: int = 16, ice: bool = False
) -> tuple[npt.NDArray[np.uint8] | npt.NDArray[np.uint16], Mask]:
    """Draw one grid window with yeast-like cells and its mask.

    The scene depends on ``seed`` and the field of view, ``size * pixel_size``, alone: at
    half the pixel size and twice the size it is the same, more finely seen.

    Args:
        seed: One or more whole numbers, none negative.
        size: Height and width in pixels.
        pixel_size: In nm. Cells are 3000 to 6000 nm wide at any pixel size.
        bits: 8 or 16, the image's depth.
        ice: Ice crystals are a class of their own, 2, where no cell covers them.

    Returns:
        The image, ``(size, size)`` uint8 or uint16, and its mask, ``(size, size)`` uint8 with
        1 in the pixels whose centre lies in a cell and 0 in the others.

    Raises:
        ConfigError: If ``size`` is below 64, ``pixel_size`` is not above 0 and at most 1000, a
            seed is negative, or ``bits`` is neither 8 nor 16.
    """
    _check(seed, size, pixel_size)
    if bits not in (8, 16):
        raise ConfigError(f"bits is {bits}: it must be 8 or 16")
    # a stream each, so that the number of pixels changes the noise and nothing else
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(6)]
    shape = (size, size)
    scene = _Scene(pixel_size, streams[0].uniform(0, 2 * np.pi), np.full(shape, FILM), np.zeros(shape, np.uint8))
    _draw_film(scene, streams[0])
    _draw_bars(scene, streams[1])
    _draw_dirt(scene, streams[2])
    for y, x, radius in _places(scene.side, streams[3]):
        _draw_cell(scene, y, x, radius, streams[3])
    _light(scene, streams[4])
    mask = scene.mask if ice else np.where(scene.mask == ICE, 0, scene.mask).astype(np.uint8)
    return _detect(scene.gray, bits, streams[5]), mask


def write_phantom(
    out: Path | str,
    images: int = 24,
    test: int = 6,
    size: int = 512,
    seed: int = 0,
    pixel_size: float = 100.0,
    *,
    ice: bool = False,
) -> list[Path]:
    """Write annotated phantoms as ``out/train`` and ``out/test``, each with ``images/`` and ``masks/``.

    Images are ImageJ TIFFs that state their pixel size, every third of 8 bit and the others of
    16 bit; masks are PNGs. The files' bytes depend on the arguments alone, and an image stays
    the same when more are asked for.

    Args:
        out: A folder that does not exist yet or is empty.
        images: How many to train on.
        test: How many to test on; with 0 there is no ``test/``.
        size: Height and width in pixels.
        seed: Another seed gives other images.
        pixel_size: In nm.
        ice: Ice crystals are a class of their own; ``classes.txt`` names it.

    Returns:
        The images' paths, those to train on first.

    Raises:
        ConfigError: If ``images`` is below 1, ``test`` below 0, or `render` refuses a value.
        DataError: If ``out`` is a file or holds anything.
    """
    _check(seed, size, pixel_size)
    for name, count, least in (("images", images, 1), ("test", test, 0)):
        if count < least:
            raise ConfigError(f"{name} is {count}: it must be at least {least}")
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file: choose another folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise DataError(f"{folder} exists and is not empty: choose another folder")
    # resolved, as "." has no name to write beside
    with written(folder.resolve()) as part:
        names = [
            _write_pair(part / place, index, (seed, stream, index), size, pixel_size, ice).relative_to(part)
            for stream, (place, count) in enumerate((("train", images), ("test", test)))
            for index in range(count)
        ]
        if ice:
            (part / "classes.txt").write_text("background\ncell\nice\n", "utf-8")
    return [folder / name for name in names]


def _check(seed: int | Sequence[int], size: int, pixel_size: float) -> None:
    if np.min(seed) < 0:
        raise ConfigError(f"seed is {seed}: it must not be negative")
    if size < 64:
        raise ConfigError(f"size is {size}: it must be at least 64 pixels")
    if not 0 < pixel_size <= MAX_PIXEL_SIZE:
        raise ConfigError(f"pixel_size is {pixel_size}: it must be above 0 and at most {MAX_PIXEL_SIZE:g} nm")


def _write_pair(place: Path, index: int, seed: Sequence[int], size: int, pixel_size: float, ice: bool) -> Path:
    image, mask = render(seed, size, pixel_size, 8 if index % 3 == 2 else 16, ice)
    path = place / "images" / f"phantom_{index:03}.tif"
    path.parent.mkdir(parents=True, exist_ok=True)
    (place / "masks").mkdir(exist_ok=True)
    per_um = 1000 / pixel_size
    tifffile.imwrite(path, image, imagej=True, resolution=(per_um, per_um), metadata={"unit": "um"})
    write_mask(place / "masks" / f"{path.stem}.png", mask)
    return path


def _draw_film(scene: _Scene, rng: np.random.Generator) -> None:
    """Draw a square lattice of round holes, some of them under thick ice, as in a Quantifoil R2/2 film."""
    period, turn = rng.uniform(3600, 4400), rng.uniform(-0.3, 0.3)
    radius = period * rng.uniform(0.24, 0.3)
    shift = rng.uniform(0, 1, 2)
    _, y, x = scene.around(0, 0, scene.side)
    u = (x * np.cos(turn) + y * np.sin(turn)) / period + shift[0]
    v = (y * np.cos(turn) - x * np.sin(turn)) / period + shift[1]
    column, row = np.rint(u), np.rint(v)
    outside = np.hypot(u - column, v - row) * period - radius
    darkness = rng.uniform(0.7, 1.0, (61, 61))[row.astype(int) % 61, column.astype(int) % 61]
    bare = 1 - 0.85 * special.expit(6 * (_field(scene, 12000, rng) - rng.uniform(0.3, 1.8)))
    hole = darkness * special.expit(-outside / 60)
    rim = np.exp(-((outside / 160) ** 2))
    scene.gray[:] += bare * (0.1 * rim - 0.27 * hole)


def _draw_bars(scene: _Scene, rng: np.random.Generator) -> None:
    """Draw grid bars under the film at one or two edges of about half the windows."""
    sides = rng.permutation(4)[: rng.choice([0, 1, 2], p=[0.5, 0.3, 0.2])]
    level, turn = FILM + rng.choice([-0.12, 0.16]), rng.normal(0, 0.06)
    _, y, x = scene.around(scene.side / 2, scene.side / 2, scene.side)
    for side in sides:
        angle = side * np.pi / 2 + turn
        width = min(rng.uniform(3000, 9000), 0.25 * scene.side)
        inside = x * np.cos(angle) + y * np.sin(angle) - scene.side / 2 + width
        cover = special.expit(inside / 120)
        scene.gray[:] += cover * (level + 0.35 * (scene.gray - FILM) - scene.gray)
        scene.gray[:] += 0.18 * np.exp(-((inside / 250) ** 2)) - 0.1 * np.exp(-(((inside + 900) / 600) ** 2))


def _draw_dirt(scene: _Scene, rng: np.random.Generator) -> None:
    """Draw faceted ice crystals and small round specks."""
    area = (scene.side / 1000) ** 2
    for _ in range(rng.poisson(area * rng.uniform(0.002, 0.009))):
        _draw_crystal(scene, rng)
    for _ in range(rng.poisson(area * rng.uniform(0.005, 0.05))):
        y, x = rng.uniform(0, scene.side, 2)
        radius, bright = rng.uniform(120, 450), rng.uniform(0.15, 0.5)
        region, down, right = scene.around(y, x, 3 * radius)
        scene.gray[region] += bright * np.exp(-(((down**2 + right**2) / radius**2) ** 2))


def _draw_crystal(scene: _Scene, rng: np.random.Generator) -> None:
    y, x = rng.uniform(0, scene.side, 2)
    sides = int(rng.integers(4, 7))
    normals = (np.arange(sides) + rng.uniform(-0.15, 0.15, sides)) * 2 * np.pi / sides + rng.uniform(0, 2 * np.pi)
    radius = rng.uniform(700, 2400)
    region, down, right = scene.around(y, x, 3 * radius)
    # each facet rises from its side of the polygon to the top: the steepest one is the one seen
    heights = [(right * np.cos(n) + down * np.sin(n)) / (radius * rng.uniform(0.6, 1.1)) for n in normals]
    top = np.max(heights, axis=0)
    shades = FILM + rng.uniform(0.1, 0.4) + 0.2 * np.cos(normals - scene.light)
    cover = np.clip(0.5 + (1 - top) * radius / scene.pixel_size, 0, 1)
    shade = shades[np.argmax(heights, axis=0)] + 0.2 * np.exp(-(1 - np.minimum(top, 1)) * radius / 150)
    scene.gray[region] += cover * (shade - scene.gray[region])
    scene.mask[region][cover >= 0.5] = ICE


def _places(side: float, rng: np.random.Generator) -> Array:
    """Return ``(cells, 3)`` centres' y and x and radii in nm: single cells, and clusters of touching ones."""
    wanted = side**2 * rng.uniform(0.12, 0.3)
    alone = rng.uniform(0.2, 0.6)
    spare = int(20 * wanted / (np.pi * CELL_RADIUS[0] ** 2)) + 20
    cells, count = np.empty((spare, 3)), 0
    for _ in range(spare):
        radius, angle = rng.uniform(*CELL_RADIUS), rng.uniform(0, 2 * np.pi)
        y, x = rng.uniform(0, side, 2)
        if count and rng.random() > alone:
            mate = cells[rng.integers(count)]
            reach = (mate[2] + radius) * rng.uniform(0.9, 0.97)
            y, x = mate[0] + reach * np.sin(angle), mate[1] + reach * np.cos(angle)
        gaps = np.hypot(cells[:count, 0] - y, cells[:count, 1] - x) - 0.88 * (cells[:count, 2] + radius)
        if (gaps > 0).all() and min(y, x) >= 0 and max(y, x) <= side:
            cells[count] = y, x, radius
            count += 1
        if np.pi * (cells[:count, 2] ** 2).sum() > wanted:
            break
    return cells[:count]


def _draw_cell(scene: _Scene, y: float, x: float, radius: float, rng: np.random.Generator) -> None:
    stretch, turn = rng.uniform(1, 1.15), rng.uniform(0, np.pi)
    region, down, right = scene.around(y, x, 1.8 * radius)
    u = (right * np.cos(turn) + down * np.sin(turn)) / (radius * stretch)
    v = (down * np.cos(turn) - right * np.sin(turn)) / (radius / stretch)
    around = np.arctan2(v, u)
    outline = 1 + sum(rng.normal(0, 0.08 / k) * np.cos(k * around + rng.uniform(0, 2 * np.pi)) for k in range(2, 7))
    distance = np.hypot(u, v) / outline  # 1 on the outline
    depth = (1 - distance) * radius
    facing = (right * np.cos(scene.light) + down * np.sin(scene.light)) / radius
    faint = 0.35 if rng.random() < 0.2 else 1.0
    lee = np.clip(-facing, 0, 1) * np.exp(np.minimum(depth, 0) / 500)
    scene.gray[region] *= 1 - 0.35 * faint * lee
    # slopes emit more secondary electrons than flat tops: SEM's bright edge
    edge = np.exp(-np.maximum(depth, 0) / rng.uniform(180, 350))
    body = FILM + faint * (rng.uniform(-0.08, 0.14) + 0.13 * facing + rng.uniform(0.2, 0.36) * edge)
    cover = np.clip(0.5 + depth / scene.pixel_size, 0, 1)
    scene.gray[region] += cover * (body - scene.gray[region])
    scene.mask[region][distance < 1] = CELL


def _light(scene: _Scene, rng: np.random.Generator) -> None:
    """Add the surface's texture and the slow change of brightness across the field."""
    scene.gray[:] *= 1 + 0.035 * _field(scene, 700, rng) + 0.05 * _field(scene, 5000, rng)
    angle, steep = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.35)
    _, y, x = scene.around(scene.side / 2, scene.side / 2, scene.side)
    scene.gray[:] *= 1 + steep * (2 * (x * np.cos(angle) + y * np.sin(angle)) / scene.side)


def _field(scene: _Scene, grain: float, rng: np.random.Generator) -> Array:
    """Return smooth noise of about unit deviation whose bumps are ``grain`` nm apart."""
    knots = rng.normal(size=(int(scene.side / grain) + 3,) * 2)
    _, y, x = scene.around(0, 0, scene.side)
    return 1.4 * _between(_between(knots, y.ravel() / grain + 0.5).T, x.ravel() / grain + 0.5).T


def _between(knots: Array, places: Array) -> Array:
    """Interpolate smoothly between rows of ``knots``: ``(places, columns)``."""
    below = np.floor(places).astype(int)
    part = (0.5 - 0.5 * np.cos(np.pi * (places - below)))[:, None]
    return (1 - part) * knots[below] + part * knots[below + 1]


def _detect(gray: Array, bits: int, rng: np.random.Generator) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Blur, count electrons, and digitise with this image's contrast and brightness."""
    seen = ndimage.gaussian_filter(np.clip(gray, 0, None), rng.uniform(0.6, 1.1))
    dose = rng.uniform(60, 250)  # electrons a pixel at white
    signal = rng.poisson(seen * dose) / dose + rng.normal(0, rng.uniform(0.01, 0.03), gray.shape)
    contrast, brightness = rng.uniform(0.45, 0.85), rng.uniform(0.03, 0.2)
    white = 2**bits - 1
    values = np.clip(np.rint((brightness + contrast * signal) * white), 0, white)
    return values.astype(np.uint8) if bits == 8 else values.astype(np.uint16)
