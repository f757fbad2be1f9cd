import pytest

from cryoseg_tf.config import Config, channels
from cryoseg_tf.errors import ConfigError


def test_yaml_round_trip(tmp_path):
    config = Config().replace({"model.depth": 5, "data.classes": ["background", "cell", "ice"], "seed": 3})
    config.save(tmp_path / "c.yaml")
    assert Config.load(tmp_path / "c.yaml") == config


def test_numbers_may_come_as_text():
    assert Config().replace({"training.learning_rate": "1e-4"}).training.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("model.depth", 9, ["model.depth is 9", "6"]),
        ("model.depht", 3, ["model.depht is not a setting", "model.depth"]),
        ("epochs", 3, ["epochs is not a setting", "training.epochs"]),
        ("model", 3, ["model is not a setting"]),
        ("training.learning_rate", "fast", ["training.learning_rate is 'fast'"]),
        ("training.learning_rate", float("nan"), ["training.learning_rate"]),
        ("model.kernel_size", 4, ["model.kernel_size is 4", "odd"]),
        ("data.classes", ["cell"], ["data.classes"]),
        ("data.classes", ["cell", "cell"], ["differ"]),
        ("data.patch", 100, ["data.patch is 100", "multiple of 16"]),
        ("data.percentiles", [99, 1], ["data.percentiles", "rising"]),
        ("data.group_pattern", "grid(", ["data.group_pattern is 'grid('", "regular expression"]),
        ("data.group_pattern", "grid", ["data.group_pattern is 'grid'", "brackets"]),
        ("training.precision", "float8", ["training.precision is 'float8'", "float32"]),
    ],
)
def test_wrong_settings_are_named(name, value, words):
    with pytest.raises(ConfigError) as error:
        Config().replace({name: value})
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize("text", ["model: {depht: 3}", "- 1", "{", "model: 3", "\x00"])
def test_a_bad_file_is_named(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        Config.load(path)


def test_two_classes_need_one_channel():
    assert channels(("background", "cell")) == 1
    assert channels(("background", "cell", "ice")) == 3


def test_what_the_user_did_not_set_stays_unset(tmp_path):
    changed = Config().replace({"data.patch": 64}).replace({"seed": 1})
    assert changed.data.model_fields_set == {"patch"}
    assert changed.data.patch == 64
    changed.save(tmp_path / "c.yaml")
    assert "classes" in Config.load(tmp_path / "c.yaml").data.model_fields_set


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("training.loss", "dice +", ["training.loss is 'dice +'", "a sum as"]),
        ("training.loss", "dice - bce", ["training.loss is 'dice - bce'"]),
        ("training.schedule", "step(0.1)", ["training.schedule is 'step(0.1)'", "name(option=value)"]),
        ("training.class_weights", [1.0, 0.0], ["training.class_weights", "above 0"]),
        ("training.class_weights", [1.0, 2.0, 3.0], ["holds 3 numbers for 2 classes"]),
        ("training.augmentation.warp", 1.5, ["training.augmentation.warp is 1.5"]),
        ("training.augmentation.wrap", 0.5, ["training.augmentation.wrap is not a setting", "augmentation.warp"]),
        ("data.factor", 0, ["data.factor is 0"]),
        ("data.hard_patches", -0.1, ["data.hard_patches is -0.1"]),
    ],
)
def test_wrong_settings_of_the_recipe_are_named(name, value, words):
    with pytest.raises(ConfigError) as error:
        Config().replace({name: value})
    assert all(word in str(error.value) for word in words), str(error.value)


BASE = Config().replace({"training.epochs": 9, "training.augmentation.warp": 0.1, "data.patch": 64})


def load(tmp_path, text, base=BASE):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return Config.load(path, base)


def test_a_file_wins_over_its_base_setting_by_setting(tmp_path):
    config = load(tmp_path, "training: {epochs: 5, augmentation: {blur: 0.7}}\nseed: 4\n")
    settings = {"training.epochs": 5, "training.augmentation.blur": 0.7, "seed": 4}
    assert config == BASE.replace(settings)
    assert config.training.model_fields_set == {"epochs", "augmentation"}
    assert config.data.model_fields_set == {"patch"}


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "training: {}"])
def test_a_file_that_sets_nothing_is_its_base(tmp_path, text):
    assert load(tmp_path, text) == BASE
    assert load(tmp_path, text, None) == Config()


def test_what_a_file_and_its_base_cannot_be_together_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"c\.yaml: data\.patch is 65: with model\.depth 4"):
        load(tmp_path, "data: {patch: 65}")
    with pytest.raises(ConfigError, match=r"c\.yaml: training is None"):
        load(tmp_path, "training:\n")
