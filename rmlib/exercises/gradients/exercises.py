"""The exercises on gradients: central differences, formulas, token weights, a search.

Values worked out with loops, and central differences of them, decide what is right
(`reference_values`).
"""

import itertools

import torch
from torch.nn.functional import one_hot

from rmlib.exercises.framework.autograd_guard import without_autograd
from rmlib.exercises.framework.exercise import Exercise, Lesson, Misconception
from rmlib.loss.gradients import central_differences

from .predictions import TOKEN_WEIGHTS
from .quiz import QUESTIONS
from .reference_values import binary_soft_f1, expected_accuracy, gradient_by_differences
from .search import SEARCH

__all__ = ["QUESTIONS", "check"]

# --- Central differences --------------------------------------------------------------------------


def central(f, z, step=1e-5):
    """The gradient of the scalar f(z) by central differences; z (items, classes) is not changed."""
    gradient = torch.zeros_like(z)
    for i in range(z.shape[0]):
        for c in range(z.shape[1]):
            shift = torch.zeros_like(z)
            shift[i, c] = step
            gradient[i, c] = (f(z + shift) - f(z - shift)) / (2 * step)
    return gradient


def central_spec(f, z, step=1e-5):
    return central_differences(f, z, step)


def central_inputs(seed):
    """f, z and sometimes a step.

    Three kinds of f, in which entries interact or do not; steps from 0.001 to 0.1.
    """
    random = torch.Generator().manual_seed(seed)
    z, w = torch.randn(2, 1 + seed % 4, 2 + seed % 3, generator=random, dtype=torch.float64)
    kinds = (
        lambda z: (z**3).sum(),
        lambda z: (w * z.exp()).sum() * z.sum(),
        lambda z: (w * z**2).exp().sum().log(),
    )
    steps = ((), (0.1,), (0.01,), (0.001,))
    return (kinds[seed % 3], z, *steps[seed // 3 % 4])


def entry(shift, i, c):
    return shift[i, c]


def wrong_difference(quotient, entries=entry):
    """A mistake in the quotient, or in the entries that are shifted.

    Args:
        quotient: (f, z, shift, step) -> the derivative of one entry.
        entries: (shift, i, c) -> the view of shift that gets the step for entry (i, c).
    """

    def wrong(f, z, step=1e-5):
        gradient = torch.zeros_like(z)
        for i, c in itertools.product(*map(range, z.shape)):
            shift = torch.zeros_like(z)
            entries(shift, i, c).fill_(step)
            gradient[i, c] = quotient(f, z, shift, step)
        return gradient

    return wrong


def central_quotient(f, z, shift, step):
    return (f(z + shift) - f(z - shift)) / (2 * step)


def first_item_only(f, z, step=1e-5):
    gradient = central(f, z, step)
    gradient[1:] = 0
    return gradient


CENTRAL_DIFFERENCES = Exercise(
    id="gradients.central_differences",
    title="a central-difference check",
    spec=central_spec,
    inputs=central_inputs,
    misconceptions=(
        Misconception(
            "one-sided",
            "this is one-sided: evaluate f at z + ε and at z − ε",
            wrong_difference(lambda f, z, shift, step: (f(z + shift) - f(z)) / step),
        ),
        Misconception(
            "one-sided-backward",
            "this is one-sided, backward: evaluate f at z + ε and at z − ε",
            wrong_difference(lambda f, z, shift, step: (f(z) - f(z - shift)) / step),
        ),
        Misconception(
            "divides-by-one-step",
            "twice too large: how far apart are the two points at which you evaluate f?",
            wrong_difference(lambda f, z, shift, step: (f(z + shift) - f(z - shift)) / step),
        ),
        Misconception(
            "not-divided",
            "this is the difference of the two values, not yet divided: a derivative is the change "
            "of f per change of z",
            wrong_difference(lambda f, z, shift, step: f(z + shift) - f(z - shift)),
        ),
        Misconception(
            "denominator-without-brackets",
            "`/ 2 * step` divides by 2 and then multiplies by step: put brackets around the "
            "denominator",
            wrong_difference(lambda f, z, shift, step: (f(z + shift) - f(z - shift)) / 2 * step),
        ),
        Misconception(
            "numerator-without-brackets",
            "only the second value is divided: put brackets around the difference",
            wrong_difference(lambda f, z, shift, step: f(z + shift) - f(z - shift) / (2 * step)),
        ),
        Misconception(
            "perturbs-an-item",
            "you perturb all logits of an item at once: each entry needs its own two values",
            wrong_difference(central_quotient, lambda shift, i, c: shift[i]),
        ),
        Misconception(
            "perturbs-everything",
            "you perturb the whole table at once: each entry needs its own two values",
            wrong_difference(central_quotient, lambda shift, i, c: shift),
        ),
        Misconception(
            "keeps-perturbations",
            "entries that were perturbed stay perturbed: start each entry from z itself",
            wrong_difference(
                central_quotient,
                lambda shift, i, c: shift.view(-1)[: i * shift.shape[1] + c + 1],
            ),
        ),
        Misconception(
            "first-item-only",
            "only the first item has a gradient: does `return` stand inside the loop?",
            first_item_only,
        ),
        Misconception(
            "half-the-step",
            "the two points must be z + step and z − step: you perturb by half of it",
            lambda f, z, step=1e-5: central(f, z, step / 2),
        ),
        Misconception(
            "ignores-the-step",
            "another `step` changes nothing in your result: use the argument, and only values of f "
            "at z + step and z − step",
            lambda f, z, step=1e-5: central_spec(f, z),
        ),
    ),
    hints=(
        "Two loops, over items and classes. For entry (i, c) make a tensor of zeros with the step "
        "at that entry, and evaluate $f$ at $z$ plus and at $z$ minus this tensor.",
        "`shift = torch.zeros_like(z)`, `shift[i, c] = step`; then the difference of "
        "`f(z + shift)` and `f(z - shift)`, over the distance of the two points. Do not write "
        "`z[i, c] += step`: it changes the caller's tensor.",
    ),
    solution=central,
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
    more=without_autograd(class_inputs),
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

# --- The gradient of 1 - soft F1 ------------------------------------------------------------------


def slope_of_L_r(z, y):
    """The gradient (items,) of 1 - soft F1 with respect to the logits.

    z: logits (items,); y: labels (items,), 0 or 1.
    """
    y_hat = z.sigmoid()
    total = y_hat.sum() + y.sum()
    f = 2 * (y_hat * y).sum() / total
    return -(2 * y - f) / total * y_hat * (1 - y_hat)


def binary_inputs(seed):
    """Logits and labels.

    Seeds 0 to 3: no positive, nothing but positives, a single item, extreme logits.
    """
    random = torch.Generator().manual_seed(seed)
    items = 1 if seed == 2 else 3 + seed % 6
    z = (2000 if seed == 3 else 1.5) * torch.randn(items, generator=random, dtype=torch.float64)
    y = torch.randint(2, (items,), generator=random)
    if seed <= 2:
        y[:] = min(seed, 1)
    elif not y.any():
        y[0] = 1
    return z, y


def wrong_f1_formula(formula):
    """A mistake in the gradient: formula(y, p, f, v, s).

    p: ŷ; f: F̃; v: Σŷ + Σy; s: the derivative of the sigmoid.
    """

    def wrong(z, y):
        p = z.sigmoid()
        v = p.sum() + y.sum()
        return formula(y, p, 2 * (p * y).sum() / v, v, p * (1 - p))

    return wrong


SOFT_F1_GRADIENT = Exercise(
    id="gradients.soft_f1_gradient",
    title="the gradient of 1 − soft F1",
    spec=lambda z, y: gradient_by_differences(binary_soft_f1, z, y).neg(),
    inputs=binary_inputs,
    misconceptions=(
        Misconception(
            "gradient-of-the-reward",
            "right size, wrong sign: this is the gradient of F̃, not of 1 − F̃",
            wrong_f1_formula(lambda y, p, f, v, s: (2 * y - f) / v * s),
        ),
        Misconception(
            "with-respect-to-y_hat",
            "this is the gradient with respect to ŷ: continue to z, through the sigmoid",
            wrong_f1_formula(lambda y, p, f, v, s: -(2 * y - f) / v),
        ),
        Misconception(
            "constant-denominator",
            "ŷ is in the denominator, too: the quotient rule has a second term",
            wrong_f1_formula(lambda y, p, f, v, s: -2 * y / v * s),
        ),
        Misconception(
            "reward-with-respect-to-y_hat",
            "this is ∂F̃/∂ŷ. Two things are left: from F̃ to 1 − F̃, and from ŷ to z",
            wrong_f1_formula(lambda y, p, f, v, s: (2 * y - f) / v),
        ),
        Misconception(
            "plus-in-the-quotient-rule",
            "the two terms of the quotient rule do not have the same sign",
            wrong_f1_formula(lambda y, p, f, v, s: -(2 * y + f) / v * s),
        ),
        Misconception(
            "sigmoid-for-its-derivative",
            "the last factor must be the derivative of the sigmoid; you multiply by ŷ alone",
            wrong_f1_formula(lambda y, p, f, v, s: -(2 * y - f) / v * p),
        ),
        Misconception(
            "divides-by-n",
            "there is no N in it: F̃ is no mean over items",
            wrong_f1_formula(lambda y, p, f, v, s: -(2 * y - f) / v * s / len(y)),
        ),
        Misconception(
            "half",
            "the numerator of F̃ is 2 Σ ŷy; a 2 has been lost on the way",
            wrong_f1_formula(lambda y, p, f, v, s: -(y - f / 2) / v * s),
        ),
        Misconception(
            "half-in-the-first-term",
            "the 2 is lost in the first term, though F̃ has it: the derivative of 2 Σ ŷy with "
            "respect to ŷ_i is 2y_i",
            wrong_f1_formula(lambda y, p, f, v, s: -(y - f) / v * s),
        ),
        Misconception(
            "not-divided",
            "the quotient rule divides by the denominator of F̃",
            wrong_f1_formula(lambda y, p, f, v, s: -(2 * y - f) * s),
        ),
        Misconception(
            "divided-twice",
            "you divide by Σŷ + Σy once too often: F̃ contains one of the two divisions already",
            wrong_f1_formula(lambda y, p, f, v, s: -(2 * y - f) / v**2 * s),
        ),
        Misconception(
            "1-for-f1",
            "the second term has F̃ of the whole batch in it; you have 1 there",
            wrong_f1_formula(lambda y, p, f, v, s: -(2 * y - 1) / v * s),
        ),
        Misconception(
            "positives-only",
            "right on the positives, but negatives have a gradient as well: F̃ falls when their ŷ "
            "rises",
            wrong_f1_formula(lambda y, p, f, v, s: -(2 * y - f * y) / v * s),
        ),
        Misconception(
            "f1-per-item",
            "the second term has F̃ of the whole batch in it; you use one per item",
            wrong_f1_formula(lambda y, p, f, v, s: -(2 * y - 2 * p * y / (p + y)) / v * s),
        ),
    ),
    more=without_autograd(binary_inputs),
    hints=(
        r"Write $\tilde F = u/v$ with $u = 2\sum\hat y y$ and $v = \sum\hat y + \sum y$. Then "
        r"$\partial u/\partial\hat y_i = 2y_i$ and $\partial v/\partial\hat y_i = 1$. The quotient "
        r"rule is $(u' - \tilde F\, v')/v$.",
        r"$\partial\tilde F/\partial\hat y_i = (2y_i - \tilde F)/v$. The rest is the factor "
        r"$\hat y_i(1-\hat y_i)$ of the sigmoid, and a minus, since $L_r = 1 - \tilde F$.",
    ),
    solution=slope_of_L_r,
    tolerance=1e-7,
)

check = Lesson(
    q1=CENTRAL_DIFFERENCES,
    q2=EXPECTED_ACCURACY_GRADIENT,
    q3=TOKEN_WEIGHTS,
    q4=SOFT_F1_GRADIENT,
    q5=SEARCH,
)
