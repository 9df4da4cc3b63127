"""What the test files share: a tiny BERT that trains in milliseconds, the real MiniLM, and a slice
of the newswire.
"""

import os
from pathlib import Path

import pytest

from tests import selection

# Child processes and this one compute on one thread, so that bits can be compared.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def pytest_addoption(parser, pluginmanager) -> None:
    selection.register(pluginmanager)


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of the real MiniLM."""
    from rmlib.text import downloads

    return downloads.fetch("minilm", progress=False)


@pytest.fixture(scope="session")
def tiny(minilm, tmp_path_factory) -> Path:
    """A BERT folder as transformers saves it: 2 layers, hidden size 32, random weights, MiniLM's
    tokenizer.
    """
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny")
    config = BertConfig(
        num_hidden_layers=2,
        hidden_size=32,
        num_attention_heads=2,
        intermediate_size=64,
        initializer_range=0.2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(minilm).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def small():
    """48 sentences of the newswire to train on and 16 each for dev and test, none longer than 30
    words.
    """
    from rmlib.text import corpora

    whole = corpora.newswire()
    train, dev, test = (
        [sentence for sentence in part if len(sentence.words) <= 30]
        for part in (whole.train, whole.dev, whole.test)
    )
    return corpora.Corpus("small", train[:48], dev[:16], test[:16])


@pytest.fixture(scope="session")
def small_folder(small, tmp_path_factory) -> Path:
    """The same sentences as CoNLL files."""
    folder = tmp_path_factory.mktemp("small")
    for name in ("train", "dev", "test"):
        blocks = (
            "".join(f"{word}\t{tag}\n" for word, tag in zip(*sentence, strict=True))
            for sentence in getattr(small, name)
        )
        (folder / f"{name}.conll").write_text("\n".join(blocks), encoding="utf8")
    return folder


@pytest.fixture(scope="session")
def start(tiny, small):
    """Makes a fresh run of one epoch on the small corpus: `start(settings, dropout=...,
    sentences=..., score=...)`. Nothing is drawn and nothing frozen or stopped early unless the
    settings say so."""
    from rmlib.models.encoder import new_tagger
    from rmlib.training.config import Config
    from rmlib.training.loop import Training

    plain = {
        "epochs": 1,
        "max_tokens": 256,
        "case_dropout": 0.0,
        "freeze": "none",
        "patience": 0,
        "precision": "fp32",
    }

    def make(settings=None, dropout=0.0, sentences=None, **more):
        tagger = new_tagger(small.tags, str(tiny), dropout)
        examples = tagger.encode(sentences or small.train).examples
        return Training(tagger, examples, Config(**plain | (settings or {})), **more)

    return make
