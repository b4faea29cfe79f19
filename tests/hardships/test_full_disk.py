"""A full disk in the stages that are quick; ``make hardships`` fills it in every stage."""

import pytest

from dwikit import slices
from dwikit.common.errors import InputError
from dwikit.slices import grid
from tests.hardships import full_disk


@pytest.fixture
def disk(tmp_path):
    made = full_disk.Disk(tmp_path / "disk")
    yield made
    made.close()


def test_a_full_disk_is_one_message_and_what_was_there_is_unharmed(disk, tmp_path, volumes, monkeypatch):
    monkeypatch.setattr(full_disk.phantom, "simulate_volumes", lambda *_, **__: volumes[:4])
    monkeypatch.setattr(full_disk, "small_cohort", lambda folder, n: folder)
    quick = {"Slices", "Tables", "Figures", "Deck", "Readings", "Weights"}
    stages = [stage for stage in full_disk.stages(tmp_path) if stage.name in quick]
    assert {stage.name for stage in stages} == quick
    for stage in stages:
        counts = full_disk.run(stage, disk, [0, 0.6])
        assert counts["refused"] >= 1, stage.name


def test_slices_on_a_full_disk_do_not_end_the_process(disk, volumes):
    """A memory map that finds no room ends its process with a bus error, whatever the code around it does."""
    if not disk.mounted:
        pytest.skip("no tmpfs can be mounted here, and a limit on file sizes does not fill a disk")
    size = len(volumes) * grid.N_LEVELS * 32 * 32
    with disk.room(5 * size - size // 2):  # enough for the float32 spool, not for the images after it
        with pytest.raises(InputError, match="No space left on device"):
            slices.build(volumes, disk.folder / "slices", slices.SliceSettings(image_size=32))
    assert [path.name for path in disk.folder.iterdir()] == []
