"""One figure style: the Okabe-Ito palette, a line style beside every colour, and an alt text with every picture.

Figures are made without pyplot, so nothing is kept alive behind your back and any thread may draw.
"""

import base64
import html
import io
import re

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from .errors import RmlibValueError

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
PARTS = [LINES[3] | {"linestyle": "--"}, LINES[0] | {"linestyle": ":"}, *LINES[1:3], *LINES[4:6]]
DOTS_PER_INCH = 144  # of the file; shown at 96, so that it stays sharp on a fine screen


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


def new_figure(width: float = 7.0, height: float = 3.5, rows: int = 1, columns: int = 1) -> Figure:
    """A figure with rows × columns empty axes in the kit's style; draw on `figure.axes`.

    Args:
        width, height: inches; 7 inches are 672 pixels on the screen.
    """
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    for axes in np.ravel(figure.subplots(rows, columns)):
        axes.set_prop_cycle(color=[line["color"] for line in LINES], linestyle=[line["linestyle"] for line in LINES])
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    return figure


def show(figure: Figure, alt: str = "") -> Picture:
    """A figure as a picture with its alt text: what it shows, with the numbers, for readers who cannot see it.

    Args:
        alt: left out, it is the text that `learning_curves` or `confusion` wrote for the figure.

    Raises:
        RmlibValueError: there is no alt text.
    """
    alt = alt.strip() or figure.get_label()
    if not alt:
        raise RmlibValueError("alt is empty; expected a sentence that says what the figure shows")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DOTS_PER_INCH)
    drawn, file = Image.open(file).convert("RGB"), io.BytesIO()
    drawn.quantize(128, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(file, "png")  # a third of the bytes
    png = file.getvalue()
    width = round(figure.get_figwidth() * 96)
    image = (
        f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{base64.b64encode(png).decode()}" '
        f'width="{width}" style="max-width:100%;height:auto;background-color:#ffffff">'
    )
    return Picture(image, alt, png, figure)


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
    for (name, rows), style in zip(histories.items(), _styles(len(histories)), strict=True):
        steps = [row["step"] for row in rows]
        for axes, key in zip(figure.axes, ("prediction", "reward"), strict=False):
            values = pd.Series([float(row[key]) for row in rows])
            smooth = values.rolling(max(len(values) // 15, 1), center=True, min_periods=1).mean()
            axes.plot(steps, values, color=style["color"], alpha=0.25, linewidth=0.8)
            axes.plot(steps, smooth, label=name, **style)
        scored = [(row["step"], float(row["dev_f1"])) for row in rows if row["dev_f1"] != ""]
        figure.axes[2].plot(*zip(*scored, strict=True) if scored else ([], []), marker="o", label=name, **style)
        text = f"{name}: L_p from {float(rows[0]['prediction']):.2f} to {float(rows[-1]['prediction']):.2f}"
        text += f", L_r from {float(rows[0]['reward']):.2f} to {float(rows[-1]['reward']):.2f}"
        text += f", dev F1 {scored[0][1]:.3f} first, {max(f1 for _, f1 in scored):.3f} best" if scored else ""
        words.append(f"{text}, in {steps[-1]} steps")
    for axes, title in zip(figure.axes, titles, strict=True):
        axes.set(title=title, xlabel="step")
        axes.set_ylim(bottom=0)
    figure.axes[2].set_ylim(0, 1)
    figure.axes[2].legend(loc="lower right")
    figure.set_label("Learning curves. " + "; ".join(words) + ".")
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


def loss_curves(y_hat, total, parts: dict[str, np.ndarray], title: str, note: str = "", name: str = "L") -> Figure:
    """A loss over the probability ŷ of one item, with the parts it is made of; its lowest point is marked.

    Args:
        y_hat: (points,) probabilities, ascending, in (0, 1).
        total: (points,) the loss.
        parts: by label, (points,) each, at most 6.
        note: what the reader has to know about the curves, under the title.
        name: label of the total.
    """
    figure = new_figure(7.0, 3.8)
    (axes,) = figure.axes
    axes.plot(y_hat, total, color=COLOURS["orange"], linewidth=5, label=_maths(name))  # wide: a part on top of it shows
    for (label, values), style in zip(parts.items(), PARTS, strict=False):
        axes.plot(y_hat, values, label=_maths(label), linewidth=2, **style)
    low = int(np.argmin(total))
    dot = {"color": "black", "marker": "o", "markersize": 9, "markerfacecolor": "white", "linestyle": "none"}
    lowest = f"lowest: {total[low]:.3g} at ŷ = {y_hat[low]:.3g}"
    axes.plot(y_hat[low], total[low], **dot, label=lowest, clip_on=False, zorder=5)
    axes.set(xlabel="ŷ, the probability that the model gives to class 1", ylabel="loss", xlim=(0, 1))
    axes.set_ylim(bottom=0)
    axes.set_title(title + (f"\n{note}" if note else ""), fontsize=11, loc="left")
    axes.legend(loc="upper center", framealpha=0.9)
    return figure


def _maths(label: str) -> str:
    """L_p and L_r with a real subscript."""
    return re.sub(r"L_(\w)", r"$L_\1$", label)


def _styles(count: int) -> list[dict]:
    return [LINES[i % len(LINES)] for i in range(count)]
