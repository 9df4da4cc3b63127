"""The command that stores the notebooks: what varies goes, what teaches stays, what may not be
stored is refused.
"""

import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tests.notebooks.execute import LARGEST, PLACEHOLDER, WIDGET_VIEW, Unfit, clean, main

PNG = {"image/png": "iVBORw0KGgo=", "text/html": '<img alt="a">', "text/plain": "a"}


def outputs_of(*outputs):
    return (
        clean(new_notebook(cells=[new_code_cell("1", outputs=list(outputs))]), "x.ipynb")
        .cells[0]
        .outputs
    )


def shown(**data):
    return new_output(
        "display_data", data={name.replace("__", "/"): value for name, value in data.items()}
    )


def test_ids_counts_and_metadata_depend_on_the_position_alone():
    def made(**metadata):
        cells = [
            new_markdown_cell("# a"),
            new_code_cell("1", metadata=metadata, execution_count=7),
            new_code_cell(""),
        ]
        cells.append(
            new_code_cell(
                "2", outputs=[new_output("execute_result", {"text/plain": "2"}, execution_count=9)]
            )
        )
        notebook = new_notebook(cells=cells)
        notebook.metadata = nbformat.from_dict(
            metadata | {"widgets": {"state": 1}, "language_info": {"version": "3.x"}}
        )
        return nbformat.writes(clean(notebook, "x.ipynb"))

    first, second = (
        made(execution={"iopub.execute_input": "now"}, tags=["a"]),
        made(tags=["a"], trusted=True),
    )
    assert first == second  # though every run invents new cell ids
    stored = json.loads(first)
    assert [cell["id"] for cell in stored["cells"]] == ["cell-01", "cell-02", "cell-03", "cell-04"]
    assert [cell.get("execution_count") for cell in stored["cells"]] == [None, 1, None, 2]
    assert stored["cells"][3]["outputs"][0]["execution_count"] == 2
    assert stored["cells"][1]["metadata"] == {"tags": ["a"]}
    assert stored["metadata"]["kernelspec"]["name"] == "python3"
    assert (
        "version" not in stored["metadata"]["language_info"] and "widgets" not in stored["metadata"]
    )


def test_what_nbgrader_wrote_into_a_cell_stays():
    mark = {
        "grade": True,
        "grade_id": "q1-check",
        "locked": True,
        "points": 2,
        "schema_version": 3,
        "solution": False,
    }
    cell = new_code_cell("1", metadata={"nbgrader": mark, "deletable": False, "scrolled": True})
    assert clean(new_notebook(cells=[cell]), "x.ipynb").cells[0].metadata == {"nbgrader": mark}


def test_progress_and_warnings_go_and_what_a_cell_prints_stays():
    kept = outputs_of(
        new_output("stream", name="stderr", text="100%|####| 3/3"),
        new_output("stream", name="stdout", text="step 1\rstep 2\rdone\nnext\r\n"),
        shown(
            **{
                WIDGET_VIEW: {"model_id": "1"},
                "text__plain": "HBox(children=(FloatProgress(value=0.0),))",
            }
        ),
        shown(
            **{
                WIDGET_VIEW: {"model_id": "2"},
                "text__plain": "  0%|          | 0/5 [00:00<?, ?step/s]",
            }
        ),
    )
    assert [output.text for output in kept] == ["done\nnext\n"]


def test_printed_text_is_one_piece_wherever_the_kernel_cut_it():
    tokens = [new_output("stream", name="stdout", text=text) for text in ("a\n", "b", "c\n")]
    noise = new_output("stream", name="stderr", text="warning")
    after = [shown(**PNG), new_output("stream", name="stdout", text="d")]
    kept = outputs_of(tokens[0], noise, *tokens[1:], *after)
    assert [output.get("text") for output in kept] == ["a\nbc\n", None, "d"]


def test_a_widget_leaves_a_sentence_and_a_picture_stays_a_picture():
    widget, both, picture = outputs_of(
        shown(**{WIDGET_VIEW: {"model_id": "1"}, "text__plain": "VBox(children=(…))"}),
        shown(**{WIDGET_VIEW: {"model_id": "2"}, **PNG}),
        shown(**PNG),
    )
    assert widget.data == {"text/plain": PLACEHOLDER}
    assert both.data == picture.data == PNG


@pytest.mark.parametrize(
    "text",
    [
        "/home/ada/x",
        "saved in /tmp/abc",
        "/root/.cache",
        "/srv/ada",
        "/Users/ada",
        "C:\\Users\\ada",
    ],
)
def test_a_path_of_the_machine_is_refused(text):
    for output in (
        new_output("stream", name="stdout", text=text),
        shown(text__html=f"<b>{text}</b>"),
    ):
        with pytest.raises(Unfit, match=r"^x.ipynb, cell 1: an output shows a path"):
            outputs_of(output)


def test_a_picture_is_not_mistaken_for_a_path():
    noise = "abcd" * 60 + "/tmp/a" + "efgh" * 60
    assert outputs_of(
        shown(image__png=noise, text__html=f'<img src="data:image/png;base64,{noise}">')
    )


def test_an_output_that_is_too_large_is_refused():
    assert outputs_of(new_output("stream", name="stdout", text="x" * (LARGEST - 200)))
    with pytest.raises(Unfit, match="cell 1: an output of"):
        outputs_of(new_output("stream", name="stdout", text="x" * LARGEST))


@pytest.fixture
def folder(tmp_path):
    cells = [
        new_code_cell("import os, sys\nprint(os.environ['RMLIB_PROFILE'])"),
        new_code_cell("x = 1\nx"),
    ]
    nbformat.write(new_notebook(cells=cells), tmp_path / "01_good.ipynb")
    cells = [new_code_cell("print('before')"), new_markdown_cell("text"), new_code_cell("1 / 0")]
    nbformat.write(new_notebook(cells=cells), tmp_path / "02_bad.ipynb")
    return tmp_path


def test_a_notebook_is_run_and_stored_and_a_second_run_changes_nothing(folder, monkeypatch):
    monkeypatch.setenv("RMLIB_PROFILE", "quick")
    path = folder / "01_good.ipynb"
    assert main(["01"], folder) == 0
    first = path.read_bytes()
    cells = nbformat.read(path, as_version=4).cells
    assert cells[0].outputs[0].text == "class\n"
    assert cells[1].outputs[0].data["text/plain"] == "1"
    assert main(["01"], folder) == 0
    assert path.read_bytes() == first


def test_a_cell_that_fails_is_named_and_the_file_stays(folder, capsys, monkeypatch):
    monkeypatch.setenv("RMLIB_PROFILE", "quick")
    before = (folder / "02_bad.ipynb").read_bytes()
    assert main([], folder) == 1
    said = capsys.readouterr()
    assert said.err.startswith("02_bad.ipynb, cell 3: ZeroDivisionError: division by zero")
    assert said.out.startswith("01_good.ipynb: ")  # the others are stored all the same
    assert (folder / "02_bad.ipynb").read_bytes() == before


def test_a_name_that_no_notebook_has(folder, capsys):
    assert main(["01", "09"], folder) == 1
    assert "no notebook begins with 09" in capsys.readouterr().err
