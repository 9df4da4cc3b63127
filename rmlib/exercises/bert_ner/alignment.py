"""Two exercises of lesson 04: labels on pieces, and padding."""

from random import Random

import torch
from torch.nn.utils.rnn import pad_sequence

from rmlib.exercises.framework.exercise import Exercise
from rmlib.text.batches import IGNORE

# --- 1: labels on pieces --------------------------------------------------------------------------------------------


def labels_on_pieces(word_ids, labels):
    """The spec: piece by piece, is there a piece of the same word before it?"""
    laid = []
    for i, word in enumerate(word_ids):
        first = word is not None and word not in word_ids[:i]
        laid.append(labels[word] if first else IGNORE)
    return laid


def some_pieces(seed):
    """(word_ids, labels); some sentences are cut, some are filled up, in some a word has no piece.

    The first is the sentence that the lesson shows, so that the message about it can be understood.
    """
    if seed == 0:
        return [None, 0, 0, 1, 1, 1, 2, 3, None], [1, 2, 0, 3]
    random = Random(seed)
    words = random.randint(3, 6)
    word_ids = [word for word in range(words) for _ in range(random.choice([1, 1, 2, 3]))]
    if seed % 3 == 1:
        word_ids = word_ids[:-2]
    if seed % 4 == 2:
        word_ids = [word for word in word_ids if word != 1]
    filled_up = [None] * random.choice([0, 0, 4])
    return [None, *word_ids, None, *filled_up], [random.choice([0, 0, 1, 2, 3]) for _ in range(words)]


def _on_every_piece(word_ids, labels):
    return [IGNORE if word is None else labels[word] for word in word_ids]


def _on_the_last_piece(word_ids, labels):
    return labels_on_pieces(word_ids[::-1], labels)[::-1]


def _piece_by_piece(word_ids, labels, start, rest):
    return ([IGNORE] * start + labels + [rest] * len(word_ids))[: len(word_ids)]


def _counted(word_ids, labels):
    waiting = list(labels)
    return [waiting.pop(0) if label != IGNORE else IGNORE for label in labels_on_pieces(word_ids, labels)]


def _where_the_label_changes(word_ids, labels):
    laid, before = [], None
    for label in _on_every_piece(word_ids, labels):
        laid.append(label if label != before else IGNORE)
        before = label
    return laid


def _o_for_the_rest(word_ids, labels):
    return [0 if label == IGNORE else label for label in labels_on_pieces(word_ids, labels)]


def _o_for_special_pieces(word_ids, labels):
    laid = labels_on_pieces(word_ids, labels)
    return [0 if word is None else label for word, label in zip(word_ids, laid, strict=True)]


def _o_inside_words(word_ids, labels):
    laid = labels_on_pieces(word_ids, labels)
    return [0 if word is not None and label == IGNORE else label for word, label in zip(word_ids, laid, strict=True)]


def _without_word_0(word_ids, labels):
    return labels_on_pieces([word or None for word in word_ids], labels)


def _without_special_pieces(word_ids, labels):
    return labels_on_pieces([word for word in word_ids if word is not None], labels)


def _without_further_pieces(word_ids, labels):
    laid = labels_on_pieces(word_ids, labels)
    return [label for word, label in zip(word_ids, laid, strict=True) if word is None or label != IGNORE]


def _minus_one(word_ids, labels):
    return [-1 if label == IGNORE else label for label in labels_on_pieces(word_ids, labels)]


def align(word_ids, labels):
    laid, before = [], None
    for word in word_ids:
        laid.append(labels[word] if word is not None and word != before else IGNORE)
        before = word
    return laid


ALIGN = Exercise(
    title="lay the labels on the pieces",
    spec=labels_on_pieces,
    inputs=some_pieces,
    mistakes={
        "Every piece of a word gets the label, so a long word counts several times. Only one piece a word may count: "
        "compare each piece with the one before it.": _on_every_piece,
        "The label lies on the last piece of each word. The first one is asked for.": _on_the_last_piece,
        "This is the article's way: from [CLS] on, a label a piece, then O. Look up in word_ids which word a piece "
        "belongs to.": lambda w, y: _piece_by_piece(w, y, 0, 0),
        "The labels start at [CLS] and go piece by piece. Look up in word_ids which word a piece belongs "
        "to.": lambda w, y: _piece_by_piece(w, y, 0, IGNORE),
        "Right after [CLS], but then a label a piece: behind a word of two pieces all is one place off. Look at the "
        "numbers in word_ids.": lambda w, y: _piece_by_piece(w, y, 1, IGNORE),
        "You count the words along. Where the tokenizer makes nothing of a word, its number is missing in word_ids and "
        "all labels behind it are off. Take the label at the word's own number.": _counted,
        "A word that has the same label as the word before it gets none. Compare the words' numbers, not their "
        "labels.": _where_the_label_changes,
        "Pieces that should not count get 0, which is the tag O, and O is a label like any other. What does the loss "
        "ignore?": _o_for_the_rest,
        "[CLS], [SEP] and padding get 0, which is the tag O. They are no words: what does the loss "
        "ignore?": _o_for_special_pieces,
        "The further pieces of a word get 0, which is the tag O: inside of a name, too. What does the loss "
        "ignore?": _o_inside_words,
        "Word number 0 gets no label. In Python 0 counts as false, just as None does: ask `is None`.": _without_word_0,
        "There are fewer labels than pieces: [CLS], [SEP] and padding need one too, the one that is "
        "ignored.": _without_special_pieces,
        "There are fewer labels than pieces: the further pieces of a word need one too, the one that is "
        "ignored.": _without_further_pieces,
        "The places are right, but losses do not ignore −1: the number is −100, IGNORE.": _minus_one,
        "The values are right, but a plain list is asked for.": lambda w, y: torch.tensor(labels_on_pieces(w, y)),
    },
    hints=(
        "Go through `word_ids` and keep in mind the word of the piece before. When does a new word begin?",
        "A piece gets a label if its word is not `None` *and* is another one than the word of the piece before. The "
        "label is then `labels[word]`; in all other cases it is `IGNORE`.",
    ),
    solution=align,
)

# --- 2: padding -----------------------------------------------------------------------------------------------------


def filled_up_slowly(rows, labels, pad_id):
    """The spec: one row after the other."""
    longest = 0
    for row in rows:
        longest = max(longest, len(row))
    ids, mask, laid = [], [], []
    for row, own in zip(rows, labels, strict=True):
        empty = longest - len(row)
        ids.append(row + [pad_id] * empty)
        mask.append([1] * len(row) + [0] * empty)
        laid.append(own + [IGNORE] * empty)
    return torch.tensor(ids), torch.tensor(mask), torch.tensor(laid)


def some_rows(seed):
    """(rows, labels, pad_id); in some batches all have one length, in some a real piece is the padding piece."""
    random = Random(seed)
    pad_id = (0, 0, 1, 50256)[seed % 4]
    lengths = [random.randint(4, 9) for _ in range(random.randint(2, 4))]
    lengths = [6, 6] if seed == 4 else [5] if seed == 5 else lengths
    rows = [[random.randint(5, 99) for _ in range(length)] for length in lengths]
    labels = [[IGNORE, *(random.choice([IGNORE, 0, 1, 2]) for _ in row[2:]), IGNORE] for row in rows]
    if seed % 3 == 2:
        for row in rows:
            row[-1] = pad_id
    return rows, labels, pad_id


def _with(ids=None, mask=None, labels=None):
    """The right batch, with one part of it (or several) made by another rule of (ids, mask, labels, pad_id)."""

    def batch(rows, own, pad_id):
        right = filled_up_slowly(rows, own, pad_id)
        rules = zip((ids, mask, labels), right, strict=True)
        return tuple(rule(*right, pad_id) if rule else part for rule, part in rules)

    return batch


def _ones(i, m, y, p):
    return torch.ones_like(m)


def _labels_filled_with_the_piece(i, m, y, p):
    return y.where(m == 1, p)


def _at_the_front(rows, labels, pad_id):
    turned = filled_up_slowly([row[::-1] for row in rows], [own[::-1] for own in labels], pad_id)
    return tuple(part.flip(1) for part in turned)


def fill_up(rows, labels, pad_id):
    def pad(rows, value):
        return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)

    return pad(rows, pad_id), pad([[1] * len(row) for row in rows], 0), pad(labels, IGNORE)


PADDING = Exercise(
    title="find the padding bug",
    spec=filled_up_slowly,
    inputs=some_rows,
    mistakes={
        "Nothing has changed: this is still your colleague's batch. Where a row is filled up, what is its label, and "
        "what its mask?": _with(mask=_ones, labels=_labels_filled_with_the_piece),
        "One of two is found; the mask is right. The labels are filled up with the number of the padding piece, and as "
        "a label that number is a tag.": _with(labels=_labels_filled_with_the_piece),
        "The mask is right. The labels are filled up with 0, which is the tag O, so padding still counts.": _with(
            labels=lambda i, m, y, p: y.where(m == 1, 0)
        ),
        "One of two is found; the labels are right. The mask is 1 on padding too, so every word still looks at "
        "it.": _with(mask=_ones),
        "The mask compares ids with pad_id. A real piece may have that id too: many models pad with the piece that "
        "ends a text. What else tells how long a row is?": _with(mask=lambda i, m, y, p: i != p),
        "The mask compares ids with 0. The padding piece can have any number, and a real piece may have it too. What "
        "else tells how long a row is?": _with(mask=lambda i, m, y, p: i != 0),
        "The mask hides every piece without a label, so [CLS], [SEP] and the second half of a word too. The model must "
        "read those; they only have no label.": _with(mask=lambda i, m, y, p: y != IGNORE),
        "The mask is upside down: 1 is for what the model should read.": _with(mask=lambda i, m, y, p: 1 - m),
        "The ids are filled up with −100. No piece has this number, and the model would fail on it: that is what "
        "pad_id is for.": _with(ids=lambda i, m, y, p: i.where(m == 1, IGNORE)),
        "The ids are filled up with 0. The number of the padding piece is pad_id, and not 0 for every "
        "tokenizer.": _with(ids=lambda i, m, y, p: i.where(m == 1, 0)),
        "The rows are filled up at the front. This model counts places from the front: fill up at the "
        "end.": _at_the_front,
    },
    hints=(
        "Print what `colleagues_batch` gives for a row of three pieces beside a row of five. Which numbers in the two "
        "last columns of the first row would you not have written?",
        "Labels and mask are each wrong where a row is filled up. The label there has to be the one that is ignored. "
        "The mask has to be 0 there, and it knows where from the *length* of the row.",
    ),
    solution=fill_up,
)
