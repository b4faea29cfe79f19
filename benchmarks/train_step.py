"""Images a second and peak memory of a training step: ``python benchmarks/train_step.py [--preset paper] [--size 128] [keys]``.

Each model runs in a process of its own. Indicative only: the first two steps are left out, other work is not.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time

KEYS = ("vae", "dfc_vae", "intro_vae", "style_gan")


def measure(key: str, preset: str, size: int, batch_size: int | None, steps: int) -> dict:
    """Run a few steps in this process."""
    import keras
    import numpy as np

    from dwikit import models
    from dwikit.models import features

    extra = {"batch_size": batch_size} if batch_size else {}
    if key == "dfc_vae":  # the cost of VGG16 is that of its three blocks, whatever its weights
        features.imagenet_weights = lambda network: None
    model = models.BY_KEY[key].from_preset(preset, image_size=size, **extra)
    batch = np.random.default_rng(0).random((model.config["batch_size"], size, size, 1), np.float32)
    start = time.perf_counter()
    for _ in range(2):
        model.train_on_batch(batch)
    compilation, start = time.perf_counter() - start, time.perf_counter()
    for _ in range(steps):
        model.train_on_batch(batch)
    seconds = (time.perf_counter() - start) / steps
    return {
        "model": key,
        "preset": preset,
        "size": size,
        "backend": keras.backend.backend(),
        "batch": len(batch),
        "images_per_second": round(len(batch) / seconds, 1),
        "first_two_steps_s": round(compilation, 1),
        "peak_memory_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("keys", nargs="*", default=KEYS)
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=None)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(options.keys[0], options.preset, options.size, options.batch_size, options.steps)))
        return
    for key in options.keys:
        command = [sys.executable, __file__, key, "--here", "--preset", options.preset, "--size", str(options.size)]
        command += ["--steps", str(options.steps)]
        command += ["--batch-size", str(options.batch_size)] if options.batch_size else []
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        print(done.stdout.strip().splitlines()[-1] if done.returncode == 0 else done.stderr[-2000:], flush=True)


if __name__ == "__main__":
    main()
