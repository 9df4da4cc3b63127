"""Entity F1 counted slowly and in the ways that go wrong, and the exercise that asks for it."""

from random import Random

from rmlib.exercises.framework.exercise import Exercise, Misconception

# --- Names, counted -------------------------------------------------------------------------------


def names(tags) -> list[tuple[str, int, int]]:
    """The names in IOB2 tags, strict: (type, first word, one past the last word)."""
    spans = []
    for start, tag in enumerate(tags):
        if tag.startswith("B-"):
            kind, end = tag[2:], start + 1
            while end < len(tags) and tags[end] == f"I-{kind}":
                end += 1
            spans.append((kind, start, end))
    return spans


def counts(
    gold, found, names=names, alike=lambda mine, theirs: mine == theirs
) -> tuple[int, int, int]:
    """(names right, names found, names in gold), counted sentence by sentence."""
    right = marked = in_gold = 0
    for own, tags in zip(gold, found, strict=True):
        for mine in names(tags):
            marked += 1
            right += any(alike(mine, theirs) for theirs in names(own))
        in_gold += len(names(own))
    return right, marked, in_gold


def f1(right, found, in_gold) -> float:
    """F1 from counts; 0 where there are no names."""
    return 2 * right / (found + in_gold) if found + in_gold else 0.0


def entity_f1_slowly(gold, found):
    """Count over all sentences, divide once."""
    return f1(*counts(gold, found))


# --- Counted in other ways: what students do ------------------------------------------------------


def f1_with(**how):
    """Entity F1 with other `counts`."""
    return lambda gold, found: f1(*counts(gold, found, **how))


def orphans_too(tags):
    """Names in which an I- tag that continues nothing opens a name."""
    before = ["O", *tags[:-1]]
    opens = [
        t[0] == "I" and (b == "O" or b[2:] != t[2:]) for t, b in zip(tags, before, strict=True)
    ]
    return names([f"B{t[1:]}" if new else t for t, new in zip(tags, opens, strict=True)])


def any_type_continues(tags):
    spans = []
    for kind, start, end in names(tags):
        while end < len(tags) and tags[end].startswith("I-"):
            end += 1
        spans.append((kind, start, end))
    return spans


def not_at_the_end(tags):
    return [name for name in names(tags) if name[2] < len(tags)]


def same_position(mine, theirs):
    return mine[1:] == theirs[1:]


def overlap(mine, theirs):
    return mine[0] == theirs[0] and mine[1] < theirs[2] and theirs[1] < mine[2]


def same_start(mine, theirs):
    return mine[:2] == theirs[:2]


def _pairs_of_tags(gold, found) -> list[tuple[str, str]]:
    return [
        pair for own, tags in zip(gold, found, strict=True) for pair in zip(own, tags, strict=True)
    ]


def word_counts(gold, found):
    pairs = _pairs_of_tags(gold, found)
    return (
        sum(a == b != "O" for a, b in pairs),
        sum(b != "O" for _, b in pairs),
        sum(a != "O" for a, _ in pairs),
    )


def word_f1(gold, found):
    return f1(*word_counts(gold, found))


def token_accuracy(gold, found):
    pairs = _pairs_of_tags(gold, found)
    return sum(a == b for a, b in pairs) / len(pairs)


def mean_of_sentences(gold, found, without_names=0.0):
    scores = [
        entity_f1_slowly([own], [tags]) if names(own) or names(tags) else without_names
        for own, tags in zip(gold, found, strict=True)
    ]
    return sum(scores) / len(scores)


def one_set_for_all(gold, found):
    in_gold, marked = ({name for tags in side for name in names(tags)} for side in (gold, found))
    return f1(len(in_gold & marked), len(marked), len(in_gold))


def joined(gold, found):
    return entity_f1_slowly(*([[tag for tags in side for tag in tags]] for side in (gold, found)))


def precision(gold, found):
    right, marked, _ = counts(gold, found)
    return right / marked if marked else 0.0


def recall(gold, found):
    right, _, in_gold = counts(gold, found)
    return right / in_gold if in_gold else 0.0


# --- The exercise ---------------------------------------------------------------------------------


def some_tags(seed):
    """(gold, found): gold is well formed; in found, some I- continue nothing.

    Seed 0 has no name, in seed 1 none is found; in seed 2 a sentence begins as if the name before
    it continued.
    """
    if seed == 2:
        return [["O", "B-PER"], ["O", "B-LOC"]], [["O", "B-PER"], ["I-PER", "B-LOC"]]
    random = Random(seed)
    gold = []
    for _ in range(random.randint(2, 4)):
        tags = []
        while len(tags) < random.randint(4, 8):
            kind = random.choice(["PER", "LOC", "ORG"])
            tags += random.choice([["O"], [f"B-{kind}"], [f"B-{kind}", f"I-{kind}"]])
        gold.append(tags)
    if seed == 0:
        gold = [["O"] * len(tags) for tags in gold]
    possible = ["O", "B-PER", "I-PER", "I-LOC", "B-ORG"]
    found = [
        [random.choice(possible) if random.random() < 0.3 else tag for tag in tags] for tags in gold
    ]
    if seed < 2:
        found = [["O"] * len(tags) for tags in gold]
    return gold, found


def entity_f1(gold, found):
    def spans(sentences):
        names, opened = set(), None
        for number, tags in enumerate(sentences):
            for i, tag in enumerate([*tags, "O"]):  # the O closes a name at the end
                if opened and tag != f"I-{opened[0]}":
                    names.add((number, *opened, i))
                    opened = None
                if tag.startswith("B-"):
                    opened = (tag[2:], i)
        return names

    in_gold, marked = spans(gold), spans(found)
    if not in_gold and not marked:
        return 0.0
    return 2 * len(in_gold & marked) / (len(in_gold) + len(marked))


ENTITY_F1 = Exercise(
    id="bert_ner.entity_f1",
    title="entity F1 in code",
    spec=entity_f1_slowly,
    inputs=some_tags,
    misconceptions=(
        Misconception(
            "mean-of-sentences",
            "This is the mean of the sentences' F1. A ratio of counts has no meaningful mean: add "
            "the counts first, divide once.",
            mean_of_sentences,
        ),
        Misconception(
            "mean-of-sentences-undefined-as-1",
            "This is the mean of the sentences' F1, with 1 for a sentence without names. Add the "
            "counts first, divide once.",
            lambda gold, found: mean_of_sentences(gold, found, without_names=1.0),
        ),
        Misconception(
            "token-accuracy",
            "This is token accuracy: the share of words whose tag is right. Count names.",
            token_accuracy,
        ),
        Misconception(
            "word-f1",
            "This is an F1 of words. A name of two words has to count once, and only as a whole.",
            word_f1,
        ),
        Misconception(
            "precision",
            "This is the precision: it ignores missing names.",
            precision,
        ),
        Misconception(
            "recall",
            "This is the recall: it ignores spurious names.",
            recall,
        ),
        Misconception(
            "orphans-open-names",
            "An I- tag that continues nothing opens a name in your count. In strict IOB2 only B- "
            "does.",
            f1_with(names=orphans_too),
        ),
        Misconception(
            "any-type-continues",
            "In your count an I- of any type continues a name. I-LOC does not continue B-PER.",
            f1_with(names=any_type_continues),
        ),
        Misconception(
            "ignores-the-type",
            "Your count ignores the type of a name: a place that is called a person is wrong.",
            f1_with(alike=same_position),
        ),
        Misconception(
            "overlap-counts",
            "A name that only overlaps counts as right in yours. Start and end must both be right.",
            f1_with(alike=overlap),
        ),
        Misconception(
            "ignores-the-end",
            "In your count a name is right when it begins at the right word. Where it ends "
            "matters, too.",
            f1_with(alike=same_start),
        ),
        Misconception(
            "mixes-sentences",
            "Names of different sentences get mixed up: words 0 to 2 of sentence 1 and of sentence "
            "5 are not one name. Keep the sentence's number.",
            one_set_for_all,
        ),
        Misconception(
            "joins-sentences",
            "The sentences are joined into one long one: a name at an end then continues in the "
            "next sentence. Close it first.",
            joined,
        ),
        Misconception(
            "loses-the-last-name",
            "A name that ends with its sentence is lost: no tag comes after it that would close "
            "it.",
            f1_with(names=not_at_the_end),
        ),
    ),
    hints=(
        "First write a function that turns the tags of one sentence into a set of (type, start, "
        "end). A name begins at a B- and continues for as long as I- of its own type follows.",
        "Over all sentences add up three numbers: `len(gold_set & found_set)`, `len(found_set)`, "
        "`len(gold_set)`. Divide once, at the end, and return 0.0 where the denominator is 0.",
    ),
    solution=entity_f1,
)
