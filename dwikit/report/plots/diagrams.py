"""Diagrams of networks, drawn from their layers: any network (``chains``), and figures 1 and 2."""

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from dwikit.models import GenerativeModel, architecture
from dwikit.models.architecture import Stage
from dwikit.report.plots.style import bare, finished, listed

STEP, WIDTH = 0.72, 0.32
"""Inches from one stage to the next, and width of a stage."""
TEXT = {"fontsize": 7, "ha": "center", "linespacing": 1.2}
LETTER, LINE = 0.06, 0.12
"""Inches that a letter and a line of this size take, on average."""
ROW = 3.6
"""Height of a row of figure 1, in inches."""
HALF = 0.72
"""Half the height of the tallest stage, in inches."""


def chains(model: GenerativeModel) -> Figure:
    """Any network: a row for each chain of Keras models named by its class, and below them what the loss compares.

    Raises:
        InputError: a model that is not functional, so the order of its layers is unknown.
    """
    rows = architecture.chains(model)
    longest = max(sum(len(stages) for stages in row.values()) for row in rows)
    below = max(_below(stage, STEP).count("\n") + 1 for row in rows for stages in row.values() for stage in stages)
    height = 2.4 + LINE * below
    figure, axis = _sheet(longest * STEP + 0.95, height * len(rows) + 0.5)
    for i, row in enumerate(rows):
        x, y, end = 0.45, height * (len(rows) - i) - 1.2, None
        for name, stages in row.items():
            places = _chain(axis, stages, x, y, STEP)
            axis.text(places[0] - 0.3, y + 1.1, name, fontsize=10, fontweight="bold", va="center")
            if end is not None:
                _arrow(axis, (end + WIDTH / 2, y), (places[0] - WIDTH / 2, y), linestyle=":")
            x, end = places[-1] + STEP, places[-1]
    axis.text(0.15, 0.2, model.objective, fontsize=8, color="0.2")
    axis.text(0.15, height * len(rows) + 0.3, model.label, fontsize=11, fontweight="bold", va="center")
    return finished(figure, f"Diagram of the {model.label}. {_told(*rows)} {model.objective}".strip())


def _told(*rows: Mapping[str, Sequence[Stage]]) -> str:
    """Networks in words: the shape after each stage, and its operations."""
    words = []
    for name, chain in (item for row in rows for item in row.items()):
        stages = [f"{stage.label} ({', '.join(stage.text)})" if stage.text else stage.label for stage in chain]
        words.append(f"{name}: {', then '.join(stages)}.")
    return " ".join(words)


def autoencoders(models: Sequence[GenerativeModel]) -> Figure:
    """Figure 1: autoencoders: encoder, latents, decoder, and what the loss compares.

    Models with the same networks share a row.
    """
    rows: list[tuple[list, list[GenerativeModel]]] = []
    for model in models:
        (row,) = architecture.chains(model)
        pair = list(row.values())
        same = [members for shown, members in rows if shown == pair]
        same[0].append(model) if same else rows.append((pair, [model]))
    length = (max(len(encoder) + len(decoder) for (encoder, decoder), _ in rows) - 2) * STEP
    figure, axis = _sheet(length + 0.95, ROW * len(rows))
    for row, ((encoder, decoder), members) in enumerate(rows):
        y = ROW * (len(rows) - row) - 1.8
        places = _chain(axis, [*encoder, *decoder[1:]], 0.45, y, step=length / (len(encoder) + len(decoder) - 2))
        axis.text(0.05, y + 1.68, ", ".join(model.label for model in members), fontsize=10, fontweight="bold", va="center")
        axis.text(places[len(encoder) - 1], y + 0.6, "mean,\nvariance", **TEXT, va="bottom", color="0.35")
        objectives, returns = [model.objective for model in members], any(model.returns for model in members)
        _back(axis, places[0], places[-1], y + 1.05, objectives, returns)
    told = [
        f"{listed(model.label for model in members)}: {_told({'encoder': encoder, 'decoder': decoder})}"
        for (encoder, decoder), members in rows
    ]
    return finished(figure, f"Diagram of autoencoders. {' '.join(told)} {'; '.join(model.objective for model in models)}.")


def style_gan(model: GenerativeModel) -> Figure:
    """Figure 2: mapping, synthesis and critic of the style-based model."""
    parts = {name: architecture.stages(network) for name, network in architecture.networks(model).items()}
    synthesis, critic = parts["synthesis"][1:], parts["critic"]  # its first stage is the styles
    step, first = 0.95, 0.75 + 0.62 * len(parts["mapping"])
    figure, axis = _sheet(first + max(len(synthesis), len(critic) - 1) * step, 6.2)
    upper, lower = 4.5, 1.45
    axis.text(0.15, upper + 1.5, "Generator", fontsize=10, fontweight="bold", va="center")
    axis.text(0.15, lower + 1.1, "Critic", fontsize=10, fontweight="bold", va="center")
    style = _chain(axis, parts["mapping"], 0.5, upper, 0.62, below=0.42)[-1]
    places = _chain(axis, synthesis, first, upper, step, below=0.42)
    above, below = upper + HALF + 0.5, upper - HALF - 0.3
    axis.plot([style, style, places[-1]], [upper + 0.62, above, above], color="0.35", linewidth=0.9)
    axis.text(style + 0.08, above + 0.06, "style: scale and offset of every AdaIN", fontsize=8, color="0.2")
    axis.plot([places[0] - 0.4, places[-1]], [below, below], color="0.35", linewidth=0.9, linestyle=":")
    axis.text(places[0] - 0.45, below, "noise", fontsize=8, color="0.2", ha="right", va="center")
    tallest = _tallest(synthesis)
    for x, stage in zip(places, synthesis):
        _arrow(axis, (x, above), (x, upper + _half(stage, tallest) + (0.3 if "→" in stage.label else 0.2)), color="0.35")
        _arrow(axis, (x, below), (x, upper - _half(stage, tallest)), color="0.35", linestyle=":")
    _arrow(axis, (places[-1] + WIDTH / 2, upper), (places[-1] + 0.55, upper))
    axis.text(places[-1] + 0.3, upper + 0.1, "image", fontsize=8, color="0.2")
    scores = _chain(axis, critic, first - step, lower, step)
    axis.text(scores[-1] + 0.15, lower, "score:\nreal or fake?", fontsize=8, va="center", color="0.2")
    told = "The style sets scale and offset of every AdaIN of the synthesis, and every layer gets noise."
    return finished(figure, f"Diagram of the {model.label}. {_told(parts)} {told}")


# ==== Parts of a diagram ====


def _sheet(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure with one axis whose units are inches."""
    figure = plt.figure(figsize=(width, height))
    axis = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    bare(axis)
    return figure, axis


def _tallest(chain: Sequence[Stage]) -> int:
    return max((stage.size[0] for stage in chain if stage.size), default=1).bit_length()


def _half(stage: Stage, tallest: int) -> float:
    """Half the height of a stage, which grows with the logarithm of its side; all vectors have the same."""
    return HALF * stage.size[0].bit_length() / tallest if stage.size else 0.42


def _chain(axis: Axes, chain: Sequence[Stage], x: float, y: float, step: float, below: float = 0.08) -> list[float]:
    """Stages from left to right, with their operations below; returns their positions."""
    places = [x + i * step for i in range(len(chain))]
    for i, (place, stage) in enumerate(zip(places, chain)):
        half, width = _half(stage, _tallest(chain)), WIDTH if stage.size else 0.1
        shade = ("1.0" if i == 0 else "0.86") if stage.size else "0.55"
        axis.add_patch(Rectangle((place - width / 2, y - half), width, 2 * half, facecolor=shade, edgecolor="0", linewidth=0.8))
        label = stage.label.replace(" →", "\n→")
        axis.text(place, y + half + 0.05, label, **TEXT | {"fontsize": 6.4}, va="bottom", fontweight="bold")
        axis.text(place, y - HALF - below, _below(stage, step), **TEXT, va="top")
        if i:
            before = WIDTH if chain[i - 1].size else 0.1
            _arrow(axis, (places[i - 1] + before / 2, y), (place - width / 2, y))
    return places


def _below(stage: Stage, step: float) -> str:
    """The operations of a stage, a line each, in a column ``step`` inches wide."""
    letters = int(step / LETTER)
    return "\n".join("\n".join(textwrap.wrap(line, letters, break_long_words=False)) for line in stage.text)


def _arrow(axis: Axes, start, end, **look) -> None:
    settings = {"arrowstyle": "-|>", "mutation_scale": 6, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 1, "color": "0"}
    axis.add_patch(FancyArrowPatch(start, end, **settings | look))


def _back(axis: Axes, left: float, right: float, y: float, lines: Sequence[str], returns: bool) -> None:
    """A bracket from the output to the input, with what happens between them."""
    axis.plot([right, right, left], [y - 0.02, y + 0.18, y + 0.18], color="0.35", linewidth=0.9, linestyle="--")
    if returns:
        _arrow(axis, (left, y + 0.18), (left, y - 0.04), color="0.35")
    else:
        axis.plot([left, left], [y + 0.18, y - 0.02], color="0.35", linewidth=0.9, linestyle="--")
    axis.text((left + right) / 2, y + 0.22, "\n".join(lines), fontsize=8, ha="center", va="bottom", color="0.2")
