"""``dwikit doctor``, ``run`` and ``reproduce``."""

from pathlib import Path

from dwikit.common.errors import InputError

PROFILE = "name of a profile (smoke, quick, gpu, paper, ...) or path of a .yaml file; default $DWIKIT_PROFILE or quick"


def add(commands) -> None:
    """Adds the commands to the subparsers of ``dwikit``."""
    command = commands.add_parser("doctor", help="show versions, GPU, disk, and what is missing and how to get it")
    command.set_defaults(action=_doctor)

    command = commands.add_parser("run", help="run one notebook headless")
    command.add_argument("notebook", help="name, such as 02_train_vae, or path")
    command.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="e.g. epochs=3")
    command.add_argument("-o", "--output", type=Path, help="default: runs/<profile>/notebooks/<name>.ipynb")
    command.set_defaults(action=_run)

    command = commands.add_parser("reproduce", help="run the study's notebooks in order")
    command.add_argument("--profile", help=PROFILE)
    command.set_defaults(action=_reproduce)


def _doctor(options) -> int:
    from dwikit.common import doctor

    text, healthy = doctor.report()
    print(text)
    return 0 if healthy else 1


def _run(options) -> None:
    from dwikit.common import files
    from dwikit.course import run

    parameters = {}
    for pair in options.parameter:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"-p takes NAME=VALUE, such as epochs=3, not {pair!r}.")
        try:
            parameters[name] = files.parse_yaml(value)
        except ValueError as error:
            raise InputError(f"-p {pair}: the value cannot be read as YAML ({' '.join(str(error).split())}).") from error
    run.notebook(options.notebook, parameters, options.output)


def _reproduce(options) -> None:
    from dwikit.course import run

    run.reproduce(options.profile)
