"""Do the weights that come with the kit still give the tables that are committed? Cell by cell, verdict by verdict."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dwikit import metrics, paper, report, training
from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.evaluation import repeats, verdicts
from dwikit.evaluation.tables import paired_ratios, reconstruction_table, table_1
from dwikit.metrics.table import column_metrics
from dwikit.profiles import Profile
from dwikit.report import plots
from dwikit.slices import SliceStore
from dwikit.training.weights import pretrained

LEVELS = (5, 12, 19)
"""Heights that figure 4 shows."""
LEVELS_OF_HEADINGS = {"table-1": 2, "reconstruction": 2, "claims": 1}
"""Table -> headings of a column."""
SHOWN = ("ours", "low", "high")
"""Columns of a table beside the paper's that are computed."""
COMPUTED = re.compile(r"\d+\.\d+(?=[^;]*, wanted)")
"""A number of a claim, which stands before its bounds."""
LAST_DIGIT, RATIO_DIGITS = 0.0101, 2
"""Numbers of claims, and ratios, are printed with two decimals."""


def tables(
    store: SliceStore, runs: Mapping[str, training.Run], n: int, by_seed: Mapping[str, pd.DataFrame] | None = None
) -> dict[str, pd.DataFrame]:
    """Table 1, reconstructions (where a network makes some) and claims.

    Args:
        store: slices.
        runs: networks by key.
        n: images per row.
        by_seed: ``repeats.tables`` of the same networks' other trainings, whose weights the kit does not have.

    Returns:
        ``table-1``, ``reconstruction`` and ``claims``, as ``report.save_table`` takes them.

    Raises:
        InputError: ``by_seed`` is of other slices or other networks.
    """
    pairs = {key: run.reconstructions for key, run in runs.items() if run.reconstructs}
    first = table_1(store, {key: run.samples for key, run in runs.items()}, n)
    found, evidence = {"table-1": report.beside_paper(first, paper.TABLE_1)}, paper.Evidence(first)
    if pairs:
        rebuilt = reconstruction_table(store, pairs)
        found["reconstruction"] = report.beside_paper(rebuilt, paper.RECONSTRUCTION)
        evidence = paper.Evidence(first, rebuilt, paired=paired_ratios(store, pairs))
    labels = {key: run.label for key, run in runs.items()}
    evidences = repeats.evidences(evidence, repeats.checked(by_seed, evidence, labels), labels) if by_seed else [evidence]
    return found | {"claims": verdicts.table(evidences, repeats.counts(by_seed, labels) if by_seed else None)}


def figures(store: SliceStore, runs: Mapping[str, training.Run]) -> dict[str, Figure]:
    """Figure 3, held-out slices and reconstructions; figure 4, samples beside originals by height; and the first samples."""
    train, heights = store.indices("train"), store.table["level"].to_numpy()
    few = np.sort(np.random.default_rng(0).permutation(train)[: paper.N_SAMPLES])
    rows = {"Original": (store.images[few], heights[few])}
    for run in runs.values():
        nearest = metrics.nearest_distances(run.samples, store.images, rows=train)[1]
        rows[run.label] = run.samples, heights[nearest]
    first = {label: images for label, (images, _) in rows.items()}
    found = {"figure-4": plots.levels(rows, wanted=LEVELS, columns=2), "samples": plots.image_rows(first, columns=8, width=8)}
    if pairs := {run.label: run.reconstructions for run in runs.values() if run.reconstructs}:
        originals = store.images[training.held_out(store)]
        found["figure-3"] = plots.image_rows({"Original": originals} | pairs, columns=6, width=6)
    return found


def comparable(config: Profile, folder: Path, write: bool) -> None:
    """Whether the kit's weights can make the tables of a folder of figures.

    Raises:
        InputError: the kit lacks weights of a network of the profile, or the folder's tables were made of other networks, or,
            if they are not to be written, there are none.
    """
    kept = pretrained.available()
    lost = [key for key, section in config.networks.items() if section.in_study and config.image_size not in kept.get(key, [])]
    if lost:
        raise InputError(
            f"The kit has no weights of {', '.join(lost)} at {config.image_size} pixels, which profile {config.name} needs. If "
            f"they were in {pretrained.folder()}: git checkout data/pretrained."
        )
    made = files.read_object(folder / "table-1.json").get("command", "")
    if made and "dwikit verify" not in made:
        raise InputError(f"The tables in {folder} are not of the kit's weights, but of networks that `{made}` trained.")
    if not (write or folder.is_dir()):
        raise InputError(
            f"There are no tables of profile {config.name} to compare with: {folder} is missing. --write makes them."
        )


def read(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables of a folder of figures, as ``tables`` gives them.

    Raises:
        InputError: one is missing or damaged, or its Markdown or LaTeX does not show its numbers.
    """
    return {name: _read(folder / f"{name}.csv", levels) for name, levels in LEVELS_OF_HEADINGS.items()}


def _read(path: Path, levels: int) -> pd.DataFrame:
    restore = f"Restore it: git checkout figures/{path.parent.name}."
    try:
        table = pd.read_csv(path, index_col=0, header=list(range(levels)))
        if levels > 1:
            table = table.rename(columns=lambda name: "" if name.startswith("Unnamed:") else name, level=1)
            table = table.astype(float).astype({column: int for column in table if column[0] == "n"})
        else:
            table = table.fillna("")
        shown = {kind: path.with_suffix(kind).read_text(encoding="utf-8") for kind in (".md", ".tex")}
    except (OSError, ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise InputError(f"{path} cannot be read ({error}). {restore}") from error
    for kind, render in ((".md", report.markdown), (".tex", report.latex)):
        if render(table) not in shown[kind]:
            raise InputError(f"{path.with_suffix(kind)} does not show what {path.name} holds. {restore}")
    return table


def differences(found: Mapping[str, pd.DataFrame], committed: Mapping[str, pd.DataFrame]) -> list[str]:
    """Where tables differ: in a row, a column, a word or a verdict, or in a number by more than half a printed digit.

    Args:
        found: ``tables``.
        committed: ``read``.

    Returns:
        One line per difference.
    """
    lines = []
    for name in LEVELS_OF_HEADINGS:
        if name not in found:
            lines.append(f"{name} is committed, and these weights give none.")
            continue
        ours, theirs = found[name], committed[name]
        other = [
            f"{name} has the {what} {_listed(there)}; these weights give {_listed(here)}."
            for what, here, there in (("rows", ours.index, theirs.index), ("columns", ours.columns, theirs.columns))
            if list(map(str, here)) != list(map(str, there))
        ]
        lines += other or (_claims(ours, theirs) if name == "claims" else _numbers(name, ours, theirs))
    return lines


def _listed(names: pd.Index) -> str:
    """Names of rows or columns, shortened where it is no list of names at all."""
    text = ", ".join(" ".join(name).strip() if isinstance(name, tuple) else str(name) for name in names)
    return text if len(text) < 600 else f"{text[:600]} ..."


def _claims(table: pd.DataFrame, committed: pd.DataFrame) -> list[str]:
    """Every word has to be the same, and every bound; rounded numbers may differ by their last digit."""
    lines = []
    for (_, ours), (_, theirs) in zip(table.iterrows(), committed.iterrows()):
        for name in table:
            (words, numbers), (other_words, others) = (_apart(str(row[name])) for row in (ours, theirs))
            same = words == other_words and np.allclose(numbers, others, rtol=0, atol=LAST_DIGIT)
            lines += [] if same else [f"{ours['claim']} ({name}): {ours[name]}; committed: {theirs[name]}"]
    return lines


def _apart(text: str) -> tuple[list[str], list[float]]:
    """Words of a text, bounds among them, and its computed numbers."""
    return COMPUTED.split(text), [float(number) for number in COMPUTED.findall(text)]


def _numbers(name: str, table: pd.DataFrame, committed: pd.DataFrame) -> list[str]:
    """Numbers that are computed may differ by half of their last digit; the paper's, and counts, not at all."""
    lines = []
    for metric, kind in table:
        digits = RATIO_DIGITS if "ours / original" in kind else column_metrics()[metric].digits if kind in SHOWN else None
        off, shown = (1e-9, 4) if digits is None else (0.5 * 10.0**-digits, digits + 1)
        pairs = zip(table.index, table[metric, kind].astype(float), committed[metric, kind].astype(float))
        lines += [
            f"{name}, {row}, {metric} ({kind or 'count'}): {ours:.{shown}f}; committed: {theirs:.{shown}f}"
            for row, ours, theirs in pairs
            if not np.isclose(ours, theirs, rtol=0, atol=off, equal_nan=True)
        ]
    return lines
