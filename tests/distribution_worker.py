"""The same model, slices and random state trained on one logical CPU device and on two, and how far apart they end.

``python tests/distribution_worker.py`` prints the table: after one epoch of three steps and another (the models are saved in
between), the largest relative deviation of a term of the loss and of a variable (Euclidean norms).

Twice: with Adam's epsilon as the presets have it, and raised to 1e-3. Adam's first steps are the learning rate times the sign
of the gradient, and where a gradient is zero but for rounding (a bias before batch normalization, which changes nothing) that
sign is chance; the raised epsilon leaves such biases where they are.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

EPSILON = 1e-3
EPOCHS, STEPS = 2, 3
SIZE = {"image_size": 32, "width": 0.25, "batch_size": 8}
CASES = {
    "vae": ("vae", "paper", {}),
    "dfc_vae": ("dfc_vae", "paper", {}),
    "intro_vae": ("intro_vae", "paper", {}),
    "intro_vae warm-up, average": ("intro_vae", "paper", {"ema": 0.9, "warmup_steps": 2}),
    "style_gan": ("style_gan", "paper", {"mapping_width": 32, "latent_size": 32}),
    "style_gan canonical": (
        "style_gan",
        "canonical",
        {"mapping_width": 32, "mapping_layers": 2, "block_convolutions": 1, "penalty_interval": 2, "constant": "normal"},
    ),
}
"""Statistics, hinge, branches, averages of weights, mixed styles and groups of slices, each with what follows from it."""


def two_devices() -> None:
    """Split the CPU in two for TensorFlow; before anything else of it."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


def store(n: int = 48, size: int = 32):
    """Discs of different size and place, as a store of slices."""
    from dwikit.slices import SliceStore

    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] / size
    center, radius = rng.uniform(0.4, 0.6, (2, n, 1, 1)), rng.uniform(0.15, 0.35, (n, 1, 1))
    discs = 1 / (1 + np.exp(40 * (np.hypot(y - center[0], x - center[1]) - radius)))
    images = np.round(1 + 200 * discs + 20 * rng.random((n, size, size))).astype(np.uint8)
    names = [f"sub-{i:02d}" for i in range(n)]
    split = ["train" if i % 6 else "test" for i in range(n)]
    return SliceStore(images, pd.DataFrame({"case": names, "subject": names, "level": 0, "split": split}), {})


def train(path: Path, devices: int, epsilon: float | None) -> tuple[pd.DataFrame, list[tuple[str, np.ndarray]]]:
    """Log, and the variables by name, of a model trained on from its file on so many devices."""
    import keras

    from dwikit import models, training
    from dwikit.models import distribution

    with distribution.scope(devices):
        model = models.load(path)
    assert distribution.devices_of(model) == devices
    for optimizer in (value for name, value in vars(model).items() if name.endswith("_optimizer")):
        optimizer.epsilon = epsilon or optimizer.epsilon
    with tempfile.TemporaryDirectory() as folder:
        log = training.fit(model, store(), folder, EPOCHS, STEPS, flip=True, health_checks=False)
        again = models.load(Path(folder) / "model.keras")
    variables = [(variable.path, keras.ops.convert_to_numpy(variable)) for variable in model.variables]
    for (name, value), saved in zip(variables, again.variables):
        np.testing.assert_array_equal(value, keras.ops.convert_to_numpy(saved), err_msg=name)
    return log.drop(columns=["seconds", "variety", "distance"]), variables


def deviation(a: np.ndarray, b: np.ndarray) -> float:
    """Norm of the difference over the norm of the first."""
    return float(np.linalg.norm(b - a) / max(np.linalg.norm(a), 1e-30))


def compare(path: Path, epsilon: float | None) -> dict[str, float | str]:
    """Largest relative deviation of a term of the loss and of a variable between one device and two; the worst by name."""
    (log, variables), (other_log, others) = (train(path, devices, epsilon) for devices in (1, 2))
    assert [name for name, _ in variables] == [name for name, _ in others]
    losses = {name: deviation(log[name].to_numpy(), other_log[name].to_numpy()) for name in log}
    weights = {
        f"{i} {a[0]}": deviation(a[1].astype(float), b[1].astype(float)) for i, (a, b) in enumerate(zip(variables, others))
    }
    worst = max(weights, key=weights.get)
    return {"losses": max(losses.values()), "weights": weights[worst], "worst": worst}


def prepare(folder: Path) -> dict[str, Path]:
    """Write the model of every case."""
    from dwikit import models
    from dwikit.models import features

    features.train_pretext(store().images, np.arange(48) % 26, folder / "pretext.keras", steps=2, widths=(8, 8, 16))
    paths = {}
    for case, (key, preset, overrides) in CASES.items():
        extra = {"features": str(folder / "pretext.keras")} if key == "dfc_vae" else {}
        paths[case] = folder / f"{case}.keras"
        models.save(models.BY_KEY[key].from_preset(preset, **SIZE, **overrides, **extra), paths[case])
    return paths


def main() -> None:
    """Compare every case and print the table; with ``--json``, only at the raised epsilon, as JSON."""
    two_devices()
    with tempfile.TemporaryDirectory() as folder:
        paths = prepare(Path(folder))
        if sys.argv[1:] == ["--json"]:
            print(json.dumps({case: compare(path, EPSILON) for case, path in paths.items()}))
            return
        print(f"{'model':28} {'epsilon':>8} {'losses':>8} {'weights':>8}  (largest relative deviation)  worst variable")
        for case, path in paths.items():
            for epsilon in (None, EPSILON):
                result = compare(path, epsilon)
                name = "preset's" if epsilon is None else f"{epsilon:g}"
                print(f"{case:28} {name:>8} {result['losses']:8.1e} {result['weights']:8.1e}  {result['worst']}", flush=True)


if __name__ == "__main__":
    main()
