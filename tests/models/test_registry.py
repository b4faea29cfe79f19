"""The networks at hand: the kit's folders, files of one's own, installed packages, and what cannot be a network."""

import pickle
import subprocess
import sys
import textwrap
from importlib import metadata

import pytest

from dwikit import models
from dwikit.common.errors import InputError
from dwikit.models import registry

TINY = """
from dwikit.models import GenerativeModel

class Tiny(GenerativeModel):
    key, label = "tiny", "Tiny"
    build_optimizers = training_step = None
"""


@pytest.fixture
def written(tmp_path):
    """Writes a network's file."""

    def write(text, name="mine.py"):
        (tmp_path / name).write_text(textwrap.dedent(text))
        return tmp_path / name

    return write


def test_the_kits_networks_are_its_folders_and_need_no_list():
    assert registry.keys()[:5] == ["dfc_vae", "diffusion", "intro_vae", "style_gan", "vae"]
    assert list(registry.networks())[:5] == ["vae", "dfc_vae", "intro_vae", "style_gan", "diffusion"]
    assert registry.network("vae") is models.VAE and models.IntroVAE.key == "intro_vae"
    assert {"VAE", "StyleGAN", "Autoencoder", "load"} <= set(dir(models)) and issubclass(models.VAE, models.Autoencoder)
    with pytest.raises(AttributeError, match="Pixel2Pixel"):
        models.Pixel2Pixel  # noqa: B018


def test_keys_are_known_without_keras():
    code = "import sys; from dwikit import models; print(models.registry.keys()); assert 'keras' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "style_gan" in done.stdout, done.stderr


def test_a_new_folder_is_a_network_without_another_line(tmp_path, monkeypatch):
    folder = tmp_path / "pixel_vae"
    folder.mkdir()
    (folder / "model.py").write_text(
        "from dwikit.models.vae.model import VAE\n\n\nclass PixelVAE(VAE):\n    key = 'pixel_vae'\n"
    )
    monkeypatch.setattr(registry, "HERE", tmp_path)
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    assert registry.keys() == ["pixel_vae"] and registry.network("pixel_vae").__name__ == "PixelVAE"


def test_a_file_is_run_once_and_again_when_it_has_changed(written):
    path = written(TINY)
    first = registry.network("tiny", path)
    assert registry.network("tiny", str(path)) is first and pickle.loads(pickle.dumps(first)) is first
    path.write_text(TINY.replace('"Tiny"', '"Tinier"'))
    assert registry.network("tiny", path).label == "Tinier"


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("vae", TINY, "'vae' is a network of the kit"),
        ("Tiny", TINY, "cannot be the key"),
        ("original", TINY, "cannot be the key"),
        ("tinny", TINY, "no network 'tinny' in .*mine.py: its networks are 'tiny'"),
        ("tiny", "x = 1", "it has no subclass of dwikit.models.GenerativeModel"),
        ("tiny", "from dwikit.models import VAE", "it has no subclass"),
        ("tiny", TINY + "\nclass Other(Tiny):\n    pass\n", "has 2 networks 'tiny': Other, Tiny"),
        ("tiny", TINY + "\nclass Other(:\n    pass\n", "cannot be imported: SyntaxError in line 8"),
        (
            "tiny",
            TINY + "\nimport torchvison\n",
            "cannot be imported: ModuleNotFoundError in line 8: No module named 'torchvison'",
        ),
        ("tiny", "def f():\n    return 1 / 0\n\n\nf()\n", "cannot be imported: ZeroDivisionError in line 2"),
    ],
)
def test_files_that_hold_no_such_network(written, key, text, message):
    with pytest.raises(InputError, match=message):
        registry.network(key, written(text))


def test_networks_that_do_not_exist(tmp_path):
    with pytest.raises(
        InputError, match="no network 'vea'. Did you mean 'vae'. Known: dfc_vae, diffusion, intro_vae, style_gan, vae"
    ):
        registry.network("vea")
    with pytest.raises(InputError, match="no file .*gone.py, which should define the network 'gone'"):
        registry.network("gone", tmp_path / "gone.py")


@pytest.mark.filterwarnings("ignore:The installed package")
def test_an_installed_package_offers_a_network(written, monkeypatch, tmp_path):
    written(TINY, "tiny_package.py")
    monkeypatch.syspath_prepend(tmp_path)
    points = [
        metadata.EntryPoint("tiny", "tiny_package:Tiny", registry.GROUP),
        metadata.EntryPoint("vae", "tiny_package:Tiny", registry.GROUP),
        metadata.EntryPoint("broken", "no_such_package:Broken", registry.GROUP),
        metadata.EntryPoint("other", "tiny_package:Tiny", registry.GROUP),
    ]
    monkeypatch.setattr(registry.metadata, "entry_points", lambda group: points)
    assert registry.keys()[5:] == ["broken", "other", "tiny"]
    assert registry.network("tiny").label == "Tiny" and registry.network("vae") is models.VAE
    with pytest.warns(UserWarning, match="no_such_package offers the network 'broken'; it cannot be imported"):
        assert list(registry.networks())[-1] == "tiny", "what is not in the paper comes last"
    with pytest.raises(InputError, match="not a GenerativeModel with this key"):
        registry.network("other")
