"""Figures show what they are given."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from dwikit import evaluation, metrics, report
from dwikit.models import architecture, registry
from dwikit.report import plots
from dwikit.report.plots import diagrams
from dwikit.slices import head_frame


def texts(figure) -> list[str]:
    """Every text of a figure's axes, labels and titles too."""
    return [text for axis in figure.axes for text in [*(t.get_text() for t in axis.texts), axis.get_ylabel(), axis.get_title()]]


def test_a_mosaic_is_the_images_in_order(store):
    images = store.images[:10]
    sheet = plots.mosaic(images, 4, gap=1)
    assert sheet.shape == (3 * 33 - 1, 4 * 33 - 1)
    np.testing.assert_array_equal(sheet[:32, :32], images[0])
    np.testing.assert_array_equal(sheet[66:98, 33:65], images[9])
    np.testing.assert_array_equal(plots.mosaic(images / 255, 4), sheet)


def test_rows_of_pictures_share_a_frame(store):
    images = np.pad(store.images[:5], ((0, 0), (16, 16), (16, 16)))
    rows, columns = head_frame(images)
    assert rows.stop - rows.start < 40
    figure = plots.image_rows({"real": images, "first": images[:3] / 255, "small": store.images[:5, 4:, 4:]}, columns=5)
    assert [axis.get_ylabel() for axis in figure.axes] == ["real", "first", "small"]
    sheets = [np.asarray(axis.images[0].get_array()) for axis in figure.axes]
    np.testing.assert_array_equal(sheets[0], plots.mosaic(images[:, rows, columns], 5))
    three = 3 * (columns.stop - columns.start + 1) - 1
    np.testing.assert_array_equal(sheets[1][:, :three], sheets[0][:, :three])


def test_distributions_have_a_box_a_group_about_its_own_values(store):
    data = metrics.moments(store.split("train"))
    groups = {name: evaluation.per_image(store.split(name), data) for name in ("train", "validation", "test")}
    figure = plots.distributions(groups)
    assert [axis.get_title() for axis in figure.axes] == ["DS", "ISD", "min ISD", "Laplace variance"]
    boxes = [patch.get_path().get_extents() for patch in figure.axes[3].patches]
    quartiles = [table["laplace"].quantile([0.25, 0.75]).tolist() for table in list(groups.values())[::-1]]
    assert [[box.x0, box.x1] for box in boxes] == [pytest.approx(pair) for pair in quartiles]


def test_levels_shows_the_first_images_near_each_level_and_white_where_there_is_none(store):
    images, places = store.images[:52], store.table["level"].to_numpy()[:52]
    figure = plots.levels({"a": (images, places), "b": (images[:8], places[:8])}, wanted=(5, 20), columns=2)
    sheets = [np.asarray(axis.images[0].get_array()) for axis in figure.axes]
    rows, columns = head_frame(images[[4, 5, 6, 19, 20, 21]])
    np.testing.assert_array_equal(sheets[0], plots.mosaic(images[[4, 5], rows, columns], 2))
    np.testing.assert_array_equal(sheets[1], plots.mosaic(images[[19, 20], rows, columns], 2))
    assert (sheets[3] == 255).all() and (sheets[2] != 255).any()


def test_neighbours_stand_below_their_samples_with_the_distance(store):
    samples, training = store.images[:3], store.images[30:80]
    distance, index = metrics.nearest_distances(samples, training)
    figure = plots.neighbours({"VAE": (samples, training[index], distance)}, columns=3)
    sheet = np.asarray(figure.axes[0].images[0].get_array())
    rows, columns = head_frame(samples, training[index])
    below = training[index[2], rows, columns]
    np.testing.assert_array_equal(sheet[-below.shape[0] :, -below.shape[1] :], below)
    assert {f"{value:.4f}" for value in distance} <= set(texts(figure))


def test_maps_show_collapse_and_blur_where_they_are(store):
    images = store.split("train")[:, *head_frame(store.split("train"))]
    images = images[:, 2:-2, 2:-2]  # no frame is smaller
    collapsed = images.copy()
    collapsed[:, :, :16] = images[0][:, :16]
    values = [axis.images[0].get_array() for axis in plots.maps({"real": images, "samples": collapsed}).axes[:6]]
    mean, _, spread, half, detail, _ = values
    np.testing.assert_allclose(mean, images.mean(axis=0) / 255)
    assert half[:, :16].max() == 0 and np.allclose(half[:, 16:], spread[:, 16:]) and spread[:, :16].max() > 0
    assert np.square(detail).mean() == pytest.approx(metrics.laplace_variance(images).mean(), rel=0.1)


@pytest.fixture(scope="module")
def models():
    return {key: architecture.build(key, image_size=32) for key in registry.keys()}


def test_diagrams_are_of_the_networks_that_were_built(models):
    shown = texts(diagrams.autoencoders([models[key] for key in ("vae", "dfc_vae", "intro_vae")]))
    assert shown.count("VAE, DFC-VAE") == 1 and "IntroVAE" in shown, "networks that are alike share a row"
    assert {"32×32×1", "16×16×32", "8×8×64", "200", "4×4×128", "256"} <= set(shown)
    assert any("at least 110" in text for text in shown) and any("409.6" in text for text in shown)
    assert [line for text in shown for line in text.splitlines() if line.startswith("DFC-VAE: KL")] == [
        "DFC-VAE: KL + 2e-9 × squared error of features of VGG16 (block1_conv1, block2_conv1, block3_conv1)"
    ]
    other = architecture.build("vae", image_size=64)
    assert "VAE" in texts(diagrams.autoencoders([other, models["dfc_vae"]]))


@pytest.mark.parametrize("key", registry.keys())
def test_the_diagram_of_any_network_has_a_box_a_stage(models, key):
    figure = diagrams.chains(models[key])
    stages = [stage for part in architecture.networks(models[key]).values() for stage in architecture.stages(part)]
    assert len([patch for patch in figure.axes[0].patches if type(patch).__name__ == "Rectangle"]) == len(stages)
    assert {*architecture.networks(models[key]), models[key].label, models[key].objective} - {""} <= set(texts(figure))


def test_the_style_diagram_has_a_box_a_stage(models):
    figure = diagrams.style_gan(models["style_gan"])
    parts = architecture.networks(models["style_gan"])
    stages = sum(len(architecture.stages(part)) for part in parts.values()) - 1  # the styles' input is an arrow
    assert len([patch for patch in figure.axes[0].patches if type(patch).__name__ == "Rectangle"]) == stages
    assert any("bilinear ×2" in text and "2 AdaIN" in text and "2 noise" in text for text in texts(figure))


@pytest.mark.parametrize("size", [32, 128])
def test_no_label_of_a_diagram_lies_on_another(size):
    built = {key: architecture.build(key, image_size=size) for key in registry.keys()}
    for figure in (
        diagrams.autoencoders([built[key] for key in ("vae", "dfc_vae", "intro_vae")]),
        diagrams.style_gan(built["style_gan"]),
        *(diagrams.chains(model) for model in built.values()),
    ):
        renderer = FigureCanvasAgg(figure).get_renderer()
        places = [(text.get_text(), text.get_window_extent(renderer).padded(-1)) for text in figure.axes[0].texts]
        assert [(one, other) for (one, a), (other, b) in itertools.combinations(places, 2) if a.overlaps(b)] == []
        assert all(figure.bbox.padded(1).contains(*corner) for _, box in places for corner in box.corners())


def test_stages_follow_the_layers(models):
    encoder, decoder = (architecture.stages(part) for part in architecture.networks(models["vae"]).values())
    assert [stage.label for stage in encoder] == ["32×32×1", "16×16×32", "8×8×64", "200"]
    assert encoder[1].text == ["conv 4×4, /2", "BN", "LReLU 0.3"]
    assert [stage.label for stage in decoder] == ["200", "8×8×64", "16×16×32", "32×32×1"]
    critic = architecture.stages(models["style_gan"].critic)
    assert critic[1].label == "32×32×32" and critic[2].text[0] == "conv 3×3, mean 2×2" and critic[-1].label == "1"
    assert decoder[2].text[0] == "nearest ×2, conv 3×3"


def test_learning_curves_have_a_panel_per_metric_and_skip_what_is_missing():
    """One network with no curve of memory, a published ratio, a shorter training, and the epoch that was kept."""
    logs = {
        label: pd.DataFrame({"steps": range(100, 600, 100), "isd": np.linspace(0.2, 1, 5), "memory": memory}, index=range(1, 6))
        for label, memory in (("VAE", np.nan), ("StyleGAN", 0.9))
    }
    figure = plots.learning(
        logs, {"isd": "ISD", "memory": "memory"}, {"VAE": {"isd": 0.57}}, {"VAE": (20, {"isd": 0.3})}, {"StyleGAN": 4}
    )
    isd, memory, nothing = figure.axes
    assert [axis.get_title() for axis in (isd, memory)] == ["ISD", "memory"] and not nothing.axison
    lines = {line.get_label(): line for line in isd.lines if not line.get_label().startswith("_")}
    np.testing.assert_allclose(lines["VAE"].get_xdata(), np.arange(100, 600, 100))
    assert [line.get_label() for line in memory.lines if not line.get_label().startswith("_")] == ["StyleGAN"]
    points = [(line.get_xdata(), line.get_ydata()) for line in isd.lines if len(line.get_xdata()) == 1]
    assert [(float(x[0]), float(y[0])) for x, y in points] == [(20, 0.3), (400, pytest.approx(0.8))]
    assert [text.xy for text in isd.texts] == [(1.0, 0.57)]


def test_learning_curves_take_more_networks_than_the_study_has():
    log = pd.DataFrame({"steps": range(100, 600, 100), "isd": np.linspace(0.2, 1, 5)}, index=range(1, 6))
    figure = plots.learning({f"network {i}": log for i in range(6)}, {"isd": "ISD"})
    lines = [line for line in figure.axes[0].lines if line.get_label().startswith("network")]
    assert (
        len({(line.get_color(), str(line.get_linestyle()), str(line._dash_pattern)) for line in lines[:5]}) == 5
        and len(lines) == 6
    )


def test_the_kept_epoch_stays_in_its_panel():
    log = pd.DataFrame({"steps": range(100, 1100, 100), "isd": [0.01, *np.linspace(0.5, 1, 9)]}, index=range(1, 11))
    lowest = [plots.learning({"VAE": log}, {"isd": "ISD"}, kept={"VAE": epoch}).axes[0].get_ylim()[0] for epoch in (1, 10)]
    assert lowest[0] < 0.01 and lowest[1] > 0.3


# ==== In words ====


def test_figures_are_described_with_their_numbers(store, models):
    log = pd.DataFrame(
        {"loss": [3.0, 1.5], "kl_real": [9.0, 4.0], "kl_rec": [60.0, 25.0], "kl_fake": [60.0, 35.0]}, index=[1, 2]
    )
    assert plots.curves(log, [["loss"]], ["the loss"]).get_label() == "Curves over 2 epochs. the loss: loss from 3 to 1.5."
    rows = plots.image_rows({"real": store.images[:5], "samples": store.images[:3]}, title="Both").get_label()
    assert rows == "Both. Brain slices in rows, from top to bottom: 5 of real and 3 of samples."
    told = "real slices from 9 to 4, reconstructions from 60 to 25 and images of prior latents from 60 to 35."
    assert plots.margin(log, 60).get_label() == f"KL divergences in nats beside the margin m = 60. {told}"
    assert f"m = 60. one: {told} other: {told}" in plots.margin({"one": log, "other": log}, 60).get_label()
    distance = np.array([0.25, 0.5])
    near = plots.neighbours({"VAE": (store.images[:2], store.images[2:4], distance)}, columns=2).get_label()
    assert near.endswith("Mean squared distances: 0.25 to 0.5 for VAE.")
    maps = plots.maps({"real": store.images[:9], "flat": np.repeat(store.images[:1], 9, axis=0)}).get_label()
    assert "flat 0." in maps.split("spread: ")[1] and "periodic excess: real " in maps
    assert "encoder: 32×32×1, then 16×16×32 (conv 4×4, /2, BN, LReLU 0.3)" in diagrams.chains(models["vae"]).get_label()


def test_a_saved_figure_carries_its_description(tmp_path, store):
    figure = plots.image_rows({"real": store.images[:2]}, columns=2)
    for suffix in ("svg", "png"):
        path = report.save_figure(figure, "rows", {}, suffix, tmp_path)
        assert figure.get_label().encode() in path.read_bytes()
