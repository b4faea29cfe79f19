"""How often do the intervals of a reader study hold? ``python benchmarks/coverage.py [--studies 2000] [--averages 1000]``.

Readers and images are drawn from a model in which the truth is known: the scores of Roe and Metz (1997), where networks have
images of their own and share the real ones. One reader's area, and averages and contrasts over readers.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import norm

from dwikit import profiles, report
from dwikit.reader_study import mrmc, roc

READER, INTERACTION, IMAGE = 0.25, 0.15, 0.5
"""Of a score: standard deviations of readers' criteria for each kind and for each network, and the share of the variance of 1
within a kind that all readers see alike."""
LEVELS = 10
"""Confidences from 1 to 5 for either answer."""


def scores(
    readers: int, distance: Sequence[float], real: int, fake: int, rng: np.random.Generator
) -> tuple[np.ndarray, list[np.ndarray]]:
    """One study: scores (readers, images) of the real images and of each network's, high for fake.

    Args:
        readers: number of readers.
        distance: of each network's mean from the mean of the real images.
        real: number of real images.
        fake: number of images of each network.
        rng: of the draws.
    """

    def draw(n: int, mean: np.ndarray | float) -> np.ndarray:
        alike, own = rng.standard_normal(n), rng.standard_normal((readers, n))
        return mean + np.sqrt(IMAGE) * alike + np.sqrt(1 - IMAGE) * own

    of_real, of_fake = READER * rng.standard_normal((2, readers, 1))
    return draw(real, of_real), [draw(fake, of_fake + INTERACTION * rng.standard_normal((readers, 1)) + d) for d in distance]


def true_distance(area: float) -> float:
    """Distance of the means with which ``scores`` has an area, averaged over readers."""
    return float(norm.ppf(area) * np.sqrt(2 + 2 * READER**2 + INTERACTION**2))


def many_readers(readers: int, areas: tuple[float, float], images: int, studies: int, seed: int = 0) -> dict[str, float]:
    """Share of studies whose intervals hold the average of the first network's area, and its difference from the second's.

    And the share whose test finds a difference at p below 0.05: the error of the first kind where the areas are equal.
    """
    rng, distance = np.random.default_rng(seed), [true_distance(area) for area in areas]
    variance, held = roc.area_variance(images, images), []
    for _ in range(studies):
        real, fakes = scores(readers, distance, images, images, rng)
        first, second = (mrmc.area(real, fake, name) for fake, name in zip(fakes, "ab"))
        one, both = mrmc.interval(first, variance), mrmc.area_difference_interval(first, second, (variance, variance))
        between = mrmc.average(first - second)
        found = between is not None and between.p < 0.05
        held.append([one[0] <= areas[0] <= one[1], both[0] <= areas[0] - areas[1] <= both[1], found])
    return dict(zip(("average", "contrast", "found"), np.mean(held, axis=0)))


def one_reader(area: float, real: int, fake: int, studies: int, levels: int | None = None, seed: int = 0) -> dict[str, float]:
    """Share of studies whose interval of one reader's area holds, and that of the normal interval for comparison."""
    rng = np.random.default_rng(seed)
    distance, positive = np.sqrt(2) * norm.ppf(area), np.arange(real + fake) >= real
    bounds = distance / 2 + np.linspace(-1.6, 1.6, levels - 1) if levels else None
    if levels:  # ties count half
        cells = [np.diff([0, *norm.cdf(bounds - mean), 1]) for mean in (0, distance)]
        area = float(cells[1] @ (np.cumsum(cells[0]) - cells[0] / 2))
    held = []
    for _ in range(studies):
        score = rng.standard_normal(real + fake) + distance * positive
        found = roc.area(np.digitize(score, bounds) if levels else score, positive)
        low, high = roc.area_interval(found, fake, real)
        held.append([low <= area <= high, found.low <= area <= found.value + (found.value - found.low)])
    logit, normal = np.mean(held, axis=0)
    return {"area": area, "logit": logit, "normal": normal}


def table(studies: int, averages: int) -> pd.DataFrame:
    """Coverage in percent, one row per setting."""
    rows = {}
    for area in (0.75, 0.96, 0.99):
        for levels in (None, LEVELS):
            found = one_reader(area, 50, 200, studies, levels)
            name = f"one reader, area {found['area']:.3f}, 50 real and 200 fake, {levels or 'no'} levels"
            rows[name] = {"interval": found["logit"], "normal interval": found["normal"]}
    for readers in (2, 3, 5, 10):
        for areas in ((0.75, 0.75), (0.96, 0.96), (0.99, 0.96)):
            found = many_readers(readers, areas, 50, averages)
            name = f"{readers} readers, areas {areas[0]} and {areas[1]}, 50 images each"
            rows[name] = {"interval": found["average"], "interval of the difference": found["contrast"]}
            rows[name]["difference found"] = found["found"]
    percent = pd.DataFrame.from_dict(rows, orient="index").map(lambda share: "-" if pd.isna(share) else f"{100 * share:.1f}")
    return percent.rename_axis("percent of studies that hold the truth")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000, help="simulated for each row of one reader")
    parser.add_argument("--averages", type=int, default=1000, help="simulated for each row of several readers")
    options = parser.parse_args()
    found = table(options.studies, options.averages)
    numbers = ["--studies", str(options.studies), "--averages", str(options.averages)]
    command = report.command("python", "benchmarks/coverage.py", *numbers)
    facts = {"reader_sd": READER, "interaction_sd": INTERACTION, "image_share": IMAGE}
    report.save_table(found, "coverage", report.provenance(profiles.resolve("paper"), command, **facts))
    print(report.markdown(found))


if __name__ == "__main__":
    main()
