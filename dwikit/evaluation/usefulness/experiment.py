"""Train every arm with every seed, side by side, and keep each result."""

import ast
import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dwikit.backend.gradients import BACKEND
from dwikit.common import doctor, files, parallel, paths
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


class Job(NamedTuple):
    """One training, with all that a process of its own needs.

    Attributes:
        task: to learn.
        section: how long, and how wide a network.
        arm: what the network sees.
        seed: number of the seed.
        own: images and labels of the seed's people.
        pool: (n, H, W) uint8, images of the arm's ``extra``, or None.
        labels: theirs, or the weights of the teacher that gives them.
        held_out: slices to judge by.
    """

    task: Segmentation | Denoising
    section: Usefulness
    arm: Arm
    seed: int
    own: Pool
    pool: np.ndarray | None
    labels: np.ndarray | list[np.ndarray] | None
    held_out: Slices


def path(config: Profile, task: Segmentation | Denoising, arm: Arm, seed: int) -> Path:
    """File of one training's result; learning from fewer or more people has files of its own."""
    people = config.evaluation.usefulness.patients
    return paths.runs(config.name) / "usefulness" / task.name / f"{arm.name}-people-{people}-seed-{seed}.npz"


def run(
    task: Segmentation | Denoising,
    config: Profile,
    store: SliceStore,
    samples: Mapping[str, np.ndarray],
    few: Slices,
    held_out: Slices,
    taught: list[str],
) -> dict[Arm, list[Result]]:
    """Train every arm with every seed, one on each core; existing results with the same settings and data are kept.

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
    controls = [UNLABELLED] + [LABELLED] * (few.labels is not None and section.seeds > 1)
    planned = [(arm, seed) for arm in arms(list(samples), controls) for seed in range(section.seeds)]
    found: dict[tuple[Arm, int], Result] = {}
    stamps: dict[tuple[Arm, int], str] = {}

    def missing(taught_by_teacher: bool) -> dict[tuple[Arm, int], tuple[Job]]:
        jobs = {}
        for arm, seed in ((arm, seed) for arm, seed in planned if _needs_teacher(task, arm) == taught_by_teacher):
            own, others = _split(few, few.patients // section.patients == seed)
            pool, labels = others if arm.extra == LABELLED else (pools.get(arm.extra),) * 2
            labels = found[TEACHER, seed].weights if taught_by_teacher else labels
            job = Job(task, section, arm, seed, own, pool, labels, held_out)
            stamps[arm, seed] = _stamp(job)
            if there := _read(path(config, task, arm, seed), stamps[arm, seed]):
                found[arm, seed] = there
                bar.update()
                continue
            jobs[arm, seed] = (job,)
        return jobs

    with tqdm(total=len(planned), desc=task.name.capitalize(), unit="training", leave=False) as bar:
        waves = (missing(taught_by_teacher) for taught_by_teacher in (False, True))  # teachers first
        for (arm, seed), result in parallel.as_ready(train, waves):
            _write(path(config, task, arm, seed), stamps[arm, seed], result)
            found[arm, seed] = result
            bar.update()
    return {arm: [found[arm, seed] for seed in range(section.seeds)] for arm, _ in planned}


def _needs_teacher(task: Segmentation | Denoising, arm: Arm) -> bool:
    """Whether an arm has images without labels, in a task that needs them."""
    return isinstance(task, Segmentation) and arm.extra not in (None, LABELLED)


def train(job: Job) -> Result:
    """Train one network, and judge it."""
    task, section, seed = job.task, job.section, SEED + job.seed
    shown = task.shown(job.held_out)
    learner = _learner(type(task), shown.shape[-1], section.width, section.steps)
    extra = None
    if job.arm.extra:
        extra = job.pool, _labels(learner, job.labels, job.pool) if _needs_teacher(task, job.arm) else job.labels
    learner.train(batches(job.arm, job.own, extra, section.batch_size, seed, task.noise), seed)
    answers = learner.answers(shown)
    first = answers[job.held_out.patients == 0]
    return Result(scores(task, answers, job.held_out), first, learner.model.get_weights())


@functools.cache
def _learner(task: type[Segmentation | Denoising], size: int, width: int, steps: int) -> Learner:
    """The network of this process, which compiles once."""
    return Learner(task(), size, width, steps)


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
    if fewer := [key for key, images in samples.items() if len(images) == n and n < max(map(len, samples.values()))]:
        print(f"Every arm adds {n} images, as many as there are of {fewer[0]}.")
    chosen = np.random.default_rng(SEED).permutation(others)[:n]
    pools = {key: images[:n] for key, images in samples.items()} | {UNLABELLED: store.images[np.sort(chosen)]}
    return {key: patients.cut(images, config.slice_settings.fov_mm) for key, images in pools.items()}


def _labels(learner: Learner, teacher: list[np.ndarray], pool: np.ndarray) -> np.ndarray:
    """Labels of a pool: the answers of the network with the teacher's weights."""
    learner.model.set_weights(teacher)
    return learner.answers(pool.astype(np.float32) / 255)


def scores(task: Segmentation | Denoising, answers: np.ndarray, slices: Slices) -> np.ndarray:
    """Scores (people, scores of the task) of answers (N, H, W), over all slices of each person."""
    truth, whose = task.truth(slices), slices.patients
    return np.array([task.score(answers[whose == patient], truth[whose == patient]) for patient in np.unique(whose)])


# ==== Files ====


def _stamp(job: Job) -> str:
    """Everything that decides a training but its arm and seed: settings, data, a teacher's weights, code, and what computes."""
    data, held_out = hashlib.sha256(), job.held_out
    labels = job.labels if isinstance(job.labels, list) else [job.labels]
    for array in (*job.own, held_out.images, held_out.labels, held_out.patients, job.pool, *labels):
        data.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    computes = {name: doctor.versions()[name] for name in ("keras", BACKEND)}
    settings = {**dataclasses.asdict(job.section), "seeds": None}
    return json.dumps({**settings, **computes, "data": data.hexdigest(), "code": _code()})


@functools.cache
def _code() -> str:
    """Digest of the statements of the experiment; comments, docstrings and layout decide nothing."""
    digest = hashlib.sha256()
    for name in ("arms", "experiment", "patients", "tasks"):
        tree = ast.parse((Path(__file__).parent / f"{name}.py").read_bytes())
        for node in ast.walk(tree):
            if isinstance(body := getattr(node, "body", None), list):
                node.body = [one for one in body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
        digest.update(ast.dump(tree).encode())
    return digest.hexdigest()[:16]


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
