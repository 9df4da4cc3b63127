"""Exercise 4 of lesson 05: which branches of a training may be compared, if the question is what α did?"""

import math
import random
from itertools import combinations

from rmlib.exercises.framework.exercise import Exercise

OTHER = {"seed": (0, 1), "snapshot": ("start", "warm"), "moved": (0, 10), "steps": (20, 40)}
UNFAIR = {  # what a pair is that a careless rule lets through
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


def _one_condition_after_the_other(branches):
    """Every place against every later one."""
    pairs = []
    for i in range(len(branches)):
        for j in range(i + 1, len(branches)):
            same_start = (branches[i]["seed"], branches[i]["snapshot"]) == (
                branches[j]["seed"],
                branches[j]["snapshot"],
            )
            same_length = branches[i]["steps"] == branches[j]["steps"]
            same_moment = branches[i]["moved"] == branches[j]["moved"]
            if same_start and same_length and same_moment and branches[i]["alpha"] != branches[j]["alpha"]:
                pairs.append((i, j))
    return pairs


def _branches(seed):
    """Six to nine branches, each like the first but for α and at most one thing beside it. The last two: one, none."""
    draw = random.Random(seed)
    first = {key: draw.choice(values) for key, values in OTHER.items()} | {"alpha": 0.0}
    branches = [first] if seed < 11 else []
    for _ in range(5 + seed % 4 if seed < 10 else 0):
        branch = first | {"alpha": draw.choice([0.0, 1.0, 10.0, math.inf])}
        changed = draw.choice([None, None, *OTHER])
        if changed:
            branch[changed] = next(value for value in OTHER[changed] if value != first[changed])
        branches.append(branch)
    draw.shuffle(branches)
    return (branches,)


def _careless(ignored):
    """Pairs of a rule that does not look at some of the five."""

    def pairs(branches):
        found = []
        for (i, one), (j, other) in combinations(enumerate(branches), 2):
            alike = all(one[key] == other[key] for key in OTHER if key not in ignored)
            if alike and ("alpha" in ignored or one["alpha"] != other["alpha"]):
                found.append((i, j))
        return found

    return pairs


def _any_one_change(branches):
    found = combinations(enumerate(branches), 2)
    return [(i, j) for (i, one), (j, other) in found if sum(one[key] != other[key] for key in one) == 1]


def _from_each_side(branches, rule=fair_pairs):
    return sorted(rule(branches) + [(j, i) for i, j in rule(branches)])


SETS = [ignored for size in range(1, 6) for ignored in combinations(UNFAIR, size)]

FAIR_PAIRS = Exercise(
    title="design a fair comparison",
    spec=_one_condition_after_the_other,
    inputs=_branches,
    mistakes={
        f"some of your pairs {'; some '.join(UNFAIR[key] for key in ignored)}": _careless(ignored) for ignored in SETS
    }
    | {
        "your pairs differ in one thing, but not always in alpha: asked for is a test of alpha": _any_one_change,
        "each pair comes twice, from either side: give it once, the smaller place first": _from_each_side,
        "each pair comes twice, from either side, and some have the same alpha, so that nothing is tested": (
            lambda branches: _from_each_side(branches, _careless(["alpha"]))
        ),
        "places count from 0, as in branches[0]": lambda branches: [(i + 1, j + 1) for i, j in fair_pairs(branches)],
        "in your pairs the larger place comes first: expected (i, j) with i < j": (
            lambda branches: [(j, i) for i, j in fair_pairs(branches)]
        ),
        "only neighbours in the list are compared: a fair partner may stand anywhere in it": (
            lambda branches: [(i, j) for i, j in fair_pairs(branches) if j == i + 1]
        ),
        "only pairs with alpha = 0 are there: two other values of alpha can be compared as fairly": (
            lambda branches: [
                (i, j) for i, j in fair_pairs(branches) if 0.0 in (branches[i]["alpha"], branches[j]["alpha"])
            ]
        ),
        "it stops at the first pair: is `return` inside the loop?": lambda branches: fair_pairs(branches)[:1],
        "it returns the branches themselves; asked for are their places in the list": (
            lambda branches: [(branches[i], branches[j]) for i, j in fair_pairs(branches)]
        ),
        "the right pairs, in a set; asked for is a list, in order": lambda branches: set(fair_pairs(branches)),
    },
    hints=(
        "Go through all pairs of places, i < j. For each, ask of every entry of the two dicts: may it differ? Must it?",
        "For two branches `a` and `b`, list the keys in which they differ: `[key for key in a if a[key] != b[key]]`. "
        "For a fair test there is only one thing that this list may be.",
    ),
    solution=fair_pairs,
)
