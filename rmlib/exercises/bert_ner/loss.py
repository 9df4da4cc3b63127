"""An exercise of lesson 04: the loss that the article promises and its code never uses, for a batch of tags."""

import torch
from torch.nn.functional import cross_entropy, one_hot

from rmlib.exercises.framework.compare import same
from rmlib.exercises.framework.exercise import Exercise, NotYet
from rmlib.exercises.framework.numerical_gradients import slopes
from rmlib.text.batches import IGNORE


def total_loss_slowly(z, y, alpha):
    """The spec: piece by piece, over those that have a label."""
    surprise = right = there = claimed = pieces = 0.0
    for logits, label in zip(z.reshape(-1, z.shape[-1]), y.flatten().tolist(), strict=True):
        if label == IGNORE:
            continue
        p = logits.exp() / logits.exp().sum()
        surprise = surprise - p[label].log()
        pieces += 1
        claimed = claimed + (1 - p[0])  # "some tag that is not O"
        if label > 0:
            there += 1
            right = right + p[label]
    return surprise / pieces + alpha * (1 - 2 * right / (there + claimed))


def some_batch(seed):
    """(z, y, alpha): logits (sentences, pieces, tags) in float64, labels (sentences, pieces), a number. [CLS], [SEP],
    further pieces and padding have the label that is ignored."""
    dice = torch.Generator().manual_seed(seed)
    sentences, longest, tags = 2 + seed % 3, 6 + seed % 2, 5 if seed % 4 else 3
    z = 2 * torch.randn(sentences, longest, tags, generator=dice, dtype=torch.float64)
    y = torch.randint(0, tags, (sentences, longest), generator=dice)
    y[:, 0], y[:, 2] = IGNORE, 1  # no sentence is without a name
    for i in range(sentences):
        y[i, longest - 1 - i % 3 :] = IGNORE
    return z, y, (1.0, 0.3, 10.0)[seed % 3]


def _parts(z, y):
    """The prediction loss and the soft F1 of the pieces with a label."""
    prediction = total_loss_slowly(z, y, 0.0)
    return prediction, 1 - (total_loss_slowly(z, y, 1.0) - prediction)


def _from_parts(formula):
    """A mistake in how the two are put together."""
    return lambda z, y, alpha: formula(*_parts(z, y), alpha)


def _padding_as_o(z, y, alpha):
    return total_loss_slowly(z, y.clamp_min(0), alpha)


def _padding_in_the_f1(z, y, alpha):
    prediction, _ = _parts(z, y)
    p, there = z.softmax(-1), y > 0
    right = p.gather(-1, y.clamp_min(0)[..., None])[..., 0][there].sum()
    return prediction + alpha * (1 - 2 * right / (there.sum() + (1 - p[..., 0]).sum()))


def _o_in_the_f1(z, y, alpha):
    prediction, _ = _parts(z, y)
    kept = y != IGNORE
    return prediction + alpha * (1 - z[kept].softmax(-1).gather(-1, y[kept][:, None]).mean())


def _mean_of_sentences(z, y, alpha):
    prediction, _ = _parts(z, y)
    f1 = torch.stack([_parts(z[i : i + 1], y[i : i + 1])[1] for i in range(len(z))]).mean()
    return prediction + alpha * (1 - f1)


def _macro(z, y, alpha):
    prediction, _ = _parts(z, y)
    kept = y != IGNORE
    p, labels = z[kept].softmax(-1)[:, 1:], one_hot(y[kept], z.shape[-1])[:, 1:]
    here = labels.sum(0) > 0
    f1 = 2 * (p * labels).sum(0)[here] / (p.sum(0) + labels.sum(0))[here]
    return prediction + alpha * (1 - f1.mean())


def _decided(z, y, alpha):
    prediction, _ = _parts(z, y)
    kept = y != IGNORE
    found, label = z[kept].argmax(-1), y[kept]
    right = ((found == label) & (label > 0)).sum()
    return prediction + alpha * (1 - 2 * right / ((found > 0).sum() + (label > 0).sum()))


def _summed(z, y, alpha):
    prediction, f1 = _parts(z, y)
    return prediction * (y != IGNORE).sum() + alpha * (1 - f1)


def _has_slopes(answer, spec):
    z, y, alpha = some_batch(1)
    (found,), (right,) = slopes(answer, (z, y, alpha), "the logits"), slopes(spec, (z, y, alpha), "the logits")
    if not same(found, right, 1e-6):
        raise NotYet("the value is right, but its slope is not: is a part of the soft F1 detached?")


def total_loss(z, y, alpha):
    kept = y != -100
    z, y = z[kept], y[kept]
    labels, p = one_hot(y, z.shape[-1])[:, 1:], z.softmax(-1)[:, 1:]  # all tags but O
    soft_f1 = 2 * (p * labels).sum() / (p.sum() + labels.sum())
    return cross_entropy(z, y) + alpha * (1 - soft_f1)


PROMISED = Exercise(
    title="the loss that was promised",
    spec=total_loss_slowly,
    inputs=some_batch,
    mistakes={
        "This is the article's loss: cross-entropy alone, without alpha and R.": _from_parts(lambda p, f, a: p),
        "You add alpha · R. A reward is to go up, a loss goes down: L_r = 1 − R.": _from_parts(
            lambda p, f, a: p + a * f
        ),
        "The slope is right, the value is too small by alpha: L_r is 1 − R, not −R.": _from_parts(
            lambda p, f, a: p - a * f
        ),
        "L_p is multiplied by alpha, too. L = L_p + alpha · L_r.": _from_parts(lambda p, f, a: a * (p + 1 - f)),
        "You weigh with 1 − alpha and alpha. Here L_p always counts whole: L = L_p + alpha · L_r.": _from_parts(
            lambda p, f, a: (1 - a) * p + a * (1 - f)
        ),
        "This is the reward loss alone: L_p is missing.": _from_parts(lambda p, f, a: a * (1 - f)),
        "Pieces without a label (−100) count as O, in both terms.": _padding_as_o,
        "L_p is right. In the soft F1 the pieces without a label (−100) count below the line: what the model says "
        "there is scored, too.": _padding_in_the_f1,
        "L_p is right. In the soft F1 the tag O counts as a class to be found; then F1 is nothing but the mean "
        "probability of the right tag.": _o_in_the_f1,
        "L_p is right. The soft F1 is a mean over the sentences: add the counts over the whole batch, then divide "
        "once.": _mean_of_sentences,
        "L_p is right. The soft F1 is a mean over the tags (macro). Add the counts of all tags but O, then divide "
        "once.": _macro,
        "L_p is right. The F1 is made of decisions (argmax): it has no slope. Count with probabilities.": _decided,
        "The F1 is right. L_p is a sum over the pieces; the mean is asked for.": _summed,
    },
    more=_has_slopes,
    hints=(
        "First throw away every piece without a label: `kept = y != -100`, then `z[kept]` and `y[kept]`. Now there is "
        "one list of pieces, and no sentences any more.",
        "$\\tilde F = 2\\sum\\hat y\\,y\\,/\\,(\\sum\\hat y + \\sum y)$, over all kept pieces and all tags but O: "
        "`z.softmax(-1)[:, 1:]` and `one_hot(y, tags)[:, 1:]`. Cross-entropy is in `torch.nn.functional`.",
    ),
    solution=total_loss,
)
