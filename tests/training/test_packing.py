"""The GPU machine, rehearsed: no TensorFlow, training in pieces, and networks that are carried home in small files."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dwikit import models, paper, profiles, study, training
from dwikit.common import paths
from dwikit.common.errors import InputError
from dwikit.training.weights import packing
from tests.backend.parity_worker import missing
from tests.training.rehearsal import ABSENT

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WITHOUT = f"""
import sys
from importlib.machinery import PathFinder

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in {ABSENT} else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
"""
"""What Python runs first in a process, so that some packages are not installed as far as it can tell."""


@pytest.mark.parametrize("backend", [pytest.param("jax", marks=pytest.mark.hardship), "torch"])
def test_the_study_runs_without_tensorflow_and_comes_home(backend, tmp_path):
    if missing(backend):
        pytest.skip(f"{backend} is not installed (pip install dwikit[backends])")
    (tmp_path / "sitecustomize.py").write_text(WITHOUT)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KERAS_", "DWIKIT_"))}
    environment |= {"KERAS_BACKEND": backend, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "KERAS_HOME": str(tmp_path)}
    environment["OMP_NUM_THREADS"] = "1"  # PyTorch's threads wait for one another where cores are busy
    command = [sys.executable, str(HERE / "rehearsal.py"), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["backend"] == backend and result["absent"] == []
    assert result["pieces"] == [75, 75, 0], "the slices, one epoch of the VAE, the rest"
    assert set(result["files"]) == {f"{key}.part-1-of-1" for key in paper.MODELS} and result["unpacked"] == 0
    assert result["home"] == result["away"], "the tables at home are those of the GPU machine"
    rows = ["original", "held_out", "vae", "dfc_vae", "intro_vae", "style_gan"]
    assert list(result["home"]["table-1"]["ds"]) == rows and result["home"]["table-1"]["n"]["vae"] == 26
    assert all(value is not None for value in result["home"]["table-1"]["min_isd"].values())
    assert "DFC-VAE" in result["titles"]
    assert {"table-1.md", "reconstruction.md", "claims.md", "beyond.md", "samples.svg"} <= set(result["figures"])
    facts = result["facts"]
    assert facts["steps"] == 8 and facts["images"] == 64 and facts["epochs"] == facts["epochs_planned"] == 2
    assert facts["backend"] == backend and facts["versions"]["tensorflow"] and "CPU cores" in facts["machine"]
    assert 0 < result["float16"] < 0.01


def test_without_tensorflow_keras_gets_a_backend_that_is_there():
    code = "import sys; sys.modules['tensorflow'] = None; import os, dwikit; print(os.environ.get('KERAS_BACKEND'))"
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    known = [name for name in ("jax", "torch") if not missing(name)]
    assert done.stdout.strip() == (known or ["tensorflow"])[0]


@pytest.mark.hardship
def test_rates_are_measured_in_pieces(tmp_path):
    """The benchmark of a GPU, for fractions of a second on a CPU: no rate is looked at, only how it is counted."""
    if missing("torch"):
        pytest.skip("torch is not installed (pip install dwikit[backends])")
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu_rates.py"), "vae", "--size", "32", "--width", "0.25"]
    command += ["--batch", "4", "--seconds", "0.2", "--warm-up", "2", "--every", "1", "--no-jit"]
    environment = os.environ | {"KERAS_BACKEND": "torch", "DWIKIT_RUNS": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment["OMP_NUM_THREADS"] = "1"

    def run(*more):
        return subprocess.run([*command, *more], env=environment, capture_output=True, text=True, timeout=300)

    assert run("--minutes", "0").returncode == 75, "two variants are left"
    done = run()
    assert done.returncode == 0, done.stderr[-2000:]
    table = pd.read_csv(tmp_path / "figures" / "gpu-rates.csv", index_col="network")
    assert list(table["precision"]) == ["float32", "bfloat16"] and set(table.index) == {"VAE"}
    assert (table["paper, img/s"] == 611).all()
    np.testing.assert_allclose(table["times"], table["img/s"] / 611, atol=0.06)
    for result in json.loads((tmp_path / "figures" / "gpu-rates.json").read_text())["measured"].values():
        assert result["images_per_second"] == pytest.approx(result["steps"] * 4 / result["seconds"])
        assert result["tflops"] == pytest.approx(result["images_per_second"] * result["gflop_per_image"] / 1000)
        assert [row["step"] for row in result["losses"]] == list(range(1, result["steps"] + 3))
    assert table["deviation of losses"].iloc[0] == 0 < table["deviation of losses"].iloc[1] < 0.1
    before = (tmp_path / "benchmarks" / "gpu-rates-32-0.25.json").stat().st_mtime_ns
    assert run().returncode == 0
    assert (tmp_path / "benchmarks" / "gpu-rates-32-0.25.json").stat().st_mtime_ns == before, "nothing is measured again"


# ==== Carried in parts ====


@pytest.fixture(scope="module")
def away(store, tmp_path_factory):
    """A StyleGAN of one epoch in the runs of one machine, packed in small parts."""
    folder = tmp_path_factory.mktemp("away")
    model = {"channels": [8, 8, 8, 8], "critic_channels": [8, 8, 8, 8], "mapping_width": 8, "latent_size": 8}
    config = profiles.resolve("smoke", style_gan={"epochs": 1, "steps_per_epoch": 2, "model": model})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DWIKIT_RUNS", str(folder / "runs"))
        patch.setattr(packing, "PART", 20_000)
        run = training.train("style_gan", config, store)
        packing.pack("style_gan", config, store, folder / "carried")
    return run, config, folder / "carried"


@pytest.fixture
def carried(away, tmp_path, monkeypatch):
    """The trained network, its profile, and a copy of its parts on another machine, whose runs are current."""
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path / "home"))
    run, config, parts = away
    return run, config, Path(shutil.copytree(parts, tmp_path / "carried"))


def test_a_network_in_parts_is_the_network(carried, store):
    run, config, folder = carried
    sizes = [path.stat().st_size for path in folder.iterdir()]
    assert len(sizes) > 2 and max(sizes) <= 20_000 and packing.packed(folder) == ["style_gan"]
    home = packing.unpack("style_gan", folder, config, store)
    assert home.folder == paths.runs("smoke") / "style_gan" and home.model.epochs_done == 1
    np.testing.assert_array_equal(home.samples, run.samples)
    np.testing.assert_allclose(home.model.sample(3), run.model.sample(3), atol=5e-3)
    assert all(np.isnan(values).all() for values in home.model.critic.get_weights()), "it was not carried"
    assert list(study.trained(config, store)) == ["style_gan"]
    assert home.facts()["carried"]["steps"] == 2 and home.log.equals(run.log)


def test_what_was_carried_is_set_aside_by_a_new_training_and_by_a_new_carrying(carried, store, capsys):
    _, config, folder = carried
    for _ in range(2):
        packing.unpack("style_gan", folder, config, store)
    assert "kept as style_gan.before-1" in capsys.readouterr().out
    fresh = training.train("style_gan", config, store)
    assert "carried" not in fresh.facts() and (fresh.folder.with_name("style_gan.before-2") / "samples.npy").is_file()


def test_parts_that_are_missing_or_damaged_are_named(carried, store, tmp_path):
    _, config, folder = carried
    part = sorted(folder.iterdir())[1]
    part.write_bytes(bytes(255 - byte for byte in part.read_bytes()))
    with pytest.raises(InputError, match="style_gan in .*carried cannot be unpacked"):
        packing.unpack("style_gan", folder, config, store)
    part.unlink()
    with pytest.raises(InputError, match="must hold style_gan.part-1-of-.*style_gan.part-2-of-"):
        packing.unpack("style_gan", folder, config, store)
    with pytest.raises(InputError, match="no packed networks"):
        packing.packed(tmp_path)
    assert not (paths.runs("smoke") / "style_gan").exists()


def test_other_slices_are_refused_and_rounding_is_not(carried, store):
    _, config, folder = carried
    images = np.array(store.images)
    other = type(store)(np.minimum(images, 254) + np.uint8(1), store.table, store.settings | {"clip": 1.0})
    assert packing.unpack("style_gan", folder, config, other).samples.shape == (64, 32, 32)
    assert list(study.trained(config, other)) == ["style_gan"], "it belongs to the slices of this machine"
    turned = type(store)(images[:, ::-1], store.table, store.settings)
    with pytest.raises(InputError, match="not trained on the slices"):
        packing.unpack("style_gan", folder, config, turned)


def test_a_network_of_somebody_who_has_left_does_not_come_back(carried, store):
    """Held-out slices are the same; one person less is in the training split."""
    _, config, folder = carried
    stay = store.table["subject"] != store.table["subject"].iloc[store.indices("train")[0]]
    left = type(store)(store.images[stay], store.table[stay].reset_index(drop=True), store.settings)
    assert np.array_equal(store.split("test"), left.split("test"))
    with pytest.raises(InputError, match="not trained on the slices here. Make the same ones: the same people"):
        packing.unpack("style_gan", folder, config, left)


def test_an_untrained_network_is_not_packed(store, tmp_path, monkeypatch):
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path))
    config = profiles.resolve("smoke")
    with pytest.raises(InputError, match="no model at"):
        packing.pack("vae", config, store, tmp_path / "out")
    models.save(models.VAE.from_preset(image_size=32, channels=(8, 8)), tmp_path / "smoke" / "vae" / "model.keras")
    with pytest.raises(InputError, match="one epoch"):
        packing.pack("vae", config, store, tmp_path / "out")
