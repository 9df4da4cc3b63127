"""Encoding: alignment against a slow tokenization of one word at a time; counts of what is cut."""

from collections import Counter

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from rmlib.errors import RmlibValueError
from rmlib.text.conll import Sentence
from rmlib.text.encoding import CASES, Example, case_of, encode, encode_texts, windows
from tests.text.padding import collate

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
relaxed = settings(deadline=None, max_examples=200, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def tokenizer(minilm):
    return AutoTokenizer.from_pretrained(minilm)


# --- Alignment ------------------------------------------------------------------------------------


def slowly(sentence, tokenizer):
    """Tokens, labels and case of a sentence, each word tokenized alone; without tokens: unknown."""
    tokens, labels, case = [tokenizer.cls_token_id], [-100], [0]
    for word, tag in zip(*sentence, strict=True):
        own = tokenizer(word, add_special_tokens=False)["input_ids"] or [tokenizer.unk_token_id]
        tokens += own
        labels += [TAGS.index(tag)] + [-100] * (len(own) - 1)
        case += [case_of(word)] * len(own)
    return tokens + [tokenizer.sep_token_id], labels + [-100], case + [0]


odd = [
    "\u200b",
    "\x01",
    "\ufeff",
    "\u0301",
    "\u2028",
    "\xad",
    "[SEP]",
    "##ing",
    "ﬁ",
    "東京",
    "🙂‍↔️",
    "İ",
    "ß" * 120,
]
words_ = st.one_of(
    st.sampled_from(["Edwina", "Currie's", "U.N.", "unbelievably", "Zürich", "1,400", *odd]),
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters=" \t\n\r"),
        min_size=1,
        max_size=8,
    ),
)
sentences_ = st.lists(st.tuples(words_, st.sampled_from(TAGS)), min_size=1, max_size=12).map(
    lambda rows: Sentence(*map(tuple, zip(*rows, strict=True)))
)


@relaxed
@given(sentence=sentences_)
def test_alignment_against_one_word_at_a_time(tokenizer, sentence):
    (example,) = encode([sentence], tokenizer, TAGS).examples
    tokens, labels, case = slowly(sentence, tokenizer)
    assert example.labels == labels
    assert example.case == case
    assert example.input_ids == tokens
    # what is read back from the first tokens is the sentence's own tags, one per word
    assert tuple(TAGS[k] for k in example.labels if k != -100) == sentence.tags


def test_words_without_tokens_keep_their_label(tokenizer):
    words = ("\x01", "Rome", "\u200b", "\u200b", "calls", "\x02")
    assert tokenizer(words[0], add_special_tokens=False)["input_ids"] == []
    encoded = encode(
        [Sentence(words, ("B-PER", "B-LOC", "B-LOC", "I-LOC", "O", "B-LOC"))], tokenizer, TAGS
    )
    assert [k for k in encoded.examples[0].labels if k != -100] == [1, 3, 3, 4, 0, 3]
    assert encoded.truncated_sentences == 0


# --- Windows --------------------------------------------------------------------------------------

sizes_ = st.lists(st.integers(1, 30), max_size=120)


@relaxed
@given(sizes=sizes_, room=st.integers(1, 40))
def test_every_word_belongs_to_one_window_the_one_with_most_context(sizes, room):
    """As google-research/bert#66 describes it."""
    sizes = [min(size, room) for size in sizes]
    parts = windows(sizes, room)
    assert [word for _, _, own in parts for word in own] == list(range(len(sizes)))
    for first, stop, own in parts:
        assert sum(sizes[first:stop]) <= room and first <= own.start and own.stop <= stop
        assert len(own) or not sizes
    assert len(parts) == 1 or sum(sizes) > room  # what fits is not split

    def context(first, stop, word):
        before = sum(sizes[first:word]) if first else 10**9
        after = sum(sizes[word + 1 : stop]) if stop < len(sizes) else 10**9
        return min(before, after)

    for first, stop, own in parts:
        for word in own:
            others = [context(f, s, word) for f, s, _ in parts if f <= word < s]
            assert context(first, stop, word) == max(others)


@pytest.mark.parametrize("size, room", [(1, 510), (3, 510), (5, 40), (1, 8)])
def test_inner_words_see_an_eighth_of_a_window_on_both_sides(size, room):
    sizes = [size] * 2000
    parts = windows(sizes, room)
    assert len(parts) < 1.5 * sum(sizes) / (room - 2 * size)  # reading twice costs little
    for first, stop, own in parts:
        least = room // 8 - 2 * size
        assert first == 0 or size * (own.start - first) >= least
        assert stop == 2000 or size * (stop - own.stop) >= least


@relaxed
@given(sentence=sentences_, length=st.integers(3, 20))
def test_windows_read_every_word_once(tokenizer, sentence, length):
    encoded = encode([sentence, sentence], tokenizer, TAGS, max_length=length)
    tokens, labels, case = slowly(sentence, tokenizer)
    count = len(encoded) // 2
    assert encoded.windows == [count, count] and max(encoded.lengths) <= length
    if len(tokens) <= length:
        assert encoded.examples == [Example(tokens, labels, case)] * 2
    # the labels of the windows, one after the other, are those of the words
    own = [k for example in encoded.examples[:count] for k in example.labels if k != -100]
    assert own == [TAGS.index(tag) for tag in sentence.tags]
    # a labelled token is the first of its word
    firsts = [
        (token, c)
        for example in encoded.examples[:count]
        for token, label, c in zip(example.input_ids, example.labels, example.case, strict=True)
        if label != -100
    ]
    whole = zip(tokens, labels, case, strict=True)
    assert firsts == [(token, c) for token, label, c in whole if label != -100]
    sizes = [len(tokenizer(w, add_special_tokens=False)["input_ids"]) for w in sentence.words]
    assert encoded.truncated_words == 2 * sum(size > length - 2 for size in sizes)
    assert encoded.truncated_sentences == 2 * any(size > length - 2 for size in sizes)


def test_a_word_longer_than_the_encoder_reads_is_read_in_part_and_counted(tokenizer):
    words = ("Rome", "zq" * 45, "calls")
    assert len(tokenizer(words[1])["input_ids"]) > 30
    encoded = encode([Sentence(words, ("B-LOC", "B-PER", "O"))], tokenizer, TAGS, max_length=20)
    assert [k for example in encoded.examples for k in example.labels if k != -100] == [3, 1, 0]
    assert encoded.counts() == {"in_windows": 1, "sentences": 1, "words": 1}
    assert encoded.report() == (
        "1 sentence, 1 of them read in overlapping windows, 1 words not read whole, in 1 of them"
    )


@pytest.mark.parametrize("words, expected", [(510, [510]), (511, [128] * 4 + [127])])
def test_what_fits_is_one_window_and_what_does_not_is_read_in_short_ones(
    tokenizer, words, expected
):
    encoded = encode([Sentence(("rome",) * words, ("O",) * words)], tokenizer, TAGS)
    assert [length - 2 for length in encoded.lengths] == expected


def test_a_word_longer_than_a_window_is_whole_where_the_encoder_can_read_it(tokenizer):
    words = ("rome",) * 500 + ("zq" * 45,) * 6
    encoded = encode([Sentence(words, ("O",) * 506)], tokenizer, TAGS)
    assert encoded.counts() == {"in_windows": 1, "sentences": 0, "words": 0}


@pytest.mark.parametrize("length", [0, 1, 2])
def test_a_length_without_room_for_a_word_is_refused(tokenizer, length):
    with pytest.raises(
        RmlibValueError, match=f"max_length is {length}; expected at least 3 tokens"
    ):
        encode([Sentence(("Rome",), ("O",))], tokenizer, TAGS, max_length=length)


def test_the_report_says_what_did_not_fit(tokenizer):
    sentence = Sentence(("Rome", "and", "New", "York"), ("B-LOC", "O", "B-LOC", "I-LOC"))
    assert encode([sentence], tokenizer, TAGS).report() == "1 sentence, none cut"
    long = encode([sentence, sentence, Sentence(("a",), ("O",))], tokenizer, TAGS, max_length=5)
    assert long.report() == "3 sentences, 2 of them read in overlapping windows, none cut"
    assert long.per_sentence(["a", "b", "c", "d", "e"]) == [["a", "b"], ["c", "d"], ["e"]]


def test_an_unknown_tag_is_named(tokenizer):
    good, bad = Sentence(("a",), ("O",)), Sentence(("b",), ("B-LOK",))
    with pytest.raises(
        RmlibValueError, match="sentence 2: tag 'B-LOK' is not in the tag set; did you mean 'B-LOC'"
    ):
        encode([good, bad], tokenizer, TAGS)


@pytest.mark.parametrize(
    "word, case",
    [
        ("house", "no capital"),
        ("1,400", "no capital"),
        ("", "no capital"),
        ("東京", "no capital"),
        ("London", "Capitalised"),
        ("A", "Capitalised"),
        ("'Tis", "Capitalised"),
        ("O'Farrelly", "Capitalised"),
        ("McDonald", "Capitalised"),
        ("Éire", "Capitalised"),
        ("NATO", "ALL CAPITALS"),
        ("U.N.", "ALL CAPITALS"),
        ("B52", "Capitalised"),
        ("F-16s", "Capitalised"),
        ("iPhone", "miXed"),
        ("eBay", "miXed"),
    ],
)
def test_case_of(word, case):
    assert CASES[case_of(word)] == case


def test_whole_texts(tokenizer):
    encoded = encode_texts(["Rome CALLS", "a b c d e f", ""], [1, 0, 1], tokenizer, max_length=6)
    tokens = [e.input_ids for e in encoded.examples]
    assert tokenizer.convert_ids_to_tokens(tokens[0]) == ["[CLS]", "rome", "calls", "[SEP]"]
    assert encoded.examples[0].case == [0, 1, 2, 0]
    assert [e.labels for e in encoded.examples] == [1, 0, 1]
    assert [len(p) for p in tokens] == [4, 6, 2]
    assert encoded.counts() == {"in_windows": 0, "sentences": 1, "words": 2}


# --- Collate --------------------------------------------------------------------------------------


def test_collate_pads_to_the_longest():
    rows = [
        Example([101, 7, 102], [-100, 3, -100], [0, 1, 0]),
        Example([101, 5, 6, 8, 102], [-100, 1, -100, 0, -100], [0] * 5),
    ]
    batch = collate(rows, pad_id=9)
    assert {key: tuple(value.shape) for key, value in batch.items()} == dict.fromkeys(
        ["input_ids", "attention_mask", "labels", "token_type_ids"], (2, 5)
    )
    assert batch["input_ids"].tolist() == [[101, 7, 102, 9, 9], [101, 5, 6, 8, 102]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1] * 5]
    assert batch["labels"].tolist() == [[-100, 3, -100, -100, -100], [-100, 1, -100, 0, -100]]
    assert batch["token_type_ids"].tolist() == [[0, 1, 0, 0, 0], [0] * 5]
    assert "token_type_ids" not in collate(rows, case=False)
    assert Counter(value.dtype for value in batch.values()) == {torch.int64: 4}


def test_collate_of_whole_texts_has_one_label_each():
    batch = collate([Example([101, 102], 1, [0, 0]), Example([101, 4, 102], 0, [0, 0, 0])])
    assert batch["labels"].tolist() == [1, 0] and batch["input_ids"].shape == (2, 3)
