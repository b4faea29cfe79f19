"""Images per second of the input pipeline alone: ``python benchmarks/pipeline.py``.

A ``SliceStore`` of simulated slices at 128 x 128, read batch by batch as ``fit`` reads it, in the batch sizes of the preset
``paper``; and that rate as a multiple of what each model consumes, if ``train_step.py`` was run before.
"""

import tempfile
import time

import numpy as np
import pandas as pd
from machine import show, source
from train_step import simulated_slices

from dwikit import paper
from dwikit.common import files, paths
from dwikit.models import registry
from dwikit.models.presets import preset
from dwikit.slices import SliceStore

SECONDS, ROUNDS = 1.0, 7


def speed(batches) -> float:
    """Images per second of an endless iterator of batches: the median over rounds."""
    speeds = []
    next(batches)
    for _ in range(ROUNDS):
        images, start = 0, time.perf_counter()
        while (seconds := time.perf_counter() - start) < SECONDS:
            images += len(next(batches))
        speeds.append(images / seconds)
    return float(np.median(speeds))


def endless(batches):
    """Batches of a ``PyDataset``, epoch after epoch."""
    while True:
        yield from (batches[i] for i in range(len(batches)))
        batches.on_epoch_end()


def consumed() -> dict[str, float]:
    """Images per second that each model trains on, as measured by ``train_step.py``."""
    results = {key: files.read_json(paths.runs("benchmarks") / "train-step" / f"{key}.json") for key in registry.keys()}
    return {key: float(np.median([speeds["dwikit"] for speeds in r["speeds"]])) for key, r in results.items() if r}


def main() -> None:
    models, rows = consumed(), {}
    with tempfile.TemporaryDirectory() as folder:
        store = SliceStore.open(simulated_slices(f"{folder}/slices"))
        for batch_size in sorted({preset(registry.network(key))["batch_size"] for key in paper.MODELS}):
            forms = {
                "batches": endless(store.batches("train", batch_size)),
                "batches, mirrored": endless(store.batches("train", batch_size, flip=True)),
                "dataset": store.dataset("train", batch_size).repeat().as_numpy_iterator(),
            }
            for name, batches in forms.items():
                rate = speed(batches)
                times = {key: f"{rate / value:.0f}" for key, value in models.items()}
                rows[f"{name}, {batch_size} images"] = {"img/s": f"{rate:.0f}", **{f"times {k}": v for k, v in times.items()}}
    show(
        pd.DataFrame.from_dict(rows, orient="index").rename_axis("pipeline"),
        "pipeline",
        source("python benchmarks/pipeline.py"),
    )


if __name__ == "__main__":
    main()
