"""The settings: each one's range, and what is made from them."""

import math

import pytest
import torch

from rmlib.config import Config, make_optimizer, pick_precision
from rmlib.errors import RmlibValueError

WRONG = {
    "alpha": [-1, math.nan, "high"],
    "reward": ["f2", ""],
    "epochs": [0, -1, 2.5, math.inf, "many", None],
    "lr": [0, -1e-3, math.nan, math.inf, "fast"],
    "optimizer": ["adam", ""],
    "weight_decay": [-0.1, math.nan, math.inf],
    "warmup": [-0.1, 1.1, math.nan],
    "budget": [0, 10.5],
    "accumulate": [0, 1.5],
    "clip": [-1, math.nan],
    "freeze": ["head", "-1", "1.5", "²"],
    "case_dropout": [-0.1, 1.1, math.nan],
    "patience": [-1, 1.5],
    "precision": ["fp16", ""],
    "seed": [-1, 0.5],
    "checkpoint_every": [0, 1.5],
}


@pytest.mark.parametrize("name, value", [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_setting_is_refused_by_name(name, value):
    with pytest.raises(RmlibValueError, match=f"^{name} ") as caught:
        Config(**{name: value})
    assert repr(value) in str(caught.value) and "\n" not in str(caught.value)


def test_the_edges_are_allowed():
    Config(alpha=0, warmup=0, case_dropout=0, patience=0, clip=0, weight_decay=0, seed=0)
    Config(alpha=math.inf, warmup=1, case_dropout=1, epochs=1, budget=1, accumulate=1, checkpoint_every=1)
    for freeze in ("none", "embeddings", "encoder", "0", "3", 3):
        Config(freeze=freeze)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.matrix = torch.nn.Linear(3, 2)
        self.norm = torch.nn.LayerNorm(2)
        self.frozen = torch.nn.Linear(2, 2).requires_grad_(False)


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_decay_is_for_matrices_only(kind):
    model = Model()
    optimizer = make_optimizer(model, Config(optimizer=kind, lr=0.01, weight_decay=0.2))
    assert type(optimizer) is {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[kind]
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for p in model.parameters():
        p.grad = torch.zeros_like(p)  # nothing but the decay moves a weight
    optimizer.step()
    for name, p in model.named_parameters():
        factor = 1 - 0.01 * 0.2 if name == "matrix.weight" else 1
        torch.testing.assert_close(p.detach(), factor * before[name])
    assert all(group["lr"] == 0.01 for group in optimizer.param_groups)


def test_precision():
    cpu = torch.device("cpu")
    assert pick_precision("fp32", cpu) == "fp32" and pick_precision("bf16", cpu) == "bf16"
    assert pick_precision("auto", cpu) in ("fp32", "bf16")
    assert pick_precision("auto", torch.device("mps")) == "fp32"
