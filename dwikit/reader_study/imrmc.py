"""Readings as a file for iMRMC, the program of the U.S. Food and Drug Administration for such studies.

The format is the one that iMRMC (https://github.com/DIDSR/iMRMC) reads and writes: a free description, the numbers of readers,
of cases without and with the signal, and of modalities, then ``BEGIN DATA:`` and lines of reader, case, modality, score. The
reader -1 tells the truth. Here a fake is the signal and a network is a modality; the real images, read once, stand in every
modality with the same score, fakes in their own only. That is a design that iMRMC takes (not fully crossed).
"""

import pandas as pd

from dwikit.common.errors import InputError
from dwikit.reader_study.readings import ORIGINAL, fakeness


def imrmc(readings: pd.DataFrame, key: pd.DataFrame, title: str = "Reader study") -> str:
    """The text of an iMRMC file; readers, images and networks are numbered, and the description says which is which.

    Args:
        readings: as ``read_readings`` returns them. Scores are the confidences, negative for "real", where all were given;
            otherwise 1 for "fake" and 0 for "real".
        key: ``image`` and ``group`` of the deck.
        title: first line.

    Raises:
        InputError: there are no real images, or only real ones.
    """
    networks = sorted(set(key["group"]) - {ORIGINAL})
    if not networks or ORIGINAL not in set(key["group"]):
        raise InputError("An iMRMC file needs real images and those of a network; this deck has only one kind.")
    scores = fakeness(readings)
    kind = "confidence, negative if called real"
    if scores.isna().any():
        scores, kind = (readings["answer"] == "fake").astype(float), "1 called fake, 0 called real"
    readers = list(dict.fromkeys(readings["reader"]))
    cases = {image: number for number, image in enumerate(key["image"], 1)}
    group = key.set_index("image")["group"]
    lines = [title, f"Scores: {kind}. Truth: 1 fake, 0 real."]
    lines += [f"Reader {number} is {' '.join(reader.split())}." for number, reader in enumerate(readers, 1)]
    lines += [f"Modality {number} is {network}." for number, network in enumerate(networks, 1)]
    real = int((group == ORIGINAL).sum())
    lines += [f"NR: {len(readers)}", f"N0: {real}", f"N1: {len(key) - real}", f"NM: {len(networks)}", "BEGIN DATA:"]
    lines += [f"-1,{number},0,{int(group[image] != ORIGINAL)}" for image, number in cases.items()]
    for reader, image, score in zip(readings["reader"], readings["image"], scores):
        shown = range(1, len(networks) + 1) if group[image] == ORIGINAL else [networks.index(group[image]) + 1]
        lines += [f"{readers.index(reader) + 1},{cases[image]},{modality},{score:g}" for modality in shown]
    return "\n".join(lines) + "\n"
