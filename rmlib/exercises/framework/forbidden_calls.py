"""Refuses an answer that calls what the learner should write: autograd, the kit, PyTorch's losses.

The answer runs once with a profile function that sees every call: it doesn't matter under which
name something was imported, or whether it was made before (`g = torch.func.grad(f)`).
"""

import sys
from collections.abc import Callable
from pathlib import Path

import torch

from rmlib.loss import gradients

from . import sandbox
from .exercise import NotYet

LOSS = ("rmlib.loss",)  # the kit's losses, rewards and gradients
MINE = "rmlib.exercises.framework.own_pieces"  # that hands out the kit's pieces, too
KIT = ("rmlib",)
HELPERS = {gradients.through_softmax.__code__, gradients.one_hot.__code__}  # that are handed out

AUTOGRAD, THE_KIT, READY_MADE = "uses-autograd", "uses-the-kit", "uses-ready-made"
MESSAGES = {
    AUTOGRAD: "no autograd here: work out the formula on paper, and compute it",
    THE_KIT: "this calls the kit's `{name}`: write it yourself here, from tensors",
    READY_MADE: "right, but PyTorch's ready-made cross-entropy is not allowed here: write it with "
    "`exp`, `log` or functions built from them",
}

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
CROSS_ENTROPIES = {  # in C, where all ways to them end
    "binary_cross_entropy_with_logits",
    "cross_entropy_loss",
    "nll_loss_nd",
    "soft_margin_loss",
}


def calls(
    function: Callable, *args, packages: tuple[str, ...] = LOSS, refused: tuple[Callable, ...] = ()
) -> dict[str, str]:
    """What `function(*args)` calls while it runs: id -> the name of the first function of its kind.

    Args:
        packages: modules of the kit, and all below them, that count as "uses-the-kit".
        refused: more functions that count as "uses-the-kit".
    """
    found: dict[str, str] = {}
    own = getattr(function, "__code__", None)
    codes = {one.__code__ for one in refused} - {own}

    def of_the_kit(frame) -> bool:
        code, module = frame.f_code, frame.f_globals.get("__name__", "")
        if (
            code in HELPERS
            or code.co_name == "<module>"
            or (code is own and not _inside(module, LOSS))
        ):
            return False  # an answer can't be the kit's loss, but may be the kit's solution
        return code in codes or _inside(module, packages)

    def look(frame, event, argument):
        if event == "c_call":
            name = getattr(argument, "__name__", "")
            if name == ENGINE:
                found.setdefault(AUTOGRAD, name)
            elif name in CROSS_ENTROPIES:
                found.setdefault(READY_MADE, name)
        elif event == "call":
            name = frame.f_code.co_name
            if frame.f_code.co_filename in DIFFERENTIATES:
                found.setdefault(AUTOGRAD, name)
            elif of_the_kit(frame):
                found.setdefault(THE_KIT, name)

    before = sys.getprofile()
    sys.setprofile(look)  # of this thread only
    try:
        function(*args)
    finally:
        sys.setprofile(before)
    return found


def _inside(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in packages)


def refuse(
    answer: Callable,
    args: tuple,
    *ids: str,
    packages: tuple[str, ...] = LOSS,
    refused: tuple[Callable, ...] = (),
    no_autograd: str = MESSAGES[AUTOGRAD],
) -> None:
    """Raise `NotYet` if answer(*args) calls what it may not.

    Args:
        answer: the learner's function; if it is in the sandbox, the function itself is watched.
        args: of the call; tensors are copied.
        ids: of what is refused besides the kit: "uses-autograd", "uses-ready-made".
        packages: as for `calls`.
        refused: as for `calls`, such as the exercise's own solution.
        no_autograd: the message for an answer that uses autograd.
    """
    function = getattr(answer, "learners", answer)
    copies = [arg.clone() if torch.is_tensor(arg) else arg for arg in args]
    found = sandbox.call(lambda: calls(function, *copies, packages=packages, refused=refused))
    if THE_KIT in found:  # first: the kit's gradients use autograd, too
        raise NotYet(THE_KIT, MESSAGES[THE_KIT].format(name=found[THE_KIT]))
    for id, message in {READY_MADE: MESSAGES[READY_MADE], AUTOGRAD: no_autograd}.items():
        if id in ids and id in found:
            raise NotYet(id, message)


def without_autograd(
    inputs, *refused: Callable, seeds: tuple[int, ...] = (4,), message: str = MESSAGES[AUTOGRAD]
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
            refuse(answer, inputs(seed), AUTOGRAD, refused=refused, no_autograd=message)

    return more
