"""Tables beside the paper's, and files with their provenance."""

import json

import numpy as np
import pandas as pd
import pytest

from dwikit import metrics, paper, paths, plots, profiles, report


@pytest.fixture
def samples():
    return {"vae": np.random.default_rng(0).integers(0, 256, (40, 32, 32)).astype(np.uint8)}


def test_every_row_of_table_1_stands_on_the_same_number(store, samples):
    table = report.table_1(store, samples, n=1000)
    assert table["n"].tolist() == [40, 40]
    assert report.table_1(store, samples, n=17)["n"].tolist() == [17, 17]
    assert table.loc["vae", "ds"] == pytest.approx(metrics.dataset_similarity(samples["vae"], store.split("train")))
    assert table.loc["vae", "laplace"] == pytest.approx(metrics.laplace_variance(samples["vae"]).mean())


def test_ratios_are_to_the_original_row(store, samples):
    table = report.table_1(store, samples)
    beside = report.beside_paper(table, paper.TABLE_1)
    ratio = table.loc["vae", "laplace"] / table.loc["original", "laplace"]
    assert beside.loc["VAE", ("laplace", "ours / original")] == pytest.approx(ratio)
    assert beside.loc["VAE", ("laplace", "paper / original")] == pytest.approx(201 / 1495)
    assert beside.loc["Original", ("isd", "paper")] == 0.0449


def test_reconstruction_error_over_pixels():
    originals = np.zeros((2, 2, 2), np.uint8)
    reconstructions = originals.copy()
    reconstructions[0, 0, 0] = 255
    row = report.reconstruction_table({"vae": (originals, reconstructions)}).loc["vae"]
    assert row["mse"] == 1 / 8 and row["mse_sd"] == pytest.approx(np.sqrt(1 / 8 - 1 / 64))


def test_the_paper_as_printed():
    ratios = paper.TABLE_1["laplace"] / paper.TABLE_1.loc["original", "laplace"]
    assert ratios.round(2).tolist() == [1.0, 0.13, 0.30, 1.01, 1.10]
    ratios = paper.TABLE_1["min_isd"] / paper.TABLE_1.loc["original", "min_isd"]
    assert ratios.round(2).tolist() == [1.0, 1.24, 0.87, 0.14, 0.13]
    assert list(paper.TABLE_1.index) == list(paper.LABELS)


def test_markdown_has_a_row_a_model_and_says_where_nothing_is():
    table = pd.DataFrame({"mse": [np.nan, 0.00412], "laplace": [1495.2, 349.7]}, index=["Original", "VAE"])
    assert report.markdown(table).splitlines()[2:] == ["| Original | - | 1495 |", "| VAE | 0.0041 | 350 |"]


def test_ratios_stand_in_parentheses_beside_their_values(store, samples):
    text = report.markdown(report.beside_paper(report.table_1(store, samples), paper.TABLE_1))
    heading, _, original, vae = text.splitlines()
    assert heading.startswith("| model | DS ours | DS paper | ISD ours |")
    assert "| 0.0494 (1.00) |" in original and vae.endswith("| 201 (0.13) |")


def test_files_carry_their_provenance(store, samples, tmp_path, monkeypatch):
    monkeypatch.setenv("DWIKIT_FIGURES", str(tmp_path))
    source = report.provenance(profiles.resolve("smoke"), "dwikit run 05_evaluate", seed=3)
    path = report.save_table(report.table_1(store, samples), "table-1", source)
    assert "Profile smoke; made by `dwikit run 05_evaluate`" in path.read_text()
    kept = json.loads((tmp_path / "table-1.json").read_text())
    assert kept["profile"]["image_size"] == 32 and kept["seed"] == 3 and kept["versions"]["numpy"] == np.__version__
    assert pd.read_csv(tmp_path / "table-1.csv", index_col=0)["n"].tolist() == [40, 40]
    report.save_figure(plots.sharpness({"a": np.arange(9.0), "b": np.arange(5.0)}), "sharpness", source, "svg")
    assert "<svg" in (tmp_path / "sharpness.svg").read_text() and (tmp_path / "sharpness.json").is_file()


def test_figures_show_what_they_are_given(store):
    images = store.images[:10]
    sheet = plots.mosaic(images, 4, gap=1)
    assert sheet.shape == (3 * 33 - 1, 4 * 33 - 1)
    np.testing.assert_array_equal(sheet[:32, :32], images[0])
    np.testing.assert_array_equal(sheet[66:98, 33:65], images[9])
    np.testing.assert_array_equal(plots.mosaic(images / 255, 4), sheet)
    figure = plots.image_rows({"real": images, "samples": images[:3]}, columns=5)
    assert [axis.get_ylabel() for axis in figure.axes] == ["real", "samples"]


def test_pages_take_the_tables_as_they_were_made(tmp_path):
    (tmp_path / "a.md").write_text("| new |\n")
    page = tmp_path / "README.md"
    page.write_text("Before\n<!-- begin a -->\nold\n<!-- end a -->\nAfter\n")
    for _ in range(2):
        report.fill_in(page, tmp_path)
        assert page.read_text() == "Before\n<!-- begin a -->\n| new |\n<!-- end a -->\nAfter\n"


def test_the_readme_shows_the_committed_tables(tmp_path):
    page = tmp_path / "README.md"
    page.write_text((paths.PACKAGE.parent / "README.md").read_text())
    before = page.read_text()
    report.fill_in(page, paths.PACKAGE.parent / "figures")
    assert page.read_text() == before, "make notebooks puts the tables into the README"


@pytest.mark.parametrize("name", ["table_1", "table_2", "reconstruction"])
def test_the_tables_in_data_are_those_of_the_package(name):
    table = pd.read_csv(paths.PACKAGE.parent / "data" / "paper" / f"{name}.csv", index_col=0)
    pd.testing.assert_frame_equal(table, getattr(paper, name.upper()))
