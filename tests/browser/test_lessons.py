"""Every lesson in a real browser: it opens, all its cells run, and each of its widgets is moved and
answers.
"""

import re
import shutil
import time

import pytest
from playwright.sync_api import expect

from rmlib.classroom.workbook import default_folders
from tests.browser.driver import CONTROLS, move, open_notebook, run_all

pytestmark = pytest.mark.browser

LESSONS = sorted(default_folders()[0].glob("*.ipynb"))
assert LESSONS
WIDGET = "application/vnd.jupyter.widget-view+json"
# Controls that act on what comes later, or on another control: nothing has to change at once but
# themselves. (The snapshot that is chosen is the one just kept, so to go back to it is to stay.)
# The button of a self-test finds the number that the lesson's own cell has answered: the same words
# stand there.
QUIET = {
    "only those that differ",
    "steps/s ≤",
    "snapshot",
    "go back",
    *(f"check answer {n}" for n in (1, 2, 3)),
}

SHOWN = """cell => [...cell.querySelectorAll(
  '.widget-html-content, .widget-htmlmath-content, option'
)].map(part =>
  part.textContent + [...part.querySelectorAll('img')].map(image => image.src).join()
).join()"""
RUN_SECONDS = 400  # lesson 05 on one busy core; a quiet machine takes a quarter of it
ANSWER_SECONDS = 90  # a sweep over α on a slow machine; most controls answer in a tenth of a second


def solved(lesson) -> str:
    """The name, in the workbook, of the lesson with its solutions."""
    return f"solved_{lesson.name}"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_the_lesson_of_the_workbook_opens(browser_page, school, ending, lesson):
    open_notebook(browser_page, school, lesson.name)
    assert browser_page.locator(".jp-RenderedMarkdown h1").first.inner_text()
    assert browser_page.locator(".jp-Dialog").count() == 0


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_all_cells_run_and_every_widget_answers(browser_page, school, ending, lesson):
    shutil.copy(lesson, school.workbook / solved(lesson))
    open_notebook(browser_page, school, solved(lesson))
    stored = run_all(browser_page, school, solved(lesson), timeout=RUN_SECONDS)
    widgets = any("widget" in cell.source for cell in stored.cells)
    assert widgets or lesson.stem.startswith("appendix"), "a lesson without a widget"
    for number, cell in enumerate(stored.cells):
        if any(WIDGET in output.get("data", {}) for output in cell.get("outputs", [])):
            try_widget(browser_page, number)


def try_widget(page, number: int) -> None:
    """Move every control of a cell's widget, by the keyboard, and see that something answers."""
    cell = page.locator(f".jp-Cell[data-windowed-list-index='{number}']")
    cell.scroll_into_view_if_needed()
    cell.locator(".jupyter-widgets").first.wait_for(timeout=30_000)
    controls = cell.locator(CONTROLS)
    # Progress bars have none, nor has `check_widgets`, which the browser answers without a reader.
    field = cell.locator(".widget-text input")
    others = cell.locator(".widget-hprogress").or_(cell.get_by_text("[OK]"))
    controls.or_(field).or_(others).first.wait_for(timeout=60_000)
    before = settled(page, cell)  # by then all of them are there
    if field.count() and not controls.count():  # a prediction that asks for a number
        field.fill("0.5")
        field.press("Enter")
        wait_for_change(page, cell, before, f"cell {number}: a number, and nothing answered")
    for control in controls.all():
        name = named(control)
        if control.locator("option").count() == 1:  # a menu of one
            continue
        before = settled(page, cell)
        move(control)
        if name not in QUIET:
            wait_for_change(
                page, cell, before, f"cell {number}: {name!r} was moved and nothing answered"
            )
    assert cell.locator("[role=alert]").count() == 0


def named(control) -> str:
    """The label of a control. It is there from the start, but a page that is busy shows it late."""
    control.scroll_into_view_if_needed()
    expect(control).to_have_text(re.compile(r"\S"), timeout=30_000, use_inner_text=True)
    return control.inner_text().splitlines()[0]


def shown(cell) -> str:
    """All words and pictures of a widget, and what its menus offer, but no control's position."""
    return cell.evaluate(SHOWN)


def settled(page, cell) -> str:
    """The same, when it has stood still for a while: formulas are set late, and a training may go
    on.
    """
    now = shown(cell)
    for _ in range(20):
        page.wait_for_timeout(300)
        before, now = now, shown(cell)
        if before == now:
            break
    return now


def wait_for_change(page, cell, before: str, complaint: str) -> None:
    end = time.monotonic() + ANSWER_SECONDS
    while shown(cell) == before:
        assert time.monotonic() < end, complaint
        page.wait_for_timeout(50)
