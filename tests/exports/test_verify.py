"""What ``verify`` says of bundles that are whole, damaged, or hold another network; and its rules on arrays."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from cryoseg_tf.cli.verify import conclusion, passed
from cryoseg_tf.exports import Bundle
from cryoseg_tf.exports.comparison import Comparison, Objects, margin, same_objects
from cryoseg_tf.exports.integrity import CLOSED, examine_files
from cryoseg_tf.exports.runtimes import RUNTIMES, Answer, Runtime
from cryoseg_tf.exports.verifier import NETWORK, Check
from cryoseg_tf.exports.verify import verify
from cryoseg_tf.exports.vnni import ARTEFACT, check_apart
from cryoseg_tf.io.atomic import sha256

FLOATS = ("float32", "float16", "segment")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """What is remembered is remembered here."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def copy(bundle, tmp_path):
    """A bundle to spoil, without int8, which so small a network is not made for, and TensorRT."""
    path = shutil.copytree(bundle.path, tmp_path / "copy.cryoseg")

    def trim(manifest):
        formats = manifest["formats"].items()
        manifest["formats"] = {
            name: {what: file for what, file in files.items() if what in FLOATS}
            for name, files in formats
            if name != "tensorrt"
        }

    edit(path, trim)
    return path


def edit(path, change):
    manifest = json.loads((path / "manifest.json").read_text("utf-8"))
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest), "utf-8")


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


# --- whole -----------------------------------------------------------------------------------------------------------


def test_a_fresh_bundle_passes_in_every_format(cli, copy):
    result = cli("verify", copy, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    rows = {(row["runtime"], row["precision"], row["artefact"]) for row in found["checks"] if not row["skipped"]}
    for name in ("saved_model", "onnx", "tflite", "openvino"):
        ways = {(name, "float32", way) for way in ("network", "network, tiled", "segment")}
        assert ways <= rows
    assert {("onnx", "float16", "network"), ("tflite", "float16", "network")} <= rows
    assert all(row["max_difference"] < 2e-5 for row in found["checks"] if row["precision"] == "float32")
    assert found["passed"]
    assert "answer as the trained model did" in found["conclusion"]
    assert any("manifest.json itself" in text for text in found["not_checked"])


def test_one_runtime_is_checked_alone_and_its_speed_remembered(cli, copy):
    from cryoseg_tf.exports.selection import recall

    result = cli("verify", copy, "--runtime", "onnx")
    assert result.exit_code == 0, result.output
    assert "saved_model (not asked for)" in result.stdout
    known = recall(Bundle.open(copy))
    assert set(known) == {("onnx", "float32"), ("onnx", "float16")}
    assert all(result.passed and result.seconds_per_megapixel > 0 for result in known.values())


def test_a_runtime_that_is_not_installed_is_no_failure_but_proves_nothing(cli, copy, monkeypatch):
    monkeypatch.setitem(RUNTIMES, "onnx", Runtime("onnx", ("no-such-distribution",), "export"))
    result = cli("verify", copy, "--runtime", "onnx")
    assert result.exit_code == 1
    assert "not installed: pip install 'cryoseg-tf[export]'" in result.stdout
    assert "Nothing was proved: onnx cannot be used here." in result.stdout
    assert all(check.passed for check in verify(Bundle.open(copy), ["onnx"]))


def test_each_runtime_that_is_named_has_to_be_tried(cli, copy, monkeypatch):
    monkeypatch.setitem(RUNTIMES, "tflite", Runtime("tflite", ("no-such-distribution",), "export"))
    result = cli("verify", copy, "--runtime", "onnx", "--runtime", "tflite")
    assert result.exit_code == 1
    last = result.stdout.splitlines()[-1]
    assert last.startswith("Proved on this machine: onnx ")
    assert last.endswith(" Not proved: tflite.")


def test_int8_is_checked_in_a_process_of_its_own(bundle):
    version = RUNTIMES["openvino"].version
    found = check_apart(bundle, Check(NETWORK, "openvino", "int8", version=version))
    assert (found.artefact, found.runtime, found.version, found.precision) == (ARTEFACT, "openvino", version, "int8")
    assert found.objects.golden > 0
    assert set(found.dice) == {"background", "cell"}


# --- damaged ---------------------------------------------------------------------------------------------------------

KINDS = [
    "onnx/model.onnx",
    "saved_model/saved_model.pb",
    "saved_model/variables/variables.data-00000-of-00001",
    "tflite/model-int8.tflite",
    "openvino/model.bin",
    "golden/uint8.mask.npy",
    "MODEL_CARD.md",
]


@pytest.mark.parametrize("name", KINDS)
def test_one_byte_or_one_file_less_is_found_wherever_it_is(copy, name):
    flip(copy / name)
    assert "do not hash" in examine_files(Bundle.open(copy)).flaws.pop(name)
    cut(copy / name)
    assert "changed or cut short" in examine_files(Bundle.open(copy)).flaws.pop(name)
    (copy / name).unlink()
    assert examine_files(Bundle.open(copy)).flaws == {name: "is missing"}


@pytest.mark.parametrize("name", ["stray.txt", "onnx/model.onnx.data", "saved_model/assets/x", "golden/more.npy"])
def test_a_stray_file_is_named(copy, name):
    (copy / name).write_text("hello")
    assert examine_files(Bundle.open(copy)).flaws == {name: "is not in the manifest"}


def test_what_was_tampered_with_is_not_loaded_and_the_rest_is_checked(cli, copy):
    (copy / "onnx/model.onnx").write_bytes(b"no network")
    (copy / "golden/uint8.image.npy").unlink()
    result = cli("verify", copy, "--runtime", "onnx")
    assert result.exit_code == 1
    assert "onnx/model.onnx: was changed or cut short" in result.stdout
    assert "golden/uint8.image.npy: is missing" in result.stdout
    assert "is not what was exported: copy it again" in result.stdout
    checks = {(c.artefact, c.precision): c for c in verify(Bundle.open(copy), ["onnx"]) if c.runtime}
    assert checks["network", "float32"].reason.startswith("not loaded: onnx/model.onnx was changed")
    assert checks["network, tiled", "float32"].reason.startswith("not loaded")
    assert checks["segment", "float32"].passed
    assert checks["segment", "float32"].max_difference < 2e-5
    assert checks["network", "float16"].passed


def test_damage_to_other_formats_is_told_and_does_not_count(cli, copy):
    cut(copy / "tflite/model.tflite")
    (copy / "saved_model/assets/x").write_text("hello")
    result = cli("verify", copy, "--runtime", "onnx")
    assert result.exit_code == 0, result.output
    assert "tflite/model.tflite: was changed or cut short" in result.stdout
    assert "saved_model/assets/x: is not in the manifest (not asked for)" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("Proved on this machine: onnx ")


@pytest.mark.parametrize(
    ("file", "formats"),
    [
        ("openvino/model.bin", {"openvino"}),
        ("onnx/stray.bin", {"onnx"}),
        ("saved_model/variables/variables.index", {"saved_model"}),
        ("golden/uint8.mask.npy", {"openvino", "onnx", "saved_model", "tflite"}),
        ("run.py", {"openvino", "onnx", "saved_model", "tflite"}),
    ],
)
def test_which_formats_a_file_matters_to(copy, file, formats):
    found = examine_files(Bundle.open(copy))
    assert {name for name in found.manifest.formats if found.matters(file, [name])} == formats


def test_a_file_that_may_not_be_read_is_not_called_damaged(copy):
    (copy / "onnx/model.onnx").chmod(0)
    words = [sys.executable, "-c", EXAMINE, copy]
    if os.geteuid() == 0:  # whom no permission stops
        if not shutil.which("setpriv"):
            pytest.skip("runs as root, and there is no setpriv to lay root's rights down")
        words = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *words]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert told[0] == "['onnx/model.onnx']"
    assert told[1].startswith(f"{copy} cannot be used: not loaded: onnx/model.onnx may not be read: give this user")


EXAMINE = """
import sys
from cryoseg_tf.errors import ExportError
from cryoseg_tf.exports.bundle import Bundle
from cryoseg_tf.exports.integrity import examine_files, require_whole

bundle = Bundle.open(sys.argv[1])
print(list(examine_files(bundle).flaws))
try:
    require_whole(bundle, ["tflite/model.tflite", "onnx/model.onnx"])
except ExportError as error:
    print(error)
"""


def test_the_verdict_tells_what_may_not_be_read_from_what_is_damaged(bundle):
    closed = Check("run.py", passed=False, reason=f"{CLOSED}: give this user the right to")
    proved = Check(NETWORK, "onnx", "float32", version="1.0")
    told = conclusion(bundle, [closed, proved])
    assert told.startswith("Proved on this machine: onnx 1.0 (float32) answer as")
    assert told.endswith(" Some files may not be read, so nothing is said of them.")
    assert not passed([closed, proved])
    damaged = Check("MODEL_CARD.md", passed=False, reason="is empty")
    assert conclusion(bundle, [closed, damaged, proved]).endswith("copy it again, or export it again.")


@pytest.mark.parametrize("name", ["../outside.onnx", "/outside.onnx", "C:\\outside.onnx", "onnx/outside.onnx"])
def test_an_artefact_without_a_hash_or_outside_is_not_loaded(copy, name):
    shutil.copy(copy / "onnx/model.onnx", copy.parent / "outside.onnx")
    (copy / "onnx/outside.onnx").symlink_to(copy.parent / "outside.onnx")
    digest = sha256(copy.parent / "outside.onnx")
    found = examine_files(Bundle.open(copy))
    assert "no hash" in found.problem(name) or "not in the manifest" in found.problem(name)
    manifest = found.manifest.model_copy(update={"files": {**found.manifest.files, name: digest}})
    assert "leads out of the bundle" in examine_files(Bundle(copy, manifest)).flaws[name]


def test_no_golden_image_no_proof(copy):
    for file in (copy / "golden").glob("*.image.npy"):
        file.unlink()
    checks = [check for check in verify(Bundle.open(copy), ["onnx"]) if check.runtime]
    assert {check.reason for check in checks} == {"there is no golden image to compare with"}
    assert not any(check.passed for check in checks)


def older(manifest):
    manifest["schema_version"] = 999


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: (path / "manifest.json").write_text("{"), "manifest.json is damaged"),
        (lambda path: edit(path, older), "schema 999"),
        (lambda path: (path / "manifest.json").unlink(), "holds no manifest.json"),
        (shutil.rmtree, "does not exist"),
    ],
)
def test_what_is_no_bundle_is_one_line(cli, copy, change, message):
    change(copy)
    result = cli("verify", copy)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len([line for line in result.stderr.splitlines() if line.startswith("Error: ")]) == 1


@pytest.mark.parametrize(("name", "message"), [("jpeg", "'jpeg' is not known"), ("tensorrt", "holds no tensorrt")])
def test_wrong_runtimes_are_refused(cli, copy, name, message):
    result = cli("verify", copy, "--runtime", name)
    assert result.exit_code == 2
    assert message in result.stderr


def test_another_network_with_the_right_hash_is_found(copy):
    import onnx

    path = copy / "onnx/model.onnx"
    model = onnx.load(path)
    kernel = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    values = onnx.numpy_helper.to_array(kernel).copy()
    values.flat[0] += 1e-3
    kernel.CopyFrom(onnx.numpy_helper.from_array(values, kernel.name))
    onnx.save(model, path)
    edit(copy, lambda manifest: manifest["files"].update({"onnx/model.onnx": sha256(path)}))
    checks = {(c.artefact, c.precision): c for c in verify(Bundle.open(copy), ["onnx"]) if c.runtime}
    assert "probabilities differ" in checks["network", "float32"].reason
    assert not checks["network", "float32"].passed
    assert checks["segment", "float32"].passed


# --- the rules -------------------------------------------------------------------------------------------------------


def answer(probability, threshold, status=0):
    probability = np.asarray(probability, np.float32)[..., None]
    return Answer((probability[..., 0] >= threshold).astype(np.uint8), probability, status)


def reason(bundle, golden, found, precision="float32"):
    comparison = Comparison(bundle.manifest, precision)
    comparison.add("x", golden, found)
    return comparison.reason


def test_float32_may_differ_only_where_the_decision_is_as_near(bundle):
    threshold, tolerance = bundle.manifest.contract.threshold, bundle.manifest.tolerances.probability
    golden = answer([[0.0, threshold - tolerance / 2, 1.0]], threshold)
    near = answer([[0.0, threshold + tolerance / 4, 1.0]], threshold)
    assert golden.mask[0, 1] != near.mask[0, 1]
    assert reason(bundle, golden, near) == ""
    far = answer([[2 * tolerance, threshold - tolerance / 2, 1.0]], threshold)
    assert "probabilities differ" in reason(bundle, golden, far)
    wrong = golden._replace(mask=np.array([[1, 0, 1]], np.uint8))
    assert reason(bundle, golden, wrong) == "x: 1 pixels of the mask differ where the decision is clear"


def test_what_is_wrong_at_any_precision(bundle):
    threshold = bundle.manifest.contract.threshold
    golden = answer(np.zeros((4, 5)), threshold)
    for precision in ("float32", "int8"):
        assert "status 4 instead of 0" in reason(bundle, golden, golden._replace(status=4), precision)
        assert "a mask of 4x5" in reason(bundle, golden, answer(np.zeros((5, 4)), threshold), precision)
        lost = golden._replace(probability=golden.probability + np.nan)
        assert "no numbers" in reason(bundle, golden, lost, precision)
        empty = golden._replace(status=5)
        assert "not empty" in reason(bundle, empty, empty._replace(mask=golden.mask + 1), precision)
        assert reason(bundle, golden, golden, precision) == ""


def test_int8_may_differ_while_dice_and_objects_stay(bundle):
    threshold = bundle.manifest.contract.threshold
    square = np.zeros((80, 80))
    square[10:60, 10:60] = 0.9
    golden, less, hole = answer(square, threshold), square.copy(), square.copy()
    less[10, 10:30] = 0.1
    assert reason(bundle, golden, answer(less, threshold), "int8") == ""
    assert "probabilities differ" in reason(bundle, golden, answer(less, threshold))
    hole[20:30, 20:50] = 0.1
    found = reason(bundle, golden, answer(hole, threshold), "int8")
    assert found == "Dice 0.9361 of cell, 0.9629 of background: less than 0.99"
    more = square.copy()
    more[70:74, 70:74] = 0.9
    assert reason(bundle, golden, answer(more, threshold), "int8") == "1 object too many"


def test_a_class_that_is_absent_from_both_counts_as_found(bundle):
    comparison = Comparison(bundle.manifest, "int8")
    nothing = answer(np.zeros((9, 9)), 0.5)
    comparison.add("x", nothing, nothing)
    assert comparison.dice == {"background": 1.0, "cell": 1.0}


def test_objects_at_the_smallest_size_are_not_lost_by_a_pixel():
    golden = np.zeros((20, 40), bool)
    golden[2:6, 2:6] = True  # 16 pixels, the smallest that counts
    golden[10:18, 20:30] = True
    fewer = golden.copy()
    fewer[2, 2] = False
    assert same_objects(golden, fewer) == Objects(golden=2, found=2, extra=0)
    assert same_objects(fewer, golden) == Objects(golden=1, found=1, extra=0)
    fewer[2:6, 2:6] = False
    assert same_objects(golden, fewer) == Objects(golden=2, found=1, extra=0)
    assert same_objects(fewer, golden) == Objects(golden=1, found=1, extra=1)


def test_the_decision_of_several_classes_is_between_the_two_largest():
    probability = np.array([[[0.5, 0.3, 0.2], [0.1, 0.45, 0.45]]], np.float32)
    np.testing.assert_allclose(margin(probability, 0.5), [[0.2, 0.0]], atol=1e-7)
    np.testing.assert_allclose(margin(probability[..., :1], 0.4), [[0.1, 0.3]], atol=1e-7)
