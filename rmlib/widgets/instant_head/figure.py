"""How the instant head is drawn, and its alt text."""

import math
import re

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rmlib.loss.rewards import REWARDS
from rmlib.plots.figures import COLOURS, LINES, new_figure
from rmlib.widgets.framework.explorer import ALPHAS, alpha_name, stop_name

from .frozen_features import Evaluation
from .linear_head import STEPS, Fit
from .numbers import SCORES

NAMES = {"f1": "F1", "precision": "precision", "recall": "recall"}
FEW = 5  # words: the calibration curve leaves out bins with fewer
BEFORE = {
    "color": "#555555",
    "marker": "o",
    "markersize": 9,
    "markerfacecolor": "white",
    "linestyle": "none",
}
NOW = {"color": COLOURS["vermilion"], "marker": "D", "markersize": 7, "linestyle": "none"}
STOPS = ["R" if alpha == math.inf else stop_name(alpha) for alpha in ALPHAS]


class InstantPicture:
    """One figure, of which only what moves is drawn again (see `plots.show`).

    Args:
        middle: the F1 at α = 0. The axis of the scores goes from .12 below it to .08 above it, or
            nobody would see the effect of α; values outside are drawn at the edge. The numbers are
            always written out.
    """

    def __init__(self, middle: float):
        low = min(max(round(middle, 2) - 0.12, 0.0), 0.8)
        self.limits = low, low + 0.2
        self.figure = new_figure(9.6, 3.9, columns=3, margins={})
        places = ((0.085, 0.25), (0.425, 0.225), (0.725, 0.26))
        for axes, (left, width) in zip(self.figure.axes, places, strict=True):
            axes.set_position((left, 0.17, width, 0.55))
        self._make_scores(self.figure.axes[0])
        self._make_reliability(self.figure.axes[1])
        self._make_sweep(self.figure.axes[2])
        for axes in self.figure.axes:
            axes.tick_params(labelsize=9)
        moving = {"transform": self.figure.transFigure, "animated": True, "fontsize": 9.5}
        axes = self.figure.axes[0]
        self._title = axes.text(0.012, 0.945, "", **moving | {"fontsize": 11})
        self._errors = axes.text(0.425, 0.765, "", **moving)
        self._hint = axes.text(0.745, 0.5, "", **moving)
        self.figure.text(0.085, 0.84, "dev scores, entity level", fontsize=10)
        self.figure.text(0.425, 0.84, "calibration of the dev words", fontsize=10)
        self.figure.text(0.725, 0.84, "the same scores over α (sweep)", fontsize=10)

    def _make_scores(self, axes) -> None:
        axes.set(
            xlim=self.limits,
            ylim=(2.6, -0.7),
            yticks=range(3),
            yticklabels=[NAMES[score] for score in SCORES],
        )
        axes.set_xlabel("score (a value outside is drawn at the edge)", fontsize=9)
        axes.locator_params("x", nbins=5)
        self._arrow = [
            axes.plot([], [], color=COLOURS["vermilion"], linewidth=2, animated=True)[0]
            for _ in SCORES
        ]
        (self._before,) = axes.plot([], [], animated=True, label="before the move", **BEFORE)
        (self._now,) = axes.plot([], [], animated=True, label="now", **NOW)
        self._numbers = [
            axes.text(
                self.limits[0] + 0.005, row - 0.24, "", fontsize=9.5, animated=True, va="bottom"
            )
            for row in range(len(SCORES))
        ]
        handles = [self._before, self._now]
        place = {
            "loc": "upper left",
            "bbox_to_anchor": (0.075, 0.82),
            "ncols": 2,
            "columnspacing": 1,
        }
        self.figure.legend(handles=handles, fontsize=9, frameon=False, handletextpad=0.3, **place)

    def _make_reliability(self, axes) -> None:
        axes.plot([0, 1], [0, 1], color="#888888", linewidth=1, linestyle=":")
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        axes.set_xlabel("probability of the word's tag", fontsize=9)
        axes.set_ylabel("share that is right", fontsize=9)
        (self._curve_before,) = axes.plot(
            [], [], animated=True, **BEFORE | {"linestyle": "--", "markersize": 6}
        )
        (self._curve,) = axes.plot(
            [], [], animated=True, **NOW | {"linestyle": "-", "markersize": 5}
        )

    def _make_sweep(self, axes) -> None:
        axes.set(
            xlim=(-0.4, len(ALPHAS) - 0.6),
            ylim=self.limits,
            xticks=range(len(ALPHAS)),
            xticklabels=STOPS,
        )
        axes.set_xlabel("α (R: the reward alone)", fontsize=9)
        for label in axes.get_xticklabels():
            label.set_rotation(50)
        (self._here,) = axes.plot([], [], color="#555555", linewidth=6, alpha=0.3, animated=True)
        self._lines = [
            axes.plot([], [], animated=True, label=NAMES[score], linewidth=1.8, **style)[0]
            for score, style in zip(SCORES, LINES, strict=False)
        ]
        place = {
            "loc": "upper left",
            "bbox_to_anchor": (0.713, 0.82),
            "ncols": 3,
            "columnspacing": 0.9,
        }
        look = {"fontsize": 9, "frameon": False, "handlelength": 2.2, "handletextpad": 0.4}
        self.figure.legend(handles=self._lines, **look, **place)

    def draw(
        self, fit: Fit, before: Evaluation, now: Evaluation, sweep: pd.DataFrame | None
    ) -> Figure:
        """The figure of a head, judged before the move and now.

        Args:
            sweep: see `sweep_table`; None before it was asked for.
        """
        self._title.set_text(re.sub(r"L_([pr])\b", r"$L_\1$", title(fit)))
        self._draw_scores(before, now)
        self._draw_reliability(before, now)
        self._draw_sweep(fit.alpha, sweep)
        return self.figure

    def _draw_scores(self, before: Evaluation, now: Evaluation) -> None:
        old, new = ([side.scores[score] for score in SCORES] for side in (before, now))
        x_old, x_new = (np.clip(side, *self.limits) for side in (old, new))
        self._before.set_data(x_old, range(3))
        self._now.set_data(x_new, range(3))
        for row, (line, number) in enumerate(zip(self._arrow, self._numbers, strict=True)):
            line.set_data([x_old[row], x_new[row]], [row, row])
            number.set_text(f"{old[row]:.3f} → {new[row]:.3f}")

    def _draw_reliability(self, before: Evaluation, now: Evaluation) -> None:
        for curve, side in ((self._curve_before, before), (self._curve, now)):
            table = side.calibration.table
            table = table[table["words"] >= FEW]
            curve.set_data(table["confidence"], table["accuracy"])
        self._errors.set_text(f"expected error {_calibration_errors(before, now)}")

    def _draw_sweep(self, alpha: float, sweep: pd.DataFrame | None) -> None:
        stop = ALPHAS.index(alpha)
        self._here.set_data([stop, stop], self.limits)
        self._hint.set_text("press “sweep α” to compute it" if sweep is None else "")
        for line, score in zip(self._lines, SCORES, strict=True):
            if sweep is None:
                line.set_data([], [])
            else:
                line.set_data(range(len(sweep)), np.clip(sweep[score], *self.limits))


def title(fit: Fit) -> str:
    """The controls of a head, its loss, and how its training ended."""
    terms = f"L_p {fit.loss.prediction:.3f}, L_r {fit.loss.reward:.3f}"
    if fit.alpha and REWARDS[fit.reward].is_expensive:
        end = f"{terms} on a batch, after {STEPS} steps on batches"
    else:
        converged = "converged" if fit.converged else "not converged"
        end = f"{terms}, {converged} after {fit.evaluations} evaluations"
    return f"{alpha_name(fit.alpha)}, {fit.reward}: {end}"


def alt_text(
    fit: Fit,
    before: Evaluation,
    now: Evaluation,
    sweep: pd.DataFrame | None,
    words: int,
    milliseconds: float,
) -> str:
    """The figure in words, with its numbers.

    Args:
        fit, before, now, sweep: see `InstantPicture.draw`.
        words: of the training set.
        milliseconds: from the move to these numbers.
    """
    changes = ", ".join(
        f"{NAMES[score]} {before.scores[score]:.3f} → {now.scores[score]:.3f}" for score in SCORES
    )
    sentences = [
        f"A head on frozen features, trained on {words:,} words, {title(fit)}.",
        f"Dev, before the move → now: {changes}; "
        f"expected calibration error {_calibration_errors(before, now)}.",
        f"From the move to these numbers: {milliseconds:.0f} ms.",
    ]
    if sweep is not None:
        f1 = sweep["f1"]
        best = sweep.loc[f1.idxmax()]
        sentences.append(
            f"Sweep: F1 {f1.iloc[0]:.3f} at α = 0, {f1.iloc[-1]:.3f} with the reward alone, "
            f"{best['f1']:.3f} at its best, {alpha_name(best['alpha'])}."
        )
    return " ".join(sentences)


def _calibration_errors(before: Evaluation, now: Evaluation) -> str:
    return f"{before.calibration.error:.3f} → {now.calibration.error:.3f}"
