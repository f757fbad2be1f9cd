"""Whether every format of a bundle answers on this machine as the trained model did.

First the files are hashed. Then each installed runtime segments the golden images, in up to three
ways for each of its artefacts::

    network          the network in each of its precisions, as ``segment`` calls it
    network, tiled   the same in float32, in tiles as small as they can be, against itself untiled
    segment          the whole graph, raw image in, mask out

and int8 once more without the instructions that a processor may have for it: see ``vnni``. What
does not hash to what the manifest says is not loaded.
"""

from collections.abc import Callable, Sequence

from cryoseg_tf.errors import ExportError

from .bundle import Bundle
from .runtimes import RUNTIMES
from .verifier import FILES, NETWORK, Check, Verifier

__all__ = ["NETWORK", "Check", "verify"]

Progress = Callable[[int, int, str], None]


def verify(
    bundle: Bundle,
    runtimes: Sequence[str] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> list[Check]:
    """Check a bundle's files, and every way to run it on this machine; what was found is remembered.

    Args:
        bundle: What to check.
        runtimes: Names from ``RUNTIMES``; all that the bundle has something for, if none are given. What is
            wrong with files of other formats alone is told, and counts as skipped.
        threads: For runtimes that can be told; None: one per core.
        progress: Called after each check, with how many are done, how many there are, and its name.

    Raises:
        ExportError: If a runtime is unknown, or the bundle has nothing for it.
    """
    names = _chosen(bundle, runtimes)
    verifier = Verifier(bundle, threads)
    tasks = [task for name in names for task in verifier.tasks(name)]
    checks, total = verifier.files(names), len(tasks) + 1
    for number, task in enumerate([None, *tasks], 1):
        if task is not None:
            checks.append(verifier.run(task))
        if progress:
            progress(number, total, task.runtime if task else FILES)
    from .selection import remember  # here: it verifies, too

    if not verifier.integrity.flaws:  # a damaged copy says nothing of the runtimes
        remember(bundle, [check for check in checks if check.runtime and not check.skipped])
    return checks


def _chosen(bundle: Bundle, runtimes: Sequence[str] | None) -> list[str]:
    held = [name for name in RUNTIMES if name in bundle.manifest.formats]
    for name in runtimes or ():
        if name not in RUNTIMES:
            raise ExportError(f"runtime {name!r} is not known: choose from {', '.join(RUNTIMES)}")
        if name not in held:
            raise ExportError(f"{bundle.path} holds no {name}, only {', '.join(held)}: export it with --to {name}")
    return list(dict.fromkeys(runtimes)) if runtimes else held
