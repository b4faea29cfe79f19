"""The exercises: the student versions are those of the sources, and nbgrader gives each answer the points it should."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dwikit.course.check import CASES

EXERCISES = Path(__file__).resolve().parents[2] / "notebooks" / "exercises"
NAMES = sorted(path.name for path in (EXERCISES / "source").iterdir() if path.is_dir())

PLANS = yaml.safe_load((EXERCISES.parent.parent / "lecturers" / "exercises.yaml").read_text(encoding="utf-8"))
WRONG = {f"{name[:2]}-{key}": (name, one) for name, plan in PLANS.items() for key, one in plan["mistakes"].items()}
"""Typical wrong answers by the student who gives them: the exercise, what is right, what is wrong, and the points it costs."""
MARKED, MARKS = "02_kl", 4
"""The exercise whose answer in words a lecturer has given points to."""
PIECES = re.compile(r"### BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)### END|<!-- BEGIN SOLUTION -->\n(.*?)<!-- END", re.DOTALL)


def nbgrader(course: Path, *arguments: str) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # nbgrader calls alembic by name
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}  # kernels draw inline
    search = os.pathsep.join([str(EXERCISES.parent.parent), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course,
        env=environment | {"PATH": path, "PYTHONPATH": search},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]


def notebook(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def nbgrader_cells(path: Path) -> dict[str, dict]:
    """Cells with a grade_id, by it."""
    cells = [cell for cell in notebook(path)["cells"] if "nbgrader" in cell["metadata"]]
    return {cell["metadata"]["nbgrader"]["grade_id"]: cell for cell in cells}


def bare(text: str) -> str:
    """Without spaces, commas and quotes: a source in Python and one in a notebook are the same."""
    return re.sub(r'\\n|[\\",\s]', "", text)


def secrets() -> list[tuple[str, str]]:
    """What students must not find: the solutions and hidden tests of the sources, by exercise, as ``bare`` writes them.

    Short ones are left out: a formula of one line may stand in the package, as the page says.
    """
    found = []
    for path in sorted((EXERCISES / "source").glob("*/*.ipynb")):
        for cell in nbgrader_cells(path).values():
            pieces = ["".join(groups) for groups in PIECES.findall("".join(cell["source"]))]
            found += [(path.stem, bare(piece)) for piece in pieces]
    return [(exercise, piece) for exercise, piece in found if len(piece) > 80]


def submit(course: Path, student: str, name: str, cells: list[dict], original: dict) -> None:
    target = course / "submitted" / student / name / f"{name}.ipynb"
    target.parent.mkdir(parents=True)
    target.write_text(json.dumps(original | {"cells": cells}), encoding="utf-8")


def answer(name: str, old: str = "", new: str = "") -> tuple[list[dict], dict]:
    """The released notebook with the solutions filled in, a piece of them replaced, and an answer in words."""
    solutions = nbgrader_cells(EXERCISES / "source" / name / f"{name}.ipynb")
    released = notebook(EXERCISES / "release" / name / f"{name}.ipynb")
    cells, replaced = [], 0
    for cell in released["cells"]:
        about = cell["metadata"].get("nbgrader", {})
        if about.get("solution") and not about["grade"]:
            text = re.sub(r"^ *### \w+ SOLUTION\n?", "", "".join(solutions[about["grade_id"]]["source"]), flags=re.MULTILINE)
            replaced += bool(old) and old in text
            cell = cell | {"source": text.replace(old, new) if old else text}
        elif about.get("grade_id") == "thought":
            cell = cell | {"source": r"In words, with a formula that is none: $\frac{1}{$."}
        cells.append(cell)
    assert replaced == bool(old), f"{old!r} stands in {replaced} solutions of {name}"
    return cells, released


def give_points_to_the_thought(path: Path) -> None:
    text = notebook(path)
    for cell in text["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == "thought":
            cell["metadata"]["nbgrader"]["points"] = MARKS
    path.write_text(json.dumps(text), encoding="utf-8")


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course with its release, the submissions of many students, their grades and the feedback for one of them."""
    folder = tmp_path_factory.mktemp("course")
    shutil.copytree(EXERCISES / "source", folder / "source")
    shutil.copy(EXERCISES / "nbgrader_config.py", folder)
    give_points_to_the_thought(folder / "source" / MARKED / f"{MARKED}.ipynb")
    nbgrader(folder, "generate_assignment", "--assignment=*")
    for name in NAMES:
        released = notebook(EXERCISES / "release" / name / f"{name}.ipynb")
        submit(folder, "blank", name, released["cells"], released)
        submit(folder, "solution", name, *answer(name))
    for student, (name, mistake) in WRONG.items():
        submit(folder, student, name, *answer(name, mistake["right"], mistake["wrong"]))
    nbgrader(folder, "autograde", "--assignment=*")
    nbgrader(folder, "generate_feedback", "--assignment=02_kl", "--student=02-no-half")
    nbgrader(folder, "export", "--to", "grades.csv")
    return folder


def test_every_exercise_has_ten_points():
    """Beside what a lecturer gives for the answer in words."""
    assert [int(name[:2]) for name in NAMES] == list(CASES) and NAMES == list(PLANS)
    for name in NAMES:
        cells = nbgrader_cells(EXERCISES / "source" / name / f"{name}.ipynb")
        points = {
            key: cell["metadata"]["nbgrader"]["points"]
            for key, cell in cells.items()
            if "points" in cell["metadata"]["nbgrader"]
        }
        assert sum(points.values()) - points["thought"] == 10
        questions = {case.__name__ for case in CASES[int(name[:2])]}
        assert set(points) == {f"test_{question}" for question in questions} | {"thought"} and questions <= set(cells)


def plain(path: Path) -> list[tuple]:
    """What a student sees of a notebook, and what nbgrader knows of it, but for the points of the answer in words."""
    cells = notebook(path)["cells"]
    known = [dict(cell["metadata"].get("nbgrader", {})) for cell in cells]
    for about in known:
        about |= {"points": None, "checksum": None} if about.get("grade_id") == "thought" else {}
    return [(cell["cell_type"], "".join(cell["source"]), about) for cell, about in zip(cells, known, strict=True)]


@pytest.mark.parametrize("name", NAMES)
def test_the_student_version_is_that_of_the_source(course, name):
    committed, made = (folder / "release" / name / f"{name}.ipynb" for folder in (EXERCISES, course))
    assert plain(committed) == plain(made), "run make course and commit notebooks/exercises/release"
    text = committed.read_text(encoding="utf-8")
    assert "SOLUTION" not in text and "HIDDEN TESTS" not in text and text.count("NotImplementedError()") > 1
    for part in ("**Asked.**", "**Why.**", "| Paper |", "## For thought"):
        assert part in text
    for stage in ("source", "release"):
        code = [cell for cell in notebook(EXERCISES / stage / name / f"{name}.ipynb")["cells"] if cell["cell_type"] == "code"]
        assert not any(cell["outputs"] or cell["execution_count"] for cell in code)
        assert max(len("".join(cell["source"]).splitlines()) for cell in code) <= 30


def test_nbgrader_gives_each_answer_the_points_it_should(course):
    with open(course / "grades.csv", newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert {row["of"] for row in rows.values()} == {str(10.0 * len(NAMES) + MARKS)}
    for student, points, to_mark in (("solution", "10.0", "1"), ("blank", "0.0", "0")):
        assert [rows[student][name] for name in NAMES] == [points] * len(NAMES)
        assert rows[student]["handed in"] == str(len(NAMES)) and rows[student]["to mark"] == to_mark
        assert rows[student]["total"] == str(float(points) * len(NAMES))
    for student, (name, mistake) in WRONG.items():
        got = str(10.0 - sum(mistake["costs"].values()))
        assert {key: rows[student][key] for key in NAMES} == dict.fromkeys(NAMES, "not handed in") | {name: got}, student
        assert rows[student]["total"] == got and rows[student]["handed in"] == "1"


@pytest.mark.parametrize("student", WRONG)
def test_a_wrong_answer_loses_the_points_of_its_own_test_alone(course, student):
    name, mistake = WRONG[student]
    cells = nbgrader_cells(course / "autograded" / student / name / f"{name}.ipynb")
    failed = {
        key: cell["metadata"]["nbgrader"]["points"]
        for key, cell in cells.items()
        if any(output["output_type"] == "error" for output in cell.get("outputs", []))
    }
    assert failed == mistake["costs"]


def test_a_solved_exercise_runs_without_a_word_on_standard_error(course):
    """nbgrader takes a warning in a test for a failure; and pictures come out."""
    for path in (course / "autograded" / "solution").glob("*/*.ipynb"):
        outputs = [output for cell in notebook(path)["cells"] for output in cell.get("outputs", [])]
        assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"], (
            path.name
        )
        assert path.stem == "08_similarity" or any("image/png" in output.get("data", {}) for output in outputs), path.name


def test_feedback_shows_the_check_the_score_the_model_answers_and_formulas(course):
    page = (course / "feedback" / "02-no-half" / "02_kl" / "02_kl.html").read_text(encoding="utf-8")
    assert "That is 2 times the expected value." in page and "Score: 5.0 / 14.0" in page
    assert page.count("Model answer") == 3 and "SOLUTION" not in page
    assert "Count the latents whose KL" in page, "the model answer to the question for thought"
    assert page.count("<svg ") > 10 and page.count("aria-label") > 10
    assert [text for text in re.findall(r"<p>.*?</p>", page, re.DOTALL) if "$" in text] == [
        r"<p>In words, with a formula that is none: $\frac{1}{$.</p>"
    ]
