"""How the gradient explorer is drawn."""

from types import SimpleNamespace

from rmlib.plots.figures import COLOURS, new_figure

from .numbers import AUTO, BATCH_Y, CENTRAL, CLOSED, PLAIN


def blank() -> SimpleNamespace:
    """The figure, and by name what moves in it: only that is drawn again (see `plots.show`), in a third of the time."""
    figure = new_figure(8.6, 4.0, columns=2, margins={"top": 0.79, "bottom": 0.13})
    left, right = figure.axes
    left.set_position((0.105, 0.13, 0.39, 0.64))
    right.set_position((0.79, 0.13, 0.19, 0.64))
    art = SimpleNamespace(figure=figure, left=left, right=right)
    looks = {  # colour, line, width, marker of the tip, how far below the middle of the row
        CLOSED: ("sky", "-", 11, "", 0.0),
        AUTO: ("vermilion", "-", 6, "", 0.0),
        CENTRAL: ("black", "-", 1.5, "o", 0.0),
        PLAIN: ("green", (0, (2, 1)), 2, "s", 0.33),
    }
    art.arrows = {}
    for name, (colour, dash, width, marker, height) in looks.items():
        look = {"color": COLOURS[colour], "markerfacecolor": "white", "markersize": 5, "solid_capstyle": "butt"}
        (line,) = left.plot([], [], linestyle=dash, linewidth=width, animated=True, **look)
        (tips,) = left.plot([], [], linestyle="none", marker=marker, animated=True, **look)
        left.plot([], [], linestyle=dash, linewidth=width, marker=marker, label=name, **look)  # for the legend
        art.arrows[name] = (line, tips, height)
    rows = range(len(BATCH_Y))
    left.axvline(0, color="#888888", linewidth=0.8, animated=True)
    art.selected = left.axhspan(-0.5, 0.5, color="#EEEEEE", zorder=0, animated=True)
    left.set(ylim=(-len(BATCH_Y) + 0.4, 0.5), yticks=[], xlabel="dL/dz")
    place, mono = left.get_yaxis_transform(), {"family": "monospace", "fontsize": 8}
    moving, whole = {"animated": True, "transform": place, **mono}, {"animated": True, "transform": figure.transFigure}
    art.names = [left.text(-0.26, -k, "", va="center", **moving) for k in rows]
    art.numbers = [left.text(1.0, -k, "", va="center", **moving) for k in rows]
    left.text(-0.26, 0.65, "i   y     ŷ", transform=place, **mono)
    art.header = left.text(1.0, 0.65, "", **moving)
    right.axhline(0, color="#888888", linewidth=0.8)
    (art.mean,) = right.plot([], [], color="black", linestyle="-", animated=True)
    (art.crossing,) = right.plot([], [], color="black", linestyle=":", marker="D", markevery=[-1], animated=True)
    points = {"mfc": "none", "markersize": 8, "clip_on": False, "animated": True}
    (art.ones,) = right.plot([], [], "^", color=COLOURS["vermilion"], **points)
    (art.zeros,) = right.plot([], [], "o", color=COLOURS["blue"], **points)
    right.set(xlim=(-0.08, 1.08), xticks=[0, 0.5, 1], xlabel="ρ, the chance of y = 1")
    for axes, axis in ((left, left.xaxis), (right, right.yaxis)):
        axis.set_animated(True)
        axes.xaxis.set_label_coords(0.5, -0.1)  # to find the place, every tick would be measured at every drawing
    art.title = left.text(0.015, 0.895, "", fontsize=10, **whole)
    art.errors = left.text(0.015, 0.845, "", fontsize=9, **whole)
    art.threshold = left.text(0.75, 0.845, "", fontsize=9, **whole)
    figure.text(0.75, 0.895, "slope of R in ŷ (△ y = 1, ○ y = 0)", fontsize=9)
    look = {"fontsize": 8, "frameon": False, "handlelength": 3, "ncols": 4, "loc": "upper left"}
    figure.legend(handles=[line for line in left.lines if line.get_label() in looks], **look)
    return art
