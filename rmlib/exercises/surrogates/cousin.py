"""The exercise on a cousin of soft F1: one of four, of the learner's choice."""

from dataclasses import replace

import torch
from torch.nn.functional import one_hot

from rmlib.exercises.framework.compare import same
from rmlib.exercises.framework.exercise import (
    DRAWS,
    NO_CODE,
    Check,
    Exercise,
    Misconception,
    NotAttempted,
    NotYet,
    is_stub,
    judge,
)

from .class_f1 import decided, micro, same_gradient, some_probabilities

# --- The four, item by item and class by class ----------------------------------------------------


def counted(p, y, first=1):
    """Soft TP, FP, FN of the classes from `first` on, together."""
    tp = fp = fn = 0.0
    for i in range(len(y)):
        for c in range(first, p.shape[1]):
            if y[i] == c:
                tp = tp + p[i, c]
                fn = fn + 1 - p[i, c]
            else:
                fp = fp + p[i, c]
    return tp, fp, fn


def tversky_slowly(p, y, a=0.3, b=0.7, first=1):
    tp, fp, fn = counted(p, y, first)
    return tp / (tp + a * fp + b * fn)


def fbeta_slowly(p, y, beta=2, first=1):
    tp, fp, fn = counted(p, y, first)
    return (1 + beta**2) * tp / ((1 + beta**2) * tp + beta**2 * fn + fp)


def dice_slowly(p, y, first=1):
    both = squares = 0.0
    for i in range(len(y)):
        for c in range(first, p.shape[1]):
            label = float(y[i] == c)
            both = both + p[i, c] * label
            squares = squares + p[i, c] ** 2 + label**2
    return 2 * both / squares


def mcc_slowly(p, y, first=0):
    """Over all classes alike, as in Gorodkin 2004, from soft counts."""
    upper = predicted = actual = 0.0
    for c in range(first, p.shape[1]):
        tp = fp = fn = tn = 0.0
        for i in range(len(y)):
            if y[i] == c:
                tp, fn = tp + p[i, c], fn + 1 - p[i, c]
            else:
                fp, tn = fp + p[i, c], tn + 1 - p[i, c]
        upper = upper + tp * tn - fp * fn
        predicted = predicted + (tp + fp) * (tn + fn)
        actual = actual + (tp + fn) * (tn + fp)
    return upper / (predicted * actual) ** 0.5


COUSINS = {
    "the Tversky index with a = 0.3 and b = 0.7": tversky_slowly,
    "F_β with β = 2": fbeta_slowly,
    "Dice with squares": dice_slowly,
    "Matthews' correlation": mcc_slowly,
}
SHORT = ("tversky", "fbeta", "dice", "mcc")

# --- Mistakes -------------------------------------------------------------------------------------


def _tables(p, y, first=1):
    return p[:, first:], one_hot(y, p.shape[1])[:, first:].to(p)


def _ratio(up, low):
    """A fraction of sums over the positive classes: up and low are (ŷ, y) -> a number."""

    def wrong(p, y):
        tables = _tables(p, y)
        return up(*tables) / low(*tables)

    return wrong


def _macro(measure):
    """The mean of the measure over the positive classes, each against the rest."""

    def wrong(p, y):
        values = []
        for c in range(1, p.shape[1]):
            pair = torch.stack([1 - p[:, c], p[:, c]], 1)
            values.append(measure(pair, (y == c).long()))
        return torch.stack(values).mean()

    return wrong


def _doubled_tp(p, y):
    tp, fp, fn = counted(p, y)
    return 2 * tp / (2 * tp + 0.3 * fp + 0.7 * fn)


def _pearson(p, y):
    table, labels = _tables(p, y, 0)
    table = table - table.mean(0)
    labels = labels - labels.mean(0)
    return (table * labels).sum() / ((table**2).sum() * (labels**2).sum()) ** 0.5


def _mcc_pooled(p, y):
    tp, fp, fn = counted(p, y)
    tn = p[:, 1:].numel() - tp - fp - fn
    return (tp * tn - fp * fn) / ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) ** 0.5


def _mcc_without_root(p, y):
    table, labels = _tables(p, y, 0)
    n = len(y)
    predicted, actual = table.sum(0), labels.sum(0)
    spread = (predicted * (n - predicted)).sum() * (actual * (n - actual)).sum()
    return mcc_slowly(p, y) / spread**0.5


def _of_all_four(id, message, change):
    """One misconception per cousin: change(measure) makes the mistake."""
    return tuple(
        Misconception(f"{id}-{short}", message.format(name), _answer(change(measure)))
        for (name, measure), short in zip(COUSINS.items(), SHORT, strict=True)
    )


def _answer(wrong):
    """The function as a value: the exercise judges it by itself (see `_judge_cousin`)."""
    return lambda: wrong


MISCONCEPTIONS = (
    Misconception(
        "soft-f1",
        "this is soft F1 itself, unchanged. (For Dice: square each ŷ in the denominator. For "
        "Tversky: a and b differ)",
        _answer(micro),
    ),
    Misconception(
        "a-and-b-swapped",
        "a and b are swapped: a = 0.3 belongs to FP, the false positives, b = 0.7 to FN",
        _answer(lambda p, y: tversky_slowly(p, y, 0.7, 0.3)),
    ),
    Misconception(
        "jaccard",
        "this is TP / (TP + FP + FN), the Tversky index with a = b = 1. Here a = 0.3, b = 0.7",
        _answer(lambda p, y: tversky_slowly(p, y, 1, 1)),
    ),
    Misconception(
        "doubled-tp",
        "a Tversky index counts TP once in the numerator and once in the denominator, not twice",
        _answer(_doubled_tp),
    ),
    Misconception(
        "beta-not-squared",
        "β is not squared: with β = 2 the factors are 5 and 4, not 3 and 2",
        _answer(lambda p, y: fbeta_slowly(p, y, 2**0.5)),
    ),
    Misconception(
        "beta-on-the-predictions",
        "β² stands at Σŷ. It belongs to Σy: then recall counts more",
        _answer(_ratio(lambda p, y: 5 * (p * y).sum(), lambda p, y: 4 * p.sum() + y.sum())),
    ),
    Misconception(
        "numerator-without-beta",
        "the numerator still has soft F1's 2: it is 1 + β², or a perfect answer scores below 1",
        _answer(_ratio(lambda p, y: 2 * (p * y).sum(), lambda p, y: 4 * y.sum() + p.sum())),
    ),
    Misconception(
        "square-of-the-sum",
        "you square the sum of the ŷ; square each ŷ, then add up",
        _answer(_ratio(lambda p, y: 2 * (p * y).sum(), lambda p, y: p.sum() ** 2 + y.sum())),
    ),
    Misconception(
        "square-of-both-sums",
        "you square both sums; square each ŷ and each y, then add up",
        _answer(_ratio(lambda p, y: 2 * (p * y).sum(), lambda p, y: p.sum() ** 2 + y.sum() ** 2)),
    ),
    Misconception(
        "dice-without-2",
        "the 2 in the numerator of Dice is missing: a perfect answer must score 1",
        _answer(lambda p, y: dice_slowly(p, y) / 2),
    ),
    Misconception(
        "mcc-without-background",
        "class 0 is left out. Matthews' correlation treats all classes alike: sum over all",
        _answer(lambda p, y: mcc_slowly(p, y, first=1)),
    ),
    Misconception(
        "mcc-pooled",
        "these are the counts of the positive classes added up, in the formula for two classes. "
        "Sum the products TP·TN − FP·FN of each class instead, over all classes",
        _answer(_mcc_pooled),
    ),
    Misconception(
        "mcc-per-class",
        "this is the mean of one correlation per class. Sum numerators and denominators over the "
        "classes, then divide once",
        _answer(lambda p, y: _macro(mcc_slowly)(torch.cat([p[:, :1] * 0, p], 1), y + 1)),
    ),
    Misconception(
        "mcc-no-root",
        "the root of the denominator is missing",
        _answer(_mcc_without_root),
    ),
    Misconception(
        "pearson",
        "this is the correlation of the tables p and y. On hard inputs it is the same; with soft "
        "counts the first factor of the denominator is Σ n̂(N − n̂)",
        _answer(_pearson),
    ),
    Misconception(
        "with-background",
        "class 0, the background, counts as a positive class. Then FP = FN, and what is left of "
        "Tversky and F_β is the mean probability of the right class",
        _answer(lambda p, y: tversky_slowly(p, y, first=0)),
    ),
    Misconception(
        "dice-with-background",
        "class 0, the background, counts as a positive class in this Dice",
        _answer(lambda p, y: dice_slowly(p, y, first=0)),
    ),
    *(
        Misconception(
            f"macro-{short}",
            f"this is {name} for each class, then the mean (macro). Add up the counts of the "
            "positive classes first, then divide once",
            _answer(_macro(measure)),
        )
        for (name, measure), short in list(zip(COUSINS.items(), SHORT, strict=True))[:3]
    ),
    *_of_all_four(
        "one-minus",
        "this is 1 − R, the loss of {}. The exercise wants the reward R",
        lambda measure: lambda p, y: 1 - measure(p, y),
    ),
    *_of_all_four(
        "negative",
        "this is {} with the wrong sign: a reward goes up",
        lambda measure: lambda p, y: -measure(p, y),
    ),
    *_of_all_four(
        "decisions",
        "this is {} of decisions (argmax): its gradient is 0. Count probabilities",
        lambda measure: lambda p, y: measure(decided(p), y),
    ),
)

# --- The check ------------------------------------------------------------------------------------

CONTINUE = ("wrong-value", "wrong-sign", "wrong-factor", "nan")


ONE = Exercise(
    id="surrogates.one_cousin",
    title="one of the four",
    spec=tversky_slowly,
    inputs=some_probabilities,
    misconceptions=tuple(replace(m, wrong=m.wrong()) for m in MISCONCEPTIONS),
    more=same_gradient,
)


def _judge_cousin(answer, spec):
    """Judge the answer as each of the four; the first that it is, or is meant to be, decides."""
    if is_stub(answer):
        raise NotAttempted(NO_CODE)
    for measure in spec().values():
        outcome = judge(replace(ONE, spec=measure), answer)
        if outcome.outcome == "correct":
            return spec()
        if outcome.outcome == "not attempted":
            raise NotAttempted(outcome.message)
        if outcome.misconception not in CONTINUE:
            raise NotYet(outcome.misconception, outcome.message)
    raise NotYet(
        "none-of-the-four",
        "none of the four: Tversky (a = 0.3, b = 0.7), F_β (β = 2), Dice with squares, Matthews' "
        "correlation. Try it on two items where you know the value",
    )


def recognised(answer) -> str | None:
    """Which of the four a right answer is."""
    draws = [some_probabilities(seed) for seed in range(DRAWS)]
    for name, measure in COUSINS.items():
        if all(same(answer(p.clone(), y.clone()), measure(p, y)) for p, y in draws):
            return name
    return None


class CousinCheck(Check):
    """A check that says which of the four a right answer is."""

    def __call__(self, answer, keep: bool = False):
        outcome = super().__call__(answer, keep)
        if outcome.outcome == "correct":
            kept = f"; {outcome.message}" if outcome.message else ""
            self.last = replace(outcome, message=f"this is {recognised(answer)}{kept}")
        return self.last


def cousin(p, y):
    """The Tversky index. p (items, classes): probabilities; y (items,): labels, 0 is background."""
    labels = one_hot(y, p.shape[1])[:, 1:]
    p = p[:, 1:]
    TP = (p * labels).sum()
    FP, FN = p.sum() - TP, labels.sum() - TP
    return TP / (TP + 0.3 * FP + 0.7 * FN)


COUSIN = Exercise(
    id="surrogates.cousin",
    title="a cousin of soft F1",
    spec=lambda: COUSINS,
    misconceptions=MISCONCEPTIONS,
    more=_judge_cousin,
    hints=(
        "Start from soft F1 over classes: `labels = one_hot(y, p.shape[1])[:, 1:]` and `p[:, 1:]`. "
        "For Dice and F_β only one sum changes. For Tversky name the three counts: TP, then FP is "
        "`p.sum() - TP` and FN is `labels.sum() - TP`.",
        "Matthews' correlation keeps column 0. Per class, with `.sum(0)`: TP = Σ ŷy, n̂ = Σ ŷ, "
        "n = Σ y, and $TP\\,TN - FP\\,FN = N\\,TP - \\hat n\\,n$ (multiply it out). For F_β with "
        "β = 2: 5·TP / (4·Σy + Σŷ).",
    ),
    solution=cousin,
    piece="cousin",
)
