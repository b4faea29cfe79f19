"""No step takes the whole store into memory: at 20,000 people it is 8.5 GB."""

import functools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dwikit import evaluation, training
from dwikit.backend.machines import ALONE
from dwikit.evaluation import slice_features
from dwikit.slices import SliceStore
from dwikit.training import loop

MOST = 1024
"""Slices that a step may read at a time."""


class Guarded(np.ndarray):
    """Images of which nobody may read more than `MOST` at a time."""

    def __getitem__(self, key):
        found = np.asarray(self)[key]
        assert found.ndim < 3 or len(found) <= MOST, f"{len(found)} slices were read at once"
        return found


@pytest.fixture
def large(store) -> SliceStore:
    """A store of 30 times as many people, each with other noise."""
    rng, parts = np.random.default_rng(0), []
    tables = []
    for i in range(30):
        parts.append(store.images ^ rng.integers(0, 4, store.images.shape, np.uint8))
        tables.append(store.table.assign(**{name: f"{i}-" + store.table[name] for name in ("case", "subject")}))
    return SliceStore(np.concatenate(parts).view(Guarded), pd.concat(tables, ignore_index=True), store.settings)


def test_the_guard_sees_a_copy_of_a_split(large):
    assert len(large.indices("train")) > 5 * MOST
    with pytest.raises(AssertionError, match="were read at once"):
        large.split("train")


def test_no_step_reads_the_whole_store(large, tmp_path, monkeypatch):
    held_out = np.asarray(large.images)[training.held_out(large, 50)]
    evaluation.table_1(large, {"vae": held_out}, 50)
    evaluation.reconstruction_table(large, {"vae": held_out})
    evaluation.most_copied(large, held_out)
    training.fingerprint(large)
    loop.Keeper(SimpleNamespace(epochs_done=0), None, large, tmp_path, 1, True, None, ALONE, 0)
    monkeypatch.setattr(slice_features, "train", functools.partial(slice_features.train, steps=2))
    slice_features.kept(large, tmp_path)
    large.batches("train", 8)[0]
