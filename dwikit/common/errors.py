"""The one exception for mistakes that a user can correct, and a choice that raises it."""

import difflib
from collections.abc import Mapping
from typing import Any


class InputError(ValueError):
    """Something the user provided cannot be used; the message names it and says what to do.

    The command line prints the message alone; a notebook shows it at the end of a short traceback.
    """

    status = 2
    """Exit status of the command line."""


def choose(options: Mapping[str, Any], name: str, what: str) -> Any:
    """``options[name]``.

    Raises:
        InputError: no such option; the message names the nearest and lists all.
    """
    if name in options:
        return options[name]
    near = difflib.get_close_matches(str(name), options, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise InputError(f"There is no {what} {name!r}.{hint} Known: {', '.join(options)}.")
