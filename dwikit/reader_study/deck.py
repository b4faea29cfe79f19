"""A blinded deck on disk: one page for the readers, one key for the organizer (Table 2)."""

import base64
import html
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dwikit.common import files, paths
from dwikit.common.errors import InputError

KEY_COLUMNS = ["image", "group", "index", "subject"]
PAGE_NAME, KEY_NAME = "reader-study.html", "key.json"


@dataclass(frozen=True)
class Protocol:
    """How readers read a deck; the page follows it.

    Attributes:
        instructions: what they are told before they begin, in any language, paragraphs separated by empty lines; "": the
            page's own words.
        repeats: images that each reader sees a second time, much later, for the agreement with oneself.
        confidence_required: no answer without saying how sure one is.
        progress: show how many images are read and how many there are.
        breaks: offer a break after so many images; 0 never does.
    """

    instructions: str = ""
    repeats: int = 0
    confidence_required: bool = False
    progress: bool = True
    breaks: int = 50


@dataclass(frozen=True)
class Deck:
    """A deck on disk.

    Attributes:
        folder: holds the page (for readers) and the key (for the organizer).
        id: eight letters that page, key and readings share.
        key: one row per image in the order of reading: image, group, index (position in the group's source), subject.
        images: (n, H, W) uint8 in the same order, as the page holds them: cropped to the heads, and prepared.
        frame: rows and columns of whole images that they show.
        usual: power of real images at the periods of upsampling, to which all images were prepared (``prepare.usual``).
        leaks: every single number that tells a group from the real images; a deck without any has passed its check.
        remarks: what else its organizer should know.
    """

    folder: Path
    id: str
    key: pd.DataFrame
    images: np.ndarray
    frame: tuple[slice, slice]
    usual: np.ndarray
    leaks: list[str]
    remarks: list[str]

    @property
    def page(self) -> Path:
        """The file that readers get."""
        return self.folder / PAGE_NAME

    @classmethod
    def open(cls, folder: str | Path) -> "Deck":
        """Open a deck.

        Raises:
            InputError: page or key is missing or unreadable, or they do not belong together.
        """
        folder = paths.home(folder)
        if not (folder / KEY_NAME).exists():
            raise InputError(f"There is no key at {folder / KEY_NAME}. Give the folder that `dwikit deck` wrote, with its key.")
        key = files.read_object(folder / KEY_NAME)
        if not {"deck", "images"} <= set(key):
            raise InputError(f"{folder / KEY_NAME} is damaged: restore the key as it was made.")
        table = _key_table(key, folder / KEY_NAME)
        try:
            content = page_content((folder / PAGE_NAME).read_text(encoding="utf-8"))
            deck, names = content["deck"], [entry["image"] for entry in content["images"]]
            pixels = b"".join(base64.b64decode(entry["pixels"], validate=True) for entry in content["images"])
            images = np.frombuffer(pixels, np.uint8).reshape(len(names), content["height"], content["width"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f"{folder / PAGE_NAME} cannot be read ({error}). The key needs the page it was made with."
            ) from error
        if deck != key["deck"] or names != table["image"].tolist():
            raise InputError(f"{folder}: page {deck} and key {key['deck']} belong to two decks.")
        return cls(folder, deck, table, images, *_checked(key, folder))

    def show(self, height: int = 720):
        """The page in a frame of a notebook; too large to keep in committed notebooks."""
        from IPython.display import display

        page = html.escape(self.page.read_text(encoding="utf-8"), quote=True)
        frame = f'<iframe title="Reader study" sandbox="allow-scripts allow-downloads" allow="fullscreen" srcdoc="{page}" '
        frame += f'style="width: 100%; height: {height}px; border: 0"></iframe>'
        display({"text/html": frame, "text/plain": f"The page: {self.page.name}"}, raw=True, metadata={"transient": True})


def _key_table(key: dict, path: Path) -> pd.DataFrame:
    """One row per image: image, group, index, subject.

    Raises:
        InputError: the key is damaged.
    """
    rows, texts = key["images"], ("image", "group")
    sound = isinstance(rows, list) and rows and all(isinstance(row, dict) and set(KEY_COLUMNS) <= set(row) for row in rows)
    if not sound or not all(isinstance(row[name], str) for row in rows for name in texts):
        raise InputError(f"{path} is damaged: it does not identify every image. Restore the key as it was made.")
    table = pd.DataFrame(rows)[KEY_COLUMNS]
    if table["image"].duplicated().any():
        raise InputError(f"{path} is damaged: it names an image twice. Restore the key as it was made.")
    return table


def _checked(key: dict, folder: Path) -> tuple[tuple[slice, slice], np.ndarray, list[str], list[str]]:
    """Frame, usual power, leaks and remarks of a key; one of an older version has none, and its deck was not checked.

    Raises:
        InputError: the key is damaged.
    """
    unchecked = f"{folder} was made by an older version, whose images kept their traces. Make the deck anew."
    frame, leaks, remarks = key.get("frame", [[None, None]] * 2), key.get("leaks", [unchecked]), key.get("remarks", [])
    try:
        rows, columns = (slice(start, stop) for start, stop in frame)
        np.empty((0, 9, 9))[:, rows, columns]
        usual = np.array(key.get("usual", []), float)
        if not all(isinstance(text, str) for text in [*leaks, *remarks]):
            raise TypeError
    except (TypeError, ValueError) as error:
        raise InputError(f"{folder / KEY_NAME} is damaged: restore the key as it was made.") from error
    return (rows, columns), usual, list(leaks), list(remarks)


def page_content(page: str) -> dict:
    """Content of a page: deck, the protocol, height, width, practice and images (each image and pixels, base64).

    Raises:
        ValueError: no such page.
    """
    found = re.search(r'<script type="application/json" id="content">(.*?)</script>', page, re.DOTALL)
    if not found:
        raise ValueError("no reader study is in it")
    return json.loads(found.group(1))
