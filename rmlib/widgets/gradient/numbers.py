"""The numbers of the gradient explorer: dL/dz by three methods, their errors, and the threshold."""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rmlib.loss.gradients import CLOSED_FORMS, FLOOR, autograd, central_differences, objective_gradient
from rmlib.loss.objective import RewardObjective

Y_HAT = (0.01, *(k / 20 for k in range(1, 20)), 0.99)
BATCH_Y_HAT, BATCH_Y = (0.9, 0.6, 0.3, 0.2, 0.7, 0.05), (1, 1, 1, 0, 0, 0)  # to begin with
EPSILON = tuple(float(f"1e-{k}") for k in range(1, 11))
PRECISION = {"float64": torch.float64, "float32": torch.float32}
CLOSED, AUTO, CENTRAL, PLAIN = METHODS = ("closed form", "autograd", "central differences", "cross-entropy alone")


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
