"""Would a diffusion model have done better? ``python benchmarks/beyond.py [--profile hours]``, half an hour on an idle machine.

Every network that the kit has weights of, whether it is one of the paper's or not, beside real slices: Table 1, the metrics
beyond those of the paper, the memory of training people, machine readers of a deck, and what an image costs. The figure shows
the distance to validation people by hours of training, and by seconds of sampling, where a sampler takes steps for several
numbers of them. Fewer samples lie farther off, so the distances of as many real slices of other people are drawn, too
(dotted). A second figure has the first samples of each. The networks were trained on different machines, so a step of each is
timed on this one: hours are steps times that. What was timed is kept in ``runs/<profile>/beyond/`` until the networks, their
code, the slices or the processor change; ``--fresh`` times all again.
"""

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from machine import changed_since, machine
from matplotlib.ticker import LogLocator, NullFormatter

from dwikit import evaluation, metrics, paper, profiles, report, study, training
from dwikit.common import files, paths
from dwikit.evaluation import kit_weights, learning
from dwikit.models import cost
from dwikit.models.base import SAMPLING_BATCH
from dwikit.reader_study import build_deck, score_readings, tables
from dwikit.reader_study import machine as machine_readers
from dwikit.report import plots
from dwikit.slices import SliceStore, to_uint8
from dwikit.training.weights import pretrained, stored

NAME = "beyond-2020"
STEPS = (4, 8, 16, 32)
"""Of a sampler; 16 are those of the profile `hours`, with which all other samples here are drawn."""
SAMPLES = 300
"""For the right half of the figure."""
TIMED = 40
"""Steps of training in an epoch that is timed."""
CODE = ("dwikit/models", "dwikit/backend", "dwikit/training/loop.py")
"""What times and samples depend on, besides weights and slices."""


def with_all(config: profiles.Profile) -> profiles.Profile:
    """The profile with all of its networks in the study."""
    sections = {key: dataclasses.replace(section, in_study=True) for key, section in config.networks.items()}
    return dataclasses.replace(config, networks=sections)


def shipped(config: profiles.Profile, store: SliceStore) -> dict[str, training.Run]:
    """The networks of the study by the kit's weights; says which are left out."""
    runs = kit_weights.shipped_runs(config, store)
    for key in config.networks:
        if key not in runs:
            print(
                f"Left out: {key}, of which the kit has no weights of {config.image_size} pixels that these slices can judge."
            )
    return runs


class Price(NamedTuple):
    """Hours that a step of training takes here, with the network's own settings: in its warm-up, and after it."""

    warm: float
    step: float
    warmup_steps: int

    def hours(self, steps):
        """Of so many steps from the beginning, one number or several."""
        return np.minimum(steps, self.warmup_steps) * self.warm + np.maximum(steps - self.warmup_steps, 0) * self.step


def price(run: training.Run, config: profiles.Profile, store: SliceStore) -> Price:
    """Both are timed; a network without warm-up has one price."""
    if "warmup_steps" not in run.model.config:
        once = timed(run, config, store)
        return Price(once, once, 0)
    warm, step = (timed(run, config, store, warmup_steps=steps) for steps in (10 * TIMED, 0))
    return Price(warm, step, run.model.config["warmup_steps"])


def timed(run: training.Run, config: profiles.Profile, store: SliceStore, **changes) -> float:
    """Hours of a step, with these changes of the network's settings."""
    ours = {name: value for name, value in run.model.config.items() if name not in ("preset", "image_size", "seed")} | changes
    section = dataclasses.replace(
        config.networks[run.model.key],
        **{"model": ours, "batch_size": ours.pop("batch_size"), "preset": run.model.config["preset"], "epochs": 3},
        **{"steps_per_epoch": TIMED, "snapshots": 0, "keep": "last", "health": False, "init": None},
    )
    with tempfile.TemporaryDirectory() as folder:
        few = dataclasses.replace(config.evaluation, samples=1)  # drawn at the end, which is not timed
        short = dataclasses.replace(config, networks={run.model.key: section}, evaluation=few)
        log = training.train(run.model.key, short, store, Path(folder) / "timed").log
        return log["seconds"].iloc[1:].min() / TIMED / 3600  # the first epoch compiles


def costs(runs: dict[str, training.Run], store: SliceStore, prices: dict[str, Price]) -> pd.DataFrame:
    """One row per network: memory of training people, operations of an image, and of the whole training the hours here."""
    rows = {}
    for key, run in runs.items():
        counted = cost.operations(run.model)
        rows[key] = {
            "memory": f"{learning.memory(store, run.samples):.2f}",
            "share of copies": "{:.2f} (by chance ± {:.2f})".format(*evaluation.copied(store, run.samples)),
            "parameters": f"{counted['parameters']:,}",
            "GFLOP, training image": f"{counted['training'] / 1e9:.3g}",
            "GFLOP, sample": f"{counted['sample'] / 1e9:.3g}",
            "steps": f"{run.card['steps']:,}",
            "images trained on": f"{run.card['images']:,}",
            "hours of these steps here": f"{prices[key].hours(run.card['steps']):.2f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")


def called_real(config: profiles.Profile, store: SliceStore, runs: dict[str, training.Run]) -> pd.DataFrame:
    """Table 2 of machine readers, as in 06, from a deck that has samples of all networks."""
    plan, subjects = config.reader_study, store.table["subject"]
    samples, labels = {key: run.samples for key, run in runs.items()}, {key: run.label for key, run in runs.items()}
    chosen = {"n": plan.per_group, "practice": plan.practice, "seed": plan.seed}
    with tempfile.TemporaryDirectory() as folder:
        deck = build_deck(store.images, samples, Path(folder) / "deck", subjects=subjects, **chosen)
        if deck.leaks:
            print("\n".join(deck.leaks))
            return pd.DataFrame({"not read: this gives images away": deck.leaks}).rename_axis("called real")
        read = [machine_readers.read_deck(deck, name, store.images, samples, subjects) for name in machine_readers.LOOKS]
    scores = score_readings(pd.concat([one.readings for one in read]), deck.key)
    return tables.table_2(scores, beside_paper=True, labels=paper.LABELS | labels)


def by_sampling(run: training.Run, space: metrics.PixelSpace) -> list[dict]:
    """Seconds of an image and distance to validation people, for each number of steps."""
    rows = []
    for steps in STEPS if "sampler_steps" in run.model.config else (None,):
        given = {} if steps is None else {"steps": steps}
        run.model.sample(SAMPLING_BATCH, seed=training.SAMPLE_SEED, **given)  # compiles
        start = time.perf_counter()
        images = run.model.sample(SAMPLES, seed=training.SAMPLE_SEED, **given)
        seconds = (time.perf_counter() - start) / SAMPLES
        rows.append({"steps": steps, "seconds": seconds, "distance": float(space.distance(to_uint8(images[..., 0])))})
        print(run.label, rows[-1], flush=True)
    return rows


def clocked(
    run: training.Run, config: profiles.Profile, store: SliceStore, space: metrics.PixelSpace, source: dict, fresh: bool
) -> dict:
    """``price``, ``by_sampling``, and what of and when; as they were kept, if all that they depend on is the same."""
    file = paths.runs(config.name) / "beyond" / f"{run.model.key}.json"
    of = {"weights": stored.digest(run.model), "slices": store.content, "processor": source["processor"]}
    of |= {"samples": SAMPLES, "steps": list(STEPS), "timed": TIMED}
    there = files.read_object(file)
    if fresh or there.get("of") != of or changed_since(there["when"]["commit"], CODE):
        when = {name: source[name] for name in ("commit", "load")}
        there = {"of": of, "when": when, "price": price(run, config, store), "sampling": by_sampling(run, space)}
        files.write_json(file, there)
    return there


def draw(
    runs: dict[str, training.Run], prices: dict[str, Price], sampling: dict[str, pd.DataFrame], floors: list[dict[int, float]]
):
    """Left: by hours of training here, a circle where the weights come from. Right: by seconds of an image.

    Args:
        runs: networks.
        prices: of a step.
        sampling: of ``by_sampling``.
        floors: for each half, the distance of so many real slices.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.4), layout="constrained")
    told = []
    for (key, run), style in zip(runs.items(), plots.STYLE["axes.prop_cycle"]()):
        log, found = training.read_log(pretrained.folder(), f"{key}-{run.model.image_size}.csv"), sampling[key]
        kept = run.card["epochs"] - 1
        hours = prices[key].hours(log["epoch"] * (run.card["steps"] / run.card["epochs"]))
        axes[0].plot(hours, log["distance"], label=run.label, **style)
        axes[0].plot(hours[kept], log["distance"][kept], "o", mfc="white", mec=style["color"], markersize=5)
        axes[1].plot(found["seconds"], found["distance"], marker="o", markersize=4, **style)
        for _, row in found.dropna().iterrows():
            axes[1].annotate(
                f"{row['steps']:.0f}", (row["seconds"], row["distance"]), textcoords="offset points", xytext=(3, 4)
            )
        told.append(f"{run.label} comes to {log['distance'].min():.2g} in training")
    for axis, found in zip(axes, floors):
        for n, distance in found.items():
            axis.axhline(distance, color="0.5", linewidth=0.8, linestyle=":")
            axis.annotate(f"{n:,} real slices", (1, distance), xycoords=("axes fraction", "data"), ha="right", va="bottom")
            told.append(f"{n:,} real slices are {distance:.2g} away")
    axes[1].margins(x=0.1)
    axes[0].set(xlabel="hours of training on one machine", ylabel="distance to validation people", xscale="log", yscale="log")
    axes[1].set(xlabel="seconds of an image", xscale="log", yscale="log")
    for scale in (axis for panel in axes for axis in (panel.xaxis, panel.yaxis)):
        scale.set_major_locator(LogLocator(subs=(1, 2, 5)))
        scale.set_major_formatter("{x:g}")
        scale.set_minor_formatter(NullFormatter())
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(runs))
    return plots.finished(figure, f"Distance to validation people by hours and by seconds of an image. {plots.listed(told)}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="hours")
    parser.add_argument("--fresh", action="store_true", help="time again what was already timed")
    options = parser.parse_args()
    config = with_all(profiles.resolve(options.profile))
    store, n = study.slices(config), config.evaluation.samples
    runs = shipped(config, store)
    samples = {key: run.samples for key, run in runs.items()}
    command = report.command("python", "benchmarks/beyond.py", "--profile", config.reference)
    facts = {key: run.facts() for key, run in runs.items()}
    source = report.provenance(study.used(config, store, runs), command, runs=facts, **machine())
    space = metrics.PixelSpace(store.images, rows=store.indices("train"), like=store.indices("validation"))
    clocks = {key: clocked(run, config, store, space, source, options.fresh) for key, run in runs.items()}
    source["timed"] = {key: clock["when"] for key, clock in clocks.items()}
    prices = {key: Price(*clock["price"]) for key, clock in clocks.items()}
    sampling = {key: pd.DataFrame(clock["sampling"]) for key, clock in clocks.items()}
    judges = evaluation.feature_networks(store, study.features_folder(config))
    titles = evaluation.LABELS | {key: run.title for key, run in runs.items()}
    found = {
        "table-1": report.beside_paper(evaluation.table_1(store, samples, n), paper.TABLE_1, titles),
        "features": evaluation.readable(evaluation.beyond_paper(store, samples, judges, n), titles),
        "table-2": called_real(config, store, runs),
        "cost": costs(runs, store, prices).rename(index=titles),
    }
    folder = paths.figures() / config.name
    for name, table in found.items():
        report.save_table(table, f"{NAME}-{name}", source, folder)
        print(report.markdown(table), flush=True)
    strangers = np.random.default_rng(0).permutation(store.indices("test"))
    counts = {config.networks[key].snapshots for key in runs}, {SAMPLES}
    floors = [{n: space.distance(store.images[np.sort(strangers[:n])]) for n in sorted(some)} for some in counts]
    figure = draw(runs, prices, sampling, floors)
    report.save_figure(figure, NAME, source, folder=folder)
    pictures = {"Held-out slices": store.images[strangers]} | {run.label: run.samples for run in runs.values()}
    report.save_figure(plots.image_rows(pictures, columns=8, width=8), f"{NAME}-samples", source, folder=folder)


if __name__ == "__main__":
    main()
