"""The checks on gradients, on answers that students give."""

import math
import warnings
from itertools import product
from types import SimpleNamespace

import pytest
import sympy
import torch
from torch.nn.functional import one_hot

from rmlib import RewardObjective
from rmlib.exercises.framework.exercise import judge
from rmlib.exercises.framework.quiz import Number
from rmlib.exercises.gradients import checkers, exercises, formulas, reference_values
from rmlib.exercises.gradients.exercises import QUESTIONS, check
from rmlib.loss import gradients
from rmlib.widgets.gradient import numbers
from tests.exercises.common import accepted, depends_on_its_spec, rejected


@pytest.fixture(autouse=True)
def many_digits():
    """As in the lesson."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def test_the_values_behind_the_judge_are_those_of_the_kit():
    for seed in range(5):
        random = torch.Generator().manual_seed(seed)
        z, y = 3 * torch.randn(6, 4, generator=random), torch.randint(4, (6,), generator=random)
        value = reference_values.expected_accuracy(z.tolist(), y.tolist())
        kit = gradients.find("expected_accuracy").function(z, y, 0)
        assert value == pytest.approx(float(kit), abs=1e-12)
        for alpha in (0, 0.5, 10, math.inf):
            value = reference_values.total_loss(z[:, 0].tolist(), (y > 1).long().tolist(), alpha)
            kit = RewardObjective(alpha, "soft_f1")(z[:, 0], (y > 1).long()).total
            assert value == pytest.approx(float(kit), abs=1e-12)


# Exercise 1


def gaps_from_logits(y_hat, y):
    z = torch.log(y_hat / (1 - y_hat))
    a = torch.exp(-z) / (1 + torch.exp(-z)) ** 2
    b = -y / y_hat + (1 - y) / (1 - y_hat)
    return a, b, a * b, (1 - 2 * y) * a


def gaps_in_a_loop(y_hat, y):
    rows = []
    for p, label in zip(y_hat, y, strict=True):
        b = -1 / p if label == 1 else 1 / (1 - p)
        d = -p * (1 - p) if label == 1 else p * (1 - p)
        rows.append([p * (1 - p), b, p - label, d])
    return [torch.stack(list(column)) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("right", [gaps_from_logits, gaps_in_a_loop])
def test_the_gaps_are_accepted_however_they_are_written(right):
    accepted(check.q1, right)


def gap(index, formula):
    def wrong(y_hat, y):
        gaps = list(gaps_from_logits(y_hat, y))
        gaps[index] = formula(y_hat, y)
        return tuple(gaps)

    return wrong


def gaps_by_autograd(y_hat, y):
    leaf = y_hat.clone().requires_grad_()
    (-(y * leaf.log() + (1 - y) * (1 - leaf).log())).sum().backward()
    return gap(1, lambda y_hat, y: leaf.grad)(y_hat, y)


@pytest.mark.parametrize(
    "wrong, misconception",
    [
        (gap(0, lambda p, y: p), "sigmoid-for-its-derivative"),
        (gap(1, lambda p, y: y / p - (1 - y) / (1 - p)), "sign-of-b"),
        (gap(1, lambda p, y: -(y / p + (1 - y) / (1 - p))), "sign-inside-b"),
        (gap(2, lambda p, y: -y / p + (1 - y) / (1 - p)), "c-with-respect-to-y_hat"),
        (gap(3, lambda p, y: p - y), "d-of-cross-entropy"),
        (gap(3, lambda p, y: (2 * y - 1) * p * (1 - p)), "d-of-the-reward"),
        (gap(3, lambda p, y: -p * (1 - p)), "d-for-positives"),
        (gap(3, lambda p, y: torch.where(y == 1, -1.0, 1.0)), "d-with-respect-to-y_hat"),
        (lambda y_hat, y: gaps_from_logits(y_hat, y)[:3], "wrong-number-of-values"),
        (lambda y_hat, y: None, "returns-none"),
        (lambda y_hat, y: y_hat.nothing, "raises"),
        (gap(2, lambda p, y: (p - y).sum()), "wrong-shape"),
        (gap(2, lambda p, y: y - p), "wrong-sign"),
        (gap(0, lambda p, y: p * (1 - p) + 0.1), "wrong-value"),
        ("y_hat - y", "not-a-function"),
        (gaps_by_autograd, "uses-autograd"),
    ],
)
def test_gaps_wrong(wrong, misconception):
    rejected(check.q1, wrong, misconception)


@pytest.mark.parametrize(
    "wrong, starts, contains",
    [
        (gap(1, lambda p, y: -y / p - (1 - y) / (1 - p)), "B: y = 0: wrong sign", "y = 1 is right"),
        (gap(1, lambda p, y: -y / p + 1), "B", "at ŷ ="),
        (gap(1, lambda p, y: -y / p + (1 - y) / p), "B, y = 0", "y = 1 is right"),
        (gap(3, lambda p, y: p * (1 - p)), "D, y = 1", "wrong sign; y = 0 is right"),
        (gap(2, lambda p, y: (p - y) / 2), "C", "factor: it is 0.5 times"),
    ],
)
def test_the_gap_and_the_label_are_named(wrong, starts, contains):
    message = check.q1(wrong).message
    assert message.startswith(starts) and contains in message, message


def test_the_first_of_two_wrong_gaps_is_named():
    def two(y_hat, y):
        a, b, c, d = gaps_from_logits(y_hat, y)
        return y_hat, -b, c, d

    rejected(check.q1, two, "sigmoid-for-its-derivative")


def test_gaps_depend_on_their_spec():
    spec = check.q1.exercise.spec
    depends_on_its_spec(
        check.q1, gaps_from_logits, lambda y_hat, y: (*spec(y_hat, y)[:3], spec(y_hat, y)[0])
    )


# Exercise 2


def symbols_and_loss():
    z, y = sympy.symbols("z y")
    y_hat = 1 / (1 + sympy.exp(-z))
    return z, y, -y * sympy.log(y_hat) - (1 - y) * sympy.log(1 - y_hat)


def sympy_equals(claim):
    z, _, loss = symbols_and_loss()
    return loss.diff(z).equals(claim)


def sympy_for_both_labels(claim):
    z, y, loss = symbols_and_loss()
    left = sympy.diff(loss, z) - claim
    return all(sympy.simplify(left.subs(y, label)) == 0 for label in (0, 1))


def sympy_without_simplify(claim):
    z, _, loss = symbols_and_loss()
    return sympy.diff(loss, z) == claim


def sympy_only_one_form(claim):
    z, y, _ = symbols_and_loss()
    return claim == 1 / (1 + sympy.exp(-z)) - y


def sympy_flipped(claim):
    z, _, loss = symbols_and_loss()
    return sympy.simplify(sympy.diff(-loss, z) - claim) == 0


def sympy_wrt_y_hat(claim):
    z, y = sympy.symbols("z y")
    p = sympy.symbols("p")
    derivative = sympy.diff(-y * sympy.log(p) - (1 - y) * sympy.log(1 - p), p)
    return sympy.simplify(derivative.subs(p, 1 / (1 + sympy.exp(-z))) - claim) == 0


def sympy_article(claim):  # E1: the sign of the second term
    z, y = sympy.symbols("z y")
    p = 1 / (1 + sympy.exp(-z))
    return (
        sympy.simplify(sympy.diff(-y * sympy.log(p) + (1 - y) * sympy.log(1 - p), z) - claim) == 0
    )


def sympy_first_term(claim):
    z, y = sympy.symbols("z y")
    p = 1 / (1 + sympy.exp(-z))
    loss = y * sympy.log(p) - (1 - y) * sympy.log(1 - p)
    return sympy.simplify(loss.diff(z) - claim) == 0


def sympy_real(claim):
    z, y = sympy.symbols("z y", real=True)
    p = 1 / (1 + sympy.exp(-z))
    loss = -y * sympy.log(p) - (1 - y) * sympy.log(1 - p)
    return sympy.simplify(sympy.diff(loss, z) - claim) == 0


def sympy_typed(claim):
    z, y = sympy.symbols("z y")
    return sympy.simplify(1 / (1 + sympy.exp(-z)) - y - claim) == 0


def loss_in_a_helper(z, y):
    p = 1 / (1 + sympy.exp(-z))
    return sympy.diff(-y * sympy.log(p) - (1 - y) * sympy.log(1 - p), z)


def sympy_with_a_helper(claim):
    z, y = sympy.symbols("z y")
    return sympy.simplify(loss_in_a_helper(z, y) - claim) == 0


@pytest.mark.parametrize("right", [sympy_equals, sympy_for_both_labels, sympy_with_a_helper])
def test_the_sympy_judge_is_accepted_however_it_is_written(right):
    accepted(check.q2, right)


@pytest.mark.parametrize(
    "wrong, misconception",
    [
        (sympy_without_simplify, "forgets-to-simplify"),
        (sympy_only_one_form, "compares-forms"),
        (sympy_flipped, "sign-of-the-loss"),
        (sympy_wrt_y_hat, "with-respect-to-y_hat"),
        (sympy_article, "sign-of-the-second-term"),
        (sympy_first_term, "sign-of-the-first-term"),
        (sympy_real, "assumptions"),
        (sympy_typed, "does-not-differentiate"),
        (lambda claim: True, "accepts-the-wrong-sign"),
        (lambda claim: sympy_equals(claim) or sympy_wrt_y_hat(claim), "with-respect-to-y_hat"),
        (lambda claim: sympy_equals(claim.subs("y", 0)), "rejects-the-derivative"),
        (lambda claim: sympy_for_both_labels(claim) or claim.subs("y", 0) - claim != 0, None),
        (lambda claim: None, "returns-none"),
        (lambda claim: claim, "not-a-verdict"),
        (lambda claim: claim.nothing, "raises"),
        ("y_hat - y", "not-a-function"),
    ],
)
def test_sympy_wrong(wrong, misconception):
    outcome = check.q2(wrong)
    assert outcome.outcome == "not yet"
    if misconception:
        assert outcome.misconception == misconception, outcome


def test_the_sympy_judge_depends_on_its_spec():
    depends_on_its_spec(check.q2, sympy_equals, lambda claim: False)


# Exercise 3


def autograd_by_grad(f, z):
    leaf = z.detach().clone().requires_grad_()
    return torch.autograd.grad(f(leaf), leaf)[0]


def autograd_by_func(f, z):
    return torch.func.grad(f)(z)


def autograd_accumulates(f, z):
    z.requires_grad_()
    f(z).backward()
    return z.grad


def autograd_without_a_leaf(f, z):
    f(z).backward()
    return z.grad


def autograd_returns_the_value(f, z):
    leaf = z.clone().requires_grad_()
    f(leaf).backward()
    return f(leaf).detach()


def autograd_flipped(f, z):
    return -autograd_by_grad(f, z)


@pytest.mark.parametrize("right", [autograd_by_grad, autograd_by_func])
def test_by_autograd_is_accepted_however_it_is_written(right):
    accepted(check.q3, right)


@pytest.mark.parametrize(
    "wrong, misconception",
    [
        (autograd_accumulates, "accumulates"),
        (autograd_without_a_leaf, "raises"),
        (autograd_returns_the_value, "wrong-shape"),
        (autograd_flipped, "wrong-sign"),
        (lambda f, z: exercises.central(f, z), "many-values"),
        (lambda f, z: None, "returns-none"),
    ],
)
def test_by_autograd_wrong(wrong, misconception):
    rejected(check.q3, wrong, misconception)


def test_by_autograd_depends_on_its_spec():
    spec = check.q3.exercise.spec
    depends_on_its_spec(check.q3, autograd_by_grad, lambda f, z: 1.01 * spec(f, z))


# Exercise 4


def central_by_flat(f, z, step=1e-5):
    found = []
    for k in range(z.numel()):
        up, down = z.clone().view(-1), z.clone().view(-1)
        up[k] += step
        down[k] -= step
        found.append((f(up.view_as(z)) - f(down.view_as(z))) / step / 2)
    return torch.stack(found).view_as(z)


def central_in_place_and_back(f, z, step=1e-5):
    z, gradient = z.clone(), torch.empty_like(z)
    for index in product(*map(range, z.shape)):
        old = z[index].item()
        z[index] = old + step
        above = f(z)
        z[index] = old - step
        gradient[index] = (above - f(z)) / (2 * step)
        z[index] = old
    return gradient


def central_one_sided(f, z, step=1e-5):
    gradient = torch.zeros_like(z)
    for i in product(*map(range, z.shape)):
        up = z.clone()
        up[i] += step
        gradient[i] = (f(up) - f(z)) / step
    return gradient


def central_all_at_once(f, z, step=1e-5):
    return (f(z + step) - f(z - step)) / (2 * step)


def central_rows(f, z, step=1e-5):
    gradient = torch.zeros_like(z)
    for i in range(z.shape[0]):
        shift = torch.zeros_like(z)
        shift[i] = step
        gradient[i] = (f(z + shift) - f(z - shift)) / (2 * step)
    return gradient


def central_changes_z(f, z, step=1e-5):
    gradient = torch.zeros_like(z)
    for i in product(*map(range, z.shape)):
        z[i] += step
        above = f(z)
        z[i] -= 2 * step
        gradient[i] = (above - f(z)) / (2 * step)
    return gradient


def central_stays_perturbed(f, z, step=1e-5):
    gradient, up, down = torch.zeros_like(z), z.clone(), z.clone()
    for i in product(*map(range, z.shape)):
        up[i] += step
        down[i] -= step
        gradient[i] = (f(up) - f(down)) / (2 * step)
    return gradient


def central_brackets(f, z, step=1e-5):
    gradient = torch.zeros_like(z)
    for i in product(*map(range, z.shape)):
        d = torch.zeros_like(z)
        d[i] = step
        gradient[i] = (f(z + d) - f(z - d)) / 2 * step
    return gradient


def central_returns_in_the_loop(f, z, step=1e-5):
    gradient = torch.zeros_like(z)
    for i in product(*map(range, z.shape)):
        d = torch.zeros_like(z)
        d[i] = step
        gradient[i] = (f(z + d) - f(z - d)) / (2 * step)
        return gradient


def central_own_step(f, z, step=1e-5):
    return exercises.central_spec(f, z, 1e-4)


def central_autograd(f, z, step=1e-5):
    leaf = z.clone().requires_grad_()
    return torch.autograd.grad(f(leaf), leaf)[0]


def central_as_lists(f, z, step=1e-5):
    return central_by_flat(f, z, step).tolist()


def central_sign_flipped(f, z, step=1e-5):
    return -central_by_flat(f, z, step)


@pytest.mark.parametrize("right", [central_by_flat, central_in_place_and_back])
def test_central_is_accepted_however_it_is_written(right):
    accepted(check.q4, right)


@pytest.mark.parametrize(
    "wrong, misconception",
    [
        (central_one_sided, "one-sided"),
        (central_all_at_once, "wrong-shape"),
        (central_rows, "perturbs-a-row"),
        (central_changes_z, "changes-its-arguments"),
        (central_stays_perturbed, "keeps-perturbations"),
        (central_brackets, "denominator-without-brackets"),
        (central_returns_in_the_loop, "first-entry-only"),
        (central_own_step, "ignores-the-step"),
        (lambda f, z, step=1e-5: gradients.central_differences(f, z, step), "uses-the-kit"),
        (central_autograd, "ignores-the-step"),
        (central_as_lists, "wrong-type"),
        (central_sign_flipped, "wrong-sign"),
        (lambda f, z, step=1e-5: None, "returns-none"),
    ],
)
def test_central_wrong(wrong, misconception):
    rejected(check.q4, wrong, misconception)


def test_central_depends_on_its_spec():
    depends_on_its_spec(
        check.q4, central_by_flat, lambda *args: exercises.central_spec(*args) + 0.1
    )


# Exercise 5


def total_in_a_loop(z, y, alpha):
    y_hat = [1 / (1 + (-one).exp()) for one in z]
    u = 2 * sum(p * label for p, label in zip(y_hat, y, strict=True))
    v = sum(y_hat) + sum(y)
    gradient = []
    for p, label in zip(y_hat, y, strict=True):
        reward = -(2 * label * v - u) / v**2 * p * (1 - p)
        gradient.append(reward if alpha == math.inf else (p - label) / len(z) + alpha * reward)
    return torch.stack(gradient)


def total_split_by_label(z, y, alpha):
    p = torch.sigmoid(z)
    v = (p + y).sum()
    f = 2 * p[y == 1].sum() / v
    reward = torch.where(y == 1, f - 2, f) / v * p * (1 - p)
    return reward if math.isinf(alpha) else (p - y) / y.numel() + alpha * reward


def total_with_weights(z, y, alpha):
    p = z.sigmoid()
    a, b = (0, 1) if alpha == float("inf") else (1, alpha)
    v = p.sum() + y.sum()
    f = 2 * (p @ y.to(p)) / v
    return a * (p - y) / len(y) - b * (2 * y - f) / v * p * (1 - p)


def parts(z, y):
    p = z.sigmoid()
    v = p.sum() + y.sum()
    return p, v, 2 * (p * y).sum() / v


def whole(reward, prediction=None):
    """A wrong answer: reward(z, y) and prediction(z, y), put together rightly."""

    def wrong(z, y, alpha):
        if alpha == math.inf:
            return reward(z, y)
        first = prediction(z, y) if prediction else (z.sigmoid() - y) / len(y)
        return first + alpha * reward(z, y)

    return wrong


def reward_gradient(z, y):
    return total_split_by_label(z, y, math.inf)


def without_the_second_term(z, y):
    p, v, _ = parts(z, y)
    return -2 * y * p * (1 - p) / v


def lost_a_2(z, y):
    p, v, f = parts(z, y)
    return (f - y) / v * p * (1 - p)


def wrt_y_hat(z, y):
    _, v, f = parts(z, y)
    return (f - 2 * y) / v


def with_plus(z, y):
    p, v, f = parts(z, y)
    return -(2 * y + f) / v * p * (1 - p)


def per_item(z, y):
    p, v, _ = parts(z, y)
    return -(2 * y - 2 * p * y / (p + y)) / v * p * (1 - p)


def no_inf(z, y, alpha):
    return (z.sigmoid() - y) / len(y) + alpha * reward_gradient(z, y)


def as_one_number(z, y, alpha):
    return total_split_by_label(z, y, alpha).sum()


def values(z, y, alpha):
    p, _, f = parts(z, y)
    loss = (torch.logaddexp(z, torch.zeros_like(z)) - y * z).mean()
    return 1 - f if alpha == math.inf else loss + alpha * (1 - f)


def total_by_backward(z, y, alpha):
    leaf = z.detach().clone()
    leaf.requires_grad = True
    values(leaf, y, alpha).backward()
    return leaf.grad


def total_by_the_objective(z, y, alpha):
    leaf = z.clone().requires_grad_()
    RewardObjective(alpha, "soft_f1")(leaf, y).total.backward()
    return leaf.grad


def total_by_closed_form(z, y, alpha):
    z = torch.stack([torch.zeros_like(z), z], -1)
    by_reward = -gradients.CLOSED_FORMS["soft_f1"](z, y)[:, 1]
    if alpha == math.inf:
        return by_reward
    return (z[:, 1].sigmoid() - y) / len(y) + alpha * by_reward


def total_of_the_kit(z, y, alpha):
    return formulas.total_gradient(z, y, alpha)


def nearly(z, y, alpha):
    gradient = total_split_by_label(z, y, alpha)
    gradient[-1] *= 1.00015  # the fifth digit
    return gradient


RIGHT_TOTALS = [total_in_a_loop, total_split_by_label, total_with_weights]


@pytest.mark.parametrize("right", RIGHT_TOTALS)
def test_the_total_gradient_is_accepted_however_it_is_written(right):
    assert judge(check.q5.exercise, right).outcome == "correct", judge(check.q5.exercise, right)


@pytest.mark.parametrize(
    "wrong, misconception",
    [
        (no_inf, "infinite-alpha"),
        (
            lambda z, y, alpha: (z.sigmoid() - y) / len(y) + alpha * without_the_second_term(z, y),
            "infinite-alpha-and-constant-denominator",
        ),
        (
            lambda z, y, alpha: z.sigmoid() - y + alpha * reward_gradient(z, y),
            "infinite-alpha-and-sum-for-mean",
        ),
        (whole(lambda z, y: -reward_gradient(z, y)), "gradient-of-the-reward"),
        (whole(wrt_y_hat), "with-respect-to-y_hat"),
        (whole(lambda z, y: -wrt_y_hat(z, y)), "reward-with-respect-to-y_hat"),
        (whole(without_the_second_term), "constant-denominator"),
        (whole(with_plus), "plus-in-the-quotient-rule"),
        (whole(lost_a_2), "half-in-the-first-term"),
        (whole(per_item), "f1-per-item"),
        (whole(lambda z, y: reward_gradient(z, y) / len(z)), "divides-by-n"),
        (whole(lambda z, y: reward_gradient(z, y) * y), "positives-only"),
        (whole(lambda z, y: reward_gradient(z, y) / 2), "half"),
        (whole(lambda z, y: reward_gradient(z, y) * parts(z, y)[1]), "not-divided"),
        (whole(lambda z, y: reward_gradient(z, y) / parts(z, y)[1]), "divided-twice"),
        (whole(reward_gradient, lambda z, y: z.sigmoid() - y), "sum-for-mean"),
        (whole(reward_gradient, lambda z, y: (y - z.sigmoid()) / len(y)), "sign-of-the-prediction"),
        (whole(reward_gradient, lambda z, y: 0 * z), "no-prediction"),
        (lambda z, y, alpha: total_split_by_label(z, y, min(alpha, 1)), None),
        (
            lambda z, y, alpha: total_split_by_label(z, y, alpha if alpha == math.inf else 1),
            "no-alpha",
        ),
        (as_one_number, "wrong-shape"),
        (total_by_backward, "uses-autograd"),
        (lambda z, y, alpha: torch.func.grad(values)(z, y, alpha), "uses-autograd"),
        (
            lambda z, y, alpha: torch.autograd.functional.jacobian(
                lambda z: values(z, y, alpha), z
            ),
            "uses-autograd",
        ),
        (total_by_the_objective, "uses-the-kit"),
        (total_by_closed_form, "uses-the-kit"),
        (total_of_the_kit, "uses-the-kit"),
        (
            lambda z, y, alpha: gradients.central_differences(lambda z: values(z, y, alpha), z),
            "uses-the-kit",
        ),
    ],
)
def test_the_total_gradient_wrong(wrong, misconception):
    outcome = judge(check.q5.exercise, wrong)
    assert outcome.outcome == "not yet", outcome
    if misconception:
        assert outcome.misconception == misconception, outcome


def test_a_message_shows_digits_that_differ():
    """Never "0.08523; expected 0.08523"."""
    message = judge(check.q5.exercise, nearly).message
    given, expected = message.split("it gives ")[1].split("; expected ")
    assert given != expected and float(given) == pytest.approx(float(expected), rel=2e-3), message


def test_the_total_gradient_depends_on_its_spec():
    spec = check.q5.exercise.spec
    depends_on_its_spec(
        check.q5, total_split_by_label, lambda z, y, alpha: 1.01 * spec(z, y, alpha)
    )


def test_the_total_gradient_is_that_of_the_kits_objective():
    for seed in range(12):
        z, y, alpha = formulas.total_inputs(seed)
        leaf = z.clone().requires_grad_()
        RewardObjective(alpha, "soft_f1")(leaf, y).total.backward()
        assert torch.allclose(formulas.total_gradient(z, y, alpha), leaf.grad, atol=1e-12)


# Exercise 6


def checker(compare, step=1e-5, convert=lambda t: t.double(), same_shape=True):
    """A checker that compares with compare(gradient, differences)."""

    def judge_gradient(f, gradient, z):
        z, gradient = convert(z), convert(gradient)
        if same_shape and gradient.shape != z.shape:
            return False
        differences = torch.zeros_like(z)
        for index in product(*map(range, z.shape)):
            up, down = z.clone(), z.clone()
            up[index] += step
            down[index] -= step
            differences[index] = (f(up) - f(down)) / (2 * step)
        return compare(gradient, differences)

    return judge_gradient


def each_entry(gradient, right):
    return ((gradient - right).abs() <= 1e-3 * right.abs() + 1e-9).all()


def early_true(f, gradient, z):
    z, gradient = z.double(), gradient.double()
    if gradient.shape != z.shape:
        return False
    for k in range(z.numel()):
        shift = torch.zeros_like(z)
        shift.view(-1)[k] = 1e-5
        right = (f(z + shift) - f(z - shift)) / 2e-5
        if abs(gradient.reshape(-1)[k] - right) <= 1e-3 * abs(right) + 1e-9:
            return True
    return False


def by_autograd(f, gradient, z):
    leaf = z.double().requires_grad_()
    (right,) = torch.autograd.grad(f(leaf), leaf)
    return gradient.shape == z.shape and bool(each_entry(gradient.double(), right))


def along_a_direction(f, gradient, z):
    """One random direction: fast, and blind to a small entry."""
    z, gradient = z.double(), gradient.double()
    if gradient.shape != z.shape:
        return False
    direction = torch.randn(z.shape, generator=torch.Generator().manual_seed(0))
    right = (f(z + 1e-5 * direction) - f(z - 1e-5 * direction)) / 2e-5
    return bool(abs((gradient * direction).sum() - right) <= 1e-3 * abs(right) + 1e-9)


def asks_whether_it_is_far(gradient, right):
    return not ((gradient - right).abs() > 1e-3 * right.abs() + 1e-9).any()


def norm(gradient, right):
    return bool((gradient - right).norm() <= 1e-3 * right.norm())


def changes_z(f, gradient, z):
    z += 0.0
    z[(0,) * z.ndim] += 1.0
    return True


@pytest.mark.parametrize(
    "right",
    [
        checker(each_entry),
        checker(each_entry, step=1e-4),
        checker(each_entry, step=1e-6),
        checker(lambda g, d: torch.allclose(g, d, rtol=1e-3, atol=1e-9)),
        checker(lambda g, d: torch.allclose(g, d, rtol=9e-3, atol=5e-10)),
        checker(lambda g, d: bool(torch.isclose(g, d, 1e-5, 3e-9).all())),
    ],
)
def test_the_checker_is_accepted_however_it_is_written(right):
    outcome = judge(check.q6.exercise, right)
    assert outcome.outcome == "correct", outcome


@pytest.mark.parametrize(
    "wrong, misconception",
    [
        (lambda f, gradient, z: True, "accepts-the-wrong-sign"),
        (lambda f, gradient, z: False, "rejects-a-right-gradient"),
        (checker(lambda g, d: not each_entry(g, d)), "rejects-a-right-gradient"),
        (checker(lambda g, d: torch.equal(g, d)), "rejects-a-right-gradient"),
        (checker(lambda g, d: bool(each_entry(g.abs(), d.abs()))), "accepts-the-wrong-sign"),
        (checker(norm), "accepts-a-hidden-entry"),
        (checker(lambda g, d: bool((g - d).norm() <= 1e-3 * d.norm() + 1e-9)), None),
        (
            checker(lambda g, d: bool((g - d).norm() <= 1e-4 * d.norm() + 1e-9)),
            "accepts-a-hidden-entry",
        ),
        (checker(lambda g, d: bool((g - d).abs().max() <= 1e-5)), "rejects-float32-noise"),
        (checker(lambda g, d: bool((g - d).abs().max() <= 1e-3)), "accepts-with-a-wide-room"),
        (checker(lambda g, d: torch.allclose(g, d, 1e-3, 1e-5)), "accepts-with-a-wide-room"),
        (checker(lambda g, d: torch.allclose(g, d)), "accepts-a-percent"),
        (checker(lambda g, d: torch.allclose(g, d, 1e-3, 1e-8)), "accepts-a-percent"),
        (checker(lambda g, d: torch.allclose(g, d, 2e-2, 1e-9)), "accepts-a-percent"),
        (checker(lambda g, d: bool(((g - d).abs() <= 1e-3 * d.abs()).all())), "rejects-zeros"),
        (
            checker(lambda g, d: bool(((g - d).abs() <= 1e-3 * d.abs() + 3e-6).all())),
            "accepts-small-gradients",
        ),
        (checker(asks_whether_it_is_far), "accepts-nan"),
        (checker(each_entry, convert=lambda t: t), "rejects-float32"),
        (checker(each_entry, step=0.5), "rejects-a-right-gradient"),
        (checker(each_entry, same_shape=False), "raises"),
        (
            checker(
                lambda g, d: bool(each_entry(g.reshape(d.shape), d)),
                same_shape=False,
            ),
            "accepts-another-shape",
        ),
        (checker(lambda g, d: bool(each_entry(g.flatten()[:1], d.flatten()[:1]))), None),
        (early_true, "accepts-one-wrong-entry"),
        (by_autograd, "uses-autograd"),
        (along_a_direction, None),
        (lambda f, g, z: gradients.central_differences(f, z).allclose(g), "uses-the-kit"),
        (lambda f, g, z: checkers.gradient_is_right(f, g, z), "uses-the-kit"),
        (checker(lambda g, d: (g - d).abs() <= 1e-3 * d.abs() + 1e-9), "not-a-verdict"),
        (checker(lambda g, d: (g - d).abs().max()), "not-a-verdict"),
        (lambda f, gradient, z: None, "returns-none"),
        (changes_z, "changes-its-arguments"),
        (True, "not-a-function"),
    ],
)
def test_the_checker_wrong(wrong, misconception):
    outcome = judge(check.q6.exercise, wrong)
    assert outcome.outcome == "not yet", outcome
    if misconception:
        assert outcome.misconception == misconception, outcome


def test_a_message_counts_what_is_accepted_and_rejected():
    message = judge(check.q6.exercise, lambda f, gradient, z: True).message
    assert "accepts 7 of 7 right gradients and rejects 0 of 14 wrong ones" in message
    message = judge(check.q6.exercise, checker(asks_whether_it_is_far)).message
    assert "rejects 13 of 14" in message and "nan" in message


@pytest.mark.parametrize("room", [1.1e-8, 2e-8, 1e-7, 9e-7])
@pytest.mark.parametrize("relative", [1e-3, 1e-4])
def test_a_room_that_hides_an_error_of_a_percent_is_refused(room, relative):
    """The rule of the text: an entry of 1e-6 that is off by 1 % or more is wrong."""
    outcome = judge(
        check.q6.exercise,
        checker(lambda g, d: bool(((g - d).abs() <= relative * d.abs() + room).all())),
    )
    assert outcome.outcome == "not yet", outcome


def test_the_solution_and_the_spec_keep_the_rules_of_the_text():
    """Off by 1 % is wrong, with an entry of 5e-7 as well; off by two millionths is right."""
    z = torch.tensor([0.3, -1.0])
    for scale in (5e-7, 1e-6, 1.0, 100.0):

        def f(z, scale=scale):
            return scale * z.sum()

        right = torch.full_like(z, scale)
        for judge_gradient in (checkers.gradient_is_right, checkers.is_gradient):
            for factor, verdict in ((1, True), (1 + 2e-6, True), (1.01, False), (0.99, False)):
                assert judge_gradient(f, factor * right, z) == verdict, (scale, factor)


def test_the_message_on_autograd_says_what_to_do():
    message = judge(check.q6.exercise, by_autograd).message
    assert message == "decide by central differences of f, not by autograd"


def test_every_case_is_what_its_id_says():
    """By autograd of the function, where it has not been made to lie, and far from the limits."""
    for case in checkers.cases():
        right = case.id.startswith("rejects")
        assert checkers.is_gradient(case.f, case.gradient, case.z) == right, case.id
        leaf = case.z.double().requires_grad_()
        (exact,) = torch.autograd.grad(case.f(leaf), leaf)
        if case.id == "accepts-autograd":
            exact = 2 * exact
        if exact.shape != case.gradient.shape or case.gradient.isnan().any():
            assert not right
            continue
        error = (case.gradient - exact).abs()
        if right:
            assert (error <= 3e-6 * exact.abs() + 1e-12).all(), case.id
        else:
            assert (error > 0.01 * exact.abs()).any() and error.max() > 7e-9, case.id


def test_no_case_has_a_kink():
    """At a kink any subgradient would be right, and central differences give one of them only."""
    for case in checkers.cases():
        z = case.z.double()
        for index in product(*map(range, z.shape)):
            shift = torch.zeros_like(z)
            shift[index] = 1e-4
            left = (case.f(z) - case.f(z - shift)) / 1e-4
            right = (case.f(z + shift) - case.f(z)) / 1e-4
            scale = max(abs(float(left)), abs(float(right)), 1e-3)
            assert abs(float(left - right)) <= 0.05 * scale, case.id


def test_the_checker_depends_on_its_spec():
    depends_on_its_spec(check.q6, checker(each_entry), lambda f, gradient, z: True)


# Exercise 7


def verdicts_in_one_line(loss, gradient, z, y):
    return {
        a: checkers.gradient_is_right(lambda z, a=a: loss(z, y, a), gradient(z, y, a), z)
        for a in (0, 1, 10, math.inf)
    }


def verdicts_with_tensors(loss, gradient, z, y):
    return {
        alpha: torch.tensor(verdict)
        for alpha, verdict in verdicts_in_one_line(loss, gradient, z, y).items()
    }


def without_inf(loss, gradient, z, y):
    found = verdicts_in_one_line(loss, gradient, z, y)
    del found[math.inf]
    return found


def verdicts_late_bound(loss, gradient, z, y):
    losses = {}
    for alpha in (0, 1, 10, math.inf):
        losses[alpha] = lambda z: loss(z, y, alpha)  # noqa: B023 (the mistake)
    return {a: checkers.gradient_is_right(f, gradient(z, y, a), z) for a, f in losses.items()}


def verdicts_gradient_not_called(loss, gradient, z, y):
    return {
        a: checkers.gradient_is_right(lambda z, a=a: loss(z, y, a), gradient, z)
        for a in (0, 1, 10, math.inf)
    }


def verdicts_not_wrapped(loss, gradient, z, y):
    return {a: checkers.gradient_is_right(loss, gradient(z, y, a), z) for a in (0, 1, 10, math.inf)}


def test_what_the_checker_was_handed_is_named():
    assert "call it, `gradient(z, y, alpha)`" in check.q7(verdicts_gradient_not_called).message
    assert "hand over a function of z" in check.q7(verdicts_not_wrapped).message


@pytest.mark.parametrize("right", [verdicts_in_one_line, verdicts_with_tensors])
def test_verdicts_are_accepted_however_they_are_written(right):
    accepted(check.q7, right)


@pytest.mark.parametrize(
    "wrong, misconception",
    [
        (lambda loss, gradient, z, y: {0: True, 1: True, 10: True, math.inf: True}, "always-true"),
        (
            lambda *args: {a: not v for a, v in verdicts_in_one_line(*args).items()},
            "reversed",
        ),
        (without_inf, "wrong-keys"),
        (verdicts_late_bound, "late-bound"),
        (verdicts_gradient_not_called, "raises"),
        (verdicts_not_wrapped, "raises"),
        (lambda *args: list(verdicts_in_one_line(*args).values()), "wrong-type"),
        (lambda loss, gradient, z, y: None, "returns-none"),
    ],
)
def test_verdicts_wrong(wrong, misconception):
    rejected(check.q7, wrong, misconception)


def test_verdicts_depend_on_their_spec():
    depends_on_its_spec(check.q7, verdicts_in_one_line, lambda *args: {0: True})


# Exercise 8


def mended_by_chain(z, y):
    return gradients.through_softmax(z.softmax(-1), one_hot(y, z.shape[-1]) / len(y))


def mended_by_jacobian(z, y):
    found = []
    for row, label in zip(z, y, strict=True):
        p = row.softmax(0)
        jacobian = torch.diag(p) - torch.outer(p, p)
        found.append(jacobian[label] / len(y))
    return torch.stack(found)


def mended_in_place(z, y):
    p = torch.exp(z - z.max(1, keepdim=True).values)
    p = p / p.sum(1, keepdim=True)
    gradient = torch.zeros_like(p)
    for i in range(len(y)):
        for c in range(z.shape[1]):
            gradient[i, c] = p[i, y[i]] * ((1 if c == y[i] else 0) - p[i, c]) / len(y)
    return gradient


def eve(z, y):
    p, e = z.softmax(-1), one_hot(y, z.shape[-1])
    return e * p * (1 - p) / len(y)


def mended_cross_entropy(z, y):
    return (one_hot(y, z.shape[-1]) - z.softmax(-1)) / len(y)


def mended_each_own_p(z, y):
    p = z.softmax(-1)
    return p * (one_hot(y, z.shape[-1]) - p) / len(y)


def mended_others_own_derivative(z, y):
    p, e = z.softmax(-1), one_hot(y, z.shape[-1])
    return torch.where(e == 1, p * (1 - p), -p * (1 - p)) / len(y)


def mended_sum(z, y):
    return mended_by_chain(z, y) * len(y)


def mended_mean_of_entries(z, y):
    p, e = z.softmax(-1), one_hot(y, z.shape[-1])
    return (p * e).sum(1, keepdim=True) * (e - p) / z.numel()


def mended_all_up(z, y):
    p, e = z.softmax(-1), one_hot(y, z.shape[-1])
    p_y = (p * e).sum(1, keepdim=True)
    return torch.where(e == 1, p_y * (1 - p_y), p_y * p) / len(y)


def mended_batch_sum(z, y):
    p, e = z.softmax(-1), one_hot(y, z.shape[-1])
    return (p * e).sum() * (e - p) / len(y)


def mended_no_keepdim(z, y):
    p, e = z.softmax(-1), one_hot(y, z.shape[-1])
    return (p * e).sum(1) * (e - p) / len(y)


def mended_overflows(z, y):
    p = z.exp() / z.exp().sum(1, keepdim=True)
    return gradients.through_softmax(p, one_hot(y, z.shape[-1]) / len(y))


def mended_autograd(z, y):
    leaf = z.clone().requires_grad_()
    r = leaf.softmax(-1)[range(len(y)), y].mean()
    r.backward()
    return leaf.grad


def accuracy_value(z, y):
    return z.softmax(-1)[range(len(y)), y].mean()


@pytest.mark.parametrize("right", [mended_by_chain, mended_by_jacobian, mended_in_place])
def test_mended_is_accepted_however_it_is_written(right):
    accepted(check.q8, right)


@pytest.mark.parametrize(
    "wrong, misconception",
    [
        (eve, "unchanged"),
        (mended_cross_entropy, "gradient-of-log-p"),
        (mended_each_own_p, "factor-p_c"),
        (lambda z, y: -mended_by_chain(z, y), "gradient-of-the-loss"),
        (mended_others_own_derivative, "own-derivative"),
        (mended_sum, "sum-for-mean"),
        (mended_mean_of_entries, "mean-of-entries"),
        (mended_batch_sum, "sum-over-the-batch"),
        (mended_all_up, "wrong-sign-of-others"),
        (mended_no_keepdim, "raises"),
        (mended_overflows, "nan"),
        (mended_autograd, "uses-autograd"),
        (lambda z, y: gradients.autograd("expected_accuracy", z, y), "uses-the-kit"),
        (lambda z, y: gradients.CLOSED_FORMS["expected_accuracy"](z, y), "uses-the-kit"),
        (lambda z, y: torch.func.grad(accuracy_value)(z, y), "uses-autograd"),
    ],
)
def test_mended_wrong(wrong, misconception):
    rejected(check.q8, wrong, misconception)


def test_mended_depends_on_its_spec():
    spec = check.q8.exercise.spec
    depends_on_its_spec(check.q8, mended_by_chain, lambda z, y: spec(z, y) * 1.01)


# Exercise 9


def weight_by_ratio(alpha, p_y):
    of_reward, of_entropy = p_y * (1 - p_y), 1 - p_y
    return (of_reward if alpha == math.inf else of_entropy + alpha * of_reward) / of_entropy


def weight_in_a_loop(alpha, p_y):
    return torch.stack([p if math.isinf(alpha) else alpha * p + 1 for p in p_y])


@pytest.mark.parametrize("right", [weight_by_ratio, weight_in_a_loop])
def test_the_weight_is_accepted_however_it_is_written(right):
    accepted(check.q9, right)


@pytest.mark.parametrize(
    "wrong, misconception",
    [
        (lambda alpha, p_y: 1 + alpha * p_y, "infinite-alpha"),
        (
            lambda alpha, p_y: 1 - p_y if alpha == math.inf else 1 + alpha * (1 - p_y),
            "weight-falls-with-p_y",
        ),
        (
            lambda alpha, p_y: p_y if alpha == math.inf else 1 + alpha * (1 - p_y),
            "weight-falls-except-at-infinity",
        ),
        (lambda alpha, p_y: p_y if alpha == math.inf else 1 - alpha * p_y, "minus"),
        (lambda alpha, p_y: -p_y if alpha == math.inf else 1 - alpha * p_y, "minus-everywhere"),
        (lambda alpha, p_y: 1 + (1 if alpha == math.inf else alpha) * p_y, "1-at-infinity"),
        (lambda alpha, p_y: p_y if alpha == math.inf else alpha * p_y, "reward-factor-alone"),
        (lambda alpha, p_y: p_y if alpha == math.inf else (1 + alpha) * p_y, "p_y-on-both-terms"),
        (
            lambda alpha, p_y: (1 - p_y) * (p_y if alpha == math.inf else 1 + alpha * p_y),
            "push-for-factor",
        ),
        (lambda alpha, p_y: -weight_by_ratio(alpha, p_y), "wrong-sign"),
    ],
)
def test_the_weight_wrong(wrong, misconception):
    outcome = check.q9(wrong)
    assert outcome.outcome == "not yet"
    if misconception:
        assert outcome.misconception == misconception, outcome


def test_the_weight_depends_on_its_spec():
    spec = check.q9.exercise.spec
    depends_on_its_spec(check.q9, weight_by_ratio, lambda alpha, p_y: spec(alpha, p_y) + 0.1)


# Exercise 10


def descend_by_groups(gradient, theta, labels, alpha, rate, steps):
    group = torch.arange(len(labels)) // (len(labels) // len(theta))
    for _ in range(steps):
        theta = theta - rate * torch.zeros_like(theta).index_add(
            0, group, gradient(theta[group], labels, alpha)
        )
    return theta


def descend_in_place_on_a_copy(gradient, theta, labels, alpha, rate, steps):
    theta, size = theta.clone(), len(labels) // len(theta)
    for _ in range(steps):
        by_item = gradient(theta.repeat_interleave(size), labels, alpha)
        for k in range(len(theta)):
            theta[k] -= rate * by_item[k * size : (k + 1) * size].sum()
    return theta


def descend_changes_theta(gradient, theta, labels, alpha, rate, steps):
    size = len(labels) // len(theta)
    for _ in range(steps):
        theta -= rate * gradient(theta.repeat_interleave(size), labels, alpha).view(-1, size).sum(1)
    return theta


def descend_uphill(gradient, theta, labels, alpha, rate, steps):
    return descend_by_groups(gradient, theta, labels, alpha, -rate, steps)


def descend_mean(gradient, theta, labels, alpha, rate, steps):
    size = len(labels) // len(theta)
    return descend_by_groups(gradient, theta, labels, alpha, rate / size, steps)


def descend_one_step(gradient, theta, labels, alpha, rate, steps):
    return descend_by_groups(gradient, theta, labels, alpha, rate, 1)


def descend_without_sum(gradient, theta, labels, alpha, rate, steps):
    size = len(labels) // len(theta)
    return theta.repeat_interleave(size) - rate * gradient(
        theta.repeat_interleave(size), labels, alpha
    )


def descend_by_autograd(gradient, theta, labels, alpha, rate, steps):
    size = len(labels) // len(theta)
    for _ in range(steps):
        leaf = theta.detach().clone().requires_grad_()
        values(leaf.repeat_interleave(size), labels, alpha).backward()
        theta = theta - rate * leaf.grad
    return theta


def descend_by_its_own_gradient(gradient, theta, labels, alpha, rate, steps):
    return descend_by_groups(formulas.total_gradient, theta, labels, alpha, rate, steps)


def descend_with_autograd_beside(gradient, theta, labels, alpha, rate, steps):
    leaf = theta.clone().requires_grad_()
    leaf.sum().backward()
    return descend_by_groups(gradient, theta, labels, alpha, rate * leaf.grad[0], steps)


def descend_from_the_start(gradient, theta, labels, alpha, rate, steps):
    size = len(labels) // len(theta)
    z = theta.repeat_interleave(size)
    for _ in range(steps):
        theta = theta - rate * gradient(z, labels, alpha).view(-1, size).sum(1)
    return theta


def descend_across_groups(gradient, theta, labels, alpha, rate, steps):
    size = len(labels) // len(theta)
    for _ in range(steps):
        by_item = gradient(theta.repeat_interleave(size), labels, alpha)
        theta = theta - rate * by_item.view(size, -1).sum(0)
    return theta


def descend_untied(gradient, theta, labels, alpha, rate, steps):
    z = theta.repeat_interleave(len(labels) // len(theta))
    for _ in range(steps):
        z = z - rate * gradient(z, labels, alpha)
    return z


def descend_untied_mean(gradient, theta, labels, alpha, rate, steps):
    z = descend_untied(gradient, theta, labels, alpha, rate, steps)
    return z.view(len(theta), -1).mean(1)


def descend_with_20(gradient, theta, labels, alpha, rate, steps):
    for _ in range(steps):
        by_item = gradient(theta.repeat_interleave(20), labels, alpha)
        theta = theta - rate * by_item.view(-1, 20).sum(1)
    return theta


def descend_theta_itself(gradient, theta, labels, alpha, rate, steps):
    for _ in range(steps):
        theta = theta - rate * gradient(theta, labels, alpha)
    return theta


@pytest.mark.parametrize("right", [descend_by_groups, descend_in_place_on_a_copy])
def test_descent_is_accepted_however_it_is_written(right):
    accepted(check.q10, right)


@pytest.mark.parametrize(
    "wrong, misconception",
    [
        (descend_changes_theta, "changes-its-arguments"),
        (descend_uphill, "uphill"),
        (descend_mean, "mean-for-sum"),
        (descend_one_step, "one-step"),
        (lambda gradient, theta, *others: theta, "no-step"),
        (descend_without_sum, "wrong-shape"),
        (descend_by_autograd, "own-gradient"),
        (descend_by_its_own_gradient, "own-gradient"),
        (descend_with_autograd_beside, "uses-autograd"),
        (descend_from_the_start, "computed-before-the-loop"),
        (descend_across_groups, "view-across-groups"),
        (descend_untied, "untied"),
        (descend_untied_mean, "untied-until-the-end"),
        (descend_with_20, "raises"),
        (descend_theta_itself, "raises"),
    ],
)
def test_descent_wrong(wrong, misconception):
    rejected(check.q10, wrong, misconception)


def test_a_wrong_number_of_logits_is_named():
    assert "20 only in the lesson's data" in check.q10(descend_with_20).message
    assert "one logit per item" in check.q10(descend_theta_itself).message


def test_descent_depends_on_its_spec():
    spec = check.q10.exercise.spec
    depends_on_its_spec(check.q10, descend_by_groups, lambda *args: spec(*args) + 0.1)


# What the lesson says


def test_soft_f1_alone_learns_the_best_threshold():
    """Groups with a share ρ of positives: ŷ near 0 below half of the best F1, near 1 above."""
    rho = torch.linspace(0.05, 0.95, 10)
    labels = torch.cat([(torch.arange(20) < round(20 * float(r))).long() for r in rho])
    learnt = check.q10.exercise.solution(
        formulas.total_gradient, torch.zeros(10), labels, math.inf, 50.0, 400
    ).sigmoid()
    best = max(
        float(2 * rho[k:].sum() / (len(rho[k:]) + rho.sum())) for k in range(10)
    )  # yes to the last groups
    assert ((learnt > 0.5) == (rho > best / 2)).all()
    assert ((learnt < 0.02) | (learnt > 0.98)).all()
    honest = check.q10.exercise.solution(
        formulas.total_gradient, torch.zeros(10), labels, 0, 50.0, 400
    ).sigmoid()
    assert torch.allclose(honest, rho, atol=1e-3)


def test_the_norm_hides_what_the_checker_rejects():
    """The lesson's item 10: twice too large, and below 0.1 % of the norm."""
    y = torch.tensor([1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    z = torch.tensor([2.0, 0.4, -1.0, 1.2, 0.3, -0.5, -1.5, -2.0, -2.5, -9.0])
    right = formulas.total_gradient(z, y, 3)
    wrong = right.clone()
    wrong[9] *= 2

    def loss(z):
        return RewardObjective(3, "soft_f1")(z, y).total

    assert gradients.relative_error(wrong, right) < 1e-3
    assert checkers.gradient_is_right(loss, right, z)
    assert not checkers.gradient_is_right(loss, wrong, z)


def test_gradcheck_in_float32_rejects_the_right_and_with_a_wide_tolerance_accepts_the_wrong():
    """The pitfall of the lesson, and that the learner's checker has neither fault."""
    y = torch.tensor([1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    z = torch.tensor([2.0, 0.4, -1.0, 1.2, 0.3, -0.5, -1.5, -2.0, -2.5, -3.0])

    def loss(z):
        return RewardObjective(math.inf, "soft_f1")(z, y).total

    def half_gradient(z):
        return loss(z) / 2 + loss(z.detach()) / 2

    def passes(f, z, **settings):
        leaf = z.clone().requires_grad_()
        return torch.autograd.gradcheck(f, leaf, raise_exception=False, **settings)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        right = passes(loss, z), passes(loss, z.float()), passes(loss, z.float(), atol=0.1)
        half = (
            passes(half_gradient, z),
            passes(half_gradient, z.float()),
            passes(half_gradient, z.float(), atol=0.1),
        )
    assert right == (True, False, True)
    assert half == (False, False, True)
    gradient = formulas.total_gradient(z.float(), y, math.inf)
    assert checkers.gradient_is_right(loss, gradient, z.float())
    assert not checkers.gradient_is_right(half_gradient, gradient / 2, z.float())
    assert gradient.abs().max() == pytest.approx(0.052, abs=1e-3)


def test_the_answers_on_the_explorer_are_those_of_the_lesson():
    """Item 6 has the largest factor, the bar of item 2 grows most, the threshold goes up."""

    def state(alpha, reward, y_hats=numbers.BATCH_Y_HAT, precision="float64", epsilon=1e-5):
        return numbers.compare(
            SimpleNamespace(
                labels=numbers.BATCH_Y,
                y_hats=y_hats,
                alpha=alpha,
                reward=reward,
                precision=precision,
                epsilon=epsilon,
            )
        )

    before, after = state(0, "expected_accuracy"), state(10, "expected_accuracy")
    assert after.factor.argmax() == 5 and after.factor[5] == pytest.approx(10.5)
    bars = [abs(one.gradients[numbers.CLOSED]) for one in (before, after)]
    grows = bars[1] - bars[0]
    assert grows.argmax() == 1
    assert (bars[0][1], bars[1][1]) == pytest.approx((0.0667, 0.4667), abs=1e-4)
    assert bars[1][[2, 4]] == pytest.approx(bars[1][1])  # items 3 and 5 end level
    assert state(3, "soft_f1").threshold == pytest.approx(0.313, abs=5e-4)
    fewer = (*numbers.BATCH_Y_HAT[:4], 0.05, numbers.BATCH_Y_HAT[5])
    assert state(3, "soft_f1", fewer).threshold == pytest.approx(0.353, abs=5e-4)
    errors = state(3, "soft_f1", precision="float32", epsilon=1e-6).errors
    assert errors[numbers.CENTRAL].max() > 0.5
    assert max(errors[numbers.CLOSED].max(), errors[numbers.AUTO].max()) < 1e-6


def test_float32_is_not_always_right_to_six_digits():
    """ŷ − 1 at z = 12: two nearly equal numbers."""
    z = torch.tensor(12.0, dtype=torch.float64)
    ratio = float(z.float().sigmoid() - 1) / float(z.sigmoid() - 1)
    assert ratio == pytest.approx(1.009, abs=1e-3)


# The self-test


def test_the_number_of_the_self_test_is_that_of_differences():
    """The threshold of soft F1 at F̃ = .6, found by perturbing one item of very many."""
    number = next(question for question in QUESTIONS if isinstance(question, Number))
    tp, total, step = 6e6, 2e7, 1e-3  # F̃ = 2 TP / (Σŷ + Σy)

    def mean_derivative(rho):
        return rho * gain(1) + (1 - rho) * gain(0)

    def gain(y):
        return (2 * (tp + y * step) / (total + step) - 2 * tp / total) / step

    assert 2 * tp / total == pytest.approx(0.6)
    assert mean_derivative(number.right - 0.01) < 0 < mean_derivative(number.right + 0.01)
