"""Every stage that writes, on a disk with too little room for what it writes."""

import contextlib
import hashlib
import os
import re
import resource
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
import pandas as pd

from dwikit import cli, models, profiles, report, slices, training
from dwikit.cohorts import phantom
from dwikit.common import files, paths
from dwikit.common.errors import InputError
from dwikit.preprocess import preprocess
from dwikit.reader_study import build_deck
from dwikit.training.weights import pretrained

REASON = re.compile("No space left on device|File too large")
REMEDY = re.compile("free some space", re.IGNORECASE)
MEGABYTES = 64


class Disk:
    """A disk whose free space can be set: a small tmpfs of its own, or, where none can be mounted, a limit on file sizes."""

    def __init__(self, folder: Path):
        self.folder, self.filler = folder, folder / "filler"
        folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)]
        self.known: dict[tuple[str, bool], tuple[dict, int]] = {}
        self.mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0

    def fresh(self) -> Path:
        """An empty folder on it, always the same."""
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        (self.folder / "out").mkdir()
        return self.folder / "out"

    def ends(self, stage: "Stage", with_older: bool) -> tuple[dict[str, object], int]:
        """What a stage makes where there is room enough, and its bytes."""
        if (stage.name, with_older) not in self.known:
            out = self.fresh()
            if with_older:
                stage.older(out)
            stage.run(out)
            size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
            self.known[stage.name, with_older] = state(out), size
        return self.known[stage.name, with_older]

    def close(self) -> None:
        """Take it away."""
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)

    @contextlib.contextmanager
    def room(self, room: int):
        """Inside, only so many bytes are free."""
        if not self.mounted:
            before = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
            try:
                yield
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)
            return
        state = os.statvfs(self.folder)
        with open(self.filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, state.f_bavail * state.f_frsize - room))
        try:
            yield
        finally:
            self.filler.unlink()


@dataclass(frozen=True)
class Stage:
    """A stage that writes.

    Attributes:
        name: what it is.
        run: writes into a folder, what the command line or a notebook would.
        older: writes an older result there, which a full disk must not harm; None where the stage never replaces anything.
        grows: whether files grow step by step, so that a state between the older and the last is right as well.
    """

    name: str
    run: Callable[[Path], object]
    older: Callable[[Path], object] | None = None
    grows: bool = False


def state(folder: Path) -> dict[str, object]:
    """What stands in a folder, file by file; times, which differ from run to run, left out."""
    return {str(path.relative_to(folder)): _content(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def _content(path: Path) -> object:
    if path.suffix == ".keras" and not path.name.startswith("."):
        model = models.load(path)
        return model.epochs_done, hashlib.sha256(b"".join(np.array(w).tobytes() for w in model.get_weights())).hexdigest()
    if path.suffix == ".onnx" and not path.name.startswith("."):  # two exports differ in names, not in what they compute
        import onnxruntime

        session = onnxruntime.InferenceSession(path)
        latents = {entry.name: np.ones((1, *entry.shape[1:]), np.float32) for entry in session.get_inputs()}
        return session.run(None, latents)[0].tobytes()
    if path.name == "log.csv":
        return training.read_log(path.parent).drop(columns="seconds").to_csv()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def trial(stage: Stage, disk: Disk, share: float, with_older: bool) -> str:
    """Run a stage with room for a share of what it writes; "refused" in words, or "read" where the room sufficed.

    Raises:
        AssertionError: anything else, or what was there is harmed, or what remains is not whole, or it does not go on.
    """
    last, size = disk.ends(stage, with_older)
    out = disk.fresh()
    if with_older:
        stage.older(out)
    older = state(out)
    with disk.room(int(share * size)):
        try:
            stage.run(out)
            outcome = "read"
        except InputError as error:
            assert REASON.search(str(error)) and REMEDY.search(str(error)) and str(out) in str(error), str(error)
            outcome = "refused"
        there = state(out)
    assert older.keys() <= there.keys(), f"{older.keys() - there.keys()} of the older result is gone"
    for name, content in there.items():
        assert name in last, f"{name} was left behind"
        assert stage.grows or content in (older.get(name), last[name]), f"{name} is neither the older one nor the new one"
    stage.run(out)
    assert state(out) == last, "run again with room, it does not end as it should"
    return outcome


def run(stage: Stage, disk: Disk, shares: list[float]) -> Counter:
    """All trials of a stage: with and without an older result."""
    olds = (False, True) if stage.older else (False,)
    return Counter(trial(stage, disk, share, with_older) for with_older in olds for share in shares)


# ==== The stages ====


def stages(folder: Path) -> list[Stage]:
    """The kit's stages on small data, which are made in a folder with room."""
    volumes = list(phantom.simulate_volumes(4, seed=3))
    store = slices.build(volumes, folder / "slices", slices.SliceSettings(image_size=32))
    bids = small_cohort(folder / "bids", 2)
    shown = store.images[26:76]  # of people whose slices are not over-exposed
    deck = build_deck(shown[:9], {"vae": shown[9:18]}, folder / "deck", n=6, practice=2, seed=1)
    rows = [f"{deck.id},Ann,{image},{'real' if i % 3 else 'fake'},," for i, image in enumerate(deck.key["image"])]
    (folder / "readings.csv").write_text("\n".join(["deck,reader,image,answer,confidence,seconds", *rows]) + "\n")
    model = models.VAE.from_preset(image_size=32, channels=(8, 16), latent_size=4, seed=2)
    models.save(model, folder / "model.keras")
    (folder / "log").write_text("epoch\n1\n")
    source = report.provenance(profiles.resolve("smoke"), "make hardships")

    def train(out: Path, epochs: int) -> None:
        section = {"epochs": epochs, "steps_per_epoch": 3, "model": {"channels": [8, 16]}}
        training.train("vae", profiles.resolve("smoke", vae=section, evaluation={"samples": 64}), store, out / "vae")

    def table(out: Path, rows: int) -> None:
        with _figures(out):
            report.save_table(pd.DataFrame({"a": np.arange(rows)}).rename_axis("row"), "table", source)

    def figure(out: Path, points: int) -> None:
        drawn, axes = plt.subplots()
        axes.plot(np.arange(points) % 7)
        with _figures(out):
            report.save_figure(drawn, "figure", source)
        plt.close(drawn)

    def publish(out: Path, epochs: int) -> None:
        usual, pretrained.folder = pretrained.folder, lambda: out
        model.epochs_done = epochs
        facts = {
            "data": "d",
            "steps": 3,
            "images": 9,
            "machine": "m",
            "command": "c",
            "samples": 8,
            "metrics": {},
        }
        try:
            pretrained.publish(model, pd.DataFrame({"seconds": [1.0]}, index=pd.Index([1], name="epoch")), facts)
        finally:
            pretrained.folder = usual

    def readings(out: Path) -> None:
        arguments = ["readings", str(folder / "deck"), str(folder / "readings.csv"), "-o", str(out / "readings.md")]
        options = cli.parser().parse_args(arguments)
        options.action(options)

    def samples(out: Path, n: int) -> None:
        training.draw_samples(model, store, out, n)

    def build(out: Path, percentile: float) -> None:
        slices.build(volumes, out / "slices", slices.SliceSettings(image_size=32, percentile=percentile))

    def register(out: Path, interpolator: str) -> None:
        preprocess(bids, out, workers=1, settings=slices.SliceSettings(interpolator=interpolator), grid_size=32, progress=False)

    found = [
        Stage("Simulated cohort", lambda out: phantom.write_cohort(out / "bids", 2, workers=1, progress=False)),
        Stage("Preprocessing", lambda out: register(out, "linear"), lambda out: register(out, "nearest")),
        Stage("Slices", lambda out: build(out, 99), lambda out: build(out, 95)),
        Stage("Training", lambda out: train(out, 3), lambda out: train(out, 1), grows=True),
        Stage("Samples", lambda out: samples(out, 64), lambda out: samples(out, 32)),
        Stage("Tables", lambda out: table(out, 900), lambda out: table(out, 90)),
        Stage("Figures", lambda out: figure(out, 900), lambda out: figure(out, 90)),
        Stage("Deck", lambda out: build_deck(shown, {"vae": shown[:, :, ::-1]}, out / "deck", n=30, seed=1)),
        Stage("Readings", readings, lambda out: files.write_text(out / "readings.md", "older")),
        Stage("Weights", lambda out: publish(out, 3), lambda out: publish(out, 2)),
    ]
    with contextlib.suppress(ImportError):
        import tf2onnx  # noqa: F401

        from dwikit.training.weights import export

        found.append(Stage("Export", lambda out: export.to_onnx(model, out / "vae.onnx")))
    return found


def small_cohort(folder: Path, n: int) -> Path:
    """Simulated cases with a quarter of the voxels: one volume each, without a table, quick to register."""
    source = phantom.write_cohort(folder.with_name("whole"), min(n, 3), seed=5, workers=1, distortion=False, progress=False)
    images = [nib.load(path) for path in sorted(source.glob("sub-*/dwi/*_dwi.nii.gz"))]
    for number in range(n):  # the same heads again, brighter and elsewhere in the scanner
        image = images[number % 3 % len(images)]
        data, affine = np.asarray(image.dataobj[..., 1], np.float32) * (1 + number / 50), image.affine.copy()
        step = max(1, data.shape[0] // 96)
        affine[:3, 3] += number
        affine[:3, :2] *= step
        path = folder / f"sub-{number:02d}/dwi/sub-{number:02d}_trace.nii.gz"
        path.parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(data[::step, ::step], affine), path)
    return folder


@contextlib.contextmanager
def _figures(folder: Path):
    usual, paths.figures = paths.figures, lambda: folder
    try:
        yield
    finally:
        paths.figures = usual
