"""The exercises on three of the article's formulas, to be coded exactly as they are printed."""

import torch
from torch import Tensor

from rmlib.exercises.framework.compare import same
from rmlib.exercises.framework.exercise import Exercise, Misconception, NotYet
from rmlib.exercises.framework.numerical_gradients import check_gradient, gradients_of
from rmlib.loss import article

from .batches import F64, logits

# --- E1, the cross-entropy ------------------------------------------------------------------------


def probabilities(seed: int) -> tuple[Tensor, Tensor]:
    """ŷ, none of them 0 or 1, and labels, (items,) both."""
    z, y = logits(seed)
    return z.sigmoid(), y


def cross_entropy_item_by_item(y_hat: Tensor, y: Tensor) -> Tensor:
    """E1 as printed: log(1 - ŷ) has a plus sign."""
    total = torch.zeros((), dtype=F64)
    for p, label in zip(y_hat, y.tolist(), strict=True):
        total = total - p.log() if label == 1 else total + (1 - p).log()
    return total / len(y)


def printed_cross_entropy(y_hat, y):
    """E1 as printed, the mean over the items: a scalar.

    y_hat: probabilities (items,); y: labels (items,), 0 or 1.
    """
    each = -y * y_hat.log() + (1 - y) * (1 - y_hat).log()
    return each.mean()


def a_tensor(answer) -> None:
    """The result is a tensor, so that it can be trained on."""
    result = answer(*probabilities(8))
    if not torch.is_tensor(result):
        raise NotYet(
            "not-a-tensor",
            f"the numbers are right, but the result is of type {type(result).__name__}, for which "
            "PyTorch has no gradient: is there an `.item()`, a `float(…)`, or NumPy?",
        )


def trainable(answer, spec) -> None:
    """PyTorch knows the gradient of the result with respect to ŷ."""
    a_tensor(answer)
    check_gradient(answer, spec, *probabilities(8), name="ŷ")


PRINTED_CROSS_ENTROPY = Exercise(
    id="two_part_loss.printed_cross_entropy",
    title="E1 as printed",
    spec=cross_entropy_item_by_item,
    inputs=probabilities,
    misconceptions=(
        Misconception(
            "already-repaired",
            "this is the usual cross-entropy, with a minus before both terms; code the formula as "
            "it is printed",
            article.cross_entropy,
        ),
        Misconception(
            "sum-for-mean",
            "a sum over the items; L_p is their mean",
            lambda p, y: len(y) * article.printed_cross_entropy(p, y),
        ),
        Misconception(
            "labels-swapped",
            "log ŷ goes with y, and log(1 − ŷ) with 1 − y",
            lambda p, y: article.printed_cross_entropy(p, 1 - y),
        ),
        Misconception(
            "sigmoid-of-probability",
            "the sigmoid is applied to ŷ, which is a probability already",
            lambda p, y: article.printed_cross_entropy(p.sigmoid(), y),
        ),
    ),
    more=trainable,
    hints=(
        "Write it for all items at once: `y` and `y_hat` are tensors, and `-y * y_hat.log()` is "
        "the first term of every item.",
        "The second term is `+ (1 - y) * (1 - y_hat).log()`. `.mean()` makes one number of the "
        "items' losses.",
    ),
    solution=printed_cross_entropy,
)

# --- E2, an F1 per item ---------------------------------------------------------------------------


def f1_item_by_item(y_hat: Tensor, y: Tensor) -> Tensor:
    """E2 as printed, (items,)."""
    each = []
    for p, label in zip(y_hat.tolist(), y.tolist(), strict=True):
        denominator = 2 * p + label + (1 - p) * (1 - label)
        each.append(2 * p * label / denominator)
    return torch.tensor(each, dtype=F64)


def printed_f1(y_hat, y):
    """E2 as printed, an "F1" per item: (items,).

    y_hat: probabilities (items,); y: labels (items,), 0 or 1.
    """
    numerator = 2 * y_hat * y
    return numerator / (2 * y_hat + y + (1 - y_hat) * (1 - y))


def trainable_sum(answer, spec) -> None:
    """The same for the sum of the items' numbers."""
    a_tensor(answer)
    check_gradient(
        lambda y_hat, y: answer(y_hat, y).sum(),
        lambda y_hat, y: spec(y_hat, y).sum(),
        *probabilities(8),
        name="ŷ",
    )


PRINTED_F1 = Exercise(
    id="two_part_loss.printed_f1",
    title="E2 as printed",
    spec=f1_item_by_item,
    inputs=probabilities,
    misconceptions=(
        Misconception(
            "mean-of-items",
            "this is the mean; here every item keeps its own number, (items,)",
            lambda p, y: article.f1_of_each(p, y).mean(),
        ),
        Misconception(
            "soft-f1",
            "this is one number for the whole batch; the printed formula has one per item",
            article.soft_f1,
        ),
        Misconception(
            "parentheses-missing",
            "parentheses are missing: a / b + c is (a / b) + c in Python",
            lambda p, y: 2 * p * y / 2 * p + y + (1 - p) * (1 - y),
        ),
        Misconception(
            "last-term-outside",
            "the last term, (1 − ŷ)(1 − y), is added to the fraction; it belongs to the "
            "denominator, inside the parentheses",
            lambda p, y: 2 * p * y / (2 * p + y) + (1 - p) * (1 - y),
        ),
        Misconception(
            "parentheses-misplaced",
            "for y = 1 the denominator should be 2ŷ + 1: is 2 multiplied by y, too, or is a "
            "parenthesis of (1 − ŷ)(1 − y) misplaced?",
            lambda p, y: 2 * p * y / (2 * (p + y) + (1 - p) * (1 - y)),
        ),
        Misconception(
            "y-in-the-product",
            "parentheses are misplaced in the denominator: only (1 − ŷ) is multiplied by (1 − y); "
            "y is a term of its own",
            lambda p, y: 2 * p * y / (2 * p + (y + 1 - p) * (1 - y)),
        ),
        Misconception(
            "half",
            "the factor 2 in the numerator is missing",
            lambda p, y: article.f1_of_each(p, y) / 2,
        ),
        Misconception(
            "short-denominator",
            "the last term of the denominator, (1 − ŷ)(1 − y), or the factor of ŷ is missing",
            lambda p, y: 2 * p * y / (p + y),
        ),
    ),
    more=trainable_sum,
    hints=(
        "No sum and no mean: tensors of shape (items,) in, one of shape (items,) out.",
        "The denominator needs parentheses of its own: `(2 * y_hat + y + (1 - y_hat) * (1 - y))`.",
    ),
    solution=printed_f1,
)

# --- E3, the reward loss --------------------------------------------------------------------------


def some_rewards(seed: int) -> tuple[Tensor]:
    """A reward per item, (items,), of any sign and size."""
    z, _ = logits(seed)
    return (z.exp() if seed % 2 else z,)


def deviations_added_up(R: Tensor) -> Tensor:
    """Item by item, with R_p added up anew for each of them."""
    total = torch.zeros((), dtype=F64)
    for one in R:
        total = total + one - sum(R) / len(R)
    return total / len(R)


def printed_L_r(R):
    """E3 as printed, from the items' rewards R (items,): a scalar."""
    R_p = R.mean()
    return (R - R_p).mean()


def nothing_held(answer, spec) -> None:
    """The gradient with respect to R is 0, too."""
    (R,) = some_rewards(8)
    (gradient,) = gradients_of(answer, (R,), "R")
    if not same(gradient, torch.zeros_like(R)):
        raise NotYet(
            "held",
            "the value is right, but the gradient with respect to R is not: R_p is a mean of the "
            "R_i and moves with them. Is it detached, or a number of Python?",
        )


PRINTED_REWARD_LOSS = Exercise(
    id="two_part_loss.printed_reward_loss",
    title="E3 as printed",
    spec=deviations_added_up,
    wrong_value="not the printed formula: R_p is the mean of R, and the outer mean is that of the "
    "differences",
    inputs=some_rewards,
    misconceptions=(
        Misconception(
            "no-baseline",
            "this is the mean of R: R_p is not subtracted",
            lambda R: R.mean(),
        ),
        Misconception(
            "one-minus-the-mean",
            "this is 1 − R_p, a repair; code the formula as it is printed, with R_p subtracted "
            "from each R",
            lambda R: 1 - R.mean(),
        ),
        Misconception(
            "minus-the-mean",
            "this is −R_p; code the formula as it is printed, with R_p subtracted from each R",
            lambda R: -R.mean(),
        ),
        Misconception(
            "squared",
            "the deviations are squared; the printed formula has them as they are",
            lambda R: ((R - R.mean()) ** 2).mean(),
        ),
        Misconception(
            "absolute",
            "these are absolute deviations; the printed formula has no absolute value",
            lambda R: (R - R.mean()).abs().mean(),
        ),
        Misconception(
            "baseline-is-a-sum",
            "R_p is a mean; this subtracts the sum",
            lambda R: (R - R.sum()).mean(),
        ),
    ),
    more=nothing_held,
    hints=(
        "Two means: `R_p` over all items, then the outer one over the differences.",
        "`R_p = R.mean()`, then `(R - R_p).mean()`.",
    ),
    solution=printed_L_r,
)
