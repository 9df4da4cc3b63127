"""Grids of heads: the losses are the objective's, choices see validation only, known effects of
theory come out.
"""

import math

import numpy as np
import pytest
import torch

from rmlib.loss.objective import RewardObjective
from rmlib.loss.rewards import REWARDS, find
from rmlib.studies.bootstrap import MEASURES, over_seeds
from rmlib.studies.sentiment_data import CONDITIONS, Condition, Part, Split
from rmlib.studies.sentiment_methods import (
    CONTROLS,
    METHODS,
    Method,
    Run,
    choose,
    leaks,
    losses,
    probabilities,
    scores,
    train,
    train_grid,
)


def toy(seed: int, flip: float = 0.3, n: int = 300, width: int = 20, test: int = 2000) -> Split:
    """A linearly separable problem with noisy training and validation labels."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=width)
    parts = []
    for number, size in enumerate((n, n, test)):
        x = rng.normal(size=(size, width))
        y = (x @ truth > 0).astype(int)
        y = y if number == 2 else np.where(rng.random(size) < flip, 1 - y, y)
        parts.append(Part(torch.from_numpy(x).float(), y, np.arange(size) + 10_000 * number))
    return Split(Condition(), seed, *parts)


def test_every_method_has_the_same_number_of_trials():
    assert {method.trials for method in METHODS.values()} == {80}


@pytest.mark.parametrize(
    "name", [name for name, method in METHODS.items() if name != "ce, weighted"]
)
def test_losses_are_those_of_the_objective(name):
    settings = METHODS[name].settings[::7]
    z = torch.randn(len(settings), 60, generator=torch.Generator().manual_seed(0))
    y = (torch.arange(60) % 3 == 0).long()
    values = losses(z, y, settings)
    sampled = any(row[0] and row[0].sampled for row in settings)
    for logits, value, (reward, alpha, _, _) in zip(z, values, settings, strict=True):
        wanted = RewardObjective(alpha, reward or "gce")(logits, y).total
        assert float(value) == pytest.approx(float(wanted), rel=0.2 if sampled else 1e-5)


def test_weights_of_the_classes():
    z, y = torch.randn(2, 40), (torch.arange(40) % 5 == 0).long()
    none, full = losses(z, y, [(None, 0.0, 0.0, 1.0), (None, 0.0, 1.0, 1.0)])
    assert none == pytest.approx(
        torch.nn.functional.binary_cross_entropy_with_logits(z[0], y.float())
    )
    each = torch.nn.functional.binary_cross_entropy_with_logits(z[1], y.float(), reduction="none")
    assert full == pytest.approx((each[y == 1].mean() + each[y == 0].mean()) / 2)


def test_heads_of_a_grid_do_not_disturb_each_other():
    split, reward = toy(0), REWARDS["soft_f1"]
    one = Method((reward,), (10.0,), decays=(3.0,), stops=(25,))
    several = Method((reward,), (0.1, 10.0, math.inf), decays=(0.3, 3.0), stops=(10, 25))
    index = [setting[1:] for setting in several.settings].index((10.0, 0.0, 3.0))
    alone = train_grid(split, one)[25]
    together = train_grid(split, several)[25]
    assert torch.allclose(together[index], alone[0], atol=1e-6)


def test_the_best_head_on_validation_is_selected_and_of_equals_the_first():
    y = np.array([1, 1, 0, 0])
    p = np.array([[0.6, 0.4, 0.4, 0.4], [0.6, 0.6, 0.4, 0.4], [0.9, 0.9, 0.1, 0.1]])
    assert choose(p, y, "accuracy", tuned=False) == (1, 0.5, 1.0)
    best, threshold, value = choose(p[:1] / 2, y, "accuracy", tuned=True)
    assert (best, value) == (0, 0.75) and 0.2 < threshold <= 0.3


def test_scores_of_a_perfect_run():
    y = np.array([1, 0, 1, 0])
    run = Run(0.0, "", 1.0, 10, 0.5, 1.0, np.array([0.9, 0.1, 0.8, 0.2]))
    test = scores(y, run)
    for name in ("accuracy", "f1", "balanced_accuracy", "average_precision"):
        assert test[name] == 1
    assert test["brier"] == pytest.approx(0.025)
    assert test["calibration_error"] == pytest.approx(0.15)


@pytest.mark.long
@pytest.mark.parametrize("name", ["ce, tuned threshold", "ce, weighted", "soft_f1", "accuracy"])
def test_no_test_label_leaks(name):
    assert leaks(toy(1), METHODS[name]) == []


def test_a_planted_leak_is_caught():
    def cheat(split, method):
        honest = train(split, method)
        by_test = max((0.3, 0.5, 0.7), key=lambda t: ((honest.test >= t) == split.test.y).mean())
        return honest._replace(threshold=by_test)

    assert leaks(toy(1), METHODS["soft_f1"], cheat) == ["threshold"]
    split = toy(1)
    twice = Part(split.test.x, split.test.y, split.test.tweets - 20_000)
    assert leaks(Split(Condition(), 1, split.train, split.validation, twice), CONTROLS["ce"]) == [
        "tweet 0 in two parts"
    ]


def far_and_near(seed: int, flip: float) -> Split:
    """Linearly separable points, a quarter of them far away (Long and Servedio 2010)."""
    rng, parts = np.random.default_rng(seed), []
    kinds = np.array([[6, 0], [0.6, -0.6], [0.6, -0.6], [0.6, 3]])
    for number, size in enumerate((200, 200, 1000)):
        y = rng.integers(2, size=size)
        x = kinds[rng.integers(4, size=size)] * np.where(y == 1, 1, -1)[:, None]
        y = y if number == 2 else np.where(rng.random(size) < flip, 1 - y, y)
        parts.append(Part(torch.from_numpy(x).float(), y, np.arange(size) + 10_000 * number))
    return Split(Condition(), seed, *parts)


def accuracy_after(split: Split, alpha: float, steps: int = 300) -> float:
    """Test accuracy of a head trained with expected accuracy: little decay, no selection."""
    method = Method((find("expected_accuracy"),), (alpha,), decays=(0.001,), stops=(steps,))
    p = probabilities(split.test.x, train_grid(split, method)[steps])[0]
    return float(((p >= 0.5) == split.test.y).mean())


@pytest.mark.long
def test_with_symmetric_noise_expected_accuracy_beats_cross_entropy_on_a_separable_problem():
    """No convex loss tolerates this noise (Long and Servedio 2010), expected accuracy does (Ghosh,
    Kumar and Sastry 2017), and their sum with equal weights does not.
    """
    accuracy = {
        (flip, alpha): [accuracy_after(far_and_near(seed, flip), alpha) for seed in range(seeds)]
        for flip, seeds in ((0.0, 2), (0.3, 10))
        for alpha in (0.0, 1.0, 100.0)
    }
    assert all(np.mean(accuracy[0.0, alpha]) > 0.99 for alpha in (0.0, 1.0, 100.0)), accuracy
    gain = over_seeds(np.subtract(accuracy[0.3, 100.0], accuracy[0.3, 0.0]))
    assert gain.low > 0 and gain.mean > 0.05, gain
    of_sum = over_seeds(np.subtract(accuracy[0.3, 1.0], accuracy[0.3, 0.0]))
    assert abs(of_sum.mean) < gain.mean / 2


def test_the_soft_f1_of_small_batches_is_biased():
    """The mean of batch F1s is not the F1 of all items; small batches deviate more."""
    g = torch.Generator().manual_seed(0)
    z = torch.randn(25_600, generator=g)
    y = (torch.rand(25_600, generator=g) < 0.05 + 0.1 * torch.sigmoid(2 * z)).long()
    pairs = torch.stack([torch.zeros_like(z), z - 2], -1)
    f1 = REWARDS["soft_f1"].function
    whole = float(f1(pairs, y, 0))
    bias = {}
    for size in (16, 256):
        batches = zip(pairs.split(size), y.split(size), strict=True)
        bias[size] = np.mean([float(f1(a, b, 0)) for a, b in batches]) - whole
    assert abs(bias[16]) > 4 * abs(bias[256]) and abs(bias[16]) > 0.01, bias


def test_every_condition_has_a_measure_that_exists():
    assert {condition.measure for condition in CONDITIONS.values()} <= set(MEASURES)
    assert Condition().share is None
