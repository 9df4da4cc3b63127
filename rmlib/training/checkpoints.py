"""Checkpoints of a training run: weights, optimizer state and position in one safetensors file.

Nothing is pickled, so opening a checkpoint never runs code. The file is replaced atomically: a
process killed while it writes leaves the previous one.
"""

import json
import os
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from rmlib.errors import RmlibError

from .locks import writing


class CheckpointError(RmlibError):
    """A checkpoint that cannot be read, or that belongs to another run."""


def save_checkpoint(path, model: nn.Module, optimizer, best: dict, position: dict):
    """Write a checkpoint.

    Args:
        path: the file; its folder must exist.
        model: its parameters that train are written.
        optimizer: its state is written.
        best: the best weights so far, {parameter name: tensor}; may be empty.
        position: step, best score, settings: anything that JSON can hold.

    Raises:
        RmlibError: the disk is full, or the file cannot be written.
    """
    path = Path(path)
    names = {id(p): name for name, p in model.named_parameters()}
    tensors = {f"model/{n}": p.detach() for n, p in model.named_parameters() if p.requires_grad}
    tensors |= {f"best/{name}": tensor for name, tensor in best.items()}
    for parameter, state in optimizer.state.items():
        tensors |= {
            f"optimizer/{names[id(parameter)]}/{key}": value for key, value in state.items()
        }
    tensors = {
        key: value.cpu().contiguous()
        for key, value in tensors.items()
        if isinstance(value, torch.Tensor)
    }
    partial = path.with_suffix(".partial")
    try:
        with writing(path.parent):
            save_file(tensors, partial, metadata={"position": json.dumps(position)})
            with open(partial, "rb+") as file:
                os.fsync(file.fileno())  # on disk before the name points to it
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)  # on a full disk its space is needed


def read_position(path) -> dict:
    """The position stored in a checkpoint.

    Raises:
        CheckpointError: the file was not written by `save_checkpoint`.
    """
    try:
        with safe_open(path, "pt") as file:
            return dict(json.loads(file.metadata()["position"]))
    except Exception as error:  # safetensors has an exception class of its own
        raise CheckpointError(
            f"{path} is not a checkpoint of rmlib ({error}); delete it to start again"
        ) from error


def load_checkpoint(path, model: nn.Module, optimizer) -> tuple[dict, dict]:
    """Copy the stored tensors into the model and the optimizer.

    Returns:
        (best weights, position) as given to `save_checkpoint`.

    Raises:
        CheckpointError: the file was not written by `save_checkpoint`.
    """
    position = read_position(path)
    parameters = dict(model.named_parameters())
    best: dict = {}
    with safe_open(path, "pt") as file, torch.no_grad():
        for key in file.keys():  # noqa: SIM118 (not a dict)
            kind, rest = key.split("/", 1)
            tensor = file.get_tensor(key).clone()  # a copy, since the file will be replaced
            if kind == "model":
                parameters[rest].copy_(tensor)
            elif kind == "best":
                best[rest] = tensor
            else:
                name, slot = rest.rsplit("/", 1)
                on_cpu = slot == "step" and not optimizer.defaults.get("fused")
                device = "cpu" if on_cpu else parameters[name].device
                optimizer.state[parameters[name]][slot] = tensor.to(device)
    return best, position
