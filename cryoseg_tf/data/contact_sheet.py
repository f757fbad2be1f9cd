"""Draw all images of a set with their masks on one page, what deserves attention first.

The page is one file that needs nothing else: images are JPEG and masks transparent PNG over them,
both as ``data:`` addresses, so that a switch shows and hides all masks at once.
"""

import base64
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import maximum_filter, minimum_filter

from .. import __version__
from ..config import IGNORE, DataConfig
from ..errors import ImageError
from ..io import atomic
from ..io.mask import Mask
from ..io.micrograph import read_micrograph
from ..io.page import templates
from .check import Concern, Finding
from .concerns import LEVELS, Conclusion
from .pairs import read_annotated
from .similar import Floats, thumbnail

SIDES = ((40, 640), (120, 480), (300, 320))
"""Up to so many images a thumbnail's longer side is so long in pixels; beyond, ``SMALL``."""

SMALL = 240

LITTLE = 320
"""Images are magnified by whole numbers up to about this many pixels."""

COLOURS = ("#ffd60a", "#ff5fa2", "#32d7ff", "#7dff5a", "#ff8c32", "#b48cff", "#ff4646", "#f0f0c8")
"""One for each class after the background, in turn; all stand out from gray."""

FILL, OUTLINE, DARK = 40, 255, 130
"""How opaque a mask's areas, its outlines and what is not annotated are drawn, of 255."""


@dataclass(frozen=True)
class Card:
    """One image on the page: its finding, the numbers of the concerns that name it, and its pictures."""

    finding: Finding
    level: str
    remarks: tuple[tuple[int, str], ...]
    picture: str
    overlay: str


def cards(conclusion: Conclusion, config: DataConfig, threads: int | None = None) -> Iterator[Card]:
    """Yield a card for each image, those with errors first, then warnings, notes, and the others."""
    remarks = _remarks(conclusion.concerns)
    ranked = sorted(conclusion.findings, key=lambda f: _rank(remarks.get(f.pair.name, []), conclusion.concerns))
    side = next((side for most, side in SIDES if len(ranked) <= most), SMALL)

    def card(finding: Finding) -> Card:
        mine = remarks.get(finding.pair.name, [])
        rank = _rank(mine, conclusion.concerns)
        picture, overlay = _pictures(finding, config, side)
        return Card(finding, (*LEVELS, "")[rank], tuple(mine), picture, overlay)

    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(card, ranked)


def write(path: Path, data: Path, conclusion: Conclusion, drawn: Sequence[Card], classes: Sequence[str]) -> None:
    """Write the page, at once: a reader sees the old one or the new one."""
    page = (
        templates("cryoseg_tf.data")
        .get_template("check.html")
        .render(
            data=data.resolve(),
            conclusion=conclusion,
            cards=drawn,
            classes=classes,
            colours=[COLOURS[k % len(COLOURS)] for k in range(len(classes) - 1)],
            levels=LEVELS,
            version=__version__,
        )
    )
    atomic.write_text(path, page)


def overlay(mask: Mask, shape: tuple[int, int]) -> Image.Image:
    """Draw a mask's outlines and areas as a transparent palette image of ``shape``.

    Outlines run just inside each object, and are a pixel wide on the page's scale.
    """
    rows, columns = ((2 * np.arange(new) + 1) * old // (2 * new) for old, new in zip(mask.shape, shape, strict=True))
    small = mask[np.ix_(rows, columns)]
    border = maximum_filter(small, 3) != minimum_filter(small, 3)
    # palette: 0 nothing; 2k - 1 the area and 2k the outline of class k; 255 not annotated
    drawn = np.where(small == 0, 0, np.minimum(2 * small.astype(int) - 1 + border, 254)).astype(np.uint8)
    drawn[small == IGNORE] = IGNORE
    picture = Image.fromarray(drawn, "P")
    colours, alphas = np.zeros((256, 3), np.uint8), np.zeros(256, np.uint8)
    for index in range(1, 255):
        text = COLOURS[(index - 1) // 2 % len(COLOURS)]
        colours[index] = [int(text[k : k + 2], 16) for k in (1, 3, 5)]
        alphas[index] = FILL if index % 2 else OUTLINE
    alphas[IGNORE] = DARK
    picture.putpalette(colours.tobytes())
    picture.info["transparency"] = alphas.tobytes()
    return picture


def _remarks(found: Sequence[Concern]) -> dict[str, list[tuple[int, str]]]:
    """Return, for each image's name, the numbers of the concerns that name it, with their evidence."""
    remarks: dict[str, list[tuple[int, str]]] = {}
    for number, concern in enumerate(found):
        for name, evidence in concern.details:
            remarks.setdefault(name, []).append((number, evidence))
    return remarks


def _rank(remarks: Sequence[tuple[int, str]], found: Sequence[Concern]) -> int:
    return min((LEVELS.index(found[number].level) for number, _ in remarks), default=len(LEVELS))


def _pictures(finding: Finding, config: DataConfig, side: int) -> tuple[str, str]:
    """Return an image and its mask as ``data:`` addresses; empty for what cannot be read."""
    try:
        try:
            read = read_annotated(finding.pair, config)
            pixels, mask = read.micrograph.pixels, read.mask
        except ImageError:
            pixels, mask = read_micrograph(finding.pair.image).pixels, None
    except ImageError:
        return "", ""
    longest = max(pixels.shape)
    factor = min(1.0, side / longest) if longest > LITTLE // 2 else LITTLE // longest
    height, width = (max(1, round(length * factor)) for length in pixels.shape)
    gray = Image.fromarray(_stretched(thumbnail(pixels, (height, width))))
    picture = _address(gray, "JPEG", quality=75)
    return picture, _address(overlay(mask, (height, width)), "PNG") if mask is not None else ""


def _stretched(values: Floats) -> npt.NDArray[np.uint8]:
    finite = np.nan_to_num(values, posinf=0, neginf=0)
    low, high = np.percentile(finite, [0.5, 99.8])
    return ((finite - low) / max(high - low, 1e-6) * 255).clip(0, 255).astype(np.uint8)


def _address(picture: Image.Image, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
