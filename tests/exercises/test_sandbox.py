"""The guard comes back from everything that a learner's code may do."""

import sys
import threading
import time

import pytest
import torch

from rmlib.exercises.framework import sandbox


def told(function, *args, **limits) -> str:
    with pytest.raises(sandbox.LearnersError) as caught:
        sandbox.call(function, *args, **limits)
    return str(caught.value)


def test_a_result_comes_back_and_so_does_its_graph():
    leaf = torch.ones(3, requires_grad=True)
    assert sandbox.call(lambda a, b: a + b, 2, 3) == 5
    sandbox.call(lambda z: (z**2).sum(), leaf).backward()
    assert leaf.grad.tolist() == [2, 2, 2]


def test_an_error_is_told_with_its_line():
    def share(hits, total):
        part = hits / total
        return part

    words = told(share, 1, 0)
    assert words.startswith("your code ends in ZeroDivisionError: division by zero (line ")
    assert "part = hits / total" in words
    assert "SystemExit" in told(lambda: sys.exit(3)) and "KeyError: 'x'" in told(lambda: {}["x"])


def test_a_call_with_other_arguments_is_told():
    assert "TypeError" in told(lambda a: a, 1, 2)


def test_an_endless_loop_is_stopped_and_leaves_nothing_behind():
    def endless():
        while True:
            pass

    before = threading.active_count()
    words = told(endless, seconds=0.3)
    assert "stopped after 0.3 seconds (line " in words and "a loop that never ends?" in words
    deadline = time.monotonic() + 20
    while threading.active_count() > before:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_code_that_catches_everything_does_not_hold_up_the_lesson():
    goes_on = threading.Event()

    def stubborn():
        while not goes_on.is_set():
            try:
                while not goes_on.is_set():
                    pass
            except BaseException:
                pass

    assert "stopped after 0.2 seconds (line " in told(stubborn, seconds=0.2)
    goes_on.set()


def test_what_cannot_be_interrupted_is_let_go_and_told():
    begin = time.monotonic()
    words = told(time.sleep, 12, seconds=0.2)
    assert "stopped after 0.2 seconds" in words and "restart the kernel" in words
    assert time.monotonic() - begin < 12


def test_a_huge_allocation_is_refused():
    def huge():
        return torch.ones(10**11)

    def growing():
        pile = []
        while True:
            pile.append(bytearray(10**8))

    for greedy in (huge, growing):
        assert "it asks for more than 500 MB of memory" in told(greedy, megabytes=500, seconds=60)
    assert sandbox.call(lambda: torch.ones(1000).sum().item()) == 1000  # and the next one has its memory


def test_what_is_printed_belongs_to_the_caller(capsys):
    sandbox.call(print, "seen")
    assert capsys.readouterr().out == "seen\n"
