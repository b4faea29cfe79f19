"""The losses, one function per equation. Each name or docstring says where it sums or averages; papers rarely do.

Equation numbers repeat in the paper, so each is cited with its section. ``mean`` and ``log_variance`` are
(B, latent_size); images are (B, H, W, 1) in [0, 1]; scores are (B, 1).
"""

from collections.abc import Callable, Sequence

from keras import ops

from dwikit.backend.gradients import input_gradient

# ==== Variational autoencoders (sec. 2.2) ====


def kl_per_latent(mean, log_variance):
    """KL divergence of N(mean, exp(log_variance)) from N(0, 1) for each latent: (B, latent_size), in nats (sec. 2.2, eq. 4).

    The equation lacks a logarithm in print; this is the closed form.
    """
    return 0.5 * (ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance)


def kl_mean(mean, log_variance):
    """KL divergence averaged over latents and batch: the reading that makes sense of the paper's weights."""
    return ops.mean(kl_per_latent(mean, log_variance))


def kl_per_image(mean, log_variance):
    """KL divergence summed over latents: (B,)."""
    return ops.sum(kl_per_latent(mean, log_variance), axis=-1)


def kl_sum(mean, log_variance):
    """KL divergence summed over latents, averaged over the batch."""
    return ops.mean(kl_per_image(mean, log_variance))


def squared_error_mean(images, others):
    """Mean squared error over batch and pixels."""
    return ops.mean(ops.square(images - others))


def squared_error_per_image(images, others):
    """Squared error summed over the pixels of an image: (B,)."""
    return ops.sum(ops.square(images - others), axis=(1, 2, 3))


def squared_error_sum(images, others):
    """Squared error summed over the pixels of an image, averaged over the batch."""
    return ops.mean(squared_error_per_image(images, others))


# ==== Perceptual loss (sec. 2.3) ====


def perceptual_sum(features: Sequence, others: Sequence):
    """Squared differences summed over the features of an image and over layers, averaged over the batch (sec. 2.3, eq. 6-7).

    Eq. 7 divides each layer by 2 H W C; the released code does not; its weight is ten times the printed one.
    """
    return sum(squared_error_sum(a, b) for a, b in zip(features, others))


def perceptual_mean(features: Sequence, others: Sequence):
    """Squared differences averaged over batch and features, summed over layers."""
    return sum(squared_error_mean(a, b) for a, b in zip(features, others))


# ==== IntroVAE (sec. 2.4) ====


def hinge(margin: float, kl):
    """[m - KL]+ for a KL divergence already averaged over the batch (sec. 2.4, eq. 8)."""
    return ops.relu(margin - kl)


def soft_hinge(loss, scale: float = 128.0**2):
    """exp(-2 L / scale) * scale / 2 averaged over the batch, L the loss of a VAE on each fake: (B,).

    In the place of the hinge it has no margin: the larger L already is, the less it pushes (Daniel & Tamar 2021,
    Soft-IntroVAE, eq. 4 with alpha = 2; their loss as a whole is divided by the number of pixels, which is ``scale``).
    """
    return ops.mean(ops.exp(-2.0 / scale * loss)) * scale / 2.0


# ==== Critic and generator (sec. 2.5) ====


def wasserstein_critic(real, fake):
    """E[f(fake)] - E[f(real)], minimized by the critic f (sec. 2.5, eq. 11; sign as in the WGAN paper)."""
    return ops.mean(fake) - ops.mean(real)


def wasserstein_generator(fake):
    """- E[f(fake)], minimized by the generator (sec. 2.5, eq. 12; sign as in the WGAN paper)."""
    return -ops.mean(fake)


def least_squares_critic(real, fake):
    """Real scores to +1, fake scores to -1 (released code)."""
    return ops.mean(ops.square(real - 1.0)) + ops.mean(ops.square(fake + 1.0))


def least_squares_generator(fake):
    """Fake scores to 0, halfway to real (released code)."""
    return ops.mean(ops.square(fake))


def logistic_critic(real, fake):
    """Logistic loss of telling real (positive scores) from fake (the StyleGAN paper's)."""
    return ops.mean(ops.softplus(fake)) + ops.mean(ops.softplus(-real))


def logistic_generator(fake):
    """Non-saturating logistic loss of the generator (the StyleGAN paper's)."""
    return ops.mean(ops.softplus(-fake))


def drift(real):
    """Mean square of the real scores, which keeps a Wasserstein critic from drifting (the PGGAN paper)."""
    return ops.mean(ops.square(real))


def _squared_norm(gradient):
    return ops.sum(ops.square(gradient), axis=(1, 2, 3))


def gradient_penalty(critic: Callable, real, fake, epsilon):
    """(|grad f| - 1)^2 at random points between real and fake; epsilon is (B, 1, 1, 1) in [0, 1] (the WGAN-GP paper).

    The paper under study states no Lipschitz constraint, without which eq. 11 of sec. 2.5 has no minimum.
    """
    gradient = input_gradient(critic, epsilon * real + (1.0 - epsilon) * fake)
    return ops.mean(ops.square(ops.sqrt(_squared_norm(gradient) + 1e-12) - 1.0))


def r1_penalty(critic: Callable, real):
    """Half the squared gradient of the critic at real images ("R1")."""
    return 0.5 * ops.mean(_squared_norm(input_gradient(critic, real)))
