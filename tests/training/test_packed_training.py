"""Packed batches against padded ones, and a compiled encoder, on the CPU."""

import math

import pytest
import torch
from transformers import AutoConfig, AutoModelForTokenClassification

from rmlib.errors import RmlibValueError
from rmlib.models.attention import first_position, use_attention
from rmlib.models.encoder import new_classifier
from rmlib.text.encoding import Example, encode_texts
from rmlib.text.packing import TokenStore
from rmlib.training.config import Config
from rmlib.training.loop import Training
from rmlib.training.runs import evaluate


def gradients(training):
    """The gradients of the first step, by name, in float64, and the step."""
    training.classifier.model.double()
    found = {}
    training.optimizer.step = lambda: found.update(
        {
            name: p.grad.clone()
            for name, p in training.classifier.model.named_parameters()
            if p.grad is not None
        }
    )
    return found, next(iter(training))


@pytest.mark.parametrize("reward", ["soft_f1", "smooth_ap", "entity_f1"])
def test_a_packed_step_is_a_padded_step(start, reward):
    """One step over the whole corpus: in one row, in three rows, and padded."""
    longest = {"alpha": 2.0, "reward": reward, "clip": 0, "max_tokens": 10_000}
    padded = start(longest | {"packed": "no"})
    one = start(longest | {"packed": "yes"})
    parts = [start(longest | {"packed": "yes", "max_tokens": 500, "accumulate": 3})]
    assert [len(t._parts_of_epoch(0)) for t in (padded, one, *parts)] == [1, 1, 3]
    assert not padded.packed and one.packed
    if reward == "entity_f1":  # the same samples need the same order of the sentences
        padded._epoch_parts = one._epoch_parts
        parts = []
    (expected, first), *others = [gradients(t) for t in (padded, one, *parts)]
    for found, step in others:
        assert found.keys() == expected.keys()
        assert step.tokens == first.tokens
        assert [step.total, step.prediction, step.reward] == pytest.approx(
            [first.total, first.prediction, first.reward], rel=1e-9
        )
        largest = max(float(value.abs().max()) for value in expected.values())
        for name, value in found.items():
            torch.testing.assert_close(
                value, expected[name], rtol=1e-6, atol=1e-9 * largest, msg=name
            )


@pytest.mark.long
def test_a_packed_run_learns_as_a_padded_one_does(start, small):
    """Both reach the training sentences' names, with dropout, hidden capitals and all."""
    for packed in ("yes", "no"):
        settings = {"packed": packed, "epochs": 60, "lr": 0.01, "alpha": 1.0, "case_dropout": 0.1}
        training = start(settings, dropout=0.1)
        assert training.packed == (packed == "yes")
        for _ in training:
            pass
        assert evaluate(training.classifier, small.train)["f1"] > 0.9


@pytest.mark.parametrize("max_tokens", [70, 128, 300])
def test_every_epoch_has_every_sentence_once(start, max_tokens):
    training = start({"packed": "yes", "max_tokens": max_tokens, "epochs": 5})
    tokens = [step.tokens for step in training]
    assert len(tokens) == len(training) == 5 * training.steps_per_epoch
    for epoch in range(5):
        assert sum(tokens[epoch * training.steps_per_epoch :][: training.steps_per_epoch]) == sum(
            training.lengths
        )


def test_all_rows_are_as_wide_as_the_fullest(start, small):
    """So a small corpus is not padded to the maximum."""
    for max_tokens, sentences in ((300, small.train), (1024, small.train[:3])):
        training, widths = (
            start({"packed": "yes", "max_tokens": max_tokens, "epochs": 3}, sentences=sentences),
            set(),
        )
        training.model.register_forward_pre_hook(
            lambda model, args, inputs, widths=widths: widths.add(inputs["input_ids"].shape),
            with_kwargs=True,
        )
        row_length = max(step.tokens for step in training)
        assert len(widths) == 1 and row_length <= widths.pop()[1] < row_length + 8


def test_a_packed_run_resumes_to_the_same_end(start, tmp_path):
    settings = {
        "packed": "yes",
        "epochs": 2,
        "checkpoint_every": 3,
        "case_dropout": 0.2,
        "alpha": 1.0,
    }
    whole = start(settings, dropout=0.1)
    steps = list(whole)
    cut = iter(start(settings, dropout=0.1, checkpoint=tmp_path / "c"))
    done = [next(cut) for _ in range(5)]
    rest = start(settings, dropout=0.1, checkpoint=tmp_path / "c")
    assert rest.step == 3
    both = [*done[:3], *rest]
    assert [s._replace(seconds=0) for s in both] == [s._replace(seconds=0) for s in steps]
    for (name, value), other in zip(
        whole.classifier.model.named_parameters(), rest.classifier.model.parameters(), strict=True
    ):
        assert value.equal(other), name


def test_where_batches_cannot_be_packed(start, tiny):
    with pytest.raises(
        RmlibValueError,
        match="max_tokens is 20; expected at least [0-9]+ tokens, the longest sentence",
    ):
        start({"packed": "yes", "max_tokens": 20})
    classifier = new_classifier(["no", "yes"], str(tiny))
    examples = encode_texts(["a b", "c"], [0, 1], classifier.tokenizer).examples
    with pytest.raises(
        RmlibValueError,
        match="packed is 'yes', but whole texts have padded batches; expected auto or",
    ):
        Training(classifier, examples, Config(packed="yes"))
    training = start()
    training.classifier.model.set_attn_implementation("eager")
    with pytest.raises(RmlibValueError, match="this encoder computes its attention itself"):
        Training(training.classifier, training.examples, Config(packed="yes"))
    assert not Training(training.classifier, training.examples, Config(packed="auto")).packed


@pytest.mark.parametrize("kind", ["roberta", "electra", "distilbert", "xlm-roberta"])
def test_other_encoders_read_a_packed_sentence_as_a_padded_one(kind):
    """Their places count from 0 or from 2, and the packed ones have to do so too."""
    config = AutoConfig.for_model(
        kind,
        vocab_size=99,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        dim=16,
    )
    model = AutoModelForTokenClassification.from_config(config).double().eval()
    assert use_attention(model)
    examples = [Example(list(range(5, 5 + n)), [0] * n, [1] * n) for n in (3, 7, 5)]
    store = TokenStore(examples, pad_id=1, case=False, first_position=first_position(model))
    with torch.no_grad():
        packed, padded = store.packed([0, 1, 2], 20), store.padded([0, 1, 2])
        found, expected = (
            model(**b.inputs).logits.flatten(0, 1)[b.items] for b in (packed, padded)
        )
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    assert len(found) == 15


def test_auto_packs_unless_a_sentence_is_longer_than_a_row(start):
    training = start()
    assert training.packed
    assert not start({"max_tokens": training.store.longest - 1}).packed


@pytest.fixture
def graphs(monkeypatch):
    """The graphs that torch.compile makes, run without a C++ compiler."""
    found = []

    def backend(graph, inputs):
        found.append(graph)
        return graph.forward

    compile_ = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda model, **more: compile_(model, backend=backend, **more)
    )
    torch._dynamo.reset()
    yield found
    torch._dynamo.reset()


def test_a_compiled_encoder_makes_the_same_steps(start, graphs, small):
    """The encoder is one graph, with nothing left to Python, and rows of one size need it once: the
    first step and the last are the same work."""
    settings = {"packed": "yes", "epochs": 2, "alpha": 2.0}
    plain, compiled = start(settings), start(settings | {"compile": True})
    found, expected = list(compiled), list(plain)
    assert len(expected) > 6 and len(graphs) == 1
    for one, other in zip(found, expected, strict=True):
        assert [one.total, one.reward, one.grad_norm] == pytest.approx(
            [other.total, other.reward, other.grad_norm], rel=1e-3
        )
    assert 0 <= evaluate(compiled.classifier, small.dev)["f1"] <= 1
    assert len(graphs) == 1  # tagging goes by the model itself


def test_compiled_with_dropout_accumulation_and_a_checkpoint(start, graphs, tmp_path):
    settings = {
        "packed": "yes",
        "compile": True,
        "accumulate": 2,
        "epochs": 2,
        "checkpoint_every": 2,
    }
    done = list(start(settings, dropout=0.1, checkpoint=tmp_path / "c"))
    assert all(math.isfinite(step.total) for step in done)
    assert start(settings, dropout=0.1, checkpoint=tmp_path / "c").step == len(done)
    assert 1 <= len(graphs) <= 4  # with and without gradients
