"""How the estimator explorer is drawn, and its alt text."""

from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure

from rmlib.plots.figures import COLOURS, new_figure

from .numbers import ESTIMATES, Cloud, exact

UNBIASED = ("none", "leave_one_out", "greedy")
# Limits of the axes; few of them, so that a small move of the cloud leaves the axes as they are.
LIMITS = (1.5, 2.5, 4, 6, 10, 16, 25, 40, 64, 100)
SIZE = (8.8, 4.2)  # inches
BOX = (0.095, 0.13, 0.485, 0.71)  # of the axes of the cloud, as shares of the figure
ASPECT = BOX[3] * SIZE[1] / (BOX[2] * SIZE[0])  # so that both axes have the same unit


class EstimatorPicture:
    """One figure, of which only what moves is drawn again (see `plots.show`)."""

    def __init__(self):
        self.figure = new_figure(*SIZE, columns=2, margins={})
        self._cloud, self._bars = self.figure.axes
        self._cloud.set_position(BOX)
        self._bars.set_position((0.715, 0.46, 0.27, 0.38))
        self._make_cloud()
        self._make_bars()
        self.figure.legend(
            loc="lower left",
            bbox_to_anchor=(0.7, 0.02),
            fontsize=9,
            frameon=False,
            labelspacing=0.35,
        )
        # The positions of the labels are given: to find them, matplotlib would measure every tick
        # at every drawing.
        self._cloud.yaxis.set_label_coords(-0.15, 0.5)
        self._cloud.xaxis.set_label_coords(0.5, -0.11)
        self._bars.xaxis.set_label_coords(0.5, -0.17)
        moving_axes = (self._cloud.xaxis, self._cloud.yaxis, self._bars.xaxis)
        for artist in (*self._cloud.lines, *self._bars.patches, *moving_axes):
            artist.set_animated(True)

    def _make_cloud(self) -> None:
        axes = self._cloud
        whole = {"transform": self.figure.transFigure, "animated": True}
        self._title = axes.text(BOX[0], 0.935, "", fontsize=11, **whole)
        self._reached = axes.text(BOX[0], 0.875, "", **whole)
        red = {"color": COLOURS["vermilion"], "zorder": 5}
        axes.plot([], [], ".", color=COLOURS["sky"], markersize=4, label=f"{ESTIMATES} estimates")
        axes.plot([], [], "--", color="black", linewidth=1, label="2 standard deviations of none")
        axes.plot([], [], "-", linewidth=1.5, **red)
        axes.plot([], [], "-", linewidth=1.5, **red)
        axes.plot([], [], "o", markersize=5, label="mean ± 2 standard errors", **red)
        shrunk = {"color": COLOURS["green"], "linewidth": 2}
        axes.plot([], [], ":", label="(K−1)/K, for baseline mean", **shrunk)
        axes.plot([], [], "-", color="black", linewidth=2.5, label="exact gradient")
        arrow = {"arrowstyle": "-|>", "lw": 2.5, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (1, 0), (0, 0), arrowprops=arrow, animated=True)
        axes.set_xlabel("along the exact gradient (its length = 1)")
        axes.set_ylabel("at right angles to it")

    def _make_bars(self) -> None:
        axes = self._bars
        rows = (1, 0)  # without a baseline on top, the chosen baseline below
        for y in rows:
            axes.barh(y, 1, color=COLOURS["orange"], hatch="//", edgecolor="black", height=0.5)
            axes.barh(y, 1, color=COLOURS["sky"], edgecolor="black", height=0.5)
        number = {"fontsize": 9, "va": "bottom", "animated": True}
        self._numbers = [axes.text(0, y + 0.3, "", **number) for y in rows]
        side = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "center"}
        axes.text(-0.03, 1, "none, exact", **side)
        self._baseline = axes.text(-0.03, 0, "", animated=True, **side)
        axes.set(ylim=(-0.4, 1.75), yticks=[], xlabel="mean squared error")
        axes.locator_params("x", nbins=5)
        axes.set_title("bias² (hatched) + variance", fontsize=10, loc="left")

    def draw(self, state: SimpleNamespace, cloud: Cloud) -> Figure:
        """The figure of a state and its numbers."""
        self._title.set_text(title(state))
        reached = f"{cloud.direction.share:.3f} ± {cloud.direction.error:.3f}"
        self._reached.set_text(f"the mean reaches {reached}; {cloud.direction}")
        self._draw_cloud(state, cloud)
        self._draw_bars(state, cloud)
        return self.figure

    def _draw_cloud(self, state: SimpleNamespace, cloud: Cloud) -> None:
        extent = np.quantile(np.abs(cloud.estimates) / (1, ASPECT), 0.99)
        limit = next((stop for stop in LIMITS if stop >= extent), LIMITS[-1])
        self._cloud.set(xlim=(-limit, limit), ylim=(-limit * ASPECT, limit * ASPECT))
        x, y = cloud.estimates.mean(0)
        count = len(cloud.estimates)
        wide, high = 2 * cloud.estimates.std(0, ddof=1) / count**0.5
        shrunk = (state.samples - 1) / state.samples if state.baseline == "mean" else np.nan
        curves = (
            cloud.estimates.T,
            two_deviations(state),
            ((x - wide, x + wide), (y, y)),
            ((x, x), (y - high, y + high)),
            ((x,), (y,)),
            ((shrunk, shrunk), (-limit, limit)),
        )
        # the last line stands for the exact gradient in the legend only
        for line, curve in zip(self._cloud.lines[:-1], curves, strict=True):
            line.set_data(*curve)

    def _draw_bars(self, state: SimpleNamespace, cloud: Cloud) -> None:
        bias = cloud.bias.value if cloud.bias.resolved else 0.0
        shown = f"{bias:.3g}" if cloud.bias.resolved else f"(below {cloud.bias.below:.2g})"
        rows = ((0.0, cloud.none), (bias, cloud.variance))
        words = (f"0 + {cloud.none:.3g}", f"{shown} + {cloud.variance:.3g}")
        pairs = np.reshape(self._bars.patches, (2, 2))
        for (start, width), word, text, bars in zip(rows, words, self._numbers, pairs, strict=True):
            bars[0].set_width(start)
            bars[1].set(x=start, width=width)
            text.set_text(word)
        self._bars.set_xlim(0, 1.03 * max(map(sum, rows)))
        self._baseline.set_text(state.baseline)


def two_deviations(state: SimpleNamespace) -> np.ndarray:
    """(2, points): two standard deviations of the estimates without a baseline, as an ellipse."""
    gradient, directions, covariance = exact(state.reward, state.model)
    flat = directions @ covariance @ directions.T / state.samples / (gradient @ gradient)
    angle = np.linspace(0, 2 * np.pi, 73)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    return np.array([[1.0], [0.0]]) + 2 * np.linalg.cholesky(flat) @ circle


def title(state: SimpleNamespace) -> str:
    """The controls in words."""
    return (
        f"K = {state.samples}, baseline {state.baseline}, reward {state.reward}, "
        f"the model is {state.model}"
    )


def alt_text(state: SimpleNamespace, cloud: Cloud) -> str:
    """The figure in words, with its numbers."""
    length = np.linalg.norm(exact(state.reward, state.model).gradient)
    sentences = [
        f"Sampled gradients, {title(state)}, seed {state.seed}: {ESTIMATES} estimates, "
        f"in units of the exact gradient's length {length:.3g}.",
        f"Along the exact gradient their mean is {cloud.direction.share:.3f} ± "
        f"{cloud.direction.error:.3f} (standard error); 1 is the exact one.",
    ]
    if state.baseline == "mean":
        shrunk = (state.samples - 1) / state.samples
        sentences.append(f"Expected with this baseline: (K−1)/K = {shrunk:.3f}, not turned.")
    if state.baseline in UNBIASED:
        sentences.append("Expected with this baseline: 1, not turned.")
    bias = f"below {cloud.bias.below:.2g}, not resolved"
    if cloud.bias.resolved:
        bias = f"{cloud.bias.value:.3g} ± {cloud.bias.error:.2g}"
    sentences += [
        f"Direction of the mean: {cloud.direction}.",
        f"Squared bias {bias}; variance {cloud.variance:.3g}, "
        f"mean squared error {cloud.squared_error:.3g}.",
        f"With none at the same K, exactly: squared bias 0, variance {cloud.none:.3g}.",
    ]
    return " ".join(sentences)
