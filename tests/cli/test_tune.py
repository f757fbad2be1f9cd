"""``tune`` on the command line: what it refuses, and what it says of a search. Nothing is trained here."""

import json

import pytest

from cryoseg_tf import Config
from cryoseg_tf.cli.fit import divide
from cryoseg_tf.training.search import Search
from cryoseg_tf.training.space import Space
from cryoseg_tf.training.task import Setup, Task
from cryoseg_tf.training.trial import Outcome

SPACE = "training.batch_size: {int: [1, 8]}\ntraining.loss: {choice: [dice, bce]}\n"


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(SPACE)
    return path


@pytest.fixture
def ended(tmp_path, data, space):
    """A search whose trials have ended, without having trained anything."""
    out = tmp_path / "out"
    out.mkdir()
    config, divided = divide(data, Config())
    task = Task(config, Space.load(space), divided, "random", trials=3)
    search = Search(out, task)
    (out / "tuning.json").write_text(Setup.of(task).model_dump_json())
    for outcome in (
        Outcome(status="done", score=0.71, epochs=60),
        Outcome(status="failed", reason="it diverged: the loss was nan in epoch 2"),
        Outcome(status="done", score=0.83, epochs=41),
    ):
        search.tell(search.ask("one").trial_id, outcome)
    return out


def call(cli, data, out, space, *words):
    return cli("tune", data, "--out", out, "--space", space, "--method", "random", *words)


def test_a_search_that_ended_says_what_it_found(cli, data, ended, space):
    result = call(cli, data, ended, space, "--trials", "3")
    assert result.exit_code == 0, result.output
    assert "validation Dice 0.830, trial 2 of 3" in result.output
    assert f"fit --config {ended / 'best.yaml'}" in result.output
    page = (ended / "tuning.html").read_text()
    assert "it diverged: the loss was nan in epoch 2" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_json_alone_goes_to_standard_output(cli, data, ended, space):
    result = call(cli, data, ended, space, "--trials", "3", "--json")
    found = json.loads(result.stdout)
    assert found["best"]["dice"] == 0.83
    assert found["best"]["settings"].keys() == {"training.batch_size", "training.loss"}
    assert found["trials"] == {"done": 2, "cut": 0, "failed": 1}


def test_best_yaml_is_what_fit_takes(cli, data, ended):
    best = Config.load(ended / "best.yaml")
    again, _ = divide(data, best)
    assert again.training.batch_size == best.training.batch_size


def test_other_settings_are_refused_and_overwrite_begins_anew(cli, data, ended, space):
    refused = call(cli, data, ended, space, "--set", "model.depth=2")
    assert refused.exit_code == 2
    assert "was begun with other settings (model.depth)" in " ".join(refused.output.split())
    no_time = call(cli, data, ended, space, "--set", "model.depth=2", "--minutes", "1e-9", "--overwrite")
    assert "before a trial began" in no_time.output
    assert not (ended / "best.yaml").exists()
    assert not (ended / "jobs").exists()


def test_what_is_set_is_not_searched(cli, data, tmp_path, space):
    result = call(cli, data, tmp_path / "out", space, "--set", "training.batch_size=3", "--minutes", "1e-9")
    assert "searching training.loss dice or bce" in " ".join(result.output.split())
    assert Setup.read(tmp_path / "out").config.training.batch_size == 3
    result = call(cli, data, tmp_path / "out", space, "--set", "training.batch_size=3", "--set", "training.loss=bce")
    assert result.exit_code == 2
    assert "nothing to search" in result.output


def test_the_test_images_are_not_opened(cli, tmp_path, make_pairs, space):
    make_pairs(tmp_path / "data" / "train", 4)
    make_pairs(tmp_path / "data" / "test", 2, first=4)
    for path in (tmp_path / "data" / "test").rglob("*.png"):
        path.write_bytes(b"not to be opened")
    result = call(cli, tmp_path / "data", tmp_path / "out", space, "--minutes", "1e-9")
    assert "before a trial began" in result.output
    setup = (tmp_path / "out" / "tuning.json").read_text()
    assert "train/images" in setup
    assert "test/images" not in setup


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--worker"], "--worker needs --chief HOST:PORT"),
        (["--chief", "node7"], "is not HOST:PORT"),
        (["--chief", "node7:70000"], "is not HOST:PORT"),
        (["--vary", "depth"], "depth is not optional"),
        (["--minutes", "0"], "not a number above 0"),
        (["--method", "annealing"], "is not one of"),
        (["--trials", "0"], "0 is not in the range"),
        (["--set", "model.depth=9"], "model.depth is 9"),
    ],
)
def test_wrong_use_is_one_line(cli, data, tmp_path, space, words, problem):
    result = call(cli, data, tmp_path / "out", space, *words)
    assert result.exit_code == 2
    assert problem in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_a_bad_space_is_named_with_its_line_before_images_are_read(cli, data, tmp_path):
    for image in (data / "images").iterdir():
        image.write_bytes(b"none")
    path = tmp_path / "bad.yaml"
    path.write_text("training.batch_size: {int: [8, 1]}\n")
    result = cli("tune", data, "--out", tmp_path / "out", "--space", path)
    assert result.exit_code == 2
    assert f"{path}, line 1: training.batch_size" in "".join(result.output.split("\n"))
