"""The settings of a training run, checked, and what is made from them: accelerator, optimizer, precision."""

import math
from dataclasses import dataclass

from rmlib.errors import RmlibValueError
from rmlib.loss.objective import check_alpha
from rmlib.loss.rewards import find


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
            check_alpha(self.alpha)
            find(self.reward)
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
