"""Every explorer is moved by its controls, sliders by arrow keys, in a real browser, and what it shows changes."""

import nbformat
import pytest
from driver import open_notebook, run_all, running_lab
from nbformat.v4 import new_code_cell, new_notebook

LOSS = "from rmlib.explorers import EntityViewer, LossExplorer\nloss = LossExplorer()\nloss.widget"
VIEWER = """words = [["<script>document.title='gone'</script>", "Rose"], ["Paris"]]
viewer = EntityViewer(words, {"gold": [["O", "B-PER"], ["B-LOC"]], "found": [["O", "O"], ["B-ORG"]]})
viewer.widget"""
ALT = "() => [...document.querySelectorAll('.jp-OutputArea img')].map(i => i.alt).join(' ')"


@pytest.fixture(scope="module")
def explorers(browser, tmp_path_factory):
    """A server with one notebook that shows the explorers."""
    folder = tmp_path_factory.mktemp("explorers")
    (folder / "notebooks").mkdir()
    cells = [new_code_cell(LOSS), new_code_cell(VIEWER)]
    nbformat.write(new_notebook(cells=cells), folder / "notebooks" / "explorers.ipynb")
    with running_lab(folder, "--notebooks", str(folder / "notebooks")) as lab:
        yield lab


def test_the_loss_explorer_follows_the_arrow_keys(browser_page, explorers):
    open_notebook(browser_page, explorers, "explorers.ipynb")
    run_all(browser_page, explorers, "explorers.ipynb")
    browser_page.wait_for_function(f"({ALT})().includes('α = 1, soft_f1, label y = 1')")
    handle = browser_page.locator(".jp-CodeCell").first.locator(".noUi-handle")
    handle.press("ArrowRight")
    browser_page.wait_for_function(f"({ALT})().includes('α = 3, soft_f1, label y = 1')")
    for _ in range(4):  # faster than it draws: the last one counts
        handle.press("ArrowRight")
    browser_page.wait_for_function(f"({ALT})().includes('reward alone, soft_f1, label y = 1')")
    menu = browser_page.locator(".jp-CodeCell").first.locator("select")
    menu.select_option("expected_accuracy")  # a native menu: which keys move it is the system's affair
    browser_page.wait_for_function(f"({ALT})().includes('reward alone, expected_accuracy')")


def test_the_entity_viewer_follows_the_arrow_keys_and_escapes_text(browser_page, explorers):
    open_notebook(browser_page, explorers, "explorers.ipynb")
    run_all(browser_page, explorers, "explorers.ipynb")
    viewer = browser_page.locator(".jp-CodeCell").nth(1)
    group = viewer.locator("[role=group][aria-label^='Sentence']")
    assert group.get_attribute("aria-label").startswith("Sentence 0 of 0 to 1")
    assert "<script>" in group.inner_text()  # shown as text, not run
    assert browser_page.title() != "gone"
    viewer.locator(".noUi-handle").press("ArrowRight")
    viewer.locator("[aria-label^='Sentence 1 of 0 to 1']").wait_for()
    assert "Paris" in viewer.locator("[role=group]").inner_text()
