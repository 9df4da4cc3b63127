"""Make the learner's copy of a lesson, or the copy with solutions.

nbgrader's own preprocessors make the learner's copy, so it equals nbgrader's release version:
without solutions, hidden tests and outputs, and with locked tests.
"""

import hashlib
import json
import re
from importlib import metadata
from pathlib import Path

from rmlib.errors import RmlibError

# Unlike nbgrader's `raise NotImplementedError()`, it lets a lesson without answers run to the end.
STUB = "# YOUR CODE HERE\n..."
# The regions that nbgrader removes, and the metadata that it requires of their cells.
REGIONS = {"SOLUTION": "solution", "HIDDEN TESTS": "grade", "MARK SCHEME": "task"}
MISSPELT_MARKER = re.compile(
    r"\s*#+\s*(?:BEGIN|END)[\s_-]*(?:SOLUTION|HIDDEN[\s_-]*TEST|MARK[\s_-]*SCHEME)", re.IGNORECASE
)
INSTRUCTOR_TAG = "instructor-only"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class WorkbookError(RmlibError):
    """A lesson that cannot be read, or a workbook that cannot be written."""


def read_lesson(path: Path):
    """Read and check a lesson, without instructor cells and widget state.

    Returns:
        the notebook, with the plain Python kernel.

    Raises:
        WorkbookError: the file is not a notebook, a marker such as "### BEGIN SOLUTION" has no
            counterpart, or nbgrader does not accept the metadata. The message names the notebook,
            the cell and the line.
    """
    import nbformat

    try:
        stored = json.loads(path.read_text(encoding="utf-8-sig"))
        _complete(stored)
        notebook = nbformat.reads(json.dumps(stored), as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # nbformat raises AttributeError, KeyError and others, too
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WorkbookError(f"{path.name} is not a notebook that can be read: {reason}") from error
    _check_metadata(notebook.cells, path.name)
    for number, cell in enumerate(notebook.cells, start=1):
        check_regions(cell.source, f"{path.name}, cell {number}")
    # The author's kernel may not exist here.
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    notebook.metadata.pop("widgets", None)
    notebook.cells = [
        cell for cell in notebook.cells if INSTRUCTOR_TAG not in cell.metadata.get("tags", ())
    ]
    return notebook


def _complete(stored) -> None:
    """Add what other editors leave out of a notebook, where there is only one meaning.

    Raises:
        WorkbookError: it holds no list of cells.
    """
    cells = stored.get("cells") if isinstance(stored, dict) else None
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise WorkbookError(
            "it holds no list of cells; expected nbformat 4: save it anew in Jupyter"
        )
    stored.setdefault("metadata", {})
    stored.setdefault("nbformat", 4)
    stored.setdefault("nbformat_minor", 5 if any("id" in cell for cell in cells) else 4)
    seen = set()
    for number, cell in enumerate(cells, start=1):
        cell.setdefault("metadata", {})
        cell.setdefault("source", "")
        if cell.get("cell_type") == "code":
            cell.setdefault("outputs", [])
            cell.setdefault("execution_count", None)
        if stored["nbformat_minor"] < 5:
            cell.pop("id", None)
        elif cell.setdefault("id", f"cell-{number}") in seen:
            # nbformat would take random ids, and the copies would differ from run to run.
            cell["id"] = f"cell-{number}"
        seen.add(cell.get("id"))


def check_regions(source: str, where: str = "this cell") -> None:
    """Check that each "### BEGIN SOLUTION" and the like has its END; nbgrader misses some cases.

    Args:
        source: of a cell.
        where: names the cell in the error message.

    Raises:
        WorkbookError: a marker has no counterpart, or is misspelt so that nbgrader ignores it.
    """
    opened = dict.fromkeys(REGIONS, 0)  # the line of an open BEGIN, or 0
    for number, line in enumerate(source.split("\n"), start=1):
        # Like nbgrader: the words count anywhere in a line, and BEGIN before END.
        match = next(
            ((m, r) for r in REGIONS for m in ("BEGIN", "END") if f"{m} {r}" in line), None
        )
        if match is None:
            if MISSPELT_MARKER.match(line):
                raise WorkbookError(
                    f"{where}, line {number}: {line.strip()!r}; nbgrader expects ### BEGIN SOLUTION"
                )
            continue
        marker, region = match
        if (marker == "BEGIN") == bool(opened[region]):
            expected = f"BEGIN {region} before it"
            if opened[region]:
                expected = f"END {region} for line {opened[region]}"
            raise WorkbookError(
                f"{where}, line {number}: {marker} {region} found, expected {expected}"
            )
        opened[region] = number if marker == "BEGIN" else 0
    for region, number in opened.items():
        if number:
            raise WorkbookError(
                f"{where}, line {number}: BEGIN {region} is never closed, expected END {region} "
                "below it"
            )


def _check_metadata(cells, name: str) -> None:
    """Validate the metadata cell by cell; nbgrader's own message does not name the cell."""
    if not any("nbgrader" in cell.metadata for cell in cells):
        return
    from nbgrader.nbgraderformat import MetadataValidator

    validator = MetadataValidator()
    seen = {}  # grade_id to the number of its cell
    for number, cell in enumerate(cells, start=1):
        try:
            validator.validate_cell(cell)
        except Exception as error:
            reason = getattr(error, "message", None) or str(error)
            raise WorkbookError(
                f"{name}, cell {number}: nbgrader does not take its metadata: {reason}"
            ) from error
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        if grade_id in seen:
            raise WorkbookError(
                f"{name}, cell {number}: grade_id {grade_id!r} is also that of cell "
                f"{seen[grade_id]}"
            )
        if grade_id is not None:
            seen[grade_id] = number


def make_learner_copy(path: Path, solutions: bool = False) -> bytes:
    """Return the content of the learner's copy of a lesson; other files are copied unchanged.

    The copy has no cells tagged "instructor-only" and no widget state. The same source always gives
    the same bytes.

    Args:
        path: of the lesson.
        solutions: keep solutions and stored outputs; otherwise nbgrader removes both and locks the
            tests.

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
                cell.outputs = [output for output in cell.outputs if _drop_widget(output)]
    else:
        notebook = _student_version(notebook, path.name)
    return (nbformat.writes(notebook) + "\n").encode()


def source_key(path: Path, solutions: bool = False) -> str:
    """Return a key of the source, the tools and this module.

    It changes whenever `make_learner_copy` may return other bytes.
    """
    tools = [(name, metadata.version(name)) for name in ("nbgrader", "nbformat")]
    parts = (path.read_bytes(), Path(__file__).read_bytes(), repr((tools, solutions)).encode())
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _student_version(notebook, name: str):
    """Do what `nbgrader generate_assignment` does, without a gradebook.

    Unlike there, a marked solution is also removed from a cell without nbgrader's metadata.
    """
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
    except Exception as error:  # not checked in read_lesson: a picture in a mark scheme, say
        reason = " ".join(str(error).split())
        raise WorkbookError(f"{name}: nbgrader cannot make the learner's copy: {reason}") from error
    return notebook


def _drop_widget(output) -> bool:
    """Remove a live widget from an output and return whether something worth showing is left.

    A stored widget without its state shows only "Error displaying widget", and its plain text only
    the name of its class.
    """
    data = output.get("data", {})
    return data.pop(WIDGET_VIEW, None) is None or bool(set(data) - {"text/plain"})
