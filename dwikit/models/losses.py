"""The losses, one function an equation. Sums and means are said in each name or docstring, since papers rarely do.

``mean`` and ``log_variance`` are (B, latent_size); images are (B, H, W, 1) in [0, 1].
"""

from keras import ops


def kl_per_latent(mean, log_variance):
    """KL divergence of N(mean, exp(log_variance)) from N(0, 1) for each latent: (B, latent_size), in nats (sec. 2.2, eq. 4).

    The equation lacks a logarithm in print; this is the closed form.
    """
    return 0.5 * (ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance)


def kl_mean(mean, log_variance):
    """KL divergence averaged over latents and batch: the reading under which the paper's weights make sense."""
    return ops.mean(kl_per_latent(mean, log_variance))


def kl_sum(mean, log_variance):
    """KL divergence summed over latents, averaged over the batch."""
    return ops.mean(ops.sum(kl_per_latent(mean, log_variance), axis=-1))


def squared_error_mean(images, others):
    """Mean squared error over batch and pixels."""
    return ops.mean(ops.square(images - others))


def squared_error_sum(images, others):
    """Squared error summed over the pixels of an image, averaged over the batch."""
    return ops.mean(ops.sum(ops.square(images - others), axis=(1, 2, 3)))
