"""The settings of a training run, each checked."""

import math
from collections.abc import Callable
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
        lr: the highest learning rate, reached after `warmup` (a share of all steps); then it falls
            linearly to 0.
        optimizer: "adamw" (Loshchilov and Hutter 2019) or "sgd" (momentum 0.9).
        weight_decay: on matrices only, not on biases and norms.
        max_tokens: maximum tokens per micro-batch, padding included.
        accumulate: micro-batches per step. The reward is computed over all of them together (see
            `Training`).
        clip: maximum norm of the gradient; 0 turns clipping off.
        freeze: of `encoder.freeze`.
        lora: rank of the adapters of `lora.add_lora`; with 0 the weights themselves are trained.
        layer_decay: the learning rate of each layer as a share of that of the layer above; the head
            has `lr` (see `setup.depth_scales`). With 1 all layers have `lr`.
        case_dropout: share of training sentences whose capitals are hidden, so that the tagger also
            learns to do without them (lower-case posts, tools that ignore the case channel).
        patience: stop after so many evaluations without a better score; 0 turns early stopping off.
        precision: "fp32", "bf16", or "auto": bf16 where the machine computes in it.
        packed: "yes": sentences one after the other in rows of `max_tokens` tokens without padding,
            in a random order; "no": sentences of similar length, padded to the longest; "auto":
            packed where encoder and device support it and no sentence is longer than `max_tokens`.
            In packed batches the attention weights have no dropout.
        compile: compile the encoder with `torch.compile` at the first step (it takes a minute; on a
            CPU it needs a C++ compiler). Its dropout draws other random numbers.
        seed: of the order of the batches and of dropout.
        checkpoint_every: steps between two checkpoints.

    Raises:
        RmlibValueError: a setting out of its range; the message gives the range.
    """

    alpha: float = 1.0
    reward: str = "soft_f1"
    epochs: int = 8
    lr: float = 5e-4
    optimizer: str = "adamw"
    weight_decay: float = 0.01
    warmup: float = 0.1
    max_tokens: int = 1024
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
        self._check("epochs", is_count, "a whole number of 1 or more")
        self._check("lr", lambda v: 0 < v < math.inf, "a number above 0")
        self._check("optimizer", lambda v: v in ("adamw", "sgd"), "adamw or sgd")
        self._check("weight_decay", lambda v: 0 <= v < math.inf, "a number of 0 or more")
        self._check("warmup", lambda v: 0 <= v <= 1, "a number from 0 to 1")
        self._check("max_tokens", is_count, "a whole number of 1 or more")
        self._check("accumulate", is_count, "a whole number of 1 or more")
        self._check("clip", lambda v: 0 <= v < math.inf, "a number of 0 or more")
        self._check("freeze", is_freeze, "none, embeddings, encoder, or a number of layers")
        self._check("lora", is_count_or_0, "a whole number of 0 or more")
        self._check("layer_decay", lambda v: 0 < v <= 1, "a number above 0, at most 1")
        self._check("case_dropout", lambda v: 0 <= v <= 1, "a number from 0 to 1")
        self._check("patience", is_count_or_0, "a whole number of 0 or more")
        self._check("precision", lambda v: v in ("auto", "fp32", "bf16"), "auto, fp32 or bf16")
        self._check("packed", lambda v: v in ("auto", "yes", "no"), "auto, yes or no")
        self._check("compile", lambda v: v is True or v is False, "True or False")
        self._check("seed", is_count_or_0, "a whole number of 0 or more")
        self._check("checkpoint_every", is_count, "a whole number of 1 or more")

    def _check(self, name: str, is_valid: Callable[[object], bool], expected: str) -> None:
        value = getattr(self, name)
        try:
            valid = is_valid(value)
        except (TypeError, ValueError, OverflowError):  # not a number, or one of another kind
            valid = False
        if not valid:
            raise RmlibValueError(f"{name} is {value!r}; expected {expected}")


def is_count_or_0(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_count(value) -> bool:
    return is_count_or_0(value) and value >= 1


def is_freeze(value) -> bool:
    return value in ("none", "embeddings", "encoder") or str(value).isdecimal()
