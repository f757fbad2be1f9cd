from typing import Annotated, Literal

import pytest
import yaml
from pydantic import BaseModel, Field

from cryoseg_tf.errors import ConfigError
from cryoseg_tf.expressions import Term, call, describe, read_plain, read_sum, read_term, read_yaml


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("adam", Term("adam", {})),
        (" adam ", Term("adam", {})),
        ("adam()", Term("adam", {})),
        ("sgd(momentum=0.9)", Term("sgd", {"momentum": 0.9})),
        ("sgd(momentum=9e-1, nesterov=true)", Term("sgd", {"momentum": 0.9, "nesterov": True})),
        ("sgd(nesterov=False)", Term("sgd", {"nesterov": False})),
        ("steps(at=[10, 20], factor=-0.5)", Term("steps", {"at": [10, 20], "factor": -0.5})),
        ("steps(mode='slow', end=None)", Term("steps", {"mode": "slow", "end": None})),
        ("steps(\n  every=3,\n)", Term("steps", {"every": 3})),
    ],
)
def test_a_term(text, term):
    assert read_term(text) == term


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "adam + sgd",
        "0.5*adam",
        "adam(0.9)",
        "adam(**options)",
        "adam(*options)",
        "keras.adam",
        "keras.adam(rate=1)",
        "adam(rate=1)(rate=2)",
        "'adam'",
        "3",
        "adam(rate=",
        "adam; sgd",
        "rate = 1",
        "lambda: adam",
        "adam\0",
        "(" * 1000 + "adam" + ")" * 1000,
    ],
)
def test_no_term(text):
    with pytest.raises(ValueError, match=r"it must be name, or name\(option=value\)"):
        read_term(text)


@pytest.mark.parametrize("value", ["rate", "1 + 1", "f(1)", "[rate]", "__import__('os')", "(x := 1)"])
def test_only_literals_are_values(value):
    with pytest.raises(ValueError, match="is not a value"):
        read_term(f"adam(rate={value})")


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("dice", [Term("dice", {})]),
        ("dice + bce", [Term("dice", {}), Term("bce", {})]),
        ("0.5*dice", [Term("dice", {}, 0.5)]),
        ("2 * dice(smooth=1)+bce", [Term("dice", {"smooth": 1}, 2.0), Term("bce", {})]),
        ("a + 0.25*b + 3*c + d", [Term("a", {}), Term("b", {}, 0.25), Term("c", {}, 3.0), Term("d", {})]),
        ("(a + b) + c", [Term("a", {}), Term("b", {}), Term("c", {})]),
    ],
)
def test_a_sum_keeps_its_order(text, terms):
    assert read_sum(text) == terms
    assert all(isinstance(term.weight, float) for term in read_sum(text))


@pytest.mark.parametrize(
    "text",
    ["", "dice - bce", "dice + ", "dice bce", "dice / 2", "dice, bce", "a + (b + c)", "2*(a + b)", "1", "dice + 1"],
)
def test_no_sum(text):
    with pytest.raises(ValueError, match="it must be a sum as dice"):
        read_sum(text)


@pytest.mark.parametrize("number", ["0", "-1", "0.0", "1e999", "true", "'2'", "1j"])
def test_weights_are_above_0(number):
    with pytest.raises(ValueError, match=r"a number before \* must be above 0"):
        read_sum(f"dice + {number}*bce")


@pytest.mark.parametrize("text", ["2*3*dice", "dice*bce"])
def test_weights_are_numbers(text):
    with pytest.raises(ValueError, match="is not a value"):
        read_sum(text)


def line(x, slope=1.0, offset=0.0):
    if slope <= 0:
        raise ValueError(f"slope is {slope}: it must be above 0")
    return slope * x + offset


def test_call():
    known = {"line": line, "double": lambda x: 2 * x}
    assert call("a.b", read_term("line(slope=3, offset=1)"), known, 5) == 16
    assert call("a.b", read_term("double"), known, 5) == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("curve", "a.b names 'curve': known are double, line"),
        ("line(slop=1)", "a.b: line has no option 'slop': its options are slope, offset"),
        ("line(x=1)", "a.b: line has no option 'x': its options are slope, offset"),
        ("double(times=3)", "a.b: double has no option 'times': it takes none"),
        ("line(slope=-1)", "a.b: line: slope is -1: it must be above 0"),
        ("line(slope='steep')", "a.b: line: "),
    ],
)
def test_call_refuses(text, message):
    with pytest.raises(ConfigError) as error:
        call("a.b", read_term(text), {"line": line, "double": lambda x: 2 * x}, 5)
    assert str(error.value).startswith(message)


def test_an_option_without_default_is_asked_for():
    with pytest.raises(ConfigError, match=r"a\.b: power: .*'exponent'"):
        call("a.b", read_term("power"), {"power": lambda x, exponent: x**exponent}, 5)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("1,4", tuple[float, ...], ["1", "4"]),
        ("1, 4", tuple[float, float] | None, ["1", "4"]),
        ("1,4", Literal["auto"] | tuple[float, ...], ["1", "4"]),
        ("auto", Literal["auto"] | tuple[float, ...], "auto"),
        ("a,b", str, "a,b"),
        ("none", int | None, None),
        ("none", str, "none"),
        ("none", Literal["none", "auto"], "none"),
        ([1, 4], tuple[float, ...], [1, 4]),
    ],
)
def test_plain_text_means_what_the_setting_may_be(value, kind, expected):
    assert read_plain(value, kind) == expected


class Settings(BaseModel):
    whole: int = Field(1, ge=1)
    share: float = Field(0.5, gt=0, lt=1)
    part: Annotated[float, Field(ge=0, le=1)] = 0
    upto: float | None = Field(None, le=1e6)
    switch: bool = True
    kind: Literal["a", "b", "c"] = "a"
    only: Literal[4] = 4
    pair: tuple[int, int] = Field((1, 2), description="two numbers, as 1,2")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("whole", "a whole number of at least 1"),
        ("share", "a number above 0 and below 1"),
        ("part", "a number between 0 and 1"),
        ("upto", "a number at most 1000000, or none"),
        ("switch", "true or false"),
        ("kind", "a, b or c"),
        ("only", "4"),
        ("pair", "two numbers, as 1,2"),
    ],
)
def test_what_a_setting_may_be_in_words(name, words):
    assert describe(Settings.model_fields[name]) == words


def test_yaml_with_each_key_once():
    assert read_yaml("a: {b: 1}\nc: {b: [2, 3]}\n") == {"a": {"b": 1}, "c": {"b": [2, 3]}}
    assert read_yaml("base: &it {b: 1, c: 2}\nmore: {<<: *it, b: 3}\n")["more"] == {"b": 3, "c": 2}


def test_yaml_with_a_key_twice_is_refused():
    with pytest.raises(yaml.YAMLError, match="line 3 sets b once more"):
        read_yaml("a:\n  b: 1\n  b: 1\n")
