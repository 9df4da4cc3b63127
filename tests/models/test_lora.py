"""Adapters: against the formula by hand, what they leave unchanged, and whole runs."""

import copy
import csv
import json

import pytest
import torch
from transformers import pipeline

from rmlib.errors import RmlibValueError
from rmlib.models.encoder import freeze, load_tagger, new_classifier, new_tagger
from rmlib.models.lora import add_lora, merge_lora, rank_of
from rmlib.training.config import Config
from rmlib.training.loop import Training
from rmlib.training.runs import train_tagger
from rmlib.training.setup import prepare
from rmlib.widgets.live.sessions import Session, replay
from tests.text.padding import collate

QUICK = {"epochs": 3, "max_tokens": 256, "lr": 0.02, "precision": "fp32", "patience": 0, "lora": 3}
HIDDEN, WIDE, LAYERS = 32, 64, 2  # of the `tiny` fixture
LINEAR = {
    f"bert.encoder.layer.{k}.{name}"
    for k in range(LAYERS)
    for name in (
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        "intermediate.dense",
        "output.dense",
    )
}
HEAD = {"classifier.weight", "classifier.bias"}
CASE = {"bert.embeddings.token_type_embeddings.weight"}


def adapters(*layers: int) -> set[str]:
    return {
        f"{name}.lora_{side}.default.weight"
        for name in LINEAR
        for side in "AB"
        if int(name.split(".")[3]) in layers
    }


def weights(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def trainable(model):
    return {name for name, p in model.named_parameters() if p.requires_grad}


def logits(tagger, sentences):
    inputs = collate(tagger.encode(sentences).examples, tagger.tokenizer.pad_token_id, tagger.case)
    inputs.pop("labels")
    with torch.no_grad():
        return tagger.model.eval()(**inputs).logits


def perturb(model):
    """Other weights wherever some are trained: B is 0 no longer."""
    with torch.no_grad():
        for number, (_, p) in enumerate(
            sorted((n, p) for n, p in model.named_parameters() if p.requires_grad)
        ):
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(number)))


@pytest.fixture
def tagger(tiny, small):
    return new_tagger(small.tags, str(tiny), dropout=0.0)


@pytest.fixture
def start(tiny, small):
    """Makes a fresh run with adapters; dropout is on: `start(lora=..., score=...)`."""

    def make(score=None, checkpoint=None, **settings):
        tagger = new_tagger(small.tags, str(tiny), dropout=0.1)
        examples = tagger.encode(small.train).examples
        return Training(tagger, examples, Config(**QUICK | settings), score, checkpoint)

    return make


# --- The adapters ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [1, 3])
def test_what_trains(tagger, rank):
    kind, before = type(tagger.model), weights(tagger.model)
    count = add_lora(tagger.model, rank)
    assert type(tagger.model) is kind and rank_of(tagger.model) == rank
    assert trainable(tagger.model) == adapters(0, 1) | HEAD | CASE
    classes = len(tagger.labels)
    of_a_layer = rank * (4 * (HIDDEN + HIDDEN) + 2 * (HIDDEN + WIDE))
    assert (
        count == LAYERS * of_a_layer + (HIDDEN + 1) * classes + 4 * HIDDEN
    )  # four kinds of capitals
    after = weights(tagger.model)
    for name, value in before.items():  # all earlier weights are kept
        layer, leaf = name.rsplit(".", 1)
        assert after[f"{layer}.base_layer.{leaf}" if layer in LINEAR else name].equal(value)


def test_adapters_change_nothing_at_first_and_come_from_the_seed(tagger, small):
    before = logits(tagger, small.dev)
    models = []
    for seed in (5, 5, 6):
        models.append(copy.deepcopy(tagger))
        torch.manual_seed(len(models))  # has no effect
        state = torch.get_rng_state()
        add_lora(models[-1].model, 3, seed)
        assert torch.get_rng_state().equal(state)
        assert logits(models[-1], small.dev).equal(before)
    one, two, other = (weights(model.model) for model in models)
    assert all(one[name].equal(two[name]) for name in one)
    for name in adapters(0, 1):
        assert one[name].any() == (".lora_A." in name)
        assert one[name].equal(other[name]) == (".lora_B." in name)


def test_merged_weights_against_the_formula(tagger, small):
    plain = copy.deepcopy(tagger.model)
    add_lora(tagger.model, 3)
    perturb(tagger.model)
    adapted, w = logits(tagger, small.dev), weights(tagger.model)
    merge_lora(tagger.model)
    after = weights(tagger.model)
    assert after.keys() == weights(plain).keys() and rank_of(tagger.model) == 0
    assert [type(m) for m in tagger.model.modules()] == [type(m) for m in plain.modules()]
    assert trainable(tagger.model) == after.keys() and not hasattr(tagger.model, "peft_config")
    for name in LINEAR:
        b, a = (w[f"{name}.lora_{side}.default.weight"] for side in "BA")
        expected = w[f"{name}.base_layer.weight"] + (6 / 3) * b @ a  # alpha = 2 r
        torch.testing.assert_close(after[f"{name}.weight"], expected, rtol=0, atol=1e-6)
        assert (after[f"{name}.weight"] - w[f"{name}.base_layer.weight"]).abs().max() > 0.01
        assert after[f"{name}.bias"].equal(w[f"{name}.base_layer.bias"])
    torch.testing.assert_close(logits(tagger, small.dev), adapted, rtol=0, atol=1e-5)
    merge_lora(tagger.model)  # no adapters are left: no effect
    assert all(after[name].equal(value) for name, value in weights(tagger.model).items())


def test_the_head_and_a_pooler_get_no_adapter(tiny):
    model = new_classifier(["fine", "negative"], str(tiny)).model
    add_lora(model, 2)
    assert model.base_model.pooler is not None
    assert trainable(model) == adapters(0, 1) | HEAD | CASE


def test_another_architecture(small):
    from transformers import DistilBertConfig, DistilBertForTokenClassification

    model = DistilBertForTokenClassification(
        DistilBertConfig(n_layers=2, dim=16, hidden_dim=32, n_heads=2)
    )
    assert add_lora(model, 2) == 2 * 2 * (4 * (16 + 16) + 2 * (16 + 32)) + 2 * (16 + 1)
    assert {name for name in trainable(model) if "lora" not in name} == HEAD


@pytest.mark.parametrize("rank", [0, -1, 33, 1.5])
def test_a_rank_out_of_range(tagger, rank):
    before = weights(tagger.model)
    with pytest.raises(RmlibValueError, match=f"lora is {rank}; expected .* from 1 to 32"):
        add_lora(tagger.model, rank)
    assert weights(tagger.model).keys() == before.keys()


def test_freeze_takes_from_what_adapters_train(tagger):
    add_lora(tagger.model, 3)
    expected = {
        "none": adapters(0, 1) | HEAD | CASE,
        "embeddings": adapters(0, 1) | HEAD | CASE,
        "0": adapters(0, 1) | HEAD,
        "1": adapters(1) | HEAD,
        "encoder": HEAD,
    }
    sizes = {name: p.numel() for name, p in tagger.model.named_parameters()}
    for what in (*expected, "none"):
        assert freeze(tagger.model, what) == sum(sizes[name] for name in expected[what])
        assert trainable(tagger.model) == expected[what]


def test_a_model_can_be_prepared_again(tagger, small):
    count = prepare(tagger.model, Config(lora=3))
    perturb(tagger.model)
    before = weights(tagger.model)
    assert prepare(tagger.model, Config(lora=3, seed=9)) == count  # trained further
    assert all(before[name].equal(value) for name, value in weights(tagger.model).items())
    for rank in (0, 2):
        with pytest.raises(
            RmlibValueError, match=f"adapters of rank 3, lora is {rank}; call merge_lora first"
        ):
            prepare(tagger.model, Config(lora=rank))
    with pytest.raises(RmlibValueError, match="adapters of rank 3 already; call merge_lora first"):
        add_lora(tagger.model, 3)
    merge_lora(tagger.model)
    assert prepare(tagger.model, Config(freeze="encoder")) == sum(
        p.numel() for name, p in tagger.model.named_parameters() if name in HEAD
    )
    prepare(tagger.model, Config(lora=2))
    assert rank_of(tagger.model) == 2


# --- Runs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings", [{"weight_decay": 0.1}, {"freeze": "1", "layer_decay": 0.5, "optimizer": "sgd"}]
)
def test_the_rest_stays_equal_to_the_bit_and_the_adapters_learn(start, settings):
    training = start(**settings)
    model = training.classifier.model
    before, expected = weights(model), trainable(model)
    steps = list(training)
    moved = {name for name, value in weights(model).items() if not value.equal(before[name])}
    assert (
        moved
        == expected
        == (adapters(1) | HEAD if "freeze" in settings else adapters(0, 1) | HEAD | CASE)
    )
    assert training.trainable == sum(before[name].numel() for name in expected)
    assert {id(p) for group in training.optimizer.param_groups for p in group["params"]} == {
        id(p) for name, p in model.named_parameters() if name in expected
    }
    assert steps[-1].prediction < 0.9 * steps[0].prediction


@pytest.mark.parametrize("cut", [2, 5])
def test_resumed_it_ends_with_the_same_bits(start, tmp_path, cut):
    """In an epoch after the best one, so that the best weights have to come back from the file."""
    values = [0.3, 0.2, 0.1]

    def fresh(name):
        def score():
            return {"f1": values[training.step // training.steps_per_epoch - 1]}

        settings = {"checkpoint_every": 2, "layer_decay": 0.9, "max_tokens": 512}
        training = start(score, tmp_path / name, **settings)
        return training

    whole = fresh("whole")
    steps = [step._replace(seconds=0) for step in whole]
    cut += whole.steps_per_epoch
    first = fresh("cut")
    for step in first:
        if step.step == cut:
            break
    rest = fresh("cut")
    done = max(k for k in range(1, cut) if k % 2 == 0 or k % rest.steps_per_epoch == 0)
    assert rest.step == done and rank_of(rest.classifier.model) == 3
    assert [step._replace(seconds=0) for step in rest] == steps[done:]
    assert rest.best_epoch == whole.best_epoch == 1
    expected = weights(whole.classifier.model)
    assert all(
        value.equal(expected[name]) for name, value in weights(rest.classifier.model).items()
    )


def test_the_best_epoch_comes_back(start):
    seen = []

    def score():
        seen.append(weights(training.classifier.model))
        return {"f1": [0.1, 0.5, 0.2][len(seen) - 1]}

    training = start(score)
    list(training)
    for name, value in weights(training.classifier.model).items():
        assert value.equal(seen[1][name]), name
        assert name not in adapters(0, 1) or not value.equal(seen[2][name])


def test_a_session_freezes_and_goes_back(start):
    session = Session(start())
    model = session.training.classifier.model
    session.advance()
    session.apply("snapshot", "here")
    before = weights(model)
    session.apply("freeze", "1")
    assert trainable(model) == adapters(1) | HEAD
    session.advance()
    moved = {name for name, value in weights(model).items() if not value.equal(before[name])}
    assert moved == adapters(1) | HEAD
    session.apply("back_to", "here")
    assert all(before[name].equal(value) for name, value in weights(model).items())
    session.apply("freeze", "embeddings")
    assert trainable(model) == adapters(0, 1) | HEAD | CASE
    session.advance()
    again = weights(replay(start(), session.moves, 3).training.classifier.model)
    assert all(again[name].equal(value) for name, value in weights(model).items())


def test_a_whole_run_leaves_an_ordinary_folder(tiny, small, tmp_path):
    tagger, history, metrics = train_tagger(
        small, Config(**QUICK), str(tiny), 0.0, tmp_path / "out", progress=False
    )
    assert rank_of(tagger.model) == 0
    stored = json.loads((tmp_path / "out" / "metrics.json").read_text())
    expected = (
        3 * LAYERS * (4 * 2 * HIDDEN + 2 * (HIDDEN + WIDE))
        + (HIDDEN + 1) * len(small.tags)
        + 4 * HIDDEN
    )
    assert stored["trainable_parameters"] == metrics["trainable_parameters"] == expected
    assert stored["config"]["lora"] == 3 and "peft" in stored["versions"]
    with open(tmp_path / "out" / "history.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(history) == metrics["steps"]

    fresh = weights(new_tagger(small.tags, str(tiny), 0.0).model)
    moved = {name for name, value in weights(tagger.model).items() if not value.equal(fresh[name])}
    assert moved == {f"{name}.weight" for name in LINEAR} | HEAD | CASE

    loaded = load_tagger(tmp_path / "out")
    torch.testing.assert_close(
        logits(loaded, small.test), logits(tagger, small.test), rtol=0, atol=1e-5
    )
    sentence = small.test[0]
    inputs = collate(tagger.encode([sentence]).examples, tagger.tokenizer.pad_token_id, False)
    inputs.pop("labels")
    with torch.no_grad():
        p = tagger.model.eval()(**inputs).logits[0, 1:-1].softmax(-1)
    pipe = pipeline(
        "token-classification", model=str(tmp_path / "out"), device="cpu", ignore_labels=[]
    )
    output = pipe(" ".join(sentence.words))
    assert [token["score"] for token in output] == pytest.approx(
        p.max(-1).values.tolist(), abs=1e-5
    )


def test_a_run_that_is_over_is_merged_after_a_cut_too(tiny, small, tmp_path, monkeypatch):
    """Cut between the last step and the folder: the same command merges and writes it."""
    from rmlib.training import runs

    def cut(*arguments):
        raise KeyboardInterrupt

    whole, _, _ = train_tagger(
        small, Config(**QUICK), str(tiny), 0.1, tmp_path / "whole", progress=False
    )
    monkeypatch.setattr(runs, "merge_lora", cut)
    with pytest.raises(KeyboardInterrupt):
        train_tagger(small, Config(**QUICK), str(tiny), 0.1, tmp_path / "cut", progress=False)
    monkeypatch.undo()
    again, _, _ = train_tagger(
        small, Config(**QUICK), str(tiny), 0.1, tmp_path / "cut", progress=False
    )
    expected = weights(whole.model)
    assert all(value.equal(expected[name]) for name, value in weights(again.model).items())
