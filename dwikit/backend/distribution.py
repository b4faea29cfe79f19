"""Training on several devices through ``tf.distribute``, equal to training on one within rounding.

Every device holds the whole model and works on its share of each batch. Four functions reproduce what one device would do:

* ``deal``: the slices of a batch are dealt out like cards, slice i to device i modulo the number of devices. So groups of
  slices that the StyleGAN's critic compares (``layers.MinibatchDeviation``) equal those of the whole batch.
* ``draw``: every device makes all random draws of the batch, from the same state, and keeps those for its own slices.
* ``average``: a mean over the whole batch, needed where it enters a nonlinear function: the statistics of batch
  normalization (synchronized), and the KL divergence in the hinge of the IntroVAE.
* ``share``: the loss of a device's slices is divided by the number of devices, since the optimizers sum the gradients.

On one device, and on backends other than TensorFlow, they change nothing.
"""

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from dwikit.common.errors import InputError

BACKEND = keras.backend.backend()

if BACKEND == "tensorflow":
    import tensorflow as tf


def scope(devices: int) -> contextlib.AbstractContextManager:
    """Inside, models are built and loaded to train on this many devices: the first GPUs, or else the first CPUs.

    Args:
        devices: number of TensorFlow's logical devices. 1 changes nothing.

    Raises:
        InputError: fewer than 1, more than available, or another backend.
    """
    if devices == 1:
        return contextlib.nullcontext()
    if devices < 1:
        raise InputError(f"devices must be at least 1, not {devices}.")
    if BACKEND != "tensorflow":
        raise InputError(f"Several devices need KERAS_BACKEND=tensorflow, but Keras runs on {BACKEND}.")
    there = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(there) < devices:
        names = ", ".join(device.name.removeprefix("/device:") for device in there)
        raise InputError(f"{devices} devices were asked for, but TensorFlow has {len(there)}: {names}. Ask for fewer.")
    return _strategy(tuple(device.name for device in there[:devices])).scope()


@functools.cache
def _strategy(names: tuple[str, ...]):
    """One strategy for the whole process: two on the same devices would read each other's messages."""
    return tf.distribute.MirroredStrategy(names)


def devices_of(model: keras.Model) -> int:
    """Number of devices on which a model trains."""
    return model.distribute_strategy.num_replicas_in_sync if BACKEND == "tensorflow" else 1


def scope_of(model: keras.Model) -> contextlib.AbstractContextManager:
    """The ``scope`` in which a model was built."""
    return model.distribute_strategy.scope() if devices_of(model) > 1 else contextlib.nullcontext()


# ==== In a training step ====


def replicas() -> int:
    """Number of devices that run the calling step; 1 outside a step."""
    context = tf.distribute.get_replica_context() if BACKEND == "tensorflow" else None
    return context.num_replicas_in_sync if context else 1


def draw(draw_noise: Callable[[int], Any], n: int) -> Any:
    """The draws of ``draw_noise`` for this device's n slices: its part of the draws for the whole batch.

    Args:
        draw_noise: maps a batch size to arrays (B, ...) in any structure.
        n: slices of this device.
    """
    devices = replicas()
    if devices == 1:
        return draw_noise(n)
    first = tf.distribute.get_replica_context().replica_id_in_sync_group
    return keras.tree.map_structure(lambda array: array[first::devices], draw_noise(n * devices))


def average(values: Any) -> Any:
    """Tensors in any structure, averaged over the devices; gradients pass through. Not inside ``ops.cond``."""
    if replicas() == 1:
        return values
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, values)


def share(loss):
    """A device's part of a loss that is a mean over the batch."""
    return loss if replicas() == 1 else loss / replicas()


def loggable(terms: dict[str, Any]) -> dict[str, Any]:
    """A step's results in the shape the trainer expects: on several machines it averages over a first axis."""
    together = BACKEND == "tensorflow" and isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy)
    return {name: keras.ops.reshape(term, (1,)) for name, term in terms.items()} if together else terms


# ==== Slices ====


def deal(batches: keras.utils.PyDataset, devices: int) -> keras.utils.PyDataset:
    """Batches in the order in which ``tf.distribute`` splits them: all slices of the first device, then of the second, ..."""
    return batches if devices == 1 else Dealt(batches, devices)


class Dealt(keras.utils.PyDataset):
    """Batches (B, H, W, 1) with the slices 0, N, 2 N, ..., then 1, N + 1, ... for N devices."""

    def __init__(self, batches: keras.utils.PyDataset, devices: int):
        super().__init__()
        self.batches, self.devices = batches, devices

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, step: int) -> np.ndarray:
        batch = self.batches[step]
        return np.concatenate([batch[first :: self.devices] for first in range(self.devices)])

    @property
    def epoch(self) -> int:
        """Forwarded from the batches themselves."""
        return self.batches.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self.batches.epoch = epoch

    def on_epoch_end(self) -> None:
        """Forwarded to the batches themselves."""
        self.batches.on_epoch_end()
