"""Attention for padded or packed sentences.

transformers lets a model's attention be any function that is registered by name;
`use_attention(model)` selects this one. A padded batch is (sentences, tokens). A packed batch is
one row without padding, (1, tokens of all sentences), in which a token attends to its own sentence
only ("block-diagonal" attention; Krell et al. 2021).
"""

import inspect
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask

from .dropout import dropout as drop

NAME = "rmlib"
WIDTH_STEP = 8  # on a CPU packed sentences are padded to a multiple of this
# settings of encoders whose tokens attend to a neighbourhood only
LOCAL_ATTENTION = ("sliding_window", "local_attention")


def attention(  # noqa: PLR0913 (the interface that transformers calls)
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
    """softmax(q k / sqrt(size)) v, with the interface of transformers.

    Args:
        module: the model's attention layer.
        query, key, value: (rows, heads, tokens, size).
        attention_mask: what to add to the scores, (rows, 1, tokens, tokens), or None.
        dropout: of the attention weights; packed batches have none.
        scaling: factor of the scores; None: 1 / sqrt(size).
        cu_seq_lens_q: for a packed batch, the start of each sentence and the end of the last one,
            (sentences + 1,) int32. Together the sentences cover the whole row.
        max_length_q: tokens of the longest sentence, or more.

    Returns:
        ((rows, tokens, heads, size), None)
    """
    if more.get("sliding_window"):  # then `use_attention` leaves a model its own
        raise NotImplementedError("local attention")
    scaling = scaling or query.shape[-1] ** -0.5
    if cu_seq_lens_q is not None:
        flash = query.is_cuda and query.dtype != torch.float32
        function = packed_on_gpu if flash else packed
        return function(query, key, value, scaling, cu_seq_lens_q, max_length_q), None
    if query.is_cuda:
        mask = None if attention_mask is None else attention_mask.to(query.dtype)
        return sdpa_attention_forward(
            module, query, key, value, mask, dropout, scaling, is_causal=False
        )
    values = plain(query, key, value, attention_mask, dropout, scaling)
    return values.transpose(1, 2).contiguous(), None


def plain(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float, scaling: float
) -> Tensor:
    """The formula itself; for sentences of 20 tokens on a CPU no fused kernel is faster."""
    scores = (query * scaling) @ key.transpose(2, 3)
    if mask is not None:
        scores = scores + mask
    return drop(scores.softmax(-1), dropout) @ value


def packed(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, starts: Tensor, longest: int
) -> Tensor:
    """Attention of a packed batch on any device: pad, compute, pack again.

    On a CPU half of the sentences at a time, the longer ones first as `batches.longest_first`
    orders them, so that there is less padding; and in few widths, because the CPU's kernels are
    prepared anew for each shape. As on a GPU, the attention weights have no dropout.

    Returns:
        (1, tokens, heads, size)
    """
    # reading the lengths would make a GPU wait, and would break the graph of torch.compile
    if query.is_cuda or torch.compiler.is_compiling():
        return _packed(query, key, value, scaling, starts, longest)[None]
    lengths = starts.diff()
    halves = lengths[lengths > 0].chunk(2)  # after the last sentence come empty ones
    sizes = [int(half.sum()) for half in halves]
    values = []
    for half, *part in zip(halves, *(x.split(sizes, 2) for x in (query, key, value)), strict=True):
        half_starts = nn.functional.pad(half.cumsum(0), (1, 0))
        width = -(-int(half.max()) // WIDTH_STEP) * WIDTH_STEP
        values.append(_packed(*part, scaling, half_starts, width))
    return torch.cat(values)[None]


def _packed(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, starts: Tensor, longest: int
) -> Tensor:
    """`packed` for sentences padded to one width: (tokens, heads, size)."""
    indices = starts[:-1, None] + torch.arange(longest, device=starts.device)
    mask = indices < starts[1:, None]  # (sentences, longest)
    indices = indices.clamp_max(query.shape[2] - 1)
    # index_select: its backward pass is faster than that of indexing
    flat = [x[0].transpose(0, 1).index_select(0, indices.flatten()) for x in (query, key, value)]
    padded = [x.unflatten(0, indices.shape).transpose(1, 2) for x in flat]
    lowest = torch.finfo(query.dtype).min
    bias = torch.zeros_like(mask, dtype=query.dtype).masked_fill(~mask, lowest)[:, None, None]
    values = plain(*padded, bias, 0.0, scaling).transpose(1, 2)  # (sentences, longest, heads, size)
    token = torch.arange(query.shape[2], device=starts.device, dtype=starts.dtype)
    sentence = torch.bucketize(token, starts[1:], right=True)
    return values.flatten(0, 1).index_select(0, sentence * longest + token - starts[sentence])


def packed_on_gpu(
    query: Tensor, key: Tensor, value: Tensor, scaling: float, starts: Tensor, longest: int
) -> Tensor:
    """Attention of a packed batch by FlashAttention (Dao 2024), which takes sentence boundaries.

    It has no dropout on the attention weights, so no packed batch has any.
    """
    rows = [x[0].transpose(0, 1).contiguous() for x in (query, key, value)]
    return varlen_attn(*rows, starts, starts, longest, longest, scale=scaling)[None]


def _mask(*arguments, attention_mask: Tensor | None = None, **more) -> Tensor | None:
    """What to add to the scores; None if there is no padding."""
    if attention_mask is None:
        return None
    # else transformers looks for padding, and the program waits for the GPU
    more["allow_is_bidirectional_skip"] = False
    return eager_mask(*arguments, attention_mask=attention_mask, **more)


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, _mask)


def use_attention(model: nn.Module) -> Callable | None:
    """Let a model of transformers compute its attention here.

    A model keeps its own if it does not support that, if its attention is local or causal, or if
    its outputs would differ (other heads for keys, a cap on the scores, a bias of positions).

    Returns:
        `attention`, or None if the model keeps its own.
    """
    config = getattr(model, "config", None)
    local = any(getattr(config, name, None) for name in LOCAL_ATTENTION)
    causal = any(getattr(module, "is_causal", False) for module in model.modules())
    if local or causal or not getattr(model, "_supports_attention_backend", False):
        return None
    own = config._attn_implementation
    expected = [probe(model), probe(model, padding=3)]
    model.set_attn_implementation(NAME)
    try:
        same = alike(torch.cat([probe(model), probe(model, padding=3)]), torch.cat(expected))
    except Exception:  # whatever a shape that does not fit raises
        same = False
    if not same:
        model.set_attn_implementation(own)
    return attention if same else None


@torch.no_grad()
def probe(model: nn.Module, padding: int = 0) -> Tensor:
    """The output for two short texts, without dropout, beside so many padding positions."""
    was_training = model.training
    model.eval()
    tokens = torch.arange(1, 9 + padding).repeat(2, 1)  # every vocabulary has these
    mask = (torch.arange(8 + padding) < 8).long().repeat(2, 1)
    try:
        output = model(input_ids=tokens, **({"attention_mask": mask} if padding else {}))[0]
    finally:
        model.train(was_training)
    return output[:, :8] if output.ndim == 3 else output


def alike(output: Tensor, expected: Tensor) -> bool:
    """Whether two outputs differ by rounding only."""
    return bool((output - expected).norm() <= 1e-4 * expected.norm())


def can_pack(model: nn.Module) -> bool:
    """Whether the model computes its attention here, which packed batches need.

    Also, the positions of the tokens have to be given.
    """
    takes = inspect.signature(model.forward).parameters
    ours = getattr(model.config, "_attn_implementation", None) == NAME
    return ours and "position_ids" in takes and "kwargs" in takes


def first_position(model: nn.Module) -> int:
    """The position id of a sentence's first token: 0, or 2 in RoBERTa and similar encoders."""
    for name, module in model.base_model.named_modules():
        pad = getattr(module, "padding_idx", None)
        if name.endswith("position_embeddings") and pad is not None:
            return pad + 1
    return 0
