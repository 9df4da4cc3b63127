"""How the landscape explorer is drawn."""

from types import SimpleNamespace

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex, to_rgb

from rmlib.plots.figures import COLOURS, new_figure

from .numbers import BANDS, FEATURES, HIGH, LOW

# Shares of the way up. The bands widen as the loss rises, or the steep rim would leave one single band for the valley.
LEVELS = np.linspace(0, 1, BANDS + 1) ** 2
SHADES = [to_hex(colormaps["Blues"](0.75 * k / (BANDS - 1))) for k in range(BANDS)]  # light to dark: grey says the same


def blank() -> SimpleNamespace:
    """The figure, and by name what moves in it: only that is drawn again (see `plots.show`), in a third of the time."""
    figure = new_figure(8.8, 4.4, columns=2, margins={"top": 0.8, "bottom": 0.11})
    left, right = figure.axes
    left.grid(False)
    hollow = {"color": "black", "markerfacecolor": "white", "linestyle": "none", "clip_on": False}
    now, plain = {"color": COLOURS["vermilion"], "linestyle": "-"}, {"color": "black", "linestyle": "--"}
    end = {"marker": "o", "markersize": 8, "markeredgecolor": "white", "zorder": 4}
    art = SimpleNamespace(figure=figure, surface=left, data=right, bands=left.plot([], [])[0])
    (art.path,), (art.end,) = left.plot([], [], linewidth=2.2, **now), left.plot([], [], **now | end)
    (art.plain_path,), (art.plain_end,) = left.plot([], [], linewidth=1.2, **plain), left.plot([], [], **plain | end)
    (art.start,) = left.plot([], [], marker="s", markersize=7, label="start", **hollow)
    (art.lowest,) = left.plot([], [], marker="*", markersize=12, label="lowest of the grid", zorder=3, **hollow)
    (art.malignant,) = right.plot([], [], "^", color=COLOURS["vermilion"], mfc="none", label="labelled malignant")
    (art.benign,) = right.plot([], [], "o", color=COLOURS["blue"], mfc="none", label="labelled benign")
    (art.turned,) = right.plot([], [], "x", color="black", markersize=4, label="label flipped")
    (art.line,) = right.plot([], [], linewidth=2, label="this α", **now)
    (art.plain_line,) = right.plot([], [], linewidth=2, label="α = 0", **plain)
    left.set(xlabel=f"w₁ ({FEATURES[0]})", ylabel=f"w₂ ({FEATURES[1]})", xlim=(LOW, HIGH), ylim=(LOW, HIGH))
    right.set(xlabel=f"{FEATURES[0]} (standardised)", ylabel=f"{FEATURES[1]} (standardised)")
    right.set(xlim=(-2.4, 5), ylim=(-1.6, 4.6), xticks=[-2, 0, 2, 4], yticks=[0, 2, 4])
    left.set(xticks=[-4, 0, 4, 8], yticks=[-4, 0, 4, 8])
    for axes, start, width in ((left, 0.06, 0.38), (right, 0.56, 0.43)):
        axes.set_position((start, 0.11, width, 0.69))
        # The places of the labels are given: to find them, every tick would be measured at every drawing.
        axes.xaxis.set_label_coords(0.5, -0.09)
        axes.yaxis.set_label_coords(-0.08, 0.5)
    bar = figure.add_axes((0.447, 0.11, 0.012, 0.69), xticks=[], yticks=[], title="L")
    bar.imshow(np.array([[to_rgb(shade)] for shade in SHADES]), origin="lower", aspect="auto")
    moving = {"transform": figure.transFigure, "animated": True}
    art.bar = [left.text(0.463, y, "", fontsize=8, va="center", **moving) for y in np.linspace(0.11, 0.8, 5)]
    art.loss, art.metrics = (left.text(x, 0.83, "", fontsize=10, **moving) for x in (0.06, 0.56))
    for line in (*left.lines, *right.lines):
        line.set_animated(True)
    handles = [art.line, art.plain_line, art.start, art.lowest, art.malignant, art.benign, art.turned]
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.05, 1), ncols=7, fontsize=8, frameon=False)
    return art
