"""The checks on surrogate rewards, on answers that students give."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import f as fisher
from scipy.stats import norm
from scipy.stats import t as student
from sklearn import metrics as exact
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from torch.nn.functional import one_hot

from rmlib import RewardObjective
from rmlib.classroom import mine
from rmlib.exercises.surrogates import (
    cousin,
    jackknife,
    parts,
    settling,
    token_loss,
    trainings,
)
from rmlib.exercises.surrogates.as_printed import adjusting_dice_slowly
from rmlib.exercises.surrogates.class_f1 import class_f1_slowly, some_probabilities
from rmlib.exercises.surrogates.exercises import check
from rmlib.exercises.surrogates.quiz import QUESTIONS
from rmlib.exercises.surrogates.smooth_ap import smooth_ap_inputs, smooth_ap_spec
from rmlib.loss.rewards import REWARDS
from rmlib.text.encoding import IGNORE
from tests.exercises.common import accepted, depends_on_its_spec, not_attempted, rejected

# --- Exercise 1: soft F1 over classes -------------------------------------------------------------


def by_columns(p, y):
    """Class by class, with sums of counts."""
    true = predicted = actual = 0
    for c in range(1, p.shape[1]):
        is_c = (y == c).to(p)
        true = true + p[:, c] @ is_c
        predicted = predicted + p[:, c].sum()
        actual = actual + is_c.sum()
    return 2 * true / (predicted + actual)


def by_indexing(p, y):
    positive = y > 0
    true = p[positive].gather(1, y[positive, None]).sum()
    return 2 * true / ((1 - p[:, 0]).sum() + positive.sum())


def with_first(first):
    def answer(p, y):
        labels = one_hot(y, p.shape[1])[:, first:]
        return 2 * (p[:, first:] * labels).sum() / (p[:, first:].sum() + labels.sum())

    return answer


def in_columns(p, labels):
    """Soft F1 from a table of labels, made by the caller."""
    return 2 * (p[:, 1:] * labels[:, 1:]).sum() / (p[:, 1:].sum() + labels[:, 1:].sum())


def per_class(p, y):
    labels = one_hot(y, p.shape[1])
    return (2 * (p * labels).sum(0) / (p.sum(0) + labels.sum(0)))[1:].mean()


@pytest.mark.parametrize(
    ("answer", "misconception"),
    [
        (with_first(0), "with-background"),
        (per_class, "macro"),
        (lambda p, y: by_columns(one_hot(p.argmax(-1), p.shape[1]).double(), y), "decisions"),
        (lambda p, y: by_indexing(p[y > 0], y[y > 0]), "positive-items-only"),
        (lambda p, y: 1 - by_columns(p, y), "one-minus"),
        (lambda p, y: by_columns(p, y) / 2, "factor-2"),
        (lambda p, y: by_columns(p, y).item() * torch.ones(()).double(), "no-gradient"),
        (lambda p, y: REWARDS["soft_f1"].function(p.log(), y, 0), "uses-the-kit"),
        (lambda p, y: by_columns(p.detach(), y) + 0 * p.sum(), "wrong-gradient"),
        (lambda p, y: None, "returns-none"),
        (lambda p, y: in_columns(p, one_hot(y)), "class-count"),
    ],
)
def test_class_f1_wrong(answer, misconception):
    rejected(check.q1, answer, misconception)


def test_class_f1_right():
    for answer in (by_columns, by_indexing, with_first(1)):
        accepted(check.q1, answer)
        depends_on_its_spec(check.q1, answer, lambda p, y: class_f1_slowly(p, y) + 0.01)


def test_class_f1_is_scikit_learns_on_hard_inputs():
    for seed in range(12):
        p, y = some_probabilities(seed)
        guess = p.argmax(-1)
        labels = list(range(1, p.shape[1]))
        right = exact.f1_score(y, guess, labels=labels, average="micro")
        hard = one_hot(guess, p.shape[1]).double()
        assert math.isclose(class_f1_slowly(hard, y), right)


# --- Exercise 2: L over classes and tokens -------------------------------------------------------


def with_the_kit(z, y, alpha):
    return RewardObjective(alpha, "soft_f1")(z, y).total


def with_the_kits_reward(z, y, alpha):
    kept = y != IGNORE
    reward = REWARDS["soft_f1"].function(z[kept], y[kept], 0)
    return finite_or_alone(the_articles_loss(z, y, alpha), 1 - reward, alpha)


def with_mine(z, y, alpha):
    return mine.token_loss(z, y, alpha)


def in_plain_torch(z, y, alpha):
    weight = (y != IGNORE)[..., None].double()
    p = z.softmax(-1) * weight
    hot = torch.nn.functional.one_hot(y.clamp_min(0), z.shape[-1]) * weight
    surprise = -(z.log_softmax(-1) * hot).sum() / weight.sum()
    f1 = 2 * (p * hot)[..., 1:].sum() / (p[..., 1:].sum() + hot[..., 1:].sum())
    return 1 - f1 if alpha == math.inf else surprise + alpha - alpha * f1


def the_articles_loss(z, y, alpha):
    return torch.nn.functional.cross_entropy(z.flatten(0, 1), y.flatten())


def f1_of(z, y, keep=IGNORE, first=1):
    kept = y != keep
    p, hot = (
        z[kept].softmax(-1)[:, first:],
        torch.nn.functional.one_hot(y[kept], z.shape[-1])[:, first:],
    )
    return 2 * (p * hot).sum() / (p.sum() + hot.sum())


def finite_or_alone(L_p, L_r, alpha):
    return L_r if alpha == math.inf else L_p + alpha * L_r


def padding_is_o(z, y, alpha):
    y = y.where(y != IGNORE, 0)
    return the_articles_loss(z, y, alpha) + alpha * (1 - f1_of(z, y))


def padding_is_scored(z, y, alpha):
    filled = y.where(y != IGNORE, 0)
    return the_articles_loss(z, y, alpha) + alpha * (1 - f1_of(z, filled))


def soft_f1_loss(table=lambda z: z.softmax(-1), keep=lambda y: y != IGNORE, classes=None):
    """L with a mistake in its soft F1."""

    def answer(z, y, alpha):
        L_p = the_articles_loss(z, y, alpha)
        kept = keep(y)
        p = table(z[kept])
        labels = one_hot(y[kept]) if classes == "missing" else one_hot(y[kept], z.shape[-1])
        return finite_or_alone(L_p, 1 - in_columns(p, labels), alpha)

    return answer


def each_sentence(z, y, alpha):
    pairs = zip(z, y, strict=True)
    return torch.stack([in_plain_torch(one[None], own[None], alpha) for one, own in pairs]).mean()


def L_p_by_sentence(z, y, alpha):
    pairs = zip(z, y, strict=True)
    each = [torch.nn.functional.cross_entropy(one, own) for one, own in pairs]
    return finite_or_alone(torch.stack(each).mean(), 1 - f1_of(z, y), alpha)


def only_names(z, y, alpha):
    kept = y > 0
    L_p = torch.nn.functional.cross_entropy(z[kept], y[kept])
    p = z[kept].softmax(-1)
    return finite_or_alone(L_p, 1 - in_columns(p, one_hot(y[kept], z.shape[-1])), alpha)


def reward_at_infinity(z, y, alpha):
    f1 = f1_of(z, y)
    return f1 if alpha == math.inf else the_articles_loss(z, y, alpha) + alpha * (1 - f1)


@pytest.mark.parametrize(
    "answer, misconception",
    [
        (soft_f1_loss(torch.sigmoid), "sigmoid"),
        (soft_f1_loss(lambda z: z.softmax(0)), "softmax-over-tokens"),
        (soft_f1_loss(keep=lambda y: y > 0), "names-alone-in-the-f1"),
        (soft_f1_loss(classes="missing"), "class-count"),
        (only_names, "names-alone"),
        (each_sentence, "mean-of-sentence-losses"),
        (L_p_by_sentence, "prediction-loss-per-sentence"),
        (reward_at_infinity, "infinity-reward"),
        (the_articles_loss, "prediction-loss-alone"),
        (lambda z, y, a: the_articles_loss(z, y, a) + a * f1_of(z, y), "adds-the-reward"),
        (lambda z, y, a: the_articles_loss(z, y, a) - a * f1_of(z, y), "minus-the-reward"),
        (
            lambda z, y, a: a * (the_articles_loss(z, y, a) + 1 - f1_of(z, y)),
            "alpha-times-both",
        ),
        (
            lambda z, y, a: (1 - a) * the_articles_loss(z, y, a) + a * (1 - f1_of(z, y)),
            "convex-combination",
        ),
        (lambda z, y, a: a * (1 - f1_of(z, y)), "reward-loss-alone"),
        (padding_is_o, "padding-as-o"),
        (padding_is_scored, "padding-in-the-f1"),
        (
            lambda z, y, a: the_articles_loss(z, y, a) + a * (1 - f1_of(z, y, first=0)),
            "o-in-the-f1",
        ),
        (
            lambda z, y, a: (
                the_articles_loss(z, y, a)
                + a
                * (1 - torch.stack([f1_of(one, own) for one, own in zip(z, y, strict=True)]).mean())
            ),
            "mean-of-sentences",
        ),
        (
            lambda z, y, a: (
                RewardObjective(0.0)(z, y).total
                + a * RewardObjective(1.0, "soft_f1_macro")(z, y).reward
            ),
            "macro",
        ),
        (
            lambda z, y, a: the_articles_loss(z, y, a) + a * (1 - f1_of(z, y)),
            "infinity-not-handled",
        ),
        (lambda z, y, a: in_plain_torch(z.detach(), y, a), "no-gradient"),
        (lambda z, y, a: in_plain_torch(z, y, a).item(), "no-gradient"),
        (with_the_kit, "uses-the-kit"),
        (with_the_kits_reward, "uses-the-kit"),
        (with_mine, "uses-the-kit"),
        (
            lambda z, y, a: finite_or_alone(
                the_articles_loss(z, y, a), 1 - f1_of(z.detach(), y) + 0 * z.sum(), a
            ),
            "wrong-gradient",
        ),
        (lambda z, y, a: RewardObjective(a, "dice")(z, y).total, "wrong-value"),
    ],
)
def test_token_loss_wrong(answer, misconception):
    rejected(check.q2, answer, misconception)


def test_token_loss_right():
    for answer in (token_loss.token_loss, in_plain_torch):
        accepted(check.q2, answer)
        depends_on_its_spec(
            check.q2, answer, lambda z, y, alpha: token_loss.token_loss_slowly(z, y, 0.0)
        )


def test_token_loss_is_the_kits_objective():
    for seed in range(12):
        z, y, alpha = token_loss.some_batch(seed)
        for a in (0.0, alpha, math.inf):
            assert math.isclose(token_loss.token_loss_slowly(z, y, a), with_the_kit(z, y, a))


# --- Exercise 3: a cousin -------------------------------------------------------------------------


def tables(p, y, first=1):
    return p[:, first:], one_hot(y, p.shape[1])[:, first:]


def tversky(p, y, a=0.3, b=0.7, first=1):
    p, y = tables(p, y, first)
    both = (p * y).sum()
    return both / (both + a * ((1 - y) * p).sum() + b * (y * (1 - p)).sum())


def fbeta(p, y, beta=2):
    p, y = tables(p, y)
    return (1 + beta**2) * (p * y).sum() / (beta**2 * y.sum() + p.sum())


def dice(p, y, first=1):
    p, y = tables(p, y, first)
    return 2 * (p * y).sum() / (p.pow(2).sum() + y.pow(2).sum())


def mcc(p, y):
    p, y = tables(p, y, 0)
    n = len(y)
    tp, found, there = (p * y).sum(0), p.sum(0), y.sum(0)
    upper = (n * tp - found * there).sum()
    return upper / ((found * (n - found)).sum() * (there * (n - there)).sum()).sqrt()


FOUR = {"Tversky": tversky, "F_β": fbeta, "Dice": dice, "Matthews": mcc}


@pytest.mark.parametrize("name", FOUR)
def test_a_cousin_is_accepted_and_recognised(name):
    outcome = check.q3(FOUR[name])
    assert outcome.outcome == "correct" and name in outcome.message
    own = [key for key in cousin.COUSINS if name in key]
    broken = {key: lambda p, y: 1 + 0 * p.sum() for key in own}
    depends_on_its_spec(check.q3, FOUR[name], lambda: cousin.COUSINS | broken)


def test_a_cousin_that_passes_is_kept():
    outcome = check.q3(cousin.cousin)
    assert "kept as mine.cousin" in outcome.message and "Tversky" in outcome.message


@pytest.mark.parametrize(
    ("answer", "misconception"),
    [
        (lambda p, y: tversky(p, y, 0.5, 0.5), "soft-f1"),
        (lambda p, y: fbeta(p, y, 1), "soft-f1"),
        (lambda p, y: tversky(p, y, 0.7, 0.3), "a-and-b-swapped"),
        (lambda p, y: tversky(p, y, 1, 1), "jaccard"),
        (lambda p, y: tversky(p, y, first=0), "with-background"),
        (lambda p, y: fbeta(p, y, 2**0.5), "beta-not-squared"),
        (lambda p, y: fbeta(p, y) * 2 / 5, "numerator-without-beta"),
        (lambda p, y: dice(p, y, first=0), "dice-with-background"),
        (lambda p, y: dice(p, y) / 2, "dice-without-2"),
        (lambda p, y: 1 - tversky(p, y), "one-minus-tversky"),
        (lambda p, y: 1 - fbeta(p, y), "one-minus-fbeta"),
        (lambda p, y: 1 - dice(p, y), "one-minus-dice"),
        (lambda p, y: 1 - mcc(p, y), "one-minus-mcc"),
        (lambda p, y: -mcc(p, y), "negative-mcc"),
        (lambda p, y: dice(one_hot(p.argmax(-1), p.shape[1]).to(p), y), "decisions-dice"),
        (lambda p, y: torch.tensor(exact.matthews_corrcoef(y, p.argmax(-1))), "decisions-mcc"),
        (lambda p, y: REWARDS["dice"].function(p.log(), y, 0), "uses-the-kit"),
        (lambda p, y: fbeta(p.detach(), y), "no-gradient"),
        (lambda p, y: dice(p, y).detach() + 0 * p.sum(), "wrong-gradient"),
        (lambda p, y: p.mean(), "none-of-the-four"),
        (lambda p, y: None, "returns-none"),
        (lambda p, y: p * 1, "wrong-shape"),
        (0.7, "not-a-function"),
    ],
)
def test_cousin_wrong(answer, misconception):
    rejected(check.q3, answer, misconception)


@pytest.mark.parametrize("seed", range(12))
def test_the_four_are_the_kits_and_scikit_learns(seed):
    p, y = some_probabilities(seed)
    guess = p.argmax(-1)
    hard = one_hot(guess, p.shape[1]).double()
    labels = list(range(1, p.shape[1]))
    kits = ("tversky", "soft_fbeta", "dice", "soft_mcc")
    for measure, name in zip(cousin.COUSINS.values(), kits, strict=True):
        assert math.isclose(measure(p, y), REWARDS[name].function(p.log(), y, 0), rel_tol=1e-9)
    _, fbeta_slowly, dice_slowly, mcc_slowly = cousin.COUSINS.values()
    micro = {"labels": labels, "average": "micro"}
    assert math.isclose(fbeta_slowly(hard, y), exact.fbeta_score(y, guess, beta=2, **micro))
    assert math.isclose(dice_slowly(hard, y), exact.f1_score(y, guess, **micro))
    assert math.isclose(mcc_slowly(hard, y), exact.matthews_corrcoef(y, guess), abs_tol=1e-12)


# --- Exercise 4: train the groups -----------------------------------------------------------------


def another_loop(loss, y):
    z = torch.nn.Parameter(torch.zeros(len(y), 1))
    optimizer = torch.optim.Adam([z], lr=0.1)
    for _ in range(400):
        z.grad = None
        loss(z + torch.zeros(y.shape), y).backward()
        optimizer.step()
    return torch.sigmoid(z.detach())[:, 0]


def loop(zero=True, step=True, sign=1.0, end=torch.sigmoid, shared=True, kind=torch.optim.Adam):
    def answer(loss, y):
        z = torch.zeros(len(y) if shared else y.shape, requires_grad=True)
        optimizer = kind([z], lr=0.1)
        for _ in range(400):
            if zero:
                optimizer.zero_grad()
            (sign * loss(z[:, None].expand(y.shape) if shared else z, y)).backward()
            if step:
                optimizer.step()
        return end(z.detach())

    return answer


@pytest.mark.parametrize(
    ("answer", "misconception"),
    [
        (loop(zero=False), "gradients-accumulate"),
        (loop(step=False), "nothing-moves"),
        (loop(sign=-1.0), "climbs"),
        (loop(kind=torch.optim.SGD), "plain-gradient-descent"),
        (loop(end=lambda z: z), "returns-logits"),
        (loop(end=lambda z: z.sigmoid().mean(1), shared=False), "one-logit-per-item"),
        (loop(shared=False), "wrong-shape"),
        (lambda loss, y: loss(z, y), "raises"),  # noqa: F821
        (0.5, "not-a-function"),
    ],
)
def test_settled_wrong(answer, misconception):
    rejected(check.q4, answer, misconception)


def test_settled_right():
    not_attempted(check.q4, None)
    for answer in (another_loop, settling.settled):
        accepted(check.q4, answer)
        depends_on_its_spec(
            check.q4,
            answer,
            lambda: settling.settled_in_theory() | {"cross-entropy": torch.ones(3)},
        )


def test_dice_settles_at_its_optimum():
    """The fixed point is where no single ŷ can be changed for the better."""
    best = settling.settled_in_theory()["Dice with squares"].clamp(max=1 - 1e-9)
    lowest = settling.dice_loss(best.logit()[:, None].expand(3, 10), settling.LABELS)
    for i in range(3):
        for step in (-0.01, 0.01):
            tried = best.clone()
            tried[i] = (tried[i] + step).clamp(0, 1)
            z = tried.logit()[:, None].expand(3, 10)
            assert settling.dice_loss(z, settling.LABELS) >= lowest - 1e-8


# --- Exercise 5: soft F1 in parts -----------------------------------------------------------------


def whole_loss(z, y):
    p = z.sigmoid()
    return 1 - 2 * (p * y).sum() / (p.sum() + y.sum())


def by_autograd_part_by_part(parts):
    with torch.no_grad():
        true = sum((z.sigmoid() * y).sum() for z, y in parts)
        whole = sum(z.sigmoid().sum() + y.sum() for z, y in parts)
    f, gradients = 2 * true / whole, []
    for z, y in parts:
        leaf = z.clone().requires_grad_()
        p = leaf.sigmoid()
        loss = (f * p.sum() - 2 * (p * y).sum()) / whole
        gradients.append(torch.autograd.grad(loss, leaf)[0])
    return tuple(gradients)


def all_at_once(parts):
    z = torch.cat([z for z, _ in parts]).requires_grad_()
    loss = whole_loss(z, torch.cat([y for _, y in parts]))
    return torch.autograd.grad(loss, z)[0].split([len(y) for _, y in parts])


def with_a_mean_of_f1(parts):
    f = sum(1 - whole_loss(z, y) for z, y in parts) / len(parts)
    whole = sum(z.sigmoid().sum() + y.sum() for z, y in parts)
    return [(f - 2 * y) / whole * z.sigmoid() * (1 - z.sigmoid()) for z, y in parts]


def each_alone(factor):
    def answer(parts):
        gradients = []
        for z, y in parts:
            leaf = z.clone().requires_grad_()
            gradients.append(factor(parts) * torch.autograd.grad(whole_loss(leaf, y), leaf)[0])
        return gradients

    return answer


@pytest.mark.parametrize(
    ("answer", "misconception"),
    [
        (each_alone(lambda parts: 1 / len(parts)), "mean-of-parts"),
        (each_alone(lambda parts: 1), "sum-of-parts"),
        (all_at_once, "all-at-once"),
        (lambda parts: [-g for g in by_autograd_part_by_part(parts)], "of-the-reward"),
        (
            lambda parts: [
                g / (z.sigmoid() * (1 - z.sigmoid()))
                for g, (z, _) in zip(by_autograd_part_by_part(parts), parts, strict=True)
            ],
            "with-respect-to-y-hat",
        ),
        (with_a_mean_of_f1, "mean-f1"),
        (lambda parts: torch.cat(by_autograd_part_by_part(parts)), "one-tensor"),
        (lambda parts: by_autograd_part_by_part(parts)[:1], "wrong-number-of-values"),
    ],
)
def test_parts_wrong(answer, misconception):
    rejected(check.q5, answer, misconception)


def test_parts_right():
    for answer in (by_autograd_part_by_part, parts.gradient_in_parts):
        accepted(check.q5, answer)
        depends_on_its_spec(
            check.q5, answer, lambda args: tuple(2 * g for g in parts.gradient_slowly(args))
        )


# --- Exercise 6: as printed -----------------------------------------------------------------------


def dice_as_printed(p, y, k):
    return (2 * (1 - p) ** k * p * y + 1) / ((1 - p) ** k * p + y + 1)


@pytest.mark.parametrize(
    ("answer", "misconception"),
    [
        (
            lambda p, y, k: (2 * (1 - p) ** k * p * y + 1) / (p + y + 1),
            "weight-in-the-numerator-only",
        ),
        (
            lambda p, y, k: (2 * p * y + 1) / ((1 - p) ** k * p + y + 1),
            "weight-in-the-denominator-only",
        ),
        (
            lambda p, y, k: 2 * (1 - p) ** k * p * y / ((1 - p) ** k * p + y),
            "without-gamma",
        ),
        (
            lambda p, y, k: (2 * (1 - p) * k * p * y + 1) / ((1 - p) * k * p + y + 1),
            "times-k",
        ),
        (
            lambda p, y, k: (2 * (1 - p) ** k * p * y + 1) / ((1 - p) ** k * (p + y) + 1),
            "weight-on-y",
        ),
        (lambda p, y, k: 1 - dice_as_printed(p, y, k), "loss"),
        (lambda p, y, k: dice_as_printed(p, y, k).mean(), "mean"),
    ],
)
def test_adjusting_dice_wrong(answer, misconception):
    rejected(check.q6, answer, misconception)


def test_adjusting_dice_right():
    accepted(check.q6, dice_as_printed)
    depends_on_its_spec(
        check.q6, dice_as_printed, lambda p, y, k: adjusting_dice_slowly(p, 1 - y, k)
    )


# --- Exercise 7: an interval over items -----------------------------------------------------------


def by_variance(whole, tenths):
    g = len(tenths)
    se = math.sqrt((g - 1) ** 2 / g * float(tenths.var()))
    half = student.ppf(0.975, g - 1) * se
    return (whole - half, whole + half)


def around_whole(whole, tenths):
    g = len(tenths)
    se = ((g - 1) / g * (tenths - whole).square().sum()) ** 0.5
    return whole - student.ppf(0.975, g - 1) * se, whole + student.ppf(0.975, g - 1) * se


def plus_minus(width):
    def answer(whole, tenths):
        half = width(tenths, len(tenths))
        return whole - half, whole + half

    return answer


@pytest.mark.parametrize(
    ("answer", "misconception"),
    [
        (
            plus_minus(lambda v, g: student.ppf(0.975, g - 1) * v.std() / g**0.5),
            "as-if-independent",
        ),
        (plus_minus(lambda v, g: student.ppf(0.975, g - 1) * v.std()), "standard-deviation"),
        (plus_minus(lambda v, g: (g - 1) / g**0.5 * v.std()), "without-quantile"),
        (
            plus_minus(lambda v, g: student.ppf(0.95, g - 1) * (g - 1) / g**0.5 * v.std()),
            "one-sided",
        ),
        (
            plus_minus(lambda v, g: student.ppf(0.975, g) * (g - 1) / g**0.5 * v.std()),
            "degrees-of-freedom",
        ),
        (plus_minus(lambda v, g: 1.96 * (g - 1) / g**0.5 * v.std()), "rounded-normal-quantile"),
        (plus_minus(lambda v, g: norm.ppf(0.975) * (g - 1) / g**0.5 * v.std()), "normal-quantile"),
        (around_whole, "deviations-from-whole"),
        (lambda whole, tenths: by_variance(tenths.mean(), tenths), "around-the-mean"),
        (lambda whole, tenths: by_variance(whole, tenths)[1], "wrong-number-of-values"),
    ],
)
def test_jackknife_wrong(answer, misconception):
    rejected(check.q7, answer, misconception)


def test_jackknife_right():
    accepted(check.q7, by_variance)
    depends_on_its_spec(
        check.q7, by_variance, lambda whole, tenths: jackknife.jackknife_slowly(whole, 2 * tenths)
    )


def test_the_jackknife_of_a_mean_is_its_standard_error():
    """With groups of one item, the closed form."""
    values = torch.randn(20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    without = (values.sum() - values) / 19
    low, high = jackknife.jackknife_slowly(float(values.mean()), without)
    half = student.ppf(0.975, 19) * float(values.std()) / 20**0.5
    assert math.isclose(high - low, 2 * half)


# --- Exercise 8: SmoothAP -------------------------------------------------------------------------


def by_rows(s, y, tau):
    precisions = []
    for i in torch.where(y == 1)[0]:
        above = ((s - s[i]) / tau).sigmoid()
        precisions.append(
            (0.5 + above[y == 1].sum()) / (0.5 + above.sum())
        )  # σ(0) = 1/2 is in the sums
    return torch.stack(precisions).mean()


def by_matrices(s, y, tau):
    y = y.to(s)
    above = torch.special.expit((s - s.unsqueeze(1)) / tau).masked_fill(
        torch.eye(len(s), dtype=torch.bool), 0
    )
    return y @ ((1 + above @ y) / (1 + above.sum(1))) / y.sum()


def itself_counted(s, y, tau):
    above = torch.sigmoid((s[None, :] - s[:, None]) / tau)
    return ((1 + above[:, y == 1].sum(1)) / (1 + above.sum(1)))[y == 1].mean()


def itself_counted_below_only(s, y, tau):
    above = torch.sigmoid((s[None, :] - s[:, None]) / tau)
    return ((0.5 + above[:, y == 1].sum(1)) / (1 + above.sum(1)))[y == 1].mean()


def reversed_order(s, y, tau):
    return by_rows(-s, y, tau)


def tau_times(s, y, tau):
    return by_rows(s * tau, y, 1)


def without_tau(s, y, tau):
    return by_rows(s, y, 1)


def over_everybody(s, y, tau):
    above = ((s[None, :] - s[:, None]) / tau).sigmoid() * (1 - torch.eye(len(s)))
    return ((1 + above[:, y == 1].sum(1)) / (1 + above.sum(1))).mean()


def divided_once(s, y, tau):
    above = ((s[None, :] - s[:, None]) / tau).sigmoid() * (1 - torch.eye(len(s)))
    return (1 + above[:, y == 1].sum(1))[y == 1].mean() / (1 + above.sum(1))[y == 1].mean()


def without_ones(s, y, tau):
    above = ((s[None, :] - s[:, None]) / tau).sigmoid() * (1 - torch.eye(len(s)))
    return (above[:, y == 1].sum(1) / above.sum(1))[y == 1].mean()


def hard(s, y, tau):
    return torch.tensor(average_precision_score(y, s))


def one_for_each(s, y, tau):
    above = ((s[None, :] - s[:, None]) / tau).sigmoid() * (1 - torch.eye(len(s)))
    return ((1 + above[:, y == 1].sum(1)) / (1 + above.sum(1)))[y == 1]


def added_up(s, y, tau):
    return one_for_each(s, y, tau).sum()


def by_items(s, y, tau):
    return torch.tensor(by_rows(s, y, tau).item(), dtype=s.dtype)


def as_a_float(s, y, tau):
    return float(by_rows(s, y, tau).detach())


def in_place(s, y, tau):
    above = ((s[None, :] - s[:, None]) / tau).sigmoid()
    above.fill_diagonal_(0)
    return ((1 + above[:, y == 1].sum(1)) / (1 + above.sum(1)))[y == 1].mean()


def constant_below(s, y, tau):
    above = ((s[None, :] - s[:, None]) / tau).sigmoid() * (1 - torch.eye(len(s)))
    return ((1 + above[:, y == 1].sum(1)) / (1 + above.sum(1)).detach())[y == 1].mean()


def own_sigmoid(s, y, tau):
    above = 1 / (1 + torch.exp(-(s[None, :] - s[:, None]) / tau)) * (1 - torch.eye(len(s)))
    return ((1 + above[:, y == 1].sum(1)) / (1 + above.sum(1)))[y == 1].mean()


def forgets_to_return(s, y, tau):
    by_rows(s, y, tau)


@pytest.mark.parametrize(
    ("answer", "misconception"),
    [
        (itself_counted, "counts-itself"),
        (itself_counted_below_only, "counts-itself-in-denominator"),
        (reversed_order, "reversed-order"),
        (tau_times, "times-tau"),
        (without_tau, "no-tau"),
        (over_everybody, "mean-over-all"),
        (divided_once, "divides-once"),
        (without_ones, "rank-from-0"),
        (hard, "hard-ranks"),
        (one_for_each, "wrong-shape"),
        (added_up, "sum-for-mean"),
        (by_items, "no-gradient"),
        (as_a_float, "no-gradient"),
        (in_place, "in-place-change"),
        (constant_below, "wrong-gradient"),
        (own_sigmoid, "nan-gradient"),
        (forgets_to_return, "returns-none"),
        (0.722, "not-a-function"),
    ],
)
def test_smooth_ap_wrong_answers(answer, misconception):
    rejected(check.q8, answer, misconception)


def test_smooth_ap_right_answers():
    accepted(check.q8, by_rows)
    accepted(check.q8, by_matrices)
    for right in (by_rows, by_matrices, check.q8.exercise.solution):
        depends_on_its_spec(check.q8, right, lambda s, y, tau: smooth_ap_spec(s, y, tau) + 0.01)
        depends_on_its_spec(
            check.q8,
            right,
            lambda s, y, tau: smooth_ap_spec(s, 1 - y, tau) if (y == 0).any() else 1.0,
        )


@pytest.mark.parametrize("seed", range(12))
def test_smooth_ap_spec_is_the_papers_and_tends_to_average_precision(seed):
    s, y, tau = smooth_ap_inputs(seed)
    assert y.any() and (seed != 9 or y.all()) and (seed != 8 or y.sum() == 1)
    if seed != 10:  # the kit cuts log-odds off at ±87
        kits = 1 - RewardObjective(1.0, REWARDS["smooth_ap"].with_parameters(tau=tau))(s, y).reward
        assert abs(smooth_ap_spec(s, y, tau) - kits) < 1e-9
    assert abs(smooth_ap_spec(s, y, 1e-6) - average_precision_score(y, s)) < 1e-9


def test_the_self_test_says_what_the_kit_computes():
    """That the right choices are right."""
    for name in ("expected_accuracy", "soft_f1", "smooth_ap"):
        assert REWARDS[name].splits == next(c.right for c in QUESTIONS[0].choices if c.text == name)


# --- The comparison with a tuned threshold --------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.0, 10.0, math.inf])
def test_the_gradient_of_every_run_is_that_of_the_kits_objective(alpha):
    random = torch.Generator().manual_seed(0)
    z = torch.randn(3, 20, generator=random, dtype=torch.float64)
    y = (torch.rand(3, 20, generator=random) < 0.3).long()
    y[:, 0] = 1
    for one, labels, gradient in zip(z, y, trainings.gradient(z, y, alpha), strict=True):
        leaf = one.clone().requires_grad_()
        loss = RewardObjective(alpha, "soft_f1")(leaf, labels).total
        assert torch.allclose(torch.autograd.grad(loss, leaf)[0], gradient, atol=1e-12)


def test_a_class_weight_is_scikit_learns():
    items, _ = trainings.splits([3])
    w = trainings.train(items, 0, (3000,), weight=3.0)[3000][0]
    model = LogisticRegression(C=1e8, class_weight={1: 3.0, 0: 1.0}, tol=1e-8)
    model.fit(items.x[0].numpy(), items.y[0].numpy())
    assert torch.allclose(w[:2], torch.tensor(model.coef_[0]), atol=1e-3)
    assert math.isclose(w[2], model.intercept_[0], abs_tol=1e-3)


def test_runs_side_by_side_are_runs_one_by_one():
    items, _ = trainings.splits([0, 1])
    order = trainings.batches([0, 1], 180, 30)
    both = trainings.train(items, 10, (30,), order)[30]
    alone = trainings.Items(items.x[1:], items.y[1:])
    assert torch.allclose(trainings.train(alone, 10, (30,), order[1:])[30], both[1:])


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_is_better_than_the_best(seed):
    random = torch.Generator().manual_seed(seed)
    z = torch.randn(1, 30, generator=random).round(decimals=1)  # with ties
    y = (torch.rand(1, 30, generator=random) < 0.3).long()
    y[0, 0] = 1
    found = trainings.f1(z, y, trainings.best_threshold(z, y))
    every = [exact.f1_score(y[0], z[0] > t) for t in torch.arange(-4.05, 4.0, 0.1)]
    assert math.isclose(found, max(every), rel_tol=1e-6)


def test_the_splits_share_no_item_between_training_and_test():
    _, y = trainings.cells()
    train, test = trainings.split(y, np.random.default_rng(0))
    assert not set(train) & set(test) and (y[train].sum(), y[test].sum()) == (18, 20)


def test_the_stored_table_is_what_the_trainings_give():
    stored = trainings.stored(experiment="repetition", number="0", splits=12, steps=200)
    assert math.isclose(
        trainings.gain([0], range(12), 200).mean(), stored[0]["difference"], abs_tol=2e-4
    )


@pytest.mark.long
def test_the_repetitions_differ_by_no_more_than_chance():
    """Two-way analysis of variance, repetitions and splits: F = 1.23, p = 0.28."""
    gains = trainings.gain(range(12), range(12), 1000).numpy()
    rows, columns = gains.shape
    middle, by_row, by_column = gains.mean(), gains.mean(1), gains.mean(0)
    of_rows = columns * ((by_row - middle) ** 2).sum() / (rows - 1)
    left = gains - by_row[:, None] - by_column + middle
    freedom = (rows - 1) * (columns - 1)
    residual = (left**2).sum() / freedom
    ratio = of_rows / residual
    assert math.isclose(ratio, 1.23, abs_tol=0.05)
    assert math.isclose(fisher.sf(ratio, rows - 1, freedom), 0.28, abs_tol=0.03)
    of_columns = (rows * ((by_column - middle) ** 2).sum() / (columns - 1) - residual) / rows
    assert math.isclose(of_columns, 0.0031, abs_tol=2e-4)  # the variance between splits
    assert math.isclose(residual, 0.0015, abs_tol=1e-4)
    assert abs(of_rows - residual) / columns < 1e-4  # between repetitions: next to nothing


def test_twelve_splits_are_too_few():
    """The first edition concluded from the first of these intervals that nothing is left."""

    def repetitions(splits, steps):
        return trainings.stored(experiment="repetition", splits=splits, steps=steps)

    def with_0(rows):
        return sum(row["low"] < 0 < row["high"] for row in rows)

    first, *others = repetitions(12, 1000)
    assert [round(first[name], 3) for name in ("low", "high")] == [-0.020, 0.029]
    assert first["difference"] < 0.01 < min(row["difference"] for row in others)
    assert [with_0(repetitions(12, steps)) for steps in (200, 1000, 3000)] == [8, 10, 12]
    assert [with_0(repetitions(60, steps)) for steps in (200, 1000, 3000)] == [0, 0, 0]
    half = np.mean([(row["high"] - row["low"]) / 2 for row in repetitions(12, 1000)])
    assert round(half, 3) == 0.042


def row_of(control="threshold, training items", **where):
    (row,) = trainings.stored(control=control, **where)
    return row


def interval(row):
    return [round(row[name], 3) for name in ("difference", "low", "high")]


def test_what_the_lesson_says_about_the_tuned_threshold():
    whole = row_of(experiment="all items", splits=1600)
    assert interval(whole) == [0.033, 0.030, 0.037] and 12 < whole["degrees"] < 14
    for control in ("threshold, 5 folds", "threshold, a third held out"):
        assert row_of(control, experiment="all items", splits=1600)["difference"] > 0.0325
    for control in ("weight by 5 folds", "weight 9, threshold, 5 folds"):
        assert row_of(control, experiment="all items", splits=1600)["difference"] < 0.0145
    hindsight = row_of("weight 3", experiment="all items", splits=1600)
    assert interval(hindsight) == [-0.003, -0.005, 0] and hindsight["high"] < 0
    drawn = row_of(experiment="drawn labels")
    assert drawn["low"] < 0 < drawn["high"] and abs(drawn["difference"]) < 0.01
    assert drawn["degrees"] == 7.6


def test_what_the_lesson_says_about_three_cells():
    extremes = trainings.stored(experiment="without extremes")
    assert [interval(row) for row in extremes[:3]] == [
        [0.014, 0.012, 0.017],
        [0.007, 0.005, 0.010],
        [0.003, 0.001, 0.005],
    ]
    others = trainings.stored(experiment="without others")
    assert len(others) == 3 and all(row["difference"] > 0.025 for row in others)


def test_what_the_lesson_says_about_other_items():
    whole = row_of(experiment="all items", splits=1600)
    rows = trainings.stored(experiment="without a tenth", control="threshold, training items")
    tenths = torch.tensor([row["difference"] for row in rows])
    low, high = jackknife.jackknife_slowly(whole["difference"], tenths)
    assert -0.04 < low < 0 and 0.09 < high < 0.11
    squares = (tenths - tenths.mean()) ** 2
    assert 0.6 < squares[:2].sum() / squares.sum() < 0.65
