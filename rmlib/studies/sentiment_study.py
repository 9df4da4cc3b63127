"""The study of lesson 07: every method under every condition, on several seeds, in one table.

    rmlib study sentiment

Each row is one run: the head selected on validation among the trials of a method, its test scores,
and its prediction for every test item (`predicted`: bits as hexadecimal digits), from which any
difference can be bootstrapped.
"""

import math

import numpy as np
import pandas as pd

from .bootstrap import (
    COMPARISON,
    MEASURES,
    Effect,
    Pair,
    at_confidences,
    counts,
    over_seeds_and_items,
)
from .sentiment_data import CONDITIONS, make_split
from .sentiment_methods import CONTROLS, METHODS, Run, scores, train
from .table import Study

SEEDS = 10


def sentiment_study(seeds: int = SEEDS) -> Study:
    """Return the study, with seeds from 0 up; `one_run` makes a row."""
    runs = [
        {"condition": condition, "seed": seed, "method": method}
        for condition in CONDITIONS
        for seed in range(seeds)
        for method in METHODS
    ]
    return Study("sentiment", f"rmlib study sentiment --seeds {seeds}", runs, one_run)


def one_run(condition: str, seed: int, method: str) -> dict:
    """Train once and return the rest of the row, described at the head of this file.

    Args:
        condition: a key of `CONDITIONS`.
        seed: of the split, the label noise and the training.
        method: a key of `METHODS`.

    Returns:
        the fields of `Run`, the test scores in [0, 1], and `predicted`.
    """
    split = make_split(condition, seed)
    run = train(split, METHODS[method])
    selected = {name: getattr(run, name) for name in Run._fields if name != "test"}
    bits = "".join("1" if p >= run.threshold else "0" for p in run.test)
    digits = math.ceil(len(bits) / 4)
    return selected | scores(split.test.y, run) | {"predicted": f"{int(bits, 2):0{digits}x}"}


def unpack(condition: str, seed: int, predicted: str) -> tuple:
    """Return (indices, labels, predictions) of the test tweets of a row.

    The predictions are those packed in `predicted`.
    """
    test = make_split(condition, seed).test
    bits = f"{int(predicted, 16):0{len(test.y)}b}"
    return test.tweets, test.y, np.array(list(bits)).astype(int)


def pairs(table: pd.DataFrame, condition: str, control: str, method: str) -> list[Pair]:
    """Pair the predictions of a control and a method seed by seed."""
    rows = table[table["condition"] == condition].pivot(
        index="seed", columns="method", values="predicted"
    )
    result = []
    for seed, row in rows.iterrows():
        items, y, a = unpack(condition, int(seed), row[control])
        _, _, b = unpack(condition, int(seed), row[method])
        result.append(Pair(items, counts(y[:, None], a[:, None]), counts(y[:, None], b[:, None])))
    return result


def strongest_control(table: pd.DataFrame, condition: str) -> str:
    """Return the control with the best mean *test* score.

    This is conservative: the best control is chosen on test, so a reward that beats it beats every
    control.
    """
    rows = table[(table["condition"] == condition) & table["method"].isin(list(CONTROLS))]
    return rows.groupby("method", sort=False)[CONDITIONS[condition].measure].mean().idxmax()


def effect(
    table: pd.DataFrame, condition: str, control: str, method: str, confidence: float = 0.95
) -> Effect:
    """Return the difference on the test tweets, method minus control, in the condition's measure.

    Args:
        table: of the study.
        condition: a key of `CONDITIONS`.
        control, method: keys of `METHODS`.
        confidence: of the interval, in (0, 1).
    """
    measure = MEASURES[CONDITIONS[condition].measure]
    return over_seeds_and_items(
        measure, pairs(table, condition, control, method), confidence=confidence
    )


def against_controls(
    table: pd.DataFrame, conditions: list[str], methods: list[str]
) -> pd.DataFrame:
    """Compare each method with the strongest control under each condition.

    Returns:
        columns `condition`, `method`, `control`, `difference` (in the condition's measure), `low`
        and `high` of the 95 % interval, and `all_low` and `all_high` of the simultaneous 95 %
        interval over all rows (Bonferroni).
    """
    joint = 1 - 0.05 / (len(conditions) * len(methods))
    rows = []
    for condition in conditions:
        control = strongest_control(table, condition)
        for method in methods:
            single, wide = at_confidences(
                MEASURES[CONDITIONS[condition].measure],
                pairs(table, condition, control, method),
                (0.95, joint),
            )
            rows.append((condition, method, control, *single, wide.low, wide.high))
    return pd.DataFrame(rows, columns=COMPARISON)


def verdict(comparisons: pd.DataFrame) -> str:
    """Summarise a table of `against_controls` in words."""
    won = int((comparisons["all_low"] > 0).sum())
    lost = int((comparisons["all_high"] < 0).sum())
    undecided = len(comparisons) - won - lost
    best = comparisons.loc[comparisons["difference"].idxmax()]
    largest = Effect(best["difference"], best["low"], best["high"])
    return (
        f"{len(comparisons)} comparisons with the strongest control: {won} won, {lost} lost, "
        f"{undecided} undecided, by intervals that hold together.\n"
        f"The best case: {best['method']} under {best['condition']!r}, {largest} against "
        f"{best['control']!r}."
    )
