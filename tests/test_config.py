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
