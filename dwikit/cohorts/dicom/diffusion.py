"""b-values and directions as headers have them: in the standard's fields, or in those of Siemens, GE and Philips."""

from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset

Tag = tuple[int, int]

GE = "GEMS_PARM_01"
PRIVATE_B_VALUES = (
    ((0x0019, 0x0010), "SIEMENS MR HEADER", (0x0019, 0x100C)),
    ((0x0043, 0x0010), GE, (0x0043, 0x1039)),
    ((0x2001, 0x0010), "Philips Imaging DD 001", (0x2001, 0x1003)),
)
"""Where vendors keep the b-value: tag of the private creator, the creator, tag of the value."""
PRIVATE_DIRECTIONS = (
    ((0x0019, 0x0010), "SIEMENS MR HEADER", ((0x0019, 0x100E),)),
    ((0x0019, 0x0010), "GEMS_ACQU_01", ((0x0019, 0x10BB), (0x0019, 0x10BC), (0x0019, 0x10BD))),
    ((0x2005, 0x0010), "Philips MR Imaging DD 001", ((0x2005, 0x10B0), (0x2005, 0x10B1), (0x2005, 0x10B2))),
)
"""Where vendors keep the direction: in one element or in three. Its axes differ by vendor."""
FIELDS = (
    *("DiffusionBValue", "DiffusionDirectionality", "DiffusionGradientOrientation"),
    *(tag for creator, _, value in PRIVATE_B_VALUES for tag in (creator, value)),
    *(tag for creator, _, values in PRIVATE_DIRECTIONS for tag in (creator, *values)),
)
"""All that is read here."""
GE_FLAG = 100_000
"""GE adds a multiple of this to b-values of multi-shell protocols."""
WEIGHTED = 50.0
"""s/mm2: images below it count as b = 0."""


def b_values(dataset: Dataset) -> set[float]:
    """b-values (s/mm2) of an image or of the frames of a file; both where its fields contradict each other."""
    groups = [*dataset.get("SharedFunctionalGroupsSequence", ()), *dataset.get("PerFrameFunctionalGroupsSequence", ())]
    return set().union(b_value([dataset]), *(b_value([*inside(group)]) for group in groups))


def b_value(places: Sequence[Dataset]) -> set[float]:
    """The b-value of an image: that of the standard's field (0018,9087), or its vendor's where that is missing or empty.

    Empty where there is none; both where they contradict each other. GE's own is no contradiction if it is larger: it can be
    the highest of the series, even in images of b = 0, which have no direction.
    """
    standard = next((b for place in places if (b := number(place, (0x0018, 0x9087))) is not None and b >= 0), None)
    maker, private = next((found for place in places if (found := _private_b(place))), ("", None))
    if standard is None or private is None:
        return {b for b in (standard, private) if b is not None}
    near = abs(standard - private) <= max(WEIGHTED, 0.1 * max(standard, private))
    highest = maker == GE and private > standard and (standard >= WEIGHTED or not direction(places))
    return {standard} if near or highest else {standard, private}


def _private_b(dataset: Dataset) -> tuple[str, float] | None:
    for creator, name, tag in PRIVATE_B_VALUES:
        value = number(dataset, tag)
        if value is not None and value >= 0 and name in str(dataset.get(creator)):
            return name, value % GE_FLAG
    return None


def direction(places: Sequence[Dataset]) -> tuple[float, ...] | None:
    """Direction of diffusion weighting, to three digits and in its vendor's axes; None without one, as in a trace image."""
    if any(place.get("DiffusionDirectionality") == "ISOTROPIC" for place in places):
        return None
    for place in places:
        found = [numbers(place, (0x0018, 0x9089))]
        found += [
            [value for tag in tags for value in numbers(place, tag)]
            for creator, name, tags in PRIVATE_DIRECTIONS
            if name in str(place.get(creator))
        ]
        for vector in found:
            if len(vector) == 3 and np.linalg.norm(vector) > 0.03:  # dcm2niix calls what is shorter a null vector
                return tuple(round(value, 3) + 0.0 for value in vector)
    return None


def inside(dataset: Dataset):
    """A data set and those in its sequences."""
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from inside(item)


def number(dataset: Dataset, tag: Tag) -> float | None:
    """First number of an element; None without one."""
    return next(iter(numbers(dataset, tag)), None)


def numbers(dataset: Dataset, tag: Tag) -> list[float]:
    """Numbers of an element; its type is unknown if the file keeps no types."""
    element = dataset.get(tag)
    value = None if element is None else element.value
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace").strip(" \0").split("\\")
    try:
        found = [float(one) for one in ([value] if isinstance(value, (str, int, float)) else value or ())]
    except (TypeError, ValueError):
        return []
    return found if np.isfinite(found).all() else []
