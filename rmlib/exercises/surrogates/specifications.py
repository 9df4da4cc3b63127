"""Lesson 03, part 1: the F1 of batches, and SmoothAP. `lesson03` has those of part 2, and puts them together."""

import math

import torch

from rmlib.exercises.framework.compare import same
from rmlib.exercises.framework.exercise import Exercise, NotYet, blank
from rmlib.exercises.framework.numerical_gradients import slopes

# q1: the mean of the batches' F1, and the F1 of all items

DIGITS = 4e-3  # two digits after the point are enough where a learner computes by hand
COUNTS = [(1, 0, 0), (3, 4, 1), (0, 0, 1), (0, 0, 0)]  # TP, FP, FN of four batches of 16 items
TOTAL = tuple(map(sum, zip(*COUNTS, strict=True)))
MEAN, ALL, WEIGHTS, BOTH = "mean of the batches", "all items", "weights", "positives and findings"


def batch_f1_spec():
    """The three answers. An F1 is defined where anything is there or was found."""
    each, weights = [], {"items": [], "positives": [], BOTH: []}
    for tp, fp, fn in COUNTS:
        if tp + fp + fn > 0:
            each.append(2 * tp / (2 * tp + fp + fn))
            weights["items"].append(16)
            weights["positives"].append(tp + fn)
            weights[BOTH].append((tp + fn) + (tp + fp))
    tp, fp, fn = TOTAL
    of_all = 2 * tp / (2 * tp + fp + fn)
    off = {}
    for name, w in weights.items():
        off[name] = abs(sum(w[i] * each[i] for i in range(len(each))) / sum(w) - of_all)
    return {MEAN: sum(each) / len(each), ALL: of_all, WEIGHTS: min(off, key=off.get)}


def _f1(tp, fp, fn):
    return 2 * tp / (2 * tp + fp + fn)


def _middle(tp, fp, fn):
    return (tp / max(tp + fp, 1) + tp / max(tp + fn, 1)) / 2


def _numbers(measure=_f1, undefined=()):
    """The answers of someone who takes another measure, or a number for the batch where F1 is 0/0."""
    each = [measure(*counts) for counts in COUNTS if any(counts)] + list(undefined)
    return batch_f1_spec() | {MEAN: sum(each) / len(each), ALL: measure(*TOTAL)}


def _one_for_both(name):
    right = batch_f1_spec()
    return right | {MEAN: right[name], ALL: right[name]}


def _accuracy():
    right = 1 - (TOTAL[1] + TOTAL[2]) / (16 * len(COUNTS))
    return batch_f1_spec() | {MEAN: right, ALL: right}


def _percent():
    right = batch_f1_spec()
    return right | {MEAN: 100 * right[MEAN], ALL: 100 * right[ALL]}


NOTHING = "in batch 4 nothing is there and nothing was found. Its F1 is 0/0, not {}: it takes no part in the mean"
F1_MISTAKES = {
    NOTHING.format(0): lambda: _numbers(undefined=[0.0]),
    NOTHING.format(1): lambda: _numbers(undefined=[1.0]),
    "this is the F1 of all items. For the mean, take the F1 of each batch first": lambda: _one_for_both(ALL),
    "this is the mean of the batches. For all items, add up the counts first": lambda: _one_for_both(MEAN),
    "this is TP / (TP + FP + FN); in F1 each TP counts twice, above the line and below": lambda: _numbers(
        lambda tp, fp, fn: tp / (tp + fp + fn)
    ),
    "this is the share of right answers, accuracy. F1 does not count what is rightly left alone": _accuracy,
    "this is the plain mean of precision and recall; F1 is 2 TP / (2 TP + FP + FN)": lambda: _numbers(_middle),
    "this is precision: missed items, FN, take no part in it": lambda: _numbers(
        lambda tp, fp, fn: tp / max(tp + fp, 1)
    ),
    "this is recall: false alarms, FP, take no part in it": lambda: _numbers(lambda tp, fp, fn: tp / max(tp + fn, 1)),
    "write it as a number between 0 and 1, not in percent": _percent,
    "all batches have 16 items, so these weights give the plain mean once more": lambda: (
        batch_f1_spec() | {WEIGHTS: "items"}
    ),
    "TP + FN is what recall is divided by, so these weights repair a mean of recalls. And F1?": lambda: (
        batch_f1_spec() | {WEIGHTS: "positives"}
    ),
}


def _part_by_part(answer, spec):
    """Each of the three answers by itself: a wrong one is told which mistake gives just this."""
    right = spec()
    if not isinstance(answer, dict) or set(answer) != set(right):
        raise NotYet(f"expected a dict with the keys {', '.join(map(repr, right))}")
    for name in right:
        if blank(answer[name]):
            raise NotYet(f"{name!r} has no answer yet")
        if name == WEIGHTS and answer[name] not in ("items", "positives", BOTH):
            raise NotYet(f"{name}: {answer[name]!r}; expected 'items', 'positives' or {BOTH!r}")
        if name != WEIGHTS and isinstance(answer[name], str):
            raise NotYet(f"{name}: write a number without quotation marks, such as 0.5 or 1/2")
    for name in right:
        if not same(answer[name], right[name], DIGITS):
            for message, mistake in F1_MISTAKES.items():
                if same(answer[name], mistake()[name], DIGITS):
                    raise NotYet(f"{name}: {message}")
            raise NotYet(f"{name}: not the right number yet. F1 is 2 TP / (2 TP + FP + FN)")


batch_f1 = Exercise(
    title="the F1 of four batches",
    spec=batch_f1_spec,
    mistakes=F1_MISTAKES,
    more=_part_by_part,
    tolerance=DIGITS,
    hints=(
        "A batch has an F1 if anything is there or anything was found, that is, if $TP + FP + FN > 0$. Three of the "
        "four batches have one. For all items, add up each column of the table and use the formula once.",
        "Write $F_b = n_b / d_b$ for a batch. The F1 of all items is $\\sum_b n_b / \\sum_b d_b$, and "
        "$\\sum_b w_b F_b / \\sum_b w_b$ is the same if $w_b = d_b = 2\\,TP + FP + FN$. Now count: how many items are "
        "$TP + FN$, and how many are $TP + FP$?",
    ),
    solution="""\
each = [2 * tp / (2 * tp + fp + fn) for tp, fp, fn in counts if tp + fp + fn]
tp, fp, fn = map(sum, zip(*counts))
f1_by_hand = {
    "mean of the batches": sum(each) / len(each),  # (1 + 6/11 + 0) / 3
    "all items": 2 * tp / (2 * tp + fp + fn),  # 8/14
    "weights": "positives and findings",  # (TP + FN) + (TP + FP) is what F1 is divided by
}
""",
)

# q2: SmoothAP


def smooth_ap_spec(s, y, tau):
    """The mean over the positives of (1 + positives above) / (1 + items above), with a soft "above"."""
    scores, n, precisions = s.tolist(), len(s), []
    for i in range(n):
        if y[i] == 1:
            positives, items = 1.0, 1.0
            for j in range(n):
                if j != i:
                    above = (1 + math.tanh((scores[j] - scores[i]) / tau / 2)) / 2  # the sigmoid
                    items += above
                    positives += above if y[j] == 1 else 0.0
            precisions.append(positives / items)
    return torch.tensor(sum(precisions) / len(precisions), dtype=s.dtype)


def smooth_ap_inputs(seed):
    """Scores, labels, τ. Seed 8: one positive; 9: nothing but positives; 10: scores far apart; 11: a tiny τ."""
    random = torch.Generator().manual_seed(seed)
    s = torch.randn(4 + seed % 5, generator=random, dtype=torch.float64)
    y = (torch.rand(len(s), generator=random) < 0.5).long()
    y[:2], y[2] = 1, 0
    y = {8: torch.arange(len(s)) == 1, 9: torch.ones_like(y)}.get(seed, y).long()
    return s * (300 if seed == 10 else 1), y, 1e-4 if seed == 11 else (0.3, 0.5, 1.5)[seed % 3]


def _ap(
    soft=lambda d, tau: (d / tau).sigmoid(), itself=(0, 0), one=1, of=1, mean=lambda up, low, y: (up / low)[y == 1]
):
    """SmoothAP with one thing wrong; `itself`: what an item counts against itself, in the upper and the lower sum."""

    def wrong(s, y, tau):
        above = soft(s[None, :] - s[:, None], tau) * (1 - torch.eye(len(s), dtype=s.dtype))
        upper = one + itself[0] + (above * (y == of)).sum(1)
        return mean(upper, one + itself[1] + above.sum(1), y).mean()

    return wrong


ITSELF = "an item is counted against itself{}, with σ(0) = 1/2: leave j = i out"
AP_MISTAKES = {
    ITSELF.format(""): _ap(itself=(0.5, 0.5)),
    ITSELF.format(" in the upper sum"): _ap(itself=(0.5, 0)),
    ITSELF.format(" in the lower sum"): _ap(itself=(0, 0.5)),
    "the order is turned round: j is above i when its score is larger": _ap(lambda d, tau: (-d / tau).sigmoid()),
    "τ takes no part: the difference of two scores is divided by it": _ap(lambda d, tau: d.sigmoid()),
    "the difference of two scores is multiplied by τ; it is divided": _ap(lambda d, tau: (d * tau).sigmoid()),
    "τ stands outside of σ; the difference of two scores is divided by it": _ap(lambda d, tau: d.sigmoid() / tau),
    "this counts with a hard >. It is exact AP, which has no slope: make “above” smooth": _ap(
        lambda d, tau: (d > 0).double()
    ),
    "the mean is over all items; it is over the positive ones": _ap(mean=lambda up, low, y: up / low),
    "the sum is not divided by the number of positives": _ap(mean=lambda up, low, y: (up / low)[y == 1].sum()),
    "the upper sum runs over the negatives; it runs over the positives": _ap(of=0),
    "a rank begins at 1: is there a “1 +” in both sums?": _ap(one=0),
    "this divides once, at the end. Every positive has a precision of its own: divide first, then take the mean": _ap(
        mean=lambda up, low, y: up[y == 1].sum() / low[y == 1].sum()
    ),
}


def _smooth_ap_more(answer, spec):
    s, y, tau = smooth_ap_inputs(4)
    found, measured, eps = slopes(answer, (s, y, tau), "the scores")[0], torch.zeros_like(s), 1e-6
    for i in range(len(s)):
        step = torch.zeros_like(s)
        step[i] = eps
        measured[i] = (spec(s + step, y, tau) - spec(s - step, y, tau)) / (2 * eps)
    if not same(found, measured, 1e-5):
        raise NotYet("right value, wrong slope: a part of the formula has lost its slope. Is there a detach in it?")
    far = torch.tensor([0.0, 500.0, -500.0, 3.0], dtype=torch.float64)
    if not slopes(answer, (far, torch.tensor([1, 0, 1, 0]), 0.1), "the scores")[0].isfinite().all():
        raise NotYet(
            "right value, but the slope is nan where scores lie far apart: an exp overflows; .sigmoid() does not"
        )


def my_smooth_ap(s, y, tau):
    above = ((s[None, :] - s[:, None]) / tau).sigmoid()  # [i, j]: how much j is above i
    above = above * (1 - torch.eye(len(s)))  # an item is not above itself
    positive = y == 1
    return ((1 + above[:, positive].sum(1)) / (1 + above.sum(1)))[positive].mean()


smooth_ap = Exercise(
    title="SmoothAP",
    spec=smooth_ap_spec,
    inputs=smooth_ap_inputs,
    mistakes=AP_MISTAKES,
    more=_smooth_ap_more,
    hints=(
        "`s[None, :] - s[:, None]` is a table (items, items) with $s_j - s_i$ in row $i$, column $j$. Its diagonal "
        "must not count: multiply by `1 - torch.eye(len(s))` after the sigmoid.",
        "The sum in the denominator is over all columns of row $i$, the one in the numerator over the columns where "
        "$y_j = 1$. At the end keep the rows where $y_i = 1$ and take their mean.",
    ),
    solution=my_smooth_ap,
)
