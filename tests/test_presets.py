"""The recipes that come with the package."""

import pytest

from cryoseg_tf.config import PRESETS, Config
from cryoseg_tf.data.augment import CHANGES
from cryoseg_tf.errors import ConfigError
from cryoseg_tf.training.assembly import check_names

NAMES = sorted(path.stem for path in PRESETS.glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_trained_with(name):
    check_names(Config.preset(name))


def test_balanced_is_the_default():
    assert Config.preset("balanced") == Config()


def test_the_thesis_has_its_values():
    """Tab. 5.2 of the 2021 thesis."""
    config = Config.preset("thesis")
    data, model, training = config.data, config.model, config.training
    assert (data.scale, data.shape, data.patch, data.patches_per_image) == ("shape", (512, 512), 256, 10)
    assert (model.base_filters, model.depth) == (64, 4)
    assert (training.optimizer, training.learning_rate, training.weight_decay) == ("adamw", 1e-3, 1e-8)
    assert (training.batch_size, training.epochs) == (20, 30)
    assert training.loss == "dice(pooled=true)"
    assert training.schedule.startswith("step(")


@pytest.mark.parametrize("name", ["thesis", "thesis-optimised"])
def test_the_thesis_turned_and_mirrored_random_crops_and_did_nothing_else(name):
    config = Config.preset(name)
    augmentation = config.training.augmentation
    assert augmentation.flips
    assert {getattr(augmentation, share) for share in ("warp", "coarse_dropout", "cutmix", *CHANGES)} == {0}
    assert config.data.foreground_patches == config.data.hard_patches == 0
    assert not config.training.calibrate
    assert config.training.patience is None


def test_the_optimised_thesis_differs_in_what_its_search_found():
    searched = {"training.batch_size", "training.epochs", "training.learning_rate", "training.schedule"}
    optimised = Config.preset("thesis-optimised")
    assert set(optimised.differences(Config.preset("thesis"))) == searched
    assert (optimised.training.batch_size, optimised.training.epochs) == (16, 140)
    assert optimised.training.learning_rate == 1e-2


@pytest.mark.parametrize("name", ["best", "", "../thesis", "Thesis"])
def test_an_unknown_one_is_named_with_those_known(name):
    with pytest.raises(ConfigError, match=f"there is no preset '{name}': known are {', '.join(NAMES)}"):
        Config.preset(name)


def test_a_file_wins_over_a_preset_and_leaves_the_rest(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("training: {epochs: 7}\ndata: {patches_per_image: 3}\n")
    config = Config.load(path, Config.preset("thesis"))
    assert set(config.differences(Config.preset("thesis"))) == {"training.epochs", "data.patches_per_image"}
