"""Floating-point operations and parameters of every network as it is configured: ``python benchmarks/flops.py``.

The presets at 128 x 128, and the profiles where they differ from the preset ``paper`` at that size. Counted, not measured
(``dwikit.models.cost.operations``): convolutions and dense layers, a multiplication and an addition as two, a training step by the
forward passes that it costs, a convolution that resamples in its plain form.
"""

import pandas as pd

from dwikit import models, paper, profiles, report
from dwikit.models import cost
from dwikit.models.presets import PRESETS, preset
from dwikit.training.weights import pretrained

SIZE = 128


def row(key: str, name: str, image_size: int, overrides: dict) -> dict[str, str]:
    """One line of the table."""
    if key == "dfc_vae" and image_size != SIZE:  # without ImageNet's weights
        overrides = {**overrides, "features": str(pretrained.features())}
    config = preset(key, name, image_size, 1.0, overrides)
    model = models.BY_KEY[key](**config | ({"ema": 0.0} if "ema" in config else {}))
    found, batch = cost.operations(model), config["batch_size"]
    return {
        "pixels": f"{image_size}",
        "parameters": f"{found['parameters'] / 1e6:.2f} M",
        "of them to draw": f"{found['sampling'] / 1e6:.2f} M",
        "batch": f"{batch}",
        "GFLOP, a sample": f"{found['sample'] / 1e9:.3g}",
        "GFLOP, forward": f"{found['forward'] / 1e9:.3g}",
        "GFLOP, a training image": f"{found['training'] / 1e9:.3g}",
        "GFLOP, a training step": f"{batch * found['training'] / 1e9:.3g}",
    }


def main() -> None:
    rows = {}
    for key in models.BY_KEY:
        for name in PRESETS[key]:
            rows[f"{paper.LABELS[key]}, preset {name}"] = row(key, name, SIZE, {})
        plain = preset(key, "paper", SIZE, 1.0, {})
        for name in profiles.names():
            profile = profiles.resolve(name)
            section = getattr(profile, key)
            overrides = dict(section.model) | ({"batch_size": section.batch_size} if section.batch_size else {})
            config = preset(key, section.preset, profile.image_size, 1.0, overrides)
            if config != plain:
                rows[f"{paper.LABELS[key]}, profile {name}"] = row(key, section.preset, profile.image_size, overrides)
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("network")
    source = report.provenance(profiles.resolve("paper"), "python benchmarks/flops.py")
    print(report.save_table(table, "flops", source).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
