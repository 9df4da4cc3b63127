"""The checks of lesson 03 on the answers that students give: wrong ones get their message, right ones are accepted."""

import math

import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score

from rmlib import RewardObjective
from rmlib.exercises.surrogates.exercises import (
    check,
    leave_one_out_inputs,
    leave_one_out_spec,
    loss_spec,
    variance,
    winners,
)
from rmlib.exercises.surrogates.quiz import QUESTIONS
from rmlib.exercises.surrogates.specifications import COUNTS, batch_f1_spec, smooth_ap_inputs, smooth_ap_spec
from rmlib.loss import sampling
from rmlib.loss.rewards import REWARDS
from rmlib.widgets.self_test import SelfTest
from tests.exercises.common import accepted, hangs_on_its_spec, helps, not_attempted, raises_under_nbgrader, rejected

NO_WORD = sampling.NO_WORD

# --- Exercise 1: the F1 of four batches -------------------------------------------------------------------------------


def f1s(mean=0.52, of_all=0.57, weights="positives and findings"):
    return {"mean of the batches": mean, "all items": of_all, "weights": weights}


def test_q1_spec_is_scikit_learns_f1():
    items = [([1] * (tp + fn) + [0] * (16 - tp - fn), [1] * tp + [0] * fn + [1] * fp) for tp, fp, fn in COUNTS]
    items = [(gold, said + [0] * (16 - len(said))) for gold, said in items]
    each = [f1_score(*batch) for batch in items[:3]]
    every = f1_score(sum((gold for gold, _ in items), []), sum((said for _, said in items), []))
    right = batch_f1_spec()
    assert math.isclose(right["mean of the batches"], sum(each) / 3) and math.isclose(right["all items"], every)
    weighed = sum((2 * tp + fp + fn) * f for (tp, fp, fn), f in zip(COUNTS[:3], each, strict=True))
    assert math.isclose(weighed / 14, every) and right["weights"] == "positives and findings"


@pytest.mark.parametrize(
    ("answer", "fragment"),
    [
        (f1s(mean=0.386), "0/0, not 0"),
        (f1s(mean=0.636), "0/0, not 1"),
        (f1s(0.571, 0.571), "this is the F1 of all items"),
        (f1s(0.571, 0.515), "this is the F1 of all items"),
        (f1s(of_all=0.515), "this is the mean of the batches"),
        (f1s(of_all=4 / 10), "counts twice"),
        (f1s(of_all=0.5), "precision"),
        (f1s(of_all=0.667), "recall"),
        (f1s(of_all=(0.5 + 2 / 3) / 2), "plain mean of precision and recall"),
        (f1s(0.906, 0.906), "accuracy"),
        (f1s(51.5, 57.1), "not in percent"),
        (f1s(weights="items"), "plain mean once more"),
        (f1s(weights="positives"), "recall is divided by"),
        (f1s(weights="TP + FP"), "expected 'items'"),
        (f1s(weights=[1, 11, 1]), "expected 'items'"),
        (f1s(mean="0.52"), "without quotation marks"),
        (f1s(mean="?"), "has no answer yet"),
        (f1s(of_all=0.2), "not the right number"),
        ([0.52, 0.57, "positives and findings"], "expected a dict"),
        (0.57, "expected a dict"),
    ],
)
def test_q1_wrong_answers(answer, fragment):
    rejected(check.q1, answer, fragment)


def test_q1_right_answers():
    accepted(check.q1, f1s())
    accepted(check.q1, f1s(0.515, 0.571))
    accepted(check.q1, f1s((1 + 6 / 11) / 3, torch.tensor(4 / 7)))
    not_attempted(check.q1, f1s("?", "?", "?"))
    not_attempted(check.q1, None)
    hangs_on_its_spec(check.q1, f1s(), lambda: f1s(of_all=0.62))
    hangs_on_its_spec(check.q1, f1s(), lambda: f1s(weights="items"))
    helps(check.q1)
    learned = {"counts": COUNTS}
    exec(check.q1.exercise.solution, learned)
    accepted(check.q1, learned["f1_by_hand"])


# --- Exercise 2: SmoothAP ---------------------------------------------------------------------------------------------


def by_rows(s, y, tau):
    precisions = []
    for i in torch.where(y == 1)[0]:
        above = ((s - s[i]) / tau).sigmoid()
        precisions.append((0.5 + above[y == 1].sum()) / (0.5 + above.sum()))  # σ(0) = 1/2 is in the sums
    return torch.stack(precisions).mean()


def by_matrices(s, y, tau):
    y = y.to(s)
    above = torch.special.expit((s - s.unsqueeze(1)) / tau).masked_fill(torch.eye(len(s), dtype=torch.bool), 0)
    return y @ ((1 + above @ y) / (1 + above.sum(1))) / y.sum()


def itself_counted(s, y, tau):
    above = torch.sigmoid((s[None, :] - s[:, None]) / tau)
    return ((1 + above[:, y == 1].sum(1)) / (1 + above.sum(1)))[y == 1].mean()


def itself_counted_below_only(s, y, tau):
    above = torch.sigmoid((s[None, :] - s[:, None]) / tau)
    return ((0.5 + above[:, y == 1].sum(1)) / (1 + above.sum(1)))[y == 1].mean()


def turned_round(s, y, tau):
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
    ("answer", "fragment"),
    [
        (itself_counted, "against itself, with"),
        (itself_counted_below_only, "against itself in the lower sum"),
        (turned_round, "turned round"),
        (tau_times, "multiplied by τ"),
        (without_tau, "takes no part"),
        (over_everybody, "over all items"),
        (divided_once, "precision of its own"),
        (without_ones, "begins at 1"),
        (hard, "hard >"),
        (one_for_each, "one number"),
        (added_up, "not divided by the number of positives"),
        (by_items, "no slope over the scores"),
        (as_a_float, "no slope over the scores"),
        (in_place, "cannot go backwards"),
        (constant_below, "wrong slope"),
        (own_sigmoid, "overflows"),
        (forgets_to_return, "`return` missing"),
        (0.722, "expected the function itself"),
    ],
)
def test_q2_wrong_answers(answer, fragment):
    rejected(check.q2, answer, fragment)


def q2_stub(s, y, tau):
    """SmoothAP."""
    # YOUR CODE HERE
    ...


def test_q2_right_answers(monkeypatch):
    accepted(check.q2, by_rows)
    accepted(check.q2, by_matrices)
    not_attempted(check.q2, q2_stub)
    for right in (by_rows, by_matrices, check.q2.exercise.solution):
        hangs_on_its_spec(check.q2, right, lambda s, y, tau: smooth_ap_spec(s, y, tau) + 0.01)
        hangs_on_its_spec(check.q2, right, lambda s, y, tau: smooth_ap_spec(s, 1 - y, tau) if (y == 0).any() else 1.0)
    helps(check.q2)
    raises_under_nbgrader(check.q2, turned_round, by_rows, monkeypatch)


@pytest.mark.parametrize("seed", range(12))
def test_q2_spec_is_the_papers_and_tends_to_average_precision(seed):
    s, y, tau = smooth_ap_inputs(seed)
    assert y.any() and (seed != 9 or y.all()) and (seed != 8 or y.sum() == 1)
    if seed != 10:  # the kit cuts log-odds off at ±87
        kits = 1 - RewardObjective(1.0, REWARDS["smooth_ap"].having(tau=tau))(s, y).reward
        assert abs(smooth_ap_spec(s, y, tau) - kits) < 1e-9
    assert abs(smooth_ap_spec(s, y, 1e-6) - average_precision_score(y, s)) < 1e-9


# --- Exercise 3: leave-one-out ----------------------------------------------------------------------------------------


def row_by_row(R):
    return torch.stack([R[k] - torch.cat([R[:k], R[k + 1 :]]).mean(0) for k in range(len(R))])


def sum_of_the_others(R):
    return R - (R.sum(dim=0, keepdim=True) - R) / (R.shape[0] - 1)


def for_five(R):
    return R - (R.sum(0) - R) / 4


def changes_R(R):
    R -= (R.sum(0) - R) / (len(R) - 1)
    return R


@pytest.mark.parametrize(
    ("answer", "fragment"),
    [
        (lambda R: R - R.mean(0), "in its own baseline"),
        (lambda R: R - R.mean(), "over everything"),
        (lambda R: R - (R.sum() - R) / (len(R) - 1), "sum is over everything"),
        (lambda R: R.numel() / (R.numel() - 1) * (R - R.mean(0)), "number of samples"),
        (lambda R: (R.sum(0) - R) / (len(R) - 1) - R, "wrong sign"),
        (lambda R: R - (R.sum(0) - R), "not divided"),
        (lambda R: R - (R.sum(0) - R) / len(R), "how many others"),
        (lambda R: (R - R.mean(0)) * (len(R) - 1) / len(R), "upside down"),
        (lambda R: (R.sum(0) - R) / (len(R) - 1), "this is the baseline"),
        (lambda R: (R - R.mean(0)) / R.std(0), "standard deviation"),
        (lambda R: R[0] - R[1:].mean(0), "the shape is"),
        (for_five, "right on"),
        (changes_R, "changes what it is given"),
        (lambda R: R - (R.sum(0) - R) / (K - 1), "name 'K' is not defined"),  # noqa: F821
    ],
)
def test_q3_wrong_answers(answer, fragment):
    rejected(check.q3, answer, fragment)


def q3_stub(R):
    # YOUR CODE HERE
    ...


def test_q3_right_answers():
    accepted(check.q3, row_by_row)
    accepted(check.q3, sum_of_the_others)
    not_attempted(check.q3, q3_stub)
    for right in (row_by_row, sum_of_the_others, check.q3.exercise.solution):
        hangs_on_its_spec(check.q3, right, lambda R: -leave_one_out_spec(R))
        hangs_on_its_spec(check.q3, right, lambda R: R - R.mean(0))
    helps(check.q3)


@pytest.mark.parametrize("seed", range(12))
def test_q3_spec_is_what_the_kit_has(seed):
    (R,) = leave_one_out_inputs(seed)
    assert torch.allclose(leave_one_out_spec(R), sampling.advantages(R, "leave_one_out"))


# --- Exercise 4: which baseline wins ----------------------------------------------------------------------------------

CASES = ((0.5, 2), (0.1, 8), (0.5, 8), (0.9, 8))


def words(text):
    """n for none, l for leave-one-out, ? for no answer, in the order of the cases."""
    return {
        case: {"n": "none", "l": "leave_one_out"}.get(letter, letter) for case, letter in zip(CASES, text, strict=True)
    }


@pytest.mark.parametrize(
    ("answer", "fragment"),
    [
        (words("llll"), "leave-one-out win everywhere"),
        (words("nnnn"), "none win everywhere"),
        (words("nlll"), "by K alone"),
        (words("llln"), "by p alone"),
        (words("lnnl"), "turned round"),
        (words("nnln"), "3 of 4 are right. Think again about p = 0.1"),
        (words("nlnn"), "seven others"),
        (words("n?ln"), "p = 0.1, K = 8 has no answer yet"),
        (words("nlln") | {(0.5, 8): "greedy"}, "your answer is 'greedy'"),
        ({(0.5, 2): "none"}, "expected a dict"),
        ("none", "expected a dict"),
    ],
)
def test_q4_wrong_answers(answer, fragment):
    rejected(check.q4, answer, fragment)


def test_q4_right_answers():
    accepted(check.q4, words("nlln"))
    accepted(check.q4, winners())
    not_attempted(check.q4, words("????"))
    hangs_on_its_spec(check.q4, words("nlln"), lambda: words("nlll"))
    hangs_on_its_spec(check.q4, words("nlln"), lambda: words("lnnl"))
    helps(check.q4)


def test_q4_spec_is_the_closed_form():
    for p, K in CASES:
        assert math.isclose(variance(p, K, "none"), p * (1 - p) ** 3 / K)
        # K = 2: the mean of R_1 - R_2 times d log pi is (R_1 - R_2)² / 2, which is 1/2 with probability 2p(1 - p)
    assert math.isclose(variance(0.3, 2, "leave_one_out"), 0.42 / 4 - 0.21**2)


# --- Exercise 5: three faults -----------------------------------------------------------------------------------------


def fixed(logits, drawn, labels, R, b):
    word = labels != NO_WORD
    log_p = logits[word].log_softmax(-1)
    log_pi = sum(log_p[i, drawn[:, word][:, i]] for i in range(len(log_p)))
    return ((b.item() - R) * log_pi).sum() / len(R)


def by_gather(logits, drawn, labels, R, b):
    with torch.no_grad():
        A = R - b
    log_p = logits.log_softmax(-1).expand(len(drawn), *logits.shape).gather(-1, drawn[..., None]).squeeze(-1)
    return -(A[:, None] * log_p * (labels != NO_WORD)).sum(1).mean()


def colleagues(logits, drawn, labels, R, b):
    log_p = logits.log_softmax(-1)[torch.arange(len(labels)), drawn]
    return ((R - b) * log_p.sum(-1)).mean()


def sign_only(logits, drawn, labels, R, b):
    return -colleagues(logits, drawn, labels, R, b)


def words_only(logits, drawn, labels, R, b):
    return -fixed(logits, drawn, labels, R, b)


def b_still_moves(logits, drawn, labels, R, b):
    log_p = logits.log_softmax(-1)[torch.arange(len(labels)), drawn] * (labels != NO_WORD)
    return -((R - b) * log_p.sum(-1)).mean()


def all_detached(logits, drawn, labels, R, b):
    return b_still_moves(logits, drawn, labels, R, b).detach()


def log_pi_detached(logits, drawn, labels, R, b):
    return b_still_moves(logits.detach(), drawn, labels, R, b)


def b_left_out(logits, drawn, labels, R, b):
    return b_still_moves(logits, drawn, labels, R, 0)


def own_mean(logits, drawn, labels, R, b):
    return b_still_moves(logits, drawn, labels, R, R.mean())


def added_over_samples(logits, drawn, labels, R, b):
    return len(R) * fixed(logits, drawn, labels, R, b)


def mean_over_words(logits, drawn, labels, R, b):
    return fixed(logits, drawn, labels, R, b) / (labels != NO_WORD).sum()


def mean_over_positions(logits, drawn, labels, R, b):
    return fixed(logits, drawn, labels, R, b) / len(labels)


def mean_over_everything(logits, drawn, labels, R, b):
    return sign_only(logits, drawn, labels, R, b) / len(labels)


def leaves_out_O(logits, drawn, labels, R, b):
    log_p = logits.log_softmax(-1)[torch.arange(len(labels)), drawn] * (drawn > 0)
    return -((R - b.detach()) * log_p.sum(-1)).mean()


def where_turned_round(logits, drawn, labels, R, b):
    log_p = logits.log_softmax(-1)[torch.arange(len(labels)), drawn]
    return -((R - b.detach()) * torch.where(labels != NO_WORD, 0.0, log_p).sum(-1)).mean()


def only_right_words(logits, drawn, labels, R, b):
    log_p = logits.log_softmax(-1)[torch.arange(len(labels)), drawn]
    return -((R - b.detach()) * (log_p * (drawn == labels)).sum(-1)).mean()


def logits_to_0(logits, drawn, labels, R, b):
    return sign_only(logits * (labels != NO_WORD)[:, None], drawn, labels, R, b.detach())


def of_the_right_tags(logits, drawn, labels, R, b):
    word = labels != NO_WORD
    return -((R - b.detach()) * logits.log_softmax(-1)[word, labels[word]].sum()).mean()


def log_of_softmax(logits, drawn, labels, R, b):
    log_p = logits.softmax(-1).log()[torch.arange(len(labels)), drawn]
    return -((R - b.detach()) * torch.where(labels == NO_WORD, 0.0, log_p).sum(-1)).mean()


@pytest.mark.parametrize(
    ("answer", "fragment"),
    [
        (colleagues, "what the colleague's loss gives"),
        (sign_only, "counts positions where there is no word"),
        (words_only, "makes good answers rarer"),
        (b_still_moves, "also moves b"),
        (all_detached, "no slope over the logits"),
        (log_pi_detached, "no slope over the logits"),
        (b_left_out, "the baseline is gone"),
        (own_mean, "in its own baseline"),
        (added_over_samples, "add up over the samples"),
        (mean_over_words, "you take a mean"),
        (mean_over_positions, "mean over all positions"),
        (mean_over_everything, "still in it"),
        (leaves_out_O, "a tag like any other"),
        (where_turned_round, "leave out the words"),
        (only_right_words, "drawn right"),
        (logits_to_0, "not a log-probability of 0"),
        (of_the_right_tags, "tags that were drawn"),
        (log_of_softmax, "inf"),
    ],
)
def test_q5_wrong_answers(answer, fragment):
    rejected(check.q5, answer, fragment)


def q5_stub(logits, drawn, labels, R, b):
    """The colleague's loss, without its three faults."""
    # YOUR CODE HERE
    ...


def test_q5_right_answers():
    accepted(check.q5, fixed)
    accepted(check.q5, by_gather)
    not_attempted(check.q5, q5_stub)
    for right in (fixed, by_gather, check.q5.exercise.solution):
        hangs_on_its_spec(check.q5, right, lambda *args: -loss_spec(*args))
        hangs_on_its_spec(check.q5, right, lambda *args: loss_spec(*args).detach() + 0 * args[0].sum())  # its slope
    helps(check.q5)


def test_q5_spec_descends_towards_the_expected_reward():
    """Over all labellings, each with its probability, its slope is that of −E[R], whatever b is."""
    logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    labels, every = torch.tensor([1, 2]), torch.cartesian_prod(torch.arange(3), torch.arange(3))
    R = (every == labels).double().mean(1)
    pi = logits.log_softmax(-1)[torch.arange(2), every].sum(1).exp().detach()
    each = [loss_spec(logits, every[k : k + 1], labels, R[k : k + 1], torch.tensor(0.4)) for k in range(9)]
    (found,) = torch.autograd.grad((pi * torch.stack(each)).sum(), logits)
    (exact,) = torch.autograd.grad(sampling.enumerated(logits, labels, "accuracy"), logits)
    assert torch.allclose(found, -exact)


# --- the self-test ----------------------------------------------------------------------------------------------------


def test_every_choice_of_the_self_test_is_explained():
    test = SelfTest(QUESTIONS)
    for number in (1, 3):
        for choice in QUESTIONS[number - 1].choices:
            assert choice.because in test.answer(number, choice.text) and test.outcomes[number - 1] is choice.right
    assert "Yes, 4/3" in test.answer(2, "1.33")
    for value, why in QUESTIONS[1].wrong:
        assert why in test.answer(2, value) and test.outcomes[1] is False


def test_the_self_test_says_what_the_kit_computes():
    """That the right choices are right."""
    for name in ("expected_accuracy", "soft_f1", "smooth_ap"):
        assert REWARDS[name].splits == next(c.right for c in QUESTIONS[0].choices if c.text == name)
    R = torch.rand(4, 50, generator=torch.Generator().manual_seed(0))
    factor = QUESTIONS[1].right
    assert torch.allclose(factor * sampling.advantages(R, "mean"), sampling.advantages(R, "leave_one_out"))
    assert 124 < 1 / (1 - 0.999**8) < 126  # steps until a right answer is drawn
