"""A learner's way through lessons 01 to 05 in the browser: pieces are written, kept in
`workbook/mine.py`, and train the BERT.
"""

import json
import os
import re

import pytest
from playwright.sync_api import expect

from rmlib.classroom.workbook import default_folders
from rmlib.exercises.framework.own_pieces import PIECES
from tests.browser.driver import open_notebook, run_all, running_lab
from tests.browser.test_exercises import SOLUTION, cell_at, go_to, run_cell

pytestmark = [pytest.mark.browser, pytest.mark.long]

LESSONS = sorted(default_folders()[0].glob("0[1-5]_*.ipynb"))
SHOTS = os.environ.get("RMLIB_SHOTS")  # a folder for pictures of what the learner sees
RUN_SECONDS = 400
AS_PRINTED = """def soft_f1(y_hat, y):
    return (2 * y_hat * y / (2 * y_hat + y + (1 - y_hat) * (1 - y))).mean()"""


@pytest.fixture
def empty(browser, tmp_path):
    """A lab on an empty workbook of its own."""
    with running_lab(tmp_path, RMLIB_PROFILE="quick") as lab:
        yield lab


def answers(path) -> dict[str, tuple[int, int, str]]:
    """For each piece of a lesson: the numbers of its answer cell and of its check in the learner's
    copy, and the answer.
    """
    cells = json.loads(path.read_text(encoding="utf8"))["cells"]
    cells = [cell for cell in cells if "instructor-only" not in cell["metadata"].get("tags", [])]
    marks = [cell["metadata"].get("nbgrader", {}).get("grade_id", "") for cell in cells]
    found = {}
    for number, cell in enumerate(cells):
        source = "".join(cell["source"])
        defined = re.search(r"^def (\w+)", source, re.M)
        if marks[number].endswith("-answer") and defined and defined[1] in PIECES:
            right = SOLUTION.sub(lambda solved: solved[2], source)
            name = marks[number].removesuffix("-answer")
            found[defined[1]] = (number, marks.index(f"{name}-check"), right)
    return found


ANSWERS = {path.name: answers(path) for path in LESSONS}


def write_pieces(page, lab, lesson: str, wanted) -> None:
    """Open a lesson and put in the answers by keyboard, then run all cells."""
    open_notebook(page, lab, lesson)
    others = "|".join(set(PIECES) - set(wanted)) or "nothing"
    for name, (number, _, source) in ANSWERS[lesson].items():
        source = re.sub(rf"(?<![\w.])({others})\(", r"mine.\1(", source)  # as the lesson says
        if name in wanted:
            go_to(page, number).locator(".cm-content").click()
            page.keyboard.press("Control+a")
            page.keyboard.insert_text(source)
    run_all(page, lab, lesson, timeout=RUN_SECONDS)
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/built_{lesson.removesuffix('.ipynb')}.png")


def kept(lab) -> list[str]:
    file = lab.workbook / "mine.py"
    return re.findall(r"^def (\w+)", file.read_text(), re.M) if file.exists() else []


def differences(lab) -> list[float]:
    """What lesson 05 prints: the largest differences between the losses of the learner's objective
    and of the kit's, in the learner's own loop, in Trainer and in the kit's loop.
    """
    stored = json.loads((lab.workbook / LESSONS[-1].name).read_text(encoding="utf8"))
    text = "".join(
        "".join(output.get("text", ""))
        for cell in stored["cells"]
        for output in cell.get("outputs", [])
    )
    found = re.findall(r"(\S+) at most in|largest difference (\S+)", text)
    return [float(one or other) for one, other in found]


def test_every_piece_has_an_answer_cell():
    assert [name for lesson in ANSWERS.values() for name in lesson] == list(PIECES)


def test_all_pieces_right_and_the_bert_is_trained_by_them(browser_page, empty):
    for lesson in ANSWERS:
        write_pieces(browser_page, empty, lesson, PIECES)
        empty.end_kernels()
    assert sorted(kept(empty)) == sorted(PIECES)
    found = differences(empty)
    assert len(found) == 5 and max(found) <= 1e-5
    browser_page.goto(empty.address("mine.py"))
    editor = browser_page.locator(".jp-FileEditor .cm-content")
    expect(editor).to_contain_text("def bce_from_logits", timeout=60_000)
    if SHOTS:
        browser_page.screenshot(path=f"{SHOTS}/mine.png")


def test_every_second_piece_missing(browser_page, empty):
    wanted = list(PIECES)[::2]
    for lesson in ANSWERS:
        write_pieces(browser_page, empty, lesson, wanted)
        empty.end_kernels()
    assert sorted(kept(empty)) == sorted(wanted)
    found = differences(empty)
    assert len(found) == 5 and max(found) <= 1e-5


def test_a_wrong_piece_is_refused_by_the_name_of_its_misconception(browser_page, empty):
    lesson = LESSONS[0].name
    open_notebook(browser_page, empty, lesson)
    number, check, right = ANSWERS[lesson]["soft_f1"]
    run_cell(browser_page, 3)  # the set-up
    run_cell(browser_page, number, AS_PRINTED)
    run_cell(browser_page, check)
    shown = cell_at(browser_page, check).locator("[role=status]")
    expect(shown).to_contain_text("this is E2 as printed", timeout=60_000)
    assert kept(empty) == []
    run_cell(browser_page, number, right)
    run_cell(browser_page, check)
    expect(shown).to_contain_text("kept as mine.soft_f1 in mine.py", timeout=60_000)
    assert kept(empty) == ["soft_f1"]
