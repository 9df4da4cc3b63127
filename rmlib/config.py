"""The settings of a training run, checked, and what is made from them: accelerator, optimizer, precision."""

import math
from dataclasses import dataclass

import torch

from .errors import RmlibValueError
from .objective import RewardObjective


@dataclass
class Config:
    """The hyper-parameters of a run.

    Attributes:
        alpha, reward: of `RewardObjective`.
        epochs: passes over the training sentences.
        lr: the highest learning rate, reached after `warmup` (a share of all steps), then falling linearly to 0.
        optimizer: "adamw" (Loshchilov and Hutter 2019) or "sgd" (momentum 0.9).
        weight_decay: on matrices only, not on biases and norms.
        budget: pieces a micro-batch, padding counted.
        accumulate: micro-batches a step. The reward is taken over all of them together (see `Training`).
        clip: largest norm of the gradient; 0 turns clipping off.
        freeze: of `encoder.freeze`.
        lora: rank of the adapters of `lora.add_lora`; with 0 the weights themselves are trained.
        layer_decay: the learning rate of each layer as a share of that of the layer above; the head has `lr`
            (see `depth_scales`). With 1 all have `lr`.
        case_dropout: share of training sentences that are shown without capitals, so that the tagger also learns to
            do without (lower-case posts; tools that do not know the case channel).
        patience: stop after so many evaluations without a better score; 0 turns early stopping off.
        precision: "fp32", "bf16", or "auto": bf16 where the machine computes in it.
        packed: "yes": sentences one after the other in rows of `budget` pieces without padding, in a random order;
            "no": sentences of similar length, padded to the longest; "auto": packed where machine and encoder can and
            no sentence is longer than `budget`. Packed, the attention weights have no dropout.
        compile: let `torch.compile` turn the encoder into code for this machine, at the first step (it takes a minute;
            on a CPU it needs a C++ compiler). Other dropout is drawn than without.
        seed: of the order of the batches and of dropout.
        checkpoint_every: steps between two checkpoints.

    Raises:
        RmlibValueError: a setting out of its range, with the range.
    """

    alpha: float = 1.0
    reward: str = "soft_f1"
    epochs: int = 8
    lr: float = 5e-4
    optimizer: str = "adamw"
    weight_decay: float = 0.01
    warmup: float = 0.1
    budget: int = 1024
    accumulate: int = 1
    clip: float = 1.0
    freeze: str = "embeddings"
    lora: int = 0
    layer_decay: float = 1.0
    case_dropout: float = 0.1
    patience: int = 3
    precision: str = "auto"
    packed: str = "auto"
    compile: bool = False
    seed: int = 0
    checkpoint_every: int = 50

    def __post_init__(self):
        try:
            RewardObjective(self.alpha, self.reward)
        except ValueError as error:
            raise RmlibValueError(str(error)) from None
        ranges = {
            "a whole number of 1 or more": (
                lambda v: _whole(v) and v >= 1,
                "epochs budget accumulate checkpoint_every",
            ),
            "a whole number of 0 or more": (lambda v: _whole(v) and v >= 0, "patience seed lora"),
            "a number above 0": (lambda v: 0 < v < math.inf, "lr"),
            "a number of 0 or more": (lambda v: 0 <= v < math.inf, "weight_decay clip"),
            "a number from 0 to 1": (lambda v: 0 <= v <= 1, "warmup case_dropout"),
            "a number above 0, at most 1": (lambda v: 0 < v <= 1, "layer_decay"),
            "adamw or sgd": (lambda v: v in ("adamw", "sgd"), "optimizer"),
            "auto, fp32 or bf16": (lambda v: v in ("auto", "fp32", "bf16"), "precision"),
            "auto, yes or no": (lambda v: v in ("auto", "yes", "no"), "packed"),
            "True or False": (lambda v: v is True or v is False, "compile"),
            "none, embeddings, encoder, or a number of layers": (
                lambda v: v in ("none", "embeddings", "encoder") or str(v).isdecimal(),
                "freeze",
            ),
        }
        for expected, (fits, names) in ranges.items():
            for name in names.split():
                value = getattr(self, name)
                try:
                    good = fits(value)
                except (TypeError, ValueError, OverflowError):  # not a number, or inf where a whole number is wanted
                    good = False
                if not good:
                    raise RmlibValueError(f"{name} is {value!r}; expected {expected}")


def _whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def make_accelerator():
    """accelerate's `Accelerator`, of one process or several. The precision is not its own, see `pick_precision`.

    Raises:
        RmlibValueError: something else in this process has set accelerate to mixed precision.
    """
    from accelerate import Accelerator  # here: settings are checked before anything slow is imported

    try:
        return Accelerator(mixed_precision="no")
    except ValueError as error:
        why = "accelerate computes in mixed precision in this process already (a Trainer with bf16 or fp16?)"
        raise RmlibValueError(f"{why}; expected none: restart the kernel, or train in another process") from error


def make_optimizer(model: torch.nn.Module, config: Config) -> torch.optim.Optimizer:
    """AdamW or SGD over the parameters that train; weight decay on matrices only.

    With `layer_decay` below 1 the parameters of each depth have groups of their own. A group's "scale" is to be
    multiplied into every learning rate that it is given.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.layer_decay < 1:
        scales = depth_scales(model, config.layer_decay)
        groups = [
            group | {"params": here, "scale": scale, "lr": config.lr * scale}
            for scale in sorted(set(scales.values()), reverse=True)
            for group in groups
            if (here := [p for p in group["params"] if scales[p] == scale])
        ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=0.9)
    return torch.optim.AdamW(groups, lr=config.lr, fused=True)


def depth_scales(model: torch.nn.Module, decay: float) -> dict[torch.nn.Parameter, float]:
    """What the learning rate of each parameter is multiplied by: "discriminative fine-tuning" (Howard and Ruder, ACL
    2018), with the exponents of Clark et al. (ELECTRA, ICLR 2020).

    Args:
        model: of transformers, with an encoder of n layers and a head.
        decay: in (0, 1].

    Returns:
        1 for the head (and a pooler), decay^(n - k) for layer k = 0 .. n - 1 counted from below, and decay^(n + 1) for
        the rest of the encoder, which is its embeddings.
    """
    from .encoder import encoder_layers  # here for the same reason

    layers, scales = encoder_layers(model), dict.fromkeys(model.parameters(), 1.0)
    for p in model.base_model.parameters():
        scales[p] = decay ** (len(layers) + 1)
    for k, layer in enumerate(layers):
        for p in layer.parameters():
            scales[p] = decay ** (len(layers) - k)
    pooler = getattr(model.base_model, "pooler", None)
    return scales | (dict.fromkeys(pooler.parameters(), 1.0) if pooler else {})


def pick_precision(wish: str, device: torch.device) -> str:
    """ "bf16" or "fp32"; "auto" takes bf16 where the hardware computes in it."""
    if wish != "auto":
        return wish
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return "bf16" if device.type == "cpu" and any(getattr(torch.cpu, c, bool)() for c in checks) else "fp32"
