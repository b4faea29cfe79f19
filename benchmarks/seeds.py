"""What does one training mean? ``python benchmarks/seeds.py [--profile hours]``, hours.

Every network of a profile trained once more, and the VAE twice, with the settings of ``runs/<profile>/`` and other seeds: their
rows of Table 1, of the reconstructions, and all ratios of two reconstructions. ``dwikit verify`` takes these tables as evidence
beside the kit's weights. A training is one of ``dwikit train <network> --profile hours --seed 1``; those that are there are not
repeated, and the others can be stopped and resumed.
"""

import argparse
import dataclasses

from dwikit import profiles, report, study
from dwikit.evaluation import repeats

TIMES = {"vae": 3, "dfc_vae": 2, "intro_vae": 2, "style_gan": 2}
"""Trainings of each network, the study's own among them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="hours")
    options = parser.parse_args()
    config = profiles.resolve(options.profile)
    config = dataclasses.replace(config, evaluation=dataclasses.replace(config.evaluation, seeds=TIMES))
    store = study.slices(config)
    runs = study.trained(config, store)
    again = {key: study.seeds(run, config, store) for key, run in runs.items()}
    redrawn = {key: run.reconstructions for key, run in runs.items() if run.reconstructs}
    facts = {name: run.facts() for name, run in repeats.rows(again).items()}
    command = report.command("python", "benchmarks/seeds.py", "--profile", config.reference)
    source = report.provenance(study.used(config, store, runs), command, runs=facts)
    for name, table in repeats.tables(store, again, redrawn, config.evaluation.samples).items():
        report.save_table(table, f"{config.name}/{repeats.FILES[name]}", source)
        print(report.markdown(table))


if __name__ == "__main__":
    main()
