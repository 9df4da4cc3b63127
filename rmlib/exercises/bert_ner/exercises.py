"""The checks of lesson 04. Here: token accuracy and entity F1 by hand; the other exercises are in the rooms beside."""

from collections.abc import Mapping

from rmlib.exercises.framework.compare import same
from rmlib.exercises.framework.exercise import Exercise, Lesson, NotYet, blank

from .alignment import ALIGN, PADDING
from .entity_f1 import (
    CODE,
    counts,
    entity_f1_slowly,
    f1,
    mean_of_sentences,
    orphans_too,
    overlap,
    same_place,
    share,
    token_accuracy,
    word_counts,
)
from .loss import PROMISED

# --- 3: two taggings ------------------------------------------------------------------------------------------------

TAGGINGS = {
    name: row.split()
    for name, row in {
        "word": "The Bank of New South Wales in Leeds sued Ann Lee on Monday .",
        "gold": "O B-ORG I-ORG I-ORG I-ORG I-ORG O B-LOC O B-PER I-PER O O O",
        "A": "O B-ORG I-ORG I-ORG I-ORG O O B-ORG O B-PER O O O O",
        "B": "O O O B-LOC I-LOC I-LOC O B-LOC O B-PER I-PER O O O",
    }.items()
}


def _better(accuracy=token_accuracy, names_f1=entity_f1_slowly):
    """The spec: compute both scores of both taggings. The mistakes below put another score in their place."""

    def best(score):
        return max("AB", key=lambda name: score([TAGGINGS["gold"]], [TAGGINGS[name]]))

    return {"token accuracy": best(accuracy), "entity F1": best(names_f1)}


def _overlapping(gold, found):
    return f1(*counts(gold, found, alike=lambda mine, theirs: mine[1] < theirs[2] and theirs[1] < mine[2]))


def _two_letters(answer, spec):
    keys = set(spec())
    if not isinstance(answer, Mapping) or set(answer) != keys or not all(v in ("A", "B") for v in answer.values()):
        raise NotYet(f'give a dict with "A" or "B" for each of {" and ".join(sorted(keys))}; found {answer!r:.80}')


PREDICT = Exercise(
    title="which tagging is better?",
    spec=_better,
    mistakes={
        "Token accuracy: A. For entity F1, look at A's names one by one. Is any of them right in type, start and end? "
        "A near miss counts nothing.": lambda: _better(names_f1=_overlapping),
        "Entity F1: B. Token accuracy does not ask for names: for each tagging, count the words whose tag is "
        "wrong.": lambda: _better(accuracy=entity_f1_slowly),
        "The other way round. Token accuracy counts words, entity F1 counts whole names: do each of them "
        "again.": lambda: _better(accuracy=entity_f1_slowly, names_f1=_overlapping),
    },
    more=_two_letters,
    hints=(
        "For token accuracy count the words whose tag differs from gold, in A and in B. For F1 count the names that "
        "are right as a whole.",
        "A differs from gold in 3 words, B in 5. How many of A's three names end where gold's do *and* have gold's "
        "type?",
    ),
    solution='higher = {"token accuracy": "A", "entity F1": "B"}  # A has 3 words wrong and no name right',
)

# --- 4: by hand -----------------------------------------------------------------------------------------------------

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


def _by_hand(counted=counts, score=None, **how):
    """The spec: the four numbers. The mistakes below count in another way, or make another F1 (`score`)."""
    right, found, in_gold = counted(GOLD, FOUND, **how)
    value = score(GOLD, FOUND) if score else f1(right, found, in_gold)
    return {"right": right, "found": found, "in gold": in_gold, "F1": value}


COUNTED = {
    "The counts are right. The F1 looks like the mean of the three sentences' F1: add the counts over all sentences, "
    "then divide once.": lambda: _by_hand(score=mean_of_sentences),
    "The counts are right, but the last number is the precision: it does not know what was missed.": lambda: _by_hand(
        score=share(1)
    ),
    "The counts are right, but the last number is the recall: it does not know what was marked wrongly.": lambda: (
        _by_hand(score=share(2))
    ),
    "The counts are right. In the F1 the 2 above the line is missing: the line below has every right name "
    "twice.": lambda: _by_hand(score=lambda gold, found: entity_f1_slowly(gold, found) / 2),
    "You count words. Count names: a name of two words is one.": lambda: _by_hand(word_counts),
    "You count names at the right place, whatever their type. Look at sentence 2 again.": lambda: _by_hand(
        alike=same_place
    ),
    "You count a name that is too short as right. Start and end must both be right: look at sentence 1 "
    "again.": lambda: _by_hand(alike=overlap),
    "You count a name that no B- opens. In strict IOB2, I- that continues nothing is no name: look at sentence 3 "
    "again.": lambda: _by_hand(names=orphans_too),
}
HOW = {
    "right": "counts the names that are in both with the same type, start and end",
    "found": "counts the names that the tagger marks, right or wrong: one for each B-",
    "in gold": "counts the names in the gold tags: one for each B-",
    "F1": "is made of your three numbers: 2 · right / (found + in gold)",
}


def _look_at(answer, spec):
    """What the list of mistakes does not know: name the first number that is wrong."""
    right = spec()
    if not isinstance(answer, Mapping) or set(answer) != set(right):
        raise NotYet(f"give a dict with the four keys {', '.join(right)}; found {answer!r:.80}")
    if missing := [key for key in right if blank(answer[key])]:
        raise NotYet(f"still to be filled in: {', '.join(missing)}")
    if any(isinstance(value, str) for value in answer.values()):
        raise NotYet("give numbers, without quotes")
    if same(answer["F1"], 100 * right["F1"], ROUNDED):
        raise NotYet("the F1 is in per cent; expected a number from 0 to 1")
    if any(same(answer, wrong(), ROUNDED) for wrong in COUNTED.values()):
        return  # the check itself tells
    for key in right:
        if not same(answer[key], right[key], ROUNDED):
            raise NotYet(f'"{key}" is not {answer[key]!r:.20}. It {HOW[key]}.')


BY_HAND = Exercise(
    title="entity F1 by hand",
    spec=_by_hand,
    mistakes=COUNTED,
    more=_look_at,
    hints=(
        "Write each sentence's names as (type, first word, last word), once for gold and once for found. A name is "
        "right if the same triple stands in both.",
        "Sentence 1 has two right names (the place ends too early), sentence 2 none (the types are exchanged). In "
        "sentence 3 *Bo Ek* has no B-, so it is not found. Add up, then $F_1 = 2 \\cdot$ right / (found + in gold).",
    ),
    solution="# right 2 + 0 + 2, found 3 + 2 + 2, in gold 3 + 2 + 3\n"
    'by_hand = {"right": 4, "found": 7, "in gold": 8, "F1": 2 * 4 / (7 + 8)}',
    tolerance=ROUNDED,
)

check = Lesson(q1=ALIGN, q2=PADDING, q3=PREDICT, q4=BY_HAND, q5=CODE, q6=PROMISED)
