"""TeX formulas as MathML, which browsers draw by themselves: pages with formulas need no script and no network.

Also an extension of Sphinx, for the book and the slides.
"""

import re
from xml.sax.saxutils import escape

from latex2mathml import converter

_CODE = r"```.*?```|`[^`\n]*`"
FORMULA = re.compile(rf"(?P<code>{_CODE})|\$\$(?P<display>.+?)\$\$|(?<![\\$])\$(?P<inline>[^$\n][^$]*?)\$", re.DOTALL)


def mathml(tex: str, display: bool) -> str:
    """One formula as a ``<math>`` element in one line, with the TeX as its text.

    Args:
        tex: without dollar signs.
        display: on a line of its own, not within a sentence.
    """
    known = tex.strip().replace(r"\arg\min", r"\operatorname{arg\,min}")
    element = converter.convert(known, display="block" if display else "inline")
    spoken = escape(" ".join(tex.split()), {'"': "&quot;"})
    return element.replace("<math ", f'<math alttext="{spoken}" ', 1)


def with_mathml(markdown: str) -> str:
    """Markdown with its formulas, ``$...$`` and ``$$...$$``, as MathML; code stays, and so does what cannot be read as TeX."""

    def drawn(found: re.Match) -> str:
        if found["code"]:
            return found[0]
        try:
            return mathml(found["display"] or found["inline"], display=bool(found["display"]))
        except Exception:  # whatever a student wrote between two dollar signs: the library raises errors of many kinds
            return found[0]

    return FORMULA.sub(drawn, markdown)


def setup(app) -> dict:
    """Registers ``mathml`` with Sphinx, as the way to write formulas into HTML."""
    from docutils import nodes  # Sphinx brings it

    def write(display: bool):
        def visit(translator, node) -> None:
            element = mathml(node.astext(), display)
            translator.body.append(f'<div class="math">{element}</div>' if display else element)
            raise nodes.SkipNode

        return visit

    app.add_html_math_renderer("mathml", inline_renderers=(write(False), None), block_renderers=(write(True), None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
