"""Calls a learner's function and comes back, whatever it raises, however long it runs, however much memory it takes."""

import contextlib
import contextvars
import ctypes
import linecache
import sys
import threading
import time
import traceback
from collections.abc import Callable

import psutil

SECONDS, MEGABYTES = 10.0, 2000
GRACE = 5.0  # seconds that code may take to stop, once it is told to
LOOK = 0.02  # seconds between two looks at the clock and the memory
OUT_OF_MEMORY = ("allocate", "out of memory")


class LearnersError(Exception):
    """What went wrong in a learner's code, in one sentence that names the line."""


class TimeUp(BaseException):
    """Raised inside the learner's code; not an Exception, so that `except Exception` does not catch it."""


class TooMuch(BaseException):
    """The same, where it takes too much memory."""


def call(function: Callable, *args, seconds: float = SECONDS, megabytes: int = MEGABYTES):
    """function(*args), on a thread of its own that is stopped when it takes too much.

    Args:
        seconds: of computing that it may take; three times as many by the clock, since a machine may be busy.
        megabytes: that it may add to the memory of this process.

    Raises:
        LearnersError: it raised something, ran too long, or took too much memory.
    """
    done, box = threading.Event(), {}

    def work():
        try:
            box["value"] = function(*args)
        except BaseException as error:  # all of it is the learner's, SystemExit and KeyboardInterrupt too
            box["error"] = error
        finally:
            done.set()

    # With the caller's context: what the learner prints belongs to the cell that runs the check.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True)
    with _address_space(megabytes):
        thread.start()
        stopped, frames = _watch(thread, done, seconds, megabytes)
    error = box.get("error")
    if error is None and "value" in box and stopped is None:
        return box["value"]
    frames = frames or traceback.extract_tb(error.__traceback__ if error else None)
    words = _told(function, error, stopped, frames, seconds, megabytes)
    if not done.is_set():
        words += " It does not stop when it is told to, and goes on in the background: restart the kernel."
    raise LearnersError(words) from None


def _watch(thread: threading.Thread, done: threading.Event, seconds: float, megabytes: int) -> tuple:
    """Wait for the end; (None, None), or why it was stopped, and the lines of code it was in."""
    me, begin, stopped, frames = psutil.Process(), time.monotonic(), None, None
    before = me.memory_info().rss
    while not done.wait(LOOK):
        clock = time.monotonic() - begin
        if stopped is None and clock > seconds and (clock > 3 * seconds or _computed(me, thread) > seconds):
            stopped, told = TimeUp, clock
        elif stopped is None and me.memory_info().rss - before > megabytes * 1e6:
            stopped, told = TooMuch, clock
        if stopped and frames is None:
            frame = sys._current_frames().get(thread.ident)
            frames = traceback.extract_stack(frame) if frame else []
        if stopped:
            _raise_in(thread, stopped)  # again and again: code that catches everything gets the next one
        if stopped and clock > told + GRACE:  # it sleeps or computes where nothing can be raised: let it go
            break
    return stopped, frames


def _computed(me: psutil.Process, thread: threading.Thread) -> float:
    """Seconds that the thread has computed."""
    return sum(one.user_time + one.system_time for one in me.threads() if one.id == thread.native_id)


def _raise_in(thread: threading.Thread, kind: type) -> None:
    """Python's own way to raise an exception in another thread; it comes at the next line of Python there."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(kind))


@contextlib.contextmanager
def _address_space(megabytes: int):
    """On Linux, refuse memory beyond this at once, before it is used; elsewhere the watch has to see it."""
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = psutil.Process().memory_info().vms + int(megabytes * 1e6)
    if soft != resource.RLIM_INFINITY:
        wanted = min(wanted, soft)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _told(function, error, stopped, frames, seconds, megabytes) -> str:
    where = _where(function, frames)
    if stopped is TimeUp:
        return f"your code was stopped after {seconds:g} seconds{where}: a loop that never ends?"
    if stopped is TooMuch or isinstance(error, MemoryError) or any(word in str(error) for word in OUT_OF_MEMORY):
        return f"your code was stopped: it asks for more than {megabytes:,} MB of memory{where}"
    name = type(error).__name__
    return f"your code ends in {name}{': ' if str(error) else ''}{str(error).strip()}{where}"


def _where(function, frames) -> str:
    """The last line of the learner's own code among these."""
    own = getattr(getattr(function, "__code__", None), "co_filename", None)
    mine = [frame for frame in frames if frame.filename == own] or [f for f in frames if "rmlib" not in f.filename]
    if not mine:
        return ""
    line = linecache.getline(mine[-1].filename, mine[-1].lineno).strip()
    return f" (line {mine[-1].lineno}{': ' if line else ''}{line})"
