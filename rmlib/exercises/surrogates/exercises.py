"""The exercises on rewards one can train on; those on samples are here, the others beside."""

import itertools

import torch

from rmlib.exercises.framework.compare import same
from rmlib.exercises.framework.exercise import Exercise, Lesson, Misconception, NotYet, blank
from rmlib.exercises.framework.numerical_gradients import gradients_of
from rmlib.loss import sampling

from .specifications import BATCH_F1, SMOOTH_AP

# --- The leave-one-out baseline -------------------------------------------------------------------


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
    shape = [(5, 3), (2,), (8,), (3, 4), (2, 3), (4, 2, 3)][seed % 6]
    R = torch.rand(shape, generator=random, dtype=torch.float64)
    if seed == 10:
        R[:] = 0.8
    if seed == 11:
        R[1] += 1000
    return (R,)


def leave_one_out(R):
    K = len(R)
    return K / (K - 1) * (R - R.mean(0))


LEAVE_ONE_OUT = Exercise(
    id="surrogates.leave_one_out",
    title="the leave-one-out baseline",
    spec=leave_one_out_spec,
    inputs=leave_one_out_inputs,
    misconceptions=(
        Misconception(
            "own-reward-in-baseline",
            "R_k is in its own baseline: take the mean over the others only",
            lambda R: R - R.mean(0),
        ),
        Misconception(
            "mean-over-everything",
            "the mean is over everything; take it over the samples, dimension 0",
            lambda R: R - R.mean(),
        ),
        Misconception(
            "sum-over-everything",
            "the sum is over everything; take it over the samples, dimension 0",
            lambda R: R - (R.sum() - R) / (len(R) - 1),
        ),
        Misconception(
            "counts-all-rewards",
            "K is the number of samples, len(R), and not the number of all rewards",
            lambda R: R.numel() / (R.numel() - 1) * (R - R.mean(0)),
        ),
        Misconception(
            "wrong-sign",
            "right size, wrong sign: reward minus baseline",
            lambda R: -leave_one_out(R),
        ),
        Misconception(
            "sum-of-the-others",
            "the others are added up but not divided by their number",
            lambda R: R - (R.sum(0) - R),
        ),
        Misconception(
            "divides-by-k",
            "the sum of the others is divided by K; how many others are there?",
            lambda R: R - (R.sum(0) - R) / len(R),
        ),
        Misconception(
            "inverted-factor",
            "the factor is inverted: leaving R_k out makes the advantage larger, not smaller",
            lambda R: (len(R) - 1) / len(R) * (R - R.mean(0)),
        ),
        Misconception(
            "baseline-alone",
            "this is the baseline b_k; the advantage is R_k minus it",
            lambda R: (R.sum(0) - R) / (len(R) - 1),
        ),
        Misconception(
            "group-normalized",
            "this is divided by a standard deviation, as in “group”; leave-one-out is not",
            lambda R: (R - R.mean(0)) / R.std(0),
        ),
    ),
    hints=(
        "The sum of the others is `R.sum(0) - R[k]`, and there are $K - 1$ of them.",
        r"$R_k - \frac{\sum_j R_j - R_k}{K-1} = \frac{K R_k - \sum_j R_j}{K-1} = "
        r"\frac{K}{K-1}\,(R_k - \bar R)$.",
    ),
    solution=leave_one_out,
)

# --- Which baseline wins --------------------------------------------------------------------------

CASES = ((0.5, 2), (0.1, 8), (0.5, 8), (0.9, 8))  # (p, K)
NONE, LEFT_OUT = "none", "leave_one_out"


def variance(p, K, baseline):
    """The exact variance of the estimated derivative for one word, from all 2^K results."""
    mean = squares = 0.0
    for R in itertools.product((0, 1), repeat=K):
        weight = 1.0
        estimate = 0.0
        for k in range(K):
            b = (sum(R) - R[k]) / (K - 1) if baseline == LEFT_OUT else 0.0
            weight *= p if R[k] else 1 - p
            estimate += (R[k] - b) * (R[k] - p) / K  # d log π / dz is R - p
        mean += weight * estimate
        squares += weight * estimate**2
    return squares - mean**2


def winners():
    """For each case the baseline with the smaller variance."""
    return {
        (p, K): min((NONE, LEFT_OUT), key=lambda baseline: variance(p, K, baseline))
        for p, K in CASES
    }


def _losers():
    return {case: NONE if winner == LEFT_OUT else LEFT_OUT for case, winner in winners().items()}


WHICH_BASELINE_MISCONCEPTIONS = (
    Misconception(
        "always-leave-one-out",
        "you let leave-one-out win everywhere. It is made to lower the variance, but it does not "
        "always: how good an estimate is one other sample? And when are wrong answers rare?",
        lambda: dict.fromkeys(CASES, LEFT_OUT),
    ),
    Misconception(
        "always-none",
        "you let none win everywhere. Then a baseline would never help: in which case are seven "
        "others a good estimate of the mean, and right and wrong answers both frequent?",
        lambda: dict.fromkeys(CASES, NONE),
    ),
    Misconception(
        "by-k-alone",
        "you decide by K alone, and that does not explain all cases. Which answer is rare, how "
        "hard does it push, and does it push at all with none?",
        lambda: {(p, K): NONE if K == 2 else LEFT_OUT for p, K in CASES},
    ),
    Misconception(
        "by-p-alone",
        "you decide by p alone. Look at how many others make up the baseline, too",
        lambda: {(p, K): NONE if p > 0.5 else LEFT_OUT for p, K in CASES},
    ),
    Misconception(
        "all-reversed",
        "all four are reversed. The smaller variance wins",
        _losers,
    ),
)
QUESTIONS_BY_CASE = {
    (0.5, 2): "with two samples the baseline is one other reward, 0 or 1. Is that a good estimate?",
    (0.1, 8): "right answers are rare and push hard. With a baseline of about 0.1, how hard does a "
    "wrong one push?",
    (0.5, 8): "right and wrong come equally often. Are seven others a good estimate of the mean?",
    (0.9, 8): "wrong answers are rare. How hard does each push, with none and with a baseline?",
}


def _judge_winners(answer, spec):
    """Say how many are right, and ask about the first that is not."""
    right = spec()
    if not isinstance(answer, dict) or set(answer) != set(right):
        keys = ", ".join(map(str, right))
        raise NotYet("wrong-form", f"expected a dict with the keys {keys}: (p, K)")
    for (p, K), winner in answer.items():
        if blank(winner):
            raise NotYet("incomplete", f"p = {p}, K = {K} has no answer yet")
        if winner not in (NONE, LEFT_OUT):
            raise NotYet(
                "wrong-form",
                f"p = {p}, K = {K}: your answer is {winner!r}; expected {NONE!r} or {LEFT_OUT!r}",
            )
    wrong = [case for case in right if answer[case] != right[case]]
    if not wrong:
        return
    for misconception in WHICH_BASELINE_MISCONCEPTIONS:
        if answer == misconception.wrong():
            raise NotYet(misconception.id, misconception.message)
    p, K = wrong[0]
    raise NotYet(
        f"wrong-at-p-{p}-k-{K}",
        f"{len(right) - len(wrong)} of {len(right)} are right. Think again about p = {p}, K = {K}: "
        f"{QUESTIONS_BY_CASE[p, K]}",
    )


WHICH_BASELINE = Exercise(
    id="surrogates.which_baseline",
    title="which baseline wins",
    spec=winners,
    misconceptions=WHICH_BASELINE_MISCONCEPTIONS,
    more=_judge_winners,
    hints=(
        "At $K = 2$ the baseline of a sample is *one* reward, 0 or 1, with as much variance as the "
        "reward from which it is subtracted.",
        "$d \\log\\pi / dz$ is $1 - p$ for a right answer and $-p$ for a wrong one. With none only "
        "right answers push, each by $1 - p$, which is small at $p = 0.9$. With a baseline the "
        "rare wrong answers push too, each of them hard.",
    ),
    solution="""\
mine = {}
for p_of, K in ((0.5, 2), (0.1, 8), (0.5, 8), (0.9, 8)):
    variance = {name: listed_all(K, name, p_of)[1] for name in ("none", "leave_one_out")}
    mine[p_of, K] = min(variance, key=variance.get)
""",
)

# --- Three faults in a score-function loss --------------------------------------------------------


def loss_spec(logits, drawn, labels, R, b):
    """−mean over the samples of (R_k − b) · log π of labelling k, with R and b as constants."""
    total = 0.0
    for k in range(len(drawn)):
        log_pi = 0.0
        for i in range(len(labels)):
            if labels[i] != sampling.PADDING:
                log_pi = log_pi + logits[i].log_softmax(0)[drawn[k, i]]
        total = total - (float(R[k]) - float(b)) * log_pi
    return total / len(drawn)


def loss_inputs(seed):
    """Logits (words, 3), K labellings, labels with up to three padding positions, R, b.

    Seed 11: logits of ±1000.
    """
    random = torch.Generator().manual_seed(seed)
    words = 2 + seed % 3
    padding = (0, 1, 3, 2)[seed % 4]
    samples = (2, 1, 8, 5)[seed % 4]
    scale = 500 if seed == 11 else 2
    logits = scale * torch.randn(words + padding, 3, generator=random, dtype=torch.float64)
    labels = torch.randint(3, (words + padding,), generator=random)
    labels[words:] = sampling.PADDING
    drawn = torch.randint(3, (samples, words + padding), generator=random)
    R = torch.rand(samples, generator=random, dtype=torch.float64)
    return logits, drawn, labels, R, torch.rand((), generator=random, dtype=torch.float64)


def _words(drawn, labels):
    return labels != sampling.PADDING


def _everything(drawn, labels):
    return torch.ones_like(drawn, dtype=torch.bool)


def _minus_b(R, b):
    return R - b


def _sum_of_words(log_p, labels):
    return log_p.sum(-1)


def _wrong_loss(sign=-1, keep=_words, advantage=_minus_b, reduce=_sum_of_words):
    """The loss with one thing wrong.

    Args:
        sign: 1 flips it.
        keep: (drawn, labels) -> which tags count.
        advantage: (R, b) -> the factor of log π (K,).
        reduce: (log π of each drawn tag, 0 where it does not count; labels) -> log π (K,).
    """

    def wrong(logits, drawn, labels, R, b):
        log_p = logits.log_softmax(-1)[torch.arange(len(labels)), drawn]
        log_p = torch.where(keep(drawn, labels), log_p, 0.0)
        return sign * (advantage(R, b) * reduce(log_p, labels)).mean()

    return wrong


def _of_the_labels(logits, drawn, labels, R, b):
    return _wrong_loss()(logits, labels.clamp(min=0).expand(drawn.shape), labels, R, b)


def _logits_set_to_0(logits, drawn, labels, R, b):
    word = (labels != sampling.PADDING)[:, None]
    return _wrong_loss(keep=_everything)(torch.where(word, logits, 0.0), drawn, labels, R, b)


LOSS_MISCONCEPTIONS = (
    Misconception(
        "unchanged",
        "this is what the colleague's loss gives: two of the three faults show in the value",
        _wrong_loss(1, _everything),
    ),
    Misconception(
        "wrong-sign",
        "a step down on this loss makes good answers rarer. How should the loss change when a good "
        "answer gets more probable?",
        _wrong_loss(1),
    ),
    Misconception(
        "counts-padding",
        "log π still counts positions where there is no word. Which labels do they have?",
        _wrong_loss(keep=_everything),
    ),
    Misconception(
        "drops-tag-0",
        "you leave out words with the drawn tag 0. That is O, a tag like any other. Leave out by "
        "the labels",
        _wrong_loss(keep=lambda drawn, labels: drawn != 0),
    ),
    Misconception(
        "mask-inverted",
        "you keep the positions without a word and leave out the words",
        _wrong_loss(keep=lambda drawn, labels: (labels == sampling.PADDING).expand(drawn.shape)),
    ),
    Misconception(
        "right-words-only",
        "you keep only the words whose drawn tag is right. R says how good a labelling is; log π "
        "includes all its words",
        _wrong_loss(keep=lambda drawn, labels: drawn == labels),
    ),
    Misconception(
        "logits-set-to-0",
        "a logit of 0 is not a log-probability of 0: leave the positions out after the log_softmax",
        _logits_set_to_0,
    ),
    Misconception(
        "mean-over-words",
        "log π of a labelling is the sum over its words, since its probability is a product; you "
        "take a mean",
        _wrong_loss(
            reduce=lambda log_p, labels: log_p.sum(-1) / (labels != sampling.PADDING).sum()
        ),
    ),
    Misconception(
        "mean-over-positions",
        "log π of a labelling is the sum over its words, since its probability is a product; you "
        "take a mean over all positions",
        _wrong_loss(reduce=lambda log_p, labels: log_p.mean(-1)),
    ),
    Misconception(
        "mean-and-padding",
        "log π of a labelling is a sum, since its probability is a product, and you take a mean. "
        "Also, positions without a word are still in it",
        _wrong_loss(keep=_everything, reduce=lambda log_p, labels: log_p.mean(-1)),
    ),
    Misconception(
        "sum-over-samples",
        "you add up over the samples; the loss is their mean",
        _wrong_loss(advantage=lambda R, b: len(R) * (R - b)),
    ),
    Misconception(
        "no-baseline",
        "the baseline is gone. Its value was right; look at what happens to b in training",
        _wrong_loss(advantage=lambda R, b: R),
    ),
    Misconception(
        "own-mean-as-baseline",
        "you took the mean of R for the baseline: R_k is then in its own baseline. Keep b",
        _wrong_loss(advantage=lambda R, b: R - R.mean()),
    ),
    Misconception(
        "log-pi-of-labels",
        "this is log π of the right tags. The reward belongs to the tags that were drawn",
        _of_the_labels,
    ),
)


def _loss_gradient(answer, spec):
    args = loss_inputs(5)
    by_logits, by_b = gradients_of(answer, args, "the logits", positions=(0, 4))
    if not same(by_logits, gradients_of(spec, args, "the logits")[0]):
        raise NotYet(
            "wrong-gradient",
            "the value is right, the gradient with respect to the logits is wrong: is there a "
            "`detach` inside log π, or a gradient in R − b?",
        )
    if not same(by_b, torch.zeros(())):
        raise NotYet(
            "baseline-has-gradient",
            "the value and the gradient with respect to the logits are right. But a step on this "
            "loss also changes b: see the output",
        )


def repaired_loss(logits, drawn, labels, R, b):
    log_p = logits.log_softmax(-1)[torch.arange(len(labels)), drawn]  # (K, words)
    log_pi = torch.where(labels == sampling.PADDING, 0.0, log_p).sum(-1)  # of each labelling: (K,)
    return -((R - b.detach()) * log_pi).mean()


SCORE_FUNCTION_LOSS = Exercise(
    id="surrogates.score_function_loss",
    title="a loss with three faults",
    spec=loss_spec,
    inputs=loss_inputs,
    misconceptions=LOSS_MISCONCEPTIONS,
    more=_loss_gradient,
    hints=(
        "Each line of the output belongs to one fault. The first: an optimizer makes a loss "
        "*smaller*. The second: a position without a word should have no gradient. The third: what "
        "is the gradient of the loss with respect to $b$?",
        "Flip the sign. `torch.where(labels == sampling.PADDING, 0.0, log_p)` is 0 where there is "
        "no word. The advantage $R_k - b$ is a constant, so its $b$ needs a `detach`; the squared "
        "error, which is not in this function, trains $b$.",
    ),
    solution=repaired_loss,
)

check = Lesson(
    q1=BATCH_F1, q2=SMOOTH_AP, q3=LEAVE_ONE_OUT, q4=WHICH_BASELINE, q5=SCORE_FUNCTION_LOSS
)
