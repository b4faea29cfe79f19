"""The introspective variational autoencoder (sec. 2.4)."""

from collections.abc import Mapping, Sequence

import keras
from keras import ops

from dwikit.backend.gradients import update_in_turn
from dwikit.backend.steps import batch_mean, from_step, without_statistics
from dwikit.common.errors import choose
from dwikit.models import losses
from dwikit.models.autoencoder import Autoencoder
from dwikit.models.intro_vae.networks import intro_decoder, intro_encoder
from dwikit.models.intro_vae.presets import PRESETS
from dwikit.models.vae.networks import vae_decoder, vae_encoder

ABOVE_MARGIN = 1.5
"""KL divergence of fakes over the margin; it swings about 1 while encoder and generator keep pace."""


@keras.saving.register_keras_serializable("dwikit")
class IntroVAE(Autoencoder):
    """A VAE whose encoder is also the critic of its decoder, called the generator (sec. 2.4, eq. 8-9).

    The encoder gives real slices a small KL divergence from N(0, 1) and fakes at least the margin; the generator tries to
    make fakes with a small one. Both keep reconstructing. Symbols:

    * ``kl_real``, ``kl_rec``, ``kl_fake``: KL divergence of the encoder's answer to real slices, to reconstructions, and to
      images of latents from the prior; summed over latents, averaged over the batch
    * ``rec``: squared error of the reconstructions, summed over the pixels of an image (of 128 x 128, see ``sum_scale``)
    * ``config["margin"]``: m, what the encoder wants ``kl_rec`` and ``kl_fake`` to reach

    With ``game="soft"`` the encoder's step is that of Soft-IntroVAE (Daniel & Tamar 2021), which has no margin; the log's
    terms mean the same.

    Example:
        >>> model = IntroVAE.from_preset("paper", image_size=64, width=0.5)
        >>> model.fit(store.batches("train", 8), epochs=3)
    """

    key = "intro_vae"
    label = "IntroVAE"
    section = "2.4"
    notebook = "03_train_introvae"
    presets = PRESETS
    added = {name: PRESETS["paper"][name].value for name in ("game", "negative_weight")}
    draws = ("generator",)
    chains = (("encoder", "generator"),)
    returns = True
    # The encoder sees three images and learns from them (9), then two fakes whose gradients it passes on (4); the generator
    # draws two images and passes on the gradients of one (3), then draws two and learns from them (6).
    passes = {"encoder": 13, "generator": 9}

    def __init__(self, *, seed: int = 0, **config):
        super().__init__(config, seed)
        build = {"residual": self._residual_networks, "plain": self._plain_networks}
        self.encoder, self.generator = choose(build, self.config["architecture"], "architecture")()
        self.average_generator = self.average_of(self.generator)
        self.make_trackers("encoder_loss", "generator_loss", "rec", "kl_real", "kl_rec", "kl_fake")

    def _residual_networks(self) -> tuple[keras.Model, keras.Model]:
        names = ("image_size", "channels", "latent_size", "norm", "slope", "block")
        sizes = {name: self.config[name] for name in names}
        output = self.config["output"]
        return intro_encoder(**sizes), intro_decoder(**sizes, output=output)

    def _plain_networks(self) -> tuple[keras.Model, keras.Model]:
        names = ("image_size", "channels", "latent_size", "norm", "slope")
        sizes = {name: self.config[name] for name in names} | {"initializer": "he_normal"}
        return vae_encoder(**sizes), vae_decoder(**sizes, upsampling=self.config["upsampling"])

    @property
    def decoder(self) -> keras.Model:
        """The network that draws samples: the generator, or its moving average."""
        return self.average_generator or self.generator

    @property
    def objective(self) -> str:
        """What the loss compares, in a few words."""
        fakes = "a large one" if self.is_soft else f"one of at least {self.config['margin']:g}"
        return f"images go back: the encoder gives slices a small KL, fakes {fakes}"

    @property
    def is_soft(self) -> bool:
        """Whether the encoder plays the game of Soft-IntroVAE."""
        return choose({"hinge": False, "soft": True}, self.config["game"], "game")

    def step_passes(self) -> dict[str, float]:
        """``passes``; in the soft game the generator also draws two fakes again, and passes on their gradients."""
        return {**self.passes, "generator": self.passes["generator"] + 4 * self.is_soft}

    def build_optimizers(self) -> list:
        """One Adam for each network."""
        self.encoder_optimizer = self.adam(self.encoder.trainable_variables)
        self.generator_optimizer = self.adam(self.generator.trainable_variables)
        return [self.encoder_optimizer, self.generator_optimizer]

    def draw_noise(self, batch_size: int) -> dict:
        """Noise of the reparameterizations and latents from the prior, all (B, latent_size)."""
        shape = (batch_size, self.latent_size)
        names = ("z", "prior", "z_rec", "z_fake") if self.is_soft else ("z", "prior")
        return {name: keras.random.normal(shape, seed=self.noise_seed) for name in names}

    # ==== The terms of the losses ====

    def reconstruction_error(self, images, reconstructions):
        """Squared error summed over the pixels of an image, at 128 x 128 (sec. 2.4)."""
        return self.sum_scale * losses.squared_error_sum(images, reconstructions)

    def kl_of_fakes(self, reconstruction, fake, step):
        """KL divergence of the encoder's answers to a reconstruction and to an image of latents from the prior.

        Its batch statistics are not updated. In the first ``warmup_steps`` steps, when the model is a plain VAE, both equal the
        margin.
        """

        def divergences():
            return tuple(losses.kl_sum(*without_statistics(self.encoder, images)) for images in (reconstruction, fake))

        margin = ops.convert_to_tensor(self.config["margin"], dtype="float32")
        return from_step(self.config["warmup_steps"], step, divergences, lambda: (margin, margin))

    def kl_of_constant_fakes(self, reconstruction, fake, step):
        """The same in the encoder's step, where the fakes are constants: it judges them but does not improve them."""
        return self.kl_of_fakes(ops.stop_gradient(reconstruction), ops.stop_gradient(fake), step)

    def encoder_loss(self, kl_real, kl_rec, kl_fake, rec):
        """Eq. 8 of sec. 2.4: small for real slices, up to the margin for fakes, averaged over the whole batch."""
        weights, margin = self.config, self.config["margin"]
        fakes = losses.hinge(margin, batch_mean(kl_rec)) + losses.hinge(margin, batch_mean(kl_fake))
        weighted = weights["real_weight"] * kl_real + weights["adversarial_weight"] * fakes
        return weighted + weights["reconstruction_weight"] * rec

    def soft_term(self, fakes, noise):
        """KL divergence of constant fakes, and what stands for them in the soft game: ``soft_hinge`` of the loss of a VAE."""
        fakes = ops.stop_gradient(fakes)
        mean, log_variance = without_statistics(self.encoder, fakes)
        again = without_statistics(self.generator, self.reparameterize(mean, log_variance, noise))
        kl, error = losses.kl_per_image(mean, log_variance), self.sum_scale * losses.squared_error_per_image(fakes, again)
        loss = self.config["negative_weight"] * kl + self.config["reconstruction_weight"] * error
        return ops.mean(kl), losses.soft_hinge(loss)

    def soft_game(self, reconstruction, fake, noise, step):
        """``kl_rec``, ``kl_fake`` and the encoder's loss on them (Daniel & Tamar, eq. 4); none in the warm-up."""

        def play():
            (kl_rec, one), (kl_fake, other) = (
                self.soft_term(reconstruction, noise["z_rec"]),
                self.soft_term(fake, noise["z_fake"]),
            )
            return kl_rec, kl_fake, self.config["adversarial_weight"] * (one + other)

        margin = ops.convert_to_tensor(self.config["margin"], dtype="float32")
        return from_step(self.config["warmup_steps"], step, play, lambda: (margin, margin, ops.zeros_like(margin)))

    def generator_loss(self, kl_rec, kl_fake, rec):
        """Eq. 9 of sec. 2.4: small for fakes, too."""
        fakes = self.config["generator_weight"] * (kl_rec + kl_fake)
        return fakes + self.config["reconstruction_weight"] * rec

    # ==== One training step ====

    def training_step(self, images) -> dict:
        """One step of the encoder, then one of the generator against the new encoder, with the same images of both."""
        noise = self.step_noise(images)
        step = self.encoder_optimizer.iterations + 0  # a copy, since the optimizer keeps counting

        def generate_fakes():  # the generator's batch statistics are those of reconstructions
            return without_statistics(self.generator, noise["prior"])

        def draw() -> tuple:
            mean, log_variance = self.encoder(images, training=True)
            reconstruction = self.generator(self.reparameterize(mean, log_variance, noise["z"]), training=True)
            fake = from_step(self.config["warmup_steps"], step, generate_fakes, lambda: ops.zeros_like(images))
            return mean, log_variance, reconstruction, fake

        # 1 Encoder (sec. 2.4, eq. 8)
        def encoder_loss(mean, log_variance, reconstruction, fake) -> dict:
            kl_real, rec = losses.kl_sum(mean, log_variance), self.reconstruction_error(images, reconstruction)
            if self.is_soft:
                kl_rec, kl_fake, fakes = self.soft_game(reconstruction, fake, noise, step)
                loss = self.config["real_weight"] * kl_real + fakes + self.config["reconstruction_weight"] * rec
            else:
                kl_rec, kl_fake = self.kl_of_constant_fakes(reconstruction, fake, step)
                loss = self.encoder_loss(kl_real, kl_rec, kl_fake, rec)
            return {"loss": loss, "kl_real": kl_real, "kl_rec": kl_rec, "kl_fake": kl_fake, "rec": rec}

        # 2 Generator (sec. 2.4, eq. 9), from the same latents, against the new encoder
        def generator_loss(mean, log_variance, reconstruction, fake) -> dict:
            kl_rec, kl_fake = self.kl_of_fakes(reconstruction, fake, step)
            return {"loss": self.generator_loss(kl_rec, kl_fake, self.reconstruction_error(images, reconstruction))}

        terms, generator_terms = update_in_turn(
            draw,
            (encoder_loss, self.encoder.trainable_variables, self.encoder_optimizer),
            (generator_loss, self.generator.trainable_variables, self.generator_optimizer),
        )

        # 3 Moving average of the generator, if configured
        if self.average_generator is not None:
            self.follow(self.average_generator, self.generator, step)
        return self.track({"encoder_loss": terms.pop("loss"), "generator_loss": generator_terms["loss"], **terms})

    def ailing(self, recent: Sequence[Mapping]) -> str | None:
        """The generator no longer keeps up, so the KL divergence of fakes stays above the margin."""
        margin = self.config["margin"]
        if self.is_soft or min(row["kl_fake"] for row in recent) <= ABOVE_MARGIN * margin:
            return None
        return (
            f"the KL divergence of fakes has stayed at {recent[-1]['kl_fake']:.0f}, far above the margin m = {margin:g}, so "
            "the generator can no longer keep up with the encoder and variety is being lost: lower the learning rate, raise "
            "reconstruction_weight, or train the plain VAE longer first (warmup_steps)."
        )
