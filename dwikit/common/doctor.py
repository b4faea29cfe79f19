"""What is installed here, what is missing, and what to do about it."""

import importlib.util
import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, distributions, version

from dwikit.common import keras_settings, paths

NEEDED = [
    "numpy",
    "scipy",
    "pandas",
    "nibabel",
    "nilearn",
    "antspyx",
    "keras",
    "matplotlib",
    "papermill",
    "jupyterlab",
    "ipywidgets",
]
EXTRAS = {
    "course": ("grading the exercises", ["nbgrader"]),
    "book": ("a website of notebooks and pages, slides", ["sphinx", "myst-nb", "sphinx-revealjs"]),
    "scale": ("preprocessing on many machines", ["dask", "distributed"]),
    "acquire": ("DICOM, PACS, open cohorts", ["dcm2niix", "pydicom", "pynetdicom", "requests", "xlrd"]),
    "logs": ("training logs in TensorBoard", ["tensorboard"]),
    "backends": ("other Keras backends", ["torch", "jax"]),
    "export": ("generators as ONNX", ["onnx", "onnxruntime", "tf2onnx"]),
    "gpu": ("TensorFlow on NVIDIA cards", ["nvidia-cudnn-cu12"]),
}
"""Extras of pyproject.toml: the purpose and packages of each."""
BACKENDS = {"tensorflow": "tensorflow", "torch": "torch", "jax": "jax"}
FREE_GB = 5
LARGEST = 5
"""Packages whose size is shown."""
LIBRARIES = ("keras", "tensorflow", "jax", "torch", "numpy", "scipy", "scikit-learn", "antspyx", "opencv-python-headless")


def report() -> tuple[str, bool]:
    """A text for the terminal, and whether everything needed is installed."""
    lines, healthy = [f"Python {platform.python_version()} on {platform.platform()}, {os.cpu_count()} cores"], True
    for name in NEEDED:
        found = _version(name)
        healthy &= found is not None
        lines.append(f"  {name:14} {found or 'MISSING: run make .venv/.ready in the folder of the kit'}")
    backend = keras_settings.backend()
    for name in BACKENDS:
        found = _version(name)
        mark = " (used by Keras)" if name == backend else ""
        if name == backend and found is None:
            healthy = False
            found = "MISSING"
        lines.append(f"  {name:14} {found or 'not installed'}{mark}")
    wrong = keras_settings.complaints()
    healthy &= not wrong
    lines += [f"  PROBLEM: {reason}" for reason in wrong]
    for name, (found, used) in keras_settings.differences().items():
        lines.append(f"  {keras_settings.file()} says {name}: {found}; the kit uses {used}, in its own processes only")
    lines.append("Extras (.venv/bin/python -m pip install -e '.[NAME]' -c constraints.txt):")
    for name, (use, packages) in EXTRAS.items():
        missing = [package for package in packages if _version(package) is None]
        lines.append(f"  {name:14} {use}: {'not installed: ' + ', '.join(missing) if missing else 'installed'}")
    lines.append(gpus(backend) if not wrong else "GPU: unknown until Keras can start")
    largest = sorted(sizes().items(), key=lambda item: -item[1])
    shown = ", ".join(f"{name} {size / 1e9:.1f}" for name, size in largest[:LARGEST])
    lines.append(f"Packages: {sum(size for _, size in largest) / 1e9:.1f} GB, the largest of them {shown}")
    free = shutil.disk_usage(paths.project()).free / 1e9
    enough = free > FREE_GB
    healthy &= enough
    remedy = "" if enough else f": LOW, a quick run needs {FREE_GB} GB; free some, or set DWIKIT_RUNS to another disk"
    lines.append(f"Disk: {free:.0f} GB free at {paths.project().name}/{remedy}")
    lines.append(
        f"Notebooks: {'found' if (paths.notebooks() / '01_preprocess.ipynb').is_file() else 'not here; clone the repository'}"
    )
    lines.append("Everything needed is here." if healthy else "Something is missing: see the lines in capitals.")
    return "\n".join(lines), healthy


def versions() -> dict[str, str | None]:
    """Versions of the libraries that affect results; None if not installed."""
    return {name: _version(name) for name in LIBRARIES}


def sizes() -> dict[str, int]:
    """Bytes of each installed package, as its installer noted them."""
    return {package.name: sum(file.size or 0 for file in package.files or ()) for package in distributions()}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def graphics_cards(backend: str) -> list[str]:
    """Names of the GPUs that an installed backend sees."""
    if backend == "tensorflow":
        import tensorflow as tf

        found = tf.config.list_physical_devices("GPU")
        return [tf.config.experimental.get_device_details(device).get("device_name", "GPU") for device in found]
    if backend not in BACKENDS:
        return []
    if backend == "torch":
        import torch

        return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    import jax

    return [device.device_kind for device in jax.devices() if device.platform == "gpu"]


def machine() -> str:
    """The hardware that Keras uses here, in words: GPUs if it sees any, and CPU cores."""
    backend = keras_settings.backend()
    return ", ".join([*graphics_cards(backend), f"{os.cpu_count()} CPU cores ({platform.machine()})"])


def gpus(backend: str) -> str:
    """One line on the GPUs that the backend sees."""
    if importlib.util.find_spec(backend) is None:
        return f"GPU: unknown, {backend} is not installed"
    if found := graphics_cards(backend):
        return f"GPU: {', '.join(found)}, seen by {backend}"
    return (
        f"GPU: none seen by {backend}; profile quick is made for CPUs. With an NVIDIA card: install the extra gpu, then "
        "run dwikit doctor again"
    )
