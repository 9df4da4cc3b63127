"""`rmlib lab`, as a newcomer sees it."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.browser.driver import open_notebook, run_all, wait_until_ready

pytestmark = pytest.mark.browser
FIRST = "00_start_here.ipynb"


def shot(page, name: str) -> None:
    """Keep a picture of the page in the folder that RMLIB_SHOTS names, if it names one."""
    if folder := os.environ.get("RMLIB_SHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")


def test_the_lab_opens_at_the_first_lesson_without_a_pop_up(browser_page, lab):
    browser_page.goto(f"{lab.url}?token={lab.token}")
    wait_until_ready(browser_page)
    assert browser_page.url.split("?")[0] == f"{lab.url}lab/tree/{FIRST}"
    assert browser_page.locator(".jp-RenderedMarkdown h1").inner_text().startswith("Start here")
    config = json.loads(browser_page.locator("#jupyter-config-data").text_content())
    assert "@jupyterlab/apputils-extension:announcements" in config["disabledExtensions"]
    browser_page.wait_for_timeout(5000)  # the question about news comes a moment after the page
    assert browser_page.locator(".Toastify__toast, .jp-Dialog").all_inner_texts() == []


def test_a_cell_runs_with_shift_enter_in_the_python_that_runs_rmlib(browser_page, lab):
    open_notebook(browser_page, lab, FIRST)
    browser_page.locator(".jp-CodeCell .cm-content").first.click()
    browser_page.keyboard.press("Shift+Enter")
    output = browser_page.locator(".jp-CodeCell").first.locator(".jp-OutputArea-output")
    output.wait_for(timeout=30_000)
    assert output.inner_text().strip() == sys.executable


def test_all_cells_run_and_the_slider_talks_to_python(browser_page, lab):
    open_notebook(browser_page, lab, FIRST)
    stored = run_all(browser_page, lab, FIRST)
    assert stored.cells[1].outputs[0].text.strip() == sys.executable
    slider = browser_page.locator(".widget-slider")
    slider.wait_for(timeout=30_000)
    assert slider.locator(".widget-readout").inner_text() == "0.50"
    slider.locator(".noUi-handle").press("ArrowRight")  # by keyboard alone, as some readers must
    last = browser_page.locator(".jp-CodeCell").nth(2)
    last.locator(".cm-content").click()
    browser_page.keyboard.press("Shift+Enter")
    last.locator(".jp-OutputArea-output", has_text="0.6").wait_for(timeout=30_000)
    shot(browser_page, "lab")


def test_a_cell_that_fails_is_noticed(browser_page, lab):
    """The helper that every other browser test leans on must not pass a broken notebook."""
    source = (lab.workbook / FIRST).read_text(encoding="utf-8")
    (lab.workbook / "broken.ipynb").write_text(
        source.replace("print(sys.executable)", "1 / 0"), encoding="utf-8"
    )
    open_notebook(browser_page, lab, "broken.ipynb")
    with pytest.raises(AssertionError, match="broken.ipynb: ZeroDivisionError"):
        run_all(browser_page, lab, "broken.ipynb")
