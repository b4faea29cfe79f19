"""The repository holds together: one list of dependencies, style, light imports, notebooks as promised."""

import ast
import contextlib
import importlib
import json
import re
import subprocess
import sys
import sysconfig
import tomllib
import types
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from dwikit.common import paths
from dwikit.course import run

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_conda_users_get_the_same_dependencies():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    [pip] = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == PYPROJECT["project"]["dependencies"]
    assert f"python{PYPROJECT['project']['requires-python']}" in environment["dependencies"]


PYTHONS = ["3.11.0", "3.12.0", "3.13.0"]
"""The oldest of each that the kit runs on."""


def pins(python: str) -> dict[str, str]:
    """Name -> version as constraints.txt pins them for a Python, on this operating system."""
    environment = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    found = [pin for pin in map(Requirement, lines) if pin.marker is None or pin.marker.evaluate(environment)]
    versions = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in found}
    assert len(versions) == len(found), f"two pins of a name on Python {python}"
    return versions


@pytest.mark.parametrize("python", PYTHONS)
def test_constraints_name_one_version_of_every_dependency(python):
    extras = PYPROJECT["project"]["optional-dependencies"]
    for requirement in PYPROJECT["project"]["dependencies"] + [one for group in extras.values() for one in group]:
        assert canonicalize_name(Requirement(requirement).name) in pins(python), f"{requirement} is not in constraints.txt"


@pytest.mark.parametrize("python", PYTHONS)
def test_pinned_versions_run_on_the_oldest_python(python):
    """As far as they are installed here; ``make resolve`` asks the package index for all."""
    seen = 0
    for name, version in pins(python).items():
        with contextlib.suppress(metadata.PackageNotFoundError):
            if metadata.version(name) == version:
                wanted = metadata.metadata(name).get("Requires-Python") or ""
                assert SpecifierSet(wanted).contains(python), f"{name}=={version} wants Python {wanted}"
                seen += 1
    assert seen > 50


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


def test_what_modules_load_comes_with_the_kit_or_with_its_book():
    """The reference loads every room, in an environment that has the extra ``book`` and no other."""
    distributions = {module: set(map(canonicalize_name, found)) for module, found in metadata.packages_distributions().items()}
    there = brought(*PYPROJECT["project"]["dependencies"], *PYPROJECT["project"]["optional-dependencies"]["book"])
    missing = set()
    for path in (ROOT / "dwikit").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            modules = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) else []
            names = {module.partition(".")[0] for module in modules} - set(sys.stdlib_module_names) - {"dwikit"}
            missing |= {(path.name, name) for name in names if not distributions.get(name, set()) & there}
    assert not missing


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
    command = [sys.executable, "-m", "ruff", *command, "--no-cache", "."]  # in a folder that may be another's
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
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
from dwikit.common.errors import InputError

if __name__ == "__main__":
    volumes = list(phantom.simulate_volumes(3, workers=1))
    store = dwikit.slices.build(volumes, sys.argv[1], dwikit.slices.SliceSettings(image_size=32))
    print(dwikit.metrics.intra_sample_diversity(store.images[:9]) > 0)
    try:
        dwikit.metrics.laplace_variance(store.images[:2])
    except InputError as error:
        print(error)
    print(dwikit.models.VAE.from_preset(image_size=32, channels=(8, 16)).sample(2).shape)
"""


def test_data_and_models_need_neither_tensorflow_nor_ants_nor_opencv(tmp_path):
    """As on a GPU machine with JAX or PyTorch alone; Keras's numpy backend stands in for them.

    Only the Laplace variance needs OpenCV, and says so.
    """
    pytest.importorskip("jax", reason="the numpy backend of Keras imports it")
    script = tmp_path / "script.py"
    script.write_text(BLOCK)
    result = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "slices")],
        env={"KERAS_BACKEND": "numpy", "PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    lines = result.stdout.splitlines()
    assert lines[-3:-2] + lines[-1:] == ["True", "(2, 32, 32, 1)"], result.stderr
    assert "python -m pip install opencv-python-headless" in lines[-2]


FLOORS = (
    ("common",),
    ("metrics", "slices"),
    ("paper",),
    ("cohorts",),
    ("preprocess", "backend"),
    ("models",),
    ("profiles",),
    ("report", "training"),
    ("evaluation",),
    ("reader_study", "study"),
    ("comparison", "course"),
    ("cli",),
)
"""Rooms, from the ground up: each imports only from floors below its own."""


def imports(path: Path) -> set[str]:
    """Rooms that a file of the package imports from, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            parts = path.relative_to(ROOT).parts[: -node.level] if node.level else ()
            parts = (*parts, *(node.module or "").split("."))
            names = [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
            found |= set(names) if parts[0] == "dwikit" else set()
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("dwikit.")}
    return found


def test_rooms_import_only_from_below():
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    package = ROOT / "dwikit"
    files = [path for path in package.iterdir() if path.is_dir() or path.suffix == ".py"]
    there = {path.stem for path in files if not path.name.startswith("_")}
    assert there == set(floor)
    wrong, arrows = [], 0
    for path in package.rglob("*.py"):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        others = (imports(path) & set(floor)) - {room}
        arrows += len(others)
        if not room.startswith("__"):
            wrong += [f"{path.relative_to(package)} imports {other}" for other in others if floor[other] >= floor[room]]
    assert not wrong and arrows > 100


OWN = ("benchmarks/*.py", "lecturers/*.py", "docs/book/*.py", "tests/hardships/*.py")
"""Code that the tests do not run, or not from end to end."""


@pytest.mark.parametrize("path", [path for pattern in OWN for path in sorted(ROOT.glob(pattern))], ids=lambda path: path.name)
def test_what_other_code_takes_from_the_kit_is_there(path):
    """Every ``from dwikit... import name``, wherever it stands, and every ``module.name`` of a module so imported."""
    tree, modules = ast.parse(path.read_text()), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dwikit":
            for alias in node.names:
                home = importlib.import_module(node.module)
                with contextlib.suppress(ModuleNotFoundError):
                    importlib.import_module(f"{node.module}.{alias.name}")
                assert hasattr(home, alias.name), f"{path.name}, line {node.lineno}: {node.module} has no {alias.name}"
                modules[alias.asname or alias.name] = getattr(home, alias.name)
    assigned = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    modules = {name: module for name, module in modules.items() if name not in assigned}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id)
            assert not isinstance(module, types.ModuleType) or hasattr(module, node.attr), (
                f"{path.name}, line {node.lineno}: {node.value.id} has no {node.attr}"
            )


def test_an_installed_copy_has_what_the_kit_reads(monkeypatch):
    """The wheel's data files are those that a source tree has in the same places (``paths.kit``)."""
    patterns = PYPROJECT["tool"]["setuptools"]["data-files"]
    installed = {}
    for place, files in patterns.items():
        for path in (path for pattern in files for path in ROOT.glob(pattern)):
            installed[f"{place.removeprefix('share/dwikit/')}/{path.name}"] = path
    wanted = [*ROOT.glob("notebooks/*.ipynb"), *(path for path in ROOT.glob("data/*/*") if path.is_file())]
    assert {str(path.relative_to(ROOT)) for path in wanted} <= set(installed) and len(wanted) > 30
    for notebook in NOTEBOOKS:
        for name in re.findall(r'paths\.kit\(\) / \\"([\w-]+)\\" / \\"([\w.-]+)\\"', notebook.read_text()):
            assert "/".join(name) in installed, f"{notebook.name} reads {name}"
        assert "paths.project()" not in notebook.read_text(), "what an installed copy has lies in paths.kit()"
    monkeypatch.setattr(paths, "PACKAGE", ROOT / "nowhere" / "dwikit")
    assert paths.kit() == Path(sysconfig.get_path("data"), "share", "dwikit") and paths.project() == Path.cwd()


def test_the_tracked_tree_is_small():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    sizes = [(ROOT / name).stat().st_size for name in tracked.stdout.splitlines() if (ROOT / name).is_file()]
    assert sum(sizes) < 50e6


def test_reproduce_runs_every_notebook_in_order():
    assert run.notebooks() == [path.stem for path in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_keeps_its_promises(path):
    assert path.stat().st_size < 600_000
    cells = json.loads(path.read_text())["cells"]
    text = "".join(cells[0]["source"])
    assert text.startswith("# ") and "**Question.**" in text and "**You will be able to**" in text
    for row in ("| Minutes |", "| Paper |", "| Needs |", "| Makes |"):
        assert row in text
    assert re.search(r"^\| Minutes \| [\d.]+ at `quick`", text, re.MULTILINE), "measured ones: make notebooks"
    assert cells[1]["metadata"]["tags"] == ["parameters"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert max(len(cell["source"]) for cell in code) <= 30
    assert not [output for cell in code for output in cell["outputs"] if output["output_type"] == "error"]
    assert [cell for cell in code if cell["outputs"]], "committed without outputs: make notebooks"
    assert any("nbval-check-output" in cell["metadata"].get("tags", []) for cell in code)
    headings = [line for cell in cells for line in cell["source"] if line.startswith("## ")]
    assert {"## What was recorded\n", "## Summary\n", "## Exercises\n", "## At `paper`\n"} <= set(headings)


def test_progress_is_shown_by_the_kits_bar():
    """tqdm's own writes on red ground in a notebook (``common.progress``)."""
    sources = {path.relative_to(ROOT): path.read_text() for path in (ROOT / "dwikit").rglob("*.py")}
    found = {str(name) for name, text in sources.items() if re.search(r"^\s*(from|import) tqdm", text, re.MULTILINE)}
    assert found == {"dwikit/common/progress.py"}
