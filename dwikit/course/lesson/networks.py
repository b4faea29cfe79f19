"""Questions on the networks (02 to 04), with hints and solutions."""

from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from dwikit.backend.gradients import input_gradient
from dwikit.course.check.case import seeded
from dwikit.course.lesson.question import Question, numbers, on
from dwikit.models import VAE, IntroVAE, StyleGAN, layers, losses


def _normal(seed: int, *shape: int):
    return ops.convert_to_tensor(seeded(seed).normal(size=shape).astype("float32"))


# ==== 02: the two VAEs ====


def kl_per_latent(mean, log_variance):
    """KL divergence of N(mean, exp(log_variance)) from N(0, 1) for each latent; all are (B, latents)."""
    return 0.5 * (ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance)


def reparameterize(mean, log_variance, noise):
    """A draw z from N(mean, exp(log_variance)), made of noise from N(0, 1); all are (B, latents)."""
    return mean + ops.exp(0.5 * log_variance) * noise


def train_step(model, images, noise):
    """One step down the gradient of KL + weight * MSE; returns loss, KL and MSE.

    The model has encoder, decoder, weight, optimizer and trainable_variables; images are (B, H, W, 1).
    """
    with tf.GradientTape() as tape:
        mean, log_variance = model.encoder(images, training=True)
        z = reparameterize(mean, log_variance, noise)
        mse = ops.mean(ops.square(images - model.decoder(z, training=True)))
        kl = ops.mean(kl_per_latent(mean, log_variance))
        loss = kl + model.weight * mse
    gradients = tape.gradient(loss, model.trainable_variables)
    model.optimizer.apply(gradients, model.trainable_variables)
    return {"loss": loss, "kl": kl, "mse": mse}


def _one_step(step) -> tuple:
    """The terms, and all weights after the step."""
    vae = VAE.from_preset("paper", image_size=32, channels=(4, 8), latent_size=3)
    vae.adam_optimizer = keras.optimizers.SGD(0.1)  # after which a gradient of the wrong size shows, too
    vae.adam_optimizer.build(vae.trainable_variables)
    images, noise = ops.sigmoid(_normal(20, 4, 32, 32, 1)), _normal(21, 4, 3)
    parts = {name: getattr(vae, name) for name in ("encoder", "decoder", "trainable_variables")}
    model = SimpleNamespace(**parts, weight=vae.config["reconstruction_weight"], optimizer=vae.adam_optimizer, kit=vae)
    terms = numbers(step(model, images, noise))
    return terms, np.concatenate([ops.convert_to_numpy(weight).ravel() for weight in vae.trainable_variables])


def _kit_step(model, images, noise):
    model.kit.draw_noise = lambda batch_size: {"z": noise}
    return model.kit.training_step(images)


def perceptual_loss(features, others):
    """Squared differences of two lists of feature maps (B, H, W, C): summed per image and layer, averaged over the batch."""
    return sum(ops.mean(ops.sum(ops.square(one - other), axis=(1, 2, 3))) for one, other in zip(features, others))


_MAPS = [_normal(22, 3, 4, 4, 2), _normal(23, 3, 2, 2, 5)], [_normal(24, 3, 4, 4, 2), _normal(25, 3, 2, 2, 5)]


# ==== 03: the IntroVAE ====


def encoder_loss(kl_real, kl_rec, kl_fake, error, m, beta_0, alpha, beta):
    """Eq. 8 of sec. 2.4, from the mean KL divergences of a batch and its reconstruction error."""
    fakes = ops.relu(m - kl_rec) + ops.relu(m - kl_fake)
    return beta_0 * kl_real + alpha * fakes + beta * error


def generator_loss(kl_rec, kl_fake, error, alpha, beta):
    """Eq. 9 of sec. 2.4."""
    return alpha * (kl_rec + kl_fake) + beta * error


def kl_of_constants(encoder, fakes):
    """KL divergence of the encoder's answer to fakes: summed over latents, averaged over the batch.

    The fakes are constants: no gradient may reach what made them.
    """
    mean, log_variance = encoder(ops.stop_gradient(fakes))
    return ops.mean(ops.sum(0.5 * (ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance), axis=-1))


def _kit_encoder_loss(kl_real, kl_rec, kl_fake, error, m, beta_0, alpha, beta):
    config = {"margin": m, "real_weight": beta_0, "adversarial_weight": alpha, "reconstruction_weight": beta}
    return IntroVAE.encoder_loss(SimpleNamespace(config=config), kl_real, kl_rec, kl_fake, error)


def _kit_generator_loss(kl_rec, kl_fake, error, alpha, beta):
    config = {"generator_weight": alpha, "reconstruction_weight": beta}
    return IntroVAE.generator_loss(SimpleNamespace(config=config), kl_rec, kl_fake, error)


def _value_and_gradient(function) -> tuple:
    """Of a toy: an encoder with one weight answers a * x, and judges the fakes that it has made itself, also a * x."""
    x, weight = _normal(26, 5, 3), ops.convert_to_tensor([1.5])

    def judged(a):
        return function(lambda images: (a * images, 0.1 * images), a * x)

    value = judged(weight)
    gradient = None if value is None else input_gradient(judged, weight)
    return value if value is None else (numbers(value), np.zeros(1) if gradient is None else numbers(gradient))


def _kit_kl_of_constants(encoder, fakes):
    judge = SimpleNamespace(kl_of_fakes=lambda one, other, step: (losses.kl_sum(*encoder(one)), losses.kl_sum(*encoder(other))))
    return IntroVAE.kl_of_constant_fakes(judge, fakes, fakes, 0)[0]


# ==== 04: the StyleGAN ====


def adain(x, scale, offset):
    """Give each channel of each image x (B, H, W, C) the mean offset and the standard deviation scale, both (B, 1, 1, C)."""
    mean, variance = ops.moments(x, axes=(1, 2), keepdims=True)
    return scale * (x - mean) / ops.sqrt(variance + 1e-8) + offset


def wasserstein(real_scores, fake_scores):
    """The critic's loss and the generator's, both to be minimized, of scores (B, 1)."""
    return ops.mean(fake_scores) - ops.mean(real_scores), -ops.mean(fake_scores)


def gradient_penalty(critic, real, fake, epsilon):
    """Mean of (|gradient| - 1)^2 at epsilon * real + (1 - epsilon) * fake; images (B, H, W, 1), epsilon (B, 1, 1, 1).

    input_gradient(critic, images) is the gradient of the scores with respect to the images.
    """
    gradient = input_gradient(critic, epsilon * real + (1.0 - epsilon) * fake)
    length = ops.sqrt(ops.sum(ops.square(gradient), axis=(1, 2, 3)) + 1e-12)
    return ops.mean(ops.square(length - 1.0))


def truncate(styles, middle, psi):
    """Move styles (n, W) towards the mean style, middle (W,): psi = 1 changes nothing, psi = 0 leaves the mean alone."""
    return middle + psi * (styles - middle)


def _kit_adain(x, scale, offset):
    return layers.AdaIN(neutral=0.0)(x, ops.concatenate([scale, offset], axis=-1)[:, 0, 0])


def _kit_wasserstein(real_scores, fake_scores):
    return losses.wasserstein_critic(real_scores, fake_scores), losses.wasserstein_generator(fake_scores)


def _critic(images):
    return ops.sum(ops.square(images) + images, axis=(1, 2, 3))[:, None]


def _kit_truncate(styles, middle, psi):
    """``StyleGAN.decode`` with the drawing of images left out."""
    kit = SimpleNamespace(
        styles=lambda latents: latents if len(latents) == len(styles) else np.repeat(middle[None], 2, axis=0),
        draw_latents=lambda n, seed: np.zeros((n, 1)),
        map_sizes=[4],
        draw=lambda given, noise_seed: given[:, 0],
    )
    return StyleGAN.decode(kit, styles, psi)


QUESTIONS = (
    Question(
        kl_per_latent,
        on((_normal(27, 3, 2), _normal(28, 3, 2))),
        (
            "N(0, 1) itself must give 0: try mean 0 and log-variance 0.",
            "Four terms in a bracket, and a half before it. The variance is the exponential of what the encoder gives.",
            "0.5 * (mean squared + variance - 1 - log-variance), for each latent: sum over nothing.",
        ),
        (losses.kl_per_latent,),
    ),
    Question(
        reparameterize,
        on((_normal(29, 3, 2), _normal(30, 3, 2), _normal(31, 3, 2))),
        (
            "Noise 0 must give the mean, noise 1 the mean and one standard deviation.",
            "The encoder gives the logarithm of the variance. Of which number is the standard deviation the exponential?",
            "sigma = exp(log-variance / 2), and z = mean + sigma * noise.",
        ),
        (VAE.reparameterize,),
        lambda mean, log_variance, noise: VAE.reparameterize(SimpleNamespace(config={}), mean, log_variance, noise),
    ),
    Question(
        train_step,
        _one_step,
        (
            "Five lines go inside the tape: encode, draw, decode and compare, KL, loss. Call both networks with training=True.",
            "The loss is the mean of kl_per_latent plus model.weight times the mean squared error, both over everything.",
            "After the tape: tape.gradient(loss, model.trainable_variables), then model.optimizer.apply(gradients, ...). "
            'Return {"loss": loss, "kl": kl, "mse": mse}, in this order.',
        ),
        (VAE.training_step, VAE.reconstruction_terms),
        _kit_step,
        tape=True,
    ),
    Question(
        perceptual_loss,
        on(_MAPS),
        (
            "Two nested things: a sum over layers, and for each layer one number.",
            "Sum each image's squared differences over height, width and channels; only the batch is averaged.",
            "sum(mean(sum(square(one - other), axis=(1, 2, 3))) for one, other in zip(features, others)), with ops.",
        ),
        (losses.perceptual_sum, losses.squared_error_sum),
    ),
    Question(
        encoder_loss,
        on((4.0, 100.0, 130.0, 10.0, 110.0, 0.25, 0.3, 0.5), (4.0, 120.0, 20.0, 10.0, 110.0, 0.25, 0.3, 0.5)),
        (
            "A fake beyond the margin costs nothing, and earns nothing either: [x]+ is ops.relu(x).",
            "Three summands: beta_0 times the real KL, alpha times two hinges, beta times the error.",
            "Each hinge is ops.relu(m - KL), of one kind of fake at a time: a far one must not make up for a near one.",
        ),
        (IntroVAE.encoder_loss,),
        _kit_encoder_loss,
    ),
    Question(
        generator_loss,
        on((100.0, 130.0, 10.0, 0.3, 0.5)),
        (
            "The generator knows no margin: it wants a small KL for its fakes whatever they have.",
            "alpha times the sum of both divergences, plus beta times the error.",
        ),
        (IntroVAE.generator_loss,),
        _kit_generator_loss,
    ),
    Question(
        kl_of_constants,
        _value_and_gradient,
        (
            "Value 1 is the KL divergence, value 2 its gradient. If only the second is wrong: through what did it flow?",
            "ops.stop_gradient(x) is x, but a constant for every gradient. Stop the fakes, not the encoder's answer.",
            "mean, log_variance = encoder(ops.stop_gradient(fakes)); then the KL of 02, its sum over axis -1, the mean.",
        ),
        (IntroVAE.kl_of_constant_fakes, losses.kl_sum),
        _kit_kl_of_constants,
        tape=True,
    ),
    Question(
        adain,
        on((3.0 * _normal(32, 2, 4, 4, 3) + 1.0, _normal(33, 2, 1, 1, 3), _normal(34, 2, 1, 1, 3))),
        (
            "Mean and deviation of each channel of each image, over its pixels alone; images do not see each other.",
            "ops.moments(x, axes=..., keepdims=True) gives the mean and the variance. Which axes are pixels?",
            "Subtract the mean, divide by the square root of the variance (axes 1 and 2), times scale, plus offset.",
        ),
        (layers.AdaIN,),
        _kit_adain,
    ),
    Question(
        wasserstein,
        on((_normal(35, 4, 1), _normal(36, 6, 1))),
        (
            "Both are minimized. The critic wants high scores for real images, the generator for its fakes.",
            "The critic's: mean score of the fakes minus mean score of the real ones. The generator's knows only the fakes.",
        ),
        (losses.wasserstein_critic, losses.wasserstein_generator),
        _kit_wasserstein,
    ),
    Question(
        gradient_penalty,
        on((_critic, _normal(37, 3, 2, 2, 1), _normal(38, 3, 2, 2, 1), ops.sigmoid(_normal(39, 3, 1, 1, 1)))),
        (
            "Where is the slope asked for? At epsilon * real + (1 - epsilon) * fake, an image between the two.",
            "One length per image: the root of the sum of its squared gradient over height, width and channels.",
            "Mean over the batch of (length - 1)^2, and input_gradient(critic, between) is the gradient.",
        ),
        (losses.gradient_penalty,),
        tape=True,
    ),
    Question(
        truncate,
        on((seeded(40).normal(size=(3, 4)).astype("float32"), seeded(41).normal(size=4).astype("float32"), 0.7)),
        ("Start from the mean and go a share psi of the way.", "middle + psi * (styles - middle)"),
        (StyleGAN.decode,),
        _kit_truncate,
    ),
)
