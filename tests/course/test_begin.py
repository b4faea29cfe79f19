"""The first two cells of a notebook, run once and again, as a person runs them and as papermill does."""

import pytest
from IPython.core.interactiveshell import InteractiveShell

from dwikit.common.errors import InputError
from dwikit.course import notebook

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
