"""Seeded random numbers: the same every time, nothing outside is touched, and no thread spoils those of another."""

import threading

import pytest
import torch

from rmlib.determinism import seeded
from rmlib.models.encoder import new_tagger
from rmlib.models.linear_head import Head
from rmlib.training.config import Config
from rmlib.training.loop import Training
from rmlib.training.sessions import Session
from rmlib.widgets.estimator.numbers import MODELS, gradients


def test_the_same_inside_and_untouched_outside():
    torch.manual_seed(7)
    expected = torch.rand(4)
    torch.manual_seed(7)
    draws = []
    for _ in range(2):
        with seeded(3):
            draws.append(torch.rand(2))
    assert draws[0].equal(draws[1])
    assert torch.rand(4).equal(expected)


def test_after_an_error_too():
    torch.manual_seed(7)
    expected = torch.rand(4)
    torch.manual_seed(7)
    with pytest.raises(KeyError), seeded(3):
        raise KeyError
    assert torch.rand(4).equal(expected)


@pytest.mark.parametrize("beside", ["a head", "a new tagger", "a cloud of estimates"])
def test_a_training_is_not_disturbed_by_what_is_drawn_beside_it(beside, tiny, small):
    def train():
        tagger = new_tagger(small.tags, str(tiny), dropout=0.3)
        settings = {"epochs": 9, "budget": 256, "precision": "fp32", "lr": 0.005, "reward": "entity_f1"}
        session = Session(Training(tagger, tagger.encode(small.train).examples, Config(**settings)))
        for _ in range(40):
            session.advance()
        return [row["total"] for row in session.history]

    head = Head(torch.randn(300, 8), torch.arange(300) % 3, 3)
    noise = {
        "a head": lambda: head.fit(1.0, "accuracy"),
        "a new tagger": lambda: new_tagger(small.tags, str(tiny)),
        "a cloud of estimates": lambda: gradients.__wrapped__(2, "none", "accuracy", next(iter(MODELS)), 0),
    }[beside]
    alone, ended = train(), threading.Event()

    def disturb():
        while not ended.is_set():
            noise()

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        assert train() == alone
    finally:
        ended.set()
        thread.join()
