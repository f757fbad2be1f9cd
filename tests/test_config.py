import pytest

from cryoseg_tf.config import Config, channels
from cryoseg_tf.errors import ConfigError, RunError
from cryoseg_tf.run import Run
from cryoseg_tf.training.writing import writing


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
        ("training.class_weights", [1.0, 0.0], ["training.class_weights is [1.0, 0.0]", "positive number"]),
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


def test_weights_are_counted_once_the_classes_are_known():
    config = Config().replace({"training.class_weights": [1.0, 2.0, 3.0]})  # classes.txt may name three
    assert config.replace({"data.classes": ["background", "cell", "ice"]}).training.class_weights == (1.0, 2.0, 3.0)
    with pytest.raises(ConfigError, match=r"holds 3 numbers for 2 classes: .* background, cell"):
        config.replace({"data.classes": ["background", "cell"]})


WEIGHTS = "it must be auto, none, or a positive number for each class, as 1,4"
NAMES = "it must be 2 to 254 different names, as background,cell"
SHAPE = "it must be height and width in pixels, as 512,512"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("training.class_weights", "foo", f"is 'foo': {WEIGHTS}"),
        ("training.class_weights", ["a", 1], f"is ['a', 1]: {WEIGHTS}"),
        ("training.class_weights", "1,-4", f"is '1,-4': {WEIGHTS}"),
        ("training.class_weights", [1, float("inf")], f"is [1, inf]: {WEIGHTS}"),
        ("data.classes", "cell", f"is 'cell': {NAMES}"),
        ("data.classes", ["background", 1], f"is ['background', 1]: {NAMES}"),
        ("data.shape", [1, 2, 3], f"is [1, 2, 3]: {SHAPE}"),
        ("data.shape", "0,512", f"is '0,512': {SHAPE}"),
        ("data.percentiles", 5, "is 5: it must be two rising numbers between 0 and 100, in tenths, as 1,99.8"),
        ("training.epochs", "many", "is 'many': it must be a whole number of at least 1"),
        ("training.epochs", 1.5, "is 1.5: it must be a whole number of at least 1"),
        ("training.epochs", "none", "is 'none': it must be a whole number of at least 1"),
        ("training.loss", None, "is None: it must be text"),
        ("training.calibrate", "maybe", "is 'maybe': it must be true or false"),
        ("training.ema", 2, "is 2: it must be a number above 0 and below 1, or none"),
        ("data.ignore", 256, "is 256: it must be a whole number between 0 and 255, or none"),
        ("data.group_pattern", 3, "is 3: it must be text, or none"),
        ("model.upsampling", "best", "is 'best': it must be transposed or bilinear"),
        ("training.strategy", "two", "is 'two': it must be auto, one, mirrored or multiworker"),
    ],
)
def test_errors_say_the_name_the_value_and_what_is_allowed(name, value, message):
    with pytest.raises(ConfigError) as error:
        Config().replace({name: value})
    assert str(error.value) == f"{name} {message}"


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ([1], "this is [1]: it must hold settings, as data.classes"),
        ({"training": 3}, "training is 3: it must hold settings, as training.loss"),
        ({"training": {"augmentation": []}}, "training.augmentation is []: it must hold settings, as"),
        ({"data": {"foreground_patches": 0.9, "hard_patches": 0.2}}, "data.foreground_patches and data.hard_patches"),
        ({"epochs": 5}, "epochs is not a setting: epochs belongs under training:"),
        ({"training.epochs": 5}, "training.epochs is not a setting: epochs belongs under training:"),
        ({"training": {"depth": 5}}, "training.depth is not a setting: depth belongs under model:"),
        ({"training": {"seed": 5}}, "training.seed is not a setting: seed belongs at the top"),
        ({"scale": 2}, "scale is not a setting: scale belongs under data: or under training.augmentation:"),
        ({"augmentation": {}}, "augmentation is not a setting: augmentation belongs under training:"),
        ({"sead": 5}, "sead is not a setting; did you mean seed?"),
        ({5: 5}, "5 is not a setting"),
    ],
)
def test_errors_of_a_file_say_where_things_belong(tree, message):
    with pytest.raises(ConfigError) as error:
        Config.parse(tree, "c.yaml")
    assert str(error.value).startswith(f"c.yaml: {message}")
    assert "\n" not in str(error.value)


def test_each_mistake_has_a_line():
    with pytest.raises(ConfigError) as error:
        Config.parse({"training": {"epochs": 0, "class_weights": "foo"}, "seed": -1})
    assert [line.partition(" is ")[0] for line in str(error.value).splitlines()] == [
        "training.class_weights",
        "training.epochs",
        "seed",
    ]


def test_lists_and_nothing_can_be_written_without_quotes():
    config = Config().replace(
        {"data.classes": "background, cell,ice", "data.shape": "64,32", "training.class_weights": "1,4,2"}
    )
    assert config.data.classes == ("background", "cell", "ice")
    assert config.data.shape == (64, 32)
    assert config.training.class_weights == (1.0, 4.0, 2.0)
    assert Config().replace({"training.patience": "none"}).training.patience is None
    assert Config().replace({"data.scale": "none"}).data.scale == "none"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"training.class_weights": [1, 4], "training.loss": "dice + bce"},
            "training.class_weights is 1,4, but training.loss is 'dice + bce', which weighs no class: add weighted_bce",
        ),
        ({"model.spatial_dropout": True}, "model.spatial_dropout is true, but model.dropout is 0: set that too"),
        ({"data.factor": 0.5, "data.scale": "none"}, "data.factor is 0.5, but data.scale is none: set it to factor"),
    ],
)
def test_a_setting_without_effect_is_refused_with_what_it_lacks(settings, message):
    with pytest.raises(ConfigError) as error:
        Config().replace(settings)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    "settings",
    [
        {"training.class_weights": [1, 4], "training.loss": "dice + 2*weighted_bce"},
        {"training.class_weights": [1, 1], "training.loss": "dice"},  # as "none" stands in a run's config.yaml
        {"training.class_weights": "none", "training.loss": "dice"},
        {"model.spatial_dropout": True, "model.dropout": 0.2},
        {"training.augmentation.enabled": False, "training.augmentation.warp": 0.5},
    ],
)
def test_a_setting_with_effect_is_not(settings):
    Config().replace(settings)


@pytest.mark.parametrize(("ignore", "instances", "named"), [(0, False, "background"), (1, False, "cell"),
                                                            (0, True, "background")])  # fmt: skip
def test_no_class_can_be_ignored(ignore, instances, named):
    with pytest.raises(ConfigError, match=f"^data.ignore is {ignore}: in masks that is the class {named}; .* as 255"):
        Config().replace({"data.ignore": ignore, "data.instances": instances})


@pytest.mark.parametrize(("ignore", "instances"), [(2, False), (255, False), (1, True), (None, False)])
def test_other_values_can(ignore, instances):
    assert Config().replace({"data.ignore": ignore, "data.instances": instances}).data.ignore == ignore


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


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("seed: 1\nseed: 2\n", 2, "seed"),
        ("training:\n  epochs: 5\nseed: 1\ntraining:\n  loss: dice\n", 4, "training"),
        ("training:\n  epochs: 5\n  loss: dice\n  epochs: 6\n", 4, "epochs"),
    ],
)
def test_a_key_that_stands_twice_in_a_file_is_refused_with_its_line(tmp_path, text, line, key):
    with pytest.raises(ConfigError, match=rf"c\.yaml .*: line {line} sets {key} once more"):
        load(tmp_path, text)


def test_one_key_in_two_branches_is_two_settings(tmp_path):
    config = load(tmp_path, "data: {scale: none}\ntraining: {augmentation: {scale: 2}}\n")
    assert (config.data.scale, config.training.augmentation.scale) == ("none", 2)


@pytest.mark.parametrize(
    ("begun", "asked", "named"),
    [(20, None, "--minutes 20"), (0.5, 20, "--minutes 0.5"), (None, 20, "no --minutes")],
)
def test_a_resume_is_told_the_minutes_that_the_run_was_begun_with(tmp_path, begun, asked, named):
    run = Run(tmp_path / "run")
    with writing(run, Config(), begun, "refuse"):
        pass
    with pytest.raises(RunError) as error, writing(run, Config().replace({"seed": 5}), asked, "resume"):
        pass
    assert f"begun with other settings (seed, {named}):" in str(error.value)
