"""Corpora by name: against published counts, and the data sheet of the newswire."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rmlib.text import corpora, downloads
from rmlib.text.conll import CorpusError, Sentence, entities

ROOT = Path(__file__).parents[2]


def put(folder, content, name="file.conll") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# --- Corpora by name ------------------------------------------------------------------------------


def a_folder(folder, names=("train.conll", "dev.conll", "test.conll")):
    folder.mkdir()
    for name, tag in zip(names, ("B-PER", "B-zoo", "B-ORG"), strict=True):
        put(folder, f"a {tag}\n\nb O\n", name)
    return folder


@pytest.mark.parametrize("dev, test", [("dev", "test"), ("valid", "test"), ("testa", "testb")])
def test_a_folder_of_your_own(tmp_path, dev, test):
    folder = a_folder(tmp_path / "mine", ("train.txt", f"{dev}.conll", f"{test}.txt"))
    corpus = corpora.load(folder)
    assert corpora.load(str(folder)) == corpus
    assert corpus.name == "mine" and corpus.train == [
        Sentence(("a",), ("B-PER",)),
        Sentence(("b",), ("O",)),
    ]
    assert corpus.tags == ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-zoo", "I-zoo"]
    with pytest.raises(CorpusError, match="unknown tag 'B-zoo'"):  # CoNLL-2003 has four types only
        corpora.conll2003(path=folder)


def test_conll2003_from_a_path_needs_no_licence_and_may_be_cut(tmp_path):
    folder = a_folder(tmp_path / "c")
    put(folder, "x B-MISC\n", "dev.conll")
    assert len(corpora.conll2003(path=folder).train) == 2
    assert len(corpora.conll2003(path=folder, limit=1).train) == 1
    for limit in (0, -1, 1.5, "3"):
        with pytest.raises(
            CorpusError, match="limit is .*; expected a number of sentences, 1 or more"
        ):
            corpora.conll2003(path=folder, limit=limit)
    with pytest.raises(CorpusError, match="both path .* and hub"):
        corpora.conll2003(path=folder, hub="tner/conll2003")
    with pytest.raises(
        CorpusError, match="licensed for research only; expected accept_licence=True"
    ):
        corpora.load("hub:tner/conll2003")


def test_what_is_no_corpus_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="'newswir' is neither.*did you mean 'newswire'"):
        corpora.load("newswir")
    with pytest.raises(CorpusError, match="name of the corpus is empty"):
        corpora.load("")
    with pytest.raises(CorpusError, match="is a file; expected a folder"):
        corpora.load(put(tmp_path, "a O\n"))
    folder = a_folder(tmp_path / "mine")
    (folder / "dev.conll").rename(folder / "development.conll")
    with pytest.raises(
        CorpusError, match=r"the dev split should be one of dev.conll, .*testa.txt; found none"
    ):
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
        put(
            data, cases["good"], "dev.json" if name == "good" else "valid.json"
        )  # both names are in use
    env = {
        **os.environ,
        "HF_HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_CACHE": str(tmp_path / "hub"),
    }
    command = [sys.executable, "-c", HUB, *(f"tiny/{name}" for name in cases)]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = dict(zip(cases, done.stdout.strip().split("\n"), strict=True))
    ann = Sentence(("Ann", "Lee", "left"), ("B-PER", "I-PER", "O"))
    assert lines["good"] == f"{['O', 'B-PER', 'I-PER']} {[ann, Sentence(('.',), ('O',))]} 2 2"
    for name in ("number", "lengths", "json"):
        assert re.search(
            r"train.json, line 1: .* is not .*numbers from label.json \(0, 1, 2\)", lines[name]
        )
    assert re.search(r"train.json, line 1: 'I-PER' continues nothing", lines["orphan"])


def test_conll2003_has_its_published_counts(tmp_path, monkeypatch):
    # so that running the tests accepts no licence for anybody
    monkeypatch.setenv("RMLIB_CACHE", str(tmp_path))
    try:
        downloads.fetch("conll2003", accept_licence=True, progress=False)
    except downloads.AssetError as error:
        pytest.skip(f"conll2003 is out of reach: {error}")
    corpus = corpora.conll2003(accept_licence=True)
    assert [len(corpus.train), len(corpus.dev), len(corpus.test)] == [14041, 3250, 3453]
    # Table 2 of the paper of the shared task
    parts = (corpus.train, corpus.dev, corpus.test)
    assert [sum(len(entities(s.tags)) for s in part) for part in parts] == [
        7140 + 3438 + 6321 + 6600,
        1837 + 922 + 1341 + 1842,
        1668 + 702 + 1661 + 1617,
    ]
    assert corpus.tags == corpora.newswire().tags


# --- The shipped newswire and its data sheet ------------------------------------------------------


@pytest.fixture(scope="module")
def newswire():
    return corpora.newswire()


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location(
        "convert_newswire", ROOT / "data" / "convert_newswire.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tag_set(newswire):
    assert newswire.tags == [
        "O",
        "B-PER",
        "I-PER",
        "B-ORG",
        "I-ORG",
        "B-LOC",
        "I-LOC",
        "B-MISC",
        "I-MISC",
    ]
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
        kinds = [
            sum(line.endswith(f" B-{kind}") for line in lines)
            for kind in ("PER", "ORG", "LOC", "MISC")
        ]
        none = sum(" B-" not in block for block in blocks) / len(blocks)
        numbers = [len(blocks), len(lines), sum(kinds), *kinds]
        assert f"| {split} | " + " | ".join(f"{n:,}" for n in numbers) + f" | {none:.1%} |" in sheet
        total += len(blocks)
    assert total == 2900


def test_no_sentence_appears_twice(newswire):
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
        lines = [
            f"[PER {letter}{i} Lee ] 's {letter} [ORG Ash & Co ] [LOC Oslo ] ." for i in range(10)
        ]
        put(source, "\n".join(lines) + "\n", f"{letter}.txt")
    script.convert(source, tmp_path / "out")
    corpus = corpora.load(tmp_path / "out")
    first = {
        split: [s.words[0] for s in getattr(corpus, split)] for split in ("train", "dev", "test")
    }
    wanted = {"train": range(7), "dev": [7], "test": [8, 9]}
    assert first == {
        split: [f"{letter}{i}" for letter in "ab" for i in numbers]
        for split, numbers in wanted.items()
    }
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
    shutil.copytree(
        ROOT / "rmlib", site / "rmlib", ignore=shutil.ignore_patterns("__pycache__", "data")
    )
    shutil.copytree(ROOT / "data" / "newswire", site / "rmlib" / "data" / "newswire")
    (site / "data").mkdir()  # somebody else's package
    code = (
        "from rmlib.text import corpora; print(corpora.data_dir(), len(corpora.newswire().train))"
    )
    env = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.strip() == f"{site / 'rmlib' / 'data'} 2030", done.stderr
