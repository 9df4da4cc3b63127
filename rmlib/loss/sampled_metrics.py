"""Metrics of sampled labellings, as counts: accuracy, F1 of the words, entity-level F1."""

import torch
from torch import Tensor

PADDING = -100  # the label after the last word of a short sentence


def word_accuracy_counts(sampled: Tensor, labels: Tensor, background: int = 0) -> Tensor:
    """Counts (samples, words, 2) of each word: 1 if its label is right, and 1."""
    word = labels != PADDING
    return torch.stack([(sampled == labels) & word, word.expand(sampled.shape)], -1).flatten(1, 2)


def word_f1_counts(sampled: Tensor, labels: Tensor, background: int = 0) -> Tensor:
    """Counts (samples, words, 2) of each word: 2 TP, and predicted + actual positives."""
    word = labels != PADDING
    predicted = (sampled != background) & word
    actual = (labels != background) & word
    correct = predicted & (sampled == labels)
    return torch.stack([2 * correct, predicted.int() + actual.int()], -1).flatten(1, 2)


def entity_f1_counts(sampled: Tensor, labels: Tensor, background: int = 0) -> Tensor:
    """Counts (samples, sentences, 2) of each sentence: 2 TP, and predicted + actual entities.

    Entities are those of strict IOB2. Classes come in pairs after O = 0: B-X is odd, and I-X is the
    number after it (the order of `Corpus.tags`). An entity is a B-X and the I-X that follow it; an
    I-X that continues nothing is none. It is correct if its type, first and last word all are.

    Raises:
        ValueError: `background` is not 0.
    """
    if background != 0:
        raise ValueError(
            f"background is {background}; "
            "entity_f1 expects tags in the order O, B-X, I-X, B-Y, I-Y …"
        )
    word = labels != PADDING
    starts, ends = spans(torch.where(word, sampled, 0))
    gold_starts, gold_ends = spans(torch.where(word, labels, 0))
    correct = starts & gold_starts & (sampled == labels) & (ends == gold_ends)
    return torch.stack([2 * correct.sum(-1), starts.sum(-1) + gold_starts.sum(-1)], -1)


def spans(tags: Tensor) -> tuple[Tensor, Tensor]:
    """Whether an entity starts at each word, and where it would end: both (..., words).

    The end is the index after the last word.
    """
    starts = tags % 2 == 1
    kind = (tags + 1) // 2  # O is 0, B-X and I-X are the same
    continues = (tags > 0) & (tags % 2 == 0)
    continues[..., 1:] &= kind[..., 1:] == kind[..., :-1]
    words = tags.shape[-1]
    # the index of each word that continues nothing; then the nearest one at each word or after it
    breaks = torch.where(continues, words, torch.arange(words, device=tags.device))
    nearest = breaks.flip(-1).cummin(-1).values.flip(-1)
    return starts, torch.nn.functional.pad(nearest[..., 1:], (0, 1), value=words)


def share(counts: Tensor) -> Tensor:
    """First count / second count; 0 where the second is 0."""
    return counts[..., 0] / counts[..., 1].clamp_min(1)


METRICS = {
    "accuracy": (word_accuracy_counts, share),
    "f1": (word_f1_counts, share),
    "entity_f1": (entity_f1_counts, share),
}
