"""The presets of the IntroVAE (sec. 2.4 and 3.2)."""

from dwikit.models.presets import Setting

DANIEL = "Daniel & Tamar, Soft-IntroVAE, official code: the weights recommended for faces at 256 x 256"
HUANG = "Huang et al., IntroVAE, official code at 256 x 256"

PAPER = {
    "channels": Setting((16, 32, 64, 128, 256, 512), '"as PGGAN": sec. 3.2; widths: released code'),
    "latent_size": Setting(256, "sec. 3.2"),
    "architecture": Setting("residual", 'sec. 3.2; "plain" is the VAE\'s pair of networks'),
    "block": Setting("released", "1 x 1 convolution first: released code"),
    "norm": Setting("batch", "released code, with statistics that are updated on real slices only"),
    "slope": Setting(0.0, "ReLU: released code"),
    "upsampling": Setting("nearest", "sec. 3.2; used by the residual networks always, by the plain ones as said"),
    "output": Setting("sigmoid", "released code"),
    "game": Setting("hinge", 'eq. 8; "soft" is that of Soft-IntroVAE, without a margin'),
    "margin": Setting(110.0, "m: sec. 3.2"),
    "negative_weight": Setting(85.0, "of the KL of fakes in the soft game: as many nats a pixel value as in its official code"),
    "real_weight": Setting(0.25, '"KL scaled by 0.25": sec. 3.2, read as all KL terms'),
    "adversarial_weight": Setting(0.25, "alpha: sec. 3.2"),
    "generator_weight": Setting(0.25, "alpha in the generator's loss: sec. 3.2"),
    "reconstruction_weight": Setting(0.5, "beta: sec. 3.2; of the squared error summed over pixels (released code)"),
    "warmup_steps": Setting(0, "steps as a plain VAE first: neither paper nor code"),
    "ema": Setting(0.0, "moving average of the decoder: neither paper nor code"),
    "learning_rate": Setting(2e-4, "sec. 3.2"),
    "decay": Setting(0.0, "learning rate / (1 + decay * steps): neither paper nor code"),
    "beta_1": Setting(0.9, "Adam's default, released code"),
    "batch_size": Setting(8, "sec. 3.2"),
}
RELEASED = PAPER | {
    "norm": Setting("affine", "the training loop never switches batch statistics on: what is left is a scale and an offset"),
    "real_weight": Setting(1.0, "train.py: alpha stands before the adversarial terms only"),
    "reconstruction_weight": Setting(2.5, "test.py, the network of the figures (train.py: 0.1, m 40, batch 64)"),
}
CANONICAL = PAPER | {
    "channels": Setting((64, 128, 256, 512, 512), "widths that Soft-IntroVAE uses at 128 x 128"),
    "block": Setting("canonical", HUANG),
    "slope": Setting(0.2, HUANG),
    "output": Setting("linear", HUANG),
    "margin": Setting(120.0, HUANG),
    "real_weight": Setting(1.0, HUANG),
    "generator_weight": Setting(0.5, f"the original multiplies its 0.5 in the encoder's loss only: {HUANG}"),
    "reconstruction_weight": Setting(0.05, HUANG),
    "batch_size": Setting(16, HUANG),
}
SOFT = PAPER | {
    "game": Setting("soft", "Daniel & Tamar, Soft-IntroVAE, eq. 4"),
    "real_weight": Setting(0.5, f"beta_kl: {DANIEL}; beside the error as in the paper, 1 to 2"),
    "adversarial_weight": Setting(0.5, f"half for each kind of fake: {DANIEL}"),
    "generator_weight": Setting(0.25, f"half of beta_kl for each kind of fake: {DANIEL}"),
    "reconstruction_weight": Setting(1.0, f"beta_rec: {DANIEL}"),
}
PRESETS = {"paper": PAPER, "released": RELEASED, "canonical": CANONICAL, "soft": SOFT}
