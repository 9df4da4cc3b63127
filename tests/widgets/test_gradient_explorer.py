"""The gradient explorer against gradients worked out by hand, in numpy and plain Python."""

import math
import re

import numpy as np
import pytest

from rmlib.loss import gradients
from rmlib.loss.rewards import REWARDS
from rmlib.widgets import GradientExplorer
from rmlib.widgets.gradient.numbers import AUTO, CENTRAL, CLOSED, EPSILON, PLAIN
from tests.selection import mostly_long

REWARD_NAMES = [name for name, reward in REWARDS.items() if not reward.sampled]
# The batch that the explorer starts with.
P = np.array([0.9, 0.6, 0.3, 0.2, 0.7, 0.05])
Y = np.array([1, 1, 1, 0, 0, 0])


def reward_derivative(reward, p=P, y=Y):
    """dR/dŷ of each item, by the formulas of the lesson."""
    tp, predicted, actual, n = (p * y).sum(), p.sum(), y.sum(), len(y)
    right = np.where(y == 1, p, 1 - p)
    f1, f2 = 2 * tp / (predicted + actual), 5 * tp / (predicted + 4 * actual)
    below = tp + 0.3 * (predicted - tp) + 0.7 * (actual - tp)
    return {
        "expected_accuracy": (2 * y - 1) / n,
        "gce": (2 * y - 1) * right**-0.3 / n,
        "soft_f1": (2 * y - f1) / (predicted + actual),
        "soft_f1_macro": (2 * y - f1) / (predicted + actual),
        "soft_fbeta": (5 * y - f2) / (predicted + 4 * actual),
        "tversky": (y - tp / below * (y + 0.3 * (1 - y) - 0.7 * y)) / below,
        "dice": 2 * (y - 2 * tp / ((p**2).sum() + actual) * p) / ((p**2).sum() + actual),
    }[reward]


def loss_gradient(reward, alpha, p=P, y=Y):
    """dL/dz of each item."""
    of_reward = -reward_derivative(reward, p, y) * p * (1 - p)
    return of_reward if alpha == math.inf else (p - y) / len(y) + alpha * of_reward


@pytest.fixture
def explorer():
    return GradientExplorer()


@pytest.mark.parametrize(
    "reward",
    ["expected_accuracy", "gce", "soft_f1", "soft_f1_macro", "soft_fbeta", "tversky", "dice"],
)
def test_three_ways_give_the_formulas(explorer, reward):
    explorer.reward = reward
    for alpha in (0, 0.3, 10, math.inf):
        explorer.alpha = alpha
        expected = loss_gradient(reward, alpha)
        found = explorer.gradients
        assert found[CLOSED] == pytest.approx(expected, rel=1e-12)
        assert found[AUTO] == pytest.approx(expected, rel=1e-12)
        assert found[CENTRAL] == pytest.approx(expected, rel=1e-7)
        assert found[PLAIN] == pytest.approx((P - Y) / 6, rel=1e-12)
        assert explorer.factors == pytest.approx(expected / ((P - Y) / 6), rel=1e-9)


@pytest.mark.parametrize("reward", REWARD_NAMES)
def test_three_ways_agree_for_every_reward(explorer, reward):
    explorer.reward = reward
    for alpha in (0, 1, 100, math.inf):
        explorer.alpha = alpha
        assert set(explorer.errors) == {CLOSED, AUTO, CENTRAL}
        assert (
            max(explorer.errors[CLOSED], explorer.errors[AUTO]) < 1e-11
            and explorer.errors[CENTRAL] < 1e-6
        )


def test_expected_accuracy_weighs_by_one_plus_alpha_p(explorer):
    right = np.where(Y == 1, P, 1 - P)
    for alpha, factors in (
        (0, np.ones(6)),
        (1, 1 + right),
        (30, 1 + 30 * right),
        (math.inf, right),
    ):
        explorer.alpha = alpha
        assert explorer.factors == pytest.approx(factors, rel=1e-9)
        for k in range(6):
            assert f"Item {k + 1} (y = {Y[k]}, ŷ = {P[k]:g})" in explorer.text
            assert f"factor {factors[k]:.3f}." in explorer.text
        header = "p_y" if alpha == math.inf else "1+α·p_y"
        assert any(header in text.get_text().split() for text in explorer.figure.axes[0].texts)


def test_the_threshold_of_f1_is_half_of_f1(explorer):
    """And it moves with the batch, while that of accuracy stays."""
    assert explorer.threshold == pytest.approx(0.5)
    for item, y_hat, label in ((1, 0.9, 1), (5, 0.1, 0), (3, 0.95, 1), (4, 0.2, 1)):
        explorer.item, explorer.y_hat, explorer.label = item, y_hat, label
        p, y = np.array(explorer.state.y_hats), np.array(explorer.state.labels)
        tp, both = (p * y).sum(), p.sum() + y.sum()
        for reward, threshold in (
            ("expected_accuracy", 1 / 2),
            ("soft_f1", tp / both),
            ("soft_f1_macro", tp / both),
            ("soft_fbeta", tp / (p.sum() + 4 * y.sum())),
        ):
            explorer.reward = reward
            assert explorer.threshold == pytest.approx(threshold, rel=1e-9)
            assert f"dR/dŷ: up where ρ > {threshold:.3f} = " in explorer.text


@pytest.mark.parametrize("reward", ["soft_f1", "tversky", "soft_mcc"])
def test_the_mean_derivative_changes_its_sign_at_the_threshold(explorer, reward):
    """For an item whose label is 1 with probability ρ, in so large a batch that it hardly matters.

    The batch is repeated 10,000 times, and the item is in it once.
    """
    explorer.reward = reward
    p, y = (np.append(np.tile(one, 10_000), 0.4) for one in (P, Y))

    def value(p, rho):
        """R with the expected counts when the last label is 1 with probability ρ."""
        y[-1] = rho
        tp, predicted, actual, n = (p * y).sum(), p.sum(), y.sum(), len(y)
        if reward == "soft_mcc":
            return (n * tp - predicted * actual) / math.sqrt(
                predicted * (n - predicted) * actual * (n - actual)
            )
        a, b = (0.5, 0.5) if reward == "soft_f1" else (0.3, 0.7)
        return tp / (tp + a * (predicted - tp) + b * (actual - tp))

    step = np.append(np.zeros(len(p) - 1), 1e-3)
    for rho, sign in ((explorer.threshold - 0.01, -1), (explorer.threshold + 0.01, 1)):
        assert sign * (value(p + step, rho) - value(p - step, rho)) > 0


@pytest.mark.parametrize("reward", ["gce", "dice", "smooth_ap"])
def test_where_the_derivative_depends_on_y_hat_there_is_no_threshold(explorer, reward):
    explorer.reward = reward
    assert explorer.threshold is None and "depends on the item's own ŷ." in explorer.text


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("reward", mostly_long(REWARD_NAMES, "soft_f1", "smooth_ap"))
def test_a_batch_of_one_label_can_be_drawn(explorer, reward, label):
    explorer.reward = reward
    for item in range(1, 7):
        explorer.item, explorer.label = item, label
    assert explorer.threshold is None and "one label only." in explorer.text
    assert all(np.isfinite(g).all() for g in explorer.gradients.values())


def test_in_float32_and_with_a_tiny_step_the_three_methods_differ(explorer):
    explorer.reward = "soft_f1"
    error = {}
    for precision in ("float64", "float32"):
        for epsilon in EPSILON:
            explorer.precision, explorer.epsilon = precision, epsilon
            error[precision, epsilon] = explorer.errors[CENTRAL]
            assert explorer.errors[AUTO] < {"float64": 1e-14, "float32": 1e-5}[precision]
    assert error["float64", 1e-1] > 100 * error["float64", 1e-3]  # the curve
    assert error["float64", 1e-10] > 100 * error["float64", 1e-5]  # rounding
    assert error["float32", 1e-5] > 1000 * error["float64", 1e-5]
    assert error["float32", 1e-10] == 1 and not explorer.gradients[CENTRAL].any()  # z + ε is z
    assert "central differences 1e+00" in explorer.text
    assert any(
        "central differences 1e+00" in text.get_text() for text in explorer.figure.axes[0].texts
    )


def test_all_in_float32_is_computed_in_float32(explorer):
    """The relative errors are those of 24 bits: neither exact nor worse than a few units in the
    last place.
    """
    explorer.reward, explorer.precision = "soft_mcc", "float32"
    for method in (CLOSED, AUTO):
        assert 1e-9 < explorer.errors[method] < 1e-5


def test_the_alt_text_has_the_numbers_of_all_methods_for_the_item(explorer):
    explorer.reward, explorer.alpha, explorer.item = "soft_f1", 3, 5
    g = loss_gradient("soft_f1", 3)[4]
    values = f"{CLOSED} {g:.4g}, {AUTO} {g:.4g}, {CENTRAL} {g:.4g}, {PLAIN} {0.7 / 6:.4g}"
    assert f"Item 5 (y = 0, ŷ = 0.7): {values}, factor {g / (0.7 / 6):.3f}." in explorer.text
    worst = re.search(r"Largest relative error: (.*?)\. ", explorer.text)[1]
    assert worst == ", ".join(
        f"{name} {error:.0e}" if error else f"{name} 0" for name, error in explorer.errors.items()
    )
    assert "soft_f1, α = 3, float64, ε = 1e-5." in explorer.text


def test_the_arrows_of_the_picture_are_the_gradients(explorer):
    explorer.reward, explorer.alpha, explorer.precision, explorer.epsilon = (
        "tversky",
        10,
        "float32",
        1e-4,
    )
    axes = explorer.figure.axes[0]
    drawn = [np.array(line.get_data()) for line in axes.lines if len(line.get_xdata()) == 18]
    assert len(drawn) == 4
    for (x, y), g in zip(drawn, explorer.gradients.values(), strict=True):
        assert x[1::3] == pytest.approx(g) and not x[::3].any() and np.isnan(x[2::3]).all()
        assert list(y[1::3]) == sorted(y[1::3], reverse=True)  # item 1 on top
    shown = [g for name, g in explorer.gradients.items() if name != CENTRAL]
    assert np.abs(shown).max() < axes.get_xlim()[1]
    widths = [line.get_linewidth() for line in axes.lines if len(line.get_xdata()) == 18]
    assert widths[0] > widths[1] > widths[2]  # so that three on each other can be seen


@pytest.mark.parametrize("reward", mostly_long(REWARD_NAMES, "soft_f1", "smooth_ap"))
def test_every_reward_has_its_picture(explorer, reward):
    before = explorer.png
    explorer.alpha, explorer.reward = 100, reward
    assert explorer.png != before and f"items, {reward}, α = 100," in explorer.text


def test_every_control_changes_the_picture(explorer):
    explorer.reward = "soft_f1"
    before = explorer.png
    moves = {
        "alpha": 3,
        "item": 4,
        "y_hat": 0.55,
        "label": 1,
        "epsilon": 1e-2,
        "precision": "float32",
        "reward": "dice",
    }
    for name, value in moves.items():
        setattr(explorer, name, value)
        assert explorer.png != before, name
        before = explorer.png


def test_each_item_keeps_its_probability_and_its_label(explorer):
    explorer.y_hat, explorer.label = 0.4, 0
    explorer.item = 5
    assert (explorer.y_hat, explorer.label) == (0.7, 0)
    explorer.y_hat, explorer.label = 0.15, 1
    explorer.item = 1
    assert (explorer.y_hat, explorer.label) == (0.4, 0)
    assert explorer.state.y_hats == (0.4, 0.6, 0.3, 0.2, 0.15, 0.05) and explorer.state.labels == (
        0,
        1,
        1,
        0,
        1,
        0,
    )
    p, y = np.array(explorer.state.y_hats), np.array(explorer.state.labels)
    assert explorer.gradients[CLOSED] == pytest.approx(
        loss_gradient("expected_accuracy", 1, p, y), rel=1e-12
    )
    assert (
        "Item 1 (y = 0, ŷ = 0.4)" in explorer.text and "Item 5 (y = 1, ŷ = 0.15)" in explorer.text
    )


def test_a_reward_without_a_closed_form_shows_two_arrows_and_says_so(explorer, monkeypatch):
    monkeypatch.delitem(gradients.CLOSED_FORMS, "soft_f1")
    explorer.reward = "soft_f1"
    assert list(explorer.gradients) == [AUTO, CENTRAL, PLAIN] and set(explorer.errors) == {
        AUTO,
        CENTRAL,
    }
    assert "no closed form for this reward" in explorer.text and CLOSED + " -" not in explorer.text
    drawn = [line for line in explorer.figure.axes[0].lines if len(line.get_xdata()) == 18]
    assert (
        sum(bool(np.isfinite(line.get_xdata()).any()) for line in drawn) == 3
    )  # with cross-entropy alone
