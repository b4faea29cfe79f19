"""Operations of a training step that ``keras.ops`` lacks; the same on every backend and any number of devices."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from dwikit.backend import distribution
from dwikit.backend.gradients import isolated


def batch_mean(x):
    """Mean over the whole batch, which several devices may share: needed where a loss is a nonlinear function of it.

    Elsewhere ``ops.mean`` is enough, since the gradients of the devices are added up. Not inside a branch.
    """
    return distribution.average(ops.mean(x))


def without_statistics(network: keras.Model, inputs):
    """A network's output in training mode; its moving statistics are not updated."""
    with isolated():
        return network(inputs, training=True)


def from_step(first: int, step, then: Callable[[], Any], before: Callable[[], Any]) -> Any:
    """``then()`` from step number ``first`` on, ``before()`` until then."""
    if not first:
        return then()
    if distribution.replicas() > 1:  # devices cannot exchange statistics inside a branch: both are computed
        return keras.tree.map_structure(lambda new, old: ops.where(step >= first, new, old), then(), before())
    return ops.cond(step >= first, then, before)


def every(interval: int, step, value: Callable[[], Any]):
    """``value()`` every given number of steps, else 0. Variables that it would change are not updated."""

    def alone():
        with isolated():
            return value()

    return alone() if interval == 1 else ops.cond(step % interval == 0, alone, lambda: ops.zeros(()))
