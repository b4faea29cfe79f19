"""Where the time of a training step goes: ``python benchmarks/step_profile.py [intro_vae intro_vae:0.5 ...]``.

Every network at 128 x 128 and the preset ``paper``, float32, on one thread, so that the kernels of TensorFlow do not overlap
and their times add up to the step. A column is the share of a kind of kernel; "convolutions" are also shown as GFLOP/s beside a
product of two 2048 x 2048 matrices on the same thread: what is left to gain there, and what elsewhere. Arithmetic is counted in
the plain form of the step, as everywhere.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from machine import show, source
from train_step import SIZE, TARGETS, width_of

STEPS = 3
KINDS = {
    "convolutions": ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter"),
    "normalization": ("BatchNorm",),
    "dense": ("MatMul", "BatchMatMul"),
    "optimizer": ("ResourceApply", "AssignAdd", "AssignSub"),
    "bias": ("BiasAdd",),
    "activation": ("Relu", "LeakyRelu", "Sigmoid", "Tanh"),
    "pooling, doubling": ("AvgPool", "MaxPool", "ResizeNearest", "ResizeBilinear"),
    "sums": ("Sum", "Mean", "AddN", "SquaredDifference"),
    "copies": ("Transpose", "Concat", "Slice", "StridedSlice", "Pad", "Tile", "BroadcastTo", "Reshape", "ToTf", "Cast"),
}
"""Kind -> beginnings of the names of its kernels, the longest match first; what is left is "other"."""
CALLS = ("StatefulPartitionedCall", "PartitionedCall", "If", "StatelessIf", "Case", "While", "StatelessWhile")
"""Operations that only call others."""


def kind(operation: str) -> str:
    """The kind of a kernel by the name of its operation."""
    for start in ("_MklNative", "_Mkl", "_Fused", "Fused"):
        operation = operation.removeprefix(start)
    starts = ((len(start), label) for label, names in KINDS.items() for start in names if operation.startswith(start))
    return max(starts, default=(0, "other"))[1]


def kernels(folder: str) -> Counter:
    """Seconds by operation in the trace that TensorFlow's profiler has left in a folder."""
    from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

    seconds = Counter()
    for path in Path(folder).rglob("*.xplane.pb"):
        space = XSpace.FromString(path.read_bytes())
        for plane in space.planes:
            names = {number: one.name for number, one in plane.event_metadata.items()}
            for line in plane.lines:
                for event in line.events:
                    name, _, operation = names[event.metadata_id].rpartition(":")
                    if name and not name.endswith(":") and operation.isidentifier() and not operation.startswith(CALLS):
                        seconds[operation] += event.duration_ps / 1e12
    return seconds


def profile(key: str) -> dict[str, str]:
    """One row, of a process of its own."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from dwikit.backend import gradients
    from dwikit.models import cost, registry

    gradients.make_deterministic()
    name, width = width_of(key)
    model = registry.network(name).from_preset("paper", image_size=SIZE, width=width)
    batch = model.config["batch_size"]
    images = np.random.default_rng(0).random((batch, SIZE, SIZE, 1), dtype=np.float32)
    for _ in range(2):
        model.train_on_batch(images)
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        start = time.perf_counter()
        for _ in range(STEPS):
            model.train_on_batch(images)
        step = (time.perf_counter() - start) / STEPS
        tf.profiler.experimental.stop()
        found = kernels(folder)
    shares = Counter()
    for operation, seconds in found.items():
        shares[kind(operation)] += seconds / STEPS / step
    matrix = tf.constant(np.random.default_rng(0).random((2048, 2048), dtype=np.float32))
    tf.linalg.matmul(matrix, matrix)
    start = time.perf_counter()
    for _ in range(5):
        tf.linalg.matmul(matrix, matrix).numpy()
    product = 5 * 2 * 2048**3 / (time.perf_counter() - start) / 1e9
    work = batch * cost.operations(model)["training"] / 1e9
    others = [operation for operation, _ in found.most_common() if kind(operation) == "other"][:2]
    return {
        "s a step": f"{step:.2f}",
        **{label: f"{shares[label]:.0%}" for label in KINDS},
        "other": f"{shares['other']:.0%} ({', '.join(others)})",
        "no kernel": f"{1 - sum(shares.values()):.0%}",
        "convolutions, GFLOP/s": f"{work / (shares['convolutions'] * step):.0f}",
        "matrix product": f"{product:.0f}",
        "whole step": f"{work / step:.0f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("keys", nargs="*", default=tuple(TARGETS), help=", ".join(TARGETS))
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        return print(json.dumps(profile(options.keys[0])))
    rows = {}
    for key in options.keys:
        command = [sys.executable, __file__, key, "--one"]
        lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
        rows[key] = json.loads(lines[-1])
        print(key, rows[key], flush=True)
    show(
        pd.DataFrame.from_dict(rows, orient="index").rename_axis("model"),
        "step-profile",
        source("python benchmarks/step_profile.py"),
    )


if __name__ == "__main__":
    main()
