"""Labelled text in JSON: lists of words, and what annotation tools export.

Lists of words are {"tokens": [...], "ner_tags": [...]}. doccano, Prodigy and spaCy write a text
with its spans, {"text": "...", "label": [[start, end, "PER"]]}; Label Studio writes tasks.
"""

import json
import re
import unicodedata
from collections import Counter
from pathlib import Path

from .plain_text import CorpusError, short
from .word_split import longest_run, split_words

WORDS = ("tokens", "words")
TAGS = ("ner_tags", "tags", "labels", "ner", "label")
SPANS = ("label", "labels", "entities", "spans", "annotations")
EXPECTED = (
    'expected {"tokens": [words], "tags": [names]}, {"text": "...", "label": [[start, end, type]]} '
    "or an export of Label Studio"
)


def is_json(path, text: str) -> bool:
    """Whether a file holds JSON: its name says so, or its first line is a JSON object."""
    if Path(path).suffix in (".json", ".jsonl"):
        return True
    try:
        return isinstance(json.loads(text.lstrip().split("\n", 1)[0]), dict)
    except (ValueError, RecursionError):
        return False


def read_json(path, text: str, columns: dict[str, str] | None = None):
    """The sentences of a file of JSON objects, one per line or in one list.

    Args:
        path: for messages.
        text: what the file holds.
        columns: the keys of the words and of the tags, {"word": ..., "tag": ...}, if they have
            other names than `WORDS` and `TAGS`.

    Returns:
        (sentences: lists of (line, word, tag); how many objects of which kind the file holds).

    Raises:
        CorpusError: an object is none of these layouts, tags are numbers, or a span cuts a word,
            overlaps another or is not in its text.
    """
    sentences, seen = [], Counter()
    for number, record in _records(path, text):
        place = f"{path}, line {number}"
        try:
            rows, found = _sentences(record, columns, place)
        except CorpusError:
            raise
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            shown = short(json.dumps(record, ensure_ascii=False))
            raise CorpusError(f"{place}: {shown} is not a labelled text; {EXPECTED}") from None
        sentences += [[(number, word, tag) for word, tag in row] for row in rows if row]
        seen += found
    return sentences, seen


def _records(path, text: str):
    """The objects of a list or of lines, each with the line on which it begins."""
    decoder, position, line = json.JSONDecoder(), 0, 1
    between = re.compile(r"[\s,\[\]]*" if text.lstrip().startswith("[") else r"\s*")
    while True:
        gap = between.match(text, position).end()
        line += text.count("\n", position, gap)
        if gap == len(text):
            return
        try:
            record, position = decoder.raw_decode(text, gap)
            json.dumps(record, ensure_ascii=False).encode()  # no half of a surrogate pair
        except (ValueError, RecursionError):
            shown = short(text[gap : gap + 50].split("\n")[0])
            raise CorpusError(f"{path}, line {line}: {shown} is not JSON; {EXPECTED}") from None
        yield line, record
        line += text.count("\n", gap, position)


def _sentences(record: dict, columns, place: str):
    """The sentences of an object, as lists of (word, tag), and what to count."""
    words, tags = (columns["word"], columns["tag"]) if columns else (_key(record, WORDS), None)
    if words is not None:
        tags = tags or _key(record, TAGS)
        return [_token_list(record[words], record[tags], place)], Counter(["lists of words"])
    if not isinstance(record.get("data"), dict):
        text = record["text"] if "text" in record else record["data"]
        kind, spans = "texts with spans", record[_key(record, SPANS)]
    else:
        results = _results(record, place)
        if results is None:
            return [], Counter(["tasks without an annotation left out"])
        texts = [value for value in record["data"].values() if isinstance(value, str)]
        text = record["data"].get("text", texts[0] if len(texts) == 1 else None)
        kind, spans = "tasks of Label Studio", results
    pieces = [_span(text, span, place) for span in spans]
    rows, cut = _tagged_words(text, pieces, place)
    return rows, Counter({kind: 1, "words split at the end of a span": cut})


def _key(record: dict, known) -> str | None:
    return next((key for key in known if isinstance(record.get(key), list)), None)


def _token_list(words: list, tags: list, place: str) -> list[tuple[str, str]]:
    if numbers := [tag for tag in tags if isinstance(tag, int)]:
        raise CorpusError(
            f"{place}: tags are numbers, such as {numbers[0]}, and the file does not name them; "
            "expected names, such as B-PER"
        )
    if not all(isinstance(word, str) and word.strip() for word in words):
        raise CorpusError(f"{place}: a word is empty or not a string; expected words")
    if not all(isinstance(tag, str) for tag in tags) or len(words) != len(tags):
        raise CorpusError(f"{place}: {len(words)} words and {len(tags)} tags; expected as many")
    return list(zip(words, tags, strict=True))


def _results(task: dict, place: str) -> list[dict] | None:
    """The labelled spans of a task of Label Studio; None if nobody has annotated it."""
    done = task["annotations"] if "annotations" in task else task["completions"]
    done = [one for one in done if not one.get("was_cancelled")]
    if len(done) > 1:
        raise CorpusError(f"{place}: {len(done)} annotations of one text; expected one of them")
    values = [one["value"] for one in done[0]["result"] if "value" in one] if done else []
    return [value for value in values if "labels" in value] if done else None


def _span(text: str, span, place: str) -> tuple[int, int, str]:
    """A span as (start, end, type), without spaces at its ends.

    Raises:
        CorpusError: it is not in the text, or has not one type.
    """
    if isinstance(span, dict):
        start, end = (span.get(k, span.get(f"{k}_offset")) for k in ("start", "end"))
        kinds = span["labels"] if "labels" in span else [span["label"]]
    else:
        start, end, *kinds = span
    whole = type(start) is type(end) is int
    if not whole or not 0 <= start < end <= len(text) or not text[start:end].strip():
        raise CorpusError(
            f"{place}: the span {start} to {end} holds no word of the text, which has {len(text)} "
            "characters; expected 0 <= start < end"
        )
    if len(kinds) != 1 or not isinstance(kinds[0], str) or not kinds[0].strip():
        raise CorpusError(f"{place}: {short(text[start:end])} has types {kinds}; expected one name")
    if isinstance(span, dict) and span.get("text", text[start:end]) != text[start:end]:
        raise CorpusError(
            f"{place}: the span {start} to {end} is {short(text[start:end])} in the text and "
            f"{short(str(span['text']))} in the export; expected the same"
        )
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return start, start + len(piece.strip()), "_".join(kinds[0].split())


def _tagged_words(text: str, spans, place: str) -> tuple[list, int]:
    """The lines of a text as lists of (word, IOB2 tag), and how many words a span has split.

    Raises:
        CorpusError: spans overlap, or one begins or ends inside a word.
    """
    spans = sorted(set(spans))
    for (start, end, _), (next_start, next_end, _) in zip(spans, spans[1:], strict=False):
        if next_start < end:
            first, second = short(text[start:end]), short(text[next_start:next_end])
            raise CorpusError(f"{place}: {first} and {second} overlap; expected separate spans")
    edges = sorted({edge for span in spans for edge in span[:2]})
    kind_at = {i: span for span in spans for i in range(*span[:2])}
    sentences, position, cut = [[]], 0, 0
    for word in split_words(text, characters=longest_run([text]) > 0):
        start = text.index(word, position)
        inside = [edge for edge in edges if start < edge < start + len(word)]
        for edge in inside:
            if all(unicodedata.category(c)[0] not in "PSZ" for c in text[edge - 1 : edge + 1]):
                span = next(span for span in spans if edge in span[:2])
                raise CorpusError(
                    f"{place}: the span {short(text[slice(*span[:2])])} cuts the word "
                    f"{short(word)}; expected spans of whole words"
                )
        cut += bool(inside)
        bounds = [start, *inside, start + len(word)]
        for begin, end in zip(bounds, bounds[1:], strict=False):
            span = kind_at.get(begin)
            if "\n" in text[position:begin] and not (span and span[0] < begin):
                sentences.append([])
            mark = "O" if span is None else f"{'B' if span[0] == begin else 'I'}-{span[2]}"
            sentences[-1].append((text[begin:end], mark))
            position = end
    return sentences, cut
