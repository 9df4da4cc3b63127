"""The figures of the lesson on surrogate rewards."""

from collections.abc import Iterable

from .figures import COLOURS, Picture, new_figure, show

MARKERS = (("o", 5), ("s", 7), ("D", 11))  # of growing size: curves may lie on each other
KINDS = {  # what is tuned in a control -> marker, colour
    "nothing": ("^", COLOURS["green"]),
    "threshold": ("o", COLOURS["blue"]),
    "class weight": ("s", COLOURS["vermilion"]),
    "both": ("D", COLOURS["black"]),
}


def settled(rho: Iterable[float], curves: dict[str, Iterable[float]]) -> Picture:
    """Where ŷ settles, over the share ρ of positive items in a group.

    Args:
        rho: one share per group.
        curves: name of the loss -> ŷ of each group.
    """
    figure = new_figure(5.5, 3.4)
    (axes,) = figure.axes
    for (name, values), (marker, size) in zip(curves.items(), MARKERS, strict=False):
        axes.plot(rho, values, marker=marker, ms=size, fillstyle="none", mew=1.5, label=name)
    axes.set(xlabel="ρ, the share of positive items in the group", ylabel="ŷ after training")
    axes.legend()
    texts = [f"{name} {', '.join(f'{v:.2f}' for v in values)}" for name, values in curves.items()]
    shares = ", ".join(f"{share:.1f}" for share in rho)
    return show(figure, f"Where ŷ settles for ρ = {shares}: {'; '.join(texts)}.")


def repetitions(rows: list[dict]) -> Picture:
    """Differences between soft F1 and a tuned threshold: an interval per repetition, and the mean.

    Args:
        rows: one per repetition, with "splits", "steps", "difference", "low" and "high".
    """
    settings = sorted({(row["splits"], row["steps"]) for row in rows})
    figure = new_figure(7, 1.2 + 0.75 * len(settings))
    (axes,) = figure.axes
    texts, labels = [], []
    for place, setting in enumerate(settings):
        each = [row for row in rows if (row["splits"], row["steps"]) == setting]
        name = f"{setting[0]} splits, {setting[1]:,} steps"
        middle, heights = [row["difference"] for row in each], []
        for number in range(len(each)):
            heights.append(place - 0.33 + 0.66 * number / max(len(each) - 1, 1))
        axes.errorbar(
            middle, heights, xerr=_around(each), fmt="o", ms=3, color=COLOURS["blue"], elinewidth=1
        )
        mean = sum(middle) / len(middle)
        ends = [place - 0.42, place + 0.42]
        axes.plot([mean] * 2, ends, "-", color=COLOURS["vermilion"], lw=2, zorder=5)
        with_0 = sum(row["low"] < 0 < row["high"] for row in each)
        labels.append(f"{name}\n{with_0} of {len(each)} contain 0")
        texts.append(
            f"{name}: {min(middle):+.3f} to {max(middle):+.3f}, mean {mean:+.3f}, "
            f"{with_0} of {len(each)} intervals contain 0"
        )
    axes.lines[0].set_label("a repetition and its 95 % interval over splits")
    axes.lines[1].set_label("mean of all")
    axes.axvline(0, color="black", linewidth=1)
    axes.set(xlabel="test F1: soft F1 − cross-entropy with a tuned threshold")
    axes.set_yticks(range(len(settings)), labels)
    axes.set_ylim(len(settings) - 0.5, -0.5)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return show(figure, "Soft F1 minus tuned threshold, by repetition. " + "; ".join(texts) + ".")


def controls(rows: list[dict]) -> Picture:
    """Differences between soft F1 and its controls, with intervals, sorted by kind of control.

    Args:
        rows: with "control", "difference", "low" and "high".
    """
    rows = sorted(rows, key=lambda row: list(KINDS).index(_kind(row["control"])))
    figure = new_figure(7, 1.2 + 0.36 * len(rows))
    (axes,) = figure.axes
    for kind, (marker, colour) in KINDS.items():
        own = [row for row in rows if _kind(row["control"]) == kind]
        if own:
            middle, places = [row["difference"] for row in own], [rows.index(row) for row in own]
            style = {"fmt": marker, "color": colour, "capsize": 4, "fillstyle": "none"}
            axes.errorbar(middle, places, xerr=_around(own), label=kind, **style)
    axes.axvline(0, color="black", linewidth=1)
    axes.set(xlabel="test F1: soft F1 − control; 95 % interval over splits")
    axes.set_yticks(range(len(rows)), [row["control"] for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.legend(title="what is tuned", loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4)
    texts = [
        f"{r['control']} {r['difference']:+.3f} ({r['low']:+.3f} to {r['high']:+.3f})" for r in rows
    ]
    return show(figure, f"Soft F1 minus each control: {'; '.join(texts)}.")


def _around(rows: list[dict]) -> list[list[float]]:
    """How far the interval reaches below and above each difference."""
    return [[abs(row["difference"] - row[end]) for row in rows] for end in ("low", "high")]


def _kind(control: str) -> str:
    if "weight" in control:
        return "both" if "threshold" in control else "class weight"
    return "threshold" if "threshold" in control else "nothing"
