"""Methods for the sentiment case, each with the same number of trials: a grid of heads, the best one by validation.

A trial is a setting of the method (α, or what a control has in its place), a weight decay, and a step to stop at. All
heads of a grid are trained side by side from weights of 0, by Adam on all training items at once; decay is decoupled
from the gradient (Loshchilov and Hutter 2019), so that a large α does not switch it off.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from sklearn.metrics import average_precision_score, brier_score_loss
from torch import Tensor
from torch.func import vmap

from rmlib.determinism import one_thread, seeded
from rmlib.loss.rewards import REWARDS, Reward, find
from rmlib.models.linear_head import dear
from rmlib.text.metrics import reliability

from .bootstrap import MEASURES, counts
from .sentiment_data import Split

ALPHAS = (0.1, 1.0, 10.0, 100.0, math.inf)
DECAYS = (1.0, 5.0, 15.0, 40.0)  # times the rate: the share of every weight that is taken off at a step
STOPS = (10, 25, 60, 150)  # steps
RATE = 0.02
THRESHOLDS = np.linspace(0.01, 0.99, 99)


@dataclass(frozen=True)
class Method:
    """One way to train the head.

    Attributes:
        rewards, alphas, balances: one entry a setting: the reward, its α, and how far the classes are weighted against
            their frequency in L_p (0: not; 1: both weigh the same in all).
        decays, stops: what is tried with every setting.
        tuned: whether the threshold is chosen on validation, too; otherwise it is .5.
    """

    rewards: tuple[Reward | None, ...] = (None,)
    alphas: tuple[float, ...] = (0.0,)
    balances: tuple[float, ...] = (0.0,)
    decays: tuple[float, ...] = DECAYS
    stops: tuple[int, ...] = STOPS
    tuned: bool = False

    @property
    def trials(self) -> int:
        """Heads to choose from."""
        return len(self.settings) * len(self.stops)

    @property
    def settings(self) -> list[tuple[Reward | None, float, float, float]]:
        """(reward, α, balance, decay) of each head that is trained."""
        n = max(len(self.rewards), len(self.alphas), len(self.balances))
        wide = [part * n if len(part) == 1 else part for part in (self.rewards, self.alphas, self.balances)]
        return [(*row, decay) for row in zip(*wide, strict=True) for decay in self.decays]


FINE = tuple(float(d) for d in np.geomspace(0.1, 100, 20).round(3))  # a control without a setting tries more decays
QS = (0.1, 0.3, 0.5, 0.7, 0.9)
CONTROLS = {
    "ce": Method(decays=tuple(float(d) for d in np.geomspace(0.1, 100, 80).round(3)), stops=STOPS[-1:]),
    "ce, stopped early": Method(decays=FINE),
    "ce, tuned threshold": Method(decays=FINE, tuned=True),
    "ce, weighted": Method(balances=(0.25, 0.5, 0.75, 1.0, 1.25)),
    "gce alone": Method(rewards=tuple(REWARDS["gce"].having(q=q) for q in QS), alphas=(math.inf,)),
}
METHODS = CONTROLS | {
    name: Method(rewards=(reward,), alphas=ALPHAS) for name, reward in REWARDS.items() if "binary" in reward.levels
}


class Run(NamedTuple):
    """The head that was chosen on validation, and its probabilities of "negative" on the test items."""

    alpha: float
    setting: str
    decay: float
    stop: int
    threshold: float
    validation: float
    test: np.ndarray


def train(split: Split, method: Method) -> Run:
    """Train the grid of a method on a split and choose. The test labels are not looked at."""
    with one_thread(), seeded(split.seed):
        paths = _paths(split, method)
    stops = [stop for stop in paths for _ in method.settings]
    settings = method.settings * len(paths)
    w = torch.cat([paths[stop] for stop in paths])
    p = probabilities(split.validation.x, w)
    best, threshold, value = choose(p, split.validation.y, split.measure, method.tuned)
    reward, alpha, balance, decay = settings[best]
    setting = f"balance {balance:g}" if balance else reward.name if reward else ""
    test = probabilities(split.test.x, w[best : best + 1])[0]
    return Run(alpha, setting, decay, stops[best], threshold, value, test)


def probabilities(x: Tensor, w: Tensor) -> np.ndarray:
    """(heads, items) of x (items, width) under weights w (heads, width + 1), the last column the bias."""
    return torch.sigmoid(x @ w[:, :-1].T + w[:, -1]).T.numpy()


def choose(p: np.ndarray, y: np.ndarray, measure: str, tuned: bool) -> tuple[int, float, float]:
    """The head with the best measure on validation, the first of equals, its threshold, and the value.

    p: (heads, items); y: (items,).
    """
    thresholds = THRESHOLDS if tuned else np.array([0.5])
    found = np.stack([MEASURES[measure](counts(y, p >= t)) for t in thresholds], 1)  # (heads, thresholds)
    best, at = np.unravel_index(found.argmax(), found.shape)
    at = np.flatnonzero(found[best] == found[best, at])
    at = int(at[len(at) // 2])  # the middle of a plateau
    return int(best), float(thresholds[at]), float(found[best, at])


def scores(y: np.ndarray, run: Run) -> dict:
    """Test scores, all in [0, 1]: those of the decisions, and of the probabilities."""
    found = {name: float(measure(counts(y, run.test >= run.threshold))) for name, measure in MEASURES.items()}
    confidence = np.maximum(run.test, 1 - run.test)
    return found | {
        "average_precision": float(average_precision_score(y, run.test)),
        "brier": float(brier_score_loss(y, run.test)),
        "calibration_error": reliability(confidence.clip(0, 1), (run.test >= 0.5) == y).error,
    }


def leaks(split: Split, method: Method, train=train) -> list[str]:
    """What of a run changes when the test labels are turned round: nothing may.

    Also names a tweet that stands in two parts.
    """
    turned = Split(**{**vars(split), "test": type(split.test)(split.test.x, 1 - split.test.y, split.test.tweets)})
    a, b = train(split, method), train(turned, method)
    changed = [name for name in Run._fields if not np.array_equal(getattr(a, name), getattr(b, name), equal_nan=False)]
    parts = [set(part.tweets.tolist()) for part in (split.train, split.validation, split.test)]
    twice = (parts[0] & parts[1]) | (parts[0] & parts[2]) | (parts[1] & parts[2])
    return changed + [f"tweet {i} in two parts" for i in sorted(twice)[:1]]


def _paths(split: Split, method: Method) -> dict[int, Tensor]:
    """The weights (heads, width + 1) at every stop."""
    x, y = split.train.x, torch.from_numpy(split.train.y)
    settings = method.settings
    w = torch.zeros(len(settings), x.shape[1] + 1, requires_grad=True)
    shrink = 1 - RATE * torch.tensor([row[3] for row in settings])[:, None]
    optimizer, kept = torch.optim.Adam([w], lr=RATE), {}
    for step in range(1, max(method.stops) + 1):
        z = (x @ w[:, :-1].T + w[:, -1]).T
        optimizer.zero_grad()
        losses(z, y, settings).sum().backward()  # the heads share nothing, so neither do their gradients
        optimizer.step()
        with torch.no_grad():
            w[:, :-1] *= shrink.clamp_min(0)
        if step in method.stops:
            kept[step] = w.detach().clone()
    return kept


def losses(z: Tensor, y: Tensor, settings) -> Tensor:
    """L of each head, (heads,): what `RewardObjective` gives for it, for all of them at once.

    Args:
        z: (heads, items) logits of "negative".
        y: (items,) 0 or 1.
        settings: see `Method.settings`.
    """
    alphas = torch.tensor([row[1] for row in settings])
    share = torch.bincount(y, minlength=2) / len(y)
    weights = (0.5 / share)[y] ** torch.tensor([row[2] for row in settings])[:, None]
    signed = torch.where(y == 1, z, -z)
    prediction = -(weights * torch.nn.functional.logsigmoid(signed)).sum(1) / weights.sum(1)
    reward = torch.zeros_like(prediction)
    pairs = torch.stack([torch.zeros_like(z), z], -1)  # the two logits of an item
    for one in {row[0].name: row[0] for row in settings if row[0]}.values():
        rows = torch.tensor([i for i, row in enumerate(settings) if row[0] and row[0].name == one.name])
        own = vmap(partial(_reward, one, y), randomness="different", chunk_size=1 if dear(one) else None)(pairs[rows])
        reward = reward.index_put((rows,), 1 - own)
    alone = torch.isinf(alphas)
    return torch.where(alone, 0.0, 1.0) * prediction + torch.where(alone, 1.0, alphas) * reward


def _reward(reward: Reward, y: Tensor, z: Tensor) -> Tensor:
    return find(reward).function(z, y, 0)
