"""The check of the book's links; ``make book`` runs it on the book itself."""

import importlib.util
from pathlib import Path

CHECK = Path(__file__).resolve().parent.parent / "docs" / "book" / "check.py"


def test_dead_links_and_things_from_elsewhere_are_found(tmp_path):
    spec = importlib.util.spec_from_file_location("check", CHECK)
    check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    (tmp_path / "there.html").write_text('<h1 id="top">A</h1>')
    (tmp_path / "page.html").write_text(
        '<a href="there.html#top">a</a> <a href="there.html#gone">b</a> <a href="lost.html">c</a> <a href="https://x.org">d</a>'
        '<script src="https://x.org/a.js"></script> <img src="no.png"> <link rel="stylesheet" href="//x.org/a.css">'
    )
    assert check.problems(tmp_path) == [
        "page.html loads https://x.org/a.js",
        "page.html loads //x.org/a.css",
        "page.html: no place there.html#gone",
        "page.html: no file lost.html",
        "page.html: no file no.png",
    ]
