"""Typed text split into words: against the newswire and by hand."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmlib.text import corpora
from rmlib.text.word_split import split_words


@pytest.fixture(scope="module")
def newswire():
    return corpora.newswire()


def typed(sentence) -> str:
    """A sentence with spaces where a person puts them: none before a comma, none inside brackets
    and quotes.
    """
    text, glue, quoted = "", True, False
    for word in sentence:
        left = word in {",", ".", ";", ":", ")", "%", "'s", "'S", "'"} or re.fullmatch(
            r"[?!.]+", word
        )
        left = quoted if word == '"' else left
        text += word if left or glue else " " + word
        glue = word in {"(", "$", "£", "€"} or (word == '"' and not quoted)
        quoted ^= word == '"'
    return text


@pytest.mark.parametrize("join", [" ".join, typed])
def test_newswire_sentences_split_into_their_own_words(newswire, join):
    sentences = newswire.train + newswire.dev + newswire.test
    same = sum(tuple(split_words(join(s.words))) == s.words for s in sentences)
    assert same / len(sentences) >= 0.995


@given(st.text(max_size=40))
def test_splitting_loses_nothing(text):
    assert "".join(split_words(text)) == "".join(text.split())


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Chile's unit paid $1,400, or 11.2%.", "Chile 's unit paid $ 1,400 , or 11.2 % ."),
        (
            "“I don’t know,” said Dr. J. P. O'Farrelly-Smith.",
            "“ I don’t know , ” said Dr. J. P. O'Farrelly-Smith .",
        ),
        ("The teachers' union (TU) won 2-1!", "The teachers ' union ( TU ) won 2-1 !"),
        ("So do I. Do you?", "So do I. Do you ?"),
        ("So do I.", "So do I ."),
        ("The U.N. met at 3:15 p.m.", "The U.N. met at 3:15 p.m."),
        ("1. Tarn 2. Ash", "1. Tarn 2. Ash"),
        ("He was 31. She left in 2026.", "He was 31 . She left in 2026 ."),
        (
            "km/h, R&D, a@b.com and https://example.org/a?b.",
            "km/h , R&D , a@b.com and https://example.org/a?b .",
        ),
        ("", ""),
    ],
)
def test_splitting_what_people_type(text, expected):
    assert split_words(text) == expected.split()
