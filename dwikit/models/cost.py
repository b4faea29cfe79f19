"""What a model costs per image: floating-point operations of a training step and of a sample, and parameters.

A class states how many forward passes per image a training step costs, by network (``passes``). A forward pass counts
1, and so do the gradients of the weights and those of the inputs, wherever the step needs them (``training_step``).
"""

import math
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from dwikit.models import architecture, registry
from dwikit.models.base import GenerativeModel


def of_training(presets: Sequence[str] = ("paper", "canonical"), image_size: int = 128) -> dict[tuple[str, str], float]:
    """Floating-point operations per training image of each network of the paper, without a penalty on the critic.

    Args:
        presets: ``"paper"`` (widths of the released code where the paper is silent), ``"canonical"`` (the cited originals).
        image_size: pixels along one side.

    Returns:
        (model key, preset) -> operations; convolutions and dense layers count (``architecture.flops``).
    """
    costs = {}
    for name in presets:
        for key in (key for key, network in registry.networks().items() if network.section):
            model = architecture.build(key, name, image_size)
            costs[key, name] = _step(_flops(model), model.passes)
    return costs


def operations(model: GenerativeModel) -> dict[str, float]:
    """What a model costs per image as configured, with its penalty if it has one.

    As in ``architecture.flops``, convolutions and dense layers count, in their plain form; a step of a batch costs the batch
    times as much. What is not counted is NaN: the step of a network that does not state its ``passes``, and all operations
    of one whose layers do not know their sizes.

    Returns:
        parameters (trainable), sampling (those used to draw a sample), forward (operations of each network run
        once), sample (operations to draw one image) and training (operations per image of a training step).
    """
    parts, flop = architecture.networks(model), _flops(model)
    counts = {name: sum(int(np.prod(v.shape)) for v in part.trainable_variables) for name, part in parts.items()}
    drawn = [name for name in model.draws if name in parts]
    return {
        "parameters": sum(counts.values()),
        "sampling": sum(counts[name] for name in set(drawn)) if drawn else math.nan,
        "forward": sum(flop.values()),
        "sample": sum(flop[name] for name in drawn) if drawn else math.nan,
        "training": _step(flop, model.step_passes()),
    }


def _flops(model: GenerativeModel) -> dict[str, float]:
    """Operations of one forward pass of each network, frozen ones included."""
    parts = architecture.networks(model) | model.frozen_networks()
    return {name: _forward(part) for name, part in parts.items()}


def _forward(network: keras.Model) -> float:
    try:
        return architecture.flops(network)
    except AttributeError:  # a layer that was never called on its own has no input
        return math.nan


def _step(flop: Mapping[str, float], passes: Mapping[str, float]) -> float:
    return sum(count * flop[name] for name, count in passes.items()) if passes else math.nan
