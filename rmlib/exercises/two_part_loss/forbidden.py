"""Refuses answers that call what an exercise asks the learner to write."""

import sys

from rmlib.exercises.framework import sandbox
from rmlib.exercises.framework.exercise import NotYet

READY_MADE = {
    "binary_cross_entropy_with_logits",
    "cross_entropy_loss",
    "nll_loss_nd",
    "soft_margin_loss",
}


def called_by(answer, args: tuple) -> set[str]:
    """The names of all functions that answer(*args) calls.

    "module.function" for one that is written in Python, its name alone for one in C. The answer
    itself is left out, unless it is a function of the kit's losses.

    Args:
        answer: the learner's function in the sandbox; the function itself is its `__wrapped__`.
        args: the arguments.
    """
    function = answer.__wrapped__
    own_code = getattr(function, "__code__", None)
    names = set()

    def note(frame, event, argument):
        if event == "c_call":
            names.add(argument.__name__)
        elif event == "call":
            module = frame.f_globals.get("__name__", "")
            if frame.f_code is not own_code or module.startswith("rmlib.loss"):
                names.add(f"{module}.{frame.f_code.co_name}")

    def watched(*given):
        before = sys.getprofile()
        sys.setprofile(note)  # of this thread only
        try:
            return function(*given)
        finally:
            sys.setprofile(before)

    sandbox.call(watched, *args)
    return names


def refuse(answer, args: tuple, ready_made: bool = True, package: str = "rmlib.") -> None:
    """Raise `NotYet` if answer(*args) calls a ready-made cross-entropy or the kit.

    Args:
        answer: the learner's function in the sandbox.
        args: the arguments.
        ready_made: whether PyTorch's cross-entropies are forbidden, too.
        package: the beginning of the kit's modules that are forbidden.

    Raises:
        NotYet: with the id "uses-ready-made" or "uses-the-kit".
    """
    names = called_by(answer, args)
    if found := sorted(name for name in names if name.startswith(package)):
        raise NotYet(
            "uses-the-kit",
            f"right, but it calls the kit's own `{found[0]}`; write it yourself here",
        )
    if ready_made and names & READY_MADE:
        raise NotYet(
            "uses-ready-made",
            "right, but PyTorch's ready-made cross-entropy is not allowed here: write it with "
            "`exp`, `log` or functions built from them",
        )
