"""The slope of the loss three ways: closed form, autograd and central differences, one arrow each for every item."""

import math
from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure

from rmlib.widgets.framework.explorer import Explorer, alpha_slider, buttons, control, menu, slider, stop_name
from rmlib.widgets.loss_explorer import binary_rewards

from .figure import blank
from .numbers import AUTO, BATCH_Y, BATCH_Y_HAT, CLOSED, EPSILON, PLAIN, PRECISION, Y_HAT, Slopes, slopes

LIMITS = [digit * 10.0**power for power in range(-4, 4) for digit in (1, 2, 5)]  # of an axis; few, so that it stays
THRESHOLDS = {"expected_accuracy": "1/2", "soft_f1": "F̃/2", "soft_f1_macro": "F̃/2", "soft_fbeta": "F̃/(1+β²)"}


class GradientExplorer(Explorer):
    """The gradient explorer: dL/dz of six items, by three methods that have to agree.

    Left, one row an item: its three arrows lie on each other, as wide, middle and thin lines, and part in float32 or
    with a tiny ε. Under them the arrow of cross-entropy alone; the factor between the two is how the reward weighs the
    item. Right, the slope of R in ŷ: the points are the six items, the line between them is the mean slope for an item
    whose label is 1 with the chance ρ. Where it crosses 0 is the threshold that the reward asks for: F̃/2 for F1
    (Lipton, Elkan and Naryanaswamy, ECML PKDD 2014).

    Args:
        alpha: a stop of the slider, `base.ALPHAS`; `math.inf` is the reward alone.
        reward: a reward type with a gradient.
        item: 1 to 6, the one that `y_hat` and `label` belong to.
        precision: "float64" or "float32", of all three methods.
        epsilon: ε of the central differences, 1e-1, 1e-2 … 1e-10.

    Raises:
        RmlibValueError: a value that the control does not have; the same for the properties.
    """

    alpha = control("alpha", "The weight of the reward loss; setting it moves the slider.")
    reward = control("reward", "The reward type; setting it moves the menu.")
    item = control("item", "The item, 1 to 6, that `y_hat` and `label` belong to; setting it moves the slider.")
    y_hat = control("y_hat", "The probability that the model gives to class 1 of the item; moves the slider.")
    label = control("label", "The true class of the item, 0 or 1; setting it presses the button.")
    precision = control("precision", "The type of the numbers; setting it presses the button.")
    epsilon = control("epsilon", "The step ε of the central differences in z; setting it moves the slider.")

    def __init__(
        self,
        alpha: float = 1.0,
        reward: str = "expected_accuracy",
        item: int = 1,
        precision: str = "float64",
        epsilon: float = 1e-5,
    ):
        self._y_hats, self._labels = list(BATCH_Y_HAT), list(BATCH_Y)
        self._figures: dict[str, SimpleNamespace] = {}
        controls = {
            "alpha": alpha_slider(),
            "reward": menu("reward", binary_rewards()),
            "item": slider("item", range(1, len(BATCH_Y) + 1)),
            "y_hat": slider("its ŷ", [(f"{stop:.2f}", stop) for stop in Y_HAT]),
            "label": buttons("its label y", [("1", 1), ("0", 0)]),
            "precision": buttons("precision", list(PRECISION)),
            "epsilon": slider("ε", [(_power(stop), stop) for stop in EPSILON]),
        }
        controls["y_hat"].value = self._y_hats[0]
        controls["item"].observe(self._select, "value")  # before the drawing hears of it
        controls["y_hat"].observe(lambda change: self._keep(self._y_hats, change.new), "value")
        controls["label"].observe(lambda change: self._keep(self._labels, change.new), "value")
        super().__init__(**controls)
        self.alpha, self.reward, self.item, self.precision, self.epsilon = alpha, reward, item, precision, epsilon

    def _select(self, change) -> None:
        k = change.new - 1
        y_hat, label = self._y_hats[k], self._labels[k]
        self._controls["y_hat"].value, self._controls["label"].value = y_hat, label

    def _keep(self, values: list, value) -> None:
        values[self.item - 1] = value

    @property
    def state(self) -> SimpleNamespace:
        """Where the controls stand, by name, and `y_hats` and `labels` of all items."""
        state = super().state
        state.y_hats, state.labels = tuple(self._y_hats), tuple(self._labels)
        return state

    @property
    def gradients(self) -> dict[str, np.ndarray]:
        """dL/dz, (items,) each, by method: "closed form", "autograd", "central differences", "cross-entropy alone"."""
        return slopes(self.state).gradients

    @property
    def errors(self) -> dict[str, float]:
        """By method, the largest relative error of an item; see `Slopes`."""
        return {name: float(error.max()) for name, error in slopes(self.state).errors.items()}

    @property
    def factors(self) -> np.ndarray:
        """dL/dz over the dL_p/dz of cross-entropy alone, (items,): how the reward weighs the items."""
        return slopes(self.state).factor

    @property
    def threshold(self) -> float | None:
        """The chance ρ of y = 1 above which the reward pushes an item up; None where `crossing` finds none."""
        return slopes(self.state).threshold

    def draw(self, state) -> tuple[Figure, str]:
        art = self._figures.get("now") or self._figures.setdefault("now", blank())
        found = slopes(state)
        worst = ", ".join(f"{name} {_short(error.max())}" for name, error in found.errors.items())
        worst += "" if CLOSED in found.errors else ", no closed form for this reward"
        self._draw_arrows(art, state, found)
        threshold = self._draw_threshold(art, state, found)
        name = {0: "$L_p$", 1: "$L_p$ + $L_r$", math.inf: "$L_r$"}.get(state.alpha, f"$L_p$ + {state.alpha:g}·$L_r$")
        art.title.set_text(f"{state.reward}: L = {name}, {state.precision}, ε = {_power(state.epsilon)}")
        art.errors.set_text(f"largest relative error: {worst}")
        state_words = f"{state.reward}, α = {stop_name(state.alpha)}, {state.precision}, ε = {_power(state.epsilon)}"
        words = [f"dL/dz of {len(state.labels)} items, {state_words}."]
        for k, (label, y_hat) in enumerate(zip(state.labels, state.y_hats, strict=True)):
            g = {name: values[k] for name, values in found.gradients.items()}
            shown = g if k == state.item - 1 else {name: g[name] for name in (CLOSED, AUTO) if name in g}
            told = ", ".join(f"{name} {value:.4g}" for name, value in shown.items())
            words.append(f"Item {k + 1} (y = {label}, ŷ = {y_hat:g}): {told}, factor {found.factor[k]:.3f}.")
        words.append(f"Largest relative error: {worst}. Slope of R in ŷ: {threshold}.")
        return art.figure, " ".join(words)

    def _draw_arrows(self, art: SimpleNamespace, state, found: Slopes) -> None:
        best = found.gradients.get(CLOSED, found.gradients[AUTO])
        limit = _limit([best, found.gradients[PLAIN]])
        art.left.set_xlim(-limit, limit)
        art.left.set_xticks([-limit, 0, limit], [f"{-limit:g}", "0", f"{limit:g}"])
        for name, (line, tips, height) in art.arrows.items():
            g = found.gradients.get(name, np.full(len(best), np.nan))
            gap = np.full(len(best), np.nan)  # lifts the pen between two arrows
            rows = -np.arange(len(best)) - height
            line.set_data(np.stack([0 * g, g, gap], 1).ravel(), np.repeat(rows, 3))
            tips.set_data(g, rows)
        art.selected.set_y(-state.item + 0.5)
        error = np.max(list(found.errors.values()), 0)
        for k, (label, y_hat) in enumerate(zip(state.labels, state.y_hats, strict=True)):
            art.names[k].set_text(f"{k + 1}{label:>4}{y_hat:>6.2f}")
            art.numbers[k].set_text(f"{best[k]:>9.4f}{found.factor[k]:>10.3f}{_short(error[k]):>7}")
        weight = {"expected_accuracy": "p_y", "gce": "p_y^q"}.get(state.reward)
        factor = "factor" if weight is None else weight if state.alpha == math.inf else f"1+α·{weight}"
        art.header.set_text(f"{'dL/dz':>9}{factor:>10}{'error':>7}")

    def _draw_threshold(self, art: SimpleNamespace, state, found: Slopes) -> str:
        limit, labels, at = _limit([found.reward]), np.array(state.labels), found.threshold
        art.right.set_ylim(-limit, limit)
        art.right.set_yticks([-limit, 0, limit], [f"{-limit:g}", "0", f"{limit:g}"])
        for points, label in ((art.ones, 1), (art.zeros, 0)):
            shown = found.reward[labels == label]
            points.set_data(np.full(len(shown), label), shown)
        if at is None:
            art.mean.set_data([], [])
            art.crossing.set_data([], [])
            text = "depends on the item's own ŷ" if 0 < labels.sum() < len(labels) else "one label only"
        else:
            art.mean.set_data([0, 1], [found.reward[labels == 0][0], found.reward[labels == 1][0]])
            art.crossing.set_data([at, at], [-limit, 0])
            name = THRESHOLDS.get(state.reward)
            text = f"up where ρ > {at:.3f}" + (f" = {name}" if name else "")
        art.threshold.set_text(text.replace("F̃", r"$\tilde F$"))
        return text


def _limit(values) -> float:
    most = 1.1 * max(np.abs(part).max() for part in values)
    return next((limit for limit in LIMITS if limit >= most), LIMITS[-1])


def _short(error: float) -> str:
    return f"{error:.0e}" if error else "0"


def _power(epsilon: float) -> str:
    return f"1e-{round(-math.log10(epsilon))}"
