"""Time and memory of the metrics at the paper's scale, beside SciPy and scikit-learn.

    python benchmarks/evaluation.py                     1,000 samples of each of 4 models, 52,754 originals, 128 x 128

The originals are on disk as uint8: weighted means of two random slices of 20 simulated scans, mirrored at random, no two alike.
Table 1 runs in its own process, whose private memory is read every 20 ms; it excludes the pages of the file,
which the system reclaims when needed. Every method starts from uint8 on disk, except the bare product; the fastest of
three runs counts (six for the product, in turn with ours; only one for cdist).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from machine import Memory

from dwikit import evaluation, metrics, paper, profiles, report

SEED, SIZE, CASES, BLOCK = 0, 128, 20, 512
PART_CDIST, PART_SKLEARN = 100, 2000
RUNS = 3


# ==== Images ====


def write_images(path: Path, n: int, cases: np.ndarray, seed: int) -> None:
    """n uint8 images on disk, each the weighted mean of two slices."""
    rng = np.random.default_rng(seed)
    images = np.lib.format.open_memmap(path, "w+", np.uint8, (n, SIZE, SIZE))
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        share = rng.uniform(0.5, 1, (stop - start, 1, 1)).astype(np.float32)
        one, other = (cases[rng.integers(len(cases), size=stop - start)] for _ in range(2))
        mixed = share * one + (1 - share) * other
        mirrored = rng.random(stop - start) < 0.5
        mixed[mirrored] = mixed[mirrored, :, ::-1]
        images[start:stop] = mixed.round()
    images.flush()


def simulated_slices() -> np.ndarray:
    """All slices of the simulated scans, as float32 in 0-255."""
    from dwikit.cohorts import phantom
    from dwikit.slices import SliceSettings

    images, _ = phantom.simulate_slices(CASES, SEED, workers=2)
    images = images.reshape(-1, SIZE, SIZE)
    return (images / np.percentile(images, SliceSettings.percentile)).clip(0, 1) * 255


# ==== Table 1 in its own process ====


def table_1(folder: Path) -> dict:
    """Table 1 of the arrays in a folder: one pass over the originals, then five rows."""
    memory = Memory()
    originals = np.load(folder / "originals.npy", mmap_mode="r")
    n = min(paper.N_SAMPLES, len(originals))
    start = time.perf_counter()
    data = metrics.moments(originals)
    seconds = {"one pass over the originals": time.perf_counter() - start}
    chosen = np.sort(np.random.default_rng(SEED).permutation(len(originals))[:n])
    rows = {"original": evaluation.measure(originals[chosen], data)}
    for key in paper.MODELS:
        rows[key] = evaluation.measure(np.load(folder / f"{key}.npy", mmap_mode="r"), data)
    seconds["all of Table 1"] = time.perf_counter() - start
    own, with_file = memory.peaks()
    return {"seconds": seconds, "own": own / 2**30, "with_file": with_file / 2**30, "rows": rows}


# ==== Side by side ====


def fastest(*ways, runs: int = RUNS) -> list[float]:
    """Seconds of the fastest run of each method, run in turn."""
    times = [[] for _ in ways]
    for _ in range(runs):
        for way, kept in zip(ways, times):
            start = time.perf_counter()
            way()
            kept.append(time.perf_counter() - start)
    return [min(kept) for kept in times]


def side_by_side(folder: Path) -> dict[str, dict]:
    """DS beside cdist and scikit-learn; minimum ISD beside the bare product."""
    from scipy.spatial.distance import cdist
    from sklearn.metrics import euclidean_distances

    originals, samples = np.load(folder / "originals.npy", mmap_mode="r"), np.load(folder / "vae.npy")
    vectors = samples.reshape(len(samples), -1) / 255
    parts = {name: min(part, len(originals)) for name, part in (("cdist", PART_CDIST), ("sklearn", PART_SKLEARN))}
    ours = fastest(lambda: metrics.dataset_similarity(samples, originals))[0]
    found = metrics.dataset_similarity(samples, originals[: parts["sklearn"]])
    means = {}

    def part(name):
        return originals[: parts[name]].reshape(parts[name], -1) / 255

    def by_cdist():
        cdist(vectors, part("cdist"), "sqeuclidean").mean()

    def by_sklearn():
        means["sklearn"] = euclidean_distances(vectors, part("sklearn"), squared=True).mean() / SIZE**2

    seconds = {"cdist": fastest(by_cdist, runs=1)[0], "sklearn": fastest(by_sklearn)[0]}
    assert np.isclose(found, means["sklearn"], rtol=1e-9), "DS differs from scikit-learn's"
    rows = {"DS": {"images": label(len(samples), len(originals)), "seconds": ours}}
    for name, title in (("cdist", "DS by scipy cdist"), ("sklearn", "DS by scikit-learn euclidean_distances")):
        whole = seconds[name] * len(originals) / parts[name]
        note = f"measured on {parts[name]:,} originals ({seconds[name]:.2f} s), scaled up"
        rows[title] = {"images": label(len(samples), len(originals)), "seconds": whole, "ours": whole / ours, "note": note}
    single, copy = (vectors.astype(np.float32) for _ in range(2))
    ours, bare = fastest(lambda: metrics.minimum_intra_sample_diversity(samples), lambda: single @ copy.T, runs=2 * RUNS)
    images = label(len(samples), len(samples))
    rows["minimum ISD"] = {"images": images, "seconds": ours}
    note = f"minimum ISD reaches {bare / ours:.2f} of its speed"
    rows["bare float32 matrix product of that size"] = {"images": images, "seconds": bare, "ours": bare / ours, "note": note}
    return rows


def label(n: int, m: int) -> str:
    return f"{n:,} x {m:,}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--originals", type=int, default=paper.N_SLICES)
    parser.add_argument("--samples", type=int, default=paper.N_SAMPLES)
    parser.add_argument("--table", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.table:
        print(json.dumps(table_1(arguments.table), default=float))
        return
    with tempfile.TemporaryDirectory() as name:
        folder, cases = Path(name), simulated_slices()
        write_images(folder / "originals.npy", arguments.originals, cases, SEED)
        for i, key in enumerate(paper.MODELS):
            write_images(folder / f"{key}.npy", arguments.samples, cases, SEED + 1 + i)
        command = [sys.executable, __file__, "--table", str(folder)]
        done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        rows = side_by_side(folder)
    images = label(4 * arguments.samples, arguments.originals)
    memory = f"peak private memory {done['own']:.2f} GiB; with the pages of the file {done['with_file']:.2f} GiB"
    first = {name: {"images": images, "seconds": seconds} for name, seconds in done["seconds"].items()}
    first["all of Table 1"]["note"] = memory
    table = pd.DataFrame.from_dict(first | rows, orient="index", columns=["images", "seconds", "ours", "note"])
    text = table.assign(
        seconds=[f"{value:.2f}" for value in table["seconds"]],
        ours=["" if pd.isna(value) else f"{value:.2f} times" for value in table["ours"]],
        note=table["note"].fillna(""),
    )
    text = text.rename(columns={"ours": "as long as ours"}).rename_axis("step")
    source = report.provenance(
        profiles.resolve("paper"),
        f"python benchmarks/evaluation.py --originals {arguments.originals} --samples {arguments.samples}",
        processors=os.cpu_count(),
        load=os.getloadavg()[0],
        blas=np.show_config(mode="dicts")["Build Dependencies"]["blas"],
        table_1=done,
    )
    report.save_table(text, "evaluation-speed", source)
    print(report.markdown(text))


if __name__ == "__main__":
    main()
