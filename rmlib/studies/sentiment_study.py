"""The study of lesson 06: every method under every condition, on several seeds, in one table.

    rmlib study sentiment

A row is one run: the head that validation chose among the trials of a method, its test scores, and what it says of
every test item (`predicted`, the bits as hexadecimal digits), from which any difference can be bootstrapped again.
"""

import numpy as np
import pandas as pd

from .bootstrap import MEASURES, Effect, Pair, counts, over_seeds_and_items
from .sentiment_data import CONDITIONS, make_split
from .sentiment_methods import CONTROLS, METHODS, Run, scores, train
from .table import Study

SEEDS = 10


def sentiment_study(seeds: int = SEEDS) -> Study:
    """The study; what it does for a row is `one_run`."""
    runs = [
        {"condition": condition, "seed": seed, "method": method}
        for condition in CONDITIONS
        for seed in range(seeds)
        for method in METHODS
    ]
    return Study("sentiment", f"rmlib study sentiment --seeds {seeds}", runs, one_run)


def one_run(condition: str, seed: int, method: str) -> dict:
    """The rest of a row; see the head of this file. All scores in [0, 1]."""
    split = make_split(condition, seed)
    run = train(split, METHODS[method])
    chosen = {name: getattr(run, name) for name in Run._fields if name != "test"}
    bits = "".join("1" if p >= run.threshold else "0" for p in run.test)
    return chosen | scores(split.test.y, run) | {"predicted": f"{int(bits, 2):0{-(-len(bits) // 4)}x}"}


def answers(condition: str, seed: int, predicted: str) -> tuple:
    """(numbers, labels, answers) of the test tweets of a row: the truth, and what is packed in `predicted`."""
    test = make_split(condition, seed).test
    bits = f"{int(predicted, 16):0{len(test.y)}b}"
    return test.tweets, test.y, np.array(list(bits)).astype(int)


def pairs(table: pd.DataFrame, condition: str, control: str, method: str) -> list[Pair]:
    """The answers of two methods, seed by seed."""
    rows = table[table["condition"] == condition].pivot(index="seed", columns="method", values="predicted")
    found = []
    for seed, row in rows.iterrows():
        (items, y, a), (_, _, b) = (answers(condition, int(seed), row[name]) for name in (control, method))
        found.append(Pair(items, counts(y[:, None], a[:, None]), counts(y[:, None], b[:, None])))
    return found


def strongest_control(table: pd.DataFrame, condition: str) -> str:
    """The control with the best mean *test* score. Nobody could have known it beforehand: the choice is a present to
    the controls, so that a reward that beats this one beats them all."""
    rows = table[(table["condition"] == condition) & table["method"].isin(list(CONTROLS))]
    return rows.groupby("method", sort=False)[CONDITIONS[condition].measure].mean().idxmax()


def effect(table: pd.DataFrame, condition: str, control: str, method: str, confidence: float = 0.95) -> Effect:
    """How much better a method is than a control, in the measure of the condition, on the test tweets."""
    measure = MEASURES[CONDITIONS[condition].measure]
    return over_seeds_and_items(measure, pairs(table, condition, control, method), confidence=confidence)


def against_controls(table: pd.DataFrame, conditions: list[str], methods: list[str]) -> pd.DataFrame:
    """Each method against the strongest control of each condition.

    Returns:
        columns `condition`, `method`, `control`, `difference` (of the measure of the condition), `low` and `high` of
        the 95 % interval, `all_low` and `all_high` of one so wide that all intervals of the table hold together 19
        times in 20 (Bonferroni).
    """
    together = 1 - 0.05 / (len(conditions) * len(methods))
    rows = []
    for condition in conditions:
        control = strongest_control(table, condition)
        for method in methods:
            one, wide = (effect(table, condition, control, method, c) for c in (0.95, together))
            rows.append((condition, method, control, *one, wide.low, wide.high))
    columns = ["condition", "method", "control", "difference", "low", "high", "all_low", "all_high"]
    return pd.DataFrame(rows, columns=columns)


def verdict(found: pd.DataFrame) -> str:
    """What a table of `against_controls` comes to, in words."""
    won, lost = int((found["all_low"] > 0).sum()), int((found["all_high"] < 0).sum())
    best = found.loc[found["difference"].idxmax()]
    effect = Effect(best["difference"], best["low"], best["high"])
    return (
        f"{len(found)} comparisons with the strongest control: {won} won, {lost} lost, {len(found) - won - lost} "
        "undecided, by intervals that hold together.\n"
        f"The best case: {best['method']} under {best['condition']!r}, {effect} against {best['control']!r}."
    )
