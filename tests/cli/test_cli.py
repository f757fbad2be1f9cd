"""The commands as people meet them: quick help, one clear line for what is wrong, nothing half-written."""

import shutil
import subprocess
import sys
import time

import pytest
from PIL import Image

from cryoseg_tf.cli.main import COMMANDS

CLI = [sys.executable, "-m", "cryoseg_tf.cli.main"]


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_does_not_load_tensorflow(name):
    words = [*([name] if name else []), "--help"]
    code = f"""
import sys
from cryoseg_tf.cli.main import main
try:
    main({words!r})
finally:
    heavy = {{"tensorflow", "keras", "pydantic", "numpy", "matplotlib"}} & set(sys.modules)
    if heavy:
        print("loaded", heavy)
        raise SystemExit(3)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Usage:" in result.stdout


def test_help_is_quick():
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([*CLI, "fit", "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.5


def drop_mask(data):
    (data / "masks" / "x01.png").unlink()


def resize_mask(data):
    Image.new("L", (5, 5)).save(data / "masks" / "x01.png")


def blur_mask(data):
    picture = Image.open(data / "masks" / "x01.png").resize((32, 32)).point(lambda v: v * 255)
    picture.resize((64, 64), Image.Resampling.BICUBIC).save(data / "masks" / "x01.png")


def cut_image(data):
    path = data / "images" / "x01.png"
    path.write_bytes(path.read_bytes()[:200])


def one_image(data):
    for folder in ("images", "masks"):
        for path in sorted((data / folder).iterdir())[1:]:
            path.unlink()


WRONG_DATA = {
    drop_mask: "no mask for",
    resize_mask: "5x5 but its image is 64x64",
    blur_mask: "anti-aliasing",
    cut_image: "x01.png is damaged",
    one_image: "at least 2 annotated images",
}


@pytest.mark.parametrize("spoil", WRONG_DATA, ids=lambda f: f.__name__)
def test_wrong_data_is_one_line_and_leaves_no_run(cli, data, tmp_path, spoil):
    spoil(data)
    result = cli("fit", data, "--out", tmp_path / "run", "--epochs", "1")
    assert result.exit_code == 2
    assert WRONG_DATA[spoil] in result.stderr
    assert result.stderr.count("\n") <= 3
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


def test_bad_data_does_not_cost_an_earlier_run(cli, data, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    cut_image(data)
    assert cli("fit", data, "--out", run, "--overwrite").exit_code == 2
    assert (run / "model.keras").read_bytes() == (trained / "model.keras").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "model.depth=99"], "model.depth is 99"),
        (["--set", "model.deep=1"], "model.deep is not a setting"),
        (["--set", "epochs"], "has no '='"),
        (["--set", "epochs=["], "cannot be read"),
        (["--set", "model.architecture=resnet"], "known are unet"),
        (["--epochs", "0"], "--epochs"),
        (["--minutes", "-1"], "--minutes"),
        (["--minutes", "nan"], "--minutes"),
        (["--minutes", "1", "--epochs", "1"], "exclude each other"),
        (["--config", "none.yaml"], "none.yaml"),
    ],
)
def test_wrong_settings_are_one_line(cli, data, tmp_path, words, message):
    result = cli("fit", data, "--out", tmp_path / "run", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", [["segment", "RUN", "DATA/images", "--out", "OUT"],
                                   ["evaluate", "RUN", "DATA", "--out", "OUT"],
                                   ["export", "RUN", "--out", "OUT"]], ids=lambda w: w[0])  # fmt: skip
def test_no_such_run(cli, data, tmp_path, words):
    names = {"RUN": str(tmp_path / "none"), "OUT": str(tmp_path / "out")}
    result = cli(*[names.get(word, word.replace("DATA", str(data))) for word in words])
    assert result.exit_code == 2
    what = "neither a run nor a bundle" if words[0] == "segment" else "not a run"
    assert f"is {what}: it does not exist" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_damaged_model_is_one_line(cli, data, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    (run / "model.keras").write_bytes(b"PK")
    result = cli("segment", run, data / "images", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "is damaged" in result.stderr
    assert not (tmp_path / "out").exists()


def test_wrong_data_does_not_wait_for_tensorflow(data, trained, bundle, tmp_path):
    drop_mask(data)
    out = ["--out", str(tmp_path / "out")]
    wrong = [
        ["fit", str(data), *out],
        ["plan", str(data)],
        ["tune", str(data), *out],
        ["study", "thesis", str(data), *out],
        ["evaluate", str(trained), str(data), *out],
        ["compare", str(trained), "otsu", "--data", str(data), *out],
        ["segment", str(trained), str(tmp_path / "none"), *out],
        ["segment", str(bundle.path), str(data / "images"), "--out", str(data / "images")],
        ["bench", str(bundle.path), str(tmp_path / "none")],
    ]
    code = f"""
import sys
from click.testing import CliRunner
from cryoseg_tf.cli.main import main
for words in {wrong!r}:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2 and result.stderr.startswith("Error: "), (words, result.output)
    assert not {{"tensorflow", "keras"}} & set(sys.modules), words
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("images", ["none.tif", "."])
def test_no_images(cli, trained, tmp_path, images):
    result = cli("segment", trained, tmp_path / images, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "does not exist" in result.stderr or "holds no image" in result.stderr


def test_check_finds_and_reports(cli, data):
    assert cli("check", data).exit_code == 0
    blur_mask(data)
    result = cli("check", data)
    assert result.exit_code == 1
    assert "1 of 6 annotated images cannot be used" in result.stdout


def test_a_full_disk_is_one_line(data, trained, tmp_path):
    """A file-size limit stands for the disk: the write fails in the middle."""
    limited = f"ulimit -f 1; exec {sys.executable} -m cryoseg_tf.cli.main export {trained} --out {tmp_path / 'out'}"
    result = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, check=False)
    assert result.returncode in (2, -25, 153), result.stderr  # 25: SIGXFSZ, from native code
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()
