"""Games of the IntroVAE that one side wins, beside one in balance: ``python benchmarks/lost_game.py``, about a minute.

Three trainings of small networks at 32 x 32 pixels on simulated slices, with the losses of sec. 2.4 (eq. 8-9) and the margin of
the profile ``quick``; they differ in the weights of the two sides alone. Notebook 03 shows the logs.
"""

import pandas as pd
from machine import show, source

from dwikit import metrics
from dwikit.cohorts import phantom
from dwikit.common import paths
from dwikit.course import contrasts
from dwikit.models import IntroVAE
from dwikit.slices import SliceSettings, build

PEOPLE, STEPS, EPOCHS, MARGIN = 24, 480, 12, 60.0
SHARED = {"image_size": 32, "architecture": "plain", "channels": (16, 32), "latent_size": 32, "slope": 0.2, "norm": "group"}
SHARED |= {"learning_rate": 1e-3, "margin": MARGIN, "real_weight": 1.0}
GAMES = {
    "in balance": {"adversarial_weight": 0.5, "generator_weight": 0.5},
    "the encoder has won": {"adversarial_weight": 10.0, "generator_weight": 0.02},
    "the generator has won": {"adversarial_weight": 0.02, "generator_weight": 2.0},
}
"""Weights of the fakes in the encoder's loss and in the generator's."""


def game(weights: dict[str, float], store) -> pd.DataFrame:
    """One training: the log, and the variety of samples after each epoch (data = 1)."""
    model, rows = IntroVAE.from_preset("paper", **SHARED, **weights), []
    data = metrics.intra_sample_diversity(store.split("train"))
    for epoch in range(1, EPOCHS + 1):
        log = contrasts.train(model, store, STEPS // EPOCHS, epochs=1).iloc[-1]
        variety = metrics.intra_sample_diversity(model.sample(64, seed=1)[..., 0]) / data
        rows.append({"epoch": epoch, "margin": MARGIN, **log[["kl_real", "kl_rec", "kl_fake", "rec"]], "variety": variety})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    settings = SliceSettings.for_size(32)
    volumes = phantom.simulate_volumes(PEOPLE, seed=11, settings=settings)
    store = build(volumes, paths.runs("benchmarks") / "lost-game" / "slices", settings)
    logs = pd.concat({name: game(weights, store) for name, weights in GAMES.items()}, names=["game", None])
    table = logs.reset_index("game").set_index("game").round(4)
    show(table, "lost-game", source("python benchmarks/lost_game.py"))
