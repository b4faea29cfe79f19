"""The study as a GPU machine runs it, and what is done with it at home, end to end at tiny size.

``test_gpu.py`` runs this file with a folder as argument in a process that cannot import ``ABSENT``. It trains in pieces, packs,
unpacks in another folder of runs, and makes the tables and figures there; ``result.json`` in the folder says what came of it.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

ABSENT = ("tensorflow", "ants", "IPython", "ipywidgets", "jupyterlab", "nbformat", "papermill", "pydicom", "dask")
"""Packages that the GPU machine of docs/gpu.md lacks, or that nothing on this path may need."""
PROFILE = """
extends: smoke
cohort: {registered: 0}
vae: {steps_per_execution: 2, model: {channels: [8, 16]}}
dfc_vae: {epochs: 1, model: {channels: [8, 16]}}
intro_vae: {epochs: 1, steps_per_epoch: 2, model: {architecture: plain, channels: [8, 16], latent_size: 8}}
style_gan:
  epochs: 1
  steps_per_epoch: 2
  model: {channels: [8, 8, 8], critic_channels: [8, 8, 8], critic: strided, latent_size: 8, mapping_width: 8, constant_size: 8}
evaluation: {samples: 26, seeds: 1}
"""


def measure(profile: str) -> tuple[dict, dict]:
    """Table 1 and the reconstruction table of the networks that are there; also the runs."""
    from dwikit import evaluation, profiles, study

    config = profiles.resolve(profile)
    store = study.slices(config)
    runs = study.trained(config, store)
    table = evaluation.table_1(store, {key: run.samples for key, run in runs.items()}, config.evaluation.samples)
    rebuilt = {key: run.reconstructions for key, run in runs.items() if run.reconstructs}
    return {"table-1": table, "reconstruction": evaluation.reconstruction_table(store, rebuilt)}, runs


def save(profile: str, tables: dict, runs: dict) -> None:
    """What else 05_evaluate makes of them, and the files of all of it."""
    from dwikit import evaluation, paper, profiles, report, study
    from dwikit.evaluation import verdicts
    from dwikit.report import plots

    config = profiles.resolve(profile)
    store = study.slices(config)
    samples = {key: run.samples for key, run in runs.items()}
    networks = evaluation.feature_networks(store, study.features_folder(config))
    beyond = evaluation.readable(evaluation.beyond_paper(store, samples, networks, config.evaluation.samples))
    source = report.provenance(
        config, "python tests/training/rehearsal.py", runs={key: run.facts() for key, run in runs.items()}
    )
    report.save_table(report.beside_paper(tables["table-1"], paper.TABLE_1), "table-1", source)
    report.save_table(report.beside_paper(tables["reconstruction"], paper.RECONSTRUCTION), "reconstruction", source)
    report.save_table(verdicts.table([paper.Evidence(*tables.values())]), "claims", source)
    report.save_table(beyond, "beyond", source)
    rows = {run.title: run.samples for run in runs.values()}
    report.save_figure(plots.image_rows({"Original": store.split("test")} | rows, columns=6), "samples", source)


def main(folder: Path) -> None:
    sys.modules["cv2"] = None  # slices, training and packing do without OpenCV
    import keras

    from dwikit import cli
    from dwikit.common import paths

    (folder / "tiny.yaml").write_text(PROFILE)
    profile, result = str(folder / "tiny.yaml"), {"backend": keras.backend.backend()}
    os.environ["DWIKIT_RUNS"] = str(folder / "away")
    pieces = [cli.main(["train", "--profile", profile, "--minutes", minutes]) for minutes in ("1e-3", "2e-2", "9")]
    result["pieces"] = pieces
    cli.main(["pack", "--profile", profile, "--out", str(folder / "carried")])
    result["files"] = {path.name: path.stat().st_size for path in (folder / "carried").iterdir()}
    del sys.modules["cv2"]  # the tables take it
    tables, away = measure(profile)
    result["away"] = {name: json.loads(table.to_json()) for name, table in tables.items()}

    os.environ["DWIKIT_RUNS"] = str(folder / "home")
    result["unpacked"] = cli.main(["unpack", str(folder / "carried"), "--profile", profile])
    tables, home = measure(profile)
    save(profile, tables, home)
    result["home"] = {name: json.loads(table.to_json()) for name, table in tables.items()}
    result["titles"] = [run.title for run in home.values()]
    result["figures"] = sorted(path.name for path in paths.figures().iterdir())
    result["facts"] = home["vae"].facts()["carried"]
    result["float16"] = float(np.abs(away["vae"].model.sample(4) - home["vae"].model.sample(4)).max())
    result["absent"] = [name for name in ABSENT if name in sys.modules]
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":  # cases are simulated in processes that import this file again
    main(Path(sys.argv[1]))
