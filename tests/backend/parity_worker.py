"""The same weights, batch and noise through training steps on each backend, compared with TensorFlow.

Before a step: samples. After one: losses, gradients, and how far it moved every variable (moving statistics and moving averages
too). After three: losses, which shows that the state is carried from step to step.

``python tests/backend/parity_worker.py`` prints the table. Each backend runs in a process of its own: TensorFlow first, which
writes the models and the noise that the others load.

Two things would make chance of rounding, and are changed here. Adam's epsilon is raised to 1e-3: its first step is the
learning rate times the sign of the gradient, and where a gradient is zero but for rounding (a bias before batch normalization)
that sign is chance. And rectifiers lose their kink: an input that is zero but for rounding lies on one side of it on one
backend, or with one number of threads, and on the other side on another; that moved the IntroVAE's gradients by 1 percent and
one of its biases by 37. Rectifiers as they are have a small network of their own (``rectified``).
"""

import importlib.util
import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

BACKENDS = ("tensorflow", "torch", "jax")
EPSILON = 1e-3
SIZE = {"image_size": 32, "width": 0.25}
LIGHT = {
    "mapping_width": 32,
    "mapping_layers": 2,
    "block_convolutions": 1,
    "penalty_interval": 2,
    "constant": "normal",  # ones have no variance: instance normalization would multiply rounding by 10,000
}
DIFFUSION = {"channels": (8, 16), "blocks": 1, "place": 2, "embedding": 16, "ema": 0.9, "sampler_steps": 4}
CASES = {
    "vae": ("vae", "paper", {}),
    "dfc_vae": ("dfc_vae", "paper", {}),
    "intro_vae": ("intro_vae", "paper", {"ema": 0.9}),
    "style_gan": ("style_gan", "paper", {"mapping_width": 32, "latent_size": 32}),
    "style_gan canonical": ("style_gan", "canonical", LIGHT),
    "diffusion": ("diffusion", "paper", DIFFUSION),
}


def smooth() -> None:
    """Take the kink out of the rectifiers of this process: below 0 and above 0 they go on as they were."""
    import keras

    def call(self, x):
        slope = float(getattr(self, "negative_slope", 0) or 0)
        return slope * x + (1 - slope) * keras.ops.softplus(x)

    keras.layers.LeakyReLU.call = keras.layers.ReLU.call = call


def rectified() -> dict[str, np.ndarray]:
    """Weights of a small network after a step through rectifiers as they are; its loss before."""
    import keras
    from keras import layers

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 8)).astype(np.float32), rng.normal(size=(64, 1)).astype(np.float32)
    network = keras.Sequential(
        [layers.Dense(16), layers.LeakyReLU(0.2), layers.Dense(16), layers.ReLU(), layers.Dense(16, activation="relu")]
        + [layers.LeakyReLU(0.3), layers.Dense(1)]
    )
    network.build(x.shape)
    network.set_weights([rng.normal(size=weight.shape) / 3 for weight in network.get_weights()])
    network.compile(keras.optimizers.SGD(0.1), "mse")
    loss = network.train_on_batch(x, y)
    return {"loss": np.asarray(loss)} | {f"weight/{i}": weight for i, weight in enumerate(network.get_weights())}


def slices(n: int = 8, size: int = 32) -> np.ndarray:
    """Discs of different size and place, uint8."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] / size
    center, radius = rng.uniform(0.4, 0.6, (2, n, 1, 1)), rng.uniform(0.15, 0.35, (n, 1, 1))
    discs = 1 / (1 + np.exp(40 * (np.hypot(y - center[0], x - center[1]) - radius)))
    return np.round(1 + 200 * discs + 20 * rng.random((n, size, size))).astype(np.uint8)


def draws_a_step(key: str) -> int:
    """How often a step draws noise: the StyleGAN draws fakes for the critic, and others for the generator."""
    return 2 if key == "style_gan" else 1


def prepare(folder: Path) -> None:
    """Write every case's model, and the noise of one step."""
    import keras

    from dwikit import models

    keras.utils.set_random_seed(0)
    for case, (key, preset, overrides) in CASES.items():
        model = models.registry.network(key).from_preset(preset, **SIZE, **overrides)
        if key == "diffusion":  # every block begins as its shortcut, and the network with the answer 0
            for _ in range(3):
                model.train_on_batch(slices()[..., None].astype(np.float32) / 255)
        models.save(model, folder / f"{case}.keras")
        draws = [model.draw_noise(8) for _ in range(draws_a_step(key))]
        arrays = [keras.ops.convert_to_numpy(array) for array in keras.tree.flatten(draws)]
        np.savez(folder / f"{case}.npz", *arrays)


def step(case: str, folder: Path) -> dict[str, np.ndarray]:
    """Samples; losses, Adam's first moments (gradients, scaled) and the change of the weights after a step; later losses."""
    import keras

    from dwikit import models

    model = models.load(folder / f"{case}.keras", key=CASES[case][0])
    structure = [model.draw_noise(8) for _ in range(draws_a_step(model.key))]
    with np.load(folder / f"{case}.npz") as arrays:
        draws = keras.tree.pack_sequence_as(structure, [arrays[name] for name in arrays.files])
    draws = itertools.cycle(draws)
    model.draw_noise = lambda batch_size: keras.tree.map_structure(keras.ops.convert_to_tensor, next(draws))
    model.prepare_training()
    if hasattr(model, "extractor"):  # VGG's rectifiers are no layers of their own
        for layer in model.extractor.network._flatten_layers():
            if getattr(layer, "activation", None) is keras.activations.relu:
                layer.activation = keras.activations.softplus
    optimizers = [value for name, value in vars(model).items() if name.endswith("_optimizer")]
    for optimizer in optimizers:
        optimizer.epsilon = EPSILON
    samples = model.sample(2)
    weights = [variable for variable in model.variables if "seed" not in variable.path]
    before = [keras.ops.convert_to_numpy(variable).copy() for variable in weights]
    batch = slices()[..., None].astype(np.float32) / 255
    logs = model.train_on_batch(batch, return_dict=True)
    moments = [variable for optimizer in optimizers for variable in optimizer.variables if "momentum" in variable.path]
    changes = [keras.ops.convert_to_numpy(variable) - value for variable, value in zip(weights, before)]
    results = {f"loss/{name}": np.asarray(value) for name, value in logs.items()} | {"sample/": samples}
    results |= {f"gradient/{i}": keras.ops.convert_to_numpy(variable) for i, variable in enumerate(moments)}
    results |= {f"change/{i}": change for i, change in enumerate(changes)}
    for _ in range(2):
        model.reset_metrics()
        logs = model.train_on_batch(batch, return_dict=True)
    return results | {f"later/{name}": np.asarray(value) for name, value in logs.items()}


def compare(results: dict, reference: dict) -> dict[str, float]:
    """Largest relative deviation of a loss, samples, a variable's gradient, and a variable's change (Euclidean norms).

    Variables, and losses of the third step, whose norm is below a hundredth of the largest are compared with that hundredth.
    """
    deviations = {}
    for kind in ("loss", "sample", "gradient", "change", "later"):
        names = [name for name in reference if name.startswith(kind)]
        assert names and set(names) == {name for name in results if name.startswith(kind)}
        sizes = {name: np.linalg.norm(reference[name]) for name in names}
        floor = 1e-6 if kind in ("loss", "sample") else 1e-2 * max(sizes.values())
        deviations[kind] = max(
            float(np.linalg.norm(results[name] - reference[name]) / max(sizes[name], floor)) for name in names
        )
    return deviations


def run(backend: str, folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """Results of every case on one backend, and of ``rectified``, from a process of its own."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, __file__, str(folder)], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    results = {}
    for case in (*CASES, "rectified"):
        with np.load(folder / f"{case}-{backend}.npz") as arrays:
            results[case] = dict(arrays)
    return results


def missing(backend: str) -> bool:
    """Whether a backend is not installed."""
    return importlib.util.find_spec(backend) is None


def main() -> None:
    """Compare all installed backends and print the table; with a folder as argument, do one backend's work in it."""
    if len(sys.argv) > 1:
        folder, backend = Path(sys.argv[1]), os.environ["KERAS_BACKEND"]
        if backend == "tensorflow":
            prepare(folder)
        np.savez(folder / f"rectified-{backend}.npz", **rectified())
        smooth()
        for case in CASES:
            np.savez(folder / f"{case}-{backend}.npz", **step(case, folder))
        return
    with tempfile.TemporaryDirectory() as folder:
        reference = run("tensorflow", Path(folder))
        columns = " ".join(f"{name:>9}" for name in ("losses", "samples", "gradients", "changes", "3rd step"))
        print(f"{'model':20} {'backend':8} {columns}   (largest relative deviation)")
        for backend in BACKENDS[1:]:
            if missing(backend):
                print(f"{backend} is not installed")
                continue
            results = run(backend, Path(folder))
            for case in CASES:
                deviations = compare(results[case], reference[case])
                print(f"{case:20} {backend:8} " + " ".join(f"{value:9.1e}" for value in deviations.values()))


if __name__ == "__main__":
    main()
