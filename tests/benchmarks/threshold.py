"""Compare soft F1 with cross-entropy whose threshold, or whose class weight, is tuned.

    python -m tests.benchmarks.threshold        # writes data/results/threshold.csv

The model and the data are those of `rmlib.exercises.surrogates.trainings`. A row holds a mean over
splits: the test F1 of soft F1 (L_p + 10 L_r, decided at ŷ = 1/2), that of a control, and their
difference with its 95 % interval. These intervals hold for the mean over all splits of these 569
items. They say nothing about other items; what does is the experiment "without a tenth".

Experiments:

- repetition: batches of 64; the same splits twelve times, every training with batches of its own.
- all items: every step sees all training items; with every control. 60 splits and 3,000 steps,
  then 1,600 splits and 1,000 steps.
- drawn labels: the same with labels drawn from a logistic model of the two features, so that
  cross-entropy fits the right model.
- without extremes: without the benign items of highest concavity, one to four of them.
- without others: for comparison, without three other items.
- without a tenth: a tenth of the 569 items is left out, the rest split again. Ten rows per control;
  their spread, times (groups − 1) / √groups, is the standard error over items
  (delete-a-group jackknife). Splits are a little smaller there (17 and 153 test items).
"""

import csv
import sys
from pathlib import Path

import numpy as np
import sklearn
import torch
from scipy.stats import t as student
from tqdm.auto import tqdm

from rmlib.exercises.surrogates import trainings
from rmlib.exercises.surrogates.trainings import Items

OUT = Path(__file__).resolve().parents[2] / "data" / "results" / "threshold.csv"
ALPHA = 10
STEPS = (200, 1000, 3000)
SPLITS, FEW, REPETITIONS = 60, 12, 12
DRAWN = 300  # splits with drawn labels
MANY = 1600
TENTHS = 10
EXTREMES = 4
SMALLER = (17, 153)  # test items where a tenth is left out
WEIGHTS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 13.0)
BALANCED = 9.0  # 162 / 18
FOLDS = 5
DECIDED, ON_TRAIN, ON_FOLDS = "ŷ = 1/2", "threshold, training items", "threshold, 5 folds"
HELD_OUT = "threshold, a third held out"
BALANCED_CE, BALANCED_FOLDS = "weight 9", "weight 9, threshold, 5 folds"
ROOT_CE, TUNED_CE = "weight 3", "weight by 5 folds"
DIRECTION = "both with their best threshold on the test items"
COLUMNS = [
    "experiment",
    "batch",
    "steps",
    "number",
    "splits",
    "control",
    "soft F1",
    "control F1",
    "difference",
    "low",
    "high",
    "positive",
    "degrees",
]


def fitted(items: Items, weight: float = 1.0, mask=1.0, rounds: int = 20) -> torch.Tensor:
    """The weights (runs, 3) where weighted cross-entropy is lowest, by Newton's method."""
    x = torch.cat([items.x, torch.ones_like(items.x[..., :1])], -1)
    y = items.y.to(x)
    share = (1 + (weight - 1) * y) * mask
    w = x.new_zeros(len(y), 3)
    for _ in range(rounds):
        p = (x @ w[..., None])[..., 0].sigmoid()
        gradient = (x * (share * (p - y))[..., None]).sum(1)
        curvature = (x * (share * p * (1 - p))[..., None]).mT @ x + 1e-6 * torch.eye(3).to(x)
        step = torch.linalg.solve(curvature, gradient + 1e-6 * w)
        # At most 3 long: where a fold is separable the weights would run away.
        w = w - step * (3 / step.norm(dim=-1, keepdim=True)).clamp(max=1)
    return w


def fold_of(y: torch.Tensor, folds: int, seed: int = 0) -> torch.Tensor:
    """A fold for each item, (runs, items); the positives are spread evenly."""
    random = torch.Generator().manual_seed(seed)
    shuffled = (torch.rand(y.shape, generator=random) + y).argsort(-1).argsort(-1)
    return shuffled % folds


def held_out_scores(items: Items, weight: float = 1.0) -> torch.Tensor:
    """The score of each training item by the model that was fitted without its fold."""
    fold = fold_of(items.y, FOLDS)
    z = torch.zeros(fold.shape, dtype=items.x.dtype)
    for k in range(FOLDS):
        w = fitted(items, weight, fold != k)
        z = torch.where(fold == k, trainings.scores(items, w), z)
    return z


def f1_with(w, test: Items, threshold=0.0) -> torch.Tensor:
    return trainings.f1(trainings.scores(test, w), test.y, threshold)


def with_best_threshold(w, items: Items) -> torch.Tensor:
    """F1 with the best threshold on these very items."""
    z = trainings.scores(items, w)
    return trainings.f1(z, items.y, trainings.best_threshold(z, items.y))


def controls(train: Items, test: Items) -> dict[str, torch.Tensor]:
    """Test F1 of every control that uses the training items alone, (runs,) each."""
    plain, balanced = fitted(train), fitted(train, BALANCED)
    third = fold_of(train.y, 3) == 0
    without = fitted(train, mask=~third)
    z = trainings.scores(train, without).masked_fill(~third, -torch.inf)
    by_weight = [held_out_scores(train, weight) for weight in WEIGHTS]
    best = torch.stack([trainings.f1(z, train.y) for z in by_weight]).argmax(0)
    tested = torch.stack([f1_with(fitted(train, weight), test) for weight in WEIGHTS])
    on_train = trainings.best_threshold(trainings.scores(train, plain), train.y)
    on_third = trainings.best_threshold(z, train.y * third)
    on_folds = trainings.best_threshold(by_weight[0], train.y)
    balanced_folds = trainings.best_threshold(by_weight[WEIGHTS.index(BALANCED)], train.y)
    return {
        DECIDED: f1_with(plain, test),
        ON_TRAIN: f1_with(plain, test, on_train),
        ON_FOLDS: f1_with(plain, test, on_folds),
        HELD_OUT: f1_with(without, test, on_third),
        BALANCED_CE: f1_with(balanced, test),
        BALANCED_FOLDS: f1_with(balanced, test, balanced_folds),
        ROOT_CE: f1_with(fitted(train, 3.0), test),
        TUNED_CE: tested.gather(0, best[None])[0],
    }


def row(facts: tuple, ours, theirs, degrees) -> dict:
    """One row: means over the splits, and the interval of the paired difference.

    Args:
        facts: experiment, batch, steps, number, control.
        ours, theirs, degrees: (splits,) F1 of soft F1 and of the control, angle between their w.
    """
    difference = (ours - theirs).numpy()
    half = student.ppf(0.975, len(difference) - 1) * difference.std(ddof=1)
    half /= len(difference) ** 0.5
    middle = difference.mean()
    values = (ours.mean(), theirs.mean(), middle, middle - half, middle + half)
    numbers = [f"{float(value):.4f}" for value in (*values, (difference > 0).mean())]
    *where, control = facts
    cells = [*where, len(difference), control, *numbers, f"{float(degrees.mean()):.1f}"]
    return dict(zip(COLUMNS, cells, strict=True))


def by_repetition() -> list[dict]:
    """Twelve repetitions with other batches, over the first twelve splits and over all."""
    train, test = trainings.splits(range(SPLITS))
    rows = []
    for number in tqdm(range(REPETITIONS), desc="repetition"):
        order = trainings.batches([s + 1000 * number for s in range(SPLITS)], 180, max(STEPS))
        plain = trainings.train(train, 0, STEPS, order)
        soft = trainings.train(train, ALPHA, STEPS, order)
        for steps in STEPS:
            threshold = trainings.best_threshold(trainings.scores(train, plain[steps]), train.y)
            ours = f1_with(soft[steps], test)
            theirs = f1_with(plain[steps], test, threshold)
            degrees = trainings.angle(plain[steps], soft[steps])
            for n in (FEW, SPLITS):
                each = (ours[:n], theirs[:n], degrees[:n])
                rows.append(row(("repetition", 64, steps, number, ON_TRAIN), *each))
    return rows


def of_all_items(experiment: str, train: Items, test: Items, steps=STEPS) -> list[dict]:
    """Full batches, against every control at convergence; the tuned threshold at every length."""
    plain = trainings.train(train, 0, steps)
    soft = trainings.train(train, ALPHA, steps)
    rows = []
    for length in steps[:-1]:
        threshold = trainings.best_threshold(trainings.scores(train, plain[length]), train.y)
        each = (f1_with(soft[length], test), f1_with(plain[length], test, threshold))
        degrees = trainings.angle(plain[length], soft[length])
        rows.append(row((experiment, "all", length, "", ON_TRAIN), *each, degrees))
    last = steps[-1]
    degrees = trainings.angle(plain[last], soft[last])
    for control, theirs in controls(train, test).items():
        ours = f1_with(soft[last], test)
        rows.append(row((experiment, "all", last, "", control), ours, theirs, degrees))
    both = (with_best_threshold(soft[last], test), with_best_threshold(plain[last], test))
    rows.append(row((experiment, "all", last, "", DIRECTION), *both, degrees))
    return rows


def drawn_labels() -> tuple[Items, Items]:
    """Splits whose labels are drawn from the logistic model that fits all 569 items best."""
    x, y = trainings.cells()
    every = Items(torch.tensor((x - x.mean(0)) / x.std(0))[None], torch.tensor(y)[None])
    chance = trainings.scores(every, fitted(every))[0].sigmoid().numpy()
    rows = []
    for seed in range(50_000, 50_000 + 2 * DRAWN):
        random = np.random.default_rng(seed)
        drawn = (random.random(len(y)) < chance).astype(int)
        if (drawn == 0).sum() >= trainings.TRAIN[1] + trainings.TEST[1] and len(rows) < DRAWN:
            parts = trainings.split(drawn, random)
            rows.append(trainings.items_of(x, drawn, parts))
    return trainings.side_by_side(rows)


def without_a_tenth() -> list[dict]:
    """The comparison without one tenth of the items after the other."""
    x, y = trainings.cells()
    group = fold_of(torch.tensor(y)[None], TENTHS)[0].numpy()
    rows = []
    for number in tqdm(range(TENTHS), desc="tenth"):
        kept = np.flatnonzero(group != number)
        randoms = [np.random.default_rng([number, seed]) for seed in range(MANY)]
        parts = [trainings.split(y[kept], random, test=SMALLER) for random in randoms]
        each = [trainings.items_of(x[kept], y[kept], part) for part in parts]
        train, test = trainings.side_by_side(each)
        soft = trainings.train(train, ALPHA, (1000,))[1000]
        plain = fitted(train)
        threshold = trainings.best_threshold(trainings.scores(train, plain), train.y)
        on_folds = trainings.best_threshold(held_out_scores(train), train.y)
        ours = f1_with(soft, test)
        compared = {
            ON_TRAIN: (ours, f1_with(plain, test, threshold)),
            ON_FOLDS: (ours, f1_with(plain, test, on_folds)),
            ROOT_CE: (ours, f1_with(fitted(train, 3.0), test)),
            DIRECTION: (with_best_threshold(soft, test), with_best_threshold(plain, test)),
        }
        degrees = trainings.angle(plain, soft)
        for control, both in compared.items():
            facts = ("without a tenth", "all", 1000, number, control)
            rows.append(row(facts, *both, degrees))
    return rows


def without(gone, splits: int, experiment: str, name) -> dict:
    """The row of the comparison without these items."""
    x, y = trainings.cells()
    kept = np.setdiff1d(np.arange(len(y)), gone)
    parts = [trainings.split(y[kept], np.random.default_rng(seed)) for seed in range(splits)]
    each = [trainings.items_of(x[kept], y[kept], part) for part in parts]
    train, test = trainings.side_by_side(each)
    soft = trainings.train(train, ALPHA, (1000,))[1000]
    plain = fitted(train)
    threshold = trainings.best_threshold(trainings.scores(train, plain), train.y)
    both = (f1_with(soft, test), f1_with(plain, test, threshold))
    return row((experiment, "all", 1000, name, ON_TRAIN), *both, trainings.angle(plain, soft))


def by_concavity(kind: int) -> np.ndarray:
    """The items of this label, 1 for malignant, from the highest concavity to the lowest."""
    x, y = trainings.cells()
    return np.argsort(np.where(y == kind, -x[:, 1], np.inf))[: (y == kind).sum()]


def without_extremes() -> list[dict]:
    """The comparison without the benign items of highest concavity."""
    extreme = by_concavity(0)
    numbers = range(1, EXTREMES + 1)
    return [without(extreme[:n], MANY, "without extremes", n) for n in numbers]


def without_others() -> list[dict]:
    """The comparison without three other items."""
    benign = by_concavity(0)
    others = {
        "3 random benign": np.random.default_rng(0).choice(benign, 3, replace=False),
        "3 least concave benign": benign[-3:],
        "3 most concave malignant": by_concavity(1)[:3],
    }
    return [without(gone, MANY, "without others", name) for name, gone in others.items()]


def main() -> None:
    torch.set_default_dtype(torch.float64)
    rows = of_all_items("all items", *trainings.splits(range(SPLITS)))
    rows += of_all_items("all items", *trainings.splits(range(MANY)), steps=(1000,))
    rows += of_all_items("drawn labels", *drawn_labels(), steps=(1000,))
    rows += without_extremes()
    rows += without_a_tenth()
    rows += without_others()
    rows += by_repetition()
    about = "python -m tests.benchmarks.threshold; splits 0 to 59 or 1599, batches s + 1000 k, "
    about += "drawn labels from seed 50000 on, tenths [k, 0 to 1599]; fp64; "
    about += f"torch {torch.__version__}, scikit-learn {sklearn.__version__}, "
    about += f"numpy {np.__version__}, Python {sys.version.split()[0]}"
    with OUT.open("w", newline="", encoding="utf8") as file:
        file.write(f"# {about}\n")
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
