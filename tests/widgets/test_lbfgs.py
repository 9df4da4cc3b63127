"""L-BFGS: on problems with known solutions, and against scipy."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, rosen, rosen_der

from rmlib.widgets.instant_head.lbfgs import LBFGS


def run(optimizer, function, most=2000):
    while not optimizer.done and optimizer.evaluations < most:
        w = optimizer.trial.detach().requires_grad_()
        value = function(w)
        optimizer.update(float(value.detach()), torch.autograd.grad(value, w)[0])
    return optimizer


def rosenbrock(w):
    return (100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2).sum()


def test_rosenbrock_against_scipy():
    start = torch.full((6,), -1.0, dtype=torch.float64)
    own = run(LBFGS(start, lambda g: g, 100.0, 1e-14), rosenbrock)
    theirs = minimize(
        rosen, start.numpy(), jac=rosen_der, method="L-BFGS-B", options={"maxiter": 2000}
    )
    assert own.done and own.path[-1] <= theirs.fun + 1e-8
    assert np.all(np.diff(own.path) < 0)
    assert own.evaluations < 5 * theirs.nfev


def test_preconditioned_by_the_hessian_a_parabola_takes_one_step():
    hessian = torch.diag(torch.tensor([1.0, 100.0, 10000.0], dtype=torch.float64))
    optimizer = LBFGS(
        torch.ones(3, dtype=torch.float64), lambda g: torch.linalg.solve(hessian, g), 1.0, 1e-12
    )

    def parabola(w):
        return w @ hessian @ w / 2 + 3

    optimizer.update(float(parabola(optimizer.trial)), hessian @ optimizer.trial)
    assert optimizer.left == pytest.approx(10101 / 2)  # from L = 3 + 10101 / 2 down to 3
    run(optimizer, parabola)
    assert optimizer.done and optimizer.evaluations == 2 and optimizer.path[-1] == pytest.approx(3)


def test_a_step_to_where_the_loss_is_undefined_is_shortened():
    def wall(w):  # a step of the whole length lands where L is not defined
        return w.square().sum() - (1.2 - w).log().sum()

    own = run(LBFGS(torch.zeros(1, dtype=torch.float64), lambda g: g, 0.1, 1e-14), wall)
    assert own.done and np.all(np.diff(own.path) < 0)
    (w,) = own.w.tolist()
    assert 2 * w + 1 / (1.2 - w) == pytest.approx(0, abs=1e-5)
