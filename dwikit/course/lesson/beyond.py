"""Questions on the diffusion model (08), with hints and solutions."""

from types import SimpleNamespace

import numpy as np

from dwikit.course.check.case import seeded
from dwikit.course.lesson.question import Question, on
from dwikit.models.diffusion import model as diffusion
from dwikit.models.diffusion.model import preconditioning


def _normal(seed: int, *shape: int):
    return seeded(seed).normal(size=shape).astype("float32")


def add_noise(clean, sigma, noise):
    """Images (B, H, W, 1) with noise of standard deviation sigma, made of noise from N(0, 1)."""
    return clean + sigma * noise


def denoise(network, x, sigma, sigma_data):
    """D(x; sigma), images without their noise, from network(image, c_noise), which is F.

    preconditioning(sigma, sigma_data) gives c_skip, c_out, c_in and c_noise.
    """
    c_skip, c_out, c_in, c_noise = preconditioning(sigma, sigma_data)
    return c_skip * x + c_out * network(c_in * x, c_noise)


def heun_step(denoise, x, sigma, lower):
    """From noise of strength sigma to a lower one, which may be 0; denoise(x, sigma) is D."""
    here = (x - denoise(x, sigma)) / sigma
    moved = x + (lower - sigma) * here
    if lower == 0:
        return moved
    there = (moved - denoise(moved, lower)) / lower
    return x + (lower - sigma) * (here + there) / 2


def _network(seen, c_noise):
    return seen**2 + c_noise


def _kit_denoise(network, x, sigma, sigma_data):
    kit = SimpleNamespace(config={"sigma_data": sigma_data})
    return diffusion.Diffusion.denoise(kit, x, sigma, lambda given, training: network(*given))


def _denoise(x, sigma):
    return np.tanh(x) / (1 + sigma)


QUESTIONS = (
    Question(
        add_noise,
        on((_normal(50, 2, 4, 4, 1), 0.5, _normal(51, 2, 4, 4, 1))),
        (
            "Noise 0 must leave the images alone, and so must sigma 0.",
            "A number from N(0, 1) times sigma has the standard deviation sigma.",
        ),
        (diffusion.add_noise,),
    ),
    Question(
        denoise,
        on(
            (_network, _normal(52, 2, 4, 4, 1), np.float32(0.3), 0.5), (_network, _normal(53, 2, 4, 4, 1), np.float32(4.0), 0.5)
        ),
        (
            "Take the four numbers first. Which of them belongs to what the network sees?",
            "The network sees c_in * x and c_noise. Its answer, times c_out, is added to c_skip * x.",
            "c_skip * x + c_out * network(c_in * x, c_noise)",
        ),
        (diffusion.Diffusion.denoise, preconditioning),
        _kit_denoise,
    ),
    Question(
        heun_step,
        on((_denoise, _normal(54, 5), 2.0, 1.0), (_denoise, _normal(55, 5), 0.5, 0.0)),
        (
            "Value 1 is a step from 2 to 1, value 2 one from 0.5 to 0. To 0 there is no second slope: Euler's step is all.",
            "The slope here is (x - denoise(x, sigma)) / sigma. Follow it to lower, and take the slope there, at lower.",
            "x + (lower - sigma) * (here + there) / 2, from x itself, not from where Euler's step ended.",
        ),
        (diffusion.heun_step, diffusion.slope),
    ),
)
