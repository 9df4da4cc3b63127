"""Exercise 4 of lesson 01: which way do six reward losses push an item? A prediction, to be checked by running them."""

import torch

from rmlib.exercises.framework.exercise import Exercise, NotYet, blank
from rmlib.loss import article

F64 = torch.float64
WAYS = ("up", "down", "not at all")
WRONG_1, WRONG_0 = 2, 3  # the places of two wrong items in the lesson's batch: y = 1 with ŷ = 0.27, y = 0 with ŷ = 0.77
SITUATIONS = {  # name -> L_r, the item, and what is asked when the prediction is wrong
    "E3 as printed, y = 1": (
        article.printed_reward_loss,
        WRONG_1,
        "write L_r out for two items, R_1 and R_2; what is left of it?",
    ),
    "E4 as printed, y = 1": (
        article.plus_reward,
        WRONG_1,
        "is a model with a larger R better or worse for this L_r? A step makes L_r smaller",
    ),
    "E4 as printed, y = 0": (
        article.plus_reward,
        WRONG_0,
        "R is still the one of E2: what does it give to a negative, at any ŷ?",
    ),
    "1 - accuracy, y = 1": (
        lambda y_hat, y: 1 - article.threshold_accuracy(y_hat, y),
        WRONG_1,
        "accuracy asks whether ŷ > 0.5: does the answer change when 0.27 moves a little?",
    ),
    "1 - expected accuracy, y = 1": (
        lambda y_hat, y: 1 - article.expected_accuracy(y_hat, y),
        WRONG_1,
        "the reward is the mean of p_y; what is p_y when y = 1?",
    ),
    "1 - soft F1, y = 0": (
        article.reward_loss,
        WRONG_0,
        "the ŷ of a negative stands below the fraction line of soft F1 only: does F grow or fall with it?",
    ),
}


def pushes() -> dict[str, str]:
    """For each situation the way that a step downhill on L_r moves the item's logit, found on the lesson's batch."""
    found = {}
    for name, (L_r, item, _) in SITUATIONS.items():
        z = torch.tensor([2.0, 0.4, -1.0, 1.2, 0.3, -0.5, -1.5, -2.0, -2.5, -3.0], dtype=F64, requires_grad=True)
        value = L_r(z.sigmoid(), torch.tensor([1, 1, 1, 0, 0, 0, 0, 0, 0, 0]))
        slope = torch.autograd.grad(value, z)[0][item] if value.requires_grad else 0.0
        found[name] = "not at all" if abs(slope) < 1e-12 else "down" if slope > 0 else "up"
    return found


TURNED = {"up": "down", "down": "up", "not at all": "not at all"}
PUSHES = {
    "up and down are turned round everywhere: a step goes against the slope of L_r": lambda: {
        name: TURNED[way] for name, way in pushes().items()
    },
    "this is what six good losses would do; some of these are as printed, or have no slope": lambda: {
        name: "up" if item == WRONG_1 else "down" for name, (_, item, _) in SITUATIONS.items()
    },
}


def prediction(answer, spec) -> None:
    """Form first; then how many are right, and a question about the first that is not."""
    if not isinstance(answer, dict) or answer.keys() != SITUATIONS.keys():
        raise NotYet("keep the dict with its six lines, and put a word in place of each question mark")
    for name, way in answer.items():
        if blank(way) or way not in WAYS:
            raise NotYet(f"{name!r} is {way!r}; expected one of {', '.join(map(repr, WAYS))}")
    if any(answer == mistake() for mistake in PUSHES.values()):
        return  # the check has a word for it
    right = spec()
    wrong = [name for name in SITUATIONS if answer[name] != right[name]]
    if wrong:
        raise NotYet(
            f"{len(right) - len(wrong)} of {len(right)} right. Look again at {wrong[0]!r}: {SITUATIONS[wrong[0]][2]}"
        )


Q4 = Exercise(
    title="which way does α push?",
    spec=pushes,
    mistakes=PUSHES,
    more=prediction,
    hints=(
        "Three of the six do not move their item. One has no reward left in it, one has a reward that does not see "
        "this item, and one has a reward that moves in jumps.",
        "Run it. `slope(FAULTS['E4'].as_printed, z, y)[2:4]` gives two of the six slopes, those of the third and the "
        "fourth item; a step goes against them. The $L_r$ of the last line is `FAULTS['E3'].repaired`.",
    ),
    solution="""\
which_way = {
    "E3 as printed, y = 1": "not at all",  # it is 0, whatever the model does
    "E4 as printed, y = 1": "down",  # it lowers the reward
    "E4 as printed, y = 0": "not at all",  # R is 0 for a negative, at any ŷ
    "1 - accuracy, y = 1": "not at all",  # the slope of a step is 0
    "1 - expected accuracy, y = 1": "up",  # p_y is ŷ
    "1 - soft F1, y = 0": "down",  # a false alarm, by as much as ŷ
}""",
)
