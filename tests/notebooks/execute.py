"""Run the stored notebooks again, top to bottom, and store them without what changes from run to
run.

    python -m tests.notebooks.execute            # all of notebooks/
    python -m tests.notebooks.execute 00 04      # those whose name begins so

Each runs in a fresh kernel of this Python, with RMLIB_PROFILE=class. A notebook in which a cell
fails, or whose output may not be stored, stays as it was; the command then ends with exit code 1.
"""

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
PLACEHOLDER = "A widget stands here when you run this cell."
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
LANGUAGE = {
    "name": "python",
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "pygments_lexer": "ipython3",
}
MACHINE_PATH = re.compile(r"/(?:root|home|work|tmp|srv|Users)/[\w.]|[A-Z]:\\+Users")
KEPT = ("tags", "jupyter", "nbgrader")  # of a cell's metadata
LARGEST = 400_000  # characters of one output


class Unfit(Exception):
    """A notebook that cannot be stored; the message names it and the cell."""


def clean(notebook, name: str):
    """Take out of an executed notebook what differs from run to run, in place, and return it.

    Raises:
        Unfit: an output shows a path of this machine, or is larger than `LARGEST`.
    """
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": LANGUAGE})
    count = 0
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number:02}"
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k in KEPT})
        if cell.cell_type != "code":
            continue
        if cell.source.strip():
            count += 1
            cell.execution_count = count
        else:
            cell.execution_count = None
        cell.outputs = _joined(output for output in map(_clean_output, cell.outputs) if output)
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count
            text = json.dumps(output, ensure_ascii=False)
            if found := MACHINE_PATH.search(_without_pictures(text)):
                raise Unfit(
                    f"{name}, cell {number}: an output shows a path of this machine ({found[0]!r}…)"
                )
            if len(text) > LARGEST:
                raise Unfit(
                    f"{name}, cell {number}: an output of {len(text):,} characters; "
                    f"expected {LARGEST:,} at most"
                )
    return notebook


def _clean_output(output):
    """The output as it is to be stored, or None. Progress bars and warnings come on stderr and are
    dropped.
    """
    if output.output_type == "stream":
        if output.name == "stderr":
            return None
        lines = output.text.replace("\r\n", "\n").split("\n")
        output.text = "\n".join(
            line.rpartition("\r")[2] for line in lines
        )  # what a terminal would show in the end
        return output if output.text else None
    data = output.get("data", {})
    if WIDGET_VIEW in data:
        if any(
            word in data.get("text/plain", "") for word in ("FloatProgress(", "IntProgress(", "%|")
        ):
            return None  # a progress bar
        del data[WIDGET_VIEW]
        if set(data) <= {"text/plain"}:
            data["text/plain"] = PLACEHOLDER  # not VBox(children=(…)), which tells a reader nothing
    return output


def _joined(outputs) -> list:
    """Join neighbouring stream outputs: where a kernel cuts its text is a matter of timing."""
    joined = []
    for output in outputs:
        if joined and output.output_type == joined[-1].output_type == "stream":
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def _without_pictures(text: str) -> str:
    """The text without base64, in which any path can turn up by chance."""
    return re.sub(r"[A-Za-z0-9+/=]{200,}", "", re.sub(r"(?<=\w)\\n(?=[A-Za-z0-9+/=])", "", text))


def execute(path: Path) -> None:
    """Run one notebook and store it.

    Raises:
        Unfit: a cell fails, or an output may not be stored; the file is left as it was.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, kernel_name="python3", timeout=1200, store_widget_state=False)
    client.create_kernel_manager()
    client.km.kernel_spec.argv[0] = (
        sys.executable
    )  # this Python, whatever the user has registered as python3
    try:
        client.execute(cwd=str(path.parent))
    except CellExecutionError as error:
        number = next(n for n, cell in enumerate(notebook.cells, 1) if _failed(cell))
        raise Unfit(f"{path.name}, cell {number}: {error.ename}: {error.evalue}") from error
    except (DeadKernelError, TimeoutError) as error:
        raise Unfit(f"{path.name}: {type(error).__name__}: {error}") from error
    text = nbformat.writes(clean(notebook, path.name))
    nbformat.validate(notebook)
    path.write_text(text + "\n", encoding="utf8")


def _failed(cell) -> bool:
    allowed = "raises-exception" in cell.metadata.get("tags", [])
    return not allowed and any(output.output_type == "error" for output in cell.get("outputs", []))


def main(arguments: list[str] | None = None, folder: Path = NOTEBOOKS) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="beginnings of notebook names; all if left out")
    names = parser.parse_args(arguments).names
    paths = [
        p
        for p in sorted(folder.glob("*.ipynb"))
        if not names or any(p.name.startswith(n) for n in names)
    ]
    unknown = [n for n in names if not any(p.name.startswith(n) for p in paths)]
    if unknown or not paths:
        print(
            f"no notebook begins with {', '.join(unknown) or 'anything'} in {folder}",
            file=sys.stderr,
        )
        return 1
    os.environ["RMLIB_PROFILE"] = "class"  # for the kernels
    os.environ.pop("MPLBACKEND", None)
    failures = 0
    for path in paths:
        start = time.perf_counter()
        try:
            execute(path)
        except Unfit as error:
            failures += 1
            print(error, file=sys.stderr)
        else:
            seconds, size = time.perf_counter() - start, path.stat().st_size / 1000
            print(f"{path.name}: {seconds:.0f} s, {size:.0f} kB")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
