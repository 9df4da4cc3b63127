"""Metrics of sampled labellings, as counts of each unit: accuracy, F1 of the words, entity-level F1."""

import torch
from torch import Tensor

NO_WORD = -100  # the label after the last word of a short sentence


def right_words(sampled: Tensor, labels: Tensor, background: int = 0) -> Tensor:
    """(samples, words, 2): is the word right, is it a word."""
    word = labels != NO_WORD
    return torch.stack([(sampled == labels) & word, word.expand(sampled.shape)], -1).flatten(1, 2)


def positive_words(sampled: Tensor, labels: Tensor, background: int = 0) -> Tensor:
    """(samples, words, 2): 2 TP, and predicted + actual positives, word by word."""
    word = labels != NO_WORD
    found, there = (sampled != background) & word, (labels != background) & word
    hit = found & (sampled == labels)
    return torch.stack([2 * hit, found.int() + there.int()], -1).flatten(1, 2)


def entities(sampled: Tensor, labels: Tensor, background: int = 0) -> Tensor:
    """(samples, sentences, 2): 2 TP, and predicted + actual entities, strict IOB2, sentence by sentence.
    Classes come in pairs after O = 0: B-X is odd, I-X the number after it (the order of `Corpus.tags`). An entity is a
    B-X and the I-X that follow it; an I-X that continues nothing is none. It is found when class, first and last word
    are all right.

    Raises:
        ValueError: `background` is not 0.
    """
    if background != 0:
        raise ValueError(f"background is {background}; entity_f1 expects tags in the order O, B-X, I-X, B-Y, I-Y …")
    word = labels != NO_WORD
    starts, ends = spans(torch.where(word, sampled, 0))
    gold_starts, gold_ends = spans(torch.where(word, labels, 0))
    hit = starts & gold_starts & (sampled == labels) & (ends == gold_ends)
    return torch.stack([2 * hit.sum(-1), starts.sum(-1) + gold_starts.sum(-1)], -1)


def spans(tags: Tensor) -> tuple[Tensor, Tensor]:
    """Where entities start, and where what starts at a word ends: both (..., words), the end is excluded."""
    starts = tags % 2 == 1
    kind = (tags + 1) // 2  # O is 0, B-X and I-X are the same
    goes_on = (tags > 0) & (tags % 2 == 0)
    goes_on[..., 1:] &= kind[..., 1:] == kind[..., :-1]
    words = tags.shape[-1]
    stops = torch.where(goes_on, words, torch.arange(words, device=tags.device))  # a new stretch begins here
    nearest = stops.flip(-1).cummin(-1).values.flip(-1)  # at this word or after it
    return starts, torch.nn.functional.pad(nearest[..., 1:], (0, 1), value=words)


def share(counts: Tensor) -> Tensor:
    """First count / second count; 0 where there is nothing to divide by."""
    return counts[..., 0] / counts[..., 1].clamp_min(1)


METRICS = {"accuracy": (right_words, share), "f1": (positive_words, share), "entity_f1": (entities, share)}
