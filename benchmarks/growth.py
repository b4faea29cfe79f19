"""Time and memory against the number of people: ``python benchmarks/growth.py``.

Each step runs in a process of its own: building slices, the start of a training (up to and with its first step and samples),
Table 1, and the nearest training slices of samples. Seconds include what the step opens and checks; memory is the largest
private memory, without pages of files. 20,000 people are not simulated, which takes an hour (`simulation.py` measures it):
a few simulated by the direct path are repeated, each time with another name, brightness, place and noise.

A store of 20,000 people takes 2.1 GB at 64 pixels, and five times that while it is built; at 128 pixels four times as much.
"""

import argparse
import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from machine import Memory, show, source

from dwikit import paper, profiles, report, slices
from dwikit.slices import grid

SIZES = (200, paper.N_CASES, 20_000)
PEOPLE, SAMPLES, SEED = 12, 1000, 0
NOISE = 0.02
"""Standard deviation of the noise that is added, as a share of the brightest voxel."""


# ==== The steps ====


def people(folder: Path, n: int) -> Iterator[grid.Volume]:
    """n people: the simulated ones again and again, each a little different."""
    images = np.load(folder / "people.npy")
    for i in range(n):
        rng = np.random.default_rng([SEED, i])
        image = np.roll(images[i % len(images)], rng.integers(-2, 3, 2), axis=(1, 2)) * np.float32(rng.uniform(0.9, 1.1))
        image = np.maximum(image + rng.standard_normal(image.shape, np.float32) * np.float32(NOISE * images.max()), 0)
        yield grid.Volume(f"sub-{i + 1:05d}", f"sub-{i + 1:05d}", 20.0 + i % 70, "FM"[i % 2], "simulated", image)


def build(folder: Path, n: int, size: int) -> None:
    """Slices of n people."""
    scans = slices.Repeatable({}, lambda number: people(folder, n))
    slices.build([], folder / "slices", slices.SliceSettings(image_size=size), then=scans)


def training_start(folder: Path, n: int, size: int) -> None:
    """All that a training does before and after its steps, and one step."""
    from dwikit import training

    section = {"epochs": 1, "steps_per_epoch": 1}
    profile = profiles.resolve("smoke", image_size=size, vae=section)
    training.train("vae", profile, slices.SliceStore.open(folder / "slices"), folder / "vae")


def table_1(folder: Path, n: int, size: int) -> None:
    """Table 1 with one model."""
    from dwikit import evaluation

    store = slices.SliceStore.open(folder / "slices")
    evaluation.table_1(store, {"vae": samples(store)}, SAMPLES)


def neighbours(folder: Path, n: int, size: int) -> None:
    """The nearest training slices of samples, and theirs."""
    from dwikit import evaluation

    store = slices.SliceStore.open(folder / "slices")
    evaluation.nearest(store, samples(store))


def samples(store: slices.SliceStore) -> np.ndarray:
    """Means of two random slices each, in the place of a model's samples."""
    one, other = (store.images[rows] for rows in np.random.default_rng(SEED).integers(len(store.images), size=(2, SAMPLES)))
    return one // 2 + other // 2


STEPS = {"slices": build, "training start": training_start, "Table 1": table_1, "neighbours": neighbours}


# ==== Measuring ====


def measured(step: str, folder: Path, n: int, size: int) -> dict[str, float]:
    """Seconds and bytes of a step in a process of its own."""
    command = [sys.executable, __file__, "--step", step, "--folder", str(folder), "--sizes", str(n), "--image-size", str(size)]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
    return json.loads(result)


def one_step(step: str, folder: Path, n: int, size: int) -> dict[str, float]:
    """The same in this process."""
    memory, start, processor = Memory(), time.perf_counter(), time.process_time()
    STEPS[step](folder, n, size)
    seconds = {"seconds": time.perf_counter() - start, "processor": time.process_time() - processor}
    return seconds | {"bytes": memory.peaks()[0]}


def measure(folder: Path, sizes: list[int], image_size: int) -> dict[int, dict[str, dict[str, float]]]:
    """All steps at all sizes; the stores are deleted afterwards."""
    from dwikit.cohorts import phantom

    found = {}
    with tempfile.TemporaryDirectory(prefix="growth-", dir=folder) as name:
        images, _ = phantom.simulate_slices(PEOPLE, SEED, grid_size=image_size)
        for n in sizes:
            place = Path(name) / str(n)
            place.mkdir()
            np.save(place / "people.npy", images)
            found[n] = {step: measured(step, place, n, image_size) for step in STEPS}
            found[n]["store"] = {"bytes": (place / "slices" / "images.npy").stat().st_size}
            shutil.rmtree(place)
            print(n, found[n], flush=True)
    return found


def exponent(found: dict, step: str, what: str) -> float:
    """Power of the number of people with which a quantity grows between the two largest sizes: 1 is linear."""
    few, many = sorted(found)[-2:]
    return math.log(found[many][step][what] / found[few][step][what]) / math.log(many / few)


def table(found: dict) -> pd.DataFrame:
    """One row per step."""
    rows = {}
    for step in STEPS:
        row = {f"{n:,} people": f"{one[step]['seconds']:.3g} s, {one[step]['bytes'] / 1e6:.0f} MB" for n, one in found.items()}
        powers = {f"{what} grow with": f"n^{exponent(found, step, what):.2f}" for what in ("seconds", "bytes")}
        rows[step] = row | powers
    rows["the store"] = {f"{n:,} people": f"{one['store']['bytes'] / 1e6:.0f} MB" for n, one in found.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("step").fillna("")


def draw(found: dict):
    """Seconds and memory against people, both axes logarithmic."""
    import matplotlib.pyplot as plt

    sizes = sorted(found)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for step in STEPS:
        left.plot(sizes, [found[n][step]["seconds"] for n in sizes], "o-", label=step)
        right.plot(sizes, [found[n][step]["bytes"] / 1e6 for n in sizes], "o-", label=step)
    top = found[sizes[-1]]["slices"]["seconds"]
    left.plot(sizes, [top * n / sizes[-1] for n in sizes], "--", color="grey", label="linear")
    right.plot(sizes, [found[n]["store"]["bytes"] / 1e6 for n in sizes], "--", color="grey", label="the store")
    for axes, title in ((left, "seconds"), (right, "largest private memory, MB")):
        axes.set(xscale="log", yscale="log", xlabel="people", title=title, xticks=sizes)
        axes.set_xticklabels([f"{n:,}" for n in sizes])
        axes.minorticks_off()
        axes.legend(fontsize=8)
    return figure


def main() -> None:
    """Measure, draw, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--folder", type=Path, help="of the stores while they are measured; default: the temporary folder")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        return print(json.dumps(one_step(options.step, options.folder, *options.sizes, options.image_size)))
    matplotlib.use("Agg")
    command = f"python benchmarks/growth.py --sizes {' '.join(map(str, options.sizes))} --image-size {options.image_size}"
    facts = source(command)
    found = measure(options.folder, options.sizes, options.image_size)
    facts = {**facts, "measured": {str(n): one for n, one in found.items()}}
    report.save_figure(draw(found), "growth", facts, "png")
    show(table(found), "growth", facts)


if __name__ == "__main__":
    main()
