"""What changes the weights at each step: the optimizer, weight decay, clipping, the average of the weights."""

import functools
import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from ..config import TrainingConfig
from ..errors import ConfigError
from ..expressions import call, read_term
from .schedules import cycle_ends, learning_rates

# Ftrl is left out: its first step sets the weights to almost 0 whatever they were, and from
# there a deep network does not learn. Muon and ScheduleFreeAdamW need more than a constructor.
_CLASSES = (
    keras.optimizers.Adadelta,
    keras.optimizers.Adafactor,
    keras.optimizers.Adagrad,
    keras.optimizers.Adam,
    keras.optimizers.Adamax,
    keras.optimizers.AdamW,
    keras.optimizers.Lamb,
    keras.optimizers.Lion,
    keras.optimizers.Nadam,
    keras.optimizers.RMSprop,
    keras.optimizers.SGD,
)
OPTIMIZERS = {kind.__name__.lower(): kind for kind in _CLASSES}
"""What ``training.optimizer`` may name."""

# what all of them take, which are not options here
COMMON = set.intersection(*(set(inspect.signature(kind).parameters) for kind in _CLASSES))

SETTINGS = {
    "learning_rate": "training.learning_rate",
    "weight_decay": "training.weight_decay",
    "clipnorm": "training.clip_norm",
    "clipvalue": "training.clip_norm",
    "global_clipnorm": "training.clip_norm",
    "use_ema": "training.ema",
    "ema_momentum": "training.ema",
    "ema_overwrite_frequency": "training.ema",
}
"""Options of Keras that are settings of their own here, since every optimizer has them."""

SHARE = ("of at least 0 and below 1", lambda value: 0 <= value < 1)
POSITIVE = ("above 0", lambda value: 0 < value < math.inf)
LIMITS: dict[str, tuple[str, Callable[[float], bool]]] = {
    **dict.fromkeys(("beta_1", "beta_2", "rho", "momentum"), SHARE),
    **dict.fromkeys(("epsilon", "epsilon_1", "epsilon_2", "clip_threshold"), POSITIVE),
    "beta_2_decay": ("of at least -1 and below 0", lambda value: -1 <= value < 0),
    "initial_accumulator_value": ("of at least 0", lambda value: 0 <= value < math.inf),
}
"""What the numbers among the options may be; Keras takes most of them as they come, and never learns with some."""

UNDECAYED = ["bias", "gamma", "beta"]
"""Weights that are not pulled towards 0: it would not make the network any simpler."""


def build_optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """Make the optimizer that ``config.optimizer`` names, with the options behind it, not built yet.

    They are those of Keras, with Keras' defaults; ``epsilon`` (1e-7) stands inside the root for
    Adagrad, RMSprop and Adadelta, and for the Adam family beside it. Weight decay is decoupled
    for every one of them (``adam`` with ``weight_decay`` is ``adamw``) and follows the learning
    rate; biases and the parameters of normalisation are spared. The gradient of all weights
    together is clipped to the norm ``clip_norm``. With ``ema`` the optimizer keeps the average
    of the weights too: ``average = ema * average + (1 - ema) * weights`` after each step.

    Raises:
        ConfigError: If the name, an option or its value is wrong, or the option has a setting of its own.
    """
    term = read_term(config.optimizer)
    for option in term.options:
        if option in SETTINGS:
            raise ConfigError(f"training.optimizer: {option} is not set there: set {SETTINGS[option]}")
    shared = {
        "learning_rate": config.learning_rate,
        "weight_decay": config.weight_decay,
        "global_clipnorm": config.clip_norm,
        "use_ema": config.ema is not None,
        "ema_momentum": config.ema or 0.0,
    }
    makers = {name: _maker(kind, shared) for name, kind in OPTIMIZERS.items()}
    optimizer: keras.optimizers.Optimizer = call("training.optimizer", term, makers)
    if not config.weight_decay:
        optimizer.weight_decay = None  # spares a pass over the weights; AdamW's constructor refuses it
    optimizer.exclude_from_weight_decay(var_names=UNDECAYED)
    if config.precision == "float16":  # its smallest gradients would be 0
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


@functools.lru_cache(maxsize=1)  # the command line asks before it looks for groups, and ``fit`` again
def check_optimization(config: TrainingConfig) -> None:
    """Try two steps on a single weight: a mistake should show before any image is read.

    Raises:
        ConfigError: If optimizer or schedule are not what ``build_optimizer`` and ``learning_rates`` take,
            or do not compute.
    """
    learning_rates(config, 1)
    if config.snapshots:
        cycle_ends(config)
    optimizer, weight = build_optimizer(config), keras.Variable(1.0)
    try:
        for _ in range(2):
            optimizer.apply([keras.ops.ones(())], [weight])
        found = float(weight.numpy())
    except (TypeError, ValueError, tf.errors.OpError):
        found = math.nan
    if not math.isfinite(found):
        raise ConfigError(
            f"training.optimizer is {config.optimizer!r}: no step can be computed with it; "
            "are its options numbers (or true and false) in their usual range?"
        )


@contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Give ``model`` the average of its weights, and in the end its own again, to the last bit.

    Without ``training.ema`` nothing changes. Keras' SwapEMAWeights is not used: it swaps by adding
    and subtracting, so that each validation would change the training a little.

    The moving statistics of batch normalisation are no weights and stay as they are: moving
    averages already, of what the weights of the last steps gave.
    """
    weights = model.trainable_variables
    own = [keras.ops.copy(weight) for weight in weights]
    model.optimizer.finalize_variable_values(weights)
    try:
        yield
    finally:
        for weight, value in zip(weights, own, strict=True):
            weight.assign(value)


def _maker(kind: Callable[..., Any], shared: dict[str, Any]) -> Callable[..., Any]:
    """Return the constructor with what is shared filled in, and only the options of its own in its signature."""
    own = {name: option for name, option in inspect.signature(kind).parameters.items() if name not in COMMON}

    def maker(**options: Any) -> Any:
        for name, value in options.items():
            _check(name, value, isinstance(own[name].default, bool))
        return kind(**shared, **options)

    maker.__signature__ = inspect.Signature(list(own.values()))  # type: ignore[attr-defined]
    return maker


def _check(name: str, value: Any, switch: bool) -> None:
    if switch and not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}: it must be true or false")
    limits, fits = LIMITS.get(name, ("", math.isfinite))
    if not switch and (isinstance(value, bool) or not isinstance(value, int | float) or not fits(value)):
        raise ValueError(f"{name} is {value!r}: it must be a number {limits}".rstrip())
