"""Padding written plainly, to hold the token store's batches against."""

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rmlib.text.encoding import IGNORE, Example


def collate(examples: list[Example], pad_id: int = 0, case: bool = True) -> dict[str, Tensor]:
    """Pad to the longest of the batch.

    Returns:
        `input_ids`, `attention_mask`, `labels` and, with `case`, `token_type_ids`, each (sentences,
        tokens); labels are -100 on padding, or (sentences,) for whole texts.
    """

    def pad(rows, value):
        return pad_sequence(
            [torch.tensor(row) for row in rows], batch_first=True, padding_value=value
        )

    per_text = isinstance(examples[0].labels, int)
    batch = {
        "input_ids": pad([e.input_ids for e in examples], pad_id),
        "attention_mask": pad([[1] * len(e) for e in examples], 0),
        "labels": torch.tensor([e.labels for e in examples])
        if per_text
        else pad([e.labels for e in examples], IGNORE),
    }
    if case:
        batch["token_type_ids"] = pad([e.case for e in examples], 0)
    return batch
