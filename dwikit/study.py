"""The study's steps in order, each reading what the one before it wrote under ``runs/<profile>/``.

A step that is already done with the same settings is not done again; notebooks call the step they start from, and what is
missing is made.
"""

import dataclasses
import itertools
import shutil
from pathlib import Path

from tqdm import tqdm

import dwikit
from dwikit import evaluation, metrics, models, training
from dwikit.backend.machines import ALONE, Alone
from dwikit.cohorts import phantom
from dwikit.common import doctor, files, paths
from dwikit.common.errors import InputError
from dwikit.preprocess import preprocess, read_derivatives
from dwikit.profiles import Profile
from dwikit.slices import SliceStore, build
from dwikit.training import pretext
from dwikit.training.weights import pretrained


def data_folder(config: Profile) -> Path:
    """Folder of the cohort, its derivatives and its slices."""
    return paths.runs(config.name) / "data"


def cohort(config: Profile) -> Path:
    """BIDS dataset of the study: one's own if the profile names one, else the simulated cohort, written if need be."""
    if config.cohort.bids:
        return Path(config.cohort.bids)
    return phantom.write_cohort(
        data_folder(config) / "bids", config.cohort.registered, seed=config.cohort.seed, workers=config.cohort.workers
    )


def derivatives(config: Profile) -> Path:
    """Folder of the registered volumes, made if need be; its ``quality.tsv`` is the report."""
    out = data_folder(config) / "derivatives"
    preprocess(cohort(config), out, workers=config.cohort.workers, **target(config))
    return out


def target(config: Profile) -> dict:
    """How volumes come to the target grid: field of view and interpolator, the same for both paths of the cohort."""
    return {"fov_mm": config.slices.fov_mm, "interpolator": config.slices.interpolator}


def slices(config: Profile, rebuild: bool = False) -> SliceStore:
    """The store of slices. The one that is there is used, unless ``rebuild`` and the settings have changed since."""
    out = data_folder(config) / "slices"
    provenance = {"dwikit": dwikit.__version__, "cohort": dataclasses.asdict(config.cohort), **target(config)}
    wanted = {**dataclasses.asdict(config.slices), "image_size": config.image_size, **provenance}
    there = files.read_json(out / "settings.json")
    if there and (not rebuild or {**there, **wanted} == there):
        return SliceStore.open(out)
    volumes = [read_derivatives(derivatives(config))] if config.cohort.registered or config.cohort.bids else []
    direct = config.cohort.cases - config.cohort.registered
    if direct > 0 and not config.cohort.bids:
        simulated = phantom.simulate_volumes(
            direct,
            seed=config.cohort.seed,
            first=config.cohort.registered,
            workers=config.cohort.workers,
            **target(config),
        )
        volumes.append(tqdm(simulated, total=direct, desc="Direct path", unit="case", leave=False))
    return build(
        itertools.chain(*volumes),
        out,
        percentile=config.slices.percentile,
        scope=config.slices.scope,
        seed=config.slices.seed,
        image_size=config.image_size,
        provenance=provenance,
    )


def features(config: Profile, store: SliceStore) -> str:
    """What the DFC-VAE compares images with: ImageNet's VGG16 where its weights are here, else a pretext network of the slices.

    Returns:
        ``"imagenet"``, or the path of the pretext network, trained now if need be (about a minute).
    """
    if chosen := config.dfc_vae.model.get("features"):
        return chosen
    try:
        features.imagenet_weights()
        return "imagenet"
    except InputError:
        return str(pretext.network(store, paths.runs(config.name) / "features"))


def train(
    key: str,
    config: Profile,
    store: SliceStore,
    seed: int | None = None,
    minutes: float | None = None,
    devices: int = 1,
    machines: Alone = ALONE,
) -> training.Run:
    """Train one network as the profile says, or go on where it stopped. Other seeds have folders of their own."""
    name = key if seed in (None, getattr(config, key).seed) else f"{key}-seed-{seed}"
    if key == "dfc_vae":
        with machines.in_turn():
            chosen = features(config, store)
        section = dataclasses.replace(config.dfc_vae, model={**config.dfc_vae.model, "features": chosen})
        config = dataclasses.replace(config, dfc_vae=section)
    return training.train(key, config, store, paths.runs(config.name) / name, seed, minutes, devices, machines)


def trained(config: Profile, store: SliceStore) -> dict[str, training.Run]:
    """Every network that was trained on these slices, as it is, by key.

    Where there is none, the kit's own weights of this image size are taken, and where it has none either, the VAE is trained
    now; a printed line says so.
    """
    runs = {}
    for key in models.BY_KEY:
        folder = paths.runs(config.name) / key
        settings = files.read_json(folder / "settings.json")
        if settings and settings["data"] == training.fingerprint(store) and (folder / "samples.npy").is_file():
            runs[key] = training.Run(models.load(folder / "model.keras", key=key), folder)
        elif folder.exists():
            print(f"{models.BY_KEY[key].label} is left out: it was trained on other slices, or not to the end.")
    if not runs and (shipped := shipped_runs(config, store)):
        print("No network has been trained on these slices yet: these are the weights that come with the kit.")
        return shipped
    if not runs:
        print(f"No network has been trained on these slices at profile {config.name} yet: training the VAE now.")
        runs["vae"] = train("vae", config, store)
    return runs


def seeds(run: training.Run, config: Profile, store: SliceStore) -> dict[int, training.Run]:
    """One network trained ``config.evaluation.seeds`` times, with all the settings of a run but its seed.

    Returns:
        Seed -> run, the given one first. Trainings that are there already are not repeated; weights that came with the kit
        are not trained again.
    """
    if run.card:
        return {run.model.seed: run}
    key, settings = run.model.key, files.read_json(run.folder / "settings.json")
    values = {name: value for name, value in run.model.config.items() if name not in ("image_size", "preset")}
    section = dataclasses.replace(
        getattr(config, key),
        preset=run.model.config["preset"],
        model=values,
        batch_size=None,
        epochs=run.model.epochs_done,
        **{name: settings[name] for name in ("steps_per_epoch", "flip", "mixed_precision")},
    )
    config = dataclasses.replace(config, **{key: section})
    first = run.model.seed
    others = range(first + 1, first + config.evaluation.seeds)
    folders = {seed: run.folder.with_name(f"{run.folder.name}-seed-{seed}") for seed in others}
    return {first: run} | {seed: training.train(key, config, store, folder, seed) for seed, folder in folders.items()}


# ==== The weights that come with the kit ====


def shipped_runs(config: Profile, store: SliceStore) -> dict[str, training.Run]:
    """Every network of the kit's own weights that has this image size, with samples (and reconstructions of these slices)."""
    runs = {}
    for key in (key for key, sizes in pretrained.available().items() if config.image_size in sizes):
        model, folder = pretrained.load(key, config.image_size), paths.runs(config.name) / "pretrained" / key
        training.draw_samples(model, store, folder, config.evaluation.samples)
        runs[key] = training.Run(model, folder, pretrained.card(key, config.image_size))
    return runs


def publish(run: training.Run, config: Profile, store: SliceStore) -> Path:
    """Make a trained network's weights, log and card those that come with the kit; returns the path of the weights."""
    log, steps = run.log, run.steps(store)
    if run.model.key == "dfc_vae":
        shutil.copyfile(run.model.config["features"], pretrained.folder() / pretrained.FEATURES)
    row = evaluation.measure(run.samples, metrics.moments(store.split("train")))
    if hasattr(run.model, "reconstruct"):
        table = evaluation.reconstruction_table({run.model.key: (run.originals, run.reconstructions)}).loc[run.model.key]
        row |= {"reconstruction MSE": table["mse"], "reconstruction Laplace": table["laplace"]}
    cohort, people = config.cohort, store.table.groupby("split")["case"].nunique()["train"]
    facts = {
        "data": f"{people} of {cohort.cases} simulated people (seed {cohort.seed}), profile {config.name}",
        "steps": steps,
        "images": steps * run.model.config["batch_size"],
        "hours": float(log["seconds"].sum()) / 3600,
        "machine": doctor.machine(),
        "command": f"dwikit weights {run.model.key} --profile {config.name}",
        "samples": row.pop("n"),
        "metrics": {name: float(value) for name, value in row.items()},
        "versions": doctor.versions(),
    }
    return pretrained.publish(run.model, run.folder / "log.csv", facts)
