"""Folds: one run of several networks, resumed where it stopped, scored on what each did not see."""

import csv
import logging
import math

import keras
import numpy as np
import pytest

from cryoseg_tf import Config, Run, Segmenter, evaluate, find_pairs
from cryoseg_tf.data import folds
from cryoseg_tf.errors import ConfigError, RunError
from cryoseg_tf.evaluation.crossval import score_folds
from cryoseg_tf.training.crossval import fit_folds


@pytest.fixture
def config(tiny):
    return Config().replace({**tiny, "training.epochs": 2})


@pytest.fixture
def pairs(trained):
    return find_pairs(trained.parent / "data")


@pytest.fixture
def splits(pairs, config):
    return folds(pairs, 2, config.data)


class KilledError(Exception):
    """Stands for whatever ends a training."""


class Stop(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 0:
            raise KilledError


def weights(run):
    return [member.load_model().get_weights() for member in run.members()]


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_with_its_fold_to_the_same_weights(config, splits, tmp_path):
    whole = fit_folds(config, splits, tmp_path / "whole")
    with pytest.raises(KilledError):
        fit_folds(config, splits, tmp_path / "cut", watch=lambda fold: [Stop()] * (fold == 2))
    assert Run(tmp_path / "cut" / "fold_1").info.status == "finished"
    before = (tmp_path / "cut" / "fold_1" / "model.keras").stat().st_mtime_ns
    cut = fit_folds(config, splits, tmp_path / "cut", existing="resume")
    assert (tmp_path / "cut" / "fold_1" / "model.keras").stat().st_mtime_ns == before
    for ours, theirs in zip(weights(cut), weights(whole), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_each_image_is_scored_by_the_network_that_did_not_see_it(config, splits, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run = fit_folds(config, splits, tmp_path / "run")
    said = [record.getMessage().partition(":")[0] for record in caplog.records if record.levelno >= logging.INFO]
    assert said.count("scale") == said.count("precision") == 1  # chosen once, for all of them
    assert run.info.kind == "ensemble"
    evaluation, reached = score_folds(run, splits)
    for member, split, fold in zip(run.members(), splits, reached, strict=True):
        alone = evaluate(Segmenter.from_run(member), split.validation, run.config, tmp_path / member.path.name)
        ours = {row.name: row.foreground for row in evaluation.rows}
        assert all(ours[row.name] == row.foreground for row in alone.rows)
        dices = [row.foreground.dice for row in alone.rows]
        assert fold.dice == pytest.approx(np.mean(dices))
        assert fold.loss == member.history()[fold.best_epoch - 1]["val_loss"]
    table = list(csv.DictReader((run.path / "report" / "folds.csv").open()))
    assert [row["number"] for row in table] == ["1", "2", "average", "deviation"]
    assert float(table[2]["dice"]) == pytest.approx((reached[0].dice + reached[1].dice) / 2)
    assert float(table[3]["dice"]) == pytest.approx(abs(reached[0].dice - reached[1].dice) / math.sqrt(2))
    assert "Fold 2" in (run.path / "report" / "report.html").read_text("utf-8")


def test_other_settings_or_folds_are_refused(config, splits, pairs, tmp_path):
    with pytest.raises(KilledError):
        fit_folds(config, splits, tmp_path / "run", watch=lambda fold: [Stop()])
    with pytest.raises(RunError, match="begun with --folds 2"):
        fit_folds(config, folds(pairs, 3, config.data), tmp_path / "run", existing="resume")
    with pytest.raises(RunError, match="other settings"):
        fit_folds(config.replace({"training.epochs": 9}), splits, tmp_path / "run", existing="resume")
    with pytest.raises(RunError, match="is a run already"):
        fit_folds(config, splits, tmp_path / "run")
    with pytest.raises(ConfigError, match="folds hold whole images back"):
        fit_folds(config.replace({"data.split": "area"}), splits, tmp_path / "other")
