"""The landscape explorer against formulas in numpy and the metrics of scikit-learn."""

import math
import re

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import accuracy_score, f1_score

from rmlib.errors import RmlibValueError
from rmlib.loss.rewards import REWARDS
from rmlib.widgets import LandscapeExplorer
from rmlib.widgets.framework.explorer import ALPHAS
from rmlib.widgets.landscape.numbers import (
    AXIS,
    CONDITIONS,
    STARTS,
    data,
    decision_line,
    descents,
    surface,
)
from tests.selection import mostly_long

REWARD_NAMES = [name for name, reward in REWARDS.items() if not reward.sampled]


@pytest.fixture(scope="module")
def explorer():
    """One for all tests: each sets what it needs."""
    return LandscapeExplorer()


def items(condition):
    """x, true y, labels and bias as numpy, the last worked out anew."""
    x, y, labels, _ = map(np.asarray, data(condition))
    return x, y, labels, np.log(labels.sum() / (1 - labels).sum())


def by_hand(w, alpha, reward, condition):
    """L_p, R and L of the classifier, from the formulas."""
    x, _, y, bias = items(condition)
    z = x @ np.array(w) + bias
    p = 1 / (1 + np.exp(-z))
    right = np.where(y == 1, p, 1 - p)
    l_p = np.logaddexp(
        0, np.where(y == 1, -z, z)
    ).mean()  # the mean of -log(right) without its rounding
    above = 1 / (
        1 + np.exp(z[y == 1][:, None] - z)
    )  # how far item j is above the positive i, with τ = 1
    tp = (p * y).sum()
    r = {
        "expected_accuracy": right.mean(),
        "gce": 1 - ((1 - right**0.7) / 0.7).mean(),
        "soft_f1": 2 * tp / (p.sum() + y.sum()),
        "soft_f1_macro": 2 * tp / (p.sum() + y.sum()),
        "soft_fbeta": 5 * tp / (p.sum() + 4 * y.sum()),
        "tversky": tp / (tp + 0.3 * (p * (1 - y)).sum() + 0.7 * ((1 - p) * y).sum()),
        "dice": 2 * tp / ((p**2).sum() + y.sum()),
        "smooth_ap": (
            (above @ y + 0.5) / (above.sum(1) + 0.5)
        ).mean(),  # σ(0) = 1/2 of the item itself counts as 1
        "soft_mcc": np.cov(p, y, ddof=0)[0, 1]
        / np.sqrt(p.mean() * (1 - p.mean()) * y.mean() * (1 - y.mean())),
    }[reward]
    return l_p, r, 1 - r if alpha == math.inf else l_p + alpha * (1 - r)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_items_are_those_of_the_data_set(condition):
    """Each is a row of the set, with the stated numbers of malignant items and flipped labels."""
    source = load_breast_cancer()
    columns = [
        list(source.feature_names).index(name) for name in ("mean texture", "mean concavity")
    ]
    whole = source.data[:, columns]
    rows = (whole - whole.mean(0)) / whole.std(0)
    x, y, labels, bias = items(condition)
    for one, label in zip(x, y, strict=True):
        (at,) = np.flatnonzero(np.isclose(rows, one).all(1))
        assert source.target_names[source.target[at]] == ("malignant" if label else "benign")
    assert x.shape == (150, 2) and len(np.unique(x, axis=0)) == 150
    assert (labels != y).sum() == (30 if condition == "noisy labels" else 0)
    assert condition != "few positives" or y.sum() == 15
    assert data(condition).bias == pytest.approx(bias)


@pytest.mark.parametrize("reward", REWARD_NAMES)
def test_the_loss_and_its_surface_are_the_formulas(explorer, reward):
    explorer.reward, explorer.condition = reward, "noisy labels"
    for alpha in (0, 3, math.inf):
        explorer.alpha = alpha
        for w in ((0.0, 0.0), (-1.5, 2.0), (6.0, 3.5)):
            l_p, r, total = by_hand(w, alpha, reward, "noisy labels")
            got = explorer.loss_at(*w)
            assert (got.prediction, 1 - got.reward, got.total) == pytest.approx(
                (l_p, r, total), rel=1e-9
            )
    for row, column in ((0, 0), (40, 3), (17, 29)):
        l_p, r, _ = by_hand(
            (AXIS[column], AXIS[row]), 0, reward, "noisy labels"
        )  # w1 to the right, w2 up
        assert [part[row, column] for part in surface(reward, "noisy labels")] == pytest.approx(
            [l_p, 1 - r]
        )


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("reward", mostly_long(REWARD_NAMES, "soft_f1"))
def test_the_loss_falls_at_every_step_from_every_start_for_every_alpha(explorer, reward, condition):
    explorer.reward, explorer.condition = reward, condition
    for start, first in STARTS.items():
        assert descents(reward, condition, start).shape == (len(ALPHAS), 101, 2)
        for alpha in ALPHAS:
            explorer.alpha, explorer.start = alpha, start
            path = explorer.path
            assert tuple(path[0]) == first and explorer.end == tuple(path[-1])
            assert AXIS[0] < path.min() and path.max() < AXIS[-1]  # all of it can be seen
            losses = [explorer.loss_at(*w).total for w in path[::10]]
            assert all(
                after <= before + 1e-9 for before, after in zip(losses, losses[1:], strict=False)
            )
            assert losses[-1] < losses[0]


def test_each_step_follows_the_gradient(explorer):
    """Along the gradient by central differences of the formula, for one α in the middle."""
    explorer.alpha, explorer.reward, explorer.condition, explorer.start = (
        10,
        "soft_f1",
        "few positives",
        "too confident",
    )
    path, h = explorer.path, 1e-3
    for k in (0, 20, 60):
        w, step = path[k], path[k + 1] - path[k]
        differences = [
            (
                by_hand(w + d, 10, "soft_f1", "few positives")[2]
                - by_hand(w - d, 10, "soft_f1", "few positives")[2]
            )
            for d in (np.array([h, 0]), np.array([0, h]))
        ]
        assert step == pytest.approx(-2 * np.array(differences) / (2 * h) / 11, abs=1e-6)


def test_without_the_reward_the_end_is_that_of_logistic_regression(explorer):
    """Newton's method on the cross-entropy with the bias held, and from every start."""
    x, _, y, bias = items("all")
    w = np.zeros(2)
    for _ in range(20):
        p = 1 / (1 + np.exp(-(x @ w + bias)))
        w -= np.linalg.solve((x.T * (p * (1 - p))) @ x, x.T @ (p - y))
    for reward in ("soft_f1", "dice"):
        for start in STARTS:
            explorer.alpha, explorer.reward, explorer.condition, explorer.start = (
                0,
                reward,
                "all",
                start,
            )
            assert explorer.end == pytest.approx(w, abs=0.02)


def test_the_weight_of_the_reward_changes_where_it_ends(explorer):
    """With few positives F1 asks for a lower threshold: the line comes nearer, and the exact F1
    rises.
    """
    explorer.reward, explorer.condition, explorer.start = "soft_f1", "few positives", "zero"
    far, f1 = [], []
    for alpha in (0, 0.1, 1):
        explorer.alpha = alpha
        far.append(abs(items("few positives")[3]) / math.hypot(*explorer.end))
        f1.append(explorer.f1)
    assert far[0] > far[1] > far[2] and f1[0] < f1[2]


def test_the_reward_alone_can_stay_where_cross_entropy_recovers(explorer):
    explorer.reward, explorer.condition, explorer.start = "smooth_ap", "few positives", "wrong way"
    explorer.alpha = 0
    with_cross_entropy = explorer.f1
    explorer.alpha = math.inf
    assert explorer.f1 == 0 < with_cross_entropy


@pytest.mark.parametrize(
    ("alpha", "reward", "condition", "start"),
    [
        (1, "soft_f1", "few positives", "zero"),
        (math.inf, "expected_accuracy", "noisy labels", "too confident"),
        (30, "soft_fbeta", "all", "wrong way"),
    ],
)
def test_the_alt_text_has_the_numbers(explorer, alpha, reward, condition, start):
    explorer.alpha, explorer.reward, explorer.condition, explorer.start = (
        alpha,
        reward,
        condition,
        start,
    )
    x, y, _, bias = items(condition)
    found = x @ np.array(explorer.end) + bias > 0
    l_p, r, total = by_hand(explorer.end, alpha, reward, condition)
    accuracy, f1 = accuracy_score(y, found), f1_score(y, found)
    assert (explorer.accuracy, explorer.f1) == pytest.approx((accuracy, f1))
    w1, w2 = explorer.end
    numbers = f"L {total:.3f}, L_p {l_p:.3f}, R {r:.3f}, accuracy {accuracy:.3f}, F1 {f1:.3f}"
    assert f"After 100 steps w is ({w1:.2f}, {w2:.2f}): {numbers}." in explorer.text
    assert f"{y.sum()} of 150 malignant" in explorer.text and "seed 0" in explorer.text
    square = [by_hand((a, b), alpha, reward, condition)[2] for b in AXIS for a in AXIS]
    low = int(np.argmin(square))
    assert (
        f"grid: {square[low]:.3f} at ({AXIS[low % 41]:.2f}, {AXIS[low // 41]:.2f})" in explorer.text
    )
    shown = f"accuracy {accuracy:.3f}, F1 {f1:.3f}"
    assert any(text.get_text().endswith(shown) for text in explorer.figure.axes[0].texts)
    explorer.alpha = 0
    plain = re.search(r"With α = 0 the end is (.*?): L_p", explorer.text)[1]
    assert f"After 100 steps w is {plain}: " in explorer.text


def test_the_picture_shows_the_path_and_the_line(explorer):
    explorer.alpha, explorer.reward, explorer.condition, explorer.start = (
        3,
        "tversky",
        "all",
        "zero",
    )
    before, surface_axes, data_axes = explorer.png, *explorer.figure.axes[:2]
    assert any(np.array_equal(np.c_[line.get_data()], explorer.path) for line in surface_axes.lines)
    _, _, labels, bias = items("all")
    drawn = {len(line.get_xdata()) for line in data_axes.lines}
    assert {labels.sum(), (1 - labels).sum()} <= drawn
    (line,) = (line for line in data_axes.lines if line.get_label() == "this α")
    for point in zip(*line.get_data(), strict=True):
        assert np.dot(point, explorer.end) + bias == pytest.approx(0, abs=1e-9)
    for name, value in (
        ("alpha", 10),
        ("reward", "dice"),
        ("condition", "noisy labels"),
        ("start", "too confident"),
    ):
        setattr(explorer, name, value)
        assert explorer.png != before
        before = explorer.png
    explorer.alpha = 0
    assert explorer.picture and not line.get_visible()  # it would be the same as the other


def test_a_classifier_without_weights_has_no_line():
    assert decision_line((0.0, 0.0), -1.0) == ([], [])


@pytest.mark.parametrize("w", [(math.nan, 0.0), (0.0, math.inf)])
def test_weights_have_to_be_finite(explorer, w):
    with pytest.raises(RmlibValueError, match="expected two finite numbers"):
        explorer.loss_at(*w)


def test_the_path_that_is_handed_out_is_a_copy(explorer):
    path = explorer.path
    path[:] = 0
    assert explorer.end != (0, 0)
