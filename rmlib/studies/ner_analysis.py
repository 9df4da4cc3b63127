"""What the table of the NER study says: differences with their intervals, choices made on dev, ranks that may tie.

A *candidate* is one row a seed: a setting as it stands, or the one that dev chose for each seed. Two candidates are
compared seed by seed on the same test sentences.
"""

from itertools import combinations

import numpy as np
import pandas as pd

from rmlib.errors import RmlibValueError
from rmlib.text.ner_errors import MISTAKES

from .bootstrap import Effect, Pair, f1, over_seeds, over_seeds_and_items
from .ner_study import CONTROLS

TYPES = ("PER", "ORG", "LOC", "MISC")


def setting(table: pd.DataFrame, method: str, alpha: float = 0.0) -> pd.DataFrame:
    """The rows of one setting, by seed.

    Raises:
        RmlibValueError: the table has none.
    """
    rows = table[(table["method"] == method) & (table["alpha"] == alpha)]
    if rows.empty:
        raise RmlibValueError(f"the table has no run of {method!r} with α = {alpha:g}")
    return rows.set_index("seed").sort_index()


def by_dev(table: pd.DataFrame, methods, moved: bool = False) -> pd.DataFrame:
    """For each seed the row of these methods, with any α, that is best on dev; the first of equals. `moved`: the choice
    is made between the runs with a tuned threshold for "O"."""
    rows = table[table["method"].isin(list(methods))]
    best = rows.groupby("seed")["dev_f1_moved" if moved else "dev_f1"].idxmax()
    return rows.loc[best].set_index("seed").sort_index()


def counts(row: pd.Series, moved: bool = False) -> np.ndarray:
    """(sentences, 4): names found, names claimed wrongly, names missed, and 0, on the test sentences of a run."""
    tail = "_moved" if moved else ""
    gold, right, found = (
        np.frombuffer(bytes.fromhex(row[name]), np.uint8).astype(int)
        for name in ("gold", "right" + tail, "found" + tail)
    )
    return np.stack([right, found - right, gold - right, 0 * right], -1)


def compare(
    control: pd.DataFrame,
    method: pd.DataFrame,
    control_moved: bool = False,
    moved: bool = False,
    confidence: float = 0.95,
) -> Effect:
    """How much higher the entity F1 of a candidate is than a control's, on the seeds that both have.

    Raises:
        RmlibValueError: they have no seed in common.
    """
    seeds = control.index.intersection(method.index)
    if seeds.empty:
        raise RmlibValueError("the two have no seed in common")
    pairs = [
        Pair(np.arange(len(a)), a, counts(method.loc[seed], moved))
        for seed in seeds
        for a in [counts(control.loc[seed], control_moved)]
    ]
    return over_seeds_and_items(f1, pairs, confidence=confidence)


def strongest_control(table: pd.DataFrame) -> tuple[str, pd.DataFrame, bool]:
    """The control with the best mean *test* F1: its name, its rows, and whether its "O" is moved. Nobody could have
    known it beforehand: a present to the controls, so that a reward that beats this one beats them all."""
    names = [name for name in CONTROLS if (table["method"] == name).any()]
    tried = {name: setting(table, name) for name in names}
    options = [(name, rows, moved) for name, rows in tried.items() for moved in (False, True)]
    if len(names) > 1:
        options += [("ce, lr by dev", by_dev(table, names, moved), moved) for moved in (False, True)]
    best = max(options, key=lambda one: one[1]["f1_moved" if one[2] else "f1"].mean())
    return best[0] + (", O moved" if best[2] else ""), best[1], best[2]


def against_control(table: pd.DataFrame, corpus: str) -> pd.DataFrame:
    """Each reward with its α chosen on dev, as it is and with "O" moved, against the strongest control.

    Returns:
        columns as `sentiment_study.against_controls`: `condition` (the corpus), `method`, `control`, `difference`,
        `low`, `high` (95 %), `all_low`, `all_high` (so wide that all hold together 19 times in 20).
    """
    control, rows, control_moved = strongest_control(table)
    rewards = [name for name in dict.fromkeys(table["method"]) if name not in CONTROLS]
    together = 1 - 0.05 / (2 * len(rewards))
    found = []
    for reward in rewards:
        for moved in (False, True):
            own = by_dev(table, [reward], moved)
            one, wide = (compare(rows, own, control_moved, moved, c) for c in (0.95, together))
            found.append((corpus, reward + (", O moved" if moved else ""), control, *one, wide.low, wide.high))
    columns = ["condition", "method", "control", "difference", "low", "high", "all_low", "all_high"]
    return pd.DataFrame(found, columns=columns)


def changes(control: pd.DataFrame, method: pd.DataFrame, columns=None, confidence: float = 0.95) -> pd.DataFrame:
    """What else differs between two candidates: the mean difference of each column over the seeds, with Student's
    interval.

    Args:
        columns: of the table; left out, F1, precision, recall, F1 by type, numbers of mistakes, calibration error.
        confidence: of each interval, in (0, 1).
    """
    columns = columns or ["f1", "precision", "recall", *(f"f1_{t}" for t in TYPES), *MISTAKES, "calibration_error"]
    seeds = control.index.intersection(method.index)
    effects = {name: over_seeds(method.loc[seeds, name] - control.loc[seeds, name], confidence) for name in columns}
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
    """Every setting of the table with the ranks that it may have.

    A setting beats another where the interval of their difference, wide enough for all pairs to hold together, lies on
    one side of 0. Its best rank is 1 + how many beat it, its worst how many are left when those that it beats are
    behind it. Of two settings that share no rank, one beats the other; two that share some may be tied or not.

    Returns:
        columns `method`, `alpha`, `f1` (mean), `best`, `worst`; the highest mean first.
    """
    keys = list(dict.fromkeys(zip(table["method"], table["alpha"], strict=True)))
    rows = [setting(table, *key) for key in keys]
    beats, pairs = np.zeros((len(keys), len(keys)), bool), list(combinations(range(len(keys)), 2))
    for a, b in pairs:
        effect = compare(rows[a], rows[b], confidence=1 - 0.05 / len(pairs))
        beats[a, b], beats[b, a] = effect.high < 0, effect.low > 0
    found = pd.DataFrame(keys, columns=["method", "alpha"])
    found["f1"] = [one["f1"].mean() for one in rows]
    found["best"], found["worst"] = 1 + beats.sum(0), len(keys) - beats.sum(1)
    return found.sort_values("f1", ascending=False).reset_index(drop=True)
