"""The checks of lesson 02: what students write, right and wrong, and what they are told."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import one_hot

from rmlib.exercises.framework import numerical_gradients
from rmlib.exercises.framework.exercise import judge
from rmlib.exercises.framework.quiz import Number
from rmlib.exercises.gradients import exercises, predictions, search
from rmlib.exercises.gradients.exercises import QUESTIONS, check
from rmlib.loss import gradients
from tests.exercises.common import accepted, hangs_on_its_spec, helps, not_attempted, raises_under_nbgrader, rejected


@pytest.fixture(autouse=True)
def many_digits():
    """As in the lesson."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def unanswered(*_, **__):
    # YOUR CODE HERE
    ...


OPEN = {"factor": None, "B over A, alpha 0": None, "B over A, alpha 10": None, "gains": "?"}


@pytest.mark.parametrize("name", check.checks)
def test_nothing_written_is_not_attempted(name):
    not_attempted(getattr(check, name), OPEN if name == "q3" else unanswered)
    not_attempted(getattr(check, name), None)


@pytest.mark.parametrize("name", check.checks)
def test_hints_and_solution_help(name):
    helps(getattr(check, name))


@pytest.mark.parametrize("name", ["q1", "q2", "q4"])
def test_every_mistake_on_the_list_is_told_its_message_and_its_message_alone(name):
    exercise = getattr(check, name).exercise
    assert len(exercise.mistakes) >= 4
    for message, mistake in exercise.mistakes.items():
        found = judge(exercise, mistake)
        assert (found.outcome, found.message) == ("not yet", message)


@pytest.mark.parametrize("reward", numerical_gradients.VALUES)
def test_the_values_behind_the_judge_are_those_of_the_kit(reward):
    for seed in range(5):
        random = torch.Generator().manual_seed(seed)
        z, y = 3 * torch.randn(6, 4, generator=random), torch.randint(4, (6,), generator=random)
        value = numerical_gradients.VALUES[reward](z.tolist(), y.tolist())
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
    z, slope = z.clone(), torch.empty_like(z)
    for i in range(len(z)):
        for c in range(z.shape[1]):
            old = z[i, c].item()
            z[i, c] = old + step
            above = f(z)
            z[i, c] = old - step
            slope[i, c] = (above - f(z)) / (2 * step)
            z[i, c] = old
    return slope


def central_one_sided(f, z, step=1e-5):
    slope = torch.zeros_like(z)
    for i in range(z.shape[0]):
        for c in range(z.shape[1]):
            up = z.clone()
            up[i, c] += step
            slope[i, c] = (f(up) - f(z)) / step
    return slope


def central_all_at_once(f, z, step=1e-5):
    return (f(z + step) - f(z - step)) / (2 * step)


def central_rows(f, z, step=1e-5):
    slope = torch.zeros_like(z)
    for i in range(z.shape[0]):
        there = torch.zeros_like(z)
        there[i] = step
        slope[i] = (f(z + there) - f(z - there)) / (2 * step)
    return slope


def central_changes_z(f, z, step=1e-5):
    slope = torch.zeros_like(z)
    for i in range(z.shape[0]):
        for c in range(z.shape[1]):
            z[i, c] += step
            above = f(z)
            z[i, c] -= 2 * step
            slope[i, c] = (above - f(z)) / (2 * step)
    return slope


def central_stays_moved(f, z, step=1e-5):
    slope, up, down = torch.zeros_like(z), z.clone(), z.clone()
    for i in range(z.shape[0]):
        for c in range(z.shape[1]):
            up[i, c] += step
            down[i, c] -= step
            slope[i, c] = (f(up) - f(down)) / (2 * step)
    return slope


def central_brackets(f, z, step=1e-5):
    slope = torch.zeros_like(z)
    for i in range(z.shape[0]):
        for c in range(z.shape[1]):
            d = torch.zeros_like(z)
            d[i, c] = step
            slope[i, c] = (f(z + d) - f(z - d)) / 2 * step
    return slope


def central_returns_in_the_loop(f, z, step=1e-5):
    slope = torch.zeros_like(z)
    for i in range(z.shape[0]):
        for c in range(z.shape[1]):
            d = torch.zeros_like(z)
            d[i, c] = step
            slope[i, c] = (f(z + d) - f(z - d)) / (2 * step)
        return slope


def central_own_step(f, z, step=1e-5):
    return exercises.central_spec(f, z, 1e-4)


def central_autograd(f, z, step=1e-5):
    leaf = z.clone().requires_grad_()
    return torch.autograd.grad(f(leaf), leaf)[0]


def central_as_lists(f, z, step=1e-5):
    return central_by_flat(f, z, step).tolist()


def central_turned(f, z, step=1e-5):
    return -central_by_flat(f, z, step)


@pytest.mark.parametrize("right", [central_by_flat, central_in_place_and_back])
def test_central_is_accepted_however_it_is_written(right):
    accepted(check.q1, right)


@pytest.mark.parametrize(
    "wrong, fragment",
    [
        (central_one_sided, "this is one-sided"),
        (central_all_at_once, "the shape is ()"),
        (central_rows, "all logits of an item at once"),
        (central_changes_z, "changes what it is given"),
        (central_stays_moved, "stay moved"),
        (central_brackets, "put brackets around what stands below"),
        (central_returns_in_the_loop, "does `return` stand inside the loop"),
        (central_own_step, "another `step` changes nothing"),
        (central_autograd, "another `step` changes nothing"),
        (central_as_lists, "expected a tensor"),
        (central_turned, "wrong sign"),
        (lambda f, z, step=1e-5: None, "is `return` missing"),
    ],
)
def test_central_wrong(wrong, fragment):
    rejected(check.q1, wrong, fragment)


def test_central_hangs_on_its_spec():
    hangs_on_its_spec(check.q1, central_by_flat, lambda *args: exercises.central_spec(*args) + 0.1)


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
    slope = torch.zeros_like(p)
    for i in range(len(y)):
        for c in range(z.shape[1]):
            slope[i, c] = p[i, y[i]] * ((1 if c == y[i] else 0) - p[i, c]) / len(y)
    return slope


def eve(z, y):
    p, e = z.softmax(-1), one_hot(y, z.shape[-1])
    return e * p * (1 - p) / len(y)


def mended_cross_entropy(z, y):
    return (one_hot(y, z.shape[-1]) - z.softmax(-1)) / len(y)


def mended_each_own_p(z, y):
    p = z.softmax(-1)
    return p * (one_hot(y, z.shape[-1]) - p) / len(y)


def mended_others_own_slope(z, y):
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
    "wrong, fragment",
    [
        (eve, "still Eve's"),
        (mended_cross_entropy, "as in cross-entropy"),
        (mended_each_own_p, "R holds p_y, not p_c"),
        (lambda z, y: -mended_by_chain(z, y), "slope of 1 − R"),
        (mended_others_own_slope, "Not to its own p"),
        (mended_sum, "R is a mean over the items"),
        (mended_mean_of_entries, "the number of all entries"),
        (mended_all_up, "must add up to 0"),
        (mended_no_keepdim, "must match the size"),
        (mended_overflows, "nan"),
        (mended_autograd, "no autograd here"),
        (lambda z, y: gradients.autograd("expected_accuracy", z, y), "no autograd here"),
    ],
)
def test_mended_wrong(wrong, fragment):
    rejected(check.q2, wrong, fragment)


def test_mended_hangs_on_its_spec():
    spec = check.q2.exercise.spec
    hangs_on_its_spec(check.q2, mended_by_chain, lambda z, y: spec(z, y) * 1.01)


# Exercise 3


def predicted(**changed):
    right = {"factor": 2, "B over A, alpha 0": 9, "B over A, alpha 10": 1.8, "gains": "A"}
    return right | {name.replace("_", " ").replace(" 10", ", alpha 10").replace(" 0", ", alpha 0"): value
                    for name, value in changed.items()}  # fmt: skip


def test_predictions_are_accepted_however_they_are_written():
    accepted(check.q3, predicted())
    accepted(check.q3, predicted(factor=torch.tensor(2.0), B_over_A_0=9.0, gains=" a"))
    names = {}
    exec(predictions.PREDICTIONS, names)
    accepted(check.q3, names["predicted"])


@pytest.mark.parametrize(
    "wrong, fragment",
    [
        (predicted(factor=4), "would favour what is wrong"),
        (predicted(factor=1), "the reward's part alone"),
        (predicted(factor=1.25), "the 1 is cross-entropy"),
        (predicted(factor=3), "'factor': not the right answer yet"),
        (predicted(factor="2"), "expected a number"),
        (predicted(B_over_A_0=1 / 9), "upside down"),
        (predicted(B_over_A_0=1), "their pushes differ"),
        (predicted(B_over_A_10=9), "the ratio at α = 0"),
        (predicted(B_over_A_10=0.2), "the ratio of the factors alone"),
        (predicted(B_over_A_10=1), "the reward alone"),
        (predicted(gains="B"), "look at B's part"),
        (predicted(gains="both"), "expected 'A' or 'B'"),
        (predicted(gains="?"), "'gains' has no prediction yet"),
        ({"factor": 2}, "has no prediction yet"),
        ([2, 9, 1.8, "A"], "expected the dict"),
    ],
)
def test_predictions_wrong(wrong, fragment):
    rejected(check.q3, wrong, fragment)


@pytest.mark.parametrize("name", OPEN)
def test_predictions_hang_on_their_spec(name):
    right = predictions.measured_weights()
    broken = right | {name: "B" if name == "gains" else 1.1 * right[name]}
    hangs_on_its_spec(check.q3, predicted(), lambda: broken)


def test_no_slip_is_the_right_answer():
    for name, right in predictions.measured_weights().items():
        for slip in predictions.SLIPS[name]:
            rejected(check.q3, predicted() | {name: slip}, predictions.SLIPS[name][slip])
            assert slip != right


# Exercise 4


def slope_in_a_loop(z, y):
    y_hat = [1 / (1 + (-one).exp()) for one in z]
    u = 2 * sum(p * label for p, label in zip(y_hat, y, strict=True))
    v = sum(y_hat) + sum(y)
    slope = [-(2 * label * v - u) / v**2 * p * (1 - p) for p, label in zip(y_hat, y, strict=True)]
    return torch.stack(slope)


def slope_split_by_label(z, y):
    p = torch.sigmoid(z)
    v = (p + y).sum()
    f = 2 * p[y == 1].sum() / v
    return torch.where(y == 1, f - 2, f) / v * p * (1 - p)


def parts(z, y):
    y_hat = z.sigmoid()
    total = y_hat.sum() + y.sum()
    return y_hat, total, 2 * (y_hat * y).sum() / total


def slope_of_F(z, y):
    return -slope_split_by_label(z, y)


def slope_over_y_hat(z, y):
    _, total, f = parts(z, y)
    return (f - 2 * y) / total


def slope_of_F_over_y_hat(z, y):
    _, total, f = parts(z, y)
    return (2 * y - f) / total


def slope_with_plus(z, y):
    y_hat, below, _ = parts(z, y)
    above = 2 * (y_hat * y).sum()
    return -(2 * y * below + above) / below**2 * y_hat * (1 - y_hat)


def slope_without_second_term(z, y):
    y_hat, total, _ = parts(z, y)
    return -2 * y * y_hat * (1 - y_hat) / total


def slope_of_the_mean(z, y):
    return slope_split_by_label(z, y) / len(z)


def slope_lost_a_2(z, y):
    y_hat, total, f = parts(z, y)
    return (f - y) / total * y_hat * (1 - y_hat)


def slope_not_divided(z, y):
    y_hat, total, f = parts(z, y)
    return (f - 2 * y) * y_hat * (1 - y_hat)


def slope_per_item(z, y):
    y_hat, total, _ = parts(z, y)
    return -(2 * y - 2 * y_hat * y / (y_hat + y)) / total * y_hat * (1 - y_hat)


def slope_positives_only(z, y):
    return slope_split_by_label(z, y) * y


def slope_as_one_number(z, y):
    return slope_split_by_label(z, y).sum()


def slope_by_autograd(z, y):
    leaf = z.detach().clone()
    leaf.requires_grad = True
    y_hat = leaf.sigmoid()
    loss = 1 - 2 * (y_hat * y).sum() / (y_hat.sum() + y.sum())
    loss.backward()
    return leaf.grad


@pytest.mark.parametrize("right", [slope_in_a_loop, slope_split_by_label])
def test_slope_is_accepted_however_it_is_written(right):
    accepted(check.q4, right)


@pytest.mark.parametrize(
    "wrong, fragment",
    [
        (slope_of_F, "wrong sign"),
        (slope_of_F_over_y_hat, "Two things are left"),
        (slope_with_plus, "do not have the same sign"),
        (slope_over_y_hat, "go on to z"),
        (slope_without_second_term, "a second term"),
        (slope_of_the_mean, "there is no N in it"),
        (slope_lost_a_2, "the slope of 2 Σ ŷy"),
        (slope_not_divided, "the quotient rule divides"),
        (slope_per_item, "one for each item"),
        (slope_positives_only, "negatives are pushed as well"),
        (slope_as_one_number, "the shape is ()"),
        (slope_by_autograd, "no autograd here"),
    ],
)
def test_slope_wrong(wrong, fragment):
    rejected(check.q4, wrong, fragment)


def test_slope_hangs_on_its_spec():
    spec = check.q4.exercise.spec
    hangs_on_its_spec(check.q4, slope_split_by_label, lambda z, y: -spec(z, y))


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
    return next(((z, y) for z, y in batches(items=30, number=6) if not ok(reward, suspect, z, y)), None)


def search_positive_labels(reward, suspect):
    return next(((z, y) for z, y in batches(low=1, items=20, number=6) if not ok(reward, suspect, z, y)), None)


def search_always_background(reward, suspect):
    for z, y in batches():
        y[0] = 0
        if not ok(reward, suspect, z, y):
            return z, y


def search_verdict_turned(reward, suspect):
    return next(((z, y) for z, y in batches() if ok(reward, suspect, z, y)), None)


def search_float32(reward, suspect):
    return next(((z, y) for z, y in batches(dtype=torch.float32) if not ok(reward, suspect, z, y)), None)


def search_accuses_missing_classes(reward, suspect):
    for z, y in batches():
        if not ok(reward, suspect, z, y) or len(y.unique()) < 4:
            return z, y


def search_says_true(reward, suspect):
    return any(not ok(reward, suspect, z, y) for z, y in batches())


def search_swapped(reward, suspect):
    return next(((y, z) for z, y in batches() if not ok(reward, suspect, z, y)), None)


def search_gives_up_on_three(reward, suspect):
    return next(((z, y) for z, y in batches(number=3, items=2) if not ok(reward, suspect, z, y)), None)


def search_never_ends(reward, suspect):
    while True:
        pass


@pytest.mark.parametrize("right", [search_smaller_batches, search_by_the_closed_form, search_chosen_labels])
def test_search_is_accepted_however_it_is_written(right):
    accepted(check.q5, right)


def test_its_own_search_is_accepted_whatever_the_default_type():
    torch.set_default_dtype(torch.float32)
    accepted(check.q5, search.find_a_batch)


@pytest.mark.parametrize(
    "wrong, fragment",
    [
        (search_one_batch, "gives up after one batch"),
        (search_returns_in_the_loop, "gives up after one batch"),
        (search_new_generator_each_time, "gives up after one batch"),
        (search_first_row, "half a gradient passes"),
        (search_wide_tolerance, "half a gradient passes"),
        (search_large_batches, "which has every class in it"),
        (search_positive_labels, "which has every class in it"),
        (search_always_background, "only where no item has label 0"),
        (search_verdict_turned, "return the batch where `ok` is False"),
        (search_float32, "Look in float64"),
        (search_accuses_missing_classes, "on the batch that you return the suspect is right"),
        (search_says_true, "it returns a bool; expected the batch itself"),
        (search_swapped, "expected z (items, classes) and then y"),
        (search_gives_up_on_three, "gives up after 3 batches"),
        (lambda reward, suspect: None, "without ever calling"),
        (lambda reward, suspect: gradients.nothing, "AttributeError"),
        ("by_dan", "expected the function itself"),
    ],
)
def test_search_wrong(wrong, fragment):
    rejected(check.q5, wrong, fragment)


def test_a_search_that_never_ends_is_stopped(monkeypatch):
    monkeypatch.setattr(search, "SEARCH", replace(search.SEARCH, seconds=0.3))
    rejected(check.q5, search_never_ends, "stopped after 0.3 seconds")


def test_search_hangs_on_its_spec():
    hangs_on_its_spec(check.q5, search_smaller_batches, lambda reward, suspect, z, y: False)


def test_the_judge_of_batches_needs_no_autograd_and_tells_right_from_wrong():
    for reward, suspect, missed in search.SUSPECTS:
        with torch.no_grad():
            verdicts = [search.disproves(reward, suspect, z, y) for z, y in batches(20)]
        assert any(verdicts) == bool(missed)
    z, y = next(batches())
    assert search.disproves("gce", lambda z, y: z * float("nan"), z, y)


# The self-test


@pytest.mark.parametrize("question", QUESTIONS)
def test_questions_have_an_explanation_for_everything(question):
    if isinstance(question, Number):
        told = [question.told(number)[1] for number, _ in question.wrong]
        assert len(set(told)) == len(told) >= 3 and question.told(question.right) == (True, question.because)
        assert not any(question.told(number)[0] for number, _ in question.wrong)
    else:
        assert len(question.choices) >= 3 and len({choice.because for choice in question.choices}) >= 3


def test_the_number_asked_for_is_what_differences_say():
    """The threshold of soft F1 at F̃ = .6, found by moving one item of very many."""
    number = next(question for question in QUESTIONS if isinstance(question, Number))
    tp, total, step = 6e6, 2e7, 1e-3  # F̃ = 2 TP / (Σŷ + Σy)

    def mean_slope(rho):
        return rho * gain(1) + (1 - rho) * gain(0)

    def gain(y):
        return (2 * (tp + y * step) / (total + step) - 2 * tp / total) / step

    assert 2 * tp / total == pytest.approx(0.6)
    assert mean_slope(number.right - 0.01) < 0 < mean_slope(number.right + 0.01)


def test_it_raises_under_nbgrader(monkeypatch):
    raises_under_nbgrader(check.q4, slope_of_F, slope_in_a_loop, monkeypatch)
