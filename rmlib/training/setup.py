"""What a run is made of before its first step.

The accelerator, the precision, the parameters that train, their optimizer, and whether this device
computes packed batches correctly.
"""

import os
import shutil
import sys

import torch
from torch import Tensor, nn

from rmlib.errors import RmlibError, RmlibValueError
from rmlib.models.encoder import below_layers, encoder_layers, freeze
from rmlib.models.lora import add_lora, rank_of
from rmlib.text.batches import row_length
from rmlib.text.packing import Batch, TokenStore

from .config import Config

# How far packed and padded batches may differ, as ‖difference‖ / ‖padded‖. With MiniLM on a CPU the
# gradients differ by 2e-7 in fp32 and by 3e-3 in bf16; attention across sentences is off by 0.8.
TOLERANCES = {"fp32": 1e-3, "bf16": 0.05}
CHECKED_TOKENS = 300

# Where a launcher says how many processes it has started.
LAUNCHERS = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")

_FAULTS: dict[tuple, str] = {}  # by device, precision and architecture


def launched_processes() -> int:
    """How many processes this launch (of torchrun, accelerate or MPI) has, by its own word.

    Raises:
        RmlibError: the launcher's variable is no number.
    """
    name = next((name for name in LAUNCHERS if os.environ.get(name)), None)
    text = os.environ.get(name, "1") if name else "1"
    if not text.isdecimal() or int(text) < 1:
        raise RmlibError(f"the environment variable {name} is {text!r}; expected 1 or more")
    return int(text)


def make_accelerator():
    """accelerate's `Accelerator`, of one process or several, without its mixed precision.

    The precision of a run is that of `pick_precision`.

    Raises:
        RmlibValueError: something else in this process has set accelerate to mixed precision.
        RmlibError: the processes of a launch do not find each other.
    """
    from accelerate import Accelerator  # slow to import, and settings are checked first

    launched = launched_processes()
    # On a machine without a GPU accelerate joins processes only where it is asked for the CPU.
    on_cpu = launched > 1 and not torch.accelerator.is_available()
    try:
        accelerator = Accelerator(cpu=on_cpu, mixed_precision="no")
        found = accelerator.num_processes
    except ValueError as error:
        if launched == 1:
            raise RmlibValueError(
                "accelerate computes in mixed precision in this process already (a Trainer with "
                "bf16 or fp16?); expected none: restart the kernel, or train in another process"
            ) from error
        found = f"none ({error})"
    if found != launched:
        raise RmlibError(
            f"this launch has {launched} processes by its environment, and {found} found each "
            "other; start all with torchrun or accelerate launch, or unset WORLD_SIZE"
        )
    return accelerator


def check_compiler(device: torch.device) -> None:
    """Check that `torch.compile` finds the compiler that it needs on this device.

    Raises:
        RmlibError: it does not.
    """
    if device.type == "cpu":
        kind, variable = "C++", "CXX"
        names = {"win32": ["cl"], "darwin": ["clang++"]}.get(sys.platform, ["g++"])
    else:  # Triton compiles a part of its own
        kind, variable, names = "C", "CC", ["gcc", "cc", "clang", "cl"]
    names = [os.environ[variable]] if os.environ.get(variable) else names
    if not any(map(shutil.which, names)):
        raise RmlibError(
            f"compile needs a {kind} compiler and found none ({' or '.join(names)}); install one, "
            "or leave it out"
        )


def pick_precision(precision: str, device: torch.device) -> str:
    """ "bf16" or "fp32"; "auto" is bf16 if the hardware computes in it."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    native = device.type == "cpu" and any(getattr(torch.cpu, c, bool)() for c in checks)
    return "bf16" if native else "fp32"


def prepare(model: nn.Module, config: Config) -> int:
    """Add adapters if `config.lora` asks for them, and freeze what `config.freeze` names.

    Returns:
        the number of parameters that train.

    Raises:
        RmlibValueError: as `add_lora` and `encoder.freeze`; or the model has adapters of another
            rank than `config.lora`. (Adapters of that rank are trained further.)
    """
    rank = rank_of(model)
    if rank not in (0, config.lora):
        raise RmlibValueError(
            f"the model has adapters of rank {rank}, lora is {config.lora}; call merge_lora first"
        )
    if config.lora and not rank:
        add_lora(model, config.lora, config.seed)
    return freeze(model, config.freeze)


def make_optimizer(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """AdamW or SGD over the parameters that train, with weight decay on matrices only.

    With `layer_decay` below 1 each depth has parameter groups of its own. A group's "scale"
    multiplies every learning rate that the group is given.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.layer_decay < 1:
        scales = depth_scales(model, config.layer_decay)
        groups = [
            group | {"params": own, "scale": scale, "lr": config.lr * scale}
            for scale in sorted(set(scales.values()), reverse=True)
            for group in groups
            if (own := [p for p in group["params"] if scales[p] == scale])
        ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=0.9)
    return torch.optim.AdamW(groups, lr=config.lr, fused=True)


def depth_scales(model: nn.Module, decay: float) -> dict[nn.Parameter, float]:
    """The factor of each parameter's learning rate.

    "Discriminative fine-tuning" (Howard and Ruder, ACL 2018), with the exponents of Clark et al.
    (ELECTRA, ICLR 2020).

    Args:
        model: of transformers, with an encoder of n layers and a head.
        decay: in (0, 1].

    Returns:
        1 for the head and what stands above the layers (a pooler, a last norm), decay^(n - k) for
        layer k = 0 .. n - 1 counted from below, and decay^(n + 1) for the embeddings.
    """
    layers = encoder_layers(model)
    scales = dict.fromkeys(model.parameters(), 1.0)
    scales |= dict.fromkeys(below_layers(model), decay ** (len(layers) + 1))
    for k, layer in enumerate(layers):
        scales |= dict.fromkeys(layer.parameters(), decay ** (len(layers) - k))
    return scales


def fault_of_packing(model: nn.Module, store: TokenStore, precision: str) -> str:
    """What is wrong with packed batches on this device, or "".

    A few hundred tokens are computed packed and padded, without dropout, once per device, precision
    and architecture in a process. Logits and gradients have to agree within `TOLERANCES`.
    """
    key = (str(store.device), precision, model.config.to_json_string())
    if key not in _FAULTS:
        was_training = model.training
        model.eval()
        try:
            _FAULTS[key] = _compare_packing(model, store, precision)
        except Exception as error:  # whatever a kernel says that refuses this device
            _FAULTS[key] = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        model.train(was_training)
    return _FAULTS[key]


def _compare_packing(model: nn.Module, store: TokenStore, precision: str) -> str:
    group: list[int] = []
    lengths = store.lengths.tolist()
    while len(group) < len(lengths) and sum(lengths[i] for i in group) < CHECKED_TOKENS:
        group.append(len(group))
    packed = store.packed(group, row_length([group], lengths))
    results = [_logits_and_gradient(model, b, precision) for b in (store.padded(group), packed)]
    for name, expected, value in zip(("logits", "gradients"), *results, strict=True):
        error = float((value - expected).norm() / expected.norm().clamp_min(1e-12))
        if not error <= TOLERANCES[precision]:  # NaN is a fault
            return f"{name} differ from those of padded ones by {error:.1%}"
    return ""


def _logits_and_gradient(model: nn.Module, batch: Batch, precision: str) -> tuple[Tensor, Tensor]:
    device = batch.labels.device.type
    with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
        logits = model(**batch.inputs).logits
    z = logits.flatten(0, -2)[batch.items].float()
    weights = torch.linspace(-1, 1, z.numel(), device=z.device).view_as(z)  # any fixed direction
    trained = [p for p in model.parameters() if p.requires_grad]
    gradients = torch.autograd.grad((z * weights).sum(), trained, allow_unused=True)
    return z.detach(), torch.cat([g.flatten().float() for g in gradients if g is not None])
