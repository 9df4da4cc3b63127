"""Two live labs in one notebook, by keys in a real browser, while both train: a tiny BERT, ten
steps a second each.
"""

import contextlib
import json
import os
import time
import urllib.request

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.browser.driver import open_notebook, run_all, running_lab, wait_until_ready

pytestmark = pytest.mark.browser

NAME = "live.ipynb"
SETUP = """import json, os, time
from rmlib.models.encoder import new_tagger
from rmlib.text import corpora
from rmlib.text.conll import Sentence
from rmlib.training.config import Config
from rmlib.widgets.live.dev_monitor import DevMonitor
from rmlib.widgets.live.live import Live, reopen
from rmlib.training.loop import Training
from rmlib.widgets import LiveTraining

def make(name):
    corpus = corpora.newswire()
    tagger = new_tagger(corpus.tags, {tiny!r})
    examples = tagger.encode(corpus.train[:200]).examples
    training = Training(tagger, examples, Config(max_tokens=256, epochs=1000))
    shown = [Sentence(("<b>bold</b>", "Rose"), ("O", "B-PER"))]
    return Live(training, evaluate=DevMonitor(tagger, corpus.dev[:10], shown), every=30, name=name)

labs, moved = {{}}, []
def show(name):
    lab = labs[name] = LiveTraining(reopen(name, make))
    lab.speed = 5
    (alpha,) = (one for one in lab.widget.children[0].children if one.description == "α")
    note = lambda change: moved.append((name, len(lab.live.history), change["new"]))
    alpha.observe(note, "value")
    return lab.widget"""
ASK = """states = {name: lab.live.state for name, lab in labs.items()}
alphas = {name: [row["alpha"] for row in lab.live.history] for name, lab in labs.items()}
found = {name: {"state": states[name], "alphas": alphas[name]} for name in labs}
print(json.dumps({"pid": os.getpid(), "asked": time.time(), "moved": moved, "labs": found}))"""
WAIT = "labs['one'].live.join()"
CLOSE = "for lab in labs.values():\n    lab.live.close()"
SOURCES = [SETUP, "show('one')", "show('two')", ASK, "# waits", "# closes"]


@pytest.fixture(scope="module")
def opened(browser, tiny, tmp_path_factory):
    """The notebook, run, and its lab."""
    folder = tmp_path_factory.mktemp("live")
    (folder / "notebooks").mkdir()
    sources = [SETUP.format(tiny=str(tiny)), *SOURCES[1:]]
    nbformat.write(
        new_notebook(cells=[new_code_cell(one) for one in sources]), folder / "notebooks" / NAME
    )
    with running_lab(
        folder, "--notebooks", str(folder / "notebooks"), RMLIB_PROFILE="quick"
    ) as lab:
        context = browser.new_context(
            viewport={"width": 1280, "height": 4000}
        )  # JupyterLab draws no cells out of view
        page, errors = context.new_page(), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        open_notebook(page, lab, NAME)
        run_all(page, lab, NAME)
        for number in (1, 2):
            press(page, number, "train")
        yield page, lab
        context.close()
        assert not errors, f"the page threw: {errors}"


@pytest.fixture
def page(opened):
    return opened[0]


def cell(page, number: int):
    return page.locator(".jp-Notebook .jp-Cell").nth(number)


def press(page, number: int, button: str) -> None:
    cell(page, number).get_by_role("button", name=button, exact=True).press("Space")


def status(page, number: int, says: str):
    """The status line of a lab, once it says so."""
    line = cell(page, number).locator("[role=status]", has_text=says)
    line.wait_for(timeout=20_000)
    return line


def wait_for_alpha(page, number: int, alpha: float) -> None:
    """Wait until a lab's steps are taken with this α."""
    status(page, number, f"Active: α = {alpha:g},")


def run(page, number: int, source: str = "") -> None:
    """Run a cell, with another source if one is given."""
    cell(page, number).locator(".cm-content").click()
    if source:
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(source)
    page.keyboard.press("Control+Enter")


def ask(page) -> dict:
    """What the kernel says of both labs now."""
    begin, output = time.time(), cell(page, 3).locator(".jp-OutputArea-output")
    run(page, 3)
    while True:
        with contextlib.suppress(IndexError, ValueError):  # nothing there yet, or half of it
            told = json.loads(output.all_inner_texts()[0])
            if told["asked"] > begin:  # and not the answer of the time before
                return told
        assert time.time() < begin + 20, f"no answer, but {output.all_inner_texts()}"
        page.wait_for_timeout(50)


def move_alpha(page, number: int, key: str = "ArrowRight") -> None:
    cell(page, number).locator(".noUi-handle").first.press(key)


def test_alpha_moved_while_it_trains_is_in_the_history_within_two_steps(page):
    before = ask(page)
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        move_alpha(page, 1, key)
        page.wait_for_timeout(900)
    wait_for_alpha(page, 1, 3)
    told = ask(page)
    alphas, moves = (
        told["labs"]["one"]["alphas"],
        [move for move in told["moved"] if move not in before["moved"]],
    )
    assert [(name, alpha) for name, _, alpha in moves] == [("one", 3), ("one", 10), ("one", 3)]
    for _, done, alpha in moves:
        assert alphas[done + 1] == alpha, f"{alpha} after {done} steps: {alphas[done:]}"
    cell(page, 1).locator("img[alt*='3 from step']").wait_for()


def test_the_other_lab_keeps_its_own(page):
    told = ask(page)["labs"]
    assert set(told["two"]["alphas"]) == {1.0} and told["two"]["state"] == "training"
    move_alpha(page, 2, "ArrowLeft")
    wait_for_alpha(page, 2, 0.3)
    told = ask(page)["labs"]
    assert told["two"]["alphas"][-1] == 0.3 and 0.3 not in told["one"]["alphas"]


def test_pause_holds_and_train_goes_on(page):
    press(page, 1, "pause")
    status(page, 1, "holding")
    held = len(ask(page)["labs"]["one"]["alphas"])
    page.wait_for_timeout(2000)
    assert len(ask(page)["labs"]["one"]["alphas"]) == held
    press(page, 1, "one step")
    page.wait_for_timeout(1000)
    assert len(ask(page)["labs"]["one"]["alphas"]) == held + 1
    press(page, 1, "train")
    status(page, 1, "training")
    page.wait_for_timeout(1000)
    assert len(ask(page)["labs"]["one"]["alphas"]) > held + 1


def test_what_is_tagged_is_shown_as_text(page):
    group = cell(page, 1).locator("[role=group]")
    group.get_by_text("now:").wait_for(timeout=20_000)
    assert "<b>bold</b>" in group.inner_text()


def test_a_cell_that_waits_can_be_interrupted_and_the_lab_lives_on(opened):
    page, lab = opened
    run(page, 4, WAIT)
    page.locator("#jp-main-statusbar", has_text="| Busy").wait_for(timeout=20_000)
    move_alpha(page, 1, "ArrowLeft")  # the cell waits, the lab does not
    wait_for_alpha(page, 1, 1)
    post(lab, f"api/kernels/{kernel(lab)}/interrupt")
    cell(page, 4).locator(".jp-OutputArea-output", has_text="KeyboardInterrupt").wait_for(
        timeout=20_000
    )
    move_alpha(page, 1, "ArrowLeft")
    wait_for_alpha(page, 1, 0.3)
    assert ask(page)["labs"]["one"]["state"] == "training"


def test_the_cell_run_again_takes_over(page):
    before = len(ask(page)["labs"]["one"]["alphas"])
    move_alpha(page, 1)
    wait_for_alpha(page, 1, 1)
    run(page, 1)
    page.wait_for_timeout(500)
    wait_for_alpha(page, 1, 1)
    assert cell(page, 1).locator(".widget-readout").first.inner_text() == "1"
    told = ask(page)["labs"]["one"]
    assert len(told["alphas"]) > before and told["state"] == "training"


def test_the_page_loaded_again_finds_the_labs(page):
    page.keyboard.press("Control+s")
    page.wait_for_timeout(500)
    before = len(ask(page)["labs"]["one"]["alphas"])
    page.on("dialog", lambda dialog: dialog.accept())  # unsaved changes are lost
    page.reload()
    wait_until_ready(page)
    wait_for_alpha(page, 1, 1)
    move_alpha(page, 1)
    wait_for_alpha(page, 1, 3)
    told = ask(page)["labs"]["one"]
    assert told["state"] == "training" and len(told["alphas"]) > before and told["alphas"][-1] == 3


def test_a_kernel_that_is_restarted_leaves_nothing_behind(opened):
    page, lab = opened
    pid = ask(page)["pid"]
    assert os.path.exists(f"/proc/{pid}")
    post(lab, f"api/kernels/{kernel(lab)}/restart")
    end = time.monotonic() + 20
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < end, f"process {pid} is still there"
        time.sleep(0.1)
    page.reload()
    wait_until_ready(page)
    run(page, 0)
    run(page, 1)
    run(page, 2)
    press(page, 1, "train")
    status(page, 1, "training")
    told = ask(page)
    assert told["pid"] != pid and told["labs"]["one"]["alphas"].count(1.0) == len(
        told["labs"]["one"]["alphas"]
    )
    run(page, 5, CLOSE)
    status(page, 1, "closed")


def kernel(lab) -> str:
    (session,) = lab.api("sessions")
    return session["kernel"]["id"]


def post(lab, path: str) -> None:
    headers = {"Authorization": f"token {lab.token}"}
    urllib.request.urlopen(
        urllib.request.Request(lab.url + path, b"", headers, method="POST"), timeout=30
    ).close()
