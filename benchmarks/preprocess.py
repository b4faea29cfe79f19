"""Scans per minute of the preprocessing, its registration error, and bit-for-bit repetition.

    python benchmarks/preprocess.py --cases 48

Simulated scans with a known map, undistorted for error and speed, distorted for error alone. The plain loop is
`ants.registration(fixed=2 mm template, moving=trace, type_of_transform="Affine")` with ITK's default threads; only these calls
are timed, while the preprocessing's minutes include everything: start of processes, which counts much where scans are few,
reading, quality report, writing.
Both are run twice, in turn, and the faster run of each counts; processor seconds hardly depend on what else the machine does.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from machine import show, source

from dwikit.cohorts import phantom
from dwikit.cohorts.bids import find_cases
from dwikit.preprocess import preprocess
from dwikit.preprocess.derivative import versions
from dwikit.preprocess.template import load_template
from dwikit.preprocess.trace import read_trace

SEED = 11


def median_errors(affines: list[np.ndarray], distortion: bool) -> np.ndarray:
    """Each scan's median distance (mm) over brain voxels from the least-squares affine of its known map."""
    template = load_template()
    brain = np.argwhere(template.brain > 0.5) @ template.affine[:3, :3].T + template.affine[:3, 3]
    errors = []
    for number, affine in enumerate(affines):
        off = affine - np.linalg.inv(phantom.fit_affine(*phantom.truth(number, SEED, distortion=distortion)))
        errors.append(np.median(np.linalg.norm(brain @ off[:3, :3].T + off[:3, 3], axis=1)))
    return np.array(errors)


def affines(out: Path) -> list[np.ndarray]:
    """Maps of a finished run, in the order of the scans."""
    return [np.array(json.loads(file.read_text())["Affine"]) for file in sorted(out.glob("sub-*/dwi/*_dwi.json"))]


def timed(bids: Path, out: Path, workers: int) -> tuple[float, float]:
    """Seconds of one run, and its workers' processor seconds."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    preprocess(bids, out, workers=workers, progress=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def timed_plain(bids: Path) -> tuple[float, float, list[np.ndarray]]:
    """Seconds, processor seconds and maps of the plain loop, run in its own process."""
    command = [sys.executable, __file__, "--plain", str(bids)]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    return answer["seconds"], answer["processor"], [np.array(matrix) for matrix in answer["maps"]]


def plain_loop(bids: Path) -> tuple[float, float, list[np.ndarray]]:
    """Seconds and processor seconds in `ants.registration`, and its maps from MNI152 to world."""
    import ants
    from nilearn.datasets import load_mni152_template

    from dwikit.preprocess.register import read_transform, to_ants

    template = load_mni152_template(resolution=2)
    fixed = to_ants(template.get_fdata(dtype=np.float32), template.affine)
    seconds, processor, maps = 0.0, 0.0, []
    for case in find_cases(bids):
        trace = read_trace(case)
        moving = to_ants(trace.image, trace.affine)
        start, before = time.perf_counter(), time.process_time()
        result = ants.registration(fixed=fixed, moving=moving, type_of_transform="Affine")
        seconds += time.perf_counter() - start
        processor += time.process_time() - before
        maps.append(read_transform(result["fwdtransforms"][0]))
    return seconds, processor, maps


def same_bytes(first: Path, second: Path) -> bool:
    """Whether two runs wrote the same files, byte for byte."""
    names = [sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()) for root in (first, second)]
    return names[0] == names[1] and all((first / name).read_bytes() == (second / name).read_bytes() for name in names[0])


def row(runs: list[tuple], count: int, plain: list[tuple], errors: dict[str, np.ndarray], same: str = "") -> dict[str, str]:
    """One row of the table: the fastest of some runs beside the plain loop's, and errors by column."""
    seconds = min(run[0] for run in runs)
    ratios = [one[0] / other[0] for one in plain for other in runs]
    cells = {
        "scans a minute": f"{60 * count / seconds:.1f}",
        "processor s a scan": f"{min(run[1] for run in runs) / count:.2f}",
        "times the plain loop": f"{min(run[0] for run in plain) / seconds:.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
    }
    cells |= {f"{name}, mm": f"{np.median(found):.3f} (worst {found.max():.2f})" for name, found in errors.items()}
    return cells | {"same bytes as": same}


def main() -> None:
    """Runs everything and saves the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=48)
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.plain:
        seconds, processor, maps = plain_loop(arguments.plain)
        print(json.dumps({"seconds": seconds, "processor": processor, "maps": [matrix.tolist() for matrix in maps]}))
        return
    count, facts = arguments.cases, source(f"python benchmarks/preprocess.py --cases {arguments.cases}")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        straight = phantom.write_cohort(root / "straight", count, SEED, distortion=False, progress=False)
        bent = phantom.write_cohort(root / "bent", count, SEED, distortion=True, progress=False)
        plain, two = [], []
        for turn in range(2):
            plain.append(timed_plain(straight))
            two.append(timed(straight, root / f"two-{turn}", 2))
        one = timed(straight, root / "one", 1)
        timed(bent, root / "bent-out", 2)
        same = {name: same_bytes(root / "two-0", root / name) for name in ("one", "two-1")}
        errors = {
            "error, undistorted": median_errors(affines(root / "one"), False),
            "error, distorted": median_errors(affines(root / "bent-out"), True),
        }
        rows = {
            "plain loop, default threads": row(plain, count, plain, {"error, undistorted": median_errors(plain[0][2], False)}),
            "preprocess, 2 workers": row(two, count, plain, errors, "itself again" if same["two-1"] else "NOTHING"),
            "preprocess, 1 worker": row([one], count, plain, errors, "2 workers" if same["one"] else "NOTHING"),
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(f"{count} scans").fillna("")
    show(table, "preprocessing", facts | {"versions": facts["versions"] | versions()})


if __name__ == "__main__":
    main()
