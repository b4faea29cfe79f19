"""The presets of the DFC-VAE (sec. 2.3 and 3.2): the VAE's, plus its features and their weight."""

from dwikit.models.presets import Setting
from dwikit.models.vae import presets as vae

HOU = "Hou et al., Deep Feature Consistent VAE, VAE-123 of the content model"

PAPER = {name: setting for name, setting in vae.PAPER.items() if name != "reconstruction_weight"} | {
    "feature_network": Setting("vgg16", "trained on ImageNet: sec. 2.3 and 3.2"),
    "feature_layers": Setting(("block1_conv1", "block2_conv1", "block3_conv1"), 'released code; "three ReLU layers": sec. 3.2'),
    "feature_input": Setting("unit", "grey repeated three times in [0, 1], no mean subtracted: released code"),
    "feature_reduction": Setting("sum", "over features and layers: released code"),
    "feature_weight": Setting(2e-9, "sec. 3.2"),
    "reference_batch": Setting(64, "sec. 3.2; the released loss sums over its batch, ours is the mean times this number"),
}
RELEASED = PAPER | {
    "sigma_exponent": Setting(1.0, "as in the released VAE"),
    "feature_weight": Setting(2e-8, "alpha = 2 * 10e-9 in the script: ten times the printed weight"),
}
CANONICAL = PAPER | {
    "channels": Setting((32, 64, 128, 256, 256), HOU),
    "latent_size": Setting(100, HOU),
    "slope": Setting(0.2, HOU),
    "kl_reduction": Setting("sum", HOU),
    "feature_network": Setting("vgg19", HOU),
    "feature_input": Setting("caffe", f"255 times the image minus the ImageNet mean: {HOU}"),
    "feature_reduction": Setting("mean", HOU),
    "feature_weight": Setting(0.5 / 40, f"0.5 beside a KL divergence summed over the batch of 40: {HOU}"),
    "reference_batch": Setting(1, HOU),
    "learning_rate": Setting(5e-4, f"halved during training in the original: {HOU}"),
    "beta_1": Setting(0.5, HOU),
    "batch_size": Setting(40, HOU),
}
PRESETS = {"paper": PAPER, "released": RELEASED, "canonical": CANONICAL}
