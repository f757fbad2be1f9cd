"""The network, and around it the model that Keras trains, on one device or over several replicas."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from ..config import Config, channels
from ..models.losses import build_loss
from ..models.metrics import MeanDice
from ..models.region_losses import apart
from ..models.registry import architecture, build_model
from ..models.supervision import training_model
from .devices import ONE, Devices
from .optimization import build_optimizer, check_optimization
from .precision import layers_in


def check_names(config: Config) -> None:
    """Refuse an architecture, loss, optimizer or schedule that is not known, before anything is read.

    Raises:
        ConfigError: Naming it and those that are known.
    """
    architecture(config.model)
    build_loss(config.training.loss, (1.0,) * len(config.data.classes))
    check_optimization(config.training)


def compiled(config: Config, devices: Devices = ONE) -> tuple[keras.Model, keras.Model]:
    """Build the network, and around it the model that is trained, with its optimizer and loss.

    It is to be trained within ``devices.scope()``.

    Raises:
        ConfigError: If the settings name a loss or an optimizer that is not known.
    """
    training = config.training
    weights = training.class_weights if isinstance(training.class_weights, tuple) else None
    with devices.scope():
        with layers_in(training.precision):
            network = build_model(config.model, channels(config.data.classes), config.seed)
            model = training_model(network, config.model, config.seed)
        optimizer = build_optimizer(training)
        # built here: made inside the first step, the optimizer's variables would have it traced twice
        optimizer.build(model.trainable_variables)
        # on a CPU XLA is a quarter slower
        model.compile(optimizer, build_loss(training.loss, weights), metrics=[MeanDice()], jit_compile=False)
    if devices.strategy:
        _spread(model, devices.strategy)
    return network, model


def _spread(model: keras.Model, strategy: tf.distribute.Strategy) -> None:
    """Have Keras' ``fit`` and ``evaluate`` run over replicas; on several machines they fail by themselves."""

    def validate(data: Any) -> Any:
        """Do what Keras' ``test_step`` does, also for a batch of none."""
        x, y = data
        count = tf.shape(x)[0]
        # oneDNN's convolution of no image has the wrong number of channels (TensorFlow 2.21)
        seen = tf.pad(x, [[0, tf.maximum(1 - count, 0)], [0, 0], [0, 0], [0, 0]])
        with apart():
            found = model(seen, training=False)[:count]
            model._loss_tracker.update_state(model.compute_loss(x, y, found, training=False), sample_weight=count)
            return model.compute_metrics(x, y, found)

    model.train_function, model.test_function = _over(strategy, model.train_step), _over(strategy, validate)
    # with a strategy of its own a model is built once more, from a mean of batches that several machines do not give;
    # without, it runs by the strategy in whose scope it is
    model._distribute_strategy = None
    if model.optimizer.global_clipnorm:
        _clip_the_sum(model.optimizer)


def _over(strategy: tf.distribute.Strategy, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function that takes an iterator, runs a step on each replica and gives what the first one returns."""

    @tf.function(autograph=False)
    def run(iterator: Any) -> Any:
        results = strategy.run(step, args=(next(iterator),))
        return tf.nest.map_structure(lambda values: strategy.experimental_local_results(values)[0], results)

    return run


def _clip_the_sum(optimizer: keras.optimizers.Optimizer) -> None:
    """Clip the gradient of the whole batch: Keras would clip each replica's piece of it, before they are added."""
    norm, apply, optimizer.global_clipnorm = optimizer.global_clipnorm, optimizer.apply, None

    def clipped(gradients: list[Any], variables: Any = None) -> Any:
        whole = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, list(gradients))
        share = norm / tf.maximum(norm, tf.linalg.global_norm(whole))
        return apply([gradient * share for gradient in gradients], variables)

    optimizer.apply = clipped
