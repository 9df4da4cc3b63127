"""The numbers of the landscape explorer: the data, the surface of L, and gradient descent on it."""

import math
from functools import lru_cache
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rmlib.loss.objective import Loss, combine
from rmlib.loss.rewards import find
from rmlib.widgets.framework.explorer import ALPHAS

FEATURES = ("mean texture", "mean concavity")
CONDITIONS = ("all", "few positives", "noisy labels")
STARTS = {"zero": (0.0, 0.0), "wrong way": (-2.0, -2.0), "too confident": (6.0, -2.0)}
SEED = 0
ITEMS = 150
POSITIVES = 15  # of the items, where positives are few
FLIPPED = 30  # labels, where labels are noisy
# The square of weights that is drawn: its limits, and the points on each side.
LOW, HIGH, SIDE = -4.0, 8.0, 41
AXIS = np.linspace(LOW, HIGH, SIDE)
# Of gradient descent.
STEPS = 100
LEARNING_RATE = 2.0


class Data(NamedTuple):
    """Items of the breast cancer data.

    Attributes:
        x: (items, 2) the features, standardised.
        y: (items,) the true labels.
        labels: (items,) the labels that the model is trained on.
        bias: of the model, held fixed.
    """

    x: Tensor
    y: Tensor
    labels: Tensor
    bias: float


class End(NamedTuple):
    """Where a descent ends.

    Attributes:
        w: the two weights.
        loss: the terms of the loss.
        reward: R.
        accuracy, f1: the exact metrics on the true labels, decided at ŷ = 1/2.
    """

    w: tuple[float, float]
    loss: Loss
    reward: float
    accuracy: float
    f1: float


class Landscape(NamedTuple):
    """The numbers of a state.

    Attributes:
        total: L on the square of weights, (w2, w1).
        lowest: (2,) the weights of the point of the square where L is lowest.
        end: of the descent at the α of the state.
        plain: the end of the descent at α = 0; its loss is that of the α of the state.
    """

    total: np.ndarray
    lowest: np.ndarray
    end: End
    plain: End


@lru_cache
def data(condition: str) -> Data:
    """150 cell samples of the data set that comes with scikit-learn; y = 1 is malignant.

    Args:
        condition: "all": drawn at random; "few positives": 15 of the 150 are malignant; "noisy
            labels": the items of "all", and the training labels of 30 of them, drawn at random, are
            flipped.

    Source: Street, Wolberg and Mangasarian 1993.
    """
    from sklearn.datasets import load_breast_cancer  # here: importing it takes a second

    source = load_breast_cancer()
    rng = np.random.default_rng(SEED)
    columns = [list(source.feature_names).index(name) for name in FEATURES]
    x = source.data[:, columns]
    x = (x - x.mean(0)) / x.std(0)
    y = 1 - source.target
    if condition == "few positives":
        sizes = ((1, POSITIVES), (0, ITEMS - POSITIVES))
        kept = np.concatenate(
            [rng.choice(np.flatnonzero(y == label), size, False) for label, size in sizes]
        )
    else:
        kept = rng.choice(len(y), ITEMS, False)
    x, y = x[kept], y[kept]
    labels = y.copy()
    if condition == "noisy labels":
        labels[rng.choice(ITEMS, FLIPPED, False)] ^= 1
    share = labels.mean()
    bias = math.log(share / (1 - share))
    return Data(torch.tensor(x), torch.tensor(y), torch.tensor(labels), bias)


def losses(w: Tensor, reward: str, condition: str) -> tuple[Tensor, Tensor]:
    """L_p and L_r, (points,) each, of the classifiers with the weights w (points, 2)."""
    x, _, labels, bias = data(condition)
    function = find(reward).function
    z = w @ x.T + bias
    prediction = nn.functional.binary_cross_entropy_with_logits(
        z, labels.to(z).expand_as(z), reduction="none"
    ).mean(-1)
    two = torch.stack([torch.zeros_like(z), z], -1)  # one logit z stands for the two logits (0, z)
    rewards = torch.func.vmap(lambda logits: function(logits, labels, 0), chunk_size=256)(two)
    return prediction, 1 - rewards


@lru_cache(maxsize=64)
def surface(reward: str, condition: str) -> tuple[np.ndarray, np.ndarray]:
    """L_p and L_r on the square, (w2, w1) each. A move of α only combines them anew."""
    w2, w1 = torch.meshgrid(*[torch.from_numpy(AXIS)] * 2, indexing="ij")
    with torch.no_grad():
        both = losses(torch.stack([w1, w2], -1).reshape(-1, 2), reward, condition)
    return tuple(part.reshape(SIDE, SIDE).numpy() for part in both)


@lru_cache(maxsize=256)
def descents(reward: str, condition: str, start: str) -> np.ndarray:
    """The paths of gradient descent for every α of the slider at once: (α, steps + 1, 2).

    A step follows the gradient of (L_p + α·L_r) / (1 + α), which has its minima where L has them.
    That gradient is as long as those of L_p and L_r, so that one learning rate suits α = 0, α = 100
    and the reward alone: the loss falls at every step.
    """
    alphas = torch.tensor(ALPHAS, dtype=torch.float64)
    share = torch.where(alphas.isinf(), 1.0, alphas / (1 + alphas))  # of the reward loss
    w = torch.tensor([STARTS[start]] * len(alphas), dtype=torch.float64)
    path = [w]
    for _ in range(STEPS):
        w = w.detach().requires_grad_()
        prediction, reward_loss = losses(w, reward, condition)
        # The gradient of a sum over the α: each term depends on its own w only.
        total = ((1 - share) * prediction + share * reward_loss).sum()
        w = w.detach() - LEARNING_RATE * torch.autograd.grad(total, w)[0]
        path.append(w)
    return torch.stack(path, 1).numpy()


def path(state: SimpleNamespace, alpha: float) -> np.ndarray:
    """The weights along the descent of a state at an α, (steps + 1, 2)."""
    return descents(state.reward, state.condition, state.start)[ALPHAS.index(alpha)]


def loss_at(state: SimpleNamespace, w: tuple[float, float]) -> Loss:
    """The terms of the loss of a state at a pair of weights, as plain numbers."""
    with torch.no_grad():
        both = losses(torch.tensor([w], dtype=torch.float64), state.reward, state.condition)
    prediction, reward = (float(part) for part in both)
    return Loss(combine(state.alpha, prediction, reward), prediction, reward)


def end(state: SimpleNamespace, alpha: float) -> End:
    """Where the descent of a state ends at an α; the loss is that of the state's own α."""
    w = tuple(map(float, path(state, alpha)[-1]))
    x, y, _, bias = data(state.condition)
    predicted = (x @ torch.tensor(w, dtype=x.dtype) + bias > 0).numpy()
    positive = y.numpy() == 1
    loss = loss_at(state, w)
    f1 = 2 * (predicted & positive).sum() / (predicted.sum() + positive.sum())
    accuracy = (predicted == positive).mean()
    return End(w, loss, 1 - loss.reward, float(accuracy), float(f1))


def landscape(state: SimpleNamespace) -> Landscape:
    """All numbers of a state of the explorer, except for the paths."""
    total = combine(state.alpha, *surface(state.reward, state.condition))
    row, column = np.unravel_index(total.argmin(), total.shape)  # rows are w2
    return Landscape(total, AXIS[[column, row]], end(state, state.alpha), end(state, 0.0))


def decision_line(w: tuple[float, float], bias: float) -> tuple[list[float], list[float]]:
    """Two distant points (x1s, x2s) on the line w·x + b = 0; none where w is 0."""
    square = w[0] ** 2 + w[1] ** 2
    if square == 0:
        return [], []
    along = (-99 / square**0.5, 99 / square**0.5)
    x1s = [-bias * w[0] / square - t * w[1] for t in along]
    x2s = [-bias * w[1] / square + t * w[0] for t in along]
    return x1s, x2s
