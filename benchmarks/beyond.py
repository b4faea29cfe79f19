"""Would a diffusion model have done better? ``python benchmarks/beyond.py [--profile hours]``, an hour on an idle machine.

Every network that the kit has weights of, whether it is one of the paper's or not, beside real slices: Table 1, the metrics
that came after the paper, the memory of training people, and what an image costs. The figure shows the distance to validation
people (as in docs/hours.md, of fewer samples) by hours of training, and by seconds of sampling, where a sampler takes steps
for several numbers of them. The networks were trained on different machines, so a step of each is timed on this one: hours are
steps times that.
"""

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from machine import machine
from matplotlib.ticker import LogLocator, NullFormatter

from dwikit import evaluation, metrics, paper, profiles, report, study, training
from dwikit.common import paths
from dwikit.evaluation import kit_weights, learning
from dwikit.models import cost
from dwikit.report import plots
from dwikit.slices import SliceStore, to_uint8
from dwikit.training.weights import pretrained

NAME = "beyond-2020"
STEPS = (2, 4, 8, 14, 28)
"""Of a sampler."""
SAMPLES = 300
"""For the figure: the distance of few images is larger than that of many, of every network alike."""
TIMED = 40
"""Steps of training in an epoch that is timed."""


def with_all(config: profiles.Profile) -> profiles.Profile:
    """The profile with all of its networks in the study."""
    sections = {key: dataclasses.replace(section, in_study=True) for key, section in config.networks.items()}
    return dataclasses.replace(config, networks=sections)


def hours_per_step(run: training.Run, config: profiles.Profile, store: SliceStore) -> float:
    """Hours that a step of training takes here, with the network's own settings and, if it has a warm-up, after that."""
    ours = {name: value for name, value in run.model.config.items() if name not in ("preset", "image_size", "seed")}
    ours |= {"warmup_steps": 0} if "warmup_steps" in ours else {}
    section = dataclasses.replace(
        config.networks[run.model.key],
        **{"model": ours, "batch_size": ours.pop("batch_size"), "preset": run.model.config["preset"], "epochs": 3},
        **{"steps_per_epoch": TIMED, "snapshots": 0, "keep": "last", "health": False, "init": None},
    )
    with tempfile.TemporaryDirectory() as folder:
        short = dataclasses.replace(config, networks={run.model.key: section})
        timed = training.train(run.model.key, short, store, Path(folder) / "timed")
        return timed.log["seconds"].iloc[1:].min() / TIMED / 3600  # the first epoch compiles


def costs(runs: dict[str, training.Run], store: SliceStore, prices: dict[str, float]) -> pd.DataFrame:
    """One row per network: memory of training people, operations of an image, and of the whole training the hours here."""
    rows = {}
    for key, run in runs.items():
        counted = cost.operations(run.model)
        rows[key] = {
            "memory": f"{learning.memory(store, run.samples):.2f}",
            "parameters": f"{counted['parameters']:,}",
            "GFLOP, training image": f"{counted['training'] / 1e9:.3g}",
            "GFLOP, sample": f"{counted['sample'] / 1e9:.3g}",
            "steps": f"{run.card['steps']:,}",
            "images trained on": f"{run.card['images']:,}",
            "hours of these steps here": f"{run.card['steps'] * prices[key]:.2f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")


def by_sampling(run: training.Run, space: metrics.PixelSpace) -> pd.DataFrame:
    """Seconds of an image and distance to validation people, one row for each number of steps."""
    rows = []
    for steps in STEPS if "sampler_steps" in run.model.config else (None,):
        given = {} if steps is None else {"steps": steps}
        run.model.sample(SAMPLES, seed=training.SAMPLE_SEED + 1, **given)  # compiles
        start = time.perf_counter()
        images = run.model.sample(SAMPLES, seed=training.SAMPLE_SEED, **given)
        seconds = (time.perf_counter() - start) / SAMPLES
        rows.append({"steps": steps, "seconds": seconds, "distance": space.distance(to_uint8(images[..., 0]))})
        print(run.label, rows[-1], flush=True)
    return pd.DataFrame(rows)


def draw(runs: dict[str, training.Run], prices: dict[str, float], sampling: dict[str, pd.DataFrame]):
    """Left: by hours of training here, a circle where the weights come from. Right: by seconds of an image."""
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.4), layout="constrained", sharey=True)
    told = []
    for (key, run), style in zip(runs.items(), plots.STYLE["axes.prop_cycle"]()):
        log, found = training.read_log(pretrained.folder(), f"{key}-{run.model.image_size}.csv"), sampling[key]
        kept = run.card["epochs"] - 1
        hours = log["epoch"] * (run.card["steps"] / run.card["epochs"]) * prices[key]
        axes[0].plot(hours, log["distance"], label=run.label, **style)
        axes[0].plot(hours[kept], log["distance"][kept], "o", mfc="white", mec=style["color"], markersize=5)
        axes[1].plot(found["seconds"], found["distance"], marker="o", markersize=4, **style)
        for _, row in found.dropna().iterrows():
            axes[1].annotate(
                f"{row['steps']:.0f}", (row["seconds"], row["distance"]), textcoords="offset points", xytext=(3, 4)
            )
        told.append(f"{run.label} comes to {log['distance'].min():.2g} in training")
    axes[0].set(xlabel="hours of training on one machine", ylabel="distance to validation people", xscale="log", yscale="log")
    axes[1].set(xlabel="seconds of an image", xscale="log")
    for scale in (axes[0].xaxis, axes[1].xaxis, axes[0].yaxis):
        scale.set_major_locator(LogLocator(subs=(1, 2, 5)))
        scale.set_major_formatter("{x:g}")
        scale.set_minor_formatter(NullFormatter())
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(runs))
    return plots.finished(figure, f"Distance to validation people by hours and by seconds of an image. {plots.listed(told)}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="hours")
    options = parser.parse_args()
    config = with_all(profiles.resolve(options.profile))
    store, n = study.slices(config), config.evaluation.samples
    runs = kit_weights.shipped_runs(config, store)
    samples = {key: run.samples for key, run in runs.items()}
    command = report.command("python", "benchmarks/beyond.py", "--profile", config.reference)
    facts = {key: run.facts() for key, run in runs.items()}
    source = report.provenance(study.used(config, store, runs), command, runs=facts, **machine())
    prices = {key: hours_per_step(run, config, store) for key, run in runs.items()}
    judges = evaluation.feature_networks(store, study.features_folder(config))
    titles = evaluation.LABELS | {key: run.title for key, run in runs.items()}
    tables = {
        "table-1": report.beside_paper(evaluation.table_1(store, samples, n), paper.TABLE_1, titles),
        "features": evaluation.readable(evaluation.beyond_paper(store, samples, judges, n), titles),
        "cost": costs(runs, store, prices).rename(index=titles),
    }
    folder = paths.figures() / config.name
    for name, table in tables.items():
        report.save_table(table, f"{NAME}-{name}", source, folder)
        print(report.markdown(table), flush=True)
    space = metrics.PixelSpace(store.images, rows=store.indices("train"), like=store.indices("validation"))
    figure = draw(runs, prices, {key: by_sampling(run, space) for key, run in runs.items()})
    report.save_figure(figure, NAME, source, folder=folder)


if __name__ == "__main__":
    main()
