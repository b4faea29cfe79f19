"""Is this training still worth continuing? Each check looks at the log and names what to change.

A check returns None, or one sentence with the reason to stop and a remedy.
"""

import math
from collections.abc import Callable, Sequence

from dwikit import models
from dwikit.common.errors import InputError

Row = dict
"""One epoch of the log: the terms of the loss, ``variety`` (ISD of the watched samples over that of the data)."""

COLLAPSED = 0.02
"""Variety below which all samples are the same image; a blurred VAE early in training has about 0.05, a good network 1."""
PATIENCE = 3
"""Training stops after this many bad epochs in a row."""


class TrainingStopped(InputError):
    """A health check has stopped the training; the epochs before are kept."""

    status = 1


def finite(model: models.GenerativeModel, rows: Sequence[Row]) -> str | None:
    """No term of the loss is NaN or infinite."""
    bad = [name for name, value in rows[-1].items() if isinstance(value, float) and not math.isfinite(value)]
    if bad:
        rate = model.config.get("learning_rate")
        return f"{', '.join(bad)} is no longer a number: lower the learning rate{f' (now {rate:g})' if rate else ''}."
    return None


def varied(model: models.GenerativeModel, rows: Sequence[Row]) -> str | None:
    """Samples differ from one another (checked after the first epochs, when no network draws anything yet)."""
    recent = [row["variety"] for row in rows[-PATIENCE:]]
    if len(rows) > 2 * PATIENCE and max(recent) < COLLAPSED:
        return (
            f"all samples have become one image (their diversity is {recent[-1]:.3f} of the data's): give the reconstruction "
            "less weight against KL for a VAE; lower the learning rate or raise the penalty for a GAN."
        )
    return None


def well(model: models.GenerativeModel, rows: Sequence[Row]) -> str | None:
    """The network's own check (``GenerativeModel.ailing``)."""
    return model.ailing(rows[-PATIENCE:]) if len(rows) > PATIENCE else None


CHECKS: list[Callable[[models.GenerativeModel, Sequence[Row]], str | None]] = [finite, varied, well]


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
