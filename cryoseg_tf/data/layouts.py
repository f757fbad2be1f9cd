"""The ways in which people lay out annotated images; which one a folder has is seen, not asked.

::

    images/x.tif   masks/x.png (or labels/x.png)
    imagesTr/x_0000.tif   labelsTr/x.tif   imagesTs/x_0000.tif   labelsTs/x.tif      nnU-Net
    x.tif   x_masks.tif or .png (instance labels)                                    Cellpose
    x.png   x.json, in one folder or both in images/                                 LabelMe

Each may lie in the data folder, or in ``train/`` and ``test/`` below it.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from ..io.micrograph import SUFFIXES

Files = dict[str, Path]
"""Image or mask files by what partners have in common."""


@dataclass(frozen=True)
class Layout:
    """One way to lay out annotated images in a folder.

    Attributes:
        name: What to call it.
        partners: How partners are recognised, for messages.
        fits: Whether a folder is laid out so.
        files: Images and masks of a folder, and of its part ("train", "test" or None for all).
        instances: Whether masks number the objects.
    """

    name: str
    partners: str
    fits: Callable[[Path], bool]
    files: Callable[[Path, str | None], list[tuple[Files, Files]]]
    instances: bool = False


def find_layout(place: Path) -> Layout:
    """Return the layout of a folder.

    Raises:
        DataError: If it has none, or two.
    """
    fitting = [layout for layout in LAYOUTS if layout.fits(place)]
    if len(fitting) > 1:
        names = " and as ".join(layout.name for layout in fitting)
        raise DataError(f"{place} can be read as {names}: move one of them away")
    if not fitting:
        raise DataError(_nothing_found(place))
    return fitting[0]


def is_laid_out(place: Path) -> bool:
    """Whether a folder holds images that are, or were meant to be, annotated."""
    return (place / "images").is_dir() or any(layout.fits(place) for layout in LAYOUTS)


def image_files(folder: Path) -> list[Path]:
    """Return the image files directly in a folder, by name."""
    return files_in(folder, SUFFIXES)


def micrographs_in(folder: Path) -> list[Path]:
    """Return the image files directly in a folder, by name, without the masks that Cellpose puts beside them."""
    images = image_files(folder)
    stems = {p.stem for p in images}
    return [p for p in images if not (_CELLPOSE_MASK.fullmatch(p.stem) and _cellpose_case(p) in stems)]


def files_in(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    """Return the files directly in a folder that have one of these suffixes, by name; none where it is absent."""
    if not folder.is_dir():
        return []
    return sorted(
        p for p in folder.iterdir() if p.suffix.lower() in suffixes and p.is_file() and not p.name.startswith(".")
    )


def _nothing_found(place: Path) -> str:
    for here, there in (("images", "masks/ or labels/"), ("masks", "images/"), ("labels", "images/")):
        if (place / here).is_dir():
            return (
                f"{place} has no folder {there}: annotated images are images/x.tif with masks/x.png, "
                "or with images/x.json of LabelMe"
            )
    return (
        f"{place} holds no annotated images; known are images/ with masks/ or labels/, imagesTr/ with labelsTr/ "
        "(nnU-Net), x.tif with x_masks.tif (Cellpose), x.png with x.json (LabelMe), each also in train/ and test/"
    )


def _by(key: Callable[[Path], str], paths: Iterable[Path]) -> Files:
    found: Files = {}
    for path in paths:
        name = key(path)
        if name in found:
            raise DataError(f"{found[name]} and {path} share a name: which of them is meant?")
        found[name] = path
    return found


def _stem(path: Path) -> str:
    return path.stem.removesuffix(".ome")


def _folders(masks: str) -> Layout:
    def fits(place: Path) -> bool:
        return (place / "images").is_dir() and (place / masks).is_dir()

    def files(place: Path, part: str | None) -> list[tuple[Files, Files]]:
        return [(_by(_stem, image_files(place / "images")), _by(_stem, image_files(place / masks)))]

    return Layout(f"images/ with {masks}/", "partners share the name before the suffix", fits, files)


def _fits_nnunet(place: Path) -> bool:
    return any((place / name).is_dir() for name in ("imagesTr", "labelsTr", "labelsTs"))


def _nnunet_files(place: Path, part: str | None) -> list[tuple[Files, Files]]:
    labelled = [end for end in ("Tr", "Ts") if (place / f"labels{end}").is_dir()]
    if part == "train" and labelled == ["Ts"]:
        raise DataError(f"{place} has labelsTs/ but no labelsTr/: images to test on are not for training")
    wanted = {"train": ["Tr"], "test": ["Ts"] if "Ts" in labelled else ["Tr"], None: labelled}[part]
    found = []
    for end in wanted or ["Tr"]:
        for name in (f"images{end}", f"labels{end}"):
            if not (place / name).is_dir():
                raise DataError(f"{place} has no folder {name}/: nnU-Net has imagesTr/x_0000.tif with labelsTr/x.tif")
        images, masks = image_files(place / f"images{end}"), image_files(place / f"labels{end}")
        found.append((_by(_nnunet_case, images), _by(_stem, masks)))
    return found


def _nnunet_case(image: Path) -> str:
    match = re.fullmatch(r"(.+)_(\d{4})", image.stem)
    if not match:
        raise DataError(f"{image} has no channel number: nnU-Net's images end in _0000")
    if match[2] != "0000":
        raise DataError(f"{image} is a second channel: a micrograph has one, _0000; remove the others")
    return match[1]


_CELLPOSE_MASK = re.compile(r"(.+?)(_cp)?_masks")
_CELLPOSE_OUTPUT = re.compile(r".+(_flows|_cp_output)")


def _cellpose_case(path: Path) -> str:
    match = _CELLPOSE_MASK.fullmatch(path.stem)
    return match[1] if match else path.stem


def _cellpose_masks(place: Path) -> list[Path]:
    return [p for p in files_in(place, {".tif", ".tiff", ".png"}) if _CELLPOSE_MASK.fullmatch(p.stem)]


def _cellpose_files(place: Path, part: str | None) -> list[tuple[Files, Files]]:
    masks = _cellpose_masks(place)
    images = [p for p in image_files(place) if p not in masks and not _CELLPOSE_OUTPUT.fullmatch(p.stem)]
    return [(_by(_stem, images), _by(_cellpose_case, masks))]


def _labelme(folder: str) -> Layout:
    def annotations(place: Path) -> Iterator[Path]:
        # instruments write JSON beside images, too: it holds no shapes
        return (p for p in files_in(place / folder, {".json"}) if b'"shapes"' in p.read_bytes())

    def files(place: Path, part: str | None) -> list[tuple[Files, Files]]:
        return [(_by(_stem, image_files(place / folder)), _by(_stem, annotations(place)))]

    name = "LabelMe's x.png with x.json" + (f" in {folder}/" if folder else "")
    rule = "x.json lies beside x.png, also where nothing was drawn"
    return Layout(name, rule, lambda place: any(annotations(place)), files)


LAYOUTS = (
    _folders("masks"),
    _folders("labels"),
    Layout("nnU-Net's imagesTr/ with labelsTr/", "imagesTr/x_0000.tif goes with labelsTr/x.tif",
           _fits_nnunet, _nnunet_files),
    Layout("Cellpose's x.tif with x_masks.tif", "x_masks.tif or x_masks.png lies beside x.tif",
           lambda place: bool(_cellpose_masks(place)), _cellpose_files, instances=True),
    _labelme(""),
    _labelme("images"),
)  # fmt: skip
"""Every layout that is known."""
