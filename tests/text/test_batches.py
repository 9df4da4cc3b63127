"""Batches of an epoch, padded or packed: every sentence once, within the limit, repeatable."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rmlib.errors import RmlibValueError
from rmlib.text.batches import batches, longest_first, row_length

relaxed = settings(deadline=None, max_examples=200, suppress_health_check=list(HealthCheck))
lengths_ = st.lists(st.integers(1, 80), max_size=120)


@relaxed
@given(lengths_, st.integers(1, 300), st.integers(0, 5), st.integers(0, 5))
def test_every_sentence_once_and_at_most_max_tokens(lengths, max_tokens, seed, epoch):
    groups = batches(lengths, max_tokens, seed, epoch)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[i] for i in group) <= max_tokens


@relaxed
@given(lengths_, st.integers(1, 300), st.integers(0, 5))
def test_epochs_have_the_same_number_of_batches_and_repeat_by_seed(lengths, max_tokens, seed):
    epochs = [batches(lengths, max_tokens, seed, epoch) for epoch in range(4)]
    assert len({len(groups) for groups in epochs}) == 1
    assert epochs == [batches(list(lengths), max_tokens, seed, epoch) for epoch in range(4)]


def test_epochs_and_seeds_differ_in_order_and_in_neighbours():
    rng = random.Random(0)
    lengths = [rng.randint(5, 12) for _ in range(200)]
    orders = [batches(lengths, 64, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))]
    neighbours = [{frozenset(group) for group in groups} for groups in orders]
    for a in range(4):
        for b in range(a):
            assert orders[a] != orders[b]
            assert len(neighbours[a] & neighbours[b]) < len(orders[a]) / 2


def test_batches_of_similar_length_waste_little():
    rng = random.Random(0)
    lengths = [rng.randint(5, 60) for _ in range(500)]
    padded = sum(len(group) * max(lengths[i] for i in group) for group in batches(lengths, 1024))
    at_random = [lengths[i : i + 30] for i in range(0, 500, 30)]
    assert padded < 1.1 * sum(lengths) < 0.7 * sum(len(group) * max(group) for group in at_random)
    widths = [max(lengths[i] for i in group) for group in batches(lengths, 1024)]
    assert widths not in (sorted(widths), sorted(widths, reverse=True))


def test_a_sentence_longer_than_max_tokens_is_alone():
    assert sorted(sorted(group) for group in batches([50, 3, 3, 3], 9)) == [[0], [1, 2, 3]]
    assert batches([], 9) == []
    with pytest.raises(RmlibValueError, match="max_tokens is 0; expected at least 1"):
        batches([1], 0)


@relaxed
@given(lengths_, st.integers(0, 300), st.integers(0, 5), st.integers(0, 5))
def test_packed_batches_hold_every_sentence_once_and_are_about_equally_full(
    lengths, more, seed, epoch
):
    size = max(lengths, default=1) + more
    groups = longest_first(lengths, size, seed, epoch)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in group) <= size for group in groups)
    assert groups == longest_first(list(lengths), size, seed, epoch)
    full = [sum(lengths[i] for i in group) for group in groups]
    assert max(full, default=0) - min(full, default=0) <= max(lengths, default=0)
    later = longest_first(lengths, size, seed + 1, epoch + 1)
    assert len(later) == len(groups)  # or an epoch would have another length
    if groups:
        width = row_length(groups, lengths)
        assert row_length(later, lengths) == width and width % 8 == 0
        assert max(full) <= width < max(full) + 8


def test_packing_needs_max_tokens_of_the_longest_sentence():
    with pytest.raises(
        RmlibValueError, match="max_tokens is 9; expected at least 10 tokens, the longest sentence"
    ):
        longest_first([3, 10], 9)


@pytest.mark.parametrize("seed", range(3))
def test_batches_of_one_length(seed):
    lengths = [5, 3, 5, 5, 9, 3, 3, 3, 5, 40]
    groups = batches(lengths, 10, seed, equal=True)
    assert sorted(i for group in groups for i in group) == list(range(10))
    assert all(len({lengths[i] for i in group}) == 1 for group in groups)
    assert sorted(len(group) for group in groups) == [1, 1, 1, 2, 2, 3]  # as full as they may be
