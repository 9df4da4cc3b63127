"""Error types of a named-entity tagging."""

from typing import NamedTuple

from rmlib.text.conll import entities

ERROR_TYPES = ("type", "boundary", "spurious", "missing")


class Mark(NamedTuple):
    """An entity with its verdict.

    Attributes:
        start, end: its words; `end` is excluded.
        type: the entity type.
        verdict: "right" or one of `ERROR_TYPES`.
        new: whether the earlier tagging lacked it.
    """

    start: int
    end: int
    type: str
    verdict: str
    new: bool


def compare(gold: list[str], predicted: list[str], before: list[str] | None = None) -> list[Mark]:
    """The predicted entities with their verdicts, and the missing gold entities, in order.

    A predicted entity is "right" if type, start and end are; "type" if only start and end are;
    "boundary" if it shares a word with a gold entity; else "spurious". A gold entity that shares
    no word with any is "missing".

    Args:
        gold: the IOB2 tags of one sentence.
        predicted: the predicted tags.
        before: an earlier prediction that `new` compares with; None: nothing is new.
    """
    expected, own = entities(gold), entities(predicted)
    earlier = own if before is None else entities(before)
    marks = []
    for kind, start, end in own:
        overlapping = [g for g in expected if g[1] < end and start < g[2]]
        if (kind, start, end) in overlapping:
            verdict = "right"
        elif any(g[1:] == (start, end) for g in overlapping):
            verdict = "type"
        else:
            verdict = "boundary" if overlapping else "spurious"
        marks.append(Mark(start, end, kind, verdict, (kind, start, end) not in earlier))
    for kind, start, end in expected:
        if not any(p[1] < end and start < p[2] for p in own):
            marks.append(Mark(start, end, kind, "missing", False))
    return sorted(marks)
