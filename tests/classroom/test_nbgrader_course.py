"""The nbgrader course: laid out, kept, and put through nbgrader itself with good, poor and hostile
submissions.
"""

import copy
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from rmlib.classroom.learner_copy import WorkbookError, make_learner_copy, read_lesson
from rmlib.classroom.nbgrader_course import exercises_of, make_course, next_steps
from tests.classroom.made_up_lesson import (
    NOTEBOOKS,
    POINTS,
    answer_cell,
    gradable,
    test_cell,
    write_made_up,
)

LOOP = "while True:\n        pass"
FEW = (
    "broken",
    "hostile",
    "perfect",
)  # of a real lesson, which takes long to run, not all students


@pytest.fixture
def lessons(tmp_path):
    folder = tmp_path / "notebooks"
    write_made_up(folder / "01_made_up.ipynb")
    nbformat.write(new_notebook(cells=[new_code_cell("1", id="a")]), folder / "00_start_here.ipynb")
    for name in ("GLOSSARY.md", "OTHER.md"):
        (folder / name).write_text(f"{name}\n")
    return folder


def files(folder: Path) -> list[str]:
    found = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in found if not name.startswith(".rmlib/"))


# What is laid out


def test_a_course_holds_its_settings_and_each_lesson_with_points_and_what_it_links_to(
    lessons, tmp_path
):
    course = tmp_path / "course"
    summary = make_course(lessons, course)
    home = "source/01_made_up/"
    assert files(course) == ["nbgrader_config.py", home + "01_made_up.ipynb", home + "GLOSSARY.md"]
    assert sorted(summary.made) == files(course)
    assert (course / home / "01_made_up.ipynb").read_bytes() == make_learner_copy(
        lessons / "01_made_up.ipynb", True
    )
    assert exercises_of(course / home / "01_made_up.ipynb") == {
        f"q{n}-check": p for n, p in enumerate(POINTS, 1)
    }
    steps = next_steps(course)
    for command in ("generate_assignment", "autograde", "generate_feedback"):
        assert f"nbgrader {command} 01_made_up" in steps


def test_links_of_the_real_lessons_lead_somewhere(tmp_path):
    course = tmp_path / "course"
    make_course(NOTEBOOKS, course)
    links = [
        (lesson, link)
        for lesson in (course / "source").rglob("*.ipynb")
        for link in re.findall(r"\]\(([^)#:]+)[)#]", lesson.read_text(encoding="utf-8"))
        if link.endswith((".ipynb", ".md"))
    ]
    assert [
        f"{lesson.stem}: {link}" for lesson, link in links if not (lesson.parent / link).is_file()
    ] == []
    assert {link for _, link in links} >= {"GLOSSARY.md", "../06_live_lab/06_live_lab.ipynb"}


def test_made_again_it_takes_what_is_new_and_keeps_what_the_teacher_changed(lessons, tmp_path):
    course, home = tmp_path / "course", "source/01_made_up/"
    make_course(lessons, course)
    assert len(make_course(lessons, course).unchanged) == 3
    (course / "nbgrader_config.py").write_text("mine = 1\n")
    (course / home / "GLOSSARY.md").write_text("mine too\n")
    (lessons / "GLOSSARY.md").write_text("version 2\n")
    path = lessons / "01_made_up.ipynb"
    path.write_text(path.read_text().replace("Made up", "Version 2"))
    summary = make_course(lessons, course)
    assert summary.updated == [home + "01_made_up.ipynb"]
    assert "Version 2" in (course / home / "01_made_up.ipynb").read_text()
    assert (course / "nbgrader_config.py").read_text() == "mine = 1\n"
    assert (course / home / "GLOSSARY.md").read_text() == "mine too\n"
    assert summary.beside == [(home + "GLOSSARY.md", f"newer/{home}GLOSSARY.new.md")]
    assert (course / f"newer/{home}GLOSSARY.new.md").read_text() == "version 2\n"
    assert sorted(os.listdir(course / home)) == [
        "01_made_up.ipynb",
        "GLOSSARY.md",
    ]  # else nbgrader hands it out


def test_a_lesson_that_nbgrader_would_refuse_is_named_before_anything_is_written(lessons, tmp_path):
    cells = [
        test_cell("check()", "q1-check", 1),
        new_code_cell("\nx = 1\n### BEGIN SOLUTION\n### END SOLUTION"),
    ]
    nbformat.write(new_notebook(cells=cells), lessons / "02_two.ipynb")
    with pytest.raises(
        WorkbookError,
        match=r"02_two.ipynb, the cell that starts with 'x = 1': .* \"solution\": true",
    ):
        make_course(lessons, tmp_path / "course")
    hidden = answer_cell("### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS", "q1-answer")
    nbformat.write(new_notebook(cells=[cells[0], hidden]), lessons / "02_two.ipynb")
    with pytest.raises(WorkbookError, match='"grade": true'):
        make_course(lessons, tmp_path / "course")
    assert not (tmp_path / "course").exists()


def test_without_a_lesson_with_points_there_is_no_course(lessons, tmp_path):
    (lessons / "01_made_up.ipynb").unlink()
    with pytest.raises(WorkbookError, match="no lesson in .* has a test cell with points"):
        make_course(lessons, tmp_path / "course")


@pytest.mark.parametrize("sign", "[]{}*?")
def test_a_folder_that_nbgrader_takes_for_a_pattern_is_refused(lessons, tmp_path, sign):
    with pytest.raises(WorkbookError, match="in a folder's name for a pattern"):
        make_course(lessons, tmp_path / f"a{sign}b" / "course")
    assert not (tmp_path / f"a{sign}b").exists()


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["a b", "kürs", "it's", 'a"b', "a;b", "a#b", "$HOME", "100%d", "张"]
)
def test_a_folder_of_any_other_name_works(lessons, tmp_path, name):
    course = tmp_path / name / "course"
    make_course(lessons, course)
    (tmp_path / "link").symlink_to(course)
    lesson = min(path.name for path in (course / "source").iterdir())
    nbgrader(course, "generate_assignment", lesson)
    assert (course / "release" / lesson / f"{lesson}.ipynb").is_file()
    nbgrader(tmp_path / "link", "generate_assignment", lesson, "--force")


@pytest.mark.parametrize("name", gradable())
def test_a_real_lesson_is_an_assignment_as_it_is(name):
    """And every test that gives points follows its answer. (An answer may be without a test.)"""
    tests = exercises_of(NOTEBOOKS / f"{name}.ipynb")
    cells = read_lesson(NOTEBOOKS / f"{name}.ipynb").cells
    marks = [cell.metadata["nbgrader"] for cell in cells if "nbgrader" in cell.metadata]
    assert len(tests) >= 3 and min(tests.values()) > 0
    for before, mark in zip([{}, *marks], marks, strict=False):
        assert mark["solution"] != mark["grade"]
        if mark["grade"]:
            assert before["solution"]
            assert mark["grade_id"] == before["grade_id"].replace("-answer", "-check")


# Through nbgrader


@dataclass
class Graded:
    """A course after nbgrader has graded it. `points` of each test, in their order; `answers`: how
    many cells are to be filled in; `said`: what autograde printed.
    """

    course: Path
    lesson: str
    points: list[float]
    answers: int
    code: int
    said: str

    @property
    def students(self) -> list[str]:
        """Who has submitted; the first of them is "broken"."""
        return sorted(os.listdir(self.course / "submitted"))

    @property
    def scores(self) -> dict[str, tuple]:
        """Student -> (score, of how many, whether a person has to look)."""
        from nbgrader.api import Gradebook

        with Gradebook(f"sqlite:///{self.course / 'gradebook.db'}") as book:
            found = book.assignment_submissions(self.lesson)
            return {
                one.student.id: (one.score, one.max_score, one.needs_manual_grade) for one in found
            }


def nbgrader(course: Path, *arguments: str) -> subprocess.CompletedProcess:
    """The command, without the settings and kernels that this machine's user may have."""
    own = {f"JUPYTER_{kind}_DIR": str(course.parent / kind) for kind in ("CONFIG", "DATA")}
    return subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course,
        env={**os.environ, **own},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def place(notebook, grade_id: str) -> int:
    marks = (cell.metadata.get("nbgrader", {}) for cell in notebook.cells)
    return next(i for i, mark in enumerate(marks) if mark.get("grade_id") == grade_id)


def submissions(released, source) -> dict:
    """Student -> notebook. Exercises count from 0 here; each is an answer and the test that follows
    it.
    """
    marks = [cell.metadata.get("nbgrader", {}) for cell in source.cells]
    tests = [mark["grade_id"] for mark in marks if mark.get("grade")]
    answers = [test.replace("-check", "-answer") for test in tests]
    untested = [mark["grade_id"] for mark in marks if mark.get("solution")]
    untested = [answer for answer in untested if answer not in answers]

    def solved(*which: int, more: list[str] = ()):
        notebook = copy.deepcopy(released)
        for answer in [*(answers[i] for i in which), *more]:
            cell = source.cells[place(source, answer)]
            notebook.cells[place(notebook, answer)].source = cell.source
        return notebook

    hostile = solved(
        0
    )  # right, and then its test deleted; a loop without end; a test that asks for nothing
    del hostile.cells[place(hostile, tests[0])]
    looping = hostile.cells[place(hostile, answers[1])]
    assert looping.source.endswith("...")
    looping.source = looping.source.removesuffix("...") + LOOP
    check = hostile.cells[place(hostile, tests[2])]
    check.source = "pass"
    check.metadata.nbgrader.update(points=300, locked=False)
    broken = solved(0)  # metadata that cannot be put right
    broken.cells[place(broken, tests[1])].metadata.nbgrader.update(grade=False)
    half = range(len(answers) // 2)
    return {
        "broken": broken,
        "empty": solved(),
        "half": solved(*half),
        "hostile": hostile,
        "perfect": solved(*range(len(answers)), more=untested),
    }


LESSONS = ["01_made_up", *gradable("02_gradients_three_ways")]


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.long) for name in LESSONS]
)
def graded(request, tmp_path_factory) -> Graded:
    """Laid out, released, submitted by some students, graded, and feedback written."""
    lesson, base = request.param, tmp_path_factory.mktemp("graded")
    course, notebooks = base / "course", base / "notebooks"
    if lesson == "01_made_up":
        write_made_up(notebooks / f"{lesson}.ipynb")
    else:
        notebooks.mkdir()
        shutil.copy(NOTEBOOKS / f"{lesson}.ipynb", notebooks)
    make_course(notebooks, course)
    done = nbgrader(course, "generate_assignment", lesson)
    assert done.returncode == 0, done.stdout
    released = nbformat.read(course / "release" / lesson / f"{lesson}.ipynb", as_version=4)
    submitted = submissions(released, read_lesson(notebooks / f"{lesson}.ipynb"))
    for student in submitted if lesson == "01_made_up" else FEW:
        home = course / "submitted" / student / lesson
        home.mkdir(parents=True)
        nbformat.write(submitted[student], home / f"{lesson}.ipynb")
    quick = ["--ExecutePreprocessor.timeout=8"] if lesson == "01_made_up" else []
    autograde = nbgrader(course, "autograde", lesson, *quick)
    done = nbgrader(course, "generate_feedback", lesson)
    assert done.returncode == 0, done.stdout
    points = list(exercises_of(notebooks / f"{lesson}.ipynb").values())
    cells = read_lesson(notebooks / f"{lesson}.ipynb").cells
    answers = sum(cell.metadata.get("nbgrader", {}).get("solution", False) for cell in cells)
    return Graded(course, lesson, points, answers, autograde.returncode, autograde.stdout)


def test_what_nbgrader_hands_out_is_what_the_workbook_holds(graded):
    name = f"{graded.lesson}/{graded.lesson}.ipynb"
    released = nbformat.read(graded.course / "release" / name, as_version=4)
    copied = nbformat.reads(
        make_learner_copy(graded.course / "source" / name).decode(), as_version=4
    )
    assert [(c.source, c.metadata) for c in released.cells] == [
        (c.source, c.metadata) for c in copied.cells
    ]
    assert not any(cell.get("outputs") for cell in released.cells)


def test_each_student_gets_the_points_of_what_is_right(graded):
    most, half = sum(graded.points), sum(graded.points[: len(graded.points) // 2])
    right = {
        "broken": (0, most, True),
        "empty": (0, most, False),
        "half": (half, most, False),
        "hostile": (graded.points[0], most, False),
        "perfect": (most, most, False),
    }
    assert graded.scores == {name: right[name] for name in graded.students}


def test_nbgrader_names_whom_it_could_not_grade_and_grades_the_others(graded):
    assert graded.code == 1
    failed = [line for line in graded.said.splitlines() if "for student" in line]
    assert len(failed) == 1 and "for student 'broken'" in failed[0]
    assert sorted(os.listdir(graded.course / "feedback")) == graded.students[1:]


def test_what_a_hostile_student_took_away_is_back_when_it_is_graded(graded):
    name = f"{graded.lesson}/{graded.lesson}.ipynb"
    source, seen = (
        nbformat.read(graded.course / p / name, 4) for p in ("source", "autograded/hostile")
    )
    tests = [cell for cell in source.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    for cell in tests[:3]:
        after = seen.cells[place(seen, cell.metadata.nbgrader.grade_id)]
        assert after.source.endswith(cell.source)
        assert after.metadata.nbgrader.points == cell.metadata.nbgrader.points
    stopped = " ".join(str(output) for cell in seen.cells for output in cell.get("outputs", []))
    assert (
        "CellTimeoutError" if graded.lesson == "01_made_up" else "your code was stopped after"
    ) in stopped


def open_pages(paths: list[Path]) -> list[str]:
    """What Chromium shows of each page; an error that a page throws fails the test."""
    chromium = (
        os.environ.get("RMLIB_CHROMIUM")
        or shutil.which("chromium")
        or shutil.which("google-chrome")
    )
    if not chromium:
        required = os.environ.get("RMLIB_REQUIRE_BROWSER") == "1"
        (pytest.fail if required else pytest.skip)("needs Chromium: `apt-get install chromium`")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page, errors, texts = browser.new_context(offline=True).new_page(), [], []
        page.on("pageerror", lambda error: errors.append(str(error)))
        for path in paths:
            page.goto(path.as_uri())
            texts.append(page.inner_text("body"))
        browser.close()
    assert errors == []
    return texts


@pytest.mark.browser
def test_the_feedback_opens_in_a_browser_and_shows_the_scores(graded):
    scores = {name: score for name, score in graded.scores.items() if name != "broken"}
    pages = [
        graded.course / "feedback" / name / graded.lesson / f"{graded.lesson}.html"
        for name in scores
    ]
    with ThreadPoolExecutor(
        1
    ) as own:  # the browser tests' Playwright may be at work in this thread
        texts = own.submit(open_pages, pages).result()
    for (score, most, _), text in zip(scores.values(), texts, strict=True):
        assert f"{graded.lesson} (Score: {score:.1f} / {most:.1f})" in text
    for name, text in zip(scores, texts, strict=True):
        unanswered = {"empty": graded.answers, "hostile": graded.answers - 2, "perfect": 0}
        assert text.count("No response.") == unanswered.get(name, text.count("No response."))
