"""Instant feedback for the exercises: your value, the expected one, a hint.

``check("kl", kl)`` calls a function with a small seeded input and compares what it returns. Points come from the tests of the
exercise, which also try other inputs. Only numpy is imported, so an exercise starts at once.
"""

import copy
import inspect
import textwrap
from collections.abc import Callable

import numpy as np

from dwikit.common.errors import InputError
from dwikit.course.check import evaluation, networks
from dwikit.course.check.case import Case
from dwikit.course.check.material import slices, volumes

__all__ = ["check", "inputs", "slices", "volumes"]

CASES = {
    1: (evaluation.normalize, evaluation.kept_levels, evaluation.number_of_slices),
    2: (networks.kl, networks.kl_monte_carlo),
    3: (networks.sample, networks.gradient),
    4: (networks.pixel_loss, networks.layer_loss, networks.preference),
    5: (networks.encoder_loss, networks.gradient_stopped, networks.gradient_through),
    6: (networks.adain, networks.style_of),
    7: (networks.wasserstein, networks.critic_gap, networks.gradient_penalty),
    8: (evaluation.moments, evaluation.dataset_similarity, evaluation.intra_sample_diversity),
    9: (evaluation.laplacian, evaluation.sharpest, evaluation.to_unit_scale),
    10: (evaluation.called_real, evaluation.kappa, evaluation.possible_tables),
    11: (networks.best_denoiser, networks.midpoint_step),
}
"""The questions of each exercise; a question is named after the function to write."""
RELATIVE, ABSOLUTE = 1e-5, 1e-8


def check(name: str, answer: Callable) -> bool:
    """Call a function of an exercise and print what it returned beside what it should return.

    Args:
        name: what the exercise calls it, such as ``"kl"``.
        answer: the function; errors that it raises are passed on.

    Returns:
        Whether the answer is right.

    Raises:
        InputError: no exercise has that name.
    """
    case = _case(name)
    try:
        value = answer(*copy.deepcopy(list(case.arguments.values())))
    except NotImplementedError:
        print(f"{name}: not written yet.")
        return False
    if case.measure and value is not None:
        value = case.measure(value)
    if problem := difference(value, case.expected):
        hint = textwrap.fill(f"Hint: {case.hint}", 95)
        print(f"{name}: not yet, for\n{_shown(case.arguments)}\n{problem}\n{hint}")
        return False
    print(f"{name}: right.")
    return True


def inputs(name: str) -> dict:
    """The arguments, by name, with which ``check`` calls the function."""
    return copy.deepcopy(_case(name).arguments)


def _case(name: str) -> Case:
    cases = {case.__name__: case for group in CASES.values() for case in group}
    if name not in cases:
        raise InputError(f"No exercise asks for {name!r}. Known: {', '.join(cases)}.")
    return cases[name]()


def _shown(arguments: dict) -> str:
    """Arguments, one per line: the value if it is short, else its shape."""
    return "\n".join(f"    {name}: {_text(value)}" for name, value in arguments.items())


def _text(value) -> str:
    if callable(value):
        return inspect.getdoc(value) or "a function"
    if isinstance(value, tuple):
        return f"({', '.join(map(_text, value))})"
    if np.size(value) > 9:
        return f"of shape {np.shape(value)}"
    return np.array2string(np.asarray(value), precision=5, suppress_small=True, separator=", ").replace("\n", "")


def difference(value, expected, relative: float = RELATIVE) -> str | None:
    """What is wrong with a value, in words; None if nothing is.

    Args:
        value: what a reader's function returned.
        expected: number, array, or a tuple of them.
        relative: tolerance.
    """
    if value is None:
        return "Your function returns nothing: is there a return?"
    if isinstance(expected, tuple):  # several values
        if not isinstance(value, tuple | list) or len(value) != len(expected):
            return f"Return {len(expected)} values, separated by commas."
        problems = [(i, difference(mine, theirs, relative)) for i, (mine, theirs) in enumerate(zip(value, expected), 1)]
        return next((f"Value {i} of {len(expected)}:\n{problem}" for i, problem in problems if problem), None)
    try:
        value, expected = np.asarray(value, float), np.asarray(expected, float)
    except (TypeError, ValueError):
        return f"Your function returns {type(value).__name__}, but numbers are expected."
    if value.shape != expected.shape:
        return f"your value      has shape {value.shape}\nexpected shape  {expected.shape}"
    if np.allclose(value, expected, relative, ABSOLUTE):
        return None
    if expected.size <= 9:
        return f"your value      {_text(value)}\nexpected value  {_text(expected)}" + _pattern(value, expected)
    distance = np.where(np.isfinite(value), np.abs(value - expected), np.inf)
    worst = np.unravel_index(distance.argmax(), expected.shape)
    place = f"at [{', '.join(map(str, worst))}]"
    wrong = (distance > ABSOLUTE + relative * np.abs(expected)).mean()
    lines = f"your value      {value[worst]:.6g} {place}\nexpected value  {expected[worst]:.6g} {place}"
    return f"{lines}\n{wrong:.0%} of the values differ." + _pattern(value, expected)


def _pattern(value: np.ndarray, expected: np.ndarray) -> str:
    """A sentence if all values are off by the same factor or summand."""
    if not np.isfinite(value).all():
        return "\nNot every value is a finite number."
    if expected.size > 1 and np.allclose(value - expected, np.mean(value - expected), RELATIVE, ABSOLUTE):
        return f"\nEvery value is off by the same {np.mean(value - expected):.5g}."
    ratio = np.divide(value, expected, out=np.full(value.shape, np.nan), where=expected != 0)
    factor = np.nanmean(ratio) if expected.any() else 0.0
    whole = factor and np.isclose([factor, 1 / factor], np.round([factor, 1 / factor]), RELATIVE).any()
    if factor and (whole or expected.size > 1) and np.allclose(value, factor * expected, RELATIVE, ABSOLUTE):
        return f"\nThat is {factor:.5g} times the expected value."
    return ""
