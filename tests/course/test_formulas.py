"""Formulas as drawings: all of the notebooks' and exercises' can be drawn, and code and what is no formula stay as they are."""

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
                tex = found["display"] or found["inline"]
                element = ElementTree.fromstring(formulas.svg(tex, bool(found["display"])))
                assert element.attrib["aria-label"] == " ".join(tex.split())
                assert len(list(element.iter("{http://www.w3.org/2000/svg}path"))) > 0, found[0]


def test_formulas_are_found_where_they_are():
    text = formulas.with_svg("It is $x_1$, and\n$$\nE = m\n$$\nhere; `$HOME` costs 3 \\$.\n```\n$y$\n```\n")
    assert text.count("<svg ") == 2 and text.count("display:block") == 1
    assert "`$HOME` costs 3 \\$.\n```\n$y$\n```\n" in text


def test_what_is_no_tex_stays():
    assert formulas.with_svg(r"so $\frac{1}{$ then") == r"so $\frac{1}{$ then"
