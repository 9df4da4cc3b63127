"""Where a training run is, in one safetensors file, written atomically: weights, optimizer state and position.

Nothing is pickled, so opening a checkpoint never runs code. A process killed while it writes leaves the file before.
"""

import json
import os
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from rmlib.errors import RmlibError


class CheckpointError(RmlibError):
    """A checkpoint that cannot be read, or that belongs to another run."""


def save_checkpoint(path, model: nn.Module, optimizer, best: dict, position: dict):
    """Write the trained parameters, the optimizer's state, the best weights so far and the position.

    Args:
        path: the file; its folder must exist.
        best: {parameter name: tensor}, may be empty.
        position: what JSON can hold: step, best score, configuration.
    """
    path = Path(path)
    names = {id(p): name for name, p in model.named_parameters()}
    tensors = {f"model/{n}": p.detach() for n, p in model.named_parameters() if p.requires_grad}
    tensors |= {f"best/{name}": tensor for name, tensor in best.items()}
    for parameter, state in optimizer.state.items():
        tensors |= {f"optimizer/{names[id(parameter)]}/{key}": value for key, value in state.items()}
    partial = path.with_suffix(".partial")
    whole = {key: value.cpu().contiguous() for key, value in tensors.items() if isinstance(value, torch.Tensor)}
    save_file(whole, partial, metadata={"position": json.dumps(position)})
    with open(partial, "rb+") as file:
        os.fsync(file.fileno())  # on disk before the name points to it
    os.replace(partial, path)


def read_position(path) -> dict:
    """The position stored in a checkpoint.

    Raises:
        CheckpointError: the file is not one of `save_checkpoint`'s.
    """
    try:
        with safe_open(path, "pt") as file:
            return dict(json.loads(file.metadata()["position"]))
    except Exception as error:  # safetensors has an exception class of its own
        raise CheckpointError(f"{path} is not a checkpoint of rmlib ({error}); delete it to start anew") from error


def load_checkpoint(path, model: nn.Module, optimizer) -> tuple[dict, dict]:
    """Put the stored tensors back in place.

    Returns:
        (best weights, position) as given to `save_checkpoint`.

    Raises:
        CheckpointError: the file is not one of `save_checkpoint`'s.
    """
    position = read_position(path)
    parameters = dict(model.named_parameters())
    best: dict = {}
    with safe_open(path, "pt") as file, torch.no_grad():
        for key in file.keys():  # noqa: SIM118 (not a dict)
            room, rest = key.split("/", 1)
            if room == "model":
                parameters[rest].copy_(file.get_tensor(key))
            elif room == "best":
                best[rest] = file.get_tensor(key).clone()  # a copy: the file itself will be replaced
            else:
                name, slot = rest.rsplit("/", 1)
                tensor = file.get_tensor(key).clone()
                device = "cpu" if slot == "step" and not optimizer.defaults.get("fused") else parameters[name].device
                optimizer.state[parameters[name]][slot] = tensor.to(device)
    return best, position
