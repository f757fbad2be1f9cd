"""What may be searched under one name: a range of numbers, or a choice."""

import math
from dataclasses import dataclass
from typing import Any, Literal

KINDS = ("int", "float", "choice")

LONGEST = 1000
"""Values that a step may give."""


@dataclass(frozen=True)
class Parameter:
    """What is searched under one name.

    Attributes:
        name: Dotted.
        kind: "choice" where there are only certain ``values``, in their order if they are numbers.
        ends: The lowest and highest number, of the other kinds.
        log: Whether numbers are spread evenly in their logarithm.
        optional: Whether it is searched only where it is asked for.
    """

    name: str
    kind: Literal["int", "float", "choice"]
    values: tuple[Any, ...] = ()
    ends: tuple[float, float] = (0.0, 0.0)
    log: bool = False
    optional: bool = False

    @property
    def extremes(self) -> tuple[Any, ...]:
        """The values by which to tell whether all of them can be used."""
        return self.values or tuple(map(int if self.kind == "int" else float, self.ends))

    def __str__(self) -> str:
        if self.values:
            return f"{self.name} {' or '.join(map(label, self.values))}"
        low, high = self.ends
        return f"{self.name} {low:g} to {high:g}" + (" (log)" if self.log else "")


def label(value: Any) -> str:
    """Write a value as YAML and the command line do."""
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_parameter(name: str, tree: dict[str, Any]) -> Parameter:
    """Read what is searched under a name.

    Raises:
        ValueError: If it is not what it should be.
    """
    kinds = [kind for kind in KINDS if kind in tree]
    wrong = [key for key in tree if key not in (*KINDS, "step", "log", "optional")]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is unknown: known are {', '.join(KINDS)}, step, log and optional")
    if len(kinds) != 1:
        raise ValueError(f"it must hold one of {', '.join(KINDS)}, as {{int: [8, 16]}}")
    kind, optional = kinds[0], _switch(tree, "optional")
    if kind == "choice":
        if "step" in tree or "log" in tree:
            raise ValueError("a choice has neither step nor log")
        return Parameter(name, "choice", _choices(tree[kind]), optional=optional)
    log, (low, high) = _switch(tree, "log"), _ends(tree[kind], kind)
    if log and low <= 0:
        raise ValueError(f"it begins at {low:g}: with log it must begin above 0")
    if "step" not in tree:
        number: Literal["int", "float"] = "int" if kind == "int" else "float"
        return Parameter(name, number, ends=(low, high), log=log, optional=optional)
    values = _steps(low, high, _number(tree["step"], "step", whole=kind == "int" and not log), log)
    if kind == "int":
        values = [round(value) for value in values]
    return Parameter(name, "choice", tuple(dict.fromkeys(values)), optional=optional)


def _choices(values: Any) -> tuple[Any, ...]:
    if not isinstance(values, list) or len({label(value) for value in values}) < max(2, len(values)):
        raise ValueError(f"choice is {values!r}: it must be a list of at least two different values")
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return tuple(sorted(values)) if numbers else tuple(values)


def _ends(ends: Any, kind: str) -> tuple[float, float]:
    if not isinstance(ends, list) or len(ends) != 2:
        raise ValueError(f"{kind} is {ends!r}: it must be the lowest and the highest value, as [8, 16]")
    low, high = (_number(end, kind, whole=kind == "int") for end in ends)
    if low >= high:
        raise ValueError(f"{kind} is [{low:g}, {high:g}]: the first must be below the second")
    return low, high


def _number(value: Any, what: str, whole: bool) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # YAML takes 1e-4 for text
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or (whole and number != int(number)):
        raise ValueError(f"{what} holds {value!r}: it must be a {'whole number' if whole else 'number'}")
    return number


def _steps(low: float, high: float, step: float, log: bool) -> list[float]:
    if step <= (1 if log else 0):
        raise ValueError(f"step is {step:g}: it must be above {'1, what each value is multiplied by' if log else 0}")
    # a hair more: (1 - 0.1) / 0.1 is just below 9
    count = int((math.log(high / low, step) if log else (high - low) / step) + 1e-9)
    if not 1 <= count < LONGEST:
        raise ValueError(f"step is {step:g}: it gives {count + 1} values; it must give 2 to {LONGEST}")
    # in 12 digits: 0.1 * 3 is not 0.3
    return [float(f"{low * step**i if log else low + i * step:.12g}") for i in range(count + 1)]


def _switch(tree: dict[str, Any], name: str) -> bool:
    if not isinstance(tree.get(name, False), bool):
        raise ValueError(f"{name} is {tree[name]!r}: it must be true or false")
    return bool(tree.get(name, False))
