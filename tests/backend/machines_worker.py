"""One of two processes that train as two machines do, over the loopback interface, and how far they end from one machine.

``python tests/machines_worker.py KEY,... FOLDER HOST:PORT,HOST:PORT N`` prints, as the first of them, a line of JSON: the
deviations of ``distribution_worker.py`` for each model. Every process prints one: what it was told, and how it was refused.
"""

import json
import sys
from pathlib import Path

import distribution_worker as worker


def main() -> None:
    """Train models on one machine, then on both; then ask for different things."""
    from dwikit import models, profiles, training
    from dwikit.backend import distribution
    from dwikit.backend.machines import Machines
    from dwikit.common.errors import InputError

    keys, folder, addresses, index = sys.argv[1].split(","), Path(sys.argv[2]), sys.argv[3].split(","), int(sys.argv[4])
    machines = Machines(addresses, index)
    deviations = {}
    for key in keys:
        epsilon, path = worker.CASES[key][0], folder / f"{key}.keras"
        with machines.in_turn():
            if machines.first:
                assert worker.prepare(folder, key) == path
                one = worker.train(path, 1, epsilon)
        two = worker.train(path, 1, epsilon, machines=machines)
        if machines.first:
            deviations[key] = worker.compare(one, two)
    if machines.first:
        print(json.dumps(deviations))

    with machines.scope(1):
        devices = distribution.devices_of(models.registry.network("vae").from_preset("paper", image_size=32, channels=(8, 16)))
    told = {
        "first": machines.first,
        "devices": devices,
        "any": [machines.any(False), machines.any(index == 1), machines.any(True)],
    }
    machines.agree("on this")
    try:
        config = profiles.resolve("smoke", vae={"epochs": 1 + index, "model": {"channels": [8, 16]}})
        training.train("vae", config, worker.store(), folder / "vae", machines=machines)
    except InputError as error:
        told["refused"] = str(error)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
