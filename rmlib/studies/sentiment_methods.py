"""The methods of the sentiment case: each trains a grid of heads and keeps the best on validation.

All methods have the same number of trials. A trial is a setting of the method (α, or what a control
has in its place), a weight decay, and a step to stop at. The heads of a grid are trained in
parallel from zero weights, with full-batch Adam. Weight decay is decoupled from the gradient
(Loshchilov and Hutter 2019), so that a large α does not cancel it.
"""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from sklearn.metrics import average_precision_score, brier_score_loss
from torch import Tensor
from torch.func import vmap

from rmlib.determinism import one_thread, seeded
from rmlib.loss.rewards import REWARDS, Reward, find
from rmlib.text.metrics import reliability

from .bootstrap import MEASURES, counts
from .sentiment_data import Split

ALPHAS = (0.1, 1.0, 10.0, 100.0, math.inf)
LEARNING_RATE = 0.02
DECAYS = (1.0, 5.0, 15.0, 40.0)  # each step multiplies the weights by 1 - LEARNING_RATE * decay
STOPS = (10, 25, 60, 150)  # steps
THRESHOLDS = np.linspace(0.01, 0.99, 99)


@dataclass(frozen=True)
class Method:
    """One way to train the head.

    Attributes:
        rewards, alphas, balances: one entry per setting, or a single one for all: the reward, its
            α, and the exponent of the inverse class frequencies that weight L_p (0: unweighted, 1:
            both classes have the same total weight).
        decays, stops: tried with every setting.
        tuned: whether the threshold, too, is selected on validation; otherwise it is 0.5.
    """

    rewards: tuple[Reward | None, ...] = (None,)
    alphas: tuple[float, ...] = (0.0,)
    balances: tuple[float, ...] = (0.0,)
    decays: tuple[float, ...] = DECAYS
    stops: tuple[int, ...] = STOPS
    tuned: bool = False

    @property
    def trials(self) -> int:
        """The number of heads to select from."""
        return len(self.settings) * len(self.stops)

    @property
    def settings(self) -> list[tuple[Reward | None, float, float, float]]:
        """(reward, α, balance, decay) of each head that is trained."""
        fields = (self.rewards, self.alphas, self.balances)
        n = max(map(len, fields))
        rows = zip(*(field * n if len(field) == 1 else field for field in fields), strict=True)
        return [(*row, decay) for row in rows for decay in self.decays]


def _decays(n: int) -> tuple[float, ...]:
    """A control with fewer settings tries more decays instead: n of them."""
    return tuple(float(decay) for decay in np.geomspace(0.1, 100, n).round(3))


QS = (0.1, 0.3, 0.5, 0.7, 0.9)
CONTROLS = {
    "ce": Method(decays=_decays(80), stops=STOPS[-1:]),
    "ce, stopped early": Method(decays=_decays(20)),
    "ce, tuned threshold": Method(decays=_decays(20), tuned=True),
    "ce, weighted": Method(balances=(0.25, 0.5, 0.75, 1.0, 1.25)),
    "gce alone": Method(
        rewards=tuple(REWARDS["gce"].with_parameters(q=q) for q in QS), alphas=(math.inf,)
    ),
}
METHODS = CONTROLS | {
    name: Method(rewards=(reward,), alphas=ALPHAS)
    for name, reward in REWARDS.items()
    if "binary" in reward.levels
}


class Run(NamedTuple):
    """The head that was selected on validation.

    `validation` is its measure there, `test` (items,) its probabilities of "negative" on the test
    items.
    """

    alpha: float
    setting: str
    decay: float
    stop: int
    threshold: float
    validation: float
    test: np.ndarray


def train(split: Split, method: Method) -> Run:
    """Train the grid of a method on a split and select a head, without using the test labels."""
    with one_thread(), seeded(split.seed):
        weights = train_grid(split, method)
    stops = [stop for stop in weights for _ in method.settings]
    settings = method.settings * len(weights)
    w = torch.cat(list(weights.values()))
    p = probabilities(split.validation.x, w)
    best, threshold, value = choose(p, split.validation.y, split.measure, method.tuned)
    reward, alpha, balance, decay = settings[best]
    setting = ""
    if balance:
        setting = f"balance {balance:g}"
    elif reward:
        setting = reward.name
    test = probabilities(split.test.x, w[best : best + 1])[0]
    return Run(alpha, setting, decay, stops[best], threshold, value, test)


def probabilities(x: Tensor, w: Tensor) -> np.ndarray:
    """Return the probabilities of "negative", (heads, items).

    Args:
        x: (items, width) features.
        w: (heads, width + 1) weights; the last column is the bias.
    """
    return torch.sigmoid(x @ w[:, :-1].T + w[:, -1]).T.numpy()


def choose(p: np.ndarray, y: np.ndarray, measure: str, tuned: bool) -> tuple[int, float, float]:
    """Select the head with the best measure on validation; of equal heads, the first.

    Args:
        p: (heads, items) probabilities of "negative".
        y: (items,) 1 for negative, else 0.
        measure: a key of `MEASURES`.
        tuned: whether the threshold is selected, too.

    Returns:
        (head, threshold, value of the measure).
    """
    thresholds = THRESHOLDS if tuned else np.array([0.5])
    values = np.stack([MEASURES[measure](counts(y, p >= t)) for t in thresholds], 1)
    best = int(values.max(1).argmax())
    plateau = np.flatnonzero(values[best] == values[best].max())
    middle = int(plateau[len(plateau) // 2])
    return best, float(thresholds[middle]), float(values[best, middle])


def scores(y: np.ndarray, run: Run) -> dict:
    """Return the test scores of the predictions and of the probabilities, all in [0, 1]."""
    of_predictions = {
        name: float(measure(counts(y, run.test >= run.threshold)))
        for name, measure in MEASURES.items()
    }
    confidence = np.maximum(run.test, 1 - run.test)
    return of_predictions | {
        "average_precision": float(average_precision_score(y, run.test)),
        "brier": float(brier_score_loss(y, run.test)),
        "calibration_error": reliability(confidence.clip(0, 1), (run.test >= 0.5) == y).error,
    }


def leaks(split: Split, method: Method, train=train) -> list[str]:
    """Name the fields of a run that change when every test label is flipped: there must be none.

    Also names a tweet that occurs in two parts.
    """
    flipped = replace(split, test=replace(split.test, y=1 - split.test.y))
    a = train(split, method)
    b = train(flipped, method)
    changed = [
        name for name in Run._fields if not np.array_equal(getattr(a, name), getattr(b, name))
    ]
    parts = [set(part.tweets.tolist()) for part in (split.train, split.validation, split.test)]
    shared = (parts[0] & parts[1]) | (parts[0] & parts[2]) | (parts[1] & parts[2])
    return changed + [f"tweet {i} in two parts" for i in sorted(shared)[:1]]


def train_grid(split: Split, method: Method) -> dict[int, Tensor]:
    """Train the heads of a method and return their weights, (heads, width + 1), at every stop."""
    x = split.train.x
    y = torch.from_numpy(split.train.y)
    settings = method.settings
    w = torch.zeros(len(settings), x.shape[1] + 1, requires_grad=True)
    shrink = 1 - LEARNING_RATE * torch.tensor([row[3] for row in settings])[:, None]
    optimizer = torch.optim.Adam([w], lr=LEARNING_RATE)
    weights = {}
    for step in range(1, max(method.stops) + 1):
        z = (x @ w[:, :-1].T + w[:, -1]).T
        optimizer.zero_grad()
        # The heads share no weights, so the gradient of the sum holds the gradient of each.
        losses(z, y, settings).sum().backward()
        optimizer.step()
        with torch.no_grad():
            w[:, :-1] *= shrink.clamp_min(0)
        if step in method.stops:
            weights[step] = w.detach().clone()
    return weights


def losses(z: Tensor, y: Tensor, settings) -> Tensor:
    """Compute L of each head, (heads,), as `RewardObjective` does for one head.

    Args:
        z: (heads, items) logits of "negative".
        y: (items,) 1 for negative, else 0.
        settings: of each head, see `Method.settings`.
    """
    alphas = torch.tensor([row[1] for row in settings])
    share = torch.bincount(y, minlength=2) / len(y)
    weights = (0.5 / share)[y] ** torch.tensor([row[2] for row in settings])[:, None]
    signed = torch.where(y == 1, z, -z)
    prediction = -(weights * torch.nn.functional.logsigmoid(signed)).sum(1) / weights.sum(1)
    reward_loss = torch.zeros_like(prediction)
    two_logits = torch.stack([torch.zeros_like(z), z], -1)  # (heads, items, classes)
    for reward in {row[0].name: row[0] for row in settings if row[0]}.values():
        heads = torch.tensor(
            [i for i, row in enumerate(settings) if row[0] and row[0].name == reward.name]
        )
        values = vmap(
            partial(_reward_value, reward, y),
            randomness="different",
            chunk_size=1 if reward.is_expensive else None,
        )(two_logits[heads])
        reward_loss = reward_loss.index_put((heads,), 1 - values)
    alone = torch.isinf(alphas)  # the reward loss alone
    return torch.where(alone, 0.0, 1.0) * prediction + torch.where(alone, 1.0, alphas) * reward_loss


def _reward_value(reward: Reward, y: Tensor, z: Tensor) -> Tensor:
    return find(reward).function(z, y, 0)
