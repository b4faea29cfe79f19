"""A built network read from its Keras layers: its stages for diagrams, and its operations for budgets."""

from collections import Counter
from dataclasses import dataclass, field

import keras
from keras import layers

from dwikit.common.errors import InputError
from dwikit.models import registry
from dwikit.models.base import GenerativeModel
from dwikit.models.presets import preset


def build(key: str, name: str = "paper", image_size: int = 128) -> GenerativeModel:
    """A model of a preset, to draw and to count: fresh weights, no optimizers, no moving averages, no feature network."""
    network = registry.network(key)
    config = preset(network, name, image_size)
    return network(**config | ({"ema": 0.0} if "ema" in config else {}))


def networks(model: GenerativeModel) -> dict[str, keras.Model]:
    """The networks that a model trains, by name; moving averages are left out."""
    attributes = vars(model) | vars(model).get("_modules", {})  # where PyTorch keeps submodules
    parts = {name: part for name, part in attributes.items() if isinstance(part, keras.Model)}
    return {name: part for name, part in parts.items() if not name.startswith("average")}


def chains(model: GenerativeModel) -> list[dict[str, list["Stage"]]]:
    """The stages of each network of a model, by name, in rows of networks that follow one another (``model.chains``).

    Raises:
        InputError: a network that is not functional.
    """
    parts = networks(model)
    rows = model.chains or [(name,) for name in parts]
    return [{name: stages(parts[name]) for name in row} for row in rows]


# ==== Arithmetic ====


def flops(network: keras.Model) -> int:
    """Floating-point operations of one image's forward pass, in convolutions and dense layers.

    A multiplication and an addition count as two. Everything else (normalization, activation, resampling) is left out, as
    is usual: it is under a tenth, so a budget from these counts is a lower bound.
    """
    return sum(_layer_flops(layer) for layer in network.layers)


def _layer_flops(layer: layers.Layer) -> int:
    if isinstance(layer, keras.Model):
        return flops(layer)
    if isinstance(layer, layers.Conv2DTranspose):
        height, width = layer.input.shape[1:3]
    elif isinstance(layer, layers.Conv2D):
        resample = getattr(layer, "resample", None)  # counted as a convolution and a doubling or halving
        height, width = (layer.input if resample == "down" else layer.output).shape[1:3]
    elif isinstance(layer, layers.Dense):
        height, width = 1, 1
    else:
        return 0
    weights = 1
    for length in layer.kernel.shape:
        weights *= int(length)
    return 2 * weights * height * width


# ==== Stages ====


@dataclass
class Stage:
    """Layers in a row whose output has one size: (H, W) with the channels of each convolution, or () and the units."""

    size: tuple[int, ...]
    channels: list[int]
    operations: Counter = field(default_factory=Counter)
    kernels: int = 0

    @property
    def label(self) -> str:
        """The shape as text; two numbers of channels where the last layer changes them."""
        first, last = self.channels[0], self.channels[-1]
        return "×".join([*map(str, self.size), f"{first}" if first == last else f"{first} → {last}"])

    @property
    def text(self) -> list[str]:
        """One line per operation, with its number of repeats."""
        return [name if count == 1 else f"{count} {name}" for name, count in self.operations.items()]


def stages(network: keras.Model) -> list[Stage]:
    """Stages of a functional network from its (first) input to its (first) output; the input is the first stage.

    Where a layer has several inputs, the path follows the first: into residual branches, past styles and noise.

    Raises:
        InputError: the network is neither functional nor sequential.
    """
    if not hasattr(network, "operations"):
        try:
            network = keras.Model(network.inputs, network.outputs)  # a sequential one
        except (AttributeError, TypeError, ValueError):
            raise InputError(f"{network.name} is not a functional Keras model: its layers have no order to draw.") from None
    first, *way = _way(network)
    found = [_stage(first)]
    for layer in way:
        here, last, name = _stage(layer), found[-1], _name(layer)
        same = here.size == last.size and (here.size or here.channels == last.channels[-1:]) and len(found) > 1
        if isinstance(layer, layers.Reshape):  # the dense layer before it makes this size
            last.size, last.channels = here.size, here.channels
        elif name and not same:
            found.append(here)
        elif name and hasattr(layer, "kernel"):
            last.channels = (last.channels if last.kernels else []) + here.channels
        if name:
            found[-1].operations[name] += 1
            found[-1].kernels += hasattr(layer, "kernel")
    return found


def _stage(layer) -> Stage:
    *size, channels = layer.output.shape[1:]
    return Stage(tuple(int(n) for n in size), [int(channels)])


def _way(network: keras.Model) -> list:
    maker = {id(operation.output): operation for operation in network.operations if not isinstance(operation.output, list)}
    tensor, way = network.outputs[0], []
    while operation := maker.get(id(tensor)):
        way.append(operation)
        if isinstance(operation, layers.InputLayer):
            break
        tensor = operation.input[0] if isinstance(operation.input, list) else operation.input
    return way[::-1]


def _name(layer) -> str:
    """A layer's name in a diagram; empty if it only changes shape or scale."""
    kind = type(layer).__name__
    if kind in ("Conv2D", "Conv2DTranspose"):
        size, stride = layer.kernel_size[0], layer.strides[0]
        if resample := getattr(layer, "resample", None):
            return f"nearest ×2, conv {size}×{size}" if resample == "up" else f"conv {size}×{size}, mean 2×2"
        name = f"conv {size}×{size}" + (f", /{stride}" if stride > 1 and kind == "Conv2D" else "")
        return name if kind == "Conv2D" else f"transposed {name}, ×{stride}"
    if kind == "LeakyReLU":
        return f"LReLU {layer.negative_slope:g}" if layer.negative_slope else "ReLU"
    if kind == "UpSampling2D":
        return f"{layer.interpolation} ×{layer.size[0]}"
    if kind == "AveragePooling2D":
        return f"mean {layer.pool_size[0]}×{layer.pool_size[0]}" if layer.strides[0] > 1 else "blur"
    if kind == "Activation":
        name = keras.activations.serialize(layer.activation)
        return "" if name == "linear" else str(name)
    names = {
        "Dense": "dense",
        "BatchNormalization": "BN",
        "GroupNormalization": "GN",
        "Affine": "scale, offset",
        "ReLU": "ReLU",
        "Add": "sum",
        "AdaIN": "AdaIN",
        "NoiseAndBias": "noise",
        "LearnedConstant": "constant",
        "MinibatchDeviation": "batch sd",
        "Dropout": "dropout",
        "UnitNormalization": "unit length",
    }
    return names.get(kind, "")
