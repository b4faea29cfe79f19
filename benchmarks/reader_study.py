"""Does a deck give its answers away? ``python benchmarks/reader_study.py [--profile quick] [--decks 60]``.

Decks of 50 real slices and 50 samples of each trained network. First, a random forest that sees everything on their pages but
the pixels; and one that sees how long the images would be if compressed. Then, on the first five decks, single numbers of their
images, as they come from store and networks and as the decks show them: the best rule for each, and what chance reaches. Last,
the check that every deck makes, 20 times on other images of the same pools.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from dwikit import paper, profiles, report, study
from dwikit.common import paths
from dwikit.reader_study import Deck, build_deck, leaks, screen, traces
from dwikit.reader_study.prepare import prepare, usual
from dwikit.slices import head_frame

POOLED = 5
"""Decks whose images are looked at together: 250 a group, as the check wants."""
CHECKS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile")
    parser.add_argument("--decks", type=int, default=60)
    parser.add_argument("-n", type=int, default=paper.N_READ, help="images a group")
    options = parser.parse_args()
    config = profiles.resolve(options.profile)
    store = study.slices(config)
    folders = {key: paths.runs(config.name) / key for key in study.in_study(config)}
    samples = {key: np.load(folder / "samples.npy") for key, folder in folders.items() if (folder / "samples.npy").is_file()}
    with tempfile.TemporaryDirectory() as folder:
        decks = [
            build_deck(store.images, samples, Path(folder) / str(i), options.n, subjects=store.table["subject"], seed=i)
            for i in tqdm(range(options.decks), desc="Decks", leave=False)
        ]
        pages = pages_tell(decks)
    pixels = pixels_tell(decks[:POOLED], {"original": store.images} | samples)
    words = ["--profile", config.reference, "--decks", str(options.decks), "-n", str(options.n)]
    command = report.command("python", "benchmarks/reader_study.py", *words)
    source = report.provenance(config, command, networks=list(samples))
    report.save_table(pages, "reader-study-leaks", source)
    report.save_table(pixels, "reader-study-traces", source)
    print(report.markdown(pages), report.markdown(pixels), sep="\n")
    passed = checks({"original": store.images} | samples, store.table["subject"].to_numpy())
    print(f"Checks of other images each that find nothing: {passed} of {CHECKS} (where there is nothing, 19 of 20 on average)")


def pages_tell(decks: list[Deck]) -> pd.DataFrame:
    """What forests find on the pages."""
    fake = [(deck.key["group"] != "original").to_numpy() for deck in decks]
    lengths = [pd.DataFrame({"length": leaks.compressed_length(deck.page.read_text(encoding="utf-8"))}) for deck in decks]
    found = {
        "everything but the pixels": leaks.leak_test(decks),
        "compressed length (not in the page)": leaks.separation(lengths, fake),
    }
    table = pd.concat(found).rename_axis(["the forest sees", "rule"]).reset_index().set_index("the forest sees")
    return table.assign(n=table["n"].astype(str))


def pixels_tell(decks: list[Deck], sources: dict[str, np.ndarray]) -> pd.DataFrame:
    """For each number the network that it gives away most: accuracy and area before and after the preparation."""
    keys = pd.concat([deck.key for deck in decks], ignore_index=True)
    after = {group: np.concatenate([deck.images[deck.key["group"] == group] for deck in decks]) for group in sources}
    before = {group: sources[group][keys.loc[keys["group"] == group, "index"]] for group in sources}
    people = keys.loc[keys["group"] == "original", "subject"].to_numpy()
    columns = {}
    for name, groups in (("as they come", before), ("in the decks", after)):
        checked = traces.check(groups, people)
        worst = checked.sort_values("accuracy").groupby("trace", sort=False).last()
        columns[f"{name}: most right"] = worst["accuracy"]
        columns[f"{name}: of"] = worst["group"].map(paper.LABELS)
        columns[f"{name}: highest AUC"] = checked.groupby("trace")["auc"].max()
        columns[f"{name}: by chance"] = worst["bound"]
    table = pd.DataFrame(columns).sort_values("as they come: most right", ascending=False)
    return table.rename_axis(f"a single number, {len(people)} images a group")


def checks(groups: dict[str, np.ndarray], subjects: np.ndarray) -> int:
    """How many of ``CHECKS`` checks find nothing, of images as decks show them."""
    rows, columns = head_frame(*groups.values())
    usable = {group: screen.usable(images, group)[0] for group, images in groups.items()}
    cropped = {group: images[usable[group]][:, rows, columns] for group, images in groups.items()}
    like = usual(cropped["original"])
    prepared = {group: prepare(images, like) for group, images in cropped.items()}
    people = subjects[usable["original"]]
    return sum(not traces.check(prepared, people, seed)["leaks"].any() for seed in range(CHECKS))


if __name__ == "__main__":
    main()
