"""The loop: gradients against plain torch, stopping, resuming, and two processes against one."""

import itertools
import math

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from rmlib.errors import RmlibValueError
from rmlib.loss.objective import RewardObjective
from rmlib.loss.rewards import REWARDS
from rmlib.models.encoder import new_tagger
from rmlib.text.batches import batches, longest_first
from rmlib.text.conll import Sentence
from rmlib.training.checkpoints import CheckpointError
from rmlib.training.loop import Training
from tests.text.padding import collate


def weights(training):
    return {name: p.detach().clone() for name, p in training.classifier.model.named_parameters()}


def assert_equal(some, others):
    assert some.keys() == others.keys()
    for name, value in some.items():
        assert value.equal(others[name]), name


def untimed(steps):
    return [step._replace(seconds=0) for step in steps]


# --- One step -------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", ["yes", "no"])
def test_a_run_against_a_plain_loop(start, packed):
    """AdamW, decay on matrices, warm-up, clipping, everything: rewritten here in a few lines of
    torch, which pads.
    """
    settings = {
        "packed": packed,
        "epochs": 2,
        "alpha": 2.0,
        "lr": 0.01,
        "warmup": 0.25,
        "clip": 0.5,
        "weight_decay": 0.1,
    }
    training, copy = start(settings), start(settings)
    steps = list(training)

    model, examples = copy.classifier.model.train(), copy.examples
    groups = [[p for p in model.parameters() if (p.ndim > 1) == big] for big in (True, False)]
    optimizer = torch.optim.AdamW(
        [{"params": groups[0], "weight_decay": 0.1}, {"params": groups[1], "weight_decay": 0.0}],
        lr=0.01,
    )
    lengths = [len(example.input_ids) for example in examples]
    cut = longest_first if packed == "yes" else batches
    order = [group for epoch in (0, 1) for group in cut(lengths, 256, 0, epoch)]
    assert len(order) == len(steps) == len(training) > 8
    warm = round(0.25 * len(order))
    for number, (group, step) in enumerate(zip(order, steps, strict=True)):
        optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"] = lr = (
            0.01 * (number + 1) / warm
            if number < warm
            else 0.01 * (len(order) - number) / (len(order) - warm)
        )
        inputs = collate([examples[i] for i in group])
        labels = inputs.pop("labels")
        loss = RewardObjective(2.0, "soft_f1")(model(**inputs).logits, labels)
        optimizer.zero_grad()
        loss.total.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        assert (step.step, step.epoch) == (number + 1, 1 if number < len(order) / 2 else 2)
        assert (step.alpha, step.reward_type, step.tokens) == (
            2.0,
            "soft_f1",
            sum(lengths[i] for i in group),
        )
        terms = [step.total, step.prediction, step.reward, step.lr, step.grad_norm]
        assert terms == pytest.approx(
            [*(float(t.detach()) for t in loss), lr, float(norm)], rel=1e-4
        )
    for name, value in weights(training).items():
        if not name.endswith(
            "key.bias"
        ):  # softmax does not see a key's bias: its gradient is noise, which Adam blows up
            torch.testing.assert_close(
                value, dict(model.named_parameters())[name].detach(), rtol=0, atol=5e-4
            )


def gradient_of_one_step(training):
    """The gradient behind an SGD step from a fresh start: without momentum yet, Δw = -lr g."""
    before = weights(training)
    step = next(iter(training))
    after = weights(training)
    return step, torch.cat([(before[name] - after[name]).flatten() / step.lr for name in before])


@pytest.mark.parametrize("reward", [name for name in REWARDS if not REWARDS[name].sampled])
def test_parts_of_a_batch_give_the_gradient_of_the_whole(start, small, reward):
    by_length = sorted(small.train, key=lambda sentence: len(sentence.words))
    without = [
        Sentence(words, ("O",) * len(words)) for words, _ in by_length[:12]
    ]  # one half holds no name at all
    sentences = without + by_length[-12:]

    def fresh(**settings):
        settings |= {
            "alpha": math.inf,
            "reward": reward,
            "optimizer": "sgd",
            "clip": 0,
            "weight_decay": 0,
            "warmup": 0,
        }
        return start(settings, sentences=sentences)

    copy = fresh()
    model, half = copy.classifier.model.train(), 12 * max(copy.lengths)
    parts = batches(copy.lengths, half)
    assert len(parts) == 2

    def loss_of(group):
        inputs = collate([copy.examples[i] for i in group])
        labels = inputs.pop("labels")
        return RewardObjective(math.inf, reward)(model(**inputs).logits, labels)

    def slope(loss):
        model.zero_grad()
        loss.backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    whole = loss_of(parts[0] + parts[1])
    expected = slope(whole.total)
    step, gradient = gradient_of_one_step(
        fresh(max_tokens=half, accumulate=2, lr=1000.0)
    )  # lr large: no digits lost
    terms = [float(term.detach()) for term in whole]
    assert [step.total, step.prediction, step.reward] == pytest.approx(terms, rel=1e-5)
    assert (gradient - expected).norm() <= 1e-4 * expected.norm()
    averaged = slope(
        (loss_of(parts[0]).total + loss_of(parts[1]).total) / 2
    )  # what a plain loop would take
    if not REWARDS[reward].splits:
        assert (averaged - expected).norm() > 0.02 * expected.norm()


def test_a_step_with_a_part_missing_takes_what_there_is(start):
    training = start({"max_tokens": 300, "accumulate": 2})
    order = longest_first(training.lengths, 300)
    assert len(order) % 2 == 1 and training.steps_per_epoch == len(order) // 2 + 1
    inputs = collate([training.examples[i] for i in order[-1]])
    labels = inputs.pop("labels")
    with torch.no_grad():
        expected = RewardObjective(1.0, "soft_f1")(
            training.classifier.model.train()(**inputs).logits, labels
        )
    training.step = training.steps_per_epoch - 1
    step = next(iter(training))
    terms = [float(term) for term in expected]
    assert [step.total, step.prediction, step.reward] == pytest.approx(terms, rel=1e-5)
    assert step.tokens == sum(training.lengths[i] for i in order[-1])


def test_dropout_is_the_same_in_both_passes_over_a_part(start):
    """With dropout the logits that the objective saw must be those that the gradient goes through:
    SGD lowers the loss of that very network, so the slope along the step is the gradient's square.
    """
    settings = {
        "optimizer": "sgd",
        "lr": 1e-3,
        "clip": 0,
        "weight_decay": 0,
        "warmup": 0,
        "accumulate": 2,
    }
    training = start(settings, dropout=0.3)
    before = weights(training)
    step = next(iter(training))
    norm = step.grad_norm
    for p, old in zip(training.classifier.model.parameters(), before.values(), strict=True):
        p.data.copy_(
            old + 0.02 * (p.detach() - old) / step.lr / norm
        )  # a step of length 0.02 down the gradient
    training.step = 0
    again = next(iter(training))
    assert (step.total - again.total) / 0.02 == pytest.approx(norm, rel=0.15)


def test_learning_rate(start):
    training = start({"epochs": 4, "lr": 0.5, "warmup": 0.1})
    total = len(training)
    warm = round(0.1 * total)
    rates = [training.learning_rate(k) for k in range(total)]
    assert max(rates) == rates[warm - 1] == rates[warm] == 0.5
    assert rates[:warm] == pytest.approx([0.5 * (k + 1) / warm for k in range(warm)])
    falls = [a - b for a, b in zip(rates[warm:], rates[warm + 1 :], strict=False)]
    assert falls == pytest.approx([0.5 / (total - warm)] * len(falls)) and rates[
        -1
    ] == pytest.approx(falls[0])
    flat = start({"warmup": 0})
    assert flat.learning_rate(0) == flat.config.lr
    rising = start({"warmup": 1})
    assert [rising.learning_rate(k) for k in range(len(rising))][-1] == rising.config.lr


@pytest.mark.parametrize(
    "settings", [{"precision": "bf16"}, {"optimizer": "sgd", "lr": 0.05}, {"accumulate": 3}]
)
def test_other_settings_learn_too(start, settings):
    training = start({"epochs": 6, "lr": 0.01} | settings)
    steps = list(training)
    assert len(steps) == len(training) and all(math.isfinite(step.total) for step in steps)
    assert steps[-1].prediction < 0.6 * steps[0].prediction
    assert {p.dtype for p in training.classifier.model.parameters()} == {torch.float32}


def test_no_examples_is_refused(start):
    training = start()
    with pytest.raises(RmlibValueError, match="0 training examples; expected at least 1"):
        Training(training.classifier, [])


# --- Between steps --------------------------------------------------------------------------------


def test_alpha_and_reward_can_change_on_the_way(start):
    training = start()
    loop = iter(training)
    one = next(loop)
    training.objective.alpha, training.objective.reward = 7, "expected_accuracy"
    two = next(loop)
    training.objective.alpha = math.inf
    three = next(loop)
    assert [(s.alpha, s.reward_type) for s in (one, two, three)] == [
        (1.0, "soft_f1"),
        (7.0, "expected_accuracy"),
        (math.inf, "expected_accuracy"),
    ]
    assert one.total == pytest.approx(one.prediction + one.reward)
    assert two.total == pytest.approx(two.prediction + 7 * two.reward)
    assert three.total == three.reward


def test_the_loop_can_be_left_and_entered_again(start):
    straight, broken = start({"epochs": 2}, dropout=0.1), start({"epochs": 2}, dropout=0.1)
    steps, others = list(straight), []
    for stop in (1, 5, 9999):
        for step in broken:
            others.append(step)
            if step.step == stop:
                break
    assert untimed(steps) == untimed(others)
    assert_equal(weights(straight), weights(broken))
    assert list(broken) == []


def test_the_seed_decides_everything(start):
    def run(seed):
        return untimed(start({"seed": seed, "case_dropout": 0.3}, dropout=0.1))

    assert run(3) == run(3) != run(4)


# --- Stopping -------------------------------------------------------------------------------------


class Scores:
    """A score function under control; remembers the weights it was asked about."""

    def __init__(self, *values):
        self.values, self.seen, self.training = list(values), [], None

    def __call__(self):
        self.seen.append(weights(self.training))
        return {"f1": self.values[len(self.seen) - 1]}


@pytest.mark.parametrize(
    "patience, values, best", [(2, [0.1, 0.6, 0.5, 0.6], 2), (0, [0.1, 0.6, 0.5, 0.4, 0.3], 2)]
)
def test_early_stopping_brings_the_best_weights_back(start, patience, values, best):
    score = Scores(*values)
    score.training = training = start({"epochs": 5, "patience": patience, "lr": 0.01}, score=score)
    steps = list(training)
    told = [step.scores["f1"] for step in steps if step.scores]
    assert told == values and training.best_epoch == best and training.best_score == 0.6
    assert [step.step for step in steps if step.scores] == [
        k * training.steps_per_epoch for k in range(1, len(told) + 1)
    ]
    assert training.stopped_early is bool(patience)
    assert_equal(weights(training), score.seen[best - 1])
    assert not weights(training)["classifier.weight"].equal(score.seen[-1]["classifier.weight"])


def test_without_a_score_the_last_weights_stay(start):
    training = start({"epochs": 2, "patience": 1})
    steps = list(training)
    assert (
        len(steps) == len(training)
        and not any(step.scores for step in steps)
        and training.best_epoch == 0
    )


# --- Resuming -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings", [{}, {"optimizer": "sgd", "lr": 0.01}, {"accumulate": 2, "alpha": math.inf}]
)
@pytest.mark.parametrize("cut", [1, 4, 6, 11])
def test_resumed_it_ends_with_the_same_bits(start, tmp_path, settings, cut):
    settings = {"epochs": 3, "checkpoint_every": 3, "case_dropout": 0.2, "patience": 1, **settings}
    values = [0.3, 0.2, 0.1]

    def fresh(name):
        score = Scores(*values)
        score.training = start(settings, dropout=0.1, score=score, checkpoint=tmp_path / name)
        score.seen = [None] * (score.training.step // score.training.steps_per_epoch)
        return score.training

    whole = fresh("whole")
    steps = list(whole)
    first = fresh("cut")
    for step in first:  # noqa: B007
        if step.step == cut:
            break
    rest = fresh("cut")
    per_epoch = rest.steps_per_epoch
    saved = [k for k in range(1, min(cut, len(steps) + 1)) if k % 3 == 0 or k % per_epoch == 0]
    assert rest.step == max(saved, default=0)
    assert untimed(rest) == untimed(steps[rest.step :])[: len(steps)] or rest.step == len(steps)
    assert_equal(weights(rest), weights(whole))
    assert (
        (rest.best_epoch, rest.best_score, rest.step)
        == (whole.best_epoch, whole.best_score, whole.step)
        == (
            1,
            0.3,
            2 * per_epoch,
        )
    )


def test_a_checkpoint_of_other_settings_is_refused(start, tmp_path, small, tiny):
    file = tmp_path / "checkpoint.safetensors"
    list(start({"lr": 0.01}, checkpoint=file))
    with pytest.raises(
        CheckpointError, match=r"is of a run with lr=0\.01, this one has 0\.02; expected the same"
    ):
        start({"lr": 0.02}, checkpoint=file)
    with pytest.raises(CheckpointError, match=r"with alpha=1\.0, this one has inf"):
        start({"lr": 0.01, "alpha": math.inf}, checkpoint=file)
    with pytest.raises(CheckpointError, match=r"with dropout=0\.0, this one has 0\.1"):
        start({"lr": 0.01}, dropout=0.1, checkpoint=file)
    training = start({"lr": 0.01}, checkpoint=file)
    with pytest.raises(CheckpointError, match="examples"):
        Training(training.classifier, training.examples[1:], training.config, checkpoint=file)
    with pytest.raises(CheckpointError, match="with classes=.*this one has .'O', 'B-PER'.;"):
        Training(
            new_tagger(["O", "B-PER"], str(tiny), 0.0),
            training.examples,
            training.config,
            checkpoint=file,
        )


def test_accelerates_own_mixed_precision_is_refused(start, monkeypatch):
    """A Trainer with bf16 leaves it set for the whole process; the precision of a run is a setting
    of this kit.
    """
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        assert (
            start().accelerator.mixed_precision == "no"
        )  # set for a launch: the kit's own setting counts
        AcceleratorState._reset_state(reset_partial_state=True)
        Accelerator(mixed_precision="bf16")
        with pytest.raises(
            RmlibValueError, match="mixed precision in this process already .* restart the kernel"
        ):
            start()
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


def test_every_step_draws_its_own_dropout_and_another_run_the_same(start, small):
    """One sentence again and again, with a learning rate of almost 0: only dropout can differ."""
    settings = {"epochs": 3, "lr": 1e-12}
    runs = [start(settings, dropout=0.5, sentences=small.train[:1]) for _ in range(2)]
    totals, again = ([step.total for step in run] for run in runs)
    assert len(totals) == 3 and again == totals
    assert min(abs(a - b) for a, b in itertools.combinations(totals, 2)) > 1e-3
