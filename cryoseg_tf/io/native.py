"""What libraries that are not Python say by themselves."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_native_stderr() -> Iterator[None]:
    """Drop what native code writes to standard error, where no setting keeps it from that."""
    try:
        kept = os.dup(2)
    except OSError:  # there is none
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def load_tensorflow() -> None:
    """Load TensorFlow in a process that is to use it, in silence."""
    with no_native_stderr():
        import tensorflow  # noqa: F401
