"""run.py reads what the package reads and answers as it does, without the package."""

import contextlib
import importlib.util
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from cryoseg_tf import Run, Segmenter
from cryoseg_tf.errors import ImageError
from cryoseg_tf.exports.onnx import write_steps
from cryoseg_tf.io.atomic import json_text, sha256
from cryoseg_tf.io.micrograph import Micrograph, read_micrograph
from cryoseg_tf.models.metrics import decide
from cryoseg_tf.segmentation.keras_predictor import KerasPredictor

RUNNER = Path(__file__).parents[2] / "exports" / "runner"
PAGE = (RUNNER.parents[1] / "docs" / "bundle.md").read_text("utf-8")
OTHERS = ("tensorflow", "keras", "cryoseg_tf", "PIL", "tifffile", "imagecodecs", "scipy", "skimage", "onnx", "pydantic")

spec = importlib.util.spec_from_file_location("run", RUNNER / "run.py")
run = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run)


def pixels(dtype, shape=(37, 53)):
    """Values up to the ends of the type, smooth in part, so that PNG writers use all filters."""
    y, x = np.indices(shape)
    noise = np.random.default_rng(0).random(shape)
    share = np.where(x < shape[1] // 2, (x + y) / sum(shape), noise)
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1e3
    return (share / share.max() * top).astype(dtype)


def alone(folder, *words, without=OTHERS):
    """Run ``folder``'s run.py in a process that cannot import what an instrument's computer has not."""
    block = f"import sys, runpy; sys.modules.update(dict.fromkeys({without!r}))"
    code = f"{block}; sys.argv[0] = {str(folder / 'run.py')!r}; runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-B", "-c", code, *map(str, words)]
    result = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert "Traceback" not in result.stderr, result.stderr
    return result


@pytest.fixture
def copy(bundle, tmp_path):
    """A bundle that may be changed, with today's run.py."""
    folder = tmp_path / "copy.cryoseg"
    shutil.copytree(bundle.path, folder, ignore=shutil.ignore_patterns("saved_model", "tflite", "openvino"))
    for path in RUNNER.glob("*.*"):
        shutil.copy(path, folder)
    return folder


@contextlib.contextmanager
def closed(path):
    """Let nobody read a path for a while."""
    before, root = path.stat().st_mode, os.geteuid() == 0
    path.chmod(0)
    if root:
        os.seteuid(65534)  # whom permissions stop
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        path.chmod(before)


def change(folder, **parts):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    for name, values in parts.items():
        manifest[name].update(values)
    path.write_text(json_text(manifest), "utf-8")


# reading


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 5}, {"tile": (16, 32)}], ids=["one strip", "strips", "tiles"])
@pytest.mark.parametrize("white", [False, True], ids=["", "white is 0"])
def test_tiff(tmp_path, dtype, order, layout, white):
    path = tmp_path / "a.tif"
    kind = "miniswhite" if white else "minisblack"
    tifffile.imwrite(path, pixels(dtype), byteorder=order, photometric=kind, **layout)
    read = run.read_image(path).pixels
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, read_micrograph(path).pixels)


def adam7(image):
    """Write an interlaced PNG, row after row with another filter; Pillow only reads such files."""
    depth, raw = image.dtype.itemsize, b""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    for top, left, down, across in passes:
        part = np.ascontiguousarray(image[top::down, left::across]).astype(f">u{depth}")
        above = bytes(part.shape[1] * depth)
        for number, row in enumerate(part if part.size else ()):
            line = row.tobytes()
            left_of, corner = bytes(depth) + line[:-depth], bytes(depth) + above[:-depth]
            near = list(zip(left_of, above, corner, strict=True))
            guesses = [bytes(len(line)), left_of, above, [(a + b) // 2 for a, b, _ in near]]
            guesses.append([min((a, b, c), key=lambda v, p=a + b - c: abs(p - v)) for a, b, c in near])
            guess = guesses[number % 5]
            raw += bytes([number % 5]) + bytes((v - g) % 256 for v, g in zip(line, guess, strict=True))
            above = line
    header = struct.pack(">IIBBBBB", image.shape[1], image.shape[0], 8 * depth, 0, 0, 0, 1)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("shape", [(37, 53), (1, 1), (3, 1), (1, 9), (200, 90)])
@pytest.mark.parametrize("interlaced", [False, True], ids=["", "interlaced"])
def test_png(tmp_path, dtype, shape, interlaced):
    image = pixels(dtype, shape)
    path = tmp_path / "a.png"
    if interlaced:
        path.write_bytes(adam7(image))
        np.testing.assert_array_equal(np.asarray(Image.open(path)), image)
    else:
        Image.fromarray(image).save(path)
    read = run.read_image(path).pixels
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, image)


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "float32", "float64"])
def test_npy(tmp_path, dtype):
    image = pixels("uint8").astype(dtype)
    np.save(tmp_path / "a.npy", np.asfortranarray(image))
    np.testing.assert_array_equal(run.read_image(tmp_path / "a.npy").pixels, image)


def test_what_it_writes_other_programs_read(tmp_path):
    mask = pixels("uint8") % 4
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(run.png(mask)))), mask)


HEAD = "[Scan]\r\nPixelWidth={}\r\nPixelHeight={}\r\n"
STATEMENTS = {
    "nothing": {},
    "Thermo": {34682: HEAD.format("1.5e-007", "1.5e-007")},
    "Thermo, other tag, other beam": {34680: "[EScan]\nPixelWidth=2e-7\n"},
    "Thermo, not square": {34682: HEAD.format("1.5e-007", "1.6e-007")},
    "Thermo, absurd": {34682: HEAD.format("15", "15")},
    "Thermo, no number": {34682: HEAD.format("unknown", "1e-7")},
    "Thermo, of another width": {34682: HEAD.format("1e-7", "1e-7") + "[Image]\r\nResolutionX=106\r\n"},
    "two that agree": {34682: HEAD.format("1e-7", "1e-7"), 34680: HEAD.format("1.004e-7", "")},
    "two that do not": {34682: HEAD.format("1e-7", "1e-7"), 34680: HEAD.format("1.1e-7", "")},
    "ImageJ": {270: "ImageJ=1.54f\nunit=\\u00B5m\n"},
    "ImageJ, inch": {270: "ImageJ=1.54f\nunit=inch\n"},
    "ImageJ, unknown unit": {270: "ImageJ=1.54f\nunit=furlong\n"},
    "dpi only": {270: "a scan"},
    "OpenFIBSEM": {270: json.dumps({"pixel_size": {"x": 1e-7, "y": 1e-7}, "microscope_state": {}})},
    "OpenFIBSEM, unknown": {270: json.dumps({"pixel_size": {"x": 0, "y": 0}, "microscope_state": {}})},
    "other JSON": {270: '{"shape": [1, 2]}'},
}


def tagged(path, tags, rows=37):
    extra = [(code, "s", 0, text, True) for code, text in tags.items() if code != 270]
    size = {"resolution": (5.0, 5.0), "resolutionunit": 1, "extratags": extra}
    tifffile.imwrite(path, pixels("uint8", (rows, 53)), description=tags.get(270), metadata=None, **size)
    return path


def both(path, **asked):
    """What the package and run.py make of a file: pixel size, data bar, shape; or None where they refuse."""
    return attempt(read_micrograph, ImageError, path, asked), attempt(run.read_image, run.RunnerError, path, asked)


def attempt(read, refusal, path, asked):
    with contextlib.suppress(refusal):
        image = read(path, **asked)
        return image.pixel_size, image.data_bar, image.pixels.shape
    return None


@pytest.mark.parametrize("asked", [None, 150.0])
@pytest.mark.parametrize("tags", STATEMENTS.values(), ids=STATEMENTS)
def test_the_pixel_size_is_what_the_package_takes(tmp_path, tags, asked):
    package, runner = both(tagged(tmp_path / "a.tif", tags), pixel_size=asked)
    assert runner == package


def test_the_data_bar_is_what_the_package_crops(tmp_path):
    seen = set()
    for extra in (0, 1, 8):
        for image in ("", "ResolutionY=37\n", "ResolutionY=35\n", "ResolutionY=60\n"):
            for scan in ("", "VerFieldsize=3.7e-6\nPixelHeight=1e-7\n", "VerFieldsize=3.0e-6\nPixelHeight=1e-7\n"):
                for bar in ("", "0", "8", "99"):
                    text = f"[Scan]\nPixelWidth=1e-7\n{scan}[Image]\n{image}[PrivateFei]\nDatabarHeight={bar}\n"
                    path = tagged(tmp_path / "a.tif", {34682: text}, 37 + extra)
                    for asked in (None, 0, 8):
                        package, runner = both(path, data_bar=asked)
                        assert runner == package, (text, extra, asked)
                        seen.add(runner and runner[1])
    assert seen >= {None, 0, 1, 2, 8}


HUGE = b"\x93NUMPY\x01\0v\0" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999, 999999), }".ljust(118)


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("a.tif", lambda p: tifffile.imwrite(p, pixels("uint8"), compression="zlib"), ["compression 8", "save it"]),
        ("a.tif", lambda p: tifffile.imwrite(p, np.zeros((9, 9, 3), "u1")), ["colour", "channels 3", "gray"]),
        ("a.tif", lambda p: tifffile.imwrite(p, pixels("uint8").astype("i2")), ["format 2", "8 or 16 bit"]),
        ("a.tif", lambda p: tifffile.imwrite(p, pixels("uint8"), bigtiff=True), ["BigTIFF", "save it as"]),
        ("a.tif", lambda p: tagged(p, {34682: "<Metadata/>"}), ["XML", "save it as"]),
        ("a.tif", lambda p: p.write_bytes(b"II*\0"), ["truncated"]),
        ("a.png", lambda p: Image.fromarray(np.zeros((9, 9, 3), "u1")).save(p), ["kind 2", "save it as gray"]),
        ("a.png", lambda p: Image.fromarray(np.zeros((9, 9), bool)).save(p), ["1 bit", "save it as gray"]),
        ("a.npy", lambda p: np.save(p, np.zeros((3, 9, 9))), ["(3, 9, 9)", "one gray channel"]),
        ("a.npy", lambda p: np.save(p, np.array([[{}]])), ["holds Python objects, not numbers"]),
        ("a.npy", lambda p: p.write_bytes(HUGE), ["damaged"]),
        ("a.txt", lambda p: p.write_text("hello"), ["no TIFF, PNG or .npy", "save it as"]),
        ("a.tif", lambda _: None, ["cannot be read"]),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_with_a_remedy(tmp_path, name, write, words):
    write(tmp_path / name)
    with pytest.raises(run.RunnerError) as error:
        run.read_image(tmp_path / name)
    assert all(word in str(error.value) for word in [*words, str(tmp_path / name)]), str(error.value)


@pytest.mark.parametrize("name", ["a.tif", "b.tif", "a.png"])
def test_a_damaged_file_is_refused_and_takes_no_memory(tmp_path, name):
    path = tmp_path / name
    if name == "a.png":
        Image.fromarray(pixels("uint16")).save(path)
    else:
        tifffile.imwrite(path, pixels("uint16"), **({"tile": (16, 16)} if name == "b.tif" else {"rowsperstrip": 7}))
    whole, good = path.read_bytes(), run.read_image(path).pixels
    for end in range(0, len(whole), 41):
        path.write_bytes(whole[:end])
        with pytest.raises(run.RunnerError, match=name):
            run.read_image(path)
    random = np.random.default_rng(0)
    for _ in range(300):  # an error or an image, and nothing else
        content = bytearray(whole)
        at = random.integers(0, 300)
        content[at : at + 4] = random.choice([b"\xff\xff\xff\x7f", bytes(4), random.bytes(4)])
        path.write_bytes(content)
        with contextlib.suppress(run.RunnerError):
            assert run.read_image(path).pixels.nbytes <= 4 * good.nbytes


# answering


def agree(model, segmenter, image, pixel_size=None):
    """Compare with the package: probabilities within rounding, masks where the decision is clear."""
    expected = segmenter.segment(Micrograph(image, pixel_size), probabilities=True)
    mask, probability, status = model.segment(image, pixel_size)
    assert status == expected.status
    np.testing.assert_allclose(probability, expected.probabilities, atol=2e-5)
    clear = abs(expected.probabilities[..., 0] - segmenter.contract.threshold) > 2e-5
    np.testing.assert_array_equal(mask[clear], expected.mask[clear])
    np.testing.assert_array_equal(mask, decide(probability, segmenter.contract.threshold))
    assert clear.mean() > 0.9


@pytest.mark.parametrize("tile", [1536, 16])
@pytest.mark.parametrize("shape", [(64, 64), (101, 130), (7, 200), (8, 9)])
def test_masks_are_those_of_the_package(copy, trained, make_pairs, tmp_path, tile, shape):
    change(copy, network={"tile": tile})
    make_pairs(tmp_path, 1, shape)
    image = np.asarray(Image.open(tmp_path / "images" / "x00.png")).astype(np.uint16) * 99
    agree(run.Model(copy), Segmenter.from_run(trained, tile=tile), image)


def test_masks_are_those_of_the_package_at_another_scale(copy, trained):
    source = Run(trained)
    told = {"scale": "pixel_size", "pixel_size": 200.0, "pixel_size_range": (50.0, 700.0)}
    contract = source.contract.model_copy(update=told)
    write_steps(contract, copy / "onnx")
    steps = (f"onnx/{name}.onnx" for name in ("statistics", "resample"))
    change(copy, contract=told, network={"tile": 16}, files={name: sha256(copy / name) for name in steps})
    segmenter = Segmenter(KerasPredictor(source.load_model(), source.config.model), contract, tile=16)
    model = run.Model(copy)
    image = np.asarray(Image.open(trained.parent / "data" / "images" / "x01.png"))
    for pixel_size in (65.0, 200.0, 333.3, 600.0, 701.0, None):
        agree(model, segmenter, image, pixel_size)


def test_statuses_are_told_in_words(copy):
    model = run.Model(copy)
    holed = pixels("float32")
    holed[3, 5] = np.nan
    small, plain = pixels("uint8", (3, 90)), np.ones((40, 40))
    for image, status, word in ((holed, 5, "finite"), (small, 3, "small"), (plain, 4, "contrast")):
        mask, probability, found = model.segment(image)
        assert found == status
        assert word in model.explain(status)
        assert mask.shape == image.shape
        assert not (mask.any() or probability.any()) or status == 4


def test_an_empty_mask_of_several_classes_is_background(copy):
    change(copy, network={"channels": 3})
    mask, probability, _ = run.Model(copy).segment(pixels("uint8", (3, 90)))
    assert not mask.any()
    assert (probability == [1, 0, 0]).all()


# the command line, without the package


def test_files_are_those_of_segment(copy, trained, cli, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    source = np.asarray(Image.open(trained.parent / "data" / "images" / "x02.png"))
    text = f"[Scan]\nPixelWidth=1e-7\nPixelHeight=1e-7\n[Image]\nResolutionX=64\nResolutionY={len(source)}\n"
    barred = np.concatenate([source, np.zeros((9, 64), np.uint8)])
    tifffile.imwrite(images / "bar.tif", barred, extratags=[(34682, "s", 0, text, True)])
    Image.fromarray(source).save(images / "plain.png")
    (images / "._plain.png").write_bytes(b"what a Mac leaves beside it")
    result = cli("segment", trained, images, "--out", tmp_path / "package")
    assert result.exit_code == 0, result.output
    done = alone(copy, images, "--out", tmp_path / "alone", "--probability")
    assert done.returncode == 0, done.stderr
    for name in ("bar", "plain"):
        expected, found = (np.asarray(Image.open(tmp_path / who / f"{name}.png")) for who in ("package", "alone"))
        np.testing.assert_array_equal(found, expected)
        probability = np.load(tmp_path / "alone" / f"{name}.npy")
        np.testing.assert_array_equal(probability[..., 0] >= run.Model(copy).contract["threshold"], expected > 0)
    assert len(list((tmp_path / "alone").iterdir())) == 4
    assert "% foreground" in done.stdout


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_verify_says_whether_this_computer_answers_alike(copy, precision):
    result = alone(copy, "--verify", "--precision", precision)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{precision} on this computer answers as the trained model did" in result.stdout


@pytest.mark.parametrize("what", ["probability", "mask"])
def test_verify_finds_another_answer_and_segments_nothing(copy, tmp_path, what):
    path = copy / "golden" / f"uint8.{what}.npy"
    array = np.load(path)
    array[5, 5] = not array[5, 5]
    np.save(path, array)
    change(copy, files={f"golden/{path.name}": sha256(path)})
    result = alone(copy, "--verify", copy / "golden" / "uint8.image.npy", "--out", tmp_path / "mask.png")
    assert result.returncode == 1
    assert "WRONG uint8: " in result.stdout
    assert "answers NOT as the trained model did" in result.stdout
    assert not (tmp_path / "mask.png").exists()


@pytest.mark.parametrize("name", ["onnx/model.onnx", "onnx/statistics.onnx", "golden/uint8.mask.npy"])
def test_only_files_as_they_were_exported_are_used(copy, name):
    with (copy / name).open("ab") as file:
        file.write(b" ")
    result = alone(copy, "--verify")
    assert (result.returncode, result.stdout.count("NOT")) == (2, 0)
    assert f"{copy / name} is not as it was exported: copy the bundle again" in result.stderr
    (copy / name).unlink()
    assert f"{copy / name} is missing" in alone(copy, "--verify").stderr


def test_weights_beside_a_network_are_checked_too(copy):
    (copy / "onnx" / "model.onnx.data").write_bytes(b"not those")
    change(copy, files={"onnx/model.onnx.data": "0"})
    with pytest.raises(run.RunnerError, match=r"model\.onnx\.data is not as it was exported"):
        run.Model(copy)


def test_damage_to_what_is_not_used_does_not_matter(copy):
    for name in ("onnx/model.onnx", "onnx/segment.onnx"):
        (copy / name).write_bytes(b"damaged")
    result = alone(copy, "--verify", "--precision", "float16")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows keeps permissions otherwise")
def test_what_may_not_be_read_is_not_called_damaged(copy, tmp_path, monkeypatch, capsys):
    (tmp_path / "images").mkdir()
    image = tmp_path / "images" / "a.png"
    Image.fromarray(pixels("uint8")).save(image)
    model = run.Model(copy)
    with closed(image), pytest.raises(run.RunnerError, match=r"a\.png may not be read"):
        run.read_image(image)
    with closed(copy / "onnx" / "model.onnx"), pytest.raises(run.RunnerError, match=r"model\.onnx may not be read"):
        model.file("onnx/model.onnx")
    with closed(copy / "manifest.json"), pytest.raises(run.RunnerError, match=r"manifest\.json may not be read"):
        run.Model(copy)
    monkeypatch.setattr(sys, "argv", ["run.py", str(tmp_path / "images"), "--out", str(tmp_path / "masks")])
    with closed(tmp_path / "images"):
        assert run.main() == 2
    assert "images may not be read" in capsys.readouterr().err


def test_one_bad_image_does_not_stop_the_rest(copy, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    Image.fromarray(pixels("uint8")).save(tmp_path / "bµ.png")
    result = alone(copy, tmp_path / "a.png", tmp_path / "bµ.png", "--out", tmp_path / "masks.2026")
    assert result.returncode == 1
    assert "FAILED" in result.stdout.splitlines()[0]
    assert (tmp_path / "masks.2026" / "bµ.png").is_file()


def test_wrong_use_is_told_and_nothing_is_lost(copy, tmp_path):
    image = tmp_path / "a.png"
    Image.fromarray(pixels("uint8")).save(image)
    before = image.read_bytes()
    (tmp_path / "old.png").write_bytes(b"mine")
    np.save(tmp_path / "b.npy", pixels("uint8"))
    (tmp_path / "other").mkdir()
    shutil.copy(image, tmp_path / "other" / "A.png")
    manifest = (copy / "manifest.json").read_bytes()
    for words, said in (
        ([], "no image is named"),
        (["--out", tmp_path / "m"], "no image is named"),
        ([image], "--out is missing: NAME.png"),
        ([image, "--out", image, "--overwrite"], "is an image and would be replaced"),
        ([tmp_path / "b.npy", "--out", tmp_path / "b.png", "--probability"], "b.npy is an image and would be replaced"),
        ([image, "--out", tmp_path, "--overwrite"], "holds the images: masks would lie among them"),
        ([image, "--out", copy, "--overwrite"], "copy.cryoseg is a bundle, which masks would spoil"),
        ([image, "--out", copy / "masks"], "copy.cryoseg is a bundle, which masks would spoil"),
        ([image, "--out", copy / "golden" / "mask.png"], "copy.cryoseg is a bundle, which masks would spoil"),
        ([image, "--out", tmp_path / "m.tif"], "m.tif is neither NAME.png"),
        ([image, tmp_path / "b.npy", "--out", tmp_path / "m.png"], "m.png is neither NAME.png"),
        ([image, "--out", tmp_path / "b.npy"], "b.npy is neither NAME.png"),
        ([image, "--out", tmp_path / "old.png"], "exists: choose another --out, or --overwrite"),
        ([image, tmp_path / "other", "--out", tmp_path / "m"], "A.png would both become"),
        ([tmp_path / "none.tif", "--out", tmp_path / "m"], "none.tif does not exist"),
        ([image, copy / "golden" / "uint8.image.npy", copy, "--out", tmp_path / "m"], "holds no TIFF"),
        ([image, "--out", tmp_path / "m", "--bundle", tmp_path], f"{tmp_path} is not a bundle: there is no"),
        ([image, "--out", tmp_path / "m", "--pixel-size", "-3"], "--pixel-size -3 is no length"),
        ([image, "--out", tmp_path / "m", "--threads", "-1"], "--threads -1 is less than 0"),
    ):
        result = alone(copy, *words)
        assert (result.returncode, said in result.stderr) == (2, True), result.stderr
        assert len(result.stderr.splitlines()) <= 2
    for what, said in (({"onnx": {"statistics": "../a.png"}}, "not inside the bundle"), ({"onnx": {}}, "holds no")):
        change(copy, formats=what)
        result = alone(copy, "--verify")
        assert (result.returncode, said in result.stderr) == (2, True), result.stderr
        (copy / "manifest.json").write_bytes(manifest)
    (copy / "onnx" / "model.onnx").write_bytes(b"no model")
    assert "is not as it was exported" in alone(copy, image, "--out", tmp_path / "m").stderr
    change(copy, files={"onnx/model.onnx": sha256(copy / "onnx" / "model.onnx")})
    assert "cannot be loaded" in alone(copy, image, "--out", tmp_path / "m").stderr
    assert image.read_bytes() == before
    assert (tmp_path / "old.png").read_bytes() == b"mine"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("m")]


def test_a_model_that_needs_the_pixel_size_asks_for_it(copy, tmp_path):
    Image.fromarray(pixels("uint8")).save(tmp_path / "a.png")
    change(copy, contract={"scale": "pixel_size"})
    result = alone(copy, tmp_path / "a.png", "--out", tmp_path / "mask.png")
    assert result.returncode == 1
    assert "a.png does not say its pixel size, which this model needs: pass --pixel-size" in result.stdout
    assert not (tmp_path / "mask.png").exists()


@pytest.mark.parametrize("package", ["numpy", "onnxruntime"])
def test_what_is_missing_is_named_with_the_line_that_installs_it(copy, package):
    result = alone(copy, "--verify", without=(package,))
    assert result.returncode == 2
    assert "pip install --require-hashes -r requirements-runner" in result.stderr


# the page


def test_the_page_has_every_option():
    flags = {flag for action in run.options()._actions for flag in action.option_strings if flag.startswith("--")}
    assert flags - {"--help"} == set(re.findall(r"^\| `(--[a-z-]+)", PAGE, re.MULTILINE))


def test_the_pages_call_of_onnx_runtime_gives_the_golden_mask(copy):
    (code,) = [text for text in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "InferenceSession" in text]
    found = {}
    exec(code.replace("cells.cryoseg", copy.as_posix()), found)
    np.testing.assert_array_equal(found["mask"][0], np.load(copy / "golden" / "uint16.mask.npy"))
    assert found["status"] == [0]


# a real Python 3.8


def python38():
    """Return one that starts, or None; a pyenv shim may be there and not start."""
    found = [shutil.which("python3.8"), *sorted((Path.home() / ".pyenv" / "versions").glob("3.8*/bin/python3.8"))]
    for path in filter(None, found):
        command = [path, "-c", "import sys, venv; print(sys.version)"]
        if subprocess.run(command, capture_output=True, text=True, check=False).stdout.startswith("3.8."):
            return path
    return None


@pytest.mark.slow
def test_on_python_38_with_nothing_but_the_requirements(copy, tmp_path):
    interpreter = python38()
    if interpreter is None:
        pytest.skip("there is no Python 3.8 here")
    subprocess.run([interpreter, "-m", "venv", tmp_path / "bare"], check=True)
    python = tmp_path / "bare" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [python, "-m", "pip", "install", "--require-hashes", "--only-binary", ":all:", "-r"]
    installed = subprocess.run(
        [*install, copy / "requirements-runner.txt"], capture_output=True, text=True, check=False
    )
    if installed.returncode and ("onnection" in installed.stderr or "No matching" in installed.stderr):
        pytest.skip(f"no network: {installed.stderr.strip().splitlines()[-1]}")
    assert installed.returncode == 0, installed.stderr

    def call(*words):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        return subprocess.run([python, *words], capture_output=True, text=True, env=environment, check=False)

    there = {p["name"]: p["version"] for p in json.loads(call("-m", "pip", "list", "--format=json").stdout)}
    assert (there["onnxruntime"], there["numpy"]) == ("1.19.2", "1.24.4")
    assert call("-c", "import tensorflow").returncode == 1
    for precision in ("float32", "float16"):
        result = call(copy / "run.py", "--verify", "--precision", precision)
        assert (result.returncode, result.stderr) == (0, ""), result.stdout
    # whether int8 is good enough is another question
    assert "class cell: Dice" in call(copy / "run.py", "--verify", "--precision", "int8").stdout
    result = call(copy / "run.py", copy / "golden" / "uint8.image.npy", "--out", tmp_path / "mask.png")
    assert (result.returncode, result.stderr) == (0, "")
    found, golden = np.asarray(Image.open(tmp_path / "mask.png")), np.load(copy / "golden" / "uint8.mask.npy")
    np.testing.assert_array_equal(found, golden)


@pytest.mark.slow
def test_the_wheels_for_windows_can_be_fetched_from_here(tmp_path):
    """Whatever Python and system this is: no requirement depends on them."""
    words = ["--platform", "win_amd64", "--python-version", "3.8", "--only-binary", ":all:", "--require-hashes"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-r",
        RUNNER / "requirements-runner.txt",
        *words,
        "-d",
        tmp_path,
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode and "onnection" in result.stderr:
        pytest.skip("no network")
    assert result.returncode == 0, result.stderr
    wheels = {path.name.split("-")[0]: path.name for path in tmp_path.glob("*.whl")}
    named = re.findall(r"^([\w-]+)==", (RUNNER / "requirements-runner.txt").read_text("utf-8"), re.MULTILINE)
    assert set(wheels) == set(named) >= {"numpy", "onnxruntime", "pyreadline3"}
    assert all(name.endswith(("cp38-win_amd64.whl", "none-any.whl")) for name in wheels.values())
