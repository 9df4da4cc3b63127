"""What a run is made of before its first step: accelerator, optimizer, precision, and the parameters that train."""

import torch
from torch import nn

from rmlib.errors import RmlibValueError
from rmlib.models.encoder import freeze
from rmlib.models.lora import add_lora, rank_of
from rmlib.training.config import Config


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
    from rmlib.models.encoder import encoder_layers  # here for the same reason

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


def prepare(model: nn.Module, config: Config) -> int:
    """Make a model ready for a run: adapters if `config.lora` asks for them, and `config.freeze`.

    Returns:
        how many parameters train.

    Raises:
        RmlibValueError: as `add_lora` and `encoder.freeze`; or the model has adapters already, of another rank than
            `config.lora`. Adapters of that rank are trained further.
    """
    rank = rank_of(model)
    if rank not in (0, config.lora):
        raise RmlibValueError(f"the model has adapters of rank {rank}, lora is {config.lora}; call merge_lora first")
    if config.lora and not rank:
        add_lora(model, config.lora, config.seed)
    return freeze(model, config.freeze)
