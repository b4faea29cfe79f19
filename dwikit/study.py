"""The study's steps in order; each reads what the one before it wrote under ``runs/<profile>/``.

A step already done with the same settings is not repeated; notebooks call the step they start from, and what is
missing is made.
"""

import dataclasses
import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

import dwikit
from dwikit import models, training
from dwikit.backend.machines import ALONE, Alone
from dwikit.cohorts import phantom
from dwikit.common import files, paths
from dwikit.common.errors import InputError, choose
from dwikit.common.progress import tqdm
from dwikit.evaluation import kit_weights
from dwikit.evaluation.brought import Brought, require_own_labels
from dwikit.evaluation.networks import beside
from dwikit.models import presets, registry
from dwikit.preprocess import open_current, preprocess, require_current
from dwikit.preprocess.losses import told as told_losses
from dwikit.profiles import Profile, Training, claim
from dwikit.slices import Repeatable, SliceStore, build, is_made_of, read_derivatives
from dwikit.slices.grid import Volume
from dwikit.training import outlook


def data_folder(config: Profile) -> Path:
    """Folder of the cohort, its derivatives and slices: the run's own, or one that runs of equal settings share."""
    return paths.runs(config.data or f"{config.name}/data")


def cohort(config: Profile) -> Path:
    """BIDS dataset of the study: your own if the profile names one, else the simulated cohort, written if need be."""
    claim(config)
    if config.cohort.bids:
        return Path(config.cohort.bids)
    phantom.trim_cohort(data_folder(config) / "bids", config.cohort.registered)
    return phantom.write_cohort(
        data_folder(config) / "bids", config.cohort.registered, seed=config.cohort.seed, workers=config.cohort.workers
    )


def derivatives(config: Profile) -> Path:
    """Folder of the registered volumes, made if need be; its ``quality.tsv`` is the report."""
    out = data_folder(config) / "derivatives"
    report = register(config)
    if lost := told_losses(report, out):
        print(lost)
    return out


def register(config: Profile) -> pd.DataFrame:
    """Register the cohort's scans, but for those that another run has registered so; returns the quality report."""
    section = config.cohort
    own = {"b_value": section.b_value, "tolerance": section.tolerance, "include": section.include} if section.bids else {}
    out = data_folder(config) / "derivatives"
    others = [folder for pattern in ("*/data", "data/*") for folder in sorted(paths.runs("").glob(f"{pattern}/derivatives"))]
    elsewhere = [folder for folder in others if folder != out]
    return preprocess(cohort(config), out, section.workers, settings=config.slice_settings, elsewhere=elsewhere, **own)


def slices(config: Profile, rebuild: bool = False) -> SliceStore:
    """The store of slices. With ``rebuild``, it is brought up to date: made again if scans or settings have changed.

    Raises:
        InputError: without ``rebuild``, if people have left the data set or their ages have changed since it was made, or the
            profile names another one.
    """
    claim(config)
    out = data_folder(config) / "slices"
    settings, seed = config.slice_settings, config.slices.seed
    source = config.cohort.source
    provenance = {"dwikit": dwikit.__version__, "cohort": source} | ({} if source["bids"] else {"physics": phantom.code()})
    wanted = {**dataclasses.asdict(settings), "seed": seed, **provenance}
    there = files.read_object(out / "settings.json")
    if there and not rebuild:
        store = open_current(out, source["bids"])
        if (store.table["origin"] != "simulated").any():
            require_current(data_folder(config) / "derivatives")
        _tell_differences(there, wanted, out)
        return store
    registered = derivatives(config) if config.cohort.registered or config.cohort.bids else None

    def volumes() -> Iterable[Volume]:
        include = config.cohort.include if config.cohort.bids else ()
        return read_derivatives(registered, include=include) if registered else []

    if there and {**there, **wanted} == there and is_made_of(out, volumes()):
        return SliceStore.open(out)
    simulated = not config.cohort.bids and config.cohort.cases > config.cohort.registered
    return build(volumes(), out, settings, seed, provenance, then=_direct_path(config) if simulated else None)


def _direct_path(config: Profile) -> Repeatable:
    """The simulated people whose scans do not go through files."""
    first, count = config.cohort.registered, config.cohort.cases - config.cohort.registered
    seed, settings = config.cohort.seed, config.slice_settings

    def since(number: int) -> Iterable[Volume]:
        rest = phantom.simulate_volumes(count - number, seed, first + number, config.cohort.workers, settings=settings)
        return tqdm(rest, total=count, initial=number, desc="Direct path", unit="case", leave=False)

    made_with = {"dwikit": dwikit.__version__, "cases": count, "first": first, "seed": seed, "physics": phantom.code()}
    return Repeatable(made_with, since)


def _tell_differences(there: dict, wanted: dict, where: Path) -> None:
    """Say in which settings the slices that are there, and their cohort, differ from the profile's.

    Raises:
        InputError: in their size, which decides the networks.
    """
    there, wanted = (
        facts | {f"cohort: {name}": value for name, value in facts.get("cohort", {}).items()} for facts in (there, wanted)
    )
    wanted = {name: value for name, value in wanted.items() if name not in ("cohort", "dwikit")}
    differences = {name: value for name, value in wanted.items() if there.get(name, value) != value}
    if "image_size" in differences:
        raise InputError(
            f"The slices in {where} have {there['image_size']} pixels along a side, and the profile asks for "
            f"{wanted['image_size']}. Run 01_preprocess with this profile: it builds them again."
        )
    if differences:
        listed = ", ".join(f"{name} {there[name]} (profile: {value})" for name, value in differences.items())
        print(f"The slices in {where} are used as 01_preprocess built them: {listed}.")


def features_folder(config: Profile) -> Path:
    """Folder of the feature network trained on the study's slices, by which samples are judged."""
    return beside(data_folder(config) / "slices")


def train(
    key: str,
    config: Profile,
    store: SliceStore,
    seed: int | None = None,
    minutes: float | None = None,
    devices: int = 1,
    machines: Alone = ALONE,
) -> training.Run:
    """Train one network as the profile says, or resume where it stopped. Other seeds have their own folders."""
    return training.train(key, config, store, folder_of(config, key, seed), seed, minutes, devices, machines)


def folder_of(config: Profile, key: str, seed: int | None = None) -> Path:
    """Folder of a training; one with another seed than the profile's has its own."""
    name = key if seed in (None, config.networks[key].seed) else f"{key}-seed-{seed}"
    return paths.runs(config.name) / name


WORTH_A_START = 3
"""No network is started in the last third of the minutes: it must compile, and its first epoch is not cut short."""


def train_in_pieces(
    config: Profile,
    keys: Sequence[str],
    minutes: float | None = None,
    devices: int = 1,
    machines: Alone = ALONE,
    seed: int | None = None,
) -> bool:
    """Train networks one after another while there is time; the same call resumes from there.

    Args:
        config: profile.
        keys: of the networks.
        minutes: stop at the end of an epoch before these have passed; None: never.
        devices: GPUs per machine that share each batch.
        machines: machines that train together.
        seed: as for ``train``.

    Returns:
        Whether all are fully trained.
    """
    if minutes is not None and not minutes > 0:
        raise InputError(f"minutes must be more than 0, not {minutes:g}.")
    keys = checked(config, keys)
    start = time.perf_counter()
    machines.agree(f"profile {config.name} ({hashlib.sha256(repr(config).encode()).hexdigest()[:8]}), {', '.join(keys)}")
    with machines.in_turn():
        store = slices(config)
    if machines.first and (before := outlook.told(config, {key: folder_of(config, key, seed) for key in keys}, store)):
        print(before, flush=True)
    for key in keys:
        left = None if minutes is None else minutes - (time.perf_counter() - start) / 60
        if machines.any(left is not None and left < minutes / WORTH_A_START):
            return False
        run = train(key, config, store, seed, left, devices, machines)
        if machines.first:
            print(told(run), flush=True)
            print(f"{run.label}: {run.epochs} of {config.networks[key].epochs} epochs in {run.folder}", flush=True)
        if run.epochs < config.networks[key].epochs:
            return False
    return True


def checked(config: Profile, keys: Sequence[str] = ()) -> list[str]:
    """The keys, by default those of the study; each is built once and given the weights that it starts from.

    So what is wrong with it is told before data are made.

    Raises:
        InputError: the profile lacks a network, or one cannot be built, or not start as it says.
    """
    keys = list(keys or in_study(config))
    for key in keys:
        training.begin(untrained(key, config), config.networks[key])
    return keys


def untrained(key: str, config: Profile) -> models.GenerativeModel:
    """The network that the profile trains, built and not trained: to check it, to draw it and to count its weights.

    Raises:
        InputError: the profile lacks it, or it cannot be built.
    """
    network, section = choose(networks(config), key, "network"), config.networks[key]
    return network(**presets.preset(network, section.preset, config.image_size, overrides=section.overrides))


def told(run: training.Run) -> str:
    """Where a training departs from the paper and its preset, as text for a terminal."""
    departures, source = run.departures, "the paper" if run.model.section else "its preset"
    if departures.empty:
        return f"{run.label} is trained as {source} says."
    count = f"{len(departures)} setting{'s' if len(departures) > 1 else ''}"
    return f"{run.label} departs from {source} in {count}:\n{departures.to_string()}"


def networks(config: Profile) -> dict[str, type[models.GenerativeModel]]:
    """The classes of a profile's networks by key; after this call, files of your own networks can be read.

    Raises:
        InputError: no network, an unknown one, a file that holds none, or two rows of a table with one label.
    """
    if not config.networks:
        raise InputError(f"Profile {config.name} has no network. Begin its file with extends: quick, or add one, such as vae:.")
    found = {key: registry.network(key, section.file) for key, section in config.networks.items()}
    require_own_labels({key: network.label for key, network in found.items()}, config.brought)
    return found


def in_study(config: Profile) -> dict[str, type[models.GenerativeModel]]:
    """``networks`` without those that the profile keeps out of the study."""
    return {key: network for key, network in networks(config).items() if config.networks[key].in_study}


def with_network(config: Profile, key: str, section: Training) -> Profile:
    """The profile with one network's section changed."""
    return dataclasses.replace(config, networks={**config.networks, key: section})


def trained(config: Profile, store: SliceStore) -> dict[str, training.Run]:
    """Every network of the study that was trained on these slices, by key; what is left out, and why, is printed.

    A network that was trained with other settings than the profile's stands as it was trained; a line names them.

    If there is none, the kit's own weights of this size are used; if it has none, the VAE is trained now. A line says so.
    """
    runs, command = {}, f"dwikit train --profile {config.path or config.name}"
    for key, network in in_study(config).items():
        folder, section = paths.runs(config.name) / key, config.networks[key]
        if not folder.exists():
            continue
        if reason := training.left_out(folder, section, store):
            print(f"{network.label} is left out: {reason}. To train it: {command} {key}")
            continue
        runs[key] = training.Run.open(folder, section.keep, key)
        if differences := training.differences(runs[key], section):
            print(f"{network.label} stands here as it was trained: {differences}. To train it anew: {command} {key}")
    if not runs and (shipped := kit_weights.shipped_runs(config, store)):
        print("No network has been trained on these slices yet: using the weights that come with the kit.")
        return shipped
    if not runs:
        print(f"No network has been trained on these slices with profile {config.name} yet: training the VAE now.")
        runs["vae"] = train("vae", config, store)
    return runs


def judged(config: Profile, store: SliceStore) -> dict[str, training.Run | Brought]:
    """All rows of the tables, by key: the ``trained`` networks, then samples that the profile brings along.

    Raises:
        InputError: samples that cannot be read, or differ in size from the slices.
    """
    brought = {
        key: Brought.read(key, section, store.image_size, paths.runs(config.name) / key)
        for key, section in config.brought.items()
    }
    return trained(config, store) | brought


def seeds(run: training.Run, config: Profile, store: SliceStore) -> dict[int, training.Run]:
    """One network trained as often as ``config.evaluation.seeds`` says, with all settings of a run but its seed.

    Returns:
        Seed -> run, the given one first. Existing trainings are not repeated; weights that came with the kit
        are not trained again.
    """
    if run.card:
        return {run.model.seed: run}
    key, first = run.model.key, run.model.seed
    config = with_network(config, key, _section(run, config))
    others = range(first + 1, first + config.evaluation.seeds.get(key, 1))
    folders = {seed: run.folder.with_name(f"{run.folder.name}-seed-{seed}") for seed in others}
    return {first: run} | {seed: training.train(key, config, store, folder, seed) for seed, folder in folders.items()}


def used(config: Profile, store: SliceStore, runs: Mapping[str, training.Run | Brought] | None = None) -> Profile:
    """The profile as a record: the values that slices and networks were made with, whatever it says by now.

    Args:
        config: profile.
        store: its slices.
        runs: the rows of a table, by key; other networks are left out.
    """
    cohort, slices = (
        dataclasses.replace(section, **{name: value for name, value in there.items() if hasattr(section, name)})
        for section, there in ((config.cohort, store.settings.get("cohort", {})), (config.slices, store.settings))
    )
    sections = {key: _section(run, config) for key, run in (runs or {}).items() if isinstance(run, training.Run)}
    return dataclasses.replace(config, image_size=store.image_size, cohort=cohort, slices=slices, networks=sections)


def _section(run: training.Run, config: Profile) -> Training:
    """How a network was trained, as a section of the profile."""
    facts = run.facts()
    values = {name: value for name, value in run.model.config.items() if name not in ("image_size", "preset", "batch_size")}
    steps = facts["steps"] // facts["epochs"] if run.card else facts["steps_per_epoch"]
    return dataclasses.replace(
        config.networks[run.model.key],
        preset=run.model.config["preset"],
        model=values,
        reasons={} if run.departures.empty else run.departures["reason"].to_dict(),
        batch_size=run.model.config["batch_size"],
        epochs=run.epochs,
        steps_per_epoch=steps,
        seed=run.model.seed,
        **{name: facts[name] for name in ("flip", "mixed_precision") if name in facts},
        **{name: facts.get(name, getattr(Training(), name)) for name in ("init", "frozen")},
    )
