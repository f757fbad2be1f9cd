"""Damage small valid files of every kind, byte by byte, and read them: ``python -m tests.io.fuzz FIRST COUNT``.

Case n is a pure function of n. It must end in an image or an ``ImageError``, within ``SECONDS`` and
``MEMORY``; a crash, a hang or anything else ends this process, and the case is the last that it names.
"""

import contextlib
import faulthandler
import io
import json
import logging
import re
import resource
import sys
import tempfile
from pathlib import Path

import mrcfile
import numpy as np
import tifffile
from PIL import Image

from cryoseg_tf.errors import ImageError
from cryoseg_tf.io.micrograph import read_micrograph

SECONDS = 10
MEMORY = 2**30
"""Bytes that the whole process may have taken at its worst, libraries (some 150 MB) included."""

INI = (
    "[Beam]\r\nHV=2000\r\nBeam=EBeam\r\n[Scan]\r\nPixelWidth=1e-007\r\nPixelHeight=1e-007\r\nVerFieldsize=2.4e-006\r\n"
    "[Image]\r\nResolutionX=32\r\nResolutionY=24\r\n[PrivateFei]\r\nDatabarHeight=8\r\n"
)
XML = (
    '<?xml version="1.0"?><Metadata><BinaryResult><ImageSize><X>32</X><Y>24</Y></ImageSize><PixelSize>'
    '<X unit="m">1E-07</X><Y unit="m">1E-07</Y></PixelSize></BinaryResult></Metadata>'
)
ZEISS = "1\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 100.0 nm\r\nDP_IMAGE_STORE\r\nStore resolution = 32 * 32\r\n"
FIBSEM = json.dumps({"pixel_size": {"x": 1e-7, "y": 1e-7}, "image": {"hfw": 3.2e-6}, "microscope_state": {}})
EXTREMES = [bytes(4), b"\xff" * 4, b"\x7f" + b"\xff" * 3, b"\xff" * 3 + b"\x7f", b"\x00\x00\x01\x00", b"\x80"]


def tag(code: int, text: str) -> dict[str, object]:
    return {"extratags": [(code, 2, len(text) + 1, text.encode() + b"\0", True)], "metadata": None}


def seeds() -> dict[str, bytes]:
    """Return valid files by name; the suffix is part of it."""
    gray = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    gray[8:20] = 90
    colour = np.stack([gray] * 3, -1)
    kinds: dict[str, tuple[np.ndarray, dict[str, object]]] = {
        "plain": (gray, {}),
        "big": (gray.astype(np.uint16), {"bigtiff": True, "byteorder": ">"}),
        "lzw": (gray, {"compression": "lzw", "predictor": True}),
        "deflate": (gray.astype(np.float32), {"compression": "deflate", "predictor": True, "tile": (16, 16)}),
        "zstd": (gray.astype(np.int16), {"compression": "zstd", "rowsperstrip": 5}),
        "packbits": (gray, {"compression": "packbits"}),
        "jpeg": (gray, {"compression": "jpeg", "tile": (16, 16)}),
        "ycbcr": (colour, {"compression": "jpeg", "photometric": "rgb"}),
        "planar": (np.moveaxis(colour, -1, 0), {"photometric": "rgb", "planarconfig": "separate"}),
        "palette": (gray, {"photometric": "palette", "colormap": np.stack([np.arange(256, dtype=np.uint16)] * 3)}),
        "white": (gray > 99, {"photometric": "miniswhite"}),
        "stack": (np.stack([gray] * 3), {"photometric": "minisblack"}),
        "imagej": (gray, {"imagej": True, "resolution": (0.01, 0.01), "metadata": {"unit": "nm"}}),
        "ome": (gray, {"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 0.1, "PhysicalSizeXUnit": "µm"}}),
        "ini": (gray, tag(34682, INI)),
        "xml": (gray[:24], tag(34683, XML)),
        "zeiss": (gray, tag(34118, ZEISS)),
        "fibsem": (gray, {"description": FIBSEM, "metadata": None}),
    }
    found = {}
    for name, (pixels, options) in kinds.items():
        target = io.BytesIO()
        tifffile.imwrite(target, pixels, **options)
        found[f"{name}.tif"] = target.getvalue()
    for suffix in ("png", "jpeg", "bmp"):
        for mode in ("L", "RGB", "P"):
            target = io.BytesIO()
            Image.fromarray(gray).convert("L" if suffix == "jpeg" and mode == "P" else mode).save(target, suffix)
            found[f"{mode}.{suffix}"] = target.getvalue()
    with tempfile.TemporaryDirectory() as folder:
        for kind in (np.int8, np.int16, np.float32, np.uint16, np.float16):
            path = Path(folder, f"{np.dtype(kind)}.mrc")
            with mrcfile.new(path) as file:
                file.set_data(np.stack([gray.astype(kind)] * 2))
                file.voxel_size = 1000
            found[path.name] = path.read_bytes()
    return found


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """Change a few bytes, mostly in the first kilobytes, where sizes and kinds stand."""
    data = bytearray(content)
    for _ in range(random.integers(1, 7)):
        at = int(random.integers(0, max(1, len(data) if random.random() < 0.5 else min(len(data), 1024))))
        length = int(random.choice([1, 1, 2, 4, 16, 200]))
        match random.integers(0, 8):
            case 0 | 1:
                data[at : at + 1] = random.bytes(1)
            case 2:
                extreme = EXTREMES[random.integers(0, len(EXTREMES))]
                data[at : at + len(extreme)] = extreme
            case 3:
                data[at : at + 4] = int(random.integers(0, 2**17)).to_bytes(4, "little")
            case 4:
                del data[at : at + length]
            case 5:
                data[at:at] = data[at : at + length] * int(random.integers(1, 5))
            case 6:
                del data[max(at, 8) :]
            case 7 if data[:4] == b"II*\0":
                change_tag(data, random)
    return bytes(data)


def change_tag(data: bytearray, random: np.random.Generator) -> None:
    """Give one tag of a TIFF another number, as a lie about sizes would."""
    start = int.from_bytes(data[4:8], "little")
    entries = int.from_bytes(data[start : start + 2], "little")
    at = start + 2 + 12 * int(random.integers(0, max(1, entries)))
    number = int(2 ** random.uniform(0, 32))
    data[at + 2 : at + 12] = b"\4\0\1\0\0\0" + min(number, 2**32 - 1).to_bytes(4, "little")


def read_case(number: int, files: dict[str, bytes], folder: Path) -> bool:
    """Read case ``number`` as a micrograph; whether it was one."""
    random = np.random.default_rng(number)
    name = list(files)[number % len(files)]
    path = folder / name
    path.write_bytes(damaged(files[name], random))
    try:
        read = read_micrograph(path)
    except ImageError as error:
        text = str(error)
        if "more memory" in text or "\n" in text:
            raise RuntimeError(f"case {number}: {text}") from None
        return False
    sound = read.pixels.ndim == 2 and read.pixels.size > 0 and read.pixels.dtype.isnative
    if not sound or not (read.pixel_size is None or 1e-3 <= read.pixel_size <= 1e6):
        raise RuntimeError(f"case {number}: {read.pixels.shape}, {read.pixels.dtype}, {read.pixel_size} nm")
    return True


def peak() -> int:
    """Return the most bytes this process ever held; ``getrusage`` would count its parent's, too."""
    status = Path("/proc/self/status")
    if status.is_file():
        return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main(first: int, count: int) -> None:
    logging.disable()
    files = seeds()
    good = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + count):
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            try:
                good += read_case(number, files, Path(folder))
            except BaseException:
                sys.stderr.write(f"case {number}\n")
                raise
            taken = peak()
            if taken > MEMORY:
                raise SystemExit(f"case {number}: {taken} bytes of memory")
    faulthandler.cancel_dump_traceback_later()
    sys.stdout.write(f"{count} cases, {good} were images, at most {taken // 2**20} MB\n")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main(int(sys.argv[1]), int(sys.argv[2]))
