"""How the heat map of a study is drawn: the colours and texts of its cells, and its legend."""

import html
import math
from types import SimpleNamespace

from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb

from rmlib.plots.figures import COLOURS

from .figure import verdict
from .numbers import LOWER_IS_BETTER, StudyCells, fences, interval, measure_name, number

LIGHT_TO_DARK = LinearSegmentedColormap.from_list(
    "", ["#EFF5FA", "#9CC9E6", COLOURS["blue"], "#003A5C"]
)
DIVERGING = LinearSegmentedColormap.from_list("", [COLOURS["blue"], "#FFFFFF", COLOURS["orange"]])
MARKS = {"above 0": " ▲", "below 0": " ▼", "around 0": ""}
# White cells have an edge, too. The chosen cell has a black and a white one, visible on every
# colour; the cell with the keyboard focus has a ring outside. Row headings stay when a narrow page
# scrolls the cells.
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


class Scale:
    """The colours of the cells.

    Args:
        values: of all cells.
        shows: "mean" or "difference".

    Attributes:
        low, high: the values that have the first and the last colour.
        clipped: whether a value lies outside of them.
    """

    def __init__(self, values: list[float], shows: str):
        self.low, self.high = fences(values)
        self.colours = LIGHT_TO_DARK
        if shows == "difference":
            self.colours = DIVERGING
            self.high = max(abs(self.low), abs(self.high))
            self.low = -self.high
        self.clipped = any(value < self.low or value > self.high for value in values)

    def colour(self, value: float) -> str:
        """The background of a cell; white where it has no value."""
        if math.isnan(value):
            return "#FFFFFF"
        if self.high <= self.low:
            return to_hex(self.colours(0.5))
        share = (value - self.low) / (self.high - self.low)
        return to_hex(self.colours(min(max(share, 0.0), 1.0)))


def readable_on(background: str) -> str:
    """White, or black where white has a contrast below 4.5:1.

    Black then has more (WCAG 2.2, relative luminance).
    """
    parts = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in to_rgb(background)
    ]
    luminance = 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
    return "#FFFFFF" if 1.05 / (luminance + 0.05) >= 4.5 else "#000000"


def cell_texts(cells: StudyCells, key, state: SimpleNamespace, value: float) -> tuple[str, str]:
    """The text of a cell, and its tooltip, which a screen reader reads too."""
    name = measure_name(state.measure)
    seeds = len(cells.scores(key, state.measure))
    if state.shows == "mean":
        text = number(value)
        tooltip = f"mean {name} {text}, {seeds} {'seed' if seeds == 1 else 'seeds'}"
    elif key == cells.control_of(key):
        text = "control"
        tooltip = "the control"
    else:
        effect = cells.effect(key, state.measure)
        text = number(value, signed=True) + MARKS[verdict(effect)]
        tooltip = f"{name} {interval(effect) if effect else text} from the control"
    chosen = "; chosen, press again to see all cells" if key == state.chosen else ""
    return text, f"{cells.name(key)}: {tooltip}{chosen}"


def legend(cells: StudyCells, state: SimpleNamespace, scale: Scale) -> str:
    """What the cells show, in words and as a strip of colours; HTML."""
    signed = state.shows == "difference"
    ends = [number(end, signed=signed) for end in (scale.low, scale.high)]
    stops = ", ".join(to_hex(scale.colours(i / 8)) for i in range(9))
    look = (
        "display:inline-block;width:120px;height:12px;margin:0 6px;"
        f"background:linear-gradient(to right,{stops})"
    )
    strip = (
        f'<span style="white-space:nowrap">{ends[0]}<span style="{look}"></span>{ends[1]}</span>'
    )
    page = " ".join([html.escape(_meaning(cells, state)), strip, _hints(cells, scale)])
    return f'<p style="line-height:1.4;margin:4px 0">{page}</p>{STYLE}'


def _meaning(cells: StudyCells, state: SimpleNamespace) -> str:
    name = measure_name(state.measure)
    better = " (lower is better)" if state.measure in LOWER_IS_BETTER else ""
    if state.shows == "mean":
        return f"Cells: the mean {name}{better} over the seeds."
    return (
        f"Cells: {name}{better} minus that of the control, {cells.controls_in_words()}, "
        "on the same seeds. ▲ ▼: the 95 % interval lies above or below 0; "
        f"it is made from {cells.how(state.measure)}."
    )


def _hints(cells: StudyCells, scale: Scale) -> str:
    hints = []
    if scale.clipped:
        hints.append("Values beyond have the last colour.")
    if len(cells.keys) < len(cells.row_values) * len(cells.column_values):
        hints.append("–: no such run.")
    hints.append("Press a cell to see what is behind it, and again to see all cells.")
    return " ".join(hints)
