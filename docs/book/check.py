"""``python docs/book/check.py FOLDER``: dead links of a website, and whatever its pages would load from elsewhere."""

import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}


class Page(HTMLParser):
    """Names of a page's places, its links, and what it loads."""

    def __init__(self, path: Path):
        super().__init__()
        self.places, self.links, self.loaded = set(), [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes what a tag names, links to or loads."""
        known = dict(attrs)
        self.places |= {known[name] for name in ("id", "name") if known.get(name)}
        for name in ("href", "src"):
            if known.get(name):
                target = self.loaded if (tag, name) in LOADED and known.get("rel") != "canonical" else self.links
                target.append(known[name])


@cache
def page(path: Path) -> Page:
    """A page, read once."""
    return Page(path)


def problems(folder: Path) -> list[str]:
    """One line for each dead link or thing loaded from elsewhere, in pages below a folder."""
    found = []
    for path in sorted(folder.rglob("*.html")):
        for goal in page(path).loaded:
            if urlsplit(goal).netloc:
                found.append(f"{path.relative_to(folder)} loads {goal}")
        for goal in page(path).links + page(path).loaded:
            url = urlsplit(goal)
            if url.scheme or url.netloc:
                continue
            there = (path.parent / unquote(url.path)).resolve() if url.path else path
            if not there.is_file():
                found.append(f"{path.relative_to(folder)}: no file {goal}")
            elif url.fragment and there.suffix == ".html" and unquote(url.fragment) not in page(there).places:
                found.append(f"{path.relative_to(folder)}: no place {goal}")
    return found


if __name__ == "__main__":
    lines = problems(Path(sys.argv[1]))
    print(*lines, f"{len(list(Path(sys.argv[1]).rglob('*.html')))} pages, {len(lines)} problems", sep="\n")
    sys.exit(bool(lines))
