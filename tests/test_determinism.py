"""Random numbers and threads: the same every time, and nothing outside is touched."""

import os
import subprocess
import sys
import threading

import pytest
import torch

import rmlib
from rmlib.determinism import adopt_thread_count, one_thread, seeded
from rmlib.models.encoder import new_tagger
from rmlib.training.config import Config
from rmlib.training.loop import Training
from rmlib.widgets.estimator.numbers import MODELS, gradients
from rmlib.widgets.instant_head.linear_head import Head
from rmlib.widgets.live.sessions import Session


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
        settings = {
            "epochs": 9,
            "max_tokens": 256,
            "precision": "fp32",
            "lr": 0.005,
            "reward": "entity_f1",
        }
        session = Session(Training(tagger, tagger.encode(small.train).examples, Config(**settings)))
        for _ in range(40):
            session.advance()
        return [row["total"] for row in session.history]

    head = Head(torch.randn(300, 8), torch.arange(300) % 3, 3)
    noise = {
        "a head": lambda: head.fit(1.0, "accuracy"),
        "a new tagger": lambda: new_tagger(small.tags, str(tiny)),
        "a cloud of estimates": lambda: gradients.__wrapped__(
            2, "none", "accuracy", next(iter(MODELS)), 0
        ),
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


# Threads


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_one_thread_is_given_back_even_after_an_error(two_threads):
    with pytest.raises(ZeroDivisionError), one_thread():
        assert torch.get_num_threads() == 1
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2


def test_many_at_once_leave_what_there_was(two_threads):
    def use():
        for _ in range(200):
            with one_thread():
                torch.ones(9).sum()

    users = [threading.Thread(target=use) for _ in range(4)]
    for one in users:
        one.start()
    for one in users:
        one.join()
    found = []
    newcomer = threading.Thread(target=lambda: found.append(adopt_thread_count()))
    newcomer.start()
    newcomer.join()
    assert found == [2]


def test_a_thread_that_begins_meanwhile_gets_the_usual_number(two_threads):
    found = []
    newcomer = threading.Thread(target=lambda: found.append(adopt_thread_count()))
    with one_thread():
        newcomer.start()
        newcomer.join(0.2)
        assert not found  # it waits
    newcomer.join()
    assert found == [2]


SPIN = """
import rmlib, os, sys
assert "torch" not in sys.modules
print({name: os.environ[name] for name in sorted(os.environ) if "OMP_" in name or "KMP_" in name})
"""


@pytest.mark.parametrize(
    ("set_by_the_user", "expected"),
    [
        ({}, rmlib.SPIN),
        ({"OMP_NUM_THREADS": "2"}, rmlib.SPIN | {"OMP_NUM_THREADS": "2"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
        ({"GOMP_SPINCOUNT": "9"}, {"GOMP_SPINCOUNT": "9"}),
    ],
)
def test_the_spin_count_is_set_before_torch_loads_unless_the_user_set_it(set_by_the_user, expected):
    others = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "KMP_"))}
    command = [sys.executable, "-c", SPIN]
    environment = others | set_by_the_user
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(dict(sorted(expected.items())))
