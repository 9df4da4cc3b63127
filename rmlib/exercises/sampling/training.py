"""Exercises on training with samples: a metric of one's own, and one training step."""

import math

import torch

from rmlib.determinism import seeded
from rmlib.exercises.framework import sandbox
from rmlib.exercises.framework.compare import same
from rmlib.exercises.framework.exercise import NO_CODE, Exercise, NotAttempted, NotYet, is_stub
from rmlib.loss import sampling

from .estimator import IGNORE, score_function_loss

# --- A metric of one's own ------------------------------------------------------------------------

GOLD = ([1, 2, 0, 1], [0, 1, IGNORE, IGNORE], [1, 0, 0], [0, 0], [1, 2, 2, 0, IGNORE])


def _rewards_of(metric, drawn, labels):
    """The rewards as float64; what isn't one number per labelling is named."""
    given = drawn.clone(), labels.clone()
    R = metric(*given)
    if not (given[0].equal(drawn) and given[1].equal(labels)):
        raise NotYet("changes-its-arguments", "your metric changes its arguments: work on a copy")
    if R is None:
        raise NotYet("returns-none", "it returns None: is `return` missing?")
    if not torch.is_tensor(R):
        raise NotYet("wrong-type", f"it returns a {type(R).__name__}; expected a tensor (K,)")
    if R.shape != (len(drawn),):
        raise NotYet(
            "wrong-shape",
            f"for {len(drawn)} labellings the shape is {tuple(R.shape)}; expected "
            f"{(len(drawn),)}: one reward per labelling",
        )
    if not R.is_floating_point():
        raise NotYet(
            "not-floating",
            f"your rewards are {str(R.dtype).removeprefix('torch.')}, and a mean of them can't be "
            "computed: return `.double()`",
        )
    R = R.detach().double()
    if not R.isfinite().all():
        raise NotYet(
            "not-finite",
            f"a reward is {R[~R.isfinite()][0]:g}: what if nothing was drawn or there is no name?",
        )
    return R


def _is_metric(answer, spec):
    """A metric: no labelling beats the right one; padding and the other labellings don't matter."""
    if is_stub(answer):
        raise NotAttempted(NO_CODE)
    if not callable(answer):
        raise NotYet("not-a-function", "expected the function itself, without parentheses")

    def metric(drawn, labels):
        return _rewards_of(lambda *args: sandbox.call(answer, *args), drawn, labels)

    random = torch.Generator().manual_seed(0)
    tells_apart = {tuple(row): _look_at_sentence(metric, row, random) for row in GOLD}
    if not any(tells_apart.values()):
        raise NotYet(
            "constant",
            "every labelling has the same reward: training learns from differences between them",
        )
    for row, tells in tells_apart.items():
        if IGNORE in row and max(row) > 0 and not tells:
            raise NotYet(
                "padding-never-right",
                f"labels {list(row)}: every labelling has the same reward. No drawn tag equals the "
                "label −100: leave these positions out, or count them as right",
            )


def _look_at_sentence(metric, row, random):
    """Whether the metric gives the labellings of a sentence different rewards."""
    labels = torch.tensor(row)
    word = labels != IGNORE
    words = int(word.sum())
    every = torch.cartesian_prod(*[torch.arange(3)] * words).reshape(-1, words)
    drawn = torch.randint(3, (len(every), len(row)), generator=random)
    drawn[:, word] = every
    R = metric(drawn, labels)
    right = (every == labels[word]).all(-1)
    if R[right].max() < R.max() - 1e-9:
        better = every[R.argmax()].tolist()
        raise NotYet(
            "right-is-not-best",
            f"labels {row}: the labelling {better} has the reward {R.max():.3g}, the right one "
            f"only {R[right].max():.3g}",
        )
    other = drawn.clone()
    other[:, ~word] = (other[:, ~word] + 1) % 3
    if not same(metric(other, labels), R):
        raise NotYet(
            "counts-padding",
            f"labels {row}: the reward depends on what was drawn where there is no word "
            "(label −100)",
        )
    order = torch.randperm(len(every), generator=random)[:8]
    if not same(metric(drawn[order], labels), R[order]):
        raise NotYet(
            "mixes-labellings",
            "the reward of a labelling depends on the other labellings: score each row alone",
        )
    return bool(R.max() > R.min())


def my_metric(drawn, labels):
    def names(tags):  # (first, end) of every name: B-PER = 1, then any number of I-PER = 2
        found = set()
        for first, tag in enumerate(tags):
            if tag == 1:
                end = first + 1
                while end < len(tags) and tags[end] == 2:
                    end += 1
                found.add((first, end))
        return found

    word = labels != IGNORE
    gold = names(labels[word].tolist())
    rewards = []
    for row in drawn[:, word].tolist():
        guess = names(row)
        total = len(guess) + len(gold)
        rewards.append(2 * len(guess & gold) / total if total else 1.0)
    return torch.tensor(rewards)


OWN_METRIC = Exercise(
    id="sampling.own_metric",
    title="a metric of your own",
    spec=lambda: my_metric,
    more=_is_metric,
    hints=(
        "The share of faultless sentences takes one line: `(drawn == labels) | (labels == IGNORE)` "
        "is true where a word is right or there is none; a labelling is faultless where `all(-1)`. "
        "Return numbers, `.double()`.",
        "F1 over names: turn a list of tags into a set of (first, end) and count "
        "`len(guess & gold)`. F1 is 2 · common / (guessed + actual); where both sets are empty "
        "there is nothing to get wrong.",
    ),
    solution=my_metric,
)

# --- One training step ----------------------------------------------------------------------------


class _Watched:
    """The share of right words, as a metric that remembers what it was called with.

    Attributes:
        K: how many labellings it expects.
        scored: one (drawn (K, words), labels (words,), R (K,)) per call.
        fault: what was wrong with a call.
    """

    def __init__(self, K):
        self.K = K
        self.scored = []
        self.fault: NotYet | None = None

    def __call__(self, drawn, labels):
        if labels.ndim != 1 or drawn.ndim != 2 or drawn.shape[1] != len(labels):
            self.fault = NotYet(
                "wrong-arguments-of-metric",
                f"your step calls the metric with drawn {tuple(drawn.shape)} and labels "
                f"{tuple(labels.shape)}; expected (K, words) and (words,): one sentence at a time",
            )
            raise self.fault
        if len(drawn) != self.K:
            self.fault = NotYet(
                "fixed-k",
                f"your step is called with K = {self.K} and draws {len(drawn)} labellings: give "
                "`K` to `sampling.draw`, with the default 8",
            )
            raise self.fault
        word = labels != IGNORE
        R = (drawn == labels)[:, word].double().mean(1)
        self.scored.append((drawn.clone(), labels.clone(), R))
        return R


WORDS = torch.tensor([[0, 1, 2], [3, 4, 6], [2, 0, 1]])  # word numbers; 6 is the padding
LABELS = torch.tensor([[1, 2, 0], [1, 0, IGNORE], [0, 1, 2]])


def _tagger(scale):
    """A tagger of seven words and three tags, with random logits of this size."""
    tagger = torch.nn.Embedding(7, 3, dtype=torch.float64)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        tagger.weight.copy_(scale * torch.randn(7, 3, generator=random, dtype=torch.float64))
    return tagger


def _is_step(answer, spec):
    """A training step: it draws from the model, steps once, and returns the right numbers."""
    if is_stub(answer):
        raise NotAttempted(NO_CODE)
    if not callable(answer):
        raise NotYet("not-a-function", "expected the function itself, without parentheses")
    with seeded(0):
        _look_at_steps(answer)


class _Steps:
    """The learner's steps on one tagger with plain gradient descent, learning rate 1."""

    def __init__(self, answer, tagger):
        self.answer = answer
        self.weight = tagger.weight
        self.tagger = tagger
        self.optimizer = torch.optim.SGD(tagger.parameters(), lr=1.0)
        self.optimizer.zero_grad()  # the first in a process imports for seconds: not in the sandbox
        self.optimizer.register_step_post_hook(self._count)
        self.count = 0

    def _count(self, *args):
        self.count += 1

    def run(self, K=None):
        """One step with K samples, or with the default.

        Returns:
            what the learner's function returned, the metric, the change of the weights.
        """
        metric = _Watched(K or 8)
        before = self.weight.detach().clone()
        self.count = 0
        extra = () if K is None else (K,)
        ids, labels = WORDS.clone(), LABELS.clone()
        try:
            result = sandbox.call(
                self.answer, self.tagger, self.optimizer, ids, labels, metric, *extra
            )
        except sandbox.LearnersError as error:
            raise metric.fault or error from None
        return result, metric, self.weight.detach() - before


def _look_at_steps(answer):
    steps = _Steps(answer, _tagger(1.0))
    start = steps.weight.detach().clone()
    result, metric, change = steps.run(K=5)
    _look_at_form(result, metric)
    _look_at_draws(metric)
    losses, first = _losses_and_gradients(start, metric)
    _look_at_change(change, first, steps.count)
    _look_at_numbers(result, metric, losses)

    start = steps.weight.detach().clone()
    result, metric, change = steps.run()
    losses, second = _losses_and_gradients(start, metric)
    if same(change, -(first + second).mean(0)):
        raise NotYet(
            "gradients-accumulate",
            "the gradients of earlier steps are added to those of this one: is "
            "`optimizer.zero_grad()` missing?",
        )
    _look_at_change(change, second, steps.count)
    _look_at_numbers(result, metric, losses)
    _look_at_source(answer)


def _look_at_form(result, metric):
    if result is None:
        raise NotYet("returns-none", "it returns None: is `return` missing?")
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise NotYet("wrong-form", "expected two numbers: the loss and the mean reward")
    if any(getattr(number, "requires_grad", False) for number in result):
        raise NotYet(
            "not-a-float", "the loss is a tensor with a gradient: return a float, by `.item()`"
        )
    if len(metric.scored) != len(LABELS):
        raise NotYet(
            "sentences-missing",
            f"there are {len(LABELS)} sentences, and the metric was called {len(metric.scored)} "
            "times: once per sentence",
        )


def _look_at_draws(metric):
    if all((drawn == drawn[0]).all() for drawn, _, _ in metric.scored):
        raise NotYet(
            "not-drawn",
            "all labellings of a sentence are alike: draw them with `sampling.draw(logits, K)`",
        )


def _row(labels):
    """Which sentence has these labels, with the padding or without."""
    for row, expected in enumerate(LABELS):
        if expected.equal(labels) or expected[expected != IGNORE].equal(labels):
            return row
    raise NotYet(
        "wrong-labels",
        f"the metric is called with the labels {labels.tolist()}, which no sentence has: give it "
        "`labels[i]` as they are, with −100 at the padding",
    )


def _losses_and_gradients(weight, metric):
    """Of each sentence, for the labellings that were scored: (sentences,), (sentences, 7, 3)."""
    weight = weight.clone().requires_grad_()
    losses, gradients = [], []
    for drawn, labels, R in metric.scored:
        logits = weight[WORDS[_row(labels)]][: len(labels)]
        losses.append(score_function_loss(logits, drawn, labels, R))
        gradients.append(torch.autograd.grad(losses[-1], weight)[0])
    return torch.stack(losses).detach(), torch.stack(gradients)


def _look_at_change(change, gradients, count):
    """Whether the weights changed by minus the mean gradient, in one step."""
    right = -gradients.mean(0)
    if count > 1:
        raise NotYet(
            "step-per-sentence",
            f"`optimizer.step()` runs {count} times. Collect the losses of all sentences, then "
            "make one step on their mean",
        )
    if same(change, torch.zeros_like(change)):
        raise NotYet(
            "no-step",
            "the parameters are as they were: is `backward()` or `optimizer.step()` missing, or "
            "does `zero_grad()` stand between them?",
        )
    if same(change, right):
        return
    if same(change, -right) or same(change, gradients.sum(0)):
        raise NotYet(
            "reward-falls",
            "your step makes good labellings rarer, so the reward falls in training. Look at the "
            "sign",
        )
    if same(change, len(gradients) * right):
        raise NotYet(
            "sum-of-losses",
            f"your step is {len(gradients)} times too long: take the mean of the sentences' "
            "losses, not their sum",
        )
    if any(same(change, -one) or same(change, -one / len(gradients)) for one in gradients):
        raise NotYet(
            "one-sentence-only",
            "only one sentence trains the tagger: `backward()` belongs on the mean of all losses, "
            "not on the loss of the last sentence",
        )
    raise NotYet(
        "wrong-step",
        "the parameters don't change by minus the gradient of the mean loss. Is every sentence's "
        "loss in it, with the labellings that the metric scored, and with their rewards?",
    )


def _look_at_numbers(result, metric, losses):
    loss, reward = result
    if not same(reward, torch.stack([R for _, _, R in metric.scored]).mean()):
        raise NotYet("wrong-reward", "the second number isn't the mean of all rewards of this step")
    if same(loss, losses.mean()):
        return
    if same(loss, -losses.mean()):
        raise NotYet(
            "returns-minus-loss", "the step is right, but you return minus the loss: flip the sign"
        )
    if same(loss, losses.sum()):
        raise NotYet(
            "returns-sum",
            "the step is right, but you return the sum of the losses: return the mean",
        )
    if any(same(loss, one) for one in losses):
        raise NotYet(
            "returns-one-loss",
            "the step is right, but you return the loss of one sentence: return the mean of all",
        )
    raise NotYet("wrong-loss", "the first number isn't the mean of the losses of this step")


def _look_at_source(answer):
    """Whether the labellings come from the model: a confident one leaves no choice."""
    tagger = _tagger(1000.0)
    best = tagger.weight.detach()[WORDS].argmax(-1)
    _, metric, _ = _Steps(answer, tagger).run()
    for drawn, labels, _ in metric.scored:
        word = labels != IGNORE
        if not (drawn == best[_row(labels)][: len(labels)])[:, word].all():
            raise NotYet(
                "not-from-the-model",
                "the labellings aren't drawn from the tagger's probabilities: give the logits of "
                "the same sentence to `sampling.draw`",
            )


def sampled_step(tagger, optimizer, ids, labels, metric, K=8):
    logits = tagger(ids)
    losses, rewards = [], []
    for z, y in zip(logits, labels, strict=True):
        drawn = sampling.draw(z, K)
        R = metric(drawn, y)
        losses.append(score_function_loss(z, drawn, y, R))
        rewards.append(R)
    loss = torch.stack(losses).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item(), torch.stack(rewards).mean().item()


SAMPLED_STEP = Exercise(
    id="sampling.sampled_step",
    title="one training step",
    spec=lambda: sampled_step,
    more=_is_step,
    hints=(
        "Run the tagger once, then one sentence at a time: draw, score, and keep its loss and its "
        "rewards in two lists.",
        "`drawn = sampling.draw(logits[i], K)`, `R = metric(drawn, labels[i])`, then "
        "`mine.score_function_loss(logits[i], drawn, labels[i], R)`. The step is `zero_grad`, "
        "`backward` on the mean of the losses, `optimizer.step()`.",
    ),
    solution=sampled_step,
)

# --- Both parts together --------------------------------------------------------------------------


START = -7.0  # the log-odds of the right answer at the start
RATE = 0.5


def _is_training(answer, spec):
    """One word from p = .001: nothing without L_p, and the right answer with it."""
    if is_stub(answer):
        raise NotAttempted(NO_CODE)
    if not callable(answer):
        raise NotYet("not-a-function", "expected the function itself, without parentheses")

    def trained(*args):
        with seeded(0):
            result = sandbox.call(answer, *args)
        if result is None:
            raise NotYet("returns-none", "it returns None: is `return` missing?")
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise NotYet("wrong-form", "expected two numbers: p at the end, and a share of steps")
        numbers = [torch.as_tensor(number).detach() for number in result if _is_number(number)]
        if len(numbers) != 2:
            raise NotYet("wrong-form", "expected two numbers: p at the end, and a share of steps")
        return float(numbers[0]), float(numbers[1])

    _look_at_two_steps(trained(1.0, 2, 64)[0])
    _look_at_reward_alone(*trained(0.0))
    _look_at_weight(trained(0.0, 200, 64)[0])
    _look_at_both(*trained(1.0))


def _is_number(value) -> bool:
    return isinstance(value, int | float) or getattr(value, "shape", None) == ()


def _after_two_steps(accumulate=False):
    """The log-odds of the right answer after two steps of cross-entropy alone."""
    log_odds, total = START, 0.0
    for _ in range(2):
        derivative = 1 / (1 + math.exp(-log_odds)) - 1
        total = derivative + accumulate * total
        log_odds -= 2 * RATE * total  # the logits of both classes move, by as much
    return log_odds


def _look_at_two_steps(reached):
    """Two steps with 64 samples: what sampling adds to the log-odds is below 0.1."""
    if not 0 < reached < 1:
        raise NotYet("no-probability", f"the first number is {reached:.3g}; p is between 0 and 1")
    log_odds = math.log(reached / (1 - reached))

    def near(value, within=0.3):
        return abs(log_odds - value) < within

    right = _after_two_steps()
    if near(right):
        return
    if near(-right):
        raise NotYet("other-class", "this is the probability of class 0; class 1 is right")
    if near(_after_two_steps(accumulate=True)):
        raise NotYet(
            "gradients-accumulate",
            "the gradient of the first step is in the second step, too: is "
            "`optimizer.zero_grad()` missing?",
        )
    if near(START, within=0.05):
        raise NotYet(
            "no-cross-entropy",
            f"after two steps with weight 1 p is still {reached:.4f}: is the cross-entropy in the "
            "loss, and is there a step of the optimizer?",
        )
    if near(2 * START - right):
        raise NotYet(
            "minus-cross-entropy", "the cross-entropy has a minus: training makes p smaller"
        )
    raise NotYet(
        "other-start-or-rate",
        f"after two steps with weight 1 p is {reached:.4f}; expected about "
        f"{1 / (1 + math.exp(-right)):.4f}. Does it start from the logits 0 and −7, with SGD and "
        "the learning rate 0.5?",
    )


def _look_at_reward_alone(reached, share):
    if reached > 0.05:
        raise NotYet(
            "weight-on-reward",
            f"with weight 0 it returns p = {reached:.3f}; expected about .001: the weight belongs "
            "to the cross-entropy, not to the other part",
        )
    if share > 1:
        raise NotYet("count-not-share", f"{share:g} is a number of steps; divide by all steps")
    if share < 0.9:
        raise NotYet(
            "wrong-share",
            f"with weight 0 all K rewards are equal in {share:.2f} of the steps; expected .99. "
            "They are also equal where all are 0",
        )


def _look_at_weight(reached):
    """200 steps on L_r alone, with 64 samples: right answers are drawn, in about ten steps."""
    log_odds = math.log(reached / (1 - reached))
    if log_odds < START - 0.01:
        raise NotYet(
            "reward-falls",
            "with weight 0 p gets smaller: your score-function loss must be added, not subtracted",
        )
    if log_odds < START + 0.01:
        raise NotYet(
            "weight-on-both",
            "with weight 0 nothing changes, even where right answers are drawn. The weight belongs "
            "to the cross-entropy alone: weight * L_p + L_r",
        )


def _look_at_both(reached, share):
    if reached < 0.9:
        raise NotYet(
            "learns-too-little",
            f"with weight 1 it returns p = {reached:.3f}; expected more than .9 after 200 steps of "
            "SGD with the learning rate 0.5",
        )
    if share < 0.5:
        raise NotYet(
            "wrong-share",
            f"with weight 1 all K rewards are equal in {share:.2f} of the steps; expected more. "
            "They are also equal where all are 1",
        )


def train_one_word(weight, steps=200, K=8):
    right = torch.tensor([1])
    z = torch.tensor([[0.0, -7.0]], requires_grad=True)
    optimizer = torch.optim.SGD([z], lr=0.5)
    agree = 0
    for _ in range(steps):
        drawn = sampling.draw(z, K)
        R = (drawn == right).double()[:, 0]
        agree += len(R.unique()) == 1
        L_r = score_function_loss(z, drawn, right, R)
        loss = weight * torch.nn.functional.cross_entropy(z, right) + L_r
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return z.softmax(-1)[0, 1].item(), agree / steps


ONE_WORD = Exercise(
    id="sampling.one_word",
    title="both parts together",
    spec=lambda: train_one_word,
    more=_is_training,
    hints=(
        "One word is a sentence of one word: `z` is (1, 2), `drawn = sampling.draw(z, K)` is "
        "(K, 1), the labels are `torch.tensor([1])`.",
        "`R = (drawn == right).double()[:, 0]`. The loss is `weight * F.cross_entropy(z, right)` "
        "plus `mine.score_function_loss(z, drawn, right, R)`. All rewards are equal where "
        "`len(R.unique()) == 1`.",
    ),
    solution=train_one_word,
)
