"""Does Soft-IntroVAE's loss do better than the hinge? ``python benchmarks/soft_game.py [--epochs 10] [--seeds 2]``.

The IntroVAE of the profile ``weights-64`` three times, in mixed precision: with its recipe, which has the paper's hinge and was
chosen among many on such slices; with the losses of the preset ``soft`` in place of the hinge, and the weights of divergence
and squared error as before; and with all weights of that preset, which nobody tuned for such slices. Soft-IntroVAE draws its
fakes again, so its steps cost more: after the warm-up, which costs both the same, each has the same number of operations
(``dwikit.models.cost``), not of steps. The model whose samples come nearest to validation people stands for its training, as
everywhere. Trainings are kept in ``runs/soft_game/``, and can be resumed.
"""

import argparse
import dataclasses

import pandas as pd
from recipes import outcome

from dwikit import profiles, report, study, training
from dwikit.common import paths
from dwikit.common.errors import InputError
from dwikit.evaluation import learning
from dwikit.models import IntroVAE, cost
from dwikit.models.intro_vae.presets import SOFT

KEY, STEPS = "intro_vae", 500
LOSSES = ("game", "adversarial_weight", "negative_weight", "generator_weight")
VAE = ("real_weight", "reconstruction_weight")
GAMES = {
    "hinge": {},
    "soft": {name: SOFT[name].value for name in LOSSES},
    "soft-own-vae": {name: SOFT[name].value for name in (*LOSSES, *VAE)},
}
"""What each changes in the profile's recipe; the last has the published weights of the VAE, too."""


def section(config: profiles.Profile, changes: dict, epochs: int) -> profiles.Training:
    """The IntroVAE of a profile with one game; its epochs have as many operations as ``STEPS`` steps of the hinge.

    The warm-up is the same for all; the steps after it are so many that their operations are.
    """
    plain = config.networks[KEY]
    both = [IntroVAE.from_preset("paper", image_size=config.image_size, **plain.overrides | some) for some in ({}, changes)]
    hinge, soft = (cost.operations(model)["training"] for model in both)
    warmup = both[0].config["warmup_steps"]
    if epochs * STEPS <= warmup:
        raise InputError(f"{epochs} epochs are {epochs * STEPS} steps, all of them warm-up ({warmup}): give --epochs more.")
    steps = round((warmup + (epochs * STEPS - warmup) * hinge / soft) / epochs)
    model, kept = plain.model | changes, config.evaluation.samples
    settings = {"mixed_precision": True, "snapshots": kept, "health": False}
    return dataclasses.replace(plain, model=model, epochs=epochs, steps_per_epoch=steps, **settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--profile", default="weights-64")
    options = parser.parse_args()
    config, rows = profiles.resolve(options.profile), {}
    store = study.slices(config)
    original = learning.real(store, config.evaluation.samples)
    for seed in range(options.seeds):
        for game, changes in GAMES.items():
            chosen = section(config, changes, options.epochs)
            profile = dataclasses.replace(config, networks={KEY: chosen})
            run = training.train(KEY, profile, store, paths.runs("soft_game") / f"{game}-{seed}", seed=seed)
            rows[game, str(seed)] = outcome(run, store, original, chosen.steps_per_epoch)
            print(game, seed, rows[game, str(seed)], flush=True)
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(["game", "seed"]).reset_index(level=1)
    words = ["--epochs", str(options.epochs), "--seeds", str(options.seeds), "--profile", options.profile]
    report.save_table(
        table, "soft-game", report.provenance(config, report.command("python", "benchmarks/soft_game.py", *words))
    )
    print(report.markdown(table))


if __name__ == "__main__":
    main()
