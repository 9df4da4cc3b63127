"""The entity viewer and the check of the widgets, with the real ipywidgets and no browser."""

import html
import re
import threading

import ipywidgets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmlib.errors import RmlibValueError
from rmlib.widgets import EntityViewer, check_widgets, render
from rmlib.widgets.entity_viewer import compare, in_words


def control(widget, kind, **traits):
    """The one child of that class, at any depth, whose traits have these values."""
    found, todo = [], [widget]
    while todo:
        child = todo.pop()
        todo += getattr(child, "children", ())
        if isinstance(child, kind) and all(
            getattr(child, name) == value for name, value in traits.items()
        ):
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
        (["O"] * 7, ["missing", "missing", "missing"]),
        (["B-PER", "O", "O", "B-LOC", "O", "B-LOC", "O"], ["boundary", "type", "right"]),
        (
            ["B-PER", "B-PER", "O", "B-PER", "B-MISC", "O", "O"],
            ["boundary", "boundary", "right", "spurious", "missing"],
        ),
        (
            ["B-ORG", "I-ORG", "I-ORG", "O", "O", "B-LOC", "I-LOC"],
            ["boundary", "missing", "boundary"],
        ),
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
    for side in (
        gold,
        found,
    ):  # an I- that continues nothing is no entity for seqeval, and cannot come in here
        for i, tag in enumerate(side):
            if tag.startswith("I-") and (i == 0 or side[i - 1][1:] != tag[1:]):
                side[i] = "B" + tag[1:]
    spans = [
        {(e.tag, e.start, e.end) for e in Entities([side], IOB2).entities[0]}
        for side in (gold, found)
    ]
    marks = compare(gold, found)
    assert {(m.type, m.start, m.end) for m in marks if m.verdict == "right"} == spans[0] & spans[1]
    assert {(m.type, m.start, m.end) for m in marks if m.verdict != "missing"} == spans[1]
    boxes = [(m.start, m.end) for m in marks]
    assert all(a[1] <= b[0] for a, b in zip(boxes, boxes[1:], strict=False))
    for m in marks:
        touching = [g for g in spans[0] if g[1] < m.end and m.start < g[2]]
        assert (m.verdict == "spurious") == (not touching)


def test_the_words_the_types_and_the_errors_can_be_read_without_colour():
    page = render(WORDS, {"gold": GOLD, "after": ["B-PER", "O", "O", "B-LOC", "B-MISC", "O", "O"]})
    assert visible(page) == (
        "gold: Rose Lane PER met Jordan PER in Ghent LOC ."
        "after: Rose PER ✗ wrong boundary Lane met Jordan LOC ✗ wrong type "
        "in MISC ✗ spurious Ghent LOC ✗ missing ."
    )
    borders = set(re.findall(r"border:\d+px (\w+)", page))
    assert borders == {"solid", "dashed", "double", "dotted"}
    assert page.count("text-decoration:underline") == 4  # the four errors, and nothing else


def test_every_box_sets_both_its_colours_so_that_it_can_be_read_in_either_theme():
    for style in re.findall(r'style="(border[^"]*)"', render(WORDS, {"gold": GOLD})):
        assert "background-color:" in style and "color:#111111" in style


def test_the_text_says_what_changed_since_the_tagging_before():
    before = ["B-PER", "I-PER", "O", "O", "O", "O", "O"]
    text = in_words(WORDS, {"gold": GOLD, "before": before, "after": GOLD})
    assert text.splitlines() == [
        "Rose Lane met Jordan in Ghent .",
        "gold: PER Rose Lane; PER Jordan; LOC Ghent",
        "before: PER Rose Lane; PER Jordan (✗ missing); LOC Ghent (✗ missing)",
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
    taggings = {
        "gold": [PER, PER, PER, PER],
        "before": [NONE, NONE, PER, NONE],
        "after": [NONE, PER, PER, PER],
    }
    return EntityViewer(SENTENCES, taggings)


def page_of(viewer) -> str:
    return control(viewer.widget, ipywidgets.HTML).value


def test_setting_the_index_shows_that_sentence(viewer):
    assert viewer.index == 0
    for i in (3, 1, 2):
        viewer.index = i
        assert viewer.html == render(
            SENTENCES[i], {name: t[i] for name, t in viewer.taggings.items()}
        )
        assert viewer.html in page_of(viewer)
        assert control(viewer.widget, ipywidgets.IntSlider).value == i


def test_moving_the_slider_does_the_same(viewer):
    control(viewer.widget, ipywidgets.IntSlider).value = 2
    assert viewer.index == 2 and "e" in visible(viewer.html) and viewer.html in page_of(viewer)


def test_the_button_cycles_through_the_sentences_that_differ(viewer):
    button = control(viewer.widget, ipywidgets.Button)
    seen = []
    for _ in range(3):
        button.click()
        seen.append(viewer.index)
    assert seen == [1, 3, 1]


def test_only_changed_skips_the_others(viewer):
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
    assert "before: PER c (✗ missing)" in html.unescape(spoken)
    assert repr(viewer.picture) == viewer.text


def test_moves_from_many_threads_end_on_what_the_slider_says(viewer):
    movers = [
        threading.Thread(
            target=lambda k=k: [setattr(viewer, "index", (k + i) % 4) for i in range(50)]
        )
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
        (
            SENTENCES,
            {"gold": [PER, PER, ["O"], PER]},
            "tagging 'gold', sentence 2: 1 tags; expected 2",
        ),
    ],
)
def test_sentences_and_taggings_that_do_not_match_are_refused(sentences, taggings, say):
    with pytest.raises(RmlibValueError, match=re.escape(say)):
        EntityViewer(sentences, taggings)


def test_an_index_out_of_range_is_refused(viewer):
    for index in (-1, 4):
        with pytest.raises(RmlibValueError, match=f"index is {index}; expected 0 to 3"):
            viewer.index = index


# The check of the widgets


def test_the_handshake_waits_until_the_browser_answers():
    line = check_widgets()
    assert "[....]" in line.value
    question, answer, link = line.parts
    assert link.source == (question, "value") and link.target == (answer, "value")
    answer.value = question.value  # what the browser does, and nothing in Python
    assert "[OK]" in line.value and "[....]" not in line.value
