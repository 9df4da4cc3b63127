"""The widgets, driven as a reader drives them: the real ipywidgets, whose front end alone is missing."""

import html
import math
import re
import threading
import time

import ipywidgets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmlib.errors import RmlibValueError
from rmlib.explorers import EntityViewer, LossExplorer, handshake, render
from rmlib.explorers.entity_viewer import compare, in_words
from rmlib.explorers.loss_explorer import ALPHAS, binary_rewards
from rmlib.explorers.redraw import Latest


def control(widget, kind, **traits):
    """The one child of that class, at any depth, whose traits have these values."""
    found, todo = [], [widget]
    while todo:
        child = todo.pop()
        todo += getattr(child, "children", ())
        if isinstance(child, kind) and all(getattr(child, name) == value for name, value in traits.items()):
            found.append(child)
    assert len(found) == 1, found
    return found[0]


def visible(page: str) -> str:
    """The text of HTML as a browser shows it."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", page))).strip()


# The entity viewer

WORDS = ["Rose", "Lane", "met", "Jordan", "in", "Ghent", "."]
GOLD = ["B-PER", "I-PER", "O", "B-PER", "O", "B-LOC", "O"]


@pytest.mark.parametrize(
    ("found", "verdicts"),
    [
        (GOLD, ["right", "right", "right"]),
        (["O"] * 7, ["missed", "missed", "missed"]),
        (["B-PER", "O", "O", "B-LOC", "O", "B-LOC", "O"], ["boundary", "type", "right"]),
        (["B-PER", "B-PER", "O", "B-PER", "B-MISC", "O", "O"], ["boundary", "boundary", "right", "invented", "missed"]),
        (["B-ORG", "I-ORG", "I-ORG", "O", "O", "B-LOC", "I-LOC"], ["boundary", "missed", "boundary"]),
    ],
)
def test_each_entity_gets_its_verdict(found, verdicts):
    assert [mark.verdict for mark in compare(GOLD, found)] == verdicts


tags = st.lists(st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]), min_size=1, max_size=9)


@given(st.tuples(tags, tags))
def test_the_verdicts_count_what_seqeval_counts(pair):
    """Right entities are seqeval's true positives; nothing is lost and no word is in two boxes."""
    from seqeval.scheme import IOB2, Entities

    size = min(map(len, pair))
    gold, found = (list(side[:size]) for side in pair)
    for side in (gold, found):  # an I- that continues nothing is no entity for seqeval, and cannot come in here
        for i, tag in enumerate(side):
            if tag.startswith("I-") and (i == 0 or side[i - 1][1:] != tag[1:]):
                side[i] = "B" + tag[1:]
    spans = [{(e.tag, e.start, e.end) for e in Entities([side], IOB2).entities[0]} for side in (gold, found)]
    marks = compare(gold, found)
    assert {(m.type, m.start, m.end) for m in marks if m.verdict == "right"} == spans[0] & spans[1]
    assert {(m.type, m.start, m.end) for m in marks if m.verdict != "missed"} == spans[1]
    boxes = [(m.start, m.end) for m in marks]
    assert all(a[1] <= b[0] for a, b in zip(boxes, boxes[1:], strict=False))
    for m in marks:
        touching = [g for g in spans[0] if g[1] < m.end and m.start < g[2]]
        assert (m.verdict == "invented") == (not touching)


def test_the_words_the_types_and_the_faults_can_be_read_without_colour():
    page = render(WORDS, {"gold": GOLD, "after": ["B-PER", "O", "O", "B-LOC", "B-MISC", "O", "O"]})
    assert visible(page) == (
        "gold: Rose Lane PER met Jordan PER in Ghent LOC ."
        "after: Rose PER ✗ wrong boundary Lane met Jordan LOC ✗ wrong type in MISC ✗ invented Ghent LOC ✗ missed ."
    )
    borders = set(re.findall(r"border:\d+px (\w+)", page))
    assert borders == {"solid", "dashed", "double", "dotted"}
    assert page.count("text-decoration:underline") == 4  # the four faults, and nothing else


def test_every_box_sets_ink_and_ground_so_that_it_can_be_read_in_either_theme():
    for style in re.findall(r'style="(border[^"]*)"', render(WORDS, {"gold": GOLD})):
        assert "background-color:" in style and "color:#111111" in style


def test_what_changed_since_the_tagging_before_is_said():
    before = ["B-PER", "I-PER", "O", "O", "O", "O", "O"]
    text = in_words(WORDS, {"gold": GOLD, "before": before, "after": GOLD})
    assert text.splitlines() == [
        "Rose Lane met Jordan in Ghent .",
        "gold: PER Rose Lane; PER Jordan; LOC Ghent",
        "before: PER Rose Lane; PER Jordan (✗ missed); LOC Ghent (✗ missed)",
        "after: PER Rose Lane; PER Jordan (● changed); LOC Ghent (● changed)",
    ]


NASTY = ["<script>alert(1)</script>", "&amp;", '"onload="x', "it's", "</div>", "<b>"]


def test_hostile_text_is_shown_and_never_run():
    tags = ["B-PER", "I-PER", "O", "O", "B-<i>x", "O"]
    viewer = EntityViewer([NASTY], {"<b>gold</b>": [tags], "a&b": [["O"] * 6]})
    drawn = control(viewer.widget, ipywidgets.HTML).value
    for page in (render(NASTY, {"<b>gold</b>": tags}), viewer.html, drawn):
        assert set(re.findall(r"<(\w+)", page)) <= {"div", "span", "strong", "p"}
        assert "onload" not in re.sub(r'"[^"]*"', "", "".join(re.findall(r"<[^>]*>", page)))
        assert "<script>alert(1)</script> &amp;" in visible(page)


@settings(max_examples=50)
@given(st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_any_text_comes_back_as_it_was(words):
    page = render(words, {"gold": ["O"] * len(words)})
    assert set(re.findall(r"<(/?\w+)", page)) <= {"div", "/div", "strong", "/strong"}
    body = re.search(r"</strong> (.*)</div></div>$", page, re.DOTALL)[1]
    assert html.unescape(body) == " ".join(words)


SENTENCES = [["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"]]
PER, NONE = ["B-PER", "O"], ["O", "O"]


@pytest.fixture
def viewer():
    """Before and after differ on sentences 1 and 3; gold is unlike both on 0."""
    taggings = {"gold": [PER, PER, PER, PER], "before": [NONE, NONE, PER, NONE], "after": [NONE, PER, PER, PER]}
    return EntityViewer(SENTENCES, taggings)


def page_of(viewer) -> str:
    return control(viewer.widget, ipywidgets.HTML).value


def test_setting_the_index_shows_that_sentence(viewer):
    assert viewer.index == 0
    for i in (3, 1, 2):
        viewer.index = i
        assert viewer.html == render(SENTENCES[i], {name: t[i] for name, t in viewer.taggings.items()})
        assert viewer.html in page_of(viewer)
        assert control(viewer.widget, ipywidgets.IntSlider).value == i


def test_moving_the_slider_does_the_same(viewer):
    control(viewer.widget, ipywidgets.IntSlider).value = 2
    assert viewer.index == 2 and "e" in visible(viewer.html) and viewer.html in page_of(viewer)


def test_the_button_goes_round_the_sentences_that_differ(viewer):
    button = control(viewer.widget, ipywidgets.Button)
    seen = []
    for _ in range(3):
        button.click()
        seen.append(viewer.index)
    assert seen == [1, 3, 1]


def test_only_changed_passes_over_the_others(viewer):
    viewer.only_changed = True
    assert [viewer.index] == [1]  # 0 does not differ, the next that does is 1
    seen = []
    for i in range(4):
        viewer.index = i
        seen.append(viewer.index)
        assert viewer.html in page_of(viewer)
    assert seen == [1, 1, 3, 3]
    viewer.only_changed = False
    viewer.index = 2
    assert viewer.index == 2


def test_with_one_tagging_it_is_compared_with_gold():
    viewer = EntityViewer(SENTENCES, {"gold": [PER] * 4, "after": [PER, PER, NONE, PER]})
    assert viewer.next_difference() == 2


def test_where_nothing_differs_there_is_nothing_to_jump_to():
    viewer = EntityViewer(SENTENCES, {"gold": [PER] * 4, "after": [PER] * 4})
    assert control(viewer.widget, ipywidgets.Button).disabled
    for act in (viewer.next_difference, lambda: setattr(viewer, "only_changed", True)):
        with pytest.raises(RmlibValueError, match="no sentence differs"):
            act()


def test_a_reader_without_eyes_hears_the_same(viewer):
    viewer.index = 1
    spoken = re.search(r'role="group" aria-label="([^"]*)"', page_of(viewer))[1]
    assert "before: PER c (✗ missed)" in html.unescape(spoken)
    assert repr(viewer.picture) == viewer.text


def test_moves_from_many_threads_end_on_what_the_slider_says(viewer):
    movers = [
        threading.Thread(target=lambda k=k: [setattr(viewer, "index", (k + i) % 4) for i in range(50)])
        for k in range(4)
    ]
    for thread in movers:
        thread.start()
    for thread in movers:
        thread.join()
    assert viewer.html in page_of(viewer)


@pytest.mark.parametrize(
    ("sentences", "taggings", "say"),
    [
        ([], {"gold": []}, "0 sentences"),
        (SENTENCES, {}, "0 taggings"),
        (SENTENCES, {"gold": [PER] * 4, "x": [PER] * 3}, "tagging 'x' has 3 sentences; expected 4"),
        (SENTENCES, {"gold": [PER, PER, ["O"], PER]}, "tagging 'gold', sentence 2: 1 tags; expected 2"),
    ],
)
def test_what_does_not_fit_is_refused(sentences, taggings, say):
    with pytest.raises(RmlibValueError, match=re.escape(say)):
        EntityViewer(sentences, taggings)


def test_an_index_that_is_not_there_is_refused(viewer):
    for index in (-1, 4):
        with pytest.raises(RmlibValueError, match=f"index is {index}; expected 0 to 3"):
            viewer.index = index


# The loss explorer


def by_hand(y_hat, alpha, reward, label):
    """L_p, L_r and L of the four items, from the formulas of the lesson and not from the kit."""
    p, y = [y_hat, 0.8, 0.6, 0.3], [label, 1, 1, 0]
    right = [a if b else 1 - a for a, b in zip(p, y, strict=True)]
    l_p = -sum(map(math.log, right)) / 4
    if reward == "expected_accuracy":
        l_r = 1 - sum(right) / 4
    else:  # with one positive class the macro F1 is the micro F1
        l_r = 1 - 2 * sum(a * b for a, b in zip(p, y, strict=True)) / (sum(p) + sum(y))
    return l_p, l_r, l_r if alpha == math.inf else l_p + alpha * l_r


@pytest.mark.parametrize("reward", ["expected_accuracy", "soft_f1", "soft_f1_macro"])
@pytest.mark.parametrize("label", [0, 1])
def test_the_curves_are_the_formulas(reward, label):
    explorer = LossExplorer(alpha=0, reward=reward, label=label)
    for alpha in (0, 0.01, 3, 100, math.inf):
        explorer.alpha = alpha
        for y_hat in (0.02, 0.5, 0.97):
            got, (l_p, l_r, total) = explorer.at(y_hat), by_hand(y_hat, alpha, reward, label)
            assert (got.prediction, got.reward, got.total) == pytest.approx((l_p, l_r, total), rel=1e-9)
        line = explorer.figure.axes[0].lines[0]
        for x, y in list(zip(line.get_xdata(), line.get_ydata(), strict=True))[::33]:
            assert y == pytest.approx(by_hand(x, alpha, reward, label)[2], rel=1e-9)


def test_the_lowest_point_is_on_the_side_of_the_label():
    explorer = LossExplorer()
    for label, where in ((1, 0.995), (0, 0.005)):
        explorer.label = label
        assert explorer.text.endswith(f"at ŷ = {where:g}.")


def test_the_alt_text_tells_the_numbers():
    text = LossExplorer(alpha=3, reward="soft_f1", label=1).text
    l_p, l_r, total = by_hand(0.5, 3, "soft_f1", 1)
    assert f"At ŷ = 0.5: L {total:.3g}, L_p {l_p:.3g}, α·L_r {3 * l_r:.3g}." in text
    assert "0.8 (y = 1), 0.6 (y = 1), 0.3 (y = 0)" in text


def test_properties_and_controls_are_the_same_thing():
    explorer = LossExplorer()
    slider = control(explorer.widget, ipywidgets.SelectionSlider)
    menu, buttons = control(explorer.widget, ipywidgets.Dropdown), control(explorer.widget, ipywidgets.RadioButtons)
    explorer.alpha, explorer.reward, explorer.label = math.inf, "expected_accuracy", 0
    assert (slider.label, menu.value, buttons.value) == ("reward alone", "expected_accuracy", 0)
    slider.value, menu.value, buttons.value = 10.0, "soft_f1", 1
    assert (explorer.alpha, explorer.reward, explorer.label) == (10, "soft_f1", 1)
    picture = explorer.picture
    assert "α = 10, soft_f1, label y = 1" in picture.text
    shown = control(explorer.widget, ipywidgets.HTML).value
    assert picture.html in shown and 'aria-live="polite"' in shown


def test_the_slider_goes_from_nothing_by_powers_to_the_reward_alone():
    assert ALPHAS[0] == 0 and ALPHAS[1] == 0.01 and ALPHAS[-2] == 100 and ALPHAS[-1] == math.inf
    steps = [math.log10(b / a) for a, b in zip(ALPHAS[1:-2], ALPHAS[2:-1], strict=True)]
    assert steps == pytest.approx([0.5] * 8, abs=0.03)


def test_the_menu_holds_the_rewards_of_the_registry():
    from rmlib.rewards import REWARDS

    assert set(binary_rewards()) == {name for name in REWARDS if "binary" in REWARDS[name].levels}


@pytest.mark.parametrize(
    ("name", "value", "say"),
    [
        ("alpha", 2, "did you mean 1?"),
        ("alpha", math.nan, "alpha is nan"),
        ("alpha", "much", "alpha is 'much'"),
        ("reward", "soft_f2", "did you mean 'soft_f1'"),
        ("label", 2, "label is 2; expected 0 or 1"),
    ],
)
def test_a_value_that_the_control_does_not_have_is_refused(name, value, say):
    explorer = LossExplorer()
    before = explorer.state
    with pytest.raises(RmlibValueError, match=re.escape(say)):
        setattr(explorer, name, value)
    assert explorer.state == before


def test_y_hat_has_to_be_inside():
    for y_hat in (0, 1, math.nan):
        with pytest.raises(RmlibValueError, match="between 0 and 1"):
            LossExplorer().at(y_hat)


def test_a_flood_of_moves_returns_at_once_and_ends_on_the_last_one():
    explorer = LossExplorer()
    assert explorer.picture
    slider = control(explorer.widget, ipywidgets.SelectionSlider)
    start = time.perf_counter()
    for _ in range(20):
        for alpha in ALPHAS:
            slider.value = alpha
    slider.value = 0.3
    moved = time.perf_counter() - start
    assert "α = 0.3" in explorer.text
    assert moved < 2  # 220 drawings would take far longer
    for thread in [t for t in threading.enumerate() if t.name == "rmlib redraw"]:
        thread.join(5)  # it ends by itself: nothing is left behind
        assert not thread.is_alive()


# Drawing in the background


def test_latest_drops_what_is_out_of_date_and_never_draws_twice_at_once():
    drawn, inside, go = [], [], threading.Event()

    def draw(state):
        inside.append(1)
        assert len(inside) == 1
        go.wait(10)
        drawn.append(state)
        inside.pop()

    latest = Latest(draw)
    for state in range(100):
        latest.put(state)
    go.set()
    latest.wait()
    assert drawn[-1] == 99 and len(drawn) <= 2


def test_latest_tells_of_a_failed_drawing_and_goes_on():
    drawn = []

    def draw(state):
        if state == "bad":
            raise ValueError("cannot draw this")
        drawn.append(state)

    latest = Latest(draw)
    latest.put("bad")
    with pytest.raises(ValueError, match="cannot draw this"):
        latest.wait()
    latest.put("good")
    latest.wait()
    assert drawn == ["good"]


def test_latest_gives_up_waiting():
    go = threading.Event()
    latest = Latest(lambda state: go.wait(10))
    latest.put(1)
    with pytest.raises(TimeoutError):
        latest.wait(0.05)
    go.set()
    latest.wait()


# The handshake


def test_the_handshake_waits_until_the_browser_answers():
    line = handshake()
    assert "[....]" in line.value
    asked, answer, link = line.parts
    assert link.source == (asked, "value") and link.target == (answer, "value")
    answer.value = asked.value  # what the browser does, and nothing in Python
    assert "[OK]" in line.value and "[....]" not in line.value
