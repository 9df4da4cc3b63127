"""The checks of lesson 06: tune a threshold, find the leaks, bootstrap an interval, write the verdict."""

from itertools import count

import numpy as np

from rmlib.exercises.framework.exercise import Exercise, Lesson
from rmlib.studies.bootstrap import MEASURES, counts

from . import confidence_intervals, data_leakage, verdict

# Exercise 1: tune a threshold -----------------------------------------------------------------------------------------

GRID = [round(0.01 * k, 2) for k in range(1, 100)]


def _slow_counts(p, y, threshold) -> tuple[int, int, int]:
    """(true positives, false positives, false negatives), item by item."""
    tp = fp = fn = 0
    for one, label in zip(p, y, strict=True):
        if one >= threshold and label == 1:
            tp += 1
        elif one >= threshold:
            fp += 1
        elif label == 1:
            fn += 1
    return tp, fp, fn


def _slow_f1(tp: int, fp: int, fn: int) -> float:
    return 2 * tp / (2 * tp + fp + fn) if tp else 0.0


def threshold_spec(p, y) -> float:
    """The first threshold that no other beats."""
    best, best_f1 = 0.01, -1.0
    for threshold in GRID:
        found = _slow_f1(*_slow_counts(p, y, threshold))
        if found > best_f1:
            best, best_f1 = threshold, found
    return best


def threshold_inputs(seed: int):
    """Probabilities that are no threshold themselves, and labels for which one way to cut is better than all others."""
    for attempt in count():
        rng = np.random.default_rng([seed, attempt])
        n = int(rng.integers(15, 50))
        y = (rng.random(n) < (0.1, 0.3, 0.5)[seed % 3]).astype(int)
        z = rng.normal(size=n) + 1.5 * y - rng.uniform(0, 3)
        if seed in (10, 11):
            y[:] = seed - 10  # nothing to find; nothing else there
        if seed in (8, 9):
            z *= 30  # as good as sure, and sometimes wrong
        p = 1 / (1 + np.exp(-z))
        if seed == 0:
            p, y = np.array([0.905, 0.352, 0.313, 0.124, 0.055]), np.array([1, 1, 0, 0, 0])
        cut = [_slow_counts(p, y, t) for t in GRID]
        best = max(_slow_f1(*one) for one in cut)
        ways = {one for one in cut if _slow_f1(*one) == best}
        if np.abs(p[:, None] - np.array(GRID)).min() > 1e-12 and (len(ways) == 1 or not y.any()):
            return p, y


def best_threshold(p, y):
    """p, y: (items,) probabilities and labels 0 or 1."""
    thresholds = np.linspace(0.01, 0.99, 99)
    f1 = [MEASURES["f1"](counts(y, p >= t)) for t in thresholds]
    return float(thresholds[int(np.argmax(f1))])


def _tuned(score=None, grid=GRID, which=0, called=np.greater_equal, give="threshold"):
    """A threshold that is tuned in another way: by another score, on another grid, another one of equals, …"""

    def tuned(p, y):
        found = [float((score or MEASURES["f1"])(counts(y, called(p, t)))) for t in grid]
        best = [i for i, one in enumerate(found) if one == max(found)]
        i = best[len(best) // 2] if which is None else best[which]
        return {"threshold": grid[i], "score": found[i], "place": i}[give]

    return tuned


def _of_the_probabilities(p, y):
    return _tuned(grid=sorted(set(p)))(p, y)


def _none_without_positives(p, y):
    return best_threshold(p, y) if y.any() else None


def _largest_with_nan(p, y):
    """argmax takes the first nan, which 2PR / (P + R) gives where no positive is found."""
    return next((t for t in GRID if not _slow_counts(p, y, t)[0]), best_threshold(p, y))


def _macro(n):
    other = n[..., [3, 2, 1, 0]]
    return (MEASURES["f1"](n) + MEASURES["f1"](other)) / 2


q1 = Exercise(
    title="tune a threshold",
    spec=threshold_spec,
    inputs=threshold_inputs,
    mistakes={
        ".5 is where tuning starts: try all the thresholds, and keep the best.": lambda p, y: 0.5,
        "This threshold is best for the accuracy. Asked is the best F1: with few positives the two part.": _tuned(
            MEASURES["accuracy"]
        ),
        "This is the threshold with the best mean of both classes' F1. Asked is the F1 of the positives.": _tuned(
            _macro
        ),
        "This is the threshold with the best balanced accuracy. Asked is the best F1 of the positives.": _tuned(
            MEASURES["balanced_accuracy"]
        ),
        "It gives None where there is no positive: then every F1 is 0, and .01 is the first of equals.": (
            _none_without_positives
        ),
        "At some thresholds your F1 is 0 / 0, that is nan, and `argmax` takes nan for the largest. Where no positive "
        "is found, F1 is 0.": _largest_with_nan,
        "Right F1, but the largest threshold that reaches it. Of equals, take the smallest.": _tuned(which=-1),
        "Right F1, but from the middle of the thresholds that reach it. Of equals, take the smallest.": _tuned(
            which=None
        ),
        "This is the best F1 itself. Asked is the threshold that reaches it.": _tuned(give="score"),
        "This is the place of the threshold in the list. Asked is the threshold.": _tuned(give="place"),
        "The low probabilities are called positive here. Positive is what lies at the threshold or above.": _tuned(
            called=np.less_equal
        ),
        "The steps are too coarse: the thresholds go up by .01.": _tuned(
            grid=[round(0.1 * k, 1) for k in range(1, 10)]
        ),
        "The first threshold is .01, not 0: at 0 everything is called positive.": _tuned(grid=[0.0, *GRID]),
        "This is one of the probabilities. The thresholds to try are .01, .02, … .99.": _of_the_probabilities,
    },
    hints=(
        '`MEASURES["f1"](counts(y, p >= t))` is the F1 at one threshold t.',
        "Make a list of the F1 at every threshold of `np.linspace(0.01, 0.99, 99)`; `np.argmax` gives the place of the "
        "first of equals.",
    ),
    solution=best_threshold,
)

# Exercise 2: find the leaks -------------------------------------------------------------------------------------------

q2 = Exercise(
    title="find the leaks",
    spec=data_leakage.spec,
    inputs=data_leakage.inputs,
    mistakes=data_leakage.MISTAKES,
    hints=(
        "Go through the lines, and ask of each choice: which labels does it see? Then ask the same of the *texts*: "
        "`group` says which tweets of validation have a rewording in test.",
        "`fresh = ~np.isin(validation.group, test.group)` marks the validation tweets that may choose. Both choices "
        "read `validation.p[:, fresh]` and `validation.y[fresh]`; `test` is read once, in the last line.",
    ),
    solution=data_leakage.fair_score,
)

# The checks -----------------------------------------------------------------------------------------------------------

check = Lesson(q1=q1, q2=q2, q3=confidence_intervals.q3, q4=verdict.q4)
