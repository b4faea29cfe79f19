"""The few people that a network learns from, and the held-out people on whom it is judged."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dwikit.cohorts import phantom
from dwikit.common.errors import InputError
from dwikit.profiles import Profile
from dwikit.slices import SliceStore, grid, histogram, normalize, shrink, to_uint8

HEAD_MM = 220.0
"""The networks see a central window of at least this many millimetres: brains fit, most air does not."""
LEVELS_OF_POOLING = 2


@dataclass(frozen=True)
class Slices:
    """Slices of several people.

    Attributes:
        images: (N, H, W) uint8.
        labels: (N, H, W) uint8 tissue (0 none, 1 grey, 2 white, 3 fluid), or None.
        patients: (N,) int, from 0 on: person of each slice.
    """

    images: np.ndarray
    labels: np.ndarray | None
    patients: np.ndarray


def choose(config: Profile, store: SliceStore) -> tuple[list[str], list[str]]:
    """Subjects to learn from (of the training split; every seed has its own) and held-out ones (of the test split
    first: those of validation chose the epoch from which the generators come).

    The last in the list are taken: if any come by the direct path, these do, so that the labelled slices are those of
    the store, pixel by pixel.

    Raises:
        InputError: too few people.
    """
    section = config.evaluation.usefulness
    wanted = section.patients * section.seeds
    subjects = store.table.drop_duplicates("subject")
    train = subjects.loc[subjects["split"] == "train", "subject"].tolist()
    rest = subjects[subjects["split"] != "train"].sort_values("split", key=lambda split: split == "test", kind="stable")
    if len(train) <= wanted or len(rest) < 2:
        raise InputError(
            f"{wanted} people to learn from, others in the training split and 2 held-out people are needed; the store has "
            f"{len(train)} in training and {len(rest)} held out. Prepare more scans, or lower evaluation.usefulness.patients."
        )
    return train[-wanted:], rest.iloc[-section.held_out :].sort_index()["subject"].tolist()


def window(image_size: int, fov_mm: float) -> slice:
    """Rows (and columns) of the middle HEAD_MM of a slice, a multiple of the network's pooling factor."""
    step = 2 * 2**LEVELS_OF_POOLING
    size = min(int(np.ceil(HEAD_MM / fov_mm * image_size / step)) * step, image_size)
    return slice((image_size - size) // 2, (image_size + size) // 2)


def cut(images: np.ndarray, fov_mm: float) -> np.ndarray:
    """The window of images (..., H, W)."""
    middle = window(images.shape[-1], fov_mm)
    return images[..., middle, middle]


def from_store(config: Profile, store: SliceStore, subjects: Sequence[str]) -> Slices:
    """The subjects' slices as they are in the store, without labels."""
    places = {subject: i for i, subject in enumerate(subjects)}
    rows = np.flatnonzero(store.table["subject"].isin(subjects))
    owners = store.table["subject"].to_numpy()[rows]
    return Slices(cut(store.images[rows], config.slice_settings.fov_mm), None, np.array([places[owner] for owner in owners]))


def with_labels(config: Profile, store: SliceStore, subjects: Sequence[str]) -> Slices:
    """The subjects' slices with their tissues, simulated again by the direct path.

    The direct path always gives the same image for the same person. People whose slices in the store went
    through NIfTI and ANTs come by the direct path here, since only there do image and tissues share one grid.

    Raises:
        InputError: the cohort is not simulated, so its tissues are unknown; or the store has other slices of a person, since
            other settings or other code made it.
    """
    if config.cohort.bids or store.settings.get("cohort", {}).get("bids"):
        raise InputError("Tissue labels are known only for the simulated cohort; denoising needs none.")
    images, labels = [], []
    for subject in subjects:
        number = int(subject.removeprefix("sub-")) - 1
        [volume] = phantom.simulate_volumes(
            1, seed=config.cohort.seed, first=number, labels=True, workers=1, settings=config.slice_settings
        )
        counts = histogram.histogram(volume.image)
        cap = store.settings.get("clip") or histogram.percentile(counts, store.settings["percentile"])
        images.append(to_uint8(normalize(shrink(volume.image, store.image_size), cap)))
        _require_same(store, subject, images[-1])
        labels.append(shrink_labels(volume.labels, store.image_size))
    images, labels = (cut(np.concatenate(arrays), config.slice_settings.fov_mm) for arrays in (images, labels))
    return Slices(images, labels, np.repeat(np.arange(len(subjects)), grid.N_LEVELS))


def _require_same(store: SliceStore, subject: str, images: np.ndarray) -> None:
    """InputError unless the store has these slices of a person who came by the direct path; a grey level may be rounded."""
    rows = np.flatnonzero(store.table["subject"] == subject)
    direct = (store.table["origin"].iloc[rows] == "simulated").all()
    if direct and np.abs(store.images[rows].astype(int) - images).max() > 1:
        raise InputError(
            f"The slices of {subject} are not those that this profile and this version simulate, so their tissues are unknown. "
            f"Run 01_preprocess: it builds the slices again."
        )


def shrink_labels(labels: np.ndarray, image_size: int) -> np.ndarray:
    """Tissues (L, H, W) uint8 at a smaller size: the most frequent one of each block of pixels."""
    shares = [shrink((labels == tissue).astype(np.float32), image_size) for tissue in range(4)]
    return np.argmax(shares, axis=0).astype(np.uint8)
