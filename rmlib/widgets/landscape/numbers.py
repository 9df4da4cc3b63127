"""The numbers of the landscape explorer: the data, the surface of L, and the paths of gradient descent."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from torch import Tensor, nn

from rmlib.loss.objective import Loss
from rmlib.loss.rewards import find
from rmlib.widgets.framework.explorer import ALPHAS

FEATURES = ("mean texture", "mean concavity")
CONDITIONS = ("all", "few positives", "noisy labels")
STARTS = {"zero": (0.0, 0.0), "wrong way": (-2.0, -2.0), "too sure": (6.0, -2.0)}
SEED, ITEMS, FEW, FLIPPED = 0, 150, 15, 30
LOW, HIGH, SIDE = -4.0, 8.0, 41  # the square of weights that is drawn, and its points a side
STEPS, RATE = 100, 2.0  # of the descent
AXIS, BANDS = np.linspace(LOW, HIGH, SIDE), 12


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


def decision_line(w: tuple[float, float], bias: float) -> tuple[list[float], list[float]]:
    """Two far points (x1s, x2s) of the line w·x + b = 0; none where w is 0."""
    square = w[0] ** 2 + w[1] ** 2
    along = () if square == 0 else (-99 / square**0.5, 99 / square**0.5)
    return [-bias * w[0] / square - t * w[1] for t in along], [-bias * w[1] / square + t * w[0] for t in along]
