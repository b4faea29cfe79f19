"""The metrics that came after the paper: parity with prdc, scikit-learn, SciPy and brute force, and limits."""

import numpy as np
import pytest
from prdc import compute_prdc
from scipy import ndimage, stats
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import euclidean_distances, polynomial_kernel

from dwikit import metrics
from dwikit.common.errors import InputError
from dwikit.metrics import kernel, reader, structure


def normals(n, d=16, shift=0.0, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)) + shift


# ==== Precision, recall, density, coverage ====


@pytest.mark.parametrize(("k", "shift"), [(1, 0.0), (3, 0.3), (5, 0.6)])
def test_manifold_is_prdcs(k, shift):
    real, fake = normals(150), normals(130, shift=shift, seed=1)
    expected = compute_prdc(real, fake, k)
    assert metrics.manifold(real, fake, k)._asdict() == pytest.approx(expected, abs=1e-12)


def test_manifold_in_small_chunks_equals_brute_force(monkeypatch):
    """The same when scikit-learn hands out the distances in pieces of a few rows."""
    import sklearn

    real, fake = normals(90, d=4), normals(70, d=4, shift=0.5, seed=2)
    table, own, others = cdist(real, fake), cdist(real, real), cdist(fake, fake)
    real_radii, fake_radii = np.sort(own)[:, 5], np.sort(others)[:, 5]  # position 0 is the image itself
    inside = table < real_radii[:, None]
    with sklearn.config_context(working_memory=0.01):
        found = metrics.manifold(real, fake, 5)
    assert found.precision == inside.any(0).mean() and found.coverage == inside.any(1).mean()
    assert found.density == pytest.approx(inside.sum(0).mean() / 5)
    assert found.recall == (table < fake_radii).any(1).mean()


def test_manifold_tells_collapse_from_misses():
    real = normals(200)
    same, collapsed, far = normals(200, seed=1), np.resize(normals(3, seed=2), (200, 16)), normals(200, shift=9)
    assert metrics.manifold(real, same).coverage > 0.9
    few = metrics.manifold(real, collapsed)
    assert few.coverage < 0.2 and few.recall == 0 and few.precision > 0.5
    assert metrics.manifold(real, far) == (0, 0, 0, 0)


# ==== Frechet and kernel distance ====


def test_discrepancy_equals_its_definition_over_pairs():
    one, other = normals(12, d=5), normals(9, d=5, shift=0.4, seed=1)

    def k(x, y):
        return (x @ y / 5 + 1) ** 3

    pairs = [np.mean([k(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j]) for s in (one, other)]
    expected = sum(pairs) - 2 * np.mean([k(x, y) for x in one for y in other])
    assert kernel.discrepancy(one, other) == pytest.approx(expected, rel=1e-12)
    assert polynomial_kernel(one, other)[2, 3] == pytest.approx(k(one[2], other[3]), rel=1e-12)


def test_kernel_distance_has_no_bias_and_grows_with_the_shift():
    values = [metrics.kernel_distance(normals(60, seed=s), normals(60, seed=s + 100), blocks=3) for s in range(40)]
    means = [value.mean for value in values]
    assert abs(np.mean(means)) < 3 * np.std(means) / np.sqrt(len(means)) and min(means) < 0 < max(means)
    near, far = (metrics.kernel_distance(normals(100), normals(100, shift=shift, seed=1)).mean for shift in (0.3, 0.6))
    assert 0 < near < far
    one = metrics.kernel_distance(normals(30), normals(30, shift=1, seed=1), blocks=1)
    assert one.mean == pytest.approx(kernel.discrepancy(normals(30), normals(30, shift=1, seed=1))) and np.isnan(one.sd)


def test_frechet_distance_of_constant_features_is_that_of_their_means():
    flat = [np.full((20, 3), value) for value in (0.0, 2.0)]
    assert metrics.frechet_distance(*map(metrics.gaussian, flat)) == pytest.approx(12)


# ==== MS-SSIM ====


def ssim_terms(one, other):
    """Brute force: SSIM and its contrast-structure part, Gaussian window 11, sd 1.5, valid pixels."""
    window = np.exp(-np.square(np.arange(-5, 6)) / 2 / 1.5**2)
    window /= window.sum()

    def blur(x):
        return ndimage.correlate1d(ndimage.correlate1d(x, window, 0), window, 1)[5:-5, 5:-5]

    m, n = blur(one), blur(other)
    spread = blur(one * one) + blur(other * other) - m * m - n * n
    structural = (2 * (blur(one * other) - m * n) + 0.03**2) / (spread + 0.03**2)
    return ((2 * m * n + 0.01**2) / (m * m + n * n + 0.01**2) * structural).mean(), structural.mean()


def ms_ssim_brute(one, other, scales):
    weights = np.array([0.0448, 0.2856, 0.3001][:scales])
    value = 1.0
    for scale, weight in enumerate(weights / weights.sum()):
        whole, structural = ssim_terms(one, other)
        value *= max(whole if scale == scales - 1 else structural, 0) ** weight
        one, other = (x.reshape(x.shape[0] // 2, 2, -1, 2).mean((1, 3)) for x in (one, other))
    return value


@pytest.mark.parametrize(("size", "scales"), [(32, 2), (64, 3), (128, 3)])
def test_ms_ssim_equals_its_formula(size, scales):
    rng = np.random.default_rng(size)
    one = ndimage.gaussian_filter(rng.random((3, size, size)), (0, 3, 3)) * 2 - 0.5
    one, other = one.clip(0, 1), (one + 0.05 * rng.standard_normal(one.shape)).clip(0, 1)
    expected = [ms_ssim_brute(a, b, scales) for a, b in zip(one, other)]
    assert structure.scales(size) == scales
    np.testing.assert_allclose(metrics.ms_ssim(one, other), expected, rtol=2e-4)
    np.testing.assert_allclose(metrics.ms_ssim(one, one), 1, atol=1e-6)


@pytest.mark.parametrize(("height", "width", "spread"), [(32, 32, 0.05), (64, 64, 0.5), (75, 70, 0.2), (128, 128, 0.1)])
def test_ms_ssim_is_tensorflows(height, width, spread):
    """Odd sizes, which are padded before they are halved, and pairs of strangers, whose structure is opposed, too."""
    tf = pytest.importorskip("tensorflow")
    rng = np.random.default_rng(height)
    one = ndimage.gaussian_filter(rng.random((70, height, width)), (0, 2, 2)) * 3 - 1
    one, other = one.clip(0, 1), (1 - one if spread == 0.5 else one + spread * rng.standard_normal(one.shape)).clip(0, 1)
    weights = np.array(structure.WEIGHTS[: structure.scales(min(height, width))])
    pair = [tf.constant(images[..., None], tf.float32) for images in (one, other)]
    expected = tf.image.ssim_multiscale(*pair, 1.0, (weights / weights.sum()).tolist()).numpy()
    np.testing.assert_allclose(metrics.ms_ssim(one, other), expected, rtol=1e-3, atol=1e-4)


def test_ms_ssim_diversity_is_1_for_copies_and_low_for_strangers(store):
    real = store.images
    copies = metrics.ms_ssim_diversity(np.repeat(real[40:41], 10, axis=0), pairs=50)
    assert copies == pytest.approx(1) and metrics.ms_ssim_diversity(real, pairs=200) < 0.8


# ==== The machine reader ====


def test_the_machine_reader_guesses_between_equals_and_sees_a_shift():
    patients = np.repeat(np.arange(20), 10)
    guesses = [metrics.machine_reader(normals(200, 6, seed=s), normals(200, 6, seed=s + 50), patients) for s in range(6)]
    assert abs(np.mean([guess.accuracy for guess in guesses]) - 0.5) < 0.03
    assert sum(guess.low < 0.5 < guess.high for guess in guesses) >= 4
    seen = metrics.machine_reader(normals(200, 6), normals(200, 6, shift=1, seed=1), patients)
    assert seen.accuracy > 0.8 and 0.8 < seen.low < seen.auc < seen.high <= 1


def test_the_machine_reader_never_knows_the_patient():
    """Every patient has a mark of its own; by slice the reader would know all, by patient it can know nothing."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(30), 12)
    marks = rng.standard_normal((30, 40)) * 3
    features = marks[labels] + 0.1 * rng.standard_normal((360, 40))
    reading = metrics.machine_reader(features[:180], features[180:], labels[:180], labels[180:])
    assert reading.accuracy < 0.7 and reading.low < 0.5


def test_the_weighted_auc_is_scikit_learns():
    rng = np.random.default_rng(0)
    scores, answers = rng.integers(12, size=50) / 4, rng.integers(2, size=50)  # with ties
    weights = rng.integers(4, size=(6, 50)).astype(float)
    expected = [roc_auc_score(answers, scores, sample_weight=row) for row in weights]
    np.testing.assert_allclose(reader.weighted_auc(scores, answers, weights), expected, rtol=1e-12)


# ==== Copies ====


def test_nearest_of_another_patient_equals_brute_force():
    rng = np.random.default_rng(0)
    one, other = (rng.integers(0, 256, (n, 6, 6)).astype(np.uint8) for n in (30, 50))
    groups, reference_groups = rng.integers(5, size=30), rng.integers(5, size=50)
    table = cdist(one.reshape(30, -1) / 255, other.reshape(50, -1) / 255, "sqeuclidean") / 36
    table[groups[:, None] == reference_groups] = np.inf
    distances, index = metrics.nearest_distances(one, other, groups, reference_groups)
    np.testing.assert_allclose(distances, table.min(1), rtol=1e-12)
    assert (reference_groups[index] != groups).all()
    with pytest.raises(InputError, match="two or more people"):
        metrics.nearest_distances(one, other, np.zeros(30), np.zeros(50))


def test_nearest_distances_are_scikit_learns(store):
    real = store.images.reshape(len(store.images), -1) / 255
    table = euclidean_distances(real[:60], real[60:], squared=True) / real.shape[1]
    distances, index = metrics.nearest_distances(store.images[:60], store.images[60:])
    np.testing.assert_allclose(distances, table.min(1), rtol=1e-6)
    assert (index == table.argmin(1)).mean() > 0.98


def test_authenticity_of_copies_of_strangers_and_of_chance():
    train, fresh = normals(300, d=3), normals(300, d=3, seed=1)
    radii = np.sort(cdist(train, train))[:, 1]

    def share(samples):
        table = cdist(samples, train)
        return metrics.authenticity(table.min(1), radii[table.argmin(1)])

    assert share(train) == 0 and share(fresh + 20) == 1 and 0.4 < share(fresh) < 0.7


def test_the_copying_score_is_scipys_mann_whitney():
    rng = np.random.default_rng(0)
    held_out, samples = rng.random(60), rng.random(45) * 0.8
    p = stats.mannwhitneyu(samples, held_out, alternative="less", method="asymptotic").pvalue
    assert metrics.copying_score(held_out, samples) == pytest.approx(stats.norm.ppf(p), rel=1e-9)


def test_the_copying_score_by_cells():
    rng = np.random.default_rng(0)
    held_out, cells = rng.random(90) + 1, np.repeat([0, 1, 2], [60, 20, 10])
    samples, own = np.concatenate([np.zeros(40), rng.random(40) + 1, np.zeros(5)]), np.repeat([0, 1, 2], [40, 40, 5])
    parts = [metrics.copying_score(held_out[cells == c], samples[own == c]) for c in (0, 1)]
    expected = (60 * parts[0] + 20 * parts[1]) / 80  # the third cell has too few samples
    assert parts[0] < -8 and metrics.copying_score(held_out, samples, cells, own) == pytest.approx(expected)
    assert np.isnan(metrics.copying_score(held_out, samples[-5:]))


def test_the_copy_ratio_of_duplicates_and_of_a_doubled_slice():
    np.testing.assert_array_equal(metrics.copy_ratio([0.0, 0.0, 0.2], [0.1, 0.0, 0.1]), [0, 0, 2])


# ==== What is refused ====


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.manifold(normals(5), normals(20)), "6 or more"),
        (lambda: metrics.manifold(normals(20), normals(20, d=3)), "same feature network"),
        (lambda: metrics.manifold(normals(20), normals(20)[0]), "shape"),
        (lambda: metrics.manifold(normals(20), np.full((20, 16), np.nan)), "NaN"),
        (lambda: metrics.manifold(normals(20), normals(20), 0), "k must be 1"),
        (lambda: metrics.kernel_distance(normals(15), normals(40)), "fewer blocks"),
        (lambda: metrics.machine_reader(normals(9), normals(9), np.zeros(9)), "two or more"),
        (lambda: metrics.machine_reader(normals(9), normals(9), np.arange(8)), "different lengths"),
        (lambda: metrics.ms_ssim(np.zeros((2, 8, 8)), np.zeros((2, 8, 8))), "too small"),
        (lambda: metrics.ms_ssim(np.zeros((2, 16, 16)), np.zeros((3, 16, 16))), "as many"),
        (lambda: metrics.copy_ratio([1.0], [1.0, 2.0]), "same length"),
    ],
)
def test_features_that_cannot_be_compared_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_constant_images_pass_every_metric():
    """A model that has collapsed altogether must still get its numbers."""
    flat, features = np.full((24, 16, 16), 90, np.uint8), np.ones((24, 3))
    assert np.all(metrics.laplace_variance(flat) == 0)
    assert metrics.minimum_intra_sample_diversity(flat) == 0
    assert metrics.intra_sample_diversity(flat) == pytest.approx(0, abs=1e-12)  # 0 or a rounding error, as the processor sums
    assert metrics.ms_ssim_diversity(flat, pairs=20) == pytest.approx(1)
    assert metrics.manifold(normals(24, d=3), features).recall == 0
    assert np.isfinite(metrics.frechet_distance(metrics.gaussian(normals(24, d=3)), metrics.gaussian(features)))
    assert metrics.machine_reader(features, features, np.arange(24)).auc == 0.5
    with pytest.raises(InputError, match="all identical"):
        metrics.PixelSpace(flat)
