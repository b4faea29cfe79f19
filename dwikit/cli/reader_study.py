"""``dwikit deck``, ``dwikit readings`` and ``dwikit plan``, for the organizer of a reader study."""

import shlex
from pathlib import Path

from dwikit.common.errors import InputError


def add(commands) -> None:
    """Adds ``deck``, ``readings`` and ``plan`` to the subparsers of ``dwikit``."""
    command = commands.add_parser("deck", help="make the page and the key of a blinded reader study")
    command.add_argument("out", type=Path)
    command.add_argument("--real", type=Path, required=True, help="folder of images, array (.npy) or store of slices")
    command.add_argument("--fake", action="append", required=True, metavar="GROUP=PATH", help="the same for each network")
    command.add_argument("-n", type=int, help="images per group; default: as in the paper")
    command.add_argument("--practice", type=int, help="images to practise on; default: one of each network, and as many real")
    command.add_argument("--title", default="Real or fake?", help="heading of the page, for readers to see")
    command.add_argument("--instructions", type=Path, help="text file, any language, that readers see instead of the page's")
    command.add_argument("--repeats", type=int, default=0, help="images that each reader sees twice; default %(default)s")
    command.add_argument("--confidence", action="store_true", help="no answer without saying how sure one is")
    command.add_argument("--hide-progress", action="store_true", help="do not show how many images there are")
    command.add_argument("--breaks", type=int, default=50, help="offer one after so many images, 0: never; default %(default)s")
    command.set_defaults(action=_deck)

    command = commands.add_parser("readings", help="score the readings of a deck")
    command.add_argument("deck", type=Path, help="folder that `dwikit deck` wrote")
    command.add_argument("csv", type=Path, nargs="+", help="the readers' files, or a folder of them")
    command.add_argument(
        "-o", "--output", type=Path, help="also write the tables to this file: Markdown, or CSV if its name ends in .csv"
    )
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
    from dwikit.reader_study import Protocol, build_deck
    from dwikit.reader_study.folders import read_images

    n = paper.N_READ if options.n is None else options.n
    sources = {}
    for pair in options.fake:
        group, equals, path = pair.partition("=")
        if not equals or not group.strip() or group.strip() in sources:
            raise InputError(f"--fake takes GROUP=PATH, such as vae=samples.npy, each group once, not {pair!r}.")
        sources[group.strip()] = read_images(paths.home(path))
    real = read_images(options.real)
    instructions = _text(options.instructions) if options.instructions else ""
    protocol = Protocol(instructions, options.repeats, options.confidence, not options.hide_progress, options.breaks)
    names = {"original": real.names} | {group: source.names for group, source in sources.items()}
    samples = {group: source.images for group, source in sources.items()}
    deck = build_deck(
        real.images,
        samples,
        options.out,
        n,
        options.practice,
        real.subjects,
        options.title,
        None,
        protocol,
        names,
        real.spacing_mm,
    )
    whose = "unknown subjects" if real.subjects is None else f"{n} different subjects"
    print(f"Deck {deck.id}: {len(deck.images)} images, {n} per group, the real ones of {whose}.")
    for remark in filter(None, [real.nameless, *(source.passed_over for source in (real, *sources.values())), *deck.remarks]):
        print(f"Note: {remark}")
    if deck.leaks:
        print("THIS DECK IS NOT BLIND. A program, or a reader with a sharp eye, can sort it without looking at the brain:")
        print("".join(f"- {leak}\n" for leak in deck.leaks), end="")
    else:
        print("No single number outside the brain tells a group from the real images (key.json lists all that were tried).")
    print(f"Send {deck.page} to the readers. Keep {deck.folder / 'key.json'} to yourself: it holds every answer.")
    print(f"Then: dwikit readings {shlex.quote(str(deck.folder))} <the CSV files that come back>")


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as text ({error}). Save the instructions as text in UTF-8.") from error
    if not text.strip():
        raise InputError(f"{path} is empty. Write the instructions, or leave --instructions out to have the page's own.")
    return text


def _readings(options) -> None:
    from dwikit import report
    from dwikit.common import files
    from dwikit.reader_study import Deck, conduct, read_readings, score_readings, tables
    from dwikit.reader_study.collect import passed_over
    from dwikit.reader_study.imrmc import imrmc

    deck = Deck.open(options.deck)
    readings = read_readings(options.csv, deck.key, deck.id, again=True)
    first = readings[~readings["again"]]
    scores = score_readings(first, deck.key)
    found = tables.everything(scores) | tables.with_oneself(conduct.self_agreement(readings))
    notes = passed_over(options.csv) + conduct.remarks(readings) + scores.notes
    parts = [f"## {heading}\n\n{report.markdown(table)}" for heading, table in found.items()]
    parts += ["## Notes\n\n" + "".join(f"- {note}\n" for note in notes)] if notes else []
    text = f"# Readings of deck {deck.id}\n\n" + "\n".join(parts)
    print(text)
    if options.output:
        as_csv = options.output.suffix.lower() == ".csv"
        files.write_text(options.output, tables.long(found, notes).to_csv(index=False) if as_csv else text)
    if options.imrmc:
        files.write_text(options.imrmc, imrmc(first, deck.key, f"Readings of deck {deck.id}"))


def _plan(options) -> None:
    from dwikit.reader_study import plan

    question = plan.Question(options.share, options.within, options.against)
    spread = plan.Spread(options.reader_sd, options.interaction_sd, options.image_sd)
    needed = plan.images_needed(question, options.readers, options.sure, spread, options.seed)
    aim = f"within {question.within:g}" if question.within else f"told from one of {_percent(question.against)}"
    asked = f"A share of {_percent(question.share)} called real {aim}"
    print(f"{asked}, for readers in general, in {_percent(options.sure)} of studies:")
    print(needed.to_string())


def _percent(share: float) -> str:
    """A share as it was asked for, not rounded."""
    return f"{100 * share:g}%"
