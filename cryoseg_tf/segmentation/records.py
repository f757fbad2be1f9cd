"""What masks were made, of what and how: ``records.jsonl`` beside them, one line for each.

A record is written before its mask appears, so no mask of ours is ever without one.
"""

import json
import os
from pathlib import Path
from typing import Any

RECORDS = "records.jsonl"

HEAD = '{"name": "'
"""So begins each record."""


def is_records(path: Path) -> bool:
    """Say whether a file is ours to append to: there is none, or it begins as ours do, even if a kill cut it."""
    if not path.is_file():
        return not path.exists()
    with path.open("rb") as file:
        return HEAD.encode().startswith(file.readline(len(HEAD)).rstrip(b"\n"))


def read_records(path: Path) -> dict[str, Any]:
    """Return the last record of each mask, by its name; ``image`` is the SHA-256 of the image it was made of."""
    records = {}
    for line in path.read_text("utf-8", "replace").splitlines() if path.is_file() else []:
        try:
            record = json.loads(line)
            kept = {name: record[name] for name in ("key", "mask", "status", "foreground")}
            records[record["name"]] = {**kept, "image": record["key"]["image"]}
        except (ValueError, KeyError, TypeError):
            continue  # empty, or cut by a kill: that mask is made again
    return records


def append_record(path: Path, record: dict[str, Any]) -> None:
    """Add a record, on the disk when this returns."""
    _end_line(path)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _end_line(path: Path) -> None:
    """End a last line that a kill or a full disk cut short, so that the next record stands on its own."""
    if not path.is_file() or path.stat().st_size == 0:
        return
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read() != b"\n":
            file.write(b"\n")
