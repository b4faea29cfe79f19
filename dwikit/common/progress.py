"""Progress bars: tqdm's in a terminal; in a notebook one line that is rewritten in place and at last says what was done.

A notebook shows what a terminal's bar writes (standard error) on red ground, and keeps an empty strip where a bar was removed.
"""

import io
import sys

from tqdm import std

TRANSIENT = {"transient": True}
"""Metadata of an output that published notebooks leave out."""


class Line(std.tqdm):
    """A bar as one line of text below a cell of a notebook; screen readers read it as text, and it stays."""

    def __init__(self, *arguments, **settings):
        self.handle = None
        super().__init__(*arguments, **settings | {"file": io.StringIO(), "ncols": 120, "ascii": False, "leave": True})

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Rewrite the line."""
        from IPython.display import display

        data = {"text/plain": str(self) if msg is None else msg}
        if self.handle is None:
            self.handle = display(data, raw=True, metadata=TRANSIENT, display_id=True)
        else:
            self.handle.update(data, raw=True, metadata=TRANSIENT)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return bool(shell) and "IPKernelApp" in shell.config


tqdm = Line if in_notebook() else std.tqdm
"""The bar to use here, with tqdm's arguments."""
