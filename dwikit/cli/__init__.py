"""Parsing of the command ``dwikit``. Each command is one call into a room, imported when called."""

import argparse
import sys

from dwikit import __version__
from dwikit.cli import cohort, data, networks, notebooks, reader_study
from dwikit.common.errors import InputError

GROUPS = (notebooks, cohort, data, networks, reader_study)


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="dwikit", description="From diffusion-weighted brain MR volumes to a study's tables.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in GROUPS:
        group.add(commands)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; an error that the user can correct is printed as one message, with exit status 2."""
    sys.stdout.reconfigure(errors="backslashreplace")  # a file name may hold bytes that are no text
    options = parser().parse_args(arguments)
    try:
        return options.action(options) or 0
    except InputError as error:
        print(f"dwikit: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("dwikit: stopped; run the same command again to resume.", file=sys.stderr)
        return 130
