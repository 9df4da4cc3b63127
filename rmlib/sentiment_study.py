"""The study of lesson 06: every method under every condition, on several seeds, in one table.

    rmlib study sentiment

A row is one run: the head that validation chose among the trials of a method, its test scores, and what it says of
every test item (`predicted`, the bits as hexadecimal digits), from which any difference can be bootstrapped again.
"""

import numpy as np
import pandas as pd

from .bootstrap import MEASURES, Effect, Pair, counts, over_seeds_and_items
from .sentiment import CONDITIONS, make_split
from .studies import Study
from .trials import CONTROLS, METHODS, Run, scores, train

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
    """The control with the best mean *validation* score: what a careful person would have taken."""
    rows = table[(table["condition"] == condition) & table["method"].isin(list(CONTROLS))]
    return rows.groupby("method", sort=False)["validation"].mean().idxmax()


def effect(table: pd.DataFrame, condition: str, control: str, method: str, confidence: float = 0.95) -> Effect:
    """How much better a method is than a control, in the measure of the condition, on the test tweets."""
    measure = MEASURES[CONDITIONS[condition].measure]
    return over_seeds_and_items(measure, pairs(table, condition, control, method), confidence=confidence)
