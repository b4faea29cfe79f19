"""The four networks with their losses at the preset ``paper``, in PyTorch, with which ``train_step.py`` compares the kit.

Written for this comparison in idiomatic PyTorch: ``torch.nn`` modules, the plain layers of the paper in sequence,
fused Adam. Each model has ``step(images)`` for images (B, 1, H, W) in [0, 1], which returns the losses.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

Compile = Callable[[Callable], Callable]


def count(module: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def adam(module: nn.Module, config: dict) -> torch.optim.Adam:
    betas = (config["beta_1"], config.get("beta_2", 0.999))
    return torch.optim.Adam(module.parameters(), config["learning_rate"], betas, eps=1e-7, fused=True)


def batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


# ==== VAE and DFC-VAE ====


class Encoder(nn.Module):
    def __init__(self, body: nn.Module, features: int, latent_size: int):
        super().__init__()
        self.body, self.mean, self.log_variance = body, nn.Linear(features, latent_size), nn.Linear(features, latent_size)

    def forward(self, images):
        x = self.body(images).flatten(1)
        return self.mean(x), self.log_variance(x)


def vae_encoder(config: dict) -> Encoder:
    inputs, layers = 1, []
    for n in config["channels"]:
        layers += [nn.Conv2d(inputs, n, 4, 2, 1), batch_norm(n), nn.LeakyReLU(config["slope"])]
        inputs = n
    base = config["image_size"] >> len(config["channels"])
    return Encoder(nn.Sequential(*layers), base * base * inputs, config["latent_size"])


def vae_decoder(config: dict) -> nn.Sequential:
    channels, slope = config["channels"], config["slope"]
    base, inputs = config["image_size"] >> len(channels), channels[-1]
    layers = [
        nn.Linear(config["latent_size"], base * base * inputs),
        nn.LeakyReLU(slope),
        nn.Unflatten(1, (inputs, base, base)),
    ]
    for n in channels[-2::-1]:
        layers += [nn.Upsample(scale_factor=2), nn.Conv2d(inputs, n, 3, padding=1), batch_norm(n), nn.LeakyReLU(slope)]
        inputs = n
    return nn.Sequential(*layers, nn.Upsample(scale_factor=2), nn.Conv2d(inputs, 1, 3, padding=1), nn.Sigmoid())


def vgg16_blocks() -> nn.ModuleList:
    """VGG16 up to block3_conv1, cut after the layers whose features are compared."""
    pieces, inputs = [], 3
    for before, n in (([], 64), ([64, "pool"], 128), ([128, "pool"], 256)):
        layers = []
        for width in (*before, n):
            if width == "pool":
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
            inputs = width
        pieces.append(nn.Sequential(*layers))
    return nn.ModuleList(pieces).requires_grad_(False)


class VAE(nn.Module):
    def __init__(self, config: dict, compiled: Compile, perceptual: bool = False):
        super().__init__()
        self.config = config
        self.encoder, self.decoder = vae_encoder(config), vae_decoder(config)
        self.vgg = vgg16_blocks() if perceptual else None
        self.optimizer = adam(nn.ModuleList([self.encoder, self.decoder]), config)
        self.loss = compiled(self.loss)

    def networks(self) -> list[nn.Module]:
        return [self.encoder, self.decoder]

    def features(self, images):
        outputs, x = [], images.expand(-1, 3, -1, -1)
        for piece in self.vgg:
            x = piece(x)
            outputs.append(x)
        return outputs

    def reconstruction_loss(self, images, reconstruction):
        if self.vgg is None:
            return self.config["reconstruction_weight"] * F.mse_loss(reconstruction, images)
        with torch.no_grad():
            targets = self.features(images)
        sums = [F.mse_loss(a, b, reduction="sum") for a, b in zip(self.features(reconstruction), targets)]
        return self.config["feature_weight"] * self.config["reference_batch"] * sum(sums) / len(images)

    def loss(self, images, noise):
        mean, log_variance = self.encoder(images)
        reconstruction = self.decoder(mean + torch.exp(0.5 * log_variance) * noise)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        return kl + self.reconstruction_loss(images, reconstruction)

    def step(self, images):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(images, torch.randn(len(images), self.config["latent_size"]))
        loss.backward()
        self.optimizer.step()
        return loss.detach()


class DFCVAE(VAE):
    def __init__(self, config: dict, compiled: Compile):
        super().__init__(config, compiled, perceptual=True)


# ==== IntroVAE ====


class ResidualBlock(nn.Module):
    def __init__(self, inputs: int, channels: int, last: bool = False):
        super().__init__()
        self.shortcut, self.last = self.normalized(inputs, channels, 1), last
        self.body = nn.Sequential(self.normalized(channels, channels, 3), self.normalized(channels, channels, 3))

    @staticmethod
    def normalized(inputs: int, channels: int, size: int) -> nn.Sequential:
        convolution = nn.Conv2d(inputs, channels, size, padding=size // 2)
        return nn.Sequential(convolution, batch_norm(channels), nn.ReLU())

    def forward(self, x):
        shortcut = self.shortcut(x)
        x = self.body(shortcut) + shortcut
        return x if self.last else F.relu(x)


class IntroVAE(nn.Module):
    def __init__(self, config: dict, compiled: Compile):
        super().__init__()
        self.config, channels = config, config["channels"]
        first, *others = channels
        body = [nn.Conv2d(1, first, 5, padding=2), batch_norm(first), nn.ReLU()]
        for i, n in enumerate(others):
            body += [nn.AvgPool2d(2), ResidualBlock(channels[i], n, last=i == len(others) - 1)]
        base, widest = config["image_size"] >> len(others), channels[-1]
        self.encoder = Encoder(nn.Sequential(*body), base * base * widest, config["latent_size"])
        layers = [nn.Linear(config["latent_size"], base * base * widest), nn.ReLU(), nn.Unflatten(1, (widest, base, base))]
        inputs = widest
        for i, n in enumerate(channels[::-1]):
            layers += [nn.Upsample(scale_factor=2)] * bool(i) + [ResidualBlock(inputs, n)]
            inputs = n
        self.generator = nn.Sequential(*layers, nn.Conv2d(inputs, 1, 5, padding=2), nn.Sigmoid())
        self.encoder_optimizer, self.generator_optimizer = adam(self.encoder, config), adam(self.generator, config)
        self.encoder_loss, self.generator_loss = compiled(self.encoder_loss), compiled(self.generator_loss)

    def networks(self) -> list[nn.Module]:
        return [self.encoder, self.generator]

    def kl(self, images):
        return self.divergence(*self.encoder(images))

    @staticmethod
    def divergence(mean, log_variance):
        return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()

    @staticmethod
    def squared_error(images, others):
        return (images - others).square().sum((1, 2, 3)).mean()

    def encoder_loss(self, images, noise, prior):
        c = self.config
        mean, log_variance = self.encoder(images)
        z = mean + torch.exp(0.5 * log_variance) * noise
        rec = self.generator(z)
        with torch.no_grad():
            fake = self.generator(prior)
        margins = F.relu(c["margin"] - self.kl(rec.detach())) + F.relu(c["margin"] - self.kl(fake))
        kl = self.divergence(mean, log_variance)
        error = self.squared_error(images, rec)
        return c["real_weight"] * kl + c["adversarial_weight"] * margins + c["reconstruction_weight"] * error, z.detach()

    def generator_loss(self, images, z, prior):
        rec = self.generator(z)
        fakes = self.kl(rec) + self.kl(self.generator(prior))
        error = self.squared_error(images, rec)
        return self.config["generator_weight"] * fakes + self.config["reconstruction_weight"] * error

    def step(self, images):
        noise, prior = torch.randn(2, len(images), self.config["latent_size"])
        self.generator.requires_grad_(False)
        self.encoder_optimizer.zero_grad(set_to_none=True)
        encoder_loss, z = self.encoder_loss(images, noise, prior)
        encoder_loss.backward()
        self.encoder_optimizer.step()
        self.generator.requires_grad_(True)
        self.encoder.requires_grad_(False)
        self.generator_optimizer.zero_grad(set_to_none=True)
        generator_loss = self.generator_loss(images, z, prior)
        generator_loss.backward()
        self.generator_optimizer.step()
        self.encoder.requires_grad_(True)
        return encoder_loss.detach(), generator_loss.detach()


# ==== StyleGAN ====


class StyledLayer(nn.Module):
    """Style, noise, activation, in the order of the released code."""

    def __init__(self, channels: int, config: dict):
        super().__init__()
        self.style = nn.Linear(config["mapping_width"], 2 * channels)
        self.weight = nn.Parameter(torch.randn(1, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.slope = config["slope"]

    def forward(self, x, w, noise):
        scale, offset = self.style(w)[:, :, None, None].chunk(2, dim=1)
        x = F.instance_norm(x, eps=1e-8) * scale + offset
        return F.leaky_relu(x + self.weight * noise + self.bias, self.slope)


class Synthesis(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        channels, base = config["channels"][::-1], config["constant_size"]
        self.constant = nn.Parameter(torch.randn(1, channels[0], base, base))
        self.offset = nn.Parameter(torch.zeros(1, channels[0], base, base))
        self.convolutions = nn.ModuleList([nn.Conv2d(channels[0], channels[0], 3, padding=1)])
        for inputs, n in zip(channels, channels[1:]):
            self.convolutions += [nn.Conv2d(inputs, n, 3, padding=1), nn.Conv2d(n, n, 3, padding=1)]
        styled = [channels[0], *(convolution.out_channels for convolution in self.convolutions)]
        self.styled = nn.ModuleList([StyledLayer(n, config) for n in styled])
        self.to_grey = nn.Conv2d(channels[-1], 1, 1)

    def forward(self, w, image):
        def noise(x):
            edge = (image.shape[-1] - x.shape[-1]) // 2
            return image[:, :, edge : edge + x.shape[-1], edge : edge + x.shape[-1]]

        x = (self.constant + self.offset).expand(len(w), -1, -1, -1)
        x = self.styled[0](x, w, noise(x))
        for i, (convolution, styled) in enumerate(zip(self.convolutions, self.styled[1:])):
            if i % 2:
                x = F.interpolate(x, scale_factor=2, mode="bilinear")
            x = convolution(x)
            x = styled(x, w, noise(x))
        return torch.sigmoid(self.to_grey(x))


class MinibatchDeviation(nn.Module):
    def __init__(self, group: int):
        super().__init__()
        self.group = group

    def forward(self, x):
        groups = max(len(x) // self.group, 1)
        deviation = torch.sqrt(x.unflatten(0, (len(x) // groups, groups)).var(0, unbiased=False) + 1e-8)
        maps = deviation.mean((1, 2, 3)).repeat(len(x) // groups)[:, None, None, None]
        return torch.cat([x, maps.expand(-1, -1, *x.shape[2:])], dim=1)


def critic(config: dict) -> nn.Sequential:
    channels = config["critic_channels"]

    def active():
        return nn.LeakyReLU(config["critic_slope"])

    layers = [nn.Conv2d(1, channels[0], 1), active()]
    for n, following in zip(channels, channels[1:]):
        layers += [nn.Conv2d(n, n, 3, padding=1), active(), nn.Conv2d(n, following, 3, padding=1), nn.AvgPool2d(2), active()]
    base, n = config["image_size"] >> (len(channels) - 1), channels[-1]
    layers += [MinibatchDeviation(config["minibatch_group"]), nn.Conv2d(n + 1, n, 3, padding=1), active(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(base * base * n, n), active(), nn.Linear(n, 1))


class StyleGAN(nn.Module):
    def __init__(self, config: dict, compiled: Compile):
        super().__init__()
        self.config, width = config, config["mapping_width"]
        mapping, inputs = [], config["latent_size"]
        for _ in range(config["mapping_layers"]):
            mapping += [nn.Linear(inputs, width), nn.LeakyReLU(config["mapping_slope"])]
            inputs = width
        self.generator = nn.ModuleDict({"mapping": nn.Sequential(*mapping), "synthesis": Synthesis(config)})
        self.critic = critic(config)
        self.critic_optimizer, self.generator_optimizer = adam(self.critic, config), adam(self.generator, config)
        # The penalty is differentiated twice, which compiled graphs do not allow: it stays eager
        self.score_loss, self.generator_loss = compiled(self.score_loss), compiled(self.generator_loss)
        self.generate = compiled(self.generate)

    def networks(self) -> list[nn.Module]:
        return [self.generator, self.critic]

    def generate(self, z, image):
        return self.generator["synthesis"](self.generator["mapping"](z), image)

    def score_loss(self, real, fake):
        real_scores, fake_scores = self.critic(real), self.critic(fake)
        return fake_scores.mean() - real_scores.mean() + self.config["drift"] * real_scores.square().mean()

    def penalty(self, real, fake):
        epsilon = torch.rand(len(real), 1, 1, 1)
        between = (epsilon * real + (1 - epsilon) * fake).requires_grad_(True)
        between = between.clone()  # where operations are counted, a leaf may not be differentiated
        gradient = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)[0]
        norm = torch.sqrt(gradient.square().sum((1, 2, 3)) + 1e-12)
        return self.config["penalty"] * (norm - 1).square().mean()

    def generator_loss(self, z, image):
        return -self.critic(self.generate(z, image)).mean()

    def draw(self, images):
        return torch.randn(len(images), self.config["latent_size"]), torch.rand_like(images)

    def step(self, images):
        with torch.no_grad():
            fake = self.generate(*self.draw(images))
        self.critic_optimizer.zero_grad(set_to_none=True)
        critic_loss = self.score_loss(images, fake) + self.penalty(images, fake)
        critic_loss.backward()
        self.critic_optimizer.step()
        self.critic.requires_grad_(False)
        self.generator_optimizer.zero_grad(set_to_none=True)
        generator_loss = self.generator_loss(*self.draw(images))
        generator_loss.backward()
        self.generator_optimizer.step()
        self.critic.requires_grad_(True)
        return critic_loss.detach(), generator_loss.detach()


BY_KEY = {"vae": VAE, "dfc_vae": DFCVAE, "intro_vae": IntroVAE, "style_gan": StyleGAN}


def build(key: str, config: dict, variant: str) -> nn.Module:
    """A model in one of the ``VARIANTS``."""
    model = BY_KEY[key](config, torch.compile if variant.startswith("compiled") else lambda fn: fn)
    return model if variant == "eager" or variant == "compiled" else model.to(memory_format=torch.channels_last)


VARIANTS = ("eager", "channels-last", "compiled", "compiled channels-last")
