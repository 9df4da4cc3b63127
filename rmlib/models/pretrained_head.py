"""A small head that comes with the kit, for a first look at a tagger before anybody has trained one."""

import json
from pathlib import Path

import torch
from safetensors import safe_open

from rmlib.text.corpora import data_dir

from .encoder import EncoderError, Tagger, new_tagger

# Everything else of the model is MiniLM as it was pretrained.
TRAINED = ("bert.embeddings.token_type_embeddings.weight", "classifier.weight", "classifier.bias")


def head_file() -> Path:
    """Where the head is kept; `python data/make_pretrained_head.py` writes it."""
    return data_dir() / "pretrained_head" / "head.safetensors"


def ready_facts() -> dict:
    """What is known about the head: `tags`, `command`, `dev_f1`, `test_f1`, `test_precision`, `test_recall` (entity
    level, strict, on the newswire, in [0, 1]), `trained_numbers` and `versions`.

    Raises:
        EncoderError: the file is missing or is not the one that the command writes.
    """
    return _read()[0]


def ready_tagger() -> Tagger:
    """MiniLM with the head that comes with the kit. MiniLM is fetched when it is not in the cache.

    Raises:
        EncoderError: the file of the head is missing or does not fit.
        AssetError: MiniLM cannot be had.
    """
    facts, tensors = _read()
    tagger = new_tagger(facts["tags"], facts["encoder"], dropout=0.0)
    with torch.no_grad():
        for name, tensor in tensors.items():
            tagger.model.get_parameter(name).copy_(tensor)
    tagger.model.eval()
    tagger.report = f"minilm as pretrained, with {facts['trained_numbers']:,} trained numbers from {head_file().name}"
    return tagger


def _read() -> tuple[dict, dict]:
    path = head_file()
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["facts"])
            tensors = {name: file.get_tensor(name) for name in TRAINED}
    except Exception as error:  # safetensors has errors of its own kind
        raise EncoderError(
            f"{path} is missing or is not a head of this kit ({error}); make it again: python data/make_pretrained_head.py"
        ) from error
    return facts, tensors
