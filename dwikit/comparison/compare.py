"""Trainings of several runs in one table, and their samples beside one another."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dwikit import evaluation, paper, report, study, training
from dwikit.common.errors import InputError
from dwikit.metrics.table import column_metrics
from dwikit.models.presets import as_text
from dwikit.profiles import Profile, as_dict, resolve, runs
from dwikit.report import plots
from dwikit.slices import SliceStore

SHOWN = 8
"""Samples of each row of the figure."""
ASIDE = ("name", "evaluation", "reader_study", "brought")
"""Parts of a profile that decide no training."""
UNTOLD = ("reasons", "seed")
"""Settings of a network that are no difference between two runs: its seeds are counted."""


@dataclasses.dataclass
class Row:
    """One network of one run, trained with one or several seeds."""

    label: str
    config: Profile
    """The profile as a record of what was used."""
    store: SliceStore
    trainings: dict[int, training.Run]

    @property
    def key(self) -> str:
        """Of the network."""
        return next(iter(self.trainings.values())).model.key


def compare(names: Sequence[str], n: int = paper.N_SAMPLES, name: str | None = None) -> tuple[pd.DataFrame, Figure, dict]:
    """Table 1 over runs: one row for each network of each run, with the settings in which they differ.

    A value is the mean over seeds. Its interval reaches from the lowest end of the seeds' bootstrap intervals to the highest:
    it holds what another draw of images, and what another of these trainings would have given. "over seeds" are the lowest
    and the highest value alone. Nothing is trained. A line says so if two runs drew the same samples.

    Args:
        names: of runs or profiles.
        n: images per row, at most; all rows have the same number, of samples and of reconstructions.
        name: of the comparison, for its command; None: that of the runs.

    Returns:
        The table, a figure of samples, and the provenance of both.

    Raises:
        InputError: fewer than one training in a run, or slices of different sizes.
    """
    rows = [row for run in names for row in _rows(run)]
    if len({row.store.image_size for row in rows}) > 1:
        raise InputError("These runs have slices of different sizes, whose metrics cannot be compared. Name runs of one size.")
    given = [*([] if n == paper.N_SAMPLES else ["-n", str(n)]), *(["--name", name] if name else [])]
    command = report.command("dwikit", "compare", *dict.fromkeys(row.config.reference for row in rows), *given)
    there = [run for row in rows for run in row.trainings.values()]
    n = min([n, *(len(run.samples) for run in there), *(len(row.store.indices("train")) for row in rows)])
    rebuilt = min((len(run.reconstructions) for run in there if run.reconstructs), default=0)
    settings = differences({row.label: _settings(row) for row in rows})
    for one, other in itertools.combinations(rows, 2):
        if _drew_the_same(one, other):
            print(f"{one.label} and {other.label} drew the same samples: the settings in which they differ changed nothing.")
    several = len({row.store.content for row in rows}) > 1
    measured, originals = {}, {}
    for row in rows:
        label = f"Original, {row.config.name}" if several else "Original"
        table = _measured(row, n, rebuilt)
        originals.setdefault(row.store.content, (label, table.loc[["original"]]))
        measured[row.label] = _over_seeds(table.drop(index="original"), table.loc["original"])
    found = {label: _over_seeds(table, table.iloc[0]) | {("seeds", ""): ""} for label, table in originals.values()} | measured
    table = pd.DataFrame.from_dict(found, orient="index")
    told = pd.DataFrame(settings).reindex(table.index).fillna("") if settings else pd.DataFrame(index=table.index)
    told.columns = pd.MultiIndex.from_tuples([(name, "") for name in told], names=None) if len(told.columns) else told.columns
    table = pd.concat([told, table], axis=1) if len(told.columns) else table
    order = dict.fromkeys(name for name, _ in table.columns)
    table = table[[column for name in order for column in table.columns if column[0] == name]]
    return table.rename_axis("run"), _figure(rows), _source(command, rows)


def _rows(name: str) -> list[Row]:
    """The networks of a run that are trained.

    Raises:
        InputError: none is.
    """
    config = resolve(name)
    store = study.slices(config)
    there = [found for key in study.networks(config) if (found := _trainings(config, key, store))]
    if not there:
        raise InputError(f"No network of {name} is trained on its slices yet. Train one: dwikit train --profile {name}.")
    rows = []
    for trainings in there:
        first = next(iter(trainings.values()))
        used = study.used(config, store, {first.model.key: first})
        rows.append(Row(f"{config.name}: {first.title}", used, store, trainings))
    return rows


def _trainings(config: Profile, key: str, store: SliceStore) -> dict[int, training.Run]:
    """The trainings of a network on these slices by seed, the profile's first, all with the settings of the first but its seed.

    A line names any other, which is left out.
    """
    found: dict[int, training.Run] = {}
    for folder in runs.training_folders(config.name, key):
        if training.left_out(folder, config.networks[key], store):
            continue
        run = training.Run.open(folder, config.networks[key].keep, key)
        first = next(iter(found.values()), run)
        if _decisions(run) != _decisions(first):
            print(f"{folder} is left out: it was trained with other settings than {first.folder.name}.")
            continue
        found[run.model.seed] = run
    return found


def _decisions(run: training.Run) -> dict[str, Any]:
    """All that decided a training but its seed."""
    facts = {name: value for name, value in run.facts().items() if name not in ("minutes", "kept_epoch", "carried")}
    return facts | {"config": {**facts["config"], "seed": None}}


def _measured(row: Row, n: int, rebuilt: int) -> pd.DataFrame:
    """Table 1 of n samples and, for networks that reconstruct, the error of so many reconstructions, of every seed."""
    samples = {seed: run.samples for seed, run in row.trainings.items()}
    table = evaluation.table_1(row.store, samples, n).drop(index=evaluation.FLOOR, errors="ignore")
    if all(run.reconstructs for run in row.trainings.values()):
        images = {seed: run.reconstructions[:rebuilt] for seed, run in row.trainings.items()}
        table = table.join(evaluation.reconstruction_table(row.store, images)[["mse", "mse_low", "mse_high"]])
    return table


def _over_seeds(table: pd.DataFrame, original: pd.Series) -> dict[tuple[str, str], Any]:
    """One row for all seeds of a network: the columns of ``report.beside_paper``."""
    row: dict[tuple[str, str], Any] = {("seeds", ""): str(len(table)), ("n", ""): int(table["n"].iloc[0])}
    for name, metric in column_metrics().items():
        if name not in table:
            continue
        values = table[name]
        row[name, ""] = values.mean()
        if f"{name}_low" in table:
            row |= {(name, "low"): table[f"{name}_low"].min(), (name, "high"): table[f"{name}_high"].max()}
        if metric.ratio and name in original and not table.index.equals(pd.Index(["original"])):
            row[name, " / original"] = values.mean() / original[name]
        if len(table) > 1:
            row[name, "over seeds"] = f"{values.min():.{metric.digits}f} to {values.max():.{metric.digits}f}"
    return row


def differences(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Settings in which rows differ, each with its values by row, as text; one that a row does not have is empty there.

    Args:
        settings: by row and name.
    """
    names = dict.fromkeys(itertools.chain.from_iterable(settings.values()))
    shown = {}
    for name in names:
        values = {row: as_text(there[name]) for row, there in settings.items() if name in there}
        if len(set(values.values())) > 1:
            shown[name] = values
    return shown


def _drew_the_same(one: Row, other: Row) -> bool:
    """Whether the samples of two rows are equal with every seed that both have."""
    seeds = one.trainings.keys() & other.trainings.keys()
    return bool(seeds) and all(np.array_equal(one.trainings[seed].samples, other.trainings[seed].samples) for seed in seeds)


def _settings(row: Row) -> dict[str, Any]:
    """Every setting of a row by a name with dots; those of its network without the network's name."""
    values = {name: value for name, value in as_dict(row.config).items() if name not in (*ASIDE, *row.config.networks)}
    section = {name: value for name, value in as_dict(row.config)[row.key].items() if name not in UNTOLD}
    facts = next(iter(row.trainings.values())).facts()
    start = {"init_content": facts["init_content"]} if "init_content" in facts else {}
    del values["cohort"]["workers"]
    return _flat(values) | _flat(section) | start


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested values by names with dots."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value}
    return flat


def _figure(rows: Sequence[Row]) -> Figure:
    """The first samples of each row's first seed, under slices of the first run."""
    train = rows[0].store.indices("train")
    images = {"Original": rows[0].store.images[np.random.default_rng(0).permutation(train)[:SHOWN]]}
    images |= {row.label: next(iter(row.trainings.values())).samples[:SHOWN] for row in rows}
    return plots.image_rows(images, columns=SHOWN, above=True)


def _source(command: str, rows: Sequence[Row]) -> dict:
    """Provenance: that of each run, and the facts of each of its trainings."""
    source = report.provenance(rows[0].config, command)
    profiles = {row.label: as_dict(row.config) for row in rows}
    facts = {row.label: {str(seed): run.facts() for seed, run in row.trainings.items()} for row in rows}
    return (
        source
        | {"profile": {"name": ", ".join(dict.fromkeys(row.config.name for row in rows))}}
        | {
            "profiles": profiles,
            "slices": {row.config.name: row.store.settings for row in rows},
            "runs": facts,
        }
    )
