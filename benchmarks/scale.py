"""Time and storage of preparing 1, 200, 2,029 and 100,000 scans: ``python benchmarks/scale.py --cases 12``.

One scan and a few are measured: simulated as BIDS, preprocessed by one process, by one per processor and by two workers
of a Dask cluster, and built into slices. The rest is predicted from the cost of one more scan; the assumptions are printed and
kept in the provenance. `same bytes` says whether Dask's results equal those of one machine, file by file.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import pandas as pd
from machine import show, source
from preprocess import same_bytes

from dwikit import paper, slices
from dwikit.cohorts import phantom
from dwikit.preprocess import preprocess

SEED = 11
SIZES = (1, 200, paper.N_CASES, 100_000)
CLUSTER = 64
"""Workers of the cluster of the last column, which is predicted for every size."""
UNITS = (("s", 1), ("min", 60), ("h", 3600), ("days", 86400))


def timed(work) -> float:
    """Seconds of a call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measure(root: Path, n: int, scheduler: str) -> dict[str, float]:
    """Seconds and bytes of n scans, stage by stage."""
    raw, ways = root / "bids", {"one": {"workers": 1}, "all": {}, "dask": {"scheduler": scheduler}}
    result = {"simulated": timed(lambda: phantom.write_cohort(raw, n, SEED, progress=False))}
    for name, way in ways.items():
        result[name] = timed(lambda name=name, way=way: preprocess(raw, root / name, progress=False, **way))
    result["again"] = timed(lambda: preprocess(raw, root / "one", progress=False))
    result["sliced"] = timed(lambda: slices.build(root / "one", root / "slices", slices.SliceSettings(scope="volume")))
    result |= {f"{name} bytes": size(root / name) for name in ("bids", "one", "slices")}
    result["same"] = same_bytes(root / "one", root / "dask")
    return result


def predict(one: dict[str, float], few: dict[str, float], cases: int, n: int) -> dict[str, float]:
    """The same for n scans: what the first took, plus for each further scan what one more took."""
    numbers = [name for name in one if name != "same"]
    result = {name: one[name] + max(few[name] - one[name], 0) / (cases - 1) * (n - 1) for name in numbers}
    each = {name: (few[name] - one[name]) / (cases - 1) for name in ("again", "dask")}
    shared = max(2 * (each["dask"] - each["again"]), 0)  # seconds of a worker per scan; the calling machine does the rest
    return result | {"cluster": one["dask"] + n * (each["again"] + shared / CLUSTER)}


def duration(seconds: float) -> str:
    """Seconds in the largest unit that gives at least two."""
    unit, length = next((unit for unit in reversed(UNITS) if seconds >= 2 * unit[1]), UNITS[0])
    return f"{seconds / length:.3g} {unit}"


def storage(size: float) -> str:
    """Bytes in MB, GB or TB."""
    unit, length = next((unit for unit in (("TB", 1e12), ("GB", 1e9)) if size >= unit[1]), ("MB", 1e6))
    return f"{size / length:.3g} {unit}"


def row(values: dict[str, float], how: str) -> dict[str, str]:
    """A row of the table."""
    return {
        "how": how,
        "simulated as BIDS": duration(values["simulated"]),
        "preprocessed, 1 process": duration(values["one"]),
        f"{os.cpu_count()} processes": duration(values["all"]),
        "Dask, 2 workers": duration(values["dask"]),
        f"Dask, {CLUSTER} workers": duration(values["cluster"]) if "cluster" in values else "-",
        "slices": duration(values["sliced"]),
        "BIDS": storage(values["bids bytes"]),
        "volumes": storage(values["one bytes"]),
        "store of slices": storage(values["slices bytes"]),
    }


def assumptions(cases: int) -> list[str]:
    """Assumptions of the predictions."""
    return [
        f"Each case more costs what each of the cases 2 to {cases} cost here; the start (processes, templates) counts once.",
        "Cases are like the simulated ones: four volumes of a clinical DWI, compressed.",
        f"{CLUSTER} workers are as fast as the two measured, one processor each, and the shared file system keeps up.",
        "What one process does for all (finding cases, the report) is not shared; it is measured as a second, finished run.",
        "Dask hands out tasks faster than workers finish them, and no worker is lost.",
        "Building slices also takes four times their size on disk while it runs.",
    ]


def main() -> None:
    """Measure, predict, print."""
    from distributed import LocalCluster

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=12)
    cases = parser.parse_args().cases
    if cases < 2:
        parser.error("--cases must be at least 2")
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=2, processes=True, threads_per_worker=1, dashboard_address=None) as cluster,
    ):
        phantom.write_cohort(Path(folder) / "first", 1, SEED, workers=1, progress=False)  # loads what later scans find loaded
        one, few = (measure(Path(folder) / str(n), n, cluster.scheduler_address) for n in (1, cases))
    rows = {"1": row(one, "measured"), str(cases): row(few, "measured")}
    rows |= {f"{n:,}": row(predict(one, few, cases, n), "predicted") for n in SIZES[1:]}
    facts = source(f"python benchmarks/scale.py --cases {cases}")
    facts |= {
        "assumptions": assumptions(cases),
        "same_bytes": one["same"] and few["same"],
        "measured": {"1": one, str(cases): few},
    }
    show(pd.DataFrame.from_dict(rows, orient="index").rename_axis("cases"), "scale", facts)
    print(f"\nDask and one machine wrote the same bytes: {facts['same_bytes']}\n\nPredictions assume:")
    print("\n".join(f"- {line}" for line in facts["assumptions"]))


if __name__ == "__main__":
    main()
