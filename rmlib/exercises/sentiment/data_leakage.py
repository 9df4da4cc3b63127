"""Lesson 06, "find the leaks": an evaluation that chooses with what it is scored on, and the ways to leave some of it.

The colleague's function of the lesson leaks twice: the α is chosen with the test labels, and validation holds
rewordings of test tweets.
"""

from itertools import count, product
from typing import NamedTuple

import numpy as np

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)


class Scored(NamedTuple):
    """A part of the tweets with what several heads say of it.

    `p`: (heads, tweets) the probability of "negative" by the head of each α; `y`: (tweets,) labels 0 or 1; `group`:
    (tweets,) a number for each tweet, the same for tweets that are rewordings of one another.
    """

    p: np.ndarray
    y: np.ndarray
    group: np.ndarray


def problem(rng, signal: float = 0.0, heads: int = 8, tweets: int = 100, shared: int = 40) -> tuple[Scored, Scored]:
    """Random scores, (validation, test).

    Args:
        rng: numpy's random generator. signal: how far the scores know the label; 0: pure chance.
        tweets: in each part. shared: how many of validation are rewordings of a test tweet, with its label and scores
            that are nearly the same.
    """
    y = rng.integers(2, size=(2, tweets))
    p = np.clip(0.5 + signal * (y[:, None] - 0.5) + 0.2 * rng.normal(size=(2, heads, tweets)), 0, 1)
    group = np.arange(tweets) // 2 + np.array([[0], [tweets]])  # two and two in one part are alike: that does no harm
    places, twins = (rng.permutation(tweets)[:shared] for _ in range(2))
    y[0, places], group[0, places] = y[1, twins], group[1, twins]
    p[0][:, places] = np.clip(p[1][:, twins] + 0.01 * rng.normal(size=(heads, shared)), 0, 1)
    return Scored(p[0], y[0], group[0]), Scored(p[1], y[1], group[1])


def inputs(seed: int) -> tuple[Scored, Scored]:
    """Problems in which the right choice is the only best one. Some have no rewordings, some hardly anything else."""
    tweets, shared = 40 + seed, (0, 30, 10, 20)[seed % 4]
    for attempt in count():
        found = problem(np.random.default_rng([seed, attempt]), (0.0, 0.1, 0.2)[seed % 3], 4, tweets, shared)
        fresh = _fresh(*found)
        rows = [_accuracy(found[0], row, 0.5, fresh) for row in range(4)]
        ends = [_accuracy(found[0], int(np.argmax(rows)), t, fresh) for t in THRESHOLDS]
        if rows.count(max(rows)) == 1 and ends.count(max(ends)) == 1:
            return found


def spec(validation: Scored, test: Scored) -> tuple[int, float, float]:
    """Tweet by tweet: (row of the α, threshold, accuracy on test)."""
    kept = []
    for i in range(len(validation.y)):
        if all(validation.group[i] != other for other in test.group):
            kept.append(i)

    def right(part, row, threshold, tweets):
        total = 0
        for i in tweets:
            says = 1 if part.p[row][i] >= threshold else 0
            total += 1 if says == part.y[i] else 0
        return total / len(tweets)

    row = 0
    for other in range(1, len(validation.p)):
        if right(validation, other, 0.5, kept) > right(validation, row, 0.5, kept):
            row = other
    threshold = THRESHOLDS[0]
    for other in THRESHOLDS[1:]:
        if right(validation, row, other, kept) > right(validation, row, threshold, kept):
            threshold = other
    return row, threshold, right(test, row, threshold, range(len(test.y)))


def fair_score(validation, test):
    """(row of the best α, best threshold, accuracy on test), and nothing that is known of test helps to choose."""
    fresh = ~np.isin(validation.group, test.group)
    p, y = validation.p[:, fresh], validation.y[fresh]
    row = int(np.argmax([((one >= 0.5) == y).mean() for one in p]))
    threshold = max(THRESHOLDS, key=lambda t: ((p[row] >= t) == y).mean())
    return row, threshold, float(((test.p[row] >= threshold) == test.y).mean())


def _accuracy(part: Scored, row: int, threshold: float, kept=slice(None)) -> float:
    return float(((part.p[row] >= threshold) == part.y)[kept].mean())


def _fresh(validation: Scored, test: Scored) -> np.ndarray:
    """Of each tweet of validation, whether no rewording of it is in test."""
    return ~np.isin(validation.group, test.group)


def leaky(row_on_test=False, threshold_on_test=False, shared=False):
    """The evaluation with some of the leaks, as a function of (validation, test)."""

    def evaluate(validation, test):
        fresh = slice(None) if shared else _fresh(validation, test)
        chooses = (test, slice(None)) if row_on_test else (validation, fresh)
        row = int(np.argmax([_accuracy(chooses[0], r, 0.5, chooses[1]) for r in range(len(test.p))]))
        part, kept = (test, slice(None)) if threshold_on_test else (validation, fresh)
        threshold = max(THRESHOLDS, key=lambda t: _accuracy(part, row, t, kept))
        return row, threshold, _accuracy(test, row, threshold)

    return evaluate


LEAKS = {  # of the arguments of `leaky`
    "row_on_test": "turn the test labels round, and another α comes out",
    "threshold_on_test": "turn the test labels round, and another threshold comes out",
    "shared": "validation still holds rewordings of test tweets, and to choose on those is to choose on test",
}


def _told(flags: dict) -> str:
    parts = [LEAKS[name] for name, on in flags.items() if on]
    return f"{len(parts)} leak{' is' if len(parts) == 1 else 's are'} left: {'; and '.join(parts)}."


def _on_validation(validation, test):
    row, threshold, _ = fair_score(validation, test)
    return row, threshold, _accuracy(validation, row, threshold, _fresh(validation, test))


def _on_all_of_validation(validation, test):
    row, threshold, _ = leaky(shared=True)(validation, test)
    return row, threshold, _accuracy(validation, row, threshold)


def _test_cut(validation, test):
    row, threshold, _ = leaky(shared=True)(validation, test)
    return row, threshold, _accuracy(test, row, threshold, _fresh(test, validation))


def _both_cut(validation, test):
    row, threshold, _ = fair_score(validation, test)
    return row, threshold, _accuracy(test, row, threshold, _fresh(test, validation))


def _jointly(validation, test):
    fresh = _fresh(validation, test)
    pairs = list(product(range(len(test.p)), THRESHOLDS))
    row, threshold = max(pairs, key=lambda pair: _accuracy(validation, *pair, fresh))
    return row, threshold, _accuracy(test, row, threshold)


def _pooled(validation, test):
    both = Scored(*(np.concatenate(parts, -1) for parts in zip(validation, test, strict=True)))
    return leaky(shared=True)(both, test)


def _chosen_on(mark, thresholds=THRESHOLDS):
    """The evaluation with the choices made on some tweets of validation, mark(validation, test), and no others."""

    def evaluate(validation, test):
        kept = mark(validation, test)
        right = [(one >= 0.5)[kept] == validation.y[kept] for one in validation.p]
        row = int(np.argmax([one.sum() for one in right]))
        ends = [((validation.p[row] >= t) == validation.y)[kept].sum() for t in thresholds]
        threshold = thresholds[int(np.argmax(ends))]
        return row, threshold, _accuracy(test, row, threshold)

    return evaluate


def _once(validation, test):
    return np.isin(np.arange(len(validation.y)), np.unique(validation.group, return_index=True)[1])


# Where test makes both choices, rewordings add nothing.
WAYS = [dict(zip(LEAKS, on, strict=True)) for on in product((False, True), repeat=3) if 0 < sum(on) < 3]
MISTAKES = {_told(flags): leaky(**flags) for flags in WAYS} | {
    "The choices are right, but the accuracy is that of the tweets they were made on, which flatters. "
    "Which part has not been used yet?": _on_validation,
    "The accuracy is that of the tweets the choices were made on, which flatters. "
    "And rewordings of test tweets take part in the choices.": _on_all_of_validation,
    "You take the rewordings out of the test part. That stops the leak, but makes another test, whose scores compare "
    "with nobody's. Take them out of the other part.": _test_cut,
    "The choices are right, but tweets are missing from the test part. It has to stay whole.": _both_cut,
    "No leak, but another way to choose: α and threshold together. The colleague takes the α at the threshold .5 "
    "first, then the threshold for this α.": _jointly,
    "You choose on the rewordings of test tweets alone: it is these that must go.": _chosen_on(
        lambda validation, test: np.isin(validation.group, test.group)
    ),
    "Of the tweets that are alike inside validation you keep one. Those do no harm: look for tweets that are alike in "
    "validation and in test.": _chosen_on(_once),
    "No leak, but other thresholds: the colleague tries those of `THRESHOLDS`.": _chosen_on(
        _fresh, np.linspace(0.01, 0.99, 99)
    ),
    "No leak, but the threshold stays at .5. The colleague chooses it, too.": _chosen_on(_fresh, (0.5,)),
    "Validation and test choose together here: so the test labels choose, too.": _pooled,
}
