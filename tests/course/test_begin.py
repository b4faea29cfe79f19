"""The first two cells of a notebook, run once and again, as a person runs them and as papermill does."""

import pytest
from IPython.core.interactiveshell import InteractiveShell

from dwikit import study
from dwikit.common.errors import InputError
from dwikit.course import notebook
from dwikit.models import IntroVAE
from dwikit.models.presets import preset
from dwikit.profiles import resolve

BEGIN = """
from dwikit.course import notebook
config = notebook.begin(globals(), profile, networks=["vae"], epochs=epochs)
"""


@pytest.fixture
def shell():
    """A shell whose cells are those of one notebook."""
    shell = InteractiveShell()
    shell.run_cell('profile = "smoke"\nepochs = None', store_history=True)
    shell.run_cell(BEGIN, store_history=True).raise_error()
    shell.run_cell("runs, total, text = {}, 3, 'words'", store_history=True)
    yield shell
    InteractiveShell.clear_instance()


def test_the_first_two_cells_run_again_with_another_parameter(shell):
    assert shell.user_ns["config"].networks["vae"].epochs == 2
    shell.run_cell('profile = "smoke"\nepochs = 5', store_history=True)
    shell.run_cell(BEGIN, store_history=True).raise_error()
    assert shell.user_ns["config"].networks["vae"].epochs == 5


def test_a_mistyped_parameter_is_refused_the_second_time_too(shell):
    shell.run_cell('profile = "smoke"\nepoch = 5', store_history=True)
    with pytest.raises(InputError, match="no parameter 'epoch'. It has: epochs, profile"):
        shell.run_cell(BEGIN, store_history=True).raise_error()


def test_a_network_that_the_profile_lacks_is_not_trained_by_defaults(tmp_path):
    (tmp_path / "mine.yaml").write_text("image_size: 32\nvae:\n  epochs: 3\n")
    with pytest.raises(InputError, match="Profile mine has no network 'dfc_vae', which this notebook trains"):
        notebook.begin({}, str(tmp_path / "mine.yaml"), networks=["vae", "dfc_vae"], epochs=None)


def test_a_parameter_may_belong_to_one_network_or_to_the_notebook_alone():
    names = {"reconstruction_weight": 7.0, "truncation": 0.5}
    config = notebook.begin(
        dict(names),
        "smoke",
        networks=["vae", "dfc_vae"],
        own={"truncation": 0.5},
        epochs=3,
        vae={"model": {"reconstruction_weight": 7.0}},
    )
    assert config.networks["vae"].model["reconstruction_weight"] == 7.0 and config.networks["vae"].epochs == 3
    assert "reconstruction_weight" not in config.networks["dfc_vae"].model and config.networks["dfc_vae"].epochs == 3
    assert config.parameters == names | {"epochs": 3}
    with pytest.raises(InputError, match="no parameter 'trunction'. It has: profile, run_name, truncation."):
        notebook.begin({"trunction": 0.5}, "smoke", own={"truncation": None})


def test_all_numbers_of_a_training_stand_in_one_table():
    config = resolve("quick", intro_vae={"model": {"margin": 6.0}})
    table = notebook.numbers("intro_vae", config, {"m": "margin", "α": "generator_weight"})
    assert table.loc["margin"].tolist() == ["m", "110", "6", "given for this run"]
    assert table.loc["generator_weight"].tolist() == ["α", "0.25", "0.25", "as in the paper"]
    assert table.loc["warmup_steps", "reason"].startswith("six epochs as a plain VAE")
    model = study.untrained("intro_vae", config)
    differing = {name for name, value in preset(IntroVAE).items() if model.config[name] != value} - {"image_size", "preset"}
    assert differing | {"generator_weight"} == set(table.index) and table.index.is_unique
