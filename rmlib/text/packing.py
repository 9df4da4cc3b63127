"""Batches for the loop: cut from tensors that stay on the device, padded to one width or packed into one row."""

import heapq
import random
from typing import NamedTuple

import torch
from torch import Tensor

from rmlib.errors import RmlibValueError

from .batches import IGNORE, Example


class Batch(NamedTuple):
    """A batch as the loop takes it.

    Attributes:
        inputs: for the encoder, on the device: (sentences, pieces), or (1, pieces of all) where they are packed.
        items: (items,) where the labelled pieces are, when the rows of the inputs are laid end to end; for whole texts
            the number of the text.
        labels: (items,)
        words: labelled items of each sentence, in order; 1 for a whole text.
        pieces: without padding.
    """

    inputs: dict
    items: Tensor
    labels: Tensor
    words: list[int]
    pieces: int


class Shelf:
    """All examples as flat tensors that stay on the device; a batch is picked from them by number, so that no list is
    walked through and little is copied at a step.

    Args:
        examples: as `encode` makes them; at least one.
        pad_id, case: as for `collate`.
        device: of the tensors.
        first_position: the number that the encoder gives to the place of a sentence's first piece.
    """

    def __init__(
        self, examples: list[Example], pad_id: int = 0, case: bool = True, device="cpu", first_position: int = 0
    ):
        self.device, self.case, self.first_position = torch.device(device), case, first_position
        self.lengths = torch.tensor([len(e) for e in examples])
        self.starts = self.lengths.cumsum(0) - self.lengths
        self.longest = int(self.lengths.max())
        self.shortest_first = self.lengths.sort().values.cumsum(0)  # pieces of the k shortest together
        self.per_text = isinstance(examples[0].labels, int)
        rows = [[e.labels] if self.per_text else e.labels for e in examples]
        flat = lambda lists, end: torch.tensor([x for one in lists for x in one] + [end])  # noqa: E731
        self.nothing = int(self.lengths.sum())  # the place after the last piece, which fills up short rows
        self.input_ids = flat((e.input_ids for e in examples), pad_id).to(self.device)
        self.token_types = flat((e.case for e in examples), 0).to(self.device)
        self.labels = flat(rows, IGNORE)
        self.words = [1 if self.per_text else len(row) - row.count(IGNORE) for row in rows]  # labelled, a sentence

    def padded(self, group: list[int]) -> Batch:
        """The examples of these numbers, filled up to the longest: what `collate` gives, without `attention_mask` where
        there is no padding."""
        lengths, starts = self.lengths[group], self.starts[group]
        column = torch.arange(int(lengths.max()))
        there = column < lengths[:, None]
        places = torch.where(there, starts[:, None] + column, self.nothing)
        inputs = self._inputs(places)
        if not there.all():
            inputs["attention_mask"] = self._to_device(there.long())
        return self._batch(inputs, group, places, int(lengths.sum()))

    def packed(self, group: list[int], size: int) -> Batch:
        """The same without padding between sentences, in one row of `size` pieces: `position_ids` begin anew with each
        sentence, and `cu_seq_lens_q` tells where that is. Every batch has the same shapes: after the last sentence come
        padding pieces that see only each other.

        Raises:
            RmlibValueError: the sentences have more pieces than `size`.
        """
        lengths, starts = self.lengths[group], self.starts[group]
        pieces = int(lengths.sum())
        if pieces > size:
            raise RmlibValueError(f"the sentences have {pieces} pieces; expected at most {size}")
        rest = [min(self.longest, size - pieces - done) for done in range(0, size - pieces, self.longest)]
        begins = torch.cat([lengths, torch.tensor(rest, dtype=torch.long)]).cumsum(0)
        first = torch.repeat_interleave(begins[: len(group)] - lengths, lengths)  # of each piece's sentence
        positions, places = torch.zeros(size, dtype=torch.long), torch.full((size,), self.nothing)
        positions[:pieces] = torch.arange(pieces) - first
        places[:pieces] = positions[:pieces] + torch.repeat_interleave(starts, lengths)
        inputs = self._inputs(places[None]) | {"position_ids": self._to_device(positions[None] + self.first_position)}
        ends = torch.full((self._most(size) + 1,), size, dtype=torch.int32)  # after the last sentence: empty ones
        ends[0], ends[1 : len(begins) + 1] = 0, begins
        inputs |= {"cu_seq_lens_q": self._to_device(ends), "max_length_q": self.longest}
        return self._batch(inputs, group, places, pieces)

    def _most(self, size: int) -> int:
        """As many sentences as can be in a row of `size` pieces, what fills it up included."""
        return int((self.shortest_first <= size).sum()) + -(-size // self.longest) + 1

    def without_case(self, inputs: dict, hidden: Tensor) -> Tensor:
        """The token types of a batch with no capitals in some sentences.

        Args:
            inputs: of a `Batch`. hidden: (sentences,) bool, on the CPU.
        """
        types = inputs["token_type_ids"]
        if "cu_seq_lens_q" not in inputs:
            return types * self._to_device(~hidden)[:, None]
        shown = torch.ones(len(inputs["cu_seq_lens_q"]) - 1, dtype=torch.bool)
        shown[: len(hidden)] = ~hidden
        pieces = torch.arange(types.shape[1], device=types.device)
        sentence = torch.bucketize(pieces, inputs["cu_seq_lens_q"][1:], right=True)
        return types * self._to_device(shown)[sentence]

    def _batch(self, inputs: dict, group: list[int], places: Tensor, pieces: int) -> Batch:
        if self.per_text:
            items, labels = torch.arange(len(group)), self.labels[group]
        else:
            own = self.labels[places.flatten()]
            items = (own != IGNORE).nonzero()[:, 0]
            labels = own[items]
        words = [self.words[i] for i in group]
        return Batch(inputs, self._to_device(items), self._to_device(labels), words, pieces)

    def _inputs(self, places: Tensor) -> dict:
        places = self._to_device(places)
        inputs = {"input_ids": self.input_ids[places]}
        return inputs | {"token_type_ids": self.token_types[places]} if self.case else inputs

    def _to_device(self, tensor: Tensor) -> Tensor:
        """Without waiting for it: what a GPU is sent from pinned memory it takes while the program goes on."""
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)


def packs(lengths: list[int], size: int, seed: int = 0, epoch: int = 0) -> list[list[int]]:
    """The packed batches of one epoch: sentences of all lengths in each, rows of `size` pieces about equally full, and
    the same number of rows in every epoch.

    Like cards, the sentences are dealt out: the longest first, each to the row that is emptiest (Graham 1969). Chance
    decides between sentences of one length. Arguments, results and errors as `batches`, but a sentence longer than
    `size` is refused too.
    """
    longest = max(lengths, default=0)
    if size < max(longest, 1):
        raise RmlibValueError(f"budget is {size}; expected at least {max(longest, 1)} pieces, the longest sentence")
    shuffle = random.Random(f"{seed} {epoch}").shuffle
    order = list(range(len(lengths)))
    shuffle(order)
    order.sort(key=lambda i: -lengths[i])
    rows = -(-sum(lengths) // size)
    while (groups := _dealt(order, lengths, rows, size)) is None:
        rows += 1
    shuffle(groups)
    return groups


def fullest(groups: list[list[int]], lengths: list[int]) -> int:
    """The pieces of the fullest batch, or a few more: as many as all packed rows get, whose shapes are to be the same.
    How full rows are depends on the lengths of the sentences alone, so every epoch has as many."""
    return -(-max(sum(lengths[i] for i in group) for group in groups) // 8) * 8


def _dealt(order: list[int], lengths: list[int], rows: int, size: int) -> list[list[int]] | None:
    """The sentences dealt out in this order, or None where one finds no room. How full the rows get depends on the
    lengths alone."""
    filled = [(0, row) for row in range(rows)]  # a heap: the emptiest row first
    groups: list[list[int]] = [[] for _ in range(rows)]
    for i in order:
        pieces, row = filled[0]
        if pieces + lengths[i] > size:
            return None
        groups[row].append(i)
        heapq.heapreplace(filled, (pieces + lengths[i], row))
    return groups
