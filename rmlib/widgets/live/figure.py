"""The picture of a live training: loss terms and scores over the steps, and right under them what was in force."""

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
# axes -> bottom and top, as shares of the height
ROOMS = {"losses": (0.60, 0.88), "scores": (0.335, 0.525), "alpha": (0.225, 0.275), "reward": (0.11, 0.16)}
LOOKS = {
    "prediction": {"color": COLOURS["black"], "linestyle": "-", "label": "prediction loss $L_p$"},
    "reward": {"color": COLOURS["blue"], "linestyle": (0, (4, 1.5)), "label": "reward loss $L_r$"},
    "f1": {"color": COLOURS["green"], "linestyle": "-", "marker": "o", "label": "dev F1", "linewidth": 2},
    "precision": {"color": COLOURS["orange"], "linestyle": "--", "marker": "^", "label": "precision", "linewidth": 1.2},
    "recall": {"color": COLOURS["purple"], "linestyle": ":", "marker": "s", "label": "recall", "linewidth": 1.2},
}
TINTS = ("#CFE8F7", "#FBE3B0", "#C5EBDD", "#F3D9E8", "#E4E4E4")  # of the reward types, with
HATCHES = ("", "//", "..", "\\\\")  # so that neighbours are told apart without colour
SHADES = colormaps["viridis_r"]  # light to dark, in every colour vision and in grey
NARROW = 0.012  # of the width of the picture: stretches below have neither borders nor a line through the curves
SMALL, TEXT = 9, 9.5  # font sizes, in points


def alpha_colour(alpha: float) -> str | tuple[float, float, float]:
    """Light to dark from 0.01 to 100, by powers; 0 is white and the reward alone (inf) is black."""
    if alpha in (0, math.inf):
        return to_rgb("black" if alpha else "white")
    share = (math.log10(alpha) + 2) / 4
    return to_rgb(SHADES(0.05 + 0.9 * min(max(share, 0), 1)))


def reward_look(name: str) -> dict:
    """Ground and hatching of a reward type in its band; no two types share both."""
    number = list(REWARDS).index(name)
    return {"facecolor": TINTS[number % len(TINTS)], "hatch": HATCHES[number // len(TINTS) % len(HATCHES)]}


def stretches(values: list) -> list[tuple[int, int, object]]:
    """Where a list keeps its value: (start, end (excluded), value), in order."""
    found, at = [], 0
    for value, group in groupby(values):
        end = at + sum(1 for _ in group)
        found.append((at, end, value))
        at = end
    return found


def thin(values, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Where and what to draw of a value a step: the means of groups of equal length, at most `points` of them."""
    values = np.asarray(values, dtype=float)
    starts = np.arange(0, len(values), max(math.ceil(len(values) / points), 1))
    if not len(values):
        return values, values
    sizes = np.diff([*starts, len(values)])
    return starts + sizes / 2, np.add.reduceat(values, starts) / sizes


def spelled(move: dict) -> str:
    """A move in a few letters; empty for those that have a band, and for snapshots, which change nothing."""
    names = {"lr_factor": "lr × {:g}", "freeze": "freeze {}", "back_to": "↶ {}"}
    return names.get(move["control"], "").format(move["value"])


class LivePicture:
    """One figure that is drawn over and over; only what moves in it is drawn anew (see `plots.show`)."""

    def __init__(self):
        self.figure = new_figure(WIDTH, HEIGHT, rows=len(ROOMS), margins={})
        self._axes = dict(zip(ROOMS, self.figure.axes, strict=True))
        for (name, (bottom, top)), axes in zip(ROOMS.items(), self.figure.axes, strict=True):
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
                (self._raw[name],) = axes.plot([], [], color=look["color"], linewidth=0.7, alpha=0.3, animated=True)
            (self._curves[name],) = axes.plot([], [], animated=True, markersize=4.5, clip_on=False, **look)
        for axes in (losses, scores):
            moved = {"color": "#555555", "linewidth": 0.8, "linestyle": ":", "zorder": 1}
            transform = axes.get_xaxis_transform()
            (self._marks[axes],) = axes.plot([], [], transform=transform, animated=True, **moved)
        for axes, height in ((losses, 0.995), (scores, 0.582)):
            row = {"loc": "upper left", "bbox_to_anchor": (LEFT, height), "ncols": 3, "fontsize": TEXT}
            handles = [line for name, line in self._curves.items() if line.axes is axes]
            self.figure.legend(handles=handles, frameon=False, borderpad=0, borderaxespad=0, handlelength=2.6, **row)
        self._alpha = PolyCollection([], edgecolors="#333333", animated=True)
        alpha.add_collection(self._alpha, autolim=False)
        self._rewards: dict[str, PolyCollection] = {}
        self._texts: list = []

    def draw(self, rows: list[dict], moves: list[dict], wished: dict) -> Figure:
        """
        Args:
            rows, moves: of `live.Live`.
            wished: "alpha" and "reward" as the controls stand: what the next step will take.
        """
        for text in self._texts:
            text.remove()
        self._texts.clear()
        width = max(20, 1.02 * len(rows))
        for axes in self.figure.axes:
            axes.set_xlim(0, width)
        self._draw_curves(rows, [move["tick"] for move in moves if move["control"] == "back_to"])
        few = rows if len(rows) <= POINTS else rows[:: math.ceil(len(rows) / POINTS)]
        step = len(rows) / len(few) if rows else 1.0
        alphas, rewards = (stretches([row[key] for row in few]) for key in ("alpha", "reward_type"))
        self._draw_alpha(alphas, step, width, wished["alpha"])
        self._draw_rewards(rewards, step, width, wished["reward"])
        long = [start * step for start, end, _ in alphas[1:] + rewards[1:] if (end - start) * step > NARROW * width]
        self._draw_marks(long, moves, width)
        return self.figure

    def _draw_curves(self, rows: list[dict], backs: list[int]) -> None:
        top = 0.0
        for name, raw in self._raw.items():
            x, values = thin([row[name] for row in rows])
            # A mean that looks back only, and not past a way back: nothing answers to a move before it was made.
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
            known = [(row["tick"] + 1, row[name]) for row in scored if name in row]
            self._curves[name].set_data(*zip(*known, strict=True) if known else ([], []))

    def _draw_alpha(self, found: list[tuple], step: float, width: float, wished: float) -> None:
        boxes = [_box(start * step, end * step) for start, end, _ in found]
        self._alpha.set_verts(boxes)
        self._alpha.set_facecolors([alpha_colour(value) for _, _, value in found])
        # borders would hide the colours of a schedule
        self._alpha.set_linewidth([0.8 if (end - start) * step > NARROW * width else 0 for start, end, _ in found])
        axes = self._axes["alpha"]
        self._say(axes, f"α of the next step: {_short(wished)}")
        for start, end, value in found:
            name = _short(value)
            if _fits(name, (end - start) * step, width):
                pale = sum(weight * part for weight, part in zip((0.3, 0.59, 0.11), alpha_colour(value), strict=True))
                self._write(axes, (start + end) * step / 2, name, color="black" if pale > 0.5 else "white")

    def _draw_rewards(self, found: list[tuple], step: float, width: float, wished: str) -> None:
        axes = self._axes["reward"]
        for name in {value for _, _, value in found} - set(self._rewards):
            look = reward_look(name) | {"edgecolor": "#333333", "linewidth": 0.8, "animated": True}
            self._rewards[name] = PolyCollection([], **look)
            axes.add_collection(self._rewards[name], autolim=False)
        for name, boxes in self._rewards.items():
            boxes.set_verts([_box(start * step, end * step) for start, end, value in found if value == name])
        self._say(axes, f"reward type of the next step: {wished}")
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
        for start, end, name in found:
            if _fits(name, (end - start) * step, width):
                self._write(axes, (start + end) * step / 2, name, bbox=ground)

    def _draw_marks(self, changes: list[float], moves: list[dict], width: float) -> None:
        """A line through the curves where something changed; what has no band is written at its upper end."""
        told: dict[int, str] = {}
        for move in moves:
            if name := spelled(move):
                told[move["tick"]] = f"{told[move['tick']]}, {name}" if move["tick"] in told else name
        at = [x for x in sorted({*changes, *told}) if x]
        for line in self._marks.values():
            line.set_data(np.repeat(at, 3), np.tile([0, 1, math.nan], len(at)))
        ends = [math.inf, math.inf]  # where the two rows of labels are taken, from the right
        for tick, name in reversed(told.items()):  # the latest first: where there is no room, the oldest go without
            room = _room(name, width)
            start = min(tick, width - room)
            row = next((row for row, end in enumerate(ends) if start + room < end), None)
            if row is not None:
                ends[row] = start
                look = {"fontsize": SMALL, "color": "#333333", "animated": True}
                axes = self._axes["losses"]
                place = 1.04 + 0.12 * row
                self._texts.append(axes.text(start, place, name, transform=axes.get_xaxis_transform(), **look))

    def _say(self, axes, text: str) -> None:
        """Write over a band, from the left."""
        look = {"fontsize": SMALL, "ha": "left", "va": "bottom", "animated": True}
        self._texts.append(axes.text(0, 1.12, text, transform=axes.transAxes, **look))

    def _write(self, axes, x: float, text: str, **look) -> None:
        """Write inside a band."""
        look |= {"fontsize": SMALL, "ha": "center", "va": "center_baseline", "animated": True}
        self._texts.append(axes.text(x, 0.47, text, **look))


def words(rows: list[dict], moves: list[dict], wished: dict) -> str:
    """The figure in words, with its numbers; of many stretches the last six."""
    said = [f"Live training, {len(rows)} steps taken. The next: α = {_short(wished['alpha'])}, {wished['reward']}."]
    if not rows:
        return said[0]
    for name, key in (("L_p", "prediction"), ("L_r", "reward")):
        said.append(f"{name} from {rows[0][key]:.3g} to {rows[-1][key]:.3g}.")
    scored = [row for row in rows if "f1" in row]
    if scored:
        last, best = scored[-1], max(row["f1"] for row in scored)
        said.append(f"Dev F1 {last['f1']:.3f} after {last['tick'] + 1} steps, {best:.3f} best.")
    for name, key in (("α", "alpha"), ("Reward", "reward_type")):
        found = stretches([row[key] for row in rows])
        parts = [f"{_short(v) if key == 'alpha' else v} from step {start + 1}" for start, _, v in found[-6:]]
        said.append(f"{name}: {'…, ' if len(found) > 6 else ''}{', '.join(parts)}.")
    told = [f"{spelled(move)} before step {move['tick'] + 1}" for move in moves if spelled(move)]
    said += [f"{', '.join(told[-6:])}."] if told else []
    return " ".join(said)


def _short(alpha: float) -> str:
    """The value of a schedule has more digits than anyone reads."""
    return stop_name(float(f"{alpha:.3g}"))


def _box(start: float, end: float) -> list[tuple[float, float]]:
    return [(start, 0), (start, 1), (end, 1), (end, 0)]


def _room(text: str, width: float) -> float:
    """How many of the `width` steps of the x axis a text takes; a letter is about 0.62 of the font size wide."""
    return (len(text) + 1.5) * 0.62 * SMALL / 72 / (WIDTH * (RIGHT - LEFT)) * width


def _fits(text: str, steps: float, width: float) -> bool:
    return _room(text, width) <= steps
