"""The exercise on the total, L = L_p + αL_r, from the learner's own two parts."""

import math

import torch
from torch import Tensor

from rmlib.exercises.framework.combinations import wrong_combinations
from rmlib.exercises.framework.compare import same, show_both
from rmlib.exercises.framework.exercise import Exercise, Misconception, NotYet
from rmlib.exercises.framework.forbidden_calls import refuse
from rmlib.exercises.framework.numerical_gradients import STEP, gradients_of
from rmlib.loss import article
from rmlib.loss.gradients import central_differences

from .batches import F64, logits
from .parts import bce_from_logits, f1_by_counting, soft_f1

ALPHAS = (1.0, 0.3, 10.0, 2.5)


def some_batch(seed: int) -> tuple[Tensor, Tensor, float]:
    """Logits and labels, (items,) both, and a finite alpha that is not 0."""
    return *logits(seed), ALPHAS[seed % 4]


def cross_entropy_slowly(z: Tensor, y: Tensor) -> Tensor:
    """Item by item, log(1 + e^s), where s is -z for a positive and z for a negative."""
    total = 0.0
    for logit, label in zip(z.tolist(), y.tolist(), strict=True):
        s = -logit if label == 1 else logit
        total += max(s, 0.0) + math.log1p(math.exp(-abs(s)))
    return torch.tensor(total / len(z), dtype=F64)


def total_by_counting(z: Tensor, y: Tensor, alpha: float) -> Tensor:
    """L item by item and from counts; L_r itself where alpha is infinite."""
    reward_loss = 1 - f1_by_counting(z.sigmoid(), y)
    return reward_loss if alpha == math.inf else cross_entropy_slowly(z, y) + alpha * reward_loss


def total_loss(z, y, alpha):
    """L = L_p + alpha L_r, a scalar; L_r alone where alpha is `math.inf`.

    z: logits (items,); y: labels (items,), 0 or 1; alpha: 0 or more.
    """
    L_r = 1 - soft_f1(z.sigmoid(), y)
    if alpha == math.inf:
        return L_r
    return bce_from_logits(z, y) + alpha * L_r


def _combined(formula):
    """A mistake in how the two parts are combined: formula(L_p, soft F1, alpha)."""

    def wrong(z, y, alpha):
        return formula(cross_entropy_slowly(z, y), f1_by_counting(z.sigmoid(), y), alpha)

    return wrong


def _with_reward(reward):
    """A mistake in the reward: reward(z, y) in place of the soft F1."""
    return lambda z, y, alpha: cross_entropy_slowly(z, y) + alpha * (1 - reward(z, y))


def _hard_f1(z: Tensor, y: Tensor) -> Tensor:
    return article.soft_f1((z > 0).to(F64), y)


PARTS = (
    Misconception(
        "reward-of-logits",
        "L_p is right; the soft F1 gets the logits z, but it needs probabilities, `z.sigmoid()`",
        _with_reward(article.soft_f1),
    ),
    Misconception(
        "sigmoid-twice",
        "the soft F1 is right; the cross-entropy gets probabilities, but it needs the logits z",
        lambda z, y, alpha: (
            cross_entropy_slowly(z.sigmoid(), y) + alpha * (1 - f1_by_counting(z.sigmoid(), y))
        ),
    ),
    Misconception(
        "printed-f1",
        "L_p is right; the reward is the mean of E2 as printed, an F1 per item",
        _with_reward(lambda z, y: article.f1_of_each(z.sigmoid(), y).mean()),
    ),
    Misconception(
        "f1-per-item",
        "L_p is right; the reward is a mean of the items' F1: count over the batch, divide once",
        _with_reward(lambda z, y: (2 * z.sigmoid() * y / (z.sigmoid() + y)).mean()),
    ),
    Misconception(
        "decisions",
        "L_p is right; the F1 is made of decisions, which have no gradient: use the soft counts",
        _with_reward(_hard_f1),
    ),
    Misconception(
        "decisions-undefined-as-0",
        "L_p is right; the F1 is made of decisions, with 0 for 0/0; they have no gradient: use the "
        "soft counts",
        _with_reward(lambda z, y: _hard_f1(z, y).nan_to_num()),
    ),
    Misconception(
        "expected-accuracy",
        "L_p is right; the reward is the mean probability of the right class, not soft F1",
        _with_reward(lambda z, y: article.expected_accuracy(z.sigmoid(), y)),
    ),
    Misconception(
        "sum-for-mean",
        "L_r is right; L_p is a sum over the items, and should be the mean",
        lambda z, y, alpha: (
            len(y) * cross_entropy_slowly(z, y) + alpha * (1 - f1_by_counting(z.sigmoid(), y))
        ),
    ),
)


def ends_and_gradient(answer, spec) -> None:
    """The two ends of alpha, the gradient, and logits of any size."""
    refuse(answer, some_batch(8))
    z, y, alpha = some_batch(8)
    if not same(answer(z, y, 0), spec(z, y, 0)):
        raise NotYet("alpha-0", "right for alpha > 0; with alpha = 0 the loss is L_p itself")
    if not same(answer(z, y, math.inf), spec(z, y, math.inf)):
        raise NotYet(
            "infinity-not-handled",
            "right for a finite alpha. For the reward alone alpha is `math.inf`, and infinity "
            "times a number is inf or nan: return L_r itself then",
        )
    for weight, where in ((alpha, ""), (math.inf, " for alpha = math.inf")):
        (gradient,) = gradients_of(lambda z, w=weight: answer(z, y, w), (z,), f"the logits{where}")
        right = central_differences(lambda z, w=weight: float(spec(z, y, w)), z, STEP)
        if not same(gradient, right, 1e-5):
            i = int((gradient - right).abs().argmax())
            shown = show_both(float(gradient[i]), float(right[i]))
            raise NotYet(
                "wrong-gradient",
                f"the value is right{where}, but the gradient at item {i} is {shown[0]}; expected "
                f"{shown[1]}: is a part detached, or made of decisions?",
            )
    large = torch.tensor([1000.0, -1000.0], dtype=F64), torch.tensor([0, 1])
    if not same(answer(*large, 1.0), spec(*large, 1.0)):
        raise NotYet(
            "overflow",
            "right for small logits; for z = 1000 it is not finite, or too small. Your "
            "`bce_from_logits` is right there: call it",
        )


TOTAL_LOSS = Exercise(
    id="two_part_loss.total_loss",
    title="the total, L = L_p + αL_r",
    spec=total_by_counting,
    inputs=some_batch,
    misconceptions=wrong_combinations(_combined) + PARTS,
    more=ends_and_gradient,
    hints=(
        "Two of your functions do the work: one takes the logits `z`, the other probabilities, "
        "`z.sigmoid()`. $L_r$ is 1 minus the soft F1.",
        "First `L_r`. If `alpha == math.inf`, return it. Otherwise return "
        "`bce_from_logits(z, y) + alpha * L_r`.",
    ),
    solution=total_loss,
    piece="total_loss",
)
