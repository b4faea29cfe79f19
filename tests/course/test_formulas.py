"""Formulas as MathML: all of the notebooks' and exercises' can be drawn, and code and what is no formula stay as they are."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dwikit.course import formulas

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").rglob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_every_formula_can_be_drawn(path):
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"]) if cell["cell_type"] == "markdown" else ""
        for found in formulas.FORMULA.finditer(text):
            if not found["code"]:
                element = ElementTree.fromstring(formulas.mathml(found["display"] or found["inline"], bool(found["display"])))
                drawn = "".join(element.itertext())
                assert drawn and "\\" not in drawn, found[0]


def test_formulas_are_found_where_they_are():
    text = formulas.with_mathml("It is $x_1$, and\n$$\nE = m\n$$\nhere; `$HOME` costs 3 \\$.\n```\n$y$\n```\n")
    assert text.count("<math ") == 2 and 'display="block"' in text
    assert "`$HOME` costs 3 \\$.\n```\n$y$\n```\n" in text


def test_what_is_no_tex_stays():
    assert formulas.with_mathml(r"so $\frac{1}{$ then") == r"so $\frac{1}{$ then"
