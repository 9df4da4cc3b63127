"""Exercise 3 of lesson 02: predict how the reward weighs tokens. Judged by central differences of L."""

import math

import torch

from rmlib.exercises.framework.compare import same
from rmlib.exercises.framework.exercise import Exercise, NotYet, blank
from rmlib.loss.gradients import central_differences


def measured_weights() -> dict:
    """The predictions, from values of L alone: A has p_y = .9, B has p_y = .1."""

    def push(alpha, p_y):
        def loss(z):
            p = 1 / (1 + math.exp(-float(z)))
            return -math.log(p) + alpha * (1 - p)

        at = torch.tensor(math.log(p_y / (1 - p_y)), dtype=torch.float64)
        return abs(float(central_differences(loss, at, 1e-5)))

    shares = [push(alpha, 0.9) / (push(alpha, 0.9) + push(alpha, 0.1)) for alpha in (0, 10)]
    return {
        "factor": push(4, 0.25) / push(0, 0.25),
        "B over A, alpha 0": push(0, 0.1) / push(0, 0.9),
        "B over A, alpha 10": push(10, 0.1) / push(10, 0.9),
        "gains": "A" if shares[1] > shares[0] else "B",
    }


PREDICTIONS = """
predicted = {
    "factor": 1 + 4 * 0.25,  # 1 + α p_y
    "B over A, alpha 0": 0.9 / 0.1,  # the push of cross-entropy is 1 - p_y
    "B over A, alpha 10": (1 + 10 * 0.1) * 0.9 / ((1 + 10 * 0.9) * 0.1),  # the factor, times 1 - p_y
    "gains": "A",  # 1 of 10 parts at α = 0, 1 of 2.8 at α = 10
}
"""
UPSIDE_DOWN = "upside down: asked for is B's push divided by A's"
SLIPS = {
    "factor": {
        1 + 4 * 0.75: "that is 1 + α (1 − p_y), which would favour what is wrong; the weight rises with p_y",
        4 * 0.25: "this is the reward's part alone; the slope of cross-entropy is still there",
        1 + 4: "that would be the factor at p_y = 1",
        (1 + 4) * 0.25: "1 + α p_y is not (1 + α) p_y: the 1 is cross-entropy, it has no p_y on it",
        4 * 0.25 * 0.75: "this is the reward's push itself; asked for is the push of L divided by that of L_p",
        2 * 0.75: "this is the push itself; asked for is how many times the push of cross-entropy it is",
    },
    "B over A, alpha 0": {
        1 / 9: UPSIDE_DOWN,
        0.8: "this is a difference; asked for is how many times",
        1: "their pushes differ: the push of cross-entropy is 1 − p_y",
    },
    "B over A, alpha 10": {
        1 / 1.8: UPSIDE_DOWN,
        9: "that is the ratio at α = 0; now each push has its own factor",
        0.2: "this is the ratio of the factors alone; a push is its factor times 1 − p_y",
        5: "this is the ratio of the factors alone, and upside down; a push is its factor times 1 − p_y",
        45: "you gave the larger factor to B; which of the two has the larger p_y?",
        1: "that is the reward alone; at α = 10 cross-entropy still counts a little",
    },
    "gains": {"B": "both pushes grow, and B's stays the larger one; but look at B's part of the two together"},
}


def judge_weights(answer, spec) -> None:
    """One prediction after the other, each with its own slips."""
    right = spec()
    if not isinstance(answer, dict):
        raise NotYet(f"expected the dict with your four predictions, found {answer!r:.60}")
    for name, expected in right.items():
        given = answer.get(name)
        if blank(given):
            raise NotYet(f"{name!r} has no prediction yet")
        if isinstance(expected, str):
            given = str(given).strip().upper()
        elif isinstance(given, str):
            raise NotYet(f"{name!r} is {given!r}; expected a number")
        if not same(given, expected, 0.01):
            if isinstance(expected, str) and given not in ("A", "B"):
                raise NotYet(f"{name!r} is {given!r}; expected 'A' or 'B'")
            why = (text for slip, text in SLIPS[name].items() if same(given, slip, 0.01))
            raise NotYet(f"{name!r}: {next(why, 'not the right answer yet: look again')}")


WEIGHTS = Exercise(
    "predict the weights",
    spec=measured_weights,
    more=judge_weights,
    hints=(
        "The formula above this exercise has everything: the slope of $L$ is the slope of cross-entropy, times "
        r"$1 + \alpha p_y$. The push of cross-entropy on the right class's logit is $1 - p_y$.",
        r"So a push is $(1 + \alpha p_y)(1 - p_y)$. Work it out for $p_y$ = .9 and .1, with α = 0 and with α = 10. Put "
        "the four numbers in a small table. For the last question divide each push by the sum of its column.",
    ),
    solution=PREDICTIONS,
)
