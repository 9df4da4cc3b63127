"""How a live training is drawn, and its alt text."""

import math
from itertools import groupby

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rmlib.loss.rewards import REWARDS
from rmlib.plots.figures import COLOURS, new_figure
from rmlib.widgets.framework.explorer import stop_name

POINTS = 400  # of a curve, at most
SCORES = ("f1", "precision", "recall")
WIDTH, HEIGHT, LEFT, RIGHT = 7.2, 4.7, 0.075, 0.98  # inches; shares of the width
# By axes: bottom and top, as shares of the height.
PANELS = {
    "losses": (0.60, 0.88),
    "scores": (0.335, 0.525),
    "alpha": (0.225, 0.275),
    "reward": (0.11, 0.16),
}
LOOKS = {
    "prediction": {"color": COLOURS["black"], "linestyle": "-", "label": "prediction loss $L_p$"},
    "reward": {"color": COLOURS["blue"], "linestyle": (0, (4, 1.5)), "label": "reward loss $L_r$"},
    "f1": {
        "color": COLOURS["green"],
        "linestyle": "-",
        "marker": "o",
        "label": "dev F1",
        "linewidth": 2,
    },
    "precision": {
        "color": COLOURS["orange"],
        "linestyle": "--",
        "marker": "^",
        "label": "precision",
        "linewidth": 1.2,
    },
    "recall": {
        "color": COLOURS["purple"],
        "linestyle": ":",
        "marker": "s",
        "label": "recall",
        "linewidth": 1.2,
    },
}
# Of the reward types. With the hatches, neighbours differ without colour too.
TINTS = ("#CFE8F7", "#FBE3B0", "#C5EBDD", "#F3D9E8", "#E4E4E4")
HATCHES = ("", "//", "..", "\\\\")
SHADES = colormaps["viridis_r"]  # light to dark, in every colour vision and in grey
# A share of the width: narrower intervals have neither borders nor a line through the curves.
NARROW = 0.012
SMALL, TEXT = 9, 9.5  # font sizes, in points


def alpha_colour(alpha: float) -> str | tuple[float, float, float]:
    """Light to dark from 0.01 to 100, by powers; 0 is white and the reward alone (inf) is black."""
    if alpha in (0, math.inf):
        return to_rgb("black" if alpha else "white")
    share = (math.log10(alpha) + 2) / 4
    return to_rgb(SHADES(0.05 + 0.9 * min(max(share, 0), 1)))


def reward_look(name: str) -> dict:
    """Background and hatching of a reward type in its band; no two types share both."""
    number = list(REWARDS).index(name)
    return {
        "facecolor": TINTS[number % len(TINTS)],
        "hatch": HATCHES[number // len(TINTS) % len(HATCHES)],
    }


def runs_of_equal_values(values: list) -> list[tuple[int, int, object]]:
    """The runs of equal values in a list: (start, end (excluded), value), in order."""
    runs = []
    start = 0
    for value, group in groupby(values):
        end = start + sum(1 for _ in group)
        runs.append((start, end, value))
        start = end
    return runs


def thin(values, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """x and y of one value per step, thinned: the means of at most `points` groups of steps."""
    values = np.asarray(values, dtype=float)
    starts = np.arange(0, len(values), max(math.ceil(len(values) / points), 1))
    if not len(values):
        return values, values
    sizes = np.diff([*starts, len(values)])
    return starts + sizes / 2, np.add.reduceat(values, starts) / sizes


def spelled(move: dict) -> str:
    """A move in a few letters; empty for moves with a band, and for snapshots."""
    names = {"lr_factor": "lr × {:g}", "freeze": "freeze {}", "back_to": "↶ {}"}
    return names.get(move["control"], "").format(move["value"])


class LivePicture:
    """One figure, of which only what moves is drawn again (see `plots.show`)."""

    def __init__(self):
        self.figure = new_figure(WIDTH, HEIGHT, rows=len(PANELS), margins={})
        self._axes = dict(zip(PANELS, self.figure.axes, strict=True))
        for (name, (bottom, top)), axes in zip(PANELS.items(), self.figure.axes, strict=True):
            axes.set_position([LEFT, bottom, RIGHT - LEFT, top - bottom])
            axes.tick_params(labelsize=SMALL)
            if name != "reward":
                axes.set_xticks([])
        losses, scores, alpha, reward = self.figure.axes
        scores.set(ylim=(0, 1), yticks=[0, 0.25, 0.5, 0.75, 1])
        losses.yaxis.set_animated(True)
        losses.locator_params("y", nbins=4)
        for band in (alpha, reward):
            band.set(ylim=(0, 1), yticks=[])
            band.spines[["left", "bottom"]].set_visible(False)
            band.grid(False)
        reward.xaxis.set_animated(True)
        reward.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        self.figure.text(RIGHT, 0.012, "steps taken", ha="right", fontsize=SMALL)
        scale = "α: 0 white, 0.01 light to 100 dark, reward alone black"
        self.figure.text(RIGHT, 0.281, scale, ha="right", va="bottom", fontsize=SMALL)
        self._raw, self._curves, self._marks = {}, {}, {}
        for name, look in LOOKS.items():
            axes = scores if name in SCORES else losses
            if name not in SCORES:
                (self._raw[name],) = axes.plot(
                    [], [], color=look["color"], linewidth=0.7, alpha=0.3, animated=True
                )
            (self._curves[name],) = axes.plot(
                [], [], animated=True, markersize=4.5, clip_on=False, **look
            )
        for axes in (losses, scores):
            moved = {"color": "#555555", "linewidth": 0.8, "linestyle": ":", "zorder": 1}
            transform = axes.get_xaxis_transform()
            (self._marks[axes],) = axes.plot([], [], transform=transform, animated=True, **moved)
        for axes, height in ((losses, 0.995), (scores, 0.582)):
            row = {
                "loc": "upper left",
                "bbox_to_anchor": (LEFT, height),
                "ncols": 3,
                "fontsize": TEXT,
            }
            handles = [line for name, line in self._curves.items() if line.axes is axes]
            self.figure.legend(
                handles=handles,
                frameon=False,
                borderpad=0,
                borderaxespad=0,
                handlelength=2.6,
                **row,
            )
        self._alpha = PolyCollection([], edgecolors="#333333", animated=True)
        alpha.add_collection(self._alpha, autolim=False)
        self._rewards: dict[str, PolyCollection] = {}
        self._texts: list = []

    def draw(self, rows: list[dict], moves: list[dict], pending: dict) -> Figure:
        """The figure of a state of the training.

        Args:
            rows, moves: of `live.Live`.
            pending: "alpha" and "reward" of the next step.
        """
        for text in self._texts:
            text.remove()
        self._texts.clear()
        width = max(20, 1.02 * len(rows))
        for axes in self.figure.axes:
            axes.set_xlim(0, width)
        self._draw_curves(
            rows, [move["step_index"] for move in moves if move["control"] == "back_to"]
        )
        few = rows if len(rows) <= POINTS else rows[:: math.ceil(len(rows) / POINTS)]
        step = len(rows) / len(few) if rows else 1.0
        alphas = runs_of_equal_values([row["alpha"] for row in few])
        rewards = runs_of_equal_values([row["reward_type"] for row in few])
        self._draw_alpha(alphas, step, width, pending["alpha"])
        self._draw_rewards(rewards, step, width, pending["reward"])
        long = [
            start * step
            for start, end, _ in alphas[1:] + rewards[1:]
            if (end - start) * step > NARROW * width
        ]
        self._draw_marks(long, moves, width)
        return self.figure

    def _draw_curves(self, rows: list[dict], backs: list[int]) -> None:
        top = 0.0
        for name, raw in self._raw.items():
            x, values = thin([row[name] for row in rows])
            # A mean of past values only, and not past a return to a snapshot: no curve reacts to a
            # move before it was made.
            parts = pd.Series(values).groupby(np.searchsorted(backs, x))
            smooth = parts.ewm(span=max(len(values) / 25, 1)).mean().to_numpy()
            raw.set_data(x, values)
            self._curves[name].set_data(x, smooth)
            known = values[np.isfinite(values)]
            top = max([top, *np.quantile(known, [0.98])]) if len(known) else top
        self._axes["losses"].set_ylim(0, 1.08 * top or 1.0)
        scored = [row for row in rows if "f1" in row]
        scored = scored[:: math.ceil(len(scored) / POINTS) or 1]
        for name in SCORES:
            known = [(row["step_index"] + 1, row[name]) for row in scored if name in row]
            self._curves[name].set_data(*zip(*known, strict=True) if known else ([], []))

    def _draw_alpha(self, runs: list[tuple], step: float, width: float, pending: float) -> None:
        boxes = [_box(start * step, end * step) for start, end, _ in runs]
        self._alpha.set_verts(boxes)
        self._alpha.set_facecolors([alpha_colour(value) for _, _, value in runs])
        # borders would hide the colours of a schedule
        self._alpha.set_linewidth(
            [0.8 if (end - start) * step > NARROW * width else 0 for start, end, _ in runs]
        )
        axes = self._axes["alpha"]
        self._write_above(axes, f"α of the next step: {short_number(pending)}")
        for start, end, value in runs:
            name = short_number(value)
            if _fits(name, (end - start) * step, width):
                brightness = np.dot((0.3, 0.59, 0.11), alpha_colour(value))
                colour = "black" if brightness > 0.5 else "white"
                self._write_inside(axes, (start + end) * step / 2, name, color=colour)

    def _draw_rewards(self, runs: list[tuple], step: float, width: float, pending: str) -> None:
        axes = self._axes["reward"]
        for name in {value for _, _, value in runs} - set(self._rewards):
            look = reward_look(name) | {"edgecolor": "#333333", "linewidth": 0.8, "animated": True}
            self._rewards[name] = PolyCollection([], **look)
            axes.add_collection(self._rewards[name], autolim=False)
        for name, boxes in self._rewards.items():
            boxes.set_verts(
                [_box(start * step, end * step) for start, end, value in runs if value == name]
            )
        self._write_above(axes, f"reward type of the next step: {pending}")
        background = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
        for start, end, name in runs:
            if _fits(name, (end - start) * step, width):
                self._write_inside(axes, (start + end) * step / 2, name, bbox=background)

    def _draw_marks(self, changes: list[float], moves: list[dict], width: float) -> None:
        """Draw a line through the curves at every change; label those that have no band."""
        labels: dict[int, str] = {}
        for move in moves:
            if name := spelled(move):
                before = labels.get(move["step_index"])
                labels[move["step_index"]] = f"{before}, {name}" if before else name
        steps = [x for x in sorted({*changes, *labels}) if x]
        for line in self._marks.values():
            line.set_data(np.repeat(steps, 3), np.tile([0, 1, math.nan], len(steps)))
        self._write_labels(labels, width)

    def _write_labels(self, labels: dict[int, str], width: float) -> None:
        """Write the labels in two rows above the curves, the latest first.

        Where there is no space, the oldest are left out.
        """
        axes = self._axes["losses"]
        look = {"fontsize": SMALL, "color": "#333333", "animated": True}
        ends = [math.inf, math.inf]  # of the free space in the two rows
        for step_index, name in reversed(labels.items()):
            length = _length(name, width)
            start = min(step_index, width - length)
            row = next((row for row, end in enumerate(ends) if start + length < end), None)
            if row is not None:
                ends[row] = start
                height = 1.04 + 0.12 * row
                text = axes.text(start, height, name, transform=axes.get_xaxis_transform(), **look)
                self._texts.append(text)

    def _write_above(self, axes, text: str) -> None:
        """Write above a band, from the left."""
        look = {"fontsize": SMALL, "ha": "left", "va": "bottom", "animated": True}
        self._texts.append(axes.text(0, 1.12, text, transform=axes.transAxes, **look))

    def _write_inside(self, axes, x: float, text: str, **look) -> None:
        """Write inside a band."""
        look |= {"fontsize": SMALL, "ha": "center", "va": "center_baseline", "animated": True}
        self._texts.append(axes.text(x, 0.47, text, **look))


def alt_text(rows: list[dict], moves: list[dict], pending: dict) -> str:
    """The figure in words, with its numbers; of many α, rewards and moves the last six."""
    sentences = [
        f"Live training, {len(rows)} steps taken. "
        f"The next: α = {short_number(pending['alpha'])}, {pending['reward']}."
    ]
    if not rows:
        return sentences[0]
    for name, key in (("L_p", "prediction"), ("L_r", "reward")):
        sentences.append(f"{name} from {rows[0][key]:.3g} to {rows[-1][key]:.3g}.")
    scored = [row for row in rows if "f1" in row]
    if scored:
        last = scored[-1]
        best = max(row["f1"] for row in scored)
        sentences.append(
            f"Dev F1 {last['f1']:.3f} after {last['step_index'] + 1} steps, {best:.3f} best."
        )
    for name, key in (("α", "alpha"), ("Reward", "reward_type")):
        runs = runs_of_equal_values([row[key] for row in rows])
        parts = [
            f"{short_number(value) if key == 'alpha' else value} from step {start + 1}"
            for start, _, value in runs[-6:]
        ]
        sentences.append(f"{name}: {'…, ' if len(runs) > 6 else ''}{', '.join(parts)}.")
    changes = [
        f"{spelled(move)} before step {move['step_index'] + 1}" for move in moves if spelled(move)
    ]
    if changes:
        sentences.append(f"{', '.join(changes[-6:])}.")
    return " ".join(sentences)


def short_number(value: float) -> str:
    """A value of a control with three digits: that of a schedule has more than anyone reads."""
    return stop_name(float(f"{value:.3g}"))


def _box(start: float, end: float) -> list[tuple[float, float]]:
    return [(start, 0), (start, 1), (end, 1), (end, 0)]


def _length(text: str, width: float) -> float:
    """How many of the `width` steps of the x axis a text takes."""
    # a letter is about 0.62 of the font size wide
    return (len(text) + 1.5) * 0.62 * SMALL / 72 / (WIDTH * (RIGHT - LEFT)) * width


def _fits(text: str, steps: float, width: float) -> bool:
    return _length(text, width) <= steps
