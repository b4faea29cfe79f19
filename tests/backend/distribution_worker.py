"""The same model, slices and random state trained on one logical CPU device and on two, and how far apart they end.

``python tests/backend/distribution_worker.py`` prints the table after two epochs of two steps, the model being saved in
between: the largest relative deviation of a term of the loss, that of all variables together (Euclidean norms), and the
variable that is furthest off for its size.

Adam's epsilon is raised, as in ``parity_worker.py``: its first steps are the learning rate times the sign of the gradient, and
where a gradient is zero but for rounding (a bias before batch normalization) that sign is chance. What remains in single
variables comes from rectifiers whose input is zero but for rounding; one device whose slices are summed in another order is
as far from itself (second line of each model).
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

EPOCHS, STEPS = 2, 2
SIZE = {"image_size": 32, "batch_size": 8}
SMALL = {"channels": (8, 16), "latent_size": 16}
CASES = {
    "vae": (1e-3, SMALL),
    "dfc_vae": (1e-3, SMALL),
    "intro_vae": (1.0, {**SMALL, "ema": 0.9, "warmup_steps": 42, "learning_rate": 1e-3}),
    "style_gan": (
        1e-3,
        {
            "channels": (8, 8),
            "critic_channels": (8, 8),
            "latent_size": 16,
            "mapping_width": 16,
            "constant_size": 16,
            "ema": 0.9,
            "penalty_interval": 2,
        },
    ),
    "diffusion": (1e-3, {"channels": (8, 16), "blocks": 1, "embedding": 16, "sampler_steps": 2, "ema": 0.9}),
}
"""Epsilon, a thousandth of the scale of the gradients or so; and settings with statistics, hinge, branches, averages of weights
and groups of slices, each with what follows from it."""


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


def train(path: Path, devices: int, epsilon: float, reorder: bool = False, machines=None):
    """Log, and the variables, of a model trained on from its file on so many devices; None on a machine that is not the first.

    Args:
        path: of the model.
        devices: logical devices.
        epsilon: of Adam.
        reorder: hand the slices over, and their noise, in the order in which two devices get them.
        machines: those that train together.
    """
    import keras

    from dwikit import models, training
    from dwikit.backend import distribution
    from dwikit.backend.machines import ALONE

    machines = machines or ALONE
    with machines.scope(devices):
        model = models.load(path)
    for optimizer in (value for name, value in vars(model).items() if name.endswith("_optimizer")):
        optimizer.epsilon = epsilon
    slices = store()
    if reorder:
        draw, batches = model.draw_noise, slices.batches
        model.draw_noise = lambda n: keras.tree.map_structure(lambda a: keras.ops.concatenate([a[::2], a[1::2]]), draw(n))
        slices.batches = lambda *given: distribution.Dealt(batches(*given), 2)
    with tempfile.TemporaryDirectory() as folder:
        training.fit(model, slices, folder, EPOCHS, STEPS, health_checks=False, machines=machines)
        if not machines.first:
            return None
        log = training.read_log(Path(folder))
        again = models.load(Path(folder) / "model.keras")
    variables = [keras.ops.convert_to_numpy(variable) for variable in model.variables]
    for value, saved in zip(variables, again.variables):
        np.testing.assert_array_equal(value, keras.ops.convert_to_numpy(saved))
    weights = [value.astype(np.float64) for value in variables if value.dtype == np.float32]  # the others are seeds
    return log.drop(columns=["epoch", "seconds", "variety", "distance"]), weights


def deviation(a: np.ndarray, b: np.ndarray, floor: float = 1e-30) -> float:
    """Norm of the difference over that of the first, or over ``floor`` where that is smaller."""
    return float(np.linalg.norm(b - a) / max(np.linalg.norm(a), floor))


def compare(one: tuple, other: tuple) -> dict[str, float]:
    """Relative deviations of two trainings: terms of the loss, all weights, and the worst variable."""
    (log, weights), (other_log, others) = one, other
    assert list(log) == list(other_log) and [a.shape for a in weights] == [b.shape for b in others]
    whole = np.concatenate([a.ravel() for a in weights])
    floor = 1e-3 * np.linalg.norm(whole)
    return {
        "losses": max(deviation(log[name].to_numpy(), other_log[name].to_numpy()) for name in log),
        "weights": deviation(whole, np.concatenate([b.ravel() for b in others])),
        "worst": max(deviation(a, b, floor) for a, b in zip(weights, others)),
    }


def prepare(folder: Path, key: str) -> Path:
    """Write the model of a case."""
    from dwikit import models

    path, model = folder / f"{key}.keras", models.registry.network(key).from_preset("paper", **SIZE, **CASES[key][1])
    if key == "intro_vae":  # its first images are flat, and the encoder's normalization would magnify their rounding
        model.fit(store().batches("train", 8, steps=40), verbose=0)
    models.save(model, path)
    return path


def main() -> None:
    """Compare the cases that are named, or all, and print the table; with ``--json`` first, two devices only, as JSON."""
    two_devices()
    results, brief = {}, sys.argv[1:2] == ["--json"]
    keys = sys.argv[1 + brief :] or list(CASES)
    with tempfile.TemporaryDirectory() as folder:
        if not brief:
            print(f"{'model':10} {'':22} {'losses':>8} {'weights':>8} {'worst':>8}   (relative deviation from one device)")
        for key in keys:
            epsilon = CASES[key][0]
            path = prepare(Path(folder), key)
            one, two = train(path, 1, epsilon), train(path, 2, epsilon)
            results[key] = compare(one, two)
            rows = {"two devices": results[key]}
            if brief:
                continue
            rows["one, slices reordered"] = compare(one, train(path, 1, epsilon, reorder=True))
            for name, row in rows.items():
                print(f"{key:10} {name:22} " + " ".join(f"{value:8.1e}" for value in row.values()), flush=True)
    if brief:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
