"""The figures of lesson 01 show the numbers that went in."""

import math
import re

import pytest
import torch

from rmlib.plots import lesson_01


def test_the_lowest_points_of_the_curves_are_marked_and_in_the_text():
    y_hat = torch.linspace(0.1, 0.9, 9)
    losses = {
        "one": {0: (y_hat - 0.3).abs(), math.inf: (y_hat - 0.9).abs()},
        "two": {0: (y_hat - 0.5).abs(), math.inf: (y_hat - 0.1).abs()},
    }
    picture = lesson_01.one_probability(y_hat, losses)
    assert re.findall(r"(\w+), ([^:;]+): ŷ = (\S+?)[;.]?(?=\s|$)", picture.text) == [
        ("one", "α = 0", "0.300"),
        ("one", "reward alone", "0.900"),
        ("two", "α = 0", "0.500"),
        ("two", "reward alone", "0.100"),
    ]
    lines = picture.figure.axes[0].lines
    assert [line.get_markevery() for line in lines] == [[2], [8]]
    assert len({line.get_linestyle() for line in lines}) == 2


def test_a_finite_alpha_is_drawn_over_1_plus_alpha():
    y_hat = torch.tensor([0.2, 0.8])
    curves = {3: torch.tensor([4.0, 8.0]), math.inf: torch.tensor([0.5, 0.1])}
    finite, alone = lesson_01.one_probability(y_hat, {"one": curves}).figure.axes[0].lines
    assert list(finite.get_ydata()) == [1, 2]
    assert list(alone.get_ydata()) == pytest.approx([0.5, 0.1])


def test_the_differences_are_drawn_with_mean_and_interval():
    values = torch.tensor([[0.01, 0.1], [0.03, 0.3]])
    interval = torch.tensor([[0.0, 0.15], [0.04, 0.25]])
    picture = lesson_01.against_control(
        {1: values, 10: -values}, {1: interval, 10: -interval.flip(0)}
    )
    assert "F1, α = 1: +0.020 (+0.000 to +0.040)" in picture.text
    assert "L_p, α = 10: -0.200 (-0.250 to -0.150)" in picture.text
    dots = [line for line in picture.figure.axes[0].lines if line.get_marker() == "o"]
    assert list(dots[0].get_ydata()) == pytest.approx([0.01, 0.03])


def test_the_speeds_are_drawn_by_optimizer_on_a_logarithmic_axis():
    curves = {
        "SGD": {"L_p": torch.tensor([0.5, 0.1]), "L_p + 10 L_r": torch.tensor([0.5, 0.02])},
        "Adam": {"L_p": torch.tensor([0.5, 0.2]), "L_p + 10 L_r": torch.tensor([0.5, 0.01])},
    }
    picture = lesson_01.speeds(curves)
    left, right = picture.figure.axes
    assert (left.get_title(), right.get_title()) == ("SGD", "Adam")
    assert left.get_yscale() == "log" and left.get_ylabel()
    assert list(right.lines[1].get_ydata()) == pytest.approx([0.5, 0.01])
    assert "SGD, L_p + 10 L_r: 0.5000 -> 0.0200" in picture.text
    assert "Adam, L_p: 0.5000 -> 0.2000" in picture.text
