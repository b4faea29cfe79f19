"""Every reader of files, with sound files to damage and what a right result must look like."""

import dataclasses
import json
import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import yaml
from PIL import Image

from dwikit import models, profiles, training
from dwikit.cohorts import bids, phantom, public
from dwikit.cohorts.dicom import pseudonym
from dwikit.cohorts.pacs import query, store
from dwikit.common import paths
from dwikit.common.errors import InputError
from dwikit.evaluation import samples
from dwikit.preprocess import derivative, register, trace
from dwikit.preprocess import run as preprocessing
from dwikit.profiles import sections
from dwikit.reader_study import Deck, build_deck, read_readings, score_readings
from dwikit.slices import SPLITS, SliceSettings, SliceStore, build, grid, read_derivatives, registered
from dwikit.slices.histogram import histogram, read_histogram, to_text
from dwikit.training.weights import pretrained
from tests.hardships.fuzz import Reader

RNG = np.random.default_rng(0)
SERIES = (1000 * np.exp(-np.array([0, 0.8, 0.9, 0.8])) * RNG.uniform(0.5, 1, (14, 12, 10, 1))).astype(np.int16)
AFFINE = np.array([[-3.0, 0, 0, 20], [0, 3, 0, -20], [0, 0, 4, -20], [0, 0, 0, 1]])
KEY = bytes(range(32))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


# ==== Scans ====


def _write_series(folder: Path, ending: str) -> None:
    _write(folder / "sub-a_dwi.bval", "0 1000 1005 995\n")
    image = nib.Nifti1Image(SERIES, AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(AFFINE, 1)
    nib.save(image, folder / f"sub-a_dwi{ending}")


def _read_series(folder: Path, ending: str) -> None:
    path = folder / f"sub-a_dwi{ending}"
    found = trace.read_trace(bids.Case("sub-a", None, "sub-a", path, folder / "sub-a_dwi.bval"))
    assert found.image.dtype == np.float32 and np.isfinite(found.image).all() and found.image.min() >= 0 < found.image.max()
    assert np.isfinite(found.affine).all() and 50 <= found.b_value <= 1700 and 1 <= found.n_directions
    bvals = np.array((folder / "sub-a_dwi.bval").read_text("utf-8-sig").replace(",", " ").split(), float)
    chosen = np.abs(bvals - found.b_value) <= 200
    assert abs(bvals[chosen & (bvals >= 50)].mean() - found.b_value) < 101
    try:
        with np.errstate(all="ignore"):
            values = nib.load(path).get_fdata().reshape((*found.image.shape, -1))
    except ValueError:  # a corrupt qform, which we can do without
        return
    if found.n_directions == chosen.sum() and (values[..., chosen] > 1e-30).all() and values.max() < 1e30:
        np.testing.assert_allclose(found.image, np.exp(np.log(values[..., chosen]).mean(-1)), rtol=1e-3)


def _series(ending: str, damaged: str, name: str, share: float) -> Reader:
    return Reader(name, lambda f: _write_series(f, ending), (damaged,), lambda f: _read_series(f, ending), share)


def _write_people(folder: Path) -> None:
    _write(
        folder / "participants.tsv",
        "participant_id\tage\tsex\n" + "".join(f"sub-{x}\t{30 + i}\tF\n" for i, x in enumerate("abc")),
    )
    for label in "abc":
        _write(folder / f"sub-{label}/dwi/sub-{label}_dwi.nii.gz", "")


def _read_people(folder: Path) -> None:
    cases = bids.find_cases(folder)
    assert [case.subject for case in cases] == ["sub-a", "sub-b", "sub-c"]
    assert all(math.isnan(case.age) or 0 <= case.age <= 130 for case in cases)
    assert all(case.sex in ("F", "M", None) for case in cases)


def _read_description(folder: Path) -> None:
    made = bids.generated_by(folder)
    assert isinstance(made, dict)
    parameters = phantom.cohort._parameters(folder)
    if (folder / DATASET).read_bytes() == DESCRIPTION.encode():
        assert made["Name"] == "dwikit" and parameters == {"seed": 1}


DATASET = "dataset_description.json"
DESCRIPTION = json.dumps({"Name": "x", "GeneratedBy": [{"Name": "dwikit", "Parameters": {"seed": 1}}]})


# ==== Registered volumes ====

SETTINGS = derivative.Settings(1000.0, 600.0, "nearest", 16, 300.0)
CASE = bids.Case("sub-a", None, "sub-a", Path("sub-a/dwi/sub-a_dwi.nii.gz"), age=40.0, sex="F")
REGISTERED = "sub-a/dwi/sub-a_space-MNI152_dwi"


def _write_registered(folder: Path) -> None:
    image = np.linspace(0, 100, 16 * 16 * grid.N_SLICES, dtype=np.float32).reshape(16, 16, -1)
    sidecar = {"Case": "sub-a", "Subject": "sub-a", "Session": None, "Age": 40.0, "Sex": "F", "Flags": [], "BValue": 1000.0}
    sidecar |= {"NumberOfDirections": 3, "BValuesInFile": [0, 1000], "Affine": np.eye(4).tolist(), "Input": "0"}
    sidecar |= {"Simulated": False, "Voxels": "0"}
    sidecar |= {"Quality": dict.fromkeys(registered.Quality._fields, 0.5), "Settings": derivative.method_settings(SETTINGS)}
    derivative.write(CASE, folder, SETTINGS, register.Registered(image, np.eye(4)), sidecar)


def _read_registered(folder: Path) -> None:
    sidecar = registered.read_sidecar(folder / f"{REGISTERED}.json")
    if sidecar:
        row = preprocessing._row(CASE, sidecar, ())
        assert row["status"] == "done" and set(preprocessing.COLUMNS) == set(row)
    for volume in read_derivatives(folder):
        assert volume.image.shape == (grid.N_LEVELS, 16, 16) and np.isfinite(volume.image).all()
        assert isinstance(volume.case, str) and volume.sex in ("F", "M", None)
        assert volume.age is None or math.isfinite(volume.age)


def _read_counts(folder: Path) -> None:
    assert all(isinstance(n, int) and n >= 0 for n in read_histogram(folder / "h.tsv").values())


# ==== Slices ====


def _write_store(folder: Path) -> None:
    people = [(f"sub-{i}", 20.0 + i if i else None, "FM"[i % 2] if i else None) for i in range(4)]
    image = np.linspace(0, 1, grid.N_LEVELS * 16 * 16, dtype=np.float32).reshape(-1, 16, 16)
    build(
        [grid.Volume(name, name, age, sex, "test", image * (1 + i / 10)) for i, (name, age, sex) in enumerate(people)],
        folder / "store",
        SliceSettings(image_size=16),
    )


def _read_store(folder: Path) -> None:
    store = SliceStore.open(folder / "store")
    assert store.images.dtype == np.uint8 and store.images.shape == (len(store.table), store.image_size, store.image_size)
    assert set(store.table["split"]) <= set(SPLITS) and store.table["level"].between(0, grid.N_LEVELS - 1).all()
    assert store.images.sum() >= 0 and training.fingerprint(store)
    split = store.table["split"].iloc[0]
    assert len(store.split(split)) and 0 <= store.batches(split, 1)[0].min() <= 1


# ==== Images of other models ====


def _write_samples(folder: Path) -> None:
    images = (np.linspace(0, 255, 5 * 12 * 12).reshape(5, 12, 12)).astype(np.uint8)
    np.save(folder / "a.npy", images)
    np.savez(folder / "a.npz", samples=images, other=images[:1])
    nib.save(nib.Nifti1Image(images, AFFINE), folder / "a.nii")
    Image.fromarray(images[3]).save(folder / "a.png")


def _read_samples(name: str):
    def read(folder: Path) -> None:
        images = samples.read(folder / name) if not name.endswith("png") else samples._png(folder / name)[None]
        assert images.dtype == np.uint8 and images.ndim == 3 and images.size and int(images.sum()) >= 0

    return read


# ==== The reader study ====


def _write_deck(folder: Path) -> None:
    images = RNG.integers(0, 256, (12, 8, 8), np.uint8)
    deck = build_deck(images, {"vae": images[::-1], "style_gan": images[:, ::-1]}, folder / "deck", n=4, practice=2, seed=1)
    rows = [
        f"{deck.id},Ann,{image},{'real' if i % 3 else 'fake'},{i % 5 + 1},{i}.5" for i, image in enumerate(deck.key["image"])
    ]
    _write(folder / "readings.csv", "\n".join(["deck,reader,image,answer,confidence,seconds", *rows]) + "\n")


def _read_deck(folder: Path) -> None:
    deck = Deck.open(folder / "deck")
    assert deck.images.shape[0] == len(deck.key) == 12 and deck.images.dtype == np.uint8


def _read_readings(folder: Path) -> None:
    deck = Deck.open(folder / "deck")
    found = read_readings(folder / "readings.csv", deck.key, deck.id)
    assert set(found["answer"]) <= {"real", "fake"} and set(found["image"]) <= set(deck.key["image"])
    assert found["confidence"].dropna().isin(range(1, 6)).all() and not found.duplicated(["reader", "image"]).any()
    assert found["seconds"].dropna().between(0, 1e300).all()
    scores = score_readings(found, deck.key)
    assert scores.called_real["n"].sum() == len(found) and scores.called_real["share"].between(0, 1).all()


# ==== Settings ====


def _write_profile(folder: Path) -> None:
    values = yaml.safe_load((profiles.FOLDER / "smoke.yaml").read_text(encoding="utf-8"))
    _write(
        folder / "own.yaml",
        yaml.safe_dump({"extends": "base.yaml", "vae": {"preset": "released", "epochs": 3, "model": {"slope": 0.1}}}),
    )
    _write(folder / "base.yaml", yaml.safe_dump(values))


def _read_profile(folder: Path) -> None:
    profile = profiles.resolve(str(folder / "own.yaml"))
    assert profile.name == "own" and isinstance(profile.image_size, int)
    for section in profile.networks.values():
        assert isinstance(section.epochs, int) and section.epochs >= 1 and isinstance(section.model, dict)
    assert sections.build(profiles.Profile, dataclasses.asdict(profile), "again") == profile or "nan" in repr(profile)


def _write_recipe(folder: Path) -> None:
    _write(folder / "own.yaml", (paths.project() / "data/cohorts/ixi.yaml").read_text(encoding="utf-8"))


def _read_recipe(folder: Path) -> None:
    recipe = public.load(folder / "own.yaml")
    assert recipe.kind in public.KINDS and isinstance(recipe.url + recipe.title, str) and isinstance(recipe.files, dict)


def _write_archive_lists(folder: Path) -> None:
    rows = [{name: "1.2.840.1" for name in query.WANTED} | {"images": str(i)} for i in range(3)]
    query.write_wanted(pd.DataFrame(rows), folder / "wanted.tsv")
    ledger = store.Ledger(folder)
    for i in range(3):
        ledger.add(f"1.2.{i}", "done", 4, 4)
    _write(folder / "key", KEY.hex() + "\n")


def _read_wanted(folder: Path) -> None:
    wanted = query.read_wanted(folder / "wanted.tsv")
    assert wanted["images"].dtype.kind == "i" and wanted["series"].str.fullmatch(r"[\d.]+").all()


def _read_ledger(folder: Path) -> None:
    latest = store.Ledger(folder).latest()
    assert not latest["series"].duplicated().any()


def _read_key(folder: Path) -> None:
    assert len(pseudonym.read_key(folder / "key", folder / "data")) == 32


# ==== Weights ====


def _small() -> models.GenerativeModel:
    return models.VAE.from_preset(image_size=32, channels=(8, 16), latent_size=4, seed=2)


class Weights:
    """Weights published in a folder of their own, and a model to put them into."""

    facts = {"data": "d", "steps": 3, "images": 9, "machine": "m", "command": "c", "samples": 8, "metrics": {}}

    def __init__(self):
        self.model = None

    def write(self, folder: Path) -> None:
        self.model = self.model or _small()
        log = pd.DataFrame({"seconds": [1.0]}, index=pd.Index([1], name="epoch"))
        self._at(folder, lambda: pretrained.publish(self.model, log, self.facts))

    def read(self, folder: Path) -> None:
        """A file that is refused leaves the model as it was."""
        model = self.model
        before = [np.array(w) for w in model.get_weights()]
        try:
            self._at(folder, lambda: pretrained.load_into(model))
        except InputError:
            assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights()))
            raise
        assert all(np.isfinite(w).all() for w in model.get_weights())

    def read_card(self, folder: Path) -> None:
        model = self._at(folder, lambda: pretrained.load("vae", 32))
        assert [w.shape for w in model.weights] == [w.shape for w in self.model.weights]

    @staticmethod
    def _at(folder: Path, action):
        usual, pretrained.folder = pretrained.folder, lambda: folder
        try:
            return action()
        finally:
            pretrained.folder = usual


def _read_model(folder: Path) -> None:
    assert models.load(folder / "model.keras").sample(1).shape == (1, 32, 32, 1)


def _write_log(folder: Path) -> None:
    rows = [f"{i + 1},{0.1 * i:.3f},{1 / (i + 1)},0.5,0.25" for i in range(12)]
    _write(folder / "log.csv", "\n".join(["epoch,seconds,loss,variety,distance", *rows]) + "\n")


def _read_log(folder: Path) -> None:
    log = training.read_log(folder)
    assert log["epoch"].tolist() == list(range(1, len(log) + 1)) and log["distance"].dtype.kind in "fi"


WEIGHTS, CARD = Weights(), Weights()
NII = "A series, .nii"
READERS = [
    _series(".nii", "sub-a_dwi.nii", NII, 3),
    _series(".nii.gz", "sub-a_dwi.nii.gz", "A series, .nii.gz", 3),
    _series(".nii", "sub-a_dwi.bval", "b-values (.bval)", 2),
    Reader("participants.tsv", _write_people, ("participants.tsv",), _read_people, 2),
    Reader(DATASET, lambda f: _write(f / DATASET, DESCRIPTION), (DATASET,), _read_description, 0.5),
    Reader("A registered volume", _write_registered, (f"{REGISTERED}.nii.gz",), _read_registered, 1),
    Reader("Its sidecar", _write_registered, (f"{REGISTERED}.json",), _read_registered, 1.5),
    Reader("Its histogram", lambda f: _write(f / "h.tsv", to_text(histogram(np.arange(50.0)))), ("h.tsv",), _read_counts, 0.5),
    Reader("A store of slices", _write_store, ("store/images.npy", "store/table.tsv", "store/settings.json"), _read_store, 2),
    Reader("Samples, .npy", _write_samples, ("a.npy",), _read_samples("a.npy"), 0.7),
    Reader("Samples, .npz", _write_samples, ("a.npz",), _read_samples("a.npz"), 0.7),
    Reader("Samples, .nii", _write_samples, ("a.nii",), _read_samples("a.nii"), 0.7),
    Reader("Samples, .png", _write_samples, ("a.png",), _read_samples("a.png"), 0.7),
    Reader("Readings (CSV)", _write_deck, ("readings.csv",), _read_readings, 2.5),
    Reader("Page and key of a deck", _write_deck, ("deck/key.json", "deck/reader-study.html"), _read_deck, 1),
    Reader("A profile (YAML)", _write_profile, ("own.yaml", "base.yaml"), _read_profile, 2),
    Reader("A cohort's recipe (YAML)", _write_recipe, ("own.yaml",), _read_recipe, 0.7),
    Reader("Wanted list of an archive", _write_archive_lists, ("wanted.tsv",), _read_wanted, 0.7),
    Reader("Ledger of an archive", _write_archive_lists, (store.LEDGER,), _read_ledger, 0.5),
    Reader("Key of the pseudonyms", _write_archive_lists, ("key",), _read_key, 0.3),
    Reader("Weights (.npz)", WEIGHTS.write, ("vae-32.npz",), WEIGHTS.read, 2),
    Reader("Their card (.json)", CARD.write, ("vae-32.json",), CARD.read_card, 1),
    Reader("A training's log (CSV)", _write_log, ("log.csv",), _read_log, 0.7),
    Reader("A model (.keras)", lambda f: models.save(_small(), f / "model.keras"), ("model.keras",), _read_model, 0.2),
]  # fmt: skip
"""All of them; ``share`` times the number of files for one."""


def numbers(total: int) -> dict[str, int]:
    """How many mutated files each reader gets of a total, at least one."""
    shares = sum(reader.share for reader in READERS)
    return {reader.name: max(1, math.ceil(total * reader.share / shares)) for reader in READERS}
