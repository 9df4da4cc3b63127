"""The exercise on an interval that knows that splits share items: the delete-a-group jackknife."""

import math

import torch
from scipy.stats import norm
from scipy.stats import t as student

from rmlib.exercises.framework.exercise import Exercise, Misconception


def jackknife_slowly(whole, tenths):
    """The interval, number by number."""
    groups = len(tenths)
    mean = sum(float(value) for value in tenths) / groups
    squares = 0.0
    for value in tenths:
        squares += (float(value) - mean) ** 2
    half = student.ppf(0.975, groups - 1) * math.sqrt((groups - 1) / groups * squares)
    return whole - half, whole + half


def some_results(seed):
    """A difference, and the differences without each group."""
    random = torch.Generator().manual_seed(seed)
    groups = 5 + seed % 7
    middle = 0.04 * float(torch.randn((), generator=random, dtype=torch.float64))
    spread = torch.randn(groups, generator=random, dtype=torch.float64)
    return middle, middle + 0.01 * spread


def _half(width, quantile=lambda groups: student.ppf(0.975, groups - 1)):
    """A mistake in half of the interval: width(values), times the quantile."""

    def wrong(whole, tenths):
        half = quantile(len(tenths)) * float(width(tenths))
        return whole - half, whole + half

    return wrong


def _standard_error(values):
    return (len(values) - 1) / len(values) ** 0.5 * values.std()


def _deviations_from_whole(whole, tenths):
    groups = len(tenths)
    squares = float(((tenths - whole) ** 2).sum())
    half = student.ppf(0.975, groups - 1) * ((groups - 1) / groups * squares) ** 0.5
    return whole - half, whole + half


def jackknife(whole, tenths):
    """95 % interval (low, high). tenths (groups,): the difference without each group of items."""
    groups = len(tenths)
    squares = ((tenths - tenths.mean()) ** 2).sum()
    half = student.ppf(0.975, groups - 1) * ((groups - 1) / groups * squares) ** 0.5
    return whole - half, whole + half


JACKKNIFE = Exercise(
    id="surrogates.jackknife",
    title="an interval over items",
    spec=jackknife_slowly,
    inputs=some_results,
    misconceptions=(
        Misconception(
            "as-if-independent",
            "these are the standard deviation and √G of independent results. Yours share nearly "
            "all of their items and differ too little: (G − 1)/G times the sum of the squares",
            _half(lambda values: values.std() / len(values) ** 0.5),
        ),
        Misconception(
            "standard-deviation",
            "this is the standard deviation of the results, as if they had nothing in common. The "
            "sum of the squares is multiplied by (G − 1)/G, not divided by G − 1",
            _half(lambda values: values.std()),
        ),
        Misconception(
            "mean-of-squares",
            "you took the mean of the squares; the formula has their sum",
            _half(lambda values: _standard_error(values) / len(values) ** 0.5),
        ),
        Misconception(
            "no-root",
            "this is the variance; the standard error is its root",
            _half(lambda values: _standard_error(values) ** 2),
        ),
        Misconception(
            "without-quantile",
            "this is one standard error on each side. For 95 % it is multiplied by Student's "
            "quantile",
            _half(_standard_error, lambda groups: 1.0),
        ),
        Misconception(
            "normal-quantile",
            "1.96 is for many groups. With so few use Student's quantile with G − 1 degrees of "
            "freedom",
            _half(_standard_error, lambda groups: norm.ppf(0.975)),
        ),
        Misconception(
            "rounded-normal-quantile",
            "1.96 is the normal quantile, for many groups. With so few use Student's, "
            "`student.ppf(0.975, G - 1)`",
            _half(_standard_error, lambda groups: 1.96),
        ),
        Misconception(
            "deviations-from-whole",
            "the deviations are from `whole` here; the formula has the mean of the G values",
            _deviations_from_whole,
        ),
        Misconception(
            "one-sided",
            "the quantile leaves 5 % on each side: take 0.975, not 0.95",
            _half(_standard_error, lambda groups: student.ppf(0.95, groups - 1)),
        ),
        Misconception(
            "degrees-of-freedom",
            "the degrees of freedom are G − 1",
            _half(_standard_error, lambda groups: student.ppf(0.975, groups)),
        ),
        Misconception(
            "around-the-mean",
            "the middle of the interval is the result with all items, `whole`",
            lambda whole, tenths: jackknife_slowly(float(tenths.mean()), tenths),
        ),
    ),
    hints=(
        "First the deviations of the G values from their own mean, squared and added up. Multiply "
        "by (G − 1)/G and take the root: that is the standard error.",
        "Half of the interval is `student.ppf(0.975, G - 1)` standard errors. Return `whole` minus "
        "and `whole` plus this half.",
    ),
    solution=jackknife,
)
