"""Typed text split into words: against the newswire and by hand."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmlib.errors import RmlibValueError
from rmlib.text import corpora
from rmlib.text.word_split import join_words, split_like, split_words, word_lengths


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


# --- Scripts without spaces (RasaHQ/rasa#6752) ----------------------------------------------------


@pytest.mark.parametrize(
    "training, text, expected",
    [
        ("张 三 在 北 京 。", "张三在北京。", "张 三 在 北 京 。"),
        ("张 三 a b", "张三 ab", "张 三 a b"),
        ("山 田 さ ん Tokyo", "山田さん、Tokyo", "山 田 さ ん 、 Tokyo"),
        ("ก ร ุ ง Ann", "กรุง 12", "ก ร ุ ง 12"),
        ("ລ າ ວ Ann", "ລາວ.", "ລ າ ວ ."),
        ("ក ខ Ann", "កខ", "ក ខ"),
        ("မ န Ann", "မန", "မ န"),
        ("张三 在 北京", "张三 在 北京", "张三 在 北京"),
        ("Ann ran", "Ann met 张三 there", "Ann met 张三 there"),
        ("서울 에서", "서울에서 만나요", "서울에서 만나요"),  # Korean has spaces
    ],
)
def test_text_is_split_as_the_training_corpus(training, text, expected):
    assert split_like(text, *word_lengths(training.split())) == expected.split()


@pytest.mark.parametrize(
    "training, text, word",
    [
        ("张三 在 北京", "张三在北京工作", "张三在北京工作"),
        ("Ann ran", "张三在北京", "张三在北京"),
        ("Ann ran", "กรุงเทพ", "กรุงเทพ"),
        ("", "東京へ行く", "東京へ行く"),
    ],
)
def test_text_without_spaces_is_refused_by_a_tagger_of_words(training, text, word):
    with pytest.raises(RmlibValueError, match=f"'{word}' in the text has no spaces between words"):
        split_like(text, *word_lengths(training.split()))


def test_words_are_joined_as_they_were_written():
    assert join_words(["张", "三"], 5, 1) == "张三"
    assert join_words(["张", "三", "Lee", "Ann"], 5, 1) == "张三 Lee Ann"
    assert join_words(["张三", "李四"], 5, 2) == "张三 李四"
    assert join_words(["张", "a", "b"], 1, 1) == "张ab"


@given(st.text(max_size=40))
def test_splitting_into_characters_loses_nothing(text):
    assert "".join(split_words(text, characters=True)) == "".join(text.split())
