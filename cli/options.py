"""Options shared by several commands."""

import functools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from cryoseg_tf.config import Config


def dotted(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """Read ``NAME=VALUE`` words as settings, their values as YAML."""
    import yaml

    settings = {}
    for item in values:
        name, equals, text = item.partition("=")
        if not equals:
            raise click.BadParameter(f"{item!r} has no '=': write it as training.epochs=50")
        if not text.strip():
            raise click.BadParameter(f"{item!r} has no value: write it as training.epochs=50")
        try:
            value = yaml.safe_load(text)  # "1e-3" stays text; the config turns it into a number
        except yaml.YAMLError:
            raise click.BadParameter(f"the value in {item!r} cannot be read") from None
        settings[name] = "none" if value is None else value  # None: not asked for
    return settings


def _of_scoring(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    settings = dotted(ctx, param, values)
    for name in settings:
        if not name.startswith("evaluation.") and name != "data.group_pattern":
            raise click.BadParameter(f"{name} cannot be set here, only evaluation.* and data.group_pattern")
    return settings


class _Positive(click.ParamType[float]):
    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 < number < math.inf:
            self.fail(f"{value!r} is not a number above 0", param, ctx)
        return number


POSITIVE = _Positive()

config_file = click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Settings as YAML, e.g. the config.yaml of an earlier run.",
)
preset = click.option(
    "--preset", metavar="NAME", help="A recipe: balanced (the default), fast, accurate, thesis, thesis-optimised."
)
settings = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    callback=dotted,
    help="Change one setting, e.g. --set model.depth=5. Repeatable; wins over --config.",
)
scoring = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_of_scoring,
    help="Change how it is scored, e.g. --set evaluation.boundary_nm=200. Repeatable.",
)
threads = click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Processor threads to compute with. [default: one per core]",
)
pixel_size = click.option(
    "--pixel-size",
    type=POSITIVE,
    metavar="NM",
    help="Pixel size in nm, for images whose file does not say; one that says otherwise is refused.",
)
data_bar = click.option(
    "--data-bar",
    type=click.IntRange(min=0),
    metavar="ROWS",
    help="Rows of data bar below each image, where files do not say or contradict themselves.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else.")
instances = click.option(
    "--instances", is_flag=True, help="Masks number the objects: any label above 0 is foreground (two classes)."
)
overwrite = click.option("--overwrite", is_flag=True, help="Replace what is there.")


class Recipe(NamedTuple):
    """What the options of ``recipe`` asked for; what is None was not."""

    preset: str | None
    config_file: Path | None
    settings: dict[str, Any]

    @property
    def silent(self) -> bool:
        """Whether nothing was."""
        return all(value is None for value in (self.preset, self.config_file, *self.settings.values()))

    def config(self) -> "Config":
        """Return the settings."""
        return resolve(self.config_file, self.settings, self.preset)


def recipe(command: Any) -> Any:
    """Add what a training is described by, given to the command as one: a ``Recipe``."""

    @functools.wraps(command)
    def bundled(preset: str | None, config_file: Path | None, settings: dict[str, Any], **others: Any) -> Any:
        facts = about_images(*(others.pop(name) for name in ("pixel_size", "data_bar", "instances")))
        return command(recipe=Recipe(preset, config_file, {**facts, **settings}), **others)

    for option in (instances, data_bar, pixel_size, settings, config_file, preset):
        bundled = option(bundled)
    return bundled


def about_images(pixel_size: float | None, data_bar: int | None, instances: bool = False) -> dict[str, Any]:
    """Return the settings that ``--pixel-size``, ``--data-bar`` and ``--instances`` are short for."""
    return {
        "data.image_pixel_size": pixel_size,
        "data.data_bar": data_bar,
        "data.instances": instances or None,
    }


def resolve(config_file: Path | None, settings: dict[str, Any], preset: str | None = None) -> "Config":
    """Defaults, then ``--preset``, then ``--config``, then ``--set`` and its short-hands."""
    from cryoseg_tf.config import Config  # here: pydantic takes a quarter of a second

    config = Config() if preset is None else Config.preset(preset)
    config = Config.load(config_file, config) if config_file else config
    return config.replace({name: value for name, value in settings.items() if value is not None})


def output(**kwargs: Any) -> Any:
    """Return the ``--out`` option of a command."""
    return click.option("--out", required=True, type=click.Path(path_type=Path), **kwargs)


DATA = click.Path(exists=True, file_okay=False, path_type=Path)
