"""A small lesson with exercises as the real ones have them, for the tests of what is handed out and
graded.
"""

import json
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
POINTS = (2, 3, 1, 4)
SOLVED = "def times_{n}(x):\n    ### BEGIN SOLUTION\n    return {n} * x\n    ### END SOLUTION"
EMPTY = "def times_{n}(x):\n    # YOUR CODE HERE\n    ..."
# The checks of `rmlib.exercises` speak and, when nbgrader grades, raise in this way.
CHECK = """import os

def check(answer, right):
    said = "not attempted" if answer is None else "correct" if answer == right else "not yet"
    print(said)
    assert said == "correct" or not os.environ.get("NBGRADER_EXECUTION"), said"""


def answer_cell(source: str, grade_id: str, **changes):
    """A cell whose solution nbgrader clears."""
    mark = {
        "grade": False,
        "grade_id": grade_id,
        "locked": False,
        "schema_version": 3,
        "solution": True,
        "task": False,
    }
    return new_code_cell(source, metadata={"nbgrader": mark | changes})


def test_cell(source: str, grade_id: str, points: float, **changes):
    """A locked cell that gives points."""
    return answer_cell(
        source, grade_id, grade=True, locked=True, solution=False, **{"points": points, **changes}
    )


test_cell.__test__ = False  # pytest: this is no test


def write_made_up(path: Path) -> Path:
    """Four exercises that give 2, 3, 1 and 4 points. The last test warns, as libraries do; that
    costs nothing.
    """
    cells = [
        new_markdown_cell("# Made up\n\nSee the [glossary](GLOSSARY.md)."),
        new_code_cell(CHECK),
    ]
    for n, points in enumerate(POINTS, 1):
        cells.append(answer_cell(SOLVED.format(n=n), f"q{n}-answer"))
        cells.append(test_cell(f"check(times_{n}(5), {5 * n})", f"q{n}-check", points))
    cells[-1].source = "import warnings\nwarnings.warn('old')\n" + cells[-1].source
    for number, cell in enumerate(cells):
        cell.id = f"c{number}"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells), path)
    return path


def gradable(*names: str) -> list[str]:
    """Those of the real lessons whose cells carry nbgrader's metadata."""
    paths = [path for path in sorted(NOTEBOOKS.glob("*.ipynb")) if not names or path.stem in names]
    stored = {path.stem: json.loads(path.read_text(encoding="utf8"))["cells"] for path in paths}
    return [
        name
        for name, cells in stored.items()
        if any("nbgrader" in cell["metadata"] for cell in cells)
    ]
