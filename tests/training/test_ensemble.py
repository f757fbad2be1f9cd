"""Ensembles are runs: copies of their members, with a contract for all."""

import shutil

import numpy as np
import pytest

from cryoseg_tf import Run, Segmenter, find_pairs, fit, split
from cryoseg_tf.config import Config
from cryoseg_tf.errors import RunError
from cryoseg_tf.io.micrograph import read_micrograph
from cryoseg_tf.training.ensemble import make_ensemble
from cryoseg_tf.training.schedules import cycle_ends


@pytest.fixture
def other(trained, tmp_path):
    """A run like ``trained`` with other weights, another threshold and another range."""
    run = Run(shutil.copytree(trained, tmp_path / "other"))
    model = run.load_model(raw=True)
    random = np.random.default_rng(0)
    model.set_weights([w + 0.05 * random.random(w.shape) for w in model.get_weights()])
    model.save(run.model_file)
    run.update(contract=run.contract.model_copy(update={"threshold": 0.75, "minimum_contrast": 0.0}))
    return run


@pytest.fixture
def micrograph(trained):
    return read_micrograph(trained.parent / "data" / "images" / "x01.png")


def test_probabilities_are_averaged_and_so_is_the_threshold(trained, other, tmp_path, micrograph):
    made = make_ensemble([Run(trained), other], tmp_path / "made")
    assert made.info.kind == "ensemble"
    assert made.contract.threshold == pytest.approx((Run(trained).contract.threshold + 0.75) / 2)
    assert made.contract.minimum_contrast == 0
    wanted = np.mean([Segmenter.from_run(r).segment(micrograph, True).probabilities for r in (trained, other)], axis=0)
    found = Segmenter.from_run(made).segment(micrograph, True)
    np.testing.assert_allclose(found.probabilities, wanted, atol=1e-5)
    assert np.array_equal(found.mask, found.probabilities[..., 0] >= made.contract.threshold)


def test_it_knows_the_images_of_its_members_and_lives_without_them(trained, other, tmp_path, micrograph):
    made = make_ensemble([Run(trained), other], tmp_path / "made")
    assert made.environment()["files"] == Run(trained).environment()["files"]
    assert made.split()["train"] == sorted(Run(trained).split()["train"])
    shutil.rmtree(other.path)
    before = Segmenter.from_run(made).segment(micrograph, True).probabilities
    moved = shutil.move(made.path, tmp_path / "moved")
    assert np.array_equal(Segmenter.from_run(moved).segment(micrograph, True).probabilities, before)


def test_the_fingerprint_tells_ensembles_apart(trained, other, tmp_path):
    runs = [Run(trained), other]
    prints = {make_ensemble(runs, tmp_path / "a").fingerprint(), make_ensemble(runs, tmp_path / "b").fingerprint()}
    assert len(prints) == 1
    prints.add(make_ensemble(runs, tmp_path / "c", combine="vote").fingerprint())
    prints.add(make_ensemble(runs, tmp_path / "d", augmented=True).fingerprint())
    prints.add(make_ensemble(runs[:1], tmp_path / "e").fingerprint())
    assert len(prints) == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": ("background", "ice")}, "classes"),
        ({"percentiles": (2.0, 98.0)}, "percentiles"),
        ({"factor": 2.0, "scale": "factor"}, "scale, factor"),
    ],
)
def test_runs_that_see_images_otherwise_are_refused(trained, other, tmp_path, change, words):
    other.update(contract=other.contract.model_copy(update=change))
    with pytest.raises(RunError, match=f"differs from member_1 in {words}"):
        make_ensemble([Run(trained), other], tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_what_is_no_member_is_refused(trained, other, tmp_path):
    made = make_ensemble([Run(trained), other], tmp_path / "made")
    with pytest.raises(RunError, match="is an ensemble itself"):
        make_ensemble([made, other], tmp_path / "more")
    with pytest.raises(RunError, match="holds no snapshots"):
        make_ensemble([Run(trained)], tmp_path / "more", snapshots=True)
    with pytest.raises(RunError, match="hold the same network"):
        make_ensemble([other, Run(trained), Run(other.path)], tmp_path / "more")
    other.model_file.unlink()
    with pytest.raises(RunError, match=r"has no model\.keras"):
        make_ensemble([other], tmp_path / "more", augmented=True)
    with pytest.raises(RunError, match="is a run already"):
        make_ensemble([Run(trained)], tmp_path / "made", augmented=True)


@pytest.mark.parametrize(
    ("schedule", "epochs", "ends"),
    [
        ("cosine_restarts(cycles=3)", 14, [2, 6, 14]),
        ("cosine_restarts(cycles=4, growth=1.0)", 10, [2, 5, 7, 10]),
        ("cosine_restarts(cycles=2, growth=1.0, warm_up=0.2)", 10, [6, 10]),
        ("cosine_restarts(cycles=5, growth=2.0)", 4, [1, 4]),
    ],
)
def test_snapshots_are_taken_at_the_last_epoch_of_each_cycle(schedule, epochs, ends):
    config = Config().replace({"training.schedule": schedule, "training.epochs": epochs})
    assert cycle_ends(config.training) == ends


def test_snapshots_become_the_members(data, tiny, tmp_path):
    settings = {**tiny, "training.snapshots": True, "training.schedule": "cosine_restarts(cycles=2, growth=1.0)"}
    config = Config().replace({**settings, "training.epochs": 4})
    fit(config, split(find_pairs(data), config.data), tmp_path / "run")
    made = make_ensemble([Run(tmp_path / "run")], tmp_path / "made", snapshots=True)
    assert made.info.members == ("member_1", "member_2")
    first, second = (member.load_model().get_weights() for member in made.members())
    assert any(not np.array_equal(a, b) for a, b in zip(first, second, strict=True))
