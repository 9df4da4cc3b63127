"""The checks on the two-part loss, on answers that students give."""

import json
import math
import re
import statistics
from pathlib import Path

import numpy
import pytest
import torch
from scipy import stats
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    precision_recall_curve,
    precision_score,
    recall_score,
)
from torch.nn import functional

from rmlib import RewardObjective
from rmlib.classroom import mine
from rmlib.exercises.framework import pieces
from rmlib.exercises.framework.exercise import judge
from rmlib.exercises.two_part_loss import runs, training
from rmlib.exercises.two_part_loss.exercises import check
from rmlib.exercises.two_part_loss.experiment import draw
from rmlib.exercises.two_part_loss.parts import bce_in_500_digits, f1_by_counting
from rmlib.exercises.two_part_loss.quiz import QUESTIONS
from rmlib.exercises.two_part_loss.training import count
from rmlib.loss import article
from tests.exercises.common import accepted, depends_on_its_spec, rejected

# --- The formulas as printed ----------------------------------------------------------------------


def cross_entropy_in_a_loop(y_hat, y):
    total = 0
    for p, label in zip(y_hat, y, strict=True):
        total += -label * p.log() + (1 - label) * (1 - p).log()
    return total / len(y)


def cross_entropy_by_where(y_hat, y):
    return torch.where(y == 1, -y_hat.log(), (1 - y_hat).log()).mean()


def cross_entropy_by_numpy(y_hat, y):
    p, labels = y_hat.numpy(), y.numpy()
    return numpy.mean(-labels * numpy.log(p) + (1 - labels) * numpy.log(1 - p))


@pytest.mark.parametrize("answer", [cross_entropy_in_a_loop, cross_entropy_by_where])
def test_the_printed_cross_entropy_is_accepted_however_it_is_written(answer):
    accepted(check.q1, answer)


@pytest.mark.parametrize(
    "answer, misconception",
    [
        (lambda p, y: functional.binary_cross_entropy(p, y.double()), "already-repaired"),
        (lambda p, y: cross_entropy_by_where(p, y) * len(y), "sum-for-mean"),
        (lambda p, y: cross_entropy_by_where(p, 1 - y), "labels-swapped"),
        (lambda p, y: cross_entropy_by_where(p.sigmoid(), y), "sigmoid-of-probability"),
        (lambda p, y: torch.where(y == 1, -p.log(), (1 - p).log()), "wrong-shape"),
        (lambda p, y: -cross_entropy_by_where(p, y), "wrong-sign"),
        (lambda p, y: cross_entropy_by_where(p, y).item(), "not-a-tensor"),
        (lambda p, y: torch.tensor(cross_entropy_by_where(p, y).item()).double(), "no-gradient"),
        (lambda p, y: cross_entropy_by_where(p.detach(), y), "no-gradient"),
        (cross_entropy_by_numpy, "not-a-tensor"),
    ],
)
def test_each_wrong_printed_cross_entropy_is_recognized(answer, misconception):
    rejected(check.q1, answer, misconception)


@pytest.mark.parametrize(
    "answer",
    [
        lambda p, y: torch.where(y == 1, 2 * p / (2 * p + 1), 0.0),
        lambda p, y: 2 * p * y / (2 * p * y + y + (1 - p) * (1 - y)),  # the same for y = 0 and 1
    ],
)
def test_the_printed_f1_is_accepted_however_it_is_written(answer):
    accepted(check.q5, answer)


@pytest.mark.parametrize(
    "answer, misconception",
    [
        (lambda p, y: (2 * p * y / (2 * p + y + (1 - p) * (1 - y))).mean(), "mean-of-items"),
        (lambda p, y: 2 * (p * y).sum() / (p.sum() + y.sum()), "soft-f1"),
        (lambda p, y: 2 * p * y / 2 * p + y + (1 - p) * (1 - y), "parentheses-missing"),
        (lambda p, y: p * y / (2 * p + y + (1 - p) * (1 - y)), "half"),
        (lambda p, y: 2 * p * y / (p + y), "short-denominator"),
        (lambda p, y: 2 * p * y / (2 * p + y) + (1 - p) * (1 - y), "last-term-outside"),
        (lambda p, y: 2 * p * y / (2 * (p + y) + (1 - p) * (1 - y)), "parentheses-misplaced"),
        (lambda p, y: 2 * p * y / (2 * p + y + 1 - p * (1 - y)), "parentheses-misplaced"),
        (lambda p, y: 2 * p * y / (2 * p + (y + 1 - p) * (1 - y)), "y-in-the-product"),
        (lambda p, y: article.f1_of_each(p.detach(), y), "no-gradient"),
        (lambda p, y: torch.tensor(article.f1_of_each(p, y).tolist()).double(), "no-gradient"),
    ],
)
def test_each_wrong_printed_f1_is_recognized(answer, misconception):
    rejected(check.q5, answer, misconception)


@pytest.mark.parametrize(
    "answer",
    [
        lambda R: R.sum() / len(R) - R.mean(),
        lambda R: sum(one - R.mean() for one in R) / len(R),
        lambda R: 0 * R.sum(),  # by algebra
    ],
)
def test_the_printed_reward_loss_is_accepted_however_it_is_written(answer):
    accepted(check.q7, answer)


@pytest.mark.parametrize(
    "answer, misconception",
    [
        (lambda R: R.mean(), "no-baseline"),
        (lambda R: 1 - R.mean(), "one-minus-the-mean"),
        (lambda R: -R.mean(), "minus-the-mean"),
        (lambda R: R.var(correction=0), "squared"),
        (lambda R: (R - R.mean()).abs().mean(), "absolute"),
        (lambda R: (R - R.sum()).mean(), "baseline-is-a-sum"),
        (lambda R: R - R.mean(), "wrong-shape"),
        (lambda R: (R - R.mean().detach()).mean(), "held"),
        (lambda R: (R - R.mean().item()).mean(), "held"),
        (lambda R: (R - R.mean()).mean().item(), "no-gradient"),
    ],
)
def test_each_wrong_printed_reward_loss_is_recognized(answer, misconception):
    rejected(check.q7, answer, misconception)


def test_the_check_of_the_printed_reward_loss_does_not_give_away_its_value():
    """The prediction after it asks what it does."""
    for answer in (lambda R: R.max() - R.mean(), lambda R: R.sum() - 2, lambda R: 0 * R.sum() + 1):
        outcome = check.q7(answer)
        assert outcome.misconception == "wrong-value" and check.q7.last is outcome
        assert "not the printed formula" in outcome.message
        assert not re.search(r"expected|\d", outcome.message)


# --- The training loop ----------------------------------------------------------------------------


def usual_loop(loss, z, steps, rate, optimizer=torch.optim.SGD):
    z = torch.nn.Parameter(z.clone())
    optimizer = optimizer([z], lr=rate)
    for _ in range(steps):
        value = loss(z)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
    return z.detach()


def new_leaf_every_step(loss, z, steps, rate, optimizer=torch.optim.SGD):
    leaf = z.detach().clone().requires_grad_(True)
    stepper = optimizer([leaf], lr=rate)
    for _ in range(steps):
        leaf.grad = torch.autograd.grad(loss(leaf), leaf)[0]
        stepper.step()
    return leaf.data


@pytest.mark.parametrize("answer", [usual_loop, new_leaf_every_step])
def test_a_training_loop_is_accepted_however_it_is_written(answer):
    accepted(check.q2, answer)


def by_grad(loss, z, steps, rate, optimizer=None):
    """Right with SGD alone."""
    for _ in range(steps):
        leaf = z.clone().requires_grad_()
        z = z - rate * torch.autograd.grad(loss(leaf), leaf)[0]
    return z


def never_detached(loss, z, steps, rate, optimizer=torch.optim.SGD):
    """What it returns cannot be trained any further: an optimizer refuses a non-leaf tensor."""
    z = z.clone().requires_grad_()
    optimizer = optimizer([z], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(z).backward()
        optimizer.step()
    return z


def without_zero_grad(loss, z, steps, rate, optimizer=torch.optim.SGD):
    z = z.clone().requires_grad_()
    optimizer = optimizer([z], lr=rate)
    for _ in range(steps):
        loss(z).backward()
        optimizer.step()
    return z


def returns_in_the_loop(loss, z, steps, rate, optimizer=torch.optim.SGD):
    for _ in range(steps):
        return by_grad(loss, z, 1, rate)


def old_gradient(loss, z, steps, rate, optimizer=torch.optim.SGD):
    leaf = z.clone().requires_grad_()
    loss(leaf).backward()
    for _ in range(steps):
        z = z - rate * leaf.grad
    return z


def in_place(loss, z, steps, rate, optimizer=torch.optim.SGD):
    z.requires_grad_()
    optimizer = optimizer([z], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(z).backward()
        optimizer.step()
    return z


def of_another_tensor(loss, z, steps, rate, optimizer=torch.optim.SGD):
    optimizer = optimizer([z.clone().requires_grad_()], lr=rate)
    z = z.clone().requires_grad_()
    for _ in range(steps):
        optimizer.zero_grad()
        loss(z).backward()
        optimizer.step()
    return z


@pytest.mark.parametrize(
    "answer, misconception",
    [
        (lambda loss, z, steps, rate: usual_loop(loss, z, steps, rate).neg(), "wrong-sign"),
        (lambda loss, z, steps, rate: by_grad(loss, z, steps, -rate), "climbs"),
        (without_zero_grad, "accumulates"),
        (returns_in_the_loop, "one-step"),
        (lambda loss, z, steps, rate: by_grad(loss, z, steps + 1, rate), "one-step-too-many"),
        (lambda loss, z, steps, rate: by_grad(loss, z, steps - 1, rate), "one-step-missing"),
        (lambda loss, z, steps, rate: by_grad(loss, z, steps, 1), "without-rate"),
        (old_gradient, "old-gradient"),
        (lambda loss, z, steps, rate: z, "does-not-move"),
        (of_another_tensor, "does-not-move"),
        (in_place, "changes-its-arguments"),
        (by_grad, "ignores-the-optimizer"),
        (never_detached, "not-detached"),
        (lambda *args: usual_loop(*args).numpy(), "not-a-tensor"),
        (lambda loss, z, steps, rate: z - z.grad, "raises"),
    ],
)
def test_each_wrong_training_loop_is_recognized(answer, misconception):
    rejected(check.q2, answer, misconception)


# --- F1 and the threshold -------------------------------------------------------------------------


def f1_by_pairs(yes, y):
    found = sum(bool(a) and b == 1 for a, b in zip(yes, y, strict=True))
    return 2 * found / (int(yes.sum()) + int(y.sum()))


@pytest.mark.parametrize(
    "answer",
    [
        f1_by_pairs,
        lambda yes, y: 2 * (yes & (y == 1)).sum() / (yes.sum() + y.sum()),
        lambda yes, y: torch.tensor(f1_score(y, yes)),
    ],
)
def test_f1_is_accepted_however_it_is_written(answer):
    accepted(check.q4, answer)


@pytest.mark.parametrize(
    "answer, misconception",
    [
        (lambda yes, y: accuracy_score(y, yes), "accuracy"),
        (lambda yes, y: precision_score(y, yes, zero_division=math.nan), "precision"),
        (lambda yes, y: recall_score(y, yes), "recall"),
        (lambda yes, y: (yes & y).sum() / (yes | y).sum(), "jaccard"),
        (lambda yes, y: f1_by_pairs(yes, y) / 2, "half"),
        (lambda yes, y: 2 * (yes & y).sum() / (yes | y).sum(), "tp-once-in-the-denominator"),
        (
            lambda yes, y: 2 * (yes * y).sum() / ((yes * y).sum() + len(y)),
            "counts-true-negatives",
        ),
        (
            lambda yes, y: (
                2
                * (yes * y).sum()
                / (
                    2 * (yes * y).sum()
                    + (yes != y).sum()
                    - (~yes * y).sum()
                    + (~yes * (1 - y)).sum()
                )
            ),
            "true-negatives-for-false-negatives",
        ),
        (lambda yes, y: (1 - yes).sum(), "raises"),
    ],
)
def test_each_wrong_f1_is_recognized(answer, misconception):
    rejected(check.q4, answer, misconception)


def test_the_counts_agree_with_scikit_learn():
    for seed in range(12):
        yes, y = training.decisions(seed)
        assert math.isclose(training.f1_of_counts(yes, y), f1_score(y, yes, zero_division=0))
        tp, fp, fn = count(yes, y)
        assert tp + fp == int(yes.sum()) and tp + fn == int(y.sum())


def f1_by_sums(yes, y):
    return 2 * (yes * y).sum() / (yes.sum() + y.sum())


def threshold_by_max(y_hat, y):
    return max((k / 100 for k in range(1, 100)), key=lambda t: f1_by_sums(y_hat > t, y))


def threshold_by_arange(y_hat, y):
    thresholds = torch.arange(1, 100) / 100
    return thresholds[torch.tensor([f1_by_sums(y_hat > t, y) for t in thresholds]).argmax()]


def threshold_among(thresholds):
    """The first of these thresholds with the best F1 of `y_hat > t`."""
    return lambda y_hat, y: max(thresholds, key=lambda t: f1_by_sums(y_hat > t, y))


# the same thresholds, with other rounding errors
GRIDS = {
    "products": [k * 0.01 for k in range(1, 100)],
    "numpy.arange": numpy.arange(0.01, 1, 0.01),
    "numpy.linspace": numpy.linspace(0.01, 0.99, 99),
    "torch.linspace": torch.linspace(0.01, 0.99, 99),
}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_the_threshold_is_accepted_on_a_grid_with_rounding_errors(grid):
    accepted(check.q9, threshold_among(grid))


@pytest.mark.parametrize("answer", [threshold_by_max, threshold_by_arange])
def test_the_threshold_is_accepted_however_it_is_found(answer):
    accepted(check.q9, answer)


def last_best(y_hat, y):
    best, found = 0, None
    for k in range(1, 100):
        score = f1_by_sums(y_hat > k / 100, y)
        if score >= best:
            best, found = score, k / 100
    return found


@pytest.mark.parametrize(
    "answer, misconception",
    [
        (lambda p, y: f1_by_sums(p > threshold_by_max(p, y), y), "returns-the-f1"),
        (lambda p, y: round(100 * threshold_by_max(p, y)) - 1, "returns-the-number"),
        (lambda p, y: 100 * threshold_by_max(p, y), "percent"),
        (last_best, "last-of-equals"),
        (
            lambda p, y: max((k / 100 for k in range(1, 100)), key=lambda t: f1_by_sums(p >= t, y)),
            "at-least",
        ),
        (threshold_among([k / 100 for k in range(1, 99)]), "without-the-last"),
        (threshold_among([k / 100 for k in range(100)]), "with-0"),
        (threshold_among([k / 100 for k in range(99)]), "from-0-without-the-last"),
        (
            lambda p, y: min((k / 100 for k in range(1, 100)), key=lambda t: f1_by_sums(p > t, y)),
            "worst",
        ),
        (
            lambda p, y: max(
                (k / 100 for k in range(1, 100)), key=lambda t: ((p > t) == (y == 1)).sum()
            ),
            "best-accuracy",
        ),
        (lambda p, y: f1_by_sums(p > threshold_by_max(p, y), y) / 2, "half-of-the-best-f1"),
        (lambda p, y: 0.5, "wrong-value"),
    ],
)
def test_each_wrong_threshold_is_recognized(answer, misconception):
    rejected(check.q9, answer, misconception)


# --- The stable cross-entropy --------------------------------------------------------------------


def by_softplus(z, y):
    return (functional.softplus(z) - y * z).mean()


def by_logsigmoid(z, y):
    return -(y * functional.logsigmoid(z) + (1 - y) * functional.logsigmoid(-z)).sum() / len(z)


def one_at_a_time(z, y):
    each = [
        functional.softplus(-one if label == 1 else one) for one, label in zip(z, y, strict=True)
    ]
    return sum(each) / len(each)


def from_probabilities(z, y):
    p = z.sigmoid()
    return -(y * p.log() + (1 - y) * (1 - p).log()).mean()


def from_clamped_probabilities(z, y):
    p = z.sigmoid().clamp(1e-7, 1 - 1e-7)
    return -(y * p.log() + (1 - y) * (1 - p).log()).mean()


def from_clamped_logits(z, y):
    return from_probabilities(z.clamp(-30, 30), y)


def with_exp(z, y):
    return ((1 + z.exp()).log() - y * z).mean()


def with_where(z, y):
    each = torch.where(z > 0, z + (-z).exp().log1p(), z.exp().log1p())
    return (each - y * z).mean()


def with_two_sides(positive_part):
    """The answer in closed form: max(z, 0) - zy + log(1 + e^-|z|)."""

    def answer(z, y):
        return (positive_part(z) - y * z + (-z.abs()).exp().log1p()).mean()

    return answer


def with_a_sum_of_exponentials(z, y):
    return (torch.logsumexp(torch.stack([torch.zeros_like(z), z]), 0) - y * z).mean()


averaged = with_two_sides(lambda z: torch.maximum(z, torch.zeros_like(z)))
with_abs = with_two_sides(lambda z: (z + z.abs()) / 2)
ONE_SIDED = {
    "clamp": lambda z: z.clamp(min=0),
    "relu": torch.relu,
    "where": lambda z: torch.where(z > 0, z, 0.0),
    "where-or-equal": lambda z: torch.where(z >= 0, z, 0.0),
    "mask": lambda z: z * (z > 0),
    "max": lambda z: torch.stack([z, torch.zeros_like(z)]).max(0).values,
}


def a_float(z, y):
    return by_softplus(z, y).item()


def a_new_tensor(z, y):
    return torch.tensor(by_softplus(z, y).item())


def never_the_mean(z, y):
    return functional.softplus(z) - y * z


def added_up(z, y):
    return functional.binary_cross_entropy(z.sigmoid(), y.double(), reduction="sum")


def as_printed(z, y):
    p = torch.sigmoid(z)
    return (-y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()


def other_labels(z, y):
    return (functional.softplus(z) - (1 - y) * z).mean()


def only_positives(z, y):
    return -(y * z.sigmoid().log()).mean()


def sigmoid_twice(z, y):
    return functional.binary_cross_entropy_with_logits(z.sigmoid(), y.double())


def ready_made(z, y):
    return functional.binary_cross_entropy_with_logits(z, y.double())


def ready_made_module(z, y):
    return torch.nn.BCEWithLogitsLoss()(z, y.to(z))


def ready_made_of_torch(z, y):
    return torch.binary_cross_entropy_with_logits(z, y.to(z), None, None, 1)


def ready_made_for_classes(z, y):
    return functional.cross_entropy(torch.stack([torch.zeros_like(z), z], 1), y)


def by_the_objective(z, y):
    return RewardObjective(0)(z, y).total


def by_the_kits_own(z, y):
    return mine.bce_from_logits(z, y)


def other_exponent(z, y):
    return (torch.log(1 + torch.exp(-z)) - y * z).mean()


def with_epsilon(z, y):
    p = z.sigmoid()
    return -(y * (p + 1e-6).log() + (1 - y) * (1 - p + 1e-6).log()).mean()


def no_labels(z, y):
    return functional.softplus(z).mean()


@pytest.mark.parametrize(
    "answer",
    [
        by_softplus,
        by_logsigmoid,
        one_at_a_time,
        averaged,
        with_abs,
        with_a_sum_of_exponentials,
    ],
)
def test_the_stable_loss_is_accepted_however_it_is_written(answer):
    accepted(check.q3, answer)


@pytest.mark.parametrize(
    "answer, misconception",
    [
        (from_probabilities, "overflow"),
        (from_clamped_probabilities, "clamped"),
        (from_clamped_logits, "clamped"),
        (with_exp, "overflow"),
        (with_where, "nan-gradient"),
        (a_float, "no-gradient"),
        (a_new_tensor, "no-gradient"),
        (never_the_mean, "wrong-shape"),
        (added_up, "sum-for-mean"),
        (as_printed, "as-printed"),
        (lambda z, y: -by_softplus(z, y), "wrong-sign"),
        (other_labels, "labels-swapped"),
        (only_positives, "positives-only"),
        (sigmoid_twice, "sigmoid-twice"),
        (other_exponent, "other-exponent"),
        (with_epsilon, "adds-1e-06"),
        (no_labels, "labels-all-0"),
        (
            lambda z, y: -(y * z.log() + (1 - y) * (1 - z).log()).mean(),
            "log-of-logit",
        ),
        (lambda z, y: (z.sigmoid() - y).square().sum() / len(z), "squared-error"),
        (lambda z, y: z.sub_(1).mean(), "changes-its-arguments"),
        (lambda z, y: None, "returns-none"),
    ],
)
def test_each_wrong_loss_is_recognized(answer, misconception):
    rejected(check.q3, answer, misconception)


@pytest.mark.parametrize(
    "answer",
    [ready_made, ready_made_module, ready_made_of_torch, ready_made_for_classes],
)
def test_a_ready_made_cross_entropy_is_refused(answer):
    rejected(check.q3, answer, "uses-ready-made")


@pytest.mark.parametrize("answer", [by_the_objective, by_the_kits_own])
def test_the_kits_loss_is_refused(answer):
    pieces.forget()  # else `mine` has the answer of another test
    rejected(check.q3, answer, "uses-the-kit")


@pytest.mark.parametrize("positive_part", ONE_SIDED.values(), ids=ONE_SIDED)
def test_a_kink_at_0_is_named_with_the_way_out(positive_part):
    outcome = check.q3(with_two_sides(positive_part))
    assert outcome.misconception == "kink-at-0"
    found, expected = re.search(r"gradient is (\S+); expected (\S+?)\. ", outcome.message).groups()
    assert abs(float(found)) in (0, 1) and abs(float(expected)) == 0.5
    assert "torch.maximum(z, torch.zeros_like(z))" in outcome.message


def test_maximum_averages_the_two_sides_and_the_others_take_one():
    """What the message says of PyTorch."""
    for name, positive_part in (ONE_SIDED | {"maximum": torch.nn.functional.softplus}).items():
        if name == "maximum":

            def positive_part(z):
                return torch.maximum(z, torch.zeros_like(z))

        z = torch.zeros(1, requires_grad=True)
        positive_part(z).sum().backward()
        assert z.grad.item() == 0.5 if name == "maximum" else z.grad.item() in (0, 1), name


def test_the_500_digits_agree_with_pytorch_at_any_size():
    z = torch.tensor([-1000.0, -37.0, 0.0, 3.0, 1000.0], dtype=torch.float64)
    for y in (torch.tensor([0, 1, 0, 1, 1]), torch.tensor([1, 0, 1, 0, 0])):
        right = functional.binary_cross_entropy_with_logits(z, y.double())
        assert math.isclose(bce_in_500_digits(z, y), right, rel_tol=1e-12)


# --- Soft F1 ------------------------------------------------------------------------------------


def by_three_counts(y_hat, y):
    tp = y_hat[y == 1].sum()
    fp, fn = y_hat[y == 0].sum(), (1 - y_hat[y == 1]).sum()
    return 2 * tp / (2 * tp + fp + fn)


def by_means(y_hat, y):
    return 2 * torch.dot(y_hat, y.double()) / len(y) / (y_hat.mean() + y.double().mean())


def with_a_tiny_number(y_hat, y):
    return 2 * (y_hat * y).sum() / (y_hat.sum() + y.sum() + 1e-8)


@pytest.mark.parametrize("answer", [by_three_counts, by_means, with_a_tiny_number])
def test_soft_f1_is_accepted_however_it_is_written(answer):
    accepted(check.q6, answer)


def harmonic(y_hat, y):
    precision, recall = (y_hat * y).sum() / y_hat.sum(), (y_hat * y).sum() / y.sum()
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize(
    "answer, misconception",
    [
        (lambda p, y: article.f1_of_each(p, y).mean(), "as-printed"),
        (lambda p, y: (2 * p * y / (p + y)).mean(), "mean-of-items"),
        (lambda p, y: torch.nan_to_num(2 * p * y / (p + y)).mean(), "mean-of-items-undefined-as-0"),
        (lambda p, y: 2 * p * y / (p + y), "wrong-shape"),
        (lambda p, y: 1 - by_three_counts(p, y), "loss-for-reward"),
        (lambda p, y: (p * y).sum() / (p.sum() + y.sum()), "half"),
        (
            lambda p, y: torch.tensor(f1_score(y, p > 0.5, zero_division=0)),
            "decisions-undefined-as-0",
        ),
        (
            lambda p, y: 2 * (p * y).sum() / (2 * (p * y).sum() + (p * (1 - y)).sum()),
            "no-false-negatives",
        ),
        (
            lambda p, y: 2 * (p * y).sum() / (2 * (p * y).sum() + ((1 - p) * y).sum()),
            "no-false-positives",
        ),
        (lambda p, y: (p * y + (1 - p) * (1 - y)).mean(), "expected-accuracy"),
        (lambda p, y: (p * y).sum() / p.sum(), "precision"),
        (lambda p, y: (p * y).sum() / y.sum(), "recall"),
        (lambda p, y: (p * y).sum() / (p + y - p * y).sum(), "jaccard"),
        (lambda p, y: 2 * (p * y).sum() / (p * p + y * y).sum(), "dice"),
        (
            lambda p, y: 2 * (p * y).sum() / (2 * (p * y).sum() + p.sum() + y.sum()),
            "tp-counted-twice",
        ),
        (
            lambda p, y: (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1),
            "adds-1",
        ),
        (lambda p, y: by_three_counts(p.detach(), y), "no-gradient"),
        (
            lambda p, y: 2 * (p * y).sum() / (p.detach().sum() + y.sum()),
            "wrong-gradient",
        ),
        (lambda p, y: by_three_counts(p, y).item(), "no-gradient"),
        (harmonic, "harmonic-mean"),
        (
            lambda p, y: 2 / (p.sum() / (p * y).sum() + y.sum() / (p * y).sum()),
            "nan",
        ),
    ],
)
def test_each_wrong_soft_f1_is_recognized(answer, misconception):
    rejected(check.q6, answer, misconception)


def test_the_kits_soft_f1_is_refused():
    rejected(check.q6, article.soft_f1, "uses-the-kit")


def test_counting_agrees_with_scikit_learn_on_confident_answers():
    for seed in range(20):
        random = torch.Generator().manual_seed(seed)
        predictions, y = torch.randint(0, 2, (2, 9), generator=random)
        right = f1_score(y, predictions, zero_division=0)
        assert math.isclose(f1_by_counting(predictions.double(), y), right, abs_tol=1e-12)


# --- The total ------------------------------------------------------------------------------------


def soft(z, y):
    p = z.sigmoid()
    return 2 * (p * y).sum() / (p.sum() + y.sum())


def total(z, y, alpha):
    """A right answer."""
    return 1 - soft(z, y) if math.isinf(alpha) else by_softplus(z, y) + alpha * (1 - soft(z, y))


def by_weights(z, y, alpha):
    weights = (0, 1) if alpha == math.inf else (1, alpha)
    return weights[0] * by_softplus(z, y) + weights[1] * (1 - soft(z, y))


def by_pytorchs_cross_entropy(z, y, alpha):
    """Allowed here: only the exercise on the cross-entropy itself forbids it."""
    L_r = 1 - soft(z, y)
    if alpha == float("inf"):
        return L_r
    return functional.binary_cross_entropy_with_logits(z, y.double()) + alpha * L_r


def by_mine(z, y, alpha):
    L_r = 1 - mine.soft_f1(z.sigmoid(), y)
    return L_r if alpha == math.inf else mine.bce_from_logits(z, y) + alpha * L_r


@pytest.mark.parametrize("answer", [total, by_weights, by_pytorchs_cross_entropy, by_mine])
def test_the_total_is_accepted_however_it_is_written(answer):
    accepted(check.q8, answer)


def with_reward(reward):
    """A student's total with another reward in it: reward(z, y)."""

    def answer(z, y, alpha):
        L_r = 1 - reward(z, y)
        return L_r if alpha == math.inf else by_softplus(z, y) + alpha * L_r

    return answer


def never_infinite(z, y, alpha):
    return by_softplus(z, y) + alpha * (1 - soft(z, y))


def naive(z, y, alpha):
    L_r = 1 - soft(z, y)
    return L_r if alpha == math.inf else from_probabilities(z, y) + alpha * L_r


def blind_at_infinity(z, y, alpha):
    return total(z, y, alpha).detach() if alpha == math.inf else total(z, y, alpha)


@pytest.mark.parametrize(
    "answer, misconception",
    [
        (lambda z, y, alpha: by_softplus(z, y), "prediction-loss-alone"),
        (
            lambda z, y, alpha: by_softplus(z, y) + alpha * (soft(z, y) - soft(z, y).mean()),
            "prediction-loss-alone",
        ),
        (lambda z, y, alpha: by_softplus(z, y) + alpha * soft(z, y), "adds-the-reward"),
        (lambda z, y, alpha: by_softplus(z, y) - alpha * soft(z, y), "minus-the-reward"),
        (lambda z, y, alpha: alpha * (by_softplus(z, y) + 1 - soft(z, y)), "alpha-times-both"),
        (lambda z, y, alpha: alpha * by_softplus(z, y) + 1 - soft(z, y), "alpha-on-the-wrong-part"),
        (
            lambda z, y, alpha: (1 - alpha) * by_softplus(z, y) + alpha * (1 - soft(z, y)),
            "convex-combination",
        ),
        (lambda z, y, alpha: total(z, y, alpha) / (1 + alpha), "divides-by-1-plus-alpha"),
        (lambda z, y, alpha: total(z, y, 1.0), "without-alpha"),
        (lambda z, y, alpha: alpha * total(z, y, math.inf), "reward-loss-alone"),
        (lambda z, y, alpha: alpha * by_softplus(z, y) * (1 - soft(z, y)), "product"),
        (with_reward(lambda z, y: 2 * (z * y).sum() / (z.sum() + y.sum())), "reward-of-logits"),
        (
            lambda z, y, alpha: by_softplus(z.sigmoid(), y) + alpha * (1 - soft(z, y)),
            "sigmoid-twice",
        ),
        (with_reward(lambda z, y: article.f1_of_each(z.sigmoid(), y).mean()), "printed-f1"),
        (
            with_reward(lambda z, y: (2 * z.sigmoid() * y / (z.sigmoid() + y)).mean()),
            "f1-per-item",
        ),
        (
            with_reward(lambda z, y: 2 * ((z > 0) * y).sum() / ((z > 0).sum() + y.sum())),
            "decisions",
        ),
        (
            with_reward(lambda z, y: f1_score(y, z.detach() > 0, zero_division=0)),
            "decisions-undefined-as-0",
        ),
        (
            with_reward(lambda z, y: torch.where(y == 1, z.sigmoid(), 1 - z.sigmoid()).mean()),
            "expected-accuracy",
        ),
        (
            lambda z, y, alpha: len(y) * by_softplus(z, y) + alpha * (1 - soft(z, y)),
            "sum-for-mean",
        ),
        (never_infinite, "infinity-not-handled"),
        (lambda z, y, alpha: total(z, y, alpha or math.inf), "alpha-0"),
        (with_reward(lambda z, y: soft(z.detach(), y)), "wrong-gradient"),
        (blind_at_infinity, "no-gradient"),
        (lambda z, y, alpha: total(z, y, alpha).item(), "no-gradient"),
        (naive, "overflow"),
        (lambda z, y, alpha: RewardObjective(alpha, "soft_f1")(z, y).total, "uses-the-kit"),
        (lambda z, y, alpha: by_softplus(z, y) + alpha * None, "raises"),
    ],
)
def test_each_wrong_total_is_recognized(answer, misconception):
    rejected(check.q8, answer, misconception)


def test_the_total_is_that_of_the_objective():
    random = torch.Generator().manual_seed(0)
    z, y = torch.randn(9, generator=random).double(), torch.tensor([1, 0, 0, 1, 0, 0, 0, 1, 0])
    for alpha in (0, 0.5, 10, math.inf):
        objective = RewardObjective(alpha, "soft_f1")(z, y).total
        assert math.isclose(check.q8.exercise.solution(z, y, alpha), objective, rel_tol=1e-12)


# --- The experiment -------------------------------------------------------------------------------


def experiment(made=""):
    """A student's experiment with another F1, right or with one thing wrong."""

    def trained(data, alpha):
        rate = 4 if made == "same-rate" else 8 / (2 + alpha)
        return usual_loop(
            lambda w: total(data.x @ w, data.y, alpha), torch.zeros(3).double(), 40, rate
        )

    def answer(data, alphas):
        plain = trained(data, 0)
        train, test = (data.x, data.y), (data.test_x, data.test_y)
        x, y = train if made == "tested-on-train" else test
        tuning_x, tuning_y = test if made == "tuned-on-test" else train
        t = threshold_by_max((tuning_x @ plain).sigmoid(), tuning_y)
        if made == "not-tuned":
            t = 0.5
        control = x @ plain if made == "logit-against-probability" else (x @ plain).sigmoid()
        pairs = []
        for w in (trained(data, alpha) for alpha in alphas):
            p = (x @ w).sigmoid()
            s = {"control-threshold-for-all": t, "logit-above-half": 1 / (1 + math.exp(-0.5))}.get(
                made, 0.5
            )
            if made == "both-tuned":
                s = threshold_by_max((tuning_x @ w).sigmoid(), tuning_y)
            gain = f1_score(y, p > s) - f1_score(y, control > t)
            pairs.append([gain, (by_softplus(x @ w, y) - by_softplus(x @ plain, y)).item()])
        return pairs

    return answer


def test_the_experiment_is_accepted():
    accepted(check.q10, experiment())
    accepted(check.q10, lambda data, alphas: [experiment()(data, [a])[0] for a in alphas])


WRONG_EXPERIMENTS = (
    "tested-on-train",
    "not-tuned",
    "both-tuned",
    "control-threshold-for-all",
    "logit-against-probability",
    "logit-above-half",
    "same-rate",
)


@pytest.mark.parametrize(
    "misconception",
    ["tuned-on-test", *(pytest.param(one, marks=pytest.mark.long) for one in WRONG_EXPERIMENTS)],
)
def test_each_wrong_experiment_is_recognized(misconception):
    rejected(check.q10, experiment(misconception), misconception)


def test_an_experiment_with_the_control_first_is_recognized():
    rejected(
        check.q10,
        lambda data, alphas: [(-a, -b) for a, b in experiment()(data, alphas)],
        "control-first",
    )


def ten_items():
    z = torch.tensor([2.0, 0.4, -1.0, 1.2, 0.3, -0.5, -1.5, -2.0, -2.5, -3.0]).double()
    return z, torch.tensor([1, 1, 1, 0, 0, 0, 0, 0, 0, 0])


def test_speed_is_compared_on_the_same_scale():
    """The control that is fair, by optimizer: a factor on the loss is a step size for SGD alone."""
    z, y = ten_items()
    curves = runs.speeds(usual_loop, total, z, y)
    assert {
        name: {len(curve) for curve in by_loss.values()} for name, by_loss in curves.items()
    } == {
        "SGD": {401},
        "Adam": {201},
    }
    sgd_200, sgd_400 = (
        {name: float(curve[i]) for name, curve in curves["SGD"].items()} for i in (200, 400)
    )
    adam = {name: float(curve[-1]) for name, curve in curves["Adam"].items()}
    assert sgd_200 == pytest.approx(
        {
            "L_p": 0.0832,
            "11 L_p": 0.0089,
            "L_p + 10 L_r": 0.0060,
            "(L_p + 10 L_r) / 11": 0.0893,
        },
        abs=6e-5,
    )
    four, eleven = (
        float(total(usual_loop(lambda z: total(z, y, 0), z, 200, factor * 0.5), y, 0))
        for factor in (4, 11)
    )
    assert four == pytest.approx(0.0235, abs=6e-5)  # far from that of α = 10
    assert sgd_200["11 L_p"] == pytest.approx(eleven, rel=1e-6)  # the factor is a step size
    assert sgd_200["L_p"] < sgd_200["(L_p + 10 L_r) / 11"]  # behind …
    assert sgd_400["L_p"] > sgd_400["(L_p + 10 L_r) / 11"]  # … and ahead
    assert adam["11 L_p"] == pytest.approx(adam["L_p"], rel=1e-4)
    assert adam["(L_p + 10 L_r) / 11"] == pytest.approx(adam["L_p + 10 L_r"], rel=1e-4)


def test_a_loop_that_computes_the_loss_twice_a_step_has_the_same_curve():
    def twice(loss, z, steps, rate, optimizer):
        def loss_twice(z):
            loss(z)
            return loss(z)

        return usual_loop(loss_twice, z, steps, rate, optimizer)

    z, y = ten_items()
    settings = torch.optim.SGD, 0.5, 7
    once, again = (
        runs.curve(train, lambda z: total(z, y, 1), z, torch.sum, settings)
        for train in (usual_loop, twice)
    )
    assert once.tolist() == again.tolist() and len(once) == 8 and once[0] == float(z.sum())


def test_near_the_end_the_gradient_of_the_reward_loss_is_ten_sixths_of_the_others():
    """N / (2 · positives), for every item; so the late lead on the same scale is one of 1.6."""
    _, y = ten_items()
    leaf = (20.0 * (y - 0.5)).double().requires_grad_()
    (of_prediction,) = torch.autograd.grad(total(leaf, y, 0), leaf)
    (of_reward,) = torch.autograd.grad(total(leaf, y, math.inf), leaf)
    assert torch.allclose(of_reward / of_prediction, torch.tensor(10 / 6).double(), rtol=1e-3)


@pytest.mark.long
def test_with_adam_alpha_10_is_ahead_in_all_30_settings():
    """Six rates, five lengths; late, L_p is about half."""
    z, y = ten_items()
    rates, lengths = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2), (50, 100, 200, 400, 800)
    found = []
    for alpha in (0, 10):
        rows = [z.clone().requires_grad_() for _ in rates]
        optimizer = torch.optim.Adam(
            [{"params": [row], "lr": rate} for row, rate in zip(rows, rates, strict=True)]
        )
        both = torch.vmap(lambda row, a=alpha: total(row, y, a))
        by_length = []
        for step in range(1, max(lengths) + 1):
            optimizer.zero_grad()
            both(torch.stack(rows)).sum().backward()
            optimizer.step()
            if step in lengths:
                by_length.append([float(total(row.detach(), y, 0)) for row in rows])
        found.append(torch.tensor(by_length))
    ratio = found[1] / found[0]
    assert ratio.shape == (5, 6) and (ratio < 1).all()
    assert ((ratio[-1] > 0.5) & (ratio[-1] < 0.62)).all()


def test_a_confident_mistake_stays_with_sgd_and_is_gone_with_adam():
    _, y = ten_items()
    stuck = torch.cat([torch.tensor([-8.0]), 4 * (y[1:] - 0.5)]).double()

    def ends(rate, optimizer):
        return [
            float(
                usual_loop(lambda z, a=a: total(z, y, a), stuck, 100, rate, optimizer)[0].sigmoid()
            )
            for a in (0, 1, 10, math.inf)
        ]

    sgd = ends(5.0, torch.optim.SGD)
    assert sgd == pytest.approx([0.9752, 0.9910, 0.9988, 0.0003], abs=6e-5)
    adam = ends(0.1, torch.optim.Adam)
    assert adam == pytest.approx([0.7265, 0.8614, 0.9723, 0.9816], abs=6e-5)
    late = usual_loop(lambda z: total(z, y, math.inf), stuck, 10_000, 5.0)[0].sigmoid()
    assert late == pytest.approx(0.9998, abs=6e-5)


def test_the_two_curves_cross_at_step_240():
    z, y = ten_items()
    for steps, ahead in ((239, False), (240, True)):
        plain = usual_loop(lambda z: total(z, y, 0), z, steps, 0.5)
        scaled = usual_loop(lambda z: total(z, y, 10) / 11, z, steps, 0.5)
        assert bool(total(scaled, y, 0) < total(plain, y, 0)) == ahead


def test_one_probability_for_all_is_lowest_where_the_formulas_say():
    _, y = ten_items()
    y_hat, losses = runs.one_for_all(total, y)
    rewards = {
        "soft F1": 6 * y_hat / (10 * y_hat + 3),
        "expected accuracy": 0.3 * y_hat + 0.7 * (1 - y_hat),
    }
    plain = -0.3 * y_hat.log() - 0.7 * (1 - y_hat).log()
    assert losses.keys() == rewards.keys()
    for name, curves in losses.items():
        for alpha, curve in curves.items():
            L_r = 1 - rewards[name]
            by_hand = L_r if alpha == math.inf else plain + alpha * L_r
            assert torch.allclose(curve, by_hand, rtol=1e-9)


def test_the_longer_runs_are_the_experiment_and_its_order():
    """Against the exercise's own runs, scikit-learn's average precision and its F1."""
    draws, alphas = 3, (0, 10)
    found = runs.longer(alphas, (20, 40), draws)
    data = [draw(seed) for seed in range(draws)]
    pairs = [experiment()(one, alphas) for one in data]
    for i, alpha in enumerate(alphas):
        orders = []
        for one in data:
            w = usual_loop(
                lambda w, a=alpha, one=one: total(one.x @ w, one.y, a),
                torch.zeros(3).double(),
                40,
                8 / (2 + alpha),
            )
            p = (one.test_x @ w).sigmoid()
            precision, recall, _ = precision_recall_curve(one.test_y, p)
            best = (2 * precision * recall / (precision + recall).clip(1e-12)).max()
            orders.append((average_precision_score(one.test_y, p), best))
        means = found[40, alpha]
        by_hand = [*torch.tensor(pairs)[:, i].double().mean(0), *torch.tensor(orders).mean(0)]
        shown = (means.f1, means.L_p, means.average_precision, means.best_f1)
        assert shown == pytest.approx([float(value) for value in by_hand], abs=1e-6)
        assert found[20, alpha] != means


def test_the_price_of_alpha_goes_on_rising_and_the_order_stays():
    """What the lesson says of the 30 draws."""
    found = runs.longer((0, 10), (40, 400))
    early, late = found[40, 10], found[400, 10]
    assert (early.L_p, late.L_p) == pytest.approx((0.074, 0.183), abs=6e-4)
    assert 0 < late.f1 <= early.f1 < 0.01
    assert (late.control_f1, late.control_L_p) == pytest.approx((0.517, 0.220), abs=6e-4)
    assert found[40, 0].f1 == pytest.approx(-0.091, abs=6e-4)
    for steps in (40, 400):
        plain, rewarded = found[steps, 0], found[steps, 10]
        assert abs(plain.average_precision - rewarded.average_precision) < 0.004
        assert abs(plain.best_f1 - rewarded.best_f1) < 0.004
    few = runs.longer((10,), (400, 1000), draws=4)
    assert few[1000, 10].L_p > few[400, 10].L_p + 0.005  # still rising
    assert str(late).startswith(f"F1 {late.f1:+.3f}, L_p +0.183 (control 0.517, 0.220), AP 0.54")


def test_the_interval_over_draws_is_students():
    def compare(data, alphas):
        return [(data.y.double().mean() * alpha, 1.0) for alpha in alphas]

    differences, intervals = runs.over_draws(compare, (1, 2), draws=5)
    shares = [float(draw(seed).y.double().mean()) for seed in range(5)]
    assert differences[2][:, 0].tolist() == pytest.approx([2 * share for share in shares])
    low, high = stats.t.interval(0.95, 4, statistics.mean(shares), stats.sem(shares))
    assert intervals[1][:, 0].tolist() == pytest.approx([low, high], rel=1e-3)
    assert intervals[1][:, 1].tolist() == pytest.approx([1, 1])
    assert runs.STUDENTS_T[30] == pytest.approx(stats.t.ppf(0.975, 29), abs=1e-3)


def test_the_draws_are_what_they_should_be():
    data = draw(0)
    assert data.x.shape == (2000, 3) and data.test_x.shape == (4000, 3)
    assert (data.x[:, 2] == 1).all() and 0.08 < data.y.double().mean() < 0.12
    means = [data.x[data.y == label].mean(0) for label in (0, 1)]
    assert torch.allclose(means[1] - means[0], torch.tensor([1.5, 0.75, 0]).double(), atol=0.2)
    assert not torch.equal(draw(1).x, data.x) and torch.equal(draw(0).x, data.x)


# --- All of them ----------------------------------------------------------------------------------


def test_what_is_right_depends_on_the_specs():
    def broken(spec, change):
        return lambda *args: change(spec(*args))

    for one, answer in (
        (check.q1, cross_entropy_by_where),
        (check.q2, usual_loop),
        (check.q3, by_softplus),
        (check.q4, f1_by_pairs),
        (check.q5, lambda p, y: torch.where(y == 1, 2 * p / (2 * p + 1), 0.0)),
        (check.q6, by_three_counts),
        (check.q7, lambda R: (R - R.mean()).mean()),
        (check.q8, total),
        (check.q9, threshold_by_max),
    ):
        depends_on_its_spec(one, answer, broken(one.exercise.spec, lambda value: value + 0.001))
        if one is not check.q7:  # 0 and -0
            depends_on_its_spec(one, answer, broken(one.exercise.spec, lambda value: -value))


@pytest.mark.long
@pytest.mark.parametrize("off", [[0.01, 0.0], [0.0, 0.01]])
def test_the_experiment_depends_on_its_spec(off):
    def broken(*args):
        return (torch.tensor(check.q10.exercise.spec(*args)) + torch.tensor(off)).tolist()

    depends_on_its_spec(check.q10, experiment(), broken)


def test_no_message_says_that_a_number_should_be_what_it_is():
    off = 1 + 2e-6  # just outside of the tolerance
    for one, answer in (
        (check.q1, lambda p, y: off * cross_entropy_by_where(p, y)),
        (check.q3, lambda z, y: off * by_softplus(z, y)),
        (check.q6, lambda p, y: off * by_three_counts(p, y)),
        (check.q8, lambda z, y, alpha: off * total(z, y, alpha)),
        (check.q8, lambda z, y, alpha: total(z, y, alpha) + 1e-4 * (z - z.detach()).sum()),
        (check.q3, lambda z, y: by_softplus(z, y) + 1e-4 * (z - z.detach()).sum()),
    ):
        message = judge(one.exercise, answer).message
        found, expected = re.search(r"(\S+); expected ([^\s:.]+(?:\.\d+)?)", message).groups()
        assert found != expected, message


def test_the_number_of_the_self_test_is_what_counting_gives():
    first, second = ([1], [1]), ([1] * 6 + [0] * 3, [1] + [0] * 5 + [1] * 3)
    both = f1_score(first[0] + second[0], first[1] + second[1])
    assert math.isclose(f1_score(*first), 1) and math.isclose(f1_score(*second), 0.2)
    assert math.isclose(QUESTIONS[0].right, both)


def test_the_lesson_does_not_say_that_the_article_promises():
    """Its 4.3 says that one may choose a reward by the kind of data."""
    lesson = Path(__file__).parents[2] / "notebooks" / "01_two_part_loss.ipynb"
    cells = json.loads(lesson.read_text(encoding="utf8"))["cells"]
    text = "".join(line for cell in cells for line in cell["source"])
    assert "promise" not in text.lower()
    assert "one *may choose* F1 as the reward" in text
