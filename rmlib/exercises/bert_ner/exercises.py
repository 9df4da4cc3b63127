"""The exercises on a BERT that finds names; scores by hand are here, the others beside."""

from collections.abc import Mapping

from rmlib.exercises.framework.compare import same
from rmlib.exercises.framework.exercise import Exercise, Lesson, Misconception, NotYet, blank
from rmlib.exercises.framework.own_functions import Own

from .alignment import ALIGN, LABELS_AS_PRINTED, PAD_BATCH
from .entity_f1 import (
    ENTITY_F1,
    counts,
    entity_f1_slowly,
    f1,
    mean_of_sentences,
    orphans_too,
    overlap,
    precision,
    recall,
    same_position,
    word_counts,
)
from .own_training import COLLATE, EARLY_STOPPING, TRAIN
from .with_trainer import WITH_TRAINER

# --- Two taggings ---------------------------------------------------------------------------------

TAGGINGS = {
    name: row.split()
    for name, row in {
        "word": "The Bank of New South Wales in Leeds sued Ann Lee on Monday .",
        "gold": "O B-ORG I-ORG I-ORG I-ORG I-ORG O B-LOC O B-PER I-PER O O O",
        "A": "O B-ORG I-ORG I-ORG I-ORG O O B-ORG O B-PER O O O O",
        "B": "O O O B-LOC I-LOC I-LOC O B-LOC O B-PER I-PER O O O",
    }.items()
}

# --- By hand --------------------------------------------------------------------------------------

THREE = [  # words, gold, found
    (text.split(), gold.split(), found.split())
    for text, gold, found in [
        (
            "Rose Abernethy of Tamarind Retail met farmers in Entre Ríos .",
            "B-PER I-PER O B-ORG I-ORG O O O B-LOC I-LOC O",
            "B-PER I-PER O B-ORG I-ORG O O O B-LOC O O",
        ),
        ("Leeds will play in Uppsala .", "B-ORG O O O B-LOC O", "B-LOC O O O B-ORG O"),
        (
            "Ann Lee , Bo Ek and Portuguese nurses left .",
            "B-PER I-PER O B-PER I-PER O B-MISC O O O",
            "B-PER I-PER O I-PER I-PER O B-MISC O O O",
        ),
    ]
]
GOLD, FOUND = [gold for _, gold, _ in THREE], [found for _, _, found in THREE]
ROUNDED = 0.005  # an F1 may be given with two digits


def numbers_by_hand(counted=counts, score=None, **how):
    """The four numbers; a mistake counts in another way, or uses another F1 (`score`)."""
    right, found, in_gold = counted(GOLD, FOUND, **how)
    value = score(GOLD, FOUND) if score else f1(right, found, in_gold)
    return {"right": right, "found": found, "in gold": in_gold, "F1": value}


BY_HAND_MISCONCEPTIONS = (
    Misconception(
        "mean-of-sentences",
        "The counts are right. The F1 looks like the mean of the three sentences' F1: add the "
        "counts over all sentences, then divide once.",
        lambda: numbers_by_hand(score=mean_of_sentences),
    ),
    Misconception(
        "precision",
        "The counts are right, but the last number is the precision: it ignores missing names.",
        lambda: numbers_by_hand(score=precision),
    ),
    Misconception(
        "recall",
        "The counts are right, but the last number is the recall: it ignores spurious names.",
        lambda: numbers_by_hand(score=recall),
    ),
    Misconception(
        "half",
        "The counts are right. In the F1 the 2 in the numerator is missing: the denominator counts "
        "every right name twice.",
        lambda: numbers_by_hand(score=lambda gold, found: entity_f1_slowly(gold, found) / 2),
    ),
    Misconception(
        "counts-words",
        "You count words. Count names: a name of two words is one.",
        lambda: numbers_by_hand(word_counts),
    ),
    Misconception(
        "ignores-the-type",
        "You count names at the right position, whatever their type. Look at sentence 2 again.",
        lambda: numbers_by_hand(alike=same_position),
    ),
    Misconception(
        "overlap-counts",
        "You count a name that is too short as right. Start and end must both be right: look at "
        "sentence 1 again.",
        lambda: numbers_by_hand(alike=overlap),
    ),
    Misconception(
        "orphans-open-names",
        "You count a name that no B- opens. In strict IOB2, I- that continues nothing is no name: "
        "look at sentence 3 again.",
        lambda: numbers_by_hand(names=orphans_too),
    ),
)
HOW = {
    "right": "counts the names that are in both with the same type, start and end",
    "found": "counts the names that the tagger marks, right or wrong: one for each B-",
    "in gold": "counts the names in the gold tags: one for each B-",
    "F1": "follows from your three numbers: 2 · right / (found + in gold)",
}


def _judge_numbers(answer, spec):
    """Judge the form; then name the first wrong number of an unknown mistake."""
    right = spec()
    if not isinstance(answer, Mapping) or set(answer) != set(right):
        keys = ", ".join(right)
        raise NotYet("wrong-form", f"give a dict with the four keys {keys}; found {answer!r:.80}")
    if missing := [key for key in right if blank(answer[key])]:
        raise NotYet("incomplete", f"still to be filled in: {', '.join(missing)}")
    if any(isinstance(value, str) for value in answer.values()):
        raise NotYet("wrong-form", "give numbers, without quotes")
    if same(answer["F1"], 100 * right["F1"], ROUNDED):
        raise NotYet("percent", "the F1 is in percent; expected a number from 0 to 1")
    if any(same(answer, known.wrong(), ROUNDED) for known in BY_HAND_MISCONCEPTIONS):
        return  # the check has a message for it
    for key in right:
        if not same(answer[key], right[key], ROUNDED):
            raise NotYet(
                f"wrong-{key.lower().replace(' ', '-')}",
                f'"{key}" is not {answer[key]!r:.20}. It {HOW[key]}.',
            )


ENTITY_F1_BY_HAND = Exercise(
    id="bert_ner.entity_f1_by_hand",
    title="entity F1 by hand",
    spec=numbers_by_hand,
    misconceptions=BY_HAND_MISCONCEPTIONS,
    more=_judge_numbers,
    hints=(
        "Write each sentence's names as (type, first word, last word), once for gold and once for "
        "found. A name is right if the same triple stands in both.",
        "Sentence 1 has two right names (the place ends too early), sentence 2 none (the types are "
        "exchanged). In sentence 3 *Bo Ek* has no B-, so it is not found. Add up, then "
        r"$F_1 = 2 \cdot$ right / (found + in gold).",
    ),
    solution="# right 2 + 0 + 2, found 3 + 2 + 2, in gold 3 + 2 + 3\n"
    'by_hand = {"right": 4, "found": 7, "in gold": 8, "F1": 2 * 4 / (7 + 8)}',
    tolerance=ROUNDED,
)

check = Lesson(
    q1=LABELS_AS_PRINTED,
    q2=ALIGN,
    q3=PAD_BATCH,
    q4=ENTITY_F1_BY_HAND,
    q5=ENTITY_F1,
    q6=COLLATE,
    q7=TRAIN,
    q8=WITH_TRAINER,
    q9=EARLY_STOPPING,
)
own = Own(check)
