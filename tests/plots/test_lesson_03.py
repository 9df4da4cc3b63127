"""The figures of the lesson on surrogate rewards show their numbers, and say them."""

import pytest

from rmlib.plots import lesson_03

ROWS = [
    {"control": "a threshold", "difference": 0.04, "low": 0.02, "high": 0.07},
    {"control": "a weight", "difference": -0.01, "low": -0.03, "high": 0.01},
]
NOTHING = {"control": "ŷ = 1/2", "difference": 0.1, "low": 0.09, "high": 0.11}
BOTH = {"control": "weight 9, threshold", "difference": 0.02, "low": 0.01, "high": 0.03}


def test_settled_draws_one_line_per_loss():
    picture = lesson_03.settled([0.1, 0.4], {"cross-entropy": [0.1, 0.4], "soft F1": [0.0, 0.99]})
    lines = picture.figure.axes[0].lines
    assert [list(line.get_ydata()) for line in lines] == [[0.1, 0.4], [0.0, 0.99]]
    assert "ρ = 0.1, 0.4" in picture.text and "soft F1 0.00, 0.99" in picture.text


def test_repetitions_draws_an_interval_of_each_and_the_mean():
    rows = [
        {"difference": 0.01, "low": -0.01, "high": 0.03},
        {"difference": 0.05, "low": 0.03, "high": 0.07},
    ]
    picture = lesson_03.repetitions([row | {"splits": 12, "steps": 200} for row in rows])
    (axes,) = picture.figure.axes
    points, mean, zero = axes.lines
    assert list(points.get_xdata()) == [0.01, 0.05] and set(zero.get_xdata()) == {0}
    assert mean.get_xdata() == pytest.approx([0.03, 0.03])
    assert ends_of(axes) == [pytest.approx([-0.01, 0.03]), pytest.approx([0.03, 0.07])]
    text = "12 splits, 200 steps: +0.010 to +0.050, mean +0.030, 1 of 2 intervals contain 0"
    assert text in picture.text


def ends_of(axes):
    bars = [container.lines[2][0] for container in axes.containers]
    segments = [segment for bar in bars for segment in bar.get_segments()]
    return [sorted(point[0] for point in segment) for segment in segments]


def test_controls_draws_the_interval_of_each():
    picture = lesson_03.controls([BOTH, *ROWS[::-1], NOTHING])
    (axes,) = picture.figure.axes
    assert ends_of(axes) == [
        pytest.approx([0.09, 0.11]),
        pytest.approx([0.02, 0.07]),
        pytest.approx([-0.03, 0.01]),
        pytest.approx([0.01, 0.03]),
    ]
    assert "a threshold +0.040 (+0.020 to +0.070)" in picture.text
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["ŷ = 1/2", "a threshold", "a weight", "weight 9, threshold"]
    kinds = [text.get_text() for text in axes.get_legend().get_texts()]
    assert kinds == ["nothing", "threshold", "class weight", "both"]
