"""The study browser: the table of a study as a heat map of buttons, with a picture per cell."""

import html
from collections.abc import Callable
from types import SimpleNamespace

import ipywidgets
import pandas as pd
from matplotlib.figure import Figure

from rmlib.studies.bootstrap import Effect
from rmlib.widgets.framework.explorer import Explorer, buttons, control, menu

from .figure import draw_cell, draw_overview
from .heat_map import Scale, cell_texts, legend, readable_on
from .numbers import StudyCells, measure_name

SHOWS = (("mean", "mean"), ("difference from control", "difference"))
CHOSEN = "4px solid #000000"  # border of the chosen cell
OTHERS = "4px solid transparent"
HEADING = "font-size:12px;line-height:1.25;overflow-wrap:anywhere"


class StudyBrowser(Explorer):
    """The table of a study as a heat map.

    Press a cell to see it against the control, again to see all cells. A cell shows the mean of a
    measure over its seeds, or the mean difference from the control on the same seeds; ▲ and ▼ mark
    a difference whose 95 % interval excludes 0.

    Args:
        table: one row per run, with a column "seed", as `studies.table.read` returns it. Where it
            has the columns "L_p", "L_r" or "dev_curve" (numbers with spaces between), they are
            drawn as curves. A column "reward" is the reward type of the L_r: the L_r of the control
            is drawn only where it is of the same type.
        rows, columns: the columns of the table whose values make the rows and the columns of the
            heat map. Each cell holds at most one run per seed.
        measures: columns with numbers; the first is the main measure.
        effect: takes the keys of the control and of a cell, (row, column) each, and returns the
            difference in the main measure with its 95 % interval; it is called once per cell. Left
            out, and for the other measures, the interval is Student's over the seeds that both
            cells have.
        how: what `effect` makes the interval from, in words.
        control: a row: each cell is compared with the cell of this row in its own column, or with
            the only cell of the row; or a key (row, column) for all cells. Left out: the first row.
        measure, shows, chosen: the initial values of the controls.

    Raises:
        RmlibValueError: a column, control or value that does not exist, or two runs of one seed in
            a cell.
    """

    measure = control("measure", "The column that the cells show.")
    shows = control("shows", '"mean" over the seeds, or "difference" from the control.')

    def __init__(  # noqa: PLR0913 (documented settings)
        self,
        table: pd.DataFrame,
        rows: str = "method",
        columns: str = "alpha",
        measures: tuple[str, ...] = ("f1", "precision", "recall"),
        effect: Callable[[tuple, tuple], Effect] | None = None,
        how: str = "seeds and test items, drawn again and again (bootstrap)",
        control=None,
        measure: str | None = None,
        shows: str = "mean",
        chosen: tuple | None = None,
    ):
        self.cells = StudyCells(table, rows, columns, tuple(measures), effect, control, how)
        names = [(measure_name(column), column) for column in measures]
        super().__init__(measure=menu("measure", names), shows=buttons("cells show", SHOWS))
        self._chosen: tuple | None = None
        self._legend = ipywidgets.HTML(layout={"max_width": "100%"})
        self._buttons = {key: self._button(key) for key in self.cells.keys}
        self._box.children = [*self._controls.values(), self._legend, self._grid(), self._image]
        self.measure = measure or measures[0]
        self.shows = shows
        self.chosen = chosen

    @property
    def chosen(self) -> tuple | None:
        """The key (row, column) of the chosen cell, or None: all cells are shown."""
        return self._chosen

    @chosen.setter
    def chosen(self, key: tuple | None) -> None:
        self._chosen = None if key is None else self.cells.runs_of(key)
        self._moved(None)

    @property
    def state(self) -> SimpleNamespace:
        """The values of the controls, by name, and the key of the chosen cell."""
        return SimpleNamespace(**vars(super().state), chosen=self._chosen)

    def draw(self, state) -> tuple[Figure, str]:
        self._paint(state)
        if state.chosen is None:
            return draw_overview(self.cells, state.measure)
        return draw_cell(self.cells, state.chosen, state.measure)

    # The heat map ---------------------------------------------------------------------------------

    def _button(self, key) -> ipywidgets.Button:
        look = {"width": "auto", "height": "40px", "margin": "0", "padding": "0", "border": OTHERS}
        button = ipywidgets.Button(description="…", layout=look, style={"font_size": "12px"})
        button.on_click(lambda _: self._press(key))
        return button

    def _press(self, key) -> None:
        self.chosen = None if self._chosen == key else key

    def _grid(self) -> ipywidgets.GridBox:
        """Headings and cells, row by row; where there is no run, a dash that is no button."""
        cells = self.cells
        names = [cells.label(cells.columns, column) for column in cells.column_values]
        children = [_heading(""), *(_heading(name, "center") for name in names)]
        for row in cells.row_values:
            children.append(_heading(cells.label(cells.rows, row)).add_class("rmlib-row"))
            for column in cells.column_values:
                children.append(
                    self._buttons.get((row, column)) or _heading("–", "center", "no such run")
                )
        widths = f"minmax(124px, 170px) repeat({len(names)}, minmax(67px, 124px))"
        layout = {
            "grid_template_columns": widths,
            "grid_gap": "4px",
            "align_items": "center",
            "max_width": "100%",
        }
        grid = ipywidgets.GridBox(children, layout=layout | {"overflow": "auto", "padding": "5px"})
        return grid.add_class("rmlib-study")

    def _paint(self, state) -> None:
        """Write and colour the cells. Runs in the background."""
        cells = self.cells
        values = {key: cells.value(key, state.measure, state.shows) for key in cells.keys}
        scale = Scale(list(values.values()), state.shows)
        self._legend.value = legend(cells, state, scale)
        for key, button in self._buttons.items():
            background = scale.colour(values[key])
            chosen = key == state.chosen
            with button.hold_sync(), button.style.hold_sync(), button.layout.hold_sync():
                button.description, button.tooltip = cell_texts(cells, key, state, values[key])
                button.style.button_color = background
                button.style.text_color = readable_on(background)
                button.layout.border = CHOSEN if chosen else OTHERS
                if chosen:
                    button.add_class("rmlib-chosen")
                else:
                    button.remove_class("rmlib-chosen")


def _heading(text: str, align: str = "left", title: str = "") -> ipywidgets.HTML:
    look = f"{HEADING};text-align:{align}"
    page = f'<div style="{look}" title="{html.escape(title)}">{html.escape(text)}</div>'
    return ipywidgets.HTML(page, layout={"margin": "0"})
