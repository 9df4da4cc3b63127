"""A pretrained BERT with a head of its own: loading, what is frozen, tagging, saving."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer
from transformers.utils import logging as transformers_logging

from rmlib.determinism import seeded
from rmlib.errors import RmlibError, RmlibValueError
from rmlib.text import downloads
from rmlib.text.batches import CASES, Encoded, batches, encode
from rmlib.text.conll import Sentence
from rmlib.text.packing import Shelf
from rmlib.text.viterbi import decode

from .attention import use_attention
from .dropout import use_quick_dropout

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
HEADS = {"tokens": AutoModelForTokenClassification, "sequence": AutoModelForSequenceClassification}


class EncoderError(RmlibError):
    """A model that cannot be found or that the kit refuses to load."""


@dataclass
class Classifier:
    """A pretrained encoder with a head.

    Attributes:
        model: the transformers model; its forward takes the `inputs` of a `packing.Batch` and gives logits.
        tokenizer: its fast tokenizer.
        labels: the names of the classes, the background class first.
        report: one sentence on what came from the checkpoint and what is new.
    """

    model: nn.Module
    tokenizer: object
    labels: list[str]
    report: str = ""

    @property
    def max_pieces(self) -> int:
        """The longest input the encoder takes, special pieces included."""
        return min(self.tokenizer.model_max_length, self.model.config.max_position_embeddings)

    @property
    def case(self) -> bool:
        """Whether the encoder reads capitals through its token types (see `add_case_channel`)."""
        return bool(getattr(self.model.config, "case_channel", False))

    def save(self, folder) -> Path:
        """Write safetensors, config and tokenizer, in the form that `transformers.pipeline` loads."""
        folder = Path(folder)
        with _quiet():
            self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        return folder


class Tagger(Classifier):
    """A `Classifier` of words: `labels` are IOB2 tags."""

    def encode(self, sentences: list[Sentence]) -> Encoded:
        """`batches.encode` with this tagger's tokenizer, tags and longest input."""
        return encode(sentences, self.tokenizer, self.labels, self.max_pieces)

    def tag(self, sentences: list[list[str]], budget: int = 4096) -> list[list[str]]:
        """Tag sentences that are already split into words.

        Args:
            sentences: lists of words.
            budget: pieces a batch, see `batches.batches`.

        Returns:
            one IOB2 tag a word, always well formed; words beyond the encoder's longest input get O.
        """
        tags = self.tag_encoded(self.encode([Sentence(tuple(w), ("O",) * len(w)) for w in sentences]), budget)
        return [found + ["O"] * (len(words) - len(found)) for found, words in zip(tags, sentences, strict=True)]

    def tag_encoded(self, encoded: Encoded, budget: int = 4096) -> list[list[str]]:
        """Tags of the words that are left in `encoded`, a list a sentence, in its order."""
        logits = self.logits(encoded, budget)
        lengths = [len(z) for z in logits]
        if not logits:
            return []
        best = decode(torch.cat(logits), lengths, self.labels).tolist()
        tags = iter([self.labels[k] for k in best])
        return [[next(tags) for _ in range(length)] for length in lengths]

    @torch.no_grad()
    def logits(self, encoded: Encoded, budget: int = 4096) -> list[torch.Tensor]:
        """Logits (words, tags) of the words that are left in each sentence, on the CPU, in the order of `encoded`."""
        if not len(encoded):
            return []
        was_training = self.model.training
        self.model.eval()
        device = next(self.model.parameters()).device
        shelf = Shelf(encoded.examples, self.tokenizer.pad_token_id, self.case, device)
        logits: list = [None] * len(encoded)
        for group in batches(encoded.lengths, budget):
            batch = shelf.padded(group)
            z = self.model(**batch.inputs).logits.flatten(0, 1)[batch.items].float().cpu()
            for i, one in zip(group, z.split(batch.words), strict=True):
                logits[i] = one
        self.model.train(was_training)
        return logits


def new_tagger(tags: list[str], encoder: str = "minilm", dropout: float = 0.1, seed: int = 0) -> Tagger:
    """A pretrained encoder with a new token-classification head.

    Args:
        tags: the tag set, "O" first.
        encoder: "minilm" (the kit's own), a local folder, or a name on the model hub.
        dropout: of the encoder and the head, in [0, 1).
        seed: for the new weights.

    Raises EncoderError, AssetError or RmlibValueError: no such encoder, one that does not load, a dropout out of range.
    """
    return Tagger(*_load(encoder, "tokens", tags, dropout, seed))


def new_classifier(labels: list[str], encoder: str = "minilm", dropout: float = 0.1, seed: int = 0) -> Classifier:
    """A pretrained encoder with a new sequence-classification head; arguments as `new_tagger`."""
    return Classifier(*_load(encoder, "sequence", labels, dropout, seed))


def load_tagger(folder) -> Tagger:
    """A tagger that `Tagger.save` or `rmlib train --out` wrote.

    Raises:
        EncoderError: no such folder, no safetensors in it, or an encoder without a trained tagging head.
    """
    path = _checked(Path(folder))
    names = _config(path).get("id2label")
    names = names if isinstance(names, dict) else {}
    tags = [names.get(str(i)) for i in range(len(names))]
    if "O" not in tags or not all(isinstance(tag, str) for tag in tags):
        raise EncoderError(f"{folder} holds no trained tagger; expected a folder that `rmlib train --out` wrote")
    return Tagger(*_load(str(path), "tokens", tags, dropout=None, seed=0))


def _load(encoder: str, head: str, labels: list[str], dropout: float | None, seed: int):
    """With dropout None the checkpoint is used as it stands: nothing may be new."""
    path = resolve(encoder)
    settings = {"num_labels": len(labels), "id2label": dict(enumerate(labels))}
    settings["label2id"] = {label: i for i, label in enumerate(labels)}
    if dropout is not None:
        if not 0 <= dropout < 1:
            raise RmlibValueError(f"dropout is {dropout}; expected a number from 0 to below 1")
        settings |= {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    with _quiet(), seeded(seed):
        try:
            model, info = HEADS[head].from_pretrained(
                path,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # a head for other classes gives way to a new one; see below
                dtype=torch.float32,
                **settings,
            )
            tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, use_fast=True, add_prefix_space=True)
        except Exception as error:  # safetensors and the config readers have exception classes of their own
            raise EncoderError(f"{path} does not load as an encoder: {' '.join(str(error).split())[:300]}") from error
    for name, stored, needed in info["mismatched_keys"]:
        if name.startswith(f"{model.base_model_prefix}."):
            raise EncoderError(f"{path}: {name} has shape {tuple(stored)} in the file; expected {tuple(needed)} here")
    if not tokenizer.is_fast:
        raise EncoderError(f"{path} has no fast tokenizer; expected a tokenizer.json in the folder")
    new = sorted({*info["missing_keys"], *(name for name, _, _ in info["mismatched_keys"])})
    if new and dropout is None:
        raise EncoderError(f"{path} holds no trained head for its labels; missing: {', '.join(new)}")
    if tokenizer.tokenize("A") == tokenizer.tokenize("a"):
        new += add_case_channel(model)
    use_attention(model)
    use_quick_dropout(model)
    parameters = sum(p.numel() for p in model.parameters())
    report = f"{encoder}: {parameters / 1e6:.1f} M parameters; new, not from the checkpoint: {', '.join(new) or 'none'}"
    if info["unexpected_keys"]:
        report += f"; in the checkpoint but not used: {', '.join(sorted(info['unexpected_keys']))}"
    return model, tokenizer, list(labels), report


def add_case_channel(model: nn.Module) -> list[str]:
    """Give an uncased encoder its capitals back through the token types, one type for each of `batches.CASES`.

    A tagger has no second sentence, so BERT's token types are free. Every type starts as a copy of type 0, so that
    the encoder computes at first exactly what it did before. Nothing happens where there are no token types, or
    where the channel is there already.

    Returns:
        the names of the parameters that are new.
    """
    if getattr(model.config, "case_channel", False):
        return []
    for name, module in model.base_model.named_modules():
        if name.endswith("token_type_embeddings"):
            types = nn.Embedding.from_pretrained(module.weight.detach()[:1].repeat(len(CASES), 1), freeze=False)
            model.base_model.set_submodule(name, types)
            model.config.type_vocab_size, model.config.case_channel = len(CASES), True
            return [f"{name}.weight (case)"]
    return []


def encoder_layers(model: nn.Module) -> nn.ModuleList:
    """The layers of the encoder, the lowest first: the first list of modules in it."""
    return next(module for module in model.base_model.modules() if isinstance(module, nn.ModuleList))


def freeze(model: nn.Module, what: str | int) -> int:
    """Choose which parameters train; each call starts from all of them. In an encoder with adapters (`lora.add_lora`)
    nothing trains but these and the case channel, so that `what` can only take from them.

    Args:
        what: "none"; "embeddings" (the word and position tables); a number n (all embeddings and the first n layers);
            "encoder" (all but the head).

    Returns:
        how many parameters are left to train.

    Raises:
        RmlibValueError: another word, or more layers than the encoder has.
    """
    model.requires_grad_(True)
    base = model.base_model
    if what == "encoder":
        base.requires_grad_(False)
    elif what == "embeddings":
        for name, parameter in base.embeddings.named_parameters():
            parameter.requires_grad_(not name.startswith(("word_embeddings", "position_embeddings")))
    elif str(what).isdecimal():
        layers = encoder_layers(model)
        if int(what) > len(layers):
            raise RmlibValueError(f"freeze is {what}; this encoder has {len(layers)} layers")
        for part in [base.embeddings, *layers[: int(what)]]:
            part.requires_grad_(False)
    elif what != "none":
        raise RmlibValueError(f"freeze is {what!r}; expected none, embeddings, encoder, or a number of layers")
    if any(".lora_" in name for name, _ in base.named_parameters()):
        kept = (".lora_", "token_type_embeddings") if getattr(model.config, "case_channel", False) else (".lora_",)
        for name, parameter in base.named_parameters():
            if not any(part in name for part in kept):
                parameter.requires_grad_(False)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def resolve(encoder: str) -> Path:
    """The local folder of an encoder: the kit's asset "minilm", a folder, or a name on the model hub."""
    if encoder == "minilm":
        return downloads.fetch("minilm")
    return _checked(Path(encoder) if Path(encoder).is_dir() else downloads.hub_snapshot(str(encoder)))


def _checked(path: Path) -> Path:
    if not path.is_dir():
        raise EncoderError(f"{path} is not a folder; expected a folder with config.json and model.safetensors")
    if not (path / "config.json").is_file():
        raise EncoderError(f"{path} has no config.json; expected an encoder as transformers saves it")
    _config(path)
    if not any(path.glob("*.safetensors")):
        pickles = [file.name for pattern in PICKLES for file in path.glob(pattern)]
        if pickles:
            raise EncoderError(
                f"{path} holds {pickles[0]}, a pickle, which can run code when it is opened; expected model.safetensors"
            )
        raise EncoderError(f"{path} holds no weights; expected model.safetensors")
    if not any(any(path.glob(name)) for name in TOKENIZERS):  # transformers would make up an empty vocabulary
        raise EncoderError(f"{path} holds no tokenizer; expected tokenizer.json")
    return path


def _config(path: Path) -> dict:
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EncoderError(f"{path / 'config.json'} is not readable JSON: {error}") from error
    if not isinstance(config, dict):
        raise EncoderError(f"{path / 'config.json'} is not one JSON object; expected a config as transformers saves it")
    return config


@contextlib.contextmanager
def _quiet():
    """Hold back the library's warning table and progress bar while loading; `report` says what is new instead."""
    level, bar = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bar:
            transformers_logging.enable_progress_bar()
