"""One figure style: the Okabe-Ito palette, a line style beside every colour, and an alt text with every picture.

Figures are made without pyplot, so nothing is kept alive behind your back and any thread may draw.
"""

import base64
import html
import io
import re
import threading
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from rmlib.errors import RmlibValueError

# Okabe and Ito 2008: told apart by readers of every colour vision. Yellow is left out: too pale on white.
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
LINES = [{"color": colour, "linestyle": dash} for colour, dash in zip(COLOURS.values(), DASHES, strict=True)]
# Of a loss: itself and its parts. The wide ones are drawn first, so that a narrow one on them, or in their gaps, shows.
PARTS = [
    {"color": COLOURS["orange"], "linestyle": "-", "linewidth": 5.5, "zorder": 2.0},
    {"color": COLOURS["black"], "linestyle": "--", "linewidth": 2, "zorder": 2.2},
    {"color": COLOURS["blue"], "linestyle": ":", "linewidth": 2, "zorder": 2.3},
    {"color": COLOURS["green"], "linestyle": (0, (2, 2)), "linewidth": 4, "zorder": 2.1},
]
DOTS_PER_INCH = 144  # of the file; shown at 96, so that it stays sharp on a fine screen


_DRAWING = threading.Lock()  # matplotlib's caches of fonts and formulas are not made for two threads at once
# What does not move in a figure with animated artists, drawn. Kept as long as the figure.
_STILL: WeakKeyDictionary[Figure, object] = WeakKeyDictionary()


class Picture:
    """What a notebook shows: HTML, and a plain text that says the same. The last line of a cell shows it.

    Attributes:
        html: the HTML; a figure is an `<img>` with the PNG inside it and the alt text.
        text: the alt text, shown where no HTML can be.
        png: the bytes of the figure, or None.
        figure: the matplotlib figure, or None.
    """

    def __init__(self, html: str, text: str, png: bytes | None = None, figure: Figure | None = None):
        self.html, self.text, self.png, self.figure = html, text, png, figure

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include=None, exclude=None):
        # JupyterLab puts no alt text on an image/png, only HTML can carry one. The PNG is for viewers without HTML.
        data, metadata = {"text/html": self.html, "text/plain": self.text}, {}
        if self.png:
            data["image/png"] = base64.b64encode(self.png).decode()
            metadata["image/png"] = {"alt": self.text}
        return data, metadata


def new_figure(
    width: float = 7.0, height: float = 3.5, rows: int = 1, columns: int = 1, margins: dict[str, float] | None = None
) -> Figure:
    """A figure with rows × columns empty axes in the kit's style; draw on `figure.axes`.

    Args:
        width, height: inches; 7 inches are 672 pixels on the screen.
        margins: of the axes, as `Figure.subplots_adjust` takes them: "left", "right", "bottom", "top" (shares of the
            figure, measured from the left and from the bottom), "wspace", "hspace". Left out, they are found from the
            texts, which takes a third of the time of drawing: give them in a figure that moves.
    """
    layout = "constrained" if margins is None else None
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout=layout, facecolor="white")
    for axes in np.ravel(figure.subplots(rows, columns)):
        axes.set_prop_cycle(color=[line["color"] for line in LINES], linestyle=[line["linestyle"] for line in LINES])
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    if margins is not None:
        figure.subplots_adjust(**margins)
    return figure


def show(figure: Figure, alt: str = "") -> Picture:
    """A figure as a picture with its alt text: what it shows, with the numbers, for readers who cannot see it.

    Where artists in the axes are animated (`set_animated(True)`), the rest of the figure is drawn once and kept; shown
    again, only they are drawn: for a figure that moves. All else in it must stay as it is.

    Args:
        alt: left out, it is the text that `learning_curves` or `confusion` wrote for the figure.

    Raises:
        RmlibValueError: there is no alt text.
    """
    alt = alt.strip() or figure.get_label()
    if not alt:
        raise RmlibValueError("alt is empty; expected a sentence that says what the figure shows")
    png = _png(figure)
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    image = (  # with its height the browser keeps the room while it decodes: nothing below the picture jumps
        f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{base64.b64encode(png).decode()}" '
        f'width="{width}" height="{height}" style="max-width:100%;height:auto;background-color:#ffffff">'
    )
    return Picture(image, alt, png, figure)


def _png(figure: Figure) -> bytes:
    """The figure as a PNG of at most 128 colours. Any thread may call it; one draws at a time."""
    with _DRAWING:
        figure.set_dpi(DOTS_PER_INCH)
        canvas = figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)
        moving = [artist for axes in figure.axes for artist in axes.get_children() if artist.get_animated()]
        if moving and figure in _STILL:
            canvas.restore_region(_STILL[figure])
        else:
            canvas.draw()  # and not savefig, which draws twice where a layout is to be found
            if moving:
                _STILL[figure] = canvas.copy_from_bbox(figure.bbox)
        for artist in sorted(moving, key=lambda artist: artist.get_zorder()):
            artist.axes.draw_artist(artist)
        size, pixels = canvas.get_width_height(physical=True), canvas.buffer_rgba()
        drawn = Image.frombuffer("RGBA", size, pixels, "raw", "RGBA", 0, 1).convert("RGB")
    file = io.BytesIO()
    few = drawn.quantize(128, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)  # a third of the bytes
    few.save(file, "png", compress_level=1)  # half as large again as at level 9, but fifteen times as fast
    return file.getvalue()


def learning_curves(histories: dict[str, list[dict]]) -> Figure:
    """L_p and L_r over the steps (faint: every step, strong: smoothed), and the dev F1 at the end of each epoch.

    L itself is not drawn: runs with different α have different L, but their L_p and L_r can be compared.

    Args:
        histories: by the name of the run, its rows as `runs.train_tagger` returns them: dicts with "step",
            "prediction", "reward" and "dev_f1" ("" where nothing was evaluated).

    Raises:
        RmlibValueError: no run, or a run without rows.
    """
    if not histories or not all(histories.values()):
        empty = next((name for name, rows in histories.items() if not rows), None)
        raise RmlibValueError(f"run {empty!r} has no rows; expected at least 1" if histories else "no run was given")
    figure = new_figure(9.5, 3.2, columns=3)
    titles = ("prediction loss $L_p$", "reward loss $L_r$", "dev F1 (entity level)")
    words = []
    ends = {}  # of the strong curves: what a reader sees
    for (name, rows), style in zip(histories.items(), _styles(len(histories)), strict=True):
        steps = [row["step"] for row in rows]
        for axes, key in zip(figure.axes, ("prediction", "reward"), strict=False):
            values = pd.Series([float(row[key]) for row in rows])
            smooth = values.rolling(max(len(values) // 15, 1), center=True, min_periods=1).mean()
            axes.plot(steps, values, color=style["color"], alpha=0.25, linewidth=0.8)
            axes.plot(steps, smooth, label=name, **style)
            ends[key] = f"from {smooth.iloc[0]:.2f} to {smooth.iloc[-1]:.2f}"
        scored = [(row["step"], float(row["dev_f1"])) for row in rows if row["dev_f1"] != ""]
        figure.axes[2].plot(*zip(*scored, strict=True) if scored else ([], []), marker="o", label=name, **style)
        text = f"{name}: L_p {ends['prediction']}, L_r {ends['reward']}"
        text += f", dev F1 {scored[0][1]:.3f} first, {max(f1 for _, f1 in scored):.3f} best" if scored else ""
        words.append(f"{text}, in {steps[-1]} steps")
    for axes, title in zip(figure.axes, titles, strict=True):
        axes.set(title=title, xlabel="step")
        axes.set_ylim(bottom=0)
    figure.axes[2].set_ylim(0, 1)
    figure.axes[2].legend(loc="lower right")
    figure.set_label("Learning curves, smoothed. " + "; ".join(words) + ".")
    return figure


def confusion(table: pd.DataFrame, rows: str = "gold", columns: str = "predicted") -> Figure:
    """A confusion table: counts written in the cells, darker the larger their share of the row.

    Args:
        table: counts, for example from `metrics.type_confusion`; one row a gold type, one column a predicted type.
        rows, columns: what the two axes are called.

    Raises:
        RmlibValueError: an empty table.
    """
    counts = table.to_numpy(dtype=float)
    if counts.size == 0:
        raise RmlibValueError(f"the table has shape {counts.shape}; expected at least one row and one column")
    totals = counts.sum(1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    figure = new_figure(1.6 + 0.8 * counts.shape[1], 1.2 + 0.6 * counts.shape[0])
    (axes,) = figure.axes
    axes.grid(False)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")  # light to dark, so grey says the same
    for (i, j), share in np.ndenumerate(shares):
        axes.text(j, i, f"{counts[i, j]:,.0f}", ha="center", va="center", color="white" if share > 0.7 else "black")
    axes.set_xticks(range(counts.shape[1]), table.columns)
    axes.set_yticks(range(counts.shape[0]), table.index)
    axes.set(xlabel=columns, ylabel=rows)
    figure.colorbar(image, ax=axes, label="share of the row")
    words = []
    for i, name in enumerate(table.index):
        cells = [f"{counts[i, j]:.0f} {table.columns[j]}" for j in np.argsort(-counts[i]) if counts[i, j]]
        words.append(f"{rows} {name}: {columns} {', '.join(cells) or 'nothing'}")
    figure.set_label("Confusion table. " + "; ".join(words) + ".")
    return figure


def loss_curves(
    y_hat,
    values: dict[str, np.ndarray],
    slopes: dict[str, np.ndarray],
    title: str,
    note: str = "",
    warning: str = "",
    figure: Figure | None = None,
) -> Figure:
    """A loss over the probability ŷ of one item with its parts, and beside them their slopes; its lowest point marked.

    Args:
        y_hat: (points,) probabilities, ascending, in (0, 1).
        values: by label, (points,) each, 1 to 4; the first is the loss itself, drawn wide, so that a part on it shows.
        slopes: the same labels, (points,) each: the derivatives with respect to the logit z.
        note, warning: what the reader has to know about the curves, and what is wrong with them, under the title.
        figure: one that this function made with the same labels, note and warning. Only its curves, its title and its
            scales are drawn again, in a third of the time.
    """
    figure = figure or _no_curves(values, note, warning)
    total = next(iter(values.values()))
    low = int(np.argmin(total))
    for axes, curves in zip(figure.axes, (values, slopes), strict=True):
        *lines, dot = axes.lines[1:]  # the first is the line at 0
        for line, curve in zip(lines, curves.values(), strict=True):
            line.set_data(y_hat, curve)
        dot.set_data([y_hat[low]], [next(iter(curves.values()))[low]])
        bottom, top = (limit([limit(curve) for curve in curves.values()] + [0]) for limit in (min, max))
        room = 0.04 * (top - bottom) or 1.0
        axes.set_ylim(bottom - room, top + room)
    heading, lowest = figure.axes[0].texts
    heading.set_text(title)
    lowest.set_text(f"○ lowest L: {total[low]:.3g} at ŷ = {y_hat[low]:.3g}")
    return figure


def _no_curves(labels, note: str, warning: str) -> Figure:
    """What stays of `loss_curves`, with what moves in its place, but empty: two axes, lines, texts."""
    top = 0.66 if warning else 0.71
    margins = {"left": 0.08, "right": 0.975, "bottom": 0.12, "top": top, "wspace": 0.24}
    figure = new_figure(7.2, 4.0, columns=2, margins=margins)
    for axes, title in zip(figure.axes, ("values", "slopes with respect to the logit z"), strict=True):
        axes.axhline(0, color="#888888", linewidth=0.8, animated=True)
        for label, style in zip(labels, PARTS, strict=False):
            axes.plot([], [], label=_maths(label), animated=True, **style)
        dot = {"color": "black", "marker": "o", "markersize": 9, "markerfacecolor": "white", "linestyle": "none"}
        axes.plot([], [], clip_on=False, zorder=5, animated=True, **dot)
        axes.set(xlabel="ŷ, the probability of class 1", xlim=(0, 1), xticks=[0, 0.25, 0.5, 0.75, 1])
        axes.locator_params("y", nbins=6)
        axes.yaxis.set_animated(True)
        axes.set_title(title, fontsize=10, loc="left", y=1.0)
        # Both places are given: to find them, every tick would be measured at every drawing.
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


def _styles(count: int) -> list[dict]:
    return [LINES[i % len(LINES)] for i in range(count)]
