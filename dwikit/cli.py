"""The command ``dwikit``."""

import argparse
import contextlib
import hashlib
import os
import platform
import sys
import time
from pathlib import Path

import pandas as pd
import yaml

from dwikit import __version__, profiles, report
from dwikit.cohorts import commands as cohorts
from dwikit.cohorts.phantom.calibration import CALIBRATED
from dwikit.common import paths
from dwikit.common.errors import InputError
from dwikit.reader_study import commands as reader_study

STUDY = [
    "00_start_here",
    "01_preprocess",
    "02_train_vae",
    "03_train_introvae",
    "04_train_stylegan",
    "05_evaluate",
    "06_reader_study",
    "07_paper_vs_code",
]
"""Notebooks of ``dwikit reproduce``, in order."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; an error that the user can mend is printed as one message, and the exit status is 2."""
    options = _parser().parse_args(arguments)
    try:
        return options.action(options) or 0
    except InputError as error:
        print(f"dwikit: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("dwikit: stopped; run the same command again to go on.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dwikit", description="From diffusion-weighted brain MR volumes to a study's tables.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("doctor", help="versions, GPU, disk, what is missing and its remedy")
    command.set_defaults(action=_doctor)

    command = commands.add_parser("run", help="run one notebook headless")
    command.add_argument("notebook", help="name, such as 02_train_vae, or path")
    command.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="e.g. epochs=3")
    command.add_argument("-o", "--output", type=Path, help="default: runs/<profile>/notebooks/<name>.ipynb")
    command.set_defaults(action=_run)

    command = commands.add_parser("reproduce", help="run the study's notebooks in order")
    command.add_argument("--profile", help=f"one of {', '.join(profiles.names())}; default $DWIKIT_PROFILE or quick")
    command.set_defaults(action=_reproduce)

    command = commands.add_parser("train", help="train networks without a notebook, in pieces if need be")
    command.add_argument("networks", nargs="*", metavar="NETWORK", help="vae, dfc_vae, intro_vae, style_gan; default: all")
    command.add_argument("--profile", help=f"one of {', '.join(profiles.names())}; default $DWIKIT_PROFILE or quick")
    command.add_argument("--minutes", type=float, help="stop at an epoch's end before these have passed; exit status 75 then")
    command.add_argument("--devices", type=int, default=1, help="GPUs of a machine that share each batch; default %(default)s")
    command.add_argument("--machines", metavar="HOST:PORT,...", help="those that train together; each runs this command")
    command.add_argument("--machine", type=int, metavar="N", help="which of them this one is, from 0")
    command.set_defaults(action=_train)

    command = commands.add_parser("pack", help="trained networks as a few small files, to be carried to another machine")
    command.add_argument("networks", nargs="*", metavar="NETWORK", help="vae, dfc_vae, intro_vae, style_gan; default: all")
    command.add_argument("--profile", help=f"one of {', '.join(profiles.names())}; default $DWIKIT_PROFILE or quick")
    command.add_argument("--out", type=Path, help="folder of the files; default runs/<profile>/packed")
    command.set_defaults(action=_pack)

    command = commands.add_parser("unpack", help="put packed networks into runs/, as if they had been trained here")
    command.add_argument("folder", type=Path)
    command.add_argument("--profile", help="the profile that they were trained at; default $DWIKIT_PROFILE or quick")
    command.set_defaults(action=_unpack)

    command = commands.add_parser("weights", help="train the weights that come with the kit, for hours")
    command.add_argument("networks", nargs="*", metavar="NETWORK", help="vae, dfc_vae, intro_vae, style_gan; default: all")
    command.add_argument("--profile", default="long", help="default %(default)s")
    command.set_defaults(action=_weights)

    command = commands.add_parser("evaluate", help="judge images from anyone's model against real slices")
    command.add_argument("samples", type=Path, help=".npy, .npz, NIfTI, or a folder of PNG or NIfTI files")
    command.add_argument("--originals", type=Path, required=True, help="store of slices, such as runs/quick/data/slices")
    command.add_argument("--split", default="train", help="what the model was trained on; default %(default)s")
    command.add_argument("--out", type=Path, help="folder of the tables; default evaluation-<name of the samples>")
    command.set_defaults(action=_evaluate)

    cohorts.add(commands)

    command = commands.add_parser("preprocess", help="register the DWI of a BIDS dataset to MNI152")
    command.add_argument("bids", type=Path)
    command.add_argument("out", type=Path)
    command.add_argument("--workers", type=int, help="processes on this machine; default one a processor")
    command.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster that does the work, see docs/scale.md")
    command.add_argument("--b-value", type=float, default=1000, help="s/mm2 of the shell wanted")
    command.add_argument("--tolerance", type=float, default=600, help="how far from it a shell may lie, s/mm2")
    command.add_argument("--fov-mm", type=float, default=CALIBRATED.fov_mm, help="side of the target grid; default %(default)s")
    command.add_argument("--interpolator", choices=["nearest", "linear", "cubic"], default=CALIBRATED.interpolator)
    command.set_defaults(action=_preprocess)

    command = commands.add_parser("slices", help="make normalized slices of registered volumes")
    command.add_argument("derivatives", type=Path)
    command.add_argument("out", type=Path)
    command.add_argument("--percentile", type=float, default=CALIBRATED.percentile, help="clip; default %(default)s")
    command.add_argument("--scope", choices=["cohort", "volume"], default="cohort")
    command.add_argument("--image-size", type=int, default=128)
    command.add_argument("--seed", type=int, default=0)
    command.set_defaults(action=_slices)

    reader_study.add(commands)

    command = commands.add_parser("export", help="write the generator of a trained model as ONNX")
    command.add_argument("model", type=Path, help="e.g. runs/quick/vae/model.keras")
    command.add_argument("out", type=Path, help="e.g. vae.onnx")
    command.set_defaults(action=_export)
    return parser


def _doctor(options) -> int:
    from dwikit.common import doctor

    text, healthy = doctor.report()
    print(text)
    return 0 if healthy else 1


def _run(options) -> None:
    parameters = {}
    for pair in options.parameter:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"-p takes NAME=VALUE, such as epochs=3, not {pair!r}.")
        parameters[name] = yaml.safe_load(value)
    run_notebook(options.notebook, parameters, options.output)


def run_notebook(notebook: str, parameters: dict, output: Path | None = None) -> Path:
    """Run one notebook through papermill and return the path of the executed copy.

    Raises:
        InputError: no such notebook, a parameter that it does not have, or a cell that failed.
    """
    import papermill

    source = Path(notebook) if notebook.endswith(".ipynb") else paths.notebooks() / f"{notebook}.ipynb"
    if not source.is_file():
        known = ", ".join(sorted(path.stem for path in paths.notebooks().glob("*.ipynb")))
        raise InputError(f"There is no notebook {notebook!r}. Known: {known}.")
    known = papermill.inspect_notebook(str(source))
    if unknown := sorted(set(parameters) - set(known)):
        raise InputError(f"{source.name} has no parameter {', '.join(map(repr, unknown))}. It has: {', '.join(known)}.")
    for variable in ("DWIKIT_RUNS", "DWIKIT_FIGURES"):  # the notebook runs in a folder of its own
        if variable in os.environ:
            os.environ[variable] = str(Path(os.environ[variable]).resolve())
    parameters = {
        name: _from_here(value) if name in ("bids", "profile", "readings") else value for name, value in parameters.items()
    }
    profile = profiles.resolve(parameters.get("profile")).name
    output = output or paths.runs(profile) / "notebooks" / source.name
    output.parent.mkdir(parents=True, exist_ok=True)
    print(f"{source.stem} at profile {profile} -> {output}", flush=True)
    try:
        with _errors_of_children(output.with_suffix(".log")):
            papermill.execute_notebook(str(source), str(output), parameters, kernel_name="python3", cwd=str(source.parent))
    except papermill.PapermillExecutionError as error:
        raise InputError(
            f"{source.name} failed in cell {error.exec_count}: {error.ename}: {error.evalue}\nThe notebook up to there, with "
            f"the whole traceback, is {output}."
        ) from None
    print(f"Executed notebook: {output}", flush=True)
    return output


def _from_here(value):
    """A path that exists seen from the current folder, as an absolute one; anything else as it is."""
    return str(Path(value).resolve()) if isinstance(value, str) and Path(value).exists() else value


@contextlib.contextmanager
def _errors_of_children(path: Path):
    """Inside, what child processes write to standard error (kernels and libraries are talkative) goes to a file."""
    terminal = os.dup(2)
    python_stderr = sys.stderr
    with open(path, "w") as log, os.fdopen(os.dup(terminal), "w", buffering=1) as sys.stderr:
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            sys.stderr = python_stderr


def _reproduce(options) -> None:
    parameters = {"profile": options.profile} if options.profile else {}
    config = profiles.resolve(options.profile)
    rows = {}
    for i, name in enumerate(STUDY, 1):
        print(f"[{i}/{len(STUDY)}] ", end="")
        start = time.perf_counter()
        run_notebook(name, parameters)
        rows[name] = {"minutes": (time.perf_counter() - start) / 60}
    rows["all"] = {"minutes": sum(row["minutes"] for row in rows.values())}
    minutes = pd.DataFrame.from_dict(rows, orient="index").rename_axis("notebook")
    facts = {"cores": os.cpu_count(), "machine": platform.machine()}
    report.save_table(minutes, "minutes", report.provenance(config, f"dwikit reproduce --profile {config.name}", **facts))
    print(f"Done in {minutes.loc['all', 'minutes']:.1f} minutes. Tables and figures: {paths.figures()}")


UNFINISHED = 75
"""Exit status of a training that has epochs left (EX_TEMPFAIL: run the same command again)."""


WORTH_A_START = 3
"""No network is begun in the last third of a piece: it has to compile, and its first epoch is not cut short."""


def _train(options) -> int:
    from dwikit import models, study
    from dwikit.backend.machines import ALONE, Machines

    if (options.machines is None) != (options.machine is None):
        raise InputError("Several machines need both --machines HOST:PORT,HOST:PORT,... and --machine N, from 0.")
    machines = Machines(options.machines.split(","), options.machine) if options.machines else ALONE
    start, config, networks = time.perf_counter(), profiles.resolve(options.profile), options.networks or list(models.BY_KEY)
    machines.agree(f"profile {config.name} ({hashlib.sha256(repr(config).encode()).hexdigest()[:8]}), {', '.join(networks)}")
    with machines.in_turn():
        store = study.slices(config)
    for key in networks:
        left = None if options.minutes is None else options.minutes - (time.perf_counter() - start) / 60
        if machines.any(left is not None and left < options.minutes / WORTH_A_START):
            break
        run = study.train(key, config, store, minutes=left, devices=options.devices, machines=machines)
        epochs = getattr(config, key).epochs
        if machines.first:
            print(f"{run.model.label}: {run.model.epochs_done} of {epochs} epochs in {run.folder}", flush=True)
        if run.model.epochs_done < epochs:
            break
    else:
        return 0
    print("Epochs are left: run the same command again.")
    return UNFINISHED


def _pack(options) -> None:
    from dwikit import models, study
    from dwikit.training.weights import packing

    config = profiles.resolve(options.profile)
    out, store = options.out or paths.runs(config.name) / "packed", study.slices(config)
    for key in options.networks or models.BY_KEY:
        parts = packing.pack(key, config, store, out)
        print(f"{key}: {len(parts)} files, {sum(path.stat().st_size for path in parts) / 1e6:.1f} MB in {out}", flush=True)


def _unpack(options) -> None:
    from dwikit import study
    from dwikit.training.weights import packing

    config = profiles.resolve(options.profile)
    found = packing.packed(options.folder)
    store = study.slices(config)
    for key in found:
        run = packing.unpack(key, options.folder, config, store)
        facts = run.facts()["carried"]
        done = f"{facts['epochs']} of {facts['epochs_planned']} epochs, {facts['steps']:,} steps, {facts['images']:,} images"
        print(
            f"{run.model.label}: {done} in {facts['minutes']:.1f} minutes on {facts['machine']}, now in {run.folder}",
            flush=True,
        )


def _evaluate(options) -> None:
    from dwikit import evaluation

    verdict = evaluation.evaluate(options.samples, options.originals, options.split, options.out)
    print(evaluation.markdown(verdict))
    print(f"Tables: {verdict.folder}")


def _weights(options) -> None:
    from dwikit import models, study

    config = profiles.resolve(options.profile)
    store = study.slices(config)
    for key in options.networks or models.BY_KEY:
        print(study.publish(study.train(key, config, store), config, store))


def _preprocess(options) -> int:
    from dwikit.preprocess import preprocess

    report = preprocess(
        options.bids,
        options.out,
        workers=options.workers,
        scheduler=options.scheduler,
        b_value=options.b_value,
        tolerance=options.tolerance,
        fov_mm=options.fov_mm,
        interpolator=options.interpolator,
    )
    print(report.to_string(index=False))
    return 0


def _slices(options) -> None:
    from dwikit import slices

    store = slices.build(
        options.derivatives,
        options.out,
        percentile=options.percentile,
        scope=options.scope,
        image_size=options.image_size,
        seed=options.seed,
    )
    print(f"{len(store.images)} slices of {store.table['case'].nunique()} cases in {options.out}")
    print(store.table["split"].value_counts().to_string())


def _export(options) -> None:
    from dwikit import models
    from dwikit.training.weights import export

    difference = export.to_onnx(models.load(options.model), options.out)
    print(f"{options.out}: pixels differ from Keras's by at most {difference:.1g}")


if __name__ == "__main__":
    sys.exit(main())
