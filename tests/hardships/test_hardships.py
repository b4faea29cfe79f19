"""Long trials (``make hardships``): what was tried and what came of it is printed and kept in figures/hardships.md.

DWIKIT_HARDSHIPS scales how much is tried: 0.1 is a tenth.
"""

import os
import time

import pandas as pd
import pytest

from dwikit import profiles, report, slices
from dwikit.preprocess import preprocess
from tests.hardships import company, full_disk, fuzz, kills
from tests.hardships.readers import READERS, numbers
from tests.training.test_training import SMALL

SCALE = float(os.environ.get("DWIKIT_HARDSHIPS", "1"))
FILES, KILLS = max(24, round(12_000 * SCALE)), max(4, round(52 * SCALE))
SHARES = [0, 0.02, 0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 0.97]
SHARES = SHARES if SCALE >= 1 else SHARES[1::4]
COLUMNS = ["hardship", "of", "tried", "right", "refused in words", "anything else", "seconds"]

pytestmark = pytest.mark.hardship


@pytest.fixture(scope="module")
def ledger():
    """Collects what was tried; printed and saved at the end."""
    rows = []
    yield rows
    table = pd.DataFrame(rows, columns=COLUMNS).set_index("hardship")
    sums = table.groupby(level=0, sort=False)[COLUMNS[2:]].sum().assign(of="all")
    table = pd.concat([table, sums.rename("{}, all".format)])[COLUMNS[1:]]
    table[COLUMNS[2:]] = table[COLUMNS[2:]].map("{:,.0f}".format)
    facts = {"cores": os.cpu_count(), "scale": SCALE, "notes": NOTES}
    source = report.provenance(profiles.resolve("smoke"), "make hardships", **facts)
    path = report.save_table(table, "hardships", source)
    print("\n" + path.read_text(encoding="utf-8") + "\n".join(f"- {note}" for note in NOTES))


NOTES: list[str] = []


def note(text: str) -> None:
    print("\n" + text)
    NOTES.append(text)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_damaged_files(reader, tmp_path, ledger):
    start, n = time.time(), numbers(FILES)[reader.name]
    outcome = fuzz.run(reader, n, tmp_path)
    counts = outcome.counts
    ledger.append(["Damaged file", reader.name, n, counts["read"], counts["refused"], counts["failed"], time.time() - start])
    assert not outcome.failures, "\n".join(outcome.failures[:20])


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A folder with small data."""
    return tmp_path_factory.mktemp("room")


def test_preprocessing_killed_at_random_moments(room, tmp_path, ledger):
    """What was killed and started again makes the same bytes, file by file."""
    start = time.time()
    trials = kills.preprocessing(full_disk.small_cohort(room / "killed", 5), tmp_path / "out")
    trials.kill(KILLS)
    ledger.append(["kill -9", "Preprocessing", KILLS, KILLS, 0, 0, time.time() - start])
    note(f"Preprocessing: {KILLS} kills ({_listed(trials.stages)}); {trials.endings} endings, all equal byte for byte.")


@pytest.mark.parametrize("key", SMALL)
def test_training_killed_at_random_moments(key, volumes, tmp_path, ledger):
    """What was killed and started again ends with the same weights, log, grids and samples."""
    start, n = time.time(), KILLS // len(SMALL)
    slices.build(volumes, tmp_path / "slices", slices.SliceSettings(image_size=32))
    trials = kills.training(tmp_path / "slices", tmp_path / "run", key, SMALL[key])
    trials.kill(n)
    ledger.append(["kill -9", f"Training, {key}", n, n, 0, 0, time.time() - start])
    note(f"Training {key}: {n} kills ({_listed(trials.stages)}); {trials.endings} endings, all equal bit for bit.")


def _listed(stages) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(stages.items()))


def test_a_full_disk(room, ledger):
    """Refused in one message, older results unharmed, nothing half written, and on it goes with room."""
    disk = full_disk.Disk(room / "disk")
    kind = "a tmpfs" if disk.mounted else "a limit on file sizes"
    try:
        for stage in full_disk.stages(room):
            start = time.time()
            counts = full_disk.run(stage, disk, SHARES)
            assert counts["refused"]
            ledger.append(["Full disk", stage.name, counts.total(), counts["read"], counts["refused"], 0, time.time() - start])
    finally:
        disk.close()
    note(f"Full disk: {kind}, with room for {', '.join(f'{share:.0%}' for share in SHARES)} of what a stage writes.")


@pytest.mark.parametrize("kind", company.WORK)
def test_several_processes_on_one_folder(kind, room, volumes, tmp_path, ledger):
    """One does its work, the others are told so at once; what is made is what one alone makes."""
    start, rounds = time.time(), max(1, round(3 * SCALE))
    sources = {"Preprocessing": room / "company", "Slices": tmp_path / "derivatives", "Training": tmp_path / "slices"}
    if kind == "Training":
        slices.build(volumes, sources[kind], slices.SliceSettings(image_size=32))
    elif not sources["Preprocessing"].exists():
        full_disk.small_cohort(sources["Preprocessing"], 2)
    if kind == "Slices":
        preprocess(sources["Preprocessing"], sources[kind], workers=1, grid_size=32, progress=False)
    [alone] = company.together(kind, sources[kind], tmp_path / "alone", 1)
    assert alone == ""
    said = [text for i in range(rounds) for text in company.together(kind, sources[kind], tmp_path / f"out-{i}")]
    assert said.count("") >= rounds and all("Another process" in text for text in said if text), said
    for i in range(rounds):
        assert company.CONTENTS[kind](tmp_path / f"out-{i}") == company.CONTENTS[kind](tmp_path / "alone")
    refused = len(said) - said.count("")
    assert refused
    ledger.append(["Several processes", kind, len(said), said.count(""), refused, 0, time.time() - start])
