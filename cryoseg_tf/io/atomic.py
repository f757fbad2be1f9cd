"""Write beside, then rename: a reader sees the old file or the new one, never a part."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that becomes ``path`` when the block succeeds.

    The block may make a file or a folder there. When it fails, nothing is left. After a
    ``kill -9`` the temporary path may stay; the next write to ``path`` replaces it.
    """
    # the suffix stays last: writers choose the format by it
    part = path.with_name(f".part-{path.name}")
    remove(part)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        if part.is_file():
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        _replace(part, path)
    finally:
        remove(part)


def write_text(path: Path, text: str) -> None:
    """Write a text file at once."""
    with written(path) as part:
        part.write_text(text, "utf-8", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """Write JSON at once, readable by people; NaN is refused, as JSON has none."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def remove(path: Path) -> None:
    """Remove a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
