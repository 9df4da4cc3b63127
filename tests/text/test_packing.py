"""The token store: against `collate`, and against one sentence after another by hand."""

import itertools

import pytest
import torch
from transformers import AutoTokenizer

from rmlib.errors import RmlibValueError
from rmlib.text.batches import longest_first
from rmlib.text.encoding import Example, encode
from rmlib.text.packing import TokenStore
from tests.text.padding import collate


@pytest.fixture(scope="module")
def tokenizer(minilm):
    return AutoTokenizer.from_pretrained(minilm)


@pytest.fixture(scope="module")
def store(tokenizer, small):
    return TokenStore(encode(small.train, tokenizer, small.tags).examples, pad_id=7)


@pytest.fixture(scope="module")
def examples(tokenizer, small):
    return encode(small.train, tokenizer, small.tags).examples


@pytest.mark.parametrize("group", [[3, 0, 41], [5], list(range(48))])
def test_padded_batches_against_collate(store, examples, group):
    batch, expected = store.padded(group), collate([examples[i] for i in group], pad_id=7)
    for name in ("input_ids", "token_type_ids"):
        assert batch.inputs[name].equal(expected[name])
    padded = (expected["attention_mask"] == 0).any()
    assert ("attention_mask" in batch.inputs) == padded
    assert not padded or batch.inputs["attention_mask"].equal(expected["attention_mask"])
    labels = expected["labels"].flatten()
    assert batch.items.equal((labels != -100).nonzero()[:, 0]) and batch.labels.equal(
        labels[labels != -100]
    )
    assert batch.items_per_sentence == (expected["labels"] != -100).sum(1).tolist()
    assert batch.tokens == sum(len(examples[i]) for i in group)


def test_packed_against_one_sentence_after_another(store, examples):
    group, size = [3, 0, 41, 5], 200
    batch = store.packed(group, size)
    ids, types, positions, items, labels, ends = [], [], [], [], [], [0]
    for i in group:
        items += [len(ids) + k for k, label in enumerate(examples[i].labels) if label != -100]
        labels += [label for label in examples[i].labels if label != -100]
        ids += examples[i].input_ids
        types += examples[i].case
        positions += range(len(examples[i]))
        ends.append(len(ids))
    rest = size - len(ids)
    assert rest > 0
    assert batch.inputs["input_ids"].tolist() == [ids + [7] * rest]
    assert batch.inputs["token_type_ids"].tolist() == [types + [0] * rest]
    assert batch.inputs["position_ids"].tolist() == [positions + [0] * rest]
    assert (batch.items.tolist(), batch.labels.tolist(), batch.tokens) == (items, labels, len(ids))
    starts = batch.inputs["cu_seq_lens_q"].tolist()
    assert starts[: len(ends)] == ends and starts[-1] == size and starts == sorted(starts)
    longest = max(b - a for a, b in itertools.pairwise(starts))
    assert longest <= batch.inputs["max_length_q"] == store.longest


def test_packed_batches_of_one_size_have_the_same_shapes(store):
    shapes = set()
    for group in longest_first(store.lengths.tolist(), 150, seed=1):
        inputs = store.packed(group, 150).inputs
        inputs.pop("max_length_q")
        shapes.add(tuple((name, tuple(value.shape)) for name, value in inputs.items()))
    assert len(shapes) == 1
    with pytest.raises(RmlibValueError, match="tokens; expected at most 40"):
        store.packed(list(range(10)), 40)


def test_capitals_are_hidden_in_the_sentences_that_are_named(store):
    group, hidden = [3, 0, 41], torch.tensor([True, False, True])
    padded = store.without_case(store.padded(group).inputs, hidden)
    expected = store.padded(group).inputs["token_type_ids"] * torch.tensor([[0], [1], [0]])
    assert padded.equal(expected) and padded.any()
    row = store.packed(group, 150)
    ends = row.inputs["cu_seq_lens_q"]
    types = store.without_case(row.inputs, hidden)[0]
    assert not types[: ends[1]].any() and not types[ends[2] :].any()
    assert types[ends[1] : ends[2]].equal(row.inputs["token_type_ids"][0, ends[1] : ends[2]])


def test_the_first_token_of_a_sentence_belongs_to_it():
    store = TokenStore([Example([5] * n, [0] * n, [1] * n) for n in (3, 2, 4)])
    inputs = store.packed([0, 1, 2], 9).inputs
    types = store.without_case(inputs, torch.tensor([True, False, True]))
    assert types[0].tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0]


def test_whole_texts_have_one_item_each():
    texts = [Example([101, 102], 1, [0, 0]), Example([101, 4, 102], 0, [0, 0, 0])]
    batch = TokenStore(texts).padded([1, 0])
    assert batch.items.tolist() == [0, 1] and batch.labels.tolist() == [0, 1]
    assert batch.items_per_sentence == [1, 1]


@pytest.mark.parametrize("packed", [True, False])
def test_every_tensor_of_a_batch_is_on_the_device(examples, packed):
    """The device "meta" stands for any that is no CPU: mps and xpu, too."""
    store = TokenStore(examples, device="meta")
    batch = store.packed([3, 0, 41], 512) if packed else store.padded([3, 0, 41])
    tensors = [*batch.inputs.values(), batch.items, batch.labels]
    assert {one.device.type for one in tensors if isinstance(one, torch.Tensor)} == {"meta"}
    hidden = torch.tensor([True, False, True])
    assert store.without_case(batch.inputs, hidden).device.type == "meta"
