"""Training that repeats, survives kills, and keeps its time. The processes are real, and really killed."""

import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image

from cryoseg_tf import Config, Run, find_groups, find_pairs, fit, split
from cryoseg_tf.errors import DataError, RunError

CLI = [sys.executable, "-m", "cryoseg_tf.cli.main"]
SETTINGS = ["--set", "model.base_filters=4", "--set", "model.depth=2", "--set", "data.patches_per_image=4"]


def command(data, run, *words):
    return [*CLI, "fit", data, "--out", run, *SETTINGS, *words]


def train(data, run, *words):
    return subprocess.run(command(data, run, *words), capture_output=True, text=True, check=False)


def state(run):
    with np.load(run / "state" / "last.npz") as content:
        return {name: content[name] for name in content.files if name != "progress"}


def assert_same(one, other):
    first, second = state(one), state(other)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert (one / "history.csv").read_bytes() == (other / "history.csv").read_bytes()
    best = [Run(run).load_model().get_weights() for run in (one, other)]
    assert all(np.array_equal(a, b) for a, b in zip(*best, strict=True))
    assert Run(one).info == Run(other).info


def kill_when(process, condition, limit=60.0):
    """Wait for a condition, then kill -9 at once."""
    end = time.monotonic() + limit
    while process.poll() is None and time.monotonic() < end and not condition():
        time.sleep(0.0005)
    process.kill()
    process.wait()


def epochs_done(run):
    path = run / "history.csv"
    return len(path.read_text().splitlines()) - 1 if path.is_file() else 0


MOMENTS = {
    "before the first epoch": lambda run: (run / "config.yaml").is_file(),
    "while the state is written": lambda run: epochs_done(run) >= 1 and (run / "state" / ".part-last.npz").exists(),
    "while the model is written": lambda run: epochs_done(run) >= 3 and (run / ".part-model.keras").exists(),
    "in the middle of an epoch": lambda run: epochs_done(run) >= 4,
}


@pytest.mark.parametrize(
    "moments", [["while the state is written"], pytest.param(list(MOMENTS), marks=pytest.mark.slow)], ids=len
)
def test_killed_and_resumed_equals_uninterrupted(tmp_path, data, moments):
    whole, run = tmp_path / "whole", tmp_path / "run"
    words = ["--epochs", "6"]
    assert train(data, whole, *words).returncode == 0
    for moment in moments:
        process = subprocess.Popen(
            command(data, run, *words, "--resume"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        kill_when(process, lambda moment=moment: MOMENTS[moment](run))
    result = train(data, run, "--epochs", "6", "--resume")
    assert result.returncode == 0, result.stderr
    assert epochs_done(run) == 6
    assert_same(whole, run)
    again = subprocess.run([*CLI, "fit", data, "--out", run, "--resume"], capture_output=True, text=True, check=False)
    assert again.returncode == 0
    assert_same(whole, run)


def test_ctrl_c_leaves_a_usable_run(tmp_path, data):
    run = tmp_path / "run"
    process = subprocess.Popen(command(data, run, "--epochs", "500"), stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while epochs_done(run) < 1 and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "--resume" in message
    assert "Traceback" not in message
    assert Run(run).info.status == "interrupted"
    assert Run(run).load_model().count_params() > 0


@pytest.mark.slow
def test_minutes_are_kept(tmp_path, data):
    taken = []
    while len(taken) < 2 and (not taken or taken[-1] > 33):  # a shared machine may stall once
        started = time.monotonic()
        result = train(data, tmp_path / "run", "--minutes", "0.5", "--overwrite")
        taken.append(time.monotonic() - started)
        assert result.returncode == 0, result.stderr
    assert min(taken) < 33
    config = Run(tmp_path / "run").config
    assert len(Run(tmp_path / "run").history()) == config.training.epochs or "time was over" in result.stdout


@pytest.mark.slow
def test_same_seed_same_weights_other_seed_other(tmp_path, data, tiny):
    config = Config().replace(tiny)
    pairs = split(find_pairs(data), config.data)
    for name, chosen in (("a", config), ("b", config), ("c", config.replace({"seed": 1}))):
        fit(chosen, pairs, tmp_path / name)
    assert_same(tmp_path / "a", tmp_path / "b")
    assert any((state(tmp_path / "a")[k] != v).any() for k, v in state(tmp_path / "c").items())


def test_it_learns(trained):
    history = Run(trained).history()
    assert history[-1]["loss"] < history[0]["loss"]
    assert Run(trained).info.validation_dice == history[-1]["val_dice"]  # the last fifth of four epochs


def test_the_configuration_is_complete(trained):
    config, info = Run(trained).config, Run(trained).info
    assert config.data.scale == "none"
    assert config.data.patch == 64
    assert info.contract.minimum_contrast > 1
    assert len(Run(trained).environment()["files"]) == 12


def test_early_stopping(tmp_path, data, tiny):
    config = Config().replace({**tiny, "training.epochs": 50, "training.patience": 1, "training.learning_rate": 1e-12})
    result = fit(config, split(find_pairs(data), config.data), tmp_path / "run")
    assert result.epochs < 50
    assert "has not risen" in result.stopped


def test_a_resume_with_other_settings_is_refused(tmp_path, trained):
    run = shutil.copytree(trained, tmp_path / "run")
    config = Run(run).info.requested
    pairs = split(find_pairs(trained.parent / "data"), config.data)
    with pytest.raises(RunError, match=r"other settings \(seed\)"):
        fit(config.replace({"seed": 5}), pairs, run, existing="resume")


class StoppedError(Exception):
    """Ends a training."""


class StopAtOnce(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise StoppedError


@pytest.fixture
def begun(tmp_path, data, tiny):
    """A run that was stopped in its first epoch, and its settings."""
    config = Config().replace(tiny)
    with pytest.raises(StoppedError):
        fit(config, split(find_pairs(data), config.data), tmp_path / "run", callbacks=[StopAtOnce()])
    return tmp_path / "run", config


def test_a_changed_image_stops_a_resume(begun, data):
    run, config = begun
    (data / "images" / "x00.png").write_bytes((data / "images" / "x01.png").read_bytes())
    with pytest.raises(RunError, match=r"x00\.png changed"):
        fit(config, split(find_pairs(data), config.data), run, existing="resume")


def test_changed_groups_stop_a_resume(begun, data):
    run, config = begun
    assert Run(run).split()["groups"] is None
    (validated,) = Run(run).split()["validation"]
    others = Run(run).split()["train"]
    rows = [f"{validated},A", f"{others[0]},A", *(f"{name},{name}" for name in others[1:])]
    (data / "groups.csv").write_text("\n".join(["image,group", *rows]))
    pairs = find_pairs(data)
    with pytest.raises(RunError, match="groups of images changed"):
        fit(config, split(pairs, config.data, groups=find_groups(data, pairs, config.data)), run, existing="resume")


def test_groups_of_images_are_written_down(begun, data):
    run, config = begun
    rows = [f"x{i:02},{i % 2}" for i in range(6)]
    (data / "groups.csv").write_text("\n".join(["image,group", *rows]))
    pairs = find_pairs(data)
    divided = split(pairs, config.data, groups=find_groups(data, pairs, config.data))
    with pytest.raises(StoppedError):
        fit(config, divided, run, existing="overwrite", callbacks=[StopAtOnce()])
    found = Run(run).split()
    assert found["groups"] == {f"images/x{i:02}.png": str(i % 2) for i in range(6)}
    assert len({found["groups"][name] for name in found["validation"]}) == 1
    assert len(found["validation"]) == 3


def test_masks_without_foreground_are_refused(tmp_path, data, tiny):
    for mask in (data / "masks").iterdir():
        Image.new("L", (64, 64)).save(mask)
    config = Config().replace(tiny)
    with pytest.raises(DataError, match="holds any cell: there is nothing to learn"):
        fit(config, split(find_pairs(data), config.data), tmp_path / "run")


@pytest.mark.parametrize("scale", ["shape", pytest.param("pixel_size", marks=pytest.mark.slow)])
def test_other_scales_train(tmp_path, scale, tiny):
    from cryoseg_tf import PhantomOptions, Segmenter, read_micrograph, write_phantom

    write_phantom(tmp_path / "data", images=4, test=0, options=PhantomOptions(128, 300.0, ("cell",)))
    pairs = find_pairs(tmp_path / "data")
    wanted = {"data.scale": scale, "data.shape": [64, 64], "data.pixel_size": 600.0 if scale == "pixel_size" else None}
    config = Config().replace({**tiny, **wanted})
    fit(config, split(pairs, config.data), tmp_path / "run")
    image = read_micrograph(pairs[0].image)
    result = Segmenter.from_run(tmp_path / "run").segment(image)
    assert result.mask.shape == image.pixels.shape
    assert result.status in (0, 4)


def test_more_classes_and_ignored_pixels_train(tmp_path, data, tiny):
    for path in (data / "masks").iterdir():
        mask = np.asarray(Image.open(path)).copy()
        mask[:16, mask[0] == 1] = 2
        mask[-8:] = 9
        Image.fromarray(mask).save(path)
    config = Config().replace({**tiny, "data.classes": ["background", "cell", "ice"], "data.ignore": 9})
    result = fit(config, split(find_pairs(data), config.data), tmp_path / "run")
    assert 0 <= result.dice <= 1
    assert Run(tmp_path / "run").load_model().output_shape[-1] == 3
