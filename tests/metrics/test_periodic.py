"""The excess power at the periods of upsampling: woven patterns are found, detail and noise are not."""

import numpy as np
import pytest
from scipy import ndimage

from dwikit import metrics
from dwikit.metrics.periodic import periods

SIZE = 64
Y, X = np.mgrid[:SIZE, :SIZE]


def noise(n=50, sd=8.0, seed=0, size=SIZE):
    return 128 + np.random.default_rng(seed).normal(0, sd, (n, size, size))


def clouds(n=50, steepness=1.5, seed=0):
    """Images whose power falls as a power of frequency, as that of natural images and of slices does."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIZE), np.fft.fftfreq(SIZE)))
    frequency[0, 0] = 1
    white = np.fft.fft2(np.random.default_rng(seed).normal(size=(n, SIZE, SIZE)))
    images = np.real(np.fft.ifft2(white / frequency**steepness))
    return 128 + 30 * (images - images.mean()) / images.std()


def grey(images):
    return images.clip(0, 255).round().astype(np.uint8)


def excess(images):
    return metrics.periodic_excess(grey(images))


@pytest.mark.parametrize("n", [5, 50])
def test_noise_and_clouds_of_any_steepness_have_none(n):
    for images in (noise(n), clouds(n, 0.5), clouds(n, 1.0), clouds(n, 1.5)):
        assert excess(images) == pytest.approx(1, abs=0.1 if n == 50 else 0.4)


@pytest.mark.parametrize("period", [4, 8])
@pytest.mark.parametrize("amplitude", [1.0, 3.0])
def test_a_weave_of_known_amplitude_has_the_excess_of_the_formula(period, amplitude):
    """Two of the eight frequencies hold amplitude^2 / 4 times the number of pixels, in one of nine bins."""
    weave = amplitude * np.cos(2 * np.pi * X / period)
    expected = 1 + 2 / 8 * amplitude**2 / 4 * SIZE**2 / (8.0**2 + 1 / 12) / 9
    assert excess(noise(200) + weave) == pytest.approx(expected, rel=0.05)
    assert excess(noise(200) + weave.T) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("pattern", [(-1.0) ** X, (-1.0) ** (X + Y), np.cos(np.pi * X / 4) * np.cos(np.pi * Y / 4), X % 4 == 0])
def test_checkerboards_diagonals_and_lines_are_found(pattern):
    assert excess(noise() + 3 * pattern) > 1.5


def test_blur_raises_it_too():
    """A blurred spectrum falls faster than any power law, so a row with little Laplace variance is not to be read."""
    images = clouds(steepness=1.0)
    found = [excess(ndimage.gaussian_filter(images, (0, sigma, sigma), mode="wrap")) for sigma in (0, 1, 2)]
    assert found[0] < 1.1 and found[1] > 1.2 and found[2] > 1.5


def test_where_a_weave_begins_does_not_matter():
    images, weave = noise(), 4 * np.cos(np.pi * X / 4)
    rolled = np.stack([np.roll(weave, i, axis=1) for i in range(50)])
    assert excess(images + rolled) == pytest.approx(excess(images + weave), rel=0.1)


def test_periods_of_no_upsampling_do_not_count():
    assert excess(noise() + 5 * np.cos(2 * np.pi * X * 11 / SIZE)) == pytest.approx(1, abs=0.1)


def test_slices_have_little_and_a_weave_on_them_is_found(store):
    images = store.images.astype(float)
    own = metrics.periodic_excess(store.images)
    y, x = np.mgrid[:32, :32]
    woven = images * (1 + 0.2 * np.cos(np.pi * x / 2) + 0.2 * np.cos(np.pi * y / 2))
    assert own < 2 and excess(woven) > 2 * own


def test_images_doubled_by_nearest_neighbour_are_found(store):
    halved = ndimage.zoom(store.images.astype(float), (1, 0.5, 0.5), order=1)
    assert excess(halved.repeat(2, axis=1).repeat(2, axis=2)) > 2 * metrics.periodic_excess(store.images)


def test_a_pattern_that_changes_its_sign_within_the_head_is_found():
    stripes = 5 * (-1.0) ** Y * np.sin(2 * np.pi * Y / SIZE)
    assert excess(noise() + stripes) > 1.5


def test_blur_and_noise_are_no_weave(store):
    blurred = ndimage.gaussian_filter(store.images.astype(float), (0, 0.7, 0.7))
    noisy = store.images + np.random.default_rng(0).normal(0, 10, store.images.shape)
    own = metrics.periodic_excess(store.images)
    assert excess(blurred) < 1.5 * own and excess(noisy) < 1.2 * own


def test_constant_images_have_none_and_odd_sides_no_period():
    assert metrics.periodic_excess(np.full((3, 64, 64), 70, np.uint8)) == pytest.approx(1)
    assert np.isnan(metrics.periodic_excess(np.zeros((3, 33, 32), np.uint8)))
    found = [
        periods(*size)
        for size in ((128, 128), (64, 64), (32, 64), (100, 100), (16, 16), (8, 8), (33, 32), (126, 128), (130, 130))
    ]
    assert found == [[2, 4, 8, 16], [2, 4, 8], [2, 4], [2, 4], [2], [], [], [], []]


@pytest.mark.parametrize(("n", "about"), [(1, 2.0), (10, 1.2), (200, 1.0)])
def test_of_few_images_it_is_higher_by_chance(n, about):
    assert np.mean([excess(clouds(n, 1.0, seed)) for seed in range(10)]) == pytest.approx(about, rel=0.25)


def test_floats_are_measured_as_grey_levels(store):
    assert metrics.periodic_excess(store.images / 255) == pytest.approx(metrics.periodic_excess(store.images))
