"""The learner's workbook: copies of the lessons, and no edit of the learner's ever lost.

`workbook/.rmlib/manifest.json` holds the sha256 of each version that was handed out. A copy that still has that hash
is ours to update. Any other content is the learner's: it stays, and a newer lesson is laid beside it as
`04_bert_ner.new.ipynb`.
"""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from .learner_copy import WorkbookError, make_learner_copy, source_key

LEFT_OUT = {"INSTRUCTOR.md"}
MANIFEST = Path(".rmlib", "manifest.json")


@dataclass
class Summary:
    """What was handed out, as file names relative to the folder."""

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
    package = Path(__file__).resolve().parents[1]
    if (package / "notebooks").is_dir():  # a wheel carries the lessons inside the package
        return package / "notebooks", Path.cwd() / "workbook"
    if (package.parent / "notebooks").is_dir():
        return package.parent / "notebooks", package.parent / "workbook"
    raise WorkbookError(f"no lessons found in {package / 'notebooks'} or {package.parent / 'notebooks'}")


def lessons_in(notebooks: Path) -> list[Path]:
    """The lessons and texts of a folder that are handed out, in the order of their names.

    Raises:
        WorkbookError: there are none.
    """
    found = [p for p in sorted(notebooks.glob("*")) if p.suffix in (".ipynb", ".md") and p.name not in LEFT_OUT]
    if not found:
        raise WorkbookError(f"no lessons (*.ipynb or *.md) in {notebooks}")
    return found


def make_workbook(notebooks: Path, workbook: Path, solutions: bool = False) -> Summary:
    """Make `workbook`, or bring it up to date with the lessons, and never write over a file the learner changed.

    With `solutions`, the copies keep the solutions and go to `workbook/solutions`: copies, since whatever is opened in
    JupyterLab is saved by it, and the sources have to stay as the tests stored them. A deleted copy is made again.
    Files that did not come from a lesson are not touched.

    Raises:
        WorkbookError: no lessons in `notebooks`, a lesson cannot be read, or the workbook cannot be written.
    """
    prefix = "solutions/" if solutions else ""
    lessons = {prefix + path.name: path for path in lessons_in(notebooks)}
    made_of = {name: source_key(path, solutions) for name, path in lessons.items()}
    before = _read_manifest(workbook)["made_of"]
    # nbgrader is slow to import. A copy that is there, made of the same as now, is not made again to be compared.
    current = {name for name in lessons if before.get(name) == made_of[name] and (workbook / name).is_file()}
    # All lessons are read before the first is written: a faulty one leaves the workbook as it was.
    copies = {name: None if name in current else make_learner_copy(path, solutions) for name, path in lessons.items()}
    return hand_out(workbook, copies, made_of=made_of)


def hand_out(folder: Path, copies: dict, aside: str = "", made_of: dict[str, str] | None = None) -> Summary:
    """Write the copies into the folder, and never over a file that was changed there.

    Args:
        copies: name -> bytes, or None for what was handed out the last time.
        aside: a new version of a changed file goes beside it, or to the same place in this folder ("name/").
        made_of: name -> key, kept in the manifest.

    Raises:
        WorkbookError: the folder cannot be written.
    """
    summary, manifest = Summary(), _read_manifest(folder)
    try:
        for name, content in copies.items():
            _hand_out_one(folder, name, content, manifest["files"], summary, aside)
        manifest["made_of"] |= made_of or {}
        write_atomically(folder / MANIFEST, (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode())
    except OSError as error:
        raise WorkbookError(f"cannot write to {folder}: {error}") from error
    return summary


def _hand_out_one(folder: Path, name: str, content: bytes | None, known: dict, summary: Summary, aside: str) -> None:
    target, new = folder / name, known[name] if content is None else _sha256(content)
    state = _state(target, new, known.get(name))
    if state in ("missing", "ours"):
        write_atomically(target, content)
    elif state == "learner's" and known.get(name) != new:
        _lay_beside(folder, name, content, known, summary, aside)
    getattr(summary, {"missing": "made", "ours": "updated", "same": "unchanged"}.get(state, "kept")).append(name)
    known[name] = new  # the newest version offered, so that the same one is not offered twice


def _lay_beside(folder: Path, name: str, content: bytes, known: dict, summary: Summary, aside: str) -> None:
    """Write the new version as NAME.new.ipynb, or .new2, .new3 … where the learner has worked in those too."""
    stem, suffix = os.path.splitext(aside + name)
    new, number = _sha256(content), 1
    while True:
        beside = f"{stem}.new{number if number > 1 else ''}{suffix}"
        state = _state(folder / beside, new, known.get(beside))
        if state != "learner's":
            break
        number += 1
    if state != "same":
        write_atomically(folder / beside, content)
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


def _read_manifest(folder: Path) -> dict[str, dict[str, str]]:
    """`files`: file name to sha256, `made_of`: file name to `source_key`. Both are empty for a broken manifest, which
    makes every existing file the learner's."""
    try:
        stored = json.loads((folder / MANIFEST).read_bytes())
        files = {str(name): str(sha256) for name, sha256 in stored["files"].items()}
        keys = {str(name): str(key) for name, key in stored.get("made_of", {}).items()}
        return {"files": files, "made_of": {name: key for name, key in keys.items() if name in files}}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {"files": {}, "made_of": {}}


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
