"""The noise explorer: cross-entropy against α times a reward, with label noise and rare classes."""

import math

import numpy as np
from matplotlib.figure import Figure

from rmlib.loss.rewards import REWARDS
from rmlib.plots.figures import COLOURS, new_figure
from rmlib.studies.bootstrap import MEASURES, counts
from rmlib.studies.sentiment_data import Condition, Split, make_split
from rmlib.studies.sentiment_methods import Method, Run, scores, train
from rmlib.widgets.framework.explorer import (
    Explorer,
    alpha_slider,
    control,
    menu,
    slider,
    stop_name,
)

FLIPS = tuple((f"{flip:.0%}", flip) for flip in (0.0, 0.1, 0.2, 0.3, 0.4))
SHARES = (("as they come, 31 %", 0.0), ("50 %", 0.5), ("10 %", 0.1), ("3 %", 0.03))
SHOWN = ("accuracy", "balanced_accuracy", "f1", "average_precision")
WITHOUT = {
    "color": "#555555",
    "marker": "o",
    "markerfacecolor": "white",
    "markersize": 9,
    "linestyle": "--",
}
WITH = {"color": COLOURS["vermilion"], "marker": "D", "markersize": 7, "linestyle": "-"}


class NoiseExplorer(Explorer):
    """Two heads on frozen features of 1,000 tweets with wrong labels or rare classes.

    Both are trained at every move, and choose weight decay and stopping on validation tweets with
    the same noise; the scores are those on clean test tweets. On the right are the scores over the
    decision threshold: a reward that only shifts the threshold moves the curve to the side, one
    that makes a better model moves it up.

    Args:
        flip: the probability of a wrong label in training and validation.
        share: of negative tweets; 0: as they come.
        reward, alpha: the initial values of the controls.
        seed: of the split and the noise.

    Raises:
        RmlibValueError: a value that the control does not have.
    """

    flip = control(
        "flip", "The probability of a wrong label in the training and validation tweets."
    )
    share = control("share", "The share of negative tweets; 0: as they come.")
    reward = control("reward", "The name of the reward type.")
    alpha = control("alpha", "The weight of the reward loss.")

    def __init__(self, flip=0.3, share=0.0, reward="expected_accuracy", alpha=100.0, seed: int = 0):
        names = [
            name
            for name, reward_type in REWARDS.items()
            if "binary" in reward_type.levels and not reward_type.is_expensive
        ]
        super().__init__(
            flip=slider("wrong labels", FLIPS),
            share=menu("negative", SHARES),
            reward=menu("reward", names),
            alpha=alpha_slider(),
        )
        self.flip = flip
        self.share = share
        self.reward = reward
        self.alpha = alpha
        self.seed = seed

    @property
    def scores(self) -> dict[str, dict]:
        """`sentiment_methods.scores` of the two heads, "cross-entropy" and "with the reward"."""
        _ = self.picture  # waits until both are trained
        return {name: dict(scores) for name, scores in self._scores.items()}

    def draw(self, state) -> tuple[Figure, str]:
        measure = "f1" if state.share else "accuracy"
        split = make_split(
            Condition((state.flip, state.flip), state.share or None, measure), self.seed
        )
        methods = {
            "cross-entropy": Method(),
            "with the reward": Method((REWARDS[state.reward],), (state.alpha,)),
        }
        runs = {name: train(split, method) for name, method in methods.items()}
        self._scores = {name: scores(split.test.y, run) for name, run in runs.items()}
        figure = new_figure(
            9.0, 3.9, columns=2, margins={"left": 0.17, "right": 0.98, "bottom": 0.14, "top": 0.74}
        )
        self._draw_scores(figure.axes[0])
        self._draw_thresholds(figure.axes[1], split, runs, measure)
        label = "the reward alone" if state.alpha == math.inf else f"α = {stop_name(state.alpha)}"
        negative = f"{split.test.y.mean():.0%} negative"
        title = f"{state.flip:.0%} of the labels wrong, {negative}; {label}, {state.reward}"
        figure.text(0.02, 0.94, title, fontsize=11)
        handles = figure.axes[0].get_legend_handles_labels()
        figure.legend(
            *handles,
            loc="upper left",
            bbox_to_anchor=(0.01, 0.91),
            ncols=2,
            frameon=False,
            fontsize=10,
        )
        changes = ", ".join(f"{score.replace('_', ' ')} {self._change(score)}" for score in SHOWN)
        test = f"On {len(split.test.y):,} clean test tweets, cross-entropy → with the reward"
        return figure, f"{title}. {test}: {changes}."

    def _change(self, score: str) -> str:
        without, with_reward = (scores[score] for scores in self._scores.values())
        return f"{without:.3f} → {with_reward:.3f}"

    def _draw_scores(self, axes) -> None:
        rows = range(len(SHOWN))
        for look, (name, head_scores) in zip((WITHOUT, WITH), self._scores.items(), strict=True):
            values = [head_scores[score] for score in SHOWN]
            axes.plot(values, rows, label=name, **look | {"linestyle": "none"})
        for row, score in zip(rows, SHOWN, strict=True):
            axes.annotate(self._change(score), (0.02, row - 0.28), fontsize=9)
        names = [score.replace("_", " ").replace("f1", "F1") for score in SHOWN]
        axes.set_yticks(rows, names)
        axes.set(xlim=(0, 1.02), ylim=(len(SHOWN) - 0.4, -0.6), xlabel="test score")

    def _draw_thresholds(self, axes, split: Split, runs: dict[str, Run], measure: str) -> None:
        thresholds = np.linspace(0.02, 0.98, 49)
        score = MEASURES[measure]
        for look, run in zip((WITHOUT, WITH), runs.values(), strict=True):
            values = score(counts(split.test.y, run.test >= thresholds[:, None]))
            axes.plot(thresholds, values, **look | {"marker": "none", "linewidth": 2})
            axes.plot([0.5], score(counts(split.test.y, run.test >= 0.5))[None], **look)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="decision threshold (marked: .5)")
        name = "F1" if measure == "f1" else measure
        axes.set_title(f"test {name} over the threshold", fontsize=10)
