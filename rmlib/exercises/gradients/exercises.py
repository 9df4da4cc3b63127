"""The exercises on gradients: by hand, by SymPy, by autograd, by central differences; a checker.

Values worked out with loops, and central differences of them, decide what is right.
"""

import torch

from rmlib.exercises.framework.compare import same
from rmlib.exercises.framework.exercise import Exercise, Lesson, Misconception, NotYet
from rmlib.exercises.framework.forbidden_calls import without_autograd
from rmlib.loss.gradients import central_differences

from .checkers import GRADIENT_CHECKER, SYMPY_JUDGE, VERDICTS
from .formulas import EXPECTED_ACCURACY_GRADIENT, ONE_ITEM, TOTAL_GRADIENT, WEIGHT
from .quiz import QUESTIONS
from .training import DESCENT

__all__ = ["GRADIENT_CHECKER", "QUESTIONS", "TOTAL_GRADIENT", "check"]

# --- Central differences --------------------------------------------------------------------------


def central(f, z, step=1e-5):
    """The gradient of the scalar f(z) by central differences; z (any shape) is not changed."""
    gradient = torch.zeros_like(z)
    for k in range(z.numel()):
        shift = torch.zeros_like(z)
        shift.view(-1)[k] = step
        gradient.view(-1)[k] = (f(z + shift) - f(z - shift)) / (2 * step)
    return gradient


def central_spec(f, z, step=1e-5):
    return central_differences(f, z, step)


def central_inputs(seed):
    """f, z and sometimes a step.

    Three kinds of f, in which entries interact or do not; z of one, two and three dimensions; steps
    from 0.001 to 0.1.
    """
    random = torch.Generator().manual_seed(seed)
    shape = ((3 + seed % 3,), (2 + seed % 3, 3), (2, 2, 2))[seed // 2 % 3]
    z, w = torch.randn(2, *shape, generator=random, dtype=torch.float64)
    kinds = (
        lambda z: (z**3).sum(),
        lambda z: (w * z.exp()).sum() * z.sum(),
        lambda z: (w * z**2).exp().sum().log(),
    )
    steps = ((), (0.1,), (0.01,), (0.001,))
    return (kinds[seed % 3], z, *steps[seed // 3 % 4])


def entry(shift, k):
    return shift.view(-1)[k : k + 1]


def wrong_difference(quotient, entries=entry):
    """A mistake in the quotient, or in the entries that are shifted.

    Args:
        quotient: (f, z, shift, step) -> the derivative of one entry.
        entries: (shift, k) -> the view of shift that gets the step for entry k.
    """

    def wrong(f, z, step=1e-5):
        gradient = torch.zeros_like(z)
        for k in range(z.numel()):
            shift = torch.zeros_like(z)
            entries(shift, k).fill_(step)
            gradient.view(-1)[k] = quotient(f, z, shift, step)
        return gradient

    return wrong


def central_quotient(f, z, shift, step):
    return (f(z + shift) - f(z - shift)) / (2 * step)


def first_entry_only(f, z, step=1e-5):
    gradient = central(f, z, step)
    gradient.view(-1)[1:] = 0
    return gradient


CENTRAL_DIFFERENCES = Exercise(
    id="gradients.central_differences",
    title="a central-difference check",
    spec=central_spec,
    inputs=central_inputs,
    misconceptions=(
        Misconception(
            "one-sided",
            "this is one-sided: evaluate f at z + ε and at z − ε",
            wrong_difference(lambda f, z, shift, step: (f(z + shift) - f(z)) / step),
        ),
        Misconception(
            "one-sided-backward",
            "this is one-sided, backward: evaluate f at z + ε and at z − ε",
            wrong_difference(lambda f, z, shift, step: (f(z) - f(z - shift)) / step),
        ),
        Misconception(
            "divides-by-one-step",
            "twice too large: how far apart are the two points at which you evaluate f?",
            wrong_difference(lambda f, z, shift, step: (f(z + shift) - f(z - shift)) / step),
        ),
        Misconception(
            "not-divided",
            "this is the difference of the two values, not yet divided: a derivative is the change "
            "of f per change of z",
            wrong_difference(lambda f, z, shift, step: f(z + shift) - f(z - shift)),
        ),
        Misconception(
            "denominator-without-brackets",
            "`/ 2 * step` divides by 2 and then multiplies by step: put brackets around the "
            "denominator",
            wrong_difference(lambda f, z, shift, step: (f(z + shift) - f(z - shift)) / 2 * step),
        ),
        Misconception(
            "numerator-without-brackets",
            "only the second value is divided: put brackets around the difference",
            wrong_difference(lambda f, z, shift, step: f(z + shift) - f(z - shift) / (2 * step)),
        ),
        Misconception(
            "perturbs-a-row",
            "you perturb a whole row of z at once: each entry needs its own two values",
            wrong_difference(
                central_quotient, lambda shift, k: shift[k * len(shift) // shift.numel()]
            ),
        ),
        Misconception(
            "perturbs-everything",
            "you perturb all entries at once: each entry needs its own two values",
            wrong_difference(central_quotient, lambda shift, k: shift),
        ),
        Misconception(
            "keeps-perturbations",
            "entries that were perturbed stay perturbed: start each entry from z itself",
            wrong_difference(central_quotient, lambda shift, k: shift.view(-1)[: k + 1]),
        ),
        Misconception(
            "first-entry-only",
            "only the first entry has a derivative: does `return` stand inside the loop?",
            first_entry_only,
        ),
        Misconception(
            "half-the-step",
            "the two points must be z + step and z − step: you perturb by half of it",
            lambda f, z, step=1e-5: central(f, z, step / 2),
        ),
        Misconception(
            "ignores-the-step",
            "another `step` changes nothing in your result: use the argument, and only values of f "
            "at z + step and z − step",
            lambda f, z, step=1e-5: central_spec(f, z),
        ),
    ),
    more=without_autograd(
        central_inputs, central_differences, message="no autograd here: values of f only"
    ),
    hints=(
        "A loop over the entries, `range(z.numel())`. For entry k make a tensor of zeros with the "
        "step at that entry, and evaluate $f$ at $z$ plus and at $z$ minus this tensor. "
        "`t.view(-1)` shows the entries of a tensor `t` of any shape in one row.",
        "`shift = torch.zeros_like(z)`, `shift.view(-1)[k] = step`; then the difference of "
        "`f(z + shift)` and `f(z - shift)`, over the distance of the two points. Do not write "
        "`z[k] += step`: it changes the caller's tensor.",
    ),
    solution=central,
)

# --- Autograd -------------------------------------------------------------------------------------


def by_autograd(f, z):
    """The gradient of the scalar f(z) by autograd; z (any shape) is not changed."""
    leaf = z.clone().requires_grad_()
    f(leaf).backward()
    return leaf.grad


def autograd_inputs(seed):
    return central_inputs(seed)[:2]


def autograd_spec(f, z):
    return central_differences(f, z)


def starts_afresh(answer, spec) -> None:
    """A second call gives the same, and autograd was used."""
    f, z = autograd_inputs(5)
    first = answer(f, z).clone()
    if not same(answer(f, z), first):
        raise NotYet(
            "accumulates",
            "called a second time at the same z, it gives another result: `backward` adds to "
            "`z.grad`. Start from a copy, `z.clone()`",
        )
    calls = []

    def counted(z):
        calls.append(z)
        return f(z)

    answer(counted, z)
    if len(calls) > 1:
        raise NotYet(
            "many-values",
            f"it evaluates f {len(calls)} times; autograd needs one value, and goes backward "
            "from it",
        )


BY_AUTOGRAD = Exercise(
    id="gradients.by_autograd",
    title="by autograd",
    spec=autograd_spec,
    inputs=autograd_inputs,
    more=starts_afresh,
    hints=(
        "A copy of z that records what is done with it: `z.clone().requires_grad_()`. Then the "
        "value of f there, and `backward()`.",
        "After `f(leaf).backward()` the gradient is in `leaf.grad`. Or in one line: "
        "`torch.autograd.grad(f(leaf), leaf)[0]`.",
    ),
    solution=by_autograd,
)

check = Lesson(
    q1=ONE_ITEM,
    q2=SYMPY_JUDGE,
    q3=BY_AUTOGRAD,
    q4=CENTRAL_DIFFERENCES,
    q5=TOTAL_GRADIENT,
    q6=GRADIENT_CHECKER,
    q7=VERDICTS,
    q8=EXPECTED_ACCURACY_GRADIENT,
    q9=WEIGHT,
    q10=DESCENT,
)
