"""Frozen features against scikit-learn, and their evaluation against seqeval."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from rmlib.errors import RmlibValueError
from rmlib.models import hidden_states as cached
from rmlib.models.encoder import new_tagger
from rmlib.models.hidden_states import hidden_states
from rmlib.text.conll import Sentence
from rmlib.text.metrics import entity_scores
from rmlib.text.viterbi import decode
from rmlib.widgets.instant_head.frozen_features import (
    Features,
    extract_features,
    judge,
    sample_sentences,
)

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("RMLIB_CACHE", str(tmp_path))
    monkeypatch.setattr(cached, "_MEMORY", {})


@pytest.fixture(scope="module")
def tagger(tiny, small):
    return new_tagger(small.tags, str(tiny), dropout=0.0)


def test_features_are_principal_components_of_the_training_words(tagger, small):
    train, dev = extract_features(tagger, small.train, small.dev, layer=2, width=8, progress=False)
    raw = [
        hidden_states(tagger, tagger.encode(part), 2)[0].double().numpy()
        for part in (small.train, small.dev)
    ]
    model = PCA(8, svd_solver="full").fit(raw[0])
    for part, states in ((train, raw[0]), (dev, raw[1])):
        expected = model.transform(states)
        expected /= np.sqrt((model.transform(raw[0]) ** 2).mean())
        # the sign of a direction is arbitrary
        assert np.allclose(np.abs(part.x.numpy()), np.abs(expected), atol=1e-3)
    assert train.x.mean(0).abs().max() < 1e-4
    assert float(train.x.square().mean()) == pytest.approx(1, abs=1e-4)
    assert (train.left_out, train.labels, dev.sentences) == (0, small.tags, small.dev)
    assert train.lengths == [len(s.words) for s in small.train]
    assert "8 numbers per word" in train.report()


def test_at_most_max_words_in_whole_sentences(tagger, small):
    train, dev = extract_features(
        tagger, small.train, small.dev, width=8, max_words=100, progress=False
    )
    words = sum(len(s.words) for s in small.train)
    assert 60 < len(train.x) <= 100 and train.left_out == words - len(train.x)
    assert all(sentence in small.train for sentence in train.sentences)
    assert len(dev.x) == sum(len(s.words) for s in small.dev) and dev.left_out == 0
    assert (
        sample_sentences(small.train, 100) == sample_sentences(small.train, 100) == train.sentences
    )
    assert sample_sentences(small.train, words) == small.train


def test_a_text_longer_than_the_encoder_reads_is_read_whole(tagger):
    long = Sentence(("word",) * 600, ("O",) * 600)
    short = Sentence(("Rose", "met", "Kim"), ("B-PER", "O", "B-PER"))
    train, _ = extract_features(tagger, [long, short], [short], width=4, progress=False)
    assert train.lengths == [600, 3] and len(train.x) == len(train.y) == 603
    assert train.left_out == 0 and train.sentences == [long, short]


@pytest.mark.parametrize(
    ("change", "say"),
    [
        ({"layer": 3}, r"layer is 3; this encoder has 0 \(the embeddings\) to 2"),
        ({"layer": -1}, "layer is -1"),
        ({"width": 33}, "width is 33; expected 1 to 32"),
        ({"width": 0}, "width is 0"),
        ({"train": []}, "0 training"),
        ({"dev": []}, "0 dev"),
    ],
)
def test_what_does_not_fit_is_refused(tagger, small, change, say):
    with pytest.raises(RmlibValueError, match=say):
        valid = {"train": small.train, "dev": small.dev, "width": 8, "progress": False}
        extract_features(tagger, **valid | change)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 10**6))
def test_all_sentences_at_once_are_decoded_as_each_alone(lengths, seed):
    logits = 2 * torch.randn(sum(lengths), len(TAGS), generator=torch.Generator().manual_seed(seed))
    alone = [
        tag for part in logits.split(lengths) for tag in decode(part, [len(part)], TAGS).tolist()
    ]
    assert decode(logits, lengths, TAGS).tolist() == alone


def test_the_evaluation_is_seqevals():
    sentences = [
        Sentence(("Rose", "Lane", "met"), ("B-PER", "I-PER", "O")),
        Sentence(("Ghent",), ("B-LOC",)),
    ]
    y = torch.tensor([1, 2, 0, 3])
    data = Features(torch.zeros(4, 2), y, [3, 1], sentences, TAGS, 0)
    logits = torch.tensor(
        [[0, 9, 0, 0, 0], [0, 0, 0, 0, 4], [5, 0, 0, 0, 0], [2, 0, 0, 1, 0]]
    ).float()
    evaluation = judge(logits, data)  # I-LOC may not follow B-PER
    assert (
        evaluation.tags[0][0] == "B-PER"
        and evaluation.tags[0][1] != "I-LOC"
        and evaluation.tags[1] == ["O"]
    )
    assert evaluation.scores == entity_scores([s.tags for s in sentences], evaluation.tags)
    index = torch.tensor([TAGS.index(tag) for tags in evaluation.tags for tag in tags])
    p = logits.softmax(-1)[range(4), index]
    assert evaluation.calibration.table["words"].sum() == 4
    assert evaluation.calibration.error <= float((p - (index == y).float()).abs().mean()) + 1e-6
