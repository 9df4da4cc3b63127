"""Run a study: a CSV file with one row per run, which resumes when it was interrupted."""

import csv
import io
import math
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, parallel_config
from tqdm.auto import tqdm

from rmlib.errors import RmlibError
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
        RmlibError: the file holds rows of another study, or has other columns.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _drop_incomplete_row(path)
    order = {_key(study, run): index for index, run in enumerate(study.runs)}
    done = {_key(study, row) for row in _rows(path)}
    foreign = done - order.keys()
    if foreign:
        raise RmlibError(
            f"{path} holds a row {sorted(foreign)[0]} that is not of this study; give another file"
        )
    pending = [run for run in study.runs if _key(study, run) not in done]
    with parallel_config("loky", inner_max_num_threads=1) if workers > 1 else nullcontext():
        # The generator yields the results in the order of the runs.
        results = Parallel(workers, return_as="generator")(
            delayed(study.one)(**run) for run in pending
        )
        bar = tqdm(results, desc=study.name, total=len(pending), unit="run", disable=not progress)
        for run, result in zip(pending, bar, strict=True):
            _append(path, study, {key: _formatted(value) for key, value in (run | result).items()})
    positions = [order[_key(study, row)] for row in _rows(path)]
    return read(path).iloc[np.argsort(positions)].reset_index(drop=True)


def read(path) -> pd.DataFrame:
    """Read the table of a study, without its comment lines (see `origin`)."""
    return pd.read_csv(
        path,
        comment="#",
        dtype={name: str for name in TEXT_COLUMNS},
        keep_default_na=False,
        na_values=["nan"],
    )


def origin(path) -> str:
    """Return the first line of the file: the command that fills it, and the versions used."""
    with open(path, encoding="utf8") as file:
        return file.readline().removeprefix("#").strip()


def _append(path: Path, study: Study, row: dict) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(row), lineterminator="\n")
    if not path.exists() or path.stat().st_size == 0:
        used = ", ".join(f"{name} {version}" for name, version in versions().items())
        text.write(f"# {study.command}; {used}\n")
        writer.writeheader()
    else:
        with open(path, newline="", encoding="utf8") as file:
            columns = next(csv.reader(line for line in file if not line.startswith("#")))
        if columns != list(row):
            raise RmlibError(
                f"{path} has the columns {', '.join(columns)}; this study makes {', '.join(row)}"
            )
    writer.writerow(row)
    with open(path, "ab", buffering=0) as file:
        file.write(text.getvalue().encode())  # one write: an interruption truncates it at most
        os.fsync(file.fileno())


def _drop_incomplete_row(path: Path) -> None:
    """Truncate the file after its last complete line."""
    if path.exists() and (content := path.read_bytes()) and not content.endswith(b"\n"):
        with open(path, "r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
    if path.exists() and not _rows(path):  # a header without a row is written again
        path.unlink()


def _rows(path: Path) -> list[dict]:
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def _key(study: Study, row: dict) -> tuple[str, ...]:
    """The settings of a row as text, which identify its run."""
    return tuple(str(_formatted(row[name])) if name in row else "?" for name in study.runs[0])


def _formatted(value):
    """Round a float to 6 decimal places, and write infinity as the CSV file does."""
    if isinstance(value, float):
        return "inf" if value == math.inf else format(round(value, 6), ".10g")
    return value
