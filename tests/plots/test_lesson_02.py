"""The figures of lesson 02: their numbers against formulas and against autograd."""

import math
import re

import pytest
import torch

from rmlib.plots import lesson_02

F64 = torch.float64


def test_the_error_of_the_differences_falls_with_the_square_and_rises_again():
    z = torch.tensor([0.3, -1.2, 0.8], dtype=F64)
    steps = [10.0**-k for k in range(1, 14)]
    errors = lesson_02.errors_by_step(lambda z: (z.exp()).sum(), z.exp(), z, steps)
    exact = [math.sinh(step) / step - 1 for step in steps]  # of the exponential, at every z
    assert errors["float64"][:3] == pytest.approx(exact[:3], rel=1e-4)
    assert errors["float64"][-1] > 1000 * min(errors["float64"])
    assert min(errors["float32"]) > 1000 * min(errors["float64"])
    picture = lesson_02.step_figure(steps, errors)
    alt = repr(picture)
    low = min(errors["float64"])
    assert f"lowest {low:.0e} at {steps[errors['float64'].index(low)]:.0e}" in alt
    (axes,) = picture.figure.axes
    colour = {
        line.get_label(): line.get_color() for line in axes.lines if len(line.get_xdata()) > 2
    }
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert [line.get_color() for line in dotted] == [colour["float64"], colour["float32"]]
    eps = [torch.finfo(kind).eps for kind in (F64, torch.float32)]
    assert [line.get_xdata()[0] for line in dotted] == pytest.approx([e ** (1 / 3) for e in eps])


def test_in_float32_a_step_below_1e_8_is_rounded_away():
    z = torch.tensor([0.3, -1.2, 0.8], dtype=F64)
    errors = lesson_02.errors_by_step(lambda z: z.exp().sum(), z.exp(), z, [1e-9, 1e-13])
    assert errors["float32"] == [1.0, 1.0]


def test_the_weight_of_focal_loss_is_that_of_autograd():
    p = torch.linspace(0.02, 0.98, 25, dtype=F64)
    for gamma in (1.0, 2.0, 5.0):
        z = p.logit().requires_grad_()
        y_hat = z.sigmoid()
        (focal,) = torch.autograd.grad((-((1 - y_hat) ** gamma) * y_hat.log()).sum(), z)
        assert torch.allclose(lesson_02.focal_weight(p, gamma), focal / (p - 1))
    ends = lesson_02.focal_weight(torch.tensor([0.0, 1.0]))
    assert ends.tolist() == [1.0, 0.0]


def test_the_weights_rise_with_the_reward_and_fall_with_focal_loss():
    def weight(alpha, p_y):
        return p_y if alpha == math.inf else 1 + alpha * p_y

    picture = lesson_02.weight_figure(weight)
    alt = picture.text
    assert "α = 0: weight 1.00 at p_y = 0 and 1.00 at 1, largest gradient at p_y = 0.00" in alt
    assert (
        "reward alone: weight 0.00 at p_y = 0 and 1.00 at 1, largest gradient at p_y = 0.50" in alt
    )
    assert "focal loss, γ = 2: weight 1.00 at p_y = 0 and 0.00 at 1" in alt
    # α = 10: (1 + 10 p)(1 − p) is largest at p = .45
    assert re.search(r"α = 10: weight 0.09 .* largest gradient at p_y = 0.45; reward alone", alt)
    curves = picture.figure.axes[0].lines
    assert len(curves) == 5 and len({line.get_linestyle() for line in curves}) >= 4


def test_the_best_threshold_is_half_of_the_best_f1():
    """Lipton et al. 2014, by trying: no other set of groups has a better F1."""
    rho = torch.linspace(0.05, 0.95, 10, dtype=F64)
    best = max(lesson_02.f1_of_cut(rho, k / 100) for k in range(100))
    for chosen in range(1, 2**10):
        yes = torch.tensor([chosen >> k & 1 for k in range(10)], dtype=F64)
        assert 2 * (yes * rho).sum() / (yes.sum() + rho.sum()) <= best + 1e-12
    assert lesson_02.f1_of_cut(rho, best / 2) == best


def test_a_share_rho_of_each_group_is_positive():
    rho, labels = lesson_02.groups()
    assert labels.view(10, 20).double().mean(1).tolist() == pytest.approx(rho.tolist())
    assert rho.tolist() == pytest.approx([0.05 + k / 10 for k in range(10)])


def test_what_is_learnt_stands_in_the_text():
    rho = torch.tensor([0.2, 0.8])
    learnt = {0: rho, math.inf: torch.tensor([0.0, 1.0])}
    alt = lesson_02.threshold_figure(rho, learnt).text
    assert "ρ = 0.20, 0.80. α = 0: 0.20, 0.80; reward alone: 0.00, 1.00." in alt
    # yes to the second group alone: F1 = 1.6 / (1 + 1)
    assert "the best, 0.800, from 0.20 to 0.79; half of it is 0.40" in alt
