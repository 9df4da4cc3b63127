"""The head: against scikit-learn at α = 0, and against its definition with every reward."""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from rmlib.errors import RmlibValueError
from rmlib.loss.objective import RewardObjective
from rmlib.loss.rewards import REWARDS
from rmlib.widgets.instant_head.linear_head import Head

LENGTHS = [7] * 60


@pytest.fixture(scope="module")
def items():
    """420 items in 5 classes (O, B-X, I-X, B-Y, I-Y), which overlap."""
    draw = torch.Generator().manual_seed(1)
    y = torch.randint(0, 5, (420,), generator=draw) * (torch.rand(420, generator=draw) < 0.6)
    x = torch.randn(420, 6, generator=draw) + torch.randn(5, 6, generator=draw)[y]
    return x, y


@pytest.fixture
def head(items):
    return Head(*items, 5, LENGTHS, weight_decay=0.01)


def penalised(x, y, w, b, decay) -> float:
    """L at α = 0 in float64, by numpy."""
    z = np.asarray(x, dtype=float) @ w + b
    top = z.max(1)
    log_p = z[range(len(y)), y] - top - np.log(np.exp(z - top[:, None]).sum(1))
    return -log_p.mean() + decay / 2 * (w**2).sum()


def sklearn_loss(x, y, decay) -> float:
    model = LogisticRegression(C=1 / (decay * len(y)), tol=1e-6, max_iter=5000).fit(
        x.double().numpy(), y.numpy()
    )
    return penalised(x, y, model.coef_.T, model.intercept_, decay)


def own_loss(head, weights) -> float:
    w = weights.double().numpy()
    return penalised(head.x[:, :-1], head.y, w[:-1], w[-1], head.weight_decay)


@pytest.mark.parametrize("decay", [1e-3, 0.1])
def test_at_alpha_0_it_is_what_scikit_learn_finds(items, decay):
    x, y = items
    head = Head(x, y, 5, weight_decay=decay)
    expected = sklearn_loss(x, y, decay)
    fit = head.fit(0)
    assert fit.converged and fit.loss.total == pytest.approx(expected, abs=1e-6)
    assert own_loss(head, fit.weights) == pytest.approx(expected, abs=1e-6)
    head.restart()
    assert not head.weights.any()
    assert head.fit(0, evaluations=200).loss.total == pytest.approx(expected, abs=1e-4)


@pytest.mark.long
def test_on_the_newswire_too(minilm):
    from rmlib.widgets.instant_head.numbers import newswire_features

    train, _ = newswire_features()
    head = Head(train.x, train.y, 9, train.lengths)
    expected = sklearn_loss(train.x, train.y, head.weight_decay)
    assert own_loss(head, head.base) == pytest.approx(expected, abs=1e-5)
    head.fit(10, "soft_f1")
    assert own_loss(head, head.weights) > expected + 0.01
    fit = head.fit(0)  # and back, within the evaluations of one fit
    assert fit.loss.total == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("reward", [name for name, one in REWARDS.items() if not one.is_expensive])
@pytest.mark.parametrize("alpha", [0, 1, 100, math.inf])
def test_the_loss_falls_to_a_point_without_gradient(head, reward, alpha):
    fit = head.fit(alpha, reward, evaluations=400)
    assert np.all(np.diff(fit.path) < 0) and fit.loss.total == pytest.approx(fit.path[-1], abs=1e-9)
    assert fit.converged and (fit.alpha, fit.reward) == (alpha, reward)
    # L and its gradient once more, from its definition in float64
    w = fit.weights.double().requires_grad_()
    z = head.x[:, :-1].double() @ w[:-1] + w[-1]
    decay = 0.005 * w[:-1].square().sum()
    total = RewardObjective(alpha, reward)(z, head.y).total + decay
    assert fit.loss.total == pytest.approx(float(total.detach()), rel=1e-5)
    norm = torch.autograd.grad(total, w)[0].norm()
    assert fit.gradient == pytest.approx(float(norm), abs=1e-4 * (1 + min(alpha, 100)))
    assert norm < 0.02 * (1 + min(alpha, 100))
    assert torch.allclose(fit.logits(head.x[:, :-1]), z.float(), atol=1e-4)
    assert torch.equal(head.weights, fit.weights)


@pytest.mark.parametrize("reward", [name for name, one in REWARDS.items() if one.is_expensive])
@pytest.mark.parametrize("alpha", [0, 1, 100, math.inf])
def test_expensive_rewards_rise_and_the_same_moves_give_the_same_head(items, reward, alpha):
    heads = [Head(*items, 5, LENGTHS, weight_decay=0.01) for _ in range(2)]
    torch.manual_seed(3)
    state = torch.get_rng_state()
    plain = heads[0].fit(0, reward)
    assert plain.converged and plain.reward == reward
    assert plain.loss.total == pytest.approx(sklearn_loss(*items, 0.01), abs=1e-6)
    first = heads[0].fit(alpha, reward)
    assert torch.equal(torch.get_rng_state(), state)  # the global generator is not used
    torch.manual_seed(4)
    heads[1].fit(0, reward)
    assert torch.equal(heads[1].fit(alpha, reward).weights, first.weights)
    assert first.loss.reward < plain.loss.reward - 0.002 if alpha else first.loss == plain.loss
    assert first.converged == (alpha == 0)


def test_a_batch_of_alphas_gives_what_each_gives_alone(head):
    alphas = [0, 0.3, 3, 100, math.inf]
    standing = head.weights
    together = head.sweep(alphas, "soft_f1", evaluations=300)
    assert head.weights is standing
    for alpha, fit in zip(alphas, together, strict=True):
        (alone,) = head.sweep([alpha], "soft_f1", evaluations=300)
        assert fit.alpha == alpha and fit.converged
        assert fit.loss.total == pytest.approx(alone.loss.total, rel=1e-4)
    rewards = [fit.loss.reward for fit in together[:4]]
    assert all(after < before for before, after in itertools.pairwise(rewards))


def test_evaluations_are_limited_and_a_second_call_continues(head):
    short = head.fit(100, "soft_f1", evaluations=3)
    assert short.evaluations == 3 and not short.converged
    longer = head.fit(100, "soft_f1", evaluations=300)
    assert longer.path[0] == pytest.approx(short.loss.total, rel=1e-6)
    assert longer.loss.total < short.loss.total
    assert longer.milliseconds > 0


def test_two_classes_of_texts_work_as_well(items):
    x, y = items
    head = Head(x, (y > 0).long(), 2)
    assert head.fit(1, "expected_accuracy").converged


@pytest.mark.parametrize(
    ("change", "say"),
    [
        ({"y": torch.zeros(3, dtype=torch.long)}, "expected .items, width."),
        ({"lengths": [3]}, "add up to 3"),
        ({"classes": 4}, "labels run from 0 to 4; expected 0 to 3"),
        ({"weight_decay": 0}, "weight_decay is 0"),
        ({"weight_decay": math.nan}, "weight_decay is nan"),
    ],
)
def test_what_does_not_fit_is_refused(items, change, say):
    with pytest.raises(RmlibValueError, match=say):
        Head(**{"x": items[0], "y": items[1], "classes": 5} | change)


def test_a_wrong_alpha_or_reward_is_refused(head):
    with pytest.raises(ValueError, match="alpha is -1"):
        head.fit(-1)
    with pytest.raises(ValueError, match="did you mean 'soft_f1'"):
        head.fit(1, "soft_f2")
