"""The checks of lesson 02: slopes by differences, by hand, as weights, and a search for a wrong one.

What is right is decided by values, worked out with loops, and by central differences of them (`differences`).
Exercises 3 and 5 have rooms of their own (`weights02`, `search02`).
"""

import itertools

import torch
from torch.nn.functional import one_hot

from rmlib.exercises.framework.exercise import Exercise, Lesson
from rmlib.exercises.framework.numerical_gradients import (
    binary_soft_f1,
    expected_accuracy,
    slopes_of,
    without_autograd,
)
from rmlib.loss.gradients import central_differences

from .predictions import WEIGHTS
from .quiz import QUESTIONS
from .search import SEARCH

__all__ = ["QUESTIONS", "check"]

# ---- 1: a central-difference check -----------------------------------------------------------------------------------


def central(f, z, step=1e-5):
    """The slope of the scalar f(z) over each entry of z (items, classes), by central differences; z stays as it is."""
    slope = torch.zeros_like(z)
    for i in range(z.shape[0]):
        for c in range(z.shape[1]):
            there = torch.zeros_like(z)
            there[i, c] = step
            slope[i, c] = (f(z + there) - f(z - there)) / (2 * step)
    return slope


def central_spec(f, z, step=1e-5):
    return central_differences(f, z, step)


def central_inputs(seed):
    """Three kinds of f, in which entries meet or do not; the step left out, large, and in between."""
    random = torch.Generator().manual_seed(seed)
    z, w = torch.randn(2, 1 + seed % 4, 2 + seed % 3, generator=random, dtype=torch.float64)
    kinds = (lambda z: (z**3).sum(), lambda z: (w * z.exp()).sum() * z.sum(), lambda z: (w * z**2).exp().sum().log())
    steps = ((), (0.1,), (0.01,), (0.001,))
    return (kinds[seed % 3], z, *steps[seed // 3 % 4])


def moved(join, which=lambda there, i, c: there[i, c]):
    """A mistake in the difference: join(f, z, there, step) for an entry, with `which` of the steps `there` set."""

    def mistake(f, z, step=1e-5):
        slope = torch.zeros_like(z)
        for i, c in itertools.product(*map(range, z.shape)):
            there = torch.zeros_like(z)
            which(there, i, c).fill_(step)
            slope[i, c] = join(f, z, there, step)
        return slope

    return mistake


def both_sides(f, z, there, step):
    return (f(z + there) - f(z - there)) / (2 * step)


def first_item_only(f, z, step=1e-5):
    slope = central(f, z, step)
    slope[1:] = 0
    return slope


Q1 = Exercise(
    "a central-difference check",
    spec=central_spec,
    inputs=central_inputs,
    mistakes={
        "this is one-sided: take f at z + ε and at z − ε": moved(lambda f, z, m, s: (f(z + m) - f(z)) / s),
        "this is one-sided, to the left: take f at z + ε and at z − ε": moved(lambda f, z, m, s: (f(z) - f(z - m)) / s),
        "twice too large: how far apart are the two places at which you take f?": moved(
            lambda f, z, m, s: (f(z + m) - f(z - m)) / s
        ),
        "this is the difference of the two values, not yet divided by anything: a slope is height over width": moved(
            lambda f, z, m, s: f(z + m) - f(z - m)
        ),
        "`/ 2 * step` divides by 2 and then multiplies by step: put brackets around what stands below the line": moved(
            lambda f, z, m, s: (f(z + m) - f(z - m)) / 2 * s
        ),
        "only the second value is divided: put brackets around the difference": moved(
            lambda f, z, m, s: f(z + m) - f(z - m) / (2 * s)
        ),
        "you move all logits of an item at once: each entry needs its own two values": moved(
            both_sides, lambda there, i, c: there[i]
        ),
        "you move the whole table at once: each entry needs its own two values": moved(
            both_sides, lambda there, i, c: there
        ),
        "entries that were moved stay moved: begin each entry from z itself": moved(
            both_sides, lambda there, i, c: there.view(-1)[: i * there.shape[1] + c + 1]
        ),
        "only the first item has slopes: does `return` stand inside the loop?": first_item_only,
        "the two places must be z + step and z − step: you go half as far": lambda f, z, step=1e-5: central(
            f, z, step / 2
        ),
        "another `step` changes nothing in your result: use the one that is given, and only values of f at z + step "
        "and z − step": lambda f, z, step=1e-5: central_spec(f, z),
    },
    hints=(
        "Two loops, over items and classes. For entry (i, c) make a table of zeros with the step at that place, and "
        "evaluate $f$ at $z$ plus and at $z$ minus this table.",
        "`there = torch.zeros_like(z)`, `there[i, c] = step`; then the difference of `f(z + there)` and "
        "`f(z - there)`, over the distance of the two places. Do not write `z[i, c] += step`: it changes the caller's "
        "tensor.",
    ),
    solution=central,
)

# ---- 2: the bug in a colleague's slope -------------------------------------------------------------------------------


def mended(z, y):
    """The slope of expected accuracy, the mean of p_y, over each logit; z (items, classes), y (items,): as z."""
    p, e = z.softmax(-1), one_hot(y, z.shape[-1])
    p_y = (p * e).sum(1, keepdim=True)
    return p_y * (e - p) / len(y)


def class_inputs(seed):
    """Some items and classes; with seeds 0 to 3 one item, two classes, sure ones, extreme logits."""
    random = torch.Generator().manual_seed(seed)
    items, classes = 1 if seed == 0 else 2 + seed % 5, 2 if seed == 1 else 3 + seed % 3
    z = {2: 5, 3: 2000}.get(seed, 1.5) * torch.randn(items, classes, generator=random, dtype=torch.float64)
    return z, torch.randint(classes, (items,), generator=random)


def p_e_p_y(z, y):
    p, e = z.softmax(-1), one_hot(y, z.shape[-1]).double()
    return p, e, (p * e).sum(1, keepdim=True)


def slip(formula, mean=True):
    """A mistake: formula(p, e, p_y), divided by N or not."""
    return lambda z, y: formula(*p_e_p_y(z, y)) / (len(y) if mean else 1)


Q2 = Exercise(
    "the bug in Eve's slope",
    spec=lambda z, y: slopes_of(expected_accuracy, z, y),
    inputs=class_inputs,
    mistakes={
        "this is still Eve's: right in one entry of each item. What does the logit of another class do to p_y?": slip(
            lambda p, e, p_y: e * p * (1 - p)
        ),
        "this is the slope of the mean log p_y, as in cross-entropy. How do you get from log p_y to p_y itself?": slip(
            lambda p, e, p_y: e - p
        ),
        "the right class is right. The factor of the others must not be their own p: R holds p_y, not p_c": slip(
            lambda p, e, p_y: p * (e - p)
        ),
        "the right class is right. What does the logit of another class do to p_y? Not to its own p": slip(
            lambda p, e, p_y: p * (1 - p) * (2 * e - 1)
        ),
        "this is the slope of 1 − R; asked for is that of R": slip(lambda p, e, p_y: p_y * (p - e)),
        "right for one item, but R is a mean over the items": slip(lambda p, e, p_y: p_y * (e - p), mean=False),
        "R is a mean over the items; you divide by the number of all entries": lambda z, y: mended(z, y) / z.shape[1],
        "the other entries have the wrong sign: each item's slopes must add up to 0": slip(
            lambda p, e, p_y: p_y * (e * (1 - p) + (1 - e) * p)
        ),
        "the right class is missing its own slope, p_y (1 − p_y): that part of Eve's was right": slip(
            lambda p, e, p_y: p_y * -p * (1 - e)
        ),
    },
    more=without_autograd(class_inputs),
    hints=(
        "A logit moves *all* probabilities of its item. So the logits of the other classes change $p_y$, too: what is "
        r"$\partial p_y/\partial z_c$ for $c \neq y$?",
        r"$\partial p_y/\partial z_c$ is $p_y(1 - p_y)$ for $c = y$, which Eve has, and $-p_y\,p_c$ for every other "
        "class. Both in one: $p_y$ times something with $e_y$ and $p$. At the end comes the mean over the items.",
    ),
    solution=mended,
    tolerance=1e-7,
)

# ---- 4: the slope of 1 - soft F1 -------------------------------------------------------------------------------------


def slope_of_L_r(z, y):
    """The slope of 1 - soft F1 over each logit; z (items,) logits, y (items,) labels, 0 or 1: a tensor (items,)."""
    y_hat = z.sigmoid()
    total = y_hat.sum() + y.sum()
    f = 2 * (y_hat * y).sum() / total
    return -(2 * y - f) / total * y_hat * (1 - y_hat)


def binary_inputs(seed):
    """Logits and labels; with seeds 0 to 3 no positive, nothing else, a single item, extreme logits."""
    random = torch.Generator().manual_seed(seed)
    items = 1 if seed == 2 else 3 + seed % 6
    z = (2000 if seed == 3 else 1.5) * torch.randn(items, generator=random, dtype=torch.float64)
    y = torch.randint(2, (items,), generator=random)
    if seed <= 2:
        y[:] = min(seed, 1)
    elif not y.any():
        y[0] = 1
    return z, y


def f1_slip(formula):
    """A mistake: formula(y, y_hat, f, total, sigmoid's slope)."""

    def mistake(z, y):
        y_hat = z.sigmoid()
        total = y_hat.sum() + y.sum()
        return formula(y, y_hat, 2 * (y_hat * y).sum() / total, total, y_hat * (1 - y_hat))

    return mistake


Q4 = Exercise(
    "the slope of 1 − soft F1",
    spec=lambda z, y: slopes_of(binary_soft_f1, z, y).neg(),
    inputs=binary_inputs,
    mistakes={
        "right size, wrong sign: this is the slope of F̃, not of 1 − F̃": f1_slip(
            lambda y, p, f, v, s: (2 * y - f) / v * s
        ),
        "this is the slope over ŷ: go on to z, through the sigmoid": f1_slip(lambda y, p, f, v, s: -(2 * y - f) / v),
        "ŷ stands below the line, too: the quotient rule has a second term": f1_slip(
            lambda y, p, f, v, s: -2 * y / v * s
        ),
        "this is ∂F̃/∂ŷ. Two things are left: from F̃ to 1 − F̃, and from ŷ to z": f1_slip(
            lambda y, p, f, v, s: (2 * y - f) / v
        ),
        "the two terms of the quotient rule do not have the same sign": f1_slip(
            lambda y, p, f, v, s: -(2 * y + f) / v * s
        ),
        "the last factor must be the slope of the sigmoid; you multiply by ŷ alone": f1_slip(
            lambda y, p, f, v, s: -(2 * y - f) / v * p
        ),
        "there is no N in it: F̃ is no mean over items": f1_slip(lambda y, p, f, v, s: -(2 * y - f) / v * s / len(y)),
        "above the line of F̃ stands 2 Σ ŷy; a 2 has been lost on the way": f1_slip(
            lambda y, p, f, v, s: -(y - f / 2) / v * s
        ),
        "the 2 is lost in the first term, though F̃ has it: the slope of 2 Σ ŷy over ŷ_i is 2y_i": f1_slip(
            lambda y, p, f, v, s: -(y - f) / v * s
        ),
        "the quotient rule divides: by the sum that stands below the line of F̃": f1_slip(
            lambda y, p, f, v, s: -(2 * y - f) * s
        ),
        "you divide by Σŷ + Σy once too often: where F̃ stands, one of the two is in it already": f1_slip(
            lambda y, p, f, v, s: -(2 * y - f) / v**2 * s
        ),
        "the second term has F̃ of the whole batch in it; you have 1 there": f1_slip(
            lambda y, p, f, v, s: -(2 * y - 1) / v * s
        ),
        "right on the positives, but negatives are pushed as well: F̃ falls when their ŷ rises": f1_slip(
            lambda y, p, f, v, s: -(2 * y - f * y) / v * s
        ),
        "the second term has F̃ of the whole batch in it; you take one for each item": f1_slip(
            lambda y, p, f, v, s: -(2 * y - 2 * p * y / (p + y)) / v * s
        ),
    },
    more=without_autograd(binary_inputs),
    hints=(
        r"Write $\tilde F = u/v$ with $u = 2\sum\hat y y$ and $v = \sum\hat y + \sum y$. Then "
        r"$\partial u/\partial\hat y_i = 2y_i$ and $\partial v/\partial\hat y_i = 1$. The quotient rule is "
        r"$(u' - \tilde F\, v')/v$.",
        r"$\partial\tilde F/\partial\hat y_i = (2y_i - \tilde F)/v$. The rest is the factor $\hat y_i(1-\hat y_i)$ of "
        r"the sigmoid, and a minus, since $L_r = 1 - \tilde F$.",
    ),
    solution=slope_of_L_r,
    tolerance=1e-7,
)

check = Lesson(q1=Q1, q2=Q2, q3=WEIGHTS, q4=Q4, q5=SEARCH)
