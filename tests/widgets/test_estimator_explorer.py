"""The estimator explorer, against gradients found by listing every tagging with itertools."""

import itertools
import math

import numpy as np
import pytest
import torch

from rmlib.errors import RmlibValueError
from rmlib.loss import sampling
from rmlib.widgets import EstimatorExplorer
from rmlib.widgets.estimator.numbers import (
    LABELS,
    LOGITS,
    MODELS,
    SAMPLES,
    direction,
    estimates_of,
    variance_saved,
)
from tests.selection import mostly_long

REWARDS = ("accuracy", "f1", "entity_f1")


def names(tags):
    """The (sentence, start, end) of the names in a tagging of O = 0, B-PER = 1 and I-PER = 2."""
    found = set()
    for number, sentence in enumerate(tags):
        for start, tag in enumerate(sentence):
            if tag == 1:
                end = start + 1
                while end < len(sentence) and sentence[end] == 2:
                    end += 1
                found.add((number, start, end))
    return found


def metric(reward, tags):
    """R of one tagging, by counting."""
    words = [
        (t, y)
        for row, gold in zip(tags, LABELS, strict=True)
        for t, y in zip(row, gold, strict=True)
    ]
    if reward == "accuracy":
        return sum(t == y for t, y in words) / len(words)
    if reward == "f1":
        predicted = sum(t > 0 for t, _ in words)
        actual = sum(y > 0 for _, y in words)
        right = sum(t == y > 0 for t, y in words)
        return 2 * right / (predicted + actual)
    predicted, actual = names(tags), names(LABELS)
    return 2 * len(predicted & actual) / (len(predicted) + len(actual))


def listed(reward, model):
    """The probability, R and d log pi / dz of each of the 729 taggings; in plain numpy."""
    z = MODELS[model] * np.array(LOGITS)
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    probabilities, rewards, scores = [], [], []
    for six in itertools.product(range(3), repeat=6):
        tags = (six[:3], six[3:])
        score = -p.copy()
        for (i, j), t in zip(itertools.product(range(2), range(3)), six, strict=True):
            score[i, j, t] += 1
        probabilities.append(math.prod(p[i, j, tags[i][j]] for i in range(2) for j in range(3)))
        rewards.append(metric(reward, tags))
        scores.append(score)
    return np.array(probabilities), np.array(rewards), np.array(scores)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("reward", REWARDS)
def test_the_exact_gradient_and_the_variance_of_none_are_those_of_the_list(reward, model):
    explorer = EstimatorExplorer(4, "none", reward, model)
    p, r, scores = listed(reward, model)
    gradient = np.einsum("k,k,kswt->swt", p, r, scores)
    np.testing.assert_allclose(explorer.exact, gradient, atol=1e-12)
    square = (gradient**2).sum()
    one = (p * r**2 * (scores**2).sum((1, 2, 3))).sum() - square
    assert explorer.variance_of_none == pytest.approx(one / 4 / square, rel=1e-9)
    # 300 estimates: the standard error of a variance, with tails as heavy as these, is well below a
    # third of it
    assert explorer.variance == pytest.approx(explorer.variance_of_none, rel=0.35)


def over_seeds(explorer):
    """The share and its standard error over all seeds together."""
    shares, errors = [], []
    for seed in range(10):
        explorer.seed = seed
        shares.append(explorer.direction.share)
        errors.append(explorer.direction.error)
    return np.mean(shares), np.sqrt(np.sum(np.square(errors))) / 10


@pytest.mark.parametrize("samples", mostly_long([2, 4, 16], 4))
@pytest.mark.parametrize("reward", REWARDS)
def test_mean_reaches_exactly_k_minus_1_of_k_and_leave_one_out_all_of_it(reward, samples):
    for baseline, expected in (
        ("mean", (samples - 1) / samples),
        ("leave_one_out", 1.0),
        ("greedy", 1.0),
    ):
        share, error = over_seeds(EstimatorExplorer(samples, baseline, reward))
        assert abs(share - expected) < 4 * error
        assert error < 0.05  # narrow enough to tell 1/2 from 3/4 from 1


def by_sentence(reward, model):
    """R [labelling of sentence 0, of sentence 1], and of each sentence pi (27,) and d log pi / dz.

    The kit judges each sentence with the other one held.
    """
    z = MODELS[model] * np.array(LOGITS)
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    rows = list(itertools.product(range(3), repeat=3))
    R = np.array([[metric(reward, (a, b)) for b in rows] for a in rows])
    pi = [
        np.array([math.prod(p[u, j, t] for j, t in enumerate(row)) for row in rows]) for u in (0, 1)
    ]
    scores = [
        np.array([np.eye(3)[list(row)] - p[u] for row in rows]).reshape(27, 9) for u in (0, 1)
    ]
    return R, pi, scores


def exact_group(samples, reward="entity_f1", model="fair"):
    """The exact mean gradient of group, from the multinomial law of the other K - 1 rewards."""
    R, pi, scores = by_sentence(reward, model)
    gradient = np.zeros((2, 9))
    for u, o in itertools.product(range(2), range(27)):
        values, which = np.unique(np.round((R if u == 0 else R.T)[:, o], 12), return_inverse=True)
        chance = np.bincount(which, pi[u])
        expected = np.zeros(len(values))  # of the advantage of a labelling with each value
        for cut in itertools.combinations(range(samples + len(values) - 2), len(values) - 1):
            others = np.diff([-1, *cut, samples + len(values) - 2]) - 1
            weight = math.factorial(samples - 1)
            for count, q in zip(others, chance, strict=True):
                weight *= q**count / math.factorial(count)
            for i, value in enumerate(values):
                counts = others + (np.arange(len(values)) == i)
                mean = counts @ values / samples
                deviation = math.sqrt(counts @ (values - mean) ** 2 / (samples - 1))
                expected[i] += weight * (value - mean) / (deviation + 1e-4)
        gradient[u] += pi[1 - u][o] * (pi[u] * expected[which]) @ scores[u]
    return gradient.ravel()


def exact_minimum_risk_of_two(reward="entity_f1", model="fair"):
    """The exact mean gradient of minimum risk at K = 2, from all pairs of labellings."""
    R, pi, scores = by_sentence(reward, model)
    gradient = np.zeros((2, 9))
    for u in range(2):
        own = (R if u == 0 else R.T) @ pi[1 - u]  # the other sentence's labellings averaged
        for a, b in itertools.permutations(range(27), 2):  # a labelling drawn twice counts once
            q = pi[u][a] / (pi[u][a] + pi[u][b])
            mean = q * own[a] + (1 - q) * own[b]
            of_a, of_b = (own[a] - mean) * scores[u][a], (own[b] - mean) * scores[u][b]
            gradient[u] += pi[u][a] * pi[u][b] * (q * of_a + (1 - q) * of_b)
    return gradient.ravel()


def angle_and_share(mean, gradient):
    """Degrees between the two, and the length of the mean along the other as a share of it."""
    cosine = mean @ gradient / np.linalg.norm(mean) / np.linalg.norm(gradient)
    return math.degrees(math.acos(cosine)), mean @ gradient / (gradient @ gradient)


@pytest.mark.parametrize(
    ("baseline", "samples", "exact_mean", "degrees", "share"),
    [
        ("group", 2, lambda: exact_group(2), 7.40, 1.491),
        ("group", 8, lambda: exact_group(8), 6.42, 3.700),
        ("minimum_risk", 2, exact_minimum_risk_of_two, 18.20, 0.290),
    ],
)
def test_group_and_minimum_risk_are_turned(baseline, samples, exact_mean, degrees, share):
    """300 estimates can't resolve the angle of group; enumeration and many estimates do."""
    gradient = EstimatorExplorer().exact.ravel()
    angle, length = angle_and_share(exact_mean(), gradient)
    assert angle == pytest.approx(degrees, abs=0.005)
    assert length == pytest.approx(share, abs=0.0005)
    found = direction(baseline, samples, estimates=20_000)
    assert abs(found.degrees - angle) < 4 * found.degrees_error < 4
    assert abs(found.share - length) < 4 * found.error


def test_minimum_risk_of_eight_is_turned_by_less():
    found = direction("minimum_risk", 8, estimates=20_000)
    assert abs(found.degrees - 7.6) < 4 * found.degrees_error < 1


@pytest.mark.parametrize("baseline", ["none", "leave_one_out", "mean", "greedy"])
def test_an_angle_that_is_noise_is_not_resolved(baseline):
    """The true angle is 0. A bound is shown, and never 0 degrees."""
    found = [direction(baseline, 2, estimates=2000, seed=seed) for seed in range(10)]
    values = [one.aside.value for one in found]
    error = np.std(values, ddof=1) / 10**0.5
    assert abs(np.mean(values)) < 4 * error  # unbiased: above 0 and below it
    assert min(values) < 0 < max(values)
    assert np.std(values) == pytest.approx(np.mean([one.aside.error for one in found]), rel=0.7)
    assert sum(one.degrees is None for one in found) >= 8
    for one in found:
        if one.degrees is None:
            assert str(one) == f"turn not resolved (below {one.below:.1f}°)"
            assert one.below > 1


def test_the_standard_errors_of_bias_and_angle_are_those_of_repeated_estimates():
    found = [direction("minimum_risk", 2, estimates=1000, seed=seed) for seed in range(30)]
    degrees = [one.degrees for one in found]
    assert np.std(degrees) == pytest.approx(np.mean([one.degrees_error for one in found]), rel=0.4)
    asides = [one.aside.value for one in found]
    assert np.std(asides) == pytest.approx(np.mean([one.aside.error for one in found]), rel=0.4)


def test_the_mean_of_the_estimates_is_the_exact_gradient_where_nothing_is_biased():
    explorer = EstimatorExplorer(16, "leave_one_out", "entity_f1")
    length = np.linalg.norm(explorer.exact)
    off = np.linalg.norm(explorer.mean - explorer.exact) / length
    assert off < 4 * (explorer.variance / 300) ** 0.5
    assert explorer.mean.shape == explorer.exact.shape == (2, 3, 3)
    explorer.baseline, explorer.samples = "mean", 2
    assert explorer.bias.value == pytest.approx(0.25, abs=0.1)  # (1 - 1/2)²
    assert abs(explorer.bias.value - 0.25) < 4 * explorer.bias.error
    assert explorer.direction.share == pytest.approx(
        np.vdot(explorer.mean, explorer.exact) / length**2, rel=1e-6
    )


def bernoulli(samples, baseline, p=0.3):
    """Mean and variance of the estimate of dE[R]/dz = p (1 - p) for one draw R = 1 with probability
    p, over all 2^K results."""
    mean = square = 0.0
    for draws in itertools.product((0.0, 1.0), repeat=samples):
        weight = math.prod(p if draw else 1 - p for draw in draws)
        rewards = torch.tensor(draws, dtype=torch.float64)
        estimate = float((sampling.advantages(rewards, baseline) * (rewards - p)).mean())
        mean += weight * estimate
        square += weight * estimate**2
    return mean, square - mean**2


def test_the_known_variances_of_a_single_bernoulli():
    for samples, none, left_out in ((2, 0.051, 0.061), (8, 0.013, 0.006)):
        for baseline, variance in (("none", none), ("leave_one_out", left_out)):
            mean, found = bernoulli(samples, baseline)
            assert mean == pytest.approx(0.21, rel=1e-9)
            assert round(found, 3) == variance
        assert bernoulli(samples, "mean")[0] == pytest.approx(
            0.21 * (samples - 1) / samples, rel=1e-9
        )


def test_one_sample_is_offered_where_the_baseline_allows_it():
    explorer = EstimatorExplorer(1, "none")
    assert explorer.samples == 1
    for baseline in ("greedy", "minimum_risk"):
        explorer.baseline = baseline
        assert explorer.samples == 1 and tuple(explorer.widget.children[0].options) == SAMPLES
    explorer.baseline = "leave_one_out"
    assert explorer.samples == 2 and "K = 2, baseline leave_one_out" in explorer.text
    explorer.samples, explorer.baseline = 32, "none"
    assert explorer.samples == 32
    for baseline in ("mean", "leave_one_out", "group"):
        with pytest.raises(RmlibValueError, match="samples is 1; the slider has 2,"):
            EstimatorExplorer(1, baseline)


def test_the_alt_text_has_the_numbers():
    explorer = EstimatorExplorer(2, "mean", "f1", "uncertain", seed=4)
    text = explorer.text
    mean, bias = explorer.direction, explorer.bias
    assert f"their mean is {mean.share:.3f} ± {mean.error:.3f}" in text
    assert f"Direction of the mean: {mean}." in text
    assert bias.resolved and f"Squared bias {bias.value:.3g} ± {bias.error:.2g};" in text
    assert f"; variance {explorer.variance:.3g}, mean squared error " in text
    assert f"exactly: squared bias 0, variance {explorer.variance_of_none:.3g}." in text
    assert f"length {np.linalg.norm(explorer.exact):.3g}." in text
    assert "(K−1)/K = 0.500" in text and "seed 4" in text
    explorer.baseline = "leave_one_out"
    assert "(K−1)/K" not in explorer.text
    assert "Expected with this baseline: 1, not turned." in explorer.text
    assert not explorer.bias.resolved
    assert f"Squared bias below {explorer.bias.below:.2g}, not resolved; variance" in explorer.text


def test_the_picture_shows_the_cloud_and_the_bars():
    explorer = EstimatorExplorer(8, "mean")
    left, right = explorer.figure.axes
    points, ring = left.lines[0].get_xydata(), left.lines[1].get_xydata()
    assert points.shape == (300, 2) and points[:, 0].mean() == pytest.approx(
        explorer.direction.share
    )
    assert ring.min(0)[0] < 1 < ring.max(0)[0]
    assert left.lines[5].get_xdata()[0] == pytest.approx(7 / 8)
    widths = [bar.get_width() for bar in right.patches]
    expected = [0, explorer.variance_of_none, explorer.bias.value, explorer.variance]
    assert widths == pytest.approx(expected)
    explorer.baseline = "leave_one_out"  # no bias to be drawn: noise hides it
    assert explorer.picture and not explorer.bias.resolved
    assert right.patches[2].get_width() == 0
    assert f"(below {explorer.bias.below:.2g}) + " in right.texts[1].get_text()
    explorer.baseline = (
        "none"  # twice the standard deviation takes in most of the points, and not all
    )
    assert explorer.picture
    points, ring = left.lines[0].get_xydata(), left.lines[1].get_xydata()
    half = np.ptp(ring[:, 0]) / 2
    assert half == pytest.approx(2 * points[:, 0].std(), rel=0.2)
    assert not np.isfinite(explorer.figure.axes[0].lines[5].get_xdata()).any()


def test_the_readers_own_random_numbers_are_left_alone_and_a_seed_is_a_seed():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = EstimatorExplorer(seed=1)
    assert first.text
    assert torch.equal(torch.rand(3), expected)
    second = EstimatorExplorer(seed=2)
    assert not np.array_equal(first.mean, second.mean)
    assert np.array_equal(first.exact, second.exact)


def test_judging_each_sentence_by_itself_saves_more_with_more_sentences():
    assert variance_saved(1) == pytest.approx(1, abs=0.3)  # the same estimator, other samples
    assert variance_saved(4) == pytest.approx(4, rel=0.4)
    assert variance_saved(16) == pytest.approx(16, rel=0.4)


def test_which_variance_is_smaller_in_the_explorer():
    """What lesson 04 says of the explorer's states, with enough estimates."""

    def variance(samples, baseline, model="fair"):
        sampled = estimates_of(5000, samples, baseline, "entity_f1", model, 0, 1000)
        return sampled.var(0).sum()

    assert variance(2, "leave_one_out") < 0.8 * variance(2, "none")
    assert variance(8, "none") / variance(8, "leave_one_out") == pytest.approx(3, abs=0.4)
    assert variance(2, "greedy", "wrong") < 0.8 * variance(2, "leave_one_out", "wrong")
    assert variance(8, "leave_one_out", "wrong") < 1.05 * variance(8, "greedy", "wrong")
