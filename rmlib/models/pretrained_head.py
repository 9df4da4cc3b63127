"""The bundled pretrained head: a trained tagger before the learner has trained one."""

import json
from pathlib import Path

import torch
from safetensors import safe_open

from rmlib.text.corpora import data_dir

from .encoder import EncoderError, Tagger, new_tagger

# The other parameters are MiniLM as it was pretrained.
TRAINED = ("bert.embeddings.token_type_embeddings.weight", "classifier.weight", "classifier.bias")


def head_file() -> Path:
    """The file of the head, which `python data/make_pretrained_head.py` writes."""
    return data_dir() / "pretrained_head" / "head.safetensors"


def bundled_facts() -> dict:
    """The metadata of the bundled pretrained head.

    Returns:
        `tags`, `encoder`, `command`, `dev_f1`, `test_f1`, `test_precision`, `test_recall` (entity
        level, strict, on the newswire, in [0, 1]), `trained_numbers` (parameters) and `versions`.

    Raises:
        EncoderError: the file is missing or is not the one that the command writes.
    """
    return _read()[0]


def bundled_tagger() -> Tagger:
    """MiniLM with the bundled pretrained head; MiniLM is fetched if it is not in the cache.

    Raises:
        EncoderError: the file of the head is missing or does not fit.
        AssetError: MiniLM cannot be fetched.
    """
    facts, tensors = _read()
    tagger = new_tagger(facts["tags"], facts["encoder"], dropout=0.0)
    with torch.no_grad():
        for name, tensor in tensors.items():
            tagger.model.get_parameter(name).copy_(tensor)
    tagger.model.eval()
    trained = f"{facts['trained_numbers']:,} trained parameters from {head_file().name}"
    tagger.report = f"minilm as pretrained, with {trained}"
    return tagger


def _read() -> tuple[dict, dict]:
    path = head_file()
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["facts"])
            tensors = {name: file.get_tensor(name) for name in TRAINED}
    except Exception as error:  # safetensors raises exception classes of its own
        raise EncoderError(
            f"{path} is missing or is not a head of this kit ({error}); "
            "make it again: python data/make_pretrained_head.py"
        ) from error
    return facts, tensors
