"""What all networks share: presets, one step for every backend, sampling, and files that hold the full state."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from dwikit.backend import distribution, gradients, kernels
from dwikit.common import keras_settings
from dwikit.common.errors import InputError
from dwikit.models.frozen import freeze, require_some
from dwikit.models.presets import preset

SAMPLING_BATCH = 64


class GenerativeModel(keras.Model):
    """Base class of all networks.

    A network must have

    * ``key``, ``label`` and ``presets``, as described below;
    * ``__init__(self, *, seed=0, **config)``, which hands ``config`` and ``seed`` to this class, then builds the Keras models
      that the network consists of, as attributes, and declares what the log shows (``make_trackers``);
    * ``build_optimizers`` and ``training_step``, and ``draw_noise`` if a step draws at random;
    * a Keras model from latents to images as its attribute ``decoder`` or ``generator``, else ``decode`` (and, to be
      exported, ``sampler``); latents are ``config["latent_size"]`` normal numbers, unless ``draw_latents`` says otherwise.

    It may also state its section in the paper, the cost of a step, when its training is failing, and how it is drawn.
    ``Autoencoder`` is the base class of networks that also reconstruct.
    """

    key: ClassVar[str]
    """Name of the network in profiles, commands, folders and tables: lower-case letters, digits and _."""
    label: ClassVar[str]
    """Name shown to readers."""
    section: ClassVar[str] = ""
    """Section of the paper that describes it, e.g. ``"2.2"``; empty if the paper does not have it."""
    notebook: ClassVar[str | None] = None
    """The notebook that trains it, e.g. ``"02_train_vae"``."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Its settings by preset and name, each a ``Setting`` or a plain value; ``batch_size`` among them (``presets.py``)."""
    added: ClassVar[Mapping[str, Any]] = {}
    """Settings that files of earlier versions lack, with the values that they were made with."""
    draws: ClassVar[tuple[str, ...]] = ("decoder", "generator")
    """Attributes: the networks that a sample goes through, each as often as it does."""
    judges: ClassVar[tuple[str, ...]] = ("critic", "discriminator")
    """Attributes: the networks that only training needs, not samples or reconstructions."""
    chains: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Attributes, for diagrams: networks that follow one another, one tuple per row; empty: each has its own row."""
    returns: ClassVar[bool] = False
    """Whether generated images are fed back into the network that sees slices; for diagrams."""
    passes: ClassVar[Mapping[str, float]] = {}
    """Forward passes per image that a training step costs, by network; empty if not counted (``cost.py``)."""

    def __init__(self, config: dict[str, Any], seed: int = 0):
        keras_settings.check()
        keras.src.utils.naming.reset_uids()  # TensorFlow's order of sums depends on layers' names: not on what was built before
        super().__init__(name=self.key)
        self.config = {name: tuple(v) if isinstance(v, list) else v for name, v in {**self.added, **config}.items()}
        self.seed = seed
        self.noise_seed = keras.random.SeedGenerator(seed)
        self.trackers: dict[str, keras.metrics.Mean] = {}
        self.epochs_done = 0
        """Epochs trained so far; saved with the model, so that a file knows its progress."""

    # ==== Construction from a preset ====

    @classmethod
    def from_preset(cls, name: str = "paper", *, image_size: int = 128, width: float = 1.0, seed: int = 0, **overrides):
        """Build and compile the model.

        Args:
            name: of the preset; the paper's networks have ``"paper"``, ``"released"`` and ``"canonical"`` (``presets.py``).
            image_size: pixels along one side; a power of two from 32 up.
            width: multiplies the number of channels.
            seed: of the initial weights and of every random draw in training.
            **overrides: values that replace the preset's, by name.

        Raises:
            InputError: unknown preset or override, or an impossible image_size.
        """
        keras.utils.set_random_seed(seed)
        model = cls(**preset(cls, name, image_size, width, overrides), seed=seed)
        model.compile()
        return model

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**self.config, "seed": self.seed}

    # ==== One training step ====

    def compile(self, jit_compile: bool = False, steps_per_execution: int = 1, frozen: Sequence[str] = ()):
        """Build the optimizers (their settings are part of the preset); parts that are ``frozen`` do not learn (``freeze``)."""
        super().compile(optimizer=None, jit_compile=jit_compile, steps_per_execution=steps_per_execution)
        self.compile_settings = {"jit_compile": jit_compile, "steps_per_execution": steps_per_execution, "frozen": [*frozen]}
        freeze(self, frozen)
        self.optimizer = gradients.trainer_optimizer(self, self.build_optimizers())
        self.built = True

    def adam(self, variables: list) -> keras.optimizers.Adam:
        """Adam with the preset's ``learning_rate``, ``decay``, ``beta_1`` and ``beta_2``, built on ``variables``."""
        require_some(self, variables)
        rate, decay = self.config["learning_rate"], self.config.get("decay", 0.0)
        if decay:
            rate = keras.optimizers.schedules.InverseTimeDecay(rate, decay_steps=1, decay_rate=decay)
        optimizer = kernels.Adam(rate, self.config.get("beta_1", 0.9), self.config.get("beta_2", 0.999))
        optimizer.build(variables)
        return optimizer

    def build_optimizers(self) -> list[keras.optimizers.Optimizer]:
        """Create and return the optimizers, also kept as attributes so that they are saved with the model."""
        raise NotImplementedError

    def draw_noise(self, batch_size: int) -> dict[str, Any]:
        """Every random draw of one training step, by name: arrays (batch_size, ...)."""
        raise InputError(f"{self.label} calls step_noise: its class must define draw_noise.")

    def step_noise(self, images) -> dict[str, Any]:
        """What ``draw_noise`` draws for these images, which may be one device's share of a batch."""
        return distribution.draw(self.draw_noise, ops.shape(images)[0])

    def training_step(self, images) -> dict[str, Any]:
        """One step on a batch of images (B, H, W, 1) in [0, 1]; returns what the log shows."""
        raise NotImplementedError

    def fit(self, *arguments, shuffle: bool = False, callbacks: Sequence = (), **settings):
        """Keras's ``fit``, but the order of the batches is left to the data, and an epoch that misses steps is refused."""
        data = arguments[0] if arguments else settings.get("x")
        steps = len(data) if isinstance(data, keras.utils.PyDataset) else None
        return super().fit(*arguments, shuffle=shuffle, callbacks=[gradients.EveryStep(steps), *callbacks], **settings)

    @property
    def steps_per_execution(self) -> int:
        """Steps that the trainer takes per call; 1 where the backend takes them one by one."""
        return self._steps_per_execution

    @steps_per_execution.setter
    def steps_per_execution(self, steps: int) -> None:
        self._steps_per_execution = steps if gradients.CAN_CHAIN else 1
        self.train_function = None  # the next fit makes one for this number

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Do nothing: the networks are built. (Keras would draw a batch, which fails on several machines.)"""

    def make_train_function(self, force: bool = False):
        """Called by the Keras trainer before the first step."""
        with distribution.scope_of(self):
            self.prepare_training()
        self.jit_compile |= gradients.MUST_COMPILE
        return super().make_train_function(force)

    def prepare_training(self) -> None:
        """Load whatever else training needs, such as a frozen network; called before the first step."""

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
        """Refuse several devices where they could not reproduce what one does.

        Args:
            devices: 2 or more.
            together: size of a group of slices that are compared with each other and so must be on one device.

        Raises:
            InputError: the batch cannot be divided into equal shares of whole groups.
        """
        batch_size, wanted = self.config["batch_size"], devices * together
        if batch_size % wanted:
            groups = f" of whole groups of {together} slices, which the critic compares" if together > 1 else ""
            raise InputError(
                f"{self.label}: {batch_size} slices do not make {devices} equal shares{groups}. Set a batch_size that "
                f"{wanted} divides, or another number of devices."
            )

    def ailing(self, recent: Sequence[Mapping[str, Any]]) -> str | None:
        """Why training is no longer worth continuing, in one sentence with a remedy; None if it is worth it.

        Args:
            recent: the last epochs of the log (``training.health.PATIENCE``), each a mapping of terms.
        """

    # ==== Structure and cost ====

    @property
    def objective(self) -> str:
        """What the loss compares, in a few words; for diagrams."""
        return ""

    def step_passes(self) -> dict[str, float]:
        """``passes`` of this model as configured."""
        return dict(self.passes)

    def frozen_networks(self) -> dict[str, keras.Model]:
        """Networks that a step runs but does not train, by their name in ``passes``; their weights do not matter."""
        return {}

    def image_network(self) -> keras.Model:
        """The Keras model from latents to images.

        Raises:
            InputError: the model has none, so ``decode`` must be defined.
        """
        found = getattr(self, "decoder", None) or getattr(self, "generator", None)
        if not isinstance(found, keras.Model):
            raise InputError(f"{self.label} has no Keras model called decoder or generator: define decode and sampler.")
        return found

    def sampler(self) -> keras.Model:
        """The network that draws samples: from named inputs to ``images`` (B, H, W, 1) in [0, 1].

        The input is ``latents`` (B, latent_size), N(0, 1). Where moving averages of the weights were kept, they are used.
        """
        latents = keras.Input((self.latent_size,), name="latents")
        images = self.image_network()(latents, training=False)
        return keras.Model([latents], {"images": ops.clip(images, 0.0, 1.0)})

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
        """Move an average toward its network, at first faster than ``config["ema"]`` says, to forget the initial weights."""
        steps = ops.cast(steps, "float32")
        decay = ops.minimum(self.config["ema"], (1.0 + steps) / (10.0 + steps))
        for slow, fast in zip(average.variables, network.variables):
            slow.assign(slow + (1.0 - decay) * (fast - slow))

    # ==== Sampling ====

    @property
    def sum_scale(self) -> float:
        """Factor for losses that sum over pixels, which are defined at 128 x 128."""
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
        network = self.image_network()
        images = in_batches(lambda z: network(z, training=False), np.asarray(latents, np.float32))
        return np.clip(images, 0.0, 1.0)

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
        """Compile as the saved model was compiled."""
        self.compile(**config)

    def _seed_states(self) -> list:
        return [v for v in self.non_trainable_variables if v.path.endswith("seed_generator_state")]

    def save_own_variables(self, store) -> None:
        """Save the epochs done and the states of the random generators, which Keras leaves out of its files."""
        store["epochs_done"] = np.array(self.epochs_done)
        for index, variable in enumerate(self._seed_states()):
            store[f"seed_{index}"] = keras.ops.convert_to_numpy(variable)

    def load_own_variables(self, store) -> None:
        """Restore the epochs done and the states of the random generators."""
        self.epochs_done = int(np.array(store["epochs_done"]))
        for index, variable in enumerate(self._seed_states()):
            variable.assign(store[f"seed_{index}"])

    def call(self, images):
        """What ``model(images)`` does; the VAEs reconstruct."""
        raise NotImplementedError


def in_batches(fn, *arrays: np.ndarray, batch_size: int = SAMPLING_BATCH) -> np.ndarray:
    """``fn`` over numpy arrays in batches of one fixed size (the last is padded), joined as a numpy array."""
    n, outputs = len(arrays[0]), []
    for start in range(0, n, batch_size):
        blocks = [array[start : start + batch_size] for array in arrays]
        missing = min(batch_size, n) - len(blocks[0])
        if missing > 0:
            blocks = [np.concatenate([block, np.repeat(block[-1:], missing, axis=0)]) for block in blocks]
        outputs.append(ops.convert_to_numpy(fn(*blocks)))
    return np.concatenate(outputs)[:n]


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
            f"Floating-point images must lie in [0, 1]; these go from {images.min()!s} to {images.max()!s}. Divide by the "
            "largest value, or give uint8."
        )
    return images.reshape(*shape, 1).astype(np.float32)
