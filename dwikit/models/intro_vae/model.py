"""The introspective variational autoencoder (sec. 2.4)."""

import keras
from keras import ops

from dwikit.backend import distribution
from dwikit.backend.gradients import isolated, update_in_turn
from dwikit.models import losses
from dwikit.models.autoencoder import Autoencoder
from dwikit.models.intro_vae.networks import intro_decoder, intro_encoder
from dwikit.models.presets import choose
from dwikit.models.vae.networks import vae_decoder, vae_encoder


@keras.saving.register_keras_serializable("dwikit")
class IntroVAE(Autoencoder):
    """A VAE whose encoder is also the critic of its decoder, called the generator (sec. 2.4, eq. 8-9).

    The encoder gives real slices a small KL divergence from N(0, 1) and fake ones at least the margin; the generator tries
    to make fakes of a small one. Both keep reconstructing. Symbols:

    * ``kl_real``, ``kl_rec``, ``kl_fake``: KL divergence of the encoder's answer to real slices, to reconstructions, and to
      images of latents from the prior; summed over latents, averaged over the batch
    * ``rec``: squared error of the reconstructions, summed over the pixels of an image (of 128 x 128, see ``sum_scale``)
    * ``config["margin"]``: m, what the encoder wants ``kl_rec`` and ``kl_fake`` to reach

    Example:
        >>> model = IntroVAE.from_preset("paper", image_size=64, width=0.5)
        >>> model.fit(store.batches("train", 8), epochs=3)
    """

    key = "intro_vae"
    label = "IntroVAE"

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
        """What images are sampled with: the generator, or the moving average of it."""
        return self.average_generator or self.generator

    def build_optimizers(self) -> list:
        """One Adam for each network."""
        self.encoder_optimizer = self.adam(self.encoder.trainable_variables)
        self.generator_optimizer = self.adam(self.generator.trainable_variables)
        return [self.encoder_optimizer, self.generator_optimizer]

    def draw_noise(self, batch_size: int) -> dict:
        """Noise of the reparameterization and latents from the prior, both (B, latent_size)."""
        shape = (batch_size, self.latent_size)
        return {name: keras.random.normal(shape, seed=self.noise_seed) for name in ("z", "prior")}

    # ==== The terms of the losses ====

    def reconstruction_error(self, images, reconstructions):
        """Squared error summed over the pixels of an image, at 128 x 128 (sec. 2.4)."""
        return self.sum_scale * losses.squared_error_sum(images, reconstructions)

    def as_judged(self, fake):
        """A fake as it reaches the encoder's step: a constant, which the encoder judges and does not improve."""
        return ops.stop_gradient(fake)

    def kl_of_fakes(self, reconstruction, fake, step):
        """KL divergence of the encoder's answers to a reconstruction and to an image of latents from the prior.

        Its statistics stay as they are. In the first ``warmup_steps`` steps, when the model is a plain VAE, both are the
        margin.
        """

        def divergences():
            with isolated():
                return tuple(losses.kl_sum(*self.encoder(images, training=True)) for images in (reconstruction, fake))

        margin = ops.convert_to_tensor(self.config["margin"], dtype="float32")
        return self.after_warmup(step, divergences, lambda: (margin, margin))

    def after_warmup(self, step, then, before):
        """``then()`` from step ``config["warmup_steps"]`` on, until there ``before()``."""
        warmup = self.config["warmup_steps"]
        if not warmup:
            return then()
        if distribution.replicas() > 1:  # devices cannot exchange statistics inside of a branch: both are computed
            return keras.tree.map_structure(lambda new, old: ops.where(step >= warmup, new, old), then(), before())
        return ops.cond(step >= warmup, then, before)

    def encoder_loss(self, kl_real, kl_rec, kl_fake, rec):
        """Eq. 8 of sec. 2.4: small for real slices, up to the margin for fakes, on the average over the whole batch."""
        weights, margin = self.config, self.config["margin"]
        kl_rec, kl_fake = distribution.average((kl_rec, kl_fake))
        fakes = losses.hinge(margin, kl_rec) + losses.hinge(margin, kl_fake)
        weighted = weights["real_weight"] * kl_real + weights["adversarial_weight"] * fakes
        return weighted + weights["reconstruction_weight"] * rec

    def generator_loss(self, kl_rec, kl_fake, rec):
        """Eq. 9 of sec. 2.4: small for fakes, too."""
        fakes = self.config["generator_weight"] * (kl_rec + kl_fake)
        return fakes + self.config["reconstruction_weight"] * rec

    # ==== One training step ====

    def training_step(self, images) -> dict:
        """One step of the encoder, then one of the generator against the new encoder, with the same images of both."""
        noise = distribution.draw(self.draw_noise, ops.shape(images)[0])
        step = self.encoder_optimizer.iterations + 0  # a copy, since the optimizer counts on

        def generate_fakes():
            with isolated():  # the generator's statistics are those of reconstructions
                return self.generator(noise["prior"], training=True)

        def draw() -> tuple:
            mean, log_variance = self.encoder(images, training=True)
            reconstruction = self.generator(self.reparameterize(mean, log_variance, noise["z"]), training=True)
            fake = self.after_warmup(step, generate_fakes, lambda: ops.zeros_like(images))
            return mean, log_variance, reconstruction, fake

        # 1 Encoder (sec. 2.4, eq. 8)
        def encoder_loss(mean, log_variance, reconstruction, fake) -> dict:
            kl_rec, kl_fake = self.kl_of_fakes(self.as_judged(reconstruction), self.as_judged(fake), step)
            kl_real, rec = losses.kl_sum(mean, log_variance), self.reconstruction_error(images, reconstruction)
            loss = self.encoder_loss(kl_real, kl_rec, kl_fake, rec)
            return {"loss": loss, "kl_real": kl_real, "kl_rec": kl_rec, "kl_fake": kl_fake, "rec": rec}

        # 2 Generator (sec. 2.4, eq. 9), of the same latents, against the new encoder
        def generator_loss(mean, log_variance, reconstruction, fake) -> dict:
            kl_rec, kl_fake = self.kl_of_fakes(reconstruction, fake, step)
            return {"loss": self.generator_loss(kl_rec, kl_fake, self.reconstruction_error(images, reconstruction))}

        terms, generator_terms = update_in_turn(
            draw,
            (encoder_loss, self.encoder.trainable_variables, self.encoder_optimizer),
            (generator_loss, self.generator.trainable_variables, self.generator_optimizer),
        )

        # 3 Moving average of the generator, where asked for
        if self.average_generator is not None:
            self.follow(self.average_generator, self.generator, step)
        return self.track({"encoder_loss": terms.pop("loss"), "generator_loss": generator_terms["loss"], **terms})
