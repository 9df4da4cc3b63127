"""The loss explorer: L_p, α·L_r and their sum over the probability ŷ of one item."""

import math
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from rmlib.errors import RmlibValueError
from rmlib.loss.article import ERRATA
from rmlib.loss.objective import Loss, RewardObjective, combine
from rmlib.loss.rewards import REWARDS, Reward
from rmlib.plots.figures import loss_curves
from rmlib.widgets.framework.explorer import (
    ALPHAS,
    Explorer,
    alpha_name,
    alpha_slider,
    buttons,
    control,
    menu,
)

__all__ = ["ALPHAS", "LossExplorer", "binary_rewards"]

# The item is not alone, for F1 is a measure of a batch. The other three items stay as they are.
OTHERS_Y_HAT = (0.8, 0.6, 0.3)
OTHERS_Y = (1, 1, 0)
BATCH_NOTE = "one item of a batch of 4; the others: ŷ = 0.8 (y = 1), 0.6 (y = 1), 0.3 (y = 0)"
Y_HAT = np.arange(1, 200) / 200  # 0.005, 0.010 … 0.995


class Curves(NamedTuple):
    """The terms over ŷ, or their derivatives, as float64 arrays of (points,).

    Attributes:
        prediction, reward: L_p and L_r.
        R: the reward of the item by the article's formula; None for the repaired formulas.
    """

    prediction: np.ndarray
    reward: np.ndarray
    R: np.ndarray | None = None


def binary_rewards() -> list[str]:
    """The reward types that have a gradient and work on one probability per item."""
    return [
        name for name, reward in REWARDS.items() if "binary" in reward.levels and not reward.sampled
    ]


def repaired(z: Tensor, labels: Tensor, reward: Reward) -> tuple[Tensor, Tensor]:
    """L_p and L_r of one batch by the kit's objective; z and labels are (items,)."""
    loss = RewardObjective(1.0, reward)(z, labels)
    return loss.prediction, loss.reward


def printed(z: Tensor, labels: Tensor, reward: Reward) -> tuple[Tensor, Tensor, Tensor]:
    """L_p (E1), L_r (E3) and the first item's R (E5 or E2) by the article's formulas as printed."""
    y_hat = z.sigmoid()
    y = labels.to(z)
    R = ERRATA[_erratum_of(reward)].as_printed(y_hat[:1], y[:1]).sum()
    return (
        ERRATA["E1"].as_printed(y_hat, y),
        ERRATA["E3"].as_printed(y_hat, y),
        R + 0 * z[0],  # E5 has no gradient
    )


def curves(y_hat: np.ndarray, reward: Reward, label: int, version: str) -> tuple[Curves, Curves]:
    """The terms of the batch, and their derivatives with respect to the logit z of its first item.

    Args:
        y_hat: (points,) probabilities of the first item. One forward pass does for all of them, and
            one backward pass per term.
        label: of the first item, 0 or 1.
        version: "repaired" or "printed".
    """
    first = torch.from_numpy(np.asarray(y_hat, dtype=np.float64)).logit().requires_grad_()
    others = torch.tensor(OTHERS_Y_HAT, dtype=torch.float64).logit().expand(len(first), -1)
    batches = torch.cat([first[:, None], others], 1)
    labels = torch.tensor([label, *OTHERS_Y])
    terms = repaired if version == "repaired" else printed
    values = torch.func.vmap(lambda z: terms(z, labels, reward))(batches)
    # The gradient of a sum over the points: each term depends on its own ŷ only.
    derivatives = [torch.autograd.grad(term.sum(), first, retain_graph=True)[0] for term in values]
    return Curves(*map(_rounded, values)), Curves(*map(_rounded, derivatives))


class LossExplorer(Explorer):
    """The loss over the probability ŷ of one item, and beside it the derivatives dL/dz.

    Args:
        alpha: a stop of the slider, one of `ALPHAS`; `math.inf` is the reward alone.
        reward: one of `binary_rewards()`.
        label: 0 or 1, the true class of the item.
        version: "repaired", or "printed" for the article's formulas as printed (errata E1, E2, E3
            and E5).

    Raises:
        RmlibValueError: a value that the control does not have; the same for the properties.
    """

    alpha = control("alpha", "The weight of the reward loss; setting it moves the slider.")
    reward = control("reward", "The reward type; setting it moves the menu.")
    label = control("label", "The true class of the item; setting it presses the button.")
    version = control(
        "version", 'The formulas, "repaired" or "printed"; setting it presses the button.'
    )

    def __init__(
        self, alpha: float = 1.0, reward: str = "soft_f1", label: int = 1, version: str = "repaired"
    ):
        super().__init__(
            alpha=alpha_slider(),
            reward=menu("reward", binary_rewards()),
            label=buttons("label y", [1, 0]),
            version=buttons("formulas", [("repaired", "repaired"), ("as printed", "printed")]),
        )
        self._curves: dict[tuple, tuple[Curves, Curves]] = {}  # a move of α only combines them anew
        self._figures: dict[tuple, Figure] = {}  # by what does not move in them
        self.alpha = alpha
        self.reward = reward
        self.label = label
        self.version = version

    def at(self, y_hat: float) -> Loss:
        """The terms (total, prediction, reward) of the loss that is shown, as plain numbers.

        Args:
            y_hat: in (0, 1).

        Raises:
            RmlibValueError: ŷ is not in (0, 1).
        """
        values, _ = self._curves_at(y_hat)
        return self._loss(values)

    def derivative_at(self, y_hat: float) -> Loss:
        """The derivatives of the same terms with respect to the item's logit z, as plain numbers.

        The item is one of four: the derivative of the repaired L_p is (ŷ - y) / 4.

        Args:
            y_hat: in (0, 1).

        Raises:
            RmlibValueError: ŷ is not in (0, 1).
        """
        _, derivatives = self._curves_at(y_hat)
        return self._loss(derivatives)

    def _curves_at(self, y_hat: float) -> tuple[Curves, Curves]:
        if not 0 < y_hat < 1:
            raise RmlibValueError(
                f"ŷ is {y_hat!r}; expected a number between 0 and 1, both excluded"
            )
        return curves(np.array([y_hat]), REWARDS[self.reward], self.label, self.version)

    def _loss(self, terms: Curves) -> Loss:
        prediction, reward = float(terms.prediction[0]), float(terms.reward[0])
        return Loss(combine(self.alpha, prediction, reward), prediction, reward)

    def draw(self, state) -> tuple[Figure, str]:
        reward = REWARDS[state.reward]
        key = (reward.function, state.label, state.version)
        if key not in self._curves:
            self._curves[key] = curves(Y_HAT, reward, state.label, state.version)
        values, derivatives = (_lines(terms, state.alpha) for terms in self._curves[key])
        title = _title(state)
        warning = _warning(state)
        still = (*values, warning)
        self._figures[still] = loss_curves(
            Y_HAT, values, derivatives, title, BATCH_NOTE, warning, self._figures.get(still)
        )
        return self._figures[still], _alt_text(values, derivatives, title, warning)


def _title(state) -> str:
    title = f"{alpha_name(state.alpha)}, {state.reward}, label y = {state.label}"
    return f"{title}, as printed" if state.version == "printed" else title


def _alt_text(values: dict, derivatives: dict, title: str, warning: str) -> str:
    sentences = [f"The loss over ŷ, {title}; {BATCH_NOTE}."]
    if warning:
        sentences.append(f"{warning}.")
    for y_hat in (0.1, 0.5, 0.9):
        i = int(np.abs(Y_HAT - y_hat).argmin())
        terms = ", ".join(f"{name} {curve[i]:.3g}" for name, curve in values.items())
        sentences.append(f"At ŷ = {y_hat}: {terms}; dL/dz {derivatives['L'][i]:.3g}.")
    low = int(values["L"].argmin())
    edge = ", the edge of the drawing" if low in (0, len(Y_HAT) - 1) else ""
    sentences.append(f"Lowest L drawn: {values['L'][low]:.3g} at ŷ = {Y_HAT[low]:.3g}{edge}.")
    return " ".join(sentences)


def _lines(terms: Curves, alpha: float) -> dict[str, np.ndarray]:
    """What is drawn, by label; the loss first."""
    total = combine(alpha, terms.prediction, terms.reward)
    if alpha == math.inf:
        lines = {"L": total, "L_p (takes no part)": terms.prediction, "L_r": terms.reward}
    else:
        lines = {"L": total, "L_p": terms.prediction, "α·L_r": alpha * terms.reward}
    return lines if terms.R is None else lines | {"R of this item": terms.R}


def _warning(state) -> str:
    """What is wrong with the article's formulas in this state."""
    if state.version == "repaired":
        return ""
    if state.alpha == math.inf:
        of_reward_loss = "L = L_r is 0 whatever ŷ is (E3): nothing is left to train on"
    else:
        of_reward_loss = "L_r is 0 whatever ŷ is (E3), so α does nothing"
        if state.label == 0:
            return f"L falls without bound as ŷ → 1 though y = 0 (E1); {of_reward_loss}"
    if _erratum_of(REWARDS[state.reward]) == "E5":
        of_reward = f"R is 0, for ŷ is never exactly {state.label} (E5)"
    elif state.label == 1:
        of_reward = "R of a perfect positive is 2/3 (E2)"
    else:
        of_reward = "R of a negative is always 0 (E2)"
    return f"{of_reward_loss}; {of_reward}"


def _erratum_of(reward: Reward) -> str:
    """The article's reward that stands for this one.

    E5 is accuracy, a mean over the items, and stands for all rewards that are such means; E2 is F1.
    """
    return "E5" if reward.splits else "E2"


def _rounded(term: Tensor) -> np.ndarray:
    """As numpy, with 0 where only a rounding error of 0 is left."""
    array = term.detach().numpy()
    return np.where(np.abs(array) < 1e-14, 0.0, array)
