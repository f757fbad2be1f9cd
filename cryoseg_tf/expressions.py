"""How settings are written.

Some name a thing and its options, ``sgd(momentum=0.9)``, or a sum of things, ``dice + 0.5*bce``: they are
read as Python's syntax tree and never evaluated. All of them stand in YAML, or in a shell without quotes.
"""

import ast
import inspect
from collections.abc import Callable, Hashable, Mapping
from types import NoneType
from typing import Any, Literal, NamedTuple, get_args, get_origin

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from .errors import ConfigError

LIKE_TERM, LIKE_SUM = "name, or name(option=value)", "a sum as dice + 0.5*tversky(alpha=0.3, beta=0.7)"

KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
BOUNDS = {"gt": "above", "ge": "of at least", "lt": "below", "le": "at most"}


class Term(NamedTuple):
    """A name, the options behind it in brackets, and the number before it."""

    name: str
    options: dict[str, Any]
    weight: float = 1.0


def read_term(text: str) -> Term:
    """Read ``name`` or ``name(option=value, ...)``.

    Raises:
        ValueError: If it is neither.
    """
    return _term(_tree(text, LIKE_TERM), text, LIKE_TERM)


def read_sum(text: str) -> list[Term]:
    """Read terms joined by ``+``, each with a positive number and ``*`` before it, or not.

    Raises:
        ValueError: If it is not that.
    """
    terms, node = [], _tree(text, LIKE_SUM)
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        terms.append(_weighted(node.right, text))
        node = node.left
    return [_weighted(node, text), *reversed(terms)]


def call(setting: str, term: Term, known: Mapping[str, Callable[..., Any]], *given: Any) -> Any:
    """Return ``known[term.name](*given, **term.options)``.

    Args:
        setting: The setting that holds the term, for messages.
        term: What was read.
        known: What each name stands for.
        given: What comes before the options.

    Raises:
        ConfigError: If there is no such name, or it does not take these options or values.
    """
    if term.name not in known:
        raise ConfigError(f"{setting} names {term.name!r}: known are {', '.join(sorted(known))}")
    function = known[term.name]
    options = list(inspect.signature(function).parameters)[len(given) :]
    wrong = [name for name in term.options if name not in options]
    if wrong:
        takes = f"its options are {', '.join(options)}" if options else "it takes none"
        raise ConfigError(f"{setting}: {term.name} has no option {wrong[0]!r}: {takes}")
    try:
        return function(*given, **term.options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{setting}: {term.name}: {error}") from None


def read_plain(value: Any, kind: Any) -> Any:
    """Return the null or the list that a text stands for where a setting of this type may be one.

    ``none`` is null and ``1,4`` is a list: neither needs quotes in a shell. All else stays as it is.
    """
    kinds = (kind, *get_args(kind))
    if value == "none" and NoneType in kinds:
        return None
    if isinstance(value, str) and "," in value and any(get_origin(part) is tuple for part in kinds):
        return [part.strip() for part in value.split(",")]
    return value


def describe(field: FieldInfo) -> str:
    """Return in words what a setting may be: its description, else its type and bounds."""
    if field.description:
        return field.description
    kinds = get_args(field.annotation) or (field.annotation,)
    if get_origin(field.annotation) is Literal:
        return " or ".join(", ".join(map(str, part)) for part in (kinds[:-1], kinds[-1:]) if part)
    limits = {name: getattr(part, name) for part in field.metadata for name in BOUNDS if hasattr(part, name)}
    bounds = " and".join(f" {BOUNDS[name]} {limit:.10g}" for name, limit in limits.items())
    if limits.keys() == {"ge", "le"}:
        bounds = f" between {limits['ge']:.10g} and {limits['le']:.10g}"
    words = ", or ".join(KINDS[kind] for kind in kinds if kind is not NoneType) + bounds
    return f"{words}, or none" if NoneType in kinds else words


def first_flaw(error: ValidationError) -> str:
    """Return in words where a model's first mistake is, and what it is."""
    first = error.errors()[0]
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))


def read_yaml(text: str) -> Any:
    """Return what a YAML text holds.

    Raises:
        yaml.YAMLError: If it is none, or sets a key twice, of which YAML would keep the last.
    """
    return yaml.load(text, _EachKeyOnce)


class _EachKeyOnce(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for before, key in enumerate(keys):
            if key.value in {other.value for other in keys[:before]}:
                raise yaml.YAMLError(f"line {key.start_mark.line + 1} sets {key.value} once more: leave one of them")
        return super().construct_mapping(node, deep)


def _tree(text: str, wanted: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"it must be {wanted}") from None


def _weighted(node: ast.expr, text: str) -> Term:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        weight = _value(node.left)
        if not isinstance(weight, (int, float)) or isinstance(weight, bool) or not 0 < weight < float("inf"):
            raise ValueError("a number before * must be above 0")
        return _term(node.right, text, LIKE_SUM)._replace(weight=float(weight))
    return _term(node, text, LIKE_SUM)


def _term(node: ast.expr, text: str, wanted: str) -> Term:
    if isinstance(node, ast.Name):
        return Term(node.id, {})
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.args:
        raise ValueError(f"it must be {wanted}")
    if not all(keyword.arg for keyword in node.keywords):  # **options
        raise ValueError(f"it must be {wanted}")
    options = {str(keyword.arg): _value(keyword.value) for keyword in node.keywords}
    if len(options) < len(node.keywords):
        raise ValueError(f"{ast.unparse(node)} sets an option twice")
    return Term(node.func.id, options)


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id in ("true", "false"):  # as YAML writes them
        return node.id == "true"
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"{ast.unparse(node)} is not a value") from None
