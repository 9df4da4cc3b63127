"""The cells of a study: their runs, means, and differences from a control with intervals."""

import numpy as np
import pandas as pd

from rmlib.errors import RmlibValueError, nearest
from rmlib.studies.bootstrap import Effect, over_seeds
from rmlib.widgets.framework.explorer import alpha_name

STUDENT = "the differences on the same seeds (Student's)"
LOWER_IS_BETTER = ("calibration_error", "brier", "type", "boundary", "spurious", "missing")


def measure_name(measure: str) -> str:
    """A column in words: "F1 of PER", "calibration error"."""
    if measure == "f1":
        return "F1"
    name = measure.removeprefix("f1_").replace("_", " ")
    return f"F1 of {name}" if measure.startswith("f1_") else name


class StudyCells:
    """The runs of a table, cell by cell.

    Args: those of `StudyBrowser`.

    Attributes:
        rows, columns: the names of the two columns of the table that make the cells.
        row_values, column_values: their values: numbers in ascending order, others as they come.
        keys: (row, column) of the cells that hold a run, row by row.
    """

    def __init__(
        self, table: pd.DataFrame, rows: str, columns: str, measures, effect, control, how: str
    ):
        for name in (rows, columns, "seed", *measures):
            if name not in table.columns:
                raise RmlibValueError(
                    f"the table has no column {name!r}; {nearest(name, map(str, table.columns))}"
                )
        if not measures or not len(table):
            raise RmlibValueError(
                f"{len(measures)} measures, {len(table)} runs; expected at least one of each"
            )
        for name in measures:
            if not pd.api.types.is_numeric_dtype(table[name]):
                raise RmlibValueError(
                    f"measure {name!r} holds {table[name].iloc[0]!r}; expected numbers"
                )
        self.rows = rows
        self.columns = columns
        self.main = measures[0]
        self._effect = effect
        self._how = how
        self.row_values = _values(table[rows])
        self.column_values = _values(table[columns])
        groups = table.groupby([rows, columns], observed=True)
        groups = {(_plain(row), _plain(column)): runs for (row, column), runs in groups}
        self.keys = [
            (row, c) for row in self.row_values for c in self.column_values if (row, c) in groups
        ]
        self._runs = {key: groups[key].set_index("seed").sort_index() for key in self.keys}
        for key, runs in self._runs.items():
            if not runs.index.is_unique:
                seed = runs.index[runs.index.duplicated()][0]
                raise RmlibValueError(
                    f"two runs of seed {seed} in the cell {key}; "
                    "expected one: choose the rows of one condition first"
                )
        self._control = self._find_control(self.row_values[0] if control is None else control)
        # what is computed once is kept
        self._means: dict = {}
        self._effects: dict = {}

    def _find_control(self, control) -> dict:
        """By key, the cell that it is compared with."""
        if isinstance(control, tuple):
            return dict.fromkeys(self.keys, self.runs_of(control))
        cells = [key for key in self.keys if key[0] == control]
        if not cells:
            raise RmlibValueError(
                f"control {control!r} is in no row; {nearest(control, map(str, self.row_values))}"
            )
        if len(cells) == 1:
            return dict.fromkeys(self.keys, cells[0])
        same_column = {key: (control, key[1]) for key in self.keys}
        if not set(same_column.values()) <= set(cells):
            raise RmlibValueError(
                f"control {control!r} has {len(cells)} cells; "
                f"give one of them, such as {cells[0]!r}"
            )
        return same_column

    def runs_of(self, key) -> tuple:
        """The key that equals this one.

        Raises:
            RmlibValueError: there is no such cell; the message names the nearest.
        """
        for own in self.keys:
            if own == key:
                return own
        row, column = key if isinstance(key, tuple) and len(key) == 2 else (key, None)
        if row not in self.row_values:
            raise RmlibValueError(
                f"no cell {key!r}: no row {row!r}; {nearest(row, map(str, self.row_values))}"
            )
        columns = [own[1] for own in self.keys if own[0] == row]
        if isinstance(columns[0], str):
            raise RmlibValueError(f"no cell {key!r}; {nearest(column, columns)}")
        known = ", ".join(f"{value:g}" for value in columns)
        close = columns[0]
        if isinstance(column, int | float):
            close = min(columns, key=lambda value: abs(value - column))
        raise RmlibValueError(
            f"no cell {key!r}; did you mean {(row, close)!r}? known: {self.columns} {known}"
        )

    def name(self, key) -> str:
        """A cell in words: "soft_f1, α = 1"."""
        return f"{self.label(self.rows, key[0])}, {self.label(self.columns, key[1])}"

    def label(self, column: str, value) -> str:
        """A value of a row or a column in words."""
        if column == "alpha":
            return alpha_name(value)
        return value if isinstance(value, str) else f"{column} = {value:g}"

    def runs(self, key) -> pd.DataFrame:
        """The runs of a cell, by seed."""
        return self._runs[key]

    def control_of(self, key) -> tuple:
        """The key of the cell that this one is compared with; its own key for a control."""
        return self._control[key]

    def scores(self, key, measure: str) -> pd.Series:
        """By seed; runs without the score are left out."""
        return self._runs[key][measure].dropna().astype(float)

    def differences(self, key, measure: str) -> pd.Series:
        """By seed that both have: the score of the cell minus that of its control."""
        return (self.scores(key, measure) - self.scores(self.control_of(key), measure)).dropna()

    def value(self, key, measure: str, shows: str) -> float:
        """The mean of the scores of a cell, or of its differences; nan where there are none."""
        if (key, measure, shows) not in self._means:
            values = self.scores if shows == "mean" else self.differences
            self._means[key, measure, shows] = float(values(key, measure).mean())
        return self._means[key, measure, shows]

    def effect(self, key, measure: str) -> Effect | None:
        """The difference from the control with its interval.

        None for a control, or with fewer than two seeds.
        """
        if (key, measure) not in self._effects:
            self._effects[key, measure] = self._compute_effect(key, measure)
        return self._effects[key, measure]

    def _compute_effect(self, key, measure: str) -> Effect | None:
        differences = self.differences(key, measure)
        if key == self.control_of(key) or len(differences) < 2:
            return None
        if self._effect and measure == self.main:
            return self._effect(self.control_of(key), key)
        return over_seeds(differences)

    def how(self, measure: str) -> str:
        """What the intervals of a measure are made from, in words."""
        return self._how if self._effect and measure == self.main else STUDENT

    def controls_in_words(self) -> str:
        """The control, or the controls, of all cells."""
        controls = list(dict.fromkeys(self._control.values()))
        if len(controls) == 1:
            return self.name(controls[0])
        return f"{self.label(self.rows, controls[0][0])} under the same {self.columns}"

    def compared(self) -> list[tuple]:
        """The keys of the cells that are no control."""
        return [key for key in self.keys if key != self.control_of(key)]


def number(value: float, signed: bool = False, largest: float | None = None) -> str:
    """A number as it is written in a cell, a picture and a sentence.

    It has three decimals, or one from 10 on.

    Args:
        largest: of the numbers beside it, which then have as many decimals.
    """
    if np.isnan(value):
        return "–"
    decimals = 3 if max(abs(value), abs(largest or 0.0)) < 10 else 1
    text = f"{value:{'+' if signed else ''}.{decimals}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("+-")


def interval(effect: Effect) -> str:
    """An effect in words and numbers."""
    mean, low, high = (number(value, signed=True, largest=max(effect, key=abs)) for value in effect)
    return f"{mean} ({low} to {high})"


def fences(values, reach: float = 1.5) -> tuple[float, float]:
    """The limits of a scale: Tukey's fences (1977), not wider than the values.

    Values outside would make the scale too coarse for the rest.

    Args:
        reach: distance from the middle half of the values, in multiples of its width.
    """
    values = np.array([value for value in values if np.isfinite(value)])
    if not len(values):
        return 0.0, 0.0
    low, high = np.quantile(values, [0.25, 0.75])
    margin = reach * (high - low)
    return float(max(values.min(), low - margin)), float(min(values.max(), high + margin))


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def _values(column: pd.Series) -> list:
    values = [_plain(value) for value in column.dropna().unique()]
    return sorted(values) if pd.api.types.is_numeric_dtype(column) else values
