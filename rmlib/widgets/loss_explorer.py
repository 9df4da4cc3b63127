"""What α buys: L_p, α·L_r and their sum over the probability ŷ of one item, repaired or as the article prints them."""

import math
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from rmlib.errors import RmlibValueError
from rmlib.loss.article import FAULTS
from rmlib.loss.objective import Loss, RewardObjective, combine
from rmlib.loss.rewards import REWARDS, Reward
from rmlib.plots.figures import loss_curves
from rmlib.widgets.framework.explorer import ALPHAS, Explorer, alpha_slider, buttons, control, menu

__all__ = ["ALPHAS", "LossExplorer", "binary_rewards"]

# The item is not alone: F1 is a measure of a batch. These three stay as they are while the item moves.
OTHERS_Y_HAT, OTHERS_Y = (0.8, 0.6, 0.3), (1, 1, 0)
BATCH_NOTE = "one item of a batch of 4; the others: ŷ = 0.8 (y = 1), 0.6 (y = 1), 0.3 (y = 0)"
Y_HAT = np.arange(1, 200) / 200  # 0.005, 0.010 … 0.995


class Curves(NamedTuple):
    """L_p, L_r and the printed reward R of the item (None when repaired) over ŷ, (points,) each, as float64 arrays."""

    prediction: np.ndarray
    reward: np.ndarray
    R: np.ndarray | None = None


def binary_rewards() -> list[str]:
    """The reward types that have a gradient and work on one probability an item."""
    return [name for name, reward in REWARDS.items() if "binary" in reward.levels and not reward.sampled]


def repaired(z: Tensor, labels: Tensor, reward: Reward) -> tuple[Tensor, Tensor]:
    """L_p and L_r of one batch by the kit's objective; z and labels are (items,)."""
    loss = RewardObjective(1.0, reward)(z, labels)
    return loss.prediction, loss.reward


def printed(z: Tensor, labels: Tensor, reward: Reward) -> tuple[Tensor, Tensor, Tensor]:
    """L_p (E1), L_r (E3) and the first item's R (E5 for accuracy, else E2) by the article's formulas as printed."""
    y_hat, y = z.sigmoid(), labels.to(z)
    R = FAULTS[_printed_reward(reward)].as_printed(y_hat[:1], y[:1]).sum()
    return FAULTS["E1"].as_printed(y_hat, y), FAULTS["E3"].as_printed(y_hat, y), R + 0 * z[0]  # E5 has no gradient


def curves(y_hat: np.ndarray, reward: Reward, label: int, version: str) -> tuple[Curves, Curves]:
    """The terms of the batch when its first item has the probability ŷ and the label, and their slopes dL/dz
    with respect to the logit z of that item. All ŷ (points,) at once: one forward pass, one backward pass a term."""
    first = torch.from_numpy(np.asarray(y_hat, dtype=np.float64)).logit().requires_grad_()
    others = torch.tensor(OTHERS_Y_HAT, dtype=torch.float64).logit().expand(len(first), -1)
    labels, terms = torch.tensor([label, *OTHERS_Y]), repaired if version == "repaired" else printed
    values = torch.func.vmap(lambda z: terms(z, labels, reward))(torch.cat([first[:, None], others], 1))
    slopes = [torch.autograd.grad(term.sum(), first, retain_graph=True)[0] for term in values]  # the ŷ do not meet
    return Curves(*map(_tidy, values)), Curves(*map(_tidy, slopes))


class LossExplorer(Explorer):
    """The loss explorer: the loss over the probability ŷ of one item, and beside it the slopes that training follows.

    Args:
        alpha: a stop of the slider, one of `ALPHAS`; `math.inf` is the reward alone.
        reward: one of `binary_rewards()`.
        label: 0 or 1, the true class of the item.
        version: "repaired", or "printed" for the article's formulas as they stand there (faults E1, E2, E3, E5).

    Raises:
        RmlibValueError: a value that the control does not have; the same for the properties.
    """

    alpha = control("alpha", "The weight of the reward loss; setting it moves the slider.")
    reward = control("reward", "The reward type; setting it moves the menu.")
    label = control("label", "The true class of the item; setting it presses the button.")
    version = control("version", 'The formulas, "repaired" or "printed"; setting it presses the button.')

    def __init__(self, alpha: float = 1.0, reward: str = "soft_f1", label: int = 1, version: str = "repaired"):
        super().__init__(
            alpha=alpha_slider(),
            reward=menu("reward", binary_rewards()),
            label=buttons("label y", [1, 0]),
            version=buttons("formulas", [("repaired", "repaired"), ("as printed", "printed")]),
        )
        self._known: dict[tuple, tuple[Curves, Curves]] = {}  # α only mixes what is there already
        self._figures: dict[tuple, Figure] = {}  # by what stays as it is in them
        self.alpha, self.reward, self.label, self.version = alpha, reward, label, version

    def at(self, y_hat: float) -> Loss:
        """The terms (total, prediction, reward) of the loss that is shown, at one ŷ in (0, 1), as plain numbers.

        Raises:
            RmlibValueError: ŷ is not in (0, 1).
        """
        return self._one(y_hat, 0)

    def slope_at(self, y_hat: float) -> Loss:
        """The derivatives of the same terms with respect to the item's logit z, at one ŷ in (0, 1). One item of four:
        a slope of the repaired L_p is (ŷ - y) / 4.

        Raises:
            RmlibValueError: ŷ is not in (0, 1).
        """
        return self._one(y_hat, 1)

    def draw(self, state) -> tuple[Figure, str]:
        key = (REWARDS[state.reward].function, state.label, state.version)
        if key not in self._known:
            self._known[key] = curves(Y_HAT, REWARDS[state.reward], state.label, state.version)
        values, slopes = (_lines(terms, state.alpha) for terms in self._known[key])
        alone = state.alpha == math.inf
        title = f"{'reward alone' if alone else f'α = {state.alpha:g}'}, {state.reward}, label y = {state.label}"
        title += ", as printed" if state.version == "printed" else ""
        warning = _warning(state)
        old = self._figures.get((*values, warning))
        figure = self._figures[*values, warning] = loss_curves(Y_HAT, values, slopes, title, BATCH_NOTE, warning, old)
        words = [f"The loss over ŷ, {title}; {BATCH_NOTE}."] + ([f"{warning}."] if warning else [])
        for p in (0.1, 0.5, 0.9):
            i = int(np.abs(Y_HAT - p).argmin())
            terms = ", ".join(f"{name} {curve[i]:.3g}" for name, curve in values.items())
            words.append(f"At ŷ = {p}: {terms}; slope of L {next(iter(slopes.values()))[i]:.3g}.")
        total = next(iter(values.values()))
        low = int(total.argmin())
        edge = ", the edge of the drawing" if low in (0, len(Y_HAT) - 1) else ""
        words.append(f"Lowest L drawn: {total[low]:.3g} at ŷ = {Y_HAT[low]:.3g}{edge}.")
        return figure, " ".join(words)

    def _one(self, y_hat: float, order: int) -> Loss:
        if not 0 < y_hat < 1:
            raise RmlibValueError(f"ŷ is {y_hat!r}; expected a number between 0 and 1, both excluded")
        state = self.state
        terms = curves(np.array([y_hat]), REWARDS[state.reward], state.label, state.version)[order]
        prediction, reward = float(terms.prediction[0]), float(terms.reward[0])
        return Loss(combine(state.alpha, prediction, reward), prediction, reward)


def _printed_reward(reward: Reward) -> str:
    """Which printed reward stands for it: accuracy is a mean over the items, and so is all that is made from it."""
    return "E5" if reward.splits else "E2"


def _lines(terms: Curves, alpha: float) -> dict[str, np.ndarray]:
    """What is drawn, by label; the loss first."""
    total = combine(alpha, terms.prediction, terms.reward)
    if alpha == math.inf:
        lines = {"L": total, "L_p (takes no part)": terms.prediction, "L_r": terms.reward}
    else:
        lines = {"L": total, "L_p": terms.prediction, "α·L_r": alpha * terms.reward}
    return lines if terms.R is None else lines | {"R of this item": terms.R}


def _warning(state) -> str:
    """What is wrong with the printed formulas, in this state."""
    if state.version == "repaired":
        return ""
    if state.alpha == math.inf:
        first = "L = L_r is 0 whatever ŷ is (E3): nothing is left to train on"
    else:
        first = "L_r is 0 whatever ŷ is (E3), so α does nothing"
        if state.label == 0:
            return f"L falls without bound as ŷ → 1 though y = 0 (E1); {first}"
    if _printed_reward(REWARDS[state.reward]) == "E5":
        return f"{first}; R is 0, for ŷ is never exactly {state.label} (E5)"
    return f"{first}; R {'of a perfect positive is 2/3' if state.label else 'of a negative is always 0'} (E2)"


def _tidy(term: Tensor) -> np.ndarray:
    """As numpy; what rounding leaves of a 0 is 0."""
    array = term.detach().numpy()
    return np.where(np.abs(array) < 1e-14, 0.0, array)
