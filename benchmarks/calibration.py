"""The simulated cohort beside the paper's Original row, and the choices that explain it.

    python benchmarks/calibration.py                          1,000 slices of 1,000 scans -> figures/calibration.*
    python benchmarks/calibration.py --explain --cases 100    each choice alone and together -> figures/calibration-explained.*
    python benchmarks/calibration.py --registered 200         also for scans through BIDS and ANTs
    python benchmarks/calibration.py --choose --cases 240     fields of view, interpolators, percentiles and noise side by side
        --physics '{"warp_mm": 2.2}'                          with other settings of the simulation

Slices are kept under runs/paper/calibration, so a run that was stopped resumes. DS is the mean distance of the
slices of even scans to those of odd ones; ISD, minimum ISD and the Laplace variance are those of all slices.
"""

import argparse
import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage
from tqdm.auto import tqdm

from dwikit import evaluation, metrics, paper, profiles, report
from dwikit.cohorts import phantom
from dwikit.cohorts.phantom import direct
from dwikit.cohorts.phantom.calibration import halves, normalized, pooled, uniform_levels, verdicts
from dwikit.cohorts.phantom.parallel import map_cases
from dwikit.cohorts.phantom.person import draw_person
from dwikit.cohorts.phantom.scanner import make_scan, reconstructed_affine
from dwikit.common import paths
from dwikit.slices import CALIBRATED, SliceSettings, grid
from dwikit.slices.settings import INTERPOLATORS

PERCENTILES = (95.0, 97.0, 99.0)
PLAIN = SliceSettings(fov_mm=233.0, interpolator="linear", percentile=95.0)
"""The paper's words, with a field of view that fits the template."""
SEED, CHUNK, PER_CASE = 0, 125, 3
HELD_OUT_SEED = 3
"""Seed of people on whom no setting was tuned."""
TUNING_SEED = 2
"""Seed of the people on whom settings are compared."""
CANDIDATES = [  # field of view in mm, order of the interpolator, signal to noise, percentiles
    (300.0, 0, 24.0, (99.0,)),
    (305.0, 0, 20.0, (99.0,)),
    (320.0, 3, 20.0, (95.0, 97.0, 99.0)),
    (325.0, 3, 16.0, (97.0,)),
    (330.0, 3, 20.0, (95.0,)),
    (340.0, 3, 20.0, (95.0, 96.0)),
    (340.0, 3, 24.0, (95.0,)),
    (350.0, 3, 20.0, (95.0,)),
    (350.0, 1, 20.0, (95.0,)),
]
BASE = replace(phantom.Settings(), gain_sd=0.0)  # the gain is only a factor: multiplied afterwards
GAIN_SD = phantom.Settings().gain_sd
FINER = {128: 192, 160: 224, 192: 256}
SCANS = {
    "": BASE,
    "signal to noise 32": replace(BASE, snr=32.0),
    "background not filtered": replace(BASE, background_sigmas=0.0),
    "acquired 192 to 256": replace(
        BASE, protocols=tuple(replace(p, matrix=FINER[p.matrix], reconstructed=256) for p in BASE.protocols)
    ),
    "not zero-filled": replace(BASE, protocols=tuple(replace(p, reconstructed=p.matrix) for p in BASE.protocols)),
    "warp 3.5 mm": replace(BASE, warp_mm=3.5),
}
WIDE = f"{CALIBRATED.fov_mm:g}"
FIELDS = {name: (float(name), float(name)) for name in ("233", "256", "300", "320", WIDE)} | {"stretched": (197.0, 233.0)}
HELD = "cubic, held within its neighbours"
"""No overshoot: every value lies within the range of the eight voxels around it."""
GRIDS = [
    (name, how) for name in FIELDS for how in (*INTERPOLATORS, HELD) if name in ("233", WIDE) or not how.startswith("cubic")
]


def row(images: np.ndarray) -> dict[str, float]:
    """The four metrics of uint8 slices (n, H, W)."""
    even, odd = halves(images)
    return evaluation.measure(images, metrics.moments(odd)) | {"ds": metrics.dataset_similarity(even, odd)}


# ==== The calibration table ====


def cache(n_cases: int, workers: int, choice: SliceSettings, seed: int = SEED) -> np.ndarray:
    """One slice per scan, not normalized, kept from an earlier run or made now."""
    key = hashlib.sha256(f"{phantom.Settings()} {choice.fov_mm} {choice.interpolator} {seed}".encode()).hexdigest()[:10]
    folder = paths.runs("paper") / "calibration"
    folder.mkdir(parents=True, exist_ok=True)
    levels, parts = uniform_levels(n_cases, seed=seed), []
    for first in tqdm(range(0, n_cases, CHUNK), unit="chunk"):
        chosen = levels[first : first + CHUNK]
        file = folder / f"{key}-{first}-{len(chosen)}.npy"
        if not file.exists():
            images, _ = phantom.simulate_slices(len(chosen), seed, first, chosen, workers, settings=choice)
            np.save(file.with_suffix(".partial.npy"), images[:, 0])
            file.with_suffix(".partial.npy").rename(file)
        parts.append(np.load(file))
    return np.concatenate(parts)


def registered(n_cases: int, workers: int, folder: Path) -> np.ndarray:
    """One slice per scan through BIDS and ANTs, not normalized."""
    from dwikit.preprocess import preprocess
    from dwikit.slices import read_derivatives

    phantom.write_cohort(folder / "bids", n_cases, SEED, workers)
    preprocess(folder / "bids", folder / "derivatives", workers=workers, settings=CALIBRATED)
    volumes = read_derivatives(folder / "derivatives")
    return np.stack([volume.image[level[0]] for volume, level in zip(volumes, uniform_levels(n_cases, seed=SEED))])


def calibration_table(slices: dict[str, np.ndarray]) -> pd.DataFrame:
    """The paper's row, ours, their ratio, and whether each statistic is met."""
    goal = paper.TABLE_1.loc["original"]
    rows: dict[str, dict] = {"paper, Original": {"n": 1000.0} | goal.to_dict()}
    for name, images in slices.items():
        ours = row(pooled(images, CALIBRATED.percentile))
        rows[name] = ours
        rows[f"{name}: ratio"] = {key: f"{ours[key] / goal[key]:.2f}" for key in verdicts(ours)}
        rows[f"{name}: met"] = {key: "yes" if met else "no" for key, met in verdicts(ours).items()}
    table = pd.DataFrame.from_dict(rows, orient="index").astype(object).rename_axis("slices")
    return table[["n", "ds", "isd", "min_isd", "laplace", "laplace_sd"]].where(lambda t: t.notna(), "")


# ==== The explanation table ====


def one_case(number: int) -> dict:
    """Levels of one person, imaged in every variant, and the percentiles of each volume."""
    levels = np.random.default_rng([SEED, number, 99]).permutation(grid.N_LEVELS)[:PER_CASE]
    images, caps = {}, {}
    for name, settings in SCANS.items():
        person = draw_person(number, SEED, settings)
        trace = direct._trace(make_scan(person, settings))
        to_voxel = np.linalg.inv(reconstructed_affine(person)) @ direct._target_to_native(person, settings)
        for field, how in GRIDS if not name else [("233", PLAIN.interpolator), (WIDE, CALIBRATED.interpolator)]:
            images[name, field, how] = resampled(trace, to_voxel @ stretched(FIELDS[field]), levels, how)
        if not name:
            for field in ("233", WIDE):
                coarse = direct._resample(trace, to_voxel @ stretched(FIELDS[field]), grid.IMAGE_SIZE, range(0, 26, 2))
                caps[field] = {q: np.percentile(coarse, q) for q in PERCENTILES}
    return {"images": images, "caps": caps}


def resampled(trace: np.ndarray, matrix: np.ndarray, levels: np.ndarray, how: str) -> np.ndarray:
    """Slices of the target grid by an interpolator, or by the cubic one without its overshoot."""
    images = direct._resample(trace, matrix, grid.IMAGE_SIZE, levels, INTERPOLATORS[how.partition(",")[0]])
    if how == HELD:
        corner = matrix.copy()
        corner[:3, 3] -= 0.5  # the nearest voxel is then the first of the eight around a point
        ends = (edge(trace, 2, origin=-1) for edge in (ndimage.minimum_filter, ndimage.maximum_filter))
        images = np.clip(
            images, *(direct._resample(end, corner, grid.IMAGE_SIZE, levels, INTERPOLATORS["nearest"]) for end in ends)
        )
    return images


def stretched(fov_mm: tuple[float, float]) -> np.ndarray:
    """The target grid with a field of view for each of the two axes."""
    matrix = grid.affine(grid.IMAGE_SIZE, fov_mm[1])
    pixel = fov_mm[0] / grid.IMAGE_SIZE
    matrix[0, 0], matrix[0, 3] = pixel, grid.CENTRE_MM[0] - fov_mm[0] / 2 + pixel / 2
    return matrix


def variant(
    cases: list[dict], scan="", field="233", how=PLAIN.interpolator, percentile=95.0, scope="cohort", gain_sd=GAIN_SD
) -> dict:
    """One row of the explanation table."""
    images = np.stack([case["images"][scan, field, how] for case in cases])
    if scope == "volume":
        caps = np.repeat([case["caps"][field][percentile] for case in cases], PER_CASE)
        flat = normalized(images.reshape(-1, *images.shape[2:]), caps)
    else:
        gains = np.exp(gain_sd * np.random.default_rng(SEED).standard_normal(len(images)))
        flat = pooled((images * gains[:, None, None, None]).reshape(-1, *images.shape[2:]), percentile)
    alone = flat[::PER_CASE]  # one slice per scan: the minimum must not pair slices of one person
    near = float(metrics.minimum_intra_sample_diversity(alone))
    half = len(flat) // 2
    return row(flat) | {"ds": metrics.dataset_similarity(flat[:half], flat[half:]), "min_isd": near}


def explanation_table(cases: list[dict]) -> pd.DataFrame:
    """Every choice alone, the three that matter in pairs and together, then what each of the others adds."""
    final = {"field": WIDE, "how": CALIBRATED.interpolator, "percentile": CALIBRATED.percentile}
    ordinal = f"{CALIBRATED.percentile:g}th percentile"
    names = {"field": f"field of view {WIDE} mm", "how": CALIBRATED.interpolator, "percentile": ordinal}
    rows = {"plain: 233 mm, linear, 95th percentile of the cohort": {}}
    rows |= {f"field of view {name} mm": {"field": name} for name in FIELDS if name not in ("233", "stretched")}
    rows |= {
        "template stretched to the square": {"field": "stretched"},
        **{f"{q:g}th percentile": {"percentile": q} for q in PERCENTILES[1:]},
        **{f"{q:g}th percentile per volume": {"scope": "volume", "percentile": q} for q in PERCENTILES},
        "gain spread 0": {"gain_sd": 0.0},
        "gain spread 0.4": {"gain_sd": 0.4},
        **{how: {"how": how} for how in ("nearest", "cubic", HELD)},
    }
    rows |= {name: {"scan": name} for name in SCANS if name}
    for left in final:
        rows[" + ".join(names[key] for key in final if key != left)] = {k: v for k, v in final.items() if k != left}
    rows["all three: the calibrated choice"] = final
    rows |= {f"all three, but {how}": final | {"how": how} for how in (*INTERPOLATORS, HELD) if how != CALIBRATED.interpolator}
    rows["all three, gain spread 0.4"] = final | {"gain_sd": 0.4}
    rows |= {f"all three, {name}": final | {"scan": name} for name in SCANS if name}
    table = pd.DataFrame.from_dict({name: variant(cases, **options) for name, options in rows.items()}, orient="index")
    return table[["n", "ds", "isd", "min_isd", "laplace", "laplace_sd"]].rename_axis("choice")


# ==== Candidates side by side ====


def one_choice(number: int, physics: phantom.Settings) -> dict[tuple, np.ndarray]:
    """One slice of one person for each field of view, interpolator and signal to noise; the scan is made once.

    Cubic splines hardly feel what lies four slices off, so that only slices near the level are made.
    """
    person = draw_person(number, TUNING_SEED, physics)
    level = np.random.default_rng([TUNING_SEED, number, 99]).integers(grid.N_LEVELS)
    to_voxel = np.linalg.inv(reconstructed_affine(person)) @ direct._target_to_native(person, physics)
    widest = to_voxel @ grid.affine(grid.IMAGE_SIZE, max(fov_mm for fov_mm, *_ in CANDIDATES))
    near = direct._needed(widest, [level], grid.IMAGE_SIZE, person.protocol.n_slices)
    scan = make_scan(person, physics, slices=slice(max(near.start - 4, 0), min(near.stop + 4, person.protocol.n_slices)))
    images = {}
    for snr in {snr for _, _, snr, _ in CANDIDATES}:
        trace = direct._trace(scan._replace(person=replace(person, sigma=person.sigma * physics.snr / snr)))
        for fov_mm, order, at_snr, _ in CANDIDATES:
            if at_snr == snr:
                matrix = to_voxel @ grid.affine(grid.IMAGE_SIZE, fov_mm)
                images[fov_mm, order, snr] = direct._resample(trace, matrix, grid.IMAGE_SIZE, [level], order)[0]
    return images


def minimum_at(images: np.ndarray, count: int) -> float:
    """Minimum diversity that `count` slices would have: it falls as a power of their number, fitted to halves of the slices."""
    counts = [len(images) // 4, len(images) // 2, len(images)]
    found = [np.mean([metrics.minimum_intra_sample_diversity(images[i :: len(images) // n]) for i in range(2)]) for n in counts]
    slope, start = np.polyfit(np.log(counts), np.log(found), 1)
    return float(np.exp(start + slope * np.log(count)))


def choice_table(cases: list[dict[tuple, np.ndarray]]) -> pd.DataFrame:
    """One row for each candidate, with the verdicts that its minimum diversity has at the paper's 1,000 slices."""
    names, rows = {order: name for name, order in INTERPOLATORS.items()}, {"paper, Original": paper.TABLE_1.loc["original"]}
    for fov_mm, order, snr, percentiles in CANDIDATES:
        images = np.stack([case[fov_mm, order, snr] for case in cases])
        for percentile in percentiles:
            ours = row(pooled(images, percentile))
            ours["min_isd"] = minimum_at(pooled(images, percentile), 1000)
            missed = ", ".join(key for key, met in verdicts(ours).items() if not met)
            rows[f"{fov_mm:g} mm, {names[order]}, {percentile:g}th, SNR {snr:g}"] = ours | {"missed": missed or "none"}
    table = pd.DataFrame.from_dict({name: dict(values) for name, values in rows.items()}, orient="index")
    return table[["n", "ds", "isd", "min_isd", "laplace", "laplace_sd", "missed"]].rename_axis("choice").fillna("")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--explain", action="store_true")
    parser.add_argument("--choose", action="store_true", help="prints candidates side by side")
    parser.add_argument("--physics", type=json.loads, default={}, help="other settings of the simulation, for --choose")
    parser.add_argument("--registered", type=int, default=0, help="cases through BIDS and ANTs")
    arguments = parser.parse_args()
    if arguments.choose:
        physics = replace(phantom.Settings(), **arguments.physics)
        done = map_cases(one_choice, list(range(arguments.cases)), arguments.workers, physics)
        print(report.markdown(choice_table(list(tqdm(done, total=arguments.cases, unit="case")))))
        return
    chosen = asdict(CALIBRATED)
    config, count = profiles.resolve("paper", image_size=chosen.pop("image_size"), slices=chosen), arguments.cases
    facts = {"cases": count, "seed": SEED, "plain": asdict(PLAIN), "calibrated": asdict(CALIBRATED)}
    command = f"python benchmarks/calibration.py --cases {count}"
    if arguments.explain:
        done = map_cases(one_case, list(range(count)), arguments.workers)
        table, name = explanation_table(list(tqdm(done, total=count, unit="case"))), "calibration-explained"
        command += " --explain"
    else:
        slices = {
            "simulated, direct path": cache(count, arguments.workers, CALIBRATED),
            "the same, other people (seed not tuned on)": cache(count, arguments.workers, CALIBRATED, HELD_OUT_SEED),
        }
        if arguments.registered:
            folder = paths.runs("paper") / "calibration" / "registered"
            slices["simulated, BIDS and ANTs"] = registered(arguments.registered, arguments.workers, folder)
            command += f" --registered {arguments.registered}"
        table, name = calibration_table(slices), "calibration"
    report.save_table(table, name, report.provenance(config, command, **facts))
    print(report.markdown(table))


if __name__ == "__main__":
    main()
