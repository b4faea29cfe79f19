"""The server of docs/lecturers.md, from top to bottom: as root, lecturer and student; and no solution leaks.

Needs root, who makes two accounts and deletes them again. Only what would be fetched from elsewhere is replaced: the kit is
this one, and its packages are those installed here.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.course.test_exercises import secrets

pytestmark = [
    pytest.mark.hardship,
    pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can make accounts"),
    pytest.mark.skipif(not shutil.which("useradd"), reason="needs useradd"),
]

ROOT = Path(__file__).resolve().parent.parent.parent
ACCOUNTS = {"lecturer": "dwikit-lecturer", "student": "dwikit-student"}
KIT = ("Makefile", "install.py", "pyproject.toml", "constraints.txt", "environment.yml", "LICENSE", "NOTICE", "CITATION.cff")
PACKAGES = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
VENV = """#!/bin/bash -e
# make-venv FOLDER KIT: what venv and pip install -e KIT make, with the packages installed here
{python} -m venv --without-pip "$1"
printf '%s\\n' "$2" {packages} > "$(echo "$1"/lib/python3*/site-packages)/installed.pth"
for name in nbgrader alembic dwikit; do
    printf '#!/bin/sh\\nexec %s -m %s "$@"\\n' "$1/bin/python" $name > "$1/bin/$name"
    chmod +x "$1/bin/$name"
done
touch "$1/.ready" "$1/.ready-course"
"""
SEARCH = r"""
import json, os, re, sys
wanted, found, read = json.load(open(sys.argv[1])), [], 0
for top in sys.argv[2:]:
    for folder, _, names in os.walk(top):
        for path in (os.path.join(folder, name) for name in names):
            try:
                text = open(path, encoding="utf-8", errors="ignore").read()
            except OSError:
                continue
            read += 1
            plain = re.sub(r'\\n|[\\",\s]', "", text)
            found += [[path, exercise] for exercise, piece in wanted if piece in plain]
print(json.dumps({"read": read, "found": found}))
"""
"""Which of the files below some folders this account can read, and which solutions are in them, spaces and quotes apart."""


def interpreter() -> str:
    """A Python of this version that every account can run."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for path in (Path(sys.base_prefix, "bin", name), Path("/usr/bin", name), Path("/usr/local/bin", name)):
        with_packages = ["env", f"PYTHONPATH={os.pathsep.join(PACKAGES)}", path, "-c", "import numpy, nbgrader"]
        if path.exists() and not subprocess.run(with_packages, user="nobody", cwd="/", capture_output=True).returncode:
            return str(path)
    pytest.skip(f"no {name} with the packages installed here that an ordinary account can run")


def recipe() -> list[tuple[str, str]]:
    """Who types what, in order."""
    text = (ROOT / "docs" / "lecturers.md").read_text(encoding="utf-8")
    return re.findall(r"^```sh\n# (root|lecturer|student)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


class Server:
    """A folder that stands for a server's root, with the homes of two accounts."""

    def __init__(self, top: Path):
        self.top = top
        for name in ("bin", "home", "opt", "srv", "etc", "tmp"):
            (top / name).mkdir()
        (top / "tmp").chmod(0o1777)
        for name in KIT:
            (top / "kit").mkdir(exist_ok=True)
            shutil.copy(ROOT / name, top / "kit")
        for name in ("dwikit", "docs", "figures", "data", "lecturers", "notebooks", "tests/course"):
            shutil.copytree(ROOT / name, top / "kit" / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        shutil.rmtree(top / "kit" / "notebooks" / "exercises" / "release")
        venv = top / "bin" / "make-venv"
        venv.write_text(VENV.format(python=interpreter(), packages=" ".join(PACKAGES)))
        venv.chmod(0o755)
        (top / "search.py").write_text(SEARCH)
        (top / "secrets.json").write_text(json.dumps(secrets()))
        (top / "secrets.json").chmod(0o644)
        for role, name in ACCOUNTS.items():
            subprocess.run(["useradd", "--no-log-init", "-m", "-d", top / "home" / role, "-s", "/bin/bash", name], check=True)

    def close(self) -> None:
        for name in ACCOUNTS.values():
            subprocess.run(["userdel", name], capture_output=True)
        shutil.rmtree(self.top)

    def here(self, text: str) -> str:
        """Commands of the page with this server's paths, and without what comes from elsewhere."""
        text = text.replace("git clone <the kit> ~/dwikit", f"cp -r {self.top}/kit ~/dwikit\nmake-venv ~/dwikit/.venv ~/dwikit")
        text = text.replace("python3 -m venv /opt/dwikit-env", "make-venv /opt/dwikit-env /opt/dwikit")
        text = re.sub(r"^.* -m pip install .*$", "", text, flags=re.MULTILINE)
        text = text.replace("~lecturer", f"{self.top}/home/lecturer")
        return re.sub(r"(?<![\w.])(/opt/|/srv/|/etc/jupyter)", rf"{self.top}\1", text)

    def run(self, role: str, script: str) -> str:
        """Run commands as an account; the first that fails ends them."""
        home = self.top if role == "root" else self.top / "home" / role
        account = {} if role == "root" else {"user": ACCOUNTS[role], "group": ACCOUNTS[role], "extra_groups": []}
        share = os.pathsep.join(str(Path(path).parents[2] / "share" / "jupyter") for path in PACKAGES)
        environment = {"HOME": str(home), "PATH": f"{self.top}/bin:/usr/bin:/bin:/usr/sbin", "LANG": "C.UTF-8"}
        environment |= {"JUPYTER_CONFIG_PATH": f"{self.top}/etc/jupyter", "JUPYTER_PATH": share, "DWIKIT_PROFILE": "smoke"}
        environment |= {"PROFILE": "smoke", "CUDA_VISIBLE_DEVICES": "", "TMPDIR": f"{self.top}/tmp"}
        done = subprocess.run(
            ["bash", "-ec", script], cwd=home, env=environment, umask=0o022, capture_output=True, text=True, **account
        )
        assert done.returncode == 0, f"{role}:\n{script}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def seen_by(self, role: str) -> tuple[int, set[tuple[str, str]]]:
        """How many files an account can read, and the solutions that it finds in them: path, exercise."""
        seen = json.loads(self.run(role, f"{interpreter()} {self.top}/search.py {self.top}/secrets.json {self.top}"))
        found = {(path, exercise) for path, exercise in seen["found"] if not path.endswith("secrets.json")}
        return seen["read"], {pair for pair in found if not pair[0].startswith(f"{self.top}/kit/")}


@pytest.fixture
def server():
    top = Path(tempfile.mkdtemp(prefix="dwikit-server-", dir="/var/tmp"))
    top.chmod(0o755)
    one = Server(top)
    try:
        yield one
    finally:
        one.close()


def test_a_server_runs_as_written_and_shows_students_no_solution(server):
    steps = recipe()
    assert [role for role, _ in steps] == ["lecturer", "root", "student", "lecturer", "student", "lecturer", "student"]
    for role, script in steps[:5]:
        server.run(role, server.here(script))
    home = server.top / "home"
    assert (home / "student" / "dwikit-runs" / "smoke" / "data" / "slices").is_dir()
    assert (home / "student" / "dwikit-runs" / "smoke" / "notebooks" / "00_start_here.ipynb").is_file()

    read, found = server.seen_by("student")
    assert read > 300 and not found
    assert len({exercise for _, exercise in server.seen_by("lecturer")[1]}) == 11, "the search finds them where they are"
    for closed in (home / "lecturer" / "dwikit", server.top / "srv" / "dwikit-exchange" / "dwikit" / "inbound"):
        assert "denied" in server.run("student", f"ls {closed} 2>&1 || true")

    for role, script in steps[5:]:
        server.run(role, server.here(script))
    own = home / "student" / "02_kl" / "feedback"
    [page] = own.rglob("02_kl.html")
    assert "Model answer" in page.read_text(encoding="utf-8")
    _, found = server.seen_by("student")
    assert all(path.startswith(f"{own}/") and exercise == "02_kl" for path, exercise in found)
    grades = (home / "lecturer" / "dwikit" / "notebooks" / "exercises" / "grades.csv").read_text()
    assert f"\n{ACCOUNTS['student']}," in grades
