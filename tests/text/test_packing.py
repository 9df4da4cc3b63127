"""Batches cut from a shelf: against `collate`, and against laying one sentence after another by hand."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from rmlib.errors import RmlibValueError
from rmlib.text.batches import Example, encode
from rmlib.text.packing import Shelf, fullest, packs
from tests.text.padding import collate

relaxed = settings(deadline=None, max_examples=200, suppress_health_check=list(HealthCheck))
lengths_ = st.lists(st.integers(1, 80), max_size=120)


@pytest.fixture(scope="module")
def tokenizer(minilm):
    return AutoTokenizer.from_pretrained(minilm)


@pytest.fixture(scope="module")
def shelf(tokenizer, small):
    return Shelf(encode(small.train, tokenizer, small.tags).examples, pad_id=7)


@pytest.fixture(scope="module")
def examples(tokenizer, small):
    return encode(small.train, tokenizer, small.tags).examples


@pytest.mark.parametrize("group", [[3, 0, 41], [5], list(range(48))])
def test_a_shelf_gives_what_collate_gives(shelf, examples, group):
    batch, expected = shelf.padded(group), collate([examples[i] for i in group], pad_id=7)
    for name in ("input_ids", "token_type_ids"):
        assert batch.inputs[name].equal(expected[name])
    padded = (expected["attention_mask"] == 0).any()
    assert ("attention_mask" in batch.inputs) == padded
    assert not padded or batch.inputs["attention_mask"].equal(expected["attention_mask"])
    labels = expected["labels"].flatten()
    assert batch.items.equal((labels != -100).nonzero()[:, 0]) and batch.labels.equal(labels[labels != -100])
    assert batch.words == (expected["labels"] != -100).sum(1).tolist()
    assert batch.pieces == sum(len(examples[i]) for i in group)


def test_packed_against_one_sentence_after_another(shelf, examples):
    group, size = [3, 0, 41, 5], 200
    batch, ids, types, positions, items, labels, ends = shelf.packed(group, size), [], [], [], [], [], [0]
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
    assert (batch.items.tolist(), batch.labels.tolist(), batch.pieces) == (items, labels, len(ids))
    found = batch.inputs["cu_seq_lens_q"].tolist()
    assert found[: len(ends)] == ends and found[-1] == size and found == sorted(found)
    assert max(b - a for a, b in zip(found, found[1:], strict=False)) <= batch.inputs["max_length_q"] == shelf.longest


def test_packed_batches_of_one_size_have_the_same_shapes(shelf):
    shapes = set()
    for group in packs(shelf.lengths.tolist(), 150, seed=1):
        inputs = shelf.packed(group, 150).inputs
        shapes.add(tuple((name, tuple(value.shape)) for name, value in inputs.items() if name != "max_length_q"))
    assert len(shapes) == 1
    with pytest.raises(RmlibValueError, match="pieces; expected at most 40"):
        shelf.packed(list(range(10)), 40)


def test_capitals_are_taken_from_the_sentences_that_are_named(shelf):
    group, hidden = [3, 0, 41], torch.tensor([True, False, True])
    padded = shelf.without_case(shelf.padded(group).inputs, hidden)
    expected = shelf.padded(group).inputs["token_type_ids"] * torch.tensor([[0], [1], [0]])
    assert padded.equal(expected) and padded.any()
    row = shelf.packed(group, 150)
    ends = row.inputs["cu_seq_lens_q"]
    types = shelf.without_case(row.inputs, hidden)[0]
    assert not types[: ends[1]].any() and not types[ends[2] :].any()
    assert types[ends[1] : ends[2]].equal(row.inputs["token_type_ids"][0, ends[1] : ends[2]])


def test_a_shelf_of_whole_texts():
    texts = [Example([101, 102], 1, [0, 0]), Example([101, 4, 102], 0, [0, 0, 0])]
    batch = Shelf(texts).padded([1, 0])
    assert batch.items.tolist() == [0, 1] and batch.labels.tolist() == [0, 1] and batch.words == [1, 1]


@relaxed
@given(lengths_, st.integers(0, 300), st.integers(0, 5), st.integers(0, 5))
def test_packs_hold_every_sentence_once_and_no_more_than_fits(lengths, more, seed, epoch):
    size = max(lengths, default=1) + more
    groups = packs(lengths, size, seed, epoch)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in group) <= size for group in groups)
    assert groups == packs(list(lengths), size, seed, epoch)
    full = [sum(lengths[i] for i in group) for group in groups]
    assert max(full, default=0) - min(full, default=0) <= max(lengths, default=0)
    later = packs(lengths, size, seed + 1, epoch + 1)
    assert len(later) == len(groups)  # or an epoch would have another length
    if groups:
        width = fullest(groups, lengths)
        assert fullest(later, lengths) == width and max(full) <= width < max(full) + 8 and width % 8 == 0


def test_packs_refuse_a_budget_below_the_longest_sentence():
    with pytest.raises(RmlibValueError, match="budget is 9; expected at least 10 pieces, the longest sentence"):
        packs([3, 10], 9)


@pytest.mark.parametrize("packed", [True, False])
def test_all_of_a_batch_is_on_the_device(examples, packed):
    """ "meta" stands for any device that is no CPU: mps and xpu, too."""
    shelf = Shelf(examples, device="meta")
    batch = shelf.packed([3, 0, 41], 512) if packed else shelf.padded([3, 0, 41])
    tensors = [*batch.inputs.values(), batch.items, batch.labels]
    assert {one.device.type for one in tensors if isinstance(one, torch.Tensor)} == {"meta"}
    hidden = torch.tensor([True, False, True])
    assert shelf.without_case(batch.inputs, hidden).device.type == "meta"
