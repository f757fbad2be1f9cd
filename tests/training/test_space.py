"""Search spaces: what they give, and what is refused with file and line."""

import pytest

from cryoseg_tf import Config
from cryoseg_tf.errors import ConfigError
from cryoseg_tf.training.oracles import build_oracle, decode
from cryoseg_tf.training.space import SPACES, Space


@pytest.fixture
def space(tmp_path):
    """``space(text)`` is the space that a file of that text holds."""

    def load(text):
        path = tmp_path / "space.yaml"
        path.write_text(text)
        return Space.load(path)

    return load


def test_the_thesis_space_is_that_of_the_thesis():
    space = Space.load(SPACES / "thesis.yaml").chosen([], [])
    ends = {p.name: (*p.ends, p.log) for p in space.parameters}
    assert ends == {
        "training.batch_size": (8, 16, False),
        "training.epochs": (60, 140, False),
        "training.learning_rate": (1e-4, 1e-2, True),
        "training.weight_decay": (1e-9, 1e-5, True),
        "training.schedule.factor": (0.1, 1.0, False),
    }
    later = {p.name for p in Space.load(SPACES / "thesis.yaml").parameters if p.optional}
    assert later == {
        "training.optimizer.beta_1", "training.optimizer.beta_2", "model.kernel_size", "model.base_filters",
        "model.depth", "model.dropout", "training.loss", "training.augmentation.strength",
    }  # fmt: skip


def test_all_that_comes_with_the_package_can_be_used():
    for path in SPACES.glob("*.yaml"):
        Space.load(path).chosen(["all"], []).check(Config())


def test_what_is_optional_is_searched_where_it_is_asked_for():
    space = Space.load(SPACES / "thesis.yaml")
    names = {p.name for p in space.chosen(["depth", "training.loss"], ["training.epochs"]).parameters}
    assert {"model.depth", "training.loss"} < names
    assert "training.epochs" not in names
    assert "model.dropout" not in names
    with pytest.raises(ConfigError, match=r"depht is not optional .* model\.depth"):
        space.chosen(["depht"], [])
    with pytest.raises(ConfigError, match="cannot be searched and have one value"):
        space.chosen(["depth"], ["model.depth"])
    with pytest.raises(ConfigError, match="nothing to search"):
        space.chosen([], [p.name for p in space.parameters] + ["training.schedule"])


def test_a_setting_that_is_set_takes_its_options_along():
    space = Space.load(SPACES / "thesis.yaml").chosen([], ["training.schedule"])
    assert "training.schedule.factor" not in {p.name for p in space.parameters}
    assert space.apply(Config(), {}).training.schedule == "cosine"


def test_options_and_strength_become_settings(space):
    chosen = space(
        "training.schedule: step(every=0.3334)\n"
        "training.schedule.factor: {float: [0.1, 1]}\n"
        "training.optimizer.beta_1: {float: [0.8, 0.9]}\n"
        "training.optimizer.beta_2: {choice: [0.9, 0.999]}\n"
        "training.augmentation.strength: {float: [0, 9]}\n"
    )
    values = {"training.schedule.factor": 0.5, "training.optimizer.beta_1": 0.8, "training.optimizer.beta_2": 0.9}
    config = chosen.apply(Config(), values | {"training.augmentation.strength": 4.0})
    assert config.training.schedule == "step(every=0.3334, factor=0.5)"
    assert config.training.optimizer == "adamw(beta_1=0.8, beta_2=0.9)"
    before, after = Config().training.augmentation, config.training.augmentation
    assert after.noise == 4 * before.noise
    assert after.contrast == 1.0  # a share, whatever the strength
    assert after.rotation == before.rotation  # no share


@pytest.mark.parametrize(
    ("entry", "values"),
    [
        ("{int: [8, 64], log: true, step: 2}", (8, 16, 32, 64)),
        ("{int: [6, 13], step: 3}", (6, 9, 12)),
        ("{float: [0.1, 1.0], step: 0.1}", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)),
        ("{float: [1e-4, 1e-1], log: true, step: 10}", (1e-4, 1e-3, 1e-2, 1e-1)),
        ("{choice: [0.5, 0, 3]}", (0, 0.5, 3)),
        ("{choice: [swish, relu]}", ("swish", "relu")),
    ],
)
def test_steps_and_choices(space, entry, values):
    (parameter,) = space(f"training.learning_rate: {entry}").parameters
    assert parameter.values == values


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("training.batch_size: {int: [1, 2]}\na: [1", 2, "cannot be read as YAML"),
        ("# x\n\ntraining.batchsize: {int: [1, 2]}", 3, "did you mean training.batch_size"),
        ("training.batch_size: {int: [2, 1]}", 1, "the first must be below the second"),
        ("training.batch_size: {int: [1.5, 2]}", 1, "must be a whole number"),
        ("training.batch_size: {integer: [1, 2]}", 1, "'integer' is unknown: known are int"),
        ("training.batch_size: {int: [1, 2], float: [1, 2]}", 1, "one of int, float, choice"),
        ("training.learning_rate: {float: [0, 1], log: true}", 1, "with log it must begin above 0"),
        ("training.learning_rate: {float: [0.1, 1], step: 2}", 1, "it must give 2 to"),
        ("training.learning_rate: {float: [0.1, a]}", 1, "'a': it must be a number"),
        ("training.loss: {choice: [dice, dice]}", 1, "at least two different values"),
        ("data.validation: {float: [0.1, 0.3]}", 1, "it changes what is scored"),
        ("seed: {int: [0, 3]}", 1, "does not change the network"),
        ("model.depth: {int: [2, 3]}\nmodel.depth: {int: [3, 4]}", 2, "once more"),
        ("- 1", 1, "names and what to search"),
    ],
)
def test_a_bad_space_is_refused_with_its_line(space, tmp_path, text, line, problem):
    with pytest.raises(ConfigError, match=problem) as caught:
        space(text)
    assert str(tmp_path / "space.yaml") in str(caught.value)
    assert f"line {line}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("model.dropout: {float: [0, 0.5]}\ntraining.batch_size: {int: [0, 8]}", 2, "training.batch_size is 0"),
        ("training.loss: {choice: [dice, dise]}", 1, "names 'dise': known are"),
        ("\ntraining.schedule.factor: {float: [0.1, 1]}", 2, "cosine has no option 'factor'"),
        ("training.epochs: many\nmodel.depth: {int: [2, 3]}", 1, "training.epochs is 'many'"),
        ("data.patch: {int: [60, 64]}", 1, "a multiple of 16"),
    ],
)
def test_values_that_no_setting_takes_are_refused_with_their_line(space, tmp_path, text, line, problem):
    with pytest.raises(ConfigError, match=problem) as caught:
        space(text).check(Config())
    assert str(caught.value).startswith(f"{tmp_path / 'space.yaml'}, line {line}: ")


def test_values_come_back_as_they_were_written(space):
    chosen = space(
        "training.clip_norm: {choice: [none, 1.0]}\n"
        "model.residual: {choice: [true, false]}\n"
        "training.epochs: {int: [1, 3], log: true}\n"
    )
    oracle = build_oracle("random", chosen.parameters, 30, seed=1)
    seen = {name: set() for name in ("training.clip_norm", "model.residual", "training.epochs")}
    while (trial := oracle.create_trial("one")).status == "RUNNING":
        for name, value in decode(chosen.parameters, trial.hyperparameters.values).items():
            seen[name].add(value)
        trial.status = "FAILED"
        oracle.end_trial(trial)
    assert seen["training.clip_norm"] == {"none", 1.0}
    assert seen["model.residual"] == {True, False}
    assert all(isinstance(value, bool) for value in seen["model.residual"])
    assert seen["training.epochs"] == {1, 2, 3}
    top = decode(chosen.parameters, {"training.clip_norm": "1.0", "model.residual": "true", "training.epochs": 4})
    assert top["training.epochs"] == 3  # KerasTuner may give one more than the end
