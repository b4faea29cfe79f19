"""Which recipe is trained for hours? ``python benchmarks/recipes.py [vae intro_vae style_gan] [--steps 5000] [--longer]``.

Candidates for the profile ``hours``, trained for the same number of steps at 64 x 64 pixels on the people of ``weights-64``.
The rule was written down first (docs/hours.md): of a network's candidates, the one whose samples come nearest to validation
people (column ``distance`` of the log, its least value over epochs). All else in the table is shown and chooses nothing.
With ``--longer``: changes of the IntroVAE's recipe that were written down later, after the long training had lost its variety.
Trainings are kept in ``runs/recipes/`` and go on where they stopped.
"""

import argparse
import dataclasses

import pandas as pd

from dwikit import profiles, report, study, training
from dwikit.common import paths
from dwikit.evaluation import learning
from dwikit.metrics import table_1_metrics

EPOCH = 500
"""Steps."""
LEVELS = {"channels", "critic_channels"}
"""Settings with a value per level, from the image inwards."""
PRINTED = {
    **{"architecture": "residual", "channels": (8, 16, 32, 64, 128, 256), "latent_size": 256, "upsampling": "nearest"},
    **{"margin": 110.0, "adversarial_weight": 0.25, "generator_weight": 0.25, "norm": "batch", "slope": 0.0},
    **{"real_weight": 0.25, "reconstruction_weight": 0.5, "beta_1": 0.9},
}
LIGHTER = {**PRINTED, "real_weight": 1.0, "reconstruction_weight": 0.25}
GROUP = {"norm": "group", "slope": 0.2}
PLAIN = {**LIGHTER, **GROUP, "architecture": "plain", "channels": (32, 64, 128, 128, 128)}
KIT = {**PLAIN, "latent_size": 64, "margin": 60.0, "upsampling": "transposed"}
CANDIDATES = {
    "vae": {
        "rate 5e-4": {"learning_rate": 5e-4},
        "rate 1e-3": {"learning_rate": 1e-3},
    },
    "intro_vae": {
        "the paper's margin and weights": PRINTED,
        "margin 250": {**PRINTED, "margin": 250.0},
        "adversarial weights of 0.5": {**PRINTED, "adversarial_weight": 0.5, "generator_weight": 0.5},
        "KL of real slices 1, error 0.25": LIGHTER,
        "the same, group normalization, slope 0.2": {**LIGHTER, **GROUP},
        "the same, plain networks, 128 latents": {**PLAIN, "latent_size": 128},
        "the kit's recipe at 64 pixels": KIT,
        "the same, upsampling by nearest pixels": {**KIT, "upsampling": "nearest"},
    },
    "style_gan": {
        "Wasserstein": {"loss": "wasserstein", "penalty": 10.0, "penalty_interval": 4, "drift": 0.001, "learning_rate": 1e-3},
        "logistic, R1": {"loss": "logistic", "penalty": 0.5, "penalty_interval": 8, "drift": 0.0, "learning_rate": 2.2e-3},
    },
}
"""Network -> candidate -> all in which they differ, whatever the profile ``hours`` has; the DFC-VAE takes the VAE's rate."""
LONGER = {
    "intro_vae": {
        "the kit's recipe at 64 pixels": KIT,
        "encoder's game 0.1": {**KIT, "adversarial_weight": 0.1},
        "generator's game 0.1": {**KIT, "generator_weight": 0.1},
        "margin 120": {**KIT, "margin": 120.0},
        "Adam's beta 1 of 0.5": {**KIT, "beta_1": 0.5},
        "error 0.5": {**KIT, "reconstruction_weight": 0.5},
        "rate decaying tenfold": {**KIT, "decay": 1e-3},
        "beta 1 of 0.5, rate decaying tenfold": {**KIT, "beta_1": 0.5, "decay": 1e-3},
        "beta 1 of 0": {**KIT, "beta_1": 0.0},
        "beta 1 of 0.5, rate decaying to a quarter": {**KIT, "beta_1": 0.5, "decay": 3e-4},
        "beta 1 of 0, margin 40": {**KIT, "beta_1": 0.0, "margin": 40.0},
        "beta 1 of 0, margin 30": {**KIT, "beta_1": 0.0, "margin": 30.0},
    },
}
"""The same, for the question which recipe keeps its variety; for twice the steps."""
LAST = (("kl_real", "KL of real slices", 0), ("kl_fake", "KL of fakes", 0), ("variety", "variety", 2))
"""Columns of a log that are shown after the last epoch: name, title, decimals."""


def candidate(key: str, changes: dict, steps: int) -> profiles.Profile:
    """The profile of one candidate: ``hours`` at 64 pixels, one level less, on the people of ``weights-64``."""
    hours, small = profiles.resolve("hours"), profiles.resolve("weights-64")
    section = hours.networks[key]
    model = {**section.model, **changes}
    for name in LEVELS & set(model):
        model[name] = model[name][:-1]
    if "warmup_steps" in model:
        model["warmup_steps"] = steps // 5
    section = dataclasses.replace(section, model=model, epochs=steps // EPOCH, steps_per_epoch=EPOCH, health=False)
    return dataclasses.replace(small, networks={key: section})


def outcome(run: training.Run, store, original: pd.Series, steps: int) -> dict[str, str]:
    """What a table says of a training: of the epoch nearest to validation people, as ratios to ``learning.real``.

    Args:
        run: with samples of every epoch.
        store: its slices.
        original: ``learning.real``.
        steps: of an epoch.
    """
    best = run.log["distance"].idxmin()
    ratios = learning.curve(run, store).loc[best] / original
    return {
        "distance": f"{run.log['distance'].min():.4f}",
        "after steps": f"{best * steps:,} of {len(run.log) * steps:,}",
        "last": f"{run.log['distance'].iloc[-1]:.4f}",
        **{metric: f"{ratios[metric]:.2f}" for metric in (*table_1_metrics(), learning.MEMORY)},
        "minutes": f"{run.log['seconds'].sum() / 60:.1f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("keys", nargs="*")
    parser.add_argument("--steps", type=int, default=5_000)
    parser.add_argument("--longer", action="store_true", help="which recipe of the IntroVAE keeps its variety?")
    options = parser.parse_args()
    candidates, name = (LONGER, "recipes-longer") if options.longer else (CANDIDATES, "recipes")
    config, rows = profiles.resolve("weights-64"), {}
    store = study.slices(config)
    original = learning.real(store, config.evaluation.samples)
    for key in options.keys or candidates:
        for number, (recipe, changes) in enumerate(candidates[key].items()):
            folder = paths.runs("recipes") / f"{key}-{'longer-' * options.longer}{number}"
            run = training.train(key, candidate(key, changes, options.steps), store, folder)
            rows[key, recipe] = outcome(run, store, original, EPOCH)
            if options.longer:
                last = run.log.iloc[-1]
                rows[key, recipe] |= {f"{name}, last": f"{last[column]:.{digits}f}" for column, name, digits in LAST}
            print(key, recipe, rows[key, recipe], flush=True)
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(["network", "recipe"]).reset_index(level=1)
    words = [*options.keys, "--steps", str(options.steps), *["--longer"] * options.longer]
    command = report.command("python", "benchmarks/recipes.py", *words)
    report.save_table(table, name, report.provenance(config, command))
    print(report.markdown(table))


if __name__ == "__main__":
    main()
