"""The checks of lesson 05, the live lab. Exercise 4 is in `fair05`, the questions are in `questions05`."""

import math
import random

from rmlib.exercises.framework.exercise import Exercise, Lesson, NotYet
from rmlib.exercises.framework.sandbox import LearnersError

from .fair_comparison import FAIR_PAIRS
from .quiz import QUESTIONS

__all__ = ["QUESTIONS", "check"]

STOPS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, math.inf)  # of the slider, above 0


# Exercise 1: what was in force? ---------------------------------------------------------------------------------------


def in_force(moves, tick, start):
    alpha = start
    for move in moves:
        if move["control"] == "alpha" and move["tick"] <= tick:
            alpha = move["value"]
    return alpha


def _backwards(moves, tick, start):
    """From the tick back to the beginning: the last alpha that was set at the first tick that has one."""
    for now in range(tick, -1, -1):
        set_here = [move["value"] for move in moves if move["tick"] == now and move["control"] == "alpha"]
        if set_here:
            return set_here[-1]
    return start


def _a_log(seed):
    """A log of up to nine moves, often two before one step; the first two are empty or begin late."""
    draw = random.Random(seed)
    ticks = sorted(draw.randrange(8) for _ in range(0 if seed == 0 else 4 + seed % 6))
    ticks = [tick + 5 for tick in ticks] if seed == 1 else ticks
    values = {"alpha": STOPS + (0.0, 0.0, 0.0), "reward": ("gce", "soft_f1"), "lr_factor": (0.5, 2.0)}
    moves = []
    for tick in ticks:
        control = draw.choice(["alpha", "alpha", "alpha", "reward", "lr_factor"])
        moves.append({"tick": tick, "control": control, "value": draw.choice(values[control])})
    return moves, draw.randrange(2, 9), draw.choice([0.25, 5.0])


def _only(moves, **wanted):
    return [move for move in moves if all(move[key] == value for key, value in wanted.items())]


def _any_control(moves, tick, start):
    return in_force([move | {"control": "alpha"} for move in moves], tick, start)


def _first_move(moves, tick, start):
    return next((move["value"] for move in _only(moves, control="alpha") if move["tick"] <= tick), start)


def _exact_tick(moves, tick, start):
    return in_force(_only(moves, tick=tick), tick, start)


def _newest_move(moves, tick, start):
    newest = [move for move in moves if move["tick"] <= tick][-1:]
    return in_force(newest, tick, start)


def _first_of_a_tick(moves, tick, start):
    seen = [move for move in _only(moves, control="alpha") if move["tick"] <= tick]
    return max(seen, key=lambda move: move["tick"])["value"] if seen else start


WHAT_WAS_IN_FORCE = Exercise(
    title="what was in force?",
    spec=_backwards,
    inputs=_a_log,
    mistakes={
        "one step late: a move with tick 5 came into force before step 5, so at tick 5 it counts already": (
            lambda moves, tick, start: in_force(moves, tick - 1, start)
        ),
        "it returns values of other controls too, such as the name of a reward: look at the control of each move": (
            _any_control
        ),
        "it returns the first move of alpha that counts; a later one replaces it": _first_move,
        "it does not look at the tick: a move that comes later is not in force yet": (
            lambda moves, tick, start: in_force(moves, math.inf, start)
        ),
        "it finds a move only at exactly this tick; a value stays in force until the next move": _exact_tick,
        "it looks at the newest move alone; when that one moved another control, alpha was set by an older one": (
            _newest_move
        ),
        "where two moves of alpha have the same tick it takes the first; the one that stands later in the log wins": (
            _first_of_a_tick
        ),
        "right but where alpha was moved to 0: 0 is a value like any other, but `if alpha` and `or` take it for "
        "nothing": (lambda moves, tick, start: in_force(moves, tick, start) or start),
        "before the first move it returns 0; there alpha is still `start`": (
            lambda moves, tick, start: in_force(moves, tick, 0.0)
        ),
    },
    hints=(
        "Begin with `alpha = start`, walk through the moves in their order, and let each one that counts overwrite it.",
        'A move counts if its control is `"alpha"` and its tick is not after the one asked for.',
    ),
    solution=in_force,
)


# Exercise 2: write a schedule -----------------------------------------------------------------------------------------


def schedule(step, switch=8, first=math.inf, then=0.0):
    return first if step < switch else then


def _step_by_step(step, switch, first, then):
    """The whole plan written out, then looked up."""
    plan = [first for _ in range(switch)]
    while len(plan) <= step:
        plan.append(then)
    return plan[step]


def _a_step(seed):
    """Around the switch, and a switch at 0."""
    draw = random.Random(seed)
    switch = 0 if seed == 0 else draw.randint(3, 6)
    step = (5, switch, switch - 1, 0, switch + 1, switch - 2, 9 * switch)[seed] if seed < 7 else draw.randrange(40)
    return step, switch, (math.inf, 5.0, 2.0)[seed % 3], draw.choice([0.5, 0.25])


def _ramp(step, switch, first, then):
    share = min(step / switch, 1.0) if switch else 1.0
    return then if share == 1.0 else first + share * (then - first)


def _values_left_out(answer, spec) -> None:
    try:
        found = [answer(step) for step in (0, 7, 8, 20)]
    except LearnersError as error:
        raise NotYet(f"right when all four values are given; `schedule(0)` with the others left out: {error}") from None
    if found != [spec(step, 8, math.inf, 0.0) for step in (0, 7, 8, 20)]:
        raise NotYet(
            "right when all four values are given, wrong when three are left out: keep switch=8, first=math.inf and "
            "then=0.0 in the line with `def`"
        )


WRITE_A_SCHEDULE = Exercise(
    title="write a schedule",
    spec=_step_by_step,
    inputs=_a_step,
    mistakes={
        "one step too many has `first`: with switch = 3 the first three steps are 0, 1 and 2": (
            lambda step, switch, first, then: first if step <= switch else then
        ),
        "one step too few has `first`: steps count from 0, so the first three are 0, 1 and 2": (
            lambda step, switch, first, then: first if step < switch - 1 else then
        ),
        "the wrong way round: `first` comes first": (
            lambda step, switch, first, then: then if step < switch else first
        ),
        "only one step is right: `then` holds for every step after the switch, `first` for every step before it": (
            lambda step, switch, first, then: then if step == switch else first
        ),
        "only step 0 has `first`; it is asked for the first `switch` steps": (
            lambda step, switch, first, then: first if step == 0 and switch else then
        ),
        "`first` comes back later: after the switch it is `then` for good": (
            lambda step, switch, first, then: first if switch and step // switch % 2 == 0 else then
        ),
        "it always switches at step 8 to 0: use the values that it is given": (
            lambda step, switch, first, then: math.inf if step < 8 else 0.0
        ),
        "it goes from `first` to `then` little by little; asked for is a jump": _ramp,
    },
    more=_values_left_out,
    hints=(
        "One `if` is enough. Which comparison of `step` with `switch` is true exactly `switch` times, when steps count "
        "from 0?",
        "`step < switch` is true for the steps 0 to `switch - 1`. Return `first` there, and `then` everywhere else.",
    ),
    solution=schedule,
)


# Exercise 3: the alpha that breaks the training -----------------------------------------------------------------------


def breaking(reached):
    broken = [alpha for alpha, f1 in reached.items() if f1 < reached[0.0] / 2]
    return min(broken, default=None)


def _from_below(reached):
    """Up through the stops, until one is broken."""
    for alpha in sorted(reached):
        if 2 * reached[alpha] < reached[0.0]:
            return alpha
    return None


def _a_table(seed):
    """F1 by alpha, not in the order of alpha. Most go up and down; the last five: everything breaks, exactly half is
    reached, nothing breaks, nothing is learnt, there is one entry."""
    draw = random.Random(seed)
    start = 0.0 if seed == 10 else draw.choice([0.375, 0.5, 0.625, 0.75])
    share = {7: (0.0, 0.4), 8: (0.5, 0.5), 9: (0.6, 1.2)}.get(seed, (0.0, 1.4))
    alphas = draw.sample(STOPS, 0 if seed == 11 else 6)
    table = {0.0: start} | {alpha: start * draw.uniform(*share) for alpha in alphas}
    return ({math.inf: 0.1} | table if seed == 1 else table,)


def _broken(reached, limit=None):
    limit = reached[0.0] / 2 if limit is None else limit
    return [alpha for alpha in reached if reached[alpha] < limit]


def _one_before(reached):
    found = breaking(reached)
    return None if found is None else max(alpha for alpha in reached if alpha < found)


def _all_above_too(reached):
    ends = [a for a in reached if all(reached[b] < reached[0.0] / 2 for b in reached if b >= a)]
    return min(ends, default=None)


def _a_fall(reached):
    alphas = sorted(reached)
    falls = (b for a, b in zip(alphas, alphas[1:], strict=False) if reached[b] < reached[a] / 2)
    return next(falls, None)


def _its_f1(reached):
    found = breaking(reached)
    return None if found is None else reached[found]


BREAKING = Exercise(
    title="the α that breaks the training",
    spec=_from_below,
    inputs=_a_table,
    mistakes={
        "it compares with 0.5; half of what? Of the F1 at alpha = 0": (lambda r: min(_broken(r, 0.5), default=None)),
        "exactly half counts as broken with you; asked for is below half": (
            lambda r: min((alpha for alpha in r if r[alpha] <= r[0.0] / 2), default=None)
        ),
        "it returns the largest alpha that breaks the training; asked for is the smallest": (
            lambda r: max(_broken(r), default=None)
        ),
        "it returns the first broken one in the order of the dict; that order need not be the order of alpha": (
            lambda r: next(iter(_broken(r)), None)
        ),
        "it returns the alpha with the worst F1; a smaller one may be broken already": (
            lambda r: min(_broken(r), key=r.get, default=None)
        ),
        "it takes the lowest F1 whether it is broken or not; compare with the F1 at alpha = 0": (
            lambda r: min(r, key=r.get)
        ),
        "below the F1 at alpha = 0 is not broken yet; below half of it is": (
            lambda r: min(_broken(r, r[0.0]), default=None)
        ),
        "it compares with half of the best F1; the one to compare with is that at alpha = 0": (
            lambda r: min(_broken(r, max(r.values()) / 2), default=None)
        ),
        "it compares each alpha with the one before it; compare each with alpha = 0": _a_fall,
        "it returns the last alpha that still works; asked for is the first that does not": _one_before,
        "it returns the largest alpha that still works; asked for is the smallest that does not": (
            lambda r: max(a for a in r if r[a] >= r[0.0] / 2)
        ),
        "it wants every larger alpha to be broken as well; in a noisy table a larger one may get through": (
            _all_above_too
        ),
        "it returns an F1; asked for is the alpha that belongs to it": _its_f1,
        "where nothing breaks it returns 0; alpha = 0 is what the others are compared with: return None there": (
            lambda r: min(_broken(r), default=0.0)
        ),
        "where nothing breaks it returns infinity, but infinity is an alpha, the reward alone: return None there": (
            lambda r: min(_broken(r), default=math.inf)
        ),
    },
    hints=(
        "Two steps: first collect every α whose F1 is below half of `reached[0.0]`, then choose one of them.",
        "`for alpha, f1 in reached.items()` gives you both. `min` of what you collect is the smallest α; of an empty "
        "list it is an error, unless you give it a `default`.",
    ),
    solution=breaking,
)


check = Lesson(q1=WHAT_WAS_IN_FORCE, q2=WRITE_A_SCHEDULE, q3=BREAKING, q4=FAIR_PAIRS)
