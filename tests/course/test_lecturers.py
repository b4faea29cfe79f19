"""What lecturers get and students do not: the students' copy, answers to all questions, slides whose pictures exist."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dwikit import models, profiles, study
from dwikit.course import own_seed
from dwikit.profiles import runs
from lecturers import students
from tests import test_links
from tests.course.test_exercises import bare, secrets

ROOT = Path(__file__).resolve().parent.parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def numbered(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"^(\d+)\. ", text, re.MULTILINE)]


def test_every_question_of_the_notebooks_has_an_answer():
    parts = re.split(r"^## (\w+)\n", (ROOT / "lecturers" / "answers.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    answers = {name: numbered(text) for name, text in zip(parts[1::2], parts[2::2], strict=True)}
    questions = {}
    for path in NOTEBOOKS:
        text = "\n".join("".join(cell["source"]) for cell in cells(path) if cell["cell_type"] == "markdown")
        [exercises] = re.findall(r"^## Exercises\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        questions[path.stem] = numbered(exercises)
    assert answers == questions


def test_everybody_has_a_seed_of_their_own():
    """Nearly: of forty students, hardly two share one. It is the same on every machine."""
    seeds = [own_seed(f"student-{number}") for number in range(40)]
    assert len(set(seeds)) > 38 and min(seeds) >= 1 and max(seeds) <= 9999
    assert own_seed("ada") == own_seed(" Ada ") == 9472


def test_the_slides_show_pictures_that_the_notebooks_have():
    shown = 0
    for path in (ROOT / "lecturers" / "slides").glob("*.md"):
        for name, cell in re.findall(r"figures/(\w+?)-([\w-]+)\.png", path.read_text(encoding="utf-8")):
            [found] = [one for one in cells(ROOT / "notebooks" / f"{name}.ipynb") if one["id"] == cell]
            assert any("image/png" in output.get("data", {}) for output in found["outputs"]), f"{path.name}: {name} {cell}"
            shown += 1
    assert shown > 15


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The students' copy at the profile smoke, of a lecturer who has graded something."""
    patch, folder = pytest.MonkeyPatch(), tmp_path_factory.mktemp("students")
    patch.setenv("DWIKIT_RUNS", str(folder / "runs"))
    target = folder / "copy"
    students.copy_kit(target)
    students.copy_results(profiles.resolve("smoke"), target)
    students.open_to_all(target)
    yield target
    patch.undo()


def test_the_students_copy_has_no_solution(copy):
    kept = {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()}
    assert {"README.md", "Makefile", "dwikit/study.py", "dwikit/course/check/material.npz"} <= kept
    assert not [name for name in kept if re.search(r"(^|/)(source|tests|lecturers|\.git|autograded|submitted)(/|$)", name)]
    released = [name for name in kept if name.startswith("notebooks/exercises/release/")]
    assert len(released) == 11
    pieces = secrets()
    assert {exercise for exercise, _ in pieces} == {path.name for path in (ROOT / "notebooks/exercises/source").glob("[0-9]*")}
    for path in copy.rglob("*"):
        if path.suffix in (".ipynb", ".md", ".py"):
            text = path.read_text(encoding="utf-8")
            there = bare(text)
            assert not [exercise for exercise, piece in pieces if piece in there], path
            assert path.suffix == ".py" or not re.search("BEGIN SOLUTION|HIDDEN TESTS|Model answers", text), path


def test_the_slices_of_a_run_are_found_in_the_copy(tmp_path, monkeypatch):
    """Of a run that extends another profile, and of a file of the lecturer's own: whatever they extend stays behind."""
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path / "mine"))
    monkeypatch.setattr(students.evaluation, "feature_networks", lambda store, folder: folder.mkdir(exist_ok=True))
    (tmp_path / "own.yaml").write_text("extends: smoke\ncohort: {cases: 4, registered: 0}\nvae: {epochs: 7}\n")
    models.save(models.VAE.from_preset("paper", image_size=32, channels=(8, 16)), tmp_path / "start.keras")
    (tmp_path / "images").mkdir()
    section = {"model": {"latent_size": 5}, "init": str(tmp_path / "start.keras")}
    brought = {"theirs": {"samples": str(tmp_path / "images")}}
    runs.named("course", str(tmp_path / "own.yaml"), vae=section, brought=brought, style_gan={"init": "pretrained"})
    for profile in (str(tmp_path / "own.yaml"), "course"):
        config = profiles.resolve(profile)
        students.copy_results(config, tmp_path / config.name)
    contents = study.slices(profiles.resolve("course")).content
    (tmp_path / "own.yaml").unlink()
    for name in ("own", "course"):
        monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path / name / "runs"))
        config = profiles.resolve(name)
        assert (study.data_folder(config) / "slices").is_dir() and study.slices(config).content == contents
        assert config.networks["vae"].epochs == 7 and study.features_folder(config).is_dir()
    assert config.networks["vae"].model["latent_size"] == 5 and config.networks["style_gan"].init == "pretrained"
    start, images = Path(config.networks["vae"].init), Path(config.brought["theirs"].samples)
    assert start.read_bytes() == (tmp_path / "start.keras").read_bytes() and images.is_dir()
    assert all(path.is_relative_to(tmp_path / "course") for path in (start, images))


def test_everybody_can_read_the_students_copy(copy):
    assert {path.stat().st_mode & 0o777 for path in copy.rglob("*")} == {0o644, 0o755}


def test_no_link_of_the_students_copy_is_dead(copy, monkeypatch):
    monkeypatch.setattr(test_links, "ROOT", copy)
    pages = [path for path in copy.rglob("*") if path.suffix in (".md", ".ipynb")]
    assert len(pages) > 30 and not {path.name: found for path in pages if (found := test_links.dead(path))}


def test_a_copy_is_not_made_over_another(copy):
    with pytest.raises(Exception, match="is not empty: delete it"):
        students.copy_kit(copy)


def commands(copy: Path) -> list[str]:
    return re.findall(r"^    (\S.*?)(?: +#.*)?$", (copy / "README.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_each_line_of_the_students_readme_works(copy, monkeypatch):
    """As installed: ``make lab`` finds everything in place, and the results are those of the copy."""
    lines = commands(copy)
    assert lines[0] == "make lab" and all(line.startswith(".venv/bin/dwikit ") for line in lines[1:])
    installed(copy)
    environment = {name: value for name, value in os.environ.items() if name not in ("DWIKIT_RUNS", "DWIKIT_FIGURES")}
    environment |= {"DWIKIT_PROFILE": "smoke", "PYTHONPATH": ""}
    command = ["make", "--no-print-directory", "-n", "lab"]  # these tests may run within make
    dry = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    assert dry.stdout.split() == ".venv/bin/jupyter lab notebooks".split(), dry.stdout + dry.stderr
    for line in lines[1:]:
        done = subprocess.run(line, shell=True, cwd=copy, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    monkeypatch.setenv("DWIKIT_RUNS", str(copy / "runs"))
    assert (study.data_folder(profiles.resolve("smoke")) / "slices").is_dir()
    assert not (copy / "runs" / "smoke" / "data" / "bids").exists(), "nothing had to be simulated"
    assert (copy / "figures" / "smoke" / "table-1.csv").is_file(), "its tables are its own"


def installed(copy: Path) -> None:
    """What ``make lab`` would install, by the packages of this environment."""
    program = copy / ".venv" / "bin" / "dwikit"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH={copy} exec {sys.executable} -m dwikit "$@"\n')
    program.chmod(0o755)
    (copy / ".venv" / ".ready").touch()
