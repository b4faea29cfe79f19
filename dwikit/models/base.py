"""What the four models share: presets, one step for every backend, sampling, and files that hold the whole state."""

from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from dwikit.backend import distribution, gradients, kernels
from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.models.presets import preset

SAMPLING_BATCH = 64


class GenerativeModel(keras.Model):
    """Base class of the four models.

    A subclass names its ``key`` and ``label``, builds its networks in ``__init__`` from plain values (which it passes on
    to this class as ``config``), and defines ``optimizers``, ``draw_noise``, ``training_step`` and ``decode``.
    """

    key: ClassVar[str]
    label: ClassVar[str]

    def __init__(self, config: dict[str, Any], seed: int = 0):
        super().__init__(name=self.key)
        self.config = {name: tuple(v) if isinstance(v, list) else v for name, v in config.items()}
        self.seed = seed
        self.noise_seed = keras.random.SeedGenerator(seed)
        self.trackers: dict[str, keras.metrics.Mean] = {}
        self.epochs_done = 0
        """Epochs trained so far; saved with the model, so that a file always knows where it stands."""

    # ==== Made from a preset ====

    @classmethod
    def from_preset(cls, name: str = "paper", *, image_size: int = 128, width: float = 1.0, seed: int = 0, **overrides):
        """Build and compile the model.

        Args:
            name: ``"paper"``, ``"released"`` or ``"canonical"`` (see ``presets.py``).
            image_size: pixels along one side; a power of two from 32 up.
            width: multiplies the number of channels.
            seed: of the initial weights and of every random draw in training.
            **overrides: values that replace the preset's, by name.

        Raises:
            InputError: unknown preset or override, or an impossible image_size.
        """
        config = preset(cls.key, name, image_size, width, overrides)
        keras.utils.set_random_seed(seed)
        model = cls(**config, seed=seed)
        model.compile()
        return model

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**self.config, "seed": self.seed}

    # ==== One training step ====

    def compile(self, jit_compile: bool = False, steps_per_execution: int = 1):
        """Build the optimizers (their settings are part of the preset) and make the model ready for ``fit``."""
        super().compile(optimizer=None, jit_compile=jit_compile, steps_per_execution=steps_per_execution)
        self.compile_settings = {"jit_compile": jit_compile, "steps_per_execution": steps_per_execution}
        self.optimizer = gradients.trainer_optimizer(self.build_optimizers())
        self.built = True

    def adam(self, variables: list) -> keras.optimizers.Adam:
        """Adam with the preset's settings, built on ``variables``."""
        rate = self.config["learning_rate"]
        if self.config["decay"]:
            rate = keras.optimizers.schedules.InverseTimeDecay(rate, decay_steps=1, decay_rate=self.config["decay"])
        optimizer = kernels.Adam(rate, self.config["beta_1"], self.config.get("beta_2", 0.999))
        optimizer.build(variables)
        return optimizer

    def build_optimizers(self) -> list[keras.optimizers.Optimizer]:
        """Create and return the optimizers, also kept as attributes so that they are saved with the model."""
        raise NotImplementedError

    def draw_noise(self, batch_size: int) -> dict[str, Any]:
        """Every random draw of one training step, by name."""
        raise NotImplementedError

    def training_step(self, images) -> dict[str, Any]:
        """One step on a batch of images (B, H, W, 1) in [0, 1]; returns what the log shows."""
        raise NotImplementedError

    def fit(self, *arguments, shuffle: bool = False, **settings):
        """Keras's ``fit``, except that the order of the batches is left to the data (``SliceStore.batches``)."""
        return super().fit(*arguments, shuffle=shuffle, **settings)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing: the networks are built. (Keras would take a batch for it, and fail at that on several machines.)"""

    def make_train_function(self, force: bool = False):
        """Called by the Keras trainer before the first step."""
        self.jit_compile = self.jit_compile or gradients.MUST_COMPILE
        if not gradients.CAN_CHAIN:
            self.steps_per_execution = 1
        return super().make_train_function(force)

    def train_step(self, *arguments):
        """Called by the Keras trainer."""
        return gradients.run_step(self, *arguments)

    def track(self, terms: dict[str, Any]) -> dict[str, Any]:
        """Average the terms over the epoch and return the averages so far."""
        for name, term in distribution.average(terms).items():
            self.trackers[name].update_state(term)
        return {name: self.trackers[name].result() for name in terms}

    def make_trackers(self, *names: str) -> None:
        """Declare the terms that ``training_step`` reports."""
        self.trackers = {name: keras.metrics.Mean(name=name) for name in names}

    def check_devices(self, devices: int, together: int = 1) -> None:
        """Refuse several devices where they could not do what one does.

        Args:
            devices: 2 or more.
            together: slices of a batch that are compared with each other, which must be on one device.

        Raises:
            InputError: the batch cannot be dealt out in equal shares of whole groups.
        """
        batch_size, wanted = self.config["batch_size"], devices * together
        if batch_size % wanted:
            groups = f" of whole groups of {together} slices, which the critic compares" if together > 1 else ""
            raise InputError(
                f"{self.label}: a batch of {batch_size} has no {devices} equal shares{groups}. Choose a batch_size that "
                f"{wanted} divides, or another number of devices."
            )

    # ==== Moving averages of the weights ====

    def average_of(self, network: keras.Model) -> keras.Model | None:
        """A copy of a network to hold the moving average of its weights, or None where ``config["ema"]`` is 0."""
        if not self.config["ema"]:
            return None
        average = keras.models.clone_model(network)
        average.set_weights(network.get_weights())
        average.trainable = False
        return average

    def follow(self, average: keras.Model, network: keras.Model, steps) -> None:
        """Move an average toward its network, in the first steps faster than ``config["ema"]`` to forget the start."""
        steps = ops.cast(steps, "float32")
        decay = ops.minimum(self.config["ema"], (1.0 + steps) / (10.0 + steps))
        for slow, fast in zip(average.variables, network.variables):
            slow.assign(slow + (1.0 - decay) * (fast - slow))

    # ==== Sampling ====

    @property
    def sum_scale(self) -> float:
        """Factor of losses that sum over pixels: they are defined at 128 x 128."""
        return (128 / self.image_size) ** 2

    @property
    def latent_size(self) -> int:
        """Length of a latent vector."""
        return self.config["latent_size"]

    @property
    def image_size(self) -> int:
        """Pixels along one side of an image."""
        return self.config["image_size"]

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Images (n, H, W, 1) float32 in [0, 1] of latents (n, latent_size)."""
        raise NotImplementedError

    def draw_latents(self, n: int, seed: int = 0) -> np.ndarray:
        """Latents (n, latent_size) float32 from the prior N(0, 1), the same on every backend."""
        return np.random.default_rng(seed).standard_normal((n, self.latent_size), dtype=np.float32)

    def sample(self, n: int, seed: int = 0) -> np.ndarray:
        """Images (n, H, W, 1) float32 in [0, 1] of latents from the prior; the first m are those of ``sample(m, seed)``."""
        return self.decode(self.draw_latents(n, seed))

    # ==== Files ====

    def get_compile_config(self) -> dict[str, Any]:
        """Arguments of ``compile``."""
        return self.compile_settings

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as the saved model was."""
        self.compile(**config)

    def _seed_states(self) -> list:
        return [v for v in self.non_trainable_variables if v.path.endswith("seed_generator_state")]

    def save_own_variables(self, store) -> None:
        """Write the states of the random generators, which Keras leaves out of its files, and the epochs done."""
        store["epochs_done"] = np.array(self.epochs_done)
        for index, variable in enumerate(self._seed_states()):
            store[f"seed_{index}"] = keras.ops.convert_to_numpy(variable)

    def load_own_variables(self, store) -> None:
        """Read the states of the random generators and the epochs done."""
        self.epochs_done = int(np.array(store["epochs_done"]))
        for index, variable in enumerate(self._seed_states()):
            variable.assign(store[f"seed_{index}"])

    def call(self, images):
        """What ``model(images)`` does; the VAEs reconstruct."""
        raise NotImplementedError


def in_batches(fn, *arrays: np.ndarray, batch_size: int = SAMPLING_BATCH) -> np.ndarray:
    """``fn`` over numpy arrays in batches of one fixed size (the last is padded), joined as a numpy array."""
    n = len(arrays[0])
    outputs = []
    for start in range(0, n, batch_size):
        blocks = [array[start : start + batch_size] for array in arrays]
        missing = min(batch_size, n) - len(blocks[0])
        if missing > 0:
            blocks = [np.concatenate([block, np.repeat(block[-1:], missing, axis=0)]) for block in blocks]
        outputs.append(ops.convert_to_numpy(fn(*blocks)))
    return np.concatenate(outputs)[:n]


def save(model: GenerativeModel, path: str | Path) -> None:
    """Write a model with the state of its optimizers and random generators to ``path`` (.keras), whole or not at all."""
    files.write(path, model.save)


def load(path: str | Path, key: str | None = None, **expected) -> GenerativeModel:
    """Read a model written by ``save``. Runs no code from the file (Keras safe mode).

    Args:
        path: a .keras file.
        key: what the model must be, e.g. ``"vae"``; None takes any.
        **expected: values that its config must have, e.g. ``image_size=64, preset="paper"``.

    Raises:
        InputError: no such file, a damaged one, or one that holds something else than expected.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no model at {path}. Train one first, or give the path of a .keras file.")
    try:
        model = keras.saving.load_model(path, safe_mode=True)
    except Exception as error:
        raise InputError(
            f"{path} cannot be read as a model ({type(error).__name__}: {error}). It is damaged or from another version: "
            "delete it and train again, or use another copy."
        ) from error
    if not isinstance(model, GenerativeModel):
        raise InputError(f"{path} holds a {type(model).__name__}, not one of the kit's models.")
    found = {"key": model.key, **model.config}
    for name, value in ({} if key is None else {"key": key}).items() | expected.items():
        if found.get(name) != (tuple(value) if isinstance(value, list) else value):
            raise InputError(
                f"{path} holds a model with {name} {found.get(name)!r}, not {value!r}. Give the path of the other model, or "
                "train it."
            )
    return model


def check_images(images: np.ndarray, image_size: int) -> np.ndarray:
    """Images as (N, H, W, 1) float32 in [0, 1].

    Args:
        images: (N, H, W) or (N, H, W, 1); uint8 0-255, or floating point in [0, 1].
        image_size: H and W.

    Raises:
        InputError: another shape, dtype or range, or values that are not finite.
    """
    images = np.asarray(images)
    shape = images.shape[:-1] if images.ndim == 4 and images.shape[-1] == 1 else images.shape
    if len(shape) != 3 or shape[0] == 0 or shape[1:] != (image_size, image_size):
        raise InputError(
            f"Images must be (N, {image_size}, {image_size}) or (N, {image_size}, {image_size}, 1) with N of 1 or more, not "
            f"{images.shape}. Resize them, or use a model of their size."
        )
    if images.dtype == np.uint8:
        images = images.astype(np.float32) / 255
    elif not np.issubdtype(images.dtype, np.floating):
        raise InputError(f"Images must be uint8 (0-255) or floating point in [0, 1], not {images.dtype}. Convert them first.")
    if not (images.min() >= 0 and images.max() <= 1):
        raise InputError(
            f"Floating-point images must lie in [0, 1]; these go from {images.min():.4g} to {images.max():.4g}. Divide by the "
            "largest value, or give uint8."
        )
    return images.reshape(*shape, 1).astype(np.float32)
