"""Where the loss leads: the surface of L over two weights, and the path that gradient descent takes down it."""

import math
from functools import lru_cache
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer
from torch import Tensor, nn

from ..errors import RmlibValueError
from ..objective import Loss, RewardObjective
from ..plots import COLOURS, new_figure
from ..rewards import find
from .base import ALPHAS, Explorer, alpha_slider, control, menu
from .loss_explorer import binary_rewards

FEATURES = ("mean texture", "mean concavity")
CONDITIONS = ("all", "few positives", "noisy labels")
STARTS = {"zero": (0.0, 0.0), "wrong way": (-2.0, -2.0), "too sure": (6.0, -2.0)}
SEED, ITEMS, FEW, FLIPPED = 0, 150, 15, 30
LOW, HIGH, SIDE = -4.0, 8.0, 41  # the square of weights that is drawn, and its points a side
STEPS, RATE = 100, 2.0  # of the descent
AXIS, BANDS = np.linspace(LOW, HIGH, SIDE), 12
# Shares of the way up. The bands widen as the loss rises, or the steep rim would leave one single band for the valley.
LEVELS = np.linspace(0, 1, BANDS + 1) ** 2
SHADES = [to_hex(colormaps["Blues"](0.75 * k / (BANDS - 1))) for k in range(BANDS)]  # light to dark: grey says the same


class Data(NamedTuple):
    """Items of the breast cancer data: x (items, 2) standardised, y true labels, labels as trained on, and the bias."""

    x: Tensor
    y: Tensor
    labels: Tensor
    bias: float


class End(NamedTuple):
    """What a descent comes to: the weights, the terms there, R, and the exact metrics on the true labels."""

    w: tuple[float, float]
    loss: Loss
    reward: float
    accuracy: float
    f1: float


@lru_cache
def data(condition: str) -> Data:
    """150 cell samples of the data set that comes with scikit-learn (Street, Wolberg and Mangasarian 1993).

    y = 1 is malignant. "all": drawn at random; "few positives": 15 of the 150 are malignant; "noisy labels": the
    items of "all", with the labels of 30 of them, drawn at random, flipped for the training.
    """
    source, draw = load_breast_cancer(), np.random.default_rng(SEED)
    x, y = source.data[:, [list(source.feature_names).index(name) for name in FEATURES]], 1 - source.target
    x = (x - x.mean(0)) / x.std(0)
    if condition == "few positives":
        sizes = ((1, FEW), (0, ITEMS - FEW))
        kept = np.concatenate([draw.choice(np.flatnonzero(y == label), size, False) for label, size in sizes])
    else:
        kept = draw.choice(len(y), ITEMS, False)
    x, y = x[kept], y[kept]
    labels = y.copy()
    if condition == "noisy labels":
        labels[draw.choice(ITEMS, FLIPPED, False)] ^= 1
    share = labels.mean()
    return Data(*map(torch.tensor, (x, y, labels)), math.log(share / (1 - share)))


def losses(w: Tensor, reward: str, condition: str) -> tuple[Tensor, Tensor]:
    """L_p and L_r, (points,) each, of the classifiers with the weights w (points, 2)."""
    x, _, labels, bias = data(condition)
    function = find(reward).function
    z = w @ x.T + bias
    prediction = nn.functional.binary_cross_entropy_with_logits(z, labels.to(z).expand_as(z), reduction="none").mean(-1)
    two = torch.stack([torch.zeros_like(z), z], -1)  # one logit z stands for the two logits (0, z)
    return prediction, 1 - torch.func.vmap(lambda logits: function(logits, labels, 0), chunk_size=256)(two)


@lru_cache(maxsize=64)
def surface(reward: str, condition: str) -> tuple[np.ndarray, np.ndarray]:
    """L_p and L_r over the square, (w2, w1) each. A move of α only mixes them anew."""
    w2, w1 = torch.meshgrid(*[torch.from_numpy(AXIS)] * 2, indexing="ij")
    with torch.no_grad():
        both = losses(torch.stack([w1, w2], -1).reshape(-1, 2), reward, condition)
    return tuple(part.reshape(SIDE, SIDE).numpy() for part in both)


@lru_cache(maxsize=256)
def descents(reward: str, condition: str, start: str) -> np.ndarray:
    """The paths of gradient descent for every α of the slider at once: (α, steps + 1, 2).

    A step goes down the gradient of (L_p + α·L_r) / (1 + α), which has its minima where L has them. Its slopes stay
    of the size of those of L_p and L_r, so that one learning rate is right for α = 0, for α = 100 and for the reward
    alone: the loss falls at every step.
    """
    alphas = torch.tensor(ALPHAS, dtype=torch.float64)
    of_reward = torch.where(alphas.isinf(), 1.0, alphas / (1 + alphas))
    w = torch.tensor([STARTS[start]] * len(alphas), dtype=torch.float64)
    path = [w]
    for _ in range(STEPS):
        w = w.detach().requires_grad_()
        prediction, reward_loss = losses(w, reward, condition)
        total = ((1 - of_reward) * prediction + of_reward * reward_loss).sum()  # a sum: the α do not meet
        w = w.detach() - RATE * torch.autograd.grad(total, w)[0]
        path.append(w)
    return torch.stack(path, 1).numpy()


class LandscapeExplorer(Explorer):
    """The landscape explorer: a classifier with two weights on real data, and where the loss leads it.

    The model is P(y = 1 | x) = σ(w1·x1 + w2·x2 + b). The two parameters are the weights of the two features, so that
    both the surface and the data can be drawn: the direction of w turns the decision line, and its length says how
    sure the model is. The bias stays at the log-odds of the positive labels, what a model with w = 0 ought to say. The
    line w·x + b = 0 then lies |b| / |w| from the centre: where positives are few, a reward that asks for a lower
    threshold (F1) gets it by longer weights.

    Args:
        alpha: a stop of the slider, one of `ALPHAS`; `math.inf` is the reward alone.
        reward: a reward type with a gradient.
        condition: "all", "few positives" or "noisy labels", see `data`.
        start: where the descent starts: "zero", "wrong way" or "too sure".

    Raises:
        RmlibValueError: a value that the control does not have; the same for the properties.
    """

    alpha = control("alpha", "The weight of the reward loss; setting it moves the slider.")
    reward = control("reward", "The reward type; setting it moves the menu.")
    condition = control("condition", "Which data; setting it moves the menu.")
    start = control("start", "Where the descent starts; setting it moves the menu.")

    def __init__(
        self, alpha: float = 1.0, reward: str = "soft_f1", condition: str = "few positives", start: str = "zero"
    ):
        places = [(f"{name} ({w1:g}, {w2:g})", name) for name, (w1, w2) in STARTS.items()]
        controls = {"reward": menu("reward", binary_rewards()), "condition": menu("data", CONDITIONS)}
        super().__init__(alpha=alpha_slider(), **controls, start=menu("start", places))
        self.alpha, self.reward, self.condition, self.start = alpha, reward, condition, start
        self._figures: dict[str, SimpleNamespace] = {}

    @property
    def path(self) -> np.ndarray:
        """The weights (w1, w2) along the descent, (steps + 1, 2): the start first."""
        return self._path(self.state, self.alpha).copy()

    @property
    def end(self) -> tuple[float, float]:
        """The weights (w1, w2) at the end of the descent."""
        return tuple(map(float, self.path[-1]))

    @property
    def accuracy(self) -> float:
        """The accuracy at the end of the descent, in [0, 1], on the true labels, decided at ŷ = 1/2."""
        return self._end(self.state, self.alpha).accuracy

    @property
    def f1(self) -> float:
        """The F1 of "malignant" at the end of the descent, in [0, 1], on the true labels."""
        return self._end(self.state, self.alpha).f1

    def loss_at(self, w1: float, w2: float) -> Loss:
        """The terms (total, prediction, reward) of the loss at a pair of weights, as plain numbers.

        Raises:
            RmlibValueError: a weight that is not a finite number.
        """
        if not (math.isfinite(w1) and math.isfinite(w2)):
            raise RmlibValueError(f"(w1, w2) is {(w1, w2)!r}; expected two finite numbers")
        return self._loss(self.state, (w1, w2))

    def _loss(self, state, w) -> Loss:
        with torch.no_grad():
            both = losses(torch.tensor([w], dtype=torch.float64), state.reward, state.condition)
        prediction, reward = (float(part) for part in both)
        return Loss(RewardObjective(state.alpha, state.reward).combine(prediction, reward), prediction, reward)

    def _path(self, state, alpha: float) -> np.ndarray:
        return descents(state.reward, state.condition, state.start)[ALPHAS.index(alpha)]

    def _end(self, state, alpha: float) -> End:
        w = tuple(map(float, self._path(state, alpha)[-1]))
        x, y, _, bias = data(state.condition)
        found, y, loss = (x @ torch.tensor(w, dtype=x.dtype) + bias > 0).numpy(), y.numpy() == 1, self._loss(state, w)
        f1 = 2 * (found & y).sum() / (found.sum() + y.sum())
        return End(w, loss, 1 - loss.reward, float((found == y).mean()), float(f1))

    def draw(self, state) -> tuple[Figure, str]:
        art = self._figures.get("now") or self._figures.setdefault("now", blank())
        end, plain = self._end(state, state.alpha), self._end(state, 0.0)
        total = RewardObjective(state.alpha, state.reward).combine(*surface(state.reward, state.condition))
        lowest = AXIS[list(np.unravel_index(total.argmin(), total.shape))][::-1]  # rows are w2
        self._draw_surface(art, state, total, lowest)
        self._draw_data(art, state, end, plain)
        words = [
            f"Loss surface over two weights and gradient descent on it, {_label(state.alpha)}, {state.reward}, data: "
            f"{state.condition} ({_count(state.condition)}), start {state.start} at {_pair(STARTS[state.start])}.",
            f"After {STEPS} steps w is {_pair(end.w)}: L {end.loss.total:.3f}, {_numbers(end)}.",
            f"With α = 0 the end is {_pair(plain.w)}: {_numbers(plain)}.",
            f"Lowest L of the grid: {total.min():.3f} at {_pair(lowest)}.",
        ]
        return art.figure, " ".join(words)

    def _draw_surface(self, art: SimpleNamespace, state, total: np.ndarray, lowest) -> None:
        axes, bottom, height = art.surface, total.min(), np.ptp(total)
        art.bands.remove()
        art.bands = axes.contourf(AXIS, AXIS, (total - bottom) / height, levels=LEVELS, colors=SHADES, zorder=0)
        art.bands.set_animated(True)
        for text, level in zip(art.bar, LEVELS[::3], strict=True):
            text.set_text(f"{bottom + level * height:.3g}")
        for alpha, path, dot in ((0.0, art.plain_path, art.plain_end), (state.alpha, art.path, art.end)):
            at = self._path(state, alpha)
            path.set_data(*at.T)
            dot.set_data(*at[-1:].T)
        art.start.set_data(*at[:1].T)
        art.lowest.set_data(*lowest[:, None])
        name = {0: "$L_p$", 1: "$L_p$ + $L_r$", math.inf: "$L_r$"}.get(state.alpha, f"$L_p$ + {state.alpha:g}·$L_r$")
        art.loss.set_text(f"{state.reward}: L = {name}\n{STEPS} steps of gradient descent")

    def _draw_data(self, art: SimpleNamespace, state, end: End, plain: End) -> None:
        x, y, labels, bias = map(np.asarray, data(state.condition))
        for points, shown in ((art.malignant, labels == 1), (art.benign, labels == 0), (art.turned, labels != y)):
            points.set_data(*x[shown].T)
        for line, one in ((art.line, end), (art.plain_line, plain)):
            line.set_data(*decision_line(one.w, float(bias)))
        for artist in (art.line, art.path, art.end):
            artist.set_visible(state.alpha != 0)
        texts = {_label(a): f"accuracy {e.accuracy:.3f}, F1 {e.f1:.3f}" for a, e in ((0.0, plain), (state.alpha, end))}
        art.metrics.set_text("\n".join(f"{label}: {text}" for label, text in texts.items()))


def blank() -> SimpleNamespace:
    """The figure, and by name what moves in it: only that is drawn again (see `plots.show`), in a third of the time."""
    figure = new_figure(8.8, 4.4, columns=2, margins={"top": 0.8, "bottom": 0.11})
    left, right = figure.axes
    left.grid(False)
    hollow = {"color": "black", "markerfacecolor": "white", "linestyle": "none", "clip_on": False}
    now, plain = {"color": COLOURS["vermilion"], "linestyle": "-"}, {"color": "black", "linestyle": "--"}
    end = {"marker": "o", "markersize": 8, "markeredgecolor": "white", "zorder": 4}
    art = SimpleNamespace(figure=figure, surface=left, data=right, bands=left.plot([], [])[0])
    (art.path,), (art.end,) = left.plot([], [], linewidth=2.2, **now), left.plot([], [], **now | end)
    (art.plain_path,), (art.plain_end,) = left.plot([], [], linewidth=1.2, **plain), left.plot([], [], **plain | end)
    (art.start,) = left.plot([], [], marker="s", markersize=7, label="start", **hollow)
    (art.lowest,) = left.plot([], [], marker="*", markersize=12, label="lowest of the grid", zorder=3, **hollow)
    (art.malignant,) = right.plot([], [], "^", color=COLOURS["vermilion"], mfc="none", label="labelled malignant")
    (art.benign,) = right.plot([], [], "o", color=COLOURS["blue"], mfc="none", label="labelled benign")
    (art.turned,) = right.plot([], [], "x", color="black", markersize=4, label="label flipped")
    (art.line,) = right.plot([], [], linewidth=2, label="this α", **now)
    (art.plain_line,) = right.plot([], [], linewidth=2, label="α = 0", **plain)
    left.set(xlabel=f"w₁ ({FEATURES[0]})", ylabel=f"w₂ ({FEATURES[1]})", xlim=(LOW, HIGH), ylim=(LOW, HIGH))
    right.set(xlabel=f"{FEATURES[0]} (standardised)", ylabel=f"{FEATURES[1]} (standardised)")
    right.set(xlim=(-2.4, 5), ylim=(-1.6, 4.6), xticks=[-2, 0, 2, 4], yticks=[0, 2, 4])
    left.set(xticks=[-4, 0, 4, 8], yticks=[-4, 0, 4, 8])
    for axes, start, width in ((left, 0.06, 0.38), (right, 0.56, 0.43)):
        axes.set_position((start, 0.11, width, 0.69))
        # The places of the labels are given: to find them, every tick would be measured at every drawing.
        axes.xaxis.set_label_coords(0.5, -0.09)
        axes.yaxis.set_label_coords(-0.08, 0.5)
    bar = figure.add_axes((0.447, 0.11, 0.012, 0.69), xticks=[], yticks=[], title="L")
    bar.imshow(np.array([[to_rgb(shade)] for shade in SHADES]), origin="lower", aspect="auto")
    moving = {"transform": figure.transFigure, "animated": True}
    art.bar = [left.text(0.463, y, "", fontsize=8, va="center", **moving) for y in np.linspace(0.11, 0.8, 5)]
    art.loss, art.metrics = (left.text(x, 0.83, "", fontsize=10, **moving) for x in (0.06, 0.56))
    for line in (*left.lines, *right.lines):
        line.set_animated(True)
    handles = [art.line, art.plain_line, art.start, art.lowest, art.malignant, art.benign, art.turned]
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.05, 1), ncols=7, fontsize=8, frameon=False)
    return art


def decision_line(w: tuple[float, float], bias: float) -> tuple[list[float], list[float]]:
    """Two far points (x1s, x2s) of the line w·x + b = 0; none where w is 0."""
    square = w[0] ** 2 + w[1] ** 2
    along = () if square == 0 else (-99 / square**0.5, 99 / square**0.5)
    return [-bias * w[0] / square - t * w[1] for t in along], [-bias * w[1] / square + t * w[0] for t in along]


def _pair(w) -> str:
    return f"({w[0]:.2f}, {w[1]:.2f})"


def _label(alpha: float) -> str:
    return "reward alone" if alpha == math.inf else f"α = {alpha:g}"


def _count(condition: str) -> str:
    _, y, labels, _ = data(condition)
    return f"{int(y.sum())} of {len(y)} malignant, {int((y != labels).sum())} labels flipped, drawn with seed {SEED}"


def _numbers(end: End) -> str:
    return f"L_p {end.loss.prediction:.3f}, R {end.reward:.3f}, accuracy {end.accuracy:.3f}, F1 {end.f1:.3f}"
