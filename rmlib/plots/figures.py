"""Figures in one style: the Okabe-Ito palette, a line style beside every colour, an alt text each.

Figures are made without pyplot, so that no global list keeps them alive and any thread may draw.
"""

import base64
import html
import io
import re
import threading
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from rmlib.errors import RmlibValueError

if TYPE_CHECKING:
    import pandas as pd

# Okabe and Ito 2008: readers of every colour vision can tell them apart. Yellow is left out: it is
# too pale on white.
COLOURS = {
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "green": "#009E73",
    "black": "#000000",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "orange": "#E69F00",
}
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)), (0, (1, 1)))
LINES = [
    {"color": colour, "linestyle": dash}
    for colour, dash in zip(COLOURS.values(), DASHES, strict=True)
]
# Of a loss and its parts. The wide ones are drawn first, so that a narrow one on them, or in their
# gaps, can be seen.
PARTS = [
    {"color": COLOURS["orange"], "linestyle": "-", "linewidth": 5.5, "zorder": 2.0},
    {"color": COLOURS["black"], "linestyle": "--", "linewidth": 2, "zorder": 2.2},
    {"color": COLOURS["blue"], "linestyle": ":", "linewidth": 2, "zorder": 2.3},
    {"color": COLOURS["green"], "linestyle": (0, (2, 2)), "linewidth": 4, "zorder": 2.1},
]
DOTS_PER_INCH = 144  # of the file; shown at 96, so that it stays sharp on a fine screen

# matplotlib's caches of fonts and formulas are not made for two threads at once
_DRAWING = threading.Lock()
# The drawn background of a figure with animated artists. Kept as long as the figure.
_STILL: WeakKeyDictionary[Figure, object] = WeakKeyDictionary()


class Picture:
    """HTML, and a plain text that says the same; a notebook shows it as the last line of a cell.

    Attributes:
        html: the HTML; a figure is an `<img>` with the PNG inside it and the alt text.
        text: the alt text, shown where no HTML can be.
        png: the bytes of the figure, or None.
        figure: the matplotlib figure, or None.
    """

    def __init__(
        self, html: str, text: str, png: bytes | None = None, figure: Figure | None = None
    ):
        self.html = html
        self.text = text
        self.png = png
        self.figure = figure

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include=None, exclude=None):
        # JupyterLab puts no alt text on an image/png, only HTML can carry one. The PNG is for
        # viewers without HTML.
        data = {"text/html": self.html, "text/plain": self.text}
        metadata = {}
        if self.png:
            data["image/png"] = base64.b64encode(self.png).decode()
            metadata["image/png"] = {"alt": self.text}
        return data, metadata


def new_figure(
    width: float = 7.0,
    height: float = 3.5,
    rows: int = 1,
    columns: int = 1,
    margins: dict[str, float] | None = None,
) -> Figure:
    """A figure with rows × columns empty axes in the kit's style; draw on `figure.axes`.

    Args:
        width, height: inches; 7 inches are 672 pixels on the screen.
        margins: of the axes, as `Figure.subplots_adjust` takes them: "left", "right", "bottom",
            "top" (shares of the figure, measured from the left and from the bottom), "wspace",
            "hspace". Left out, matplotlib computes them from the texts, which takes a third of the
            drawing time: give them in a figure that moves.
    """
    layout = "constrained" if margins is None else None
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout=layout, facecolor="white")
    for axes in np.ravel(figure.subplots(rows, columns)):
        axes.set_prop_cycle(
            color=[line["color"] for line in LINES], linestyle=[line["linestyle"] for line in LINES]
        )
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    if margins is not None:
        figure.subplots_adjust(**margins)
    return figure


def show(figure: Figure, alt: str = "") -> Picture:
    """Draw a figure and return it as a picture with its alt text.

    For a figure that moves: where artists in the axes are animated (`set_animated(True)`), the rest
    of the figure is drawn once and kept, and must not change; from the second time on, only these
    artists are drawn.

    Args:
        alt: what the figure shows, with the numbers, for readers who cannot see it. Left out, it is
            the text that `learning_curves` or `confusion` wrote for the figure.

    Raises:
        RmlibValueError: there is no alt text.
    """
    alt = alt.strip() or figure.get_label()
    if not alt:
        raise RmlibValueError("alt is empty; expected a sentence that says what the figure shows")
    png = _png(figure)
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    style = "max-width:100%;height:auto;background-color:#ffffff"
    # With width and height the browser reserves the space while it decodes: nothing below jumps.
    image = (
        f'<img alt="{html.escape(alt)}" src="{source}" '
        f'width="{width}" height="{height}" style="{style}">'
    )
    return Picture(image, alt, png, figure)


def _png(figure: Figure) -> bytes:
    """The figure as a PNG of at most 128 colours. Any thread may call it; one draws at a time."""
    with _DRAWING:
        figure.set_dpi(DOTS_PER_INCH)
        canvas = figure.canvas
        if not isinstance(canvas, FigureCanvasAgg):
            canvas = FigureCanvasAgg(figure)
        moving = [
            artist
            for axes in figure.axes
            for artist in axes.get_children()
            if artist.get_animated()
        ]
        if moving and figure in _STILL:
            canvas.restore_region(_STILL[figure])
        else:
            canvas.draw()  # and not savefig, which draws twice where it computes a layout
            if moving:
                _STILL[figure] = canvas.copy_from_bbox(figure.bbox)
        for artist in sorted(moving, key=lambda artist: artist.get_zorder()):
            artist.axes.draw_artist(artist)
        size = canvas.get_width_height(physical=True)
        pixels = canvas.buffer_rgba()
        drawn = Image.frombuffer("RGBA", size, pixels, "raw", "RGBA", 0, 1).convert("RGB")
    # A palette takes a third of the bytes.
    drawn = drawn.quantize(128, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    file = io.BytesIO()
    # Level 1 makes a file half as large again as level 9, in a fifteenth of the time.
    drawn.save(file, "png", compress_level=1)
    return file.getvalue()


def learning_curves(histories: dict[str, list[dict]]) -> Figure:
    """L_p and L_r over the steps, each step faint and smoothed strong, and the dev F1 per epoch.

    L itself is not drawn: runs with different α have different L, but their L_p and L_r can be
    compared.

    Args:
        histories: by the name of the run, its rows as `runs.train_tagger` returns them: dicts with
            "step", "prediction", "reward" and "dev_f1" ("" where nothing was evaluated).

    Raises:
        RmlibValueError: no run, or a run without rows.
    """
    if not histories:
        raise RmlibValueError("no run was given")
    for name, rows in histories.items():
        if not rows:
            raise RmlibValueError(f"run {name!r} has no rows; expected at least 1")
    figure = new_figure(9.5, 3.2, columns=3)
    titles = ("prediction loss $L_p$", "reward loss $L_r$", "dev F1 (entity level)")
    words = []
    for number, (name, rows) in enumerate(histories.items()):
        style = LINES[number % len(LINES)]
        words.append(f"{name}: {_draw_history(figure, name, rows, style)}")
    for axes, title in zip(figure.axes, titles, strict=True):
        axes.set(title=title, xlabel="step")
        axes.set_ylim(bottom=0)
    figure.axes[2].set_ylim(0, 1)
    figure.axes[2].legend(loc="lower right")
    figure.set_label("Learning curves, smoothed. " + "; ".join(words) + ".")
    return figure


def _draw_history(figure: Figure, name: str, rows: list[dict], style: dict) -> str:
    """Draw the curves of one run; returns their ends in words."""
    import pandas as pd  # here, so that the widgets of the first lessons do not wait for it

    steps = [row["step"] for row in rows]
    ends = {}  # of the smoothed curves, which a reader sees
    for axes, key in zip(figure.axes[:2], ("prediction", "reward"), strict=True):
        values = pd.Series([float(row[key]) for row in rows])
        smooth = values.rolling(max(len(values) // 15, 1), center=True, min_periods=1).mean()
        axes.plot(steps, values, color=style["color"], alpha=0.25, linewidth=0.8)
        axes.plot(steps, smooth, label=name, **style)
        ends[key] = f"from {smooth.iloc[0]:.2f} to {smooth.iloc[-1]:.2f}"
    scored = [row for row in rows if row["dev_f1"] != ""]
    f1 = [float(row["dev_f1"]) for row in scored]
    figure.axes[2].plot([row["step"] for row in scored], f1, marker="o", label=name, **style)
    words = [f"L_p {ends['prediction']}", f"L_r {ends['reward']}"]
    if f1:
        words.append(f"dev F1 {f1[0]:.3f} first, {max(f1):.3f} best")
    return ", ".join([*words, f"in {steps[-1]} steps"])


def confusion(table: "pd.DataFrame", rows: str = "gold", columns: str = "predicted") -> Figure:
    """A confusion table: counts written in the cells, darker the larger their share of the row.

    Args:
        table: counts, for example from `metrics.type_confusion`; one row per gold type, one column
            per predicted type.
        rows, columns: the labels of the two axes.

    Raises:
        RmlibValueError: an empty table.
    """
    counts = table.to_numpy(dtype=float)
    if counts.size == 0:
        raise RmlibValueError(
            f"the table has shape {counts.shape}; expected at least one row and one column"
        )
    totals = counts.sum(1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    figure = new_figure(1.6 + 0.8 * counts.shape[1], 1.2 + 0.6 * counts.shape[0])
    (axes,) = figure.axes
    axes.grid(False)
    # light to dark, so that grey says the same
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (i, j), share in np.ndenumerate(shares):
        look = {"ha": "center", "va": "center", "color": "white" if share > 0.7 else "black"}
        axes.text(j, i, f"{counts[i, j]:,.0f}", **look)
    axes.set_xticks(range(counts.shape[1]), table.columns)
    axes.set_yticks(range(counts.shape[0]), table.index)
    axes.set(xlabel=columns, ylabel=rows)
    figure.colorbar(image, ax=axes, label="share of the row")
    words = []
    for i, name in enumerate(table.index):
        cells = [
            f"{counts[i, j]:.0f} {table.columns[j]}" for j in np.argsort(-counts[i]) if counts[i, j]
        ]
        words.append(f"{rows} {name}: {columns} {', '.join(cells) or 'nothing'}")
    figure.set_label("Confusion table. " + "; ".join(words) + ".")
    return figure


def loss_curves(
    y_hat,
    values: dict[str, np.ndarray],
    derivatives: dict[str, np.ndarray],
    title: str,
    note: str = "",
    warning: str = "",
    figure: Figure | None = None,
) -> Figure:
    """A loss with its parts over the probability ŷ of one item, and beside them their derivatives.

    The lowest point of the loss is marked.

    Args:
        y_hat: (points,) probabilities, ascending, in (0, 1).
        values: by label, (points,) each, 1 to 4; the first is the loss itself, drawn wide, so that
            a part on it can be seen.
        derivatives: the same labels, (points,) each: with respect to the logit z.
        note, warning: what the reader has to know about the curves, and what is wrong with them,
            under the title.
        figure: one that this function made with the same labels, note and warning. Only its curves,
            its title and its scales are drawn again, in a third of the time.
    """
    figure = figure or _figure_without_curves(values, note, warning)
    total = next(iter(values.values()))
    low = int(np.argmin(total))
    for axes, curves in zip(figure.axes, (values, derivatives), strict=True):
        *lines, dot = axes.lines[1:]  # the first is the line at 0
        for line, curve in zip(lines, curves.values(), strict=True):
            line.set_data(y_hat, curve)
        dot.set_data([y_hat[low]], [next(iter(curves.values()))[low]])
        bottom = min(0, *map(min, curves.values()))
        top = max(0, *map(max, curves.values()))
        margin = 0.04 * (top - bottom) or 1.0
        axes.set_ylim(bottom - margin, top + margin)
    heading, lowest = figure.axes[0].texts
    heading.set_text(title)
    lowest.set_text(f"○ lowest L: {total[low]:.3g} at ŷ = {y_hat[low]:.3g}")
    return figure


def _figure_without_curves(labels, note: str, warning: str) -> Figure:
    """The figure of `loss_curves`, whose moving lines and texts are still empty."""
    top = 0.66 if warning else 0.71
    margins = {"left": 0.08, "right": 0.975, "bottom": 0.12, "top": top, "wspace": 0.24}
    figure = new_figure(7.2, 4.0, columns=2, margins=margins)
    titles = ("values", "derivatives with respect to the logit z")
    for axes, title in zip(figure.axes, titles, strict=True):
        axes.axhline(0, color="#888888", linewidth=0.8, animated=True)
        for label, style in zip(labels, PARTS, strict=False):
            axes.plot([], [], label=_maths(label), animated=True, **style)
        dot = {
            "color": "black",
            "marker": "o",
            "markersize": 9,
            "markerfacecolor": "white",
            "linestyle": "none",
        }
        axes.plot([], [], clip_on=False, zorder=5, animated=True, **dot)
        axes.set(xlabel="ŷ, the probability of class 1", xlim=(0, 1))
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
        axes.locator_params("y", nbins=6)
        axes.yaxis.set_animated(True)
        axes.set_title(title, fontsize=10, loc="left", y=1.0)
        # Both positions are given: to find them, matplotlib would measure every tick at every
        # drawing.
        axes.xaxis.set_label_coords(0.5, -0.13)
        axes.yaxis.set_label_coords(0, 0.5)
    moving = {"transform": figure.transFigure, "animated": True}
    figure.axes[0].text(0.08, 0.94, "", fontsize=11, **moving)
    figure.axes[0].text(0.975, 0.94, "", fontsize=9.5, ha="right", **moving)
    figure.text(0.08, 0.885, note, fontsize=9.5)
    figure.text(0.08, 0.83, _maths(warning), fontsize=9.5, color="#9C3D00")
    row = {"loc": "upper left", "bbox_to_anchor": (0.08, top + 0.14), "ncols": len(PARTS)}
    handles = figure.axes[0].lines[1:-1]
    figure.legend(handles=handles, frameon=False, borderpad=0, borderaxespad=0, fontsize=9.5, **row)
    return figure


def _maths(label: str) -> str:
    """L_p and L_r with a real subscript."""
    return re.sub(r"L_([pr])\b", r"$L_\1$", label)
