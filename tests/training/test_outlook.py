"""How long a training will take is said before it begins."""

import pytest

from dwikit import profiles
from dwikit.training import outlook


@pytest.mark.parametrize("folder", ["vae", "vae-seed-3"])
def test_what_is_left_is_told_by_the_epochs_of_that_folder(store, tmp_path, monkeypatch, folder):
    monkeypatch.setattr(outlook, "product_rate", lambda: 1e9)
    config = profiles.resolve("smoke", vae={"epochs": 3, "steps_per_epoch": 100_000, "snapshots": 10})
    fresh = outlook.told(config, {"vae": tmp_path / folder}, store)
    assert fresh.startswith("About ") and " h to go on this machine if idle (VAE " in fresh and str(tmp_path) in fresh
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "log.csv").write_text("epoch,seconds,variety,distance\n1,3600,1,1\n")
    assert outlook.told(config, {"vae": tmp_path / folder}, store).startswith("About 2.0 h to go")


def test_of_minutes_nothing_is_said(store, tmp_path):
    assert outlook.told(profiles.resolve("smoke"), {"vae": tmp_path / "vae"}, store) == ""
