"""The exercise on the experiment: what α buys beyond a tuned threshold, on one draw of the data."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from rmlib.exercises.framework.exercise import Exercise, Misconception

from .parts import bce_from_logits
from .total import total_loss
from .training import best_threshold, f1, first_best, train
from .training import f1_of_counts as f1_slowly

STEPS = 40


class Draw(NamedTuple):
    """Items to train on and items to test on.

    Attributes:
        x, test_x: (items, 3) float64: two features, and a 1 for the bias.
        y, test_y: (items,) labels, 0 or 1; one in ten is 1.
    """

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor


def draw(seed: int, items: int = 2000, test_items: int = 4000) -> Draw:
    """One draw of the data. The features of both classes are normal, with different means.

    For such data a linear model with a sigmoid is the right model.
    """
    random = torch.Generator().manual_seed(seed)
    parts = []
    for n in (items, test_items):
        y = (torch.rand(n, generator=random, dtype=torch.float64) < 0.1).long()
        x = torch.randn(n, 2, generator=random, dtype=torch.float64)
        x = x + y[:, None] * torch.tensor([1.5, 0.75], dtype=torch.float64)
        parts += [torch.cat([x, torch.ones(n, 1, dtype=torch.float64)], 1), y]
    return Draw(*parts)


def small_draw(seed: int) -> tuple[Draw, tuple[float, ...]]:
    """A small draw with positives in both parts, and two or three alphas."""
    data = draw(300 + seed, 80, 60)
    data.y[:8] = 1
    data.test_y[:6] = 1
    return data, ((1.0, 4.0), (0.0, 2.0, 3.0))[seed % 2]


# --- What is right, from closed forms -------------------------------------------------------------


class Protocol(NamedTuple):
    """How the two are compared; any other value is a mistake.

    Attributes:
        tuned_on: the items that the control's threshold is tuned on; "none" leaves it at ½.
        tested_on: the items that F1 and L_p are those of.
        decided_by: the threshold for the models with alpha: "half", "own" (tuned for each) or
            "control" (the control's).
        cut: what the control's threshold is compared with.
        logit_above: the models with alpha say yes where z is above it.
        rate: of the training for every alpha; 0 for 8 / (2 + alpha).
        sign: 1, or -1 for the control minus the model.
    """

    tuned_on: str = "train"
    tested_on: str = "test"
    decided_by: str = "half"
    cut: str = "probability"
    logit_above: float = 0.0
    rate: float = 0.0
    sign: int = 1


RIGHT = Protocol()


def weights(data: Draw, alpha: float, rate: float = 0.0, steps: int = STEPS) -> Tensor:
    """The weights (3,) after gradient descent with the gradient worked out by hand."""
    rate = rate or 8 / (2 + alpha)
    w = torch.zeros(3, dtype=torch.float64)
    for _ in range(steps):
        p = (data.x @ w).sigmoid()
        counted = p.sum() + data.y.sum()
        soft_f1 = 2 * (p * data.y).sum() / counted
        of_prediction = (p - data.y) / len(p)
        of_reward = -(2 * data.y - soft_f1) / counted * p * (1 - p)
        w = w - rate * data.x.T @ (of_prediction + alpha * of_reward)
    return w


def prediction_loss(p: Tensor, y: Tensor) -> float:
    """Cross-entropy, item by item."""
    right = [a if b else 1 - a for a, b in zip(p.tolist(), y.tolist(), strict=True)]
    return -sum(map(math.log, right)) / len(right)


def compared(data: Draw, alphas, made: Protocol = RIGHT) -> list[tuple[float, float]]:
    """For each alpha F1 and L_p minus those of the control."""
    parts = {"train": (data.x, data.y), "test": (data.test_x, data.test_y)}
    x, y = parts[made.tested_on]
    plain = weights(data, 0.0)

    def tuned(w: Tensor) -> float:
        tuning_x, tuning_y = parts[made.tuned_on]
        return first_best((tuning_x @ w).sigmoid(), tuning_y)

    threshold = 0.5 if made.tuned_on == "none" else tuned(plain)
    score = x @ plain
    q = score.sigmoid()
    control_f1 = f1_slowly((q if made.cut == "probability" else score) > threshold, y)
    rows = []
    for alpha in alphas:
        w = weights(data, alpha, made.rate)
        p = (x @ w).sigmoid()
        own = torch.tensor(made.logit_above, dtype=p.dtype).sigmoid()
        if made.decided_by == "own":
            own = tuned(w)
        elif made.decided_by == "control":
            own = threshold
        more_f1 = f1_slowly(p > own, y) - control_f1
        more_loss = prediction_loss(p, y) - prediction_loss(q, y)
        rows.append((made.sign * more_f1, made.sign * more_loss))
    return rows


def _made(**mistake):
    """The comparison with a mistake in its protocol."""
    return lambda data, alphas: compared(data, alphas, Protocol(**mistake))


def against_threshold(data, alphas):
    """For each alpha F1 and L_p on the test items, minus those of the control: a list of pairs."""

    def fit(alpha):
        def loss(w):
            return total_loss(data.x @ w, data.y, alpha)

        return train(loss, torch.zeros(3).to(data.x), 40, 8 / (2 + alpha))

    control = fit(0)
    tuned = best_threshold((data.x @ control).sigmoid(), data.y)  # never on the test items
    plain = data.test_x @ control
    control_f1 = f1(plain.sigmoid() > tuned, data.test_y)
    pairs = []
    for alpha in alphas:
        z = data.test_x @ fit(alpha)
        more_L_p = bce_from_logits(z, data.test_y) - bce_from_logits(plain, data.test_y)
        pairs.append((f1(z > 0, data.test_y) - control_f1, more_L_p))
    return pairs


AGAINST_THRESHOLD = Exercise(
    id="two_part_loss.against_threshold",
    title="the experiment",
    spec=compared,
    inputs=small_draw,
    misconceptions=(
        Misconception(
            "tuned-on-test",
            "the threshold is tuned on the test items: the control looks better than it is. Tune "
            "it on the items that the model was trained on",
            _made(tuned_on="test"),
        ),
        Misconception(
            "tested-on-train",
            "F1 and L_p are those of the training items; use `test_x` and `test_y`",
            _made(tested_on="train"),
        ),
        Misconception(
            "not-tuned",
            "the control has the threshold 0.5: that is no control yet, tune it",
            _made(tuned_on="none"),
        ),
        Misconception(
            "both-tuned",
            "both models have a tuned threshold: a fair comparison, too, but of something else. "
            "Here the model with alpha decides at 0.5, where z > 0",
            _made(decided_by="own"),
        ),
        Misconception(
            "control-threshold-for-all",
            "the models with alpha decide at the threshold that was tuned for the control; they "
            "decide at ½, where z > 0",
            _made(decided_by="control"),
        ),
        Misconception(
            "logit-against-probability",
            "the control's logits are compared with its threshold, which is a probability: "
            "`z.sigmoid() > t`",
            _made(cut="logit"),
        ),
        Misconception(
            "logit-above-half",
            "the models with alpha say yes where z > 0.5; ŷ > 0.5 is where z > 0",
            _made(logit_above=0.5),
        ),
        Misconception(
            "same-rate",
            "every model is trained at the rate 4, the control's; for an alpha the rate is "
            "`8 / (2 + alpha)`",
            _made(rate=4.0),
        ),
        Misconception(
            "control-first",
            "both differences have the wrong sign: the control is subtracted",
            _made(sign=-1),
        ),
    ),
    hints=(
        "A function `fit(alpha)` inside yours: `own.train` on `mine.total_loss(data.x @ w, data.y, "
        "alpha)`, from `torch.zeros(3)`, 40 steps, at the rate `8 / (2 + alpha)`. You need it for "
        "the control, too: alpha 0.",
        "The threshold comes from `own.best_threshold((data.x @ w).sigmoid(), data.y)`; after that "
        "only `data.test_x` and `data.test_y` are used.",
    ),
    solution=against_threshold,
)
