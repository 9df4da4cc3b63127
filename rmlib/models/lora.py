"""Small trainable adapters beside frozen weights (LoRA).

Hu et al., "LoRA: Low-rank adaptation of large language models", ICLR 2022: a linear layer W x + b
becomes W x + b + s B A x, where W and b are frozen and only A, (rank, inputs), and B, (outputs,
rank), are trained. Afterwards s B A is added to W, and the model is as large and as fast as before.
"""

from torch import nn
from transformers.pytorch_utils import Conv1D

from rmlib.determinism import seeded
from rmlib.errors import RmlibValueError

from .encoder import encoder_layers, freeze

# s, which the paper writes as alpha / r: the same for every rank, so that learning rates carry over
SCALE = 2.0


def add_lora(model: nn.Module, rank: int, seed: int = 0) -> int:
    """Add an adapter to every linear layer of attention and feed-forward.

    The adapters, the head and the case channel (`encoder.add_case_channel`) train, all else is
    frozen. B starts at 0, so that at first the model computes what it did before.

    Args:
        model: of transformers; changed in place. It keeps its class and the names of its modules.
        rank: from 1 to the smallest number of inputs or outputs of these layers.
        seed: of the initial A.

    Returns:
        how many parameters train.

    Raises:
        RmlibValueError: the rank is out of range, or the model has adapters already, or no linear
            layer in its encoder.
    """
    # imported here: it takes seconds, and few runs need it
    from peft import LoraConfig, inject_adapter_in_model

    if rank_of(model):
        raise RmlibValueError(
            f"the model has adapters of rank {rank_of(model)} already; call merge_lora first"
        )
    inside = {id(module) for layer in encoder_layers(model) for module in layer.modules()}
    linear = {
        name: module
        for name, module in model.named_modules()
        # a gate of one output has no rank to give
        if isinstance(module, nn.Linear | Conv1D)
        and id(module) in inside
        and min(module.weight.shape) > 1
    }
    if not linear:
        raise RmlibValueError(
            f"lora is {rank}; {type(model).__name__} has no linear layer for adapters: expected 0"
        )
    largest = min(min(module.weight.shape) for module in linear.values())
    if not (1 <= rank <= largest and rank == int(rank)):
        raise RmlibValueError(
            f"lora is {rank}; expected a rank (a whole number) from 1 to {largest} here"
        )
    with seeded(seed):
        settings = LoraConfig(
            r=int(rank),
            lora_alpha=SCALE * rank,
            lora_dropout=0.0,
            target_modules=list(linear),
            # GPT-2's layers, whose weights are (inputs, outputs)
            fan_in_fan_out=any(isinstance(module, Conv1D) for module in linear.values()),
        )
        inject_adapter_in_model(settings, model)
    return freeze(model, "none")


def merge_lora(model: nn.Module) -> None:
    """Add the adapters to the weights, W + s B A, and restore plain linear layers, in place.

    All weights are trainable again. A model without adapters is not changed.
    """
    adapted = _adapted(model)
    for name, module in adapted.items():
        module.merge()
        model.set_submodule(name, module.get_base_layer())
    if adapted:
        del model.peft_config
        model.requires_grad_(True)


def rank_of(model: nn.Module) -> int:
    """The rank of a model's adapters; 0 if it has none."""
    return next((module.r["default"] for module in _adapted(model).values()), 0)


def _adapted(model: nn.Module) -> dict[str, nn.Module]:
    return {name: module for name, module in model.named_modules() if hasattr(module, "lora_A")}
