"""Whole runs: the folder they leave, and a kill at a random step followed by the same command."""

import csv
import json
import math
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2

from rmlib.errors import RmlibError
from rmlib.models.encoder import load_tagger, new_tagger
from rmlib.training.config import Config
from rmlib.training.runs import (
    HISTORY,
    evaluate,
    read_history,
    train_tagger,
    versions,
    write_history,
)

QUICK = {
    "epochs": 3,
    "max_tokens": 256,
    "lr": 0.01,
    "freeze": "none",
    "precision": "fp32",
    "patience": 0,
}


@pytest.fixture(scope="module")
def run(tiny, small, tmp_path_factory):
    """A finished run with alpha = inf: folder, tagger, history, metrics."""
    out = tmp_path_factory.mktemp("run") / "deep" / "out"
    config = Config(alpha=math.inf, reward="expected_accuracy", **QUICK)
    return out, *train_tagger(small, config, str(tiny), 0.0, out, progress=False)


def rows_of(out):
    with open(out / "history.csv", newline="", encoding="utf8") as file:
        return list(csv.DictReader(file))


def test_the_folder(run, small):
    out, tagger, _, _ = run
    names = {file.name for file in out.iterdir()}
    wanted = {"model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"}
    assert wanted | {"history.csv", "metrics.json"} == names
    sentences = [list(sentence.words) for sentence in small.test]
    assert load_tagger(out).tag(sentences) == tagger.tag(sentences)


def test_history_has_a_row_a_step(run):
    out, _, history, metrics = run
    rows = rows_of(out)
    assert list(rows[0]) == HISTORY == list(history[0])
    assert [int(row["step"]) for row in rows] == list(range(1, metrics["steps"] + 1))
    assert {row["epoch"] for row in rows} == {"1", "2", "3"}
    assert {row["alpha"] for row in rows} == {"inf"} and {row["reward_type"] for row in rows} == {
        "expected_accuracy"
    }
    assert all(
        math.isfinite(float(row[name]))
        for row in rows
        for name in ("total", "prediction", "reward", "grad_norm")
    )
    assert sum(row["dev_f1"] != "" for row in rows) == 3 and rows[-1]["dev_f1"] != ""
    assert read_history(out / "history.csv", 10**6) == history  # floats come back to the last bit
    assert read_history(out / "history.csv", 2) == history[:2]
    seconds = [row["seconds"] for row in history]
    assert seconds == sorted(seconds)


def refuse(constant):
    raise ValueError(f"{constant} is no JSON")


@pytest.mark.filterwarnings("ignore")
def test_metrics(run, small):
    out, tagger, history, metrics = run
    stored = json.loads(
        (out / "metrics.json").read_text(), parse_constant=refuse
    )  # strict: no Infinity, no NaN
    assert stored == json.loads(json.dumps(metrics))
    gold = [list(sentence.tags) for sentence in small.test]
    found = tagger.tag([list(sentence.words) for sentence in small.test])
    assert stored["test"]["f1"] == pytest.approx(
        f1_score(gold, found, mode="strict", scheme=IOB2, zero_division=0)
    )
    assert (
        {"f1", "precision", "recall", "per_type", "token_accuracy"}
        <= stored["test"].keys()
        == stored["dev"].keys()
    )
    types = {tag[2:] for tags in gold for tag in tags if tag != "O"}
    assert (
        types <= stored["test"]["per_type"].keys()
        and {"f1", "support"} <= stored["test"]["per_type"]["ORG"].keys()
    )
    assert stored["config"] == json.loads(
        json.dumps(Config(reward="expected_accuracy", **QUICK).__dict__)
    ) | {"alpha": "inf"}
    tokens = sum(row["tokens"] for row in history)
    assert stored["tokens_per_second"] == pytest.approx(tokens / history[-1]["seconds"], rel=0.01)
    assert tokens == 3 * sum(tagger.encode(small.train).lengths)
    assert stored["seconds"] >= history[-1]["seconds"] - 0.1
    assert stored["versions"] == versions() and versions()["torch"] == torch.__version__
    assert (
        stored["steps"] == len(history) and stored["processes"] == 1 and stored["corpus"] == "small"
    )
    best = max((row for row in history if row["dev_f1"] != ""), key=lambda row: row["dev_f1"])
    assert stored["dev"]["f1"] == best["dev_f1"] and stored["best_epoch"] == best["epoch"]


def test_a_finished_folder_is_refused(run, tiny, small):
    out, *_ = run
    before = {file.name: file.stat().st_mtime_ns for file in out.iterdir()}
    with pytest.raises(
        RmlibError, match="holds a finished run; give another folder, or delete this one first"
    ):
        train_tagger(small, Config(**QUICK), str(tiny), 0.0, out, progress=False)
    assert {file.name: file.stat().st_mtime_ns for file in out.iterdir()} == before


def test_without_a_folder_nothing_is_written(tiny, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tagger, history, metrics = train_tagger(
        small, Config(**QUICK | {"epochs": 1}), str(tiny), progress=False
    )
    assert len(history) == metrics["steps"] and not list(tmp_path.iterdir())
    assert evaluate(tagger, small.test)["f1"] == metrics["test"]["f1"]


def test_every_entity_of_a_long_text_counts(tiny, small):
    tagger = new_tagger(small.tags, str(tiny))
    tagger.tokenizer.model_max_length = 12
    assert tagger.max_length == 12
    scores = evaluate(tagger, small.test)
    assert scores["support"] == sum(
        tag.startswith("B-") for sentence in small.test for tag in sentence.tags
    )
    counts = tagger.encode(small.test).counts()
    assert counts["in_windows"] > 10 and counts["words"] == 0


def test_history_is_replaced_whole_or_not_at_all(tmp_path):
    file = tmp_path / "history.csv"
    row = dict.fromkeys(HISTORY, 1)
    write_history(file, [row])
    write_history(file, [row], append=True)
    assert len(rows_of(tmp_path)) == 2
    with pytest.raises(ValueError):
        write_history(file, [row, row, {"unknown": 1}])
    assert len(rows_of(tmp_path)) == 2
    assert read_history(tmp_path / "none.csv", 9) == []


# --- kill -9 --------------------------------------------------------------------------------------


def command(tiny, small_folder, out):
    options = f"--corpus {small_folder} --encoder {tiny} --out {out} --epochs 12"
    options += " --max-tokens 128 --lr 0.003 --alpha 2"
    options += (
        " --dropout 0.1 --checkpoint-every 3 --freeze none --patience 0 --seed 5 --precision fp32"
    )
    return [sys.executable, "-m", "rmlib", "train", *options.split()]


def start(tiny, small_folder, out):
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command(tiny, small_folder, out),
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def kill_after(process, out, steps):
    """kill -9 as soon as the history has so many rows."""
    history, until = out / "history.csv", time.monotonic() + 120
    while time.monotonic() < until:
        if history.exists() and history.read_bytes().count(b"\n") > steps:
            process.send_signal(signal.SIGKILL)
            break
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.001)
    process.communicate()
    assert process.returncode == -signal.SIGKILL and not (out / "metrics.json").exists()


@pytest.mark.long
def test_killed_and_given_again_it_ends_with_the_same_bits(tiny, small_folder, tmp_path):
    whole, cut = (
        start(tiny, small_folder, tmp_path / "whole"),
        start(tiny, small_folder, tmp_path / "cut"),
    )
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    print("seed of the kills:", seed)
    kill_after(cut, tmp_path / "cut", rng.randint(1, 40))
    cut = start(tiny, small_folder, tmp_path / "cut")
    kill_after(cut, tmp_path / "cut", rng.randint(45, 80))
    third = start(tiny, small_folder, tmp_path / "cut")
    for process in (whole, third):
        said, _ = process.communicate(timeout=240)
        assert process.returncode == 0, said

    def untimed(name):
        return [
            {k: v for k, v in row.items() if k != "seconds"} for row in rows_of(tmp_path / name)
        ]

    assert untimed("cut") == untimed("whole") and len(untimed("whole")) > 100
    weights, expected = (
        load_file(tmp_path / name / "model.safetensors") for name in ("cut", "whole")
    )
    assert weights.keys() == expected.keys() and all(
        weights[name].equal(expected[name]) for name in weights
    )
    scores, expected = (
        json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("cut", "whole")
    )
    assert scores["test"] == expected["test"] and scores["best_epoch"] == expected["best_epoch"]
    assert not (tmp_path / "cut" / "checkpoint.safetensors").exists()


@pytest.mark.parametrize("change", [{"lr": 0.02}, {"alpha": 3.0}, "dropout", "corpus", "junk"])
def test_a_folder_of_another_run_is_refused(tiny, small, tmp_path, change):
    class Cut(Exception):
        pass

    import rmlib.training.runs as runs

    config, dropout, corpus = Config(**QUICK | {"checkpoint_every": 1}), 0.1, small
    plain, calls = runs.write_history, []

    def cut_off(*args, **kwargs):
        plain(*args, **kwargs)
        calls.append(1)
        if len(calls) == 4:
            raise Cut

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Cut):
        patch.setattr(runs, "write_history", cut_off)
        train_tagger(small, config, str(tiny), dropout, tmp_path, progress=False)
    told = "expected the same settings, or another folder"
    if isinstance(change, dict):
        config = Config(**QUICK | {"checkpoint_every": 1} | change)
    elif change == "dropout":
        dropout = 0.2
    elif change == "corpus":
        corpus = type(small)("other", small.train[1:], small.dev, small.test)
    else:
        (tmp_path / "checkpoint.safetensors").write_bytes(b"junk")
        told = "is not a checkpoint of rmlib"
    with pytest.raises(RmlibError, match=told):
        train_tagger(corpus, config, str(tiny), dropout, tmp_path, progress=False)
    assert len(rows_of(tmp_path)) == 3
