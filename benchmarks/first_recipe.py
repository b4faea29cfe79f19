"""What became of the IntroVAE's first recipe? ``python benchmarks/first_recipe.py``, seconds.

Until a second recipe took their place (docs/hours.md), the kit's weights of the IntroVAE at 128 pixels were trained with the
margin and the momentum that short trials had chosen: 60 and 0.9. They are in the history of the repository, with their log and
the verdicts that ``dwikit verify`` computed with them. This reads both from there:

- first-recipe: one row per epoch of the log, with its divergences, the distance to validation people, and the metrics of
  samples as ratios to those of original slices. ``causes.py`` shows two of them;
- first-recipe-claims: the verdicts then and now, side by side;
- first-recipe-table-2: what machine readers said of another deck, of the same networks but for the IntroVAE.
"""

import io
import json
import subprocess

import pandas as pd

from dwikit import profiles, report
from dwikit.common import paths
from dwikit.common.errors import InputError
from dwikit.evaluation import learning
from dwikit.metrics import table_1_metrics

COMMIT = "e812f4b"
"""The last with these weights in the tables."""
WEIGHTS, CLAIMS, TABLE_2 = "data/pretrained/intro_vae-128", "figures/hours/claims.csv", "figures/hours/table-2.csv"
LOGGED = {"kl_real": 1, "kl_fake": 1, "distance": 3}
"""Column of the log -> decimals."""


def then(path: str) -> bytes:
    """A file as it was in ``COMMIT``.

    Raises:
        InputError: the history is not there.
    """
    asked = subprocess.run(["git", "show", f"{COMMIT}:{path}"], cwd=paths.kit(), capture_output=True)
    if asked.returncode:
        raise InputError(
            f"{path} of commit {COMMIT} cannot be read ({asked.stderr.decode(errors='replace').strip()}). This needs the whole "
            "history of the repository: git fetch --unshallow in a clone of it."
        )
    return asked.stdout


def by_epoch(log: pd.DataFrame, original: dict[str, float], steps: int) -> pd.DataFrame:
    """The log of a training.

    Args:
        log: by epoch, with the metrics of ``learning.curve``.
        original: the metrics of original slices.
        steps: of an epoch.
    """
    labels = {key: metric.label for key, metric in table_1_metrics().items()}
    ratios = (log[list(original)] / pd.Series(original)).rename(columns=labels).rename(columns={learning.MEMORY: "memory"})
    logged = pd.DataFrame({name: log[name].map(f"{{:.{decimals}f}}".format) for name, decimals in LOGGED.items()})
    shown = logged.join(ratios.map("{:.3f}".format)).assign(steps=[f"{epoch * steps:,}" for epoch in log.index])
    return shown.rename_axis("epoch")


def beside(before: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """Verdicts and numbers of the claims that were tested, before and now; numbers only where they changed."""
    tested = before.index[before["verdict"] != "not tested"]
    changed = before["numbers"] != now["numbers"]
    columns = {"claim": before["claim"], "first recipe": before["verdict"], "second recipe": now["verdict"]}
    numbers = {
        f"numbers, {recipe}": table["numbers"].where(changed, "") for recipe, table in (("first", before), ("second", now))
    }
    return pd.DataFrame(columns | numbers).loc[tested]


def main() -> None:
    log = pd.read_csv(io.BytesIO(then(f"{WEIGHTS}.csv")), index_col="epoch")
    card = json.loads(then(f"{WEIGHTS}.json"))
    before = pd.read_csv(io.BytesIO(then(CLAIMS)), index_col="no.")
    now = pd.read_csv(paths.kit() / CLAIMS, index_col="no.")
    tables = {
        "first-recipe": by_epoch(log, card["original"], card["steps"] // card["epochs"]),
        "first-recipe-claims": beside(before, now),
        "first-recipe-table-2": pd.read_csv(io.BytesIO(then(TABLE_2)), index_col=0),
    }
    source = report.provenance(
        profiles.resolve("hours"), report.command("python", "benchmarks/first_recipe.py"), weights=COMMIT
    )
    for name, table in tables.items():
        report.save_table(table, name, source)
        print(report.markdown(table))


if __name__ == "__main__":
    main()
