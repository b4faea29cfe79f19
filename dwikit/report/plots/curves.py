"""Figures of numbers: terms of a loss by epoch, histograms."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dwikit.report.plots.style import finished


def curves(
    log: pd.DataFrame, panels: Sequence[Sequence[str]], titles: Sequence[str] | None = None, log_scale: bool = False
) -> Figure:
    """Terms of the loss by epoch, one panel per group of terms."""
    figure, axes = plt.subplots(1, len(panels), figsize=(3.6 * len(panels), 2.7), squeeze=False, layout="constrained")
    for i, (axis, names) in enumerate(zip(axes[0], panels)):
        for name in names:
            axis.plot(log.index, log[name], label=name, marker="o", markersize=3)
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_title(titles[i] if titles else ", ".join(names))
        if log_scale:
            axis.set_yscale("log")
        if len(names) > 1:
            axis.legend()
    return finished(figure)


def margin(log: pd.DataFrame, m: float) -> Figure:
    """KL divergence of real slices and of both kinds of fakes by epoch, against the IntroVAE's margin m."""
    figure, axis = plt.subplots(figsize=(6.5, 3), layout="constrained")
    for name, label in (("kl_real", "real slices"), ("kl_rec", "reconstructions"), ("kl_fake", "images of prior latents")):
        axis.plot(log.index, log[name], label=label, marker="o", markersize=3)
    axis.axhline(m, color="0.7", linestyle="-", linewidth=0.8)
    axis.annotate(f"m = {m:g}", (1, m), xycoords=("axes fraction", "data"), ha="right", va="bottom", color="0.4")
    axis.set(xlabel="epoch", ylabel="KL divergence, nats", ylim=(0, None))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend()
    return finished(figure)


def intensity_histogram(raw: np.ndarray, cap: float, normalized: np.ndarray) -> Figure:
    """Intensities before (with the clip) and after normalization."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained")
    axes[0].hist(raw.ravel(), bins=120, color="0.6")
    axes[0].axvline(cap, color="0")
    axes[0].annotate("clip", (cap, 1), xycoords=("data", "axes fraction"), xytext=(4, -10), textcoords="offset points")
    axes[0].set(yscale="log", xlabel="intensity, scanner units", ylabel="voxels")
    axes[1].hist(normalized.ravel(), bins=64, color="0.6")
    axes[1].set(yscale="log", xlabel="intensity, normalized")
    return finished(figure)
