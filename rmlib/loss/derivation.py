"""The derivation of the gradients for one item, step by step, each step checked by SymPy."""

import re
from typing import NamedTuple


class DerivationStep(NamedTuple):
    """One step (SymPy): `left` equals `right` once the functions in `given` are substituted."""

    text: str
    left: object
    right: object
    given: dict

    @property
    def latex(self) -> str:
        """The step as a formula in LaTeX, without the arguments (z) and (ŷ) of its functions."""
        from sympy import latex

        formula = f"{latex(self.left)} = {latex(self.right)}"
        return re.sub(r"\{\\left\((z|\\hat\{y\}) \\right\)\}", "", formula)

    def holds(self) -> bool:
        """Whether SymPy finds left - right to be 0, for the label 0 and for the label 1."""
        from sympy import Symbol, simplify

        difference = self.left - self.right
        y = Symbol("y", real=True)
        for function, meaning in self.given.items():
            difference = difference.subs(function, meaning)
        return all(simplify(difference.doit().subs(y, label)) == 0 for label in (0, 1))


def steps() -> list[DerivationStep]:
    """The derivation for one item with logit z and label y, step by step.

    For soft F1, A and B are the contributions of the other items of the batch to Σŷy and Σy + Σŷ.
    In the last two steps F̃ and the sum S = Σy + Σŷ are held constant, since one item of many hardly
    changes them, and ρ is P(y = 1 | x).
    """
    from sympy import Derivative, Function, Subs, exp, log, symbols

    z, y, alpha, a, b, rho, total, free, still = symbols(
        r"z y alpha A B rho S \hat{y} \tilde{F}", real=True
    )
    y_hat, p_y, l_p, loss, f = (
        Function(name)(z) for name in (r"\hat{y}", "p_y", "L_p", "L", r"\tilde{F}")
    )
    sigmoid = {y_hat: 1 / (1 + exp(-z))}
    right_class = {p_y: y * y_hat + (1 - y) * (1 - y_hat)} | sigmoid
    entropy = {l_p: -(y * log(y_hat) + (1 - y) * log(1 - y_hat))}
    both = {loss: l_p + alpha * (1 - p_y)} | entropy | right_class
    f_free = Function(r"\tilde{F}")(free)
    f_of = 2 * (a + free * y) / (b + y + free)
    by_y_hat = (2 * y - f) / (b + y + y_hat)
    mean = rho * (2 - still) / total + (1 - rho) * (0 - still) / total
    simplified = (2 * rho - still) / total
    rows = [
        ("the sigmoid", Derivative(y_hat, z), y_hat * (1 - y_hat), sigmoid),
        ("cross-entropy alone", Derivative(l_p, z), y_hat - y, entropy | sigmoid),
        ("1 - R of expected accuracy", Derivative(1 - p_y, z), p_y * (y_hat - y), right_class),
        ("both", Derivative(loss, z), (1 + alpha * p_y) * (y_hat - y), both),
        ("soft F1", Derivative(f_free, free), (2 * y - f_free) / (b + y + free), {f_free: f_of}),
        (
            "soft F1, to the logit",
            Derivative(f, z),
            by_y_hat * y_hat * (1 - y_hat),
            {f: f_of.subs(free, y_hat)} | sigmoid,
        ),
        ("the mean over a label that is 1 with probability ρ", mean, simplified, {}),
        ("the threshold", Subs(simplified, rho, still / 2), 0 * rho, {}),
    ]
    return [DerivationStep(*row) for row in rows]
