"""The exercise on which branches of a training may be compared to see what α did."""

import math
import random
from itertools import combinations

from rmlib.exercises.framework.exercise import Exercise, Misconception

CONDITIONS = {"seed": (0, 1), "snapshot": ("start", "warm"), "moved": (0, 10), "steps": (20, 40)}
UNFAIR = {  # what is wrong with a pair when a rule ignores the key
    "seed": "have different seeds, and so other batches",
    "snapshot": "began from different snapshots, and so with other weights",
    "moved": "were moved at different steps, and so one had the new alpha for longer",
    "steps": "are not equally long, and training alone raises the F1",
    "alpha": "have the same alpha, and so nothing is tested",
}


def fair_pairs(branches):
    pairs = []
    for (i, one), (j, other) in combinations(enumerate(branches), 2):
        changed = [key for key in one if one[key] != other[key]]
        if changed == ["alpha"]:
            pairs.append((i, j))
    return pairs


def fair_pairs_slowly(branches):
    """Compare every branch with every later one, one condition after the other."""
    pairs = []
    for i in range(len(branches)):
        for j in range(i + 1, len(branches)):
            a = branches[i]
            b = branches[j]
            same_start = a["seed"] == b["seed"] and a["snapshot"] == b["snapshot"]
            same_times = a["steps"] == b["steps"] and a["moved"] == b["moved"]
            if same_start and same_times and a["alpha"] != b["alpha"]:
                pairs.append((i, j))
    return pairs


def _branches(seed):
    """Six to nine branches, each like the first but for α and at most one condition.

    The last two seeds: one branch, none.
    """
    draw = random.Random(seed)
    first = {key: draw.choice(values) for key, values in CONDITIONS.items()} | {"alpha": 0.0}
    branches = [first] if seed < 11 else []
    for _ in range(5 + seed % 4 if seed < 10 else 0):
        branch = first | {"alpha": draw.choice([0.0, 1.0, 10.0, math.inf])}
        changed = draw.choice([None, None, *CONDITIONS])
        if changed:
            others = (value for value in CONDITIONS[changed] if value != first[changed])
            branch[changed] = next(others)
        branches.append(branch)
    draw.shuffle(branches)
    return (branches,)


def _ignoring(keys):
    """Pairs of a rule that ignores some of the five keys."""

    def pairs(branches):
        found = []
        for (i, one), (j, other) in combinations(enumerate(branches), 2):
            alike = all(one[key] == other[key] for key in CONDITIONS if key not in keys)
            if alike and ("alpha" in keys or one["alpha"] != other["alpha"]):
                found.append((i, j))
        return found

    return pairs


def _careless(keys) -> Misconception:
    return Misconception(
        f"ignores-{'-'.join(keys)}",
        f"some of your pairs {'; some '.join(UNFAIR[key] for key in keys)}",
        _ignoring(keys),
    )


def _any_one_change(branches):
    pairs = []
    for (i, one), (j, other) in combinations(enumerate(branches), 2):
        if sum(one[key] != other[key] for key in one) == 1:
            pairs.append((i, j))
    return pairs


def _both_orders(branches, rule=fair_pairs):
    return sorted(rule(branches) + [(j, i) for i, j in rule(branches)])


def _with_alpha_0(branches):
    return [
        (i, j)
        for i, j in fair_pairs(branches)
        if 0.0 in (branches[i]["alpha"], branches[j]["alpha"])
    ]


KEYS_TO_IGNORE = [keys for size in range(1, 6) for keys in combinations(UNFAIR, size)]

FAIR_PAIRS = Exercise(
    id="live_lab.fair_pairs",
    title="design a fair comparison",
    spec=fair_pairs_slowly,
    inputs=_branches,
    misconceptions=(
        *map(_careless, KEYS_TO_IGNORE),
        Misconception(
            "any-one-change",
            "your pairs differ in one thing, but not always in alpha: the question is what alpha "
            "did",
            _any_one_change,
        ),
        Misconception(
            "both-orders",
            "each pair comes twice, in both orders: give it once, the smaller index first",
            _both_orders,
        ),
        Misconception(
            "both-orders-ignores-alpha",
            "each pair comes twice, in both orders, and some have the same alpha, so that nothing "
            "is tested",
            lambda branches: _both_orders(branches, _ignoring(["alpha"])),
        ),
        Misconception(
            "counts-from-1",
            "indices count from 0, as in branches[0]",
            lambda branches: [(i + 1, j + 1) for i, j in fair_pairs(branches)],
        ),
        Misconception(
            "larger-index-first",
            "in your pairs the larger index comes first: expected (i, j) with i < j",
            lambda branches: [(j, i) for i, j in fair_pairs(branches)],
        ),
        Misconception(
            "neighbours-only",
            "only neighbours in the list are compared: a fair partner may stand anywhere in it",
            lambda branches: [(i, j) for i, j in fair_pairs(branches) if j == i + 1],
        ),
        Misconception(
            "alpha-0-only",
            "only pairs with alpha = 0 are there: two other values of alpha can be compared as "
            "fairly",
            _with_alpha_0,
        ),
        Misconception(
            "first-pair-only",
            "it stops at the first pair: is `return` inside the loop?",
            lambda branches: fair_pairs(branches)[:1],
        ),
        Misconception(
            "branches-for-indices",
            "it returns the branches themselves; return their indices in the list",
            lambda branches: [(branches[i], branches[j]) for i, j in fair_pairs(branches)],
        ),
        Misconception(
            "set-for-list",
            "the right pairs, in a set; return a list, in order",
            lambda branches: set(fair_pairs(branches)),
        ),
    ),
    hints=(
        "Go through all pairs of indices, i < j. For each, ask of every key of the two dicts: may "
        "the values differ? Must they?",
        "For two branches `a` and `b`, list the keys in which they differ: `[key for key in a if "
        "a[key] != b[key]]`. For a fair test there is only one list that this may be.",
    ),
    solution=fair_pairs,
)
