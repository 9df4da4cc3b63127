"""How sure is a difference? Paired bootstrap over items, and intervals over seeds.

Two methods that were tested on the same items and trained on the same seeds are compared pair by pair: what is hard for
both then drops out of the difference. Resampling is scipy's; what is written here is which pairs belong together.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import stats

from rmlib.errors import RmlibValueError


class Effect(NamedTuple):
    """A difference with its interval from `low` to `high`."""

    mean: float
    low: float
    high: float

    @property
    def stands(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.mean:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


def paired_bootstrap(
    metric: Callable, y, a, b, resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> Effect:
    """metric(y, b) - metric(y, a), with the interval that comes from drawing the test items again and again.

    Args:
        metric: (labels, predictions) -> number, on arrays with the items along the first axis.
        y, a, b: (items, ...) labels and the predictions of two methods, item by item.
        resamples: how many times; confidence: of the interval, in (0, 1).

    Raises:
        RmlibValueError: numbers of items that differ, or fewer than 2.

    Percentile interval (Efron and Tibshirani 1993); in this use Berg-Kirkpatrick, Burkett and Klein, EMNLP 2012.
    """
    y, a, b = np.asarray(y), np.asarray(a), np.asarray(b)
    if not len(y) == len(a) == len(b) or len(y) < 2:
        raise RmlibValueError(f"{len(y)} labels, {len(a)} and {len(b)} predictions; expected as many, at least 2")
    items = np.arange(len(y))
    found = stats.bootstrap(
        (items,),
        lambda kept: metric(y[kept], b[kept]) - metric(y[kept], a[kept]),
        n_resamples=resamples,
        confidence_level=confidence,
        method="percentile",
        vectorized=False,
        rng=np.random.default_rng(seed),
    )
    low, high = found.confidence_interval
    return Effect(float(metric(y, b) - metric(y, a)), float(low), float(high))


def over_seeds(differences, confidence: float = 0.95) -> Effect:
    """The mean of one difference a seed, with Student's interval (1908): how far other seeds may lie.

    Args:
        differences: one number a seed, 2 or more: method minus control, both with this seed and split.
        confidence: in (0, 1).

    Raises:
        RmlibValueError: fewer than 2 differences.
    """
    d = np.asarray(differences, dtype=float)
    if d.ndim != 1 or len(d) < 2:
        raise RmlibValueError(f"differences have shape {d.shape}; expected one number a seed, 2 or more")
    if not d.std():
        return Effect(float(d[0]), float(d[0]), float(d[0]))
    low, high = stats.ttest_1samp(d, 0).confidence_interval(confidence)
    return Effect(float(d.mean()), float(low), float(high))


def counts(y, found) -> np.ndarray:
    """True positives, false positives, false negatives and true negatives, along a last axis of 4.

    Args:
        y, found: (..., items) bool or 0 and 1. With shapes (items, 1) the counts are those of each item.
    """
    y, found = np.asarray(y, dtype=bool), np.asarray(found, dtype=bool)
    return np.stack([(found & y).sum(-1), (found & ~y).sum(-1), (~found & y).sum(-1), (~found & ~y).sum(-1)], -1)


def _ratio(over, under):
    """0 where there is nothing to divide by."""
    return np.divide(over, under, out=np.zeros(np.broadcast(over, under).shape), where=np.asarray(under) > 0)


def accuracy(n) -> np.ndarray:
    """Of `counts`."""
    return _ratio(n[..., 0] + n[..., 3], n.sum(-1))


def balanced_accuracy(n) -> np.ndarray:
    """The mean of the recalls of both classes."""
    return (_ratio(n[..., 0], n[..., 0] + n[..., 2]) + _ratio(n[..., 3], n[..., 3] + n[..., 1])) / 2


def f1(n) -> np.ndarray:
    """F1 of the positive class; 0 where nothing is there and nothing is found."""
    return _ratio(2 * n[..., 0], 2 * n[..., 0] + n[..., 1] + n[..., 2])


MEASURES = {"accuracy": accuracy, "balanced_accuracy": balanced_accuracy, "f1": f1}


@lru_cache(maxsize=1)
def _often(items: int, resamples: int, seed: int) -> np.ndarray:
    """How often each item comes in each of the draws, (resamples, items)."""
    return np.random.default_rng(seed).multinomial(items, np.full(items, 1 / items), size=resamples).astype(float)


class Pair(NamedTuple):
    """One seed: the numbers of its test items, and `counts` of each item, (items, 4), under a control and a method."""

    items: np.ndarray
    control: np.ndarray
    method: np.ndarray


def over_seeds_and_items(
    measure: Callable, pairs: list[Pair], resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> Effect:
    """The mean difference over the seeds, when seeds *and* items are drawn again and again.

    Seeds that split one set of items anew share test items. So an item is drawn for all seeds at once, as often as it
    comes, and the seeds are drawn apart from it: the pigeonhole bootstrap (Owen, Annals of Applied Statistics 2007).

    Args:
        measure: of `MEASURES`, or another function of `counts`.
        pairs: one a seed.
        resamples: how many times; confidence: of the interval, in (0, 1). With m comparisons, 1 - .05 / m keeps all m
            intervals true together 19 times in 20 (Bonferroni).

    Raises:
        RmlibValueError: no pair, or one with arrays that do not fit.
    """
    if not pairs or any(not len(one.items) == len(one.control) == len(one.method) for one in pairs):
        raise RmlibValueError(f"{len(pairs)} pairs; expected at least 1, and one row of counts an item in each")
    often = _often(1 + max(int(np.max(pair.items)) for pair in pairs), resamples, seed)

    def difference(pair: Pair, weights: np.ndarray) -> np.ndarray:
        """weights: (draws, items of this seed)."""
        return measure(weights @ pair.method) - measure(weights @ pair.control)

    drawn = np.stack([difference(pair, often[:, pair.items]) for pair in pairs], 1)  # (resamples, seeds)
    seeds = np.random.default_rng([seed, 1]).integers(len(pairs), size=drawn.shape)
    draws = np.take_along_axis(drawn, seeds, 1).mean(1)
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    whole = [difference(pair, np.ones((1, len(pair.items))))[0] for pair in pairs]
    return Effect(float(np.mean(whole)), float(low), float(high))
