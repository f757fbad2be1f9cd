"""One trial: how it is scored, and how it fails."""

import psutil
import pytest

from cryoseg_tf import Config, Run, find_pairs, split
from cryoseg_tf.errors import RunError
from cryoseg_tf.models.metrics import MeanDice
from cryoseg_tf.training.trial import Job, Outcome, attempt, launch


@pytest.fixture
def job(data, tiny):
    def make(seconds=None, **settings):
        config = Config().replace({**tiny, **{name.replace("__", "."): value for name, value in settings.items()}})
        return Job(config=config, split=split(find_pairs(data), config.data), seconds=seconds)

    return make


def test_the_score_is_the_dice_of_the_masks_as_deployed(job, tmp_path):
    from cryoseg_tf import Segmenter
    from cryoseg_tf.data.pairs import read_annotated

    one = job()
    outcome = attempt(one, Run(tmp_path / "run"))
    assert (outcome.status, outcome.epochs) == ("done", 2)
    segmenter, dice = Segmenter.from_run(Run(tmp_path / "run")), MeanDice()
    for pair in one.split.validation:
        annotated = read_annotated(pair, one.config.data)
        found = segmenter.segment(annotated.micrograph).mask
        dice.update_state(annotated.mask[None, ..., None], found[None, ..., None].astype("float32"))
    assert outcome.score == pytest.approx(float(dice.result()), abs=1e-6)
    # told once more, as after a kill between the training and its report
    assert attempt(one, Run(tmp_path / "run")) == outcome


@pytest.mark.slow
def test_the_time_cuts_a_trial_which_still_has_a_score(job, tmp_path):
    outcome = attempt(job(seconds=0.0, training__epochs=500), Run(tmp_path / "run"))
    assert outcome.status == "cut"
    assert outcome.epochs == 1
    assert outcome.score is not None


@pytest.mark.slow
@pytest.mark.parametrize("calibrate", [True, False])
def test_a_trial_that_diverges_has_failed(job, tmp_path, calibrate):
    one = job(training__learning_rate=1e25, training__weight_decay=0.0, training__calibrate=calibrate)
    outcome = attempt(one, Run(tmp_path / "run"))
    assert outcome.status == "failed"
    assert outcome.score is None
    assert outcome.reason.startswith("it diverged: the loss was nan in epoch")


def test_what_does_not_fit_into_memory_has_failed(job, tmp_path):
    outcome = attempt(job(data__patch=65536), Run(tmp_path / "run"))
    assert outcome.status == "failed"
    assert "GB" in outcome.reason


def test_what_cannot_be_written_is_not_the_trials_fault(job, tmp_path):
    (tmp_path / "file").write_text("in the way")
    outcome = attempt(job(), Run(tmp_path / "file" / "run"))
    assert (outcome.status, outcome.reason) == ("stopped", f"{tmp_path / 'file'}: Not a directory")


@pytest.fixture
def file(job, tmp_path):
    """The job of a trial that would take for ever."""
    path = tmp_path / "jobs" / "0.json"
    path.parent.mkdir()
    path.write_text(job(training__epochs=100000).model_dump_json())
    return path


def trials(root):
    """Return the processes of trials in a folder."""
    return [child for child in psutil.Process().children() if str(root) in " ".join(child.cmdline())]


@pytest.mark.slow
def test_a_killed_process_is_a_failed_trial_that_names_the_signal(file, tmp_path):
    def kill_in_training():
        if (tmp_path / "trials" / "0" / "history.csv").exists():
            for process in trials(tmp_path):
                process.kill()

    outcome = launch(file, None, kill_in_training)
    why = "its process was killed (SIGKILL), as a system does that runs out of memory"
    assert outcome == Outcome(status="failed", reason=why)


@pytest.mark.slow
def test_what_the_one_that_waits_raises_ends_the_process(file, tmp_path):
    def leave():
        if trials(tmp_path):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(file, None, leave)
    assert not trials(tmp_path)


@pytest.mark.slow
def test_what_is_no_fault_of_the_trial_stops_the_search(job, tmp_path):
    file = tmp_path / "jobs" / "0.json"
    file.parent.mkdir()
    file.write_text(job().model_dump_json())
    (tmp_path / "trials").write_text("in the way")
    with pytest.raises(RunError, match=r"trial 0 stopped: .*trials"):
        launch(file, None, lambda: None)
