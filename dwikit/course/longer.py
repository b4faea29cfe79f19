"""The same network after hours: the weights at 128 pixels that come with the kit, and how its samples changed on the way."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

import dwikit
from dwikit import evaluation, metrics, models, paper, slices, training
from dwikit.cohorts import phantom
from dwikit.common import files, lock, paths
from dwikit.evaluation import learning
from dwikit.report import plots
from dwikit.training.weights import pretrained

PROFILE = "hours"
SIZE = 128
"""Pixels along one side, as in the paper."""
STRANGERS = 1
"""Seed of people whom no network of the kit has seen."""
RATIOS = [key for key, metric in metrics.table_1_metrics().items() if metric.ratio]
"""Metrics that are shown as ratios to the original's."""
PANELS = {
    "laplace": "Laplace variance",
    "isd": "variety (ISD)",
    "min_isd": "nearest other sample (min ISD)",
    "ds": "distance to the data (DS)",
    "periodic": "periodic excess",
    learning.MEMORY: "memory of training people",
}
"""Column of a log -> title, of ``curves``."""


class Longer(NamedTuple):
    """A training of hours."""

    model: models.GenerativeModel
    """After the epoch that stands for it."""
    card: dict
    """Its facts: ``epochs``, ``steps``, ``images`` and ``hours`` of this model, ``training`` as a whole, ``metrics``."""
    log: pd.DataFrame
    """One row per epoch, with the ``steps`` so far; metrics of its samples as ratios to the original's."""

    @property
    def told(self) -> str:
        """How long it was trained, and what its samples measure beside the paper's, as text."""
        card, label, last = self.card, self.model.label, self.log.loc[self.card["epochs"]]
        published = paper.TABLE_1.div(paper.TABLE_1.loc["original"])
        ratios = ", ".join(
            f"{metrics.METRICS[key].label} {last[key]:.2f} of the original's" + _paper(published, self.model.key, key)
            for key in RATIOS
            if key in last
        )
        trained = (
            f"{label} after {card['hours']:.1f} hours on {card['machine']}, {card['steps']:,} steps, {card['images']:,} images"
        )
        of = "epoch {epochs} of a training of {whole[epochs]} that took {whole[hours]:.1f} hours"
        return f"{trained}:\n{of.format(**card, whole=card['training'])}.\n{ratios}."


def load(key: str, image_size: int = SIZE) -> Longer:
    """The kit's training of hours of a network.

    Args:
        key: such as ``"vae"``.
        image_size: pixels along one side.

    Raises:
        InputError: the kit has no such weights.
    """
    card, model = pretrained.card(key, image_size), pretrained.load(key, image_size)
    log = training.read_log(pretrained.folder(), f"{key}-{image_size}.csv").set_index("epoch")
    for name in RATIOS:
        if name in log:
            log[name] /= card["original"][name]
    log["steps"] = log.index * (card["steps"] // card["epochs"])
    return Longer(model, card, log)


def curves(trainings: Mapping[str, Longer], minutes: Mapping[str, training.Run], store: slices.SliceStore, n: int) -> Figure:
    """How samples changed in these trainings, as ratios to the original's, beside the paper's ratios and those of minutes.

    Args:
        trainings: key -> training of hours.
        minutes: key -> training of minutes.
        store: slices of the training of minutes.
        n: of its images to measure.
    """
    published, original = paper.TABLE_1.div(paper.TABLE_1.loc["original"]), learning.real(store, n)
    moments, marks, dots = metrics.moments(store.images, store.indices("train")), {}, {}
    for key in trainings:
        label, run = trainings[key].model.label, minutes[key]
        marks[label] = published.loc[key].dropna().to_dict() if key in published.index else {}
        row = evaluation.measure(run.samples[:n], moments) | {learning.MEMORY: learning.memory(store, run.samples[:n])}
        dots[label] = run.steps(store), (pd.Series(row) / original).dropna().to_dict()
    logs = {one.model.label: one.log for one in trainings.values()}
    kept = {one.model.label: one.card["epochs"] for one in trainings.values()}
    return plots.learning(logs, PANELS, marks, dots, kept)


def table(name: str) -> str:
    """A committed table of the trainings of hours, as Markdown; its last line names the command that computes it again.

    Args:
        name: such as ``"table-1"``.
    """
    return (paths.kit() / "figures" / PROFILE / f"{name}.md").read_text(encoding="utf-8")


def verdicts(minutes: pd.DataFrame) -> pd.DataFrame:
    """Every claim's verdict after minutes and after hours, with the numbers of hours.

    Args:
        minutes: claims of a training of minutes (``evaluation.verdicts.table``).
    """
    hours = pd.read_csv(paths.kit() / "figures" / PROFILE / "claims.csv", index_col="no.")
    return minutes[["claim"]].assign(
        **{"after minutes": minutes["verdict"], "after hours": hours["verdict"], "numbers after hours": hours["numbers"]}
    )


def people(folder: Path, n: int = 4, image_size: int = SIZE) -> slices.SliceStore:
    """Slices of people whom no network of the kit has seen, of that size; made again where those in the folder are others.

    Notebooks that run side by side make them once: the second waits for the first.

    Args:
        folder: of the store.
        n: people.
        image_size: pixels along one side.
    """
    settings = slices.SliceSettings.for_size(image_size)
    cohort = {"bids": None, "cases": n, "seed": STRANGERS}
    made = {"dwikit": dwikit.__version__, "cohort": cohort, "physics": phantom.code()}

    def is_there() -> bool:
        there = files.read_object(folder / "settings.json")
        return bool(there) and {**there, **dataclasses.asdict(settings), **made} == there

    if not is_there():
        with lock.alone(folder.with_name(f".{folder.name}.turn"), f"makes {folder}", wait=True):
            if not is_there():
                slices.build(phantom.simulate_volumes(n, STRANGERS, settings=settings), folder, settings, provenance=made)
    return slices.SliceStore.open(folder)


def _paper(published: pd.DataFrame, key: str, name: str) -> str:
    """The paper's ratio in brackets, if it has one."""
    known = key in published.index and name in published
    return f" (paper: {published.loc[key, name]:.2f})" if known else ""
