"""Trained networks as a few small files, to carry from a borrowed machine to your own: ``pack`` and ``unpack``.

A network is one zip of plain numbers and text, cut into parts of at most 15 MB, small enough for most ways out of a machine:

    samples.npy, reconstructions.npy    (n, H, W) uint8
    weights.npz                         float16, all networks but the critic, in the order of ``model.weights``
    log.csv, settings.json, facts.json  of the training: epochs, steps, images, minutes, machine, versions
    samples.json                        what the samples were drawn from
    slices.npy                          held-out slices, by which ``unpack`` knows the data, beside a hash of all labels

The slices stay behind: a simulated cohort is the same everywhere, and your own scans are on your machine already. So do
critics and optimizer states: a network that was carried draws and reconstructs but cannot be trained further.
"""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import keras
import numpy as np

import dwikit
from dwikit import models, training
from dwikit.common import doctor, files, paths
from dwikit.common.errors import InputError, choose
from dwikit.models import registry
from dwikit.profiles import Profile
from dwikit.slices import SliceStore
from dwikit.training.outcome import KEPT
from dwikit.training.weights import stored

PART = 15_000_000
"""Bytes per file, at most."""
KNOWN_BY = 64
"""Held-out slices to include."""
OTHERS = 1e-3
"""Share of their pixels that may differ by more than one grey level: rounding differs between processors and libraries."""
COPIED = ("log.csv", "samples.json")


def pack(key: str, config: Profile, store: SliceStore, out: str | Path) -> list[Path]:
    """Write one trained network of ``runs/<profile>`` as files to carry; samples are drawn now if there are none.

    A training that was stopped is packed as after its last complete epoch; ``facts.json`` says how many there were.

    Args:
        key: of a network of the profile, such as ``"vae"``.
        config: profile it was trained with.
        store: slices it was trained on.
        out: folder of the files, ``<key>.part-1-of-<n>`` and on; parts of this network already there are replaced.

    Raises:
        InputError: no such network, no complete epoch, other slices, or a weight that float16 cannot hold.
    """
    folder = paths.runs(config.name) / key
    _network(key, config)  # its file, if it is your own, must have been read before the model
    model = models.load(folder / KEPT[config.networks[key].keep], key=key)
    run, settings = training.Run(model, folder), files.read_json(folder / "settings.json")
    if not model.epochs_done:
        raise InputError(f"{folder} has not been trained for one epoch yet: run dwikit train {key} first.")
    if settings["data"] != training.fingerprint(store):
        raise InputError(f"{folder} was not trained on the slices of profile {config.name}: train it again.")
    training.draw_samples(model, store, folder, config.evaluation.samples)
    steps = run.steps(store)
    facts = {
        "epochs": model.epochs_done,
        "epochs_trained": run.epochs,
        "epochs_planned": config.networks[key].epochs,
        "steps": steps,
        "images": steps * model.config["batch_size"],
        "minutes": run.facts()["minutes"],
        "machine": doctor.machine(),
        "backend": keras.backend.backend(),
        "dwikit": dwikit.__version__,
        "versions": doctor.versions(),
        "labels": _labels(store),
    }
    arrays = {f"{i:04d}": array for i, array in enumerate(stored.halved(model, _carried(model)))}
    contents = {name: (folder / name).read_bytes() for name in COPIED}
    contents |= {"settings.json": json.dumps(settings, indent=1).encode(), "facts.json": json.dumps(facts, indent=1).encode()}
    contents |= {"weights.npz": _bytes(np.savez, **arrays), "samples.npy": _bytes(np.save, run.samples)}
    contents["slices.npy"] = _bytes(np.save, store.images[training.held_out(store, KNOWN_BY)])
    if hasattr(model, "reconstruct"):
        contents["reconstructions.npy"] = _bytes(np.save, run.reconstructions)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in contents.items():
            written.writestr(name, content)
    return _cut(archive.getvalue(), paths.home(out), key)


def unpack(key: str, source: str | Path, config: Profile, store: SliceStore) -> training.Run:
    """Put a network that was carried here into ``runs/<profile>``, as if it had been trained here.

    Its ``settings.json`` keeps what is known of the training as ``carried``. A folder in its place is renamed.

    Args:
        key: as in ``pack``.
        source: folder of its parts.
        config: the profile it was trained with.
        store: the same slices, made here.

    Raises:
        InputError: parts that are missing, damaged or from another version of the kit, or other slices.
    """
    network = _network(key, config)
    try:
        with zipfile.ZipFile(io.BytesIO(_joined(paths.home(source), key))) as archive:
            contents = {name: archive.read(name) for name in archive.namelist()}
        settings, facts = (json.loads(contents[name]) for name in ("settings.json", "facts.json"))
        images = {name: _array(contents[name]) for name in contents if name.endswith(".npy")}
        with np.load(io.BytesIO(contents["weights.npz"]), allow_pickle=False) as packed:
            arrays = [packed[name] for name in sorted(packed.files)]
        model = network(**settings["config"])
        model.compile()
        stored.fill(model, _carried(model), arrays)
    except (OSError, TypeError, ValueError, *files.DAMAGED) as error:
        raise InputError(
            f"{key} in {source} cannot be unpacked ({type(error).__name__}: {error}). Its parts are damaged or were packed by "
            "another version of the kit: carry them again."
        ) from error
    _require_same(store, images.pop("slices.npy"), key, facts)
    model.epochs_done = facts["epochs"]
    folder = paths.runs(config.name) / key

    def writer(partial: Path) -> None:
        for name in COPIED:
            files.write_text(partial / name, contents[name].decode())
        for name, array in images.items():
            files.write_array(partial / name, array)
        if "reconstructions.npy" in images:
            chosen = training.held_out(store, len(images["reconstructions.npy"]))
            files.write_array(partial / "originals.npy", store.images[chosen])
            drawn = json.loads(contents["samples.json"]) | {"slices": store.content}  # the same but for rounding
            files.write_json(partial / "samples.json", drawn)
        files.write_json(partial / "settings.json", settings | {"data": training.fingerprint(store), "carried": facts})
        models.save(model, partial / KEPT[config.networks[key].keep])

    if folder.exists():
        print(f"{folder} was there before; it is kept as {files.set_aside(folder).name}.")
    files.write_folder(folder, writer)
    return training.Run(model, folder)


def packed(source: str | Path) -> list[str]:
    """Keys of the networks whose parts a folder holds.

    Raises:
        InputError: it holds none.
    """
    if found := sorted({path.name.rpartition(".part-")[0] for path in paths.home(source).glob("*.part-*")}):
        return found
    raise InputError(f"{source} holds no packed networks; `dwikit pack` makes files such as vae.part-1-of-2.")


def _network(key: str, config: Profile) -> type[models.GenerativeModel]:
    """The class of a network of the profile."""
    return registry.network(key, choose(config.networks, key, "network").file)


def _carried(model: models.GenerativeModel) -> list:
    """Weights of a model except those of networks that only judge."""
    judges = [getattr(model, name) for name in model.judges if hasattr(model, name)]
    stays = {id(variable) for network in judges for variable in network.weights}
    return [variable for variable in model.weights if id(variable) not in stays]


def _bytes(save, *arguments, **arrays) -> bytes:
    """What ``save`` writes."""
    file = io.BytesIO()
    save(file, *arguments, **arrays)
    return file.getvalue()


def _array(content: bytes) -> np.ndarray:
    return np.load(io.BytesIO(content), allow_pickle=False)


def _cut(content: bytes, out: Path, key: str) -> list[Path]:
    for old in out.glob(f"{key}.part-*"):
        old.unlink()
    pieces = [content[start : start + PART] for start in range(0, len(content), PART)]
    cut = [out / f"{key}.part-{i}-of-{len(pieces)}" for i in range(1, len(pieces) + 1)]
    for path, piece in zip(cut, pieces):
        files.write(path, lambda file, piece=piece: file.write_bytes(piece))
    return cut


def _joined(source: Path, key: str) -> bytes:
    """The joined parts of one network."""
    names = {path.name for path in source.glob(f"{key}.part-*")}
    count = next(iter(names), "").rpartition("-")[2]
    wanted = [f"{key}.part-{i}-of-{count}" for i in range(1, int(count or 1) + 1)]
    if names != set(wanted):
        raise InputError(
            f"{source} must hold {', '.join(wanted)} of one packing, but holds {', '.join(sorted(names)) or 'none'}."
        )
    return b"".join((source / name).read_bytes() for name in wanted)


def _labels(store: SliceStore) -> str:
    """SHA-256 of whose the slices are, and of their splits: who is in one store only may not be among the slices carried."""
    return hashlib.sha256(store.table[["case", "subject", "level", "split"]].to_csv(index=False).encode()).hexdigest()


def _require_same(store: SliceStore, theirs: np.ndarray, key: str, facts: dict) -> None:
    ours = store.images[training.held_out(store, len(theirs))]
    same = ours.shape == theirs.shape and np.mean(np.abs(ours.astype(int) - theirs) > 1) <= OTHERS
    if same and facts.get("labels", _labels(store)) == _labels(store):  # parts of earlier versions do not say
        return
    raise InputError(
        f"{key} was not trained on the slices here. Make the same ones: the same people, profile, seed and version of the kit "
        f"(its own was {facts['dwikit']}, with {', '.join(f'{name} {number}' for name, number in facts['versions'].items())})."
    )
