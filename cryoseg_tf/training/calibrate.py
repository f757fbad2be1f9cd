"""Calibrate a trained network on the validation images: its temperature, then its threshold."""

import logging
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ..config import Contract
from ..models.calibration import TEMPERATURES, DiceCurve, Reliability, fit_temperature, probabilities, sample
from ..models.metrics import MeanDice

log = logging.getLogger(__name__)

SAMPLE = 2**20
"""Pixels that the temperature is fitted to, of all images together."""

UNSURE = 0.95
"""Of the highest temperature: what asks for more than this is no better for being less sure."""

Windows = Callable[[], Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]]


def calibrate(network: keras.Model, windows: tf.data.Dataset, contract: Contract) -> tuple[Contract, dict[str, float]]:
    """Choose temperature and threshold on annotated images.

    The network runs over them twice: the threshold is one of calibrated probabilities. The same
    network and images give the same numbers. A window of a large image counts as an image.

    Args:
        network: As trained, with its best weights, not divided by any temperature (``Run.load_model(raw=True)``).
        windows: Batches of one, as from ``validation_windows``; how many there are must be known.
        contract: What is known so far; its own temperature and threshold are not looked at.

    Returns:
        The contract with both, and the numbers for ``run.json``: ``temperature``, ``threshold`` (two
        classes only), ``windows``, ``ece_before`` and ``ece`` after (left out where nothing is
        annotated), ``dice_before`` at 0.5 and ``dice`` of the masks decided from now on. A network that
        is hardly better than a guess is left as it is, with a warning: a temperature of 1 and a threshold of 0.5.
    """
    run_over = _runner(network, windows)
    temperature, before, dice = _temperature(run_over, SAMPLE // max(1, len(windows)))
    unsure = temperature > UNSURE * TEMPERATURES[1]
    if unsure:
        temperature = 1.0
        log.warning(
            "not calibrated: on the validation images the network (Dice %.3f) is hardly better than a guess; "
            "train for longer, or on more images",
            dice,
        )
    after, curve = _threshold(run_over, temperature, contract.channels)
    threshold = curve.threshold if curve and not unsure else 0.5
    summary = {
        "temperature": temperature,
        "windows": float(len(windows)),
        "ece_before": before.ece,
        "ece": after.ece,
        "dice_before": dice,
        "dice": curve.at(threshold) if curve else dice,
    } | ({"threshold": threshold} if curve else {})
    calibrated = contract.model_copy(update={"temperature": temperature, "threshold": threshold})
    # JSON has no NaN
    return calibrated, {name: value for name, value in summary.items() if not math.isnan(value)}


def _runner(network: keras.Model, windows: tf.data.Dataset) -> Windows:
    """Return a function that yields ``(h, w)`` truth and ``(h, w, channels)`` float32 logits of each window."""
    inner = keras.Model(network.input, network.get_layer("logits").output)
    # one trace for all sizes
    signature = tf.TensorSpec((1, None, None, 1), tf.float32)
    forward = tf.function(lambda x: inner(x, training=False), input_signature=[signature], autograph=False)

    def run_over() -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        for image, mask in windows:
            yield mask.numpy()[0, :, :, 0], forward(image).numpy()[0].astype(np.float32, copy=False)

    return run_over


def _temperature(run_over: Windows, share: int) -> tuple[float, Reliability, float]:
    """Return the temperature, and the reliability and mean Dice before it is used."""
    taken, reliability, dice = [], Reliability(), MeanDice()
    for truth, logits in run_over():
        given = probabilities(logits)
        reliability.add(truth, given)
        dice.update_state(truth[None, :, :, None], given[None])
        taken.append(sample(truth, logits, share))
    labels, values = (np.concatenate(parts) for parts in zip(*taken, strict=True))
    return fit_temperature(labels, values), reliability, float(dice.result())


def _threshold(run_over: Windows, temperature: float, channels: int) -> tuple[Reliability, DiceCurve | None]:
    """Return the reliability at this temperature and, for two classes, Dice over thresholds."""
    reliability, curve = Reliability(), DiceCurve() if channels == 1 else None
    for truth, logits in run_over():
        calibrated = probabilities(logits, temperature)
        reliability.add(truth, calibrated)
        if curve:
            curve.add(truth, calibrated)
    return reliability, curve
