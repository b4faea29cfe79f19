"""A network of one's own, as short as one can be: a GAN of two small networks that tell real from fake by a logistic loss."""

import keras
from keras import layers, ops

from dwikit.backend.gradients import update
from dwikit.models import GenerativeModel, losses


class SmallGAN(GenerativeModel):
    """Noise to images, and a critic."""

    key, label = "small_gan", "Small GAN"
    presets = {"paper": {"latent_size": 8, "channels": [8, 16, 16, 32], "learning_rate": 2e-4, "beta_1": 0.5, "batch_size": 8}}

    def __init__(self, *, seed: int = 0, **config):
        super().__init__(config, seed)
        size, channels = self.image_size, self.config["channels"]
        x = latents = keras.Input((self.latent_size,))
        x = layers.Reshape((size // 4, size // 4, channels[1]))(layers.Dense(size * size // 16 * channels[1])(x))
        for n in (channels[0], 1):
            x = layers.Conv2DTranspose(n, 4, strides=2, padding="same")(layers.LeakyReLU()(x))
        self.generator = keras.Model(latents, layers.Activation("sigmoid")(x), name="generator")
        images = keras.Input((size, size, 1))
        halved = layers.LeakyReLU()(layers.Conv2D(channels[0], 4, strides=2)(images))
        self.critic = keras.Model(images, layers.Dense(1)(layers.Flatten()(halved)), name="critic")
        self.make_trackers("critic_loss", "generator_loss")

    def build_optimizers(self):
        self.critic_optimizer = self.adam(self.critic.trainable_variables)
        self.generator_optimizer = self.adam(self.generator.trainable_variables)
        return [self.critic_optimizer, self.generator_optimizer]

    def draw_noise(self, batch_size):
        return {"z": keras.random.normal((batch_size, self.latent_size), seed=self.noise_seed)}

    def training_step(self, images):
        z = self.step_noise(images)["z"]
        fake = ops.stop_gradient(self.generator(z, training=True))
        critic = update(
            lambda: {"loss": losses.logistic_critic(self.critic(images), self.critic(fake))},
            self.critic.trainable_variables,
            self.critic_optimizer,
        )
        generator = update(
            lambda: {"loss": losses.logistic_generator(self.critic(self.generator(z, training=True)))},
            self.generator.trainable_variables,
            self.generator_optimizer,
        )
        return self.track({"critic_loss": critic["loss"], "generator_loss": generator["loss"]})
