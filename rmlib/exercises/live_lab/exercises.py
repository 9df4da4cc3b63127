"""The exercises of the live lab: the active α, a schedule, the α that breaks, a fair comparison."""

import math
import random

from rmlib.exercises.framework.exercise import Exercise, Lesson, Misconception, NotYet
from rmlib.exercises.framework.sandbox import LearnersError

from .fair_comparison import FAIR_PAIRS
from .quiz import QUESTIONS

__all__ = ["QUESTIONS", "check"]

STOPS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, math.inf)  # of the slider, above 0


# --- The active α ---------------------------------------------------------------------------------


def active(moves, step_index, start):
    alpha = start
    for move in moves:
        if move["control"] == "alpha" and move["step_index"] <= step_index:
            alpha = move["value"]
    return alpha


def active_backwards(moves, step_index, start):
    """Search the steps backwards: the last alpha that was set at the first step that has one."""
    for step in range(step_index, -1, -1):
        values = [
            move["value"]
            for move in moves
            if move["step_index"] == step and move["control"] == "alpha"
        ]
        if values:
            return values[-1]
    return start


def _log_of_moves(seed):
    """A log of up to nine moves, often two before one step; the first is empty, the second late."""
    draw = random.Random(seed)
    steps = sorted(draw.randrange(8) for _ in range(0 if seed == 0 else 4 + seed % 6))
    if seed == 1:
        steps = [step + 5 for step in steps]
    values = {
        "alpha": STOPS + (0.0, 0.0, 0.0),
        "reward": ("gce", "soft_f1"),
        "lr_factor": (0.5, 2.0),
    }
    moves = []
    for step in steps:
        control = draw.choice(["alpha", "alpha", "alpha", "reward", "lr_factor"])
        value = draw.choice(values[control])
        moves.append({"step_index": step, "control": control, "value": value})
    return moves, draw.randrange(2, 9), draw.choice([0.25, 5.0])


def _alphas_until(moves, step_index):
    """The moves of alpha that count at a step."""
    return [m for m in moves if m["control"] == "alpha" and m["step_index"] <= step_index]


def _any_control(moves, step_index, start):
    return active([move | {"control": "alpha"} for move in moves], step_index, start)


def _first_move(moves, step_index, start):
    counting = _alphas_until(moves, step_index)
    return counting[0]["value"] if counting else start


def _exact_step(moves, step_index, start):
    return active([m for m in moves if m["step_index"] == step_index], step_index, start)


def _newest_move(moves, step_index, start):
    newest = [move for move in moves if move["step_index"] <= step_index][-1:]
    return active(newest, step_index, start)


def _first_of_a_step(moves, step_index, start):
    counting = _alphas_until(moves, step_index)
    return max(counting, key=lambda move: move["step_index"])["value"] if counting else start


ACTIVE_ALPHA = Exercise(
    id="live_lab.active_alpha",
    title="which α was active?",
    spec=active_backwards,
    inputs=_log_of_moves,
    misconceptions=(
        Misconception(
            "one-step-late",
            "one step late: a move with step_index 5 takes effect before step 5, so it counts at "
            "step 5 already",
            lambda moves, step_index, start: active(moves, step_index - 1, start),
        ),
        Misconception(
            "other-controls",
            "it returns values of other controls too, such as the name of a reward: look at the "
            "control of each move",
            _any_control,
        ),
        Misconception(
            "first-move",
            "it returns the first move of alpha that counts; a later one replaces it",
            _first_move,
        ),
        Misconception(
            "ignores-the-step",
            "it ignores step_index: a move that comes later is not active yet",
            lambda moves, step_index, start: active(moves, math.inf, start),
        ),
        Misconception(
            "exact-step",
            "it finds a move only at exactly this step; a value stays active until the next move",
            _exact_step,
        ),
        Misconception(
            "newest-move",
            "it looks at the newest move alone; when that one moved another control, alpha was set "
            "by an older one",
            _newest_move,
        ),
        Misconception(
            "first-of-a-step",
            "where two moves of alpha have the same step_index it takes the first; the later one "
            "in the log wins",
            _first_of_a_step,
        ),
        Misconception(
            "zero-as-false",
            "right except where alpha was moved to 0: 0 is a value like any other, but `if alpha` "
            "and `or` treat it as false",
            lambda moves, step_index, start: active(moves, step_index, start) or start,
        ),
        Misconception(
            "starts-at-0",
            "before the first move it returns 0; there alpha is still `start`",
            lambda moves, step_index, start: active(moves, step_index, 0.0),
        ),
    ),
    hints=(
        "Begin with `alpha = start`, walk through the moves in their order, and let each one that "
        "counts overwrite it.",
        'A move counts if its control is `"alpha"` and its step_index is not after the one in '
        "question.",
    ),
    solution=active,
)


# --- A schedule -----------------------------------------------------------------------------------


def schedule(step, switch=8, first=math.inf, then=0.0):
    return first if step < switch else then


def schedule_as_a_list(step, switch, first, then):
    """Look the step up in the whole plan."""
    plan = [first for _ in range(switch)]
    while len(plan) <= step:
        plan.append(then)
    return plan[step]


def _schedule_inputs(seed):
    """Steps around the switch, and a switch at 0."""
    draw = random.Random(seed)
    switch = 0 if seed == 0 else draw.randint(3, 6)
    if seed < 7:
        step = (5, switch, switch - 1, 0, switch + 1, switch - 2, 9 * switch)[seed]
    else:
        step = draw.randrange(40)
    return step, switch, (math.inf, 5.0, 2.0)[seed % 3], draw.choice([0.5, 0.25])


def _ramp(step, switch, first, then):
    share = min(step / switch, 1.0) if switch else 1.0
    return then if share == 1.0 else first + share * (then - first)


def _defaults(answer, spec) -> None:
    """Call the schedule with its first argument alone."""
    try:
        values = [answer(step) for step in (0, 7, 8, 20)]
    except LearnersError as error:
        raise NotYet(
            "no-defaults",
            f"right with all four arguments; `schedule(0)`, without the last three: {error}",
        ) from None
    if values != [spec(step, 8, math.inf, 0.0) for step in (0, 7, 8, 20)]:
        raise NotYet(
            "other-defaults",
            "right with all four arguments, wrong without the last three: keep switch=8, "
            "first=math.inf and then=0.0 in the line with `def`",
        )


ALPHA_SCHEDULE = Exercise(
    id="live_lab.alpha_schedule",
    title="write a schedule",
    spec=schedule_as_a_list,
    inputs=_schedule_inputs,
    misconceptions=(
        Misconception(
            "one-step-too-many",
            "one step too many has `first`: with switch = 3 the first three steps are 0, 1 and 2",
            lambda step, switch, first, then: first if step <= switch else then,
        ),
        Misconception(
            "one-step-too-few",
            "one step too few has `first`: steps count from 0, so the first three are 0, 1 and 2",
            lambda step, switch, first, then: first if step < switch - 1 else then,
        ),
        Misconception(
            "reversed",
            "reversed: `first` comes first",
            lambda step, switch, first, then: then if step < switch else first,
        ),
        Misconception(
            "one-step-of-then",
            "only one step is right: `then` holds for every step after the switch, `first` for "
            "every step before it",
            lambda step, switch, first, then: then if step == switch else first,
        ),
        Misconception(
            "one-step-of-first",
            "only step 0 has `first`; the first `switch` steps should have it",
            lambda step, switch, first, then: first if step == 0 and switch else then,
        ),
        Misconception(
            "alternates",
            "`first` comes back later: after the switch it is `then` for good",
            lambda step, switch, first, then: first if switch and step // switch % 2 == 0 else then,
        ),
        Misconception(
            "ignores-its-arguments",
            "it always switches at step 8 to 0: use the arguments",
            lambda step, switch, first, then: math.inf if step < 8 else 0.0,
        ),
        Misconception(
            "ramp",
            "it goes from `first` to `then` gradually; the exercise asks for a jump",
            _ramp,
        ),
    ),
    more=_defaults,
    hints=(
        "One `if` is enough. Which comparison of `step` with `switch` is true exactly `switch` "
        "times, when steps count from 0?",
        "`step < switch` is true for the steps 0 to `switch - 1`. Return `first` there, and `then` "
        "everywhere else.",
    ),
    solution=schedule,
)


# --- The α that breaks the training ---------------------------------------------------------------


def breaking(reached):
    broken = [alpha for alpha, f1 in reached.items() if f1 < reached[0.0] / 2]
    return min(broken, default=None)


def breaking_from_below(reached):
    """Try every α in increasing order, until one is broken."""
    for alpha in sorted(reached):
        if 2 * reached[alpha] < reached[0.0]:
            return alpha
    return None


def _f1_by_alpha(seed):
    """F1 by α, not in the order of α.

    Most go up and down; the last five: everything breaks, exactly half is reached, nothing breaks,
    nothing is learnt, there is one entry.
    """
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
    alpha = breaking(reached)
    return None if alpha is None else max(other for other in reached if other < alpha)


def _all_above_too(reached):
    ends = [a for a in reached if all(reached[b] < reached[0.0] / 2 for b in reached if b >= a)]
    return min(ends, default=None)


def _fall_from_the_one_before(reached):
    alphas = sorted(reached)
    falls = (b for a, b in zip(alphas, alphas[1:], strict=False) if reached[b] < reached[a] / 2)
    return next(falls, None)


def _its_f1(reached):
    alpha = breaking(reached)
    return None if alpha is None else reached[alpha]


BREAKING_ALPHA = Exercise(
    id="live_lab.breaking_alpha",
    title="the α that breaks the training",
    spec=breaking_from_below,
    inputs=_f1_by_alpha,
    misconceptions=(
        Misconception(
            "half-of-1",
            "it compares with 0.5; half of what? Of the F1 at alpha = 0",
            lambda r: min(_broken(r, 0.5), default=None),
        ),
        Misconception(
            "exactly-half-is-broken",
            "it counts exactly half as broken; broken is what lies below half",
            lambda r: min((alpha for alpha in r if r[alpha] <= r[0.0] / 2), default=None),
        ),
        Misconception(
            "largest",
            "it returns the largest alpha that breaks the training; return the smallest",
            lambda r: max(_broken(r), default=None),
        ),
        Misconception(
            "order-of-the-dict",
            "it returns the first broken one in the order of the dict; that need not be the order "
            "of alpha",
            lambda r: next(iter(_broken(r)), None),
        ),
        Misconception(
            "worst-broken",
            "it returns the alpha with the worst F1; a smaller one may be broken already",
            lambda r: min(_broken(r), key=r.get, default=None),
        ),
        Misconception(
            "worst",
            "it returns the lowest F1 whether it is broken or not; compare with the F1 at "
            "alpha = 0",
            lambda r: min(r, key=r.get),
        ),
        Misconception(
            "below-alpha-0",
            "below the F1 at alpha = 0 is not broken yet; below half of it is",
            lambda r: min(_broken(r, r[0.0]), default=None),
        ),
        Misconception(
            "half-of-the-best",
            "it compares with half of the best F1; compare with half of the F1 at alpha = 0",
            lambda r: min(_broken(r, max(r.values()) / 2), default=None),
        ),
        Misconception(
            "compares-neighbours",
            "it compares each alpha with the one before it; compare each with alpha = 0",
            _fall_from_the_one_before,
        ),
        Misconception(
            "last-before-it",
            "it returns the last alpha before the first that breaks; return the one that breaks",
            _one_before,
        ),
        Misconception(
            "largest-that-works",
            "it returns the largest alpha that still works; return the smallest that does not",
            lambda r: max(a for a in r if r[a] >= r[0.0] / 2),
        ),
        Misconception(
            "all-larger-ones-too",
            "it wants every larger alpha to be broken as well; in a noisy table a larger one may "
            "get through",
            _all_above_too,
        ),
        Misconception(
            "its-f1",
            "it returns an F1; return the alpha that belongs to it",
            _its_f1,
        ),
        Misconception(
            "0-for-none",
            "where nothing breaks it returns 0; alpha = 0 is what the others are compared with: "
            "return None there",
            lambda r: min(_broken(r), default=0.0),
        ),
        Misconception(
            "infinity-for-none",
            "where nothing breaks it returns infinity, but infinity is an alpha, the reward alone: "
            "return None there",
            lambda r: min(_broken(r), default=math.inf),
        ),
    ),
    hints=(
        "Two steps: first collect every α whose F1 is below half of `reached[0.0]`, then choose "
        "one of them.",
        "`for alpha, f1 in reached.items()` gives you both. `min` of what you collect is the "
        "smallest α; of an empty list it is an error, unless you give it a `default`.",
    ),
    solution=breaking,
)


check = Lesson(q1=ACTIVE_ALPHA, q2=ALPHA_SCHEDULE, q3=BREAKING_ALPHA, q4=FAIR_PAIRS)
