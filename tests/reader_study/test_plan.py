"""Planning a reader study: simulated studies have what was asked for, and another seed gives the same plan."""

import json
from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_effectsize

from dwikit import cli
from dwikit.common.errors import InputError
from dwikit.reader_study import plan

REFERENCE = json.loads((Path(__file__).parents[1] / "reference.json").read_text())

PAPER = {0.9: plan.Question(0.9, within=0.1), 0.5: plan.Question(0.5, within=0.1)}


def test_simulated_readers_and_images_have_the_share_and_the_covariance_that_were_asked_for():
    rng, spread = np.random.default_rng(0), plan.Spread(0.8, 0.4, 1.2)
    assert plan.simulate(0.7, 3, 25, spread, 4000, rng)[0].mean() == pytest.approx(0.7, abs=0.006)
    values, alone, between = plan.simulate(0.7, 3, 25, plan.Spread(0, 0, 1.2), 4000, rng)
    covariance = np.cov(values.T)
    assert alone.mean() == pytest.approx(np.diag(covariance).mean(), rel=0.05)
    assert between.mean() == pytest.approx(covariance[~np.eye(3, dtype=bool)].mean(), rel=0.15)
    difference, *_ = plan.simulate(0.7, 3, 25, spread, 4000, rng, against=0.5)
    assert difference.mean() == pytest.approx(0.2, abs=0.008)


def test_the_chance_is_a_little_below_that_of_a_comparison_of_two_shares():
    """Without any spread the answers of all readers are one sample; the study does not know it, and pays a little."""
    question = plan.Question(0.7, against=0.6)
    share, _ = plan.chance(question, 20, 10, sure=0.5, spread=plan.Spread(0, 0, 0))
    expected = NormalIndPower().power(proportion_effectsize(0.7, 0.6), 200, 0.05)
    assert expected - 0.16 < share < expected + 0.02


@pytest.mark.parametrize("share", PAPER)
def test_another_seed_gives_the_same_plan(share):
    plans = [plan.images_needed(PAPER[share], (3, 10), seed=seed).to_dict() for seed in range(3)]
    assert plans[0] == plans[1] == plans[2]
    assert plans[0][3] == "more than 500" and int(plans[0][10]) <= 300


def test_two_readers_are_too_few_for_any_number_of_images():
    assert plan.images_needed(PAPER[0.5], (2,)).to_dict() == {2: "more than 500"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.2, 0.1), "Shares lie between 0 and 1, such as 0.9, not 1.2"),
        ((0.9,), "Ask one thing"),
        ((0.9, 0.1, 0.8), "Ask one thing"),
        ((0.9, 0.7), "The margin lies between 0 and 0.5"),
        ((0.9, None, 0.9), "differ in nothing that a study could find"),
    ],
)
def test_questions_that_cannot_be_planned_for(arguments, message):
    with pytest.raises(InputError, match=message):
        plan.Question(*arguments)
    with pytest.raises(InputError, match="One reader tells nothing about other readers"):
        plan.images_needed(PAPER[0.9], (1, 2))


@pytest.mark.parametrize("spread", [-1, np.nan, np.inf, 50])
def test_spreads_that_no_readers_have(spread):
    for which in ("readers", "interaction", "images"):
        with pytest.raises(InputError, match=f"Spreads are log odds from 0 to 5, such as 0.5, not {spread:g}"):
            plan.Spread(**{which: spread})


def test_the_widest_spread_has_the_share_that_was_asked_for():
    share = plan.simulate(0.9, 5, 20, plan.Spread(*[plan.WIDEST] * 3), 4000, np.random.default_rng(0))[0].mean()
    assert share == pytest.approx(0.9, abs=0.01)


def test_precision_of_kappa_agrees_with_its_standard_error():
    expected = REFERENCE["agreement"]["paper_table_2"]
    assert plan.kappa_half_width(expected["table"], 250) == pytest.approx(1.96 * expected["se"], rel=0.05)


def test_the_command_prints_the_plan(capsys):
    assert cli.main(["plan", "--share", "0.9", "--against", "0.3", "--readers", "3", "10"]) == 0
    shown = capsys.readouterr().out
    assert "A share of 90% called real told from one of 30%, for readers in general, in 80% of studies" in shown
    assert shown.count("\n") == 4
    assert cli.main(["plan", "--share", "0.975", "--within", "0.3", "--readers", "10", "--sure", "0.625"]) == 0
    assert "A share of 97.5% called real within 0.3, for readers in general, in 62.5% of studies" in capsys.readouterr().out
    assert cli.main(["plan", "--share", "0.9"]) == 2 and "Ask one thing" in capsys.readouterr().err
