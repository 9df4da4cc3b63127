"""The gradient explorer: the gradient of the loss by three methods, item by item."""

from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure

from rmlib.widgets.framework.explorer import (
    Explorer,
    alpha_slider,
    buttons,
    control,
    menu,
    slider,
)
from rmlib.widgets.loss_explorer import binary_rewards

from .figure import GradientPicture, alt_text, power_of_ten
from .numbers import BATCH_Y, BATCH_Y_HAT, EPSILON, PRECISION, Y_HAT, compare


class GradientExplorer(Explorer):
    """dL/dz of six items, by three methods that have to agree.

    Left, one row per item: its three arrows, a wide, a middle and a thin line, cover each other and
    separate in float32 or with a tiny ε. The arrow below them is that of cross-entropy alone; the
    factor between the two is how the reward weighs the item. Right, dR/dŷ: the points are the six
    items, the line between them is the mean of dR/dŷ for an item whose label is 1 with probability
    ρ. Where it crosses 0 is the threshold that the reward asks for: F̃/2 for F1 (Lipton, Elkan and
    Naryanaswamy, ECML PKDD 2014).

    Args:
        alpha: a stop of the slider, one of `ALPHAS`; `math.inf` is the reward alone.
        reward: a reward type with a gradient.
        item: 1 to 6, the one that `y_hat` and `label` belong to.
        precision: "float64" or "float32", of all three methods.
        epsilon: ε of the central differences, 1e-1, 1e-2 … 1e-10.

    Raises:
        RmlibValueError: a value that the control does not have; the same for the properties.
    """

    alpha = control("alpha", "The weight of the reward loss; setting it moves the slider.")
    reward = control("reward", "The reward type; setting it moves the menu.")
    item = control(
        "item", "The item, 1 to 6, that `y_hat` and `label` belong to; setting it moves the slider."
    )
    y_hat = control(
        "y_hat", "The probability that the model gives to class 1 of the item; moves the slider."
    )
    label = control("label", "The true class of the item, 0 or 1; setting it presses the button.")
    precision = control("precision", "The type of the numbers; setting it presses the button.")
    epsilon = control(
        "epsilon", "The step ε of the central differences in z; setting it moves the slider."
    )

    def __init__(
        self,
        alpha: float = 1.0,
        reward: str = "expected_accuracy",
        item: int = 1,
        precision: str = "float64",
        epsilon: float = 1e-5,
    ):
        self._y_hats = list(BATCH_Y_HAT)
        self._labels = list(BATCH_Y)
        self._picture: GradientPicture | None = None
        controls = {
            "alpha": alpha_slider(),
            "reward": menu("reward", binary_rewards()),
            "item": slider("item", range(1, len(BATCH_Y) + 1)),
            "y_hat": slider("its ŷ", [(f"{stop:.2f}", stop) for stop in Y_HAT]),
            "label": buttons("its label y", [("1", 1), ("0", 0)]),
            "precision": buttons("precision", list(PRECISION)),
            "epsilon": slider("ε", [(power_of_ten(stop), stop) for stop in EPSILON]),
        }
        controls["y_hat"].value = self._y_hats[0]
        # These observers are registered before those of `Explorer`, so that they run before a
        # drawing is asked for.
        controls["item"].observe(self._show_item, "value")
        controls["y_hat"].observe(self._keep_y_hat, "value")
        controls["label"].observe(self._keep_label, "value")
        super().__init__(**controls)
        self.alpha = alpha
        self.reward = reward
        self.item = item
        self.precision = precision
        self.epsilon = epsilon

    def _show_item(self, change) -> None:
        """Move the controls of ŷ and y to the values of the chosen item."""
        y_hat, label = self._y_hats[change.new - 1], self._labels[change.new - 1]
        self._controls["y_hat"].value = y_hat
        self._controls["label"].value = label

    def _keep_y_hat(self, change) -> None:
        self._y_hats[self.item - 1] = change.new

    def _keep_label(self, change) -> None:
        self._labels[self.item - 1] = change.new

    @property
    def state(self) -> SimpleNamespace:
        """The values of the controls, by name, and `y_hats` and `labels` of all items."""
        state = super().state
        state.y_hats = tuple(self._y_hats)
        state.labels = tuple(self._labels)
        return state

    @property
    def gradients(self) -> dict[str, np.ndarray]:
        """dL/dz by method, (items,) each.

        The methods are "closed form", "autograd", "central differences" and "cross-entropy alone".
        """
        return compare(self.state).gradients

    @property
    def errors(self) -> dict[str, float]:
        """By method, the largest relative error of an item; see `Comparison`."""
        return {name: float(error.max()) for name, error in compare(self.state).errors.items()}

    @property
    def factors(self) -> np.ndarray:
        """dL/dz divided by the dL_p/dz of cross-entropy alone, (items,)."""
        return compare(self.state).factor

    @property
    def threshold(self) -> float | None:
        """The probability ρ of y = 1 above which the reward pushes an item up.

        None where there is no such threshold for all items; see `zero_crossing`.
        """
        return compare(self.state).threshold

    def draw(self, state) -> tuple[Figure, str]:
        self._picture = self._picture or GradientPicture()
        numbers = compare(state)
        return self._picture.draw(state, numbers), alt_text(state, numbers)
