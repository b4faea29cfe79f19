"""Training that can be stopped at any moment: one epoch is the unit that is kept.

``train`` goes from a profile to a trained model in a folder that a person can open:

    settings.json   everything that decides the result; another value starts anew
    model.keras     the model after the last complete epoch, with optimizers, random state and epochs done
    best.keras      the model after the epoch whose samples lay nearest to the data (column distance of the log)
    log.csv         one row an epoch: terms of the loss, and how the watched samples stand to the data
    grid/           images of the same latents after six of the epochs, (12, H, W) uint8 each
    samples.npy     (n, H, W) uint8; for the VAEs also reconstructions.npy and originals.npy
"""

import contextlib
import dataclasses
import hashlib
import importlib.util
import json
import math
import shutil
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from tqdm import tqdm

from dwikit import files, health, lock, metrics, models, paths
from dwikit.errors import InputError
from dwikit.models import distribution, gradients
from dwikit.profiles import Profile, Training
from dwikit.slices import SliceStore

GRID_LATENTS = 12
GRID_ROWS = 6
WATCHED = 64
"""Samples drawn after each epoch to watch variety and distance."""
SAMPLE_SEED = 1_000
"""Samples are drawn with this seed, apart from those of training."""


@dataclasses.dataclass
class Run:
    """A trained model and the folder of what belongs to it; ``card`` where the weights came with the kit."""

    model: models.GenerativeModel
    folder: Path
    card: dict | None = None

    @property
    def title(self) -> str:
        """The model's label, with what one must know of it: other than ImageNet's features, other than one's own weights."""
        notes = []
        if "features" in self.model.config:
            notes.append("VGG16 features" if self.model.config["features"] == "imagenet" else "pretext features")
        if self.card:
            notes.append("the kit's weights")
        return f"{self.model.label} ({', '.join(notes)})" if notes else self.model.label

    def facts(self) -> dict:
        """What a provenance file says of this run."""
        if self.card:
            return self.card
        log = self.log
        settings = files.read_json(self.folder / "settings.json")
        return {**settings, "epochs": self.model.epochs_done, "minutes": round(float(log["seconds"].sum()) / 60, 2)}

    def steps(self, store: SliceStore) -> int:
        """Steps taken so far, on these slices."""
        per_epoch = files.read_json(self.folder / "settings.json")["steps_per_epoch"]
        return self.model.epochs_done * (per_epoch or len(store.batches("train", self.model.config["batch_size"])))

    @property
    def log(self) -> pd.DataFrame:
        """One row an epoch: seconds, and the average of every term of the loss."""
        return read_log(self.folder).set_index("epoch")

    @property
    def samples(self) -> np.ndarray:
        """(n, H, W) uint8 images of latents from the prior."""
        return self._images("samples.npy")

    @property
    def originals(self) -> np.ndarray:
        """(n, H, W) uint8 held-out slices (the VAEs only)."""
        return self._images("originals.npy")

    @property
    def reconstructions(self) -> np.ndarray:
        """(n, H, W) uint8 reconstructions of ``originals``."""
        return self._images("reconstructions.npy")

    def _images(self, name: str) -> np.ndarray:
        path = self.folder / name
        try:
            return np.array(files.read_array(path))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read ({error}). Delete samples.json beside it, then train again.") from error


# ==== From a profile to a trained model ====


def train(
    key: str,
    profile: Profile,
    store: SliceStore,
    folder: str | Path | None = None,
    seed: int | None = None,
    minutes: float | None = None,
    devices: int = 1,
) -> Run:
    """Train one network as a profile says, or continue where an earlier run stopped, then draw its samples.

    A folder made with other settings (data, preset, seed, ...) or trained for more epochs than now asked for is set aside
    under another name: nothing computed is lost.

    Args:
        key: ``"vae"``, ``"dfc_vae"``, ``"intro_vae"`` or ``"style_gan"``.
        profile: from ``profiles.resolve``.
        store: slices; the training split is learned from, the test split is reconstructed.
        folder: of the results; by default ``runs/<profile>/<key>``.
        seed: replaces the profile's.
        minutes: stop before the epoch that would end later than this, without samples; the same call goes on from there.
        devices: GPUs (or else CPUs) of this machine that share each batch; the result is that of one within rounding, and an
            earlier run goes on with any number. With more than one, a step is not compiled with XLA and called one at a time.

    Raises:
        InputError: an unknown key, an unknown setting, a batch larger than the training split or one that cannot be shared by
            so many devices, or another process that trains in the same folder.
    """
    if key not in models.BY_KEY:
        raise InputError(f"There is no network {key!r}. Known: {', '.join(models.BY_KEY)}.")
    seed = getattr(profile, key).seed if seed is None else seed
    folder = Path(folder or paths.runs(profile.name) / key)
    with lock.alone(folder.with_name(f".{folder.name}.lock"), f"trains in {folder}"):
        return _train_alone(key, profile, store, folder, seed, minutes, devices)


def _train_alone(
    key: str, profile: Profile, store: SliceStore, folder: Path, seed: int, minutes: float | None, devices: int
) -> Run:
    """`train`, where no other process writes to the folder."""
    section: Training = getattr(profile, key)
    overrides = dict(section.model) | ({"batch_size": section.batch_size} if section.batch_size else {})
    with _precision(section.mixed_precision), distribution.scope(devices):
        model = models.BY_KEY[key].from_preset(section.preset, image_size=store.image_size, seed=seed, **overrides)
        if devices > 1:
            model.check_devices(devices)
        settings = _settings(model, section, store)
        model = _resume(folder, settings, section.epochs, model)
    if devices == 1:
        model.jit_compile, model.steps_per_execution = section.jit_compile, section.steps_per_execution
    else:
        model.jit_compile, model.steps_per_execution = False, 1
    files.write_json(folder / "settings.json", settings)
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
    )
    if model.epochs_done == section.epochs:
        draw_samples(model, store, folder, profile.evaluation.samples)
    return Run(model, folder)


@contextlib.contextmanager
def _precision(mixed: bool):
    """Inside, networks are built to compute in bfloat16 and keep their weights in float32, if ``mixed``."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if mixed else before)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _settings(model: models.GenerativeModel, section: Training, store: SliceStore) -> dict:
    """Everything that decides the result of a training but its length."""
    config = model.get_config()
    if "features" in config:
        config["features"] = Path(config["features"]).name  # where the network lies decides nothing
    settings = {
        "model": model.key,
        "config": config,
        "steps_per_epoch": section.steps_per_epoch,
        "flip": section.flip,
        "mixed_precision": section.mixed_precision,
        "data": fingerprint(store),
    }
    return json.loads(json.dumps(settings))


def read_log(folder: Path) -> pd.DataFrame:
    """The log of a training: epoch, seconds, every term of the loss, variety and distance, one row an epoch.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = folder / "log.csv"
    try:
        log = pd.read_csv(path)
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(f"{path} cannot be read ({error}). It is written anew when the network is trained again.") from error
    missing = {"epoch", "seconds", "variety", "distance"} - set(log)
    if missing or list(log["epoch"]) != list(range(1, len(log) + 1)) or not all(kind.kind in "fi" for kind in log.dtypes):
        raise InputError(f"{path} is damaged: it is no table of numbers, one row an epoch. Train the network again.")
    return log


def fingerprint(store: SliceStore) -> str:
    """Sixteen hexadecimal digits that differ between stores of other cases or settings."""
    facts = json.dumps(store.settings, sort_keys=True) + store.table.to_csv(index=False)
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def _resume(folder: Path, settings: dict, epochs: int, fresh: models.GenerativeModel) -> models.GenerativeModel:
    """The model in a folder if it is the beginning of this training, else the fresh one; what is in its way is set aside."""
    if not (folder / "model.keras").is_file():
        return fresh
    try:
        if files.read_json(folder / "settings.json") == settings:
            model = models.load(folder / "model.keras")
            if model.epochs_done and len(read_log(folder)) < model.epochs_done:
                raise InputError(f"{folder / 'log.csv'} ends before the model does.")
            if model.epochs_done <= epochs:
                if "features" in fresh.config:
                    model.config["features"] = fresh.config["features"]  # it may have moved
                return model
    except InputError as error:
        tqdm.write(str(error))
    tqdm.write(f"{folder.name} was made with other settings or for more epochs; it is kept as {set_aside(folder).name}.")
    return fresh


def set_aside(folder: Path) -> Path:
    """Give a folder another name, ``<name>.before-1`` or the next that is free, and return it: nothing computed is lost."""
    aside = next(path for i in range(1, 10**6) if not (path := folder.with_name(f"{folder.name}.before-{i}")).exists())
    return folder.rename(aside)


# ==== One training ====


def fit(
    model: models.GenerativeModel,
    store: SliceStore,
    folder: str | Path,
    epochs: int,
    steps_per_epoch: int | None = None,
    flip: bool = False,
    seed: int = 0,
    health_checks: bool = True,
    tensorboard: bool = False,
    deterministic: bool = True,
    minutes: float | None = None,
) -> pd.DataFrame:
    """Train until ``model.epochs_done == epochs``, writing the model, the log and a row of the grid after each epoch.

    Bit for bit repeatable on the CPU (unless ``deterministic`` is off): killed at any moment and started again, it ends with
    the same weights.

    Args:
        model: fresh, or loaded from ``folder / "model.keras"``.
        store: slices; the training split is used.
        folder: of the results.
        epochs: in all, those done before included.
        steps_per_epoch: batches an epoch; None means one pass over the training split.
        flip: mirror a random half of the slices.
        seed: of the order of the slices.
        health_checks: stop when the training is no longer worth its minutes (``dwikit.health``).
        tensorboard: also write logs for TensorBoard to ``folder / "tensorboard"``.
        deterministic: ask the backend for results that repeat bit for bit; TensorFlow then compiles no step with XLA, in
            the whole process.
        minutes: stop before the epoch that would end later than this; None: never.

    Returns:
        The log, one row an epoch.

    Raises:
        TrainingStopped: a health check failed; the message names what to change.
        InputError: a batch larger than the training split, or the folder cannot be written.
        KeyboardInterrupt: Ctrl-C, after a line that says how to go on.
    """
    folder = Path(folder)
    if deterministic:
        gradients.make_deterministic()
    batches = store.batches("train", model.config["batch_size"], seed, flip, steps_per_epoch)
    batches = distribution.deal(batches, distribution.devices_of(model))
    keeper = Keeper(model, batches, store, folder, epochs, health_checks, minutes)
    if not (folder / "model.keras").is_file():
        models.save(model, folder / "model.keras")
    try:
        if model.epochs_done < epochs:
            callbacks = [keeper, ProgressBar(model, epochs, len(batches))]
            if tensorboard:
                if importlib.util.find_spec("tensorboard") is None:
                    raise InputError("tensorboard: true needs the package tensorboard: pip install 'dwikit[logs]'.")
                callbacks.append(keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False))
            model.fit(batches, initial_epoch=model.epochs_done, epochs=epochs, verbose=0, callbacks=callbacks)
    except KeyboardInterrupt:
        tqdm.write(
            f"Stopped in epoch {len(keeper.rows) + 1} of {epochs}. {folder / 'model.keras'} holds the model after "
            f"{len(keeper.rows)} complete epochs; run the same again to go on from there."
        )
        raise
    return pd.DataFrame(keeper.rows).set_index("epoch")


class Keeper(keras.callbacks.Callback):
    """After each epoch: a look at the samples, a row of the log, the model, and now and then images of the same latents."""

    def __init__(
        self,
        model: models.GenerativeModel,
        batches,
        store: SliceStore,
        folder: Path,
        epochs: int,
        checks: bool,
        minutes: float | None,
    ):
        super().__init__()
        self.batches, self.folder, self.checks, self.rows = batches, folder, checks, []
        self.deadline = time.perf_counter() + 60 * minutes if minutes else math.inf
        self.grid_epochs = {math.ceil(epochs * (i + 1) / GRID_ROWS) for i in range(GRID_ROWS)}
        originals = store.split("train")
        self.space, self.diversity = metrics.PixelSpace(originals), metrics.intra_sample_diversity(originals)
        if model.epochs_done:
            self.rows = read_log(folder).head(model.epochs_done).to_dict("records")

    def on_epoch_begin(self, epoch: int, logs=None) -> None:
        """Start the clock, and tell the batches which epoch it is (Keras ends an epoch more than it begins)."""
        self.batches.epoch = epoch
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        """Write what this epoch brought; the model last, since it says how many epochs count."""
        seconds = round(time.perf_counter() - self.start, 3)
        row = {"epoch": epoch + 1, "seconds": seconds, **{name: float(value) for name, value in (logs or {}).items()}}
        images = self.model.sample(WATCHED, seed=SAMPLE_SEED)
        self.rows.append(row | self._watch(images))
        files.write_text(self.folder / "log.csv", pd.DataFrame(self.rows).to_csv(index=False))
        if self.checks:
            health.check(self.model, self.rows)
        if epoch + 1 in self.grid_epochs:
            files.write_array(self.folder / "grid" / f"epoch-{epoch + 1:05d}.npy", quantize(images[:GRID_LATENTS]))
        self.model.epochs_done = epoch + 1
        last, best = self.folder / "model.keras", self.folder / "best.keras"
        if self.rows[-1]["distance"] <= min(row["distance"] for row in self.rows):
            models.save(self.model, best)
            files.write(last, lambda path: shutil.copyfile(best, path))
        else:
            models.save(self.model, last)
        now = time.perf_counter()
        self.model.stop_training = now + (now - self.start) > self.deadline

    def _watch(self, images: np.ndarray) -> dict[str, float]:
        """Variety and distance to the data of samples; NaN where the samples are."""
        if not np.isfinite(images).all():
            return {"variety": math.nan, "distance": math.nan}
        images = quantize(images)
        return {
            "variety": metrics.intra_sample_diversity(images) / self.diversity,
            "distance": self.space.distance(images),
        }


class ProgressBar(keras.callbacks.Callback):
    """One bar over all steps, with the terms of the loss and the time left."""

    def __init__(self, model: models.GenerativeModel, epochs: int, steps: int):
        super().__init__()
        self.bar = tqdm(
            total=epochs * steps, initial=model.epochs_done * steps, desc=model.label, unit="step", leave=False, mininterval=1
        )

    def on_train_batch_end(self, batch: int, logs=None) -> None:
        """Move on to the steps done."""
        steps = self.params["steps"] * self.model.epochs_done + batch + 1
        if steps - self.bar.n >= 10 or batch + 1 == self.params["steps"]:
            self.bar.set_postfix({name: f"{float(value):.3g}" for name, value in (logs or {}).items()}, refresh=False)
            self.bar.update(steps - self.bar.n)

    def on_train_end(self, logs=None) -> None:
        """Remove the bar."""
        self.bar.close()


# ==== Samples ====


def quantize(images: np.ndarray) -> np.ndarray:
    """Images (n, H, W, 1) or (n, H, W) in [0, 1] as (n, H, W) uint8: what every metric sees."""
    return np.round(np.clip(images.reshape(images.shape[:3]), 0, 1) * 255).astype(np.uint8)


def held_out(store: SliceStore, n: int | None = None) -> np.ndarray:
    """Positions in the store of the slices that VAEs reconstruct: all of the test split or the first n, in a random order."""
    return np.random.default_rng(SAMPLE_SEED).permutation(store.indices("test"))[:n]


def draw_samples(model: models.GenerativeModel, store: SliceStore, folder: str | Path, n: int) -> None:
    """Write n samples, and for a VAE up to n held-out slices with their reconstructions, unless they are there already."""
    folder = Path(folder)
    stamp = {"epochs": model.epochs_done, "n": n, "seed": SAMPLE_SEED}
    if files.read_json(folder / "samples.json") == stamp:
        return
    files.write_array(folder / "samples.npy", quantize(model.sample(n, seed=SAMPLE_SEED)))
    if hasattr(model, "reconstruct"):
        originals = store.images[held_out(store, n)]
        files.write_array(folder / "originals.npy", originals)
        files.write_array(folder / "reconstructions.npy", quantize(model.reconstruct(originals.astype(np.float32) / 255)))
    files.write_json(folder / "samples.json", stamp)
