"""The deep-feature-consistent variational autoencoder (sec. 2.3)."""

import keras

from dwikit.models import features, losses
from dwikit.models.dfc_vae.presets import PRESETS
from dwikit.models.vae.model import VAE

REDUCTIONS = {"sum": losses.perceptual_sum, "mean": losses.perceptual_mean}


@keras.saving.register_keras_serializable("dwikit")
class DFCVAE(VAE):
    """A VAE that compares images by features of ImageNet's VGG instead of by their pixels.

    The loss is ``KL + weight * perceptual loss`` (sec. 2.3, eq. 6-7, and sec. 3.2). The feature network is frozen. It is not
    part of the model: not among its variables, not in its file, and not needed to sample from it.
    """

    key = "dfc_vae"
    label = "DFC-VAE"
    section = "2.3"
    presets = PRESETS
    passes = VAE.passes | {"features": 3}  # forward twice, and the gradients of the inputs once: it learns nothing

    def __init__(self, *, seed: int = 0, **config):
        super().__init__(seed=seed, **config)
        self.make_trackers("loss", "kl", "perceptual", "mse")
        self.extractor = features.Extractor()

    @classmethod
    def from_preset(cls, name: str = "paper", **settings):
        """As in the base class; also loads the feature network.

        Raises:
            InputError: also if its weights do not come with the kit and cannot be had, or it lacks a layer named in the config.
        """
        model = super().from_preset(name, **settings)
        model.find_features()
        return model

    def find_features(self) -> None:
        """Load the feature network, unless it is loaded."""
        if self.extractor.network is None:
            names = ("feature_layers", "feature_network", "feature_input")
            self.extractor.network = features.load(*(self.config[name] for name in names))

    def prepare_training(self) -> None:
        """Load the feature network."""
        self.find_features()

    def frozen_networks(self) -> dict[str, keras.Model]:
        """The feature network, at the size of the images and with any weights."""
        return {"features": features.network(self.config["feature_layers"], self.config["feature_network"], self.image_size)}

    @property
    def objective(self) -> str:
        """What the loss compares, in a few words."""
        network, names = self.config["feature_network"].upper(), ", ".join(self.config["feature_layers"])
        weight = f"{self.config['feature_weight']:.0e}".replace("e-0", "e-")
        return f"{self.label}: KL + {weight} × squared error of features of {network} ({names})"

    def reconstruction_terms(self, images, reconstruction) -> dict:
        """The weighted perceptual loss (sec. 2.3, eq. 6-7); the mean squared error of the pixels is only logged."""
        reduction = self.config["feature_reduction"]
        pair = self.extractor.network(images, training=False), self.extractor.network(reconstruction, training=False)
        perceptual, mse = REDUCTIONS[reduction](*pair), losses.squared_error_mean(images, reconstruction)
        weight = self.config["feature_weight"] * self.config["reference_batch"]
        weight *= self.sum_scale if reduction == "sum" else 1.0
        return {"reconstruction": weight * perceptual, "perceptual": perceptual, "mse": mse}
