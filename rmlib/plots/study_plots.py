"""Plots of a study: a forest plot of differences with their intervals, and ranks that show ties as ties."""

import pandas as pd

from .figures import LINES, Picture, new_figure, show

MARKERS = ("o", "D", "s", "^", "v", "P")


def forest(found: pd.DataFrame, title: str) -> Picture:
    """The differences of a table as `sentiment_study.against_controls` makes it, a row each.

    The thick line is the 95 % interval, the thin one the interval that holds together with all others. Each method has
    a colour and a marker of its own, unless there are more methods than colours: then all look alike.
    """
    figure = new_figure(8.6, 1.2 + 0.27 * len(found))
    axes, methods = figure.axes[0], list(dict.fromkeys(found["method"]))
    kinds = dict(zip(methods, range(len(methods)), strict=True)) if len(methods) <= len(MARKERS) else {}
    for row, one in enumerate(found.itertuples()):
        kind = kinds.get(one.method, 0)
        look = {"color": LINES[kind]["color"], "linestyle": "-"}
        axes.plot([one.all_low, one.all_high], [row, row], linewidth=1, **look)
        axes.plot([one.low, one.high], [row, row], linewidth=3.5, **look)
        axes.plot([one.difference], [row], MARKERS[kind], markersize=7, markeredgecolor="white", color=look["color"])
    axes.axvline(0, color="black", linewidth=1, linestyle="--")
    names = [f"{one.condition}: {one.method}" for one in found.itertuples()]
    axes.set(yticks=range(len(found)), yticklabels=names, ylim=(len(found) - 0.4, -0.6))
    axes.set_xlabel("difference from the strongest control\n(thick: 95 % each, thin: 95 % all together)")
    axes.set_title(title, fontsize=11, loc="left")
    told = [
        f"{name} {one.difference:+.3f} ({one.low:+.3f} to {one.high:+.3f}, "
        f"together {one.all_low:+.3f} to {one.all_high:+.3f})"
        for name, one in zip(names, found.itertuples(), strict=True)
    ]
    about = "Difference from the strongest control, its 95 % interval, and the one of all together"
    return show(figure, f"{title}. {about}: {'; '.join(told)}.")


def rank_plot(found: pd.DataFrame, title: str) -> Picture:
    """The ranks of a table as `ner_effects.ranks` makes it: a bar from the best rank that a setting may have to the
    worst. Of two bars that share no rank, the upper setting beats the lower."""
    figure = new_figure(8.6, 1.2 + 0.27 * len(found))
    axes = figure.axes[0]
    for row, one in enumerate(found.itertuples()):
        axes.plot(
            [one.best, one.worst], [row, row], "-", linewidth=5, color="#0072B2", solid_capstyle="butt", alpha=0.6
        )
        axes.plot([one.best, one.worst], [row, row], "|", markersize=11, markeredgewidth=2, color="black")
    names = [f"{one.method}, α = {one.alpha:g}" if one.alpha else one.method for one in found.itertuples()]
    names = [name.replace("α = inf", "alone") for name in names]
    labels = [f"{name}: {f1:.3f}" for name, f1 in zip(names, found["f1"], strict=True)]
    axes.set(yticks=range(len(found)), yticklabels=labels, ylim=(len(found) - 0.4, -0.6))
    axes.set(xlim=(0.5, len(found) + 0.5), xticks=range(1, len(found) + 1))
    axes.set_xlabel("ranks that it may have (a guide: intervals drawn from few seeds are narrow)")
    axes.set_title(title, fontsize=11, loc="left")
    told = [
        f"{name}: F1 {one.f1:.3f}, rank {one.best} to {one.worst}"
        for name, one in zip(names, found.itertuples(), strict=True)
    ]
    return show(figure, f"{title}. Mean test F1 and possible ranks. {'; '.join(told)}.")
