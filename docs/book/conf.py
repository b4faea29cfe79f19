"""The book: pages, notebooks with their committed outputs, exercises and the reference, as a website (``make book``).

Nothing is executed and nothing is loaded from elsewhere, neither when it is built nor when it is read. Where it is built by the
public workflow, GITHUB_REPOSITORY names the repository, and the notebooks get buttons that launch them elsewhere.
"""

import json
import os
import re
from pathlib import Path

import dwikit

KIT = Path(__file__).resolve().parents[2]
ATTRIBUTES: dict[str, list[str]] = {}
REPOSITORY = os.environ.get("GITHUB_REPOSITORY", "")
FIRST_CELL = f"""# This cell installs the kit on a hosted service, which takes a few minutes. It was not run when the
# outputs below were made.
!git clone -q --depth 1 https://github.com/{REPOSITORY} dwikit
%pip install -q -c dwikit/constraints.txt -e dwikit
import sys; sys.path.insert(0, "dwikit")
%cd dwikit/notebooks"""

project, author, copyright = "dwikit", "The dwikit developers", "The dwikit developers, Apache-2.0"
version = release = dwikit.__version__
extensions = ["myst_nb", "sphinx_external_toc", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
extensions += ["dwikit.course.formulas"]  # draws formulas
external_toc_path = "docs/book/toc.yml"
exclude_patterns = ["**/source", "figures", "runs", "build", ".venv", "lecturers", "tests", "**/.ipynb_checkpoints", ".*"]
templates_path = ["templates"]
language = "en"

html_theme = "furo"
html_title = "dwikit"
html_theme_options = {"top_of_page_buttons": []}
html_static_path = ["static"]
html_css_files = ["book.css"]
html_context = {"repository": REPOSITORY}
html_math_renderer = "svg"
pygments_style = "friendly"

nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "myst"
myst_enable_extensions = ["dollarmath", "html_image"]
myst_heading_anchors = 4

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 100
napoleon_numpy_docstring = False


def plain_links(app, name: str, source: list[str]) -> None:
    """Turns links to what is no page of the book, such as a folder or a file of the package, into plain words."""
    if (KIT / f"{name}.ipynb").is_file():
        return

    def kept(link: re.Match) -> str:
        goal = link[2].partition("#")[0]
        path = os.path.normpath(os.path.join(os.path.dirname(name), goal))
        page = os.path.splitext(path)[0] in app.env.found_docs
        return link[0] if not goal or "://" in goal or page else link[1]

    source[0] = re.sub(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)", kept, source[0])


def keep(app, what: str, name: str, obj, options, lines: list[str]) -> None:
    """Remembers an attribute's docstring, of which napoleon would take the words before a colon for a type."""
    if what in ("attribute", "data"):
        ATTRIBUTES[name] = list(lines)


def as_written(app, what: str, name: str, obj, options, lines: list[str]) -> None:
    """Shows docstrings as they are written: single backquotes are code, and | is a norm or a condition."""
    lines[:] = ATTRIBUTES.get(name, lines)
    for number, line in enumerate(lines):
        code = re.sub(r"(?<![`:])`([^`]+)`(?!`)", r"``\1``", line)
        lines[number] = re.sub(r"(``.*?``)|\|", lambda found: found[1] or r"\|", code)


def launchable(app, error) -> None:
    """Writes each notebook with a first cell that installs the kit, beside its page, for the buttons to open."""
    if error or not REPOSITORY:
        return
    cell = {"cell_type": "code", "id": "install", "metadata": {}, "execution_count": None, "outputs": []}
    for path in sorted((KIT / "notebooks").glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        notebook["cells"].insert(1, cell | {"source": FIRST_CELL})
        (Path(app.outdir) / "launch").mkdir(exist_ok=True)
        (Path(app.outdir) / "launch" / path.name).write_text(json.dumps(notebook, indent=1), encoding="utf-8")


def setup(app) -> None:
    """Registers the above with Sphinx."""
    app.connect("source-read", plain_links)
    app.connect("autodoc-process-docstring", keep, priority=100)  # before napoleon
    app.connect("autodoc-process-docstring", as_written, priority=900)  # after it
    app.connect("build-finished", launchable)
