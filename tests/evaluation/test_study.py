"""The thesis' experiments: what they change, how they shrink, and one whole study."""

import json
import shutil

import pytest

from cryoseg_tf import Run, find_groups, find_pairs
from cryoseg_tf.config import Config
from cryoseg_tf.errors import DataError
from cryoseg_tf.evaluation.experiments import EXPERIMENTS, Material, hold_back, shrunk
from cryoseg_tf.evaluation.study import check_out, run_study
from cryoseg_tf.evaluation.study_page import write_study

SMALL = {"model.base_filters": 2, "training.epochs": 2, "data.shape": (64, 64), "data.patch": 32, "model.depth": 2}


@pytest.fixture
def material(make_pairs, tmp_path):
    pairs = tuple(find_pairs(make_pairs(tmp_path / "data", 6)))
    groups = find_groups(tmp_path / "data", pairs, Config().data)
    return Material(pairs[:4], pairs[4:], groups, None, {**SMALL, "data.patches_per_image": 2}, 0.5, 2)


def test_experiments_are_those_of_the_thesis():
    plain, augmented, no_skips, optimised = (Material((), (), None, None, {}).config(one) for one in EXPERIMENTS)
    assert plain.differences(augmented) == ["training.augmentation.enabled"]
    assert no_skips.differences(augmented) == ["model.skip_connections"]
    assert set(optimised.differences(augmented)) == {
        "training.learning_rate", "training.schedule", "training.batch_size", "training.epochs",
    }  # fmt: skip
    assert augmented.model.base_filters == 64


def test_width_epochs_and_copies_shrink_by_the_root():
    config = shrunk(Config.preset("thesis"), 0.25)
    assert (config.model.base_filters, config.training.epochs, config.data.patches_per_image) == (32, 15, 5)
    assert shrunk(Config.preset("thesis"), 1) == Config.preset("thesis")
    least = shrunk(Config.preset("thesis"), 1e-6)
    assert (least.model.base_filters, least.training.epochs, least.data.patches_per_image) == (4, 2, 1)


def test_a_fifth_is_held_back_in_whole_groups(make_pairs, tmp_path):
    pairs = find_pairs(make_pairs(tmp_path / "data", 10))
    rows = [f"{pair.name},{index // 2}" for index, pair in enumerate(pairs)]
    (tmp_path / "data" / "groups.csv").write_text("\n".join(["image,group", *rows]))
    groups = find_groups(tmp_path / "data", pairs, Config().data)
    train, test = hold_back(pairs, Config(), groups)
    assert len(test) == 2
    assert len({groups.of[pair.name] for pair in test}) == 1
    assert {*train, *test} == set(pairs)


def test_another_study_or_another_folder_is_refused(material, tmp_path):
    out = tmp_path / "out"
    check_out(out, material)
    out.mkdir()
    (out / "notes.txt").touch()
    with pytest.raises(DataError, match="holds no study"):
        check_out(out, material)
    (out / "study.json").write_text(json.dumps({**material.asked(), "scale": 1.0, "seed": 7}))
    with pytest.raises(DataError, match="a study of other scale, seed"):
        check_out(out, material)


@pytest.mark.slow
def test_a_study_goes_on_where_it_stopped_and_does_nothing_twice(material, tmp_path):
    out = tmp_path / "out"

    class Stop(Exception):  # noqa: N818 - what ends it is no error
        pass

    def stop(what, config):
        if what == "No skip connections":
            raise Stop
        return lambda fold: ()

    with pytest.raises(Stop):
        run_study(material, out, stop)
    first = (out / "plain" / "fold_1" / "model.keras").stat().st_mtime_ns
    study = run_study(material, out)
    assert (out / "plain" / "fold_1" / "model.keras").stat().st_mtime_ns == first
    page = write_study(study, out).read_text("utf-8")
    for one in study.reached:
        assert one.experiment.title in page
        assert set(one.dice) == {pair.name for pair in material.train}
        assert (out / one.experiment.name / "report" / "report.html").is_file()
    assert "Scaled by 0.5" in page
    assert study.final["images"] == 2
    assert len(find_pairs(out / "leaking" / "copies")) == 8
    assert Run(out / "leaking" / "run").contract.shape == (32, 32)
    shutil.rmtree(out / "final")
    again = run_study(material, out)
    assert again.reached == study.reached
    assert again.leak == study.leak
