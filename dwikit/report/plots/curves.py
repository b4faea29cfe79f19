"""Figures of numbers: terms of a loss by epoch, histograms."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from dwikit.report.plots.style import STYLE, finished


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


def learning(
    logs: Mapping[str, pd.DataFrame],
    panels: Mapping[str, str],
    marks: Mapping[str, Mapping[str, float]] | None = None,
    others: Mapping[str, tuple[float, Mapping[str, float]]] | None = None,
    kept: Mapping[str, int] | None = None,
) -> Figure:
    """Learning curves: metrics of samples against the hours of training, one panel a metric, one line a network.

    Args:
        logs: label -> log with columns ``seconds`` and those of ``panels``, as ratios to the original's value.
        panels: column -> title.
        marks: label -> column -> the published ratio, drawn as a short line at the right edge.
        others: label -> (hours, column -> ratio) of a shorter training, drawn as a dot.
        kept: label -> epoch whose model stands for the training, drawn as a circle.
    """
    columns = 3
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(9.6, 2.7 * rows), squeeze=False, layout="constrained", sharex=True)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    styles = dict(zip(logs, STYLE["axes.prop_cycle"]))
    for axis, (column, title) in zip(axes.flat, panels.items()):
        axis.axhline(1, color="0.8", linewidth=0.8, zorder=0)
        for label, log in logs.items():
            if column not in log or log[column].isna().all():
                continue
            hours, look = log["seconds"].cumsum() / 3600, styles[label]
            axis.plot(hours, log[column], label=label, **look)
            if kept and label in kept:
                axis.plot(hours[kept[label]], log.loc[kept[label], column], "o", mfc="white", mec=look["color"], markersize=5)
            if marks and column in marks.get(label, {}):
                axis.annotate(
                    "",
                    (1.0, marks[label][column]),
                    (1.06, marks[label][column]),
                    xycoords=("axes fraction", "data"),
                    arrowprops={"arrowstyle": "-", **look},
                )
            if others and column in others.get(label, (0, {}))[1]:
                axis.plot(others[label][0], others[label][1][column], "s", color=look["color"], markersize=4)
        axis.set(title=title, xscale="log", yscale="log")
        low, high = axis.get_ylim()
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("{x:g}" if high < 3 * low else NullFormatter())
        axis.xaxis.set_major_formatter("{x:g}")
    for axis in axes[-1]:
        axis.set_xlabel("hours of training")
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(logs))
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
