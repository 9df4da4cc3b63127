"""The slope of the loss three ways: closed form, autograd and central differences, one arrow each for every item."""

import math
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..derivatives import CLOSED_FORMS, FLOOR, autograd, objective_gradient
from ..objective import RewardObjective
from ..plots import COLOURS, new_figure
from .base import Explorer, alpha_slider, buttons, control, menu, slider, stop_name
from .loss_explorer import binary_rewards

Y_HAT = (0.01, *(k / 20 for k in range(1, 20)), 0.99)
BATCH_Y_HAT, BATCH_Y = (0.9, 0.6, 0.3, 0.2, 0.7, 0.05), (1, 1, 1, 0, 0, 0)  # to begin with
EPSILON = tuple(float(f"1e-{k}") for k in range(1, 11))
PRECISION = {"float64": torch.float64, "float32": torch.float32}
CLOSED, AUTO, CENTRAL, PLAIN = METHODS = ("closed form", "autograd", "central differences", "cross-entropy alone")
LIMITS = [digit * 10.0**power for power in range(-4, 4) for digit in (1, 2, 5)]  # of an axis; few, so that it stays
THRESHOLDS = {"expected_accuracy": "1/2", "soft_f1": "F̃/2", "soft_f1_macro": "F̃/2", "soft_fbeta": "F̃/(1+β²)"}


class Slopes(NamedTuple):
    """The numbers of a state, (items,) float64 arrays.

    gradients: dL/dz by method, those of `METHODS`; no "closed form" where the reward has none. errors: by method, the
    relative error of each item against the closed form (else autograd) in float64 at the same z. factor: dL/dz over
    dL_p/dz. reward: dR/dŷ. threshold: see `GradientExplorer.threshold`.
    """

    gradients: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    factor: np.ndarray
    reward: np.ndarray
    threshold: float | None


def two(z: Tensor) -> Tensor:
    """One logit z per item as the two logits (0, z), whose softmax is (1 - ŷ, ŷ)."""
    return torch.stack([torch.zeros_like(z), z], -1)


def central_differences(loss, z: Tensor, epsilon: float) -> Tensor:
    """(L(z + ε) - L(z - ε)) / 2ε for each z (items,), from values alone and in the precision of z."""
    steps = epsilon * torch.eye(len(z), dtype=z.dtype)
    return torch.stack([(loss(z + step) - loss(z - step)) / (2 * epsilon) for step in steps])


def slopes(state: SimpleNamespace) -> Slopes:
    """All numbers of a state of the explorer."""
    labels = torch.tensor(state.labels)
    z = torch.tensor(state.y_hats, dtype=torch.float64).logit().to(PRECISION[state.precision])
    objective, exact = RewardObjective(state.alpha, state.reward), z.double()
    known = state.reward in CLOSED_FORMS

    def of_autograd(z: Tensor) -> Tensor:
        z = z.clone().requires_grad_()
        return torch.autograd.grad(objective(z, labels).total, z)[0]

    def of_closed_form(z: Tensor) -> Tensor:
        return objective_gradient(state.alpha, state.reward, two(z), labels)[:, 1]

    with torch.no_grad():
        differences = central_differences(lambda z: objective(z, labels).total, z, state.epsilon)
    found = ({CLOSED: of_closed_form(z)} if known else {}) | {AUTO: of_autograd(z), CENTRAL: differences}
    reference = (of_closed_form if known else of_autograd)(exact)
    errors = {name: (g - reference).abs() / reference.abs().clamp_min(FLOOR) for name, g in found.items()}
    p = exact.sigmoid()
    plain = (p - labels) / len(z)
    reward = autograd(state.reward, two(exact), labels)[:, 1] / (p * (1 - p))  # dR/dŷ = dR/dz ÷ dŷ/dz
    gradients = {name: g.double().numpy() for name, g in (found | {PLAIN: plain}).items()}
    errors = {name: error.numpy() for name, error in errors.items()}
    reward = reward.numpy()
    return Slopes(gradients, errors, (reference / plain).numpy(), reward, crossing(reward, labels.numpy()))


def crossing(slope: np.ndarray, labels: np.ndarray) -> float | None:
    """The ρ at which ρ · (slope for y = 1) + (1 - ρ) · (slope for y = 0) is 0.

    None where the items of one label differ in their slope, or where there is none of a label.
    """
    up, down = slope[labels == 1], slope[labels == 0]
    if not (len(up) and len(down) and np.allclose(up, up[0]) and np.allclose(down, down[0]) and up[0] > down[0]):
        return None
    return float(-down[0] / (up[0] - down[0]))


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


def blank() -> SimpleNamespace:
    """The figure, and by name what moves in it: only that is drawn again (see `plots.show`), in a third of the time."""
    figure = new_figure(8.6, 4.0, columns=2, margins={"top": 0.79, "bottom": 0.13})
    left, right = figure.axes
    left.set_position((0.105, 0.13, 0.39, 0.64))
    right.set_position((0.79, 0.13, 0.19, 0.64))
    art = SimpleNamespace(figure=figure, left=left, right=right)
    looks = {  # colour, line, width, marker of the tip, how far below the middle of the row
        CLOSED: ("sky", "-", 11, "", 0.0),
        AUTO: ("vermilion", "-", 6, "", 0.0),
        CENTRAL: ("black", "-", 1.5, "o", 0.0),
        PLAIN: ("green", (0, (2, 1)), 2, "s", 0.33),
    }
    art.arrows = {}
    for name, (colour, dash, width, marker, height) in looks.items():
        look = {"color": COLOURS[colour], "markerfacecolor": "white", "markersize": 5, "solid_capstyle": "butt"}
        (line,) = left.plot([], [], linestyle=dash, linewidth=width, animated=True, **look)
        (tips,) = left.plot([], [], linestyle="none", marker=marker, animated=True, **look)
        left.plot([], [], linestyle=dash, linewidth=width, marker=marker, label=name, **look)  # for the legend
        art.arrows[name] = (line, tips, height)
    rows = range(len(BATCH_Y))
    left.axvline(0, color="#888888", linewidth=0.8, animated=True)
    art.selected = left.axhspan(-0.5, 0.5, color="#EEEEEE", zorder=0, animated=True)
    left.set(ylim=(-len(BATCH_Y) + 0.4, 0.5), yticks=[], xlabel="dL/dz")
    place, mono = left.get_yaxis_transform(), {"family": "monospace", "fontsize": 8}
    moving, whole = {"animated": True, "transform": place, **mono}, {"animated": True, "transform": figure.transFigure}
    art.names = [left.text(-0.26, -k, "", va="center", **moving) for k in rows]
    art.numbers = [left.text(1.0, -k, "", va="center", **moving) for k in rows]
    left.text(-0.26, 0.65, "i   y     ŷ", transform=place, **mono)
    art.header = left.text(1.0, 0.65, "", **moving)
    right.axhline(0, color="#888888", linewidth=0.8)
    (art.mean,) = right.plot([], [], color="black", linestyle="-", animated=True)
    (art.crossing,) = right.plot([], [], color="black", linestyle=":", marker="D", markevery=[-1], animated=True)
    points = {"mfc": "none", "markersize": 8, "clip_on": False, "animated": True}
    (art.ones,) = right.plot([], [], "^", color=COLOURS["vermilion"], **points)
    (art.zeros,) = right.plot([], [], "o", color=COLOURS["blue"], **points)
    right.set(xlim=(-0.08, 1.08), xticks=[0, 0.5, 1], xlabel="ρ, the chance of y = 1")
    for axes, axis in ((left, left.xaxis), (right, right.yaxis)):
        axis.set_animated(True)
        axes.xaxis.set_label_coords(0.5, -0.1)  # to find the place, every tick would be measured at every drawing
    art.title = left.text(0.015, 0.895, "", fontsize=10, **whole)
    art.errors = left.text(0.015, 0.845, "", fontsize=9, **whole)
    art.threshold = left.text(0.75, 0.845, "", fontsize=9, **whole)
    figure.text(0.75, 0.895, "slope of R in ŷ (△ y = 1, ○ y = 0)", fontsize=9)
    look = {"fontsize": 8, "frameon": False, "handlelength": 3, "ncols": 4, "loc": "upper left"}
    figure.legend(handles=[line for line in left.lines if line.get_label() in looks], **look)
    return art


def _limit(values) -> float:
    most = 1.1 * max(np.abs(part).max() for part in values)
    return next((limit for limit in LIMITS if limit >= most), LIMITS[-1])


def _short(error: float) -> str:
    return f"{error:.0e}" if error else "0"


def _power(epsilon: float) -> str:
    return f"1e-{round(-math.log10(epsilon))}"
