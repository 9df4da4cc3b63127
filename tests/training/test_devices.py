"""A GPU's rules, held on the CPU. A tensor on torch's "meta" device has a shape and no numbers: to
ask for one, or to mix in a tensor of the CPU, is an error. On a GPU the first would make a step
wait, and the second would stop it."""

from contextlib import nullcontext, suppress
from types import SimpleNamespace

import pytest
import torch

from rmlib import RewardObjective
from rmlib.determinism import seeded
from rmlib.errors import NotFiniteError
from rmlib.loss.rewards import REWARDS
from rmlib.models.encoder import new_tagger
from rmlib.text.packing import TokenStore

META = torch.device("meta")
WAITS = {"smooth_ap"}  # it looks at the positives of each class


@pytest.mark.parametrize("name", sorted(REWARDS))
def test_a_reward_asks_for_no_number(name):
    z = torch.randn(12, 9, device=META, requires_grad=True)
    y = torch.zeros(12, dtype=torch.long, device=META)
    objective = RewardObjective(2.0, name)
    if name in WAITS:
        with pytest.raises((RuntimeError, NotImplementedError), match="[mM]eta"):
            objective.terms(z, y, [5, 0, 7])
        return
    loss = objective.terms(z, y, [5, 0, 7])
    loss.total.backward()
    assert {one.device for one in (*loss, z.grad)} == {META}


@pytest.mark.parametrize("baseline", ["none", "mean", "greedy", "group", "minimum_risk"])
def test_nor_does_a_baseline(baseline):
    z = torch.randn(12, 9, device=META, requires_grad=True)
    y = torch.zeros(12, dtype=torch.long, device=META)
    objective = RewardObjective(2.0, REWARDS["entity_f1"].with_parameters(baseline=baseline))
    objective.terms(z, y, [5, 7]).total.backward()
    assert z.grad.device == META


def without_numbers(training):
    """The run's model and sentences on "meta"; the optimizer is the plainest, for the fused one
    needs numbers.
    """
    classifier = training.classifier
    classifier.model.to(META)
    pad, first = classifier.tokenizer.pad_token_id, training.store.first_position
    training.store = TokenStore(training.examples, pad, classifier.case, META, first)
    training.optimizer = torch.optim.SGD(classifier.model.parameters(), lr=0.1)
    training.lazy = True
    return training


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("packed", ["yes", "no"])
@pytest.mark.parametrize("reward", ["soft_f1", "entity_f1"])
def test_a_step_waits_for_nothing(start, monkeypatch, packed, reward, parts):
    """From the sentences to the changed weights. A packed batch is computed as a compiled encoder
    computes it: a CPU looks at the lengths, which costs it nothing."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    settings = {
        "packed": packed,
        "alpha": 1.0,
        "reward": reward,
        "accumulate": parts,
        "case_dropout": 0.1,
    }
    training = without_numbers(start(settings, dropout=0.1))
    steps = list(training)
    assert len(steps) == len(training) > 1
    for step in steps:
        numbers = (step.total, step.prediction, step.reward, step.grad_norm)
        assert {one.device for one in numbers} == {META}


def test_that_test_can_fail(start, monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    training = without_numbers(start({"alpha": 1.0}))
    training.lazy = False  # now the numbers of each step are read
    with pytest.raises((RuntimeError, NotImplementedError), match="[mM]eta"):
        next(iter(training))


@pytest.mark.parametrize("of", ["tagger", "study"])
def test_inputs_go_where_the_model_is(tiny, small, monkeypatch, of):
    tagger = new_tagger(small.tags, str(tiny), dropout=0.0)
    tagger.model.to(META)
    seen = set()

    def forward(input_ids, **more):
        seen.update(one.device for one in (input_ids, *more.values()))
        return SimpleNamespace(logits=torch.zeros(*input_ids.shape, len(small.tags)))

    monkeypatch.setattr(tagger.model, "forward", forward)
    with suppress(NotFiniteError):  # what an index without numbers picks is anything
        if of == "tagger":
            tagger.tag_encoded(tagger.encode(small.test))
        else:
            tagger.logits(tagger.encode(small.test))
    assert seen == {META}


def test_the_clock_stops_when_the_gpu_is_done(start, monkeypatch):
    """Steps that wait for nothing are timed at the end of an epoch, when what was sent to the GPU
    is done, and before the evaluation begins."""
    log, training = [], start({"epochs": 2}, score=lambda: {"f1": 0.0})
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: log.append("waited"))
    evaluate = training._evaluate
    training._evaluate = lambda: log.append("evaluated") or evaluate()
    training.lazy = True
    training.accelerator = SimpleNamespace(
        device=torch.device("cuda"),
        num_processes=1,
        process_index=0,
        is_main_process=True,
        no_sync=lambda model: nullcontext(),
    )
    list(training)
    assert log == ["waited", "evaluated"] * 2
    log.clear()
    training.step, training.lazy = (
        0,
        False,
    )  # numbers are read at every step: there is nothing left to wait for
    list(training)
    assert "waited" not in log


def test_seeding_for_the_kit_leaves_a_gpu_alone(monkeypatch):
    """What is drawn beside a training must not reseed the generators of its GPU."""
    asked = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", asked.append)
    with seeded(3):
        first = torch.rand(2)
    assert torch.equal(first, torch.rand(2, generator=torch.Generator().manual_seed(3)))
    assert not asked
