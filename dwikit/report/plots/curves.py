"""Figures of numbers: terms of a loss by epoch, histograms."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from dwikit.report.plots.style import STYLE, finished, listed


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
    titles = titles or [", ".join(names) for names in panels]
    told = [f"{title}: {listed(_course(log, name) for name in names)}." for title, names in zip(titles, panels)]
    return finished(figure, f"Curves over {len(log)} epochs. {' '.join(told)}")


def _course(log: pd.DataFrame, name: str, label: str | None = None) -> str:
    """How a column begins and ends, in words."""
    return f"{label or name} from {log[name].iloc[0]:.3g} to {log[name].iloc[-1]:.3g}"


def learning(
    logs: Mapping[str, pd.DataFrame],
    panels: Mapping[str, str],
    marks: Mapping[str, Mapping[str, float]] | None = None,
    others: Mapping[str, tuple[float, Mapping[str, float]]] | None = None,
    kept: Mapping[str, int] | None = None,
) -> Figure:
    """Learning curves: metrics of samples against the steps of training, one panel a metric, one line a network.

    The first fifth of a training may leave its panel, but for the kept epoch: at their beginning, networks draw the same
    image a thousand times.

    Args:
        logs: label -> log with columns ``steps`` (so far) and those of ``panels``, as ratios to the original's value.
        panels: column -> title.
        marks: label -> column -> the published ratio, drawn as a short line at the right edge.
        others: label -> (steps, column -> ratio) of a shorter training, drawn as a dot.
        kept: label -> epoch whose model stands for the training, drawn as a circle.
    """
    columns = 3
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(9.6, 2.7 * rows), squeeze=False, layout="constrained", sharex=True)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    styles = dict(zip(logs, STYLE["axes.prop_cycle"]()))
    for axis, (column, title) in zip(axes.flat, panels.items()):
        axis.axhline(1, color="0.8", linewidth=0.8, zorder=0)
        for label, log in logs.items():
            if column not in log or log[column].isna().all():
                continue
            steps, look = log["steps"], styles[label]
            axis.plot(steps, log[column], label=label, linewidth=1.8, **look)
            if kept and label in kept:
                axis.plot(steps[kept[label]], log.loc[kept[label], column], "o", mfc="white", mec=look["color"], markersize=5)
            if marks and column in marks.get(label, {}):
                axis.annotate(
                    "",
                    (1.0, marks[label][column]),
                    (1.035, marks[label][column]),
                    xycoords=("axes fraction", "data"),
                    arrowprops={"arrowstyle": "-", **look},
                )
            if others and column in others.get(label, (0, {}))[1]:
                axis.plot(others[label][0], others[label][1][column], "s", color=look["color"], markersize=4)
        axis.set(title=title, xscale="log", yscale="log")
        seen = [each[column] for each in (marks or {}).values() if column in each]
        seen += [each[column] for _, each in (others or {}).values() if column in each]
        for label, log in logs.items():
            stays = (np.arange(len(log)) >= len(log) // 5) | (log.index == (kept or {}).get(label))
            seen += list(log.loc[stays, column].dropna()) if column in log else []
        if seen:  # what happens in the first fifth may leave the panel
            axis.set_ylim(0.8 * min([1, *seen]), 1.25 * max([1, *seen]))
        low, high = axis.get_ylim()
        if 3 * low <= high < 30 * low:
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("{x:g}" if high < 3 * low else NullFormatter())
        axis.xaxis.set_major_formatter("{x:,.0f}")
    for axis in axes[-1]:
        axis.set_xlabel("steps of training")
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(logs))
    told = [
        f"{title}: {listed(f'{label} ends at {log[name].iloc[-1]:.2g}' for label, log in logs.items() if name in log)}."
        for name, title in panels.items()
        if any(name in log for log in logs.values())
    ]
    return finished(figure, f"Learning curves against steps of training, as ratios to the originals. {' '.join(told)}")


DIVERGENCES = {"kl_real": "real slices", "kl_rec": "reconstructions", "kl_fake": "images of prior latents"}


def margin(logs: pd.DataFrame | Mapping[str, pd.DataFrame], m: float, top: float | None = None) -> Figure:
    """KL divergence of real slices and of both kinds of fakes, against the IntroVAE's margin m (sec. 2.4).

    Args:
        logs: a log with columns ``kl_real``, ``kl_rec`` and ``kl_fake`` in nats, by its index; or title -> log, a panel each.
        m: the margin.
        top: upper end of the axis, in nats.
    """
    games = {"": logs} if isinstance(logs, pd.DataFrame) else logs
    size = (6.5, 3) if len(games) == 1 else (3.2 * len(games), 2.8)
    figure, axes = plt.subplots(1, len(games), figsize=size, squeeze=False, sharey=True, layout="constrained")
    for axis, (title, log) in zip(axes[0], games.items()):
        for name, label in DIVERGENCES.items():
            axis.plot(log.index, log[name], label=label, marker="o", markersize=3)
        axis.axhline(m, color="0.7", linestyle="-", linewidth=0.8)
        axis.set(xlabel=log.index.name or "epoch", title=title)
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes[0, 0].set(ylabel="KL divergence, nats", ylim=(0, top))
    beside = {"xycoords": ("axes fraction", "data"), "xytext": (3, 0), "textcoords": "offset points"}
    axes[0, -1].annotate(f"m = {m:g}", (1, m), **beside, va="center", color="0.4")
    axes[0, -1].legend(fontsize=None if len(games) == 1 else 8)
    told = [f"{title}: {listed(_course(log, *one) for one in DIVERGENCES.items())}." for title, log in games.items()]
    return finished(figure, f"KL divergences in nats beside the margin m = {m:g}. {' '.join(told).removeprefix(': ')}")


def intensity_histogram(raw: np.ndarray, cap: float, normalized: np.ndarray) -> Figure:
    """Intensities before (with the clip) and after normalization."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained")
    axes[0].hist(raw.ravel(), bins=120, color="0.6")
    axes[0].axvline(cap, color="0")
    axes[0].annotate("clip", (cap, 1), xycoords=("data", "axes fraction"), xytext=(4, -10), textcoords="offset points")
    axes[0].set(yscale="log", xlabel="intensity, scanner units", ylabel="voxels")
    axes[1].hist(normalized.ravel(), bins=64, color="0.6")
    axes[1].set(yscale="log", xlabel="intensity, normalized")
    clipped = np.mean(normalized >= normalized.max())
    told = f"Intensities up to {raw.max():.4g} units, clipped at {cap:.4g}; and normalized, with {clipped:.1%} at 1"
    return finished(figure, f"Two histograms. {told}.")
