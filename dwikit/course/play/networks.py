"""Latents of the VAEs and styles of the StyleGAN, moved by hand."""

import ipywidgets
import numpy as np

from dwikit import metrics
from dwikit.common.errors import InputError
from dwikit.course.play.panel import Panel, real, tiles, whole
from dwikit.report import plots
from dwikit.slices import head_frame, to_uint8

COLUMNS = 7
"""Images per row of the static picture of ``latents``."""
REACH = 2.0
"""Range of a direction's slider, in standard deviations."""


def principal_steps(latents: np.ndarray, n: int) -> np.ndarray:
    """One standard deviation along each of the first n principal components of latents (N, latent_size).

    Returns:
        (n, latent_size), the largest first; fewer than n where the latents span fewer directions.
    """
    _, sizes, directions = np.linalg.svd(latents - latents.mean(0), full_matrices=False)
    n = min(n, np.count_nonzero(sizes > 1e-9 * sizes[0]))
    return directions[:n] * sizes[:n, None] / np.sqrt(len(latents) - 1)


def latents(model, images: np.ndarray, directions: int = 3) -> Panel:
    """Walk through latent space from one slice to another, and leave the path along the directions that matter most.

    The walk starts at the most typical slice, whose latent is nearest to the mean of all. Latents are posterior means
    (``model.encode``); the directions are their principal components, in standard deviations.

    Args:
        model: a trained VAE, DFC-VAE or IntroVAE.
        images: (N, H, W) slices of the model's size, uint8 or in [0, 1], at least 2.
        directions: number of sliders.

    Raises:
        InputError: unusable images, or fewer than two.
    """
    if len(images) < 2:
        raise InputError(f"A walk needs at least two slices, not {len(images)}.")
    means = model.encode(images)
    ordinary = int(np.argmin(np.linalg.norm(means - means.mean(0), axis=1)))
    ends = ordinary, int(ordinary == 0)
    steps = principal_steps(means.astype(np.float64), directions)
    frame = head_frame(images)

    def at(start: int, end: int, way: float, moves) -> np.ndarray:
        return (1 - way) * means[start] + way * means[end] + np.asarray(moves) @ steps

    def draw(start: int, end: int, way: float, **moves: float) -> tuple[bytes, str]:
        latent = at(start, end, way, list(moves.values()))
        decoded = to_uint8(model.decode(latent[None])[..., 0])
        shown = np.stack([_bytes(images[start]), decoded[0], _bytes(images[end])])
        first, middle, last = metrics.laplace_variance(shown)
        return tiles(shown, frame), (
            f"Slice {start}, a drawing, slice {end}: Laplace variance {first:.0f}, <b>{middle:.0f}</b>, {last:.0f}. The "
            f"latent is {np.linalg.norm(latent):.1f} long, a draw from the prior about {model.latent_size**0.5:.1f}."
        )

    still, line = np.zeros(len(steps)), np.linspace(0, 1, COLUMNS)
    rows = {"way": model.decode([at(*ends, way, still) for way in line])}
    for i, unit in enumerate(np.eye(len(steps))):
        rows[f"direction {i + 1}"] = model.decode([at(*ends, 0, move * unit) for move in REACH * (2 * line - 1)])
    controls: dict[str, ipywidgets.ValueWidget] = {
        "start": whole("from slice", len(images) - 1, ends[0]),
        "end": whole("to slice", len(images) - 1, ends[1]),
        "way": real("way", 0, 1, 0.5, 0.05),
    }
    controls |= {f"direction_{i + 1}": real(f"direction {i + 1}", -REACH, REACH) for i in range(len(steps))}
    return Panel(plots.image_rows(rows, columns=COLUMNS), controls, draw)


def _bytes(image: np.ndarray) -> np.ndarray:
    """One image as (H, W) uint8."""
    return plots.mosaic(image.reshape(1, *image.shape[:2]), 1)


def styles(model, seed: int = 0, choices: int = 8) -> Panel:
    """Draw with the styles of two samples: one sets the first layers, the other the rest (sec. 2.5).

    The noise in the layers is kept fixed.

    Args:
        model: a trained StyleGAN.
        seed: of the latents.
        choices: number of samples to choose from, even.
    """
    samples, layers = model.draw_latents(choices, seed), len(model.map_sizes)

    def mixed(coarse: int, fine: int, crossover: int) -> np.ndarray:
        return model.mix(samples[[coarse]], samples[[fine]], crossover)[0]

    def draw(coarse: int, fine: int, crossover: int) -> tuple[bytes, str]:
        shown = np.stack([mixed(coarse, fine, layer) for layer in (layers, crossover, 0)])
        sizes = [", ".join(map(str, part)) or "none" for part in np.split(np.array(model.map_sizes), [crossover])]
        return tiles(shown, frame), (
            f"Sample {coarse}, the mixture, sample {fine}. Layers by sample {coarse} (pixels along one side): {sizes[0]}; "
            f"by sample {fine}: {sizes[1]}."
        )

    pairs = [(i, i + 1) for i in range(0, min(choices, 6), 2)]
    rows = {f"{a} into {b}": np.stack([mixed(a, b, k) for k in range(layers, -1, -1)]) for a, b in pairs}
    frame = head_frame(*rows.values())
    controls = {
        "coarse": whole("first layers", choices - 1, 0),
        "fine": whole("other layers", choices - 1, 1),
        "crossover": whole("crossover", layers, layers // 2),
    }
    return Panel(plots.image_rows(rows, columns=layers + 1), controls, draw)
