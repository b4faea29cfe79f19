"""Does the page of a deck give its answers away? ``python benchmarks/reader_study.py [--profile quick] [--decks 60]``.

Decks of 50 real slices and 50 samples of each trained network, and a random forest that sees everything on their pages but the
pixels; and one that sees how long the images would be if compressed.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from dwikit import paper, profiles, report, study
from dwikit.common import paths
from dwikit.models import registry
from dwikit.reader_study import build_deck, leaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile")
    parser.add_argument("--decks", type=int, default=60)
    parser.add_argument("-n", type=int, default=paper.N_READ, help="images a group")
    options = parser.parse_args()
    config = profiles.resolve(options.profile)
    store = study.slices(config)
    folders = {key: paths.runs(config.name) / key for key in registry.networks()}
    samples = {key: np.load(folder / "samples.npy") for key, folder in folders.items() if (folder / "samples.npy").is_file()}
    with tempfile.TemporaryDirectory() as folder:
        decks = [
            build_deck(store.images, samples, Path(folder) / str(i), options.n, subjects=store.table["subject"], seed=i)
            for i in tqdm(range(options.decks), desc="Decks", leave=False)
        ]
        fake = [(deck.key["group"] != "original").to_numpy() for deck in decks]
        lengths = [pd.DataFrame({"length": leaks.compressed_length(deck.page.read_text(encoding="utf-8"))}) for deck in decks]
        found = {
            "everything but the pixels": leaks.leak_test(decks),
            "compressed length (not in the page)": leaks.separation(lengths, fake),
        }
    table = pd.concat(found).rename_axis(["the forest sees", "rule"]).reset_index().set_index("the forest sees")
    table["n"] = table["n"].astype(str)
    words = ["--profile", config.reference, "--decks", str(options.decks), "-n", str(options.n)]
    command = report.command("python", "benchmarks/reader_study.py", *words)
    report.save_table(table, "reader-study-leaks", report.provenance(config, command, networks=list(samples)))
    print(report.markdown(table))


if __name__ == "__main__":
    main()
