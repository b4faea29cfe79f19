"""``dwikit evaluate``: images from anyone's model, beside held-out real slices and the paper's numbers."""

import shlex
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

import dwikit
from dwikit import metrics, paper, report
from dwikit.common import doctor, files, paths
from dwikit.common.errors import choose
from dwikit.evaluation import samples, tables
from dwikit.evaluation.beyond import LABELS, beyond_paper, draw, readable
from dwikit.evaluation.copies import most_copied
from dwikit.evaluation.networks import beside, feature_networks
from dwikit.preprocess import open_current
from dwikit.slices import SPLITS, SliceStore


class Verdict(NamedTuple):
    """What ``evaluate`` found."""

    four: pd.DataFrame
    """``tables.table_1`` of the samples."""
    beyond: pd.DataFrame
    """``beyond_paper`` of the samples."""
    copied: pd.DataFrame
    """``most_copied``."""
    folder: Path
    """Folder of the tables."""
    command: str
    """Command that makes them again."""
    note: str = ""
    """What was done to the samples before they were measured, and what so few held-out people cannot tell."""


def evaluate(
    path: str | Path,
    originals: str | Path,
    split: str = "train",
    out: str | Path | None = None,
    n: int = paper.N_SAMPLES,
    features: str | Path | None = None,
    resize: bool = False,
) -> Verdict:
    """Judge the images of a file or folder against a store of slices, and write the tables.

    The row of the samples is the one that they have in the tables of a study with this store (05_evaluate), to the last digit.

    Args:
        path: samples, as accepted by ``samples.read``.
        originals: folder of a store of slices.
        split: the slices that the model was trained on; those of all other people are held out.
        out: folder of the tables; default ``evaluation-<name of the samples>`` in the current folder.
        n: images per row, at most.
        features: folder of the feature network that the store trains; default ``features`` beside the store.
        resize: shrink samples larger than the slices (``samples.fitted``); the tables say so.

    Raises:
        InputError: samples or a store that cannot be used, or a folder that cannot be written.
    """
    path, originals = paths.home(path), paths.home(originals)
    choose(SPLITS, split, "split")
    store = open_current(originals)
    images = metrics.as_images(samples.read(path), str(path), at_least=2)
    images, note = samples.fitted(images, store.images.shape[1:], str(path), resize)
    folder = paths.home(out or f"evaluation-{path.name.split('.')[0]}")
    words = [path, "--originals", originals, "--split", split, "-n", n, "--out", folder]
    words += ["--features", paths.home(features)] if features else []
    words = [str(word.resolve()) if isinstance(word, Path) else str(word) for word in words]
    command = shlex.join(["dwikit", "evaluate", *words, *(["--resize"] if note else [])])
    judged = {SAMPLES: images}
    draw(store, split, [len(images)], n)  # refuses a store without a floor before a network is trained
    networks = feature_networks(store, paths.home(features) if features else beside(originals))
    four, beyond = tables.table_1(store, judged, n, split=split), beyond_paper(store, judged, networks, n, split=split)
    notes = "\n\n".join(filter(None, (note, tables.few_people(store, split))))
    verdict = Verdict(four, beyond, most_copied(store, images, split=split), folder, command, notes)
    source = {
        "command": command,
        "samples": samples.facts(path, images) | ({"note": notes} if notes else {}),
        "slices": store.settings,
        "networks": list(networks),
        "dwikit": dwikit.__version__,
        "versions": doctor.versions(),
    }
    _save(verdict, images, store, source)
    return verdict


SAMPLES = "samples"
"""Key of their row."""
TITLES = {SAMPLES: "Samples"} | {key: f"paper: {paper.LABELS[key]}" for key in paper.MODELS}


def beside_paper(four: pd.DataFrame) -> pd.DataFrame:
    """The metrics of Table 1 as a study shows them, above the paper's models."""
    return report.beside_paper(four.reindex([*four.index, *paper.MODELS]), paper.TABLE_1, TITLES)


def markdown(verdict: Verdict) -> str:
    """The tables as one page."""
    beyond = readable(verdict.beyond, LABELS | TITLES)
    copied = verdict.copied.assign(sample=verdict.copied["sample"].astype(str)).set_index("sample")
    copied = copied[["case", "level", "ratio"]].astype({"level": str, "case": str})
    return (
        (f"{verdict.note}\n\n" if verdict.note else "")
        + "## The paper's metrics (in parentheses the ratio to Original)\n\n"
        + report.markdown(beside_paper(verdict.four))
        + "\n## Beyond the paper\n\n"
        + report.markdown(beyond)
        + "\n## Nearest to a training slice (distance, as a ratio to that slice's own to the next patient's)\n\n"
        + report.markdown(copied)
        + f"\nMade by `{verdict.command}`; provenance in evaluation.json.\n"
    )


def _save(verdict: Verdict, images: np.ndarray, store: SliceStore, source: dict) -> None:
    folder = verdict.folder
    written = {"four-metrics": beside_paper(verdict.four), "beyond-the-paper": verdict.beyond, "most-copied": verdict.copied}
    for name, table in written.items():
        files.write_text(folder / f"{name}.csv", table.to_csv())
    files.write_text(folder / "evaluation.md", markdown(verdict))
    tables = {"four_metrics": _nested(verdict.four), "beyond_the_paper": _nested(verdict.beyond)}
    copied = verdict.copied.astype(object).where(verdict.copied.notna(), None).to_dict("records")
    files.write_json(folder / "evaluation.json", source | tables | {"most_copied": copied})
    pairs = [np.concatenate([images[s], store.images[r]]) for s, r in zip(verdict.copied["sample"], verdict.copied["row"])]
    files.write(folder / "most-copied.png", Image.fromarray(np.concatenate(pairs, axis=1)).save)


def _nested(table: pd.DataFrame) -> dict:
    """Row -> "metric (where)" -> value, None for NaN."""
    rows = {}
    for key, row in table.iterrows():
        names = [column if isinstance(column, str) else " ".join(column).strip() for column in table.columns]
        rows[key] = {name: None if pd.isna(value) else float(value) for name, value in zip(names, row)}
    return rows
