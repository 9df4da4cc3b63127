"""Sentences as subword tokens, with one label per word."""

from dataclasses import dataclass, field

from rmlib.errors import RmlibValueError, nearest

from .conll import Sentence, entities

IGNORE = -100  # the label that torch's cross-entropy leaves out
CASES = ("no capital", "Capitalised", "ALL CAPITALS", "miXed")


@dataclass(frozen=True)
class Example:
    """One sentence, ready for the encoder.

    Attributes:
        input_ids: (tokens,) with the special tokens ([CLS], [SEP]) at the ends.
        labels: (tokens,) the tag's index on the first token of each word, -100 on every other
            token; or one number, the class of the whole text.
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
        examples: one `Example` per sentence, in the order given.
        truncated_sentences: how many sentences were longer than the encoder's longest input.
        truncated_words: how many words were cut off.
        truncated_entities: how many entities lost at least one word.
    """

    examples: list[Example] = field(default_factory=list)
    truncated_sentences: int = 0
    truncated_words: int = 0
    truncated_entities: int = 0

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each example."""
        return [len(example) for example in self.examples]

    def report(self) -> str:
        """One sentence on what was cut off."""
        size = "1 sentence" if len(self) == 1 else f"{len(self)} sentences"
        if not self.truncated_sentences:
            return f"{size}, none cut"
        lost = f"{self.truncated_words} words and {self.truncated_entities} entities lost"
        return f"{size}, {self.truncated_sentences} of them cut: {lost}"


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

    Words beyond `max_length` tokens are cut off together with their labels, and counted. A word
    that has no tokens (a control character, say) becomes the unknown token, so that it keeps its
    label.

    Args:
        sentences: words with their IOB2 tags.
        tokenizer: a fast tokenizer of transformers.
        tags: the tag set; a label is an index in it.
        max_length: most tokens per sentence, special tokens included.

    Raises:
        RmlibValueError: a tag is not in `tags`.
    """
    index = {tag: i for i, tag in enumerate(tags)}
    encoded = Encoded()
    for number, sentence in enumerate(sentences, 1):
        tokens = _tokenize(list(sentence.words), tokenizer, max_length)
        labels, case, previous = [], [], None
        for word in tokens.word_ids():
            if word is None:
                labels.append(IGNORE)
                case.append(0)
            else:
                tag = sentence.tags[word]
                if tag not in index:
                    problem = f"tag {tag!r} is not in the tag set; {nearest(tag, tags)}"
                    raise RmlibValueError(f"sentence {number}: {problem}")
                labels.append(index[tag] if word != previous else IGNORE)
                case.append(case_of(sentence.words[word]))
            previous = word
        encoded.examples.append(Example(tokens["input_ids"], labels, case))
        # words are cut off at the end only, so their number is also the index of the cut
        kept = len(labels) - labels.count(IGNORE)
        if kept < len(sentence.words):
            encoded.truncated_sentences += 1
            encoded.truncated_words += len(sentence.words) - kept
            encoded.truncated_entities += sum(end > kept for _, _, end in entities(sentence.tags))
    return encoded


def encode_texts(texts: list[str], labels: list[int], tokenizer, max_length: int = 512) -> Encoded:
    """Split whole texts, each with the class in `labels`, into subword tokens.

    Tokenizer and length as for `encode`; words, split at spaces, are counted if they are cut off.
    """
    encoded = Encoded()
    for text, label in zip(texts, labels, strict=True):
        words = text.split()
        tokens = _tokenize(words, tokenizer, max_length)
        kept = tokens.word_ids()
        case = [0 if word is None else case_of(words[word]) for word in kept]
        encoded.examples.append(Example(tokens["input_ids"], int(label), case))
        lost = len(words) - len(set(kept) - {None})
        encoded.truncated_sentences += lost > 0
        encoded.truncated_words += lost
    return encoded


def _tokenize(words: list[str], tokenizer, max_length: int):
    """Tokenize words; a word without tokens is replaced by the unknown token."""
    options = {"is_split_into_words": True, "truncation": True, "max_length": max_length}
    tokens = tokenizer(words, **options)
    seen = set(tokens.word_ids()) - {None}
    missing = [i for i in range(len(words)) if i not in seen]
    if missing and (len(tokens["input_ids"]) < max_length or missing[0] < max(seen, default=0)):
        replaced = [word if i in seen else tokenizer.unk_token for i, word in enumerate(words)]
        tokens = tokenizer(replaced, **options)
    return tokens
