"""Verdicts: synthetic tables force each of them, and the paper's own numbers reproduce the paper."""

import io
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dwikit import paper, profiles, report, slices, training
from dwikit.common.errors import InputError
from dwikit.evaluation import repeats, tables, verdicts
from dwikit.metrics.intervals import Estimate
from dwikit.paper import NOT_REPRODUCED, NOT_TESTED, REPRODUCED, UNDECIDED, Evidence, Nearer, Ratio

BY_KEY = {claim.key: claim for claim in paper.CLAIMS}
METRIC_CLAIMS = [claim for claim in paper.CLAIMS if all(check.table != "readings" for check in claim.checks)]


SCALES = {"vae": 1.0, "dfc_vae": 1.05, "intro_vae": 1.5}


def with_spread(table: pd.DataFrame, share: float) -> pd.DataFrame:
    """A table whose intervals reach a share below and above each number."""
    return pd.concat([table, (table * (1 - share)).add_suffix("_low"), (table * (1 + share)).add_suffix("_high")], axis=1)


def evidence(share: float = 0.0, **changes: dict[str, dict[str, float]]) -> Evidence:
    """The paper's tables, with intervals, and with some numbers changed: table -> {row: {column: value}}."""
    tables = {"table_1": paper.TABLE_1.copy(), "reconstruction": paper.RECONSTRUCTION.copy()}
    for name, rows in changes.items():
        for row, values in rows.items():
            for column, value in values.items():
                tables[name].loc[row, column] = value
    return Evidence(**{name: with_spread(table, share) for name, table in tables.items()})


def test_there_are_the_thirteen_claims_with_their_sections():
    assert len(paper.CLAIMS) == len(BY_KEY) == 13 and len(METRIC_CLAIMS) == 9
    assert all(claim.section and claim.text.endswith(".") and claim.otherwise and claim.checks for claim in paper.CLAIMS)


@pytest.mark.parametrize("claim", paper.CLAIMS, ids=lambda claim: claim.key)
def test_the_papers_own_numbers_reproduce_the_paper(claim):
    assert claim.verdict(verdicts.published()) == REPRODUCED


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("reconstruction error", {"reconstruction": {"vae": {"mse": 0.009}}}),
        ("reconstruction sharpness", {"reconstruction": {"dfc_vae": {"laplace": 1300.0}}}),
        ("blur of the plain VAEs", {"table_1": {"vae": {"laplace": 900.0}}}),
        ("sharpness of IntroVAE and StyleGAN", {"table_1": {"intro_vae": {"laplace": 700.0}}}),
        ("diversity lost by the plain VAEs", {"table_1": {"dfc_vae": {"isd": 0.04}}}),
        ("diversity kept by IntroVAE and StyleGAN", {"table_1": {"style_gan": {"isd": 0.02}}}),
        ("near copies among samples", {"table_1": {"style_gan": {"min_isd": 0.006}}}),
        ("no near copies from the VAE", {"table_1": {"vae": {"min_isd": 0.001}}}),
        ("similarity to the data", {"table_1": {"style_gan": {"ds": 0.07}}}),
    ],
)
def test_numbers_on_the_wrong_side_do_not_reproduce_a_claim(key, changes):
    assert BY_KEY[key].verdict(evidence(0.01, **changes)) == NOT_REPRODUCED


@pytest.mark.parametrize("claim", METRIC_CLAIMS, ids=lambda claim: claim.key)
def test_wide_intervals_leave_a_claim_undecided(claim):
    assert claim.verdict(evidence(0.9)) == UNDECIDED


@pytest.mark.parametrize("claim", METRIC_CLAIMS, ids=lambda claim: claim.key)
def test_without_intervals_a_claim_is_undecided(claim):
    assert claim.verdict(Evidence(paper.TABLE_1, paper.RECONSTRUCTION)) == UNDECIDED


@pytest.mark.parametrize("claim", paper.CLAIMS, ids=lambda claim: claim.key)
def test_a_missing_network_leaves_its_claims_untested(claim):
    rows = {row for check in claim.checks for row in check.rows if row in paper.MODELS} or {"agreement"}
    whole = verdicts.published()
    for row in rows:
        less = Evidence(*(table.drop(index=row, errors="ignore") for table in whole[:3]))
        assert claim.verdict(less) == NOT_TESTED
    assert claim.verdict(Evidence()) == NOT_TESTED


def test_human_readers_can_contradict_and_leave_open():
    shares = paper.TABLE_2.copy()
    shares.loc["vae", "reader_2"], shares.loc["intro_vae", "reader_1"] = 0.9, 0.5
    read = Evidence(readings=verdicts.readings(shares, 50, Estimate(0.5, 0.4, 0.55)))
    found = {claim.key: claim.verdict(read) for claim in paper.CLAIMS[9:]}
    assert list(found.values()) == [NOT_REPRODUCED, UNDECIDED, REPRODUCED, NOT_REPRODUCED]


@pytest.mark.parametrize(
    ("estimate", "result"),
    [
        (Estimate(0.5, 0.4, 0.59), True),
        (Estimate(0.5, 0.4, 0.61), None),
        (Estimate(0.7, 0.6, 0.8), False),
        (Estimate(0.5), None),
        (Estimate(0.05, 0.04, 0.1), False),
    ],
)
def test_an_interval_holds_fails_or_straddles(estimate, result):
    assert paper.holds(estimate, above=0.1, below=0.6) is result


def test_nearer_takes_both_sides_of_the_original():
    table = pd.DataFrame({"ds": [1.0, 0.9, 1.3]}, index=["original", "style_gan", "vae"])
    check = Nearer("table_1", "ds", "style_gan", "vae")
    assert check.measure(Evidence(verdicts.exact(table))).value == pytest.approx(np.log(1 / 0.9) / np.log(1.3))
    touching = check.measure(Evidence(with_spread(table, 0.2)))
    assert touching.low == 0 and touching.high > 1


def test_seeds_that_disagree_leave_a_claim_undecided_and_show_their_numbers():
    first, labels = evidence(0.01), {key: paper.LABELS[key] for key in paper.MODELS}
    again = evidence(0.01, table_1={"vae": {"isd": 0.04}}).table_1.loc[["original", "vae", "vae"]]
    by_seed = {"table-1": again.set_axis(["original", "VAE, seed 0", "VAE, seed 1"])}
    found = repeats.evidences(first, by_seed, labels)
    assert len(found) == 2 and found[0] is first
    table = verdicts.table(found, repeats.counts(by_seed, labels)).set_index("claim")
    row = table.loc[BY_KEY["diversity lost by the plain VAEs"].text]
    assert row["verdict"] == UNDECIDED and "(other seeds 0.89)" in row["numbers"] and row["seeds"] == "VAE 2, DFC-VAE 1"
    agreed = table.loc[BY_KEY["near copies among samples"].text]
    assert agreed["verdict"] == REPRODUCED and "seeds" not in agreed["numbers"]
    assert first.table_1.loc["vae", "isd"] == 0.0254, "the first training's table is left as it was"


def test_every_combination_of_trainings_is_tried():
    """Numbers of trainings mean nothing: the second IntroVAE beside the first VAE decides, too."""
    first, labels = evidence(0.01), {key: paper.LABELS[key] for key in paper.MODELS}
    nearer = evidence(0.01, table_1={"vae": {"ds": 0.0497}}).table_1.loc["vae"]
    again = first.table_1.loc[["original", "vae", "vae", "intro_vae", "intro_vae"]].copy()
    again.index = ["original", "VAE, seed 0", "VAE, seed 1", "IntroVAE, seed 0", "IntroVAE, seed 1"]
    again.loc["VAE, seed 1"] = nearer  # nearer to the original than the first IntroVAE, not than the second
    again.loc["IntroVAE, seed 1"] = evidence(0.0001, table_1={"intro_vae": {"ds": 0.04941}}).table_1.loc["intro_vae"]
    found = repeats.evidences(first, {"table-1": again}, labels)
    assert len(found) == 4 and found[0] is first
    check = Nearer("table_1", "ds", "intro_vae", "vae")
    values = [check.measure(one).value for one in found]
    assert sum(value > 1 for value in values) == 1 and len({round(value, 6) for value in values}) == 4
    table = verdicts.table(found, repeats.counts({"table-1": again}, labels)).set_index("claim")
    assert table.loc[BY_KEY["similarity to the data"].text, "verdict"] != REPRODUCED


def test_verdicts_come_from_the_tables_of_a_run(store):
    """Real slices in place of every model's samples: as sharp and as diverse as the original."""
    half = store.split("train")[::2]
    table = tables.table_1(store, dict.fromkeys(paper.MODELS, half))
    found = {claim.key: claim.verdict(Evidence(table)) for claim in paper.CLAIMS}
    assert found["blur of the plain VAEs"] == found["diversity lost by the plain VAEs"] == NOT_REPRODUCED
    assert found["reconstruction error"] == found["readers agree"] == NOT_TESTED


def test_labels_name_what_is_compared():
    assert Ratio("table_1", "isd", "vae").label == "VAE / Original"
    assert Ratio("readings", "reader_1", "vae", None).label == "VAE, reader 1"


def test_networks_on_the_same_images_are_compared_by_pairs(store):
    """One network's error is a tenth above another's on every slice: certain by pairs, lost in the spread between slices."""
    rng, each = np.random.default_rng(0), store.table.assign(subject=[f"sub-{i}" for i in range(len(store.images))])
    store = slices.SliceStore(store.images, each, store.settings)  # the smallest store holds out a single person
    originals = store.images[training.held_out(store)].astype(np.float64)
    noise = rng.standard_normal(originals.shape) * rng.gamma(1, 8, (len(originals), 1, 1))  # some slices are hard
    rebuilt = {key: (originals + scale * noise).clip(0, 255).round().astype(np.uint8) for key, scale in SCALES.items()}
    table, paired = tables.reconstruction_table(store, rebuilt), tables.paired_ratios(store, rebuilt)
    check = BY_KEY["reconstruction error"].checks[0]
    alone, together = check.measure(Evidence(None, table)), check.measure(Evidence(None, table, paired=paired))
    assert together.value == pytest.approx(alone.value) and together.value == pytest.approx(
        table["mse"]["vae"] / table["mse"]["dfc_vae"]
    )
    assert alone.low < together.low < together.value < together.high < 1 < alone.high
    reverse = paired.loc[("mse", "dfc_vae", "vae")]
    assert [reverse["low"], reverse["high"]] == pytest.approx([1 / together.high, 1 / together.low])
    assert ("mse", "original", "vae") not in paired.index and ("laplace", "intro_vae", "original") in paired.index


def test_another_seed_brings_its_own_pairs(store, tmp_path):
    """The second VAE's errors are twice the first's, in memory and from the files of a study."""
    each = store.table.assign(subject=[f"sub-{i}" for i in range(len(store.images))])
    store = slices.SliceStore(store.images, each, store.settings)
    originals, rng = store.images[training.held_out(store)].astype(np.float64), np.random.default_rng(0)
    noise = rng.standard_normal(originals.shape)
    drawn = [(originals + scale * noise).clip(0, 255).round().astype(np.uint8) for scale in (4, 8, 8)]
    labels, ours = {key: paper.LABELS[key] for key in ("vae", "dfc_vae")}, dict(zip(("vae", "dfc_vae"), drawn[::2]))
    vaes = {
        seed: SimpleNamespace(label="VAE", samples=images, reconstructions=images, reconstructs=True)
        for seed, images in enumerate(drawn[:2])
    }
    by_seed = repeats.tables(store, {"vae": vaes, "dfc_vae": {0: None}}, ours, len(originals))
    table, rebuilt = tables.table_1(store, ours), tables.reconstruction_table(store, ours)
    first = Evidence(table, rebuilt, paired=tables.paired_ratios(store, ours))
    source = report.provenance(profiles.resolve("smoke"), "some command")
    repeats.save(by_seed, source, tmp_path)
    for found in (by_seed, repeats.checked(repeats.read(tmp_path), first, labels)):
        one, other = repeats.evidences(first, found, labels)
        assert one is first and repeats.counts(found, labels) == {"vae": 2, "dfc_vae": 1}
        second = other.ratio("reconstruction", "vae", "dfc_vae", "mse")
        assert first.ratio("reconstruction", "vae", "dfc_vae", "mse").value == pytest.approx(0.25, rel=0.1)
        assert second.value == pytest.approx(1.0) and second.high - second.low < 1e-6, "on the same images"
        assert other.find("table_1", "vae", "ds") != first.find("table_1", "vae", "ds")
        assert other.find("table_1", "dfc_vae", "ds") == first.find("table_1", "dfc_vae", "ds")
    assert not repeats.read(tmp_path / "nowhere")
    of_others = first._replace(table_1=table.assign(ds=table["ds"] + 0.01))
    with pytest.raises(InputError, match="seeds-table-1.csv is of other slices or other networks: there ds of original is"):
        repeats.checked(by_seed, of_others, labels)
    for name in ("paired", "reconstruction", "table-1"):  # a program that was stopped leaves some of them
        (tmp_path / f"{repeats.FILES[name]}.csv").unlink()
        with pytest.raises(InputError, match="missing" if name != "table-1" else "missing, though"):
            repeats.checked(repeats.read(tmp_path), first, labels)
        repeats.save(by_seed, source, tmp_path)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("table-1", lambda text: "", "seeds-table-1.csv cannot be read"),
        ("table-1", lambda text: text.replace(",", ";"), "seeds-table-1.csv cannot be read|lacks"),
        ("table-1", lambda text: text + text.splitlines()[-1] + "\n", "a row is there twice"),
        ("table-1", lambda text: text.replace("original,", "orig,"), "lacks the original, or a column"),
        ("table-1", lambda text: text.replace(",laplace,", ",sharpness,"), "lacks the original, or a column"),
        ("table-1", lambda text: re.sub(r"(VAE, seed 1\",\d+,)[^,]+", r"\1", text), "lacks a number of VAE, seed 1"),
        ("table-1", lambda text: re.sub(r"(VAE, seed 0\",)\d+", r"\g<1>7", text), "there n of vae is 7"),
        ("paired", lambda text: "".join(text.splitlines(keepends=True)[:-3]), "seeds-paired.csv is missing, or lacks"),
        ("reconstruction", lambda text: text.replace("0.", "O.", 1), "seeds-reconstruction.csv cannot be read"),
        (
            "paired",
            lambda text: changed(text, value=-1, low=-1, high=-1),
            "seeds-paired.csv is of other networks: there .*, and its rows give",
        ),
        ("paired", lambda text: changed(text, low=2.0), "seeds-paired.csv is of other networks"),
        ("paired", lambda text: re.sub(r"^.*,vae,.*\n", "", text, flags=re.M), "seeds-paired.csv is missing, or lacks"),
    ],
)
def test_damaged_tables_of_other_seeds_are_refused(seeds_tables, tmp_path, name, damage, message):
    folder, first, labels = seeds_tables
    copy = shutil.copytree(folder, tmp_path / "copy")
    path = copy / f"{repeats.FILES[name]}.csv"
    before = path.read_text(encoding="utf-8")
    path.write_text(damage(before), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != before
    with pytest.raises(InputError, match=message):
        repeats.checked(repeats.read(copy), first, labels)


def changed(text: str, **powers: float) -> str:
    """A file of pairs with some of its columns raised to a power; -1 turns ratios over."""
    table = pd.read_csv(io.StringIO(text))
    return table.assign(**{name: table[name] ** power for name, power in powers.items()}).to_csv(index=False)


@pytest.fixture
def seeds_tables(store, tmp_path):
    """A folder with the tables of two VAEs, the evidence of the first, and the labels."""
    each = store.table.assign(subject=[f"sub-{i}" for i in range(len(store.images))])
    store = slices.SliceStore(store.images, each, store.settings)
    originals, rng = store.images[training.held_out(store)].astype(np.float64), np.random.default_rng(0)
    noise = rng.standard_normal(originals.shape)
    drawn = [(originals + scale * noise).clip(0, 255).round().astype(np.uint8) for scale in (4, 8)]
    vaes = {
        seed: SimpleNamespace(label="VAE", samples=images, reconstructions=images, reconstructs=True)
        for seed, images in enumerate(drawn)
    }
    found = repeats.tables(store, {"vae": vaes}, {"vae": drawn[0]}, len(originals))
    repeats.save(found, report.provenance(profiles.resolve("smoke"), "some command"), tmp_path / "seeds")
    ours = {"vae": drawn[0]}
    rebuilt = tables.reconstruction_table(store, ours)
    return tmp_path / "seeds", Evidence(tables.table_1(store, ours), rebuilt), {"vae": paper.LABELS["vae"]}
