"""What one image costs a model: floating-point operations of a training step and of a sample, and parameters."""

from collections.abc import Sequence

import keras
import numpy as np

from dwikit.models import GenerativeModel, architecture

PASSES = {
    "vae": {"encoder": 3, "decoder": 3},
    "dfc_vae": {"encoder": 3, "decoder": 3, "features": 3},
    "intro_vae": {"encoder": 13, "generator": 9},
    "style_gan": {"mapping": 4, "synthesis": 4, "critic": 8},
}
"""Forward passes that one training step costs an image, network by network.

A forward pass counts 1, and so do the gradients of the weights and those of the inputs, wherever the step needs them
(``training_step``). VAE: 3 each. DFC-VAE: also two forward passes of the feature network and its inputs' gradients once.
IntroVAE: its encoder sees three images and learns from them (9), then two fakes and hands their gradients on (4); its
generator draws two images and hands one's gradients on (3), then draws two and learns from them (6). StyleGAN: the critic
learns from a real and a fake image (6) and judges one more for the generator (2), which draws once in vain and then learns
(4). A gradient penalty, which the paper does not mention, would add 6 to the critic (``PENALTY``).
"""
PENALTY = 6
"""Forward passes of the critic that a penalty on its gradient costs: one, the gradient of the inputs, and of both again the
gradients of weights and inputs."""


def of_training(presets: Sequence[str] = ("paper", "canonical"), image_size: int = 128) -> dict[tuple[str, str], float]:
    """Floating-point operations that one training image costs each network, without a penalty on the critic's gradient.

    Args:
        presets: ``"paper"`` (widths of the released code where the paper is silent), ``"canonical"`` (the cited originals).
        image_size: pixels along one side.

    Returns:
        (model key, preset) -> operations; convolutions and dense layers count (``architecture.flops``).
    """
    costs = {}
    for name in presets:
        for key, passes in PASSES.items():
            parts = architecture.networks(architecture.build(key, name, image_size))
            if "features" in passes:
                parts["features"] = _vgg(image_size)
            costs[key, name] = sum(count * architecture.flops(parts[part]) for part, count in passes.items())
    return costs


def operations(model: GenerativeModel) -> dict[str, float]:
    """What one image costs a model, as it is configured, with its penalty if it has one.

    As in ``architecture.flops``, convolutions and dense layers count, in their plain form; a step of a batch costs the batch
    times as much.

    Returns:
        parameters (that are learned), sampling (those of them that draw a sample), forward (operations of each network run
        once), sample (of drawing one image) and training (of one image of a training step).

    Raises:
        InputError: a DFC-VAE's feature network that is missing.
    """
    parts, passes = architecture.networks(model), dict(PASSES[model.key])
    counts = {name: sum(int(np.prod(v.shape)) for v in part.trainable_variables) for name, part in parts.items()}
    if model.config.get("penalty"):
        passes["critic"] += PENALTY / model.config["penalty_interval"]
    if "features" in passes:
        parts["features"] = _features(model)
    flop = {name: architecture.flops(part) for name, part in parts.items()}
    drawn = [name for name in parts if name in DRAWS]
    return {
        "parameters": sum(counts.values()),
        "sampling": sum(counts[name] for name in drawn),
        "forward": sum(flop.values()),
        "sample": sum(flop[name] for name in drawn),
        "training": sum(count * flop[name] for name, count in passes.items()),
    }


DRAWS = ("decoder", "generator", "mapping", "synthesis")
"""Networks that a sample goes through."""


def _features(model: GenerativeModel) -> keras.Model:
    """The feature network that a DFC-VAE compares by, at the size of its images."""
    if not model.pretext:
        return _vgg(model.image_size)
    model.find_features()
    (network,) = (layer for layer in model.extractor.network.layers if isinstance(layer, keras.Model))
    return keras.models.clone_model(network, input_tensors=keras.Input((model.image_size, model.image_size, 1)))


def _vgg(image_size: int) -> keras.Model:
    """VGG16 up to the last layer whose features the DFC-VAE compares, with any weights."""
    network = keras.applications.VGG16(include_top=False, weights=None, input_shape=(image_size, image_size, 3))
    return keras.Model(network.inputs, network.get_layer("block3_conv1").output)
