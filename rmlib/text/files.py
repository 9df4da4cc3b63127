"""Files of the user's: where they can be written, whole or not at all, and tables read back."""

import csv
import os
import re
from pathlib import Path

from rmlib.errors import RmlibError

DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")


def write_atomically(path: Path, content: bytes) -> None:
    """Write a complete file or none: write a temporary file beside it, then rename that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def check_output(path, folder: bool = True) -> None:
    """Check that results can be written, before anything slow begins.

    Args:
        path: of the results.
        folder: whether it is a folder, or a file.

    Raises:
        RmlibError: it cannot be written; the message names what is in the way.
    """
    target = Path(path).absolute()
    nearest = next(place for place in (target, *target.parents) if os.path.lexists(place))
    if nearest == target and target.is_dir() != folder:
        found, expected = ("a file", "a folder") if folder else ("a folder", "a file")
        raise RmlibError(f"{path} is {found}; expected {expected} for the results")
    if nearest != target and not nearest.is_dir():
        raise RmlibError(f"{path} cannot be made: {nearest} is no folder; give another path")
    if not os.access(nearest, os.W_OK):
        raise RmlibError(f"{path} cannot be written: {nearest} is read-only here; give another one")


def read_table(path) -> tuple[list[str], list[dict[str, str]]]:
    """The comments and the rows of a CSV file, whatever program has saved it since.

    Spreadsheets add a byte-order mark, write semicolons and decimal commas, and pad with empty
    cells and rows. A last line that does not end is dropped: it was being written.

    Raises:
        RmlibError: it is not UTF-8, or a row has more or fewer cells than the header.
    """
    content = Path(path).read_bytes()
    content = content[: max(content.rfind(b"\n"), content.rfind(b"\r")) + 1]
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        raise RmlibError(f"{path} is not UTF-8 text; expected a CSV file saved as UTF-8") from None
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip(' \t,;"')]
    comments = [line for _, line in lines if line.lstrip('"').startswith("#")]
    lines = [(number, line) for number, line in lines if not line.lstrip('"').startswith("#")]
    delimiter = max(",;\t", key=lines[0][1].count) if lines else ","
    cells = list(csv.reader((line for _, line in lines), delimiter=delimiter))
    columns = [name.strip() for name in cells[0]] if cells else []
    while columns and not columns[-1]:
        columns.pop()
    rows = []
    for (number, _), row in zip(lines[1:], cells[1:], strict=True):
        if len(row) < len(columns) or any(row[len(columns) :]):
            raise RmlibError(f"{path}, line {number}: {len(row)} cells; expected {len(columns)}")
        if delimiter != ",":
            row = [v.replace(",", ".") if DECIMAL_COMMA.fullmatch(v) else v for v in row]
        rows.append(dict(zip(columns, row, strict=False)))
    return [line.rstrip(" \t,;").strip('"') for line in comments], rows
