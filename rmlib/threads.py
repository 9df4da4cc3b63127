"""On how many threads of the processor torch computes. It keeps one number for the process, and each new thread of a
program begins with what it is just then."""

import threading
from contextlib import contextmanager

import torch

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
