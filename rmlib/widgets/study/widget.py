"""The study browser: the table of a study as a heat map of buttons, and what is behind each cell."""

import html
from collections.abc import Callable
from types import SimpleNamespace

import ipywidgets
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.figure import Figure

from rmlib.plots.figures import COLOURS
from rmlib.studies.bootstrap import Effect
from rmlib.widgets.framework.explorer import Explorer, buttons, control, menu

from .figure import draw_cell, draw_overview, verdict
from .numbers import LOWER_IS_BETTER, StudyCells, fences, interval, measure_name, number

SHOWS = (("mean", "mean"), ("difference from control", "difference"))
LIGHT_TO_DARK = LinearSegmentedColormap.from_list("", ["#EFF5FA", "#9CC9E6", COLOURS["blue"], "#003A5C"])
DIVERGING = LinearSegmentedColormap.from_list("", [COLOURS["blue"], "#FFFFFF", COLOURS["orange"]])
MARKS = {"above 0": " ▲", "below 0": " ▼", "around 0": ""}
CHOSEN, OTHERS = "4px solid #000000", "4px solid transparent"
# White cells have an edge, too. The chosen one is black and white around, to be seen on every colour; the one that has
# the keyboard is ringed outside. Row headings stay when a narrow page scrolls the cells.
STYLE = """<style>
.rmlib-study .jupyter-button { outline: 1px solid #999; outline-offset: -1px; }
.rmlib-study .rmlib-chosen { box-shadow: inset 0 0 0 2px #fff; }
.rmlib-study .jupyter-button:enabled:focus-visible {
  outline: 3px solid var(--jp-brand-color1, #1976d2); outline-offset: 1px;
}
.rmlib-study { scroll-padding-left: 180px; }
.rmlib-study .rmlib-row {
  position: sticky; left: -5px; z-index: 1; background: var(--jp-layout-color0, #fff);
  align-self: stretch; height: auto; padding-left: 5px;
}
.rmlib-study .rmlib-row > .widget-html-content { align-self: center; }
</style>"""
HEADING = "font-size:12px;line-height:1.25;overflow-wrap:anywhere"


class StudyBrowser(Explorer):
    """The table of a study as a heat map. Press a cell to see it against the control, again to see all cells.

    A cell shows the mean of a measure over its seeds, or the mean difference from the control on the same seeds; ▲ and
    ▼ mark a difference whose 95 % interval leaves out 0.

    Args:
        table: a row a run, with a column "seed", as `studies.read` returns it. Where it has the columns "L_p", "L_r"
            or "dev_curve" (numbers with spaces between), they are drawn as curves. A column "reward" tells which
            reward type the L_r is of: the L_r of the control is drawn only where it is of the same type.
        rows, columns: the columns of the table whose values make the rows and the columns of the heat map. Each cell
            holds at most one run a seed.
        measures: columns with numbers; the first is the main measure.
        effect: takes the keys of the control and of a cell, (row, column) each, and returns the difference in the main
            measure with its 95 % interval; it is called once a cell. Left out, and for the other measures, the
            interval is Student's over the seeds that both cells have.
        how: what that function makes the interval from, in words.
        control: a row: each cell is compared with the cell of this row in its own column, or with the only cell that
            the row has; or a key (row, column) for all cells. Left out: the first row.
        measure, shows, chosen: where the widget stands at first.

    Raises:
        RmlibValueError: a column, control or value that is not there, or two runs of one seed in a cell.
    """

    measure = control("measure", "The column that the cells show.")
    shows = control("shows", '"mean" over the seeds, or "difference" from the control.')

    def __init__(
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
        names = [(measure_name(one), one) for one in measures]
        super().__init__(measure=menu("measure", names), shows=buttons("cells show", SHOWS))
        self._chosen: tuple | None = None
        self._legend = ipywidgets.HTML(layout={"max_width": "100%"})
        self._buttons = {key: self._button(key) for key in self.cells.keys}
        self._box.children = [*self._controls.values(), self._legend, self._grid(), self._image]
        self.measure, self.shows, self.chosen = measure or measures[0], shows, chosen

    @property
    def chosen(self) -> tuple | None:
        """The key (row, column) of the chosen cell, or None: all cells are shown."""
        return self._chosen

    @chosen.setter
    def chosen(self, key: tuple | None) -> None:
        self._chosen = None if key is None else self.cells.having(key)
        self._moved(None)

    @property
    def state(self) -> SimpleNamespace:
        return SimpleNamespace(**vars(super().state), chosen=self._chosen)

    def draw(self, state) -> tuple[Figure, str]:
        self._paint(state)
        if state.chosen is None:
            return draw_overview(self.cells, state.measure)
        return draw_cell(self.cells, state.chosen, state.measure)

    # The heat map ----------------------------------------------------------------------------------------------------

    def _button(self, key) -> ipywidgets.Button:
        look = {"width": "auto", "height": "40px", "margin": "0", "padding": "0", "border": OTHERS}
        button = ipywidgets.Button(description="…", layout=look, style={"font_size": "12px"})
        button.on_click(lambda _: self._press(key))
        return button

    def _press(self, key) -> None:
        self.chosen = None if self._chosen == key else key

    def _grid(self) -> ipywidgets.GridBox:
        """Headings and cells, row by row; where there is no run, a word that is no button."""
        cells = self.cells
        names = [cells.label(cells.columns, column) for column in cells.column_values]
        children = [_heading(""), *(_heading(name, "center") for name in names)]
        for row in cells.row_values:
            children.append(_heading(cells.label(cells.rows, row)).add_class("rmlib-row"))
            for column in cells.column_values:
                children.append(self._buttons.get((row, column)) or _heading("–", "center", "no such run"))
        widths = f"minmax(124px, 170px) repeat({len(names)}, minmax(67px, 124px))"
        layout = {"grid_template_columns": widths, "grid_gap": "4px", "align_items": "center", "max_width": "100%"}
        grid = ipywidgets.GridBox(children, layout=layout | {"overflow": "auto", "padding": "5px"})
        return grid.add_class("rmlib-study")

    def _paint(self, state) -> None:
        """Write and colour the cells. Runs in the background."""
        cells = self.cells
        values = {key: cells.value(key, state.measure, state.shows) for key in cells.keys}
        low, high = self._scale(values, state.shows)
        beyond = any(value < low or value > high for value in values.values())
        self._legend.value = self._legend_html(state, low, high, beyond)
        colours = LIGHT_TO_DARK if state.shows == "mean" else DIVERGING
        for key, button in self._buttons.items():
            share = (values[key] - low) / (high - low) if high > low else 0.5
            background = to_hex(colours(min(max(share, 0.0), 1.0))) if share == share else "#FFFFFF"
            text, tip = self._words(key, state, values[key])
            with button.hold_sync(), button.style.hold_sync(), button.layout.hold_sync():
                button.description, button.tooltip = text, tip
                button.style.button_color, button.style.text_color = background, readable_on(background)
                button.layout.border = CHOSEN if key == state.chosen else OTHERS
                (button.add_class if key == state.chosen else button.remove_class)("rmlib-chosen")

    def _scale(self, values: dict, shows: str) -> tuple[float, float]:
        """What has the first and the last colour."""
        low, high = fences(values.values())
        if shows == "mean":
            return low, high
        limit = max(abs(low), abs(high))
        return -limit, limit

    def _words(self, key, state, value: float) -> tuple[str, str]:
        """What is written on a cell, and what is told of it under the mouse and by a screen reader."""
        cells, name = self.cells, measure_name(state.measure)
        seeds = len(cells.scores(key, state.measure))
        if state.shows == "mean":
            text = number(value)
            told = f"mean {name} {text}, {seeds} {'seed' if seeds == 1 else 'seeds'}"
        elif key == cells.control_of(key):
            text, told = "control", "the control"
        else:
            effect = cells.effect(key, state.measure)
            text = number(value, signed=True) + MARKS[verdict(effect)]
            told = f"{name} {interval(effect) if effect else text} from the control"
        chosen = "; chosen, press again to see all cells" if key == state.chosen else ""
        return text, f"{cells.name(key)}: {told}{chosen}"

    def _legend_html(self, state, low: float, high: float, beyond: bool) -> str:
        """What the cells show, in words and as a strip of colours."""
        cells, name = self.cells, measure_name(state.measure)
        better = " (lower is better)" if state.measure in LOWER_IS_BETTER else ""
        if state.shows == "mean":
            colours, ends = LIGHT_TO_DARK, (number(low), number(high))
            says = f"Cells: the mean {name}{better} over the seeds."
        else:
            colours, ends = DIVERGING, (number(low, signed=True), number(high, signed=True))
            says = f"Cells: {name}{better} minus that of the control, {cells.controls_in_words()}, on the same seeds. "
            says += f"▲ ▼: the 95 % interval lies above or below 0; it is made from {cells.how(state.measure)}."
        stops = ", ".join(to_hex(colours(i / 8)) for i in range(9))
        look = f"display:inline-block;width:120px;height:12px;margin:0 6px;background:linear-gradient(to right,{stops})"
        strip = f'<span style="white-space:nowrap">{ends[0]}<span style="{look}"></span>{ends[1]}</span>'
        rest = "What lies beyond has the last colour. " if beyond else ""
        rest += "–: no such run. " if len(cells.keys) < len(cells.row_values) * len(cells.column_values) else ""
        rest += "Press a cell to see what is behind it, and again to see all cells."
        page = f"{html.escape(says)} {strip} {rest}"
        return f'<p style="line-height:1.4;margin:4px 0">{page}</p>{STYLE}'


def _heading(text: str, align: str = "left", title: str = "") -> ipywidgets.HTML:
    look = f"{HEADING};text-align:{align}"
    page = f'<div style="{look}" title="{html.escape(title)}">{html.escape(text)}</div>'
    return ipywidgets.HTML(page, layout={"margin": "0"})


def readable_on(background: str) -> str:
    """White, or black where white has a contrast below 4.5:1; black then has more (WCAG 2.2, relative luminance)."""
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(background)]
    luminance = 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
    return "#FFFFFF" if 1.05 / (luminance + 0.05) >= 4.5 else "#000000"
