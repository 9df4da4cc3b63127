"""The objective: against torch's own losses and by hand."""

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from rmlib.loss.objective import RewardObjective
from rmlib.loss.rewards import REWARDS
from rmlib.loss.sampling import sampled_reward

EVERY = pytest.mark.parametrize(
    "name", sorted(name for name in REWARDS if not REWARDS[name].sampled)
)
SAMPLED = pytest.mark.parametrize("name", sorted(name for name in REWARDS if REWARDS[name].sampled))


def batch(*shape, seed=0, classes=4):
    random = torch.Generator().manual_seed(seed)
    z = 2 * torch.randn(*shape, classes, generator=random, dtype=torch.float64)
    return z.requires_grad_(), torch.randint(classes, shape, generator=random)


def gradient(value, z):
    return torch.autograd.grad(value, z, retain_graph=True)[0]


@EVERY
@pytest.mark.parametrize("alpha", [0.0, 0.5, 3.0, 1e6])
def test_the_equation(name, alpha):
    z, y = batch(10)
    total, prediction, reward = RewardObjective(alpha, name)(z, y)
    torch.testing.assert_close(prediction, cross_entropy(z, y), rtol=1e-12, atol=0)
    torch.testing.assert_close(
        reward.detach(), 1 - REWARDS[name].function(z, y, 0).detach(), rtol=1e-12, atol=1e-15
    )
    torch.testing.assert_close(total, prediction + alpha * reward, rtol=1e-12, atol=0)
    expected = gradient(cross_entropy(z, y) + alpha * (1 - REWARDS[name].function(z, y, 0)), z)
    torch.testing.assert_close(gradient(total, z), expected, rtol=1e-9, atol=1e-15)


@EVERY
def test_alpha_zero_is_cross_entropy_to_the_last_bit(name):
    z, y = batch(50)
    loss = RewardObjective(0, name)(z, y)
    assert loss.total.equal(loss.prediction) and loss.total.equal(cross_entropy(z, y))
    assert gradient(loss.total, z).equal(gradient(cross_entropy(z, y), z))
    assert 0 < loss.reward < 2  # still told, so that it can be watched
    assert not loss.reward.requires_grad  # but not differentiated, which saves time


@EVERY
def test_alpha_inf_is_the_reward_alone(name):
    z, y = batch(10)
    loss = RewardObjective(math.inf, name)(z, y)
    assert loss.total.equal(loss.reward) and loss.prediction.isfinite()
    torch.testing.assert_close(
        gradient(loss.total, z), -gradient(REWARDS[name].function(z, y, 0), z)
    )


@pytest.mark.parametrize("alpha", [-1, -1e-9, math.nan, -math.inf, "high", None, [1.0]])
def test_a_wrong_alpha_is_named(alpha):
    with pytest.raises(ValueError, match="alpha is .*; expected a number of 0 or more") as caught:
        RewardObjective(alpha)
    assert repr(alpha) in str(caught.value)
    objective = RewardObjective(2.0)
    with pytest.raises(ValueError, match="alpha is"):
        objective.alpha = alpha
    assert objective.alpha == 2.0


def test_a_wrong_reward_is_named_with_the_nearest():
    with pytest.raises(ValueError, match="'soft_f2' is not known; did you mean 'soft_f1'"):
        RewardObjective(1.0, "soft_f2")
    objective = RewardObjective()
    with pytest.raises(ValueError, match="did you mean 'expected_accuracy'"):
        objective.reward = "expected_accurcy"
    assert objective.reward is REWARDS["soft_f1"]


def test_both_can_change_between_steps():
    z, y = batch(10)
    objective = RewardObjective(1.0, "soft_f1")
    objective(z, y)
    objective.alpha, objective.reward = 4, "expected_accuracy"
    expected = cross_entropy(z, y) + 4 * (1 - z.softmax(-1).gather(1, y[:, None]).mean())
    torch.testing.assert_close(objective(z, y).total, expected)
    assert "alpha=4, reward='expected_accuracy'" in repr(objective)


@EVERY
def test_ignored_items_are_as_if_they_were_not_there(name):
    z, y = batch(20)
    ignored = torch.tensor([0, 3, 4, 11, 19])
    kept = [i for i in range(20) if i not in ignored.tolist()]
    masked = y.clone()
    masked[ignored] = -100
    objective = RewardObjective(2.0, name)
    here, there = objective(z, masked), objective(z[kept], y[kept])
    torch.testing.assert_close(torch.stack(here), torch.stack(there), rtol=1e-12, atol=0)
    slope = gradient(here.total, z)
    assert not slope[ignored].any()
    torch.testing.assert_close(slope, gradient(there.total, z))
    # what stands in an ignored place does not matter, whatever it is
    odd = z.detach().clone()
    odd[ignored] = math.nan
    torch.testing.assert_close(objective(odd, masked).total, here.total.detach())
    # and another mark than -100 will do
    masked[ignored] = -1
    torch.testing.assert_close(
        RewardObjective(2.0, name, ignore_index=-1)(z, masked).total, here.total
    )


@pytest.mark.parametrize("alpha", [0, 1, math.inf])
def test_nothing_to_learn_is_zero_and_can_be_walked_back(alpha):
    z, y = batch(3, 4)
    loss = RewardObjective(alpha)(z, torch.full_like(y, -100))
    assert [float(term.detach()) for term in loss] == [0, 0, 0]
    assert not gradient(loss.total, z).any()


@EVERY
@pytest.mark.parametrize("shape", [(9,), (9, 1), (3, 5)])
def test_one_logit_is_the_binary_form(name, shape):
    random = torch.Generator().manual_seed(1)
    z = torch.randn(*shape, generator=random, dtype=torch.float64, requires_grad=True)
    y = torch.randint(2, (9,) if shape == (9, 1) else shape, generator=random)
    objective = RewardObjective(2.0, name)
    loss = objective(z, y)
    flat, labels = z.reshape(-1), y.reshape(-1)
    bce = binary_cross_entropy_with_logits(flat, labels.double())
    torch.testing.assert_close(loss.prediction, bce, rtol=1e-9, atol=0)
    p = flat.sigmoid()
    torch.testing.assert_close(gradient(loss.prediction, z).reshape(-1), (p - labels) / len(p))
    two = objective(
        torch.stack([1.7 * torch.ones_like(flat), flat + 1.7], -1), labels
    )  # softmax ignores the shift
    torch.testing.assert_close(torch.stack(loss), torch.stack(two))
    right, hits = torch.where(labels == 1, p, 1 - p), (p * labels).sum()
    tp, fp, fn, tn = hits, p.sum() - hits, labels.sum() - hits, ((1 - p) * (1 - labels)).sum()
    expected = {
        "expected_accuracy": right.mean(),
        "gce": 1 - (1 - right**0.7).mean() / 0.7,
        "soft_f1": 2 * hits / (p.sum() + labels.sum()),
        "soft_f1_macro": 2 * hits / (p.sum() + labels.sum()),  # one positive class
        "soft_fbeta": 5 * hits / (p.sum() + 4 * labels.sum()),
        "tversky": tp / (tp + 0.3 * fp + 0.7 * fn),
        "dice": 2 * hits / ((p * p).sum() + labels.sum()),
        "soft_mcc": (tp * tn - fp * fn) / ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)).sqrt(),
        "smooth_ap": torch.stack(
            [ranked(flat, labels, i, 1.0) for i in labels.nonzero()[:, 0]]
        ).mean(),
    }
    torch.testing.assert_close(1 - loss.reward, expected[name])


def ranked(s, labels, i, tau):
    """One term of SmoothAP: the scores are the logits themselves."""
    above = ((s - s[i]) / tau).sigmoid()
    above = torch.cat([above[:i], above[i + 1 :]]), torch.cat([labels[:i], labels[i + 1 :]])
    return (1 + (above[0] * above[1]).sum()) / (1 + above[0].sum())


@EVERY
def test_tokens_are_items(name):
    z, y = batch(3, 7)
    y[0, 4:], y[2, 1:] = -100, -100
    objective = RewardObjective(2.0, name)
    torch.testing.assert_close(
        torch.stack(objective(z, y)), torch.stack(objective(z.reshape(21, 4), y.reshape(21)))
    )


@SAMPLED
def test_a_sampled_reward_through_the_same_objective(name):
    """The value is the mean reward of the samples; words to ignore, wherever they stand, are not
    there.
    """
    z, y = batch(5, 9, seed=3, classes=5)
    ignored = torch.zeros(5, 9, dtype=torch.bool)
    ignored[0, 3:], ignored[1, 0], ignored[2, [2, 4, 5]], ignored[3] = True, True, True, True
    masked = y.masked_fill(ignored, -100)
    odd = z.detach().masked_fill(ignored[..., None], math.nan).requires_grad_()
    objective = RewardObjective(2.0, name)
    torch.manual_seed(0)
    loss = objective(odd, masked)
    torch.testing.assert_close(loss.total, loss.prediction + 2 * loss.reward)
    assert 0 <= loss.reward <= 1 and gradient(loss.total, odd).isfinite().all()
    assert (
        not gradient(loss.total, odd)[ignored].any() and gradient(loss.reward, odd)[~ignored].any()
    )
    # a sure model scores what its answer scores, and no sample differs
    sure = torch.nn.functional.one_hot(y, 5) * 200.0
    assert objective(sure, masked).reward == 0
    half = masked.clone()
    half[half > 0] = 0  # nothing found
    value = 1 - float(
        objective(torch.nn.functional.one_hot(half.clamp_min(0), 5) * 200.0, masked).reward
    )
    kept = masked != -100
    assert value == (
        pytest.approx(float((y[kept] == 0).double().mean())) if name == "accuracy" else 0
    )


@SAMPLED
@pytest.mark.parametrize("alpha", [0, 1, math.inf])
def test_a_sampled_reward_takes_what_the_others_take(name, alpha):
    objective = RewardObjective(alpha, name)
    for z, y in (batch(12, classes=3), batch(3, 4, classes=3), batch(1, classes=3)):
        loss = objective(z, y)
        assert all(term.isfinite() for term in loss) and gradient(loss.total, z).isfinite().all()
    z, y = batch(3, 4)
    nothing = objective(z, torch.full_like(y, -100))
    assert [float(term.detach()) for term in nothing] == [0, 0, 0] and not gradient(
        nothing.total, z
    ).any()
    if name == "entity_f1":  # two classes are no IOB2 tags
        return
    flat = torch.randn(9, requires_grad=True)
    assert gradient(objective(flat, torch.tensor([0, 1, 1] * 3)).total, flat).isfinite().all()


def test_a_function_of_the_users_own():
    """Its mean gradient is the gradient of its expectation."""

    def no_repeat(sampled, labels):
        assert sampled.shape == (4, *labels.shape) and labels.shape == (2, 3)
        return (
            ((sampled[..., 1:] != sampled[..., :-1]) & (labels[:, 1:] != -100)).double().mean(-1)
        )  # a sentence each

    z, y = batch(2, 3, classes=2)
    y[1, 2] = -100
    objective = RewardObjective(math.inf, sampled_reward(no_repeat, samples=4))
    torch.manual_seed(5)
    slopes = torch.stack([gradient(objective(z, y).total, z) for _ in range(3000)])
    p = z.softmax(-1)
    differ = [(p[s, t] * (1 - p[s, t + 1])).sum() for s, t in ((0, 0), (0, 1), (1, 0))]
    exact = gradient(-sum(differ) / 4, z)
    assert ((slopes.mean(0) - exact).abs() <= 4.5 * slopes.std(0) / 3000**0.5 + 1e-12).all()
    with pytest.raises(
        ValueError, match=r"returned shape \(3,\).*expected \(samples,\) or \(samples, sentences\)"
    ):
        RewardObjective(1.0, sampled_reward(lambda sampled, labels: torch.zeros(3), samples=8))(
            z, y
        )


def test_shapes_and_labels_that_do_not_fit_are_named():
    objective = RewardObjective()
    z, y = batch(6)
    for logits, labels in ((z, y[:5]), (z[None], y), (z[:, :0], y), (torch.zeros(()), y)):
        with pytest.raises(ValueError) as caught:
            objective(logits, labels)
        assert str(tuple(logits.shape)) in str(caught.value) and str(tuple(labels.shape)) in str(
            caught.value
        )
    for wrong in (4, -1, 99):
        with pytest.raises(ValueError, match=f"label {wrong}; expected 0 to 3, or -100"):
            objective(z, torch.cat([y[:5], torch.tensor([wrong])]))


def test_another_background():
    z, y = batch(30)
    loss = RewardObjective(math.inf, "soft_f1", background=2)(z, y)
    p, others = z.softmax(-1), [0, 1, 3]
    hits = sum(p[i, c] for i, c in enumerate(y) if c != 2)
    torch.testing.assert_close(1 - loss.total, 2 * hits / (p[:, others].sum() + (y != 2).sum()))


def test_half_precision_is_computed_in_single():
    z, y = batch(16)
    rounded = z.detach().bfloat16()
    here, there = RewardObjective(1.0)(rounded, y), RewardObjective(1.0)(rounded.float(), y)
    assert here.total.dtype == torch.float32 and here.total.equal(there.total)
