"""The exercise on a paired bootstrap.

It is compared exactly where nothing is left to chance, and approximately elsewhere.
"""

import random
from functools import lru_cache

import numpy as np

from rmlib.exercises.framework.exercise import Exercise, Misconception, NotYet


def spec(hits_a, hits_b, draws=2000, seed=0) -> tuple[float, float]:
    """The interval item by item, with Python's own random numbers."""
    rng = random.Random(seed)
    n = len(hits_a)
    differences = []
    items = [(float(a), float(b)) for a, b in zip(hits_a, hits_b, strict=True)]
    for _ in range(draws):
        total = 0.0
        for a, b in rng.choices(items, k=n):
            total += b - a
        differences.append(total / n)
    differences.sort()
    return differences[int(0.025 * draws)], differences[int(0.975 * draws)]


def inputs(seed: int):
    """Two methods, each right on all items or on none.

    Every draw gives the same difference, and both ends are it.
    """
    a, b = ((1, 0), (1, 1), (0, 0), (0, 1))[min(seed, 3)]
    return np.full(20 + seed, a), np.full(20 + seed, b), 200, seed


def interval(hits_a, hits_b, draws=2000, seed=0):
    """hits: (items,) 1 where a method is right. Returns (low, high)."""
    rng = np.random.default_rng(seed)
    n = len(hits_a)
    differences = []
    for _ in range(draws):
        kept = rng.integers(n, size=n)
        differences.append(hits_b[kept].mean() - hits_a[kept].mean())
    return tuple(np.quantile(differences, [0.025, 0.975]))


@lru_cache(maxsize=1)
def cases() -> tuple:
    """Hits of two methods, mostly right on the same items: b is better, worse, and better again."""
    rng = np.random.default_rng(6)
    hits = []
    # How often b differs from a where a is wrong, and where a is right.
    for where_wrong, where_right in ((0.4, 0.05), (0.1, 0.1), (0.25, 0.08)):
        a = (rng.random(400) < 0.8).astype(int)
        differs = rng.random(400) < np.where(a == 1, where_right, where_wrong)
        hits.append((a, np.where(differs, 1 - a, a)))
    return tuple(hits)


@lru_cache(maxsize=4)
def _ends(spec) -> np.ndarray:
    """The spec's intervals of the cases, (cases, 2)."""
    return np.array([spec(a, b, 2000, 1) for a, b in cases()])


def judge_random_hits(answer, spec) -> None:
    """Compare the widths and the middles of intervals on random hits.

    Bootstrapped intervals don't agree to the last digit: chance moves the mean ratio of the widths
    over three cases by about 2 %, and a middle by about 2 % of a width.
    """
    found = np.array([answer(a, b, 2000, 0) for a, b in cases()], dtype=float)
    expected = _ends(spec)
    if found.shape != expected.shape or not np.isfinite(found).all():
        raise NotYet("wrong-form", "expected two finite numbers, (low, high), for any hits")
    width = found[:, 1] - found[:, 0]
    expected_width = expected[:, 1] - expected[:, 0]
    if (width < 0).any():
        raise NotYet(
            "ends-swapped", "the first of the two numbers is above the second: return (low, high)"
        )
    ratio = width / expected_width
    shift = np.abs((found - expected).mean(1) / expected_width).max()
    _judge_narrow(ratio.mean())
    if shift < 0.1:
        _judge_known_widths(ratio)
    if not 0.92 <= ratio.mean() <= 1.08 or shift > 0.08:
        middle = "its middle is right"
        if shift > 0.08:
            middle = f"its middle is off by {shift:.0%} of a width"
        raise NotYet(
            "wrong-interval",
            f"on random hits your interval is {ratio.mean():.2f} times as wide as that of the slow "
            f"bootstrap, and {middle}. Does each draw have as many items as there are? How many of "
            "the draws lie below your low end, how many above the high?",
        )


def _judge_narrow(ratio: float) -> None:
    if ratio < 0.01:
        raise NotYet(
            "no-width",
            "all draws give the same difference, so the interval has no width. Are the items drawn "
            "anew for each draw, and with replacement, so that some come twice and others not at "
            "all?",
        )
    if ratio < 0.2:
        raise NotYet(
            "divided-by-draws",
            "far too narrow. The draws themselves show how far the difference may lie: do not "
            "divide by the root of their number, and draw as many items as there are in test",
        )


def _judge_known_widths(ratio: np.ndarray) -> None:
    """Recognize intervals of other quantities by how much wider they are in each case (cases,)."""
    variance = np.array([[a.var(), b.var(), (b - a).var()] for a, b in cases()])
    unpaired = np.sqrt(variance[:, :2].sum(1) / variance[:, 2])
    one_method = np.sqrt(variance[:, :2] / variance[:, 2:]).T
    ends_subtracted = one_method.sum(0)
    if np.abs(ratio / unpaired - 1).mean() < 0.08:
        raise NotYet(
            "unpaired",
            "too wide: the pairs are torn apart. An item that is hard for both methods drops out "
            "of the difference only if both are evaluated on the same draw. Do you draw twice?",
        )
    if np.abs(ratio / ends_subtracted - 1).mean() < 0.08:
        raise NotYet(
            "ends-subtracted",
            "too wide: these are the ends of two intervals, one minus the other. The worst luck of "
            "both methods at once is rarer than that. Bootstrap the difference itself",
        )
    if np.abs(ratio / one_method - 1).mean(1).min() < 0.08:
        raise NotYet(
            "one-method-drawn",
            "this is as wide as for one method alone: the other one stays as it is. Both need the "
            "same draw",
        )


def _both_ends(value):
    """A function that returns the same number as both ends."""
    return lambda a, b, draws, seed: (value(a, b),) * 2


PAIRED_BOOTSTRAP = Exercise(
    id="sentiment.paired_bootstrap",
    title="bootstrap an interval",
    spec=spec,
    inputs=inputs,
    misconceptions=(
        Misconception(
            "a-minus-b",
            "This is a minus b. How much better is b?",
            _both_ends(lambda a, b: a.mean() - b.mean()),
        ),
        Misconception(
            "b-alone",
            "These are the ends for b alone. The exercise asks for the difference from a.",
            _both_ends(lambda a, b: b.mean()),
        ),
        Misconception(
            "percent",
            "These are percent. Return the difference of two shares, from −1 to 1.",
            _both_ends(lambda a, b: 100 * (b.mean() - a.mean())),
        ),
        Misconception(
            "counts",
            "This counts items. Return the difference of two shares, from −1 to 1.",
            _both_ends(lambda a, b: float(b.sum() - a.sum())),
        ),
        Misconception(
            "no-sign",
            "This has lost the sign: a worse b must give numbers below 0.",
            _both_ends(lambda a, b: abs(b.mean() - a.mean())),
        ),
        Misconception(
            "array-for-tuple",
            "The two ends come as an array. Return them as a tuple, (low, high).",
            lambda a, b, draws, seed: np.array([b.mean() - a.mean()] * 2),
        ),
        Misconception(
            "one-number",
            "This is one number. Return two: the low and the high end.",
            lambda a, b, draws, seed: b.mean() - a.mean(),
        ),
        Misconception(
            "all-draws",
            "This returns all the draws. Return two numbers, between which 95 % of them lie.",
            lambda a, b, draws, seed: [b.mean() - a.mean()] * draws,
        ),
    ),
    more=judge_random_hits,
    hints=(
        "`kept = rng.integers(n, size=n)` are the indices of the items of one draw, and "
        "`hits_a[kept]` says where method a is right on it.",
        "Use the same `kept` for both methods, collect the differences of the means in a list, and "
        "take `np.quantile(differences, [0.025, 0.975])`. Return the two numbers as a tuple.",
    ),
    solution=interval,
)
