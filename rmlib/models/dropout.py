"""Dropout that is fast on a CPU."""

import torch
from torch import Tensor, nn


def dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """Set each element to 0 with probability p and divide the others by 1 - p.

    Srivastava et al., JMLR 2014. On a CPU torch draws one random number per element, one after the
    other: about an eighth of a training step of MiniLM. Here one number of 64 bits decides on four
    elements, so p is rounded to a multiple of 1/65,536. On a GPU, and in code that torch.compile
    makes, this is torch's own. Uses torch's global seed.

    Args:
        x: any shape.
        p: in [0, 1).
        training: False leaves x as it is.
    """
    if not training or p == 0 or x.device.type != "cpu" or torch.compiler.is_compiling():
        return nn.functional.dropout(x, p, training)
    numbers = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    kept = numbers.view(torch.int16)[: x.numel()].view(x.shape) >= round(2**16 * p) - 2**15
    return x * kept.to(x.dtype).mul_(1 / (1 - p))


class Dropout(nn.Dropout):
    """`nn.Dropout` that calls `dropout`."""

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training)


def set_dropout(config, p: float) -> None:
    """Set every probability of dropout in a config of transformers, whatever the family's name.

    hidden_dropout_prob (BERT), attention_dropout (DistilBERT), resid_pdrop (GPT-2), dropout_rate
    (T5) and so on; None stays, as it stands for the encoder's own.
    """
    # families whose config does not name the head's dropout read it all the same, or take 0.1
    names = {*vars(config)} | ({"classifier_dropout"} - {*dir(config)})
    for name in names:
        value = getattr(config, name, 0.0)
        is_dropout = "dropout" in name or name.endswith("pdrop")
        if is_dropout and isinstance(value, int | float) and not isinstance(value, bool):
            setattr(config, name, p)


def use_fast_dropout(model: nn.Module) -> None:
    """Replace every `nn.Dropout` of a model by `Dropout`, with the same p and the same mode."""
    for name, module in list(model.named_modules()):
        if type(module) is nn.Dropout:
            model.set_submodule(name, Dropout(module.p).train(module.training))
