"""Layouts of corpora that people have: what is taken for what, and what is refused.

Each case names the public report or data set that it follows; the inputs are written anew.
"""

import csv
import io
import json
import os
import random
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rmlib.text import corpora
from rmlib.text.conll import CorpusError, Sentence, entities, read_conll, read_files

relaxed = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


def put(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(folder, content, name="train.txt", **options):
    """(words and tags of the sentences as "word/tag word/tag", the clause on the layout)."""
    parts, clause = read_files([put(folder, name, content)], **options)
    return [" ".join(map("/".join, zip(*s, strict=True))) for s in parts[0]], clause


def jsonl(*records) -> str:
    return "\n".join(json.dumps(record, ensure_ascii=False) for record in records) + "\n"


KAGGLE = """Sentence #,Word,POS,Tag
Sentence: 1,Ann,NNP,B-per
,",",",",O
,\"\"\"\",``,O
Sentence: 2,London,NNP,B-geo
,slept,VBD,O
"""

COLUMNS = {
    # layout: (content, sentences, words of the clause)
    "GermEval (flairNLP/flair#867)": (
        "#\thttp://de.wikipedia.org [2009-10-17]\n1\tDer\tO\tO\n2\tFC\tB-ORG\tO\n"
        "3\tBonn\tI-ORG\tB-LOC\n\n1\tAnna\tB-PER\tO\n",
        ["Der/O FC/B-ORG Bonn/I-ORG", "Anna/B-PER"],
        ["4 columns, word 2, tag 3", "nested tags in 4 not read", "comments skipped (1)", "IOB2"],
    ),
    "Universal NER": (
        "# sent_id = n01\n# text = Ann slept\n1\tAnn\tB-PER\t-\tx\n2\tslept\tO\t-\tx\n\n"
        "# sent_id = n02\n1\tRome\tB-LOC\t-\tx\n",
        ["Ann/B-PER slept/O", "Rome/B-LOC"],
        ["5 columns, word 2, tag 3", "comments skipped (3)"],
    ),
    "a token of several words in UD": (
        "1-2\tvámonos\t_\n1\tvamos\tO\n2\tnos\tO\n3\tRoma\tB-LOC\n3.1\tx\t_\n",
        ["vamos/O nos/O Roma/B-LOC"],
        ["word 2, tag 3"],
    ),
    "CoNLL-2003 (flairNLP/flair#2903)": (
        "-DOCSTART- -X- -X- O\n\nGermany NNP B-NP B-LOC\nimported VBD B-VP O\n, , O O\n",
        ["Germany/B-LOC imported/O ,/O"],
        ["4 columns, word 1, tag 4"],
    ),
    "chunks, and no entity in this file": (
        "Germany NNP B-NP O\nimported VBD B-VP O\n",
        ["Germany/O imported/O"],
        ["tag 4"],
    ),
    "CoNLL-2000, chunks alone": ("The DT B-NP\ncat NN I-NP\n", ["The/B-NP cat/I-NP"], ["tag 3"]),
    "MultiCoNER (mead-ml/mead-baseline#408)": (
        "# id 5f domain=en\n# _ _ B-CW\nhe _ _ O\n\n# id 6f domain=en\nann _ _ B-PER\n",
        ["#/B-CW he/O", "ann/B-PER"],
        ["4 columns, word 1, tag 4", "comments skipped (2)"],
    ),
    "a # that is a word": ("#\tO\nmetoo\tO\n\n#Ann\tB-PER\n", ["#/O metoo/O", "#Ann/B-PER"], []),
    "CoNLL-2012's document lines": (
        "#begin document (bc/cctv); part 000\nAnn B-PER\n\n#end document\n",
        ["Ann/B-PER"],
        ["comments skipped (2)"],
    ),
    "the document in the first column": (
        "bc/1 0 Ann NNP B-PER\nbc/1 1 slept VBD O\n\nbc/1 0 Bo NNP B-PER\n",
        ["Ann/B-PER slept/O", "Bo/B-PER"],
        ["word 3, tag 5"],
    ),
    "offsets between tag and word": (
        "B-PER 0 3 Ann\nO 4 9 slept\nO 9 10 .\n",
        ["Ann/B-PER slept/O ./O"],
        ["word 4, tag 1"],
    ),
    "the tag first (MIT Movie)": ("O\ta\nB-ACTOR\tpenn\n", ["a/O penn/B-ACTOR"], ["tag 1"]),
    "WikiANN": ("en:Anna B-PER\nen:: O\nen:ran O\n", ["Anna/B-PER :/O ran/O"], ["language prefix"]),
    "Weibo (hltcoe/golden-horse#5)": (
        "卫0\tB-PER.NAM\n庄1\tI-PER.NAM\n大0\tO\n20\tO\n51\tO\n",
        ["卫/B-PER.NAM 庄/I-PER.NAM 大/O 2/O 5/O"],
        ["digit removed"],
    ),
    "BMES (jiesutd/NCRFpp#129)": (
        "常 B-TITLE\n务 M-TITLE\n长 E-TITLE\n高 S-NAME\n， O\n",
        ["常/B-TITLE 务/I-TITLE 长/I-TITLE 高/B-NAME ，/O"],
        ["BMES"],
    ),
    "BILOU": ("a B-X\nb L-X\nc U-X\n", ["a/B-X b/I-X c/B-X"], ["BILOU"]),
    "the mark last (chakki-works/seqeval#2)": (
        "Ann PER-B\nLee PER-I\nran O\n",
        ["Ann/B-PER Lee/I-PER ran/O"],
        ["written as PER-B"],
    ),
    "small marks": ("Ann b-per\nLee i-per\nran o\n", ["Ann/B-per Lee/I-per ran/O"], ["b-PER"]),
    "underscores": ("张 B_nr\n三 E_nr\n, O\n", ["张/B-nr 三/I-nr ,/O"], ["written as B_PER"]),
    "marks alone (chakki-works/seqeval#46)": (
        "Ann B\nLee I\nran O\n",
        ["Ann/B-ENTITY Lee/I-ENTITY ran/O"],
        ["written as B"],
    ),
    "types alone (flairNLP/flair#3306, Few-NERD)": (
        "Hi O\nJohn NAME\nLee NAME\nran O\n",
        ["Hi/O John/B-NAME Lee/I-NAME ran/O"],
        ["IO written as PER"],
    ),
    "IO": ("Hi O\nJohn I-PER\n", ["Hi/O John/B-PER"], ["IO"]),
    "byte-order marks where files were joined": (
        "\ufeff\ufeffAnn B-PER\n\n\ufeffBo B-PER\n",
        ["Ann/B-PER", "Bo/B-PER"],
        [],
    ),
    "old Mac": ("Ann B-PER\rran O\r\rBo B-PER\r", ["Ann/B-PER ran/O", "Bo/B-PER"], []),
    "doubled carriage returns": (
        "Ann B-PER\r\r\n\r\r\nBo B-PER\r\r\n",
        ["Ann/B-PER", "Bo/B-PER"],
        [],
    ),
    "trailing tabs (flairNLP/flair#1861)": ("Ann\tB-PER\t\nran\tO\t\n", ["Ann/B-PER ran/O"], []),
    "a trailing tab on one line": ("Ann\tB-PER\nran\tO\t\n", ["Ann/B-PER ran/O"], ["2 columns"]),
    "an empty column": ("Ann\t\tB-PER\nran\t\tO\n", ["Ann/B-PER ran/O"], ["3 columns", "tag 3"]),
    "a first line of names": (
        "word pos ner\nAnn NNP B-PER\n\nran VBD O\n",
        ["Ann/B-PER", "ran/O"],
        [],
    ),
    "Kaggle": (
        KAGGLE,
        ['Ann/B-per ,/O "/O', "London/B-geo slept/O"],
        ["4 columns, word 2, tag 4"],
    ),
    "Kaggle, filled": (
        "sentence_idx;word;tag\n1.0;Ann;B-per\n1.0;ran;O\n2.0;Bo;B-per\n",
        ["Ann/B-per ran/O", "Bo/B-per"],
        ["word 2, tag 3"],
    ),
    "pandas with its index": (
        "Unnamed: 0,sentence_id,words,labels\n0,1,Ann,B-PER\n1,1,ran,O\n2,2,Bo,B-PER\n",
        ["Ann/B-PER ran/O", "Bo/B-PER"],
        ["4 columns, word 3, tag 4"],
    ),
    "pandas with its index, by tabs": (
        "\tsentence_id\tword\ttag\n0\t1\tAnn\tB-PER\n1\t1\tran\tO\n2\t2\tBo\tB-PER\n",
        ["Ann/B-PER ran/O", "Bo/B-PER"],
        ["4 columns, word 3, tag 4"],
    ),
    "CoNLL-U Plus": (
        "# global.columns = ID FORM UPOS NER\n1\tAnn\tNNP\tB-PER\n2\tran\tVB\tO\n",
        ["Ann/B-PER ran/O"],
        ["word 2, tag 4", "comments skipped (1)"],
    ),
    "-DOCSTART- after an index": (
        "1\t-DOCSTART-\tO\n\n1\tAnn\tB-PER\n",
        ["Ann/B-PER"],
        ["word 2, tag 3"],
    ),
    "slashes": ("Ann B/PER\nran O\n", ["Ann/B-PER ran/O"], ["written as B_PER"]),
    "a confidence after the tag": ("Ann B-PER 0.99\nran O 1\n", ["Ann/B-PER ran/O"], ["tag 2"]),
    "pandas, separated by tabs": (
        'token\tlabel\n""""\tO\nAnn\tB-PER\n',
        ['"/O Ann/B-PER'],
        ["word 1, tag 2"],
    ),
    "words that are numbers": ("1 O\n2 O\n5 B-X\n", ["1/O 2/O 5/B-X"], ["word 1"]),
    "a word that is O": ("O O\nB-PER O\nAnn B-PER\n", ["O/O B-PER/O Ann/B-PER"], ["word 1, tag 2"]),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_columns_are_taken_for_what_they_are(tmp_path, case):
    content, sentences, words = COLUMNS[case]
    found, clause = read(tmp_path, content)
    assert found == sentences
    assert all(word in clause for word in words), clause


REFUSED = {
    "two layers of tags (flairNLP/flair#1397)": (
        "गांधी\tNNP\tB-PERSON\tB-INDIVIDUAL\nएक\tQC\to\to\n",
        r"columns 3 and 4 both hold tags; .*--columns word=1,tag=3",
    ),
    "inner entities outside the outer ones": (
        "1\ta\tB-X\tO\n2\tb\tO\tB-X\n",
        r"columns 3 and 4 both hold tags",
    ),
    "gold and predicted tags, as conlleval reads": (
        "Ann NNP B-X B-X\nran VB O B-X\nBo NNP B-X B-Y\n",
        r"columns 3 and 4 both hold tags",
    ),
    "only numbers": (
        "1\tO\n2\tB-X\n3\tO\n",
        r"column 1 counts 1, 2, 3.*expected a column of words",
    ),
    "parts of speech, of which one is O": (
        "a O\nb N\nc V\nd O\ne O\n",
        r"line 2: unknown tag 'N'",
    ),
    "WebAnno": (
        "#FORMAT=WebAnno TSV 3.2\n\n#Text=Ann ran\n1-1\t0-3\tAnn\tPER\n1-2\t4-7\tran\t_\n",
        r"looks like WebAnno TSV",
    ),
    "no tags": ("a NN\nb VB\nc NN\n", r"line 1: unknown tag 'NN'.*--columns word=1,tag=2"),
    "a comment inside a sentence": ("a O\n# b c\nd O\n", r"line 2: 3 column\(s\) in '# b c'"),
    "a tag missing": ("a\tO\nb\t\n", r"line 2: unknown tag ''|line 2: 1 column"),
    "one wrong tag among many O": (
        "a B-LOC\n" + "b O\n" * 9 + "c X-LOC\n",
        r"line 11: unknown tag 'X-LOC'",
    ),
    "one tag without its mark": (
        "a B-LOC\n" + "b O\n" * 9 + "c LOC\n",
        r"line 11: unknown tag 'LOC'",
    ),
    "one tag with the mark last": (
        "a B-LOC\n" + "b O\n" * 9 + "c LOC-B\n",
        r"line 11: unknown tag 'LOC-B'",
    ),
    "one wrong tag": ("a B-X\nb X\nc O\n", r"line 2: unknown tag 'X'"),
    "Latin-1": (
        "café O\n".encode("latin-1"),
        r"line 1: byte 0xe9.*WINDOWS-1252 -t UTF-8 train.txt",
    ),
    "UTF-16": ("a O\n".encode("utf-16"), r"byte 0xff.*iconv -f UTF-16"),
    "a quote that never closes": ('Word,Tag\n",O\nAnn,B-PER\n",O\n', r"line \d: .*expected CSV"),
    "most words with a prefix": (
        "".join(f"en:a{i} O\n" for i in range(20)) + "Anna B-PER\n",
        r"line 21: 'Anna' is not written as most words",
    ),
    "brackets of CoNLL-2012": (
        "Ann NNP (PERSON*)\nran VB *\n",
        r"looks like brackets of CoNLL-2012",
    ),
    "XML": ("<s>\n<w>Ann</w>\n</s>\n", r"looks like XML"),
    "brat": ("T1\tPER 0 3\tAnn\n", r"looks like brat"),
    "WikiNER": (
        "Ann|NNP|I-PER ran|VB|O .|.|O\nBo|NNP|I-PER\n",
        r"one sentence per line, word\|tag",
    ),
    "mixed line ends": ("a O\rb O\nc O\n", r"line 1: control character '\\r'"),
    "Kaggle's lists": (
        "Sentence #,Sentence,POS,Tag\nSentence: 1,Ann ran,\"['NNP']\",\"['B-per', 'O']\"\n",
        r"looks like CSV without columns named word and tag",
    ),
    "CSV without names": ("Ann,B-PER\nran,O\n", r"looks like CSV without columns named"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_told_is_refused_in_one_sentence(tmp_path, case):
    content, message = REFUSED[case]
    with pytest.raises(CorpusError, match=message) as caught:
        read(tmp_path, content)
    assert "train.txt" in str(caught.value) and "\n" not in str(caught.value)


def test_columns_can_be_named(tmp_path):
    nested = "a\tB-X\tO\nb\tO\tB-Y\n"
    assert read(tmp_path, nested, columns="word=1,tag=3")[0] == ["a/O b/B-Y"]
    assert read(tmp_path, nested, columns="word=1,tag=2")[0] == ["a/B-X b/O"]
    table = "id,Term,Kind\n1,Ann,B-PER\n,,\n2,Bo,O\n"
    assert read(tmp_path, table, "train.csv", columns="word=Term,tag=Kind")[0] == [
        "Ann/B-PER",
        "Bo/O",
    ]
    with pytest.raises(CorpusError, match="no column '5'; expected 1 to 3"):
        read(tmp_path, nested, columns="word=1,tag=5")
    with pytest.raises(CorpusError, match="column 1 is both word and tag"):
        read(tmp_path, nested, columns="word=1,tag=1")
    for wrong in ("2,3", "word=2", "word=,tag=1", "words=1,tag=2"):
        with pytest.raises(CorpusError, match="word=2,tag=3"):
            read(tmp_path, nested, columns=wrong)
    rows = jsonl({"w": ["a"], "t": ["B-X"]})
    assert read(tmp_path, rows, "train.jsonl", columns="word=w,tag=t")[0] == ["a/B-X"]


# --- JSON -----------------------------------------------------------------------------------------


def task(text, *results, **more):
    values = [{"type": "labels", "value": value} for value in results]
    return {"id": 1, "data": {"text": text}, "annotations": [{"result": values}]} | more


ANN = {"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]}
JSON = {
    "tokens and ner_tags": (
        jsonl({"tokens": ["Ann", "ran"], "ner_tags": ["B-PER", "O"]}),
        ["Ann/B-PER ran/O"],
        ["lists of words (1)", "IOB2"],
    ),
    "words and BMES": (
        jsonl({"words": ["张", "三"], "labels": ["B-PER", "E-PER"]}),
        ["张/B-PER 三/I-PER"],
        ["BIOES"],
    ),
    "one list": (
        '[\n{"tokens": ["a"],\n"tags": ["O"]},\n{"tokens": ["b"], "tags": ["B-X"]}\n]',
        ["a/O", "b/B-X"],
        [],
    ),
    "doccano/doccano#113": (
        jsonl({"text": "EU rejects German call.", "labels": [[0, 2, "ORG"], [11, 17, "MISC"]]}),
        ["EU/B-ORG rejects/O German/B-MISC call/O ./O"],
        ["texts with spans (1)"],
    ),
    "doccano, a space at the end (doccano/doccano-transformer#21)": (
        jsonl({"text": "Obama was the president", "label": [[0, 6, "Person"]]}),
        ["Obama/B-Person was/O the/O president/O"],
        [],
    ),
    "doccano with offsets by name (doccano/doccano-transformer#34)": (
        jsonl(
            {
                "text": "No. 12 a",
                "entities": [{"label": "Invoice No", "start_offset": 4, "end_offset": 6}],
            }
        ),
        ["No./O 12/B-Invoice_No a/O"],
        [],
    ),
    "Prodigy": (
        jsonl({"text": "Ann ran", "spans": [{"start": 0, "end": 3, "label": "PER"}]}),
        ["Ann/B-PER ran/O"],
        [],
    ),
    "no entity": (jsonl({"text": "it ran", "label": []}), ["it/O ran/O"], []),
    "the same span twice": (
        jsonl({"text": "Ann ran", "label": [[0, 3, "PER"], [0, 3, "PER"]]}),
        ["Ann/B-PER ran/O"],
        [],
    ),
    "lines": (
        jsonl({"text": "Ann ran.\nNew\nYork", "label": [[0, 3, "PER"], [9, 17, "LOC"]]}),
        ["Ann/B-PER ran/O ./O", "New/B-LOC York/I-LOC"],
        [],
    ),
    "the edge of a span at a hyphen": (
        jsonl({"text": "a Berlin-based firm", "label": [[2, 8, "LOC"]]}),
        ["a/O Berlin/B-LOC -based/O firm/O"],
        ["words split at the end of a span (1)"],
    ),
    "Han": (
        jsonl({"text": "张三在北京", "label": [[0, 2, "PER"], [3, 5, "LOC"]]}),
        ["张/B-PER 三/I-PER 在/O 北/B-LOC 京/I-LOC"],
        [],
    ),
    "Label Studio": (
        json.dumps([task("Ann ran", ANN), task("ran")], indent=1),
        ["Ann/B-PER ran/O", "ran/O"],
        ["tasks of Label Studio (2)"],
    ),
    "Label Studio, short": (
        json.dumps([{"text": "Ann ran", "label": [ANN]}]),
        ["Ann/B-PER ran/O"],
        [],
    ),
    "Label Studio, another key (HumanSignal/label-studio-converter#37)": (
        json.dumps([task("", ANN, data={"r_TEXT": "Ann ran", "n": 1})]),
        ["Ann/B-PER ran/O"],
        [],
    ),
    "Label Studio, relations and a cancelled annotation": (
        json.dumps(
            [
                task(
                    "Ann",
                    annotations=[
                        {"was_cancelled": True, "result": []},
                        {"result": [{"value": ANN}, {"type": "relation"}]},
                    ],
                )
            ]
        ),
        ["Ann/B-PER"],
        [],
    ),
    "Label Studio, a task that nobody has done": (
        json.dumps([task("Ann", ANN), task("Bo", annotations=[])]),
        ["Ann/B-PER"],
        ["tasks without an annotation left out (1)"],
    ),
}


@pytest.mark.parametrize("case", JSON)
def test_json_is_read(tmp_path, case):
    content, sentences, words = JSON[case]
    found, clause = read(tmp_path, content, "train.json")
    assert found == sentences
    assert all(word in clause for word in words), clause


REFUSED_JSON = {
    "numbers as tags (huggingface/datasets)": (
        jsonl({"tokens": ["a"], "ner_tags": ["O"]}, {"tokens": ["a"], "ner_tags": [3]}),
        r"line 2: tags are numbers, such as 3, .*expected names",
    ),
    "label numbers (doccano/doccano#113)": (
        jsonl({"text": "EU", "annotations": [{"label": 7, "start_offset": 0, "end_offset": 2}]}),
        r"line 1: 'EU' has types \[7\]; expected one name",
    ),
    "a span that cuts a word": (
        jsonl({"text": "in Berlin", "label": [[3, 7, "LOC"]]}),
        r"line 1: the span 'Berl' cuts the word 'Berlin'",
    ),
    "a span that cuts a mark off (Devanagari)": (
        jsonl({"text": "दिल्ली", "label": [[0, 1, "LOC"]]}),
        r"line 1: the span .* cuts the word",
    ),
    "overlapping spans": (
        jsonl({"text": "Bank of Rome", "label": [[0, 12, "ORG"], [8, 12, "LOC"]]}),
        r"line 1: 'Bank of Rome' and 'Rome' overlap",
    ),
    "one span, two types": (
        jsonl({"text": "Rome", "label": [[0, 4, "ORG"], [0, 4, "LOC"]]}),
        r"'Rome' and 'Rome' overlap",
    ),
    "outside the text (explosion/spaCy#5739)": (
        jsonl({"text": "Never mind", "entities": [{"start": 751, "end": 764, "label": "X"}]}),
        r"line 1: the span 751 to 764 holds no word of the text, which has 10",
    ),
    "only spaces": (jsonl({"text": "a  b", "label": [[1, 3, "X"]]}), r"holds no word"),
    "shifted offsets (HumanSignal/label-studio-converter#254)": (
        json.dumps([task("🎉 Ann ran", ANN | {"start": 3, "end": 6})]),
        r"line 1: the span 3 to 6 is 'nn ' in the text and 'Ann' in the export",
    ),
    "two labels": (json.dumps([task("Ann", ANN | {"labels": ["A", "B"]})]), r"types \['A', 'B'\]"),
    "two annotators": (
        json.dumps([task("Ann", annotations=[{"result": []}, {"result": []}])]),
        r"line 1: 2 annotations of one text",
    ),
    "no labels": (jsonl({"text": "Ann"}), r"line 1: .*is not a labelled text; expected"),
    "lengths": (jsonl({"tokens": ["a", "b"], "tags": ["O"]}), r"2 words and 1 tags"),
    "an empty word": (jsonl({"tokens": [" "], "tags": ["O"]}), r"a word is empty"),
    "half a pair": ('{"tokens": ["\\ud800"], "tags": ["O"]}\n', r"line 1: .*is not JSON"),
    "cut off": ('{"tokens": ["a"], "tags": ["O"]}\n{"tok', r"line 2: '{\"tok' is not JSON"),
    "no list": ('"text"', r"line 1: .*is not a labelled text"),
    "nested too deeply": ("[" * 10 + '{"a":' * 100_000, r"is not JSON"),
    "an unknown tag": (jsonl({"tokens": ["a", "b"], "tags": ["B-X", "X"]}), r"unknown tag 'X'"),
    "nothing": ("[]", r"holds no sentence"),
}


@pytest.mark.parametrize("case", REFUSED_JSON)
def test_json_that_cannot_be_used_names_place_and_text(tmp_path, case):
    content, message = REFUSED_JSON[case]
    with pytest.raises(CorpusError, match=message) as caught:
        read(tmp_path, content, "train.json")
    assert "train.json" in str(caught.value) and "\n" not in str(caught.value)


# --- A corpus: one layout for all files -----------------------------------------------------------


def folder_of(folder, suffix=".txt", **files):
    for name, content in files.items():
        put(folder, name + suffix, content)
    return folder


def test_the_columns_are_decided_over_all_files(tmp_path):
    # dev alone could be read either way: all its tags are O
    train, dev = "1\tAnn\tB-PER\tO\n2\tLee\tI-PER\tB-PER\n", "1\tran\tO\tO\n"
    corpus = corpora.load(folder_of(tmp_path, train=train, dev=dev, test=train))
    assert corpus.dev == [Sentence(("ran",), ("O",))]
    assert corpus.layout.startswith("4 columns, word 2, tag 3")
    put(tmp_path, "dev.txt", "ran\tO\n")
    with pytest.raises(CorpusError, match=r"dev.txt has 2, .*as many in every file"):
        corpora.load(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        ("NER-de-train.tsv", "NER-de-dev.tsv", "NER-de-test.tsv"),  # flairNLP/flair#867
        ("en_ewt-ud-train.iob2", "en_ewt-ud-dev.iob2", "en_ewt-ud-test.iob2"),
        ("eng.train", "eng.testa", "eng.testb"),
        ("weiboNER_2nd_conll.train", "weiboNER_2nd_conll.dev", "weiboNER_2nd_conll.test"),
        ("train", "validation.bio", "test.conllu"),
        ("train.bmes", "val.bmes", "Test.bmes"),
    ],
)
def test_files_are_found_by_the_names_people_give_them(tmp_path, names):
    for name in names:
        put(tmp_path, name, "Ann B-PER\nran O\n")
    put(tmp_path, "README.md", "about")
    (tmp_path / "test").mkdir()
    assert corpora.load(tmp_path).test == [Sentence(("Ann", "ran"), ("B-PER", "O"))]


def test_no_entity_in_train_is_refused_and_elsewhere_said(tmp_path):
    # chakki-works/seqeval#60, flairNLP/flair#2903
    good, none = "Ann B-PER\nran O\n", "The O\ncat O\n"
    corpus = corpora.load(folder_of(tmp_path, train=none, dev=good, test=good))
    with pytest.raises(CorpusError, match="no entity in 1 training sentences; .*right column"):
        corpus.check()
    corpus = corpora.load(folder_of(tmp_path, train=good, dev=none, test=good + "Oslo B-loc\n"))
    assert corpus.check() == [
        "dev has no entity, so its F1 is 0 for any tagger",
        "test has types that train never has: loc",
    ]
    corpus = corpora.load(folder_of(tmp_path, train=good + "\nBo B-Per\n", dev=good, test=good))
    assert corpus.check() == ["PER and Per are different types here"]


@pytest.mark.parametrize(
    "gap, words, count", [("\n\n", 1, 300), ("\n", 300, 1)], ids=["everywhere", "nowhere"]
)
def test_blank_lines_in_wrong_places_are_said(tmp_path, gap, words, count):
    content = gap.join(["Ann B-PER", "ran O"] * 150) + "\n"
    corpus = corpora.load(folder_of(tmp_path, train=content, dev=content, test=content))
    (warning,) = corpus.check()
    assert f"{count} sentences with {words} words at most" in warning


def test_layouts_are_not_mixed(tmp_path):
    folder_of(tmp_path, train="Ann B-PER\n", dev="Ann B-PER\n")
    put(tmp_path, "test.jsonl", JSON["no entity"][0])
    with pytest.raises(CorpusError, match="train.txt and .*test.jsonl: one is JSON"):
        corpora.load(tmp_path)


# --- Round trips ----------------------------------------------------------------------------------

letters = st.characters(categories=["L", "N", "P", "S"], exclude_characters="#|")
words = st.text(letters, min_size=1, max_size=5).filter(lambda w: not w.startswith("-DOCSTART"))
kinds = st.sampled_from(["PER", "ORG", "creative-work", "x.y"])
chunk = st.tuples(st.one_of(st.none(), kinds), st.lists(words, min_size=1, max_size=3))
TEXTS = st.lists(st.lists(chunk, min_size=1, max_size=4), min_size=1, max_size=4)
# a sentence with an entity opens each text: no corpus is without words or without tags
FIRST = Sentence(("Ann", "Lee", "slept", "."), ("B-PER", "I-PER", "O", "O"))


def tagged(sentence) -> Sentence:
    tags = [
        "O" if kind is None else f"{'I' if i else 'B'}-{kind}"
        for kind, ws in sentence
        for i in range(len(ws))
    ]
    return Sentence(tuple(w for _, ws in sentence for w in ws), tuple(tags))


def bmes(tags):
    for tag, after in zip(tags, [*tags[1:], "O"], strict=True):
        ends = not after.startswith("I")
        mark = {"B": "S" if ends else "B", "I": "E" if ends else "M"}.get(tag[0])
        yield tag if tag == "O" else f"{mark}{tag[1:]}"


def columns(corpus, row, before="", spell=lambda tags: tags, after="\n"):
    blocks = []
    for sentence in corpus:
        lines = [
            row.format(i=i + 1, word=word, tag=tag)
            for i, (word, tag) in enumerate(zip(sentence.words, spell(sentence.tags), strict=True))
        ]
        blocks.append(before + "\n".join(lines) + after)
    return "\n".join(blocks)


def as_csv(corpus):
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["Sentence #", "Word", "POS", "Tag"])
    for number, sentence in enumerate(corpus, 1):
        for i, (word, tag) in enumerate(zip(*sentence, strict=True)):
            writer.writerow(["" if i else f"Sentence: {number}", word, "X", tag])
    return file.getvalue()


def as_token_lists(corpus):
    return jsonl(*({"tokens": list(s.words), "ner_tags": list(s.tags)} for s in corpus))


WRITERS = {
    "germeval": lambda c: columns(c, "{i}\t{word}\t{tag}\tO", "#\thttp://x\n"),
    "ud": lambda c: columns(c, "{i}\t{word}\t{tag}\t-", "# sent_id = 1\n"),
    "multiconer": lambda c: columns(c, "{word} _ _ {tag}", "# id 5f domain=en\n"),
    "conll2003": lambda c: "-DOCSTART- -X- -X- O\n\n" + columns(c, "{word} NN B-NP {tag}"),
    "mit": lambda c: columns(c, "{tag}\t{word}"),
    "wikiann": lambda c: columns(c, "en:{word} {tag}"),
    "bmes": lambda c: columns(c, "{word} {tag}", spell=bmes),
    "suffix": lambda c: columns(
        c,
        "{word} {tag}",
        spell=lambda tags: [t if t == "O" else f"{t[2:]}-{t[0]}" for t in tags],
    ),
    "small": lambda c: columns(
        c, "{word} {tag}", spell=lambda tags: [t[0].lower() + t[1:] for t in tags]
    ),
    "kaggle": as_csv,
    "tokens": as_token_lists,
}


@given(TEXTS, st.sampled_from(sorted(WRITERS)), st.sampled_from(["\n", "\r\n", "\r", "\r\r\n"]))
@relaxed
def test_what_a_layout_writes_is_read_back_as_the_same_corpus(tmp_path, text, layout, end):
    corpus = [FIRST, *map(tagged, text)]
    content = WRITERS[layout](corpus).replace("\n", end)
    path = put(tmp_path, "train.txt", content)
    assert read_conll(path) == corpus


@given(TEXTS)
@relaxed
def test_spans_are_read_back_as_the_same_corpus(tmp_path, text):
    # words that are split as they are written, with spaces between
    corpus = [
        tagged([(kind, [f"w{sum(map(ord, w)) % 100}" for w in ws]) for kind, ws in s]) for s in text
    ]
    records, tasks = [], []
    for sentence in corpus:
        ends = [0]
        for word in sentence.words:
            ends.append(ends[-1] + len(word) + 1)
        content = " ".join(sentence.words)
        spans = [[ends[a], ends[b] - 1, kind] for kind, a, b in entities(sentence.tags)]
        records.append({"text": content, "label": spans})
        tasks.append(
            task(
                content,
                *({"start": a, "end": b, "text": content[a:b], "labels": [k]} for a, b, k in spans),
            )
        )
    assert read_conll(put(tmp_path, "train.jsonl", jsonl(*records))) == corpus
    assert read_conll(put(tmp_path, "train.json", json.dumps(tasks))) == corpus


# --- Hostile input --------------------------------------------------------------------------------

SEEDS = [content for content, *_ in [*COLUMNS.values(), *JSON.values(), *REFUSED_JSON.values()]]
SEEDS = [s if isinstance(s, bytes) else s.encode() for s in SEEDS]
SEEDS = [s for s in SEEDS if len(s) < 1000]


BITS = [b"\n", b"\n\n", b"\r", b"\t", b" ", b",", b'"', b"#", b"[", b"{", b"}", b"0", b"O", b"B-X"]
BITS += [b"-DOCSTART-", b"\xef\xbb\xbf", b"\\ud800", b"1e9"]


def hostile(rng) -> bytes:
    """One of the cases above with up to four places changed."""
    data = bytearray(rng.choice(SEEDS))
    other = rng.choice(SEEDS)
    for _ in range(rng.randint(0, 4)):
        part = other[: rng.randint(0, len(other))]
        index = rng.randint(0, len(data))
        new = rng.choice([rng.randbytes(2), rng.choice(BITS), part])
        data[index : index + rng.randint(0, 3)] = new
    return bytes(data)


def attack(folder, count):
    """Without hypothesis, which takes ten times as long as the reader."""
    rng, read = random.Random(20), 0
    for _ in range(count):
        content = hostile(rng)
        names = (
            ["train.json", "train.jsonl"] if content[:1] in b"[{" else ["train.txt", "train.csv"]
        )
        path = put(folder, rng.choice(names), content)
        scheme = rng.choice(["auto", "auto", "auto", "iob2", "bioes"])
        named = rng.choice([None] * 6 + ["word=1,tag=2", "word=word,tag=tag"])
        try:
            sentences = read_conll(path, scheme, columns=named)
        except CorpusError as error:
            said = str(error)
            assert str(path) in said and "\n" not in said and len(said) < 1200, content
            continue
        read += 1
        assert sentences, content
        for ws, tags in sentences:
            assert len(ws) == len(tags) > 0 and all(ws), content
            assert all(re.fullmatch(r"O|[BI]-\S+", tag) for tag in tags), content
            pairs = zip(("O", *tags), tags, strict=False)
            assert all(now[0] != "I" or before[2:] == now[2:] for before, now in pairs), content
    assert count / 20 < read < count * 19 / 20, f"one side is hardly tried: {read} read"


def test_hostile_layouts_give_sentences_or_one_clear_error(tmp_path):
    attack(tmp_path, int(os.environ.get("RMLIB_HOSTILE", "2000")))


@pytest.mark.long
def test_a_hundred_thousand_hostile_layouts(tmp_path):
    attack(tmp_path, 100_000)
