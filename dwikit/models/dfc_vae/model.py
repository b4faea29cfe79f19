"""The deep-feature-consistent variational autoencoder (sec. 2.3)."""

import keras

from dwikit.backend import distribution
from dwikit.models import features, losses
from dwikit.models.vae import VAE

REDUCTIONS = {"sum": losses.perceptual_sum, "mean": losses.perceptual_mean}


@keras.saving.register_keras_serializable("dwikit")
class DFCVAE(VAE):
    """A VAE that compares images by the features of a frozen network instead of by their pixels.

    The loss is ``KL + weight * perceptual loss`` (sec. 2.3, eq. 6-7, and sec. 3.2). The feature network is ImageNet's VGG16
    (``features="imagenet"``) or one trained on the slices themselves (``features=<path>``, made by
    ``features.train_pretext``). It is no part of the model: not among its variables, not in its file, and not needed to
    sample from it; training looks for it where ``config["features"]`` says.
    """

    key = "dfc_vae"
    label = "DFC-VAE"

    def __init__(self, *, seed: int = 0, **config):
        super().__init__(seed=seed, **config)
        self.make_trackers("loss", "kl", "perceptual", "mse")
        self.extractor = features.Extractor()

    @classmethod
    def from_preset(cls, name: str = "paper", **settings):
        """As of every model; also finds the feature network.

        Raises:
            InputError: also where the feature network is missing, or has no layer of a given name.
        """
        model = super().from_preset(name, **settings)
        model.find_features()
        return model

    @property
    def pretext(self) -> bool:
        """Whether the features are those of a network trained on the slices, not of ImageNet."""
        return self.config["features"] != "imagenet"

    def find_features(self) -> None:
        """Load the feature network, unless that is done."""
        if self.extractor.network is None:
            names = ("features", "feature_layers", "feature_network", "feature_input")
            self.extractor.network = features.load(*(self.config[name] for name in names))

    def make_train_function(self, force: bool = False):
        """Called by the Keras trainer before the first step, outside of it: the place to load a network."""
        with distribution.scope_of(self):
            self.find_features()
        return super().make_train_function(force)

    def reconstruction_terms(self, images, reconstruction) -> dict:
        """The weighted perceptual loss (sec. 2.3, eq. 6-7); the mean squared error of the pixels is only watched."""
        pair = self.extractor.network(images, training=False), self.extractor.network(reconstruction, training=False)
        if self.pretext:
            perceptual, weight = losses.perceptual_mean(*pair) / len(pair[0]), self.config["pretext_weight"]
        else:
            perceptual = REDUCTIONS[self.config["feature_reduction"]](*pair)
            weight = self.config["feature_weight"] * self.config["reference_batch"]
            weight *= self.sum_scale if self.config["feature_reduction"] == "sum" else 1.0
        mse = losses.squared_error_mean(images, reconstruction)
        return {"reconstruction": weight * perceptual, "perceptual": perceptual, "mse": mse}
