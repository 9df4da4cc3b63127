"""The exercises on rewards of a batch: the F1 of four batches, and SmoothAP."""

import math

import torch

from rmlib.exercises.framework.compare import same
from rmlib.exercises.framework.exercise import Exercise, Misconception, NotYet, blank
from rmlib.exercises.framework.numerical_gradients import gradients_of
from rmlib.loss.gradients import central_differences

# --- The mean of the batches' F1, and the F1 of all items -----------------------------------------

DIGITS = 4e-3  # two digits after the point are enough where a learner computes by hand
COUNTS = [(1, 0, 0), (3, 4, 1), (0, 0, 1), (0, 0, 0)]  # TP, FP, FN of four batches of 16 items
TOTAL = tuple(map(sum, zip(*COUNTS, strict=True)))
MEAN, ALL, WEIGHTS, BOTH = "mean of the batches", "all items", "weights", "positives and findings"


def batch_f1_spec():
    """The three answers. A batch has an F1 where TP + FP + FN > 0."""
    f1 = []
    weights = {"items": [], "positives": [], BOTH: []}
    for tp, fp, fn in COUNTS:
        if tp + fp + fn > 0:
            f1.append(2 * tp / (2 * tp + fp + fn))
            weights["items"].append(16)
            weights["positives"].append(tp + fn)
            weights[BOTH].append((tp + fn) + (tp + fp))
    tp, fp, fn = TOTAL
    f1_of_all = 2 * tp / (2 * tp + fp + fn)
    error = {}
    for name, w in weights.items():
        error[name] = abs(sum(w[i] * f1[i] for i in range(len(f1))) / sum(w) - f1_of_all)
    return {MEAN: sum(f1) / len(f1), ALL: f1_of_all, WEIGHTS: min(error, key=error.get)}


def _f1(tp, fp, fn):
    return 2 * tp / (2 * tp + fp + fn)


def _precision(tp, fp, fn):
    return tp / max(tp + fp, 1)


def _recall(tp, fp, fn):
    return tp / max(tp + fn, 1)


def _arithmetic_mean(tp, fp, fn):
    return (_precision(tp, fp, fn) + _recall(tp, fp, fn)) / 2


def _jaccard(tp, fp, fn):
    return tp / (tp + fp + fn)


def _with_measure(measure=_f1, undefined=()):
    """Answers from another measure, or with a number for the batch where F1 is 0/0."""

    def wrong():
        values = [measure(*counts) for counts in COUNTS if any(counts)] + list(undefined)
        return batch_f1_spec() | {MEAN: sum(values) / len(values), ALL: measure(*TOTAL)}

    return wrong


def _same_for_both(name):
    def wrong():
        right = batch_f1_spec()
        return right | {MEAN: right[name], ALL: right[name]}

    return wrong


def _accuracy():
    accuracy = 1 - (TOTAL[1] + TOTAL[2]) / (16 * len(COUNTS))
    return batch_f1_spec() | {MEAN: accuracy, ALL: accuracy}


def _percent():
    right = batch_f1_spec()
    return right | {MEAN: 100 * right[MEAN], ALL: 100 * right[ALL]}


def _nothing_as(value: float) -> Misconception:
    return Misconception(
        f"undefined-as-{value:g}",
        "batch 4 has no positives and no findings. Its F1 is 0/0, not "
        f"{value:g}: exclude it from the mean",
        _with_measure(undefined=[value]),
    )


BATCH_F1_MISCONCEPTIONS = (
    _nothing_as(0.0),
    _nothing_as(1.0),
    Misconception(
        "all-items-for-mean",
        "this is the F1 of all items. For the mean, compute the F1 of each batch first",
        _same_for_both(ALL),
    ),
    Misconception(
        "mean-for-all-items",
        "this is the mean of the batches. For all items, add up the counts first",
        _same_for_both(MEAN),
    ),
    Misconception(
        "jaccard",
        "this is TP / (TP + FP + FN); F1 counts TP twice, in the numerator and in the denominator",
        _with_measure(_jaccard),
    ),
    Misconception(
        "accuracy",
        "this is the share of right answers, accuracy. F1 does not count true negatives",
        _accuracy,
    ),
    Misconception(
        "arithmetic-mean",
        "this is the plain mean of precision and recall; F1 is 2 TP / (2 TP + FP + FN)",
        _with_measure(_arithmetic_mean),
    ),
    Misconception(
        "precision",
        "this is precision: it ignores missing items, FN",
        _with_measure(_precision),
    ),
    Misconception(
        "recall",
        "this is recall: it ignores false positives, FP",
        _with_measure(_recall),
    ),
    Misconception(
        "percent",
        "write it as a number between 0 and 1, not in percent",
        _percent,
    ),
    Misconception(
        "weights-items",
        "all batches have 16 items, so these weights give the plain mean once more",
        lambda: batch_f1_spec() | {WEIGHTS: "items"},
    ),
    Misconception(
        "weights-positives",
        "TP + FN is the denominator of recall, so these weights repair a mean of recalls. And F1?",
        lambda: batch_f1_spec() | {WEIGHTS: "positives"},
    ),
)


def _judge_batch_f1(answer, spec):
    """Judge each of the three answers by itself."""
    right = spec()
    if not isinstance(answer, dict) or set(answer) != set(right):
        keys = ", ".join(map(repr, right))
        raise NotYet("wrong-form", f"expected a dict with the keys {keys}")
    for name in right:
        if blank(answer[name]):
            raise NotYet("incomplete", f"{name!r} has no answer yet")
        if name == WEIGHTS and answer[name] not in ("items", "positives", BOTH):
            raise NotYet(
                "wrong-form",
                f"{name}: {answer[name]!r}; expected 'items', 'positives' or {BOTH!r}",
            )
        if name != WEIGHTS and isinstance(answer[name], str):
            raise NotYet(
                "wrong-form",
                f"{name}: write a number without quotation marks, such as 0.5 or 1/2",
            )
    for name in right:
        if not same(answer[name], right[name], DIGITS):
            for misconception in BATCH_F1_MISCONCEPTIONS:
                if same(answer[name], misconception.wrong()[name], DIGITS):
                    raise NotYet(misconception.id, f"{name}: {misconception.message}")
            raise NotYet(
                "wrong-value",
                f"{name}: not the right number yet. F1 is 2 TP / (2 TP + FP + FN)",
            )


BATCH_F1 = Exercise(
    id="surrogates.batch_f1",
    title="the F1 of four batches",
    spec=batch_f1_spec,
    misconceptions=BATCH_F1_MISCONCEPTIONS,
    more=_judge_batch_f1,
    tolerance=DIGITS,
    hints=(
        "A batch has an F1 if there are positives or findings, that is, if $TP + FP + FN > 0$. "
        "Three of the four batches have one. For all items, add up each column of the table and "
        "use the formula once.",
        r"Write $F_b = n_b / d_b$ for a batch. The F1 of all items is $\sum_b n_b / \sum_b d_b$, "
        r"and $\sum_b w_b F_b / \sum_b w_b$ is the same if $w_b = d_b = 2\,TP + FP + FN$. Now "
        "count: how many items are $TP + FN$, and how many are $TP + FP$?",
    ),
    solution="""\
f1 = [2 * tp / (2 * tp + fp + fn) for tp, fp, fn in counts if tp + fp + fn]
tp, fp, fn = map(sum, zip(*counts))
f1_by_hand = {
    "mean of the batches": sum(f1) / len(f1),  # (1 + 6/11 + 0) / 3
    "all items": 2 * tp / (2 * tp + fp + fn),  # 8/14
    "weights": "positives and findings",  # (TP + FN) + (TP + FP) is the denominator of F1
}
""",
)

# --- SmoothAP -------------------------------------------------------------------------------------


def smooth_ap_spec(s, y, tau):
    """The mean over the positives of (1 + positives above) / (1 + items above).

    "Above" is soft: the sigmoid of the difference of two scores, divided by τ.
    """
    scores = s.tolist()
    precisions = []
    for i in range(len(scores)):
        if y[i] == 1:
            positives = items = 1.0
            for j in range(len(scores)):
                if j != i:
                    above = (1 + math.tanh((scores[j] - scores[i]) / tau / 2)) / 2  # the sigmoid
                    items += above
                    positives += above if y[j] == 1 else 0.0
            precisions.append(positives / items)
    return torch.tensor(sum(precisions) / len(precisions), dtype=s.dtype)


def smooth_ap_inputs(seed):
    """Scores, labels, τ.

    Seed 8: one positive; 9: nothing but positives; 10: scores far apart; 11: a tiny τ.
    """
    random = torch.Generator().manual_seed(seed)
    s = torch.randn(4 + seed % 5, generator=random, dtype=torch.float64)
    y = (torch.rand(len(s), generator=random) < 0.5).long()
    y[:2] = 1
    y[2] = 0
    y = {8: torch.arange(len(s)) == 1, 9: torch.ones_like(y)}.get(seed, y).long()
    tau = 1e-4 if seed == 11 else (0.3, 0.5, 1.5)[seed % 3]
    return s * (300 if seed == 10 else 1), y, tau


def _sigmoid(difference, tau):
    return (difference / tau).sigmoid()


def _mean_of_ratios(numerator, denominator, y):
    return (numerator / denominator)[y == 1].mean()


def _wrong_ap(above=_sigmoid, itself=(0, 0), one=1, label=1, mean=_mean_of_ratios):
    """SmoothAP with one thing wrong.

    Args:
        above: (difference of scores, τ) -> how much one item is above another.
        itself: what an item counts against itself, in the numerator and the denominator.
        one: where a rank starts.
        label: of the items that the numerator counts.
        mean: (numerators, denominators, labels) -> the value.
    """

    def wrong(s, y, tau):
        ranks = above(s[None, :] - s[:, None], tau) * (1 - torch.eye(len(s), dtype=s.dtype))
        numerator = one + itself[0] + (ranks * (y == label)).sum(1)
        return mean(numerator, one + itself[1] + ranks.sum(1), y)

    return wrong


def _counts_itself(id: str, where: str, itself: tuple) -> Misconception:
    return Misconception(
        id,
        f"an item is counted against itself{where}, with σ(0) = 1/2: leave j = i out",
        _wrong_ap(itself=itself),
    )


SMOOTH_AP_MISCONCEPTIONS = (
    _counts_itself("counts-itself", "", (0.5, 0.5)),
    _counts_itself("counts-itself-in-numerator", " in the numerator", (0.5, 0)),
    _counts_itself("counts-itself-in-denominator", " in the denominator", (0, 0.5)),
    Misconception(
        "reversed-order",
        "the order is reversed: j is above i when its score is larger",
        _wrong_ap(lambda d, tau: (-d / tau).sigmoid()),
    ),
    Misconception(
        "no-tau",
        "τ is not used: divide the difference of two scores by it",
        _wrong_ap(lambda d, tau: d.sigmoid()),
    ),
    Misconception(
        "times-tau",
        "the difference of two scores is multiplied by τ; divide it",
        _wrong_ap(lambda d, tau: (d * tau).sigmoid()),
    ),
    Misconception(
        "tau-outside",
        "τ stands outside of σ; divide the difference of two scores by it",
        _wrong_ap(lambda d, tau: d.sigmoid() / tau),
    ),
    Misconception(
        "hard-ranks",
        "this counts with a hard >. It is exact AP, whose gradient is 0: make “above” smooth",
        _wrong_ap(lambda d, tau: (d > 0).double()),
    ),
    Misconception(
        "mean-over-all",
        "the mean is over all items; take it over the positive ones",
        _wrong_ap(mean=lambda up, low, y: (up / low).mean()),
    ),
    Misconception(
        "sum-for-mean",
        "the sum is not divided by the number of positives",
        _wrong_ap(mean=lambda up, low, y: (up / low)[y == 1].sum()),
    ),
    Misconception(
        "numerator-of-negatives",
        "the numerator sums over the negatives; sum over the positives",
        _wrong_ap(label=0),
    ),
    Misconception(
        "rank-from-0",
        "a rank starts at 1: is there a “1 +” in both sums?",
        _wrong_ap(one=0),
    ),
    Misconception(
        "divides-once",
        "this divides once, at the end. Every positive has a precision of its own: divide first, "
        "then take the mean",
        _wrong_ap(mean=lambda up, low, y: up[y == 1].sum() / low[y == 1].sum()),
    ),
)


def _smooth_ap_gradient(answer, spec):
    s, y, tau = smooth_ap_inputs(4)
    (gradient,) = gradients_of(answer, (s, y, tau), "the scores")
    if not same(gradient, central_differences(lambda s: spec(s, y, tau), s, 1e-6), 1e-5):
        raise NotYet(
            "wrong-gradient",
            "the value is right, the gradient is wrong: a part of the formula is constant. Is "
            "there a `detach` in it?",
        )
    far_apart = torch.tensor([0.0, 500.0, -500.0, 3.0], dtype=torch.float64)
    labels = torch.tensor([1, 0, 1, 0])
    (gradient,) = gradients_of(answer, (far_apart, labels, 0.1), "the scores")
    if not gradient.isfinite().all():
        raise NotYet(
            "nan-gradient",
            "the value is right, but the gradient is nan where scores lie far apart: an `exp` "
            "overflows; `.sigmoid()` does not",
        )


def my_smooth_ap(s, y, tau):
    above = ((s[None, :] - s[:, None]) / tau).sigmoid()  # [i, j]: how much j is above i
    above = above * (1 - torch.eye(len(s)))  # an item is not above itself
    positive = y == 1
    return ((1 + above[:, positive].sum(1)) / (1 + above.sum(1)))[positive].mean()


SMOOTH_AP = Exercise(
    id="surrogates.smooth_ap",
    title="SmoothAP",
    spec=smooth_ap_spec,
    inputs=smooth_ap_inputs,
    misconceptions=SMOOTH_AP_MISCONCEPTIONS,
    more=_smooth_ap_gradient,
    hints=(
        "`s[None, :] - s[:, None]` is a table (items, items) with $s_j - s_i$ in row $i$, column "
        "$j$. Its diagonal must not count: multiply by `1 - torch.eye(len(s))` after the sigmoid.",
        "The sum in the denominator is over all columns of row $i$, the one in the numerator over "
        "the columns where $y_j = 1$. Finally, keep the rows where $y_i = 1$ and take their mean.",
    ),
    solution=my_smooth_ap,
)
