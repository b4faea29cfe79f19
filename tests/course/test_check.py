"""Feedback for exercises: says what is wrong and by how much, gives nothing away, starts at once."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest

from dwikit.common.errors import InputError
from dwikit.course import check as package
from dwikit.course.check import CASES, check, inputs, material

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = [case.__name__ for group in CASES.values() for case in group]


def said(capsys, name, function) -> str:
    right = check(name, function)
    text = capsys.readouterr().out
    assert right == (text == f"{name}: right.\n")
    return text


def test_a_wrong_value_stands_beside_the_expected_one_with_a_hint(capsys):
    text = said(capsys, "pixel_loss", lambda image, other: np.abs(image - other).sum())
    assert "    image: of shape (4, 4)\n    other: of shape (4, 4)\nyour value      1.6\nexpected value  0.02\n" in text
    assert "That is 80 times the expected value." in text and "Hint: A mean over pixels" in text


@pytest.mark.parametrize(
    ("name", "answer", "message"),
    [
        ("kappa", lambda table: None, "returns nothing"),
        ("kappa", lambda table: "high", "returns str, but numbers are expected"),
        ("kappa", lambda table: float("nan"), "Not every value is a finite number"),
        ("kappa", lambda table: 0.5, "not yet, for\n    table: [[20,  5], [10, 15]]\n"),
        ("kl", lambda mean, log_variance: mean, "has shape (3, 2)\nexpected shape  (3,)"),
        ("style_of", lambda x: x.mean(), "Return 2 values"),
        ("style_of", lambda x: (x.std((1, 2)), x.std((1, 2))), "Value 2 of 2"),
        ("adain", lambda x, scale, offset: x, "of the values differ"),
        ("sharpest", lambda size: np.full((size, size), 0.5), "Value 2 of 4:\nyour value      0.5\nexpected value  0."),
    ],
)
def test_other_mistakes_are_named(capsys, name, answer, message):
    assert message in said(capsys, name, answer)


def test_a_factor_is_told_where_it_is_one(capsys):
    expected = CASES[8][1]().expected
    assert "times" not in said(capsys, "dataset_similarity", lambda samples, originals: 6.3 * expected)
    told = said(capsys, "dataset_similarity", lambda samples, originals: 9 * expected)
    assert "That is 9 times the expected value." in told
    told = said(capsys, "dataset_similarity", lambda samples, originals: expected / 2)
    assert "That is 0.5 times the expected value." in told


def test_values_off_by_the_same_summand_are_told(capsys):
    expected = CASES[2][0]().expected
    assert "off by the same 0.25" in said(capsys, "kl", lambda mean, log_variance: np.add(expected, 0.25))


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_is_seeded_and_takes_the_expected_value_alone(capsys, name):
    [make] = [case for group in CASES.values() for case in group if case.__name__ == name]
    case, again = make(), make()
    assert (
        str(case.expected) == str(again.expected)
        and str(case.arguments).split(" at 0x")[0] == str(again.arguments).split(" at 0x")[0]
    )

    def unwritten(*arguments):
        raise NotImplementedError()

    assert said(capsys, name, unwritten) == f"{name}: not written yet.\n"
    assert case.hint in said(capsys, name, lambda *arguments: 12345.678).replace("\n", " ")
    if not case.measure:
        assert said(capsys, name, lambda *arguments: case.expected) == f"{name}: right.\n"


def test_an_answer_cannot_spoil_its_input_for_others():
    def spoil(image, other):
        image += 1
        return 0

    before = inputs("pixel_loss")["image"]
    check("pixel_loss", spoil)
    assert np.array_equal(before, inputs("pixel_loss")["image"])


def test_errors_of_the_answer_reach_the_student():
    with pytest.raises(ZeroDivisionError):
        check("kappa", lambda table: 1 / 0)


def test_an_unknown_question_is_refused():
    with pytest.raises(InputError, match="No exercise asks for 'kl_divergence'. Known: normalize"):
        check("kl_divergence", lambda: 0)


def test_the_package_does_not_hold_the_solutions():
    text = re.sub(r"\s+", "", "".join(path.read_text() for path in Path(package.__file__).parent.glob("*.py")))
    for path in (ROOT / "notebooks" / "exercises" / "source").glob("*/*.ipynb"):
        code = "\n".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code")
        solutions = "".join(re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", code, re.DOTALL))
        pieces = [re.sub(r"\s+", "", piece) for piece in re.findall(r"(?:return|=) (.{18,})", solutions)]
        assert pieces and not [piece for piece in pieces if piece in text], path.stem


def test_feedback_starts_without_heavy_libraries():
    code = "import sys\nfrom dwikit.course import check\ncheck.slices(); check.check('kl', lambda *a: 0); print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert "numpy" in loaded and not loaded & {
        "keras",
        "tensorflow",
        "scipy",
        "pandas",
        "matplotlib",
        "nibabel",
        "dwikit.cohorts",
    }


def test_the_slices_of_the_exercises_are_those_that_the_kit_simulates():
    assert material.PATH.stat().st_size < 200_000
    made = material.simulate()
    slices, volumes = material.slices() * 255, material.volumes()
    assert slices.shape == (40, 64, 64) and volumes.shape == (2, 13, 64, 64)
    assert np.abs(slices - made["slices"]).max() < 1.5 and np.abs(volumes - made["volumes"]).max() < 1.5
