"""The checks on a BERT that finds names, on answers that students give.

Their specs are held against seqeval and the kit.
"""

import pytest
import torch
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoTokenizer

from rmlib import RewardObjective
from rmlib.exercises.bert_ner import alignment, entity_f1, loss
from rmlib.exercises.bert_ner.exercises import FOUND, GOLD, TAGGINGS, THREE, check
from rmlib.exercises.bert_ner.quiz import QUESTIONS
from rmlib.exercises.framework.exercise import DRAWS
from rmlib.text import metrics
from rmlib.text.conll import Sentence
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


# --- 1: labels on subword tokens ------------------------------------------------------------------


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
    return [-100, *aligned, *[-100] * (word_ids.count(None) - 1)]


def minus_one(word_ids, labels):
    return [-1 if label == -100 else label for label in align_by_index(word_ids, labels)]


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
        (lambda w, y: torch.tensor(align_by_index(w, y)), "tensor-for-list"),
        (lambda w, y: print(align_by_index(w, y)), "returns-none"),
        (lambda w, y: [y[i] for i in w], "raises"),
        (sorts_in_place, "changes-its-arguments"),
    ],
)
def test_align_wrong(answer, misconception):
    rejected(check.q1, answer, misconception)


def test_align_right():
    for answer in (alignment.align, align_with_a_set, align_by_index):
        accepted(check.q1, answer)
        depends_on_its_spec(
            check.q1, answer, lambda w, y: [label + 1 for label in align_by_index(w, y)]
        )


def test_align_is_what_the_kit_does(minilm):
    """On a real tokenizer's subword tokens."""
    tokenizer = AutoTokenizer.from_pretrained(minilm)
    words = ["Helga", "Aronsson", "of", "Tamarind", "Retail", "met", "Zdzisława", "near"]
    words += ["Llanfairpwll", "in", "Entre", "Ríos", ",", "unbelievably", "."]
    tags = [f"{mark}-{kind}" for kind in ("PER", "ORG", "LOC") for mark in "BI"] + ["O"]
    for shift in range(len(tags)):
        own = tuple(tags[(i * 3 + shift) % len(tags)] for i in range(len(words)))
        for max_length in (512, 12):
            (example,) = encode([Sentence(tuple(words), own)], tokenizer, tags, max_length).examples
            tokens = tokenizer(
                words, is_split_into_words=True, truncation=True, max_length=max_length
            )
            aligned = alignment.align_slowly(tokens.word_ids(), [tags.index(tag) for tag in own])
            assert aligned == example.labels


# --- 2: padding -----------------------------------------------------------------------------------


def colleagues_batch(rows, labels, pad_id):
    """As in the lesson."""
    ids, aligned = (
        pad_sequence([torch.tensor(row) for row in part], batch_first=True, padding_value=pad_id)
        for part in (rows, labels)
    )
    return ids, torch.ones_like(ids), aligned


def fill_up_with_arange(rows, labels, pad_id, value=-100):
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    ids = torch.full(mask.shape, pad_id)
    aligned = torch.full(mask.shape, value)
    ids[mask] = torch.tensor([i for row in rows for i in row])
    aligned[mask] = torch.tensor([i for row in labels for i in row])
    return ids, mask.long(), aligned


def fill_up_with_the_kit(rows, labels, pad_id):
    batch = collate(
        [Example(r, y, [0] * len(r)) for r, y in zip(rows, labels, strict=True)], pad_id, case=False
    )
    return batch["input_ids"], batch["attention_mask"], batch["labels"]


def mask_from_ids(rows, labels, pad_id):
    ids, _, aligned = fill_up_with_arange(rows, labels, pad_id)
    return ids, (ids != pad_id).long(), aligned


def mask_not_0(rows, labels, pad_id):
    ids, _, aligned = fill_up_with_arange(rows, labels, pad_id)
    return ids, ids != 0, aligned


def ids_0(rows, labels, pad_id):
    return fill_up_with_arange(rows, labels, 0)


def mask_from_labels(rows, labels, pad_id):
    ids, _, aligned = fill_up_with_arange(rows, labels, pad_id)
    return ids, (aligned != -100).long(), aligned


def upside_down(rows, labels, pad_id):
    ids, mask, aligned = fill_up_with_arange(rows, labels, pad_id)
    return ids, (mask == 0).long(), aligned


def labels_0(rows, labels, pad_id):
    return fill_up_with_arange(rows, labels, pad_id, value=0)


def labels_pad_id(rows, labels, pad_id):
    return fill_up_with_arange(rows, labels, pad_id, value=pad_id)


def only_the_labels(rows, labels, pad_id):
    ids, _, aligned = fill_up_with_arange(rows, labels, pad_id)
    return ids, torch.ones(ids.shape), aligned


def ids_ignored(rows, labels, pad_id):
    _, mask, aligned = fill_up_with_arange(rows, labels, pad_id)
    return fill_up_with_arange(rows, labels, -100)[0], mask, aligned


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


def fills_the_rows_themselves(rows, labels, pad_id):
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
        (to_128, "wrong-shape"),
        (lambda r, y, p: fill_up_with_arange(r, y, p)[:2], "wrong-number-of-values"),
        (lambda r, y, p: torch.tensor(r), "raises"),
        (fills_the_rows_themselves, "changes-its-arguments"),
    ],
)
def test_padding_wrong(answer, misconception):
    rejected(check.q2, answer, misconception)


def test_padding_right():
    for answer in (alignment.fill_up, fill_up_with_arange, fill_up_with_the_kit):
        accepted(check.q2, answer)
    depends_on_its_spec(check.q2, fill_up_with_the_kit, labels_0)
    depends_on_its_spec(check.q2, fill_up_with_arange, only_the_labels)


# --- 3: two taggings ------------------------------------------------------------------------------


def test_two_taggings():
    accepted(check.q3, {"token accuracy": "A", "entity F1": "B"})
    accepted(check.q3, of(check.q3.exercise.solution, "higher"))
    depends_on_its_spec(
        check.q3,
        {"token accuracy": "A", "entity F1": "B"},
        lambda: {"token accuracy": "B", "entity F1": "B"},
    )
    rejected(check.q3, {"token accuracy": "A", "entity F1": "A"}, "wrong-entity-f1")
    rejected(check.q3, {"token accuracy": "B", "entity F1": "B"}, "wrong-token-accuracy")
    rejected(check.q3, {"token accuracy": "B", "entity F1": "A"}, "scores-swapped")
    rejected(check.q3, {"token accuracy": "a", "entity F1": "b"}, "wrong-form")
    rejected(check.q3, {"token accuracy": "A", "entity F1": "?"}, "wrong-form")
    rejected(check.q3, "A", "wrong-form")


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


# --- 6: the loss that was promised ----------------------------------------------------------------


def with_the_kit(z, y, alpha):
    return RewardObjective(alpha, "soft_f1")(z, y).total


def in_plain_torch(z, y, alpha):
    weight = (y != IGNORE)[..., None].double()
    p = z.softmax(-1) * weight
    hot = torch.nn.functional.one_hot(y.clamp_min(0), z.shape[-1]) * weight
    surprise = -(z.log_softmax(-1) * hot).sum() / weight.sum()
    return (
        surprise
        + alpha
        - alpha * 2 * (p * hot)[..., 1:].sum() / (p[..., 1:].sum() + hot[..., 1:].sum())
    )


def the_articles_loss(z, y, alpha):
    return torch.nn.functional.cross_entropy(z.flatten(0, 1), y.flatten())


def f1_of(z, y, keep=IGNORE, first=1):
    kept = y != keep
    p, hot = (
        z[kept].softmax(-1)[:, first:],
        torch.nn.functional.one_hot(y[kept], z.shape[-1])[:, first:],
    )
    return 2 * (p * hot).sum() / (p.sum() + hot.sum())


def padding_is_o(z, y, alpha):
    y = y.where(y != IGNORE, 0)
    return the_articles_loss(z, y, alpha) + alpha * (1 - f1_of(z, y))


def padding_is_scored(z, y, alpha):
    filled = y.where(y != IGNORE, 0)
    return the_articles_loss(z, y, alpha) + alpha * (1 - f1_of(z, filled))


@pytest.mark.parametrize(
    "answer, misconception",
    [
        (the_articles_loss, "as-in-the-article"),
        (lambda z, y, a: the_articles_loss(z, y, a) + a * f1_of(z, y), "adds-the-reward"),
        (lambda z, y, a: the_articles_loss(z, y, a) - a * f1_of(z, y), "minus-the-reward"),
        (
            lambda z, y, a: a * (the_articles_loss(z, y, a) + 1 - f1_of(z, y)),
            "alpha-times-both",
        ),
        (
            lambda z, y, a: (1 - a) * the_articles_loss(z, y, a) + a * (1 - f1_of(z, y)),
            "convex-combination",
        ),
        (lambda z, y, a: a * (1 - f1_of(z, y)), "reward-loss-alone"),
        (padding_is_o, "padding-as-o"),
        (padding_is_scored, "padding-in-the-f1"),
        (
            lambda z, y, a: the_articles_loss(z, y, a) + a * (1 - f1_of(z, y, first=0)),
            "o-in-the-f1",
        ),
        (
            lambda z, y, a: (
                the_articles_loss(z, y, a)
                + a
                * (1 - torch.stack([f1_of(one, own) for one, own in zip(z, y, strict=True)]).mean())
            ),
            "mean-of-sentences",
        ),
        (
            lambda z, y, a: (
                RewardObjective(0.0)(z, y).total
                + a * RewardObjective(1.0, "soft_f1_macro")(z, y).reward
            ),
            "macro",
        ),
        (lambda z, y, a: with_the_kit(z.detach(), y, a), "no-gradient"),
        (lambda z, y, a: with_the_kit(z, y, a).item(), "no-gradient"),
        (
            lambda z, y, a: the_articles_loss(z, y, a) + a * (1 - f1_of(z.detach(), y)),
            "wrong-gradient",
        ),
        (lambda z, y, a: RewardObjective(a, "dice")(z, y).total, "wrong-value"),
    ],
)
def test_promised_loss_wrong(answer, misconception):
    rejected(check.q6, answer, misconception)


def test_promised_loss_right():
    for answer in (loss.total_loss, with_the_kit, in_plain_torch):
        accepted(check.q6, answer)
        depends_on_its_spec(check.q6, answer, lambda z, y, alpha: loss.total_loss_slowly(z, y, 0.0))


# --- All ------------------------------------------------------------------------------------------


def test_the_inputs_hold_the_hard_cases():
    tokens = [alignment.some_tokens(seed) for seed in range(DRAWS)]
    missing = [
        set(range(max(w for w in word_ids if w is not None))) - set(word_ids)
        for word_ids, _ in tokens
    ]
    assert any(missing) and any(word_ids[-2:] == [None, None] for word_ids, _ in tokens)
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
