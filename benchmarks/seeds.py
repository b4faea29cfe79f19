"""What does one training mean? ``python benchmarks/seeds.py [--profile hours]``, hours.

Every network of the kit's weights trained once more, and the VAE twice, with the same settings and other seeds: their rows of
Table 1 and of the reconstructions beside those of the weights, and all ratios of two reconstructions. All are of weights with
8 bits a number, as the kit's are. ``dwikit verify`` takes these tables as evidence. A training is one of ``dwikit train
<network> --profile hours --seed 1``; those that are there are not repeated, and the others can be stopped and resumed.
"""

import argparse

import numpy as np
import pandas as pd

from dwikit import profiles, report, study, training
from dwikit.common import paths
from dwikit.common.errors import InputError
from dwikit.evaluation import kit_weights, learning, repeats
from dwikit.slices import SliceStore

TIMES = {"vae": 3, "dfc_vae": 2, "intro_vae": 2, "style_gan": 2}
"""Trainings of each network, that of the kit's weights among them."""


def trainings(config: profiles.Profile, store: SliceStore) -> dict[str, dict[int, training.Run]]:
    """Key -> seed -> run, the kit's weights first.

    Raises:
        InputError: the kit lacks a network of this size, or its weights have other settings than the profile, or other slices.
    """
    shipped, found = kit_weights.shipped_runs(config, store), {}
    for key in TIMES:
        if key not in shipped:
            raise InputError(f"The kit has no {key} of {config.image_size} pixels that these slices can judge.")
        ours, wanted = (model.config | {"seed": 0} for model in (shipped[key].model, study.untrained(key, config)))
        section, card = config.networks[key], shipped[key].card
        lengths = card["training"]["epochs"], card["steps"] / card["epochs"]
        if lengths != (section.epochs, section.steps_per_epoch):
            raise InputError(
                f"The kit's {key} was trained for other epochs and steps than profile {config.name} sets: {lengths}."
            )
        slices, theirs = learning.real(store, card["samples"]), pd.Series(card["original"])
        if not np.allclose(slices, theirs[slices.index], rtol=1e-4):
            raise InputError(
                f"The kit's {key} was trained on other slices than these: DS {theirs['ds']:.4f}, here {slices['ds']:.4f}."
            )
        if others := [name for name in wanted if ours.get(name) != wanted[name]]:
            told = ", ".join(f"{name} {ours.get(name)} (profile: {wanted[name]})" for name in others)
            raise InputError(f"The kit's {key} has other settings than profile {config.name}: {told}. Publish it again first.")
    for key, times in TIMES.items():
        seed = shipped[key].model.seed
        again = {other: study.train(key, config, store, other) for other in range(seed + 1, seed + times)}
        found[key] = {seed: shipped[key]} | again
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="hours")
    options = parser.parse_args()
    config = profiles.resolve(options.profile)
    store = study.slices(config, rebuild=True)  # those of this code
    again = trainings(config, store)
    first = {key: next(iter(runs.values())) for key, runs in again.items()}
    redrawn = {key: run.reconstructions for key, run in first.items() if run.reconstructs}
    facts = {name: run.facts() for name, run in repeats.rows(again).items()}
    command = report.command("python", "benchmarks/seeds.py", "--profile", config.reference)
    source = report.provenance(study.used(config, store, first), command, runs=facts)
    n = config.evaluation.samples
    alike = {
        key: {seed: run if run.card else kit_weights.as_stored(run, store, n) for seed, run in runs.items()}
        for key, runs in again.items()
    }
    found = repeats.tables(store, alike, redrawn, n)
    repeats.save(found, source, paths.figures() / config.name)
    print(report.markdown(found["table-1"]))


if __name__ == "__main__":
    main()
