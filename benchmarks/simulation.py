"""Time and memory of the simulated cohort: ``python benchmarks/simulation.py [--direct 2029] [--written 40]``.

The direct path simulates volumes in memory; the other writes them as a BIDS dataset. The start of the processes (each builds
the atlas once) is timed on two scans per worker and counted once, the rest per scan; minutes of the paper's 2,029 people are
measured where that many are simulated, else extrapolated. Memory is the peak of this process and all its workers together, a
page that several share counted once (the sum of proportional set sizes, Linux).
"""

import argparse
import resource
import tempfile
import time

import pandas as pd
from machine import Family, show, source

from dwikit import paper
from dwikit.cohorts import phantom


def direct(count: int, workers: int) -> None:
    """Simulates volumes and discards them."""
    for _ in phantom.simulate_volumes(count, workers=workers):
        pass


def written(count: int, workers: int) -> None:
    """Writes a BIDS dataset and deletes it."""
    with tempfile.TemporaryDirectory() as folder:
        phantom.write_cohort(folder, count, workers=workers, progress=False)


def timed(function, count: int, workers: int) -> tuple[float, float]:
    """Wall-clock seconds, and processor seconds of the workers."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    function(count, workers)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(function, count: int, workers: int) -> dict[str, str]:
    """One row of the table."""
    few = 2 * workers
    start, start_processor = timed(function, few, workers)
    with Family() as family:
        whole, processor = timed(function, count, workers)
    each, each_processor = (whole - start) / (count - few), (processor - start_processor) / (count - few)
    total, how = (whole, "measured") if count == paper.N_CASES else (start + each * (paper.N_CASES - few), "extrapolated")
    return {
        "people": f"{count:,}",
        "s a person": f"{each:.2f}",
        "processor s a person": f"{each_processor:.2f}",
        f"{paper.N_CASES:,} people": f"{total / 60:.1f} minutes ({how})",
        "peak, all processes": f"{family.total / 1e6:.0f} MB",
        "of which the largest worker": f"{family.largest / 1e6:.0f} MB",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--direct", type=int, default=paper.N_CASES, help="people by the direct path; default %(default)s")
    parser.add_argument("--written", type=int, default=40, help="people written as BIDS; default %(default)s")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    facts = source("python benchmarks/simulation.py")  # before there is any load of our own
    rows = {
        "direct path": measured(direct, options.direct, options.workers),
        "written as BIDS": measured(written, options.written, options.workers),
    }
    show(pd.DataFrame.from_dict(rows, orient="index").rename_axis(f"path, {options.workers} workers"), "simulation", facts)


if __name__ == "__main__":
    main()
