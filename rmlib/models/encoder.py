"""A pretrained encoder with a classification head."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)
from transformers.utils import logging as transformers_logging

from rmlib.determinism import seeded
from rmlib.errors import RmlibValueError
from rmlib.text.batches import batches
from rmlib.text.conll import Sentence
from rmlib.text.encoding import CASES, Encoded, encode
from rmlib.text.packing import TokenStore
from rmlib.text.viterbi import decode

from .attention import use_attention
from .dropout import use_fast_dropout
from .encoder_folder import EncoderError, read_config, resolve, verified

HEADS = {"tokens": AutoModelForTokenClassification, "sequence": AutoModelForSequenceClassification}


@dataclass
class Classifier:
    """A pretrained encoder with a head.

    Attributes:
        model: the transformers model; its forward takes the `inputs` of a `packing.Batch` and
            returns logits.
        tokenizer: its fast tokenizer.
        labels: the names of the classes, the background class first.
        report: one sentence on which parameters are new.
    """

    model: nn.Module
    tokenizer: object
    labels: list[str]
    report: str = ""

    @property
    def max_length(self) -> int:
        """The longest input of the encoder, special tokens included."""
        return min(self.tokenizer.model_max_length, self.model.config.max_position_embeddings)

    @property
    def case(self) -> bool:
        """Whether the encoder reads capitals through its token types (see `add_case_channel`)."""
        return bool(getattr(self.model.config, "case_channel", False))

    def save(self, folder) -> Path:
        """Write safetensors, config and tokenizer, as `transformers.pipeline` loads them."""
        folder = Path(folder)
        with _quiet():
            self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        return folder


class Tagger(Classifier):
    """A `Classifier` of words: `labels` are IOB2 tags."""

    def encode(self, sentences: list[Sentence]) -> Encoded:
        """`encoding.encode` with this tagger's tokenizer, tags and longest input."""
        return encode(sentences, self.tokenizer, self.labels, self.max_length)

    def tag(self, sentences: list[list[str]], max_tokens: int = 4096) -> list[list[str]]:
        """Tag sentences that are already split into words.

        Args:
            sentences: lists of words.
            max_tokens: most tokens per batch, see `batches.batches`.

        Returns:
            one IOB2 tag per word, well formed; words beyond the encoder's longest input get O.
        """
        untagged = [Sentence(tuple(words), ("O",) * len(words)) for words in sentences]
        predictions = self.tag_encoded(self.encode(untagged), max_tokens)
        return [
            tags + ["O"] * (len(words) - len(tags))
            for tags, words in zip(predictions, sentences, strict=True)
        ]

    def tag_encoded(self, encoded: Encoded, max_tokens: int = 4096) -> list[list[str]]:
        """Tags of the words in `encoded`, one list per sentence."""
        logits = self.logits(encoded, max_tokens)
        if not logits:
            return []
        lengths = [len(z) for z in logits]
        best = decode(torch.cat(logits), lengths, self.labels).tolist()
        tags = iter([self.labels[k] for k in best])
        return [[next(tags) for _ in range(length)] for length in lengths]

    @torch.no_grad()
    def logits(self, encoded: Encoded, max_tokens: int = 4096) -> list[torch.Tensor]:
        """Logits (words, tags) of the words in `encoded`, on the CPU, one tensor per sentence."""
        if not len(encoded):
            return []
        was_training = self.model.training
        self.model.eval()
        device = next(self.model.parameters()).device
        store = TokenStore(encoded.examples, self.tokenizer.pad_token_id, self.case, device)
        logits: list = [None] * len(encoded)
        for group in batches(encoded.lengths, max_tokens):
            batch = store.padded(group)
            z = self.model(**batch.inputs).logits.flatten(0, 1)[batch.items].float().cpu()
            for i, own in zip(group, z.split(batch.items_per_sentence), strict=True):
                logits[i] = own
        self.model.train(was_training)
        return logits


def new_tagger(
    tags: list[str], encoder: str = "minilm", dropout: float = 0.1, seed: int = 0
) -> Tagger:
    """A pretrained encoder with a new token-classification head.

    Args:
        tags: the tag set, "O" first.
        encoder: "minilm" (the kit's own), a local folder, or a name on the model hub.
        dropout: of the encoder and the head, in [0, 1).
        seed: for the new weights.

    Raises:
        AssetError: the encoder cannot be fetched.
        EncoderError: it does not load.
        RmlibValueError: dropout is out of range.
    """
    return Tagger(*_load(encoder, "tokens", tags, dropout, seed))


def new_classifier(
    labels: list[str], encoder: str = "minilm", dropout: float = 0.1, seed: int = 0
) -> Classifier:
    """A pretrained encoder with a new sequence-classification head.

    Arguments and errors as `new_tagger`.
    """
    return Classifier(*_load(encoder, "sequence", labels, dropout, seed))


def load_tagger(folder) -> Tagger:
    """A tagger that `Tagger.save` or `rmlib train --out` wrote.

    Raises:
        EncoderError: there is no such folder, it does not load, or has no trained tagging head.
    """
    path = verified(Path(folder))
    names = read_config(path).get("id2label")
    names = names if isinstance(names, dict) else {}
    tags = [names.get(str(i)) for i in range(len(names))]
    if "O" not in tags or not all(isinstance(tag, str) for tag in tags):
        raise EncoderError(
            f"{folder} holds no trained tagger; expected a folder that `rmlib train --out` wrote"
        )
    return Tagger(*_load(str(path), "tokens", tags, dropout=None, seed=0))


def _load(encoder: str, head: str, labels: list[str], dropout: float | None, seed: int):
    """The arguments of a `Classifier`; with dropout None, no parameter may be new."""
    path = resolve(encoder)
    settings = {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: i for i, label in enumerate(labels)},
    }
    if dropout is not None:
        if not 0 <= dropout < 1:
            raise RmlibValueError(f"dropout is {dropout}; expected a number from 0 to below 1")
        settings |= {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    with seeded(seed):
        model, tokenizer, info = _from_pretrained(path, head, settings)
    new = sorted({*info["missing_keys"], *(name for name, _, _ in info["mismatched_keys"])})
    if new and dropout is None:
        raise EncoderError(
            f"{path} holds no trained head for its labels; missing: {', '.join(new)}"
        )
    if tokenizer.tokenize("A") == tokenizer.tokenize("a"):
        new += add_case_channel(model)
    use_attention(model)
    use_fast_dropout(model)
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    report = f"{encoder}: {millions:.1f} M parameters"
    report += f"; new, not from the checkpoint: {', '.join(new) or 'none'}"
    if info["unexpected_keys"]:
        report += f"; in the checkpoint but not used: {', '.join(sorted(info['unexpected_keys']))}"
    return model, tokenizer, list(labels), report


def _from_pretrained(path: Path, head: str, settings: dict):
    """Load model and tokenizer; returns them with transformers' loading report."""
    try:
        with _quiet():
            model, info = HEADS[head].from_pretrained(
                path,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                # a head for other classes is replaced by a new one, which `info` says
                ignore_mismatched_sizes=True,
                dtype=torch.float32,
                **settings,
            )
            tokenizer = AutoTokenizer.from_pretrained(
                path, local_files_only=True, use_fast=True, add_prefix_space=True
            )
    except Exception as error:  # safetensors and the config readers raise classes of their own
        reason = " ".join(str(error).split())[:300]
        raise EncoderError(f"{path} does not load as an encoder: {reason}") from error
    for name, stored, needed in info["mismatched_keys"]:
        if name.startswith(f"{model.base_model_prefix}."):
            shape, expected = tuple(stored), tuple(needed)
            raise EncoderError(
                f"{path}: {name} has shape {shape} in the file; expected {expected} here"
            )
    if not tokenizer.is_fast:
        raise EncoderError(f"{path} has no fast tokenizer; expected a tokenizer.json in the folder")
    return model, tokenizer, info


def add_case_channel(model: nn.Module) -> list[str]:
    """Let an uncased encoder see capitals through its token types, one for each of `CASES`.

    A tagger has no second sentence, so BERT's token types are free. Every type starts as a copy of
    type 0, so that at first the encoder computes exactly what it did before. A model without token
    types, or with the channel, is not changed.

    Returns:
        the names of the new parameters.
    """
    if getattr(model.config, "case_channel", False):
        return []
    for name, module in model.base_model.named_modules():
        if name.endswith("token_type_embeddings"):
            copies = module.weight.detach()[:1].repeat(len(CASES), 1)
            types = nn.Embedding.from_pretrained(copies, freeze=False)
            model.base_model.set_submodule(name, types)
            model.config.type_vocab_size = len(CASES)
            model.config.case_channel = True
            return [f"{name}.weight (case)"]
    return []


def encoder_layers(model: nn.Module) -> nn.ModuleList:
    """The layers of the encoder, the lowest first."""
    modules = model.base_model.modules()
    return next(module for module in modules if isinstance(module, nn.ModuleList))


def freeze(model: nn.Module, what: str | int) -> int:
    """Choose which parameters train; each call starts from all of them.

    In an encoder with adapters (`lora.add_lora`) only these and the case channel can train, so
    that `what` can only exclude some of them.

    Args:
        what: what not to train: "none"; "embeddings" (the word and position tables); a number n
            (all embeddings and the first n layers); "encoder" (all but the head).

    Returns:
        how many parameters train.

    Raises:
        RmlibValueError: another word, or more layers than the encoder has.
    """
    frozen = _frozen_part(model, what)
    model.requires_grad_(True)
    for parameter in frozen:
        parameter.requires_grad_(False)
    parameters = dict(model.base_model.named_parameters())
    if any(".lora_" in name for name in parameters):
        trainable = [".lora_"]
        if getattr(model.config, "case_channel", False):
            trainable.append("token_type_embeddings")
        for name, parameter in parameters.items():
            if not any(part in name for part in trainable):
                parameter.requires_grad_(False)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _frozen_part(model: nn.Module, what: str | int) -> list[nn.Parameter]:
    """The parameters that `freeze` takes out."""
    base = model.base_model
    if what == "none":
        return []
    if what == "encoder":
        return list(base.parameters())
    if what == "embeddings":
        tables = ("word_embeddings", "position_embeddings")
        return [p for name, p in base.embeddings.named_parameters() if name.startswith(tables)]
    if not str(what).isdecimal():
        raise RmlibValueError(
            f"freeze is {what!r}; expected none, embeddings, encoder, or a number of layers"
        )
    layers = encoder_layers(model)
    if int(what) > len(layers):
        raise RmlibValueError(f"freeze is {what}; this encoder has {len(layers)} layers")
    parts = [base.embeddings, *layers[: int(what)]]
    return [parameter for part in parts for parameter in part.parameters()]


@contextlib.contextmanager
def _quiet():
    """Suppress transformers' warning table and progress bar; `report` says what is new instead."""
    level = transformers_logging.get_verbosity()
    bar = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bar:
            transformers_logging.enable_progress_bar()
