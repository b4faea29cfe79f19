"""How many latents the DFC-VAE uses at the printed and the released weight: ``python benchmarks/active_latents.py``.

The preset ``paper`` at 64 x 64 pixels on simulated slices, with ImageNet's VGG16: weights 2e-9 (printed) and 2e-8 (released)
of the perceptual loss, images fed to VGG16 in [0, 1] (released code) or as in its training (Caffe's range), 200 latents (as
printed) and the 32 of the profile ``quick``. The loss is the paper's; the learning rate and its decay are those of the profile
``hours``. A latent is active if its posterior mean varies by more than 0.01 over the slices of people whom no training saw.
Latents that do not pay fade slowly, so beside the count stands what the best linear VAE would code in the end (07, section 6;
at 32 x 32 pixels).

Each training resumes where it stopped; ``--minutes 3`` ends after a complete epoch, and the same call goes on.
"""

import argparse
import functools
import time

import keras
import numpy as np
import pandas as pd
from machine import show, source

from dwikit import profiles, slices, training
from dwikit.cohorts import phantom
from dwikit.common import paths
from dwikit.course import contrasts
from dwikit.models import DFCVAE, features, losses
from dwikit.models.presets import preset
from dwikit.slices import SliceStore

PEOPLE, SIZE, STEPS = 40, 64, 100
FOLDER = paths.runs("benchmarks") / "active-latents"
WEIGHTS = {2e-9: "printed", 2e-8: "released"}
CASES = [(weight, *case) for case in (("unit", 200), ("unit", 32), ("caffe", 200)) for weight in WEIGHTS]


def simulated(folder) -> SliceStore:
    """The slices, made once."""
    if not (folder / "settings.json").is_file():
        slices.build(phantom.simulate_volumes(PEOPLE, seed=11), folder, slices.SliceSettings.for_size(SIZE))
    return SliceStore.open(folder)


def section(weight: float, range_: str, latents: int, epochs: int) -> dict:
    """One training, as a section of a profile."""
    rate = {name: profiles.resolve("hours").networks["dfc_vae"].model[name] for name in ("learning_rate", "decay")}
    model = {"feature_weight": weight, "feature_input": range_, "latent_size": latents, **rate}
    size = {"batch_size": 8, "epochs": epochs, "steps_per_epoch": STEPS, "mixed_precision": True}
    return {"preset": "paper", "health": False, "model": model, **size}


@functools.cache
def spectrum(range_: str) -> np.ndarray:
    """Variances of the features of the training slices along their principal components."""
    said, images = preset(DFCVAE), contrasts.small(simulated(FOLDER / "slices")).split("train")
    network = features.load(said["feature_layers"], said["feature_network"], range_)
    return contrasts.spectrum(contrasts.feature_vectors(network, images[:: max(1, len(images) // 250)]))


def row(run: training.Run, images: np.ndarray) -> dict[str, str]:
    """What came of it, on held-out slices."""
    model = run.model
    price = model.config["feature_weight"] * model.config["reference_batch"] * (128 / contrasts.SIZE) ** 2
    worth, _ = contrasts.water_filling(spectrum(model.config["feature_input"]), price, 1 / model.latent_size, model.latent_size)
    batch = images[..., None].astype(np.float32) / 255
    mean, log_variance = model.encoder.predict(batch, batch_size=64, verbose=0)
    kl = keras.ops.convert_to_numpy(losses.kl_per_latent(mean, log_variance)).mean(axis=0)
    error = np.mean(np.square(model.reconstruct(images) - batch))
    weight, active = model.config["feature_weight"], model.active_latents(images)
    return {
        "weight": f"{weight:.0e} ({WEIGHTS[weight]})",
        "input of VGG16": {"unit": "[0, 1]", "caffe": "Caffe's"}[model.config["feature_input"]],
        "latents": str(model.latent_size),
        "steps": str(model.epochs_done * STEPS),
        "active": str(active),
        "worth coding": str(worth),
        "KL, nats": f"{kl.sum():.1f}",
        "variety of samples": f"{run.log['variety'].iloc[-1]:.2f}",
        "MSE of the pixels": f"{error:.4f}",
        "MSE of the mean slice": f"{np.mean(np.var(batch, axis=0)):.4f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, help="stop after a complete epoch before these have passed")
    parser.add_argument("--epochs", type=int, default=20, help=f"of {STEPS} steps; more go on from fewer")
    options = parser.parse_args()
    start, store = time.perf_counter(), simulated(FOLDER / "slices")
    images, rows = store.images[~np.isin(np.arange(len(store.images)), store.indices("train"))], {}
    for case in CASES:
        left = options.minutes and options.minutes - (time.perf_counter() - start) / 60
        config = profiles.resolve("smoke", dfc_vae=section(*case, options.epochs))
        run = training.train("dfc_vae", config, store, FOLDER / "-".join(map(str, case)), minutes=left and max(left, 0.01))
        if run.model.epochs_done < options.epochs:
            print(f"{case}: {run.model.epochs_done} of {options.epochs} epochs; the same command goes on.")
            return
        rows[len(rows)] = row(run, images)
        print(rows[len(rows) - 1], flush=True)
    table = pd.DataFrame.from_dict(rows, orient="index").set_index("weight")
    show(table, "active-latents", source("python benchmarks/active_latents.py"))


if __name__ == "__main__":
    main()
