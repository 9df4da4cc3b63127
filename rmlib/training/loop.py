"""The training loop: a generator of steps, with early stopping, checkpoints and resume.

    training = Training(tagger, encoded.examples, Config(alpha=1.0), score=...)
    for step in training:
        print(step.step, step.total)

The objective may be changed between any two steps: `training.objective.alpha = 10`.
"""

import copy
import math
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import torch
from accelerate.utils import broadcast_object_list, gather_object

from rmlib.determinism import seed_for
from rmlib.errors import NotFiniteError, RmlibValueError
from rmlib.loss.objective import Loss, RewardObjective
from rmlib.models.attention import can_pack, first_position
from rmlib.models.encoder import Classifier
from rmlib.text.batches import batches, longest_first, row_length
from rmlib.text.packing import Batch, TokenStore

from .checkpoints import CheckpointError, load_checkpoint, read_position, save_checkpoint
from .config import Config
from .finite import ADVICE, check_step, check_weights
from .setup import (
    check_compiler,
    fault_of_packing,
    make_accelerator,
    make_optimizer,
    pick_precision,
    prepare,
)


class Step(NamedTuple):
    """What one step did.

    `tokens` are subword tokens without padding, `seconds` the time since the run began; `scores` is
    what `score()` returned at the end of an epoch, else None.
    """

    step: int
    epoch: int
    alpha: float
    reward_type: str
    total: float
    prediction: float
    reward: float
    lr: float
    grad_norm: float
    tokens: int
    seconds: float
    scores: dict | None = None


MEASURED = ("total", "prediction", "reward", "grad_norm")  # fields that the device computes


def to_floats(steps: list[Step]) -> list[Step]:
    """The same steps with floats in place of tensors on the device, in one transfer.

    Raises:
        NotFiniteError: the loss or the gradient of a step is infinite or NaN.
    """
    if not steps:
        return []
    values = [torch.stack([torch.as_tensor(getattr(s, name)) for name in MEASURED]) for s in steps]
    rows = torch.stack(values).tolist()
    read = [
        step._replace(**dict(zip(MEASURED, row, strict=True)))
        for step, row in zip(steps, rows, strict=True)
    ]
    for step in read:
        check_step(step)
    return read


class Training:
    """One training run, to be iterated over: `for step in training`.

    The objective sees the logits of the whole batch at once, even if the batch is split into
    micro-batches or spread over processes: an F1 is a ratio of counts and not the mean of its
    parts. So each step computes the logits of every part, differentiates the objective with respect
    to them, and sends that gradient down through the encoder, part by part ("gradient caching", Gao
    et al. 2021). Which process computes which part changes only the order of the sums.

    Sentences are packed into rows of at most `max_tokens` tokens without padding
    (`Config.packed`). If `lazy` is set, no step waits for the GPU (except with SmoothAP): `total`,
    `prediction`, `reward` and `grad_norm` of its `Step` are then tensors, and `to_floats` converts
    many steps at once.

    Args:
        classifier: what to train; its weights change in place.
        examples: `batches.Example`s, at least one.
        config: the settings.
        score: called at the end of an epoch, on the main process; returns a dict with "f1", higher
            is better. At the end of the run the weights of the best epoch are restored.
        checkpoint: a file for the position in the run. If it exists, the run resumes from it and
            ends with the same weights, to the last bit on a CPU, as an uninterrupted run.
        identity: what else decides the results, such as checksums of the dev and test sentences; a
            run resumes only where all of it is the same.

    Every step sets torch's global seed, so that dropout depends on the step alone. A step whose
    loss or gradient is not finite changes no weight, unless `lazy` is set: then `to_floats` finds
    it, and no checkpoint is written after it.

    Raises:
        RmlibValueError: no examples; `Config.packed` is "yes" where packing is impossible; or as
            `setup.make_accelerator`.
        CheckpointError: the checkpoint is of a run with other settings, or is no checkpoint.
        NotFiniteError: while it is iterated over, a loss, a gradient or weights are not finite.
    """

    def __init__(
        self,
        classifier: Classifier,
        examples: list,
        config: Config | None = None,
        score: Callable[[], dict] | None = None,
        checkpoint=None,
        identity: dict | None = None,
    ):
        if not examples:
            raise RmlibValueError("there are 0 training examples; expected at least 1")
        self.classifier = classifier
        self.examples = examples
        self.config = config or Config()
        self.score = score
        self.objective = RewardObjective(
            self.config.alpha, self.config.reward, labels=classifier.labels
        )
        self.lr_factor = 1.0  # multiplies the scheduled learning rate; may change between steps
        self.lazy = False
        self.accelerator = make_accelerator()
        device = self.accelerator.device
        if self.config.compile:
            check_compiler(device)
        self.precision = pick_precision(self.config.precision, device)
        self.trainable = prepare(classifier.model.to(device), self.config)
        self.lengths = [len(example) for example in examples]
        self.store = TokenStore(
            examples,
            classifier.tokenizer.pad_token_id,
            classifier.case,
            device,
            first_position(classifier.model),
        )
        self.packed = self._choose_packing()
        model = classifier.model
        if self.config.compile:
            model = torch.compile(model, dynamic=False if self.packed else None)
        self.model = self.accelerator.prepare(model)
        self.optimizer = make_optimizer(classifier.model, self.config)
        self.step = 0
        self.seconds = 0.0
        self.best_score = -math.inf
        self.best_epoch = 0
        self.best: dict = {}
        self._epoch_parts: tuple[int, list] = (-1, [])  # an epoch and its micro-batches
        self.checkpoint = Path(checkpoint) if checkpoint else None
        self.identity = dict(identity or {})
        if self.checkpoint:
            self.identity |= {"initial weights (a checksum)": checksum(classifier.model)}
        if self.checkpoint and self.checkpoint.exists():
            self._resume()
        parts = self._parts_of_epoch(0)
        self.steps_per_epoch = math.ceil(len(parts) / self._parts_per_step)
        self.row = row_length(parts, self.lengths)  # tokens of a packed row, the same in each epoch

    def __len__(self) -> int:
        """Steps of the whole run, unless it stops early."""
        return self.steps_per_epoch * self.config.epochs

    def __iter__(self) -> Iterator[Step]:
        while self.step < len(self) and not self.stopped_early:
            yield self._step()
            # After the yield: what the caller writes about a step precedes its checkpoint.
            due = self._epoch_ended or self.step % self.config.checkpoint_every == 0
            if self.checkpoint and due:
                check_weights(self.classifier.model, self.step)
                self._save()
        if not self.lazy:
            check_weights(self.classifier.model, self.step)
        self._restore_best()

    @property
    def stopped_early(self) -> bool:
        """Whether the last `patience` evaluations brought no better score."""
        waited = self.step // self.steps_per_epoch - self.best_epoch
        return bool(self.score and self.config.patience and waited >= self.config.patience)

    def learning_rate(self, step: int) -> float:
        """Linear warm-up to `lr`, then linear decay to 0; `step` counts from 0."""
        warm = round(self.config.warmup * len(self))
        if step < warm:
            return self.config.lr * (step + 1) / warm
        return self.config.lr * (len(self) - step) / max(len(self) - warm, 1)

    # A step, in the order in which it happens ---------------------------------------------------

    def _step(self) -> Step:
        start = perf_counter()
        self.model.train()
        lr = self.learning_rate(self.step) * self.lr_factor
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group.get("scale", 1.0)
        parts = self._parts_of_step()
        alpha, reward = self.objective.alpha, self.objective.reward.name
        self.optimizer.zero_grad()
        loss = self._backward(parts)
        parameters = self.classifier.model.parameters()
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.clip or math.inf)
        epoch = self.step // self.steps_per_epoch + 1
        tokens = sum(self.lengths[i] for group in parts for i in group)
        step = Step(self.step + 1, epoch, alpha, reward, *loss, lr, norm, tokens, 0.0)
        if not self.lazy:
            (step,) = to_floats([step])  # what is not finite changes no weight
        self.optimizer.step()
        self.step += 1
        if self.lazy and self._epoch_ended and self.accelerator.device.type == "cuda":
            torch.cuda.synchronize()  # only when all work is done is the time right
        self.seconds += perf_counter() - start  # without evaluation and checkpoints
        scores = self._evaluate() if self._epoch_ended and self.score else None
        return step._replace(seconds=self.seconds, scores=scores)

    def _parts_of_step(self) -> list[list[int]]:
        """The micro-batches of this step; number k is computed by process k modulo their number."""
        epoch, index = divmod(self.step, self.steps_per_epoch)
        first = index * self._parts_per_step
        return self._parts_of_epoch(epoch)[first : first + self._parts_per_step]

    def _backward(self, parts: list[list[int]]) -> Loss:
        """Compute the loss of the joined batch and the gradients of the parameters."""
        processes = self.accelerator.num_processes
        numbers = range(self.accelerator.process_index, len(parts), processes)
        # Every process takes part in every backward pass: one without a part computes the first
        # part again, with a gradient of 0.
        idle = -(-len(parts) // processes) - len(numbers)
        mine = [(number, self._batch(parts[number])) for number in [*numbers, *[0] * idle]]

        # Forward: the logits of all parts. With one part the graph is kept, else it is built again.
        single = len(mine) == 1
        with nullcontext() if single else torch.no_grad():
            logits = [self._forward(batch, number) for number, batch in mine]

        # The objective, on the joined batch.
        z, y = self._join(parts, logits, [batch.labels for _, batch in mine])
        z.requires_grad_()
        seed_for(self.config.seed, self.step, -1)  # a sampled reward draws alike in every process
        items_per_sentence = [self.store.items_per_sentence[i] for part in parts for i in part]
        loss = self.objective.terms(z, y, items_per_sentence)
        (gradient,) = torch.autograd.grad(loss.total, z)

        # Backward: each part's share of dL/dz goes down through the encoder.
        gradients = gradient.split(self._items_per_part(parts))
        for k, ((number, batch), part_logits) in enumerate(zip(mine, logits, strict=True)):
            part_gradient = gradients[number] * processes  # accelerate averages over the processes
            if k >= len(numbers):
                part_gradient = torch.zeros_like(part_gradient)
            last = k == len(mine) - 1
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                if not single:
                    part_logits = self._forward(batch, number)
                part_logits.backward(part_gradient)
        return Loss(*(term.detach() for term in loss))

    def _forward(self, batch: Batch, number: int) -> torch.Tensor:
        """Logits (items, classes) of a micro-batch.

        Random numbers belong to (seed, step, number): a part can be computed twice, by any process,
        with the same dropout, and a resumed run needs no state of a generator.
        """
        seed_for(self.config.seed, self.step, number)
        inputs = dict(batch.inputs)
        if "token_type_ids" in inputs:
            hidden = torch.rand(len(batch.items_per_sentence)) < self.config.case_dropout
            inputs["token_type_ids"] = self.store.without_case(inputs, hidden)
        with self._autocast():
            logits = self.model(**inputs).logits
        logits = logits.flatten(0, -2)[batch.items]
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def _join(
        self, parts: list[list[int]], logits: list, labels: list
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and labels of all parts of all processes, in the order of the parts."""
        processes = self.accelerator.num_processes
        if processes == 1:
            return torch.cat([part.detach() for part in logits]), torch.cat(labels)
        sizes = self._items_per_part(parts)  # known to all, so that one exchange is enough
        longest = max(sizes)

        def gather(tensors: list) -> list:
            padded = [pad_rows(tensor.detach(), longest) for tensor in tensors]
            gathered = self.accelerator.gather(torch.stack(padded))  # process after process
            rounds = len(gathered) // processes
            rows = [(k % processes) * rounds + k // processes for k in range(len(parts))]
            return [gathered[row, :size] for row, size in zip(rows, sizes, strict=True)]

        return torch.cat(gather(logits)), torch.cat(gather(labels))

    def _evaluate(self) -> dict:
        scores = [None]
        check_weights(self.classifier.model, self.step)
        if self.accelerator.is_main_process:
            try:
                with self._autocast():
                    scores = [self.score()]
            except NotFiniteError as error:
                raise NotFiniteError(f"after step {self.step}: {error} {ADVICE['lr']}") from error
        scores = broadcast_object_list(scores)[0]
        if scores["f1"] > self.best_score:
            self.best_score = scores["f1"]
            self.best_epoch = self.step // self.steps_per_epoch
            parameters = self.classifier.model.named_parameters()
            self.best = {name: p.detach().clone() for name, p in parameters if p.requires_grad}
        return scores

    # Batches ------------------------------------------------------------------------------------

    @property
    def _epoch_ended(self) -> bool:
        return self.step % self.steps_per_epoch == 0

    @property
    def _parts_per_step(self) -> int:
        return self.config.accumulate * self.accelerator.num_processes

    def _parts_of_epoch(self, epoch: int) -> list[list[int]]:
        """The micro-batches of an epoch, for all processes, kept until another epoch begins."""
        if self._epoch_parts[0] != epoch:
            order = (self.lengths, self.config.max_tokens, self.config.seed, epoch)
            if self.packed:
                parts = longest_first(*order)
            else:
                parts = batches(*order, equal=self.classifier.reads_padding)
            self._epoch_parts = (epoch, parts)
        return self._epoch_parts[1]

    def _items_per_part(self, parts: list[list[int]]) -> list[int]:
        return [sum(self.store.items_per_sentence[i] for i in part) for part in parts]

    def _batch(self, group: list[int]) -> Batch:
        return self.store.packed(group, self.row) if self.packed else self.store.padded(group)

    def _autocast(self):
        device = self.accelerator.device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.precision == "bf16")

    def _choose_packing(self) -> bool:
        """Whether batches are packed: as set, as far as possible, and if packing is right here."""
        possible = can_pack(self.classifier.model) and not self.store.per_text
        if self.config.packed == "yes" and not possible:
            why = "this encoder computes its attention itself and has"
            if self.store.per_text:
                why = "whole texts have"
            raise RmlibValueError(f"packed is 'yes', but {why} padded batches; expected auto or no")
        if self.config.packed == "no" or not possible:
            return False
        if self.config.packed == "auto" and self.store.longest > self.config.max_tokens:
            return False
        fault = fault_of_packing(self.classifier.model, self.store, self.precision)
        fault = next((one for one in gather_object([fault]) if one), "")  # of any process
        if fault and self.accelerator.is_main_process:
            message = f"packed batches are wrong on this device ({fault}); this run pads instead"
            print(f"rmlib: {message}", file=sys.stderr)
        return not fault

    # The position in a run ----------------------------------------------------------------------

    def state(self) -> dict:
        """Weights, optimizer and position in the run, copied, for `restore` in this process."""
        names = ("step", "seconds", "best_score", "best_epoch", "best")
        parameters = self.classifier.model.named_parameters()
        return {
            "position": {name: getattr(self, name) for name in names},
            "weights": {name: p.detach().clone() for name, p in parameters},
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
        }

    @torch.no_grad()
    def restore(self, state: dict) -> None:
        """Go back to a `state()`; iterate anew afterwards. The objective stays as it is."""
        for name, parameter in self.classifier.model.named_parameters():
            parameter.copy_(state["weights"][name])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        for name, value in state["position"].items():
            setattr(self, name, value)

    @torch.no_grad()
    def _restore_best(self):
        parameters = dict(self.classifier.model.named_parameters())
        for name, tensor in self.best.items():
            parameters[name].copy_(tensor)

    def _save(self):
        if not self.accelerator.is_main_process:
            return
        position = {
            "settings": self._settings(),
            "step": self.step,
            "seconds": self.seconds,
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
        }
        model = self.classifier.model
        save_checkpoint(self.checkpoint, model, self.optimizer, self.best, position)

    def _resume(self):
        stored = read_position(self.checkpoint).get("settings", {})
        for name, value in self._settings().items():
            if stored.get(name) != value:
                raise CheckpointError(
                    f"{self.checkpoint} is of a run with {name}={stored.get(name)!r}, this one has "
                    f"{value!r}; expected the same settings, or another folder ('auto' depends on "
                    "the machine: give the value)"
                )
        model = self.classifier.model
        self.best, position = load_checkpoint(self.checkpoint, model, self.optimizer)
        self.step = position["step"]
        self.seconds = position["seconds"]
        self.best_score = position["best_score"]
        self.best_epoch = position["best_epoch"]

    def _settings(self) -> dict:
        """What must be the same when a run resumes."""
        settings = asdict(self.config)
        settings.pop("accumulate")  # how many parts a step has counts, not who computes them
        return settings | {
            "precision": self.precision,
            "classes": self.classifier.labels,
            "dropout": getattr(self.classifier.model.config, "hidden_dropout_prob", None),
            "packed": self.packed,
            "parts of a step": self._parts_per_step,
            "examples (a checksum)": zlib.crc32(repr(self.examples).encode()),
            **self.identity,
        }


def checksum(model: torch.nn.Module) -> int:
    """A checksum of a model's weights and of the settings that it computes with."""
    settings = model.config.to_diff_dict()
    for name in ("_name_or_path", "transformers_version"):
        settings.pop(name, None)
    total = zlib.crc32(repr(sorted(settings.items(), key=str)).encode())
    for parameter in model.parameters():
        total = zlib.crc32(parameter.detach().cpu().flatten().view(torch.uint8).numpy(), total)
    return total


def pad_rows(tensor: torch.Tensor, rows: int) -> torch.Tensor:
    """The tensor with zeros after its last row, so that it has `rows` rows."""
    missing = rows - len(tensor)
    return torch.nn.functional.pad(tensor, (0, 0) * (tensor.ndim - 1) + (0, missing))
