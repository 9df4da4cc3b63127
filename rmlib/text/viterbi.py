"""Tags from logits: the most probable well-formed tag sequence."""

import re
from functools import lru_cache

import torch
from torch import Tensor

MARKED = re.compile(r"[BIESLUM]-.+")


def decode(logits: Tensor, lengths: list[int], tags: list[str]) -> Tensor:
    """The most probable well-formed tag sequence of each sentence (Viterbi 1967).

    Well formed: an I- tag follows only B- or I- of the same type. All sentences are decoded at
    once.

    Args:
        logits: (words, tags), sentence after sentence.
        lengths: words of each sentence; they add up to the words of `logits`.
        tags: the tag set, with "O" in it.

    Returns:
        (words,) indices into `tags`.
    """
    allowed = torch.tensor(_may_follow(tuple(tags)))
    transition = torch.where(allowed, 0.0, -torch.inf).to(logits.dtype)
    mask = torch.arange(max(lengths, default=0)) < torch.tensor(lengths, dtype=torch.long)[:, None]
    scores = logits.new_zeros(*mask.shape, len(tags))  # (sentences, longest, tags)
    scores[mask] = logits.log_softmax(-1)
    # best[s, b]: the score of the best sequence of sentence s so far that ends in tag b; before the
    # first word it is O.
    best = transition[tags.index("O")].expand(len(lengths), -1)
    back = []  # for each position, the tag before tag b on that sequence
    for k in range(mask.shape[1]):
        if k:
            longer, previous = (best[:, :, None] + transition).max(1)
        else:
            longer, previous = best, torch.zeros(best.shape, dtype=torch.long)
        # A sentence that has ended keeps its scores. So its best tag is also the one before itself,
        # and the way back stays on it until the last word.
        best = torch.where(mask[:, k, None], longer + scores[:, k], best)
        back.append(previous)
    predictions = torch.zeros(mask.shape, dtype=torch.long)
    tag = best.argmax(-1)
    for k in reversed(range(mask.shape[1])):
        predictions[:, k] = tag
        tag = back[k].gather(1, tag[:, None])[:, 0]
    return predictions[mask]


@lru_cache
def _may_follow(tags: tuple[str, ...]) -> list[list[bool]]:
    """[a][b]: whether tag b may come after tag a."""
    return [[not b.startswith("I-") or a[1:] == b[1:] for b in tags] for a in tags]


def is_scheme(names: list[str]) -> bool:
    """Whether these are tags: O, and beside it marks with types (B-PER, E-PER) or types alone."""
    others = [name for name in names if name != "O"]
    marked = [MARKED.fullmatch(name) is not None for name in others]
    return "O" in names and (all(marked) or not any(marked))


def to_iob2(tags: list[str]) -> list[str]:
    """IOB2 tags of predicted tags in IOB1, IOB2, BIOES, BILOU or BMES, or of types alone.

    An entity begins, as in conlleval (Tjong Kim Sang and Buchholz 2000), at B or S, after E or S,
    and where the type changes.
    """
    result, before = [], ("O", "")
    for tag in tags:
        mark, kind = (tag[0], tag[2:]) if MARKED.fullmatch(tag) else ("I", tag)
        begins = mark in "BSU" or before[0] in "ESUL" or kind != before[1]
        result.append("O" if tag == "O" else f"{'B' if begins else 'I'}-{kind}")
        before = ("O", "") if tag == "O" else (mark, kind)
    return result
