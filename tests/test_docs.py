"""The pages keep what they promise: code that runs, names and commands that exist, tables as committed, the layout as it is."""

import argparse
import ast
import importlib
import io
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

import dwikit
from dwikit import cli, profiles
from dwikit.common import doctor
from dwikit.course import publish

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(language: str) -> list:
    """Fenced blocks of all pages, as parameters of a test."""
    found = []
    for page in PAGES:
        code = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        found += [pytest.param(block, id=f"{page.name}-{i}") for i, block in enumerate(code)]
    return found


def find(dotted: str) -> object:
    """A module or an attribute of one by its full name; ImportError or AttributeError where there is none."""
    found = importlib.import_module("dwikit")
    for name in dotted.split(".")[1:]:
        try:
            found = getattr(found, name)
        except AttributeError:
            importlib.import_module(f"{found.__name__}.{name}")
            found = getattr(found, name)
    return found


# ==== The README ====


def test_the_readme_is_one_screen():
    text = README.read_text(encoding="utf-8")
    assert text.count("\n") < 120 and text.count("figures/hours/samples.svg") == 1
    assert f"{doctor.FREE_GB} GB of disk" in text


def test_the_readme_s_python_runs(tmp_path, monkeypatch, capsys):
    [code] = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len([line for line in code.splitlines() if line]) == 10
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    printed = re.findall(
        r"^(.+): Laplace variance (\d+), intra-sample diversity (0\.\d+)$", capsys.readouterr().out, re.MULTILINE
    )
    assert [label for label, *_ in printed] == ["VAE", "IntroVAE", "StyleGAN"]
    assert float(printed[0][1]) < float(printed[2][1]), "the VAE's samples are blurred"
    assert (tmp_path / "samples.png").stat().st_size > 10_000


# ==== Tables ====


def test_the_pages_show_the_committed_tables(tmp_path):
    """``make notebooks`` fills them in. As committed: in the working tree, figures/ may hold one's own."""
    archive = subprocess.run(
        ["git", "archive", "--format=zip", "HEAD", "figures", "docs", "README.md"], cwd=ROOT, capture_output=True
    )
    if archive.returncode:
        pytest.skip(f"there is no last commit to look at ({archive.stderr.decode().strip()})")
    zipfile.ZipFile(io.BytesIO(archive.stdout)).extractall(tmp_path)
    figures, pages = tmp_path / "figures", [tmp_path / "README.md", *(tmp_path / "docs").glob("*.md")]
    texts = {page: page.read_text() for page in pages}
    short = [figures / "quick/claims-short.md", figures / "quick/minutes-short.md"]
    before = [path.read_text() for path in short]
    for path in short:
        path.unlink()
    publish.fill_in(tmp_path, figures)
    assert [path.read_text() for path in short] == before
    for page, text in texts.items():
        assert page.read_text() == text, page


def test_the_results_have_their_places():
    def names(page: str) -> set[str]:
        return set(re.findall(r"<!-- begin ([\w/-]+) -->", text_of(page)))

    assert names("README.md") == {"quick/minutes-short", "quick/claims-short"}
    study = {f"quick/{name}" for name in ("claims", "table-1", "seeds", "reconstruction", "table-2")}
    study |= {f"hours/{name}" for name in ("claims", "table-1", "reconstruction", "table-2")}
    assert names("docs/results.md") >= study | {"calibration", "train-step"}


# ==== Names ====


@pytest.mark.parametrize("code", blocks("python"))
def test_python_in_the_pages_imports_what_there_is(code):
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("dwikit"):
            for alias in node.names:
                find(f"{node.module}.{alias.name}")


@pytest.mark.parametrize("text", blocks("yaml"))
def test_profiles_in_the_pages_are_read(text, tmp_path):
    (tmp_path / "mine.yaml").write_text(text)
    assert profiles.resolve(str(tmp_path / "mine.yaml")).name == "mine"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_in_the_pages_exist(page):
    for name in set(re.findall(r"`(dwikit(?:\.\w+)+)(?:\(.*?\))?`", page.read_text(encoding="utf-8"))):
        find(name)


def test_the_list_of_changes_says_where_things_are_now():
    rows = re.findall(r"^\| `.*? \| (.*) \|$", text_of("CHANGELOG.md"), re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`(dwikit[\w.]+)", row)]
    assert len(rows) > 20 and len(names) > 20
    for name in names:
        find(name.rstrip("."))


def test_the_version_is_the_same_everywhere():
    assert f"\nversion: {dwikit.__version__}\n" in text_of("CITATION.cff")
    assert re.search(r"^## (.*)$", text_of("CHANGELOG.md"), re.MULTILINE)[1] == dwikit.__version__


def commands(parser: argparse.ArgumentParser, before: str) -> list[str]:
    """Every command of a parser in full, such as ``dwikit cohort pacs find``."""
    kinds = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [name for choices in kinds for key, sub in choices.items() for name in commands(sub, f"{before} {key}")] or [before]


def test_the_page_of_commands_has_them_all():
    text = text_of("docs/commands.md")
    every = commands(cli.parser(), "dwikit")
    assert "dwikit cohort pacs find" in every and len(every) > 15
    assert not [command for command in every if not re.search(rf"^    {command}\b", text, re.MULTILINE)]
    [targets] = re.findall(r"^\.PHONY: (.*)$", text_of("Makefile"), re.MULTILINE)
    assert not [target for target in targets.split() if f"`make {target}`" not in text]


# ==== The layout ====


def test_the_drawing_is_the_layout():
    [drawing] = re.findall(r"^```text\ndwikit/\n(.*?)^```", text_of("CONTRIBUTING.md"), re.MULTILINE | re.DOTALL)
    rows = dict(re.fullmatch(r"  (\S+) +(\S.*)", line).groups() for line in drawing.splitlines())
    package = ROOT / "dwikit"
    rooms = {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").is_file()}
    assert set(rows) == rooms | {path.name for path in package.glob("*.py") if path.name != "__init__.py"}
    for room, words in rows.items():
        inner = {path.parent.name for path in (package / room).glob("*/__init__.py")}
        assert set(re.findall(r"(\w+)/", words)) == inner, room
