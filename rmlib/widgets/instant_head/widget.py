"""α and the reward moved under the hand: a head on a frozen encoder that is trained anew in a moment."""

import html
import math
from functools import lru_cache
from time import perf_counter

import ipywidgets
import pandas as pd
from matplotlib.figure import Figure

from rmlib.loss.rewards import REWARDS
from rmlib.models.frozen_features import Features, Judged, features, judge
from rmlib.models.linear_head import STEPS, Fit, Head, dear
from rmlib.models.pretrained_head import ready_tagger
from rmlib.plots.figures import new_figure
from rmlib.text.conll import entities
from rmlib.text.corpora import newswire
from rmlib.widgets.entity_viewer import in_words, render
from rmlib.widgets.framework.explorer import ALPHAS, Explorer, alpha_slider, control, menu

from .figure import NAMES, SCORES, InstantPicture

SHOWN = 3  # sentences under the picture


@lru_cache(maxsize=1)
def newswire_features() -> tuple[Features, Features]:
    """Training and dev features of the newswire under the encoder that comes with the kit."""
    corpus = newswire()
    return features(ready_tagger(), corpus.train, corpus.dev)


class InstantHead(Explorer):
    """The instant head: moved, it trains again and shows how well it tags.

    The encoder is frozen, so that a head on it is trained on 20,000 words in a fraction of a second (see `heads.Head`).
    It starts at the minimum at α = 0 and goes on from where it stands at every move; with α > 0 the loss is not convex,
    and where the head ends may depend on the way. `restart()` trains again from weights of 0; the sweep starts every α
    at the minimum at α = 0.

    Args:
        data: training and dev `Features`; left out, those of the newswire, which take some seconds the first time.
        alpha, reward: where the controls stand at first.
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
        names = [name for name, one in REWARDS.items() if "tokens" in one.levels]
        super().__init__(alpha=alpha_slider(), reward=menu("reward", names))
        self.alpha, self.reward = alpha, reward
        self.train, self.dev = data or newswire_features()
        train = self.train
        self.head = Head(train.x, train.y, len(train.labels), train.lengths, weight_decay)
        self._at: tuple | None = None  # α and reward of `_fit`
        self._fit: Fit | None = None
        self._zero = self._sweeping = False  # asked for, not done yet
        self._sweeps: dict[str, pd.DataFrame] = {}  # by reward
        self._before = self._now = judge(_logits(self.head.weights, self.dev), self.dev)
        self._took = 0.0
        self._art: InstantPicture | None = None
        self._middle = self._now.scores["f1"]
        self.shown = _telling(self.dev, self._now)
        self._page = ipywidgets.HTML(layout={"max_width": "100%"})
        row = (
            self._button("from zero", "train again from weights of 0", self._ask_restart),
            self._button("sweep α", "a head for every α of the slider, as one batch", self._ask_sweep),
        )
        row = ipywidgets.HBox(row, layout={"flex_flow": "row wrap"})
        self._box.children = [*self._controls.values(), row, self._image, self._page]

    def _button(self, label: str, tip: str, act) -> ipywidgets.Button:
        button = ipywidgets.Button(description=label, tooltip=tip, layout={"width": "130px"})
        button.on_click(lambda _: act())
        return button

    # From Python -----------------------------------------------------------------------------------------------------

    @property
    def scores(self) -> dict:
        """The dev scores of the head that is shown, as `metrics.entity_scores` gives them, with `calibration_error` in
        [0, 1] and `milliseconds` from the move to these numbers."""
        self._wait()
        return {**self._now.scores, "calibration_error": self._now.calibration.error, "milliseconds": self._took}

    @property
    def fit(self) -> Fit:
        """The head that is shown: its weights, loss, and whether it has converged."""
        self._wait()
        return self._fit

    @property
    def sentences(self) -> str:
        """The sentences under the picture in plain text."""
        self._wait()
        return "\n\n".join(in_words(*one) for one in self._tagged())

    def restart(self) -> None:
        """Train again from weights of 0, at this α and reward."""
        self._ask_restart()
        self._wait()

    def sweep(self) -> pd.DataFrame:
        """A head for every α of the slider with this reward: a row an α, columns `alpha`, `f1`, `precision`, `recall`,
        `calibration_error` (dev, in [0, 1]) and `converged`. The picture shows it from now on."""
        reward = self.reward
        self._ask_sweep()
        self._wait()
        return self._sweeps[reward].copy()

    def _wait(self) -> None:
        """Until what is shown is what the controls say."""
        _ = self.picture

    def _ask_restart(self) -> None:
        self._zero = True
        self._begin()
        self._redraw.put("now")

    def _ask_sweep(self) -> None:
        self._sweeping = True
        self._begin()
        self._redraw.put("now")

    # On the drawing thread -------------------------------------------------------------------------------------------

    def draw(self, state) -> tuple[Figure, str]:
        self._follow(state)
        title = f"{_label(state.alpha)}, {state.reward}: {_state(self._fit)}"
        sweep = self._sweeps.get(state.reward)
        self._art = self._art or InstantPicture(new_figure(9.6, 3.9, columns=3, margins={}), self._middle)
        figure = self._art.draw(title, state.alpha, self._before, self._now, sweep)
        told = [f"{NAMES[one]} {self._before.scores[one]:.3f} → {self._now.scores[one]:.3f}" for one in SCORES]
        errors = f"{self._before.calibration.error:.3f} → {self._now.calibration.error:.3f}"
        words = [
            f"A head on frozen features, trained on {len(self.train.x):,} words, {title}.",
            f"Dev, before the move → now: {', '.join(told)}; expected calibration error {errors}.",
            f"From the move to these numbers: {self._took:.0f} ms.",
        ]
        if sweep is not None:
            best = sweep.loc[sweep["f1"].idxmax()]
            ends = f"{sweep['f1'].iloc[0]:.3f} at α = 0, {sweep['f1'].iloc[-1]:.3f} with the reward alone"
            words.append(f"Sweep: F1 {ends}, {best['f1']:.3f} at its best, {_label(best['alpha'])}.")
        return figure, " ".join(words)

    def _follow(self, state) -> None:
        """Train and judge the head of this state, and the sweep if it was asked for."""
        began, zero, sweeping = perf_counter(), self._zero, self._sweeping
        self._zero = self._sweeping = False
        if zero or self._at != (state.alpha, state.reward):
            if zero:
                self.head.restart()
            self._fit = self.head.fit(state.alpha, state.reward)
            self._at = state.alpha, state.reward
            self._before, self._now = self._now, judge(self._fit.logits(self.dev.x), self.dev)
            self._took = (perf_counter() - began) * 1000
        if sweeping and state.reward not in self._sweeps:
            self._sweeps[state.reward] = sweep_table(self.head, self.dev, state.reward)

    def _tagged(self) -> list[tuple[list[str], dict]]:
        """The words and the taggings of each sentence that is shown."""
        sides = {"before": self._before.tags, "now": self._now.tags}
        return [
            (
                list(self.dev.sentences[i].words),
                {"gold": list(self.dev.sentences[i].tags)} | {name: tags[i] for name, tags in sides.items()},
            )
            for i in self.shown
        ]

    def _show(self, when: str) -> None:
        super()._show(when)
        label = html.escape("dev sentences, before the move and now")
        page = "".join(render(*one) for one in self._tagged())
        self._page.value = f'<div role="group" aria-label="{label}">{page}</div>'


def sweep_table(head: Head, dev: Features, reward: str, alphas=ALPHAS) -> pd.DataFrame:
    """The dev scores of `head.sweep`, a row an α; see `InstantHead.sweep`."""
    rows = []
    for fit in head.sweep(alphas, reward):
        judged = judge(fit.logits(dev.x), dev)
        scores = {one: judged.scores[one] for one in SCORES} | {"calibration_error": judged.calibration.error}
        rows.append({"alpha": fit.alpha, **scores, "converged": fit.converged})
    return pd.DataFrame(rows)


def _logits(weights, dev: Features):
    return dev.x @ weights[:-1] + weights[-1]


def _telling(dev: Features, judged: Judged) -> list[int]:
    """Sentences of a readable length with names in them, first those that the head at α = 0 gets wrong."""
    fits = [i for i, one in enumerate(dev.sentences) if 6 <= len(one.words) <= 24 and entities(list(one.tags))]
    wrong = [i for i in fits if list(dev.sentences[i].tags) != judged.tags[i]]
    return (wrong + [i for i in fits if i not in wrong] + list(range(len(dev.sentences))))[:SHOWN]


def _label(alpha: float) -> str:
    return "reward alone" if alpha == math.inf else f"α = {alpha:g}"


def _state(fit: Fit) -> str:
    terms = f"L_p {fit.loss.prediction:.3f}, L_r {fit.loss.reward:.3f}"
    if fit.alpha and dear(REWARDS[fit.reward]):
        return f"{terms} on a batch, after {STEPS} steps on batches"
    end = "converged" if fit.converged else "not converged"
    return f"{terms}, {end} after {fit.evaluations} evaluations"
