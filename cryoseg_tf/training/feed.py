"""Give a training its batches, divided over what it computes on."""

import tensorflow as tf

from ..config import Config
from ..data.images import Images
from ..data.pipeline import patches, validation_windows
from .devices import Devices
from .survey import Survey


class Feed:
    """The images to train and to validate on, as batches for all devices.

    Args:
        devices: What is trained on.
        train: The images to take patches of.
        validation: The images to validate on.
        found: What is known of both.
    """

    def __init__(self, devices: Devices, train: Images, validation: Images, found: Survey) -> None:
        self.devices, self.train, self.validation, self.found = devices, train, validation, found

    @property
    def config(self) -> Config:
        """The settings; to set them changes those of the images too."""
        return self.train.config

    @config.setter
    def config(self, config: Config) -> None:
        self.train.config = self.validation.config = config

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        count = self.config.data.patches_per_image * len(self.train)
        return -(-count // self.config.training.batch_size)

    def patches(self, start: int = 0) -> tf.data.Dataset:
        """Return endless batches from patch ``start`` on."""
        return self.devices.dataset(lambda share: patches(self.train, self.found.train, self.config, start, share))

    def windows(self) -> tf.data.Dataset:
        """Return all windows of the validation images, one by one, on this device alone."""
        return validation_windows(self.validation, self.found.validation, self.config)

    def validated(self) -> tuple[tf.data.Dataset, int | None]:
        """Return the windows divided over all devices, and the steps that these take; None where the data end."""
        if self.devices.replicas == 1:
            return self.windows(), None
        found = self.found.validation
        divided = self.devices.dataset(lambda share: validation_windows(self.validation, found, self.config, share))
        return divided, -(-len(self.windows()) // self.devices.replicas)
