"""What bfloat16 gains in a training step, and what it changes: ``python benchmarks/precision.py [vae intro_vae ...]``.

Speed: the kit with and without ``mixed_precision``, as ``train_step.py`` measures it: in turns, at 128 x 128 and the preset
``paper``. Ratios are of processor seconds, which other work on the machine hardly affects.

Agreement: each network is trained as the profile ``quick`` trains it, three times in float32 with seeds of their own and once
in bfloat16 with the first of these seeds. What bfloat16 changes, in the losses of the second half of the epochs and in Table
1's metrics, is divided by what a seed changes (root mean squares over epochs and pairs of seeds, then over terms): 1 means as
much as another seed.
Trainings are kept in ``runs/benchmarks/precision/`` and go on where they stopped.
"""

import argparse
import itertools
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from machine import show, source
from train_step import TARGETS, measure, simulated_slices, width_of

from dwikit import evaluation, metrics, profiles, study, training
from dwikit.common import paths

WAYS = ("dwikit", "dwikit in bfloat16")
FLAGS = ("avx512_bf16", "amx_bf16")
SEEDS = (0, 1, 2)
PROFILE = "quick"


def flags() -> list[str]:
    """What the processor has for bfloat16."""
    words = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    return [flag for flag in FLAGS if flag in words]


def speed(key: str, data: str, rounds: int, seconds: float) -> dict[str, str]:
    """Images per processor second in both precisions."""
    measured = measure(key, data, rounds, seconds, WAYS)
    speeds = pd.DataFrame(measured["processor_speeds"])
    ratio = speeds[WAYS[1]] / speeds[WAYS[0]]
    return {
        "float32, img / processor s": f"{speeds[WAYS[0]].median():.3g}",
        "bfloat16": f"{speeds[WAYS[1]].median():.3g}",
        "times": f"{ratio.median():.2f} ({ratio.min():.2f} to {ratio.max():.2f})",
        "GiB": f"{measured['peaks'][WAYS[0]]:.1f}",
        "GiB in bfloat16": f"{measured['peaks'][WAYS[1]]:.1f}",
    }


def outcomes(key: str) -> dict[str, list[pd.DataFrame]]:
    """Losses by epoch and metrics of Table 1, of each training: those of ``SEEDS``, then bfloat16."""
    config = profiles.resolve(PROFILE)
    store, losses, table = study.slices(config), [], []
    for seed, mixed in (*((seed, False) for seed in SEEDS), (SEEDS[0], True)):
        section = {"mixed_precision": mixed, "health": False}
        where = paths.runs("benchmarks") / "precision" / f"{key}-{'bfloat16' if mixed else 'float32'}-{seed}"
        run = training.train(key, profiles.resolve(PROFILE, **{key: section}), store, where, seed=seed)
        losses.append(run.log.drop(columns="seconds").iloc[len(run.log) // 2 :])
        measured = evaluation.table_1(store, {key: run.samples}, config.evaluation.samples)
        table.append(measured.loc[[key], list(metrics.table_1_metrics())].astype(float))
    return {"losses": losses, "Table 1": table}


def deviation(found: list[pd.DataFrame]) -> float:
    """What bfloat16 changes over what a seed changes: root mean squares, first over rows, then over columns.

    Args:
        found: of each training, terms by epoch; the last in bfloat16 with the first one's seed.
    """
    *seeded, mixed = (table.to_numpy(float) for table in found)
    mixed = np.mean((mixed - seeded[0]) ** 2, axis=0)
    seeds = np.mean([(one - other) ** 2 for one, other in itertools.combinations(seeded, 2)], axis=(0, 1))
    differs = seeds > 0  # a constant column, such as a weight, says nothing
    return float(np.sqrt(np.mean(mixed[differs] / seeds[differs])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("keys", nargs="*", default=tuple(TARGETS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a turn, at least; a turn is one step or more")
    options = parser.parse_args()
    facts, rows = source("python benchmarks/precision.py") | {"processor has": flags()}, {}
    with tempfile.TemporaryDirectory() as folder:
        data = simulated_slices(f"{folder}/slices")
        for key in options.keys:
            print(f"{key}:", flush=True)
            rows[key] = speed(key, data, options.rounds, options.seconds)
    for key in (key for key in options.keys if width_of(key)[1] == 1):
        for name, found in outcomes(key).items():
            print(pd.concat(found).to_string(), flush=True)
            rows[key][f"change in {name}"] = f"{deviation(found):.2f}"
    show(pd.DataFrame.from_dict(rows, orient="index").rename_axis("model").fillna(""), "precision", facts)


if __name__ == "__main__":
    main()
