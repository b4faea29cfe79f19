"""Does a page give its answers away? A classifier that sees everything on a page but the pixels, against chance."""

import base64
import zlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_predict

from dwikit.reader_study.deck import Deck, page_content
from dwikit.reader_study.readings import ORIGINAL
from dwikit.reader_study.roc import area


def page_features(page: str) -> pd.DataFrame:
    """What a page reveals about each image besides its pixels: place in the file, length, letters of its name, neighbours.

    Args:
        page: text of the page.

    Returns:
        One row per image, in the order of reading; all columns are numbers.
    """
    entries = page_content(page)["images"]
    names = [entry["image"] for entry in entries]
    letters = np.array([[ord(letter) for letter in name] for name in names])
    table = pd.DataFrame(
        {
            "position": np.arange(len(entries)),
            "place": [page.index(f'"{name}"') for name in names],
            "length": [len(entry["pixels"]) for entry in entries],
            "fields": [len(entry) for entry in entries],
            "rank of name": np.argsort(np.argsort(names)),
        }
    )
    table["step of rank"] = table["rank of name"].diff().fillna(0)
    table["step of place"] = table["place"].diff().fillna(0)
    return table.join(pd.DataFrame(letters, columns=[f"letter {i + 1}" for i in range(letters.shape[1])]))


def compressed_length(page: str) -> np.ndarray:
    """Bytes of each image if compressed without loss (deflate, as in PNG): the leak that raw pixels avoid."""
    entries = page_content(page)["images"]
    return np.array([len(zlib.compress(base64.b64decode(entry["pixels"]), 9)) for entry in entries])


def separation(features: Sequence[pd.DataFrame], fake: Sequence[np.ndarray], seed: int = 0) -> pd.DataFrame:
    """How well a random forest tells real from fake by such features, on images it was not trained on.

    Two ways to cheat are tried: a rule that holds in every deck (trained on all decks but one), and a rule of one deck
    (trained on four fifths of its images).

    Args:
        features: one table per deck.
        fake: one array (n,) of bool per deck.
        seed: of the forest.

    Returns:
        Rows ``within a deck`` and ``across decks``: n, accuracy (as many called fake as are; the mean of the accuracies on
        real and on fake images, 0.5 by chance), its standard error under chance, and area under the ROC curve.
    """
    everything, truth = pd.concat(features, ignore_index=True), np.concatenate(fake)
    decks = np.repeat(np.arange(len(fake)), [len(flags) for flags in fake])
    scores = {"within a deck": np.concatenate([_held_out(x, y, seed) for x, y in zip(features, fake)])}
    if len(fake) > 1:
        scores["across decks"] = _held_out(everything, truth, seed, decks)
    rows = {}
    for name, score in scores.items():
        called = score > np.quantile(score, 1 - truth.mean())
        accuracy = (called[truth].mean() + (~called[~truth]).mean()) / 2
        se = np.sqrt(called.var() * (1 / truth.sum() + 1 / (~truth).sum())) / 2
        rows[name] = {"n": len(truth), "accuracy": accuracy, "se": se, "area": area(score, truth).value}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("rule")


def leak_test(decks: Sequence[Deck], seed: int = 0) -> pd.DataFrame:
    """``separation`` of the pages of some decks by everything but the pixels."""
    features = [page_features(deck.page.read_text(encoding="utf-8")) for deck in decks]
    return separation(features, [(deck.key["group"] != ORIGINAL).to_numpy() for deck in decks], seed)


def _held_out(features: pd.DataFrame, fake: np.ndarray, seed: int, decks: np.ndarray | None = None) -> np.ndarray:
    """Probability that each image is fake, from a forest trained without it (or without its deck)."""
    forest = RandomForestClassifier(40, min_samples_leaf=5, class_weight="balanced_subsample", random_state=seed)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed) if decks is None else GroupKFold(min(5, decks.max() + 1))
    return cross_val_predict(forest, features, fake, groups=decks, cv=folds, method="predict_proba")[:, 1]
