"""The checks of the sentiment case, on answers that students give."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from rmlib.exercises.sentiment import data_leakage
from rmlib.exercises.sentiment.data_leakage import THRESHOLDS, Scored
from rmlib.exercises.sentiment.exercises import (
    best_threshold,
    check,
    threshold_inputs,
    threshold_spec,
)
from rmlib.exercises.sentiment.quiz import QUESTIONS
from rmlib.studies.bootstrap import MEASURES, counts
from tests.exercises.common import (
    accepted,
    depends_on_its_spec,
    rejected,
)


def test_the_number_of_the_self_test():
    assert QUESTIONS[2].right == pytest.approx(20 * 2 * 0.05)


# Exercise 1: tune a threshold

GRID = np.linspace(0.01, 0.99, 99)


def f1s(p, y, grid=GRID):
    return [MEASURES["f1"](counts(y, p >= t)) for t in grid]


def best_of(p, y, grid):
    return grid[np.argmax(f1s(p, y, grid))]


def test_thresholds_other_ways_to_write_it():
    def in_plain_python(p, y):
        best = (-1.0, None)
        for k in range(1, 100):
            called = [one >= k / 100 for one in p]
            tp = sum(c and label == 1 for c, label in zip(called, y, strict=True))
            value = tp / (tp + 0.5 * (sum(called) + sum(y) - 2 * tp)) if tp else 0
            if value > best[0]:
                best = (value, k / 100)
        return best[1]

    def all_at_once(p, y):
        thresholds = np.arange(1, 100) / 100
        called = p[None] >= thresholds[:, None]
        tp = (called * y).sum(1)
        return thresholds[np.argmax(2 * tp / np.maximum(called.sum(1) + y.sum(), 1))]

    def precision_and_recall(p, y):
        best, best_f1 = 0.01, 0.0
        for t in np.linspace(0.01, 0.99, 99):
            found = p >= t
            if (found & (y == 1)).sum() == 0:
                continue
            precision, recall = y[found].mean(), found[y == 1].mean()
            value = 2 * precision * recall / (precision + recall)
            if value > best_f1 + 1e-12:
                best, best_f1 = t, value
        return best

    for right in (in_plain_python, all_at_once, precision_and_recall):
        accepted(check.q1, right)


def test_thresholds_wrong_ways():
    rejected(check.q1, lambda p, y: 0.5, "not-tuned")

    def by_accuracy(p, y):
        thresholds = np.linspace(0.01, 0.99, 99)
        return thresholds[np.argmax([((p >= t) == y).mean() for t in thresholds])]

    rejected(check.q1, by_accuracy, "best-accuracy")

    def last_of_equals(p, y):
        best, best_f1 = None, 0
        for t in np.linspace(0.01, 0.99, 99):
            value = MEASURES["f1"](counts(y, p >= t))
            if value >= best_f1:
                best, best_f1 = t, value
        return best

    rejected(check.q1, last_of_equals, "last-of-equals")
    rejected(check.q1, lambda p, y: max(f1s(p, y)), "score-for-threshold")
    rejected(check.q1, lambda p, y: np.argmax(f1s(p, y)), "index-for-threshold")
    rejected(
        check.q1,
        lambda p, y: best_of(p, y, np.linspace(0, 0.99, 100)),
        "grid-from-0",
    )
    rejected(check.q1, lambda p, y: best_of(p, y, np.linspace(0.1, 0.9, 9)), "coarse-grid")
    rejected(check.q1, lambda p, y: best_of(p, y, np.unique(p)), "grid-of-probabilities")
    rejected(check.q1, lambda p, y: -best_of(-p, y, -GRID), "low-called-positive")
    rejected(check.q1, lambda p, y: None, "returns-none")

    def with_nan(p, y):
        with np.errstate(invalid="ignore", divide="ignore"):
            n = np.array([counts(y, p >= t) for t in GRID])
            precision, recall = n[:, 0] / n[:, :2].sum(1), n[:, 0] / (n[:, 0] + n[:, 2])
            return GRID[np.argmax(2 * precision * recall / (precision + recall))]

    def from_zero(p, y):
        best, best_f1 = None, 0
        for t, value in zip(GRID, f1s(p, y), strict=True):
            if value > best_f1:
                best, best_f1 = t, value
        return best

    rejected(check.q1, with_nan, "nan-as-largest")
    rejected(check.q1, from_zero, "none-without-positives")
    rejected(check.q1, lambda p, y: p.sort() or best_threshold(p, y), "changes-its-arguments")


def test_thresholds_depend_on_the_spec():
    depends_on_its_spec(check.q1, best_threshold, lambda p, y: threshold_spec(p, y) + 0.01)


def test_the_threshold_spec_agrees_with_sklearn_and_the_inputs_have_the_edge_cases():
    draws = [threshold_inputs(seed) for seed in range(12)]
    for p, y in draws[::3]:
        f1 = [f1_score(y, p >= k / 100, zero_division=0) for k in range(1, 100)]
        assert threshold_spec(p, y) == pytest.approx((1 + int(np.argmax(f1))) / 100)
    assert not draws[10][1].any() and draws[11][1].all() and (draws[8][0] < 1e-6).any()


# Exercise 2: find the leaks


def colleagues_score(validation, test):
    """As in the lesson."""
    row = int(np.argmax([((p >= 0.5) == test.y).mean() for p in test.p]))
    p = validation.p[row]
    threshold = max(THRESHOLDS, key=lambda t: ((p >= t) == validation.y).mean())
    return row, threshold, float(((test.p[row] >= threshold) == test.y).mean())


def only_the_alpha_repaired(validation, test):
    row = int(np.argmax([((p >= 0.5) == validation.y).mean() for p in validation.p]))
    p = validation.p[row]
    threshold = max(THRESHOLDS, key=lambda t: ((p >= t) == validation.y).mean())
    return row, threshold, float(((test.p[row] >= threshold) == test.y).mean())


def only_the_rewordings_repaired(validation, test):
    fresh = ~np.isin(validation.group, test.group)
    return colleagues_score(
        Scored(validation.p[:, fresh], validation.y[fresh], validation.group[fresh]), test
    )


def test_leaks_other_ways_to_write_it():
    def with_a_set(validation, test):
        seen = set(test.group.tolist())
        mask = np.array([g not in seen for g in validation.group])
        row = ((validation.p[:, mask] >= 0.5) == validation.y[mask]).mean(axis=1).argmax()
        values = [((validation.p[row, mask] >= t) == validation.y[mask]).sum() for t in THRESHOLDS]
        threshold = THRESHOLDS[values.index(max(values))]
        return row, threshold, np.mean((test.p[row] >= threshold) == test.y)

    def with_the_other_parts_function(validation, test):
        kept = [i for i, g in enumerate(validation.group) if g not in test.group]
        return only_the_alpha_repaired(
            Scored(validation.p[:, kept], validation.y[kept], validation.group[kept]), test
        )

    accepted(check.q2, with_a_set)
    accepted(check.q2, with_the_other_parts_function)


def test_each_leak_is_recognized():
    rejected(
        check.q2,
        colleagues_score,
        "leak-alpha-on-test-and-rewordings",
    )
    rejected(check.q2, only_the_alpha_repaired, "leak-rewordings")
    rejected(
        check.q2,
        only_the_rewordings_repaired,
        "leak-alpha-on-test",
    )

    def threshold_on_test(validation, test):
        fresh = ~np.isin(validation.group, test.group)
        row = int(
            np.argmax([((p >= 0.5) == validation.y[fresh]).mean() for p in validation.p[:, fresh]])
        )
        right = [((test.p[row] >= t) == test.y).mean() for t in THRESHOLDS]
        return row, THRESHOLDS[int(np.argmax(right))], max(right)

    rejected(
        check.q2,
        threshold_on_test,
        "leak-threshold-on-test",
    )


def test_other_mistakes_about_leaks_are_recognized():
    def scored_on_validation(validation, test):
        row, threshold, _ = data_leakage.fair_score(validation, test)
        fresh = ~np.isin(validation.group, test.group)
        return (
            row,
            threshold,
            ((validation.p[row, fresh] >= threshold) == validation.y[fresh]).mean(),
        )

    def test_made_smaller(validation, test):
        fresh = ~np.isin(test.group, validation.group)
        return only_the_alpha_repaired(
            validation, Scored(test.p[:, fresh], test.y[fresh], test.group[fresh])
        )

    def turned_mask(validation, test):
        mask = np.isin(validation.group, test.group)
        row = int(np.argmax(((validation.p[:, mask] >= 0.5) == validation.y[mask]).sum(1)))
        right = [((validation.p[row, mask] >= t) == validation.y[mask]).sum() for t in THRESHOLDS]
        threshold = THRESHOLDS[int(np.argmax(right))]
        return row, threshold, ((test.p[row] >= threshold) == test.y).mean()

    rejected(check.q2, scored_on_validation, "scored-on-validation")
    rejected(check.q2, test_made_smaller, "smaller-test")
    rejected(check.q2, turned_mask, "mask-inverted")

    def together(validation, test):
        p, y = np.concatenate([validation.p, test.p], 1), np.concatenate([validation.y, test.y])
        row = int(np.argmax([((one >= 0.5) == y).mean() for one in p]))
        threshold = max(THRESHOLDS, key=lambda t: ((p[row] >= t) == y).mean())
        return row, threshold, ((test.p[row] >= threshold) == test.y).mean()

    def alike_inside(validation, test):
        _, kept = np.unique(validation.group, return_index=True)
        return only_the_alpha_repaired(
            Scored(validation.p[:, kept], validation.y[kept], validation.group[kept]), test
        )

    def no_threshold(validation, test):
        row, _, _ = data_leakage.fair_score(validation, test)
        return row, 0.5, ((test.p[row] >= 0.5) == test.y).mean()

    rejected(check.q2, together, "pools-validation-and-test")
    rejected(check.q2, alike_inside, "drops-duplicates-within-validation")
    rejected(check.q2, no_threshold, "fixed-threshold")
    rejected(
        check.q2,
        lambda validation, test: data_leakage.fair_score(validation, test)[2],
        "wrong-number-of-values",
    )


def test_leaks_depend_on_the_spec():
    depends_on_its_spec(check.q2, data_leakage.fair_score, data_leakage.leaky(shared=True))
    depends_on_its_spec(check.q2, data_leakage.fair_score, data_leakage.leaky(row_on_test=True))


def test_leaks_find_something_in_pure_chance_and_the_fair_score_does_not():
    problems = [data_leakage.problem(np.random.default_rng(seed)) for seed in range(200)]

    def mean(evaluate):
        return np.mean([evaluate(*one)[2] for one in problems])

    assert (
        abs(mean(data_leakage.fair_score) - 0.5) < 0.011
    )  # three standard errors of 200 × 100 tweets
    assert mean(data_leakage.leaky(shared=True)) > 0.515 and mean(colleagues_score) > 0.55


def test_leaks_the_fair_score_is_blind_to_the_test_labels():
    for seed in range(12):
        validation, test = data_leakage.inputs(seed)
        turned = test._replace(y=1 - test.y)
        a, b = data_leakage.spec(validation, test), data_leakage.spec(validation, turned)
        assert a[:2] == b[:2] and a[2] == pytest.approx(1 - b[2])
