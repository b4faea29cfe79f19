"""Choosing, blinding and shuffling the images of a deck.

The page holds the pixels, in an order and under names that only the key decodes. Names and order are keyed hashes
(HMAC-SHA256) with a secret that stays in the key. Pixels are embedded raw: the length of a compressed image would reveal blur.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dwikit.common import files, paths
from dwikit.common.errors import InputError
from dwikit.metrics import as_images
from dwikit.reader_study.deck import KEY_COLUMNS, KEY_NAME, PAGE_NAME, Deck
from dwikit.reader_study.readings import ORIGINAL
from dwikit.slices import head_frame, to_uint8

TEMPLATE = Path(__file__).with_name("page.html")
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""Names of images have no digits, which spreadsheets take for numbers, and no vowels, which make words."""


def build_deck(
    originals: np.ndarray,
    samples: Mapping[str, np.ndarray],
    out: str | Path,
    n: int = 50,
    practice: int = 4,
    subjects: Sequence[str] | None = None,
    title: str = "Real or fake?",
    seed: int | None = None,
) -> Deck:
    """Choose, blind and shuffle images, and write the page and the key. An existing deck of the same images is kept.

    All images are cropped to one frame around the heads of all groups, so it fits each and tells of none.

    Args:
        originals: real images (N, H, W), uint8 or in [0, 1].
        samples: group -> generated images (M, H, W) of the same size.
        out: folder for the page and the key.
        n: images per group, real ones included (paper: 50).
        practice: practice images, half of them real, none of them in the deck.
        subjects: person of each original; at most one image per person is shown. None: all are different people's.
        title: heading of the page; readers see it, so it must reveal nothing.
        seed: None draws a random secret; a number makes a deck that can be rebuilt, and guessed: for teaching and tests.

    Raises:
        InputError: too few images or subjects, images of several sizes, or a folder that holds another deck.
    """
    out = paths.home(out)
    groups = {ORIGINAL: _uint8(originals, ORIGINAL)}
    groups |= {group: _uint8(images, group) for group, images in samples.items() if _allowed(group)}
    if not samples or n < 1 or practice < 0:
        raise InputError("A deck needs at least one group of generated images, n of 1 or more, and practice of 0 or more.")
    subjects = None if subjects is None else [str(subject) for subject in subjects]
    source = fingerprint(originals, samples, n, practice, subjects, title, seed)
    there = files.read_object(out / KEY_NAME)
    if there.get("source") != source and ((out / KEY_NAME).exists() or (out / PAGE_NAME).exists()):
        raise InputError(
            f"{out} holds another deck, whose readings need its key. Choose another folder, or move that deck away."
        )
    if there and (out / PAGE_NAME).exists():
        return Deck.open(out)
    if there:  # an earlier run stopped before it wrote the page
        secret = bytes.fromhex(there["secret"])
    else:
        secret = secrets.token_bytes(32) if seed is None else hashlib.sha256(f"{seed} {source}".encode()).digest()
    chosen = _choose(groups, subjects, n, practice, np.random.default_rng(int.from_bytes(_keyed(secret, "choice"), "big")))
    chosen["image"] = [
        _name(secret, f"{row.group}/{row.index}") for row in chosen.drop(columns="image").itertuples(index=False)
    ]
    chosen = chosen.iloc[np.argsort([_keyed(secret, f"order/{image}") for image in chosen["image"]])]
    deck, trial = chosen[~chosen["practice"]], chosen[chosen["practice"]]
    rows, columns = head_frame(*groups.values())
    pixels = {row.image: groups[row.group][row.index, rows, columns] for row in chosen.itertuples(index=False)}
    content = {
        "deck": _name(secret, "deck"),
        "title": title,
        "height": rows.stop - rows.start,
        "width": columns.stop - columns.start,
        "practice": [{"image": image, "pixels": _base64(pixels[image])} for image in trial["image"]],
        "images": [{"image": image, "pixels": _base64(pixels[image])} for image in deck["image"]],
    }
    key = {"deck": content["deck"], "source": source, "secret": secret.hex()}
    key |= {name: table[KEY_COLUMNS].to_dict("records") for name, table in (("images", deck), ("practice", trial))}
    files.write_json(out / KEY_NAME, key)
    (out / KEY_NAME).chmod(0o600)
    files.write_text(out / PAGE_NAME, _fill(TEMPLATE.read_text(encoding="utf-8"), content))
    return Deck.open(out)


def fingerprint(*parts) -> str:
    """Ten hexadecimal digits that change with any of the given arrays, mappings of arrays and plain values."""
    digest = hashlib.sha256()
    for part in parts:
        for value in [item for pair in part.items() for item in pair] if isinstance(part, Mapping) else [part]:
            if isinstance(value, np.ndarray):
                digest.update(repr((value.shape, value.dtype.str)).encode())
                digest.update(np.ascontiguousarray(value).data)
            else:
                digest.update(repr(value).encode())
    return digest.hexdigest()[:10]


def _uint8(images: np.ndarray, group: str) -> np.ndarray:
    images = as_images(images, f"The images of {group}")
    return images if images.dtype == np.uint8 else to_uint8(images)


def _allowed(group: str) -> bool:
    if group == ORIGINAL:
        raise InputError(f"A group of generated images cannot be called {ORIGINAL!r}: that is the group of real images.")
    return True


def _choose(groups: Mapping[str, np.ndarray], subjects, n: int, practice: int, rng: np.random.Generator) -> pd.DataFrame:
    """Images of the deck, n per group, and images for practice: real and fake in turn, the fakes from any group."""
    sizes = {group: images.shape[1:] for group, images in groups.items()}
    if len(set(sizes.values())) > 1:
        raise InputError(f"All images of a deck must have one size, but there are {sizes}. Resize them first.")
    fakes = [group for group in groups if group != ORIGINAL]
    extra = {ORIGINAL: practice // 2} | {
        group: len(range(i, practice - practice // 2, len(fakes))) for i, group in enumerate(fakes)
    }
    rows = []
    for group, images in groups.items():
        order = rng.permutation(len(images))
        who = np.array(subjects) if group == ORIGINAL and subjects is not None else None
        if who is not None:
            if len(who) != len(images):
                raise InputError(f"There are {len(images)} real images, but {len(who)} subjects for them.")
            order = order[np.sort(np.unique(who[order], return_index=True)[1])]
        wanted = n + extra[group]
        if len(order) < wanted:
            kind = "different subjects" if who is not None else "images"
            raise InputError(
                f"The group {group} has {len(order)} {kind}, but {wanted} are needed: {n} to read and {extra[group]} to "
                f"practise on. Choose a smaller n or less practice, or provide more."
            )
        for i, index in enumerate(order[:wanted]):
            subject = str(who[index]) if who is not None else None
            rows.append({"image": None, "group": group, "index": int(index), "subject": subject, "practice": i >= n})
    return pd.DataFrame(rows)


def _keyed(secret: bytes, text: str) -> bytes:
    return hmac.digest(secret, text.encode(), "sha256")


def _name(secret: bytes, text: str) -> str:
    number = int.from_bytes(_keyed(secret, f"name/{text}"), "big")
    return "".join(LETTERS[number // len(LETTERS) ** i % len(LETTERS)] for i in range(8))


def _base64(image: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(image).tobytes()).decode("ascii")


def _fill(template: str, content: dict) -> str:
    """The page with its content; no text in it can end the script element early."""
    text = json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")
    return template.replace("{{content}}", text)
