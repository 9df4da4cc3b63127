"""The exercises on the two parts of the loss: a stable cross-entropy, and soft F1."""

from decimal import Decimal, localcontext
from itertools import product

import torch
from torch import Tensor

from rmlib.exercises.framework.compare import same, show_both
from rmlib.exercises.framework.exercise import Exercise, NotYet
from rmlib.exercises.framework.forbidden_calls import KIT, READY_MADE, refuse
from rmlib.exercises.framework.numerical_gradients import check_gradient, gradients_of

from .batches import F64, logits, probabilities
from .misconceptions import BCE, SOFT_F1

# --- The repaired cross-entropy, numerically stable -----------------------------------------------


def bce_in_500_digits(z: Tensor, y: Tensor) -> Tensor:
    """The formula as it stands on paper.

    With 500 digits ŷ is never 0 or 1 for logits up to 1000.
    """
    total = Decimal(0)
    with localcontext(prec=500):
        for logit, label in zip(z.tolist(), y.tolist(), strict=True):
            y_hat = 1 / (1 + (-Decimal(logit)).exp())
            total -= y_hat.ln() if label == 1 else (1 - y_hat).ln()
        return torch.tensor(float(total / len(z)), dtype=F64)


def bce_from_logits(z, y):
    """The mean cross-entropy: a scalar, finite for logits of any size.

    z: logits (items,); y: labels (items,), 0 or 1.
    """
    # -log(sigmoid(z)) = log(1 + e^-z) and -log(1 - sigmoid(z)) = log(1 + e^z) = log(1 + e^-z) + z
    each = torch.logaddexp(torch.zeros_like(z), z) - y * z
    return each.mean()


def one_item(z: float, y: int) -> tuple[Tensor, Tensor]:
    """A batch of one item."""
    return torch.tensor([z], dtype=F64), torch.tensor([y])


def any_size(answer, spec) -> None:
    """Single items with logits so large that naive forms break; then the gradients."""
    refuse(answer, logits(8), READY_MADE, packages=KIT)
    for z, y in product((-40.0, 40.0, -1000.0, 1000.0), (0, 1)):
        item = one_item(z, y)
        loss = float(answer(*item))
        right = float(spec(*item))
        shown = show_both(loss, right)
        where = f"right for small logits; for z = {z:g} and y = {y} the loss is {shown[0]}"
        if not abs(loss) < float("inf"):
            raise NotYet("overflow", f"{where}: which `exp` overflows, or which `log` is given 0?")
        if not same(loss, right):
            raise NotYet(
                "clamped",
                f"{where}, expected {shown[1]}: is something clamped, or a small number added?",
            )
    for z, y in ((2.0, 0), (-0.5, 1), (-40.0, 1), (1000.0, 1), (-1000.0, 1)):
        check_gradient(answer, spec, *one_item(z, y), name="the logits")
    for y in (1, 0):
        (gradient,) = gradients_of(answer, one_item(0.0, y), "the logits")
        if not same(gradient, torch.tensor([0.5 - y]), 1e-5):
            shown = show_both(float(gradient), 0.5 - y)
            raise NotYet(
                "kink-at-0",
                f"right everywhere but at z = 0: there, with y = {y}, the gradient is {shown[0]}; "
                f"expected {shown[1]}. `clamp`, `relu` and `where` have a kink at 0, where PyTorch "
                "takes the derivative of one side. `torch.maximum(z, torch.zeros_like(z))` has the "
                "same value and averages the two sides; `torch.logaddexp` has no kink",
            )


BCE_FROM_LOGITS = Exercise(
    id="two_part_loss.bce_from_logits",
    title="the repaired loss, numerically stable",
    spec=bce_in_500_digits,
    inputs=logits,
    misconceptions=BCE,
    more=any_size,
    hints=(
        r"Put $\hat y = 1/(1+e^{-z})$ into the repaired formula. Both logarithms become "
        r"$\log(1 + e^{\pm z})$, and they differ by $z$ itself.",
        r"The loss of one item is $\log(1 + e^{z}) - y z$. $\log(e^a + e^b)$ without overflow is "
        r"`torch.logaddexp(a, b)`, and $1 = e^0$.",
    ),
    solution=bce_from_logits,
    piece="bce_from_logits",
)


# --- Soft F1 --------------------------------------------------------------------------------------


def f1_by_counting(y_hat: Tensor, y: Tensor) -> Tensor:
    """Soft F1 from soft counts: a positive adds ŷ to TP and 1 - ŷ to FN, a negative ŷ to FP."""
    tp = fp = fn = 0.0
    for p, label in zip(y_hat.tolist(), y.tolist(), strict=True):
        if label == 1:
            tp += p
            fn = fn + 1 - p
        else:
            fp += p
    return torch.tensor(2 * tp / (2 * tp + fp + fn), dtype=F64)


def soft_f1(y_hat, y):
    """F1 from soft counts: a scalar in [0, 1].

    y_hat: probabilities (items,); y: labels (items,), 0 or 1.
    """
    TP = (y_hat * y).sum()
    return 2 * TP / (y_hat.sum() + y.sum())


def its_gradient(answer, spec) -> None:
    """Written by the learner, and with the right gradient."""
    refuse(answer, probabilities(8), READY_MADE, packages=KIT)
    check_gradient(answer, spec, *probabilities(8), name="ŷ")


SOFT_F1_REWARD = Exercise(
    id="two_part_loss.soft_f1",
    title="soft F1",
    spec=f1_by_counting,
    inputs=probabilities,
    misconceptions=SOFT_F1,
    more=its_gradient,
    hints=(
        r"F1 is $2TP/(2TP + FP + FN)$. What is $TP$ when item $i$ counts as a true positive by "
        r"$\hat y_i$?",
        r"$TP + FP$ is everything that was predicted positive, $\sum\hat y$. $TP + FN$ is "
        r"everything that is positive, $\sum y$. Add the two.",
    ),
    solution=soft_f1,
    piece="soft_f1",
)
