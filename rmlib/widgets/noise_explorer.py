"""Label noise and rare classes on frozen features: cross-entropy against α times a reward, trained at every move."""

import math

import numpy as np
from matplotlib.figure import Figure

from rmlib.loss.rewards import REWARDS
from rmlib.models.linear_head import dear
from rmlib.plots.figures import COLOURS, new_figure
from rmlib.studies.bootstrap import MEASURES, counts
from rmlib.studies.sentiment_data import Condition, Split, make_split
from rmlib.studies.sentiment_methods import Method, Run, scores, train
from rmlib.widgets.framework.explorer import Explorer, alpha_slider, control, menu, slider, stop_name

FLIPS = tuple((f"{flip:.0%}", flip) for flip in (0.0, 0.1, 0.2, 0.3, 0.4))
SHARES = (("as they come, 31 %", 0.0), ("50 %", 0.5), ("10 %", 0.1), ("3 %", 0.03))
SHOWN = ("accuracy", "balanced_accuracy", "f1", "average_precision")
CE = {"color": "#555555", "marker": "o", "markerfacecolor": "white", "markersize": 9, "linestyle": "--"}
WITH = {"color": COLOURS["vermilion"], "marker": "D", "markersize": 7, "linestyle": "-"}


class NoiseExplorer(Explorer):
    """The noise explorer: 1,000 tweets, some labels wrong, some classes rare, and two heads trained on them.

    Both choose weight decay and stopping on validation tweets with the same noise; the scores are those on clean test
    tweets. On the right the scores over the decision threshold: a reward that only moves the threshold moves the curve
    to the side, one that makes a better model moves it up.

    Args:
        flip: chance of a wrong label in training and validation. share: of negative tweets; 0: as they come.
        reward, alpha: where the controls stand at first. seed: of the split and the noise.

    Raises:
        RmlibValueError: a value that the control does not have.
    """

    flip = control("flip", "The chance that a label of the training and validation tweets is wrong.")
    share = control("share", "The share of negative tweets; 0: as they come.")
    reward = control("reward", "The name of the reward type.")
    alpha = control("alpha", "The weight of the reward loss.")

    def __init__(self, flip=0.3, share=0.0, reward="expected_accuracy", alpha=100.0, seed: int = 0):
        names = [name for name, one in REWARDS.items() if "binary" in one.levels and not dear(one)]
        super().__init__(
            flip=slider("wrong labels", FLIPS),
            share=menu("negative", SHARES),
            reward=menu("reward", names),
            alpha=alpha_slider(),
        )
        self.flip, self.share, self.reward, self.alpha = flip, share, reward, alpha
        self.seed = seed

    @property
    def scores(self) -> dict[str, dict]:
        """`trials.scores` of the two heads, "cross-entropy" and "with the reward"."""
        _ = self.picture
        return {name: dict(found) for name, found in self._scores.items()}

    def draw(self, state) -> tuple[Figure, str]:
        measure = "f1" if state.share else "accuracy"
        split = make_split(Condition((state.flip, state.flip), state.share or None, measure), self.seed)
        methods = {
            "cross-entropy": Method(),
            "with the reward": Method((REWARDS[state.reward],), (state.alpha,)),
        }
        runs = {name: train(split, method) for name, method in methods.items()}
        self._scores = {name: scores(split.test.y, run) for name, run in runs.items()}
        figure = new_figure(9.0, 3.9, columns=2, margins={"left": 0.17, "right": 0.98, "bottom": 0.14, "top": 0.74})
        self._draw_scores(figure.axes[0])
        self._draw_thresholds(figure.axes[1], split, runs, measure)
        label = "the reward alone" if state.alpha == math.inf else f"α = {stop_name(state.alpha)}"
        negative = f"{split.test.y.mean():.0%} negative"
        title = f"{state.flip:.0%} of the labels wrong, {negative}; {label}, {state.reward}"
        figure.text(0.02, 0.94, title, fontsize=11)
        handles = figure.axes[0].get_legend_handles_labels()
        figure.legend(*handles, loc="upper left", bbox_to_anchor=(0.01, 0.91), ncols=2, frameon=False, fontsize=10)
        told = [
            f"{name.replace('_', ' ')} {a:.3f} → {b:.3f}"
            for name in SHOWN
            for a, b in [[found[name] for found in self._scores.values()]]
        ]
        words = f"{title}. On {len(split.test.y):,} clean test tweets, cross-entropy → with the reward: "
        return figure, words + ", ".join(told) + "."

    def _draw_scores(self, axes) -> None:
        rows = range(len(SHOWN))
        for look, (name, found) in zip((CE, WITH), self._scores.items(), strict=True):
            axes.plot([found[one] for one in SHOWN], rows, label=name, **look | {"linestyle": "none"})
        for row, one in zip(rows, SHOWN, strict=True):
            a, b = (found[one] for found in self._scores.values())
            axes.annotate(f"{a:.3f} → {b:.3f}", (0.02, row - 0.28), fontsize=9)
        names = [one.replace("_", " ").replace("f1", "F1") for one in SHOWN]
        axes.set(xlim=(0, 1.02), ylim=(len(SHOWN) - 0.4, -0.6), yticks=rows, yticklabels=names, xlabel="test score")

    def _draw_thresholds(self, axes, split: Split, runs: dict[str, Run], measure: str) -> None:
        thresholds = np.linspace(0.02, 0.98, 49)
        for look, run in zip((CE, WITH), runs.values(), strict=True):
            values = MEASURES[measure](counts(split.test.y, run.test >= thresholds[:, None]))
            axes.plot(thresholds, values, **look | {"marker": "none", "linewidth": 2})
            axes.plot([0.5], MEASURES[measure](counts(split.test.y, run.test >= 0.5))[None], **look)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="decision threshold (marked: .5)")
        axes.set_title(f"test {'F1' if measure == 'f1' else measure} over the threshold", fontsize=10)
