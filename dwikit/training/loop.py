"""The loop over epochs, which can be stopped at any moment: complete epochs are kept."""

import importlib.util
import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from dwikit import metrics, models
from dwikit.backend import distribution, gradients
from dwikit.backend.machines import ALONE, Alone
from dwikit.common import files, keras_settings
from dwikit.common.errors import InputError
from dwikit.common.progress import tqdm
from dwikit.slices import SliceStore, to_uint8
from dwikit.training import health
from dwikit.training.outcome import SAMPLE_SEED, read_log
from dwikit.training.weights import stored

GRID_LATENTS = 12
GRID_ROWS = 6
WATCHED = 64
"""Samples drawn after each epoch to watch variety and distance."""


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
    machines: Alone = ALONE,
    snapshots: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> None:
    """Train until ``model.epochs_done == epochs``, writing the model, the log and a row of the grid after each epoch.

    Repeatable bit for bit on the CPU (unless ``deterministic`` is off): killed at any moment and restarted, it ends with
    the same weights.

    Args:
        model: fresh, or loaded from ``folder / "model.keras"``; any other one (such as ``pretrained.load(...)``) begins anew in
            this folder, at its first epoch.
        store: slices; the training split is used.
        folder: of the results.
        epochs: total, including those done before in this folder.
        steps_per_epoch: batches per epoch; None means one pass over the training split.
        flip: mirror a random half of the slices.
        seed: of the order of the slices.
        health_checks: stop when the training is no longer worth continuing (``dwikit.training.health``).
        tensorboard: also write logs for TensorBoard to ``folder / "tensorboard"``.
        deterministic: ask the backend for results that repeat bit for bit; TensorFlow then compiles no step with XLA in
            this process.
        minutes: stop before an epoch that would end later than this; None: never.
        machines: machines that train together; the first of them writes.
        snapshots: samples to keep after every epoch; the log then compares them with validation people.
        callbacks: of your own, called after the kit's, such as those of MLflow or Weights & Biases; on the first machine only.

    Raises:
        TrainingStopped: a health check failed; the message names what to change.
        InputError: a batch larger than the training split, a folder that cannot be written, a model without what only training
            needs, or a backend that cannot train.
        KeyboardInterrupt: Ctrl-C, after a line that says how to resume.
    """
    folder = Path(folder)
    if (backend := keras.config.backend()) not in keras_settings.BACKENDS:
        raise InputError(
            f"Keras's backend {backend} cannot train: set KERAS_BACKEND to one of {', '.join(keras_settings.BACKENDS)}."
        )
    if deterministic:
        gradients.make_deterministic()
    batches = store.batches("train", model.config["batch_size"], seed, flip, steps_per_epoch)
    batches = distribution.deal(batches, distribution.devices_of(model))
    if machines.first and not (folder / "model.keras").is_file():
        stored.require_whole(model, f"This {model.label}")
        model.epochs_done = 0  # of another training, for a model that comes from elsewhere
        models.save(model, folder / "model.keras")
    if model.epochs_done >= epochs:
        return
    ours: list[keras.callbacks.Callback] = [Follower(batches, machines)]
    if machines.first:
        keeper = Keeper(model, batches, store, folder, epochs, health_checks, minutes, machines, snapshots)
        bar = ProgressBar(model, epochs, len(batches))
        ours = [keeper, bar, *callbacks]
        if tensorboard:
            if importlib.util.find_spec("tensorboard") is None:
                raise InputError("tensorboard: true needs the package tensorboard: pip install -e '.[logs]'.")
            ours.append(keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False))
    try:
        model.fit(batches, initial_epoch=model.epochs_done, epochs=epochs, verbose=0, callbacks=ours)
    except KeyboardInterrupt:
        tqdm.write(
            f"Stopped in epoch {model.epochs_done + 1} of {epochs}. {folder / 'model.keras'} holds the model after "
            f"{model.epochs_done} complete epochs; run the same again to resume from there."
        )
        raise
    finally:
        if machines.first:
            bar.on_train_end()  # after an error, too, so that its message has a line of its own


class Follower(keras.callbacks.Callback):
    """On machines that are not the first: count the epochs, and stop when the first machine does."""

    def __init__(self, batches, machines: Alone):
        super().__init__()
        self.batches, self.machines = batches, machines

    def on_epoch_begin(self, epoch: int, logs=None) -> None:
        """Tell the batches which epoch it is (Keras ends one epoch more than it begins)."""
        self.batches.epoch = epoch

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        """Wait until the first machine has written this epoch's results."""
        self.model.epochs_done = epoch + 1
        self.model.stop_training = self.machines.any(False)


class Keeper(keras.callbacks.Callback):
    """After each epoch: check the samples, write a row of the log, the model, and at some epochs images of the same latents."""

    def __init__(
        self,
        model: models.GenerativeModel,
        batches,
        store: SliceStore,
        folder: Path,
        epochs: int,
        checks: bool,
        minutes: float | None,
        machines: Alone,
        snapshots: int,
    ):
        super().__init__()
        self.batches, self.folder, self.checks, self.machines, self.rows = batches, folder, checks, machines, []
        self.snapshots = snapshots
        self.deadline = time.perf_counter() + 60 * minutes if minutes is not None else math.inf
        self.grid_epochs = {math.ceil(epochs * (i + 1) / GRID_ROWS) for i in range(GRID_ROWS)}
        train = store.indices("train")
        self.space = metrics.PixelSpace(store.images, rows=train, like=store.indices("validation") if snapshots else None)
        self.diversity = metrics.intra_sample_diversity(metrics.moments(store.images, train))
        if model.epochs_done:
            self.rows = read_log(folder).head(model.epochs_done).to_dict("records")

    def on_epoch_begin(self, epoch: int, logs=None) -> None:
        """Start the clock, and tell the batches which epoch it is (Keras ends one epoch more than it begins)."""
        self.batches.epoch = epoch
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        """Write this epoch's results; the model last, since it says how many epochs count."""
        seconds = round(time.perf_counter() - self.start, 3)
        row = {"epoch": epoch + 1, "seconds": seconds, **{name: float(value) for name, value in (logs or {}).items()}}
        images = self.model.sample(self.snapshots or WATCHED, seed=SAMPLE_SEED)
        self.rows.append(row | self._watch(images))
        files.write_text(self.folder / "log.csv", pd.DataFrame(self.rows).to_csv(index=False))
        if self.checks:
            health.check(self.model, self.rows)
        if epoch + 1 in self.grid_epochs:
            files.write_array(self.folder / "grid" / f"epoch-{epoch + 1:05d}.npy", to_uint8(images[:GRID_LATENTS, ..., 0]))
        if self.snapshots:
            files.write_array(self.folder / "curve" / f"epoch-{epoch + 1:05d}.npy", to_uint8(images[..., 0]))
        self.model.epochs_done = epoch + 1
        last, best = self.folder / "model.keras", self.folder / "best.keras"
        distances = [row["distance"] for row in self.rows if not math.isnan(row["distance"])]
        if self.rows[-1]["distance"] <= min(distances, default=-math.inf):
            models.save(self.model, best)
            files.write(last, lambda path: shutil.copyfile(best, path))
        else:
            models.save(self.model, last)
        now = time.perf_counter()
        self.model.stop_training = self.machines.any(now + (now - self.start) > self.deadline)

    def _watch(self, images: np.ndarray) -> dict[str, float]:
        """Variety of samples and their distance to the data; NaN if the samples contain NaN."""
        if not np.isfinite(images).all():
            return {"variety": math.nan, "distance": math.nan}
        images = to_uint8(images[..., 0])
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
        """Advance to the steps done."""
        steps = self.params["steps"] * self.model.epochs_done + batch + 1
        if steps - self.bar.n >= 10 or batch + 1 == self.params["steps"]:
            self.bar.set_postfix({name: f"{float(value):.3g}" for name, value in (logs or {}).items()}, refresh=False)
            self.bar.update(steps - self.bar.n)

    def on_train_end(self, logs=None) -> None:
        """Remove the bar."""
        self.bar.close()
