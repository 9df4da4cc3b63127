"""Sampled rewards: against seqeval, scikit-learn, and everything enumerated."""

import itertools
import math

import numpy as np
import pytest
import torch
from seqeval.metrics import f1_score as entity_f1_score
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, Entities
from sklearn.metrics import accuracy_score, f1_score
from torch import tensor

from rmlib.loss import sampled_metrics, sampling
from rmlib.loss.rewards import REWARDS
from rmlib.loss.sampled_metrics import METRICS, PADDING, entity_f1_counts
from rmlib.loss.sampling import BASELINES, advantages, draw, enumerated, estimated

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
UNBIASED = ("none", "leave_one_out", "greedy")


def words(*shape, classes=3, seed=0):
    random = torch.Generator().manual_seed(seed)
    z = torch.randn(*shape, classes, generator=random, dtype=torch.float64)
    return z.requires_grad_(), torch.randint(classes, shape, generator=random)


def gradient(value, z):
    return torch.autograd.grad(value, z)[0]


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def metric_by_hand(name, y, y_hat):
    """The metric of a list of labels, by the libraries of the field."""
    if name == "accuracy":
        return accuracy_score(y, y_hat)
    return f1_score(y, y_hat, labels=[1, 2], average="micro", zero_division=0)


# Entities against seqeval


def random_tags(random, sentences, longest=7):
    """Tags as a sampler makes them: anything can follow anything."""
    lengths = random.integers(1, longest + 1, sentences)
    return [random.choice(5, size=n, p=(0.4, 0.15, 0.15, 0.15, 0.15)) for n in lengths]


def padded(rows, width, fill):
    out = np.full((len(rows), width), fill)
    for row, values in zip(out, rows, strict=True):
        row[: len(values)] = values
    return tensor(out)


def test_entities_are_those_of_seqeval_strict():
    """2,000 random pairs of taggings, most of them not well formed."""
    random = np.random.default_rng(0)
    gold = random_tags(random, 2000)
    found = [
        np.where(random.random(len(row)) < 0.7, row, random.choice(5, len(row))) for row in gold
    ]
    counts = entity_f1_counts(padded(found, 7, 3)[None], padded(gold, 7, PADDING))[0]
    for row, predicted, (twice, total) in zip(gold, found, counts.tolist(), strict=True):
        sets = [
            {
                entity.to_tuple()[1:]
                for entity in Entities([[TAGS[t] for t in tags]], IOB2).entities[0]
            }
            for tags in (row, predicted)
        ]
        assert (twice, total) == (2 * len(sets[0] & sets[1]), len(sets[0]) + len(sets[1]))


def test_the_f1_of_a_batch_is_that_of_seqeval_strict():
    random = np.random.default_rng(1)
    for _ in range(100):
        gold = random_tags(random, 5)
        found = [
            np.where(random.random(len(row)) < 0.8, row, random.choice(5, len(row))) for row in gold
        ]
        score = sampled_metrics.share(
            entity_f1_counts(padded(found, 7, 0)[None], padded(gold, 7, PADDING)).sum(1)
        )
        names = [[[TAGS[t] for t in row] for row in rows] for rows in (gold, found)]
        if get_entities([tag for row in names[0] for tag in [*row, "O"]]):
            expected = entity_f1_score(*names, mode="strict", scheme=IOB2, zero_division=0)
            assert float(score) == pytest.approx(expected, abs=1e-7)


def test_a_broken_span_is_none():
    cases = {  # tags: entities as (class, first, end)
        (2, 2, 0): set(),  # I-PER continues nothing
        (1, 2, 2): {(1, 0, 3)},
        (1, 4, 2): {(1, 0, 1)},  # I-LOC does not continue a PER, and I-PER not a LOC
        (1, 1, 2): {(1, 0, 1), (1, 1, 3)},
        (0, 2, 1): {(1, 2, 3)},
        (3, 0, 4): {(3, 0, 1)},
    }
    for tags, expected in cases.items():
        starts, ends = sampled_metrics.spans(tensor(tags))
        found = {(tags[i], i, int(ends[i])) for i in range(len(tags)) if starts[i]}
        assert found == expected


def test_tags_in_another_order_are_refused():
    z, y = words(1, 2)
    with pytest.raises(
        ValueError, match="background is 1; entity_f1 expects tags in the order O, B-X, I-X"
    ):
        REWARDS["entity_f1"].function(z, y, 1)


# Everything enumerated


@pytest.mark.parametrize("name", ["accuracy", "f1"])
def test_the_expectation_by_hand(name):
    z, y = words(4)
    p, expected = softmax(z.detach().numpy()), 0.0
    for labelling in itertools.product(range(3), repeat=4):
        expected += math.prod(p[i, c] for i, c in enumerate(labelling)) * metric_by_hand(
            name, y.numpy(), labelling
        )
    assert enumerated(z, y, name).item() == pytest.approx(expected, rel=1e-12)


def test_the_expectation_of_entity_f1_by_hand():
    z, y = words(2, 2, classes=5, seed=4)
    y[:] = tensor([[1, 2], [3, PADDING]])
    p, expected = softmax(z.detach().numpy()), 0.0
    gold = [["B-PER", "I-PER"], ["B-LOC"]]
    for a, b, c in itertools.product(range(5), repeat=3):
        score = entity_f1_score(
            gold, [[TAGS[a], TAGS[b]], [TAGS[c]]], mode="strict", scheme=IOB2, zero_division=0
        )
        expected += p[0, 0, a] * p[0, 1, b] * p[1, 0, c] * score
    assert enumerated(z, y, "entity_f1").item() == pytest.approx(expected, rel=1e-9)


def test_expected_accuracy_is_the_expectation_of_accuracy():
    z, y = words(6)
    smooth = REWARDS["expected_accuracy"].function(z, y, 0)
    assert enumerated(z, y, "accuracy").item() == pytest.approx(smooth.item(), abs=1e-12)
    torch.testing.assert_close(gradient(enumerated(z, y, "accuracy"), z), gradient(smooth, z))


@pytest.mark.parametrize("samples", [2, 3])
def test_what_a_baseline_does_to_the_expected_gradient(samples):
    """Every tuple of K labellings of 2 words, weighted by its probability: no sampling error."""
    z, y = words(2)
    y[0] = 1
    p = softmax(z.detach().numpy())
    labellings = list(itertools.product(range(3), repeat=2))
    chance = np.array([p[0, a] * p[1, b] for a, b in labellings])
    reward = [metric_by_hand("f1", y.numpy(), labelling) for labelling in labellings]
    reward = tensor(reward, dtype=torch.float64)
    slope = np.array(
        [np.eye(3)[list(labelling)] - p for labelling in labellings]
    )  # of log pi: e_y - p
    exact = np.einsum("l,l,lwc->wc", chance, reward.numpy(), slope)
    np.testing.assert_allclose(gradient(enumerated(z, y, "f1"), z).numpy(), exact, atol=1e-12)
    greedy = reward[int(chance.argmax())]
    for baseline in BASELINES:
        total = np.zeros((2, 3))
        for drawn in itertools.product(range(9), repeat=samples):
            weights = advantages(reward[list(drawn)], baseline, greedy).numpy()
            estimate = np.einsum("k,kwc->wc", weights, slope[list(drawn)]) / samples
            total += chance[list(drawn)].prod() * estimate
        scale = {"mean": (samples - 1) / samples}.get(baseline, 1.0)
        if baseline == "group":
            assert (
                np.abs(total - exact).max() > 0.005
            )  # another length and direction: not an estimate of the gradient of E[R]
        else:
            np.testing.assert_allclose(total, scale * exact, atol=1e-12)


def test_the_variance_table():
    """One Bernoulli with p = .3, R = 1 for a positive: leave-one-out is worse at K = 2 and better
    at K = 8.
    """
    p, table = 0.3, {}
    for samples in (2, 8):
        for baseline in ("none", "leave_one_out"):
            mean = square = 0.0
            for drawn in itertools.product((0.0, 1.0), repeat=samples):
                weights = advantages(tensor(drawn, dtype=torch.float64), baseline)
                estimate = float((weights * (tensor(drawn) - p)).mean())
                chance = math.prod(p if one else 1 - p for one in drawn)
                mean, square = mean + chance * estimate, square + chance * estimate**2
            assert mean == pytest.approx(p * (1 - p), abs=1e-7)
            table[samples, baseline] = round(square - mean**2, 3)
    assert table == {
        (2, "none"): 0.051,
        (2, "leave_one_out"): 0.061,
        (8, "none"): 0.013,
        (8, "leave_one_out"): 0.006,
    }


def test_group_divides_as_public_code_does():
    """TRL's documented formula: (r - mean) / (std + 1e-4), torch's std, with K - 1.

    The paper (Shao et al. 2024) leaves the divisor open. For two rewards that differ it makes
    group 1/sqrt(2) of leave-one-out of 0 and 1; dividing by K would make it leave-one-out itself.
    """
    assert advantages(tensor([1.0, 0.0]), "leave_one_out").tolist() == [1.0, -1.0]
    group = advantages(tensor([1.0, 0.0], dtype=torch.float64), "group")
    assert group.tolist() == pytest.approx([0.7071, -0.7071], abs=2e-4)
    for samples in (2, 3, 8):
        rewards = torch.rand(samples, 5, generator=torch.Generator().manual_seed(samples))
        numbers = rewards.double().numpy()
        expected = (numbers - numbers.mean(0)) / (numbers.std(0, ddof=1) + 1e-4)
        assert advantages(rewards, "group").numpy() == pytest.approx(expected, abs=1e-5)
    assert not advantages(torch.ones(8), "group").any()  # samples that all agree


def test_the_length_of_group_for_one_word():
    """One word, p = .3: .71 of the exact derivative at K = 2; at K = 8 it is 1.84 of it."""
    p, lengths = 0.3, {}
    for samples in (2, 8):
        mean = 0.0
        for drawn in itertools.product((0.0, 1.0), repeat=samples):
            weights = advantages(tensor(drawn, dtype=torch.float64), "group")
            chance = math.prod(p if one else 1 - p for one in drawn)
            mean += chance * float((weights * (tensor(drawn) - p)).mean())
        lengths[samples] = round(mean / (p * (1 - p)), 2)
    assert lengths == {2: 0.71, 8: 1.84}


# The estimator itself


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("baseline", [*UNBIASED, "mean"])
def test_the_mean_gradient_is_the_enumerated_one(metric, baseline):
    z, y = words(2, 2, classes=5, seed=4)
    y[:] = tensor([[1, 2], [3, PADDING]])
    exact = gradient(enumerated(z, y, metric), z) * (2 / 3 if baseline == "mean" else 1)
    torch.manual_seed(0)
    many = z.detach().expand(4000, *z.shape)
    slopes = torch.func.grad(lambda z: estimated(z, y, 0, metric, 3, baseline))
    slopes = torch.func.vmap(slopes, randomness="different")(many)
    error = slopes.std(0) / 4000**0.5
    assert ((slopes.mean(0) - exact).abs() <= 4 * error + 1e-12).all()
    assert not slopes[:, 1, 1].any()  # not a word


def test_the_value_is_the_mean_reward():
    z, y = words(3, 4, classes=5)
    torch.manual_seed(1)
    values = tensor([float(estimated(z, y, 0, "f1", 16).detach()) for _ in range(300)])
    many = sampling.draw(z, 4000)
    scores = sampled_metrics.share(sampled_metrics.word_f1_counts(many, y).sum(1))
    assert float(values.mean()) == pytest.approx(
        float(scores.mean()), abs=4 * float(scores.std()) / 4000**0.5
    )


def test_judging_each_unit_with_the_others_held_saves_variance():
    """The same samples and baseline, the whole batch as one unit beside each word as its own."""
    z, y = words(6)
    exact = gradient(enumerated(z, y, "f1"), z).flatten()

    def at_once(sampled, labels):
        return sampled_metrics.share(sampled_metrics.word_f1_counts(sampled, labels).sum(1))

    variance = {}
    for name, metric, logits, labels in (("own", "f1", z, y), ("whole", at_once, z[None], y[None])):
        torch.manual_seed(0)
        slopes = torch.func.grad(lambda z, m=metric, y=labels: estimated(z, y, 0, m, 8))
        many = logits.detach().expand(1000, *logits.shape)
        slopes = torch.func.vmap(slopes, randomness="different")(many).reshape(1000, -1)
        variance[name] = float(slopes.var(0).sum())
        assert ((slopes.mean(0) - exact).abs() <= 4 * slopes.std(0) / 1000**0.5).all()
    assert variance["own"] < variance["whole"] / 2


def test_draws_are_from_the_model():
    z = tensor([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
    torch.manual_seed(0)
    drawn = draw(z, 40_000)
    for word in range(2):
        share = torch.bincount(drawn[:, word], minlength=3) / 40_000
        assert share.numpy() == pytest.approx(z[word].softmax(-1).numpy(), abs=0.01)
    torch.manual_seed(3)
    here = draw(z, 5)
    torch.manual_seed(3)
    assert here.equal(draw(z, 5))


@pytest.mark.parametrize(
    "order", ["aabc", "abbc", "abcb", "abcc", "aaab", "bcaba"]
)  # where the duplicates stand
def test_minimum_risk_by_hand(order):
    """Probabilities renormalised over the distinct samples (Shen et al. 2016); a duplicate has no
    weight.
    """
    probability = {"a": 0.1, "b": 0.3, "c": 0.2}
    reward = {"a": 0.5, "b": 1.0, "c": 0.0}
    labelling = {"a": [0, 1], "b": [1, 1], "c": [2, 0]}
    log_pi = tensor([probability[k] for k in order]).log()[:, None].requires_grad_()
    rewards = tensor([reward[k] for k in order])[:, None]
    risk = sampling.minimum_risk(log_pi, tensor([[labelling[k]] for k in order]), rewards)
    total = sum(probability[k] for k in set(order))
    assert risk.item() == pytest.approx(sum(probability[k] * reward[k] for k in set(order)) / total)
    q = tensor([probability[k] / total if k not in order[:i] else 0.0 for i, k in enumerate(order)])
    torch.testing.assert_close(gradient(risk, log_pi)[:, 0], q * (rewards[:, 0] - risk.item()))


def test_minimum_risk_climbs():
    z, y = words(2, 3, classes=5, seed=2)
    y[:] = tensor([[1, 2, 0], [0, 3, 4]])
    torch.manual_seed(0)
    slopes = [gradient(estimated(z, y, 0, "entity_f1", 16, "minimum_risk"), z) for _ in range(300)]
    exact = gradient(enumerated(z, y, "entity_f1"), z)
    mean = torch.stack(slopes).mean(0)
    assert float((mean * exact).sum() / mean.norm() / exact.norm()) > 0.9


# Mistakes


@pytest.mark.parametrize(
    ("samples", "baseline", "say"),
    [
        (0, "none", "samples is 0; expected 1 or more"),
        (1, "leave_one_out", "samples is 1; baseline 'leave_one_out' expects 2 or more"),
        (4, "average", "baseline is 'average'; expected one of none, mean"),
    ],
)
def test_a_wrong_setting_is_named(samples, baseline, say):
    z, y = words(3)
    with pytest.raises(ValueError, match=say):
        estimated(z, y, 0, "f1", samples, baseline)


def test_an_unknown_metric_is_named():
    z, y = words(3)
    for call in (lambda: enumerated(z, y, "f2"), lambda: estimated(z, y, 0, "f2")):
        with pytest.raises(
            ValueError,
            match="metric is 'f2'; expected a function, or one of accuracy, f1, entity_f1",
        ):
            call()


def test_greedy_needs_its_reward():
    with pytest.raises(ValueError, match="greedy"):
        advantages(torch.ones(3), "greedy")


def test_too_many_labellings_to_list_are_refused():
    z, y = words(20)
    with pytest.raises(ValueError, match=r"20 words of 3 classes have 3\^20 labellings"):
        enumerated(z, y, "f1")


def test_one_sample_will_do_without_a_baseline():
    z, y = words(3)
    assert gradient(estimated(z, y, 0, "f1", 1, "none"), z).isfinite().all()
    reward = REWARDS["accuracy"].with_parameters(samples=1, baseline="greedy")
    assert gradient(reward.function(z, y, 0), z).isfinite().all()
