"""Checkpoints: what goes in comes out, nothing half-written is ever seen, and junk is refused in a
sentence.
"""

import json
import multiprocessing
import os
import pickle
import signal

import pytest
import torch
from safetensors import safe_open

from rmlib.training import checkpoints
from rmlib.training.checkpoints import (
    CheckpointError,
    load_checkpoint,
    read_position,
    save_checkpoint,
)

POSITION = {"step": 7, "best_score": 0.5, "settings": {"alpha": float("inf"), "reward": "soft_f1"}}


def made(kind="adamw", seed=0, steps=3):
    """A small model with a frozen part, and its optimizer after a few steps."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3), torch.nn.Linear(3, 2))
    model[0].requires_grad_(False)
    trained = [p for p in model.parameters() if p.requires_grad]
    kinds = {
        "adamw": lambda: torch.optim.AdamW(trained, lr=0.1, fused=True),
        "plain adamw": lambda: torch.optim.AdamW(trained, lr=0.1),
        "sgd": lambda: torch.optim.SGD(trained, lr=0.1, momentum=0.9),
    }
    optimizer = kinds[kind]()
    go(model, optimizer, steps)
    return model, optimizer


def go(model, optimizer, steps):
    x = torch.arange(20.0).view(5, 4) / 10
    for _ in range(steps):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize("kind", ["adamw", "plain adamw", "sgd"])
def test_a_loaded_run_goes_on_to_the_same_bits(tmp_path, kind):
    model, optimizer = made(kind)
    best = {name: p.detach() + 1 for name, p in model.named_parameters() if p.requires_grad}
    save_checkpoint(tmp_path / "c", model, optimizer, best, POSITION)
    again, its_optimizer = made(kind, seed=0, steps=0)
    found, position = load_checkpoint(tmp_path / "c", again, its_optimizer)
    assert position == POSITION == read_position(tmp_path / "c")
    assert found.keys() == best.keys() and all(
        found[name].equal(value) for name, value in best.items()
    )
    go(model, optimizer, 3)
    go(again, its_optimizer, 3)
    for p, q in zip(model.parameters(), again.parameters(), strict=True):
        assert p.equal(q)


def test_only_trained_weights_are_stored_and_nothing_is_pickled(tmp_path):
    model, optimizer = made()
    save_checkpoint(tmp_path / "c", model, optimizer, {}, POSITION)
    with safe_open(tmp_path / "c", "pt") as file:
        names = {key.split("/")[1] for key in file.keys()}  # noqa: SIM118
        assert json.loads(file.metadata()["position"]) == POSITION
    assert names == {"1.weight", "1.bias", "2.weight", "2.bias"}
    assert [file.name for file in tmp_path.iterdir()] == ["c"]


def write_and_die(folder, moment):
    """In a process of its own: write a second checkpoint, and be killed before or in the middle of
    it.
    """
    model, optimizer = made(steps=5)
    plain = checkpoints.save_file

    def save_half(tensors, path, metadata):
        plain(tensors, path, metadata)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    if moment == "while writing":
        checkpoints.save_file = save_half
    else:
        checkpoints.os.fsync = die
    save_checkpoint(folder / "c.safetensors", model, optimizer, {}, {"step": 99})


@pytest.mark.long
@pytest.mark.parametrize("moment", ["while writing", "before the file is in place"])
def test_a_kill_while_writing_leaves_the_checkpoint_before(tmp_path, moment):
    file = tmp_path / "c.safetensors"
    save_checkpoint(file, *made(), {}, POSITION)
    before = file.read_bytes()
    child = multiprocessing.get_context("spawn").Process(
        target=write_and_die, args=(tmp_path, moment)
    )
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    assert (
        file.read_bytes() == before and len(list(tmp_path.iterdir())) == 2
    )  # the half-written one lies beside it
    save_checkpoint(file, *made(steps=5), {}, {"step": 99})  # and is no hindrance
    assert read_position(file) == {"step": 99} and list(tmp_path.iterdir()) == [file]


class Alarm:
    def __reduce__(self):
        return os.abort, ()


@pytest.mark.parametrize(
    "what", ["cut", "empty", "text", "pickle", "no position", "a list", "folder"]
)
def test_junk_is_refused_in_one_sentence(tmp_path, what):
    file = tmp_path / "c.safetensors"
    save_checkpoint(file, *made(), {}, POSITION if what != "a list" else [1, 2])
    data = file.read_bytes()
    if what == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif what == "no position":
        checkpoints.save_file({"x": torch.zeros(1)}, file)
    elif what == "folder":
        file.unlink()
        file.mkdir()
    elif what != "a list":
        file.write_bytes({"empty": b"", "text": b"hello", "pickle": pickle.dumps(Alarm())}[what])
    with pytest.raises(
        CheckpointError, match="is not a checkpoint of rmlib .*; delete it to start again"
    ) as caught:
        read_position(file)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(CheckpointError):
        load_checkpoint(file, *made())
