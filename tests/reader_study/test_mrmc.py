"""Averages over readers: a published study, brute force, simulated studies of this design, and files for iMRMC."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from benchmarks import coverage
from dwikit.common.errors import InputError
from dwikit.reader_study import mrmc, paper_readings, roc, score_readings, tables
from dwikit.reader_study.imrmc import imrmc

VAN_DYKE = json.loads((Path(__file__).parents[1] / "reference.json").read_text())["van_dyke"]
READERS, HEALTHY, ILL = 5, 69, 45
"""The design of the published study."""


def ratings(seed):
    """Ratings from 1 to 5 of two tests, (tests, readers, cases), which share readers and cases as in such a study."""
    rng = np.random.default_rng(seed)
    case = rng.normal(size=HEALTHY + ILL) + np.repeat([0, 1.5], [HEALTHY, ILL])
    scores = case + 0.4 * rng.normal(size=(1, READERS, 1)) + rng.normal(size=(2, READERS, HEALTHY + ILL))
    return np.digitize(scores, [-0.5, 0.5, 1.2, 2]) + 1.0


RATINGS = ratings(0)
AREAS = [mrmc.area(test[:, :HEALTHY], test[:, HEALTHY:], "ill") for test in RATINGS]
DIFFERENCE = AREAS[0] - AREAS[1]


def jackknife(values):
    """(readers, readers) covariance of ``values(kept)`` by leaving out one case at a time, by brute force."""
    n = HEALTHY + ILL
    left_out = np.stack([values(np.arange(n) != i) for i in range(n)])
    return (n - 1) ** 2 / n * np.cov(left_out.T)


def areas_of(test, kept):
    ill = np.arange(HEALTHY + ILL)[kept] >= HEALTHY
    return np.array([roc.area(scores[kept], ill).value for scores in RATINGS[test]])


def pooled(covariance):
    """Mean variance of a reader, and mean covariance of two."""
    return np.diag(covariance).mean(), covariance[~np.eye(READERS, dtype=bool)].mean()


# ==== Parity ====


def published(values, variance, covariance):
    """The average over readers from a publication's areas, and the variance and covariance of its readers."""
    se, df = mrmc.random_readers(np.array(values), variance, covariance)
    se_cases = np.sqrt(READERS * variance + READERS * (READERS - 1) * covariance) / READERS
    return mrmc.Average(float(np.mean(values)), float(se), float(df), float(se_cases))


def as_printed(found, expected):
    """Equal to the published numbers as far as they are printed: six digits at least, for the same readers three to five."""
    assert (found.value, found.se, found.df, *found.interval) == pytest.approx(
        [expected[name] for name in ("value", "se", "df", "low", "high")], rel=1e-6, abs=1e-8
    )
    digits = len(str(expected["se_cases"])) - 2
    assert round(found.se_images, digits) == expected["se_cases"]


@pytest.mark.parametrize("test", [0, 1])
def test_averages_of_a_published_study(test):
    expected = VAN_DYKE["averages"][test]
    as_printed(published(VAN_DYKE["areas"][test], expected["variance"], expected["covariance"]), expected)


def test_difference_of_a_published_study():
    expected, both = VAN_DYKE["difference"], VAN_DYKE["both_tests"]
    variance, covariance = 2 * (both["variance"] - both["cov1"]), 2 * (both["cov2"] - both["cov3"])
    found = published(np.subtract(*VAN_DYKE["areas"]), variance, covariance)
    as_printed(found, expected)
    assert found.p == pytest.approx(expected["p"], rel=1e-6)


def jackknifed(quantity):
    """A number whose covariance has the jackknife's weights: n - 1 of all cases and of a group, where DeLong's has n."""
    n = HEALTHY + ILL
    weights = {
        group: np.sqrt((n - 1) / n * part.shape[1] / (part.shape[1] - 1)) for group, part in quantity.contributions.items()
    }
    return mrmc.Quantity(quantity.values, {group: weights[group] * part for group, part in quantity.contributions.items()})


@pytest.mark.parametrize("test", [0, 1])
def test_an_average_is_that_of_the_jackknife(test):
    """Exactly, with the jackknife's weights; they change a standard error by less than one percent here."""
    covariance = jackknife(lambda kept: areas_of(test, kept))
    se, df = mrmc.random_readers(AREAS[test].values, *pooled(covariance))
    same, ours = mrmc.average(jackknifed(AREAS[test])), mrmc.average(AREAS[test])
    assert AREAS[test].values == pytest.approx(areas_of(test, np.full(HEALTHY + ILL, True)))
    assert (same.se, same.df) == pytest.approx((se, df), rel=1e-9)
    assert same.se_images == pytest.approx(np.sqrt(covariance.sum()) / READERS, rel=1e-9)
    assert 1 < same.se / ours.se < 1.01 and 1 < same.se_images / ours.se_images < 1.01


def test_covariance_of_a_difference_is_the_jackknife_s():
    assert jackknifed(DIFFERENCE).covariance() == pytest.approx(jackknife(lambda kept: areas_of(0, kept) - areas_of(1, kept)))


# ==== This design: networks share the real images alone ====


def test_contrasts_take_their_covariance_from_the_real_images_alone():
    rng = np.random.default_rng(0)
    real, first, second = rng.normal(size=(3, 40)), rng.normal(1, 1, (3, 30)), rng.normal(1.5, 1, (3, 20))
    a, b = mrmc.area(real, first, "a"), mrmc.area(real, second, "b")
    shared = np.cov(a.contributions["original"], b.contributions["original"])[:3, 3:] / 40
    expected = a.covariance() + b.covariance() - shared - shared.T
    assert (a - b).covariance() == pytest.approx(expected) and np.abs(shared).max() > 1e-4
    apart = mrmc.share(first > 1, "a") - mrmc.share(second > 1, "b")
    assert apart.covariance() == pytest.approx(np.cov(first > 1) / 30 + np.cov(second > 1) / 20)


def test_readers_who_happen_to_agree_prove_nothing():
    """Two readers differ by the same here as there: their mean square is 0, and the images still vary."""
    first = np.array([[1] * 47 + [0] * 3, [1] * 50], float)
    second = np.array([[1] * 46 + [0] * 4, [0] + [1] * 49], float)
    difference = mrmc.share(first, "a") - mrmc.share(second, "b")
    assert np.ptp(difference.values) < 1e-12
    found = mrmc.average(difference)
    assert found.p > 0.3 and found.se >= found.se_images > 0.01 and 1 <= found.df < 2
    assert mrmc.average(mrmc.share(np.ones((3, 9)), "a")) is None


@pytest.mark.parametrize(("readers", "areas"), [(2, (0.85, 0.85)), (5, (0.85, 0.85)), (5, (0.98, 0.9))])
def test_intervals_of_averages_hold_in_simulated_studies(readers, areas):
    row = coverage.many_readers(readers, areas, images=40, studies=400, seed=1)
    assert 0.9 < row["average"] < 0.99 and 0.92 < row["contrast"] < 0.995, row
    assert areas[0] != areas[1] or row["found"] < 0.09, row


def test_interval_of_a_difference():
    """Far from 1 nearly the usual one, near 1 a wider one; none of what is compared with itself."""
    rng = np.random.default_rng(2)

    def interval(*distances):
        real, fakes = coverage.scores(6, distances, 400, 400, rng)
        both = [mrmc.area(real, fake, name) for fake, name in zip(fakes, "ab")]
        return mrmc.average(both[0] - both[1]), mrmc.area_difference_interval(*both, (roc.area_variance(400, 400),) * 2)

    found, ends = interval(0.3, 0.5)
    assert ends == pytest.approx(found.interval, abs=0.2 * found.quantile * found.se)
    found, (low, high) = interval(3.5, 1.0)
    assert low <= found.interval[0] and high >= found.interval[1] and (low, high) != found.interval
    assert mrmc.area_difference_interval(AREAS[0], AREAS[0], (roc.area_variance(ILL, HEALTHY),) * 2) == (0, 0)


def test_ignoring_shared_images_would_show():
    """Were the covariance of two areas left out, intervals of their difference would be far too wide: the check can fail."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(300):
        real, fakes = coverage.scores(4, [1.5, 1.5], 25, 200, rng)
        a, b = (mrmc.area(real, fake, name) for fake, name in zip(fakes, "ab"))
        found.append([np.mean((a - b).values), mrmc.average(a - b).se ** 2, mrmc.average(a).se ** 2 + mrmc.average(b).se ** 2])
    differences, ours, apart = np.array(found).T
    assert ours.mean() == pytest.approx(differences.var(), rel=0.3) and apart.mean() > 1.5 * differences.var()


# ==== Near 0 and 1 ====


@pytest.mark.parametrize("area", [0.75, 0.96, 0.99])
def test_intervals_of_one_reader_s_area_hold(area):
    row = coverage.one_reader(area, real=50, fake=200, studies=1000, seed=5)
    assert 0.93 - 0.012 < row["logit"] < 0.97 + 0.012, row
    assert area < 0.9 or row["normal"] < 0.93, "the normal interval is the one that fails"


def test_intervals_at_the_ends():
    for count in (0, 50):
        wilson = proportion_confint(count, 50, method="wilson")
        assert roc.logit_interval(count / 50, 0, roc.share_variance(50)) == pytest.approx(wilson, abs=1e-6)
    low, high = roc.logit_interval(1, 0, roc.area_variance(200, 50))
    assert high == 1 and 0.95 < low < 0.99
    assert roc.logit_interval(0, 0, roc.area_variance(200, 50)) == pytest.approx((0, 1 - low))


# ==== Tables ====


def test_two_readers_say_hardly_anything_about_others():
    key, readings = paper_readings()
    scores = score_readings(readings, key)
    table = scores.averages.set_index("group")
    assert table["value"].to_dict() == pytest.approx(
        {"original": 0.97, "vae": 0.02, "dfc_vae": 0.02, "intro_vae": 0.92, "style_gan": 0.95}
    )
    assert (table["df"] < 5).all() and (table["high"] - table["low"] > table["high_images"] - table["low_images"]).all()
    assert table.loc["vae", "high"] > 0.5, "two readers cannot rule out that others are fooled"
    assert (table["high_images"] - table["low_images"] < 0.2).all()
    assert any("2 readers give 1 degree of freedom" in note for note in scores.notes)
    assert ((scores.contrasts["p"] < 0.05) == (scores.contrasts["low"] * scores.contrasts["high"] > 0)).all()
    assert len(scores.contrasts) == 10 and (scores.contrasts["p_holm"] >= scores.contrasts["p"]).all()
    shown = tables.everything(scores)
    assert shown["Averages over readers"].shape == (5, 5) and "nan" not in str(shown).lower()


def test_holm_s_correction_by_hand():
    key, readings = paper_readings()
    found = score_readings(readings, key).contrasts.sort_values("p")
    steps = np.maximum.accumulate(found["p"].to_numpy() * np.arange(len(found), 0, -1))
    assert found["p_holm"].to_numpy() == pytest.approx(np.minimum(steps, 1))


# ==== iMRMC ====


def test_imrmc_file_gives_the_readings_back():
    rng = np.random.default_rng(7)
    key = pd.DataFrame({"image": [f"I{i}" for i in range(9)], "group": ["original"] * 4 + ["vae"] * 3 + ["gan"] * 2})
    readings = pd.concat(
        [
            pd.DataFrame({"reader": name, "image": key["image"], "answer": rng.choice(["real", "fake"], 9)}).assign(
                confidence=rng.integers(1, 6, 9).astype(float)
            )
            for name in ("Ann\nN0: 3", "Bob")
        ],
        ignore_index=True,
    )
    head, data = imrmc(readings, key).split("BEGIN DATA:\n")
    sizes = dict(line.split(": ") for line in head.splitlines() if line[:2] in ("N0", "N1", "NR", "NM"))
    assert sizes == {"NR": "2", "N0": "4", "N1": "5", "NM": "2"}
    rows = np.array([line.split(",") for line in data.splitlines()], float)
    truth = rows[rows[:, 0] == -1]
    assert truth[:, 3].tolist() == [0] * 4 + [1] * 5 and truth[:, 1].tolist() == list(range(1, 10))
    scored = rows[rows[:, 0] != -1]
    assert len(scored) == 2 * (4 * 2 + 5) and len(np.unique(scored[:, :3], axis=0)) == len(scored)
    expected = np.where(readings["answer"] == "fake", 1, -1) * readings["confidence"]
    for reader, case, modality, score in scored:
        assert score == expected[int((reader - 1) * 9 + case - 1)]
        assert case <= 4 or ["gan", "vae"][int(modality) - 1] == key["group"][int(case) - 1]
    plain = imrmc(readings.drop(columns="confidence"), key)
    assert "1 called fake, 0 called real" in plain and "Reader 1 is Ann N0: 3." in plain
    with pytest.raises(InputError, match="needs real images and those of a network"):
        imrmc(readings, key[key["group"] == "vae"])
