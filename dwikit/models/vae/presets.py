"""The presets of the VAE (sec. 2.2 and 3.2); the DFC-VAE's begin with them."""

from dwikit.models.presets import Setting

HOU = "Hou et al., Deep Feature Consistent VAE, its plain (pixel) baseline"

PAPER = {
    "channels": Setting((32, 64, 128, 256), "4 convolutions: sec. 3.2; widths: released code"),
    "latent_size": Setting(200, "sec. 3.2"),
    "norm": Setting("batch", "sec. 3.2"),
    "slope": Setting(0.3, "released code (Keras 2 default of LeakyReLU)"),
    "initializer": Setting("glorot_uniform", "released code (Keras default)"),
    "upsampling": Setting("nearest", 'sec. 3.2; "transposed" is faster on a CPU'),
    "sigma_exponent": Setting(0.5, "sigma = exp(log_variance / 2): sec. 2.2, read as it must be"),
    "kl_reduction": Setting("mean", "released code; the printed weights make sense only so"),
    "reconstruction_weight": Setting(409.6, "0.025 * 128 * 128: sec. 3.2"),
    "learning_rate": Setting(1e-4, "sec. 3.2"),
    "decay": Setting(0.0, "learning rate / (1 + decay * steps): neither paper nor code"),
    "beta_1": Setting(0.9, "Adam's default, released code"),
    "batch_size": Setting(64, "sec. 3.2"),
}
RELEASED = PAPER | {
    "latent_size": Setting(200, "second half of the script; 128 in its first half"),
    "sigma_exponent": Setting(1.0, "sigma = exp(head), though the KL term takes the same head for a log-variance"),
}
# The original's decoder ends without an activation and starts twice as wide; ours ends in a sigmoid.
CANONICAL = PAPER | {
    "channels": Setting((64, 128, 256, 512, 512), HOU),
    "latent_size": Setting(100, HOU),
    "slope": Setting(0.2, HOU),
    "kl_reduction": Setting("sum", HOU),
    "reconstruction_weight": Setting(0.5 * 128 * 128, f"half the squared error summed over pixels: {HOU}"),
    "learning_rate": Setting(5e-4, f"halved during training in the original: {HOU}"),
    "beta_1": Setting(0.5, HOU),
    "batch_size": Setting(40, HOU),
}
PRESETS = {"paper": PAPER, "released": RELEASED, "canonical": CANONICAL}
