"""The exercise on L over classes and tokens: the loss that trains a BERT later in the course."""

import math

import torch
from torch.nn.functional import cross_entropy, one_hot

from rmlib.exercises.framework.combinations import wrong_combinations
from rmlib.exercises.framework.compare import same
from rmlib.exercises.framework.exercise import Exercise, Misconception, NotYet
from rmlib.exercises.framework.forbidden_calls import LOSS, MINE, refuse
from rmlib.exercises.framework.numerical_gradients import gradients_of
from rmlib.text.encoding import IGNORE

from .class_f1 import without_the_highest_class


def token_loss_slowly(z, y, alpha):
    """L, token by token, over those that have a label; alpha `math.inf` is the reward alone."""
    surprise = true_positives = positives = predicted = tokens = 0.0
    for logits, label in zip(z.reshape(-1, z.shape[-1]), y.flatten().tolist(), strict=True):
        if label == IGNORE:
            continue
        p = logits.exp() / logits.exp().sum()
        surprise = surprise - p[label].log()
        tokens += 1
        predicted = predicted + (1 - p[0])  # "some tag that is not O"
        if label > 0:
            positives += 1
            true_positives = true_positives + p[label]
    reward_loss = 1 - 2 * true_positives / (positives + predicted)
    return reward_loss if alpha == math.inf else surprise / tokens + alpha * reward_loss


def some_batch(seed):
    """(z, y, alpha): logits (sentences, tokens, tags) in float64, labels (sentences, tokens).

    [CLS], [SEP], further tokens of a word and padding have the label that is ignored.
    """
    random = torch.Generator().manual_seed(seed)
    sentences = 2 + seed % 3
    longest = 6 + seed % 2
    tags = 5 if seed % 4 else 3
    z = 2 * torch.randn(sentences, longest, tags, generator=random, dtype=torch.float64)
    y = torch.randint(0, tags, (sentences, longest), generator=random)
    y[:, 0] = IGNORE
    y[:, 2] = 1  # no sentence is without a name
    y[0, 1] = tags - 1
    for i in range(sentences):
        y[i, longest - 1 - i % 3 :] = IGNORE
    return z, y, (1.0, 0.3, 10.0)[seed % 3]


def _parts(z, y):
    """The prediction loss and the soft F1 of the tokens with a label."""
    prediction = token_loss_slowly(z, y, 0.0)
    return prediction, 1 - (token_loss_slowly(z, y, 1.0) - prediction)


def _combined(formula):
    """A mistake in how the two parts are combined: formula(L_p, soft F1, α)."""
    return lambda z, y, alpha: formula(*_parts(z, y), alpha)


def _with_f1(f1):
    """A mistake in the soft F1: f1(z, y) in its place."""

    def wrong(z, y, alpha):
        prediction, _ = _parts(z, y)
        return prediction + alpha * (1 - f1(z, y))

    return wrong


def _padding_as_o(z, y, alpha):
    return token_loss_slowly(z, y.clamp_min(0), alpha)


def _f1_with_padding(z, y):
    p = z.softmax(-1)
    positive = y > 0
    true_positives = p.gather(-1, y.clamp_min(0)[..., None])[..., 0][positive].sum()
    return 2 * true_positives / (positive.sum() + (1 - p[..., 0]).sum())


def _f1_with_o(z, y):
    kept = y != IGNORE
    return z[kept].softmax(-1).gather(-1, y[kept][:, None]).mean()


def _f1_mean_of_sentences(z, y):
    return torch.stack([_parts(z[i : i + 1], y[i : i + 1])[1] for i in range(len(z))]).mean()


def _f1_macro(z, y):
    kept = y != IGNORE
    p, labels = z[kept].softmax(-1)[:, 1:], one_hot(y[kept], z.shape[-1])[:, 1:]
    present = labels.sum(0) > 0
    f1 = 2 * (p * labels).sum(0)[present] / (p.sum(0) + labels.sum(0))[present]
    return f1.mean()


def _f1_of_decisions(z, y):
    kept = y != IGNORE
    predictions, labels = z[kept].argmax(-1), y[kept]
    right = ((predictions == labels) & (labels > 0)).sum()
    return 2 * right / ((predictions > 0).sum() + (labels > 0).sum())


def _f1_of(p, y, kept):
    """Soft F1 over all tags but O, from a table (sentences, tokens, tags) in place of ŷ."""
    p, labels = p[kept][:, 1:], one_hot(y[kept], p.shape[-1])[:, 1:]
    return 2 * (p * labels).sum() / (p.sum() + labels.sum())


def _f1_of_sigmoids(z, y):
    return _f1_of(z.sigmoid(), y, y != IGNORE)


def _f1_of_softmax_over_tokens(z, y):
    kept = y != IGNORE
    p = torch.zeros_like(z)
    p[kept] = z[kept].softmax(0)
    return _f1_of(p, y, kept)


def _names_in_the_f1(z, y):
    return _f1_of(z.softmax(-1), y, y > 0)


def _names_alone(z, y, alpha):
    return cross_entropy(z[y > 0], y[y > 0]) + alpha * (1 - _names_in_the_f1(z, y))


def _sentence_by_sentence(z, y, alpha):
    pairs = [(z[i : i + 1], y[i : i + 1]) for i in range(len(z))]
    return torch.stack([token_loss_slowly(*pair, alpha) for pair in pairs]).mean()


def _prediction_by_sentence(z, y, alpha):
    _, f1 = _parts(z, y)
    return _sentence_by_sentence(z, y, 0.0) + alpha * (1 - f1)


def _sum_of_tokens(z, y, alpha):
    prediction, f1 = _parts(z, y)
    return prediction * (y != IGNORE).sum() + alpha * (1 - f1)


def _ends_and_gradient(answer, spec):
    """The two ends of alpha, then the gradient."""
    z, y, _ = some_batch(1)
    for alpha, id, message in (
        (0.0, "alpha-0", "with alpha = 0 the loss is L_p itself"),
        (
            math.inf,
            "infinity-not-handled",
            "right for a finite alpha. For the reward alone alpha is `math.inf`, and infinity "
            "times a number is inf or nan: return L_r itself then",
        ),
    ):
        if not same(answer(z, y, alpha), spec(z, y, alpha)):
            if alpha == math.inf and same(answer(z, y, alpha), 1 - spec(z, y, alpha)):
                id, message = (
                    "infinity-reward",
                    (
                        "right for a finite alpha. For alpha = `math.inf` you return R: training "
                        "goes down, so return the loss L_r = 1 − R"
                    ),
                )
            raise NotYet(id, message)
    args = some_batch(1)
    refuse(answer, args, packages=(*LOSS, MINE))
    without_the_highest_class(answer, spec, (z, y.masked_fill(y == z.shape[-1] - 1, 0), 1.0))
    (gradient,) = gradients_of(answer, args, "the logits")
    if not same(gradient, gradients_of(spec, args, "the logits")[0], 1e-6):
        raise NotYet(
            "wrong-gradient",
            "the value is right, but its gradient is not: is a part of the soft F1 detached?",
        )


def token_loss(z, y, alpha):
    """L = L_p + alpha L_r over the tokens that have a label; L_r alone where alpha is infinite.

    z: logits (sentences, tokens, tags); y: labels (sentences, tokens), -100 where there is none.
    """
    kept = y != -100
    z, y = z[kept], y[kept]
    labels, p = one_hot(y, z.shape[-1])[:, 1:], z.softmax(-1)[:, 1:]  # all tags but O
    L_r = 1 - 2 * (p * labels).sum() / (p.sum() + labels.sum())
    return L_r if alpha == math.inf else cross_entropy(z, y) + alpha * L_r


TOKEN_LOSS = Exercise(
    id="surrogates.token_loss",
    title="L over classes and tokens",
    spec=token_loss_slowly,
    inputs=some_batch,
    misconceptions=(
        *wrong_combinations(_combined),
        Misconception(
            "padding-as-o",
            "Tokens without a label (−100) count as O, in both terms.",
            _padding_as_o,
        ),
        Misconception(
            "padding-in-the-f1",
            "L_p is right. In the soft F1 the tokens without a label (−100) count in the "
            "denominator: what the model predicts there is scored, too.",
            _with_f1(_f1_with_padding),
        ),
        Misconception(
            "o-in-the-f1",
            "L_p is right. In the soft F1 the tag O counts as a positive class; then F1 is nothing "
            "but the mean probability of the right tag.",
            _with_f1(_f1_with_o),
        ),
        Misconception(
            "mean-of-sentences",
            "L_p is right. The soft F1 is a mean over the sentences: add the counts over the whole "
            "batch, then divide once.",
            _with_f1(_f1_mean_of_sentences),
        ),
        Misconception(
            "macro",
            "L_p is right. The soft F1 is a mean over the tags (macro). Add the counts of all tags "
            "but O, then divide once.",
            _with_f1(_f1_macro),
        ),
        Misconception(
            "decisions",
            "L_p is right. The F1 is made of decisions (argmax): it has no gradient. Count with "
            "probabilities.",
            _with_f1(_f1_of_decisions),
        ),
        Misconception(
            "sum-for-mean",
            "The F1 is right. L_p is a sum over the tokens; it should be the mean.",
            _sum_of_tokens,
        ),
        Misconception(
            "sigmoid",
            "L_p is right. In the soft F1 ŷ is the sigmoid of each logit; with several tags ŷ is "
            "the softmax over the tags.",
            _with_f1(_f1_of_sigmoids),
        ),
        Misconception(
            "softmax-over-tokens",
            "L_p is right. In the soft F1 the softmax runs over the tokens (dimension 0); the "
            "probabilities of one token add up to 1 over the tags, dimension −1.",
            _with_f1(_f1_of_softmax_over_tokens),
        ),
        Misconception(
            "names-alone",
            "Only the tokens with y > 0 are kept, in both terms. Tokens with the tag O have a "
            "label, too: leave out −100 alone.",
            _names_alone,
        ),
        Misconception(
            "names-alone-in-the-f1",
            "L_p is right. In the soft F1 only the tokens with y > 0 are kept: what the model "
            "wrongly finds at a token with the tag O belongs into Σŷ.",
            _with_f1(_names_in_the_f1),
        ),
        Misconception(
            "mean-of-sentence-losses",
            "This is the mean of one loss per sentence. Take all tokens with a label together, in "
            "both terms.",
            _sentence_by_sentence,
        ),
        Misconception(
            "prediction-loss-per-sentence",
            "The F1 is right. L_p is a mean over the sentences of their means; it should be the "
            "mean over all tokens with a label.",
            _prediction_by_sentence,
        ),
    ),
    more=_ends_and_gradient,
    hints=(
        "First drop every token without a label: `kept = y != -100`, then `z[kept]` and `y[kept]`. "
        "Now there is one list of tokens, and no sentences any more.",
        r"$\tilde F = 2\sum\hat y\,y\,/\,(\sum\hat y + \sum y)$, over all kept tokens and all tags "
        "but O: `z.softmax(-1)[:, 1:]` and `one_hot(y, tags)[:, 1:]`. Cross-entropy is in "
        "`torch.nn.functional`.",
    ),
    solution=token_loss,
    piece="token_loss",
)
