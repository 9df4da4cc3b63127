"""The exercises that ask for a formula: one item, the learner's whole loss, Eve's bug, weights.

Central differences of values worked out with loops decide what is right (`reference_values`).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from rmlib.exercises.framework import sandbox
from rmlib.exercises.framework.compare import explain, same, show_both
from rmlib.exercises.framework.exercise import (
    DRAWS,
    NO_CODE,
    Exercise,
    Misconception,
    NotAttempted,
    NotYet,
    is_stub,
)
from rmlib.exercises.framework.forbidden_calls import AUTOGRAD, refuse, without_autograd

from .reference_values import (
    cross_entropy,
    expected_accuracy,
    gradient_by_differences,
    total_loss,
)

F64 = torch.float64

# --- One item -------------------------------------------------------------------------------------


def one_item(y_hat, y):
    """The gaps A, B, C and D of the derivation: four tensors (items,).

    y_hat: probabilities of class 1 (items,); y: labels (items,), 0 or 1.
    """
    a = y_hat * (1 - y_hat)
    b = (y_hat - y) / (y_hat * (1 - y_hat))
    c = y_hat - y
    p_y = y * y_hat + (1 - y) * (1 - y_hat)
    d = p_y * (y_hat - y)
    return a, b, c, d


def one_item_inputs(seed: int) -> tuple[Tensor, Tensor]:
    """Probabilities between .05 and .95, and labels, (items,) both."""
    random = torch.Generator().manual_seed(seed)
    y_hat = 0.05 + 0.9 * torch.rand(6, generator=random, dtype=F64)
    return y_hat, torch.tensor([0, 1, 0, 1, 1, 0]).roll(seed)


def one_item_spec(y_hat: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """The four derivatives, by central differences of the values, item by item."""

    def sigmoid(z):
        return 1 / (1 + math.exp(-z))

    def derivative(f, at):
        return (f(at + 1e-5) - f(at - 1e-5)) / 2e-5

    rows = []
    for p, label in zip(y_hat.tolist(), y.tolist(), strict=True):

        def loss(p, label=label):
            return -math.log(p if label == 1 else 1 - p)

        def unlikely(p, label=label):
            return 1 - p if label == 1 else p

        z = math.log(p / (1 - p))
        rows.append(
            (
                derivative(sigmoid, z),
                derivative(loss, p),
                derivative(lambda z, loss=loss: loss(sigmoid(z)), z),
                derivative(lambda z, unlikely=unlikely: unlikely(sigmoid(z)), z),
            )
        )
    return tuple(torch.tensor(column, dtype=F64) for column in zip(*rows, strict=True))


def p_y_of(y_hat, y):
    return y * y_hat + (1 - y) * (1 - y_hat)


class Slip(NamedTuple):
    """A known mistake in one gap: wrong(y_hat, y)."""

    gap: str
    id: str
    message: str
    wrong: Callable


SLIPS = (
    Slip(
        "A",
        "sigmoid-for-its-derivative",
        "the derivative of 1/(1 + e^(−z)) has the square of the denominator in it: write "
        "e^(−z)/(1 + e^(−z))² as a product of ŷ and 1 − ŷ",
        lambda p, y: p,
    ),
    Slip(
        "B",
        "sign-of-b",
        "right size, wrong sign: for a positive item the loss −log ŷ falls when ŷ rises",
        lambda p, y: (y - p) / (p * (1 - p)),
    ),
    Slip(
        "B",
        "sign-inside-b",
        "y = 0: wrong sign; y = 1 is right. The derivative of log(1 − ŷ) is −1/(1 − ŷ): its inner "
        "derivative is −1",
        lambda p, y: -y / p - (1 - y) / (1 - p),
    ),
    Slip(
        "C",
        "c-with-respect-to-y_hat",
        "this is still with respect to ŷ: multiply by A",
        lambda p, y: (p - y) / (p * (1 - p)),
    ),
    Slip(
        "D",
        "d-of-cross-entropy",
        "this is C. In 1 − p_y there is no logarithm, so nothing cancels A",
        lambda p, y: p - y,
    ),
    Slip(
        "D",
        "d-of-the-reward",
        "right size, wrong sign: this is the derivative of p_y, not of 1 − p_y",
        lambda p, y: p_y_of(p, y) * (y - p),
    ),
    Slip(
        "D",
        "d-for-positives",
        "right for y = 1. For y = 0, p_y is 1 − ŷ, so 1 − p_y is ŷ",
        lambda p, y: -p * (1 - p),
    ),
    Slip(
        "D",
        "d-with-respect-to-y_hat",
        "this is still with respect to ŷ: multiply by A",
        lambda p, y: 1.0 - 2 * y,
    ),
)


def judge_gaps(answer, spec) -> None:
    """Judge gap by gap, so that a mistake in one doesn't hide which it is."""
    if is_stub(answer):
        raise NotAttempted(NO_CODE)
    if not callable(answer):
        raise NotYet("not-a-function", f"expected the function itself, found {answer!r:.60}")
    draws = [one_item_inputs(seed) for seed in range(DRAWS)]
    results, expected = [], [spec(*args) for args in draws]
    for args, right in zip(draws, expected, strict=True):
        given = [arg.clone() for arg in args]
        try:
            results.append(sandbox.call(answer, *given))
        except sandbox.LearnersError as error:
            if "NotImplementedError" in str(error):
                raise NotAttempted(NO_CODE) from None
            raise
        if not same(given, list(args), 0.0):
            raise NotYet("changes-its-arguments", "your function changes its arguments")
        if not isinstance(results[-1], tuple | list) or len(results[-1]) != len(right):
            raise NotYet(*explain(results[-1], right))
    for number, gap in enumerate("ABCD"):
        judge_gap(
            gap,
            draws,
            [one[number] for one in results],
            [one[number] for one in expected],
        )
    refuse(answer, draws[4], AUTOGRAD, refused=(one_item,))


def judge_gap(gap: str, draws: list, results: list, expected: list) -> None:
    """Name what is wrong with one gap: a known slip, else the label for which it is wrong."""
    if same(results, expected):
        return
    for slip in SLIPS:
        if slip.gap == gap and same(results, [slip.wrong(*args) for args in draws]):
            raise NotYet(slip.id, f"{gap}: {slip.message}")
    for result, right in zip(results, expected, strict=True):
        if not torch.is_tensor(result) or result.shape != right.shape:
            id, message = explain(result, right)
            raise NotYet(id, f"{gap}: {message}")
    labels = torch.cat([y for _, y in draws])
    result, right = torch.cat(results).detach(), torch.cat(expected)
    wrong = [label for label in (0, 1) if not same(result[labels == label], right[labels == label])]
    chosen = labels == wrong[0]
    id, message = explain(result[chosen], right[chosen])
    if id == "wrong-value":
        p = torch.cat([y_hat for y_hat, _ in draws])[chosen]
        worst = int((result[chosen] - right[chosen]).abs().argmax())
        shown = show_both(float(result[chosen][worst]), float(right[chosen][worst]))
        message = f"wrong values: at ŷ = {p[worst]:.2f} it gives {shown[0]}; expected {shown[1]}"
    where = f", y = {wrong[0]}" if len(wrong) == 1 else ""
    also = f"; y = {1 - wrong[0]} is right" if len(wrong) == 1 else ""
    raise NotYet(id, f"{gap}{where}: {message}{also}")


ONE_ITEM = Exercise(
    id="gradients.one_item",
    title="the gaps of the derivation",
    spec=one_item_spec,
    more=judge_gaps,
    hints=(
        r"A: $e^{-z}/(1+e^{-z})^2 = \frac{1}{1+e^{-z}}\cdot\frac{e^{-z}}{1+e^{-z}}$. B: "
        r"differentiate both logarithms. C is A times B. D: $1-p_y$ is $1-\hat y$ for $y=1$ and "
        r"$\hat y$ for $y=0$; multiply its derivative with respect to $\hat y$ by A.",
        r"A is $\hat y(1-\hat y)$, B is $-y/\hat y + (1-y)/(1-\hat y)$, C is $\hat y - y$. "
        r"For $y=1$, D is $-\hat y(1-\hat y) = p_y(\hat y - y)$; is the same expression right "
        r"for $y=0$?",
    ),
    solution=one_item,
)

# --- The gradient of the learner's loss -----------------------------------------------------------


def total_gradient(z, y, alpha):
    """The gradient (items,) of L = L_p + α(1 − soft F1) with respect to the logits.

    z: logits (items,); y: labels (items,), 0 or 1; alpha: 0 or more, math.inf: the reward alone.
    """
    y_hat = z.sigmoid()
    total = y_hat.sum() + y.sum()
    f1 = 2 * (y_hat * y).sum() / total
    reward = (f1 - 2 * y) / total * y_hat * (1 - y_hat)
    if alpha == math.inf:
        return reward
    return (y_hat - y) / len(y) + alpha * reward


ALPHAS = (0, 1, 0.5, math.inf, 3, 10)


def total_inputs(seed: int) -> tuple[Tensor, Tensor, float]:
    """Logits, labels and α.

    Seeds 0 to 3: no positive, nothing but positives, a single item, extreme logits.
    """
    random = torch.Generator().manual_seed(seed)
    items = 1 if seed == 2 else 3 + seed % 6
    z = (2000 if seed == 3 else 1.5) * torch.randn(items, generator=random, dtype=F64)
    y = torch.randint(2, (items,), generator=random)
    if seed <= 2:
        y[:] = min(seed, 1)
    elif not y.any():
        y[0] = 1
    return z, y, ALPHAS[(seed + seed // 6) % 6]


def total_spec(z: Tensor, y: Tensor, alpha: float) -> Tensor:
    return gradient_by_differences(lambda z, y: total_loss(z, y, alpha), z, y)


def wrong_total(reward=None, prediction=None, combine=None):
    """A mistake in one of the parts.

    Args:
        reward: (y, p, f, v, s) -> the gradient of the reward loss. p: ŷ; f: F̃; v: Σŷ + Σy; s: the
            derivative of the sigmoid.
        prediction: (y, p) -> the gradient of the prediction loss.
        combine: (alpha, prediction, reward) -> the whole.
    """

    def right_reward(y, p, f, v, s):
        return -(2 * y - f) / v * s

    def right_whole(alpha, prediction, reward):
        return reward if alpha == math.inf else prediction + alpha * reward

    def wrong(z, y, alpha):
        p = z.sigmoid()
        v = p.sum() + y.sum()
        f = 2 * (p * y).sum() / v
        of_reward = (reward or right_reward)(y, p, f, v, p * (1 - p))
        of_prediction = (prediction or (lambda y, p: (p - y) / len(y)))(y, p)
        return (combine or right_whole)(alpha, of_prediction, of_reward)

    return wrong


INFINITE_ALPHA = (
    "for α = math.inf you add ∞ times something: there the loss is the reward loss alone, without "
    "any α"
)


def also_at_infinity(id: str, message: str, **parts) -> tuple[Misconception, Misconception]:
    """A mistake in a part, alone and together with no branch for α = math.inf."""
    return (
        Misconception(id, message, wrong_total(**parts)),
        Misconception(
            f"infinite-alpha-and-{id}",
            f"two things. First, {INFINITE_ALPHA}. Second, {message}",
            wrong_total(**parts, combine=lambda a, p, r: p + a * r),
        ),
    )


TOTAL_GRADIENT = Exercise(
    id="gradients.total_gradient",
    title="the gradient of your loss, by hand",
    spec=total_spec,
    inputs=total_inputs,
    misconceptions=(
        Misconception(
            "infinite-alpha",
            INFINITE_ALPHA,
            wrong_total(combine=lambda a, p, r: p + a * r),
        ),
        *also_at_infinity(
            "gradient-of-the-reward",
            "the reward's part has the wrong sign: L contains 1 − F̃, not F̃",
            reward=lambda y, p, f, v, s: (2 * y - f) / v * s,
        ),
        *also_at_infinity(
            "with-respect-to-y_hat",
            "the reward's part is the gradient with respect to ŷ: continue to z, through the "
            "sigmoid",
            reward=lambda y, p, f, v, s: -(2 * y - f) / v,
        ),
        *also_at_infinity(
            "reward-with-respect-to-y_hat",
            "the reward's part is ∂F̃/∂ŷ. Two things are left: from F̃ to 1 − F̃, and from ŷ to z",
            reward=lambda y, p, f, v, s: (2 * y - f) / v,
        ),
        *also_at_infinity(
            "constant-denominator",
            "ŷ is in the denominator of F̃, too: the quotient rule has a second term",
            reward=lambda y, p, f, v, s: -2 * y / v * s,
        ),
        *also_at_infinity(
            "plus-in-the-quotient-rule",
            "the two terms of the quotient rule do not have the same sign",
            reward=lambda y, p, f, v, s: -(2 * y + f) / v * s,
        ),
        *also_at_infinity(
            "sigmoid-for-its-derivative",
            "the last factor of the reward's part must be the derivative of the sigmoid; you "
            "multiply by ŷ alone",
            reward=lambda y, p, f, v, s: -(2 * y - f) / v * p,
        ),
        *also_at_infinity(
            "divides-by-n",
            "there is no N in the reward's part: F̃ belongs to the batch, it is not a mean over the "
            "items",
            reward=lambda y, p, f, v, s: -(2 * y - f) / v * s / len(y),
        ),
        *also_at_infinity(
            "half",
            "the numerator of F̃ is 2 Σ ŷy; a 2 has been lost on the way",
            reward=lambda y, p, f, v, s: -(y - f / 2) / v * s,
        ),
        *also_at_infinity(
            "half-in-the-first-term",
            "the 2 is lost in the first term, though F̃ has it: the derivative of 2 Σ ŷy with "
            "respect to ŷ_i is 2y_i",
            reward=lambda y, p, f, v, s: -(y - f) / v * s,
        ),
        *also_at_infinity(
            "not-divided",
            "the quotient rule divides by the denominator of F̃, Σŷ + Σy",
            reward=lambda y, p, f, v, s: -(2 * y - f) * s,
        ),
        *also_at_infinity(
            "divided-twice",
            "you divide by Σŷ + Σy once too often: F̃ contains one of the two divisions already",
            reward=lambda y, p, f, v, s: -(2 * y - f) / v**2 * s,
        ),
        *also_at_infinity(
            "1-for-f1",
            "the second term has F̃ of the whole batch in it; you have 1 there",
            reward=lambda y, p, f, v, s: -(2 * y - 1) / v * s,
        ),
        *also_at_infinity(
            "positives-only",
            "negatives have a gradient as well: F̃ falls when their ŷ rises",
            reward=lambda y, p, f, v, s: -(2 * y - f * y) / v * s,
        ),
        *also_at_infinity(
            "f1-per-item",
            "the second term has F̃ of the whole batch in it; you use one per item",
            reward=lambda y, p, f, v, s: -(2 * y - 2 * p * y / (p + y)) / v * s,
        ),
        *also_at_infinity(
            "sum-for-mean",
            "L_p is a mean over the items: its gradient is (ŷ − y)/N, and you have no N",
            prediction=lambda y, p: p - y,
        ),
        *also_at_infinity(
            "prediction-with-respect-to-y_hat",
            "the part of L_p is the gradient with respect to ŷ; through the sigmoid it becomes "
            "(ŷ − y)/N",
            prediction=lambda y, p: (p - y) / (p * (1 - p)) / len(y),
        ),
        *also_at_infinity(
            "sign-of-the-prediction",
            "the part of L_p has the wrong sign: it is (ŷ − y)/N",
            prediction=lambda y, p: (y - p) / len(y),
        ),
        Misconception(
            "prediction-twice",
            "with α = math.inf only the reward loss counts; you still add the gradient of L_p",
            wrong_total(combine=lambda a, p, r: p + (1 if a == math.inf else a) * r),
        ),
        Misconception(
            "no-prediction",
            "the gradient of L_p is missing: L has two terms",
            wrong_total(combine=lambda a, p, r: r if a == math.inf else a * r),
        ),
        Misconception(
            "no-alpha",
            "α changes nothing in your result except at math.inf: it multiplies the reward's part",
            wrong_total(combine=lambda a, p, r: r if a == math.inf else p + r),
        ),
        Misconception(
            "alpha-on-the-prediction",
            "α stands at the wrong term: it multiplies the reward's part",
            wrong_total(combine=lambda a, p, r: r if a == math.inf else a * p + r),
        ),
        Misconception(
            "weighted-mean",
            "L is L_p + α·L_r, and not (1 − α)·L_p + α·L_r or a sum divided by 1 + α",
            wrong_total(combine=lambda a, p, r: r if a == math.inf else (p + a * r) / (1 + a)),
        ),
    ),
    more=without_autograd(total_inputs, total_gradient, seeds=(4, 9)),
    hints=(
        r"Write $\tilde F = u/v$ with $u = 2\sum\hat y y$ and $v = \sum\hat y + \sum y$. Then "
        r"$\partial u/\partial\hat y_i = 2y_i$ and $\partial v/\partial\hat y_i = 1$. The quotient "
        r"rule is $(u' - \tilde F\, v')/v$.",
        r"$\partial\tilde F/\partial\hat y_i = (2y_i - \tilde F)/v$. The rest is the factor "
        r"$\hat y_i(1-\hat y_i)$ of the sigmoid, and a minus, since $L_r = 1 - \tilde F$. For "
        r"`alpha == math.inf` return this alone, else $(\hat y - y)/N$ plus α times it.",
    ),
    solution=total_gradient,
    tolerance=1e-7,
    piece="total_gradient",
)

# --- The gradient of expected accuracy ------------------------------------------------------------


def mended(z, y):
    """The gradient of expected accuracy, the mean of p_y, with respect to the logits.

    z: logits (items, classes); y: labels (items,). Returns a tensor like z.
    """
    p, e = z.softmax(-1), one_hot(y, z.shape[-1])
    p_y = (p * e).sum(1, keepdim=True)
    return p_y * (e - p) / len(y)


def class_inputs(seed):
    """Logits and labels; seeds 0 to 3: one item, two classes, confident ones, extreme logits."""
    random = torch.Generator().manual_seed(seed)
    items = 1 if seed == 0 else 2 + seed % 5
    classes = 2 if seed == 1 else 3 + seed % 3
    scale = {2: 5, 3: 2000}.get(seed, 1.5)
    z = scale * torch.randn(items, classes, generator=random, dtype=torch.float64)
    return z, torch.randint(classes, (items,), generator=random)


def wrong_formula(formula, mean=True):
    """A mistake in the gradient: formula(p, e, p_y), divided by the number of items or not."""

    def wrong(z, y):
        p, e = z.softmax(-1), one_hot(y, z.shape[-1]).double()
        p_y = (p * e).sum(1, keepdim=True)
        return formula(p, e, p_y) / (len(y) if mean else 1)

    return wrong


EXPECTED_ACCURACY_GRADIENT = Exercise(
    id="gradients.expected_accuracy_gradient",
    title="the bug in Eve's gradient",
    spec=lambda z, y: gradient_by_differences(expected_accuracy, z, y),
    inputs=class_inputs,
    misconceptions=(
        Misconception(
            "unchanged",
            "this is still Eve's: right in one entry of each item. What does the logit of another "
            "class do to p_y?",
            wrong_formula(lambda p, e, p_y: e * p * (1 - p)),
        ),
        Misconception(
            "gradient-of-log-p",
            "this is the gradient of the mean log p_y, as in cross-entropy. How do you get from "
            "log p_y to p_y itself?",
            wrong_formula(lambda p, e, p_y: e - p),
        ),
        Misconception(
            "factor-p_c",
            "the right class is right. The factor of the others must not be their own p: R holds "
            "p_y, not p_c",
            wrong_formula(lambda p, e, p_y: p * (e - p)),
        ),
        Misconception(
            "own-derivative",
            "the right class is right. What does the logit of another class do to p_y? Not to its "
            "own p",
            wrong_formula(lambda p, e, p_y: p * (1 - p) * (2 * e - 1)),
        ),
        Misconception(
            "gradient-of-the-loss",
            "this is the gradient of 1 − R; the exercise asks for that of R",
            wrong_formula(lambda p, e, p_y: p_y * (p - e)),
        ),
        Misconception(
            "sum-for-mean",
            "right for one item, but R is a mean over the items",
            wrong_formula(lambda p, e, p_y: p_y * (e - p), mean=False),
        ),
        Misconception(
            "mean-of-entries",
            "R is a mean over the items; you divide by the number of all entries",
            lambda z, y: mended(z, y) / z.shape[1],
        ),
        Misconception(
            "sum-over-the-batch",
            "p_y is one number per item; yours is the sum over the whole batch. Sum over the "
            "classes only: `.sum(1, keepdim=True)`",
            wrong_formula(lambda p, e, p_y: p_y.sum() * (e - p)),
        ),
        Misconception(
            "wrong-sign-of-others",
            "the other entries have the wrong sign: each item's gradient must add up to 0",
            wrong_formula(lambda p, e, p_y: p_y * (e * (1 - p) + (1 - e) * p)),
        ),
        Misconception(
            "others-only",
            "the right class is missing its own derivative, p_y (1 − p_y): that part of Eve's was "
            "right",
            wrong_formula(lambda p, e, p_y: p_y * -p * (1 - e)),
        ),
    ),
    more=without_autograd(class_inputs, mended),
    hints=(
        "A logit moves *all* probabilities of its item. So the logits of the other classes change "
        r"$p_y$, too: what is $\partial p_y/\partial z_c$ for $c \neq y$?",
        r"$\partial p_y/\partial z_c$ is $p_y(1 - p_y)$ for $c = y$, which Eve has, and "
        r"$-p_y\,p_c$ for every other class. Both in one: $p_y$ times something with $e_y$ and "
        "$p$. Finally, take the mean over the items.",
    ),
    solution=mended,
    tolerance=1e-7,
)

# --- The weight of an item ------------------------------------------------------------------------


def weight(alpha, p_y):
    """What expected accuracy makes of the gradient of cross-entropy: the factor of each item.

    alpha: 0 or more, math.inf: the reward alone; p_y: probabilities of the right class (items,).
    """
    if alpha == math.inf:
        return p_y
    return 1 + alpha * p_y


def weight_inputs(seed: int) -> tuple[float, Tensor]:
    random = torch.Generator().manual_seed(seed)
    return ALPHAS[seed % 6], 0.02 + 0.96 * torch.rand(5, generator=random, dtype=F64)


def weight_spec(alpha: float, p_y: Tensor) -> Tensor:
    """The gradient of L over that of L_p, from values alone, positive items one by one."""
    factors = []
    for z in p_y.logit():
        by_loss = gradient_by_differences(
            lambda z, y: loss_of_accuracy(z, alpha), z[None], torch.tensor([1])
        )
        by_prediction = gradient_by_differences(cross_entropy, z[None], torch.tensor([1]))
        factors.append(by_loss / by_prediction)
    return torch.cat(factors)


def loss_of_accuracy(z, alpha: float) -> float:
    """L of one positive item with logits (0, z) and the reward of expected accuracy."""
    reward = 1 - expected_accuracy([[0.0, *z]], [1])
    return reward if alpha == math.inf else cross_entropy(z, [1]) + alpha * reward


WEIGHT = Exercise(
    id="gradients.weight",
    title="the weight of an item",
    spec=weight_spec,
    inputs=weight_inputs,
    misconceptions=(
        Misconception(
            "infinite-alpha",
            "for α = math.inf the loss is the reward loss alone: no 1, and no α",
            lambda alpha, p_y: 1 + alpha * p_y,
        ),
        Misconception(
            "weight-falls-with-p_y",
            "this favours what is wrong, as focal loss does: look at C and D of Exercise 1 again",
            lambda alpha, p_y: 1 - p_y if alpha == math.inf else 1 + alpha * (1 - p_y),
        ),
        Misconception(
            "weight-falls-except-at-infinity",
            "right for α = math.inf. For the other α your factor falls with p_y, as that of focal "
            "loss does: look at C and D of Exercise 1 again",
            lambda alpha, p_y: p_y if alpha == math.inf else 1 + alpha * (1 - p_y),
        ),
        Misconception(
            "minus",
            "the reward loss 1 − p_y pulls in the same direction as cross-entropy: C and D have "
            "the same sign, so their parts are added",
            lambda alpha, p_y: p_y if alpha == math.inf else 1 - alpha * p_y,
        ),
        Misconception(
            "minus-everywhere",
            "C and D have the same sign, so the factor of the reward is positive, for every α",
            lambda alpha, p_y: -p_y if alpha == math.inf else 1 - alpha * p_y,
        ),
        Misconception(
            "1-at-infinity",
            "for α = math.inf cross-entropy is not in the loss: the 1 is its factor",
            lambda alpha, p_y: 1 + (1 if alpha == math.inf else alpha) * p_y,
        ),
        Misconception(
            "reward-factor-alone",
            "this is the reward's part alone; the gradient of cross-entropy is still there",
            lambda alpha, p_y: p_y if alpha == math.inf else alpha * p_y,
        ),
        Misconception(
            "p_y-on-both-terms",
            "1 + α p_y is not (1 + α) p_y: the 1 is cross-entropy, which has no factor p_y",
            lambda alpha, p_y: p_y if alpha == math.inf else (1 + alpha) * p_y,
        ),
        Misconception(
            "push-for-factor",
            "this is the size of the gradient itself; divide it by that of cross-entropy, 1 − p_y",
            lambda alpha, p_y: (p_y if alpha == math.inf else 1 + alpha * p_y) * (1 - p_y),
        ),
        Misconception(
            "weighted-mean",
            "L is L_p + α·L_r; you divide by 1 + α",
            lambda alpha, p_y: p_y if alpha == math.inf else (1 + alpha * p_y) / (1 + alpha),
        ),
    ),
    hints=(
        "The gradient of $L$ is C + α·D, and that of cross-entropy is C. Divide.",
        r"$D = p_y\,(\hat y - y) = p_y\,C$, so $C + \alpha D = (1 + \alpha p_y)\,C$. And for the "
        "reward alone?",
    ),
    solution=weight,
)
