"""Numbers that are not finite end a run: where, what, and the likely setting."""

import json
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from rmlib.errors import NotFiniteError
from rmlib.models.encoder import load_tagger, new_tagger
from rmlib.studies.table import Study, fill
from rmlib.training.config import Config
from rmlib.training.finite import check_step
from rmlib.training.loop import Step, to_floats
from rmlib.training.runs import train_tagger
from rmlib.widgets.live.live import Live

STEP = Step(7, 1, 1.0, "soft_f1", 2.0, 1.5, 0.5, 1e-3, 3.0, 9, 0.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prediction": math.nan}, ["step 7", "L_p is nan", "smaller lr"]),
        ({"prediction": math.inf, "step": 1}, ["step 1", "L_p is inf", "encoder"]),
        ({"reward": math.nan}, ["L_r is nan", "smaller lr"]),
        ({"total": math.inf, "alpha": 1e39}, ["L is inf", "alpha 1e+39", "smaller alpha"]),
        ({"grad_norm": math.nan}, ["gradient's norm is nan", "smaller lr"]),
        ({"grad_norm": math.inf, "alpha": 1e30}, ["gradient's norm is inf", "smaller alpha"]),
        ({"grad_norm": math.nan, "alpha": math.inf}, ["alpha inf", "smaller lr"]),
    ],
)
def test_the_first_term_that_is_not_finite_is_named(change, words):
    check_step(STEP)
    with pytest.raises(NotFiniteError) as caught:
        to_floats([STEP, STEP._replace(**change)])
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"alpha": 1e39}, "step 1: L is inf"),  # transformers#9160
        ({"optimizer": "sgd", "lr": 1e30}, "step 2: L_p is nan"),
        ({"lr": 1e38}, "step 1: the weights .* are no longer finite; try a smaller lr"),
        ({"lr": 1e38, "weight_decay": 1e38}, "step 1: the weights"),
        ({"lr": 1e6, "optimizer": "sgd", "clip": 0}, "step 2: .* smaller lr"),
        ({"alpha": 3e38, "reward": "entity_f1"}, "step .*alpha"),
        ({"lr": 1e7, "precision": "bf16"}, "step 2: .* is nan"),
    ],
)
def test_a_run_stops_and_writes_no_metrics(tiny, small, tmp_path, settings, told):
    plain = {"epochs": 2, "max_tokens": 256, "precision": "fp32", "freeze": "none", "warmup": 0}
    config = Config(**plain | {"checkpoint_every": 1} | settings)
    with pytest.raises(NotFiniteError, match=told):
        train_tagger(small, config, str(tiny), 0.0, tmp_path / "out", progress=False)
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names <= {"history.csv", "checkpoint.safetensors"}
    history = (tmp_path / "out" / "history.csv").read_text()
    assert "nan" not in history and ",inf,inf" not in history
    if "checkpoint.safetensors" in names:  # the last weights that were finite
        stored = load_file(tmp_path / "out" / "checkpoint.safetensors")
        assert all(value.isfinite().all() for value in stored.values())


def test_one_step_to_weights_that_cannot_be_used(tiny, small, tmp_path):
    """The weights are finite, the logits are not: no step follows that would notice."""
    part = type(small)("small", small.train[:2], small.dev, small.test)
    config = Config(epochs=1, lr=1e36, freeze="none", precision="fp32", optimizer="sgd", warmup=0)
    with pytest.raises(NotFiniteError, match="after step 1: the tagger's logits are not finite"):
        train_tagger(part, config, str(tiny), 0.0, tmp_path / "out", progress=False)
    assert not (tmp_path / "out" / "metrics.json").exists()


def test_a_step_that_is_refused_changes_no_weight(start):
    training = start({"alpha": 1e39})
    before = [p.detach().clone() for p in training.classifier.model.parameters()]
    with pytest.raises(NotFiniteError):
        list(training)
    after = training.classifier.model.parameters()
    assert all(a.equal(b) for a, b in zip(before, after, strict=True)) and training.step == 0
    training.objective.alpha = 1.0  # and it can go on
    assert next(iter(training)).step == 1
    assert all(p.isfinite().all() for p in training.classifier.model.parameters())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_encoder_with_spoilt_weights_is_refused(tiny, small, tmp_path, value):
    folder = shutil.copytree(tiny, tmp_path / "encoder")
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.endswith("layer.1.output.dense.weight"))
    weights[name][0, 0] = value
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Exception, match="layer.1.output.dense.weight holds values that are not"):
        new_tagger(small.tags, str(folder))
    tagger = new_tagger(small.tags, str(tiny))
    with torch.no_grad():
        tagger.model.classifier.bias[0] = value
    tagger.save(tmp_path / "tagger")
    with pytest.raises(Exception, match="classifier.bias holds values that are not finite"):
        load_tagger(tmp_path / "tagger")
    with pytest.raises(NotFiniteError, match="the tagger's logits"):
        tagger.tag([["Rome"]])


def test_the_live_lab_tells_its_reader(start):
    live = Live(start({"epochs": 20}), name="not finite")
    live.step(2)
    live.wait()
    live.alpha = 1e39
    live.start()
    with pytest.raises(NotFiniteError, match="step 3: L is inf.*smaller alpha"):
        live.join(30)
    assert len(live.session.history) == 2 and isinstance(live.error, NotFiniteError)
    live.close()


def test_a_study_names_the_run_and_keeps_the_rows(tmp_path):
    def one(seed, alpha):
        if alpha > 1:
            raise NotFiniteError("step 3: L is inf")
        return {"f1": 0.5}

    runs = [{"seed": seed, "alpha": alpha} for alpha in (0.0, 1.0, 2.0) for seed in (0, 1)]
    path = tmp_path / "t.csv"
    told = "the run seed=0, alpha=2.0 of study s: step 3: L is inf"
    with pytest.raises(Exception, match=told):
        fill(Study("s", "c", runs, one), path, progress=False)
    assert len(path.read_text().splitlines()) == 2 + 4
    assert not list(tmp_path.glob(".*"))  # no lock is left
    rows = fill(Study("s", "c", runs, lambda seed, alpha: {"f1": 0.7}), path, progress=False)
    assert rows["f1"].tolist() == [0.5] * 4 + [0.7] * 2
    assert json.loads(rows.to_json())
