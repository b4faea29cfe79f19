"""How much one training means: the same training again, with other seeds."""

import numpy as np

from dwikit import profiles, study, training
from dwikit.common import files


def test_another_seed_of_a_training_keeps_every_other_setting_of_the_run(store, tmp_path):
    tiny = {"epochs": 1, "steps_per_epoch": 1, "model": {"channels": [8, 16], "latent_size": 8, "learning_rate": 5e-4}}
    config = profiles.resolve("smoke", vae=tiny, evaluation={"samples": 8, "seeds": 2})
    run = training.train("vae", config, store, tmp_path / "vae")
    plain = profiles.resolve("smoke", evaluation={"samples": 8, "seeds": 2})
    runs = study.seeds(run, plain, store)
    assert list(runs) == [0, 1] and runs[0] is run and runs[1].folder == tmp_path / "vae-seed-1"
    ours, theirs = (files.read_json(r.folder / "settings.json") for r in runs.values())
    assert theirs.pop("config") == {**ours.pop("config"), "seed": 1} and theirs == ours
    assert runs[1].model.epochs_done == 1 and (runs[1].samples != run.samples).any()
    written = (runs[1].folder / "model.keras").stat().st_mtime_ns
    study.seeds(run, plain, store)
    assert (runs[1].folder / "model.keras").stat().st_mtime_ns == written, "trained once only"
    np.testing.assert_array_equal(run.originals, store.images[training.held_out(store, 8)])
