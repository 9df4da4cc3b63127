"""One thread inside, as many as before outside, whatever other threads of the program do meanwhile."""

import threading

import pytest
import torch

from rmlib.determinism import one_thread, usual_threads


@pytest.fixture(autouse=True)
def two():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_one_thread_is_given_back_even_after_an_error():
    with pytest.raises(ZeroDivisionError), one_thread():
        assert torch.get_num_threads() == 1
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2


def test_many_at_once_leave_what_there_was():
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
    newcomer = threading.Thread(target=lambda: found.append(usual_threads()))
    newcomer.start()
    newcomer.join()
    assert found == [2]


def test_a_thread_that_begins_meanwhile_gets_the_usual_number():
    found = []
    newcomer = threading.Thread(target=lambda: found.append(usual_threads()))
    with one_thread():
        newcomer.start()
        newcomer.join(0.2)
        assert not found  # it waits
    newcomer.join()
    assert found == [2]
