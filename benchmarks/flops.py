"""Floating-point operations and parameters of every network as configured: ``python benchmarks/flops.py``.

The presets at 128 x 128, and the profiles where they differ from the preset ``paper`` at that size. Counted, not measured
(``dwikit.models.cost.operations``): convolutions and dense layers, a multiplication and an addition as two, a training step
as the forward passes it costs, a resampling convolution in its plain form.
"""

import pandas as pd

from dwikit import profiles, report
from dwikit.models import cost, registry
from dwikit.models.presets import preset

SIZE = 128


def row(key: str, name: str, image_size: int, overrides: dict) -> dict[str, str]:
    """One line of the table."""
    network = registry.network(key)
    config = preset(network, name, image_size, overrides=overrides)
    model = network(**config | ({"ema": 0.0} if "ema" in config else {}))
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
    for key, network in registry.networks().items():
        for name in network.presets:
            rows[f"{network.label}, preset {name}"] = row(key, name, SIZE, {})
        plain = preset(network, "paper", SIZE)
        for profile in map(profiles.resolve, profiles.names()):
            if not (section := profile.networks.get(key)):
                continue
            overrides = dict(section.model) | ({"batch_size": section.batch_size} if section.batch_size else {})
            config = preset(network, section.preset, profile.image_size, overrides=overrides)
            if config != plain:
                rows[f"{network.label}, profile {profile.name}"] = row(key, section.preset, profile.image_size, overrides)
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("network")
    source = report.provenance(profiles.resolve("paper"), "python benchmarks/flops.py")
    print(report.save_table(table, "flops", source).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
