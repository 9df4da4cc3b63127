"""The numbers of the gradient explorer: dL/dz by three methods, their errors, and the threshold."""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rmlib.loss.gradients import (
    CLOSED_FORMS,
    FLOOR,
    autograd,
    central_differences,
    objective_gradient,
)
from rmlib.loss.objective import RewardObjective

Y_HAT = (0.01, *(k / 20 for k in range(1, 20)), 0.99)
# The batch that the explorer starts with.
BATCH_Y_HAT = (0.9, 0.6, 0.3, 0.2, 0.7, 0.05)
BATCH_Y = (1, 1, 1, 0, 0, 0)
EPSILON = tuple(float(f"1e-{k}") for k in range(1, 11))
PRECISION = {"float64": torch.float64, "float32": torch.float32}
CLOSED = "closed form"
AUTO = "autograd"
CENTRAL = "central differences"
PLAIN = "cross-entropy alone"


class Comparison(NamedTuple):
    """The numbers of a state; the arrays are float64, (items,).

    Attributes:
        gradients: dL/dz by method: CLOSED (where the reward has a closed form), AUTO, CENTRAL and
            PLAIN.
        errors: by method, the relative error of each item against the closed form (else autograd)
            in float64 at the same z.
        factor: dL/dz divided by dL_p/dz.
        reward: dR/dŷ.
        threshold: see `GradientExplorer.threshold`.
    """

    gradients: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    factor: np.ndarray
    reward: np.ndarray
    threshold: float | None


def compare(state: SimpleNamespace) -> Comparison:
    """All numbers of a state of the explorer."""
    labels = torch.tensor(state.labels)
    z = torch.tensor(state.y_hats, dtype=torch.float64).logit().to(PRECISION[state.precision])
    exact_z = z.double()
    objective = RewardObjective(state.alpha, state.reward)

    def by_autograd(z: Tensor) -> Tensor:
        z = z.clone().requires_grad_()
        return torch.autograd.grad(objective(z, labels).total, z)[0]

    def by_closed_form(z: Tensor) -> Tensor:
        return objective_gradient(state.alpha, state.reward, two_logits(z), labels)[:, 1]

    has_closed_form = state.reward in CLOSED_FORMS
    gradients = {CLOSED: by_closed_form(z)} if has_closed_form else {}
    gradients[AUTO] = by_autograd(z)
    with torch.no_grad():
        gradients[CENTRAL] = central_differences(
            lambda z: objective(z, labels).total, z, state.epsilon
        )
    reference = (by_closed_form if has_closed_form else by_autograd)(exact_z)
    scale = reference.abs().clamp_min(FLOOR)
    errors = {name: ((g - reference).abs() / scale).numpy() for name, g in gradients.items()}
    p = exact_z.sigmoid()
    gradients[PLAIN] = (p - labels) / len(z)
    factor = reference / gradients[PLAIN]
    # dR/dŷ = dR/dz ÷ dŷ/dz
    reward = autograd(state.reward, two_logits(exact_z), labels)[:, 1] / (p * (1 - p))
    return Comparison(
        gradients={name: g.double().numpy() for name, g in gradients.items()},
        errors=errors,
        factor=factor.numpy(),
        reward=reward.numpy(),
        threshold=zero_crossing(reward.numpy(), labels.numpy()),
    )


def two_logits(z: Tensor) -> Tensor:
    """One logit z per item as the two logits (0, z), whose softmax is (1 - ŷ, ŷ)."""
    return torch.stack([torch.zeros_like(z), z], -1)


def zero_crossing(derivatives: np.ndarray, labels: np.ndarray) -> float | None:
    """The ρ at which the expected derivative dR/dŷ of an item with P(y = 1) = ρ is 0.

    None where items of the same label differ in their derivative, or where a label is missing.
    """
    positive = derivatives[labels == 1]
    negative = derivatives[labels == 0]
    if not len(positive) or not len(negative):
        return None
    if not np.allclose(positive, positive[0]) or not np.allclose(negative, negative[0]):
        return None
    if positive[0] <= negative[0]:
        return None
    return float(-negative[0] / (positive[0] - negative[0]))
