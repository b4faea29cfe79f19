"""The repository holds together: one list of dependencies, style, light imports, notebooks as promised."""

import ast
import contextlib
import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dwikit import cli

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_conda_users_get_the_same_dependencies():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    [pip] = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == PYPROJECT["project"]["dependencies"]
    assert f"python{PYPROJECT['project']['requires-python']}" in environment["dependencies"]


def test_constraints_name_one_version_of_every_dependency():
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    pins = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    wanted = PYPROJECT["project"]["dependencies"] + PYPROJECT["project"]["optional-dependencies"]["test"]
    for requirement in wanted:
        name = re.match(r"[\w-]+", requirement).group().lower().replace("_", "-")
        assert name in pins, f"{name} is not in constraints.txt"


def brought(*requirements: str) -> set[str]:
    """Names of the distributions that some requirements bring, with all that those need."""
    found, left = set(), [Requirement(text) for text in requirements]
    while left:
        one = left.pop()
        if one.name in found and not one.extras:
            continue
        found.add(one.name)
        with contextlib.suppress(metadata.PackageNotFoundError):
            for child in map(Requirement, metadata.requires(one.name) or []):
                if not child.marker or any(child.marker.evaluate({"extra": extra}) for extra in ("", *one.extras)):
                    left.append(child)
    return {canonicalize_name(name) for name in found}


def test_everything_imported_comes_with_the_kit_or_an_extra():
    """What only the tests install is no part of the kit."""
    extras = PYPROJECT["project"]["optional-dependencies"]
    others = [requirement for name, group in extras.items() if name != "test" for requirement in group]
    allowed = brought(*PYPROJECT["project"]["dependencies"], *others)
    trees = [ast.walk(ast.parse(path.read_text())) for path in (ROOT / "dwikit").rglob("*.py")]
    nodes = [node for tree in trees for node in tree]
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    sources = metadata.packages_distributions()
    missing = {}
    for name in {name.split(".")[0] for name in imported} - {"dwikit"} - sys.stdlib_module_names:
        distributions = {canonicalize_name(distribution) for distribution in sources.get(name, [])}
        if distributions and not distributions & allowed:
            missing[name] = distributions
    assert not missing and "numpy" in sources


@pytest.mark.parametrize("command", [["check", "--output-format", "concise"], ["format", "--check"]])
def test_style(command):
    result = subprocess.run([sys.executable, "-m", "ruff", *command, "."], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


BLOCK = """
import sys, importlib.abc

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"tensorflow", "ants", "cv2"}:
            raise ImportError(f"{name} must not be needed here")

sys.meta_path.insert(0, Block())
import numpy as np
import dwikit, dwikit.models, dwikit.slices, dwikit.metrics, dwikit.training
from dwikit.cohorts import phantom

if __name__ == "__main__":
    volumes = list(phantom.simulate_volumes(3, workers=1))
    store = dwikit.slices.build(volumes, sys.argv[1], image_size=32)
    dwikit.metrics.laplace_variance(store.images[:2])
    print(dwikit.models.VAE.from_preset(image_size=32, channels=(8, 16)).sample(2).shape)
"""


def test_data_models_and_metrics_need_neither_tensorflow_nor_ants_nor_opencv(tmp_path):
    """As on a GPU machine with JAX or PyTorch alone; Keras's numpy backend stands in for them."""
    script = tmp_path / "script.py"
    script.write_text(BLOCK)
    result = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "slices")],
        env={"KERAS_BACKEND": "numpy", "PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.stdout.strip().endswith("(2, 32, 32, 1)"), result.stderr


def test_the_tracked_tree_is_small():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    sizes = [(ROOT / name).stat().st_size for name in tracked.stdout.splitlines() if (ROOT / name).is_file()]
    assert sum(sizes) < 40e6


def test_reproduce_runs_every_notebook_in_order():
    assert cli.STUDY == [path.stem for path in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_keeps_its_promises(path):
    assert path.stat().st_size < 400_000
    cells = json.loads(path.read_text())["cells"]
    text = "".join(cells[0]["source"])
    assert text.startswith("# ") and "**Question.**" in text and "**You will be able to**" in text
    for row in ("| Minutes |", "| Paper |", "| Needs |", "| Makes |"):
        assert row in text
    assert all(f"`{profile}`" in text for profile in ("smoke", "quick", "paper"))
    assert cells[1]["metadata"]["tags"] == ["parameters"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert max(len(cell["source"]) for cell in code) <= 30
    assert not [output for cell in code for output in cell["outputs"] if output["output_type"] == "error"]
    assert [cell for cell in code if cell["outputs"]], "committed without outputs: make notebooks"
    assert any("nbval-check-output" in cell["metadata"].get("tags", []) for cell in code)
    headings = [line for cell in cells for line in cell["source"] if line.startswith("## ")]
    assert {"## What was recorded\n", "## Summary\n", "## Exercises\n", "## At `paper`\n"} <= set(headings)
