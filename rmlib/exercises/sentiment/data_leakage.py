"""The exercise on data leakage: an evaluation that chooses with what it is scored on.

The colleague's function of the lesson leaks twice: the α is chosen with the test labels, and
validation holds rewordings of test tweets.
"""

from itertools import count, product
from typing import NamedTuple

import numpy as np

from rmlib.exercises.framework.exercise import Exercise, Misconception

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)


class Scored(NamedTuple):
    """A part of the tweets with the predictions of several heads.

    Attributes:
        p: (heads, tweets) the probability of "negative" by the head of each α.
        y: (tweets,) labels, 0 or 1.
        group: (tweets,) a number, the same for tweets that are rewordings of one another.
    """

    p: np.ndarray
    y: np.ndarray
    group: np.ndarray


def problem(
    rng, signal: float = 0.0, heads: int = 8, tweets: int = 100, shared: int = 40
) -> tuple[Scored, Scored]:
    """Random scores, (validation, test).

    Args:
        rng: numpy's random generator.
        signal: how much the scores depend on the label; 0: pure chance.
        heads: how many.
        tweets: in each part.
        shared: how many of validation are rewordings of a test tweet, with its label and scores
            that are nearly the same.
    """
    y = rng.integers(2, size=(2, tweets))
    p = np.clip(0.5 + signal * (y[:, None] - 0.5) + 0.2 * rng.normal(size=(2, heads, tweets)), 0, 1)
    # In each part the tweets are alike in pairs: that does no harm.
    group = np.arange(tweets) // 2 + np.array([[0], [tweets]])
    rewordings, originals = (rng.permutation(tweets)[:shared] for _ in range(2))
    y[0, rewordings] = y[1, originals]
    group[0, rewordings] = group[1, originals]
    noise = 0.01 * rng.normal(size=(heads, shared))
    p[0][:, rewordings] = np.clip(p[1][:, originals] + noise, 0, 1)
    return Scored(p[0], y[0], group[0]), Scored(p[1], y[1], group[1])


def inputs(seed: int) -> tuple[Scored, Scored]:
    """Problems in which the right choice is the only best one.

    Some have no rewordings, some hardly anything else.
    """
    signal = (0.0, 0.1, 0.2)[seed % 3]
    shared = (0, 30, 10, 20)[seed % 4]
    for attempt in count():
        rng = np.random.default_rng([seed, attempt])
        validation, test = problem(rng, signal, heads=4, tweets=40 + seed, shared=shared)
        fresh = _fresh(validation, test)
        by_row = [_accuracy(validation, row, 0.5, fresh) for row in range(4)]
        best = int(np.argmax(by_row))
        by_threshold = [_accuracy(validation, best, t, fresh) for t in THRESHOLDS]
        if by_row.count(max(by_row)) == by_threshold.count(max(by_threshold)) == 1:
            return validation, test


def spec(validation: Scored, test: Scored) -> tuple[int, float, float]:
    """The fair score, tweet by tweet: (row of the α, threshold, accuracy on test)."""
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
    """(row of the best α, best threshold, accuracy on test), chosen without knowledge of test."""
    fresh = ~np.isin(validation.group, test.group)
    p, y = validation.p[:, fresh], validation.y[fresh]
    row = int(np.argmax([((one >= 0.5) == y).mean() for one in p]))
    threshold = max(THRESHOLDS, key=lambda t: ((p[row] >= t) == y).mean())
    return row, threshold, float(((test.p[row] >= threshold) == test.y).mean())


def _accuracy(part: Scored, row: int, threshold: float, kept=slice(None)) -> float:
    return float(((part.p[row] >= threshold) == part.y)[kept].mean())


def _fresh(validation: Scored, test: Scored) -> np.ndarray:
    """For each tweet of validation, whether no rewording of it is in test."""
    return ~np.isin(validation.group, test.group)


def leaky(row_on_test=False, threshold_on_test=False, shared=False):
    """The evaluation with some of the leaks, as a function of (validation, test)."""

    def evaluate(validation, test):
        fresh = slice(None) if shared else _fresh(validation, test)
        part, kept = (test, slice(None)) if row_on_test else (validation, fresh)
        row = int(np.argmax([_accuracy(part, r, 0.5, kept) for r in range(len(test.p))]))
        part, kept = (test, slice(None)) if threshold_on_test else (validation, fresh)
        threshold = max(THRESHOLDS, key=lambda t: _accuracy(part, row, t, kept))
        return row, threshold, _accuracy(test, row, threshold)

    return evaluate


LEAKS = {  # argument of `leaky` -> (id, message)
    "row_on_test": (
        "alpha-on-test",
        "flip the test labels, and another α comes out",
    ),
    "threshold_on_test": (
        "threshold-on-test",
        "flip the test labels, and another threshold comes out",
    ),
    "shared": (
        "rewordings",
        "validation still holds rewordings of test tweets, and to choose on those is to choose on "
        "test",
    ),
}


def _leaks(flags: dict) -> Misconception:
    leaks = [LEAKS[name] for name, on in flags.items() if on]
    number = "1 leak is" if len(leaks) == 1 else f"{len(leaks)} leaks are"
    return Misconception(
        "leak-" + "-and-".join(id for id, _ in leaks),
        f"{number} left: {'; and '.join(message for _, message in leaks)}.",
        leaky(**flags),
    )


def _on_validation(validation, test):
    row, threshold, _ = fair_score(validation, test)
    return row, threshold, _accuracy(validation, row, threshold, _fresh(validation, test))


def _on_all_of_validation(validation, test):
    row, threshold, _ = leaky(shared=True)(validation, test)
    return row, threshold, _accuracy(validation, row, threshold)


def _test_without_rewordings(validation, test):
    row, threshold, _ = leaky(shared=True)(validation, test)
    return row, threshold, _accuracy(test, row, threshold, _fresh(test, validation))


def _both_without_rewordings(validation, test):
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
    """The evaluation with the choices made on the tweets of validation that `mark` selects."""

    def evaluate(validation, test):
        kept = mark(validation, test)
        right = [(one >= 0.5)[kept] == validation.y[kept] for one in validation.p]
        row = int(np.argmax([one.sum() for one in right]))
        by_threshold = [((validation.p[row] >= t) == validation.y)[kept].sum() for t in thresholds]
        threshold = thresholds[int(np.argmax(by_threshold))]
        return row, threshold, _accuracy(test, row, threshold)

    return evaluate


def _one_per_group(validation, test):
    _, first = np.unique(validation.group, return_index=True)
    return np.isin(np.arange(len(validation.y)), first)


def _only_rewordings(validation, test):
    return ~_fresh(validation, test)


# Where test makes both choices, rewordings add nothing.
WAYS_TO_LEAK = [
    dict(zip(LEAKS, on, strict=True)) for on in product((False, True), repeat=3) if 0 < sum(on) < 3
]

DATA_LEAKAGE = Exercise(
    id="sentiment.data_leakage",
    title="find the leaks",
    spec=spec,
    inputs=inputs,
    misconceptions=(
        *map(_leaks, WAYS_TO_LEAK),
        Misconception(
            "scored-on-validation",
            "The choices are right, but the accuracy is that of the tweets they were made on, "
            "which flatters. Which part has not been used yet?",
            _on_validation,
        ),
        Misconception(
            "scored-on-validation-with-rewordings",
            "The accuracy is that of the tweets the choices were made on, which flatters. And the "
            "choices use rewordings of test tweets.",
            _on_all_of_validation,
        ),
        Misconception(
            "smaller-test",
            "You take the rewordings out of the test part. That stops the leak, but makes another "
            "test, whose scores compare with nobody's. Take them out of the other part.",
            _test_without_rewordings,
        ),
        Misconception(
            "both-parts-smaller",
            "The choices are right, but tweets are missing from the test part. It has to stay "
            "whole.",
            _both_without_rewordings,
        ),
        Misconception(
            "joint-choice",
            "No leak, but another way to choose: α and threshold together. The colleague takes the "
            "α at the threshold .5 first, then the threshold for this α.",
            _jointly,
        ),
        Misconception(
            "mask-inverted",
            "You choose on the rewordings of test tweets alone: exclude exactly these.",
            _chosen_on(_only_rewordings),
        ),
        Misconception(
            "drops-duplicates-within-validation",
            "Of the tweets that are alike inside validation you keep one. Those do no harm: look "
            "for tweets that are alike in validation and in test.",
            _chosen_on(_one_per_group),
        ),
        Misconception(
            "other-thresholds",
            "No leak, but other thresholds: the colleague tries those of `THRESHOLDS`.",
            _chosen_on(_fresh, np.linspace(0.01, 0.99, 99)),
        ),
        Misconception(
            "fixed-threshold",
            "No leak, but the threshold stays at .5. The colleague chooses it, too.",
            _chosen_on(_fresh, (0.5,)),
        ),
        Misconception(
            "pools-validation-and-test",
            "Validation and test choose together here: so the test labels choose, too.",
            _pooled,
        ),
    ),
    hints=(
        "Go through the lines, and ask of each choice: which labels does it see? Then ask the same "
        "of the *texts*: `group` says which tweets of validation have a rewording in test.",
        "`fresh = ~np.isin(validation.group, test.group)` marks the validation tweets that may "
        "choose. Both choices read `validation.p[:, fresh]` and `validation.y[fresh]`; `test` is "
        "read once, in the last line.",
    ),
    solution=fair_score,
)
