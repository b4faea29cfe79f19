"""Simulated beside real slices: contrast, noise, sharpness, spectra, and the features by which a classifier tells them apart.

    DWIKIT_REAL_DATA=<folder> python benchmarks/realism.py --cases 16 --sheet <file outside the repository>

Real scans are preprocessed, simulated ones take the direct path; both on the plain grid (233 mm, linear), each
volume divided by its own 95th percentile. Simulated people have their own cortex, as in the kit, or the template's, as before
there were folds; and are imaged by the study's scanners, or in the real scans' voxels and noise ("matched"), the latter with
less varied shapes, too. Writes
figures/realism-folds.* (what folds change), figures/realism.* and figures/realism-cues.* (contrast, and features; as in the
study) and figures/realism-spectra.* (curves only). The sheet of slices side by side shows people, so it is written only where
you say.
"""

import argparse
import itertools
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest import mock

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import ndimage
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dwikit import metrics, profiles, report
from dwikit.cohorts import phantom
from dwikit.cohorts.phantom import anatomy
from dwikit.preprocess import preprocess
from dwikit.preprocess.template import load_template, on_grid
from dwikit.slices import SliceSettings, grid, read_derivatives, to_uint8

REAL = ["sub-phienh", "sub-strokecase0009", "sub-canon", "sub-toshiba"]
"""Whole-brain scans; two of b = 1500 and low resolution."""
PLAIN = SliceSettings(fov_mm=233.0, interpolator="linear")
"""A field of view that fits the template, and pixels that keep the sharpness of the scans."""
LEVELS = range(3, 23)
MATCHED = replace(
    phantom.Settings(),
    protocols=(
        phantom.Protocol("real-2mm", "Philips", 0.5, 3.0, 112, 112, 224.0, 2.0, 2.0, 75, 78.0, 8000.0, 18.0),
        phantom.Protocol("real-3mm", "Canon", 0.5, 3.0, 80, 80, 240.0, 3.0, 3.0, 50, 78.0, 8000.0, 18.0),
    ),
    snr=30.0,
)
"""The kit's people imaged as the real ones were, so that what is left to tell them apart is anatomy."""
PROTOCOLS = {
    "as in the study": phantom.Settings(),
    "matched": MATCHED,
    "matched, shapes less varied": replace(MATCHED, warp_mm=1.0),  # the kit's 2.2 is what the paper's diversity asks for
}
CORTICES = "the template's", "their own"
DRAWS = 1000
"""Bootstrap draws of whole people."""
BANDS = (0.02, 0.04, 0.08, 0.12, 0.18, 0.25, 0.35, 0.5)
"""Edges of the spectrum's bands, cycles per pixel (1.82 mm)."""


def masks() -> dict[str, np.ndarray]:
    """Template masks (26, H, W): certain grey and white matter, ventricles, brain, far air."""
    template = load_template()
    share = {name: grid.to_slices(on_grid(tissue, 128, PLAIN.fov_mm)) for name, tissue in zip("gwf", template.tissues)}
    brain = grid.to_slices(on_grid(template.brain, 128, PLAIN.fov_mm)) > 0.5
    inner = np.stack([ndimage.binary_erosion(level, iterations=12) for level in brain])
    near = np.stack([ndimage.binary_dilation(level, iterations=14) for level in brain])
    ring = np.stack([ndimage.binary_dilation(level, iterations=3) for level in brain])
    return {
        "grey": share["g"] > 0.75,
        "white": share["w"] > 0.9,
        "ventricle": (share["f"] > 0.9) & inner,
        "brain": brain,
        "air": ~near,
        "scalp": near & ~ring,
    }


def spectrum(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Radial power spectrum of a slice: frequencies (cycles per pixel) and mean power."""
    power = np.abs(np.fft.fft2(image)) ** 2 / image.size
    radius = np.hypot(*np.meshgrid(*[np.fft.fftfreq(n) for n in image.shape], indexing="ij"))
    bins = np.minimum((radius * 128).astype(int), 64).ravel()
    count = np.bincount(bins)
    return np.arange(len(count)) / 128, np.bincount(bins, power.ravel()) / np.maximum(count, 1)


def features(image: np.ndarray, level: int, mask: dict[str, np.ndarray]) -> dict[str, float]:
    """Interpretable numbers of one slice, intensities as shares of the volume's 95th percentile."""
    brain = mask["brain"][level]
    inside, edges = image[brain], ndimage.gaussian_gradient_magnitude(image, 0.7)
    frequency, power = spectrum(np.clip(image, 0, 1))
    row = {f"quantile {q} of the brain": np.quantile(inside, q / 100) for q in (5, 25, 50, 75, 95)}
    row |= {"air": np.median(image[mask["air"][level]]), "scalp": np.quantile(image[mask["scalp"][level]], 0.9)}
    row |= {f"edge quantile {q}": np.quantile(edges[brain], q / 100) for q in (25, 50, 90)}
    row["asymmetry"] = np.abs(image - image[:, ::-1])[brain].mean()
    row["laplace"] = float(metrics.laplace_variance(np.clip(image, 0, 1)[None])[0])
    for low, high in zip(BANDS, BANDS[1:]):
        band = power[(frequency >= low) & (frequency < high)]
        row[f"log power {low:g} to {high:g} / pixel"] = float(np.log10(band.mean()))
    return row


def contrast(share: np.ndarray, mask: dict[str, np.ndarray]) -> dict[str, float]:
    """Medians of one volume over template masks, shares of its 95th percentile."""
    row = {name: float(np.median(share[mask[name]])) for name in ("grey", "white", "ventricle", "air")}
    smooth = ndimage.gaussian_filter(share, (0, 1, 1))
    noise = 1.4826 * np.median(np.abs(share - smooth)[mask["white"]])
    whole = to_uint8(np.clip(share, 0, 1))
    return row | {
        "grey / white": row["grey"] / row["white"],
        "scalp": float(np.quantile(share[mask["scalp"]], 0.9)),
        "fine residual in white": float(noise),
        "99th / 95th percentile": float(np.percentile(share, 99)),
        "laplace": float(metrics.laplace_variance(whole).mean()),
    }


def apart(shares: dict[str, np.ndarray], brain: np.ndarray) -> tuple[float, float]:
    """Mean and sd over pairs of people of |a - g b| / a in the brain at one level, with the gain g that fits b to a best."""
    distances = []
    for (name, one), (other_name, other) in itertools.combinations(shares.items(), 2):
        if name.split("_")[0] != other_name.split("_")[0]:
            pairs = [(one[level][brain[level]], other[level][brain[level]]) for level in LEVELS]
            distances.append(np.mean([np.abs(a - (a @ b) / (b @ b) * b).mean() / a.mean() for a, b in pairs]))
    return float(np.mean(distances)), float(np.std(distances))


def interval(real: pd.Series, chance: np.ndarray, people: pd.Series) -> tuple[float, float]:
    """95 % bootstrap interval of the area under the curve, whole people drawn among the real and among the simulated ones."""
    rng, rows = np.random.default_rng(0), {name: np.flatnonzero(people == name) for name in people.unique()}
    kinds = [[name for name in rows if real.iloc[rows[name][0]] == kind] for kind in (True, False)]
    areas = []
    for _ in range(DRAWS):
        drawn = np.concatenate([rows[name] for names in kinds for name in rng.choice(names, len(names))])
        areas.append(roc_auc_score(real.iloc[drawn], chance[drawn]))
    return tuple(float(end) for end in np.quantile(areas, (0.025, 0.975)))


def tell_apart(table: pd.DataFrame) -> tuple[dict[str, tuple[float, float, float]], pd.DataFrame]:
    """Areas under the curve with whole people held out, with intervals; and every feature alone, the most informative first."""
    values, real, people = table.drop(columns=["real", "person", "level"]), table["real"], table["person"]
    folds = [(np.flatnonzero(~people.isin(held)), np.flatnonzero(people.isin(held))) for held in _held_out(table)]
    scores = {}
    for name, model in (
        ("logistic regression", make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))),
        ("random forest", RandomForestClassifier(200, min_samples_leaf=4, random_state=0)),
    ):
        chance = cross_val_predict(model, values, real, cv=folds, method="predict_proba")[:, 1]
        scores[name] = float(roc_auc_score(real, chance)), *interval(real, chance, people)
        if name == "random forest":
            importance = model.fit(values, real).feature_importances_
    rows = {}
    for name, weight in zip(values, importance):
        area = roc_auc_score(real, values[name])
        groups = values[name].groupby(real).mean()
        rows[name] = {"alone": max(area, 1 - area), "in the forest": weight, "simulated": groups[False], "real": groups[True]}
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("feature")
    return scores, frame.sort_values("in the forest", ascending=False)


def _held_out(table: pd.DataFrame) -> list[set[str]]:
    """One real person per fold, and a share of the simulated ones."""
    real = sorted(table.loc[table["real"], "person"].unique())
    simulated = sorted(table.loc[~table["real"], "person"].unique())
    return [{person, *simulated[i :: len(real)]} for i, person in enumerate(real)]


def draw_spectra(real: dict[str, np.ndarray], others: dict[str, np.ndarray], source: dict) -> None:
    """Mean radial spectrum of each real scan over that of the simulated ones."""

    def mean_power(share: np.ndarray) -> np.ndarray:
        return np.mean([spectrum(np.clip(share[level], 0, 1))[1] for level in LEVELS], axis=0)[1:]

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for name, share in real.items():
        power = mean_power(share)
        frequency = np.arange(1, len(power) + 1) / 128
        axes.semilogy(frequency, power, label=name.removeprefix("sub-"))
    low, middle, high = np.quantile([mean_power(share) for share in others.values()], (0, 0.5, 1), axis=0)
    axes.fill_between(frequency, low, high, color="0.8", label="simulated, range")
    axes.semilogy(frequency, middle, "k", label="simulated, median")
    axes.set(xlabel="cycles a pixel (1.82 mm)", ylabel="power", title="Radial power spectra of matching levels")
    axes.legend(fontsize=8)
    report.save_figure(figure, "realism-spectra", source, "svg")


def draw_sheet(real: dict[str, np.ndarray], groups: dict[str, dict[str, np.ndarray]], path: Path) -> None:
    """Real people in turn with simulated ones of each group, at six levels."""
    rows = [("real", real), *groups.items()]
    columns = [(name, list(shares.values())[i]) for i in range(len(real)) for name, shares in rows]
    levels = (2, 6, 10, 14, 18, 22)
    figure, axes = plt.subplots(len(levels), len(columns), figsize=(2 * len(columns), 12), squeeze=False)
    for line, (name, share) in zip(axes.T, columns):
        line[0].set_title(name, fontsize=8)
        for axis, level in zip(line, levels):
            axis.imshow(share[level], cmap="gray", vmin=0, vmax=1.1)
            axis.axis("off")
    figure.tight_layout(pad=0.1)
    figure.savefig(path, dpi=60)
    plt.close(figure)


def relative(volumes) -> dict[str, np.ndarray]:
    """Case -> image (26, H, W), a share of its own 95th percentile."""
    images = {volume.case: np.clip(volume.image, 0, None) for volume in volumes}
    return {case: image / np.percentile(image, 95) for case, image in images.items()}


def simulated(cases: int, physics: phantom.Settings, cortex: str) -> dict[str, np.ndarray]:
    """People of the simulation; without folds, everybody has the template's cortex, warped."""
    folds = anatomy.fold if cortex == "their own" else lambda *_: []
    with mock.patch.object(anatomy, "fold", folds):
        return relative(phantom.simulate_volumes(cases, workers=1, settings=PLAIN, physics=physics))


def compared(real: dict[str, np.ndarray], others: dict[str, np.ndarray], mask: dict) -> tuple[dict, pd.DataFrame, pd.DataFrame]:
    """Real beside simulated people: a row of figures/realism-folds, the contrasts, and the cues."""
    rows, contrasts = [], {}
    for kind, shares in (("real", real), ("simulated", others)):
        for name, share in shares.items():
            who = {"real": kind == "real", "person": name.split("_")[0]}
            rows += [who | {"level": level} | features(share[level], level, mask) for level in LEVELS]
            contrasts[name if kind == "real" else kind, name] = contrast(share, mask)
    scores, cues = tell_apart(pd.DataFrame(rows))
    shown = {f"AUC, {name}": f"{area:.3f} ({low:.3f} to {high:.3f})" for name, (area, low, high) in scores.items()}
    for kind, shares in (("simulated", others), ("real", real)):
        shown[f"two {kind} people apart"] = "{:.3f} +- {:.3f}".format(*apart(shares, mask["brain"]))
    table = pd.DataFrame.from_dict(contrasts, orient="index").groupby(level=0, sort=False).median()
    return shown, table.rename_axis("median of"), cues


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--derivatives", type=Path, help="keeps the registered real scans here")
    parser.add_argument("--sheet", type=Path, help="file of the sheet, outside the repository")
    arguments = parser.parse_args()
    if "DWIKIT_REAL_DATA" not in os.environ:
        parser.error("the environment variable DWIKIT_REAL_DATA must name a BIDS folder with real scans")
    with tempfile.TemporaryDirectory() as folder:
        out = arguments.derivatives or Path(folder)
        preprocess(os.environ["DWIKIT_REAL_DATA"], out, workers=arguments.workers, settings=PLAIN, only=REAL)
        real = relative(read_derivatives(out))
    mask, found, groups = masks(), {}, {}
    plain = {"fov_mm": PLAIN.fov_mm, "interpolator": PLAIN.interpolator, "percentile": 95, "scope": "volume"}
    config = profiles.resolve("paper", slices=plain)
    source = report.provenance(config, f"python benchmarks/realism.py --cases {arguments.cases}", real=REAL)
    for (protocol, physics), cortex in itertools.product(PROTOCOLS.items(), CORTICES):
        people = groups[protocol, cortex] = simulated(arguments.cases, physics, cortex)
        found[protocol, cortex] = compared(real, people, mask)
    table = (
        pd.DataFrame.from_dict({where: row for where, (row, _, _) in found.items()}, orient="index")
        .rename_axis(["imaged", "cortex"])
        .reset_index(level=1)
    )
    report.save_table(table, "realism-folds", source)
    _, contrasts, cues = found["as in the study", "their own"]
    report.save_table(contrasts, "realism", source)
    report.save_table(cues, "realism-cues", source)
    draw_spectra(real, groups["as in the study", "their own"], source)
    if arguments.sheet:
        draw_sheet(real, {f"matched, {cortex} cortex": groups["matched", cortex] for cortex in CORTICES}, arguments.sheet)
    print(*map(report.markdown, (table, contrasts, cues)), sep="\n")


if __name__ == "__main__":
    main()
