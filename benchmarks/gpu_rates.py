"""Images per second of a training step on a GPU: ``KERAS_BACKEND=jax python benchmarks/gpu_rates.py`` (or torch, tensorflow).

Every network at 128 x 128 and the preset ``paper``: with a batch that fills a GPU and the paper's, in single precision and in
mixed precision (bfloat16), uncompiled and compiled (on JAX always compiled). Beside them: the rate that the paper's epochs
in 48 hours on a GTX 1080 imply, and the arithmetic: operations by ``dwikit.models.cost``, which counts the plain form of
a step.

All variants of one network and batch start from the same weights and see the same batches and noise, so their losses must
agree: the column deviation is the largest relative distance of any term's running average from that of the first variant.

Each variant has its own process; the clock starts after ``--warm-up`` steps and stops when the GPU's work is done. A variant
already measured is skipped (unless ``--fresh``), so with ``--minutes 9`` the command can be run in pieces; the
exit status is 75 while variants are left. ``--trace`` measures nothing: it lists the operations that take the most time.
"""

import argparse
import glob
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pandas as pd
from machine import show, source

from dwikit import paper
from dwikit.common import files, paths
from dwikit.models import registry

BATCHES = {"vae": 512, "dfc_vae": 128, "intro_vae": 128, "style_gan": 64}
"""Batches that fill a GPU; the second batch of each network is the paper's."""
WANTED = {"vae": 20, "dfc_vae": 10, "intro_vae": 10, "style_gan": 10}
"""Multiple of the paper's rate."""
MARK = "RESULT "
UNFINISHED = 75
TRACED = 10
"""Steps of a trace."""


# ==== In the process of a variant ====


class Clock:
    """Steps, seconds and losses of a training; ends it when the seconds have passed.

    Backends queue work and return, so only a fetched value shows that a step is done: one is fetched every few steps.
    """

    def __init__(self, seconds: float, warm_up: int, every: int, trace: bool):
        self.seconds, self.warm_up, self.every, self.trace = seconds, warm_up, every, trace
        self.step, self.start, self.losses, self.operations = 0, math.inf, [], {}

    def __call__(self, model, logs: dict) -> None:
        self.step += 1
        if self.trace and self.step == self.warm_up:
            self.tracer = Tracer()
        if self.trace and self.step == self.warm_up + TRACED:
            _fetch(logs)
            self.operations, model.stop_training = self.tracer.stop(), True
        if self.trace or (self.step % self.every and self.step != self.warm_up):
            return
        self.losses.append({"step": self.step, **_fetch(logs)})
        now = time.perf_counter()
        if self.step == self.warm_up:
            self.start = now
        elif now - self.start > self.seconds:
            self.elapsed, self.timed, model.stop_training = now - self.start, self.step - self.warm_up, True


def _fetch(logs: dict) -> dict[str, float]:
    return {name: float(value) for name, value in logs.items()}


class Tracer:
    """Time by operation, from its creation to ``stop``."""

    def __init__(self):
        import keras

        self.backend = keras.backend.backend()
        if self.backend == "jax":
            import jax

            self.folder = tempfile.TemporaryDirectory()
            jax.profiler.start_trace(self.folder.name)
        elif self.backend == "torch":
            import torch

            activities = [torch.profiler.ProfilerActivity.CPU]
            activities += [torch.profiler.ProfilerActivity.CUDA] if torch.cuda.is_available() else []
            self.profiler = torch.profiler.profile(activities=activities)
            self.profiler.__enter__()
        else:
            sys.exit("Traces are made on JAX and PyTorch: set KERAS_BACKEND.")

    def stop(self, most: int = 20) -> dict[str, float]:
        """Milliseconds per step of the slowest operations, on the GPU if there is one."""
        if self.backend == "torch":
            self.profiler.__exit__(None, None, None)
            seconds = Counter()
            for row in self.profiler.key_averages():
                seconds[row.key] = (row.self_device_time_total or row.self_cpu_time_total) / 1e3
            return {name: value / TRACED for name, value in seconds.most_common(most)}
        import jax

        jax.profiler.stop_trace()
        seconds = Counter()
        (path,) = glob.glob(f"{self.folder.name}/**/*.xplane.pb", recursive=True)
        planes = list(jax.profiler.ProfileData.from_file(path).planes)
        on_gpu = [plane for plane in planes if plane.name.startswith("/device:GPU")]
        for plane in on_gpu or planes:
            for line in plane.lines:
                if not on_gpu or line.name.startswith("Stream"):
                    for event in line.events:
                        seconds[event.name] += event.duration_ns / 1e6
        return {name: value / TRACED for name, value in seconds.most_common(most)}


def variant(key: str, options: argparse.Namespace) -> dict:
    """Train one variant for its time."""
    import keras

    from dwikit.backend import gradients
    from dwikit.common import doctor
    from dwikit.models import cost
    from dwikit.slices import SliceStore

    if options.precision == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    if not options.compiled:
        gradients.make_deterministic()  # as `dwikit train` does
    model = registry.network(key).from_preset("paper", image_size=options.size, width=options.width, batch_size=options.batch)
    model.jit_compile = options.compiled
    clock = Clock(options.seconds, options.warm_up, options.every, options.trace)
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: clock(model, logs))
    batches = SliceStore.open(options.data).batches("train", options.batch, steps=10**6)
    model.fit(batches, epochs=1, verbose=0, callbacks=[callback])
    if options.trace:
        return {"operations": clock.operations}
    rate, found = clock.timed * options.batch / clock.elapsed, cost.operations(model)
    return {
        "images_per_second": rate,
        "steps": clock.timed,
        "seconds": clock.elapsed,
        "gflop_per_image": found["training"] / 1e9,
        "tflops": rate * found["training"] / 1e12,
        "parameters": found["parameters"],
        "losses": clock.losses,
        "machine": doctor.machine(),
    }


# ==== In the process that starts them ====


def variants(keys: list[str], backend: str, batches: dict[str, list[int]], compiled: list[bool]) -> list[dict]:
    """The variants in order; the losses of others are compared with the first of a network and batch."""
    from itertools import product

    choices = [True] if backend == "jax" else compiled
    return [
        {"key": key, "batch": batch, "precision": precision, "compiled": jit, "backend": backend}
        for key in keys
        for batch, precision, jit in product(batches[key], ("float32", "bfloat16"), choices)
    ]


def run(wanted: dict, options: argparse.Namespace, data: str) -> dict:
    """The answer of a separate process, or what went wrong."""
    command = [sys.executable, __file__, wanted["key"], "--data", data, "--batch", str(wanted["batch"])]
    command += ["--precision", wanted["precision"]] + ["--compiled"] * wanted["compiled"] + ["--trace"] * options.trace
    for name in ("size", "width", "seconds", "warm_up", "every"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    done = subprocess.run(command, env={**os.environ, "KERAS_BACKEND": wanted["backend"]}, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if done.returncode or not lines:
        return {"failed": done.stderr.strip()[-400:]}
    return json.loads(lines[-1].removeprefix(MARK))


def deviation(result: dict, reference: dict) -> float:
    """Largest relative distance of a term's running averages, over the steps that both have after the warm-up."""
    theirs, worst = {row["step"]: row for row in reference["losses"]}, 0.0
    for row in result["losses"]:
        for name in set(row) - {"step"} if row["step"] in theirs else ():
            size = max(abs(theirs[row["step"]][name]), max(abs(v) for n, v in theirs[row["step"]].items() if n != "step") / 100)
            worst = max(worst, abs(row[name] - theirs[row["step"]][name]) / size)
    return worst


def line(wanted: dict, result: dict, reference: dict) -> dict[str, str]:
    """One row of the table."""
    compiled = {True: "yes", False: "no"}[wanted["compiled"]]
    facts = {"batch": str(wanted["batch"]), "precision": wanted["precision"], "compiled": compiled, "on": wanted["backend"]}
    if "failed" in result:
        return facts | {"img/s": f"failed: {result['failed'].splitlines()[-1][:80] if result['failed'] else 'no answer'}"}
    theirs = paper.EPOCHS[wanted["key"]] * paper.N_SLICES / (paper.TRAINING_HOURS * 3600)
    return facts | {
        "img/s": f"{result['images_per_second']:.4g}",
        "TFLOP/s": f"{result['tflops']:.3g}",
        "paper, img/s": f"{theirs:.0f}",
        "times": f"{result['images_per_second'] / theirs:.1f}",
        "wanted": f"{WANTED[wanted['key']]}",
        "steps timed": f"{result['steps']}",
        "deviation of losses": f"{deviation(result, reference):.1e}" if "losses" in reference else "-",
    }


def simulated_slices(folder: Path, size: int, batch: int) -> str:
    """A store with at least two batches of training slices, made once."""
    from dwikit import slices
    from dwikit.cohorts import phantom

    cases = max(5, math.ceil(2 * batch / 26 / 0.8))
    folder = folder / f"slices-{size}-{cases}"
    if not folder.is_dir():
        settings = slices.SliceSettings.for_size(size)
        slices.build(phantom.simulate_volumes(cases, seed=0, settings=settings), folder, settings)
    return str(folder)


def main() -> int | None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("keys", nargs="*", default=list(BATCHES), help=", ".join(BATCHES))
    parser.add_argument("--seconds", type=float, default=60.0, help="time of each variant; default %(default)s")
    parser.add_argument("--minutes", type=float, default=math.inf, help="start no variant after this many")
    parser.add_argument("--batch", type=int, help="batch size, instead of the two of each network")
    parser.add_argument("--size", type=int, default=128, help="pixels along one side; default %(default)s")
    parser.add_argument("--width", type=float, default=1.0, help="multiplies channels")
    parser.add_argument("--warm-up", type=int, default=20, help="steps before the clock starts; default %(default)s")
    parser.add_argument("--every", type=int, default=10, help="steps between two readings; default %(default)s")
    parser.add_argument("--no-jit", action="store_true", help="measure no compiled variants, except on JAX")
    parser.add_argument("--fresh", action="store_true", help="measure again what was measured before")
    parser.add_argument("--trace", action="store_true", help="list what takes the most time instead")
    parser.add_argument("--precision", default="float32", help=argparse.SUPPRESS)
    parser.add_argument("--compiled", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--data", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.data:
        return print(MARK + json.dumps(variant(options.keys[0], options)), flush=True)

    start, backend = time.perf_counter(), os.environ.get("KERAS_BACKEND", "tensorflow")
    batches = {key: [BATCHES[key], registry.network(key).presets["paper"]["batch_size"].value] for key in options.keys}
    batches = {key: [options.batch] for key in options.keys} if options.batch else batches
    folder = paths.runs("benchmarks")
    command = f"KERAS_BACKEND={backend} python benchmarks/gpu_rates.py"
    command += "".join(
        f" --{name} {getattr(options, name):g}" for name in ("size", "width") if getattr(options, name) not in (128, 1)
    )
    data = simulated_slices(folder, options.size, max(max(sizes) for sizes in batches.values()))
    todo = variants(options.keys, backend, batches, [False] if options.no_jit else [False, True])
    if options.trace:
        for wanted in todo:
            print(wanted, json.dumps(run(wanted, options, data), indent=1), flush=True)
        return None
    path = folder / f"gpu-rates-{options.size}-{options.width:g}.json"
    results = {} if options.fresh else files.read_json(path) or {}
    for wanted in todo:
        name = " ".join(map(str, wanted.values()))
        if name in results:
            continue
        if time.perf_counter() - start > 60 * options.minutes:
            print(f"{len([w for w in todo if ' '.join(map(str, w.values())) not in results])} variants are left: run it again.")
            return UNFINISHED
        results[name] = {"wanted": wanted, **run(wanted, options, data)}
        files.write_json(path, results)
        print(name, {key: value for key, value in results[name].items() if key not in ("wanted", "losses")}, flush=True)
    rows = []
    for result in results.values():
        wanted = result["wanted"]
        same = [r for r in results.values() if all(r["wanted"][k] == wanted[k] for k in ("key", "batch", "backend"))]
        rows.append({"network": paper.LABELS[wanted["key"]], **line(wanted, result, same[0])})
    facts = {**source(command), "backend": backend, "measured": results}
    show(pd.DataFrame(rows).fillna("-").set_index("network"), "gpu-rates", facts)
    return None


if __name__ == "__main__":
    sys.exit(main())
