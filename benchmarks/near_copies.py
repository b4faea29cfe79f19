"""Where do near copies come from? ``python benchmarks/near_copies.py [intro_vae style_gan]``, hours; may be stopped.

The paper's samples of IntroVAE and StyleGAN have near copies among themselves (claim 7). This trains both with the recipes of
``weights-64``, in mixed precision, on 50, 200 and 1,623 people of one cohort, for the same number of steps, and shows of the
samples of every epoch the distance to the nearest other sample (near copies), the mean distance to all others (variety: if both
fall, all samples grow alike), and whether samples lie nearer to the people who were trained on than to as many others (memory).
The same people are held out every time. Trainings are kept in ``runs/near_copies/`` and go on where they stopped.
"""

import argparse
import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from dwikit import paper, profiles, report, study, training
from dwikit.common import paths
from dwikit.evaluation import learning
from dwikit.report import plots
from dwikit.slices import SliceStore

PEOPLE = (50, 200, 1623)
KEYS = ("intro_vae", "style_gan")
PANELS = {"min_isd": "near copies (min ISD)", "isd": "variety (ISD)", learning.MEMORY: "memory"}
CLAIMED = 0.2
"""Of the original's min ISD: below it, the paper's samples lie."""


def taught(store: SliceStore, people: int, seed: int = 0) -> SliceStore:
    """The store with so many people in its training split, and everybody else who is held out.

    Args:
        store: slices.
        people: how many; all if there are fewer.
        seed: of their choice; fewer are part of more.
    """
    train = store.table["split"] == "train"
    everyone = np.random.default_rng(seed).permutation(store.table.loc[train, "subject"].unique())
    rows = np.flatnonzero(~train | store.table["subject"].isin(everyone[:people]))
    return SliceStore(store.images[rows], store.table.iloc[rows].reset_index(drop=True), store.settings)


def course(key: str, people: int, config: profiles.Profile, store: SliceStore) -> pd.DataFrame:
    """One training: by epoch, ``PANELS`` as ratios to those of its training slices, and the distance to validation people."""
    few = taught(store, people)
    run = training.train(key, config, few, paths.runs("near_copies") / f"{key}-{people}")
    found = learning.curve(run, few) / learning.real(few, config.evaluation.samples)
    return found[list(PANELS)].assign(distance=run.log["distance"], steps=found.index * run.facts()["steps_per_epoch"])


def draw(courses: dict[tuple[str, int], pd.DataFrame]):
    """One row a network, one panel a quantity, one line for each number of people."""
    keys = list(dict.fromkeys(key for key, _ in courses))
    size = (9.6, 2.7 * len(keys))
    figure, axes = plt.subplots(len(keys), len(PANELS), figsize=size, squeeze=False, layout="constrained", sharex="row")
    styles, told = dict(zip(PEOPLE, plots.STYLE["axes.prop_cycle"]())), []
    for row, key in zip(axes, keys):
        for axis, (name, title) in zip(row, PANELS.items()):
            axis.axhline(1, color="0.8", linewidth=0.8, zorder=0)
            if name == "min_isd":
                axis.axhline(CLAIMED, color="0.8", linewidth=0.8, linestyle=":", zorder=0)
            for people, look in styles.items():
                if (key, people) in courses:
                    one = courses[key, people]
                    axis.plot(one["steps"], one[name], label=f"{people:,} people", **look)
                    told.append(f"{paper.LABELS[key]}, {people:,} people: {title} ends at {one[name].iloc[-1]:.2g}")
            axis.set(title=title, ylim=(0, None), xlabel="steps")
        row[0].set_ylabel(paper.LABELS[key])
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(PEOPLE))
    return plots.finished(figure, f"Ratios to training slices against steps. {'; '.join(told)}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("keys", nargs="*", default=list(KEYS))
    keys = parser.parse_args().keys
    faster = {key: {"mixed_precision": True} for key in KEYS}
    config = profiles.resolve("weights-64", cohort={"cases": paper.N_CASES, "seed": 0}, **faster)
    config = dataclasses.replace(config, data=profiles.data_of(config))
    store, courses, rows = study.slices(config), {}, {}
    for people in PEOPLE:
        for key in keys:
            one = courses[key, people] = course(key, people, config, store)
            best = one["distance"].idxmin()
            for when, epoch in (("nearest to validation people", best), ("last", one.index[-1])):
                shown = {title: f"{one.loc[epoch, name]:.2f}" for name, title in PANELS.items()}
                rows[paper.LABELS[key], f"{people:,}", when] = {"steps": f"{one.loc[epoch, 'steps']:,}", **shown}
                print(key, people, when, shown, flush=True)
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(["network", "people", "model"])
    command = report.command("python", "benchmarks/near_copies.py", *([] if keys == list(KEYS) else keys))
    source = report.provenance(config, command)
    report.save_table(table.reset_index(level=[1, 2]), "near-copies", source)
    report.save_figure(draw(courses), "near-copies", source, "png")
    print(report.markdown(table.reset_index(level=[1, 2])))


if __name__ == "__main__":
    main()
