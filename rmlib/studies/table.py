"""Runs a study: one row a run in a CSV file that can be cut off at any moment and goes on where it stopped."""

import csv
import io
import math
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from joblib import Parallel, delayed, parallel_config
from tqdm.auto import tqdm

from rmlib.errors import RmlibError
from rmlib.training.runs import versions

# Columns of digits that are no numbers.
PACKED = ("predicted", "gold", "right", "found", "right_moved", "found_moved", "L_p", "L_r", "dev_curve")


@dataclass(frozen=True)
class Study:
    """A table to be filled.

    Attributes:
        name: of the study.
        command: the one that fills the table; written into its first line.
        runs: for each row what it is about, such as {"seed": 0, "method": "ce"}; no two alike.
        one: takes such a dict as keywords and returns the rest of the row, the same columns for every run.
    """

    name: str
    command: str
    runs: list[dict]
    one: Callable[..., dict]


def fill(study: Study, path, progress: bool = True, workers: int = 1) -> pd.DataFrame:
    """Make the rows that are not in the file yet, in the order of `study.runs`, and return the table.

    Args:
        workers: processes that make rows side by side, each on one thread. The table is the same for any number.

    A row is appended as one piece and flushed to the disk; half a row, left by a cut, is made again. The runs take
    their seeds from their own columns, so the table is the same however often it was cut off.

    Raises:
        RmlibError: the file holds rows of another study, or has other columns.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _mend(path)
    done = {_key(study, row) for row in _rows(path)}
    waiting = [run for run in study.runs if _key(study, run) not in done]
    strange = done - {_key(study, run) for run in study.runs}
    if strange:
        raise RmlibError(f"{path} holds a row {sorted(strange)[0]} that is not of this study; give another file")
    with parallel_config("loky", inner_max_num_threads=1) if workers > 1 else nullcontext():
        rests = Parallel(workers, return_as="generator")(delayed(study.one)(**run) for run in waiting)  # in order
        rests = tqdm(rests, desc=study.name, total=len(waiting), unit="run", disable=not progress)
        for run, rest in zip(waiting, rests, strict=True):
            _append(path, study, {key: _spelled(value) for key, value in (run | rest).items()})
    table = read(path)
    order = {_key(study, run): i for i, run in enumerate(study.runs)}
    place = [order[_key(study, row)] for row in _rows(path)]
    return table.iloc[sorted(range(len(place)), key=place.__getitem__)].reset_index(drop=True)


def read(path) -> pd.DataFrame:
    """The table of a study; lines that begin with # tell where it comes from."""
    return pd.read_csv(
        path, comment="#", dtype={name: str for name in PACKED}, keep_default_na=False, na_values=["nan"]
    )


def origin(path) -> str:
    """The first line of the file: the command that fills it, and versions."""
    with open(path, encoding="utf8") as file:
        return file.readline().removeprefix("#").strip()


def _append(path: Path, study: Study, row: dict) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(row), lineterminator="\n")
    if not path.exists() or path.stat().st_size == 0:
        told = ", ".join(f"{name} {version}" for name, version in versions().items())
        text.write(f"# {study.command}; {told}\n")
        writer.writeheader()
    else:
        with open(path, newline="", encoding="utf8") as file:
            columns = next(csv.reader(line for line in file if not line.startswith("#")))
        if columns != list(row):
            raise RmlibError(f"{path} has the columns {', '.join(columns)}; this study makes {', '.join(row)}")
    writer.writerow(row)
    with open(path, "ab", buffering=0) as file:
        file.write(text.getvalue().encode())  # one write: whole, or cut off at its end
        os.fsync(file.fileno())


def _mend(path: Path) -> None:
    """Drop what a cut left after the last whole line."""
    if path.exists() and (content := path.read_bytes()) and not content.endswith(b"\n"):
        with open(path, "r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
    if path.exists() and not _rows(path):  # a head without a row is written again
        path.unlink()


def _rows(path: Path) -> list[dict]:
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def _key(study: Study, row: dict) -> tuple[str, ...]:
    return tuple(str(_spelled(row[name])) if name in row else "?" for name in study.runs[0])


def _spelled(value):
    """Floats as they are read back: inf, and at most 6 places after the point."""
    if isinstance(value, float):
        return "inf" if value == math.inf else format(round(value, 6), ".10g")
    return value
