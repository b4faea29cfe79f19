"""Expected answers of the exercises on data and evaluation (1 and 8 to 10), each found in a different way than asked.

Over all pairs, by counting, or from inputs made so that the answer is known beforehand.
"""

import itertools

import numpy as np

from dwikit.course.check.case import Case, seeded

# ==== 1 Clip and normalize ====


def normalize() -> Case:
    """The numbers 0 to 100 in another order: their 95th percentile is 95."""
    volume = seeded(1).permutation(np.arange(101.0))
    expected = [1.0 if value > 95 else value / 95 for value in volume]
    return Case({"volume": volume, "percentile": 95}, expected, "Which maximum is left after clipping? 1 must be reached.")


def kept_levels() -> Case:
    """Levels that each have a name."""
    names = ["bottom"] * 2 + ["kept"] * 5 + ["top"] * 3
    expected = [level for level, name in enumerate(names) if name == "kept"]
    return Case({"n_levels": 10, "bottom": 2, "top": 3}, expected, "Level 0 is the lowest. How many are left at the end?")


def number_of_slices() -> Case:
    """Counted one by one."""
    expected = sum(1 for _ in itertools.product(range(7), range(5)))
    return Case({"n_cases": 7, "levels": np.arange(2, 7)}, expected, "Every scan gives one slice per kept level.")


# ==== 8 DS and ISD without pairs ====


def _sets() -> tuple[np.ndarray, np.ndarray]:
    return seeded(13).uniform(size=(4, 3, 3)), seeded(14).uniform(size=(6, 3, 3))


def _moments(images) -> tuple:
    return len(images), sum(images) / len(images), sum(np.vdot(image, image) for image in images) / len(images)


def moments() -> Case:
    """Image by image."""
    images = _sets()[0]
    hint = "The number of images, their mean image (H, W), and the mean over images of the sum of squared pixels."
    return Case({"images": images}, _moments(images), hint)


def dataset_similarity() -> Case:
    """Over all pairs."""
    samples, originals = _sets()
    expected = np.mean([np.mean((one - other) ** 2) for one in samples for other in originals])
    arguments = {"samples": _moments(samples), "originals": _moments(originals)}
    return Case(arguments, expected, "Expand |s - o|^2 and average term by term. Then: a mean over pixels, not a sum.")


def intra_sample_diversity() -> Case:
    """Over all pairs of two different samples."""
    samples = _sets()[0]
    expected = np.mean([np.mean((one - other) ** 2) for one, other in itertools.permutations(samples, 2)])
    hint = "DS of the samples with themselves has n * n pairs, n of which pair an image with itself and count 0."
    return Case({"samples": _moments(samples)}, expected, hint)


# ==== 9 Laplace variance ====


def laplacian() -> Case:
    """By scipy."""
    from scipy import ndimage

    image = seeded(15).uniform(size=(5, 6))
    expected = ndimage.laplace(image, mode="mirror")
    return Case({"image": image}, expected, "Right inside but not at the border? Above the first row comes the second again.")


def sharpest() -> Case:
    """The bound, by scipy: every pixel's Laplacian lies between -4 and 4."""
    from scipy import ndimage

    def measure(image) -> tuple:
        image = np.asarray(image, float)
        return image.shape, image.min(), image.max(), ndimage.laplace(image, mode="mirror").var()

    hint = "Shape, minimum, maximum and Laplace variance are compared. How large can the answer of one pixel get? And of all?"
    return Case({"size": 8}, ((8, 8), 0, 1, 4**2), hint, measure)


def to_unit_scale() -> Case:
    """From the variance of the same numbers on both scales."""
    values = seeded(16).uniform(size=50)
    return Case({"variance": np.var(255 * values)}, np.var(values), "A variance is in squared units.")


# ==== 10 Kappa ====


def _kappa(table) -> float:
    """From disagreements: on the same image, and between the readers' verdicts on any two images."""
    verdicts = [(i, j) for i in range(2) for j in range(2) for _ in range(int(table[i][j]))]
    first, second = np.array(verdicts).T
    return float(1 - np.mean(first != second) / np.mean(first[:, None] != second[None]))


def called_real() -> Case:
    """Image by image."""
    shares = np.array([0.9, 0.2, 0.0])
    expected = sum(1 for share in shares for i in range(50) if i < 50 * share)
    return Case({"shares": shares, "per_group": 50}, expected, "Share times 50 images, group by group, summed; a whole number.")


def kappa() -> Case:
    """Over all pairs of images."""
    table = np.array([[20, 5], [10, 15]])
    return Case({"table": table}, _kappa(table), "Chance agreement: both say real by chance, or both fake.")


def possible_tables() -> Case:
    """By trying every table of 20 images."""
    real_1, real_2, n, printed = 12, 10, 20, 0.6
    counts = (row for row in itertools.product(range(n + 1), repeat=4) if sum(row) == n)
    tables = [np.reshape(row, (2, 2)) for row in counts if row[0] + row[1] == real_1 and row[0] + row[2] == real_2]
    expected = [table for table in tables if round(_kappa(table), 2) == printed]
    arguments = {"real_1": real_1, "real_2": real_2, "n": n, "printed": printed, "kappa": _kappa}
    return Case(arguments, expected, "One count fixes the other three. None may be negative. Print every kappa you compare.")
