"""The IntroVAE's margin, moved over the divergences that a training has recorded."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from dwikit.course.play.panel import Panel, drawn, plain, real
from dwikit.report import plots

FAKES = {"kl_rec": ("reconstructions", "s"), "kl_fake": ("images of prior latents", "o")}
PUSH = "$[m - KL]^+$"


def push(margin: float, kl: np.ndarray) -> np.ndarray:
    """[m - KL]+, what the encoder still demands of a fake (sec. 2.4, eq. 8), in nats, any shape."""
    return np.maximum(margin - np.asarray(kl), 0.0)


def played(log: pd.DataFrame, m: float) -> pd.DataFrame:
    """The epochs in which fakes were judged. Before, when the model is a plain VAE, both divergences equal m."""
    return log[(log["kl_fake"] != m) | (log["kl_rec"] != m)]


def margin(log: pd.DataFrame, m: float) -> Panel:
    """Move the margin over the divergences of real and fake slices: what would the encoder still have demanded?

    Nothing is trained again. With another margin training would have gone differently; the picture shows the slope that the
    encoder of each epoch would have seen.

    Args:
        log: of a trained IntroVAE (``run.log``), with ``kl_real``, ``kl_rec`` and ``kl_fake`` by epoch, in nats.
        m: the margin of its training.
    """
    game = played(log, m)
    largest = 1.1 * max(m, *(game[name].max() for name in ("kl_real", *FAKES))) if len(game) else 1.1 * m

    def draw(margin: float) -> tuple[bytes, str]:
        figure, (hinge, epochs) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
        _hinge(hinge, game, margin, largest)
        epochs.plot(game.index, game["kl_real"], color="0", label="real slices")
        for (name, (label, marker)), grey in zip(FAKES.items(), ("0.35", "0.6")):
            epochs.plot(game.index, game[name], color=grey, linestyle="--", marker=marker, markersize=4, label=label)
        epochs.axhline(margin, color="0.7", linestyle="-", linewidth=0.8)
        epochs.set(xlabel="epoch", ylabel="KL divergence, nats", ylim=(0, largest))
        epochs.legend(fontsize=8)
        plt.close(figure)
        return drawn(figure), _words(game, margin)

    figure, axes = plt.subplots(1, 3, figsize=(10, 2.9), sharey=True, layout="constrained")
    for axis, value in zip(axes, (m / 4, m / 2, m)):
        _hinge(axis, game, value, largest)
        axis.set_ylabel("")
    axes[0].set_ylabel(PUSH)
    axes[-1].legend(fontsize=8, loc="upper right")
    told = plain(" ".join(_words(game, value) for value in (m / 4, m / 2, m)))
    plots.finished(figure, f"What the encoder demands of fakes, at three margins. {told}")
    return Panel(figure, {"margin": real("margin m", 0, round(2 * m), m, 1)}, draw)


def _hinge(axis, game: pd.DataFrame, m: float, largest: float) -> None:
    """The hinge at m with every epoch's fakes on it, and real slices as ticks below."""
    line = np.linspace(0, largest, 200)
    axis.plot(line, push(m, line), color="0.7", linestyle="-", linewidth=1)
    for (name, (label, marker)), grey in zip(FAKES.items(), ("0.35", "0.6")):
        axis.plot(game[name], push(m, game[name]), marker, color=grey, markersize=4, label=label, linestyle="")
    axis.plot(game["kl_real"], np.zeros(len(game)), "|", color="0", markersize=9, label="real slices", clip_on=False)
    axis.set(xlabel="KL divergence, nats", ylabel=PUSH, title=f"m = {m:g}", xlim=(0, largest), ylim=(0, largest))


def _words(game: pd.DataFrame, m: float) -> str:
    if game.empty:
        return "The adversarial game has not started: the model is still a plain VAE. Train it for more epochs."
    asked = sum((push(m, game[name]) for name in FAKES), np.zeros(len(game)))
    last = game.iloc[-1]
    return (
        f"At m = {m:g} the encoder would push fakes up in <b>{np.count_nonzero(asked)}</b> of {len(game)} epochs of the game, "
        f"in the last one by {push(m, last['kl_rec']):.1f} nats (reconstructions) and {push(m, last['kl_fake']):.1f} (images "
        f"of prior latents). Real slices lie at {last['kl_real']:.1f} there."
    )
