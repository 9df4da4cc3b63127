"""The checks of lesson 01 on the answers that students give: wrong ones get their message, right ones are accepted."""

import math

import pytest
import torch
from sklearn.metrics import f1_score
from torch.nn import functional

from rmlib import RewardObjective
from rmlib.exercises.two_part_loss.exercises import bce_in_500_digits, check, f1_by_counting, sentences
from rmlib.exercises.two_part_loss.predictions import pushes
from rmlib.exercises.two_part_loss.quiz import QUESTIONS
from rmlib.loss import article
from rmlib.widgets.self_test import SelfTest
from tests.exercises.common import accepted, hangs_on_its_spec, helps, not_attempted, raises_under_nbgrader, rejected

# --- Exercise 1 -------------------------------------------------------------------------------------------------------


def by_softplus(z, y):
    return (functional.softplus(z) - y * z).mean()


def by_logsigmoid(z, y):
    return -(y * functional.logsigmoid(z) + (1 - y) * functional.logsigmoid(-z)).sum() / len(z)


def one_at_a_time(z, y):
    each = [functional.softplus(-one if label == 1 else one) for one, label in zip(z, y, strict=True)]
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
    "answer, words",
    [
        (from_probabilities, "for z = 40 and y = 0 the loss is inf: which"),
        (from_clamped_probabilities, "the loss is 16.12, expected 40: is something clamped"),
        (from_clamped_logits, "the loss is 30, expected 40: is something clamped"),
        (with_exp, "for z = 1000 and y = 0 the loss is inf: which `exp` overflows"),
        (with_where, "at 1000, label 1, the slope is nan"),
        (with_a_kink, "at 0, label 1, the slope is 0; expected -0.5"),
        (a_float, "no gradient"),
        (a_new_tensor, "no gradient"),
        (never_the_mean, "expected (): one number"),
        (added_up, "a sum over the items"),
        (as_printed, "E1 as printed"),
        (lambda z, y: -by_softplus(z, y), "the sign is wrong"),
        (other_labels, "the labels have changed places"),
        (only_positives, "every item with y = 0 gets a loss of 0"),
        (sigmoid_twice, "the sigmoid is taken twice"),
        (other_exponent, "log(1 + e^z) or log(1 + e^-z)"),
        (with_epsilon, "1e-06 is added inside the logarithms"),
        (no_labels, "labels that are all 0"),
        (lambda z, y: -(y * z.log() + (1 - y) * (1 - z).log()).mean(), "the logarithm is taken of z"),
        (lambda z, y: (z.sigmoid() - y).square().sum() / len(z), "the squared error"),
        (lambda z, y: z.sub_(1).mean(), "changes what it is given"),
        (lambda z, y: None, "it returns None"),
    ],
)
def test_each_wrong_loss_is_told_what_is_wrong(answer, words):
    rejected(check.q1, answer, words)


def test_the_500_digits_agree_with_pytorch_at_any_size():
    z = torch.tensor([-1000.0, -37.0, 0.0, 3.0, 1000.0], dtype=torch.float64)
    for y in (torch.tensor([0, 1, 0, 1, 1]), torch.tensor([1, 0, 1, 0, 0])):
        right = functional.binary_cross_entropy_with_logits(z, y.double())
        assert math.isclose(bce_in_500_digits(z, y), right, rel_tol=1e-12)


# --- Exercise 2 -------------------------------------------------------------------------------------------------------


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
    "answer, words",
    [
        (lambda p, y: article.f1_of_each(p, y).mean(), "E2 as printed"),
        (lambda p, y: (2 * p * y / (p + y)).mean(), "add up first, divide once"),
        (lambda p, y: torch.nan_to_num(2 * p * y / (p + y)).mean(), "add up first, divide once"),
        (lambda p, y: 2 * p * y / (p + y), "expected (): one number"),
        (lambda p, y: 1 - by_three_counts(p, y), "this is 1 - F"),
        (lambda p, y: (p * y).sum() / (p.sum() + y.sum()), "half of it"),
        (lambda p, y: torch.tensor(f1_score(y, p > 0.5, zero_division=0)), "this counts decisions"),
        (lambda p, y: 2 * (p * y).sum() / (2 * (p * y).sum() + (p * (1 - y)).sum()), "FN, is not below the line"),
        (lambda p, y: 2 * (p * y).sum() / (2 * (p * y).sum() + ((1 - p) * y).sum()), "FP, are not below the line"),
        (lambda p, y: (p * y + (1 - p) * (1 - y)).mean(), "this is the expected accuracy"),
        (lambda p, y: (p * y).sum() / p.sum(), "the soft precision"),
        (lambda p, y: (p * y).sum() / y.sum(), "the soft recall"),
        (lambda p, y: (p * y).sum() / (p + y - p * y).sum(), "Jaccard"),
        (lambda p, y: 2 * (p * y).sum() / (p * p + y * y).sum(), "squared"),
        (lambda p, y: (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1), "1 is added above and below"),
        (lambda p, y: by_three_counts(p.detach(), y), "no gradient"),
        (lambda p, y: 2 * (p * y).sum() / (p.detach().sum() + y.sum()), "is a part of it detached?"),
        (lambda p, y: by_three_counts(p, y).item(), "no gradient"),
        (harmonic, "where no label is positive it is 0/0"),
        (lambda p, y: 2 / (p.sum() / (p * y).sum() + y.sum() / (p * y).sum()), "it gives nan where 0 is expected"),
    ],
)
def test_each_wrong_soft_f1_is_told_what_is_wrong(answer, words):
    rejected(check.q2, answer, words)


def test_counting_agrees_with_scikit_learn_where_the_answers_are_sure():
    for seed in range(20):
        random = torch.Generator().manual_seed(seed)
        said, y = torch.randint(0, 2, (2, 9), generator=random)
        right = f1_score(y, said, zero_division=0)
        assert math.isclose(f1_by_counting(said.double(), y), right, abs_tol=1e-12)


# --- Exercise 3 -------------------------------------------------------------------------------------------------------


def by_backward(reward, z, y, hold=False):
    z = z.clone().requires_grad_()
    R = reward(torch.sigmoid(z), y)
    with torch.set_grad_enabled(not hold):
        R_p = R.sum() / len(R)
    L_r = sum(one - R_p for one in R) / len(R)
    L_r.backward()
    return L_r.item(), z.grad


def zero_by_algebra(reward, z, y, hold=False):
    """On paper L_r is 0 and so is its slope; held, R_p does not move, and the slope is that of the mean."""
    if not hold:
        return 0.0, torch.zeros_like(z)
    z = z.clone().requires_grad_()
    return 0.0, torch.autograd.grad(reward(z.sigmoid(), y).mean(), z)[0]


@pytest.mark.parametrize("answer", [by_backward, zero_by_algebra])
def test_the_printed_L_r_is_accepted_however_it_is_written(answer):
    accepted(check.q3, answer)


def variant(of_z=False, detach_all=False, held=None, less=True, one=False, turned=False, take=torch.mean, swap=False):
    """A student's printed_L_r with one thing wrong."""

    def answer(reward, z, y, hold=False):
        z = z.clone().requires_grad_()
        R = reward(z if of_z else z.sigmoid(), y)
        if detach_all and hold:
            R = R.detach()
        R_p = R.mean().detach() if (hold if held is None else held) else R.mean()
        L_r = take((R_p - R if turned else R - R_p) if less else R)
        slopes = torch.autograd.grad(L_r, z)[0]
        return L_r if one else (slopes, L_r) if swap else (L_r, slopes)

    return answer


@pytest.mark.parametrize(
    "answer, words",
    [
        (variant(held=False), "with hold=True there must be a slope"),
        (variant(held=True), "with hold=False R_p moves"),
        (variant(turned=True), "the sign is turned"),
        (variant(take=torch.sum), "L_r is a mean"),
        (variant(less=False), "R_p is not taken off"),
        (variant(of_z=True), "the reward is given z"),
        (variant(one=True), "expected 2 things"),
        (variant(swap=True), "result 1 of 2"),
        (variant(detach_all=True), "does not require grad"),
        (lambda reward, z, y, hold: (0.0, torch.zeros_like(z)), "with hold=True there must be a slope"),
    ],
)
def test_each_wrong_printed_L_r_is_told_what_is_wrong(answer, words):
    rejected(check.q3, answer, words)


# --- Exercise 4 -------------------------------------------------------------------------------------------------------

RIGHT = {
    "E3 as printed, y = 1": "not at all",
    "E4 as printed, y = 1": "down",
    "E4 as printed, y = 0": "not at all",
    "1 - accuracy, y = 1": "not at all",
    "1 - expected accuracy, y = 1": "up",
    "1 - soft F1, y = 0": "down",
}
TRUSTING = {name: "up" if name.endswith("1") else "down" for name in RIGHT}


def test_the_prediction_is_right_by_differences_too():
    """One logit a little up and a little down. (E4 holds R_p, which a difference of its values cannot see.)"""
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
        assert RIGHT[name] == ("not at all" if abs(rise) < 1e-12 else "down" if rise > 0 else "up"), name


def test_the_right_prediction_is_accepted():
    accepted(check.q4, RIGHT)
    accepted(check.q4, dict(reversed(RIGHT.items())))
    told = {}
    exec(check.q4.exercise.solution, told)
    assert told["which_way"] == RIGHT
    accepted(check.q4, told["which_way"])


@pytest.mark.parametrize(
    "answer, words",
    [
        (TRUSTING, "this is what six good losses would do"),
        (RIGHT | {"E4 as printed, y = 1": "up", "1 - soft F1, y = 0": "up", "1 - expected accuracy, y = 1": "down"},
         "up and down are turned round everywhere"),
        (RIGHT | {"E3 as printed, y = 1": "up"}, "5 of 6 right. Look again at 'E3 as printed, y = 1'"),
        (RIGHT | {"E4 as printed, y = 1": "up"}, "is a model with a larger R better or worse"),
        (RIGHT | {"E4 as printed, y = 0": "up"}, "what does it give to a negative"),
        (RIGHT | {"1 - accuracy, y = 1": "up"}, "does the answer change when 0.27 moves a little"),
        (RIGHT | {"1 - soft F1, y = 0": "not at all"}, "does F grow or fall with it"),
        (RIGHT | {"1 - soft F1, y = 0": "?"}, "'1 - soft F1, y = 0' is '?'; expected one of 'up', 'down'"),
        (RIGHT | {"1 - soft F1, y = 0": "falls"}, "is 'falls'; expected one of"),
        (dict.fromkeys(RIGHT, "up"), "Look again at 'E3 as printed"),
        ({"E3": "not at all"}, "keep the dict with its six lines"),
        ("not at all", "keep the dict with its six lines"),
    ],
)  # fmt: skip
def test_each_wrong_prediction_is_told_where_to_look(answer, words):
    rejected(check.q4, answer, words)


# --- Exercise 5 -------------------------------------------------------------------------------------------------------


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
def test_the_mended_loss_is_accepted_however_it_is_written(answer):
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


def padding_said_with_0(z, y):
    y_hat, y = z.sigmoid(), y.masked_fill(y == -100, 0)
    return 1 - by_three_counts(y_hat.flatten(), y.flatten())


def logits_0(z, y):
    return padding_said_with_0(z.masked_fill(y == -100, 0.0), y)


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
    "answer, words",
    [
        (colleague, "nothing is mended yet"),
        (no_padding_but_the_mean_of_sentences, "the second mistake is the one of E2"),
        (padding_said_with_0, "the filled places still raise false alarms"),
        (logits_0, "the sigmoid of 0 is not 0"),
        (lambda z, y: 1 - 2 * (z.sigmoid() * y).sum() / (z.sigmoid().sum() + y.sum()), "-100 is counted"),
        (only_probabilities_masked, "the -100 are still in Σ y"),
        (mean_weighted_by_words, "that is not the F1 of the batch either"),
        (logits_counted, "the logits are counted"),
        (lambda z, y: by_the_kit(z[:, (y >= 0).all(0)], y[:, (y >= 0).all(0)]), "real words are lost"),
        (lambda z, y: 1 - by_the_kit(z, y), "this is the reward"),
        (lambda z, y: len(y) * no_padding_but_the_mean_of_sentences(z, y), "the sentences' losses are added up"),
        (detached, "no gradient"),
        (lambda z, y: by_the_kit(z, y).repeat(2), "expected (): one number"),
    ],
)
def test_each_loss_that_is_not_mended_is_told_what_is_wrong(answer, words):
    rejected(check.q5, answer, words)


def test_the_batches_of_sentences_hold_what_they_should():
    drawn = [sentences(seed)[1] for seed in range(12)]
    assert all((y != -100).any(1).all() for y in drawn)
    assert any(len(y) > 1 and (y != -100).all() for y in drawn), "a batch with nothing filled"
    assert any(not (y == 1).any() for y in drawn), "a batch without a positive"
    assert any(((y[:, :-1] == -100) & (y[:, 1:] != -100)).any() for y in drawn), "a gap inside a sentence"


# --- All of them ------------------------------------------------------------------------------------------------------


def stub(*args):
    # YOUR CODE HERE
    ...


def test_what_is_not_filled_in_is_not_attempted():
    for one in (check.q1, check.q2, check.q3, check.q5):
        not_attempted(one, stub)
        not_attempted(one, None)
    not_attempted(check.q4, dict.fromkeys(RIGHT, "?"))


@pytest.mark.parametrize("name", ["q1", "q2", "q3", "q4", "q5"])
def test_hints_and_solution_help(name):
    helps(getattr(check, name))


def test_what_is_right_hangs_on_the_specs():
    def broken(spec, change):
        return lambda *args: change(spec(*args))

    for one, answer in ((check.q1, by_softplus), (check.q2, by_three_counts), (check.q5, by_the_kit)):
        hangs_on_its_spec(one, answer, broken(one.exercise.spec, lambda value: value + 0.001))
        hangs_on_its_spec(one, answer, broken(one.exercise.spec, lambda value: -value))
    spec = check.q3.exercise.spec
    hangs_on_its_spec(check.q3, by_backward, broken(spec, lambda two: (two[0] + 0.001, two[1])))
    hangs_on_its_spec(check.q3, by_backward, broken(spec, lambda two: (two[0], -two[1])))
    hangs_on_its_spec(check.q4, RIGHT, lambda: pushes() | {"E4 as printed, y = 1": "up"})


def test_under_nbgrader_a_wrong_answer_raises(monkeypatch):
    raises_under_nbgrader(check.q2, by_the_kit, by_three_counts, monkeypatch)


def test_the_self_test_explains_every_answer():
    test = SelfTest(QUESTIONS)
    assert "Count first, divide once" in test.answer(1, 0.333)
    assert "the mistake of E2" in test.answer(1, 0.6)
    assert "Add up TP, FP and FN" in test.answer(1, 0.9)
    for number, question in enumerate(QUESTIONS[1:], 2):
        told = {choice.text: test.answer(number, choice.text) for choice in question.choices}
        assert len(set(told.values())) == len(question.choices) == 4
        right = next(choice.text for choice in question.choices if choice.right)
        assert test.answer(number, right) == told[right] and test.outcomes[number - 1] is True


def test_the_number_of_the_self_test_is_what_counting_gives():
    first, second = ([1], [1]), ([1] * 6 + [0] * 3, [1] + [0] * 5 + [1] * 3)
    both = f1_score(first[0] + second[0], first[1] + second[1])
    assert math.isclose(f1_score(*first), 1) and math.isclose(f1_score(*second), 0.2)
    assert math.isclose(QUESTIONS[0].right, both)
