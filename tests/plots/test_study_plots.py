"""The plots of a study: every row is drawn in its place and described in the alt text."""

import pandas as pd

from rmlib.plots.study_plots import MARKERS, forest, rank_plot

TABLE = pd.DataFrame(
    [
        ("clean", "dice", "ce", 0.01, -0.01, 0.03, -0.02, 0.04),
        ("rare", "f1", "ce", -0.2, -0.3, -0.1, -0.4, 0.0),
    ],
    columns=["condition", "method", "control", "difference", "low", "high", "all_low", "all_high"],
)


def test_every_row_is_drawn_and_described():
    picture = forest(TABLE, "A claim")
    assert (
        "clean: dice +0.010 (-0.010 to +0.030, together -0.020 to +0.040); rare: f1 -0.200 (-0"
        in picture.text
    )
    assert picture.text.startswith("A claim. ") and picture.png.startswith(b"\x89PNG")
    (axes,) = picture.figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["clean: dice", "rare: f1"]
    ends = [list(line.get_xdata()) for line in axes.lines]
    assert [-0.02, 0.04] in ends and [-0.3, -0.1] in ends and [-0.2] in ends


def test_more_methods_than_colours_look_alike():
    def looks(count):
        rows = [
            TABLE.iloc[0].tolist()[:1] + [f"m{i}"] + TABLE.iloc[0].tolist()[2:]
            for i in range(count)
        ]
        (axes,) = forest(pd.DataFrame(rows, columns=TABLE.columns), "Many").figure.axes
        return {
            (line.get_marker(), line.get_color())
            for line in axes.lines
            if line.get_marker() in MARKERS
        }

    assert len(looks(len(MARKERS))) == len(MARKERS) and len(looks(len(MARKERS) + 1)) == 1


def test_ranks_are_bars_from_best_to_worst():
    found = pd.DataFrame(
        [
            ("ce", 0.0, 0.72, 1, 2),
            ("soft_f1", float("inf"), 0.70, 1, 2),
            ("soft_f1", 10.0, 0.5, 3, 3),
        ],
        columns=["method", "alpha", "f1", "best", "worst"],
    )
    picture = rank_plot(found, "Who?")
    assert (
        "ce: F1 0.720, rank 1 to 2; soft_f1, alone: F1 0.700, rank 1 to 2; "
        "soft_f1, α = 10: F1 0.500, rank 3 to 3"
    ) in picture.text
    (axes,) = picture.figure.axes
    assert [list(line.get_xdata()) for line in axes.lines[::2]] == [[1, 2], [1, 2], [3, 3]]
    assert [text.get_text() for text in axes.get_yticklabels()][0] == "ce: 0.720"
