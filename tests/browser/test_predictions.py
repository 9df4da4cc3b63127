"""A prediction by mouse and by keyboard, and what happened."""

import json

import pytest
from playwright.sync_api import expect

from tests.browser.driver import open_notebook
from tests.browser.test_exercises import cell_at, run_cell

pytestmark = pytest.mark.browser

LESSON = "00_start_here.ipynb"


def cells(school) -> list[str]:
    stored = json.loads((school.workbook / LESSON).read_text(encoding="utf8"))
    return ["".join(cell["source"]) for cell in stored["cells"]]


def number_of(sources: list[str], start: str, id: str) -> int:
    return next(i for i, s in enumerate(sources) if s.startswith(start) and id in s)


@pytest.mark.parametrize("how", ["mouse", "keyboard"])
def test_answer_run_and_see(browser_page, school, ending, how):
    (school.workbook / ".rmlib" / "predictions.json").unlink(missing_ok=True)
    page, sources = browser_page, cells(school)
    question = number_of(sources, "predict(", "start_here.alpha")
    open_notebook(page, school, LESSON)
    run_cell(page, next(i for i, s in enumerate(sources) if "import" in s and "predict" in s))
    run_cell(page, question)
    radios = cell_at(page, question).locator("input[type=radio]")
    radios.first.wait_for(timeout=60_000)
    assert radios.count() == 3
    if how == "mouse":
        radios.nth(2).click()
    else:
        radios.first.press("Space")
        for _ in range(2):
            page.keyboard.press("Tab")  # where the browser goes from button to button with Tab
        radios.nth(2).press("Space")
    status = cell_at(page, question).locator("[role=status]")
    expect(status).to_contain_text("noted: L alone", timeout=30_000)
    for number in range(question + 1, number_of(sources, "parts =", "start_here.alpha") + 1):
        run_cell(page, number)
    shown = cell_at(page, number).locator("[role=status]")
    expect(shown).to_contain_text("it came true; you said: L alone", timeout=60_000)
    expect(radios.first).to_be_disabled()  # now it stands
    kept = json.loads((school.workbook / ".rmlib" / "predictions.json").read_text())
    assert kept["start_here.alpha"] == {"said": "L alone", "true": True}
    explanation = page.locator("details", has_text="does not touch the two losses").first
    assert explanation.evaluate("one => !one.open")  # folded until the reader opens it
