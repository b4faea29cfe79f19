"""Which parts of a network learn: for fine-tuning on few images."""

import re
from collections.abc import Sequence

import keras

from dwikit.common.errors import InputError, choose


def freeze(model: keras.Model, parts: Sequence[str]) -> None:
    """Let some parts of a model keep their weights, and all others learn.

    Args:
        model: with its networks as attributes.
        parts: names of networks, such as ``encoder``, or their first layers that have weights, such as ``critic[:6]``. A frozen
            batch normalization uses its moving statistics and leaves them as they are.

    Raises:
        InputError: no such network, or fewer layers than that.
    """
    networks = {name: getattr(model, name, None) for name in ("encoder", *model.draws, *model.judges)}
    networks = {name: network for name, network in networks.items() if isinstance(network, keras.Model)}
    for name in parts:
        match = re.fullmatch(r"(\w+)(?:\[:(\d+)\])?", str(name))
        network = choose(networks, match[1] if match else name, "network to freeze")
        layers = [layer for layer in network.layers if layer.weights]
        count = len(layers) if match[2] is None else int(match[2])
        if not 1 <= count <= len(layers):
            raise InputError(f"{name} cannot be frozen: {match[1]} has {len(layers)} layers with weights.")
        for layer in layers[:count]:
            layer.trainable = False


def require_some(model: keras.Model, variables: Sequence) -> None:
    """Refuse an optimizer that has nothing to learn.

    Raises:
        InputError: there are no variables.
    """
    if not variables:
        raise InputError(f"{model.label}: everything that one of its optimizers could learn is frozen. Freeze less.")
