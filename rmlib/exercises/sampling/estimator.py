"""Exercises on the estimator: enumeration, the leave-one-out baseline, the score-function loss."""

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from rmlib.exercises.framework.compare import same
from rmlib.exercises.framework.exercise import Exercise, Misconception, NotYet
from rmlib.exercises.framework.numerical_gradients import gradients_of
from rmlib.loss import sampling

# --- Everything enumerated ------------------------------------------------------------------------


def expected_reward_spec(logits, labels, reward):
    """Σ over all labellings of probability · R."""
    p = logits.softmax(-1)
    total = 0.0
    for tags in itertools.product(range(logits.shape[1]), repeat=len(labels)):
        probability = 1.0
        for i, tag in enumerate(tags):
            probability = probability * p[i, tag]
        total = total + probability * float(reward(torch.tensor(tags), labels))
    return total


def _share_right(tags, labels):
    return (tags == labels).double().mean()


def _all_right(tags, labels):
    return (tags == labels).all().double()


def _first_and_last(tags, labels):
    right = tags == labels
    return 0.25 + 0.5 * right[0] * right[-1]


@dataclass
class OfOneLabelling:
    """A reward that takes one labelling as a tensor, and no labelling more than twice.

    Who lists the labellings scores each of them once; who draws them meets some again and again.
    """

    metric: Callable
    scored: Counter = field(default_factory=Counter, compare=False)

    def __call__(self, tags, labels):
        if not torch.is_tensor(tags):
            raise TypeError(
                f"reward expects the tags as a tensor (words,), found a {type(tags).__name__}: "
                "use torch.tensor(tags)"
            )
        if tags.shape != labels.shape:
            raise ValueError(
                f"reward expects one labelling, the tags {tuple(labels.shape)}; found "
                f"{tuple(tags.shape)}"
            )
        key = tuple(tags.tolist())
        self.scored[key] += 1
        if self.scored[key] > 2:
            raise ValueError(
                f"the labelling {list(key)} is scored for the third time: list every labelling "
                "once, don't draw them"
            )
        return self.metric(tags, labels)


def expected_reward_inputs(seed):
    """Logits (words, classes) of 2 to 4 words and 2 or 3 classes, labels, a reward function."""
    random = torch.Generator().manual_seed(seed)
    words, classes = 2 + seed % 3, 2 + seed % 2
    logits = 1.5 * torch.randn(words, classes, generator=random, dtype=torch.float64)
    labels = torch.randint(classes, (words,), generator=random)
    metric = (_share_right, _all_right, _first_and_last)[seed // 2 % 3]
    return logits, labels, OfOneLabelling(metric)


def _wrong_expectation(weight):
    """E[R] with another weight: (logits, tags) -> the weight of a labelling."""

    def wrong(logits, labels, reward):
        every = itertools.product(range(logits.shape[1]), repeat=len(labels))
        return sum(
            weight(logits, tags) * float(reward(torch.tensor(tags), labels)) for tags in every
        )

    return wrong


def _of_words(values, tags):
    return values[torch.arange(len(tags)), torch.tensor(tags)]


def _expectation_gradient(answer, spec):
    (found,) = gradients_of(answer, expected_reward_inputs(4), "the logits")
    (expected,) = gradients_of(spec, expected_reward_inputs(4), "the logits")
    if not same(found, expected):
        raise NotYet(
            "wrong-gradient",
            "the value is right, its gradient with respect to the logits is not: is a part of the "
            "probability detached?",
        )


def expected_reward(logits, labels, reward):
    p = logits.softmax(-1)
    total = 0.0
    for tags in itertools.product(range(logits.shape[1]), repeat=len(labels)):
        tags = torch.tensor(tags)
        probability = p[torch.arange(len(tags)), tags].prod()
        total = total + probability * reward(tags, labels)
    return total


EXPECTED_REWARD = Exercise(
    id="sampling.expected_reward",
    title="the expected reward, exactly",
    spec=expected_reward_spec,
    inputs=expected_reward_inputs,
    misconceptions=(
        Misconception(
            "unweighted",
            "every labelling counts the same here; weight each by its probability",
            _wrong_expectation(lambda z, tags: z.shape[1] ** -len(tags)),
        ),
        Misconception(
            "rewards-added-up",
            "the rewards are added up without their probabilities",
            _wrong_expectation(lambda z, tags: 1.0),
        ),
        Misconception(
            "mean-over-labellings",
            "you take the mean over the labellings of probability · reward; the probabilities sum "
            "to 1 already, so take the sum",
            lambda logits, labels, reward: (
                expected_reward(logits, labels, reward) / logits.shape[1] ** len(labels)
            ),
        ),
        Misconception(
            "mean-of-word-probabilities",
            "the probability of a labelling is the product over its words; you take their mean",
            _wrong_expectation(lambda z, tags: _of_words(z.softmax(-1), tags).mean()),
        ),
        Misconception(
            "sum-of-word-probabilities",
            "the probability of a labelling is the product over its words; you take their sum",
            _wrong_expectation(lambda z, tags: _of_words(z.softmax(-1), tags).sum()),
        ),
        Misconception(
            "log-probability",
            "the weight is a log-probability; take the probability itself",
            _wrong_expectation(lambda z, tags: _of_words(z.log_softmax(-1), tags).sum()),
        ),
        Misconception(
            "softmax-over-words",
            "the softmax is over the words; the classes of one word are the last dimension, −1",
            _wrong_expectation(lambda z, tags: _of_words(z.softmax(0), tags).prod()),
        ),
        Misconception(
            "logits-as-probabilities",
            "logits are not probabilities: a softmax is missing",
            _wrong_expectation(lambda z, tags: _of_words(z, tags).prod()),
        ),
        Misconception(
            "most-probable-only",
            "this is the reward of the most probable labelling alone; all of them count",
            lambda logits, labels, reward: reward(logits.argmax(-1), labels),
        ),
    ),
    more=_expectation_gradient,
    hints=(
        "`itertools.product(range(classes), repeat=words)` lists all labellings, each as a tuple. "
        "Words are independent given the logits: the probability of a labelling is a product.",
        "With `p = logits.softmax(-1)` and `tags = torch.tensor(tags)` it is "
        "`p[torch.arange(len(tags)), tags].prod()`. Add up probability × `reward(tags, labels)`; "
        "no `.item()`, or the gradient is lost.",
    ),
    solution=expected_reward,
)


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
    id="sampling.leave_one_out",
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
        Misconception(
            "group-normalized-1e-4",
            "this is divided by a standard deviation + 1e-4: that is “group”; leave-one-out "
            "divides by nothing",
            lambda R: (R - R.mean(0)) / (R.std(0) + 1e-4),
        ),
    ),
    hints=(
        "The sum of the others is `R.sum(0) - R[k]`, and there are $K - 1$ of them.",
        r"$R_k - \frac{\sum_j R_j - R_k}{K-1} = \frac{K R_k - \sum_j R_j}{K-1} = "
        r"\frac{K}{K-1}\,(R_k - \bar R)$.",
    ),
    solution=leave_one_out,
    piece="leave_one_out",
)

# --- Mean and variance, exactly -------------------------------------------------------------------


def mean_and_variance_spec(advantage, p, K):
    """Over all 2^K outcomes, one by one, with Python's numbers."""
    results = []
    for R in itertools.product((0.0, 1.0), repeat=K):
        probability = 1.0
        for reward in R:
            probability *= p if reward else 1 - p
        A = advantage(torch.tensor(R, dtype=torch.float64)).tolist()
        estimate = sum(A[k] * (R[k] - p) for k in range(K)) / K  # d log π / dz is R - p
        results.append((probability, estimate))
    mean = sum(probability * estimate for probability, estimate in results)
    return mean, sum(probability * (estimate - mean) ** 2 for probability, estimate in results)


def _unchanged(R):
    return R


def _minus_mean(R):
    return R - R.mean(0)


def mean_and_variance_inputs(seed):
    """advantage (R (K,) -> (K,)), p, K from 1 to 5."""
    K = (2, 3, 1, 5, 2, 4)[seed % 6]
    advantage = _unchanged if K == 1 else (leave_one_out, _unchanged, _minus_mean)[seed % 3]
    return advantage, (0.3, 0.9, 0.5, 0.15)[seed % 4], K


def _wrong_moments(weighted=True, reduce=torch.mean, factor=lambda R, p: R - p, variance=None):
    """The mean and the variance with one thing wrong.

    Args:
        weighted: False: every outcome counts the same.
        reduce: the mean over the samples.
        factor: (R, p) -> d log π / dz.
        variance: (mean, mean square) -> the second number.
    """

    def wrong(advantage, p, K):
        mean = square = 0.0
        for rewards in itertools.product((0.0, 1.0), repeat=K):
            R = torch.tensor(rewards, dtype=torch.float64)
            chance = float(torch.where(R == 1, p, 1 - p).prod()) if weighted else 0.5**K
            estimate = float(reduce(advantage(R) * factor(R, p)))
            mean, square = mean + chance * estimate, square + chance * estimate**2
        return mean, variance(mean, square) if variance else square - mean**2

    return wrong


def _estimates(advantage, p, K):
    """The estimate of each of the 2^K outcomes, (outcomes,)."""
    outcomes = torch.tensor(list(itertools.product((0.0, 1.0), repeat=K)), dtype=torch.float64)
    return torch.stack([(advantage(R) * (R - p)).mean() for R in outcomes])


def _one_outcome_per_count(advantage, p, K):
    mean = square = 0.0
    for right in range(K + 1):
        R = torch.tensor([1.0] * right + [0.0] * (K - right), dtype=torch.float64)
        chance = p**right * (1 - p) ** (K - right)
        estimate = float((advantage(R) * (R - p)).mean())
        mean, square = mean + chance * estimate, square + chance * estimate**2
    return mean, square - mean**2


def mean_and_variance(advantage, p, K):
    mean = square = 0.0
    for outcome in itertools.product([0.0, 1.0], repeat=K):
        R = torch.tensor(outcome)
        probability = torch.where(R == 1, p, 1 - p).prod()
        estimate = (advantage(R) * (R - p)).mean()
        mean = mean + probability * estimate
        square = square + probability * estimate**2
    return mean, square - mean**2


MEAN_AND_VARIANCE = Exercise(
    id="sampling.mean_and_variance",
    title="mean and variance, exactly",
    spec=mean_and_variance_spec,
    inputs=mean_and_variance_inputs,
    misconceptions=(
        Misconception(
            "unweighted",
            "every outcome counts the same here. An outcome with probability .01 must count less "
            "than one with .5: weight each by its probability",
            _wrong_moments(weighted=False),
        ),
        Misconception(
            "unweighted-var",
            "every outcome counts the same in `.mean()` and `.var()`: weight each by its "
            "probability, in both numbers",
            lambda *args: (_estimates(*args).mean(), _estimates(*args).var()),
        ),
        Misconception(
            "variance-unweighted",
            "the mean is right. In `.var()` every outcome counts the same: weight each squared "
            "distance by the outcome's probability",
            lambda *args: (mean_and_variance_spec(*args)[0], _estimates(*args).var()),
        ),
        Misconception(
            "variance-unweighted-by-n",
            "the mean is right. In the variance every outcome counts the same: weight each squared "
            "distance by the outcome's probability",
            lambda *args: (mean_and_variance_spec(*args)[0], _estimates(*args).var(correction=0)),
        ),
        Misconception(
            "one-outcome-per-count",
            "you take one outcome per number of right answers, but several outcomes have the same "
            "number: list all 2^K, or multiply by the binomial coefficient `math.comb`",
            _one_outcome_per_count,
        ),
        Misconception(
            "swapped",
            "the two numbers are swapped: first the mean, then the variance",
            lambda *args: mean_and_variance_spec(*args)[::-1],
        ),
        Misconception(
            "sum-over-samples",
            "one estimate is the mean over its K samples; you add them up",
            _wrong_moments(reduce=torch.sum),
        ),
        Misconception(
            "mean-square",
            "the second number is the mean square; the variance is that minus the squared mean",
            _wrong_moments(variance=lambda mean, square: square),
        ),
        Misconception(
            "standard-deviation",
            "the second number is the standard deviation; the variance is its square",
            _wrong_moments(variance=lambda mean, square: max(square - mean**2, 0.0) ** 0.5),
        ),
        Misconception(
            "advantage-alone",
            "this is the mean of the advantages. An estimate multiplies each A_k by d log π / dz, "
            "which is R_k − p",
            _wrong_moments(factor=lambda R, p: torch.ones_like(R)),
        ),
        Misconception(
            "always-1-minus-p",
            "d log π / dz is 1 − p for a right answer only; for a wrong one it is −p",
            _wrong_moments(factor=lambda R, p: torch.full_like(R, 1 - p)),
        ),
    ),
    hints=(
        "`itertools.product([0.0, 1.0], repeat=K)` lists all outcomes. The probability of one is a "
        "product of K factors, $p$ or $1 - p$.",
        "For each outcome: `R = torch.tensor(outcome)`, its probability "
        "`torch.where(R == 1, p, 1 - p).prod()`, its estimate `(advantage(R) * (R - p)).mean()`. "
        "Add up probability × estimate and probability × estimate².",
    ),
    solution=mean_and_variance,
)

# --- The score-function loss ----------------------------------------------------------------------

IGNORE = sampling.PADDING


def loss_spec(logits, drawn, labels, R):
    """−mean over the samples of A_k · log π of labelling k, with A as a constant."""
    total = 0.0
    for k in range(len(drawn)):
        others = [float(R[j]) for j in range(len(R)) if j != k]
        advantage = float(R[k]) - sum(others) / len(others)
        log_pi = 0.0
        for i in range(len(labels)):
            if labels[i] != IGNORE:
                log_pi = log_pi + logits[i].log_softmax(0)[drawn[k, i]]
        total = total - advantage * log_pi
    return total / len(drawn)


def loss_inputs(seed):
    """Logits (words, 3), K labellings, labels with up to three padding positions, R.

    Seed 11: logits of ±1000.
    """
    random = torch.Generator().manual_seed(seed)
    words = 2 + seed % 3
    padding = (0, 1, 3, 2)[seed % 4]
    samples = (2, 3, 8, 5)[seed % 4]
    scale = 500 if seed == 11 else 2
    logits = scale * torch.randn(words + padding, 3, generator=random, dtype=torch.float64)
    labels = torch.randint(3, (words + padding,), generator=random)
    labels[words:] = IGNORE
    drawn = torch.randint(3, (samples, words + padding), generator=random)
    return logits, drawn, labels, torch.rand(samples, generator=random, dtype=torch.float64)


def _words(drawn, labels):
    return labels != IGNORE


def _everything(drawn, labels):
    return torch.ones_like(drawn, dtype=torch.bool)


def _sum_of_words(log_p, labels):
    return log_p.sum(-1)


def _wrong_loss(sign=-1, keep=_words, advantage=leave_one_out, reduce=_sum_of_words):
    """The loss with one thing wrong.

    Args:
        sign: 1 flips it.
        keep: (drawn, labels) -> which tags count.
        advantage: R -> the factor of log π (K,).
        reduce: (log π of each drawn tag, 0 where it doesn't count; labels) -> log π (K,).
    """

    def wrong(logits, drawn, labels, R):
        log_p = logits.log_softmax(-1)[torch.arange(len(labels)), drawn]
        log_p = torch.where(keep(drawn, labels), log_p, 0.0)
        return sign * (advantage(R) * reduce(log_p, labels)).mean()

    return wrong


def _of_the_labels(logits, drawn, labels, R):
    return _wrong_loss()(logits, labels.clamp(min=0).expand(drawn.shape), labels, R)


def _of_probabilities(together):
    """The loss with probabilities for log-probabilities, made one by `together` (sum or prod)."""

    def wrong(logits, drawn, labels, R):
        p = logits.softmax(-1)[torch.arange(len(labels)), drawn]
        word = labels != IGNORE
        return -(leave_one_out(R) * together(p[:, word], -1)).mean()

    return wrong


LOSS_MISCONCEPTIONS = (
    Misconception(
        "sign-and-padding",
        "two faults: a step down on this loss makes good labellings rarer, and log π counts "
        "positions where there is no word",
        _wrong_loss(1, _everything),
    ),
    Misconception(
        "wrong-sign",
        "right size, wrong sign. An optimizer makes a loss smaller, and with this one good "
        "labellings get rarer: trained with it, the mean reward falls towards 0",
        _wrong_loss(1),
    ),
    Misconception(
        "counts-padding",
        "log π still counts positions where there is no word. Trained with it, the logits at the "
        "padding change, though no answer there can be right. Which labels do they have?",
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
        _wrong_loss(keep=lambda drawn, labels: (labels == IGNORE).expand(drawn.shape)),
    ),
    Misconception(
        "right-words-only",
        "you keep only the words whose drawn tag is right. R says how good a labelling is; log π "
        "includes all its words",
        _wrong_loss(keep=lambda drawn, labels: drawn == labels),
    ),
    Misconception(
        "mean-over-words",
        "log π of a labelling is the sum over its words, since its probability is a product; you "
        "take a mean",
        _wrong_loss(reduce=lambda log_p, labels: log_p.sum(-1) / (labels != IGNORE).sum()),
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
        _wrong_loss(advantage=lambda R: len(R) * leave_one_out(R)),
    ),
    Misconception(
        "no-baseline",
        "log π is multiplied by the reward itself. Unbiased, too, but every labelling that scores "
        "anything is made likelier: use leave_one_out(R)",
        _wrong_loss(advantage=lambda R: R),
    ),
    Misconception(
        "own-mean-as-baseline",
        "the advantage is R minus the mean of all R: R_k is then in its own baseline, and the "
        "gradient is too short. Use leave_one_out(R)",
        _wrong_loss(advantage=lambda R: R - R.mean(0)),
    ),
    Misconception(
        "group-normalized",
        "the advantage is divided by the standard deviation of the rewards, as in “group”; "
        "leave-one-out is not",
        _wrong_loss(advantage=lambda R: (R - R.mean(0)) / R.std(0)),
    ),
    Misconception(
        "group-normalized-1e-4",
        "the advantage is divided by the standard deviation of the rewards + 1e-4: that is "
        "“group”; leave-one-out divides by nothing",
        _wrong_loss(advantage=lambda R: (R - R.mean(0)) / (R.std(0) + 1e-4)),
    ),
    Misconception(
        "probability-not-log",
        "the advantages multiply the probabilities π of the labellings; the loss needs log π",
        _of_probabilities(torch.prod),
    ),
    Misconception(
        "probabilities-added-up",
        "you add up probabilities of words. Probabilities are multiplied, or their logarithms "
        "added up: take the `log_softmax`",
        _of_probabilities(torch.sum),
    ),
    Misconception(
        "log-pi-of-labels",
        "this is log π of the right tags. The reward belongs to the tags that were drawn",
        _of_the_labels,
    ),
)


def _loss_gradient(answer, spec):
    args = loss_inputs(5)
    by_logits, by_reward = gradients_of(answer, args, "the logits", positions=(0, 3))
    if not same(by_logits, gradients_of(spec, args, "the logits")[0]):
        raise NotYet(
            "wrong-gradient",
            "the value is right, the gradient with respect to the logits is wrong: is there a "
            "`detach` inside log π?",
        )
    if not same(by_reward, torch.zeros_like(by_reward)):
        raise NotYet(
            "advantage-has-gradient",
            "the value and the gradient with respect to the logits are right. But the gradient "
            "also reaches R. Where a model computes R, a step on this loss would change that "
            "model so that it gives higher rewards. Hold the advantage constant",
        )


def score_function_loss(logits, drawn, labels, R):
    log_p = logits.log_softmax(-1)[torch.arange(len(labels)), drawn]  # (K, words)
    log_pi = torch.where(labels == IGNORE, 0.0, log_p).sum(-1)  # of each labelling: (K,)
    return -(leave_one_out(R).detach() * log_pi).mean()


SCORE_FUNCTION_LOSS = Exercise(
    id="sampling.score_function_loss",
    title="the score-function loss",
    spec=loss_spec,
    inputs=loss_inputs,
    misconceptions=LOSS_MISCONCEPTIONS,
    more=_loss_gradient,
    hints=(
        "`logits.log_softmax(-1)[torch.arange(len(labels)), drawn]` are the log-probabilities of "
        "the drawn tags, (K, words). The log-probability of a labelling is their sum over the "
        "words, without the padding.",
        "`torch.where(labels == IGNORE, 0.0, log_p)` is 0 where there is no word. The advantage is "
        "a constant, so `leave_one_out(R)` needs a `detach()`. And the loss has a minus. (Raw "
        "logits without `log_softmax` pass, too, but only because the advantages sum to 0.)",
    ),
    solution=score_function_loss,
    piece="score_function_loss",
)
