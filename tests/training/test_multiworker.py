"""Two processes train one network. They are real, and really killed."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time

import pytest

from cryoseg_tf import Run

SMALL = {"model.base_filters": 2, "model.depth": 2, "data.patch": 32, "data.patches_per_image": 4}


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start(data, out, *words, second=()):
    """Start two workers, the second one with some words more."""
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    settings = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "cryoseg_tf.cli.main", "fit", data, "--out", out, "--threads", "1", *settings]
    return [
        subprocess.Popen(
            [*command, *words, *(second if task["index"] else ())],
            env={**os.environ, "TF_CONFIG": json.dumps({"cluster": {"worker": workers}, "task": task})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for task in ({"type": "worker", "index": index} for index in range(2))
    ]


def end(workers, limit=480.0):
    """Return exit code, results and messages of each; none outlives the test."""
    try:
        said = [worker.communicate(timeout=limit) for worker in workers]
        return [(worker.returncode, *words) for worker, words in zip(workers, said, strict=True)]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def epochs_done(run):
    return len(Run(run).history())


def test_two_processes_train_one_network(tmp_path, data):
    run = tmp_path / "run"
    (first, said, told), (other, silent, nothing) = end(start(data, run, "--epochs", "2"))
    assert (first, other) == (0, 0), told + nothing
    assert "devices: 2 on 2 workers" in told
    assert "validation Dice" in said
    assert silent == "done: the first worker has written the run\n"
    assert Run(run).info.status == "finished"
    assert Run(run).info.calibration is not None
    assert epochs_done(run) == 2
    assert Run(run).load_model().count_params() > 0


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_when_one_is_killed_the_other_ends_and_both_go_on(tmp_path, data, victim):
    run, words = tmp_path / "run", ["--epochs", "12", "--set", "training.patience=12"]
    workers = start(data, run, *words)
    limit = time.monotonic() + 240
    while epochs_done(run) < 2 and time.monotonic() < limit:
        time.sleep(0.05)
    workers[victim].kill()
    killed = time.monotonic()
    code, _, told = end(workers)[1 - victim]
    assert time.monotonic() - killed < 60
    assert code == 2, told
    assert "ended or cannot be reached" in told
    assert "--resume" in told
    assert "Traceback" not in told
    done = epochs_done(run)
    before = shutil.copy(run / "history.csv", tmp_path / "before.csv").read_text()
    assert 2 <= done < 12
    ends = end(start(data, run, *words, "--resume"))
    assert [code for code, *_ in ends] == [0, 0], ends
    assert epochs_done(run) == 12
    assert (run / "history.csv").read_text().startswith(before)


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--epochs", "3"], ["--minutes", "3"]])
def test_where_it_erred_and_when_to_end_are_agreed_on(tmp_path, data, words):
    run = tmp_path / "run"
    ends = end(start(data, run, *words, "--set", "data.hard_patches=0.3", "--set", "training.ema=0.9"))
    assert [code for code, *_ in ends] == [0, 0], ends
    assert Run(run).info.status == "finished"
    assert list((run / "state").glob("errors_*.npz"))


@pytest.mark.slow
def test_a_worker_with_other_settings_is_refused_and_leaves_no_trace(tmp_path, data):
    (first, _, told), (other, _, why) = end(start(data, tmp_path / "run", second=["--set", "seed=1"]))
    assert (first, other) == (2, 2)
    assert "worker 1 was started with other settings than worker 0: seed" in why
    assert "ended or cannot be reached" in told
    assert not (tmp_path / "run").exists()
