"""Read a trained network: it is built from the settings, and only weights are read from the file."""

import warnings
import zipfile
from pathlib import Path

import keras
import numpy as np

from ..config import ModelConfig
from ..errors import RunError
from .registry import build_model


def load_network(file: Path, config: ModelConfig, channels: int) -> keras.Model:
    """Build the network and read its weights from a ``.keras`` file.

    Raises:
        RunError: If the file is damaged or of another network, or holds weights that are no numbers.
    """
    model = build_model(config, channels)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras lists every part of a file that does not fit, then fails
            model.load_weights(file)
    except PermissionError as error:
        raise RunError(f"{file} cannot be read: {error.strerror}") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(f"{file} is damaged, or is not of this config.yaml: {reason}") from None
    if not all(np.isfinite(weights).all() for weights in model.get_weights()):
        raise RunError(
            f"{file} holds weights that are NaN or infinite: training diverged, or the file is "
            "damaged; train anew, with a smaller training.learning_rate"
        )
    return model
