"""The checks of lesson 05: what students write, right and wrong, and what they are told."""

import math
from dataclasses import replace

import pytest

from rmlib.exercises.framework.exercise import judge
from rmlib.exercises.framework.quiz import Number
from rmlib.exercises.live_lab import exercises, fair_comparison
from rmlib.exercises.live_lab.exercises import QUESTIONS, check
from tests.exercises.common import accepted, hangs_on_its_spec, helps, not_attempted, raises_under_nbgrader, rejected


def unanswered(*_, **__):
    # YOUR CODE HERE
    ...


def raises_unanswered(*_, **__):
    raise NotImplementedError()


@pytest.mark.parametrize("name", check.checks)
def test_nothing_written_is_not_attempted(name):
    for stub in (unanswered, raises_unanswered, None):
        not_attempted(getattr(check, name), stub)


@pytest.mark.parametrize("name", check.checks)
def test_hints_and_solution_help(name):
    helps(getattr(check, name))


@pytest.mark.parametrize("name", check.checks)
def test_every_mistake_on_the_list_is_told_its_message_and_its_message_alone(name):
    exercise = getattr(check, name).exercise
    assert len(exercise.mistakes) >= 4
    for message, mistake in exercise.mistakes.items():
        found = judge(exercise, mistake)
        assert (found.outcome, found.message) == ("not yet", message)


# Exercise 1


def in_force_by_filter(moves, tick, start):
    values = [m["value"] for m in moves if m["control"] == "alpha" and m["tick"] <= tick]
    return values[-1] if values else start


def in_force_reversed(moves, tick, start):
    for m in reversed(moves):
        if m["control"] == "alpha" and not m["tick"] > tick:
            return m["value"]
    return start


def too_late(moves, tick, start):
    for m in moves:
        if m["control"] == "alpha" and m["tick"] < tick:
            start = m["value"]
    return start


def whatever_moved(moves, tick, start):
    for m in moves:
        if m["tick"] <= tick:
            start = m["value"]
    return start


def stops_at_the_first(moves, tick, start):
    for m in moves:
        if m["control"] == "alpha" and m["tick"] <= tick:
            return m["value"]
    return start


def no_tick(moves, tick, start):
    alphas = [m["value"] for m in moves if m["control"] == "alpha"]
    return alphas[-1] if alphas else start


def exactly_then(moves, tick, start):
    for m in moves:
        if m["control"] == "alpha" and m["tick"] == tick:
            start = m["value"]
    return start


def zero_is_nothing(moves, tick, start):
    alpha = None
    for m in moves:
        if m["control"] == "alpha" and m["tick"] <= tick:
            alpha = m["value"]
    return alpha or start


def zero_before_the_first(moves, tick, start):
    alpha = 0
    for m in moves:
        if m["control"] == "alpha" and m["tick"] <= tick:
            alpha = m["value"]
    return alpha


def by_tick_as_key(moves, tick, start):
    earlier = [m for m in moves if m["control"] == "alpha" and m["tick"] <= tick]
    return sorted(earlier, key=lambda m: -m["tick"])[0]["value"] if earlier else start


def sorts_the_log(moves, tick, start):
    moves.reverse()
    return next((m["value"] for m in moves if m["control"] == "alpha" and m["tick"] <= tick), start)


def no_return(moves, tick, start):
    in_force_reversed(moves, tick, start)


@pytest.mark.parametrize(
    "wrong, fragment",
    [
        (too_late, "one step late"),
        (whatever_moved, "values of other controls"),
        (stops_at_the_first, "a later one replaces it"),
        (no_tick, "a move that comes later"),
        (exactly_then, "stays in force"),
        (zero_is_nothing, "0 is a value like any other"),
        (zero_before_the_first, "alpha is still `start`"),
        (by_tick_as_key, "later in the log"),
        (sorts_the_log, "changes what it is given"),
        (no_return, "returns None"),
        (lambda moves, tick, start: moves[tick]["value"], "IndexError"),
    ],
)
def test_wrong_answers_to_what_was_in_force(wrong, fragment):
    rejected(check.q1, wrong, fragment)


@pytest.mark.parametrize("right", [exercises.in_force, in_force_by_filter, in_force_reversed])
def test_right_answers_to_what_was_in_force(right):
    hangs_on_its_spec(check.q1, right, lambda moves, tick, start: exercises._backwards(moves, tick, start) + 1)
    hangs_on_its_spec(check.q1, right, lambda moves, tick, start: start)


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
    "wrong, fragment",
    [
        (lambda step, switch=8, first=math.inf, then=0.0: first if step <= switch else then, "one step too many"),
        (lambda step, switch=8, first=math.inf, then=0.0: first if step + 1 < switch else then, "one step too few"),
        (lambda step, switch=8, first=math.inf, then=0.0: then if step < switch else first, "wrong way round"),
        (lambda step, switch=8, first=math.inf, then=0.0: first if step != switch else then, "only one step is right"),
        (lambda step, switch=8, first=math.inf, then=0.0: math.inf if step < 8 else 0.0, "always switches at step 8"),
        (without_defaults, "with the others left out"),
        (other_defaults, "keep switch=8"),
        (lambda step, switch=8, first=math.inf, then=0.0: first * (step < switch), "wrong"),
        (lambda step, switch=8, first=math.inf, then=0.0: [first] * switch + [then], "list"),
    ],
)
def test_wrong_schedules(wrong, fragment):
    rejected(check.q2, wrong, fragment)


@pytest.mark.parametrize("right", [exercises.schedule, with_if, from_a_list])
def test_right_schedules(right):
    accepted(check.q2, right)
    hangs_on_its_spec(check.q2, right, lambda step, switch, first, then: first)
    late = replace(check.q2.exercise, spec=lambda step, *rest: exercises._step_by_step(step + 1, *rest))
    assert judge(late, right).outcome == "not yet"


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
    "wrong, fragment",
    [
        (lambda reached: min((a for a, f in reached.items() if f < 0.5), default=None), "half of what?"),
        (lambda r: next((a for a in sorted(r) if r[a] <= r[0.0] / 2), None), "exactly half"),
        (lambda r: max((a for a in r if r[a] < r[0.0] / 2), default=None), "asked for is the smallest"),
        (in_the_order_of_the_dict, "order of the dict"),
        (the_worst, "whether it is broken or not"),
        (worst_of_the_broken, "smaller one may be broken already"),
        (half_of_the_best, "half of the best F1"),
        (lambda r: next((a for a in sorted(r) if r[a] < r[0.0]), None), "not broken yet"),
        (lambda r: min((f for f in r.values() if f < r[0.0] / 2), default=None), "wrong"),
        (infinity_if_none, "return None there"),
        (walks_down, "may get through"),
        (lambda r: min(a for a in r if r[a] < r[0.0] / 2), "ValueError"),
        (10.0, "expected the function itself"),
    ],
)
def test_wrong_answers_to_breaking(wrong, fragment):
    rejected(check.q3, wrong, fragment)


@pytest.mark.parametrize("right", [exercises.breaking, breaking_by_loop, breaking_by_running_minimum])
def test_right_answers_to_breaking(right):
    accepted(check.q3, right)
    hangs_on_its_spec(check.q3, right, lambda reached: None)
    hangs_on_its_spec(check.q3, right, lambda reached: (exercises._from_below(reached) or 0.0) + 0.01)


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
    """Right: branches are put into groups of equal conditions, then paired within each."""
    groups = {}
    for place, one in enumerate(branches):
        groups.setdefault((one["steps"], one["moved"], one["snapshot"], one["seed"]), []).append(place)
    pairs = [(i, j) for group in groups.values() for i in group for j in group if i < j]
    return sorted(pair for pair in pairs if branches[pair[0]]["alpha"] != branches[pair[1]]["alpha"])


ALL = ("seed", "snapshot", "moved", "steps")
no_seed = pairs_if(lambda a, b: agree(a, b, "snapshot", "moved", "steps") and a["alpha"] != b["alpha"])
no_snapshot = pairs_if(lambda a, b: agree(a, b, "seed", "moved", "steps") and a["alpha"] != b["alpha"])
seed_and_steps = pairs_if(lambda a, b: agree(a, b, "seed", "steps") and a["alpha"] != b["alpha"])
no_steps = pairs_if(lambda a, b: agree(a, b, "seed", "snapshot", "moved") and a["alpha"] != b["alpha"])
repeats = pairs_if(lambda a, b: agree(a, b, *ALL))
one_change = pairs_if(lambda a, b: sum(a[key] != b[key] for key in a) == 1)
with_zero = pairs_if(lambda a, b: agree(a, b, *ALL) and a["alpha"] != b["alpha"] and 0 in (a["alpha"], b["alpha"]))
right_loops = pairs_if(lambda a, b: agree(a, b, *ALL) and not agree(a, b, "alpha"))


@pytest.mark.parametrize(
    "wrong, fragment",
    [
        (no_seed, "different seeds"),
        (no_snapshot, "different snapshots"),
        (no_steps, "not equally long"),
        (seed_and_steps, "different snapshots, and so with other weights; some were moved"),
        (repeats, "nothing is tested"),
        (one_change, "not always in alpha"),
        (both_sides, "comes twice"),
        (neighbours, "only neighbours"),
        (with_zero, "only pairs with alpha = 0"),
        (lambda branches: right_loops(branches)[:1], "stops at the first pair"),
        (lambda branches: set(right_loops(branches)), "in a set"),
        (lambda branches: [(branches[i], branches[j]) for i, j in right_loops(branches)], "their places"),
        (lambda branches: [(a + 1, b + 1) for a, b in right_loops(branches)], "places count from 0"),
        (lambda branches: (right_loops(branches) or [None])[0], "it gives (1, 2); expected [(1, 2)"),
        (lambda branches: len(right_loops(branches)), "expected"),
    ],
)
def test_wrong_answers_to_fair_pairs(wrong, fragment):
    rejected(check.q4, wrong, fragment)


@pytest.mark.parametrize("right", [fair_comparison.fair_pairs, right_loops, by_groups])
def test_right_answers_to_fair_pairs(right):
    accepted(check.q4, right)
    hangs_on_its_spec(check.q4, right, no_seed)
    hangs_on_its_spec(check.q4, right, lambda branches: [])


def test_under_nbgrader_a_wrong_answer_raises(monkeypatch):
    raises_under_nbgrader(check.q4, repeats, right_loops, monkeypatch)


# The self-test


def test_three_questions_and_an_explanation_for_whatever_is_answered():
    assert len(QUESTIONS) == 3
    for question in QUESTIONS:
        if isinstance(question, Number):
            told = {question.told(value)[1] for value in (question.right, *(n for n, _ in question.wrong), 99.0)}
            assert question.told(question.right)[0] and len(told) == len(question.wrong) + 2
        else:
            assert len({choice.because for choice in question.choices}) == len(question.choices) >= 3


def test_the_number_asked_for_is_the_difference_of_the_branches():
    right, before, moved, still = QUESTIONS[0], 0.40, 0.55, 0.62
    assert right.told(moved - still)[0]
    assert not any(right.told(value)[0] for value in (still - moved, moved - before, still - before))
