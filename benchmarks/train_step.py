"""Images per second of a training step, beside PyTorch: ``python benchmarks/train_step.py [vae dfc_vae ...]``.

Every model at 128 x 128 and the preset ``paper``, the kit trained by ``fit`` as always (repeatable bit for bit, batches from
a ``SliceStore`` of simulated slices); PyTorch with the same network, loss and batch (``torch_models.py``) in four variants,
its batch already in memory. Each contestant has its own process, which waits for its turn; the turns rotate, so that a
machine that slows down does so for all. The table shows medians over rounds; the ratio is taken within each round, to the
PyTorch variant that is best over all rounds, and shown with its smallest and largest value.

GFLOP/s counts the multiplications and additions of a step's plain form (as PyTorch counts them), whoever runs it; beside
it is a product of two 2048 x 2048 matrices, timed in the same rounds.

A model measured with the same code is skipped (unless ``--fresh``). PyTorch's DFC-VAE uses VGG16 with random weights: the
arithmetic is the same.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from machine import changed_since, show, source

from dwikit import profiles
from dwikit.common import files, paths

TARGETS = {"vae": 1.3, "dfc_vae": 1.0, "intro_vae": 1.6, "intro_vae:0.5": 1.6, "style_gan": 1.5}
"""Times as fast as PyTorch, by network and, if not 1, width."""
VARIANTS = ("eager", "channels-last", "compiled", "compiled channels-last")
CODE = ("dwikit/models", "dwikit/backend", "dwikit/training/loop.py", "benchmarks/train_step.py", "benchmarks/torch_models.py")
"""What the numbers depend on."""
SIZE = 128
MARK = "RESULT "


# ==== In the processes of the contestants ====


class Turns:
    """Answers every line on standard input, a number of seconds, with images and seconds of at least one step."""

    def __init__(self, facts: dict):
        self.facts, self.steps, self.images, self.cold = facts, 0, 0, False

    def step_done(self, images: int) -> None:
        """Called after each step; blocks between turns.

        Neither the first two steps, which compile, nor the first step of a turn are counted: a system may drop the code of a
        process that has waited for half a minute.
        """
        now = time.perf_counter()
        self.steps, self.images = self.steps + 1, self.images + images
        if self.steps == 2:
            self._say(self.facts)
        elif self.cold:
            self.cold, self.images, self.start, self.processor_start = False, 0, now, time.process_time()
            return
        elif self.steps < 2 or now - self.start < self.seconds:
            return
        else:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            processor = time.process_time() - self.processor_start
            self._say({"images": self.images, "seconds": now - self.start, "processor": processor, "peak_gib": peak})
        line = sys.stdin.readline()
        if not line:
            os._exit(0)
        self.seconds, self.cold = float(line), True

    @staticmethod
    def _say(answer: dict) -> None:
        print(MARK + json.dumps(answer), flush=True)


def width_of(key: str) -> tuple[str, float]:
    """``intro_vae:0.5`` is a network and its width."""
    key, _, width = key.partition(":")
    return key, float(width or 1)


def dwikit_contestant(key: str, data: str, how: str = "") -> None:
    """The kit, ``without`` one of its quick forms (``changes.py``), or ``in bfloat16`` (``precision.py``)."""
    import keras

    from dwikit import models
    from dwikit.backend import gradients, kernels
    from dwikit.slices import SliceStore

    without = how.removeprefix("without ")
    if without in ("BatchNormalization", "all"):
        kernels.BACKEND = "none that has a kernel"
    if without in ("Adam", "all"):
        kernels.Adam = keras.optimizers.Adam
    if without in ("Conv2D", "all"):
        kernels.Conv2D.one_step = property(lambda layer: False, lambda layer, value: None)
    if how == "in bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    gradients.make_deterministic()
    key, width = width_of(key)
    section = profiles.resolve("paper").networks[key]
    model = models.registry.network(key).from_preset("paper", image_size=SIZE, width=width)
    model.steps_per_execution = section.steps_per_execution
    batch_size = model.config["batch_size"]
    networks = {"vae": ("encoder", "decoder"), "dfc_vae": ("encoder", "decoder"), "intro_vae": ("encoder", "generator")}
    names = networks.get(key, ("mapping", "synthesis", "critic"))
    count = sum(int(np.prod(v.shape)) for name in names for v in getattr(model, name).trainable_variables)
    turns = Turns({"parameters": count, "batch": batch_size})
    images = batch_size * section.steps_per_execution
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: turns.step_done(images))
    batches = SliceStore.open(data).batches("train", batch_size, steps=10_000)
    model.fit(batches, epochs=10_000, verbose=0, callbacks=[callback])


def torch_contestant(key: str, data: str, variant: str) -> None:
    import torch
    import torch_models
    from torch.utils.flop_counter import FlopCounterMode

    from dwikit.models import registry
    from dwikit.models.presets import preset

    torch.manual_seed(0)
    key, width = width_of(key)
    config = preset(registry.network(key), "paper", SIZE, width)
    model = torch_models.build(key, config, variant)
    batch = np.load(Path(data) / "images.npy")[: config["batch_size"]]
    batch = torch.from_numpy(batch.astype(np.float32) / 255)[:, None]
    facts = {"parameters": sum(torch_models.count(n) for n in model.networks()), "batch": len(batch)}
    if variant == "eager":
        with FlopCounterMode(display=False) as counter:
            model.step(batch)
        facts["flop"] = counter.get_total_flops()
    turns = Turns(facts)
    while True:
        model.step(batch)
        turns.step_done(len(batch))


def matrix_contestant() -> None:
    import tensorflow as tf

    a = tf.random.normal((2048, 2048))
    turns = Turns({})
    while True:
        tf.matmul(a, a).numpy()
        turns.step_done(2 * 2048**3)


# ==== In the process that runs the turns ====


class Contestant:
    """A process that works on command."""

    def __init__(self, key: str, name: str, data: str):
        self.name, command = name, [sys.executable, __file__, key, "--as", name, "--data", data]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        start = time.perf_counter()
        self.facts = self._answer()
        self.start_seconds = time.perf_counter() - start

    def _answer(self) -> dict | None:
        for line in self.process.stdout:
            if line.startswith(MARK):
                return json.loads(line.removeprefix(MARK))
        self.log.seek(0)
        print(f"  {self.name} does not run: {self.log.read()[-400:].strip()}", flush=True)
        return None

    def turn(self, seconds: float) -> dict:
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        answer = self._answer()
        if answer is None:
            raise RuntimeError(f"{self.name} stopped in the middle.")
        return answer

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def measure(key: str, data: str, rounds: int, seconds: float, names: tuple[str, ...]) -> dict:
    """All rounds of one model."""
    contestants = []
    for name in names:
        contestant = Contestant(key, name, data)
        if contestant.facts is None:
            continue
        print(f"  {name}: first two steps after {contestant.start_seconds:.0f} s", flush=True)
        contestants.append(contestant)
    facts = {c.name: c.facts for c in contestants}
    counts = {(f["parameters"], f["batch"]) for name, f in facts.items() if name != "matrix"}
    if len(counts) != 1:
        raise RuntimeError(f"The networks differ in parameters or batch: {facts}")
    speeds, processor_speeds, peaks = [], [], {}
    try:
        for i in range(rounds):
            answers = {c.name: c.turn(seconds) for c in contestants}
            speeds.append({name: a["images"] / a["seconds"] for name, a in answers.items()})
            processor_speeds.append({name: a["images"] / a["processor"] for name, a in answers.items()})
            peaks = {name: a["peak_gib"] for name, a in answers.items()}
            print(f"  round {i + 1}: " + ", ".join(f"{n} {v:.3g}" for n, v in speeds[-1].items()), flush=True)
    finally:
        for contestant in contestants:
            contestant.end()
    ours = facts["dwikit"]
    flop = facts.get("eager", {}).get("flop")
    readings = {"speeds": speeds, "processor_speeds": processor_speeds, "peaks": peaks}
    return {**ours, "flop": flop, "load": os.getloadavg()[0], **readings}


def row(key: str, result: dict) -> dict[str, str]:
    """One line of the table."""
    speeds = pd.DataFrame(result["speeds"])
    middle = speeds.median()
    best = middle.drop(["dwikit", "matrix"]).idxmax()
    ratios = speeds["dwikit"] / speeds[best]
    flop = result["flop"] / result["batch"] / 1e9
    return {
        "parameters": f"{result['parameters'] / 1e6:.1f} M",
        "batch": str(result["batch"]),
        "dwikit, img/s": f"{middle['dwikit']:.3g}",
        **{f"PyTorch {name}": f"{middle[name]:.3g}" if name in middle else "-" for name in VARIANTS},
        "ratio to the best": f"{ratios.median():.2f} ({ratios.min():.2f} to {ratios.max():.2f})",
        "wanted": f"{TARGETS[key]:.2f}",
        "GFLOP/s dwikit": f"{flop * middle['dwikit']:.0f}",
        "PyTorch": f"{flop * middle[best]:.0f}",
        "matrix product": f"{middle['matrix'] / 1e9:.0f}",
        "dwikit's share of it": f"{1e9 * flop * (speeds['dwikit'] / speeds['matrix']).median():.0%}",
        "GiB dwikit": f"{result['peaks']['dwikit']:.1f}",
        "PyTorch, GiB": f"{result['peaks'][best]:.1f}",
    }


def simulated_slices(folder: str) -> str:
    """A small store of slices."""
    from dwikit import slices
    from dwikit.cohorts import phantom

    settings = slices.SliceSettings.for_size(SIZE)
    slices.build(phantom.simulate_volumes(5, seed=0, workers=1, settings=settings), folder, settings)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("keys", nargs="*", default=tuple(TARGETS), help=", ".join(TARGETS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a turn, at least; a turn is one step or more")
    parser.add_argument("--variants", default=",".join(VARIANTS), help="of PyTorch, with commas; eager is always needed")
    parser.add_argument("--fresh", action="store_true", help="measure again what was already measured")
    parser.add_argument("--as", dest="name", help=argparse.SUPPRESS)
    parser.add_argument("--data", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.name and options.name.startswith("dwikit"):
        return dwikit_contestant(options.keys[0], options.data, options.name.removeprefix("dwikit").strip())
    if options.name == "matrix":
        return matrix_contestant()
    if options.name:
        return torch_contestant(options.keys[0], options.data, options.name)

    facts = source("python benchmarks/train_step.py")
    kept, folder = {}, paths.runs("benchmarks") / "train-step"
    with tempfile.TemporaryDirectory() as temporary:
        data = None
        for key in options.keys:
            path = folder / f"{key.replace(':', '-')}.json"
            result = files.read_json(path)
            if options.fresh or not result or changed_since(result["commit"], CODE):
                print(f"{key}:", flush=True)
                data = data or simulated_slices(f"{temporary}/slices")
                names = ("dwikit", *options.variants.split(","), "matrix")
                result = {"commit": facts["commit"], **measure(key, data, options.rounds, options.seconds, names)}
                files.write_json(path, result)
            kept[key] = result
    table = pd.DataFrame.from_dict({key: row(key, result) for key, result in kept.items()}, orient="index").rename_axis("model")
    show(table, "train-step", {**facts, "measured": kept})


if __name__ == "__main__":
    main()
