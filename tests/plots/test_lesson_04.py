"""The figures of lesson 04 and their alt texts."""

import numpy as np
import pytest

from rmlib.plots import lesson_04


def test_the_variance_curves_say_where_leave_one_out_is_lower():
    p = lesson_04.GRID
    none = p * (1 - p) ** 3
    curves = {
        2: {"none": none, "leave_one_out": none + 0.01},
        8: {"none": none, "leave_one_out": np.where(p < 0.51, 0, 1)},
    }
    picture = lesson_04.variance_curves(curves)
    assert "for K = 2 nowhere; for K = 8 from p = 0.05 to 0.50." in picture.text
    left, right = picture.figure.axes
    top = 1.3 * (none.max() + 0.01)
    assert left.get_ylim()[1] == pytest.approx(top) and right.get_ylim()[1] == 1.3
    assert f"K = 2 {1.3 / top:.1f}, K = 8 1.0." in picture.text
    assert left.get_title().endswith(f"0 to {top:.2g}") and right.get_title().endswith("0 to 1.3")
    assert [line.get_label() for line in left.lines] == ["none", "leave_one_out"]
    assert right.lines[1].get_ydata() == pytest.approx(curves[8]["leave_one_out"])
    assert left.lines[0].get_linestyle() != left.lines[1].get_linestyle()


def test_loss_and_reward_are_shown_step_by_step_and_averaged():
    loss, reward = np.linspace(0, -1, 40), np.linspace(0, 1, 40)
    picture = lesson_04.loss_and_reward(loss, reward, window=4)
    left, right = picture.figure.axes
    assert left.lines[0].get_ydata() == pytest.approx(loss)
    assert right.lines[1].get_ydata()[0] == pytest.approx(reward[:4].mean())
    assert list(right.lines[1].get_xdata()) == list(range(4, 41))
    assert "mean reward of the samples: 0.04, 0.27, 0.50, 0.96" in picture.text
