"""The door: a network of one's own, and samples without a network, go the whole way; no line of the package is touched."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dwikit import cli, evaluation, profiles, study
from dwikit.common.errors import InputError
from dwikit.course import reproduce
from dwikit.evaluation.brought import Brought
from dwikit.training.train import departures
from dwikit.training.weights import packing

ROOT = Path(__file__).resolve().parent.parent
NETWORK = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "own-network.md").read_text(), re.DOTALL)[1]
"""The page's own."""
PROFILE = """
extends: smoke
dcgan:
  file: dcgan.py
  epochs: 2
  steps_per_epoch: 4
  model:
    channels: {value: [8, 8], why: seconds instead of minutes}
brought:
  theirs: {samples: theirs, label: Their GAN}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Network, profile, and forty images of somebody else's."""
    import cv2

    folder = tmp_path_factory.mktemp("own")
    (folder / "dcgan.py").write_text(NETWORK)
    (folder / "mine.yaml").write_text(PROFILE)
    (folder / "theirs").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (70, 32, 32)).astype(np.uint8)
    for i, image in enumerate(noise):
        cv2.imwrite(str(folder / "theirs" / f"image-{i:02d}.png"), image)
    return folder


@pytest.fixture(scope="module")
def trained(folder):
    """The DCGAN and the VAE, trained by the command line, and the profile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DWIKIT_RUNS", str(folder / "runs"))
        patch.setenv("DWIKIT_FIGURES", str(folder / "runs" / "figures"))
        assert cli.main(["train", "vae", "dcgan", "--profile", str(folder / "mine.yaml")]) == 0
        yield profiles.resolve(str(folder / "mine.yaml"))


def test_it_is_trained_as_the_profile_says(trained, folder, capsys):
    store = study.slices(trained)
    again = study.train("dcgan", trained, store)
    assert again.model.epochs_done == 2 and again.samples.shape == (64, 32, 32)
    table = again.departures
    assert table.loc["channels", ["paper", "this run", "reason"]].tolist() == ["32–64", "8–8", "seconds instead of minutes"]
    same = departures(type(again.model), trained.networks["dcgan"], again.model.config | {"latent_size": 100.0})
    assert list(same.index) == ["channels"], "100.0 is 100"
    assert study.told(again).startswith("DCGAN departs from its preset in 1 setting:")


def test_other_code_starts_a_training_anew(trained, folder, capsys):
    path, store = folder / "dcgan.py", study.slices(trained)
    before = study.train("dcgan", trained, store).samples
    try:
        path.write_text(NETWORK.replace("layers.ReLU()", 'layers.Activation("elu")'))
        other = study.train("dcgan", trained, store)
        assert "was made with other settings" in capsys.readouterr().out and (other.samples != before).any()
    finally:
        path.write_text(NETWORK)
    np.testing.assert_array_equal(study.train("dcgan", trained, store).samples, before)


def test_a_table_says_where_a_network_is_not_what_the_profile_says(trained, folder, capsys):
    """Changed and not trained again: a weight is named, other code and samples of fewer epochs are left out."""
    path, store = folder / "dcgan.py", study.slices(trained)
    assert set(study.trained(trained, store)) == {"vae", "dcgan"} and "stands here" not in capsys.readouterr().out
    other = profiles.resolve(str(folder / "mine.yaml"), dcgan={"epochs": 3, "model": {"beta_1": 0.9}})
    assert "dcgan" in study.trained(other, store)
    said = "DCGAN stands here as it was trained: beta_1 0.5 (profile: 0.9), epochs 2 (profile: 3). To train it anew: dwikit"
    assert said in capsys.readouterr().out
    try:
        path.write_text(NETWORK.replace("layers.ReLU()", 'layers.Activation("elu")'))
        assert set(study.trained(trained, store)) == {"vae"}
        assert "DCGAN is left out: dcgan.py has changed since it was trained" in capsys.readouterr().out
    finally:
        path.write_text(NETWORK)
    stamp = folder / "runs/mine/dcgan/samples.json"
    kept = stamp.read_text()
    try:
        for text in (kept.replace('"epochs": 2', '"epochs": 1'), ""):
            stamp.write_text(text)
            assert set(study.trained(trained, store)) == {"vae"}, "the samples are of another epoch than the model, or of none"
            assert "DCGAN is left out: it is not fully trained" in capsys.readouterr().out
    finally:
        stamp.write_text(kept)


@pytest.mark.parametrize(
    ("brought", "message"),
    [
        ("a: {samples: theirs, label: VAE}", "vae and a both have the label 'VAE'"),
        ("a: {samples: theirs, label: DCGAN}", "dcgan and a both have the label 'DCGAN'"),
        ("a: {samples: theirs, label: Original}", "original and a both have the label 'Original'"),
        ("a: {samples: theirs, label: X}\n  b: {samples: theirs, label: X}", "a and b both have the label 'X'"),
        ("a: {samples: theirs, label: b}\n  b: {samples: theirs}", "a and b both have the label 'b'"),
    ],
)
def test_two_rows_with_one_label_are_refused(folder, brought, message):
    """Tables with a column for each label would lose one."""
    (folder / "twins.yaml").write_text(f"extends: smoke\ndcgan: {{file: dcgan.py}}\nbrought:\n  {brought}\n")
    with pytest.raises(InputError, match=message):
        study.networks(profiles.resolve(str(folder / "twins.yaml")))


def test_both_stand_in_every_table_of_the_study(trained, folder):
    assert cli.main(["run", "05_evaluate", "-p", f"profile={folder / 'mine.yaml'}"]) == 0
    text = {path.stem: path.read_text() for path in (folder / "runs" / "figures" / "mine").glob("*.md")}
    for name in ("table-1", "beyond", "usefulness-segmentation", "usefulness-denoising"):
        assert "DCGAN" in text[name] and "Their GAN" in text[name], name
    assert "Their GAN (brought along)" in text["table-1"]
    source = json.loads((folder / "runs" / "figures" / "mine" / "table-1.json").read_text())["runs"]
    assert source["dcgan"]["model"] == "dcgan" and source["theirs"]["images"] == 70
    drawn = {path.stem: path.read_text() for path in (folder / "runs" / "figures" / "mine").glob("*.svg")}
    for name in ("figure-4", "neighbours", "distributions", "maps"):
        assert "DCGAN" in drawn[name] and "Their GAN" in drawn[name], name


def figures(folder, suffix="csv") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "runs" / "figures" / "mine").glob(f"*.{suffix}")}


def test_evaluate_gives_their_rows_of_the_study(trained, folder):
    """05 and ``dwikit evaluate``: the same samples, the same digits."""
    table = pd.read_csv(folder / "runs" / "figures" / "mine" / "table-1.csv", header=[0, 1], index_col=0)
    beyond = pd.read_csv(folder / "runs" / "figures" / "mine" / "beyond.csv", index_col=0, keep_default_na=False)
    rows = {"DCGAN": "runs/mine/dcgan/samples.npy", "Their GAN (brought along)": "theirs"}
    for label, samples in rows.items():
        verdict = evaluation.evaluate(folder / samples, folder / "runs/mine/data/slices", out=folder / "out", n=64)
        found = pd.read_csv(folder / "out" / "four-metrics.csv", header=[0, 1], index_col=0)
        for row, theirs in ((label, "Samples"), ("Original", "Original"), ("Held-out people", "Held-out people")):
            pd.testing.assert_series_equal(table.loc[row], found.loc[theirs], check_names=False, check_exact=True)
        assert beyond[label].tolist() == evaluation.readable(verdict.beyond)["samples"].tolist()


def test_the_command_in_a_caption_makes_the_tables_again(trained, folder):
    kept = figures(folder)
    made = {json.loads(source)["command"] for source in figures(folder, "json").values()}
    assert made == {f"DWIKIT_RUNS={folder}/runs dwikit run 05_evaluate -p profile={folder}/mine.yaml"}
    for name in kept:
        (folder / "runs" / "figures" / "mine" / name).write_text("")
    [command] = made
    shell = f'dwikit() {{ {sys.executable} -m dwikit "$@"; }}; {command}'
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DWIKIT_")}
    subprocess.run(["bash", "-c", shell], cwd=ROOT, env=environment, check=True, capture_output=True)
    assert figures(folder) == kept


def test_both_stand_in_the_deck(trained, folder):
    assert cli.main(["run", "06_reader_study", "-p", f"profile={folder / 'mine.yaml'}"]) == 0
    table = (folder / "runs" / "figures" / "mine" / "table-2.md").read_text()
    assert "| DCGAN |" in table and "| Their GAN |" in table


def test_it_is_packed_and_exported(trained, folder, monkeypatch, capsys):
    store = study.slices(trained)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}  # a process of its own has not read dcgan.py yet
    command = [sys.executable, "-m", "dwikit", "pack", "dcgan", "--profile", str(folder / "mine.yaml")]
    done = subprocess.run([*command, "--out", str(folder / "packed")], capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "dcgan: 1 files" in done.stdout, done.stderr
    with pytest.raises(InputError, match="There is no network 'dcgan'.*Known: vae"):
        packing.pack("dcgan", profiles.resolve("smoke"), store, folder / "elsewhere")
    with pytest.raises(InputError, match="There is no network 'dcgan'.*Known: vae"):
        packing.unpack("dcgan", folder / "packed", profiles.resolve("smoke"), store)
    monkeypatch.setenv("DWIKIT_RUNS", str(folder / "home"))
    home = packing.unpack("dcgan", folder / "packed", trained, store)
    assert np.abs(home.model.sample(4) - study.models.load(folder / "runs/mine/dcgan/model.keras").sample(4)).max() < 0.02
    pytest.importorskip("tf2onnx")
    model = str(folder / "runs/mine/dcgan/model.keras")
    command = [sys.executable, "-m", "dwikit", "export", model, str(folder / "dcgan.onnx"), "--profile"]
    done = subprocess.run([*command, str(folder / "mine.yaml")], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0 and "pixels differ" in done.stdout, done.stderr


def test_reproduce_trains_it_before_anything_is_judged(trained, folder, monkeypatch):
    steps, profile = {}, str(folder / "mine.yaml")
    monkeypatch.setattr(reproduce, "side_by_side", lambda commands, workers: [(n, steps.setdefault(n, 1.0)) for n in commands])
    reproduce.reproduce(profile)
    names = list(steps)
    assert names.index("01_preprocess") < names.index("train dcgan") < names.index("05_evaluate")
    assert (folder / "runs" / "figures" / "mine" / "minutes.md").read_text().count("train dcgan") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "extends: smoke\ndcgam:\n  epochs: 3\n",
            "wrong.yaml: There is no section 'dcgam'.*Your own network needs a line file: PATH",
        ),
        ("extends: smoke\ndcgan:\n  file: nowhere.py\n", "nowhere.py"),
        ("extends: smoke\ngan:\n  file: dcgan.py\n", "no network 'gan' in .*dcgan.py: its networks are 'dcgan'"),
        ("extends: smoke\noriginal:\n  file: dcgan.py\n", "'original' cannot name a row"),
        ("extends: smoke\nbrought:\n  vae: {samples: theirs}\n", "'vae' is both a network and under brought"),
        ("extends: smoke\nbrought:\n  a: {samples: nothing}\n", "nothing"),
        (
            "extends: smoke\nimage_size: 64\nbrought:\n  a: {samples: theirs}\n",
            "images of 32 x 32 pixels, but the slices have 64 x 64",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(folder, text, message):
    (folder / "wrong.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        config = profiles.resolve(str(folder / "wrong.yaml"))
        study.networks(config)
        for key, section in config.brought.items():
            Brought.read(key, section, config.image_size, Path())
