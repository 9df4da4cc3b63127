"""The figures of lesson 02, and the numbers in them that the learner does not compute."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from rmlib.loss.gradients import central_differences, relative_error

from .figures import Picture, new_figure, show

TYPES = {"float64": torch.float64, "float32": torch.float32}
ALPHAS = (0, 1, 10, math.inf)


def name_of(alpha: float) -> str:
    return "reward alone" if alpha == math.inf else f"α = {alpha:g}"


def errors_by_step(
    f: Callable[[Tensor], Tensor], gradient: Tensor, z: Tensor, steps: list[float]
) -> dict[str, list[float]]:
    """The relative error of central differences for every step, in float64 and in float32.

    Args:
        f: from z to a scalar, in the type of z.
        gradient: the right one at z, float64.
    """
    return {
        name: [
            relative_error(central_differences(f, z.to(kind), step).double(), gradient)
            for step in steps
        ]
        for name, kind in TYPES.items()
    }


def step_figure(steps: list[float], errors: dict[str, list[float]]) -> Picture:
    """The error of central differences against the step size, on logarithmic scales."""
    figure = new_figure(8.4, 4.0)
    (axes,) = figure.axes
    words = []
    for name, values in errors.items():
        low = min(range(len(steps)), key=values.__getitem__)
        (line,) = axes.loglog(steps, values, marker="o", markersize=4, label=name)
        root = torch.finfo(TYPES[name]).eps ** (1 / 3)
        axes.axvline(root, color=line.get_color(), linestyle=":", linewidth=1.5)
        words.append(
            f"{name}: {values[0]:.0e} at ε = {steps[0]:.0e}, lowest {values[low]:.0e} at "
            f"{steps[low]:.0e}, then up to {values[-1]:.0e}"
        )
    axes.set(
        xlabel="step ε",
        ylabel="relative error",
        title="central differences: error against step size (dotted: cube root of eps)",
    )
    axes.text(8e-3, 2e-7, "truncation: ε²")
    axes.text(2e-10, 3e-5, "rounding: eps/ε")
    axes.text(1e-13, 3.0, "z ± ε rounds to z: difference 0")
    axes.set_ylim(top=40)
    axes.legend(loc="lower left", fontsize=9)
    return show(figure, f"Error against step size. {'; '.join(words)}.")


def focal_weight(p_y: Tensor, gamma: float = 2.0) -> Tensor:
    """The gradient of focal loss, −(1 − p)^γ log p, over that of cross-entropy (Lin et al. 2017).

    With respect to the logit of the right class: (1 − p)^γ − γ p (1 − p)^(γ − 1) log p.
    """
    return (1 - p_y) ** gamma - gamma * torch.xlogy(p_y, p_y) * (1 - p_y) ** (gamma - 1)


def weight_figure(weight: Callable[[float, Tensor], Tensor]) -> Picture:
    """The weight of an item against p_y, and the size of its gradient, for four α and focal loss.

    Args:
        weight: (α, p_y) -> the factor. It is divided by 1 + α, so that only shapes differ; the
            reward alone, p_y, is the limit for a large α.
    """
    p_y = torch.linspace(0, 1, 201)
    figure = new_figure(9.6, 3.8, columns=2)
    curves = {
        name_of(alpha): weight(alpha, p_y) / (1 if alpha == math.inf else 1 + alpha)
        for alpha in ALPHAS
    }
    curves["focal loss, γ = 2"] = focal_weight(p_y)
    words = []
    for name, values in curves.items():
        values = torch.ones_like(p_y) * values
        push = values * (1 - p_y)
        top = int(push.argmax())
        figure.axes[0].plot(p_y, values, label=name, linewidth=2)
        figure.axes[1].plot(p_y, push, linewidth=2, marker="o", markevery=[top])
        words.append(
            f"{name}: weight {values[0]:.2f} at p_y = 0 and {values[-1]:.2f} at 1, largest "
            f"gradient at p_y = {p_y[top]:.2f}"
        )
    for axes, title in zip(
        figure.axes,
        ("weight of an item ÷ (1 + α)", "size of its gradient: weight · (1 − $p_y$) ÷ (1 + α)"),
        strict=True,
    ):
        axes.set(xlabel="$p_y$, probability of the right class", title=title)
    figure.legend(loc="outside lower center", ncols=5, fontsize=9, frameon=False)
    return show(
        figure,
        f"Weight and size of the gradient against p_y, both divided by 1 + α. {'; '.join(words)}.",
    )


def groups(number: int = 10, size: int = 20) -> tuple[Tensor, Tensor]:
    """ρ (groups,) from .05 to .95, and labels (items,), group after group: a share ρ of each is 1.

    ρ is in torch's default type.
    """
    rho = torch.linspace(0.05, 0.95, number)
    return rho, torch.cat([(torch.arange(size) < round(size * r)).long() for r in rho.tolist()])


def f1_of_cut(rho: Tensor, cut: float) -> float:
    """F1 when the groups with ρ above the cut are called positive; groups of one size."""
    yes = (rho > cut).to(rho.dtype)
    return float(2 * (yes * rho).sum() / (yes.sum() + rho.sum()))


def threshold_figure(rho: Tensor, learnt: dict[float, Tensor]) -> Picture:
    """Left, F1 for every threshold on ρ; right, what each group's ŷ becomes by training.

    Args:
        rho: (groups,), ascending: the probability that an item of the group is positive.
        learnt: α -> ŷ (groups,).
    """
    figure = new_figure(9.6, 3.8, columns=2)
    left, right = figure.axes
    cuts = [k / 100 for k in range(100)]
    f1 = [f1_of_cut(rho, cut) for cut in cuts]
    best = max(f1)
    at_best = [cut for cut, f in zip(cuts, f1, strict=True) if f == best]
    left.step(cuts, f1, where="post", linewidth=2)
    left.set(xlabel="threshold on ρ", ylabel="F1", title=f"best F1: {best:.3f}")
    words = []
    for alpha, y_hats in learnt.items():
        right.plot(rho, y_hats, marker="o", label=name_of(alpha), linewidth=2)
        words.append(f"{name_of(alpha)}: {', '.join(f'{p:.2f}' for p in y_hats)}")
    right.set(xlabel="ρ of the group", ylabel="ŷ after training", title="what is learnt")
    for axes in figure.axes:
        axes.axvline(
            best / 2, color="grey", linestyle=":", label=f"half of the best F1: {best / 2:.2f}"
        )
    left.legend(fontsize=9)
    right.legend(fontsize=9)
    groups = ", ".join(f"{r:.2f}" for r in rho)
    return show(
        figure,
        f"Left: F1 against the threshold; the best, {best:.3f}, from {at_best[0]:.2f} to "
        f"{at_best[-1]:.2f}; half of it is {best / 2:.2f}. Right: ŷ after training for groups "
        f"with ρ = {groups}. {'; '.join(words)}.",
    )
