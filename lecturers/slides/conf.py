"""The lecturer's slides (``make slides``): reveal.js, with the figures of the committed notebooks."""

import base64
import json
from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"

project, author, language = "dwikit", "The dwikit developers", "en"
extensions = ["myst_parser", "sphinx_revealjs", "dwikit.course.formulas"]
html_math_renderer = "svg"
myst_enable_extensions = ["dollarmath"]
revealjs_style_theme = "white"
revealjs_static_path = ["style"]
revealjs_css_files = ["slides.css"]
revealjs_script_conf = {"hash": True, "slideNumber": True, "transition": "none", "width": 1280, "height": 720}


def take_figures(app) -> None:
    """Writes the pictures of the notebooks to figures/: NOTEBOOK-CELL.png, the last one of a cell."""
    folder = Path(app.srcdir) / "figures"
    folder.mkdir(exist_ok=True)
    for path in NOTEBOOKS.glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                if picture := output.get("data", {}).get("image/png"):
                    (folder / f"{path.stem}-{cell['id']}.png").write_bytes(base64.b64decode("".join(picture)))


def setup(app) -> None:
    """Registers it with Sphinx."""
    app.connect("builder-inited", take_figures)
