"""A session: what is in force is what was asked for, and its moves give the same weights again, to
the last bit.
"""

import csv
import json
import math
import random

import pytest
import torch

from rmlib.errors import RmlibValueError
from rmlib.models.encoder import new_tagger
from rmlib.training.config import Config
from rmlib.training.loop import Training
from rmlib.widgets.live.sessions import Session, read_moves, replay, write_history, write_moves


@pytest.fixture
def fresh(tiny, small):
    """Makes a training on the tiny BERT, the same each time; dropout is on."""

    def make(**settings):
        tagger = new_tagger(small.tags, str(tiny), dropout=0.1)
        settings = {"epochs": 3, "max_tokens": 256, "precision": "fp32", "lr": 0.005} | settings
        return Training(tagger, tagger.encode(small.train).examples, Config(**settings))

    return make


def weights(session):
    return {
        name: p.detach().clone() for name, p in session.training.classifier.model.named_parameters()
    }


def same(here, there):
    return all(here[name].equal(there[name]) for name in here)


def random_moves(seed: int, session: Session, steps: int) -> None:
    dice = random.Random(seed)
    for step_index in range(steps):
        if dice.random() < 0.5:
            session.apply("alpha", dice.choice([0.0, 0.3, 10.0, math.inf]))
        if dice.random() < 0.3:
            session.apply("reward", dice.choice(["soft_f1", "entity_f1", "gce"]))
        if dice.random() < 0.3:
            session.apply("lr_factor", dice.choice([0.0, 0.5, 2.0]))
        if dice.random() < 0.3:
            session.apply("freeze", dice.choice(["embeddings", "1", "encoder"]))
        if step_index in (3, 9):
            session.apply("snapshot", f"at {step_index}")
        if step_index in (7, 14):
            session.apply("back_to", f"at {dice.choice([3, 9]) if step_index > 9 else 3}")
        assert session.advance()


@pytest.mark.parametrize("seed", range(3))
def test_its_moves_give_the_same_weights_again(fresh, seed):
    session = Session(fresh())
    random_moves(seed, session, 18)
    assert len(session.moves) > 10
    stored = json.loads(json.dumps(session.moves))  # as a file keeps them
    again = replay(fresh(), stored, 18)
    assert same(weights(session), weights(again)) and again.moves == session.moves
    for row, other in zip(session.history, again.history, strict=True):
        assert row | {"seconds": 0} == other | {"seconds": 0}
    without = replay(fresh(), [move for move in stored if move["control"] != "alpha"], 18)
    assert not same(weights(session), weights(without))


def test_a_session_without_moves_is_the_plain_training(fresh):
    session, training = Session(fresh()), fresh()
    while session.advance():
        pass
    assert [row["total"] for row in session.history] == [step.total for step in training]
    assert session.moves == [] and same(weights(session), weights(Session(training)))


def test_active_values_are_in_the_history(fresh):
    session = Session(fresh(warmup=0), evaluate=lambda: {"dev_f1": 0.5}, every=2)
    session.advance()
    session.apply("alpha", 10)
    session.apply("reward", "gce")
    session.apply("lr_factor", 0.5)
    session.apply("alpha", 10)  # nothing new
    row = session.advance()
    assert (row["alpha"], row["reward_type"], row["lr_factor"], row["dev_f1"]) == (
        10,
        "gce",
        0.5,
        0.5,
    )
    assert row["lr"] == pytest.approx(session.training.learning_rate(1) / 2)
    assert row["total"] == pytest.approx(row["prediction"] + 10 * row["reward"], rel=1e-5)
    assert "dev_f1" not in session.history[0] and len(session.moves) == 3
    assert [move["step_index"] for move in session.moves] == [1, 1, 1]


def test_frozen_layers_stand_still_and_thaw(fresh):
    session = Session(fresh(freeze="embeddings", warmup=0))
    start = weights(session)
    session.apply("freeze", "encoder")
    session.advance()
    moved = {name for name, w in weights(session).items() if not w.equal(start[name])}
    assert moved and all(name.startswith("classifier") for name in moved)
    session.apply("freeze", "embeddings")
    session.advance()
    moved = {name for name, w in weights(session).items() if not w.equal(start[name])}
    assert any(".layer.0." in name for name in moved) and not any(
        "word_embeddings" in name for name in moved
    )
    with pytest.raises(
        RmlibValueError, match="freeze is 'none'; expected one of embeddings, 0, 1, 2, encoder"
    ):
        session.apply("freeze", "none")


def test_a_way_back_is_a_way_back(fresh):
    session = Session(fresh())
    for _ in range(4):
        session.advance()
    session.apply("snapshot", "four")
    at_four = weights(session)
    first = [session.advance() for _ in range(3)]
    session.apply("back_to", "four")
    assert same(weights(session), at_four) and session.training.step == 4
    again = [session.advance() for _ in range(3)]
    assert [row["total"] for row in again] == [row["total"] for row in first]
    assert [row["step_index"] for row in again] == [7, 8, 9] and again[0]["step"] == 5
    while session.advance():
        pass
    session.apply("back_to", "four")  # after the end, too
    assert session.advance()["step"] == 5


@pytest.mark.parametrize(
    ("control", "value", "say"),
    [
        ("alpha", -1, "alpha is -1"),
        ("reward", "soft_f2", "did you mean 'soft_f1'"),
        ("lr_factor", math.inf, "lr_factor is inf; expected a number of 0 or more"),
        ("lr_factor", "fast", "lr_factor is 'fast'"),
        ("freeze", "9", "freeze is '9'"),
        ("back_to", "there", "there is no snapshot 'there'; known: none yet"),
    ],
)
def test_a_wrong_move_changes_nothing(fresh, control, value, say):
    session = Session(fresh())
    before = dict(session.active)
    with pytest.raises(ValueError, match=say):
        session.apply(control, value)
    assert session.active == before and session.moves == []
    assert torch.is_tensor(weights(session)["classifier.weight"])


def test_a_log_on_disk_gives_the_same_weights(fresh, tmp_path):
    session = Session(fresh(), lambda: {"f1": 0.5}, every=3)
    for control, value in [
        ("alpha", math.inf),
        ("snapshot", "inf"),
        ("reward", "gce"),
        ("back_to", "inf"),
    ]:
        session.apply(control, value)
        session.advance()
        session.advance()
    path = write_moves(session, tmp_path / "moves.json")
    again = fresh()
    moves, steps = read_moves(path, again.config)
    assert (moves, steps) == (session.moves, 8)
    assert same(weights(replay(again, moves, steps)), weights(session))
    json.loads(path.read_text(), parse_constant=pytest.fail)  # plain JSON: no Infinity in it


def test_the_history_on_disk(fresh, tmp_path):
    session = Session(fresh(alpha=math.inf), lambda: {"f1": 0.5}, every=2)
    for _ in range(3):
        session.advance()
    with open(
        write_history(session, tmp_path / "history.csv"), newline="", encoding="utf8"
    ) as file:
        rows = list(csv.DictReader(file))
    assert [row["f1"] for row in rows] == ["", "0.5", ""]
    assert [float(row["total"]) for row in rows] == [row["total"] for row in session.history]
    assert {row["alpha"] for row in rows} == {"inf"}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"moves": [{}], "steps": 1, "config": {"alpha": 1}}', None]
)
def test_what_is_no_log_is_refused(tmp_path, text):
    path = tmp_path / "moves.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RmlibValueError, match="moves.json is not a log of moves"):
        read_moves(path, Config())


def test_a_log_of_other_settings_is_refused(fresh, tmp_path):
    path = write_moves(Session(fresh()), tmp_path / "moves.json")
    with pytest.raises(RmlibValueError, match="lr=0.005; expected 0.1"):
        read_moves(path, fresh(lr=0.1).config)
