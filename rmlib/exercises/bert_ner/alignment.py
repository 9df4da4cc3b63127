"""The exercises on a tagger's batches: the article's labels, labels on subword tokens, padding."""

from random import Random

import torch
from torch.nn.utils.rnn import pad_sequence

from rmlib.exercises.framework.exercise import Exercise, Misconception, NotYet
from rmlib.text.encoding import IGNORE

# --- The article's labels -------------------------------------------------------------------------


def labels_as_printed_slowly(labels, length):
    """Position by position: a word's label while there are words, then O."""
    row = []
    for position in range(max(length, len(labels))):
        row.append(labels[position] if position < len(labels) else 0)
    return row


def some_labels(seed):
    """(labels, length); seeds 1, 5 and 9 have more words than the row has positions."""
    random = Random(seed)
    labels = [random.choice([0, 1, 2, 3]) for _ in range(random.randint(5, 9))]
    return labels, len(labels) + (6, -2, 0, 9)[seed % 4]


def labels_as_printed(labels, length):
    return labels + [0] * (length - len(labels))


LABELS_AS_PRINTED = Exercise(
    id="bert_ner.labels_as_printed",
    title="the article's labels",
    spec=labels_as_printed_slowly,
    inputs=some_labels,
    misconceptions=(
        Misconception(
            "truncates",
            "You cut the labels at `length`. That would be better, but the article does not: its "
            "list only grows, and stays longer where a sentence has more words.",
            lambda labels, length: labels_as_printed(labels, length)[:length],
        ),
        Misconception(
            "leaves-out-cls",
            "You leave the first position to [CLS]. That would be better, but the article begins "
            "with the first word's label.",
            lambda labels, length: [0] + labels + [0] * (length - len(labels) - 1),
        ),
        Misconception(
            "ignores-padding",
            "You fill the rest with −100, which losses ignore. That would be better, but the "
            "article writes the tag O, number 0.",
            lambda labels, length: labels + [IGNORE] * (length - len(labels)),
        ),
        Misconception(
            "length-more",
            "You append `length` times O. The whole row should have `length` positions.",
            lambda labels, length: labels + [0] * length,
        ),
    ),
    hints=(
        "Two lists, one after the other: the labels, and as many O (0) as are missing.",
        "In Python `[0] * n` is a list of n zeros, and an empty list if n is below 0.",
    ),
    solution=labels_as_printed,
)

# --- Labels on subword tokens ---------------------------------------------------------------------


def align_slowly(word_ids, labels):
    """Token by token, ask whether there is a token of the same word before it."""
    aligned = []
    for i, word in enumerate(word_ids):
        first = word is not None and word not in word_ids[:i]
        aligned.append(labels[word] if first else IGNORE)
    return aligned


def some_tokens(seed):
    """(word_ids, labels); some sentences are truncated, some padded, in some a word has no token,
    and one is a single word without special tokens.

    The first is the sentence that the lesson shows, so that its message can be understood.
    """
    if seed == 0:
        return [None, 0, 0, 1, 1, 1, 2, 3, None], [1, 2, 0, 3]
    if seed == 5:
        return [0, 0, 0], [3]
    random = Random(seed)
    words = random.randint(3, 6)
    word_ids = [word for word in range(words) for _ in range(random.choice([1, 1, 2, 3]))]
    if seed % 3 == 1:
        word_ids = word_ids[:-2]
    if seed % 4 == 2:
        word_ids = [word for word in word_ids if word != 1]
    padding = [None] * random.choice([0, 0, 4])
    labels = [random.choice([0, 0, 1, 2, 3]) for _ in range(words)]
    return [None, *word_ids, None, *padding], labels


def _on_every_token(word_ids, labels):
    return [IGNORE if word is None else labels[word] for word in word_ids]


def _on_the_last_token(word_ids, labels):
    return align_slowly(word_ids[::-1], labels)[::-1]


def _token_by_token(word_ids, labels, start, rest):
    return ([IGNORE] * start + labels + [rest] * len(word_ids))[: len(word_ids)]


def _counting_words(word_ids, labels):
    waiting = list(labels)
    return [
        waiting.pop(0) if label != IGNORE else IGNORE for label in align_slowly(word_ids, labels)
    ]


def _where_the_label_changes(word_ids, labels):
    aligned, before = [], None
    for label in _on_every_token(word_ids, labels):
        aligned.append(label if label != before else IGNORE)
        before = label
    return aligned


def _o_for_the_rest(word_ids, labels):
    return [0 if label == IGNORE else label for label in align_slowly(word_ids, labels)]


def _o_for_special_tokens(word_ids, labels):
    aligned = align_slowly(word_ids, labels)
    return [0 if word is None else label for word, label in zip(word_ids, aligned, strict=True)]


def _o_inside_words(word_ids, labels):
    aligned = align_slowly(word_ids, labels)
    return [
        0 if word is not None and label == IGNORE else label
        for word, label in zip(word_ids, aligned, strict=True)
    ]


def _without_word_0(word_ids, labels):
    return align_slowly([word or None for word in word_ids], labels)


def _without_special_tokens(word_ids, labels):
    return align_slowly([word for word in word_ids if word is not None], labels)


def _without_further_tokens(word_ids, labels):
    aligned = align_slowly(word_ids, labels)
    return [
        label
        for word, label in zip(word_ids, aligned, strict=True)
        if word is None or label != IGNORE
    ]


def _compared_with_the_item_before(word_ids, labels):
    return [
        labels[word] if word is not None and word != word_ids[i - 1] else IGNORE
        for i, word in enumerate(word_ids)
    ]


def _minus_one(word_ids, labels):
    return [-1 if label == IGNORE else label for label in align_slowly(word_ids, labels)]


def align(word_ids, labels):
    aligned, before = [], None
    for word in word_ids:
        aligned.append(labels[word] if word is not None and word != before else IGNORE)
        before = word
    return aligned


ALIGN = Exercise(
    id="bert_ner.align_labels",
    title="align the labels with the tokens",
    spec=align_slowly,
    inputs=some_tokens,
    misconceptions=(
        Misconception(
            "every-token",
            "Every token of a word gets the label, so a long word counts several times. Only one "
            "token per word may count: compare each token with the one before it.",
            _on_every_token,
        ),
        Misconception(
            "last-token",
            "The label is on the last token of each word. It should be on the first.",
            _on_the_last_token,
        ),
        Misconception(
            "as-in-the-article",
            "This is the article's way: from [CLS] on, one label per token, then O. Look up in "
            "word_ids to which word a token belongs.",
            lambda word_ids, labels: _token_by_token(word_ids, labels, 0, 0),
        ),
        Misconception(
            "from-cls-on",
            "The labels start at [CLS] and go token by token. Look up in word_ids to which word a "
            "token belongs.",
            lambda word_ids, labels: _token_by_token(word_ids, labels, 0, IGNORE),
        ),
        Misconception(
            "one-label-per-token",
            "Right after [CLS], but then one label per token: after a word of two tokens "
            "everything is shifted by one. Look at the numbers in word_ids.",
            lambda word_ids, labels: _token_by_token(word_ids, labels, 1, IGNORE),
        ),
        Misconception(
            "counts-words",
            "You count the words. Where the tokenizer makes no token of a word, its number is "
            "missing in word_ids and all later labels are shifted. Take the label at the word's "
            "own number.",
            _counting_words,
        ),
        Misconception(
            "compares-labels",
            "A word that has the same label as the word before it gets none. Compare the words' "
            "numbers, not their labels.",
            _where_the_label_changes,
        ),
        Misconception(
            "o-for-ignored",
            "Tokens that should not count get 0, which is the tag O, and O is a label like any "
            "other. What does the loss ignore?",
            _o_for_the_rest,
        ),
        Misconception(
            "o-for-special-tokens",
            "[CLS], [SEP] and padding get 0, which is the tag O. They are no words: what does the "
            "loss ignore?",
            _o_for_special_tokens,
        ),
        Misconception(
            "o-inside-words",
            "The further tokens of a word get 0, which is the tag O, even inside a name. What does "
            "the loss ignore?",
            _o_inside_words,
        ),
        Misconception(
            "zero-as-false",
            "Word number 0 gets no label. In Python 0 counts as false, just as None does: test "
            "`is None`.",
            _without_word_0,
        ),
        Misconception(
            "drops-special-tokens",
            "There are fewer labels than tokens: [CLS], [SEP] and padding need one too, the one "
            "that is ignored.",
            _without_special_tokens,
        ),
        Misconception(
            "drops-further-tokens",
            "There are fewer labels than tokens: the further tokens of a word need one too, the "
            "one that is ignored.",
            _without_further_tokens,
        ),
        Misconception(
            "first-compared-with-last",
            "At the first token, `word_ids[i - 1]` is the last one: in Python −1 counts from the "
            "end. Nothing comes before it, and not every tokenizer puts a [CLS] in front.",
            _compared_with_the_item_before,
        ),
        Misconception(
            "minus-1",
            "The positions are right, but losses do not ignore −1: the number is −100, IGNORE.",
            _minus_one,
        ),
        Misconception(
            "tensor-for-list",
            "The values are right, but return a plain list.",
            lambda word_ids, labels: torch.tensor(align_slowly(word_ids, labels)),
        ),
    ),
    hints=(
        "Go through `word_ids` and remember the word of the previous token. When does a new word "
        "begin?",
        "A token gets a label if its word is not `None` *and* differs from the word of the "
        "previous token. The label is then `labels[word]`; in all other cases it is `IGNORE`.",
    ),
    solution=align,
    piece="align",
)

# --- Padding --------------------------------------------------------------------------------------


def pad_slowly(rows, labels, pad_id):
    """One row after the other."""
    longest = 0
    for row in rows:
        longest = max(longest, len(row))
    ids, mask, padded_labels = [], [], []
    for row, own in zip(rows, labels, strict=True):
        padding = longest - len(row)
        ids.append(row + [pad_id] * padding)
        mask.append([1] * len(row) + [0] * padding)
        padded_labels.append(own + [IGNORE] * padding)
    return torch.tensor(ids), torch.tensor(mask), torch.tensor(padded_labels)


def some_rows(seed):
    """(rows, labels, pad_id).

    In some batches all rows have one length, in some a real token has the id of the padding token.
    """
    random = Random(seed)
    pad_id = (0, 0, 1, 50256)[seed % 4]
    lengths = [random.randint(4, 9) for _ in range(random.randint(2, 4))]
    lengths = {4: [6, 6], 5: [5]}.get(seed, lengths)
    rows = [[random.randint(5, 99) for _ in range(length)] for length in lengths]
    labels = [
        [IGNORE, *(random.choice([IGNORE, 0, 1, 2]) for _ in row[2:]), IGNORE] for row in rows
    ]
    if seed % 3 == 2:
        for row in rows:
            row[-1] = pad_id
    return rows, labels, pad_id


def _with(ids=None, mask=None, labels=None):
    """The right batch, with some parts made by another rule of (ids, mask, labels, pad_id)."""

    def batch(rows, own, pad_id):
        right = pad_slowly(rows, own, pad_id)
        rules = zip((ids, mask, labels), right, strict=True)
        return tuple(rule(*right, pad_id) if rule else part for rule, part in rules)

    return batch


def _ones(ids, mask, labels, pad_id):
    return torch.ones_like(mask)


def _labels_padded_with_pad_id(ids, mask, labels, pad_id):
    return labels.where(mask == 1, pad_id)


def _mask_from_pad_id(ids, mask, labels, pad_id):
    return ids != pad_id


def _labels_padded_with_0(ids, mask, labels, pad_id):
    return labels.where(mask == 1, 0)


def _judge_types(pad_batch, spec):
    """Tokens and labels are whole numbers, as the model and the loss need them."""
    ids, _, labels = pad_batch(*some_rows(0))
    for id, name, part, kinds in (
        ("ids-not-whole", "token ids", ids, (torch.int32, torch.int64)),
        ("labels-not-whole", "labels", labels, (torch.int64,)),
    ):
        if part.dtype not in kinds:
            raise NotYet(
                id,
                f"the values are right, but the {name} are {str(part.dtype).removeprefix('torch.')}"
                " and must be whole numbers (int64): the model looks them up by number",
            )


def _at_the_front(rows, labels, pad_id):
    reversed_rows = [row[::-1] for row in rows]
    reversed_labels = [own[::-1] for own in labels]
    return tuple(part.flip(1) for part in pad_slowly(reversed_rows, reversed_labels, pad_id))


def pad_batch(rows, labels, pad_id):
    def pad(rows, value):
        return pad_sequence(
            [torch.tensor(row) for row in rows], batch_first=True, padding_value=value
        )

    return pad(rows, pad_id), pad([[1] * len(row) for row in rows], 0), pad(labels, IGNORE)


PAD_BATCH = Exercise(
    id="bert_ner.padding",
    title="find the padding bug",
    spec=pad_slowly,
    inputs=some_rows,
    misconceptions=(
        Misconception(
            "unchanged",
            "Nothing has changed: this is still your colleague's batch. Where a row is padded, "
            "what is its label, and what is its mask?",
            _with(mask=_ones, labels=_labels_padded_with_pad_id),
        ),
        Misconception(
            "labels-padded-with-pad-id",
            "You found one of two; the mask is right. The labels are padded with pad_id, and as a "
            "label that number is a tag.",
            _with(labels=_labels_padded_with_pad_id),
        ),
        Misconception(
            "labels-padded-with-0",
            "The mask is right. The labels are padded with 0, which is the tag O, so padding still "
            "counts.",
            _with(labels=_labels_padded_with_0),
        ),
        Misconception(
            "mask-from-pad-id-and-labels-padded-with-pad-id",
            "Two things are wrong. The labels are padded with pad_id, and as a label that number "
            "is a tag. The mask compares ids with pad_id, and a real token may have that id too.",
            _with(mask=_mask_from_pad_id, labels=_labels_padded_with_pad_id),
        ),
        Misconception(
            "mask-from-pad-id-and-labels-padded-with-0",
            "Two things are wrong. The labels are padded with 0, which is the tag O. The mask "
            "compares ids with pad_id, and a real token may have that id too.",
            _with(mask=_mask_from_pad_id, labels=_labels_padded_with_0),
        ),
        Misconception(
            "mask-all-1-and-labels-padded-with-0",
            "Two things are wrong. The labels are padded with 0, which is the tag O. The mask is 1 "
            "on padding too, so every word still attends to it.",
            _with(mask=_ones, labels=_labels_padded_with_0),
        ),
        Misconception(
            "mask-all-1",
            "You found one of two; the labels are right. The mask is 1 on padding too, so every "
            "word still attends to it.",
            _with(mask=_ones),
        ),
        Misconception(
            "mask-from-pad-id",
            "The mask compares ids with pad_id. A real token may have that id too: many models pad "
            "with the token that ends a text. What else says how long a row is?",
            _with(mask=_mask_from_pad_id),
        ),
        Misconception(
            "mask-from-0",
            "The mask compares ids with 0. The padding token can have any number, and a real token "
            "may have it too. What else says how long a row is?",
            _with(mask=lambda ids, mask, labels, pad_id: ids != 0),
        ),
        Misconception(
            "mask-from-labels",
            "The mask hides every token without a label, so [CLS], [SEP] and the second half of a "
            "word too. The model must read those; they only have no label.",
            _with(mask=lambda ids, mask, labels, pad_id: labels != IGNORE),
        ),
        Misconception(
            "mask-inverted",
            "The mask is inverted: 1 is for what the model should read.",
            _with(mask=lambda ids, mask, labels, pad_id: 1 - mask),
        ),
        Misconception(
            "ids-padded-with-minus-100",
            "The ids are padded with −100. No token has this number, and the model would fail on "
            "it: that is what pad_id is for.",
            _with(ids=lambda ids, mask, labels, pad_id: ids.where(mask == 1, IGNORE)),
        ),
        Misconception(
            "ids-padded-with-0",
            "The ids are padded with 0. The number of the padding token is pad_id, and not 0 for "
            "every tokenizer.",
            _with(ids=lambda ids, mask, labels, pad_id: ids.where(mask == 1, 0)),
        ),
        Misconception(
            "padded-at-the-front",
            "The rows are padded at the front. This model counts positions from the front: pad at "
            "the end.",
            _at_the_front,
        ),
    ),
    hints=(
        "Print what `colleagues_batch` gives for a row of three tokens beside a row of five. Which "
        "numbers in the two last columns of the first row would you not have written?",
        "Labels and mask are each wrong where a row is padded. The label there has to be the one "
        "that is ignored. The mask has to be 0 there, and it knows where from the *length* of the "
        "row.",
    ),
    more=_judge_types,
    solution=pad_batch,
    piece="pad_batch",
)
