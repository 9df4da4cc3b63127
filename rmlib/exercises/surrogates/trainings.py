"""Many small trainings at once: soft F1 against cross-entropy with a tuned threshold.

A linear model on two features of the breast cancer data (Street, Wolberg and Mangasarian 1993). One
run is a split of the data and a sequence of random batches. All runs train side by side, as the
rows of one table of weights, so that a comparison over hundreds of them takes seconds.
"""

import csv
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rmlib.loss.objective import combine
from rmlib.text.corpora import data_dir

FEATURES = ("mean texture", "mean concavity")
TRAIN = (18, 162)  # malignant and benign items
TEST = (20, 180)
BATCH = 64
LEARNING_RATE = 0.05  # of Adam


class Items(NamedTuple):
    """Items of several splits: x (splits, items, 2), standardised on the training items, and
    y (splits, items), 1 for malignant.
    """

    x: Tensor
    y: Tensor


@lru_cache
def cells() -> tuple[np.ndarray, np.ndarray]:
    """All 569 items: the two features (items, 2), and y (items,), 1 for malignant."""
    from sklearn.datasets import load_breast_cancer  # here: importing it takes a second

    source = load_breast_cancer()
    columns = [list(source.feature_names).index(name) for name in FEATURES]
    return source.data[:, columns], 1 - source.target


def split(y: np.ndarray, random: np.random.Generator, train=TRAIN, test=TEST) -> tuple:
    """Indices of disjoint training and test items, with these numbers of malignant and benign."""
    bad, fine = (random.permutation(np.flatnonzero(y == kind)) for kind in (1, 0))
    return (
        np.r_[bad[: train[0]], fine[: train[1]]],
        np.r_[bad[train[0] :][: test[0]], fine[train[1] :][: test[1]]],
    )


def items_of(x: np.ndarray, y: np.ndarray, parts: tuple) -> list[tuple]:
    """Training and test items of one split, standardised on the training items."""
    centre, spread = x[parts[0]].mean(0), x[parts[0]].std(0)
    return [((x[part] - centre) / spread, y[part]) for part in parts]


def side_by_side(rows: list) -> tuple[Items, Items]:
    """Training and test items of many splits, from the `items_of` each of them."""
    return tuple(
        Items(*(torch.tensor(np.stack(column)) for column in zip(*part, strict=True)))
        for part in zip(*rows, strict=True)
    )


def splits(seeds) -> tuple[Items, Items]:
    """Training and test items of the splits with these seeds, 10 % of each malignant."""
    x, y = cells()
    return side_by_side([items_of(x, y, split(y, np.random.default_rng(s))) for s in seeds])


def batches(seeds, items: int, steps: int, size: int = BATCH) -> Tensor:
    """The batches of each run, (runs, steps, size): indices of items, drawn without replacement."""
    runs = []
    for seed in seeds:
        order = torch.Generator().manual_seed(seed)
        drawn = [torch.randperm(items, generator=order)[:size] for _ in range(steps)]
        runs.append(torch.stack(drawn))
    return torch.stack(runs)


def gradient(z: Tensor, y: Tensor, alpha: float, weight: float = 1.0) -> Tensor:
    """∂L/∂z of L = L_p + alpha · (1 − soft F1), by the formulas of the lesson on gradients.

    Args:
        z, y: (runs, items); each run has its own L.
        alpha: `math.inf` is the reward alone.
        weight: of the positive items in the cross-entropy.
    """
    y_hat, y = z.sigmoid(), y.to(z)
    share = 1 + (weight - 1) * y
    prediction = share * (y_hat - y) / share.sum(-1, keepdim=True)
    if alpha == 0:
        return prediction
    whole = (y_hat + y).sum(-1, keepdim=True)
    soft_f1 = 2 * (y_hat * y).sum(-1, keepdim=True) / whole
    return combine(alpha, prediction, (soft_f1 - 2 * y) / whole * y_hat * (1 - y_hat))


def scores(items: Items, w: Tensor) -> Tensor:
    """The logits z (runs, items) of models w (runs, 3): two weights and the bias."""
    return items.x[..., 0] * w[:, :1] + items.x[..., 1] * w[:, 1:2] + w[:, 2:]


def train(
    items: Items,
    alpha: float,
    snapshots: tuple[int, ...],
    order: Tensor | None = None,
    weight: float = 1.0,
) -> dict[int, Tensor]:
    """Train every run with Adam from w = 0.

    Args:
        items: one split per run.
        alpha, weight: as in `gradient`.
        snapshots: numbers of steps.
        order: (runs, steps, batch) from `batches`; None: every step sees all items.

    Returns:
        the weights (runs, 3) after each of these numbers of steps.
    """
    w = torch.zeros(len(items.y), 3, dtype=items.x.dtype)
    optimizer = torch.optim.Adam([w], lr=LEARNING_RATE)
    runs = torch.arange(len(w))[:, None]
    taken = {}
    for step in range(max(snapshots)):
        batch = items
        if order is not None:
            rows = order[:, step]
            batch = Items(items.x[runs, rows], items.y[runs, rows])
        by_z = gradient(scores(batch, w), batch.y, alpha, weight)
        features = (batch.x * by_z[..., None]).sum(1)
        w.grad = torch.cat([features, by_z.sum(1, keepdim=True)], -1)
        optimizer.step()
        if step + 1 in snapshots:
            taken[step + 1] = w.clone()
    return taken


def f1(z: Tensor, y: Tensor, threshold=0.0) -> Tensor:
    """F1 (runs,) of the decisions z > threshold; the threshold is a number or (runs,)."""
    found = z > torch.as_tensor(threshold, dtype=z.dtype).reshape(-1, 1)
    positive = y == 1
    return 2 * (found & positive).sum(-1) / (found.sum(-1) + positive.sum(-1)).to(z)


def best_threshold(z: Tensor, y: Tensor) -> Tensor:
    """The threshold (runs,) with the highest F1 on these items: z and y are (runs, items).

    It lies halfway between two neighbouring scores; of equally good ones the highest is taken.
    """
    z, order = z.sort(-1, descending=True)
    found = torch.arange(1, z.shape[-1] + 1)
    true = y.gather(-1, order).cumsum(-1)
    value = 2 * true / (found + y.sum(-1, keepdim=True)).to(z)
    below = torch.cat([z[:, 1:], z[:, -1:] - 2], -1)
    value = value.masked_fill(z == below, -1.0)  # equal scores can't be told apart
    best = value.argmax(-1, keepdim=True)
    return ((z + below) / 2).gather(-1, best)[:, 0]


def angle(w: Tensor, other: Tensor) -> Tensor:
    """Degrees (runs,) between the directions of the two weights, the bias left out."""
    cosine = torch.cosine_similarity(w[:, :2], other[:, :2], -1)
    return cosine.clamp(-1, 1).acos().rad2deg()


def gain(repetitions, seeds, steps: int) -> Tensor:
    """Test F1 (repetitions, splits) of soft F1 minus that of cross-entropy with a tuned threshold.

    Soft F1 is L_p + 10 L_r, decided at ŷ = 1/2. The threshold is tuned on the training items.

    Args:
        repetitions: their numbers. Each has the same splits, and every training in it has random
            batches of 64 of its own.
        seeds: of the splits.
        steps: of Adam.
    """
    items, test = (
        Items(part.x.repeat(len(repetitions), 1, 1), part.y.repeat(len(repetitions), 1))
        for part in splits(seeds)
    )
    batch = batches([s + 1000 * number for number in repetitions for s in seeds], sum(TRAIN), steps)
    plain, soft = (train(items, alpha, (steps,), batch)[steps] for alpha in (0, 10))
    threshold = best_threshold(scores(items, plain), items.y)
    control = f1(scores(test, plain), test.y, threshold)
    return (f1(scores(test, soft), test.y) - control).reshape(len(repetitions), -1)


def stored(**where) -> list[dict]:
    """The rows of data/results/threshold.csv with these values.

    `python -m tests.benchmarks.threshold` writes the file and describes it.
    """
    lines = (data_dir() / "results" / "threshold.csv").read_text(encoding="utf8").splitlines()
    rows = list(csv.DictReader(lines[1:]))
    for row in rows:
        for name in ("steps", "splits"):
            row[name] = int(row[name])
        for name in ("soft F1", "control F1", "difference", "low", "high", "positive", "degrees"):
            row[name] = float(row[name])
    return [row for row in rows if all(row[name] == value for name, value in where.items())]
