"""Parsing of the command ``dwikit``. Each command is one call into a room, imported when called."""

import argparse
import os
import sys
from pathlib import Path

from dwikit import __version__
from dwikit.cli import cohort, comparison, data, networks, notebooks, reader_study
from dwikit.common import paths
from dwikit.common.errors import InputError

GROUPS = (notebooks, cohort, data, networks, comparison, reader_study)


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="dwikit", description="From diffusion-weighted brain MR volumes to a study's tables.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in GROUPS:
        group.add(commands)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; an error that the user can correct is printed as one message, with its exit status, mostly 2."""
    sys.stdout.reconfigure(errors="backslashreplace")  # a file name may hold bytes that are no text
    options = parser().parse_args(arguments)
    if backend := getattr(options, "backend", None):
        os.environ["KERAS_BACKEND"] = backend  # which Keras, not imported yet, and processes of this one read
    try:
        _check(options)
        return options.action(options) or 0
    except InputError as error:
        print(f"dwikit: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print("dwikit: stopped; run the same command again to resume.", file=sys.stderr)
        return 130


def _check(options: argparse.Namespace) -> None:
    """Replace ``~`` in every path, which no shell does in ``--out=~/x``, and refuse seeds below 0.

    Raises:
        InputError: a seed below 0, or the home folder of an unknown user.
    """
    for name, value in vars(options).items():
        if isinstance(value, Path):
            setattr(options, name, paths.home(value))
        elif isinstance(value, list) and value and isinstance(value[0], Path):
            setattr(options, name, [paths.home(one) for one in value])
        elif name == "seed" and value is not None and value < 0:
            raise InputError(f"--seed must be 0 or more, not {value}.")
