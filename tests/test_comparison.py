"""A sweep trains each combination once, whatever stops it, and a comparison shows what differs."""

import shutil
import threading
import time

import numpy as np
import pytest

from dwikit import cli, models, profiles, study, training
from dwikit.common import files, paths
from dwikit.common.errors import InputError
from dwikit.comparison import compare, sweep
from dwikit.profiles import runs

TINY = """
extends: smoke
cohort: {cases: 6, registered: 0}
vae: {epochs: 1, steps_per_epoch: 2, model: {channels: [4, 8, 8, 8], latent_size: 4}}
intro_vae: {epochs: 1, steps_per_epoch: 2}
evaluation: {samples: 12}
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path / "runs"))
    (tmp_path / "tiny.yaml").write_text(TINY)
    return str(tmp_path / "tiny.yaml")


@pytest.fixture
def here(monkeypatch):
    """Trainings in this process, listed."""
    done = []

    def train(trial):
        config = profiles.resolve(trial.profile)
        study.train(trial.key, config, study.slices(config), trial.seed)
        done.append(str(trial))

    monkeypatch.setattr(sweep, "train", train)
    return done


def test_every_combination_and_seed_is_trained_once(tiny, here, capsys):
    values = {"model.latent_size": [4, 6], "model.learning_rate": [1e-3]}
    first = sweep.sweep(["vae"], values, seeds=2, profile=tiny)
    assert first == ["tiny-latent_size-4-learning_rate-0.001", "tiny-latent_size-6-learning_rate-0.001"]
    assert sorted(here) == [f"{run}, vae, seed {seed}" for run in first for seed in (0, 1)]
    (paths.runs(first[1]) / "vae-seed-1/samples.json").unlink()
    here.clear()
    assert sweep.sweep(["vae"], values, seeds=2, profile=tiny) == first and here == [f"{first[1]}, vae, seed 1"]
    stores = [study.data_folder(profiles.resolve(run)) for run in first]
    assert stores[0] == stores[1] and stores[0].is_dir()

    table, figure, source = compare.compare(first, n=10)
    assert list(table.index) == ["Original", *(f"{run}: VAE" for run in first)]
    assert list(table["model.latent_size", ""]) == ["", "4", "6"] and ("model.learning_rate", "") not in table
    assert "same samples" not in capsys.readouterr().out
    assert list(table["seeds", ""]) == ["", "2", "2"] and (table["n", ""] == 10).all()
    config = profiles.resolve(first[0])
    rows = compare._measured(compare._rows(first[0])[0], 10, 12)
    expected = rows.drop(index="original")["ds"]
    low, high = table.loc[f"{first[0]}: VAE", ("ds", "over seeds")].split(" to ")
    assert (float(low), float(high)) == pytest.approx((expected.min(), expected.max()), abs=6e-5)
    assert table.loc[f"{first[0]}: VAE", ("ds", "")] == pytest.approx(expected.mean())
    assert table.loc["Original", ("ds", "")] == pytest.approx(rows.loc["original", "ds"])
    facts = source["runs"][f"{first[1]}: VAE"]
    assert set(facts) == {"0", "1"} and source["profiles"][f"{first[1]}: VAE"]["vae"]["model"]["latent_size"] == 6
    assert len(figure.axes) == 3 and config.networks["vae"].model["latent_size"] == 4


def test_only_trainings_that_differ_in_their_seed_are_averaged(tiny, here, capsys):
    sweep.sweep(["vae"], {}, seeds=2, profile=tiny)
    folder = paths.runs("tiny")
    before = compare.compare([tiny])[0]
    shutil.copytree(folder / "vae-seed-1", folder / "vae-seed-1.before-1")
    files.write_array(folder / "vae-seed-1.before-1/samples.npy", np.zeros((12, 32, 32), np.uint8))
    assert compare.compare([tiny])[0].equals(before), "what was set aside counts no more"
    faster = profiles.resolve(tiny, vae={"model": {"learning_rate": 0.01}})
    study.train("vae", faster, study.slices(faster), 2)
    capsys.readouterr()
    assert compare.compare([tiny])[0]["seeds", ""].iloc[1] == "2"
    assert "vae-seed-2 is left out: it was trained with other settings than vae" in capsys.readouterr().out
    here.clear()
    sweep.sweep(["vae"], {}, seeds=3, profile=tiny)
    assert [text.endswith("seed 2") for text in here] == [True], "it is trained as the profile says"
    assert compare.compare([tiny])[0]["seeds", ""].iloc[1] == "3"


def test_what_failed_is_named_after_the_others_are_done(tiny, here, monkeypatch):
    train = sweep.train
    monkeypatch.setattr(sweep, "train", lambda trial: "it broke." if trial.seed == 0 else train(trial))
    with pytest.raises(InputError, match="1 of 2 trainings failed, such as .*tiny.yaml, vae, seed 0: it broke. Its output"):
        sweep.sweep(["vae"], {}, seeds=2, profile=tiny)
    assert [text.endswith("seed 1") for text in here] == [True]


def test_a_mistake_in_one_value_leaves_no_run(tiny, here):
    with pytest.raises(InputError, match="no model at .*typo.keras"):
        sweep.sweep(["vae"], {"model.latent_size": [4, 6], "init": [None, "typo.keras"]}, profile=tiny)
    assert not here and not paths.runs("").exists()


def test_a_training_of_a_sweep_is_a_process(tiny, capsys):
    runs.named("one", tiny, vae={"epochs": 1})
    config = profiles.resolve("one")
    store = study.slices(config)
    trial = sweep.Trial("one", "vae", 3, str(paths.runs("")), str(paths.runs("one") / "vae-seed-3.txt"))
    assert sweep.train(trial) is None
    assert training.left_out(paths.runs("one") / "vae-seed-3", config.networks["vae"], store) is None
    assert "no network 'vea'" in sweep.train(trial._replace(key="vea"))


def test_several_values_are_separated_by_commas():
    from dwikit.cli.notebooks import settings

    assert settings(["model.margin=20,60", "model.channels=[8, 16],[4, 8]", "preset=paper"], several=True) == {
        "model.margin": [20, 60],
        "model.channels": [[8, 16], [4, 8]],
        "preset": ["paper"],
    }


def test_only_settings_that_differ_are_shown():
    shown = compare.differences({"a": {"x": 1, "y": 2.0, "z": 3}, "b": {"x": 1, "y": 2.5}})
    assert shown == {"y": {"a": "2", "b": "2.5"}}


def test_other_weights_to_start_from_are_a_difference(tiny, here, tmp_path, capsys):
    start = str(tmp_path / "start.keras")

    def begin_with(seed):
        shape = {"image_size": 32, "channels": (4, 8, 8, 8), "latent_size": 4}
        models.save(models.VAE.from_preset("paper", **shape, seed=seed), start)

    begin_with(1)
    for name in ("first", "second"):
        sweep.sweep(["vae"], {}, profile=runs.named(name, tiny, vae={"init": start}).name)
    assert "init_content" not in compare.compare(["first", "second"])[0]
    assert "first: VAE (fine-tuned from" in (said := capsys.readouterr().out) and "drew the same samples" in said
    begin_with(2)
    here.clear()
    sweep.sweep(["vae"], {}, profile="second")
    assert here == ["second, vae, seed 0"], "as train would"
    shown = compare.compare(["first", "second"])[0]["init_content", ""]
    assert len(set(shown.iloc[1:])) == 2
    config = profiles.resolve("first")
    study.train("vae", config, study.slices(config), 1)
    assert list(compare.compare(["first"])[0]["seeds", ""]) == ["", "1"]
    assert "vae-seed-1 is left out: it was trained with other settings than vae" in capsys.readouterr().out


def test_a_run_without_trainings_is_refused(tiny):
    with pytest.raises(InputError, match="No network of .*tiny.yaml is trained on its slices yet"):
        compare.compare([tiny])


def test_the_command_writes_table_figure_and_provenance(tiny, here, capsys, monkeypatch):
    sweep.sweep(["vae"], {}, profile=tiny)
    assert cli.main(["compare", tiny, "-n", "12", "--name", "mine"]) == 0
    folder = paths.figures() / "comparisons"
    source = files.read_json(folder / "mine.json")
    assert source["profile"]["name"] == "tiny" and source["command"].endswith(f"dwikit compare {tiny} -n 12 --name mine")
    assert (folder / "mine.md").is_file() and (folder / "mine-samples.png").is_file()
    assert "| tiny: VAE | 1 | 12 |" in capsys.readouterr().out
    monkeypatch.setattr("dwikit.cli.comparison.LONGEST", 3)
    assert cli.main(["compare", tiny]) == 0 and len(list(folder.glob("tin-????????.md"))) == 1
    assert np.isfinite(compare.compare([tiny])[0]["ds", ""]).all()


def test_a_stopped_sweep_begins_no_further_training():
    begun, running = [], threading.Event()

    def trial(number):
        begun.append(number)
        running.set()
        time.sleep(0.1)

    with pytest.raises(KeyboardInterrupt), sweep._executor(1, None) as executor:
        for number in range(4):
            executor.submit(trial, number)
        running.wait()
        raise KeyboardInterrupt
    assert begun == [0]
