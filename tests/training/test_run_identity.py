"""What belongs to a run: everything that decides its results, by content; and one process."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from rmlib.errors import RmlibError
from rmlib.training import runs
from rmlib.training.config import Config
from rmlib.training.locks import held
from rmlib.training.runs import HISTORY, read_history, run_name, train_tagger

QUICK = {"epochs": 2, "max_tokens": 256, "precision": "fp32", "freeze": "none"}
QUICK |= {"patience": 0, "checkpoint_every": 1}


class Cut(Exception):
    pass


@pytest.fixture
def begun(tiny, small, tmp_path, monkeypatch):
    """A run that was interrupted after some steps: its folder and its encoder's."""
    encoder = shutil.copytree(tiny, tmp_path / "encoder")
    plain, calls = runs.write_history, []

    def write(*arguments, **more):
        plain(*arguments, **more)
        calls.append(1)
        if len(calls) == 4:
            raise Cut

    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr(runs, "write_history", write)
        train_tagger(small, Config(**QUICK), str(encoder), 0.0, tmp_path / "out", progress=False)
    return tmp_path / "out", encoder


def test_the_same_run_resumes_from_wherever_its_files_are(begun, small, tmp_path):
    out, encoder = begun
    moved = shutil.move(encoder, tmp_path / "moved")
    same = type(small)("another name", *(list(getattr(small, p)) for p in ("train", "dev", "test")))
    _, history, metrics = train_tagger(same, Config(**QUICK), str(moved), 0.0, out, progress=False)
    assert [row["step"] for row in history] == list(range(1, metrics["steps"] + 1))


def edited(sentences, **change):
    return [sentences[0]._replace(**change), *sentences[1:]]


OTHER = {  # LlamaFactory#7085 and the like
    "dev": lambda c: replace(c, dev=c.test),
    "test": lambda c: replace(c, test=c.dev),
    "a dev sentence less": lambda c: replace(c, dev=c.dev[1:]),
    "the order of test": lambda c: replace(c, test=c.test[::-1]),
    "a word of dev": lambda c: replace(c, dev=edited(c.dev, words=("x", *c.dev[0].words[1:]))),
    "a tag of test": lambda c: replace(c, test=edited(c.test, tags=("O",) * len(c.test[0].tags))),
    "dev and test swapped": lambda c: replace(c, dev=c.test, test=c.dev),
    "train": lambda c: replace(c, train=c.train[1:]),
}


@pytest.mark.parametrize("what", OTHER)
def test_other_sentences_are_refused(begun, small, what):
    out, encoder = begun
    before = (out / "history.csv").read_bytes()
    with pytest.raises(RmlibError, match="is of a run with .*; expected the same settings"):
        train_tagger(OTHER[what](small), Config(**QUICK), str(encoder), 0.0, out, progress=False)
    assert (out / "history.csv").read_bytes() == before and not (out / "metrics.json").exists()


@pytest.mark.parametrize("what", ["weights", "settings"])
def test_another_encoder_of_that_name_is_refused(begun, small, what):
    out, encoder = begun
    if what == "weights":
        weights = load_file(encoder / "model.safetensors")
        name = next(name for name in weights if name.endswith("layer.0.output.dense.weight"))
        weights[name][0, 0] += 1e-3
        save_file(weights, encoder / "model.safetensors", metadata={"format": "pt"})
    else:
        config = (encoder / "config.json").read_text()
        (encoder / "config.json").write_text(config.replace('"gelu"', '"relu"'))
    with pytest.raises(RmlibError, match="initial weights .a checksum."):
        train_tagger(small, Config(**QUICK), str(encoder), 0.0, out, progress=False)


def test_a_checkpoint_of_an_older_rmlib_is_refused_in_one_sentence(begun, small):
    out, encoder = begun
    file = out / "checkpoint.safetensors"
    with safe_open(file, "pt") as stored:
        position = stored.metadata()["position"]
    position = position.replace("dev sentences (a checksum)", "what nobody asks for")
    save_file(load_file(file), file, metadata={"position": position})
    with pytest.raises(RmlibError, match="with dev sentences .a checksum.=None.*another folder"):
        train_tagger(small, Config(**QUICK), str(encoder), 0.0, out, progress=False)


def test_the_name_of_the_folder_tells_runs_apart(small):
    plain = ("minilm", 0.1)
    names = {
        run_name(small, Config(), *plain),
        *(
            run_name(small, Config(**change), *plain)
            for change in (
                {"lr": 1e-3},
                {"epochs": 9},
                {"max_tokens": 512},
                {"weight_decay": 0.0},
                {"freeze": "none"},
                {"lora": 4},
                {"accumulate": 2},
                {"optimizer": "sgd"},
                {"alpha": 1.0000001},
            )
        ),
        run_name(small, Config(), "other", 0.1),
        run_name(small, Config(), "minilm", 0.2),
        *(run_name(change(small), Config(), *plain) for change in OTHER.values()),
    }
    assert len(names) == 12 + len(OTHER)
    assert run_name(small, Config(), *plain) == run_name(small, Config(), *plain)
    assert run_name(replace(small, name="hub:a/b"), Config(), *plain).startswith("b-soft_f1-alpha1")


# --- One process ----------------------------------------------------------------------------------


def test_the_second_process_is_told_who_is_there(tmp_path, tiny, small):
    out = tmp_path / "deep" / "out"
    with held(out):
        with pytest.raises(RmlibError, match=rf"out: process {os.getpid()} on .*, since 20.* wait"):
            train_tagger(small, Config(**QUICK), str(tiny), 0.0, out, progress=False)
        with pytest.raises(RmlibError, match="is at work here"), held(out):
            pass
    assert not (tmp_path / "deep").exists()  # made for the lock alone
    with held(out):
        pass


HOLD = """
import sys, time
from rmlib.training.locks import held
with held(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_process_leaves_no_lock(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RmlibError, match=f"process {holder.pid} on"), held(tmp_path):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with held(tmp_path):
        assert (tmp_path / ".run.holder").read_text().startswith(f"process {os.getpid()} ")
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_two_runs_at_once_in_one_folder(tiny, small_folder, tmp_path):
    """deepinv#525: two runs at once wrote one history."""
    command = [sys.executable, "-m", "rmlib", "train", "--corpus", str(small_folder)]
    command += ["--encoder", str(tiny), "--out", str(tmp_path / "out"), "--epochs", "60"]
    command += ["--max-tokens", "128", "--precision", "fp32", "--patience", "0"]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not (tmp_path / "out" / "history.csv").exists():
        assert first.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    second = subprocess.run(
        [*command, "--lr", "0.001"], capture_output=True, text=True, timeout=300
    )
    assert second.returncode == 1, second.stdout
    (line,) = [line for line in second.stderr.splitlines() if line.startswith("rmlib:")]
    assert f"process {first.pid} on" in line
    assert first.wait(300) == 0
    with open(tmp_path / "out" / "history.csv", newline="") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    assert steps == list(range(1, len(steps) + 1))


# --- A history that another program has saved -----------------------------------------------------

ROWS = [
    dict(zip(HISTORY, row, strict=True))
    for row in [
        (1, 1, 0.5, "soft_f1", 2.25, 1.5, 0.75, 1e-05, 3.0, 90, 0.5, ""),
        (2, 1, 0.5, "soft_f1", 2.125, 1.25, 0.875, 2e-05, 2.0, 80, 1.5, 0.25),
        (3, 2, float("inf"), "gce", 0.5, 1.0, 0.5, 1e-05, 1.0, 85, 2.5, ""),
    ]
]


def with_decimal_commas(text):
    rows = [line.split(",") for line in text.splitlines()]
    return "\r\n".join(";".join(cell.replace(".", ",") for cell in row) for row in rows) + "\r\n"


RESAVED = {
    "as written": lambda text: text,
    "a byte-order mark": lambda text: "\ufeff" + text,
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "old Mac": lambda text: text.replace("\r", "").replace("\n", "\r"),
    "semicolons": lambda text: text.replace(",", ";"),
    "semicolons and decimal commas": with_decimal_commas,
    "tabs": lambda text: text.replace(",", "\t"),
    "quoted": lambda text: "".join(
        ",".join(f'"{cell}"' for cell in line.split(",")) + "\n" for line in text.splitlines()
    ),
    "sorted downwards": lambda text: (
        "\n".join([text.splitlines()[0], *text.splitlines()[:0:-1]]) + "\n"
    ),
    "empty rows": lambda text: text.replace("\n", "\n\n") + ",,,,,,,,,,,\n\n",
    "empty columns": lambda text: text.replace("\n", ",,\n"),
    "a column more": lambda text: "".join(f"{line},note\n" for line in text.splitlines()),
    "numbers as floats": lambda text: text.replace("\n1,1,", "\n1.0,1.0,").replace(
        "\n2,1", "\n2.0,1"
    ),
}


@pytest.mark.parametrize("how", RESAVED)
def test_a_history_saved_by_another_program_is_the_same(tmp_path, how):
    path = tmp_path / "history.csv"
    runs.write_history(path, ROWS)
    text = path.read_text()
    path.write_bytes(RESAVED[how](text).encode())
    assert read_history(path) == ROWS
    assert read_history(path, 2) == ROWS[:2]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("\n2,", "\n5,"), "step 3 after step 1"),
        (lambda text: text + text.splitlines()[2] + "\n", "step 2 after step 2"),
        (lambda text: text.replace("total", "Loss"), "no column total"),
        (lambda text: text.replace("2.25", "two"), "step 1: .*'two'.*expected a number"),
        (lambda text: text.replace("\n1,1,", "\n1,"), "line 2: 11 cells; expected 12"),
        (lambda text: text.replace("soft_f1", "caf\xe9"), "not UTF-8 text"),
        (lambda text: text.replace(",3.0,", ",,"), "step 1: .*expected a number"),
    ],
)
def test_a_history_that_cannot_be_taken_is_one_sentence(tmp_path, change, told):
    path = tmp_path / "history.csv"
    runs.write_history(path, ROWS)
    text = path.read_text()
    path.write_bytes(change(text).encode("latin-1"))
    with pytest.raises(RmlibError, match=told):
        read_history(path)


def test_a_row_that_was_being_written_is_dropped(tmp_path):
    path = tmp_path / "history.csv"
    runs.write_history(path, ROWS)
    path.write_bytes(path.read_bytes()[:-20])
    assert read_history(path) == ROWS[:2]
    assert not torch.tensor([row["total"] for row in read_history(path)]).isnan().any()
