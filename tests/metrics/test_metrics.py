"""The four metrics against brute force, SciPy, limits, and every kind of image that must be refused."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from dwikit import metrics
from dwikit.common.errors import InputError
from dwikit.metrics import neighbours


def images(n, size=16, seed=0, dtype="uint8"):
    values = np.random.default_rng(seed).integers(0, 256, (n, size, size)).astype(np.uint8)
    return values if dtype == "uint8" else (values / 255).astype(dtype)


def pairwise(one, other):
    """Brute force: mean squared pixel distance of every pair."""
    one, other = (np.asarray(x, np.float64).reshape(len(x), -1) / (255 if x.dtype == np.uint8 else 1) for x in (one, other))
    return np.square(one[:, None] - other[None]).mean(-1)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_closed_forms_equal_brute_force(dtype):
    samples, originals = images(57, seed=1, dtype=dtype), images(83, seed=2, dtype=dtype)
    own = pairwise(samples, samples)
    n = len(samples)
    assert metrics.dataset_similarity(samples, originals) == pytest.approx(pairwise(samples, originals).mean(), rel=1e-6)
    assert metrics.intra_sample_diversity(samples) == pytest.approx(own.sum() / (n * (n - 1)), rel=1e-6)
    np.fill_diagonal(own, np.inf)
    assert metrics.minimum_intra_sample_diversity(samples) == pytest.approx(own.min(1).mean(), rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 40), m=st.integers(1, 40), seed=st.integers(0, 10**6))
def test_nearest_in_small_blocks_equals_brute_force(n, m, seed):
    samples, references = images(n, 4, seed), images(m, 4, seed + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "QUERY_BLOCK", 7)
        patch.setattr(neighbours, "REFERENCE_BLOCK", 11)
        distances, indices = metrics.nearest_distances(samples, references)
        own, _ = metrics.nearest_distances(samples)
    table = pairwise(samples, references)
    np.testing.assert_allclose(distances, table.min(1), rtol=1e-9)
    np.testing.assert_allclose(table[np.arange(n), indices], table.min(1), rtol=1e-9)
    table = pairwise(samples, samples)
    np.fill_diagonal(table, np.inf)
    np.testing.assert_allclose(own, table.min(1), rtol=1e-9)


def test_near_duplicates_far_from_zero_are_told_apart():
    """Single precision alone would lose a difference of one grey level in one pixel."""
    samples = np.full((20, 64, 64), 250, np.uint8)
    samples[np.arange(20), 3, np.arange(20)] = 251
    distance = metrics.minimum_intra_sample_diversity(samples)
    assert distance == pytest.approx(2 / 255**2 / 64**2, rel=1e-9)


def test_limits():
    one = np.repeat(images(1), 12, axis=0)
    assert metrics.minimum_intra_sample_diversity(one) == 0
    assert metrics.intra_sample_diversity(one) == pytest.approx(0, abs=1e-12)
    assert metrics.minimum_intra_sample_diversity(np.concatenate([images(9), images(9)])) == 0
    black, white = np.zeros((3, 8, 8)), np.ones((3, 8, 8))
    assert metrics.dataset_similarity(black, white) == 1
    assert np.all(metrics.laplace_variance(np.full((2, 8, 8), 0.3)) == 0)
    checkerboard = np.indices((16, 16)).sum(0)[None] % 2 * 1.0
    assert metrics.laplace_variance(checkerboard)[0] / 255**2 == pytest.approx(16, rel=1e-9)


@pytest.mark.parametrize("shape", [(5, 33, 33), (3, 7, 300), (2, 1, 9), (2, 9, 1), (2, 2, 2)])
def test_laplace_variance_is_that_of_the_printed_kernel(shape):
    """SciPy's Laplacian of the mirrored image, an implementation of its own."""
    values = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    expected = [ndimage.laplace(image.astype(np.float64), mode="mirror").var() for image in values]
    for form in (values, values[..., None], values / 255, (values / 255).astype(np.float64)[..., None]):
        np.testing.assert_allclose(metrics.laplace_variance(form), expected, rtol=1e-9)
    turned = [ndimage.laplace(image.astype(np.float64).T, mode="mirror").var() for image in values]
    np.testing.assert_allclose(metrics.laplace_variance(values[:, ::-1].transpose(0, 2, 1)), turned, rtol=1e-9)


def test_shapes_types_and_moments_agree():
    values = images(11)
    floats = (values / 255).astype(np.float32)
    for form in (values[..., None], floats, floats[..., None]):
        assert metrics.intra_sample_diversity(form) == pytest.approx(metrics.intra_sample_diversity(values), rel=1e-6)
    originals = images(30, seed=5)
    assert metrics.dataset_similarity(values, metrics.moments(originals)) == metrics.dataset_similarity(values, originals)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (images(1), "2 or more"),
        (np.zeros((4, 8)), "shape"),
        (np.zeros((4, 8, 8, 3)), "shape"),
        (np.full((4, 8, 8), 200.0), "Divide 0-255"),
        (np.full((4, 8, 8), -1.0), "(x + 1) / 2"),
        (np.full((4, 8, 8), np.nan), "NaN"),
        (np.zeros((4, 8, 8), bool), "True and False"),
        (np.zeros((4, 8, 8), np.int64), "int64"),
        (np.zeros((4, 8, 8), object), "object"),
    ],
)
def test_refused_with_the_reason(bad, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(").replace(")", r"\)").replace("+", r"\+")):
        metrics.intra_sample_diversity(bad)


def test_sizes_that_differ_are_refused():
    with pytest.raises(InputError, match="16 x 16 pixels and originals 8 x 8"):
        metrics.dataset_similarity(images(3), images(3, 8))
    with pytest.raises(InputError, match="one size"):
        metrics.nearest_distances(images(3), images(3, 8))


def test_a_mask_is_refused_by_the_laplacian():
    with pytest.raises(InputError, match="True and False"):
        metrics.laplace_variance(np.ones((2, 8, 8), bool))


def test_without_opencv_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match="python -m pip install opencv-python-headless"):
        metrics.laplace_variance(images(2))
    assert metrics.dataset_similarity(images(2), images(3)) > 0


@pytest.mark.parametrize(("n", "size"), [(1, 32), (300, 33), (700, 8)])
def test_moments_of_whole_numbers_are_exact(n, size, tmp_path):
    """Black and white at their extremes, over several blocks, from a memory map, of some rows only."""
    np.save(tmp_path / "images.npy", np.random.default_rng(n).choice([0, 1, 254, 255], (n, size, size)).astype(np.uint8))
    values = np.load(tmp_path / "images.npy", mmap_mode="r")
    for rows in (None, np.arange(0, n, 3), np.arange(n // 2, n)):
        chosen = (values if rows is None else values[rows]).reshape(-1, size * size).astype(np.int64)
        found = metrics.moments(values, rows)
        assert found.n == len(chosen) and found.square * 255**2 * found.n == pytest.approx((chosen**2).sum(), rel=1e-14)
        np.testing.assert_allclose(found.mean * 255 * found.n, chosen.sum(0), rtol=1e-14)


def test_half_precision_is_accepted():
    values = images(6, dtype="float16")
    np.testing.assert_array_equal(metrics.laplace_variance(values), metrics.laplace_variance(values.astype(np.float64)))
    assert metrics.minimum_intra_sample_diversity(values) > 0


def test_frechet_distance_of_known_normals():
    """Diagonal covariances have a closed form; rotation and order change nothing."""
    rng = np.random.default_rng(0)
    m1, m2, v1, v2 = rng.random(5), rng.random(5), rng.random(5) + 0.1, rng.random(5) + 0.1
    expected = np.square(m1 - m2).sum() + np.square(np.sqrt(v1) - np.sqrt(v2)).sum()
    turn = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    one, other = (metrics.frechet.Gaussian(turn @ m, turn @ np.diag(v) @ turn.T) for m, v in ((m1, v1), (m2, v2)))
    assert metrics.frechet_distance(one, other) == pytest.approx(expected, rel=1e-9)
    assert metrics.frechet_distance(other, one) == pytest.approx(expected, rel=1e-9)
    assert metrics.frechet_distance(one, one) == pytest.approx(0, abs=1e-9)


def test_pixel_space_ranks_a_fresh_draw_before_copies_and_blur_and_noise(store):
    real = store.images[np.random.default_rng(0).permutation(len(store.images))]
    space, fresh = metrics.PixelSpace(real[:150], components=16), real[150:300]
    noise = np.random.default_rng(1).integers(0, 256, fresh.shape).astype(np.uint8)
    distances = [space.distance(images) for images in (fresh, np.resize(fresh[:4], fresh.shape), noise)]
    assert distances == sorted(distances) and distances[0] < 0.5 * distances[1]
