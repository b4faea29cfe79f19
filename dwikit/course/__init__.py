"""Code that only notebooks and exercises use: first cell, first look, play, checks of exercises, small contrasts."""

import zlib


def own_seed(student: str) -> int:
    """A student's own seed, 1 to 9999: who trains with it gets numbers that nobody else gets.

    Args:
        student: the name under which exercises are handed in; capitals and spaces around it do not matter.
    """
    return zlib.crc32(student.strip().lower().encode()) % 9999 + 1
