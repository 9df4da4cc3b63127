"""Random numbers and threads of a process, shared by everything that computes in it.

Torch has one random number generator and one number of threads per process, while several trainings
and widgets may compute at the same time.
"""

import threading
from contextlib import contextmanager

import torch

RNG_LOCK = threading.RLock()  # held, on any thread, while the generator is seeded and drawn from
_THREADS_LOCK = threading.RLock()


def seed_for(*numbers: int) -> None:
    """Seed torch with a hash of these integers; Python hashes a tuple of them always alike."""
    torch.manual_seed(hash(numbers) % 2**63)


@contextmanager
def seeded(seed: int):
    """Random numbers of this seed inside; afterwards the generator continues where it was.

    Args:
        seed: 0 or more. Only the CPU's generator is seeded.
    """
    with RNG_LOCK, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


@contextmanager
def one_thread():
    """Compute on one thread: sums in one order, and nothing to wait for beside a training.

    For small products, which gain little from a second thread.
    """
    with _THREADS_LOCK:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def adopt_thread_count() -> int:
    """The number of threads of the process, whatever `one_thread` is doing elsewhere.

    A new Python thread takes over the number when it first asks for it, so call this first on one.
    """
    with _THREADS_LOCK:
        return torch.get_num_threads()
