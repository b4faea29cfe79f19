"""Links that lead nowhere inside the repository: in pages, notebooks and exercises, to files and to headings."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parent.parent
ELSEWHERE = ("http://", "https://", "mailto:", "data:", "attachment:")
LINKS = re.compile(r"""\]\(\s*<?([^)\s>]+)[^)]*\)|^\s*\[[^\]]+\]:\s*(\S+)|(?:href|src)=["']([^"']+)""", re.MULTILINE)


def pages() -> list[Path]:
    """Pages and notebooks under version control, or all of them where there is none."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.splitlines() if listed.returncode == 0 else [str(path.relative_to(ROOT)) for path in ROOT.rglob("*")]
    wanted = [ROOT / name for name in names if name.endswith((".md", ".ipynb")) and not name.startswith((".venv", "runs"))]
    return sorted(path for path in wanted if path.is_file())


@cache
def text_of(path: Path) -> str:
    """A page without its code, where brackets are no links."""
    if path.suffix == ".ipynb":
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    else:
        text = path.read_text(encoding="utf-8")
    text = re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`|\$[^$]*\$", "", text)


def anchors(path: Path) -> set[str]:
    """Names of a page's headings, as the web shows them and as Jupyter does."""
    headings = re.findall(r"^#+ +(.+?) *$", text_of(path), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    return set(plain) | {heading.replace(" ", "-") for heading in headings}


def dead(path: Path) -> list[str]:
    found = []
    for target in ("".join(groups) for groups in LINKS.findall(text_of(path))):
        if target.startswith(ELSEWHERE):
            continue
        name, _, anchor = unquote(target).partition("#")
        goal = path.parent / name if name else path
        if name.startswith("/") or not goal.exists() or ROOT not in [goal.resolve(), *goal.resolve().parents]:
            found.append(target)
        elif anchor and (goal.suffix not in (".md", ".ipynb") or anchor not in anchors(goal)):
            found.append(target)
    return found


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    assert not dead(path)


def test_a_dead_link_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.test_links.ROOT", tmp_path)
    (tmp_path / "there.md").write_text("# A heading, long\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md) [b](there.md#a-heading-long) [c](https://example.org/x) `[d](code.md)` ![e](no.png)\n"
        '[f](there.md#nowhere) [g](../outside.md) <a href="gone.md">g</a> [h]\n\n[h]: lost.md\n'
    )
    assert dead(page) == ["no.png", "there.md#nowhere", "../outside.md", "gone.md", "lost.md"]
