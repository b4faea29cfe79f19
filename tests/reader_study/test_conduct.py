"""How a study was read: haste, gaps, equal files, one reader under two names; files of older pages and of spreadsheets."""

import numpy as np
import pandas as pd
import pytest

from dwikit import cli
from dwikit.common.errors import InputError
from dwikit.reader_study import build_deck, conduct, read_readings
from dwikit.reader_study.collect import passed_over

KEY = pd.DataFrame({"image": [f"I{i:02d}" for i in range(12)], "group": ["original"] * 4 + ["vae"] * 8})


def reading(reader, seconds=3.0, wrong=(), device="AAAAAA", hours=()):
    """Twelve answers, five seconds after one another, with pauses of some hours before the first ones."""
    times = pd.Timestamp("2026-03-01T08:00:00Z") + pd.to_timedelta(np.arange(12) * 5.0, "s")
    for i, pause in enumerate(hours, start=1):
        times = times.where(np.arange(12) < i, times + pd.Timedelta(hours=pause))
    answers = ["fake" if (group == "vae") != (i in wrong) else "real" for i, group in enumerate(KEY["group"])]
    frame = {"reader": reader, "image": KEY["image"], "answer": answers, "confidence": 3.0, "seconds": seconds}
    return pd.DataFrame(frame | {"again": False, "time": times, "device": device, "changes": 0.0})


def said(*readings):
    return "\n".join(conduct.remarks(pd.concat(readings, ignore_index=True)))


def test_nothing_is_said_of_two_ordinary_readings():
    assert said(reading("A"), reading("B", 4.0, wrong=(2,), device="BBBBBB")) == ""


def test_haste_and_gaps_are_named():
    assert "A gave 12 of 12 answers in under a second" in said(reading("A", seconds=0.4))
    assert "A stopped for hours 2 times, 20 hours at the longest" in said(reading("A", hours=(5, 20)))
    assert said(reading("A", hours=(1,))) == ""


def test_one_reading_or_one_reader_under_two_names():
    assert "A and B gave the same answers in the same times: their files are one reading" in said(reading("A"), reading("B"))
    assert "R 1 and r1 may be one reader under two names" in said(reading("R 1"), reading("r1", 2.0, device="BBBBBB"))
    assert "A and B read in the same browser ('AAAAAA')" in said(reading("A"), reading("B", 2.0))


def test_agreement_with_oneself():
    again = reading("A", wrong=(0, 5)).assign(again=True).iloc[:6]
    [row] = conduct.self_agreement(pd.concat([reading("A"), again])).to_dict("records")
    assert (row["images"], row["same"]) == (6, 4) and row["kappa"] == pytest.approx((4 / 6 - 5 / 9) / (1 - 5 / 9))
    assert len(conduct.self_agreement(reading("A"))) == 0


def test_a_file_of_an_older_page_and_one_with_decimal_commas(tmp_path):
    old = reading("A")[["reader", "image", "answer", "confidence", "seconds"]]
    old.to_csv(tmp_path / "old.csv", index=False)
    new = reading("B", 2.5).assign(again=0)
    new["time"] = [time.isoformat().replace("+00:00", "Z") for time in new["time"]]
    new.to_csv(tmp_path / "new.csv", index=False, sep=";", decimal=",")
    read = read_readings(tmp_path, KEY, again=True)
    assert read.groupby("reader")["seconds"].first().to_dict() == {"A": 3.0, "B": 2.5}
    assert read["time"].notna().sum() == 12 and not read["again"].any() and read["again"].dtype == bool
    assert conduct.remarks(read) == []


def test_second_readings_are_kept_apart(tmp_path):
    twice = pd.concat([reading("A"), reading("A", wrong=(1,)).iloc[:3].assign(again=True)])
    twice.assign(again=twice["again"].astype(int)).to_csv(tmp_path / "a.csv", index=False)
    assert len(read_readings(tmp_path, KEY)) == 12 and len(read_readings(tmp_path, KEY, again=True)) == 15
    twice.assign(again=0).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(InputError, match="read more than once"):
        read_readings(tmp_path, KEY)


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("again", "nein", "again is 0, or 1 for the second reading of an image, not 'nein'"),
        ("again", "1,0", "all readings of 'A' are second ones, 1 in the column again"),
        ("time", "01.03.2026 08:00", "times are written as 2026-03-01T08:00:00Z, not '01.03.2026 08:00'"),
    ],
)
def test_cells_that_would_hide_readings_or_gaps_are_refused(tmp_path, column, cell, message):
    """Guessed at, they would take a reader out of all tables, or interruptions out of the notes, in silence."""
    frame = reading("A").assign(again="0,00", time="2026-03-01T08:00:00Z")
    frame.assign(**{column: cell}).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(InputError, match=message):
        read_readings(tmp_path, KEY)
    frame.to_csv(tmp_path / "a.csv", index=False)
    assert len(read_readings(tmp_path, KEY)) == 12


def test_files_of_a_folder_are_read_or_named(tmp_path):
    for name, reader in (("a.csv", "A"), ("B.CSV", "B"), ("c.csv.txt", "C")):
        reading(reader).assign(again=0, time="").to_csv(tmp_path / name, index=False)
    (tmp_path / ".hidden").write_text("")
    assert set(read_readings(tmp_path, KEY)["reader"]) == {"A", "B"}
    assert passed_over([tmp_path, tmp_path / "a.csv"]) == [f"Not read in {tmp_path}, as these are no CSV files: 'c.csv.txt'."]


def test_tables_as_csv(tmp_path, capsys):
    rng = np.random.default_rng(0)
    real, fake = rng.integers(0, 250, (2, 12, 8, 8)).astype(np.uint8)
    deck = build_deck(real, {"vae": fake}, tmp_path / "deck", n=10, practice=0, seed=0)
    rows = pd.DataFrame({"deck": deck.id, "reader": "R1", "image": deck.key["image"], "answer": "real", "seconds": 0.3})
    rows.to_csv(tmp_path / "R1.csv", index=False)
    out = tmp_path / "tables.csv"
    (tmp_path / "R2.xlsx").write_text("")
    assert cli.main(["readings", str(deck.folder), str(tmp_path), "-o", str(out)]) == 0
    table = pd.read_csv(out)
    assert list(table) == ["table", "row", "column", "value"] and "Called real (Table 2)" in set(table["table"])
    assert {
        "R1 gave 20 of 20 answers in under a second.",
        f"Not read in {tmp_path}, as these are no CSV files: 'R2.xlsx'.",
    } <= set(table["value"])
    assert "R1 gave 20 of 20 answers in under a second." in capsys.readouterr().out
