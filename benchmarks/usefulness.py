"""Are samples of the kit's weights useful? ``python benchmarks/usefulness.py [--profile hours] [--patients 1 8]``, hours.

Segmentation and denoising with samples of every network that the kit has weights of, as in 05, learned from few and from more
labelled people, on the slices of a profile and with the size and steps that it sets. Hours; may be stopped: every training is
kept in ``runs/<profile>/usefulness/``.
"""

import argparse
import dataclasses

import pandas as pd
from beyond import shipped, with_all

from dwikit import profiles, report, study
from dwikit.evaluation import usefulness

TASKS = {"segmentation": usefulness.segmentation, "denoising": usefulness.denoising}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="hours")
    parser.add_argument("--patients", type=int, nargs="+", default=[1, 8], help="people that each network learns from")
    options = parser.parse_args()
    config = with_all(profiles.resolve(options.profile))
    store = study.slices(config, rebuild=True)  # those of this code, which simulates the labelled people
    runs = shipped(config, store)
    samples, facts = {key: run.samples for key, run in runs.items()}, {key: run.facts() for key, run in runs.items()}
    counts = map(str, options.patients)
    command = report.command("python", "benchmarks/usefulness.py", "--profile", config.reference, "--patients", *counts)
    source = report.provenance(study.used(config, store, runs), command, runs=facts)
    for name, task in TASKS.items():
        tables = {}
        for patients in options.patients:
            section = dataclasses.replace(config.evaluation.usefulness, patients=patients)
            evaluation = dataclasses.replace(config.evaluation, usefulness=section)
            tables[patients] = task(dataclasses.replace(config, evaluation=evaluation), store, samples)
            print(f"{name}, {patients} people:", report.markdown(tables[patients]), sep="\n", flush=True)
        table = pd.concat(tables, names=["people"]).reset_index(level=0)
        report.save_table(table, f"{config.name}/usefulness-{name}", source)


if __name__ == "__main__":
    main()
