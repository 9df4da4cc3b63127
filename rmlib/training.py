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
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from .batches import IGNORE, batches, collate
from .checkpoints import CheckpointError, load_checkpoint, read_position, save_checkpoint
from .config import Config, make_optimizer, pick_precision
from .encoder import Classifier, freeze
from .errors import RmlibValueError
from .objective import Loss, RewardObjective


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


class Training:
    """One run, to be iterated over: `for step in training`.

    The objective sees the logits of the whole batch at once, also where the batch is cut into micro-batches or
    spread over processes: an F1 is a ratio of counts and is not the mean of its parts. So each step takes the
    logits of every part, lets the objective differentiate with respect to them, and then sends that gradient down
    through the encoder, part by part (Gao et al. 2021, "gradient caching").

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
        RmlibValueError: no examples.
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
        self.accelerator = Accelerator()
        self.trainable = freeze(classifier.model, self.config.freeze)
        self.model = self.accelerator.prepare(classifier.model)
        self.optimizer = make_optimizer(classifier.model, self.config)
        self.lengths = [len(example) for example in examples]
        self.precision = pick_precision(self.config.precision, self.accelerator.device)
        self.step, self.seconds, self.best_score, self.best_epoch = 0, 0.0, -math.inf, 0
        self.lr_factor = 1.0  # multiplies the learning rate of the schedule; may change between steps
        self.best: dict = {}
        self._order: tuple[int, list] = (-1, [])  # an epoch and its batches
        self.checkpoint = Path(checkpoint) if checkpoint else None
        if self.checkpoint and self.checkpoint.exists():
            self._resume()
        parts = len(batches(self.lengths, self.config.budget))
        self.steps_per_epoch = math.ceil(parts / (self.config.accumulate * self.accelerator.num_processes))

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

    def _step(self) -> Step:
        start = perf_counter()
        self.model.train()
        lr = self.learning_rate(self.step) * self.lr_factor
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        loss, pieces = self._backward(self._micro_batches())
        norm = torch.nn.utils.clip_grad_norm_(self.classifier.model.parameters(), self.config.clip or math.inf)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        total, prediction, reward = (float(term) for term in loss)
        in_force = self.objective.alpha, self.objective.reward.name
        self.seconds += perf_counter() - start  # evaluation and checkpoints not counted
        scores = self._evaluate() if self._epoch_ended and self.score else None
        epoch = (self.step - 1) // self.steps_per_epoch + 1
        return Step(
            self.step, epoch, *in_force, total, prediction, reward, lr, float(norm), pieces, self.seconds, scores
        )

    def _micro_batches(self) -> list[dict]:
        """This process's share of the step's micro-batches. One with nothing to learn stands in for a missing one,
        because every process has to take part in every step."""
        epoch, position = divmod(self.step, self.steps_per_epoch)
        if self._order[0] != epoch:  # sorting a large corpus again at every step would be felt
            self._order = epoch, batches(self.lengths, self.config.budget, self.config.seed, epoch)
        groups, mine = self._order[1], []
        for k in range(self.config.accumulate):
            number = (position * self.config.accumulate + k) * self.accelerator.num_processes
            number += self.accelerator.process_index
            group = groups[number] if number < len(groups) else groups[0]
            batch = collate(
                [self.examples[i] for i in group], self.classifier.tokenizer.pad_token_id, self.classifier.case
            )
            if number >= len(groups):
                batch["labels"].fill_(IGNORE)
            mine.append(batch)
        return mine

    def _seed(self, *numbers: int) -> None:
        """Random numbers of their own for this step and these numbers."""
        numbers = (self.config.seed, self.step, *numbers)
        torch.manual_seed(hash(numbers) % 2**63)  # Python hashes a tuple of whole numbers the same way every time

    def _forward(self, batch: dict, part: int) -> torch.Tensor:
        """Logits of one micro-batch. Each (seed, step, part) has random numbers of its own, so that a part can be
        computed twice with the same dropout, and a resumed run needs to remember no generator."""
        self._seed(part, self.accelerator.process_index)
        inputs = {key: value for key, value in batch.items() if key != "labels"}
        if "token_type_ids" in inputs:
            shown = torch.rand(len(inputs["token_type_ids"]), 1) >= self.config.case_dropout
            inputs["token_type_ids"] = inputs["token_type_ids"] * shown
        device = self.accelerator.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            return self.model(**{key: value.to(device) for key, value in inputs.items()}).logits

    def _backward(self, parts: list[dict]) -> tuple[Loss, int]:
        """Fill the gradients of the parameters; returns the loss of the whole batch and its pieces."""
        one = len(parts) == 1  # then the first forward is kept and there is no second
        with nullcontext() if one else torch.no_grad():
            logits = [self._forward(batch, k) for k, batch in enumerate(parts)]
        labels = [batch["labels"].to(self.accelerator.device) for batch in parts]
        z, y, mine = self._whole_batch([part.detach() for part in logits], labels)
        z.requires_grad_()
        self._seed(-1)  # a sampled reward draws the same in every process
        loss = self.objective(z, y)
        (gradient,) = torch.autograd.grad(loss.total, z)
        gradient = gradient[mine] * self.accelerator.num_processes  # processes average their gradients: undo it
        row = 0
        for k, (batch, part) in enumerate(zip(parts, logits, strict=True)):
            rows, width = part.shape[0], part.shape[1:-1]
            piece = gradient[row : row + rows][(slice(None), *(slice(n) for n in width))]
            last = k == len(parts) - 1
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                (part if one else self._forward(batch, k)).backward(piece.to(part.dtype))
            row += rows
        real = [batch for batch in parts if (batch["labels"] != IGNORE).any()]  # no stand-ins
        pieces = torch.tensor(sum(int(batch["attention_mask"].sum()) for batch in real), device=self.accelerator.device)
        return Loss(*(term.detach() for term in loss)), int(self.accelerator.reduce(pieces))

    def _whole_batch(self, logits: list, labels: list):
        """All parts of all processes as one batch, and the slice of rows that is this process's."""
        if logits[0].ndim == 3:  # (sentences, pieces, classes): pad all to one width
            width = torch.tensor(max(part.shape[1] for part in logits), device=self.accelerator.device)
            width = int(self.accelerator.gather(width).max())
            logits = [torch.nn.functional.pad(z, (0, 0, 0, width - z.shape[1])) for z in logits]
            labels = [torch.nn.functional.pad(y, (0, width - y.shape[1]), value=IGNORE) for y in labels]
        z, y = torch.cat(logits), torch.cat(labels)
        if self.accelerator.num_processes == 1:
            return z, y, slice(len(z))
        own = len(z)
        z = self.accelerator.pad_across_processes(z)
        y = self.accelerator.pad_across_processes(y, pad_index=IGNORE)
        first = self.accelerator.process_index * len(z)
        return self.accelerator.gather(z), self.accelerator.gather(y), slice(first, first + own)

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
        return asdict(self.config) | {
            "encoder": self.classifier.report,
            "classes": self.classifier.labels,
            "dropout": getattr(self.classifier.model.config, "hidden_dropout_prob", None),
            "processes": self.accelerator.num_processes,
            "examples (a checksum)": zlib.crc32(repr(self.examples).encode()),
        }

    def _resume(self):
        stored = read_position(self.checkpoint).get("settings", {})
        for name, value in self._settings().items():
            if stored.get(name) != value:
                raise CheckpointError(
                    f"{self.checkpoint} is of a run with {name}={stored.get(name)!r}, this one has {value!r}; "
                    "expected the same settings, or another folder"
                )
        self.best, position = load_checkpoint(self.checkpoint, self.classifier.model, self.optimizer)
        self.step, self.seconds = position["step"], position["seconds"]
        self.best_score, self.best_epoch = position["best_score"], position["best_epoch"]
