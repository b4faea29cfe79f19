"""Images spoiled on purpose, and what the paper's metrics say about them."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import ndimage

from dwikit import evaluation, metrics
from dwikit.course.play.panel import Panel, real, tiles, whole
from dwikit.report import plots
from dwikit.slices import head_frame

LARGEST = {"blur": 2.0, "shift": 8, "noise": 16.0, "copies": 95}
UNITS = {"blur": "sd, pixels", "shift": "pixels", "noise": "sd, grey levels", "copies": "percent"}
NAMES = {key: metrics.METRICS[key].label for key in ("ds", "isd", "min_isd", "laplace")}


def spoiled(
    images: np.ndarray, blur: float = 0.0, shift: int = 0, noise: float = 0.0, copies: float = 0.0, seed: int = 0
) -> np.ndarray:
    """Images after four kinds of damage, in this order: copied, shifted, blurred, made noisy.

    Args:
        images: (N, H, W) uint8.
        blur: standard deviation of a Gaussian filter, in pixels.
        shift: pixels to the right; black fills in from the left.
        noise: standard deviation of normal noise on the 0-255 scale, drawn for each image.
        copies: percent of the images that are copies of others; a copy follows its original.
        seed: of the noise.

    Returns:
        (N, H, W) uint8.
    """
    images = metrics.as_images(images)
    n = len(images)
    kept = max(1, round(n * (1 - copies / 100)))
    result = images[np.arange(n) * kept // n]
    if shift:
        result = np.pad(result, ((0, 0), (0, 0), (shift, 0)))[:, :, : images.shape[2]]
    result = result.astype(np.float32)
    if blur:
        result = ndimage.gaussian_filter(result, (0, blur, blur))
    if noise:
        result += noise * np.random.default_rng(seed).standard_normal(result.shape, np.float32)
    return np.round(result.clip(0, 255)).astype(np.uint8)


def spoil(images: np.ndarray, originals: np.ndarray | metrics.Moments) -> Panel:
    """Blur, shift, copy and add noise to images, and see what Table 1 would say about them (sec. 2.6).

    Args:
        images: (N, H, W) uint8 real slices; 200 respond at once, 1000 after a moment.
        originals: (M, H, W) slices that DS compares with, or their ``metrics.moments``.
    """
    if not isinstance(originals, metrics.Moments):
        originals = metrics.moments(originals)
    before = _measure(images, originals)
    frame = _frame(images)

    def draw(**amounts: float) -> tuple[bytes, str]:
        result = spoiled(images, **amounts)
        now = _measure(result, originals)
        table = pd.DataFrame({"as they were": before, "now": now, "ratio": now / before}).T.rename(columns=NAMES)
        return tiles(result[:8], frame, columns=4), table.to_html(float_format=lambda value: f"{value:.4g}")

    controls = {
        "blur": real("blur", 0, LARGEST["blur"]),
        "shift": whole("shift", LARGEST["shift"]),
        "noise": real("noise", 0, LARGEST["noise"], step=1),
        "copies": whole("copies, %", LARGEST["copies"]),
    }
    return Panel(_curves(images, originals, before), controls, draw)


def _measure(images: np.ndarray, originals: metrics.Moments) -> pd.Series:
    return pd.Series(evaluation.measure(images, originals))[list(NAMES)]


def _frame(images: np.ndarray) -> tuple[slice, slice]:
    """One frame around the heads, wherever they are shifted to."""
    return head_frame(images, spoiled(images, shift=LARGEST["shift"]))


def _curves(images: np.ndarray, originals: metrics.Moments, before: pd.Series, steps: int = 5) -> Figure:
    """One column per kind of damage: four images at its maximum, and every metric's ratio to the undamaged value."""
    frame, told = _frame(images), []
    figure, axes = plt.subplots(2, 4, figsize=(10, 4.6), height_ratios=(1, 1.3), layout="constrained", sharey="row")
    for (name, largest), (top, below) in zip(LARGEST.items(), axes.T):
        amounts = np.linspace(0, largest, steps).round().astype(int) if name == "shift" else np.linspace(0, largest, steps)
        results = [spoiled(images, **{name: amount}) for amount in amounts]
        ratios = pd.DataFrame([_measure(result, originals) / before for result in results])
        for metric, marker in zip(NAMES, "osx^"):
            below.plot(amounts, ratios[metric], label=NAMES[metric], marker=marker, markersize=4)
        below.set(xlabel=f"{name}, {UNITS[name]}", ylim=(0, 3))
        top.imshow(plots.mosaic(results[-1][:4, *frame], 2), cmap="gray", vmin=0, vmax=255)
        top.set_title(f"{name} {largest:g}")
        told.append(
            f"{name} {largest:g}: {plots.listed(f'{NAMES[metric]} {ratios[metric].iloc[-1]:.2f}' for metric in NAMES)}."
        )
        top.axis("off")
    axes[1, 0].set_ylabel("ratio to before")
    axes[1, 0].legend(fontsize=8)
    return plots.finished(figure, f"Metrics as ratios to those of the slices as they were. {' '.join(told)}")
