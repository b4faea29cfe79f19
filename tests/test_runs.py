"""Runs with a name: settings that are kept, data that are shared, and nothing that displaces anything."""

import pytest

from dwikit import cli, profiles, study
from dwikit.cli.notebooks import settings
from dwikit.common import files, paths
from dwikit.common.errors import InputError
from dwikit.course import notebook
from dwikit.profiles import runs


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def trained(run: str, folder: str) -> None:
    files.write_json(paths.runs(run) / folder / "settings.json", {})


def test_a_run_keeps_its_settings_and_is_found_by_its_name_or_its_file(folder, monkeypatch):
    made = runs.named("wide", "smoke", intro_vae={"model": {"margin": 20.0}, "epochs": None})
    assert made == profiles.resolve("wide") and made.networks["intro_vae"].model["margin"] == 20.0
    assert made.name == made.reference == "wide" and (folder / "wide/profile.yaml").is_file()
    assert made.networks["vae"] == profiles.resolve("smoke").networks["vae"]
    monkeypatch.chdir(folder / "wide")
    for path in (folder / "wide/profile.yaml", "../wide/profile.yaml", "profile.yaml"):
        assert profiles.resolve(str(path)) == made and profiles.resolve(str(path)).reference == "wide"
    assert runs.named("wide") == made == runs.named("wide", "smoke")


def test_settings_are_added_until_something_was_trained_with_others():
    runs.named("mine", "smoke", slices={"percentile": 95.0})
    runs.named("mine", vae={"epochs": 5})
    trained("mine", "vae")
    config = runs.named("mine", intro_vae={"epochs": 7}, vae={"epochs": 9, "tensorboard": True})
    assert (config.networks["vae"].epochs, config.networks["intro_vae"].epochs) == (9, 7)
    for change, what in (
        ({"vae": {"epochs": 3}}, "epochs"),
        ({"vae": {"model": {"latent_size": 8}}}, "model.latent_size"),
        ({"slices": {"percentile": 90.0}}, "data"),
    ):
        with pytest.raises(InputError, match=rf"The run mine has trained vae with other settings \({what}\)"):
            runs.named("mine", **change)
    assert profiles.resolve("mine") == config


def test_a_training_with_another_seed_keeps_the_settings_and_one_that_was_set_aside_does_not():
    runs.named("mine", "smoke")
    trained("mine", "vae-seed-10")
    trained("mine", "vae-seed-9.before-1")
    trained("mine", "vae-seed-9")
    assert [folder.name for folder in runs.training_folders("mine", "vae")] == ["vae-seed-9", "vae-seed-10"]
    with pytest.raises(InputError, match=r"The run mine has trained vae with other settings \(model.latent_size\)"):
        runs.named("mine", vae={"model": {"latent_size": 8}})
    runs.named("mine", intro_vae={"model": {"latent_size": 8}})


@pytest.mark.parametrize(
    ("name", "profile", "message"),
    [
        ("quick", None, "cannot be the name of a run"),
        ("data", None, "cannot be the name of a run"),
        ("comparisons", None, "cannot be the name of a run"),
        ("../out", None, "cannot be the name of a run"),
        ("old", "smoke", "holds the results of a profile of that name"),
        ("mine", "quick", "The run mine extends smoke, not quick"),
        ("new", "fast", "no profile or run 'fast'. Known: .*weights-64, mine, or the path"),
    ],
)
def test_what_cannot_be_a_run_is_refused(folder, name, profile, message):
    (folder / "old").mkdir(parents=True)
    runs.named("mine", "smoke")
    with pytest.raises(InputError, match=message):
        runs.named(name, profile)
    assert not (folder / "new").exists()


@pytest.mark.parametrize("name", ["data", "comparisons", "recipes"])
def test_a_file_does_not_take_the_name_of_a_folder_of_results(name, folder, tmp_path):
    path = tmp_path / f"{name}.yaml"
    path.write_text("extends: smoke\n")
    with pytest.raises(InputError, match=f"{name}.yaml: profiles cannot be called data, .* Rename the file."):
        profiles.resolve(str(path))


def test_a_file_does_not_take_the_place_of_another_profile(folder, tmp_path):
    named = {name: tmp_path / name / "mine.yaml" for name in ("first", "second")} | {"kit": tmp_path / "quick.yaml"}
    for path in named.values():
        path.parent.mkdir(exist_ok=True)
        path.write_text("extends: smoke\n")
    with pytest.raises(
        InputError, match=f"{named['kit']} has the name of .*profiles/quick.yaml, whose results are in .*quick. Ren"
    ):
        profiles.resolve(str(named["kit"]))
    profiles.claim(profiles.resolve(str(named["first"])))
    assert profiles.resolve(str(named["first"])).name == "mine"
    with pytest.raises(InputError, match=f"{named['second']} has the name of {named['first']}, whose results are in"):
        profiles.resolve(str(named["second"]))
    named["first"].rename(tmp_path / "moved.yaml")
    assert profiles.resolve(str(named["second"])).name == "mine", "the first one is gone"
    runs.named("other", "smoke")
    (tmp_path / "other.yaml").write_text("extends: quick\n")
    with pytest.raises(InputError, match="has the name of .*other/profile.yaml"):
        profiles.resolve(str(tmp_path / "other.yaml"))


@pytest.mark.parametrize("step", [study.slices, study.cohort])
def test_whose_results_a_folder_has_is_noted_with_the_first(folder, tmp_path, step):
    (tmp_path / "mine.yaml").write_text("extends: smoke\ncohort: {cases: 3, registered: 0}\n")
    step(profiles.resolve(str(tmp_path / "mine.yaml")))
    assert (folder / "mine/profile.txt").read_text() == f"{tmp_path}/mine.yaml\n"


def test_a_mistake_leaves_the_run_as_it_was(folder):
    runs.named("mine", "smoke")
    before = (folder / "mine/profile.yaml").read_bytes()
    with pytest.raises(InputError, match="Did you mean 'epochs'"):
        runs.named("mine", vae={"epoch": 3})
    assert (folder / "mine/profile.yaml").read_bytes() == before


def test_runs_of_equal_data_share_them_and_others_do_not(folder):
    same, other, twin = (
        runs.named(name, "smoke", **given)
        for name, given in (
            ("same", {"vae": {"epochs": 3}, "cohort": {"workers": 1}}),
            ("other", {"slices": {"percentile": 90.0}}),
            ("twin", {"slices": {"percentile": 90.0}, "vae": {"seed": 4}}),
        )
    )
    assert study.data_folder(same) == folder / "smoke/data" == study.data_folder(profiles.resolve("smoke"))
    assert study.data_folder(other) == study.data_folder(twin) != study.data_folder(same)
    assert study.data_folder(runs.named("child", "other", vae={"epochs": 3})) == study.data_folder(other)
    assert study.data_folder(other).parent == folder / "data"


def test_settings_with_dots_go_where_they_belong():
    given = settings(["model.margin=20", "epochs=3", "vae.model.latent_size=8", "slices.percentile=95", "image_size=32"])
    config = profiles.resolve("smoke")
    assert runs.sections(given, config, ["intro_vae"]) == {
        "intro_vae": {"model": {"margin": 20}, "epochs": 3},
        "vae": {"model": {"latent_size": 8}},
        "slices": {"percentile": 95},
        "image_size": 32,
    }
    assert runs.name_for("quick", {"model.margin": 20, "vae.model.channels": [8, 16]}) == "quick-margin-20-vae-channels-8-16"
    assert runs.name_for("lr-0.001", {"epochs": 3}) == "lr-0.001-epochs-3"
    with pytest.raises(InputError, match="model.margin is set twice"):
        runs.nested({"model": {"margin": 3}, "model.margin": 20})


def test_a_setting_on_the_command_line_trains_in_a_run_of_its_own(folder, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(study, "train_in_pieces", lambda config, keys, *_: seen.append((config, keys)) or True)
    assert cli.main(["train", "intro_vae", "--profile", "smoke", "-p", "model.margin=20"]) == 0
    assert cli.main(["train", "intro_vae", "--profile", "smoke", "--run", "mine", "-p", "epochs=1"]) == 0
    assert cli.main(["train", "vae", "--profile", "smoke"]) == 0
    names = [config.name for config, _ in seen]
    assert names == ["smoke-margin-20", "mine", "smoke"] and seen[0][0].networks["intro_vae"].model["margin"] == 20
    assert cli.main(["train", "intro_vae", "--profile", "smoke", "-p", "model.marginn=20"]) == 2
    assert "Did you mean 'margin'" in capsys.readouterr().err


def test_a_notebook_takes_the_name_of_a_run():
    config = notebook.begin({}, "smoke", "mine", networks=["intro_vae"], epochs=None, model={"margin": 20.0})
    assert config.name == "mine" and config.networks["intro_vae"].model["margin"] == 20.0
    assert profiles.resolve("mine") == config
    assert "-p profile=mine" in notebook.command("03_train_introvae", config)
    with pytest.raises(InputError, match="no parameter 'margin'. It has: epochs, model, profile, run_name"):
        notebook.begin({"margin": 3}, "smoke", None, networks=["intro_vae"], epochs=None, model=None)


def test_random_weights_in_place_of_those_a_run_starts_from():
    runs.named("mine", "smoke", vae={"init": "pretrained"})
    scratch = runs.named("scratch", "mine", vae={"init": "random"})
    assert profiles.resolve("mine").networks["vae"].init == "pretrained" and scratch.networks["vae"].init is None
    assert profiles.resolve("smoke", vae={"init": "random"}) == profiles.resolve("smoke")


@pytest.mark.parametrize(("words", "several"), [(["init=null"], False), (["epochs="], False), (["model.margin=20,~"], True)])
def test_a_setting_without_a_value_is_refused(words, several):
    with pytest.raises(InputError, match=f"-p {words[0]} has no value, and would change nothing. .*init=random"):
        settings(words, several)


def test_a_start_that_cannot_be_leaves_no_run(folder, tmp_path, capsys):
    for words in (["init=typo.keras"], ["frozen=[encodr]"], ["model.channels=[4, 8, 16, 32, 64, 128, 256]"]):
        assert cli.main(["train", "vae", "--profile", "smoke", "--run", "mine", "-p", *words]) == 2
        assert not (folder / "mine").exists()
    with pytest.raises(InputError, match="typo.keras"):
        notebook.begin({}, "smoke", "mine", networks=["vae"], init=str(tmp_path / "typo.keras"))
    assert profiles.resolve("mine") == runs.named("mine", "smoke"), "what it has is only its name"
    assert cli.main(["train", "nobody", "--profile", "smoke", "--run", "mine"]) == 2
    assert "nobody" in capsys.readouterr().err


def test_a_long_list_of_settings_makes_a_name_that_any_system_takes():
    given = {f"model.setting_{number}": 0.123456 for number in range(20)}
    one, other = runs.name_for("quick", given), runs.name_for("quick", given | {"model.setting_19": 0.2})
    assert len(one) == len(other) == runs.LONGEST and one != other and one.startswith("quick-setting_0-0.123456-")
