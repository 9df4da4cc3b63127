"""The study browser: its numbers against pandas and the closed form, its colours against WCAG."""

import html
import math
import re
import time

import ipywidgets
import numpy as np
import pytest
from matplotlib.colors import to_hex

from rmlib.errors import RmlibValueError
from rmlib.studies.bootstrap import Effect
from rmlib.studies.table import read
from rmlib.text.corpora import data_dir
from rmlib.widgets import StudyBrowser
from rmlib.widgets.study.heat_map import DIVERGING, LIGHT_TO_DARK, readable_on
from rmlib.widgets.study.numbers import fences, interval, number
from tests.widgets.made_up import GRID, made_up_study

T = 2.7764451052  # Student's 97.5 % quantile with 4 degrees of freedom, from the printed tables


@pytest.fixture
def table():
    return made_up_study()


def browse(table, **others) -> StudyBrowser:
    return StudyBrowser(table, measures=("f1", "missing"), **others)


def drawn(browser, **moves) -> StudyBrowser:
    """The browser after these moves, once all is drawn."""
    for name, value in moves.items():
        setattr(browser, name, value)
    assert browser.picture
    return browser


def grid(browser) -> ipywidgets.GridBox:
    (box,) = (child for child in browser.widget.children if isinstance(child, ipywidgets.GridBox))
    return box


def cells(browser) -> dict:
    """Every button by the name that its tooltip begins with."""
    buttons = [child for child in grid(browser).children if isinstance(child, ipywidgets.Button)]
    return {button.tooltip.split(":")[0]: button for button in buttons}


def legend(browser) -> str:
    page = next(
        child for child in browser.widget.children if isinstance(child, ipywidgets.HTML)
    ).value
    return html.unescape(re.sub("<style>.*</style>|<[^>]*>", "", page, flags=re.DOTALL))


def closed_form(table, cell, control=("ce", 0.0)) -> tuple[float, float]:
    """The mean difference and half the width of Student's interval."""
    one, other = (
        table[(table["method"] == m) & (table["alpha"] == a)]["f1"].to_numpy()
        for m, a in (cell, control)
    )
    d = one - other
    return d.mean(), T * np.sqrt(((d - d.mean()) ** 2).sum() / 4) / np.sqrt(5)


# What the cells show


def test_a_cell_shows_the_mean_over_the_seeds(table):
    browser = drawn(browse(table))
    means = table.groupby(["method", "alpha"])["f1"].mean()
    names = {
        "ce, α = 0": ("ce", 0),
        "soft_f1, α = 0.3": ("soft_f1", 0.3),
        "soft_f1, reward alone": ("soft_f1", math.inf),
    }
    assert len(cells(browser)) == len(GRID)
    for name, key in names.items():
        assert cells(browser)[name].description == f"{means[key]:.3f}"
        assert cells(browser)[name].tooltip == f"{name}: mean F1 {means[key]:.3f}, 5 seeds"
    assert "the mean F1 over the seeds" in legend(browser)


def test_a_cell_shows_the_difference_on_the_same_seeds_and_marks_what_leaves_out_0(table):
    browser = drawn(browse(table), shows="difference")
    found = cells(browser)
    assert found["ce, α = 0"].description == "control"
    signs = {"▲": 0, "▼": 0, "": 0}
    for key in GRID[1:]:
        mean, half = closed_form(table, key)
        mark = "▲" if mean > half else "▼" if mean < -half else ""
        signs[mark] += 1
        button = found[browser.cells.name(key)]
        assert button.description == f"{number(mean, signed=True)} {mark}".strip()
        assert (
            f"({number(mean - half, signed=True)} to {number(mean + half, signed=True)})"
            in button.tooltip
        )
    assert signs["▲"] == signs["▼"] == 1 and signs[""] >= 3  # the table was made so
    assert "minus that of the control, ce, α = 0" in legend(browser) and "Student's" in legend(
        browser
    )


def test_only_seeds_that_both_have_are_compared(table):
    table = table[~((table["method"] == "ce") & (table["seed"] == 3))]
    table = table[~((table["method"] == "soft_f1") & (table["alpha"] == 10) & (table["seed"] == 0))]
    browser = drawn(browse(table), shows="difference", chosen=("soft_f1", 10))
    wide = table.pivot(index="seed", columns=["method", "alpha"], values="f1")
    d = (wide["soft_f1", 10] - wide["ce", 0]).dropna()
    assert (
        len(d) == 3
        and f"{number(d.mean(), signed=True)} (" in browser.text
        and "3 seeds" in browser.text
    )
    assert "seed 0" not in browser.text and "seed 3" not in browser.text
    assert f"seed 4 {number(d[4], signed=True)}" in browser.text


def test_the_interval_of_the_main_measure_is_the_one_of_effect_and_asked_for_once(table):
    asked = []

    def effect(control, cell):
        asked.append((control, cell))
        return Effect(0.1, 0.05, 0.25) if cell == ("soft_f1", 0.3) else Effect(0.1, -0.05, 0.25)

    browser = drawn(
        browse(table, effect=effect, how="dreams"), shows="difference", chosen=("soft_f1", 0.3)
    )
    assert (
        "+0.100 (+0.050 to +0.250)" in browser.text
        and "from dreams" in browser.text
        and "dreams" in legend(browser)
    )
    marks = {
        name
        for name, button in cells(browser).items()
        if "▲" in button.description or "▼" in button.description
    }
    assert marks == {"soft_f1, α = 0.3"}
    drawn(browser, measure="missing")
    assert "dreams" not in browser.text + legend(browser) and "Student's" in browser.text
    drawn(drawn(browser, measure="f1"), chosen=None)
    assert sorted(asked) == sorted((("ce", 0.0), key) for key in GRID[1:])


def test_one_seed_has_no_interval(table):
    browser = drawn(browse(table[table["seed"] == 0]), shows="difference")
    assert not any(
        mark in button.description for button in cells(browser).values() for mark in "▲▼"
    )
    assert "No intervals yet" in browser.text
    assert "No interval: that takes two seeds" in drawn(browser, chosen=("soft_f1", 10)).text
    assert "1 seed." in browser.text


def test_a_study_that_has_only_just_begun_can_be_looked_at(table):
    browser = drawn(
        browse(table[(table["seed"] == 0) & (table["method"] == "ce")]), shows="difference"
    )
    assert "No intervals yet" in browser.text and [
        b.description for b in cells(browser).values()
    ] == ["control"]
    later = table[~((table["method"] == "ce") & (table["seed"] > 0))]
    browser = drawn(
        browse(later[(later["seed"] > 0) | (later["method"] == "ce")]), chosen=("soft_f1", 10)
    )
    assert "F1 –, 0 seeds" in browser.text and drawn(browser, shows="difference", chosen=None).png


def test_where_there_is_no_run_there_is_no_button(table):
    children = grid(drawn(browse(table))).children
    assert len(children) == (1 + 4) * (1 + 4)
    empty = [c for c in children if isinstance(c, ipywidgets.HTML) and ">–<" in c.value]
    assert len(empty) == 4 * 4 - len(GRID) and all("no such run" in c.value for c in empty)
    assert not any(c.disabled for c in children if isinstance(c, ipywidgets.Button))
    headings = [re.sub("<[^>]*>", "", c.value) for c in children[:5]]
    assert headings == ["", "α = 0", "α = 0.3", "α = 10", "reward alone"]


def test_a_control_in_every_column_is_compared_column_by_column():
    table = read(data_dir() / "results" / "sentiment.csv")
    browser = StudyBrowser(
        table, columns="condition", measures=("accuracy", "brier"), shows="difference"
    )
    drawn(browser, chosen=("soft_f1", "one rater"))
    rows = table[table["condition"] == "one rater"].pivot(
        index="seed", columns="method", values="accuracy"
    )
    assert (
        f"accuracy {number((rows['soft_f1'] - rows['ce']).mean(), signed=True)} (" in browser.text
    )
    assert "against ce, one rater" in browser.text
    controls = [name for name, button in cells(browser).items() if button.description == "control"]
    assert len(controls) == 10 and all(name.startswith("ce, ") for name in controls)
    assert "lower is better" in legend(drawn(browser, measure="brier"))


# How it answers


def test_every_press_of_every_cell_is_answered(table):
    browser = drawn(browse(table))
    overview, page = browser.text, browser.widget.children[-1]
    for name, button in cells(browser).items():
        before = page.value
        button.click()
        assert drawn(browser).text.startswith(f"Chosen: {name}") and page.value != before
        assert html.escape(browser.text) in page.value and 'aria-live="polite"' in page.value
        thick = [
            b.tooltip
            for b in cells(browser).values()
            if "transparent" not in str(b.layout.border_top)
        ]
        assert len(thick) == 1 and thick[0].startswith(name) and "chosen" in thick[0]
    button.click()
    assert drawn(browser).text == overview and browser.chosen is None
    assert not any("chosen" in button.tooltip for button in cells(browser).values())


def test_a_press_returns_at_once_and_the_picture_follows(table):
    browser = drawn(browse(table), shows="difference")
    spent = []
    for key in GRID:
        start = time.perf_counter()
        browser._buttons[key].click()
        spent.append(time.perf_counter() - start)
        assert drawn(browser).chosen == key
    assert sorted(spent)[len(spent) // 2] < 0.05
    for key in GRID * 3:
        browser._buttons[key].click()
    assert drawn(browser).text.startswith(f"Chosen: {browser.cells.name(GRID[-1])}")


def test_the_properties_move_the_widget(table):
    browser = drawn(browse(table, measure="missing", shows="difference", chosen=("soft_f1", 10)))
    assert (browser.measure, browser.shows, browser.chosen) == (
        "missing",
        "difference",
        ("soft_f1", 10.0),
    )
    menu, radio = browser.widget.children[:2]
    assert (menu.value, radio.value) == ("missing", "difference")
    menu.value, radio.value, browser.chosen = "f1", "mean", None
    assert (browser.measure, browser.shows, browser.chosen) == ("f1", "mean", None)
    assert drawn(browser).text.startswith("No cell is chosen.") and browser.png


@pytest.mark.parametrize(
    ("name", "value", "say"),
    [
        ("measure", "f2", "measure 'f2' is not in the menu; did you mean 'f1'?"),
        ("shows", "means", "did you mean 'mean'?"),
        (
            "chosen",
            ("soft_f1", 2),
            r"no cell ('soft_f1', 2); did you mean ('soft_f1', 0.3)? known: alpha 0.3, 10, inf",
        ),
        ("chosen", ("soft_f2", 10), "no row 'soft_f2'; did you mean 'soft_f1'?"),
        ("chosen", ("ce", 10), "did you mean ('ce', 0.0)?"),
        ("chosen", "soft_f1", "no cell 'soft_f1'; did you mean ('soft_f1', 0.3)?"),
    ],
)
def test_a_value_that_is_not_there_is_refused(table, name, value, say):
    browser = browse(table)
    before = browser.state
    with pytest.raises(RmlibValueError, match=re.escape(say)):
        setattr(browser, name, value)
    assert browser.state == before


@pytest.mark.parametrize(
    ("others", "say"),
    [
        ({"measures": ("f2",)}, "no column 'f2'; did you mean 'f1'?"),
        ({"rows": "methods"}, "no column 'methods'; did you mean 'method'?"),
        ({"measures": ()}, "0 measures"),
        ({"measures": ("L_p",)}, "measure 'L_p' holds '2.0 1.0 0.1'; expected numbers"),
        ({"control": "cee"}, "did you mean 'ce'?"),
        (
            {"control": "soft_f1"},
            "control 'soft_f1' has 3 cells; give one of them, such as ('soft_f1', 0.3)",
        ),
        ({"control": ("ce", 1.0)}, "did you mean ('ce', 0.0)?"),
        ({"columns": "missing", "rows": "alpha"}, "two runs of seed 0 in the cell (0.0, 20)"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(table, others, say):
    with pytest.raises(RmlibValueError, match=re.escape(say)):
        StudyBrowser(table, **{"measures": ("f1",)} | others)


def test_a_control_may_be_one_cell(table):
    browser = drawn(
        browse(table, control=("soft_f1", 0.3)), shows="difference", chosen=("soft_f1", 10)
    )
    mean, half = closed_form(table, ("soft_f1", 10), ("soft_f1", 0.3))
    low, high = number(mean - half, signed=True), number(mean + half, signed=True)
    assert f"F1 {number(mean, signed=True)} ({low} to {high})" in browser.text
    assert cells(browser)["soft_f1, α = 0.3"].description == "control"


def test_an_error_of_effect_reaches_the_reader(table):
    def effect(control, cell):
        raise ValueError("no <such> rows")

    browser = browse(table, effect=effect)
    with pytest.raises(ValueError, match="no <such> rows"):
        browser.picture  # noqa: B018
    assert (
        'role="alert"' in browser.widget.children[-1].value
        and "&lt;such&gt;" in browser.widget.children[-1].value
    )
    assert drawn(browser, measure="missing").png


# What the pictures say


def test_the_words_hold_the_numbers_of_the_picture(table):
    table["reward"] = "soft_f1"
    browser = drawn(browse(table), chosen=("soft_f1", 10))
    mean, half = closed_form(table, ("soft_f1", 10))
    low, high = number(mean - half, True), number(mean + half, True)
    assert f"F1 {number(mean, signed=True)} ({low} to {high})" in browser.text
    assert "The 95 % interval lies above 0." in browser.text
    # L_p ends at .1, 1.1, ... 4.1: 2.1 on average
    assert (
        "Prediction loss L_p: control from 2.000 to 2.100, chosen from 2.000 to 2.100."
        in browser.text
    )
    assert (
        "Reward loss L_r: control from 0.900 to 0.250, chosen from 0.900 to 0.250." in browser.text
    )
    assert len(browser.figure.axes) == 4
    dots = browser.figure.axes[0].lines[1].get_ydata()
    wide = table.pivot(index="seed", columns=["method", "alpha"], values="f1")
    assert dots == pytest.approx((wide["soft_f1", 10] - wide["ce", 0]).to_numpy())
    assert [text.get_text() for text in browser.figure.axes[0].get_xticklabels()] == [
        *"01234",
        "mean",
    ]
    curves = browser.figure.axes[1].lines
    assert len(curves) == 2 * (5 + 1)  # each seed faint, and the mean, of both
    assert curves[5].get_ydata() == pytest.approx([2.0, 1.0, 2.1])
    assert {line.get_linestyle() for line in curves} == {"-", "--"}


def test_losses_of_two_reward_types_are_not_compared(table):
    browser = drawn(browse(table), chosen=("soft_f1", 10))
    assert "Reward loss L_r: chosen from" in browser.text
    table["reward"] = np.where(table["method"] == "ce", "soft_f1", table["method"])
    assert "L_r: control from" in drawn(browse(table), chosen=("soft_f1", 10)).text
    assert "L_r: chosen from" in drawn(browse(table), chosen=("<b>$x$</b>", 10)).text


def test_without_curves_the_scores_are_drawn_seed_by_seed(table):
    browser = drawn(browse(table.drop(columns=["L_p", "L_r", "dev_curve"])), chosen=("soft_f1", 10))
    control, method = browser.figure.axes[1].lines[:2]
    wide = table.pivot(index="seed", columns=["method", "alpha"], values="f1")
    assert control.get_ydata() == pytest.approx(wide["ce", 0].to_numpy())
    assert method.get_ydata() == pytest.approx(wide["soft_f1", 10].to_numpy())
    assert f"soft_f1, α = 10: seed 0 {wide['soft_f1', 10][0]:.3f}" in browser.text
    assert len(drawn(browser, chosen=("ce", 0)).figure.axes) == 1 and "the control" in browser.text


def test_the_overview_tells_how_many_leave_out_0_and_how_many_would_by_luck(table):
    browser = drawn(browse(table))
    where = [closed_form(table, key) for key in GRID[1:]]
    above, below = sum(m > half for m, half in where), sum(m < -half for m, half in where)
    counted = f"above 0: {above}, below 0: {below}, around 0: {7 - above - below}"
    assert f"7 intervals of 95 %; {counted}. About 0.35 of them" in browser.text
    for key, (mean, half) in zip(GRID[1:], where, strict=True):
        ends = f"({number(mean - half, signed=True)} to {number(mean + half, signed=True)})"
        assert f"{browser.cells.name(key)} {number(mean, signed=True)} {ends}" in browser.text


def test_names_from_the_table_are_shown_as_text(table):
    browser = drawn(browse(table), chosen=("<b>$x$</b>", 10))
    pages = [
        child.value
        for child in [*grid(browser).children, *browser.widget.children]
        if hasattr(child, "value")
    ]
    assert not any("<b>" in str(page) for page in pages) and any(
        "&lt;b&gt;$x$" in str(page) for page in pages
    )
    assert r"<b>\$x\$</b>, α = 10" in browser.figure.axes[0].get_legend_handles_labels()[1]


# Colours


def contrast(one: str, other: str) -> float:
    """WCAG 2.2: the ratio of the relative luminances."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_text_of_a_cell_can_be_read_on_every_colour():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    for colours in (LIGHT_TO_DARK, DIVERGING):
        for share in np.linspace(0, 1, 256):
            background = to_hex(colours(share))
            assert contrast(background, readable_on(background).lower()) >= 4.5, background


def test_the_scales_run_from_light_to_dark_and_evenly_about_0(table):
    greys = [contrast("#ffffff", to_hex(LIGHT_TO_DARK(share))) for share in np.linspace(0, 1, 50)]
    assert greys == sorted(greys) and greys[-1] > 9
    assert to_hex(DIVERGING(128 / 256)) in (
        "#ffffff",
        "#fffefe",
        "#fefefe",
        "#fffffe",
        "#fefeff",
        "#fefffe",
    )
    browser = drawn(browse(table), shows="difference")
    found = {name: button.style.button_color for name, button in cells(browser).items()}
    best, worst = found["soft_f1, α = 10"], found["<b>$x$</b>, reward alone"]
    assert int(best[1:3], 16) > int(best[5:], 16) and int(worst[1:3], 16) < int(
        worst[5:], 16
    )  # orange, blue
    low, high = re.search(r"(−[\d.]+)\s*\+([\d.]+)", legend(browser)).groups()
    assert low == f"−{high}"


def test_one_run_that_fails_does_not_bleach_the_others(table):
    browser = drawn(browse(table))
    lowest = float(re.search(r"over the seeds\. (\d\.\d{3})", legend(browser))[1])
    assert (
        0.7 < lowest < table[table["f1"] > 0.5]["f1"].mean()
    )  # the cell at about .1 is far below it
    assert "Values beyond have the last colour" in legend(browser)
    assert fences([1, 2, 3, 4, 100]) == (
        1,
        7,
    )  # quartiles 2 and 4; one and a half times their distance beyond
    assert fences([-100, 2, 3, 4, 5]) == (-1, 5) and fences([-100, 2, 3, 4, 5], reach=3.0) == (
        -4,
        5,
    )
    assert fences([1, 2, 3]) == (1, 3) and fences([]) == (0, 0) and fences([math.nan, 2]) == (2, 2)


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (0.1, True, "+0.100"),
        (-0.0004, True, "0.000"),
        (-0.5, False, "−0.500"),
        (42.25, False, "42.2"),
        (math.nan, True, "–"),
    ],
)
def test_a_number_as_it_is_written(value, signed, text):
    assert number(value, signed) == text


def test_numbers_side_by_side_have_as_many_places():
    assert interval(Effect(9.0, 1.8125, 16.25)) == "+9.0 (+1.8 to +16.2)"
    assert interval(Effect(0.1, -0.2, 0.3)) == "+0.100 (−0.200 to +0.300)"
