"""The exercises in which the learner writes a judge: one by SymPy, one by central differences.

Each judge is tried on right and on wrong gradients. It must reject the wrong ones and accept the
right ones; the message names one that it gets wrong.
"""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import Tensor

from rmlib.exercises.framework import sandbox
from rmlib.exercises.framework.exercise import (
    NO_CODE,
    Exercise,
    Misconception,
    NotAttempted,
    NotYet,
    is_stub,
)
from rmlib.exercises.framework.forbidden_calls import AUTOGRAD, refuse
from rmlib.loss.gradients import central_differences

from .formulas import total_gradient

F64 = torch.float64
BY_VALUES = "decide by central differences of f, not by autograd"
LARGEST_NOISE = 2e-6  # of a right gradient, relative, in every entry: what float32 leaves


class Case(NamedTuple):
    """A gradient to be judged.

    Attributes:
        id: of the misconception of a judge that gets it wrong.
        f: from z to a scalar.
        gradient: what is claimed to be its gradient at z.
        z: where.
        message: for a judge that gets it wrong.
    """

    id: str
    f: Callable
    gradient: Tensor
    z: Tensor
    message: str


# --- Right and wrong gradients --------------------------------------------------------------------


def is_gradient(f, gradient, z) -> bool:
    """Whether gradient is that of f at z: every entry within 0.1 % of central differences.

    Rounding alone may make 1e-9.
    """
    z = z.detach().to(F64)
    if gradient.shape != z.shape:
        return False
    expected = central_differences(lambda moved: float(f(moved)), z, 1e-5)
    difference = (gradient.detach().to(F64) - expected).abs()
    return bool((difference <= 1e-3 * expected.abs() + 1e-9).all())


class Batch(NamedTuple):
    """The learner's kind of loss on one batch, L = L_p + 3(1 − F̃), and its gradient in parts."""

    f: Callable
    z: Tensor
    prediction: Tensor
    first_term: Tensor
    second_term: Tensor

    @property
    def gradient(self) -> Tensor:
        return self.prediction + self.first_term + self.second_term


def batch(z: Tensor, y: Tensor) -> Batch:
    def f(z):
        p = z.sigmoid()
        loss = (torch.logaddexp(z, torch.zeros_like(z)) - y * z).mean()
        return loss + 3 * (1 - 2 * (p * y).sum() / (p.sum() + y.sum()))

    p = z.sigmoid()
    total = p.sum() + y.sum()
    f1 = 2 * (p * y).sum() / total
    by_sigmoid = p * (1 - p)
    return Batch(
        f, z, (p - y) / len(y), -3 * 2 * y / total * by_sigmoid, 3 * f1 / total * by_sigmoid
    )


def noisy(gradient: Tensor) -> Tensor:
    """The gradient with an error of `LARGEST_NOISE` in every entry, up and down by turns."""
    sign = (-1.0) ** torch.arange(gradient.numel(), dtype=gradient.dtype)
    return gradient * (1 + LARGEST_NOISE * sign.view_as(gradient))


def changed(gradient: Tensor, index, factor: float) -> Tensor:
    """The gradient with one entry multiplied by a factor."""
    gradient = gradient.clone()
    gradient.view(-1)[index] *= factor
    return gradient


def cases() -> list[Case]:
    """21 gradients: the first seven are right."""
    y = torch.tensor([1, 1, 0, 0, 1, 0])
    plain = batch(torch.tensor([1.5, -0.5, 0.3, -2.0, 0.8, 1.1], dtype=F64), y)
    # item 3 is so certain that its derivative is five orders smaller than the others
    confident = batch(torch.tensor([1.5, -0.5, -11.0, -2.0, 0.8, 1.1], dtype=F64), y)
    w = torch.tensor([[1.0, -2.0, 0.5], [3.0, 1.0, -1.0], [0.4, 2.0, 1.2]], dtype=F64)
    table = torch.tensor([[0.2, 1.0, -0.4], [0.7, -1.1, 0.5], [1.3, 0.1, -0.6]], dtype=F64)

    def squares(z):
        return (w.to(z) * z**2).sum()

    def tall(z):
        return (w[:, :2].to(z) * z.exp()).sum()

    def small(z):
        return 1e-5 * plain.f(z)

    def first_two(z):  # the others don't count, except for a trace of the third
        return 1 + z[0] ** 2 + z[1].exp() + 1e-11 * z[2]

    def half_detached(z):
        return plain.f(z) / 2 + plain.f(z.detach()) / 2

    def large(z):
        return 1000 * plain.f(z)

    def of_one_item(z):  # the confident one; the others stay where they are
        return confident.f(torch.cat([confident.z[:2].to(z), z, confident.z[3:].to(z)]))

    z32 = plain.z.float()
    of_first_two = torch.tensor([3.0, float(plain.z[1].exp()), 1e-11, 0, 0, 0], dtype=F64)
    some_nan = plain.gradient.clone()
    some_nan[2] = torch.nan
    return [
        Case(
            "rejects-a-right-gradient",
            plain.f,
            plain.gradient,
            plain.z,
            "the gradient of a loss like yours on six items",
        ),
        Case(
            "rejects-a-table",
            squares,
            2 * w * table,
            table,
            "one of a function of a table (items, classes): z can have any shape",
        ),
        Case(
            "rejects-small-gradients",
            small,
            1e-5 * plain.gradient,
            plain.z,
            "one whose entries are all about 1e-6: an error counts in relation to the entry",
        ),
        Case(
            "rejects-zeros",
            first_two,
            of_first_two,
            plain.z,
            "one with entries that are 0, or so small that rounding (about 1e-10) hides them: a "
            "purely relative comparison has no room for that",
        ),
        Case(
            "rejects-float32-noise",
            large,
            noisy(1000 * plain.gradient),
            plain.z,
            "one that is off by two millionths of each entry, as a gradient from float32 is, with "
            "entries of about 100",
        ),
        Case(
            "rejects-float32",
            plain.f,
            batch(z32.double(), y).gradient.float(),
            z32,
            "one that comes in float32, together with z in float32: compute your differences in "
            "float64",
        ),
        Case(
            "rejects-confident-items",
            confident.f,
            confident.gradient,
            confident.z,
            "one with an entry that is much smaller than the others",
        ),
        Case(
            "accepts-the-wrong-sign",
            plain.f,
            -plain.gradient,
            plain.z,
            "one with the wrong sign everywhere",
        ),
        Case(
            "accepts-twice-the-gradient",
            plain.f,
            2 * plain.gradient,
            plain.z,
            "one that is twice too large everywhere",
        ),
        Case(
            "accepts-a-sum-for-a-mean",
            plain.f,
            plain.gradient + 5 * plain.prediction,
            plain.z,
            "one in which L_p is a sum and not a mean",
        ),
        Case(
            "accepts-a-missing-term",
            plain.f,
            plain.prediction + plain.first_term,
            plain.z,
            "one without the second term of the quotient rule",
        ),
        Case(
            "accepts-one-wrong-entry",
            plain.f,
            changed(plain.gradient, -1, 1.05),
            plain.z,
            "one whose last entry is 5 % too large, while all others are right: look at every "
            "entry before you return True",
        ),
        Case(
            "accepts-with-a-wide-room",
            of_one_item,
            2 * confident.gradient[2:3],
            confident.z[2:3],
            "one with a single entry, which is twice too large: 1.7e-5 where 8.5e-6 is right. Your "
            "absolute room is larger than this entry. It's there for rounding only, about 1e-10",
        ),
        Case(
            "accepts-a-hidden-entry",
            confident.f,
            changed(confident.gradient, 2, 2.0),
            confident.z,
            "one with an entry that is twice too large, and so small beside the others that a norm "
            "hides it: compare entry by entry",
        ),
        Case(
            "accepts-small-gradients",
            small,
            2e-5 * plain.gradient,
            plain.z,
            "one that is twice too large, with entries of about 1e-6: your absolute room is larger "
            "than these entries",
        ),
        Case(
            "accepts-a-percent",
            small,
            changed(1e-5 * plain.gradient, 3, 1.015),
            plain.z,
            "one with an entry of 5e-7 that is 1.5 % too large. Either you allow more than 1 % of "
            "an entry, or your absolute room is too wide: 1e-8, the default of torch.allclose, is "
            "2 % of this entry",
        ),
        Case(
            "accepts-zero",
            small,
            torch.zeros_like(plain.z),
            plain.z,
            "one that is 0 everywhere, where entries of about 1e-6 are right",
        ),
        Case(
            "accepts-a-transpose",
            squares,
            (2 * w * table).T,
            table,
            "one whose rows and columns are swapped",
        ),
        Case(
            "accepts-another-shape",
            tall,
            (w[:, :2] * table[:, :2].exp()).flatten(),
            table[:, :2],
            "one with the right numbers in another shape than z: that is False, too",
        ),
        Case(
            "accepts-nan",
            plain.f,
            some_nan,
            plain.z,
            "one with a nan in it. Every comparison with nan is False: ask whether the entry is "
            "close, not whether it is far",
        ),
        Case(
            "accepts-autograd",
            half_detached,
            plain.gradient / 2,
            plain.z,
            "one that is half of the right one. The function detaches a half of itself, so "
            "autograd finds the same half: only values of f can tell",
        ),
    ]


# --- The learner's checker ------------------------------------------------------------------------


def gradient_is_right(f, gradient, z):
    """Whether the tensor `gradient` is the gradient of the scalar f at z, by central differences.

    z: any shape, float32 or float64; it is not changed. Returns True or False.
    """
    z, gradient = z.detach().double(), gradient.detach().double()
    if gradient.shape != z.shape:
        return False
    step = 1e-5
    for k in range(z.numel()):
        shift = torch.zeros_like(z)
        shift.view(-1)[k] = step
        derivative = (f(z + shift) - f(z - shift)) / (2 * step)
        error = abs(gradient.reshape(-1)[k] - derivative)
        if not error <= 1e-3 * abs(derivative) + 1e-9:  # nan is not <=
            return False
    return True


def judge_checker(checker, is_gradient) -> None:
    """Run the learner's checker on every case."""
    _attempted(checker)
    first = cases()[0]
    given = (first.f, first.gradient, first.z)
    refuse(checker, given, AUTOGRAD, refused=(gradient_is_right,), no_autograd=BY_VALUES)
    failed, right = [], 0
    for case in cases():
        verdict = _verdict(checker, case)
        expected = is_gradient(case.f, case.gradient, case.z)
        right += expected
        if verdict != expected:
            failed.append((case, expected))
    if not failed:
        return
    wrongly_rejected = sum(expected for _, expected in failed)
    wrong = len(cases()) - right
    case, expected = failed[0]
    score = (
        f"it accepts {right - wrongly_rejected} of {right} right gradients and rejects "
        f"{wrong - len(failed) + wrongly_rejected} of {wrong} wrong ones. "
    )
    verb = "It rejects" if expected else "It accepts"
    raise NotYet(case.id, f"{score}{verb} {case.message}")


def _attempted(function) -> None:
    if is_stub(function):
        raise NotAttempted(NO_CODE)
    if not callable(function):
        raise NotYet(
            "not-a-function",
            f"expected the function itself, found {type(function).__name__} {function!r:.60}",
        )


def _verdict(checker, case: Case) -> bool:
    """True or False, from a fresh copy of the case."""
    z, gradient = case.z.clone(), case.gradient.clone()
    try:
        verdict = sandbox.call(checker, case.f, gradient, z)
    except sandbox.LearnersError as error:
        raise NotYet(error.id, f"on {case.message.partition(':')[0]}: {error}") from None
    same_gradient = torch.equal(gradient.nan_to_num(), case.gradient.nan_to_num())
    if not (torch.equal(z, case.z) and same_gradient):
        raise NotYet(
            "changes-its-arguments",
            "your function changes its arguments: z + shift makes a new tensor, z += shift doesn't",
        )
    if verdict is None:
        raise NotYet("returns-none", "it returns None: is a `return` missing on some way?")
    one = torch.is_tensor(verdict) and verdict.numel() == 1 and verdict.dtype == torch.bool
    if not (one or type(verdict).__name__ in ("bool", "bool_")):
        raise NotYet(
            "not-a-verdict",
            f"it returns {str(verdict)[:60]}; expected one True or False for the whole gradient",
        )
    return bool(verdict)


GRADIENT_CHECKER = Exercise(
    id="gradients.gradient_checker",
    title="a gradient checker",
    spec=is_gradient,
    more=judge_checker,
    hints=(
        "Before the loop: `z, gradient = z.double(), gradient.double()`, and a different shape is "
        "False at once. In the loop, compare entry k of `gradient`, `gradient.reshape(-1)[k]`, "
        "with `derivative`. Return True only after the loop.",
        "An entry is right if `error <= 1e-3 * abs(derivative) + 1e-9`: the first part is in "
        "relation to the entry, the second leaves room for rounding. Write "
        "`if not error <= …: return False`, since with nan `error > …` is False, too.",
    ),
    solution=gradient_is_right,
    seconds=30.0,
    piece="gradient_is_right",
)

# --- The learner's loss under the learner's checker -----------------------------------------------

ALPHAS = (0, 1, 10, math.inf)


# As `rmlib.classroom.mine`, so that the solution reads as in the lesson.
mine = SimpleNamespace(gradient_is_right=gradient_is_right)


def verdicts(loss, gradient, z, y):
    """For α = 0, 1, 10 and math.inf: whether gradient(z, y, α) is that of loss(z, y, α): a dict."""
    found = {}
    for alpha in (0, 1, 10, math.inf):

        def f(z, alpha=alpha):
            return loss(z, y, alpha)

        found[alpha] = mine.gradient_is_right(f, gradient(z, y, alpha), z)
    return found


def a_loss(z, y=None, alpha=None):
    """A loss whose error says what a checker that calls it with z alone needs."""
    if y is None or alpha is None:
        raise TypeError(
            "the checker calls its function with z alone, and `loss` wants z, y and alpha: hand "
            "over a function of z that calls `loss(z, y, alpha)`"
        )
    p = z.sigmoid()
    reward = 1 - 2 * (p * y).sum() / (p.sum() + y.sum())
    if alpha == math.inf:
        return reward
    return (torch.logaddexp(z, torch.zeros_like(z)) - y * z).mean() + alpha * reward


class WrongForSome:
    """A function (z, y, α) -> gradient that is twice too large for some α."""

    def __init__(self, wrong: set[float]):
        self._wrong = wrong

    def __call__(self, z, y, alpha):
        right = total_gradient(z, y, alpha)
        return 2 * right if alpha in self._wrong else right

    def __deepcopy__(self, memo):
        return self

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(
            f"`gradient` is a function and has no `.{name}`: call it, `gradient(z, y, alpha)`"
        )


def verdict_inputs(seed: int) -> tuple:
    """A loss, a gradient that is wrong for some α, logits and labels."""
    random = torch.Generator().manual_seed(seed)
    z = torch.randn(4, generator=random, dtype=F64)
    wrong = {ALPHAS[k] for k in range(4) if seed >> k & 1}
    return a_loss, WrongForSome(wrong), z, torch.tensor([1, 0, 1, 0])


def verdicts_spec(loss, gradient, z, y) -> dict:
    return {
        alpha: is_gradient(lambda z, a=alpha: loss(z, y, a), gradient(z, y, alpha), z)
        for alpha in ALPHAS
    }


VERDICTS = Exercise(
    id="gradients.verdicts",
    title="your loss under your checker",
    spec=verdicts_spec,
    inputs=verdict_inputs,
    misconceptions=(
        Misconception(
            "always-true",
            "it says True whatever `gradient` is; some of those that the check hands over are "
            "wrong for some α. Use the arguments `loss` and `gradient`, not your own functions",
            lambda loss, gradient, z, y: dict.fromkeys(ALPHAS, True),
        ),
        Misconception(
            "reversed",
            "True stands for right: your values are the other way",
            lambda loss, gradient, z, y: {
                alpha: not verdict for alpha, verdict in verdicts_spec(loss, gradient, z, y).items()
            },
        ),
        Misconception(
            "late-bound",
            "all four are judged with the loss of the last α, math.inf: a lambda looks α up when "
            "it is called, and then the loop is over. Bind it: `lambda z, alpha=alpha: …`",
            lambda loss, gradient, z, y: {
                alpha: is_gradient(lambda z: loss(z, y, math.inf), gradient(z, y, alpha), z)
                for alpha in ALPHAS
            },
        ),
        Misconception(
            "one-alpha",
            "you compare across α: the loss, or the gradient, is that of α = 1 in all four; each α "
            "has its own",
            lambda loss, gradient, z, y: {
                alpha: is_gradient(lambda z, a=alpha: loss(z, y, a), gradient(z, y, 1), z)
                for alpha in ALPHAS
            },
        ),
    ),
    hints=(
        "A loop over the four α. Your checker wants a function of z alone: define one inside the "
        "loop that calls `loss(z, y, alpha)`.",
        "`def f(z, alpha=alpha): return loss(z, y, alpha)`, then "
        "`mine.gradient_is_right(f, gradient(z, y, alpha), z)` into a dict under `alpha`.",
    ),
    solution=verdicts,
)

# --- The same by SymPy ----------------------------------------------------------------------------


def is_derivative(claim):
    """Whether the SymPy expression `claim` is the derivative of L_p with respect to z.

    claim: an expression in the symbols z and y. Returns True or False.
    """
    import sympy

    z, y = sympy.symbols("z y")
    y_hat = 1 / (1 + sympy.exp(-z))
    L_p = -(y * sympy.log(y_hat) + (1 - y) * sympy.log(1 - y_hat))
    return sympy.simplify(sympy.diff(L_p, z) - claim) == 0


def sympy_parts(**assumptions) -> tuple:
    """z, y and ŷ as SymPy has them."""
    import sympy

    z, y = sympy.symbols("z y", **assumptions)
    return z, y, 1 / (1 + sympy.exp(-z))


def sympy_claims() -> list[tuple]:
    """Claims in z and y, with an id and a message for a judge that gets them wrong."""
    import sympy

    z, y, y_hat = sympy_parts()
    return [
        (y_hat - y, "rejects-the-derivative", "it says False to ŷ − y, which is right"),
        (
            sympy.exp(z) / (1 + sympy.exp(z)) - y,
            "compares-forms",
            "it says False to e^z/(1 + e^z) − y, which is ŷ − y in another form: simplify the "
            "difference, and compare it with 0",
        ),
        (y - y_hat, "accepts-the-wrong-sign", "it says True to y − ŷ: is a sign wrong in L_p?"),
        (
            (y_hat - y) / (y_hat * (1 - y_hat)),
            "with-respect-to-y_hat",
            "it says True to the derivative with respect to ŷ: differentiate with respect to z",
        ),
        (
            2 * y * (y_hat - 1) + (1 - y) * y_hat,
            "accepts-a-wrong-factor",
            "it says True to a claim that is twice too large for positive items",
        ),
    ]


def why_rejected(judge) -> tuple[str, str] | None:
    """The id and the message for a judge that says False to ŷ − y, from what it says True to."""
    z, y, y_hat = sympy_parts()
    real_z, real_y, real_y_hat = sympy_parts(real=True)
    signs = "it says False to ŷ − y, which is right. A sign in your L_p is wrong: "
    accepted = (
        (
            real_y_hat - real_y,
            "assumptions",
            "your symbols have an assumption, such as real=True, and those of the claims have "
            'none. For SymPy they are different symbols: write sympy.symbols("z y")',
        ),
        (y - y_hat, "sign-of-the-loss", signs + "both terms need a minus"),
        (
            -y * (1 - y_hat) - (1 - y) * y_hat,
            "sign-of-the-second-term",
            signs + "the second term, (1 − y) log(1 − ŷ), needs a minus as well: put brackets "
            "around the sum",
        ),
        (
            y * (1 - y_hat) + (1 - y) * y_hat,
            "sign-of-the-first-term",
            signs + "the first term, y log ŷ, needs a minus as well",
        ),
        (
            (y_hat - y) / (y_hat * (1 - y_hat)),
            "with-respect-to-y_hat",
            "this is the derivative with respect to ŷ: differentiate with respect to z",
        ),
    )
    for claim, id, message in accepted:
        if str(sandbox.call(judge, claim)) == "True":
            return id, message
    if names_in(judge).isdisjoint(SIMPLIFIES):
        return (
            "forgets-to-simplify",
            "it says False to ŷ − y, which is right: `==` compares how two expressions are "
            "written. Simplify their difference with `sympy.simplify`, and compare it with 0",
        )
    return None


SIMPLIFIES = {"simplify", "equals", "expand", "ratsimp", "together", "cancel", "subs", "evalf"}
DIFFERENTIATES = {"diff", "Derivative", "Subs", "fdiff"}


def names_in(function) -> set[str]:
    """The names that a function uses, itself and in the functions that it calls by their name."""
    found, waiting = set(), [function]
    seen = []
    while waiting:
        code = waiting.pop()
        own = getattr(code, "__globals__", {})
        code = getattr(code, "__code__", code)
        if code in seen or not hasattr(code, "co_names"):
            continue
        seen.append(code)
        found |= set(code.co_names)
        waiting += [constant for constant in code.co_consts if hasattr(constant, "co_names")]
        waiting += [own[name] for name in code.co_names if hasattr(own.get(name), "__code__")]
    return found


def holds_at_points(claim) -> bool:
    """Whether the claim is dL_p/dz, by central differences at a few points."""
    for z, y in ((-1.3, 0.0), (0.4, 1.0), (2.0, 0.0), (0.9, 1.0)):

        def loss(z, y=y):
            return float(torch.logaddexp(z, torch.zeros_like(z)) - y * z)

        derivative = central_differences(loss, torch.tensor(z, dtype=F64), 1e-5)
        if abs(float(claim.subs({"z": z, "y": y})) - float(derivative)) > 1e-6:
            return False
    return True


def judge_sympy(judge, holds) -> None:
    """Run the learner's function on every claim."""
    _attempted(judge)
    for claim, id, message in sympy_claims():
        verdict = sandbox.call(judge, claim)
        if verdict is None:
            raise NotYet("returns-none", "it returns None: is `return` missing?")
        if str(verdict) not in ("True", "False"):
            raise NotYet("not-a-verdict", f"it returns {str(verdict)[:60]}; expected True or False")
        if (str(verdict) == "True") != holds(claim):
            known = why_rejected(judge) if id == "rejects-the-derivative" else None
            raise NotYet(*(known or (id, message)))
    if names_in(judge).isdisjoint(DIFFERENTIATES):
        raise NotYet(
            "does-not-differentiate",
            "the verdicts are right, but you have typed the derivative yourself: write L_p as a "
            "formula inside the function, and let `sympy.diff` differentiate it",
        )


SYMPY_JUDGE = Exercise(
    id="gradients.sympy_judge",
    title="the same by SymPy",
    spec=holds_at_points,
    more=judge_sympy,
    hints=(
        '`z, y = sympy.symbols("z y")`, without assumptions such as `real=True`; then `y_hat` and '
        "`L_p` as formulas of these symbols, with `sympy.exp` and `sympy.log`.",
        "`sympy.diff(L_p, z)` is the derivative. `sympy.simplify(… - claim) == 0` asks whether the "
        "difference comes to 0.",
    ),
    solution=is_derivative,
    seconds=60.0,
)
