"""Is it good for anything? The paper concludes that such images qualify for data augmentation and never tests it.

Two tests on few patients, each with no augmentation, with classical augmentation, with every model's samples, and with both:
``segmentation`` of tissues, where a teacher trained on the same few patients labels the samples, and ``denoising``, which needs
no labels. Every arm takes the same number of steps from the same first weights.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from dwikit.evaluation.usefulness import experiment, judge, patients, tasks
from dwikit.evaluation.usefulness.picture import picture
from dwikit.profiles import Profile
from dwikit.slices import SliceStore

__all__ = ["denoising", "picture", "segmentation"]


def segmentation(config: Profile, store: SliceStore, samples: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Tissue segmentation from few labelled patients, with and without synthetic slices; Dice on held-out patients.

    Stopped at any moment, it goes on where it was: each training is kept under ``runs/<profile>/usefulness/``.

    Args:
        config: profile; the cohort must be the simulated one, whose tissues are known.
        store: slices that the models were trained on.
        samples: model key -> images (n, H, W) uint8.

    Returns:
        ``judge.table``: Dice of each tissue and their mean, 0 to 1.

    Raises:
        InputError: a cohort of one's own (no labels), too few patients, or samples that do not fit the store.
    """
    taught, judged = patients.choose(config, store)
    few, held_out = (patients.with_labels(config, store, subjects) for subjects in (taught, judged))
    task = tasks.Segmentation()
    return judge.table(task, experiment.run(task, config, store, samples, few, held_out, taught))


def denoising(config: Profile, store: SliceStore, samples: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Removal of Rician noise, learned from few patients, with and without synthetic slices; PSNR on held-out patients.

    The slices are scans and have noise of their own; more is added, and what is asked for is the slice before. Stops and
    goes on as ``segmentation`` does.

    Args:
        config: profile.
        store: slices that the models were trained on; any cohort will do.
        samples: model key -> images (n, H, W) uint8.

    Returns:
        ``judge.table``: PSNR in dB, of which the last row gives that of the noisy slices.

    Raises:
        InputError: too few patients, or samples that do not fit the store.
    """
    taught, judged = patients.choose(config, store)
    few, held_out = (patients.from_store(config, store, subjects) for subjects in (taught, judged))
    task = tasks.Denoising()
    table = judge.table(task, experiment.run(task, config, store, samples, few, held_out, taught))
    untouched = experiment.scores(task, task.answer(task.shown(held_out)[..., None]), held_out)
    table.loc["none: the noisy slices", task.summary] = untouched.mean()
    return table
