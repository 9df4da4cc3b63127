"""Lesson 06, "bootstrap an interval": what it must be exactly where nothing is left to chance, and about, elsewhere."""

import random
from functools import lru_cache

import numpy as np

from rmlib.exercises.framework.exercise import Exercise, NotYet


def spec(hits_a, hits_b, draws=2000, seed=0) -> tuple[float, float]:
    """Item by item, with Python's own random numbers."""
    rng, n, differences = random.Random(seed), len(hits_a), []
    items = [(float(a), float(b)) for a, b in zip(hits_a, hits_b, strict=True)]
    for _ in range(draws):
        total = 0.0
        for a, b in rng.choices(items, k=n):
            total += b - a
        differences.append(total / n)
    differences.sort()
    return differences[int(0.025 * draws)], differences[int(0.975 * draws)]


def inputs(seed: int):
    """Two methods, each right on all items or on none: every draw gives the same difference, and both ends are it."""
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
    """Hits of two methods that are mostly right on the same items: b is better, worse, and better again."""
    rng, found = np.random.default_rng(6), []
    for better, worse in ((0.4, 0.05), (0.1, 0.1), (0.25, 0.08)):  # how often b differs where a is wrong, and right
        a = (rng.random(400) < 0.8).astype(int)
        differs = rng.random(400) < np.where(a == 1, worse, better)
        found.append((a, np.where(differs, 1 - a, a)))
    return tuple(found)


@lru_cache(maxsize=4)
def _ends(spec) -> np.ndarray:
    """(cases, 2): what the spec says of the cases."""
    return np.array([spec(a, b, 2000, 1) for a, b in cases()])


def more(answer, spec) -> None:
    """Drawn intervals don't agree to the last digit. So their widths are compared, as a mean of the ratio over three
    cases, which chance moves by about 2 %, and their middles, which it moves by about 2 % of a width."""
    found, right = np.array([answer(a, b, 2000, 0) for a, b in cases()], dtype=float), _ends(spec)
    if found.shape != right.shape or not np.isfinite(found).all():
        raise NotYet("expected two finite numbers, (low, high), for any hits")
    width, wanted = found[:, 1] - found[:, 0], right[:, 1] - right[:, 0]
    if (width < 0).any():
        raise NotYet("the first of the two numbers is above the second: return (low, high)")
    ratio = width / wanted
    times, shift = ratio.mean(), np.abs((found - right).mean(1) / wanted).max()
    variance = np.array([[a.var(), b.var(), (b - a).var()] for a, b in cases()])
    torn = np.sqrt(variance[:, :2].sum(1) / variance[:, 2])  # so much wider in each case
    alone = np.sqrt(variance[:, :2] / variance[:, 2:]).T
    ends = alone.sum(0)

    if times < 0.01:
        raise NotYet(
            "all draws give the same difference, so the interval has no width. Are the items drawn anew for each draw, "
            "and with replacement, so that some come twice and others not at all?"
        )
    if times < 0.2:
        raise NotYet(
            "far too narrow. The draws themselves show how far the difference may lie: nothing is divided by the root "
            "of their number, and each draw has as many items as the test part"
        )
    if shift < 0.1 and np.abs(ratio / torn - 1).mean() < 0.08:
        raise NotYet(
            "too wide: the pairs are torn. An item that is hard for both methods drops out of the difference only if "
            "both are looked at on the same draw. Do you draw twice?"
        )
    if shift < 0.1 and np.abs(ratio / ends - 1).mean() < 0.08:
        raise NotYet(
            "too wide: these are the ends of two intervals, one minus the other. The worst luck of both methods at "
            "once is rarer than that. Draw the difference itself"
        )
    if shift < 0.1 and np.abs(ratio / alone - 1).mean(1).min() < 0.08:
        raise NotYet("this is as wide as for one method alone: the other one stays as it is. Both need the same draw")
    if times > 1.08 or times < 0.92 or shift > 0.08:
        middle = f"its middle lies {shift:.0%} of a width off" if shift > 0.08 else "its middle is right"
        raise NotYet(
            f"on random hits your interval is {times:.2f} times as wide as the slow bootstrap's, and {middle}. Does "
            "each draw have as many items as there are? How many of the draws lie below your low end, how many above "
            "the high?"
        )


def _twice(difference):
    """A function that gives the same number as both ends."""
    return lambda a, b, draws, seed: (difference(a, b),) * 2


q3 = Exercise(
    title="bootstrap an interval",
    spec=spec,
    inputs=inputs,
    mistakes={
        "This is a minus b. Asked is how much better b is.": _twice(lambda a, b: a.mean() - b.mean()),
        "These are the ends for b alone. Asked is the difference from a.": _twice(lambda a, b: b.mean()),
        "These are percent. Asked is the difference of two shares, from −1 to 1.": _twice(
            lambda a, b: 100 * (b.mean() - a.mean())
        ),
        "This counts items. Asked is the difference of two shares, from −1 to 1.": _twice(
            lambda a, b: float(b.sum() - a.sum())
        ),
        "This has lost the sign: a worse b must give numbers below 0.": _twice(lambda a, b: abs(b.mean() - a.mean())),
        "The two ends come as an array. Return them as a tuple, (low, high).": lambda a, b, draws, seed: np.array(
            [b.mean() - a.mean()] * 2
        ),
        "This is one number. Asked are two: the low and the high end.": lambda a, b, draws, seed: b.mean() - a.mean(),
        "This gives all the draws. Asked are two numbers, between which 95 % of them lie.": (
            lambda a, b, draws, seed: [b.mean() - a.mean()] * draws
        ),
    },
    more=more,
    hints=(
        "`kept = rng.integers(n, size=n)` are the numbers of the items of one draw, and `hits_a[kept]` what method a "
        "does on it.",
        "Use the same `kept` for both methods, collect the differences of the means in a list, and take "
        "`np.quantile(differences, [0.025, 0.975])`. Return the two numbers as a tuple.",
    ),
    solution=interval,
)
