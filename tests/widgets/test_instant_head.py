"""The instant head: it shows what the same moves of a head by hand give."""

import math

import ipywidgets
import numpy as np
import pytest
import torch
from matplotlib.text import Text

from rmlib.errors import RmlibValueError
from rmlib.loss.rewards import REWARDS
from rmlib.widgets import InstantHead
from rmlib.widgets.entity_viewer import in_words
from rmlib.widgets.framework.explorer import ALPHAS
from rmlib.widgets.instant_head.frozen_features import judge
from rmlib.widgets.instant_head.linear_head import Head
from tests.widgets.made_up import made_up_features


@pytest.fixture(scope="module")
def data():
    return made_up_features(150, 1), made_up_features(40, 2)


@pytest.fixture
def explorer(data):
    return InstantHead(data)


def scored(fit, dev):
    return judge(fit.logits(dev.x), dev)


def test_a_walk_shows_what_the_same_walk_of_the_head_gives(explorer, data):
    train, dev = data
    head = Head(train.x, train.y, 5, train.lengths)
    before = judge(dev.x @ head.weights[:-1] + head.weights[-1], dev)
    for alpha, reward in (
        (1.0, "soft_f1"),
        (10.0, "soft_f1"),
        (10.0, "gce"),
        (10.0, "entity_f1"),
        (0.0, "entity_f1"),
    ):
        # each move changes one of the two, or there would be a head in between
        explorer.alpha = alpha
        explorer.reward = reward
        now = scored(head.fit(alpha, reward), dev)
        assert explorer.scores["f1"] == now.scores["f1"]
        assert explorer.scores["calibration_error"] == now.calibration.error
        assert torch.equal(explorer.fit.weights, head.weights)
        for name in ("f1", "precision", "recall"):
            change = f"{before.scores[name]:.3f} → {now.scores[name]:.3f}"
            assert change in explorer.text and change in [
                text.get_text() for text in explorer.figure.axes[0].texts
            ]
        change = f"{before.calibration.error:.3f} → {now.calibration.error:.3f}"
        assert f"expected calibration error {change}" in explorer.text
        before = now


@pytest.mark.parametrize(
    "reward", [name for name, one in REWARDS.items() if "tokens" in one.levels]
)
def test_every_reward_runs(explorer, reward):
    explorer.reward = reward
    for alpha in (0.0, 100.0, math.inf):
        explorer.alpha = alpha
        assert f"{reward}: L_p" in explorer.text and 0 <= explorer.scores["f1"] <= 1
        assert explorer.fit.reward == reward and explorer.fit.alpha == alpha


def test_the_menu_holds_the_rewards_of_the_registry(explorer):
    slider, menu, *_ = explorer.widget.children
    assert list(menu.options) == list(REWARDS) and isinstance(slider, ipywidgets.SelectionSlider)
    slider.value, menu.value = 30.0, "soft_mcc"
    assert (explorer.alpha, explorer.reward) == (
        30.0,
        "soft_mcc",
    ) and "α = 30, soft_mcc" in explorer.text


def test_restart_trains_from_zero_and_looking_again_moves_nothing(explorer, data):
    train, dev = data
    explorer.alpha = 3
    first = explorer.fit
    assert explorer.fit is first and "→" in explorer.text
    explorer.restart()
    head = Head(train.x, train.y, 5, train.lengths)
    head.restart()
    assert torch.equal(explorer.fit.weights, head.fit(3, "soft_f1").weights)
    assert explorer.fit.path[0] > first.path[0]


def test_the_sweep_is_that_of_the_head_and_is_drawn(explorer, data):
    train, dev = data
    explorer.alpha = 10
    fit = explorer.fit
    table = explorer.sweep()
    assert explorer.fit is fit  # the head itself stays
    assert table["alpha"].tolist() == list(ALPHAS)
    for row, one in zip(
        table.to_dict("records"),
        Head(train.x, train.y, 5, train.lengths).sweep(ALPHAS),
        strict=True,
    ):
        judged = scored(one, dev)
        assert [row[name] for name in ("f1", "precision", "recall")] == [
            judged.scores[name] for name in ("f1", "precision", "recall")
        ]
        assert (
            row["calibration_error"] == judged.calibration.error
            and row["converged"] == one.converged
        )
    low, high = explorer.figure.axes[2].get_ylim()
    line = next(line for line in explorer.figure.axes[2].lines if line.get_label() == "F1")
    assert np.allclose(line.get_ydata(), np.clip(table["f1"], low, high))
    assert f"{table['f1'].max():.3f} at its best" in explorer.text
    explorer.reward = "gce"
    assert "Sweep" not in explorer.text  # of another reward


def test_the_reliability_diagram_is_the_table(explorer, data):
    explorer.alpha = 10
    table = scored(explorer.fit, data[1]).calibration.table
    table = table[table["words"] >= 5]
    drawn = [line for line in explorer.figure.axes[1].lines if len(line.get_xdata()) == len(table)]
    assert any(
        np.allclose(line.get_xdata(), table["confidence"])
        and np.allclose(line.get_ydata(), table["accuracy"])
        for line in drawn
    )


def test_the_sentences_are_tagged_by_the_head_that_is_shown(explorer, data):
    explorer.alpha = 100
    judged = scored(explorer.fit, data[1])
    page = explorer.widget.children[-1].value
    assert len(explorer.shown) == 3 and page.count("<strong>now:</strong>") == 3
    for i, shown in zip(explorer.shown, explorer.sentences.split("\n\n"), strict=True):
        sentence = data[1].sentences[i]
        gold = list(sentence.tags)
        expected = in_words(list(sentence.words), {"gold": gold, "now": judged.tags[i]})
        words, gold_line, before_line, now_line = shown.splitlines()
        assert [words, gold_line] == expected.splitlines()[:2]
        assert (
            now_line.replace(", ● changed", "").replace(" (● changed)", "")
            == (expected.splitlines()[2])
        )
        assert before_line.startswith("before: ")


def test_the_buttons_do_what_the_methods_do(explorer):
    buttons = {button.description: button for button in explorer.widget.children[2].children}
    buttons["sweep α"].click()
    assert "Sweep: F1" in explorer.text
    first = explorer.fit
    buttons["from zero"].click()
    assert explorer.fit is not first and explorer.fit.path[0] > first.path[0]


def test_a_weight_decay_of_0_is_refused(data):
    with pytest.raises(RmlibValueError, match="weight_decay"):
        InstantHead(data, weight_decay=0)


@pytest.mark.parametrize("sweep", [False, True])
def test_no_text_lies_on_another_or_is_cut_off(explorer, sweep):
    explorer.alpha, explorer.reward = math.inf, "expected_accuracy"
    if sweep:
        explorer.sweep()
    figure = explorer.figure
    texts = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axes in figure.axes:
        texts += [text for text in axes.get_children() if isinstance(text, Text)]
        for axis, (low, high) in (
            (axes.xaxis, axes.get_xlim()),
            (axes.yaxis, sorted(axes.get_ylim())),
        ):
            ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
            texts += [
                axis.label,
                *(
                    label
                    for place, label in ticks
                    if low <= place <= high and not label.get_rotation()
                ),
            ]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text()]
    assert len(boxes) > 25
    for i, (one, box) in enumerate(boxes):
        assert (
            box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        ), one
        for other, its in boxes[i + 1 :]:
            apart = box.x0 >= its.x1 or its.x0 >= box.x1 or box.y0 >= its.y1 or its.y0 >= box.y1
            assert apart, (one, other)


def test_without_arguments_it_is_the_newswire_and_good_at_it(minilm):
    explorer = InstantHead(alpha=0)
    assert len(explorer.train.x) <= 20_000 < len(explorer.train.x) + explorer.train.left_out
    assert explorer.scores["f1"] > 0.70 and explorer.scores["support"] == 561
    assert "converged" in explorer.text
