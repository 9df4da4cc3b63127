"""The checks on a study, on answers that students give."""

import math

import numpy as np
from scipy import stats

from rmlib.exercises.study.exercises import check, set_f1, tuned_f1, verdict_spec, which_stand
from tests.exercises.common import (
    accepted,
    depends_on_its_spec,
    rejected,
)

# q1


def by_hand(differences):
    names = []
    for name, d in differences.items():
        half = stats.t.ppf(0.975, len(d) - 1) * np.std(d, ddof=1) / np.sqrt(len(d))
        if abs(np.mean(d)) > half:
            names.append(name)
    return set(names)


def one_sided(differences):
    return {
        n
        for n, d in differences.items()
        if stats.ttest_1samp(d, 0).confidence_interval(0.95).low > 0
    }


def normal(differences):
    return {
        n
        for n, d in differences.items()
        if abs(np.mean(d)) > 1.96 * np.std(d, ddof=1) / math.sqrt(len(d))
    }


def single(differences):
    return {
        n
        for n, d in differences.items()
        if abs(np.mean(d)) > stats.t.ppf(0.975, len(d) - 1) * np.std(d, ddof=1)
    }


def test_q1_which_stand():
    accepted(check.q1, which_stand)
    accepted(check.q1, by_hand)
    rejected(check.q1, lambda ds: {n for n, d in ds.items() if np.mean(d) > 0}, "mean-above-0")
    rejected(check.q1, one_sided, "gains-only")
    rejected(check.q1, normal, "normal-quantile")
    rejected(check.q1, single, "interval-of-single-seeds")
    rejected(check.q1, lambda ds: set(ds) - by_hand(ds), "complement")
    depends_on_its_spec(check.q1, which_stand, lambda ds: set(ds))


# q2


def with_a_loop(rows, method):
    total, seeds = 0.0, sorted({r["seed"] for r in rows})
    for seed in seeds:
        own = sorted(
            (r for r in rows if (r["method"], r["seed"]) == (method, seed)),
            key=lambda r: -r["dev_f1"],
        )
        total += own[0]["f1"]
    return total / len(seeds)


def peeking(rows, method):
    seeds = {r["seed"] for r in rows}
    return np.mean(
        [max(r["f1"] for r in rows if r["method"] == method and r["seed"] == s) for s in seeds]
    )


def reports_dev(rows, method):
    seeds = {r["seed"] for r in rows}
    return np.mean(
        [max(r["dev_f1"] for r in rows if r["method"] == method and r["seed"] == s) for s in seeds]
    )


def best_alpha(rows, method):
    own = [r for r in rows if r["method"] == method]
    alphas = {r["alpha"] for r in own}
    alpha = max(alphas, key=lambda a: np.mean([r["dev_f1"] for r in own if r["alpha"] == a]))
    return np.mean([r["f1"] for r in own if r["alpha"] == alpha])


def any_method(rows, method):
    seeds = {r["seed"] for r in rows}
    return np.mean(
        [max((r for r in rows if r["seed"] == s), key=lambda r: r["dev_f1"])["f1"] for s in seeds]
    )


def test_q2_a_fair_score():
    accepted(check.q2, tuned_f1)
    accepted(check.q2, with_a_loop)
    rejected(check.q2, peeking, "chosen-on-test")
    rejected(check.q2, reports_dev, "reports-dev")
    rejected(check.q2, best_alpha, "one-alpha-for-all-seeds")
    rejected(check.q2, any_method, "other-methods-too")
    rejected(
        check.q2,
        lambda rows, m: np.mean([r["f1"] for r in rows if r["method"] == m]),
        "mean-over-alphas",
    )
    depends_on_its_spec(check.q2, tuned_f1, lambda rows, m: tuned_f1(rows, m) + 0.01)


# q3


def with_precision_and_recall(right, found, gold):
    if not right.sum():
        return 0.0
    precision, recall = right.sum() / found.sum(), right.sum() / gold.sum()
    return 2 * precision * recall / (precision + recall)


def of_each(right, found, gold):
    return np.mean(
        [2 * r / (f + g) if f + g else 0.0 for r, f, g in zip(right, found, gold, strict=True)]
    )


def of_each_with_names(right, found, gold):
    f1 = [2 * r / (f + g) for r, f, g in zip(right, found, gold, strict=True) if f + g]
    return np.mean(f1) if f1 else 0.0


def test_q3_whose_f1():
    accepted(check.q3, set_f1)
    accepted(check.q3, with_precision_and_recall)
    rejected(check.q3, of_each, "mean-of-sentences")
    rejected(check.q3, of_each_with_names, "mean-of-sentences-with-names")
    rejected(check.q3, lambda r, f, g: r.sum() / max(f.sum(), 1), "precision")
    rejected(check.q3, lambda r, f, g: r.sum() / max(g.sum(), 1), "recall")
    rejected(check.q3, lambda r, f, g: set_f1(r, f, g) / 2, "half")
    rejected(
        check.q3,
        lambda r, f, g: 2 * r.sum() / (int(f.sum()) + int(g.sum())) if f.sum() else None,
        "returns-none",
    )
    depends_on_its_spec(check.q3, set_f1, of_each)


# q4


def test_q4_the_verdict():
    right = verdict_spec()
    accepted(check.q4, dict(right))
    accepted(
        check.q4,
        right | {"difference": round(right["difference"], 4), "low": round(right["low"], 3)},
    )
    rejected(check.q4, right | {"control": "ce, half lr"}, "weaker-control")
    rejected(
        check.q4,
        right | {"difference": right["difference"] + 0.05},
        "wrong-difference",
    )
    rejected(check.q4, right | {"low": right["high"], "high": right["low"]}, "ends-swapped")
    rejected(check.q4, right | {"high": right["high"] + 0.05}, "wrong-interval")
    rejected(check.q4, right | {"stands": not right["stands"]}, "wrong-stands")
    rejected(check.q4, right | {"stands": "no"}, "wrong-form")
    rejected(check.q4, right | {"difference": math.nan}, "wrong-difference")
    rejected(check.q4, right | {"high": math.nan}, "wrong-interval")
    rejected(check.q4, right | {"low": None}, "incomplete")
    rejected(check.q4, right | {"low": "small"}, "wrong-form")
    rejected(check.q4, 0.3, "wrong-form")
    broken = {"difference": right["difference"] + 0.1}
    depends_on_its_spec(check.q4, right, lambda: right | broken)
    assert "strongest_control(table)" in check.q4.solution().markdown
