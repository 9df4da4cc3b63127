"""Measure how long a move of α or of the reward takes until there is a new head with dev scores.

    python -m tests.benchmarks.instant_head        # writes data/results/instant_head.csv

For every reward 30 moves of α, back and forth over the stops of the slider, each from the current
weights of the head; a move is `Head.fit` and `judge`: training on 20,000 words of the newswire,
tagging and scoring its dev words. The last row has moves of the reward at α = 1, in turn.
scikit-learn's LogisticRegression (lbfgs) fits the same numbers at α = 0 three times in between:
with its own settings, from zero, until it reports convergence. The ratio is of medians.
"""

import os
import sys
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

import pandas as pd
from sklearn.linear_model import LogisticRegression
from tqdm.auto import tqdm

from rmlib.loss.rewards import REWARDS
from rmlib.widgets.framework.explorer import ALPHAS
from rmlib.widgets.instant_head.frozen_features import judge
from rmlib.widgets.instant_head.linear_head import Head
from rmlib.widgets.instant_head.numbers import newswire_features

OUT = Path(__file__).resolve().parents[2] / "data" / "results" / "instant_head.csv"
MOVES, FITS = 30, 3


def path(moves: int = MOVES) -> list[float]:
    """Stops of the slider, up and down again."""
    round_trip = [*ALPHAS, *ALPHAS[-2:0:-1]]
    return [round_trip[(1 + i) % len(round_trip)] for i in range(moves)]


def move(head: Head, dev, alpha: float, reward: str) -> tuple[float, bool]:
    """(milliseconds of a move to a new head and its dev scores, whether the fit converged)."""
    start = perf_counter()
    fit = head.fit(alpha, reward)
    judge(fit.logits(dev.x), dev)
    return (perf_counter() - start) * 1000, fit.converged


def main() -> None:
    train, dev = newswire_features()
    head = Head(train.x, train.y, len(train.labels), train.lengths)

    theirs: list[float] = []
    rows: list[dict] = []
    names = list(REWARDS)
    plans = {name: [(alpha, name) for alpha in path()] for name in names}
    plans["each reward in turn, α = 1"] = [(1.0, names[i % len(names)]) for i in range(MOVES)]
    for number, (name, plan) in enumerate(tqdm(plans.items())):
        if number % (len(plans) // FITS) == 0:
            start = perf_counter()
            LogisticRegression(C=1 / (head.weight_decay * len(train.y)), max_iter=5000).fit(
                train.x.numpy(), train.y
            )
            theirs.append((perf_counter() - start) * 1000)
        head.weights = head.base
        moves = [move(head, dev, *one) for one in plan]
        milliseconds = [one for one, _ in moves]
        rows.append(
            {
                "moves": name,
                "median ms": median(milliseconds),
                "95 % ms": quantiles(milliseconds, n=20, method="inclusive")[-1],
                "converged": sum(converged for _, converged in moves) / len(moves),
            }
        )
    table = pd.DataFrame(rows)
    table["scikit-learn ms"] = median(theirs)
    table["ratio of medians"] = table["scikit-learn ms"] / table["median ms"]
    about = f"python -m tests.benchmarks.instant_head; {MOVES} moves each; "
    about += f"{len(train.x)} words of {train.x.shape[1]} numbers; {os.cpu_count()} processors, "
    about += f"load {os.getloadavg()[0]:.1f}; Python {sys.version.split()[0]}"
    about += "".join(f", {one} {version(one)}" for one in ("torch", "scikit-learn", "seqeval"))
    with OUT.open("w", newline="", encoding="utf8") as file:
        file.write(f"# {about}\n")
        table.round(2).to_csv(file, index=False)
    print(table.round(2).to_string(index=False))


if __name__ == "__main__":
    main()
