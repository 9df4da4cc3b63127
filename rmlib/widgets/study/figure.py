"""The pictures under the heat map of a study: a chosen cell against its control, or all cells with their intervals."""

from functools import partial

import numpy as np
from matplotlib.figure import Figure

from rmlib.plots.figures import COLOURS, new_figure

from .numbers import StudyCells, fences, interval, measure_name, number

CONTROL = {"color": "#555555", "linestyle": "--", "marker": "o", "markerfacecolor": "white", "markersize": 7}
METHOD = {"color": COLOURS["vermilion"], "linestyle": "-", "marker": "D", "markersize": 6}
VERDICTS = {  # where an interval lies, and how it is drawn
    "above 0": {"color": COLOURS["vermilion"], "marker": "^"},
    "below 0": {"color": COLOURS["blue"], "marker": "v"},
    "around 0": {"color": "#555555", "marker": "o", "markerfacecolor": "white"},
}
CURVES = {"L_p": "Prediction loss $L_p$", "L_r": "Reward loss $L_r$", "dev_curve": "Dev F1"}
MANY = 40  # cells: of more, not each is named
SMALL = {"fontsize": 9}


def verdict(effect) -> str:
    """Where an interval lies; without an interval nothing leaves out 0."""
    return "around 0" if effect is None or not effect.stands else "above 0" if effect.low > 0 else "below 0"


# A chosen cell -------------------------------------------------------------------------------------------------------


def draw_cell(cells: StudyCells, key, measure: str) -> tuple[Figure, str]:
    """A cell against its control: seed by seed, and the curves of the training if the table has them."""
    control, name = cells.control_of(key), measure_name(measure)
    curves = [partial(_draw_curves, kind=kind) for kind in CURVES if len(_curves(cells, key, kind))]
    panels = [_draw_scores, *curves] if key == control else [_draw_differences, *(curves or [_draw_scores])]
    figure = _panels(len(panels))
    told = [draw(axes, cells, key, measure) for draw, axes in zip(panels, figure.axes, strict=True)]
    for one, look in _pair(cells, key):
        word = " (control)" if one == control else ""
        figure.axes[0].plot([], [], label=_plain(cells.name(one)) + word, **look)
    place = {"loc": "upper left", "bbox_to_anchor": (0.005, 0.845)}
    figure.legend(*figure.axes[0].get_legend_handles_labels(), ncols=2, frameon=False, **place, **SMALL)
    if key == control:
        title = f"{cells.name(key)}: the control. Mean {name} {number(cells.value(key, measure, 'mean'))}"
        note = "Press another cell to see it against the control."
    else:
        title = f"{cells.name(key)} against {cells.name(control)}: {_effect_in_words(cells, key, measure)}"
        note = _note(cells, key, measure)
    figure.text(0.012, 0.935, _plain(title), fontsize=11)
    figure.text(0.012, 0.865, _plain(note), fontsize=9.5)
    return figure, " ".join([f"Chosen: {title}.", note, *told])


def _effect_in_words(cells: StudyCells, key, measure: str) -> str:
    effect, name = cells.effect(key, measure), measure_name(measure)
    change = interval(effect) if effect else number(cells.value(key, measure, "difference"), signed=True)
    count = len(cells.differences(key, measure))
    return f"{name} {change}, {count} {'seed' if count == 1 else 'seeds'}"


def _note(cells: StudyCells, key, measure: str) -> str:
    effect = cells.effect(key, measure)
    if effect is None:
        return "No interval: that takes two seeds that both have."
    says = {"around 0": "holds 0: undecided", "above 0": "lies above 0", "below 0": "lies below 0"}[verdict(effect)]
    return f"The 95 % interval {says}. It is made from {cells.how(measure)}."


def _panels(count: int) -> Figure:
    """So many axes side by side, the first the widest."""
    figure = new_figure(9.4, 3.9, columns=count, margins={"bottom": 0.15, "top": 0.67})
    first = {1: 0.5, 2: 0.44}.get(count, 0.29)
    gap = 0.06
    width = (0.985 - 0.08 - first) / (count - 1) - gap if count > 1 else 0
    for place, axes in enumerate(figure.axes):
        left = 0.08 if place == 0 else 0.08 + first + gap + (place - 1) * (width + gap)
        axes.set_position((left, 0.15, width if place else first, 0.52))
        axes.tick_params(labelsize=9)
        axes.locator_params("y", nbins=4)
    return figure


def _entitle(axes, title: str, under: str) -> None:
    """Both places are given: to find them, every tick would be measured at every drawing."""
    axes.set_title(title, loc="left", fontsize=9.5, y=1.0)
    axes.set_xlabel(under, **SMALL)
    axes.xaxis.set_label_coords(0.5, -0.13)
    axes.yaxis.set_label_coords(0, 0.5)


def _pair(cells: StudyCells, key) -> list[tuple]:
    """The control and the chosen cell, or the control alone, each with its look."""
    control = cells.control_of(key)
    return [(control, CONTROL)] if key == control else [(control, CONTROL), (key, METHOD)]


def _draw_differences(axes, cells: StudyCells, key, measure: str) -> str:
    """A dot a seed, and their mean with its interval."""
    differences, effect = cells.differences(key, measure), cells.effect(key, measure)
    axes.axhline(0, color="black", linewidth=1, linestyle="--")
    axes.plot(differences.to_numpy(), **METHOD | {"linestyle": "none"})
    end = len(differences) + 0.3
    if effect:
        axes.plot([end, end], effect[1:], color="black", linestyle="-", linewidth=3)
        axes.plot([end], [effect.mean], "s", color="black", markerfacecolor="white", markersize=8)
    axes.set_xticks([*range(len(differences)), end], [*differences.index, "mean"])
    axes.set_xlim(-0.6, end + 0.6)
    _entitle(axes, f"{measure_name(measure)} minus that of the control", "seed, and the mean with its interval")
    return f"Differences: {_by_seed(differences, signed=True)}."


def _draw_scores(axes, cells: StudyCells, key, measure: str) -> str:
    """The scores themselves, seed by seed."""
    told = []
    seeds = sorted(set().union(*(cells.scores(one, measure).index for one, _ in _pair(cells, key))))
    for one, look in _pair(cells, key):
        scores = cells.scores(one, measure)
        axes.plot([seeds.index(seed) for seed in scores.index], scores, **look | {"linestyle": "none"})
        told.append(f"{cells.name(one)}: {_by_seed(scores)}")
    for seed, change in cells.differences(key, measure).items():  # a thin line from the control to the method
        to = cells.scores(key, measure)[seed]
        at = seeds.index(seed)
        axes.plot([at, at], [to - change, to], color=METHOD["color"], linestyle="-", linewidth=1)
    axes.set_xticks(range(len(seeds)), seeds)
    axes.set_xlim(-0.6, len(seeds) - 0.4)
    _entitle(axes, measure_name(measure), "seed")
    return f"Scores: {'; '.join(told)}."


def _by_seed(values, signed: bool = False) -> str:
    largest = values.abs().max()
    return ", ".join(f"seed {seed} {number(value, signed, largest)}" for seed, value in values.items()) or "none"


def _draw_curves(axes, cells: StudyCells, key, measure: str, kind: str) -> str:
    """A curve of the training: the mean over the seeds, and each seed faint."""
    told = []
    for one, look in _pair(cells, key):
        curves = _curves(cells, one, kind)
        if not len(curves) or (kind == "L_r" and _reward(cells, one) != _reward(cells, key)):
            continue  # the losses of two reward types cannot be compared
        points = curves.shape[1]
        x = np.arange(1, points + 1) if kind == "dev_curve" else (np.arange(points) + 0.5) / points
        axes.plot(x, curves.T, color=look["color"], linestyle=look["linestyle"], linewidth=0.8, alpha=0.3)
        mean = curves.mean(0)
        marker = {} if kind == "dev_curve" else {"marker": "none"}
        axes.plot(x, mean, linewidth=2, **look | marker)
        who = "control" if one == cells.control_of(key) else "chosen"
        told.append(f"{who} from {number(mean[0])} to {number(mean[-1])}")
    if kind == "dev_curve":
        axes.set_xticks(x)
        axes.set_xlim(x[0] - 0.4, x[-1] + 0.4)
    _entitle(axes, CURVES[kind], "epoch" if kind == "dev_curve" else "share of the training")
    return f"{CURVES[kind].replace('$', '')}: {', '.join(told)}."


def _curves(cells: StudyCells, key, kind: str) -> np.ndarray:
    """(seeds, points) of a cell; no row where the table has no such curve."""
    runs = cells.runs(key)
    curves = [[float(part) for part in text.split()] for text in runs.get(kind, ()) if isinstance(text, str)]
    points = min(map(len, curves), default=0)
    return np.array([curve[:points] for curve in curves if points])


def _reward(cells: StudyCells, key) -> set:
    """Which reward types the L_r of a cell is of; where the table does not say, that of its row."""
    runs = cells.runs(key)
    return set(runs["reward"]) if "reward" in runs else {key[0]}


# All cells -----------------------------------------------------------------------------------------------------------


def draw_overview(cells: StudyCells, measure: str) -> tuple[Figure, str]:
    """The differences of all cells from their controls with their intervals, row by row."""
    keys = [key for key in cells.compared() if len(cells.differences(key, measure))]
    found = {key: (cells.value(key, measure, "difference"), cells.effect(key, measure)) for key in keys}
    height = min(0.2 * (len(keys) + 2), 6.0) + 1.5
    figure = new_figure(9.4, height, margins={"left": 0.26, "right": 0.985, "bottom": 0.5 / height})
    figure.subplots_adjust(top=1 - 0.95 / height)
    places = _draw_intervals(figure.axes[0], found)
    _name_places(figure.axes[0], cells, places)
    handles = [
        figure.axes[0].plot([], [], linestyle="none", markersize=7, label=f"interval {where}", **look)[0]
        for where, look in VERDICTS.items()
    ]
    place = {"loc": "upper left", "bbox_to_anchor": (0.005, 1 - 0.6 / height), "ncols": 3}
    figure.legend(handles=handles, frameon=False, borderaxespad=0, borderpad=0, **place, **SMALL)
    title = f"{measure_name(measure)} minus that of the control, {cells.controls_in_words()}"
    figure.text(0.012, 1 - 0.25 / height, _plain(title), fontsize=11)
    note = _luck(found)
    figure.text(0.012, 1 - 0.5 / height, _plain(note), fontsize=9.5)
    return figure, " ".join(["No cell is chosen.", f"{title}.", note, _told(cells, found)])


def _draw_intervals(axes, found: dict) -> dict:
    """One under the other, with more room where a new row begins. Returns the place of each key."""
    few = len(found) <= MANY
    ends = [end for mean, effect in found.values() for end in (effect[1:] if effect else (mean,))]
    low, high = fences([*ends, 0.0], reach=3.0)
    room = 0.06 * (high - low) or 1.0
    places, last = {}, None
    for key, (mean, effect) in found.items():
        places[key] = y = max(places.values(), default=-1) + (1.0 if last in (None, key[0]) else 1.5)
        last = key[0]
        look = VERDICTS[verdict(effect)]
        if effect:
            axes.plot(effect[1:], [y, y], color=look["color"], linestyle="-", linewidth=2 if few else 1)
        at = min(max(mean, low - room), high + room)  # far from the others: on the edge, with its number
        axes.plot([at], [y], markersize=7 if few else 4, linestyle="none", clip_on=False, **look)
        if at != mean:
            side = {"ha": "left", "xytext": (8, 0)} if mean < at else {"ha": "right", "xytext": (-8, 0)}
            side |= {"va": "center", "textcoords": "offset points", "backgroundcolor": "white"}
            axes.annotate(number(mean, signed=True), (at, y), **SMALL, **side)
    axes.axvline(0, color="black", linewidth=1, linestyle="--")
    axes.set_xlim(low - room, high + room)
    axes.set_ylim(max(places.values(), default=0) + 0.8, -0.8)
    return places


def _name_places(axes, cells: StudyCells, places: dict) -> None:
    """Each cell by its name, or, where they are many, each row."""
    if len(places) <= MANY:
        axes.set_yticks(list(places.values()), [_plain(cells.name(key)) for key in places], **SMALL)
        return
    rows = {row: [y for key, y in places.items() if key[0] == row] for row in cells.row_values}
    rows = {row: np.mean(at) for row, at in rows.items() if at}
    names = [_plain(cells.label(cells.rows, row)) for row in rows]
    order = ", ".join(cells.label(cells.columns, column) for column in cells.column_values)
    axes.set_xlabel(_plain(f"in each row from the top: {order}"), fontsize=7.5, x=0.36)
    axes.set_yticks(list(rows.values()), names, **SMALL)


def _luck(found: dict) -> str:
    """How many intervals leave out 0, and how many would if nothing made a difference."""
    effects = [effect for _, effect in found.values() if effect]
    if not effects:
        return "No intervals yet: each takes two seeds that the cell and its control both have."
    where = [verdict(effect) for effect in effects]
    counts = ", ".join(f"{one}: {where.count(one)}" for one in VERDICTS)
    luck = f"About {len(effects) / 20:.2g} of them leave out 0 by luck, even if nothing makes a difference."
    return f"{len(effects)} intervals of 95 %; {counts}. {luck}"


def _told(cells: StudyCells, found: dict) -> str:
    """The numbers: of all cells, or, where they are many, of those whose interval leaves out 0."""
    shown = {
        key: interval(effect) if effect else number(mean, signed=True)
        for key, (mean, effect) in found.items()
        if len(found) <= MANY or verdict(effect) != "around 0"
    }
    lead = "Differences: " if len(found) <= MANY else "Those that leave out 0: "
    return f"{lead}{'; '.join(f'{cells.name(key)} {text}' for key, text in shown.items()) or 'none'}."


def _plain(text: str) -> str:
    """Without formulas: a $ in a name is a $."""
    return text.replace("$", r"\$")
