"""How the estimator explorer is drawn."""

from types import SimpleNamespace

import numpy as np

from rmlib.plots.figures import COLOURS, new_figure

from .numbers import ESTIMATES, Cloud, truth

LIMITS = (1.5, 2.5, 4, 6, 10, 16, 25, 40, 64, 100)  # of the axes, so that a small move of the cloud leaves them alone
BOX = (0.095, 0.13, 0.485, 0.71)  # of the picture of the cloud in a figure of 8.8 × 4.2 inches
TALL = BOX[3] * 4.2 / (BOX[2] * 8.8)  # the same unit both ways


def blank() -> SimpleNamespace:
    """The figure with all that stays, and by name the artists that move: a new figure takes three times as long."""
    figure = new_figure(8.8, 4.2, columns=2, margins={})
    left, right = figure.axes
    left.set_position(BOX)
    right.set_position((0.715, 0.46, 0.27, 0.38))
    whole, red = {"transform": figure.transFigure, "animated": True}, {"color": COLOURS["vermilion"], "zorder": 5}
    art = SimpleNamespace(figure=figure, cloud=left, bars=right)
    art.title, art.reached = left.text(BOX[0], 0.935, "", fontsize=11, **whole), left.text(BOX[0], 0.875, "", **whole)
    left.plot([], [], ".", color=COLOURS["sky"], markersize=4, label=f"{ESTIMATES} estimates")
    left.plot([], [], "--", color="black", linewidth=1, label="2 standard deviations of none")
    left.plot([], [], "-", linewidth=1.5, **red)
    left.plot([], [], "-", linewidth=1.5, **red)
    left.plot([], [], "o", markersize=5, label="mean ± 2 standard errors", **red)
    left.plot([], [], ":", color=COLOURS["green"], linewidth=2, label="(K−1)/K, for baseline mean")
    left.plot([], [], "-", color="black", linewidth=2.5, label="exact gradient")
    arrow = {"arrowstyle": "-|>", "lw": 2.5, "shrinkA": 0, "shrinkB": 0}
    left.annotate("", (1, 0), (0, 0), arrowprops=arrow, animated=True)
    left.set(xlabel="along the exact gradient (its length = 1)", ylabel="at right angles to it")
    figure.legend(loc="lower left", bbox_to_anchor=(0.7, 0.02), fontsize=9, frameon=False, labelspacing=0.35)
    for y in (1, 0):
        right.barh(y, 1, color=COLOURS["orange"], hatch="//", edgecolor="black", height=0.5)
        right.barh(y, 1, color=COLOURS["sky"], edgecolor="black", height=0.5)
    art.numbers = [right.text(0, y + 0.3, "", fontsize=9, va="bottom", animated=True) for y in (1, 0)]
    side = {"transform": right.get_yaxis_transform(), "ha": "right", "va": "center"}
    right.text(-0.03, 1, "none, exact", **side)
    art.baseline = right.text(-0.03, 0, "", animated=True, **side)
    right.set(ylim=(-0.4, 1.75), yticks=[], xlabel="mean squared error")
    right.locator_params("x", nbins=5)
    right.set_title("bias² (hatched) + variance", fontsize=10, loc="left")
    left.yaxis.set_label_coords(-0.15, 0.5)  # to find the place, every tick would be measured at every drawing
    for axes in (left, right):
        axes.xaxis.set_label_coords(0.5, -0.11 if axes is left else -0.17)
    for artist in (*left.lines, *right.patches, left.xaxis, left.yaxis, right.xaxis):
        artist.set_animated(True)
    return art


def _draw_cloud(art: SimpleNamespace, state, found: Cloud) -> None:
    gradient, directions, covariance = truth(state.reward, state.model)
    seen = np.quantile(np.abs(found.estimates) / (1, TALL), 0.99)
    limit = next((stop for stop in LIMITS if stop >= seen), LIMITS[-1])
    art.cloud.set(xlim=(-limit, limit), ylim=(-limit * TALL, limit * TALL))
    flat = directions @ covariance @ directions.T / state.samples / (gradient @ gradient)
    angle = np.linspace(0, 2 * np.pi, 73)
    ring = np.array([[1.0], [0.0]]) + 2 * np.linalg.cholesky(flat) @ np.stack([np.cos(angle), np.sin(angle)])
    (x, y), count = found.estimates.mean(0), len(found.estimates)
    wide, high = 2 * found.estimates.std(0, ddof=1) / count**0.5
    shrink = (state.samples - 1) / state.samples if state.baseline == "mean" else np.nan
    shown = found.estimates.T, ring, ((x - wide, x + wide), (y, y)), ((x, x), (y - high, y + high)), ((x,), (y,))
    for line, data in zip(art.cloud.lines, (*shown, ((shrink, shrink), (-limit, limit))), strict=False):
        line.set_data(*data)


def _draw_bars(art: SimpleNamespace, state, found: Cloud) -> None:
    rows = ((0.0, found.none), (found.bias, found.variance))
    for (bias, variance), text, bars in zip(rows, art.numbers, np.reshape(art.bars.patches, (2, 2)), strict=True):
        bars[0].set_width(bias)
        bars[1].set(x=bias, width=variance)
        text.set_text(f"{bias:.3g} + {variance:.3g}")
    art.bars.set_xlim(0, 1.03 * max(map(sum, rows)))
    art.baseline.set_text(state.baseline)
