"""Write a run folder: who may, what becomes of a run that is there, and its ``run.log``."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from ..config import Config
from ..errors import CryoSegError, RunError
from ..io import atomic
from ..io.lock import locked
from ..run import Run, RunInfo

Existing = Literal["refuse", "resume", "overwrite"]

log = logging.getLogger("cryoseg_tf")


def claim(run: Run, existing: Existing) -> None:
    """Make sure that a run's folder may be written.

    Raises:
        RunError: If it holds something else, or a run that may not be touched.
        OSError: If it cannot be made or written to.
    """
    if run.exists and existing == "refuse":
        raise RunError(f"{run.path} is a run already: --resume goes on with it, --overwrite starts anew")
    if run.path.exists() and not run.exists and (not run.path.is_dir() or _strangers(run.path)):
        raise RunError(f"{run.path} exists and is not a run: choose another folder")
    atomic.check_writable(run.path)


@contextmanager
def writing(run: Run, requested: Config, minutes: float | None, existing: Existing) -> Iterator[RunInfo]:
    """Make the folder, or go on with it, and keep other processes and crashes from harming it.

    Raises:
        RunError: If the folder is in use, holds something else, or exists and may not be
            touched; or if a resumed run was begun with other settings.
    """
    claim(run, existing)
    begun_before, abandoned = existing == "resume" and run.exists, False
    run.path.mkdir(parents=True, exist_ok=True)
    try:
        with locked(run.path, RunError(f"{run.path} is being written by another process")), _logged(run.path):
            try:
                yield _begin(run, requested, minutes, existing)
            except Exception as error:
                log.debug("stopped by an error", exc_info=True)  # DEBUG: the console shows the message alone
                # nothing was trained: leave no trace
                abandoned = not begun_before and not (run.path / "config.yaml").exists()
                if not abandoned and not isinstance(error, CryoSegError):
                    log.warning("training stopped: --resume goes on with %s when the cause is mended", run.path)
                raise
    finally:
        if abandoned:
            atomic.remove(run.path)


def _begin(run: Run, requested: Config, minutes: float | None, existing: Existing) -> RunInfo:
    if run.exists and existing == "resume":
        info = run.info
        then = "no --minutes" if info.minutes is None else f"--minutes {info.minutes:g}"
        other = info.requested.differences(requested) + [then] * (info.minutes != minutes)
        if other:
            raise RunError(
                f"{run.path} was begun with other settings ({', '.join(other)}): --resume takes none, or the same"
            )
        return info
    for item in run.path.iterdir():
        if item.name not in (".lock", "run.log"):
            atomic.remove(item)
    info = RunInfo(requested=requested, minutes=minutes)
    atomic.write_json(run.path / "run.json", info.model_dump(mode="json"))
    return info


def _strangers(folder: Path) -> bool:
    """Whether a folder holds anything that a run cut short at its first moment would not have left."""
    return any(p.name not in (".lock", "run.log", ".part-run.json") for p in folder.iterdir())


@contextmanager
def _logged(folder: Path) -> Iterator[None]:
    handler = _Log(folder / "run.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.setLevel(logging.DEBUG)
    level = log.level
    log.setLevel(logging.DEBUG)  # for run.log; other handlers have levels of their own
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        handler.close()


class _Log(logging.FileHandler):
    """Writes ``run.log``, and is silent where the disk is full: the work itself says so."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        pass

    def close(self) -> None:
        with suppress(OSError):
            super().close()
