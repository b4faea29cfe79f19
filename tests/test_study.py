"""A study follows its data set: who joins arrives, who leaves is gone, and nobody is pooled with simulated people."""

import dataclasses
import functools
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dwikit import cli, paper, profiles, study, training
from dwikit.cli import networks
from dwikit.cohorts import phantom
from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.course import reproduce, start
from dwikit.evaluation import evaluate, kit_weights
from dwikit.reader_study.folders import read_images
from dwikit.slices import SliceStore, to_uint8
from dwikit.training import fingerprint
from dwikit.training.weights import pretrained
from tests.preprocess.test_changes import PEOPLE, add, raw, registered, rename, withdraw  # noqa: F401 - fixtures


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def of(bids, **slices):
    """Smoke profile on a data set of one's own; None: on the simulated cohort."""
    return profiles.resolve("smoke", cohort={"bids": bids and str(bids)}, slices={"scope": "volume", **slices})


def people(store: SliceStore) -> dict[str, float]:
    return store.table.groupby("subject")["age"].first().to_dict()


def test_added_people_and_corrected_ages_arrive(runs, raw, registered):  # noqa: F811
    store = study.slices(of(raw), rebuild=True)
    assert people(store) == {"sub-a": 30, "sub-b": 41, "sub-c": 52, "sub-d": 63}
    add(raw)
    (raw / "participants.tsv").write_text(PEOPLE.replace("30", "70") + "sub-e\t74\tF\n")
    with pytest.raises(InputError, match="the age of sub-a is 70.0, not 30.0.*Run the preprocessing again"):
        study.slices(of(raw))
    registered.clear()
    assert people(study.slices(of(raw), rebuild=True)) == {"sub-a": 70, "sub-b": 41, "sub-c": 52, "sub-d": 63, "sub-e": 74}
    assert registered == ["sub-e"]
    assert people(study.slices(of(None))) == people(study.slices(of(raw)))  # later notebooks use what is there


def test_who_withdraws_leaves_slices_and_trainings(runs, raw, registered):  # noqa: F811
    before = fingerprint(study.slices(of(raw), rebuild=True))
    withdraw(raw)
    rename(raw)
    with pytest.raises(InputError, match="sub-a is gone, sub-c is gone"):
        study.slices(of(None))
    store = study.slices(of(raw), rebuild=True)
    assert set(people(store)) == {"sub-aa", "sub-b", "sub-d"} and fingerprint(store) != before


def test_nothing_is_built_again_when_nothing_has_changed(runs, raw, registered):  # noqa: F811
    before = fingerprint(study.slices(of(raw), rebuild=True))
    images = runs / "smoke/data/slices/images.npy"
    date = images.stat().st_mtime_ns
    assert fingerprint(study.slices(of(raw), rebuild=True)) == before and images.stat().st_mtime_ns == date
    with_workers = dataclasses.replace(of(raw), cohort=dataclasses.replace(of(raw).cohort, workers=1))
    study.slices(with_workers, rebuild=True)
    assert images.stat().st_mtime_ns == date
    study.slices(of(raw, percentile=95.0), rebuild=True)
    assert images.stat().st_mtime_ns != date


def test_slices_of_another_simulation_are_told_and_built_again(runs, monkeypatch, capsys):
    of_physics, of_seed = (profiles.resolve("smoke", cohort={"cases": 4, "registered": 0, "seed": seed}) for seed in (0, 1))
    first = study.slices(of_physics, rebuild=True).content
    assert study.slices(of_seed).content == first
    assert "are used as 01_preprocess built them: cohort: seed 0 (profile: 1)." in capsys.readouterr().out
    noisier = dataclasses.replace(phantom.Settings(), snr=4.0)
    monkeypatch.setattr(phantom, "code", lambda: "00000000")
    monkeypatch.setattr(phantom, "simulate_volumes", functools.partial(phantom.simulate_volumes, physics=noisier))
    assert study.slices(of_physics).content == first and "built them: physics " in capsys.readouterr().out
    assert study.slices(of_physics, rebuild=True).content != first


@pytest.mark.parametrize("name", ["images.npy", "table.tsv", "settings.json"])
@pytest.mark.parametrize("how", ["gone", "cut", "changed", "replaced"])
def test_a_store_that_was_changed_is_refused_and_built_again(runs, raw, registered, name, how, capsys):  # noqa: F811
    built = study.slices(of(raw), rebuild=True)
    before, ages, file = built.content, people(built), runs / "smoke/data/slices" / name
    content = file.read_bytes()
    values = {"gone": None, "cut": content[:60], "replaced": b"[]"}
    values["changed"] = content[:-30000] + b"\7" * 30000 if name == "images.npy" else content.replace(b"30.0", b"31.0")
    file.unlink()
    if values[how] is not None:
        file.write_bytes(values[how])
    if name != "settings.json":  # without which nothing is known, so that the store is built again at once
        with pytest.raises(InputError, match="01_preprocess|Build the store again"):
            study.slices(of(raw))
    capsys.readouterr()
    store = study.slices(of(raw), rebuild=True)
    assert store.content == before and people(store) == ages and file.read_bytes() == content
    assert ("store" in capsys.readouterr().out) or name == "settings.json"


def test_a_corrected_age_does_not_cost_a_training(runs, raw, registered):  # noqa: F811
    before = fingerprint(study.slices(of(raw), rebuild=True))
    (raw / "participants.tsv").write_text(PEOPLE.replace("30", "70"))
    store = study.slices(of(raw), rebuild=True)
    assert people(store)["sub-a"] == 70 and fingerprint(store) == before


def test_simulated_people_are_never_pooled_with_real_ones(runs, raw, registered, capsys):  # noqa: F811
    study.slices(of(raw), rebuild=True)
    store = study.slices(of(None), rebuild=True)
    assert set(people(store)) == {f"sub-{i:04d}" for i in range(1, 7)}
    assert "sub-a, sub-b, sub-c, sub-d, sub-d_run-2: not in the data set any more" in capsys.readouterr().out
    cases = pd.read_csv(runs / "smoke/data/slices/cases.tsv", sep="\t")
    assert cases["origin"].tolist() == ["simulated, registered"] * 2 + ["simulated"] * 4
    assert cases["content"].nunique() == 6 and cases["split"].isin(["train", "validation", "test"]).all()
    assert set(people(study.slices(of(raw), rebuild=True))) == {"sub-a", "sub-b", "sub-c", "sub-d"}


def test_fewer_simulated_scans_than_before_go_through_files(runs, registered):  # noqa: F811
    many, few = (profiles.resolve("smoke", cohort={"registered": n}) for n in (3, 1))
    study.slices(many, rebuild=True)
    store = study.slices(few, rebuild=True)
    counts = store.table.groupby("origin")["case"].nunique().to_dict()
    assert counts == {"simulated": 5, "simulated, registered": 1}


def test_the_kits_weights_are_not_judged_on_people_they_have_seen(store):
    seen = {"seed": 7, "train": sorted(store.table["subject"].unique())}
    store = SliceStore(store.images, store.table, {**store.settings, "cohort": {"seed": 7}})
    held_out = set(store.table.loc[store.table["split"] != "train", "subject"])
    assert set(pretrained.seen({"people": seen}, store)) == held_out and held_out
    assert pretrained.seen({"people": {**seen, "seed": 0}}, store) == []
    assert pretrained.seen({"people": pretrained.people(store)}, store) == []
    for unsaid in ({}, {"bids": "/simulated"}, {"cohort": {"bids": "/simulated"}}):  # a cohort of files: its seed is not known
        assert set(pretrained.seen({"people": seen}, SliceStore(store.images, store.table, unsaid))) == held_out
    real = store.table.assign(origin="registered")
    with pytest.raises(InputError, match="Weights of real people's scans do not become part of the kit"):
        pretrained.people(SliceStore(store.images, real, store.settings))


@pytest.mark.parametrize("key", sorted(pretrained.available()))
def test_every_card_names_the_people_the_weights_were_trained_on(key):
    for size in pretrained.available()[key]:
        facts = pretrained.card(key, size)
        assert f"{len(facts['people']['train'])} of" in facts["data"] and f"seed {facts['people']['seed']}" in facts["data"]


def test_the_kits_weights_are_not_judged_on_slices_of_another_field_of_view(store):
    facts = {"slices": pretrained.slices(store)}
    assert facts["slices"] == {"fov_mm": 233.0, "interpolator": "linear", "percentile": 95.0, "scope": "cohort"}
    assert pretrained.otherwise(facts, store) == ""
    facts["slices"] |= {"fov_mm": 300.0}
    assert pretrained.otherwise(facts, store) == "fov_mm 300.0 (here: 233.0)"


def interrupted(bids):
    """01_preprocess, killed after the registration."""
    study.derivatives(of(bids))


def without_derivatives(bids):
    shutil.rmtree(study.data_folder(of(bids)) / "derivatives")


@pytest.mark.parametrize("then", [interrupted, without_derivatives])
def test_slices_of_people_who_are_gone_are_refused_whatever_became_of_the_volumes(runs, raw, registered, then, tmp_path):  # noqa: F811
    study.slices(of(raw), rebuild=True)
    withdraw(raw)
    (raw / "participants.tsv").write_text(PEOPLE.replace("30", "70"))
    then(raw)
    store = runs / "smoke/data/slices"
    np.save(tmp_path / "samples.npy", np.zeros((4, 32, 32), np.uint8))
    for use in (
        lambda: study.slices(of(None)),
        lambda: start.people(of(None)),
        lambda: read_images(store),
        lambda: evaluate(tmp_path / "samples.npy", store),
    ):
        with pytest.raises(InputError, match="since .*slices was made of it: sub-c is gone, the age of sub-a is 70.0"):
            use()


def test_slices_made_by_commands_are_refused_like_those_of_the_notebook(runs, raw, registered):  # noqa: F811
    out = runs / "smoke/data"
    for words in (["preprocess", raw, out / "derivatives"], ["slices", out / "derivatives", out / "slices"]):
        assert cli.main([str(word) for word in words]) in (0, None)
    profile = profiles.resolve("smoke", image_size=128)
    assert set(people(study.slices(profile))) == {"sub-a", "sub-b", "sub-c", "sub-d"}
    withdraw(raw)
    with pytest.raises(InputError, match="sub-c is gone"):
        study.slices(profile)


def test_slices_of_another_data_set_than_the_profiles_are_refused(runs, raw, registered, tmp_path):  # noqa: F811
    study.slices(of(raw), rebuild=True)
    shutil.copytree(raw, tmp_path / "other")
    with pytest.raises(InputError, match=f"made of {raw}, and {tmp_path / 'other'} is wanted. Run 01_preprocess"):
        study.slices(of(tmp_path / "other"))


def test_the_kits_reconstructions_are_those_of_the_slices_of_today(runs, raw, registered):  # noqa: F811
    made = dataclasses.replace(of(raw).slices, fov_mm=pretrained.card("vae")["slices"]["fov_mm"])
    config = dataclasses.replace(of(raw), image_size=64, slices=made, networks={"vae": of(raw).networks["vae"]})
    for _ in range(2):
        store = study.slices(config, rebuild=True)
        vae = kit_weights.shipped_runs(config, store)["vae"]
        assert np.array_equal(vae.originals, store.images[training.held_out(store, config.evaluation.samples)])
        assert np.array_equal(vae.reconstructions, to_uint8(vae.model.reconstruct(vae.originals / np.float32(255))[..., 0]))
        drawn = vae.samples
        files.write_array(vae.folder / "samples.npy", 0 * drawn)  # by other code, say
        assert not kit_weights.shipped_runs(config, store)["vae"].samples.any(), "those that are there"
        assert np.array_equal(kit_weights.shipped_runs(config, store, redraw=True)["vae"].samples, drawn)
        shutil.rmtree(raw / store.table["subject"].iloc[store.indices("test")[0]])


def test_a_network_beside_the_study_joins_it_where_a_profile_says_so(runs, monkeypatch, capsys):
    four, five = profiles.resolve("smoke"), profiles.resolve("smoke", diffusion={"in_study": True})
    monkeypatch.setattr(pretrained, "available", lambda: {"diffusion": [32]})
    assert kit_weights.shipped_runs(four, None) == {}, "nor do its weights, once the kit has some"
    with pytest.raises(InputError, match="no weights of 'diffusion' at 32 pixels"):
        kit_weights.shipped_runs(five, None)
    monkeypatch.setattr(kit_weights, "shipped_runs", lambda config, store: {"vae": None})
    (runs / "smoke" / "diffusion").mkdir(parents=True)
    for config, there in ((four, False), (five, True)):
        keys = [*paper.MODELS, *["diffusion"] * there]
        assert list(study.in_study(config)) == study.checked(config) == keys and "diffusion" in config.networks
        study.trained(config, None)
        assert ("Diffusion is left out: it is not trained yet" in capsys.readouterr().out) == there
        assert reproduce.without_notebook(config) == ["diffusion"] * there, "05 judges it, and 08 comes later"
        assert reproduce.kept_out(config) == ["08_beyond"] * (not there)
    assert study.checked(four, ["diffusion"]) == ["diffusion"], "whoever names it"


def test_a_setting_without_a_network_is_one_of_the_study(runs):
    """The diffusion model has no latent_size."""
    options = SimpleNamespace(profile="smoke", parameter=["model.latent_size=8"], run=None, networks=[])
    config = networks._run(options)
    assert {section.model.get("latent_size") for key, section in config.networks.items() if key != "diffusion"} == {8}
