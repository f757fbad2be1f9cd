"""Searches in real processes, really killed."""

import csv
import json
import os
import socket
import subprocess
import sys
import time

import psutil
import pytest

CLI = [sys.executable, "-m", "cryoseg_tf.cli.main"]
SETTINGS = ["--set", "model.base_filters=4", "--set", "model.depth=2", "--set", "data.patches_per_image=2"]

pytestmark = pytest.mark.slow


@pytest.fixture
def tune(tmp_path, data):
    """``tune(out, *words)`` starts a search of rates and batch sizes; it is killed at the end of the test."""
    space = tmp_path / "space.yaml"
    space.write_text("training.batch_size: {int: [2, 8]}\ntraining.learning_rate: {float: [1e-4, 1e-2], log: true}\n")
    begun = []

    def start(out, *words):
        said = (tmp_path / f"{len(begun)}.log").open("w")
        command = [*CLI, "tune", data, "--out", out, "--space", space, *SETTINGS, *words]
        begun.append(subprocess.Popen(command, stdout=said, stderr=said))
        begun[-1].said = tmp_path / f"{len(begun) - 1}.log"
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.wait()


def wait_for(condition, limit=300.0):
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def ended(process, limit=400):
    process.wait(limit)
    return process.said.read_text()


def rows(out):
    with (out / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def epochs(out, trial):
    path = out / "trials" / trial / "history.csv"
    return [float(row.split(",")[0]) for row in path.read_text().splitlines()[1:]] if path.is_file() else []


def working_in(folder):
    """Return the processes that have the folder in their command."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        if process.pid != os.getpid() and any(str(folder) in word for word in process.info["cmdline"] or ()):
            found.append(process)
    return found


def test_killed_in_mid_trial_and_repeated_no_trial_is_lost_or_doubled(tmp_path, tune):
    whole, out = tmp_path / "whole", tmp_path / "out"
    words = ["--trials", "2", "--set", "training.epochs=8", "--method", "random"]
    first = tune(out, *words)
    wait_for(lambda: len(epochs(out, "0")) >= 2)
    first.kill()
    first.wait()
    assert len(epochs(out, "0")) < 8
    wait_for(lambda: not working_in(out), limit=10)  # no trial goes on without it
    assert rows(out)[0]["status"] == "running"
    text = ended(tune(out, *words))
    assert "fit --config" in text, text
    assert epochs(out, "0") == list(range(1, 9))
    text = ended(tune(whole, *words))
    assert "fit --config" in text, text
    assert [row["trial"] for row in rows(out)] == ["0", "1"]
    for resumed, uninterrupted in zip(rows(out), rows(whole), strict=True):
        # a loaded machine may add up in another order
        assert float(resumed["dice"]) == pytest.approx(float(uninterrupted["dice"]), abs=0.02)
        for name in ("status", "epochs_trained", "training.batch_size", "training.learning_rate"):
            assert resumed[name] == uninterrupted[name]


def test_a_dead_workers_trial_is_made_by_the_other(tmp_path, tune):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    out = tmp_path / "out"
    chief = tune(out, "--trials", "3", "--set", "training.epochs=4", "--chief", address)
    workers = [tune(out, "--worker", "--chief", address, "--threads", "1") for _ in range(2)]
    wait_for(lambda: epochs(out, "0") and epochs(out, "1"))
    running = json.loads((out / "search.json").read_text())["oracle"]["state"]["ongoing_trials"]
    victim = workers[0]
    (lost,) = [trial for name, trial in running.items() if name.endswith(f"-{victim.pid}")]
    victim.kill()
    text = ended(chief)
    assert chief.returncode == 0, text
    assert f"trial {lost} goes to another" in " ".join(text.split())
    assert "there are no more" in ended(workers[1], 30)
    assert [(r["trial"], r["status"], r["epochs_trained"]) for r in rows(out)] == [
        (trial, "done", "4") for trial in ("0", "1", "2")
    ]


def test_without_workers_the_chief_ends_and_the_same_command_goes_on(tmp_path, tune):
    out = tmp_path / "out"
    words = ["--trials", "1", "--set", "training.epochs=4", "--workers", "1"]
    chief = tune(out, *words)
    wait_for(lambda: epochs(out, "0"))
    (worker,) = [process for process in working_in(out) if "cryoseg_tf.training.worker" in process.cmdline()]
    worker.kill()
    text = ended(chief, 60)
    assert chief.returncode == 2
    assert "all workers are gone after 0 of 1 trials" in " ".join(text.split())
    assert "Traceback" not in text
    wait_for(lambda: not working_in(out), limit=10)
    again = tune(out, *words)
    assert "fit --config" in ended(again)
    assert [row["status"] for row in rows(out)] == ["done"]
