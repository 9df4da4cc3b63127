"""The objective inside `transformers.Trainer`, against a plain loop and the kit's own training."""

import math
from dataclasses import replace

import pytest
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from rmlib import RewardObjective
from rmlib.models.encoder import new_tagger
from rmlib.training.config import Config
from rmlib.training.loop import Training
from tests.text.padding import collate

LR = 0.05


class Recorder(TrainerCallback):
    """Keeps the losses that Trainer logs."""

    def __init__(self):
        self.losses = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            self.losses.append(logs["loss"])


@pytest.fixture
def task(tiny, small):
    """A tiny tagger without dropout, and 16 encoded sentences."""

    def make():
        tagger = new_tagger(small.tags, str(tiny), dropout=0.0)
        return tagger, tagger.encode(small.train[:16]).examples

    return make


def by_trainer(task, objective, folder, batch_size, accumulate=1):
    """Losses of every step, logits first, and the weights at the end: SGD, in the order given."""
    tagger, examples = task()
    optimizer = torch.optim.SGD(tagger.model.parameters(), lr=LR)
    told = Recorder()
    trainer = Trainer(
        model=tagger.model,
        args=TrainingArguments(
            folder,
            per_device_train_batch_size=batch_size,
            gradient_accumulation_steps=accumulate,
            num_train_epochs=1,
            logging_steps=1,
            max_grad_norm=0,
            train_sampling_strategy="sequential",
            remove_unused_columns=False,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
        ),
        train_dataset=examples,
        data_collator=collate,
        compute_loss_func=objective,
        optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)),
        callbacks=[told],
    )
    trainer.train()
    return told.losses, {name: p.detach().clone() for name, p in tagger.model.named_parameters()}


def by_hand(task, objective, batch_size):
    tagger, examples = task()
    tagger.model.train()
    optimizer = torch.optim.SGD(tagger.model.parameters(), lr=LR)
    losses = []
    for start in range(0, len(examples), batch_size):
        inputs = collate(examples[start : start + batch_size])
        labels = inputs.pop("labels")
        loss = objective(tagger.model(**inputs).logits, labels).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    return losses, {name: p.detach().clone() for name, p in tagger.model.named_parameters()}


@pytest.mark.parametrize(
    "alpha, name", [(0, "soft_f1"), (2.0, "soft_f1"), (math.inf, "expected_accuracy")]
)
def test_trainer_and_a_plain_loop_find_the_same_losses(task, tmp_path, alpha, name):
    theirs, their_weights = by_trainer(task, RewardObjective(alpha, name), tmp_path, 4)
    ours, our_weights = by_hand(task, RewardObjective(alpha, name), 4)
    assert len(theirs) == 4 and len({round(loss, 4) for loss in theirs}) == 4
    assert theirs == pytest.approx(ours, abs=1e-6)
    for weight, expected in our_weights.items():
        torch.testing.assert_close(their_weights[weight], expected, rtol=0, atol=1e-6)


def test_trainer_with_accumulation_finds_the_loss_of_the_large_batch(task, tmp_path):
    """The sentences differ in length: a plain mean of the two halves' losses would be another
    number.
    """
    halves, weights = by_trainer(task, RewardObjective(0), tmp_path, 4, accumulate=2)
    whole, expected = by_hand(task, RewardObjective(0), 8)
    assert halves == pytest.approx(whole, abs=1e-6)
    for weight, value in expected.items():
        torch.testing.assert_close(weights[weight], value, rtol=0, atol=1e-6)


def test_trainer_and_our_training_start_from_the_same_loss(task, tmp_path):
    theirs, _ = by_trainer(task, RewardObjective(2.0), tmp_path, 16)
    tagger, examples = task()
    config = Config(
        alpha=2.0, epochs=1, max_tokens=10_000, case_dropout=0, precision="fp32", freeze="none"
    )
    step = next(iter(Training(tagger, examples, config)))
    assert step.total == pytest.approx(theirs[0], abs=1e-6)
    assert (step.step, step.tokens) == (1, sum(len(example) for example in examples))


@pytest.mark.parametrize("as_tuple", [False, True])
def test_trainer_with_batches_without_a_label(task, tmp_path, as_tuple):
    """trl#6668, NeMo Automodel#3797: their loss is 0 and the weights stay finite."""
    tagger, examples = task()
    if as_tuple:
        tagger.model.config.return_dict = False
    rows = [
        replace(e, labels=[-100] * len(e)) if number % 2 else e for number, e in enumerate(examples)
    ]
    told = Recorder()
    trainer = Trainer(
        model=tagger.model,
        args=TrainingArguments(
            tmp_path,
            per_device_train_batch_size=1,
            num_train_epochs=1,
            logging_steps=1,
            train_sampling_strategy="sequential",
            remove_unused_columns=False,
            logging_nan_inf_filter=False,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
        ),
        train_dataset=rows,
        eval_dataset=rows[1::2],
        data_collator=collate,
        compute_loss_func=RewardObjective(1.0),
        callbacks=[told],
    )
    trainer.train()
    assert len(told.losses) == 16 and told.losses[1::2] == [0.0] * 8
    assert all(0 < loss < 20 for loss in told.losses[::2])
    assert all(p.isfinite().all() for p in tagger.model.parameters())
    if not as_tuple:
        assert trainer.evaluate()["eval_loss"] == 0.0
