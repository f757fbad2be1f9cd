"""Whether a bundle's files are those that were exported, by the SHA-256 that the manifest has of each.

The manifest itself has none: who changes it can change the hashes too. Its own SHA-256 has to come
by another way, from whoever made the bundle.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from cryoseg_tf.errors import ExportError
from cryoseg_tf.io import atomic

from .bundle import MANIFEST, Bundle, Manifest

CLOSED = "may not be read"
"""So begins the flaw of a file that may be whole, but cannot be opened by this user."""


@dataclass(frozen=True)
class Integrity:
    """What was found about a bundle's files.

    Attributes:
        manifest: Says what should be there.
        flaws: What is wrong, by the file's name in the bundle.
    """

    manifest: Manifest
    flaws: dict[str, str]

    def problem(self, artefact: str) -> str:
        """Return why an artefact must not be loaded; empty if nothing speaks against it.

        Args:
            artefact: A file or folder, named as in the manifest.
        """
        for file, flaw in self.flaws.items():
            if _belongs(file, artefact) or self._may_be_read_by(file, artefact):
                return f"not loaded: {file} {flaw}"
        if not any(_within(file, artefact) for file in self.manifest.files):
            return f"not loaded: the manifest has no hash of {artefact}"
        return ""

    def matters(self, file: str, formats: Collection[str]) -> bool:
        """Say whether a file is read with one of these formats, or belongs to none."""
        owners = [
            name
            for name, files in self.manifest.formats.items()
            if any(_belongs(file, artefact) or self._may_be_read_by(file, artefact) for artefact in files.values())
        ]
        return not owners or any(name in formats for name in owners)

    def _may_be_read_by(self, file: str, artefact: str) -> bool:
        """Say whether a file that is part of no artefact lies beside this one."""
        artefacts = {path for files in self.manifest.formats.values() for path in files.values()}
        folder = PurePosixPath(file).parent
        beside = bool(folder.name) and artefact in artefacts and folder == PurePosixPath(artefact).parent
        return beside and not any(_belongs(file, other) for other in artefacts)


def examine_files(bundle: Bundle) -> Integrity:
    """Hash every file of a bundle, and look for those that the manifest does not know."""
    expected = bundle.manifest.files
    flaws = {name: _flaw(bundle.path, name, digest) for name, digest in expected.items()}
    flaws |= {name: "is not in the manifest" for name in _found(bundle.path) if name not in expected}
    return Integrity(bundle.manifest, {name: flaw for name, flaw in flaws.items() if flaw})


def require_whole(bundle: Bundle, artefacts: Iterable[str]) -> None:
    """See that artefacts, named as in the manifest, are as they were exported.

    Raises:
        ExportError: Naming the first that must not be loaded.
    """
    files = examine_files(bundle)
    for artefact in artefacts:
        problem = files.problem(artefact)
        if problem:
            verdict = "cannot be used" if CLOSED in problem else "is damaged, copy it again"
            raise ExportError(f"{bundle.path} {verdict}: {problem}")


def _flaw(folder: Path, name: str, digest: str) -> str:
    if _leads_out(folder, name):
        return "leads out of the bundle"
    path = folder / name
    try:
        if not path.is_file():
            return "is missing"
        if atomic.sha256(path) == digest:
            return ""
        size = path.stat().st_size
    except PermissionError:
        return f"{CLOSED}: give this user the right to, or close the program that holds it"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return f"was changed or cut short: its {size} bytes do not hash to what the manifest says" if size else "is empty"


def _leads_out(folder: Path, name: str) -> bool:
    windows = PureWindowsPath(name)  # takes both kinds of slashes
    if windows.drive or windows.root or ".." in windows.parts:
        return True
    return not (folder / name).resolve().is_relative_to(folder.resolve())


def _found(folder: Path) -> Iterator[str]:
    names = (p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_symlink() or not p.is_dir())
    # Python leaves the other beside run.py, and nothing of ours loads it
    return (name for name in names if name != MANIFEST and not name.startswith("__pycache__/"))


def _belongs(file: str, artefact: str) -> bool:
    """Say whether a file is part of an artefact: the .bin of an .xml, the data of an .onnx, what is in a folder."""
    if _within(file, artefact):
        return True
    one, other = PurePosixPath(file), PurePosixPath(artefact)
    return one.parent == other.parent and one.name.startswith(f"{other.stem}.")


def _within(file: str, artefact: str) -> bool:
    return file == artefact or file.startswith(f"{artefact}/")
