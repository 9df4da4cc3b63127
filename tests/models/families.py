"""A small random encoder of every family of transformers that has a head for tokens, and what the
kit makes of it.
"""

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForTokenClassification, PreTrainedTokenizerBase
from transformers.models.auto import modeling_auto

from rmlib.errors import RmlibError
from rmlib.models.encoder import (
    Tagger,
    embedding_tables,
    encoder_layers,
    freeze,
    load_tagger,
    new_tagger,
)
from rmlib.models.lora import add_lora, merge_lora
from rmlib.text.conll import Sentence
from rmlib.text.encoding import IGNORE
from rmlib.training.config import Config
from rmlib.training.loop import Training
from rmlib.training.setup import depth_scales

FAMILIES = list(modeling_auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES)

# whatever a family calls them; each takes those that its config knows
SIZES = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "emb_dim", "dim", "embedding_size"), 32),
    **dict.fromkeys(("num_hidden_layers", "num_layers", "n_layers", "n_layer"), 2),
    **dict.fromkeys(("num_attention_heads", "num_heads", "n_heads", "n_head"), 2),
    **dict.fromkeys(("num_key_value_heads", "num_experts_per_tok"), 2),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("intermediate_size", "hidden_dim", "d_ff", "d_inner", "ffn_dim"), 64),
    **dict.fromkeys(("head_dim", "d_kv", "moe_intermediate_size"), 16),
    **dict.fromkeys(("shared_expert_intermediate_size", "max_relative_positions"), 64),
    "initializer_range": 0.2,
}
LATENT = {  # heads of DeepSeek's latent attention
    "kv_lora_rank": 16,
    "q_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 16,
    "head_dim": 8,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
}
LINEAR = {  # Qwen's layers without softmax
    "layer_types": ["linear_attention", "full_attention"],
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
}
OWN = {
    "axk1": LATENT,
    "axk2": LATENT,
    "deepseek_v3": LATENT,
    "mistral4": LATENT | {"head_dim": None},
    "falcon": {"head_dim": None},
    "funnel": {"num_hidden_layers": None, "num_layers": None, "block_sizes": [1, 1], "d_head": 16},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "layoutlmv3": {"coordinate_size": 6, "shape_size": 4, "visual_embed": False},
    "lilt": {"hidden_size": 48},
    "luke": {"entity_vocab_size": 10, "entity_emb_size": 8},
    "qwen3_5": LINEAR,
    "qwen3_next": LINEAR,
    "rembert": {"input_embedding_size": 32, "output_embedding_size": 32},
    "roc_bert": {
        "pronunciation_vocab_size": 50,
        "shape_vocab_size": 50,
        "pronunciation_embed_dim": 8,
        "shape_embed_dim": 8,
    },
    "mobilebert": {"initializer_range": 0.02},
}


def config_of(family: str, tokenizer: PreTrainedTokenizerBase, **settings):
    """The config of a small encoder with the vocabulary of a tokenizer."""
    # tokenizers of some families add tokens of their own
    size = {"vocab_size": len(tokenizer) + 8, "pad_token_id": tokenizer.pad_token_id}
    size |= {"bos_token_id": tokenizer.cls_token_id, "eos_token_id": tokenizer.sep_token_id}
    wanted = SIZES | size | OWN.get(family, {}) | settings
    return AutoConfig.for_model(family, **_known(AutoConfig.for_model(family), wanted))


def _known(default, wanted: dict) -> dict:
    """Of the wanted settings those that a config has; for the configs inside it, too."""
    known = {
        name: value
        for name, value in wanted.items()
        if value is not None and (hasattr(default, name) or name in default.attribute_map)
    }
    for name in default.sub_configs:
        if (inner := getattr(default, name, None)) is not None:
            known[name] = _known(inner, wanted)
    return known


def save_family(family: str, folder: Path, tokenizer, **settings) -> Path:
    """The folder of a small random encoder, as transformers saves it."""
    config = config_of(family, tokenizer, **settings)
    with torch.device("meta"):
        size = sum(
            p.numel() for p in AutoModelForTokenClassification.from_config(config).parameters()
        )
    assert size < 2e7, f"{family} has {size / 1e6:.0f} M parameters; its config needs sizes in OWN"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForTokenClassification.from_config(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def examine(family: str, folder: Path, tokenizer, sentences: list[Sentence]) -> dict[str, str]:
    """What works of a family: one row of data/results/encoders.csv.

    Raises:
        AssertionError: something is wrong, not merely impossible.
    """
    row = {"family": family, "verdict": "refused", "adapters": "", "longest input": ""}
    try:
        save_family(family, folder, tokenizer)
    except ImportError as error:
        return row | {"note": " ".join(str(error).split())[:80]}
    tags = sorted({tag for sentence in sentences for tag in sentence.tags}, reverse=True)
    note = ""
    for dropout in (0.3, 0.0):
        try:
            tagger = new_tagger(tags, str(folder), dropout)
            break
        except RmlibError as error:
            note = str(error).replace(f"{folder}", "").removeprefix(": ").strip()
    else:
        return row | {"note": note}
    if note:
        note = f"with `--dropout 0` only: {note}"
    elif tagger.reads_padding:
        note = "only texts of one length share a batch, as padding changes the logits"
    check_parts(tagger)
    packed = check_training(tagger, sentences)
    check_alone(tagger, sentences)
    check_long(tagger, sentences)
    tagger.save(folder / "saved")
    words = [sentence.words for sentence in sentences]
    assert load_tagger(folder / "saved").tag(words) == tagger.tag(words)
    check_theirs(tagger, folder / "saved", sentences)
    return row | {
        "verdict": "works" if packed else "padded only",
        "adapters": check_adapters(tagger),
        "longest input": str(tagger.max_length),
        "note": note,
    }


def check_parts(tagger: Tagger) -> None:
    """What is frozen, and what a decaying learning rate takes for embeddings, layers and head."""
    model = tagger.model
    layers, tables = encoder_layers(model), embedding_tables(model)
    everything = freeze(model, "none")
    counts = [freeze(model, what) for what in ("embeddings", 0, 1, len(layers), "encoder")]
    assert everything > counts[0] >= counts[1] > counts[2] >= counts[3] >= counts[4] > 0
    freeze(model, "embeddings")
    assert sum(p.numel() for p in tables) >= getattr(
        model.config.get_text_config(), "vocab_size", 1
    )
    assert not any(p.requires_grad for p in tables)
    scales = depth_scales(model, 0.5)
    assert {scales[p] for p in tables} == {0.5 ** (len(layers) + 1)}
    for k, layer in enumerate(layers):
        assert {scales[p] for p in layer.parameters()} == {0.5 ** (len(layers) - k)}
    base = {id(p) for p in model.base_model.parameters()}
    assert {scales[p] for p in model.parameters() if id(p) not in base} == {1.0}
    freeze(model, "none")


def check_training(tagger: Tagger, sentences: list[Sentence]) -> bool:
    """One epoch changes the weights; whether its batches were packed, as they then have to be."""
    settings = {"epochs": 1, "lr": 1e-3, "max_tokens": 256, "precision": "fp32", "patience": 0}
    settings |= {"freeze": "none", "alpha": 1.0, "case_dropout": 0.0}
    training = Training(tagger, tagger.encode(sentences).examples, Config(**settings))
    before = {name: p.detach().clone() for name, p in tagger.model.named_parameters()}
    losses = [step.total for step in training]
    assert all(loss == loss and abs(loss) < 100 for loss in losses)
    moved = [name for name, p in tagger.model.named_parameters() if not p.equal(before[name])]
    assert len(moved) > len(before) / 4
    if training.packed:
        group = list(range(min(6, len(sentences))))
        packed = training.store.packed(
            group, 8 * (sum(training.lengths[i] for i in group) // 8 + 2)
        )
        with torch.no_grad():
            z = tagger.model.eval()(**packed.inputs).logits.flatten(0, -2)[packed.items]
        alone = tagger.logits(tagger.encode(sentences[: len(group)]), max_tokens=1)
        torch.testing.assert_close(z, torch.cat(alone), rtol=1e-5, atol=1e-5)
    return training.packed


def check_alone(tagger: Tagger, sentences: list[Sentence]) -> None:
    """Padding changes nothing."""
    encoded = tagger.encode(sentences)
    for z, alone in zip(tagger.logits(encoded), tagger.logits(encoded, max_tokens=1), strict=True):
        torch.testing.assert_close(z, alone, rtol=1e-4, atol=1e-4)


def check_theirs(tagger: Tagger, folder: Path, sentences: list[Sentence]) -> None:
    """The logits are those of transformers' own attention, in a text of 300 words, too."""
    model = AutoModelForTokenClassification.from_pretrained(folder).eval()
    words = tuple(word for sentence in sentences for word in sentence.words)[:300]
    encoded = tagger.encode([Sentence(words, (tagger.labels[0],) * len(words)), *sentences[:3]])
    theirs = []
    for example in encoded.examples:
        inputs = {"input_ids": torch.tensor([example.input_ids])}
        if tagger.case:
            inputs["token_type_ids"] = torch.tensor([example.case])
        with torch.no_grad():
            own = model(**inputs).logits[0]
        theirs.append(own[torch.tensor(example.labels) != IGNORE])
    ours = torch.cat(tagger.logits(encoded))
    torch.testing.assert_close(ours, torch.cat(theirs), rtol=1e-4, atol=1e-4)


def check_long(tagger: Tagger, sentences: list[Sentence]) -> None:
    """A text as long as the encoder reads is one window; of a longer one each word has a tag."""
    special = tagger.encode([Sentence(("a",), (tagger.labels[0],))]).lengths[0] - 1
    fits = ("a",) * (tagger.max_length - special)
    encoded = tagger.encode([Sentence(fits, (tagger.labels[0],) * len(fits))])
    assert encoded.lengths == [tagger.max_length]
    words = tuple(word for sentence in sentences for word in sentence.words)
    long = (words * 2000)[: 2 * tagger.max_length]
    encoded = tagger.encode([Sentence(long, (tagger.labels[0],) * len(long))])
    assert encoded.windows == [len(encoded)] and len(encoded) > 2
    assert [len(tags) for tags in tagger.tag([fits, long])] == [len(fits), len(long)]


def check_adapters(tagger: Tagger) -> str:
    """Whether adapters can be added, train, and be merged."""
    try:
        added = add_lora(tagger.model, 2)
    except RmlibError as error:
        assert "has no linear layer for adapters" in str(error)
        return "no"
    assert 0 < added < sum(p.numel() for p in tagger.model.parameters())
    merge_lora(tagger.model)
    return "yes"
