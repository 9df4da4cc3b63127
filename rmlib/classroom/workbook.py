"""The learner's workbook: copies of the lessons, updated without losing an edit of the learner's.

`workbook/.rmlib/manifest.json` holds the SHA-256 of the newest version written for each file. A
copy with that hash may be updated. Any other content is the learner's: it stays, and a newer
version of the lesson is written beside it as `05_bert_ner.new.ipynb`.
"""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from rmlib.text.files import write_atomically

from .learner_copy import WorkbookError, make_learner_copy, source_key

NOT_FOR_LEARNERS = {"INSTRUCTOR.md"}
MANIFEST = Path(".rmlib", "manifest.json")


@dataclass
class Summary:
    """What was done to each file, by file name relative to the folder.

    Attributes:
        made: new copies.
        updated: copies that were replaced by a newer version.
        unchanged: copies that were up to date.
        kept: copies with edits of the learner's.
        beside: (file with edits, newer version written beside it).
    """

    made: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    beside: list[tuple[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        counts = ("made", "updated", "unchanged", "kept")
        lines = [", ".join(f"{len(getattr(self, name))} {name}" for name in counts)]
        lines += [
            f"{edited} has your edits and stays; the new version is {new}"
            for edited, new in self.beside
        ]
        return "\n".join(lines)


def default_folders() -> tuple[Path, Path]:
    """Return the folder with the lessons and the folder for the workbook.

    In a checkout the workbook lies beside the lessons, otherwise in the current folder.

    Raises:
        WorkbookError: neither the package nor the folder above it holds the lessons.
    """
    package = Path(__file__).resolve().parents[1]
    if (package / "notebooks").is_dir():  # a wheel carries the lessons inside the package
        return package / "notebooks", Path.cwd() / "workbook"
    if (package.parent / "notebooks").is_dir():
        return package.parent / "notebooks", package.parent / "workbook"
    raise WorkbookError(
        f"no lessons found in {package / 'notebooks'} or {package.parent / 'notebooks'}"
    )


def lessons_in(notebooks: Path) -> list[Path]:
    """Return the lessons and texts for learners in a folder, sorted by name.

    Raises:
        WorkbookError: there are none.
    """
    lessons = [
        path
        for path in sorted(notebooks.glob("*"))
        if path.suffix in (".ipynb", ".md") and path.name not in NOT_FOR_LEARNERS
    ]
    if not lessons:
        raise WorkbookError(f"no lessons (*.ipynb or *.md) in {notebooks}")
    return lessons


def make_workbook(notebooks: Path, workbook: Path, solutions: bool = False) -> Summary:
    """Make a workbook or update it, without overwriting a file that the learner edited.

    A deleted copy is made again. Files that did not come from a lesson are left alone.

    Args:
        notebooks: the folder with the lessons.
        workbook: the folder for the copies.
        solutions: keep the solutions, and write the copies to `workbook/solutions`. These are
            copies, too, because JupyterLab saves the notebooks that it opens.

    Raises:
        WorkbookError: no lessons in `notebooks`, a lesson cannot be read, or the workbook cannot be
            written.
    """
    prefix = "solutions/" if solutions else ""
    lessons = {prefix + path.name: path for path in lessons_in(notebooks)}
    made_of = {name: source_key(path, solutions) for name, path in lessons.items()}
    before = _read_manifest(workbook)["made_of"]
    # nbgrader is slow to import: a copy made from the same source by the same tools is not made
    # again just to be compared.
    current = {
        name
        for name in lessons
        if before.get(name) == made_of[name] and (workbook / name).is_file()
    }
    # All lessons are read before the first copy is written: a faulty lesson changes nothing.
    copies = {
        name: None if name in current else make_learner_copy(path, solutions)
        for name, path in lessons.items()
    }
    return write_copies(workbook, copies, made_of=made_of)


def write_copies(
    folder: Path,
    copies: dict[str, bytes | None],
    aside: str = "",
    made_of: dict[str, str] | None = None,
) -> Summary:
    """Write copies into a folder, without overwriting a file that was edited there.

    Args:
        folder: where the copies go.
        copies: file name to content; None is the version that was written last.
        aside: a prefix for new versions of edited files, such as "newer/"; left out, they go beside
            the edited file.
        made_of: file name to `source_key`, kept in the manifest.

    Raises:
        WorkbookError: the folder cannot be written.
    """
    summary = Summary()
    manifest = _read_manifest(folder)
    try:
        for name, content in copies.items():
            _write_copy(folder, name, content, manifest["files"], summary, aside)
        manifest["made_of"] |= made_of or {}
        write_atomically(
            folder / MANIFEST, (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()
        )
    except OSError as error:
        raise WorkbookError(f"cannot write to {folder}: {error}") from error
    return summary


def _write_copy(
    folder: Path, name: str, content: bytes | None, known: dict, summary: Summary, aside: str
) -> None:
    target = folder / name
    new = known[name] if content is None else _sha256(content)
    state = _state(target, new, known.get(name))
    if state == "missing":
        write_atomically(target, content)
        summary.made.append(name)
    elif state == "ours":
        write_atomically(target, content)
        summary.updated.append(name)
    elif state == "same":
        summary.unchanged.append(name)
    else:
        if known.get(name) != new:
            _write_beside(folder, name, content, known, summary, aside)
        summary.kept.append(name)
    known[name] = new  # also if it was written beside: the same version is not offered twice


def _write_beside(
    folder: Path, name: str, content: bytes, known: dict, summary: Summary, aside: str
) -> None:
    """Write NAME.new.ipynb, or .new2, .new3 … if the learner edited those, too."""
    stem, suffix = os.path.splitext(aside + name)
    new = _sha256(content)
    number = 1
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
    """Classify a file: "missing", "same" as the new version, "ours" to update, or "learner's"."""
    if not path.exists():
        return "missing"
    current = _sha256(path.read_bytes())
    if current == new:
        return "same"
    return "ours" if current == recorded else "learner's"


def _read_manifest(folder: Path) -> dict[str, dict[str, str]]:
    """Read `files` (file name to SHA-256) and `made_of` (file name to `source_key`).

    Both are empty if the manifest is missing or damaged: every existing file then counts as the
    learner's.
    """
    try:
        stored = json.loads((folder / MANIFEST).read_bytes())
        files = {str(name): str(sha256) for name, sha256 in stored["files"].items()}
        keys = {str(name): str(key) for name, key in stored.get("made_of", {}).items()}
        return {
            "files": files,
            "made_of": {name: key for name, key in keys.items() if name in files},
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {"files": {}, "made_of": {}}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
