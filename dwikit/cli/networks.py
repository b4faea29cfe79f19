"""``dwikit train``, ``features``, ``pack``, ``unpack``, ``weights``, ``export`` and ``evaluate``."""

from pathlib import Path

from dwikit.cli.notebooks import BACKEND, PROFILE, RUN, SETTING, settings
from dwikit.common.errors import InputError, choose

UNFINISHED = 75
"""Exit status of a training that has epochs left (EX_TEMPFAIL: run the same command again)."""
NETWORK = {"nargs": "*", "metavar": "NETWORK", "help": "keys such as vae or intro_vae; default: all of the study"}


def add(commands) -> None:
    """Adds the commands to the subparsers of ``dwikit``."""
    command = commands.add_parser("train", help="train networks without a notebook, in pieces if need be")
    command.add_argument("networks", **NETWORK)
    command.add_argument("--profile", help=PROFILE)
    command.add_argument("-p", "--parameter", **SETTING, help="e.g. model.margin=20, vae.epochs=3; kept in a run of its own")
    command.add_argument("--run", metavar="NAME", help=f"{RUN}; default with -p: named by the settings")
    command.add_argument("--backend", **BACKEND)
    command.add_argument("--seed", type=int, help="another seed than the profile's; its results lie beside the others")
    command.add_argument("--minutes", type=float, help="stop at an epoch's end before these have passed, with exit status 75")
    command.add_argument("--devices", type=int, default=1, help="GPUs per machine that share each batch; default %(default)s")
    command.add_argument("--machines", metavar="HOST:PORT,...", help="machines that train together; each runs this command")
    command.add_argument("--machine", type=int, metavar="N", help="position of this machine among them, from 0")
    command.set_defaults(action=_train)

    command = commands.add_parser("features", help="train the network whose features compare images, if there is none yet")
    command.add_argument("--profile", help=PROFILE)
    command.set_defaults(action=_features)

    command = commands.add_parser("pack", help="write trained networks as a few small files, to carry to another machine")
    command.add_argument("networks", **NETWORK)
    command.add_argument("--profile", help=PROFILE)
    command.add_argument("--out", type=Path, help="folder of the files; default runs/<profile>/packed")
    command.set_defaults(action=_pack)

    command = commands.add_parser("unpack", help="put packed networks into runs/, as if they had been trained here")
    command.add_argument("folder", type=Path)
    command.add_argument("--profile", help=f"profile they were trained with: {PROFILE}")
    command.set_defaults(action=_unpack)

    command = commands.add_parser("weights", help="train the weights that come with the kit, for hours")
    command.add_argument("networks", **NETWORK)
    command.add_argument("--profile", default="weights-64", help="default %(default)s")
    command.set_defaults(action=_weights)

    command = commands.add_parser(
        "verify", help="compute the tables of the kit's weights again, and compare them with those it has"
    )
    command.add_argument("--profile", default="hours", help="default %(default)s")
    command.add_argument("--write", action="store_true", help="make these tables and figures the kit's own")
    command.set_defaults(action=_verify)

    command = commands.add_parser("export", help="write the generator of a trained model as ONNX")
    command.add_argument("model", type=Path, help="e.g. runs/quick/vae/model.keras")
    command.add_argument("out", type=Path, help="e.g. vae.onnx")
    command.add_argument("--profile", help="profile that names the file of your own network")
    command.set_defaults(action=_export)

    command = commands.add_parser("evaluate", help="judge images from anyone's model against real slices")
    command.add_argument("samples", type=Path, help=".npy, .npz, NIfTI, or a folder of PNG or NIfTI files")
    command.add_argument("--originals", type=Path, required=True, help="store of slices, such as runs/quick/data/slices")
    command.add_argument("--split", default="train", help="split that the model was trained on; default %(default)s")
    command.add_argument("-n", type=int, help="images per row, at most; default: as many as the paper judged")
    command.add_argument("--out", type=Path, help="folder of the tables; default evaluation-<name of the samples>")
    command.add_argument("--features", type=Path, help="folder of the feature network; default: features, beside the slices")
    command.add_argument("--resize", action="store_true", help="shrink samples larger than the slices")
    command.set_defaults(action=_evaluate)


def _train(options) -> int:
    from dwikit import study
    from dwikit.backend.machines import ALONE, Machines

    if (options.machines is None) != (options.machine is None):
        raise InputError("Several machines need both --machines HOST:PORT,HOST:PORT,... and --machine N, from 0.")
    machines = Machines(options.machines.split(","), options.machine) if options.machines else ALONE
    config = _run(options)
    if study.train_in_pieces(config, options.networks, options.minutes, options.devices, machines, options.seed):
        return 0
    print("Epochs are left: run the same command again.")
    return UNFINISHED


def _run(options):
    """The profile, or the run that ``--run`` names and ``-p`` sets."""
    from dwikit import profiles, study
    from dwikit.profiles import runs

    config, given = profiles.resolve(options.profile), settings(options.parameter)
    if not (options.run or given):
        return config
    name = options.run or runs.name_for(config.name, given)
    sections = runs.sections(given, config, options.networks or study.in_study(config))
    return runs.named(name, options.profile, lambda made: study.checked(made, options.networks), **sections)


def _features(options) -> None:
    from dwikit import evaluation, profiles, study

    config = profiles.resolve(options.profile)
    folder = study.features_folder(config)
    evaluation.feature_networks(study.slices(config), folder)
    print(f"The feature network is in {folder}")


def _pack(options) -> None:
    from dwikit import profiles, study
    from dwikit.common import paths
    from dwikit.training.weights import packing

    config = profiles.resolve(options.profile)
    known = study.networks(config)
    for key in options.networks:
        choose(known, key, "network")
    out, store = options.out or paths.runs(config.name) / "packed", study.slices(config)
    for key in options.networks or known:
        parts = packing.pack(key, config, store, out)
        print(f"{key}: {len(parts)} files, {sum(path.stat().st_size for path in parts) / 1e6:.1f} MB in {out}", flush=True)


def _unpack(options) -> None:
    from dwikit import profiles, study
    from dwikit.training.weights import packing

    config = profiles.resolve(options.profile)
    found = packing.packed(options.folder)
    store = study.slices(config)
    for key in found:
        run = packing.unpack(key, options.folder, config, store)
        facts = run.facts()["carried"]
        done = f"{facts['epochs']} of {facts['epochs_planned']} epochs, {facts['steps']:,} steps, {facts['images']:,} images"
        where = f"{facts['minutes']:.1f} minutes on {facts['machine']}, now in {run.folder}"
        print(f"{run.label}: {done} in {where}", flush=True)


def _weights(options) -> None:
    from dwikit import profiles, study
    from dwikit.evaluation import kit_weights

    config = profiles.resolve(options.profile)
    keys = study.checked(config, options.networks)
    store = study.slices(config)
    for key in keys:
        print(kit_weights.publish(study.train(key, config, store), study.used(config, store), store))


def _verify(options) -> int:
    from dwikit import profiles, report, study
    from dwikit.common import paths
    from dwikit.evaluation import kit_weights, repeats, verify

    config = profiles.resolve(options.profile)
    committed = paths.project() / "figures" / config.name
    verify.comparable(config, committed, options.write)
    there, by_seed = {} if options.write else verify.read(committed), repeats.read(committed)
    store = study.slices(config, rebuild=True)  # those of this code
    runs = kit_weights.shipped_runs(config, store, redraw=True)
    found = verify.tables(store, runs, config.evaluation.samples, by_seed)
    print(report.markdown(found["claims"]))
    lines = [] if options.write else verify.differences(found, there)
    if not options.write:
        same = f"Every verdict, word and number of {', '.join(found)} is that of {committed}. Figures are drawn, not compared."
        print("\n".join(lines) or same)
    if by_seed:
        print(f"But for what other seeds gave: that is read from {committed / repeats.FILES['table-1']}.csv, and not computed.")
    words = report.command("dwikit", "verify", "--profile", config.reference, *["--write"] * options.write)
    source = report.provenance(study.used(config, store, runs), words, runs={key: run.facts() for key, run in runs.items()})
    folder = committed if options.write else paths.runs(config.name) / "verified"
    for name, table in found.items():
        report.save_table(table, name, source, folder)
    for name, figure in verify.figures(store, runs).items():
        report.save_figure(figure, name, source, folder=folder)
    print(f"Tables and figures: {folder}")
    return int(bool(lines))


def _export(options) -> None:
    from dwikit import models, profiles, study
    from dwikit.training.weights import export

    if options.profile:
        study.networks(profiles.resolve(options.profile))
    difference = export.to_onnx(models.load(options.model), options.out)
    print(f"{options.out}: pixels differ from Keras's by at most {difference:.1g}")


def _evaluate(options) -> None:
    from dwikit import evaluation, paper

    n = paper.N_SAMPLES if options.n is None else options.n
    verdict = evaluation.evaluate(
        options.samples, options.originals, options.split, options.out, n, options.features, options.resize
    )
    print(evaluation.markdown(verdict))
    print(f"Tables: {verdict.folder}")
