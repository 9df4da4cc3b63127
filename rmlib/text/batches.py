"""Which sentences share a batch in each epoch."""

import heapq
import random

from rmlib.errors import RmlibValueError


def batches(
    lengths: list[int],
    max_tokens: int = 1024,
    seed: int = 0,
    epoch: int = 0,
    equal: bool = False,
) -> list[list[int]]:
    """Batches of sentences of similar length, for padding.

    The result depends on nothing but the arguments, so training resumes by skipping the batches
    it has done. A sentence longer than `max_tokens` makes a batch of its own.

    Args:
        lengths: tokens of each sentence.
        max_tokens: most tokens per batch, padding counted.
        seed, epoch: of the order of the batches, and of which sentences share one.
        equal: whether only sentences of one length share a batch, so that none is padded.

    Returns:
        lists of indices into `lengths`; each index appears exactly once.

    Raises:
        RmlibValueError: `max_tokens` is below 1.
    """
    if max_tokens < 1:
        raise RmlibValueError(f"max_tokens is {max_tokens}; expected at least 1 token per batch")
    shuffle = random.Random(f"{seed} {epoch}").shuffle
    order = list(range(len(lengths)))
    # before the stable sort: sentences of equal length get different neighbours each epoch
    shuffle(order)
    order.sort(key=lambda i: lengths[i])
    groups: list[list[int]] = []
    for i in order:  # ascending, so the sentence added last sets the width of the batch
        fits = groups and (len(groups[-1]) + 1) * lengths[i] <= max_tokens
        if fits and (not equal or lengths[groups[-1][0]] == lengths[i]):
            groups[-1].append(i)
        else:
            groups.append([i])
    shuffle(groups)
    return groups


def longest_first(lengths: list[int], size: int, seed: int = 0, epoch: int = 0) -> list[list[int]]:
    """Batches of sentences of all lengths, for packing: about equally full, as many every epoch.

    Longest-first packing: each sentence, the longest first, goes into the batch with the fewest
    tokens (Graham 1969). The order of sentences of equal length is random.

    Arguments and result as for `batches`; no batch has more than `size` tokens.

    Raises:
        RmlibValueError: `size` is below 1 or below the longest sentence.
    """
    minimum = max(max(lengths, default=0), 1)
    if size < minimum:
        raise RmlibValueError(
            f"max_tokens is {size}; expected at least {minimum} tokens, the longest sentence"
        )
    shuffle = random.Random(f"{seed} {epoch}").shuffle
    order = list(range(len(lengths)))
    shuffle(order)
    order.sort(key=lambda i: -lengths[i])
    count = -(-sum(lengths) // size)
    while (groups := _assign(order, lengths, count, size)) is None:
        count += 1
    shuffle(groups)
    return groups


def row_length(groups: list[list[int]], lengths: list[int]) -> int:
    """Tokens of the largest batch, rounded up to a multiple of 8: the shape of all packed batches.

    It is the same in every epoch, because how full batches get depends on the lengths alone.
    """
    return -(-max(sum(lengths[i] for i in group) for group in groups) // 8) * 8


def _assign(order: list[int], lengths: list[int], count: int, size: int) -> list[list[int]] | None:
    """Assign sentences in this order to `count` batches; None if one does not fit."""
    totals = [(0, number) for number in range(count)]  # a heap, the batch with fewest tokens first
    groups: list[list[int]] = [[] for _ in range(count)]
    for i in order:
        tokens, number = totals[0]
        if tokens + lengths[i] > size:
            return None
        groups[number].append(i)
        heapq.heapreplace(totals, (tokens + lengths[i], number))
    return groups
