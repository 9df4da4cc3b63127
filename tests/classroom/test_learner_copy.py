"""What a copy of a lesson holds: no solution, no output, nothing of the machine, and it runs."""

import json
import os
import sys
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from rmlib.classroom import learner_copy
from rmlib.classroom.learner_copy import (
    STUB,
    WorkbookError,
    check_regions,
    make_learner_copy,
    source_key,
)
from rmlib.errors import RmlibError
from tests.classroom.made_up_lesson import (
    CHECK,
    EMPTY,
    NOTEBOOKS,
    SOLVED,
    answer_cell,
    gradable,
    test_cell,
    write_made_up,
)

WITHOUT_BERT = ("01_two_part_loss", "02_gradients_three_ways", "03_surrogate_rewards")
SECRET = "SECRET = 41 + 1"
SOLUTION = f"### BEGIN SOLUTION\n{SECRET}\n### END SOLUTION"


def write_notebook(path: Path, *cells, **metadata) -> Path:
    nbformat.write(new_notebook(cells=list(cells), metadata=metadata), path)
    return path


def read_copy(content: bytes):
    notebook = nbformat.reads(content.decode(), as_version=4)
    nbformat.validate(notebook)
    return notebook


def cleared(tmp_path, *sources: str) -> list[str]:
    path = write_notebook(tmp_path / "n.ipynb", *map(new_code_cell, sources))
    return [cell.source for cell in read_copy(make_learner_copy(path)).cells]


# What is cleared


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = 1", "x = 1"),
        (SOLUTION, STUB),
        (SOLVED.format(n=1), EMPTY.format(n=1)),
        ("#BEGIN SOLUTION\nx\n#  END SOLUTION\ny", STUB + "\ny"),
        ("\t### BEGIN SOLUTION\n\tx\n\t### END SOLUTION", "\t# YOUR CODE HERE\n\t..."),
    ],
)
def test_a_solution_becomes_a_stub_of_the_same_indentation(tmp_path, source, expected):
    assert cleared(tmp_path, source) == [expected]


@given(st.lists(st.sampled_from(["plain", "solved"]), max_size=8), st.integers(0, 8))
def test_what_is_outside_the_markers_stays_in_order(tmp_path_factory, kinds, indent):
    space, source, outside = " " * indent, [], []
    for number, kind in enumerate(kinds):
        if kind == "plain":
            source.append(f"{space}keep_{number}")
            outside.append(source[-1])
            continue
        source += [
            f"{space}### BEGIN SOLUTION",
            f"{space}hide_{number}",
            f"{space}### END SOLUTION",
        ]
        outside += [f"{space}# YOUR CODE HERE", f"{space}..."]
    assert cleared(tmp_path_factory.mktemp("n"), "\n".join(source)) == ["\n".join(outside)]


def test_a_cell_that_nbgrader_knows_as_an_answer_is_cleared_without_markers_too(tmp_path):
    path = write_notebook(tmp_path / "n.ipynb", answer_cell(SECRET, "q1-answer"))
    assert read_copy(make_learner_copy(path)).cells[0].source == STUB


def test_hidden_tests_go_and_the_tests_are_locked(tmp_path):
    hidden = "assert True\n### BEGIN HIDDEN TESTS\nassert SECRET == 42\n### END HIDDEN TESTS"
    cells = answer_cell(SOLUTION, "q1-answer"), test_cell(hidden, "q1-check", 2)
    path = write_notebook(tmp_path / "n.ipynb", *cells)
    answer, check = read_copy(make_learner_copy(path)).cells
    assert check.source == "assert True" and check.metadata.nbgrader.points == 2
    assert check.metadata.editable is False and check.metadata.deletable is False
    assert answer.metadata.deletable is False and "editable" not in answer.metadata
    solved = read_copy(make_learner_copy(path, solutions=True)).cells
    assert [cell.source for cell in solved] == [SOLUTION, hidden] and "deletable" not in solved[
        1
    ].metadata


def test_all_outputs_go_except_from_the_copy_with_solutions(tmp_path):
    figure = new_output("display_data", {"image/png": "aGVsbG8=", "text/plain": "<Figure>"})
    told = new_output("stream", name="stdout", text="42\n")
    path = write_notebook(
        tmp_path / "n.ipynb",
        new_code_cell("plot()", outputs=[figure], execution_count=3),
        answer_cell(SOLUTION, "q1-answer"),
        new_code_cell("print(SECRET)", outputs=[told], execution_count=4),
    )
    for cell in read_copy(make_learner_copy(path)).cells:
        assert cell.outputs == [] and cell.execution_count is None
    plot, answer, shown = read_copy(make_learner_copy(path, solutions=True)).cells
    assert plot.outputs == [figure] and answer.source == SOLUTION and shown.outputs == [told]


def test_instructor_cells_and_widget_state_go_and_the_kernel_is_plain(tmp_path):
    view = {
        "application/vnd.jupyter.widget-view+json": {"model_id": "m"},
        "text/plain": "VBox(...)",
    }
    path = write_notebook(
        tmp_path / "n.ipynb",
        new_code_cell("answers()", metadata={"tags": ["instructor-only", "slow"]}),
        new_code_cell("w", outputs=[new_output("display_data", view)]),
        new_code_cell("v", outputs=[new_output("display_data", {**view, "image/png": "aGVsbG8="})]),
        widgets={"application/vnd.jupyter.widget-state+json": {"state": {}}},
        kernelspec={"name": "my-env", "display_name": "Mine"},
    )
    for solutions in (False, True):
        notebook = read_copy(make_learner_copy(path, solutions))
        assert [cell.source for cell in notebook.cells] == ["w", "v"]
        assert "widgets" not in notebook.metadata and notebook.metadata.kernelspec.name == "python3"
    assert notebook.cells[0].outputs == []
    assert set(notebook.cells[1].outputs[0].data) == {"image/png", "text/plain"}


# The same each time


def test_the_copy_of_a_notebook_without_cell_ids_is_the_same_each_time(tmp_path):
    cell = {
        "cell_type": "code",
        "source": "x",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }
    path = tmp_path / "n.ipynb"
    path.write_text(
        json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell, cell]})
    )
    assert make_learner_copy(path) == make_learner_copy(path)
    assert len({c.id for c in read_copy(make_learner_copy(path)).cells}) == 2


def test_a_lesson_gives_the_same_bytes_each_time(tmp_path):
    path = write_made_up(tmp_path / "01_made_up.ipynb")
    assert make_learner_copy(path) == make_learner_copy(path)
    assert (
        make_learner_copy(path, solutions=True)
        == make_learner_copy(path, solutions=True)
        != make_learner_copy(path)
    )


def test_the_key_of_a_source_changes_with_whatever_changes_its_copy(tmp_path, monkeypatch):
    path = write_made_up(tmp_path / "01_made_up.ipynb")
    keys = [source_key(path), source_key(path, solutions=True)]
    assert source_key(path) == keys[0]
    path.write_text(path.read_text() + "\n")
    keys.append(source_key(path))
    own = tmp_path / "handout.py"
    own.write_text(Path(learner_copy.__file__).read_text() + "\n")
    monkeypatch.setattr(learner_copy, "__file__", str(own))
    keys.append(source_key(path))
    monkeypatch.setattr(learner_copy.metadata, "version", lambda name: "99.0")
    keys.append(source_key(path))
    assert len(set(keys)) == 5


# Mistakes in a lesson


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("x\n### BEGIN SOLUTION\ny", "line 2: BEGIN SOLUTION is never closed"),
        ("### END SOLUTION", "line 1: END SOLUTION found, expected BEGIN SOLUTION before it"),
        (
            "### BEGIN SOLUTION\nx\n### BEGIN SOLUTION\n### END SOLUTION",
            "line 3: BEGIN SOLUTION found, expected END",
        ),
        ("x\n### BEGIN HIDDEN TESTS", "line 2: BEGIN HIDDEN TESTS is never closed"),
        (
            "### BEGIN  SOLUTION\nx\n### END  SOLUTION",
            "line 1: '### BEGIN  SOLUTION'; nbgrader expects",
        ),
        ("x\n# begin solution\nx\n# end solution", "line 2: '# begin solution'; nbgrader expects"),
        ("### BEGIN_SOLUTION\nx", "line 1: '### BEGIN_SOLUTION'; nbgrader expects"),
    ],
)
def test_a_marker_without_its_partner_names_notebook_cell_and_line(tmp_path, source, line):
    path = write_notebook(
        tmp_path / "05_live.ipynb", new_markdown_cell("# Title"), new_code_cell(source)
    )
    for solutions in (False, True):
        with pytest.raises(WorkbookError, match=f"05_live.ipynb, cell 2, {line}"):
            make_learner_copy(path, solutions)
    assert isinstance(WorkbookError("x"), RmlibError)


def test_words_that_only_look_like_a_marker_are_left_alone():
    check_regions("# the end of the solution\nbegin = solution  # END\n# Ending solutions")


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (
            [test_cell("x", "q1", "two")],
            "cell 1: nbgrader does not take its metadata: 'two' is not of type 'number'",
        ),
        (
            [new_code_cell(), test_cell("x", "", 2)],
            "cell 2: nbgrader does not take its metadata: grade_id is empty",
        ),
        ([answer_cell("x", "q1", schema_version=2)], "cell 1: .* schema version: 2"),
        (
            [answer_cell("x", "q1"), test_cell("x", "q1", 1)],
            "cell 2: grade_id 'q1' is also that of cell 1",
        ),
    ],
)
def test_metadata_that_nbgrader_does_not_take_name_the_cell(tmp_path, cells, told):
    path = write_notebook(tmp_path / "n.ipynb", *cells)
    with pytest.raises(WorkbookError, match=f"n.ipynb, {told}") as error:
        make_learner_copy(path)
    assert "\n" not in str(error.value)


def test_what_only_nbgrader_sees_is_told_with_the_notebooks_name(tmp_path):
    task = {
        "grade": False,
        "grade_id": "t",
        "locked": True,
        "schema_version": 3,
        "solution": False,
        "task": True,
    }
    picture = "=== BEGIN MARK SCHEME ===\n![a](attachment:a.png)\n=== END MARK SCHEME ==="
    cell = new_markdown_cell(picture, metadata={"nbgrader": task | {"points": 1}})
    with pytest.raises(
        WorkbookError, match=r"n.ipynb: nbgrader cannot make the learner's copy: .*attachment"
    ):
        make_learner_copy(write_notebook(tmp_path / "n.ipynb", cell))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[1]",
        b'{"cells": 3}',
        b"\xff\xfe\x00",
        b'{"nbformat": 4, "cells"',
        b'{"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": 3}',
        b'{"nbformat": 4, "nbformat_minor": 4, "metadata": {}, '
        b'"cells": [{"cell_type": "no", "metadata": {}}]}',
    ],
)
def test_a_file_that_is_no_notebook_is_one_sentence(tmp_path, content):
    (tmp_path / "bad.ipynb").write_bytes(content)
    with pytest.raises(WorkbookError, match="bad.ipynb is not a notebook") as error:
        make_learner_copy(tmp_path / "bad.ipynb")
    assert "\n" not in str(error.value)


# A copy at work


def run(notebook, folder: Path):
    """Run a notebook in a kernel of this Python; a cell that fails is an error."""
    client = NotebookClient(notebook, kernel_name="python3", timeout=600)
    client.create_kernel_manager()
    client.km.kernel_spec.argv[0] = sys.executable
    return client.execute(cwd=str(folder), env={**os.environ, "RMLIB_PROFILE": "quick"})


def shown(cell) -> str:
    return "".join(
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for output in cell.outputs
    )


@pytest.mark.parametrize(
    "name",
    [
        "made_up",
        *(pytest.param(name, marks=pytest.mark.long) for name in gradable(*WITHOUT_BERT)),
    ],
)
def test_a_copy_runs_to_its_end_unanswered_and_every_check_says_not_attempted(tmp_path, name):
    path = (
        write_made_up(tmp_path / "made_up.ipynb")
        if name == "made_up"
        else NOTEBOOKS / f"{name}.ipynb"
    )
    notebook = run(read_copy(make_learner_copy(path)), tmp_path)
    checks = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    assert len(checks) >= 3
    assert [shown(cell) for cell in checks if "not attempted" not in shown(cell)] == []


def test_the_check_of_the_made_up_lesson_can_say_more():
    """Or the test above would pass whatever a copy holds."""
    names: dict = {}
    exec(CHECK, names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBGRADER_EXECUTION", "autograde")
        names["check"](5, 5)
        with pytest.raises(AssertionError, match="not yet"):
            names["check"](4, 5)


# --- Notebooks of other editors -------------------------------------------------------------------


def as_saved(change=lambda notebook: None, mark=b"", minor=5):
    """The bytes of a small notebook, changed as another editor leaves it."""
    import json

    cells = [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["# One\n", "two"]},
        {"cell_type": "code", "id": "b", "metadata": {}, "source": "1 + 1", "outputs": []},
    ]
    cells[1]["execution_count"] = 3
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": minor}
    change(notebook)
    return mark + json.dumps(notebook).encode()


def without(*names):
    def change(notebook):
        for cell in notebook["cells"]:
            for name in names:
                cell.pop(name, None)

    return change


def drop(*names):
    return lambda notebook: [notebook.pop(name) for name in names]


def alike(notebook):
    for cell in notebook["cells"]:
        cell["id"] = "same"


@pytest.mark.parametrize(
    ("change", "mark", "minor"),
    [
        (lambda n: None, b"", 5),
        (lambda n: None, b"\xef\xbb\xbf", 5),  # a byte-order mark
        (without("id"), b"", 5),
        (without("id"), b"", 4),
        (lambda n: None, b"", 4),  # ids in a notebook of 4.4: nbformat refuses them
        (without("metadata"), b"", 5),
        (without("outputs", "execution_count"), b"", 5),
        (without("id", "metadata", "outputs", "execution_count"), b"", 4),
        (drop("metadata"), b"", 5),
        (drop("nbformat_minor"), b"", 5),
        (drop("nbformat", "nbformat_minor", "metadata"), b"", 5),
        (alike, b"", 5),
    ],
)
def test_a_notebook_of_another_editor_is_the_same_lesson(tmp_path, change, mark, minor):
    from rmlib.classroom.learner_copy import make_learner_copy, read_lesson

    path = tmp_path / "lesson.ipynb"
    path.write_bytes(as_saved(change, mark, minor))
    cells = read_lesson(path).cells
    assert [cell.source for cell in cells] == ["# One\ntwo", "1 + 1"]
    assert make_learner_copy(path) == make_learner_copy(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"cells": {}}',
        b'{"cells": ["x"]}',
        b'{"worksheets": [{"cells": []}], "nbformat": 3, "nbformat_minor": 0, "metadata": {}}',
        b"\xff\xfe{\x00}\x00",
        as_saved()[:-5],
        as_saved(lambda n: n["cells"][0].update(cell_type="picture")),
    ],
)
def test_what_is_no_notebook_is_one_sentence(tmp_path, content):
    from rmlib.classroom.learner_copy import WorkbookError, read_lesson

    path = tmp_path / "lesson.ipynb"
    path.write_bytes(content)
    with pytest.raises(WorkbookError, match="lesson.ipynb is not a notebook that can be read: .+"):
        read_lesson(path)
