"""The blinded reader study (Table 2): a deck of real and generated images, a page to read it on, and its scoring.

An organizer builds a deck, sends its page to the readers and keeps its key; each reader sends back a CSV file; scoring puts
the two together. Images are real or fake; "called real" is what the paper's Table 2 counts.
"""

from dwikit.reader_study.build import build_deck, fingerprint
from dwikit.reader_study.collect import read_readings
from dwikit.reader_study.deck import Deck, Protocol
from dwikit.reader_study.joint import joint_tables, paper_readings
from dwikit.reader_study.readings import Scores, score_readings

__all__ = [
    "Deck",
    "Protocol",
    "Scores",
    "build_deck",
    "fingerprint",
    "joint_tables",
    "paper_readings",
    "read_readings",
    "score_readings",
]
