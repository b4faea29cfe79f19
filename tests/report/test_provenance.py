"""Captions and provenance: the command that was run, and the values that were used."""

import dataclasses
import json
import shlex
import subprocess
from pathlib import Path

import pytest

from dwikit import cli, evaluation, models, profiles, report, slices, study, training
from dwikit.common import files, paths
from dwikit.common.errors import InputError
from dwikit.course import notebook, reproduce, run
from dwikit.evaluation import kit_weights
from dwikit.training.weights import pretrained


def begun(**parameters) -> profiles.Profile:
    """A profile as the first cells of a notebook give it."""
    return notebook.begin({}, parameters.pop("profile", "smoke"), cohort={"bids": None}, reader_study=parameters)


@pytest.fixture
def parameters_of(monkeypatch):
    """The notebook and the parameters that a command runs it with."""
    seen = []
    monkeypatch.delenv("DWIKIT_RUNS", raising=False)
    monkeypatch.setattr(run, "notebook", lambda name, parameters, output: seen.append((name, parameters)))

    def of(command: str) -> tuple[str, dict]:
        program, *words = shlex.split(command)
        assert program == "dwikit" and cli.main(words) == 0
        return seen.pop()

    return of


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"per_group": 2},
        {"readings": "/data/my readings.csv", "per_group": 3},
        {"readings": "17"},
        {"readings": "no"},
        {"readings": "it's: {odd}"},
    ],
)
def test_a_command_gives_back_the_parameters_of_the_run(given, parameters_of):
    command = notebook.command("06_reader_study", begun(**given))
    expected = {**given, **({"readings": str(Path(given["readings"]).resolve())} if "readings" in given else {})}
    assert parameters_of(command) == ("06_reader_study", {"profile": "smoke", **expected})


def test_a_command_names_the_file_of_a_profile(tmp_path, monkeypatch, parameters_of):
    (tmp_path / "my study.yaml").write_text("extends: smoke\nvae: {epochs: 9}\n")
    monkeypatch.chdir(tmp_path)
    for reference in ("my study.yaml", str(tmp_path / "my study.yaml")):
        _, found = parameters_of(notebook.command("05_evaluate", begun(profile=reference)))
        monkeypatch.chdir("/")
        again = profiles.resolve(found["profile"])
        assert again.name == "my study" and again.networks["vae"].epochs == 9


def test_the_profile_of_the_environment_is_named(monkeypatch, parameters_of):
    monkeypatch.setenv("DWIKIT_PROFILE", "smoke")
    config = notebook.begin({}, None, cohort={"bids": None})
    assert parameters_of(notebook.command("05_evaluate", config)) == ("05_evaluate", {"profile": "smoke"})


def test_paths_do_not_depend_on_the_folder_of_the_notebook(tmp_path, monkeypatch):
    (tmp_path / "readings.csv").write_text("")
    monkeypatch.chdir(tmp_path)
    assert begun(readings="readings.csv").parameters == {"readings": str(tmp_path / "readings.csv")}


def test_a_command_names_the_folder_of_the_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path / "a study"))
    assert report.command("dwikit", "x") == f"DWIKIT_RUNS='{tmp_path}/a study' dwikit x"
    monkeypatch.delenv("DWIKIT_RUNS")
    assert report.command("dwikit", "x") == "dwikit x"


def test_where_a_profile_comes_from_is_no_part_of_what_it_says(tmp_path):
    (tmp_path / "mine.yaml").write_text("extends: smoke\n")
    config, same = profiles.resolve(str(tmp_path / "mine.yaml")), dataclasses.replace(profiles.resolve("smoke"), name="mine")
    assert config == same and repr(config) == repr(same) and profiles.as_dict(config) == profiles.as_dict(same)
    (tmp_path / "mine.yaml").write_text("extends: smoke\npath: x\n")
    with pytest.raises(InputError, match="There is no section 'path'"):
        profiles.resolve(str(tmp_path / "mine.yaml"))


@pytest.fixture(scope="module")
def own(volumes, tmp_path_factory):
    """Slices of somebody's own scans with settings of their own, and a VAE trained for 3 epochs of 2 steps."""
    folder = tmp_path_factory.mktemp("own")
    settings = slices.SliceSettings(image_size=32, fov_mm=233.0, interpolator="linear", percentile=97.0)
    cohort = dataclasses.asdict(profiles.Cohort(bids="/data/scans", cases=12))
    store = slices.build(volumes, folder / "slices", settings, seed=4, provenance={"cohort": cohort})
    section = {"epochs": 3, "steps_per_epoch": 2, "seed": 5, "batch_size": 4, "model": {"channels": [8, 16], "latent_size": 8}}
    config = profiles.resolve("smoke", vae=section, evaluation={"samples": 30})
    return store, training.train("vae", config, store, folder / "vae")


def test_the_values_are_those_used_and_not_those_of_the_profile(own):
    """The profile by itself says: simulated, 99th percentile, 2 epochs of 4 steps."""
    store, run = own
    made = profiles.as_dict(study.used(profiles.resolve("smoke"), store, {"vae": run}))
    assert made["cohort"]["bids"] == "/data/scans" and made["cohort"]["cases"] == 12
    assert made["slices"] == {"fov_mm": 233, "interpolator": "linear", "percentile": 97, "scope": "cohort", "seed": 4}
    vae = made["vae"]
    assert (vae["epochs"], vae["steps_per_epoch"], vae["seed"], vae["batch_size"]) == (3, 2, 5, 4)
    assert vae["model"]["channels"] == (8, 16) and vae["reasons"]["channels"] == "given for this run"
    assert "style_gan" not in made, "no row of the table"


def test_the_record_of_a_training_trains_the_same_again(own, tmp_path):
    store, run = own
    again = training.train("vae", study.used(profiles.resolve("smoke"), store, {"vae": run}), store, tmp_path / "vae")
    ours, theirs = (files.read_json(one.folder / "settings.json") for one in (run, again))
    assert ours == theirs and (run.samples == again.samples[:30]).all()


def test_the_values_of_the_kits_weights_are_those_of_their_card(own, tmp_path):
    card = {"model": "vae", "epochs": 40, "steps": 20_000, "config": {"preset": "released", "batch_size": 8}}
    model = models.VAE.from_preset("released", image_size=32, channels=(8, 16), latent_size=8, batch_size=8, seed=2)
    model.epochs_done = 40
    shipped = training.Run(model, tmp_path, card)
    vae = study.used(profiles.resolve("smoke"), own[0], {"vae": shipped}).networks["vae"]
    assert (vae.preset, vae.epochs, vae.steps_per_epoch, vae.batch_size, vae.seed) == ("released", 40, 500, 8, 2)
    assert vae.model["latent_size"] == 8 and vae.reasons == {}


def test_a_card_has_the_numbers_of_the_tables(own, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "folder", lambda: tmp_path)
    store, run = own
    config = profiles.resolve("smoke", evaluation={"samples": 20})
    with pytest.raises(InputError, match="Weights of real people's scans do not become part of the kit"):
        kit_weights.publish(run, study.used(config, store), store)
    simulated = slices.SliceStore(
        store.images, store.table, {**store.settings, "cohort": {"bids": None, "cases": 12, "seed": 0}}
    )
    kit_weights.publish(run, study.used(config, simulated), simulated)
    card = json.loads((tmp_path / "vae-32.json").read_text())
    shipped = training.Run(run.model, run.folder / "published")  # drawn by the weights as they were rounded for the file
    row = evaluation.table_1(store, {"vae": shipped.samples}, 20).loc["vae"]
    rebuilt = evaluation.reconstruction_table(store, {"vae": shipped.reconstructions}).loc["vae"]
    assert card["samples"] == row["n"] == 20 and card["data"].startswith("10 of 12 simulated people")
    found = {name: row[name] for name in ("ds", "isd", "min_isd", "laplace", "laplace_sd", "periodic")}
    assert card["metrics"] == found | {"reconstruction MSE": rebuilt["mse"], "reconstruction Laplace": rebuilt["laplace"]}


def test_the_backend_is_the_one_that_computed(monkeypatch):
    import keras

    monkeypatch.setenv("KERAS_BACKEND", "another")
    source = report.provenance(profiles.resolve("smoke"), "dwikit x")
    assert source["backend"] == keras.config.backend() != "another"


def test_reproduce_names_the_file_of_its_profile(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text("extends: smoke\n")
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(reproduce, "side_by_side", lambda commands, workers: [(name, 1.0) for name in commands])
    reproduce.reproduce(str(tmp_path / "mine.yaml"))
    command = json.loads((tmp_path / "runs" / "figures" / "mine" / "minutes.json").read_text())["command"]
    assert command == f"DWIKIT_RUNS={tmp_path}/runs dwikit reproduce --profile {Path(tmp_path) / 'mine.yaml'}"


def test_code_that_is_not_committed_is_named(tmp_path, monkeypatch):
    """Someone who changes one thing and makes the tables again must not have them under the old commit's name."""
    project = tmp_path / "kit"
    for name in ("dwikit/models/vae.py", "figures/table.md"):
        (project / name).parent.mkdir(parents=True)
        (project / name).write_text("1\n")

    def git(*words):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words], cwd=project, check=True, capture_output=True
        )

    def facts():
        found = report.provenance(profiles.resolve("smoke"), "dwikit x")
        return bool(found["commit"]), found.get("changed since")

    monkeypatch.setattr(paths, "project", lambda: project)
    assert facts() == (False, None), "no repository"
    git("init")
    git("add", "dwikit", "figures")
    git("commit", "-m", "one")
    (project / "figures/table.md").write_text("2\n")
    assert facts() == (True, None), "results are no code"
    (project / "dwikit/models/vae.py").write_text("2\n")
    (project / "dwikit/models/über.py").write_text("2\n")
    assert facts() == (True, ["dwikit/models/vae.py", "dwikit/models/über.py"])
    monkeypatch.setattr(paths, "project", lambda: project / "dwikit")
    assert facts() == (False, None), "the repository is another project's"
