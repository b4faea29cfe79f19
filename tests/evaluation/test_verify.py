"""The kit's weights give the committed tables, and any other number or verdict is named."""

import re

import pytest

from dwikit import profiles, report, training
from dwikit.common.errors import InputError
from dwikit.evaluation import verify


@pytest.fixture(scope="module")
def found(store, tmp_path_factory):
    config = profiles.resolve("smoke", vae={"epochs": 2, "steps_per_epoch": 5, "model": {"channels": [8, 16]}})
    runs = {"vae": training.train("vae", config, store, tmp_path_factory.mktemp("run") / "vae")}
    assert set(verify.figures(store, runs)) == {"figure-3", "figure-4", "samples"}
    return verify.tables(store, runs, 30)


@pytest.fixture
def folder(found, tmp_path, monkeypatch):
    monkeypatch.setenv("DWIKIT_FIGURES", str(tmp_path))
    for name, table in found.items():
        report.save_table(table, name, report.provenance(profiles.resolve("smoke"), "dwikit verify"))
    return tmp_path


def test_the_same_weights_give_the_same_tables(found, folder):
    assert set(found) == {"table-1", "reconstruction", "claims"} and verify.differences(found, folder) == []


@pytest.mark.parametrize(("off", "named"), [(0.4e-4, []), (0.6e-4, ["table-1, VAE, isd (ours)"])])
def test_a_number_may_be_off_by_half_a_printed_digit(found, folder, off, named):
    table = found["table-1"].copy()
    table.loc["VAE", ("isd", "ours")] += off
    lines = verify.differences(found | {"table-1": table}, folder)
    assert [line.split(":")[0] for line in lines] == named


def test_another_verdict_is_named(found, folder):
    claims = found["claims"].copy()
    claims.loc[5, "verdict"] = "undecided" if claims.loc[5, "verdict"] != "undecided" else "reproduced"
    (line,) = verify.differences(found | {"claims": claims}, folder)
    assert line.startswith("Samples of VAE and DFC-VAE have less than 0.6") and "committed:" in line


@pytest.mark.parametrize(
    ("name", "change", "named"),
    [
        ("numbers", ("0.", "3."), True),  # every one
        ("seeds", ("VAE 1", "VAE 99"), True),
        ("numbers", ("VAE /", "StyleGAN /"), True),
        ("numbers", None, False),  # their last digit
    ],
)
def test_numbers_and_trainings_of_claims_are_compared(found, folder, name, change, named):
    def other(text):
        return text.replace(*change) if change else re.sub(r"\d\.\d\d", lambda number: f"{float(number[0]) + 0.01:.2f}", text)

    claims = found["claims"].copy()
    claims[name] = claims[name].map(other)
    assert not claims.equals(found["claims"])
    lines = verify.differences(found | {"claims": claims}, folder)
    assert bool(lines) == named and all(f"({name}): " in line and "committed: " in line for line in lines)


def test_a_table_of_other_networks_or_none_is_refused(found, folder):
    with pytest.raises(InputError, match="these weights give Original, Held-out people"):
        verify.differences({"table-1": found["table-1"].drop(index="VAE")}, folder)
    (folder / "claims.csv").unlink()
    with pytest.raises(InputError, match=f"claims.csv cannot be read.*git checkout figures/{folder.name}"):
        verify.differences(found, folder)
