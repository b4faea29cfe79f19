"""Would a wider StyleGAN be sharper? ``python benchmarks/wider.py [--epochs 6]``, half an hour; may be stopped.

Claim 4 wants samples as sharp as slices, and more steps hardly help (causes.py). The StyleGAN of the profile ``hours`` with
twice the channels in the two finest layers of generator and critic, all else equal, for as many epochs as the rule of
docs/hours.md gave the kit's: metrics of the samples after each as ratios to original slices, beside those of the kit's. The
training is kept in ``runs/wider/``.
"""

import argparse

import pandas as pd
from machine import machine

from dwikit import metrics, profiles, report, study, training
from dwikit.common import paths
from dwikit.course import longer
from dwikit.evaluation import learning

KEY, FINEST = "style_gan", 2
SHOWN = ("ds", "isd", "min_isd", "laplace", "periodic")


def widened(channels: tuple[int, ...]) -> list[int]:
    """Channels of the layers, the finest first, twice as many in the finest ones."""
    return [2 * number if place < FINEST else number for place, number in enumerate(channels)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    ours = longer.load(KEY)
    wider = {name: widened(ours.model.config[name]) for name in ("channels", "critic_channels")}
    config = profiles.resolve("hours", **{KEY: {"epochs": options.epochs, "model": wider}})
    store = study.slices(config)
    run = training.train(KEY, config, store, paths.runs("wider"))
    original = learning.real(store, config.evaluation.samples)
    logs = {
        f"{run.label}, {wider['channels'][0]} channels at the finest": run.log.join(learning.curve(run, store) / original),
        f"{run.label}, {ours.model.config['channels'][0]} channels (the kit's)": ours.log.loc[: options.epochs],
    }
    steps, rows = run.settings["steps_per_epoch"], {}
    for label, log in logs.items():
        for epoch, row in log.iterrows():
            shown = {metrics.METRICS[name].label: f"{row[name]:.2f}" for name in SHOWN}
            rows[label, f"{epoch * steps:,}"] = {"distance": f"{row['distance']:.4f}", **shown}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(["network", "steps"]).reset_index(level=1)
    command = report.command("python", "benchmarks/wider.py", "--epochs", str(options.epochs))
    report.save_table(
        table, "wider", report.provenance(study.used(config, store), command, runs={KEY: run.facts()}, **machine())
    )
    print(report.markdown(table))


if __name__ == "__main__":
    main()
