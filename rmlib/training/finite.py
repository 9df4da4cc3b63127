"""Numbers that are not finite end a run: which step, which term, and the likely setting."""

import math

from torch import nn

from rmlib.errors import NotFiniteError

LARGE_ALPHA = 1e4
ADVICE = {
    "lr": "try a smaller lr",
    "alpha": "try a smaller alpha",
    "encoder": "the encoder's numbers overflow before any step: try another encoder, or fp32",
}


def check_step(step) -> None:
    """Check the numbers of a `loop.Step`.

    Raises:
        NotFiniteError: the first term that is not finite, in the order in which they are computed.
    """
    terms = {
        "L_p": step.prediction,
        "L_r": step.reward,
        "L": step.total,
        "the gradient's norm": step.grad_norm,
    }
    bad = next((name for name, value in terms.items() if not math.isfinite(value)), None)
    if bad is None:
        return
    if bad.startswith(("L_p", "L_r")):
        likely = "lr" if step.step > 1 else "encoder"
    else:
        likely = "alpha" if LARGE_ALPHA < step.alpha < math.inf else "lr"
    values = ", ".join(f"{name} {value:g}" for name, value in terms.items() if name != bad)
    raise NotFiniteError(
        f"step {step.step}: {bad} is {terms[bad]:g}, expected a finite number ({values}; alpha "
        f"{step.alpha:g}, lr {step.lr:g}); {ADVICE[likely]}"
    )


def check_weights(model: nn.Module, step: int) -> None:
    """Check the weights that train after a step.

    Raises:
        NotFiniteError: the first of them that is not finite.
    """
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not parameter.isfinite().all():
            raise NotFiniteError(
                f"step {step}: the weights {name} are no longer finite; {ADVICE['lr']}"
            )
