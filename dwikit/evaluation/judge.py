"""``dwikit evaluate``: images from anyone's model, beside held-out real slices and the paper's numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

import dwikit
from dwikit import metrics, paper, report
from dwikit.common import doctor, files
from dwikit.evaluation import samples, tables
from dwikit.evaluation.beyond import FLOOR, LABELS, beyond_paper, draw, readable
from dwikit.evaluation.copies import most_copied
from dwikit.evaluation.networks import FeatureNetwork, feature_networks
from dwikit.slices import SliceStore


class Verdict(NamedTuple):
    """What ``evaluate`` found."""

    four: pd.DataFrame
    """The metrics of Table 1: originals, held-out slices, the samples, and the paper's rows; ratios to each Original."""
    beyond: pd.DataFrame
    """``beyond_paper`` of the samples."""
    copied: pd.DataFrame
    """``most_copied``."""
    folder: Path
    """Folder of the tables."""
    note: str = ""
    """What was done to the samples before they were measured."""


def evaluate(
    path: str | Path,
    originals: str | Path,
    split: str = "train",
    out: str | Path | None = None,
    n: int = paper.N_SAMPLES,
    networks: Mapping[str, FeatureNetwork] | None = None,
    resize: bool = False,
) -> Verdict:
    """Judge the images of a file or folder against a store of slices, and write the tables.

    Args:
        path: samples, as accepted by ``samples.read``.
        originals: folder of a store of slices.
        split: the slices that the model was trained on; those of all other people are held out.
        out: folder of the tables; default ``evaluation-<name of the samples>`` in the current folder.
        n: images per row, at most.
        networks: feature networks by name; None uses ``feature_networks``, kept in ``out``.
        resize: shrink samples larger than the slices (``samples.fitted``); the tables say so.

    Raises:
        InputError: samples or a store that cannot be used.
    """
    path = Path(path)
    store = SliceStore.open(originals)
    images = metrics.as_images(samples.read(path), str(path), at_least=2)
    images, note = samples.fitted(images, store.images.shape[1:], str(path), resize)
    train, held_out = draw(store, split, [len(images)], n)
    folder = Path(out or f"evaluation-{path.name.split('.')[0]}")
    four = four_metrics(store, split, train, held_out, images)
    networks = networks or feature_networks(store, folder)
    beyond = beyond_paper(store, {"samples": images}, networks, n, split=split)
    copied = most_copied(store, images, split=split)
    options = " --resize" if note else ""
    source = {
        "command": f"dwikit evaluate {path} --originals {originals} --split {split} --out {folder}{options}",
        "samples": {"path": str(path.resolve()), "images": len(images)} | ({"note": note} if note else {}),
        "slices": store.settings,
        "networks": list(networks),
        "dwikit": dwikit.__version__,
        "versions": doctor.versions(),
    }
    verdict = Verdict(four, beyond, copied, folder, note)
    _save(verdict, images, store, source)
    return verdict


def four_metrics(store: SliceStore, split: str, train, held_out, images: np.ndarray) -> pd.DataFrame:
    """The metrics of Table 1 for equally many originals, held-out slices and samples, above the paper's rows.

    Returns:
        Columns (metric, "" | " / original"); the ratio is to the Original row of the same study.
    """
    data = metrics.moments(store.images, store.indices(split))
    groups = {"original": store.images[train], FLOOR: store.images[held_out], "samples": images[: len(train)]}
    ours = pd.DataFrame({key: tables.measure(group, data) for key, group in groups.items()}).T
    names = [key for key, metric in metrics.table_1_metrics().items() if metric.ratio]
    theirs = paper.TABLE_1.assign(n=paper.N_SAMPLES).reindex(columns=["n", *names])
    blocks = []
    for table, prefix in ((ours, ""), (theirs, "paper: ")):
        columns = {("n", ""): table["n"]}
        for name in names:
            columns[name, ""] = table[name]
            columns[name, " / original"] = table[name] / table.loc["original", name]
        labels = {key: prefix + label for key, label in (LABELS | {"samples": "Samples"}).items()}
        blocks.append(pd.DataFrame(columns).rename(index=labels))
    return pd.concat(blocks).rename_axis("images")


def markdown(verdict: Verdict) -> str:
    """The tables as one page."""
    beyond = readable(verdict.beyond, LABELS | {"samples": "Samples"})
    copied = verdict.copied.assign(sample=verdict.copied["sample"].astype(str)).set_index("sample")
    copied = copied[["case", "level", "ratio"]].astype({"level": str, "case": str})
    return (
        (f"{verdict.note}\n\n" if verdict.note else "")
        + "## The paper's metrics (in parentheses the ratio to Original)\n\n"
        + report.markdown(verdict.four)
        + "\n## Beyond the paper\n\n"
        + report.markdown(beyond)
        + "\n## Nearest to a training slice (distance, as a ratio to that slice's own to the next patient's)\n\n"
        + report.markdown(copied)
    )


def _save(verdict: Verdict, images: np.ndarray, store: SliceStore, source: dict) -> None:
    folder = verdict.folder
    for name, table in (("four-metrics", verdict.four), ("beyond-the-paper", verdict.beyond), ("most-copied", verdict.copied)):
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
        names = [" ".join(" ".join(column).split()) for column in table.columns]
        rows[key] = {name: None if pd.isna(value) else float(value) for name, value in zip(names, row)}
    return rows
