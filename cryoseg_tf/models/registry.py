"""Architectures by name."""

from collections.abc import Callable
from typing import NamedTuple

import keras

from ..config import ModelConfig
from ..errors import ConfigError
from .unet import build_unet, unet_halo


class Architecture(NamedTuple):
    """How to build a network, and how far it sees: None where that is the whole image."""

    build: Callable[[ModelConfig, int, int], keras.Model]
    halo: Callable[[ModelConfig], int | None]


ARCHITECTURES = {"unet": Architecture(build_unet, unet_halo)}


def architecture(config: ModelConfig) -> Architecture:
    """Return the architecture that ``config`` names.

    Raises:
        ConfigError: If there is none of that name.
    """
    if config.architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ConfigError(f"model.architecture is {config.architecture!r}: known are {known}")
    return ARCHITECTURES[config.architecture]


def build_model(config: ModelConfig, channels: int = 1, seed: int = 0) -> keras.Model:
    """Build an untrained network; see ``build_unet`` for its input and output."""
    return architecture(config).build(config, channels, seed)
