"""The loss explorer: its curves are the formulas, and it names the errors of the article's."""

import math

import pytest
from matplotlib.text import Text

from rmlib.errors import RmlibValueError
from rmlib.loss.rewards import REWARDS
from rmlib.widgets import LossExplorer
from rmlib.widgets.loss_explorer import binary_rewards
from tests.selection import mostly_long

OTHERS = [(0.8, 1), (0.6, 1), (0.3, 0)]


def by_hand(y_hat, alpha, reward, label):
    """L_p, L_r and L of the four items, from the formulas of the lesson and not from the kit."""
    p, y = zip((y_hat, label), *OTHERS, strict=True)
    right = [a if b else 1 - a for a, b in zip(p, y, strict=True)]
    l_p = -sum(map(math.log, right)) / 4
    if reward == "expected_accuracy":
        l_r = 1 - sum(right) / 4
    elif reward == "gce":
        l_r = sum((1 - a**0.7) / 0.7 for a in right) / 4
    else:  # with one positive class the macro F1 is the micro F1
        l_r = 1 - 2 * sum(a * b for a, b in zip(p, y, strict=True)) / (sum(p) + sum(y))
    return l_p, l_r, l_r if alpha == math.inf else l_p + alpha * l_r


def derivative_by_hand(y_hat, alpha, reward, label):
    """dL/dz of the first item: ŷ(1 - ŷ) times dL/dŷ, the closed forms of the lesson."""
    p, y = zip((y_hat, label), *OTHERS, strict=True)
    l_p = (y_hat - label) / 4
    if reward == "expected_accuracy":
        r = (1 if label else -1) / 4
    elif reward == "gce":
        r = (1 if label else -1) * (y_hat if label else 1 - y_hat) ** -0.3 / 4
    else:
        f1 = 2 * sum(a * b for a, b in zip(p, y, strict=True)) / (sum(p) + sum(y))
        r = (2 * label - f1) / (sum(p) + sum(y))
    l_r = -r * y_hat * (1 - y_hat)
    return l_p, l_r, l_r if alpha == math.inf else l_p + alpha * l_r


def curve(explorer, name, panel=0):
    """The (ŷ, height) of the line of that name, as drawn; `panel` 1 has the derivatives."""
    (line,) = (line for line in explorer.figure.axes[panel].lines if line.get_label() == name)
    return [(x, y) for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)]


def words(explorer) -> str:
    """All texts of the figure."""
    figure = explorer.figure
    texts = [*figure.axes[0].texts, *figure.texts, *figure.legends[0].get_texts()]
    return " ".join(text.get_text() for text in texts).replace("$", "")


@pytest.mark.parametrize("reward", ["expected_accuracy", "gce", "soft_f1", "soft_f1_macro"])
@pytest.mark.parametrize("label", [0, 1])
def test_the_curves_and_their_derivatives_are_the_formulas(reward, label):
    explorer = LossExplorer(alpha=0, reward=reward, label=label)
    for alpha in (0, 0.01, 3, 100, math.inf):
        explorer.alpha = alpha
        for y_hat in (0.02, 0.5, 0.97):
            for got, hand in (
                (explorer.at(y_hat), by_hand),
                (explorer.derivative_at(y_hat), derivative_by_hand),
            ):
                l_p, l_r, total = hand(y_hat, alpha, reward, label)
                assert (got.prediction, got.reward, got.total) == pytest.approx(
                    (l_p, l_r, total), rel=1e-9
                )
        for panel, hand in enumerate((by_hand, derivative_by_hand)):
            points = curve(explorer, "L", panel)
            assert len(points) == 199
            for x, y in points[::33]:
                assert y == pytest.approx(hand(x, alpha, reward, label)[2], rel=1e-9)


@pytest.mark.parametrize("reward", binary_rewards())
@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("version", mostly_long(["repaired", "printed"], "repaired"))
def test_every_reward_is_drawn_and_its_derivatives_are_those_of_its_values(reward, label, version):
    explorer = LossExplorer(alpha=10, reward=reward, label=label, version=version)
    assert f"α = 10, {reward}, label y = {label}" in explorer.text and explorer.png
    for alpha in (10, math.inf):
        explorer.alpha = alpha
        for y_hat in (0.1, 0.5, 0.9):
            z, step = math.log(y_hat / (1 - y_hat)), 1e-5
            above, below = (explorer.at(1 / (1 + math.exp(-(z + side)))) for side in (step, -step))
            for derivative, high, low in zip(
                explorer.derivative_at(y_hat), above, below, strict=True
            ):
                assert derivative == pytest.approx((high - low) / (2 * step), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("reward", ["expected_accuracy", "soft_f1", "smooth_ap"])
@pytest.mark.parametrize("label", [0, 1])
def test_as_printed_alpha_does_nothing(reward, label):
    explorer = LossExplorer(alpha=0, reward=reward, label=label, version="printed")
    without = curve(explorer, "L"), curve(explorer, "L", 1)
    explorer.alpha = 100
    assert (curve(explorer, "L"), curve(explorer, "L", 1)) == without
    assert "L_r is 0 whatever ŷ is (E3), so α does nothing" in explorer.text
    assert "L_r is 0 whatever ŷ is (E3), so α does nothing" in words(explorer)
    explorer.alpha = math.inf
    assert {height for panel in (0, 1) for _, height in curve(explorer, "L", panel)} == {0}
    assert "L = L_r is 0 whatever ŷ is (E3): nothing is left to train on" in words(explorer)


def test_as_printed_the_loss_of_a_negative_falls_without_bound():
    explorer = LossExplorer(label=0, version="printed")
    others = -math.log(0.8) - math.log(0.6) + math.log(1 - 0.3)
    for y_hat in (0.005, 0.5, 0.9, 0.995, 1 - 1e-9):
        assert explorer.at(y_hat).prediction == pytest.approx(
            (math.log(1 - y_hat) + others) / 4, rel=1e-6
        )
        assert explorer.derivative_at(y_hat).prediction == pytest.approx(
            -y_hat / 4, rel=1e-9
        )  # repaired: +ŷ / 4
    assert "L falls without bound as ŷ → 1 though y = 0 (E1)" in words(explorer)
    assert explorer.text.endswith("at ŷ = 0.995, the edge of the drawing.")
    explorer.label = 1
    assert "without bound" not in explorer.text and "without bound" not in words(explorer)
    assert explorer.derivative_at(0.2).prediction == pytest.approx(-0.8 / 4)


@pytest.mark.parametrize(
    ("reward", "label", "r", "say"),
    [
        (
            "soft_f1",
            1,
            lambda y_hat: 2 * y_hat / (2 * y_hat + 1),
            "R of a perfect positive is 2/3 (E2)",
        ),
        ("soft_f1", 0, lambda y_hat: 0, "R of a negative is always 0 (E2)"),
        ("gce", 1, lambda y_hat: 0, "R is 0, for ŷ is never exactly 1 (E5)"),
        ("gce", 0, lambda y_hat: 0, "R is 0, for ŷ is never exactly 0 (E5)"),
    ],
)
def test_as_printed_the_reward_of_the_item_is_shown(reward, label, r, say):
    explorer = LossExplorer(alpha=math.inf, reward=reward, label=label, version="printed")
    for y_hat, height in curve(explorer, "R of this item"):
        assert height == pytest.approx(r(y_hat), abs=1e-12)
    assert say in explorer.text and say in words(explorer)
    explorer.version = "repaired"
    assert say not in explorer.text and "R of this item" not in words(explorer)


def test_the_lowest_point_is_on_the_side_of_the_label():
    explorer = LossExplorer()
    for label, where in ((1, 0.995), (0, 0.005)):
        explorer.label = label
        assert explorer.text.endswith(f"at ŷ = {where:g}, the edge of the drawing.")
        assert f"at ŷ = {where:g}" in words(explorer)


def test_the_alt_text_has_the_numbers():
    text = LossExplorer(alpha=3, reward="soft_f1", label=1).text
    l_p, l_r, total = by_hand(0.5, 3, "soft_f1", 1)
    derivative = derivative_by_hand(0.5, 3, "soft_f1", 1)[2]
    assert (
        f"At ŷ = 0.5: L {total:.3g}, L_p {l_p:.3g}, α·L_r {3 * l_r:.3g}; dL/dz {derivative:.3g}."
        in text
    )
    assert "0.8 (y = 1), 0.6 (y = 1), 0.3 (y = 0)" in text


def test_the_menu_holds_the_rewards_of_the_registry_that_have_a_gradient():
    known = {
        name for name, reward in REWARDS.items() if "binary" in reward.levels and not reward.sampled
    }
    assert (
        set(LossExplorer().widget.children[1].options) == known >= {"soft_f1", "expected_accuracy"}
    )


def test_y_hat_has_to_be_inside():
    for y_hat in (0, 1, math.nan):
        for method in (LossExplorer().at, LossExplorer().derivative_at):
            with pytest.raises(RmlibValueError, match="between 0 and 1"):
                method(y_hat)


def test_a_state_looks_the_same_whatever_was_drawn_before():
    """One figure is drawn over and over: nothing of an earlier state may be left in it."""
    explorer = LossExplorer()
    states = [
        (0, "gce", 1, "repaired"),
        (math.inf, "soft_f1", 0, "printed"),
        (3, "soft_mcc", 1, "printed"),
        (100, "soft_f1", 0, "repaired"),
        (0, "gce", 1, "repaired"),
    ]
    for alpha, reward, label, version in states:
        explorer.version, explorer.label, explorer.reward, explorer.alpha = (
            version,
            label,
            reward,
            alpha,
        )
        fresh = LossExplorer(alpha, reward, label, version)
        assert (explorer.png, explorer.text) == (fresh.png, fresh.text)


def drawn_texts(figure):
    """Every text in the figure that can be seen, tick labels included."""
    texts = [*figure.texts, *figure.legends[0].get_texts()]
    for axes in figure.axes:
        texts += [text for text in axes.get_children() if isinstance(text, Text)]  # the titles
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
            texts += [axis.label, *(label for place, label in ticks if low <= place <= high)]
    return [text for text in texts if text.get_text()]


@pytest.mark.parametrize("alpha", mostly_long([0, 1, 100, math.inf], 1))
@pytest.mark.parametrize("version", ["repaired", "printed"])
@pytest.mark.parametrize("label", mostly_long([0, 1], 1))
def test_no_text_lies_on_another_or_is_cut_off(alpha, version, label):
    for reward in ("expected_accuracy", "soft_f1_macro", "soft_mcc"):
        figure = LossExplorer(alpha, reward, label, version).figure
        boxes = [(text.get_text(), text.get_window_extent()) for text in drawn_texts(figure)]
        assert len(boxes) > 20
        for i, (one, box) in enumerate(boxes):
            assert (
                box.x0 >= 0
                and box.y0 >= 0
                and box.x1 <= figure.bbox.x1
                and box.y1 <= figure.bbox.y1
            ), one
            for other, its in boxes[i + 1 :]:
                apart = box.x0 >= its.x1 or its.x0 >= box.x1 or box.y0 >= its.y1 or its.y0 >= box.y1
                assert apart, (one, other)
