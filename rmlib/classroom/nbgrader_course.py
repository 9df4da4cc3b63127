"""An nbgrader course made of the lessons: what a teacher needs to hand out, collect and grade their exercises.

    COURSE/nbgrader_config.py            the settings below
    COURSE/source/LESSON/LESSON.ipynb    each lesson with exercises that give points, solutions included
    COURSE/source/LESSON/GLOSSARY.md     and other texts, where the lesson links to them

nbgrader makes the rest: `release/`, `autograded/`, `feedback/` and `gradebook.db`.
"""

import json
import re
import shlex
from pathlib import Path

from .learner_copy import REGIONS, STUB, WorkbookError, make_learner_copy, read_lesson
from .workbook import Summary, hand_out, lessons_in

LINK = re.compile(r"\]\(([\w.-]+\.md)[)#]")
NEXT = re.compile(rb"\]\((\w+)\.ipynb")  # a link to another lesson, which has a folder of its own in a course
ASIDE = "newer/"  # not beside the source: nbgrader would take NAME.new.ipynb for one more notebook of the assignment
SETTINGS = f'''"""The settings of nbgrader for this course. Change them as you like: your changes are kept."""

import os

c = get_config()  # noqa: F821, nbgrader defines it
c.CourseDirectory.course_id = "rmlib"

# What students find in place of a solution. A lesson runs to its end with it.
c.ClearSolutions.code_stub = {{"python": {json.dumps(STUB)}}}

# Grading runs each lesson small. A cell that takes longer than this many seconds is stopped and counts as failed.
os.environ.setdefault("RMLIB_PROFILE", "quick")
c.ExecutePreprocessor.timeout = 120
c.ExecutePreprocessor.startup_timeout = 120
c.ExecutePreprocessor.iopub_timeout = 60  # a machine that is busy is slow to tell what a cell printed

# A test that a student has deleted comes back. (One that was changed always does.)
c.OverwriteCells.add_missing_cells = True

# Feedback shows figures and words. For a live widget it would hold a script that needs what the page does not bring.
c.NbConvertBase.display_data_priority = ["text/html", "text/markdown", "image/svg+xml", "text/latex"]
c.NbConvertBase.display_data_priority += ["image/png", "image/jpeg", "text/plain"]

# An error in a test costs its points; a warning or a progress bar does not.
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = "^"
'''


def make_course(notebooks: Path, course: Path) -> Summary:
    """Lay out the course in a folder, or bring it up to date, and never write over a file the teacher changed.

    A new version of a changed file is written to the folder `newer/`.

    Raises:
        WorkbookError: no lesson has exercises for nbgrader, one is faulty, or the folder cannot be written.
    """
    copies = {"nbgrader_config.py": SETTINGS.encode()}
    for path in lessons_in(notebooks):
        if path.suffix == ".ipynb" and exercises_of(path):
            home = f"source/{path.stem}/"
            copies[home + path.name] = NEXT.sub(rb"](../\1/\1.ipynb", make_learner_copy(path, solutions=True))
            texts = {name for name in LINK.findall(path.read_text(encoding="utf-8")) if (notebooks / name).is_file()}
            copies |= {home + name: (notebooks / name).read_bytes() for name in sorted(texts)}
    if len(copies) == 1:
        raise WorkbookError(f"no lesson in {notebooks} has a test cell with points in nbgrader's metadata")
    return hand_out(course, copies, ASIDE)


def exercises_of(path: Path) -> dict[str, float]:
    """The tests of a lesson: grade_id and points, in their order; empty for a lesson without nbgrader's metadata.

    Raises:
        WorkbookError: a lesson with tests has a marked region in a cell whose metadata do not allow it, which nbgrader
            would refuse; or see `read_lesson`.
    """
    cells = read_lesson(path).cells
    marks = [cell.metadata.get("nbgrader", {}) for cell in cells]
    tests = {mark["grade_id"]: mark["points"] for mark in marks if mark.get("grade")}
    for cell, mark in zip(cells, marks, strict=True):
        for region, flag in REGIONS.items():
            if tests and f"BEGIN {region}" in cell.source and not mark.get(flag):
                start = cell.source.strip().split("\n")[0]
                told = f'BEGIN {region} found, expected "{flag}": true in its nbgrader metadata'
                raise WorkbookError(f"{path.name}, the cell that starts with {start!r}: {told}")
    return tests


def next_steps(course: Path) -> str:
    """What the teacher does next, with the first lesson of the course as the example."""
    lesson = min(path.name for path in (course / "source").iterdir() if path.is_dir())
    return f"""next, for each lesson, such as {lesson}:
    cd {shlex.quote(str(course))}
    nbgrader generate_assignment {lesson}    (hand out release/{lesson})
    nbgrader autograde {lesson}              (once each copy lies in submitted/STUDENT/{lesson}/)
    nbgrader generate_feedback {lesson}      (then open feedback/STUDENT/{lesson}/{lesson}.html)
Add --force to do a step again. Grading runs what the students wrote, on this machine and with your rights."""
