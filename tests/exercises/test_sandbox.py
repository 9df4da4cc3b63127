"""The sandbox returns from everything that a learner's code may do."""

import sys
import threading
import time

import pytest
import torch

from rmlib.exercises.framework import sandbox


def failure(function, *args, **limits) -> sandbox.LearnersError:
    with pytest.raises(sandbox.LearnersError) as caught:
        sandbox.call(function, *args, **limits)
    return caught.value


def test_a_result_comes_back_and_so_does_its_graph():
    leaf = torch.ones(3, requires_grad=True)
    assert sandbox.call(lambda a, b: a + b, 2, 3) == 5
    sandbox.call(lambda z: (z**2).sum(), leaf).backward()
    assert leaf.grad.tolist() == [2, 2, 2]


def test_an_error_is_explained_with_its_line():
    def share(hits, total):
        part = hits / total
        return part

    error = failure(share, 1, 0)
    assert error.id == "raises"
    assert "ZeroDivisionError" in str(error) and "part = hits / total" in str(error)


@pytest.mark.parametrize(
    ("function", "args", "name"),
    [
        (lambda: sys.exit(3), (), "SystemExit"),
        (lambda: {}["x"], (), "KeyError: 'x'"),
        (lambda a: a, (1, 2), "TypeError"),
    ],
)
def test_every_exception_is_caught_and_named(function, args, name):
    error = failure(function, *args)
    assert error.id == "raises" and name in str(error)


def test_an_endless_loop_is_stopped_and_leaves_nothing_behind():
    def endless():
        while True:
            pass

    before = threading.active_count()
    error = failure(endless, seconds=0.3)
    assert error.id == "too-slow" and "0.3 seconds (line " in str(error)
    deadline = time.monotonic() + 20
    while threading.active_count() > before:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_code_that_catches_everything_does_not_hold_up_the_lesson(monkeypatch):
    monkeypatch.setattr(sandbox, "GRACE", 1.0)
    stop = threading.Event()

    def stubborn():
        while not stop.is_set():
            try:
                while not stop.is_set():
                    pass
            except BaseException:
                pass

    assert failure(stubborn, seconds=0.2).id == "too-slow"
    stop.set()


def test_what_cannot_be_interrupted_is_left_running(monkeypatch):
    monkeypatch.setattr(sandbox, "GRACE", 1.0)
    begin = time.monotonic()
    error = failure(time.sleep, 12, seconds=0.2)
    assert error.id == "too-slow" and "restart the kernel" in str(error)
    assert time.monotonic() - begin < 12


def test_a_huge_allocation_is_refused():
    def huge():
        return torch.ones(10**11)

    def growing():
        pile = []
        while True:
            pile.append(bytearray(10**8))

    for greedy in (huge, growing):
        error = failure(greedy, megabytes=500, seconds=60)
        assert error.id == "too-much-memory" and "500 MB" in str(error)
    assert sandbox.call(lambda: torch.ones(1000).sum().item()) == 1000  # the next has its memory


def test_what_is_printed_belongs_to_the_caller(capsys):
    sandbox.call(print, "seen")
    assert capsys.readouterr().out == "seen\n"
