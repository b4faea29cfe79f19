"""One run for each combination of values, each trained with several seeds; what is trained is not trained again.

Every training is a process of its own (``dwikit train``), on this machine or on the workers of a Dask cluster, which must see
the folder of the runs under the same path.
"""

import contextlib
import dataclasses
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from dwikit import study, training
from dwikit.common import paths
from dwikit.common.errors import InputError
from dwikit.common.progress import tqdm
from dwikit.preprocess.workers import cluster
from dwikit.profiles import Profile, resolve, runs
from dwikit.slices import SliceStore


class Trial(NamedTuple):
    """One training of a sweep."""

    profile: str
    """What its run is found by."""
    key: str
    seed: int
    runs: str
    """Folder of all runs."""
    log: str
    """File of what its process prints."""

    def __str__(self) -> str:
        return f"{self.profile}, {self.key}, seed {self.seed}"


def combinations(values: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of the values of some settings, in order; one without settings if there are none."""
    return [dict(zip(values, chosen)) for chosen in itertools.product(*values.values())]


def sweep(
    keys: Sequence[str],
    values: Mapping[str, Sequence[Any]],
    seeds: int = 1,
    profile: str | None = None,
    workers: int = 1,
    scheduler: str | None = None,
) -> list[str]:
    """Train networks with every combination of values and with several seeds; the same call resumes.

    The data are made first, by this process, once for all runs that agree in their settings.

    Args:
        keys: of networks; none: all of the profile.
        values: of settings, by name (``profiles.runs.sections``); each combination is a run that is named by them.
        seeds: trainings of each network, with the profile's seed and those after it.
        profile: that the runs extend.
        workers: trainings at the same time on this machine.
        scheduler: address of a Dask scheduler whose workers train instead, one training on each thread.

    Returns:
        What the runs are found by: their names.

    Raises:
        InputError: an impossible setting, or trainings that failed: the others are finished first.
    """
    if seeds < 1 or workers < 1:
        raise InputError(f"seeds and workers must be at least 1, not {seeds} and {workers}.")
    base = resolve(profile)
    keys = list(keys or study.networks(base))
    plans: dict[str, dict] = {}
    for settings in combinations(values):
        name, plan = runs.name_for(base.name, settings), runs.sections(settings, base, keys)
        if name in plans:
            raise InputError(f"Two combinations would be called {name}. Give values that differ as text.")
        study.checked(resolve(profile, **plan), keys)
        plans[name] = plan
    configs = [runs.named(name, profile, **plan) if plan else base for name, plan in plans.items()]
    trials = []
    for config in configs:
        store, folder = study.slices(config), paths.runs(config.name).resolve()
        for key, seed in itertools.product(keys, range(seeds)):
            seed += config.networks[key].seed
            if not _is_trained(config, key, seed, store):
                log = str(folder / f"{study.folder_of(config, key, seed).name}.txt")
                trials.append(Trial(config.reference, key, seed, str(folder.parent), log))
    _train(trials, workers, scheduler)
    return [config.reference for config in configs]


def _is_trained(config: Profile, key: str, seed: int, store: SliceStore) -> bool:
    """Whether a network is fully trained with this seed, as the profile says by now."""
    folder, section = study.folder_of(config, key, seed), dataclasses.replace(config.networks[key], seed=seed)
    if training.left_out(folder, section, store):
        return False
    return not training.differences(training.Run.open(folder, section.keep, key), section)


def _train(trials: Sequence[Trial], workers: int, scheduler: str | None) -> None:
    """Train in processes; tell each result as it comes.

    Raises:
        InputError: some failed.
    """
    failed = {}
    with _executor(workers, scheduler) as executor:
        waiting = {executor.submit(train, trial): trial for trial in trials}
        for done in tqdm(as_completed(waiting), total=len(trials), desc="Sweep", unit="training", leave=False):
            trial, reason = waiting[done], done.result()
            tqdm.write(f"{trial}: {reason or 'trained'}")
            if reason:
                failed[trial] = reason
    if failed:
        trial, reason = next(iter(failed.items()))
        raise InputError(
            f"{len(failed)} of {len(trials)} trainings failed, such as {trial}: {reason} Its output is in {trial.log}. The "
            "same command trains what is missing."
        )


@contextlib.contextmanager
def _executor(workers: int, scheduler: str | None) -> Iterator[Executor]:
    """Threads that wait for processes here, or the threads of a cluster's workers."""
    if scheduler is None:
        with ThreadPoolExecutor(workers) as executor:
            try:
                yield executor
            except BaseException:  # Ctrl-C, too: what has not begun is left to the next sweep
                executor.shutdown(wait=False, cancel_futures=True)
                raise
    else:
        with cluster.connection(scheduler) as client:
            yield client.get_executor(pure=False)


def train(trial: Trial) -> str | None:
    """Train one network in a process of its own; returns why it failed, or None."""
    log = Path(trial.log)
    words = ["train", trial.key, "--profile", trial.profile, "--seed", str(trial.seed)]
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as output:
        ended = subprocess.run(
            [sys.executable, "-m", "dwikit", *words],
            env=os.environ | {"DWIKIT_RUNS": trial.runs},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if not ended.returncode:
        return None
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return said[-1] if said else f"it ended with exit status {ended.returncode}."
