"""The first look: claims from the published tables, slices and samples without any training, where to read on."""

import json

import numpy as np
import pandas as pd
import pytest

from dwikit import models, paper, profiles, slices, study
from dwikit.common import files, paths
from dwikit.course import start
from dwikit.training.weights import pretrained


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The smoke profile in an empty folder, and no weights from the kit."""
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(pretrained, "folder", lambda: tmp_path / "pretrained")
    return profiles.resolve("smoke")


def test_claims_follow_the_published_tables(monkeypatch):
    text = start.claims()
    for number in ("52,754", "1495", "(201)", "keep 96%", "715", "against 349", "92% and 98%", "0.0063", "0.84"):
        assert number in text
    changed = paper.TABLE_1.copy()
    changed.loc["vae", "laplace"] = 777.0
    monkeypatch.setattr(paper, "TABLE_1", changed)
    assert "VAE (777)" in start.claims()


def test_people_are_simulated_where_there_are_no_slices(config, capsys):
    people = start.people(config)
    assert "simulated now" in capsys.readouterr().out
    assert len(people) == 3 and not (study.data_folder(config)).exists()
    for number, (label, images) in enumerate(people.items(), 1):
        assert label.startswith(f"{number}: ") and " y, " in label
        assert images.shape == (len(start.LEVELS), 32, 32) and images.dtype == np.uint8 and images.max() == 255


def test_people_come_from_the_store_where_there_is_one(config, volumes, capsys):
    unknown = [volume._replace(age=None, sex=None) if volume is volumes[0] else volume for volume in volumes]
    store = slices.build(unknown, study.data_folder(config) / "slices", slices.SliceSettings(image_size=32))
    people = start.people(config)
    assert "01_preprocess made them" in capsys.readouterr().out
    assert list(people)[0] == "1: unknown" and f"{volumes[1].age:.0f} y, {volumes[1].sex}" in list(people)[1]
    np.testing.assert_array_equal(list(people.values())[1], store.images[26 + np.array(start.LEVELS)])


def test_samples_are_the_last_trained_then_the_kits_own_and_never_trained_now(config, capsys):
    assert start.samples(config) == {}
    assert "Train it: dwikit run 04_train_stylegan" in capsys.readouterr().out

    own = np.arange(10 * 32 * 32, dtype=np.uint8).reshape(10, 32, 32)
    folder = paths.runs(config.name) / "dfc_vae"
    files.write_array(folder / "samples.npy", own)
    files.write_json(folder / "samples.json", {"epochs": 7, "n": 10, "seed": 1})
    model = models.VAE.from_preset(image_size=64, channels=(8, 8), latent_size=4, seed=2)
    log = pd.DataFrame({"seconds": [1.0]}, index=pd.Index([1], name="epoch"))
    facts = dict.fromkeys(("data", "machine", "command"), "x") | {"steps": 1234, "images": 9, "samples": 8}
    pretrained.publish(model, log, facts | {"metrics": {"ds": 1.0}, "slices": {"fov_mm": 250.0}})

    samples, said = start.samples(config), capsys.readouterr().out
    assert set(samples) == {"VAE", "DFC-VAE"}
    np.testing.assert_array_equal(samples["DFC-VAE"], own[:8])
    np.testing.assert_allclose(samples["VAE"], np.round(model.sample(8) * 255)[..., 0], atol=1)
    assert "DFC-VAE: trained here, 7 epochs" in said
    assert "VAE: the kit's weights, 1,234 steps, 64 x 64 pixels, field of view 250 mm; there are none of 32 x 32" in said
    assert "StyleGAN: not trained yet" in said and not (paths.runs(config.name) / "vae").exists()


def test_the_guide_reads_the_notebooks_and_the_measured_minutes(config):
    lines = start.guide().splitlines()
    rows = [line for line in lines if ".ipynb" in line]
    assert len(rows) == len(list(paths.notebooks().glob("0*.ipynb")))
    [row] = [row for row in rows if "(03_train_introvae.ipynb)" in row]
    assert row.startswith("| sec. 2.4 (eq. 8–9) and 3.2 | [03 · The introspective VAE]") and "its own critic" in row
    committed = paths.project() / "figures" / "quick" / "minutes.csv"
    measured = dict(line.split(",") for line in committed.read_text().splitlines()[1:])
    assert row.endswith(f"| {float(measured['03_train_introvae']):.1f} |")

    files.write_text(paths.figures() / "quick" / "minutes.csv", "notebook,minutes\n03_train_introvae,12.34\nall,12.34\n")
    source = {"command": "dwikit reproduce --profile smoke", "profile": {"name": "smoke"}, "cores": 7}
    (paths.figures() / "quick" / "minutes.json").write_text(json.dumps(source))
    text = start.guide()
    assert "| 12.3 |" in text and "(profile smoke, 7 cores), 12 in all" in text and "| - |" in text


def test_a_kit_without_measured_minutes_says_so(config, monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "kit", lambda: tmp_path)
    (tmp_path / "notebooks").mkdir()
    assert start.measured_minutes() == ({}, {}) and start.guide().endswith("here yet: `dwikit reproduce` does.")
