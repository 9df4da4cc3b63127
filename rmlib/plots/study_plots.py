"""Plots of a study: forest plots of differences, and ranks with their ties."""

import pandas as pd

from .figures import COLOURS, LINES, Picture, new_figure, show

MARKERS = ("o", "D", "s", "^", "v", "P")


def forest(effects: pd.DataFrame, title: str) -> Picture:
    """A forest plot of the differences from the controls, one row per effect.

    The thick line is the 95 % interval, the thin one the simultaneous interval of all rows. Each
    method has a colour and a marker of its own, unless there are more methods than colours: then
    all look alike.

    Args:
        effects: as `sentiment_study.against_controls` returns them.
    """
    figure = new_figure(8.6, 1.2 + 0.27 * len(effects))
    axes = figure.axes[0]
    methods = list(dict.fromkeys(effects["method"]))
    for y, effect in enumerate(effects.itertuples()):
        kind = methods.index(effect.method) if len(methods) <= len(MARKERS) else 0
        colour = LINES[kind]["color"]
        look = {"color": colour, "linestyle": "-"}
        axes.plot([effect.all_low, effect.all_high], [y, y], linewidth=1, **look)
        axes.plot([effect.low, effect.high], [y, y], linewidth=3.5, **look)
        dot = {"markersize": 7, "markeredgecolor": "white", "color": colour}
        axes.plot([effect.difference], [y], MARKERS[kind], **dot)
    axes.axvline(0, color="black", linewidth=1, linestyle="--")
    names = [f"{effect.condition}: {effect.method}" for effect in effects.itertuples()]
    axes.set(yticks=range(len(effects)), yticklabels=names, ylim=(len(effects) - 0.4, -0.6))
    axes.set_xlabel(
        "difference from the strongest control\n(thick: 95 % each, thin: 95 % all together)"
    )
    axes.set_title(title, fontsize=11, loc="left")
    rows = [
        f"{name} {effect.difference:+.3f} ({effect.low:+.3f} to {effect.high:+.3f}, "
        f"together {effect.all_low:+.3f} to {effect.all_high:+.3f})"
        for name, effect in zip(names, effects.itertuples(), strict=True)
    ]
    about = "Difference from the strongest control, its 95 % interval, and the one of all together"
    return show(figure, f"{title}. {about}: {'; '.join(rows)}.")


def rank_plot(ranks: pd.DataFrame, title: str) -> Picture:
    """A bar per setting, from the best rank that it may have to the worst.

    Of two bars that share no rank, the upper setting beats the lower.

    Args:
        ranks: as `ner_analysis.ranks` returns them.
    """
    figure = new_figure(8.6, 1.2 + 0.27 * len(ranks))
    axes = figure.axes[0]
    bar = {"linewidth": 5, "color": COLOURS["blue"], "solid_capstyle": "butt", "alpha": 0.6}
    tick = {"markersize": 11, "markeredgewidth": 2, "color": "black"}
    for y, rank in enumerate(ranks.itertuples()):
        axes.plot([rank.best, rank.worst], [y, y], "-", **bar)
        axes.plot([rank.best, rank.worst], [y, y], "|", **tick)
    names = [
        f"{rank.method}, α = {rank.alpha:g}" if rank.alpha else rank.method
        for rank in ranks.itertuples()
    ]
    names = [name.replace("α = inf", "alone") for name in names]
    labels = [f"{name}: {f1:.3f}" for name, f1 in zip(names, ranks["f1"], strict=True)]
    axes.set(yticks=range(len(ranks)), yticklabels=labels, ylim=(len(ranks) - 0.4, -0.6))
    axes.set(xlim=(0.5, len(ranks) + 0.5), xticks=range(1, len(ranks) + 1))
    axes.set_xlabel("ranks that it may have (a guide: intervals drawn from few seeds are narrow)")
    axes.set_title(title, fontsize=11, loc="left")
    rows = [
        f"{name}: F1 {rank.f1:.3f}, rank {rank.best} to {rank.worst}"
        for name, rank in zip(names, ranks.itertuples(), strict=True)
    ]
    return show(figure, f"{title}. Mean test F1 and possible ranks. {'; '.join(rows)}.")
