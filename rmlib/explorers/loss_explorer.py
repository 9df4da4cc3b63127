"""What α buys: L_p, α·L_r and their sum over the probability ŷ of one item."""

import html
import math
from typing import NamedTuple

import ipywidgets
import numpy as np
import torch

from ..errors import RmlibValueError, nearest
from ..objective import Loss, RewardObjective
from ..plots import Picture, loss_curves, show
from ..rewards import REWARDS
from .redraw import Latest

ALPHAS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, math.inf)
# The item is not alone: F1 is a measure of a batch. These three stay as they are while the item moves.
OTHERS_Y_HAT, OTHERS_Y = (0.8, 0.6, 0.3), (1, 1, 0)
BATCH_NOTE = "one item of a batch of 4; the others: ŷ = 0.8 (y = 1), 0.6 (y = 1), 0.3 (y = 0)"
POINTS = 199  # ŷ = 0.005, 0.010 … 0.995


class State(NamedTuple):
    """Where the three controls stand."""

    alpha: float
    reward: str
    label: int


def stop_name(alpha: float) -> str:
    """What a stop of the α slider is called."""
    return "reward alone" if alpha == math.inf else f"{alpha:g}"


def binary_rewards() -> list[str]:
    """The reward types that work on one probability an item."""
    return [name for name, reward in REWARDS.items() if "binary" in reward.levels]


def loss_at(y_hat: float, alpha: float, reward: str, label: int) -> Loss:
    """The three terms of the batch when its first item has the probability ŷ and the label; the other three stay."""
    probabilities = torch.tensor([y_hat, *OTHERS_Y_HAT], dtype=torch.float64)
    return RewardObjective(alpha, reward)(probabilities.logit(), torch.tensor([label, *OTHERS_Y]))


class LossExplorer:
    """The loss explorer: three controls and a figure. Show `explorer.widget`, or set the properties from Python.

    Args:
        alpha: a stop of the slider, one of `ALPHAS`; `math.inf` is the reward alone.
        reward: one of `binary_rewards()`.
        label: 0 or 1, the true class of the item.

    Raises:
        RmlibValueError: a value that the control does not have; the same for the properties.
    """

    def __init__(self, alpha: float = 1.0, reward: str = "soft_f1", label: int = 1):
        look = {"style": {"description_width": "70px"}, "layout": {"width": "440px", "max_width": "100%"}}
        stops = [(stop_name(stop), stop) for stop in ALPHAS]
        self._alpha = ipywidgets.SelectionSlider(options=stops, description="α", **look)
        self._reward = ipywidgets.Dropdown(options=binary_rewards(), description="reward", **look)
        choice = {"options": [("1", 1), ("0", 0)], "orientation": "horizontal"}
        self._label = ipywidgets.RadioButtons(description="label y", **choice, **look)
        self._image = ipywidgets.HTML()
        self._drawn: Picture | None = None
        self._redraw = Latest(self._draw)
        self.alpha, self.reward, self.label = alpha, reward, label
        for control in (self._alpha, self._reward, self._label):
            control.observe(lambda change: self._redraw.put(self.state), "value")
        self._redraw.put(self.state)
        self.widget = ipywidgets.VBox([self._alpha, self._reward, self._label, self._image])

    @property
    def state(self) -> State:
        """Where the three controls stand."""
        return State(self._alpha.value, self._reward.value, self._label.value)

    @property
    def alpha(self) -> float:
        """The weight of the reward loss; setting it moves the slider."""
        return self._alpha.value

    @alpha.setter
    def alpha(self, value: float):
        if value not in ALPHAS:
            close = min(ALPHAS[:-1], key=lambda stop: abs(stop - value)) if isinstance(value, int | float) else 1.0
            stops = ", ".join(f"{stop:g}" for stop in ALPHAS)
            raise RmlibValueError(f"alpha is {value!r}; the slider has {stops}; did you mean {close:g}?")
        self._alpha.value = float(value)

    @property
    def reward(self) -> str:
        """The reward type; setting it moves the menu."""
        return self._reward.value

    @reward.setter
    def reward(self, value: str):
        if value not in binary_rewards():
            raise RmlibValueError(f"reward {value!r} is not in the menu; {nearest(value, binary_rewards())}")
        self._reward.value = value

    @property
    def label(self) -> int:
        """The true class of the item; setting it presses the button."""
        return self._label.value

    @label.setter
    def label(self, value: int):
        if value not in (0, 1):
            raise RmlibValueError(f"label is {value!r}; expected 0 or 1")
        self._label.value = int(value)

    def at(self, y_hat: float) -> Loss:
        """The terms (total, prediction, reward) of the loss that is shown, at one ŷ in (0, 1), as plain numbers."""
        if not 0 < y_hat < 1:
            raise RmlibValueError(f"ŷ is {y_hat!r}; expected a number between 0 and 1, both excluded")
        return Loss(*(float(term) for term in loss_at(y_hat, *self.state)))

    @property
    def picture(self) -> Picture:
        """What the widget shows now; waits until it is drawn."""
        self._redraw.wait()
        return self._drawn

    @property
    def text(self) -> str:
        """The same in words and numbers."""
        return self.picture.text

    @property
    def png(self) -> bytes:
        return self.picture.png

    @property
    def figure(self):
        return self.picture.figure

    def _draw(self, state: State) -> None:
        y_hat = np.arange(1, POINTS + 1) / (POINTS + 1)
        losses = [loss_at(p, *state) for p in y_hat]
        total, prediction, reward = (np.array([float(loss[k]) for loss in losses]) for k in range(3))
        alone = state.alpha == math.inf
        if alone:
            name, parts = "L = L_r", {"L_p (takes no part)": prediction}
        else:
            name, parts = "L", {"L_p": prediction, "α·L_r": state.alpha * reward}
        title = f"{'reward alone' if alone else f'α = {state.alpha:g}'}, {state.reward}, label y = {state.label}"
        figure = loss_curves(y_hat, total, parts, title, BATCH_NOTE, name)
        low = int(total.argmin())
        words = [f"The loss over ŷ, {title}; {BATCH_NOTE}."]
        for p in (0.1, 0.5, 0.9):
            i = round(p * (POINTS + 1)) - 1
            terms = [f"L {total[i]:.3g}", *(f"{label} {values[i]:.3g}" for label, values in parts.items())]
            words.append(f"At ŷ = {p}: {', '.join(terms)}.")
        words.append(f"Lowest L: {total[low]:.3g} at ŷ = {y_hat[low]:.3g}.")
        self._drawn = show(figure, " ".join(words))
        spoken = html.escape(f"{title}. {' '.join(words[1:])}")  # told by a screen reader when it changes
        self._image.value = f'{self._drawn.html}<p role="status" aria-live="polite">{spoken}</p>'
