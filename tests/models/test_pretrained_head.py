"""The bundled pretrained head: its file, its facts and its scores."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from rmlib.models import pretrained_head
from rmlib.models.encoder import EncoderError, new_tagger
from rmlib.text.corpora import newswire
from rmlib.text.metrics import entity_scores


@pytest.fixture(scope="module")
def tagger(minilm):
    return pretrained_head.bundled_tagger()


def test_the_file_is_small_and_says_how_it_was_made():
    facts = pretrained_head.bundled_facts()
    assert pretrained_head.head_file().stat().st_size < 100_000
    assert facts["command"].startswith("python data/make_pretrained_head.py")
    stored = load_file(pretrained_head.head_file())
    assert (
        sum(tensor.numel() for tensor in stored.values())
        == facts["trained_numbers"]
        == 9 * 384 + 9 + 4 * 384
    )


@pytest.mark.long
def test_it_scores_on_test_what_the_file_says(tagger):
    facts, test = pretrained_head.bundled_facts(), newswire().test
    scores = entity_scores([s.tags for s in test], tagger.tag([s.words for s in test]))
    for name in ("f1", "precision", "recall"):
        # other machines round differently
        assert scores[name] == pytest.approx(facts[f"test_{name}"], abs=0.005)


def test_all_but_the_head_and_the_case_vectors_is_minilm(tagger):
    fresh = new_tagger(pretrained_head.bundled_facts()["tags"], dropout=0.0).model.state_dict()
    for name, tensor in tagger.model.state_dict().items():
        assert torch.equal(tensor, fresh[name]) == (name not in pretrained_head.TRAINED), name


@pytest.mark.parametrize("content", [None, b"", b"junk"])
def test_a_file_that_is_not_a_head_is_refused(monkeypatch, tmp_path, content):
    path = tmp_path / "head.safetensors"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(pretrained_head, "head_file", lambda: path)
    with pytest.raises(EncoderError, match="python data/make_pretrained_head.py"):
        pretrained_head.bundled_tagger()


def test_a_head_without_its_facts_is_refused(monkeypatch, tmp_path):
    path = tmp_path / "head.safetensors"
    save_file(load_file(pretrained_head.head_file()), path)
    monkeypatch.setattr(pretrained_head, "head_file", lambda: path)
    with pytest.raises(EncoderError):
        pretrained_head.bundled_facts()
