"""Tables beside the paper's, and files with their provenance."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from dwikit import evaluation, metrics, paper, profiles, report, training
from dwikit.common import paths
from dwikit.common.errors import InputError
from dwikit.report import plots
from dwikit.slices import SliceStore


@pytest.fixture
def samples():
    return {"vae": np.random.default_rng(0).integers(0, 256, (40, 32, 32)).astype(np.uint8)}


def test_every_row_of_table_1_stands_on_the_same_number(store, samples):
    table = evaluation.table_1(store, samples, n=1000)
    assert table["n"].to_dict() == {"original": 40, "held_out": 40, "vae": 40}
    assert set(evaluation.table_1(store, samples, n=17)["n"]) == {17}
    plain = evaluation.measure(samples["vae"], metrics.moments(store.split("train")))
    assert {name: table.loc["vae", name] for name in plain} == plain, "one function for both"
    assert plain["ds"] == pytest.approx(metrics.dataset_similarity(samples["vae"], store.split("train")))


def test_every_number_stands_within_its_interval(store, samples):
    table = evaluation.table_1(store, samples)
    for name in ("ds", "isd", "min_isd", "laplace", "laplace_sd"):
        inside = (table[f"{name}_low"] <= table[name]) & (table[name] <= table[f"{name}_high"])
        assert inside["original"] and inside["vae"], name
    one = SliceStore(store.images, store.table.replace({"split": {"validation": "train"}}), store.settings)
    assert evaluation.table_1(one, samples)["ds_low"].isna().to_dict() == {"original": False, "held_out": True, "vae": False}


def test_the_floor_is_everyone_outside_the_split(store, samples):
    """The same people, and for as many images the same slices, wherever a table has held-out slices."""
    split = store.table["split"]
    for name in ("train", "test"):
        rows, floor = evaluation.real_slices(store, name, 1000)
        assert rows.tolist() == np.flatnonzero(split == name).tolist() and (split[floor] != name).all()
        assert len(rows) + len(floor) == min(1000, (split == name).sum()) + min(1000, (split != name).sum())
    few, more = (evaluation.real_slices(store, "train", n) for n in (20, 40))
    assert set(few[0]) < set(more[0]) and set(few[1]) < set(more[1])
    for one, other in zip(evaluation.beyond.draw(store, "train", [40], 20), few):
        assert one.tolist() == other.tolist()
    floor = evaluation.table_1(store, samples).loc["held_out"]
    found = evaluation.measure(store.images[more[1]], metrics.moments(store.split("train")))
    assert {name: floor[name] for name in found} == found


def test_the_metrics_are_the_means_of_their_values_image_by_image(store, samples):
    data = metrics.moments(store.split("train"))
    means = evaluation.per_image(samples["vae"], data).mean()
    plain = evaluation.measure(samples["vae"], data)
    assert {name: plain[name] for name in means.index} == pytest.approx(means.to_dict())


def brightness(samples, originals):
    return samples.mean(axis=(1, 2)) / 255


def darkest(samples, originals):
    return samples.min() / 255


def test_a_metric_is_a_function_and_an_entry(store, samples, monkeypatch):
    """Both kinds of function, one number an image and one for all, appear wherever metrics are listed."""
    before = report.markdown(report.beside_paper(evaluation.table_1(store, samples), paper.TABLE_1))
    monkeypatch.setitem(
        metrics.METRICS, "bright", metrics.Metric("Grey", 3, "", "mean grey level", brightness, title="Grey level")
    )
    monkeypatch.setitem(metrics.METRICS, "dark", metrics.Metric("Darkest", 2, "", "", darkest))
    table = evaluation.table_1(store, samples)
    assert list(table)[-6:] == ["bright", "bright_low", "bright_high", "dark", "dark_low", "dark_high"]
    vae = samples["vae"] / 255
    assert table.loc["vae", "bright"] == pytest.approx(vae.mean()) and table.loc["vae", "dark"] == vae.min()
    assert table.loc["vae", "bright_low"] < vae.mean() < table.loc["vae", "bright_high"]
    assert np.isnan(table.loc["vae", "dark_low"]), "one number for all images has no interval"
    beside = report.beside_paper(table, paper.TABLE_1)
    for old, line in zip(before.splitlines(), report.markdown(beside).splitlines()):
        assert line.startswith(old.removesuffix(" |").removesuffix("---|")), "the other columns stay as they are"
    assert "| Grey ours | Darkest ours |" in report.markdown(beside) and f"| {vae.mean():.3f} [" in report.markdown(beside)
    assert "& Grey ours & Darkest ours" in report.latex(beside)
    data = metrics.moments(store.split("train"))
    plain = evaluation.measure(samples["vae"], data)
    assert plain["bright"] == pytest.approx(vae.mean()) and list(plain)[-2:] == ["bright", "dark"]
    figure = plots.distributions({"VAE": evaluation.per_image(samples["vae"], data)})
    assert [axis.get_title() for axis in figure.axes] == ["DS", "ISD", "min ISD", "Laplace variance", "Grey level"]
    beside = evaluation.judge.beside_paper(table.rename(index={"vae": "samples"}))
    heading, _, original, *_, last = report.markdown(beside).splitlines()
    added = "| periodic excess (this kit's) ours | Grey ours | Darkest ours |"
    assert heading.endswith("| sd ours | sd paper " + added) and "(1.00)" in original
    assert last.startswith("| paper: StyleGAN | - | - | 0.0487 (0.99) |") and last.endswith("| - | - |")


def test_every_metric_says_which_way_is_better():
    assert {metric.better for metric in metrics.METRICS.values()} == {"higher", "lower", "nearer to that of real slices"}
    of_the_paper = [key for key, metric in metrics.table_1_metrics().items() if metric.source]
    assert of_the_paper == list(paper.TABLE_1) and set(paper.RECONSTRUCTION) <= set(metrics.METRICS)


def test_samples_of_another_size_are_refused(store):
    with pytest.raises(InputError, match="Samples of vae are 16 x 16 pixels and the originals 32 x 32"):
        evaluation.table_1(store, {"vae": np.zeros((9, 16, 16), np.uint8)})


def test_a_store_without_held_out_people_gives_a_row_less(store, samples):
    table = store.table.replace({"split": {"test": "train", "validation": "train"}})
    whole = SliceStore(store.images, table, store.settings)
    assert evaluation.table_1(whole, samples).index.tolist() == ["original", "vae"]


def test_constant_and_copied_samples_are_measured(store):
    black, twins = np.zeros((6, 32, 32), np.uint8), np.repeat(store.images[10:13], 2, axis=0)
    table = evaluation.table_1(store, {"vae": black, "intro_vae": twins})
    assert (table.loc["vae", ["isd", "min_isd", "laplace", "laplace_high"]] == 0).all()
    assert table.loc["intro_vae", ["min_isd", "min_isd_low", "min_isd_high"]].eq(0).all() and table.loc["intro_vae", "isd"] > 0
    assert "| 0.0000 [0.0000, 0.0000] (0.00) |" in report.markdown(report.beside_paper(table, paper.TABLE_1))


def test_ratios_are_to_the_original_row(store, samples):
    table = evaluation.table_1(store, samples)
    beside = report.beside_paper(table, paper.TABLE_1)
    ratio = table.loc["vae", "laplace"] / table.loc["original", "laplace"]
    assert beside.loc["VAE", ("laplace", "ours / original")] == pytest.approx(ratio)
    assert beside.loc["VAE", ("laplace", "paper / original")] == pytest.approx(201 / 1495)
    assert beside.loc["Original", ("isd", "paper")] == 0.0449


@pytest.fixture
def held_out(store):
    """The slices that networks reconstruct, in their order."""
    return store.images[training.held_out(store)]


def test_reconstruction_error_over_pixels():
    table = pd.DataFrame({"split": ["train", "test", "test"], "subject": ["a", "b", "c"]})
    tiny = SliceStore(np.zeros((3, 2, 2), np.uint8), table, {})
    reconstructions = np.zeros((2, 2, 2), np.uint8)
    reconstructions[0, 0, 0] = 255
    row = evaluation.reconstruction_table(tiny, {"vae": reconstructions}).loc["vae"]
    assert row["mse"] == 1 / 8 and row["mse_sd"] == pytest.approx(np.sqrt(1 / 8 - 1 / 64))
    assert row["mse_sd_images"] == pytest.approx(1 / 8)


def test_the_floor_of_a_reconstruction_is_the_nearest_training_slice(store, held_out):
    train = store.indices("train")
    ours = evaluation.reconstruction_table(store, {"vae": held_out[:10]})
    assert ours.index.tolist() == ["original", "nearest", "vae"] and ours.loc["vae", "mse"] == 0
    assert ours.loc["nearest", "mse"] == pytest.approx(metrics.nearest_distances(held_out[:10], store.images[train])[0].mean())
    images = np.array(store.images)
    images[train[: len(held_out)]] = held_out
    table = evaluation.reconstruction_table(SliceStore(images, store.table, {}), {"vae": held_out[:10]})
    assert table.loc["nearest", "mse"] == 0 and table.loc["nearest", "laplace"] == table.loc["original", "laplace"]


def test_reconstructions_are_resampled_by_person_in_every_table(store, held_out):
    """Slices of one person are not independent: with one person in the test split there is no interval."""
    assert evaluation.reconstruction_table(store, {"vae": held_out})["laplace_low"].isna().all()
    two = SliceStore(store.images, store.table.replace({"split": {"validation": "test"}}), store.settings)
    found = evaluation.reconstruction_table(two, {"vae": store.images[training.held_out(two)]})
    assert found["laplace_low"].notna().all()


def test_the_paper_as_printed():
    ratios = paper.TABLE_1["laplace"] / paper.TABLE_1.loc["original", "laplace"]
    assert ratios.round(2).tolist() == [1.0, 0.13, 0.30, 1.01, 1.10]
    ratios = paper.TABLE_1["min_isd"] / paper.TABLE_1.loc["original", "min_isd"]
    assert ratios.round(2).tolist() == [1.0, 1.24, 0.87, 0.14, 0.13]
    assert list(paper.TABLE_1.index) == list(paper.LABELS)


def test_markdown_has_a_row_a_model_and_says_where_nothing_is():
    table = pd.DataFrame({"mse": [np.nan, 0.00412], "laplace": [1495.2, 349.7]}, index=["Original", "VAE"])
    assert report.markdown(table).splitlines()[2:] == ["| Original | - | 1495 |", "| VAE | 0.0041 | 350 |"]


def test_a_label_cannot_end_a_cell_of_markdown():
    lines = report.markdown(pd.DataFrame({"a|b": [1.0]}, index=["c|d"])).splitlines()
    assert [line.replace("\\|", "").count("|") for line in lines] == [3, 3, 3] and r"c\|d" in lines[2]


def test_ratios_stand_in_parentheses_beside_their_values(store, samples):
    text = report.markdown(report.beside_paper(evaluation.table_1(store, samples), paper.TABLE_1))
    heading, _, original, held_out, vae = text.splitlines()
    assert heading.startswith("| model | n | DS ours | DS paper | ISD ours |")
    assert "| 0.0494 (1.00) |" in original and "| 201 (0.13) |" in vae
    assert re.search(r"\| \d\.\d{4} \[\d\.\d{4}, \d\.\d{4}\] \(\d\.\d\d\) \| 0\.0552", vae)
    assert held_out.startswith("| Held-out people | 40 |")


def test_latex_has_the_same_cells_and_no_bare_symbols():
    table = pd.DataFrame({"ds": [0.05], "ds_low": [0.04], "ds_high": [0.06], "a_b": ["5 % & more"]}, index=["x_1"])
    row = report.latex(table.rename_axis("model")).splitlines()[4]
    assert row == r"x\_1 & 0.0500 [0.0400, 0.0600] & 5 \% \& more \\"


def test_files_carry_their_provenance(store, samples, tmp_path, monkeypatch):
    monkeypatch.setenv("DWIKIT_FIGURES", str(tmp_path))
    source = report.provenance(profiles.resolve("smoke"), "dwikit run 05_evaluate", seed=3)
    path = report.save_table(evaluation.table_1(store, samples), "table-1", source)
    assert "Profile smoke; made by `dwikit run 05_evaluate`" in path.read_text()
    kept = json.loads((tmp_path / "table-1.json").read_text())
    assert kept["profile"]["image_size"] == 32 and kept["seed"] == 3 and kept["versions"]["numpy"] == np.__version__
    assert pd.read_csv(tmp_path / "table-1.csv", index_col=0)["n"].tolist() == [40, 40, 40]
    head, begin = (tmp_path / "table-1.tex").read_text().splitlines()[:2]
    assert head == "% Profile smoke; made by: dwikit run 05_evaluate" and begin.startswith(r"\begin{tabular}")
    drawings = []
    for _ in range(2):
        report.save_figure(plots.image_rows({"a": store.images[:3]}), "rows", source)
        drawings.append((tmp_path / "rows.svg").read_bytes())
    assert b"<svg" in drawings[0] and drawings[0] == drawings[1] and (tmp_path / "rows.json").is_file()


def test_pages_take_the_tables_as_they_were_made(tmp_path):
    (tmp_path / "a.md").write_text("| new |\n")
    page = tmp_path / "README.md"
    page.write_text("Before\n<!-- begin a -->\nold\n<!-- end a -->\nAfter\n")
    for _ in range(2):
        report.fill_in(page, tmp_path)
        assert page.read_text() == "Before\n<!-- begin a -->\n| new |\n<!-- end a -->\nAfter\n"


@pytest.mark.parametrize("name", ["table_1", "table_2", "reconstruction"])
def test_the_tables_in_data_are_those_of_the_package(name):
    table = pd.read_csv(paths.PACKAGE.parent / "data" / "paper" / f"{name}.csv", index_col=0)
    pd.testing.assert_frame_equal(table, getattr(paper, name.upper()))
