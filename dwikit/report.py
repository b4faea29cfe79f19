"""Tables beside the paper's, and files that say where their numbers come from."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import dwikit
from dwikit import files, metrics, paper, paths
from dwikit.profiles import Profile, as_dict
from dwikit.slices import SliceStore

COLUMNS = {
    "ds": ("DS", 4),
    "isd": ("ISD", 4),
    "min_isd": ("min ISD", 4),
    "laplace": ("Laplace", 0),
    "laplace_sd": ("sd", 0),
    "mse": ("MSE", 4),
    "mse_sd": ("sd over pixels", 3),
    "n": ("n", 0),
    "minutes": ("minutes", 1),
}
"""Heading and decimals of each column."""


# ==== Tables ====


def table_1(store: SliceStore, samples: Mapping[str, np.ndarray], n: int = paper.N_SAMPLES, seed: int = 0) -> pd.DataFrame:
    """Table 1: the four metrics of real slices and of each model's samples.

    The originals are the training slices, as in the paper; the row Original takes n of them. All rows stand on the same
    number of images.

    Args:
        store: slices.
        samples: model key -> images (m, H, W) uint8.
        n: images a row, at most; fewer where a model has fewer samples or the training split is smaller.
        seed: of the choice of real slices.

    Returns:
        One row a model key, ``original`` first: n, ds, isd, min_isd, laplace, laplace_sd.
    """
    originals = store.split("train")
    n = min([n, len(originals), *(len(images) for images in samples.values())])
    chosen = np.sort(np.random.default_rng(seed).permutation(len(originals))[:n])
    data = metrics.moments(originals)
    groups = {"original": originals[chosen]} | {key: images[:n] for key, images in samples.items()}
    return _frame({key: measure(images, data) for key, images in groups.items()})


def measure(images: np.ndarray, originals: metrics.Moments) -> dict[str, float]:
    """One row of Table 1: the four metrics of images (n, H, W) against the moments of the originals."""
    laplace = metrics.laplace_variance(images)
    return {
        "n": len(images),
        "ds": metrics.dataset_similarity(images, originals),
        "isd": metrics.intra_sample_diversity(images),
        "min_isd": metrics.minimum_intra_sample_diversity(images),
        "laplace": laplace.mean(),
        "laplace_sd": laplace.std(),
    }


def reconstruction_table(pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> pd.DataFrame:
    """Reconstruction of held-out slices (sec. 4.1): squared error and Laplace variance.

    Args:
        pairs: model key -> (originals, reconstructions), each (n, H, W) uint8; originals equal for all models.

    Returns:
        One row a model key, ``original`` first: n, mse, mse_sd (over pixels), laplace, laplace_sd.
    """
    rows = {}
    for key, (originals, reconstructions) in pairs.items():
        error = np.square((originals.astype(np.float64) - reconstructions) / 255)
        for name, images in (("original", originals), (key, reconstructions)):
            laplace = metrics.laplace_variance(images)
            rows[name] = {"n": len(images), "laplace": laplace.mean(), "laplace_sd": laplace.std()}
        rows[key] |= {"mse": error.mean(), "mse_sd": error.std()}
    return _frame(rows)[["n", "mse", "mse_sd", "laplace", "laplace_sd"]]


def _frame(rows: dict[str, dict]) -> pd.DataFrame:
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")


def beside_paper(ours: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Each value of ours, the paper's, and both as a ratio to the Original row, which is what compares across data sets.

    Returns:
        Columns (metric, "ours" | "paper" | "ours / original" | "paper / original"), rows by model label.
    """
    blocks = {}
    for column in [name for name in published.columns if not name.endswith("_sd")]:
        theirs = published[column].reindex(ours.index)
        block = {"ours": ours[column], "paper": theirs}
        if column != "mse":
            block["ours / original"] = ours[column] / ours.loc["original", column]
            block["paper / original"] = theirs / theirs["original"]
        blocks[column] = pd.DataFrame(block)
    table = pd.concat(blocks, axis=1)
    return table.rename(index=paper.LABELS)


def markdown(table: pd.DataFrame) -> str:
    """A table as Markdown, every column with its own number of decimals; of ``beside_paper``, ratios stand in parentheses."""
    columns = {}
    for name in table.columns:
        metric, kind = name if isinstance(name, tuple) else (name, "")
        if kind.endswith("/ original"):
            continue
        heading, decimals = COLUMNS.get(metric, (metric, 3))
        cells = [_number(value, decimals) for value in table[name]]
        if (ratio := (metric, f"{kind} / original")) in table.columns:
            cells = [cell if pd.isna(r) else f"{cell} ({r:.2f})" for cell, r in zip(cells, table[ratio])]
        columns[f"{heading} {kind}".strip()] = cells
    lines = ["| " + " | ".join([table.index.name or "", *columns]) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += ["| " + " | ".join([str(label), *row]) + " |" for label, row in zip(table.index, zip(*columns.values()))]
    return "\n".join(lines) + "\n"


def _number(value: float | str, decimals: int) -> str:
    return value if isinstance(value, str) else "-" if pd.isna(value) else f"{value:.{decimals}f}"


# ==== Files with their provenance ====


def provenance(config: Profile, command: str, **facts) -> dict:
    """Where a table or figure comes from: command, profile, code version, library versions and whatever is handed over."""
    return {
        "command": command,
        "profile": as_dict(config),
        "dwikit": dwikit.__version__,
        "commit": _commit(),
        "python": sys.version.split()[0],
        "versions": {name: _version(name) for name in ("keras", "tensorflow", "numpy", "scipy", "antspyx")},
        **facts,
    }


def _commit() -> str | None:
    try:
        result = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=paths.project(), capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def save_table(table: pd.DataFrame, name: str, source: dict) -> Path:
    """Write ``figures/<name>.csv``, ``.md`` and ``.json`` (the provenance); returns the path of the Markdown."""
    folder = paths.figures()
    files.write_text(folder / f"{name}.csv", table.to_csv())
    note = f"\nProfile {source['profile']['name']}; made by `{source['command']}`; provenance in {name}.json.\n"
    files.write_text(folder / f"{name}.md", markdown(table) + note)
    files.write_json(folder / f"{name}.json", source)
    return folder / f"{name}.md"


def save_figure(figure: Figure, name: str, source: dict, suffix: str = "png") -> Path:
    """Write ``figures/<name>.<suffix>`` and ``<name>.json`` (the provenance); returns the path of the figure."""
    path = paths.figures() / f"{name}.{suffix}"
    files.write(path, figure.savefig)
    files.write_json(paths.figures() / f"{name}.json", source)
    return path


def write_results(folder: Path, table: pd.DataFrame, key: str) -> None:
    """Keep one model's row beside the model, as ``results.json``."""
    files.write_json(folder / "results.json", json.loads(table.loc[key].to_json()))


def fill_in(page: Path, folder: Path) -> None:
    """Put every ``folder/<name>.md`` between the lines ``<!-- begin <name> -->`` and ``<!-- end <name> -->`` of a page."""
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"<!-- begin ([\w-]+) -->", text):
        content = (folder / f"{name}.md").read_text(encoding="utf-8").strip()
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        before, rest = text.split(begin, 1)
        text = before + f"{begin}\n{content}\n{end}" + rest.split(end, 1)[1]
    files.write_text(page, text)
