"""Before a long training: how long it will take about, and how much disk."""

import math
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dwikit.models import cost, presets, registry
from dwikit.profiles import Profile
from dwikit.slices import SliceStore
from dwikit.training.outcome import read_log

SHARE = 0.6
"""Of the rate of a matrix product, what a training step reaches about (``figures/train-step.md``: 0.5 to 0.9 on a CPU)."""
FILES = 2 * 3 * 4
"""Bytes per parameter on disk: two models, each with its weights and two moments of Adam in float32."""
WORTH_TELLING = 600
"""Seconds below which nothing is said."""


def told(config: Profile, folders: Mapping[str, Path], store: SliceStore) -> str:
    """How long the epochs that are left will take about, and how much disk, as text; empty if it is minutes.

    Args:
        config: profile.
        folders: key of a network -> folder of its training.
        store: the slices.
    """
    rate, seconds, space = SHARE * product_rate(), {}, 0.0
    for key, folder in folders.items():
        section = config.networks[key]
        network = registry.network(key, section.file)
        model = network(**presets.preset(network, section.preset, config.image_size, overrides=section.overrides))
        operations = cost.operations(model)
        batch = model.config["batch_size"]
        steps = section.steps_per_epoch or len(store.indices("train")) // batch
        epoch = steps * batch * operations["training"] / rate
        done = 0
        if (folder / "log.csv").is_file():
            log = read_log(folder)
            done, epoch = len(log), float(log["seconds"].median()) if len(log) else epoch
        seconds[network.label] = max(section.epochs - done, 0) * epoch
        space += section.epochs * section.snapshots * config.image_size**2 + FILES * operations["parameters"]
    total = sum(value for value in seconds.values() if math.isfinite(value))
    if total < WORTH_TELLING:
        return ""
    each = ", ".join(f"{label} {_time(value)}" for label, value in seconds.items())
    return (
        f"About {_time(total)} to go on this machine if idle ({each}), and {space / 1e9:.1f} GB of disk in "
        f"{folder.parent}. Stop it at any time: the same command resumes after the last complete epoch."
    )


def product_rate(size: int = 2048, seconds: float = 0.5) -> float:
    """Floating-point operations per second of a product of two matrices on this machine's processor."""
    matrix, count = np.ones((size, size), np.float32), 0
    matrix @ matrix
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        matrix @ matrix
        count += 1
    return count * 2 * size**3 / (time.perf_counter() - start)


def _time(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "unknown"
    return f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{seconds / 60:.0f} min"
