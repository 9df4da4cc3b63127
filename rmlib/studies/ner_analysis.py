"""Analysis of the NER study's table: differences with intervals, selection on dev, ranks with ties.

A *candidate* has one row per seed: a fixed setting, or the setting selected on dev for each seed.
Two candidates are compared seed by seed on the same test sentences.
"""

from itertools import combinations

import numpy as np
import pandas as pd

from rmlib.errors import RmlibValueError
from rmlib.studies.ner_errors import ERROR_TYPES

from .bootstrap import (
    COMPARISON,
    Effect,
    Pair,
    at_confidences,
    f1,
    over_seeds,
    over_seeds_and_items,
)
from .ner_study import CONTROLS

TYPES = ("PER", "ORG", "LOC", "MISC")


def setting(table: pd.DataFrame, method: str, alpha: float = 0.0) -> pd.DataFrame:
    """Return the rows of one setting, indexed by seed.

    Raises:
        RmlibValueError: the table has no such row.
    """
    rows = table[(table["method"] == method) & (table["alpha"] == alpha)]
    if rows.empty:
        raise RmlibValueError(f"the table has no run of {method!r} with α = {alpha:g}")
    return rows.set_index("seed").sort_index()


def by_dev(table: pd.DataFrame, methods, moved: bool = False) -> pd.DataFrame:
    """Select for each seed the row that is best on dev; of equal rows, the first.

    Args:
        table: of the study.
        methods: the methods to select from, with any α.
        moved: select by the dev F1 after the threshold for "O" was tuned.
    """
    rows = table[table["method"].isin(list(methods))]
    best = rows.groupby("seed")["dev_f1_moved" if moved else "dev_f1"].idxmax()
    return rows.loc[best].set_index("seed").sort_index()


def sentence_counts(row: pd.Series, moved: bool = False) -> np.ndarray:
    """Count true positive, false positive and false negative entities of each test sentence.

    Returns:
        (sentences, 4), in the layout of `bootstrap.counts`; true negatives are 0.
    """
    suffix = "_moved" if moved else ""
    gold, correct, predicted = (
        np.frombuffer(bytes.fromhex(row[name]), np.uint8).astype(int)
        for name in ("gold", "right" + suffix, "found" + suffix)
    )
    return np.stack([correct, predicted - correct, gold - correct, np.zeros_like(gold)], -1)


def compare(
    control: pd.DataFrame,
    method: pd.DataFrame,
    control_moved: bool = False,
    moved: bool = False,
    confidence: float = 0.95,
) -> Effect:
    """Return the difference in entity F1, method minus control, on the seeds that both have.

    Args:
        control, method: rows indexed by seed.
        control_moved, moved: use the runs with the tuned threshold for "O".
        confidence: of the interval, in (0, 1).

    Raises:
        RmlibValueError: they have no seed in common.
    """
    pairs = pairs_of(control, method, control_moved, moved)
    return over_seeds_and_items(f1, pairs, confidence=confidence)


def pairs_of(
    control: pd.DataFrame, method: pd.DataFrame, control_moved: bool = False, moved: bool = False
) -> list[Pair]:
    """Pair the sentence counts of two candidates seed by seed; see `compare`."""
    seeds = control.index.intersection(method.index)
    if seeds.empty:
        raise RmlibValueError("the two have no seed in common")
    pairs = []
    for seed in seeds:
        of_control = sentence_counts(control.loc[seed], control_moved)
        of_method = sentence_counts(method.loc[seed], moved)
        pairs.append(Pair(np.arange(len(of_control)), of_control, of_method))
    return pairs


def strongest_control(table: pd.DataFrame) -> tuple[str, pd.DataFrame, bool]:
    """Return the name of the control with the best mean *test* F1, its rows, and if "O" was moved.

    This is conservative: the best control is chosen on test, so a reward that beats it beats every
    control.
    """
    names = [name for name in CONTROLS if (table["method"] == name).any()]
    options = [(name, setting(table, name), moved) for name in names for moved in (False, True)]
    if len(names) > 1:
        options += [
            ("ce, lr by dev", by_dev(table, names, moved), moved) for moved in (False, True)
        ]

    def mean_f1(option) -> float:
        _, rows, moved = option
        return rows["f1_moved" if moved else "f1"].mean()

    name, rows, moved = max(options, key=mean_f1)
    return name + (", O moved" if moved else ""), rows, moved


def against_control(table: pd.DataFrame, corpus: str) -> pd.DataFrame:
    """Compare each reward, its α selected on dev, with the strongest control.

    Each reward is compared twice: with and without a tuned threshold for "O".

    Returns:
        columns as in `sentiment_study.against_controls`, with the corpus as `condition`.
    """
    control, rows, control_moved = strongest_control(table)
    rewards = [name for name in dict.fromkeys(table["method"]) if name not in CONTROLS]
    joint = 1 - 0.05 / (2 * len(rewards))
    comparisons = []
    for reward in rewards:
        for moved in (False, True):
            method = reward + (", O moved" if moved else "")
            selected = by_dev(table, [reward], moved)
            pairs = pairs_of(rows, selected, control_moved, moved)
            single, wide = at_confidences(f1, pairs, (0.95, joint))
            comparisons.append((corpus, method, control, *single, wide.low, wide.high))
    return pd.DataFrame(comparisons, columns=COMPARISON)


def changes(
    control: pd.DataFrame, method: pd.DataFrame, columns=None, confidence: float = 0.95
) -> pd.DataFrame:
    """Return the mean difference of each column over the seeds, with its Student interval.

    Args:
        control, method: rows indexed by seed.
        columns: of the table; left out, F1, precision, recall, F1 by type, the numbers of errors
            by type, and the calibration error.
        confidence: of each interval, in (0, 1).

    Returns:
        one row per column, with `control` and `method` (means), `difference`, `low` and `high`.
    """
    columns = columns or [
        "f1",
        "precision",
        "recall",
        *(f"f1_{t}" for t in TYPES),
        *ERROR_TYPES,
        "calibration_error",
    ]
    seeds = control.index.intersection(method.index)
    effects = {
        name: over_seeds(method.loc[seeds, name] - control.loc[seeds, name], confidence)
        for name in columns
    }
    return pd.DataFrame(
        {
            "control": {name: control.loc[seeds, name].mean() for name in columns},
            "method": {name: method.loc[seeds, name].mean() for name in columns},
            "difference": {name: effect.mean for name, effect in effects.items()},
            "low": {name: effect.low for name, effect in effects.items()},
            "high": {name: effect.high for name, effect in effects.items()},
        }
    )


def ranks(table: pd.DataFrame) -> pd.DataFrame:
    """Return the range of ranks of every setting.

    One setting beats another if the simultaneous (Bonferroni) interval of their difference excludes
    0. The best rank of a setting is 1 plus the number of settings that beat it; its worst is the
    number of settings that it does not beat. Settings without a common rank differ; settings with
    overlapping ranks may be tied.

    Returns:
        columns `method`, `alpha`, `f1` (mean), `best`, `worst`; the highest mean first.
    """
    keys = list(dict.fromkeys(zip(table["method"], table["alpha"], strict=True)))
    rows = [setting(table, *key) for key in keys]
    pairs = list(combinations(range(len(keys)), 2))
    beats = np.zeros((len(keys), len(keys)), bool)
    for a, b in pairs:
        effect = compare(rows[a], rows[b], confidence=1 - 0.05 / len(pairs))
        beats[a, b] = effect.high < 0
        beats[b, a] = effect.low > 0
    ranking = pd.DataFrame(keys, columns=["method", "alpha"])
    ranking["f1"] = [candidate["f1"].mean() for candidate in rows]
    ranking["best"] = 1 + beats.sum(0)
    ranking["worst"] = len(keys) - beats.sum(1)
    return ranking.sort_values("f1", ascending=False).reset_index(drop=True)
