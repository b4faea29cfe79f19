"""TeX formulas as drawings (SVG) within a page: it needs no script, no font and no network.

Also an extension of Sphinx, for the book and the slides.
"""

import re
from html import escape

import ziamath

_CODE = r"```.*?```|`[^`\n]*`"
FORMULA = re.compile(rf"(?P<code>{_CODE})|\$\$(?P<display>.+?)\$\$|(?<![\\$])\$(?P<inline>[^$\n][^$]*?)\$", re.DOTALL)
KNOWN = {r"\arg\min": r"\operatorname{arg\,min}", r"\mathbb E": "\U0001d53c"}
"""What the library does not read as TeX does."""
SIZE, EM = 20.0, 17.0
"""Of the font while drawing, and how much of it is the font size of the text around it, whose letters are larger."""

ziamath.config.svg2 = False  # each drawing has its own glyphs, so that several fit on a page


def svg(tex: str, display: bool) -> str:
    """One formula as an ``<svg>`` element in one line, in the colour of the text, with the TeX as its label.

    Args:
        tex: without dollar signs.
        display: on a line of its own, not within a sentence.
    """
    known = tex.strip()
    for written, meant in KNOWN.items():
        known = known.replace(written, meant)
    drawn = ziamath.Latex(known, size=SIZE, color="currentColor", inline=not display)
    start, rest = drawn.svg().split(">", 1)
    start = re.sub(r' (?:width|height)="[^"]*"', "", start)
    _, top, width, height = (float(number) / EM for number in re.search(r'viewBox="([^"]*)"', start)[1].split())
    style = f"width:{width:.2f}em;height:{height:.2f}em;vertical-align:{-top - height:.2f}em"  # the baseline is at 0
    label = escape(" ".join(tex.split()))
    return f'{start} role="img" aria-label="{label}" style="{style};max-width:100%">{" ".join(rest.split())}'


def with_svg(markdown: str) -> str:
    """Markdown with its formulas, ``$...$`` and ``$$...$$``, drawn; code stays, and so does what cannot be read as TeX."""

    def drawn(found: re.Match) -> str:
        if found["code"]:
            return found[0]
        try:
            element = svg(found["display"] or found["inline"], display=bool(found["display"]))
        except Exception:  # whatever a student wrote between two dollar signs: the library raises errors of many kinds
            return found[0]
        return f'<span style="display:block;text-align:center">{element}</span>' if found["display"] else element

    return FORMULA.sub(drawn, markdown)


def setup(app) -> dict:
    """Registers ``svg`` with Sphinx, as the way to write formulas into HTML."""
    from docutils import nodes  # Sphinx brings it

    def write(display: bool):
        def visit(translator, node) -> None:
            element = svg(node.astext(), display)
            translator.body.append(f'<div class="math">{element}</div>' if display else element)
            raise nodes.SkipNode

        return visit

    app.add_html_math_renderer("svg", inline_renderers=(write(False), None), block_renderers=(write(True), None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
