"""The kit's training of hours, as notebooks show it beside that of minutes."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dwikit import evaluation, metrics, profiles, training
from dwikit.common import lock
from dwikit.common.errors import InputError
from dwikit.course import longer
from dwikit.evaluation import kit_weights, learning
from dwikit.slices import SliceStore
from dwikit.training.weights import pretrained


def test_a_longer_training_tells_its_ratios_beside_the_papers(store, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "folder", lambda: tmp_path / "kit")
    (tmp_path / "kit").mkdir()
    store = SliceStore(store.images, store.table, {**store.settings, "cohort": {"bids": None, "cases": 12, "seed": 0}})
    section = {"epochs": 3, "steps_per_epoch": 5, "snapshots": 30, "keep": "best", "model": {"channels": [8, 16]}}
    config = profiles.resolve("smoke", vae=section)
    run = training.train("vae", config, store, tmp_path / "vae")
    kit_weights.publish(run, config, store)

    found, curve = longer.load("vae", 32), learning.curve(run, store)
    original = learning.real(store, found.card["samples"])
    kept = run.model.epochs_done
    assert found.model.epochs_done == kept and list(found.log.index) == [1, 2, 3]
    assert found.log.loc[kept, "isd"] == pytest.approx(curve.loc[kept, "isd"] / original["isd"])
    assert found.log.loc[kept, "memory"] == pytest.approx(curve.loc[kept, "memory"]) and found.log["loss"].notna().all()
    first, second, third = found.told.splitlines()
    assert first.startswith("VAE after 0.0 hours on ") and f", {5 * kept} steps, " in first
    assert second == f"epoch {kept} of a training of 3 that took 0.0 hours."
    assert f"ISD {found.log.loc[kept, 'isd']:.2f} of the original's (paper: 0.57)" in third
    figure = longer.curves({"vae": found}, {"vae": run}, store, 30)
    panel = next(axis for axis in figure.axes if axis.get_title() == longer.PANELS["isd"])
    lines = [(line.get_marker(), line.get_ydata()) for line in panel.lines]
    ratio = evaluation.measure(run.samples[:30], metrics.moments(store.split("train")))["isd"] / learning.real(store, 30)["isd"]
    assert [ys for marker, ys in lines if marker == "s"] == [pytest.approx([ratio])], "the training of minutes"
    assert [ys for marker, ys in lines if marker == "o"] == [pytest.approx([found.log.loc[kept, "isd"]])], "the epoch kept"
    assert [mark.xy[1] for mark in panel.texts] == [pytest.approx(0.0255 / 0.0449, rel=0.02)], "the paper"
    with pytest.raises(InputError, match="no weights of 'vae' at 64 pixels"):
        longer.load("vae", 64)


def test_strangers_are_made_once(tmp_path, monkeypatch):
    made = longer.people(tmp_path / "slices", 3, 32)
    assert made.table["subject"].nunique() == 3 and made.images.shape[1:] == (32, 32)
    stamp = (tmp_path / "slices" / "images.npy").stat().st_mtime_ns
    assert longer.people(tmp_path / "slices", 3, 32).content == made.content
    assert (tmp_path / "slices" / "images.npy").stat().st_mtime_ns == stamp
    with monkeypatch.context() as patch:  # made elsewhere, in a folder that cannot be written
        patch.setattr(lock.os, "open", lambda *arguments: pytest.fail("nothing is locked to read"))
        assert longer.people(tmp_path / "slices", 3, 32).content == made.content
    assert longer.people(tmp_path / "slices", 2, 32).table["subject"].nunique() == 2, "others are asked for"


def test_two_notebooks_side_by_side_make_the_strangers_once(tmp_path, monkeypatch):
    """02 and 03, when they get there together."""
    made, build = [], longer.slices.build

    def slowly(volumes, folder, settings, **more):
        made.append(folder)
        time.sleep(1)
        return build(volumes, folder, settings, **more)

    monkeypatch.setattr(longer.slices, "build", slowly)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: longer.people(tmp_path / "slices", 2, 32), range(2))
    assert one.content == other.content and len(made) == 1
