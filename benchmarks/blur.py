"""How much of the distance between neighbours is fine detail? ``python benchmarks/blur.py``, minutes.

Claims 7 and 8 compare how near samples lie to one another with how near slices do (min ISD). Blurred images lie nearer to one
another. So this blurs slices and the samples of the kit's weights alike, with a Gaussian of one pixel and of two, and compares
them again: what differs in fine detail only comes to the same. And it asks whether samples lie near one another because they
copy the same training people: which share of them does (``evaluation.copied``)?
"""

import numpy as np
import pandas as pd
from machine import machine
from scipy import ndimage

from dwikit import evaluation, metrics, paper, profiles, report, study
from dwikit.evaluation import kit_weights
from dwikit.evaluation.tables import real_slices
from dwikit.slices import SliceStore, to_uint8

SIGMAS = (0, 1, 2)
"""Of the Gaussian, in pixels."""
SHOWN = {"laplace": "Laplace", "min_isd": "min ISD"}


def blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    """(n, H, W) uint8 images after a Gaussian blur of so many pixels."""
    return to_uint8(ndimage.gaussian_filter(images / np.float32(255), (0, sigma, sigma)))


def compared(original: np.ndarray, samples: dict[str, np.ndarray]) -> pd.DataFrame:
    """One column per blur: the blurred original beside the sharp one, then each network's samples beside it, blurred alike.

    Args:
        original: (n, H, W) uint8 slices.
        samples: label -> as many images.
    """
    moments, columns = metrics.moments(original), {}
    sharp = evaluation.measure(original, moments)
    for sigma in SIGMAS:
        own = evaluation.measure(blurred(original, sigma), moments)
        rows = {f"Original beside itself without blur, {name}": own[key] / sharp[key] for key, name in SHOWN.items()}
        for label, images in samples.items():
            found = evaluation.measure(blurred(images, sigma), moments)
            rows[f"{label} beside the original, min ISD"] = found["min_isd"] / own["min_isd"]
        columns["1 pixel" if sigma == 1 else f"{sigma} pixels"] = rows
    return pd.DataFrame(columns).map("{:.2f}".format).rename_axis("blurred by")


def with_copies(table: pd.DataFrame, store: SliceStore, samples: dict[str, np.ndarray]) -> pd.DataFrame:
    """The table, and the share of each network's samples that copy training people, as they are."""
    shares = {
        f"{label}, share of copies": "{:.2f} ± {:.2f}".format(*evaluation.copied(store, images))
        for label, images in samples.items()
    }
    return pd.concat([table, pd.DataFrame({table.columns[0]: shares})]).fillna("").rename_axis(table.index.name)


def main() -> None:
    config = profiles.resolve("hours")
    store, n = study.slices(config), config.evaluation.samples
    runs = kit_weights.shipped_runs(config, store)
    original = store.images[real_slices(store, "train", n)[0]]
    samples = {paper.LABELS[key]: run.samples[:n] for key, run in runs.items()}
    table = with_copies(compared(original, samples), store, samples)
    source = report.provenance(study.used(config, store, runs), report.command("python", "benchmarks/blur.py"), **machine())
    report.save_table(table, "blur", source)
    print(report.markdown(table))


if __name__ == "__main__":
    main()
