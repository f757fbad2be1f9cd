"""Whatever makes a mask of a micrograph: a network, a classical method, or another program long ago."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple, Protocol

from ..config import Contract
from ..io.micrograph import Micrograph
from .segmenter import Segmentation

Progress = Callable[[int, int, str], None]
"""Called after each of several things with how many are done, how many there are, and a name."""

Watch = Callable[[int, str], AbstractContextManager[Progress]]
"""Opens the progress of so many things, with what is done to them in words."""


class Method(Protocol):
    """Turns micrographs into masks, as a ``Segmenter`` does with a network."""

    @property
    def contract(self) -> Contract:
        """Names the classes that it tells apart."""
        ...

    def check(self, micrograph: Micrograph) -> None:
        """Refuse a micrograph that lacks what every one must have, as a pixel size.

        Raises:
            DataError: Naming its file.
        """
        ...

    def segment(self, micrograph: Micrograph, probabilities: bool = False) -> Segmentation:
        """Segment one micrograph; where there are no probabilities, none are given.

        Raises:
            ImageError: If there is no mask for this one.
        """
        ...


class Loaded(NamedTuple):
    """A method that is ready, and in words what was stated, learned or assumed for it."""

    method: Method
    about: str


@contextmanager
def unwatched(count: int, what: str) -> Iterator[Progress]:
    """Show no progress."""
    yield lambda done, total, name: None
