"""An exercise of every lesson as a learner meets it: unanswered, answered wrongly, answered
rightly, in the browser.
"""

import json
import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from rmlib.classroom.workbook import default_folders
from tests.browser.driver import open_notebook

pytestmark = pytest.mark.browser

LESSONS = [
    path
    for path in sorted(default_folders()[0].glob("*.ipynb"))
    if '"q1-check"' in path.read_text(encoding="utf8")
]
SHOTS = os.environ.get("RMLIB_SHOTS")  # a folder for pictures of what the learner sees
SOLUTION = re.compile(r"( *)### BEGIN SOLUTION\n(.*?)\n *### END SOLUTION", re.S)


def first_function(path: Path) -> tuple[str, int, int, int, str, str]:
    """Of a lesson's first exercise that asks for a function: its name; the numbers of the cells
    that bring `check`, that are to be filled in, and that check, in the learner's copy; and the
    answer, wrong and right."""
    cells = json.loads(path.read_text(encoding="utf8"))["cells"]
    cells = [cell for cell in cells if "instructor-only" not in cell["metadata"].get("tags", [])]
    sources = ["".join(cell["source"]) for cell in cells]
    marks = [cell["metadata"].get("nbgrader", {}).get("grade_id", "") for cell in cells]
    start = next(i for i, source in enumerate(sources) if re.search(r"import .*\bcheck\b", source))
    for number, mark in enumerate(marks):
        if mark.endswith("-answer") and re.search(
            r"^def .*:\n(?:.*\n)*? +### BEGIN SOLUTION", sources[number], re.M
        ):
            right = SOLUTION.sub(lambda found: found[2], sources[number])
            wrong = SOLUTION.sub(lambda found: f"{found[1]}return None", sources[number])
            name = mark.removesuffix("-answer")
            return name, start, number, marks.index(f"{name}-check"), wrong, right
    raise AssertionError(f"{path.name} asks for no function")


def cell_at(page, number: int):
    cell = page.locator(f".jp-Cell[data-windowed-list-index='{number}']")
    cell.scroll_into_view_if_needed()
    return cell


def go_to(page, number: int):
    """Bring a cell into view: a long notebook draws only what is seen, so it is scrolled there step
    by step.
    """
    for _ in range(60):
        if page.locator(f".jp-Cell[data-windowed-list-index='{number}']").count():
            return cell_at(page, number)
        page.locator(".jp-WindowedPanel-outer").first.evaluate(
            "panel => panel.scrollBy(0, panel.clientHeight * 0.7)"
        )
        page.wait_for_timeout(120)
    raise AssertionError(f"cell {number} is not drawn")


def run_cell(page, number: int, source: str | None = None) -> None:
    """Run one cell, after replacing its text."""
    cell = go_to(page, number)
    cell.locator(".cm-content").click()
    if source is not None:
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(source)
    page.keyboard.press("Control+Enter")
    page.locator("#jp-main-statusbar", has_text="| Idle").wait_for(timeout=120_000)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_an_exercise_says_not_attempted_not_yet_and_correct(browser_page, school, ending, lesson):
    name, start, answer, check, wrong, right = first_function(lesson)
    page = browser_page
    open_notebook(page, school, lesson.name)
    run_cell(page, start)
    for turn, (source, words) in enumerate(
        ((None, "not attempted"), (wrong, "not yet"), (right, "correct"))
    ):
        run_cell(page, answer, source)
        run_cell(page, check)
        shown = cell_at(page, check).locator("[role=status]")
        expect(shown).to_contain_text(words, timeout=60_000)
        if words == "not yet":
            expect(shown).to_contain_text("None")
        if SHOTS:
            page.wait_for_timeout(500)
            page.screenshot(path=f"{SHOTS}/{lesson.stem}_{name}_{turn}.png")


def test_every_lesson_from_01_on_has_exercises():
    assert [path.name[:2] for path in LESSONS] == [f"{n:02}" for n in range(1, 9)]
