"""The loop: a generator of steps, with early stopping, checkpoints and resume.

    training = Training(tagger, encoded.examples, Config(alpha=1.0), score=...)
    for step in training:
        print(step.step, step.total)

The objective can be changed between any two steps: `training.objective.alpha = 10`.
"""

import copy
import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import torch
from accelerate.utils import broadcast_object_list

from rmlib.determinism import seed_for
from rmlib.errors import RmlibValueError
from rmlib.loss.objective import Loss, RewardObjective
from rmlib.models.attention import can_pack, first_position
from rmlib.models.encoder import Classifier
from rmlib.text.batches import batches
from rmlib.text.packing import Batch, Shelf, fullest, packs

from .checkpoints import CheckpointError, load_checkpoint, read_position, save_checkpoint
from .config import Config
from .setup import make_accelerator, make_optimizer, pick_precision, prepare


class Step(NamedTuple):
    """What one step did. `pieces` are word pieces without padding, `seconds` the time since the run began;
    `scores` is what `score()` returned where an epoch ended, else None."""

    step: int
    epoch: int
    alpha: float
    reward_type: str
    total: float
    prediction: float
    reward: float
    lr: float
    grad_norm: float
    pieces: int
    seconds: float
    scores: dict | None = None


NUMBERS = ("total", "prediction", "reward", "grad_norm")  # of a Step: what the device has computed


def read(steps: list[Step]) -> list[Step]:
    """The same steps with floats in the place of numbers that are still on the device, fetched all at once."""
    if not steps:
        return []
    rows = torch.stack([torch.stack([torch.as_tensor(getattr(s, n)) for n in NUMBERS]) for s in steps]).tolist()
    return [step._replace(**dict(zip(NUMBERS, row, strict=True))) for step, row in zip(steps, rows, strict=True)]


class Training:
    """One run, to be iterated over: `for step in training`.

    The objective sees the logits of the whole batch at once, also where the batch is cut into micro-batches or spread
    over processes: an F1 is a ratio of counts and is not the mean of its parts. So each step takes the logits of every
    part, lets the objective differentiate with respect to them, and then sends that gradient down through the encoder,
    part by part (Gao et al. 2021, "gradient caching"). Who computes which part changes only the order of sums.

    Sentences are packed into rows of at most `budget` pieces without padding (`Config.packed`). Where `lazy` is set, no
    step waits for the GPU's numbers (SmoothAP's do): `total`, `prediction`, `reward` and `grad_norm` of its `Step` are
    then tensors, which `read` turns into floats, many steps at once.

    Args:
        classifier: what to train; its weights change in place.
        examples: `batches.Example`s.
        config: see `Config`.
        score: called at the end of an epoch, on the main process; returns a dict with "f1", the higher the better.
            The weights of the best epoch are back in place when the run has ended.
        checkpoint: a file to keep the run's position in. If it exists, the run goes on from there and ends with the
            same weights, to the last bit on a CPU, as if it had never been cut off.

    Every step sets torch's global seed, so that dropout depends on the step alone.

    Raises:
        RmlibValueError: no examples, `Config.packed` is "yes" where it can't be, or as `config.make_accelerator`.
        CheckpointError: the checkpoint is of a run with other settings, or is no checkpoint.
    """

    def __init__(
        self,
        classifier: Classifier,
        examples: list,
        config: Config | None = None,
        score: Callable[[], dict] | None = None,
        checkpoint=None,
    ):
        if not examples:
            raise RmlibValueError("there are 0 training examples; expected at least 1")
        self.classifier, self.examples, self.config, self.score = classifier, examples, config or Config(), score
        self.objective = RewardObjective(self.config.alpha, self.config.reward)
        self.accelerator = make_accelerator()
        device = self.accelerator.device
        self.precision = pick_precision(self.config.precision, device)
        self.trainable = prepare(classifier.model.to(device), self.config)
        self.lengths = [len(example) for example in examples]
        pad, first = classifier.tokenizer.pad_token_id, first_position(classifier.model)
        self.shelf = Shelf(examples, pad, classifier.case, device, first)
        self.packed = self._pack()
        dynamic = False if self.packed else None  # packed batches have one shape
        model = torch.compile(classifier.model, dynamic=dynamic) if self.config.compile else classifier.model
        self.model = self.accelerator.prepare(model)
        self.optimizer = make_optimizer(classifier.model, self.config)
        self.lazy = False
        self.step, self.seconds, self.best_score, self.best_epoch = 0, 0.0, -math.inf, 0
        self.lr_factor = 1.0  # multiplies the learning rate of the schedule; may change between steps
        self.best: dict = {}
        self._order: tuple[int, list] = (-1, [])  # an epoch and its batches
        self.checkpoint = Path(checkpoint) if checkpoint else None
        if self.checkpoint and self.checkpoint.exists():
            self._resume()
        parts = self._groups(0)
        self.steps_per_epoch = math.ceil(len(parts) / (self.config.accumulate * self.accelerator.num_processes))
        self.row = fullest(parts, self.lengths)  # pieces that a packed row has, in every epoch

    def __len__(self) -> int:
        """Steps of the whole run, if it is not stopped early."""
        return self.steps_per_epoch * self.config.epochs

    @property
    def _epoch_ended(self) -> bool:
        return self.step % self.steps_per_epoch == 0

    @property
    def stopped_early(self) -> bool:
        """Whether the last `patience` evaluations brought no better score."""
        waited = self.step // self.steps_per_epoch - self.best_epoch
        return bool(self.score and self.config.patience and waited >= self.config.patience)

    def __iter__(self) -> Iterator[Step]:
        while self.step < len(self) and not self.stopped_early:
            yield self._step()
            # only now: what the caller writes down of a step is there before the checkpoint that follows it
            if self.checkpoint and (self._epoch_ended or self.step % self.config.checkpoint_every == 0):
                self._save()
        self._restore_best()

    def learning_rate(self, step: int) -> float:
        """Linear warm-up to `lr`, then linear decay to 0; `step` counts from 0."""
        warm = round(self.config.warmup * len(self))
        if step < warm:
            return self.config.lr * (step + 1) / warm
        return self.config.lr * (len(self) - step) / max(len(self) - warm, 1)

    def _pack(self) -> bool:
        """Whether batches are packed."""
        can = can_pack(self.classifier.model) and not self.shelf.per_text
        if self.config.packed == "yes" and not can:
            why = "whole texts have" if self.shelf.per_text else "this encoder computes its attention itself and has"
            raise RmlibValueError(f"packed is 'yes', but {why} padded batches; expected auto or no")
        if self.config.packed != "auto":
            return self.config.packed == "yes"
        if not can or self.shelf.longest > self.config.budget:
            return False
        flash = self.accelerator.device.type == "cuda" and self.precision == "bf16"
        return not flash or torch.cuda.get_device_capability(self.accelerator.device) >= (8, 0)  # FlashAttention's

    def _step(self) -> Step:
        start = perf_counter()
        self.model.train()
        lr = self.learning_rate(self.step) * self.lr_factor
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group.get("scale", 1.0)
        loss, pieces = self._backward(self._parts())
        norm = torch.nn.utils.clip_grad_norm_(self.classifier.model.parameters(), self.config.clip or math.inf)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        in_force = self.objective.alpha, self.objective.reward.name
        epoch = (self.step - 1) // self.steps_per_epoch + 1
        step = Step(self.step, epoch, *in_force, *loss, lr, norm, pieces, 0.0)
        (step,) = [step] if self.lazy else read([step])
        if self.lazy and self._epoch_ended and self.accelerator.device.type == "cuda":
            torch.cuda.synchronize()  # what was sent is done: only then the time is right
        self.seconds += perf_counter() - start  # evaluation and checkpoints not counted
        scores = self._evaluate() if self._epoch_ended and self.score else None
        return step._replace(seconds=self.seconds, scores=scores)

    def _groups(self, epoch: int) -> list[list[int]]:
        """The micro-batches of an epoch, for all processes. The last are kept: to sort a large corpus at every step
        would be felt."""
        if self._order[0] != epoch:
            cut = packs if self.packed else batches
            self._order = epoch, cut(self.lengths, self.config.budget, self.config.seed, epoch)
        return self._order[1]

    def _parts(self) -> list[list[int]]:
        """The micro-batches of this step, for all processes: number k is computed by process k modulo their number."""
        epoch, position = divmod(self.step, self.steps_per_epoch)
        many = self.config.accumulate * self.accelerator.num_processes
        return self._groups(epoch)[position * many : (position + 1) * many]

    def _batch(self, group: list[int]) -> Batch:
        return self.shelf.packed(group, self.row) if self.packed else self.shelf.padded(group)

    def _forward(self, batch: Batch, number: int) -> torch.Tensor:
        """Logits (items, classes) of a micro-batch. Each (seed, step, number) has random numbers of its own: a part can
        be computed twice with the same dropout, by any process, and a resumed run needs to remember no generator."""
        seed_for(self.config.seed, self.step, number)
        inputs = dict(batch.inputs)
        if "token_type_ids" in inputs:
            hidden = torch.rand(len(batch.words)) < self.config.case_dropout
            inputs["token_type_ids"] = self.shelf.without_case(inputs, hidden)
        with torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits = self.model(**inputs).logits
        logits = logits.flatten(0, -2)[batch.items]
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def _backward(self, parts: list[list[int]]) -> tuple[Loss, int]:
        """Fill the gradients of the parameters; returns the loss of the whole batch and its pieces."""
        processes, own = self.accelerator.num_processes, self.accelerator.process_index
        numbers = range(own, len(parts), processes)
        # Every process takes part in every backward pass: one without a part left computes the first, to no effect.
        idle = -(-len(parts) // processes) - len(numbers)
        mine = [(number, self._batch(parts[number])) for number in [*numbers, *[0] * idle]]
        one = len(mine) == 1  # then the first forward is kept and there is no second
        with nullcontext() if one else torch.no_grad():
            logits = [self._forward(batch, number) for number, batch in mine]
        z, y = self._join(parts, logits, [batch.labels for _, batch in mine])
        z.requires_grad_()
        seed_for(self.config.seed, self.step, -1)  # a sampled reward draws the same in every process
        words = [self.shelf.words[i] for group in parts for i in group]
        loss = self.objective.terms(z, y, words)
        (gradient,) = torch.autograd.grad(loss.total, z)
        pieces = gradient.split([sum(self.shelf.words[i] for i in group) for group in parts])
        for k, ((number, batch), part) in enumerate(zip(mine, logits, strict=True)):
            slope = pieces[number] * processes  # processes average their gradients: undo it
            slope = torch.zeros_like(slope) if k >= len(numbers) else slope
            last = k == len(mine) - 1
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                (part if one else self._forward(batch, number)).backward(slope)
        return Loss(*(term.detach() for term in loss)), sum(self.lengths[i] for group in parts for i in group)

    def _join(self, parts: list[list[int]], logits: list, labels: list) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and labels of all parts of all processes, in the order of the parts, the same in every process."""
        processes, sizes = self.accelerator.num_processes, [sum(self.shelf.words[i] for i in g) for g in parts]
        if processes == 1:
            return torch.cat([part.detach() for part in logits]), torch.cat(labels)
        longest = max(sizes)  # each knows how much the others have, so that one exchange is enough
        fill = lambda one, rows: torch.nn.functional.pad(one, (0, 0) * (one.ndim - 1) + (0, rows - len(one)))  # noqa: E731
        z = self.accelerator.gather(torch.stack([fill(part.detach(), longest) for part in logits]))
        y = self.accelerator.gather(torch.stack([fill(part, longest) for part in labels]))
        rounds = len(z) // processes  # process after process, each with its rounds
        rows = [(number % processes) * rounds + number // processes for number in range(len(parts))]
        z = torch.cat([z[row, :size] for row, size in zip(rows, sizes, strict=True)])
        return z, torch.cat([y[row, :size] for row, size in zip(rows, sizes, strict=True)])

    def _evaluate(self) -> dict:
        told = [None]
        if self.accelerator.is_main_process:
            device = self.accelerator.device
            with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                told = [self.score()]
        scores = broadcast_object_list(told)[0]
        if scores["f1"] > self.best_score:
            self.best_score, self.best_epoch = scores["f1"], self.step // self.steps_per_epoch
            parameters = self.classifier.model.named_parameters()
            self.best = {name: p.detach().clone() for name, p in parameters if p.requires_grad}
        return scores

    @torch.no_grad()
    def _restore_best(self):
        parameters = dict(self.classifier.model.named_parameters())
        for name, tensor in self.best.items():
            parameters[name].copy_(tensor)

    def state(self) -> dict:
        """Weights, optimizer and place in the run, copied: for `restore`, within one process."""
        place = {name: getattr(self, name) for name in ("step", "seconds", "best_score", "best_epoch", "best")}
        weights = {name: p.detach().clone() for name, p in self.classifier.model.named_parameters()}
        return {"place": place, "weights": weights, "optimizer": copy.deepcopy(self.optimizer.state_dict())}

    @torch.no_grad()
    def restore(self, state: dict) -> None:
        """Go back to what `state()` returned; iterate anew afterwards. The objective stays as it is."""
        for name, parameter in self.classifier.model.named_parameters():
            parameter.copy_(state["weights"][name])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        for name, value in state["place"].items():
            setattr(self, name, value)

    def _save(self):
        if self.accelerator.is_main_process:
            position = {
                "settings": self._settings(),
                "step": self.step,
                "seconds": self.seconds,
                "best_score": self.best_score,
                "best_epoch": self.best_epoch,
            }
            save_checkpoint(self.checkpoint, self.classifier.model, self.optimizer, self.best, position)

    def _settings(self) -> dict:
        """What has to be the same where a run is taken up again."""
        settings = asdict(self.config)
        settings.pop("accumulate")  # what counts is how many parts a step has, and not who computes them
        return settings | {
            "precision": self.precision,
            "encoder": self.classifier.report,
            "classes": self.classifier.labels,
            "dropout": getattr(self.classifier.model.config, "hidden_dropout_prob", None),
            "packed": self.packed,
            "parts of a step": self.config.accumulate * self.accelerator.num_processes,
            "examples (a checksum)": zlib.crc32(repr(self.examples).encode()),
        }

    def _resume(self):
        stored = read_position(self.checkpoint).get("settings", {})
        for name, value in self._settings().items():
            if stored.get(name) != value:
                raise CheckpointError(
                    f"{self.checkpoint} is of a run with {name}={stored.get(name)!r}, this one has {value!r}; "
                    "expected the same settings, or another folder ('auto' depends on the machine: give the value)"
                )
        self.best, position = load_checkpoint(self.checkpoint, self.classifier.model, self.optimizer)
        self.step, self.seconds = position["step"], position["seconds"]
        self.best_score, self.best_epoch = position["best_score"], position["best_epoch"]
