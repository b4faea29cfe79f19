"""Intervals cover what they should, and the shortcuts agree with the long way."""

import numpy as np
import pytest

from dwikit import evaluation, metrics
from dwikit.metrics import intervals
from dwikit.metrics.intervals import Estimate


def test_the_interval_of_a_mean_is_that_of_theory():
    values = np.random.default_rng(0).normal(5, 2, 400)
    value, low, high = intervals.estimate(intervals.mean(values), intervals.resamples(400, draws=4000))
    half = 1.96 * values.std() / 20
    assert value == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((value - half, value + half), abs=0.02)


def test_people_are_drawn_whole():
    people = np.repeat(["a", "b", "c"], [1, 2, 3])
    weights = intervals.resamples(6, people, draws=50)
    assert np.allclose(weights.sum(axis=1), 1) and (weights[:, 1] == weights[:, 2]).all()
    assert (weights[:, 3] == weights[:, 5]).all() and (weights == 0).any()
    values = np.repeat([1.0, 2.0, 9.0], [1, 2, 3])
    wide = intervals.estimate(intervals.mean(values), intervals.resamples(6, people))
    narrow = intervals.estimate(intervals.mean(values), intervals.resamples(6))
    assert wide.value == narrow.value and wide.high - wide.low > narrow.high - narrow.low


def test_one_person_gives_no_interval():
    estimate = intervals.estimate(intervals.mean(np.arange(4.0)), intervals.resamples(4, ["a"] * 4))
    assert estimate.value == 1.5 and np.isnan([estimate.low, estimate.high]).all()


def test_the_interval_of_isd_is_that_of_computing_it_anew_in_every_resample(store):
    images = store.split("train")[::3]
    ours = evaluation.estimates(images, metrics.moments(images))["isd"]
    distances = np.array([[np.square((a - b) / 255).mean() for b in images.astype(float)] for a in images.astype(float)])
    anew = []
    for weights in intervals.resamples(len(images)):
        pairs = np.outer(weights, weights)
        np.fill_diagonal(pairs, 0)  # an image drawn twice is no pair
        anew.append((pairs * distances).sum() / pairs.sum())
    assert ours.value == pytest.approx(metrics.intra_sample_diversity(images))
    assert (ours.low, ours.high) == pytest.approx(tuple(np.quantile(anew, [0.025, 0.975])), rel=0.02)


def test_the_spread_of_pixels_comes_from_each_images_moments():
    pixels = np.random.default_rng(1).gamma(1, 1, (30, 16))
    value = intervals.estimate(intervals.sd(pixels.mean(axis=1), np.square(pixels).mean(axis=1)), intervals.resamples(30))
    assert value.value == pytest.approx(pixels.std()) and value.low < value.value < value.high
    images = intervals.estimate(intervals.sd(pixels.mean(axis=1)), intervals.resamples(30))
    assert images.value == pytest.approx(pixels.mean(axis=1).std())


def test_a_ratio_of_two_estimates_covers_what_a_bootstrap_of_both_covers():
    rng = np.random.default_rng(2)
    one, other = rng.normal(6, 2, 300), rng.normal(3, 1, 200)
    weights = intervals.resamples(300, draws=4000), intervals.resamples(200, draws=4000, seed=1)
    ours = intervals.ratio(*(intervals.estimate(intervals.mean(v), w) for v, w in zip((one, other), weights)))
    both = (weights[0] @ one) / (weights[1] @ other)
    assert ours.value == pytest.approx(one.mean() / other.mean())
    assert (ours.low, ours.high) == pytest.approx(tuple(np.quantile(both, [0.025, 0.975])), rel=0.01)


def test_ratios_of_nothing_and_without_intervals():
    assert intervals.ratio(Estimate(0, 0, 0), Estimate(2, 1, 3)).high < 1e-300
    ratio = intervals.ratio(Estimate(4), Estimate(2, 1, 3))
    assert ratio.value == pytest.approx(2) and np.isnan([ratio.low, ratio.high]).all()
