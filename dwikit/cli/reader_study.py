"""``dwikit deck``, ``dwikit readings`` and ``dwikit plan``, for the organizer of a reader study."""

from pathlib import Path

from dwikit.common.errors import InputError


def add(commands) -> None:
    """Adds ``deck``, ``readings`` and ``plan`` to the subparsers of ``dwikit``."""
    command = commands.add_parser("deck", help="make the page and the key of a blinded reader study")
    command.add_argument("out", type=Path)
    command.add_argument("--real", type=Path, required=True, help="folder of images, array (.npy) or store of slices")
    command.add_argument("--fake", action="append", required=True, metavar="GROUP=PATH", help="the same for each network")
    command.add_argument("-n", type=int, help="images per group; default: as in the paper")
    command.add_argument("--practice", type=int, default=4, help="images to practise on; default %(default)s")
    command.add_argument("--title", default="Real or fake?", help="heading of the page, for readers to see")
    command.set_defaults(action=_deck)

    command = commands.add_parser("readings", help="score the readings of a deck")
    command.add_argument("deck", type=Path, help="folder that `dwikit deck` wrote")
    command.add_argument("csv", type=Path, nargs="+", help="the readers' files, or a folder of them")
    command.add_argument("-o", "--output", type=Path, help="also write the tables to this Markdown file")
    command.add_argument("--imrmc", type=Path, metavar="FILE", help="also write them for the program iMRMC")
    command.set_defaults(action=_readings)

    command = commands.add_parser("plan", help="how many readers and images a reader study needs")
    command.add_argument("--share", type=float, required=True, help="expected share of images called real, such as 0.9")
    command.add_argument("--within", type=float, help="wanted half width of its interval, such as 0.1")
    command.add_argument("--against", type=float, help="or: share of another group, from which it is to be told")
    command.add_argument("--sure", type=float, default=0.8, help="share of studies that should succeed; default %(default)s")
    command.add_argument("--readers", type=int, nargs="+", default=[2, 3, 5, 10, 20], help="numbers of readers to try")
    command.add_argument("--reader-sd", type=float, default=0.5, help="spread between readers, log odds; default %(default)s")
    command.add_argument("--interaction-sd", type=float, default=0.25, help="the same for each group; default %(default)s")
    command.add_argument("--image-sd", type=float, default=1.0, help="between images, log odds; default %(default)s")
    command.add_argument("--seed", type=int, default=0)
    command.set_defaults(action=_plan)


def _deck(options) -> None:
    from dwikit import paper
    from dwikit.common import paths
    from dwikit.reader_study import build_deck
    from dwikit.reader_study.folders import read_images

    n = options.n or paper.N_READ
    samples = {}
    for pair in options.fake:
        group, equals, path = pair.partition("=")
        if not equals or group in samples:
            raise InputError(f"--fake takes GROUP=PATH, such as vae=samples.npy, each group once, not {pair!r}.")
        samples[group] = read_images(paths.home(path))[0]
    originals, subjects = read_images(options.real)
    deck = build_deck(originals, samples, options.out, n, options.practice, subjects, options.title)
    whose = "unknown subjects" if subjects is None else f"{n} different subjects"
    print(f"Deck {deck.id}: {len(deck.images)} images, {n} per group, the real ones of {whose}.")
    print(f"Send {deck.page} to the readers. Keep {deck.folder / 'key.json'} to yourself: it holds every answer.")
    print(f"Then: dwikit readings {deck.folder} <the CSV files that come back>")


def _readings(options) -> None:
    from dwikit import report
    from dwikit.common import files
    from dwikit.reader_study import Deck, read_readings, score_readings, tables
    from dwikit.reader_study.imrmc import imrmc

    deck = Deck.open(options.deck)
    readings = read_readings(options.csv, deck.key, deck.id)
    scores = score_readings(readings, deck.key)
    parts = [f"## {heading}\n\n{report.markdown(table)}" for heading, table in tables.everything(scores).items()]
    parts += ["## Notes\n\n" + "".join(f"- {note}\n" for note in scores.notes)] if scores.notes else []
    text = f"# Readings of deck {deck.id}\n\n" + "\n".join(parts)
    print(text)
    if options.output:
        files.write_text(options.output, text)
    if options.imrmc:
        files.write_text(options.imrmc, imrmc(readings, deck.key, f"Readings of deck {deck.id}"))


def _plan(options) -> None:
    from dwikit.reader_study import plan

    question = plan.Question(options.share, options.within, options.against)
    spread = plan.Spread(options.reader_sd, options.interaction_sd, options.image_sd)
    needed = plan.images_needed(question, options.readers, options.sure, spread, options.seed)
    aim = f"within {question.within:g}" if question.within else f"told from one of {question.against:.0%}"
    print(f"A share of {question.share:.0%} called real {aim}, for readers in general, in {options.sure:.0%} of studies:")
    print(needed.to_string())
