"""The work on one image file of many: read, segment, encode. Any process can do it, here or elsewhere."""

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..config import Contract
from ..data.preprocess import Status
from ..errors import CryoSegError, ImageError
from ..io import atomic
from ..io.mask import write_mask
from ..io.micrograph import MONTAGE, is_montage, open_montage, read_micrograph
from .montage import segment_montage
from .segmenter import Segmenter
from .uncertainty import uncertainty, write_uncertainty


@dataclass(frozen=True)
class Task:
    """An image to segment.

    Attributes:
        image: The file.
        pixel_size: In nm, for a file that does not say.
        data_bar: Rows, for a file that does not say.
        unsure: Whether the uncertainty of each pixel is wanted too.
        known: The SHA-256 of the image whose mask is there already, or empty.
        scratch: A folder for what a montage needs until it is done.
        key: What a mask depends on besides the image, as the records have it.
    """

    image: Path
    pixel_size: float | None = None
    data_bar: int | None = None
    unsure: bool = False
    known: str = ""
    scratch: Path = Path()
    key: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """What came of a task.

    Attributes:
        sha256: Of the image; equal to the task's ``known`` where nothing was to be done.
        status: What was found about the image.
        foreground: The share of foreground pixels.
        mask: A PNG file's content; of a montage, an OME-TIFF's.
        uncertainty: A TIFF file's content, or empty.
        error: Why there is no mask, or empty.
    """

    sha256: str = ""
    status: Status = Status.OK
    foreground: float = 0.0
    mask: bytes = b""
    uncertainty: bytes = b""
    error: str = ""


class Workforce(Protocol):
    """Does tasks.

    Attributes:
        contract: Of the model that it works with.
    """

    contract: Contract

    def map(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Made]]:
        """Do the tasks; each comes back with what came of it, in any order."""
        ...


class Here:
    """Does one task after the other, in this process."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter, self.contract = segmenter, segmenter.contract

    def map(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Made]]:
        """See ``Workforce.map``; in order."""
        for task in tasks:
            yield task, make(self.segmenter, task)


def make(segmenter: Segmenter, task: Task) -> Made:
    """Do a task; what is wrong with an image is an answer too."""
    try:
        digest = atomic.sha256(task.image)
        return Made(digest) if digest == task.known else _segmented(segmenter, task, digest)
    except CryoSegError as error:
        return Made(error=str(error))
    except OSError as error:
        return Made(error=atomic.explain(error))
    except MemoryError:
        return Made(error=f"{task.image} needs more memory than there is")


def _segmented(segmenter: Segmenter, task: Task, digest: str) -> Made:
    if is_montage(task.image):
        return _streamed(segmenter, task, digest)
    micrograph = read_micrograph(task.image, pixel_size=task.pixel_size, data_bar=task.data_bar)
    segmenter.check(micrograph)
    result = segmenter.segment(micrograph, probabilities=task.unsure)
    mask, unsure, bar = io.BytesIO(), io.BytesIO(), micrograph.data_bar
    write_mask(mask, _with_bar(result.mask, bar))
    if result.probabilities is not None:
        write_uncertainty(unsure, _with_bar(uncertainty(result.probabilities), bar))
    foreground = float((result.mask > 0).mean())
    return Made(digest, result.status, foreground, mask.getvalue(), unsure.getvalue())


def _streamed(segmenter: Segmenter, task: Task, digest: str) -> Made:
    if task.unsure:
        raise ImageError(f"{task.image} is a montage: --uncertainty is for images of up to {MONTAGE} pixels")
    micrograph = open_montage(task.image, pixel_size=task.pixel_size, data_bar=task.data_bar)
    segmenter.check(micrograph)
    key = {"image": digest, **task.key}
    status, foreground, file = segment_montage(segmenter, micrograph, task.scratch, key)
    return Made(digest, status, foreground, file.read_bytes())


def _with_bar(values: npt.NDArray[Any], bar: int) -> npt.NDArray[Any]:
    """Return values at the file's own size, so that they lie on the image in any viewer; a bar shows no cell."""
    return np.pad(values, ((0, bar), (0, 0))) if bar else values  # no second one of a montage
