"""A pretrained encoder with a classification head."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)
from transformers.utils import logging as transformers_logging

from rmlib.determinism import seeded
from rmlib.errors import NotFiniteError, RmlibValueError
from rmlib.text.batches import batches
from rmlib.text.conll import Sentence
from rmlib.text.encoding import CASES, Encoded, encode
from rmlib.text.packing import TokenStore
from rmlib.text.viterbi import decode, is_scheme, to_iob2

from .attention import alike, first_position, probe, use_attention
from .dropout import set_dropout, use_fast_dropout
from .encoder_folder import EncoderError, read_config, resolve, verified

MOST_TOKENS = 4096  # of an input, whatever the encoder could read: attention costs their square
UNSTATED = 512  # tokens, where neither tokenizer nor config states a longest input
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
        reads_padding: whether padding changes the logits (convolutions, Fourier transforms); then
            only texts of one length share a batch.
    """

    model: nn.Module
    tokenizer: object
    labels: list[str]
    report: str = ""
    reads_padding: bool = False

    @property
    def max_length(self) -> int:
        """The longest input of the encoder, special tokens included."""
        positions = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        limits = (self.tokenizer.model_max_length, (positions or 0) - first_position(self.model))
        # a tokenizer that states none says 1e30, an encoder without a table of positions 0 or -1
        stated = [int(limit) for limit in limits if 0 < limit < 1e9]
        return min([MOST_TOKENS, *stated]) if stated else UNSTATED

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
            one IOB2 tag per word, well formed.
        """
        untagged = [Sentence(tuple(words), ("O",) * len(words)) for words in sentences]
        return self.tag_encoded(self.encode(untagged), max_tokens)

    def tag_encoded(self, encoded: Encoded, max_tokens: int = 4096) -> list[list[str]]:
        """IOB2 tags of the words in `encoded`, one list per sentence.

        A tagger of the kit gives the most probable well-formed tags. One from elsewhere may know
        another scheme: its most probable tags are converted (see `viterbi.to_iob2`).
        """
        logits = self.logits(encoded, max_tokens)
        if not logits:
            return []
        lengths = [len(z) for z in logits]
        ours = getattr(self.model.config, "tag_scheme", None) == "IOB2"
        joined = torch.cat(logits)
        best = decode(joined, lengths, self.labels) if ours else joined.argmax(-1)
        tags = iter([self.labels[k] for k in best.tolist()])
        rows = [list(itertools.islice(tags, length)) for length in lengths]
        return rows if ours else [to_iob2(row) for row in rows]

    @torch.no_grad()
    def logits(self, encoded: Encoded, max_tokens: int = 4096) -> list[torch.Tensor]:
        """Logits (words, tags) of the words in `encoded`, on the CPU, one tensor per sentence."""
        if not len(encoded):
            return []
        was_training = self.model.training
        self.model.eval()
        device = next(self.model.parameters()).device
        store = TokenStore(encoded.examples, self.tokenizer.pad_token_id, self.case, device)
        logits: list = [None] * len(encoded)  # of each window
        for group in batches(encoded.lengths, max_tokens, equal=self.reads_padding):
            batch = store.padded(group)
            z = self.model(**batch.inputs).logits.flatten(0, 1)[batch.items].float().cpu()
            if not z.isfinite().all():
                raise NotFiniteError("the tagger's logits are not finite; were its weights spoilt?")
            for i, own in zip(group, z.split(batch.items_per_sentence), strict=True):
                logits[i] = own
        self.model.train(was_training)
        return [torch.cat(parts) for parts in encoded.per_sentence(logits)]


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
    """A tagger that `Tagger.save` or `rmlib train --out` wrote, or another of transformers.

    Raises:
        EncoderError: there is no such folder, it does not load, has no trained tagging head, or
            labels whose names are no tags.
    """
    path = verified(Path(folder))
    names = read_config(path).get("id2label")
    names = names if isinstance(names, dict) else {}
    tags = [names.get(str(i)) for i in range(len(names))]
    if not tags or not all(isinstance(tag, str) for tag in tags):
        raise EncoderError(
            f"{folder} holds no trained tagger; expected a folder that `rmlib train --out` wrote"
        )
    if not is_scheme(tags):
        raise EncoderError(
            f"{folder}: the labels are {', '.join(tags)[:80]}; expected names of tags such as O, "
            "B-PER, I-PER: write them into id2label in config.json"
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
    if dropout is not None and not 0 <= dropout < 1:
        raise RmlibValueError(f"dropout is {dropout}; expected a number from 0 to below 1")
    with seeded(seed):
        model, tokenizer, info = _from_pretrained(path, head, settings, dropout)
    new = sorted({*info["missing_keys"], *(name for name, _, _ in info["mismatched_keys"])})
    if new and dropout is None:
        raise EncoderError(
            f"{path} holds no trained head for its labels; missing: {', '.join(new)}"
        )
    rows = (2, 8, len(labels)) if head == "tokens" else (2, len(labels))
    reads_padding = _check_inputs(path, model, tokenizer, rows)
    if tokenizer.tokenize("A") == tokenizer.tokenize("a"):
        new += add_case_channel(model)
    if not reads_padding:  # such an encoder would read its neighbours in a packed batch
        use_attention(model)
    use_fast_dropout(model)
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    report = f"{encoder}: {millions:.1f} M parameters"
    report += f"; new, not from the checkpoint: {', '.join(new) or 'none'}"
    if info["unexpected_keys"]:
        report += f"; in the checkpoint but not used: {', '.join(sorted(info['unexpected_keys']))}"
    return model, tokenizer, list(labels), report, reads_padding


def _from_pretrained(path: Path, head: str, settings: dict, dropout: float | None):
    """Load model and tokenizer; returns them with transformers' loading report."""
    try:
        with _quiet():
            config = AutoConfig.from_pretrained(path, local_files_only=True, **settings)
            if dropout is not None:
                set_dropout(config, dropout)
                if head == "tokens":
                    config.tag_scheme = "IOB2"
            model, info = HEADS[head].from_pretrained(
                path,
                config=config,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                # a head for other classes is replaced by a new one, which `info` says
                ignore_mismatched_sizes=True,
                dtype=torch.float32,
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
    if bad := [name for name, weight in model.named_parameters() if not weight.isfinite().all()]:
        raise EncoderError(f"{path}: {bad[0]} holds values that are not finite; expected numbers")
    if not tokenizer.is_fast:
        raise EncoderError(f"{path} has no fast tokenizer; expected a tokenizer.json in the folder")
    if tokenizer.pad_token is None:  # what stands in a padding position is not read
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    if getattr(model.config, "pad_token_id", None) is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    return model, tokenizer, info


def _check_inputs(path: Path, model: nn.Module, tokenizer, expected: tuple) -> bool:
    """Refuse a vocabulary that is not the encoder's, and an encoder that reads more than text.

    Returns:
        whether padding changes the logits.
    """
    size = getattr(_word_table(model), "num_embeddings", len(tokenizer))
    if len(tokenizer) > size:
        raise EncoderError(
            f"{path}: the tokenizer has {len(tokenizer)} tokens; expected at most {size}, the rows "
            "of the encoder's table of embeddings"
        )
    try:
        logits = probe(model)
    except Exception as error:  # an encoder of pages or pictures, or one that needs a GPU
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise EncoderError(
            f"{path}: {type(model).__name__} does not read plain text here ({reason}); expected an "
            "encoder that needs nothing but tokens"
        ) from error
    if (shape := tuple(logits.shape)) != expected:
        raise EncoderError(
            f"{path}: {type(model).__name__} gives logits of shape {shape} for 2 texts of 8 "
            f"tokens; expected {expected}"
        )
    return not alike(probe(model, padding=3), logits)


def add_case_channel(model: nn.Module) -> list[str]:
    """Let an uncased encoder see capitals through its token types, one for each of `CASES`.

    A tagger has no second sentence, so BERT's token types are free. Every type starts as a copy of
    type 0, so that at first the encoder computes exactly what it did before. A model without token
    types, or with the channel, is not changed. LUKE has types of words and of entities.

    Returns:
        the names of the new parameters.
    """
    if getattr(model.config, "case_channel", False):
        return []
    new = []
    for name, module in list(model.base_model.named_modules()):
        if name.endswith("token_type_embeddings") and type(module) is nn.Embedding:
            copies = module.weight.detach()[:1].repeat(len(CASES), 1)
            types = nn.Embedding.from_pretrained(copies, freeze=False)
            model.base_model.set_submodule(name, types)
            model.config.type_vocab_size = len(CASES)
            model.config.case_channel = True
            new.append(f"{name}.weight (case)")
    return new


def encoder_layers(model: nn.Module) -> list[nn.Module]:
    """The layers of the encoder, the lowest first.

    Where an encoder keeps the parts of its layers in several lists of one module (XLM: attentions,
    norms, feed-forward), a layer is made of the k-th part of each.
    """
    modules = dict(model.base_model.named_modules())
    lists = [n for n, m in modules.items() if isinstance(m, nn.ModuleList) and [*m.parameters()]]
    outermost = [n for n in lists if not any(n.startswith(f"{other}.") for other in lists)]
    layers: list[nn.Module] = []
    for _, names in itertools.groupby(
        outermost, key=lambda name: (name.rpartition(".")[0], len(modules[name]))
    ):
        parts = [modules[name] for name in names]
        if len(parts) > 1:
            layers += [nn.ModuleList(layer) for layer in zip(*parts, strict=True)]
        else:  # Funnel has blocks of layers
            nested = [[*one] if isinstance(one, nn.ModuleList) else [one] for one in parts[0]]
            layers += itertools.chain(*nested)
    return layers


def below_layers(model: nn.Module) -> list[nn.Parameter]:
    """The parameters of the embeddings: those that an encoder lists before its first layer."""
    tables = {id(p) for p in embedding_tables(model)}
    layers = {id(p) for layer in encoder_layers(model) for p in layer.parameters()}
    below, reached = [], False
    for parameter in model.base_model.parameters():
        reached = reached or id(parameter) in layers
        if not reached or id(parameter) in tables:
            below.append(parameter)
    return below


def embedding_tables(model: nn.Module) -> list[nn.Parameter]:
    """The tables of words, positions and types outside the layers, without the case channel."""
    layers = {id(module) for layer in encoder_layers(model) for module in layer.modules()}
    case = getattr(model.config, "case_channel", False)
    words = _word_table(model)
    tables = {id(p): p for p in words.parameters()} if words else {}
    for name, module in model.base_model.named_modules():
        channel = case and name.endswith("token_type_embeddings")
        if isinstance(module, nn.Embedding) and id(module) not in layers and not channel:
            tables |= {id(p): p for p in module.parameters()}
    return list(tables.values())


def _word_table(model: nn.Module) -> nn.Module | None:
    """The table of the tokens; None where transformers cannot tell it."""
    try:
        return model.get_input_embeddings()
    except NotImplementedError:
        return None


def freeze(model: nn.Module, what: str | int) -> int:
    """Choose which parameters train; each call starts from all of them.

    In an encoder with adapters (`lora.add_lora`) only these and the case channel can train, so
    that `what` can only exclude some of them.

    Args:
        what: what not to train: "none"; "embeddings" (see `embedding_tables`); a number n (all
            that stands below the layers, and the first n of them); "encoder" (all but the head).

    Returns:
        how many parameters train.

    Raises:
        RmlibValueError: another word, more layers than the encoder has, or no table to freeze.
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
        if not (tables := embedding_tables(model)):
            raise RmlibValueError(
                f"freeze is 'embeddings'; {type(model).__name__} has no table of embeddings, "
                "expected none, encoder, or a number of layers"
            )
        return tables
    if not str(what).isdecimal():
        raise RmlibValueError(
            f"freeze is {what!r}; expected none, embeddings, encoder, or a number of layers"
        )
    layers = encoder_layers(model)
    if int(what) > len(layers):
        raise RmlibValueError(f"freeze is {what}; this encoder has {len(layers)} layers")
    return below_layers(model) + [p for layer in layers[: int(what)] for p in layer.parameters()]


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
