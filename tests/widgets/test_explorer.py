"""The base of the explorers, tested on a small one with the real ipywidgets."""

import html
import math
import re
import sys
import threading
import time

import ipywidgets
import pytest

from rmlib.errors import RmlibValueError
from rmlib.plots import figures
from rmlib.widgets.framework.explorer import (
    ALPHAS,
    Explorer,
    alpha_slider,
    buttons,
    control,
    menu,
    slider,
)
from rmlib.widgets.framework.latest import Latest


class Small(Explorer):
    """Draws its state as a line; α = 100 cannot be drawn."""

    alpha = control("alpha", "the weight")
    reward = control("reward", "the reward")
    label = control("label", "the label")
    samples = control("samples", "how many")

    def __init__(self, alpha=1.0):
        super().__init__(
            alpha=alpha_slider(),
            reward=menu("reward", ["accuracy", "f1"]),
            label=buttons("label y", [("one", 1), ("nought", 0)]),
            samples=slider("K", [2, 4, 8]),
        )
        self.alpha = alpha
        self.slope = 1.0  # after the controls: draw must not need it any sooner

    def draw(self, state):
        if state.alpha == 100:
            raise ValueError("too <b>steep</b>")
        figure = figures.new_figure(2, 1, margins={"left": 0.2, "bottom": 0.2})
        figure.axes[0].plot([0, 1], [0, self.slope])
        return (
            figure,
            f"α = {state.alpha:g} & {state.reward}, y = {state.label}, K = {state.samples}",
        )


def shown(explorer) -> str:
    """The HTML under the controls."""
    (page,) = (child for child in explorer.widget.children if isinstance(child, ipywidgets.HTML))
    return page.value


def widgets(explorer) -> dict:
    return {
        type(child).__name__ + child.description: child for child in explorer.widget.children[:-1]
    }


def finished(seconds: float = 5) -> bool:
    """Whether all drawing threads come to their end in that time."""
    for thread in [t for t in threading.enumerate() if t.name == "rmlib redraw"]:
        thread.join(seconds)
    return not any(t.name == "rmlib redraw" for t in threading.enumerate())


def test_the_picture_and_its_words_stand_under_the_controls():
    explorer = Small()
    assert list(widgets(explorer)) == [
        "SelectionSliderα",
        "Dropdownreward",
        "RadioButtonslabel y",
        "SelectionSliderK",
    ]
    assert explorer.text == "α = 1 & accuracy, y = 1, K = 2"
    page = shown(explorer)
    assert explorer.picture.html in page and page.count("<img") == 1
    assert re.search(r'<p role="status" aria-live="polite"[^>]*>(.*)</p>', page)[1] == html.escape(
        explorer.text
    )
    assert explorer.png == explorer.picture.png and explorer.figure is explorer.picture.figure


def test_every_control_is_native_and_named_for_keys_and_screen_readers():
    for widget in widgets(Small()).values():
        assert isinstance(
            widget, ipywidgets.SelectionSlider | ipywidgets.Dropdown | ipywidgets.RadioButtons
        )
        assert widget.description


def test_properties_and_controls_are_the_same_thing():
    explorer = Small(alpha=3)
    explorer.reward, explorer.label, explorer.samples = "f1", 0, 8
    assert [w.value for w in widgets(explorer).values()] == [3.0, "f1", 0, 8]
    assert explorer.text == "α = 3 & f1, y = 0, K = 8"
    widgets(explorer)["SelectionSliderα"].value = math.inf
    widgets(explorer)["RadioButtonslabel y"].value = 1
    assert (explorer.alpha, explorer.label) == (math.inf, 1)
    assert vars(explorer.state) == {"alpha": math.inf, "reward": "f1", "label": 1, "samples": 8}
    assert explorer.text == "α = inf & f1, y = 1, K = 8"


def test_the_slider_goes_from_nothing_by_powers_to_the_reward_alone():
    assert ALPHAS[0] == 0 and ALPHAS[1] == 0.01 and ALPHAS[-2] == 100 and ALPHAS[-1] == math.inf
    steps = [math.log10(b / a) for a, b in zip(ALPHAS[1:-2], ALPHAS[2:-1], strict=True)]
    assert steps == pytest.approx([0.5] * 8, abs=0.03)
    assert [text for text, _ in alpha_slider().options][-2:] == ["100", "reward alone"]


@pytest.mark.parametrize(
    ("name", "value", "say"),
    [
        (
            "alpha",
            2,
            "alpha is 2; the slider has 0, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, inf; "
            "did you mean 1?",
        ),
        ("alpha", math.nan, "alpha is nan; the slider has 0,"),
        ("alpha", "1", "alpha is '1'; the slider has 0,"),
        ("alpha", None, "alpha is None; the slider has 0,"),
        ("samples", 7, "samples is 7; the slider has 2, 4, 8; did you mean 8?"),
        ("reward", "f2", "reward 'f2' is not in the menu; did you mean 'f1'? known: accuracy, f1"),
        ("reward", 1, "reward 1 is not in the menu"),
        ("label", 2, "label is 2; expected 0 or 1"),
    ],
)
def test_a_value_that_the_control_does_not_have_is_refused(name, value, say):
    explorer = Small()
    before = explorer.state
    with pytest.raises(RmlibValueError, match=re.escape(say)):
        setattr(explorer, name, value)
    assert explorer.state == before


def test_nothing_is_drawn_before_somebody_looks():
    drawn = []

    class Counting(Small):
        def draw(self, state):
            drawn.append(state.alpha)
            return super().draw(state)

    explorer = Counting()
    explorer.alpha = 10
    assert finished() and drawn == []
    assert explorer.widget and explorer.picture
    assert drawn == [10]


def test_an_error_is_shown_in_the_widget_and_raised_by_the_picture_until_the_next_good_state():
    explorer = Small()
    assert explorer.picture
    explorer.alpha = 100
    for _ in range(2):
        with pytest.raises(ValueError, match="too <b>steep</b>"):
            explorer.picture  # noqa: B018
    page = shown(explorer)
    assert 'role="alert"' in page and "ValueError: too &lt;b&gt;steep&lt;/b&gt;" in page
    assert "<img" not in page and "<b>" not in page
    explorer.alpha = 10
    assert explorer.text.startswith("α = 10")
    assert explorer.picture.html in shown(explorer) and "alert" not in shown(explorer)


def test_a_move_returns_while_the_picture_is_still_being_drawn():
    go, inside = threading.Event(), threading.Event()

    class Slow(Small):
        def draw(self, state):
            inside.set()
            assert go.wait(10)
            return super().draw(state)

    explorer = Slow()
    page = explorer.widget.children[-1]
    assert inside.wait(10)
    start = time.perf_counter()
    for alpha in ALPHAS:
        explorer.alpha = alpha
    explorer.reward = "f1"
    assert time.perf_counter() - start < 5 and page.value == ""  # it is still in the first drawing
    go.set()
    assert explorer.text == "α = inf & f1, y = 1, K = 2"


def test_a_flood_of_moves_ends_on_the_last_one_and_leaves_no_thread():
    drawn = []

    class Counting(Small):
        def draw(self, state):
            drawn.append(state)
            return super().draw(state)

    explorer = Counting()
    assert explorer.picture
    for _ in range(50):
        for alpha in ALPHAS[:-2]:
            explorer.alpha = alpha
    explorer.alpha = 0.3
    assert explorer.text.startswith("α = 0.3 ")
    assert len(drawn) < 450
    assert finished()


def test_moves_from_many_threads_end_on_what_the_controls_say():
    explorer, before = Small(), sys.getswitchinterval()
    assert explorer.picture
    moves = [
        ("alpha", 3),
        ("alpha", 0.01),
        ("reward", "f1"),
        ("reward", "accuracy"),
        ("samples", 8),
        ("samples", 4),
    ]
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(10):
            threads = [threading.Thread(target=setattr, args=(explorer, *move)) for move in moves]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            state = explorer.state
            assert (
                explorer.text == f"α = {state.alpha:g} & {state.reward}, y = 1, K = {state.samples}"
            )
    finally:
        sys.setswitchinterval(before)


def test_many_explorers_draw_at_once_and_each_as_if_alone():
    class Formula(Small):
        def draw(self, state):
            figure, alt = super().draw(state)
            figure.axes[0].set_title(f"$L_p + {state.alpha:g}\\cdot L_r$")
            return figure, alt

    alone = {alpha: Formula(alpha).png for alpha in ALPHAS[:6]}
    together = {alpha: Formula(alpha) for alpha in ALPHAS[:6]}
    assert all(explorer.widget for explorer in together.values())
    assert {alpha: explorer.png for alpha, explorer in together.items()} == alone
    assert len(set(alone.values())) == 6


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


def test_latest_raises_the_error_of_a_failed_drawing_until_the_next_and_continues():
    drawn = []

    def draw(state):
        if state == "bad":
            raise ValueError("cannot draw this")
        drawn.append(state)

    latest = Latest(draw)
    latest.put("bad")
    for _ in range(2):
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
