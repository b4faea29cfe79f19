"""Weights that come with the kit, under ``data/pretrained``: nobody has to train from scratch.

Each network is three files, ``<key>-<image size>`` with ``.npz`` (its weights, as ``stored.py`` says), ``.json`` (its config,
data, steps, hours and metrics) and ``.csv`` (the log of its whole training), and a card for readers, ``.md``. They are plain
numbers: loading them runs no code. ``dwikit weights`` makes them.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from dwikit import models
from dwikit.common import files, paths
from dwikit.common.errors import InputError
from dwikit.models import presets, registry
from dwikit.profiles import SIZES
from dwikit.slices import SliceStore
from dwikit.training.weights import stored

NETWORK_SIZES = SIZES | {"mapping_layers", "block_convolutions", "constant_size"}
"""Settings that decide how large a network is."""
MADE = ("fov_mm", "interpolator", "percentile", "scope")
"""Settings of slices that decide what a network learns to draw."""


def folder() -> Path:
    """Folder of the weights."""
    return paths.kit() / "data" / "pretrained"


def available() -> dict[str, list[int]]:
    """Image sizes with weights, by model key."""
    sizes: dict[str, list[int]] = {}
    for path in folder().glob("*-*.npz"):
        key, _, size = path.stem.rpartition("-")
        if size.isdecimal():  # else somebody's copy
            sizes.setdefault(key, []).append(int(size))
    return {key: sorted(found) for key, found in sizes.items()}


def load(key: str, image_size: int = 64) -> models.GenerativeModel:
    """A trained model, ready to sample and reconstruct; a small one also to train further.

    A large one (``stored.LARGE``) comes without what only training needs, which is NaN.

    Args:
        key: ``"vae"``, ``"dfc_vae"``, ``"intro_vae"`` or ``"style_gan"``.
        image_size: pixels along one side.

    Raises:
        InputError: no such weights, or files that do not belong together.

    Example:
        >>> load("intro_vae").sample(16).shape
        (16, 64, 64, 1)
    """
    facts, path = card(key, image_size), file(key, image_size).with_suffix(".json")
    arrays = _arrays(file(key, image_size))
    try:
        model = registry.network(key)(**_config(facts, key, image_size, arrays))
        model.compile()
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}). Restore it: git checkout data/pretrained.") from error
    _fill(model)
    model.epochs_done = facts["epochs"]
    return model


def load_into(model: models.GenerativeModel) -> None:
    """Give a model of the same architecture the kit's weights, to train it further; its optimizers are unchanged.

    Raises:
        InputError: no weights of this network and size, or damaged ones, or those of another architecture, or a large network,
            of which the kit has only what draws.
    """
    if stored.is_large(model):
        raise InputError(
            f"The kit's {model.label} at {model.image_size} pixels comes without what only training needs. Train from the "
            "beginning, or from the weights at 64 pixels."
        )
    _fill(model)


def _fill(model: models.GenerativeModel) -> None:
    """Set the weights of a model to the kit's.

    Raises:
        InputError: no weights of this network and size, or damaged ones, or those of another architecture.
    """
    path = file(model.key, model.image_size)
    arrays, wanted = _arrays(path), stored.wanted(model)
    if [array.shape for array in arrays] != [tuple(variable.shape) for variable in wanted]:
        raise InputError(
            f"{path} holds the weights of another architecture ({len(arrays)} arrays) than this {model.label} "
            f"({len(wanted)}). They fit the profile named in {path.with_suffix('.json').name}."
        )
    stored.fill(model, wanted, arrays)


def _arrays(path: Path) -> list[np.ndarray]:
    """The arrays of a file of weights, in their order.

    Raises:
        InputError: it cannot be read, or does not hold finite numbers only.
    """
    try:
        arrays = stored.from_arrays(files.read_arrays(path))
        if not all(array.dtype.kind == "f" and np.isfinite(array).all() for array in arrays):
            raise ValueError("it does not hold finite numbers only")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}). Restore it: git checkout data/pretrained.") from error
    return arrays


def _config(facts: dict, key: str, image_size: int, arrays: list[np.ndarray]) -> dict:
    """The constructor arguments on a card; no network is larger than its weights.

    Raises:
        ValueError: some are missing, unknown, or of another type or size.
    """
    found = facts.get("config")
    if not isinstance(found, dict) or not isinstance(facts.get("epochs"), int):
        raise ValueError("it lacks config or epochs")
    network = registry.network(key)
    found = {**network.added, **found}
    values = {name: value for name, value in found.items() if name not in ("preset", "image_size", "seed")}
    config = presets.preset(network, str(found.get("preset")), image_size, overrides=values)
    config["seed"] = found.get("seed")
    if set(found) != set(config) or found["image_size"] != image_size or not isinstance(found["seed"], int):
        raise ValueError("its config lacks a value, or is of another size")
    largest = max((side for array in arrays for side in array.shape), default=0)
    for name in NETWORK_SIZES & set(config):
        if max(np.atleast_1d(config[name])) > max(largest, len(arrays)):
            raise ValueError(f"{name} is {config[name]}, larger than any of the weights")
    return config


def card(key: str, image_size: int = 64) -> dict:
    """Facts about the weights: config, data, steps, hours, metrics, command.

    Raises:
        InputError: no such weights, or no readable card beside them.
    """
    path = file(key, image_size).with_suffix(".json")
    facts = files.read_object(path)
    if facts.get("model") != key:
        raise InputError(f"{path} is missing or damaged. Restore it: git checkout data/pretrained.")
    return facts


def people(store: SliceStore) -> dict:
    """Who trained a network, for its card: the seed of the simulated cohort, and the subjects of the training split.

    Raises:
        InputError: they are not simulated; labels of real people are not handed on.
    """
    table, cohort = store.table, store.settings.get("cohort") or {}
    seed = cohort.get("seed")
    if seed is None or cohort.get("bids") or not table["origin"].str.startswith("simulated").all():
        raise InputError("Weights of real people's scans do not become part of the kit; dwikit pack carries them elsewhere.")
    return {"seed": seed, "train": sorted(table.loc[table["split"] == "train", "subject"].unique())}


def seen(facts: dict, store: SliceStore) -> list[str]:
    """People whom the network of a card was trained on and who are held out of training in these slices.

    Slices of a simulated dataset, or made by ``dwikit slices``, do not say its seed: whoever bears a label of the card counts.
    """
    table, known = store.table, _told(facts, "people", {"seed", "train"})
    simulated = table["origin"].str.startswith("simulated")
    if (store.settings.get("cohort") or {}).get("seed", known["seed"]) != known["seed"]:
        return []  # other people, whatever their labels
    return sorted(set(known["train"]) & set(table.loc[simulated & (table["split"] != "train"), "subject"]))


def slices(store: SliceStore) -> dict:
    """How the slices were made that a network was trained on, for its card: field of view, interpolator, percentile, scope."""
    return {name: store.settings[name] for name in MADE}


def otherwise(facts: dict, store: SliceStore) -> str:
    """How the field of view of a card's slices differs from these slices', as text; empty if it does not.

    A network that draws smaller brains than these would be judged on its frame.
    """
    there = _told(facts, "slices", {"fov_mm"})["fov_mm"]
    here = store.settings.get("fov_mm", there)
    return "" if here == there else f"fov_mm {there} (here: {here})"


def _told(facts: dict, name: str, wanted: set[str]) -> dict:
    """What a card says about ``name``, as names and values; InputError if it does not."""
    value = facts.get(name)
    if not isinstance(value, dict) or not wanted <= set(value):
        raise InputError(
            f"The card of the kit's {facts.get('model')} in {folder()} does not say its {name}. Restore it: git checkout "
            "data/pretrained."
        )
    return value


def file(key: str, image_size: int) -> Path:
    """The file of the kit's weights of a network.

    Raises:
        InputError: there is none.
    """
    path = folder() / f"{key}-{image_size}.npz"
    if not path.is_file():
        known = ", ".join(f"{name} at {size}" for name, sizes in available().items() for size in sizes) or "none"
        raise InputError(f"There are no weights of {key!r} at {image_size} pixels. Available: {known}.")
    return path


# ==== Made by `dwikit weights` ====


def publish(model: models.GenerativeModel, log: pd.DataFrame, facts: dict) -> Path:
    """Write a model's weights, its log and its card to ``data/pretrained``; returns the path of the weights.

    Args:
        model: trained.
        log: of its training, one row per epoch, also of those after the model's.
        facts: what else the card says: ``command``, ``data``, ``steps``, ``images``, ``metrics``, ...

    Raises:
        InputError: a weight that float16 cannot hold.
    """
    packed = stored.as_arrays(model)
    path = folder() / f"{model.key}-{model.image_size}.npz"
    config, hours = model.get_config(), log["seconds"] / 3600
    facts = {
        "model": model.key,
        "label": model.label,
        "parameters": sum(array.size for name, array in packed.items() if not name.endswith("-scale")),
        "stored": "8 bits, what draws and reconstructs" if stored.is_large(model) else "float16",
        "epochs": model.epochs_done,
        "hours": float(hours.loc[: model.epochs_done].sum()),
        "training": {"epochs": len(log), "hours": float(hours.sum())},
        **facts,
        "config": config,
    }
    files.write_together(
        {
            path: lambda partial: np.savez_compressed(partial, **packed),
            path.with_suffix(".csv"): files.as_text(log.to_csv()),
            path.with_suffix(".md"): files.as_text(as_page(facts)),
            path.with_suffix(".json"): files.as_json(facts),
        }
    )
    return path


def as_page(facts: dict) -> str:
    """A card as Markdown."""
    config = facts["config"]
    said = presets.preset(registry.network(facts["model"]), config["preset"], config["image_size"])
    ours = {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}
    changed = [
        f"{name} {presets.as_text(ours[name])} (not {presets.as_text(value)})"
        for name, value in said.items()
        if ours.get(name, value) != value
    ]
    metrics = "\n".join(f"| {name} | {value:.4g} |" for name, value in facts["metrics"].items())
    return f"""# {facts["label"]} at {config["image_size"]} x {config["image_size"]} pixels

**Not for clinical use.** Weights of a generative network of brain slices, for teaching and for the comparison of methods. They
were trained on simulated slices only and say nothing about any patient.

| | |
|---|---|
| data | {facts["data"]} |
| preset | `{config["preset"]}` |
| changed in it | {", ".join(changed) or "nothing"} |
| trained | {facts["steps"]:,} steps, {facts["images"]:,} images, {facts["hours"]:.2f} hours on {facts["machine"]} |
| epoch | {facts["epochs"]} of {facts["training"]["epochs"]}, which took {facts["training"]["hours"]:.2f} hours |
| made by | `{facts["command"]}` |
| parameters | {facts["parameters"]:,}, {facts.get("stored", "float16")} |
| licence | Apache-2.0, as the kit |

| metric | of {facts["samples"]} samples |
|---|---|
{metrics}
"""
