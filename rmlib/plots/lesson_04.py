"""The figures of lesson 04."""

import numpy as np

from .figures import Picture, new_figure, show

GRID = np.linspace(0.05, 0.95, 19)  # of p in `variance_curves`


def variance_curves(curves: dict[int, dict[str, list]]) -> Picture:
    """The exact variance of a sampled derivative over p, one panel per K.

    Args:
        curves: K -> name of a baseline -> the variance at every p of `GRID`; "none" and
            "leave_one_out" are compared in the alt text.
    """
    figure = new_figure(9, 3.2, columns=len(curves))
    tops = {K: 1.3 * max(map(np.max, by_name.values())) for K, by_name in curves.items()}
    ranges, highest = [], max(tops.values())
    for axes, (samples, by_name) in zip(figure.axes, curves.items(), strict=True):
        by_name = {name: np.asarray(values, float) for name, values in by_name.items()}
        for name, values in by_name.items():
            axes.plot(GRID, values, label=name, linewidth=2)
        axes.set(
            title=f"K = {samples}, vertical scale 0 to {tops[samples]:.2g}",
            xlabel="p, the probability of the right answer",
            ylabel="variance of the estimate",
            ylim=(0, tops[samples]),
        )
        axes.legend(loc="upper center", ncols=len(by_name), fontsize=9, handlelength=3)
        wins = GRID[by_name["leave_one_out"] < by_name["none"]]
        where = f"from p = {wins[0]:.2f} to {wins[-1]:.2f}" if len(wins) else "nowhere"
        ranges.append(f"for K = {samples} {where}")
    scales = ", ".join(f"K = {K} {highest / top:.1f}" for K, top in tops.items())
    return show(
        figure,
        "Exact variance of a sampled derivative over p, for one word. Leave-one-out is below "
        f"none: {'; '.join(ranges)}. Magnification of the vertical scale: {scales}.",
    )


def loss_and_reward(loss, reward, window: int = 10) -> Picture:
    """A sampled training: the loss left, the mean reward of the samples right.

    Args:
        loss, reward: (steps,), one value per step.
        window: steps over which the wide lines are averaged.
    """
    figure = new_figure(9, 3.2, columns=2)
    steps = np.arange(1, len(loss) + 1)
    parts = []
    titles = {"the score-function loss": loss, "mean reward of the samples": reward}
    for axes, (title, values) in zip(figure.axes, titles.items(), strict=True):
        values = np.asarray(values, float)
        smooth = np.convolve(values, np.ones(window) / window, "valid")
        axes.plot(steps, values, linewidth=0.8, alpha=0.6, label="each step")
        axes.plot(steps[window - 1 :], smooth, linewidth=2, label=f"mean of {window} steps")
        axes.set(title=title, xlabel="step")
        axes.legend(fontsize=9)
        thirds = smooth[[0, len(smooth) // 4, len(smooth) // 2, -1]]
        parts.append(f"{title}: {', '.join(f'{value:.2f}' for value in thirds)}")
    return show(
        figure,
        "A sampled training at its start, after a quarter, after half, at its end. "
        f"{'; '.join(parts)}.",
    )
