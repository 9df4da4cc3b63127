"""Make an nbgrader course of the lessons: to release, collect and grade their exercises.

    COURSE/nbgrader_config.py            the settings below
    COURSE/source/LESSON/LESSON.ipynb    each lesson with graded exercises, solutions included
    COURSE/source/LESSON/GLOSSARY.md     and other texts that the lesson links to

nbgrader makes the rest: `release/`, `autograded/`, `feedback/` and `gradebook.db`.
"""

import json
import re
import shlex
from pathlib import Path

from .learner_copy import REGIONS, STUB, WorkbookError, make_learner_copy, read_lesson
from .workbook import Summary, lessons_in, write_copies

TEXT_LINK = re.compile(r"\]\(([\w.-]+\.md)[)#]")
LESSON_LINK = re.compile(rb"\[([^\]]+)\]\((\w+)\.ipynb([^)]*)\)")
# nbgrader would take NAME.new.ipynb beside the source for another notebook of the assignment.
ASIDE = "newer/"
SETTINGS = f'''"""The settings of nbgrader for this course. Edit them freely: edits are kept."""

import os

c = get_config()  # noqa: F821, nbgrader defines it
c.CourseDirectory.course_id = "rmlib"

# What students find in place of a solution. A lesson runs to its end with it.
c.ClearSolutions.code_stub = {{"python": {json.dumps(STUB)}}}

# Grading runs each lesson with its small settings.
# A cell that takes longer than this many seconds is stopped and counts as failed.
os.environ.setdefault("RMLIB_PROFILE", "quick")
c.ExecutePreprocessor.timeout = 120
c.ExecutePreprocessor.startup_timeout = 120
c.ExecutePreprocessor.iopub_timeout = 60  # outputs arrive late from a busy machine

# A deleted test is restored. (nbgrader always restores a changed one.)
c.OverwriteCells.add_missing_cells = True

# Feedback shows figures and text. A live widget would need scripts that the page lacks.
c.NbConvertBase.display_data_priority = [
    "text/html",
    "text/markdown",
    "image/svg+xml",
    "text/latex",
    "image/png",
    "image/jpeg",
    "text/plain",
]

# An error in a test costs its points; a warning or a progress bar does not.
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = "^"
'''


def make_course(notebooks: Path, course: Path) -> Summary:
    """Make a course or update it, without overwriting a file that the teacher edited.

    A new version of an edited file is written to the folder `newer/`.

    Args:
        notebooks: the folder with the lessons.
        course: the folder for the course.

    Raises:
        WorkbookError: no lesson has exercises for nbgrader, one is faulty, or the folder cannot be
            written or has a name that nbgrader takes for a pattern.
    """
    if bad := [sign for sign in "[]{}*?" if sign in str(course)]:
        raise WorkbookError(
            f"{course}: nbgrader takes {bad[0]!r} in a folder's name for a pattern and would find "
            "no lesson; give another folder"
        )
    copies = {"nbgrader_config.py": SETTINGS.encode()}
    graded = {p.stem: p for p in lessons_in(notebooks) if p.suffix == ".ipynb" and exercises_of(p)}

    def in_the_course(link: re.Match) -> bytes:
        """Each lesson has a folder of its own; one without exercises isn't in the course."""
        text, stem, rest = link.groups()
        if stem.decode() not in graded:
            return text
        return b"[" + text + b"](../" + stem + b"/" + stem + b".ipynb" + rest + b")"

    for path in graded.values():
        home = f"source/{path.stem}/"
        content = make_learner_copy(path, solutions=True)
        copies[home + path.name] = LESSON_LINK.sub(in_the_course, content)
        for name in sorted(set(TEXT_LINK.findall(path.read_text(encoding="utf-8-sig")))):
            if (notebooks / name).is_file():
                copies[home + name] = (notebooks / name).read_bytes()
    if len(copies) == 1:
        raise WorkbookError(
            f"no lesson in {notebooks} has a test cell with points in nbgrader's metadata"
        )
    return write_copies(course, copies, ASIDE)


def exercises_of(path: Path) -> dict[str, float]:
    """Return the points of each test of a lesson by its grade_id, in the order of the lesson.

    The result is empty for a lesson without nbgrader's metadata.

    Raises:
        WorkbookError: in a lesson with tests, a cell has a marked region but not the metadata that
            nbgrader requires for it; or see `read_lesson`.
    """
    cells = read_lesson(path).cells
    marks = [cell.metadata.get("nbgrader", {}) for cell in cells]
    tests = {mark["grade_id"]: mark["points"] for mark in marks if mark.get("grade")}
    for cell, mark in zip(cells, marks, strict=True):
        for region, flag in REGIONS.items():
            if tests and f"BEGIN {region}" in cell.source and not mark.get(flag):
                start = cell.source.strip().split("\n")[0]
                raise WorkbookError(
                    f"{path.name}, the cell that starts with {start!r}: BEGIN {region} found, "
                    f'expected "{flag}": true in its nbgrader metadata'
                )
    return tests


def next_steps(course: Path) -> str:
    """Describe the teacher's next steps, with the first lesson of the course as the example."""
    lesson = min(path.name for path in (course / "source").iterdir() if path.is_dir())
    return f"""next, for each lesson, such as {lesson}:
    cd {shlex.quote(str(course))}
    nbgrader generate_assignment {lesson}    (give release/{lesson} to the students)
    nbgrader autograde {lesson}              (once each copy lies in submitted/STUDENT/{lesson}/)
    nbgrader generate_feedback {lesson}      (then open feedback/STUDENT/{lesson}/{lesson}.html)
Add --force to repeat a step. Grading runs the students' code on this machine, with your rights."""
