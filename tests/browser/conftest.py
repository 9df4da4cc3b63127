"""A real JupyterLab, started by `rmlib lab`, in a real browser.

Chromium comes from the system (`apt-get install chromium`) or is named by the environment variable
RMLIB_CHROMIUM. Without it these tests are skipped; RMLIB_REQUIRE_BROWSER=1 makes them fail instead,
for the machine that must run them.
"""

import os

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests.browser.driver import FLAGS, chromium, running_lab

SLIDER = """import ipywidgets
slider = ipywidgets.FloatSlider(value=0.5, max=1.0, description='alpha')
slider"""


@pytest.fixture(scope="session")
def lab(browser, tmp_path_factory):
    """One server for the session, on a workbook made from a small lesson of its own; skipped
    without `browser`.
    """
    folder = tmp_path_factory.mktemp("lab")
    code = ["import sys\nprint(sys.executable)", SLIDER, "round(slider.value, 1)"]
    cells = [new_markdown_cell("# Start here"), *(new_code_cell(source) for source in code)]
    (folder / "notebooks").mkdir()
    nbformat.write(new_notebook(cells=cells), folder / "notebooks" / "00_start_here.ipynb")
    with running_lab(folder, "--notebooks", str(folder / "notebooks")) as lab:
        yield lab


@pytest.fixture(scope="session")
def school(browser, tmp_path_factory):
    """One server for the session, on the kit's own workbook; its kernels run the lessons small."""
    with running_lab(tmp_path_factory.mktemp("school"), RMLIB_PROFILE="quick") as lab:
        yield lab


@pytest.fixture
def ending(school):
    """Afterwards no kernel is left to take time from the next lesson."""
    yield
    school.end_kernels()


@pytest.fixture(scope="session")
def browser():
    """One Chromium for the session."""
    executable = chromium()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        executable = None
    if not executable:
        say = (
            "the browser tests need Chromium and Playwright: "
            "`apt-get install chromium`, `pip install playwright`"
        )
        (pytest.fail if os.environ.get("RMLIB_REQUIRE_BROWSER") == "1" else pytest.skip)(say)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def browser_page(browser):
    """A page in a context of its own, as on a first visit; errors that the page itself throws fail
    the test.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors, f"the page threw: {errors}"
