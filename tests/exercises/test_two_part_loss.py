"""The checks on the two-part loss, on answers that students give."""

import math

import pytest
import torch
from sklearn.metrics import f1_score
from torch.nn import functional

from rmlib import RewardObjective
from rmlib.exercises.two_part_loss.exercises import (
    bce_in_500_digits,
    check,
    f1_by_counting,
    sentences,
)
from rmlib.exercises.two_part_loss.predictions import push_directions
from rmlib.exercises.two_part_loss.quiz import QUESTIONS
from rmlib.loss import article
from tests.exercises.common import (
    accepted,
    depends_on_its_spec,
    rejected,
)

# --- Exercise 1 -----------------------------------------------------------------------------------


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


def with_a_kink(z, y):
    return (z.clamp(min=0) - y * z + (-z.abs()).exp().log1p()).mean()


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


def other_exponent(z, y):
    return (torch.log(1 + torch.exp(-z)) - y * z).mean()


def with_epsilon(z, y):
    p = z.sigmoid()
    return -(y * (p + 1e-6).log() + (1 - y) * (1 - p + 1e-6).log()).mean()


def no_labels(z, y):
    return functional.softplus(z).mean()


@pytest.mark.parametrize("answer", [by_softplus, by_logsigmoid, one_at_a_time])
def test_the_stable_loss_is_accepted_however_it_is_written(answer):
    accepted(check.q1, answer)


@pytest.mark.parametrize(
    "answer, misconception",
    [
        (from_probabilities, "overflow"),
        (from_clamped_probabilities, "clamped"),
        (from_clamped_logits, "clamped"),
        (with_exp, "overflow"),
        (with_where, "nan-gradient"),
        (with_a_kink, "wrong-gradient"),
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
    rejected(check.q1, answer, misconception)


def test_the_500_digits_agree_with_pytorch_at_any_size():
    z = torch.tensor([-1000.0, -37.0, 0.0, 3.0, 1000.0], dtype=torch.float64)
    for y in (torch.tensor([0, 1, 0, 1, 1]), torch.tensor([1, 0, 1, 0, 0])):
        right = functional.binary_cross_entropy_with_logits(z, y.double())
        assert math.isclose(bce_in_500_digits(z, y), right, rel_tol=1e-12)


# --- Exercise 2 -----------------------------------------------------------------------------------


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
    accepted(check.q2, answer)


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
    rejected(check.q2, answer, misconception)


def test_counting_agrees_with_scikit_learn_on_confident_answers():
    for seed in range(20):
        random = torch.Generator().manual_seed(seed)
        predictions, y = torch.randint(0, 2, (2, 9), generator=random)
        right = f1_score(y, predictions, zero_division=0)
        assert math.isclose(f1_by_counting(predictions.double(), y), right, abs_tol=1e-12)


# --- Exercise 3 -----------------------------------------------------------------------------------


def by_backward(reward, z, y, hold=False):
    z = z.clone().requires_grad_()
    R = reward(torch.sigmoid(z), y)
    with torch.set_grad_enabled(not hold):
        R_p = R.sum() / len(R)
    L_r = sum(one - R_p for one in R) / len(R)
    L_r.backward()
    return L_r.item(), z.grad


def zero_by_algebra(reward, z, y, hold=False):
    """On paper L_r and its gradient are 0; with R_p constant the gradient is that of the mean."""
    if not hold:
        return 0.0, torch.zeros_like(z)
    z = z.clone().requires_grad_()
    return 0.0, torch.autograd.grad(reward(z.sigmoid(), y).mean(), z)[0]


@pytest.mark.parametrize("answer", [by_backward, zero_by_algebra])
def test_the_printed_L_r_is_accepted_however_it_is_written(answer):
    accepted(check.q3, answer)


def variant(reward_input=torch.sigmoid, held=None, subtract=True, sign=1, reduce=torch.mean):
    """A student's printed_L_r with one thing wrong."""

    def answer(reward, z, y, hold=False):
        z = z.clone().requires_grad_()
        R = reward(reward_input(z), y)
        constant = hold if held is None else held
        R_p = R.mean().detach() if constant else R.mean()
        L_r = reduce(sign * (R - R_p if subtract else R))
        return L_r, torch.autograd.grad(L_r, z)[0]

    return answer


def value_alone(reward, z, y, hold=False):
    return variant()(reward, z, y, hold)[0]


def gradient_first(reward, z, y, hold=False):
    return variant()(reward, z, y, hold)[::-1]


def everything_detached(reward, z, y, hold=False):
    return variant()(lambda p, y: reward(p, y).detach() if hold else reward(p, y), z, y, hold)


@pytest.mark.parametrize(
    "answer, misconception",
    [
        (variant(held=False), "never-held"),
        (variant(held=True), "always-held"),
        (variant(sign=-1), "wrong-sign"),
        (variant(reduce=torch.sum), "sum-for-mean"),
        (variant(subtract=False), "no-baseline"),
        (variant(reward_input=lambda z: z), "reward-of-logits"),
        (value_alone, "wrong-number-of-values"),
        (gradient_first, "wrong-shape"),
        (everything_detached, "raises"),
        (
            lambda reward, z, y, hold: (0.0, torch.zeros_like(z)),
            "never-held",
        ),
    ],
)
def test_each_wrong_printed_L_r_is_recognized(answer, misconception):
    rejected(check.q3, answer, misconception)


# --- Exercise 4 -----------------------------------------------------------------------------------

RIGHT = {
    "E3 as printed, y = 1": "not at all",
    "E4 as printed, y = 1": "down",
    "E4 as printed, y = 0": "not at all",
    "1 - accuracy, y = 1": "not at all",
    "1 - expected accuracy, y = 1": "up",
    "1 - soft F1, y = 0": "down",
}
TRUSTING = {name: "up" if name.endswith("1") else "down" for name in RIGHT}


def test_the_prediction_is_right_by_central_differences_too():
    """Perturb one logit by ±ε. E4 holds R_p constant, which its values cannot show."""
    z = torch.tensor([2.0, 0.4, -1.0, 1.2, 0.3, -0.5, -1.5, -2.0, -2.5, -3.0], dtype=torch.float64)
    y = torch.tensor([1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    losses = {
        "E3 as printed, y = 1": article.printed_reward_loss,
        "E4 as printed, y = 1": lambda p, y: article.f1_of_each(p, y).mean(),
        "E4 as printed, y = 0": lambda p, y: article.f1_of_each(p, y).mean(),
        "1 - accuracy, y = 1": lambda p, y: 1 - ((p > 0.5) == y).double().mean(),
        "1 - expected accuracy, y = 1": lambda p, y: (p - y).abs().mean(),
        "1 - soft F1, y = 0": lambda p, y: 1 - f1_by_counting(p, y),
    }
    for name, L_r in losses.items():
        step = 1e-4 * torch.nn.functional.one_hot(torch.tensor(2 if name.endswith("1") else 3), 10)
        rise = float(L_r((z + step).sigmoid(), y) - L_r((z - step).sigmoid(), y))
        assert RIGHT[name] == (
            "not at all" if abs(rise) < 1e-12 else "down" if rise > 0 else "up"
        ), name


def test_the_right_prediction_is_accepted():
    accepted(check.q4, RIGHT)
    accepted(check.q4, dict(reversed(RIGHT.items())))
    names = {}
    exec(check.q4.exercise.solution, names)
    assert names["which_way"] == RIGHT


@pytest.mark.parametrize(
    "answer, misconception",
    [
        (TRUSTING, "trusts-all-six"),
        (
            RIGHT
            | {
                "E4 as printed, y = 1": "up",
                "1 - soft F1, y = 0": "up",
                "1 - expected accuracy, y = 1": "down",
            },
            "uphill",
        ),
        (RIGHT | {"E3 as printed, y = 1": "up"}, "wrong-e3"),
        (RIGHT | {"E4 as printed, y = 1": "up"}, "wrong-e4-positive"),
        (RIGHT | {"E4 as printed, y = 0": "up"}, "wrong-e4-negative"),
        (RIGHT | {"1 - accuracy, y = 1": "up"}, "wrong-accuracy"),
        (RIGHT | {"1 - soft F1, y = 0": "not at all"}, "wrong-soft-f1"),
        (RIGHT | {"1 - soft F1, y = 0": "?"}, "wrong-form"),
        (RIGHT | {"1 - soft F1, y = 0": "falls"}, "wrong-form"),
        (dict.fromkeys(RIGHT, "up"), "wrong-e3"),
        ({"E3": "not at all"}, "wrong-form"),
        ("not at all", "wrong-form"),
    ],
)
def test_each_wrong_prediction_is_recognized(answer, misconception):
    rejected(check.q4, answer, misconception)


def test_a_wrong_prediction_says_how_many_are_right():
    outcome = check.q4(RIGHT | {"E3 as printed, y = 1": "up"})
    assert "5 of 6" in outcome.message and "E3 as printed, y = 1" in outcome.message


# --- Exercise 5 -----------------------------------------------------------------------------------


def by_the_kit(z, y):
    return RewardObjective(1, "soft_f1")(z, y).reward


def by_a_mask(z, y):
    real = (y >= 0).double()
    y_hat, y = z.sigmoid() * real, y * real
    return 1 - 2 * (y_hat * y).sum() / (y_hat + y).sum()


def by_minus_infinity(z, y):
    y_hat = z.masked_fill(y == -100, -math.inf).sigmoid()
    y = y.clamp(min=0)
    return 1 - 2 * (y_hat * y).sum(1).sum() / (y_hat.sum(1) + y.sum(1)).sum()


@pytest.mark.parametrize("answer", [by_the_kit, by_a_mask, by_minus_infinity])
def test_the_repaired_batch_loss_is_accepted_however_it_is_written(answer):
    accepted(check.q5, answer)


def colleague(z, y):
    y_hat, y = z.sigmoid(), y.clamp(min=0)
    found = 2 * (y_hat * y).sum(1)
    counted = y_hat.sum(1) + y.sum(1)
    return 1 - (found / counted).mean()


def no_padding_but_the_mean_of_sentences(z, y):
    each = []
    for one_z, one_y in zip(z, y, strict=True):
        one_z, one_y = one_z[one_y != -100], one_y[one_y != -100]
        each.append(by_three_counts(one_z.sigmoid(), one_y))
    return 1 - torch.stack(each).mean()


def padding_as_0(z, y):
    y_hat, y = z.sigmoid(), y.masked_fill(y == -100, 0)
    return 1 - by_three_counts(y_hat.flatten(), y.flatten())


def logits_0(z, y):
    return padding_as_0(z.masked_fill(y == -100, 0.0), y)


def only_probabilities_masked(z, y):
    y_hat = z.sigmoid() * (y != -100)
    return 1 - 2 * (y_hat * y).sum() / (y_hat.sum() + y.sum())


def mean_weighted_by_words(z, y):
    real = y >= 0
    words = real.sum(1)
    each = [by_three_counts(a[m].sigmoid(), b[m]) for a, b, m in zip(z, y, real, strict=True)]
    return 1 - (torch.stack(each) * words / words.sum()).sum()


def logits_counted(z, y):
    return 1 - by_three_counts(z[y != -100], y[y != -100])


def detached(z, y):
    return by_the_kit(z.detach(), y)


@pytest.mark.parametrize(
    "answer, misconception",
    [
        (colleague, "unchanged"),
        (no_padding_but_the_mean_of_sentences, "mean-of-sentences"),
        (padding_as_0, "counts-padding"),
        (logits_0, "logits-set-to-0"),
        (
            lambda z, y: 1 - 2 * (z.sigmoid() * y).sum() / (z.sigmoid().sum() + y.sum()),
            "counts-minus-100",
        ),
        (only_probabilities_masked, "labels-not-masked"),
        (mean_weighted_by_words, "mean-weighted-by-words"),
        (logits_counted, "counts-logits"),
        (
            lambda z, y: by_the_kit(z[:, (y >= 0).all(0)], y[:, (y >= 0).all(0)]),
            "drops-columns",
        ),
        (lambda z, y: 1 - by_the_kit(z, y), "reward-for-loss"),
        (
            lambda z, y: len(y) * no_padding_but_the_mean_of_sentences(z, y),
            "sum-of-sentences",
        ),
        (detached, "no-gradient"),
        (lambda z, y: by_the_kit(z, y).repeat(2), "wrong-shape"),
    ],
)
def test_each_wrong_batch_loss_is_recognized(answer, misconception):
    rejected(check.q5, answer, misconception)


def test_the_batches_of_sentences_hold_what_they_should():
    drawn = [sentences(seed)[1] for seed in range(12)]
    assert all((y != -100).any(1).all() for y in drawn)
    assert any(len(y) > 1 and (y != -100).all() for y in drawn), "a batch without padding"
    assert any(not (y == 1).any() for y in drawn), "a batch without a positive"
    assert any(((y[:, :-1] == -100) & (y[:, 1:] != -100)).any() for y in drawn), (
        "a gap inside a sentence"
    )


# --- All of them ----------------------------------------------------------------------------------


def test_what_is_right_depends_on_the_specs():
    def broken(spec, change):
        return lambda *args: change(spec(*args))

    for one, answer in (
        (check.q1, by_softplus),
        (check.q2, by_three_counts),
        (check.q5, by_the_kit),
    ):
        depends_on_its_spec(one, answer, broken(one.exercise.spec, lambda value: value + 0.001))
        depends_on_its_spec(one, answer, broken(one.exercise.spec, lambda value: -value))
    spec = check.q3.exercise.spec
    depends_on_its_spec(check.q3, by_backward, broken(spec, lambda two: (two[0] + 0.001, two[1])))
    depends_on_its_spec(check.q3, by_backward, broken(spec, lambda two: (two[0], -two[1])))
    depends_on_its_spec(check.q4, RIGHT, lambda: push_directions() | {"E4 as printed, y = 1": "up"})


def test_the_number_of_the_self_test_is_what_counting_gives():
    first, second = ([1], [1]), ([1] * 6 + [0] * 3, [1] + [0] * 5 + [1] * 3)
    both = f1_score(first[0] + second[0], first[1] + second[1])
    assert math.isclose(f1_score(*first), 1) and math.isclose(f1_score(*second), 0.2)
    assert math.isclose(QUESTIONS[0].right, both)
