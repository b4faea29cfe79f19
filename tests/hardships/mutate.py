"""Damage as disks, transfers, editors and ill will do it: functions of bytes and a random generator."""

import gzip
import io
import re
import zipfile
import zlib

import numpy as np

ABSURD = [
    "-1",
    "0",
    "1e400",
    "-1e308",
    "nan",
    "NaN",
    "inf",
    "Infinity",
    "9" * 30,
    "1" * 5000,
    "0x10",
    "1_000",
    "1,5",
    "١٢",
    "--3",
    "",
]
"""Put in the place of a number."""
WORDS = ["null", "[]", "{}", "true", '"', "'", "[" * 3000, "!!python/object/apply:os.system ['true']", "&a [*a]", "2001-99-99"]
WORDS += ["\0", "\u202e", "../../..", "\ud7ff", ":", "- -", "~", "<<", "%", "\t\t", ";;;", "a" * 200_000]
"""Put in the place of a word."""
EXTREMES = [
    np.array(value, kind).tobytes() for kind in ("<f4", ">f4", "<f8") for value in (np.nan, np.inf, -np.inf, 0, 3e38, 1e-40)
]
EXTREMES += [np.array(value, "<i2").tobytes() for value in (-32768, -1, 0, 1, 8, 4096, 32767)]
EXTREMES += [np.array(value, "<i4").tobytes() for value in (-(2**31), 2**31 - 1, 0, 348, 540)]
EXTREMES += [np.array(value, "<i8").tobytes() for value in (-(2**63), 2**63 - 1, 2**40)]
"""Put into binary files."""


def _place(data: bytes, rng: np.random.Generator) -> int:
    """A position; every second time in the first half kilobyte, where headers are."""
    return int(rng.integers(max(1, len(data) if rng.random() < 0.5 else min(len(data), 512))))


def _span(data: bytes, rng: np.random.Generator) -> tuple[int, int]:
    start = _place(data, rng)
    return start, min(len(data), start + int(2 ** rng.uniform(0, 12)))


def flip_bits(data: bytes, rng: np.random.Generator) -> bytes:
    damaged = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        if damaged:
            damaged[_place(data, rng)] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def truncate(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: _place(data, rng)]


def empty(data: bytes, rng: np.random.Generator) -> bytes:
    return b""


def insert(data: bytes, rng: np.random.Generator) -> bytes:
    place = _place(data, rng)
    return data[:place] + rng.bytes(int(2 ** rng.uniform(0, 8))) + data[place:]


def remove(data: bytes, rng: np.random.Generator) -> bytes:
    start, stop = _span(data, rng)
    return data[:start] + data[stop:]


def repeat(data: bytes, rng: np.random.Generator) -> bytes:
    start, stop = _span(data, rng)
    return data[:stop] + data[start:]


def blank(data: bytes, rng: np.random.Generator) -> bytes:
    start, stop = _span(data, rng)
    return data[:start] + bytes([rng.choice([0, 32, 255])]) * (stop - start) + data[stop:]


def extreme(data: bytes, rng: np.random.Generator) -> bytes:
    value = EXTREMES[rng.integers(len(EXTREMES))]
    place = _place(data, rng) // 2 * 2
    return data[:place] + value + data[place + len(value) :]


def append(data: bytes, rng: np.random.Generator) -> bytes:
    return data + rng.bytes(int(rng.integers(1, 5000)))


def _tokens(data: bytes, pattern: bytes, rng: np.random.Generator) -> list[re.Match]:
    found = list(re.finditer(pattern, data))
    return [found[i] for i in rng.permutation(len(found))[:2]]


def _replaced(data: bytes, match: re.Match, new: bytes) -> bytes:
    return data[: match.start()] + new + data[match.end() :]


def absurd_number(data: bytes, rng: np.random.Generator) -> bytes:
    found = _tokens(data, rb"\d+(\.\d+)?", rng)
    return _replaced(data, found[0], ABSURD[rng.integers(len(ABSURD))].encode()) if found else flip_bits(data, rng)


def strange_word(data: bytes, rng: np.random.Generator) -> bytes:
    found = _tokens(data, rb"[\w\".-]+", rng)
    return _replaced(data, found[0], WORDS[rng.integers(len(WORDS))].encode()) if found else insert(data, rng)


def swap_fields(data: bytes, rng: np.random.Generator) -> bytes:
    found = sorted(_tokens(data, rb"[^\s,;:{}\[\]]+", rng), key=re.Match.start)
    if len(found) < 2:
        return remove(data, rng)
    one, other = found
    return _replaced(_replaced(data, other, one[0]), one, other[0])


def swap_lines(data: bytes, rng: np.random.Generator) -> bytes:
    lines = data.splitlines(keepends=True)
    kept = [lines[i] for i in rng.permutation(len(lines))[: int(rng.integers(len(lines) + 1))]]
    return b"".join(kept + kept[:1]) if rng.random() < 0.5 else b"".join(kept)


def recode(data: bytes, rng: np.random.Generator) -> bytes:
    text = data.decode("utf-8", errors="replace")
    encoding = ["utf-16", "utf-16-le", "utf-32", "utf-7", "utf-8-sig", "cp037"][rng.integers(6)]
    return text.encode(encoding, errors="replace")


BINARY = [flip_bits, truncate, empty, insert, remove, repeat, blank, extreme, extreme, append]
TEXT = [flip_bits, truncate, empty, insert, remove, repeat, blank, append, recode] + [
    absurd_number, strange_word, swap_fields, swap_lines
] * 2  # fmt: skip


def mutate(data: bytes, name: str, rng: np.random.Generator) -> bytes:
    """One to three kinds of damage; what is packed is damaged before the packing every second time."""
    if name.endswith(".gz") and rng.random() < 0.6:
        return gzip.compress(mutate(gzip.decompress(data), name.removesuffix(".gz"), rng), 1, mtime=0)
    if name.endswith((".npz", ".keras")) and rng.random() < 0.6:
        return _repacked(data, rng)
    if name.endswith(".png") and rng.random() < 0.6:
        return _with_checksums(data, rng)
    kinds = BINARY if name.endswith((".nii", ".gz", ".npy", ".npz", ".png", ".keras", ".h5")) else TEXT
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        data = kinds[rng.integers(len(kinds))](data, rng)
    return data


def _repacked(data: bytes, rng: np.random.Generator) -> bytes:
    """An archive with one member damaged, renamed, doubled or left out."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    chosen = int(rng.integers(len(members)))
    name, content = members[chosen]
    change = rng.random()
    if change < 0.7:
        members[chosen] = name, mutate(content, name, rng)
    elif change < 0.8:
        members[chosen] = ["../" + name, "x" + name, name.removesuffix(".npy")][rng.integers(3)], content
    elif change < 0.9:
        members.append(("copy-" + name, content))
    else:
        del members[chosen]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


def _with_checksums(data: bytes, rng: np.random.Generator) -> bytes:
    """A PNG with one chunk damaged whose checksum is right again."""
    chunks, place = [], 8
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    chosen = int(rng.integers(len(chunks)))
    kind, content = chunks[chosen]
    chunks[chosen] = kind, BINARY[rng.integers(len(BINARY))](content or b"\0", rng)
    packed = b"".join(len(c).to_bytes(4, "big") + k + c + zlib.crc32(k + c).to_bytes(4, "big") for k, c in chunks)
    return data[:8] + packed
