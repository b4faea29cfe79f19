"""Readings: the paper's, reconstructed; agreement against published examples and brute force; every kind of bad file."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score, roc_curve

from dwikit import paper
from dwikit.common.errors import InputError
from dwikit.reader_study import agreement, joint, joint_tables, paper_readings, read_readings, roc, score_readings, tables

REFERENCE = json.loads((Path(__file__).parents[1] / "reference.json").read_text())["agreement"]
ROOT = Path(__file__).resolve().parents[2]


# ==== The paper's readings ====


def test_only_one_joint_table_gives_the_printed_kappa():
    table = joint_tables()
    assert table["disagreements"].tolist() == [18, 20]
    assert table["kappa"].round(3).tolist() == [0.853, 0.837]
    [row] = joint.consistent(table).to_dict("records")
    assert [row[cell] for cell in joint.CELLS] == list(itertools.chain(*REFERENCE["paper_table_2"]["table"]))


def test_no_joint_table_is_forgotten():
    """Against brute force over every cell of every group, for two small groups."""
    counts, n = {"a": (3, 2), "b": (1, 4)}, 4
    wanted = set()
    for a, b in itertools.product(range(n + 1), repeat=2):
        cells = [(a, 3 - a, 2 - a, n - 5 + a), (b, 1 - b, 4 - b, n - 5 + b)]
        if min(min(group) for group in cells) >= 0:
            wanted.add(tuple(map(sum, zip(*cells))))
    table = joint_tables(counts, n)
    assert {tuple(row) for row in table[joint.CELLS].to_numpy()} == wanted


def test_the_running_text_leads_to_another_table_with_the_same_printed_kappa():
    counts = joint.margins() | {"dfc_vae": tuple(round(share * paper.N_READ) for share in paper.DFC_IN_TEXT)}
    table = joint.consistent(joint_tables(counts))
    assert table["kappa"].round(3).tolist() == [0.844] and table["disagreements"].tolist() == [19]


def test_the_paper_s_readings_give_back_its_tables():
    key, readings = paper_readings()
    scores = score_readings(readings, key)
    shares = scores.called_real.pivot(index="group", columns="reader", values="share")
    assert np.array_equal(shares.loc[paper.TABLE_2.index].to_numpy(), paper.TABLE_2.to_numpy())
    kappa = scores.agreement.set_index("statistic").loc["Cohen's kappa"]
    expected = REFERENCE["paper_table_2"]
    assert kappa["value"] == pytest.approx(expected["kappa"], abs=1e-12) and kappa["se"] == pytest.approx(expected["se"])
    assert [kappa["low"], kappa["high"]] == pytest.approx(expected["interval"])
    assert round(kappa["value"], 2) == paper.KAPPA
    assert ["2 readers give 1 degree of freedom" in note for note in scores.notes] == [True]


def test_the_shipped_readings_are_the_derived_ones():
    key, readings = paper_readings()
    wide = readings.pivot(index="image", columns="reader", values="answer").loc[key["image"]]
    shipped = pd.read_csv(ROOT / "data" / "paper" / "readings.csv")
    assert shipped["image"].tolist() == key["image"].tolist() and shipped["group"].tolist() == key["group"].tolist()
    assert (shipped[["reader_1", "reader_2"]].to_numpy() == wide[["Reader 1", "Reader 2"]].to_numpy()).all()


def test_shares_that_fifty_images_cannot_give_are_refused():
    with pytest.raises(InputError, match="a: 0.93 and 0.5 are not shares of 50 images"):
        joint.margins(pd.DataFrame({"reader_1": [0.93], "reader_2": [0.5]}, index=["a"]))


# ==== Agreement ====


def spread(table):
    """A table of two readers as counts by image and category."""
    table = np.array(table)
    return np.repeat(
        [np.eye(len(table))[i] + np.eye(len(table))[j] for i, j in np.ndindex(*table.shape)], table.ravel(), axis=0
    )


@pytest.mark.parametrize("name", REFERENCE)
def test_kappa_and_ac1_equal_published_examples(name):
    expected = REFERENCE[name]
    kappa, ac1 = agreement.cohens_kappa(expected["table"]), agreement.gwet_ac1(spread(expected["table"]))
    assert kappa.value == pytest.approx(expected["kappa"], abs=1e-7) and kappa.se == pytest.approx(expected["se"], abs=1e-8)
    assert ac1.value == pytest.approx(expected.get("ac1", ac1.value), abs=1e-5)
    assert ac1.se == pytest.approx(expected.get("ac1_se", ac1.se), abs=1e-8)
    if "interval" in expected:
        assert [kappa.low, kappa.high] == pytest.approx(expected["interval"], abs=1e-6)


def test_chance_of_ac1_by_brute_force():
    """Two readers answer at random on a random share of images: AC1 and kappa of the table, by going through all pairs."""
    rng = np.random.default_rng(1)
    first, second = rng.random((2, 60)) < [[0.8], [0.7]]
    counts = np.stack([first + second.astype(int), 2 - first - second.astype(int)], 1)
    real = np.concatenate([first, second]).mean()
    chance = sum(share * (1 - share) for share in (real, 1 - real))
    assert agreement.gwet_ac1(counts).value == pytest.approx(((first == second).mean() - chance) / (1 - chance))
    table = [[(first & second).sum(), (first & ~second).sum()], [(~first & second).sum(), (~first & ~second).sum()]]
    assert agreement.cohens_kappa(table).value == pytest.approx(cohen_kappa_score(first, second))


def test_fleiss_kappa_by_brute_force():
    rng = np.random.default_rng(2)
    answers = rng.random((40, 4)) < rng.random((40, 1))
    counts = np.stack([answers.sum(1), (~answers).sum(1)], 1)
    pairs = [(a, b) for a in range(4) for b in range(4) if a != b]
    agreed = np.mean([(answers[:, a] == answers[:, b]).mean() for a, b in pairs])
    chance = answers.mean() ** 2 + (1 - answers.mean()) ** 2
    estimate = agreement.fleiss_kappa(counts)
    assert estimate.value == pytest.approx((agreed - chance) / (1 - chance)) and 0.03 < estimate.se < 0.2


def test_agreement_on_one_answer_alone_is_undefined():
    assert agreement.cohens_kappa([[30, 0], [0, 0]]) is None
    assert agreement.cohens_kappa([[0, 0], [0, 0]]) is None
    assert agreement.fleiss_kappa([[3, 0]] * 9) is None
    assert agreement.cohens_kappa([[20, 10], [0, 0]]).value == 0
    assert agreement.gwet_ac1(np.array([[2, 0]] * 30)).value == 1


def test_area_under_the_curve_equals_all_pairs_and_scikit_learn():
    rng = np.random.default_rng(3)
    fake = rng.random(80) < 0.6
    score = np.round(rng.normal(size=80) + fake) + 0.0
    estimate = roc.area(score, fake)
    won = [(f > r) + (f == r) / 2 for f in score[fake] for r in score[~fake]]
    assert estimate.value == pytest.approx(np.mean(won)) == pytest.approx(roc_auc_score(fake, score))
    draws = rng.integers(0, 80, (400, 80))
    bootstrap = np.std([roc.area(score[d], fake[d]).value for d in draws])
    assert estimate.se == pytest.approx(bootstrap, rel=0.15)
    false_alarms, hits = roc.curve(score, fake)
    theirs = roc_curve(fake, score, drop_intermediate=False)
    assert false_alarms == pytest.approx(theirs[0]) and hits == pytest.approx(theirs[1])


# ==== Scores ====

KEY = pd.DataFrame({"image": [f"I{i:02d}" for i in range(20)], "group": ["original"] * 8 + ["vae"] * 6 + ["style_gan"] * 6})
TRUTH = np.array(["real"] * 8 + ["fake"] * 12)
FLIPPED = {"real": "fake", "fake": "real"}


def answers(reader, wrong=(), key=KEY, truth=TRUTH, **columns):
    given = [FLIPPED[answer] if i in wrong else answer for i, answer in enumerate(truth)]
    return pd.DataFrame({"reader": reader, "image": key["image"], "answer": given, **columns})


def has_no_nan(scores):
    frames = (
        scores.called_real,
        scores.accuracy,
        scores.agreement,
        scores.differences,
        scores.roc,
        scores.averages,
        scores.contrasts,
    )
    return all(not frame.isna().any(axis=None) for frame in frames) and "nan" not in str(tables.everything(scores)).lower()


def test_right_wrong_and_chance():
    scores = score_readings(pd.concat([answers("A", wrong=(0, 9, 10)), answers("B", wrong=(0,))]), KEY)
    row = scores.accuracy.set_index("reader").loc["A"]
    assert (row["accuracy"], row["specificity"], row["sensitivity"]) == (17 / 20, 7 / 8, 10 / 12)
    assert row["chance"] == pytest.approx(8 / 20 * 9 / 20 + 12 / 20 * 11 / 20)
    shuffled = np.random.default_rng(0)
    called = np.array(["real"] * 9 + ["fake"] * 11)
    by_chance = np.mean([(shuffled.permutation(called) == TRUTH).mean() for _ in range(4000)])
    assert row["chance"] == pytest.approx(by_chance, abs=0.006)
    [difference] = scores.differences.to_dict("records")
    assert (difference["only_first"], difference["only_second"], difference["p"]) == (0, 2, 0.5)
    assert scores.called_real["group"].unique().tolist() == ["original", "vae", "style_gan"] and has_no_nan(scores)


def test_area_per_reader_where_confidence_was_given():
    sure = answers("A", wrong=(0,), confidence=[1.0] + [5.0] * 19)
    some = answers("B", confidence=[3.0] * 15 + [np.nan] * 5)
    scores = score_readings(pd.concat([sure, some, answers("C")]), KEY)
    assert scores.roc["reader"].tolist() == ["A", "B"] and scores.roc["n"].tolist() == [20, 15]
    assert scores.roc["area"].tolist() == [1, 1]
    assert any("B gave a confidence for 15 of 20 images" in note for note in scores.notes)
    assert scores.agreement["statistic"].tolist().count("Fleiss' kappa") == 1 and has_no_nan(scores)


def test_one_reader_has_no_kappa():
    scores = score_readings(answers("A"), KEY)
    assert len(scores.agreement) == 0 and any("needs two or more" in note for note in scores.notes) and has_no_nan(scores)


def test_all_answers_the_same():
    everything_real = [answers(reader, truth=["real"] * 20) for reader in "AB"]
    scores = score_readings(pd.concat(everything_real), KEY)
    assert scores.agreement["statistic"].tolist() == ["Gwet's AC1"]
    assert any("Cohen's kappa of A and B is undefined: all their answers are the same" in note for note in scores.notes)
    assert "A called every image real: distinguished nothing." in scores.notes and has_no_nan(scores)
    scores = score_readings(pd.concat([everything_real[0], answers("B")]), KEY)
    assert scores.agreement.set_index("statistic").loc["Cohen's kappa", "value"] == 0
    assert any("A gave one answer throughout" in note for note in scores.notes) and has_no_nan(scores)


def test_a_reader_who_stopped_half_way_is_counted_and_named():
    half = answers("B").head(9)
    scores = score_readings(pd.concat([answers("A"), half]), KEY)
    assert (
        "B read 9 of 20 images, not 'I09', 'I10', 'I11', 'I12', 'I13' and 6 more. Tables count what was read." in scores.notes
    )
    assert any("B read no image of the group style_gan" in note for note in scores.notes)
    assert scores.agreement["n"].tolist() == [9, 9] and scores.called_real.query("reader == 'B'")["n"].tolist() == [8, 1]
    assert tables.table_2(scores).loc["StyleGAN", "B"] == "not read" and has_no_nan(scores)
    only_real = score_readings(answers("A").head(8), KEY)
    assert any("A read only real images" in note for note in only_real.notes) and has_no_nan(only_real)


def test_readers_without_an_image_in_common():
    scores = score_readings(pd.concat([answers("A").head(9), answers("B").tail(9)]), KEY)
    assert any("they read no image in common" in note for note in scores.notes) and has_no_nan(scores)


# ==== Files ====


def write(path, rows, delimiter=",", encoding="utf-8", newline="\r\n"):
    path.write_bytes(newline.join(delimiter.join(map(str, row)) for row in rows).encode(encoding))
    return path


def rows_of(frame, columns=("deck", "reader", "image", "answer", "confidence", "seconds")):
    frame = frame.assign(deck="DECK", confidence=frame.get("confidence", ""), seconds=frame.get("seconds", "2.5"))
    return [list(columns), *frame[list(columns)].to_numpy().tolist()]


@pytest.mark.parametrize(
    ("delimiter", "encoding", "newline"),
    [(",", "utf-8", "\n"), (";", "utf-8-sig", "\r\n"), ("\t", "utf-16", "\r\n"), (";", "cp1252", "\r")],
)
def test_files_as_spreadsheets_save_them(tmp_path, delimiter, encoding, newline):
    columns = ("answer", "seconds", "image", "confidence", "reader", "deck")
    frame = answers("Jürgen", wrong=(3,), confidence=[4] * 20, seconds="2,5" if delimiter == ";" else "2.5")
    frame["answer"] = [f" {answer.upper()} " if i % 2 else answer for i, answer in enumerate(frame["answer"])]
    rows = rows_of(frame, columns)
    rows[0] = [name.title() for name in rows[0]]
    path = write(tmp_path / "a.csv", [*rows, [""] * 6, []], delimiter, encoding, newline)
    read = read_readings(path, KEY, "DECK")
    assert read["reader"].unique().tolist() == ["Jürgen"] and read["seconds"].eq(2.5).all() and read["confidence"].eq(4).all()
    assert read["answer"].tolist() == answers("x", wrong=(3,))["answer"].tolist()


def test_rows_without_an_answer_are_not_read(tmp_path):
    rows = rows_of(answers("A"))
    rows[5][3] = ""
    assert len(read_readings(write(tmp_path / "a.csv", rows), KEY)) == 19


@pytest.mark.parametrize("labels", [("echt", "falsch"), ("R", "F"), ("reаl", "fake"), ("1", "0"), ("vrai", "faux")])
def test_other_labels_are_named_and_refused(tmp_path, labels):
    frame = answers("A")
    frame["answer"] = np.where(frame["answer"] == "real", *labels)
    with pytest.raises(InputError, match=f"a.csv: the answers must be 'real' or 'fake', not '{labels[0].casefold()}'"):
        read_readings(write(tmp_path / "a.csv", rows_of(frame)), KEY)


def test_the_same_reader_twice(tmp_path):
    for name in ("a.csv", "b.csv"):
        write(tmp_path / name, rows_of(answers("A")))
    with pytest.raises(InputError, match="b.csv and .*a.csv are both of reader 'A'"):
        read_readings(tmp_path, KEY)


def test_readings_of_another_deck(tmp_path):
    with pytest.raises(InputError, match="holds readings of the deck 'DECK', but this is the deck OTHER"):
        read_readings(write(tmp_path / "a.csv", rows_of(answers("A"))), KEY, "OTHER")
    strange = answers("A").assign(image=[f"X{i}" for i in range(20)])
    with pytest.raises(InputError, match="20 of 20 images do not belong to this deck: 'X0', .* and 15 more"):
        read_readings(write(tmp_path / "b.csv", rows_of(strange)), KEY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows + [rows[1]], "read more than once: 'I00 by A'. Keep one row"),
        (
            lambda rows: [[*rows[0][:3], "verdict", *rows[0][4:]], *rows[1:]],
            "has no column 'answer'; its first line is 'deck,rea",
        ),
        (lambda rows: rows[:1], "there is no reading in it"),
        (lambda rows: [], "has no column 'reader', 'image', 'answer'"),
        (lambda rows: [rows[0], [*rows[1][:4], "7", "1"]], "a confidence is a whole number from 1 to 5, not '7'"),
        (lambda rows: [rows[0], [*rows[1][:4], "high", "1"]], "confidence must be numbers, not 'high'"),
        (lambda rows: [rows[0], ["DECK", "", *rows[1][2:]]], "1 rows have no name in the column reader"),
    ],
)
def test_doubtful_files_are_refused_with_the_reason(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        read_readings(write(tmp_path / "a.csv", change(rows_of(answers("A")))), KEY, "DECK")


def test_files_that_are_no_readings(tmp_path):
    with pytest.raises(InputError, match="There is no CSV file of readings in"):
        read_readings(tmp_path, KEY)
    with pytest.raises(InputError, match="nothing.csv cannot be read"):
        read_readings(tmp_path / "nothing.csv", KEY)
    (tmp_path / "a.csv").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="not a text file|has no column"):
        read_readings(tmp_path / "a.csv", KEY)
