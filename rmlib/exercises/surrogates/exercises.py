"""The exercises of lesson 03: batches' F1 and SmoothAP (`surrogates03`), leave-one-out, who wins, three faults."""

import itertools

import torch

from rmlib.exercises.framework.compare import same
from rmlib.exercises.framework.exercise import Exercise, Lesson, NotYet, blank
from rmlib.exercises.framework.numerical_gradients import slopes
from rmlib.loss import sampling

from .specifications import batch_f1, smooth_ap

# q3: the leave-one-out baseline


def leave_one_out_spec(R):
    """Each reward minus the mean of the others."""
    rows = []
    for k in range(len(R)):
        others = [R[j] for j in range(len(R)) if j != k]
        rows.append(R[k] - sum(others) / len(others))
    return torch.stack(rows)


def leave_one_out_inputs(seed):
    """R (K, …) with K from 2 to 8. Seed 10: all rewards alike; 11: one far from the others."""
    random = torch.Generator().manual_seed(seed)
    R = torch.rand([(5, 3), (2,), (8,), (3, 4), (2, 3), (4, 2, 3)][seed % 6], generator=random, dtype=torch.float64)
    if seed == 10:
        R[:] = 0.8
    if seed == 11:
        R[1] += 1000
    return (R,)


def leave_one_out(R):
    K = len(R)
    return K / (K - 1) * (R - R.mean(0))


one_left_out = Exercise(
    title="the leave-one-out baseline",
    spec=leave_one_out_spec,
    inputs=leave_one_out_inputs,
    mistakes={
        "R_k is in its own baseline: the mean is over the others only": lambda R: R - R.mean(0),
        "the mean is over everything; it is over the samples, dimension 0": lambda R: R - R.mean(),
        "the sum is over everything; it is over the samples, dimension 0": lambda R: R - (R.sum() - R) / (len(R) - 1),
        "K is the number of samples, len(R), and not the number of all rewards": lambda R: (
            R.numel() / (R.numel() - 1) * (R - R.mean(0))
        ),
        "right size, wrong sign: reward minus baseline": lambda R: -leave_one_out(R),
        "the others are added up but not divided by how many they are": lambda R: R - (R.sum(0) - R),
        "the sum of the others is divided by K; how many others are there?": lambda R: R - (R.sum(0) - R) / len(R),
        "the factor is upside down: leaving R_k out makes the advantage larger, not smaller": lambda R: (
            (len(R) - 1) / len(R) * (R - R.mean(0))
        ),
        "this is the baseline b_k; the advantage is R_k minus it": lambda R: (R.sum(0) - R) / (len(R) - 1),
        "this is divided by a standard deviation, as in “group”; leave-one-out is not": lambda R: (
            (R - R.mean(0)) / R.std(0)
        ),
    },
    hints=(
        "The sum of the others is `R.sum(0) - R[k]`, and there are $K - 1$ of them.",
        r"$R_k - \frac{\sum_j R_j - R_k}{K-1} = \frac{K R_k - \sum_j R_j}{K-1} = \frac{K}{K-1}\,(R_k - \bar R)$.",
    ),
    solution=leave_one_out,
)

# q4: which baseline wins

CASES = ((0.5, 2), (0.1, 8), (0.5, 8), (0.9, 8))  # (p, K)
NONE, LEFT_OUT = "none", "leave_one_out"


def variance(p, K, baseline):
    """Of the estimated slope for one word, exactly: all 2^K results, each with its probability."""
    mean = squares = 0.0
    for R in itertools.product((0, 1), repeat=K):
        weight, estimate = 1.0, 0.0
        for k in range(K):
            b = (sum(R) - R[k]) / (K - 1) if baseline == LEFT_OUT else 0.0
            weight *= p if R[k] else 1 - p
            estimate += (R[k] - b) * (R[k] - p) / K  # d log π / dz is R - p
        mean += weight * estimate
        squares += weight * estimate**2
    return squares - mean**2


def winners():
    """For each case the baseline with the smaller variance."""
    return {(p, K): min((NONE, LEFT_OUT), key=lambda baseline: variance(p, K, baseline)) for p, K in CASES}


def _turned():
    return {case: NONE if word == LEFT_OUT else LEFT_OUT for case, word in winners().items()}


WINNER_MISTAKES = {
    "you let leave-one-out win everywhere. It is made to lower the variance, but it does not always: how good a guess "
    "is one other sample? And when do wrong answers hardly ever come?": lambda: dict.fromkeys(CASES, LEFT_OUT),
    "you let none win everywhere. Then a baseline would never help: in which case are seven others a good guess of the "
    "mean, and right and wrong answers both frequent?": lambda: dict.fromkeys(CASES, NONE),
    "you decide by K alone, and that does not explain all cases. Which answer is rare, how hard does it push, and does "
    "it push at all with none?": lambda: {(p, K): NONE if K == 2 else LEFT_OUT for p, K in CASES},
    "you decide by p alone. Look at how many others make up the baseline, too": lambda: {
        (p, K): NONE if p > 0.5 else LEFT_OUT for p, K in CASES
    },
    "all four are turned round. The smaller variance wins": _turned,
}
WHYS = {
    (0.5, 2): "with two samples the baseline is one other reward, 0 or 1. Is that a good guess?",
    (0.1, 8): "right answers are rare and push hard. With a baseline of about 0.1, how hard does a wrong one push?",
    (0.5, 8): "right and wrong come equally often. Are seven others a good guess of the mean?",
    (0.9, 8): "wrong answers are rare. How hard does each push, with none and with a baseline?",
}


def _case_by_case(answer, spec):
    """Says how many are right, and asks about the first that is not."""
    right = spec()
    if not isinstance(answer, dict) or set(answer) != set(right):
        raise NotYet(f"expected a dict with the keys {', '.join(map(str, right))}: (p, K)")
    for (p, K), word in answer.items():
        if blank(word):
            raise NotYet(f"p = {p}, K = {K} has no answer yet")
        if word not in (NONE, LEFT_OUT):
            raise NotYet(f"p = {p}, K = {K}: your answer is {word!r}; expected {NONE!r} or {LEFT_OUT!r}")
    wrong = [case for case in right if answer[case] != right[case]]
    if wrong:
        pattern = (message for message, mistake in WINNER_MISTAKES.items() if answer == mistake())
        p, K = wrong[0]
        one = f"{4 - len(wrong)} of 4 are right. Think again about p = {p}, K = {K}: {WHYS[p, K]}"
        raise NotYet(next(pattern, one))


which_wins = Exercise(
    title="which baseline wins",
    spec=winners,
    mistakes=WINNER_MISTAKES,
    more=_case_by_case,
    hints=(
        "At $K = 2$ the baseline of a sample is *one* reward, 0 or 1, as noisy as what it is subtracted from.",
        "A right answer has the slope $1 - p$, a wrong one $-p$. With none only right answers push, each by $1 - p$, "
        "which is small at $p = 0.9$. With a baseline the rare wrong answers push too, each by much.",
    ),
    solution="""\
mine = {}
for p_of, K in ((0.5, 2), (0.1, 8), (0.5, 8), (0.9, 8)):
    variance = {baseline: listed_all(K, baseline, p_of)[1] for baseline in ("none", "leave_one_out")}
    mine[p_of, K] = min(variance, key=variance.get)
""",
)

# q5: three faults in a score-function loss


def loss_spec(logits, drawn, labels, R, b):
    """−mean over the samples of (R_k − b) · log π of labelling k, with R and b as plain numbers."""
    total = 0.0
    for k in range(len(drawn)):
        log_pi = 0.0
        for i in range(len(labels)):
            if labels[i] != sampling.NO_WORD:
                log_pi = log_pi + logits[i].log_softmax(0)[drawn[k, i]]
        total = total - (float(R[k]) - float(b)) * log_pi
    return total / len(drawn)


def loss_inputs(seed):
    """Logits (words, 3), K labellings, labels with up to three positions filled up, R, b. Seed 11: logits of ±1000."""
    random = torch.Generator().manual_seed(seed)
    words, filled, samples = 2 + seed % 3, (0, 1, 3, 2)[seed % 4], (2, 1, 8, 5)[seed % 4]
    logits = torch.randn(words + filled, 3, generator=random, dtype=torch.float64) * (500 if seed == 11 else 2)
    labels = torch.randint(3, (words + filled,), generator=random)
    labels[words:] = sampling.NO_WORD
    drawn = torch.randint(3, (samples, words + filled), generator=random)
    R = torch.rand(samples, generator=random, dtype=torch.float64)
    return logits, drawn, labels, R, torch.rand((), generator=random, dtype=torch.float64)


def _loss(sign=-1, keep=lambda drawn, labels: labels != sampling.NO_WORD, advantage=lambda R, b: R - b, of=None):
    """The loss with one thing wrong; `of`: (log π of each drawn tag, 0 where it is left out, and `labels`) -> (K,)."""

    def wrong(logits, drawn, labels, R, b):
        log_p = logits.log_softmax(-1)[torch.arange(len(labels)), drawn]
        log_p = torch.where(keep(drawn, labels), log_p, 0.0)
        return sign * (advantage(R, b) * (of(log_p, labels) if of else log_p.sum(-1))).mean()

    return wrong


def _of_the_labels(logits, drawn, labels, R, b):
    return _loss()(logits, labels.clamp(min=0).expand(drawn.shape), labels, R, b)


def _logits_filled_with_0(logits, drawn, labels, R, b):
    word = (labels != sampling.NO_WORD)[:, None]
    return _loss(keep=_everything)(torch.where(word, logits, 0.0), drawn, labels, R, b)


def _everything(drawn, labels):
    return torch.ones_like(drawn, dtype=torch.bool)


LOSS_MISTAKES = {
    "this gives what the colleague's loss gives: two of the three faults can be seen in the value": _loss(
        1, _everything
    ),
    "a step down on this loss makes good answers rarer. How should the loss change when a good answer gets more "
    "probable?": _loss(1),
    "log π still counts positions where there is no word. Which labels do they have?": _loss(keep=_everything),
    "you leave out words with the drawn tag 0. That is O, a tag like any other. Leave out by the labels": (
        _loss(keep=lambda drawn, labels: drawn != 0)
    ),
    "you keep the positions without a word and leave out the words": _loss(
        keep=lambda drawn, labels: (labels == sampling.NO_WORD).expand(drawn.shape)
    ),
    "you keep only the words that were drawn right. R says how good a labelling is; log π takes all its words": _loss(
        keep=lambda drawn, labels: drawn == labels
    ),
    "a logit of 0 is not a log-probability of 0: leave the positions out after the log_softmax": _logits_filled_with_0,
    "log π of a labelling is the sum over its words, since its probability is a product; you take a mean": _loss(
        of=lambda log_p, labels: log_p.sum(-1) / (labels != sampling.NO_WORD).sum()
    ),
    "log π of a labelling is the sum over its words, since its probability is a product; you take a mean over all "
    "positions": _loss(of=lambda log_p, labels: log_p.mean(-1)),
    "log π of a labelling is a sum, since its probability is a product, and you take a mean. Also, positions without a "
    "word are still in it": _loss(keep=_everything, of=lambda log_p, labels: log_p.mean(-1)),
    "you add up over the samples; the loss is their mean": _loss(advantage=lambda R, b: len(R) * (R - b)),
    "the baseline is gone. Its value was right; look at what happens to b in training": _loss(advantage=lambda R, b: R),
    "you took the mean of R for the baseline: R_k is then in its own baseline. Keep b": _loss(
        advantage=lambda R, b: R - R.mean()
    ),
    "this is log π of the right tags. The reward belongs to the tags that were drawn": _of_the_labels,
}


def _loss_more(answer, spec):
    args = loss_inputs(5)
    over_logits, over_b = slopes(answer, args, "the logits", places=(0, 4))
    if not same(over_logits, slopes(spec, args, "the logits")[0]):
        raise NotYet("right value, wrong slope over the logits: is there a detach inside log π, or a slope in R − b?")
    if not same(over_b, torch.zeros(())):
        raise NotYet(
            "right value, and right slope over the logits. But a step on this loss also moves b: see the output"
        )


def repaired_loss(logits, drawn, labels, R, b):
    log_p = logits.log_softmax(-1)[torch.arange(len(labels)), drawn]  # (K, words)
    log_pi = torch.where(labels == sampling.NO_WORD, 0.0, log_p).sum(-1)  # of each labelling: (K,)
    return -((R - b.detach()) * log_pi).mean()


three_faults = Exercise(
    title="a loss with three faults",
    spec=loss_spec,
    inputs=loss_inputs,
    mistakes=LOSS_MISTAKES,
    more=_loss_more,
    hints=(
        "Each line of the output belongs to one fault. The first: an optimizer makes a loss *smaller*. The second: "
        "a position that has no word should have no slope. The third: what is the slope of the loss over $b$?",
        "The sign turns round. `torch.where(labels == sampling.NO_WORD, 0.0, log_p)` is 0 where there is no word. The "
        "advantage $R_k - b$ is to be held constant, so its $b$ needs a `detach`; the squared error, which is not in "
        "this function, trains $b$.",
    ),
    solution=repaired_loss,
)

check = Lesson(q1=batch_f1, q2=smooth_ap, q3=one_left_out, q4=which_wins, q5=three_faults)
