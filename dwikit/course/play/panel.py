"""Controls above a picture and a line of text, and a static picture for where they cannot run."""

import base64
import html
import io
import re
from collections.abc import Callable, Mapping

import ipywidgets
import numpy as np
from IPython.display import display
from matplotlib.figure import Figure
from PIL import Image

from dwikit.report import plots

TILE = 192
"""Pixels on the screen along one side of an image."""


class Panel(ipywidgets.VBox):
    """Controls; whenever one of them moves, picture and text are redrawn.

    Tab goes from one to the next, the arrow keys move it, and the text, which also describes the picture, is read out.

    Args:
        static: shown first, and the only thing that a notebook keeps.
        controls: widgets with a value, by the name of the ``draw`` argument that they set.
        draw: from the values of all controls to a picture (PNG) and text (HTML).
    """

    def __init__(self, static: Figure, controls: Mapping[str, ipywidgets.ValueWidget], draw: Callable[..., tuple[bytes, str]]):
        display(static)
        self.controls, self.draw = dict(controls), draw
        self.picture, self.words = ipywidgets.HTML(), ipywidgets.HTML()
        super().__init__([*self.controls.values(), self.picture, self.words])
        for control in self.controls.values():
            control.observe(self.redraw, names="value")
        self.redraw()

    def redraw(self, change=None) -> None:
        """Redraw picture and text."""
        values = {name: control.value for name, control in self.controls.items()}
        png, words = self.draw(**values)
        source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
        self.picture.value = f'<img src="{source}" alt="{html.escape(plain(words))}">'
        self.words.value = f'<div role="status">{words}</div>'


def whole(description: str, largest: int, value: int = 0) -> ipywidgets.IntSlider:
    """A slider over 0, 1, ..., ``largest``."""
    return ipywidgets.IntSlider(value, 0, largest, description=description)


def real(description: str, smallest: float, largest: float, value: float = 0.0, step: float = 0.1) -> ipywidgets.FloatSlider:
    """A slider over real numbers."""
    return ipywidgets.FloatSlider(value, min=smallest, max=largest, step=step, description=description)


def tiles(images: np.ndarray, frame: tuple[slice, slice], columns: int = 8) -> bytes:
    """Images (n, H, W) or (n, H, W, 1), uint8 or in [0, 1], in rows of ``columns`` as a PNG.

    They are cropped to a frame (``slices.head_frame``), the same whatever the controls say, and enlarged to ``TILE`` pixels.
    """
    images = images[:, *frame]
    sheet = Image.fromarray(plots.mosaic(images, min(columns, len(images))))
    factor = max(1, TILE // images.shape[1])
    packed = io.BytesIO()
    sheet.resize((sheet.width * factor, sheet.height * factor), Image.Resampling.NEAREST).save(packed, "PNG")
    return packed.getvalue()


def plain(words: str) -> str:
    """HTML as text."""
    return " ".join(re.sub(r"<[^>]+>", " ", words).split())


def drawn(figure: Figure) -> bytes:
    """A figure as a PNG for the screen."""
    packed = io.BytesIO()
    figure.savefig(packed, format="png", dpi=90)
    return packed.getvalue()
