"""Where do near copies come from? ``python benchmarks/near_copies.py [intro_vae style_gan]``, hours; may be stopped.

The paper's samples of IntroVAE and StyleGAN have near copies among themselves (claim 7). This trains both with the recipes of
``weights-64``, in mixed precision, on 10, 50, 200 and all training people of one cohort, for the same number of steps. Of the
samples of every epoch it shows

- the distance to the nearest other sample (near copies), and that of as many slices drawn with replacement from the training
  people, which is what a network without any memory of its samples but a perfect one of its people would give (dotted),
- the mean distance to all others, and to those of the same level of the head (variety): if the first stays and the second
  falls, the samples are of ever fewer brains,
- the share of samples that copy training people (memory).

All are measured against the same real slices, and the same people are held out every time. Few people are seen often: the
slices of 10 as often as those of the paper. Trainings are kept in ``runs/near_copies/`` and go on where they stopped.
"""

import argparse
import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from dwikit import evaluation, metrics, paper, profiles, report, study, training
from dwikit.common import paths
from dwikit.report import plots
from dwikit.slices import SliceStore

PEOPLE = (10, 50, 200, paper.N_CASES)
"""In training; all if there are fewer."""
KEYS = ("intro_vae", "style_gan")
PANELS = {
    "min_isd": "near copies (min ISD)",
    "isd": "variety (ISD)",
    "within": "variety of a level",
    "copied": "share of copies",
}


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


def measured(few: SliceStore, images: np.ndarray, real: dict[str, float]) -> dict[str, float]:
    """``PANELS`` of images; all but the share of copies as ratios to those of real slices."""
    found = {
        "min_isd": metrics.minimum_intra_sample_diversity(images),
        "isd": metrics.intra_sample_diversity(images),
        "within": evaluation.diversity_within_levels(few, images),
    }
    copies = evaluation.copied(few, images)
    return {name: value / real[name] for name, value in found.items()} | {"copied": copies.share, "chance": copies.by_chance}


def course(key: str, few: SliceStore, config: profiles.Profile, real: dict[str, float], people: int) -> pd.DataFrame:
    """One training: by epoch, ``PANELS``, the distance to validation people, steps, and passes over the training slices."""
    run = training.train(key, config, few, paths.runs("near_copies") / f"{key}-{people}")
    steps, batch_size = run.facts()["steps_per_epoch"], config.networks[key].batch_size
    rows = {epoch: measured(few, np.load(file), real) for epoch, file in training.epochs_in(run.folder / "curve").items()}
    found = pd.DataFrame.from_dict(rows, orient="index")
    passes = found.index * steps * batch_size / len(few.indices("train"))
    return found.assign(distance=run.log["distance"], steps=found.index * steps, passes=passes)


def draw(courses: dict[tuple[str, int], pd.DataFrame], copiers: dict[int, float]):
    """One row a network, one panel a quantity, one line for each number of people."""
    keys = list(dict.fromkeys(key for key, _ in courses))
    size = (9.6, 2.5 * len(keys))
    figure, axes = plt.subplots(len(keys), len(PANELS), figsize=size, squeeze=False, layout="constrained", sharex="row")
    styles, told = dict(zip(copiers, plots.STYLE["axes.prop_cycle"]())), []
    for row, key in zip(axes, keys):
        for axis, (name, title) in zip(row, PANELS.items()):
            axis.axhline(name != "copied", color="0.8", linewidth=0.8, zorder=0)
            for people, look in styles.items():
                one = courses[key, people]
                axis.plot(one["steps"], one[name], label=f"{people:,} people", **look)
                if name == "min_isd":
                    axis.axhline(copiers[people], color=look["color"], linewidth=0.8, linestyle=":", zorder=0)
                told.append(f"{paper.LABELS[key]}, {people:,} people: {title} ends at {one[name].iloc[-1]:.2g}")
            axis.set(title=title, xlabel="steps", **({} if name == "copied" else {"ylim": (0, None)}))
        row[0].set_ylabel(paper.LABELS[key])
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(copiers))
    return plots.finished(figure, f"By steps: {'; '.join(told)}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("keys", nargs="*", default=list(KEYS))
    keys = parser.parse_args().keys
    changed = {key: {"mixed_precision": True, "health": False} for key in KEYS}
    config = profiles.resolve("weights-64", cohort={"cases": paper.N_CASES, "seed": 0}, **changed)
    config = dataclasses.replace(config, data=profiles.data_of(config))
    store, courses, copiers, rows = study.slices(config), {}, {}, {}
    n = config.evaluation.samples
    chosen = store.images[evaluation.real_slices(store, "train", n)[0]]
    real = measured(store, chosen, dict.fromkeys(PANELS, 1.0))
    for wanted in PEOPLE:
        few = taught(store, wanted)
        people = few.table.loc[few.indices("train"), "subject"].nunique()
        drawn = np.random.default_rng(0).choice(few.indices("train"), n)
        copiers[people] = metrics.minimum_intra_sample_diversity(few.images[drawn]) / real["min_isd"]
        for key in keys:
            one = courses[key, people] = course(key, few, config, real, people)
            best = one["distance"].idxmin()
            for when, epoch in (("nearest to validation people", best), ("last", one.index[-1])):
                shown = {title: f"{one.loc[epoch, name]:.2f}" for name, title in PANELS.items()}
                seen = {"steps": f"{one.loc[epoch, 'steps']:,.0f}", "passes": f"{one.loc[epoch, 'passes']:.1f}"}
                beside = {"by chance": f"± {one.loc[epoch, 'chance']:.2f}", "near copies of a copier": f"{copiers[people]:.2f}"}
                rows[paper.LABELS[key], f"{people:,}", when] = seen | shown | beside
                print(key, people, when, rows[paper.LABELS[key], f"{people:,}", when], flush=True)
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(["network", "people", "model"])
    command = report.command("python", "benchmarks/near_copies.py", *([] if keys == list(KEYS) else keys))
    source = report.provenance(config, command)
    report.save_table(table.reset_index(level=[1, 2]), "near-copies", source)
    report.save_figure(draw(courses, copiers), "near-copies", source, "png")
    print(report.markdown(table.reset_index(level=[1, 2])))


if __name__ == "__main__":
    main()
