"""Several networks as one network: its probabilities are the mean of theirs, or their votes.

The mean is after Lakshminarayanan et al. 2017 (arXiv:1612.01474), "deep ensembles". What comes out
is a network like any other, so that masks, scores and exports are made from it in the same way.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

Combination = Literal["mean", "vote"]

LEAST = 1e-30
"""Probabilities are kept above this before their logarithm is taken."""


def combined(members: Sequence[keras.Model], combine: Combination, thresholds: Sequence[float]) -> keras.Model:
    """Return one network that takes what its members take, ``(n, h, w, 1)``, and gives ``(n, h, w, channels)``.

    With "mean" a probability is the mean of the members'. With "vote" it is the share of members that
    decide for the class: with one channel those whose probability reaches their threshold, with more
    those whose most probable class it is.

    Like any network here it ends in logits and a layer named "probability", which stays float32 in
    exports of less precision.
    """
    image = keras.Input((None, None, 1), name="image")
    logits = [_logits(member, f"member_{number}")(image) for number, member in enumerate(members, 1)]
    channels = logits[0].shape[-1]
    if combine == "vote":
        part = _mean([_vote(*pair) for pair in zip(logits, thresholds, strict=True)])
        against = 1 - part
    elif channels == 1:
        part, against = (_mean([ops.sigmoid(sign * x) for x in logits]) for sign in (1, -1))
    else:
        part = against = _mean([ops.softmax(x) for x in logits])
    logit = _log(part) - _log(against) if channels == 1 else _log(part)
    kind = "sigmoid" if channels == 1 else "softmax"
    probability = keras.layers.Activation(kind, dtype="float32", name="probability")(logit)
    return keras.Model(image, probability, name="ensemble")


def turned(network: keras.Model) -> list[keras.Model]:
    """Return eight networks: what each gives is what the first gives of the image flipped and turned, put right again.

    Their mean is known as test-time augmentation. Turning the kernels of a convolution is the same
    as turning its image and turning the result back, and costs nothing when the network runs. That
    holds for images whose sides are multiples of the network's stride, which all tiles are.
    """
    weights = network.get_weights()
    networks = []
    for flip, quarters in product((False, True), range(4)):
        one = keras.models.clone_model(network)
        one.set_weights([_turned(kernel, flip, quarters) if kernel.ndim == 4 else kernel for kernel in weights])
        networks.append(one)
    return networks


def _turned(kernel: Any, flip: bool, quarters: int) -> Any:
    return np.rot90(kernel[:, ::-1] if flip else kernel, quarters)


def _logits(member: keras.Model, name: str) -> keras.Model:
    return keras.Model(member.inputs, member.get_layer("probability").input, name=name)


def _vote(logits: Any, threshold: float) -> Any:
    if logits.shape[-1] == 1:
        return ops.cast(ops.sigmoid(logits) >= threshold, "float32")
    return ops.one_hot(ops.argmax(logits, axis=-1), logits.shape[-1])


def _mean(parts: Sequence[Any]) -> Any:
    # not stacked: ONNX would hold the sizes of the stack
    return sum(parts[1:], parts[0]) / len(parts)


def _log(x: Any) -> Any:
    return ops.log(ops.maximum(x, LEAST))
