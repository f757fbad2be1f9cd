"""Bad input, as users have it: one clear line, the right exit code, nothing half-written, nothing of theirs touched."""

import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

CLI = [sys.executable, "-m", "cryoseg_tf.cli.main"]
SMALL = ["--set", "model.base_filters=2", "--set", "model.depth=2", "--set", "data.patches_per_image=2", "--epochs", 1]


def files(*folders):
    """Every file below the folders with its bytes, but what a run may add to even if it is refused."""
    found = [path for folder in folders for path in Path(folder).rglob("*") if path.is_file()]
    return {path: path.read_bytes() for path in found if path.name not in (".lock", "run.log")}


def refused(result, text, code=2):
    """Exactly one line says what is wrong, and it is not a traceback."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, result.stderr
    assert text in errors[0]
    assert "Traceback" not in result.output


def reading(run, images, out):
    """The commands that use a run, each with its own --out."""
    return {
        "evaluate": ["evaluate", run, Path(images).parent, "--out", out],
        "segment": ["segment", run, images, "--out", out],
        "export": ["export", run, "--out", out],
    }


# --- images and masks ------------------------------------------------------------------------------------------------

IMAGE, MASK = "images/x01.png", "masks/x01.png"


def picture(name, pixels):
    def spoil(data):
        Image.fromarray(pixels).save(data / name)

    return spoil


def content(name, text):
    return lambda data: (data / name).write_bytes(text)


def tiff(name, value=None, cut=0):
    """A TIFF in the place of a PNG, with one pixel changed, or cut short."""

    def spoil(data):
        pixels = np.asarray(Image.open(data / name)).astype(np.float32)
        if value is not None:
            pixels[3, 3] = value
        path = (data / name).with_suffix(".tif")
        tifffile.imwrite(path, pixels)
        (data / name).unlink()
        path.write_bytes(path.read_bytes()[: path.stat().st_size - cut])

    return spoil


UNREADABLE = {
    "truncated image": (tiff(IMAGE, cut=900), "x01.tif is truncated"),
    "truncated mask": (tiff(MASK, cut=900), "x01.tif is truncated"),
    "empty image": (content(IMAGE, b""), "x01.png is empty"),
    "empty mask": (content(MASK, b""), "x01.png is empty"),
    "text image": (content(IMAGE, b"my notes\n"), "is not a TIFF, PNG, JPEG, BMP or MRC image"),
    "text mask": (content(MASK, b"my notes\n"), "is not a TIFF, PNG, JPEG, BMP or MRC image"),
    "nan image": (tiff(IMAGE, np.nan), "x01.tif holds 1 pixels that are NaN or infinite"),
    "inf image": (tiff(IMAGE, np.inf), "x01.tif holds 1 pixels that are NaN or infinite"),
    "nan mask": (tiff(MASK, np.nan), "x01.tif holds 3 different values"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_file_that_cannot_be_used_is_named(cli, data, trained, tmp_path, kind):
    spoil, message = UNREADABLE[kind]
    spoil(data)
    before, image_is_bad = files(data), "image" in kind
    result = cli("check", data)
    assert result.exit_code == 1
    assert message in result.stdout
    refused(cli("plan", data), message)
    refused(cli("fit", data, "--out", tmp_path / "run", *SMALL), message)
    [image] = data.glob("images/x01.*")
    unread = image_is_bad and "pixels" not in message  # NaN is read, and told
    assert cli("info", image).exit_code == (2 if unread else 0)
    result = cli("segment", trained, data / "images", "--out", tmp_path / "masks")
    assert result.exit_code == int(unread)
    assert result.stdout.count("FAILED") == int(unread)
    assert (tmp_path / "masks" / "x01.png").exists() != unread
    assert not (tmp_path / "run").exists()
    assert files(data) == before


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_of_no_numbers_gets_an_empty_mask_and_a_note(cli, data, trained, tmp_path, value):
    tiff(IMAGE, value)(data)
    result = cli("segment", trained, data / "images" / "x01.tif", "--out", tmp_path)
    assert result.exit_code == 0
    assert "0.0% foreground  (not finite)" in result.stdout
    assert not np.asarray(Image.open(tmp_path / "x01.png")).any()


ODD = {
    # kind: what is made, check's exit code and words, segment's words
    "constant image": ([(IMAGE, np.full((64, 64), 7, np.uint8))], 1, "is blank: every pixel is 7", "(low contrast)"),
    "black mask": ([(MASK, np.zeros((64, 64), np.uint8))], 0, "1 of 6 masks hold no foreground", "6 masks are in"),
    "1x1": ([(f, np.ones((1, 1), np.uint8)) for f in (IMAGE, MASK)], 1, "is blank: every pixel is 1", "(too small)"),
    "17x4000": (
        [(IMAGE, np.tile(np.arange(200, dtype=np.uint8), (17, 20))), (MASK, np.ones((17, 4000), np.uint8))],
        0,
        "4000x17",
        "6 masks are in",
    ),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_images_are_told_and_do_not_stop_the_rest(cli, data, trained, tmp_path, kind):
    pictures, code, told, segmented = ODD[kind]
    for name, pixels in pictures:
        picture(name, pixels)(data)
    result = cli("check", data)
    assert (result.exit_code, told in result.stdout) == (code, True), result.output
    assert cli("info", data / IMAGE).exit_code == 0
    result = cli("segment", trained, data / "images", "--out", tmp_path / "masks")
    assert result.exit_code == 0
    assert segmented in result.stdout
    size = Image.open(data / IMAGE).size
    assert Image.open(tmp_path / "masks" / "x01.png").size == size


def test_masks_without_any_foreground_teach_nothing(cli, data, tmp_path):
    for mask in (data / "masks").iterdir():
        Image.new("L", (64, 64)).save(mask)
    assert cli("check", data).exit_code == 1
    for words in (["plan", data], ["fit", data, "--out", tmp_path / "run", *SMALL]):
        refused(cli(*words), "holds any cell: there is nothing to learn")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_an_image_of_100_megapixels_is_segmented_in_bounded_memory(trained, tmp_path):
    """2 GB, TensorFlow included; file, tiles and mask of it took 1.1 GB when this was written."""
    pixels = np.random.default_rng(0).integers(0, 255, (500, 500), np.uint8)
    tifffile.imwrite(tmp_path / "big.tif", np.tile(pixels, (20, 20)))
    code = "import resource, sys; from cryoseg_tf.cli.main import main\ntry: main(sys.argv[1:])\nfinally: " \
           "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"  # fmt: skip
    run = [sys.executable, "-c", code, "segment", trained, tmp_path / "big.tif", "--out", tmp_path / "out"]
    result = subprocess.run(run, capture_output=True, text=True, check=True)
    assert Image.open(tmp_path / "out" / "big.png").size == (10_000, 10_000)
    assert int(result.stderr.split()[-1]) < 2e6, "kilobytes"


# --- folders, names and places ---------------------------------------------------------------------------------------


def test_a_folder_of_no_images(cli, data, trained, tmp_path):
    for path in [*data.glob("images/*"), *data.glob("masks/*")]:
        path.unlink()
    commands = [["check", data], ["plan", data], ["fit", data, "--out", tmp_path / "out"]]
    for words in [*commands, *reading(trained, data / "images", tmp_path / "out").values()][:-1]:
        refused(cli(*words), "holds no image (.bmp, ")
    result = cli("info", data / "images")
    assert result.exit_code == 2
    assert result.stderr == f"{data / 'images'} is a folder: name the images in it\n"
    assert not (tmp_path / "out").exists()


def test_images_of_one_stem(cli, data, trained, tmp_path):
    Image.open(data / IMAGE).save(data / "images" / "x01.bmp")
    commands = [["check", data], ["plan", data], ["fit", data, "--out", tmp_path / "out"]]
    for words in [*commands, reading(trained, data / "images", tmp_path / "out")["evaluate"]]:
        refused(cli(*words), "share a name: which of them is meant?")
    refused(cli("segment", trained, data / "images", "--out", tmp_path / "out"), "would both become")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["images", "data", "file", "file/below", "run", "n" * 300])
def test_an_out_that_cannot_be_is_refused_before_any_work(cli, data, trained, tmp_path, place):
    run = shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "file").write_text("mine")
    out = data / "images" if place == "images" else tmp_path / place
    before = files(tmp_path)
    commands = {"fit": ["fit", data, "--out", out, *SMALL], **reading(run, data / "images", out)}
    if place == "data":  # beside images/ there is place for masks
        del commands["segment"]
    for words in commands.values():
        refused(cli(*words), str(out).removesuffix("/below"))
        assert files(tmp_path) == before


def test_an_out_behind_a_folder_that_is_not_is_refused(cli, data, trained, tmp_path):
    """``none/../mine`` is missing until ``none`` is made, and then it is a folder that is full."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    before, out = files(tmp_path), tmp_path / "none" / ".." / "mine"
    refused(cli("phantom", out, "--images", 2), "mine")
    for words in [
        ["fit", data, "--out", out, *SMALL],
        ["ensemble", trained, trained, "--out", out],
        *reading(trained, data / "images", out).values(),
    ]:
        refused(cli(*words), "none: No such file or directory")
        assert files(tmp_path) == before
    assert not (tmp_path / "none").exists()


def test_a_page_of_ones_own_is_not_replaced(cli, data, tmp_path):
    page = tmp_path / "notes.html"
    page.write_text("<title>mine</title>")
    refused(cli("check", data, "--html", page), "is not a page from here")
    assert page.read_text() == "<title>mine</title>"


NAMES = ["Zelle µ 細胞 ß.png", "n" * 251 + ".png", os.fsdecode(b"caf\xe9.png")]
"""The longest name a file may have leaves no room for a prefix; bytes that are no UTF-8 are names, too."""


@pytest.fixture
def named(data, tmp_path):
    for number, name in enumerate(NAMES):
        for part in ("images", "masks"):
            (data / part / f"x0{number}.png").rename(data / part / name)
    return data.rename(tmp_path / "Träger 格 µ")


@pytest.mark.slow
def test_names_of_any_letters_and_of_any_length(cli, named, trained, tmp_path):
    out = tmp_path / "Masken ✓"
    assert cli("check", named).exit_code == 0
    assert cli("info", *sorted((named / "images").iterdir())).exit_code == 0
    result = cli("segment", trained, named / "images", "--out", out)
    assert result.exit_code == 0, result.output
    assert set(NAMES) < {path.name for path in out.iterdir()}
    assert cli("segment", trained, named / "images", "--out", out).stdout.count("  done before\n") == 6


@pytest.mark.slow
def test_images_of_any_name_are_trained_on(cli, named, tmp_path):
    run = tmp_path / "Lauf 走"
    result = cli("fit", named, "--out", run, *SMALL)
    assert result.exit_code == 0, result.output
    assert set(NAMES) < {Path(name).name for name in json.loads((run / "environment.json").read_text())["files"]}
    assert cli("evaluate", run, named, "--out", tmp_path / "Bericht é").exit_code == 0
    assert cli("export", run, "--to", "saved_model", "--out", tmp_path / "Paket é").exit_code == 0


def test_a_terminal_of_few_letters_shows_any_name(data):
    image = (data / IMAGE).rename(data / "細胞.png")
    western = os.environ | {"PYTHONIOENCODING": "cp1252"}  # as Windows has it
    result = subprocess.run([*CLI, "info", image], capture_output=True, text=True, check=True, env=western)
    assert "\\u7d30\\u80de.png" in result.stdout


# --- permissions -----------------------------------------------------------------------------------------------------


class _Capabilities(ctypes.Structure):
    """As Linux' capset has them: 32 bits each of what is in force, what may be, and what is passed on."""

    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


@contextmanager
def ordinary_user():
    """As root: lay down the right to ignore a file's permissions, for this thread and those it starts."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (_Capabilities * 2)()
    if not sys.platform.startswith("linux") or libc.capget(header, sets):
        pytest.skip("runs as root, whom no permission stops, and cannot lay that right down")
    before, sets[0].effective = sets[0].effective, sets[0].effective & ~0b110  # DAC_OVERRIDE, DAC_READ_SEARCH
    libc.capset(header, sets)
    try:
        yield
    finally:
        sets[0].effective = before
        libc.capset(header, sets)


@contextmanager
def closed(path, mode):
    """Take permissions from a path for a while."""
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        with ordinary_user():
            yield
    finally:
        path.chmod(before)


def test_a_file_that_may_not_be_read(cli, data, trained, tmp_path):
    with closed(data / IMAGE, 0):
        assert cli("check", data).exit_code == 1
        refused(cli("plan", data), "x01.png cannot be read: Permission denied")
        refused(cli("fit", data, "--out", tmp_path / "run"), "x01.png cannot be read: Permission denied")
        result = cli("segment", trained, data / "images", "--out", tmp_path / "masks")
    assert result.exit_code == 1
    assert "5 masks are in" in result.stdout
    assert "x01.png: Permission denied" in result.stdout
    assert not (tmp_path / "run").exists()


def test_a_folder_that_may_not_be_read(cli, data, trained, tmp_path):
    commands = [["check", data], ["plan", data], ["fit", data, "--out", tmp_path / "out"]]
    with closed(data / "images", 0):
        unread = cli("info", data / IMAGE)
        for words in [*commands, *reading(trained, data / "images", tmp_path / "out").values()][:-1]:
            result = cli(*words)
            assert result.exit_code == 2
            assert "ermission denied" in result.stderr or "is not readable" in result.stderr, result.stderr
            assert "Traceback" not in result.output
    assert (unread.exit_code, unread.stderr) == (2, f"{data / IMAGE} cannot be read: Permission denied\n")
    assert not (tmp_path / "out").exists()


def test_a_model_that_may_not_be_read(cli, data, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    with closed(run / "model.keras", 0):
        for words in reading(run, data / "images", tmp_path / "out").values():
            refused(cli(*words), "model.keras cannot be read: Permission denied")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_may_not_be_written(cli, data, trained, tmp_path):
    shut = tmp_path / "shut"
    shut.mkdir()
    commands = {
        "check": ["check", data, "--html", shut / "a.html"],
        "plan": ["plan", data, "--preview", shut / "a.png"],
        "fit": ["fit", data, "--out", shut / "run", *SMALL],
        **reading(trained, data / "images", shut / "out"),
    }
    with closed(shut, 0o555):
        for words in commands.values():
            refused(cli(*words), "Permission denied")
    assert list(shut.iterdir()) == []


# --- a full disk -----------------------------------------------------------------------------------------------------


@contextmanager
def full_disk(size):
    """No file grows beyond ``size`` bytes: the write fails in the middle, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_at_the_first_file_leaves_no_run(cli, data, tmp_path):
    with full_disk(100):
        refused(cli("fit", data, "--out", tmp_path / "run", *SMALL), "File too large")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_disk_that_is_full_at_the_checkpoint_leaves_a_run_to_go_on_with(cli, data, tmp_path):
    run = tmp_path / "run"
    with full_disk(20_000):
        result = cli("fit", data, "--out", run, *SMALL)
    refused(result, f"{run / 'model.keras'}: File too large")
    assert f"--resume goes on with {run}" in result.stderr
    assert "Traceback" in (run / "run.log").read_text()
    assert not [path for path in run.rglob("*") if path.name.startswith(".part")]
    assert not (run / "model.keras").exists()
    refused(cli("segment", run, data / "images", "--out", tmp_path / "masks"), "no epoch was finished")
    assert cli("fit", data, "--out", run, "--resume").exit_code == 0
    assert (run / "model.keras").is_file()


def test_a_disk_that_is_full_at_a_later_checkpoint_keeps_the_one_before(trained, tmp_path):
    from cryoseg_tf.run import Run
    from cryoseg_tf.training.callbacks import save_model

    run = shutil.copytree(trained, tmp_path / "run")
    before = files(run)
    model = Run(run).load_model()
    with full_disk(20_000), pytest.raises(OSError, match=r"model\.keras"):
        save_model(Run(run).model_file, model)
    assert files(run) == before


def test_a_disk_that_is_full_at_the_masks(cli, data, trained, tmp_path):
    """Records are cut, too; afterwards all of it can be done."""
    words = ["segment", trained, data / "images", "--out", tmp_path / "out"]
    with full_disk(1200):
        result = cli(*words)
    assert result.exit_code == 1
    done = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert result.stdout.count("FAILED") == 6 - len(done) > 0
    assert f"FAILED: {tmp_path / 'out' / 'x05.png'}: File too large" in result.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} <= done | {"records.jsonl"}
    result = cli(*words)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("done before") == (len(done) + 1 if done else 0)  # and once in the last line


def test_a_disk_that_is_full_at_a_page_keeps_the_one_before(cli, data, tmp_path):
    page = tmp_path / "check.html"
    assert cli("check", data, "--html", page).exit_code == 0
    before = page.read_bytes()
    with full_disk(1000):
        refused(cli("check", data, "--html", page), f"{page}: File too large")
    assert page.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"data", "check.html"}


def test_a_disk_that_is_full_at_one_of_several_files_leaves_none(tmp_path):
    from cryoseg_tf.io import atomic

    texts = {tmp_path / "new" / name: text for name, text in (("a", "short"), ("b", "long" * 300), ("c", "short"))}
    with full_disk(1000), pytest.raises(OSError, match="new/b"):
        atomic.write_texts(texts)
    assert list(tmp_path.iterdir()) == []
    atomic.write_texts(texts)
    assert {path: path.read_text() for path in (tmp_path / "new").iterdir()} == texts


@pytest.mark.slow
def test_a_disk_that_is_full_at_the_export(cli, trained, tmp_path):
    with full_disk(20_000):
        refused(cli("export", trained, "--out", tmp_path / "new" / "out"), "File too large")
    assert list(tmp_path.iterdir()) == []


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["check", "plan", "fit"])
@pytest.mark.parametrize(
    ("setting", "message"), [("model.deep=1", "model.deep is not a setting"), ("model.depth=99", "model.depth is 99")]
)
def test_settings_that_cannot_be(cli, data, tmp_path, command, setting, message):
    out = ["--out", tmp_path / "out"] if command == "fit" else []
    refused(cli(command, data, *out, "--set", setting), message)
    name, value = setting.removeprefix("model.").split("=")
    (tmp_path / "c.yaml").write_text(f"model: {{{name}: {value}}}\n")
    refused(cli(command, data, *out, "--config", tmp_path / "c.yaml"), message)
    assert not (tmp_path / "out").exists()


# --- runs ------------------------------------------------------------------------------------------------------------


def rewritten(run, change):
    """Write model.keras anew with its parts changed: ``change(name, content) -> content``."""
    with zipfile.ZipFile(run / "model.keras") as archive:
        parts = {name: change(name, archive.read(name)) for name in archive.namelist()}
    with zipfile.ZipFile(run / "model.keras", "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)


def cut(run):
    path = run / "model.keras"
    path.write_bytes(path.read_bytes()[:-500])


def flip(run):
    path = run / "model.keras"
    flipped = bytearray(path.read_bytes())
    flipped[len(flipped) // 2] ^= 255
    path.write_bytes(flipped)


def half(run):
    rewritten(run, lambda name, part: part[: len(part) // 2] if name.endswith(".h5") else part)


def diverge(run):
    from cryoseg_tf.run import Run
    from cryoseg_tf.training.callbacks import save_model

    model = Run(run).load_model()
    model.set_weights([weights * np.nan for weights in model.get_weights()])
    save_model(Run(run).model_file, model)


def newer(run):
    (run / "run.json").write_text(json.dumps(json.loads((run / "run.json").read_text()) | {"format": 99}))


DAMAGED = {
    cut: "model.keras is damaged",
    flip: "model.keras is damaged",
    half: "model.keras is damaged",
    diverge: "weights that are NaN or infinite",
    newer: "was written by a newer cryoseg-tf (run format 99, known: 1)",
}


@pytest.mark.parametrize(
    "damage",
    [cut, diverge, newer, *(pytest.param(damage, marks=pytest.mark.slow) for damage in (flip, half))],
    ids=lambda f: f.__name__,
)
def test_a_run_that_cannot_be_used(cli, data, trained, tmp_path, damage):
    run = shutil.copytree(trained, tmp_path / "run")
    damage(run)
    before = files(run)
    for words in reading(run, data / "images", tmp_path / "out").values():
        refused(cli(*words), DAMAGED[damage])
    assert files(run) == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["run.json", "config.yaml", "environment.json"])
def test_a_run_with_a_damaged_record(cli, data, trained, tmp_path, name):
    run = shutil.copytree(trained, tmp_path / "run")
    (run / name).write_bytes(b"\xff\xfe[")
    refused(cli("evaluate", run, data, "--out", tmp_path / "out"), name)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["state/last.npz", "split.json", "environment.json", "run.json"])
def test_a_damaged_run_is_not_gone_on_with(cli, trained, tmp_path, name):
    run = shutil.copytree(trained, tmp_path / "run")
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(info | {"status": "interrupted"}))
    (run / name).write_bytes(b"text")
    before = files(run)
    refused(cli("fit", trained.parent / "data", "--out", run, "--resume"), f"{name} is damaged")
    assert files(run) == before
    if name != "run.json":  # where that cannot be read, nothing was begun
        assert "Traceback" in (run / "run.log").read_text()


def test_a_newer_run_is_not_lost_by_a_resume(cli, trained, tmp_path):
    """Also where it keeps its settings elsewhere, so that it looks as if it had not begun."""
    run = shutil.copytree(trained, tmp_path / "run")
    newer(run)
    (run / "config.yaml").rename(run / "config.json")
    before = files(run)
    refused(cli("fit", trained.parent / "data", "--out", run, "--resume", "--epochs", 9), "newer cryoseg-tf")
    assert files(run) == before


@pytest.mark.parametrize("how", ["--resume", "--overwrite"])
def test_a_run_that_another_process_writes(cli, trained, tmp_path, how):
    run = shutil.copytree(trained, tmp_path / "run")
    code = "import sys, filelock\nwith filelock.FileLock(sys.argv[1]): print('locked', flush=True); sys.stdin.read()"
    before = files(run)
    other = subprocess.Popen([sys.executable, "-c", code, run / ".lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with other:
        assert other.stdout.readline() == b"locked\n"
        result = cli("fit", trained.parent / "data", "--out", run, how)
        other.stdin.close()
    refused(result, f"{run} is being written by another process")
    assert files(run) == before


def test_no_code_in_a_model_file_is_run(cli, data, trained, tmp_path):
    """The file holds a Lambda that would write another file; Keras would run it, if it was told to."""
    import keras

    run, mark, bait = shutil.copytree(trained, tmp_path / "run"), tmp_path / "mark", tmp_path / "bait.keras"
    path = str(mark)
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: (open(path, "w").close(), x)[1])(inputs)).save(bait)  # noqa: PTH123
    mark.unlink()  # building it ran it
    keras.models.load_model(bait, safe_mode=False)
    mark.unlink()  # so did reading the file
    with zipfile.ZipFile(bait) as archive:
        config = archive.read("config.json")
    rewritten(run, lambda name, part: config if name == "config.json" else part)
    words = reading(run, data / "images", tmp_path / "out")["segment"]
    assert cli(*words).exit_code == 0
    shutil.copy(bait, run / "model.keras")
    for words in reading(run, data / "images", tmp_path / "none").values():
        refused(cli(*words), "model.keras is damaged, or is not of this config.yaml")
    assert not mark.exists()
    assert not (tmp_path / "none").exists()
