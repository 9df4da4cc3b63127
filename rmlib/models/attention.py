"""Attention as the kit's encoders compute it: sentences padded to one width, or packed one after the other.

transformers lets a model's attention be any function that is registered by name; `use_attention(model)` chooses this
one. A padded batch is (sentences, pieces). A packed batch is one row without padding, (1, pieces of all sentences), in
which a piece attends to its own sentence only ("block-diagonal" attention; Krell et al. 2021).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask

from .dropout import dropout as drop

NAME = "rmlib"
STEP = 8  # between the widths that packed sentences are padded to on a CPU
WINDOWS = ("sliding_window", "local_attention")  # settings of encoders whose pieces do not see far


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    **more,
) -> tuple[Tensor, None]:
    """softmax(q k / sqrt(size)) v, in the form that transformers asks for.

    Args:
        query, key, value: (rows, heads, pieces, size).
        attention_mask: what to add to the scores, (rows, 1, pieces, pieces), or None.
        cu_seq_lens_q: given for a packed batch: where each sentence begins, and the end of the last one,
            (sentences + 1,) int32. Together they cover the whole row.
        max_length_q: pieces of the longest sentence, or more.

    Returns:
        ((rows, pieces, heads, size), None)
    """
    scaling = scaling or query.shape[-1] ** -0.5
    if cu_seq_lens_q is not None:
        one = packed_on_gpu if query.is_cuda and query.dtype != torch.float32 else packed
        return one(query, key, value, scaling, cu_seq_lens_q, max_length_q), None
    if query.is_cuda:
        mask = None if attention_mask is None else attention_mask.to(query.dtype)
        return sdpa_attention_forward(module, query, key, value, mask, dropout, scaling, is_causal=False)
    return plain(query, key, value, attention_mask, dropout, scaling).transpose(1, 2).contiguous(), None


def plain(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float, scaling: float) -> Tensor:
    """The formula, line by line. For sentences of 20 pieces on a CPU no fused kernel is faster."""
    scores = (query * scaling) @ key.transpose(2, 3)
    if mask is not None:
        scores = scores + mask
    return drop(scores.softmax(-1), dropout) @ value


def packed(query: Tensor, key: Tensor, value: Tensor, scaling: float, starts: Tensor, longest: int) -> Tensor:
    """Attention of a packed batch on any device: padded, computed, packed again. (1, pieces, heads, size)

    On a CPU half of the sentences at a time, of which `shelf.packs` puts the longer first, so that there is less to
    pad; and in a few widths only, because for each new shape the processor's code is prepared anew. As on a GPU, the
    attention weights have no dropout here.
    """
    if query.is_cuda or torch.compiler.is_compiling():  # there a look at the lengths would stop the program
        return _packed(query, key, value, scaling, starts, longest)[None]
    lengths, found = starts.diff(), []
    halves = lengths[lengths > 0].chunk(2)  # what comes after the last sentence has none
    sizes = [int(half.sum()) for half in halves]
    for half, *part in zip(halves, *(x.split(sizes, 2) for x in (query, key, value)), strict=True):
        begins = nn.functional.pad(half.cumsum(0), (1, 0))
        width = -(-int(half.max()) // STEP) * STEP
        found.append(_packed(*part, scaling, begins, width))
    return torch.cat(found)[None]


def _packed(query: Tensor, key: Tensor, value: Tensor, scaling: float, starts: Tensor, longest: int) -> Tensor:
    """The same of some of the sentences: (pieces, heads, size)."""
    places = starts[:-1, None] + torch.arange(longest, device=starts.device)  # (sentences, longest)
    there = places < starts[1:, None]
    places = places.clamp_max(query.shape[2] - 1)
    rows = [x[0].transpose(0, 1).index_select(0, places.flatten()) for x in (query, key, value)]  # backward is quick
    padded = [x.unflatten(0, places.shape).transpose(1, 2) for x in rows]
    mask = torch.zeros_like(there, dtype=query.dtype).masked_fill(~there, torch.finfo(query.dtype).min)[:, None, None]
    found = plain(*padded, mask, 0.0, scaling).transpose(1, 2)  # (sentences, longest, heads, size)
    piece = torch.arange(query.shape[2], device=starts.device, dtype=starts.dtype)
    sentence = torch.bucketize(piece, starts[1:], right=True)
    return found.flatten(0, 1).index_select(0, sentence * longest + piece - starts[sentence])


def packed_on_gpu(query: Tensor, key: Tensor, value: Tensor, scaling: float, starts: Tensor, longest: int) -> Tensor:
    """The same by FlashAttention (Dao 2024), which knows where sentences begin. It has no dropout of its own, so that
    packed batches have none on the attention weights; the rest of the encoder has."""
    rows = [x[0].transpose(0, 1).contiguous() for x in (query, key, value)]
    return varlen_attn(*rows, starts, starts, longest, longest, scale=scaling)[None]


def _mask(*arguments, attention_mask: Tensor | None = None, **more) -> Tensor | None:
    """What to add to the scores: nothing where there is no padding."""
    more["allow_is_bidirectional_skip"] = False  # else it would look for padding, and a GPU would be waited for
    return None if attention_mask is None else eager_mask(*arguments, attention_mask=attention_mask, **more)


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, _mask)


def use_attention(model: nn.Module) -> Callable | None:
    """Let a model of transformers compute its attention here. A model that can't choose keeps its own.

    Returns:
        `attention`, or None where the model keeps its own.
    """
    config = getattr(model, "config", None)
    near = any(getattr(config, name, None) for name in WINDOWS)  # attention here sees the whole sentence
    if near or not getattr(model, "_supports_attention_backend", False):
        return None
    model.set_attn_implementation(NAME)
    return attention


def can_pack(model: nn.Module) -> bool:
    """Whether the model computes its attention here, which packed batches need."""
    return getattr(model.config, "_attn_implementation", None) == NAME


def first_position(model: nn.Module) -> int:
    """The number that an encoder gives to the place of a sentence's first piece: 0, or 2 in RoBERTa and its kin."""
    embeddings = getattr(model.base_model, "embeddings", None)
    pad = getattr(getattr(embeddings, "position_embeddings", None), "padding_idx", None)
    return 0 if pad is None else pad + 1
