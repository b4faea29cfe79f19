"""The preset of the diffusion model; "paper" is Karras et al. 2022, not the study."""

import math

from dwikit.models.presets import Setting

KARRAS = "Karras et al. 2022, table 1"
FACES = "Karras et al. 2022, official code for faces of 64 x 64 pixels"

PAPER = {
    "channels": Setting((128, 256, 256, 256, 256), f"{FACES}, one level more"),
    "blocks": Setting(4, f"residual blocks per level: {FACES}"),
    "patch": Setting(1, f"pixels along a side that the first convolution takes together: {FACES}; 2 is four times as fast"),
    "norm": Setting("group", FACES),
    "embedding": Setting(512, f"units that say how strong the noise is: {FACES}"),
    "place": Setting(0, f"channels of a learned map that tells places apart, which registered slices have in common: {FACES}"),
    "sigma_data": Setting(0.5, f"standard deviation of all pixels in [-1, 1]: {KARRAS}; 08 measures the slices"),
    "noise_median": Setting(math.exp(-1.2), f"half of the noise in training is weaker; exp(P_mean): {KARRAS}"),
    "noise_spread": Setting(1.2, f"P_std, of ln(sigma) in training: {KARRAS}"),
    "sigma_min": Setting(0.002, KARRAS),
    "sigma_max": Setting(80.0, KARRAS),
    "rho": Setting(7.0, KARRAS),
    "sampler_steps": Setting(40, f"79 evaluations of the network: {FACES}"),
    "ema": Setting(0.5 ** (256 / 500_000), f"half-life of 500,000 images: {FACES}"),
    "learning_rate": Setting(2e-4, f"{FACES}, without its warm-up"),
    "decay": Setting(0.0, f"learning rate / (1 + decay * steps): {FACES} has none"),
    "beta_1": Setting(0.9, FACES),
    "batch_size": Setting(256, FACES),
}
PRESETS = {"paper": PAPER}
