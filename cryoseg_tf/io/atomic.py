"""Write beside, then rename: a reader sees the old file or the new one, never a part."""

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

LONGEST = 255
"""Bytes that a file's name may have on all usual file systems."""


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that becomes ``path`` when the block succeeds.

    The block may make a file or a folder there. When it fails, nothing is left, nor of the folders
    above that were made for it. After a ``kill -9`` the temporary path may stay; the next write to
    ``path`` replaces it.

    Raises:
        OSError: Naming ``path``, also where the system names no file, as it does for a full disk.
    """
    part, made = beside(path), []
    _refuse_detour(path)
    try:
        made += [folder for folder in path.parents if not folder.exists()]
        remove(part)
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if part.is_file():
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        _replace(part, path)
    except OSError as error:
        if error.errno is None or (error.filename is not None and not str(error.filename).startswith(str(part))):
            raise  # about another file, or from no system call
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            remove(part)
        for folder in made:
            with suppress(OSError):  # what holds something stays
                folder.rmdir()


def write_text(path: Path, text: str) -> None:
    """Write a text file at once."""
    with written(path) as part:
        _fill(part, text)


def write_texts(texts: dict[Path, str]) -> None:
    """Write several text files, all or none: each lies beside its place before the first is renamed."""
    with ExitStack() as files:
        for path, text in reversed(texts.items()):  # renamed from the last to the first
            _fill(files.enter_context(written(path)), text)


def write_json(path: Path, content: Any) -> None:
    """Write JSON at once, see ``json_text``."""
    write_text(path, json_text(content))


def json_text(content: Any) -> str:
    """Return JSON that people can read; NaN is refused, as JSON has none."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def remove(path: Path) -> None:
    """Remove a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be made or written to, before work is done for it.

    Raises:
        OSError: Naming the folder, or the file or folder above that is in the way.
    """
    _refuse_detour(folder)
    place = folder
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))
    try:
        with TemporaryFile(dir=place):  # of some places, as /proc, only trying tells that they take no file
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(place)) from None


def _refuse_detour(path: Path) -> None:
    """Refuse ``none/../there`` while ``none`` is not: it does not exist, and once ``none`` is made it does.

    Raises:
        OSError: Naming the folder that is missing.
    """
    for place in (path, *path.parents):
        if place.name == ".." and not place.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(place.parent))


def explain(error: OSError) -> str:
    """Return what the system says, behind the file that it is about."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal; of a folder, that of its files' names and their own."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        listed = "".join(f"{sha256(file)} {file.relative_to(path).as_posix()}\n" for file in files)
        return hashlib.sha256(os.fsencode(listed)).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def beside(path: Path) -> Path:
    """Return where ``written`` makes a file before it becomes ``path``."""
    # the suffix stays last: writers choose the format by it
    part = path.with_name(f".part-{path.name}")
    if len(os.fsencode(part.name)) > LONGEST:
        digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32]
        part = path.with_name(f".part-{digest}{path.suffix}")
    return part


def _fill(part: Path, text: str) -> None:
    # a file name of bytes that are no UTF-8 becomes \udc.., which JSON reads back
    part.write_bytes(text.encode("utf-8", "backslashreplace"))


def _replace(part: Path, path: Path, attempts: int = 20) -> None:
    for attempt in range(attempts):
        try:
            if part.is_dir() and path.exists():
                remove(path)
            part.replace(path)
            return
        except PermissionError:  # Windows: a virus scanner or viewer holds the old file for a moment
            if attempt == attempts - 1:
                raise
            time.sleep(0.05)
