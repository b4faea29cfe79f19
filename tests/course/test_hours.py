"""What docs/hours.md and docs/results.md say of the trainings of hours is what their logs and figures/causes.csv say."""

import pandas as pd
import pytest

from dwikit import metrics, paper
from dwikit.common import paths
from dwikit.course import longer


@pytest.fixture(scope="module")
def trainings():
    return {key: longer.load(key) for key in paper.MODELS}


@pytest.fixture(scope="module")
def causes():
    return pd.read_csv(paths.kit() / "figures" / "causes.csv", index_col="experiment")


def in_words(table: pd.DataFrame, words: str) -> pd.Series:
    return table.loc[next(name for name in table.index if words in name)]


@pytest.mark.parametrize(("key", "gain"), [("vae", 1.47), ("dfc_vae", 1.13)])
def test_the_plain_vaes_are_at_their_best_at_last_and_still_get_sharper(key, gain, trainings):
    run = trainings[key]
    assert run.card["epochs"] == len(run.log) == run.log["distance"].idxmin()
    assert run.log["laplace"].iloc[-1] / run.log["laplace"].loc[len(run.log) // 2] == pytest.approx(gain, abs=0.03)


def test_the_introvae_keeps_more_variety_than_its_first_recipe_did_and_less_sharpness(trainings):
    run, first = trainings["intro_vae"], pd.read_csv(paths.kit() / "figures" / "first-recipe.csv", index_col="epoch")
    kept, played, margin = run.card["epochs"], run.log.loc[6:], run.model.config["margin"]
    assert kept == run.log["distance"].idxmin() == 10 and run.log["isd"].idxmax() in (9, 10)
    most, last = run.log["isd"].max(), run.log["isd"].iloc[-1]
    assert last / most == pytest.approx(4 / 5, abs=0.03) and most - run.log["isd"].loc[18] > 0.8 * (most - last)
    assert first["isd"].iloc[-1] / first["isd"].max() == pytest.approx(3 / 5, abs=0.03)
    assert (played["kl_fake"] < margin).all() and first["kl_fake"].max() > 60 == 2 * margin
    assert run.log["laplace"].loc[10:].between(0.58, 0.64).all()
    late = first["laplace"].iloc[-5:]
    assert late.min() > 0.8 and late.mean() > first["laplace"].iloc[-10:-5].mean() > first["laplace"].iloc[-15:-10].mean()
    assert first["isd"].iloc[-1] == pytest.approx(0.5, abs=0.05)
    assert run.log["isd"].loc[kept] == pytest.approx(0.88, abs=0.03) and run.log["isd"].iloc[-1] < 0.8
    assert (run.log["min_isd"].loc[2:5] < 0.2).all() and (run.log["min_isd"].loc[8:] > 0.4).all()


def test_the_stylegan_is_nearest_early_and_repeats_itself_not_people(trainings):
    run = trainings["style_gan"]
    kept, last = run.card["epochs"], run.log.iloc[-1]
    assert kept < len(run.log) / 4 and last["laplace"] > 1.1 * run.log["laplace"].loc[kept]
    assert last["isd"] > 0.9 and last["min_isd"] < 0.1 and run.log["min_isd"].loc[kept] > 0.25
    assert run.log["memory"].loc[3:].between(0.95, 1.05).all()


def test_variety_is_lost_where_the_encoder_wins():
    found = pd.read_csv(paths.kit() / "figures" / "recipes-longer.csv", index_col="recipe")
    real, fakes = found["KL of real slices, last"], found["KL of fakes, last"]
    pushed = found[fakes > real]
    assert list(found.index[fakes <= real]) == ["encoder's game 0.1"] and (found["last"].idxmax() == "encoder's game 0.1")
    gap = (pushed["KL of fakes, last"] - pushed["KL of real slices, last"]).rank()
    assert gap.corr(pushed["variety, last"].rank()) < -0.8
    first, slow, wide, low = (
        found.loc[name]
        for name in (
            "the kit's recipe at 64 pixels",
            "rate decaying tenfold",
            "beta 1 of 0, margin 40",
            "beta 1 of 0, margin 30",
        )
    )
    assert low["variety, last"] == found["variety, last"].max() and wide["distance"] == found["distance"].min()
    assert slow["distance"] < first["distance"] and slow["after steps"].startswith("10,000 of")
    assert (fakes["margin 120"], real["margin 120"]) == (119, 43)
    assert (found.loc[["error 0.5", "encoder's game 0.1", "generator's game 0.1"], "distance"] > first["distance"]).all()


def test_the_introvae_redraws_sharper_and_nearer_after_its_last_epoch():
    found = pd.read_csv(paths.kit() / "figures" / "redrawn.csv", index_col="model")
    kept, last = in_words(found, "the epoch of the rule (10)"), in_words(found, "the last epoch (30)")

    def interval(row, name):
        return [float(number) for number in row[name].split("[")[1].rstrip("]").split(", ")]

    low, high = interval(kept, "DFC-VAE / this")
    assert low < 1 < high and interval(last, "DFC-VAE / this")[1] < 1 and interval(last, "Laplace / Original")[1] < 1
    assert last["MSE"] < kept["MSE"]


def test_what_the_experiments_say_of_blur_and_of_near_copies(causes):
    ours, wide = in_words(causes, "VAE, the epoch of the rule"), in_words(causes, "twice as wide")
    mean, none = (in_words(causes, f"best linear VAE, {kl}") for kl in ("KL as mean", "no KL"))
    label = metrics.METRICS["laplace"].label
    assert mean[label] > 2 * ours[label] and mean[label] / in_words(causes, "VAE, the paper's")[label] == pytest.approx(
        0.67, abs=0.1
    )
    assert mean["min ISD"] < 1 and none["min ISD"] < 1
    assert (
        wide["min ISD"] == pytest.approx(in_words(causes, "VAE, the paper's")["min ISD"], abs=0.1)
        and wide["DS"] > 1.15 * ours["DS"]
    )
    quiet = in_words(causes, "without noise")
    assert quiet[label] == pytest.approx(0.9, abs=0.03) and quiet["min ISD"] > 0.98
