"""Sentences as subword tokens, with one label per word."""

import itertools
import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

from rmlib.errors import RmlibValueError, nearest

from .conll import Sentence

IGNORE = -100  # the label that torch's cross-entropy leaves out
CASES = ("no capital", "Capitalised", "ALL CAPITALS", "miXed")
# Tokens of a window. Windows of 512 cost MiniLM 6 to 10 points of F1, these about 1 or none
# (tests.benchmarks.long_texts).
WINDOW = 128
OVERLAP = 4  # neighbouring windows share at most one part in so many


@dataclass(frozen=True)
class Example:
    """One sentence, or a window of a long one, ready for the encoder.

    Attributes:
        input_ids: (tokens,) with the special tokens ([CLS], [SEP]) at the ends.
        labels: (tokens,) the tag's index on the first token of each word, -100 on every other
            token and on words that another window labels; or one number, the class of the text.
        case: (tokens,) the index in `CASES` of each token's word; 0 on special tokens.
    """

    input_ids: list[int]
    labels: list[int] | int
    case: list[int]

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass
class Encoded:
    """The encoded sentences of a corpus.

    Attributes:
        examples: one `Example` per window, in the order of the sentences; a sentence that fits into
            the encoder is one window.
        windows: how many examples each sentence has.
        truncated_sentences: how many sentences were not read whole.
        truncated_words: how many words were not read whole: in a sentence those that alone are
            longer than the encoder's longest input; in a whole text those that were cut off.
    """

    examples: list[Example] = field(default_factory=list)
    windows: list[int] = field(default_factory=list)
    truncated_sentences: int = 0
    truncated_words: int = 0

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each example."""
        return [len(example) for example in self.examples]

    def per_sentence(self, rows: list) -> list[list]:
        """Values of the examples, grouped by sentence."""
        values = iter(rows)
        return [list(itertools.islice(values, count)) for count in self.windows]

    def counts(self) -> dict[str, int]:
        """How many sentences were read in several windows, and what was not read whole."""
        return {
            "in_windows": sum(count > 1 for count in self.windows),
            "sentences": self.truncated_sentences,
            "words": self.truncated_words,
        }

    def report(self) -> str:
        """One sentence on what did not fit into the encoder."""
        size = "1 sentence" if len(self.windows) == 1 else f"{len(self.windows)} sentences"
        long = self.counts()["in_windows"]
        windows = f", {long} of them read in overlapping windows" if long else ""
        cut = f"{self.truncated_words} words not read whole, in {self.truncated_sentences} of them"
        return f"{size}{windows}, {cut if self.truncated_words else 'none cut'}"


def case_of(word: str) -> int:
    """The index in `CASES` of a word's capitalisation, which an uncased vocabulary discards."""
    letters = [c for c in word if c.isalpha()]
    if not any(c.isupper() for c in letters):
        return 0
    if len(letters) > 1 and all(c.isupper() for c in letters):
        return 2
    return 1 if letters[0].isupper() else 3


def encode(sentences: list[Sentence], tokenizer, tags: list[str], max_length: int = 512) -> Encoded:
    """Split words into subword tokens, with each word's label on its first token.

    A sentence of more than `max_length` tokens becomes several overlapping windows of `WINDOW`
    tokens (see `windows`), one of which labels each word. A word that has no tokens (a control
    character, say) becomes the unknown token, so that it keeps its label. Of a word that alone has
    more than `max_length` tokens, the first ones are read; such words are counted.

    Args:
        sentences: words with their IOB2 tags.
        tokenizer: a fast tokenizer of transformers.
        tags: the tag set; a label is an index in it.
        max_length: most tokens per example, special tokens included.

    Raises:
        RmlibValueError: a tag is not in `tags`, or `max_length` leaves no token for a word.
    """
    index = {tag: i for i, tag in enumerate(tags)}
    start, end, room = _special_tokens(tokenizer, max_length)
    encoded = Encoded()
    for number, (words, own_tags) in enumerate(sentences, 1):
        if unknown := [tag for tag in own_tags if tag not in index]:
            problem = f"tag {unknown[0]!r} is not in the tag set; {nearest(unknown[0], tags)}"
            raise RmlibValueError(f"sentence {number}: {problem}")
        tokens = _tokenize(list(words), tokenizer)
        sizes = [min(len(own), room) for own in tokens]
        window = room if sum(sizes) <= room else min(room, max(WINDOW, *sizes))
        parts = windows(sizes, window)
        for first, stop, labelled in parts:
            ids, labels, case = list(start), [IGNORE] * len(start), [0] * len(start)
            for word in range(first, stop):
                own = tokens[word][:room]
                ids += own
                labels += [index[own_tags[word]] if word in labelled else IGNORE]
                labels += [IGNORE] * (len(own) - 1)
                case += [case_of(words[word])] * len(own)
            # an encoder needs a token even where there is no word
            after = end if ids or end else [_unknown(tokenizer)]
            labels += [IGNORE] * len(after)
            encoded.examples.append(Example(ids + after, labels, case + [0] * len(after)))
        encoded.windows.append(len(parts))
        cut = sum(len(own) > room for own in tokens)
        encoded.truncated_words += cut
        encoded.truncated_sentences += cut > 0
    return encoded


def windows(sizes: list[int], room: int) -> list[tuple[int, int, range]]:
    """The overlapping windows in which a sentence is read, each of whole words.

    A word that stands in several windows belongs to the one that shows most of the text on the side
    where it shows less.

    Args:
        sizes: tokens of each word.
        room: most tokens of a window, at least those of the longest word.

    Returns:
        (first word, word after the last one, the words that belong to it) of each window. Each word
        belongs to one window, and a sentence that fits is one window.
    """
    # word w is tokens ends[w] to ends[w + 1]
    ends = [0, *itertools.accumulate(sizes)]
    first, stop = 0, bisect_right(ends, room) - 1
    spans = [(first, stop)]
    while stop < len(sizes):
        # the next window has room for its overlap with this one and for at least one more word
        overlap = min(room // OVERLAP, room - (ends[stop + 1] - ends[stop]))
        first = bisect_left(ends, ends[stop] - overlap)
        stop = bisect_right(ends, ends[first] + room) - 1
        spans.append((first, stop))
    most, owner = [-1.0] * len(sizes), [0] * len(sizes)
    for k, (first, stop) in enumerate(spans):
        for word in range(first, stop):
            before = ends[word] - ends[first] if first else math.inf
            after = ends[stop] - ends[word + 1] if stop < len(sizes) else math.inf
            if min(before, after) > most[word]:
                most[word], owner[word] = min(before, after), k
    bounds = [bisect_left(owner, k) for k in range(len(spans) + 1)]  # owners ascend
    parts = [(*span, range(*bounds[k : k + 2])) for k, span in enumerate(spans)]
    return [part for part in parts if part[2]] or parts


def encode_texts(texts: list[str], labels: list[int], tokenizer, max_length: int = 512) -> Encoded:
    """Split whole texts, each with the class in `labels`, into subword tokens.

    Tokenizer and length as for `encode`; a text has one class, so what is beyond `max_length` is
    cut off. Words, split at spaces, are counted if they are not read whole.
    """
    start, end, room = _special_tokens(tokenizer, max_length)
    encoded = Encoded()
    for text, label in zip(texts, labels, strict=True):
        words = text.split()
        tokens = _tokenize(words, tokenizer)
        ids = start + list(itertools.chain(*tokens))[:room] + end
        case = [case_of(word) for word, own in zip(words, tokens, strict=True) for _ in own][:room]
        case = [0] * len(start) + case + [0] * len(end)
        encoded.examples.append(Example(ids or [_unknown(tokenizer)], int(label), case or [0]))
        encoded.windows.append(1)
        whole = bisect_right(list(itertools.accumulate(map(len, tokens))), room)
        encoded.truncated_sentences += whole < len(words)
        encoded.truncated_words += len(words) - whole
    return encoded


def _tokenize(words: list[str], tokenizer) -> list[list[int]]:
    """The tokens of each word; a word without any becomes the unknown token."""
    encoding = tokenizer(words, is_split_into_words=True, truncation=False, verbose=False)
    tokens = [[] for _ in words]
    for token, word in zip(encoding["input_ids"], encoding.word_ids(), strict=True):
        if word is not None:
            tokens[word].append(token)
    return [own or [_unknown(tokenizer)] for own in tokens]


def _unknown(tokenizer) -> int:
    """The unknown token; a vocabulary of bytes has none, so another that means nothing."""
    candidates = (tokenizer.unk_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
    return next(token for token in candidates if token is not None)


def _special_tokens(tokenizer, max_length: int) -> tuple[list[int], list[int], int]:
    """The special tokens before and after a text, and the most tokens between them."""
    encoding = tokenizer(["a"], is_split_into_words=True, truncation=False, verbose=False)
    words, ids = encoding.word_ids(), encoding["input_ids"]
    start = ids[: words.index(0)]
    end = ids[len(words) - words[::-1].index(0) :]
    room = max_length - len(start) - len(end)
    if room < 1:
        least = max_length + 1 - room
        raise RmlibValueError(f"max_length is {max_length}; expected at least {least} tokens")
    return start, end, room
