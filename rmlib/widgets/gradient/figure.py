"""How the gradient explorer is drawn, and its alt text."""

import math
from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure

from rmlib.plots.figures import COLOURS, new_figure
from rmlib.widgets.framework.explorer import loss_formula, stop_name

from .numbers import AUTO, BATCH_Y, CENTRAL, CLOSED, PLAIN, Comparison

# Limits of an axis; few of them, so that a small move leaves the axis as it is.
LIMITS = [digit * 10.0**power for power in range(-4, 4) for digit in (1, 2, 5)]
THRESHOLDS = {
    "expected_accuracy": "1/2",
    "soft_f1": "F̃/2",
    "soft_f1_macro": "F̃/2",
    "soft_fbeta": "F̃/(1+β²)",
}
WEIGHTS = {"expected_accuracy": "p_y", "gce": "p_y^q"}  # of an item in the gradient of the reward
ARROWS = {  # colour, line, width, marker of the tip, how far below the middle of the row
    CLOSED: ("sky", "-", 11, "", 0.0),
    AUTO: ("vermilion", "-", 6, "", 0.0),
    CENTRAL: ("black", "-", 1.5, "o", 0.0),
    PLAIN: ("green", (0, (2, 1)), 2, "s", 0.33),
}


class GradientPicture:
    """One figure, of which only what moves is drawn again (see `plots.show`)."""

    def __init__(self):
        self.figure = new_figure(8.6, 4.0, columns=2, margins={"top": 0.79, "bottom": 0.13})
        self._left, self._right = self.figure.axes
        self._left.set_position((0.105, 0.13, 0.39, 0.64))
        self._right.set_position((0.79, 0.13, 0.19, 0.64))
        self._make_arrows()
        self._make_rows()
        self._make_threshold()
        for axes, axis in ((self._left, self._left.xaxis), (self._right, self._right.yaxis)):
            axis.set_animated(True)
            # The position of the label is given: to find it, matplotlib would measure every tick at
            # every drawing.
            axes.xaxis.set_label_coords(0.5, -0.1)
        whole = {"animated": True, "transform": self.figure.transFigure}
        self._title = self._left.text(0.015, 0.895, "", fontsize=10, **whole)
        self._errors = self._left.text(0.015, 0.845, "", fontsize=9, **whole)
        self._threshold = self._left.text(0.75, 0.845, "", fontsize=9, **whole)
        self.figure.text(0.75, 0.895, "dR/dŷ (△ y = 1, ○ y = 0)", fontsize=9)
        look = {"fontsize": 8, "frameon": False, "handlelength": 3, "ncols": 4}
        handles = [line for line in self._left.lines if line.get_label() in ARROWS]
        self.figure.legend(handles=handles, loc="upper left", **look)

    def _make_arrows(self) -> None:
        self._arrows = {}
        for name, (colour, dash, width, marker, height) in ARROWS.items():
            look = {
                "color": COLOURS[colour],
                "markerfacecolor": "white",
                "markersize": 5,
                "solid_capstyle": "butt",
            }
            shaft = {"linestyle": dash, "linewidth": width}
            (line,) = self._left.plot([], [], animated=True, **shaft, **look)
            tip = {"linestyle": "none", "marker": marker}
            (tips,) = self._left.plot([], [], animated=True, **tip, **look)
            self._left.plot([], [], marker=marker, label=name, **shaft, **look)  # for the legend
            self._arrows[name] = (line, tips, height)

    def _make_rows(self) -> None:
        axes = self._left
        rows = range(len(BATCH_Y))
        axes.axvline(0, color="#888888", linewidth=0.8, animated=True)
        self._selected = axes.axhspan(-0.5, 0.5, color="#EEEEEE", zorder=0, animated=True)
        axes.set(ylim=(-len(BATCH_Y) + 0.4, 0.5), yticks=[], xlabel="dL/dz")
        table = {
            "transform": axes.get_yaxis_transform(),
            "family": "monospace",
            "fontsize": 8,
        }
        moving = {"animated": True, **table}
        self._names = [axes.text(-0.26, -k, "", va="center", **moving) for k in rows]
        self._numbers = [axes.text(1.0, -k, "", va="center", **moving) for k in rows]
        axes.text(-0.26, 0.65, "i   y     ŷ", **table)
        self._header = axes.text(1.0, 0.65, "", **moving)

    def _make_threshold(self) -> None:
        axes = self._right
        axes.axhline(0, color="#888888", linewidth=0.8)
        (self._mean,) = axes.plot([], [], color="black", linestyle="-", animated=True)
        marker = {"marker": "D", "markevery": [-1], "animated": True}
        (self._crossing,) = axes.plot([], [], color="black", linestyle=":", **marker)
        points = {"mfc": "none", "markersize": 8, "clip_on": False, "animated": True}
        (self._positive,) = axes.plot([], [], "^", color=COLOURS["vermilion"], **points)
        (self._negative,) = axes.plot([], [], "o", color=COLOURS["blue"], **points)
        axes.set(xlim=(-0.08, 1.08), xticks=[0, 0.5, 1], xlabel="ρ, the chance of y = 1")

    def draw(self, state: SimpleNamespace, numbers: Comparison) -> Figure:
        """The figure of a state and its numbers."""
        settings = f"{state.precision}, ε = {power_of_ten(state.epsilon)}"
        self._title.set_text(f"{state.reward}: L = {loss_formula(state.alpha)}, {settings}")
        self._errors.set_text(f"largest relative error: {worst_errors(numbers)}")
        self._draw_arrows(state, numbers)
        self._draw_table(state, numbers)
        self._draw_threshold(state, numbers)
        text = threshold_in_words(state, numbers)
        self._threshold.set_text(text.replace("F̃", r"$\tilde F$"))
        return self.figure

    def _draw_arrows(self, state: SimpleNamespace, numbers: Comparison) -> None:
        best = _best(numbers)
        limit = _limit([best, numbers.gradients[PLAIN]])
        self._left.set_xlim(-limit, limit)
        self._left.set_xticks([-limit, 0, limit], [f"{-limit:g}", "0", f"{limit:g}"])
        for name, (line, tips, height) in self._arrows.items():
            g = numbers.gradients.get(name, np.full(len(best), np.nan))
            gap = np.full(len(best), np.nan)  # lifts the pen between two arrows
            rows = -np.arange(len(best)) - height
            line.set_data(np.stack([0 * g, g, gap], 1).ravel(), np.repeat(rows, 3))
            tips.set_data(g, rows)
        self._selected.set_y(-state.item + 0.5)

    def _draw_table(self, state: SimpleNamespace, numbers: Comparison) -> None:
        best = _best(numbers)
        error = np.max(list(numbers.errors.values()), 0)
        for k, (label, y_hat) in enumerate(zip(state.labels, state.y_hats, strict=True)):
            self._names[k].set_text(f"{k + 1}{label:>4}{y_hat:>6.2f}")
            row = f"{best[k]:>9.4f}{numbers.factor[k]:>10.3f}{_short(error[k]):>7}"
            self._numbers[k].set_text(row)
        weight = WEIGHTS.get(state.reward)
        if weight is None:
            factor = "factor"
        elif state.alpha == math.inf:
            factor = weight
        else:
            factor = f"1+α·{weight}"
        self._header.set_text(f"{'dL/dz':>9}{factor:>10}{'error':>7}")

    def _draw_threshold(self, state: SimpleNamespace, numbers: Comparison) -> None:
        limit = _limit([numbers.reward])
        labels = np.array(state.labels)
        self._right.set_ylim(-limit, limit)
        self._right.set_yticks([-limit, 0, limit], [f"{-limit:g}", "0", f"{limit:g}"])
        for points, label in ((self._positive, 1), (self._negative, 0)):
            heights = numbers.reward[labels == label]
            points.set_data(np.full(len(heights), label), heights)
        if numbers.threshold is None:
            self._mean.set_data([], [])
            self._crossing.set_data([], [])
        else:
            ends = [numbers.reward[labels == label][0] for label in (0, 1)]
            self._mean.set_data([0, 1], ends)
            self._crossing.set_data([numbers.threshold] * 2, [-limit, 0])


def alt_text(state: SimpleNamespace, numbers: Comparison) -> str:
    """The figure in words, with its numbers: those of the chosen item by all methods."""
    settings = f"α = {stop_name(state.alpha)}, {state.precision}, ε = {power_of_ten(state.epsilon)}"
    sentences = [f"dL/dz of {len(state.labels)} items, {state.reward}, {settings}."]
    for k, (label, y_hat) in enumerate(zip(state.labels, state.y_hats, strict=True)):
        shown = numbers.gradients if k == state.item - 1 else (CLOSED, AUTO)
        values = ", ".join(
            f"{name} {g[k]:.4g}" for name, g in numbers.gradients.items() if name in shown
        )
        item = f"Item {k + 1} (y = {label}, ŷ = {y_hat:g})"
        sentences.append(f"{item}: {values}, factor {numbers.factor[k]:.3f}.")
    threshold = threshold_in_words(state, numbers)
    sentences.append(f"Largest relative error: {worst_errors(numbers)}.")
    sentences.append(f"dR/dŷ: {threshold}.")
    return " ".join(sentences)


def worst_errors(numbers: Comparison) -> str:
    """By method, the largest relative error of an item."""
    worst = ", ".join(f"{name} {_short(error.max())}" for name, error in numbers.errors.items())
    return worst if CLOSED in numbers.errors else f"{worst}, no closed form for this reward"


def threshold_in_words(state: SimpleNamespace, numbers: Comparison) -> str:
    """Where the reward pushes an item up, or why there is no such threshold."""
    if numbers.threshold is not None:
        name = THRESHOLDS.get(state.reward)
        return f"up where ρ > {numbers.threshold:.3f}" + (f" = {name}" if name else "")
    both = 0 < sum(state.labels) < len(state.labels)
    return "depends on the item's own ŷ" if both else "one label only"


def power_of_ten(epsilon: float) -> str:
    """A step of the central differences as it is written on the slider."""
    return f"1e-{round(-math.log10(epsilon))}"


def _best(numbers: Comparison) -> np.ndarray:
    return numbers.gradients.get(CLOSED, numbers.gradients[AUTO])


def _limit(values) -> float:
    most = 1.1 * max(np.abs(part).max() for part in values)
    return next((limit for limit in LIMITS if limit >= most), LIMITS[-1])


def _short(error: float) -> str:
    return f"{error:.0e}" if error else "0"
