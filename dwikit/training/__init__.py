"""Training that can be stopped at any moment: from a profile (``train``) over epochs (``loop``) to a folder (``outcome``)."""

from dwikit.training.initial import begin
from dwikit.training.loop import fit
from dwikit.training.outcome import SAMPLE_SEED, Run, draw_samples, epochs_in, held_out, kept, read_log
from dwikit.training.train import departures, differences, fingerprint, left_out, train

__all__ = [
    "SAMPLE_SEED",
    "Run",
    "begin",
    "departures",
    "differences",
    "draw_samples",
    "epochs_in",
    "fingerprint",
    "fit",
    "held_out",
    "kept",
    "left_out",
    "read_log",
    "train",
]
