"""The weights that come with the kit: as rows of the tables, and published from a training with what was measured of it."""

from pathlib import Path

from dwikit import metrics, report, training
from dwikit.common import doctor, paths
from dwikit.evaluation import learning
from dwikit.evaluation.tables import reconstruction_table, table_1
from dwikit.profiles import Profile
from dwikit.slices import SliceStore
from dwikit.training.weights import pretrained, stored


def shipped_runs(config: Profile, store: SliceStore, redraw: bool = False) -> dict[str, training.Run]:
    """Every network of the study with kit weights of this image size, with samples (and reconstructions of these slices).

    Weights that were trained on a person who is held out here are left out: they would be judged on what they have seen. So are
    those of slices with another field of view; a printed line says so.

    Args:
        config: profile.
        store: its slices.
        redraw: draw again what another run of this code, or of other code, has left there.
    """
    runs, sizes = {}, pretrained.available()
    in_study = (key for key, section in config.networks.items() if section.in_study)
    for key in (key for key in in_study if config.image_size in sizes.get(key, [])):
        card = pretrained.card(key, config.image_size)
        if differences := pretrained.otherwise(card, store):
            print(f"The kit's {key} is left out: it was trained on slices of another field of view, {differences}.")
            continue
        if seen := pretrained.seen(card, store):
            print(f"The kit's {key} is left out: it was trained on {len(seen)} people held out here, such as {seen[0]}.")
            continue
        model, folder = pretrained.load(key, config.image_size), paths.runs(config.name) / "pretrained" / key
        if redraw:
            (folder / "samples.json").unlink(missing_ok=True)
        training.draw_samples(model, store, folder, config.evaluation.samples)
        runs[key] = training.Run(model, folder, card)
    return runs


def as_stored(run: training.Run, store: SliceStore, n: int) -> training.Run:
    """A training as everybody would load it: of weights with 8 bits a number, with n samples (and reconstructions) of these."""
    shipped = training.Run(stored.copy(run.model), run.folder / "published")
    training.draw_samples(shipped.model, store, shipped.folder, n)
    return shipped


def publish(run: training.Run, config: Profile, store: SliceStore) -> Path:
    """Make a trained network's weights, log and card part of the kit; returns the path of the weights.

    Args:
        run: the training.
        config: profile, as a record of what was used (``study.used``).
        store: the slices it was trained on.

    Raises:
        InputError: slices of real people, or a weight that float16 cannot hold.
    """
    cohort, people, shipped = config.cohort, pretrained.people(store), as_stored(run, store, config.evaluation.samples)
    model, log, steps = shipped.model, run.log.join(learning.curve(run, store)), run.steps(store)
    key = model.key
    row = table_1(store, {key: shipped.samples}, config.evaluation.samples).loc[key]
    found = {name: float(row[name]) for name in metrics.table_1_metrics()}
    if run.reconstructs:
        rebuilt = reconstruction_table(store, {key: shipped.reconstructions}).loc[key]
        found |= {"reconstruction MSE": float(rebuilt["mse"]), "reconstruction Laplace": float(rebuilt["laplace"])}
    facts = {
        "data": f"{len(people['train'])} of {cohort.cases} simulated people (seed {cohort.seed}), profile {config.name}",
        "people": people,
        "slices": pretrained.slices(store),
        "steps": steps,
        "images": steps * model.config["batch_size"],
        "machine": doctor.machine(),
        "command": report.command("dwikit", "weights", key, "--profile", config.reference),
        "samples": int(row["n"]),
        "metrics": found,
        "original": learning.real(store, int(row["n"])).to_dict(),
        "versions": doctor.versions(),
    }
    return pretrained.publish(model, log, facts)
