"""The landscape explorer: the surface of L over two weights, and gradient descent on it."""

import math

import numpy as np
from matplotlib.figure import Figure

from rmlib.errors import RmlibValueError
from rmlib.loss.objective import Loss
from rmlib.widgets.framework.explorer import Explorer, alpha_slider, control, menu
from rmlib.widgets.loss_explorer import binary_rewards

from .figure import LandscapePicture, alt_text
from .numbers import CONDITIONS, STARTS, end, landscape, loss_at, path


class LandscapeExplorer(Explorer):
    """A classifier with two weights on real data, and where the loss leads it.

    The model is P(y = 1 | x) = σ(w1·x1 + w2·x2 + b). The two parameters are the weights of the two
    features, so that both the surface and the data can be drawn: the direction of w turns the
    decision line, and its length says how confident the model is. The bias stays at the log-odds of
    the positive labels, the right prediction of a model with w = 0. The line w·x + b = 0 then lies
    at |b| / |w| from the centre: where positives are few, a reward that asks for a lower threshold
    (F1) gets it by longer weights.

    Args:
        alpha: a stop of the slider, one of `ALPHAS`; `math.inf` is the reward alone.
        reward: a reward type with a gradient.
        condition: "all", "few positives" or "noisy labels", see `data`.
        start: where the descent starts: "zero", "wrong way" or "too confident".

    Raises:
        RmlibValueError: a value that the control does not have; the same for the properties.
    """

    alpha = control("alpha", "The weight of the reward loss; setting it moves the slider.")
    reward = control("reward", "The reward type; setting it moves the menu.")
    condition = control("condition", "Which data; setting it moves the menu.")
    start = control("start", "Where the descent starts; setting it moves the menu.")

    def __init__(
        self,
        alpha: float = 1.0,
        reward: str = "soft_f1",
        condition: str = "few positives",
        start: str = "zero",
    ):
        starts = [(f"{name} ({w1:g}, {w2:g})", name) for name, (w1, w2) in STARTS.items()]
        super().__init__(
            alpha=alpha_slider(),
            reward=menu("reward", binary_rewards()),
            condition=menu("data", CONDITIONS),
            start=menu("start", starts),
        )
        self._picture: LandscapePicture | None = None
        self.alpha = alpha
        self.reward = reward
        self.condition = condition
        self.start = start

    @property
    def path(self) -> np.ndarray:
        """The weights (w1, w2) along the descent, (steps + 1, 2): the start first."""
        return path(self.state, self.alpha).copy()

    @property
    def end(self) -> tuple[float, float]:
        """The weights (w1, w2) at the end of the descent."""
        return end(self.state, self.alpha).w

    @property
    def accuracy(self) -> float:
        """The accuracy at the end of the descent, in [0, 1], on the true labels.

        An item is positive where ŷ > 1/2.
        """
        return end(self.state, self.alpha).accuracy

    @property
    def f1(self) -> float:
        """The F1 of "malignant" at the end of the descent, in [0, 1], on the true labels."""
        return end(self.state, self.alpha).f1

    def loss_at(self, w1: float, w2: float) -> Loss:
        """The terms (total, prediction, reward) of the loss at a pair of weights, as plain numbers.

        Raises:
            RmlibValueError: a weight that is not a finite number.
        """
        if not (math.isfinite(w1) and math.isfinite(w2)):
            raise RmlibValueError(f"(w1, w2) is {(w1, w2)!r}; expected two finite numbers")
        return loss_at(self.state, (w1, w2))

    def draw(self, state) -> tuple[Figure, str]:
        self._picture = self._picture or LandscapePicture()
        numbers = landscape(state)
        return self._picture.draw(state, numbers), alt_text(state, numbers)
