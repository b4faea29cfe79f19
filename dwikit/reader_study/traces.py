"""Do traces of their making tell generated images from real ones? Single numbers of an image, each with its best rule.

Only traces are looked at: what lies outside the head, the ends of the grey scale, the number of its steps, periodic patterns.
What a head looks like is content: readers are meant to judge by it, and ``metrics.machine_reader`` does.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import ndimage

from dwikit import metrics
from dwikit.common.errors import InputError
from dwikit.metrics import periodic
from dwikit.reader_study.prepare import head_of, spectra
from dwikit.reader_study.readings import ORIGINAL
from dwikit.reader_study.roc import area

ENOUGH = 250
"""Images of a group that are looked at; with fewer, the bound is too wide to find what matters."""
MARGIN = 0.02
"""Of the image's side: what lies farther from a head is air."""
FOLDS, BINS, PERMUTATIONS, LEVEL = 5, 32, 500, 0.95


def traces(images: np.ndarray) -> pd.DataFrame:
    """Single numbers of each image (n, H, W) uint8 that no reader should judge by: one column a number."""
    height, width = images.shape[1:]
    corner, margin = max(1, min(height, width) // 8), max(1, round(MARGIN * max(height, width)))
    rows = []
    for image in images:
        head = head_of(image)
        edge = np.concatenate([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]]).astype(float)
        corners = image[np.ix_([*range(corner), *range(-corner, 0)], [*range(corner), *range(-corner, 0)])].astype(float)
        near = ndimage.binary_dilation(head, np.ones((3, 3)), margin)
        air, inside = (image[part].astype(float) if part.any() else np.zeros(1) for part in (~near, head))
        counts = np.bincount(inside.astype(int), minlength=256) / len(inside)
        rows.append(
            {
                "border: pixels above 0": (edge > 0).sum(),
                "border: mean": edge.mean(),
                "corners: mean": corners.mean(),
                "air: mean": air.mean(),
                "air: standard deviation": air.std(),
                "air: brightest": air.max(),
                "air: share of 0": (air == 0).mean(),
                "head: share of 0": counts[0],
                "head: share of its darkest grey": counts[counts > 0][0],
                "head: share of 255": counts[255],
                "darkest value": image.min(),
                "head: darkest value": inside.min(),
                "brightest value": image.max(),
                "number of grey values": len(np.unique(image)),
            }
        )
    return pd.DataFrame(rows).astype(float).assign(**{"periodic excess": periodic.excess(np.abs(spectra(images)) ** 2)})


def check(
    groups: Mapping[str, np.ndarray],
    subjects: Sequence[str] | None = None,
    seed: int = 0,
    through: Callable[[np.ndarray], np.ndarray] = np.asarray,
    among: Mapping[str, np.ndarray] | None = None,
) -> pd.DataFrame:
    """Every single number of every group of generated images against the real ones.

    A rule calls an image fake if one of its numbers lies inside (or outside) an interval. The interval is chosen on four
    fifths of the images and the rule tested on the others; all images of a person are in one fifth. The bound is what the best
    of all rules for all groups reaches, in 95 of 100 cases, where there is nothing to find: half of the people and half of the
    fakes exchange their labels, 500 times.

    Args:
        groups: group -> images (n, H, W) uint8; ``original`` holds the real ones. 250 of each are used.
        subjects: person of each real image; None: all are different people's.
        seed: of the choice, the fifths and the permutations.
        through: what is done to the images before, such as the preparation of a deck.
        among: group -> positions of the images that may be used; None: all.

    Returns:
        One row per group and number, the worst first: group, trace, n (images of the smaller side), accuracy (mean of the
        shares right among real and among fake images; 0.5 by chance), auc (of the number itself, 0.5 to 1), bound, and leaks
        (accuracy above the bound).

    Raises:
        InputError: no real or no generated images, or fewer than two people.
    """
    rng = np.random.default_rng(seed)
    among = among or {group: np.arange(len(images)) for group, images in groups.items()}
    chosen = {group: np.sort(rng.permutation(among[group])[:ENOUGH]) for group in groups}
    numbers = {group: traces(through(metrics.as_images(groups[group])[index])) for group, index in chosen.items()}
    people = np.arange(len(groups[ORIGINAL])) if subjects is None else np.asarray(subjects).astype(str)
    people = np.unique(people[chosen[ORIGINAL]], return_inverse=True)[1]
    if len(groups) < 2 or people.max() < 1:
        raise InputError("A check for traces needs real images of two or more people, and generated ones.")
    rows, best = [], np.zeros(PERMUTATIONS)
    real = numbers.pop(ORIGINAL)
    for group, fake in numbers.items():
        owners = [people, np.arange(len(fake))]
        labels = np.concatenate([_labels(owner, kind, rng) for kind, owner in enumerate(owners)], axis=1)
        folds = np.concatenate([(rng.permutation(owner.max() + 1) % FOLDS)[owner] for owner in owners])
        for trace in real:
            values = np.concatenate([real[trace], fake[trace]])
            right = _accuracies(values, labels, folds)
            auc = area(values, labels[0]).value
            row = {"group": group, "trace": trace, "n": min(len(real), len(fake)), "accuracy": right[0]}
            rows.append(row | {"auc": max(auc, 1 - auc)})
            best = np.maximum(best, right[1:])
    table = pd.DataFrame(rows).sort_values("accuracy", ascending=False, kind="stable", ignore_index=True)
    table["bound"] = float(np.quantile(best, LEVEL))
    return table.assign(leaks=table["accuracy"] > table["bound"])


def leaks(checked: pd.DataFrame) -> list[str]:
    """A sentence for every rule above the bound of a ``check``."""
    return [
        f"{row.trace}: this number alone tells {row.group} from real images, {row.accuracy:.1%} right on images that the rule "
        f"was not made on; chance reaches {row.bound:.1%}."
        for row in checked[checked["leaks"]].itertuples()
    ]


def limits(checked: pd.DataFrame) -> list[str]:
    """A sentence if a ``check`` had too few images to find much."""
    few = int(checked["n"].min())
    said = f"The check for traces had {few} images a group; with fewer than {ENOUGH}, it finds only coarse ones."
    return [said] if few < ENOUGH else []


def _labels(owner: np.ndarray, kind: int, rng: np.random.Generator) -> np.ndarray:
    """Labels (1 + permutations, n): the true ones, and those in which half of the owners have the other one."""
    count = owner.max() + 1
    swapped = rng.permuted(np.tile(np.arange(count) % 2 == 1, (PERMUTATIONS, 1)), axis=1)[:, owner]
    return np.concatenate([np.full((1, len(owner)), kind == 1), swapped ^ (kind == 1)])


def _accuracies(values: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Held-out accuracy of the best interval of some values (n,), for each row of labels (r, n), True for fake."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:]))
    bins = np.searchsorted(edges, values)
    inside = (bins[:, None] == np.arange(len(edges))).astype(float)
    fake = np.stack([labels[:, folds == f] @ inside[folds == f] for f in range(FOLDS)])
    real = np.stack([~labels[:, folds == f] @ inside[folds == f] for f in range(FOLDS)])
    right = np.zeros((2, len(labels)))
    for f in range(FOLDS):
        others = [counts.sum(axis=0) - counts[f] for counts in (fake, real)]
        shares = [counts / counts.sum(axis=1, keepdims=True).clip(1) for counts in others]
        called = _best_interval(shares[0] - shares[1])
        right += (fake[f] * called).sum(1), (real[f] * ~called).sum(1)
    return (right[0] / fake.sum((0, 2)) + right[1] / real.sum((0, 2))) / 2


def _best_interval(gain: np.ndarray) -> np.ndarray:
    """Bins (r, b) to call fake: the interval of the greatest sum of each row, or all but that of the smallest."""
    found = []
    for sign in (1, -1):
        sums = np.pad(np.cumsum(sign * gain, axis=1), [(0, 0), (1, 0)])
        lowest = np.minimum.accumulate(sums[:, :-1], axis=1)
        end = np.argmax(sums[:, 1:] - lowest, axis=1)
        start = np.array([np.argmin(row[: stop + 1]) for row, stop in zip(sums, end)])
        place = np.arange(gain.shape[1])
        found.append(((place >= start[:, None]) & (place <= end[:, None]), (sums[:, 1:] - lowest).max(axis=1)))
    (inside, gained), (outside, spared) = found
    return np.where((gained >= spared)[:, None], inside, ~outside)
