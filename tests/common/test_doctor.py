"""The doctor names every extra, and the pages name commands that exist and installations that work."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from dwikit import cli
from dwikit.common import doctor

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_doctor_knows_every_extra_and_what_it_brings():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(doctor.EXTRAS) == set(extras) - {"test"}
    for name, (_, packages) in doctor.EXTRAS.items():
        required = [Requirement(text) for text in extras[name]]
        brought = {one.name for one in required}
        for one in required:
            children = map(Requirement, metadata.requires(one.name) or []) if one.extras else ()
            brought |= {child.name for child in children if any(f'"{extra}"' in str(child.marker) for extra in one.extras)}
        assert set(packages) <= brought, name


def test_the_doctor_says_what_an_extra_lacks(monkeypatch):
    monkeypatch.setitem(doctor.EXTRAS, "acquire", ("DICOM", ["numpy", "no-such-package"]))
    monkeypatch.setitem(doctor.EXTRAS, "scale", ("clusters", ["numpy"]))
    text, healthy = doctor.report()
    assert healthy and re.search(r"  acquire +DICOM: not installed: no-such-package\n", text)
    assert re.search(r"  scale +clusters: installed\n", text)
    assert re.search(r"\nPackages: \d\.\d GB, the largest of them (\S+ \d\.\d(, |\n)){5}", text)
    assert doctor.sizes()["keras"] > 1e6


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_name_commands_that_exist(path, capsys):
    text = path.read_text()
    assert not re.search(r"pip install\W+dwikit\[", text), "dwikit is on no index: name the folder"
    written = r"(?:^ {4}|`)(?:\.venv/bin/)?dwikit ([a-z]+(?: [a-z]+)*(?: \| [a-z]+)*)"
    for named in set(re.findall(written, text, re.MULTILINE)):
        first, *others = named.split(" | ")
        *group, last = first.split()
        for name in (last, *others):
            with pytest.raises(SystemExit) as ended:
                cli.main([*group, name, "--help"])
            assert ended.value.code == 0, capsys.readouterr().err
