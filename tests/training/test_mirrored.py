"""Two devices learn what one learns of the same batches. The devices are halves of a processor."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("on_two_devices.py")
SMALL = {"model.base_filters": 2, "model.depth": 2, "data.patch": 32, "training.batch_size": 4}
SGD = {**SMALL, "training.optimizer": "sgd", "training.learning_rate": 0.05}


def apart(data, steps, *settings):
    """Return how far one device and two come apart, with each of the settings."""
    words = [json.dumps(some) for some in settings]
    command = [sys.executable, str(SCRIPT), str(data), str(steps), *words]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def assert_equal(found):
    assert found["learned"] > 0.01
    assert found["loss"] < 1e-4
    assert found["weights"] < 1e-3
    assert found["validation loss"] < 1e-4
    assert found["validation dice"] < 1e-2


@pytest.mark.slow
def test_two_devices_learn_what_one_learns(tmp_path, make_pairs):
    (found,) = apart(make_pairs(tmp_path / "data", 7), 20, SGD)
    assert_equal(found)


@pytest.mark.slow
def test_whatever_looks_at_the_whole_batch_does_so(tmp_path, make_pairs):
    settings = [
        {**SGD, "training.loss": "dice(pooled=true)"},
        {**SGD, "training.clip_norm": 0.1, "training.ema": 0.9},
        {**SGD, "model.deep_supervision": True, "training.loss": "dice + 0.1*boundary"},
    ]
    gently = {"training.learning_rate": 0.02}  # a network this small soon magnifies what rounding leaves
    for found in apart(make_pairs(tmp_path / "data", 7), 20, *({**some, **gently} for some in settings)):
        assert_equal(found)


@pytest.mark.slow
def test_adamw_comes_to_the_same_dice(tmp_path, make_pairs):
    """It magnifies what rounding leaves of gradients that should be 0, so that weights drift."""
    (found,) = apart(make_pairs(tmp_path / "data", 7), 60, {**SMALL, "training.learning_rate": 0.003})
    assert found["learned"] > 0.1
    assert found["validation dice"] < 0.02
