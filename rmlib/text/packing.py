"""Batches as tensors, padded or packed, cut from a store that stays on the device."""

from typing import NamedTuple

import torch
from torch import Tensor

from rmlib.errors import RmlibValueError

from .encoding import IGNORE, Example


class Batch(NamedTuple):
    """A batch for the encoder and the objective.

    Attributes:
        inputs: for the encoder, on the device: (sentences, tokens), or (1, tokens of all
            sentences) for a packed batch.
        items: (items,) indices of the labelled tokens in the flattened inputs; for whole texts the
            number of each text.
        labels: (items,)
        items_per_sentence: labelled tokens of each sentence, in order; 1 for a whole text.
        tokens: how many there are, padding not counted.
    """

    inputs: dict
    items: Tensor
    labels: Tensor
    items_per_sentence: list[int]
    tokens: int


class TokenStore:
    """All examples as flat tensors that stay on the device.

    A batch is selected from them by index, so that a step loops over no list and copies little.

    Args:
        examples: from `encode` or `encode_texts`; at least one.
        pad_id: the id of the padding token.
        case: whether the inputs hold `token_type_ids`.
        device: of the tensors.
        first_position: the position id of a sentence's first token.
    """

    def __init__(
        self,
        examples: list[Example],
        pad_id: int = 0,
        case: bool = True,
        device="cpu",
        first_position: int = 0,
    ):
        self.device = torch.device(device)
        self.case = case
        self.first_position = first_position
        self.lengths = torch.tensor([len(example) for example in examples])
        self.starts = self.lengths.cumsum(0) - self.lengths
        self.longest = int(self.lengths.max())
        self.per_text = isinstance(examples[0].labels, int)
        # at the end of each flat tensor stands one padding position
        self._padding = int(self.lengths.sum())
        self.input_ids = _flat([e.input_ids for e in examples], pad_id).to(self.device)
        self.token_types = _flat([e.case for e in examples], 0).to(self.device)
        labels = [[e.labels] if self.per_text else e.labels for e in examples]
        self.labels = _flat(labels, IGNORE)
        self.items_per_sentence = [
            1 if self.per_text else len(own) - own.count(IGNORE) for own in labels
        ]
        # [k]: tokens of the k + 1 shortest sentences together
        self._shortest_together = self.lengths.sort().values.cumsum(0)

    def padded(self, group: list[int]) -> Batch:
        """The examples with these indices, padded; without `attention_mask` if none is needed."""
        lengths, starts = self.lengths[group], self.starts[group]
        column = torch.arange(int(lengths.max()))
        mask = column < lengths[:, None]
        indices = torch.where(mask, starts[:, None] + column, self._padding)
        inputs = self._inputs(indices)
        if not mask.all():
            inputs["attention_mask"] = self._to_device(mask.long())
        return self._batch(inputs, group, indices, int(lengths.sum()))

    def packed(self, group: list[int], size: int) -> Batch:
        """The examples with these indices, one after the other in one row of `size` tokens.

        `position_ids` start anew in each sentence, and `cu_seq_lens_q` holds the boundaries. All
        batches of one size have the same shapes: after the last sentence come padding tokens that
        attend only to each other.

        Raises:
            RmlibValueError: the sentences have more than `size` tokens.
        """
        lengths, starts = self.lengths[group], self.starts[group]
        tokens = int(lengths.sum())
        if tokens > size:
            raise RmlibValueError(f"the sentences have {tokens} tokens; expected at most {size}")
        padding = range(0, size - tokens, self.longest)
        rest = [min(self.longest, size - tokens - done) for done in padding]
        ends = torch.cat([lengths, torch.tensor(rest, dtype=torch.long)]).cumsum(0)
        # for each token, the index at which its sentence starts in the row
        sentence_start = torch.repeat_interleave(ends[: len(group)] - lengths, lengths)
        positions = torch.zeros(size, dtype=torch.long)
        positions[:tokens] = torch.arange(tokens) - sentence_start
        indices = torch.full((size,), self._padding)
        indices[:tokens] = positions[:tokens] + torch.repeat_interleave(starts, lengths)
        # after the last sentence: empty ones, so that the shape stays the same
        boundaries = torch.full((self._most_sentences(size) + 1,), size, dtype=torch.int32)
        boundaries[0] = 0
        boundaries[1 : len(ends) + 1] = ends
        inputs = self._inputs(indices[None]) | {
            "position_ids": self._to_device(positions[None] + self.first_position),
            "cu_seq_lens_q": self._to_device(boundaries),
            "max_length_q": self.longest,
        }
        return self._batch(inputs, group, indices, tokens)

    def without_case(self, inputs: dict, hidden: Tensor) -> Tensor:
        """The token types of a batch, with the capitals of some sentences hidden.

        Args:
            inputs: of a `Batch`.
            hidden: (sentences,) bool, on the CPU.
        """
        types = inputs["token_type_ids"]
        if "cu_seq_lens_q" not in inputs:
            return types * self._to_device(~hidden)[:, None]
        shown = torch.ones(len(inputs["cu_seq_lens_q"]) - 1, dtype=torch.bool)
        shown[: len(hidden)] = ~hidden
        tokens = torch.arange(types.shape[1], device=types.device)
        sentence = torch.bucketize(tokens, inputs["cu_seq_lens_q"][1:], right=True)
        return types * self._to_device(shown)[sentence]

    def _most_sentences(self, size: int) -> int:
        """The most sentences that fit in a row of `size` tokens, those of padding included."""
        return int((self._shortest_together <= size).sum()) + -(-size // self.longest) + 1

    def _batch(self, inputs: dict, group: list[int], indices: Tensor, tokens: int) -> Batch:
        if self.per_text:
            items, labels = torch.arange(len(group)), self.labels[group]
        else:
            own = self.labels[indices.flatten()]
            items = (own != IGNORE).nonzero()[:, 0]
            labels = own[items]
        counts = [self.items_per_sentence[i] for i in group]
        return Batch(inputs, self._to_device(items), self._to_device(labels), counts, tokens)

    def _inputs(self, indices: Tensor) -> dict:
        indices = self._to_device(indices)
        inputs = {"input_ids": self.input_ids[indices]}
        if self.case:
            inputs["token_type_ids"] = self.token_types[indices]
        return inputs

    def _to_device(self, tensor: Tensor) -> Tensor:
        """Copy to the device; to a GPU from pinned memory, so that the program need not wait."""
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)


def _flat(rows: list[list[int]], padding: int) -> Tensor:
    """All rows one after the other in one tensor, with one padding value at the end."""
    return torch.tensor([x for row in rows for x in row] + [padding])
