"""Words to pieces, labels aligned to the first piece of each word, and batches of similar length under a budget."""

import random
from dataclasses import dataclass, field

from rmlib.errors import RmlibValueError, nearest

from .conll import Sentence, entities

IGNORE = -100
CASES = ("no capital", "Capitalised", "ALL CAPITALS", "miXed")


@dataclass(frozen=True)
class Example:
    """One sentence, ready for the encoder.

    Attributes:
        input_ids: (pieces,) with the special pieces ([CLS], [SEP]) at the ends.
        labels: (pieces,) the tag's index on the first piece of each word, -100 on every other piece; or one number,
            the class of the whole text.
        case: (pieces,) the index in `CASES` of the word each piece belongs to; 0 on special pieces.
    """

    input_ids: list[int]
    labels: list[int] | int
    case: list[int]

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass
class Encoded:
    """The sentences of a corpus as pieces, and what did not fit.

    Attributes:
        examples: one `Example` a sentence, in the order given.
        cut_sentences: how many sentences were longer than the encoder takes.
        lost_words, lost_entities: how many words, and how many entities with at least one such word, were cut off.
    """

    examples: list[Example] = field(default_factory=list)
    cut_sentences: int = 0
    lost_words: int = 0
    lost_entities: int = 0

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def lengths(self) -> list[int]:
        return [len(example) for example in self.examples]

    def report(self) -> str:
        """One sentence on what was cut."""
        size = "1 sentence" if len(self) == 1 else f"{len(self)} sentences"
        if not self.cut_sentences:
            return f"{size}, none cut"
        return (
            f"{size}, {self.cut_sentences} of them cut: {self.lost_words} words and {self.lost_entities} entities lost"
        )


def case_of(word: str) -> int:
    """How a word is capitalised, as an index in `CASES`: what an uncased vocabulary throws away."""
    letters = [c for c in word if c.isalpha()]
    if not any(c.isupper() for c in letters):
        return 0
    if len(letters) > 1 and all(c.isupper() for c in letters):
        return 2
    return 1 if letters[0].isupper() else 3


def encode(sentences: list[Sentence], tokenizer, tags: list[str], max_pieces: int = 512) -> Encoded:
    """Cut words to pieces and lay each word's tag on its first piece.

    Words that do not fit in `max_pieces` are cut off together with their labels, and counted. A word that the
    tokenizer turns into nothing (a control character, say) becomes the unknown piece, so that it keeps its label.

    Args:
        sentences: words and IOB2 tags.
        tokenizer: a fast tokenizer of transformers.
        tags: the tag set; a label is an index in it.
        max_pieces: special pieces included.

    Raises:
        RmlibValueError: a tag that is not in `tags`.
    """
    index = {tag: i for i, tag in enumerate(tags)}
    encoded = Encoded()
    for number, sentence in enumerate(sentences, 1):
        pieces = _pieces(list(sentence.words), tokenizer, max_pieces)
        labels, case, previous = [], [], None
        for word in pieces.word_ids():
            if word is None:
                labels.append(IGNORE)
                case.append(0)
            else:
                tag = sentence.tags[word]
                if tag not in index:
                    raise RmlibValueError(f"sentence {number}: tag {tag!r} is not in the tag set; {nearest(tag, tags)}")
                labels.append(index[tag] if word != previous else IGNORE)
                case.append(case_of(sentence.words[word]))
            previous = word
        encoded.examples.append(Example(pieces["input_ids"], labels, case))
        kept = len(labels) - labels.count(IGNORE)  # words are kept from the left, so this is also where the cut is
        if kept < len(sentence.words):
            encoded.cut_sentences += 1
            encoded.lost_words += len(sentence.words) - kept
            encoded.lost_entities += sum(end > kept for _, _, end in entities(sentence.tags))
    return encoded


def encode_texts(texts: list[str], labels: list[int], tokenizer, max_pieces: int = 512) -> Encoded:
    """Whole texts with one class each; texts that do not fit are cut and counted (`lost_words`, split at spaces)."""
    encoded = Encoded()
    for text, label in zip(texts, labels, strict=True):
        words = text.split()
        pieces = _pieces(words, tokenizer, max_pieces)
        kept = pieces.word_ids()
        case = [0 if word is None else case_of(words[word]) for word in kept]
        encoded.examples.append(Example(pieces["input_ids"], int(label), case))
        lost = len(words) - len(set(kept) - {None})
        encoded.cut_sentences += lost > 0
        encoded.lost_words += lost
    return encoded


def _pieces(words: list[str], tokenizer, max_pieces: int):
    def cut(words):
        return tokenizer(words, is_split_into_words=True, truncation=True, max_length=max_pieces)

    pieces = cut(words)
    seen = set(pieces.word_ids()) - {None}
    missing = [i for i in range(len(words)) if i not in seen]
    if missing and (len(pieces["input_ids"]) < max_pieces or missing[0] < max(seen, default=0)):
        pieces = cut([word if i in seen else tokenizer.unk_token for i, word in enumerate(words)])
    return pieces


def batches(lengths: list[int], budget: int = 1024, seed: int = 0, epoch: int = 0) -> list[list[int]]:
    """The batches of one epoch: sentences of similar length, at most `budget` pieces a batch, padding counted.

    The list depends on nothing but the arguments, so training resumes by skipping the batches it has done. A
    sentence longer than the budget makes a batch of its own.

    Args:
        lengths: pieces of each sentence.

    Returns:
        lists of indices into `lengths`; each index appears exactly once.

    Raises:
        RmlibValueError: a budget below 1.
    """
    if budget < 1:
        raise RmlibValueError(f"budget is {budget}; expected at least 1 piece a batch")
    shuffle = random.Random(f"{seed} {epoch}").shuffle
    order = list(range(len(lengths)))
    shuffle(order)  # before the stable sort: sentences of equal length meet different neighbours each epoch
    order.sort(key=lambda i: lengths[i])
    groups: list[list[int]] = []
    for i in order:  # ascending, so the newcomer is the longest and sets the width of the batch
        if groups and (len(groups[-1]) + 1) * lengths[i] <= budget:
            groups[-1].append(i)
        else:
            groups.append([i])
    shuffle(groups)
    return groups
