"""Profiles: precedence, types, and keys that do not exist."""

import dataclasses

import pytest

from dwikit import profiles, study
from dwikit.common import files
from dwikit.common.errors import InputError
from dwikit.models import registry
from dwikit.models.presets import preset, settings
from dwikit.slices import SEED, SliceSettings


def test_precedence_is_override_then_profile_then_environment_then_quick(monkeypatch):
    monkeypatch.delenv("DWIKIT_PROFILE", raising=False)
    assert profiles.resolve().name == "quick"
    monkeypatch.setenv("DWIKIT_PROFILE", "smoke")
    assert profiles.resolve().name == "smoke"
    assert profiles.resolve("paper").name == "paper"
    assert profiles.resolve("paper", vae={"epochs": 3}).networks["vae"].epochs == 3
    assert profiles.resolve("paper", vae={"epochs": None}).networks["vae"].epochs == 2000
    assert profiles.resolve("paper", image_size=None).image_size == 128


@pytest.mark.parametrize("name", profiles.names())
def test_every_profile_that_comes_with_the_kit_resolves(name):
    config = profiles.resolve(name)
    assert config.name == name and config.image_size in (32, 64, 128)
    assert profiles.as_dict(config)["cohort"]["cases"] >= config.cohort.registered


def test_overrides_of_a_section_keep_the_rest():
    plain, changed = profiles.resolve("quick"), profiles.resolve("quick", vae={"model": {"latent_size": 10}})
    assert changed.networks["vae"].model == {**plain.networks["vae"].model, "latent_size": 10}
    assert changed.networks["vae"].batch_size == plain.networks["vae"].batch_size


@pytest.mark.parametrize(("value", "expected"), [("9.9e1", 99.0), (95, 95.0), ("90", 90.0)])
def test_numbers_that_yaml_reads_as_text_are_mended(value, expected):
    percentile = profiles.resolve("quick", slices={"percentile": value}).slices.percentile
    assert percentile == expected and isinstance(percentile, float)


def test_a_network_takes_numbers_as_yaml_1_2_writes_them(tmp_path):
    (tmp_path / "own.yaml").write_text("extends: quick\nvae: {model: {learning_rate: 1e-4, beta_1: .5, latent_size: 64}}\n")
    model = profiles.resolve(str(tmp_path / "own.yaml")).networks["vae"].model
    assert (model["learning_rate"], model["beta_1"], model["latent_size"]) == (1e-4, 0.5, 64)
    assert files.parse_yaml("[-1.E+2, '1e-4', e4]") == [-100.0, "1e-4", "e4"]


def test_whole_floats_of_papermill_become_integers():
    assert profiles.resolve("quick", vae={"epochs": 1e3}).networks["vae"].epochs == 1000


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"vea": {}}, "quick.yaml: There is no section 'vea'. Did you mean 'vae'"),
        ({"vae": {"epoch": 3}}, "vae: There is no key 'epoch'. Did you mean 'epochs'"),
        ({"vae": {"epochs": 1.5}}, "epochs must be of type int, not 1.5"),
        ({"vae": {"epochs": "many"}}, "epochs must be of type int, not 'many'"),
        ({"vae": {"epochs": True}}, "type int, not True"),
        ({"vae": {"flip": 1}}, "flip must be of type bool"),
        ({"vae": 3}, "vae must hold"),
        ({"slices": {"scope": 3}}, "scope must be of type str"),
        ({"vae": {"epochs": -1}}, "vae: epochs must be at least 1, not -1"),
        ({"evaluation": {"samples": 0}}, "samples must be at least 1, not 0"),
    ],
)
def test_what_is_wrong_is_named(overrides, message):
    with pytest.raises(InputError, match=message):
        profiles.resolve("quick", **overrides)


def test_an_unknown_profile_lists_the_known_ones():
    with pytest.raises(InputError, match="gpu, hours, paper, quick, smoke, weights-64"):
        profiles.resolve("fast")


def test_a_profile_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("image_size: 32\nvae:\n  epochs: 7\n  model:\n    reconstruction_weight: 2e-9\n")
    assert profiles.resolve(str(path)).networks["vae"].epochs == 7
    assert profiles.resolve(str(path)).name == "mine"
    path.write_text("image_size: [1\n")
    with pytest.raises(InputError, match="mine.yaml is not readable as YAML"):
        profiles.resolve(str(path))
    path.write_text("- 1\n")
    with pytest.raises(InputError, match="key: value"):
        profiles.resolve(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vae: {model: {latent_size: {value: 3}}}", "vae: latent_size must be a value, or {value: ..., why: a reason}"),
        ("vae: {model: {latent_size: {value: 3, why: null}}}", "vae: latent_size must be a value, or"),
        ("vae: {model: [1, 2]}", r"vae: model must hold 'key: value' pairs, not \[1, 2\]"),
        ("vae: {model: {3: 3}}", "vae: model must hold 'key: value' pairs"),
        ("vae: {model: {seed: 3}}", "vae: seed does not belong under model"),
        ("vae: {reasons: text}", "vae: reasons must hold 'key: value' pairs, not 'text'"),
        ("vae: 0", "vae must hold 'key: value' pairs, not 0"),
        ("networks: {vae: {epochs: 3}}", "each network is a section of its own"),
        ("brought: 3", "brought must hold 'key: value' pairs, not 3"),
        ("brought: {theirs: {label: x}}", "brought: theirs needs a line samples:"),
        ("brought: {data: {samples: x}}", "'data' cannot name a row"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(f"extends: quick\n{text}\n")
    with pytest.raises(InputError, match=message):
        profiles.resolve(str(path))


def test_a_value_without_a_reason_loses_the_reason_of_the_one_it_replaces():
    section = profiles.resolve("quick", vae={"model": {"latent_size": 10}}).networks["vae"]
    assert section.model["latent_size"] == 10 and "latent_size" not in section.reasons and "learning_rate" in section.reasons


def test_a_network_that_does_not_exist_is_named_before_data_are_made(tmp_path, monkeypatch):
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path))
    for keys, changes, message in (
        (["vea"], {}, "no network 'vea'. Did you mean 'vae'"),
        (["vae"], {"vae": {"model": {"latnt_size": 3}}}, "no setting of vae 'latnt_size'"),
    ):
        with pytest.raises(InputError, match=message):
            study.train_in_pieces(profiles.resolve("smoke", **changes), keys)
    with pytest.raises(InputError, match="minutes must be more than 0, not -1"):
        study.train_in_pieces(profiles.resolve("smoke"), ["vae"], minutes=-1)
    assert not list(tmp_path.iterdir())


def test_a_profile_that_extends_another(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: quick\nvae:\n  epochs: 7\n")
    mine, quick = profiles.resolve(str(path)), profiles.resolve("quick")
    assert (mine.name, mine.networks["vae"].epochs, mine.networks["vae"].model, mine.networks["style_gan"]) == (
        "mine",
        7,
        quick.networks["vae"].model,
        quick.networks["style_gan"],
    )
    (tmp_path / "other.yaml").write_text("extends: mine.yaml\nimage_size: 32\n")
    assert profiles.resolve(str(tmp_path / "other.yaml")).networks["vae"].epochs == 7
    path.write_text("extends: other.yaml\n")
    with pytest.raises(InputError, match="extends itself, through mine.yaml, other.yaml"):
        profiles.resolve(str(path))


# ==== A preset other than the profile's own ====


@pytest.mark.parametrize(
    ("key", "name"), [(key, name) for key in registry.keys() for name in registry.network(key).presets if name != "paper"]
)
def test_two_presets_at_one_profile_differ_in_what_the_presets_differ_in(key, name):
    """Sizes excepted; and the network that comes out can be built."""

    network = registry.network(key)

    def config(preset_name):
        section = profiles.resolve("quick", **{key: {"preset": preset_name}}).networks[key]
        return preset(network, section.preset, 64, 1.0, section.model)

    ours, other = config("paper"), config(name)
    free = profiles.SIZES | {"preset"}
    said, asked = ({entry: one.value for entry, one in settings(network, which).items()} for which in ("paper", name))
    theirs = {entry for entry in said if said[entry] != asked[entry]} - free
    assert theirs
    assert {entry: other[entry] for entry in theirs} == {entry: asked[entry] for entry in theirs}
    assert all(other[entry] == ours[entry] for entry in ours if entry not in theirs | {"preset"})
    network(**other)


def test_the_profiles_own_preset_and_none_change_nothing():
    plain = profiles.resolve("quick")
    assert profiles.resolve("quick", intro_vae={"preset": "paper"}) == plain
    assert profiles.resolve("quick", intro_vae={"preset": None}) == plain


def test_a_value_given_beside_a_preset_goes_before_it():
    section = profiles.resolve("quick", intro_vae={"preset": "released", "model": {"real_weight": 0.5}}).networks["intro_vae"]
    assert section.model["real_weight"] == 0.5
    assert "reconstruction_weight" not in section.model and section.model["latent_size"] == 64


def test_a_file_that_extends_another_may_choose_the_preset(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: quick\nintro_vae:\n  preset: released\n  model:\n    norm: group\n")
    mine = profiles.resolve(str(path)).networks["intro_vae"]
    assert mine.model["norm"] == "group" and "real_weight" not in mine.model
    back = profiles.resolve(str(path), intro_vae={"preset": "paper"}).networks["intro_vae"]
    assert back.preset == "paper" and "norm" not in back.model


def test_an_unknown_preset_is_named_before_anything_is_trained():
    with pytest.raises(InputError, match="no preset of vae 'relased'. Did you mean 'released'"):
        profiles.resolve("quick", vae={"preset": "relased"})


def test_the_weights_of_the_kit_have_the_architectures_of_quick():
    quick, weights = profiles.resolve("quick"), profiles.resolve("weights-64")
    free = {"learning_rate", "decay", "ema", "warmup_steps", "adversarial_weight", "feature_weight"}
    for key in ("vae", "dfc_vae", "intro_vae", "style_gan"):
        one, other = quick.networks[key].model, weights.networks[key].model
        assert {name for name in one | other if one.get(name) != other.get(name)} <= free
    assert weights.cohort.seed != quick.cohort.seed


@pytest.mark.parametrize("name", ["smoke", "quick", "gpu"])
def test_slices_are_made_as_calibrated(name):
    config = profiles.resolve(name)
    assert config.slice_settings == SliceSettings.for_size(config.image_size)
    written = profiles.as_dict(config)
    assert {**written["slices"], "image_size": written["image_size"]} == {
        **dataclasses.asdict(config.slice_settings),
        "seed": SEED,
    }


@pytest.mark.parametrize("size", [24, 48, 100, 256])
def test_a_size_into_which_the_grid_does_not_divide_is_refused_at_once(size):
    """Before hours of registration, not after."""
    with pytest.raises(InputError, match=f"image_size must be 8, 16, 32, 64 or 128, not {size}"):
        profiles.resolve("smoke", image_size=size)


def test_slices_take_what_the_profile_says_and_refuse_what_cannot_be():
    config = profiles.resolve("smoke", slices={"fov_mm": 233, "scope": "volume"})
    assert config.slice_settings == dataclasses.replace(SliceSettings.for_size(32), fov_mm=233.0, scope="volume")
    assert profiles.resolve("paper").slice_settings.percentile == 95, "the paper's word"
    with pytest.raises(InputError, match="smoke.*interpolator must be one of nearest, linear, cubic, not 'sinc'"):
        profiles.resolve("smoke", slices={"interpolator": "sinc"})
