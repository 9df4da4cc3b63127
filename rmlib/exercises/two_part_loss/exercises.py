"""The checks of lesson 01: a stable cross-entropy, soft F1, the zero of E3, which way a loss pushes, a planted bug."""

from decimal import Decimal, localcontext
from itertools import product

import torch
from torch import Tensor

from rmlib.exercises.framework.compare import same
from rmlib.exercises.framework.exercise import Exercise, Lesson, NotYet
from rmlib.exercises.framework.numerical_gradients import STEP, slopes_agree
from rmlib.loss import article

from .misconceptions import BATCH_L_R, BCE, PRINTED_L_R, SOFT_F1
from .predictions import Q4

F64 = torch.float64


# --- Exercise 1: the repaired loss, stably ----------------------------------------------------------------------------


def logits(seed: int, largest: float = 4.0) -> tuple[Tensor, Tensor]:
    """Logits from -largest to largest and labels, (items,) both; one item, no positive, all positive for some seeds."""
    random = torch.Generator().manual_seed(seed)
    items = 1 if seed == 1 else int(torch.randint(2, 7, (), generator=random))
    z = largest * (2 * torch.rand(items, generator=random, dtype=F64) - 1)
    y = torch.randint(0, 2, (items,), generator=random)
    return z, {2: 0 * y, 3: 0 * y + 1}.get(seed, y)


def bce_in_500_digits(z: Tensor, y: Tensor) -> Tensor:
    """The formula as it stands on paper. With 500 digits ŷ is never 0 or 1 for logits up to 1000."""
    total = Decimal(0)
    with localcontext(prec=500):
        for one_z, one_y in zip(z.tolist(), y.tolist(), strict=True):
            y_hat = 1 / (1 + (-Decimal(one_z)).exp())
            total -= y_hat.ln() if one_y == 1 else (1 - y_hat).ln()
        return torch.tensor(float(total / len(z)), dtype=F64)


def bce_from_logits(z, y):
    """The mean cross-entropy of logits z (items,) and labels y (items,), 0 or 1: a scalar, for z of any size."""
    # -log(sigmoid(z)) = log(1 + e^-z) and -log(1 - sigmoid(z)) = log(1 + e^z) = log(1 + e^-z) + z
    return (torch.logaddexp(torch.zeros_like(z), z) - y * z).mean()


def any_size(answer, spec) -> None:
    """One item at a time with logits so large that naive forms break; then the slopes."""
    for z, y in product((-40.0, 40.0, -1000.0, 1000.0), (0, 1)):
        one = torch.tensor([z], dtype=F64), torch.tensor([y])
        found, right = float(answer(*one)), float(spec(*one))
        where = f"right for small logits; for z = {z:g} and y = {y} the loss is {found:.4g}"
        if not abs(found) < float("inf"):
            raise NotYet(f"{where}: which `exp` overflows, or which `log` is given 0?")
        if not same(found, right):
            raise NotYet(f"{where}, expected {right:.4g}: is something clamped, or a small number added?")
    for z, y in ((0.0, 1), (0.0, 0), (2.0, 0), (-40.0, 1), (1000.0, 1), (-1000.0, 1)):
        one = torch.tensor([z], dtype=F64), torch.tensor([y])
        slopes_agree(answer, spec, *one, why="`clamp`, `abs` and `relu` have a kink at 0")


Q1 = Exercise(
    title="the repaired loss, stably",
    spec=bce_in_500_digits,
    inputs=logits,
    mistakes=BCE,
    more=any_size,
    hints=(
        r"Put $\hat y = 1/(1+e^{-z})$ into the repaired formula. Both logarithms become $\log(1 + e^{\pm z})$, and "
        r"their difference is $z$ itself.",
        r"The loss of one item is $\log(1 + e^{z}) - y z$. $\log(e^a + e^b)$ without overflow is "
        r"`torch.logaddexp(a, b)`. If your values are right but the slope at $z = 0$ is not: `clamp` and `abs` have a "
        r"kink there.",
    ),
    solution=bce_from_logits,
)


# --- Exercise 2: soft F1 ----------------------------------------------------------------------------------------------


def f1_by_counting(y_hat: Tensor, y: Tensor) -> Tensor:
    """A positive is found by as much as ŷ and missed by the rest; a negative is a false alarm by as much as ŷ."""
    tp = fp = fn = 0.0
    for p, label in zip(y_hat.tolist(), y.tolist(), strict=True):
        if label == 1:
            tp, fn = tp + p, fn + 1 - p
        else:
            fp += p
    return torch.tensor(2 * tp / (2 * tp + fp + fn), dtype=F64)


def soft_f1(y_hat, y):
    """F1 from soft counts; y_hat (items,) probabilities, y (items,) labels, 0 or 1: a scalar in [0, 1]."""
    return 2 * (y_hat * y).sum() / (y_hat.sum() + y.sum())


def probabilities(seed: int) -> tuple[Tensor, Tensor]:
    """ŷ and y; sure answers, 0 or 1, for some seeds."""
    z, y = logits(seed)
    return (z > 0).to(F64) if seed in (4, 5) else z.sigmoid(), y


Q2 = Exercise(
    title="soft F1",
    spec=f1_by_counting,
    inputs=probabilities,
    mistakes=SOFT_F1,
    more=lambda answer, spec: slopes_agree(answer, spec, *probabilities(8)),
    hints=(
        r"F1 is $2TP/(2TP + FP + FN)$. What is $TP$ when item $i$ counts as found by as much as $\hat y_i$?",
        r"$TP + FP$ is everything that was said to be positive, $\sum\hat y$. $TP + FN$ is everything that is "
        r"positive, $\sum y$. Add the two.",
    ),
    solution=soft_f1,
)


# --- Exercise 3: E3 is zero -------------------------------------------------------------------------------------------


def any_reward(seed: int) -> tuple:
    """One of three rewards of each item, logits, labels, and hold."""
    rewards = article.f1_of_each, lambda p, y: (p - y) ** 3, lambda p, y: (9 * p).sin()
    return rewards[seed % 3], *logits(seed, 2.0), seed % 2 == 0


def L_r_by_moving(reward, z: Tensor, y: Tensor, hold: bool = False) -> tuple[Tensor, Tensor]:
    """The value item by item, and each slope from two values: one logit a little up, and a little down."""

    def L_r(moved):
        R = reward(moved.sigmoid(), y)
        R_p = reward((z if hold else moved).sigmoid(), y).mean()  # held: it stays what it was
        return sum(one - R_p for one in R) / len(R)

    slopes = torch.zeros_like(z)
    for i in range(len(z)):
        up, down = z.clone(), z.clone()
        up[i] += STEP
        down[i] -= STEP
        slopes[i] = (L_r(up) - L_r(down)) / (2 * STEP)
    return L_r(z).round(decimals=12), slopes  # 0, and not the 1e-18 that rounding leaves


def printed_L_r(reward, z, y, hold=False):
    """The value of the printed L_r and its slopes dL_r/dz (items,); `reward(y_hat, y)` is (items,)."""
    z = z.clone().requires_grad_()
    R = reward(z.sigmoid(), y)
    R_p = R.mean().detach() if hold else R.mean()
    L_r = (R - R_p).mean()
    return L_r.detach(), torch.autograd.grad(L_r, z)[0]


Q3 = Exercise(
    title="show that E3 is zero",
    spec=L_r_by_moving,
    inputs=any_reward,
    mistakes=PRINTED_L_R,
    hints=(
        r"Call `reward(z.sigmoid(), y)` once, and take its mean for $R_p$. `x.detach()` has the value of `x` and no "
        r"gradient. If PyTorch says that something does not require grad, more than $R_p$ is detached.",
        r"`torch.autograd.grad(L_r, z)[0]` gives the slopes. On paper: write $R_p$ out as $\frac1N\sum R_i$ and pull "
        r"it out of the sum.",
    ),
    solution=printed_L_r,
    tolerance=1e-5,
)


# --- Exercise 5: find the bug -----------------------------------------------------------------------------------------


def sentences(seed: int) -> tuple[Tensor, Tensor]:
    """Logits and labels (sentences, words), -100 where nothing counts, at the end or inside; none for seeds 0 and 1."""
    random = torch.Generator().manual_seed(seed)
    count, words = 1 + seed % 4, int(torch.randint(2, 8, (), generator=random))
    z = 3 * torch.randn(count, words, generator=random, dtype=F64)
    y = (torch.rand(count, words, generator=random) < (0.0 if seed == 5 else 0.4)).long()
    empty = torch.rand(count, words, generator=random) < 0.3
    empty[:, words // 2 + 1 :] |= torch.arange(count)[:, None] % 2 == 1
    empty[:, 0] = False  # a sentence has at least one word
    return z, y if seed < 2 else y.masked_fill(empty, -100)


def L_r_word_by_word(z: Tensor, y: Tensor) -> Tensor:
    """Every word that counts, from all sentences, into one count."""
    real = [(p, label) for p, label in zip(z.sigmoid().flatten(), y.flatten(), strict=True) if label != -100]
    return 1 - f1_by_counting(torch.stack([p for p, _ in real]), torch.stack([label for _, label in real]))


def batch_L_r(z, y):
    """1 - soft F1 of a batch: logits z and labels y (sentences, words), -100 where a place does not count."""
    real = y != -100
    y_hat, y = z[real].sigmoid(), y[real]
    return 1 - 2 * (y_hat * y).sum() / (y_hat.sum() + y.sum())


Q5 = Exercise(
    title="find the bug",
    spec=L_r_word_by_word,
    inputs=sentences,
    mistakes=BATCH_L_R,
    more=lambda answer, spec: slopes_agree(answer, spec, *sentences(3)),
    hints=(
        "There are two mistakes. Change one thing at a time: one sentence with filled places; then two sentences "
        "with nothing filled. Which sum does each of the two spoil?",
        r"`real = y != -100` marks what counts. A label of 0 keeps a filled place out of $\sum \hat y y$ and "
        r"$\sum y$, but not out of $\sum \hat y$. And `sum(1)` adds up within a sentence: see E2.",
    ),
    solution=batch_L_r,
)

check = Lesson(q1=Q1, q2=Q2, q3=Q3, q4=Q4, q5=Q5)
