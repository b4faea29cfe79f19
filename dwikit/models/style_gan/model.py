"""The modified StyleGAN (sec. 2.5)."""

from collections.abc import Mapping, Sequence

import keras
from keras import ops

from dwikit.backend.gradients import update
from dwikit.backend.steps import every
from dwikit.common.errors import InputError, choose
from dwikit.models import losses
from dwikit.models.style_gan import networks
from dwikit.models.style_gan.generator import StyleGenerator
from dwikit.models.style_gan.presets import PRESETS

LOSSES = {
    "wasserstein": (losses.wasserstein_critic, losses.wasserstein_generator),
    "least_squares": (losses.least_squares_critic, losses.least_squares_generator),
    "logistic": (losses.logistic_critic, losses.logistic_generator),
}
RANGES = {"unit": (1.0, 0.0), "signed": (2.0, -1.0)}
"""Scale and offset from [0, 1] to what the critic sees."""


PENALTY = 6
"""Forward passes of the critic that a gradient penalty costs: one, the gradient of the inputs, and for both again the
gradients of weights and inputs."""
CRITIC_AHEAD = 1e3
"""Difference of the critic's scores for real and fake; with a working penalty it stays below about 100."""


@keras.saving.register_keras_serializable("dwikit")
class StyleGAN(StyleGenerator):
    """A generator that starts from a constant and takes a style in every layer (sec. 2.5, eq. 11-12).

    * ``mapping``: latents z to styles w
    * ``synthesis``: styles, and noise for each layer, to images
    * ``critic``: images to scores, high for real ones

    Example:
        >>> model = StyleGAN.from_preset("paper", image_size=64, width=0.5)
        >>> model.fit(store.batches("train", 4), epochs=3)
        >>> model.sample(16, truncation=0.7).shape
        (16, 64, 64, 1)
    """

    key = "style_gan"
    label = "StyleGAN"
    section = "2.5"
    notebook = "04_train_stylegan"
    presets = PRESETS
    draws = ("mapping", "synthesis")
    chains = (("mapping", "synthesis"), ("critic",))
    # The critic learns from a real and a fake image (6) and judges one more for the generator (2), which draws once for the
    # critic and then learns (4).
    passes = {"mapping": 4, "synthesis": 4, "critic": 8}

    def __init__(self, *, seed: int = 0, **config):
        super().__init__(config, seed)
        self.critic_term, self.generator_term = choose(LOSSES, self.config["loss"], "loss")
        self.scale, self.offset = choose(RANGES, self.config["critic_range"], "critic_range")
        self.critic = networks.critic_network(self.config)
        self.make_trackers("critic_loss", "generator_loss", "real_score", "fake_score", "penalty")

    def build_optimizers(self) -> list:
        """One Adam for the critic, one for mapping and synthesis."""
        self.critic_optimizer = self.adam(self.critic.trainable_variables)
        self.generator_optimizer = self.adam(self.generator_variables)
        return [self.critic_optimizer, self.generator_optimizer]

    def check_devices(self, devices: int, together: int = 1) -> None:
        """As in the base class; the critic's groups must stay whole, and its dropout would differ from that on one device."""
        if self.config["dropout"]:
            raise InputError(
                f"The critic's dropout of {self.config['dropout']} drops other values on several devices than on one: "
                "train on one device, or set dropout: 0."
            )
        super().check_devices(devices, max(1, self.config["minibatch_group"]))

    @property
    def generator_variables(self) -> list:
        """What the generator learns."""
        return self.mapping.trainable_variables + self.synthesis.trainable_variables

    # ==== Random draws ====

    def draw_noise(self, batch_size: int) -> dict:
        """Everything random about one batch of fakes and one penalty.

        ``z`` and ``z_mixed`` (B, latent_size); ``crossover`` (B, 1, 1), the layer from which ``z_mixed`` sets the style;
        ``maps``, one (B, S, S, 1) per layer; ``epsilon`` (B, 1, 1, 1), the point of the gradient penalty.
        """
        layers, shape, seed = len(self.map_sizes), (batch_size, self.latent_size), self.noise_seed
        mixed = keras.random.uniform((batch_size, 1, 1), seed=seed) < self.config["mixing"]
        crossover = keras.random.randint((batch_size, 1, 1), 1, layers, seed=seed)
        if self.config["noise"] == "uniform":
            image = keras.random.uniform((batch_size, self.image_size, self.image_size, 1), seed=seed)
            maps = [self.crop(image, size) for size in self.map_sizes]
        else:
            maps = [keras.random.normal((batch_size, size, size, 1), seed=seed) for size in self.map_sizes]
        return {
            "z": keras.random.normal(shape, seed=seed),
            "z_mixed": keras.random.normal(shape, seed=seed),
            "crossover": ops.where(mixed, crossover, layers),
            "maps": maps,
            "epsilon": keras.random.uniform((batch_size, 1, 1, 1), seed=seed),
        }

    # ==== The terms of the losses ====

    def generate(self, noise: dict):
        """Fake images (B, H, W, 1) in the critic's range."""
        styles = self.repeat_styles(self.mapping(noise["z"]))
        if self.config["mixing"]:
            layer = ops.arange(len(self.map_sizes))[None, :, None]
            styles = ops.where(layer < noise["crossover"], styles, self.repeat_styles(self.mapping(noise["z_mixed"])))
        return self.scale * self.synthesis([styles, *noise["maps"]], training=True) + self.offset

    def penalty(self, real, fake, epsilon, step):
        """Gradient penalty (Wasserstein) or R1 (other losses), every ``penalty_interval`` steps, times that number."""
        interval = self.config["penalty_interval"]

        def value():
            if self.config["loss"] == "wasserstein":
                penalty = losses.gradient_penalty(self.judge, real, fake, epsilon)
            else:
                penalty = losses.r1_penalty(self.judge, real)
            return self.config["penalty"] * interval * penalty

        return every(interval, step, value)

    def judge(self, images):
        """Scores (B, 1) of images in the critic's range."""
        return self.critic(images, training=True)

    # ==== One training step ====

    def training_step(self, images) -> dict:
        """One step of the critic, then one of the generator against the new critic, each with its own fakes."""
        step = self.critic_optimizer.iterations + 0  # a copy, since the optimizer keeps counting
        real = self.scale * images + self.offset

        # 1 Critic (sec. 2.5, eq. 11). The fakes are constants to it.
        noise = self.step_noise(images)
        fake = ops.stop_gradient(self.generate(noise))

        def critic_loss() -> dict:
            real_scores, fake_scores = self.judge(real), self.judge(fake)
            penalty = self.penalty(real, fake, noise["epsilon"], step)
            loss = self.critic_term(real_scores, fake_scores) + self.config["drift"] * losses.drift(real_scores)
            scores = {"real_score": ops.mean(real_scores), "fake_score": ops.mean(fake_scores)}
            return {"loss": loss + penalty, "penalty": penalty, **scores}

        terms = update(critic_loss, self.critic.trainable_variables, self.critic_optimizer)

        # 2 Generator (sec. 2.5, eq. 12)
        new_noise = self.step_noise(images)

        def generator_loss() -> dict:
            return {"loss": self.generator_term(self.judge(self.generate(new_noise)))}

        generator_terms = update(generator_loss, self.generator_variables, self.generator_optimizer)

        # 3 Moving average of the generator, if configured
        if self.config["ema"]:
            self.follow(self.average_mapping, self.mapping, step)
            self.follow(self.average_synthesis, self.synthesis, step)
        return self.track({"critic_loss": terms.pop("loss"), "generator_loss": generator_terms["loss"], **terms})

    def ailing(self, recent: Sequence[Mapping]) -> str | None:
        """The critic is so far ahead that its gradient is no longer informative."""
        ahead = [row["real_score"] - row["fake_score"] for row in recent]
        if min(map(abs, ahead)) <= CRITIC_AHEAD:
            return None
        return (
            f"the critic tells real from fake by {ahead[-1]:.3g}, out of the generator's reach: raise penalty, or lower the "
            "learning rate."
        )

    def step_passes(self) -> dict[str, float]:
        """``passes`` with those of the penalty, which the paper does not mention."""
        penalty = PENALTY / self.config["penalty_interval"] if self.config["penalty"] else 0
        return self.passes | {"critic": self.passes["critic"] + penalty}
