"""The exercises on the two-part loss, from a stable cross-entropy to the loss of a padded batch."""

from decimal import Decimal, localcontext
from itertools import product

import torch
from torch import Tensor

from rmlib.exercises.framework.compare import same, show_both
from rmlib.exercises.framework.exercise import Exercise, Lesson, NotYet
from rmlib.exercises.framework.numerical_gradients import STEP, check_gradient
from rmlib.loss import article
from rmlib.loss.gradients import central_differences

from .misconceptions import BATCH_L_R, BCE, PRINTED_L_R, SOFT_F1
from .predictions import PUSH_DIRECTIONS

F64 = torch.float64


# --- The repaired cross-entropy, numerically stable -----------------------------------------------


def logits(seed: int, largest: float = 4.0) -> tuple[Tensor, Tensor]:
    """Logits from -largest to largest and labels, (items,) both.

    Some seeds have one item, no positive, or nothing but positives.
    """
    random = torch.Generator().manual_seed(seed)
    items = 1 if seed == 1 else int(torch.randint(2, 7, (), generator=random))
    z = largest * (2 * torch.rand(items, generator=random, dtype=F64) - 1)
    y = torch.randint(0, 2, (items,), generator=random)
    return z, {2: 0 * y, 3: 0 * y + 1}.get(seed, y)


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
    return (torch.logaddexp(torch.zeros_like(z), z) - y * z).mean()


def any_size(answer, spec) -> None:
    """Single items with logits so large that naive forms break; then the gradients."""
    for z, y in product((-40.0, 40.0, -1000.0, 1000.0), (0, 1)):
        item = torch.tensor([z], dtype=F64), torch.tensor([y])
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
    for z, y in ((0.0, 1), (0.0, 0), (2.0, 0), (-40.0, 1), (1000.0, 1), (-1000.0, 1)):
        item = torch.tensor([z], dtype=F64), torch.tensor([y])
        check_gradient(
            answer, spec, *item, name="the logits", why="`clamp`, `abs` and `relu` have a kink at 0"
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
        r"`torch.logaddexp(a, b)`. If your values are right but the gradient at $z = 0$ is not: "
        r"`clamp` and `abs` have a kink there.",
    ),
    solution=bce_from_logits,
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
    return 2 * (y_hat * y).sum() / (y_hat.sum() + y.sum())


def probabilities(seed: int) -> tuple[Tensor, Tensor]:
    """ŷ and y, (items,) both; some seeds have confident answers, 0 or 1."""
    z, y = logits(seed)
    return (z > 0).to(F64) if seed in (4, 5) else z.sigmoid(), y


SOFT_F1_REWARD = Exercise(
    id="two_part_loss.soft_f1",
    title="soft F1",
    spec=f1_by_counting,
    inputs=probabilities,
    misconceptions=SOFT_F1,
    more=lambda answer, spec: check_gradient(answer, spec, *probabilities(8), name="ŷ"),
    hints=(
        r"F1 is $2TP/(2TP + FP + FN)$. What is $TP$ when item $i$ counts as a true positive by "
        r"$\hat y_i$?",
        r"$TP + FP$ is everything that was predicted positive, $\sum\hat y$. $TP + FN$ is "
        r"everything that is positive, $\sum y$. Add the two.",
    ),
    solution=soft_f1,
)


# --- E3 is zero -----------------------------------------------------------------------------------


def any_reward(seed: int) -> tuple:
    """One of three rewards per item, logits, labels, and hold."""
    rewards = article.f1_of_each, lambda p, y: (p - y) ** 3, lambda p, y: (9 * p).sin()
    return rewards[seed % 3], *logits(seed, 2.0), seed % 2 == 0


def L_r_by_differences(reward, z: Tensor, y: Tensor, hold: bool = False) -> tuple[Tensor, Tensor]:
    """The value item by item, and its gradient by central differences."""

    def L_r(moved):
        R = reward(moved.sigmoid(), y)
        R_p = reward((z if hold else moved).sigmoid(), y).mean()  # held: it keeps its value
        return sum(one - R_p for one in R) / len(R)

    # 0, and not the 1e-18 that rounding leaves
    return L_r(z).round(decimals=12), central_differences(L_r, z, STEP)


def printed_L_r(reward, z, y, hold=False):
    """The value of the printed L_r and its gradient dL_r/dz (items,).

    `reward(y_hat, y)` is (items,).
    """
    z = z.clone().requires_grad_()
    R = reward(z.sigmoid(), y)
    R_p = R.mean().detach() if hold else R.mean()
    L_r = (R - R_p).mean()
    return L_r.detach(), torch.autograd.grad(L_r, z)[0]


PRINTED_REWARD_LOSS = Exercise(
    id="two_part_loss.printed_reward_loss",
    title="show that E3 is zero",
    spec=L_r_by_differences,
    inputs=any_reward,
    misconceptions=PRINTED_L_R,
    hints=(
        r"Call `reward(z.sigmoid(), y)` once, and take its mean for $R_p$. `x.detach()` has the "
        r"value of `x` and no gradient. If PyTorch says that something does not require grad, more "
        r"than $R_p$ is detached.",
        r"`torch.autograd.grad(L_r, z)[0]` is the gradient. On paper: write $R_p$ out as "
        r"$\frac1N\sum R_i$ and pull it out of the sum.",
    ),
    solution=printed_L_r,
    tolerance=1e-5,
)


# --- The reward loss of a padded batch ------------------------------------------------------------


def sentences(seed: int) -> tuple[Tensor, Tensor]:
    """Logits and labels (sentences, words), -100 on padding.

    Padding is at the end or inside; seeds 0 and 1 have none.
    """
    random = torch.Generator().manual_seed(seed)
    count = 1 + seed % 4
    words = int(torch.randint(2, 8, (), generator=random))
    z = 3 * torch.randn(count, words, generator=random, dtype=F64)
    y = (torch.rand(count, words, generator=random) < (0.0 if seed == 5 else 0.4)).long()
    padding = torch.rand(count, words, generator=random) < 0.3
    padding[:, words // 2 + 1 :] |= torch.arange(count)[:, None] % 2 == 1
    padding[:, 0] = False  # a sentence has at least one word
    return z, y if seed < 2 else y.masked_fill(padding, -100)


def L_r_word_by_word(z: Tensor, y: Tensor) -> Tensor:
    """1 - soft F1 from one count of all sentences' words."""
    real = [
        (p, label)
        for p, label in zip(z.sigmoid().flatten(), y.flatten(), strict=True)
        if label != -100
    ]
    y_hat = torch.stack([p for p, _ in real])
    return 1 - f1_by_counting(y_hat, torch.stack([label for _, label in real]))


def batch_L_r(z, y):
    """1 - soft F1 of a batch.

    z: logits (sentences, words); y: labels (sentences, words), -100 on padding.
    """
    real = y != -100
    y_hat, y = z[real].sigmoid(), y[real]
    return 1 - 2 * (y_hat * y).sum() / (y_hat.sum() + y.sum())


BATCH_REWARD_LOSS = Exercise(
    id="two_part_loss.batch_reward_loss",
    title="find the bug",
    spec=L_r_word_by_word,
    inputs=sentences,
    misconceptions=BATCH_L_R,
    more=lambda answer, spec: check_gradient(answer, spec, *sentences(3), name="the logits"),
    hints=(
        "There are two mistakes. Change one thing at a time: one sentence with padding; then two "
        "sentences without. Which sum does each of the two spoil?",
        r"`real = y != -100` marks what counts. A label of 0 keeps padding out of "
        r"$\sum \hat y y$ and $\sum y$, but not out of $\sum \hat y$. And `sum(1)` adds up within "
        r"a sentence: see E2.",
    ),
    solution=batch_L_r,
)

check = Lesson(
    q1=BCE_FROM_LOGITS,
    q2=SOFT_F1_REWARD,
    q3=PRINTED_REWARD_LOSS,
    q4=PUSH_DIRECTIONS,
    q5=BATCH_REWARD_LOSS,
)
