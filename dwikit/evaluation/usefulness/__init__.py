"""Are the samples useful? The paper concludes that such images qualify for data augmentation but never tests it.

Two tests on few people, each with no augmentation, with classical augmentation, and with that and every model's samples:
``segmentation`` of tissues, where a teacher trained on the same few people labels the samples, and ``denoising``, which needs
no labels. Every arm takes the same number of steps from the same initial weights.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from dwikit import paper
from dwikit.evaluation.usefulness import experiment, judge, patients, tasks
from dwikit.evaluation.usefulness.picture import picture
from dwikit.profiles import Profile
from dwikit.slices import SliceStore

__all__ = ["denoising", "picture", "segmentation"]


def segmentation(
    config: Profile, store: SliceStore, samples: Mapping[str, np.ndarray], titles: Mapping[str, str] = paper.LABELS
) -> pd.DataFrame:
    """Tissue segmentation from few labelled people, with and without synthetic slices; Dice on held-out people.

    It can be stopped at any moment and resumes: each training is kept under ``runs/<profile>/usefulness/``.

    Args:
        config: profile; the cohort must be the simulated one, whose tissues are known.
        store: slices that the models were trained on.
        samples: model key -> images (n, H, W) uint8.
        titles: of the models in the table, by key.

    Returns:
        ``judge.table``: Dice of each tissue and their mean, 0 to 1.

    Raises:
        InputError: your own cohort (no labels), too few people, or samples that do not fit the store.
    """
    taught, judged = patients.choose(config, store)
    few, held_out = (patients.with_labels(config, store, subjects) for subjects in (taught, judged))
    task = tasks.Segmentation()
    return judge.table(task, experiment.run(task, config, store, samples, few, held_out, taught), titles)


def denoising(
    config: Profile, store: SliceStore, samples: Mapping[str, np.ndarray], titles: Mapping[str, str] = paper.LABELS
) -> pd.DataFrame:
    """Removal of Rician noise, learned from few people, with and without synthetic slices; PSNR on held-out people.

    The slices have their own noise; more is added, and the network must restore the slice before that. Stops and
    resumes as ``segmentation`` does.

    Args:
        config: profile.
        store: slices that the models were trained on; any cohort will do.
        samples: model key -> images (n, H, W) uint8.
        titles: of the models in the table, by key.

    Returns:
        ``judge.table``: PSNR in dB; the last row is that of the noisy slices.

    Raises:
        InputError: too few people, or samples that do not fit the store.
    """
    taught, judged = patients.choose(config, store)
    few, held_out = (patients.from_store(config, store, subjects) for subjects in (taught, judged))
    task = tasks.Denoising()
    table = judge.table(task, experiment.run(task, config, store, samples, few, held_out, taught), titles)
    untouched = experiment.scores(task, task.answer(task.shown(held_out)[..., None]), held_out)
    table.loc["none: the noisy slices", task.summary] = untouched.mean()
    return table
