"""What a built network is made of, read from its Keras layers: its stages, for diagrams, and its arithmetic, for budgets."""

from collections import Counter
from dataclasses import dataclass, field

import keras
from keras import layers

from dwikit.models import BY_KEY, GenerativeModel
from dwikit.models.presets import preset


def build(key: str, name: str = "paper", image_size: int = 128) -> GenerativeModel:
    """A model of a preset as it is drawn and counted: fresh weights, no optimizers, no feature network."""
    return BY_KEY[key](**preset(key, name, image_size, 1.0, {}))


def networks(model: GenerativeModel) -> dict[str, keras.Model]:
    """The networks that a model trains, by name; moving averages are left out."""
    parts = {name: part for name, part in vars(model).items() if isinstance(part, keras.Model)}
    return {name: part for name, part in parts.items() if not name.startswith("average")}


# ==== Arithmetic ====


def flops(network: keras.Model) -> int:
    """Floating-point operations of one image's forward pass, in convolutions and dense layers.

    A multiplication and an addition count as two. Everything else (normalization, activation, resampling) is left out, as
    is usual: it is under a tenth, and a budget from what is counted is a lower bound.
    """
    return sum(_layer_flops(layer) for layer in network.layers)


def _layer_flops(layer: layers.Layer) -> int:
    if isinstance(layer, keras.Model):
        return flops(layer)
    if isinstance(layer, layers.Conv2DTranspose):
        height, width = layer.input.shape[1:3]
    elif isinstance(layer, layers.Conv2D):
        height, width = layer.output.shape[1:3]
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
    """Layers in a row whose output has one size: (H, W, C), or (C,)."""

    shape: tuple[int, ...]
    operations: Counter = field(default_factory=Counter)

    @property
    def label(self) -> str:
        """The shape, as it is written."""
        return "×".join(map(str, self.shape))

    @property
    def text(self) -> list[str]:
        """One line an operation, with how often it stands there."""
        return [name if count == 1 else f"{count} × {name}" for name, count in self.operations.items()]


def stages(network: keras.Model) -> list[Stage]:
    """Stages of a functional network on the way from its (first) input to its (first) output.

    Where a layer has several inputs the way follows the first: into residual branches, past styles and noise.
    """
    found: list[Stage] = []
    for layer in _way(network):
        shape = tuple(int(n) for n in layer.output.shape[1:])
        if not found or shape[:-1] != found[-1].shape[:-1] or (len(shape) == 1 and shape != found[-1].shape):
            found.append(Stage(shape))
        found[-1].shape = shape
        if name := _name(layer):
            found[-1].operations[name] += 1
    return found


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
    """What a diagram calls a layer; nothing for what only changes a shape or a scale."""
    kind = type(layer).__name__
    if kind in ("Conv2D", "Conv2DTranspose"):
        size, stride = layer.kernel_size[0], layer.strides[0]
        name = f"conv {size}×{size}" + (f", /{stride}" if stride > 1 and kind == "Conv2D" else "")
        return name if kind == "Conv2D" else f"{name}, ×{stride} (transposed)"
    if kind == "LeakyReLU":
        return f"LeakyReLU {layer.negative_slope:g}" if layer.negative_slope else "ReLU"
    if kind == "UpSampling2D":
        return f"{layer.interpolation} ×{layer.size[0]}"
    if kind == "AveragePooling2D":
        return f"mean {layer.pool_size[0]}×{layer.pool_size[0]}" if layer.strides[0] > 1 else "blur"
    if kind == "Activation":
        name = keras.activations.serialize(layer.activation)
        return "" if name == "linear" else str(name)
    names = {
        "Dense": "dense",
        "BatchNormalization": "batch norm",
        "GroupNormalization": "group norm",
        "Affine": "scale, offset",
        "ReLU": "ReLU",
        "Add": "sum",
        "AdaIN": "AdaIN",
        "NoiseAndBias": "noise",
        "LearnedConstant": "constant",
        "MinibatchDeviation": "batch deviation",
        "Dropout": "dropout",
        "UnitNormalization": "unit length",
    }
    return names.get(kind, "")
