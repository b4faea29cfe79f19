"""What two cores can draw: the networks of ``quick`` from scratch, and the kit's weights, beside real slices.

``python benchmarks/pictures.py``, after ``make reproduce``: Table 1 and the reconstruction table of both, and their samples,
not selected, one network per row.
"""

import argparse

import matplotlib.pyplot as plt
import pandas as pd

from dwikit import evaluation, report, study
from dwikit.evaluation import kit_weights
from dwikit.profiles import resolve
from dwikit.report import plots


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--profile", default="quick")
    config = resolve(options.parse_args().profile)
    store = study.slices(config)
    sources = {"from scratch": study.trained(config, store), "kit's weights": kit_weights.shipped_runs(config, store)}
    sources = {name: runs for name, runs in sources.items() if runs}
    source = report.provenance(config, report.command("python", "benchmarks/pictures.py", "--profile", config.reference))
    tables, reconstructions, rows = {}, {}, {"Simulated slices": store.split("test")[::13]}
    for name, runs in sources.items():
        tables[name] = evaluation.table_1(store, {key: run.samples for key, run in runs.items()}, config.evaluation.samples)
        rebuilt = {key: run.reconstructions for key, run in runs.items() if run.reconstructs}
        reconstructions[name] = evaluation.reconstruction_table(store, rebuilt)
        rows |= {f"{run.model.label}\n{name}": run.samples for run in runs.values()}
    for name, parts in (("pictures-table-1", tables), ("pictures-reconstruction", reconstructions)):
        table = pd.concat(parts, names=["weights", "model"]).reset_index(level=0).rename(index=report.LABELS)
        print(report.save_table(table, name, source).read_text())
    plt.rcParams.update({**plots.STYLE, "axes.labelsize": 8})  # two lines fit beside a row
    figure = plots.image_rows({label: images[:8] for label, images in rows.items()}, columns=8, width=9)
    print(report.save_figure(figure, "pictures", source, "png"))


if __name__ == "__main__":
    main()
