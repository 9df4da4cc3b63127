"""The learner's loss, alignment and batch train a BERT, beside the kit's: the same losses."""

import textwrap

import pytest
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from rmlib import RewardObjective
from rmlib.exercises.bert_ner import lesson
from rmlib.exercises.bert_ner.own_training import train
from rmlib.exercises.framework import pieces
from rmlib.exercises.framework.own_pieces import LearnersObjective, Mine
from rmlib.models.encoder import new_tagger
from rmlib.training.config import Config
from rmlib.training.loop import Training

OWN = {
    "token_loss": """
        def token_loss(z, y, alpha):
            kept = (y != IGNORE).nonzero(as_tuple=True)
            p = z[kept].log_softmax(-1)
            right = F.one_hot(y[kept], z.shape[-1])
            L_p = -(p * right).sum(-1).mean()
            y_hat, positive = p.exp()[:, 1:], right[:, 1:]
            L_r = 1 - 2 * (y_hat * positive).sum() / (y_hat.sum() + positive.sum())
            return L_r if alpha == math.inf else L_p + alpha * L_r
        """,
    "align": """
        def align(word_ids, labels):
            laid, seen = [], {None}
            for word in word_ids:
                laid.append(IGNORE if word in seen else labels[word])
                seen.add(word)
            return laid
        """,
    "pad_batch": """
        def pad_batch(rows, labels, pad_id):
            longest = max(len(row) for row in rows)
            ids = torch.tensor([row + [pad_id] * (longest - len(row)) for row in rows])
            mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
            laid = torch.tensor([row + [IGNORE] * (longest - len(row)) for row in labels])
            return ids, mask, laid
        """,
}
CASES = {"all": tuple(OWN), "every second": ("align",), "the others": ("token_loss", "pad_batch")}
CASES |= {"none": ()}
NEAR = 1e-5
LR = 1e-3


@pytest.fixture(params=CASES)
def mine(request, tmp_path, monkeypatch):
    """`mine` in a workbook that holds some of the learner's pieces."""
    (tmp_path / ".rmlib").mkdir()
    (tmp_path / ".rmlib" / "manifest.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    names = CASES[request.param]
    sources = [textwrap.dedent(OWN[name]).strip() for name in names]
    (tmp_path / "mine.py").write_text("\n\n\n".join([pieces.HEADER, *sources]) + "\n")
    own = Mine()
    whose = own.whose()
    assert {name for name in OWN if whose[name] == "yours"} == set(names)
    return own


@pytest.fixture
def tagger(tiny, small):
    """Makes the same tiny tagger again and again, without dropout."""
    return lambda: new_tagger(small.tags, str(tiny), dropout=0.0)


def collator(mine, tagger):
    """As in the lesson: batches of the learner's alignment and padding."""
    tokenizer = tagger.tokenizer

    def collate(sentences):
        tokens = [tokenizer(list(s.words), is_split_into_words=True) for s in sentences]
        labels = [
            mine.align(t.word_ids(), [tagger.labels.index(tag) for tag in s.tags])
            for t, s in zip(tokens, sentences, strict=True)
        ]
        rows = [t["input_ids"] for t in tokens]
        ids, mask, y = mine.pad_batch(rows, labels, tokenizer.pad_token_id)
        return {"input_ids": ids, "attention_mask": mask, "labels": y}

    return collate


class Recorder(TrainerCallback):
    """Keeps the losses that Trainer logs."""

    def __init__(self):
        self.losses = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            self.losses.append(logs["loss"])


def by_trainer(tagger, sentences, collate, objective, folder):
    """The losses of `transformers.Trainer` with AdamW, batches of 8 in the order given."""
    optimizer = torch.optim.AdamW(tagger.model.parameters(), lr=LR)
    recorder = Recorder()
    arguments = TrainingArguments(
        folder,
        per_device_train_batch_size=8,
        num_train_epochs=1,
        logging_steps=1,
        max_grad_norm=0,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
    )
    Trainer(
        model=tagger.model,
        args=arguments,
        train_dataset=sentences,
        data_collator=collate,
        compute_loss_func=objective,
        optimizers=(optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)),
        callbacks=[recorder],
    ).train()
    return recorder.losses


def weights_of(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def is_near(own, expected):
    assert len(own) == len(expected) > 3
    assert max(abs(a - b) for a, b in zip(own, expected, strict=True)) < NEAR


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_in_the_kits_loop(mine, tagger, small, alpha):
    """Two epochs on the learner's labels, α changed in the middle: loss, both terms and the norm
    of the gradient.
    """
    config = Config(
        alpha=alpha, epochs=2, max_tokens=256, precision="fp32", freeze="none", lr=LR, patience=0
    )

    def run(objective):
        own = tagger()
        examples = own.encode(small.train).examples
        if objective is not None:
            examples = lesson.labelled_by(mine.align, small.train, own)
        training = Training(own, examples, config)
        if objective is not None:
            training.objective = objective
        steps = []
        for step in training:
            steps.append(step)
            if step.step == len(training) // 2:
                training.objective.alpha = 5.0
        return steps, own.model

    own_steps, own_model = run(mine.objective(alpha))
    kits_steps, kits_model = run(None)
    for name in ("total", "prediction", "reward", "grad_norm"):
        is_near([getattr(s, name) for s in own_steps], [getattr(s, name) for s in kits_steps])
    assert own_steps[-1].total < own_steps[0].total * 6 and own_steps[-1].alpha == 5
    assert own_steps[-1].prediction < own_steps[0].prediction  # it learns
    kits = weights_of(kits_model)
    for name, weight in weights_of(own_model).items():
        torch.testing.assert_close(weight, kits[name], rtol=0, atol=1e-3)


def test_in_trainer(mine, tagger, small, tmp_path):
    own = tagger()
    losses = by_trainer(own, small.train, collator(mine, own), mine.objective(1.0), tmp_path)
    kits = tagger()
    kits_batches = collator(_the_kits(), kits)
    expected = by_trainer(kits, small.train, kits_batches, RewardObjective(1.0), tmp_path)
    is_near(losses, expected)
    assert losses[-1] < losses[0]


def test_in_a_loop_of_ones_own(mine, tagger, small, tmp_path):
    """The solution of the exercise on the training loop, against Trainer."""
    own = tagger()
    collate = collator(mine, own)
    batches = [collate(small.train[i : i + 8]) for i in range(0, len(small.train), 8)]
    losses = train(own.model, batches, mine.objective(1.0), LR)
    theirs = tagger()
    expected = by_trainer(theirs, small.train, collate, RewardObjective(1.0), tmp_path)
    is_near(losses, expected)


def _the_kits():
    """The kit's pieces, whatever the workbook holds."""
    from types import SimpleNamespace

    from rmlib.exercises.framework.own_pieces import exercise_of

    return SimpleNamespace(**{name: exercise_of(name).solution for name in OWN})


def test_nothing_yet_says_so_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pieces.forget()
    objective = Mine().objective(2.0)
    said = capsys.readouterr().out
    assert said == "mine.token_loss: the kit's stands in; you build yours in lesson 03\n"
    assert isinstance(objective, LearnersObjective) and objective.alpha == 2


def test_a_wrong_loss_does_not_train(tmp_path, monkeypatch, capsys, tagger, small):
    """Spoilt by hand after it passed: named by its misconception, and the kit's trains."""
    (tmp_path / ".rmlib").mkdir()
    (tmp_path / ".rmlib" / "manifest.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    wrong = textwrap.dedent(OWN["token_loss"]).replace("L_p + alpha * L_r", "L_p")
    (tmp_path / "mine.py").write_text(pieces.HEADER + "\n" + wrong)
    objective = Mine().objective(1.0)
    assert "this is L_p alone" in capsys.readouterr().out
    own = tagger()
    training = Training(own, own.encode(small.train).examples, Config(precision="fp32"))
    training.objective = objective
    step = next(iter(training))
    assert step.total == pytest.approx(step.prediction + step.reward, abs=1e-6)
