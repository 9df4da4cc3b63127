"""The checks of the live lab, on answers that students give."""

import math

import pytest

from rmlib.exercises.live_lab import exercises, fair_comparison
from rmlib.exercises.live_lab.exercises import QUESTIONS, check
from tests.exercises.common import (
    accepted,
    depends_on_its_spec,
    rejected,
)

# Exercise 1


def active_by_filter(moves, step_index, start):
    values = [
        m["value"] for m in moves if m["control"] == "alpha" and m["step_index"] <= step_index
    ]
    return values[-1] if values else start


def active_reversed(moves, step_index, start):
    for m in reversed(moves):
        if m["control"] == "alpha" and not m["step_index"] > step_index:
            return m["value"]
    return start


def too_late(moves, step_index, start):
    for m in moves:
        if m["control"] == "alpha" and m["step_index"] < step_index:
            start = m["value"]
    return start


def whatever_moved(moves, step_index, start):
    for m in moves:
        if m["step_index"] <= step_index:
            start = m["value"]
    return start


def stops_at_the_first(moves, step_index, start):
    for m in moves:
        if m["control"] == "alpha" and m["step_index"] <= step_index:
            return m["value"]
    return start


def ignores_the_step(moves, step_index, start):
    alphas = [m["value"] for m in moves if m["control"] == "alpha"]
    return alphas[-1] if alphas else start


def exactly_then(moves, step_index, start):
    for m in moves:
        if m["control"] == "alpha" and m["step_index"] == step_index:
            start = m["value"]
    return start


def zero_is_nothing(moves, step_index, start):
    alpha = None
    for m in moves:
        if m["control"] == "alpha" and m["step_index"] <= step_index:
            alpha = m["value"]
    return alpha or start


def zero_before_the_first(moves, step_index, start):
    alpha = 0
    for m in moves:
        if m["control"] == "alpha" and m["step_index"] <= step_index:
            alpha = m["value"]
    return alpha


def by_step_as_key(moves, step_index, start):
    earlier = [m for m in moves if m["control"] == "alpha" and m["step_index"] <= step_index]
    return sorted(earlier, key=lambda m: -m["step_index"])[0]["value"] if earlier else start


def sorts_the_log(moves, step_index, start):
    moves.reverse()
    return next(
        (m["value"] for m in moves if m["control"] == "alpha" and m["step_index"] <= step_index),
        start,
    )


def no_return(moves, step_index, start):
    active_reversed(moves, step_index, start)


@pytest.mark.parametrize(
    "wrong, misconception",
    [
        (too_late, "one-step-late"),
        (whatever_moved, "other-controls"),
        (stops_at_the_first, "first-move"),
        (ignores_the_step, "ignores-the-step"),
        (exactly_then, "exact-step"),
        (zero_is_nothing, "zero-as-false"),
        (zero_before_the_first, "starts-at-0"),
        (by_step_as_key, "first-of-a-step"),
        (sorts_the_log, "changes-its-arguments"),
        (no_return, "returns-none"),
        (lambda moves, step_index, start: moves[step_index]["value"], "raises"),
    ],
)
def test_wrong_answers_to_which_alpha_was_active(wrong, misconception):
    rejected(check.q1, wrong, misconception)


@pytest.mark.parametrize("right", [exercises.active, active_by_filter, active_reversed])
def test_right_answers_to_which_alpha_was_active(right):
    depends_on_its_spec(
        check.q1,
        right,
        lambda moves, step_index, start: exercises.active_backwards(moves, step_index, start) + 1,
    )
    depends_on_its_spec(check.q1, right, lambda moves, step_index, start: start)


# Exercise 2


def with_if(step, switch=8, first=math.inf, then=0.0):
    if step >= switch:
        return then
    return first


def from_a_list(step, switch=8, first=math.inf, then=0.0):
    return [first, then][int(step >= switch)]


def without_defaults(step, switch, first, then):
    return first if step < switch else then


def other_defaults(step, switch=10, first=math.inf, then=0.0):
    return first if step < switch else then


@pytest.mark.parametrize(
    "wrong, misconception",
    [
        (
            lambda step, switch=8, first=math.inf, then=0.0: first if step <= switch else then,
            "one-step-too-many",
        ),
        (
            lambda step, switch=8, first=math.inf, then=0.0: first if step + 1 < switch else then,
            "one-step-too-few",
        ),
        (
            lambda step, switch=8, first=math.inf, then=0.0: then if step < switch else first,
            "reversed",
        ),
        (
            lambda step, switch=8, first=math.inf, then=0.0: first if step != switch else then,
            "one-step-of-then",
        ),
        (
            lambda step, switch=8, first=math.inf, then=0.0: math.inf if step < 8 else 0.0,
            "ignores-its-arguments",
        ),
        (without_defaults, "no-defaults"),
        (other_defaults, "other-defaults"),
        (lambda step, switch=8, first=math.inf, then=0.0: first * (step < switch), "nan"),
        (lambda step, switch=8, first=math.inf, then=0.0: [first] * switch + [then], "wrong-type"),
    ],
)
def test_wrong_schedules(wrong, misconception):
    rejected(check.q2, wrong, misconception)


@pytest.mark.parametrize("right", [exercises.schedule, with_if, from_a_list])
def test_right_schedules(right):
    accepted(check.q2, right)
    depends_on_its_spec(check.q2, right, lambda step, switch, first, then: first)
    depends_on_its_spec(
        check.q2, right, lambda step, *rest: exercises.schedule_as_a_list(step + 1, *rest)
    )


# Exercise 3


def breaking_by_loop(reached):
    for alpha in sorted(reached):
        if reached[alpha] < 0.5 * reached[0.0]:
            return alpha


def breaking_by_running_minimum(reached):
    smallest = None
    for alpha, f1 in reached.items():
        if f1 / 0.5 < reached[0.0] and (smallest is None or alpha < smallest):
            smallest = alpha
    return smallest


def in_the_order_of_the_dict(reached):
    for alpha, f1 in reached.items():
        if f1 < reached[0.0] / 2:
            return alpha


def the_worst(reached):
    return min(reached, key=lambda alpha: reached[alpha])


def worst_of_the_broken(reached):
    broken = {a: f for a, f in reached.items() if f < reached[0] / 2}
    return min(broken, key=broken.get) if broken else None


def half_of_the_best(reached):
    best = max(reached.values())
    broken = [a for a, f in reached.items() if f < best / 2]
    return min(broken) if broken else None


def infinity_if_none(reached):
    return min([a for a, f in reached.items() if f < reached[0] / 2] + [math.inf])


def walks_down(reached):
    found = None
    for alpha in sorted(reached, reverse=True):
        if reached[alpha] >= reached[0.0] / 2:
            break
        found = alpha
    return found


@pytest.mark.parametrize(
    "wrong, misconception",
    [
        (
            lambda reached: min((a for a, f in reached.items() if f < 0.5), default=None),
            "half-of-1",
        ),
        (
            lambda r: next((a for a in sorted(r) if r[a] <= r[0.0] / 2), None),
            "exactly-half-is-broken",
        ),
        (
            lambda r: max((a for a in r if r[a] < r[0.0] / 2), default=None),
            "largest",
        ),
        (in_the_order_of_the_dict, "order-of-the-dict"),
        (the_worst, "worst"),
        (worst_of_the_broken, "worst-broken"),
        (half_of_the_best, "half-of-the-best"),
        (lambda r: next((a for a in sorted(r) if r[a] < r[0.0]), None), "below-alpha-0"),
        (lambda r: min((f for f in r.values() if f < r[0.0] / 2), default=None), "wrong-value"),
        (infinity_if_none, "infinity-for-none"),
        (walks_down, "all-larger-ones-too"),
        (lambda r: min(a for a in r if r[a] < r[0.0] / 2), "raises"),
        (10.0, "not-a-function"),
    ],
)
def test_wrong_answers_to_breaking(wrong, misconception):
    rejected(check.q3, wrong, misconception)


@pytest.mark.parametrize(
    "right", [exercises.breaking, breaking_by_loop, breaking_by_running_minimum]
)
def test_right_answers_to_breaking(right):
    accepted(check.q3, right)
    depends_on_its_spec(check.q3, right, lambda reached: None)
    depends_on_its_spec(
        check.q3, right, lambda reached: (exercises.breaking_from_below(reached) or 0.0) + 0.01
    )


def test_the_numbers_of_the_stored_lesson():
    assert exercises.breaking({0.0: 0.461, 3.0: 0.348, 10.0: 0.0}) == 10.0


# Exercise 4


def pairs_if(fair):
    """As students write it: two loops and a condition."""

    def fair_pairs(branches):
        pairs = []
        for i in range(len(branches)):
            for j in range(i + 1, len(branches)):
                if fair(branches[i], branches[j]):
                    pairs.append((i, j))
        return pairs

    return fair_pairs


def agree(a, b, *keys):
    return all(a[key] == b[key] for key in keys)


def both_sides(branches):
    fair = pairs_if(lambda a, b: a | {"alpha": 0} == b | {"alpha": 0} and a != b)(branches)
    return [(i, j) for i in range(9) for j in range(9) if (i, j) in fair or (j, i) in fair]


def neighbours(branches):
    pairs = []
    for i in range(len(branches) - 1):
        a, b = branches[i], branches[i + 1]
        if agree(a, b, "seed", "snapshot", "moved", "steps") and a["alpha"] != b["alpha"]:
            pairs.append((i, i + 1))
    return pairs


def by_groups(branches):
    """Right: branches are grouped by equal conditions, then paired within each group."""
    groups = {}
    for index, branch in enumerate(branches):
        conditions = tuple(branch[key] for key in ("steps", "moved", "snapshot", "seed"))
        groups.setdefault(conditions, []).append(index)
    pairs = [(i, j) for group in groups.values() for i in group for j in group if i < j]
    return sorted(
        pair for pair in pairs if branches[pair[0]]["alpha"] != branches[pair[1]]["alpha"]
    )


ALL = ("seed", "snapshot", "moved", "steps")
no_seed = pairs_if(
    lambda a, b: agree(a, b, "snapshot", "moved", "steps") and a["alpha"] != b["alpha"]
)
no_snapshot = pairs_if(
    lambda a, b: agree(a, b, "seed", "moved", "steps") and a["alpha"] != b["alpha"]
)
seed_and_steps = pairs_if(lambda a, b: agree(a, b, "seed", "steps") and a["alpha"] != b["alpha"])
no_steps = pairs_if(
    lambda a, b: agree(a, b, "seed", "snapshot", "moved") and a["alpha"] != b["alpha"]
)
repeats = pairs_if(lambda a, b: agree(a, b, *ALL))
one_change = pairs_if(lambda a, b: sum(a[key] != b[key] for key in a) == 1)
with_zero = pairs_if(
    lambda a, b: agree(a, b, *ALL) and a["alpha"] != b["alpha"] and 0 in (a["alpha"], b["alpha"])
)
right_loops = pairs_if(lambda a, b: agree(a, b, *ALL) and not agree(a, b, "alpha"))


@pytest.mark.parametrize(
    "wrong, misconception",
    [
        (no_seed, "ignores-seed"),
        (no_snapshot, "ignores-snapshot"),
        (no_steps, "ignores-steps"),
        (seed_and_steps, "ignores-snapshot-moved"),
        (repeats, "ignores-alpha"),
        (one_change, "any-one-change"),
        (both_sides, "both-orders"),
        (neighbours, "neighbours-only"),
        (with_zero, "alpha-0-only"),
        (lambda branches: right_loops(branches)[:1], "first-pair-only"),
        (lambda branches: set(right_loops(branches)), "set-for-list"),
        (
            lambda branches: [(branches[i], branches[j]) for i, j in right_loops(branches)],
            "branches-for-indices",
        ),
        (
            lambda branches: [(a + 1, b + 1) for a, b in right_loops(branches)],
            "counts-from-1",
        ),
        (
            lambda branches: (right_loops(branches) or [None])[0],
            "wrong-value",
        ),
        (lambda branches: len(right_loops(branches)), "wrong-value"),
    ],
)
def test_wrong_answers_to_fair_pairs(wrong, misconception):
    rejected(check.q4, wrong, misconception)


@pytest.mark.parametrize("right", [fair_comparison.fair_pairs, right_loops, by_groups])
def test_right_answers_to_fair_pairs(right):
    accepted(check.q4, right)
    depends_on_its_spec(check.q4, right, no_seed)
    depends_on_its_spec(check.q4, right, lambda branches: [])


# The self-test


def test_the_number_asked_for_is_the_difference_of_the_branches():
    right, before, moved, still = QUESTIONS[0], 0.40, 0.55, 0.62
    assert right.explain(moved - still)[0]
    assert not any(
        right.explain(value)[0] for value in (still - moved, moved - before, still - before)
    )
