"""The checks on gradients, on answers that students give."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import one_hot

from rmlib.exercises.framework.quiz import Number
from rmlib.exercises.gradients import exercises, predictions, reference_values, search
from rmlib.exercises.gradients.exercises import QUESTIONS, check
from rmlib.loss import gradients
from tests.exercises.common import (
    accepted,
    depends_on_its_spec,
    rejected,
)


@pytest.fixture(autouse=True)
def many_digits():
    """As in the lesson."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


OPEN = ("factor", "B over A, alpha 0", "B over A, alpha 10", "gains")


@pytest.mark.parametrize("reward", reference_values.VALUES)
def test_the_values_behind_the_judge_are_those_of_the_kit(reward):
    for seed in range(5):
        random = torch.Generator().manual_seed(seed)
        z, y = 3 * torch.randn(6, 4, generator=random), torch.randint(4, (6,), generator=random)
        value = reference_values.VALUES[reward](z.tolist(), y.tolist())
        assert value == pytest.approx(float(gradients.find(reward).function(z, y, 0)), abs=1e-12)


# Exercise 1


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
    for i in range(len(z)):
        for c in range(z.shape[1]):
            old = z[i, c].item()
            z[i, c] = old + step
            above = f(z)
            z[i, c] = old - step
            gradient[i, c] = (above - f(z)) / (2 * step)
            z[i, c] = old
    return gradient


def central_one_sided(f, z, step=1e-5):
    gradient = torch.zeros_like(z)
    for i in range(z.shape[0]):
        for c in range(z.shape[1]):
            up = z.clone()
            up[i, c] += step
            gradient[i, c] = (f(up) - f(z)) / step
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
    for i in range(z.shape[0]):
        for c in range(z.shape[1]):
            z[i, c] += step
            above = f(z)
            z[i, c] -= 2 * step
            gradient[i, c] = (above - f(z)) / (2 * step)
    return gradient


def central_stays_perturbed(f, z, step=1e-5):
    gradient, up, down = torch.zeros_like(z), z.clone(), z.clone()
    for i in range(z.shape[0]):
        for c in range(z.shape[1]):
            up[i, c] += step
            down[i, c] -= step
            gradient[i, c] = (f(up) - f(down)) / (2 * step)
    return gradient


def central_brackets(f, z, step=1e-5):
    gradient = torch.zeros_like(z)
    for i in range(z.shape[0]):
        for c in range(z.shape[1]):
            d = torch.zeros_like(z)
            d[i, c] = step
            gradient[i, c] = (f(z + d) - f(z - d)) / 2 * step
    return gradient


def central_returns_in_the_loop(f, z, step=1e-5):
    gradient = torch.zeros_like(z)
    for i in range(z.shape[0]):
        for c in range(z.shape[1]):
            d = torch.zeros_like(z)
            d[i, c] = step
            gradient[i, c] = (f(z + d) - f(z - d)) / (2 * step)
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
    accepted(check.q1, right)


@pytest.mark.parametrize(
    "wrong, misconception",
    [
        (central_one_sided, "one-sided"),
        (central_all_at_once, "wrong-shape"),
        (central_rows, "perturbs-an-item"),
        (central_changes_z, "changes-its-arguments"),
        (central_stays_perturbed, "keeps-perturbations"),
        (central_brackets, "denominator-without-brackets"),
        (central_returns_in_the_loop, "first-item-only"),
        (central_own_step, "ignores-the-step"),
        (central_autograd, "ignores-the-step"),
        (central_as_lists, "wrong-type"),
        (central_sign_flipped, "wrong-sign"),
        (lambda f, z, step=1e-5: None, "returns-none"),
    ],
)
def test_central_wrong(wrong, misconception):
    rejected(check.q1, wrong, misconception)


def test_central_depends_on_its_spec():
    depends_on_its_spec(
        check.q1, central_by_flat, lambda *args: exercises.central_spec(*args) + 0.1
    )


# Exercise 2


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


@pytest.mark.parametrize("right", [mended_by_chain, mended_by_jacobian, mended_in_place])
def test_mended_is_accepted_however_it_is_written(right):
    accepted(check.q2, right)


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
        (mended_all_up, "wrong-sign-of-others"),
        (mended_no_keepdim, "raises"),
        (mended_overflows, "nan"),
        (mended_autograd, "uses-autograd"),
        (lambda z, y: gradients.autograd("expected_accuracy", z, y), "uses-autograd"),
    ],
)
def test_mended_wrong(wrong, misconception):
    rejected(check.q2, wrong, misconception)


def test_mended_depends_on_its_spec():
    spec = check.q2.exercise.spec
    depends_on_its_spec(check.q2, mended_by_chain, lambda z, y: spec(z, y) * 1.01)


# Exercise 3


KEYS = dict(zip(("factor", "at_0", "at_10", "gains"), OPEN, strict=True))


def predicted(**changed):
    right = dict(zip(OPEN, (2, 9, 1.8, "A"), strict=True))
    return right | {KEYS[name]: value for name, value in changed.items()}


def test_predictions_are_accepted_however_they_are_written():
    accepted(check.q3, predicted())
    accepted(check.q3, predicted(factor=torch.tensor(2.0), at_0=9.0, gains=" a"))
    names = {}
    exec(predictions.SOLUTION, names)
    accepted(check.q3, names["predicted"])


@pytest.mark.parametrize(
    "wrong, misconception",
    [
        (predicted(factor=4), "weight-falls-with-p_y"),
        (predicted(factor=1), "reward-factor-alone"),
        (predicted(factor=1.25), "p_y-on-both-terms"),
        (predicted(factor=3), "wrong-value"),
        (predicted(factor="2"), "wrong-form"),
        (predicted(at_0=1 / 9), "inverted-at-0"),
        (predicted(at_0=1), "equal-pushes"),
        (predicted(at_10=9), "same-as-at-0"),
        (predicted(at_10=0.2), "ratio-of-factors"),
        (predicted(at_10=1), "reward-alone"),
        (predicted(gains="B"), "larger-push-gains"),
        (predicted(gains="both"), "wrong-form"),
        (predicted(gains="?"), "incomplete"),
        ({"factor": 2}, "incomplete"),
        ([2, 9, 1.8, "A"], "wrong-form"),
    ],
)
def test_predictions_wrong(wrong, misconception):
    rejected(check.q3, wrong, misconception)


@pytest.mark.parametrize("name", OPEN)
def test_predictions_hang_on_their_spec(name):
    right = predictions.measured_weights()
    broken = right | {name: "B" if name == "gains" else 1.1 * right[name]}
    depends_on_its_spec(check.q3, predicted(), lambda: broken)


# Exercise 4


def gradient_in_a_loop(z, y):
    y_hat = [1 / (1 + (-one).exp()) for one in z]
    u = 2 * sum(p * label for p, label in zip(y_hat, y, strict=True))
    v = sum(y_hat) + sum(y)
    gradient = [
        -(2 * label * v - u) / v**2 * p * (1 - p) for p, label in zip(y_hat, y, strict=True)
    ]
    return torch.stack(gradient)


def gradient_split_by_label(z, y):
    p = torch.sigmoid(z)
    v = (p + y).sum()
    f = 2 * p[y == 1].sum() / v
    return torch.where(y == 1, f - 2, f) / v * p * (1 - p)


def parts(z, y):
    y_hat = z.sigmoid()
    total = y_hat.sum() + y.sum()
    return y_hat, total, 2 * (y_hat * y).sum() / total


def gradient_of_F(z, y):
    return -gradient_split_by_label(z, y)


def gradient_wrt_y_hat(z, y):
    _, total, f = parts(z, y)
    return (f - 2 * y) / total


def gradient_of_F_wrt_y_hat(z, y):
    _, total, f = parts(z, y)
    return (2 * y - f) / total


def gradient_with_plus(z, y):
    y_hat, below, _ = parts(z, y)
    above = 2 * (y_hat * y).sum()
    return -(2 * y * below + above) / below**2 * y_hat * (1 - y_hat)


def gradient_without_second_term(z, y):
    y_hat, total, _ = parts(z, y)
    return -2 * y * y_hat * (1 - y_hat) / total


def gradient_of_the_mean(z, y):
    return gradient_split_by_label(z, y) / len(z)


def gradient_lost_a_2(z, y):
    y_hat, total, f = parts(z, y)
    return (f - y) / total * y_hat * (1 - y_hat)


def gradient_not_divided(z, y):
    y_hat, total, f = parts(z, y)
    return (f - 2 * y) * y_hat * (1 - y_hat)


def gradient_per_item(z, y):
    y_hat, total, _ = parts(z, y)
    return -(2 * y - 2 * y_hat * y / (y_hat + y)) / total * y_hat * (1 - y_hat)


def gradient_positives_only(z, y):
    return gradient_split_by_label(z, y) * y


def gradient_as_one_number(z, y):
    return gradient_split_by_label(z, y).sum()


def gradient_by_autograd(z, y):
    leaf = z.detach().clone()
    leaf.requires_grad = True
    y_hat = leaf.sigmoid()
    loss = 1 - 2 * (y_hat * y).sum() / (y_hat.sum() + y.sum())
    loss.backward()
    return leaf.grad


@pytest.mark.parametrize("right", [gradient_in_a_loop, gradient_split_by_label])
def test_soft_f1_gradient_is_accepted_however_it_is_written(right):
    accepted(check.q4, right)


@pytest.mark.parametrize(
    "wrong, misconception",
    [
        (gradient_of_F, "gradient-of-the-reward"),
        (gradient_of_F_wrt_y_hat, "reward-with-respect-to-y_hat"),
        (gradient_with_plus, "plus-in-the-quotient-rule"),
        (gradient_wrt_y_hat, "with-respect-to-y_hat"),
        (gradient_without_second_term, "constant-denominator"),
        (gradient_of_the_mean, "divides-by-n"),
        (gradient_lost_a_2, "half-in-the-first-term"),
        (gradient_not_divided, "not-divided"),
        (gradient_per_item, "f1-per-item"),
        (gradient_positives_only, "positives-only"),
        (gradient_as_one_number, "wrong-shape"),
        (gradient_by_autograd, "uses-autograd"),
    ],
)
def test_soft_f1_gradient_wrong(wrong, misconception):
    rejected(check.q4, wrong, misconception)


def test_soft_f1_gradient_depends_on_its_spec():
    spec = check.q4.exercise.spec
    depends_on_its_spec(check.q4, gradient_split_by_label, lambda z, y: -spec(z, y))


# Exercise 5


def batches(number=30, items=5, low=0, dtype=torch.float64):
    random = torch.Generator().manual_seed(3)
    for _ in range(number):
        z = torch.randn(items, 4, generator=random, dtype=dtype)
        yield z, torch.randint(low, 4, (items,), generator=random)


def ok(reward, suspect, z, y, row=-1):
    return gradients.compare(reward, z, y, suspect=suspect(z, y))[row]["ok"]


def search_smaller_batches(reward, suspect):
    return next(((z, y) for z, y in batches(items=3) if not ok(reward, suspect, z, y)), None)


def search_by_the_closed_form(reward, suspect):
    for z, y in batches():
        error = gradients.relative_error(suspect(z, y), gradients.closed_form(reward, z, y))
        if error > 1e-6:
            return [z, y]


def search_chosen_labels(reward, suspect):
    for chosen in ([1, 2, 3], [0, 1, 2], [0, 0, 1], [2, 2, 2], [3, 3, 1], [0, 0, 0]):
        z, y = torch.arange(12.0).sin().view(3, 4), torch.tensor(chosen)
        if not ok(reward, suspect, z, y):
            return z, y


def search_one_batch(reward, suspect):
    z, y = next(batches())
    return None if ok(reward, suspect, z, y) else (z, y)


def search_returns_in_the_loop(reward, suspect):
    for z, y in batches(items=30):
        if not ok(reward, suspect, z, y):
            return z, y
        else:
            return None


def search_new_generator_each_time(reward, suspect):
    for _ in range(5):
        random = torch.Generator().manual_seed(0)
        z, y = torch.randn(12, 4, generator=random), torch.randint(4, (12,), generator=random)
        if not ok(reward, suspect, z, y):
            return z, y


def search_first_row(reward, suspect):
    return next(((z, y) for z, y in batches() if not ok(reward, suspect, z, y, row=0)), None)


def search_wide_tolerance(reward, suspect):
    for z, y in batches():
        if (suspect(z, y) - gradients.autograd(reward, z, y)).abs().max() > 0.5:
            return z, y


def search_large_batches(reward, suspect):
    return next(
        ((z, y) for z, y in batches(items=30, number=6) if not ok(reward, suspect, z, y)), None
    )


def search_positive_labels(reward, suspect):
    return next(
        ((z, y) for z, y in batches(low=1, items=20, number=6) if not ok(reward, suspect, z, y)),
        None,
    )


def search_always_background(reward, suspect):
    for z, y in batches():
        y[0] = 0
        if not ok(reward, suspect, z, y):
            return z, y


def search_verdict_inverted(reward, suspect):
    return next(((z, y) for z, y in batches() if ok(reward, suspect, z, y)), None)


def search_float32(reward, suspect):
    return next(
        ((z, y) for z, y in batches(dtype=torch.float32) if not ok(reward, suspect, z, y)), None
    )


def search_accuses_missing_classes(reward, suspect):
    for z, y in batches():
        if not ok(reward, suspect, z, y) or len(y.unique()) < 4:
            return z, y


def search_says_true(reward, suspect):
    return any(not ok(reward, suspect, z, y) for z, y in batches())


def search_swapped(reward, suspect):
    return next(((y, z) for z, y in batches() if not ok(reward, suspect, z, y)), None)


def search_gives_up_on_three(reward, suspect):
    return next(
        ((z, y) for z, y in batches(number=3, items=2) if not ok(reward, suspect, z, y)), None
    )


def search_never_ends(reward, suspect):
    while True:
        pass


@pytest.mark.parametrize(
    "right", [search_smaller_batches, search_by_the_closed_form, search_chosen_labels]
)
def test_search_is_accepted_however_it_is_written(right):
    accepted(check.q5, right)


def test_its_own_search_is_accepted_whatever_the_default_type():
    torch.set_default_dtype(torch.float32)
    accepted(check.q5, search.find_a_batch)


@pytest.mark.parametrize(
    "wrong, misconception",
    [
        (search_one_batch, "one-batch"),
        (search_returns_in_the_loop, "one-batch"),
        (search_new_generator_each_time, "one-batch"),
        (search_first_row, "misses-half-a-gradient"),
        (search_wide_tolerance, "misses-half-a-gradient"),
        (search_large_batches, "misses-absent-classes"),
        (search_positive_labels, "misses-absent-classes"),
        (search_always_background, "misses-absent-background"),
        (search_verdict_inverted, "misses-half-a-gradient"),
        (search_float32, "float32"),
        (search_accuses_missing_classes, "accuses-a-right-gradient"),
        (search_says_true, "not-a-batch"),
        (search_swapped, "not-a-batch"),
        (search_gives_up_on_three, "few-batches"),
        (lambda reward, suspect: None, "never-tries"),
        (lambda reward, suspect: gradients.nothing, "raises"),
        ("by_dan", "not-a-function"),
    ],
)
def test_search_wrong(wrong, misconception):
    rejected(check.q5, wrong, misconception)


def test_a_search_that_never_ends_is_stopped(monkeypatch):
    monkeypatch.setattr(search, "SEARCH", replace(search.SEARCH, seconds=0.3))
    rejected(check.q5, search_never_ends, "too-slow")


def test_search_depends_on_its_spec():
    depends_on_its_spec(check.q5, search_smaller_batches, lambda reward, suspect, z, y: False)


def test_batches_are_judged_without_autograd():
    for suspect in search.SUSPECTS:
        with torch.no_grad():
            verdicts = [
                search.disproves(suspect.reward, suspect.gradient, z, y) for z, y in batches(20)
            ]
        assert any(verdicts) == bool(suspect.missed)
    z, y = next(batches())
    assert search.disproves("gce", lambda z, y: z * float("nan"), z, y)


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
