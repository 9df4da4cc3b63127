"""L-BFGS in ask-and-tell form, so that several runs can share one evaluation of the loss."""

import math
from collections import deque
from collections.abc import Callable

from torch import Tensor


class LBFGS:
    """Preconditioned L-BFGS (Nocedal, Mathematics of Computation 1980) with backtracking.

    The caller evaluates the loss at `trial` and passes value and gradient to `update`. A step is
    shortened until the loss falls by enough (Armijo 1966).

    Args:
        w: the start.
        precondition: applies an approximate inverse of the Hessian to a tensor like w. It replaces
            the usual multiple of the identity: the method is L-BFGS in coordinates in which that
            Hessian is the identity.
        scale: what the first step is divided by.
        tolerance: stop if the predicted decrease of the loss is no more than this.
        memory: how many pairs of steps and gradient changes are kept.

    Attributes:
        w, gradient: the last accepted point and its gradient; `path` has the loss at each.
        trial: the next point to evaluate; `done`: whether to stop.
        left: the decrease of the loss that the quadratic model predicts.
    """

    def __init__(
        self,
        w: Tensor,
        precondition: Callable[[Tensor], Tensor],
        scale: float,
        tolerance: float,
        memory: int = 12,
    ):
        self.w = self.trial = w
        self.precondition = precondition
        self.scale = scale
        self.tolerance = tolerance
        self.pairs: deque = deque(maxlen=memory)
        self.path: list[float] = []
        self.left = math.inf
        self.evaluations = 0
        self.done = False

    def update(self, value: float, gradient: Tensor) -> None:
        """Accept or shorten the step to `trial`, where the loss has this value and gradient."""
        self.evaluations += 1
        if not self.path or value <= self.path[-1] + 1e-4 * self.size * self.derivative:
            self._accept(value, gradient)
        elif self.size > 1e-3:
            # minimum of the parabola through both values and the derivative
            excess = value - self.path[-1] - self.size * self.derivative
            finite = math.isfinite(excess)
            shorter = -self.derivative * self.size**2 / (2 * excess) if finite else 0.0
            self.size = min(max(shorter, 0.1 * self.size), 0.5 * self.size)
        elif self.pairs:  # the remembered pairs give a bad direction
            self.pairs.clear()
            self._choose_direction()
        else:
            self.done = True  # float32 resolves no lower value
        self.trial = self.w + self.size * self.direction

    def _accept(self, value: float, gradient: Tensor) -> None:
        if self.path:
            moved = self.trial - self.w
            change = gradient - self.gradient
            curvature = (moved * change).sum()
            if curvature > 1e-6 * moved.norm() * change.norm():  # else not convex along the step
                self.pairs.append((moved, change, 1 / curvature))
        self.w, self.gradient = self.trial, gradient
        self.path.append(value)
        self._choose_direction()

    def _choose_direction(self) -> None:
        """The two-loop recursion: set direction, derivative along it, and first step size."""
        q = self.gradient
        shares = []
        for moved, change, one_over in reversed(self.pairs):
            shares.append(one_over * (moved * q).sum())
            q = q - shares[-1] * change
        if self.pairs:
            moved, change, one_over = self.pairs[-1]
            q = self.precondition(q) / (one_over * (change * self.precondition(change)).sum())
        else:
            q = self.precondition(q) / self.scale
        for (moved, change, one_over), share in zip(self.pairs, reversed(shares), strict=True):
            q = q + (share - one_over * (change * q).sum()) * moved
        self.direction = -q
        self.size = 1.0
        self.derivative = float((self.gradient * self.direction).sum())
        self.left = -self.derivative / 2
        self.done = self.left <= self.tolerance
