"""The exercises of the sentiment case; tuning a threshold is here, the others beside."""

from itertools import count

import numpy as np

from rmlib.exercises.framework.exercise import Exercise, Lesson, Misconception
from rmlib.studies.bootstrap import MEASURES, counts

from .confidence_intervals import PAIRED_BOOTSTRAP
from .data_leakage import DATA_LEAKAGE
from .verdict import VERDICT

GRID = [round(0.01 * k, 2) for k in range(1, 100)]


def _slow_counts(p, y, threshold) -> tuple[int, int, int]:
    """(true positives, false positives, false negatives), item by item."""
    tp = fp = fn = 0
    for probability, label in zip(p, y, strict=True):
        if probability >= threshold and label == 1:
            tp += 1
        elif probability >= threshold:
            fp += 1
        elif label == 1:
            fn += 1
    return tp, fp, fn


def _slow_f1(tp: int, fp: int, fn: int) -> float:
    return 2 * tp / (2 * tp + fp + fn) if tp else 0.0


def threshold_spec(p, y) -> float:
    """The first threshold that no other beats."""
    best = 0.01
    best_f1 = -1.0
    for threshold in GRID:
        f1 = _slow_f1(*_slow_counts(p, y, threshold))
        if f1 > best_f1:
            best, best_f1 = threshold, f1
    return best


def threshold_inputs(seed: int):
    """Probabilities that are no threshold themselves, and labels with one best way to cut."""
    for attempt in count():
        rng = np.random.default_rng([seed, attempt])
        n = int(rng.integers(15, 50))
        y = (rng.random(n) < (0.1, 0.3, 0.5)[seed % 3]).astype(int)
        z = rng.normal(size=n) + 1.5 * y - rng.uniform(0, 3)
        if seed in (10, 11):
            y[:] = seed - 10  # no positive; nothing but positives
        if seed in (8, 9):
            z *= 30  # confident, and sometimes wrong
        p = 1 / (1 + np.exp(-z))
        if seed == 0:
            p, y = np.array([0.905, 0.352, 0.313, 0.124, 0.055]), np.array([1, 1, 0, 0, 0])
        by_threshold = [_slow_counts(p, y, t) for t in GRID]
        best = max(_slow_f1(*at) for at in by_threshold)
        best_cuts = {at for at in by_threshold if _slow_f1(*at) == best}
        on_the_grid = np.abs(p[:, None] - np.array(GRID)).min() <= 1e-12
        if not on_the_grid and (len(best_cuts) == 1 or not y.any()):
            return p, y


def best_threshold(p, y):
    """p, y: (items,) probabilities and labels 0 or 1."""
    thresholds = np.linspace(0.01, 0.99, 99)
    f1 = [MEASURES["f1"](counts(y, p >= t)) for t in thresholds]
    return float(thresholds[int(np.argmax(f1))])


def _first(indices: list[int]) -> int:
    return indices[0]


def _last(indices: list[int]) -> int:
    return indices[-1]


def _middle(indices: list[int]) -> int:
    return indices[len(indices) // 2]


def _tuned(score=None, grid=GRID, tie=_first, called=np.greater_equal, give="threshold"):
    """A threshold that is tuned in another way.

    Args:
        score: of the counts; F1 where None.
        grid: the thresholds to try.
        tie: from the indices of equally good thresholds to one.
        called: (p, threshold) -> which items are called positive.
        give: "threshold", "score" or "index".
    """

    def tuned(p, y):
        measure = score or MEASURES["f1"]
        scores = [float(measure(counts(y, called(p, t)))) for t in grid]
        i = tie([i for i, value in enumerate(scores) if value == max(scores)])
        return {"threshold": grid[i], "score": scores[i], "index": i}[give]

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


TUNE_THRESHOLD = Exercise(
    id="sentiment.tune_threshold",
    title="tune a threshold",
    spec=threshold_spec,
    inputs=threshold_inputs,
    misconceptions=(
        Misconception(
            "not-tuned",
            ".5 is where tuning starts: try all the thresholds, and keep the best.",
            lambda p, y: 0.5,
        ),
        Misconception(
            "best-accuracy",
            "This threshold is best for the accuracy. The exercise asks for the best F1: with few "
            "positives the two differ.",
            _tuned(MEASURES["accuracy"]),
        ),
        Misconception(
            "best-macro-f1",
            "This is the threshold with the best mean of both classes' F1. The exercise asks for "
            "the F1 of the positives.",
            _tuned(_macro),
        ),
        Misconception(
            "best-balanced-accuracy",
            "This is the threshold with the best balanced accuracy. The exercise asks for the best "
            "F1 of the positives.",
            _tuned(MEASURES["balanced_accuracy"]),
        ),
        Misconception(
            "none-without-positives",
            "It gives None where there is no positive: then every F1 is 0, and .01 is the first of "
            "equals.",
            _none_without_positives,
        ),
        Misconception(
            "nan-as-largest",
            "At some thresholds your F1 is 0 / 0, that is nan, and `argmax` takes nan for the "
            "largest. Where no positive is found, F1 is 0.",
            _largest_with_nan,
        ),
        Misconception(
            "last-of-equals",
            "Right F1, but the largest threshold that reaches it. Of equals, take the smallest.",
            _tuned(tie=_last),
        ),
        Misconception(
            "middle-of-equals",
            "Right F1, but from the middle of the thresholds that reach it. Of equals, take the "
            "smallest.",
            _tuned(tie=_middle),
        ),
        Misconception(
            "score-for-threshold",
            "This is the best F1 itself. Return the threshold that reaches it.",
            _tuned(give="score"),
        ),
        Misconception(
            "index-for-threshold",
            "This is the index of the threshold in the list. Return the threshold.",
            _tuned(give="index"),
        ),
        Misconception(
            "low-called-positive",
            "The low probabilities are called positive here. Positive is what lies at the "
            "threshold or above.",
            _tuned(called=np.less_equal),
        ),
        Misconception(
            "coarse-grid",
            "The steps are too coarse: the thresholds go up by .01.",
            _tuned(grid=[round(0.1 * k, 1) for k in range(1, 10)]),
        ),
        Misconception(
            "grid-from-0",
            "The first threshold is .01, not 0: at 0 everything is called positive.",
            _tuned(grid=[0.0, *GRID]),
        ),
        Misconception(
            "grid-of-probabilities",
            "This is one of the probabilities. The thresholds to try are .01, .02, … .99.",
            _of_the_probabilities,
        ),
    ),
    hints=(
        '`MEASURES["f1"](counts(y, p >= t))` is the F1 at one threshold t.',
        "Make a list of the F1 at every threshold of `np.linspace(0.01, 0.99, 99)`; `np.argmax` "
        "gives the index of the first of equals.",
    ),
    solution=best_threshold,
)

check = Lesson(q1=TUNE_THRESHOLD, q2=DATA_LEAKAGE, q3=PAIRED_BOOTSTRAP, q4=VERDICT)
