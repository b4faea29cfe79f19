"""What became of the IntroVAE's first recipe? ``python benchmarks/first_recipe.py``, an hour or two; may be stopped.

The IntroVAE of the profile ``hours`` with the margin and the momentum that short trials had chosen (docs/hours.md), for as many
steps as that of the kit's weights. One row per epoch: the divergences of its log, the distance to validation people, and the
metrics of its samples as ratios to those of original slices. ``causes.py`` shows two of the rows.
"""

import pandas as pd
from machine import machine

from dwikit import profiles, report, study, training
from dwikit.common import paths
from dwikit.evaluation import learning

KEY, NAME = "intro_vae", "first-recipe"
CHANGES = {"margin": 60.0, "beta_1": 0.9}
"""What the profile had before."""
LOGGED = ["kl_real", "kl_fake", "distance"]


def by_epoch(log: pd.DataFrame, original: pd.Series, steps: int) -> pd.DataFrame:
    """The table.

    Args:
        log: of a training, by epoch, with the metrics of ``learning.curve``.
        original: the metrics of original slices.
        steps: of an epoch.
    """
    ratios = log[list(original.index)] / original
    return log[LOGGED].join(ratios).assign(steps=log.index * steps).astype({"steps": int}).rename_axis("epoch").round(4)


def main() -> None:
    config = profiles.resolve("hours", **{KEY: {"model": CHANGES}})
    store = study.slices(config)
    run = training.train(KEY, config, store, paths.runs(NAME))
    original = learning.real(store, config.evaluation.samples)
    table = by_epoch(run.log.join(learning.curve(run, store)), original, run.facts()["steps_per_epoch"])
    source = report.provenance(study.used(config, store), report.command("python", "benchmarks/first_recipe.py"), **machine())
    report.save_table(table, NAME, source)
    print(report.markdown(table))


if __name__ == "__main__":
    main()
