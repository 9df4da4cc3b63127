"""Encoding: alignment against a slow tokenization of one word at a time; counts of what is cut."""

from collections import Counter

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from rmlib.errors import RmlibValueError
from rmlib.text.conll import Sentence
from rmlib.text.encoding import CASES, Example, case_of, encode, encode_texts
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


@relaxed
@given(sentence=sentences_, length=st.integers(3, 20))
def test_truncation_cuts_words_and_labels_together(tokenizer, sentence, length):
    encoded = encode([sentence, sentence], tokenizer, TAGS, max_length=length)
    tokens, labels, case = slowly(sentence, tokenizer)
    if len(tokens) > length:
        tokens = tokens[: length - 1] + tokens[-1:]
        labels = labels[: length - 1] + [-100]
        case = case[: length - 1] + [0]
    for example in encoded.examples:
        assert (example.input_ids, example.labels, example.case) == (tokens, labels, case)
    kept = sum(label != -100 for label in labels)
    assert encoded.truncated_words == 2 * (len(sentence.words) - kept)
    # an entity is lost where a strict score could no longer count it: one of its words is gone
    lost = 0
    for start, tag in enumerate(sentence.tags):
        if tag.startswith("B-"):
            end = start + 1
            while end < len(sentence.tags) and sentence.tags[end] == "I-" + tag[2:]:
                end += 1
            lost += any(word >= kept for word in range(start, end))
    assert encoded.truncated_entities == 2 * lost
    assert encoded.truncated_sentences == 2 * (kept < len(sentence.words))


def test_the_report_says_what_was_cut(tokenizer):
    sentence = Sentence(("Rome", "and", "New", "York"), ("B-LOC", "O", "B-LOC", "I-LOC"))
    assert encode([sentence], tokenizer, TAGS).report() == "1 sentence, none cut"
    cut = encode(
        [sentence, sentence, Sentence(("Rome",), ("B-LOC",))], tokenizer, TAGS, max_length=5
    )
    assert cut.report() == "3 sentences, 2 of them cut: 2 words and 2 entities lost"


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
    assert (encoded.truncated_sentences, encoded.truncated_words, encoded.truncated_entities) == (
        1,
        2,
        0,
    )


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
