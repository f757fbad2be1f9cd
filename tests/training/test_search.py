"""A search on disk: nothing is lost, nothing is done twice, whatever happens. No network is trained here."""

import csv
import json
from dataclasses import replace

import pytest

from cryoseg_tf import Config, find_pairs, split
from cryoseg_tf.errors import RunError
from cryoseg_tf.training.search import IN_A_ROW, PATIENCE, Search
from cryoseg_tf.training.space import Space
from cryoseg_tf.training.task import Task
from cryoseg_tf.training.trial import Job, Outcome
from cryoseg_tf.training.tuning import tune


@pytest.fixture
def task(tmp_path, data, tiny):
    path = tmp_path / "space.yaml"
    path.write_text(
        "training.batch_size: {int: [1, 8]}\n"
        "training.learning_rate: {float: [1e-4, 1e-1], log: true}\n"
        "training.loss: {choice: [dice, bce]}\n"
    )
    config = Config().replace(tiny)
    return Task(config, Space.load(path), split(find_pairs(data), config.data), "random", trials=4)


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "search"
    folder.mkdir()
    return folder


def done(score):
    return Outcome(status="done", score=score, epochs=2)


def failed(reason="it diverged"):
    return Outcome(status="failed", reason=reason)


def rows(out):
    with (out / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_is_written(out, task):
    search = Search(out, task)
    for outcome in (done(0.5), failed("it needs more memory than there is"), done(0.9), done(0.7)):
        search.tell(search.ask("one").trial_id, outcome)
    assert search.ask("one").status == "STOPPED"
    table = rows(out)
    assert [row["status"] for row in table] == ["done", "failed", "done", "done"]
    assert [row["dice"] for row in table] == ["0.500000", "", "0.900000", "0.700000"]
    assert table[1]["reason"] == "it needs more memory than there is"
    best = Config.load(out / "best.yaml")
    assert best.training.batch_size == int(table[2]["training.batch_size"])
    assert best.training.learning_rate == float(table[2]["training.learning_rate"])
    assert best.model == task.config.model
    assert search.result().best.number == "2"


def test_a_job_is_the_settings_and_the_split_and_nothing_else(out, task):
    search = Search(out, task)
    number = search.ask("one").trial_id
    job = Job.model_validate_json(search.job(number).read_bytes())
    assert job.split == task.split
    assert job.seconds is None
    searched = {p.name for p in task.parameters}
    assert set(job.config.differences(task.config)) <= searched | {"training.patience"}


@pytest.mark.parametrize(("given", "used"), [({}, PATIENCE), ({"training.patience": None}, None)])
def test_trials_stop_early_unless_that_was_turned_off(out, task, given, used):
    search = Search(out, replace(task, config=task.config.replace(given)))
    job = Job.model_validate_json(search.job(search.ask("one").trial_id).read_bytes())
    assert job.config.training.patience == used


@pytest.mark.parametrize("moment", ["asked", "told"])
def test_killed_at_any_moment_no_trial_is_lost_or_doubled(out, task, moment):
    whole = [trial.hyperparameters.values for trial in asked_for(Search(out, task), 4)]
    (out / "search.json").unlink()
    seen = []
    for number in range(4):
        trial = Search(out, task).ask("one")  # each time by a process that knows nothing but the files
        search = Search(out, task)
        if moment == "told":
            again = search.ask("two")
            assert again.trial_id == trial.trial_id
            search.tell(again.trial_id, done(number / 10))
        else:
            again = Search(out, task).ask("three")
            assert (again.trial_id, again.status) == (trial.trial_id, "RUNNING")
            search = Search(out, task)
            search.tell(search.ask("four").trial_id, done(number / 10))
        seen.append(trial.hyperparameters.values)
    assert seen == whole
    assert [row["trial"] for row in rows(out)] == ["0", "1", "2", "3"]
    assert {row["status"] for row in rows(out)} == {"done"}
    assert Search(out, task).ask("one").status == "STOPPED"


def asked_for(search, count):
    trials = []
    for _ in range(count):
        trials.append(search.ask("one"))
        search.tell(trials[-1].trial_id, done(0.5))
    return trials


def test_more_trials_go_on_where_fewer_ended(out, task):
    asked_for(Search(out, task), 4)
    search = Search(out, replace(task, trials=6))
    assert search.ask("one").status == "RUNNING"
    assert len(search.result().ended) == 4


def test_the_time_is_counted_over_interruptions(out, task):
    search = Search(out, replace(task, minutes=1))
    search.clock -= 40  # as if so many seconds had gone by
    number = search.ask("one").trial_id
    assert 19 < Job.model_validate_json(search.job(number).read_bytes()).seconds < 20
    search.clock -= 15
    search.tell(number, done(0.5))
    search = Search(out, replace(task, minutes=1))
    assert search.result().records[0].seconds == pytest.approx(15, abs=1)
    search.clock -= 10
    assert search.ask("one").status == "STOPPED"
    assert Search(out, replace(task, minutes=2)).ask("one").status == "RUNNING"


def test_what_was_cut_is_best_only_where_nothing_was_done(out, task):
    search = Search(out, task)
    search.tell(search.ask("one").trial_id, Outcome(status="cut", score=0.9, reason="the time was over"))
    assert search.result().best.score == 0.9
    search.tell(search.ask("one").trial_id, done(0.3))
    assert search.result().best.score == 0.3


def test_many_failures_in_a_row_end_the_search_with_the_last_reason(out, task):
    search = Search(out, replace(task, trials=30))
    for number in range(IN_A_ROW):
        search.check()
        search.tell(search.ask("one").trial_id, failed(f"reason {number}"))
    with pytest.raises(RunError, match=f"{IN_A_ROW} trials failed one after the other, .*reason {IN_A_ROW - 1}"):
        search.check()
    again = Search(out, replace(task, trials=30))
    again.check()  # the cause may be mended
    assert again.ask("one").trial_id == f"{IN_A_ROW:02}"


def test_no_score_at_all_is_an_error(out, task):
    search = Search(out, task)
    search.tell(search.ask("one").trial_id, failed("out of memory"))
    with pytest.raises(RunError, match="no trial of 1 gave a score; the last one: out of memory"):
        _ = search.result().best


def test_a_dead_workers_trial_goes_to_another_twice_at_most(out, task):
    search = Search(out, task)
    number = search.ask("one").trial_id
    other = search.ask("two").trial_id
    search.give_up("one")
    assert search.ask("three").trial_id == number
    search.give_up("three")
    record = {record.number: record for record in search.result().records}[number]
    assert (record.status, record.reason) == ("failed", "2 workers died while they had it")
    assert search.running == {"two": other}


def test_settings_that_do_not_go_together_are_a_failed_trial(out, task, tmp_path):
    path = tmp_path / "patches.yaml"
    path.write_text("data.patch: {choice: [16, 32]}\nmodel.depth: {choice: [3, 5]}\n")
    search = Search(out, replace(task, space=Space.load(path), method="grid", trials=9))
    while (trial := search.ask("one")).status == "RUNNING":
        search.tell(trial.trial_id, done(0.5))
    assert [row["status"] for row in rows(out)].count("failed") == 1
    (reason,) = [row["reason"] for row in rows(out) if row["status"] == "failed"]
    assert reason == "data.patch is 16: with model.depth 5 it must be a multiple of 32"


def test_workers_wait_while_a_trial_may_come_back(out, task):
    search = Search(out, replace(task, trials=1))
    number = search.ask("one").trial_id
    assert search.ask("two").status == "IDLE"
    search.give_up("one")
    assert search.ask("two").trial_id == number
    search.tell(number, done(0.5))
    assert search.ask("two").status == "STOPPED"


def test_a_damaged_state_is_named(out, task):
    Search(out, task).ask("one")
    (out / "search.json").write_text("{}")
    with pytest.raises(RunError, match=r"search\.json is damaged"):
        Search(out, task)


def prepared(out, task):
    """Leave a search that has ended, so that going on with it trains nothing."""
    asked_for(Search(out, task), 4)
    from cryoseg_tf.training.task import Setup

    (out / "tuning.json").write_text(Setup.of(task).model_dump_json())


def test_a_finished_search_is_told_again(out, task):
    prepared(out, task)
    result = tune(task, out)
    assert (len(result.records), result.best.score) == (4, 0.5)


@pytest.mark.parametrize("what", ["config", "space", "method", "image", "split"])
def test_other_settings_or_images_are_refused(out, task, what, data):
    prepared(out, task)
    image = task.split.train[0].image
    changed = {
        "config": (replace(task, config=task.config.replace({"training.epochs": 9})), "training.epochs"),
        "space": (replace(task, space=replace(task.space, parameters=task.space.parameters[1:])), "the space"),
        "method": (replace(task, method="grid"), "--method random"),
        "image": (task, f"{image.name} changed"),
        "split": (replace(task, split=replace(task.split, groups={"images/x00.png": "a"})), "the groups"),
    }
    if what == "image":
        image.write_bytes(task.split.train[1].image.read_bytes())
    other, named = changed[what]
    with pytest.raises(RunError, match=named):
        tune(other, out)


def test_a_folder_of_something_else_is_not_touched(tmp_path, task):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="is not a search"):
        tune(task, tmp_path, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_two_chiefs_are_one_too_many(out, task):
    from filelock import FileLock

    prepared(out, task)
    with FileLock(out / ".lock"), pytest.raises(RunError, match="is being searched by another process"):
        tune(task, out)


def test_hyperband_sets_the_epochs(out, task, tmp_path):
    path = tmp_path / "epochs.yaml"
    path.write_text("training.epochs: {int: [3, 9]}\ntraining.batch_size: {int: [1, 8]}\n")
    search = Search(out, replace(task, space=Space.load(path), method="hyperband", trials=None))
    trial = search.ask("one")
    job = Job.model_validate_json(search.job(trial.trial_id).read_bytes())
    assert job.config.training.epochs == 1
    assert search.result().records[0].values.keys() == {"training.batch_size", "training.epochs"}
    state = json.loads((out / "search.json").read_text())
    assert state["oracle"]["state"]["max_epochs"] == 9
