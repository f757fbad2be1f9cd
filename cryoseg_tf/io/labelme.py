"""Read the JSON that LabelMe writes beside an image: labelled shapes, drawn into a mask.

Coordinates are x, y in pixels from the image's top left corner, so pixel (row, column) has its
centre at (column + 0.5, row + 0.5). It belongs to a shape when that centre lies inside; a centre
on a left or top edge does, on a right or bottom edge does not, so shapes that share an edge
neither overlap nor leave a gap.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field, ValidationError

from ..config import IGNORE
from ..errors import ImageError
from ..expressions import first_flaw

IGNORE_LABEL = "ignore"
"""A shape of this label marks pixels that are not annotated."""

Points = npt.NDArray[np.float64]
Inside = npt.NDArray[np.bool_]
# far beyond any image, and near enough that no product overflows
_Coordinate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]


class _Shape(BaseModel):
    label: str
    points: list[tuple[_Coordinate, _Coordinate]]
    shape_type: str | None = None


class _Annotation(BaseModel):
    shapes: list[_Shape]
    height: int | None = Field(None, alias="imageHeight")
    width: int | None = Field(None, alias="imageWidth")


def read_labelme(
    path: Path, classes: Sequence[str], ignore: int | None, shape: tuple[int, int], data_bar: int = 0
) -> npt.NDArray[np.uint8]:
    """Draw the shapes, in the file's order, as ``(height, width)`` class indices.

    Labels are names of ``classes``. The label "ignore", or the number ``ignore``, gives ``IGNORE``.
    ``data_bar`` rows may have been cropped off the image since it was annotated.

    Raises:
        ImageError: If the file is damaged, is of an image of another size, or holds a label that
            is no class or a shape without an area.
    """
    annotation = _read(path)
    height, width = shape
    if annotation.height not in (None, height, height + data_bar) or annotation.width not in (None, width):
        size = f"{annotation.width or width}x{annotation.height or height}"
        raise ImageError(f"{path} is for an image of {size} but its image is {width}x{height}: they must have one size")
    mask = np.zeros(shape, np.uint8)
    for drawn in annotation.shapes:
        _draw(mask, drawn, _value(drawn.label, classes, ignore, path), path)
    return mask


def labels_in(path: Path) -> set[str]:
    """Return the labels of a file's shapes.

    Raises:
        ImageError: If the file is damaged.
    """
    return {shape.label for shape in _read(path).shapes}


def ignored_labels(ignore: int | None) -> set[str]:
    """Return the labels that mean "not annotated"."""
    return {IGNORE_LABEL} if ignore is None else {IGNORE_LABEL, str(ignore)}


def _read(path: Path) -> _Annotation:
    try:
        return _Annotation.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise ImageError(f"{path} is not the JSON of LabelMe: {first_flaw(error)}") from None


def _value(label: str, classes: Sequence[str], ignore: int | None, path: Path) -> int:
    if label in ignored_labels(ignore):
        return IGNORE
    if label not in classes:
        raise ImageError(
            f"{path} holds the label {label!r}, but data.classes is {', '.join(classes)}: add it there, or relabel"
        )
    return list(classes).index(label)


def _draw(mask: npt.NDArray[np.uint8], shape: _Shape, value: int, path: Path) -> None:
    """Set the shape's pixels; only the window around it is touched."""
    points = np.array(shape.points, float).reshape(-1, 2)
    kind = shape.shape_type or "polygon"
    if kind not in _KINDS:
        raise ImageError(f"{path} holds a shape of type {kind!r}: known are {', '.join(_KINDS)}; redraw or remove it")
    minimum, inside = _KINDS[kind]
    if len(points) < minimum:
        raise ImageError(f"{path} holds a {kind} of {len(points)} points: it needs at least {minimum}; redraw it")
    reach = np.hypot(*(points[1] - points[0])) if kind == "circle" else 0.0
    height, width = mask.shape
    left, top = np.clip(np.floor(points.min(0) - reach), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(points.max(0) + reach), 0, (width, height)).astype(int)
    window = mask[top:bottom, left:right]
    window[inside(points - (left, top), window.shape)] = value


def _in_polygon(points: Points, shape: tuple[int, ...]) -> Inside:
    """Even-odd rule: along a row, each edge that is crossed switches between outside and inside."""
    height, width = shape
    centres = np.arange(height) + 0.5
    switches = np.zeros((height, width + 1), np.uint8)
    for start, end in zip(points, np.roll(points, -1, axis=0), strict=True):
        # from top to bottom, so that an edge shared by two shapes is computed alike
        (x0, y0), (x1, y1) = sorted((start, end), key=lambda p: (p[1], p[0]))
        rows = np.flatnonzero((y0 <= centres) & (centres < y1))
        if rows.size:
            crossing = x0 + (centres[rows] - y0) * ((x1 - x0) / (y1 - y0))
            switches[rows, np.clip(np.ceil(crossing - 0.5), 0, width).astype(int)] ^= 1
    return np.bitwise_xor.accumulate(switches, axis=1)[:, :width].astype(bool)


def _in_rectangle(points: Points, shape: tuple[int, ...]) -> Inside:
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    return _in_polygon(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]), shape)


def _in_circle(points: Points, shape: tuple[int, ...]) -> Inside:
    (x, y), edge = points[0], points[1]
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    distance = (columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2
    return np.asarray(distance < ((edge - points[0]) ** 2).sum())


_KINDS: dict[str, tuple[int, Callable[[Points, tuple[int, ...]], Inside]]] = {
    "polygon": (3, _in_polygon),
    "rectangle": (2, _in_rectangle),
    "circle": (2, _in_circle),
}
"""The least number of points of each kind of shape, and what says which pixels lie inside."""
