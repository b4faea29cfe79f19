"""The paper's claims as data, and a verdict on each from the tables of a run.

Every claim is a list of checks that were fixed before any result was seen: a ratio of two rows must lie in a range. A check
is true when the whole interval of the ratio lies inside, false when it lies outside, and open when it straddles a bound
or is missing. A claim is **reproduced** when all its checks are true, **not reproduced** when one is false,
**undecided** otherwise, and **not tested** when a row is missing. With several seeds the verdict is the one that every
combination of trainings gives, else undecided. The bounds allow for rounding in the paper's numbers: "about 7" is 7 within a
factor of 1.25.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dwikit.paper.checks import Evidence, Nearer, Ratio, holds

REPRODUCED, NOT_REPRODUCED, UNDECIDED, NOT_TESTED = "reproduced", "not reproduced", "undecided", "not tested"
ABOUT = 1.25
"""Factor, either way, allowed by "about"."""


@dataclass(frozen=True)
class Claim:
    """One claim of the paper in our words, its section, its checks, and what else could explain another result."""

    key: str
    section: str
    text: str
    checks: tuple[Ratio | Nearer, ...]
    otherwise: str

    def verdict(self, evidence: Evidence) -> str:
        """Reproduced, not reproduced, undecided or not tested."""
        measured = [check.measure(evidence) for check in self.checks]
        if None in measured:
            return NOT_TESTED
        results = [holds(estimate, check.above, check.below) for estimate, check in zip(measured, self.checks)]
        return REPRODUCED if all(results) else NOT_REPRODUCED if False in results else UNDECIDED


def _ratios(table: str, name: str, rows: Sequence[str], to: str | None = "original", **bounds: float) -> tuple[Ratio, ...]:
    return tuple(Ratio(table, name, row, to, **bounds) for row in rows)


def _about(value: float) -> dict[str, float]:
    return {"above": value / ABOUT, "below": value * ABOUT}


def _readers(rows: Sequence[str], to: str | None = None, **bounds: float) -> tuple[Ratio, ...]:
    return tuple(check for reader in ("reader_1", "reader_2") for check in _ratios("readings", reader, rows, to, **bounds))


PLAIN, ADVERSARIAL = ("vae", "dfc_vae"), ("intro_vae", "style_gan")
CLAIMS = (
    Claim(
        "reconstruction error",
        "4.1",
        "Of the three autoencoders the VAE reconstructs with the least squared error.",
        tuple(Ratio("reconstruction", "mse", "vae", other, below=1.0) for other in ("dfc_vae", "intro_vae")),
        "Budget: the weight of the reconstruction decides, and profiles for few steps lower the VAE's.",
    ),
    Claim(
        "reconstruction sharpness",
        "4.1",
        "Reconstructions get sharper from the VAE over the DFC-VAE to the IntroVAE, and none is as sharp as the original.",
        tuple(
            Ratio("reconstruction", "laplace", one, other, below=1.0)
            for one, other in (("vae", "dfc_vae"), ("dfc_vae", "intro_vae"), ("intro_vae", "original"))
        ),
        "Budget: few adversarial steps leave the IntroVAE soft. Features: which network compares, decides.",
    ),
    Claim(
        "blur of the plain VAEs",
        "4.1, Table 1",
        "Original slices are about 7 times as sharp as the VAE's samples and about 3.5 times as the DFC-VAE's.",
        tuple(
            Ratio("table_1", "laplace", "original", model, **_about(factor)) for model, factor in (("vae", 7), ("dfc_vae", 3.5))
        ),
        "Budget: fewer steps, more blur. Data: pixel size and interpolation set the original's sharpness, noise a part of it.",
    ),
    Claim(
        "sharpness of IntroVAE and StyleGAN",
        "4.1, Table 1",
        "Samples of IntroVAE and StyleGAN are about as sharp as original slices.",
        _ratios("table_1", "laplace", ADVERSARIAL, **_about(1)),
        "Budget: texture and noise take many adversarial steps. Data: the noisier the original, the more there is to learn.",
    ),
    Claim(
        "diversity lost by the plain VAEs",
        "4.1, Table 1",
        "Samples of VAE and DFC-VAE have less than 0.6 of the original's diversity (ISD).",
        _ratios("table_1", "isd", PLAIN, below=0.6),
        "The weight of the reconstruction against the KL divergence moves it either way.",
    ),
    Claim(
        "diversity kept by IntroVAE and StyleGAN",
        "4.1, Table 1",
        "Samples of IntroVAE and StyleGAN have more than 0.9 of the original's diversity (ISD).",
        _ratios("table_1", "isd", ADVERSARIAL, above=0.9),
        "Budget: diversity comes with training, and goes with too much of it (mode collapse).",
    ),
    Claim(
        "near copies among samples",
        "4.1, Table 1",
        "Samples of IntroVAE and StyleGAN have near copies among themselves: min ISD below 0.2 of the original's.",
        _ratios("table_1", "min_isd", ADVERSARIAL, below=0.2),
        "Budget: near copies are a sign of long training. Data: with few people real slices are near one another, too.",
    ),
    Claim(
        "no near copies from the VAE",
        "4.1, Table 1",
        "Samples of the VAE lie no nearer to one another than original slices do (min ISD).",
        _ratios("table_1", "min_isd", ("vae",), above=1.0),
        "Blur: fine detail is half of what keeps slices apart. Prior: samples off the data need not be near one another.",
    ),
    Claim(
        "similarity to the data",
        "4.1, Table 1",
        "DS of IntroVAE and StyleGAN lies nearer to the original's than DS of VAE and DFC-VAE.",
        tuple(Nearer("table_1", "ds", near, far) for near in ADVERSARIAL for far in PLAIN),
        "DS falls for blur and rises where the mean image is off: the two can cancel.",
    ),
    Claim(
        "readers see through the plain VAEs",
        "Table 2",
        "Human readers call fewer than one in five images of VAE and DFC-VAE real.",
        _readers(PLAIN, below=0.2),
        "Readers: training and time. Data: at few pixels blur shows less.",
    ),
    Claim(
        "readers take the IntroVAE's for real",
        "Table 2",
        "Human readers call more than half of the IntroVAE's images real.",
        _readers(("intro_vae",), above=0.5),
        "Budget, and readers who know the simulated cohort's look.",
    ),
    Claim(
        "readers cannot tell the StyleGAN's",
        "Table 2",
        "Human readers call StyleGAN's images real at least 0.8 times as often as original ones.",
        _readers(("style_gan",), to="original", above=0.8),
        "Budget, and readers who know the simulated cohort's look.",
    ),
    Claim(
        "readers agree",
        "Table 2",
        "Two human readers agree substantially: Cohen's kappa above 0.6.",
        (Ratio("readings", "kappa", "agreement", None, above=0.6),),
        "Kappa depends on how many images are real, and on what the readers were told about it.",
    ),
)
