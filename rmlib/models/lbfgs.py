"""L-BFGS that is told what it asks for, so that several descents can share one evaluation of the loss."""

import math
from collections import deque
from collections.abc import Callable

from torch import Tensor


class Descent:
    """L-BFGS (Nocedal, Mathematics of Computation 1980) from outside: it says where to look, and is told what is there.

    So several of them can look at once. A step is halved, or cut shorter, until L falls by enough (Armijo 1966).

    Args:
        w: the start.
        solve: an inverse of about the Hessian, applied to a tensor like w. It takes the place of the multiple of the
            identity that is usual: the same as L-BFGS in coordinates in which that Hessian is the identity.
        scale: what the first step is divided by.
        tolerance: stop when L may fall by no more than this.
    """

    def __init__(self, w: Tensor, solve: Callable[[Tensor], Tensor], scale: float, tolerance: float, memory: int = 12):
        self.w = self.trial = w
        self.solve, self.scale, self.tolerance = solve, scale, tolerance
        self.pairs: deque = deque(maxlen=memory)
        self.path: list[float] = []
        self.done, self.left, self.evaluations = False, math.inf, 0

    def tell(self, value: float, gradient: Tensor) -> None:
        """L and its gradient at `trial`; afterwards `trial` is the next place to look at."""
        self.evaluations += 1
        if not self.path or value <= self.path[-1] + 1e-4 * self.size * self.slope:
            if self.path:
                moved, change = self.trial - self.w, gradient - self.gradient
                if (moved * change).sum() > 1e-6 * moved.norm() * change.norm():  # else L is not convex along it
                    self.pairs.append((moved, change, 1 / (moved * change).sum()))
            self.w, self.gradient = self.trial, gradient
            self.path.append(value)
            self._aim()
        elif self.size > 1e-3:
            above = value - self.path[-1] - self.size * self.slope  # of the parabola through what is known
            shorter = -self.slope * self.size**2 / (2 * above) if math.isfinite(above) else 0.0
            self.size = min(max(shorter, 0.1 * self.size), 0.5 * self.size)
        elif self.pairs:  # what it remembers misleads it
            self.pairs.clear()
            self._aim()
        else:
            self.done = True  # as low as float32 can tell
        self.trial = self.w + self.size * self.direction

    def _aim(self) -> None:
        """The direction, the slope of L along it, and the size of the first try."""
        q, shares = self.gradient, []
        for moved, change, one_over in reversed(self.pairs):
            shares.append(one_over * (moved * q).sum())
            q = q - shares[-1] * change
        if self.pairs:
            moved, change, one_over = self.pairs[-1]
            q = self.solve(q) / (one_over * (change * self.solve(change)).sum())
        else:
            q = self.solve(q) / self.scale
        for (moved, change, one_over), share in zip(self.pairs, reversed(shares), strict=True):
            q = q + (share - one_over * (change * q).sum()) * moved
        self.direction, self.size = -q, 1.0
        self.slope = float((self.gradient * self.direction).sum())
        self.left = -self.slope / 2
        self.done = self.left <= self.tolerance
