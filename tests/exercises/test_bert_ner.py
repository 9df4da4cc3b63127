"""The checks on a BERT that finds names, on answers that students give.

Their specs are held against seqeval and the kit.
"""

import pytest
import torch
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoTokenizer, Trainer

from rmlib import RewardObjective
from rmlib.exercises.bert_ner import alignment, entity_f1, lesson, own_training, with_trainer
from rmlib.exercises.bert_ner.exercises import FOUND, GOLD, TAGGINGS, THREE, check
from rmlib.exercises.bert_ner.quiz import QUESTIONS
from rmlib.exercises.framework.exercise import DRAWS
from rmlib.models.encoder import new_tagger
from rmlib.studies.bootstrap import over_seeds
from rmlib.studies.ner_analysis import sentence_counts
from rmlib.text import metrics
from rmlib.text.conll import Sentence
from rmlib.text.corpora import newswire
from rmlib.text.encoding import IGNORE, Example, encode
from tests.exercises.common import (
    accepted,
    depends_on_its_spec,
    rejected,
)
from tests.text.padding import collate


def of(solution: str, name: str):
    """The value that a solution's source gives to `name`."""
    space = {}
    exec(solution, space)
    return space[name]


@pytest.fixture(scope="module")
def tagger(tiny):
    """A tiny BERT with MiniLM's tokenizer."""
    return new_tagger(newswire().tags, str(tiny))


# --- 1: the article's labels ----------------------------------------------------------------------


def test_labels_as_printed():
    for answer in (
        alignment.labels_as_printed,
        lambda labels, length: [*labels, *(0 for _ in range(length - len(labels)))],
    ):
        accepted(check.q1, answer)
    depends_on_its_spec(
        check.q1, alignment.labels_as_printed, lambda labels, length: labels + [1] * length
    )

    def in_place(labels, length):
        labels.extend([0] * (length - len(labels)))  # as the article's own code
        return labels

    rejected(check.q1, in_place, "changes-its-arguments")
    rejected(check.q1, lambda y, n: (y + [0] * n)[:n], "truncates")
    rejected(check.q1, lambda y, n: [0, *y] + [0] * (n - len(y) - 1), "leaves-out-cls")
    rejected(check.q1, lambda y, n: y + [IGNORE] * (n - len(y)), "ignores-padding")
    rejected(check.q1, lambda y, n: y + [0] * n, "length-more")


# --- 2: labels on subword tokens ------------------------------------------------------------------


def align_with_a_set(word_ids, labels):
    aligned, seen = [], set()
    for word in word_ids:
        if word is None or word in seen:
            aligned.append(-100)
        else:
            seen.add(word)
            aligned.append(labels[word])
    return aligned


def align_by_index(word_ids, labels):
    aligned = [-100] * len(word_ids)
    for word in {w for w in word_ids if w is not None}:
        aligned[word_ids.index(word)] = labels[word]
    return aligned


def every_token(word_ids, labels):
    return [labels[w] if w is not None else -100 for w in word_ids]


def last_token(word_ids, labels):
    after = word_ids[1:] + [None]
    return [
        labels[w] if w is not None and w != a else -100
        for w, a in zip(word_ids, after, strict=True)
    ]


def the_articles(word_ids, labels):
    labels = labels + [0] * (len(word_ids) - len(labels))
    return labels[: len(word_ids)]


def from_the_first_position(word_ids, labels):
    labels = labels + [-100] * (len(word_ids) - len(labels))
    return labels[: len(word_ids)]


def after_cls(word_ids, labels):
    return ([-100] + labels + [-100] * len(word_ids))[: len(word_ids)]


def zero_is_false(word_ids, labels):
    aligned, before = [], None
    for word in word_ids:
        aligned.append(labels[word] if word and word != before else -100)
        before = word
    return aligned


def zeros(word_ids, labels):
    aligned, before = [], None
    for word in word_ids:
        aligned.append(0 if word is None or word == before else labels[word])
        before = word
    return aligned


def zeros_at_special_tokens(word_ids, labels):
    aligned, before = [], None
    for word in word_ids:
        aligned.append(0 if word is None else -100 if word == before else labels[word])
        before = word
    return aligned


def zeros_inside(word_ids, labels):
    aligned, before = [], None
    for word in word_ids:
        aligned.append(-100 if word is None else 0 if word == before else labels[word])
        before = word
    return aligned


def counter(word_ids, labels):
    aligned, before, n = [], None, 0
    for word in word_ids:
        if word is None or word == before:
            aligned.append(-100)
        else:
            aligned.append(labels[n])
            n += 1
        before = word
    return aligned


def compares_labels(word_ids, labels):
    aligned, before = [], None
    for word in word_ids:
        label = -100 if word is None else labels[word]
        aligned.append(label if label != before else -100)
        before = label
    return aligned


def skips_special_tokens(word_ids, labels):
    aligned, before = [], None
    for word in word_ids:
        if word is None:
            continue
        aligned.append(labels[word] if word != before else -100)
        before = word
    return aligned


def one_label_a_word(word_ids, labels):
    aligned = [labels[w] for i, w in enumerate(word_ids) if w is not None and w not in word_ids[:i]]
    special = word_ids.count(None)
    return [-100] * (special > 0) + aligned + [-100] * (special - 1)


def minus_one(word_ids, labels):
    return [-1 if label == -100 else label for label in align_by_index(word_ids, labels)]


def item_before(word_ids, labels):
    aligned = []
    for i in range(len(word_ids)):
        new = word_ids[i] is not None and word_ids[i] != word_ids[i - 1]
        aligned.append(labels[word_ids[i]] if new else -100)
    return aligned


def sorts_in_place(word_ids, labels):
    labels.reverse()
    return [labels.pop() if w is not None else -100 for w in word_ids[:1]]


@pytest.mark.parametrize(
    "answer, misconception",
    [
        (every_token, "every-token"),
        (last_token, "last-token"),
        (the_articles, "as-in-the-article"),
        (from_the_first_position, "from-cls-on"),
        (after_cls, "one-label-per-token"),
        (zero_is_false, "zero-as-false"),
        (zeros, "o-for-ignored"),
        (zeros_at_special_tokens, "o-for-special-tokens"),
        (zeros_inside, "o-inside-words"),
        (counter, "counts-words"),
        (compares_labels, "compares-labels"),
        (skips_special_tokens, "drops-special-tokens"),
        (one_label_a_word, "drops-further-tokens"),
        (minus_one, "minus-1"),
        (item_before, "first-compared-with-last"),
        (lambda w, y: torch.tensor(align_by_index(w, y)), "tensor-for-list"),
        (lambda w, y: print(align_by_index(w, y)), "returns-none"),
        (lambda w, y: [y[i] for i in w], "raises"),
        (sorts_in_place, "changes-its-arguments"),
    ],
)
def test_align_wrong(answer, misconception):
    rejected(check.q2, answer, misconception)


def test_align_right():
    for answer in (alignment.align, align_with_a_set, align_by_index):
        accepted(check.q2, answer)
        depends_on_its_spec(
            check.q2, answer, lambda w, y: [label + 1 for label in align_by_index(w, y)]
        )


def test_align_is_what_the_kit_does(minilm):
    """On a real tokenizer's subword tokens."""
    tokenizer = AutoTokenizer.from_pretrained(minilm)
    words = ["Helga", "Aronsson", "of", "Tamarind", "Retail", "met", "Zdzisława", "near"]
    words += ["Llanfairpwll", "in", "Entre", "Ríos", ",", "unbelievably", "."]
    tags = [f"{mark}-{kind}" for kind in ("PER", "ORG", "LOC") for mark in "BI"] + ["O"]
    for shift in range(len(tags)):
        own = tuple(tags[(i * 3 + shift) % len(tags)] for i in range(len(words)))
        (example,) = encode([Sentence(tuple(words), own)], tokenizer, tags).examples
        tokens = tokenizer(words, is_split_into_words=True)
        aligned = alignment.align_slowly(tokens.word_ids(), [tags.index(tag) for tag in own])
        assert aligned == example.labels


# --- 3: padding -----------------------------------------------------------------------------------


def colleagues_batch(rows, labels, pad_id):
    """As in the lesson."""
    ids, aligned = (
        pad_sequence([torch.tensor(row) for row in part], batch_first=True, padding_value=pad_id)
        for part in (rows, labels)
    )
    return ids, torch.ones_like(ids), aligned


def pad_with_arange(rows, labels, pad_id, value=-100):
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    ids = torch.full(mask.shape, pad_id)
    aligned = torch.full(mask.shape, value)
    ids[mask] = torch.tensor([i for row in rows for i in row])
    aligned[mask] = torch.tensor([i for row in labels for i in row])
    return ids, mask.long(), aligned


def pad_with_the_kit(rows, labels, pad_id):
    batch = collate(
        [Example(r, y, [0] * len(r)) for r, y in zip(rows, labels, strict=True)], pad_id, case=False
    )
    return batch["input_ids"], batch["attention_mask"], batch["labels"]


def mask_from_ids(rows, labels, pad_id):
    ids, _, aligned = pad_with_arange(rows, labels, pad_id)
    return ids, (ids != pad_id).long(), aligned


def mask_not_0(rows, labels, pad_id):
    ids, _, aligned = pad_with_arange(rows, labels, pad_id)
    return ids, ids != 0, aligned


def ids_0(rows, labels, pad_id):
    return pad_with_arange(rows, labels, 0)


def mask_from_labels(rows, labels, pad_id):
    ids, _, aligned = pad_with_arange(rows, labels, pad_id)
    return ids, (aligned != -100).long(), aligned


def upside_down(rows, labels, pad_id):
    ids, mask, aligned = pad_with_arange(rows, labels, pad_id)
    return ids, (mask == 0).long(), aligned


def labels_0(rows, labels, pad_id):
    return pad_with_arange(rows, labels, pad_id, value=0)


def labels_pad_id(rows, labels, pad_id):
    return pad_with_arange(rows, labels, pad_id, value=pad_id)


def only_the_labels(rows, labels, pad_id):
    ids, _, aligned = pad_with_arange(rows, labels, pad_id)
    return ids, torch.ones(ids.shape), aligned


def ids_ignored(rows, labels, pad_id):
    _, mask, aligned = pad_with_arange(rows, labels, pad_id)
    return pad_with_arange(rows, labels, -100)[0], mask, aligned


def mask_from_ids_labels_pad_id(rows, labels, pad_id):
    ids, _, aligned = pad_with_arange(rows, labels, pad_id, value=pad_id)
    return ids, (ids != pad_id).long(), aligned


def float_ids(rows, labels, pad_id):
    ids, mask, aligned = pad_with_arange(rows, labels, pad_id)
    return ids.float(), mask, aligned


def float_labels(rows, labels, pad_id):
    ids, mask, aligned = pad_with_arange(rows, labels, pad_id)
    return ids, mask, aligned.float()


def left(rows, labels, pad_id):
    longest = max(map(len, rows))
    ids = [[pad_id] * (longest - len(r)) + r for r in rows]
    mask = [[0] * (longest - len(r)) + [1] * len(r) for r in rows]
    aligned = [[-100] * (longest - len(y)) + y for y in labels]
    return torch.tensor(ids), torch.tensor(mask), torch.tensor(aligned)


def to_128(rows, labels, pad_id):
    ids = torch.tensor([r + [pad_id] * (128 - len(r)) for r in rows])
    mask = torch.tensor([[1] * len(r) + [0] * (128 - len(r)) for r in rows])
    return ids, mask, torch.tensor([y + [-100] * (128 - len(y)) for y in labels])


def pads_the_rows_themselves(rows, labels, pad_id):
    longest = max(map(len, rows))
    mask = torch.tensor([[1] * len(r) + [0] * (longest - len(r)) for r in rows])
    for r, y in zip(rows, labels, strict=True):
        y += [-100] * (longest - len(y))
        r += [pad_id] * (longest - len(r))
    return torch.tensor(rows), mask, torch.tensor(labels)


@pytest.mark.parametrize(
    "answer, misconception",
    [
        (colleagues_batch, "unchanged"),
        (labels_pad_id, "labels-padded-with-pad-id"),
        (labels_0, "labels-padded-with-0"),
        (only_the_labels, "mask-all-1"),
        (mask_from_ids, "mask-from-pad-id"),
        (mask_not_0, "mask-from-0"),
        (ids_0, "ids-padded-with-0"),
        (mask_from_labels, "mask-from-labels"),
        (upside_down, "mask-inverted"),
        (ids_ignored, "ids-padded-with-minus-100"),
        (left, "padded-at-the-front"),
        (mask_from_ids_labels_pad_id, "mask-from-pad-id-and-labels-padded-with-pad-id"),
        (float_ids, "ids-not-whole"),
        (float_labels, "labels-not-whole"),
        (to_128, "wrong-shape"),
        (lambda r, y, p: pad_with_arange(r, y, p)[:2], "wrong-number-of-values"),
        (lambda r, y, p: torch.tensor(r), "raises"),
        (pads_the_rows_themselves, "changes-its-arguments"),
    ],
)
def test_padding_wrong(answer, misconception):
    rejected(check.q3, answer, misconception)


def test_padding_right():
    for answer in (alignment.pad_batch, pad_with_arange, pad_with_the_kit):
        accepted(check.q3, answer)
    depends_on_its_spec(check.q3, pad_with_the_kit, labels_0)
    depends_on_its_spec(check.q3, pad_with_arange, only_the_labels)


# --- Two taggings ---------------------------------------------------------------------------------


def test_two_taggings_by_the_kit():
    scores = {name: metrics.entity_scores([TAGGINGS["gold"]], [TAGGINGS[name]]) for name in "AB"}
    assert [scores[name]["token_accuracy"] for name in "AB"] == pytest.approx([11 / 14, 9 / 14])
    assert scores["A"]["f1"] == 0 and scores["B"]["f1"] == pytest.approx(2 / 3)


# --- 4: by hand -----------------------------------------------------------------------------------


def numbers(right, found, in_gold, value):
    return {"right": right, "found": found, "in gold": in_gold, "F1": value}


@pytest.mark.parametrize(
    "answer, misconception",
    [
        (numbers(4, 7, 8, 0.489), "mean-of-sentences"),
        (numbers(4, 7, 8, 0.57), "precision"),
        (numbers(4, 7, 8, 1 / 2), "recall"),
        (numbers(4, 7, 8, 0.267), "half"),
        (numbers(9, 12, 13, 18 / 25), "counts-words"),
        (numbers(6, 7, 8, 0.8), "ignores-the-type"),
        (numbers(5, 7, 8, 10 / 15), "overlap-counts"),
        (numbers(5, 8, 8, 0.625), "orphans-open-names"),
        (numbers(4, 8, 8, 0.5), "wrong-found"),
        (numbers(4, 7, 7, 0.57), "wrong-in-gold"),
        (numbers(4, 7, 8, 0.86), "wrong-f1"),
        (numbers(4, 7, 8, 53.3), "percent"),
        (numbers(4, 7, 8, None), "incomplete"),
        (numbers("4", 7, 8, 0.53), "wrong-form"),
        (0.533, "wrong-form"),
    ],
)
def test_by_hand_wrong(answer, misconception):
    rejected(check.q4, answer, misconception)


def test_by_hand_right():
    for answer in (
        numbers(4, 7, 8, 8 / 15),
        numbers(4, 7, 8, 0.53),
        of(check.q4.exercise.solution, "by_hand"),
    ):
        accepted(check.q4, answer)
        depends_on_its_spec(check.q4, answer, lambda: numbers(5, 8, 8, 10 / 16))
    assert f1_score(GOLD, FOUND, mode="strict", scheme=IOB2) == pytest.approx(8 / 15)
    assert all(len(text) == len(gold) == len(found) for text, gold, found in THREE)


# --- 5: in code -----------------------------------------------------------------------------------


def spans(tags):
    found, i = [], 0
    while i < len(tags):
        if tags[i][0] == "B":
            j = i + 1
            while j < len(tags) and tags[j] == "I" + tags[i][1:]:
                j += 1
            found.append((tags[i][2:], i, j))
            i = j
        else:
            i += 1
    return found


def score(gold, found, spans=spans, key=lambda span: span):
    tp = fp = fn = 0
    for g, f in zip(gold, found, strict=True):
        g, f = {key(s) for s in spans(g)}, {key(s) for s in spans(f)}
        tp, fp, fn = tp + len(g & f), fp + len(f - g), fn + len(g - f)
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0


def macro_over_sentences(gold, found):
    return sum(score([g], [f]) for g, f in zip(gold, found, strict=True)) / len(gold)


def perfect_where_there_is_nothing(gold, found):
    each = [
        score([g], [f]) if spans(g) or spans(f) else 1.0 for g, f in zip(gold, found, strict=True)
    ]
    return sum(each) / len(each)


def words_f1(gold, found):
    g, f = [t for s in gold for t in s], [t for s in found for t in s]
    tp = sum(a == b and a != "O" for a, b in zip(g, f, strict=True))
    n = sum(t != "O" for t in g) + sum(t != "O" for t in f)
    return 2 * tp / n if n else 0


def accuracy(gold, found):
    g, f = [t for s in gold for t in s], [t for s in found for t in s]
    return sum(a == b for a, b in zip(g, f, strict=True)) / len(g)


def lenient(tags):
    found, opened = [], None
    for i, tag in enumerate([*tags, "O"]):
        if opened and (tag[0] != "I" or tag[2:] != opened[0]):
            found.append((*opened, i))
            opened = None
        if tag != "O" and not opened:
            opened = (tag[2:], i)
    return found


def type_of_the_first(tags):
    found, opened = [], None
    for i, tag in enumerate([*tags, "O"]):
        if opened and tag[0] != "I":
            found.append((*opened, i))
            opened = None
        if tag[0] == "B":
            opened = (tag[2:], i)
    return found


def forgets_the_end(tags):
    found, opened = [], None
    for i, tag in enumerate(tags):
        if opened and tag != f"I-{opened[0]}":
            found.append((*opened, i))
            opened = None
        if tag[0] == "B":
            opened = (tag[2:], i)
    return found


def without_sentence_number(gold, found):
    g, f = {s for tags in gold for s in spans(tags)}, {s for tags in found for s in spans(tags)}
    return 2 * len(g & f) / (len(g) + len(f)) if g or f else 0.0


def flattened(gold, found):
    return score([sum(gold, [])], [sum(found, [])])


def precision(gold, found):
    right = sum(len(set(spans(g)) & set(spans(f))) for g, f in zip(gold, found, strict=True))
    return right / max(1, sum(len(spans(f)) for f in found))


def recall(gold, found):
    return precision(found, gold)


def overlaps(gold, found):
    right = marked = in_gold = 0
    for g, f in zip(gold, found, strict=True):
        for kind, start, end in spans(f):
            right += any(
                k == kind and set(range(a, b)) & set(range(start, end)) for k, a, b in spans(g)
            )
        marked += len(spans(f))
        in_gold += len(spans(g))
    return 2 * right / (marked + in_gold) if marked + in_gold else 0.0


@pytest.mark.parametrize(
    "answer, misconception",
    [
        (macro_over_sentences, "mean-of-sentences"),
        (perfect_where_there_is_nothing, "mean-of-sentences-undefined-as-1"),
        (
            lambda g, f: f1_score(g, f, zero_division=0),
            "orphans-open-names",
        ),  # seqeval as it comes is not strict
        (words_f1, "word-f1"),
        (accuracy, "token-accuracy"),
        (lambda g, f: score(g, f, lenient), "orphans-open-names"),
        (lambda g, f: score(g, f, type_of_the_first), "any-type-continues"),
        (lambda g, f: score(g, f, forgets_the_end), "loses-the-last-name"),
        (lambda g, f: score(g, f, key=lambda s: s[1:]), "ignores-the-type"),
        (lambda g, f: score(g, f, key=lambda s: s[:2]), "ignores-the-end"),
        (overlaps, "overlap-counts"),
        (without_sentence_number, "mixes-sentences"),
        (flattened, "joins-sentences"),
        (precision, "precision"),
        (recall, "recall"),
        (
            lambda g, f: 2 * precision(g, f) * recall(g, f) / (precision(g, f) + recall(g, f)),
            "raises",
        ),
        (lambda g, f: score(g, f) / 2, "wrong-value"),
    ],
)
def test_entity_f1_wrong(answer, misconception):
    rejected(check.q5, answer, misconception)


def test_entity_f1_right():
    for answer in (entity_f1.entity_f1, score, lambda g, f: metrics.entity_scores(g, f)["f1"]):
        accepted(check.q5, answer)
        depends_on_its_spec(check.q5, answer, lambda gold, found: score(gold, found, lenient))


def test_entity_f1_is_that_of_seqeval():
    """On the inputs of the check and on many more, malformed tags among them."""
    for seed in range(300):
        gold, found = entity_f1.some_tags(seed)
        strict = f1_score(gold, found, mode="strict", scheme=IOB2, zero_division=0)
        assert entity_f1.entity_f1_slowly(gold, found) == pytest.approx(strict), seed


# --- 6: a data collator ---------------------------------------------------------------------------


def collate_like_mine(examples, pad_id, labels=None, ids_of="input_ids"):
    labels = labels or [alignment.align(e["word_ids"], e["labels"]) for e in examples]
    width = max(len(e["input_ids"]) for e in examples)

    def pad(rows, value):
        return torch.tensor([row + [value] * (width - len(row)) for row in rows])

    ids = [e["input_ids"] for e in examples]
    return {
        "labels": pad(labels, IGNORE),
        "input_ids": pad(ids, pad_id),
        "attention_mask": pad([[1] * len(row) for row in ids], 0),
        "token_type_ids": pad([e["case"] for e in examples], 0),
    }


def unaligned(examples, pad_id):
    return collate_like_mine(examples, pad_id, [e["labels"] for e in examples])


def one_pad_for_all(examples, pad_id):
    batch = collate_like_mine(examples, pad_id)
    case, _, _ = alignment.pad_batch([e["case"] for e in examples], [[0]] * 3, pad_id)
    return batch | {"token_type_ids": case}


def words_padded(examples, pad_id):
    rows = [e["labels"] for e in examples]
    labels = alignment.pad_batch(rows, rows, 0)[2]
    return collate_like_mine(examples, pad_id) | {"labels": labels}


def but(name):
    return lambda e, p: {k: v for k, v in collate_like_mine(e, p).items() if k != name}


def renamed(**names):
    return lambda e, p: {names.get(k, k): v for k, v in collate_like_mine(e, p).items()}


def labels_0_everywhere(examples, pad_id):
    batch = collate_like_mine(examples, pad_id)
    return batch | {"labels": torch.zeros_like(batch["labels"])}


@pytest.mark.parametrize(
    ("answer", "misconception"),
    [
        (words_padded, "labels-of-words"),
        (unaligned, "labels-of-words-to-full-length"),
        (one_pad_for_all, "case-padded-with-pad-id"),
        (but("attention_mask"), "no-mask"),
        (but("token_type_ids"), "no-token-types"),
        (but("labels"), "no-labels"),
        (renamed(attention_mask="mask", token_type_ids="case"), "key-mask-and-case"),
        (lambda e, p: collate_like_mine(e, 0), "ids-padded-with-0"),
        (lambda e, p: collate_like_mine(e, p, [[0] * len(x["case"]) for x in e]), "wrong-value"),
        (labels_0_everywhere, "labels-all-0"),
        (lambda e, p: alignment.pad_batch([x["input_ids"] for x in e], [[0]] * 3, p), "wrong-type"),
    ],
)
def test_collate_wrong(answer, misconception):
    outcome = check.q6(answer)
    assert outcome.outcome == "not yet"
    if misconception not in ("wrong-type", "wrong-value"):
        assert outcome.misconception == misconception, outcome


def test_collate_right():
    accepted(check.q6, collate_like_mine)
    depends_on_its_spec(check.q6, collate_like_mine, words_padded)


# --- 7: the training loop -------------------------------------------------------------------------


def loop(model, batches, objective, lr, *, left_out=(), optimizer=torch.optim.AdamW):
    """The usual order of the lines: the gradient is set to zero first."""
    step = optimizer(model.parameters(), lr)
    if "train" not in left_out:
        model.train()
    losses = []
    for batch in batches:
        if "zero_grad" not in left_out:
            model.zero_grad()
        logits = model(batch["input_ids"], batch["attention_mask"]).logits
        loss, prediction, reward = objective(logits, batch["labels"])
        loss = prediction if "reward" in left_out else reward if "prediction" in left_out else loss
        loss.backward()
        if "step" not in left_out:
            step.step()
        losses.append(float(loss.detach()))
    return losses


def without(*left_out, **more):
    return lambda *args: loop(*args, left_out=left_out, **more)


def new_optimizer_each_time(model, batches, objective, lr):
    return [loop(model, [batch], objective, lr)[0] for batch in batches]


@pytest.mark.parametrize(
    ("answer", "misconception"),
    [
        (without("step"), "no-step"),
        (without("zero_grad"), "gradients-add-up"),
        (without("train"), "evaluation-mode"),
        (without("reward"), "prediction-loss-alone"),
        (without("prediction"), "reward-loss-alone"),
        (without(optimizer=torch.optim.SGD), "sgd"),
        (without(optimizer=torch.optim.Adam), "adam"),
        (new_optimizer_each_time, "optimizer-for-each-batch"),
        (lambda *args: float(sum(loop(*args)) / 4), "mean-of-losses"),
        (lambda *args: loop(*args)[-1:], "wrong-value"),
        (lambda model, batches, objective, lr: model(batches), "raises"),
    ],
)
def test_training_loop_wrong(answer, misconception):
    outcome = check.q7(answer)
    assert outcome.outcome == "not yet"
    if misconception != "wrong-value":
        assert outcome.misconception == misconception, outcome


def batch_as_it_is(model, batches, objective, lr):
    """As tutorials write it: the model gets the labels as well."""
    step = torch.optim.AdamW(model.parameters(), lr)
    model.train()
    losses = []
    for batch in batches:
        step.zero_grad()
        loss = objective(model(**batch).logits, batch["labels"]).total
        loss.backward()
        step.step()
        losses.append(float(loss.detach()))
    return losses


def the_models_own_loss(model, batches, objective, lr, shown="loss"):
    """The article's loop, E10."""
    step = torch.optim.AdamW(model.parameters(), lr)
    model.train()
    losses = []
    for batch in batches:
        step.zero_grad()
        output = model(**batch)
        output.loss.backward()
        step.step()
        total = objective(output.logits, batch["labels"]).total
        losses.append(output.loss.item() if shown == "loss" else total.item())
    return losses


def takes_the_labels_out(model, batches, objective, lr):
    losses = []
    for batch in batches:
        labels = batch.pop("labels")
        losses.append(objective(model(**batch).logits, labels).total.item())
    return losses


@pytest.mark.parametrize(
    ("answer", "misconception"),
    [
        (the_models_own_loss, "prediction-loss-alone"),
        (lambda *args: the_models_own_loss(*args, shown="total"), "backward-from-prediction"),
        (takes_the_labels_out, "changes-its-arguments"),
        (lambda *args: [torch.tensor(loss) for loss in loop(*args)], "tensors-for-floats"),
    ],
)
def test_training_loop_of_a_tutorial(answer, misconception):
    rejected(check.q7, answer, misconception)


def test_training_loop_right():
    for answer in (own_training.train, loop, batch_as_it_is):
        accepted(check.q7, answer)
        depends_on_its_spec(check.q7, answer, without("step"))


# --- 8: Trainer -----------------------------------------------------------------------------------


def call_with(change=None, **others):
    """The right call with other arguments: a value, or None for one that is left out."""

    def answer(objective, model, examples, collator, settings, lr):
        optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
        given = {
            "model": model,
            "args": settings,
            "train_dataset": examples,
            "data_collator": collator,
            "compute_loss_func": objective,
            "optimizers": (optimizer, None),
        }
        if change:
            given |= change(objective, model, optimizer)
        return Trainer(**{name: value for name, value in given.items() if value is not None})

    return answer


def optimizers(make, **how):
    return call_with(lambda _, model, __: {"optimizers": (make(model.parameters(), **how), None)})


@pytest.mark.parametrize(
    ("answer", "misconception"),
    [
        (call_with(lambda *_: {"compute_loss_func": None}), "no-objective"),
        (call_with(lambda *_: {"optimizers": None}), "no-optimizer"),
        (call_with(lambda _, __, optimizer: {"optimizers": optimizer}), "no-pair"),
        (call_with(lambda _, __, optimizer: {"optimizer": optimizer}), "no-pair-optimizer"),
        (call_with(lambda *_: {"args": None}), "no-settings"),
        (call_with(lambda *_: {"train_dataset": None}), "no-examples"),
        (call_with(lambda *_: {"data_collator": None}), "no-collator"),
        (call_with(lambda *_: {"model": torch.nn.Linear(3, 2)}), "another-model"),
        (
            call_with(
                lambda objective, *_: {
                    "compute_loss_func": lambda output, labels, num_items_in_batch: (
                        objective(output.logits, labels).prediction
                    )
                }
            ),
            "another-loss",
        ),
        (optimizers(torch.optim.SGD, lr=0.003), "another-optimizer"),
        (optimizers(torch.optim.AdamW), "another-learning-rate"),
        (optimizers(torch.optim.AdamW, lr=0.003, weight_decay=0.1), "another-weight-decay"),
        (lambda objective, model, *_: torch.optim.AdamW(model.parameters()), "no-trainer"),
        (lambda *args: print(type(own_training_call(*args))), "returns-none"),
        (lambda *args: 1 / 0, "raises"),
        (3, "not-a-function"),
    ],
)
def test_with_trainer_wrong(answer, misconception):
    rejected(check.q8, answer, misconception)


def own_training_call(*args):
    return call_with()(*args)


def test_with_trainer_right():
    through_a_function = call_with(
        lambda objective, *_: {
            "compute_loss_func": lambda output, labels, num_items_in_batch: (
                objective(output.logits, labels).total
            )
        }
    )
    for answer in (with_trainer.trainer_with, call_with(), through_a_function):
        accepted(check.q8, answer)
        depends_on_its_spec(check.q8, answer, call_with(lambda *_: {"compute_loss_func": None}))


# --- 9: early stopping ----------------------------------------------------------------------------


def stop(scores, patience, late=0, ties=False):
    waited, kept = 0, 0
    for i, score in enumerate(scores):
        better = i == 0 or score > scores[kept] or ties and score == scores[kept]
        waited = 0 if better else waited + 1
        kept = i if better else kept
        if waited == patience + late:
            break
    return i + 1, kept + 1


def never_set_back(scores, patience):
    best, kept, waited = -1.0, 0, 0
    for i, score in enumerate(scores, 1):
        if score > best:
            best, kept = score, i
        else:
            waited += 1
        if waited == patience:
            break
    return i, kept


def test_early_stopping():
    for answer in (own_training.early_stopping, stop):
        accepted(check.q9, answer)
        depends_on_its_spec(check.q9, answer, lambda s, p: stop(s, p + 1))
    assert stop([0.62, 0.71, 0.74, 0.73, 0.74, 0.7, 0.76], 3) == (6, 3)  # as in the lesson
    rejected(check.q9, lambda s, p: stop(s, p, late=1), "one-epoch-late")
    rejected(check.q9, lambda s, p: stop(s, p, ties=True), "ties-count-as-better")
    rejected(check.q9, lambda s, p: (stop(s, p)[0],) * 2, "keeps-the-last")
    rejected(check.q9, lambda s, p: (stop(s, p)[1],) * 2, "best-epoch-twice")
    rejected(check.q9, lambda s, p: tuple(k - 1 for k in stop(s, p)), "counts-from-0")
    rejected(check.q9, lambda s, p: stop(s, 99), "never-stops")
    rejected(check.q9, lambda s, p: (stop(s, p)[0], stop(s, 99)[1]), "sees-the-future")
    rejected(check.q9, never_set_back, "counter-never-reset")
    rejected(check.q9, lambda s, p: stop(s, p)[0], "wrong-number-of-values")


# --- What the lesson computes ---------------------------------------------------------------------


def test_the_stored_faults():
    for rows in (lesson.setting(), lesson.setting("from [CLS] on", "labelled O", "no")):
        assert list(rows.index) == [0, 1, 2]
        for _, row in rows.iterrows():
            right, spurious, missing, _ = sentence_counts(row).sum(0)
            of_counts = 2 * right / (2 * right + spurious + missing)
            assert of_counts == pytest.approx(row["f1"], abs=1e-6)
            assert right + missing == 1220  # the names of the test part
    study = lesson.fault_study()
    for fault in study.values():
        assert fault.difference.mean == pytest.approx(fault.with_it - fault.without, abs=1e-5)
    # what the lesson says about them
    singles = list(study)[:4]
    assert min(singles, key=lambda name: study[name].difference.mean) == "labels from [CLS] on"
    stands = {name: fault.difference.stands for name, fault in study.items()}
    assert stands["labels from [CLS] on"] and stands["padding labelled O"]
    assert not stands["no MISC"] and not stands["no reward"]
    longer = lesson.setting("from [CLS] on", epochs=12).loc[0]
    assert longer["f1"] == pytest.approx(0.25, abs=0.005)
    assert longer["f1 at first tokens"] == pytest.approx(0.003, abs=0.0005)


def test_alpha_1_against_0_over_three_seeds_is_undecided():
    """It was once taught from one seed that α = 1 costs F1."""
    difference = lesson.sweep_of(1.0) - lesson.sweep_of(0.0)
    effect = over_seeds(difference)
    assert len(difference) == 3 and not effect.stands
    assert effect.mean == pytest.approx(-0.0113, abs=1e-3)


def test_wrong_labels_of_the_newswire(tagger):
    train = newswire().train
    wrong, padding = lesson.wrong_labels(tagger, train, alignment.labels_as_printed)
    assert wrong == pytest.approx(0.934, abs=1e-3)
    assert padding == pytest.approx(0.797, abs=1e-3)
    assert sum(any("MISC" in tag for tag in s.tags) for s in train) == 528  # KeyErrors, E12


def test_padding_bugs_are_seen(tagger):
    train = newswire().train
    short, long = train[0], max(train[:12], key=lambda s: len(s.words))
    (alone, beside), difference = lesson.alone_and_beside(tagger, short, long, colleagues_batch)
    assert alone < beside and difference > 0.01
    (alone, beside), difference = lesson.alone_and_beside(tagger, short, long, alignment.pad_batch)
    assert alone == beside and difference < 1e-4


def test_padding_to_a_fixed_length_is_not_seen(tagger):
    """What the lesson says that its test doesn't find."""

    def as_in_the_article(rows, labels, pad_id):
        ids = torch.tensor([row + [pad_id] * (48 - len(row)) for row in rows])
        aligned = torch.tensor([own + [0] * (48 - len(own)) for own in labels])
        return ids, torch.ones_like(ids), aligned

    train = newswire().train
    short, long = train[0], max(train[:12], key=lambda s: len(s.words))
    (alone, beside), difference = lesson.alone_and_beside(tagger, short, long, as_in_the_article)
    assert alone == beside and difference < 1e-4


def test_an_example_collates_to_what_the_kit_encodes(tagger):
    sentences = newswire().train[:5]
    batch = own_training.collate([lesson.example_of(s, tagger) for s in sentences])
    for name, tensor in collate(tagger.encode(sentences).examples).items():
        assert torch.equal(batch[name], tensor), name
    kits = lesson.kits_collate([lesson.example_of(s, tagger) for s in sentences])
    assert lesson.different_values([batch], [kits]) == 0
    wrong = batch | {"labels": batch["labels"].clamp(max=0)}
    assert lesson.different_values([wrong], [kits]) > 0


def test_sentences_labelled_by_a_function_for_the_kits_loop(tagger):
    sentences = newswire().train[:20]
    own = lesson.labelled_by(alignment.align, sentences, tagger)
    assert own == tagger.encode(sentences).examples
    wrong = lesson.labelled_by(every_token, sentences, tagger)
    assert wrong != own


def test_the_collator_in_place_of_the_learners_uses_the_learners_functions(tagger, monkeypatch):
    calls = []

    class Counted:
        def align(self, *args):
            calls.append("align")
            return alignment.align(*args)

        def pad_batch(self, *args):
            calls.append("pad_batch")
            return alignment.pad_batch(*args)

    monkeypatch.setattr(own_training, "mine", Counted())
    own_training.collate([lesson.example_of(s, tagger) for s in newswire().train[:3]])
    assert calls == ["align"] * 3 + ["pad_batch"] * 2


def test_whose_loss(capsys):
    assert "mine.objective was not put in" in lesson.whose_loss(RewardObjective(1.0))
    assert lesson.whose_loss(lesson.mine.objective(1.0)).startswith("mine.token_loss (")


def test_the_interval_over_sentences():
    gold = [["B-PER", "O"], ["O", "O"], ["B-LOC", "I-LOC"]]
    worse, better = [["O", "O"]] * 3, [["B-PER", "O"], ["B-LOC", "O"], ["B-LOC", "I-LOC"]]
    effect = lesson.over_sentences(gold, worse, better)
    assert effect.mean == pytest.approx(2 * 2 / (2 * 2 + 1))
    assert effect.low < effect.mean <= effect.high == 1


# --- All ------------------------------------------------------------------------------------------


def test_the_inputs_hold_the_hard_cases():
    tokens = [alignment.some_tokens(seed) for seed in range(DRAWS)]
    missing = [
        set(range(max(w for w in word_ids if w is not None))) - set(word_ids)
        for word_ids, _ in tokens
    ]
    assert any(missing) and any(word_ids[-2:] == [None, None] for word_ids, _ in tokens)
    printed = [alignment.some_labels(seed) for seed in range(DRAWS)]
    assert any(len(labels) > length for labels, length in printed)
    assert any(len(labels) < length for labels, length in printed)
    rows = [alignment.some_rows(seed) for seed in range(DRAWS)]
    assert any(pad_id in row for batch, _, pad_id in rows for row in batch)
    assert any(len({len(row) for row in batch}) == 1 for batch, _, _ in rows)
    tags = [entity_f1.some_tags(seed) for seed in range(DRAWS)]
    assert not any(entity_f1.names(t) for side in tags[0] for t in side)
    assert any(entity_f1.orphans_too(t) != entity_f1.names(t) for _, found in tags for t in found)


def test_the_questions():
    assert len(QUESTIONS) == 3
    number = QUESTIONS[1]
    gold = [["B-PER", "I-PER", "O"], ["B-LOC"], ["B-LOC"], ["B-LOC"], ["O"]]
    found = [["O", "B-PER", "O"], ["B-LOC"], ["B-LOC"], ["B-LOC"], ["B-ORG"]]
    assert number.explain(metrics.entity_scores(gold, found)["f1"])[0]
    assert IGNORE == -100  # the questions and messages say so
