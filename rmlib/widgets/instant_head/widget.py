"""The instant head: a head on a frozen encoder, trained again at every move of α or the reward."""

import html
from time import perf_counter

import ipywidgets
import pandas as pd
from matplotlib.figure import Figure

from rmlib.loss.rewards import REWARDS
from rmlib.widgets.entity_viewer import in_words, render
from rmlib.widgets.framework.explorer import Explorer, alpha_slider, control, menu

from .figure import InstantPicture, alt_text
from .frozen_features import Features, judge
from .linear_head import Fit, Head
from .numbers import evaluate, newswire_features, sentences_to_show, sweep_table


class InstantHead(Explorer):
    """A head that trains again at every move and shows how well it tags.

    The encoder is frozen, so that a head on it is trained on 20,000 words in a fraction of a second
    (see `linear_head.Head`). It starts at the minimum at α = 0, and every move starts from the
    weights before it; with α > 0 the loss is not convex, and the result may depend on the order of
    the moves. `restart()` trains again from weights of 0; the sweep starts every α at the minimum
    at α = 0.

    Args:
        data: training and dev `Features`; left out, those of the newswire, which take some seconds
            the first time.
        alpha, reward: the initial values of the controls.
        weight_decay: of the head, above 0.

    Raises:
        RmlibValueError: an alpha or a reward that the control does not have.
    """

    alpha = control("alpha", "The weight of the reward loss.")
    reward = control("reward", "The name of the reward type.")

    def __init__(
        self,
        data: tuple[Features, Features] | None = None,
        alpha: float = 1.0,
        reward: str = "soft_f1",
        weight_decay: float = 3e-3,
    ):
        names = [name for name, reward_type in REWARDS.items() if "tokens" in reward_type.levels]
        super().__init__(alpha=alpha_slider(), reward=menu("reward", names))
        self.alpha = alpha
        self.reward = reward
        self.train, self.dev = data or newswire_features()
        train = self.train
        self.head = Head(train.x, train.y, len(train.labels), train.lengths, weight_decay)
        self._fit: Fit | None = None
        self._fitted: tuple | None = None  # α and reward of `_fit`
        self._restart_pending = False
        self._sweep_pending = False
        self._sweeps: dict[str, pd.DataFrame] = {}  # by reward
        self._now = evaluate(self.head.weights, self.dev)
        self._before = self._now
        self._milliseconds = 0.0
        self._picture: InstantPicture | None = None
        self._middle = self._now.scores["f1"]
        self.shown = sentences_to_show(self.dev, self._now)
        self._page = ipywidgets.HTML(layout={"max_width": "100%"})
        row = ipywidgets.HBox(
            (
                self._button("from zero", "train again from weights of 0", self._ask_restart),
                self._button(
                    "sweep α", "a head for every α of the slider, as one batch", self._ask_sweep
                ),
            ),
            layout={"flex_flow": "row wrap"},
        )
        self._box.children = [*self._controls.values(), row, self._image, self._page]

    def _button(self, label: str, tip: str, act) -> ipywidgets.Button:
        button = ipywidgets.Button(description=label, tooltip=tip, layout={"width": "130px"})
        button.on_click(lambda _: act())
        return button

    # From Python ----------------------------------------------------------------------------------

    @property
    def scores(self) -> dict:
        """The dev scores of the head that is shown.

        Those of `metrics.entity_scores`, with `calibration_error` in [0, 1] and `milliseconds` from
        the move to these numbers.
        """
        self._wait()
        return {
            **self._now.scores,
            "calibration_error": self._now.calibration.error,
            "milliseconds": self._milliseconds,
        }

    @property
    def fit(self) -> Fit:
        """The head that is shown: its weights, loss, and whether it has converged."""
        self._wait()
        return self._fit

    @property
    def sentences(self) -> str:
        """The sentences under the picture in plain text."""
        self._wait()
        return "\n\n".join(in_words(*tagged) for tagged in self._tagged())

    def restart(self) -> None:
        """Train again from weights of 0, at this α and reward."""
        self._ask_restart()
        self._wait()

    def sweep(self) -> pd.DataFrame:
        """Train a head for every α of the slider with this reward; the picture then shows it.

        Returns:
            One row per α with the columns `alpha`, `f1`, `precision`, `recall`,
            `calibration_error` (dev, in [0, 1]) and `converged`.
        """
        reward = self.reward
        self._ask_sweep()
        self._wait()
        return self._sweeps[reward].copy()

    def _wait(self) -> None:
        """Wait until what is shown is what the controls say."""
        _ = self.picture

    def _ask_restart(self) -> None:
        self._restart_pending = True
        self._begin()
        self._redraw.put("now")

    def _ask_sweep(self) -> None:
        self._sweep_pending = True
        self._begin()
        self._redraw.put("now")

    # On the drawing thread ------------------------------------------------------------------------

    def draw(self, state) -> tuple[Figure, str]:
        self._follow(state)
        self._picture = self._picture or InstantPicture(self._middle)
        numbers = (self._fit, self._before, self._now, self._sweeps.get(state.reward))
        alt = alt_text(*numbers, words=len(self.train.x), milliseconds=self._milliseconds)
        return self._picture.draw(*numbers), alt

    def _follow(self, state) -> None:
        """Train and judge the head of this state, and compute the sweep if it was asked for."""
        began = perf_counter()
        restart, self._restart_pending = self._restart_pending, False
        sweep, self._sweep_pending = self._sweep_pending, False
        if restart or self._fitted != (state.alpha, state.reward):
            if restart:
                self.head.restart()
            self._fit = self.head.fit(state.alpha, state.reward)
            self._fitted = (state.alpha, state.reward)
            self._before = self._now
            self._now = judge(self._fit.logits(self.dev.x), self.dev)
            self._milliseconds = (perf_counter() - began) * 1000
        if sweep and state.reward not in self._sweeps:
            self._sweeps[state.reward] = sweep_table(self.head, self.dev, state.reward)

    def _tagged(self) -> list[tuple[list[str], dict]]:
        """The words and the taggings of each sentence that is shown."""
        tagged = []
        for i in self.shown:
            sentence = self.dev.sentences[i]
            taggings = {
                "gold": list(sentence.tags),
                "before": self._before.tags[i],
                "now": self._now.tags[i],
            }
            tagged.append((list(sentence.words), taggings))
        return tagged

    def _show(self, when: str) -> None:
        super()._show(when)
        label = html.escape("dev sentences, before the move and now")
        page = "".join(render(*tagged) for tagged in self._tagged())
        self._page.value = f'<div role="group" aria-label="{label}">{page}</div>'
