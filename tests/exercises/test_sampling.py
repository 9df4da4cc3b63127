"""The checks on rewards that one can only sample, on answers that students give."""

import itertools
import math

import pytest
import torch

from rmlib.exercises.framework.exercise import judge
from rmlib.exercises.sampling.estimator import (
    expected_reward_inputs,
    expected_reward_spec,
    leave_one_out_inputs,
    leave_one_out_spec,
    loss_inputs,
    loss_spec,
    mean_and_variance_inputs,
    mean_and_variance_spec,
)
from rmlib.exercises.sampling.exercises import check
from rmlib.exercises.sampling.quiz import QUESTIONS
from rmlib.exercises.sampling.tiny_tagger import Tagger, encoded
from rmlib.exercises.sampling.training import GOLD, my_metric, sampled_step
from rmlib.loss import sampled_metrics, sampling
from tests.exercises.common import (
    accepted,
    depends_on_its_spec,
    rejected,
)

PADDING = sampling.PADDING

# --- Exercise 1: the expected reward --------------------------------------------------------------


def all_labellings(logits, labels):
    return list(itertools.product(range(logits.shape[1]), repeat=len(labels)))


def weighted(weight):
    def answer(logits, labels, reward):
        return sum(
            weight(logits, tags) * reward(torch.tensor(tags), labels)
            for tags in all_labellings(logits, labels)
        )

    return answer


def at_once(logits, labels, reward):
    every = torch.cartesian_prod(*[torch.arange(logits.shape[1])] * len(labels))
    pi = logits.log_softmax(-1)[torch.arange(len(labels)), every].sum(1).exp()
    return (pi * torch.stack([reward(tags, labels) for tags in every])).sum()


def by_math_prod(logits, labels, reward):
    p = torch.softmax(logits, dim=1)
    return sum(
        math.prod(p[i][t] for i, t in enumerate(tags)) * reward(torch.tensor(tags), labels)
        for tags in all_labellings(logits, labels)
    )


def by_drawing(logits, labels, reward, K=100):
    return torch.stack([reward(tags, labels) for tags in sampling.draw(logits, K)]).mean()


def detached(logits, labels, reward):
    return at_once(logits, labels, reward).item()


def half_detached(logits, labels, reward):
    p = torch.cat([logits[:1].softmax(-1).detach(), logits[1:].softmax(-1)])
    return at_once(p.log(), labels, reward)


@pytest.mark.parametrize(
    ("answer", "misconception"),
    [
        (weighted(lambda z, tags: 1 / z.shape[1] ** len(tags)), "unweighted"),
        (weighted(lambda z, tags: 1), "rewards-added-up"),
        (
            lambda z, y, reward: at_once(z, y, reward) / z.shape[1] ** len(y),
            "mean-over-labellings",
        ),
        (
            lambda z, y, reward: sum(
                z.softmax(1)[range(len(y)), tags].prod() * reward(tags, y)
                for tags in all_labellings(z, y)
            ),
            "raises",
        ),
        (by_drawing, "raises"),
        (
            weighted(lambda z, tags: z.softmax(1)[range(len(tags)), tags].mean()),
            "mean-of-word-probabilities",
        ),
        (
            weighted(lambda z, tags: sum(z.softmax(1)[i, t] for i, t in enumerate(tags))),
            "sum-of-word-probabilities",
        ),
        (
            weighted(lambda z, tags: z.softmax(1)[range(len(tags)), tags].log().sum()),
            "log-probability",
        ),
        (
            weighted(lambda z, tags: z.softmax(0)[range(len(tags)), tags].prod()),
            "softmax-over-words",
        ),
        (weighted(lambda z, tags: z[range(len(tags)), tags].prod()), "logits-as-probabilities"),
        (
            lambda logits, labels, reward: reward(logits.max(1).indices, labels),
            "most-probable-only",
        ),
        (lambda logits, labels, reward: at_once(logits, labels, reward).detach(), "no-gradient"),
        (detached, "no-gradient"),
        (half_detached, "wrong-gradient"),
        (lambda logits, labels, reward: None, "returns-none"),
    ],
)
def test_q1_wrong_answers(answer, misconception):
    rejected(check.q1, answer, misconception)


def test_q1_says_what_a_reward_takes():
    def of_tuples(z, y, reward):
        return sum(reward(tags, y) for tags in all_labellings(z, y))

    assert "use torch.tensor(tags)" in check.q1(of_tuples).message
    for K in (8, 100):
        said = check.q1(lambda *args, K=K: by_drawing(*args, K)).message
        assert "list every labelling once, don't draw them" in said

    def all_rows(z, y, reward):
        return reward(torch.cartesian_prod(*[torch.arange(z.shape[1])] * len(y)), y)

    assert "expects one labelling" in check.q1(all_rows).message


def test_q1_right_answers():
    for right in (at_once, by_math_prod, check.q1.exercise.solution):
        accepted(check.q1, right)
        depends_on_its_spec(check.q1, right, lambda *args: 2 * expected_reward_spec(*args))


@pytest.mark.parametrize("seed", range(6))
def test_q1_spec_is_what_the_kit_has(seed):
    logits, labels, reward = expected_reward_inputs(seed)

    def of_all(drawn, labels):
        return torch.stack([reward(tags, labels[0]) for tags in drawn[:, 0]])

    kit = sampling.enumerated(logits[None], labels[None], of_all)
    assert torch.allclose(expected_reward_spec(logits, labels, reward), kit)


# --- Exercise 2: leave-one-out --------------------------------------------------------------------


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
        (lambda R: (R - R.mean(0)) / (R.std(0) + 1e-4), "group-normalized-1e-4"),
        (lambda R: R[0] - R[1:].mean(0), "wrong-shape"),
        (for_five, "wrong-value"),
        (changes_R, "changes-its-arguments"),
        (lambda R: R - (R.sum(0) - R) / (K - 1), "raises"),  # noqa: F821
    ],
)
def test_q2_wrong_answers(answer, misconception):
    rejected(check.q2, answer, misconception)


def test_q2_right_answers():
    accepted(check.q2, row_by_row)
    accepted(check.q2, sum_of_the_others)
    for right in (row_by_row, sum_of_the_others, check.q2.exercise.solution):
        depends_on_its_spec(check.q2, right, lambda R: -leave_one_out_spec(R))
        depends_on_its_spec(check.q2, right, lambda R: R - R.mean(0))


@pytest.mark.parametrize("seed", range(12))
def test_q2_spec_is_what_the_kit_has(seed):
    (R,) = leave_one_out_inputs(seed)
    assert torch.allclose(leave_one_out_spec(R), sampling.advantages(R, "leave_one_out"))


# --- Exercise 3: mean and variance ----------------------------------------------------------------


def moments(advantage, p, K, weight=None, finish=lambda mean, square: (mean, square - mean**2)):
    R = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * K).reshape(-1, K)
    chance = torch.where(R == 1, p, 1 - p).prod(1) if weight is None else weight(len(R))
    each = torch.stack([(advantage(row) * (row - p)).mean() for row in R])
    return finish((chance * each).sum(), (chance * each**2).sum())


def in_plain_python(advantage, p, K):
    results = []
    for R in itertools.product([0.0, 1.0], repeat=K):
        A = advantage(torch.tensor(R))
        chance = p ** sum(R) * (1 - p) ** (K - sum(R))
        results.append((chance, sum(float(A[k]) * (R[k] - p) for k in range(K)) / K))
    mean = sum(chance * value for chance, value in results)
    return mean, sum(chance * (value - mean) ** 2 for chance, value in results)


def every(advantage, p, K):
    R = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * K).reshape(-1, K)
    return torch.stack([(advantage(row) * (row - p)).mean() for row in R])


def per_count(advantage, p, K, ways=lambda K, right: 1):
    mean = square = 0.0
    for right in range(K + 1):
        R = (torch.arange(K) < right).double()
        chance = ways(K, right) * p**right * (1 - p) ** (K - right)
        estimate = float((advantage(R) * (R - p)).mean())
        mean, square = mean + chance * estimate, square + chance * estimate**2
    return mean, square - mean**2


def per_count_with_comb(advantage, p, K):
    return per_count(advantage, p, K, math.comb)


def added_up(advantage, p, K):
    mean, variance = moments(advantage, p, K)
    return K * mean, K * K * variance


@pytest.mark.parametrize(
    ("answer", "misconception"),
    [
        (lambda a, p, K: moments(a, p, K, lambda count: 1 / count), "unweighted"),
        (lambda a, p, K: (every(a, p, K).mean(), every(a, p, K).var()), "unweighted-var"),
        (
            lambda a, p, K: (moments(a, p, K)[0], every(a, p, K).var()),
            "variance-unweighted",
        ),
        (
            lambda a, p, K: (moments(a, p, K)[0], every(a, p, K).numpy().var()),
            "variance-unweighted-by-n",
        ),
        (per_count, "one-outcome-per-count"),
        (lambda a, p, K: moments(a, p, K)[::-1], "swapped"),
        (lambda a, p, K: moments(a, p, K, finish=lambda m, s: (m, s)), "mean-square"),
        (
            lambda a, p, K: moments(a, p, K, finish=lambda m, s: (m, (s - m**2) ** 0.5)),
            "standard-deviation",
        ),
        (added_up, "sum-over-samples"),
        (lambda a, p, K: moments(lambda R: a(R) / (R - p), p, K), "advantage-alone"),
        (
            lambda a, p, K: moments(lambda R: a(R) / (R - p) * (1 - p), p, K),
            "always-1-minus-p",
        ),
        (lambda a, p, K: moments(a, p, K)[0], "wrong-number-of-values"),
        (lambda a, p, K: moments(a, p, K, finish=lambda m, s: (m, m**2 - s)), "wrong-sign"),
    ],
)
def test_q3_wrong_answers(answer, misconception):
    rejected(check.q3, answer, misconception)


def test_q3_right_answers():
    for right in (moments, in_plain_python, per_count_with_comb, check.q3.exercise.solution):
        accepted(check.q3, lambda advantage, p, K, right=right: right(advantage, p, K))
        depends_on_its_spec(
            check.q3,
            lambda advantage, p, K, right=right: right(advantage, p, K),
            lambda *args: mean_and_variance_spec(*args)[::-1],
        )


def test_q3_spec_is_the_closed_form():
    for p, K in ((0.5, 2), (0.1, 8), (0.9, 8)):
        mean, variance = mean_and_variance_spec(lambda R: R, p, K)
        assert math.isclose(mean, p * (1 - p))
        assert math.isclose(variance, p * (1 - p) ** 3 / K)
    # K = 2: the mean of A_k d log pi is (R_1 - R_2)² / 2, which is 1/2 with probability 2p(1 - p)
    mean, variance = mean_and_variance_spec(leave_one_out_spec, 0.3, 2)
    assert math.isclose(mean, 0.21)
    assert math.isclose(variance, 0.42 / 4 - 0.21**2)


def test_what_the_lesson_says_of_baselines():
    """Mean shrinks to (K - 1)/K; leave-one-out is not always better than none."""
    for K in (2, 4, 8):
        mean, _ = mean_and_variance_spec(lambda R: R - R.mean(), 0.3, K)
        assert math.isclose(mean, 0.21 * (K - 1) / K)
    of = {}
    for p, K in ((0.3, 2), (0.3, 8), (0.9, 8)):
        for name, advantage in (("none", lambda R: R), ("left out", leave_one_out_spec)):
            of[p, K, name] = round(mean_and_variance_spec(advantage, p, K)[1], 4)
    assert of[0.3, 2, "none"] == 0.0514 and of[0.3, 2, "left out"] == 0.0609
    assert of[0.3, 8, "none"] == 0.0129 and of[0.3, 8, "left out"] == 0.0058
    assert of[0.9, 8, "none"] == 0.0001 and of[0.9, 8, "left out"] == 0.0075


def test_q3_inputs_are_of_all_kinds():
    inputs = [mean_and_variance_inputs(seed) for seed in range(12)]
    assert {K for _, _, K in inputs} == {1, 2, 3, 4, 5}
    assert len({advantage.__name__ for advantage, _, _ in inputs}) == 3


# --- Exercise 4: the score-function loss ----------------------------------------------------------


def left_out(R):
    return (len(R) * R - R.sum()) / (len(R) - 1)


def fixed(logits, drawn, labels, R):
    word = labels != PADDING
    log_p = logits[word].log_softmax(-1)
    log_pi = sum(log_p[i, drawn[:, word][:, i]] for i in range(len(log_p)))
    return -(left_out(R).detach() * log_pi).sum() / len(R)


def by_gather(logits, drawn, labels, R):
    with torch.no_grad():
        A = left_out(R)
    log_p = logits.log_softmax(-1).expand(len(drawn), *logits.shape)
    log_p = log_p.gather(-1, drawn[..., None]).squeeze(-1)
    return -(A[:, None] * log_p * (labels != PADDING)).sum(1).mean()


def by_cross_entropy(logits, drawn, labels, R):
    targets = torch.where(labels == PADDING, PADDING, drawn)
    nll = torch.nn.functional.cross_entropy(
        logits.expand(len(drawn), *logits.shape).transpose(1, 2), targets, reduction="none"
    )
    return (left_out(R).detach() * nll.sum(1)).mean()


def plain(logits, drawn, labels, R, A=left_out, keep=None, sign=-1):
    log_p = logits.log_softmax(-1)[torch.arange(len(labels)), drawn]
    keep = labels != PADDING if keep is None else keep
    return sign * (A(R).detach() * torch.where(keep, log_p, 0.0).sum(-1)).mean()


def everything(labels):
    return torch.ones_like(labels, dtype=torch.bool)


def without_detach(logits, drawn, labels, R):
    log_p = logits.log_softmax(-1)[torch.arange(len(labels)), drawn] * (labels != PADDING)
    return -(left_out(R) * log_p.sum(-1)).mean()


def mean_over_words(logits, drawn, labels, R):
    return fixed(logits, drawn, labels, R) / (labels != PADDING).sum()


def mean_over_everything(logits, drawn, labels, R):
    return plain(logits, drawn, labels, R, keep=everything(labels)) / len(labels)


def logits_to_0(logits, drawn, labels, R):
    """Right: what is the same for every labelling cancels, because the advantages sum to 0."""
    word = (labels != PADDING)[:, None]
    return plain(logits * word, drawn, labels, R, keep=everything(labels))


def of_probabilities(logits, drawn, labels, R, together):
    word = labels != PADDING
    p = torch.stack([logits.softmax(-1)[range(len(labels)), row] for row in drawn])
    return -(left_out(R).detach() * together(p[:, word], dim=1)).mean()


def raw_logits(logits, drawn, labels, R):
    """Right: the log-sum-exp of a word is the same for every labelling and cancels, too."""
    scores = logits[torch.arange(len(labels)), drawn] * (labels != PADDING)
    return -(left_out(R).detach() * scores.sum(-1)).mean()


def of_the_right_tags(logits, drawn, labels, R):
    word = labels != PADDING
    return -(left_out(R) * logits.log_softmax(-1)[word, labels[word]].sum()).mean()


def log_of_softmax(logits, drawn, labels, R):
    log_p = logits.softmax(-1).log()[torch.arange(len(labels)), drawn]
    return -(left_out(R).detach() * torch.where(labels == PADDING, 0.0, log_p).sum(-1)).mean()


@pytest.mark.parametrize(
    ("answer", "misconception"),
    [
        (lambda z, d, y, R: plain(z, d, y, R, keep=everything(y), sign=1), "sign-and-padding"),
        (lambda z, d, y, R: plain(z, d, y, R, keep=everything(y)), "counts-padding"),
        (lambda z, d, y, R: -fixed(z, d, y, R), "wrong-sign"),
        (without_detach, "advantage-has-gradient"),
        (lambda z, d, y, R: fixed(z, d, y, R).detach(), "no-gradient"),
        (lambda z, d, y, R: fixed(z.detach(), d, y, R), "no-gradient"),
        (lambda z, d, y, R: plain(z, d, y, R, A=lambda R: R), "no-baseline"),
        (lambda z, d, y, R: plain(z, d, y, R, A=lambda R: R - R.mean()), "own-mean-as-baseline"),
        (
            lambda z, d, y, R: plain(z, d, y, R, A=lambda R: (R - R.mean()) / R.std()),
            "group-normalized",
        ),
        (
            lambda z, d, y, R: plain(z, d, y, R, A=lambda R: (R - R.mean()) / (R.std() + 1e-4)),
            "group-normalized-1e-4",
        ),
        (lambda z, d, y, R: of_probabilities(z, d, y, R, torch.prod), "probability-not-log"),
        (lambda z, d, y, R: of_probabilities(z, d, y, R, torch.sum), "probabilities-added-up"),
        (lambda z, d, y, R: len(R) * fixed(z, d, y, R), "sum-over-samples"),
        (mean_over_words, "mean-over-words"),
        (lambda z, d, y, R: fixed(z, d, y, R) / len(y), "mean-over-positions"),
        (mean_over_everything, "mean-and-padding"),
        (lambda z, d, y, R: plain(z, d, y, R, keep=d > 0), "drops-tag-0"),
        (lambda z, d, y, R: plain(z, d, y, R, keep=y == PADDING), "mask-inverted"),
        (lambda z, d, y, R: plain(z, d, y, R, keep=d == y), "right-words-only"),
        (of_the_right_tags, "log-pi-of-labels"),
        (log_of_softmax, "nan"),
    ],
)
def test_q4_wrong_answers(answer, misconception):
    rejected(check.q4, answer, misconception)


def test_q4_right_answers():
    rights = (fixed, by_gather, by_cross_entropy, logits_to_0, raw_logits)
    for right in (*rights, check.q4.exercise.solution):
        assert judge(check.q4.exercise, right).outcome == "correct"
        depends_on_its_spec(check.q4, right, lambda *args: -loss_spec(*args))
        depends_on_its_spec(
            check.q4, right, lambda *args: loss_spec(*args).detach() + 0 * args[0].sum()
        )


def test_q4_the_symptoms_that_the_messages_name():
    """A flipped sign lowers the reward; counted padding changes the logits there."""
    labels = torch.tensor([1, 2, 0, PADDING])
    word = labels != PADDING

    def trained(loss):
        theta = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
        torch.manual_seed(0)
        for _ in range(300):
            drawn = sampling.draw(theta, 8)
            R = (drawn == labels)[:, word].double().mean(1)
            (gradient,) = torch.autograd.grad(loss(theta, drawn, labels, R), theta)
            theta = (theta - 0.3 * gradient).detach().requires_grad_()
        theta = theta.detach()
        return theta.softmax(-1)[word, labels[word]].mean(), theta[~word].abs().max()

    reward, padding = trained(fixed)
    assert reward > 0.9 and padding == 0
    assert trained(lambda *args: -fixed(*args))[0] < 0.05
    assert trained(lambda z, d, y, R: plain(z, d, y, R, keep=everything(y)))[1] > 0.1


@pytest.mark.parametrize("seed", range(8))
def test_q4_the_gradient_is_that_of_the_kit(seed):
    """The same labellings and rewards, one sentence: `sampling.estimated` up to the sign."""
    logits, _, labels, _ = loss_inputs(seed)
    logits.requires_grad_()

    def share(drawn, labels):
        return (drawn == labels).double().sum((1, 2)) / (labels != PADDING).sum()

    torch.manual_seed(seed)
    kit = sampling.estimated(logits[None], labels[None], 0, share)
    torch.manual_seed(seed)
    drawn = sampling.draw(logits, 8)
    own = loss_spec(logits, drawn, labels, share(drawn[:, None], labels[None]))
    (of_kit,), (of_own,) = torch.autograd.grad(kit, logits), torch.autograd.grad(own, logits)
    assert torch.allclose(of_own, -of_kit, atol=1e-12)


# --- Exercise 5: a metric of one's own ------------------------------------------------------------


def faultless(drawn, labels):
    return ((drawn == labels) | (labels == PADDING)).all(-1).double()


def right_words(drawn, labels):
    word = labels != PADDING
    return (drawn[:, word] == labels[word]).double().mean(1)


def with_padding(drawn, labels):
    return (drawn == labels.clamp(min=0)).double().mean(1)


def reversed_reward(drawn, labels):
    return -right_words(drawn, labels)


def ranked(drawn, labels):
    R = right_words(drawn, labels)
    return R - R.mean()


def undefined(drawn, labels):
    word = labels != PADDING
    right = ((drawn == labels) & (labels > 0))[:, word].sum(1)
    return right / ((drawn > 0)[:, word].sum(1))


def changes_labels(drawn, labels):
    labels[labels == PADDING] = 0
    return faultless(drawn, labels)


@pytest.mark.parametrize(
    ("answer", "misconception"),
    [
        (with_padding, "counts-padding"),
        (lambda d, y: (d == y).all(-1).double(), "padding-never-right"),
        (reversed_reward, "right-is-not-best"),
        (lambda d, y: (d[:, y != PADDING] > 0).double().sum(1), "right-is-not-best"),
        (ranked, "mixes-labellings"),
        (undefined, "not-finite"),
        (changes_labels, "changes-its-arguments"),
        (lambda d, y: torch.ones(len(d)), "constant"),
        (lambda d, y: ((d == y) | (y == PADDING)).all(-1), "not-floating"),
        (lambda d, y: ((d == y) & (y != PADDING)).sum(-1), "not-floating"),
        (lambda d, y: right_words(d, y).mean(), "wrong-shape"),
        (lambda d, y: right_words(d, y)[:, None], "wrong-shape"),
        (lambda d, y: right_words(d, y).tolist(), "wrong-type"),
        (lambda d, y: None, "returns-none"),
        (lambda d, y: nothing(d), "raises"),  # noqa: F821
        (3.0, "not-a-function"),
    ],
)
def test_q5_wrong_answers(answer, misconception):
    rejected(check.q5, answer, misconception)


def test_q5_right_answers():
    def without_o(drawn, labels):  # right tags of names only: nothing beats the right labelling
        return ((drawn == labels) & (labels > 0)).sum(-1).float()

    for right in (
        faultless,
        right_words,
        my_metric,
        without_o,
        lambda d, y: faultless(d, y) * 3 - 1,
    ):
        accepted(check.q5, right)


def test_q5_the_solution_is_entity_f1():
    """By the kit's counts, which are held against seqeval; without any name it is 1."""
    random = torch.Generator().manual_seed(0)
    for row in GOLD:
        labels = torch.tensor(row)
        drawn = torch.randint(3, (40, len(row)), generator=random)
        counts = sampled_metrics.entity_f1_counts(drawn[:, None], labels[None])[:, 0].double()
        expected = torch.where(counts[:, 1] > 0, sampled_metrics.share(counts), 1.0)
        assert torch.allclose(my_metric(drawn, labels).double(), expected, atol=1e-6)


# --- Exercise 6: one training step ----------------------------------------------------------------


def a_step(  # noqa: PLR0913
    loss=fixed, draw=sampling.draw, zero="before", step=True, result=None, skip=0, K=8, total="mean"
):
    """A step that does one thing in another way."""

    def answer(tagger, optimizer, ids, labels, metric, K=K):
        logits, losses, rewards = tagger(ids), [], []
        for i in range(skip, len(ids)):
            drawn = draw(logits[i], K)
            R = metric(drawn, labels[i])
            losses.append(loss(logits[i], drawn, labels[i], R))
            rewards.append(R.mean().item())
        mean = sum(losses) / len(losses)
        if zero == "before":
            optimizer.zero_grad()
        {"mean": mean, "sum": sum(losses), "last": losses[-1], "minus": -mean}[total].backward()
        if zero == "between":
            optimizer.zero_grad()
        if step:
            optimizer.step()
        if zero == "after":
            optimizer.zero_grad()
        numbers = mean.item(), sum(rewards) / len(rewards)
        return result(*numbers, losses) if result else numbers

    return answer


def all_at_once(tagger, optimizer, ids, labels, metric, K=8):
    drawn = sampling.draw(tagger(ids), K)
    return 0.0, metric(drawn, labels).mean()


def one_draw_for_all(tagger, optimizer, ids, labels, metric, K=8):
    """Right: drawn at once, in another order, without the padding."""
    logits = tagger(ids)
    drawn = sampling.draw(logits, K)
    losses, rewards = [], []
    for i in reversed(range(len(ids))):
        word = labels[i] != PADDING
        R = metric(drawn[:, i, word], labels[i, word])
        losses.append(fixed(logits[i, word], drawn[:, i, word], labels[i, word], R))
        rewards.append(R)
    optimizer.zero_grad()
    (sum(losses) / len(losses)).backward()
    optimizer.step()
    return (sum(losses) / len(losses)).detach(), torch.cat(rewards).mean()


def step_per_sentence(tagger, optimizer, ids, labels, metric, K=8):
    losses, rewards = [], []
    for words, y in zip(ids, labels, strict=True):
        logits = tagger(words)
        drawn = sampling.draw(logits, K)
        R = metric(drawn, y)
        loss = fixed(logits, drawn, y, R)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        rewards.append(R.mean().item())
    return sum(losses) / len(losses), sum(rewards) / len(rewards)


def clamped_labels(tagger, optimizer, ids, labels, metric, K=8):
    return a_step()(tagger, optimizer, ids, labels.clamp(min=0), metric, K)


def always_8(tagger, optimizer, ids, labels, metric, K=8):
    return a_step(draw=lambda z, K: sampling.draw(z, 8))(tagger, optimizer, ids, labels, metric)


def other_sentence(tagger, optimizer, ids, labels, metric, K=8):
    """Draws from the first sentence's logits for all of them."""
    first = tagger(ids)[0].detach()
    draw = lambda z, K: sampling.draw(first, K)  # noqa: E731
    return a_step(draw=draw)(tagger, optimizer, ids, labels, metric, K)


@pytest.mark.parametrize(
    ("answer", "misconception"),
    [
        (a_step(zero="never"), "gradients-accumulate"),
        (a_step(zero="between"), "no-step"),
        (a_step(step=False), "no-step"),
        (a_step(loss=lambda *args: -fixed(*args)), "reward-falls"),
        (a_step(total="minus"), "reward-falls"),
        (a_step(total="sum"), "sum-of-losses"),
        (a_step(total="last"), "one-sentence-only"),
        (step_per_sentence, "step-per-sentence"),
        (always_8, "fixed-k"),
        (a_step(K=4), "fixed-k"),
        (a_step(draw=lambda z, K: z.argmax(-1).expand(K, -1)), "not-drawn"),
        (
            a_step(draw=lambda z, K: torch.randint(3, (1, len(z))).expand(K, -1)),
            "not-drawn",
        ),
        (a_step(draw=lambda z, K: torch.randint(3, (K, len(z)))), "not-from-the-model"),
        (other_sentence, "not-from-the-model"),
        (a_step(skip=1), "sentences-missing"),
        (a_step(result=lambda loss, R, losses: None), "returns-none"),
        (a_step(result=lambda loss, R, losses: loss), "wrong-form"),
        (a_step(result=lambda loss, R, losses: (losses[0], R)), "not-a-float"),
        (a_step(result=lambda loss, R, losses: (R, loss)), "wrong-reward"),
        (a_step(result=lambda loss, R, losses: (loss, loss)), "wrong-reward"),
        (a_step(result=lambda loss, R, losses: (-loss, R)), "returns-minus-loss"),
        (a_step(result=lambda loss, R, losses: (3 * loss, R)), "returns-sum"),
        (a_step(result=lambda loss, R, losses: (losses[-1].item(), R)), "returns-one-loss"),
        (a_step(result=lambda loss, R, losses: (R, R)), "wrong-loss"),
        (a_step(loss=lambda *args: fixed(*args) / 1000), "wrong-step"),
        (a_step(loss=lambda z, d, y, R: fixed(z, sampling.draw(z, len(d)), y, R)), "wrong-step"),
        (clamped_labels, "wrong-labels"),
        (all_at_once, "wrong-arguments-of-metric"),
        (lambda *args: 1 / 0, "raises"),
        (3.0, "not-a-function"),
    ],
)
def test_q6_wrong_answers(answer, misconception):
    rejected(check.q6, answer, misconception)


def test_q6_right_answers():
    for right in (a_step(), a_step(zero="after"), one_draw_for_all, sampled_step):
        accepted(check.q6, right)


def test_q6_leaves_the_readers_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    accepted(check.q6, sampled_step)
    assert torch.equal(torch.rand(3), expected)


# --- Exercise 7: both parts together --------------------------------------------------------------


def one_word(start=(0.0, -7.0), of=1, loss=lambda w, ce, L_r: w * ce + L_r, lr=0.5, share=None):
    """A training of one word that does one thing in another way."""

    def answer(weight, steps=200, K=8):
        z = torch.tensor([list(start)], requires_grad=True)
        y, agree = torch.tensor([1]), 0
        for _ in range(steps):
            drawn = sampling.draw(z, K)
            R = (drawn == y).double().squeeze(1)
            agree += (len(R.unique()) == 1) if share is None else bool(share(R))
            ce = -z.log_softmax(-1)[0, 1]
            (g,) = torch.autograd.grad(loss(weight, ce, fixed(z, drawn, y, R)), z)
            z = (z - lr * g).detach().requires_grad_()
        return z.softmax(-1)[0, of].item(), agree / steps

    return answer


def without_zero_grad(weight, steps=200, K=8):
    z = torch.tensor([[0.0, -7.0]], requires_grad=True)
    y, agree = torch.tensor([1]), 0
    optimizer = torch.optim.SGD([z], lr=0.5)
    for _ in range(steps):
        drawn = sampling.draw(z, K)
        R = (drawn == y).double()[:, 0]
        agree += R.min() == R.max()
        (-weight * z.log_softmax(-1)[0, 1] + fixed(z, drawn, y, R)).backward()
        optimizer.step()
    return z.softmax(-1)[0, 1], agree / steps


@pytest.mark.parametrize(
    ("answer", "misconception"),
    [
        (one_word(of=0), "other-class"),
        (one_word(loss=lambda w, ce, L_r: ce + w * L_r), "weight-on-reward"),
        (one_word(loss=lambda w, ce, L_r: w * (ce + L_r)), "weight-on-both"),
        (one_word(loss=lambda w, ce, L_r: w * ce - L_r), "reward-falls"),
        (one_word(start=(0.0, 0.0)), "other-start-or-rate"),
        (one_word(start=(0.0, -2.5), lr=0.1), "other-start-or-rate"),
        (one_word(lr=0.05), "other-start-or-rate"),
        (one_word(loss=lambda w, ce, L_r: L_r), "no-cross-entropy"),
        (one_word(loss=lambda w, ce, L_r: L_r - w * ce), "minus-cross-entropy"),
        (without_zero_grad, "gradients-accumulate"),
        (lambda w, n=200, K=8: one_word()(w, min(n, 5) if w else n, K), "learns-too-little"),
        (lambda w, steps=200, K=8: (7.0, 0.5), "no-probability"),
        (one_word(share=lambda R: R.all()), "wrong-share"),
        (one_word(share=lambda R: not R.any()), "wrong-share"),
        (lambda *args: (one_word()(*args)[0], 198), "count-not-share"),
        (lambda *args: one_word()(*args)[0], "wrong-form"),
        (lambda *args: ("much", one_word()(*args)[1]), "wrong-form"),
        (lambda *args: (torch.zeros(2), None), "wrong-form"),
        (lambda *args: None, "returns-none"),
        (lambda *args: 1 / 0, "raises"),
        (3.0, "not-a-function"),
    ],
)
def test_q7_wrong_answers(answer, misconception):
    rejected(check.q7, answer, misconception)


def test_q7_right_answers():
    accepted(check.q7, one_word())
    accepted(check.q7, check.q7.exercise.solution)


# --- The small tagger -----------------------------------------------------------------------------


def test_the_small_tagger_learns_names_from_a_metric_alone():
    ids, labels = encoded()
    assert [int(n) for n in (labels != PADDING).sum(1)] == [4, 4, 2, 6, 3, 2, 3, 4]
    for metric in (my_metric, faultless):
        torch.manual_seed(0)
        tagger = Tagger()
        assert tagger.tags("Rose left") == "OO"
        optimizer = torch.optim.Adam(tagger.parameters(), lr=0.03)
        history = [sampled_step(tagger, optimizer, ids, labels, metric) for _ in range(200)]
        losses, rewards = torch.tensor(history).T.reshape(2, 10, 20).mean(2)
        assert rewards[0] < 0.5 and rewards[-1] > 0.95
        assert losses.min() < losses[0] - 0.05 and losses.min() < losses[-1] - 0.05
        assert tagger.tags("Kofi Diallo met Amina Mensah") == "BIOBI"


# --- the self-test --------------------------------------------------------------------------------


def test_the_self_test_says_what_the_kit_computes():
    """That the right choices are right."""
    R = torch.rand(4, 50, generator=torch.Generator().manual_seed(0))
    factor = QUESTIONS[0].right
    assert torch.allclose(
        factor * sampling.advantages(R, "mean"), sampling.advantages(R, "leave_one_out")
    )
    assert 124 < 1 / (1 - 0.999**8) < 126  # steps until a right answer is drawn
