"""Speed-up of a whole training step by each quick form: ``python benchmarks/changes.py [vae intro_vae style_gan]``.

The kit against itself without one of the forms of ``dwikit.backend.kernels``, and without all of them, as ``train_step.py``
measures it: in turns, at 128 x 128 and the preset ``paper``. Ratios are of processor seconds, which other work on the machine
hardly affects. What the IntroVAE saves by drawing its images once, and by
convolving before doubling, is in all variants.
"""

import argparse
import tempfile

import pandas as pd
from machine import show, source
from train_step import measure, simulated_slices

FORMS = ("Conv2D", "BatchNormalization", "Adam", "all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("keys", nargs="*", default=("vae", "intro_vae", "style_gan"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a turn, at least; a turn is one step or more")
    options = parser.parse_args()
    rows, names = {}, ("dwikit", *(f"dwikit without {form}" for form in FORMS))
    with tempfile.TemporaryDirectory() as folder:
        data = simulated_slices(f"{folder}/slices")
        for key in options.keys:
            print(f"{key}:", flush=True)
            speeds = pd.DataFrame(measure(key, data, options.rounds, options.seconds, names)["processor_speeds"])
            ratios = speeds.rdiv(speeds["dwikit"], axis=0)
            rows[key] = {"img / processor s": f"{speeds['dwikit'].median():.3g}"}
            for form in FORMS:
                ratio = ratios[f"dwikit without {form}"]
                rows[key][f"times as fast as without {form}"] = f"{ratio.median():.2f} ({ratio.min():.2f} to {ratio.max():.2f})"
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")
    show(table, "changes", source("python benchmarks/changes.py"))


if __name__ == "__main__":
    main()
