"""Torch has one random generator in a process: whoever seeds it and draws does so here, one at a time."""

import threading
from contextlib import contextmanager

import torch

DICE = threading.RLock()  # held while random numbers are seeded and drawn, on whichever thread


def seed_for(*numbers: int) -> None:
    """Give torch the random numbers that belong to these whole numbers, and to no others."""
    torch.manual_seed(hash(numbers) % 2**63)  # Python hashes a tuple of whole numbers the same way every time


@contextmanager
def seeded(seed: int):
    """Random numbers of this seed inside; outside they go on as if nothing had been drawn.

    Args:
        seed: 0 or more.
    """
    with DICE, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's: a GPU's numbers are left alone
        yield


_SETTING = threading.RLock()


@contextmanager
def one_thread():
    """Compute on one thread of the processor: sums in one order, and nothing to wait for where a training runs beside
    it. For small products, which gain little from a second one."""
    with _SETTING:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def usual_threads() -> int:
    """Called first on a new thread of a program: it computes on as many as the process does, whatever `one_thread` is
    doing elsewhere. Returns how many."""
    with _SETTING:
        return torch.get_num_threads()
