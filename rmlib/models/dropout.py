"""Dropout whose random numbers cost little on a CPU."""

import torch
from torch import Tensor, nn


def dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """Set each element to 0 with probability p and divide the others by 1 - p (Srivastava et al., JMLR 2014).

    torch draws one random number an element on a CPU, one after the other: about an eighth of a training step of
    MiniLM. Here one number of 64 bits decides on four elements, so p is rounded to the next 1/65,536. On a GPU, and
    in code that torch.compile makes, this is torch's own. Uses torch's global seed.

    Args:
        x: any shape. p: in [0, 1).
    """
    if not training or p == 0 or x.device.type != "cpu" or torch.compiler.is_compiling():
        return nn.functional.dropout(x, p, training)
    numbers = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    kept = numbers.view(torch.int16)[: x.numel()].view(x.shape) >= round(2**16 * p) - 2**15
    return x * kept.to(x.dtype).mul_(1 / (1 - p))


class Dropout(nn.Dropout):
    """`nn.Dropout` by way of `dropout`."""

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training)


def use_quick_dropout(model: nn.Module) -> None:
    """Put `Dropout` in the place of every `nn.Dropout` of a model, with the same p, on or off as it was."""
    for name, module in list(model.named_modules()):
        if type(module) is nn.Dropout:
            model.set_submodule(name, Dropout(module.p).train(module.training))
