"""The whole study from one command: its notebooks, side by side where they do not need each other."""

import json
import os
import platform
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

import pandas as pd

from dwikit import profiles, report, study
from dwikit.common import doctor, keras_settings, parallel, paths
from dwikit.common.errors import InputError
from dwikit.course.run import notebooks
from dwikit.models import registry

MAKES_DATA = "01_preprocess"
"""It comes first: the others show its slices."""
JUDGE = ("05_evaluate", "06_reader_study")
"""They need the samples of every network of the study."""
SLICES_SUFFICE = "07_paper_vs_code"
"""It stands after the judges, and needs no network of the study."""
SHORT = "00_start_here"
"""It needs none either, and fills the gap where the last training still runs."""
FEATURES = "features"
"""The step that trains the network whose features compare images; 05 would do it with nothing beside it."""
NOTEBOOK_GB = 2.0
"""Memory that a notebook at ``quick`` may need."""


def reproduce(profile: str | None = None) -> None:
    """Run the study's notebooks; train its other networks, and other seeds of all, before they are judged.

    What does not need each other runs side by side and shares the cores, unless there is a GPU or little memory. A notebook
    that only trains networks which are not in the study is left out. The minutes of each step go into
    ``figures/<profile>/minutes.*``.

    Raises:
        InputError: a step failed; what is done is not done again.
    """
    config = profiles.resolve(profile)
    if left_out := kept_out(config):
        print(f"Left out, since their networks are not in the study: {', '.join(left_out)}.")
    named, start, rows, share = [] if profile is None else [profile], time.perf_counter(), {}, {}
    workers = 1 if doctor.graphics_cards(keras_settings.backend()) else parallel.room(NOTEBOOK_GB)
    for stage in stages(config):
        words = {name: [*name.split(), *(f"--profile={one}" for one in named)] for name in stage}
        words |= {
            name: ["run", name, *(f"-pprofile={json.dumps(one)}" for one in named)] for name in stage if name in notebooks()
        }
        for name, minutes in side_by_side(words, workers):
            rows[name], share[name] = {"minutes": minutes}, parallel.cores() // min(workers, len(stage))
            print(f"{name}: {minutes:.1f} minutes", flush=True)
    rows = {name: rows[name] for stage in stages(config) for name in stage}
    rows["all"] = {"minutes": (time.perf_counter() - start) / 60}
    minutes = pd.DataFrame.from_dict(rows, orient="index").rename_axis("notebook")
    facts = {"cores": parallel.cores(), "cores_of_each": share, "machine": platform.machine()}
    command = report.command("dwikit", "reproduce", "--profile", config.reference)
    report.save_table(minutes, f"{config.name}/minutes", report.provenance(config, command, **facts))
    print(f"Done in {minutes.loc['all', 'minutes']:.1f} minutes. Tables and figures: {paths.figures() / config.name}")


def stages(config: profiles.Profile) -> list[list[str]]:
    """The steps of the study: names of notebooks, ``train KEY``, ``train KEY --seed N`` and ``FEATURES``.

    Those of one stage do not need each other.
    """
    names = [name for name in notebooks() if name not in (MAKES_DATA, SHORT, *kept_out(config))]
    later = [name for name in names if name > max(JUDGE) and name != SLICES_SUFFICE]
    trained = [name for name in names if name not in (*JUDGE, *later)] + [f"train {key}" for key in without_notebook(config)]
    sections, often = study.in_study(config), config.evaluation.seeds
    again = [(key, config.networks[key].seed + place) for key in sections for place in range(1, often.get(key, 1))]
    trained += [f"train {key} --seed {seed}" for key, seed in again] + [FEATURES, SHORT]
    return list(filter(None, [[MAKES_DATA], trained, [name for name in names if name in JUDGE], later]))


def side_by_side(commands: Mapping[str, Sequence[str]], workers: int) -> Iterator[tuple[str, float]]:
    """Run ``dwikit`` with these arguments, so many at the same time; yields name and minutes of each as it ends.

    Each has its share of the cores, and its progress a line of its own.

    Raises:
        InputError: one failed. Those that run are finished first, and no other begins.
    """
    workers = min(workers, len(commands))
    share, lines = parallel.environment(parallel.cores() // workers) if workers > 1 else {}, queue.SimpleQueue()
    failed = threading.Event()
    for line in range(workers):
        lines.put(line)

    def run(words: Sequence[str]) -> tuple[int, float] | None:
        if failed.is_set():
            return None
        start, line = time.perf_counter(), lines.get()
        environment = os.environ | share | {"TQDM_POSITION": str(line)}
        ended = subprocess.run([sys.executable, "-m", "dwikit", *words], env=environment, stdout=subprocess.PIPE, text=True)
        lines.put(line)
        if ended.returncode:
            failed.set()
        print(ended.stdout, end="", flush=True)
        return ended.returncode, (time.perf_counter() - start) / 60

    with ThreadPoolExecutor(workers) as pool:
        waiting = {pool.submit(run, words): name for name, words in commands.items()}
        for done in filter(Future.result, as_completed(waiting)):
            code, minutes = done.result()
            if code:
                raise InputError(f"{waiting[done]} failed: see its message above. The same command continues from there.")
            yield waiting[done], minutes


def without_notebook(config: profiles.Profile) -> list[str]:
    """Networks of the study that no notebook before those that judge trains."""
    before = [name for name in notebooks() if name < min(JUDGE)]
    return [key for key, network in study.in_study(config).items() if network.notebook not in before]


def kept_out(config: profiles.Profile) -> list[str]:
    """Notebooks that train networks, but none of the study."""
    trains = {network.notebook for network in registry.networks().values()}
    trains -= {network.notebook for network in study.in_study(config).values()}
    return [name for name in notebooks() if name in trains]
