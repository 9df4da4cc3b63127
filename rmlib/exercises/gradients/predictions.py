"""A prediction: how the reward weighs tokens, judged by central differences of L."""

import math
from functools import lru_cache

import torch

from rmlib.exercises.framework.compare import same
from rmlib.exercises.framework.exercise import Exercise, Misconception, NotYet, blank
from rmlib.loss.gradients import central_differences

TOLERANCE = 0.01
FACTOR, AT_0, AT_10, GAINS = "factor", "B over A, alpha 0", "B over A, alpha 10", "gains"


@lru_cache(maxsize=1)
def measured_weights() -> dict:
    """The predictions, from values of L alone: A has p_y = .9, B has p_y = .1."""

    def push(alpha, p_y):
        """|dL/dz_y| of a token."""

        def loss(z):
            p = 1 / (1 + math.exp(-float(z)))
            return -math.log(p) + alpha * (1 - p)

        z = torch.tensor(math.log(p_y / (1 - p_y)), dtype=torch.float64)
        return abs(float(central_differences(loss, z, 1e-5)))

    shares = [push(alpha, 0.9) / (push(alpha, 0.9) + push(alpha, 0.1)) for alpha in (0, 10)]
    return {
        FACTOR: push(4, 0.25) / push(0, 0.25),
        AT_0: push(0, 0.1) / push(0, 0.9),
        AT_10: push(10, 0.1) / push(10, 0.9),
        GAINS: "A" if shares[1] > shares[0] else "B",
    }


SOLUTION = """
predicted = {
    "factor": 1 + 4 * 0.25,  # 1 + α p_y
    "B over A, alpha 0": 0.9 / 0.1,  # the push of cross-entropy is 1 - p_y
    "B over A, alpha 10": (1 + 10 * 0.1) * 0.9 / ((1 + 10 * 0.9) * 0.1),  # factor times 1 - p_y
    "gains": "A",  # 1 of 10 parts at α = 0, 1 of 2.8 at α = 10
}
"""


def _slip(id: str, key: str, value, message: str) -> Misconception:
    """A wrong prediction of one of the four."""
    return Misconception(id, f"{key!r}: {message}", lambda: measured_weights() | {key: value})


MISCONCEPTIONS = (
    _slip(
        "weight-falls-with-p_y",
        FACTOR,
        1 + 4 * 0.75,
        "that is 1 + α (1 − p_y), which would favour what is wrong; the weight rises with p_y",
    ),
    _slip(
        "reward-factor-alone",
        FACTOR,
        4 * 0.25,
        "this is the reward's part alone; the gradient of cross-entropy is still there",
    ),
    _slip("p_y-of-1", FACTOR, 1 + 4, "that would be the factor at p_y = 1"),
    _slip(
        "p_y-on-both-terms",
        FACTOR,
        (1 + 4) * 0.25,
        "1 + α p_y is not (1 + α) p_y: the 1 is cross-entropy, which has no factor p_y",
    ),
    _slip(
        "reward-push",
        FACTOR,
        4 * 0.25 * 0.75,
        "this is the reward's push itself; divide the push of L by that of L_p",
    ),
    _slip(
        "push-for-factor",
        FACTOR,
        2 * 0.75,
        "this is the push itself; how many times the push of cross-entropy is it?",
    ),
    _slip("inverted-at-0", AT_0, 1 / 9, "inverted: divide B's push by A's"),
    _slip("difference", AT_0, 0.8, "this is a difference; the question is how many times"),
    _slip("equal-pushes", AT_0, 1, "their pushes differ: the push of cross-entropy is 1 − p_y"),
    _slip("inverted-at-10", AT_10, 1 / 1.8, "inverted: divide B's push by A's"),
    _slip("same-as-at-0", AT_10, 9, "that is the ratio at α = 0; now each push has its own factor"),
    _slip(
        "ratio-of-factors",
        AT_10,
        0.2,
        "this is the ratio of the factors alone; a push is its factor times 1 − p_y",
    ),
    _slip(
        "inverted-ratio-of-factors",
        AT_10,
        5,
        "this is the ratio of the factors alone, and inverted; a push is its factor times 1 − p_y",
    ),
    _slip(
        "factors-swapped",
        AT_10,
        45,
        "you gave the larger factor to B; which of the two has the larger p_y?",
    ),
    _slip(
        "reward-alone",
        AT_10,
        1,
        "that is the reward alone; at α = 10 cross-entropy still counts a little",
    ),
    _slip(
        "larger-push-gains",
        GAINS,
        "B",
        "both pushes grow, and B's stays the larger one; but look at B's share of the two together",
    ),
)


def judge_weights(answer, spec) -> dict:
    """Judge one prediction after the other; the answer with its texts in upper case."""
    right = spec()
    predictions = {}
    if not isinstance(answer, dict):
        raise NotYet(
            "wrong-form", f"expected the dict with your four predictions, found {answer!r:.60}"
        )
    for key, expected in right.items():
        given = answer.get(key)
        if blank(given):
            raise NotYet("incomplete", f"{key!r} has no prediction yet")
        if isinstance(expected, str):
            given = str(given).strip().upper()
        elif isinstance(given, str):
            raise NotYet("wrong-form", f"{key!r} is {given!r}; expected a number")
        if not same(given, expected, TOLERANCE):
            raise _wrong(key, given)
        predictions[key] = given
    return predictions


def _wrong(key: str, given) -> NotYet:
    """What to raise for a wrong prediction."""
    if key == GAINS and given not in ("A", "B"):
        return NotYet("wrong-form", f"{key!r} is {given!r}; expected 'A' or 'B'")
    for slip in MISCONCEPTIONS:
        value = slip.wrong()[key]
        if value != measured_weights()[key] and same(given, value, TOLERANCE):
            return NotYet(slip.id, slip.message)
    return NotYet("wrong-value", f"{key!r}: not the right answer yet: look again")


TOKEN_WEIGHTS = Exercise(
    id="gradients.token_weights",
    title="predict the weights",
    spec=measured_weights,
    misconceptions=MISCONCEPTIONS,
    more=judge_weights,
    hints=(
        "The formula above this exercise has everything: the gradient of $L$ is the gradient of "
        r"cross-entropy, times $1 + \alpha p_y$. The push of cross-entropy on the right class's "
        "logit is $1 - p_y$.",
        r"So a push is $(1 + \alpha p_y)(1 - p_y)$. Work it out for $p_y$ = .9 and .1, with α = 0 "
        "and with α = 10. Put the four numbers in a small table. For the last question divide "
        "each push by the sum of its column.",
    ),
    solution=SOLUTION,
    tolerance=TOLERANCE,
)
