"""A search space: what each setting may be, in a YAML file of dotted names.

::

    training.batch_size: {int: [8, 16]}                           whole numbers, both ends included
    training.learning_rate: {float: [1.0e-4, 1.0e-2], log: true}  even in its logarithm
    model.base_filters: {int: [8, 64], log: true, step: 2}        8, 16, 32, 64: each the one before times 2
    training.loss: {choice: [dice, bce], optional: true}          searched only where it is asked for
    training.schedule: step(every=0.3334)                         the same in all trials
    training.schedule.factor: {float: [0.1, 1.0]}                 an option of what the setting names
    training.augmentation.strength: {float: [0.0, 2.0]}           times all shares of augmented patches
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, NoReturn

import yaml

from ..config import AugmentationConfig, Branch, Config
from ..errors import ConfigError
from ..expressions import read_term, read_yaml
from .assembly import check_names
from .parameter import Parameter, read_parameter

SPACES = Path(__file__).parents[1] / "spaces"
"""The spaces that come with the package, a YAML file each."""

TERMS = ("training.optimizer", "training.schedule")
"""Settings whose options can be searched each by a name of its own."""

AUGMENTATION = "training.augmentation"
STRENGTH = f"{AUGMENTATION}.strength"

OF_PATCHES = ("patch", "patches_per_image", "foreground_patches", "hard_patches")
"""Of ``data`` only these can be searched: the others change what is scored."""


@dataclass(frozen=True)
class Space:
    """What is searched, and what is the same in all trials; by dotted names, with their lines in the file."""

    path: Path
    parameters: tuple[Parameter, ...]
    fixed: Mapping[str, Any]
    lines: Mapping[str, int]

    @classmethod
    def load(cls, path: Path) -> "Space":
        """Read a space.

        Raises:
            ConfigError: Naming file and line, if it cannot be read or says what cannot be searched.
        """
        parameters, fixed, lines = [], {}, {}
        for name, line, value in _entries(path):
            lines[name] = line
            try:
                _check_name(name)
                if isinstance(value, dict):
                    parameters.append(read_parameter(name, value))
                else:
                    fixed[name] = value
            except ValueError as error:
                _refuse(path, line, f"{name}: {error}")
            except ConfigError as error:  # names it already
                _refuse(path, line, str(error))
        if not parameters:
            raise ConfigError(f"{path} names nothing to search, as training.batch_size: {{int: [8, 16]}}")
        return cls(path, tuple(parameters), fixed, lines)

    def chosen(self, vary: Collection[str], held: Collection[str]) -> "Space":
        """Return the space with what is optional only where ``vary`` asks for it, and without what is ``held``.

        Args:
            vary: Dotted names or the last part of them, or "all".
            held: Settings that have one value, whatever the space says.

        Raises:
            ConfigError: If ``vary`` names nothing that is optional, or nothing is left to search.
        """
        optional = {p.name for p in self.parameters if p.optional}
        asked = {name for name in optional if {"all", name, name.rpartition(".")[2]} & set(vary)}
        known = {"all", *asked, *(name.rpartition(".")[2] for name in asked)}
        wrong = [name for name in vary if name not in known]
        if wrong:
            others = ", ".join(sorted(optional)) or "nothing"
            raise ConfigError(f"{wrong[0]} is not optional in {self.path}: there {others} can be asked for, or all")
        twice = sorted(name for name in asked if _held(name, held))
        if twice:
            raise ConfigError(f"{twice[0]} cannot be searched and have one value: leave one of them out")
        left = tuple(p for p in self.parameters if p.name not in optional - asked and not _held(p.name, held))
        if not left:
            raise ConfigError(f"all that {self.path} would search has one value already: there is nothing to search")
        return replace(self, parameters=left, fixed={n: v for n, v in self.fixed.items() if not _held(n, held)})

    def apply(self, config: Config, values: Mapping[str, Any]) -> Config:
        """Return the settings of a trial.

        Raises:
            ConfigError: If they do not go together.
        """
        settings: dict[str, Any] = {}
        for name, value in {**self.fixed, **values}.items():
            if name == STRENGTH:
                settings |= _augmented(config.training.augmentation, float(value))
            elif _is_setting(name):
                settings[name] = value
            else:
                setting, _, option = name.rpartition(".")
                term = settings.get(setting, attrgetter(setting)(config))
                settings[setting] = _with_option(term, option, value)
        return config.replace(settings)

    def check(self, config: Config) -> None:
        """Try the ends of each range, and each choice, with the settings that they are to change.

        Raises:
            ConfigError: Naming file and line.
        """
        nothing: Mapping[str, Any] = {}
        alone = ((name, replace(self, fixed={name: value}), nothing) for name, value in self.fixed.items())
        ends = ((p.name, self, {p.name: value}) for p in self.parameters for value in p.extremes)
        for name, space, values in (*alone, *ends):
            try:
                check_names(space.apply(config, values))
            except ConfigError as error:
                _refuse(self.path, self.lines[name], str(error))

    def content(self) -> dict[str, Any]:
        """Return it as plain values, to be compared and stored."""
        searched = {p.name: list(p.values) or [p.kind, *p.ends, p.log] for p in self.parameters}
        return {"searched": searched, "fixed": dict(self.fixed)}


def _entries(path: Path) -> Iterator[tuple[str, int, Any]]:
    """Yield each name at the top of a YAML file, its line, and what it holds."""
    try:
        text = path.read_text("utf-8")
        read_yaml(text)  # refuses what is set twice
        root = yaml.compose(text, yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mark, problem = (getattr(error, what, None) for what in ("problem_mark", "problem"))
        if mark and problem:
            _refuse(path, mark.line + 1, f"it cannot be read as YAML: {problem}")
        raise ConfigError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from None
    if root is not None and not isinstance(root, yaml.MappingNode):
        _refuse(path, root.start_mark.line + 1, "it must hold names and what to search, as model.depth: {int: [3, 5]}")
    loader = yaml.SafeLoader("")
    for key, value in root.value if root is not None else ():
        yield str(key.value), key.start_mark.line + 1, loader.construct_object(value, deep=True)


def _refuse(path: Path, line: int, problem: str) -> NoReturn:
    raise ConfigError("\n".join(f"{path}, line {line}: {part}" for part in problem.splitlines())) from None


def _check_name(name: str) -> None:
    branch, _, leaf = name.partition(".")
    if branch == "data" and leaf not in OF_PATCHES:
        allowed = ", ".join(f"data.{setting}" for setting in OF_PATCHES)
        raise ValueError(f"it changes what is scored, so that trials could not be compared; of data only {allowed} can")
    if branch in ("evaluation", "seed"):
        raise ValueError("it does not change the network: only model, training and data can be searched")
    if name != STRENGTH and name.rpartition(".")[0] not in TERMS and not _is_setting(name):
        Config().replace({name: None})  # says what was meant


def _held(name: str, held: Collection[str]) -> bool:
    """Whether a setting has one value; an option has where its setting has."""
    if name == STRENGTH:
        return any(setting.startswith(AUGMENTATION) for setting in held)
    return name in held or name.rpartition(".")[0] in held


def _is_setting(name: str) -> bool:
    kind: Any = Config
    for part in name.split("."):
        fields = getattr(kind, "model_fields", {})
        if part not in fields:
            return False
        kind = fields[part].annotation
    return not (isinstance(kind, type) and issubclass(kind, Branch))


def _augmented(now: AugmentationConfig, strength: float) -> dict[str, float]:
    """Return the shares of augmented patches, each times the strength, or 1."""
    # shares are those that may be at most 1
    shares = [name for name, field in AugmentationConfig.model_fields.items()
              if any(getattr(limit, "le", None) == 1 for limit in field.metadata)]  # fmt: skip
    return {f"{AUGMENTATION}.{name}": min(1.0, strength * getattr(now, name)) for name in shares}


def _with_option(text: str, option: str, value: Any) -> str:
    term = read_term(text)
    options = {**term.options, option: value}
    return f"{term.name}({', '.join(f'{name}={given!r}' for name, given in options.items())})"
