"""Is this training still worth its minutes? Each check looks at the log and names what to change.

A check returns None, or the reason to stop in one sentence with its remedy.
"""

import math
from collections.abc import Callable, Sequence

from dwikit import models

Row = dict
"""One epoch of the log: the terms of the loss, ``variety`` (ISD of the watched samples over that of the data)."""

COLLAPSED = 0.02
"""Variety below which all samples are one image; a blurred VAE early in training has about 0.05, a good network 1."""
PATIENCE = 3
"""Epochs in a row that must be bad before training stops."""
ABOVE_MARGIN = 1.5
"""KL divergence of fakes over the IntroVAE's margin; it swings about 1 while encoder and generator keep pace."""
CRITIC_AHEAD = 1e3
"""Difference of the critic's scores for real and fake; with a penalty that works it stays below about 100."""


class TrainingStopped(RuntimeError):
    """A health check has ended the training; what was trained before is kept."""


def finite(model: models.GenerativeModel, rows: Sequence[Row]) -> str | None:
    """No term of the loss is NaN or infinite."""
    bad = [name for name, value in rows[-1].items() if isinstance(value, float) and not math.isfinite(value)]
    if bad:
        return f"{', '.join(bad)} is no longer a number: lower the learning rate (now {model.config['learning_rate']:g})."
    return None


def varied(model: models.GenerativeModel, rows: Sequence[Row]) -> str | None:
    """Samples differ from one another (after the first epochs, when no network draws anything yet)."""
    recent = [row["variety"] for row in rows[-PATIENCE:]]
    if len(rows) > 2 * PATIENCE and max(recent) < COLLAPSED:
        return (
            f"all samples have become one image (their diversity is {recent[-1]:.3f} of the data's): give the reconstruction "
            "less weight against KL for a VAE; lower the learning rate or raise the penalty for a GAN."
        )
    return None


def margin_held(model: models.GenerativeModel, rows: Sequence[Row]) -> str | None:
    """IntroVAE: the generator still follows, so that the KL divergence of fakes does not stay above the margin."""
    if "kl_fake" not in rows[-1] or len(rows) <= PATIENCE:
        return None
    margin = model.config["margin"]
    if min(row["kl_fake"] for row in rows[-PATIENCE:]) > ABOVE_MARGIN * margin:
        return (
            f"the KL divergence of fakes has stayed at {rows[-1]['kl_fake']:.0f}, far above the margin m = {margin:g}, so the "
            "generator no longer reaches the encoder and variety is being lost: lower the learning rate, raise "
            "reconstruction_weight, or train the plain VAE longer first (warmup_steps)."
        )
    return None


def critic_in_reach(model: models.GenerativeModel, rows: Sequence[Row]) -> str | None:
    """StyleGAN: the critic is not so far ahead that its slope says nothing."""
    if "real_score" not in rows[-1]:
        return None
    ahead = [row["real_score"] - row["fake_score"] for row in rows[-PATIENCE:]]
    if len(rows) > PATIENCE and min(map(abs, ahead)) > CRITIC_AHEAD:
        return (
            f"the critic tells real from fake by {ahead[-1]:.3g}, out of the generator's reach: raise penalty, or lower the "
            "learning rate."
        )
    return None


CHECKS: list[Callable[[models.GenerativeModel, Sequence[Row]], str | None]] = [finite, varied, margin_held, critic_in_reach]


def check(model: models.GenerativeModel, rows: Sequence[Row]) -> None:
    """Run all checks on the log so far.

    Raises:
        TrainingStopped: one of them fails; the message says why and what to change.
    """
    for one in CHECKS:
        if reason := one(model, rows):
            raise TrainingStopped(
                f"{model.label} stopped after epoch {rows[-1]['epoch']}: {reason} To train on regardless, set health: false."
            )
