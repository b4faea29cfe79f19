"""The kit's weights give the committed tables, and any other number or verdict is named."""

import re

import numpy as np
import pytest

from dwikit import models, profiles, report, training
from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.evaluation import verify
from dwikit.training.weights import pretrained


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
    assert set(found) == {"table-1", "reconstruction", "claims"} and verify.differences(found, verify.read(folder)) == []


@pytest.mark.parametrize(
    ("column", "off", "named"),
    [
        (("isd", "ours"), 0.4e-4, []),
        (("isd", "ours"), 0.6e-4, ["table-1, VAE, isd (ours)"]),
        (("isd", "ours / original"), 0.004, []),
        (("isd", "ours / original"), 0.1, ["table-1, VAE, isd (ours / original)"]),
        (("isd", "paper"), 0.0001, ["table-1, VAE, isd (paper)"]),
        (("n", ""), 1, ["table-1, VAE, n (count)"]),
    ],
)
def test_a_computed_number_may_be_off_by_half_a_printed_digit(found, folder, column, off, named):
    table = found["table-1"].copy()
    table.loc["VAE", column] += off
    lines = verify.differences(found | {"table-1": table}, verify.read(folder))
    assert [line.split(":")[0] for line in lines] == named


def test_another_verdict_is_named(found, folder):
    claims = found["claims"].copy()
    claims.loc[5, "verdict"] = "undecided" if claims.loc[5, "verdict"] != "undecided" else "reproduced"
    (line,) = verify.differences(found | {"claims": claims}, verify.read(folder))
    assert line.startswith("Samples of VAE and DFC-VAE have less than 0.6") and "committed:" in line


@pytest.mark.parametrize(
    ("name", "change", "named"),
    [
        ("numbers", ("0.", "3."), True),  # every one
        ("numbers", ("wanted > 1", "wanted > 1.1"), True),
        ("claim", ("less than 0.6", "less than 0.3"), True),
        ("what else could explain it", ("Blur", "Fog"), True),
        ("section", ("Table 1", "Table 7"), True),
        ("seeds", ("VAE 1", "VAE 99"), True),
        ("numbers", ("VAE /", "StyleGAN /"), True),
        ("numbers", None, False),  # their last digit
    ],
)
def test_every_word_of_the_claims_is_compared(found, folder, name, change, named):
    def other(text):
        found_there = r"\d\.\d\d(?=[^;]*wanted)"
        return text.replace(*change) if change else re.sub(found_there, lambda number: f"{float(number[0]) + 0.01:.2f}", text)

    claims = found["claims"].copy()
    claims[name] = claims[name].map(other)
    assert not claims.equals(found["claims"])
    lines = verify.differences(found | {"claims": claims}, verify.read(folder))
    assert bool(lines) == named and all(f"({name}): " in line and "committed: " in line for line in lines)


def test_a_table_of_other_networks_is_named(found, folder):
    fewer = {"table-1": found["table-1"].drop(index="VAE"), "claims": found["claims"].drop(columns="section")}
    rows, none, columns = verify.differences(fewer, verify.read(folder))
    assert "table-1 has the rows Original" in rows and "these weights give Original, Held-out people" in rows
    assert (
        none == "reconstruction is committed, and these weights give none."
        and "claims has the columns claim, section" in columns
    )


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("claims.csv", None, "claims.csv cannot be read.*git checkout figures/"),
        ("claims.csv", lambda text: text.encode("utf-16"), "claims.csv cannot be read"),
        ("table-1.csv", lambda text: text.replace(",30,", ",30 %,").encode(), "table-1.csv cannot be read"),
        ("table-1.csv", lambda text: text.replace(",", ";").encode(), "table-1.csv cannot be read|table-1.md does not show"),
        (
            "claims.md",
            lambda text: text.replace("not tested", "reproduced").encode(),
            "claims.md does not show what claims.csv",
        ),
        ("table-1.tex", lambda text: text.replace("VAE", "GAN").encode(), "table-1.tex does not show"),
    ],
)
def test_a_damaged_table_is_refused(folder, name, damage, message):
    path = folder / name
    if damage is None:
        path.unlink()
    else:
        before = path.read_text(encoding="utf-8")
        path.write_bytes(damage(before))
        assert path.read_bytes() != before.encode()
    with pytest.raises(InputError, match=message):
        verify.read(folder)


def test_what_the_kits_weights_cannot_make_is_refused(folder, tmp_path, monkeypatch):
    """Tables of networks that a notebook trained, tables that are nowhere, and a network whose weights are lost."""
    config = profiles.resolve("hours")
    verify.comparable(config, folder, write=False)
    with pytest.raises(InputError, match="no tables of profile hours to compare with: .*nowhere is missing. --write"):
        verify.comparable(config, tmp_path / "nowhere", write=False)
    verify.comparable(config, tmp_path / "nowhere", write=True)
    made = files.read_object(folder / "table-1.json") | {"command": "dwikit run 05_evaluate -p profile=quick"}
    files.write_json(folder / "table-1.json", made)
    for write in (True, False):
        with pytest.raises(InputError, match="networks that `dwikit run 05_evaluate -p profile=quick` trained"):
            verify.comparable(config, folder, write)
    monkeypatch.setattr(pretrained, "available", lambda: {"vae": [128], "dfc_vae": [128], "intro_vae": [64, 128]})
    with pytest.raises(InputError, match="no weights of style_gan at 128 pixels, .*git checkout data/pretrained"):
        verify.comparable(config, folder, write=True)


def test_samples_of_another_state_are_never_taken_for_those_of_the_weights(store, tmp_path, monkeypatch):
    """Of other settings, and of a process that was killed in between."""
    model = models.VAE.from_preset("paper", image_size=store.images.shape[1], channels=(8, 16), latent_size=4)
    training.draw_samples(model, store, tmp_path, 5)
    first = np.load(tmp_path / "samples.npy")
    other = models.VAE.from_preset("paper", image_size=store.images.shape[1], channels=(8, 16), latent_size=4, slope=0.9)
    other.set_weights(model.get_weights())
    training.draw_samples(other, store, tmp_path, 5)
    assert not np.array_equal(np.load(tmp_path / "samples.npy"), first)
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_json", lambda *_: pytest.fail("killed before the samples were marked"))
        with pytest.raises(pytest.fail.Exception):
            training.draw_samples(model, store, tmp_path, 5)
    files.write_array(tmp_path / "samples.npy", 0 * first)
    training.draw_samples(other, store, tmp_path, 5)
    assert np.load(tmp_path / "samples.npy").any(), "drawn again: nothing marked them as complete"
