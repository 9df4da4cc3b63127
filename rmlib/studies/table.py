"""Run a study: a CSV file with one row per run, which resumes when it was interrupted."""

import csv
import io
import math
import os
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, parallel_config
from tqdm.auto import tqdm

from rmlib.errors import RmlibError
from rmlib.text.files import check_output, read_table, write_atomically
from rmlib.training.locks import held, writing
from rmlib.training.runs import versions

# Columns of text that pandas would read as numbers.
TEXT_COLUMNS = (
    "predicted",
    "gold",
    "right",
    "found",
    "right_moved",
    "found_moved",
    "L_p",
    "L_r",
    "dev_curve",
)
# Hexadecimal digits; those of PER_SENTENCE are as long in every row.
PER_SENTENCE = ("gold", "right", "found", "right_moved", "found_moved")
HEXADECIMAL = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True)
class Study:
    """The plan of a table.

    Attributes:
        name: of the study.
        command: the command that fills the table; the first line of the file shows it.
        runs: the settings of each row, such as {"seed": 0, "method": "ce"}; all different.
        one: takes such settings as keywords and returns the rest of the row, with the same columns
            for every run.
    """

    name: str
    command: str
    runs: list[dict]
    one: Callable[..., dict]


def fill(study: Study, path, progress: bool = True, workers: int = 1) -> pd.DataFrame:
    """Do the runs that the file lacks, in the order of `study.runs`, and return the table.

    Each row is appended with a single write and flushed to disk; an incomplete row is done again.
    A run takes its seed from its own settings, so interruptions do not change the table.

    Args:
        study: what to run.
        path: the CSV file, made where it is missing.
        progress: show a bar.
        workers: processes that run in parallel, each on one thread. The table does not depend on
            their number.

    Raises:
        RmlibError: the file holds rows of another study or one twice, has other columns, cannot be
            written, or is being filled by another process; or a run fails, and the rows before it
            are kept.
    """
    path = Path(path)
    check_output(path, folder=False)
    with held(path.parent, path.name):
        return _fill(study, path, progress, workers)


def _fill(study: Study, path: Path, progress: bool, workers: int) -> pd.DataFrame:
    order = {_key(study, run): index for index, run in enumerate(study.runs)}
    done = [_key(study, row) for row in _rows(path)]
    foreign = set(done) - order.keys()
    if foreign:
        raise RmlibError(
            f"{path} holds a row {sorted(foreign)[0]} that is not of this study; give another file"
        )
    if double := [key for key in order if done.count(key) > 1]:
        raise RmlibError(f"{path} holds the run {double[0]} twice; expected it once: delete a row")
    _tidy(path)
    pending = [run for run in study.runs if _key(study, run) not in done]
    with parallel_config("loky", inner_max_num_threads=1) if workers > 1 else nullcontext():
        # The generator yields the results in the order of the runs.
        results = Parallel(workers, return_as="generator")(
            delayed(_one)(study, run) for run in pending
        )
        bar = tqdm(results, desc=study.name, total=len(pending), unit="run", disable=not progress)
        for run, result in zip(pending, bar, strict=True):
            _append(path, study, {key: _formatted(value) for key, value in (run | result).items()})
    positions = [order[_key(study, row)] for row in _rows(path)]
    return read(path).iloc[np.argsort(positions)].reset_index(drop=True)


def read(path) -> pd.DataFrame:
    """Read the table of a study, without its comment lines (see `origin`).

    Raises:
        RmlibError: it is no table, or a program has turned a row's digits into a number.
    """
    _, rows = read_table(path)
    if not rows:
        raise RmlibError(f"{path} holds no row; fill it with `rmlib study`")
    for name in (name for name in ("predicted", *PER_SENTENCE) if name in rows[0]):
        sizes = {len(row[name]) for row in rows}
        bad = [row[name] for row in rows if not HEXADECIMAL.fullmatch(row[name])]
        if bad or (name in PER_SENTENCE and len(sizes) > 1):
            value = (bad or [min((row[name] for row in rows), key=len)])[0]
            raise RmlibError(
                f"{path}, column {name}: {value[:20]!r} is not what was written; another program "
                "took the digits for a number: restore the file"
            )
    return pd.read_csv(
        io.StringIO(_csv_text([], rows)),
        dtype={name: str for name in TEXT_COLUMNS},
        keep_default_na=False,
        na_values=["nan"],
    )


def origin(path) -> str:
    """Return the first line of the file: the command that fills it, and the versions used."""
    comments, _ = read_table(path)
    return comments[0].removeprefix("#").strip() if comments else ""


def _one(study: Study, run: dict) -> dict:
    """Do one run; its error names it."""
    try:
        return study.one(**run)
    except RmlibError as error:
        settings = ", ".join(f"{name}={value}" for name, value in run.items())
        raise RmlibError(f"the run {settings} of study {study.name}: {error}") from error


def _append(path: Path, study: Study, row: dict) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(row), lineterminator="\n")
    if not path.exists() or path.stat().st_size == 0:
        used = ", ".join(f"{name} {version}" for name, version in versions().items())
        text.write(f"# {study.command}; {used}\n")
        writer.writeheader()
    else:
        columns = list(_rows(path)[0])
        if columns != list(row):
            raise RmlibError(
                f"{path} has the columns {', '.join(columns)}; this study makes {', '.join(row)}"
            )
    writer.writerow(row)
    with writing(path), open(path, "ab", buffering=0) as file:
        file.write(text.getvalue().encode())  # one write: an interruption truncates it at most
        os.fsync(file.fileno())


def _tidy(path: Path) -> None:
    """Write the file anew as the kit writes it, without an incomplete last row."""
    if not path.exists():
        return
    comments, rows = read_table(path)
    text = _csv_text(comments, rows).encode()
    if not rows:  # a header without a row is written again
        path.unlink()
    elif text != path.read_bytes():
        write_atomically(path, text)


def _csv_text(comments: list[str], rows: list[dict]) -> str:
    text = io.StringIO(newline="")
    text.writelines(f"{line}\n" for line in comments)
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _rows(path: Path) -> list[dict]:
    return read_table(path)[1] if path.exists() else []


def _key(study: Study, row: dict) -> tuple[str, ...]:
    """The settings of a row as text, which identify its run."""
    return tuple(_setting(row[name]) if name in row else "?" for name in study.runs[0])


def _setting(value) -> str:
    """A setting as the kit writes it: 1, 1.0 and "1.00" are one number."""
    try:
        return str(_formatted(float(value)))
    except ValueError:
        return str(value)


def _formatted(value):
    """Round a float to 6 decimal places, and write infinity as the CSV file does."""
    if isinstance(value, float):
        return "inf" if value == math.inf else format(round(value, 6), ".10g")
    return value
