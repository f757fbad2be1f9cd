"""The hosts in C and C#: built by the commands of docs/hosts.md, and run."""

import ctypes
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from cryoseg_tf import Micrograph, Run, Segmenter
from cryoseg_tf.exports import onnx, openvino
from cryoseg_tf.io.atomic import sha256

ROOT = Path(__file__).parents[2]
HOSTS = ROOT / "exports" / "hosts"
PAGE = (ROOT / "docs" / "hosts.md").read_text("utf-8")
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="no gcc here")


def block(first_words: str) -> str:
    """Return the code block of the page that holds these words."""
    (found,) = [text for text in re.findall(r"```\w*\n(.*?)```", PAGE, re.S) if first_words in text]
    return found


def shell(commands: str, folder: Path) -> None:
    commands = commands.replace("-Wextra", "-Wextra -Werror")
    environment = os.environ | {"PATH": PATH}
    done = subprocess.run(["sh", "-ec", commands], cwd=folder, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def call(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(word) for word in words]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hosts") / "src"
    shutil.copytree(HOSTS, folder)
    shell(block("-o libcryoseg.so"), folder)
    return folder


class Library:
    """The C library, as any host would call it."""

    def __init__(self, path: Path) -> None:
        self.c = ctypes.CDLL(str(path))
        self.c.cryoseg_last_error.restype = ctypes.c_char_p
        self.c.cryoseg_class_name.restype = ctypes.c_char_p

    def error(self) -> str:
        return self.c.cryoseg_last_error().decode()

    def open(self, bundle: Path, threads: int = 1) -> tuple[int, ctypes.c_void_p]:
        model = ctypes.c_void_p()
        return self.c.cryoseg_open(str(bundle).encode(), threads, ctypes.byref(model)), model

    def segment(self, model, image, pixel_size=0.0):
        mask, status = np.full(image.shape, 9, np.uint8), ctypes.c_int()
        probability = np.full((*image.shape, self.c.cryoseg_channels(model)), np.nan, np.float32)
        size = ctypes.c_double(pixel_size)
        stride = ctypes.c_size_t(image.strides[0])
        addresses = [ctypes.c_void_p(array.ctypes.data) for array in (image, mask, probability)]
        pixels, *out = addresses
        shape = image.shape
        code = self.c.cryoseg_segment(model, pixels, image.itemsize, *shape, stride, size, *out, ctypes.byref(status))
        assert code == 0, self.error()
        return mask, probability, status.value


@pytest.fixture(scope="module")
def library(built) -> Library:
    return Library(built / "libcryoseg.so")


@pytest.fixture
def copy(bundle, tmp_path):
    """Return a function that copies the bundle, changing its manifest."""

    def change(**parts: dict) -> Path:
        shutil.copytree(bundle.path, tmp_path / "copy.cryoseg")
        file = tmp_path / "copy.cryoseg" / "manifest.json"
        content = json.loads(file.read_text("utf-8"))
        for name, values in parts.items():
            content[name] = content[name] | values if isinstance(values, dict) else values
        file.write_text(json.dumps(content), "utf-8")
        return file.parent

    return change


def noise(shape: tuple[int, int], high: int = 65536) -> np.ndarray:
    return np.random.default_rng(0).integers(0, high, shape).astype(np.uint16)


@needs_gcc
def test_c_answers_as_the_trained_model(built, bundle):
    done = call(built / "segment", bundle.path, "--golden")
    count = len(bundle.manifest.golden)
    assert f"{count} of {count} golden images agree" in done.stdout
    assert done.returncode == 0


@needs_gcc
def test_golden_finds_another_model(built, copy, bundle):
    path = copy(contract={"threshold": 0.999})
    done = call(built / "segment", path, "--golden")
    assert done.returncode == 1
    assert "DIFFERS" in done.stdout


@needs_gcc
def test_tiled_equals_whole(library, bundle, copy):
    image = noise((333, 250))[:, 3:]  # rows that do not follow each other
    code, whole = library.open(bundle.path)
    assert code == 0, library.error()
    tiny = copy(network={"tile": 16})
    code, tiled = library.open(tiny)
    assert code == 0, library.error()
    assert bundle.manifest.network.halo * 3 < 247
    expected, answer = library.segment(whole, image), library.segment(tiled, image)
    np.testing.assert_allclose(answer[1], expected[1], atol=1e-5)
    near = np.abs(expected[1][..., 0] - bundle.manifest.contract.threshold) < 1e-5
    np.testing.assert_array_equal(answer[0][~near], expected[0][~near])
    assert expected[2] == answer[2]
    for model in (whole, tiled):
        library.c.cryoseg_close(model)


@needs_gcc
@pytest.mark.parametrize("factor", [0.4, pytest.param(1.5, marks=pytest.mark.slow)])
def test_scaled_images_come_back_at_their_size(library, copy, trained, tmp_path, factor):
    contract = Run(trained).contract.model_copy(update={"scale": "factor", "factor": factor})
    path = copy(contract={"scale": "factor"}, network={"tile": 16})
    onnx.write_steps(contract, tmp_path)
    manifest = json.loads((path / "manifest.json").read_text("utf-8"))
    for name in ("statistics", "resample"):
        openvino.write_openvino(tmp_path / f"{name}.onnx", path / "openvino" / f"{name}.xml")
        for file in (f"openvino/{name}.xml", f"openvino/{name}.bin"):
            manifest["files"][file] = sha256(path / file)
    (path / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    image = noise((201, 130))
    expected = Segmenter(Segmenter.from_run(trained).predictor, contract, tile=None).segment(Micrograph(image), True)
    code, model = library.open(path)
    assert code == 0, library.error()
    mask, probability, status = library.segment(model, image)
    np.testing.assert_allclose(probability, expected.probabilities, atol=2e-5)
    near = np.abs(expected.probabilities[..., 0] - contract.threshold) < 2e-5
    np.testing.assert_array_equal(mask[~near], expected.mask[~near])
    assert status == expected.status
    library.c.cryoseg_close(model)


@needs_gcc
def test_paths_are_utf8(built, bundle, tmp_path):
    folder = tmp_path / "größe Ångström"
    shutil.copytree(bundle.path, folder / "b.cryoseg")
    (case,) = [c for c in bundle.manifest.golden if c.name == "uint16"]
    out = folder / "маска.pgm"
    done = call(built / "segment", folder / "b.cryoseg", folder / "b.cryoseg" / case.image, out, case.pixel_size)
    assert done.returncode == 0, done.stderr
    wanted = np.load(bundle.path / case.mask)
    found = np.frombuffer(out.read_bytes()[-wanted.size :], np.uint8).reshape(wanted.shape)
    np.testing.assert_array_equal(found, wanted)


@needs_gcc
def test_a_bad_bundle_is_an_error_that_names_the_thing(library, copy, bundle, tmp_path):
    def refused(path: Path) -> str:
        code, model = library.open(path)
        assert code == 2
        assert not model
        return library.error()

    assert "nowhere is not a bundle" in refused(tmp_path / "nowhere")
    path = copy()
    file = path / "openvino" / "model.xml"
    file.write_bytes(file.read_bytes()[:-100])
    assert "model.xml is damaged" in refused(path)
    file.unlink()
    assert "model.xml is missing" in refused(path)
    manifest = path / "manifest.json"
    for name, value, said in (
        ("schema_version", 99, "schema 99"),
        ("formats", {"onnx": {}}, "holds no openvino"),
        ("formats", {"openvino": {"statistics": "../../evil.xml"}}, "../../evil.xml, which is not inside"),
        ("network", {"stride": 0}, "network.channels is not"),
    ):
        content = json.loads((bundle.path / "manifest.json").read_text("utf-8")) | {name: value}
        manifest.write_text(json.dumps(content), "utf-8")
        assert said in refused(path)


@needs_gcc
def test_a_manifest_that_is_no_json_is_refused(library, bundle, tmp_path):
    text = (bundle.path / "manifest.json").read_text("utf-8")
    generator = random.Random(0)
    broken = 0
    for _ in range(300):
        place, piece = generator.randrange(len(text)), generator.choice(['"', "\\", "{", "]", ",", "NaN", "01", "\0"])
        changed = generator.choice(
            [text[:place], text[:place] + piece + text[place:], text[:place] + text[place + 1 :]]
        )
        try:
            json.loads(changed, parse_constant=int)
        except ValueError:
            broken += 1
            (tmp_path / "manifest.json").write_text(changed, "utf-8")
            code, _model = library.open(tmp_path)
            assert code == 2
            assert "manifest.json is damaged: no JSON at byte" in library.error()
    assert broken > 100


@needs_gcc
def test_wrong_arguments_are_errors(library, bundle):
    _, model = library.open(bundle.path)
    image, mask, status = noise((20, 30)), np.zeros((20, 30), np.uint8), ctypes.c_int()
    good = [model, ctypes.c_void_p(image.ctypes.data), 2, 20, 30, ctypes.c_size_t(60), ctypes.c_double(0)]
    good += [ctypes.c_void_p(mask.ctypes.data), None, ctypes.byref(status)]
    assert library.c.cryoseg_segment(*good) == 0
    for place, value, said in (
        (0, None, "model is NULL"),
        (1, None, "pixels is NULL"),
        (2, 3, "type is 3"),
        (3, 0, "30 x 0"),
        (4, -1, "-1 x 20"),
        (5, ctypes.c_size_t(59), "stride is 59 bytes: a row of 30 pixels takes 60"),
        (7, None, "mask is NULL"),
        (9, None, "status is NULL"),
    ):
        assert library.c.cryoseg_segment(*[value if i == place else v for i, v in enumerate(good)]) == 1
        assert said in library.error()
    assert library.c.cryoseg_open(None, 0, ctypes.byref(ctypes.c_void_p())) == 1
    assert library.open(bundle.path, threads=-1)[0] == 1
    names = [library.c.cryoseg_class_name(model, i) for i in range(library.c.cryoseg_classes(model) + 1)]
    assert names == [*(name.encode() for name in bundle.manifest.contract.classes), None]
    library.c.cryoseg_close(model)
    library.c.cryoseg_close(None)


@needs_gcc
def test_threads_may_share_a_model_or_have_their_own(library, bundle):
    models = [library.open(bundle.path)[1] for _ in range(2)]
    images = [noise((64 + 8 * i, 96), 2**12 << i) for i in range(4)]
    expected = [library.segment(models[0], image)[1] for image in images]
    answers: dict[tuple[int, int], np.ndarray] = {}

    def work(number: int) -> None:
        for i, image in enumerate(images):
            answers[number, i] = library.segment(models[number % 2], image)[1]

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(answers) == 16
    for (_, i), answer in answers.items():
        np.testing.assert_array_equal(answer, expected[i])
    for model in models:
        library.c.cryoseg_close(model)


@needs_gcc
def test_tensorflow_answers_as_the_trained_model(tmp_path, bundle):
    shutil.copytree(HOSTS, tmp_path / "src")
    commands = block("-o tensorflow_host").rpartition("TF_CPP_MIN_LOG_LEVEL")[0]
    shell(commands, tmp_path / "src")
    done = call(tmp_path / "src" / "tensorflow_host", bundle.path, TF_CPP_MIN_LOG_LEVEL="3")
    count = len(bundle.manifest.golden)
    assert f"{count} of {count} golden images agree" in done.stdout, done.stderr
    assert done.returncode == 0


@needs_gcc
@pytest.mark.parametrize("language", ["c", "c++"])
def test_the_example_compiles(language, tmp_path):
    if language == "c++" and not shutil.which("g++"):
        pytest.skip("no g++ here")
    (tmp_path / "example.c").write_text(block("segment_frame"))
    words = ["gcc", "-x", language, "-Wall", "-Wextra", "-Werror", f"-I{HOSTS}", "-c", "example.c", "-o", "example.o"]
    subprocess.run(words, cwd=tmp_path, check=True)


@needs_gcc
@pytest.mark.skipif(not (shutil.which("mcs") and shutil.which("mono")), reason="no C# compiler here")
def test_csharp(built, bundle, tmp_path):
    (tmp_path / "Program.cs").write_text(block("static int Main"))
    words = ["mcs", "-langversion:5", "-warnaserror", "-out:host.exe", "Program.cs", str(HOSTS / "CryoSeg.cs")]
    subprocess.run(words, cwd=tmp_path, check=True)
    (case,) = [c for c in bundle.manifest.golden if c.name == "uint16"]
    image, mask = np.load(bundle.path / case.image), np.load(bundle.path / case.mask)
    image.tofile(tmp_path / "raw")
    shutil.copytree(bundle.path, tmp_path / "Ångström")
    rest = [tmp_path / "raw", *image.shape, case.pixel_size, tmp_path / "out"]
    done = call("mono", tmp_path / "host.exe", tmp_path / "Ångström", *rest, LD_LIBRARY_PATH=str(built))
    assert done.stdout.strip() == "Ok: " + ", ".join(bundle.manifest.contract.classes), done.stderr
    np.testing.assert_array_equal(np.fromfile(tmp_path / "out", np.uint8).reshape(mask.shape), mask)
    done = call("mono", tmp_path / "host.exe", tmp_path / "nöwhere", *rest, LD_LIBRARY_PATH=str(built))
    assert done.returncode == 1
    assert "nöwhere is not a bundle" in done.stderr


WINDOWS = os.environ.get("CRYOSEG_OPENVINO_WINDOWS")
"""The folder ``openvino`` of an unpacked wheel for Windows."""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("x86_64-w64-mingw32-gcc"), reason="no mingw-w64 here")
@pytest.mark.skipif(not WINDOWS, reason="CRYOSEG_OPENVINO_WINDOWS names no unpacked OpenVINO wheel for Windows")
def test_windows(bundle, tmp_path):
    folder = tmp_path / "src"
    shutil.copytree(HOSTS, folder)
    shell(block("-o cryoseg.dll").replace("OV=windows/openvino", f"OV={WINDOWS}"), folder)
    if not shutil.which("wine"):
        pytest.skip("compiled, but no wine here to run it")
    for name in ("openvino", "openvino_c", "openvino_intel_cpu_plugin", "openvino_ir_frontend", "tbb12"):
        shutil.copy(Path(str(WINDOWS)) / "libs" / f"{name}.dll", folder)
    shutil.copytree(bundle.path, folder / "größe Ångström")
    wine = {"WINEPREFIX": str(tmp_path / "wine"), "WINEDEBUG": "-all"}
    done = call("wine", folder / "segment.exe", f"Z:{folder}/größe Ångström", "--golden", **wine)
    count = len(bundle.manifest.golden)
    assert f"{count} of {count} golden images agree" in done.stdout, done.stderr
    assert done.returncode == 0
