"""An epoch as ``quick`` trains it, smaller, from the same initial weights on each backend: losses, steps taken, batches.

``python tests/backend/epoch_worker.py FOLDER NETWORK SEED...`` prints it as JSON for the backend that ``KERAS_BACKEND`` names.
TensorFlow goes first and writes the initial weights. Seeds are those of the noise.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from distribution_worker import store

STEPS = 60
CASES = {
    "vae": {"channels": [8, 16]},
    "style_gan": {"channels": [8, 8, 8], "critic_channels": [8, 8, 8], "latent_size": 16, "mapping_width": 16},
}
"""Settings that make quick's networks small."""


def epoch(key: str, folder: Path, seed: int) -> dict:
    """The log of one epoch, the counts of the optimizers, and the step of every batch that was asked for."""
    import keras

    from dwikit import models, profiles, training
    from dwikit.slices.batches import Batches

    section = profiles.resolve("quick", image_size=32, **{key: {"model": CASES[key]}}).networks[key]
    path, network = folder / f"{key}.keras", models.registry.network(key)
    if not path.exists():
        settings = {**section.model, "batch_size": section.batch_size}
        models.save(network.from_preset(section.preset, image_size=32, **settings), path)
    model = models.load(path)
    model.noise_seed.state.assign(keras.random.SeedGenerator(seed).state)
    model.steps_per_execution = section.steps_per_execution
    assert section.steps_per_execution > 1
    asked, serve = [], Batches.__getitem__
    Batches.__getitem__ = lambda batches, step: asked.append(step) or serve(batches, step)
    out = folder / f"{key}-{keras.backend.backend()}-{seed}"
    training.fit(model, store(), out, 1, STEPS, health_checks=False)
    Batches.__getitem__ = serve
    log = training.read_log(out).drop(columns=["epoch", "seconds", "variety", "distance"]).iloc[0].to_dict()
    counts = [int(value.iterations) for name, value in vars(model).items() if name.endswith("_optimizer")]
    return {"log": log, "iterations": counts, "asked": asked}


if __name__ == "__main__":
    where, network = Path(sys.argv[1]), sys.argv[2]
    print(json.dumps([epoch(network, where, int(seed)) for seed in sys.argv[3:]]))
