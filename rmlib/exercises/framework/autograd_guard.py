"""Refuses autograd, and the kit's own gradients, to a function that should compute a formula.

The answer runs once with a profile function that sees every call: it doesn't matter under which
name something was imported, or whether it was made before (`g = torch.func.grad(f)`).
"""

import sys
from collections.abc import Callable
from pathlib import Path

import torch

import rmlib.loss
from rmlib.loss import gradients

from . import sandbox
from .exercise import NotYet

NO_AUTOGRAD = "no autograd here: work out the formula on paper, and compute it"
TORCH = Path(torch.__file__).parent
# Where PyTorch differentiates. The rest of torch.autograd and torch._functorch (no_grad, vmap) is
# harmless.
DIFFERENTIATES = {
    *(
        str(TORCH / "autograd" / name)
        for name in ("__init__.py", "functional.py", "forward_ad.py", "graph.py", "gradcheck.py")
    ),
    str(TORCH / "_functorch" / "eager_transforms.py"),
}
ENGINE = "run_backward"  # the method that all backward passes end in
LOSS = str(Path(rmlib.loss.__file__).parent)
HELPERS = {gradients.through_softmax.__code__, gradients.one_hot.__code__}


def forbidden_calls(function: Callable, *args, refused: tuple[Callable, ...] = ()) -> list[str]:
    """The ids of what `function(*args)` may not use: "uses-autograd", "uses-the-kit"; [] if none.

    Only calls that are made while it runs are seen.

    Args:
        refused: functions of the kit that count as "uses-the-kit", besides all of `rmlib.loss`.
    """
    found = []
    own = getattr(function, "__code__", None)
    codes = {one.__code__ for one in refused} - {own}

    def look(frame, event, argument):
        if event == "c_call":
            if getattr(argument, "__name__", "") == ENGINE:
                found.append("uses-autograd")
        elif event == "call":
            code = frame.f_code
            if code.co_filename in DIFFERENTIATES:
                found.append("uses-autograd")
            elif code in codes or (code.co_filename.startswith(LOSS) and code not in HELPERS):
                found.append("uses-the-kit")

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        function(*args)
    finally:
        sys.setprofile(before)
    # The kit's gradients use autograd, too, but the call of the kit is what the learner wrote.
    return sorted(set(found), reverse=True)


def without_autograd(
    inputs, *refused: Callable, seeds: tuple[int, ...] = (4,), message: str = NO_AUTOGRAD
):
    """An exercise's `more`: refuse an answer that calls autograd or the kit's losses.

    Args:
        inputs: the exercise's `inputs`.
        refused: more functions of the kit that the answer may not call, such as the exercise's own
            solution.
        seeds: of the inputs to try.
        message: for an answer that uses autograd.
    """

    def more(answer, spec):
        for seed in seeds:
            refuse(answer.__wrapped__, inputs(seed), refused, message)

    return more


def refuse(
    function: Callable,
    args: tuple,
    refused: tuple[Callable, ...] = (),
    message: str = NO_AUTOGRAD,
) -> None:
    """Raise `NotYet` if function(*args) uses autograd or what the kit has ready."""
    copies = [arg.clone() if torch.is_tensor(arg) else arg for arg in args]
    found = sandbox.call(lambda: forbidden_calls(function, *copies, refused=refused))
    if "uses-the-kit" in found:
        raise NotYet(
            "uses-the-kit",
            "this calls the kit's ready-made loss or gradient: write it yourself, from tensors",
        )
    if found:
        raise NotYet("uses-autograd", message)
