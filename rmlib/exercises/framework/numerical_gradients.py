"""The gradient of a learner's value by autograd, held against central differences of the spec."""

from itertools import product

import torch
from torch import Tensor

from rmlib.loss.gradients import central_differences

from .compare import same, show_both
from .exercise import NotYet

STEP = 1e-4  # of the central differences


def gradients_of(answer, args: tuple, name: str, positions: tuple[int, ...] = (0,)) -> list[Tensor]:
    """The gradients of answer(*args) with respect to some of its arguments.

    Args:
        answer: returns one number; its value is known to be right.
        args: the arguments.
        name: what args[positions[0]] is, in words: the result must have a gradient with respect to
            it.
        positions: the arguments to differentiate with respect to.

    Returns:
        one tensor per position, in the shape of the argument; 0 where the result does not depend on
        it.

    Raises:
        NotYet: there is no gradient with respect to the first, or PyTorch cannot compute it.
    """
    leaves = [arg.clone().requires_grad_() if i in positions else arg for i, arg in enumerate(args)]
    lost = NotYet(
        "no-gradient",
        f"the value is right, but it has no gradient with respect to {name}: is there a `detach`, "
        "an `.item()`, a `float(…)`, a `no_grad` or a new tensor on the way?",
    )
    value = answer(*leaves)
    if not getattr(value, "requires_grad", False):
        raise lost
    inputs = [leaves[position] for position in positions]
    try:
        gradients = torch.autograd.grad(value, inputs, allow_unused=True)
    except RuntimeError:
        raise NotYet(
            "in-place-change",
            "the value is right, but backward fails: a tensor is changed after it was used, for "
            "example by `fill_diagonal_` or `t[…] = …`. Multiply, or use `torch.where`",
        ) from None
    if gradients[0] is None:
        raise lost
    return [
        torch.zeros_like(leaf) if gradient is None else gradient
        for leaf, gradient in zip(inputs, gradients, strict=True)
    ]


def check_gradient(
    answer, spec, x: Tensor, y: Tensor, name: str, why: str = "is a part of it detached?"
) -> None:
    """Compare the gradient of answer(x, y) in x with central differences of spec(x, y).

    Args:
        answer: returns one number; its value is known to be right.
        spec: the same value.
        x: where to differentiate, any shape.
        y: labels in the shape of x.
        name: what x is, in words.
        why: a question for the learner whose gradient differs.

    Raises:
        NotYet: there is no gradient, it is not a number, or it is wrong.
    """
    (gradient,) = gradients_of(answer, (x, y), name)
    expected = central_differences(lambda moved: float(spec(moved, y)), x, STEP)
    for index in product(*map(range, x.shape)):
        derivative = float(gradient[index])
        right = float(expected[index])
        where = f"the value is right, but at {float(x[index]):.4g}, label {int(y[index])}"
        if derivative != derivative:
            raise NotYet(
                "nan-gradient",
                f"{where}, the gradient is nan: both branches of a `where` are differentiated",
            )
        if not same(derivative, right, 1e-5):
            shown = show_both(derivative, right)
            raise NotYet(
                "wrong-gradient",
                f"{where}, the gradient is {shown[0]}; expected {shown[1]}: {why}",
            )
