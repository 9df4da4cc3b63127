"""The workbook: solutions never reach it, edits never leave it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook

from rmlib.classroom import workbook
from rmlib.classroom.learner_copy import WorkbookError, make_learner_copy
from rmlib.classroom.workbook import default_folders, make_workbook
from tests.classroom.made_up_lesson import EMPTY, SOLVED, answer_cell

SECRET = b"return 1 * x"


def write_lesson(path: Path, text: str) -> Path:
    """A lesson with something to read and an exercise."""
    cells = [
        new_code_cell(f"print({text!r})", id="a"),
        answer_cell(SOLVED.format(n=1), "q1-answer"),
    ]
    cells[1].id = "b"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells), path)
    return path


@pytest.fixture
def lessons(tmp_path):
    folder = tmp_path / "notebooks"
    write_lesson(folder / "01_one.ipynb", "v1")
    (folder / "GLOSSARY.md").write_text("reward: what you want more of\n")
    (folder / "INSTRUCTOR.md").write_text("common wrong answers\n")
    (folder / "notes.txt").write_text("not a lesson\n")
    return folder


def change_lesson(lessons: Path, text: str) -> None:
    write_lesson(lessons / "01_one.ipynb", text)


def files(folder: Path) -> dict[str, bytes]:
    """Every file of the workbook by its name, except the workbook's own notes in .rmlib."""
    found = {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }
    return {name: content for name, content in found.items() if not name.startswith(".rmlib/")}


# What is written, and what never is


def test_the_first_run_makes_every_lesson_and_nothing_for_the_instructor(lessons, tmp_path):
    summary = make_workbook(lessons, tmp_path / "wb")
    made = files(tmp_path / "wb")
    assert sorted(made) == sorted(summary.made) == ["01_one.ipynb", "GLOSSARY.md"]
    assert SECRET not in b"".join(made.values())
    assert made["GLOSSARY.md"] == (lessons / "GLOSSARY.md").read_bytes()
    assert SECRET in (lessons / "01_one.ipynb").read_bytes()  # the source is not touched
    make_workbook(lessons, tmp_path / "wb", solutions=True)
    made = files(tmp_path / "wb")
    assert sorted(made) == [
        "01_one.ipynb",
        "GLOSSARY.md",
        "solutions/01_one.ipynb",
        "solutions/GLOSSARY.md",
    ]
    assert SECRET in made["solutions/01_one.ipynb"] and SECRET not in made["01_one.ipynb"]


def test_an_untouched_copy_is_updated_and_a_current_one_left_alone(lessons, tmp_path):
    make_workbook(lessons, tmp_path / "wb")
    before = (tmp_path / "wb/GLOSSARY.md").stat().st_mtime_ns
    change_lesson(lessons, "v2")
    summary = make_workbook(lessons, tmp_path / "wb")
    assert summary.updated == ["01_one.ipynb"] and summary.unchanged == ["GLOSSARY.md"]
    assert b"v2" in (tmp_path / "wb/01_one.ipynb").read_bytes()
    assert (tmp_path / "wb/GLOSSARY.md").stat().st_mtime_ns == before


def test_a_copy_that_is_there_is_not_made_a_second_time(lessons, tmp_path, monkeypatch):
    """nbgrader, which is slow to import, is left alone until a lesson changes."""
    wb, made = tmp_path / "wb", []
    monkeypatch.setattr(
        workbook,
        "make_learner_copy",
        lambda path, *more: made.append(path.name) or make_learner_copy(path, *more),
    )
    make_workbook(lessons, wb)
    assert made == ["01_one.ipynb", "GLOSSARY.md"]
    (wb / "GLOSSARY.md").write_text("mine\n")
    summary = make_workbook(lessons, wb)
    assert (
        len(made) == 2 and summary.unchanged == ["01_one.ipynb"] and summary.kept == ["GLOSSARY.md"]
    )
    change_lesson(lessons, "v2")
    assert make_workbook(lessons, wb).updated == ["01_one.ipynb"] and made[2:] == ["01_one.ipynb"]
    (wb / "01_one.ipynb").unlink()
    assert make_workbook(lessons, wb).made == ["01_one.ipynb"] and made[3:] == ["01_one.ipynb"]


def test_an_edit_stays_and_the_new_version_is_laid_beside_it_once(lessons, tmp_path):
    wb = tmp_path / "wb"
    make_workbook(lessons, wb)
    (wb / "01_one.ipynb").write_text("my work")
    summary = make_workbook(lessons, wb)
    assert summary.kept == ["01_one.ipynb"] and summary.beside == []  # the lesson has not changed
    change_lesson(lessons, "v2")
    summary = make_workbook(lessons, wb)
    assert summary.beside == [("01_one.ipynb", "01_one.new.ipynb")]
    assert "01_one.ipynb has your edits and stays; the new version is 01_one.new.ipynb" in str(
        summary
    ).split("\n")
    assert (wb / "01_one.ipynb").read_text() == "my work" and b"v2" in (
        wb / "01_one.new.ipynb"
    ).read_bytes()
    (wb / "01_one.new.ipynb").unlink()  # read and thrown away: the same version does not come back
    assert make_workbook(lessons, wb).beside == [] and not (wb / "01_one.new.ipynb").exists()


def test_a_new_version_that_was_worked_in_is_not_overwritten_either(lessons, tmp_path):
    wb = tmp_path / "wb"
    make_workbook(lessons, wb)
    (wb / "01_one.ipynb").write_text("my work")
    for version in ("v2", "v3"):  # an untouched .new is replaced by the next
        change_lesson(lessons, version)
        make_workbook(lessons, wb)
    assert b"v3" in (wb / "01_one.new.ipynb").read_bytes() and len(files(wb)) == 3
    (wb / "01_one.new.ipynb").write_text("my other work")
    change_lesson(lessons, "v4")
    assert make_workbook(lessons, wb).beside == [("01_one.ipynb", "01_one.new2.ipynb")]
    assert (wb / "01_one.new.ipynb").read_text() == "my other work"
    (wb / "01_one.new2.ipynb").replace(
        wb / "01_one.ipynb"
    )  # who takes the new version gets updates again
    change_lesson(lessons, "v5")
    assert make_workbook(lessons, wb).updated == ["01_one.ipynb"]


def test_deleted_copies_come_back_and_own_files_stay(lessons, tmp_path):
    wb = tmp_path / "wb"
    make_workbook(lessons, wb)
    (wb / "01_one.ipynb").unlink()
    (wb / "mine.ipynb").write_text("mine")
    assert make_workbook(lessons, wb).made == ["01_one.ipynb"]
    assert (wb / "mine.ipynb").read_text() == "mine"


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b'{"files": 3}', b"\xff\x00", None])
def test_without_a_readable_manifest_every_file_is_the_learners(lessons, tmp_path, broken):
    wb = tmp_path / "wb"
    make_workbook(lessons, wb)
    old = (wb / "01_one.ipynb").read_bytes()
    (wb / ".rmlib/manifest.json").unlink()
    if broken is not None:
        (wb / ".rmlib/manifest.json").write_bytes(broken)
    change_lesson(lessons, "v2")
    assert make_workbook(lessons, wb).beside == [("01_one.ipynb", "01_one.new.ipynb")]
    assert (wb / "01_one.ipynb").read_bytes() == old


def test_a_faulty_lesson_leaves_the_workbook_as_it_was(lessons, tmp_path):
    wb = tmp_path / "wb"
    make_workbook(lessons, wb)
    before = files(wb)
    (lessons / "GLOSSARY.md").write_text("changed")
    nbformat.write(
        new_notebook(cells=[new_code_cell("### BEGIN SOLUTION")]), lessons / "02_two.ipynb"
    )
    with pytest.raises(WorkbookError, match="02_two.ipynb, cell 1"):
        make_workbook(lessons, wb)
    assert files(wb) == before


def test_places_that_cannot_work_are_one_sentence(lessons, tmp_path):
    with pytest.raises(WorkbookError, match="no lessons"):
        make_workbook(tmp_path / "nowhere", tmp_path / "wb")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WorkbookError, match="cannot write to"):
        make_workbook(lessons, tmp_path / "file")


def test_in_a_checkout_the_workbook_lies_beside_the_lessons():
    root = Path(__file__).resolve().parents[2]
    assert default_folders() == (root / "notebooks", root / "workbook")


def test_an_installed_package_carries_the_lessons_and_works_in_the_current_folder(
    lessons, tmp_path
):
    package = tmp_path / "site" / "rmlib"  # as a wheel lays it out
    package.mkdir(parents=True)
    installed = Path(workbook.__file__).parents[1]
    for name in ("__init__.py", "errors.py"):
        shutil.copy(installed / name, package)
    for name in ("classroom", "text"):
        shutil.copytree(installed / name, package / name)
    shutil.copytree(lessons, package / "notebooks")
    (tmp_path / "site" / "notebooks").mkdir()  # of some other package: not ours
    code = "from rmlib.classroom.workbook import default_folders as f; print(*f(), sep='\\n')"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(package / "notebooks"), str(tmp_path / "workbook")]


def answer(path: Path, words: str) -> bytes:
    """The learner writes an answer and saves the notebook; its bytes now."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].source = EMPTY.format(n=1).replace("...", f"return {words!r}")
    nbformat.write(notebook, path)
    return path.read_bytes()


ACTIONS = [
    "new version",
    "old version",
    "edit copy",
    "edit new",
    "delete copy",
    "delete new",
    "break manifest",
    "run",
]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(ACTIONS), max_size=14))
def test_whatever_happens_no_word_of_the_learner_is_lost(tmp_path_factory, actions):
    """Any order of lesson changes, edits, deletions and runs: each edit is still there unless its
    file was deleted.
    """
    base = tmp_path_factory.mktemp("w")
    lessons, wb = base / "notebooks", base / "wb"
    write_lesson(lessons / "01_one.ipynb", "version 0")
    make_workbook(lessons, wb)
    edits = {}
    for step, action in enumerate(actions):
        if action.endswith("version"):
            write_lesson(
                lessons / "01_one.ipynb", f"version {step + 1 if action == 'new version' else 0}"
            )
        elif action == "break manifest":
            (wb / ".rmlib/manifest.json").write_text("{")
        elif action == "run":
            make_workbook(lessons, wb)
        else:
            target = wb / ("01_one.ipynb" if action.endswith("copy") else "01_one.new.ipynb")
            if action.startswith("edit") and target.exists():
                edits[target] = answer(target, f"edit {step}")
            elif action.startswith("delete"):
                target.unlink(missing_ok=True)
                edits.pop(target, None)
        assert {path: path.read_bytes() for path in edits} == edits
    for _ in range(2):
        make_workbook(lessons, wb)
        assert {path: path.read_bytes() for path in edits} == edits
    newest = make_learner_copy(lessons / "01_one.ipynb")
    if (
        wb / "01_one.ipynb" not in edits and "break manifest" not in actions
    ):  # an untouched copy is the newest version
        assert (wb / "01_one.ipynb").read_bytes() == newest


def test_two_updates_of_an_answered_lesson_lose_no_answer(lessons, tmp_path):
    wb = tmp_path / "wb"
    make_workbook(lessons, wb)
    mine = answer(wb / "01_one.ipynb", "mine")
    for version in ("v2", "v3"):
        change_lesson(lessons, version)
        make_workbook(lessons, wb)
        assert (wb / "01_one.ipynb").read_bytes() == mine
        assert version.encode() in (wb / "01_one.new.ipynb").read_bytes()
    assert sorted(files(wb)) == ["01_one.ipynb", "01_one.new.ipynb", "GLOSSARY.md"]
