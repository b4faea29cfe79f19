"""Do the IntroVAE's reconstructions get sharper with training? ``python benchmarks/redrawn.py``, a minute after the training.

Claim 2 wants them sharper than the DFC-VAE's. The same held-out slices, reconstructed by the kit's DFC-VAE, by its IntroVAE,
which is of the epoch that the rule of docs/hours.md keeps, and by the IntroVAE after its last epoch. That one is not in the
kit: this trains it (``dwikit train intro_vae --profile hours``, an hour or two), if it is not there.
"""

import numpy as np
import pandas as pd
from machine import machine

from dwikit import evaluation, models, profiles, report, study, training
from dwikit.evaluation import kit_weights
from dwikit.slices import SliceStore, to_uint8

KEY, BESIDE = "intro_vae", "dfc_vae"


def after_last_epoch(run: training.Run, store: SliceStore, n: int) -> np.ndarray:
    """(n, H, W) uint8 reconstructions of held-out slices by the model after a training's last epoch."""
    model = models.load(run.folder / training.outcome.KEPT["last"], key=run.model.key)
    originals = store.images[training.held_out(store, n)].astype(np.float32) / 255
    return to_uint8(model.reconstruct(originals)[..., 0])


def compared(store: SliceStore, redrawn: dict[str, np.ndarray], beside: str) -> pd.DataFrame:
    """One row per set of reconstructions: squared error, and sharpness and periodic excess beside the original's.

    Args:
        store: slices.
        redrawn: name -> reconstructions, as for ``evaluation.reconstruction_table``.
        beside: the name whose sharpness is also divided by that of every other.
    """
    table, ratios = evaluation.reconstruction_table(store, redrawn), evaluation.paired_ratios(store, redrawn)
    rows = {}
    for name in redrawn:
        share = ratios.loc[("laplace", name, "original")]
        rows[name] = {"MSE": f"{table.loc[name, 'mse']:.4f}", "Laplace / Original": told(share)}
        rows[name]["periodic excess / Original"] = f"{table.loc[name, 'periodic'] / table.loc['original', 'periodic']:.2f}"
        rows[name][f"{beside} / this"] = "" if name == beside else told(ratios.loc[("laplace", beside, name)])
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")


def told(ratio: pd.Series) -> str:
    """A ratio with its interval."""
    return f"{ratio['value']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"


def main() -> None:
    config = profiles.resolve("hours")
    store, n = study.slices(config), config.evaluation.samples
    run, shipped = study.train(KEY, config, store), kit_weights.shipped_runs(config, store)
    kept, beside = shipped[KEY], shipped[BESIDE]
    redrawn = {
        beside.label: beside.reconstructions,
        f"{run.label}, the epoch of the rule ({kept.epochs})": kept.reconstructions,
        f"{run.label}, the last epoch ({run.epochs})": after_last_epoch(run, store, n),
    }
    table = compared(store, redrawn, beside.label)
    source = report.provenance(
        study.used(config, store), report.command("python", "benchmarks/redrawn.py"), runs={KEY: run.facts()}, **machine()
    )
    report.save_table(table, "redrawn", source)
    print(report.markdown(table))


if __name__ == "__main__":
    main()
