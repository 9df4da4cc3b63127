"""Confidence intervals for differences: paired bootstrap over items, intervals over seeds.

Two methods that were trained with the same seeds and tested on the same items are compared pair by
pair, so that what is difficult for both cancels. SciPy resamples; this module says which results
form a pair.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import stats

from rmlib.errors import RmlibValueError

# The columns of a table of comparisons.
COMPARISON = ["condition", "method", "control", "difference", "low", "high", "all_low", "all_high"]


class Effect(NamedTuple):
    """A difference with its interval from `low` to `high`."""

    mean: float
    low: float
    high: float

    @property
    def stands(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.mean:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


def paired_bootstrap(
    metric: Callable, y, a, b, resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> Effect:
    """Return metric(y, b) - metric(y, a) with its bootstrap interval over the test items.

    Args:
        metric: (labels, predictions) -> number, on arrays with the items along the first axis.
        y, a, b: (items, ...) labels and the predictions of two methods.
        resamples: how many times the items are resampled.
        confidence: of the interval, in (0, 1).
        seed: of the resampling.

    Raises:
        RmlibValueError: the numbers of items differ, or there are fewer than 2.

    Percentile interval (Efron and Tibshirani 1993), for NLP as in Berg-Kirkpatrick, Burkett and
    Klein, EMNLP 2012.
    """
    y, a, b = np.asarray(y), np.asarray(a), np.asarray(b)
    if not len(y) == len(a) == len(b) or len(y) < 2:
        raise RmlibValueError(
            f"{len(y)} labels, {len(a)} and {len(b)} predictions; expected equal numbers, 2 or more"
        )
    items = np.arange(len(y))
    result = stats.bootstrap(
        (items,),
        lambda drawn: metric(y[drawn], b[drawn]) - metric(y[drawn], a[drawn]),
        n_resamples=resamples,
        confidence_level=confidence,
        method="percentile",
        vectorized=False,
        rng=np.random.default_rng(seed),
    )
    low, high = result.confidence_interval
    return Effect(float(metric(y, b) - metric(y, a)), float(low), float(high))


def over_seeds(differences, confidence: float = 0.95) -> Effect:
    """Return the mean difference over seeds with its Student interval (1908).

    Args:
        differences: (seeds,) method minus control, both with the same seed and split; 2 or more.
        confidence: of the interval, in (0, 1).

    Raises:
        RmlibValueError: fewer than 2 differences.
    """
    d = np.asarray(differences, dtype=float)
    if d.ndim != 1 or len(d) < 2:
        raise RmlibValueError(
            f"differences have shape {d.shape}; expected one number per seed, 2 or more"
        )
    if not d.std():
        return Effect(float(d[0]), float(d[0]), float(d[0]))
    low, high = stats.ttest_1samp(d, 0).confidence_interval(confidence)
    return Effect(float(d.mean()), float(low), float(high))


def counts(y, predictions) -> np.ndarray:
    """Count true positives, false positives, false negatives and true negatives.

    Args:
        y, predictions: (..., items) bool or 0 and 1. Shape (items, 1) gives the counts of each
            item.

    Returns:
        (..., 4)
    """
    y = np.asarray(y, dtype=bool)
    p = np.asarray(predictions, dtype=bool)
    return np.stack([(p & y).sum(-1), (p & ~y).sum(-1), (~p & y).sum(-1), (~p & ~y).sum(-1)], -1)


def _ratio(numerator, denominator):
    """The quotient; 0 where the denominator is 0."""
    zeros = np.zeros(np.broadcast(numerator, denominator).shape)
    return np.divide(numerator, denominator, out=zeros, where=np.asarray(denominator) > 0)


def accuracy(n) -> np.ndarray:
    """The accuracy, from `counts`."""
    return _ratio(n[..., 0] + n[..., 3], n.sum(-1))


def balanced_accuracy(n) -> np.ndarray:
    """The mean of the recalls of both classes, from `counts`."""
    tp, fp, fn, tn = np.moveaxis(n, -1, 0)
    return (_ratio(tp, tp + fn) + _ratio(tn, tn + fp)) / 2


def f1(n) -> np.ndarray:
    """F1 of the positive class, from `counts`; 0 without labels and predictions of that class."""
    tp, fp, fn, _ = np.moveaxis(n, -1, 0)
    return _ratio(2 * tp, 2 * tp + fp + fn)


MEASURES = {"accuracy": accuracy, "balanced_accuracy": balanced_accuracy, "f1": f1}


@lru_cache(maxsize=1)
def _multiplicities(items: int, resamples: int, seed: int) -> np.ndarray:
    """How often each item occurs in each resample, (resamples, items)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(items, np.full(items, 1 / items), size=resamples).astype(float)


class Pair(NamedTuple):
    """The results of a control and a method with one seed.

    `items` (items,) are the indices of the test items; `control` and `method` (items, 4) are the
    `counts` of each item.
    """

    items: np.ndarray
    control: np.ndarray
    method: np.ndarray


def over_seeds_and_items(
    measure: Callable,
    pairs: list[Pair],
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Effect:
    """Return the mean difference over seeds with an interval from resampling seeds *and* items.

    When every seed splits one set of items anew, the seeds share test items. Items are therefore
    resampled for all seeds at once, and seeds independently of the items: the pigeonhole bootstrap
    (Owen, Annals of Applied Statistics 2007).

    Args:
        measure: of `MEASURES`, or another function of `counts`.
        pairs: one per seed.
        resamples: how many times seeds and items are resampled.
        confidence: of the interval, in (0, 1). For m comparisons, 1 - 0.05 / m makes all m
            intervals hold together with a confidence of 95 % (Bonferroni).
        seed: of the resampling.

    Raises:
        RmlibValueError: there is no pair, or a pair's arrays differ in length.
    """
    return at_confidences(measure, pairs, (confidence,), resamples, seed)[0]


def at_confidences(
    measure: Callable,
    pairs: list[Pair],
    confidences: tuple[float, ...],
    resamples: int = 2000,
    seed: int = 0,
) -> list[Effect]:
    """Return the effect of `over_seeds_and_items` at several confidences, resampling only once."""
    if not pairs or any(len({len(array) for array in pair}) > 1 for pair in pairs):
        raise RmlibValueError(
            f"{len(pairs)} pairs; expected at least 1, each with one row of counts per item"
        )
    items = 1 + max(int(np.max(pair.items)) for pair in pairs)
    weights = _multiplicities(items, resamples, seed)

    def difference(pair: Pair, weights: np.ndarray) -> np.ndarray:
        """weights: (resamples, items of this seed)."""
        return measure(weights @ pair.method) - measure(weights @ pair.control)

    def of_items(pair: Pair) -> np.ndarray:
        whole = np.array_equal(pair.items, np.arange(items))
        return weights if whole else weights[:, pair.items]  # a copy, which takes most of the time

    by_seed = np.stack([difference(pair, of_items(pair)) for pair in pairs], 1)
    drawn_seeds = np.random.default_rng([seed, 1]).integers(len(pairs), size=by_seed.shape)
    means = np.take_along_axis(by_seed, drawn_seeds, 1).mean(1)  # (resamples,)
    observed = [difference(pair, np.ones((1, len(pair.items))))[0] for pair in pairs]
    mean = float(np.mean(observed))
    ends = [np.quantile(means, [(1 - c) / 2, (1 + c) / 2]) for c in confidences]
    return [Effect(mean, float(low), float(high)) for low, high in ends]
