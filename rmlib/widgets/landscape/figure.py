"""How the landscape explorer is drawn, and its alt text."""

from types import SimpleNamespace

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from rmlib.plots.figures import COLOURS, new_figure
from rmlib.widgets.framework.explorer import alpha_name, loss_formula

from .numbers import (
    AXIS,
    FEATURES,
    HIGH,
    LOW,
    SEED,
    STARTS,
    STEPS,
    End,
    Landscape,
    data,
    decision_line,
    path,
)

BANDS = 12  # of the filled contours
# Where they end, as shares of the range of L. They widen as the loss rises, or the steep rim would
# leave one single band for the valley.
LEVELS = np.linspace(0, 1, BANDS + 1) ** 2
# Light to dark, so that grey says the same.
SHADES = [to_hex(colormaps["Blues"](0.75 * k / (BANDS - 1))) for k in range(BANDS)]
BOTTOM, TOP = 0.11, 0.8  # of the axes, as shares of the figure
NOW = {"color": COLOURS["vermilion"], "linestyle": "-"}
PLAIN = {"color": "black", "linestyle": "--"}  # the descent at α = 0


class LandscapePicture:
    """One figure, of which only what moves is drawn again (see `plots.show`)."""

    def __init__(self):
        self.figure = new_figure(8.8, 4.4, columns=2, margins={"top": TOP, "bottom": BOTTOM})
        self._surface, self._data = self.figure.axes
        self._make_surface()
        self._make_data()
        for axes, start, width in ((self._surface, 0.06, 0.38), (self._data, 0.56, 0.43)):
            axes.set_position((start, BOTTOM, width, TOP - BOTTOM))
            # The positions of the labels are given: to find them, matplotlib would measure every
            # tick at every drawing.
            axes.xaxis.set_label_coords(0.5, -0.09)
            axes.yaxis.set_label_coords(-0.08, 0.5)
        self._make_colour_bar()
        moving = {"transform": self.figure.transFigure, "animated": True}
        self._loss = self._surface.text(0.06, 0.83, "", fontsize=10, **moving)
        self._metrics = self._surface.text(0.56, 0.83, "", fontsize=10, **moving)
        for line in (*self._surface.lines, *self._data.lines):
            line.set_animated(True)
        handles = [
            self._line,
            self._plain_line,
            self._start,
            self._lowest,
            self._malignant,
            self._benign,
            self._flipped,
        ]
        place = {"loc": "upper left", "bbox_to_anchor": (0.05, 1), "ncols": 7}
        self.figure.legend(handles=handles, fontsize=8, frameon=False, **place)

    def _make_surface(self) -> None:
        axes = self._surface
        axes.grid(False)
        (self._bands,) = axes.plot([], [])  # a stand-in: every drawing replaces the contours
        dot = {"marker": "o", "markersize": 8, "markeredgecolor": "white", "zorder": 4}
        (self._path,) = axes.plot([], [], linewidth=2.2, **NOW)
        (self._end,) = axes.plot([], [], **NOW | dot)
        (self._plain_path,) = axes.plot([], [], linewidth=1.2, **PLAIN)
        (self._plain_end,) = axes.plot([], [], **PLAIN | dot)
        hollow = {
            "color": "black",
            "markerfacecolor": "white",
            "linestyle": "none",
            "clip_on": False,
        }
        (self._start,) = axes.plot([], [], marker="s", markersize=7, label="start", **hollow)
        star = {"marker": "*", "markersize": 12, "zorder": 3}
        (self._lowest,) = axes.plot([], [], label="lowest of the grid", **star, **hollow)
        axes.set(xlabel=f"w₁ ({FEATURES[0]})", ylabel=f"w₂ ({FEATURES[1]})")
        axes.set(xlim=(LOW, HIGH), ylim=(LOW, HIGH))
        axes.set(xticks=[-4, 0, 4, 8], yticks=[-4, 0, 4, 8])

    def _make_data(self) -> None:
        axes = self._data
        malignant = {"color": COLOURS["vermilion"], "mfc": "none", "label": "labelled malignant"}
        (self._malignant,) = axes.plot([], [], "^", **malignant)
        benign = {"color": COLOURS["blue"], "mfc": "none", "label": "labelled benign"}
        (self._benign,) = axes.plot([], [], "o", **benign)
        (self._flipped,) = axes.plot(
            [], [], "x", color="black", markersize=4, label="label flipped"
        )
        (self._line,) = axes.plot([], [], linewidth=2, label="this α", **NOW)
        (self._plain_line,) = axes.plot([], [], linewidth=2, label="α = 0", **PLAIN)
        axes.set_xlabel(f"{FEATURES[0]} (standardised)")
        axes.set_ylabel(f"{FEATURES[1]} (standardised)")
        axes.set(xlim=(-2.4, 5), ylim=(-1.6, 4.6), xticks=[-2, 0, 2, 4], yticks=[0, 2, 4])

    def _make_colour_bar(self) -> None:
        place = (0.447, BOTTOM, 0.012, TOP - BOTTOM)
        bar = self.figure.add_axes(place, xticks=[], yticks=[], title="L")
        colours = np.array([[to_rgb(shade)] for shade in SHADES])
        bar.imshow(colours, origin="lower", aspect="auto")
        look = {"fontsize": 8, "va": "center"}
        moving = {"transform": self.figure.transFigure, "animated": True}
        heights = np.linspace(BOTTOM, TOP, 5)
        self._levels = [self._surface.text(0.463, y, "", **look, **moving) for y in heights]

    def draw(self, state: SimpleNamespace, numbers: Landscape) -> Figure:
        """The figure of a state and its numbers."""
        self._draw_surface(state, numbers)
        self._draw_paths(state)
        self._draw_data(state, numbers)
        self._write_metrics(state, numbers)
        return self.figure

    def _draw_surface(self, state: SimpleNamespace, numbers: Landscape) -> None:
        bottom = numbers.total.min()
        height = np.ptp(numbers.total)
        shares = (numbers.total - bottom) / height
        self._bands.remove()
        look = {"levels": LEVELS, "colors": SHADES, "zorder": 0}
        self._bands = self._surface.contourf(AXIS, AXIS, shares, **look)
        self._bands.set_animated(True)
        for text, level in zip(self._levels, LEVELS[::3], strict=True):
            text.set_text(f"{bottom + level * height:.3g}")
        self._lowest.set_data(*numbers.lowest[:, None])
        self._loss.set_text(
            f"{state.reward}: L = {loss_formula(state.alpha)}\n{STEPS} steps of gradient descent"
        )

    def _draw_paths(self, state: SimpleNamespace) -> None:
        lines = ((0.0, self._plain_path, self._plain_end), (state.alpha, self._path, self._end))
        for alpha, line, dot in lines:
            weights = path(state, alpha)
            line.set_data(*weights.T)
            dot.set_data(*weights[-1:].T)
        self._start.set_data(*weights[:1].T)

    def _draw_data(self, state: SimpleNamespace, numbers: Landscape) -> None:
        x, y, labels, bias = map(np.asarray, data(state.condition))
        marks = (
            (self._malignant, labels == 1),
            (self._benign, labels == 0),
            (self._flipped, labels != y),
        )
        for points, mask in marks:
            points.set_data(*x[mask].T)
        for line, end in ((self._line, numbers.end), (self._plain_line, numbers.plain)):
            line.set_data(*decision_line(end.w, float(bias)))
        for artist in (self._line, self._path, self._end):  # at α = 0 they would cover the others
            artist.set_visible(state.alpha != 0)

    def _write_metrics(self, state: SimpleNamespace, numbers: Landscape) -> None:
        metrics = {}  # by label: at α = 0 the two lines are the same and are written once
        for alpha, end in ((0.0, numbers.plain), (state.alpha, numbers.end)):
            metrics[alpha_name(alpha)] = f"accuracy {end.accuracy:.3f}, F1 {end.f1:.3f}"
        self._metrics.set_text("\n".join(f"{label}: {text}" for label, text in metrics.items()))


def alt_text(state: SimpleNamespace, numbers: Landscape) -> str:
    """The figure in words, with its numbers."""
    end, plain = numbers.end, numbers.plain
    _, y, labels, _ = data(state.condition)
    items = (
        f"{int(y.sum())} of {len(y)} malignant, {int((y != labels).sum())} labels flipped, "
        f"drawn with seed {SEED}"
    )
    return " ".join(
        [
            "Loss surface over two weights and gradient descent on it, "
            f"{alpha_name(state.alpha)}, {state.reward}, data: {state.condition} ({items}), "
            f"start {state.start} at {_pair(STARTS[state.start])}.",
            f"After {STEPS} steps w is {_pair(end.w)}: L {end.loss.total:.3f}, {_metrics(end)}.",
            f"With α = 0 the end is {_pair(plain.w)}: {_metrics(plain)}.",
            f"Lowest L of the grid: {numbers.total.min():.3f} at {_pair(numbers.lowest)}.",
        ]
    )


def _pair(w) -> str:
    return f"({w[0]:.2f}, {w[1]:.2f})"


def _metrics(end: End) -> str:
    return (
        f"L_p {end.loss.prediction:.3f}, R {end.reward:.3f}, "
        f"accuracy {end.accuracy:.3f}, F1 {end.f1:.3f}"
    )
