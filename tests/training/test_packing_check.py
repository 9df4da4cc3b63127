"""Before packed batches are used on a device, they are compared with padded ones."""

import pytest
import torch

from rmlib.models import attention
from rmlib.training import setup
from rmlib.training.setup import fault_of_packing

CORRECT = attention.packed


@pytest.fixture(autouse=True)
def nothing_checked_yet(monkeypatch):
    monkeypatch.setattr(setup, "_FAULTS", {})


def across_sentences(query, key, value, scaling, starts, longest):
    """Every token attends to the whole row: finite, of the right shape, and wrong."""
    return attention.plain(query, key, value, None, 0.0, scaling).transpose(1, 2)


def refuses(*arguments):
    raise RuntimeError("no kernel image is available\nfor execution on the device")


def infinite(*arguments):
    return CORRECT(*arguments) / 0


class WrongGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient.flip(1)


def wrong_gradient(*arguments):
    return WrongGradient.apply(CORRECT(*arguments))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_packing_is_correct_here(start, precision):
    training = start({"packed": "yes", "precision": precision})
    assert training.packed
    assert fault_of_packing(training.classifier.model, training.store, precision) == ""


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (across_sentences, "logits differ from those of padded ones by"),
        (infinite, "logits differ from those of padded ones by nan"),
        (wrong_gradient, "gradients differ from those of padded ones by"),
        (refuses, "RuntimeError: no kernel image is available for execution on the device"),
    ],
)
@pytest.mark.parametrize("packed", ["auto", "yes"])
def test_a_broken_kernel_is_found_and_the_run_pads(
    start, monkeypatch, capsys, broken, reason, packed
):
    padded = start({"packed": "no"})
    expected = [step.total for step in padded]
    monkeypatch.setattr(attention, "packed", broken)
    training = start({"packed": packed})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("rmlib: packed batches are wrong on this device (" + reason)
    assert line.endswith("this run pads instead")
    assert not training.packed and [step.total for step in training] == expected


def test_a_device_is_checked_once(start, monkeypatch):
    start({"packed": "yes"})
    monkeypatch.setattr(setup, "_compare_packing", refuses)
    assert start({"packed": "yes"}).packed


def test_the_check_leaves_no_trace(start):
    training = start({"packed": "no"})
    model = training.classifier.model.train()
    before = [p.detach().clone() for p in model.parameters()]
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    assert fault_of_packing(model, training.store, "fp32") == ""
    assert torch.rand(3).equal(expected)
    assert model.training and all(p.grad is None for p in model.parameters())
    assert all(a.equal(b) for a, b in zip(before, model.parameters(), strict=True))
