"""What takes the space of the environment? ``python benchmarks/environment.py``, seconds.

The files of every installed package, by what brings it: the kit itself, or one of its extras. The largest packages have a row
of their own. Run it in an environment with everything (``make test``).
"""

import contextlib
import re
from importlib import metadata

import pandas as pd
from machine import show, source
from packaging.requirements import Requirement

LARGE = 40.0
"""MB from which a package has a row."""


def named(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(package: str, extra: str = "") -> set[str]:
    """Installed packages that a package needs, directly or not, with one of its extras."""
    found, seen, ahead = set(), set(), [(package, extra)]
    while ahead:
        name, extra = ahead.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        with contextlib.suppress(metadata.PackageNotFoundError):
            requirements = [Requirement(line) for line in metadata.requires(name) or []]
            found.add(named(name))
            for one in requirements:
                if one.marker is None or one.marker.evaluate({"extra": extra}):
                    ahead += [(one.name, inner) for inner in ("", *one.extras)]
    return found


def megabytes(name: str) -> float:
    """Size of a package's installed files, 1e6 bytes."""
    paths = (file.locate() for file in metadata.files(name) or [])
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def main() -> None:
    sizes = {named(one.metadata["Name"]): megabytes(one.metadata["Name"]) for one in metadata.distributions()}
    base = needed("dwikit")
    extras = {extra: needed("dwikit", extra) - base for extra in metadata.metadata("dwikit").get_all("Provides-Extra")}
    rows = {}
    for name in sorted(sizes, key=sizes.get, reverse=True):
        if sizes[name] >= LARGE:
            brings = ["the kit"] if name in base else [extra for extra, names in extras.items() if name in names]
            rows[name] = {"MB": f"{sizes[name]:,.0f}", "brought by": ", ".join(brings) or "nothing of the kit"}
    sets = {"the kit alone": base} | {f"more with {extra}": names for extra, names in extras.items() if names}
    for label, names in (sets | {"all": set(sizes)}).items():
        rows[label] = {"MB": f"{sum(sizes.get(name, 0.0) for name in names):,.0f}", "brought by": f"{len(names)} packages"}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("package")
    show(table, "environment", source("python benchmarks/environment.py"))


if __name__ == "__main__":
    main()
