"""Train on one device and on two halves of a processor, and print how far they come apart.

``python on_two_devices.py DATA STEPS SETTINGS...``, each of the settings as JSON; one line of JSON for each.
A process of its own: a processor is divided before TensorFlow computes anything.
"""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from cryoseg_tf import Config, find_pairs, split
from cryoseg_tf.data.images import Images
from cryoseg_tf.training.assembly import compiled
from cryoseg_tf.training.choices import resolve
from cryoseg_tf.training.devices import find_devices
from cryoseg_tf.training.feed import Feed
from cryoseg_tf.training.optimization import averaged
from cryoseg_tf.training.strategy import use_threads
from cryoseg_tf.training.survey import survey


def divide_the_processor():
    use_threads(2)
    (processor,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)


def train(data, steps, settings, strategy):
    """Return the losses of all steps, the scores of the validation images, and the weights."""
    config = Config().replace({**settings, "training.strategy": strategy})
    divided = split(find_pairs(data), config.data)
    found, devices = survey(divided, config), find_devices(config.training)
    config, contract, _ = resolve(config, found, devices)
    images = [Images(pairs, config, contract) for pairs in (divided.train, divided.validation)]
    feed = Feed(devices, *images, found)
    network, model = compiled(config, devices)
    with devices.scope():
        losses = model.fit(feed.patches(), steps_per_epoch=1, epochs=steps, shuffle=False, verbose=0).history["loss"]
        windows, rounds = feed.validated()
        with averaged(model):
            validation = model.evaluate(windows, steps=rounds, verbose=0, return_dict=True)
            weights = [weight.numpy() for weight in network.weights]
    return np.array(losses), validation, weights


def main():
    data, steps, *several = sys.argv[1:]
    divide_the_processor()
    for text in several:
        settings = json.loads(text)
        one, two = (train(data, int(steps), settings, strategy) for strategy in ("one", "mirrored"))
        apart = {
            "loss": np.abs(one[0] - two[0]).max(),
            "weights": max(np.abs(a - b).max() for a, b in zip(one[2], two[2], strict=True)),
            **{f"validation {name}": abs(value - two[1][name]) for name, value in one[1].items()},
            "learned": one[0][0] - one[0][-1],
        }
        print(json.dumps({name: float(value) for name, value in apart.items()}), flush=True)


if __name__ == "__main__":
    main()
