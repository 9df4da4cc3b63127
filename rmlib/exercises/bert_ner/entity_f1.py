"""Entity F1 counted slowly and in the ways that go wrong, and the exercise of lesson 04 that asks for it in code."""

from random import Random

from rmlib.exercises.framework.exercise import Exercise

# --- Names, counted -------------------------------------------------------------------------------------------------


def names(tags) -> list[tuple[str, int, int]]:
    """The names in IOB2 tags, strict: (type, first word, one past the last word)."""
    found = []
    for start, tag in enumerate(tags):
        if tag.startswith("B-"):
            kind, end = tag[2:], start + 1
            while end < len(tags) and tags[end] == f"I-{kind}":
                end += 1
            found.append((kind, start, end))
    return found


def counts(gold, found, names=names, alike=lambda mine, theirs: mine == theirs) -> tuple[int, int, int]:
    """(names right, names found, names in gold), sentence by sentence."""
    right = marked = there = 0
    for own, tags in zip(gold, found, strict=True):
        for mine in names(tags):
            marked += 1
            right += any(alike(mine, theirs) for theirs in names(own))
        there += len(names(own))
    return right, marked, there


def f1(right, found, in_gold) -> float:
    """F1 from counts; 0 where there is nothing at all."""
    return 2 * right / (found + in_gold) if found + in_gold else 0.0


def entity_f1_slowly(gold, found):
    """The spec: count over all sentences, divide once."""
    return f1(*counts(gold, found))


# --- Counted in other ways: what students do ------------------------------------------------------------------------


def orphans_too(tags):
    """An I- tag that continues nothing opens a name."""
    before = ["O", *tags[:-1]]
    opens = [t[0] == "I" and (b == "O" or b[2:] != t[2:]) for t, b in zip(tags, before, strict=True)]
    return names([f"B{t[1:]}" if new else t for t, new in zip(tags, opens, strict=True)])


def any_type_continues(tags):
    found = []
    for kind, start, end in names(tags):
        while end < len(tags) and tags[end].startswith("I-"):
            end += 1
        found.append((kind, start, end))
    return found


def same_place(mine, theirs):
    return mine[1:] == theirs[1:]


def overlap(mine, theirs):
    return mine[0] == theirs[0] and mine[1] < theirs[2] and theirs[1] < mine[2]


def same_start(mine, theirs):
    return mine[:2] == theirs[:2]


def word_counts(gold, found):
    pairs = [(a, b) for own, tags in zip(gold, found, strict=True) for a, b in zip(own, tags, strict=True)]
    return sum(a == b != "O" for a, b in pairs), sum(b != "O" for _, b in pairs), sum(a != "O" for a, _ in pairs)


def mean_of_sentences(gold, found, without_names=0.0):
    each = [
        entity_f1_slowly([own], [tags]) if names(own) or names(tags) else without_names
        for own, tags in zip(gold, found, strict=True)
    ]
    return sum(each) / len(each)


def one_set_for_all(gold, found):
    there, marked = ({name for tags in side for name in names(tags)} for side in (gold, found))
    return f1(len(there & marked), len(marked), len(there))


def joined(gold, found):
    return entity_f1_slowly(*([[tag for tags in side for tag in tags]] for side in (gold, found)))


def not_at_the_end(gold, found):
    return f1(*counts(gold, found, lambda tags: [name for name in names(tags) if name[2] < len(tags)]))


def token_accuracy(gold, found):
    alike = [a == b for own, tags in zip(gold, found, strict=True) for a, b in zip(own, tags, strict=True)]
    return sum(alike) / len(alike)


def share(k):
    def share(gold, found):  # k = 1: precision, k = 2: recall
        all_three = counts(gold, found)
        return all_three[0] / all_three[k] if all_three[k] else 0.0

    return share


# --- The exercise ---------------------------------------------------------------------------------------------------


def some_tags(seed):
    """(gold, found): gold is well formed; found has tags changed at random, so some of its I- continue nothing.

    Seed 0 has no name, seed 1 has none found; in seed 2 a sentence begins as if the name before it went on.
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
    found = [[random.choice(possible) if random.random() < 0.3 else tag for tag in tags] for tags in gold]
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

    there, marked = spans(gold), spans(found)
    return 2 * len(there & marked) / (len(there) + len(marked)) if there or marked else 0.0


CODE = Exercise(
    title="entity F1 in code",
    spec=entity_f1_slowly,
    inputs=some_tags,
    mistakes={
        "This is the mean of the sentences' F1. A ratio of counts has no meaningful mean: add the counts first, divide "
        "once.": mean_of_sentences,
        "This is the mean of the sentences' F1, with 1 for a sentence without names. Add the counts first, divide "
        "once.": lambda g, f: mean_of_sentences(g, f, without_names=1.0),
        "This is token accuracy: the share of words whose tag is right. Count names.": token_accuracy,
        "This is an F1 of words. A name of two words has to count once, and only as a whole.": lambda g, f: f1(
            *word_counts(g, f)
        ),
        "This is the precision: names that were missed do not show in it.": share(1),
        "This is the recall: names that were invented do not show in it.": share(2),
        "An I- tag that continues nothing opens a name in your count. In strict IOB2 only B- does.": lambda g, f: f1(
            *counts(g, f, orphans_too)
        ),
        "In your count an I- of any type continues a name. I-LOC does not continue B-PER.": lambda g, f: f1(
            *counts(g, f, any_type_continues)
        ),
        "The type of a name does not count in yours: a place that is called a person is wrong.": lambda g, f: f1(
            *counts(g, f, alike=same_place)
        ),
        "A name that only overlaps counts as right in yours. Start and end must both be right.": lambda g, f: f1(
            *counts(g, f, alike=overlap)
        ),
        "In your count a name is right when it begins at the right word. Where it ends matters, too.": lambda g, f: f1(
            *counts(g, f, alike=same_start)
        ),
        "Names of different sentences get mixed up: words 0 to 2 of sentence 1 and of sentence 5 are not one name. "
        "Keep the sentence's number.": one_set_for_all,
        "The sentences are joined to one long one: a name at an end then goes on in the next sentence. Close it "
        "first.": joined,
        "A name that ends with its sentence is lost: no tag comes after it that would close it.": not_at_the_end,
    },
    hints=(
        "First write a function that turns the tags of one sentence into a set of (type, start, end). A name begins at "
        "a B- and goes on for as long as I- of its own type follows.",
        "Over all sentences add up three numbers: `len(gold_set & found_set)`, `len(found_set)`, `len(gold_set)`. "
        "Divide once, at the end, and return 0.0 where there is nothing to divide by.",
    ),
    solution=entity_f1,
)
