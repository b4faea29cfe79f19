"""The study's notebooks on real scans, from BIDS to Table 1."""

import nbformat
import pandas as pd

from dwikit import cli
from dwikit.slices import SliceStore


def test_the_notebooks_run_on_real_scans(real_data, tmp_path, monkeypatch):
    monkeypatch.setenv("DWIKIT_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DWIKIT_FIGURES", str(tmp_path / "figures"))
    smoke = ["-p", "profile=smoke"]
    assert cli.main(["run", "01_preprocess", *smoke, "-p", f"bids={real_data}", "-p", "scope=volume"]) == 0
    store = SliceStore.open(tmp_path / "runs" / "smoke" / "data" / "slices")
    assert set(store.table["subject"]) == {"sub-phienh", "sub-strokecase0009", "sub-canon", "sub-toshiba"}
    assert set(store.table["origin"]) == {"registered"} and len(store.images) == 5 * 26
    assert cli.main(["run", "02_train_vae", *smoke, "-p", "epochs=3"]) == 0
    assert cli.main(["run", "05_evaluate", *smoke]) == 0
    table = pd.read_csv(tmp_path / "figures" / "smoke" / "table-1.csv", header=[0, 1], index_col=0)
    assert table.loc["VAE", ("laplace", "ours")] > 0 and table.loc["Original", ("isd", "ours")] > 0
    executed = nbformat.read(tmp_path / "runs" / "smoke" / "notebooks" / "05_evaluate.ipynb", 4)
    assert "'VAE': '3 epochs'" in str(executed)
