"""The checks on rewards one can train on, on answers that students give."""

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
from rmlib.exercises.surrogates.specifications import (
    COUNTS,
    batch_f1_spec,
    smooth_ap_inputs,
    smooth_ap_spec,
)
from rmlib.loss import sampling
from rmlib.loss.rewards import REWARDS
from tests.exercises.common import (
    accepted,
    depends_on_its_spec,
    rejected,
)

PADDING = sampling.PADDING

# --- Exercise 1: the F1 of four batches -----------------------------------------------------------


def f1s(mean=0.52, of_all=0.57, weights="positives and findings"):
    return {"mean of the batches": mean, "all items": of_all, "weights": weights}


def test_q1_spec_is_scikit_learns_f1():
    items = [
        ([1] * (tp + fn) + [0] * (16 - tp - fn), [1] * tp + [0] * fn + [1] * fp)
        for tp, fp, fn in COUNTS
    ]
    items = [(gold, said + [0] * (16 - len(said))) for gold, said in items]
    each = [f1_score(*batch) for batch in items[:3]]
    every = f1_score(sum((gold for gold, _ in items), []), sum((said for _, said in items), []))
    right = batch_f1_spec()
    assert math.isclose(right["mean of the batches"], sum(each) / 3) and math.isclose(
        right["all items"], every
    )
    weighed = sum((2 * tp + fp + fn) * f for (tp, fp, fn), f in zip(COUNTS[:3], each, strict=True))
    assert math.isclose(weighed / 14, every) and right["weights"] == "positives and findings"


@pytest.mark.parametrize(
    ("answer", "misconception"),
    [
        (f1s(mean=0.386), "undefined-as-0"),
        (f1s(mean=0.636), "undefined-as-1"),
        (f1s(0.571, 0.571), "all-items-for-mean"),
        (f1s(0.571, 0.515), "all-items-for-mean"),
        (f1s(of_all=0.515), "mean-for-all-items"),
        (f1s(of_all=4 / 10), "jaccard"),
        (f1s(of_all=0.5), "precision"),
        (f1s(of_all=0.667), "recall"),
        (f1s(of_all=(0.5 + 2 / 3) / 2), "arithmetic-mean"),
        (f1s(0.906, 0.906), "accuracy"),
        (f1s(51.5, 57.1), "percent"),
        (f1s(weights="items"), "weights-items"),
        (f1s(weights="positives"), "weights-positives"),
        (f1s(weights="TP + FP"), "wrong-form"),
        (f1s(weights=[1, 11, 1]), "wrong-form"),
        (f1s(mean="0.52"), "wrong-form"),
        (f1s(mean="?"), "incomplete"),
        (f1s(of_all=0.2), "wrong-value"),
        ([0.52, 0.57, "positives and findings"], "wrong-form"),
        (0.57, "wrong-form"),
    ],
)
def test_q1_wrong_answers(answer, misconception):
    rejected(check.q1, answer, misconception)


def test_q1_right_answers():
    accepted(check.q1, f1s())
    accepted(check.q1, f1s(0.515, 0.571))
    accepted(check.q1, f1s((1 + 6 / 11) / 3, torch.tensor(4 / 7)))
    depends_on_its_spec(check.q1, f1s(), lambda: f1s(of_all=0.62))
    depends_on_its_spec(check.q1, f1s(), lambda: f1s(weights="items"))
    learned = {"counts": COUNTS}
    exec(check.q1.exercise.solution, learned)
    accepted(check.q1, learned["f1_by_hand"])


# --- Exercise 2: SmoothAP -------------------------------------------------------------------------


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
def test_q2_wrong_answers(answer, misconception):
    rejected(check.q2, answer, misconception)


def test_q2_right_answers():
    accepted(check.q2, by_rows)
    accepted(check.q2, by_matrices)
    for right in (by_rows, by_matrices, check.q2.exercise.solution):
        depends_on_its_spec(check.q2, right, lambda s, y, tau: smooth_ap_spec(s, y, tau) + 0.01)
        depends_on_its_spec(
            check.q2,
            right,
            lambda s, y, tau: smooth_ap_spec(s, 1 - y, tau) if (y == 0).any() else 1.0,
        )


@pytest.mark.parametrize("seed", range(12))
def test_q2_spec_is_the_papers_and_tends_to_average_precision(seed):
    s, y, tau = smooth_ap_inputs(seed)
    assert y.any() and (seed != 9 or y.all()) and (seed != 8 or y.sum() == 1)
    if seed != 10:  # the kit cuts log-odds off at ±87
        kits = 1 - RewardObjective(1.0, REWARDS["smooth_ap"].with_parameters(tau=tau))(s, y).reward
        assert abs(smooth_ap_spec(s, y, tau) - kits) < 1e-9
    assert abs(smooth_ap_spec(s, y, 1e-6) - average_precision_score(y, s)) < 1e-9


# --- Exercise 3: leave-one-out --------------------------------------------------------------------


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
    ("answer", "misconception"),
    [
        (lambda R: R - R.mean(0), "own-reward-in-baseline"),
        (lambda R: R - R.mean(), "mean-over-everything"),
        (lambda R: R - (R.sum() - R) / (len(R) - 1), "sum-over-everything"),
        (lambda R: R.numel() / (R.numel() - 1) * (R - R.mean(0)), "counts-all-rewards"),
        (lambda R: (R.sum(0) - R) / (len(R) - 1) - R, "wrong-sign"),
        (lambda R: R - (R.sum(0) - R), "sum-of-the-others"),
        (lambda R: R - (R.sum(0) - R) / len(R), "divides-by-k"),
        (lambda R: (R - R.mean(0)) * (len(R) - 1) / len(R), "inverted-factor"),
        (lambda R: (R.sum(0) - R) / (len(R) - 1), "baseline-alone"),
        (lambda R: (R - R.mean(0)) / R.std(0), "group-normalized"),
        (lambda R: R[0] - R[1:].mean(0), "wrong-shape"),
        (for_five, "wrong-value"),
        (changes_R, "changes-its-arguments"),
        (lambda R: R - (R.sum(0) - R) / (K - 1), "raises"),  # noqa: F821
    ],
)
def test_q3_wrong_answers(answer, misconception):
    rejected(check.q3, answer, misconception)


def test_q3_right_answers():
    accepted(check.q3, row_by_row)
    accepted(check.q3, sum_of_the_others)
    for right in (row_by_row, sum_of_the_others, check.q3.exercise.solution):
        depends_on_its_spec(check.q3, right, lambda R: -leave_one_out_spec(R))
        depends_on_its_spec(check.q3, right, lambda R: R - R.mean(0))


@pytest.mark.parametrize("seed", range(12))
def test_q3_spec_is_what_the_kit_has(seed):
    (R,) = leave_one_out_inputs(seed)
    assert torch.allclose(leave_one_out_spec(R), sampling.advantages(R, "leave_one_out"))


# --- Exercise 4: which baseline wins --------------------------------------------------------------

CASES = ((0.5, 2), (0.1, 8), (0.5, 8), (0.9, 8))


def words(text):
    """n for none, l for leave-one-out, ? for no answer, in the order of the cases."""
    return {
        case: {"n": "none", "l": "leave_one_out"}.get(letter, letter)
        for case, letter in zip(CASES, text, strict=True)
    }


@pytest.mark.parametrize(
    ("answer", "misconception"),
    [
        (words("llll"), "always-leave-one-out"),
        (words("nnnn"), "always-none"),
        (words("nlll"), "by-k-alone"),
        (words("llln"), "by-p-alone"),
        (words("lnnl"), "all-reversed"),
        (words("nnln"), "wrong-at-p-0.1-k-8"),
        (words("nlnn"), "wrong-at-p-0.5-k-8"),
        (words("n?ln"), "incomplete"),
        (words("nlln") | {(0.5, 8): "greedy"}, "wrong-form"),
        ({(0.5, 2): "none"}, "wrong-form"),
        ("none", "wrong-form"),
    ],
)
def test_q4_wrong_answers(answer, misconception):
    rejected(check.q4, answer, misconception)


def test_q4_right_answers():
    accepted(check.q4, words("nlln"))
    accepted(check.q4, winners())
    depends_on_its_spec(check.q4, words("nlln"), lambda: words("nlll"))
    depends_on_its_spec(check.q4, words("nlln"), lambda: words("lnnl"))


def test_q4_spec_is_the_closed_form():
    for p, K in CASES:
        assert math.isclose(variance(p, K, "none"), p * (1 - p) ** 3 / K)
        # K = 2: the mean of R_1 - R_2 times d log pi is (R_1 - R_2)² / 2, which is 1/2 with
        # probability 2p(1 - p)
    assert math.isclose(variance(0.3, 2, "leave_one_out"), 0.42 / 4 - 0.21**2)


# --- Exercise 5: three faults ---------------------------------------------------------------------


def fixed(logits, drawn, labels, R, b):
    word = labels != PADDING
    log_p = logits[word].log_softmax(-1)
    log_pi = sum(log_p[i, drawn[:, word][:, i]] for i in range(len(log_p)))
    return ((b.item() - R) * log_pi).sum() / len(R)


def by_gather(logits, drawn, labels, R, b):
    with torch.no_grad():
        A = R - b
    log_p = (
        logits.log_softmax(-1)
        .expand(len(drawn), *logits.shape)
        .gather(-1, drawn[..., None])
        .squeeze(-1)
    )
    return -(A[:, None] * log_p * (labels != PADDING)).sum(1).mean()


def colleagues(logits, drawn, labels, R, b):
    log_p = logits.log_softmax(-1)[torch.arange(len(labels)), drawn]
    return ((R - b) * log_p.sum(-1)).mean()


def sign_only(logits, drawn, labels, R, b):
    return -colleagues(logits, drawn, labels, R, b)


def words_only(logits, drawn, labels, R, b):
    return -fixed(logits, drawn, labels, R, b)


def b_still_moves(logits, drawn, labels, R, b):
    log_p = logits.log_softmax(-1)[torch.arange(len(labels)), drawn] * (labels != PADDING)
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
    return fixed(logits, drawn, labels, R, b) / (labels != PADDING).sum()


def mean_over_positions(logits, drawn, labels, R, b):
    return fixed(logits, drawn, labels, R, b) / len(labels)


def mean_over_everything(logits, drawn, labels, R, b):
    return sign_only(logits, drawn, labels, R, b) / len(labels)


def leaves_out_O(logits, drawn, labels, R, b):
    log_p = logits.log_softmax(-1)[torch.arange(len(labels)), drawn] * (drawn > 0)
    return -((R - b.detach()) * log_p.sum(-1)).mean()


def where_reversed_order(logits, drawn, labels, R, b):
    log_p = logits.log_softmax(-1)[torch.arange(len(labels)), drawn]
    return -((R - b.detach()) * torch.where(labels != PADDING, 0.0, log_p).sum(-1)).mean()


def only_right_words(logits, drawn, labels, R, b):
    log_p = logits.log_softmax(-1)[torch.arange(len(labels)), drawn]
    return -((R - b.detach()) * (log_p * (drawn == labels)).sum(-1)).mean()


def logits_to_0(logits, drawn, labels, R, b):
    return sign_only(logits * (labels != PADDING)[:, None], drawn, labels, R, b.detach())


def of_the_right_tags(logits, drawn, labels, R, b):
    word = labels != PADDING
    return -((R - b.detach()) * logits.log_softmax(-1)[word, labels[word]].sum()).mean()


def log_of_softmax(logits, drawn, labels, R, b):
    log_p = logits.softmax(-1).log()[torch.arange(len(labels)), drawn]
    return -((R - b.detach()) * torch.where(labels == PADDING, 0.0, log_p).sum(-1)).mean()


@pytest.mark.parametrize(
    ("answer", "misconception"),
    [
        (colleagues, "unchanged"),
        (sign_only, "counts-padding"),
        (words_only, "wrong-sign"),
        (b_still_moves, "baseline-has-gradient"),
        (all_detached, "no-gradient"),
        (log_pi_detached, "no-gradient"),
        (b_left_out, "no-baseline"),
        (own_mean, "own-mean-as-baseline"),
        (added_over_samples, "sum-over-samples"),
        (mean_over_words, "mean-over-words"),
        (mean_over_positions, "mean-over-positions"),
        (mean_over_everything, "mean-and-padding"),
        (leaves_out_O, "drops-tag-0"),
        (where_reversed_order, "mask-inverted"),
        (only_right_words, "right-words-only"),
        (logits_to_0, "logits-set-to-0"),
        (of_the_right_tags, "log-pi-of-labels"),
        (log_of_softmax, "wrong-value"),
    ],
)
def test_q5_wrong_answers(answer, misconception):
    rejected(check.q5, answer, misconception)


def test_q5_right_answers():
    accepted(check.q5, fixed)
    accepted(check.q5, by_gather)
    for right in (fixed, by_gather, check.q5.exercise.solution):
        depends_on_its_spec(check.q5, right, lambda *args: -loss_spec(*args))
        depends_on_its_spec(
            check.q5, right, lambda *args: loss_spec(*args).detach() + 0 * args[0].sum()
        )


def test_q5_spec_descends_towards_the_expected_reward():
    """Over all labellings, weighted by their probability, its gradient is that of −E[R]."""
    logits = torch.randn(
        2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    ).requires_grad_()
    labels, every = torch.tensor([1, 2]), torch.cartesian_prod(torch.arange(3), torch.arange(3))
    R = (every == labels).double().mean(1)
    pi = logits.log_softmax(-1)[torch.arange(2), every].sum(1).exp().detach()
    each = [
        loss_spec(logits, every[k : k + 1], labels, R[k : k + 1], torch.tensor(0.4))
        for k in range(9)
    ]
    (found,) = torch.autograd.grad((pi * torch.stack(each)).sum(), logits)
    (exact,) = torch.autograd.grad(sampling.enumerated(logits, labels, "accuracy"), logits)
    assert torch.allclose(found, -exact)


# --- the self-test --------------------------------------------------------------------------------


def test_the_self_test_says_what_the_kit_computes():
    """That the right choices are right."""
    for name in ("expected_accuracy", "soft_f1", "smooth_ap"):
        assert REWARDS[name].splits == next(c.right for c in QUESTIONS[0].choices if c.text == name)
    R = torch.rand(4, 50, generator=torch.Generator().manual_seed(0))
    factor = QUESTIONS[1].right
    assert torch.allclose(
        factor * sampling.advantages(R, "mean"), sampling.advantages(R, "leave_one_out")
    )
    assert 124 < 1 / (1 - 0.999**8) < 126  # steps until a right answer is drawn
