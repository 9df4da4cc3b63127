"""The exercise on `transformers.Trainer`: which arguments hand over the objective, the collator and
the optimizer.
"""

from collections.abc import Callable
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import nn

from rmlib.exercises.framework import sandbox
from rmlib.exercises.framework.compare import same
from rmlib.exercises.framework.exercise import NO_CODE, Exercise, NotAttempted, NotYet, is_stub
from rmlib.loss.objective import RewardObjective

from .lesson import plain_settings, trainer_for

LR = 0.003


class Part(NamedTuple):
    """What a Trainer was given.

    Attributes:
        id: of the mistake, if it was given something else.
        of: (trainer) -> the part, in a form that can be compared.
        message: for the mistake.
    """

    id: str
    of: Callable
    message: str


def _loss_of_a_batch(trainer):
    """The loss that compute_loss_func gives to one output of a model; None without it."""
    if trainer.compute_loss_func is None:
        return None
    logits = torch.linspace(-1, 1, 24).reshape(1, 6, 4)
    labels = torch.tensor([[-100, 1, 0, 2, -100, 0]])
    loss = trainer.compute_loss_func(
        SimpleNamespace(logits=logits), labels, num_items_in_batch=None
    )
    return float(loss)


def _groups(trainer, name):
    return [group[name] for group in trainer.optimizer.param_groups]


PARTS = (
    Part(
        "another-model",
        lambda trainer: {id(trainer.model)},
        "the Trainer has another model: hand over `model=model`.",
    ),
    Part(
        "no-objective",
        lambda trainer: trainer.compute_loss_func is None,
        "the Trainer has no `compute_loss_func`, so it trains on the cross-entropy that the model "
        "computes itself: E10 again. Hand over `compute_loss_func=objective`.",
    ),
    Part(
        "another-loss",
        _loss_of_a_batch,
        "`compute_loss_func` gives another loss than the objective. Hand over the objective "
        "itself: `compute_loss_func=objective`.",
    ),
    Part(
        "no-settings",
        lambda trainer: {id(trainer.args)},
        "the Trainer doesn't have your settings, so batches and schedule are its own: hand over "
        "`args=settings`.",
    ),
    Part(
        "no-examples",
        lambda trainer: list(trainer.train_dataset or ()),
        "the Trainer has other examples: hand over `train_dataset=examples`.",
    ),
    Part(
        "no-collator",
        lambda trainer: trainer.data_collator([{"n": 1}, {"n": 2}]),
        "the Trainer makes batches in another way: hand over `data_collator=collator`.",
    ),
    Part(
        "no-optimizer",
        lambda trainer: trainer.optimizer is None,
        "the Trainer has no optimizer, so it will make one with a learning rate of its own. Make "
        "one and hand over `optimizers=(optimizer, None)`.",
    ),
    Part(
        "another-optimizer",
        lambda trainer: type(trainer.optimizer).__name__,
        "the optimizer isn't AdamW: `torch.optim.AdamW`.",
    ),
    Part(
        "another-learning-rate",
        lambda trainer: _groups(trainer, "lr"),
        "the optimizer has another learning rate: `torch.optim.AdamW(model.parameters(), lr=lr)`.",
    ),
    Part(
        "another-weight-decay",
        lambda trainer: _groups(trainer, "weight_decay"),
        "the optimizer has another weight decay than AdamW's default.",
    ),
    Part(
        "other-parameters",
        lambda trainer: {id(p) for group in _groups(trainer, "params") for p in group},
        "the optimizer doesn't have all parameters of the model: `model.parameters()`.",
    ),
    Part(
        "started",
        lambda trainer: trainer.state.global_step,
        "the Trainer has been started: return it without `train()`.",
    ),
)


def _collator(examples):
    """Recognized by what it gives."""
    return {"sum": sum(one["n"] for one in examples)}


def _judge_call(answer, spec):
    """Compare the answer's Trainer with the spec's, part by part."""
    if is_stub(answer):
        raise NotAttempted(NO_CODE)
    if not callable(answer):
        raise NotYet(
            "not-a-function",
            f"expected the function itself, found {type(answer).__name__} {answer!r:.60}",
        )
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        given = (
            RewardObjective(2.0),
            nn.Linear(3, 2),
            [{"n": 3}, {"n": 4}],
            _collator,
            plain_settings(folder, 2),
            LR,
        )
        right = spec(*given)
        trainer = _call(answer, given, type(right))
        for part in PARTS:
            if not _has(part, trainer, part.of(right)):
                raise NotYet(part.id, part.message)


def _call(answer, given, kind: type):
    """The Trainer that the answer makes."""
    try:
        trainer = sandbox.call(answer, *given)
    except sandbox.LearnersError as error:
        if "NotImplementedError" in str(error):
            raise NotAttempted(NO_CODE) from None
        if "unpack" in str(error):
            raise NotYet(
                "no-pair",
                "`optimizers` takes a pair, the optimizer and a schedule: `(optimizer, None)`.",
            ) from None
        if "'optimizer'" in str(error):
            raise NotYet(
                "no-pair-optimizer",
                "the argument is called `optimizers` and takes a pair: `(optimizer, None)`.",
            ) from None
        raise
    if trainer is None:
        raise NotYet("returns-none", "it returns None: is `return` missing?")
    if not isinstance(trainer, kind):
        raise NotYet("no-trainer", f"it returns a {type(trainer).__name__}; expected a Trainer")
    return trainer


def _has(part: Part, trainer, expected) -> bool:
    try:
        return same(part.of(trainer), expected)
    except Exception:  # a loss or a collator of another form
        return False


def trainer_with(objective, model, examples, collator, settings, lr):
    from transformers import Trainer

    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    return Trainer(
        model=model,
        args=settings,
        train_dataset=examples,
        data_collator=collator,
        compute_loss_func=objective,
        optimizers=(optimizer, None),
    )


WITH_TRAINER = Exercise(
    id="bert_ner.with_trainer",
    title="your objective in Trainer",
    spec=trainer_for,
    more=_judge_call,
    hints=(
        "First the optimizer, as in your own loop. Then one call of `Trainer(...)` with six named "
        "arguments: the text above lists them. Return it.",
        "`compute_loss_func=objective`, `data_collator=collator`, `args=settings`, "
        "`train_dataset=examples`, `optimizers=(optimizer, None)`, and the model.",
    ),
    solution=trainer_with,
)
