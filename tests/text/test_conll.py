"""The CoNLL reader: against writers of its own and seqeval, and on hostile input."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seqeval.scheme import IOB2, Entities

from rmlib.text.conll import CorpusError, Sentence, entities, read_conll

HOSTILE = int(os.environ.get("RMLIB_HOSTILE", "400"))
relaxed = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


def put(folder, content, name="file.conll") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# --- Round trips: chunks, (type or None, words), written in each scheme ---------------------------

# Every character but line ends, tabs, spaces and control codes; U+0085, U+00A0 and U+2028 are parts
# of words here.
characters = st.characters(
    exclude_categories=["Cs"], exclude_characters=" \x7f" + "".join(map(chr, range(32)))
)
words = st.one_of(
    st.text(characters, min_size=1, max_size=6),
    st.sampled_from(["\u00a0", "\u0085", "a\u2028b", "O", "."]),
)
words = words.filter(lambda w: not w.startswith(("-DOCSTART-", "\ufeff")))
types = st.sampled_from(["PER", "ORG", "LOC", "MISC", "creative-work"])
chunks = st.tuples(st.one_of(st.none(), types), st.lists(words, min_size=1, max_size=3))
texts = st.lists(st.lists(chunks, min_size=1, max_size=5), min_size=1, max_size=4)


def write_iob2(kind, n, touching):
    return [f"B-{kind}"] + [f"I-{kind}"] * (n - 1)


def write_iob1(kind, n, touching):
    return [f"{'B' if touching else 'I'}-{kind}"] + [f"I-{kind}"] * (n - 1)


def write_bioes(kind, n, touching):
    return [f"S-{kind}"] if n == 1 else [f"B-{kind}"] + [f"I-{kind}"] * (n - 2) + [f"E-{kind}"]


def write_bilou(kind, n, touching):
    return [
        tag.replace("S-", "U-", 1).replace("E-", "L-", 1) for tag in write_bioes("?", n, touching)
    ]


def rows_of(sentence, write):
    before = None
    for kind, ws in sentence:
        tags = ["O"] * len(ws) if kind is None else write("?", len(ws), kind == before)
        yield from zip(ws, [tag.replace("?", str(kind)) for tag in tags], strict=True)
        before = kind


@given(texts, st.sampled_from(["iob1", "iob2", "bioes", "bilou"]), st.booleans(), st.data())
@relaxed
def test_every_scheme_and_layout_reads_back_equal(tmp_path, text, scheme, declared, data):
    # no corpus has nothing but numbers for words
    text = [[("PER", ["Ann", "Lee"]), (None, ["slept"])], *text]
    write = {"iob1": write_iob1, "iob2": write_iob2, "bioes": write_bioes, "bilou": write_bilou}[
        scheme
    ]
    draw = data.draw
    gap = draw(st.sampled_from(["\t", " ", "  "]))
    extra = "".join(gap + column for column in ["NNP", "B-NP", "_"][: draw(st.integers(0, 3))])
    end = draw(st.sampled_from(["\n", "\r\n"]))
    blank = draw(st.sampled_from(["", "  ", "\t", " \t "])) + end
    lines = [f"-DOCSTART-{gap}O{end}{blank}"] if draw(st.booleans()) else []
    for sentence in text:
        lines += [f"{word}{extra}{gap}{tag}{end}" for word, tag in rows_of(sentence, write)]
        lines.append(blank * draw(st.integers(1, 2)))
    content = "".join(lines)
    if draw(st.booleans()):  # no line end after the last line
        content = content.rstrip("\r\n\t ")
    path = put(tmp_path, draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + content.encode())
    expected = [Sentence(*map(tuple, zip(*rows_of(s, write_iob2), strict=True))) for s in text]
    assert read_conll(path, scheme if declared else "auto") == expected


@given(
    st.lists(
        st.sampled_from(["O", *(f"{m}-{t}" for m in "BI" for t in ("PER", "ORG", "LOC"))]),
        max_size=12,
    )
)
def test_entities_are_those_of_seqeval_strict_even_for_broken_tags(tags):
    oracle = [(e.tag, e.start, e.end) for e in Entities([tags], IOB2).entities[0]]
    assert entities(tags) == oracle


def test_docstart_without_a_blank_line_ends_the_sentence(tmp_path):
    path = put(tmp_path, "a O\n-DOCSTART- -X- -X- O\nb B-PER\n")
    assert read_conll(path) == [Sentence(("a",), ("O",)), Sentence(("b",), ("B-PER",))]


def test_names_of_schemes(tmp_path):
    path = put(tmp_path, "a B-PER\nb I-PER\n")
    assert (
        read_conll(path, "BIO")
        == read_conll(path, "iob2")
        == [Sentence(("a", "b"), ("B-PER", "I-PER"))]
    )
    with pytest.raises(CorpusError, match="'bioe'.*did you mean 'bioes'"):
        read_conll(path, "bioe")


# --- Errors: each names file, line, value and what was expected, in one line ----------------------

ERRORS = {
    "columns": ("a x O\nb O\n", "auto", None, r"line 2: 2 column\(s\) in 'b O'; expected 3"),
    "one column": (
        "\nalone\n",
        "auto",
        None,
        r"line 2: 1 column\(s\) in 'alone'; expected two or more",
    ),
    "empty word": ("\tO\n", "auto", None, r"line 1: the word is empty"),
    "tag": (
        "a O\nb PER\nc B-PER\n",
        "auto",
        None,
        r"line 2: unknown tag 'PER'; expected O, or one of B-, I-.*a type, such as 'B-PER'",
    ),
    "no type": ("a B-\n", "auto", None, r"line 1: unknown tag 'B-'"),
    "type": (
        "a B-PRE\n",
        "auto",
        ["PER", "LOC"],
        r"line 1: unknown tag 'B-PRE'; .*and one of PER, LOC, such as 'B-PER'",
    ),
    "S- in iob2": (
        "a S-PER\n",
        "iob2",
        None,
        r"line 1: unknown tag 'S-PER'; expected O, or one of B-, I- and a type",
    ),
    "I- after O": (
        "a O\nb I-PER\n",
        "iob2",
        None,
        r"line 2: 'I-PER'.*continues nothing.*expected 'B-PER'",
    ),
    "I- first": ("a O\n\nb I-PER\n", "bio", None, r"line 3: 'I-PER'.*continues nothing"),
    "I- after other": ("a B-ORG\nb I-PER\n", "iob2", None, r"line 2: 'I-PER'.*continues nothing"),
    "I- after break": ("a B-PER\n\nb I-PER\n", "iob2", None, r"line 3: 'I-PER'.*continues nothing"),
    "broken iob2": (
        "a B-PER\nb O\nc I-PER\n",
        "auto",
        None,
        r"line 3: 'I-PER' continues nothing; expected 'B-PER'",
    ),
    "broken iob2, B- later": (
        "a I-PER\nb O\nc B-ORG\n",
        "auto",
        None,
        r"line 1: 'I-PER'.*line 3 opens.*'B-ORG'",
    ),
    "B- in iob1": ("a O\nb B-PER\n", "iob1", None, r"line 2: 'B-PER'.*expected 'I-PER'"),
    "bioes not ended": (
        "a B-PER\nb O\n",
        "bioes",
        None,
        r"line 2: 'O'.*expected 'I-PER' or 'E-PER'",
    ),
    "bioes cut": (
        "a S-PER\nb B-PER\n",
        "auto",
        None,
        r"line 2: 'B-PER'.*sentence ends, expected 'E-PER' or 'S-PER'",
    ),
    "bioes E- alone": (
        "a O\nb E-PER\n",
        "auto",
        None,
        r"line 2: 'E-PER'.*continues nothing.*'B-PER' or 'S-PER'",
    ),
    "bioes other type": (
        "a B-PER\nb E-ORG\n",
        "auto",
        None,
        r"line 2: 'E-ORG'.*expected 'I-PER' or 'E-PER'",
    ),
    "empty": ("", "auto", None, r"holds no sentence; expected"),
    "only blank": (" \n\n-DOCSTART- O\n", "auto", None, r"holds no sentence"),
    "not utf-8": (b"a O\ncaf\xe9 O\n", "auto", None, r"line 2: byte 0xe9 is not UTF-8"),
    "utf-16": ("a O\n".encode("utf-16"), "auto", None, r"line 1: byte 0xff is not UTF-8"),
    "NUL": (
        b"a O\nb\x00 O\n",
        "auto",
        None,
        r"line 2: control character '\\x00'.*not a binary file",
    ),
    "carriage returns": (b"a O\rb O\nc O", "auto", None, r"line 1: control character '\\r'"),
    "long tag": ("a B" + "x" * 10**5, "auto", None, r"line 1: unknown tag 'Bx{39}\.\.\.'"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_names_its_line(tmp_path, case):
    content, scheme, allowed, message = ERRORS[case]
    path = put(tmp_path, content)
    with pytest.raises(CorpusError, match=message) as caught:
        read_conll(path, scheme, allowed)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_path_without_a_file(tmp_path):
    with pytest.raises(CorpusError, match="no such file"):
        read_conll(tmp_path / "none.conll")
    with pytest.raises(CorpusError, match="is a folder; expected a CoNLL file"):
        read_conll(tmp_path)
    with pytest.raises(CorpusError, match="cannot be read"):
        read_conll("a\x00b")


# --- Hostile input: sentences that are well formed, or CorpusError; nothing else ------------------

tokens = st.one_of(
    st.sampled_from(
        [
            "\n",
            "\n\n",
            "\r\n",
            "\r",
            "\t",
            " ",
            "\ufeff",
            "-DOCSTART-",
            "\u00a0",
            "\u2028",
            "\x85",
            "\x00",
        ]
    ),
    st.builds(
        "{}{}{}\n".format,
        words,
        st.sampled_from([" ", "\t", " x "]),
        st.sampled_from(["O", "B-PER", "I-PER"]),
    ),
    st.builds(
        "{} {}-{}\n".format,
        words,
        st.sampled_from("BIESLUX"),
        st.sampled_from(["PER", "ORG", "", "-", "B-"]),
    ),
    st.text(max_size=4),
)
near_valid = st.lists(tokens, max_size=8).map(lambda p: "".join(p).encode("utf-8", "surrogatepass"))


@st.composite
def mutated(draw):
    data = bytearray(draw(near_valid) or b"a O\n")
    for _ in range(draw(st.integers(1, 3))):
        index = draw(st.integers(0, len(data)))
        data[index : index + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(data)


def attack_reader(tmp_path, count):
    path, seen = tmp_path / "hostile.conll", {"read": 0, "refused": 0}

    @given(
        st.one_of(near_valid, mutated(), st.binary(max_size=60)),
        st.sampled_from(["auto", "iob1", "iob2", "bioes"]),
    )
    @settings(relaxed, max_examples=count, database=None)
    def attack(content, scheme):
        path.write_bytes(content)
        try:
            sentences = read_conll(path, scheme)
        except CorpusError as error:
            seen["refused"] += 1
            assert str(path) in str(error) and "\n" not in str(error) and len(str(error)) < 1000
            return
        seen["read"] += 1
        assert sentences
        for ws, tags in sentences:
            assert len(ws) == len(tags) > 0 and all(ws)
            assert all(re.fullmatch(r"O|[BI]-\S+", tag) for tag in tags)
            pairs = zip(("O", *tags), tags, strict=False)
            assert all(
                now[0] != "I" or (before != "O" and before[2:] == now[2:]) for before, now in pairs
            )

    attack()
    assert min(seen.values()) > count / 50, f"one side is hardly tried: {seen}"


def test_hostile_input_gives_sentences_or_one_clear_error(tmp_path):
    attack_reader(tmp_path, HOSTILE)


@pytest.mark.long
def test_a_hundred_thousand_hostile_inputs(tmp_path):
    attack_reader(tmp_path, 100_000)
