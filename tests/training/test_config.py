"""The settings: each one's range, and what is made from them."""

import math

import pytest
import torch

from rmlib.errors import RmlibValueError
from rmlib.models.encoder import freeze, new_classifier, new_tagger
from rmlib.training.config import Config
from rmlib.training.loop import Training
from rmlib.training.setup import depth_scales, make_optimizer, pick_precision
from tests.text.padding import collate

WRONG = {
    "alpha": [-1, math.nan, "high"],
    "reward": ["f2", ""],
    "epochs": [0, -1, 2.5, math.inf, "many", None],
    "lr": [0, -1e-3, math.nan, math.inf, "fast"],
    "optimizer": ["adam", ""],
    "weight_decay": [-0.1, math.nan, math.inf],
    "warmup": [-0.1, 1.1, math.nan],
    "max_tokens": [0, 10.5],
    "accumulate": [0, 1.5],
    "clip": [-1, math.nan],
    "freeze": ["head", "-1", "1.5", "²"],
    "lora": [-1, 1.5, math.inf, "many", None],
    "packed": ["maybe", True, None],
    "compile": ["yes", 1, None],
    "layer_decay": [0, -0.9, 1.01, math.nan, "slow"],
    "case_dropout": [-0.1, 1.1, math.nan],
    "patience": [-1, 1.5],
    "precision": ["fp16", ""],
    "seed": [-1, 0.5],
    "checkpoint_every": [0, 1.5],
}


@pytest.mark.parametrize(
    "name, value", [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_wrong_setting_is_refused_by_name(name, value):
    with pytest.raises(RmlibValueError, match=f"^{name} ") as caught:
        Config(**{name: value})
    assert repr(value) in str(caught.value) and "\n" not in str(caught.value)


def test_the_edges_are_allowed():
    Config(alpha=0, warmup=0, case_dropout=0, patience=0, clip=0, weight_decay=0, seed=0)
    Config(
        alpha=math.inf,
        warmup=1,
        case_dropout=1,
        epochs=1,
        max_tokens=1,
        accumulate=1,
        checkpoint_every=1,
        layer_decay=1,
    )
    Config(lora=0, layer_decay=1e-9)
    Config(lora=1, layer_decay=1)
    for what in ("none", "embeddings", "encoder", "0", "3", 3):
        Config(freeze=what)


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


# --- Layer-wise learning rates --------------------------------------------------------------------

SCALES = {
    "bert.embeddings.": 0.125,
    "bert.encoder.layer.0.": 0.25,
    "bert.encoder.layer.1.": 0.5,
    "classifier.": 1.0,
}


def scale_of(name: str) -> float:
    """Written by hand for two layers and a decay of 0.5."""
    (scale,) = (scale for start, scale in SCALES.items() if name.startswith(start))
    return scale


def test_the_scale_of_every_depth(tiny):
    model = new_tagger(["O", "B-PER"], str(tiny)).model
    scales = depth_scales(model, 0.5)
    assert len(scales) == len(list(model.parameters())) > 30
    assert {name: scales[p] for name, p in model.named_parameters()} == {
        name: scale_of(name) for name, _ in model.named_parameters()
    }
    pooled = new_classifier(["fine", "negative"], str(tiny)).model
    assert {depth_scales(pooled, 0.5)[p] for p in pooled.bert.pooler.parameters()} == {1.0}


def test_without_layer_decay_there_are_the_two_groups_of_old(tiny):
    model = new_tagger(["O", "B-PER"], str(tiny)).model
    freeze(model, "embeddings")
    groups = make_optimizer(model, Config(lr=0.01, weight_decay=0.2)).param_groups
    trained = [p for p in model.parameters() if p.requires_grad]
    expected = [[p for p in trained if (p.ndim > 1) == matrix] for matrix in (True, False)]
    assert [[id(p) for p in group["params"]] for group in groups] == [
        [id(p) for p in group] for group in expected
    ]
    assert [(group["weight_decay"], group["lr"], "scale" in group) for group in groups] == [
        (0.2, 0.01, False),
        (0.0, 0.01, False),
    ]


@pytest.mark.parametrize("what", ["none", "1", "encoder"])
def test_the_groups_of_layer_decay(tiny, what):
    model = new_tagger(["O", "B-PER"], str(tiny)).model
    freeze(model, what)
    optimizer = make_optimizer(model, Config(lr=0.01, weight_decay=0.2, layer_decay=0.5))
    names = {id(p): name for name, p in model.named_parameters()}
    seen = []
    for group in optimizer.param_groups:
        assert group["params"]
        for p in group["params"]:
            seen.append(names[id(p)])
            assert group["scale"] == scale_of(seen[-1]) and group["lr"] == 0.01 * group["scale"]
            assert group["weight_decay"] == (0.2 if p.ndim > 1 else 0)
    assert sorted(seen) == sorted(
        name for name, p in model.named_parameters() if p.requires_grad
    )  # each once


@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_a_step_moves_each_depth_by_its_own_learning_rate(tiny, small, decay):
    """The first step of SGD is -lr * scale * gradient, and the gradient comes from plain torch."""
    tagger = new_tagger(small.tags, str(tiny), dropout=0.0)
    settings = {
        "optimizer": "sgd",
        "lr": 100.0,
        "weight_decay": 0,
        "clip": 0,
        "warmup": 0,
        "case_dropout": 0,
    }
    settings |= {
        "alpha": 0,
        "precision": "fp32",
        "freeze": "none",
        "max_tokens": 100_000,
        "layer_decay": decay,
    }
    training = Training(tagger, tagger.encode(small.train[:8]).examples, Config(**settings))
    model = tagger.model
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    inputs = collate(training.examples, tagger.tokenizer.pad_token_id, tagger.case)
    labels = inputs.pop("labels")
    loss = torch.nn.functional.cross_entropy(
        model.train()(**inputs).logits.flatten(0, 1), labels.flatten()
    )
    slopes = dict(zip(before, torch.autograd.grad(loss, list(model.parameters())), strict=True))
    step = next(iter(training))
    assert step.lr == 100.0
    for name, p in model.named_parameters():
        if not name.endswith("key.bias"):  # softmax does not see it: its gradient is noise
            expected = -100.0 * (1 if decay == 1 else scale_of(name)) * slopes[name]
            assert (p.detach() - before[name] - expected).norm() <= 1e-3 * expected.norm(), name


def test_precision():
    cpu = torch.device("cpu")
    assert pick_precision("fp32", cpu) == "fp32" and pick_precision("bf16", cpu) == "bf16"
    assert pick_precision("auto", cpu) in ("fp32", "bf16")
    assert pick_precision("auto", torch.device("mps")) == "fp32"
