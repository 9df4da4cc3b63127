"""A prediction, to be checked by running it: which way do six reward losses push an item?"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch

from rmlib.exercises.framework.exercise import Exercise, Misconception, NotYet, blank
from rmlib.loss import article

F64 = torch.float64
DIRECTIONS = ("up", "down", "not at all")
# Two wrong items of the lesson's batch: y = 1 with ŷ = 0.27, and y = 0 with ŷ = 0.77.
WRONG_POSITIVE = 2
WRONG_NEGATIVE = 3


class Situation(NamedTuple):
    """A reward loss and an item of the batch.

    Attributes:
        id: of the misconception, where the prediction is wrong.
        L_r: (ŷ, y) -> the loss.
        item: its index.
        question: for a learner whose prediction is wrong.
    """

    id: str
    L_r: Callable
    item: int
    question: str


SITUATIONS = {
    "E3 as printed, y = 1": Situation(
        "wrong-e3",
        article.printed_reward_loss,
        WRONG_POSITIVE,
        "write L_r out for two items, R_1 and R_2; what is left of it?",
    ),
    "E4 as printed, y = 1": Situation(
        "wrong-e4-positive",
        article.plus_reward,
        WRONG_POSITIVE,
        "is a model with a larger R better or worse for this L_r? A step makes L_r smaller",
    ),
    "E4 as printed, y = 0": Situation(
        "wrong-e4-negative",
        article.plus_reward,
        WRONG_NEGATIVE,
        "R is still the one of E2: what does it give to a negative, at any ŷ?",
    ),
    "1 - accuracy, y = 1": Situation(
        "wrong-accuracy",
        lambda y_hat, y: 1 - article.threshold_accuracy(y_hat, y),
        WRONG_POSITIVE,
        "accuracy asks whether ŷ > 0.5: does the answer change when 0.27 moves a little?",
    ),
    "1 - expected accuracy, y = 1": Situation(
        "wrong-expected-accuracy",
        lambda y_hat, y: 1 - article.expected_accuracy(y_hat, y),
        WRONG_POSITIVE,
        "the reward is the mean of p_y; what is p_y when y = 1?",
    ),
    "1 - soft F1, y = 0": Situation(
        "wrong-soft-f1",
        article.reward_loss,
        WRONG_NEGATIVE,
        "the ŷ of a negative is only in the denominator of soft F1: does F grow or fall with it?",
    ),
}


@lru_cache(maxsize=1)
def push_directions() -> dict[str, str]:
    """For each situation, where a step downhill on L_r moves the item's logit."""
    directions = {}
    for name, situation in SITUATIONS.items():
        z = torch.tensor(
            [2.0, 0.4, -1.0, 1.2, 0.3, -0.5, -1.5, -2.0, -2.5, -3.0], dtype=F64, requires_grad=True
        )
        value = situation.L_r(z.sigmoid(), torch.tensor([1, 1, 1, 0, 0, 0, 0, 0, 0, 0]))
        derivative = 0.0
        if value.requires_grad:
            derivative = float(torch.autograd.grad(value, z)[0][situation.item])
        directions[name] = _downhill(derivative)
    return directions


def _downhill(derivative: float) -> str:
    if abs(derivative) < 1e-12:
        return "not at all"
    return "down" if derivative > 0 else "up"


def _flipped() -> dict[str, str]:
    opposite = {"up": "down", "down": "up", "not at all": "not at all"}
    return {name: opposite[direction] for name, direction in push_directions().items()}


def _trusting() -> dict[str, str]:
    return {
        name: "up" if situation.item == WRONG_POSITIVE else "down"
        for name, situation in SITUATIONS.items()
    }


MISCONCEPTIONS = (
    Misconception(
        "uphill",
        "up and down are swapped everywhere: a step goes against the gradient of L_r",
        _flipped,
    ),
    Misconception(
        "trusts-all-six",
        "this is what six good losses would do; some of these are as printed, or have no gradient",
        _trusting,
    ),
)


def judge_directions(answer, spec) -> None:
    """Form first; then how many are right, and a question about the first that is not."""
    if not isinstance(answer, dict) or answer.keys() != SITUATIONS.keys():
        raise NotYet(
            "wrong-form",
            "keep the dict with its six lines, and replace each question mark by a word",
        )
    for name, direction in answer.items():
        if blank(direction) or direction not in DIRECTIONS:
            raise NotYet(
                "wrong-form",
                f"{name!r} is {direction!r}; expected one of {', '.join(map(repr, DIRECTIONS))}",
            )
    if any(answer == misconception.wrong() for misconception in MISCONCEPTIONS):
        return  # the check has a message for it
    right = spec()
    wrong = [name for name in SITUATIONS if answer[name] != right[name]]
    if wrong:
        first = SITUATIONS[wrong[0]]
        raise NotYet(
            first.id,
            f"{len(right) - len(wrong)} of {len(right)} right. Look again at {wrong[0]!r}: "
            f"{first.question}",
        )


PUSH_DIRECTIONS = Exercise(
    id="two_part_loss.push_directions",
    title="which way does α push?",
    spec=push_directions,
    misconceptions=MISCONCEPTIONS,
    more=judge_directions,
    hints=(
        "Three of the six do not move their item. One has no reward left in it, one has a reward "
        "that ignores this item, and one has a reward that changes in jumps.",
        "Run it. `slope(ERRATA['E4'].as_printed, z, y)[2:4]` gives two of the six derivatives, "
        "those of the third and the fourth item; a step goes against them. The $L_r$ of the last "
        "line is `ERRATA['E3'].repaired`.",
    ),
    solution="""\
which_way = {
    "E3 as printed, y = 1": "not at all",  # it is 0, whatever the model does
    "E4 as printed, y = 1": "down",  # it lowers the reward
    "E4 as printed, y = 0": "not at all",  # R is 0 for a negative, at any ŷ
    "1 - accuracy, y = 1": "not at all",  # a step function has the derivative 0
    "1 - expected accuracy, y = 1": "up",  # p_y is ŷ
    "1 - soft F1, y = 0": "down",  # ŷ of a negative is a false positive
}""",
)
