"""Time and memory of the simulated cohort, for n scans and extrapolated to the paper's 2,029.

    python benchmarks/simulation.py --cases 40

The start of the processes (each builds the atlas once) is timed on two scans per worker and counted once, the rest per scan.
Memory is the peak of this process plus that of each worker.
"""

import argparse
import os
import platform
import resource
import tempfile
import time

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


def peak_mb(workers: int) -> float:
    """Largest memory of this process and `workers` times that of its largest child, MB."""
    own, child = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return (own + workers * child) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=["direct", "written"], help="one of the two paths")
    arguments = parser.parse_args()
    count, workers, few = arguments.cases, arguments.workers, 2 * arguments.workers
    machine = f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
    print(f"{machine}; Python {platform.python_version()}; {count} cases, {workers} workers")
    for name, function, goal in (("direct path", direct, 15), ("written as BIDS", written, 40)):
        if arguments.only and function.__name__ != arguments.only:
            continue
        start, start_processor = timed(function, few, workers)
        whole, processor = timed(function, count, workers)
        each, each_processor = (whole - start) / (count - few), (processor - start_processor) / (count - few)
        total = (start + each * (paper.N_CASES - few)) / 60
        busy = (start_processor + each_processor * (paper.N_CASES - few)) / 60 / workers
        print(f"{name}: {each:.2f} s a case, {each_processor:.2f} processor s a case, peak {peak_mb(workers):.0f} MB")
        if count == paper.N_CASES:
            print(f"  all {count} cases: {whole / 60:.1f} minutes")
        else:
            print(f"  extrapolated to {paper.N_CASES} cases: {total:.1f} minutes as loaded now, {busy:.1f} on idle processors")
        print(f"  goal: {goal} minutes")


if __name__ == "__main__":
    main()
