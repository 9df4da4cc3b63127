"""Frozen features: against the encoder itself, transformers and scikit-learn; the cache; decoding all at once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from rmlib.errors import RmlibValueError
from rmlib.models import frozen_features as room
from rmlib.models.encoder import new_tagger
from rmlib.models.frozen_features import Features, features, hidden_states, judge, some
from rmlib.text.batches import encode_texts
from rmlib.text.conll import Sentence
from rmlib.text.metrics import entity_scores
from rmlib.text.viterbi import decode

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("RMLIB_CACHE", str(tmp_path))
    monkeypatch.setattr(room, "_KNOWN", {})
    return tmp_path / "features"


@pytest.fixture(scope="module")
def tagger(tiny, small):
    return new_tagger(small.tags, str(tiny), dropout=0.0)


def by_hand(tagger, words, layer):
    """The states of the first pieces of one sentence, without the kit's batches."""
    pieces = tagger.tokenizer(list(words), is_split_into_words=True, return_tensors="pt")
    ids = pieces.word_ids()
    case = [0 if i is None else room_case(words[i]) for i in ids]
    tagger.model.eval()
    with torch.no_grad():
        states = tagger.model.base_model(
            input_ids=pieces["input_ids"],
            attention_mask=pieces["attention_mask"],
            token_type_ids=torch.tensor([case]),
            output_hidden_states=True,
        ).hidden_states[layer][0]
    return torch.stack([states[ids.index(i)] for i in range(len(words))])


def room_case(word):
    from rmlib.text.batches import case_of

    return case_of(word)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_states_are_those_of_the_first_piece_of_each_word_in_order(tagger, small, layer):
    x, y = hidden_states(tagger, tagger.encode(small.dev), layer, progress=False)
    expected = torch.cat([by_hand(tagger, s.words, layer) for s in small.dev])
    assert torch.allclose(x, expected, atol=1e-5)
    assert y.tolist() == [small.tags.index(tag) for s in small.dev for tag in s.tags]


def test_a_text_has_one_row(tagger):
    texts = ["a good film", "bad", "well , it was long"]
    x, y = hidden_states(tagger, encode_texts(texts, [0, 1, 0], tagger.tokenizer), 2, progress=False)
    assert x.shape == (3, 32) and y.tolist() == [0, 1, 0]
    pieces = tagger.tokenizer("bad", return_tensors="pt")
    with torch.no_grad():
        states = tagger.model.base_model(**pieces | {"token_type_ids": torch.zeros(1, 3, dtype=torch.long)})
    assert torch.allclose(x[1], states.last_hidden_state[0, 0], atol=1e-5)


def test_they_are_principal_components_in_the_coordinates_of_the_training_words(tagger, small):
    train, dev = features(tagger, small.train, small.dev, layer=2, width=8, progress=False)
    raw = [hidden_states(tagger, tagger.encode(part), 2)[0].double().numpy() for part in (small.train, small.dev)]
    model = PCA(8, svd_solver="full").fit(raw[0])
    for part, states in ((train, raw[0]), (dev, raw[1])):
        expected = model.transform(states)
        expected /= np.sqrt((model.transform(raw[0]) ** 2).mean())
        assert np.allclose(np.abs(part.x.numpy()), np.abs(expected), atol=1e-3)  # a direction has no sign of its own
    assert train.x.mean(0).abs().max() < 1e-4 and float(train.x.square().mean()) == pytest.approx(1, abs=1e-4)
    assert (train.left_out, train.labels, dev.sentences) == (0, small.tags, small.dev)
    assert train.lengths == [len(s.words) for s in small.train]
    assert "8 numbers a word" in train.report()


def test_at_most_so_many_words_in_whole_sentences(tagger, small):
    train, dev = features(tagger, small.train, small.dev, width=8, most=100, progress=False)
    words = sum(len(s.words) for s in small.train)
    assert 60 < len(train.x) <= 100 and train.left_out == words - len(train.x)
    assert all(sentence in small.train for sentence in train.sentences)
    assert len(dev.x) == sum(len(s.words) for s in small.dev) and dev.left_out == 0
    assert some(small.train, 100) == some(small.train, 100) == train.sentences
    assert some(small.train, words) == small.train


def test_what_the_encoder_cuts_off_is_counted(tagger):
    long = Sentence(("word",) * 600, ("O",) * 600)
    short = Sentence(("Rose", "met", "Kim"), ("B-PER", "O", "B-PER"))
    train, _ = features(tagger, [long, short], [short], width=4, progress=False)
    kept = tagger.max_pieces - 2
    assert train.lengths == [kept, 3] and train.left_out == 600 - kept
    assert [len(s.words) for s in train.sentences] == [kept, 3]


class Computed(Exception):
    pass


def test_they_are_computed_once_and_then_read(tagger, small, monkeypatch, own_cache):
    encoded = tagger.encode(small.dev)
    first = hidden_states(tagger, encoded, 2, progress=False)
    assert hidden_states(tagger, encoded, 2)[0] is first[0]  # from memory
    (file,) = own_cache.iterdir()

    def refuse(*_):
        raise Computed

    room._KNOWN.clear()
    with monkeypatch.context() as patch:
        patch.setattr(room, "_compute", refuse)
        assert torch.equal(hidden_states(tagger, encoded, 2)[0], first[0])  # from the disk
        for other in ((tagger.encode(small.dev[1:]), 2), (encoded, 1)):
            with pytest.raises(Computed):
                hidden_states(tagger, *other)
        weight = next(tagger.model.base_model.parameters())
        kept = weight.detach().clone()
        with torch.no_grad():
            weight[5, 0] += 1
        with pytest.raises(Computed):
            hidden_states(tagger, encoded, 2)
        with torch.no_grad():
            weight.copy_(kept)
    for damage in (b"", b"junk", file.read_bytes()[:-40], file.read_bytes()[:-1] + b"\x07"):
        room._KNOWN.clear()
        file.write_bytes(damage)
        assert torch.equal(hidden_states(tagger, encoded, 2, progress=False)[0], first[0])
        assert room._read(file) is not None  # and it is whole again


def test_a_cache_that_cannot_be_written_to_is_done_without(tagger, small, own_cache):
    own_cache.write_text("a file where the folder should be")
    x, _ = hidden_states(tagger, tagger.encode(small.dev), 2, progress=False)
    assert len(x)


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
        features(**{"tagger": tagger, "train": small.train, "dev": small.dev, "width": 8, "progress": False} | change)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 10**6))
def test_all_sentences_at_once_are_decoded_as_each_alone(lengths, seed):
    logits = 2 * torch.randn(sum(lengths), len(TAGS), generator=torch.Generator().manual_seed(seed))
    alone = [tag for part in logits.split(lengths) for tag in decode(part, [len(part)], TAGS).tolist()]
    assert decode(logits, lengths, TAGS).tolist() == alone


def test_the_judgement_is_seqevals():
    sentences = [Sentence(("Rose", "Lane", "met"), ("B-PER", "I-PER", "O")), Sentence(("Ghent",), ("B-LOC",))]
    y = torch.tensor([1, 2, 0, 3])
    data = Features(torch.zeros(4, 2), y, [3, 1], sentences, TAGS, 0)
    logits = torch.tensor([[0, 9, 0, 0, 0], [0, 0, 0, 0, 4], [5, 0, 0, 0, 0], [2, 0, 0, 1, 0]]).float()
    found = judge(logits, data)  # I-LOC may not follow B-PER
    assert found.tags[0][0] == "B-PER" and found.tags[0][1] != "I-LOC" and found.tags[1] == ["O"]
    assert found.scores == entity_scores([s.tags for s in sentences], found.tags)
    index = torch.tensor([TAGS.index(tag) for tags in found.tags for tag in tags])
    p = logits.softmax(-1)[range(4), index]
    assert found.calibration.table["words"].sum() == 4
    assert found.calibration.error <= float((p - (index == y).float()).abs().mean()) + 1e-6
