"""Where the loss leads: the surface of L over two weights, and the path that gradient descent takes down it."""

import math
from types import SimpleNamespace

import numpy as np
import torch
from matplotlib.figure import Figure

from rmlib.errors import RmlibValueError
from rmlib.loss.objective import Loss, combine
from rmlib.widgets.framework.explorer import ALPHAS, Explorer, alpha_slider, control, menu
from rmlib.widgets.loss_explorer import binary_rewards

from .figure import LEVELS, SHADES, blank
from .numbers import AXIS, CONDITIONS, SEED, STARTS, STEPS, End, data, decision_line, descents, losses, surface


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
        return Loss(combine(state.alpha, prediction, reward), prediction, reward)

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
        total = combine(state.alpha, *surface(state.reward, state.condition))
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


def _pair(w) -> str:
    return f"({w[0]:.2f}, {w[1]:.2f})"


def _label(alpha: float) -> str:
    return "reward alone" if alpha == math.inf else f"α = {alpha:g}"


def _count(condition: str) -> str:
    _, y, labels, _ = data(condition)
    return f"{int(y.sum())} of {len(y)} malignant, {int((y != labels).sum())} labels flipped, drawn with seed {SEED}"


def _numbers(end: End) -> str:
    return f"L_p {end.loss.prediction:.3f}, R {end.reward:.3f}, accuracy {end.accuracy:.3f}, F1 {end.f1:.3f}"
