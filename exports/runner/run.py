#!/usr/bin/env python3
"""Segment images with this bundle, without TensorFlow: Python 3.8 or later, numpy and ONNX Runtime.

    python cells.cryoseg/run.py image.tif --out mask.png          one image
    python cells.cryoseg/run.py images/ more.png --out masks/     several: masks/STEM.png each
    python cells.cryoseg/run.py --verify                          does this computer answer as the trained model did?

Reads TIFF (uncompressed), PNG and .npy, of one gray channel. A mask is an 8-bit PNG of the image's
size that holds class indices. The pixel size is taken from files of Thermo Fisher, OpenFIBSEM and
ImageJ. A data bar that a Thermo Fisher file declares is not looked at, and is 0 in the mask.
Only files with the SHA-256 that the manifest states are used.

From a program::

    from run import Model

    model = Model("cells.cryoseg")
    mask, probability, status = model.segment(array, pixel_size=200.0)

Exit codes: 0 done, 1 some images failed or --verify found a difference, 2 wrong use or a damaged bundle.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import re
import struct
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

try:
    import numpy as np
    import onnxruntime
except ImportError as missing:
    if __name__ != "__main__":
        raise
    needed = "requirements-runner.txt" if sys.version_info < (3, 12) else "requirements-runner-3.12.txt"
    print(f"run.py needs numpy and onnxruntime: pip install --require-hashes -r {needed}", file=sys.stderr)
    print(f"({missing}; on Windows onnxruntime also needs Microsoft's Visual C++ runtime)", file=sys.stderr)
    sys.exit(2)

SCHEMA = 2
NEEDED = {
    "contract": ("classes", "threshold", "scale", "pixel_size_range"),
    "network": ("channels", "stride", "halo", "tile"),
    "tolerances": ("probability", "dice"),
}
"""What is looked up in ``manifest.json``, beside files."""

EMPTY = (1, 2, 3, 5)
"""With these statuses the mask is empty, for it would be a guess."""


class RunnerError(Exception):
    """Something that whoever uses this can do something about."""


class Model:
    """A bundle, loaded.

    Args:
        folder: The bundle.
        precision: "float32", "float16" or "int8".
        threads: How many compute; 0: one per core.

    Raises:
        RunnerError: If the bundle is incomplete, damaged or of another version.
    """

    def __init__(self, folder: Any, precision: str = "float32", threads: int = 0) -> None:
        self.folder, self.precision, self.threads = Path(folder), precision, threads
        self.manifest = read_manifest(self.folder)
        self.contract, self.network = self.manifest["contract"], self.manifest["network"]
        self._statistics, self._network = self._load("statistics"), self._load(precision)
        self._resample = self._load("resample") if self.contract["scale"] != "none" else None

    def segment(self, image: Any, pixel_size: float | None = None, probability: bool = True) -> tuple[Any, Any, int]:
        """Segment one image.

        Args:
            image: ``(height, width)``, the detector's raw counts, without data bar.
            pixel_size: Side of a pixel in nm; None or 0: unknown.
            probability: Whether to return probabilities, which take memory.

        Returns:
            ``mask (height, width)`` uint8 class indices; ``probability (height, width, channels)``
            float32 or None, one channel being that of the foreground; and the status: 0 ok, 1 pixel
            size unknown, 2 pixel size out of range, 3 too small, 4 low contrast, 5 not finite.
        """
        image = _checked(np.asarray(image), "this is")
        inputs = {"image": _float32(image)[None], "pixel_size": np.array(pixel_size or 0, np.float32)}
        offset, scale, status, shape = _run(self._statistics, ["offset", "scale", "status", "shape"], inputs)
        mask = np.zeros(image.shape, np.uint8)
        kept = self.background(*image.shape) if probability else None
        if status[0] not in EMPTY:
            for rows, columns, values in self._predict(image, offset[0], scale[0], tuple(shape.tolist())):
                mask[rows, columns] = self.decide(values)
                if kept is not None:
                    kept[rows, columns] = values
        return mask, kept, int(status[0])

    def decide(self, probability: Any) -> Any:
        """Turn ``(h, w, channels)`` probabilities into ``(h, w)`` class indices."""
        if probability.shape[-1] == 1:
            return (probability[..., 0] >= np.float32(self.contract["threshold"])).astype(np.uint8)
        return np.argmax(probability, axis=-1).astype(np.uint8)

    def background(self, height: int, width: int) -> Any:
        """Return the probabilities of nothing but background."""
        probability = np.zeros((height, width, self.network["channels"]), np.float32)
        if self.network["channels"] > 1:
            probability[..., 0] = 1
        return probability

    def explain(self, status: int) -> str:
        """Say what a status means; nothing of 0."""
        low, high = self.contract["pixel_size_range"] or (0, 0)
        return {
            1: "the mask is empty: the pixel size is unknown, and this model needs it",
            2: f"the mask is empty: the pixel size is not within the {low:g} to {high:g} nm that this model learned",
            3: "the mask is empty: the image is too small",
            4: "low contrast: is anything there? look at the mask",
            5: "the mask is empty: some pixel is not a finite number",
        }.get(status, "")

    def file(self, name: str) -> Path:
        """Return a file of the bundle by the name that the manifest has for it, if it is as it was exported."""
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or re.search(r"[\\:]", name):
            raise RunnerError(f"{self.folder}: manifest.json names {name!r}, which is not inside the bundle")
        hashes = self.manifest["files"]
        for part in [name, *(other for other in hashes if other.startswith(f"{name}."))]:  # large weights lie beside
            path = self.folder / part
            try:
                good = hashlib.sha256(path.read_bytes()).hexdigest() == hashes.get(part)
            except FileNotFoundError:
                raise RunnerError(f"{path} is missing: the bundle is incomplete, copy it again") from None
            except OSError as error:
                raise _unread(path, error) from None
            if not good:
                raise RunnerError(f"{path} is not as it was exported: copy the bundle again")
        return self.folder / name

    def _load(self, what: str) -> Any:
        files = self.manifest["formats"]["onnx"]
        if what not in files:
            raise RunnerError(f"{self.folder} holds no {what} as ONNX, only {', '.join(files)}")
        path = self.file(files[what])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        # without VNNI, sums of products of bytes saturate in 16 bits; this takes the slower way there
        options.add_session_config_entry("session.x64quantprecision", "1")
        try:
            return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of kinds that are private to ONNX Runtime
            raise RunnerError(f"{path} cannot be loaded: {_line(error)}") from None

    def _predict(self, image: Any, offset: Any, scale: Any, shape: tuple[int, ...]) -> Iterator[Any]:
        """Yield rows, columns and probabilities of pieces that together cover the image."""
        if shape == image.shape:
            yield from self._tiles(image, offset, scale)
            return
        shown = self._resampled(_float32(image)[..., None], shape)[..., 0]
        whole = np.empty((*shape, self.network["channels"]), np.float32)
        for rows, columns, values in self._tiles(shown, offset, scale):
            whole[rows, columns] = values
        yield slice(0, image.shape[0]), slice(0, image.shape[1]), self._resampled(whole, image.shape)

    def _tiles(self, image: Any, offset: Any, scale: Any) -> Iterator[Any]:
        """Show the network one tile after the other, so that its memory does not grow with the image."""
        height, width = image.shape
        stride, halo = self.network["stride"], self.network["halo"]
        padded = [-(-side // stride) * stride for side in image.shape]
        window = max(padded)  # without a halo the network sees the whole image, and must not be tiled
        if halo is not None:
            window = max(-(-self.network["tile"] // stride) * stride, 3 * halo)
        for rows in spans(padded[0], window, halo or 0, stride):
            for columns in spans(padded[1], window, halo or 0, stride):
                tile = (_window(image, rows, columns) - offset) * scale
                result = _run(self._network, ["probability"], {"tile": tile[None, :, :, None]})[0][0]
                bottom, right = min(rows.end, height), min(columns.end, width)
                core = result[rows.first - rows.start : bottom - rows.start, columns.first - columns.start :]
                yield slice(rows.first, bottom), slice(columns.first, right), core[:, : right - columns.first]

    def _resampled(self, image: Any, shape: Sequence[int]) -> Any:
        return _run(self._resample, ["resampled"], {"images": image[None], "shape": np.array(shape, np.int32)})[0][0]


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read what a bundle says of itself."""
    path = folder / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text("utf-8"))
        version = manifest["schema_version"]
        if version != SCHEMA:
            raise RunnerError(f"{path} is of version {version}, not {SCHEMA}: use the bundle's own run.py")
        _ = [manifest[part][name] for part, names in NEEDED.items() for name in names]
        _ = dict(manifest["files"]), list(manifest["golden"])
        if "onnx" not in manifest["formats"]:
            raise RunnerError(f"{folder} holds no ONNX: export it again, with --to onnx")
    except (FileNotFoundError, NotADirectoryError):
        raise RunnerError(f"{folder} is not a bundle: there is no {path}; name a bundle by --bundle") from None
    except OSError as error:
        raise _unread(path, error) from None
    except (ValueError, KeyError, TypeError) as error:
        raise RunnerError(f"{path} is damaged ({_line(error)}): copy the bundle again") from None
    return manifest


class Span(NamedTuple):
    """Along one axis, the window that is read, and the core of it that is written.

    ::

        start   first    end    stop
          |-halo--|-core--|-halo--|     inside
          |-----core------|-2 halo|     at the edge of the image, where a window begins with its core
    """

    start: int
    first: int
    end: int
    stop: int


def spans(length: int, window: int, halo: int, stride: int) -> list[Span]:
    """Cover ``length`` pixels with windows of equal length, at most ``window``."""
    if length <= window:
        return [Span(0, 0, length, length)]
    count = -(-(length - 2 * halo) // (window - 2 * halo))
    # the shortest equal windows that still cover: less is computed twice
    window = -(-(length + (count - 1) * 2 * halo) // (count * stride)) * stride
    starts = [min(index * (window - 2 * halo), length - window) for index in range(count)]
    ends = [0, *(start + window - halo for start in starts[:-1]), length]
    return [Span(start, ends[i], ends[i + 1], start + window) for i, start in enumerate(starts)]


def _window(image: Any, rows: Span, columns: Span) -> Any:
    """Read a window; beyond the image its last row and column repeat."""
    inside = _float32(image[rows.start : rows.stop, columns.start : columns.stop])
    missing = rows.stop - rows.start - inside.shape[0], columns.stop - columns.start - inside.shape[1]
    return np.pad(inside, ((0, missing[0]), (0, missing[1])), mode="edge")


def _checked(image: Any, what: str) -> Any:
    if image.ndim != 2 or image.size == 0 or image.dtype.kind not in "buif":
        raise RunnerError(f"{what} no image, but {image.dtype} of shape {image.shape}: one gray channel is needed")
    return image


def _float32(image: Any) -> Any:
    with np.errstate(over="ignore"):  # what becomes infinite gets status 5
        return image.astype(np.float32)


def _run(session: Any, outputs: list[str], inputs: dict[str, Any]) -> list[Any]:
    try:
        return list(session.run(outputs, inputs))
    except Exception as error:
        raise RunnerError(f"ONNX Runtime stopped: {_line(error)}") from None


def _line(error: object) -> str:
    return " ".join(str(error).split())[:300]


def _unread(path: Any, error: OSError) -> RunnerError:
    if isinstance(error, PermissionError):
        return RunnerError(f"{path} may not be read: give this user the right to, or close the program that holds it")
    return RunnerError(f"{path} cannot be read: {error.strerror or error}")


# --- reading images ------------------------------------------------------------------------------


class Image(NamedTuple):
    """An image without its data bar: ``pixels (height, width)``, pixel size in nm, rows cut off, a remark."""

    pixels: Any
    pixel_size: float | None
    data_bar: int
    note: str


class Facts(NamedTuple):
    """What a file says of its image.

    Attributes:
        sizes: ``(where, width, height, unit)`` of a pixel, as often as it is stated.
        columns, rows: Of the image as it was taken, without data bar.
        scanned: The scanned height over that of a pixel.
        bar: Rows of the data bar, which need not be in the file any more.
        note: What else there is to say.
    """

    sizes: list[tuple[str, Any, Any, str]]
    columns: int | None = None
    rows: int | None = None
    scanned: int | None = None
    bar: int | None = None
    note: str = ""


def read_image(path: Path, pixel_size: float | None = None, data_bar: int | None = None) -> Image:
    """Read a TIFF, PNG or .npy; pixel size and data bar are for files that do not say.

    Raises:
        RunnerError: Naming the file, if it cannot be read or contradicts itself or what is passed.
    """
    try:
        content, facts = path.read_bytes(), Facts([])
        if content[:4] in (b"II*\0", b"MM\0*"):
            pixels, facts = _read_tiff(content)
        elif content[:8] == b"\x89PNG\r\n\x1a\n":
            pixels = _read_png(content)
        elif content[:6] == b"\x93NUMPY" and b"'|O'" in content[:200]:
            raise RunnerError("holds Python objects, not numbers: save an array of numbers")
        elif content[:6] == b"\x93NUMPY":
            # as a map, lest a header that lies takes memory
            stored = _checked(np.load(str(path), mmap_mode="r", allow_pickle=False), "is")
            pixels = stored.astype(stored.dtype.newbyteorder("="))
        else:
            big = "a BigTIFF" if content[:4] in (b"II+\0", b"MM\0+") else "no TIFF, PNG or .npy"
            raise RunnerError(f"is {big}: {SAVE}")
        bar = _data_bar(facts, pixels.shape[0], data_bar)
        size = _pixel_size(facts, pixels.shape[1], pixel_size)
        return Image(pixels[: len(pixels) - bar], size, bar, facts.note)
    except RunnerError as problem:
        raise RunnerError(f"{path} {problem}") from None
    except OSError as error:
        raise _unread(path, error) from None
    except MemoryError:
        raise RunnerError(f"{path} needs more memory than there is") from None
    except Exception as error:  # damaged bytes lead anywhere
        raise RunnerError(f"{path} is truncated or damaged: {_line(error)}") from None


READ = (".tif", ".tiff", ".png", ".npy")
SAVE = "save it as an uncompressed TIFF of one gray channel, in 8 or 16 bit or 32 bit floating point, or as gray PNG"
LIES = "declares {}x{} pixels, but its {} bytes cannot hold them: it is truncated or damaged"
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1}
"""Bytes of a value of each TIFF type that is read; 5 is a fraction of two whole numbers."""


def _read_tiff(content: bytes) -> tuple[Any, Facts]:
    order = "<" if content[:1] == b"I" else ">"
    tags = dict(_tags(content, order))
    width, height = tags[256][0], tags[257][0]
    codes = {"bits": 258, "compression": 259, "colours": 262, "channels": 277, "predictor": 317, "format": 339}
    found = {name: tags.get(code, [1])[0] for name, code in codes.items()}
    kind = {1: "u", 3: "f"}.get(found["format"], "") + str(found["bits"])
    plain = found["compression"] == found["predictor"] == found["channels"] == 1 and found["colours"] in (0, 1)
    if not plain or kind not in ("u8", "u16", "f32"):
        is_ = ", ".join(f"{name} {value}" for name, value in found.items())
        raise RunnerError(f"is a compressed or colour TIFF, or of another bit depth ({is_}): {SAVE}")
    dtype = np.dtype(f"{order}{kind[0]}{found['bits'] // 8}")
    if not 0 < width * height * dtype.itemsize <= len(content):
        raise RunnerError(LIES.format(width, height, len(content)))
    image = np.empty((height, width), dtype.newbyteorder("="))
    for top, left, block in _blocks(content, tags, dtype):
        part = image[top : top + block.shape[0], left : left + block.shape[1]]
        part[:] = block[: part.shape[0], : part.shape[1]]
    if found["colours"] == 0:  # white is 0: turned, so that larger is brighter
        image = np.fmax.reduce(image, axis=None) - image if kind == "f32" else ~image
    return image, _facts(tags)


def _tags(content: bytes, order: str) -> Iterator[tuple[int, Any]]:
    """Yield code and values of the first page's tags, texts as bytes; and as tag 0 where the next page is."""
    (at,) = struct.unpack_from(order + "I", content, 4)
    (count,) = struct.unpack_from(order + "H", content, at)
    yield 0, struct.unpack_from(order + "I", content, at + 2 + 12 * count)
    for place in range(at + 2, at + 2 + 12 * count, 12):
        code, kind, number = struct.unpack_from(order + "HHI", content, place)
        size = SIZES.get(kind, 0) * number
        start = place + 8 if size <= 4 else struct.unpack_from(order + "I", content, place + 8)[0]
        value = content[start : start + size]
        if len(value) < size:
            raise RunnerError(f"is truncated: its TIFF tag {code} should end at byte {start + size} of {len(content)}")
        if size:
            numbers = np.dtype(order + ("u2" if kind == 3 else "u4"))
            yield code, value if SIZES[kind] == 1 else np.frombuffer(value, numbers).tolist()


def _blocks(content: bytes, tags: dict[int, Any], dtype: Any) -> Iterator[tuple[int, int, Any]]:
    """Yield top, left and pixels of each strip or tile; tiles may reach beyond the image."""
    width, height, tiled = tags[256][0], tags[257][0], 322 in tags
    rows, columns = (tags[323][0], tags[322][0]) if tiled else (min(tags.get(278, [height])[0], height), width)
    offsets, counts = (tags.get(code, []) for code in ((324, 325) if tiled else (273, 279)))
    across, down = -(-width // columns), -(-height // rows)
    if not len(offsets) == len(counts or offsets) >= across * down:
        raise RunnerError("is truncated or damaged: some strips or tiles of its pixels are missing")
    for index in range(across * down):
        top, left = index // across * rows, index % across * columns
        stored = rows if tiled else min(rows, height - top)
        size = stored * columns * dtype.itemsize
        if offsets[index] + size > len(content) or (counts and counts[index] < size):
            raise RunnerError(f"is truncated: a part of its pixels should have {size} bytes from {offsets[index]}")
        yield top, left, np.frombuffer(content, dtype, stored * columns, offsets[index]).reshape(stored, columns)


ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row, first column, and steps of each pass of an interlaced PNG."""


def _read_png(content: bytes) -> Any:
    width, height, bits, colours, _, _, interlaced = struct.unpack_from(">IIBBBBB", content, 16)
    if colours != 0 or bits not in (8, 16):
        raise RunnerError(f"is a PNG of {bits} bit and colours of kind {colours}: save it as gray, in 8 or 16 bit")
    depth, stored, at = bits // 8, [], 8
    if not 0 < width * height * depth <= 1100 * len(content):  # deflate reaches 1032
        raise RunnerError(LIES.format(width, height, len(content)))
    while content[at + 4 : at + 8] != b"IEND":
        (length,) = struct.unpack_from(">I", content, at)
        (checksum,) = struct.unpack_from(">I", content, at + 8 + length)
        if zlib.crc32(content[at + 4 : at + 8 + length]) != checksum:
            raise RunnerError(f"is damaged: its chunk at byte {at} has another checksum")
        if content[at + 4 : at + 8] == b"IDAT":
            stored.append(content[at + 8 : at + 8 + length])
        at += 12 + length
    # each row of each pass begins with its filter: fewer than two more bytes a row
    raw = zlib.decompressobj().decompress(b"".join(stored), height * (width * depth + 2) + 8)
    image, at = np.zeros((height, width), f">u{depth}"), 0
    for top, left, down, across in ADAM7 if interlaced else ((0, 0, 1, 1),):
        part = image[top::down, left::across]
        if part.size:
            size = part.shape[0] * (1 + part.shape[1] * depth)
            lines = np.frombuffer(raw, np.uint8, size, at).reshape(part.shape[0], -1)
            part[:] = _unfiltered(lines, depth).view(part.dtype)[..., 0]
            at += size
    return image.astype(image.dtype.newbyteorder("="))


def _unfiltered(lines: Any, depth: int) -> Any:
    """Undo PNG's filters: each byte is stored as its difference from a guess by those left, above and between.

    The pixels of a diagonal, from bottom left to top right, need those of earlier ones only: they are done at once.
    """
    filters, rows, columns = lines[:, 0], lines.shape[0], (lines.shape[1] - 1) // depth
    done = np.zeros((rows + 1, columns + 1, depth), np.uint8)
    done[1:, 1:] = lines[:, 1:].reshape(rows, columns, depth)
    flat = done.reshape(-1, depth)
    for number in range(rows + columns - 1) if filters.any() else ():
        first, last = max(0, number - columns + 1), min(rows, number + 1)
        start = (first + 1) * columns + number + 2
        here, left, above, between = (
            flat[start - back :: columns][: last - first] for back in (0, 1, columns + 1, columns + 2)
        )
        a, b, c = left.astype(np.int16), above.astype(np.int16), between.astype(np.int16)
        far_a, far_b, far_c = abs(b - c), abs(a - c), abs(a + b - 2 * c)
        nearest = np.where((far_a <= far_b) & (far_a <= far_c), a, np.where(far_b <= far_c, b, c))
        here += np.choose(filters[first:last, None], (a * 0, a, b, (a + b) >> 1, nearest)).astype(np.uint8)
    return done[1:, 1:]


# --- what a TIFF says of pixel size and data bar, by the rules of cryoseg_tf.io --------------------

NANOMETRES = {"pm": 1e-3, "å": 0.1, "angstrom": 0.1, "nm": 1, "nanometer": 1, "mm": 1e6, "cm": 1e7, "m": 1e9}
NANOMETRES.update(dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer"), 1e3))
NO_LENGTH = ("", "pixel", "pixels", "px", "inch", "inches", "in", "dpi")
AGREE = 0.01
"""Sides of a pixel, and two statements of its size, may differ by this share."""


def _facts(tags: dict[int, Any]) -> Facts:
    sizes: list[tuple[str, Any, Any, str]] = []
    table: dict[str, str] = {}
    beams = ("scan", "escan", "iscan")
    for code in (34682, 34680, 34683):  # Thermo Fisher: sections, as in an INI file
        found = _ini(_text(tags.get(code, b"")))
        stated = [(found.get(f"{beam}.pixelwidth"), found.get(f"{beam}.pixelheight")) for beam in beams]
        sizes += [(f"tag {code} PixelWidth", x, y or x, "m") for x, y in stated if x][:1]
        table = {**found, **{name: value for name, value in table.items() if value}}
        if code in tags and not table:
            raise RunnerError(f"has Thermo Fisher metadata as XML, which run.py does not read: {SAVE}")
    sizes += [size for size in _other_sizes(_text(tags.get(270, b"")), tags) if size[1]]
    heights = [(_number(table.get(f"{b}.verfieldsize")), _number(table.get(f"{b}.pixelheight"))) for b in beams]
    scanned = next((round(field / pixel) for field, pixel in heights if field and pixel), None)
    names = ("image.resolutionx", "image.resolutiony", "privatefei.databarheight")
    columns, rows, bar = (None if n is None or n % 1 else int(n) for n in (_number(table.get(name)) for name in names))
    return Facts(sizes, columns, rows, scanned, bar, "of several pages only the first is used" if tags[0][0] else "")


def _other_sizes(text: str, tags: dict[int, Any]) -> Iterator[tuple[str, Any, Any, str]]:
    if text.startswith("ImageJ="):
        unit = re.search(r"^unit=(.*)$", text, re.MULTILINE)
        word = (unit.group(1) if unit else "").encode("utf-8").decode("unicode_escape", "replace").strip()
        x, y = (tags[code][1] / tags[code][0] if code in tags and all(tags[code]) else None for code in (282, 283))
        if word.lower() not in NO_LENGTH:
            yield "ImageJ resolution", x, y or x, word
    elif text.startswith("{"):
        with suppress(ValueError, KeyError, TypeError, AttributeError):  # JSON of another program
            size = json.loads(text)["pixel_size"]
            yield "OpenFIBSEM pixel_size", size.get("x"), size.get("y") or size.get("x"), "m"


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8").strip("\ufeff \r\n\t\0")
    except UnicodeDecodeError:
        return value.decode("cp1252", "replace").strip(" \r\n\t\0")


def _ini(text: str) -> dict[str, str]:
    # configparser refuses repeated names and lines without "=", which real files have
    table: dict[str, str] = {}
    section = ""
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if name.startswith("[") and name.endswith("]"):
            section = name[1:-1].strip().lower()
        elif equals and section:
            table.setdefault(f"{section}.{name.strip().lower()}", value.strip())
    return table


def _number(text: Any) -> float | None:
    """Return a number that is neither negative nor infinite, or None for anything else."""
    with suppress(TypeError, ValueError):
        value = float(text)
        return value if 0 <= value < math.inf else None
    return None


def _pixel_size(facts: Facts, width: int, asked: float | None) -> float | None:
    if not facts.sizes:
        return asked
    found = [
        (_number(side) or math.nan) * NANOMETRES.get(unit.lower(), math.nan)
        for _, *sides, unit in facts.sizes
        for side in sides
    ]
    said = "; ".join(f"{where} {x} x {y} {unit}" for where, x, y, unit in facts.sizes)
    problem = ""
    if not all(1e-3 <= side <= 1e6 for side in found):
        problem = f"{said}: a pixel size is a length between 0.001 nm and 1 mm"
    elif any(abs(side - found[0]) > AGREE * found[0] for side in found):
        problem = f"{said}: pixels must be square, and what is said twice must agree, within 1 %"
    elif facts.columns and facts.columns != width:
        problem = f"{said} is of an image {facts.columns} pixels wide, but this one is {width}: was it resized?"
    if asked is None:
        if problem:
            raise RunnerError(f"states its pixel size as {problem}; give the right one as --pixel-size")
        return float(f"{found[0]:.9g}")
    if not problem and abs(found[0] - asked) > AGREE * asked:
        raise RunnerError(f"says its pixel size is {found[0]:.9g} nm ({said}), but --pixel-size says {asked:g}")
    return asked


def _data_bar(facts: Facts, height: int, asked: int | None) -> int:
    """Return how many rows at the bottom are data bar: those that the image as it was taken did not have."""
    known = [rows for rows in (facts.rows, facts.scanned) if rows]
    slack = 0 if facts.rows else 1  # lengths are written with six digits, which may round to the next row
    extra = height - known[0] if known else 0
    allowed = [extra] if facts.bar in (None, extra) else []
    if not known:
        allowed = [facts.bar or 0]
    elif max(known) - min(known) > 1 or extra < -slack:
        allowed = []
    elif extra <= slack:
        allowed = [0, facts.bar or 0]  # a bar that is named may be in the file no more, or lie in the image's rows
    spoken = known or facts.bar is not None
    said = f"has {height} rows and says: image {facts.rows}, scanned {facts.scanned}, data bar {facts.bar}"
    if asked is None and not allowed:
        raise RunnerError(f"{said}; these do not agree: pass the rows of its data bar as --data-bar")
    if spoken and allowed and asked not in (None, *allowed):
        raise RunnerError(f"{said}; --data-bar {asked} does not agree")
    rows = allowed[0] if asked is None else asked
    if not 0 <= rows < height:
        raise RunnerError(f"has {height} rows: a data bar of {rows} would leave no image")
    return rows


# --- writing, checking, and the command line --------------------------------------------------------


def write(path: Path, content: bytes) -> None:
    """Write beside and rename: a reader sees the old file or the new one, never a part."""
    part = path.with_name(f".part-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        for _ in range(20):
            with suppress(PermissionError):  # Windows: a virus scanner or viewer holds the old file for a moment
                part.replace(path)
                return
            time.sleep(0.05)
        part.replace(path)
    except OSError as error:
        raise RunnerError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            part.unlink()


def png(mask: Any) -> bytes:
    """Encode ``(h, w)`` uint8 as a gray PNG."""
    header = struct.pack(">IIBBBBB", mask.shape[1], mask.shape[0], 8, 0, 0, 0, 0)
    lines = np.pad(mask, ((0, 0), (1, 0)))  # each row begins with its filter: none
    chunks = (b"IHDR" + header, b"IDAT" + zlib.compress(lines.tobytes(), 1), b"IEND")
    packed = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def verify(model: Model) -> Iterator[tuple[bool, str]]:
    """Say of each golden image whether the answer is the trained model's; in float16 and int8, of each class."""
    least, most = model.manifest["tolerances"]["dice"], model.manifest["tolerances"]["probability"]
    exact, classes = model.precision == "float32", model.contract["classes"]
    both, sizes = (np.zeros(len(classes)) for _ in range(2))
    for case in model.manifest["golden"]:
        files = (model.file(case[what]) for what in ("image", "mask", "probability"))
        image, mask, golden = (np.load(str(file), allow_pickle=False) for file in files)
        found, probability, status = model.segment(image, case["pixel_size"])
        both += np.bincount(mask[found == mask], minlength=len(classes))
        sizes += np.bincount(np.append(found, mask), minlength=len(classes))
        ordered = np.sort(golden, axis=-1)
        other = np.float32(model.contract["threshold"]) if golden.shape[-1] == 1 else ordered[..., -2]
        clear = abs(ordered[..., -1] - other) > most
        off, differ = float(abs(probability - golden).max()), found != mask
        good = status == case["status"] and (not exact or (off <= most and not (clear & differ).any()))
        yield good, f"{case['name']}: status {status}, probability off by {off:.1e}, {differ.sum()} pixels differ"
    for index, name in enumerate(classes):
        dice = 2 * both[index] / sizes[index] if sizes[index] else 1.0
        yield bool(exact or dice >= least), f"class {name}: Dice {dice:.4f}"


def collect(inputs: Sequence[Path]) -> list[Path]:
    """Return the images that are named, or lie in folders that are."""
    files: list[Path] = []
    for path in inputs:
        inside = sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []
        found = [p for p in inside if p == path or (p.suffix.lower() in READ and not p.name.startswith("."))]
        if not found:
            raise RunnerError(f"{path} holds no TIFF, PNG or .npy" if path.is_dir() else f"{path} does not exist")
        rest = [p.name for p in inside if p not in found and not p.name.startswith(".")]
        if rest:
            print(f"left out of {path}, as neither TIFF, PNG nor .npy: {', '.join(rest)}", file=sys.stderr)
        files += found
    return list(dict.fromkeys(files))


def destinations(images: Sequence[Path], wanted: argparse.Namespace) -> dict[Path, Path]:
    """Return the file for each image's mask; refuse, before any work, to lose a file or spoil a folder."""
    out, place = wanted.out, (Path.cwd() / wanted.out).resolve()
    named = len(images) == 1 and out.suffix.lower() == ".png" and not out.is_dir()
    if not named and not out.is_dir() and (out.exists() or out.suffix[1:].isalpha()):
        raise RunnerError(f"--out {out} is neither NAME.png, for the mask of one image, nor a folder: masks are PNG")
    for folder in (place, *place.parents):
        if (folder / "manifest.json").is_file() and (folder / "golden").is_dir():
            raise RunnerError(f"{folder} is a bundle, which masks would spoil: choose another --out")
    if not named and place in [image.resolve().parent for image in images]:
        raise RunnerError(f"{out} holds the images: masks would lie among them; choose another --out")
    targets = {image: out if named else out / f"{image.stem}.png" for image in images}
    sources = {image.resolve() for image in images}
    seen: dict[str, Path] = {}
    for image, target in targets.items():
        other = seen.setdefault(str(target).lower(), image)  # Windows does not tell A.png from a.png
        if other != image:
            raise RunnerError(f"{other} and {image} would both become {target}: segment them into two folders")
        for path in (target, target.with_suffix(".npy")) if wanted.probability else (target,):
            if path.resolve() in sources:
                raise RunnerError(f"{path} is an image and would be replaced: choose another --out")
            if path.exists() and not wanted.overwrite:
                raise RunnerError(f"{path} exists: choose another --out, or --overwrite")
    return targets


def segment_file(model: Model, image: Path, target: Path, wanted: argparse.Namespace) -> str:
    """Segment a file into another, and say in a line what came of it."""
    read = read_image(image, wanted.pixel_size, wanted.data_bar)
    if model.contract["scale"] == "pixel_size" and read.pixel_size is None:
        raise RunnerError(f"{image} does not say its pixel size, which this model needs: pass --pixel-size")
    try:
        mask, probability, status = model.segment(read.pixels, read.pixel_size, wanted.probability)
    except RunnerError as problem:
        raise RunnerError(f"{image}: {problem}") from None
    if wanted.probability:
        bar, content = model.background(read.data_bar, mask.shape[1]), io.BytesIO()
        np.save(content, np.concatenate([probability, bar]), allow_pickle=False)
        write(target.with_suffix(".npy"), content.getvalue())
    write(target, png(np.pad(mask, ((0, read.data_bar), (0, 0)))))
    notes = "; ".join(note for note in (model.explain(status), read.note) if note)
    return f"{image} -> {target}  {(mask > 0).mean():.1%} foreground" + (f"  ({notes})" if notes else "")


def options() -> argparse.ArgumentParser:
    """Return what the command line takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.usage = "run.py IMAGES... --out MASK.png|FOLDER [options], or run.py --verify [options]"
    add = parser.add_argument
    add("images", nargs="*", type=Path, help="TIFF, PNG, .npy, or folders of them (not of folders in them)")
    add("--out", type=Path, help="NAME.png for the mask of one image, or a folder for several, STEM.png each")
    add("--pixel-size", type=float, metavar="NM", help="of images that do not say theirs")
    add("--data-bar", type=int, metavar="ROWS", help="of data bar, where the file does not say")
    add("--threads", type=int, default=0, metavar="N", help="as many as there are cores, if not given")
    add("--precision", choices=("float32", "float16", "int8"), default="float32", help="of the network")
    add("--probability", action="store_true", help="write probabilities too, as .npy beside the mask")
    add("--overwrite", action="store_true", help="replace files that are there")
    add("--bundle", type=Path, default=Path(__file__).resolve().parent, help="if not the folder of run.py")
    add("--verify", action="store_true", help="compare with the bundle's golden images; then segment, if they agree")
    return parser


def main() -> int:
    """Do what the command line says."""
    for stream in (sys.stdout, sys.stderr):  # a file's name may have letters that the console has not
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    parser = options()
    wanted = parser.parse_args()
    if wanted.images and not wanted.out:
        parser.error("--out is missing: NAME.png for the mask of one image, or a folder for several")
    if not wanted.images and (wanted.out or not wanted.verify):
        parser.error("no image is named: name some, and --out for their masks, or --verify to test this computer")
    if wanted.threads < 0:
        parser.error(f"--threads {wanted.threads} is less than 0")
    if wanted.pixel_size is not None and not 0 < wanted.pixel_size < math.inf:
        parser.error(f"--pixel-size {wanted.pixel_size:g} is no length: it must be above 0")
    failed = 0
    try:
        targets = destinations(collect(wanted.images), wanted) if wanted.images else {}
        model = Model(wanted.bundle, wanted.precision, wanted.threads)
        for good, line in verify(model) if wanted.verify else ():
            failed += not good
            print(f"{'ok   ' if good else 'WRONG'} {line}", flush=True)
    except BrokenPipeError:  # who reads the output has seen enough
        raise
    except (RunnerError, OSError) as error:
        print(f"run.py: {_unread(error.filename, error) if isinstance(error, OSError) else error}", file=sys.stderr)
        return 2
    if wanted.verify:
        print(f"{model.precision} on this computer answers {'NOT ' if failed else ''}as the trained model did")
    if failed:
        return 1
    for image, target in targets.items():
        try:
            print(segment_file(model, image, target, wanted), flush=True)
        except (RunnerError, MemoryError) as problem:
            failed += 1
            print(f"FAILED: {problem or f'{image} needs more memory than there is'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
