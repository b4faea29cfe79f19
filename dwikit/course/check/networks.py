"""Expected answers of the exercises on the networks (2 to 7 and 11), each found in a different way than asked.

By numerical integration, by finite differences, by trying all, or from inputs made so that the answer is known beforehand.
"""

import itertools

import numpy as np

from dwikit.course.check.case import Case, seeded

# ==== 2 Kullback-Leibler divergence ====


def _log_normal_density(z, mean, sd):
    return -0.5 * np.square((z - mean) / sd) - np.log(sd) - 0.5 * np.log(2 * np.pi)


def _kl_by_integration(mean: float, sd: float) -> float:
    z = np.linspace(mean - 12 * sd, mean + 12 * sd, 20_001)
    log_q, log_p = _log_normal_density(z, mean, sd), _log_normal_density(z, 0.0, 1.0)
    return float(np.sum(np.exp(log_q) * (log_q - log_p)) * (z[1] - z[0]))


def kl() -> Case:
    """By numerical integration of q log(q / p), latent by latent."""
    mean, sd = seeded(2).normal(size=(3, 2)), seeded(3).choice([0.25, 0.5, 2.0], (3, 2))
    expected = [sum(_kl_by_integration(m, s) for m, s in zip(*row)) for row in zip(mean, sd)]
    return Case(
        {"mean": mean, "log_variance": np.log(sd**2)},
        expected,
        "N(0, 1) itself must give 0. Sum over latents, not over images; the encoder's second answer is a logarithm.",
    )


def kl_monte_carlo() -> Case:
    """Draws with mean exactly 0 and variance exactly 1 estimate without error: by numerical integration, too."""
    noise = seeded(4).normal(size=(50, 2))
    noise = (noise - noise.mean(0)) / noise.std(0)
    mean, sd = np.array([0.5, -1.0]), np.array([0.5, 2.0])
    expected = sum(_kl_by_integration(m, s) for m, s in zip(mean, sd))
    arguments = {"mean": mean, "log_variance": np.log(sd**2), "noise": noise}
    return Case(arguments, expected, "Draw z = mean + sd * noise; average log q(z) - log p(z) over draws, sum over latents.")


# ==== 3 Reparameterization ====


def _latents() -> tuple[dict, np.ndarray]:
    random = seeded(5)
    sd = random.choice([0.25, 0.5, 2.0], (2, 2))
    return {"mean": random.normal(size=(2, 2)), "log_variance": np.log(sd**2), "noise": random.normal(size=(2, 2))}, sd


def sample() -> Case:
    """From standard deviations that are known before their logarithm is taken."""
    arguments, sd = _latents()
    expected = arguments["mean"] + sd * arguments["noise"]
    return Case(arguments, expected, "Noise 0 gives the mean, noise 1 one standard deviation more. Print the deviations.")


def gradient() -> Case:
    """By finite differences."""
    arguments, _ = _latents()
    upstream, noise, step = seeded(6).normal(size=(2, 2)), arguments["noise"], 1e-5

    def z(mean, log_variance):
        return mean + np.sqrt(np.exp(log_variance)) * noise

    mean, log_variance = arguments["mean"], arguments["log_variance"]
    by_mean = (z(mean + step, log_variance) - z(mean - step, log_variance)) / (2 * step)
    by_log_variance = (z(mean, log_variance + step) - z(mean, log_variance - step)) / (2 * step)
    expected = upstream * by_mean, upstream * by_log_variance
    return Case(arguments | {"dz": upstream}, expected, "The chain rule: dz times the derivative of z in each input.")


# ==== 4 Pixel loss and perceptual loss ====


def pixel_loss() -> Case:
    """Half the pixels differ by 0.2."""
    one = seeded(7).uniform(0, 0.5, (4, 4))
    other = one + 0.2 * (np.indices(one.shape).sum(0) % 2)
    return Case({"image": one, "other": other}, 0.5 * 0.2**2, "A mean over pixels makes 64 x 64 and 128 x 128 comparable.")


def layer_loss() -> Case:
    """Every feature differs by 0.4."""
    one = seeded(8).uniform(0, 1, (4, 6, 3))
    return Case({"features": one, "others": one - 0.4}, 0.4**2 / 2, "Count the features of the layer. And the 2 in eq. 7?")


def preference() -> Case:
    """A loss that is the difference of two numbers."""

    def loss(image, other):
        return abs(image - other)

    arguments = {"loss": loss, "image": 10.0, "shifted": 14.0, "blurred": 11.0}
    return Case(arguments, 4.0, "Shifted over blurred; above 1 means that the loss prefers the blurred image.")


# ==== 5 The introspective margin ====


def encoder_loss() -> Case:
    """Term by term: 0.25 KL(x), the reconstruction below the margin, the fake above it, 0.5 squared error."""
    arguments = {"kl_real": 4.0, "kl_rec": 100.0, "kl_fake": 130.0, "error": 10.0, "m": 110.0}
    return Case(arguments, 1.0 + 2.5 + 0.0 + 5.0, "A fake beyond the margin costs nothing, and earns nothing either.")


def _toy_loss(a, x, fake, m):
    """Encoder's loss without prior samples; only the fake's size is given."""
    return 0.25 * (a * x) ** 2 / 2 + 0.25 * max(0.0, m - (a * fake) ** 2 / 2) + 0.5 * (x - a * x) ** 2


def gradient_stopped() -> Case:
    """By finite differences, the reconstruction held at its value."""
    a, x, m, step = 1.1, 10.0, 110.0, 1e-5
    expected = (_toy_loss(a + step, x, a * x, m) - _toy_loss(a - step, x, a * x, m)) / (2 * step)
    return Case({"a": a, "x": x, "m": m}, expected, "The reconstruction inside the hinge is a number here, although a made it.")


def gradient_through() -> Case:
    """By finite differences, the reconstruction following."""
    a, x, m, step = 1.1, 10.0, 110.0, 1e-5
    expected = (_toy_loss(a + step, x, (a + step) * x, m) - _toy_loss(a - step, x, (a - step) * x, m)) / (2 * step)
    return Case({"a": a, "x": x, "m": m}, expected, "Write the reconstruction's KL as a function of a alone; differentiate.")


# ==== 6 AdaIN ====


def _maps() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two images of 4 x 4 pixels and two channels: a pattern of mean 0 and deviation 1, and means and deviations (2, 2)."""
    random = seeded(9)
    pattern = np.stack([random.permuted(np.repeat([-1.0, 1.0], 8)).reshape(4, 4) for _ in range(4)], -1)
    pattern = np.moveaxis(pattern.reshape(4, 4, 2, 2), 2, 0)
    return pattern, random.normal(size=(2, 2)), random.uniform(0.5, 2, (2, 2)), random.normal(size=(2, 2, 2))


def adain() -> Case:
    """From a pattern that is already normalized."""
    pattern, mean, sd, style = _maps()
    x = pattern * sd[:, None, None] + mean[:, None, None]
    expected = pattern * style[0][:, None, None] + style[1][:, None, None]
    hint = "Mean and deviation of each channel of each image, over its pixels alone; images do not see each other."
    return Case({"x": x, "scale": style[0], "offset": style[1]}, expected, hint)


def style_of() -> Case:
    """Means and deviations that were put in."""
    pattern, mean, sd, _ = _maps()
    x = pattern * sd[:, None, None] + mean[:, None, None]
    return Case({"x": x}, (sd, mean), "One number per channel and image: (B, C). First the deviation (scale), then the mean.")


# ==== 7 Wasserstein ====


def wasserstein() -> Case:
    """The cheapest way to pair the numbers, found by trying all."""
    real, fake = seeded(10).normal(size=5), seeded(11).normal(1, 2, 5)
    expected = min(np.mean(np.abs(real - order)) for order in itertools.permutations(fake))
    return Case({"real": real, "fake": np.array(fake)}, expected, "The cheapest plan pairs smallest with smallest.")


def critic_gap() -> Case:
    """Scores that are known: the critic counts."""
    arguments = {"critic": np.sign, "real": np.array([3.0, 2.0, -1.0, 5.0]), "fake": np.array([-2.0, -1.0])}
    return Case(arguments, (3 - 1) / 4 + 2 / 2, "Mean score of the real ones minus mean score of the fake ones.")


def gradient_penalty() -> Case:
    """Gradients of length 1, 2 and 4."""
    direction = seeded(12).normal(size=(3, 2, 2))
    length = np.array([1.0, 2.0, 4.0])
    gradients = np.stack([row / np.linalg.norm(row) * size for row, size in zip(direction, length)])
    return Case(
        {"gradients": gradients}, (0 + 1 + 9) / 3, "One length per image, over all its pixels; then its distance from 1."
    )


# ==== 11 Diffusion ====


def best_denoiser() -> Case:
    """An image beside the line between two others: their odds follow from where along the line it is. A third is far off."""
    random, share, sigma = seeded(13), 0.6, 0.7
    one, other = random.normal(size=(2, 4))
    line, far = other - one, random.normal(size=4)
    far -= far @ line / (line @ line) * line
    odds = np.exp((share - 0.5) * line @ line / sigma**2)
    expected = one + line * odds / (1 + odds)
    x = one + share * line + 100 * far / np.linalg.norm(far)
    hint = "If all weights are 0, subtract the smallest squared distance first. Distances are summed over pixels, not averaged."
    return Case({"x": x, "sigma": sigma, "images": np.stack([one, other, one + 1000])}, expected, hint)


def midpoint_step() -> Case:
    """Where D is sigma x / 4: slope x / 4 at noise 2, and so to 7/8 of x; there 35/96 of x, which the step takes away."""

    def denoise(x, sigma):
        """a function that returns sigma * x / 4"""
        return sigma * x / 4

    arguments = {"denoise": denoise, "x": np.array([1.0, -2.0]), "sigma": 2.0, "lower": 1.0}
    hint = "Half of the way at the first slope; then all of the way, from x itself, at the slope of the middle and its noise."
    return Case(arguments, np.array([1.0, -2.0]) * (1 - 35 / 96), hint)
