"""From a profile to a trained model in a folder of plain files."""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import pandas as pd

from dwikit import __version__, models
from dwikit.backend import distribution
from dwikit.backend.machines import ALONE, Alone
from dwikit.common import files, lock, paths
from dwikit.common.errors import InputError, choose
from dwikit.common.progress import tqdm
from dwikit.models import presets, registry
from dwikit.profiles import Profile, Training
from dwikit.slices import SliceStore
from dwikit.training import initial
from dwikit.training.loop import fit
from dwikit.training.outcome import Run, draw_samples, kept, read_log


def train(
    key: str,
    profile: Profile,
    store: SliceStore,
    folder: str | Path | None = None,
    seed: int | None = None,
    minutes: float | None = None,
    devices: int = 1,
    machines: Alone = ALONE,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Run:
    """Train one network as a profile says, or continue where an earlier run stopped, then draw its samples.

    Samples are those of the model after the epoch that the section ``keep`` says, and computed in float32.

    A folder made with other settings (data, preset, seed, ...) or trained for more epochs than now asked for is renamed:
    nothing computed is lost.

    Args:
        key: of a network of the profile, such as ``"vae"``.
        profile: from ``profiles.resolve``.
        store: slices; the network learns from the training split and reconstructs the test split.
        folder: of the results; by default ``runs/<profile>/<key>``.
        seed: replaces the profile's.
        minutes: stop before an epoch that would end later than this, without samples; the same call resumes from there.
        devices: GPUs (or else CPUs) of this machine that share each batch; the result is that of one within rounding, and an
            earlier run resumes with any number. With more than one, steps are called one at a time, without XLA.
        machines: a ``Machines`` if several train together: all call this, with a shared folder.
        callbacks: as for ``fit``.

    Raises:
        InputError: an unknown key or setting, a batch larger than the training split or one that cannot be shared by
            that many devices, another process training in the same folder, machines given different tasks,
            or a machine that was lost.
    """
    choose(profile.networks, key, "network")
    seed = profile.networks[key].seed if seed is None else seed
    folder = Path(folder or paths.runs(profile.name) / key)
    section: Training = profile.networks[key]
    data = fingerprint(store)
    asked = {"network": key, "seed": seed, "image_size": store.image_size, "data": data, **dataclasses.asdict(section)}
    machines.agree(json.dumps(asked | {"dwikit": __version__, "keras": keras.version()}))
    network = registry.network(key, section.file)
    with _precision(section.mixed_precision), machines.scope(devices):
        model = network.from_preset(section.preset, image_size=store.image_size, seed=seed, **section.overrides)
        initial.check_people(model, section, store)
        start = initial.begin(model, section)
    if (replicas := distribution.devices_of(model)) > 1:
        model.check_devices(replicas)
    settings = _settings(model, section, data) | start
    alone = lock.alone(folder.with_name(f".{folder.name}.lock"), f"trains in {folder}")
    alone = alone if machines.first else contextlib.nullcontext()
    with alone, machines.together():
        with _precision(section.mixed_precision):
            model = _resume(folder, settings, section.epochs, model, machines)
            if machines.first:
                files.write_text(folder / "departures.csv", departures(network, section, model.config).to_csv())
            if replicas == 1:
                model.jit_compile, model.steps_per_execution = section.jit_compile, section.steps_per_execution
            else:
                model.jit_compile, model.steps_per_execution = False, 1
            fit(
                model,
                store,
                folder,
                section.epochs,
                section.steps_per_epoch,
                flip=section.flip,
                seed=seed,
                health_checks=section.health,
                tensorboard=section.tensorboard,
                deterministic=not section.jit_compile,
                minutes=minutes,
                machines=machines,
                snapshots=section.snapshots,
                callbacks=callbacks,
            )
        with machines.in_turn():
            if machines.first and model.epochs_done == section.epochs:
                if section.mixed_precision or section.keep != "last":
                    model = models.load(kept(folder, section.keep)[0])  # in float32, as everyone loads it
                draw_samples(model, store, folder, profile.evaluation.samples)
    return Run(model, folder)


@contextlib.contextmanager
def _precision(mixed: bool):
    """Inside, networks compute in bfloat16 and keep their weights in float32, if ``mixed``; else all is float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if mixed else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _settings(model: models.GenerativeModel, section: Training, data: str) -> dict:
    """Everything that decides the result of a training but its length."""
    settings = {
        "model": model.key,
        "config": model.get_config(),
        **_code(section),
        "steps_per_epoch": section.steps_per_epoch,
        "flip": section.flip,
        "mixed_precision": section.mixed_precision,
        "data": data,
    }
    return json.loads(json.dumps(settings))


def _code(section: Training) -> dict[str, str]:
    """A hash of the file of your own network, for ``settings.json``."""
    return {"file": hashlib.sha256(Path(section.file).read_bytes()).hexdigest()} if section.file else {}


def left_out(folder: Path, section: Training, store: SliceStore) -> str | None:
    """Why the training in a folder cannot stand in a table, in a few words; None if it can.

    Args:
        folder: of the results.
        section: of the profile.
        store: the slices that it is judged on.
    """
    settings = files.read_json(folder / "settings.json")
    if not settings:
        return "it is not trained yet"
    if settings["data"] != fingerprint(store):
        return "it was trained on other slices"
    if section.file and settings.get("file") != _code(section)["file"]:
        return f"{Path(section.file).name} has changed since it was trained"
    drawn = files.read_object(folder / "samples.json").get("epochs")
    if not (folder / "samples.npy").is_file() or drawn != kept(folder, section.keep)[1]:
        return "it is not fully trained"
    return None


def differences(run: Run, section: Training) -> str:
    """The settings in which a training differs from a profile, as text, e.g. "epochs 2 (profile: 3)"; empty if in none."""
    there, facts = run.model.config, run.facts()
    wanted = presets.preset(type(run.model), section.preset, there["image_size"], overrides=section.overrides)
    names = ("seed", "epochs", "steps_per_epoch", "flip", "mixed_precision", "init", "frozen")
    wanted |= {name: getattr(section, name) for name in names}
    if section.init == facts.get("init") and (content := initial.content(run.model, section)):
        wanted["init_content"] = content
    found = {"frozen": [], **facts, **there, "seed": run.model.seed}
    wanted, found = (
        {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        for values in (wanted, found)
    )
    as_text = presets.as_text
    said = {name: as_text(value) for name, value in wanted.items() if found.get(name) != value}
    said |= {name: "no such setting" for name in there if name not in wanted}
    return ", ".join(f"{name} {as_text(found.get(name))} (profile: {value})" for name, value in said.items())


def departures(network: type[models.GenerativeModel], section: Training, config: dict) -> pd.DataFrame:
    """Where a training departs from the paper: one row per setting in which paper, preset and run differ.

    Args:
        network: class of the model.
        section: of the profile.
        config: of the model that is trained.

    Returns:
        Columns paper, preset (named in the heading if it is not "paper"), this run, reason; as text.
    """
    size = config["image_size"]
    said = {name: presets.preset(network, name, size, 1.0, {}) for name in {"paper", section.preset} & set(network.presets)}
    rows = {}
    for name, value in config.items():
        values = [said.get(preset, {}).get(name) for preset in ("paper", section.preset)] + [value]
        if name not in ("preset", "image_size") and any(one != values[0] for one in values):
            given = name in section.model or (name == "batch_size" and section.batch_size)
            reason = section.reasons.get(name, "given for this run" if given else f"preset {section.preset}")
            rows[name] = [*map(presets.as_text, values), reason]
    headings = ["paper", "preset" if section.preset == "paper" else f"preset {section.preset}", "this run", "reason"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=headings).rename_axis("setting")


def fingerprint(store: SliceStore) -> str:
    """Sixteen hexadecimal digits that differ between stores of different images, people or splits."""
    return store.content[:16]


def _resume(
    folder: Path, settings: dict, epochs: int, fresh: models.GenerativeModel, machines: Alone
) -> models.GenerativeModel:
    """The model in a folder if it began this training, else the fresh one; a folder in the way is renamed."""
    earlier = _beginning(folder, settings, epochs, fresh.added) if machines.first else None
    begun = machines.any(earlier is not None)
    if machines.first:
        files.write_json(folder / "settings.json", settings)
    if begun and distribution.devices_of(fresh) > 1:
        fresh.load_weights(folder / "model.keras")
    elif begun:
        return earlier
    return fresh


def _beginning(folder: Path, settings: dict, epochs: int, added: Mapping) -> models.GenerativeModel | None:
    """The model in a folder if it began this training; anything else there is renamed. ``added`` is the network's."""
    if not (folder / "model.keras").is_file():
        return None
    try:
        found = files.read_object(folder / "settings.json")
        config = found.get("config")
        if isinstance(config, dict) and found | {"config": {**added, **config}} == settings:
            model = models.load(folder / "model.keras")
            if model.epochs_done and len(read_log(folder)) < model.epochs_done:
                raise InputError(f"{folder / 'log.csv'} ends before the model does.")
            if model.epochs_done <= epochs:
                return model
    except InputError as error:
        tqdm.write(str(error))
    tqdm.write(f"{folder.name} was made with other settings or for more epochs; it is kept as {files.set_aside(folder).name}.")
    return None
