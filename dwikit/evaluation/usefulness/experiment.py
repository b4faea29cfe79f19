"""Train every arm with every seed, and keep each result."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dwikit.common import files, paths
from dwikit.common.errors import InputError
from dwikit.common.progress import tqdm
from dwikit.evaluation.usefulness import patients
from dwikit.evaluation.usefulness.arms import LABELLED, TEACHER, UNLABELLED, Arm, Pool, arms, batches
from dwikit.evaluation.usefulness.patients import Slices
from dwikit.evaluation.usefulness.tasks import Denoising, Learner, Segmentation
from dwikit.profiles import Profile, Usefulness
from dwikit.slices import SliceStore

SEED = 20_000
"""Seeds of the trainings count from here, distinct from those of the generators."""


class Result(NamedTuple):
    """Result of one training.

    Attributes:
        scores: (people, scores of the task) of the held-out people.
        answers: (n, H, W) uint8, the network's answers for the first held-out person's slices.
        weights: of the network.
    """

    scores: np.ndarray
    answers: np.ndarray
    weights: list[np.ndarray]


def path(config: Profile, task: Segmentation | Denoising, arm: Arm, seed: int) -> Path:
    """File of one training's result."""
    return paths.runs(config.name) / "usefulness" / task.name / f"{arm.name}-seed-{seed}.npz"


def run(
    task: Segmentation | Denoising,
    config: Profile,
    store: SliceStore,
    samples: Mapping[str, np.ndarray],
    few: Slices,
    held_out: Slices,
    taught: list[str],
) -> dict[Arm, list[Result]]:
    """Train every arm with every seed; existing results with the same settings and data are kept.

    Args:
        task: the task to learn.
        config: profile; its section evaluation.usefulness sets the size.
        store: slices; those of other people in training are the unlabelled pool.
        samples: model key -> images (n, H, W) uint8.
        few: slices to learn from.
        held_out: slices to judge by.
        taught: subjects of ``few``.

    Returns:
        Arm -> results, one per seed.

    Raises:
        InputError: samples whose size or type differs from the store's slices.
    """
    section = config.evaluation.usefulness
    pools = _pools(config, store, samples, taught)
    shown, learner = task.shown(held_out), None
    controls = [UNLABELLED] + [LABELLED] * (few.labels is not None and section.seeds > 1)
    results = {arm: [] for arm in arms(list(samples), controls)}
    trainings = [(seed, arm) for seed in range(section.seeds) for arm in results]
    bar = tqdm(trainings, desc=task.name.capitalize(), unit="training", leave=False)
    for seed, arm in bar:
        bar.set_postfix_str(f"seed {seed}, {arm.name}")
        own, others = _split(few, few.patients // section.patients == seed)
        pool = others[0] if arm.extra == LABELLED else pools.get(arm.extra)
        stamp, file = _stamp(section, own, held_out, pool), path(config, task, arm, seed)
        result = _read(file, stamp)
        if result is None:
            learner = learner or Learner(task, shown.shape[-1], section.width, section.steps)
            extra = None
            if arm.extra:
                labels = others[1] if arm.extra == LABELLED else _labels(learner, results[TEACHER][seed], pool)
                extra = pool, labels
            learner.train(batches(arm, own, extra, section.batch_size, SEED + seed, task.noise), SEED + seed)
            answers = learner.answers(shown)
            first = answers[held_out.patients == 0]
            result = Result(scores(task, answers, held_out), first, learner.model.get_weights())
            _write(file, stamp, result)
        results[arm].append(result)
    return results


def _split(few: Slices, mine: np.ndarray) -> tuple[Pool, Pool]:
    """Images and labels of one seed's people, and of the other seeds'; without labels, the images replace them."""
    labels = few.images if few.labels is None else few.labels
    return (few.images[mine], labels[mine]), (few.images[~mine], labels[~mine])


def _pools(config: Profile, store: SliceStore, samples: Mapping[str, np.ndarray], taught: list[str]) -> dict[str, np.ndarray]:
    """Images to add, the same number from every source."""
    size = store.image_size
    for key, images in samples.items():
        if images.dtype != np.uint8 or images.shape[1:] != (size, size) or not len(images):
            raise InputError(
                f"The samples of {key} must be (n, {size}, {size}) uint8 like the store's slices, not {images.shape} "
                f"{images.dtype}. Draw them from a network trained on these slices."
            )
    table = store.table
    others = np.flatnonzero((table["split"] == "train") & ~table["subject"].isin(taught))
    n = min(len(others), *(len(images) for images in samples.values())) if samples else len(others)
    chosen = np.random.default_rng(SEED).permutation(others)[:n]
    pools = {key: images[:n] for key, images in samples.items()} | {UNLABELLED: store.images[np.sort(chosen)]}
    return {key: patients.cut(images, config.slice_settings.fov_mm) for key, images in pools.items()}


def _labels(learner: Learner, teacher: Result, pool: np.ndarray) -> np.ndarray:
    """Labels of a pool: the teacher's answers, or the images themselves where the task needs no labels."""
    if isinstance(learner.task, Denoising):
        return pool
    learner.model.set_weights(teacher.weights)
    return learner.answers(pool.astype(np.float32) / 255)


def scores(task: Segmentation | Denoising, answers: np.ndarray, slices: Slices) -> np.ndarray:
    """Scores (people, scores of the task) of answers (N, H, W), over all slices of each person."""
    truth, whose = task.truth(slices), slices.patients
    return np.array([task.score(answers[whose == patient], truth[whose == patient]) for patient in np.unique(whose)])


# ==== Files ====


def _stamp(section: Usefulness, own: Pool, held_out: Slices, pool: np.ndarray | None) -> str:
    """Everything that decides a training but its arm and seed."""
    data = hashlib.sha256()
    for array in (*own, held_out.images, held_out.labels, pool):
        data.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
    return json.dumps({**dataclasses.asdict(section), "seeds": None, "data": data.hexdigest()})


def _write(file: Path, stamp: str, result: Result) -> None:
    arrays = {f"weights_{i:02d}": array for i, array in enumerate(result.weights)}
    files.write(file, lambda partial: np.savez(partial, stamp=stamp, scores=result.scores, answers=result.answers, **arrays))


def _read(file: Path, stamp: str) -> Result | None:
    """The result in a file, or None if it is missing, unreadable or from other settings."""
    try:
        with np.load(file, allow_pickle=False) as there:
            if str(there["stamp"]) != stamp:
                return None
            weights = [there[name] for name in sorted(there.files) if name.startswith("weights_")]
            return Result(there["scores"], there["answers"], weights)
    except (OSError, ValueError, KeyError, EOFError):
        return None
