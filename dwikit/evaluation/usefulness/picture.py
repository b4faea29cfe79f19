"""The networks' answers side by side."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from dwikit import paper
from dwikit.evaluation.usefulness import experiment, patients, tasks
from dwikit.evaluation.usefulness.arms import UNLABELLED, Arm
from dwikit.profiles import Profile
from dwikit.report import plots
from dwikit.slices import SliceStore

SHADES = np.array([0, 150, 255, 75], np.uint8)
"""Grey values of none, grey matter, white matter and fluid."""


def picture(
    config: Profile,
    store: SliceStore,
    models: list[str],
    task: str = "segmentation",
    columns: int = 3,
    width: float = 4.0,
    titles: Mapping[str, str] = paper.LABELS,
) -> Figure:
    """A held-out person's slices, the truth, and the answers of the first seed's networks.

    Args:
        config: profile whose results are shown.
        store: slices.
        models: keys of the models to show.
        task: ``"segmentation"`` or ``"denoising"``, run before.
        columns: levels to show.
        width: of the figure, in inches.
        titles: of the models, by key.
    """
    chosen = {"segmentation": tasks.Segmentation(), "denoising": tasks.Denoising()}[task]
    subject = patients.choose(config, store)[1][:1]
    source = patients.with_labels if task == "segmentation" else patients.from_store
    slices = source(config, store, subject)
    paint = SHADES.__getitem__ if task == "segmentation" else np.asarray
    rows = {"shown": np.clip(chosen.shown(slices), 0, 1), "truth": paint(chosen.truth(slices))}
    for arm in (Arm(False), Arm(True), *(Arm(True, key) for key in (*models, UNLABELLED))):
        with np.load(experiment.path(config, chosen, arm, 0)) as result:
            rows[_in_lines(arm.label(titles))] = paint(result["answers"])
    levels = np.linspace(0, len(slices.images) - 1, columns + 2).round().astype(int)[1:-1]
    return plots.image_rows({label: images[levels] for label, images in rows.items()}, columns, width)


def _in_lines(label: str) -> str:
    """An arm's label, short enough to stand beside a row."""
    return label.replace(" + ", "\n+ ").replace("no ", "no\n").removesuffix(" real slices")
