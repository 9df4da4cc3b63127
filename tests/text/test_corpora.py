"""The readers, against writers and counts of their own and seqeval; hostile input; the shipped text and its sheet."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seqeval.scheme import IOB2, Entities

from rmlib.text import corpora, downloads, tweets
from rmlib.text.conll import CorpusError, Sentence, entities, read_conll
from rmlib.text.word_split import split_words

ROOT = Path(__file__).parents[2]
HOSTILE = int(os.environ.get("RMLIB_HOSTILE", "2000"))  # the full check is 100000
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


def put(folder, content, name="file.conll") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# --- Round trips: sentences are made of chunks, (type or None, words), and written in each scheme from the chunks ----

# Every character but line ends, tabs, spaces and control codes; U+0085, U+00A0 and U+2028 are parts of words here.
characters = st.characters(exclude_categories=["Cs"], exclude_characters=" \x7f" + "".join(map(chr, range(32))))
words = st.one_of(
    st.text(characters, min_size=1, max_size=6), st.sampled_from(["\u00a0", "\u0085", "a\u2028b", "O", "."])
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
    return [tag.replace("S-", "U-", 1).replace("E-", "L-", 1) for tag in write_bioes("?", n, touching)]


def rows_of(sentence, write):
    before = None
    for kind, ws in sentence:
        tags = ["O"] * len(ws) if kind is None else write("?", len(ws), kind == before)
        yield from zip(ws, [tag.replace("?", str(kind)) for tag in tags], strict=True)
        before = kind


@given(texts, st.sampled_from(["iob1", "iob2", "bioes", "bilou"]), st.booleans(), st.data())
@relaxed
def test_every_scheme_and_layout_reads_back_equal(tmp_path, text, scheme, declared, data):
    write = {"iob1": write_iob1, "iob2": write_iob2, "bioes": write_bioes, "bilou": write_bilou}[scheme]
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
    content = content.rstrip("\r\n\t ") if draw(st.booleans()) else content  # no line end after the last line
    path = put(tmp_path, draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + content.encode())
    expected = [Sentence(*map(tuple, zip(*rows_of(s, write_iob2), strict=True))) for s in text]
    assert read_conll(path, scheme if declared else "auto") == expected


@given(st.lists(st.sampled_from(["O", *(f"{m}-{t}" for m in "BI" for t in ("PER", "ORG", "LOC"))]), max_size=12))
def test_entities_are_those_of_seqeval_strict_even_for_broken_tags(tags):
    oracle = [(e.tag, e.start, e.end) for e in Entities([tags], IOB2).entities[0]]
    assert entities(tags) == oracle


def test_docstart_without_a_blank_line_ends_the_sentence(tmp_path):
    path = put(tmp_path, "a O\n-DOCSTART- -X- -X- O\nb B-PER\n")
    assert read_conll(path) == [Sentence(("a",), ("O",)), Sentence(("b",), ("B-PER",))]


def test_names_of_schemes(tmp_path):
    path = put(tmp_path, "a B-PER\nb I-PER\n")
    assert read_conll(path, "BIO") == read_conll(path, "iob2") == [Sentence(("a", "b"), ("B-PER", "I-PER"))]
    with pytest.raises(CorpusError, match="'bioe'.*did you mean 'bioes'"):
        read_conll(path, "bioe")


# --- Mistakes: each names file, line, value and what was expected, in one line --------------------------------------

MISTAKES = {
    "columns": ("a x O\nb O\n", "auto", None, r"line 2: 2 column\(s\) in 'b O'; expected 3"),
    "one column": ("\nalone\n", "auto", None, r"line 2: 1 column\(s\) in 'alone'; expected two or more"),
    "empty word": ("\tO\n", "auto", None, r"line 1: the word is empty"),
    "tag": (
        "a O\nb PER\n",
        "auto",
        None,
        r"line 2: unknown tag 'PER'; expected O, or one of B-, I-.*a type, such as 'B-PER'",
    ),
    "small letters": ("a O\nb b-PER\n", "auto", None, r"line 2: unknown tag 'b-PER'.*such as 'B-PER'"),
    "no type": ("a B-\n", "auto", None, r"line 1: unknown tag 'B-'"),
    "type": (
        "a B-PRE\n",
        "auto",
        ["PER", "LOC"],
        r"line 1: unknown tag 'B-PRE'; .*and one of PER, LOC, such as 'B-PER'",
    ),
    "S- in iob2": ("a S-PER\n", "iob2", None, r"line 1: unknown tag 'S-PER'; expected O, or one of B-, I- and a type"),
    "I- after O": ("a O\nb I-PER\n", "iob2", None, r"line 2: 'I-PER'.*continues nothing.*expected 'B-PER'"),
    "I- first": ("a O\n\nb I-PER\n", "bio", None, r"line 3: 'I-PER'.*continues nothing"),
    "I- after other": ("a B-ORG\nb I-PER\n", "iob2", None, r"line 2: 'I-PER'.*continues nothing"),
    "I- after break": ("a B-PER\n\nb I-PER\n", "iob2", None, r"line 3: 'I-PER'.*continues nothing"),
    "broken iob2": ("a B-PER\nb O\nc I-PER\n", "auto", None, r"line 3: 'I-PER' continues nothing; expected 'B-PER'"),
    "broken iob2, B- later": ("a I-PER\nb O\nc B-ORG\n", "auto", None, r"line 1: 'I-PER'.*line 3 opens.*'B-ORG'"),
    "B- in iob1": ("a O\nb B-PER\n", "iob1", None, r"line 2: 'B-PER'.*expected 'I-PER'"),
    "bioes not ended": ("a B-PER\nb O\n", "bioes", None, r"line 2: 'O'.*expected 'I-PER' or 'E-PER'"),
    "bioes cut": ("a S-PER\nb B-PER\n", "auto", None, r"line 2: 'B-PER'.*sentence ends, expected 'E-PER' or 'S-PER'"),
    "bioes E- alone": ("a O\nb E-PER\n", "auto", None, r"line 2: 'E-PER'.*continues nothing.*'B-PER' or 'S-PER'"),
    "bioes other type": ("a B-PER\nb E-ORG\n", "auto", None, r"line 2: 'E-ORG'.*expected 'I-PER' or 'E-PER'"),
    "empty": ("", "auto", None, r"holds no sentence; expected"),
    "only blank": (" \n\n-DOCSTART- O\n", "auto", None, r"holds no sentence"),
    "not utf-8": (b"a O\ncaf\xe9 O\n", "auto", None, r"line 2: byte 0xe9 is not UTF-8"),
    "utf-16": ("a O\n".encode("utf-16"), "auto", None, r"line 1: byte 0xff is not UTF-8"),
    "NUL": (b"a O\nb\x00 O\n", "auto", None, r"line 2: control character '\\x00'.*not a binary file"),
    "old Mac line ends": (b"a O\rb O\r", "auto", None, r"line 1: control character '\\r'"),
    "long tag": ("a B" + "x" * 10**5, "auto", None, r"line 1: unknown tag 'Bx{39}\.\.\.'"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told_with_its_place(tmp_path, case):
    content, scheme, allowed, message = MISTAKES[case]
    path = put(tmp_path, content)
    with pytest.raises(CorpusError, match=message) as caught:
        read_conll(path, scheme, allowed)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(CorpusError, match="no such file"):
        read_conll(tmp_path / "none.conll")
    with pytest.raises(CorpusError, match="is a folder; expected a CoNLL file"):
        read_conll(tmp_path)
    with pytest.raises(CorpusError, match="cannot be read"):
        read_conll("a\x00b")


# --- Hostile input: sentences that are well formed, or CorpusError; nothing else ------------------------------------

pieces = st.one_of(
    st.sampled_from(
        ["\n", "\n\n", "\r\n", "\r", "\t", " ", "\ufeff", "-DOCSTART-", "\u00a0", "\u2028", "\x85", "\x00"]
    ),
    st.builds("{}{}{}\n".format, words, st.sampled_from([" ", "\t", " x "]), st.sampled_from(["O", "B-PER", "I-PER"])),
    st.builds("{} {}-{}\n".format, words, st.sampled_from("BIESLUX"), st.sampled_from(["PER", "ORG", "", "-", "B-"])),
    st.text(max_size=4),
)
near_valid = st.lists(pieces, max_size=8).map(lambda p: "".join(p).encode("utf-8", "surrogatepass"))


@st.composite
def mutated(draw):
    data = bytearray(draw(near_valid) or b"a O\n")
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(data)


def test_hostile_input_gives_sentences_or_one_clear_error(tmp_path):
    path, seen = tmp_path / "hostile.conll", {"read": 0, "refused": 0}

    @given(st.one_of(near_valid, mutated(), st.binary(max_size=60)), st.sampled_from(["auto", "iob1", "iob2", "bioes"]))
    @settings(relaxed, max_examples=HOSTILE, database=None)
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
            assert all(now[0] != "I" or (before != "O" and before[2:] == now[2:]) for before, now in pairs)

    attack()
    assert min(seen.values()) > HOSTILE / 50, f"one side is hardly tried: {seen}"


# --- Corpora by name ------------------------------------------------------------------------------------------------


def a_folder(folder, names=("train.conll", "dev.conll", "test.conll")):
    folder.mkdir()
    for name, tag in zip(names, ("B-PER", "B-zoo", "B-ORG"), strict=True):
        put(folder, f"a {tag}\n\nb O\n", name)
    return folder


@pytest.mark.parametrize("dev, test", [("dev", "test"), ("valid", "test"), ("testa", "testb")])
def test_a_folder_of_ones_own(tmp_path, dev, test):
    folder = a_folder(tmp_path / "mine", ("train.txt", f"{dev}.conll", f"{test}.txt"))
    corpus = corpora.load(folder)
    assert corpora.load(str(folder)) == corpus
    assert corpus.name == "mine" and corpus.train == [Sentence(("a",), ("B-PER",)), Sentence(("b",), ("O",))]
    assert corpus.tags == ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-zoo", "I-zoo"]
    with pytest.raises(CorpusError, match="unknown tag 'B-zoo'"):  # CoNLL-2003 has four types only
        corpora.conll2003(path=folder)


def test_conll2003_from_a_path_needs_no_licence_and_may_be_cut(tmp_path):
    folder = a_folder(tmp_path / "c")
    put(folder, "x B-MISC\n", "dev.conll")
    assert len(corpora.conll2003(path=folder).train) == 2
    assert len(corpora.conll2003(path=folder, limit=1).train) == 1
    for limit in (0, -1, 1.5, "3"):
        with pytest.raises(CorpusError, match="limit is .*; expected a number of sentences, 1 or more"):
            corpora.conll2003(path=folder, limit=limit)
    with pytest.raises(CorpusError, match="both path .* and hub"):
        corpora.conll2003(path=folder, hub="tner/conll2003")
    with pytest.raises(CorpusError, match="licensed for research only; expected accept_licence=True"):
        corpora.load("hub:tner/conll2003")


def test_a_corpus_that_is_none(tmp_path):
    with pytest.raises(CorpusError, match="'newswir' is neither.*did you mean 'newswire'"):
        corpora.load("newswir")
    with pytest.raises(CorpusError, match="name of the corpus is empty"):
        corpora.load("")
    with pytest.raises(CorpusError, match="is a file; expected a folder"):
        corpora.load(put(tmp_path, "a O\n"))
    folder = a_folder(tmp_path / "mine")
    (folder / "dev.conll").rename(folder / "development.conll")
    with pytest.raises(CorpusError, match=r"the dev split should be one of dev.conll, .*testa.txt; found none"):
        corpora.load(folder)
    put(folder, "a O\n", "valid.txt"), put(folder, "a O\n", "dev.txt")
    with pytest.raises(CorpusError, match=r"the dev split .*; found dev.txt and valid.txt"):
        corpora.load(folder)


HUB = """
import sys
from rmlib.text import corpora
for repo in sys.argv[1:]:
    try:
        corpus = corpora.load("hub:" + repo)
        print(corpus.tags, corpus.train, len(corpus.dev), len(corpus.test))
    except corpora.CorpusError as error:
        print(error)
"""


def test_the_hub_layout_through_the_hubs_own_cache(tmp_path):
    good = [{"tokens": ["Ann", "Lee", "left"], "tags": [1, 2, 0]}, {"tokens": ["."], "tags": [0]}]
    cases = {
        "good": "\n".join(map(json.dumps, good)),
        "number": '{"tokens": ["a"], "tags": [9]}',
        "lengths": '{"tokens": ["a", "b"], "tags": [0]}',
        "json": '{"tokens": ["a"], ',
        "orphan": '{"tokens": ["a", "b", "c"], "tags": [1, 0, 2]}',
    }
    for name, train in cases.items():
        home = tmp_path / "hub" / f"datasets--tiny--{name}"
        (home / "refs").mkdir(parents=True)
        (home / "refs" / "main").write_text("0" * 40)
        (data := home / "snapshots" / ("0" * 40) / "dataset").mkdir(parents=True)
        put(data, json.dumps({"O": 0, "B-PER": 1, "I-PER": 2}), "label.json")
        put(data, train, "train.json"), put(data, cases["good"], "test.json")
        put(data, cases["good"], "dev.json" if name == "good" else "valid.json")  # both names are in use
    env = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub")}
    command = [sys.executable, "-c", HUB, *(f"tiny/{name}" for name in cases)]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = dict(zip(cases, done.stdout.strip().split("\n"), strict=True))
    ann = Sentence(("Ann", "Lee", "left"), ("B-PER", "I-PER", "O"))
    assert lines["good"] == f"{['O', 'B-PER', 'I-PER']} {[ann, Sentence(('.',), ('O',))]} 2 2"
    for name in ("number", "lengths", "json"):
        assert re.search(r"train.json, line 1: .* is not .*numbers from label.json \(0, 1, 2\)", lines[name])
    assert re.search(r"train.json, line 1: 'I-PER' continues nothing", lines["orphan"])


def fetched(name, **options):
    try:
        return downloads.fetch(name, **options)
    except downloads.AssetError as error:
        pytest.skip(f"{name} is out of reach: {error}")


def test_conll2003_has_its_published_counts(tmp_path, monkeypatch):
    monkeypatch.setenv("RMLIB_CACHE", str(tmp_path))  # so that running the tests accepts no licence for anybody
    fetched("conll2003", accept_licence=True, progress=False)
    corpus = corpora.conll2003(accept_licence=True)
    assert [len(corpus.train), len(corpus.dev), len(corpus.test)] == [14041, 3250, 3453]
    # Table 2 of the paper of the shared task
    assert [sum(len(entities(s.tags)) for s in part) for part in (corpus.train, corpus.dev, corpus.test)] == [
        7140 + 3438 + 6321 + 6600,
        1837 + 922 + 1341 + 1842,
        1668 + 702 + 1661 + 1617,
    ]
    assert corpus.tags == corpora.newswire().tags


# --- The shipped newswire and its data sheet ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def newswire():
    return corpora.newswire()


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("convert_newswire", ROOT / "data" / "convert_newswire.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tag_set(newswire):
    assert newswire.tags == ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC"]
    assert corpora.load("newswire") == newswire


def test_the_data_sheet_says_what_the_script_counts(newswire, script):
    sheet = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    for line in script.counts(newswire).split("\n"):
        assert line in sheet


def test_the_counts_of_the_data_sheet_are_those_of_the_files():
    sheet = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    total = 0
    for split in ("train", "dev", "test"):
        raw = (ROOT / "data" / "newswire" / f"{split}.conll").read_text(encoding="utf-8")
        assert raw.count("-DOCSTART- O\n\n") == 10
        blocks = raw.replace("-DOCSTART- O\n\n", "").strip("\n").split("\n\n")
        lines = [line for block in blocks for line in block.split("\n")]
        kinds = [sum(line.endswith(f" B-{kind}") for line in lines) for kind in ("PER", "ORG", "LOC", "MISC")]
        none = sum(" B-" not in block for block in blocks) / len(blocks)
        numbers = [len(blocks), len(lines), sum(kinds), *kinds]
        assert f"| {split} | " + " | ".join(f"{n:,}" for n in numbers) + f" | {none:.1%} |" in sheet
        total += len(blocks)
    assert total == 2900


def test_no_sentence_stands_twice(newswire):
    sentences = [" ".join(s.words).lower() for s in newswire.train + newswire.dev + newswire.test]
    assert len(set(sentences)) == len(sentences) == 2900


def test_contiguous_blocks_leak_fewer_parts_of_names_than_random_splits(newswire, script):
    for options in ({"whole": False}, {"whole": False, "kind": "PER"}):
        at_random = script.random_leaks(newswire, **options)
        assert script.leak(newswire.train, newswire.test, **options) < min(at_random)


def test_leak_on_a_case_that_can_be_counted_by_hand(script):
    train = [Sentence(("Ann", "Lee", "left"), ("B-PER", "I-PER", "O"))]
    test = [
        Sentence(("Lee", "and", "Ann", "Lee"), ("B-PER", "O", "B-PER", "I-PER")),
        Sentence(("Bo", "in", "Lee"), ("B-PER", "O", "B-LOC")),
    ]
    assert script.leak(train, test) == 1 / 4
    assert script.leak(train, test, whole=False) == 3 / 4
    assert script.leak(train, test, whole=False, kind="PER") == 2 / 3


def test_conversion_keeps_every_sentence_and_cuts_in_blocks(tmp_path, script):
    source = tmp_path / "source"
    source.mkdir()
    for letter in "ab":
        lines = [f"[PER {letter}{i} Lee ] 's {letter} [ORG Ash & Co ] [LOC Oslo ] ." for i in range(10)]
        put(source, "\n".join(lines) + "\n", f"{letter}.txt")
    script.convert(source, tmp_path / "out")
    corpus = corpora.load(tmp_path / "out")
    first = {split: [s.words[0] for s in getattr(corpus, split)] for split in ("train", "dev", "test")}
    wanted = {"train": range(7), "dev": [7], "test": [8, 9]}
    assert first == {split: [f"{letter}{i}" for letter in "ab" for i in numbers] for split, numbers in wanted.items()}
    assert " ".join(corpus.dev[0].tags) == "B-PER I-PER O O B-ORG I-ORG I-ORG B-LOC O"


@pytest.mark.parametrize(
    "line, mistake",
    [
        ("[PER Ann left now .", "not closed"),
        ("[PER Ann [LOC Oslo ] ] .", "inside an entity"),
        ("Ann ] left now .", "nothing to close"),
        ("[PER ] left now .", "nothing to close"),
        ("Ann  left now .", "two spaces"),
        ("[XYZ Ann ] left now .", "bracket in a word"),
        ("Ann left, now .", "not split off"),
        ("Ann's cat left .", "not split off"),
        ("A .", "expected 3 to 50"),
        ("an ordinary line .", "there already"),
    ],
)
def test_conversion_stops_at_a_mistake_and_writes_nothing(tmp_path, script, line, mistake):
    put(tmp_path, f"An ordinary line .\n{line}\n", "a.txt")
    with pytest.raises(SystemExit, match=rf"a.txt, line 2: .*{mistake}"):
        script.convert(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_installed_package_finds_its_own_copy(tmp_path):
    site = tmp_path / "site-packages"
    shutil.copytree(ROOT / "rmlib", site / "rmlib", ignore=shutil.ignore_patterns("__pycache__", "data"))
    shutil.copytree(ROOT / "data" / "newswire", site / "rmlib" / "data" / "newswire")
    (site / "data").mkdir()  # somebody else's package
    code = "from rmlib.text import corpora; print(corpora.data_dir(), len(corpora.newswire().train))"
    env = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == f"{site / 'rmlib' / 'data'} 2030", done.stderr


# --- Tweets ---------------------------------------------------------------------------------------------------------


def test_tweets_with_every_rating():
    folder = fetched("tweets", progress=False)
    found = tweets.load_tweets()
    assert len(found) == len({t.id for t in found}) == 4200
    assert all(len(t.ratings) >= 20 and set(t.ratings) <= set(range(-4, 5)) for t in found)
    assert all(abs(sum(t.ratings) / len(t.ratings) - t.mean) < 1e-6 for t in found)
    assert found[3].text == "LMAO, AMAZING!" and "&amp;" not in found[2].text and " & the love" in found[2].text
    published = (folder / "tweets_GroundTruth.txt").read_bytes().decode("utf-8-sig").strip().split("\r\n")
    means = [float(line.split("\t")[1]) for line in published]
    other = [(t.id, t.mean, m) for t, m in zip(found, means, strict=True) if abs(t.mean - m) > 1e-6]
    assert (
        len(other) == 199 and sum(i < 300 for i, _, _ in other) == 30 and min(i for i, _, _ in other if i > 300) == 1424
    )
    assert not [o for o in other if (o[1] <= -0.05) != (o[2] <= -0.05)]  # no label of lesson 06 hangs on it


def test_tweets_that_do_not_belong_together(tmp_path):
    row = tweets._tweet(tmp_path, (1, ["7", "0.5", "a &lt;3"]), (1, ["7", "0.5", "0.5", str([0, 1] * 10)]))
    assert row == (7, "a <3", 0.5, 0.5, (0, 1) * 10)
    for bad in (["8", "0.5", "0.5", str([0, 1] * 10)], ["7", "0.6", "0.5", str([0, 1] * 10)], ["7", "0", "0", "[0]"]):
        with pytest.raises(CorpusError, match="line 1: tweet '7' and ratings .* do not belong together"):
            tweets._tweet(tmp_path, (1, ["7", "0.5", "a"]), (1, bad))


# --- Splitting typed text -------------------------------------------------------------------------------------------


def naturally(sentence) -> str:
    """A sentence with spaces where a person puts them: none before a comma, none inside brackets and quotes."""
    text, glue, quoted = "", True, False
    for word in sentence:
        left = word in {",", ".", ";", ":", ")", "%", "'s", "'S", "'"} or re.fullmatch(r"[?!.]+", word)
        left = quoted if word == '"' else left
        text += word if left or glue else " " + word
        glue = word in {"(", "$", "£", "€"} or (word == '"' and not quoted)
        quoted ^= word == '"'
    return text


@pytest.mark.parametrize("join", [" ".join, naturally])
def test_newswire_sentences_split_into_their_own_words(newswire, join):
    sentences = newswire.train + newswire.dev + newswire.test
    same = sum(tuple(split_words(join(s.words))) == s.words for s in sentences)
    assert same / len(sentences) >= 0.995


@given(st.text(max_size=40))
def test_splitting_loses_nothing(text):
    assert "".join(split_words(text)) == "".join(text.split())


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Chile's unit paid $1,400, or 11.2%.", "Chile 's unit paid $ 1,400 , or 11.2 % ."),
        ("“I don’t know,” said Dr. J. P. O'Farrelly-Smith.", "“ I don’t know , ” said Dr. J. P. O'Farrelly-Smith ."),
        ("The teachers' union (TU) won 2-1!", "The teachers ' union ( TU ) won 2-1 !"),
        ("So do I. Do you?", "So do I. Do you ?"),
        ("So do I.", "So do I ."),
        ("The U.N. met at 3:15 p.m.", "The U.N. met at 3:15 p.m."),
        ("1. Tarn 2. Ash", "1. Tarn 2. Ash"),
        ("He was 31. She left in 2026.", "He was 31 . She left in 2026 ."),
        ("km/h, R&D, a@b.com and https://example.org/a?b.", "km/h , R&D , a@b.com and https://example.org/a?b ."),
        ("", ""),
    ],
)
def test_splitting_what_people_type(text, expected):
    assert split_words(text) == expected.split()
