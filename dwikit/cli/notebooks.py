"""``dwikit doctor``, ``run`` and ``reproduce``."""

from pathlib import Path
from typing import Any

from dwikit.common import keras_settings
from dwikit.common.errors import InputError

PROFILE = "name of a profile (smoke, quick, hours, gpu, ...) or run, or path of a .yaml file; default $DWIKIT_PROFILE or quick"
RUN = "name of a run that keeps its settings and results apart, in runs/NAME"
BACKEND = {"choices": keras_settings.BACKENDS, "help": "what Keras computes with; default $KERAS_BACKEND or tensorflow"}
SETTING = {"action": "append", "default": [], "metavar": "NAME=VALUE"}


def add(commands) -> None:
    """Adds the commands to the subparsers of ``dwikit``."""
    command = commands.add_parser("doctor", help="show versions, GPU, disk, and what is missing and how to get it")
    command.set_defaults(action=_doctor)

    command = commands.add_parser("run", help="run one notebook headless")
    command.add_argument("notebook", help="name, such as 02_train_vae, or path")
    command.add_argument("-p", "--parameter", **SETTING, help="e.g. epochs=3 or model.margin=20")
    command.add_argument("--run", metavar="NAME", help=RUN)
    command.add_argument("--backend", **BACKEND)
    command.add_argument("-o", "--output", type=Path, help="default: runs/<profile>/notebooks/<name>.ipynb")
    command.set_defaults(action=_run)

    command = commands.add_parser("reproduce", help="run the study's notebooks in order")
    command.add_argument("--profile", help=PROFILE)
    command.add_argument("--backend", **BACKEND)
    command.set_defaults(action=_reproduce)


def _doctor(options) -> int:
    from dwikit.common import doctor

    text, healthy = doctor.report()
    print(text)
    return 0 if healthy else 1


def _run(options) -> None:
    from dwikit.course import run
    from dwikit.profiles import runs

    parameters = runs.nested(settings(options.parameter))
    run.notebook(options.notebook, parameters | ({"run_name": options.run} if options.run else {}), options.output)


def settings(pairs: list[str], several: bool = False) -> dict[str, Any]:
    """The values of ``-p NAME=VALUE``, by name; sections of a name are separated by dots. If ``several``: lists of values.

    Raises:
        InputError: one is no pair, or its value no YAML or nothing.
    """
    from dwikit.common import files

    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"-p takes NAME=VALUE, such as epochs=3, not {pair!r}.")
        try:
            found[name] = files.parse_yaml(f"[{value}]" if several else value)
        except ValueError as error:
            raise InputError(f"-p {pair}: the value cannot be read as YAML ({' '.join(str(error).split())}).") from error
        if found[name] is None or (several and None in found[name]):
            raise InputError(
                f"-p {pair} has no value, and would change nothing. Leave it out; to start from random weights: init=random."
            )
    return found


def _reproduce(options) -> None:
    from dwikit.course import reproduce

    reproduce.reproduce(options.profile)
