"""Make one run of several: an ensemble, which segments, is evaluated and is exported like any other."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from ..config import Config, Contract
from ..errors import RunError
from ..io import atomic
from ..models.ensemble import Combination
from ..run import Run, RunInfo
from .callbacks import SNAPSHOTS
from .writing import claim

COPIED = ("run.json", "config.yaml", "split.json", "environment.json", "history.csv", "model.keras")
"""What of a run its place in an ensemble holds: what a resume needs stays behind."""

OWN = {"threshold", "temperature", "minimum_contrast", "pixel_size_range", "field"}
"""In what the contracts of members may differ: the ensemble has its own."""


def make_ensemble(
    runs: Sequence[Run],
    out: Path | str,
    combine: Combination = "mean",
    augmented: bool = False,
    snapshots: bool = False,
) -> Run:
    """Write an ensemble of copies of runs.

    Args:
        runs: Trained alike: with the same classes, scale and network.
        out: The folder to make.
        combine: Whether probabilities are averaged, or members vote.
        augmented: Let each member see each image flipped and turned in eight ways (test-time augmentation).
        snapshots: Take the snapshots of each run instead of its best epoch: Huang et al. 2017
            (arXiv:1704.00109). See ``training.snapshots``.

    Raises:
        RunError: If a run has no model, or no snapshots, or does not suit the others, or is an ensemble itself.
        OSError: If the folder cannot be written.
    """
    folder = Run(out)
    if folder.exists:
        raise RunError(f"{folder.path} is a run already: choose another --out")
    claim(folder, "refuse")
    if not snapshots:
        _check_different(runs)
    with atomic.written(folder.path) as part:
        part.mkdir()
        names: list[str] = []
        for run in runs:
            for weights in _weights(run, snapshots):
                names.append(f"member_{len(names) + 1}")
                _copy(run, weights, part / names[-1])
        requested = runs[0].info.requested
        join(Run(part), RunInfo(requested=requested, members=tuple(names), combine=combine, augmented=augmented))
    return folder


def _check_different(runs: Sequence[Run]) -> None:
    known: dict[str, Run] = {}
    for run in runs:
        other = known.setdefault(run.fingerprint(), run)
        if other is not run:
            raise RunError(f"{other.path} and {run.path} hold the same network: two of it know no more than one")


def join(folder: Run, info: RunInfo) -> None:
    """Make a folder that holds ``info.members`` an ensemble of them.

    Raises:
        RunError: If they do not suit each other, or one has no model.
    """
    members = [Run(folder.path / name) for name in info.members]
    config, contract = _common(members, info.combine)
    environments = [member.environment() for member in members]
    atomic.write_json(folder.path / "split.json", _split(members))
    merged = {what: _merged([made.get(what, {}) for made in environments]) for what in ("files", "places")}
    atomic.write_json(folder.path / "environment.json", environments[0] | merged)
    with atomic.written(folder.path / "config.yaml") as part:
        config.save(part)
    scores = [member.info.validation_dice or 0.0 for member in members]
    done = {"kind": "ensemble", "status": "finished", "contract": contract, "validation_dice": fmean(scores)}
    atomic.write_json(folder.path / "run.json", info.model_copy(update=done).model_dump(mode="json"))


def _weights(run: Run, snapshots: bool) -> list[Path]:
    if run.info.kind == "ensemble":
        raise RunError(f"{run.path} is an ensemble itself: name its members, {', '.join(run.info.members)}, instead")
    _ = run.fingerprint()  # says so where there is no model
    if not snapshots:
        return [run.model_file]
    found = sorted((run.path / SNAPSHOTS).glob("*.keras"))
    if not found:
        raise RunError(
            f"{run.path} holds no snapshots: train with --set training.snapshots=true and "
            "--set 'training.schedule=cosine_restarts(cycles=3)'"
        )
    return found


def _copy(run: Run, weights: Path, place: Path) -> None:
    place.mkdir()
    for name in COPIED:
        source = weights if name == "model.keras" else run.path / name
        if source.is_file():
            shutil.copyfile(source, place / name)


def _common(members: Sequence[Run], combine: Combination) -> tuple[Config, Contract]:
    """Return the settings of the first, and what inference needs to know of all of them."""
    first, contracts = members[0], [member.contract for member in members]
    for member, contract in zip(members[1:], contracts[1:], strict=True):
        ours, theirs = (c.model_dump(exclude=OWN) for c in (contracts[0], contract))
        other = [name for name in ours if ours[name] != theirs[name]]
        other += [f"model.{name}" for name, value in member.config.model if value != getattr(first.config.model, name)]
        if other:
            raise RunError(
                f"{member.path.name} differs from {first.path.name} in {', '.join(other)}: "
                "the members of an ensemble must agree in it"
            )
    ranges = [contract.pixel_size_range for contract in contracts if contract.pixel_size_range]
    changes: dict[str, Any] = {
        "threshold": 0.5 if combine == "vote" else fmean(contract.threshold for contract in contracts),
        "temperature": 1.0,
        "minimum_contrast": min(contract.minimum_contrast for contract in contracts),
        # what all of them have learned
        "pixel_size_range": (max(r[0] for r in ranges), min(r[1] for r in ranges)) if ranges else None,
    }
    return first.config, contracts[0].model_copy(update=changes)


def _split(members: Sequence[Run]) -> dict[str, Any]:
    """Return which images at least one member learned from, and which none did but all chose their epoch by."""
    splits = [member.split() for member in members]
    train = sorted({name for split in splits for name in split["train"]})
    validation = sorted({name for split in splits for name in split["validation"]} - set(train))
    groups = splits[0].get("groups")
    return {
        "train": train,
        "validation": validation,
        "groups": groups if all(split.get("groups") == groups for split in splits) else None,
        "areas": None,
    }


def _merged(tables: Sequence[dict[str, str]]) -> dict[str, str]:
    """Put tables into one; where they differ on a name, it gets a number."""
    merged: dict[str, str] = {}
    for table in tables:
        for name, value in table.items():
            free, number = name, 2
            while merged.get(free, value) != value:
                free, number = f"{name} ({number})", number + 1
            merged[free] = value
    return merged
