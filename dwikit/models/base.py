"""What the four models share: presets, one step for every backend, sampling, and files that hold the whole state."""

import os
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from dwikit.errors import InputError
from dwikit.models import gradients
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
        self.config = {**config, "channels": tuple(config["channels"])}
        self.seed = seed
        self.noise_seed = keras.random.SeedGenerator(seed)
        self.trackers: dict[str, keras.metrics.Mean] = {}

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
        optimizer = keras.optimizers.Adam(self.config["learning_rate"], beta_1=self.config["beta_1"])
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

    def train_step(self, *arguments):
        """Called by the Keras trainer."""
        return gradients.run_step(self, *arguments)

    def track(self, terms: dict[str, Any]) -> dict[str, Any]:
        """Average the terms over the epoch and return the averages so far."""
        for name, term in terms.items():
            self.trackers[name].update_state(term)
        return {name: self.trackers[name].result() for name in terms}

    def make_trackers(self, *names: str) -> None:
        """Declare the terms that ``training_step`` reports."""
        self.trackers = {name: keras.metrics.Mean(name=name) for name in names}

    # ==== Sampling ====

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
        """Write the states of the random generators, which Keras leaves out of its files."""
        for index, variable in enumerate(self._seed_states()):
            store[f"seed_{index}"] = keras.ops.convert_to_numpy(variable)

    def load_own_variables(self, store) -> None:
        """Read the states of the random generators."""
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
    """Write a model with the state of its optimizers and random generators to ``path`` (.keras), or leave it as it was."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial.keras")
    try:
        model.save(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"{path} could not be written ({error.strerror or error}); the file there before, if any, is unharmed. "
            "Free some space or choose another folder, then run again: training continues from the last checkpoint."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def load(path: str | Path) -> GenerativeModel:
    """Read a model written by ``save``. Runs no code from the file (Keras safe mode).

    Raises:
        InputError: no such file, a damaged one, or one that holds something else.
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
    return model
