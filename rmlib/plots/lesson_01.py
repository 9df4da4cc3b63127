"""The figures of the lesson on the two-part loss."""

import math

import torch
from torch import Tensor

from . import figures
from .figures import Picture


def alpha_text(alpha: float) -> str:
    """An α as a legend shows it."""
    return "reward alone" if alpha == math.inf else f"α = {alpha:g}"


def one_probability(y_hat: Tensor, losses: dict[str, dict[float, Tensor]]) -> Picture:
    """L / (1 + α) over one ŷ that all items share; the lowest point of each curve is marked.

    Args:
        y_hat: (points,), ascending.
        losses: reward -> α -> L at these points, (points,); α is `math.inf` for the reward alone,
            which is drawn as it is, the limit of L / (1 + α).
    """
    figure = figures.new_figure(9.2, 3.3, columns=len(losses))
    words = []
    for axes, (reward, curves) in zip(figure.axes, losses.items(), strict=True):
        for (alpha, loss), style in zip(curves.items(), figures.LINES, strict=False):
            scaled = loss if alpha == math.inf else loss / (1 + alpha)
            low = int(loss.argmin())
            axes.plot(
                y_hat,
                scaled,
                label=alpha_text(alpha),
                linewidth=2,
                marker="o",
                markersize=7,
                markevery=[low],
                **style,
            )
            words.append(f"{reward}, {alpha_text(alpha)}: ŷ = {float(y_hat[low]):.3f}")
        axes.set(title=f"reward: {reward}", xlabel="ŷ, the same for all items", ylim=(0, 2.2))
    figure.axes[0].set_ylabel("L / (1 + α)")
    figure.axes[0].legend()
    text = "; ".join(words)
    return figures.show(
        figure, f"L / (1 + α) over one ŷ for all items. Marked is the lowest point: {text}."
    )


def speeds(curves: dict[str, dict[str, Tensor]]) -> Picture:
    """L_p over the steps, a panel per optimizer, a curve per loss that was trained on.

    Args:
        curves: optimizer -> loss -> L_p, (steps + 1,).
    """
    figure = figures.new_figure(9.2, 3.3, columns=len(curves))
    words = []
    for axes, (optimizer, by_loss) in zip(figure.axes, curves.items(), strict=True):
        # the first ones wide: where two curves agree, the narrow one is seen on the wide one
        widths = (5.5, 2.0, 4.5, 2.0)
        for (name, L_p), style, width in zip(by_loss.items(), figures.LINES, widths, strict=False):
            axes.plot(
                L_p,
                label=name.replace("L_p", "$L_p$").replace("L_r", "$L_r$"),
                linewidth=width,
                **style,
            )
            words.append(f"{optimizer}, {name}: {float(L_p[0]):.4f} -> {float(L_p[-1]):.4f}")
        axes.set(title=optimizer, xlabel="step", yscale="log")
    figure.axes[0].set_ylabel("$L_p$")
    figure.axes[-1].legend(title="trained on")
    text = "; ".join(words)
    return figures.show(figure, f"L_p over the steps, from the first to the last. {text}.")


def against_control(differences: dict[float, Tensor], intervals: dict[float, Tensor]) -> Picture:
    """What α changes against the control, one dot per draw, and the mean with its interval.

    Args:
        differences: α -> (draws, 2), those in F1 and in L_p.
        intervals: α -> (2, 2), the ends of the two means' intervals: [low, high] by [F1, L_p].
    """
    figure = figures.new_figure(9.2, 3.3, columns=2)
    titles = ("F1 minus that of the control", "$L_p$ minus that of the control")
    words = []
    for part, (axes, title) in enumerate(zip(figure.axes, titles, strict=True)):
        axes.axhline(0, color="#444444", linewidth=1.2, linestyle="--")
        for place, (alpha, values) in enumerate(differences.items()):
            column = values[:, part]
            low, high = intervals[alpha][:, part].tolist()
            mean = float(column.mean())
            spread = torch.linspace(-0.12, 0.12, len(column))
            axes.plot(place - 0.1 + spread, column, "o", color=figures.COLOURS["sky"], markersize=4)
            axes.errorbar(
                [place + 0.2],
                [mean],
                [[mean - low], [high - mean]],
                color=figures.COLOURS["vermilion"],
                marker="s",
                markersize=6,
                capsize=5,
                linewidth=2,
            )
            words.append(
                f"{('F1', 'L_p')[part]}, α = {alpha:g}: {mean:+.3f} ({low:+.3f} to {high:+.3f})"
            )
        axes.set_xticks(range(len(differences)), [f"{alpha:g}" for alpha in differences])
        axes.set(title=title, xlabel="α", ylabel="difference", xlim=(-0.5, len(differences) - 0.5))
    text = "; ".join(words)
    return figures.show(
        figure,
        "Differences from plain training with a tuned threshold, a dot per draw of the data; the "
        f"square is the mean with its 95 % interval. {text}.",
    )
