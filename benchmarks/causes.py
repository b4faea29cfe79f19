"""Why is a claim not reproduced after hours? ``python benchmarks/causes.py``, minutes: experiments beside the trainings.

One row per experiment, as ratios to original slices, beside the paper's ratios:

- each network after fewer and more steps, from the logs of the kit's weights (no check of a claim chose their epochs);
- the IntroVAE with the recipe that it had first, from the table that ``first_recipe.py`` makes;
- the best *linear* VAE under the paper's loss, with the KL divergence as mean or sum over latents, or without: where a training
  without end would arrive if brains lay in a plane (07, section 4). Its samples are drawn from the prior, like a VAE's;
- the trained VAE with latents twice as wide as its prior, off the data like the paper's samples (07, section 10);
- the same people scanned without noise and with it: a network that leaves noise out is at best that sharp.
"""

import argparse
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
from machine import machine, show

from dwikit import evaluation, metrics, models, paper, profiles, report, study
from dwikit.cohorts import phantom
from dwikit.cohorts.phantom.calibration import pooled, uniform_levels
from dwikit.common import paths
from dwikit.course import contrasts, longer
from dwikit.evaluation import learning
from dwikit.models.presets import preset
from dwikit.slices import CALIBRATED, SliceStore, to_uint8

SHOWN = {key: metrics.METRICS[key].label for key in ("ds", "isd", "min_isd", "laplace", "periodic")}
CLAIMS = {"vae": "1, 2, 3, 5, 8, 9", "dfc_vae": "2, 3, 5, 9", "intro_vae": "2, 4, 6, 7, 9", "style_gan": "4, 6, 7, 9"}
COPIES = 0.2
"""Bound of claim 7: min ISD as a share of the original's."""
SEED = 12
"""Of people whom no network has seen."""


def over_time(key: str) -> dict[str, dict]:
    """Rows of one network: the paper's, and those of the epochs that say something about it."""
    run = longer.load(key)
    kept, last = run.card["epochs"], int(run.log.index[-1])
    steps = run.card["steps"] // kept
    epochs = {"half of the steps": last // 2, "the epoch of the rule": kept, "the last epoch": last}
    near = run.log.index[run.log["min_isd"] < COPIES]
    if warm_up := run.model.config.get("warmup_steps"):
        epochs["the last epoch before the game"] = warm_up // steps
    elif len(near) and key == "style_gan":
        epochs[f"the first epoch with min ISD below {COPIES}"] = int(near[0])
    published = paper.TABLE_1.div(paper.TABLE_1.loc["original"]).loc[key].to_dict()
    rows = {f"{run.model.label}, the paper's": published}
    for name, epoch in epochs.items():
        rows[f"{run.model.label}, {name}"] = {"steps": epoch * steps} | run.log.loc[epoch].to_dict()
    return {name: {"claims": CLAIMS[key]} | row for name, row in rows.items()}


def first_recipe() -> dict[str, dict]:
    """Rows of the IntroVAE's first recipe: nearest to validation people, and after the last epoch."""
    log = pd.read_csv(paths.kit() / "figures" / "first-recipe.csv", index_col="epoch")
    log = log.rename(columns={label: key for key, label in SHOWN.items()})
    epochs = {"the epoch of the rule": log["distance"].idxmin(), "the last epoch": log.index[-1]}
    label, steps = paper.LABELS["intro_vae"], log["steps"].str.replace(",", "").astype(int)
    return {
        f"{label}'s first recipe, {name}": {"claims": "2, 4, 6, 7"} | log.loc[n].to_dict() | {"steps": steps[n]}
        for name, n in epochs.items()
    }


def linear_vaes(images: np.ndarray, n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Samples of the best linear VAEs of slices under the preset ``paper``, with its KL divergence and two others.

    A principal component of variance v above the level kl_weight / (2 weight) has a latent, which its decoder draws with the
    variance v - level; all others stay at their mean (Lucas, Tucker, Grosse, Norouzi 2019: Don't Blame the ELBO!).

    Args:
        images: (m, H, W) uint8.
        n: samples of each.
        seed: of their latents.

    Returns:
        Name -> samples (n, H, W) uint8.
    """
    said, flat = preset(models.VAE), images.reshape(len(images), -1).astype(np.float32) / 255
    weight, latents = said["reconstruction_weight"] / flat.shape[1], said["latent_size"]
    mean = flat.mean(axis=0)
    flat -= mean
    values, vectors = np.linalg.eigh(flat @ flat.T / len(flat))
    values, vectors = values[::-1], vectors[:, ::-1]
    found = {}
    for name, kl_weight in (("KL as mean over latents", 1 / latents), ("KL as sum", 1.0), ("no KL", 0.0)):
        active, _ = contrasts.water_filling(values, weight, kl_weight, latents)
        components = (vectors[:, :active] / np.sqrt(len(flat) * values[:active])).T @ flat
        spread = np.sqrt(values[:active] - kl_weight / (2 * weight))
        drawn = mean + (np.random.default_rng(seed).standard_normal((n, active), dtype=np.float32) * spread) @ components
        found[f"best linear VAE, {name}: {active} latents in use"] = to_uint8(drawn.clip(0, 1).reshape(n, *images.shape[1:]))
    return found


def without_noise(n: int, workers: int) -> np.ndarray:
    """Metrics of one slice each of n people without noise over those of the same with noise."""
    levels, rows = uniform_levels(n, seed=SEED), []
    for snr in (phantom.Settings().snr, 1e6):
        physics = replace(phantom.Settings(), snr=snr)
        images, _ = phantom.simulate_slices(n, SEED, levels=levels, workers=workers, settings=CALIBRATED, physics=physics)
        slices = pooled(images[:, 0], CALIBRATED.percentile)
        rows.append(pd.Series(evaluation.measure(slices, metrics.moments(slices))))
    return (rows[1] / rows[0]).to_dict()


def other_samples(store: SliceStore, components_of: int, n: int) -> dict[str, dict]:
    """Rows of the best linear VAEs, and of the trained one with latents twice as wide as its prior."""
    train, original = store.indices("train"), learning.real(store, n)
    chosen = np.sort(np.random.default_rng(0).permutation(train)[:components_of])
    samples = linear_vaes(store.images[chosen], n)
    model = longer.load("vae").model
    latents = 2 * np.random.default_rng(0).standard_normal((n, model.latent_size), dtype=np.float32)
    drawn = model.decoder.predict(latents, batch_size=50, verbose=0)[..., 0]
    samples[f"{model.label}, the epoch of the rule, latents drawn twice as wide"] = to_uint8(drawn.clip(0, 1))
    moments = metrics.moments(store.images, train)
    measured = {name: pd.Series(evaluation.measure(images, moments)) / original for name, images in samples.items()}
    return {name: {"claims": "3, 5, 8, 9"} | row.to_dict() for name, row in measured.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=500, help="scanned with and without noise")
    parser.add_argument("--slices", type=int, default=8000, help="of which the linear VAE has its components")
    parser.add_argument("--workers", type=int)
    options = parser.parse_args()
    config = profiles.resolve("hours")
    store = study.slices(config)
    rows = {name: row for key in CLAIMS for name, row in over_time(key).items()}
    rows |= first_recipe()
    rows |= other_samples(store, options.slices, config.evaluation.samples)
    name = f"original slices of {options.people:,} people without noise, beside themselves with it"
    rows[name] = {"claims": "2, 3, 4, 8"} | without_noise(options.people, options.workers)
    found = pd.DataFrame.from_dict(rows, orient="index").rename_axis("experiment")
    table = found[["claims"]].assign(steps=found["steps"].map(lambda steps: f"{steps:,.0f}" if steps > 0 else ""))
    for key, label in SHOWN.items():
        table[label] = found[key].map(lambda ratio: "" if pd.isna(ratio) else f"{ratio:.2f}")
    command = report.command("python", "benchmarks/causes.py", *sys.argv[1:])
    show(table, "causes", report.provenance(study.used(config, store), command, **machine()))


if __name__ == "__main__":
    main()
