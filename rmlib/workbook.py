"""The learner's workbook: copies of the lessons with the solutions cleared, and no edit of the learner's ever lost.

`workbook/.rmlib/manifest.json` holds the sha256 of each version that was handed out. A copy that still has that hash
is ours to update. Any other content is the learner's: it stays, and a newer lesson is laid beside it as
`04_bert_ner.new.ipynb`.
"""

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from .errors import RmlibError

MARKER = re.compile(r"#\s*(BEGIN|END)\s+SOLUTION\b")
STUB = ("# YOUR CODE HERE", "raise NotImplementedError()")  # nbgrader's words, so that its tools know the stub
DROPPED_TAG = "instructor-only"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
LEFT_OUT = {"INSTRUCTOR.md"}


class WorkbookError(RmlibError):
    """A lesson that cannot be read, or a workbook that cannot be written."""


@dataclass
class Summary:
    """What `make_workbook` did, as file names relative to the workbook."""

    made: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    beside: list[tuple[str, str]] = field(default_factory=list)  # (the learner's file, the new version beside it)

    def __str__(self) -> str:
        counts = ("made", "updated", "unchanged", "kept")
        text = [", ".join(f"{len(getattr(self, name))} {name}" for name in counts)]
        text += [f"{mine} has your edits and stays; the new version is {new}" for mine, new in self.beside]
        return "\n".join(text)


def places() -> tuple[Path, Path]:
    """The lessons and the workbook's place: beside `notebooks/` in a checkout, in the current folder otherwise.

    Raises:
        WorkbookError: neither the package nor the folder above it holds the lessons.
    """
    package = Path(__file__).resolve().parent
    if (package / "notebooks").is_dir():  # a wheel carries the lessons inside the package
        return package / "notebooks", Path.cwd() / "workbook"
    if (package.parent / "notebooks").is_dir():
        return package.parent / "notebooks", package.parent / "workbook"
    raise WorkbookError(f"no lessons found in {package / 'notebooks'} or {package.parent / 'notebooks'}")


def clear_solution(source: str, where: str = "this cell") -> str:
    """The cell's source with each marked solution replaced by a stub that keeps the marker's indentation.

    Raises:
        WorkbookError: a marker has no partner; the message names `where` and the line.
    """
    kept, opened = [], 0
    for number, line in enumerate(source.split("\n"), start=1):
        found = MARKER.search(line)
        if found and (found[1] == "BEGIN") == bool(opened):
            expected = f"END SOLUTION for line {opened}" if opened else "BEGIN SOLUTION before it"
            raise WorkbookError(f"{where}, line {number}: {found[1]} SOLUTION found, expected {expected}")
        if found and found[1] == "BEGIN":
            opened = number
            indent = re.match(r"\s*", line)[0]
            kept += [indent + words for words in STUB]
        elif found:
            opened = 0
        elif not opened:
            kept.append(line)
    if opened:
        raise WorkbookError(f"{where}, line {opened}: BEGIN SOLUTION is never closed, expected END SOLUTION below it")
    return "\n".join(kept)


def learner_copy(path: Path, solutions: bool = False) -> bytes:
    """The bytes handed to the learner for one lesson; other files than notebooks pass through as they are.

    Cells tagged "instructor-only" and the state of widgets go. Outputs stay, so that figures can be seen before
    anything runs, except under a cleared solution, where they would give it away.

    Raises:
        WorkbookError: not a notebook, or a solution marker without its partner (names the notebook and the cell).
    """
    if path.suffix != ".ipynb":
        return path.read_bytes()
    import nbformat

    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored.get("nbformat_minor", 0) >= 5:  # nbformat would fill in random ids: each run another copy
            for number, cell in enumerate(stored["cells"], start=1):
                cell.setdefault("id", f"cell-{number}")
        notebook = nbformat.reads(json.dumps(stored), as_version=4)
    except Exception as error:  # nbformat lets AttributeError, KeyError and others through for JSON of another kind
        raise WorkbookError(f"{path.name} is not a notebook that can be read: {error}") from error
    # The kernel of whoever stored the lesson may not exist here: every copy asks for the plain Python kernel.
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata.pop("widgets", None)
    cells = []
    for number, cell in enumerate(notebook.cells, start=1):
        if DROPPED_TAG in cell.metadata.get("tags", ()):
            continue
        cells.append(cell)
        if cell.cell_type != "code":
            continue
        cell.outputs = [output for output in cell.outputs if _shows_without_kernel(output)]
        if not solutions:
            cleared = clear_solution(cell.source, f"{path.name}, cell {number}")
            if cleared != cell.source:
                cell.update(source=cleared, outputs=[], execution_count=None)
    notebook.cells = cells
    return (nbformat.writes(notebook) + "\n").encode()


def _shows_without_kernel(output) -> bool:
    """Take the live widget out of an output; False if nothing but its bare text is left, which tells a reader nothing.

    Without its state a stored widget shows only "Error displaying widget".
    """
    data = output.get("data", {})
    return data.pop(WIDGET_VIEW, None) is None or bool(set(data) - {"text/plain"})


def make_workbook(notebooks: Path, workbook: Path, solutions: bool = False) -> Summary:
    """Make `workbook`, or bring it up to date with the lessons, and never write over a file the learner changed.

    With `solutions`, the copies keep the solutions and go to `workbook/solutions`. A deleted copy is made again.
    Files that did not come from a lesson are not touched.

    Raises:
        WorkbookError: no lessons in `notebooks`, a lesson cannot be read, or the workbook cannot be written.
    """
    lessons = [p for p in sorted(notebooks.glob("*")) if p.suffix in (".ipynb", ".md") and p.name not in LEFT_OUT]
    if not lessons:
        raise WorkbookError(f"no lessons (*.ipynb or *.md) in {notebooks}")
    prefix = "solutions/" if solutions else ""
    # All lessons are read before the first is written: a faulty one leaves the workbook as it was.
    copies = {prefix + path.name: learner_copy(path, solutions) for path in lessons}
    summary, manifest = Summary(), workbook / ".rmlib" / "manifest.json"
    try:
        known = _read_manifest(manifest)
        for name, content in copies.items():
            _hand_out(workbook, name, content, known, summary)
        write_atomically(manifest, (json.dumps({"files": known}, indent=1, sort_keys=True) + "\n").encode())
    except OSError as error:
        raise WorkbookError(f"cannot write the workbook in {workbook}: {error}") from error
    return summary


def _hand_out(workbook: Path, name: str, content: bytes, known: dict, summary: Summary) -> None:
    target, new = workbook / name, _sha256(content)
    state = _state(target, new, known.get(name))
    if state in ("missing", "ours"):
        write_atomically(target, content)
    elif state == "learner's" and known.get(name) != new:
        _lay_beside(workbook, name, content, known, summary)
    getattr(summary, {"missing": "made", "ours": "updated", "same": "unchanged"}.get(state, "kept")).append(name)
    known[name] = new  # the newest version offered, so that the same one is not offered twice


def _lay_beside(workbook: Path, name: str, content: bytes, known: dict, summary: Summary) -> None:
    """Write the new version as NAME.new.ipynb, or .new2, .new3 … where the learner has worked in those too."""
    stem, suffix = os.path.splitext(name)
    new, number = _sha256(content), 1
    while True:
        beside = f"{stem}.new{number if number > 1 else ''}{suffix}"
        state = _state(workbook / beside, new, known.get(beside))
        if state != "learner's":
            break
        number += 1
    if state != "same":
        write_atomically(workbook / beside, content)
    known[beside] = new
    summary.beside.append((name, beside))


def _state(path: Path, new: str, recorded: str | None) -> str:
    """Whose the file at `path` is: "missing", "same" as the new version, "ours" to update, or "learner's"."""
    if not path.exists():
        return "missing"
    current = _sha256(path.read_bytes())
    if current == new:
        return "same"
    return "ours" if current == recorded else "learner's"


def _read_manifest(path: Path) -> dict[str, str]:
    """File name to sha256; empty for a broken manifest, which makes every existing file the learner's."""
    try:
        files = json.loads(path.read_bytes())["files"]
        return {str(name): str(sha256) for name, sha256 in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: to a temporary file in the same folder, then moved over the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
