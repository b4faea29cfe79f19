"""``dwikit sweep`` and ``compare``."""

import hashlib

from dwikit.cli.networks import NETWORK
from dwikit.cli.notebooks import BACKEND, PROFILE, SETTING, settings

LONGEST = 100
"""Characters of the names of runs in the name of a file; a hash of all tells longer ones apart."""


def add(commands) -> None:
    """Adds the commands to the subparsers of ``dwikit``."""
    command = commands.add_parser("sweep", help="train networks with several values of a setting and several seeds")
    command.add_argument("networks", **NETWORK)
    command.add_argument("--profile", help=PROFILE)
    command.add_argument("-p", "--parameter", **SETTING | {"metavar": "NAME=VALUE,..."}, help="e.g. model.margin=20,60,110")
    command.add_argument("--backend", **BACKEND)
    command.add_argument("--seeds", type=int, default=1, help="trainings that differ only in their seed; default %(default)s")
    command.add_argument("--workers", type=int, default=1, help="trainings at the same time here; default %(default)s")
    command.add_argument("--scheduler", metavar="ADDRESS", help="scheduler of a Dask cluster to train on, see docs/scale.md")
    command.set_defaults(action=_sweep)

    command = commands.add_parser("compare", help="one table and one figure of several runs")
    command.add_argument("runs", nargs="+", metavar="RUN", help="name of a run or profile with trained networks")
    command.add_argument("-n", type=int, help="images per row, at most; default: as many as the paper judged")
    command.add_argument("--name", help="of the table and the figure in figures/comparisons/; default: those of the runs")
    command.set_defaults(action=_compare)


def _sweep(options) -> None:
    from dwikit import report
    from dwikit.comparison import sweep

    values = settings(options.parameter, several=True)
    found = sweep.sweep(options.networks, values, options.seeds, options.profile, options.workers, scheduler=options.scheduler)
    print(f"{len(found)} runs are trained. To see them beside one another: {report.command('dwikit', 'compare', *found)}")


def _compare(options) -> None:
    from dwikit import paper, report
    from dwikit.comparison import compare

    n = paper.N_SAMPLES if options.n is None else options.n
    table, figure, source = compare.compare(options.runs, n, options.name)
    runs = "-and-".join(source["profile"]["name"].split(", "))
    short = runs if len(runs) <= LONGEST else f"{runs[:LONGEST]}-{hashlib.sha256(runs.encode()).hexdigest()[:8]}"
    name = f"comparisons/{options.name or short}"
    print(report.markdown(table))
    print(f"Table: {report.save_table(table, name, source)}")
    print(f"Figure: {report.save_figure(figure, name + '-samples', source, 'png')}")
