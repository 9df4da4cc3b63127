"""The workbook: solutions never reach it, edits never leave it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from rmlib import workbook
from rmlib.errors import RmlibError
from rmlib.workbook import WorkbookError, clear_solution, learner_copy, make_workbook, places

SECRET = "SECRET = 41 + 1"
EXERCISE = f"def answer():\n    ### BEGIN SOLUTION\n    {SECRET}\n    ### END SOLUTION\n\nanswer()"
STUB = "def answer():\n    # YOUR CODE HERE\n    raise NotImplementedError()\n\nanswer()"


def write_notebook(path: Path, *cells, **metadata) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=list(cells), metadata=metadata), path)
    return path


def read_copy(content: bytes):
    notebook = nbformat.reads(content.decode(), as_version=4)
    nbformat.validate(notebook)
    return notebook


@pytest.fixture
def lessons(tmp_path):
    folder = tmp_path / "notebooks"
    write_notebook(folder / "01_one.ipynb", new_code_cell("print('v1')", id="a"), new_code_cell(EXERCISE, id="b"))
    (folder / "GLOSSARY.md").write_text("reward: what you want more of\n")
    (folder / "INSTRUCTOR.md").write_text("common wrong answers\n")
    (folder / "notes.txt").write_text("not a lesson\n")
    return folder


def change_lesson(lessons: Path, text: str) -> None:
    write_notebook(lessons / "01_one.ipynb", new_code_cell(f"print({text!r})", id="a"), new_code_cell(EXERCISE, id="b"))


def files(folder: Path) -> dict[str, bytes]:
    """Every file of the workbook by its name, except the workbook's own notes in .rmlib."""
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return {name: content for name, content in found.items() if not name.startswith(".rmlib/")}


# What is cleared


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = 1", "x = 1"),
        (EXERCISE, STUB),
        ("### BEGIN SOLUTION\nx = 1\n### END SOLUTION", "# YOUR CODE HERE\nraise NotImplementedError()"),
        ("#BEGIN SOLUTION\nx\n#  END  SOLUTION\ny", "# YOUR CODE HERE\nraise NotImplementedError()\ny"),
        ("\t### BEGIN SOLUTION\n\tx\n\t### END SOLUTION", "\t# YOUR CODE HERE\n\traise NotImplementedError()"),
        ("print('BEGIN SOLUTION')", "print('BEGIN SOLUTION')"),
    ],
)
def test_a_solution_becomes_a_stub_of_the_same_indentation(source, expected):
    assert clear_solution(source) == expected


@given(st.lists(st.sampled_from(["plain", "solved"]), max_size=8), st.integers(0, 8))
def test_what_is_outside_the_markers_stays_in_order(kinds, indent):
    space, source, outside = " " * indent, [], []
    for number, kind in enumerate(kinds):
        if kind == "plain":
            source.append(f"{space}keep_{number}")
            outside.append(source[-1])
            continue
        source += [f"{space}### BEGIN SOLUTION", f"{space}hide_{number}", f"{space}### END SOLUTION"]
        outside += [f"{space}# YOUR CODE HERE", f"{space}raise NotImplementedError()"]
    assert clear_solution("\n".join(source)) == "\n".join(outside)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("x\n### BEGIN SOLUTION\ny", "line 2: BEGIN SOLUTION is never closed"),
        ("### END SOLUTION", "line 1: END SOLUTION found, expected BEGIN SOLUTION before it"),
        ("### BEGIN SOLUTION\nx\n### BEGIN SOLUTION\n### END SOLUTION", "line 3: BEGIN SOLUTION found, expected END"),
    ],
)
def test_a_marker_without_its_partner_names_notebook_cell_and_line(tmp_path, source, line):
    path = write_notebook(tmp_path / "05_live.ipynb", new_markdown_cell("# Title"), new_code_cell(source))
    with pytest.raises(WorkbookError, match=f"05_live.ipynb, cell 2, {line}"):
        learner_copy(path)
    assert isinstance(WorkbookError("x"), RmlibError)


def test_only_outputs_under_a_solution_go(tmp_path):
    figure = new_output("display_data", {"image/png": "aGVsbG8=", "text/plain": "<Figure>"})
    told = new_output("stream", name="stdout", text="42\n")
    path = write_notebook(
        tmp_path / "n.ipynb",
        new_code_cell("plot()", outputs=[figure], execution_count=3),
        new_code_cell(EXERCISE, outputs=[told], execution_count=4),
    )
    plot, exercise = read_copy(learner_copy(path)).cells
    assert plot.outputs == [figure] and plot.execution_count == 3
    assert exercise.source == STUB and exercise.outputs == [] and exercise.execution_count is None
    solved = read_copy(learner_copy(path, solutions=True)).cells[1]
    assert solved.source == EXERCISE and solved.outputs == [told]


def test_instructor_cells_and_widget_state_go_and_the_kernel_is_plain(tmp_path):
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "m"}, "text/plain": "VBox(...)"}
    path = write_notebook(
        tmp_path / "n.ipynb",
        new_code_cell("answers()", metadata={"tags": ["instructor-only", "slow"]}),
        new_code_cell("w", outputs=[new_output("display_data", view)]),
        new_code_cell("v", outputs=[new_output("display_data", {**view, "image/png": "aGVsbG8="})]),
        widgets={"application/vnd.jupyter.widget-state+json": {"state": {}}},
        kernelspec={"name": "my-env", "display_name": "Mine"},
    )
    notebook = read_copy(learner_copy(path))
    assert [cell.source for cell in notebook.cells] == ["w", "v"]
    assert notebook.cells[0].outputs == []
    assert set(notebook.cells[1].outputs[0].data) == {"image/png", "text/plain"}
    assert "widgets" not in notebook.metadata and notebook.metadata.kernelspec.name == "python3"


def test_the_copy_of_a_notebook_without_cell_ids_is_the_same_each_time(tmp_path):
    cell = {"cell_type": "code", "source": "x", "metadata": {}, "outputs": [], "execution_count": None}
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell, cell]}))
    assert learner_copy(path) == learner_copy(path)
    assert len({c.id for c in read_copy(learner_copy(path)).cells}) == 2


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"cells": 3}', b"\xff\xfe\x00", b'{"nbformat": 4, "cells"'])
def test_a_file_that_is_no_notebook_is_one_sentence(tmp_path, content):
    (tmp_path / "bad.ipynb").write_bytes(content)
    with pytest.raises(WorkbookError, match="bad.ipynb is not a notebook"):
        learner_copy(tmp_path / "bad.ipynb")


# What is written, and what never is


def test_the_first_run_makes_every_lesson_and_nothing_for_the_instructor(lessons, tmp_path):
    summary = make_workbook(lessons, tmp_path / "wb")
    made = files(tmp_path / "wb")
    assert sorted(made) == sorted(summary.made) == ["01_one.ipynb", "GLOSSARY.md"]
    assert SECRET.encode() not in b"".join(made.values())
    assert made["GLOSSARY.md"] == (lessons / "GLOSSARY.md").read_bytes()
    assert SECRET in (lessons / "01_one.ipynb").read_text()  # the source is not touched
    make_workbook(lessons, tmp_path / "wb", solutions=True)
    made = files(tmp_path / "wb")
    assert sorted(made) == ["01_one.ipynb", "GLOSSARY.md", "solutions/01_one.ipynb", "solutions/GLOSSARY.md"]
    assert SECRET.encode() in made["solutions/01_one.ipynb"] and SECRET.encode() not in made["01_one.ipynb"]


def test_an_untouched_copy_is_updated_and_a_current_one_left_alone(lessons, tmp_path):
    make_workbook(lessons, tmp_path / "wb")
    before = (tmp_path / "wb/GLOSSARY.md").stat().st_mtime_ns
    change_lesson(lessons, "v2")
    summary = make_workbook(lessons, tmp_path / "wb")
    assert summary.updated == ["01_one.ipynb"] and summary.unchanged == ["GLOSSARY.md"]
    assert b"v2" in (tmp_path / "wb/01_one.ipynb").read_bytes()
    assert (tmp_path / "wb/GLOSSARY.md").stat().st_mtime_ns == before


def test_an_edit_stays_and_the_new_version_is_laid_beside_it_once(lessons, tmp_path):
    wb = tmp_path / "wb"
    make_workbook(lessons, wb)
    (wb / "01_one.ipynb").write_text("my work")
    summary = make_workbook(lessons, wb)
    assert summary.kept == ["01_one.ipynb"] and summary.beside == []  # the lesson has not changed
    change_lesson(lessons, "v2")
    summary = make_workbook(lessons, wb)
    assert summary.beside == [("01_one.ipynb", "01_one.new.ipynb")]
    assert "01_one.ipynb has your edits and stays; the new version is 01_one.new.ipynb" in str(summary).split("\n")
    assert (wb / "01_one.ipynb").read_text() == "my work" and b"v2" in (wb / "01_one.new.ipynb").read_bytes()
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
    (wb / "01_one.new2.ipynb").replace(wb / "01_one.ipynb")  # who takes the new version gets updates again
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
    write_notebook(lessons / "02_two.ipynb", new_code_cell("### BEGIN SOLUTION"))
    with pytest.raises(WorkbookError, match="02_two.ipynb, cell 1"):
        make_workbook(lessons, wb)
    assert files(wb) == before


def test_places_that_cannot_work_are_one_sentence(lessons, tmp_path):
    with pytest.raises(WorkbookError, match="no lessons"):
        make_workbook(tmp_path / "nowhere", tmp_path / "wb")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WorkbookError, match="cannot write the workbook"):
        make_workbook(lessons, tmp_path / "file")


def test_in_a_checkout_the_workbook_lies_beside_the_lessons():
    root = Path(__file__).resolve().parents[1]
    assert places() == (root / "notebooks", root / "workbook")


def test_an_installed_package_carries_the_lessons_and_works_in_the_current_folder(lessons, tmp_path):
    package = tmp_path / "site" / "rmlib"  # as a wheel lays it out
    package.mkdir(parents=True)
    for name in ("__init__.py", "errors.py", "workbook.py"):
        shutil.copy(Path(workbook.__file__).with_name(name), package)
    shutil.copytree(lessons, package / "notebooks")
    (tmp_path / "site" / "notebooks").mkdir()  # of some other package: not ours
    code = "from rmlib.workbook import places; print(*places(), sep='\\n')"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(package / "notebooks"), str(tmp_path / "workbook")]


ACTIONS = ["change lesson", "edit copy", "edit new", "delete copy", "delete new", "break manifest", "run"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(ACTIONS), max_size=14))
def test_whatever_happens_no_word_of_the_learner_is_lost(tmp_path_factory, actions):
    """Any order of lesson changes, edits, deletions and runs: each edit is still there unless its file was deleted."""
    base = tmp_path_factory.mktemp("w")
    lessons, wb = base / "notebooks", base / "wb"
    lessons.mkdir()
    (lessons / "GLOSSARY.md").write_text("version 0")
    make_workbook(lessons, wb)
    edits = {}
    for step, action in enumerate(actions):
        if action == "change lesson":
            (lessons / "GLOSSARY.md").write_text(f"version {step + 1}")
        elif action == "break manifest":
            (wb / ".rmlib/manifest.json").write_text("{")
        elif action == "run":
            make_workbook(lessons, wb)
        else:
            target = wb / ("GLOSSARY.md" if action.endswith("copy") else "GLOSSARY.new.md")
            if action.startswith("edit") and target.exists():
                target.write_text(f"edit {step}")
                edits[target] = f"edit {step}"
            elif action.startswith("delete"):
                target.unlink(missing_ok=True)
                edits.pop(target, None)
        assert {path: path.read_text() for path in edits} == edits
    make_workbook(lessons, wb)
    assert {path: path.read_text() for path in edits} == edits
    if wb / "GLOSSARY.md" not in edits and "break manifest" not in actions:  # an untouched copy is the newest version
        assert (wb / "GLOSSARY.md").read_text() == (lessons / "GLOSSARY.md").read_text()
