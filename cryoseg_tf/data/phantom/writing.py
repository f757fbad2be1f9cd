"""Write a data set of phantoms, as a microscope and an annotator would leave it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile

from ...errors import ConfigError, DataError
from ...io.atomic import written
from ...io.mask import write_mask
from .drawing import Window, render
from .metadata import TAG, Acquisition, thermo_text
from .options import PhantomOptions, check_seed
from .table import Object, lines

PARTS = ("train", "test")


def write_phantom(
    out: Path | str, images: int = 24, test: int = 6, seed: int = 0, options: PhantomOptions | None = None
) -> list[Path]:
    """Write annotated phantoms as ``out/train`` and ``out/test``, each with ``images/`` and ``masks/``.

    Images are TIFFs with a microscope's metadata (pixel size, stage position, beam); every fourth
    states its pixel size as ImageJ does, and no more. Every third is of 8 bit, the others of 16
    bit. Masks are PNGs. ``objects.csv`` in each part lists the cells and clusters by kind, and
    ``out/classes.txt`` names the classes unless they are background and cell. The files' bytes
    depend on the arguments alone, and an image stays the same when more are asked for.

    Args:
        out: A folder that does not exist yet or is empty.
        images: How many to train on.
        test: How many to test on; with 0 there is no ``test/``.
        seed: Another seed gives other images.
        options: Size, pixel size, classes and annotation; by default those of `PhantomOptions`.

    Returns:
        The images' paths, those to train on first.

    Raises:
        ConfigError: If ``images`` is below 1, or ``test`` or ``seed`` below 0.
        DataError: If ``out`` is a file or holds anything.
    """
    options, folder = options or PhantomOptions(), Path(out)
    place = folder.resolve()  # "." has no name to write beside, and ``none/../mine`` is another folder than it seems
    _check(place, images, test, seed)
    names: list[str] = []
    with written(place) as root:
        for number, count in enumerate((images, test)[: 2 if test else 1]):
            names += _write_part(root, (seed, number), count, options)
        if options.classes != ("cell",):
            (root / "classes.txt").write_text("\n".join([*options.names, ""]), "utf-8", newline="\n")
    return [folder / name for name in names]


def _check(folder: Path, images: int, test: int, seed: int) -> None:
    check_seed(seed)
    for name, count, least in (("images", images, 1), ("test", test, 0)):
        if count < least:
            raise ConfigError(f"{name} is {count}: it must be at least {least}")
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file: choose another folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise DataError(f"{folder} exists and is not empty: choose another folder")


def _write_part(root: Path, key: tuple[int, int], count: int, options: PhantomOptions) -> list[str]:
    part = root / PARTS[key[1]]
    for kind in ("images", "masks"):
        (part / kind).mkdir(parents=True)
    found: list[tuple[str, Sequence[Object]]] = []
    for index in range(count):
        window = render((*key, index), options, 8 if index % 3 == 2 else 16)
        name = f"phantom_{index:03}"
        _write_image(part / "images" / f"{name}.tif", window, options, (*key, index))
        write_mask(part / "masks" / f"{name}.png", window.mask)
        found.append((f"{name}.tif", window.objects))
    (part / "objects.csv").write_text(lines(found), "utf-8", newline="\n")
    return [f"{part.name}/images/{name}" for name, _ in found]


def _write_image(path: Path, window: Window, options: PhantomOptions, key: tuple[int, int, int]) -> None:
    _, part, index = key
    if index % 4 == 3:
        per_um = 1000 / options.pixel_size
        tifffile.imwrite(path, window.image, imagej=True, resolution=(per_um, per_um), metadata={"unit": "um"})
        return
    # fields on a lattice, apart from each other, and those to test on far from the others
    apart = 2 * options.size * options.pixel_size / 1000
    stage = (apart * (index % 8), apart * (index // 8) + 1e5 * part)
    voltage = float(np.random.default_rng(key).choice([2, 3, 5]))
    text = thermo_text(Acquisition(options.pixel_size, options.size, stage, window.tilt, voltage))
    tifffile.imwrite(path, window.image, metadata=None, extratags=[(TAG, "s", 0, text, True)])
