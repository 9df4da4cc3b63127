"""Every explorer is moved by its controls, by keys alone, in a real browser, and its picture
follows.
"""

import inspect

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import rmlib.widgets
from rmlib.widgets.framework.explorer import Explorer
from tests.browser.driver import move, open_notebook, run_all, running_lab

pytestmark = pytest.mark.browser

PICTURED = [  # those that can be made of nothing; the others have tests of their own
    name
    for name in rmlib.widgets.__all__
    if inspect.isclass(one := getattr(rmlib.widgets, name))
    and issubclass(one, Explorer)
    and not any(p.default is p.empty for p in inspect.signature(one).parameters.values())
]
# What takes long the first time on a machine, before anything is looked at.
READY = """from rmlib.studies import sentiment_data
from rmlib.widgets.instant_head.numbers import newswire_features
sentiment_data.tweet_features(), newswire_features();"""
NASTY = """import rmlib.widgets
sentences = [["<script>document.title='gone'</script>", "Rose"], ["Paris"]]
gold, found = [["O", "B-PER"], ["B-LOC"]], [["O", "O"], ["B-ORG"]]
rmlib.widgets.EntityViewer(sentences, {"gold": gold, "found": found}).widget"""

OTHER = """([cell, alt]) => {
  const image = document.querySelectorAll('.jp-CodeCell')[cell].querySelector('img');
  return image && image.alt !== alt && image.complete && image.naturalWidth > 0;
}"""

# in one moment
SPOKEN_AND_ALT = (
    "box => [box.querySelector('[role=status]').innerText, box.querySelector('img').alt]"
)


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    """One notebook that shows all of them, the entity viewer first, open and run."""
    folder = tmp_path_factory.mktemp("explorers")
    (folder / "notebooks").mkdir()
    sources = [f"{READY}\n{NASTY}", *(f"rmlib.widgets.{name}().widget" for name in PICTURED)]
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    nbformat.write(notebook, folder / "notebooks" / "explorers.ipynb")
    with running_lab(folder, "--notebooks", str(folder / "notebooks")) as lab:
        # All cells in view, for JupyterLab draws no others.
        context = browser.new_context(viewport={"width": 1280, "height": 1000 * len(sources)})
        page, errors = context.new_page(), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        open_notebook(page, lab, "explorers.ipynb")
        run_all(page, lab, "explorers.ipynb", timeout=400)
        yield page
        context.close()
        assert not errors, f"the page threw: {errors}"


@pytest.fixture
def cells(page):
    return page.locator(".jp-CodeCell")


def test_every_control_of_every_explorer_moves_its_picture(cells, page):
    assert "LossExplorer" in PICTURED
    for cell, name in enumerate(PICTURED, start=1):  # the first is the entity viewer
        box = cells.nth(cell)
        box.locator("img").wait_for(timeout=120_000)
        controls = box.locator(".widget-slider, .widget-dropdown, .widget-radio")
        assert controls.count() == box.locator(".widget-label:visible").count() > 0, (
            f"{name}: a control without a name"
        )
        for number in range(controls.count()):
            control = controls.nth(number)
            before = box.locator("img").get_attribute("alt")
            move(control)
            what = control.locator(".widget-label").inner_text()
            try:
                page.wait_for_function(OTHER, arg=[cell, before], timeout=20_000)
            except Exception as error:
                raise AssertionError(
                    f"{name}: {what!r} was moved and the picture did not follow"
                ) from error
            spoken, alt = box.evaluate(SPOKEN_AND_ALT)
            assert spoken == alt
        assert box.locator("[role=alert]").count() == 0


def test_keys_that_come_faster_than_pictures_end_on_the_last_one(cells):
    box = cells.nth(1 + PICTURED.index("LossExplorer"))
    handle = box.locator(".noUi-handle")
    for key, shown in ((["ArrowLeft"] * 10, "α = 0, "), (["ArrowRight"] * 10, "reward alone, ")):
        for one in key:
            handle.press(one)
        box.locator(f"img[alt*='{shown}']").wait_for()


def test_the_entity_viewer_follows_the_arrow_keys_and_escapes_text(cells, page):
    viewer = cells.first
    group = viewer.locator("[role=group][aria-label^='Sentence']")
    assert group.get_attribute("aria-label").startswith("Sentence 0 of 0 to 1")
    assert "<script>" in group.inner_text()  # shown as text, not run
    assert page.title() != "gone"
    viewer.locator(".noUi-handle").press("ArrowRight")
    viewer.locator("[aria-label^='Sentence 1 of 0 to 1']").wait_for()
    assert "Paris" in viewer.locator("[role=group]").inner_text()
