"""Interactive parts of the notebooks: each function shows a picture of what its sliders do and returns the sliders.

Where no kernel runs (a printed page, a notebook on the web), the picture alone is enough to follow the text.
"""

from dwikit.course.play.margin import margin
from dwikit.course.play.networks import latents, styles
from dwikit.course.play.panel import Panel
from dwikit.course.play.spoil import spoil, spoiled

__all__ = ["Panel", "latents", "margin", "spoil", "spoiled", "styles"]
