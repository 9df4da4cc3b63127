"""Hidden states of the encoder: against transformers, and through the cache."""

import pytest
import torch

from rmlib.models import hidden_states as module
from rmlib.models.encoder import new_tagger
from rmlib.models.hidden_states import hidden_states
from rmlib.text.encoding import case_of, encode_texts


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("RMLIB_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "_MEMORY", {})
    return tmp_path / "features"


@pytest.fixture(scope="module")
def tagger(tiny, small):
    return new_tagger(small.tags, str(tiny), dropout=0.0)


def by_hand(tagger, words, layer):
    """The states of the first tokens of one sentence, without the kit's batches."""
    tokens = tagger.tokenizer(list(words), is_split_into_words=True, return_tensors="pt")
    ids = tokens.word_ids()
    case = [0 if i is None else case_of(words[i]) for i in ids]
    tagger.model.eval()
    with torch.no_grad():
        states = tagger.model.base_model(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            token_type_ids=torch.tensor([case]),
            output_hidden_states=True,
        ).hidden_states[layer][0]
    return torch.stack([states[ids.index(i)] for i in range(len(words))])


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_states_are_those_of_the_first_token_of_each_word(tagger, small, layer):
    x, y = hidden_states(tagger, tagger.encode(small.dev), layer, progress=False)
    expected = torch.cat([by_hand(tagger, s.words, layer) for s in small.dev])
    assert torch.allclose(x, expected, atol=1e-5)
    assert y.tolist() == [small.tags.index(tag) for s in small.dev for tag in s.tags]


def test_a_text_has_one_row(tagger):
    texts = ["a good film", "bad", "well , it was long"]
    x, y = hidden_states(
        tagger, encode_texts(texts, [0, 1, 0], tagger.tokenizer), 2, progress=False
    )
    assert x.shape == (3, 32) and y.tolist() == [0, 1, 0]
    tokens = tagger.tokenizer("bad", return_tensors="pt")
    with torch.no_grad():
        states = tagger.model.base_model(
            **tokens | {"token_type_ids": torch.zeros(1, 3, dtype=torch.long)}
        )
    assert torch.allclose(x[1], states.last_hidden_state[0, 0], atol=1e-5)


class Computed(Exception):
    pass


def test_states_are_computed_once_and_then_read(tagger, small, monkeypatch, own_cache):
    encoded = tagger.encode(small.dev)
    first = hidden_states(tagger, encoded, 2, progress=False)
    assert hidden_states(tagger, encoded, 2)[0] is first[0]  # from memory
    (file,) = own_cache.iterdir()

    def refuse(*_):
        raise Computed

    module._MEMORY.clear()
    with monkeypatch.context() as patch:
        patch.setattr(module, "_compute", refuse)
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
        module._MEMORY.clear()
        file.write_bytes(damage)
        assert torch.equal(hidden_states(tagger, encoded, 2, progress=False)[0], first[0])
        assert module._read(file) is not None  # and it is whole again


def test_without_a_writable_cache_states_are_still_computed(tagger, small, own_cache):
    own_cache.write_text("a file where the folder should be")
    x, _ = hidden_states(tagger, tagger.encode(small.dev), 2, progress=False)
    assert len(x)
