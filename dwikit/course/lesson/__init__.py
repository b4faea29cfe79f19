"""Cells of a lesson in which the reader writes the lines that matter, and what happens if nobody does.

``kl = lesson.written("kl", kl)`` tries a function on small inputs, says what is wrong with it, and returns it if it is right;
otherwise it returns the solution, so that a notebook runs to its end in any case. ``lesson.beside("kl")`` shows the solution
beside the kit's own lines and asserts that they agree, once the reader has tried.
"""

import inspect
import os
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import CodeType

import keras
from IPython.display import Markdown, display

import dwikit
from dwikit.common.errors import InputError, choose
from dwikit.course.check import difference
from dwikit.course.lesson import beyond, evaluation, networks
from dwikit.course.lesson.question import Question
from dwikit.course.notebook import show_code

__all__ = ["FILL_IN", "TAPE", "beside", "written"]

QUESTIONS = {one.solution.__name__: one for one in (*networks.QUESTIONS, *evaluation.QUESTIONS, *beyond.QUESTIONS)}
FILL_IN = "DWIKIT_FILL_IN"
"""Environment variable: a run without a reader, which is shown every solution (``dwikit run`` sets it)."""
TAPE = keras.backend.backend() == "tensorflow"
"""Whether questions that take gradients can be tried."""
RELATIVE = 1e-4
"""Tolerance: single precision, in any order of operations."""

attempts: dict[str, set[CodeType | None]] = {}
"""Question -> the different answers that were tried; the same one again is no other attempt."""
in_use: dict[str, Callable] = {}
"""Question -> what ``written`` returned."""


def written(name: str, answer: Callable) -> Callable:
    """Try what the reader wrote, print what is wrong with it and one more hint each time, and return what to go on with.

    Args:
        name: of the question.
        answer: the reader's function; errors that it raises are passed on, ``NotImplementedError`` means: nothing written.

    Returns:
        ``answer`` if it is right, else the solution.

    Raises:
        InputError: no lesson asks for that name.
    """
    question = choose(QUESTIONS, name, "question")
    in_use[name] = question.solution
    if question.tape and not TAPE:
        print(f"{name} takes gradients and is tried on TensorFlow alone; Keras runs on {keras.backend.backend()} here.")
        return question.solution
    tried = attempts.setdefault(name, set())
    code = getattr(answer, "__code__", None)
    tried.add(code)
    try:
        value = question.try_out(answer)
    except NotImplementedError:
        tried.discard(code)
        print(f"{name}: not written yet. Until it is, the cells below use the solution.")
        return question.solution
    if problem := difference(value, question.try_out(question.solution), RELATIVE):
        shown = question.hints[: len(tried)]
        hints = [textwrap.fill(f"Hint {i} of {len(question.hints)}: {hint}", 95) for i, hint in enumerate(shown, 1)]
        print(f"{name}: not yet.\n{problem}", *hints, "The next cell shows a solution.", sep="\n")
        return question.solution
    print(f"{name}: right. The cells below use what you wrote.")
    in_use[name] = answer
    return answer


def beside(name: str) -> None:
    """Show the solution and the kit's own lines, after an attempt, and assert that they give the same as what is in use.

    Args:
        name: of the question.

    Raises:
        InputError: no lesson asks for that name, or it comes before ``written``.
        AssertionError: the kit's lines give something else.
    """
    question: Question = choose(QUESTIONS, name, "question")
    if name not in in_use:
        raise InputError(f"Run the cell above first, which ends with {name} = lesson.written({name!r}, {name}).")
    if not attempts.get(name) and FILL_IN not in os.environ:
        print(f"First write {name} in the cell above. After one attempt, a solution and the kit's own lines appear here.")
        return
    display(Markdown("A solution:"), show_code(question.solution))
    display(Markdown(f"The kit's lines, in {', '.join(dict.fromkeys(map(_file, question.kit)))}:"), show_code(*question.kit))
    if question.tape and not TAPE:
        return
    problem = difference(question.try_out(question.same or question.kit[0]), question.try_out(in_use[name]), RELATIVE)
    assert not problem, f"{name}: the kit's lines give something else.\n{problem}"
    print(f"Asserted: on the same inputs, the kit's lines give what {name} gives.")


def _file(function: Callable) -> str:
    return f"`{Path(inspect.getfile(function)).relative_to(Path(dwikit.__file__).parent.parent)}`"
