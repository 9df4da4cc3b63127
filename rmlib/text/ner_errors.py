"""What is wrong with a tagging: the wrong type, the wrong boundary, a name invented, a name missed."""

from typing import NamedTuple

from .conll import entities

MISTAKES = ("type", "boundary", "invented", "missed")


class Mark(NamedTuple):
    """An entity: words start to end (excluded), its type, "right" or one of `MISTAKES`, and whether a tagging before
    lacked it."""

    start: int
    end: int
    type: str
    verdict: str
    new: bool


def compare(gold: list[str], found: list[str], before: list[str] | None = None) -> list[Mark]:
    """The entities of a tagging, judged against gold, and the gold entities that it misses, in order.

    An entity is "right" when type, start and end are; "type" when start and end are; "boundary" when it shares a word
    with a gold entity; else "invented". A gold entity that shares no word with any is "missed".

    Args:
        gold, found: IOB2 tags of one sentence.
        before: the tagging that `new` is measured from; None: nothing is new.
    """
    right, mine = entities(gold), entities(found)
    old = mine if before is None else entities(before)
    marks = []
    for kind, start, end in mine:
        near = [g for g in right if g[1] < end and start < g[2]]
        if (kind, start, end) in near:
            verdict = "right"
        elif any(g[1:] == (start, end) for g in near):
            verdict = "type"
        else:
            verdict = "boundary" if near else "invented"
        marks.append(Mark(start, end, kind, verdict, (kind, start, end) not in old))
    for kind, start, end in right:
        if not any(m[1] < end and start < m[2] for m in mine):
            marks.append(Mark(start, end, kind, "missed", False))
    return sorted(marks)
