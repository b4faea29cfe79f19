"""Choosing, preparing, blinding and shuffling the images of a deck.

The page holds the pixels, in an order and under names that only the key decodes. Names and order are keyed hashes
(HMAC-SHA256) with a secret that stays in the key. Pixels are embedded raw: the length of a compressed image would reveal blur.
"""

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

import dwikit
from dwikit import paper
from dwikit.common import files, paths
from dwikit.common.errors import InputError
from dwikit.metrics import as_images
from dwikit.reader_study import screen, traces
from dwikit.reader_study.collect import listed
from dwikit.reader_study.deck import KEY_COLUMNS, KEY_NAME, PAGE_NAME, Deck, Protocol
from dwikit.reader_study.prepare import SETTINGS, prepare, usual
from dwikit.reader_study.readings import ORIGINAL
from dwikit.slices import head_frame, to_uint8

PAGE = Path(__file__).with_name("page")
SCRIPTS = ("store", "order", "picture", "reading", "export", "controls")
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""Names of images have no digits, which spreadsheets take for numbers, and no vowels, which make words."""


def build_deck(
    originals: np.ndarray,
    samples: Mapping[str, np.ndarray],
    out: str | Path,
    n: int = 50,
    practice: int | None = None,
    subjects: Sequence[str] | None = None,
    title: str = "Real or fake?",
    seed: int | None = None,
    protocol: Protocol | None = None,
    names: Mapping[str, Sequence[str]] | None = None,
    spacing_mm: float | None = None,
) -> Deck:
    """Choose, prepare, blind and shuffle images, and write the page and the key. An existing deck of the same images is kept.

    All images are cropped to one frame around the heads of all groups and prepared by one rule (``prepare``); then single
    numbers of them are checked for traces of their making (``traces.check``). Near-blank images are passed over. What else is
    wrong, the deck says in ``remarks`` and ``leaks``, and so does its key.

    Args:
        originals: real images (N, H, W), uint8 or in [0, 1].
        samples: group -> generated images (M, H, W) of the same size.
        out: folder for the page and the key.
        n: images per group, real ones included (paper: 50).
        practice: practice images, half of them real, none of them in the deck; None: one of each network, and as many real.
        subjects: person of each original; at most one image per person is shown. None: all are different people's.
        title: heading of the page; readers see it, so it must reveal nothing.
        seed: None draws a random secret; a number makes a deck that can be rebuilt, and guessed: for teaching and tests.
        protocol: how the deck is read; None: as in the paper.
        names: group -> name of each image, such as its file, for the key.
        spacing_mm: side of a pixel, for the scale on the page.

    Raises:
        InputError: too few images or subjects, images of several sizes, or a folder that holds another deck.
    """
    out = paths.home(out)
    groups = {ORIGINAL: _uint8(originals, ORIGINAL)}
    groups |= {group: _uint8(images, group) for group, images in samples.items() if _allowed(group)}
    labels = [paper.LABELS.get(group.strip(), group.strip()).casefold() for group in groups]
    if alike := [group for group, label in zip(groups, labels) if labels.count(label) > 1]:
        raise InputError(f"The groups {listed(alike)} would be called the same in the tables. Give them names of their own.")
    practice, protocol = 2 * len(samples) if practice is None else practice, protocol or Protocol()
    if not samples or n < 1 or practice < 0:
        raise InputError("A deck needs at least one group of generated images, n of 1 or more, and practice of 0 or more.")
    sizes = {group: images.shape[1:] for group, images in groups.items()}
    if len(set(sizes.values())) > 1:
        raise InputError(f"All images of a deck must have one size, but there are {sizes}. Resize them first.")
    if subjects is not None and len(subjects) != len(originals):
        raise InputError(f"There are {len(originals)} real images, but {len(subjects)} subjects for them.")
    if not 0 <= protocol.repeats <= (limit := n * len(groups) // 3):
        raise InputError(f"Of {n * len(groups)} images, 0 to {limit} can be shown a second time, not {protocol.repeats}.")
    if protocol.breaks < 0:
        raise InputError(f"A break is offered after so many images, 0 for never, not {protocol.breaks}.")
    subjects = None if subjects is None else np.array([str(subject) for subject in subjects])
    settings = {"n": n, "practice": practice, "title": title, "seed": seed, "spacing_mm": spacing_mm, **asdict(protocol)}
    source = fingerprint(originals, samples, None if subjects is None else subjects.tolist(), settings)
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
    rng = np.random.default_rng(int.from_bytes(_keyed(secret, "choice"), "big"))
    found = {group: screen.usable(images, group) for group, images in groups.items()}
    usable = {group: positions for group, (positions, _) in found.items()}
    chosen = _choose(usable, subjects, n, practice, rng)
    chosen["image"] = [_name(secret, f"{group}/{i}") for group, i in _places(chosen)]
    chosen["name"] = [names[group][i] if names and group in names else f"{group} {i}" for group, i in _places(chosen)]
    chosen = chosen.iloc[np.argsort([_keyed(secret, f"order/{image}") for image in chosen["image"]])]
    rows, columns = frame = head_frame(*groups.values())
    like = usual(groups[ORIGINAL][usable[ORIGINAL]][:, rows, columns])
    pixels = np.concatenate([prepare(groups[group][i : i + 1, rows, columns], like) for group, i in _places(chosen)])
    chosen["sha256"] = [screen.digest(image) for image in pixels]
    checked = traces.check(groups, subjects, through=lambda images: prepare(images[:, rows, columns], like), among=usable)
    key = {"deck": _name(secret, "deck"), "source": source, "secret": secret.hex(), "dwikit": dwikit.__version__}
    key |= {"settings": settings, "preparation": SETTINGS, "frame": [[side.start, side.stop] for side in frame]}
    key["usual"] = like.tolist()
    key["sources"] = {group: {"images": len(images), "sha256": screen.digest(images)} for group, images in groups.items()}
    key["remarks"] = [said for _, sentences in found.values() for said in sentences]
    key["remarks"] += screen.remarks(chosen, groups, subjects) + traces.limits(checked)
    key |= {"leaks": traces.leaks(checked), "traces": checked.to_dict("records")}
    content = {"deck": key["deck"], "version": dwikit.__version__, "title": title, "spacing_mm": spacing_mm, **asdict(protocol)}
    content |= {"height": pixels.shape[1], "width": pixels.shape[2]}
    for part, within in (("images", ~chosen["practice"]), ("practice", chosen["practice"])):
        key[part] = chosen.loc[within, [*KEY_COLUMNS, "name", "sha256"]].to_dict("records")
        shown = zip(chosen.loc[within, "image"], pixels[within.to_numpy(bool)])
        content[part] = [{"image": image, "pixels": _base64(shades)} for image, shades in shown]
    files.write_json(out / KEY_NAME, key)
    (out / KEY_NAME).chmod(0o600)
    files.write_text(out / PAGE_NAME, _page(content))
    return Deck.open(out)


def fingerprint(*parts) -> str:
    """Ten hexadecimal digits that change with any of the given arrays, mappings of arrays and plain values, and with the
    preparation of images."""
    digest = hashlib.sha256(repr(SETTINGS).encode())
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


def _places(chosen: pd.DataFrame) -> Iterable[tuple[str, int]]:
    return zip(chosen["group"], chosen["index"])


def _allowed(group: str) -> bool:
    if not group.strip():
        raise InputError("A group of generated images has an empty name. Name every group, such as after its network.")
    if group == ORIGINAL:
        raise InputError(f"A group of generated images cannot be called {ORIGINAL!r}: that is the group of real images.")
    return True


def _choose(
    usable: Mapping[str, np.ndarray], subjects: np.ndarray | None, n: int, practice: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Images of the deck, n per group, and images for practice: real and fake in turn, the fakes from any group."""
    fakes = [group for group in usable if group != ORIGINAL]
    extra = {ORIGINAL: practice // 2} | {
        group: len(range(i, practice - practice // 2, len(fakes))) for i, group in enumerate(fakes)
    }
    rows = []
    for group, positions in usable.items():
        order, kind = rng.permutation(positions), "usable images"
        who = subjects if group == ORIGINAL else None
        if who is not None:
            order, kind = order[np.sort(np.unique(who[order], return_index=True)[1])], "different subjects with usable images"
        wanted = n + extra[group]
        if len(order) < wanted:
            raise InputError(
                f"The group {group} has {len(order)} {kind}, but {wanted} are needed: {n} to read and {extra[group]} to "
                "practise on. Choose a smaller n or less practice, or provide more; near-blank and over-exposed images are not "
                "usable."
            )
        for i, index in enumerate(order[:wanted].tolist()):
            subject = str(who[index]) if who is not None else None
            rows.append({"image": None, "group": group, "index": index, "subject": subject, "practice": i >= n})
    return pd.DataFrame(rows).astype({"subject": object})


def _keyed(secret: bytes, text: str) -> bytes:
    return hmac.digest(secret, text.encode(), "sha256")


def _name(secret: bytes, text: str) -> str:
    number = int.from_bytes(_keyed(secret, f"name/{text}"), "big")
    return "".join(LETTERS[number // len(LETTERS) ** i % len(LETTERS)] for i in range(8))


def _base64(image: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(image).tobytes()).decode("ascii")


def _page(content: dict) -> str:
    """One file with everything in it; no text of the content can end the script element early."""
    parts = {
        "style": (PAGE / "style.css").read_text(encoding="utf-8"),
        "script": "\n".join((PAGE / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS),
        "content": json.dumps(content, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"),
    }
    page = (PAGE / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], page)
