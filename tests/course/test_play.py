"""Things to play with: what each slider changes, and what a committed notebook keeps of it."""

import base64
import io
import re

import nbclient
import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dwikit import metrics, models
from dwikit.common.errors import InputError
from dwikit.course import play, publish
from dwikit.course.play.margin import push
from dwikit.course.play.networks import principal_steps
from dwikit.course.play.panel import TILE
from dwikit.slices import head_frame


@pytest.fixture
def shown(monkeypatch):
    """The static pictures that were shown."""
    figures = []
    monkeypatch.setattr("dwikit.course.play.panel.display", figures.append)
    return figures


def pixels(panel) -> np.ndarray:
    png = re.search(r'base64,([^"]*)" alt="[^"]{20,}"', panel.picture.value)[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("L"))


def move(panel, **values):
    """What the picture shows after some controls have moved."""
    for name, value in values.items():
        panel.controls[name].value = value
    return pixels(panel)


# ==== Spoiled images ====


def test_every_mishap_does_what_it_says(store):
    images = store.split("train")[:50]
    assert np.array_equal(play.spoiled(images), images)
    shifted = play.spoiled(images, shift=3)
    assert np.array_equal(shifted[:, :, 3:], images[:, :, :-3]) and not shifted[:, :, :3].any()
    assert len(np.unique(play.spoiled(images, copies=90), axis=0)) == 5
    assert (metrics.laplace_variance(play.spoiled(images, blur=1)) <= metrics.laplace_variance(images)).all()
    grey = np.full((4, 32, 32), 128, np.uint8)
    assert play.spoiled(grey, noise=10).std() == pytest.approx(10, rel=0.05)
    assert play.spoiled(play.spoiled(images, copies=50), noise=4).shape == images.shape


def test_metrics_answer_to_the_sliders_as_the_metrics_themselves(store, shown):
    images, originals = store.split("train")[:60], store.split("train")
    panel = play.spoil(images, originals)
    before, words = pixels(panel), panel.words.value
    assert len(shown) == 1 and len(shown[0].axes) == 8
    assert not np.array_equal(before, move(panel, copies=50))
    assert f"{metrics.minimum_intra_sample_diversity(images):.4g}" in words
    assert metrics.minimum_intra_sample_diversity(play.spoiled(images, copies=50)) == 0
    move(panel, copies=0, blur=1.5)
    assert f"<td>{metrics.laplace_variance(play.spoiled(images, blur=1.5)).mean():.4g}</td>" in panel.words.value
    assert np.array_equal(before, move(panel, blur=0.0)) and panel.words.value == words


# ==== Networks ====


@pytest.fixture(scope="module")
def vae(store):
    """A small VAE after a few steps, so that latents say something."""
    model = models.VAE.from_preset(image_size=32, channels=(8, 16), latent_size=6, batch_size=16)
    model.fit(store.batches("train", 16, steps=4), epochs=1, verbose=0)
    return model


def test_latents_walk_from_slice_to_slice_and_leave_the_way(vae, store, shown):
    images = store.split("test")
    panel = play.latents(vae, images)
    assert len(shown[0].axes) == 4 and {"direction_1", "direction_3"} <= set(panel.controls)
    ends = [np.round(vae.reconstruct(images[[panel.controls[end].value]]) * 255)[0, ..., 0] for end in ("start", "end")]
    for way, expected in zip((0.0, 1.0), ends):
        rows, columns = head_frame(images)
        expected, factor = expected[rows, columns], TILE // (rows.stop - rows.start)
        drawn = move(panel, way=way)[::factor, ::factor][:, expected.shape[1] + 1 :]  # after the first slice and a gap
        np.testing.assert_allclose(drawn[:, : expected.shape[1]], expected, atol=1)
    before, words = pixels(panel), panel.words.value
    assert not np.array_equal(before, move(panel, direction_1=2.0)) and panel.words.value != words
    assert np.array_equal(before, move(panel, direction_1=0.0))
    assert not np.array_equal(before, move(panel, start=panel.controls["start"].value - 1))


def test_directions_are_principal_components_in_standard_deviations():
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((5000, 3)) * [0.5, 3.0, 1.0] + 7
    steps = principal_steps(latents, 2)
    np.testing.assert_allclose(np.abs(steps), [[0, 3, 0], [0, 0, 1]], atol=0.15)
    assert len(principal_steps(latents[:2], 3)) == 1


def test_a_walk_needs_two_slices(vae, store):
    with pytest.raises(InputError, match="at least two slices, not 1"):
        play.latents(vae, store.images[:1])


def test_styles_change_sides_layer_by_layer(shown, monkeypatch):
    monkeypatch.setattr("dwikit.course.play.networks.head_frame", lambda *groups: (slice(32), slice(32)))
    small = {"channels": [8, 16, 16, 16], "critic_channels": [8, 8, 8, 8], "latent_size": 8, "mapping_width": 8}
    gan = models.StyleGAN.from_preset(image_size=32, **small)
    panel = play.styles(gan, seed=4)
    layers = len(gan.map_sizes)
    assert len(shown[0].axes) == 3 and panel.controls["crossover"].max == layers

    def thirds(**values):
        picture = move(panel, **values)
        side = picture.shape[0]
        gap = (picture.shape[1] - 3 * side) // 2
        return [picture[:, i * (side + gap) : i * (side + gap) + side] for i in range(3)]

    coarse, middle, fine = thirds(crossover=layers)
    assert np.array_equal(coarse, middle) and not np.array_equal(middle, fine)
    coarse, middle, fine = thirds(crossover=0)
    assert np.array_equal(middle, fine) and not np.array_equal(coarse, middle)
    assert not np.array_equal(middle, thirds(crossover=1)[1]) and f"sample 0 (pixels along one side): {gan.map_sizes[0]};" in (
        panel.words.value
    )
    assert not np.array_equal(fine, thirds(fine=5)[2])


# ==== The margin ====

LOG = pd.DataFrame(
    {"kl_real": [9.0, 8.0, 12.0, 15.0], "kl_rec": [60.0, 60.0, 11.0, 25.0], "kl_fake": [60.0, 60.0, 14.0, 35.0]},
    index=pd.Index([1, 2, 3, 4], name="epoch"),
)


def test_the_margin_asks_less_of_fakes_the_lower_it_is(shown):
    panel = play.margin(LOG, 60)
    before = pixels(panel)
    assert "in <b>2</b> of 2 epochs" in panel.words.value and "35.0 nats" in panel.words.value
    assert not np.array_equal(before, move(panel, margin=30))
    assert "in the last one by 5.0 nats (reconstructions) and 0.0 (images" in panel.words.value
    move(panel, margin=12)
    assert "in <b>1</b> of 2 epochs" in panel.words.value
    assert [axis.get_title() for axis in shown[0].axes] == ["m = 15", "m = 30", "m = 60"]


def test_before_the_game_opens_there_is_nothing_to_push(shown):
    panel = play.margin(LOG.head(2), 60)
    assert "The adversarial game has not started" in panel.words.value and len(shown) == 1


def test_the_hinge_is_the_one_of_the_training():
    kl = np.array([0.0, 3.5, 59.0, 61.0])
    expected = [float(models.losses.hinge(60.0, value)) for value in kl]
    np.testing.assert_allclose(push(60.0, kl), expected)


# ==== In a notebook ====


def test_a_committed_notebook_keeps_the_picture_and_not_the_sliders(tmp_path, monkeypatch):
    monkeypatch.delenv("MPLBACKEND", raising=False)  # figures as in a notebook
    source = f"""import pandas as pd
from dwikit.course import play
log = pd.DataFrame({LOG.to_dict("list")}, index=pd.Index([1, 2, 3, 4], name="epoch"))
play.margin(log, 60)"""
    fresh = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    for folder in ("executed", "committed"):
        (tmp_path / folder).mkdir()
        nbformat.write(fresh, tmp_path / folder / "n.ipynb")
    ran = nbclient.NotebookClient(nbformat.read(tmp_path / "executed" / "n.ipynb", 4), kernel_name="python3").execute()
    kinds = [set(output.data) for output in ran.cells[0].outputs]
    assert any("application/vnd.jupyter.widget-view+json" in kind for kind in kinds) and "image/png" in kinds[0]
    nbformat.write(ran, tmp_path / "executed" / "n.ipynb")
    publish.publish(tmp_path / "executed", tmp_path / "committed")
    kept = nbformat.read(tmp_path / "committed" / "n.ipynb", 4)
    assert [set(output.data) for output in kept.cells[0].outputs] == [{"image/png", "text/plain"}]
    [picture] = kept.cells[0].outputs
    assert picture.metadata["image/png"]["alt"] == picture.data["text/plain"]
    assert picture.data["text/plain"].startswith("What the encoder demands of fakes, at three margins. At m = 15 the encoder")
    assert "widgets" not in kept.metadata


def test_a_committed_picture_keeps_its_greys():
    """Also the rare ones: a palette of the most frequent colours gave flat brains with dark rims."""
    rare = np.zeros((90, 1440), np.uint8)
    rare[40:50, :256] = np.arange(256)
    rare[60:, 700:] = 255
    png = io.BytesIO()
    Image.fromarray(rare).save(png, "PNG")
    small = Image.open(io.BytesIO(base64.b64decode(publish._smaller(base64.b64encode(png.getvalue()).decode()))))
    expected = Image.fromarray(rare)
    expected.thumbnail((720, 10_000))
    off = np.abs(np.asarray(small.convert("L"), int) - np.asarray(expected, int))
    assert small.size == (720, 45) and off.max() <= 9
