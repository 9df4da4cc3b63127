"""The checks of lesson 04 against the answers that students give, and their specs against seqeval and the kit."""

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
from rmlib.text.batches import IGNORE, Example, encode
from rmlib.text.conll import Sentence
from tests.exercises.common import accepted, hangs_on_its_spec, helps, not_attempted, raises_under_nbgrader, rejected
from tests.text.padding import collate


@pytest.mark.parametrize("name", ["q1", "q2", "q3", "q4", "q5", "q6"])
def test_hints_and_solution(name):
    helps(getattr(check, name))


def of(solution: str, name: str):
    """The value that a solution's source gives to `name`."""
    space = {}
    exec(solution, space)
    return space[name]


# --- 1: labels on pieces --------------------------------------------------------------------------------------------


def align_with_a_set(word_ids, labels):
    laid, seen = [], set()
    for word in word_ids:
        if word is None or word in seen:
            laid.append(-100)
        else:
            seen.add(word)
            laid.append(labels[word])
    return laid


def align_by_index(word_ids, labels):
    laid = [-100] * len(word_ids)
    for word in {w for w in word_ids if w is not None}:
        laid[word_ids.index(word)] = labels[word]
    return laid


def align_stub(word_ids, labels):
    """One label a piece."""
    # YOUR CODE HERE
    ...


def every_piece(word_ids, labels):
    return [labels[w] if w is not None else -100 for w in word_ids]


def last_piece(word_ids, labels):
    after = word_ids[1:] + [None]
    return [labels[w] if w is not None and w != a else -100 for w, a in zip(word_ids, after, strict=True)]


def the_articles(word_ids, labels):
    labels = labels + [0] * (len(word_ids) - len(labels))
    return labels[: len(word_ids)]


def from_the_first_position(word_ids, labels):
    labels = labels + [-100] * (len(word_ids) - len(labels))
    return labels[: len(word_ids)]


def after_cls(word_ids, labels):
    return ([-100] + labels + [-100] * len(word_ids))[: len(word_ids)]


def zero_is_false(word_ids, labels):
    laid, before = [], None
    for word in word_ids:
        laid.append(labels[word] if word and word != before else -100)
        before = word
    return laid


def zeros(word_ids, labels):
    laid, before = [], None
    for word in word_ids:
        laid.append(0 if word is None or word == before else labels[word])
        before = word
    return laid


def zeros_at_special_pieces(word_ids, labels):
    laid, before = [], None
    for word in word_ids:
        laid.append(0 if word is None else -100 if word == before else labels[word])
        before = word
    return laid


def zeros_inside(word_ids, labels):
    laid, before = [], None
    for word in word_ids:
        laid.append(-100 if word is None else 0 if word == before else labels[word])
        before = word
    return laid


def counter(word_ids, labels):
    laid, before, n = [], None, 0
    for word in word_ids:
        if word is None or word == before:
            laid.append(-100)
        else:
            laid.append(labels[n])
            n += 1
        before = word
    return laid


def compares_labels(word_ids, labels):
    laid, before = [], None
    for word in word_ids:
        label = -100 if word is None else labels[word]
        laid.append(label if label != before else -100)
        before = label
    return laid


def skips_special_pieces(word_ids, labels):
    laid, before = [], None
    for word in word_ids:
        if word is None:
            continue
        laid.append(labels[word] if word != before else -100)
        before = word
    return laid


def one_label_a_word(word_ids, labels):
    laid = [labels[w] for i, w in enumerate(word_ids) if w is not None and w not in word_ids[:i]]
    return [-100, *laid, *[-100] * (word_ids.count(None) - 1)]


def minus_one(word_ids, labels):
    return [-1 if label == -100 else label for label in align_by_index(word_ids, labels)]


def sorts_in_place(word_ids, labels):
    labels.reverse()
    return [labels.pop() if w is not None else -100 for w in word_ids[:1]]


@pytest.mark.parametrize(
    "answer, fragment",
    [
        (every_piece, "Only one piece a word"),
        (last_piece, "on the last piece"),
        (the_articles, "the article's way"),
        (from_the_first_position, "start at [CLS]"),
        (after_cls, "one place off"),
        (zero_is_false, "ask `is None`"),
        (zeros, "Pieces that should not count get 0"),
        (zeros_at_special_pieces, "[CLS], [SEP] and padding get 0"),
        (zeros_inside, "further pieces of a word get 0"),
        (counter, "You count the words along"),
        (compares_labels, "Compare the words' numbers"),
        (skips_special_pieces, "[CLS], [SEP] and padding need one"),
        (one_label_a_word, "the further pieces of a word need one"),
        (minus_one, "do not ignore −1"),
        (lambda w, y: torch.tensor(align_by_index(w, y)), "a plain list"),
        (lambda w, y: print(align_by_index(w, y)), "`return`"),
        (lambda w, y: [y[i] for i in w], "TypeError"),
        (sorts_in_place, "changes what it is given"),
    ],
)
def test_align_wrong(answer, fragment):
    rejected(check.q1, answer, fragment)


def test_align_right():
    for answer in (alignment.align, align_with_a_set, align_by_index):
        accepted(check.q1, answer)
        hangs_on_its_spec(check.q1, answer, lambda w, y: [label + 1 for label in align_by_index(w, y)])
    not_attempted(check.q1, align_stub)
    not_attempted(check.q1, None)


def test_align_is_what_the_kit_does(minilm):
    """The kit's own alignment, from real pieces."""
    tokenizer = AutoTokenizer.from_pretrained(minilm)
    text = "Helga Aronsson of Tamarind Retail met Zdzisława near Llanfairpwll in Entre Ríos , unbelievably ."
    words = text.split()
    tags = [f"{mark}-{kind}" for kind in ("PER", "ORG", "LOC") for mark in "BI"] + ["O"]
    for shift in range(len(tags)):
        own = tuple(tags[(i * 3 + shift) % len(tags)] for i in range(len(words)))
        for room in (512, 12):
            (example,) = encode([Sentence(tuple(words), own)], tokenizer, tags, room).examples
            pieces = tokenizer(words, is_split_into_words=True, truncation=True, max_length=room)
            laid = alignment.labels_on_pieces(pieces.word_ids(), [tags.index(tag) for tag in own])
            assert laid == example.labels


# --- 2: padding -----------------------------------------------------------------------------------------------------


def colleagues_batch(rows, labels, pad_id):
    """As in the lesson."""
    ids, laid = (
        pad_sequence([torch.tensor(row) for row in part], batch_first=True, padding_value=pad_id)
        for part in (rows, labels)
    )
    return ids, torch.ones_like(ids), laid


def fill_up_with_arange(rows, labels, pad_id, value=-100):
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    ids = torch.full(mask.shape, pad_id)
    laid = torch.full(mask.shape, value)
    ids[mask] = torch.tensor([i for row in rows for i in row])
    laid[mask] = torch.tensor([i for row in labels for i in row])
    return ids, mask.long(), laid


def fill_up_with_the_kit(rows, labels, pad_id):
    batch = collate([Example(r, y, [0] * len(r)) for r, y in zip(rows, labels, strict=True)], pad_id, case=False)
    return batch["input_ids"], batch["attention_mask"], batch["labels"]


def fill_up_stub(rows, labels, pad_id):
    # YOUR CODE HERE
    ...


def mask_from_ids(rows, labels, pad_id):
    ids, _, laid = fill_up_with_arange(rows, labels, pad_id)
    return ids, (ids != pad_id).long(), laid


def mask_not_0(rows, labels, pad_id):
    ids, _, laid = fill_up_with_arange(rows, labels, pad_id)
    return ids, ids != 0, laid


def ids_0(rows, labels, pad_id):
    return fill_up_with_arange(rows, labels, 0)


def mask_from_labels(rows, labels, pad_id):
    ids, _, laid = fill_up_with_arange(rows, labels, pad_id)
    return ids, (laid != -100).long(), laid


def upside_down(rows, labels, pad_id):
    ids, mask, laid = fill_up_with_arange(rows, labels, pad_id)
    return ids, (mask == 0).long(), laid


def labels_0(rows, labels, pad_id):
    return fill_up_with_arange(rows, labels, pad_id, value=0)


def labels_pad_id(rows, labels, pad_id):
    return fill_up_with_arange(rows, labels, pad_id, value=pad_id)


def only_the_labels(rows, labels, pad_id):
    ids, _, laid = fill_up_with_arange(rows, labels, pad_id)
    return ids, torch.ones(ids.shape), laid


def ids_ignored(rows, labels, pad_id):
    _, mask, laid = fill_up_with_arange(rows, labels, pad_id)
    return fill_up_with_arange(rows, labels, -100)[0], mask, laid


def left(rows, labels, pad_id):
    longest = max(map(len, rows))
    ids = [[pad_id] * (longest - len(r)) + r for r in rows]
    mask = [[0] * (longest - len(r)) + [1] * len(r) for r in rows]
    laid = [[-100] * (longest - len(y)) + y for y in labels]
    return torch.tensor(ids), torch.tensor(mask), torch.tensor(laid)


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
    "answer, fragment",
    [
        (colleagues_batch, "still your colleague's batch"),
        (labels_pad_id, "as a label that number is a tag"),
        (labels_0, "filled up with 0"),
        (only_the_labels, "The mask is 1 on padding"),
        (mask_from_ids, "A real piece may have that id"),
        (mask_not_0, "compares ids with 0"),
        (ids_0, "The ids are filled up with 0"),
        (mask_from_labels, "hides every piece without a label"),
        (upside_down, "upside down"),
        (ids_ignored, "The ids are filled up with −100"),
        (left, "at the front"),
        (to_128, "result 1 of 3: the shape is"),
        (lambda r, y, p: fill_up_with_arange(r, y, p)[:2], "it returns 2 things; expected 3"),
        (lambda r, y, p: torch.tensor(r), "your code ends in ValueError"),
        (fills_the_rows_themselves, "changes what it is given"),
    ],
)
def test_padding_wrong(answer, fragment):
    rejected(check.q2, answer, fragment)


def test_padding_right():
    for answer in (alignment.fill_up, fill_up_with_arange, fill_up_with_the_kit):
        accepted(check.q2, answer)
    hangs_on_its_spec(check.q2, fill_up_with_the_kit, labels_0)
    hangs_on_its_spec(check.q2, fill_up_with_arange, only_the_labels)
    not_attempted(check.q2, fill_up_stub)


# --- 3: two taggings ------------------------------------------------------------------------------------------------


def test_two_taggings():
    accepted(check.q3, {"token accuracy": "A", "entity F1": "B"})
    accepted(check.q3, of(check.q3.exercise.solution, "higher"))
    hangs_on_its_spec(
        check.q3, {"token accuracy": "A", "entity F1": "B"}, lambda: {"token accuracy": "B", "entity F1": "B"}
    )
    rejected(check.q3, {"token accuracy": "A", "entity F1": "A"}, "A near miss counts nothing")
    rejected(check.q3, {"token accuracy": "B", "entity F1": "B"}, "does not ask for names")
    rejected(check.q3, {"token accuracy": "B", "entity F1": "A"}, "The other way round")
    rejected(check.q3, {"token accuracy": "a", "entity F1": "b"}, '"A" or "B"')
    rejected(check.q3, {"token accuracy": "A", "entity F1": "?"}, '"A" or "B"')
    rejected(check.q3, "A", "give a dict")
    not_attempted(check.q3, {"token accuracy": "?", "entity F1": "?"})


def test_two_taggings_by_the_kit():
    scores = {name: metrics.entity_scores([TAGGINGS["gold"]], [TAGGINGS[name]]) for name in "AB"}
    assert [scores[name]["token_accuracy"] for name in "AB"] == pytest.approx([11 / 14, 9 / 14])
    assert scores["A"]["f1"] == 0 and scores["B"]["f1"] == pytest.approx(2 / 3)


# --- 4: by hand -----------------------------------------------------------------------------------------------------


def numbers(right, found, in_gold, value):
    return {"right": right, "found": found, "in gold": in_gold, "F1": value}


@pytest.mark.parametrize(
    "answer, fragment",
    [
        (numbers(4, 7, 8, 0.489), "the mean of the three sentences' F1"),
        (numbers(4, 7, 8, 0.57), "precision"),
        (numbers(4, 7, 8, 1 / 2), "recall"),
        (numbers(4, 7, 8, 0.267), "the 2 above the line"),
        (numbers(9, 12, 13, 18 / 25), "You count words"),
        (numbers(6, 7, 8, 0.8), "whatever their type"),
        (numbers(5, 7, 8, 10 / 15), "too short"),
        (numbers(5, 8, 8, 0.625), "no B- opens"),
        (numbers(4, 8, 8, 0.5), '"found" is not 8. It counts'),
        (numbers(4, 7, 7, 0.57), '"in gold" is not 7. It counts'),
        (numbers(4, 7, 8, 0.86), '"F1" is not 0.86. It is made of'),
        (numbers(4, 7, 8, 53.3), "in per cent"),
        (numbers(4, 7, 8, None), "still to be filled in: F1"),
        (numbers("4", 7, 8, 0.53), "without quotes"),
        (0.533, "give a dict with the four keys"),
    ],
)
def test_by_hand_wrong(answer, fragment):
    rejected(check.q4, answer, fragment)


def test_by_hand_right():
    for answer in (numbers(4, 7, 8, 8 / 15), numbers(4, 7, 8, 0.53), of(check.q4.exercise.solution, "by_hand")):
        accepted(check.q4, answer)
        hangs_on_its_spec(check.q4, answer, lambda: numbers(5, 8, 8, 10 / 16))
    not_attempted(check.q4, numbers(None, None, None, None))
    assert f1_score(GOLD, FOUND, mode="strict", scheme=IOB2) == pytest.approx(8 / 15)
    assert all(len(text) == len(gold) == len(found) for text, gold, found in THREE)


# --- 5: in code -----------------------------------------------------------------------------------------------------


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


def score_stub(gold, found):
    """Entity F1."""
    # YOUR CODE HERE
    ...


def macro_over_sentences(gold, found):
    return sum(score([g], [f]) for g, f in zip(gold, found, strict=True)) / len(gold)


def sure_where_there_is_nothing(gold, found):
    each = [score([g], [f]) if spans(g) or spans(f) else 1.0 for g, f in zip(gold, found, strict=True)]
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
    right = marked = there = 0
    for g, f in zip(gold, found, strict=True):
        for kind, start, end in spans(f):
            right += any(k == kind and set(range(a, b)) & set(range(start, end)) for k, a, b in spans(g))
        marked, there = marked + len(spans(f)), there + len(spans(g))
    return 2 * right / (marked + there) if marked + there else 0.0


@pytest.mark.parametrize(
    "answer, fragment",
    [
        (macro_over_sentences, "the mean of the sentences' F1"),
        (sure_where_there_is_nothing, "with 1 for a sentence without names"),
        (lambda g, f: f1_score(g, f, zero_division=0), "only B- does"),  # seqeval as it comes is not strict
        (words_f1, "an F1 of words"),
        (accuracy, "token accuracy"),
        (lambda g, f: score(g, f, lenient), "only B- does"),
        (lambda g, f: score(g, f, type_of_the_first), "I-LOC does not continue B-PER"),
        (lambda g, f: score(g, f, forgets_the_end), "ends with its sentence is lost"),
        (lambda g, f: score(g, f, key=lambda s: s[1:]), "The type of a name does not count"),
        (lambda g, f: score(g, f, key=lambda s: s[:2]), "Where it ends matters"),
        (overlaps, "only overlaps"),
        (without_sentence_number, "Keep the sentence's number"),
        (flattened, "joined to one long one"),
        (precision, "This is the precision"),
        (recall, "This is the recall"),
        (lambda g, f: 2 * precision(g, f) * recall(g, f) / (precision(g, f) + recall(g, f)), "ZeroDivisionError"),
        (lambda g, f: score(g, f) / 2, "wrong value"),
    ],
)
def test_entity_f1_wrong(answer, fragment):
    rejected(check.q5, answer, fragment)


def test_entity_f1_right(monkeypatch):
    for answer in (entity_f1.entity_f1, score, lambda g, f: metrics.entity_scores(g, f)["f1"]):
        accepted(check.q5, answer)
        hangs_on_its_spec(check.q5, answer, lambda gold, found: score(gold, found, lenient))
    not_attempted(check.q5, score_stub)
    raises_under_nbgrader(check.q5, accuracy, score, monkeypatch)


def test_entity_f1_is_that_of_seqeval():
    """On the inputs of the check and on many more, malformed tags among them."""
    for seed in range(300):
        gold, found = entity_f1.some_tags(seed)
        strict = f1_score(gold, found, mode="strict", scheme=IOB2, zero_division=0)
        assert entity_f1.entity_f1_slowly(gold, found) == pytest.approx(strict), seed


# --- 6: the loss that was promised ------------------------------------------------------------------------------------


def with_the_kit(z, y, alpha):
    return RewardObjective(alpha, "soft_f1")(z, y).total


def in_plain_torch(z, y, alpha):
    weight = (y != IGNORE)[..., None].double()
    p = z.softmax(-1) * weight
    hot = torch.nn.functional.one_hot(y.clamp_min(0), z.shape[-1]) * weight
    surprise = -(z.log_softmax(-1) * hot).sum() / weight.sum()
    return surprise + alpha - alpha * 2 * (p * hot)[..., 1:].sum() / (p[..., 1:].sum() + hot[..., 1:].sum())


def loss_stub(z, y, alpha):
    """L."""
    # YOUR CODE HERE
    ...


def the_articles_loss(z, y, alpha):
    return torch.nn.functional.cross_entropy(z.flatten(0, 1), y.flatten())


def f1_of(z, y, keep=IGNORE, first=1):
    kept = y != keep
    p, hot = z[kept].softmax(-1)[:, first:], torch.nn.functional.one_hot(y[kept], z.shape[-1])[:, first:]
    return 2 * (p * hot).sum() / (p.sum() + hot.sum())


def padding_is_o(z, y, alpha):
    y = y.where(y != IGNORE, 0)
    return the_articles_loss(z, y, alpha) + alpha * (1 - f1_of(z, y))


def padding_is_scored(z, y, alpha):
    filled = y.where(y != IGNORE, 0)
    return the_articles_loss(z, y, alpha) + alpha * (1 - f1_of(z, filled))


@pytest.mark.parametrize(
    "answer, fragment",
    [
        (the_articles_loss, "the article's loss"),
        (lambda z, y, a: the_articles_loss(z, y, a) + a * f1_of(z, y), "a loss goes down"),
        (lambda z, y, a: the_articles_loss(z, y, a) - a * f1_of(z, y), "too small by alpha"),
        (lambda z, y, a: a * (the_articles_loss(z, y, a) + 1 - f1_of(z, y)), "multiplied by alpha, too"),
        (lambda z, y, a: (1 - a) * the_articles_loss(z, y, a) + a * (1 - f1_of(z, y)), "1 − alpha and alpha"),
        (lambda z, y, a: a * (1 - f1_of(z, y)), "L_p is missing"),
        (padding_is_o, "count as O, in both"),
        (padding_is_scored, "what the model says there"),
        (lambda z, y, a: the_articles_loss(z, y, a) + a * (1 - f1_of(z, y, first=0)), "O counts as a class"),
        (
            lambda z, y, a: (
                the_articles_loss(z, y, a)
                + a * (1 - torch.stack([f1_of(one, own) for one, own in zip(z, y, strict=True)]).mean())
            ),
            "mean over the sentences",
        ),
        (
            lambda z, y, a: RewardObjective(0.0)(z, y).total + a * RewardObjective(1.0, "soft_f1_macro")(z, y).reward,
            "mean over the tags",
        ),
        (lambda z, y, a: with_the_kit(z.detach(), y, a), "it has no slope over the logits"),
        (lambda z, y, a: with_the_kit(z, y, a).item(), "it has no slope over the logits"),
        (lambda z, y, a: the_articles_loss(z, y, a) + a * (1 - f1_of(z.detach(), y)), "its slope is not"),
        (lambda z, y, a: RewardObjective(a, "dice")(z, y).total, "wrong value"),
    ],
)
def test_promised_loss_wrong(answer, fragment):
    rejected(check.q6, answer, fragment)


def test_promised_loss_right(monkeypatch):
    for answer in (loss.total_loss, with_the_kit, in_plain_torch):
        accepted(check.q6, answer)
        hangs_on_its_spec(check.q6, answer, lambda z, y, alpha: loss.total_loss_slowly(z, y, 0.0))
    not_attempted(check.q6, loss_stub)
    raises_under_nbgrader(check.q6, the_articles_loss, with_the_kit, monkeypatch)


# --- All ------------------------------------------------------------------------------------------------------------


def test_the_inputs_hold_the_hard_cases():
    pieces = [alignment.some_pieces(seed) for seed in range(DRAWS)]
    missing = [set(range(max(w for w in word_ids if w is not None))) - set(word_ids) for word_ids, _ in pieces]
    assert any(missing) and any(word_ids[-2:] == [None, None] for word_ids, _ in pieces)
    rows = [alignment.some_rows(seed) for seed in range(DRAWS)]
    assert any(pad_id in row for batch, _, pad_id in rows for row in batch)
    assert any(len({len(row) for row in batch}) == 1 for batch, _, _ in rows)
    tags = [entity_f1.some_tags(seed) for seed in range(DRAWS)]
    assert not any(entity_f1.names(t) for side in tags[0] for t in side)
    assert any(entity_f1.orphans_too(t) != entity_f1.names(t) for _, found in tags for t in found)


def test_mistakes_are_mistakes():
    """Each gives something else than the spec, and no two the same, so that every message can be reached."""
    for name in ("q1", "q2", "q5", "q6"):
        exercise = getattr(check, name).exercise
        results = [
            str([rule(*exercise.inputs(seed)) for seed in range(DRAWS)])
            for rule in (exercise.spec, *exercise.mistakes.values())
        ]
        assert len(set(results)) == len(results), name
    for name in ("q3", "q4"):
        exercise = getattr(check, name).exercise
        results = [str(rule()) for rule in (exercise.spec, *exercise.mistakes.values())]
        assert len(set(results)) == len(results), name


def test_the_questions():
    assert len(QUESTIONS) == 3
    number = QUESTIONS[1]
    gold = [["B-PER", "I-PER", "O"], ["B-LOC"], ["B-LOC"], ["B-LOC"], ["O"]]
    found = [["O", "B-PER", "O"], ["B-LOC"], ["B-LOC"], ["B-LOC"], ["B-ORG"]]
    assert number.told(metrics.entity_scores(gold, found)["f1"])[0]
    told = [number.told(value)[1] for value, _ in number.wrong]
    assert not any(number.told(value)[0] for value, _ in number.wrong) and len(set(told)) == len(number.wrong)
    assert IGNORE == -100  # the questions and messages say so
