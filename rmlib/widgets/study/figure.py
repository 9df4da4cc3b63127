"""The pictures under the heat map: a chosen cell against its control, or all cells."""

from functools import partial

import numpy as np
from matplotlib.figure import Figure

from rmlib.plots.figures import COLOURS, new_figure

from .numbers import StudyCells, fences, interval, measure_name, number

CONTROL = {
    "color": "#555555",
    "linestyle": "--",
    "marker": "o",
    "markerfacecolor": "white",
    "markersize": 7,
}
METHOD = {"color": COLOURS["vermilion"], "linestyle": "-", "marker": "D", "markersize": 6}
# Where an interval lies, and how it is drawn.
VERDICTS = {
    "above 0": {"color": COLOURS["vermilion"], "marker": "^"},
    "below 0": {"color": COLOURS["blue"], "marker": "v"},
    "around 0": {"color": "#555555", "marker": "o", "markerfacecolor": "white"},
}
CURVES = {"L_p": "Prediction loss $L_p$", "L_r": "Reward loss $L_r$", "dev_curve": "Dev F1"}
MANY = 40  # with more cells, not every cell is named
SMALL = {"fontsize": 9}


def verdict(effect) -> str:
    """Where an interval lies; without an interval, around 0."""
    if effect is None or not effect.stands:
        return "around 0"
    return "above 0" if effect.low > 0 else "below 0"


# A chosen cell ------------------------------------------------------------------------------------


def draw_cell(cells: StudyCells, key, measure: str) -> tuple[Figure, str]:
    """A cell against its control, seed by seed, with the training curves if the table has them."""
    control = cells.control_of(key)
    curves = [partial(_draw_curves, kind=kind) for kind in CURVES if len(_curves(cells, key, kind))]
    if key == control:
        panels = [_draw_scores, *curves]
    else:
        panels = [_draw_differences, *(curves or [_draw_scores])]
    figure = _panels(len(panels))
    sentences = [
        draw(axes, cells, key, measure) for draw, axes in zip(panels, figure.axes, strict=True)
    ]
    for cell, look in _pair(cells, key):
        word = " (control)" if cell == control else ""
        figure.axes[0].plot([], [], label=_plain(cells.name(cell)) + word, **look)
    place = {"loc": "upper left", "bbox_to_anchor": (0.005, 0.845)}
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), ncols=2, frameon=False, **place, **SMALL
    )
    if key == control:
        mean = number(cells.value(key, measure, "mean"))
        title = f"{cells.name(key)}: the control. Mean {measure_name(measure)} {mean}"
        note = "Press another cell to see it against the control."
    else:
        effect = _effect_in_words(cells, key, measure)
        title = f"{cells.name(key)} against {cells.name(control)}: {effect}"
        note = _note(cells, key, measure)
    figure.text(0.012, 0.935, _plain(title), fontsize=11)
    figure.text(0.012, 0.865, _plain(note), fontsize=9.5)
    return figure, " ".join([f"Chosen: {title}.", note, *sentences])


def _effect_in_words(cells: StudyCells, key, measure: str) -> str:
    effect = cells.effect(key, measure)
    if effect:
        change = interval(effect)
    else:
        change = number(cells.value(key, measure, "difference"), signed=True)
    count = len(cells.differences(key, measure))
    return f"{measure_name(measure)} {change}, {count} {'seed' if count == 1 else 'seeds'}"


def _note(cells: StudyCells, key, measure: str) -> str:
    effect = cells.effect(key, measure)
    if effect is None:
        return "No interval: that takes two seeds that both have."
    where = verdict(effect)
    says = "holds 0: undecided" if where == "around 0" else f"lies {where}"
    return f"The 95 % interval {says}. It is made from {cells.how(measure)}."


def _panels(count: int) -> Figure:
    """A figure with `count` axes side by side, the first the widest."""
    figure = new_figure(9.4, 3.9, columns=count, margins={"bottom": 0.15, "top": 0.67})
    first = {1: 0.5, 2: 0.44}.get(count, 0.29)
    gap = 0.06
    width = (0.985 - 0.08 - first) / (count - 1) - gap if count > 1 else 0
    figure.axes[0].set_position((0.08, 0.15, first, 0.52))
    for i, axes in enumerate(figure.axes[1:]):
        axes.set_position((0.08 + first + gap + i * (width + gap), 0.15, width, 0.52))
    for axes in figure.axes:
        axes.tick_params(labelsize=9)
        axes.locator_params("y", nbins=4)
    return figure


def _entitle(axes, title: str, under: str) -> None:
    """Write the title of the axes and the label under them."""
    axes.set_title(title, loc="left", fontsize=9.5, y=1.0)
    axes.set_xlabel(under, **SMALL)
    # Both positions are given: to find them, matplotlib would measure every tick at every drawing.
    axes.xaxis.set_label_coords(0.5, -0.13)
    axes.yaxis.set_label_coords(0, 0.5)


def _pair(cells: StudyCells, key) -> list[tuple]:
    """The control and the chosen cell, or the control alone, each with its look."""
    control = cells.control_of(key)
    return [(control, CONTROL)] if key == control else [(control, CONTROL), (key, METHOD)]


def _draw_differences(axes, cells: StudyCells, key, measure: str) -> str:
    """One dot per seed, and their mean with its interval."""
    differences = cells.differences(key, measure)
    effect = cells.effect(key, measure)
    axes.axhline(0, color="black", linewidth=1, linestyle="--")
    axes.plot(differences.to_numpy(), **METHOD | {"linestyle": "none"})
    end = len(differences) + 0.3
    if effect:
        axes.plot([end, end], effect[1:], color="black", linestyle="-", linewidth=3)
        axes.plot([end], [effect.mean], "s", color="black", markerfacecolor="white", markersize=8)
    axes.set_xticks([*range(len(differences)), end], [*differences.index, "mean"])
    axes.set_xlim(-0.6, end + 0.6)
    _entitle(
        axes,
        f"{measure_name(measure)} minus that of the control",
        "seed, and the mean with its interval",
    )
    return f"Differences: {_by_seed(differences, signed=True)}."


def _draw_scores(axes, cells: StudyCells, key, measure: str) -> str:
    """The scores themselves, seed by seed."""
    in_words = []
    pair = _pair(cells, key)
    seeds = sorted(set().union(*(cells.scores(cell, measure).index for cell, _ in pair)))
    for cell, look in pair:
        scores = cells.scores(cell, measure)
        x = [seeds.index(seed) for seed in scores.index]
        axes.plot(x, scores, **look | {"linestyle": "none"})
        in_words.append(f"{cells.name(cell)}: {_by_seed(scores)}")
    # a thin line from the control to the method
    for seed, change in cells.differences(key, measure).items():
        x = seeds.index(seed)
        y = cells.scores(key, measure)[seed]
        axes.plot([x, x], [y - change, y], color=METHOD["color"], linestyle="-", linewidth=1)
    axes.set_xticks(range(len(seeds)), seeds)
    axes.set_xlim(-0.6, len(seeds) - 0.4)
    _entitle(axes, measure_name(measure), "seed")
    return f"Scores: {'; '.join(in_words)}."


def _by_seed(values, signed: bool = False) -> str:
    largest = values.abs().max()
    return (
        ", ".join(f"seed {seed} {number(value, signed, largest)}" for seed, value in values.items())
        or "none"
    )


def _draw_curves(axes, cells: StudyCells, key, measure: str, kind: str) -> str:
    """A curve of the training: the mean over the seeds, and each seed faint."""
    in_words = []
    for cell, look in _pair(cells, key):
        curves = _curves(cells, cell, kind)
        if not len(curves) or (kind == "L_r" and _reward(cells, cell) != _reward(cells, key)):
            continue  # the losses of two reward types cannot be compared
        points = curves.shape[1]
        x = np.arange(1, points + 1) if kind == "dev_curve" else (np.arange(points) + 0.5) / points
        line = {"color": look["color"], "linestyle": look["linestyle"]}
        axes.plot(x, curves.T, linewidth=0.8, alpha=0.3, **line)
        mean = curves.mean(0)
        marker = {} if kind == "dev_curve" else {"marker": "none"}
        axes.plot(x, mean, linewidth=2, **look | marker)
        who = "control" if cell == cells.control_of(key) else "chosen"
        in_words.append(f"{who} from {number(mean[0])} to {number(mean[-1])}")
    if kind == "dev_curve":
        axes.set_xticks(x)
        axes.set_xlim(x[0] - 0.4, x[-1] + 0.4)
    _entitle(axes, CURVES[kind], "epoch" if kind == "dev_curve" else "share of the training")
    return f"{CURVES[kind].replace('$', '')}: {', '.join(in_words)}."


def _curves(cells: StudyCells, key, kind: str) -> np.ndarray:
    """(seeds, points) of a cell; no rows where the table has no such curve."""
    runs = cells.runs(key)
    curves = [
        [float(part) for part in text.split()]
        for text in runs.get(kind, ())
        if isinstance(text, str)
    ]
    points = min(map(len, curves), default=0)
    return np.array([curve[:points] for curve in curves if points])


def _reward(cells: StudyCells, key) -> set:
    """The reward types of the L_r of a cell; its row, where the table has no such column."""
    runs = cells.runs(key)
    return set(runs["reward"]) if "reward" in runs else {key[0]}


# All cells ----------------------------------------------------------------------------------------


def draw_overview(cells: StudyCells, measure: str) -> tuple[Figure, str]:
    """The differences of all cells from their controls with their intervals, row by row."""
    effects = {
        key: (cells.value(key, measure, "difference"), cells.effect(key, measure))
        for key in cells.compared()
        if len(cells.differences(key, measure))
    }
    height = min(0.2 * (len(effects) + 2), 6.0) + 1.5
    figure = new_figure(9.4, height, margins={"left": 0.26, "right": 0.985, "bottom": 0.5 / height})
    figure.subplots_adjust(top=1 - 0.95 / height)
    positions = _draw_intervals(figure.axes[0], effects)
    _name_positions(figure.axes[0], cells, positions)
    handles = [
        figure.axes[0].plot(
            [], [], linestyle="none", markersize=7, label=f"interval {where}", **look
        )[0]
        for where, look in VERDICTS.items()
    ]
    place = {"loc": "upper left", "bbox_to_anchor": (0.005, 1 - 0.6 / height), "ncols": 3}
    figure.legend(handles=handles, frameon=False, borderaxespad=0, borderpad=0, **place, **SMALL)
    title = f"{measure_name(measure)} minus that of the control, {cells.controls_in_words()}"
    figure.text(0.012, 1 - 0.25 / height, _plain(title), fontsize=11)
    note = _counts(effects)
    figure.text(0.012, 1 - 0.5 / height, _plain(note), fontsize=9.5)
    return figure, " ".join(["No cell is chosen.", f"{title}.", note, _in_words(cells, effects)])


def _draw_intervals(axes, effects: dict) -> dict:
    """Draw one interval per key, with a gap between rows; returns the height of each key."""
    few = len(effects) <= MANY
    ends = [end for mean, effect in effects.values() for end in (effect[1:] if effect else (mean,))]
    low, high = fences([*ends, 0.0], reach=3.0)
    margin = 0.06 * (high - low) or 1.0
    low, high = low - margin, high + margin
    positions = _positions(effects)
    for key, (mean, effect) in effects.items():
        y = positions[key]
        look = VERDICTS[verdict(effect)]
        if effect:
            line = {"color": look["color"], "linestyle": "-", "linewidth": 2 if few else 1}
            axes.plot(effect[1:], [y, y], **line)
        x = min(max(mean, low), high)
        axes.plot([x], [y], markersize=7 if few else 4, linestyle="none", clip_on=False, **look)
        if x != mean:  # far from the others: it is drawn at the edge, with its number
            side = ("left", 8) if mean < x else ("right", -8)
            _annotate(axes, number(mean, signed=True), (x, y), *side)
    axes.axvline(0, color="black", linewidth=1, linestyle="--")
    axes.set_xlim(low, high)
    axes.set_ylim(max(positions.values(), default=0) + 0.8, -0.8)
    return positions


def _positions(keys) -> dict:
    """The height of each key, from the top; a new row begins after a larger gap."""
    positions = {}
    y, last = -1.0, None
    for key in keys:
        y += 1.0 if last in (None, key[0]) else 1.5
        positions[key] = y
        last = key[0]
    return positions


def _annotate(axes, text: str, point: tuple[float, float], align: str, offset: int) -> None:
    look = {"va": "center", "textcoords": "offset points", "backgroundcolor": "white"}
    axes.annotate(text, point, ha=align, xytext=(offset, 0), **SMALL, **look)


def _name_positions(axes, cells: StudyCells, positions: dict) -> None:
    """Write the name of each cell, or, where they are many, of each row."""
    if len(positions) <= MANY:
        names = [_plain(cells.name(key)) for key in positions]
        axes.set_yticks(list(positions.values()), names, **SMALL)
        return
    rows = {row: [y for key, y in positions.items() if key[0] == row] for row in cells.row_values}
    rows = {row: np.mean(heights) for row, heights in rows.items() if heights}
    names = [_plain(cells.label(cells.rows, row)) for row in rows]
    order = ", ".join(cells.label(cells.columns, column) for column in cells.column_values)
    axes.set_xlabel(_plain(f"in each row from the top: {order}"), fontsize=7.5, x=0.36)
    axes.set_yticks(list(rows.values()), names, **SMALL)


def _counts(effects: dict) -> str:
    """How many intervals exclude 0, and how many would if nothing made a difference."""
    verdicts = [verdict(effect) for _, effect in effects.values() if effect]
    if not verdicts:
        return "No intervals yet: each takes two seeds that the cell and its control both have."
    counts = ", ".join(f"{where}: {verdicts.count(where)}" for where in VERDICTS)
    return (
        f"{len(verdicts)} intervals of 95 %; {counts}. About {len(verdicts) / 20:.2g} of them "
        "leave out 0 by luck, even if nothing makes a difference."
    )


def _in_words(cells: StudyCells, effects: dict) -> str:
    """The numbers of all cells, or, where they are many, of those whose interval excludes 0."""
    few = len(effects) <= MANY
    shown = [
        f"{cells.name(key)} {interval(effect) if effect else number(mean, signed=True)}"
        for key, (mean, effect) in effects.items()
        if few or verdict(effect) != "around 0"
    ]
    lead = "Differences" if few else "Those that leave out 0"
    return f"{lead}: {'; '.join(shown) or 'none'}."


def _plain(text: str) -> str:
    """The text without formulas: a $ in a name stays a $."""
    return text.replace("$", r"\$")
