"""From a lesson to what is handed out: the learner's copy, and the copy with the solutions.

nbgrader's own preprocessors make the learner's copy, so it is what nbgrader would hand out: solutions, hidden tests and
outputs are gone, the tests are locked.
"""

import hashlib
import json
import re
from importlib import metadata
from pathlib import Path

from rmlib.errors import RmlibError

STUB = "# YOUR CODE HERE\n..."  # not nbgrader's `raise NotImplementedError()`: a lesson runs to its end unanswered
REGIONS = {"SOLUTION": "solution", "HIDDEN TESTS": "grade", "MARK SCHEME": "task"}  # and the flag of nbgrader they need
NEARLY = re.compile(r"\s*#+\s*(?:BEGIN|END)[\s_-]*(?:SOLUTION|HIDDEN[\s_-]*TEST|MARK[\s_-]*SCHEME)", re.IGNORECASE)
DROPPED_TAG = "instructor-only"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class WorkbookError(RmlibError):
    """A lesson that cannot be read, or a workbook that cannot be written."""


def read_lesson(path: Path):
    """The notebook, checked, with the plain Python kernel and without the cells and the state that nobody is handed.

    Raises:
        WorkbookError: not a notebook; a marker such as "### BEGIN SOLUTION" without its partner; or metadata that
            nbgrader does not take. The message names the notebook, the cell and the line.
    """
    import nbformat

    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored.get("nbformat_minor", 0) >= 5:  # nbformat would fill in random ids: each run another copy
            for number, cell in enumerate(stored["cells"], start=1):
                cell.setdefault("id", f"cell-{number}")
        notebook = nbformat.reads(json.dumps(stored), as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # nbformat lets AttributeError, KeyError and others through for JSON of another kind
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WorkbookError(f"{path.name} is not a notebook that can be read: {reason}") from error
    _check_metadata(notebook.cells, path.name)
    for number, cell in enumerate(notebook.cells, start=1):
        check_regions(cell.source, f"{path.name}, cell {number}")
    # The kernel of whoever stored the lesson may not exist here: every copy asks for the plain Python kernel.
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata.pop("widgets", None)
    notebook.cells = [cell for cell in notebook.cells if DROPPED_TAG not in cell.metadata.get("tags", ())]
    return notebook


def check_regions(source: str, where: str = "this cell") -> None:
    """Look whether each "BEGIN SOLUTION" and the like has its "END SOLUTION", as nbgrader does not in all cases.

    Raises:
        WorkbookError: a marker has no partner, or is spelt in a way that nbgrader overlooks.
    """
    opened = dict.fromkeys(REGIONS, 0)
    for number, line in enumerate(source.split("\n"), start=1):
        # nbgrader finds the words anywhere in a line, and where both stand it sees the first of the two.
        found = next(((m, r) for r in REGIONS for m in ("BEGIN", "END") if f"{m} {r}" in line), None)
        if found is None:
            if NEARLY.match(line):
                raise WorkbookError(f"{where}, line {number}: {line.strip()!r}; nbgrader expects ### BEGIN SOLUTION")
            continue
        marker, region = found
        if (marker == "BEGIN") == bool(opened[region]):
            expected = f"END {region} for line {opened[region]}" if opened[region] else f"BEGIN {region} before it"
            raise WorkbookError(f"{where}, line {number}: {marker} {region} found, expected {expected}")
        opened[region] = number if marker == "BEGIN" else 0
    for region, number in opened.items():
        if number:
            told = f"BEGIN {region} is never closed, expected END {region} below it"
            raise WorkbookError(f"{where}, line {number}: {told}")


def _check_metadata(cells, name: str) -> None:
    """nbgrader says only that "the metadata may be corrupted": ask it cell by cell, to name the cell."""
    if not any("nbgrader" in cell.metadata for cell in cells):
        return
    from nbgrader.nbgraderformat import MetadataValidator

    seen, validator = {}, MetadataValidator()
    for number, cell in enumerate(cells, start=1):
        try:
            validator.validate_cell(cell)
        except Exception as error:
            reason = getattr(error, "message", None) or str(error)
            raise WorkbookError(f"{name}, cell {number}: nbgrader does not take its metadata: {reason}") from error
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        if grade_id in seen:
            raise WorkbookError(f"{name}, cell {number}: grade_id {grade_id!r} is also that of cell {seen[grade_id]}")
        if grade_id is not None:
            seen[grade_id] = number


def make_learner_copy(path: Path, solutions: bool = False) -> bytes:
    """The bytes handed to the learner for one lesson; other files than notebooks pass through as they are.

    The same source gives the same bytes each time. Cells tagged "instructor-only" and the state of widgets go. With
    `solutions`, the solutions and the stored outputs stay; without, both go, and nbgrader locks the tests.

    Raises:
        WorkbookError: see `read_lesson`.
    """
    if path.suffix != ".ipynb":
        return path.read_bytes()
    import nbformat

    notebook = read_lesson(path)
    if solutions:
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = [output for output in cell.outputs if _shows_without_kernel(output)]
    else:
        notebook = _student_version(notebook, path.name)
    return (nbformat.writes(notebook) + "\n").encode()


def source_key(path: Path, solutions: bool = False) -> str:
    """Another one whenever `make_learner_copy` may give other bytes: for another lesson, other tools, or another this."""
    tools = [(name, metadata.version(name)) for name in ("nbgrader", "nbformat")]
    parts = path.read_bytes(), Path(__file__).read_bytes(), repr((tools, solutions)).encode()
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _student_version(notebook, name: str):
    """What nbgrader's generate_assignment makes, except that no gradebook is needed, and a marked solution is cleared
    in a cell without nbgrader's metadata too."""
    from nbgrader import preprocessors as nbgrader

    lenient = {"enforce_metadata": False}
    steps = [
        nbgrader.LockCells(),
        nbgrader.ClearSolutions(code_stub={"python": STUB}, **lenient),
        nbgrader.ClearOutput(),
        nbgrader.ClearHiddenTests(**lenient),
        nbgrader.ClearMarkScheme(**lenient),
        nbgrader.ComputeChecksums(),
        nbgrader.CheckCellMetadata(),
    ]
    try:
        for step in steps:
            notebook, _ = step.preprocess(notebook, {})
    except Exception as error:  # what read_lesson does not look for, such as a picture in a mark scheme
        reason = " ".join(str(error).split())
        raise WorkbookError(f"{name}: nbgrader cannot make the learner's copy: {reason}") from error
    return notebook


def _shows_without_kernel(output) -> bool:
    """Take the live widget out of an output; False if nothing but its bare text is left, which tells a reader nothing.

    Without its state a stored widget shows only "Error displaying widget".
    """
    data = output.get("data", {})
    return data.pop(WIDGET_VIEW, None) is None or bool(set(data) - {"text/plain"})
