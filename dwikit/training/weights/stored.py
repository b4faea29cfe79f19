"""Weights as arrays of few bytes: float16, or 8 bits for a network that is large.

A small network is stored whole, in the order of ``model.weights``, and can be trained further. Of a large one only what draws
and reconstructs is stored, in that order: no critic, no head of log-variances, no network of which a moving average was kept.
Its kernels have 8 bits a value and a scale per output channel (the last axis); vectors stay float16.
"""

import hashlib
import json

import keras
import numpy as np

from dwikit import models
from dwikit.common.errors import InputError

LARGE = 1_900_000
"""Parameters above which a network is stored in 8 bits."""
STEPS = 127
"""Steps of a signed byte on either side of zero."""


def is_large(model: models.GenerativeModel) -> bool:
    """Whether only what draws and reconstructs is stored."""
    return sum(int(np.prod(variable.shape)) for variable in model.weights) > LARGE


def drawing(model: models.GenerativeModel) -> list:
    """The variables that samples and reconstructions depend on, in the order of ``model.weights``."""
    networks = [model.sampler()]
    if hasattr(model, "encoder"):
        networks.append(keras.Model(model.encoder.inputs, model.encoder.outputs[0]))  # the posterior mean
    wanted = {id(variable) for network in networks for variable in network.weights}
    return [variable for variable in model.weights if id(variable) in wanted]


def as_arrays(model: models.GenerativeModel) -> dict[str, np.ndarray]:
    """A model's weights as arrays for a file.

    Raises:
        InputError: a weight that float16 cannot hold.
    """
    if not is_large(model):
        return {f"{i:04d}": array for i, array in enumerate(halved(model, model.weights))}
    arrays = {}
    for i, (variable, array) in enumerate(zip(drawing(model), halved(model, drawing(model)))):
        if array.ndim < 2:
            arrays[f"{i:04d}"] = array
            continue
        values = keras.ops.convert_to_numpy(variable)
        scale = (np.abs(values).max(axis=tuple(range(values.ndim - 1))) / STEPS).astype(np.float16)
        steps = values / np.where(scale > 0, scale, 1).astype(np.float32)
        arrays[f"{i:04d}"] = np.rint(steps).clip(-STEPS, STEPS).astype(np.int8)
        arrays[f"{i:04d}-scale"] = scale
    return arrays


def from_arrays(arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The values that ``as_arrays`` stored, float32, in its order; storing them again gives the same arrays."""
    names = sorted(name for name in arrays if not name.endswith("-scale"))
    scales = {name: arrays.get(f"{name}-scale", np.float32(1)).astype(np.float32) for name in names}
    return [arrays[name].astype(np.float32) * scales[name] for name in names]


def wanted(model: models.GenerativeModel) -> list:
    """The variables whose values are stored, in their order."""
    return drawing(model) if is_large(model) else model.weights


def fill(model: models.GenerativeModel, variables: list, values: list[np.ndarray]) -> None:
    """Set some variables of a model; all others become NaN, so that nothing is computed from weights that nobody trained."""
    given = {id(variable) for variable in variables}
    for variable in model.weights:
        if id(variable) not in given and variable.dtype.startswith("float"):
            variable.assign(np.full(variable.shape, np.nan, np.float32))
    assign(variables, values)


def require_whole(model: models.GenerativeModel, what: str) -> None:
    """Refuse to train a network of which only what draws is there (``fill``).

    Args:
        model: to train from.
        what: beginning of the message, such as its path.

    Raises:
        InputError: a weight is no number.
    """
    if not all(np.isfinite(keras.ops.convert_to_numpy(variable)).all() for variable in model.weights):
        raise InputError(
            f"{what} comes without what only training needs, or with weights that are no numbers. Train from the beginning, or "
            "from weights that are whole."
        )


def digest(model: models.GenerativeModel) -> str:
    """Sixteen hexadecimal digits that change with any weight or setting."""
    found = hashlib.sha256(json.dumps(model.get_config(), sort_keys=True, default=str).encode())
    for variable in model.weights:
        found.update(np.ascontiguousarray(keras.ops.convert_to_numpy(variable)).tobytes())
    return found.hexdigest()[:16]


def copy(model: models.GenerativeModel) -> models.GenerativeModel:
    """The model as it will be loaded.

    Raises:
        InputError: a weight that float16 cannot hold.
    """
    again = type(model)(**model.get_config())
    again.compile()
    again.epochs_done = model.epochs_done
    fill(again, wanted(again), from_arrays(as_arrays(model)))
    return again


def assign(weights: list, values: list[np.ndarray]) -> None:
    """Set variables to the values of arrays."""
    for variable, value in zip(weights, values, strict=True):
        variable.assign(value.astype(np.float32))


def halved(model: models.GenerativeModel, weights: list) -> list[np.ndarray]:
    """Weights of a model as float16 arrays.

    Raises:
        InputError: a weight that float16 cannot hold.
    """
    arrays = [keras.ops.convert_to_numpy(variable) for variable in weights]
    if not all(np.abs(array).max(initial=0) < np.finfo(np.float16).max for array in arrays):
        raise InputError(f"A weight of this {model.label} is not finite or too large for float16.")
    return [array.astype(np.float16) for array in arrays]
